"""`shanhe audit`: what was done, by whom, to what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from shanhe.cli.common import Data, Json, find_org, in_city, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.identity.api import AuditRow

LINES_MAX = 500


def audit(
    org: Annotated[str, typer.Option(help="Only what concerns this organisation: id or name.")] = "",
    what: Annotated[str, typer.Option("--object", help="Only what was done to this, like key:ID.")] = "",
    before: Annotated[UUID | None, typer.Option(help="Continue before this row.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LINES_MAX, help="How many at most.")] = 100,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What operators and owners did, newest first."""

    async def work(services: Services) -> Sequence[AuditRow]:
        owner = (await find_org(services, org)).id if org else None
        return await services.identity.audit(object_=what or None, org_id=owner, before=before, limit=limit)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("time", "actor", "action", "object"), [
        (row.at, row.actor, row.action, row.object) for row in found
    ]))  # fmt: skip
