"""`shanhe audit`: what was done, by whom, to what, from what to what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from shanhe.cli.common import Data, Json, day_of, find_org, in_city, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.identity.api import AuditRow

LINES_MAX = 500


def audit(
    org: Annotated[str, typer.Option(help="Only what concerns this organisation: id or name.")] = "",
    by: Annotated[str, typer.Option(help="Only what this one did: a login, or person:ID, key:ID, cli:LOGIN.")] = "",
    what: Annotated[str, typer.Option("--object", help="Only what was done to this: an id, or like key:ID.")] = "",
    action: Annotated[
        str, typer.Option(help="Only this act, like key.create, or acts of this kind, like governance.seat.")
    ] = "",
    since: Annotated[str, typer.Option(help="From this day on, like 2026-11-20.")] = "",
    until: Annotated[str, typer.Option(help="Up to this day.")] = "",
    before: Annotated[UUID | None, typer.Option(help="Continue before this row.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LINES_MAX, help="How many at most.")] = 100,
    csv: Annotated[Path | None, typer.Option(help="Write all that fit into this file instead.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Who changed what, when, through which door, from what to what; newest first."""
    from shanhe.identity.api import ActsAsked, acts_csv
    from shanhe.kernel.clock import midnight

    async def work(services: Services) -> Sequence[AuditRow]:
        asked = ActsAsked(
            await services.identity.actor_named(by) if by else None, what or None,
            (await find_org(services, org)).id if org else None, action or None,
            midnight(day_of(since)) if since else None,
            midnight(day_of(until) + timedelta(days=1)) if until else None,
        )  # fmt: skip
        if csv is None:
            return await services.identity.audit(asked, before=before, limit=limit)
        with await asyncio.to_thread(csv.open, "w", encoding="utf-8", newline="") as file:
            async for lines in acts_csv(services.identity, asked):
                await asyncio.to_thread(file.write, lines)
        return ()

    found = in_city(data, work)
    if csv is not None:
        show(as_json, {"file": str(csv)}, lambda: str(csv))
        return
    show(as_json, found, lambda: rows(("time", "actor", "action", "object", "changes", "door"), [
        (row.at, row.actor, row.action, row.object, _changes(row), row.door) for row in found
    ]))  # fmt: skip


def _changes(row: AuditRow) -> str:
    changed = [
        name + ": " + " → ".join("—" if value is None else str(value) for value in values[values[0] is None :])
        for name, *values in row.changes()
    ]
    return "; ".join((*changed, *(f"{name}: …" for name in row.details.get("hidden", ()))))
