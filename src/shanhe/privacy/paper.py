"""A person's copy of their data as a document to read: every value on a line of its own, in words, by its source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from shanhe.facts.api import names
from shanhe.identity.api import purposes
from shanhe.kernel import yaml
from shanhe.kernel.clock import CITY_TZ, city_date
from shanhe.kernel.documents import Column, Document, Table
from shanhe.kernel.money import format_credits, format_fen
from shanhe.kernel.words import STATES_ZH
from shanhe.privacy.model import Copy

ROWS_MAX: Final = 2_000
VALUE_CHARS: Final = 300
TITLES: Final = {
    "identity": ("身份与账户", "Identity and account"), "facts": ("登记的事实", "Facts on record"),
    "programmes": ("政策申请", "Applications"), "credits": ("积分业务", "Credits"), "ledger": ("账户余额", "Balances"),
    "payments": ("收款账户", "Payee account"), "exchange": ("交易所", "Exchange"), "notices": ("通知", "Notices"),
    "keys": ("API 密钥", "API keys"), "requests": ("个人信息请求", "Requests"),
    "readings": ("谁读取过", "Who read it"), "nomads": ("游民身份", "Nomad identity"),
    "governance": ("对提案的意见", "Said on proposals"), "store": ("商店作品与评价", "Offers and ratings"),
    "agents": ("智能体运行", "Runs of agents"), "workshop": ("文件、数据集与模型", "Files, data sets, models"),
    "workflows": ("工作流", "Workflows"),
    "content": ("内容中台文稿", "Drafts of the content hub"),
    "thumbs": ("对智能体回答的评价", "Thumbs given to agents' answers"),
    "evaluations": ("评测集", "Evaluation sets"),
    "estates": ("遗产移交", "Handovers of an estate"), "organisation": ("个人账户", "The person's own account"),
    "board": ("需求与方案", "Needs and solutions"),
    "clones": ("数字分身", "Digital clones"),
    "filings": ("内容投诉与处置", "Complaints and moderation"),
    "break_glass": ("紧急授权", "Break-glass"),
    "works": ("知识产权与科研成果", "Rights and research outputs"),
}  # fmt: skip
UNIT: Final = re.compile(r"_(fen|micro|bps)$")
UNITS: Final[Mapping[str, Callable[[int, bool], str]]] = {
    "_fen": lambda value, zh: f"{format_fen(value)} 元" if zh else f"CNY {format_fen(value)}",
    "_micro": lambda value, zh: f"{format_credits(value)} {'积分' if zh else 'credits'}",
    "_bps": lambda value, _: f"{value / 100:g} %",
}
CHOSEN: Final = ("basis", "ground", "purpose", "purposes", "asked", "role")
CHOICES_ZH: Final = {
    "consent": "同意", "contract": "订立、履行合同", "legal_duty": "法定职责或义务", "public": "已公开的信息",
    "consultation": "咨询", "teaching": "教学", "service": "客服", "promotion": "宣传", "alliance": "参加联盟",
    "voice": "语音", "training": "训练", "owner": "负责人", "member": "成员",
}  # fmt: skip
Word = Callable[[str, str, str], str]
"""(key, language, what is said where there is no word) → a word of the console's."""
INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def copy_json(copy: Copy) -> bytes:
    """The copy for machines, complete."""
    plain = msgspec.to_builtins(copy.data, str_keys=True)
    return msgspec.json.format(msgspec.json.encode(plain, order="sorted"), indent=1)


@cache
def _labels() -> dict[str, str]:
    file = resources.files("shanhe.privacy") / "labels.yaml"
    return {str(name): str(label) for name, label in yaml.read(file.read_text(encoding="utf-8")).items()}


