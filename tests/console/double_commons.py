"""Rights and open science of the double: one of each state, a share to confirm, a reuse to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.ports_commons import Shown
from shanhe.kernel.errors import Conflict

AT = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
RIGHT, ASKED, FILED, OUTPUT, RETRACTED, REUSE = (UUID(int=number) for number in range(820, 826))
HOLDERS = [
    {"party": UUID(int=7), "name": "启明科技", "share_ppm": 666_667, "percent": "66.6667", "consent": True},
    {"party": UUID(int=8), "name": "", "share_ppm": 333_333, "percent": "33.3333", "consent": None},
]
ENTRY: dict[str, Any] = {
    "id": RIGHT, "name": "ip/000001", "kind": "ai_invention_patent", "number": "ZL2026100000012",
    "title": "一种基于图像的焊缝质检方法", "abstract": "从图像中找出焊缝缺陷。", "office": "国家知识产权局",
    "applied_on": date(2025, 3, 1), "granted_on": date(2026, 1, 20), "state": "verified", "decided_at": AT,
    "rate_ppm": 10_000, "rate": "1", "holders": HOLDERS, "reason": "", "filed_at": AT, "mine": True, "asked": False,
    "registrant": True, "registered_by": "启明科技",
}  # fmt: skip
TITLE = {"zh": "发明专利奖励", "en": "Invention patent award"}
OWN = ("filed_at", "mine", "asked", "registrant", "registered_by")
"""What a stranger's view of an entry has not."""
TERMS = {"n": 1, "rate_ppm": 10_000, "rate": "1", "state": "open", "proposed_by": "启明科技", "proposed_at": AT,
         "shares": HOLDERS}  # fmt: skip
PAST = [{"id": UUID(int=900 + n), "event": event, "at": AT} for n, event in
        enumerate(("drafted", "proposed", "agreed", "filed", "verified"))]  # fmt: skip
WHOLE: dict[str, Any] = ENTRY | {
    "whole": True, "own": True, "officer": True, "awards": [{"id": "invention_patent", "title": TITLE}],
    "terms": [TERMS], "waiting": [], "history": PAST, "used_by": ["agent/letters"],
    "document_sha256": "a" * 64, "calls": 12, "earned_micro": 1_200_000,
    "kinds": ["invention_patent"], "fields": {"title": "一种方法", "kind": "invention_patent", "shares": "本单位 100"},
    "earned": [{"day": date(2026, 11, 20), "party": UUID(int=7), "name": "启明科技", "calls": 12,
                "amount_micro": 1_200_000}],
}  # fmt: skip
AUTHORS = [{"party": UUID(int=7), "name": "启明科技", "share_ppm": 1_000_000, "percent": "100", "agreed": True}]
REUSED: dict[str, Any] = {
    "id": REUSE, "deposit": OUTPUT, "deposit_name": "os/000001", "deposit_title": "九种焊条开裂记录", "by": "乙研究所",
    "how": "paper", "ref": "10.1234/abcd", "state": "declared", "why_not": "", "declared_at": AT, "reason": "",
    "earns": None,
}  # fmt: skip
MADE: dict[str, Any] = {
    "id": OUTPUT, "name": "os/000001", "kind": "negative", "state": "published", "title": "九种焊条开裂记录",
    "abstract": "每种焊条的参数与开裂照片。", "licence": "CC-BY-4.0", "sha256": "b" * 64, "link": "https://example.cn/d",
    "published_at": AT, "version": 2, "authors": AUTHORS, "reused": 3, "retraction": "", "retracted_at": None,
    "asked": False, "draft": True, "waiting": [], "mine": True, "versions": [], "party": False, "author": True,
    "reviewer": True, "hows": ("paper", "deposit"), "licences": ["CC-BY-4.0"],
    "fields": {"title": "九种焊条开裂记录", "licence": "CC-BY-4.0"}, "next_id": str(UUID(int=830)),
    "reuses": [REUSED, REUSED | {"state": "confirmed", "why_not": "related"}], "history": PAST[:1],
}  # fmt: skip


