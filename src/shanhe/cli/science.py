"""`shanhe science`: open science (T11): deposit, agree, publish, cite, reuse, retract."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, hash_of, id_of, in_city, one_of, pairs, rows, shares_of, show
from shanhe.kernel.errors import Invalid

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.science.api import Science

WHOLE_PPM = 1_000_000
app = typer.Typer(no_args_is_help=True)
Org = Annotated[str, typer.Argument(help="Organisation: id, registration number or a person's login.")]
Output = Annotated[str, typer.Argument(help="Output: its id, or its name like os/000001.")]
Number = Annotated[UUID, typer.Argument(help="Number of the reuse.")]
Ref = Annotated[str, typer.Option("--ref", help="Id: the same one again does it once.")]


@app.command("list")
def list_(
    find: Annotated[str, typer.Option("--find", help="Words of a title or an abstract.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only of this kind.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Published outputs, newest first."""
    from shanhe.kernel.paging import leaves
    from shanhe.science.api import deposit_views

    async def work(services: Services) -> list[dict[str, Any]]:
        science = services.commons.science
        found = await leaves(partial(science.shown, find=find, kind=kind))
        counts = await science.counts(found)
        return await deposit_views(science, found, counts)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("name", "kind", "title", "licence", "reused"), [
        (one["name"], one["kind"], one["title"], one["licence"], one["reused"]) for one in found
    ]))  # fmt: skip


@app.command("show")
def show_(output: Output, data: Data = None, as_json: Json = False) -> None:
    """All of an output: versions, authors, who has not agreed yet."""
    found = in_city(data, lambda services: _view(services, output))
    show(as_json, found, lambda: pairs({
        "name": found["name"], "kind": found["kind"], "title": found["title"], "state": found["state"],
        "licence": found["licence"], "authors": ", ".join(one["name"] for one in found["authors"]),
        "waits for": ", ".join(found["waiting"]),
    }))  # fmt: skip


