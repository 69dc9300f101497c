"""The dilution index as plain data, as words and as a table. `whole` is for those who may see sums and small cells."""

from __future__ import annotations

from typing import Any

from shanhe.governance.dilution import EFFECTIVE_DIGITS, BudgetSpread, ProgrammeSpread, Report, Terms
from shanhe.kernel.documents import BOM, csv_line

COLUMNS = ("id", "title_zh", "title_en", "since", "on", "suppressed", "recipients", "effective", "index_bps", "below",
           "below_bps", "critical_fen", "total_fen", "median_fen", "needs_fen", "could_reach", "thin")  # fmt: skip


def sentence(one: ProgrammeSpread | BudgetSpread, terms: Terms) -> dict[str, str]:
    """The figures in one sentence, and what would concentrate them."""
    s = one.spread
    if not s.recipients:
        months = terms.window_months
        return {"zh": f"{months} 个月内没有支出。", "en": f"Nothing was paid in {months} months."}
    effective = f"{s.effective / EFFECTIVE_DIGITS:.1f}"
    zh = (f"{_yuan(s.total_fen)} 元分给 {s.recipients} 个受益方（相当于 {effective} 个均分），"
          f"中位数 {_yuan(s.median_fen)} 元")  # fmt: skip
    en = (f"CNY {_yuan(s.total_fen)} reached {s.recipients} recipients (as many as {effective} equal ones), "
          f"the middle one CNY {_yuan(s.median_fen)}")  # fmt: skip
    if isinstance(one, ProgrammeSpread) and one.thin:
        zh += (f"，低于临界规模 {_yuan(one.critical_fen)} 元；同样的钱可使 {s.could_reach} 个受益方达到该规模，"
               f"或再增加 {_yuan(s.needs_fen)} 元使全部达到")  # fmt: skip
        en += (f", below the critical mass of CNY {_yuan(one.critical_fen)}; the same money brings {s.could_reach} "
               f"recipients to it, or CNY {_yuan(s.needs_fen)} more brings all")  # fmt: skip
    elif s.below:
        zh += f"，{s.below_bps / 100:.1f}% 的资金低于临界规模"
        en += f", {s.below_bps / 100:.1f} % of the money below the critical mass"
    return {"zh": zh + "。", "en": en + "."}


def _yuan(fen: int) -> str:
    return f"{fen // 100:,}" + (f".{fen % 100:02d}" if fen % 100 else "")


def shown(one: BudgetSpread | ProgrammeSpread, terms: Terms, *, whole: bool) -> dict[str, Any]:
    """As plain data. `whole` for those who may see all; everybody else sees neither sums nor small cells."""
    name = one.budget if isinstance(one, BudgetSpread) else one.programme
    found: dict[str, Any] = {"id": name, "title": dict(one.card.title)}
    if isinstance(one, BudgetSpread):
        found |= {"asset": one.card.asset, "department": dict(one.card.department)}
    else:
        found |= {"rule": one.card.rule, "budgets": list(one.budgets), "critical_fen": one.critical_fen}
    s = one.spread
    found["suppressed"] = not whole and 0 < s.recipients < terms.least_recipients
    if found["suppressed"]:
        return found
    found |= {"recipients": s.recipients, "effective": s.effective / EFFECTIVE_DIGITS, "index_bps": s.index_bps,
              "below": s.below, "below_bps": s.below_bps}  # fmt: skip
    if isinstance(one, ProgrammeSpread):
        found["thin"] = one.thin
    if whole:
        found |= {"total_fen": s.total_fen, "median_fen": s.median_fen, "needs_fen": s.needs_fen,
                  "could_reach": s.could_reach, "said": sentence(one, terms)}  # fmt: skip
    return found


def report_view(report: Report, *, whole: bool) -> dict[str, Any]:
    terms = report.terms
    return {
        "since": report.since, "on": report.on, "whole": whole, "least_recipients": terms.least_recipients,
        "budgets": [shown(one, terms, whole=whole) for one in report.budgets if one.spread.recipients],
        "programmes": [shown(one, terms, whole=whole) for one in report.programmes],
    }  # fmt: skip


def trend_view(reports: list[Report], *, whole: bool) -> list[dict[str, Any]]:
    """By budget that paid anything in any window: the index at each end, null where it is not shown."""
    paying = [
        one.budget
        for one in reports[-1].budgets
        if any(row.spread.recipients for report in reports for row in report.budgets if row.budget == one.budget)
    ]
    found = []
    for name in paying:
        points = []
        for report in reports:
            row = next(shown(one, report.terms, whole=whole) for one in report.budgets if one.budget == name)
            points.append({"on": report.on, "index_bps": row.get("index_bps"), "recipients": row.get("recipients")})
        card = next(one.card for one in reports[-1].budgets if one.budget == name)
        found.append({"id": name, "title": dict(card.title), "points": points})
    return found


def as_csv(report: Report, *, whole: bool) -> str:
    lines = [csv_line(COLUMNS)]
    view = report_view(report, whole=whole)
    for row in (*view["budgets"], *view["programmes"]):
        plain = row | {"title_zh": row["title"]["zh"], "title_en": row["title"]["en"], "since": report.since,
                       "on": report.on}  # fmt: skip
        lines.append(csv_line([plain.get(name) for name in COLUMNS]))
    return BOM + "".join(lines)