class Commons:
    """See `ports_commons.CommonsDesk`. `fresh`: nothing is there yet."""

    def __init__(self) -> None:
        self.fresh = False
        self.done: list[tuple[Any, ...]] = []

    async def rights(self, find: str, kind: str, pooled: bool, before: int | None) -> Shown:
        if find == "深":  # nothing among what was looked through
            return [], 41
        return ([], None) if self.fresh or find == "无" else ([ENTRY], None if before else 41)

    async def right(self, who: m.Who | None, entry: UUID) -> Mapping[str, Any]:
        if who is None:
            seen = {key: value for key, value in ENTRY.items() if key not in OWN}
            return seen | {"whole": False, "own": False, "officer": False, "awards": [], "reason": "", "history": PAST,
                           "used_by": []}  # fmt: skip
        if entry == ASKED:
            waits = [{"party": UUID(int=8), "name": "林晓"}]
            return WHOLE | {"id": ASKED, "state": "draft", "asked": True, "waiting": waits, "officer": False}
        return WHOLE | ({"id": FILED, "state": "filed"} if entry == FILED else {})

    async def my_rights(self, who: m.Who, before: int | None) -> Mapping[str, Any]:
        rows = [ENTRY, ENTRY | {"state": "draft", "asked": True, "rate": ""}, ENTRY | {"state": "refused"}]
        return {"rows": [] if self.fresh else rows, "kinds": ["software_copyright", "invention_patent"],
                "id": str(UUID(int=831)), "officer": True, "before": before, "following": None}  # fmt: skip

    async def register(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        if fields.get("number") == "taken":
            raise Conflict("number_taken", "It is there.", message_zh="该登记号已在登记簿中。")
        self.done.append(("register", fields.get("title")))
        return RIGHT

    async def right_step(self, who: m.Who, entry: UUID, step: str, fields: Mapping[str, str]) -> None:
        if fields.get("shares") == "nobody":
            raise Conflict("terms_open", "Another waits.", message_zh="另有变更正在等待权利人同意。")
        self.done.append((step, entry, fields.get("reason") or fields.get("shares") or ""))

    async def rights_queue(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [] if self.fresh else [ENTRY | {"id": FILED, "state": "filed"}]

    async def outputs(self, find: str, kind: str, before: int | None) -> Shown:
        return ([], None) if self.fresh else ([MADE], None if before else 41)

    async def output(self, who: m.Who | None, deposit: UUID) -> Mapping[str, Any]:
        if deposit == RETRACTED:
            return MADE | {"id": RETRACTED, "state": "retracted", "retraction": "单位记错", "draft": False}
        return MADE

    async def my_outputs(self, who: m.Who, before: int | None) -> Mapping[str, Any]:
        rows = [MADE, MADE | {"state": "draft", "asked": True}]
        return {
            "rows": [] if self.fresh else rows, "waiting": [] if self.fresh else [REUSED],
            "before": before, "following": None,
            "declared": [] if self.fresh else [REUSED | {"state": "refused", "reason": "文中未引用"}],
            "kinds": ["dataset", "negative"], "licences": ["CC-BY-4.0"], "id": str(UUID(int=832)), "reviewer": True,
        }  # fmt: skip

    async def deposit(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        if not fields.get("link"):
            raise Conflict("bad_deposit", "A link.", message_zh="须填写文件 SHA-256 或链接。")
        self.done.append(("deposit", fields.get("title")))
        return OUTPUT

    async def output_step(self, who: m.Who, deposit: UUID, step: str, fields: Mapping[str, str]) -> None:
        if fields.get("ref") == "own":
            raise Conflict("own_deposit", "Own.", message_zh="自引不予申报。")
        self.done.append((step, deposit, fields.get("ref") or fields.get("reason") or ""))

    async def reuse_step(self, who: m.Who, reuse: UUID, step: str, fields: Mapping[str, str]) -> None:
        if fields.get("reason") == "own":
            raise Conflict("judges_own", "Own.", message_zh="须由他人办理。")
        self.done.append((step, reuse, fields.get("as", "")))

    async def reuse_queue(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [] if self.fresh else [REUSED]

    async def waiting(self, who: m.Who) -> Mapping[str, int]:
        return {} if self.fresh else {"rights": 1, "reuses": 1}

    async def citation(self, deposit: UUID, form: str, url: str) -> bytes:
        return f"{form} {url}".encode()
