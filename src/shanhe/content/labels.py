"""Drafts as files: with the visible mark, and the label's metadata where the format has room for it. Pure."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from shanhe.kernel.labelling import Labels

FORMATS: Final = {
    "txt": "text/plain; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "json": "application/json",
}
MEMBER_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""Files with the same content are the same bytes."""
TYPES: Final = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/word/document.xml"
 ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>
<Override PartName="/docProps/custom.xml"
 ContentType="application/vnd.openxmlformats-officedocument.custom-properties+xml"/></Types>"""
RELATIONS: Final = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
 Target="word/document.xml"/>
<Relationship Id="r2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/custom-properties"
 Target="docProps/custom.xml"/></Relationships>"""
DOCUMENT: Final = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{body}</w:body></w:document>"""
CUSTOM: Final = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006/custom-properties"
 xmlns:vt="http://schemas.openxmlformats.org/officeDocument/2006/docPropsVTypes">
<property fmtid="{{D5CDD505-2E9C-101B-9397-08002B2CF9AE}}" pid="2" name="AIGC"><vt:lpwstr>{label}</vt:lpwstr>
</property></Properties>"""


def exported(labels: Labels, form: str, content_id: str, title: str, text: str, by: str) -> bytes:
    """A draft in one of `FORMATS`; `by` is the model that wrote it. The label's hash is of title, text and mark."""
    head = f"# {title}" if form == "md" and title else title
    whole = labels.marked(f"{head}\n\n{text}" if head else text, by, content_id)
    label = labels.of_text(content_id, whole)
    if form == "txt":
        return whole.encode()
    if form == "md":
        return f"---\nAIGC: {json.dumps(label, ensure_ascii=False)}\n---\n\n{whole}\n".encode()
    if form == "docx":
        return _docx(label, whole, titled=bool(title))
    body: dict[str, Any] = {"id": content_id, "title": title, "text": whole, "AIGC": label}
    return json.dumps(body, ensure_ascii=False, indent=1).encode()


def _docx(label: Mapping[str, str], whole: str, *, titled: bool) -> bytes:
    paragraphs = [_paragraph(line, bold=titled and at == 0) for at, line in enumerate(whole.split("\n"))]
    members = {
        "[Content_Types].xml": TYPES,
        "_rels/.rels": RELATIONS,
        "word/document.xml": DOCUMENT.format(body="".join(paragraphs)),
        "docProps/custom.xml": CUSTOM.format(label=escape(json.dumps(label, ensure_ascii=False))),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in members.items():
            packed.writestr(zipfile.ZipInfo(name, MEMBER_TIME), text)
    return file.getvalue()


def _paragraph(line: str, *, bold: bool) -> str:
    style = '<w:rPr><w:b/><w:sz w:val="32"/></w:rPr>' if bold else ""
    return f'<w:p><w:r>{style}<w:t xml:space="preserve">{escape(line)}</w:t></w:r></w:p>'
