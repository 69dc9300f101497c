"""What a statement says of itself: whose account, which days, and a balance that each of its lines moves.

A line with a balance is a step from the balance before it to the one after it. The steps of a whole statement make one
way, in whatever order the bank lists them: it begins at the opening balance and ends at the closing one, where the next
statement goes on. Where the way breaks, lines are missing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from shanhe.kernel.money import format_fen, parse_yuan
from shanhe.payments.bank_errors import StatementIncomplete
from shanhe.payments.bank_model import BankFile, Direction, Gap, Parsed

DAY: Final = r"(\d{4})\s*[-/.年]?\s*(\d{1,2})\s*[-/.月]?\s*(\d{1,2})日?"
PERIOD: Final = re.compile(rf"{DAY}\s*(?:至|到|-|~|—|–|to)+\s*{DAY}(?!\d)", re.IGNORECASE)
FIRST_DAY: Final = re.compile(rf"(?:起始日期|开始日期|起始日|start date)\s*:?\s*{DAY}", re.IGNORECASE)
LAST_DAY: Final = re.compile(rf"(?:截止日期|结束日期|终止日期|截止日|end date)\s*:?\s*{DAY}", re.IGNORECASE)
ACCOUNT_LABEL: Final = r"(?:查询|本方)?(?:[账帐]\s*号|[账帐]\s*户|卡\s*号|account(?:\s*(?:number|no\.?))?)\s*:?\s*"
ACCOUNT: Final = r"\d[\d*x \-]{2,38}[\d*x]"
AMOUNT: Final = r"(?:\([^)]*\))?[\s:,]*([-+]?\s*[¥￥]?\s*(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d{1,2})?)"
OPENING: Final = re.compile(rf"(?:期初余额|上期余额|上日余额|承前余额|opening balance){AMOUNT}", re.IGNORECASE)
CLOSING: Final = re.compile(rf"(?:期末余额|本期余额|closing balance){AMOUNT}", re.IGNORECASE)
LAST_DIGITS: Final = 4
"""So many have to be seen at least."""
ONE_DAY: Final = timedelta(days=1)
Span = tuple[datetime, datetime, BankFile]


@dataclass(frozen=True)
class Told:
    """What the rows around the lines say; `account` may be masked, `since` and `until` are there both or neither."""

    encoding: str
    account: str = ""
    since: date | None = None
    until: date | None = None
    opening_fen: int | None = None
    closing_fen: int | None = None


@dataclass(frozen=True)
class Way:
    """From the opening to the closing balance; None for either where nothing says it."""

    opening_fen: int | None
    closing_fen: int | None


@dataclass(frozen=True)
class Step:
    at: datetime
    row: int
    before_fen: int
    after_fen: int


def told(encoding: str, rows: Sequence[Sequence[str]]) -> Told:
    """Read from the rows that are no lines, clean cells without the empty ones."""
    texts = [",".join(cells) for cells in rows]  # an amount may have been taken apart at its own commas
    since, until = _period(texts)
    account = next((found for cells in rows if (found := _account(cells))), "")
    return Told(encoding, account, since, until, _balance(OPENING, texts), _balance(CLOSING, texts))


def way(lines: Sequence[Parsed], said: Told) -> Way:
    """Of lines that each count once. Raises StatementIncomplete where it breaks or doesn't lead where the statement
    says, unless lines that could not be read may be the reason."""
    good = [line for line in lines if not line.why]
    unread = len(lines) - len(good)
    steps = [step for line in good if (step := _step(line)) is not None]
    if len(steps) < len(good) or not steps:
        return Way(None, None) if unread else Way(said.opening_fen, said.closing_fen)
    if steps[0].at > steps[-1].at:  # the newest first
        steps.reverse()
    steps.sort(key=lambda step: step.at)
    before, after = Counter(step.before_fen for step in steps), Counter(step.after_fen for step in steps)
    begins, ends = before - after, after - before
    firsts = [step for step in steps if step.before_fen in begins] or steps[:1]
    opening_fen = firsts[0].before_fen
    closing_fen = next((step.after_fen for step in reversed(steps) if step.after_fen in ends), opening_fen)
    if max(begins.total() - 1, 0) > unread:
        row, fen = firsts[1].row, format_fen(firsts[1].before_fen)
        raise StatementIncomplete(
            f"row {row} begins with a balance of CNY {fen}, which no other row ends with: lines before it are missing",
            f"第 {row} 行之前余额为 {fen} 元，与其他各行的余额都接不上，其前缺少明细",
        )
    if not unread:
        _leads(said, opening_fen, closing_fen)
    return Way(opening_fen, closing_fen)


def _step(line: Parsed) -> Step | None:
    if line.at is None or line.balance_fen is None:
        return None
    moved_fen = (line.amount_fen or 0) * (1 if line.direction is Direction.IN else -1)
    return Step(line.at, line.row, line.balance_fen - moved_fen, line.balance_fen)


def _leads(said: Told, opening_fen: int, closing_fen: int) -> None:
    for stated, found, where, where_zh in (
        (said.opening_fen, opening_fen, "first", "首"), (said.closing_fen, closing_fen, "last", "末"),
    ):  # fmt: skip
        if stated not in (None, found):
            raise StatementIncomplete(
                f"its {where} line has a balance of CNY {format_fen(found)} where the statement says"
                f" CNY {format_fen(stated or 0)}",
                f"{where_zh}笔明细对应的余额为 {format_fen(found)} 元，而对账单载明 {format_fen(stated or 0)} 元",
            )


def is_ours(account: str, ours: str) -> bool:
    """Whether an account number that a statement names, some digits hidden or left out in front perhaps, is this one.
    Of ours, too, only the last digits may be known."""
    named, own = (re.sub(r"[^\d*]", "", text.lower().replace("x", "*")) for text in (account, ours))
    if len(named) == len(own):
        return all(one in ("*", other) for one, other in zip(named, own, strict=True))
    seen = named.rpartition("*")[2]
    return len(min(seen, own, key=len)) >= LAST_DIGITS and (own.endswith(seen) or seen.endswith(own))


def is_theirs(line: Parsed, holder: str, account: str) -> bool:
    """Whether a line's other side is this payee, as far as the bank says: by the number, else by the name."""
    if re.search(r"\d", line.party_account) and re.search(r"\d", account):
        return is_ours(line.party_account, account)
    return not (line.party and holder) or _letters(line.party) == _letters(holder)


