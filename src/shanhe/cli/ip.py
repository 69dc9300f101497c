"""`shanhe ip`: the registry of rights (T15, T16): register, consent, verify, offer, what a right earned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import (
    ACTOR,
    Data,
    Json,
    day_of,
    hash_of,
    id_of,
    in_city,
    moment_of,
    one_of,
    pairs,
    person_of,
    rows,
    says,
    shares_of,
    show,
)
from shanhe.kernel.errors import Invalid
from shanhe.kernel.money import format_credits

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.ip.api import Rights

WHOLE_PPM = 1_000_000
PERCENT_PPM = 10_000
app = typer.Typer(no_args_is_help=True)
Org = Annotated[str, typer.Argument(help="Organisation: id, registration number or a person's login.")]
Entry = Annotated[str, typer.Argument(help="Entry: its id, or its name like ip/000001.")]
By = Annotated[str, typer.Option("--by", help="Login of the reviewer who decides.")]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]
Holder = Annotated[
    list[str] | None, typer.Option("--holder", help="Holder and share in millionths: ORG=500000; repeat it.")
]
Rate = Annotated[int, typer.Option("--rate", help="Part of a call's price in millionths; 0: calls may not use it.")]


@app.command("list")
def list_(
    find: Annotated[str, typer.Option("--find", help="Part of a title, a number.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only of this kind.")] = "",
    pooled: Annotated[bool, typer.Option("--pooled", help="Only what calls may use.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Verified rights, newest first."""
    from shanhe.ip.api import public_views
    from shanhe.kernel.paging import leaves

    async def work(services: Services) -> list[dict[str, Any]]:
        rights = services.commons.rights
        return await public_views(rights, await leaves(partial(rights.shown, find=find, kind=kind, pooled=pooled)))

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("name", "kind", "number", "title", "rate"), [
        (one["name"], one["kind"], one["number"], one["title"], _percent(one["rate_ppm"])) for one in found
    ]))  # fmt: skip


@app.command("show")
def show_(entry: Entry, data: Data = None, as_json: Json = False) -> None:
    """All of an entry: terms with consents, history, what calls paid."""
    found = in_city(data, lambda services: _view(services, entry))
    show(as_json, found, lambda: pairs({
        "name": found["name"], "kind": found["kind"], "number": found["number"], "title": found["title"],
        "state": found["state"], "reason": found["reason"], "rate": _percent(found["rate_ppm"]),
        "waits for": ", ".join(one["name"] for one in found["waiting"]), "calls": found["calls"],
        "earned": format_credits(found["earned_micro"]),
    }))  # fmt: skip


