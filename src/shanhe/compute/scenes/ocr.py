"""Reading pictures with PP-OCR (rapidocr, whose models come with its package), and the fields of common papers."""

from __future__ import annotations

import base64
import binascii
import io
import logging
from typing import Any, Final

from shanhe.compute.scenes.papers import PAPERS, Line
from shanhe.kernel.errors import Invalid

SIDE_MAX: Final = 2_400
"""Larger pictures are made smaller: text is read well enough, and memory stays bounded."""
PIXELS_MAX: Final = 64_000_000


class Reader:
    """The algorithm behind `/v1/ocr`."""

    path = "/ocr"

    def __init__(self, threads: int) -> None:
        from rapidocr import RapidOCR

        logging.getLogger("RapidOCR").setLevel(logging.WARNING)  # it would write what it reads
        session = {f"EngineConfig.onnxruntime.{name}_op_num_threads": threads for name in ("intra", "inter")}
        self._read = RapidOCR(params={"Global.log_level": "warning", **session})

    def run(self, asked: dict[str, Any]) -> dict[str, Any]:
        """`image` (base64) and `fields` (a kind of paper, or empty) → lines, text, fields."""
        picture, scale = opened(str(asked["image"]))
        kind = str(asked.get("fields") or "")
        if kind and kind not in PAPERS:
            raise Invalid("bad_paper", f"{kind!r} is none of {', '.join(PAPERS)}.", message_zh="未知的证照类型。")
        found = self._read(picture)
        lines = []
        if found.txts is not None:
            for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
                points = [(float(x) / scale, float(y) / scale) for x, y in box]
                left, right = min(x for x, _ in points), max(x for x, _ in points)
                top, bottom = min(y for _, y in points), max(y for _, y in points)
                lines.append(Line(str(text), left, top, right, bottom, float(score)))
        answer: dict[str, Any] = {
            "object": "ocr",
            "text": "\n".join(line.text for line in lines),
            "lines": [
                {"text": one.text, "score": round(one.score, 4),
                 "box": [round(side, 1) for side in (one.left, one.top, one.right, one.bottom)]}
                for one in lines
            ],
        }  # fmt: skip
        return answer | ({"fields": PAPERS[kind](lines)} if kind else {})


def opened(word: str) -> tuple[Any, float]:
    """The picture as blue, green, red, and by how much it was made smaller; bounded before it is decoded."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        data = base64.b64decode(word, validate=True)
        image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        if image.width * image.height > PIXELS_MAX:
            raise Invalid("picture_too_large", "The picture has too many pixels.", message_zh="图片像素过多。")
        scale = min(1.0, SIDE_MAX / max(image.width, image.height))
        image.draft("RGB", (round(image.width * scale), round(image.height * scale)))
        plain = image.convert("RGB")
    except (binascii.Error, UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise Invalid("bad_picture", "The picture can't be read.", message_zh="图片无法读取。") from error
    scale = min(1.0, SIDE_MAX / max(plain.width, plain.height))
    if scale < 1:
        plain = plain.resize((max(1, round(plain.width * scale)), max(1, round(plain.height * scale))))
    return np.asarray(plain)[:, :, ::-1].copy(), scale
