"""Forms of makers: what a listing's kind has fields for, out of its newest version and back into content and terms."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NotRequired, TypedDict
from uuid import UUID

import msgspec

from shanhe.console.definitions import object_in
from shanhe.console.live.shop_views import BPS_PERCENT, PPM_PERCENT, pretty
from shanhe.kernel.errors import Invalid
from shanhe.kernel.money import parse_credits, said_credits
from shanhe.store.api import Kind, Terms, Version

NUMBERS: Final = {
    "step_tokens": ("每步最多词元", "tokens a step"), "temperature": ("温度", "temperature"),
    "budget": ("单次运行预算", "budget of a run"), "steps_max": ("最多步数", "steps at most"),
    "answers_max": ("作答成员数", "answers"), "adapter": ("适配器", "adapter"), "share": ("份额", "share"),
    "markup": ("加价率", "markup"), "fee": ("每次费用", "fee a call"),
}  # fmt: skip
"""What the numbers of the form are called."""
MARKUP_DEFAULT: Final = "20"
STEP_TOKENS_DEFAULT: Final = "512"
INPUTS_MAX: Final = 10
SPARE_INPUTS: Final = 2
"""Empty rows after the inputs that an agent has."""
OPTIONS: Final = re.compile(r"[|｜、，,;；\n]")
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    Kind.AGENT: frozenset(
        {
            "model",
            "instructions",
            "tools",
            "knowledge",
            "calling",
            "budget_micro",
            "steps_max",
            "step_tokens",
            "temperature",
            "opening",
            "questions",
            "inputs",
        }
    ),
    Kind.CLONE: frozenset({"model", "instructions", "knowledge", "budget_micro", "clone"}),
    Kind.ALLIANCE: frozenset({"model", "instructions", "budget_micro", "alliance"}),
    Kind.MCP: frozenset({"url", "tools", "secrets", "passes", "hosted"}),
}
"""What a kind's form has fields for; the other kinds are JSON as a whole."""


class _Input(TypedDict):
    name: str
    label: str
    kind: NotRequired[str]
    options: NotRequired[list[str]]
    required: NotRequired[bool]


class _Clone(TypedDict):
    topics: NotRequired[list[str]]
    mandate: NotRequired[str]
    adapter: NotRequired[int]
    voice: NotRequired[str]
    voice_name: NotRequired[str]


class _Alliance(TypedDict):
    members: NotRequired[list[str]]
    answers_max: NotRequired[int]


class _Hosted(TypedDict):
    code: str
    described: Any


FORMS: Final[Mapping[str, Any]] = {
    "tools": list[str], "knowledge": list[str], "questions": list[str], "passes": list[str], "secrets": dict[str, str],
    "budget_micro": int, "temperature": float | None, "inputs": list[_Input], "clone": _Clone | None,
    "alliance": _Alliance | None, "hosted": _Hosted | None,
}  # fmt: skip
"""The form that what a field shows must have."""


def form_of(kind: str, version: Version | None) -> dict[str, str]:
    """The fields of a listing's form, filled with its newest version."""
    if version is None:
        return {"markup": MARKUP_DEFAULT, "fee": "0", "budget": "1", "steps_max": "6", "json": "{}", **_inputs_form([])}
    content, terms = _shown(version.content), version.terms
    makers = "\n".join(f"{party} {share / PPM_PERCENT:g}" for party, share in terms.makers)
    secrets = "\n".join(f"{header}={name}" for header, name in content.get("secrets", {}).items())
    hosted = content.get("hosted") or {}
    return {
        "markup": f"{terms.markup_bps / BPS_PERCENT:g}", "fee": said_credits(terms.fee_micro).replace(",", ""),
        "makers": makers, "rights": "\n".join(terms.rights),
        "notes": version.notes, "json": pretty(version.content), "model": str(content.get("model", "")),
        "instructions": str(content.get("instructions", "")), "tools": "\n".join(content.get("tools", ())),
        "budget": said_credits(int(content.get("budget_micro", 0))).replace(",", ""),
        "step_tokens": str(content.get("step_tokens", STEP_TOKENS_DEFAULT)),
        "temperature": "" if content.get("temperature") is None else f"{content['temperature']:g}",
        "opening": str(content.get("opening", "")), "questions": "\n".join(content.get("questions", ())),
        "steps_max": str(content.get("steps_max", "")), "knowledge": "\n".join(content.get("knowledge", ())),
        "calling": str(content.get("calling", "auto")), "url": str(content.get("url", "")), "secrets": secrets,
        "passes": ", ".join(content.get("passes", ())), "code": hosted.get("code", ""),
        "described": pretty(hosted["described"]) if hosted else "", **_likeness_form(content),
        **_inputs_form(content.get("inputs", ())),
    }  # fmt: skip