@app.command()
def deposit(
    org: Org,
    kind: Annotated[str, typer.Argument(help="dataset, intermediate, negative, code or protocol.")],
    title: Annotated[str, typer.Argument(help="What it is called.")],
    licence: Annotated[str, typer.Option("--licence", help="SPDX identifier, like CC-BY-4.0.")],
    abstract: Annotated[str, typer.Option("--abstract", help="What it is about.")] = "",
    link: Annotated[str, typer.Option("--link", help="Where it can be fetched.")] = "",
    document: Annotated[
        Path | None, typer.Option("--file", help="The file; only its hash is kept.", exists=True)
    ] = None,
    author: Annotated[
        list[str] | None, typer.Option("--author", help="Author and share in millionths: ORG=500000; repeat it.")
    ] = None,
    ref: Ref = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Begin a deposit; its other authors are asked whether they are."""
    from shanhe.science.api import Kind, NewVersion

    what, sha256 = one_of(Kind, kind), hash_of(document)

    async def work(services: Services) -> dict[str, Any]:
        own = await services.programmes.find(org)
        authors = await _authors(services, author or [f"{own}={WHOLE_PPM}"])
        new, number = NewVersion(title, abstract, licence, sha256, link, authors), id_of(ref)
        await services.commons.science.deposit(number, what, new, org_id=own, actor=ACTOR)
        return await _view(services, str(number))

    _show(as_json, in_city(data, work))


@app.command()
def agree(
    output: Output,
    org: Org,
    digest: Annotated[
        str, typer.Option("--digest", help="Of the draft that was read, as in “show --json”; refused for another.")
    ] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """As an author of an open draft: one is."""
    _held(
        output, org, data, as_json,
        lambda science, one, own: science.agree(one, org_id=own, actor=ACTOR, digest=digest or None),
    )  # fmt: skip


@app.command()
def publish(
    output: Output,
    org: Org,
    dataset: Annotated[str, typer.Option("--dataset", help="Id of the data set of this city that it describes.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make the draft public, for good."""
    _held(
        output, org, data, as_json,
        lambda science, one, own: science.publish(one, org_id=own, actor=ACTOR, dataset=dataset),
    )  # fmt: skip


@app.command()
def retract(
    output: Output, reason: Annotated[str, typer.Option("--reason", help="Why.")], data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Take back what is public; it stays to be seen as retracted."""

    async def work(services: Services) -> dict[str, Any]:
        science = services.commons.science
        await science.retract(await science.find(output), reason=reason, org_id=None, actor=ACTOR)
        return await _view(services, output)

    _show(as_json, in_city(data, work))


@app.command()
def cite(
    output: Output,
    form: Annotated[str, typer.Option("--form", help="cff, bibtex or datacite.")] = "cff",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """How to cite an output."""
    from shanhe.science.api import FORMATS, cited
    from shanhe.science.api import cite as cite_as

    if form not in FORMATS:
        raise Invalid(
            "unknown_format", f"Formats are {', '.join(FORMATS)}.", message_zh=f"格式为 {'、'.join(FORMATS)}。"
        )

    async def work(services: Services) -> str:
        science, settings = services.commons.science, services.settings
        found = await science.get(await science.find(output))
        return cite_as(await cited(science, found, url=settings.url, publisher=settings.city_name), form).decode()

    found = in_city(data, work)
    show(as_json, {"form": form, "text": found}, lambda: found)


@app.command()
def declare(
    output: Output,
    org: Org,
    how: Annotated[str, typer.Argument(help="deposit, listing, model, dataset or paper.")],
    thing: Annotated[str, typer.Argument(help="What reuses it: a name, an id, a DOI.")],
    ref: Ref = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say that something of an organisation's reuses an output."""
    from shanhe.science.api import How

    way = one_of(How, how)

    async def work(services: Services) -> dict[str, Any]:
        science = services.commons.science
        own, number = await services.programmes.find(org), id_of(ref)
        await science.declare(number, await science.find(output), way, thing, org_id=own, actor=ACTOR)
        return await _reuse(services, number)

    _show_reuse(as_json, in_city(data, work))


@app.command()
def confirm(reuse: Number, org: Org, data: Data = None, as_json: Json = False) -> None:
    """As an author of what was reused: it was."""
    _judged(reuse, org, data, as_json, lambda science, own: science.confirm(reuse, org_id=own, actor=ACTOR))


@app.command()
def refuse(
    reuse: Number, org: Org, reason: Annotated[str, typer.Option("--reason", help="Why.")], data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """As an author of what was reused: it was not."""
    _judged(
        reuse, org, data, as_json, lambda science, own: science.refuse(reuse, reason=reason, org_id=own, actor=ACTOR)
    )


@app.command()
def reuses(
    output: Annotated[str, typer.Option("--of", help="Only of this output.")] = "", data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Who reused an output, or (without one) what nobody has decided about."""
    from shanhe.science.api import reuse_views

    async def work(services: Services) -> list[dict[str, Any]]:
        science = services.commons.science
        found = await science.reuses(await science.find(output)) if output else await science.queue()
        return await reuse_views(science, found, whole=True)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "output", "by", "how", "ref", "state"), [
        (one["id"], one["deposit_name"], one["by"], one["how"], one["ref"], one["state"]) for one in found
    ]))  # fmt: skip


def _held(
    output: str, org: str, data: Path | None, as_json: bool, act: Callable[[Science, UUID, UUID], Awaitable[object]]
) -> None:
    """What an author does with an output, (science, output, author), and where it stands then."""

    async def work(services: Services) -> dict[str, Any]:
        science = services.commons.science
        await act(science, await science.find(output), await services.programmes.find(org))
        return await _view(services, output)

    _show(as_json, in_city(data, work))


def _judged(
    reuse: UUID, org: str, data: Path | None, as_json: bool, act: Callable[[Science, UUID], Awaitable[object]]
) -> None:
    """What an author says of a reuse, (science, author), and where it stands then."""

    async def work(services: Services) -> dict[str, Any]:
        await act(services.commons.science, await services.programmes.find(org))
        return await _reuse(services, reuse)

    _show_reuse(as_json, in_city(data, work))


async def _view(services: Services, output: str) -> dict[str, Any]:
    from shanhe.science.api import own_view

    science = services.commons.science
    identifier = await science.find(output)
    owner = await science.owner(identifier)
    return await own_view(science, await science.get(identifier, owner), owner)


async def _reuse(services: Services, number: UUID) -> dict[str, Any]:
    from shanhe.science.api import reuse_view

    science = services.commons.science
    return await reuse_view(science, await science.reuse(number), whole=True)


async def _authors(services: Services, given: Sequence[str]) -> tuple[tuple[UUID, int], ...]:
    wrong = Invalid("bad_author", "Write an author as ORG=500000.", message_zh="作者请写作 机构=500000。")
    return await shares_of(services, given, wrong)


def _show(as_json: bool, found: dict[str, Any]) -> None:
    waits = ", ".join(found["waiting"])
    show(as_json, found, lambda: f"✓ {found['name']} {found['state']}" + (f" · waits for {waits}" if waits else ""))


def _show_reuse(as_json: bool, found: dict[str, Any]) -> None:
    show(as_json, found, lambda: f"✓ {found['deposit_name']} ← {found['by']}: {found['state']} · {found['id']}")
