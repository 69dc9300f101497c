"""Generated texts as files that carry their label: text, Markdown, Word, PDF. Pure.

The label is the `AIGC` object that came with the text, and is of the text as it is read, so that it can be checked in
the file as well: in Markdown's front matter, as Word's custom property `AIGC`, among a PDF's keywords. Plain text has
no metadata; there the label is the last line.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from datetime import date
from typing import Any, Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from shanhe.kernel import archives
from shanhe.kernel.documents.model import Document

MEDIA: Final[Mapping[str, str]] = {
    "txt": "text/plain; charset=utf-8", "md": "text/markdown; charset=utf-8", "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}  # fmt: skip
FILE_MAX_BYTES: Final = 4 * 1024 * 1024
PART_MAX_BYTES: Final = 8 * 1024 * 1024
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f]")
_W: Final = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_VT: Final = "http://schemas.openxmlformats.org/officeDocument/2006/docPropsVTypes"
_CUSTOM: Final = "http://schemas.openxmlformats.org/officeDocument/2006/custom-properties"
_RELS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def said(label: Mapping[str, object]) -> str:
    """A label as the measure writes it, on one line."""
    return json.dumps({"AIGC": dict(label)}, ensure_ascii=False)


def plain_text(text: str, label: Mapping[str, object]) -> bytes:
    return f"{text.strip()}\n\n{said(label)}\n".encode()


def markdown(text: str, label: Mapping[str, object]) -> bytes:
    return f"---\nAIGC: {json.dumps(dict(label), ensure_ascii=False)}\n---\n\n{text.strip()}\n".encode()


def document(title: str, text: str, label: Mapping[str, object], on: date, language: str = "zh") -> Document:
    """What becomes a PDF."""
    lines = tuple(_CONTROL.sub("", line) for line in text.strip().split("\n"))
    return Document(title, on, language=language, paragraphs=lines, keywords=("AIGC", said(label)))


def word(title: str, text: str, label: Mapping[str, object]) -> bytes:
    """A Word file: each line a paragraph."""
    lines = [escape(_CONTROL.sub("", line)) for line in text.strip().split("\n")]
    body = "".join(f'<w:p><w:r><w:t xml:space="preserve">{line}</w:t></w:r></w:p>' for line in lines)
    kind = "application/vnd.openxmlformats-"
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Default Extension="rels" ContentType="{kind}package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{kind}officedocument.wordprocessingml.document'
        '.main+xml"/>'
        f'<Override PartName="/docProps/core.xml" ContentType="{kind}package.core-properties+xml"/>'
        f'<Override PartName="/docProps/custom.xml" ContentType="{kind}officedocument.custom-properties+xml"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{_RELS}/officeDocument" Target="word/document.xml"/>'
        '<Relationship Id="r2" Type="http://schemas.openxmlformats.org/package/2006/relationships/metadata/'
        'core-properties" Target="docProps/core.xml"/>'
        f'<Relationship Id="r3" Type="{_RELS}/custom-properties" Target="docProps/custom.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>',
        "docProps/core.xml": '<cp:coreProperties xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cp="http://schemas.'
        f'openxmlformats.org/package/2006/metadata/core-properties"><dc:title>{escape(_CONTROL.sub("", title))}'
        "</dc:title></cp:coreProperties>",
        "docProps/custom.xml": f'<Properties xmlns="{_CUSTOM}" xmlns:vt="{_VT}">'
        '<property fmtid="{D5CDD505-2E9C-101B-9397-08002B2CF9AE}" pid="2" name="AIGC">'
        f"<vt:lpwstr>{escape(json.dumps(dict(label), ensure_ascii=False))}</vt:lpwstr></property></Properties>",
    }  # fmt: skip
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, xml in parts.items():
            packed.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), _XML + xml)
    return made.getvalue()


def read(data: bytes) -> tuple[str, dict[str, Any]]:
    """(text, label) of a file as it is made here; an empty label where there is none, ValueError for no such file."""
    if data.startswith(b"PK"):
        return _read_word(data)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ValueError("it is neither text nor Word") from error
    front = re.match(r"---\nAIGC: (\{[^\n]*\})\n---\n", text)
    if front:
        return text[front.end() :], _label(front[1])
    rest, _, last = text.rstrip().rpartition("\n")
    found = _label(last)
    return (rest, found) if found else (text, {})


def _read_word(data: bytes) -> tuple[str, dict[str, Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            body, custom = (_part(packed, name) for name in ("word/document.xml", "docProps/custom.xml"))
    except (*archives.BROKEN, KeyError, ElementTree.ParseError) as error:
        raise ValueError("it is no Word file with a label") from error
    lines = ["".join(node.text or "" for node in one.iter(f"{{{_W}}}t")) for one in body.iter(f"{{{_W}}}p")]
    for one in custom:
        if one.get("name") == "AIGC":
            return "\n".join(lines), _label("".join(one.itertext()))
    return "\n".join(lines), {}


def _part(packed: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if packed.getinfo(name).file_size > PART_MAX_BYTES:
        raise ValueError(f"{name} is larger than {PART_MAX_BYTES} bytes")
    xml = packed.read(name)
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:  # nothing that would grow
        raise ValueError(f"{name} declares entities")
    return ElementTree.fromstring(xml)


def _label(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    found = found.get("AIGC", found) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) and "Label" in found else {}
