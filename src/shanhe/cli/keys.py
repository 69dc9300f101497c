"""`shanhe keys`: API keys. A token is shown once, when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, find_org, in_city, one_of, out, pairs, rows, show
from shanhe.kernel.money import parse_credits
from shanhe.kernel.paging import every

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.identity.api import Key


class Limit(StrEnum):
    """What limits a key, as options of `create` say it."""

    MODEL = "model"
    BUDGET_DAY = "budget-day"
    BUDGET_MONTH = "budget-month"
    RPM = "rpm"
    TPM = "tpm"
    DAYS = "days"


LIMITS: Final = {Limit.MODEL: "models", Limit.BUDGET_DAY: "budget_day_micro", Limit.RPM: "rpm", Limit.TPM: "tpm",
                 Limit.BUDGET_MONTH: "budget_month_micro", Limit.DAYS: "expires_at"}  # fmt: skip
app = typer.Typer(no_args_is_help=True)
OrgOption = Annotated[str, typer.Option("--org", help="Organisation: id or name.")]
KeyId = Annotated[UUID, typer.Argument(help="Id of the key.")]


def _plain(key: Key, token: str | None = None) -> dict[str, Any]:
    """What may be shown of a key; the token only at its birth."""
    found = {"id": key.id, "org_id": key.org_id, "name": key.name, "hint": f"{key.prefix}…{key.last4}",
             "models": sorted(key.models) if key.models is not None else None, "permissions": sorted(key.permissions),
             "budget_day_micro": key.budget_day_micro, "budget_month_micro": key.budget_month_micro, "rpm": key.rpm,
             "tpm": key.tpm, "data_class": str(key.data_class), "created_at": key.created_at,
             "expires_at": key.expires_at, "state": key.state(datetime.now(UTC))}  # fmt: skip
    return found if token is None else {**found, "token": token}


@app.command()
def create(
    org: OrgOption,
    name: Annotated[str, typer.Option(help="What it is for.")] = "key",
    model: Annotated[list[str] | None, typer.Option(help="Only these models; may be repeated.")] = None,
    budget_day: Annotated[str, typer.Option(help="Most credits a day.")] = "",
    budget_month: Annotated[str, typer.Option(help="Most credits a month.")] = "",
    rpm: Annotated[int | None, typer.Option(help="Most requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Most tokens a minute.")] = None,
    days: Annotated[int | None, typer.Option(help="Days until it expires.")] = None,
    permission: Annotated[list[str] | None, typer.Option(help="Of the administration API; may be repeated.")] = None,
    data_class: Annotated[str, typer.Option(help="general, citizen or government.")] = "general",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a key and print its token, once."""
    from shanhe.identity.api import DataClass, NewKey

    async def work(services: Services) -> tuple[Key, str]:
        expires_at = services.clock.now() + timedelta(days=days) if days is not None else None
        new = NewKey(
            name,
            models=frozenset(model) if model else None,
            permissions=frozenset(permission or ()),
            budget_day_micro=parse_credits(budget_day) if budget_day else None,
            budget_month_micro=parse_credits(budget_month) if budget_month else None,
            rpm=rpm,
            tpm=tpm,
            expires_at=expires_at,
            data_class=one_of(DataClass, data_class),
        )
        return await services.identity.keys.create((await find_org(services, org)).id, new, by=ACTOR)

    key, token = in_city(data, work)
    show(as_json, _plain(key, token), lambda: pairs({"id": key.id, "密钥 token": token}))
    if not as_json:
        out.print("[dim]只显示这一次 · shown only now[/]")


@app.command("list")
def list_keys(org: OrgOption, data: Data = None, as_json: Json = False) -> None:
    """Keys of an organisation, newest first."""

    async def work(services: Services) -> Sequence[Key]:
        listed = partial(services.identity.keys.list, (await find_org(services, org)).id)
        return [key async for key in every(listed)]

    plain = [_plain(key) for key in in_city(data, work)]
    show(as_json, plain, lambda: rows(("id", "name", "key", "state", "expires"), [
        (k["id"], k["name"], k["hint"], k["state"], k["expires_at"] or "never") for k in plain
    ]))  # fmt: skip


@app.command()
def edit(
    key_id: KeyId,
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these models; may be repeated.")] = None,
    budget_day: Annotated[str, typer.Option(help="Most credits a day.")] = "",
    budget_month: Annotated[str, typer.Option(help="Most credits a month.")] = "",
    rpm: Annotated[int | None, typer.Option(help="Most requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Most tokens a minute.")] = None,
    days: Annotated[int | None, typer.Option(help="Days from now until it expires.")] = None,
    lift: Annotated[
        list[str] | None, typer.Option(help="Lift a limit: model, budget-day, budget-month, rpm, tpm, days.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change a key's name and limits; what is not named stays."""
    lifted = {LIMITS[one_of(Limit, word)]: None for word in lift or ()}

    async def work(services: Services) -> Key:
        expires_at = services.clock.now() + timedelta(days=days) if days is not None else None
        wishes = {"name": name, "models": frozenset(model) if model else None, "rpm": rpm, "tpm": tpm,
                  "budget_day_micro": parse_credits(budget_day) if budget_day else None,
                  "budget_month_micro": parse_credits(budget_month) if budget_month else None,
                  "expires_at": expires_at}  # fmt: skip
        changes = {field: value for field, value in wishes.items() if value is not None} | lifted
        return await services.identity.keys.edit(key_id, None, changes, by=ACTOR)

    key = in_city(data, work)
    show(as_json, _plain(key), lambda: pairs({name: str(value) for name, value in _plain(key).items()}))


@app.command()
def revoke(
    key_id: KeyId, reason: Annotated[str, typer.Option()] = "revoked", data: Data = None, as_json: Json = False
) -> None:
    """End a key for good, in every process within a second."""
    key = in_city(data, lambda services: services.identity.keys.revoke(key_id, None, reason=reason, by=ACTOR))
    show(as_json, _plain(key), lambda: f"✓ {key.name} revoked · 已吊销")


@app.command()
def rotate(
    key_id: KeyId,
    grace_hours: Annotated[int, typer.Option(help="How long the old key still works.")] = 24,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a successor with the same scope; the old key works until the grace is over."""

    async def work(services: Services) -> tuple[Key, str]:
        return await services.identity.keys.rotate(key_id, None, grace_s=grace_hours * 3600, by=ACTOR)

    key, token = in_city(data, work)
    show(as_json, _plain(key, token), lambda: pairs({"id": key.id, "密钥 token": token}))


@app.command()
def leak(
    key: Annotated[str, typer.Argument(help="The leaked key, or its first twelve signs.")],
    freeze: Annotated[bool, typer.Option("--freeze", help="Freeze its organisation too.")] = False,
    note: Annotated[str, typer.Option(help="Where it was found.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A key has leaked: revoke it at once, trace its use, tell its owners."""
    report = in_city(data, lambda services: services.identity.keys.report_leak(key, ACTOR, freeze=freeze, note=note))
    show(as_json, report, lambda: "no key of this city · 不是本城的密钥" if report is None else pairs({
        "key": report.key_name, "organisation": report.org_id, "frozen": report.frozen,
        "recent calls": len(report.trace),
    }))  # fmt: skip
