"""`shanhe webhooks`: where organisations are told what happens to them, what went there, and sending it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, Org, find_org, in_city, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Which = Annotated[UUID, typer.Argument(help="Id of the webhook.")]


@app.command("list")
def list_webhooks(org: Org, data: Data = None, as_json: Json = False) -> None:
    """An organisation's webhooks."""
    from shanhe.webhooks.api import endpoint_view

    async def work(services: Services) -> Any:
        return [endpoint_view(one) for one in await services.webhooks.of((await find_org(services, org)).id)]

    found = in_city(data, work)
    lines = [(one["id"], one["form"], one["host"], " ".join(one["kinds"]) or "*", one["state"]) for one in found]
    show(as_json, found, lambda: rows(("id", "形式 form", "地址 host", "类别 kinds", "状态 state"), lines))


@app.command()
def add(
    org: Org,
    url: Annotated[str, typer.Option(help="Where to send, https.")],
    form: Annotated[str, typer.Option(help="standard, wecom, dingtalk or feishu.")] = "standard",
    secret: Annotated[str, typer.Option(help="A robot's signing secret (DingTalk, Feishu).")] = "",
    kind: Annotated[
        list[str] | None, typer.Option(help="Only these notices, like spend_alert; may be repeated.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Send an organisation's notices to an address; of the standard form its secret is printed."""
    from shanhe.webhooks.api import endpoint_view

    async def work(services: Services) -> Any:
        made = await services.webhooks.add(
            (await find_org(services, org)).id, url=url, form=form, secret=secret, kinds=kind or (), by=ACTOR
        )
        return endpoint_view(made) | ({"secret": made.secret} if made.form == "standard" else {})

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['id']} {made.get('secret', '')}")


@app.command()
def deliveries(org: Org, which: Which, data: Data = None, as_json: Json = False) -> None:
    """What went or goes to an address, newest first."""
    from shanhe.webhooks.api import delivery_view

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        return [delivery_view(one) for one in await services.webhooks.deliveries(owner.id, which)]

    found = in_city(data, work)
    lines = [(one["id"], f"{one['made_at']:%Y-%m-%d %H:%M}", one["kind"], one["state"], one["attempts"],
              one["status"] or "", one["error"] or "") for one in found]  # fmt: skip
    columns = ("id", "时间 at", "类别 kind", "状态 state", "次数 tries", "应答 status", "原因 error")
    show(as_json, found, lambda: rows(columns, lines))


@app.command("test")
def send_test(org: Org, which: Which, data: Data = None, as_json: Json = False) -> None:
    """Queue a test message."""
    _done(org, data, as_json, lambda services, owner: services.webhooks.test(owner, which))


@app.command()
def again(
    org: Org, delivery: Annotated[UUID, typer.Argument(help="Id of the delivery.")], data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Send one again, under the same id."""
    _done(org, data, as_json, lambda services, owner: services.webhooks.again(owner, delivery))


@app.command()
def replay(org: Org, which: Which, data: Data = None, as_json: Json = False) -> None:
    """Send again whatever an address did not take."""
    _done(org, data, as_json, lambda services, owner: services.webhooks.replay(owner, which))


@app.command()
def resume(org: Org, which: Which, data: Data = None, as_json: Json = False) -> None:
    """Switch an address on again."""
    _done(org, data, as_json, lambda services, owner: services.webhooks.resume(owner, which))


@app.command()
def rotate(org: Org, which: Which, data: Data = None, as_json: Json = False) -> None:
    """Sign with another secret, which is printed; for a day with the one before, too."""
    from shanhe.webhooks.api import endpoint_view

    async def work(services: Services) -> Any:
        made = await services.webhooks.rotate((await find_org(services, org)).id, which)
        return endpoint_view(made) | {"secret": made.secret}

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['secret']}")


@app.command()
def remove(org: Org, which: Which, data: Data = None, as_json: Json = False) -> None:
    """Send nothing there any more."""
    _done(org, data, as_json, lambda services, owner: services.webhooks.remove(owner, which))


def _done(org: str, data: Any, as_json: bool, step: Any) -> None:
    async def work(services: Services) -> Any:
        await step(services, (await find_org(services, org)).id)
        return {"done": True}

    show(as_json, in_city(data, work), lambda: "✓")
