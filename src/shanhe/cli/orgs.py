"""`shanhe orgs`: organisations and who may act for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, Org, find_org, in_city, one_of, person_of, rows, show
from shanhe.kernel.errors import NotFound
from shanhe.kernel.ids import new_id
from shanhe.settings import language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shanhe.app import Services
    from shanhe.identity.api import Department, Invitation, Left, LeftKind, Member, Organisation, Settled


KINDS: Final = {
    "key": ("API key", "API 密钥"), "webhook": ("webhook", "Webhook"), "hook": ("workflow webhook", "工作流 Webhook"),
    "schedule": ("workflow schedule", "工作流定时"),
}  # fmt: skip
FATES: Final = {"take": ("taken over", "已接管"), "end": ("ended", "已终止"), "later": ("waits", "待处理")}

app = typer.Typer(no_args_is_help=True)
Grace = Annotated[int, typer.Option(min=0, help="Seconds that the old secret of a key that is taken still works.")]


def _plain(org: Organisation) -> dict[str, Any]:
    return {
        "id": org.id,
        "name": org.name,
        "kind": str(org.kind),
        "state": str(org.state),
        "created_at": org.created_at,
    }


@app.command()
def create(
    name: str,
    kind: Annotated[str, typer.Option(help="company, government or institution.")] = "company",
    registration: Annotated[str, typer.Option(help="Registration number.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make an organisation; its wallet is opened with its first credits."""
    from shanhe.identity.api import NewOrganisation, OrgKind

    if kind not in tuple(OrgKind):
        raise typer.BadParameter(f"{kind!r} is none of company, government, institution", param_hint="--kind")

    async def work(services: Services) -> Organisation:
        new = NewOrganisation(OrgKind(kind), name, registration or None)
        return await services.identity.orgs.create(new, by=ACTOR)

    made = in_city(data, work)
    show(as_json, _plain(made), lambda: f"✓ {made.name}  {made.id}")


@app.command("list")
def list_orgs(
    find: Annotated[str, typer.Option(help="Part of the name.")] = "", data: Data = None, as_json: Json = False
) -> None:
    """Organisations, newest first."""
    found = in_city(data, lambda services: services.identity.orgs.list(find=find or None, limit=500))
    show(as_json, [_plain(org) for org in found], lambda: rows(("id", "name", "kind", "state"), [
        (org.id, org.name, org.kind, org.state) for org in found
    ]))  # fmt: skip


@app.command()
def freeze(
    org: Org, reason: Annotated[str, typer.Option(help="Why.")], data: Data = None, as_json: Json = False
) -> None:
    """Stop all its keys within a second; nothing is deleted."""

    async def work(services: Services) -> Organisation:
        return await services.identity.orgs.freeze((await find_org(services, org)).id, reason, by=ACTOR)

    done = in_city(data, work)
    show(as_json, _plain(done), lambda: f"✓ {done.name}: {done.state}")


@app.command()
def unfreeze(org: Org, data: Data = None, as_json: Json = False) -> None:
    """Let its keys work again."""

    async def work(services: Services) -> Organisation:
        return await services.identity.orgs.unfreeze((await find_org(services, org)).id, by=ACTOR)

    done = in_city(data, work)
    show(as_json, _plain(done), lambda: f"✓ {done.name}: {done.state}")


