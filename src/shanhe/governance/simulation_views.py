"""A simulation as plain data and as a table. Small groups are told to nobody; sums over few people only to `whole`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any, Final

from shanhe.governance.simulating import Simulation
from shanhe.rulebook.api import hidden

LIMITS: Final = (
    {"zh": "每个案例单独重算：改动对其后案例的事实（如已用额度）、人们是否因此多申请或少申请，均未推演",
     "en": "Each case stands by itself: what the change does to facts of later cases (a cap used up) or to how many "
           "apply is not followed"},
    {"zh": "区间为 95%，以当事方为单位的泊松自助法重抽样 1,000 次，假定下月与所选区间同分布、同时长",
     "en": "Intervals hold 95 %: a Poisson bootstrap over those concerned, 1,000 times, of a time like these days"},
)  # fmt: skip
COLUMNS: Final = ("rule", "section", "what", "name", "unit", "people", "before", "after", "difference",
                  "difference_low", "difference_high")  # fmt: skip
COUNTED: Final = ("gain", "lose", "same")
MARK: Final = "\ufeff"
"""So that spreadsheets read UTF-8."""


def simulation_view(one: Simulation, *, whole: bool, traces: bool = True) -> dict[str, Any]:
    """With its report once there is one. `whole`: for those who may see sums of few people."""
    return {
        "id": one.id, "proposal": one.proposal, "rule": one.rule_id, "content_sha256": one.content_sha256,
        "first": one.first_day, "last": one.last_day, "state": one.state, "seen": one.seen, "asked_at": one.asked_at,
        "ended_at": one.ended_at, "report_sha256": one.report_sha256,
        "error": {"zh": one.error_zh, "en": one.error_en} if one.error_zh else None,
        "report": report_view(one.report, whole=whole, traces=traces) if one.report is not None else None,
    }  # fmt: skip


def report_view(report: Mapping[str, Any], *, whole: bool, traces: bool = True) -> dict[str, Any]:
    """A report as people may see it."""
    least = int(report["least"])
    sections = [_section(one, least, whole=whole, traces=traces) for one in report["sections"]]
    return {**report, "sections": sections, "limits": list(LIMITS), "whole": whole}


def _section(one: Mapping[str, Any], least: int, *, whole: bool, traces: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: one[name]
        for name in ("rule", "key", "title", "note", "versions", "charged", "cases", "checked", "digest", "seed")
    }  # fmt: skip
    few = 0 < one["people"] < least
    few_change = not whole and 0 < one["gain"] + one["lose"] < least
    counts = hidden({name: one[name] for name in COUNTED}, least)
    if few:
        counts = dict.fromkeys(COUNTED)
    found |= {
        "people": None if few else one["people"], "suppressed": few, "main": one["main"],
        **counts, **_parts(one, counts, least),
        "amounts": [_amount(amount, hide=not whole and few, few_change=few_change) for amount in one["amounts"]],
        "groups": [] if few_change else list(one["groups"]),
        "limits": [limit | {side: _known(limit[side], least) for side in ("before", "after")}
                   for limit in one["limits"]],
        "examples": [_example(example, traces=traces) for example in one["examples"]],
        "left_out": {name: _known(n, least) for name, n in one["left_out"].items()},
        "missing": {name: _known(n, least) for name, n in one["missing"].items()},
        "invalid": {name: _known(n, least) for name, n in one["invalid"].items()},
    }  # fmt: skip
    if few:
        found["cases"] = None
    return found


def _parts(one: Mapping[str, Any], counts: Mapping[str, int | None], least: int) -> dict[str, int | None]:
    """Who begins and who ends are parts of those who gain or lose: hidden with them, for the rest would follow."""
    covered = None in counts.values()
    return {name: None if covered and one[name] else _known(one[name], least) for name in ("begin", "end")}


def _known(n: int, least: int) -> int | None:
    """A count, None where it is small: nobody is to be worked out from it."""
    return None if 0 < n < least else n


def _amount(amount: Mapping[str, Any], *, hide: bool, few_change: bool) -> dict[str, Any]:
    plain = {name: amount[name] for name in ("name", "title", "unit")}
    if hide:
        return plain | dict.fromkeys(("before", "after", "difference", "interval"))
    if few_change:
        return plain | {"before": amount["before"], "after": None, "difference": None, "interval": None}
    difference = amount["after"] - amount["before"]
    return plain | {"before": amount["before"], "after": amount["after"], "difference": difference,
                    "interval": amount["interval"]}  # fmt: skip


def _example(example: Mapping[str, Any], *, traces: bool) -> dict[str, Any]:
    if traces:
        return dict(example)
    return {**example, **{side: {name: value for name, value in example[side].items() if name != "trace"}
                          for side in ("before", "after")}}  # fmt: skip


def simulation_csv(view: Mapping[str, Any]) -> str:
    """A report view as a table: amounts, who gains, groups, limits, what was left out."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    for one in view["sections"]:
        for row in _rows(one):
            known = {name: "" if value is None else value for name, value in row.items()}
            writer.writerow({"rule": one["rule"], "section": one["key"], **known})
    return MARK + out.getvalue()


def _rows(one: Mapping[str, Any]) -> list[dict[str, Any]]:
    unit = one["amounts"][one["main"]]["unit"]
    rows: list[dict[str, Any]] = [{"what": "cases", "people": one["people"], "before": one["cases"]}]
    for amount in one["amounts"]:
        spread = (amount["interval"] or {}).get("difference", (None, None))
        rows.append({"what": "amount", "name": amount["name"], "unit": amount["unit"], "before": amount["before"],
                     "after": amount["after"], "difference": amount["difference"], "difference_low": spread[0],
                     "difference_high": spread[1]})  # fmt: skip
    rows += [{"what": name, "people": "<" if one[name] is None else one[name]}
             for name in (*COUNTED, "begin", "end")]  # fmt: skip
    rows += [{"what": "group", "name": n, "unit": unit, "people": group["people"], "before": group["before"],
              "after": group["after"], "difference": group["difference"]}
             for n, group in enumerate(one["groups"], 1)]  # fmt: skip
    rows += [{"what": "limit", "name": limit["other"]["zh"], "before": limit["before"], "after": limit["after"]}
             for limit in one["limits"]]  # fmt: skip
    for kind in ("left_out", "missing", "invalid"):
        rows += [{"what": kind, "name": name, "before": "<" if n is None else n} for name, n in one[kind].items()]
    return rows
