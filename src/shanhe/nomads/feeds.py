"""Records that lodgings and co-working spaces keep anyway: tables or JSON of who was there when, reported by row."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from shanhe.kernel.documents.tables import ImportRefused, read_table
from shanhe.kernel.errors import ShanheError
from shanhe.nomads.errors import NeedsConsent
from shanhe.nomads.ground import Ground
from shanhe.nomads.model import FeedRow, Proof, Venue, VenueKind
from shanhe.nomads.presence import Presence

ROWS_MAX: Final = 2_000
NIGHTS_MAX: Final = 31
COLUMNS: Final = {
    "nomad": ("nomad", "游民编号", "编号", "number"),
    "date": ("date", "日期", "入住日", "入住日期", "day"),
    "nights": ("nights", "晚数", "天数"),
}
PROOFS: Final = {VenueKind.LODGING: Proof.LODGING, VenueKind.SPACE: Proof.COWORKING}
Row = tuple[int, Mapping[str, str]]


class Feeds:
    """Good rows count at once, bad ones are named; the same file again counts nothing twice."""

    def __init__(self, ground: Ground, presence: Presence) -> None:
        self._ground = ground
        self._presence = presence

    async def run(self, venue: Venue, data: bytes) -> list[FeedRow]:
        """Import a CSV (UTF-8 or GBK), XLSX or JSON file of a venue. ImportRefused when it is no table at all."""
        proof = PROOFS.get(venue.kind)
        if proof is None:
            raise ImportRefused("只有住宿与共享办公场所可以报送", "only lodgings and co-working spaces report")
        rows = _json(data) if data.lstrip()[:1] in (b"[", b"{") else await asyncio.to_thread(_table, data)
        if len(rows) > ROWS_MAX:
            raise ImportRefused(f"超过 {ROWS_MAX} 行", f"it has more than {ROWS_MAX} rows")
        return [line for number, row in rows for line in await self._row(venue, proof, number, row)]

    async def _row(self, venue: Venue, proof: Proof, number: int, row: Mapping[str, str]) -> list[FeedRow]:
        word, text = row.get("nomad", ""), row.get("date", "")
        try:
            first, nights = date.fromisoformat(text), int(row.get("nights") or 1)
            if not 1 <= nights <= NIGHTS_MAX:
                raise ValueError("nights")
            days = [first + timedelta(days=n) for n in range(nights)]
        except (ValueError, OverflowError):
            return [_line(number, word, text, "refused", f"日期须形如 2026-01-31，晚数 1–{NIGHTS_MAX}",
                          f"a date like 2026-01-31 and 1 to {NIGHTS_MAX} nights")]  # fmt: skip
        return [await self._day(venue, proof, number, word, day) for day in days]

    async def _day(self, venue: Venue, proof: Proof, number: int, word: str, day: date) -> FeedRow:
        text = day.isoformat()
        try:
            nomad = await self._presence.by_number(word)
            if not await self._presence.consented(nomad.person_id):
                raise NeedsConsent
            if await self._presence.record(nomad, day, proof, venue):
                return _line(number, word, text, "counted", "已计入", "counted")
            if proof is Proof.LODGING and await self._presence.elsewhere(nomad, day, venue):
                return _line(number, word, text, "conflict", "同一晚另有住宿记录，只计一天，请核对",
                             "another lodging reported this night; it counts once, please check")  # fmt: skip
        except ShanheError as error:
            return _line(number, word, text, "refused", error.message_zh.rstrip("。"), error.message.rstrip("."))
        return _line(number, word, text, "known", "此前已计", "counted before")


def _line(row: int, nomad: str, day: str, outcome: str, zh: str, en: str) -> FeedRow:
    return FeedRow(row, nomad[:40], day[:20], outcome, zh, en)


def _table(data: bytes) -> list[Row]:
    header, rows = read_table(data)
    names = {column: _named(column) for column in header}
    missing = [name for name in ("nomad", "date") if name not in names.values()]
    if missing:
        raise ImportRefused(
            f"缺少列：{'、'.join(COLUMNS[name][1] for name in missing)}", f"it lacks {', '.join(missing)}"
        )
    return [(number, {name: row[column] for column, name in names.items() if name and column in row})
            for number, row in rows]  # fmt: skip


def _named(column: str) -> str:
    return next((name for name, words in COLUMNS.items() if column.strip().lower() in words), "")


def _json(data: bytes) -> list[Row]:
    try:
        found: Any = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise ImportRefused("JSON 格式有误", "it is no JSON") from error
    items = found.get("data") if isinstance(found, dict) else found
    if not isinstance(items, Sequence) or isinstance(items, str) or not all(isinstance(i, dict) for i in items):
        raise ImportRefused("JSON 须为对象数组", "JSON is a list of objects with nomad and date")
    return [(n, {name: str(item[name]) for name in COLUMNS if item.get(name) is not None})
            for n, item in enumerate(items, 1)]  # fmt: skip
