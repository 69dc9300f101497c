"""Knowledge bases over their module, as plain data: what its own HTTP views say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from shanhe.console import model as m
from shanhe.console.live.modules import Library, actor_of
from shanhe.identity.api import PermissionMissing
from shanhe.kernel.errors import Invalid
from shanhe.retrieval.api import Asking, Cut, NewBase, Question, UnknownBase
from shanhe.retrieval.routes import base_view, chunk_view, document_view, evaluation_view, found_view, page

SEPARATOR = "|"
HITS = 8


class LiveKnowledge:
    def __init__(self, library: Library) -> None:
        self._library = library
        self._knowledge = library.knowledge

    async def overview(self, who: m.Who) -> Any:
        found = await self._knowledge.bases(asking(who))
        counts = await self._knowledge.counts(found)
        return [base_view(one) | counts[one.id] | {"own": one.org_id == who.org_id} for one in found]

    async def make(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        new = NewBase(fields.get("name", ""), fields.get("reach", "org"), fields.get("data_class", "general"))
        return (await self._knowledge.make(owner(who), new, by=by(who))).id

    async def base(self, who: m.Who, base_id: UUID) -> Mapping[str, Any]:
        return await page(self._knowledge, await self._own(who, base_id))

    async def card(self, who: m.Who, base_id: UUID) -> Mapping[str, Any]:
        found = next((one for one in await self._knowledge.bases(asking(who)) if one.id == base_id), None)
        if found is None:
            raise UnknownBase(str(base_id))
        return base_view(found) | {"own": found.org_id == who.org_id}

    async def edit(self, who: m.Who, base_id: UUID, fields: Mapping[str, str]) -> None:
        base = await self._own(who, base_id)
        if fields.get("reader"):
            await self._knowledge.let_read(base, "org", UUID(fields["reader"]), by=by(who))
        changes: dict[str, Any] = {name: fields[name] for name in ("name", "reach", "reranker") if name in fields}
        if "size" in fields:
            changes |= msgspec.structs.asdict(cut_of(fields))
        await self._knowledge.edit(base, changes)

    async def recut(self, who: m.Who, base_id: UUID) -> None:
        await self._knowledge.recut(await self._own(who, base_id))

    async def preview(
        self, who: m.Who, base_id: UUID, fields: Mapping[str, str], name: str, data: bytes
    ) -> Any:  # fmt: skip
        base, cut = await self._own(who, base_id), cut_of(fields)
        if data:
            return await self._knowledge.preview(base, cut, name, data)
        if not fields.get("document"):
            raise Invalid("nothing_to_preview", "Choose a document or a file.", message_zh="请选择文档或文件。")
        found = await self._knowledge.document(base, UUID(fields["document"]))
        return await self._knowledge.preview_of(base, cut, found)

    async def archive(self, who: m.Who, base_id: UUID, *, anyway: bool) -> None:
        await self._knowledge.archive(await self._own(who, base_id), anyway=anyway)

    async def bring(self, who: m.Who, base_id: UUID, name: str, data: bytes) -> None:
        await self._knowledge.bring(await self._own(who, base_id), name, data, by=by(who))

    async def document(self, who: m.Who, base_id: UUID, document_id: UUID, first: int, most: int) -> Mapping[str, Any]:
        base = await self._own(who, base_id)
        found = await self._knowledge.document(base, document_id)
        chunks = [chunk_view(one) for one in await self._knowledge.chunks(base, found, first, most)]
        return document_view(found) | {"base": base_view(base), "passages": chunks}

    async def edit_passage(self, who: m.Who, base_id: UUID, passage_id: UUID, text: str) -> None:
        base = await self._own(who, base_id)
        caller = await self._library.caller_for(actor_of(who)) if base.model else None
        await self._knowledge.edit_chunk(base, passage_id, text, caller, by=by(who))

    async def retry(self, who: m.Who, base_id: UUID, document_id: UUID) -> None:
        base = await self._own(who, base_id)
        await self._knowledge.again(await self._knowledge.document(base, document_id))

    async def remove(self, who: m.Who, base_id: UUID, document_id: UUID) -> None:
        base = await self._own(who, base_id)
        await self._knowledge.remove(await self._knowledge.document(base, document_id))

    async def search(self, who: m.Who, base_id: UUID, text: str) -> Mapping[str, Any]:
        bases = await self._knowledge.readable([str(base_id)], asking(who))
        caller = await self._library.caller_for(actor_of(who))
        return found_view(await self._library.search.find(bases, text, asking(who), caller, HITS))

    async def measured(self, who: m.Who, base_id: UUID) -> Mapping[str, Any]:
        base = await self._own(who, base_id)
        questions = await self._knowledge.questions(base)
        lines = [f" {SEPARATOR} ".join((one.asked, one.document, one.contains)).rstrip(" |") for one in questions]
        past = [evaluation_view(one) for one in await self._library.evaluating.past(base)]
        asked = [one.asked for one in questions]
        return base_view(base) | {"lines": "\n".join(lines), "asked": asked, "evaluations": past}

    async def set_questions(self, who: m.Who, base_id: UUID, text: str) -> None:
        base = await self._own(who, base_id)
        rows = [[part.strip() for part in line.split(SEPARATOR)] for line in text.splitlines() if line.strip()]
        await self._knowledge.set_questions(base, [Question(*[*row, "", ""][:3]) for row in rows])

    async def evaluate(self, who: m.Who, base_id: UUID, *, calibrate: bool) -> None:
        base = await self._own(who, base_id)
        caller = await self._library.caller_for(actor_of(who))
        await self._library.evaluating.run(base, asking(who), caller, by=by(who), calibrate=calibrate)

    async def _own(self, who: m.Who, base_id: UUID) -> Any:
        return await self._knowledge.own(base_id, owner(who))


def cut_of(fields: Mapping[str, str]) -> Cut:
    """How documents are cut, out of a form."""
    try:
        size, overlap = (int(fields.get(name) or "0") for name in ("size", "overlap"))
    except ValueError as error:
        raise Invalid("bad_number", "Size and overlap are whole numbers.", message_zh="长度与重叠须为整数。") from error
    return Cut(size, overlap, fields.get("separator", ""))


def asking(who: m.Who) -> Asking:
    actor = actor_of(who)
    return Asking(actor.org_id, actor.person_id)


def owner(who: m.Who) -> UUID:
    if not who.has_org:
        raise PermissionMissing("keys")
    return who.org_id


def by(who: m.Who) -> str:
    return actor_of(who).ref
