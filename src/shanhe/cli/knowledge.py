"""`shanhe knowledge`: knowledge bases: make, fill, look, search, evaluate. Searching here goes by words alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, find_org, in_city, pairs, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Org = Annotated[str, typer.Option(help="Organisation that owns it, or asks: id or name.")]
BaseId = Annotated[UUID, typer.Argument(help="Id of the knowledge base.")]


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="Name of the knowledge base.")],
    org: Org,
    reach: Annotated[str, typer.Option(help="Who reads it: listed, org or city.")] = "org",
    data_class: Annotated[str, typer.Option(help="general, citizen or government.")] = "general",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A knowledge base."""
    from shanhe.retrieval.api import NewBase
    from shanhe.retrieval.routes import base_view

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        new = NewBase(name, reach, data_class)
        return base_view(await services.library.knowledge.make(owner.id, new, by=ACTOR))

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['id']}: {found['name']}")


@app.command("list")
def list_bases(org: Org, data: Data = None, as_json: Json = False) -> None:
    """Knowledge bases that an organisation may read."""
    from shanhe.retrieval.api import Asking
    from shanhe.retrieval.routes import base_view

    async def work(services: Services) -> Any:
        knowledge = services.library.knowledge
        found = await knowledge.bases(Asking((await find_org(services, org)).id))
        counts = await knowledge.counts(found)
        return [base_view(one) | counts[one.id] for one in found]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "name", "reach", "documents", "pages", "passages"), [
        (one["id"], one["name"], one["reach"], one["documents"], one["pages"], one["passages"]) for one in found
    ], right=("documents", "pages", "passages")))  # fmt: skip


@app.command()
def add(
    base: BaseId,
    files: Annotated[list[Path], typer.Argument(help="PDF, DOCX, XLSX, PPTX, HTML, Markdown, text, images.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Hand in documents; a running city reads them. The same name again is the document's next version."""
    from shanhe.retrieval.routes import document_view

    async def work(services: Services) -> Any:
        knowledge = services.library.knowledge
        into = await knowledge.own(base, None)
        made = [await knowledge.bring(into, file.name, file.read_bytes(), by=ACTOR) for file in files]
        return [document_view(one) | {"unchanged": not new} for one, new in made]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "name", "state"), [
        (one["id"], one["name"], "unchanged" if one["unchanged"] else one["state"]) for one in found
    ]))  # fmt: skip


@app.command("show")
def show_base(base: BaseId, data: Data = None, as_json: Json = False) -> None:
    """A base, its documents and its readers."""
    from shanhe.retrieval.routes import page

    async def work(services: Services) -> Any:
        knowledge = services.library.knowledge
        return await page(knowledge, await knowledge.own(base, None))

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "document", "state", "pages", "done", "of"), [
        (one["id"], one["name"], one["state"] if not one["error"] else one["error"]["code"], one["pages"], one["done"],
         one["total"]) for one in found["documents_list"]
    ], right=("pages", "done", "of")))  # fmt: skip


@app.command()
def passages(
    base: BaseId,
    document: Annotated[UUID, typer.Argument(help="Id of the document.")],
    first: int = 1,
    most: int = 50,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A document's passages, with page and box."""
    from shanhe.retrieval.routes import chunk_view

    async def work(services: Services) -> Any:
        knowledge = services.library.knowledge
        owned = await knowledge.own(base, None)
        found = await knowledge.chunks(owned, await knowledge.document(owned, document), first, most)
        return [chunk_view(one) for one in found]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("n", "page", "box", "heading", "text"), [
        (one["n"], one["page"], ",".join(map(str, one["box"])), one["heading"][:30], one["text"][:60]) for one in found
    ], right=("n", "page")))  # fmt: skip


