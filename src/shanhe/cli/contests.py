"""`shanhe contests`: calls, entries, juries, places and prizes (P8)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, day_of, find_org, in_city, pairs, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services

By = Annotated[str, typer.Option("--by", help="Who does it; somebody else decides.")]
Decider = Annotated[str, typer.Option("--by", help="Who decides: had no hand in the call or the jury.")]
ENTRY_DAYS, JURY_DAYS = 30, 44
FEN = 100
app = typer.Typer(no_args_is_help=True)
Which = Annotated[UUID, typer.Argument(help="Id of the contest; `shanhe contests list` shows it.")]
Who = Annotated[UUID, typer.Option("--juror", help="Id of the person; `shanhe people list` shows it.")]
Owner = Annotated[str, typer.Option("--org", help="The entrant: id or name of an organisation.")]


@app.command("list")
def list_contests(data: Data = None, as_json: Json = False) -> None:
    """All contests, newest first."""
    from shanhe.store.routes import contest_view

    async def work(services: Services) -> Any:
        return [contest_view(services.contests, one) for one in await services.contests.contests()]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "title", "phase", "entries until", "judged until", "pool ¥"), [
        (one["id"], one["title_zh"], one["phase"], one["entries_until"], one["judged_until"],
         f"{one['pool_fen'] / FEN:,.2f}") for one in found
    ], right=("pool ¥",)))  # fmt: skip


@app.command("show")
def show_contest(contest: Which, data: Data = None, as_json: Json = False) -> None:
    """One contest: how far its jury is, and its winners."""
    from dataclasses import asdict

    from shanhe.store.routes import contest_view

    async def work(services: Services) -> Any:
        found = await services.contests.contest(contest)
        return {
            **contest_view(services.contests, found), "jurors": await services.contests.jurors(contest),
            "heard": dict((await services.contests.standing([contest]))[contest]),
            "winners": [asdict(one) for one in await services.contests.winners(contest)],
        }  # fmt: skip

    show(as_json, found := in_city(data, work), lambda: pairs(found))


@app.command()
def call(
    title: Annotated[str, typer.Option(help="Title, Chinese.")],
    title_en: Annotated[str, typer.Option(help="Title, English.")],
    text: Annotated[str, typer.Option(help="The call, Chinese.")],
    text_en: Annotated[str, typer.Option(help="The call, English.")],
    pool_fen: Annotated[int, typer.Option(help="Prize pool, fen; P8 splits it.")],
    by: By,
    opens: Annotated[str | None, typer.Option(help="First day of entries; default today.")] = None,
    entries_until: Annotated[str | None, typer.Option(help="Last day of entries; default 30 days on.")] = None,
    judged_until: Annotated[str | None, typer.Option(help="Last day of judging; default 44 days on.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Announce a contest."""
    from shanhe.kernel.ids import new_id
    from shanhe.store.api import NewContest
    from shanhe.store.routes import contest_view

    async def work(services: Services) -> Any:
        first = day_of(opens) if opens else services.clock.today()
        new = NewContest(
            new_id(), title, title_en, text, text_en, pool_fen, first,
            day_of(entries_until) if entries_until else first + timedelta(days=ENTRY_DAYS),
            day_of(judged_until) if judged_until else first + timedelta(days=JURY_DAYS),
        )  # fmt: skip
        return contest_view(services.contests, await services.contests.call(new, actor=_ref(by)))

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['id']}: {made['phase']}")


@app.command()
def juror(
    contest: Which,
    person: Who,
    by: By,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="End their part instead.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Name a juror, or dismiss one."""

    async def work(services: Services) -> Any:
        if dismiss:
            await services.contests.dismiss_juror(contest, person, actor=_ref(by))
        else:
            await services.identity.people.get(person)
            await services.contests.name_juror(contest, person, actor=_ref(by))
        return {"jurors": await services.contests.jurors(contest)}

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {len(found['jurors'])} jurors")


@app.command()
def enter(
    contest: Which,
    org: Owner,
    listing: Annotated[str, typer.Argument(help="What is entered, like agent/translator.")],
    text: Annotated[str, typer.Option(help="What the jury reads; no names.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Enter one of an organisation's listings, or change its entry."""
    from shanhe.store.routes import entry_view

    async def work(services: Services) -> Any:
        owner = (await find_org(services, org)).id
        return entry_view(await services.contests.enter(contest, owner=owner, listing=listing, work=text, actor=ACTOR))

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ entry #{made['n']}")


@app.command()
def withdraw(contest: Which, org: Owner, data: Data = None, as_json: Json = False) -> None:
    """Take an organisation's entry back."""

    async def work(services: Services) -> Any:
        await services.contests.withdraw(contest, owner=(await find_org(services, org)).id)
        return {"withdrawn": True}

    show(as_json, in_city(data, work), lambda: "✓ withdrawn")


@app.command()
def judge(
    contest: Which,
    person: Who,
    number: Annotated[int | None, typer.Argument(help="Number of the entry; without it all are listed.")] = None,
    points: Annotated[int, typer.Option(help="0 to 100.")] = 0,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A juror's view of the entries, without names; with a number their points for one."""
    from dataclasses import asdict

    async def work(services: Services) -> Any:
        if number is not None:
            await services.contests.score(contest, number, person=person, score_bps=points * 100, note=note)
        return [asdict(one) for one in await services.contests.to_judge(contest, person)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("entry", "kind", "text", "points"), [
        (f"#{one['n']}", one["kind"], one["work"][:80],
         "–" if one["score_bps"] is None else one["score_bps"] // 100) for one in found
    ], right=("points",)))  # fmt: skip


@app.command()
def decide(contest: Which, by: Decider, data: Data = None, as_json: Json = False) -> None:
    """Give the places by the jury's points and apply for the prizes."""
    from dataclasses import asdict

    async def work(services: Services) -> Any:
        await services.contests.decide(contest, actor=_ref(by))
        return [asdict(one) for one in await services.contests.winners(contest)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("place", "listing", "maker", "points", "prize ¥"), [
        (one["place"], one["name"], one["maker"], f"{one['mean_bps'] / FEN:.1f}", f"{one['prize_fen'] / FEN:,.2f}")
        for one in found
    ], right=("points", "prize ¥")))  # fmt: skip


def _ref(by: str) -> str:
    return f"{ACTOR}:{by.strip()}"
