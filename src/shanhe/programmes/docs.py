"""docs/programmes.md: which rule is carried by which programme, and which test reads as its promise."""

from __future__ import annotations

from importlib import resources
from typing import Any

from shanhe.programmes.model import Catalogue, Programme
from shanhe.rulebook.api import Rulebook, read_yaml

SCHEDULES = {"once": "once", "instalments": "instalments", "yearly": "every year", "milestones": "by milestones",
             "guarantee": "when called"}  # fmt: skip
HEAD = """# Programmes

Every promise of the city is data: a file in `src/shanhe/programmes/catalogue/programmes/` beside a rule of the
[rulebook](rulebook.md). One engine runs them all ([why](adr/0027-one-programme-engine.md)). `shanhe programmes list`
shows them, `shanhe programmes entitled ORG` says what somebody is entitled to and why, and what would change it.

An application moves through logged states that the database itself checks: `in_review`, `returned`, `refused`,
`approved`, `waiting_budget`, `active`, `suspended`, `completed`, `stopped`, `withdrawn`. An award is a list of
tranches; its money is set aside from a budget when it is approved, and each tranche becomes one posting. A refusal
carries reasons and the nearest change, and can be appealed to other people. Nobody decides for themselves or a related
party (R0).

This table is written by `shanhe programmes page --out docs/programmes.md`; a test holds it.

| rule | programme | for | pays | when | decided by | test |
|---|---|---|---|---|---|---|
"""
MORE = """
Rules that nobody applies for are carried out where what they decide happens:

| rule | carried out by | test |
|---|---|---|
"""


def docs_rows(catalogue: Catalogue, rulebook: Rulebook) -> list[dict[str, Any]]:
    """One row a programme, in the order of its amount rule."""
    order = {rule: index for index, rule in enumerate(rulebook.ids())}
    found = sorted(catalogue.programmes.values(), key=lambda item: (order[rulebook.rule(item.amount.rule).id], item.id))
    return [_row(programme, catalogue, rulebook) for programme in found]


def _row(programme: Programme, catalogue: Catalogue, rulebook: Rulebook) -> dict[str, Any]:
    assets = [catalogue.budgets[grant.budgets(programme.asks)[0]].asset for grant in programme.grants]
    extra = [rule for rule in (programme.schedule.rule, programme.bound) if rule]
    steps = [
        f"{catalogue.departments[step.by].en}{f' ×{step.eyes}' if step.eyes > 1 else ''}" for step in programme.review
    ]
    return {
        "rules": [rulebook.rule(rule).id for rule in dict.fromkeys((*programme.rules, *extra))],
        "programme": programme.id,
        "title": programme.title.en,
        "for": list(programme.for_),
        "pays": assets or [f"fact {programme.publishes.fact}" if programme.publishes else "nothing"],
        "when": SCHEDULES[programme.schedule.kind],
        "decided_by": steps or ["the rule, at once"],
        "test": f"tests/programmes/test_{programme.id}.py",
    }


def docs_page(catalogue: Catalogue, rulebook: Rulebook) -> str:
    """The whole page."""
    lines = []
    for row in docs_rows(catalogue, rulebook):
        cells = (
            ", ".join(row["rules"]),
            f"`{row['programme']}` {row['title']}",
            ", ".join(row["for"]),
            ", ".join(row["pays"]),
            row["when"],
            " → ".join(row["decided_by"]),
            f"`{row['test']}`",
        )
        lines.append(f"| {' | '.join(cells)} |\n")
    return HEAD + "".join(lines) + MORE + "".join(_mechanisms(rulebook))


def mechanisms(rulebook: Rulebook) -> dict[str, dict[str, str]]:
    """Rules that no application asks for: what carries each out and its test, in the order of the rulebook."""
    file = resources.files("shanhe.programmes") / "catalogue" / "mechanisms.yaml"
    found: dict[str, dict[str, str]] = read_yaml(file.read_text(encoding="utf-8"), file.name)
    return {rule: found[rule] for rule in sorted(found, key=[rulebook.rule(one).id for one in rulebook.ids()].index)}


def _mechanisms(rulebook: Rulebook) -> list[str]:
    return [f"| {rule} | {row['by']} | `{row['test']}` |\n" for rule, row in mechanisms(rulebook).items()]
