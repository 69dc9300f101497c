"""A request that does not have the expected form, told field by field in both languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shanhe.kernel.errors import Field, Invalid

NAME_CHARS: Final = 60
WHOLE: Final = ("须为整数", "must be a whole number")
DATE: Final = ("须为形如 2026-01-31 的日期", "must be a date like 2026-01-31")
UUID: Final = ("须为编号（UUID）", "must be an id (a UUID)")
TEXT: Final = ("须为文本", "must be a text")
FLAG: Final = ("须为 true 或 false", "must be true or false")
NUMBER: Final = ("须为数字", "must be a number")
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("缺失", "is missing"),
    "extra_forbidden": ("不是已知字段", "is not a known field"),
    "json_invalid": ("不是合法的 JSON", "is not JSON"),
    "int_type": WHOLE, "int_parsing": WHOLE, "int_from_float": WHOLE, "int_parsing_size": WHOLE,
    "float_type": NUMBER, "float_parsing": NUMBER, "finite_number": NUMBER,
    "bool_type": FLAG, "bool_parsing": FLAG,
    "string_type": TEXT, "string_unicode": TEXT,
    "string_pattern_mismatch": ("格式不符：{pattern}", "must match {pattern}"),
    "string_too_short": ("至少 {min_length} 个字符", "must have at least {min_length} characters"),
    "string_too_long": ("最多 {max_length} 个字符", "must have at most {max_length} characters"),
    "too_short": ("至少 {min_length} 项", "must have at least {min_length} items"),
    "too_long": ("最多 {max_length} 项", "must have at most {max_length} items"),
    "greater_than": ("须大于 {gt}", "must be greater than {gt}"),
    "greater_than_equal": ("不得小于 {ge}", "must be at least {ge}"),
    "less_than": ("须小于 {lt}", "must be less than {lt}"),
    "less_than_equal": ("不得大于 {le}", "must be at most {le}"),
    "literal_error": ("须为 {expected} 之一", "must be {expected}"),
    "enum": ("须为 {expected} 之一", "must be {expected}"),
    "dict_type": ("须为对象", "must be an object"), "model_attributes_type": ("须为对象", "must be an object"),
    "model_type": ("须为对象", "must be an object"),
    "list_type": ("须为列表", "must be a list"), "tuple_type": ("须为列表", "must be a list"),
    "date_type": DATE, "date_parsing": DATE, "date_from_datetime_parsing": DATE,
    "date_from_datetime_inexact": DATE,
    "datetime_type": ("须为带时区的时间", "must be a time with its zone"),
    "datetime_parsing": ("须为带时区的时间", "must be a time with its zone"),
    "datetime_from_date_parsing": ("须为带时区的时间", "must be a time with its zone"),
    "timezone_aware": ("须带时区", "must say its time zone"),
    "uuid_type": UUID, "uuid_parsing": UUID, "uuid_version": UUID,
}  # fmt: skip
"""What the checker's kinds of mistakes are called; of any other its own English words serve."""
ALLOWED: Final[Mapping[str, str]] = {
    "gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum", "min_length": "minLength",
    "max_length": "maxLength", "pattern": "pattern",
}  # fmt: skip


def misfit(mistakes: Sequence[Mapping[str, Any]]) -> Invalid:
    """An error that names each field, what is wrong and what is allowed; what was sent is never repeated."""
    fields = [_told(one) for one in mistakes]
    zh = "；".join(f"{one['place']}：{one['zh']}" for one in fields)
    en = "; ".join(f"{one['place']}: {one['en']}" for one in fields)
    return Invalid(
        "invalid_request",
        f"The request does not have the expected form. {en}.",
        message_zh=f"请求的格式不正确。{zh}。",
        hint="Check the address and what was filled in.",
        hint_zh="请检查网址与填写的内容。",
        details={"fields": [{key: value for key, value in one.items() if key != "place"} for one in fields]},
    )


def _told(mistake: Mapping[str, Any]) -> dict[str, Any]:
    where, *path = [str(part)[:NAME_CHARS] for part in mistake["loc"]]
    if mistake["type"] == "json_invalid":
        path = []  # the place of a letter, not of a field
    place = ".".join(path) or where
    context = {key: value for key, value in (mistake.get("ctx") or {}).items() if isinstance(value, str | int | float)}
    zh, en = WORDS.get(mistake["type"], (mistake["msg"], mistake["msg"]))
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path) if where == "body" else ""
    allowed = {ALLOWED[key]: value for key, value in context.items() if key in ALLOWED}
    named = Field(pointer=pointer, zh=place, en=place, allowed=allowed)
    try:
        words = zh.format_map(context), en.format_map(context)
    except KeyError:
        words = mistake["msg"], mistake["msg"]
    return named.wrong(*words) | {"field": path[-1] if path else "", "in": where, "place": place}
