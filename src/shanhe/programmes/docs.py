"""docs/programmes.md: which rule is carried by which programme, and which test reads as its promise."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

from shanhe.programmes.model import Catalogue, Programme
from shanhe.rulebook.api import Rulebook, read_yaml

SCHEDULES = {
    "once": ("一次", "once"), "instalments": ("分期", "instalments"), "yearly": ("每年", "every year"),
    "milestones": ("里程碑", "by milestones"), "guarantee": ("代偿时", "when called"),
}  # fmt: skip
PARTIES_ZH = {"person": "个人", "company": "企业", "institution": "事业单位", "government": "政府机关"}
PAYS_ZH = {"credit": "积分", "cny": "现金", "voucher": "消费券", "ticket": "门票", "point": "贡献积分"}
AT_ONCE = ("规则，即时", "the rule, at once")


def docs_rows(catalogue: Catalogue, rulebook: Rulebook) -> list[dict[str, Any]]:
    """One row a programme, in the order of its amount rule."""
    return [_row(programme, catalogue, rulebook) for programme in _order(catalogue, rulebook)]


def _order(catalogue: Catalogue, rulebook: Rulebook) -> list[Programme]:
    order = {rule: index for index, rule in enumerate(rulebook.ids())}
    return sorted(catalogue.programmes.values(), key=lambda item: (order[rulebook.rule(item.amount.rule).id], item.id))


def _row(programme: Programme, catalogue: Catalogue, rulebook: Rulebook) -> dict[str, Any]:
    paid = [catalogue.budgets[grant.budgets(programme.asks)[0]].asset for grant in programme.grants]
    extra = [rule for rule in (programme.schedule.rule, programme.bound) if rule]
    steps = [
        f"{catalogue.departments[step.by].en}{f' ×{step.eyes}' if step.eyes > 1 else ''}" for step in programme.review
    ]
    return {
        "rules": [rulebook.rule(rule).id for rule in dict.fromkeys((*programme.rules, *extra))],
        "programme": programme.id,
        "title": programme.title.en,
        "for": list(programme.for_),
        "pays": list(dict.fromkeys(paid)) or [f"fact {programme.publishes.fact}" if programme.publishes else "nothing"],
        "when": SCHEDULES[programme.schedule.kind][1],
        "decided_by": steps or [AT_ONCE[1]],
        "test": f"tests/programmes/test_{programme.id}.py",
    }


def docs_page(catalogue: Catalogue, rulebook: Rulebook, language: str = "en") -> str:
    """The whole page, in English or in Chinese: its text is in `page/`, its tables are the catalogue's."""
    text = (resources.files("shanhe.programmes") / "page" / f"{language}.md").read_text(encoding="utf-8")
    order = _order(catalogue, rulebook)
    programmes = "".join(_line(_cells(one, catalogue, rulebook, zh=language == "zh")) for one in order)
    carried = [(rule, row[language], f"`{row['test']}`") for rule, row in mechanisms(rulebook).items()]
    return text.replace("{programmes}\n", f"{programmes}\n").replace("{mechanisms}\n", "".join(map(_line, carried)))


def _cells(one: Programme, catalogue: Catalogue, rulebook: Rulebook, *, zh: bool) -> tuple[str, ...]:
    row = _row(one, catalogue, rulebook)
    steps = [
        f"{catalogue.departments[step.by].zh if zh else catalogue.departments[step.by].en}"
        f"{f' ×{step.eyes}' if step.eyes > 1 else ''}"
        for step in one.review
    ]
    comma = "、" if zh else ", "
    return (
        ", ".join(row["rules"]),
        f"`{one.id}` {one.title.zh if zh else one.title.en}",
        comma.join(PARTIES_ZH.get(word, word) if zh else word for word in row["for"]),
        comma.join(PAYS_ZH.get(word, word) if zh else word for word in row["pays"]),
        SCHEDULES[one.schedule.kind][not zh],
        " → ".join(steps) or AT_ONCE[not zh],
        f"`{row['test']}`",
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def mechanisms(rulebook: Rulebook) -> dict[str, dict[str, str]]:
    """Rules that no application asks for: what carries each out and its test, in the order of the rulebook."""
    file = resources.files("shanhe.programmes") / "catalogue" / "mechanisms.yaml"
    found: dict[str, dict[str, str]] = read_yaml(file.read_text(encoding="utf-8"), file.name)
    return {rule: found[rule] for rule in sorted(found, key=[rulebook.rule(one).id for one in rulebook.ids()].index)}
