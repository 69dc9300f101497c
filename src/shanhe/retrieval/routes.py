"""HTTP of knowledge: bases, readers, documents, passages, searching, answering, evaluating."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, Caller, org_of, org_with
from shanhe.identity.api import actor as actor_of
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body
from shanhe.retrieval.api import (
    Answer,
    Answering,
    Asking,
    Base,
    Chunk,
    Cut,
    Document,
    Evaluating,
    Evaluation,
    Found,
    Hit,
    Knowledge,
    NewBase,
    Question,
    Search,
)
from shanhe.retrieval.model import HITS_DEFAULT, QUESTIONS_MAX, SIZE_MAX

plainly = partial(as_json, enc_hook=str)
Acting = Annotated[Actor, Depends(actor_of)]
Text = Annotated[str, Query(max_length=500)]
Size = Annotated[int | None, Query(ge=0, le=SIZE_MAX)]
CallerFor = Callable[[Actor], Awaitable[Caller]]
"""The caller who pays for what an actor asks: its key, or its organisation's own."""
MANAGE = ("keys", "models", "publish")


class BaseBody(Body):
    id: UUID | None = None
    name: str
    reach: str = "org"
    data_class: str = "general"
    model: str | None = None
    reranker: str = ""


class EditBody(Body):
    name: str | None = None
    reach: str | None = None
    data_class: str | None = None
    reranker: str | None = None
    support_bps: int | None = None
    size: int | None = None
    overlap: int | None = None
    separator: str | None = None


class ReaderBody(Body):
    kind: str
    reader: UUID


class ChunkBody(Body):
    text: str


class SearchBody(Body):
    text: str
    bases: list[str] = Field(min_length=1, max_length=20)
    most: int = HITS_DEFAULT
    words_only: bool = False


class AnswerBody(Body):
    question: str
    bases: list[str] = Field(min_length=1, max_length=20)
    model: str = ""


class QuestionBody(Body):
    asked: str
    document: str = ""
    contains: str = ""


class QuestionsBody(Body):
    questions: list[QuestionBody] = Field(max_length=QUESTIONS_MAX)


class EvaluateBody(Body):
    model: str = ""
    calibrate: bool = False


def router(
    knowledge: Knowledge, search: Search, answering: Answering, evaluating: Evaluating, caller_for: CallerFor
) -> APIRouter:
    """Everything under /api/knowledge."""
    routes = APIRouter(prefix="/api/knowledge", tags=["knowledge"])
    _asking(routes, knowledge, search, answering, caller_for)
    _bases(routes, knowledge)
    _readers(routes, knowledge)
    _documents(routes, knowledge)
    _cutting(routes, knowledge)
    _chunks(routes, knowledge, caller_for)
    _evaluations(routes, knowledge, evaluating, caller_for)
    return routes


def asking_of(actor: Actor) -> Asking:
    return Asking(actor.org_id, actor.person_id)


def manager(actor: Actor) -> UUID:
    return org_with(actor, *MANAGE)


def _asking(
    routes: APIRouter, knowledge: Knowledge, search: Search, answering: Answering, caller_for: CallerFor
) -> None:
    @routes.post("/search")
    async def find(body: SearchBody, actor: Acting) -> Response:
        """The passages that fit best, with page and box, and why each came. The embedding is paid by the caller."""
        bases = await knowledge.readable(body.bases, asking_of(actor))
        caller = None if body.words_only else await caller_for(actor)
        return plainly(found_view(await search.find(bases, body.text, asking_of(actor), caller, body.most)))

    @routes.post("/answer")
    async def answer(body: AnswerBody, actor: Acting) -> Response:
        """An answer with citations, or why there is none. With a `model` it writes the answer, else passages speak."""
        bases = await knowledge.readable(body.bases, asking_of(actor))
        caller = await caller_for(actor)
        return plainly(answer_view(await answering.answer(bases, body.question, asking_of(actor), caller, body.model)))


def _bases(routes: APIRouter, knowledge: Knowledge) -> None:
    @routes.get("")
    async def every(actor: Acting) -> Response:
        """Knowledge bases that you may read, and your organisation's own."""
        found = await knowledge.bases(asking_of(actor))
        counts = await knowledge.counts(found)
        return plainly([base_view(one) | {"own": one.org_id == actor.org_id} | counts[one.id] for one in found])

    @routes.post("", status_code=201)
    async def make(body: BaseBody, actor: Acting) -> Response:
        """A knowledge base; the same `id` again is the same base."""
        new = NewBase(body.name, body.reach, body.data_class, body.model, body.reranker)
        return plainly(base_view(await knowledge.make(manager(actor), new, by=actor.ref, base_id=body.id)), 201)

    @routes.get("/{base_id}")
    async def one(base_id: UUID, actor: Acting) -> Response:
        """A base of yours with its documents."""
        return plainly(await page(knowledge, await knowledge.own(base_id, org_of(actor))))

    @routes.patch("/{base_id}")
    async def edit(base_id: UUID, body: EditBody, actor: Acting) -> Response:
        base = await knowledge.own(base_id, manager(actor))
        return plainly(base_view(await knowledge.edit(base, body.model_dump(exclude_none=True))))

    @routes.delete("/{base_id}")
    async def archive(base_id: UUID, actor: Acting, *, anyway: bool = False) -> Response:
        """Delete a base with everything in it; 409 `knowledge_in_use` names agents and workflows that use it, unless
        `anyway`."""
        base = await knowledge.own(base_id, manager(actor))
        await knowledge.archive(base, anyway=anyway)
        return plainly(base_view(base) | {"archived": True})


