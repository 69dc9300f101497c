"""Answers as files to keep, which carry the visible mark and the label of what a model made."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from shanhe.kernel import labelled_files
from shanhe.kernel.documents import Format, render
from shanhe.kernel.errors import Invalid
from shanhe.kernel.labelling import check_text

FORMS: Final = tuple(labelled_files.MEDIA)


async def labelled_file(
    public_key: str, title: str, text: str, said: Mapping[str, Any], form: str, on: date, *, language: str
) -> tuple[bytes, str, dict[str, str]]:  # fmt: skip
    """(bytes, media type, headers) of a download.

    Invalid for a text whose label is not this city's or not of this text, or that shows no mark.
    """
    found = said.get("AIGC", said)
    label = found if isinstance(found, dict) else {}
    verdict = check_text(text, label, public_key)
    if form not in FORMS or not (verdict.genuine and verdict.marked):
        raise Invalid(
            "label_not_genuine", f"No file was made: {verdict.en}", message_zh=f"未生成文件：{verdict.zh}。",
            hint="Send the answer's text and its AIGC label unchanged, as txt, md, docx or pdf.",
            hint_zh="请原样提交回答文本与其 AIGC 标识，格式为 txt、md、docx 或 pdf。",
        )  # fmt: skip
    title = title.strip() or verdict.content_id
    body = await _body(title, text, label, form, on, "zh" if language.startswith("zh") else "en")
    plain = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in title)[:80].strip("-.") or "answer"
    name = urllib.parse.quote(f"{plain}.{form}")
    headers = {
        "content-disposition": f"attachment; filename=\"answer.{form}\"; filename*=UTF-8''{name}",
        "cache-control": "private, no-store", "x-content-type-options": "nosniff",
    }  # fmt: skip
    return body, labelled_files.MEDIA[form], headers


async def _body(title: str, text: str, label: Mapping[str, Any], form: str, on: date, language: str) -> bytes:
    if form == "pdf":
        return await render(labelled_files.document(title, text, label, on, language), Format.PDF)
    if form == "docx":
        return await asyncio.to_thread(labelled_files.word, title, text, label)
    return (labelled_files.markdown if form == "md" else labelled_files.plain_text)(text, label)
