"""`shanhe nodes`: the city's side of the pool: who may join, who is there, drain, quarantine, release."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import ACTOR, Data, Json, find_org, in_city, pairs, rows, says, show
from shanhe.kernel.money import format_credits
from shanhe.settings import language

if TYPE_CHECKING:
    from shanhe.app import Services

DAYS_MAX = 92
PROOFS = 50
app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the node.")]
Reason = Annotated[str, typer.Option(help="Why; its owner reads it.")]


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Name the machine will have.")],
    owner: Annotated[str, typer.Option(help="Organisation that lends it and is paid: id or name.")],
    hours: Annotated[int, typer.Option(help="How long the token is good.")] = 24,
    local: Annotated[bool, typer.Option("--local", help="On the city's premises: may see government data.")] = False,
    new_models: Annotated[bool, typer.Option("--new-models", help="May bring models the city does not know.")] = False,
    city_owned: Annotated[bool, typer.Option("--city-owned", help="The city's own: nobody is paid.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Leave for one machine to join; shown once."""

    async def work(services: Services) -> Any:
        org = await find_org(services, owner)
        secret, until = await services.pool.make_token(
            name, org.id, hours=hours, local=local, new_models=new_models, city_owned=city_owned, actor=ACTOR
        )
        return {"token": secret, "name": name, "owner": org.id, "expires_at": until,
                "command": f"shanhe node join {services.settings.url} --token {secret}"}  # fmt: skip

    made = in_city(data, work)
    show(as_json, made, lambda: pairs({"token": made["token"], "until": made["expires_at"], "run": made["command"]}))


def _why(cause: str, detail: Any) -> str:
    """Why a node stands as it does, in the reader's language."""
    from shanhe.pool.api import told

    return str(getattr(told(cause, detail), language()))


@app.command("list")
def list_nodes(data: Data = None, as_json: Json = False) -> None:
    """Every node: state, models, whether it is connected."""
    from shanhe.pool.routes import node_list

    async def work(services: Services) -> Any:
        return await node_list(services.pool)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("name", "state", "connected", "models", "chip", "flag", "cause"), [
        (n["name"], n["state"], "✓" if n["connected"] else "✗", ", ".join(n["models"]), n["chip_class"], n["flag"],
         _why(n["cause"], n["verdict"])) for n in found
    ]))  # fmt: skip


@app.command("show")
def show_node(name: Name, data: Data = None, as_json: Json = False) -> None:
    """One node: what it says, what the city measured, what happened."""
    from shanhe.pool.routes import node_page

    async def work(services: Services) -> Any:
        return await node_page(services.pool, await services.pool.node(name))

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({
        "state": f"{found['state']} {_why(found['cause'], found['verdict'])}",
        "chips": ", ".join(chip.name for chip in found["chips"]),
        **{f"{model}": f"prefill {speed.prefill_tps:.0f}, decode {speed.decode_tps:.0f} tokens/s"
           for model, speed in found["measured"].items()},
        **{f"{event.at:%m-%d %H:%M}": f"{event.event} {_why(event.cause, event.detail)}"
           for event in found["events"][:10]},
    }))  # fmt: skip


@app.command()
def earnings(name: Name, days: int = 30, data: Data = None, as_json: Json = False) -> None:
    """What a node earned by day; each call's receipt is its proof."""

    async def work(services: Services) -> Any:
        node = await services.pool.node(name)
        since = services.clock.now() - timedelta(days=min(days, DAYS_MAX))
        income = await services.pool.earnings.days(node, since)
        return {
            "since": income.since,
            "days": income.days,
            "proofs": await services.pool.earnings.proofs(node, PROOFS),
            "withheld": await services.pool.withheld(node),
        }

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("day", "calls", "tokens", "credits"), [
        (one.day, one.calls, one.tokens, format_credits(one.amount_micro)) for one in found["days"]
    ], right=("calls", "tokens", "credits")))  # fmt: skip


