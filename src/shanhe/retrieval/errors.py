"""What can go wrong with knowledge, said so that one can act on it."""

from __future__ import annotations

from collections.abc import Sequence

from shanhe.kernel.errors import Conflict, Invalid, NotFound, TooMany


class UnknownBase(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_knowledge_base",
            f"There is no knowledge base {name[:80]!r} that you may read.",
            message_zh=f"没有知识库“{name[:80]}”，或您无权读取。",
            hint="GET /api/knowledge lists those that you may read.",
            hint_zh="GET /api/knowledge 列出您可读取的知识库。",
        )


class UnknownDocument(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_document", "There is no such document in it.", message_zh="该知识库中没有此文档。")


class UnknownChunk(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_passage", "There is no such passage in it.", message_zh="该知识库中没有此段落。")


class NameTaken(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(
            "knowledge_base_exists", f"You have a knowledge base {name!r} already.",
            message_zh=f"您已有名为“{name}”的知识库。", hint="Choose another name.", hint_zh="请换一个名称。",
        )  # fmt: skip


class TooMuch(TooMany):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("knowledge_full", f"{en}.", message_zh=f"{zh}。", hint="Delete what is no longer needed.",
                         hint_zh="请删除不再需要的内容。")  # fmt: skip


class Unreadable(Invalid):
    """A file that can't be read within bounds."""

    def __init__(self, en: str, zh: str, code: str = "unreadable_document") -> None:
        self.why, self.why_zh = en, zh
        super().__init__(
            code, f"The file can't be read: {en}.", message_zh=f"无法读取文件：{zh}。",
            hint="PDF, DOCX, XLSX, PPTX, HTML, Markdown, text and images are read.",
            hint_zh="支持 PDF、DOCX、XLSX、PPTX、HTML、Markdown、文本与图片。",
        )  # fmt: skip


class BadKnowledge(Invalid):
    """Something about a base, a question or a passage that can't be."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_knowledge", f"{en}.", message_zh=f"{zh}。")


class PreviewBusy(TooMany):
    def __init__(self) -> None:
        super().__init__("preview_busy", "Another file is being read for a preview; try again shortly.",
                         message_zh="正在读取另一份预览，请稍后再试。", retry_after_s=5)  # fmt: skip


class BaseInUse(Conflict):
    """`users`: names of agents and workflows that look things up in the base."""

    def __init__(self, users: Sequence[str]) -> None:
        named = ", ".join(users)
        super().__init__(
            "knowledge_in_use",
            f"The base is used, and without it these look nothing up any more: {named}.",
            message_zh=f"知识库正在使用中，删除后以下各项将无法检索：{named.replace(', ', '、')}。",
            hint="Take the base out of them first, or delete it all the same (`anyway`).",
            hint_zh="请先从其中移除该知识库，或确认仍要删除（anyway）。",
            details={"users": list(users)},
        )
