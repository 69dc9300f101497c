"""`shanhe store`: listings, their versions and reviews, ratings, income."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import ACTOR, Data, Json, day_of, find_org, id_of, in_city, json_object, pairs, rows, show
from shanhe.kernel.money import format_credits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import date

    from shanhe.app import Services
    from shanhe.store.api import Listing

app = typer.Typer(no_args_is_help=True)
First = Annotated[str | None, typer.Option(help="First day, like 2026-11-01.")]
Last = Annotated[str | None, typer.Option(help="Last day.")]
Name = Annotated[str, typer.Argument(help="What is listed, like agent/translator or mcp/weather.")]
Owner = Annotated[str, typer.Option("--org", help="The maker: id or name of an organisation.")]
Note = Annotated[str, typer.Option("--note", help="Why; the maker reads it.")]


@app.command("list")
def list_listings(
    kind: Annotated[str | None, typer.Option(help="agent, mcp, model, data or prompt.")] = None,
    find: Annotated[str | None, typer.Option(help="Words of a title, a summary or a maker's name.")] = None,
    order: Annotated[str, typer.Option(help="rank, new, used, rated or cheap.")] = "rank",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What is offered, best ranked first."""
    from shanhe.store.api import BadListing, Order
    from shanhe.store.routes import card_view

    if order not in list(Order):
        raise BadListing("order", "one of " + ", ".join(Order), "须为：" + "、".join(Order))

    async def work(services: Services) -> Any:
        return [card_view(card) for card in await services.store.cards(kind, None, find, Order(order))]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("name", "maker", "score", "calls", "stars", "markup", "fee"), [
        (one["name"], one["maker"], f"{one['score'] / 100:.1f}", one["calls"],
         f"{one['stars_sum'] / one['ratings']:.1f} ({one['ratings']})" if one["ratings"] else "–",
         f"{one['markup_bps'] / 100:g} %", format_credits(one["fee_micro"])) for one in found
    ], right=("score", "calls", "fee")))  # fmt: skip


@app.command("show")
def show_listing(name: Name, data: Data = None, as_json: Json = False) -> None:
    """One listing: terms, rank, what users said."""
    from shanhe.store.routes import card_view, rating_view

    async def work(services: Services) -> Any:
        said = [rating_view(one) for one in await services.store.ratings(name)]
        return {**card_view(await services.store.card(name)), "said": said}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({name: value for name, value in found.items() if name != "said"}))


