"""An issue as it is said: a greeting, what is new in order of importance, and where the list is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from shanhe.bulletin.model import Issue, Item, Kind, Words

HEADS = {
    Kind.RULE_NOW: Words("先说已经生效的规则变化。", "First, rules that changed."),
    Kind.RULE_COMING: Words("接下来是将要生效的变化，请提前准备。", "Then, what will change: be prepared."),
    Kind.OPENED: Words("这几天新开放的政策：", "Newly open:"),
    Kind.CLOSING: Words("即将截止，别错过：", "Closing soon:"),
    Kind.CONTEST: Words("正在征集的大赛：", "Contests that take entries:"),
}
SECTIONS = {
    Kind.RULE_NOW: Words("已生效的规则变化", "Rules that changed"),
    Kind.RULE_COMING: Words("将生效的规则变化", "Rules that will change"),
    Kind.OPENED: Words("新开放", "Newly open"),
    Kind.CLOSING: Words("即将截止", "Closing soon"),
    Kind.CONTEST: Words("大赛", "Contests"),
    Kind.OPEN: Words("城市机会清单", "Opportunities"),
}


def talk(city: str, since: date, day: date, items: Sequence[Item]) -> tuple[Words, ...]:
    """Paragraphs; what nothing happened to is said, too."""
    said = [Words(
        f"大家好，我是山河小智。这里是{city} {day:%Y 年 %-m 月 %-d 日} 的一周播报，"
        f"说说 {since:%-m 月 %-d 日} 以来的新变化。",
        f"Hello, this is Xiaozhi with the weekly bulletin of {city} for {day}: what is new since {since}.",
    )]  # fmt: skip
    for kind, head in HEADS.items():
        told = [item for item in items if item.kind is kind]
        if told:
            said.append(Words(f"{head.zh}{''.join(item.says.zh for item in told)}",
                              f"{head.en} {' '.join(item.says.en for item in told)}"))  # fmt: skip
        elif kind is Kind.RULE_NOW:
            said.append(Words("这一周没有规则发生变化。", "No rule changed this week."))
    listed = sum(item.kind is Kind.OPEN for item in items)
    said.append(Words(
        f"现在可以申请的机会共 {listed} 项，都在下面的清单里；能不能申请、能得多少，点开就能查。我们下周见。",
        f"{listed} opportunities are open now; the list below says who may apply and what they give. Until next week.",
    ))  # fmt: skip
    return tuple(said)


def as_markdown(issue: Issue) -> str:
    """An issue in Chinese for the city's guide to answer from."""
    parts = [f"# {issue.day} 每周播报", *[one.zh for one in issue.talk]]
    for kind, head in SECTIONS.items():
        items = issue.of(kind)
        if items:
            parts += [f"## {head.zh}", *[f"{item.title.zh}：{item.says.zh}" for item in items]]
    return "\n\n".join(parts) + "\n"
