"""A simulation as plain data and as a table. Small groups are told to nobody; sums over few people only to `whole`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shanhe.governance.simulating import Simulation
from shanhe.kernel.documents import BOM, csv_line
from shanhe.rulebook.api import few, hidden

LIMITS: Final = (
    {"zh": "“现行”指拟改全部生效之日若不修改将适用的版本：在那之前已定的其他修订不算作这次改动的结果",
     "en": "“Before” is what would hold without the change on the day all of it holds: amendments that come before it "
           "anyway are no effect of it"},
    {"zh": "每个案例单独重算：改动对其后案例的事实（如已用额度）、人们是否因此多申请或少申请，均未推演",
     "en": "Each case stands by itself: what the change does to facts of later cases (a cap used up) or to how many "
           "apply is not followed"},
    {"zh": "区间为 95%，以当事方为单位的泊松自助法重抽样 1,000 次，假定下月与所选区间同分布、同时长",
     "en": "Intervals hold 95 %: a Poisson bootstrap over those concerned, 1,000 times, of a time like these days"},
)  # fmt: skip
COLUMNS: Final = ("rule", "section", "what", "name", "unit", "people", "before", "after", "difference",
                  "difference_low", "difference_high")  # fmt: skip
COUNTED: Final = ("gain", "lose", "same")


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
    too_few = few(one["people"], least)
    counts = hidden({name: one[name] for name in COUNTED}, least)
    if too_few:
        counts = dict.fromkeys(COUNTED)
    amounts = one["amounts"]
    found |= {
        "people": None if too_few else one["people"], "suppressed": too_few, "main": one["main"],
        **counts, **_parts(one, counts, least),
        "amounts": [amount_view(amount, 0 if whole else least, hide=too_few and not whole) for amount in amounts],
        "groups": list(one["groups"]) if whole or "behind" in amounts[one["main"]] else [],
        "limits": [limit | {side: _share(limit[side], one["people"], least) for side in ("before", "after")}
                   for limit in one["limits"]],
        "examples": [_example(example, traces=traces) for example in one["examples"]],
        "facts": one.get("facts", {}),
        "left_out": {name: _known(n, least) for name, n in one["left_out"].items()},
        "missing": {name: _known(n, least) for name, n in one["missing"].items()},
        "invalid": {name: _known(n, least) for name, n in one["invalid"].items()},
    }  # fmt: skip
    if too_few:
        found["cases"] = None
    return found


def _parts(one: Mapping[str, Any], counts: Mapping[str, int | None], least: int) -> dict[str, int | None]:
    """Who begins and who ends are parts of those who gain or lose: hidden with them, for the rest would follow."""
    covered = None in counts.values()
    of = {"begin": "lose", "end": "gain"} if one["charged"] else {"begin": "gain", "end": "lose"}
    return {name: None if covered and one[name] else _share(one[name], one[whole], least)
            for name, whole in of.items()}  # fmt: skip


def _known(n: int, least: int) -> int | None:
    """A count, None where it is small: nobody is to be worked out from it."""
    return None if few(n, least) else n


def _share(n: int, of: int, least: int) -> int | None:
    """A part of a count, None where it or what is left of the whole is small."""
    return None if few(n, least) or few(of - n, least) else n


def amount_view(amount: Mapping[str, Any], least: int, *, hide: bool = False) -> dict[str, Any]:
    """One kind of money; without a figure that fewer than `least` people stand behind, or from which one would follow.

    A report that does not say how many those are is of before it did: it says what changes to those who see all.
    """
    found = {name: amount[name] for name in ("name", "title", "unit", "before", "after", "interval")}
    changed = int(amount["before"] != amount["after"])
    few_before, few_after, few_change = (few(n, least) for n in amount.get("behind", (least, least, changed)))
    if hide or few_before:
        found["before"] = None
    if hide or few_after or few_change:
        found["after"] = None
    known = found["before"] is not None and found["after"] is not None
    found["difference"] = amount["after"] - amount["before"] if known else None
    if not known:
        found["interval"] = None
    return found


def _example(example: Mapping[str, Any], *, traces: bool) -> dict[str, Any]:
    if traces:
        return dict(example)
    return {**example, **{side: {name: value for name, value in example[side].items() if name != "trace"}
                          for side in ("before", "after")}}  # fmt: skip


def simulation_csv(view: Mapping[str, Any]) -> str:
    """A report view as a table: amounts, who gains, groups, limits, what was left out."""
    lines = [csv_line(COLUMNS)]
    for one in view["sections"]:
        for row in _rows(one):
            told = {"rule": one["rule"], "section": one["key"], **row}
            lines.append(csv_line([told.get(name) for name in COLUMNS]))
    return BOM + "".join(lines)


def _rows(one: Mapping[str, Any]) -> list[dict[str, Any]]:
    unit = one["amounts"][one["main"]]["unit"]
    rows: list[dict[str, Any]] = [{"what": "cases", "people": _told(one["people"]), "before": _told(one["cases"])}]
    for amount in one["amounts"]:
        spread = (amount["interval"] or {}).get("difference", (None, None))
        rows.append({"what": "amount", "name": amount["name"], "unit": amount["unit"], "before": amount["before"],
                     "after": amount["after"], "difference": amount["difference"], "difference_low": spread[0],
                     "difference_high": spread[1]})  # fmt: skip
    rows += [{"what": name, "people": _told(one[name])} for name in (*COUNTED, "begin", "end")]
    rows += [{"what": "group", "name": n, "unit": unit, "people": group["people"], "before": group["before"],
              "after": group["after"], "difference": group["difference"]}
             for n, group in enumerate(one["groups"], 1)]  # fmt: skip
    rows += [{"what": "limit", "name": limit["other"]["zh"], "before": _told(limit["before"]),
              "after": _told(limit["after"])}
             for limit in one["limits"]]  # fmt: skip
    for kind in ("left_out", "missing", "invalid"):
        rows += [{"what": kind, "name": name, "before": _told(n)} for name, n in one[kind].items()]
    return rows


def _told(n: int | None) -> int | str:
    return "<" if n is None else n
