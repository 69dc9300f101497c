"""`shanhe datasets`: data to learn from: import, look, clean, follow, delete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, find_org, in_city, pairs, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Org = Annotated[str, typer.Option(help="Organisation that owns it: id or name.")]
Name = Annotated[str, typer.Argument(help="Id of the data set.")]
VersionId = Annotated[UUID, typer.Argument(help="Id of the version.")]


@app.command("import")
def bring(
    file: Annotated[Path, typer.Argument(help="JSONL, CSV (UTF-8 or GBK), XLSX, DOCX or text.", exists=True)],
    org: Org,
    name: Annotated[str, typer.Option(help="Name of the data set; one that exists gets another version.")],
    licence: Annotated[str, typer.Option(help="Under which licence it may be used.")],
    consent: Annotated[str, typer.Option(help="Why it may be used: own, consent, contract, public.")],
    form: Annotated[str, typer.Option(help="pairs, errors (an error book) or text.")] = "pairs",
    note: Annotated[str, typer.Option(help="What else is worth knowing.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Import a file."""
    from shanhe.datasets.api import NewDataset
    from shanhe.datasets.routes import version_view

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        new = NewDataset(name, form, licence, consent, note)
        found = await services.workshop.datasets.bring(owner.id, new, file.name, file.read_bytes(), by=ACTOR)
        return version_view(found)

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['id']}: version {found['number']}, {found['rows']} rows")


@app.command("list")
def list_datasets(org: Org = "", data: Data = None, as_json: Json = False) -> None:
    """Data sets, the newest first."""
    from shanhe.datasets.routes import dataset_view

    async def work(services: Services) -> Any:
        org_id = (await find_org(services, org)).id if org else None
        return [dataset_view(one) for one in await services.workshop.datasets.datasets(org_id)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "name", "form", "licence", "consent"), [
        (one["id"], one["name"], one["form"], one["licence"], one["consent"]) for one in found
    ]))  # fmt: skip


@app.command("show")
def show_dataset(name: Name, data: Data = None, as_json: Json = False) -> None:
    """A data set, its versions, and what was made of it."""
    from shanhe.datasets.routes import page

    async def work(services: Services) -> Any:
        datasets = services.workshop.datasets
        return await page(datasets, await datasets.dataset(name, None))

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("version", "id", "rows", "personal", "step", "sha256"), [
        (one["number"], one["id"], one["rows"], one["personal"], one["recipe"]["step"], one["sha256"][:12])
        for one in found["versions"]
    ], right=("rows", "personal")))  # fmt: skip


@app.command()
def preview(version: VersionId, most: int = 10, data: Data = None, as_json: Json = False) -> None:
    """A version's report and its first rows."""

    async def work(services: Services) -> Any:
        _, found = await services.workshop.datasets.version(version, None)
        return {"report": found.report, "rows": await services.workshop.datasets.preview(found, most=most)}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found["report"]))


@app.command()
def clean(
    version: VersionId,
    personal: Annotated[str, typer.Option(help="Personal data: mask, drop or keep.")] = "mask",
    similar_bps: Annotated[int, typer.Option(help="Rows at least so alike count as one; 0 = keep all.")] = 8_000,
    chars_min: int = 4,
    chars_max: int = 8_000,
    language: Annotated[
        list[str] | None, typer.Option(help="Keep rows of this language only; may be given twice.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A cleaner version of a version."""
    from shanhe.datasets.api import Cleaning
    from shanhe.datasets.routes import version_view

    wishes = Cleaning(personal, similar_bps, chars_min, chars_max, tuple(language or ()))

    async def work(services: Services) -> Any:
        return version_view(await services.workshop.datasets.clean(version, None, wishes, by=ACTOR))

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['id']}: version {found['number']}, {found['rows']} rows")


@app.command()
def forget(version: VersionId, data: Data = None, as_json: Json = False) -> None:
    """Delete a version's rows for good; hash, report and lineage stay."""
    from shanhe.datasets.routes import version_view

    async def work(services: Services) -> Any:
        return version_view(await services.workshop.datasets.forget(version, None))

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['id']}: rows deleted")


@app.command()
def archive(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Delete a data set's rows and take it off the list."""
    from shanhe.datasets.routes import dataset_view

    async def work(services: Services) -> Any:
        found = await services.workshop.datasets.dataset(name, None)
        await services.workshop.datasets.archive(found)
        return dataset_view(found) | {"archived": True}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['name']}: archived")