def _change(step: str, name: str, reason: str, data: Any, as_json: bool) -> None:
    async def work(services: Services) -> Any:
        if step == "quarantine":
            await services.pool.quarantine(name, actor=ACTOR, reason=reason)
            await services.pool.sweep()
            return {"name": name, "state": "quarantined"}
        change = getattr(services.pool, step)
        node = await (change(name, actor=ACTOR) if step == "remove" else change(name, actor=ACTOR, reason=reason))
        return {"name": node.name, "state": node.state}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['name']}: {done['state']}")


@app.command()
def drain(name: Name, reason: Reason = "", data: Data = None, as_json: Json = False) -> None:
    """Nothing new for a node; what runs is finished."""
    _change("drain", name, reason, data, as_json)


@app.command()
def restart(name: Name, data: Data = None, as_json: Json = False) -> None:
    """The agent finishes what runs and starts again: with the new version, where one was installed meanwhile."""

    async def work(services: Services) -> Any:
        node = await services.pool.restart(name, actor=ACTOR)
        return {"name": node.name, "version": node.report.version}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['name']}: {done['version']} → …")


@app.command()
def quarantine(name: Name, reason: Reason, data: Data = None, as_json: Json = False) -> None:
    """Nothing new for a node, and its recent income is withheld."""
    _change("quarantine", name, reason, data, as_json)


@app.command()
def release(
    name: Name,
    reason: Reason = "",
    restore: Annotated[bool, typer.Option("--restore", help="Give back the income that was withheld.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Back to work after a drain or a quarantine: measured again first."""

    async def work(services: Services) -> Any:
        node = await services.pool.release(name, actor=ACTOR, reason=reason, restore=restore)
        return {"name": node.name, "state": node.state}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['name']}: {done['state']}")


@app.command()
def withheld(
    name: Name,
    decision: Annotated[str, typer.Argument(help="give-back: its owner's again; keep: the city's.")],
    reason: Reason,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Decide on the income that is withheld of a node, a removed one too; its owner reads the reason."""

    async def work(services: Services) -> Any:
        give_back = says(decision, "give-back", "keep")
        done = await services.pool.decide_withheld(name, give_back=give_back, actor=ACTOR, reason=reason)
        return {"name": name, "amount_micro": done, "given_back": give_back}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['name']}: {format_credits(done['amount_micro'])} "
                                f"{'given back' if done['given_back'] else 'kept'}")  # fmt: skip


@app.command()
def remove(name: Name, data: Data = None, as_json: Json = False) -> None:
    """A node is gone for good; receipts and income stay."""
    _change("remove", name, "", data, as_json)


@app.command()
def load(name: Name, model: str, data: Data = None, as_json: Json = False) -> None:
    """Tell a node to load a model."""
    _move(name, model, data, as_json, load=True)


@app.command()
def unload(name: Name, model: str, data: Data = None, as_json: Json = False) -> None:
    """Tell a node to unload a model."""
    _move(name, model, data, as_json, load=False)


def _move(name: str, model: str, data: Any, as_json: bool, *, load: bool) -> None:
    async def work(services: Services) -> Any:
        await services.pool.planner.move(await services.pool.node(name), model, load=load, actor=ACTOR)
        return {"name": name, "model": model, "asked": "load" if load else "unload"}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['name']}: {done['asked']} {done['model']}")


@app.command()
def plan(
    apply: Annotated[bool, typer.Option("--apply", help="Make its moves.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Where models should be in the coming hour, by forecast demand, speed and cost."""

    async def work(services: Services) -> Any:
        found = await services.pool.planner.plan()
        moves = await services.pool.planner.apply(actor=ACTOR) if apply else 0
        return {"placed": found.placed, "moves": found.moves, "unmet": found.unmet, "applied": moves}

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("node", "models"), [
        (node, ", ".join(models)) for node, models in found["placed"].items()
    ]))  # fmt: skip
