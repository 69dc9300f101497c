"""What the commands that simulate share: reading a proposed version, saying what it does."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shanhe.cli.common import day_of, err, readable, rows
from shanhe.kernel.errors import Invalid

if TYPE_CHECKING:
    from shanhe.governance.api import Seen
    from shanhe.rulebook.api import Rulebook

ROWS = ("parameters", "formula", "examples", "review")
TOLD_EVERY: Final = 5_000
DIGITS: Final = {"micro": 6, "fen": 2}


def proposed_book(rulebook: Rulebook, identifier: str, file: Path) -> tuple[str, Rulebook, Mapping[str, Any] | None]:
    """The rule's id, the rulebook as it would be, and the rows that make it so (none for a whole file)."""
    from shanhe.rulebook.api import RuleAmendment, read_yaml

    text = readable(file)
    known = rulebook.rule(identifier).id
    found = read_yaml(text, file.name)
    if not isinstance(found, dict):
        found = {}
    if "id" in found:
        book, rule = rulebook.with_file(text, file.name)
        if rule != known:
            raise Invalid(
                "another_rule", f"The file holds {rule}, not {known}.",
                message_zh=f"文件中的规则是 {rule}，不是 {known}。",
            )  # fmt: skip
        return rule, book, None
    content = {name: _plain(value) for name, value in found.items() if name in ROWS}
    if not content or len(content) != len(found):
        raise Invalid(
            "bad_content", "The file holds neither a rule nor dated rows.", message_zh="文件既非规则也非修订行。",
            hint="Write `parameters:` (or `formula:`) with dated rows, as in a rule file.",
            hint_zh="请按规则文件的格式写 parameters（或 formula）及其日期行。",
        )  # fmt: skip
    return known, rulebook.amended([RuleAmendment("simulated", known, content, "simulation")]), content


def _plain(value: Any) -> Any:
    """As JSON has it: days as texts."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value.isoformat() if isinstance(value, date) else value


def span_of(first: str, last: str) -> tuple[date, date] | None:
    """Both days or neither."""
    if bool(first) != bool(last):
        raise Invalid("bad_span", "Name both days or neither.", message_zh="起止日期须同时给出。")
    return (day_of(first), day_of(last)) if first else None


@contextlib.contextmanager
def told() -> Iterator[Seen]:
    """Counts cases, and says on stderr how far it is, for people only."""
    from shanhe.governance.api import Seen

    def said(cases: int) -> None:
        if "--json" not in sys.argv:
            err.print(f"{cases:,} 件已读取 · cases read")

    yield Seen(every=TOLD_EVERY, told=said)


def save_csv(view: Mapping[str, Any], file: Path) -> None:
    from shanhe.governance.api import simulation_csv

    file.write_text(simulation_csv(view), encoding="utf-8")


def spoken(view: Mapping[str, Any]) -> Any:
    """The amounts as people read them, a row each; who gains and loses beside the first."""
    lines = []
    for one in view["sections"]:
        for place, amount in enumerate(one["amounts"]):
            spread = (amount["interval"] or {}).get("difference")
            lines.append((
                one["title"]["zh"], amount["title"]["zh"], one["cases"] if one["cases"] is not None else "<",
                *(money(amount[name], amount["unit"]) for name in ("before", "after", "difference")),
                " … ".join(money(value, amount["unit"]) for value in spread) if spread else "—",
                " / ".join("<" if one[name] is None else str(one[name]) for name in ("gain", "lose", "same"))
                if place == one["main"] else "",
            ))  # fmt: skip
    lines += [(one["title"]["zh"], "未记录 unrecorded", *[""] * 6) for one in view["unrecorded"]]
    return rows(("来源", "金额", "cases", "before", "after", "difference", "95 %", "gain/lose/same"), lines)


def money(value: int | None, unit: str) -> str:
    """In the unit people use: yuan and credits."""
    if value is None:
        return "—"
    digits = DIGITS.get(unit)
    if digits is None:
        return f"{value:,} {unit}"
    whole, rest = divmod(abs(value), 10**digits)
    text = f"{whole:,}" + (f".{rest:0{digits}d}".rstrip("0") if rest else "")
    return f"{'-' if value < 0 else ''}{text} {'CNY' if unit == 'fen' else 'credits'}"
