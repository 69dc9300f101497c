"""What is new in the rulebook between two days, as items: what came into force, and what was announced for later."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, timedelta

from shanhe.bulletin.model import Item, Kind, Words
from shanhe.rulebook.api import Rule, Rulebook, RuleNotInForce

DAY = timedelta(days=1)


def rule_news(
    rulebook: Rulebook, since: date, until: date, soon: timedelta, told: Collection[tuple[str, date | None]] = ()
) -> list[Item]:
    """Changes that began after `since` up to `until`; and later ones that were not `told` (rule, first day) before, or
    begin within `soon`: what is decided after its announcement stands in the rulebook from then on only. The words are
    those of the rule's own comparison of the day before with the day itself."""
    found = []
    for key in rulebook.ids():
        rule = rulebook.rule(key)
        for start, announced in sorted(_starts(rule)):
            if since < start <= until:
                kind = Kind.RULE_NOW
            elif start > until >= announced and ((rule.id, start) not in told or start <= until + soon):
                kind = Kind.RULE_COMING
            else:
                continue
            words = _words(rulebook, rule, start)
            if words is not None:
                found.append(_item(rule, kind, start, words))
    return found


def _starts(rule: Rule) -> set[tuple[date, date]]:
    """(first day, day of announcement) of every dated part; of parts that begin together the first announcement."""

    def dated() -> Iterator[tuple[date, date]]:
        for parameter in rule.parameters:
            if not parameter.of:  # a shared one is told where it belongs
                yield from ((value.start, value.announced) for value in parameter.values)
        yield from ((formula.start, formula.announced) for formula in rule.formulas)

    first: dict[date, date] = {}
    for start, announced in dated():
        first[start] = min(announced, first.get(start, announced))
    return set(first.items())


def _words(rulebook: Rulebook, rule: Rule, start: date) -> Words | None:
    """What changes on a day; None where nothing does."""
    try:
        changes = rulebook.differences(rule.id, start - DAY, start)
    except RuleNotInForce:
        note = rule.note
        return Words(note.zh, note.en) if note is not None else Words("新规则", "a new rule")
    if not changes:
        return None
    return Words("；".join(one.words.zh for one in changes), "; ".join(one.words.en for one in changes))


def _item(rule: Rule, kind: Kind, start: date, words: Words) -> Item:
    title = Words(rule.title.zh, rule.title.en)
    if kind is Kind.RULE_NOW:
        says = Words(f"《{title.zh}》自 {start} 起：{words.zh}。", f"{title.en}, since {start}: {words.en}.")
    else:
        says = Words(f"《{title.zh}》将于 {start} 起：{words.zh}。", f"{title.en}, from {start} on: {words.en}.")
    return Item(kind=kind, ref=rule.id, title=title, says=says, link=f"/rules/{rule.id}", on=start)
