"""What the hub can write, out of `kinds.yaml`; and forms as they are filled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from shanhe.content.errors import BadForm, UnknownKind
from shanhe.content.model import Field, Form, Kind, Kinds
from shanhe.kernel import yaml


@cache
def everything() -> Kinds:
    """The file, checked once: a kind names only fields that exist, and each list has every length."""
    text = (resources.files("shanhe.content") / "kinds.yaml").read_text(encoding="utf-8")
    found = msgspec.convert(yaml.read(text), Kinds)
    for name, kind in found.kinds.items():
        unknown = [field for field in kind.fields if field not in found.fields]
        short = [
            part for part, one in kind.parts.items() if one.items is not None and set(one.items) != {*found.lengths}
        ]
        unknown += [field for field in kind.example.fields if field not in kind.fields]
        unknown += sorted({*kind.example.parts} ^ {*kind.parts})
        if unknown or short or "title" not in kind.parts or not kind.angles:
            raise ValueError(f"content kind {name}: {unknown or short or 'it needs a title and angles'}")
    return found


def kind_of(name: str) -> Kind:
    """UnknownKind when the hub doesn't write it."""
    found = everything().kinds.get(name)
    if found is None:
        raise UnknownKind(name)
    return found


def required(kind: Kind, name: str, field: Field) -> bool:
    return field.required and name not in kind.optional


def form_of(name: str, content: Mapping[str, Any]) -> Form:
    """A form as it was sent: known fields, filled as they ask; BadForm."""
    kind, known = kind_of(name), everything()
    try:
        form = msgspec.convert(content, type=Form)
    except msgspec.ValidationError as error:
        raise BadForm(f"The form is wrong: {str(error)[:200]}", f"表单格式不正确：{str(error)[:200]}") from error
    if form.tone not in known.tones:
        raise BadForm(f"Tones are {', '.join(known.tones)}", f"语气可选：{'、'.join(known.tones)}")
    if form.length not in known.lengths:
        raise BadForm(f"Lengths are {', '.join(known.lengths)}", f"篇幅可选：{'、'.join(known.lengths)}")
    stray = sorted(set(form.fields) - set(kind.fields))
    if stray:
        raise BadForm(f"{kind.en} asks for no {stray[0][:40]}", f"“{kind.zh}”没有该项：{stray[0][:40]}")
    given = cleaned(form.fields)
    for field in kind.fields:
        if required(kind, field, known.fields[field]) and not given.get(field):
            raise BadForm(f"Fill in: {known.fields[field].en}", f"请填写“{known.fields[field].zh}”")
    return msgspec.structs.replace(form, fields=given)


def cleaned(fields: Mapping[str, str]) -> dict[str, str]:
    """Values of known fields without what no form can hold; BadForm for one that is too long."""
    known, given = everything().fields, {}
    for name, value in fields.items():
        field = known.get(name)
        if field is None:
            raise BadForm(f"There is no field {name[:40]!r}", f"没有该项：{name[:40]}")
        text = "".join(sign for sign in value.replace("\r\n", "\n") if sign == "\n" or ord(sign) >= 32).strip()
        if len(text) > field.max_chars:
            raise BadForm(f"{field.en}: at most {field.max_chars} signs", f"“{field.zh}”不超过 {field.max_chars} 字")
        if text:
            given[name] = text
    return given
