"""Many applications from one table: each row is checked and reported, and either all of them are recorded or none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from shanhe.kernel.documents.tables import read_table
from shanhe.kernel.errors import ShanheError
from shanhe.programmes import store
from shanhe.programmes.applying import Applying, Prepared
from shanhe.programmes.cases import State
from shanhe.programmes.errors import AlreadyClaimed, AskAgain, ImportRefused
from shanhe.programmes.forms import from_text
from shanhe.programmes.ground import Ground
from shanhe.programmes.model import Programme, Text

PARTY: Final = ("party", "主体", "申请人", "applicant")
BATCH_MAX_CHARS: Final = 64
ALONE: Final = Text(
    zh="该计划按此前获批情况即时核定，每次只能导入一行",
    en="this programme decides at once by what was awarded before: import its rows one at a time",
)


@dataclass(frozen=True, slots=True)
class RowReport:
    """One row: its number in the file, and its application or what is wrong with it. `known`: imported before.
    `becomes`: the state of what it would be, and `why` that is a refusal."""

    row: int
    party: str
    application: UUID | None
    known: bool
    problem: tuple[str, str] | None
    becomes: State | None = None
    why: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ImportReport:
    """`recorded`: whether the rows are applications now; when any row has a problem none is."""

    recorded: bool
    rows: tuple[RowReport, ...]

    @property
    def sound(self) -> bool:
        """Whether no row has a problem."""
        return not any(row.problem for row in self.rows)


class Importing:
    """Departments that apply for many: a bureau for its graduates, an incubator for its companies."""

    def __init__(self, ground: Ground, applying: Applying) -> None:
        self._ground = ground
        self._applying = applying

    async def run(self, programme_id: str, data: bytes, *, batch: str, actor: str, check: bool = False) -> ImportReport:
        """Import a CSV or XLSX file; with `check` only say what that would make of it. The same batch again is
        recognised row by row; nothing is recorded twice."""
        programme = self._ground.programme(programme_id)
        if not 1 <= len(batch) <= BATCH_MAX_CHARS:
            raise ImportRefused(
                f"批次名须为 1–{BATCH_MAX_CHARS} 字", f"the batch's name has 1 to {BATCH_MAX_CHARS} characters"
            )
        header, rows = await asyncio.to_thread(read_table, data)
        columns = _columns(programme, header)
        reports, prepared, seen = list[RowReport](), list[tuple[int, str, Prepared]](), dict[bytes, int]()
        for number, row in rows:
            word = next((row[name] for name in header if name.lower() in PARTY), "")
            report, one = await self._check(programme, word, row, columns, f"{batch}:{number}", actor)
            twice = next((seen[key] for key in one.claims if key in seen), None) if one is not None else None
            if twice is not None:
                report, one = _bad(number, word, f"与第 {twice} 行重复", f"it repeats row {twice}"), None
            if one is not None and one.application.state is State.APPROVED and programme.remembers and prepared:
                report, one = _bad(number, word, ALONE.zh, ALONE.en), None
            if one is not None:
                seen |= dict.fromkeys(one.claims, number)
                prepared.append((number, word, one))
            reports.append(report if report.row else _at(report, number))
        found = ImportReport(False, tuple(reports))
        return found if check or not found.sound else await self._record(prepared, reports)

    async def _check(
        self, programme: Programme, word: str, row: Mapping[str, str], columns: Mapping[str, tuple[str, str]],
        client_ref: str, actor: str,
    ) -> tuple[RowReport, Prepared | None]:  # fmt: skip
        answers = {name: from_text(programme.asks[name], row[column])
                   for column, (kind, name) in columns.items() if kind == "answer" and row.get(column)}  # fmt: skip
        evidence = {
            name: row[column] for column, (kind, name) in columns.items() if kind == "evidence" and row.get(column)
        }
        try:
            org_id = await self._ground.find(word)
            known = await store.by_ref(self._ground.db, org_id, client_ref)
            if known is not None:
                same = await self._applying.same(known, programme.id, answers, evidence, client_ref)
                return RowReport(0, word, same.id, True, None), None
            one = await self._applying.prepare(
                programme.id, org_id, answers=answers, evidence=evidence, client_ref=client_ref, actor=actor
            )
        except ShanheError as error:
            return _bad(0, word, error.message_zh, error.message), None
        becomes = one.application.state
        why = one.outcome.reasons if becomes is State.REFUSED else ()
        return RowReport(0, word, one.application.id, False, None, becomes, tuple((r.zh, r.en) for r in why)), one

    async def _record(self, prepared: list[tuple[int, str, Prepared]], reports: list[RowReport]) -> ImportReport:
        """All rows in one transaction; a claim that somebody else took in between takes them all back."""
        current = 0
        try:
            async with self._ground.db.transaction() as conn:
                for number, _, one in prepared:
                    current = number
                    if not await self._applying.insert(conn, one):
                        raise AskAgain  # the same batch came twice at once; the other one recorded it
        except AlreadyClaimed as error:
            failed = [_bad(r.row, r.party, error.message_zh, error.message) if r.row == current else r for r in reports]
            return ImportReport(False, tuple(failed))
        return ImportReport(True, tuple(reports))


def _columns(programme: Programme, header: list[str]) -> dict[str, tuple[str, str]]:
    """What each column is: an answer or a document, by its name or its title in either language."""
    words: dict[str, tuple[str, str]] = {}
    for name, ask in programme.asks.items():
        if ask.by == "applicant":
            words |= dict.fromkeys((name, ask.zh, ask.en.lower()), ("answer", name))
    for name, proof in programme.evidence.items():
        words |= dict.fromkeys((name, proof.zh, proof.en.lower()), ("evidence", name))
    unknown = [column for column in header if column.lower() not in PARTY and column.lower() not in words]
    if unknown:
        raise ImportRefused(f"不认识的列：{'、'.join(unknown)}", f"these columns are not known: {', '.join(unknown)}")
    if not any(column.lower() in PARTY for column in header):
        raise ImportRefused("缺少“主体”列", "there is no column `party`")
    return {column: words[column.lower()] for column in header if column.lower() in words}


def _bad(row: int, party: str, zh: str, en: str) -> RowReport:
    return RowReport(row, party, None, False, (zh, en))


def _at(report: RowReport, row: int) -> RowReport:
    return replace(report, row=row)
