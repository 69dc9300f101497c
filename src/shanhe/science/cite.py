"""A deposit as others cite it: CITATION.cff (1.2.0), BibTeX, and JSON in the form of DataCite (kernel 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import msgspec

FORMATS: Final = {"cff": "application/yaml", "bibtex": "application/x-bibtex", "datacite": "application/json"}
FILES: Final = {"cff": "CITATION.cff", "bibtex": "citation.bib", "datacite": "datacite.json"}
TYPES: Final = {"dataset": "Dataset", "intermediate": "Dataset", "negative": "Dataset", "code": "Software",
                "protocol": "Other"}  # fmt: skip
ESCAPES: Final = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": " ", "\r": " ",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cited:
    """What a citation says. `name` is the identifier, `authors` in their order as (name, whether it is a person)."""

    name: str
    kind: str
    title: str
    abstract: str
    licence: str
    version: int
    published_on: date
    authors: Sequence[tuple[str, bool]]
    url: str
    publisher: str
    retracted: bool


def cite(one: Cited, form: str) -> bytes:
    """The citation in one of `FORMATS`."""
    return {"cff": _cff, "bibtex": _bibtex, "datacite": _datacite}[form](one).encode()


def _cff(one: Cited) -> str:
    message = "This output was retracted." if one.retracted else "If you reuse this output, please cite it as below."
    lines = [
        "cff-version: 1.2.0", f"message: {_quoted(message)}",
        f"type: {'software' if one.kind == 'code' else 'dataset'}", f"title: {_quoted(one.title)}", "authors:",
        *(f"  - name: {_quoted(name)}" for name, _ in one.authors), f"version: {_quoted(str(one.version))}",
        f"date-released: {_quoted(one.published_on.isoformat())}", f"license: {_quoted(one.licence)}",
        f"url: {_quoted(one.url)}", "identifiers:", "  - type: other", f"    value: {_quoted(one.name)}",
        f"    description: {_quoted(f'identifier given by {one.publisher}')}",
    ]  # fmt: skip
    if one.abstract:
        lines.insert(4, f"abstract: {_quoted(one.abstract)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A JSON string is a double-quoted YAML scalar."""
    return msgspec.json.encode(text).decode()


def _bibtex(one: Cited) -> str:
    fields = {
        "title": "{" + one.title.translate(ESCAPES) + "}",
        "author": " and ".join("{" + name.translate(ESCAPES) + "}" for name, _ in one.authors),
        "year": str(one.published_on.year), "month": str(one.published_on.month), "version": str(one.version),
        "publisher": one.publisher.translate(ESCAPES), "url": one.url,
        "note": f"{one.name}, {one.licence}" + (", retracted" if one.retracted else ""),
    }  # fmt: skip
    body = ",\n".join(f"  {key} = {{{value}}}" for key, value in fields.items())
    return f"@misc{{{one.name.replace('/', '')},\n{body}\n}}\n"


def _datacite(one: Cited) -> str:
    made: dict[str, Any] = {
        "id": one.name, "schemaVersion": "http://datacite.org/schema/kernel-4",
        "identifiers": [{"identifier": one.name, "identifierType": "local"}],
        "types": {"resourceTypeGeneral": TYPES[one.kind], "resourceType": one.kind},
        "titles": [{"title": one.title}],
        "creators": [{"name": name, "nameType": "Personal" if person else "Organizational"}
                     for name, person in one.authors],
        "publisher": one.publisher, "publicationYear": one.published_on.year, "version": str(one.version),
        "dates": [{"date": one.published_on.isoformat(), "dateType": "Issued"}],
        "rightsList": [{"rightsIdentifier": one.licence, "rightsIdentifierScheme": "SPDX"}],
        "descriptions": [{"description": one.abstract, "descriptionType": "Abstract"}] if one.abstract else [],
        "url": one.url, "state": "retracted" if one.retracted else "findable",
    }  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"