def _letters(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKC", text).casefold() if sign.isalnum())


def gaps(files: Sequence[BankFile]) -> list[Gap]:
    """Where one statement doesn't go on from the one before it, oldest first. What repeats another's lines goes on from
    it; nothing can be said beside one without balances."""
    found: list[Gap] = []
    seen: list[BankFile] = []
    for last, one in _walk(files):
        if last is not None and not _goes_on(last, one, seen):
            found.append(_gap(last[2], one[2]))
        seen.append(one[2])
    return found


def furthest(files: Sequence[BankFile]) -> BankFile | None:
    """The one at which statements end; of those that end at one instant the one that goes on from the others."""
    found: Span | None = None
    for last, one in _walk(files):
        found = one if last is None or one[1] >= last[1] else last
    return None if found is None else found[2]


def earliest(files: Sequence[BankFile]) -> BankFile | None:
    """The one at which statements with balances begin."""
    return next((one[2] for _, one in _walk([one for one in files if one.opening_fen is not None])), None)


def _walk(files: Sequence[BankFile]) -> Iterator[tuple[Span | None, Span]]:
    """Each statement, oldest first, with the one that reached furthest before it."""
    rest = sorted((span for file in files if (span := _span(file)) is not None), key=lambda span: span[:2])
    last: Span | None = None
    while rest:
        one = _next(rest, last)
        rest.remove(one)
        yield last, one
        if last is None or one[1] >= last[1]:
            last = one


def _span(file: BankFile) -> Span | None:
    return None if file.first_at is None or file.last_at is None else (file.first_at, file.last_at, file)


def _follows(one: BankFile, other: BankFile) -> bool:
    return one.opening_fen is not None and one.opening_fen == other.closing_fen


def _next(rest: Sequence[Span], last: Span | None) -> Span:
    """Of those that begin at one instant, as days without hours do, the one that goes on, or else is nearest."""
    same = [one for one in rest if one[0] == rest[0][0]]
    if last is None:
        begins = [one for one in same if not any(_follows(one[2], other[2]) for other in same if other is not one)]
        same = begins or same
    ends = 0 if last is None else last[2].closing_fen or 0
    return min(same, key=lambda one: abs((one[2].opening_fen or 0) - ends))


def _goes_on(last: Span, one: Span, seen: Sequence[BankFile]) -> bool:
    ends, begins, file = last[2].closing_fen, one[2].opening_fen, one[2]
    if ends is None or begins is None or begins == ends:
        return True
    return any(other.hash in file.repeats or file.hash in other.repeats for other in seen)


def _gap(last: BankFile, file: BankFile) -> Gap:
    assert last.until is not None
    assert file.since is not None
    between = (last.until + ONE_DAY, file.since - ONE_DAY)
    since, until = between if between[0] <= between[1] else (last.until, file.since)
    return Gap(last, file, since, until, (file.opening_fen or 0) - (last.closing_fen or 0))


def _account(cells: Sequence[str]) -> str:
    for cell, following in zip(cells, [*cells[1:], ""], strict=True):
        named = re.match(rf"{ACCOUNT_LABEL}({ACCOUNT})", cell, re.IGNORECASE)
        if named:
            return named.group(1)
        if re.fullmatch(ACCOUNT_LABEL, cell, re.IGNORECASE) and re.fullmatch(ACCOUNT, following, re.IGNORECASE):
            return following
    return ""


def _period(texts: Sequence[str]) -> tuple[date | None, date | None]:
    for text in texts:
        if found := PERIOD.search(text):
            return _in_order(_day(*found.groups()[:3]), _day(*found.groups()[3:]))
    first = next((found for text in texts if (found := FIRST_DAY.search(text))), None)
    last = next((found for text in texts if (found := LAST_DAY.search(text))), None)
    return _in_order(first and _day(*first.groups()), last and _day(*last.groups()))


def _in_order(first: date | None, last: date | None) -> tuple[date | None, date | None]:
    return (first, last) if first is not None and last is not None and first <= last else (None, None)


def _day(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _balance(pattern: re.Pattern[str], texts: Sequence[str]) -> int | None:
    found = next((match for text in texts if (match := pattern.search(text))), None)
    if found is None:
        return None
    try:
        return parse_yuan(re.sub(r"[¥￥\s]", "", found.group(1)))
    except ValueError:
        return None
