"""What the program writes on postings, in the reader's language.

A memo is sealed with its posting as it was written, so the words are found again when it is read: by the shape that it
was written in. What people wrote themselves stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

MEMOS: Final[Mapping[str, tuple[str, str]]] = {
    "Attraction ticket": ("景点门票", ""),
    "Award {award}": ("奖励 {award}", ""),
    "Award {award}, tranche {tranche}": ("奖励 {award}，第 {tranche} 期", ""),
    "Award {award}, tranche {tranche} cancelled": ("奖励 {award}，第 {tranche} 期撤销", ""),
    "Award {award} clawed back": ("奖励 {award}，追回", ""),
    "Booking cancelled": ("预订已取消", ""),
    "Code {number} of {batch}": ("“{batch}”的兑换码 {number}", ""),
    "Course at {venue}": ("“{venue}”的课程", ""),
    "Guarantee {guarantee} recovered": ("担保 {guarantee}，追偿收回", ""),
    "Incubator service {service}": ("孵化服务：{service}", ""),
    "Nights at a partner": ("合作住宿", ""),
    "Nomad ID {card}": ("游民身份卡 {card}", ""),
    "Nomad ID {card} ended": ("游民身份卡 {card}，到期收回", ""),
    "Operator top-up, paid by {method}, booked by hand": ("人工入账充值，{method}", ""),
    "Operator top-up, paid by {method}, booked by hand: {reason}": ("人工入账充值，{method}：{reason}", ""),
    "Payout of earned income, {channel} {reference}": ("收益提现，{channel} {reference}", ""),
    "Purchase of credits, paid through {method} · 购买积分": (
        "购买积分，{method}", "Purchase of credits, paid through {method}",
    ),
    "Refund of purchase {purchase}": ("购买 {purchase} 的退款", ""),
    "Refund {refund} paid out: {reference}": ("退款 {refund} 已付出：{reference}", ""),
    "Spent, to be repaid": ("已花用，须偿还", ""),
    "Withheld from {node} · 暂扣": ("暂扣：{node}", "Withheld from {node}"),
    "Vouchers at {venue}": ("在“{venue}”使用消费券", ""),
    "bank transfer sent again, item {item}": ("退汇重新汇出，款项 {item}", ""),
    "bank {suspense}, statement {statement} row {row}": ("银行{suspense}，对账单 {statement} 第 {row} 行", ""),
    "{ended}: bank {suspense}, statement {statement} row {row}": (
        "{ended}：银行{suspense}，对账单 {statement} 第 {row} 行", "",
    ),
    "demo city": ("演示城市", ""),
    "demo opening": ("演示期初", ""),
    "dissolution": ("清算", ""),
    "inheritance": ("继承", ""),
    "payout failed": ("提现失败", ""),
    "play money 模拟资金": ("模拟资金", "play money"),
    "{check} {kind}: {subject}, {left_name} {left}, {right_name} {right}": (
        "对账差异（{check}，{kind}）：{subject}，{left_name} {left}，{right_name} {right}", "",
    ),
    "{node} was cleared": ("{node} 已解除暂扣", ""),
}  # fmt: skip
"""By what is written: what it says in Chinese, and in English where that is not what is written."""
WORDS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "suspense": {
        "unknown_reference": ("来款识别码不明", "money without a known reference"),
        "late": ("来款时订单已过期", "money for an order that had run out"),
        "over": ("多付款项", "money paid too much"), "under": ("部分付款", "a part payment"),
        "outgoing": ("不明支出", "an unknown outgoing"), "came_back": ("退汇", "a returned transfer"),
    },
    "check": {
        "meter_ledger": ("计量与账本", "meter and ledger"), "receipt_ledger": ("凭据与账本", "receipts and ledger"),
        "engine_ledger": ("引擎与账本", "engines and ledger"), "payments_ledger": ("支付与账本", "payments and ledger"),
        "statement_payments": ("账单与支付", "statement and payments"),
    },
    "ended": {
        "applied": ("用于订单", "applied"), "returned": ("退回", "returned"), "explained": ("账上已有", "explained"),
        "resent": ("重新汇出", "sent again"), "booked": ("记为手续费或利息", "booked as charge or interest"),
    },
}  # fmt: skip
METHODS: Final[Mapping[str, tuple[str, str]]] = {
    "bank_transfer": ("银行转账", "bank transfer"), "bank transfer 银行转账": ("银行转账", "bank transfer"),
    "cash desk 现金柜台": ("现金柜台", "cash desk"), "cash_desk": ("现金柜台", "cash desk"),
    "wechat": ("微信支付", "WeChat Pay"), "alipay": ("支付宝", "Alipay"), "sandbox": ("沙箱支付", "sandbox"),
    "bank_file": ("银行批量文件", "bank file"),
}  # fmt: skip
FIELD: Final = re.compile(r"\\?\{([a-z_]+)\\?\}")
CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")
BOTH: Final = " · "
REASON: Final = "reason"
"""A field that has a text like any memo."""


def said(memo: str, language: str) -> str:
    """A posting's memo in `zh…` or `en`; as it stands where a person wrote it."""
    chinese = language.startswith("zh")
    for shape, pattern in _shapes().items():
        found = pattern.fullmatch(memo)
        if found is not None:
            text = MEMOS[shape][0] if chinese else MEMOS[shape][1] or shape
            return text.format_map({name: _word(name, part, chinese) for name, part in found.groupdict().items()})
    return _half(memo, chinese)


@cache
def _shapes() -> Mapping[str, re.Pattern[str]]:
    """The longest first. A field takes one of its words, or what has no colon or comma; the last one anything."""
    return {shape: _shape(re.escape(shape)) for shape in sorted(MEMOS, key=len, reverse=True)}


def _shape(text: str) -> re.Pattern[str]:
    last = FIELD.findall(text)[-1:]

    def field(at: re.Match[str]) -> str:
        taken = "|".join(map(re.escape, WORDS.get(at[1], ()))) or (".+" if [at[1]] == last else "[^:,]+?")
        return f"(?P<{at[1]}>{taken})"

    return re.compile(FIELD.sub(field, text))


def _word(name: str, part: str, chinese: bool) -> str:
    if name == REASON:
        return said(part, "zh" if chinese else "en")
    known = WORDS.get(name, METHODS if name in ("method", "channel") else {}).get(part)
    return part if known is None else known[not chinese]


def _half(memo: str, chinese: bool) -> str:
    """Of a text in both languages, `English · 中文` in either order, the reader's; any other whole."""
    parts = memo.split(BOTH)
    if len(parts) != 2 or bool(CHINESE.search(parts[0])) == bool(CHINESE.search(parts[1])):
        return memo
    return next(part for part in parts if bool(CHINESE.search(part)) is chinese)
