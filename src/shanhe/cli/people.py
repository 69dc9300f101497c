"""`shanhe people`: who signs in to the console."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, Org, day_of, find_org, in_city, one_of, pairs, person_of, rows, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shanhe.app import Services
    from shanhe.identity.api import Invitation, Organisation, Person, Registration

PASSWORD_BYTES = 15

app = typer.Typer(no_args_is_help=True)
Login = Annotated[str, typer.Argument(help="Login name.")]


@app.command()
def create(
    login: Login,
    name: Annotated[str, typer.Option(help="Name to be shown.")] = "",
    role: Annotated[list[str] | None, typer.Option(help="admin, operator or auditor; may be repeated.")] = None,
    org: Annotated[str, typer.Option(help="Organisation to be an owner of: id or name.")] = "",
    stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password instead of making one.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a person who can sign in; prints a generated password once. Without a role and an organisation they act
    for themselves."""
    from shanhe.identity.api import NewPerson
    from shanhe.identity.api import Role as PersonRole

    roles = [one_of(PersonRole, word) for word in role or ()]
    password = sys.stdin.readline().rstrip("\n") if stdin else secrets.token_urlsafe(PASSWORD_BYTES)

    async def work(services: Services) -> Person:
        owner = await find_org(services, org) if org else None
        person = await services.identity.people.create(NewPerson(name or login, login, password=password), by=ACTOR)
        for given in roles:
            await services.identity.people.grant(person.id, given, by=ACTOR)
        if owner is not None:
            await services.identity.orgs.set_member(owner.id, person.id, PersonRole.OWNER, by=ACTOR)
        elif not role:
            await services.identity.orgs.create_personal(person.id, by=ACTOR)
        return person

    person = in_city(data, work)
    shown: dict[str, Any] = {"id": person.id, "login": login}
    if not stdin:
        shown["password"] = password
    show(as_json, shown, lambda: pairs(shown))


@app.command("list")
def list_people(data: Data = None, as_json: Json = False) -> None:
    """People, newest first."""
    found = in_city(data, lambda services: services.identity.people.list(limit=200))
    plain = [{"id": p.id, "login": p.login, "name": p.name, "state": str(p.state)} for p in found]
    show(as_json, plain, lambda: rows(("id", "login", "name", "state"), [
        (p.id, p.login or "", p.name, p.state) for p in found
    ]))  # fmt: skip


@app.command()
def grant(login: Login, role: str, data: Data = None, as_json: Json = False) -> None:
    """Give a role in the city: admin, operator or auditor."""
    from shanhe.identity.api import Role as PersonRole

    given = one_of(PersonRole, role)

    async def work(services: Services) -> None:
        await services.identity.people.grant(await person_of(services, login), given, by=ACTOR)

    in_city(data, work)
    show(as_json, {"login": login, "role": role}, lambda: "✓")


@app.command()
def revoke(login: Login, role: str, data: Data = None, as_json: Json = False) -> None:
    """Take a role in the city away: admin, operator or auditor."""
    from shanhe.identity.api import Role as PersonRole

    taken = one_of(PersonRole, role)

    async def work(services: Services) -> None:
        await services.identity.people.withdraw(await person_of(services, login), taken, by=ACTOR)

    in_city(data, work)
    show(as_json, {"login": login, "role": role, "withdrawn": True}, lambda: "✓")