@app.command()
def edit(
    org: Org,
    name: Annotated[str | None, typer.Option(help="Its name.")] = None,
    registration: Annotated[str | None, typer.Option(help="Registration number.")] = None,
    local: Annotated[bool | None, typer.Option("--local/--not-local", help="Registered in the city (P1).")] = None,
    verified: Annotated[bool | None, typer.Option("--verified/--unverified", help="Whether that was checked.")] = None,
    data_company: Annotated[
        bool | None, typer.Option("--data-company/--no-data-company", help="A local data company (P1).")
    ] = None,
    data_class: Annotated[str, typer.Option(help="general, citizen or government.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change what is known of it; what is not named stays."""
    from shanhe.identity.api import DataClass

    wishes = {"name": name, "registration": registration, "locally_registered": local, "local_verified": verified,
              "data_company": data_company,
              "data_class": one_of(DataClass, data_class) if data_class else None}  # fmt: skip
    changes = {field: value for field, value in wishes.items() if value is not None}

    async def work(services: Services) -> Organisation:
        return await services.identity.orgs.edit((await find_org(services, org)).id, changes, by=ACTOR)

    done = in_city(data, work)
    show(as_json, _plain(done) | {"changed": sorted(changes)}, lambda: f"✓ {done.name}: {', '.join(sorted(changes))}")


# -- members ---------------------------------------------------------------------------------------------------------


@app.command()
def members(org: Org, data: Data = None, as_json: Json = False) -> None:
    """Who may act for it."""

    async def work(services: Services) -> Sequence[Member]:
        return await services.identity.orgs.members((await find_org(services, org)).id)

    found = in_city(data, work)
    plain = [{"id": one.person_id, "name": one.name, "role": str(one.role)} for one in found]
    show(as_json, plain, lambda: rows(("id", "name", "role"), [(one.person_id, one.name, one.role) for one in found]))


@app.command()
def member(
    org: Org,
    login: Annotated[str, typer.Argument(help="Who: login or e-mail.")],
    role: Annotated[str, typer.Argument(help="member or owner.")] = "member",
    department: Annotated[str, typer.Option(help="Department, as `departments` names it.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make somebody a member without asking them, or change a member's role or department."""
    from shanhe.identity.api import Role as OrgRole

    wanted = one_of(OrgRole, role)

    async def work(services: Services) -> Member:
        found = await find_org(services, org)
        place = await _department(services, found, department) if department else None
        person = await person_of(services, login)
        return await services.identity.orgs.set_member(found.id, person, wanted, department_id=place, by=ACTOR)

    done = in_city(data, work)
    shown = {"id": done.person_id, "name": done.name, "role": str(done.role)}
    show(as_json, shown, lambda: f"✓ {done.name}: {done.role}")


@app.command()
def remove(
    org: Org,
    login: Annotated[str, typer.Argument(help="Who: login or e-mail.")],
    left: Annotated[str, typer.Option(help="What becomes of what they made: take, end or later.")] = "",
    grace_s: Grace = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """End a membership; the last owner stays. What the member made is taken over, ended or left for later."""
    from shanhe.identity.api import Fate

    wanted = one_of(Fate, left) if left else None

    async def work(services: Services) -> tuple[Organisation, Sequence[Settled]]:
        found = await find_org(services, org)
        person = await person_of(services, login)
        return found, await services.leavings.remove(found.id, person, wanted, grace_s=grace_s, by=ACTOR)

    at, done = in_city(data, work)
    plain = {"org_id": at.id, "login": login, "removed": True, "left": [_settled(one) for one in done]}
    show(as_json, plain, lambda: "\n".join([f"✓ {at.name}: {login} ✗", *map(_line, done)]))


@app.command()
def left(
    org: Org,
    login: Annotated[str, typer.Option("--of", help="Whose: login or e-mail; a member's, too.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What people who are gone made and what goes on: keys, webhooks, hooks and schedules of workflows."""

    async def work(services: Services) -> Sequence[Left]:
        found = await find_org(services, org)
        return await services.leavings.of(found.id, await person_of(services, login) if login else None)

    found = in_city(data, work)
    plain = [{"kind": str(one.kind), "id": one.id, "name": one.name, "person_id": one.person_id,
              "made_at": one.made_at} for one in found]  # fmt: skip
    show(as_json, plain, lambda: rows(("thing", "name", "since"), [
        (f"{one.kind}:{one.id}", one.name, one.made_at.date()) for one in found
    ]))  # fmt: skip


@app.command()
def settle(
    org: Org,
    thing: Annotated[str, typer.Argument(help="KIND:ID, as `left` lists it.")],
    fate: Annotated[str, typer.Argument(help="take or end.")],
    grace_s: Grace = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take over, with a new secret, or end what somebody who is gone made."""
    from shanhe.identity.api import Fate

    wanted, (kind, number) = one_of(Fate, fate), _thing(thing)

    async def work(services: Services) -> Settled:
        found = await find_org(services, org)
        return await services.leavings.settle(found.id, kind, number, wanted, grace_s=grace_s, by=ACTOR)

    done = in_city(data, work)
    show(as_json, _settled(done), lambda: _line(done))


def _thing(text: str) -> tuple[LeftKind, UUID]:
    from shanhe.identity.api import LeftKind as Kind

    kind, _, number = text.partition(":")
    try:
        return one_of(Kind, kind), UUID(number)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not KIND:ID, as `shanhe orgs left` lists them") from error


def _settled(done: Settled) -> dict[str, Any]:
    return {"kind": str(done.left.kind), "id": done.id, "name": done.left.name, "fate": str(done.fate),
            "secret": done.secret, "problem": done.problem}  # fmt: skip


def _line(done: Settled) -> str:
    words = [str(pair[language() == "zh"]) for pair in (KINDS[done.left.kind], FATES[done.fate])]
    return f"{words[0]} {done.left.name}: {words[1]} {done.id} {done.secret} {done.problem}".rstrip()


@app.command()
def departments(
    org: Org,
    add: Annotated[str, typer.Option(help="Name of a new one.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Its departments."""

    async def work(services: Services) -> Sequence[Department]:
        found = await find_org(services, org)
        if add:
            await services.identity.orgs.add_department(found.id, add, by=ACTOR)
        return await services.identity.orgs.departments(found.id)

    found = in_city(data, work)
    plain = [{"id": one.id, "name": one.name} for one in found]
    show(as_json, plain, lambda: rows(("id", "name"), [(one.id, one.name) for one in found]))


async def _department(services: Services, org: Organisation, name: str) -> UUID:
    for one in await services.identity.orgs.departments(org.id):
        if one.name == name:
            return one.id
    raise NotFound(
        "unknown_department", f"{org.name} has no department {name!r}.", message_zh=f"{org.name} 没有部门 {name!r}。",
        hint="`shanhe orgs departments` lists them.", hint_zh="`shanhe orgs departments` 可查看全部部门。",
    )  # fmt: skip


@app.command()
def invite(
    org: Org,
    login: Annotated[str, typer.Argument(help="Whom to ask: login or e-mail.")],
    role: Annotated[str, typer.Option(help="member or owner.")] = "member",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask somebody to become a member; they accept or decline in their settings."""
    from shanhe.identity.api import Role as OrgRole

    wanted = one_of(OrgRole, role)

    async def work(services: Services) -> Invitation:
        found = await find_org(services, org)
        person = await person_of(services, login)
        return await services.identity.invitations.invite(new_id(), found.id, person, wanted, called=login, by=ACTOR)

    made = in_city(data, work)
    show(as_json, _asked(made), lambda: f"✓ {made.called}  {made.id}")


@app.command()
def invitations(org: Org, data: Data = None, as_json: Json = False) -> None:
    """What waits for an answer."""

    async def work(services: Services) -> Sequence[Invitation]:
        return await services.identity.invitations.of_org((await find_org(services, org)).id)

    found = in_city(data, work)
    show(as_json, [_asked(one) for one in found], lambda: rows(("id", "whom", "role", "until"), [
        (one.id, one.called, one.role, one.expires_at.date()) for one in found
    ]))  # fmt: skip


@app.command()
def withdraw(org: Org, invitation: UUID, data: Data = None, as_json: Json = False) -> None:
    """Take an invitation back."""

    async def work(services: Services) -> Invitation:
        found = await find_org(services, org)
        return await services.identity.invitations.withdraw(invitation, found.id, by=ACTOR)

    done = in_city(data, work)
    show(as_json, _asked(done), lambda: f"✓ {done.called}: {done.state}")


def _asked(one: Invitation) -> dict[str, Any]:
    return {"id": one.id, "whom": one.called, "role": str(one.role), "state": str(one.state),
            "expires_at": one.expires_at}  # fmt: skip
