"""Knowledge bases: making them, who reads them, their documents and passages."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.blobs import Blobs, Shared
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.retrieval import store
from shanhe.retrieval.chunking import keyed, pieces, source_hash, spoken, weight
from shanhe.retrieval.embedding import Embed, as_text, packed, prefixes, vectors
from shanhe.retrieval.errors import (
    BadKnowledge,
    BaseInUse,
    NameTaken,
    PreviewBusy,
    TooMuch,
    UnknownBase,
    UnknownChunk,
    UnknownDocument,
    Unreadable,
)
from shanhe.retrieval.model import (
    BASES_MAX,
    CHUNK_MAX_CHARS,
    DOCUMENTS_MAX,
    FILE_MAX_BYTES,
    FILE_NAME_MAX_CHARS,
    QUESTIONS_MAX,
    READERS_MAX,
    SUPPORT_BPS,
    Asking,
    Base,
    Chunk,
    Cut,
    Document,
    NewBase,
    Piece,
    Preview,
    Question,
    Reader,
    checked_base,
    checked_cut,
    checked_question,
)
from shanhe.retrieval.reader import read
from shanhe.retrieval.words import blinded, tokens, vector_of, visible

if TYPE_CHECKING:
    from shanhe.identity.api import Caller

SECRET_BYTES: Final = 16
PREVIEW_SHOWN: Final = 20
PREVIEW_MAX_S: Final = 60.0
NAME, FILE_NAME, SECRET, FILE, TEXT, HEADING, PLACE, VECTOR, QUESTION = (
    f"retrieval.{field}"
    for field in ("name", "file_name", "secret", "file", "text", "heading", "place", "vector", "question")
)
"""What is sealed where a base belongs to a person."""
CallerOf = Callable[[UUID], Awaitable["Caller"]]
Users = Callable[[Base], Awaitable[Sequence[str]]]
"""Names of agents and workflows that look things up in a base."""
PayingKey = Callable[[UUID], Awaitable[UUID]]
"""The key of an organisation that pays where nobody's key is at hand."""


async def nobody(base: Base) -> Sequence[str]:
    """Without agents and workflows no base is used."""
    return ()


