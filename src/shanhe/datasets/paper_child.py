"""Text of a PDF or a picture: `python -m shanhe.datasets.paper_child KIND`; the file on stdin, paragraphs on stdout.

A process of its own with little memory and little time: what is uploaded may have been made to take all there is.
"""

from __future__ import annotations

import io
import json
import re
import resource
import sys
from typing import Any, Final

MEMORY_MAX_BYTES: Final = {"pdf": 1024 * 1024 * 1024, "picture": 4 * 1024 * 1024 * 1024}
PROCESSOR_MAX_S: Final = {"pdf": 60, "picture": 120}
PAGES_MAX: Final = 500
TEXT_MAX_CHARS: Final = 5_000_000
PIXELS_MAX: Final = 40_000_000
ENDS: Final = re.compile(r"[。！？!?：:；;.]$")


class Refused(Exception):
    """Why a file is not read, in English and Chinese."""

    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(why)
        self.why, self.why_zh = why, why_zh


def pdf(data: bytes) -> list[str]:
    """Paragraphs of a PDF that has text."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        document = PdfDocument(data)
        if len(document) > PAGES_MAX:
            raise Refused(f"it has more than {PAGES_MAX} pages", f"超过 {PAGES_MAX} 页")
        found: list[str] = []
        for page in document:
            found += joined(page.get_textpage().get_text_range().splitlines())
            if sum(len(part) for part in found) > TEXT_MAX_CHARS:
                raise Refused("it has too much text", "文字过多")
    except PdfiumError as error:
        why = "the PDF is locked with a password" if "assword" in str(error) else "it is no PDF that can be read"
        raise Refused(why, "PDF 已加密或无法读取") from error
    if not found:
        raise Refused("the PDF has no text; upload its pages as pictures", "PDF 中没有文字，请以图片上传")
    return found


def picture(data: bytes) -> list[str]:
    """Paragraphs of a picture of text, by the extra `scenes`."""
    try:
        from PIL import Image, UnidentifiedImageError
        from rapidocr import RapidOCR
    except ModuleNotFoundError as error:
        raise Refused(
            "text in pictures needs an extra: pip install 'shanhe[scenes]'", "识别图片文字须安装组件 shanhe[scenes]"
        ) from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > PIXELS_MAX:
                raise Refused("the picture is too large", "图片过大")
            image.verify()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise Refused("it is no picture that can be read", "图片无法读取") from error
    lines: Any = RapidOCR()(data).txts
    if not lines:
        raise Refused("the picture has no text", "图片中没有文字")
    return joined(list(lines))


def joined(lines: list[str]) -> list[str]:
    """Lines as paragraphs: one goes on until it ends with a mark, or a line is empty."""
    found, open_one = [], ""
    for line in [*lines, ""]:
        text = line.strip()
        apart = open_one[-1:].isascii() and text[:1].isascii() and bool(open_one and text)
        open_one += f" {text}" if apart else text
        if open_one and (not text or ENDS.search(text)):
            found.append(open_one)
            open_one = ""
    return found


def main() -> int:
    kind = sys.argv[1]
    for what, most in ((resource.RLIMIT_AS, MEMORY_MAX_BYTES[kind]), (resource.RLIMIT_CPU, PROCESSOR_MAX_S[kind])):
        resource.setrlimit(what, (most, most))
    try:
        said: dict[str, Any] = {"parts": {"pdf": pdf, "picture": picture}[kind](sys.stdin.buffer.read())}
    except Refused as refused:
        said = {"why": refused.why, "why_zh": refused.why_zh}
    except MemoryError:
        said = {"why": "it unpacks to too much", "why_zh": "解压后过大"}
    sys.stdout.write(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