@app.command("open")
def open_listing(
    name: Name,
    org: Owner,
    title: Annotated[str, typer.Option(help="Title, Chinese.")],
    title_en: Annotated[str, typer.Option(help="Title, English.")],
    summary: Annotated[str, typer.Option(help="What it does, Chinese.")] = "",
    summary_en: Annotated[str, typer.Option(help="What it does, English.")] = "",
    category: Annotated[str, typer.Option(help="See the store's categories.")] = "general",
    content: Annotated[
        Path | None, typer.Option("--content", help="JSON file: its first draft.", exists=True, dir_okay=False)
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A new listing, not offered yet."""
    from shanhe.kernel.ids import new_id
    from shanhe.store.api import Kind, NewListing, UnknownListing
    from shanhe.store.routes import listing_view

    kind, _, slug = name.partition("/")
    if kind not in list(Kind):
        raise UnknownListing(name)
    begun = None if content is None else json_object(content)

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        new = NewListing(new_id(), Kind(kind), slug, title, title_en, summary, summary_en, category)
        return listing_view(await services.store.open(new, owner=owner.id, actor=ACTOR, content=begun))

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['name']}: {made['state']}")


@app.command()
def draft(
    name: Name,
    org: Owner,
    content: Annotated[Path, typer.Argument(help="JSON file: what is offered.", exists=True, dir_okay=False)],
    markup: Annotated[int, typer.Option(help="Markup on the model cost, basis points.")],
    fee: Annotated[int, typer.Option(help="Fee a call, micro-credits.")] = 0,
    right: Annotated[list[str] | None, typer.Option(help="A registered right it uses, ip/000001; repeat it.")] = None,
    notes: Annotated[str, typer.Option(help="What is new.")] = "",
    submit: Annotated[bool, typer.Option("--submit", help="Check it and hand it in for review.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change the draft or begin the next version."""
    from shanhe.store.api import Terms
    from shanhe.store.routes import version_view

    offered = json_object(content)
    terms = Terms(markup, fee, rights=tuple(dict.fromkeys(right or ())))

    async def work(services: Services) -> Any:
        owner = (await find_org(services, org)).id
        made = await services.store.draft(name, offered, terms, owner=owner, actor=ACTOR, notes=notes)
        return version_view(await services.store.submit(name, owner=owner) if submit else made)

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {name} version {made['n']}: {made['state']}")


@app.command()
def content(
    name: Name,
    org: Owner,
    number: Annotated[int, typer.Option("--version", help="The newest when not said.")] = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a version of one's own says, as `draft`, `open --content` and the console take it."""

    async def work(services: Services) -> Any:
        return (await services.store.version(name, number, owner=(await find_org(services, org)).id)).content

    found = in_city(data, work)
    show(as_json, found, lambda: json.dumps(found, ensure_ascii=False, indent=2))


@app.command()
def queue(data: Data = None, as_json: Json = False) -> None:
    """What waits for a review, oldest first."""
    from shanhe.store.routes import listing_view, version_view

    async def work(services: Services) -> Any:
        found = await services.store.queue()
        return [{**listing_view(one), "version": version_view(version)} for one, version in found]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("name", "version", "submitted", "checks"), [
        (one["name"], one["version"]["n"], f"{one['version']['submitted_at']:%m-%d %H:%M}",
         ", ".join(check.name for check in one["version"]["checks"])) for one in found
    ]))  # fmt: skip


@app.command()
def review(
    name: Name,
    version: Annotated[int, typer.Argument(help="Number of the version.")],
    note: Note,
    reject: Annotated[bool, typer.Option("--reject", help="Reject instead of approving.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Approve a submitted version: from then on it is what callers get and pay by."""
    from shanhe.store.routes import version_view

    async def work(services: Services) -> Any:
        done = await services.store.review(
            name, version, approve=not reject, note=note, reviewer=ACTOR, reviewer_org=None
        )
        return version_view(done)

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {name} version {done['n']}: {done['state']}")


@app.command()
def withdraw(name: Name, org: Owner, data: Data = None, as_json: Json = False) -> None:
    """Its maker sells it no more; calls that are running end as they were admitted."""

    async def move(services: Services) -> Listing:
        return await services.store.withdraw(name, owner=(await find_org(services, org)).id, actor=ACTOR)

    _moves(data, as_json, move)


@app.command()
def remove(name: Name, note: Note, data: Data = None, as_json: Json = False) -> None:
    """The city takes a listing out of the store and says why; its maker and its users are told."""
    _moves(data, as_json, lambda services: services.store.remove(name, reason=note, actor=ACTOR, actor_org=None))


@app.command()
def restore(name: Name, note: Note, data: Data = None, as_json: Json = False) -> None:
    """Put back what the city took out, as it was approved."""
    _moves(data, as_json, lambda services: services.store.restore(name, reason=note, actor=ACTOR, actor_org=None))


@app.command()
def known(
    find: Annotated[str, typer.Option(help="Words of its names or summaries.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Everything that was ever handed in, whatever became of it."""
    from shanhe.store.api import RANKED_ROWS
    from shanhe.store.routes import listing_view

    async def work(services: Services) -> Any:
        return [listing_view(one) for one in (await services.store.known(find, most=RANKED_ROWS))[0]]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("name", "state", "title"), [
        (one["name"], one["state"], one["title_zh"]) for one in found
    ]))  # fmt: skip


@app.command()
def case(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Who decided what about a listing and why, and what others offer under a like name."""
    from rich.console import Group

    from shanhe.store.routes import case_view

    async def work(services: Services) -> Any:
        return case_view(await services.store.case(name))

    found = in_city(data, work)
    show(as_json, found, lambda: Group(
        f"{found['listing']['name']}: {found['listing']['state']} · {found['maker']}",
        rows(("at", "was", "becomes", "by", "why"), [
            (f"{one.moved_at:%Y-%m-%d %H:%M}", one.was, one.becomes, one.moved_by, one.reason) for one in found["moves"]
        ]),
        rows(("version", "state", "by", "decision"), [
            (one["n"], one["state"], one["decided_by"], one["decision"]) for one in found["versions"]
        ], right=("version",)),
        rows(("alike", "title", "maker"), [
            (one["name"], one["title_zh"], one["maker"]) for one in found["alike"]
        ]),
    ))  # fmt: skip


@app.command()
def deprecate(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Show a listing no more; whoever knows it may go on calling it."""
    _moves(data, as_json, lambda services: services.store.deprecate(name, owner=None, actor=ACTOR))


@app.command()
def relist(name: Name, org: Owner, data: Data = None, as_json: Json = False) -> None:
    """Show it again after `deprecate`."""

    async def move(services: Services) -> Listing:
        return await services.store.relist(name, owner=(await find_org(services, org)).id, actor=ACTOR)

    _moves(data, as_json, move)


@app.command()
def recall(name: Name, org: Owner, data: Data = None, as_json: Json = False) -> None:
    """Take a submitted version back, to change it."""
    from shanhe.store.routes import version_view

    async def work(services: Services) -> Any:
        return version_view(await services.store.recall(name, owner=(await find_org(services, org)).id))

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {name} version {done['n']}: {done['state']}")


@app.command()
def rate(
    name: Name,
    org: Owner,
    stars: Annotated[int, typer.Argument(help="1 to 5.")],
    text: Annotated[str, typer.Option(help="A word on it.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Rate what an organisation has paid for."""
    from shanhe.store.routes import card_view

    async def work(services: Services) -> Any:
        rater = (await find_org(services, org)).id
        await services.store.rate(name, org_id=rater, stars=stars, text=text, actor=ACTOR)
        return card_view(await services.store.card(name))

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {name}: {done['ratings']} ratings, score {done['score'] / 100:.1f}")


@app.command()
def reply(
    rating: Annotated[str, typer.Argument(help="The rating's id, as `shanhe store show NAME --json` says it.")],
    org: Owner,
    text: Annotated[str, typer.Argument(help="The answer.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Answer a rating of your own listing: once, publicly."""

    async def work(services: Services) -> Any:
        await services.store.reply(id_of(rating), owner=(await find_org(services, org)).id, text=text, actor=ACTOR)
        return {"rating": rating}

    done = in_city(data, work)
    show(as_json, done, lambda: "✓")


@app.command()
def judge(
    name: Name,
    points: Annotated[int, typer.Argument(help="0 to 100 for innovation.")],
    note: Note,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A juror's points for innovation (P7)."""
    from shanhe.store.routes import card_view

    async def work(services: Services) -> Any:
        await services.store.judge(name, score_bps=points * 100, note=note, juror=ACTOR, juror_org=None)
        return card_view(await services.store.card(name))

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {name}: score {done['score'] / 100:.1f}")


@app.command()
def income(
    org: Owner,
    first: First = None,
    last: Last = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a maker earned by day and listing, with what refunds took back."""
    from dataclasses import asdict

    async def work(services: Services) -> Any:
        days = _period(services, first, last)
        return [asdict(one) for one in await services.earnings.by_role((await find_org(services, org)).id, *days)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("day", "listing", "role", "calls", "credits"), [
        (one["day"], one["resource"], one["role"], one["calls"], format_credits(one["amount_micro"])) for one in found
    ], right=("calls", "credits")))  # fmt: skip


@app.command()
def earnings(
    org: Owner,
    first: First = None,
    last: Last = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a maker earned by day and token, with refunds and payouts."""
    from shanhe.store.api import earnings_view

    async def work(services: Services) -> Any:
        days = _period(services, first, last)
        return earnings_view(await services.earnings.of((await find_org(services, org)).id, *days))

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("day", "listing", "calls", "tokens", "credits", "a 1,000 tokens"), [
        (one["day"], one["resource"], one["calls"], one["tokens"], format_credits(one["earned_micro"]),
         "–" if one["per_thousand_micro"] is None else format_credits(one["per_thousand_micro"]))
        for one in found["days"]
    ], right=("calls", "tokens", "credits", "a 1,000 tokens")))  # fmt: skip


@app.command()
def statement(
    org: Owner,
    out: Annotated[Path, typer.Option("--out", help="File to write: .csv, .xlsx or .pdf.", dir_okay=False)],
    first: First = None,
    last: Last = None,
    language: Annotated[str, typer.Option(help="zh or en.")] = "zh",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A statement of a maker's income, with every posting."""
    from shanhe.kernel.documents import render

    async def work(services: Services) -> Any:
        maker = await find_org(services, org)
        days = _period(services, first, last)
        made = await services.earnings.statement(maker.id, *days, name=maker.name, language=language)
        out.write_bytes(await render(made, out.suffix.removeprefix(".")))
        return {"file": str(out), "first": days[0], "last": days[1]}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['file']}")


@app.command()
def ranks(
    month: Annotated[str | None, typer.Argument(help="Like 2026-10; default the newest that is fixed.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Who stood where at a month's end (P7), what payers paid of their own, and whether it was rewarded."""
    from dataclasses import asdict

    from shanhe.kernel.money import said_credits

    async def work(services: Services) -> Any:
        months = await services.ranks.months()
        chosen = day_of(f"{month}-01") if month else (months[0] if months else services.clock.today())
        return [
            {**asdict(one), "name": one.name, "reward_micro": services.ranks.due_micro(one)}
            for one in await services.ranks.of(chosen)
        ]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("month", "listing", "place", "score", "payers", "own", "reward", "applied"), [
        (f"{one['month']:%Y-%m}", one["name"], one["place"], f"{one['score'] / 100:.1f}", one["payers"],
         said_credits(one["own_micro"]), said_credits(one["reward_micro"]), one["application"] or "–") for one in found
    ], right=("place", "score", "payers", "own", "reward")))  # fmt: skip


def _moves(data: Path | None, as_json: bool, move: Callable[[Services], Awaitable[Listing]]) -> None:
    """Move a listing, and say where it stands then."""
    from shanhe.store.routes import listing_view

    async def work(services: Services) -> Any:
        return listing_view(await move(services))

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['name']}: {done['state']}")


def _period(services: Services, first: str | None, last: str | None) -> tuple[date, date]:
    """The days that a command was asked for."""
    from shanhe.store.api import period

    return period(services.clock, day_of(first) if first else None, day_of(last) if last else None)
