"""`shanhe alliances` and `shanhe incubator`: companies that build together, and what the incubator offers them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import (
    ACTOR,
    Data,
    Json,
    Org,
    day_of,
    find_org,
    id_of,
    in_city,
    moment_of,
    pairs,
    rows,
    says,
    show,
)
from shanhe.kernel.ids import new_id

if TYPE_CHECKING:
    from shanhe.app import Services

alliances = typer.Typer(no_args_is_help=True)
incubator = typer.Typer(no_args_is_help=True)
Alliance = Annotated[UUID, typer.Argument(help="Number of the alliance.")]


@alliances.command("show")
def show_(org: Org, data: Data = None, as_json: Json = False) -> None:
    """An organisation's alliance and invitations: members, discount, what is shared."""

    async def work(services: Services) -> list[dict[str, Any]]:
        return await _alliances(services, (await find_org(services, org)).id)

    _show_alliances(as_json, in_city(data, work))


@alliances.command()
def found(
    org: Org,
    name: Annotated[str, typer.Argument(help="What it is called.")],
    purpose: Annotated[str, typer.Option(help="What its members build together.")],
    ref: Annotated[str, typer.Option(help="Id: the same one again founds once.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Found an alliance for a company."""

    async def work(services: Services) -> list[dict[str, Any]]:
        owner, made = await find_org(services, org), id_of(ref)
        await services.alliances.found(owner.id, alliance_id=made, name=name, purpose=purpose, actor=ACTOR)
        return await _alliances(services, owner.id)

    _show_alliances(as_json, in_city(data, work))


@alliances.command()
def invite(alliance: Alliance, org: Org, company: Annotated[str, typer.Argument(help="Company to invite.")],
           data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Invite a company, for a member."""

    async def work(services: Services) -> list[dict[str, Any]]:
        owner, other = await find_org(services, org), await find_org(services, company)
        await services.alliances.invite(alliance, owner.id, other.id, actor=ACTOR)
        return await _alliances(services, owner.id)

    _show_alliances(as_json, in_city(data, work))


@alliances.command()
def answer(
    alliance: Alliance,
    org: Org,
    word: Annotated[str, typer.Argument(help="accept or decline.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Accept or decline an invitation, for who was invited."""

    async def work(services: Services) -> list[dict[str, Any]]:
        owner = await find_org(services, org)
        accept = says(word, "accept", "decline")
        await services.alliances.answer(alliance, owner.id, accept=accept, actor=ACTOR)
        return await _alliances(services, owner.id)

    _show_alliances(as_json, in_city(data, work))


@alliances.command()
def leave(alliance: Alliance, org: Org, data: Data = None, as_json: Json = False) -> None:
    """Leave an alliance, for a member; what it shares goes along."""

    async def work(services: Services) -> list[dict[str, Any]]:
        owner = await find_org(services, org)
        await services.alliances.leave(alliance, owner.id, actor=ACTOR)
        return await _alliances(services, owner.id)

    _show_alliances(as_json, in_city(data, work))


@alliances.command()
def share(
    alliance: Alliance,
    org: Org,
    kind: Annotated[str, typer.Argument(help="dataset or model.")],
    ref: Annotated[str, typer.Argument(help="A data set's id, a model's name.")],
    stop: Annotated[bool, typer.Option("--stop", help="Share it no longer.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Let the other members use a data set or a model, or stop that."""

    async def work(services: Services) -> list[dict[str, Any]]:
        owner = await find_org(services, org)
        if stop:
            await services.alliances.unshare(alliance, owner.id, kind, ref)
        else:
            await services.alliances.share(alliance, owner.id, kind, ref, actor=ACTOR)
        return await _alliances(services, owner.id)

    _show_alliances(as_json, in_city(data, work))


@incubator.command()
def resources(
    service: Annotated[str, typer.Option(help="Only of this service.")] = "", data: Data = None, as_json: Json = False
) -> None:
    """What can be booked."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.incubator.api import resource_view

        return [resource_view(one) for one in await services.incubator.resources(service or None)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(
        ("id", "服务 service", "名称 name", "地点 place", "时段 hours", "名额 seats"),
        [(x["id"], x["service"], x["name_zh"], x["place"], f"{x['opens_hour']}–{x['closes_hour']}", x["seats"])
         for x in found],
    ))  # fmt: skip


@incubator.command()
def offer(
    service: Annotated[str, typer.Argument(help="desk, training, mentoring, marketing, adviser.")],
    name: Annotated[str, typer.Argument(help="Name in Chinese.")],
    place: Annotated[str, typer.Argument(help="Where it is.")],
    name_en: Annotated[str, typer.Option("--en", help="Name in English.")] = "",
    opens: Annotated[int, typer.Option(help="First hour of the day.")] = 9,
    closes: Annotated[int, typer.Option(help="Hour it closes.")] = 18,
    seats: Annotated[int, typer.Option(help="How many at once.")] = 1,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Offer a resource to book."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.incubator.api import resource_view

        made = await services.incubator.add(
            new_id(), service=service, name_zh=name, name_en=name_en or name, place=place, opens_hour=opens,
            closes_hour=closes, seats=seats, by=ACTOR,
        )  # fmt: skip
        return resource_view(made)

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"资源 resource": done["id"], "名称 name": done["name_zh"]}))


@incubator.command()
def close(
    resource: Annotated[UUID, typer.Argument(help="Number of the resource.")], data: Data = None, as_json: Json = False
) -> None:
    """Take a resource away; bookings to come are cancelled and told."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.incubator.api import resource_view

        await services.incubator.close(resource)
        return resource_view(await services.incubator.resource(resource))

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"资源 resource": done["id"], "停用 closed": done["closed_at"]}))


@incubator.command()
def quota(
    org: Org,
    month: Annotated[str, typer.Option(help="Any day of the month (default: this one).")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What an organisation has left of each service in a month."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.incubator.api import SERVICES, quota_view

        owner = await find_org(services, org)
        first = (day_of(month) if month else services.clock.today()).replace(day=1)
        return [quota_view(await services.incubator.quota(owner.id, one, first)) for one in SERVICES]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(
        ("服务 service", "月 month", "已用 used", "剩余 left"),
        [(x["unit"]["zh"], x["month"], x["used"], x["left"]) for x in found],
    ))  # fmt: skip


@incubator.command()
def book(
    org: Org,
    resource: Annotated[UUID, typer.Argument(help="Number of the resource.")],
    start: Annotated[str, typer.Argument(help="When, like 2026-03-10T09:00+08:00.")],
    units: Annotated[int, typer.Option(help="Desks, hours or campaigns.")] = 1,
    ref: Annotated[str, typer.Option(help="Id: the same one again books once.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Book for a company, as a service counter does."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.incubator.api import booking_view

        owner = await find_org(services, org)
        made = await services.incubator.book(
            owner.id, resource, moment_of(start), units, booking_id=id_of(ref), by=ACTOR
        )
        return booking_view(made, await services.incubator.resource(made.resource))

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"预约 booking": done["id"], "时间 when": done["starts_at"]}))


@incubator.command()
def bookings(
    org: Annotated[str, typer.Option(help="Only of this organisation.")] = "", data: Data = None, as_json: Json = False
) -> None:
    """Bookings from this month on, the earliest first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.incubator.api import booking_view
        from shanhe.kernel.paging import leaves

        incubator = services.incubator
        if org:
            found = await leaves(partial(incubator.bookings, (await find_org(services, org)).id))
        else:
            offered = [one.id for one in await incubator.resources()]
            booked = await incubator.booked(offered)
            found = sorted((one for each in booked.values() for one in each), key=lambda one: (one.starts_at, one.id))
        of = await incubator.resources_of(found)
        return [booking_view(one, of[one.resource]) for one in found]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(
        ("id", "资源 resource", "单位 by", "时间 when", "数量 units"),
        [(x["id"], x["name"]["zh"], x["org_id"], x["starts_at"], x["units"]) for x in found],
    ))  # fmt: skip


@incubator.command()
def cancel(
    org: Org, booking: Annotated[UUID, typer.Argument(help="Number of the booking.")], data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Give a booking back before it begins."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.incubator.api import booking_view

        owner = await find_org(services, org)
        done = await services.incubator.cancel(booking, owner.id, by=ACTOR)
        return booking_view(done, await services.incubator.resource(done.resource))

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"预约 booking": done["id"], "状态 state": done["state"]}))


async def _alliances(services: Services, org_id: UUID) -> list[dict[str, Any]]:
    from shanhe.alliances.api import alliance_view

    return [alliance_view(one) for one in await services.alliances.of(org_id)]


def _show_alliances(as_json: bool, found: list[dict[str, Any]]) -> None:
    show(as_json, found, lambda: rows(
        ("id", "联盟 alliance", "本单位 mine", "互不关联 parties", "优惠 discount", "成员 members"),
        [(x["id"], x["name"], x["mine"], f"{x['parties']}/{x['needed']}", "✓" if x["open"] else "—",
          "、".join(f"{one['name']}({one['state']})" for one in x["members"])) for x in found],
    ))  # fmt: skip
