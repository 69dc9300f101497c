"""`/api/datasets`: import, look, clean, download, delete."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Depends, Query, Request, Response

from shanhe.datasets.model import Cleaning, Dataset, Version
from shanhe.datasets.service import PREVIEW_MAX, Datasets, NewDataset
from shanhe.identity.api import Actor, org_or_all, org_with
from shanhe.identity.api import actor as actor_of
from shanhe.kernel.errors import Invalid
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter

plainly = partial(as_json, enc_hook=str)
reader = partial(org_or_all, everything="models")
"""None for operators, who see everything; else the organisation."""
Asking = Annotated[Actor, Depends(actor_of)]
Text = Annotated[str, Query(max_length=500)]


def router(datasets: Datasets) -> APIRouter:
    """Everything under /api/datasets."""
    routes = APIRouter(prefix="/api/datasets", tags=["datasets"])
    _reading(routes, datasets)
    _changing(routes, datasets)
    return routes


def _reading(routes: APIRouter, datasets: Datasets) -> None:
    @routes.get("")
    async def every(actor: Asking) -> Response:
        """Data sets of one's organisation; operators see all."""
        return plainly([dataset_view(one) for one in await datasets.datasets(reader(actor))])

    @routes.get("/shared")
    async def shared(actor: Asking) -> Response:
        """Data sets that allies (T14) share with one's organisation, with the versions it may learn from."""
        org_id = org_with(actor, "keys", "models")
        found = await datasets.shared_with(org_id)
        return plainly([
            dataset_view(one) | {"versions": [version_view(v) for v in await datasets.versions(one) if not v.personal]}
            for one in found
        ])  # fmt: skip

    @routes.get("/versions/{version_id}")
    async def version(
        version_id: UUID, actor: Asking, first: Annotated[int, Query(ge=0)] = 0,
        rows: Annotated[int, Query(ge=0, le=PREVIEW_MAX)] = 20,
    ) -> Response:  # fmt: skip
        """A version: recipe, report, and some of its rows."""
        dataset, found = await datasets.readable(version_id, reader(actor))
        preview = [] if found.forgotten_at else await datasets.preview(found, first, rows)
        return plainly(version_view(found) | {"dataset": dataset_view(dataset), "preview": preview})

    @routes.get("/versions/{version_id}/rows")
    async def body(version_id: UUID, actor: Asking) -> Response:
        """All rows as JSONL."""
        _, found = await datasets.readable(version_id, reader(actor))
        return Response(await datasets.body(found), media_type="application/jsonl")

    @routes.get("/{name}")
    async def one(name: str, actor: Asking) -> Response:
        """A data set with its versions and what was made of it."""
        return plainly(await page(datasets, await datasets.dataset(name, reader(actor))))


def _changing(routes: APIRouter, datasets: Datasets) -> None:
    @routes.post("", status_code=201)
    async def bring(
        request: Request, actor: Asking, name: Text, form: Text, licence: Text, consent: Text, file: Text,
        note: Text = "",
    ) -> Response:  # fmt: skip
        """Import the body (JSONL, CSV, XLSX, DOCX, text), called `file`: a new data set, or its next version."""
        org_id = org_with(actor, "keys", "models")
        new = NewDataset(name, form, licence, consent, note)
        found = await datasets.bring(org_id, new, file, await request.body(), by=actor.ref)
        return plainly(version_view(found), 201)

    @routes.post("/versions/{version_id}/clean", status_code=201)
    async def clean(version_id: UUID, request: Request, actor: Asking) -> Response:
        """A cleaner version; the body says how, see the page on data sets."""
        org_with(actor, "keys", "models")
        try:
            wishes = msgspec.json.decode(await request.body() or b"{}", type=Cleaning)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Invalid(
                "bad_cleaning", f"The wishes can't be read: {error}.", message_zh="清洗条件无法读取。"
            ) from error
        return plainly(version_view(await datasets.clean(version_id, reader(actor), wishes, by=actor.ref)), 201)

    @routes.delete("/versions/{version_id}")
    async def forget(version_id: UUID, actor: Asking) -> Response:
        """Delete a version's rows; what was made of them stays known."""
        org_with(actor, "keys", "models")
        return plainly(version_view(await datasets.forget(version_id, reader(actor))))

    @routes.delete("/{name}")
    async def archive(name: str, actor: Asking) -> Response:
        """Delete a data set's rows and take it off the list."""
        org_with(actor, "keys", "models")
        found = await datasets.dataset(name, reader(actor))
        await datasets.archive(found)
        return plainly(dataset_view(found) | {"archived": True})


def dataset_view(one: Dataset) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(one)
    return fields


def version_view(one: Version) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(one)
    return fields | {"sha256": one.sha256.hex()}


async def page(datasets: Datasets, one: Dataset) -> dict[str, Any]:
    """A data set with everything."""
    versions = [version_view(found) for found in await datasets.versions(one)]
    uses: list[Any] = msgspec.to_builtins(await datasets.uses(one))
    return dataset_view(one) | {"versions": versions, "uses": uses}
