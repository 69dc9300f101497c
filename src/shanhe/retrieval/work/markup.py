"""HTML, Markdown and plain text: blocks by their marks; what a page hides is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from typing import Final

import msgspec

from shanhe.kernel.texts import decoded
from shanhe.retrieval.errors import Unreadable
from shanhe.retrieval.model import Block
from shanhe.retrieval.work.bounds import DEPTH_MAX, TEXT_MAX_CHARS

UNREAD: Final = frozenset({"script", "style", "template", "noscript", "head", "svg", "nav", "iframe", "object"})
VOID: Final = frozenset(re.findall(r"\w+", "area base br col embed hr img input link meta param source track wbr"))
BLOCKS: Final = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote body dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
        "header hr html li main ol p pre section table tbody td tfoot th thead tr ul caption details summary",
    )
)
HIDDEN_STYLE: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])"
    r"|(?:left|top|text-indent)\s*:\s*-\d{3,}|(?:width|height)\s*:\s*0(?![.\d])"
)
WHITE: Final = re.compile(
    r"(?<![-\w])color\s*:\s*(?:white|#fff(?:fff)?\b|transparent|rgba?\(\s*255\s*,\s*255\s*,\s*255)"
)
SPACE: Final = re.compile(r"\s+")
FENCE: Final = re.compile(r"^\s*(```|~~~)")
MARKED: Final = re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s+")
RULED: Final = re.compile(r"^\s*\|?[\s:|-]{3,}\|?\s*$")
INLINE: Final = (
    (re.compile(r"!\[[^\]]{0,300}\]\([^)]{0,2000}\)"), ""), (re.compile(r"\[([^\]]{1,300})\]\([^)]{0,2000}\)"), r"\1"),
    (re.compile(r"(\*\*|__)(.+?)\1"), r"\2"), (re.compile(r"`([^`]+)`"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^>\n]{0,200}>"), ""),
)  # fmt: skip


def text_of(data: bytes) -> str:
    """Text in UTF-8, with or without a byte-order mark, or in GBK."""
    found = decoded(data)
    if found is None:
        raise Unreadable("it is neither UTF-8 nor GBK", "编码既不是 UTF-8 也不是 GBK")
    return found[0]


class Page(HTMLParser):
    """Visible text of a page, as blocks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._text: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self._cells: list[str] | None = None

    @property
    def _hidden(self) -> bool:
        return any(hidden for _, hidden in self._open)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS:
            self._close()
        if tag == "br":
            self._text.append("\n")
        if tag in VOID:
            return
        if len(self._open) >= DEPTH_MAX:
            raise Unreadable("it is nested too deep", "嵌套过深", "document_bomb")
        given = {name: (value or "").lower() for name, value in attrs}
        style = given.get("style", "")
        unseen = (
            tag in UNREAD or "hidden" in given or given.get("aria-hidden") == "true"
            or bool(HIDDEN_STYLE.search(style)) or bool(WHITE.search(style))
        )  # fmt: skip
        self._open.append((tag, unseen))
        if tag == "tr":
            self._cells = []

    def handle_endtag(self, tag: str) -> None:
        if tag in BLOCKS:
            self._close()
        names = [name for name, _ in self._open]
        if tag in names:
            del self._open[len(names) - 1 - names[::-1].index(tag) :]
        if tag == "tr" and self._cells is not None:
            cells, self._cells = self._cells, None
            if any(cells):
                self.blocks.append(Block("row", " | ".join(cells), 1))

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._text.append(data)

    def _close(self) -> None:
        text = SPACE.sub(" ", "".join(self._text)).strip()
        self._text = []
        if not text:
            return
        tags = [name for name, _ in self._open]
        if self._cells is not None:
            self._cells.append(text)
            return
        heading = next((name for name in reversed(tags) if re.fullmatch(r"h[1-6]", name)), "")
        if heading:
            self.blocks.append(Block("heading", text, 1, level=int(heading[1])))
        else:
            self.blocks.append(Block("item" if "li" in tags else "text", text, 1))

    def close(self) -> None:
        super().close()
        self._close()


def html(data: bytes) -> Iterator[Block]:
    """Blocks of a web page."""
    text = text_of(data)
    if len(text) > TEXT_MAX_CHARS * 4:
        raise Unreadable("it is too long", "内容过长", "document_bomb")
    page = Page()
    page.feed(text)
    page.close()
    yield from flowing(page.blocks)


def markdown(data: bytes) -> Iterator[Block]:
    """Blocks of a Markdown text."""
    yield from flowing(list(_marked(text_of(data).replace("\r\n", "\n"))))


def plain(data: bytes) -> Iterator[Block]:
    """Paragraphs of a text."""
    text = text_of(data).replace("\r\n", "\n")
    yield from flowing([Block("text", part.strip(), 1) for part in re.split(r"\n\s*\n", text) if part.strip()])


def _marked(text: str) -> Iterator[Block]:
    held: list[str] = []
    code = False

    def close(kind: str = "text") -> Iterator[Block]:
        if held:
            said = "\n".join(held) if kind == "code" else " ".join(held)
            held.clear()
            kind = "item" if kind == "text" and MARKED.match(said) else kind
            yield Block(kind, said if kind == "code" else unmarked(said), 1)

    for line in text.split("\n"):
        if FENCE.match(line):
            yield from close("code" if code else "text")
            code = not code
            continue
        if code:
            held.append(line)
            continue
        title = re.match(r"^(#{1,6})\s+(.*?)\s*#*$", line)
        if title is not None:
            yield from close()
            yield Block("heading", unmarked(title[2]), 1, level=len(title[1]))
        elif line.lstrip().startswith("|"):
            yield from close()
            if not RULED.match(line):
                cells = [unmarked(cell.strip()) for cell in line.strip().strip("|").split("|")]
                yield Block("row", " | ".join(cells), 1)
        elif not line.strip():
            yield from close()
        elif MARKED.match(line):
            yield from close()
            held.append(line.strip())
        else:
            held.append(line.strip().removeprefix("> "))
    yield from close("code" if code else "text")


def unmarked(text: str) -> str:
    """A line of Markdown as it is read aloud."""
    text = _uncommented(text)
    for pattern, instead in INLINE:
        text = pattern.sub(instead, text)
    return text.strip()


def _uncommented(text: str) -> str:
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        kept.append(text[at:start])
        at = end + len("-->")
    return "".join((*kept, text[at:]))


def flowing(found: Sequence[Block]) -> Iterator[Block]:
    """Blocks of a format without layout: the box says which share of its page's text lies before and after."""
    totals: dict[int, int] = {}
    for block in found:
        totals[block.page] = totals.get(block.page, 0) + len(block.text)
    before: dict[int, int] = {}
    for block in found:
        if not block.text:
            continue
        whole, start = max(1, totals[block.page]), before.get(block.page, 0)
        before[block.page] = start + len(block.text)
        box = (0, 10_000 * start // whole, 10_000, 10_000 * before[block.page] // whole)
        yield msgspec.structs.replace(block, box=box)
