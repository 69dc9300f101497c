"""`shanhe clones`: consents asked for, feedback, lessons, versions and their gates."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, find_org, in_city, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Org = Annotated[str, typer.Option("--org", help="The maker: id or name of an organisation.")]
Name = Annotated[str, typer.Argument(help="A clone, like clone/teacher.")]


@app.command("list")
def list_consents(org: Org, data: Data = None, as_json: Json = False) -> None:
    """What a maker asked people for, and what became of it."""
    from shanhe.clones.routes import view

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        return [view(one) for one in await services.clones.mandates(org_id=owner.id)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "clone", "state", "purposes", "until", "deleted"), [
        (one["id"], one["name"], one["state"], " ".join(one["purposes"] or one["asked"]),
         one["until"] or one["asked_until"], one["cleared_at"] or "") for one in found
    ]))  # fmt: skip


@app.command()
def ask(
    name: Name,
    org: Org,
    until: Annotated[datetime, typer.Option(help="Last day, like 2027-06-30.", formats=["%Y-%m-%d"])],
    purpose: Annotated[list[str], typer.Option(help="consultation, teaching, service, promotion, alliance, voice, "
                                                    "training; may be repeated.")],
    data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Ask a person for their consent; the link to hand to them is shown once."""
    from shanhe.clones.routes import view

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        made, code = await services.clones.ask(owner.id, name, purpose, until.date(), by=ACTOR)
        return {**view(made), "code": code, "link": f"{services.settings.url}/my-clones/consent/{code}"}

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['name']}: {made['state']}\n{made['link']}")


@app.command()
def drop(
    mandate: Annotated[UUID, typer.Argument(help="Id of a request.")], org: Org, data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Take a request or a clone back: what was made of the person is deleted."""
    from shanhe.clones.routes import view

    async def work(services: Services) -> Any:
        return view(await services.clones.drop(mandate, (await find_org(services, org)).id))

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['name']}: {done['state']}, deleted {dict(done['cleared'])}")


@app.command()
def sweep(data: Data = None, as_json: Json = False) -> None:
    """End what has expired or was withdrawn, and delete what is left; a job does it every minute."""

    async def work(services: Services) -> Any:
        return {"ended": await services.clones.tick()}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['ended']} ended")


@app.command()
def feedback(
    name: Name,
    org: Org,
    state: Annotated[str | None, typer.Option(help="new, accepted, rejected or taken.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What users said of a clone's answers, newest first."""
    from shanhe.clones.routes import feedback_view

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        return [feedback_view(one) for one in await services.teaching.queue(name, owner.id, state)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "state", "good", "question", "correction"), [
        (one["id"], one["state"], "✓" if one["good"] else "✗", one["question"][:40], one["correction"][:40])
        for one in found
    ]))  # fmt: skip


@app.command()
def review(
    piece: Annotated[UUID, typer.Argument(help="Id of a piece of feedback.")],
    org: Org,
    reject: Annotated[bool, typer.Option("--reject", help="Reject instead of accepting.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Accept a piece of feedback as a lesson, or reject it."""
    from shanhe.clones.routes import feedback_view

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        return feedback_view(await services.teaching.decide(piece, owner.id, accept=not reject, by=ACTOR))

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['state']}")


@app.command()
def lessons(name: Name, org: Org, data: Data = None, as_json: Json = False) -> None:
    """Accepted feedback as the next version of the clone's data set."""

    async def work(services: Services) -> Any:
        version, count = await services.teaching.collect(name, (await find_org(services, org)).id, by=ACTOR)
        return {"version": version, "lessons": count}

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ version {made['version']}: {made['lessons']} lessons")


@app.command()
def train(
    name: Name,
    version: Annotated[UUID, typer.Argument(help="Version of the data set.")],
    org: Org,
    epochs: Annotated[int, typer.Option(help="How often each lesson is seen.")] = 3,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Order an adapter that learns the lessons."""

    async def work(services: Services) -> Any:
        owner = (await find_org(services, org)).id
        return {"job": await services.teaching.train(name, owner, version, {"epochs": epochs}, by=ACTOR)}

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ job {made['job']}; follow it with: shanhe studio show")


@app.command()
def versions(name: Name, org: Org, data: Data = None, as_json: Json = False) -> None:
    """What was trained, its scores, and whether it may be offered (T2)."""

    async def work(services: Services) -> Any:
        return [asdict(one) for one in await services.teaching.gates(name, (await find_org(services, org)).id)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("adapter", "score", "base", "in service", "difference", "gate"), [
        (one["number"], f"{one['score_bps'] / 100:g}", f"{one['base_bps'] / 100:g}",
         *_beside(one["compared"], one["standing_bps"]), "✓" if one["passed"] else f"✗ {one['why_en']}")
        for one in found
    ], right=("score", "base", "in service")))  # fmt: skip


def _beside(both: dict[str, Any] | None, standing_bps: int) -> tuple[str, str]:
    if both is None:
        return "–", "–"
    span = f"{both['difference']:+.1f} [{both['low']:+.1f}, {both['high']:+.1f}] on {both['asked']}"
    return f"{standing_bps / 100:g}", span


@app.command("next")
def offer(
    name: Name, number: Annotated[int, typer.Argument(help="Adapter.")], org: Org, data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Hand in the listing's next version with this adapter, if its evaluation passes the gate."""

    async def work(services: Services) -> Any:
        owner = (await find_org(services, org)).id
        return {"version": await services.teaching.offer(name, owner, number, by=ACTOR)}

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {name} version {made['version']} waits for its review")
