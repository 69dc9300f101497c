"""`shanhe break-glass`: open, look, end, review. Signed by a person with a fresh code, as everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import Data, Json, id_of, in_city, one_of, pairs, person_of, rows, show
from shanhe.kernel.money import format_fen, parse_yuan

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Person = Annotated[str, typer.Option("--as", help="Login of the person who acts.")]
GlassId = Annotated[UUID, typer.Argument(help="Id of the opening.")]
TABLE = ("id", "class", "object", "state", "opened", "used", "review by")


@app.command("open")
def open_(
    kind: Annotated[str, typer.Argument(metavar="CLASS", help="What is done, see `terms`.")],
    object_: Annotated[str, typer.Argument(metavar="OBJECT", help="Budget, organisation, request, or audited object.")],
    login: Person,
    reason: Annotated[str, typer.Option(help="Why it can't wait for a colleague.")],
    code: Annotated[str, typer.Option(help="Code of the person's authenticator now.")],
    limit: Annotated[str, typer.Option(help="Most that may be moved, in CNY; default: the rule's cap.")] = "",
    number: Annotated[str, typer.Option("--id", help="Id; repeat it to repeat the command.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Open it: recorded, told to everybody who approves or audits, ends by itself."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.approvals.api import NewGlass, Proof, glass_view

        person = await person_of(services, login)
        await _may(services, person, "accounts")
        new = NewGlass(id_of(number), kind, object_, reason, parse_yuan(limit) if limit else None)
        made = await services.emergency.glass.open(new, person, Proof(code))
        return glass_view(made, services.clock.now())

    made = in_city(data, work)
    show(as_json, made, lambda: f"! {made['id']} · until {made['expires_at']} · review by {made['review_due']}")


@app.command("list")
def list_(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that nobody reviewed yet.")] = False,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Openings, newest first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.approvals.api import glass_view

        return [glass_view(one, services.clock.now()) for one in await services.emergency.glass.list(waiting=waiting)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(TABLE, [
        (x["id"], x["class"], x["object"], x["state"] + (" !" if x["overdue"] else ""), x["opened_at"],
         format_fen(x["spent_fen"]), x["review_due"]) for x in found
    ], right=("used",)))  # fmt: skip


@app.command("show")
def show_one(glass: GlassId, data: Data = None, as_json: Json = False) -> None:
    """One opening with what was done under it and how it was judged."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.approvals.api import glass_view

        return glass_view(await services.emergency.glass.get(glass), services.clock.now())

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({name: value for name, value in found.items() if value not in (None, [])}))


@app.command()
def end(glass: GlassId, login: Person, data: Data = None, as_json: Json = False) -> None:
    """Who opened it ends it early."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.approvals.api import glass_view

        done = await services.emergency.glass.close(glass, await person_of(services, login))
        return glass_view(done, services.clock.now())

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['id']} ended · review by {done['review_due']}")


@app.command()
def review(
    glass: GlassId,
    login: Person,
    findings: Annotated[str, typer.Option(help="What was found, with reasons.")],
    justified: Annotated[bool, typer.Option("--justified/--not-justified", help="The judgement.")] = True,
    follow_up: Annotated[str, typer.Option(help="none, procedure, staffing, rights or reversal.")] = "none",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Judge an opening that has ended; never who opened it."""
    from shanhe.approvals.api import FollowUp, glass_view

    follow = one_of(FollowUp, follow_up)

    async def work(services: Services) -> dict[str, Any]:
        person = await person_of(services, login)
        await _may(services, person, "ledger")
        emergency = services.emergency
        await emergency.glass.review(glass, person, justified=justified, findings=findings, follow_up=follow)
        if follow is FollowUp.REVERSAL:
            await emergency.undoing.ask(glass, person)
        return glass_view(await emergency.glass.get(glass), services.clock.now())

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['id']} reviewed: {'justified' if justified else 'not justified'}")


@app.command()
def terms(data: Data = None, as_json: Json = False) -> None:
    """What the rulebook says today: classes, minutes, cap, openings a month, days of a review."""

    async def work(services: Services) -> dict[str, Any]:
        return services.emergency.glass.terms()

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found | {"classes": ", ".join(found["classes"])}))


async def _may(services: Services, person: UUID, permission: str) -> None:
    """The person's own roles decide, as over HTTP."""
    from shanhe.identity.api import PermissionMissing, permissions_of

    found = await services.identity.people.get(person)
    if permission not in permissions_of(found.city_roles):
        raise PermissionMissing(permission)