@app.command()
def register(
    org: Org,
    kind: Annotated[str, typer.Argument(help="software_copyright, invention_patent, ai_invention_patent, …")],
    title: Annotated[str, typer.Argument(help="What the right is called.")],
    number: Annotated[str, typer.Option("--number", help="Registration number.")] = "",
    granted: Annotated[str, typer.Option("--granted", help="Day of grant or registration.")] = "",
    applied: Annotated[str, typer.Option("--applied", help="Day of application.")] = "",
    office: Annotated[str, typer.Option("--office", help="Who registered it.")] = "",
    abstract: Annotated[str, typer.Option("--abstract", help="What everybody may read of it.")] = "",
    document: Annotated[
        Path | None, typer.Option("--document", help="The certificate; only its hash is kept.", exists=True)
    ] = None,
    holder: Holder = None,
    rate: Rate = 0,
    ref: Annotated[str, typer.Option("--ref", help="Id: the same one again registers once.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Begin an entry; other holders are asked to consent, then it is filed."""
    from shanhe.ip.api import Kind, NewEntry

    what, sha256 = one_of(Kind, kind), hash_of(document)

    async def work(services: Services) -> dict[str, Any]:
        own = await services.programmes.find(org)
        shares = await _shares(services, holder or [f"{own}={WHOLE_PPM}"])
        new = NewEntry(
            id_of(ref), what, number, title, abstract, office,
            day_of(applied) if applied else None, day_of(granted) if granted else None, sha256, shares, rate or None,
        )  # fmt: skip
        await services.commons.rights.draft(new, org_id=own, actor=ACTOR)
        return await _view(services, str(new.id))

    _show(as_json, in_city(data, work))


@app.command()
def answer(
    entry: Entry,
    org: Org,
    word: Annotated[str, typer.Argument(help="accept or decline.")],
    n: Annotated[
        int | None, typer.Option("--n", min=1, help="Which terms were read, as in “show --json”; refused for others.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Consent to the terms that wait, or decline them, for a holder."""
    accept = says(word, "accept", "decline")
    _held(
        entry, org, data, as_json,
        lambda rights, one, own: rights.answer(one, org_id=own, accept=accept, actor=ACTOR, n=n),
    )  # fmt: skip


@app.command()
def file(entry: Entry, org: Org, data: Data = None, as_json: Json = False) -> None:
    """Hand an entry to the office."""
    _held(entry, org, data, as_json, lambda rights, one, own: rights.file(one, org_id=own, actor=ACTOR))


@app.command()
def terms(
    entry: Entry, org: Org, holder: Holder = None, rate: Rate = 0, data: Data = None, as_json: Json = False
) -> None:
    """Propose other shares or another rate, for a holder; without --holder the shares stay."""

    async def work(services: Services) -> dict[str, Any]:
        rights = services.commons.rights
        identifier, own = await rights.find(entry), await services.programmes.find(org)
        standing = (await rights.get(identifier, officer=True)).in_force
        shares = await _shares(services, holder) if holder else standing.shares if standing else ()
        await rights.propose(identifier, shares, rate or None, org_id=own, actor=ACTOR)
        return await _view(services, entry)

    _show(as_json, in_city(data, work))


@app.command()
def withdraw(entry: Entry, org: Org, data: Data = None, as_json: Json = False) -> None:
    """Take an entry back."""
    _held(entry, org, data, as_json, lambda rights, one, own: rights.withdraw(one, org_id=own, actor=ACTOR))


@app.command()
def queue(by: By, data: Data = None, as_json: Json = False) -> None:
    """What waits for the office, oldest first."""
    from shanhe.ip.api import line_views

    async def work(services: Services) -> list[dict[str, Any]]:
        rights = services.commons.rights
        return await line_views(rights, await rights.queue(await person_of(services, by)), None)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("name", "kind", "number", "title", "by"), [
        (one["name"], one["kind"], one["number"], one["title"], one["registered_by"]) for one in found
    ]))  # fmt: skip


@app.command()
def decide(
    entry: Entry,
    verdict: Annotated[str, typer.Argument(help="verify or refuse.")],
    by: By,
    reason: Reason,
    filed_at: Annotated[
        str,
        typer.Option(
            "--filed-at", help="When what was read was handed in, as in “show --json”; refused where it was since."
        ),
    ] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Verify a filed entry or refuse it, as a reviewer of the office."""
    verify, filed = says(verdict, "verify", "refuse"), moment_of(filed_at) if filed_at else None

    async def work(services: Services) -> dict[str, Any]:
        rights, person = services.commons.rights, await person_of(services, by)
        await rights.decide(await rights.find(entry), verify=verify, reason=reason, person_id=person, filed_at=filed)
        return await _view(services, entry)

    _show(as_json, in_city(data, work))


@app.command()
def lapse(entry: Entry, by: By, reason: Reason, data: Data = None, as_json: Json = False) -> None:
    """A verified right is one no more, as a reviewer of the office."""

    async def work(services: Services) -> dict[str, Any]:
        rights = services.commons.rights
        await rights.lapse(await rights.find(entry), reason=reason, person_id=await person_of(services, by))
        return await _view(services, entry)

    _show(as_json, in_city(data, work))


def _held(
    entry: str, org: str, data: Path | None, as_json: bool, act: Callable[[Rights, UUID, UUID], Awaitable[object]]
) -> None:
    """What a holder does with an entry, (rights, entry, holder), and where it stands then."""

    async def work(services: Services) -> dict[str, Any]:
        rights = services.commons.rights
        await act(rights, await rights.find(entry), await services.programmes.find(org))
        return await _view(services, entry)

    _show(as_json, in_city(data, work))


async def _view(services: Services, entry: str) -> dict[str, Any]:
    from shanhe.ip.api import own_view

    rights = services.commons.rights
    found = await rights.get(await rights.find(entry), officer=True)
    return await own_view(rights, found, None, services.clock.today())


async def _shares(services: Services, given: Sequence[str]) -> tuple[tuple[UUID, int], ...]:
    wrong = Invalid("bad_holder", "Write a holder as ORG=500000.", message_zh="权利人请写作 机构=500000。")
    return await shares_of(services, given, wrong)


def _percent(ppm: int | None) -> str:
    return "—" if ppm is None else f"{ppm / PERCENT_PPM:g} %"


def _show(as_json: bool, found: dict[str, Any]) -> None:
    waits = ", ".join(one["name"] for one in found["waiting"])
    show(as_json, found, lambda: f"✓ {found['name']} {found['state']}" + (f" · waits for {waits}" if waits else ""))