@app.command()
def edit(
    login: Login,
    name: Annotated[str | None, typer.Option(help="Name to be shown.")] = None,
    new_login: Annotated[str | None, typer.Option("--login", help="Another login name.")] = None,
    email: Annotated[str | None, typer.Option(help="E-mail address; unverified until they confirm it.")] = None,
    phone: Annotated[str | None, typer.Option(help="Telephone number.")] = None,
    language: Annotated[str | None, typer.Option(help="zh-CN or en.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Correct somebody's own data; what is not named stays."""
    wishes = {"name": name, "login": new_login, "email": email, "phone": phone, "language": language}
    changes = {field: value for field, value in wishes.items() if value is not None}

    async def work(services: Services) -> Person:
        return await services.identity.people.edit(await person_of(services, login), changes, by=ACTOR)

    person = in_city(data, work)
    shown = {"id": person.id, "login": person.login, "name": person.name, "changed": sorted(changes)}
    show(as_json, shown, lambda: f"✓ {person.name}: {', '.join(sorted(changes))}")


@app.command()
def ground(
    login: Login,
    category: Annotated[str, typer.Argument(help="resident, local_worker, associated_city_resident or nomad.")],
    first: Annotated[str, typer.Option("--from", help="First day, like 2026-11-20.")],
    last: Annotated[str, typer.Option("--to", help="Last day, if there is one.")] = "",
    verified: Annotated[bool, typer.Option("--verified/--unverified", help="Whether the proof was seen.")] = True,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record on what ground somebody buys below market (P1); the same day again replaces it."""
    from shanhe.identity.api import Category, CategoryName

    given = Category(one_of(CategoryName, category), verified, day_of(first), day_of(last) if last else None)

    async def work(services: Services) -> None:
        await services.identity.people.set_category(await person_of(services, login), given, by=ACTOR)

    in_city(data, work)
    shown = {"login": login, "category": str(given.category), "verified": verified, "valid_from": given.valid_from,
             "valid_to": given.valid_to}  # fmt: skip
    show(as_json, shown, lambda: f"✓ {login}: {given.category}")


@app.command()
def suspend(login: Login, data: Data = None, as_json: Json = False) -> None:
    """Close an account until `resume`: its sessions end at once."""

    async def work(services: Services) -> None:
        await services.identity.people.suspend(await person_of(services, login), by=ACTOR)

    in_city(data, work)
    show(as_json, {"login": login, "state": "suspended"}, lambda: "✓")


@app.command()
def resume(login: Login, data: Data = None, as_json: Json = False) -> None:
    """Let somebody sign in again."""

    async def work(services: Services) -> None:
        await services.identity.people.resume(await person_of(services, login), by=ACTOR)

    in_city(data, work)
    show(as_json, {"login": login, "state": "active"}, lambda: "✓")


# -- who registered, and who is asked --------------------------------------------------------------------------------


@app.command()
def registrations(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait to be looked at.")] = False,
    after: Annotated[str, typer.Option(help="Go on after this place of the list.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Residents who registered themselves, those that wait first."""
    from shanhe.identity.api import RegistrationState, place_of

    async def work(services: Services) -> Sequence[Registration]:
        state = RegistrationState.WAITING if waiting else None
        found = await services.identity.registrations.list(state=state, after=after or None, limit=200)
        await services.identity.record(ACTOR, "registration.list", "registrations", {"count": len(found)})
        return found

    found = in_city(data, work)
    plain = [{"id": r.id, "login": r.login, "name": r.name, "state": str(r.state), "created_at": r.created_at,
              "place": place_of(r)} for r in found]  # fmt: skip
    show(as_json, plain, lambda: rows(("id", "login", "name", "state"), [
        (r.id, r.login, r.name, r.state) for r in found
    ]))  # fmt: skip


@app.command()
def approve(registration: UUID, data: Data = None, as_json: Json = False) -> None:
    """Open an account that waits."""

    async def work(services: Services) -> Registration:
        return await services.identity.registrations.approve(registration, by=ACTOR)

    done = in_city(data, work)
    show(as_json, {"id": done.id, "state": str(done.state)}, lambda: f"✓ {done.login}: {done.state}")


@app.command()
def decline(
    registration: UUID,
    ground: Annotated[str, typer.Argument(help="Why; its sender reads it: known, name or counter.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Erase an account that waits, with all its data."""
    from shanhe.identity.api import DeclineGround

    why = one_of(DeclineGround, ground)

    async def work(services: Services) -> None:
        await services.identity.registrations.decline(registration, why, by=ACTOR)

    in_city(data, work)
    show(as_json, {"id": registration, "declined": True}, lambda: "✓")


@app.command()
def invitations(login: Login, data: Data = None, as_json: Json = False) -> None:
    """Organisations that ask somebody to become a member."""

    async def work(services: Services) -> Sequence[Invitation]:
        return await services.identity.invitations.of_person(await person_of(services, login))

    found = in_city(data, work)
    plain = [{"id": one.id, "org": one.org_name, "role": str(one.role), "expires_at": one.expires_at} for one in found]
    show(as_json, plain, lambda: rows(("id", "org", "role", "until"), [
        (one.id, one.org_name, one.role, one.expires_at.date()) for one in found
    ]))  # fmt: skip


@app.command()
def leave(login: Login, org: Org, data: Data = None, as_json: Json = False) -> None:
    """End a membership at the member's own word; the organisation's last owner can't leave."""

    async def work(services: Services) -> Organisation:
        person, found = await person_of(services, login), await find_org(services, org)
        await services.identity.orgs.leave(found.id, person, by=ACTOR)
        return found

    left = in_city(data, work)
    show(as_json, {"login": login, "left": left.id}, lambda: f"✓ {login} ← {left.name}")


@app.command()
def answer(
    login: Login,
    invitation: UUID,
    word: Annotated[str, typer.Argument(help="accept or decline, in the person's own words.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Answer an invitation for somebody who can't sign in just now; it is written down that it was done here."""
    if word not in ("accept", "decline"):
        raise typer.BadParameter(f"{word!r} is neither accept nor decline", param_hint="WORD")

    async def work(services: Services) -> Invitation:
        person, asked = await person_of(services, login), services.identity.invitations
        act = asked.accept if word == "accept" else asked.decline
        return await act(invitation, person, by=ACTOR)

    done = in_city(data, work)
    show(as_json, {"id": done.id, "state": str(done.state)}, lambda: f"✓ {done.org_name}: {done.state}")
