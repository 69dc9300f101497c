"""What a model is asked for a draft, and what is understood of its answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shanhe.content.errors import Unusable
from shanhe.content.kinds import everything, kind_of
from shanhe.content.model import TEXT_MAX_CHARS, TITLE_MAX_CHARS, Form, Kind, Part

TOKENS_PER_CHAR: Final = 2
"""At most, of Chinese; what JSON adds is small beside it."""
TOKENS_BASE: Final = 160
TEMPERATURE: Final = 0.6
LEAST_CHARS: Final = 12
"""Less is no draft of anything."""
RULES: Final = (
    "只使用资料中的事实，不编造数字、奖项、认证、客户与承诺；不用“最”“第一”“国家级”等绝对化用语，不宣称医疗功效；"
    "不写网址、电话以外的个人信息；按给定的 JSON 结构输出，每项只写正文，不写项目名，不重复表单，不照抄示例中的事实。"
)
WRITE_IN: Final = {"zh": "用简体中文写。", "en": "Write every text in English."}


def asked(name: str, form: Form, n: int, model: str) -> dict[str, Any]:
    """The fields of one call; `n` counts drafts of a request from 1."""
    kind, known = kind_of(name), everything()
    angle = kind.angles[(n - 1) % len(kind.angles)]
    system = f"你是企业文案助手。{kind.instructions}{RULES}{WRITE_IN[form.language]}"
    asks = [f"语气：{known.tones[form.tone].zh}", f"篇幅：{known.lengths[form.length].zh}", f"写法：{angle}"]
    shown = [] if form.language != "zh" else [
        {"role": "user", "content": "\n".join(_told(kind, kind.example.fields))},
        {"role": "assistant", "content": msgspec.json.encode(kind.example.parts).decode()},
    ]  # fmt: skip
    wanted = {"role": "user", "content": "\n".join([*_told(kind, form.fields), *asks])}
    schema = schema_of(kind, form.length)
    return {
        "model": model,
        "messages": [{"role": "system", "content": system}, *shown, wanted],
        "temperature": TEMPERATURE,
        "max_tokens": tokens_max(kind, form.length),
        "response_format": {
            "type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema},
        },
    }  # fmt: skip


def _told(kind: Kind, fields: Mapping[str, str]) -> list[str]:
    """A form as a model is told it: names without their hints."""
    titles = {name: re.sub(r"（.*?）", "", field.zh) for name, field in everything().fields.items()}
    return [f"{titles[name]}：{fields[name]}" for name in kind.fields if name in fields]


def schema_of(kind: Kind, length: str) -> dict[str, Any]:
    """What the engine's grammar lets the model write."""
    properties = {name: _shape(part, length) for name, part in kind.parts.items()}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _shape(part: Part, length: str) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": part.chars}
    if part.items is None:
        return text
    least, most = part.items[length]
    return {"type": "array", "items": text, "minItems": least, "maxItems": most}


def tokens_max(kind: Kind, length: str) -> int:
    """What the longest draft may take."""
    chars = sum(part.chars * (1 if part.items is None else part.items[length][1]) for part in kind.parts.values())
    return TOKENS_BASE + chars * TOKENS_PER_CHAR


def understood(name: str, text: str) -> dict[str, Any]:
    """The parts that a model filled in; Unusable. An engine without a grammar may just write: that is one paragraph."""
    kind, text = kind_of(name), text.strip()
    try:
        said = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        if len(text) < LEAST_CHARS or text[:1] in "{[`":
            raise Unusable() from None
        return {"plain": _clean(text)}
    if not isinstance(said, dict):
        raise Unusable()
    found: dict[str, Any] = {}
    for part, shape in kind.parts.items():
        value = said.get(part)
        if shape.items is not None:
            texts = [_clean(one, shape) for one in value if isinstance(one, str)] if isinstance(value, list) else []
            found[part] = list(dict.fromkeys(one for one in texts if one))
        else:
            found[part] = _clean(value, shape) if isinstance(value, str) else ""
    if sum(len("".join(value)) for part, value in found.items() if part != "title") < LEAST_CHARS:
        raise Unusable()
    return found


def _clean(text: str, shape: Part | None = None) -> str:
    """A text without control signs, and without the part's name or a number before it."""
    plain = "".join(sign for sign in text if sign == "\n" or ord(sign) >= 32).strip()[:TEXT_MAX_CHARS]
    if shape is not None:
        plain = re.sub(rf"^(?:\d{{1,2}}[.、](?!\d)\s*)?(?:{re.escape(shape.zh)}[：:])?\s*", "", plain)
    return plain


def rendered(name: str, form: Form, parts: Mapping[str, Any]) -> tuple[str, str]:
    """(title, text) of a draft as it is read, copied and edited."""
    kind = kind_of(name)
    title = str(parts.get("title") or "") or form.fields.get(kind.fields[0], "").partition("\n")[0]
    if "plain" in parts:
        return title[:TITLE_MAX_CHARS], parts["plain"]
    blocks = []
    for part, shape in kind.parts.items():
        value = parts.get(part)
        if part == "title" or not value:
            continue
        block = _block(shape, value)
        blocks.append(f"【{shape.zh if form.language == 'zh' else shape.en}】\n{block}" if shape.label else block)
    if form.fields.get("signer"):
        blocks.append(form.fields["signer"])
    return title[:TITLE_MAX_CHARS], "\n\n".join(blocks)[:TEXT_MAX_CHARS]


def _block(shape: Part, value: Any) -> str:
    if isinstance(value, str):
        return value
    if shape.form == "tags":
        return " ".join(f"#{one.strip('# ')}" for one in value)
    return "\n".join(f"{at}. {one}" for at, one in enumerate(value, 1)) if shape.numbered else "\n\n".join(value)
