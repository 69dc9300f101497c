"""`shanhe batches`: work that may wait: what is ordered, how far it is, and stopping it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import Data, Json, find_org, in_city, pairs, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Id of the batch, as batch_….")]


@app.command("list")
def list_batches(
    org: Annotated[str, typer.Option(help="Only of this organisation: id or name.")] = "",
    limit: int = 20,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Batches, the newest first."""
    from shanhe.batches.api import batch_view

    async def work(services: Services) -> Any:
        org_id = (await find_org(services, org)).id if org else None
        page, _ = await services.workshop.batches.batches(org_id, limit=limit)
        return [batch_view(one) | {"org_id": one.org_id} for one in page]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "status", "lines", "done", "failed"), [
        (one["id"], one["status"], *one["request_counts"].values()) for one in found
    ], right=("lines", "done", "failed")))  # fmt: skip


@app.command("show")
def show_batch(name: Name, data: Data = None, as_json: Json = False) -> None:
    """One batch."""
    from shanhe.batches.api import batch_id, batch_view

    async def work(services: Services) -> Any:
        return batch_view(await services.workshop.batches.batch(batch_id(name), None))

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({name: value for name, value in found.items() if value is not None}))


@app.command()
def cancel(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Run nothing more of a batch; what runs is finished."""
    from shanhe.batches.api import batch_id, batch_view

    async def work(services: Services) -> Any:
        return batch_view(await services.workshop.batches.cancel(batch_id(name), None))

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['id']}: {found['status']}")
