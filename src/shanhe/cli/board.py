"""`shanhe board`: needs and solutions, what fits them and why, and how two come to terms (T10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, day_of, find_org, id_of, in_city, pairs, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services

TITLE_CHARS = 30
app = typer.Typer(no_args_is_help=True)
Which = Annotated[UUID, typer.Argument(help="Id of the need or solution; `shanhe board list` shows it.")]
WhichMatch = Annotated[UUID, typer.Argument(help="Id of the match; `shanhe board matches` shows it.")]
Owner = Annotated[str, typer.Option("--org", help="Whose it is: id or name of an organisation.")]
Kinds = Annotated[str, typer.Argument(help="need or solution.")]


@app.command("list")
def list_posts(
    kind: Annotated[str, typer.Option(help="need or solution; default both.")] = "",
    sector: Annotated[str, typer.Option(help="One sector.")] = "",
    find: Annotated[str, typer.Option(help="Words to look for.")] = "",
    org: Annotated[str, typer.Option(help="Only this organisation's, drafts and ended ones too.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What is on the board, newest first, or what holds some words, best first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.board.api import kind_of, post_view

        board, wanted = services.board, kind_of(kind) if kind else None
        if org:
            found = await board.posts.of((await find_org(services, org)).id)
        elif find:
            found = await board.finding.search(wanted, find, sector or None)
        else:
            found = await board.posts.standing(wanted, sector or None)
        return [post_view(one, await board.posts.name_of(one)) for one in found]

    show(as_json, found := in_city(data, work), lambda: _posts(found))


@app.command("show")
def show_post(post: Which, data: Data = None, as_json: Json = False) -> None:
    """One need or solution on the board."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.board.api import post_view

        found = await services.board.posts.get(post)
        return post_view(found, await services.board.posts.name_of(found))

    show(as_json, found := in_city(data, work), lambda: pairs(found))