def _readers(routes: APIRouter, knowledge: Knowledge) -> None:
    @routes.get("/{base_id}/readers")
    async def readers(base_id: UUID, actor: Acting) -> Response:
        """Who may read a base besides those that its reach names."""
        return plainly(await knowledge.readers(await knowledge.own(base_id, org_of(actor))))

    @routes.post("/{base_id}/readers", status_code=201)
    async def add(base_id: UUID, body: ReaderBody, actor: Acting) -> Response:
        base = await knowledge.own(base_id, manager(actor))
        await knowledge.let_read(base, body.kind, body.reader, by=actor.ref)
        return plainly(await knowledge.readers(base), 201)

    @routes.delete("/{base_id}/readers/{kind}/{reader}")
    async def remove(base_id: UUID, kind: str, reader: UUID, actor: Acting) -> Response:
        base = await knowledge.own(base_id, manager(actor))
        await knowledge.stop_reading(base, kind, reader)
        return plainly(await knowledge.readers(base))


def _documents(routes: APIRouter, knowledge: Knowledge) -> None:
    @routes.post("/documents", status_code=201)
    async def bring(base: UUID, request: Request, actor: Acting, file: Text) -> Response:
        """Upload the body as the document `file`; it is read in the background. Another body under the same name is
        its next version, and only what is new in it is embedded and paid for."""
        into = await knowledge.own(base, manager(actor))
        data = await request.body()
        made, new = await knowledge.bring(into, file, data, by=actor.ref, key_id=actor.key_id)
        return plainly(document_view(made) | {"unchanged": not new}, 201 if new else 200)

    @routes.get("/{base_id}/documents/{document_id}")
    async def one(base_id: UUID, document_id: UUID, actor: Acting) -> Response:
        """How far a document is, and what it cost."""
        base = await knowledge.own(base_id, org_of(actor))
        return plainly(document_view(await knowledge.document(base, document_id)))

    @routes.get("/{base_id}/documents/{document_id}/file")
    async def body(base_id: UUID, document_id: UUID, actor: Acting) -> Response:
        """The document as it was uploaded."""
        base = await knowledge.own(base_id, org_of(actor))
        data = await knowledge.file(base, await knowledge.document(base, document_id))
        return Response(data, media_type="application/octet-stream", headers={"content-disposition": "attachment"})

    @routes.post("/{base_id}/documents/{document_id}/retry")
    async def again(base_id: UUID, document_id: UUID, actor: Acting) -> Response:
        """Read it once more."""
        base = await knowledge.own(base_id, manager(actor))
        await knowledge.again(await knowledge.document(base, document_id))
        return plainly(document_view(await knowledge.document(base, document_id)))

    @routes.delete("/{base_id}/documents/{document_id}")
    async def remove(base_id: UUID, document_id: UUID, actor: Acting) -> Response:
        base = await knowledge.own(base_id, manager(actor))
        found = await knowledge.document(base, document_id)
        await knowledge.remove(found)
        return plainly(document_view(found) | {"deleted": True})


def _cutting(routes: APIRouter, knowledge: Knowledge) -> None:
    @routes.post("/preview")
    async def preview(
        base: UUID, request: Request, actor: Acting, file: Text, size: Size = None, overlap: Size = None,
        separator: Text | None = None,
    ) -> Response:  # fmt: skip
        """How the body, as the document `file`, would be cut into passages; nothing is kept or paid. What is not said
        is as the base has it."""
        into = await knowledge.own(base, manager(actor))
        cut = cut_of(into, size, overlap, separator)
        return plainly(await knowledge.preview(into, cut, file, await request.body()))

    @routes.get("/{base_id}/documents/{document_id}/preview")
    async def preview_of(
        base_id: UUID, document_id: UUID, actor: Acting, size: Size = None, overlap: Size = None,
        separator: Text | None = None,
    ) -> Response:  # fmt: skip
        """The same of a document that is there: which passages would stay as they are, and which edits would go."""
        base = await knowledge.own(base_id, manager(actor))
        cut, found = cut_of(base, size, overlap, separator), await knowledge.document(base, document_id)
        return plainly(await knowledge.preview_of(base, cut, found))

    @routes.post("/{base_id}/recut")
    async def recut(base_id: UUID, actor: Acting) -> Response:
        """Cut the documents anew that were cut by earlier settings, in the background; only new passages are paid."""
        return plainly({"documents": await knowledge.recut(await knowledge.own(base_id, manager(actor)))})


