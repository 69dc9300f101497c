"""`shanhe content`: have texts drafted, look at them, take them out, and say who pays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import Data, Json, find_org, in_city, pairs, rows, show
from shanhe.kernel.errors import Invalid
from shanhe.kernel.money import format_credits

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Org = Annotated[str, typer.Option("--org", help="Whose it is: id or name of an organisation.")]
DraftId = Annotated[UUID, typer.Argument(help="Id of a draft.")]
BY = "cli"


@app.command()
def kinds(as_json: Json = False) -> None:
    """What the hub writes and what each form asks."""
    from shanhe.content.api import kinds_view

    found = kinds_view()
    show(as_json, found, lambda: rows(("kind", "title", "fields (* = needed)"), [
        (one["id"], f"{one['zh']} {one['en']}",
         " ".join(field["id"] + ("*" if field["required"] else "") for field in one["fields"]))
        for one in found["kinds"]
    ]))  # fmt: skip


@app.command()
def standing(org: Org, data: Data = None, as_json: Json = False) -> None:
    """Free drafts left this month (B10), and who pays beyond them."""

    async def work(services: Services) -> Any:
        from shanhe.content.api import standing_view

        return standing_view(await services.hub.content.standing((await find_org(services, org)).id))

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({key: value for key, value in found.items() if key != "trace"}))


@app.command()
def own(
    pays: Annotated[str, typer.Argument(help="none, month or always: whether own credits pay beyond the free tier.")],
    org: Org, data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Say whether an organisation's own credits pay beyond the free tier."""
    if pays not in ("none", "month", "always"):
        raise Invalid("bad_choice", "Say none, month or always.", message_zh="请填写 none、month 或 always。")

    async def work(services: Services) -> Any:
        terms = await services.hub.content.agree((await find_org(services, org)).id, pays, by=BY)  # type: ignore[arg-type]
        return {"own": terms.own, "month": str(terms.own_month or "")}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found))


@app.command()
def write(
    kind: Annotated[str, typer.Argument(help="What to write, like product_text: see `kinds`.")],
    org: Org,
    field: Annotated[list[str], typer.Option("--field", help="NAME=TEXT, once for each field of the form.")],
    drafts: Annotated[int, typer.Option("--drafts", help="1 to 3.")] = 1,
    tone: Annotated[str, typer.Option("--tone", help="plain, warm, formal or lively.")] = "plain",
    length: Annotated[str, typer.Option("--length", help="short, medium or long.")] = "medium",
    language: Annotated[str, typer.Option("--language", help="zh or en.")] = "zh",
    model: Annotated[str, typer.Option("--model", help="Another model than the city's basic one.")] = "",
    request: Annotated[UUID | None, typer.Option("--id", help="The same id again is the same request.")] = None,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Ask for drafts; a gateway process of the city writes them."""
    pairs_given = [one.partition("=") for one in field]
    if any(not sign for _, sign, _ in pairs_given):
        raise Invalid("bad_field", "Give fields as NAME=TEXT.", message_zh="字段请写成 名称=内容。")
    form = {"fields": {name: text for name, _, text in pairs_given}, "tone": tone, "length": length,
            "language": language}  # fmt: skip

    async def work(services: Services) -> Any:
        from shanhe.content.api import draft_view, job_view

        job, made = await services.hub.content.ask(
            (await find_org(services, org)).id, kind, form, by=BY, drafts=drafts, model=model, job_id=request
        )
        return job_view(job, [draft_view(one) for one in made])

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("draft", "n", "state", "pays"), [
        (one["id"], one["n"], one["state"], one["payer"]) for one in found["drafts"]
    ]))  # fmt: skip


@app.command(name="drafts")
def drafts_(
    org: Org,
    find: Annotated[str, typer.Option("--find", help="Words in titles and texts.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Of one kind only.")] = "",
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """An organisation's drafts, newest first."""

    async def work(services: Services) -> Any:
        from shanhe.content.api import draft_view

        owner = (await find_org(services, org)).id
        return [draft_view(one) for one in await services.hub.content.drafts(owner, find=find, kind=kind)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("draft", "kind", "state", "pays", "credits", "title"), [
        (one["id"], one["kind"], one["state"], one["payer"], format_credits(one["paid_micro"]), one["title"])
        for one in found
    ], right=("credits",)))  # fmt: skip


@app.command(name="show")
def show_(draft: DraftId, org: Org, data: Data = None, as_json: Json = False) -> None:
    """A draft, and what was found in it."""

    async def work(services: Services) -> Any:
        from shanhe.content.api import draft_view

        content, owner = services.hub.content, (await find_org(services, org)).id
        one = await content.draft(owner, draft)
        job, _ = await content.job(owner, one.job)
        return draft_view(one, content.checked(one, job.form))

    found = in_city(data, work)

    def table() -> Any:
        typer.echo(f"{found['title']}\n\n{found['text']}\n")
        return rows(("found", "what", "why", "instead"), [
            (one["text"], one["category"]["zh"], one["reason"]["zh"], one["suggestion"]["zh"])
            for one in found["findings"]
        ])  # fmt: skip

    show(as_json, found, table)


@app.command()
def export(
    draft: DraftId, org: Org,
    to: Annotated[Path, typer.Option("--to", help="File to write: .txt, .md, .docx or .json.")],
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Write a draft to a labelled file."""
    from shanhe.content.api import FORMATS, exported

    form = to.suffix.lstrip(".")
    if form not in FORMATS:
        raise Invalid(
            "bad_format", f"Formats are {', '.join(FORMATS)}.", message_zh=f"格式可选：{'、'.join(FORMATS)}。"
        )

    async def work(services: Services) -> bytes:
        one = await services.hub.content.draft((await find_org(services, org)).id, draft)
        if one.state != "done":
            raise Invalid("not_finished", "The draft is not finished.", message_zh="文稿尚未完成。")
        return exported(services.hub.labels, form, str(one.id), one.title, one.text, one.model)

    to.write_bytes(in_city(data, work))
    found = {"file": str(to), "format": form}
    show(as_json, found, lambda: pairs(found))


@app.command()
def delete(draft: DraftId, org: Org, data: Data = None, as_json: Json = False) -> None:
    """Delete a draft; its receipt stays on the ledger."""

    async def work(services: Services) -> Any:
        await services.hub.content.drop((await find_org(services, org)).id, draft)
        return {"deleted": str(draft)}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found))


@app.command(name="city")
def city_(
    org: Annotated[str, typer.Option("--org", help="Government body that pays the free tier from now on.")] = "",
    model: Annotated[str, typer.Option("--model", help="Which model it pays for (else the first).")] = "",
    close: Annotated[bool, typer.Option("--close", help="Close the free tier.")] = False,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Who pays the free tier and what it took this month; with --org or --close, change it."""

    async def work(services: Services) -> Any:
        content = services.hub.content
        if org or close:
            await content.set_city(None if close else (await find_org(services, org)).id, by=BY, model=model)
        found = await content.city()
        return {**found, "org_id": str(found["org_id"] or ""), "month": str(found["month"])}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found))