@app.command()
def search(
    base: BaseId,
    text: Annotated[str, typer.Argument(help="What to look for.")],
    org: Org,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Passages by words, as an organisation may read them; over HTTP a search also goes by meaning."""
    from shanhe.retrieval.api import Asking
    from shanhe.retrieval.routes import found_view

    async def work(services: Services) -> Any:
        library = services.library
        asking = Asking((await find_org(services, org)).id)
        bases = await library.knowledge.readable([str(base)], asking)
        return found_view(await library.search.find(bases, text, asking, None))

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("document", "page", "score", "covered", "text"), [
        (hit["document"], hit["page"], f"{hit['why']['word_score']:.2f}", f"{hit['why']['coverage']:.2f}",
         hit["text"][:70].replace("\n", " ")) for hit in found["hits"]
    ], right=("page", "score", "covered")))  # fmt: skip


@app.command()
def edit(
    base: BaseId,
    name: str | None = None,
    reach: Annotated[str | None, typer.Option(help="Who reads it: listed, org or city.")] = None,
    support_bps: Annotated[int | None, typer.Option(help="Below it nothing supports an answer.")] = None,
    reranker: Annotated[str | None, typer.Option(help="A chat model that judges the best passages.")] = None,
    size: Annotated[int | None, typer.Option(help="How long a passage is: a Han sign counts 1, others 0.4.")] = None,
    overlap: Annotated[int | None, typer.Option(help="How much of a passage the next one begins with.")] = None,
    separator: Annotated[str | None, typer.Option(help="A text that ends a passage wherever it stands.")] = None,
    reader: Annotated[str | None, typer.Option(help="Put an organisation on the list: id or name.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change a base, or let an organisation read it."""
    from shanhe.retrieval.routes import base_view

    async def work(services: Services) -> Any:
        knowledge = services.library.knowledge
        found = await knowledge.own(base, None)
        if reader is not None:
            await knowledge.let_read(found, "org", (await find_org(services, reader)).id, by=ACTOR)
        wishes = {"name": name, "reach": reach, "support_bps": support_bps, "reranker": reranker,
                  "size": size, "overlap": overlap, "separator": separator}  # fmt: skip
        changes = {field: value for field, value in wishes.items() if value is not None}
        return base_view(await knowledge.edit(found, changes))

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({key: found[key] for key in (
        "name", "reach", "support_bps", "reranker", "size", "overlap", "separator",
    )}))  # fmt: skip


@app.command()
def recut(base: BaseId, data: Data = None, as_json: Json = False) -> None:
    """Have a running city cut the documents anew that were cut by earlier settings."""

    async def work(services: Services) -> Any:
        knowledge = services.library.knowledge
        return {"documents": await knowledge.recut(await knowledge.own(base, None))}

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['documents']} documents")


@app.command()
def preview(
    base: BaseId,
    file: Annotated[Path, typer.Argument(help="A document, which need not be in the base.", exists=True)],
    size: int | None = None,
    overlap: int | None = None,
    separator: str | None = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """How a file would be cut into passages; nothing is kept or paid."""
    import msgspec

    from shanhe.retrieval.routes import cut_of

    async def work(services: Services) -> Any:
        knowledge = services.library.knowledge
        into = await knowledge.own(base, None)
        cut = cut_of(into, size, overlap, separator)
        return msgspec.to_builtins(await knowledge.preview(into, cut, file.name, file.read_bytes()))

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("page", "heading", "text"), [
        (one["page"], one["heading"][:30], one["text"][:90].replace("\n", " ")) for one in found["shown"]
    ], right=("page",)))  # fmt: skip


@app.command()
def evaluations(base: BaseId, data: Data = None, as_json: Json = False) -> None:
    """Past evaluations of a base on its labelled questions."""
    from shanhe.retrieval.routes import evaluation_view

    async def work(services: Services) -> Any:
        library = services.library
        past = await library.evaluating.past(await library.knowledge.own(base, None))
        return [evaluation_view(one) for one in past]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("at", "asked", "recall@5", "cited", "declined"), [
        (f"{one['at']:%m-%d %H:%M}", one["asked"], f"{one['found_bps'] / 10_000:.3f}",
         f"{one['cited_bps'] / 10_000:.3f}", f"{one['declined_bps'] / 10_000:.3f}") for one in found
    ], right=("asked", "recall@5", "cited", "declined")))  # fmt: skip


@app.command()
def remove(
    base: BaseId,
    document: Annotated[UUID | None, typer.Argument(help="Id of a document; without one the whole base goes.")] = None,
    anyway: Annotated[bool, typer.Option(help="Also a base that agents or workflows use.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Delete a document, or a base with everything in it."""

    async def work(services: Services) -> Any:
        knowledge = services.library.knowledge
        found = await knowledge.own(base, None)
        if document is None:
            await knowledge.archive(found, anyway=anyway)
            return {"base": found.id, "name": found.name}
        one = await knowledge.document(found, document)
        await knowledge.remove(one)
        return {"base": found.id, "name": one.name}

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['name']}: deleted")
