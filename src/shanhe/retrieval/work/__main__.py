"""Reads one file, which it is given as its standard input: `python -m shanhe.retrieval.work NAME --parent PID`.

Says what it finds on stdout, a JSON object a line: `page` of `of` how far it is, `block` a block, `error` why it ended,
`end` with the format and the number of pages. Its memory, time and files are bounded by the kernel.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shanhe.kernel.process import die_with_parent
from shanhe.retrieval.errors import Unreadable
from shanhe.retrieval.model import Block
from shanhe.retrieval.words import visible
from shanhe.retrieval.work import markup, office, pdf, picture
from shanhe.retrieval.work.bounds import BLOCK_MAX_CHARS, Budget, opened

NICENESS: Final = 10
MEMORY_MAX_BYTES: Final = 3 * 1024**3
CPU_MAX_S: Final = 900
FILES_MAX: Final = 256
PICTURES: Final = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"II*\0", b"MM\0*", b"BM", b"GIF8")
ENDS: Final = re.compile(r"\n|[。！？；]|[.!?;]\s")
_encode = msgspec.json.Encoder().encode


def tell(**said: Any) -> None:
    sys.stdout.buffer.write(_encode(said) + b"\n")
    sys.stdout.buffer.flush()


def refuse(error: Unreadable) -> None:
    tell(error={"code": error.code, "why": error.why, "why_zh": error.why_zh})


def told(page: int, of: int) -> None:
    tell(page=page, of=of)


def format_of(name: str, data: bytes) -> str:
    """What a file is: by its bytes, and where those do not tell by its name."""
    if data.startswith(b"%PDF") or b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(PICTURES):
        return "image"
    if data.startswith(b"PK\x03\x04"):
        names = opened(data).namelist()
        for folder, found in (("word/", "docx"), ("xl/", "xlsx"), ("ppt/", "pptx")):
            if any(one.startswith(folder) for one in names):
                return found
        raise Unreadable("this kind of archive holds no document", "该压缩包不是文档")
    ending = name.lower().rpartition(".")[2]
    start = data[:512].lstrip().lower()
    if ending in ("html", "htm", "xhtml") or start.startswith((b"<!doctype html", b"<html")):
        return "html"
    if ending in ("md", "markdown"):
        return "markdown"
    if b"\0" in data[:8192]:
        raise Unreadable("its kind is not known", "无法识别的文件类型")
    return "csv" if ending in ("csv", "tsv") else "text"


def parts(text: str) -> Iterator[str]:
    """A block's text in pieces of at most BLOCK_MAX_CHARS, parted at the end of a line or a sentence where there is
    one."""
    while len(text) > BLOCK_MAX_CHARS:
        ends = [found.end() for found in ENDS.finditer(text, 0, BLOCK_MAX_CHARS)]
        at = ends[-1] if ends else BLOCK_MAX_CHARS
        if piece := text[:at].strip():
            yield piece
        text = text[at:].lstrip()
    if text:
        yield text


def blocks_of(kind: str, data: bytes) -> Iterator[Block]:
    readers: dict[str, Any] = {
        "pdf": lambda: pdf.read(data, told, picture.see), "docx": lambda: office.docx(data),
        "xlsx": lambda: office.xlsx(data, told), "pptx": lambda: office.pptx(data, told),
        "csv": lambda: office.separated(data),
        "html": lambda: markup.html(data), "markdown": lambda: markup.markdown(data),
        "text": lambda: markup.plain(data), "image": lambda: picture.read(data),
    }  # fmt: skip
    found: Iterator[Block] = readers[kind]()
    return found


def limit() -> None:
    """What this process may use at most, whatever the file makes it do."""
    os.nice(NICENESS)
    os.umask(0o077)
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_MAX_BYTES), (resource.RLIMIT_CPU, CPU_MAX_S), (resource.RLIMIT_NOFILE, FILES_MAX),
        (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        resource.setrlimit(what, (most, most))


def main() -> int:
    parser = argparse.ArgumentParser(prog="shanhe.retrieval.work")
    parser.add_argument("name")
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    die_with_parent(given.parent)
    limit()
    data = sys.stdin.buffer.read()
    try:
        kind, pages = format_of(given.name, data), 1
        tell(format=kind)
        for block in Budget().take(blocks_of(kind, data)):
            for text in parts(visible(block.text).strip()):
                pages = max(pages, block.page)
                tell(block=msgspec.structs.replace(block, text=text))
        tell(end=pages)
    except Unreadable as error:
        refuse(error)
        return 1
    except MemoryError:
        refuse(Unreadable("it needs more memory than it may have", "所需内存超过上限", "document_bomb"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
