"""A person's copy of their data as a document to read: every value on a line of its own, by where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from shanhe.kernel.clock import city_date
from shanhe.kernel.documents import Column, Document, Table
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
    "evaluations": ("评测集", "Evaluation sets"),
    "estates": ("遗产移交", "Handovers of an estate"), "organisation": ("个人账户", "The person's own account"),
    "board": ("需求与方案", "Needs and solutions"),
    "clones": ("数字分身", "Digital clones"),
    "filings": ("内容投诉与处置", "Complaints and moderation"),
    "break_glass": ("紧急授权", "Break-glass"),
    "works": ("知识产权与科研成果", "Rights and research outputs"),
}  # fmt: skip


def copy_json(copy: Copy) -> bytes:
    """The copy for machines, complete."""
    plain = msgspec.to_builtins(copy.data, str_keys=True)
    return msgspec.json.format(msgspec.json.encode(plain, order="sorted"), indent=1)


def copy_paper(copy: Copy, *, city_name: str, language: str = "zh") -> Document:
    """The readable form of the copy; the JSON beside it holds the same and is complete."""
    side = 0 if language.startswith("zh") else 1
    columns = (Column(("项目", "Field")[side], width=2), Column(("内容", "Value")[side], width=3))
    tables, left = [], ROWS_MAX
    for name, content in copy.data.items():
        rows = tuple(_lines(msgspec.to_builtins(content), ""))[:left]
        left -= len(rows)
        tables.append(Table(TITLES.get(name, (name, name))[side], columns, rows))
    note = ("本文件与同时提供的 JSON 文件内容一致；行数过多时以 JSON 为准。",
            "The JSON file beside it says the same; where this one is cut, that one is complete.")[side]  # fmt: skip
    return Document(
        title=("我的数据", "My data")[side], subtitle=city_name, issued_on=city_date(copy.made_at),
        language="zh" if side == 0 else "en", tables=tuple(tables), notes=(note,),
        footer=f"{city_name} · {copy.person_id}",
    )  # fmt: skip


def _lines(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Leaves of a tree as (path, text)."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _lines(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, inner in enumerate(value, 1):
            yield from _lines(inner, f"{path} {number}".strip())
    elif value not in (None, ""):
        yield path, str(value)[:VALUE_CHARS]