@app.command("post")
def post_(
    kind: Kinds,
    org: Owner,
    title: Annotated[str, typer.Option(help="Title.")],
    text: Annotated[str, typer.Option(help="What is needed, or what is offered.")],
    sector: Annotated[str, typer.Option(help="agriculture, manufacturing, health, …")],
    until: Annotated[str, typer.Option(help="Last day on the board.")],
    readiness: Annotated[int, typer.Option(help="The least that is wanted (0: any), or what is reached (1–9).")] = 0,
    budget_fen: Annotated[str, typer.Option(help="A need's budget as FROM-TO, fen.")] = "",
    price_fen: Annotated[int | None, typer.Option(help="A solution's price, fen.")] = None,
    asks: Annotated[str, typer.Option(help="What a solution asks besides.")] = "",
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Don't show whose it is.")] = False,
    words_only: Annotated[bool, typer.Option("--words-only", help="No embedding, which the owner pays for.")] = False,
    draft: Annotated[bool, typer.Option("--draft", help="Don't publish it yet.")] = False,
    ref: Annotated[str, typer.Option(help="Id: the same one again posts once.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Post a need or a solution for an organisation."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.board.api import Words, kind_of, post_view

        owner, posts = (await find_org(services, org)).id, services.board.posts
        low, _, high = budget_fen.partition("-")
        words = Words(
            kind_of(kind), title, text, sector, day_of(until), not anonymous, not words_only, readiness,
            int(low) if low else None, int(high or low) if low else None, price_fen, asks,
        )  # fmt: skip
        made = await posts.write(id_of(ref), owner, words, actor=ACTOR)
        if not draft and made.published_at is None:
            made = await posts.publish(made.id, owner)
        return post_view(made, await posts.name_of(made, owner), own=True)

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['id']}: {made['state']}")


@app.command()
def edit(
    post: Which,
    org: Owner,
    title: Annotated[str | None, typer.Option(help="Another title.")] = None,
    text: Annotated[str | None, typer.Option(help="Another text.")] = None,
    until: Annotated[str | None, typer.Option(help="Another last day.")] = None,
    readiness: Annotated[int | None, typer.Option(help="Another readiness.")] = None,
    price_fen: Annotated[int | None, typer.Option(help="Another price of a solution, fen.")] = None,
    asks: Annotated[str | None, typer.Option(help="What a solution asks besides.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change what a post says; what isn't named stays."""

    async def work(services: Services) -> dict[str, Any]:
        from dataclasses import replace

        from shanhe.board.api import post_view

        owner, posts = (await find_org(services, org)).id, services.board.posts
        given: dict[str, Any] = {
            "title": title, "text": text, "until": day_of(until) if until else None, "readiness": readiness,
            "price_fen": price_fen, "asks": asks,
        }  # fmt: skip
        changes = {name: value for name, value in given.items() if value is not None}
        made = await posts.change(post, owner, replace((await posts.get(post, owner)).words, **changes))
        return post_view(made, await posts.name_of(made, owner), own=True)

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['id']}: revision {made['revision']}")


@app.command()
def publish(post: Which, org: Owner, data: Data = None, as_json: Json = False) -> None:
    """Put a draft on the board, or one that was taken off, again."""
    _moved("publish", post, org, data, as_json)


@app.command()
def withdraw(post: Which, org: Owner, data: Data = None, as_json: Json = False) -> None:
    """Take a post off the board; its open matches end."""
    _moved("withdraw", post, org, data, as_json)


@app.command()
def remove(
    post: Which, why: Annotated[str, typer.Option(help="What its owner reads.")], data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Take a post off the board that does not belong there, for good."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.board.api import post_view

        made = await services.board.posts.remove(post, why, actor=ACTOR)
        return post_view(made, await services.board.posts.name_of(made), own=True)

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['id']}: {made['state']}")


def _moved(act: str, post: UUID, org: str, data: Data, as_json: bool) -> None:
    async def work(services: Services) -> dict[str, Any]:
        from shanhe.board.api import post_view

        owner, posts = (await find_org(services, org)).id, services.board.posts
        made = await (posts.publish if act == "publish" else posts.withdraw)(post, owner)
        return post_view(made, await posts.name_of(made, owner), own=True)

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['id']}: {made['state']}")


@app.command()
def fits(
    post: Which, most: Annotated[int, typer.Option(help="How many.", min=1, max=10)] = 5, data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """What fits a post best, and why."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.board.api import fits_view

        board = services.board
        found = await board.finding.of(await board.posts.get(post), most)
        return fits_view(found, {fit.post.id: await board.posts.name_of(fit.post) for fit in found.found})

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "标题 title", "词 words", "义 cosine", "理由 reasons"), [
        (one["post"]["id"], one["post"]["title"][:TITLE_CHARS],
         " ".join(f"{part['piece']}({part['weight']})" for part in one["words"]["matched"][:4]),
         "–" if one["meaning"]["cosine"] is None else one["meaning"]["cosine"],
         "；".join(("✓" if why["good"] else "✗") + why["zh"] for why in one["reasons"] if why["good"] is not None))
        for one in found["data"]
    ]))  # fmt: skip


@app.command()
def matches(org: Owner, data: Data = None, as_json: Json = False) -> None:
    """An organisation's matches: how far they are and what became of the reward."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.board.api import match_view

        return [match_view(one) for one in await services.board.meetings.of((await find_org(services, org)).id)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "需求 need", "方案 solution", "本方 mine", "状态 state", "奖励 reward"), [
        (one["id"], one["need"]["title"][:TITLE_CHARS], one["solution"]["title"][:TITLE_CHARS], one["mine"],
         one["state"], one["reward"]["state"] if one["reward"] else "–") for one in found
    ]))  # fmt: skip


@app.command()
def interest(
    org: Owner,
    need: Annotated[UUID, typer.Option(help="Id of the need.")],
    solution: Annotated[UUID, typer.Option(help="Id of the solution.")],
    note: Annotated[str, typer.Option(help="What to say to the other side.")],
    ref: Annotated[str, typer.Option(help="Id: the same one again opens one match.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show interest, for the owner of either post."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.board.api import match_view

        owner = (await find_org(services, org)).id
        return match_view(await services.board.meetings.interest(
            id_of(ref), owner, need, solution, note, actor=ACTOR
        ))  # fmt: skip

    _show_match(as_json, in_city(data, work))


@app.command()
def offer(
    match: WhichMatch,
    org: Owner,
    text: Annotated[str, typer.Option(help="The terms.")],
    fee_fen: Annotated[int | None, typer.Option(help="The price, fen.")] = None,
    after: Annotated[int, typer.Option(help="Number of the offer it replaces; 0: the first.")] = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make an offer, for either side, which thereby accepts it."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.board.api import match_view

        owner = (await find_org(services, org)).id
        return match_view(await services.board.meetings.offer(match, owner, text, fee_fen, after=after, actor=ACTOR))

    _show_match(as_json, in_city(data, work))


@app.command()
def accept(
    match: WhichMatch,
    number: Annotated[int, typer.Argument(help="Number of the offer, as it was read.")],
    org: Owner,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Accept the other side's offer; both are then rewarded by rule T10."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.board.api import match_view

        owner = (await find_org(services, org)).id
        return match_view(await services.board.meetings.accept(match, owner, round_=number, actor=ACTOR))

    _show_match(as_json, in_city(data, work))


@app.command()
def leave(
    match: WhichMatch, org: Owner, note: Annotated[str, typer.Option(help="Why.")] = "", data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Withdraw or decline before both accepted."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.board.api import match_view

        owner = (await find_org(services, org)).id
        return match_view(await services.board.meetings.leave(match, owner, note, actor=ACTOR))

    _show_match(as_json, in_city(data, work))


def _show_match(as_json: bool, found: dict[str, Any]) -> None:
    show(as_json, found, lambda: f"✓ {found['id']}: {found['state']}, offer {found['round']}")


def _posts(found: list[dict[str, Any]]) -> Any:
    return rows(("id", "类别 kind", "状态 state", "标题 title", "行业 sector", "截止 until", "主体 by"), [
        (one["id"], one["kind"], one["state"], one["title"][:TITLE_CHARS], one["sector"], one["until"],
         one["name"] or "–") for one in found
    ])  # fmt: skip
