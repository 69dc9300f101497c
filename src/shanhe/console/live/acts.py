"""The record of acts as a page shows it: officers and organisations by name, everybody else by the end of their id."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.console import model_city as mc
from shanhe.console.live.modules import Names
from shanhe.identity.api import ActsAsked, AuditRow, Identity, acts_csv, text_of
from shanhe.kernel.clock import CITY_TZ, midnight
from shanhe.kernel.ids import id_in

ROWS_SHOWN: Final = 50
DAY: Final = timedelta(days=1)
DONE: Final = ("add", "change", "remove")
"""What a change of a watched row is called in the record, after the row's table."""
ORG_KINDS: Final = ("org", "org_id", "owner")
INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[\d.]+[+-]\d\d:\d\d$")
HASH: Final = re.compile(r"\\x[0-9a-f]{32,}$")
Called = Callable[[str], Awaitable[str]]
LISTS = ("registrations", "people")
"""What the record names that is no single thing."""


class Acts:
    """Reads the record for the auditors' page."""

    def __init__(self, identity: Identity, names: Names) -> None:
        self._identity = identity
        self._names = names

    async def rows(self, wanted: mc.ActsWanted, before: UUID | None) -> Sequence[mc.AuditRow]:
        called = self._names.actors()
        found = await self._identity.audit(await self._asked(wanted), before=before, limit=ROWS_SHOWN)
        await called.know(text for row in found for text in (row.actor, row.object))
        orgs = await self._names.owners(org for row in found for org in _organisations(row))
        return [await self._row(row, called, orgs) for row in found]

    async def sheet(self, wanted: mc.ActsWanted) -> AsyncIterator[str]:
        return acts_csv(self._identity, await self._asked(wanted))

    async def _asked(self, wanted: mc.ActsWanted) -> ActsAsked:
        days = wanted.days
        return ActsAsked(
            actor=await self._identity.actor_named(wanted.by) if wanted.by else None,
            object=await self._object(wanted.about) if wanted.about else None, action=wanted.action or None,
            since=midnight(days.since) if days.since else None,
            until=midnight(days.until + DAY) if days.until else None,
        )  # fmt: skip

    async def _object(self, about: str) -> str:
        """What the record calls what a clerk means: as it writes it, any id, or an organisation by its whole name."""
        if ":" in about or about in LISTS or id_in(about) is not None:
            return about
        return f"org:{await self._names.organisation(about)}"

    async def _row(self, row: AuditRow, called: Called, orgs: Mapping[UUID, str]) -> mc.AuditRow:
        thing, _, done = row.action.rpartition(".")
        changed = done in DONE
        told = [(name, text_of(value)) for name, value in row.details.items() if name not in AuditRow.OF_CHANGES]
        return mc.AuditRow(
            row.at, await called(row.actor), row.action, await self._subject(row.object, called, orgs), "", row.id,
            row.object, [(name, value) for name, value in told if value],
            by=row.actor, door=row.door, thing=thing.replace(".", "_") if changed else "", done=done if changed else "",
            changes=[(name, await self._value(name, was, called, orgs), await self._value(name, becomes, called, orgs))
                     for name, was, becomes in row.changes()],
            hidden=list(row.details.get("hidden", ())),
        )  # fmt: skip

    async def _subject(self, object_: str, called: Called, orgs: Mapping[UUID, str]) -> str:
        """What was acted upon: organisations and officers by name, anything else by the end of its id."""
        kind, _, number = object_.partition(":")
        if kind == "org" and (org := id_in(number)) is not None:
            return orgs[org]
        if "." in kind:
            return " / ".join(
                ["…" + part[-8:] if id_in(part) or HASH.match(part) else part for part in number.split("/")]
            )
        return await called(object_)

    async def _value(self, name: str, value: Any, called: Called, orgs: Mapping[UUID, str]) -> str:
        text = text_of(value)
        if INSTANT.match(text):
            return f"{datetime.fromisoformat(text).astimezone(CITY_TZ):%Y-%m-%d %H:%M:%S}"
        number = id_in(text)
        if number is not None:
            if name in ORG_KINDS:
                return orgs[number]
            return await called(f"person:{text}") if name == "person_id" else f"…{text[-8:]}"
        return await called(text) if text.startswith(("person:", "key:")) else text


def _organisations(row: AuditRow) -> Iterator[UUID]:
    """Those that a row names, of which a page asks at once what they are called."""
    kind, _, number = row.object.partition(":")
    values = [number] if kind == "org" else []
    for name, was, becomes in row.changes():
        if name in ORG_KINDS:
            values += [text_of(was), text_of(becomes)]
    yield from filter(None, map(id_in, values))
