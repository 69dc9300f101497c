"""The part of the desk's double that is about knowledge bases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.kernel.errors import Invalid, NotFound
from shanhe.retrieval.api import Preview
from shanhe.retrieval.errors import BaseInUse
from shanhe.retrieval.model import Piece

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
BASE, DOCUMENT, PASSAGE = UUID(int=300), UUID(int=301), UUID(int=302)
ONE = {
    "id": BASE, "name": "山河市政策", "reach": "city", "data_class": "general", "support_bps": 5_200, "reranker": "",
    "documents": 2, "open": 1, "failed": 1, "pages": 34, "passages": 143, "own": True, "readers": [],
    "size": 260, "overlap": 0, "separator": "", "stale": 1, "edits": 2, "users": ["agent/guide"],
}  # fmt: skip
PIECE = {
    "id": PASSAGE, "n": 1, "page": 3, "box": (1_200, 2_000, 8_800, 3_100), "place": "", "heading": "数字游民 › 认定",
    "text": "须在场天数：90天（2025-01-01 起）。", "edited_by": "person:1", "document": "政策汇编.pdf",
    "why": {"word_rank": 1, "word_score": 9.4, "meaning_rank": 2, "cosine": 0.871, "coverage": 0.81, "rerank": 0.9},
}  # fmt: skip


def document(state: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": DOCUMENT, "name": "政策汇编.pdf", "state": state, "done": 12, "total": 27, "pages": 27,
        "paid_micro": 4_200, "error": None, "size_bytes": 812_000,
    } | fields  # fmt: skip


class Knowledge:
    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []
        self.open = 1

    async def overview(self, who: m.Who) -> Any:
        return [ONE, ONE | {"own": False, "name": "邻县资料"}]

    async def make(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        if fields["name"] == "taken":
            raise Invalid("taken", "You have one of that name.", message_zh="已有同名知识库。")
        self.done.append(("make", (fields["name"], fields["reach"])))
        return BASE

    async def base(self, who: m.Who, base_id: UUID) -> Mapping[str, Any]:
        if base_id != BASE:
            raise NotFound("unknown", "There is none.", message_zh="没有该知识库。")
        error = {"message": "It is locked.", "message_zh": "文件已加密。"}
        listed = [document("embedding"), document("failed", error=error), document("ready")]
        return ONE | {"documents_list": listed, "open": self.open, "readers": [{"reader": UUID(int=9)}]}

    async def card(self, who: m.Who, base_id: UUID) -> Mapping[str, Any]:
        return ONE

    async def edit(self, who: m.Who, base_id: UUID, fields: Mapping[str, str]) -> None:
        if fields.get("size") == "1":
            raise Invalid("bad_knowledge", "size is 50 to 1000.", message_zh="段落长度须为 50–1000。")
        self.done.append(("edit", fields.get("reach") or fields["size"]))

    async def recut(self, who: m.Who, base_id: UUID) -> None:
        self.done.append(("recut", base_id))

    async def preview(self, who: m.Who, base_id: UUID, fields: Mapping[str, str], name: str, data: bytes) -> Any:
        if not data and not fields.get("document"):
            raise Invalid("nothing_to_preview", "Choose a document.", message_zh="请选择文档或文件。")
        self.done.append(("preview", (fields["size"], name)))
        return Preview((Piece("<b>第一段</b>", "总则", 3, (0, 0, 10_000, 100)),), 21, 4_800, 60, 260, 5, 2)

    async def archive(self, who: m.Who, base_id: UUID, *, anyway: bool) -> None:
        if not anyway:
            raise BaseInUse(["agent/guide"])
        self.done.append(("archive", base_id))

    async def bring(self, who: m.Who, base_id: UUID, name: str, data: bytes) -> None:
        if not data:
            raise Invalid("empty", "The file is empty.", message_zh="文件为空。")
        self.done.append(("bring", (name, data)))

    async def document(self, who: m.Who, base_id: UUID, document_id: UUID, first: int, most: int) -> Mapping[str, Any]:
        return document("ready") | {"base": ONE, "passages": [PIECE]}

    async def edit_passage(self, who: m.Who, base_id: UUID, passage_id: UUID, text: str) -> None:
        self.done.append(("passage", text))

    async def retry(self, who: m.Who, base_id: UUID, document_id: UUID) -> None:
        self.done.append(("retry", document_id))

    async def remove(self, who: m.Who, base_id: UUID, document_id: UUID) -> None:
        self.done.append(("remove", document_id))

    async def search(self, who: m.Who, base_id: UUID, text: str) -> Mapping[str, Any]:
        found = {"hits": [PIECE], "support": 0.81, "supported": True, "tokens": ("游民",)}
        return found | {"paid_micro": 3, "took_ms": 61}

    async def measured(self, who: m.Who, base_id: UUID) -> Mapping[str, Any]:
        past = {"at": NOW, "asked": 104, "found_bps": 9_500, "cited_bps": 8_800, "declined_bps": 8_700}
        return ONE | {"lines": "住几天 | 政策汇编.pdf | 90天", "asked": ["住几天"], "evaluations": [past]}

    async def set_questions(self, who: m.Who, base_id: UUID, text: str) -> None:
        self.done.append(("questions", text))

    async def evaluate(self, who: m.Who, base_id: UUID, *, calibrate: bool) -> None:
        self.done.append(("evaluate", calibrate))