def _shown(content: Mapping[str, Any]) -> dict[str, Any]:
    """What fields can show: a draft that a program wrote may say anything, and its maker must be able to mend it."""
    found = {}
    for name, value in content.items():
        with contextlib.suppress(msgspec.ValidationError):
            found[name] = msgspec.convert(value, FORMS.get(name, Any))
    return found


def _inputs_form(inputs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The rows of what an agent asks for first, with some to spare."""
    found = {"inputs_shown": str(min(len(inputs) + SPARE_INPUTS, INPUTS_MAX))}
    for n, one in enumerate(inputs):
        row = {
            "name": one["name"], "label": one["label"], "kind": one.get("kind", "text"),
            "options": "、".join(one.get("options", ())), "required": "1" if one.get("required", True) else "",
        }  # fmt: skip
        found |= {f"input_{n}_{name}": text for name, text in row.items()}
    return found


def _inputs_of(fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """What an agent asks for first, out of a form: a row without a name is none."""
    found = []
    for n in range(INPUTS_MAX):
        row = {name: fields.get(f"input_{n}_{name}", "").strip() for name in ("name", "label", "kind", "options")}
        if not row["name"]:
            continue
        options = [word.strip() for word in OPTIONS.split(row["options"]) if word.strip()]
        found.append({
            "name": row["name"], "label": row["label"] or row["name"], "kind": row["kind"] or "text",
            "required": bool(fields.get(f"input_{n}_required")),
            **({"options": options} if row["kind"] == "choice" else {}),
        })  # fmt: skip
    return found


def _likeness_form(content: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a clone or an alliance."""
    clone, alliance = content.get("clone") or {}, content.get("alliance") or {}
    return {
        "topics": "\n".join(clone.get("topics", ())),
        "mandate": str(clone.get("mandate", "")), "adapter": str(clone.get("adapter", 0)),
        "voice": str(clone.get("voice", "")), "voice_name": str(clone.get("voice_name", "")),
        "members": "\n".join(alliance.get("members", ())), "answers_max": str(alliance.get("answers_max", 3)),
    }  # fmt: skip


def content_of(kind: str, fields: Mapping[str, str], kept: Mapping[str, Any]) -> dict[str, Any]:
    """What is offered, out of a form: agents and servers have fields of their own beside what is `kept` of the version
    before, the rest is JSON."""
    lines = _lines(fields.get("tools", ""))
    if kind in (Kind.CLONE, Kind.ALLIANCE):
        return {**kept, **_likeness_of(kind, fields)}
    if kind == Kind.AGENT:
        return {
            **kept, "model": fields.get("model", "").strip(), "instructions": fields.get("instructions", "").strip(),
            "tools": lines, "knowledge": _lines(fields.get("knowledge", "")),
            "calling": fields.get("calling") or "auto", "budget_micro": _credits(fields.get("budget", ""), "budget"),
            "steps_max": _whole(fields.get("steps_max", ""), "steps_max"),
            "step_tokens": _whole(fields.get("step_tokens") or STEP_TOKENS_DEFAULT, "step_tokens"),
            "temperature": _decimal(fields.get("temperature", ""), "temperature"),
            "opening": fields.get("opening", "").replace("\r\n", "\n").strip(),
            "questions": _lines(fields.get("questions", "")), "inputs": _inputs_of(fields),
        }  # fmt: skip
    if kind == Kind.MCP:
        pairs = [line.partition("=") for line in fields.get("secrets", "").splitlines() if line.strip()]
        secrets = {header.strip(): name.strip() for header, _, name in pairs}
        if fields.get("code", "").strip():
            described = object_in(fields.get("described", "") or "{}")
            hosted = {"code": fields["code"].replace("\r\n", "\n"), "described": described}
            return {**kept, "tools": lines, "hosted": hosted}
        passes = fields.get("passes", "").replace("，", ",").split(",")
        return {**kept, "url": fields.get("url", "").strip(), "tools": lines, "secrets": secrets,
                "passes": [one.strip() for one in passes if one.strip()]}  # fmt: skip
    return object_in(fields.get("json", "") or "{}")


def _lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _likeness_of(kind: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """A clone or an alliance, out of a form."""
    found: dict[str, Any] = {
        "model": fields.get("model", "").strip(), "instructions": fields.get("instructions", "").strip(),
        "budget_micro": _credits(fields.get("budget", ""), "budget"),
    }  # fmt: skip
    if kind == Kind.ALLIANCE:
        members = _lines(fields.get("members", ""))
        most = _whole(fields.get("answers_max", "3"), "answers_max")
        return {**found, "alliance": {"members": members, "answers_max": most}}
    clone = {
        "mandate": fields.get("mandate", "").strip(), "adapter": _whole(fields.get("adapter", "0") or "0", "adapter"),
        "topics": _lines(fields.get("topics", "")), "voice": fields.get("voice", "").strip(),
        "voice_name": fields.get("voice_name", "").strip(),
    }  # fmt: skip
    return {**found, "knowledge": _lines(fields.get("knowledge", "")), "clone": clone}


def terms_of(fields: Mapping[str, str]) -> Terms:
    """Markup, fee and makers, out of a form."""
    makers = []
    for line in fields.get("makers", "").splitlines():
        if line.strip():
            party, _, percent = line.strip().partition(" ")
            try:
                makers.append((UUID(party), _scaled(percent, PPM_PERCENT, "share")))
            except ValueError as error:
                raise Invalid("bad_maker", f"{party[:40]!r} is no organisation's id.",
                              message_zh=f"“{party[:40]}”不是机构编号。") from error  # fmt: skip
    markup_bps = _scaled(fields.get("markup", ""), BPS_PERCENT, "markup")
    rights = tuple(dict.fromkeys(fields.get("rights", "").split()))
    return Terms(markup_bps, _credits(fields.get("fee", "") or "0", "fee"), tuple(makers), rights=rights)


def _scaled(text: str, scale: int, field: str) -> int:
    """A percentage in whole steps of 1/scale of a percent."""
    try:
        value = Decimal(text.strip().removesuffix("%") or "0") * scale
    except InvalidOperation as error:
        raise _bad_number(text, field) from error
    if not value.is_finite() or value != value.to_integral_value() or not 0 <= value < 2**31:
        raise _bad_number(text, field)
    return int(value)


def _credits(text: str, field: str) -> int:
    try:
        return parse_credits(text)
    except ValueError as error:
        raise _bad_number(text, field) from error


def _whole(text: str, field: str) -> int:
    if not text.strip().isdigit() or len(text) > 6:
        raise _bad_number(text, field)
    return int(text)


def _decimal(text: str, field: str) -> float | None:
    """A number out of a form; None where none is given."""
    if not text.strip():
        return None
    try:
        return float(Decimal(text.strip()))
    except (InvalidOperation, OverflowError) as error:
        raise _bad_number(text, field) from error


def _bad_number(text: str, field: str) -> Invalid:
    return Invalid("bad_number", f"{NUMBERS[field][1]}: {text[:40]!r} is not a number that fits here.",
                   message_zh=f"{NUMBERS[field][0]}：“{text[:40]}”不是有效的数值。")  # fmt: skip