class Knowledge:
    """Knowledge bases of the city. Reading passages is `Search`'s, filling bases `Indexer`'s."""

    def __init__(
        self, db: Database, clock: Clock, *, folder: Path, seals: Seals, embed: Embed, caller_of: CallerOf,
        paying_key: PayingKey, default_model: Callable[[], str], shared: Shared | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.db = db
        self.clock = clock
        self.seals = seals
        self.embed = embed
        self.blobs = Blobs(folder, shared)
        self._caller_of = caller_of
        self._paying_key = paying_key
        self._default_model = default_model
        self.users: Users = nobody
        """Who knows what looks things up in a base; set by the composition root."""
        self._environment = environment
        self._previews = asyncio.Semaphore(1)

    # -- bases --------------------------------------------------------------------------------------------------------

    async def make(self, org_id: UUID, new: NewBase, *, by: str, base_id: UUID | None = None) -> Base:
        """A base; the same id again is the base it made. NameTaken, TooMuch."""
        new = checked_base(new)
        personal = await self.seals.personal(org_id)
        secret = secrets.token_hex(SECRET_BYTES) if personal else ""
        made = Base(
            base_id or new_id(), org_id, new.name, new.reach, new.data_class,
            self._default_model() if new.model is None else new.model, new.reranker, SUPPORT_BPS, secret, personal,
            None, by, self.clock.now(),
        )  # fmt: skip
        stored = await self._sealed(made)
        async with self.db.transaction() as conn:
            await store.lock_org(conn, org_id)
            known = await store.base(conn, made.id)
            if known is not None:
                if known.org_id != org_id:
                    raise UnknownBase(str(made.id))
                return await self._opened(known)
            own = [await self._opened(one) for one in await store.bases_of(conn, org_id)]
            if any(one.name == new.name for one in own):
                raise NameTaken(new.name)
            if len(own) >= BASES_MAX:
                raise TooMuch(f"You have {BASES_MAX} knowledge bases", f"知识库数量已达上限 {BASES_MAX}")
            await store.insert_base(conn, stored)
        return made

    async def _sealed(self, one: Base) -> Base:
        name = await self.seals.seal(one.org_id, NAME, one.name)
        secret = await self.seals.seal(one.org_id, SECRET, one.secret)
        return msgspec.structs.replace(one, name=name, secret=secret)

    async def _opened(self, one: Base) -> Base:
        name = await self.seals.open(one.org_id, NAME, one.name)
        secret = await self.seals.open(one.org_id, SECRET, one.secret)
        return msgspec.structs.replace(one, name=name, secret=secret)

    async def bases(self, asking: Asking) -> list[Base]:
        """Those that may be read, and one's own."""
        return [await self._opened(one) for one in await store.bases(self.db, asking)]

    async def all_of(self, org_id: UUID) -> list[Base]:
        """An organisation's own, oldest first."""
        return [await self._opened(one) for one in await store.bases_of(self.db, org_id)]

    async def named(self, org_id: UUID, name: str) -> Base:
        """An organisation's own base, by id or name; UnknownBase."""
        for opened in await self.all_of(org_id):
            if name in (str(opened.id), opened.name):
                return opened
        raise UnknownBase(name)

    async def own(self, base_id: UUID, org_id: UUID | None) -> Base:
        """A base that an organisation manages; None: an operator asks. UnknownBase."""
        found = await store.base(self.db, base_id)
        if found is None or (org_id is not None and found.org_id != org_id):
            raise UnknownBase(str(base_id))
        return await self._opened(found)

    async def readable(self, names: Sequence[str], asking: Asking) -> list[Base]:
        """Bases by id or name that may be read; UnknownBase for the first that may not (or is not there)."""
        may = await store.readable(self.db, asking)
        known = [one for one in await self.bases(asking) if one.id in may]
        found = []
        for name in dict.fromkeys(names):
            match = [one for one in known if name in (str(one.id), one.name)]
            own = [one for one in match if one.org_id == asking.org_id]
            if not match:
                raise UnknownBase(name)
            found.append((own or match)[0])
        return found

    async def edit(self, base: Base, changes: Mapping[str, Any]) -> Base:
        """Change name, reach, data class, reranker, threshold, or how documents are cut: those that stand are cut anew
        by `recut` alone."""
        unknown = set(changes) - {
            "name", "reach", "data_class", "reranker", "support_bps", "size", "overlap", "separator",
        }  # fmt: skip
        if unknown:
            raise BadKnowledge(f"A base has no {', '.join(sorted(unknown))}", "知识库没有该字段")
        changed = msgspec.structs.replace(base, **changes)
        new = checked_base(NewBase(changed.name, changed.reach, changed.data_class, changed.model, changed.reranker))
        if not isinstance(changed.support_bps, int) or not 0 <= changed.support_bps <= 10_000:
            raise BadKnowledge("support_bps is between 0 and 10000", "依据阈值须在 0 至 10000 之间")
        separator = checked_cut(changed.cut).separator
        changed = msgspec.structs.replace(changed, name=new.name, separator=separator)
        stored = await self._sealed(changed)
        async with self.db.transaction() as conn:
            await store.lock_org(conn, base.org_id)
            others = [await self._opened(one) for one in await store.bases_of(conn, base.org_id) if one.id != base.id]
            if any(one.name == changed.name for one in others):
                raise NameTaken(changed.name)
            await store.update_base(conn, stored)
        return changed

    async def archive(self, base: Base, *, anyway: bool = True) -> None:
        """Delete a base with everything in it; not `anyway`: BaseInUse where something looks things up in it."""
        if not anyway and (used := await self.users(base)):
            raise BaseInUse(used)
        async with self.db.transaction() as conn:
            blobs = await store.archive(conn, base.id, self.clock.now())
        for blob in blobs:
            await asyncio.to_thread(self.blobs.delete, blob)

    async def destroy(self, base: Base) -> None:
        """Delete a base with everything in it, its name included."""
        await self.archive(base)
        async with self.db.transaction() as conn:
            await store.destroy(conn, base.id)

    async def forget(self, org_id: UUID) -> int:
        """Delete every base of an organisation that is gone; how many."""
        found = await store.bases_of(self.db, org_id)
        for one in found:
            await self.archive(one)
        return len(found)

    async def counts(self, bases: Sequence[Base]) -> dict[UUID, dict[str, int]]:
        return await store.counts(self.db, [one.id for one in bases])

    # -- readers ------------------------------------------------------------------------------------------------------

    async def readers(self, base: Base) -> list[Reader]:
        return await store.readers(self.db, base.id)

    async def let_read(self, base: Base, kind: str, reader: UUID, *, by: str) -> None:
        """Put an organisation or a person on the list; twice is once."""
        if kind not in ("org", "person"):
            raise BadKnowledge("A reader is an org or a person", "授权对象须为机构或个人")
        async with self.db.transaction() as conn:
            await store.lock_org(conn, base.org_id)
            if len(await store.readers(conn, base.id)) >= READERS_MAX:
                raise TooMuch(f"The list holds {READERS_MAX}", f"授权名单已达上限 {READERS_MAX}")
            await store.add_reader(conn, base.id, Reader(kind, reader, by, self.clock.now()))

    async def stop_reading(self, base: Base, kind: str, reader: UUID) -> None:
        await store.remove_reader(self.db, base.id, kind, reader)

    # -- documents ----------------------------------------------------------------------------------------------------

    async def bring(
        self, base: Base, name: str, data: bytes, *, by: str, key_id: UUID | None = None
    ) -> tuple[Document, bool]:
        """Take a file in: (document, whether there is anything to do). The same bytes under the same name change
        nothing; other bytes are its next version. TooMuch, Unreadable."""
        name = name.replace("\\", "/").rpartition("/")[2].strip() or "document"
        name = visible(name)[-FILE_NAME_MAX_CHARS:]
        if not data or len(data) > FILE_MAX_BYTES:
            raise Unreadable(
                f"it is empty or larger than {FILE_MAX_BYTES:,} bytes", f"文件为空或超过 {FILE_MAX_BYTES:,} 字节"
            )
        digest, marked = keyed(data, base.secret), keyed(f"{base.id}{name}".encode(), base.secret)
        kept = await self.seals.seal(base.org_id, FILE, base64.b64encode(data).decode()) if base.personal else None
        blob = new_id()
        made = Document(
            new_id(), base.id, await self.seals.seal(base.org_id, FILE_NAME, name), "", digest, len(data), blob,
            "waiting", 0, 0, 0, 0, None, key_id, by, self.clock.now(), None,
        )  # fmt: skip
        await asyncio.to_thread(self.blobs.put, blob, (data if kept is None else kept.encode(),))
        old: UUID | None = blob
        try:
            async with self.db.transaction() as conn:
                await store.lock_org(conn, base.org_id)
                known = await store.named(conn, base.id, marked)
                if known is not None and known.sha256 == digest and known.state != "failed":
                    return await self._document(base, known), False
                if known is None:
                    if len(await store.documents(conn, base.id)) >= DOCUMENTS_MAX:
                        raise TooMuch(f"The base holds {DOCUMENTS_MAX} documents", f"文档数量已达上限 {DOCUMENTS_MAX}")
                    await store.insert_document(conn, made, marked)
                    old = None
                else:
                    made = msgspec.structs.replace(made, id=known.id)
                    await store.renew_document(conn, made)
                    old = known.blob
        finally:
            if old is not None:
                await asyncio.to_thread(self.blobs.delete, old)
        return await self._document(base, made), True

    async def _document(self, base: Base, one: Document) -> Document:
        return msgspec.structs.replace(one, name=await self.seals.open(base.org_id, FILE_NAME, one.name))

    async def documents(self, base: Base) -> list[Document]:
        return [await self._document(base, one) for one in await store.documents(self.db, base.id)]

    async def count(self, base: Base) -> int:
        """How many documents a base holds."""
        return await store.count(self.db, base.id)

    async def changed(self, base: Base, since: datetime) -> list[tuple[str, datetime]]:
        """What came, was replaced or edited after an instant and is there still, with when: the latest first."""
        return [
            (await self.seals.open(base.org_id, FILE_NAME, row["name"]), row["at"])
            for row in await store.changed(self.db, base.id, since)
        ]

    async def document(self, base: Base, document_id: UUID) -> Document:
        found = await store.document(self.db, base.id, document_id)
        if found is None:
            raise UnknownDocument()
        return await self._document(base, found)

    async def file(self, base: Base, one: Document) -> bytes:
        """A document's own bytes."""
        data = await asyncio.to_thread(self.blobs.read, one.blob)
        if not base.personal:
            return data
        return base64.b64decode(await self.seals.open(base.org_id, FILE, data.decode()))

    async def again(self, one: Document) -> None:
        """Read a document once more: after a failure, or with a newer reader."""
        await store.again(self.db, one.id)

    async def recut(self, base: Base) -> int:
        """Cut every document that was cut otherwise anew, in the background; how many."""
        async with self.db.transaction() as conn:
            return await store.recut(conn, base.id, base.cut.key)

    async def edits_at_stake(self, base: Base) -> int:
        """Edited passages that cutting anew may lose: one stays only where the same text is cut out again."""
        return await store.edits(self.db, base.id, base.cut.key)

    async def preview(self, base: Base, cut: Cut, name: str, data: bytes) -> Preview:
        """How a file would be cut; nothing is kept or paid. BadKnowledge, Unreadable, TooMuch for too many at once."""
        return (await self._cut_up(base, checked_cut(cut), name, data))[0]

    async def preview_of(self, base: Base, cut: Cut, one: Document) -> Preview:
        """How a document of the base would be cut, and which of its passages would stay."""
        found, made = await self._cut_up(base, checked_cut(cut), one.name, await self.file(base, one))
        known = await store.known(self.db, one.id)
        same = {source_hash(piece, base.secret) for piece in made} & set(known)
        lost = sum(1 for source, row in known.items() if row["edited_by"] is not None and source not in same)
        return msgspec.structs.replace(found, same=len(same), edits=lost)

    async def _cut_up(self, base: Base, cut: Cut, name: str, data: bytes) -> tuple[Preview, list[Piece]]:
        if not data or len(data) > FILE_MAX_BYTES:
            raise Unreadable(
                f"it is empty or larger than {FILE_MAX_BYTES:,} bytes", f"文件为空或超过 {FILE_MAX_BYTES:,} 字节"
            )
        if self._previews.locked():
            raise PreviewBusy
        async with self._previews:
            found = await read(name, data, environment=self._environment, wall_max_s=PREVIEW_MAX_S)
        made = await asyncio.to_thread(pieces, found.blocks, cut)
        sizes = [round(weight(spoken(piece.heading, piece.text))) for piece in made] or [0]
        shown = tuple(made[:PREVIEW_SHOWN])
        return Preview(shown, len(made), sum(sizes), min(sizes), max(sizes)), made

    async def remove(self, one: Document) -> None:
        async with self.db.transaction() as conn:
            await store.delete_document(conn, one.id)
        await asyncio.to_thread(self.blobs.delete, one.blob)

    async def payer(self, base: Base, key_id: UUID | None) -> Caller:
        """Who pays for a base's embeddings: the key that brought the document, else the organisation's own."""
        if key_id is not None:
            return await self._caller_of(key_id)
        return await self._caller_of(await self._paying_key(base.org_id))

    # -- passages -----------------------------------------------------------------------------------------------------

    async def chunks(self, base: Base, one: Document, first: int = 1, most: int = 100) -> list[Chunk]:
        """A document's passages in order, from the one numbered `first`."""
        return [await self._chunk(base, found) for found in await store.chunks(self.db, one.id, first, most)]

    async def chunk(self, base: Base, chunk_id: UUID) -> Chunk:
        found = await store.chunk(self.db, base.id, chunk_id)
        if found is None:
            raise UnknownChunk()
        return await self._chunk(base, found)

    async def _chunk(self, base: Base, one: Chunk) -> Chunk:
        if not base.personal:
            return one
        heading = await self.seals.open(base.org_id, HEADING, one.heading)
        text = await self.seals.open(base.org_id, TEXT, one.text)
        place = await self.seals.open(base.org_id, PLACE, one.place)
        return msgspec.structs.replace(one, heading=heading, text=text, place=place)

    async def edit_chunk(self, base: Base, chunk_id: UUID, text: str, caller: Caller | None, *, by: str) -> Chunk:
        """Change a passage's text: it is indexed anew and stays as edited while its source stands in the document."""
        found, text = await self.chunk(base, chunk_id), visible(text).strip()
        if not 1 <= len(text) <= CHUNK_MAX_CHARS:
            raise BadKnowledge(f"A passage has 1 to {CHUNK_MAX_CHARS} characters", f"段落须为 1–{CHUNK_MAX_CHARS} 字")
        vector: list[float] | None = None
        if base.model:
            paying = caller or await self.payer(base, None)
            said = prefixes(base.model)[1] + spoken(found.heading, text)
            made, _ = await vectors(self.embed, paying, base.model, [said])
            vector = made[0]
        row = await self.indexed(base, found.heading, text, vector)
        await store.edit_chunk(
            self.db, chunk_id, text=row.text, words=row.words, length=row.length, vector=row.vector, sealed=row.sealed,
            by=by, now=self.clock.now(),
        )  # fmt: skip
        return await self.chunk(base, chunk_id)

    async def indexed(self, base: Base, heading: str, text: str, vector: Sequence[float] | None) -> Indexed:
        """A passage's columns: in the clear for an organisation, sealed and blinded for a person."""
        found = tokens(spoken(heading, text))
        secret = bytes.fromhex(base.secret) if base.personal and base.secret else None
        words = vector_of(blinded(found, secret))
        if not base.personal:
            return Indexed(heading, text, words, len(found), None if vector is None else as_text(vector), "")
        sealed = "" if vector is None else await self.seals.seal(base.org_id, VECTOR, packed(vector))
        return Indexed(
            await self.seals.seal(base.org_id, HEADING, heading), await self.seals.seal(base.org_id, TEXT, text), words,
            len(found), None, sealed,
        )  # fmt: skip

    # -- questions ----------------------------------------------------------------------------------------------------

    async def questions(self, base: Base) -> list[Question]:
        """The labelled questions of a base."""
        return [
            msgspec.structs.replace(one, asked=await self.seals.open(base.org_id, QUESTION, one.asked),
                                    contains=await self.seals.open(base.org_id, QUESTION, one.contains),
                                    document=await self.seals.open(base.org_id, QUESTION, one.document))
            for one in await store.questions(self.db, base.id)
        ]  # fmt: skip

    async def set_questions(self, base: Base, questions: Sequence[Question]) -> int:
        """Replace them; how many there are now."""
        if len(questions) > QUESTIONS_MAX:
            raise TooMuch(f"A base has at most {QUESTIONS_MAX} questions", f"评测问题最多 {QUESTIONS_MAX} 条")
        rows = []
        for one in map(checked_question, questions):
            asked, document, contains = [
                await self.seals.seal(base.org_id, QUESTION, text) for text in (one.asked, one.document, one.contains)
            ]
            rows.append((new_id(), Question(asked, document, contains)))
        async with self.db.transaction() as conn:
            await store.lock_org(conn, base.org_id)
            await store.set_questions(conn, base.id, rows)
        return len(rows)


class Indexed(msgspec.Struct, frozen=True):
    """A passage's columns as they are stored."""

    heading: str
    text: str
    words: str
    length: int
    vector: str | None
    sealed: str