def copy_paper(copy: Copy, *, city_name: str, word: Word, language: str = "zh") -> Document:
    """The readable form of the copy, in words; the JSON beside it says the same under its own names, complete."""
    zh = language.startswith("zh")
    side = 0 if zh else 1
    columns = (Column(("项目", "Field")[side], width=2), Column(("内容", "Value")[side], width=3))
    tables, left = [], ROWS_MAX
    for name, content in copy.data.items():
        plain = msgspec.to_builtins(content)
        if name == "identity":
            _say_acts(plain, word, language)
        rows = tuple(_lines(plain, (), zh))[:left]
        left -= len(rows)
        tables.append(Table(TITLES.get(name, (name, name))[side], columns, rows))
    note = ("本文件与同时提供的 JSON 文件内容一致；规则的逐步计算、两种语言的文字以及过多的行，以 JSON 为准。",
            "The JSON file beside it says the same; it alone has the steps of rules, texts in both languages, and rows "
            "beyond this one's.")[side]  # fmt: skip
    return Document(
        title=("我的数据", "My data")[side], subtitle=city_name, issued_on=city_date(copy.made_at),
        language="zh" if zh else "en", tables=tuple(tables), notes=(note,),
        footer=f"{city_name} · {copy.person_id}",
    )  # fmt: skip


def _say_acts(identity: dict[str, Any], word: Word, language: str) -> None:
    """Call what somebody did what the record of acts calls it."""
    for act in identity.get("actions", ()):
        key = f"audit_action.{act['action'].replace('.', '_')}"
        act["action"] = word(key, language, act["action"])


def _lines(value: Any, path: tuple[str, ...], zh: bool) -> Iterator[tuple[str, str]]:
    """Leaves of a tree as (path in words, text); a list of words is one line."""
    if isinstance(value, Mapping) and value.keys() == {"zh", "en"}:
        yield _called(path, zh), str(value["zh" if zh else "en"])[:VALUE_CHARS]
    elif isinstance(value, Mapping) and "trace_version" in value:
        yield _called(path, zh), _decided(value, zh)[:VALUE_CHARS]
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _lines(inner, (*path, str(key)), zh)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if value and all(isinstance(one, str) for one in value):
            words = [_text(path[-1] if path else "", one, zh)[:VALUE_CHARS] for one in value]
            yield _called(path, zh), ("、" if zh else ", ").join(words)
            return
        for number, inner in enumerate(value, 1):
            yield from _lines(inner, (*path, str(number)), zh)
    elif value not in (None, ""):
        yield _called(path, zh), _text(path[-1] if path else "", value, zh)[:VALUE_CHARS]


def _decided(trace: Mapping[str, Any], zh: bool) -> str:
    """What a rule decided on a day, without the steps of its arithmetic."""
    side, (colon, stop) = ("zh", "：；") if zh else ("en", (": ", "; "))
    found = [
        f"{one['title'][side]}{colon}{one['said'][side] if one.get('said') else one['display']}"
        for one in trace["outputs"]
    ]
    return f"{trace['title'][side]} {trace['on']} {stop.join(found)}"


def _called(path: Sequence[str], zh: bool) -> str:
    return " · ".join(_label(name, zh) for name in path)


def _label(name: str, zh: bool) -> str:
    bare = UNIT.sub("", name)
    kind = names().get(name)
    if kind is not None and bare not in _labels():
        return kind.zh if zh else kind.en
    return _labels().get(bare, name) if zh else bare.replace("_", " ")


def _text(name: str, value: Any, zh: bool) -> str:
    """A value as people read it: yes and no, money with its unit, the city's time, states and purposes in words."""
    if isinstance(value, bool):
        return ("是" if value else "否") if zh else ("yes" if value else "no")
    if isinstance(value, int):
        unit = UNIT.search(name)
        return UNITS[unit[0]](value, zh) if unit else str(value)
    text = str(value)
    if name in ("state", "status"):
        return STATES_ZH.get(text, text) if zh else text.replace("_", " ")
    if zh and name in CHOSEN:
        text = CHOICES_ZH.get(text, text)
    if name in ("purpose", "purposes") and text in purposes():
        notice = purposes()[text].versions[-1]
        return notice.zh if zh else notice.en
    if name in ("name", "names", "fact") and text in names():
        return names()[text].zh if zh else names()[text].en
    if INSTANT.fullmatch(text):
        return f"{datetime.fromisoformat(text).astimezone(CITY_TZ):%Y-%m-%d %H:%M:%S}"
    return text
