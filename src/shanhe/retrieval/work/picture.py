"""Images, and pages that are images: text recognised with its boxes (PP-OCR, the extra `[ocr]`)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

from shanhe.retrieval.errors import Unreadable
from shanhe.retrieval.model import Block
from shanhe.retrieval.work import layout
from shanhe.retrieval.work.bounds import IMAGE_MAX_PIXELS

SURE_MIN: Final = 0.5
"""What is recognised with less is left out."""
SIDE_MAX_PIXELS: Final = 3_000
_engine: list[Any] = []


def see(picture: Any) -> list[layout.Line]:
    """Lines of an image (rows × columns × 3, 8 bit)."""
    high, wide = picture.shape[0], picture.shape[1]
    found = _reader()(picture)
    if found.boxes is None:
        return []
    lines = []
    for box, text, sure in zip(found.boxes, found.txts, found.scores, strict=True):
        if sure < SURE_MIN or not text.strip():
            continue
        xs, ys = [point[0] for point in box], [point[1] for point in box]
        # a recognised box is a fifth higher than the signs in it
        lift = (max(ys) - min(ys)) * 0.1
        lines.append(layout.placed(text, (min(xs), min(ys) + lift, max(xs), max(ys) - lift), wide, high))
    return lines


def read(data: bytes) -> Iterator[Block]:
    """Blocks of a picture file."""
    yield from layout.blocks(see(_opened(data)), 1)


def _opened(data: bytes) -> Any:
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError as error:
        raise missing() from error
    import numpy

    Image.MAX_IMAGE_PIXELS = IMAGE_MAX_PIXELS
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")) as image:
            if image.width * image.height > IMAGE_MAX_PIXELS:
                raise Unreadable("the picture is too large", "图片尺寸过大", "document_bomb")
            image.draft("RGB", (SIDE_MAX_PIXELS, SIDE_MAX_PIXELS))
            upright = ImageOps.exif_transpose(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unreadable("it is no sound picture", "图片已损坏") from error
    upright.thumbnail((SIDE_MAX_PIXELS, SIDE_MAX_PIXELS))
    return numpy.asarray(upright)[:, :, ::-1]


def _reader() -> Any:
    if not _engine:
        try:
            from rapidocr import RapidOCR
        except ModuleNotFoundError as error:
            raise missing() from error
        threads = {f"EngineConfig.onnxruntime.{name}": 1 for name in ("intra_op_num_threads", "inter_op_num_threads")}
        _engine.append(RapidOCR(params={"Global.log_level": "critical", **threads}))
    return _engine[0]


def missing() -> Unreadable:
    return Unreadable(
        "reading pictures needs more software: pip install 'shanhe[ocr]'",
        "识别图片需要安装扩展：pip install 'shanhe[ocr]'", "ocr_not_installed",
    )  # fmt: skip
