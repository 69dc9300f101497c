"""Filling bases: takes documents that wait, has each read in a process of its own, embeds what is new, puts it in.

A document's passages are replaced all at once, so it is found as it was until it is found as it is. What stood in it
before keeps its vector and its edits: only what is new is paid for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import structlog

from shanhe.gateway.api import CallError
from shanhe.kernel.db import FAILURES
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.waking import keep_working
from shanhe.retrieval import store
from shanhe.retrieval.chunking import pieces, source_hash, spoken
from shanhe.retrieval.embedding import BATCH, as_text, packed, prefixes, vectors, waits
from shanhe.retrieval.errors import TooMuch, UnknownBase
from shanhe.retrieval.model import CHUNKS_MAX, PERSONAL_CHUNKS_MAX, Base, Document, Piece
from shanhe.retrieval.reader import COMMAND, Read, read
from shanhe.retrieval.service import PLACE, VECTOR, Knowledge

POLL_S: Final = 30.0
LOST_AFTER: Final = timedelta(seconds=300)
"""A worker gives signs oftener; the document of one that does not is taken by another."""
WAIT: Final = timedelta(seconds=15)
TOLD_EVERY_S: Final = 0.5
FEWER: Final = 1_500
"""Characters of a passage's text that are embedded where the engine finds the whole too long."""
INTERNAL: Final = {
    "code": "internal_error", "message": "Something went wrong on our side; try again.",
    "message_zh": "系统内部出错，请重试。",
}  # fmt: skip
log = structlog.get_logger(__name__)


class Replaced(Exception):
    """The document's file was replaced or deleted while it was being read."""