def _chunks(routes: APIRouter, knowledge: Knowledge, caller_for: CallerFor) -> None:
    @routes.get("/{base_id}/documents/{document_id}/passages")
    async def chunks(
        base_id: UUID, document_id: UUID, actor: Acting, first: Annotated[int, Query(ge=1)] = 1,
        most: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Response:  # fmt: skip
        """A document's passages in order, with page and box."""
        base = await knowledge.own(base_id, org_of(actor))
        found = await knowledge.document(base, document_id)
        return plainly([chunk_view(one) for one in await knowledge.chunks(base, found, first, most)])

    @routes.put("/{base_id}/passages/{chunk_id}")
    async def edit(base_id: UUID, chunk_id: UUID, body: ChunkBody, actor: Acting) -> Response:
        """Change a passage's text; it is embedded anew and stays as edited."""
        base = await knowledge.own(base_id, manager(actor))
        caller = await caller_for(actor) if base.model else None
        return plainly(chunk_view(await knowledge.edit_chunk(base, chunk_id, body.text, caller, by=actor.ref)))


def _evaluations(routes: APIRouter, knowledge: Knowledge, evaluating: Evaluating, caller_for: CallerFor) -> None:
    @routes.get("/{base_id}/questions")
    async def questions(base_id: UUID, actor: Acting) -> Response:
        """The labelled questions of a base."""
        return plainly(await knowledge.questions(await knowledge.own(base_id, org_of(actor))))

    @routes.put("/{base_id}/questions")
    async def replace(base_id: UUID, body: QuestionsBody, actor: Acting) -> Response:
        """Replace them. `document` empty = nothing answers it; `contains` = what a passage that answers it says."""
        base = await knowledge.own(base_id, manager(actor))
        wanted = [Question(one.asked, one.document, one.contains) for one in body.questions]
        return plainly({"questions": await knowledge.set_questions(base, wanted)})

    @routes.get("/{base_id}/evaluations")
    async def past(base_id: UUID, actor: Acting) -> Response:
        """Past evaluations, newest first."""
        base = await knowledge.own(base_id, org_of(actor))
        return plainly([evaluation_view(one) for one in await evaluating.past(base)])

    @routes.post("/{base_id}/evaluations", status_code=201)
    async def run(base_id: UUID, body: EvaluateBody, actor: Acting) -> Response:
        """Ask all labelled questions: recall@5, citation precision, how many unanswerable ones were declined."""
        base = await knowledge.own(base_id, manager(actor))
        caller = await caller_for(actor)
        asking = Asking(base.org_id, actor.person_id)
        made = await evaluating.run(
            base, asking, caller, by=actor.ref, model=body.model, calibrate=body.calibrate
        )  # fmt: skip
        return plainly(evaluation_view(made), 201)


def cut_of(base: Base, size: int | None, overlap: int | None, separator: str | None) -> Cut:
    """The base's cut, with what is said instead."""
    said = {"size": size, "overlap": overlap, "separator": separator}
    return msgspec.structs.replace(base.cut, **{name: value for name, value in said.items() if value is not None})


# -- views ----------------------------------------------------------------------------------------------------------


def base_view(one: Base) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(one)
    return {name: value for name, value in fields.items() if name not in ("secret", "key_id", "archived_at")}


def document_view(one: Document) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: getattr(one, name) for name in Document.__struct_fields__ if name not in ("blob", "key_id", "sha256")
    }
    return fields | {"sha256": one.sha256.hex()}


def chunk_view(one: Chunk) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Chunk.__struct_fields__}


def citation_view(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {name: getattr(passage, name) for name in passage.__struct_fields__}


def hit_view(hit: Hit) -> dict[str, Any]:
    fields = {name: getattr(hit, name) for name in Hit.__struct_fields__ if name != "passage"}
    return citation_view(hit) | {"why": fields}


def found_view(found: Found) -> dict[str, Any]:
    return {
        "hits": [hit_view(hit) for hit in found.hits], "support": found.support, "supported": found.supported,
        "tokens": found.tokens, "paid_micro": found.paid_micro, "took_ms": found.took_ms,
    }  # fmt: skip


def answer_view(answer: Answer) -> dict[str, Any]:
    return {
        "text": answer.text, "declined": answer.declined, "paid_micro": answer.paid_micro,
        "citations": [citation_view(hit) for hit in answer.citations], "found": found_view(answer.found),
    }  # fmt: skip


def evaluation_view(one: Evaluation) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(one, name) for name in Evaluation.__struct_fields__}
    return fields


async def page(knowledge: Knowledge, base: Base) -> dict[str, Any]:
    """A base with everything an owner sees."""
    documents = [document_view(one) for one in await knowledge.documents(base)]
    counts = (await knowledge.counts([base]))[base.id]
    stale = sum(1 for one in documents if one["state"] == "ready" and one["cut"] != base.cut.key)
    return base_view(base) | counts | {
        "documents_list": documents, "readers": await knowledge.readers(base), "stale": stale,
        "edits": await knowledge.edits_at_stake(base), "users": list(await knowledge.users(base)),
    }  # fmt: skip