class Indexer:
    """Works on documents in one gateway process, one at a time."""

    def __init__(self, knowledge: Knowledge, *, worker: str, environment: Mapping[str, str] | None = None) -> None:
        self._knowledge = knowledge
        self._worker = worker
        self._environment = environment
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what a process of this name left behind, then work."""
        db = self._knowledge.db
        await store.give_back(db, self._worker)
        db.wake(store.CHANNEL, self._wake)
        self._loop = asyncio.create_task(
            keep_working(self.work_once, self._wake, poll_s=POLL_S, what="knowledge"), name="knowledge"
        )

    async def stop(self) -> None:
        """Leave what is being read to the next start."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def work_once(self) -> bool:
        """Take one document to its end; False when none waits."""
        knowledge = self._knowledge
        now = knowledge.clock.now()
        one = await store.take(knowledge.db, self._worker, now, now - LOST_AFTER)
        if one is None:
            return False
        try:
            await self._index(one)
        except (Replaced, UnknownBase):
            return True
        except (CallError, ShanheError) as error:
            if waits(error):
                await store.later(knowledge.db, one, knowledge.clock.now() + WAIT)
                asyncio.get_running_loop().call_later(WAIT.total_seconds() + 1, self._wake.set)
            else:
                await store.fail(knowledge.db, one, _told(error))
        except FAILURES:
            raise  # the database is away: the document is taken up again
        except Exception:
            log.exception("a document could not be indexed", document=str(one.id))
            await store.fail(knowledge.db, one, dict(INTERNAL))
        return True

    async def _index(self, one: Document) -> None:
        knowledge = self._knowledge
        base = await knowledge.own(one.base_id, None)
        data = await knowledge.file(base, one)
        found = await read(
            (await knowledge.document(base, one.id)).name, data, self._teller(one, "reading"),
            environment=self._environment, command=COMMAND,
        )  # fmt: skip
        made = await asyncio.to_thread(pieces, found.blocks, base.cut)
        await self._room(base, one, len(made))
        rows = await self._rows(base, one, made)
        async with knowledge.db.transaction() as conn:
            whole = await store.replace(
                conn, one, found.format, pages_of(found), rows, base.cut.key, knowledge.clock.now()
            )
        if not whole:
            raise Replaced

    def _teller(self, one: Document, state: str) -> Any:
        last = 0.0

        async def tell(done: int, total: int) -> None:
            nonlocal last
            now = asyncio.get_running_loop().time()
            if now - last < TOLD_EVERY_S and done < total:
                return
            last = now
            if not await store.progress(
                self._knowledge.db, one, state, done, total, self._knowledge.clock.now()
            ):  # fmt: skip
                raise Replaced

        return tell

    async def _room(self, base: Base, one: Document, wanted: int) -> None:
        most = PERSONAL_CHUNKS_MAX if base.personal else CHUNKS_MAX
        held = (await self._knowledge.counts([base]))[base.id]["passages"]
        had = len(await store.known(self._knowledge.db, one.id))
        if held - had + wanted > most:
            raise TooMuch(f"The base would hold more than {most} passages", f"知识库段落数将超过上限 {most}")

    async def _rows(self, base: Base, one: Document, made: Sequence[Piece]) -> list[tuple[Any, ...]]:
        """The passages' columns: those that stood here before as they were, the others embedded."""
        knowledge = self._knowledge
        known = await store.known(knowledge.db, one.id)
        vectors = await self._embedded(base, one, made, known)
        rows = []
        for n, piece in enumerate(made, 1):
            source = source_hash(piece, base.secret)
            before = known.get(source)
            place = await knowledge.seals.seal(base.org_id, PLACE, piece.place) if base.personal else piece.place
            common = (new_id(), base.id, one.id, n, piece.page, list(piece.box), place)
            if before is not None:
                vector, sealed = before["vector"], before["sealed"]
                if vector is None and not sealed:
                    vector, sealed = vectors.get(source, (None, ""))
                rows.append((*common, before["heading"], before["text"], source, before["words"], before["length"],
                             vector, sealed, before["edited_by"], before["edited_at"]))  # fmt: skip
                continue
            row = await knowledge.indexed(base, piece.heading, piece.text, None)
            vector, sealed = vectors.get(source, (None, ""))
            rows.append((*common, row.heading, row.text, source, row.words, row.length, vector, sealed, None, None))
        return rows

    async def _embedded(
        self, base: Base, one: Document, made: Sequence[Piece], known: Mapping[bytes, Any]
    ) -> dict[bytes, tuple[str | None, str]]:
        """Vectors by source of what has none yet, each paid for once."""
        knowledge = self._knowledge
        if not base.model:
            return {}
        have = await store.embedded(knowledge.db, one.id)
        with_vector = {source for source, row in known.items() if row["vector"] is not None or row["sealed"]}
        lacking = {
            source: piece
            for piece in made
            if (source := source_hash(piece, base.secret)) not in with_vector and source not in have
        }
        if not lacking:
            return have
        caller = await knowledge.payer(base, one.key_id)
        tell = self._teller(one, "embedding")
        items = list(lacking.items())
        for at in range(0, len(items), BATCH):
            await tell(at, len(items))
            part = items[at : at + BATCH]
            found, paid = await self._vectors(caller, base, [piece for _, piece in part])
            rows = []
            for (source, _), vector in zip(part, found, strict=True):
                sealed = await knowledge.seals.seal(base.org_id, VECTOR, packed(vector)) if base.personal else ""
                rows.append((source, None if base.personal else as_text(vector), sealed))
            await store.keep_embedded(knowledge.db, one.id, rows)
            await store.paid(knowledge.db, one.id, paid)
            have |= {source: (vector, sealed) for source, vector, sealed in rows}
        return have

    async def _vectors(self, caller: Any, base: Base, made: Sequence[Piece]) -> tuple[list[list[float]], int]:
        """Vectors of passages; where the engine finds a batch too long, of each alone, cut until it fits."""
        before = prefixes(base.model)[1]
        texts = [before + spoken(piece.heading, piece.text) for piece in made]
        try:
            found, made_by = await vectors(self._knowledge.embed, caller, base.model, texts)
            return found, made_by.paid_micro
        except CallError as error:
            if error.status not in (400, 413, 502) or (waits(error) and error.code != "engine_failed"):
                raise
        found, paid = [], 0
        for text in texts:
            most = min(len(text), FEWER)
            while True:
                try:
                    vector, call = await vectors(self._knowledge.embed, caller, base.model, [text[:most]])
                except CallError as error:
                    if error.status not in (400, 413, 502) or most <= len(before) + 16:
                        raise
                    most //= 2
                    continue
                found += vector
                paid += call.paid_micro
                break
        return found, paid


def pages_of(found: Read) -> int:
    return max([found.pages, *(block.page for block in found.blocks)])


def _told(error: CallError | ShanheError) -> dict[str, Any]:
    zh = error.message_zh if isinstance(error, ShanheError) else error.message
    return {"code": error.code, "message": error.message, "message_zh": zh}
