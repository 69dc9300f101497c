"""Sealing: accepted rows get indices in the database, then tiles, then a signature. One process at a time.

The database decides who seals (an epoch that only grows) and in which order; files follow from it and can be made
again. What was signed is remembered outside the database: one that holds less, or something else, is never signed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from shanhe.kernel.clock import Clock
from shanhe.kernel.ids import new_id
from shanhe.log.errors import FeedRewound, LogMoved, LogRewound, NotLeader, ProofRefused
from shanhe.log.files import CHECKPOINT, Folder
from shanhe.log.keys import Keys, Ring
from shanhe.log.leaf import SALT_BYTES, TOTALS, Draft, Drafter, PostingLike, draft_record
from shanhe.log.merkle import EMPTY_ROOT, HASH_BYTES, leaf_hash, root
from shanhe.log.model import Head
from shanhe.log.note import Checkpoint, Note
from shanhe.log.sheets import Sheet, arrange
from shanhe.log.store import PAGE_MAX, Store
from shanhe.log.tiles import HEIGHT, LEVELS_MAX, WIDTH, Edge, TileReader, tile_path
from shanhe.log.totals import Totals

BATCH: Final = 4000
BATCHES_MAX: Final = 24
"""What one `seal` keeps in memory between giving indices and writing tiles: some 100,000 entries."""
LEASE_S: Final = 20
SIGNED: Final = "signed"
WITNESSED: Final = "witnessed"
REST_BATCH: Final = 128
"""Entries made before others in this process get their turn."""
FAR: Final = 2**62
"""Later than every transaction."""


class PostingFeed(Protocol):
    """The ledger's feed, handed in by the composition root."""

    async def horizon(self) -> int: ...
    async def page(self, born: int, last: UUID, until: int, limit: int) -> Sequence[PostingLike]: ...
    async def one(self, posting: UUID) -> PostingLike | None: ...
    async def posting_ids(self, owner: UUID, after: UUID, limit: int) -> Sequence[UUID]: ...


class Batch(msgspec.Struct, frozen=True):
    """Entries to append, the records among them, and where that leaves the ledger's cursor and the totals."""

    sheets: list[Sheet]
    rows: list[Draft]
    records: list[UUID]
    feed_born: int
    feed_id: UUID
    pending: dict[str, Any]

    @property
    def leaves(self) -> list[bytes]:
        """All of them, in the order of their indices."""
        return [one.leaf for drafts in (*(sheet.drafts for sheet in self.sheets), self.rows) for one in drafts]

    def after(self, head: Head) -> Head:
        """The head once this is appended."""
        size = head.size + sum(len(sheet.drafts) for sheet in self.sheets) + len(self.rows)
        return msgspec.structs.replace(
            head, size=size, feed_born=self.feed_born, feed_id=self.feed_id, pending=self.pending
        )


class Sealer:
    """Seals what is waiting. `seal()` may be called in any process at any time; only one will do it. In one process the
    next waits for the one before, whose tree it goes on with."""

    def __init__(self, store: Store, clock: Clock, folder: Folder, keys: Keys, feed: PostingFeed, holder: str) -> None:
        self.store = store
        self._clock = clock
        self.folder = folder
        self.keys = keys
        self.feed = feed
        self._holder = f"{holder}-{secrets.token_hex(4)}"
        self.epoch = 0
        self._drafter = Drafter()
        self._edge: Edge | None = None
        self._fresh: list[bytes] = []  # leaves appended by this `seal`, up to the head: not read back for the tiles
        self._shown: int | None = None  # the size that we know to be signed, with its row in the database
        self._place: str | None = None
        self._ahead: tuple[tuple[int, UUID], asyncio.Task[Sequence[PostingLike]]] | None = None
        self._turn = asyncio.Lock()

    async def seal(self) -> int:
        """Give indices to what is waiting and sign the log; how many entries were added. 0 when another process seals.

        LogRewound, FeedRewound: the database is not the one that was signed; nothing is added or signed.
        """
        async with self._turn:
            head = await self.lead()
            return await self._seal(head) if head is not None else 0

    async def _seal(self, head: Head) -> int:
        ring = self.ring()
        await self._check(head)
        first, self._fresh = head.size, []
        writing: asyncio.Task[None] | None = None
        try:
            for _ in range(BATCHES_MAX):
                batch = await self._gather(head, await self.feed.horizon(), writing)
                if batch is None:
                    break
                writing = asyncio.create_task(self._append(head, batch))  # while the next one is read and hashed
                head = batch.after(head)
        finally:
            if writing is not None:
                await writing
        if head.size > first or self._shown != head.size:
            await self._publish(ring)
        return head.size - first

    async def release(self) -> None:
        """Let another process seal at once."""
        if self.epoch:
            await self.store.release(self._holder, self.epoch)

    def ring(self) -> Ring:
        return self.keys.ring(self._clock.today())

    def today(self) -> date:
        return self._clock.today()

    async def lead(self) -> Head | None:
        """Take or keep the lease; None while another process has it."""
        now = self._clock.now()
        epoch = await self.store.lead(self._holder, self.epoch, now, now + timedelta(seconds=LEASE_S))
        if epoch is None:
            return None
        if epoch != self.epoch:
            self.epoch, self._edge, self._shown = epoch, None, None
        return await self.store.head()

    # ── indices ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def append_all(self, until: int) -> int:
        """Give indices to everything born before `until`, known postings excepted; how many were added."""
        head = msgspec.structs.replace(await self.store.head(), again=FAR)
        first = head.size
        while (batch := await self._gather(head, until)) is not None:
            await self._append(head, batch)
            head, self._fresh = batch.after(head), []
        return head.size - first

    async def adopt(self, drafts: Sequence[Draft]) -> None:
        """Append entries that were signed before, and leave everything else as it is."""
        head = await self.store.head()
        await self.store.append(self.epoch, head.size, [], drafts, [], head.feed_born, head.feed_id, head.pending)

    async def _gather(self, head: Head, horizon: int, before: asyncio.Task[None] | None = None) -> Batch | None:
        """The next transaction's worth of entries, or None when nothing is left to read.

        `before`: the batch that is being appended; records are read once it is there, because it takes away its own.
        """
        if horizon < head.feed_born:
            raise FeedRewound
        today = self._clock.today()
        postings = await self._page(head.feed_born, head.feed_id, horizon)
        if len(postings) == BATCH:
            self._read_ahead(postings[-1].born, postings[-1].id, horizon)
        drafts = await self._drafts(postings, head.again)
        if before is not None:
            await before
        records = await self.store.intake(horizon, BATCH)
        drafts += [
            draft_record(row["id"], row["kind"], row["public"], row["private"], secrets.token_bytes(SALT_BYTES))
            for row in records
        ]
        totals = Totals(head.pending, today)
        totals.add(drafts, today)
        sheets, others = arrange(drafts)
        if totals.ripe(today):
            end = head.size + len(drafts)
            others.append(Draft(new_id(), TOTALS, totals.leaf(end, today)))
            totals.restart(end + 1)
        if not drafts and not others and not postings:
            return None
        born, last = (postings[-1].born, postings[-1].id) if postings else (head.feed_born, head.feed_id)
        return Batch(sheets, others, [row["id"] for row in records], born, last, totals.plain())

    async def _append(self, head: Head, batch: Batch) -> None:
        """One transaction: a batch's entries get the indices from the head's size on."""
        await self.store.append(
            self.epoch, head.size, batch.sheets, batch.rows, batch.records, batch.feed_born, batch.feed_id,
            batch.pending,
        )  # fmt: skip
        self._fresh += batch.leaves

    def _read_ahead(self, born: int, last: UUID, until: int) -> None:
        """Far behind, the database reads the next page while this one is hashed."""
        self._ahead = (born, last), asyncio.create_task(self._of(born, last, until))

    async def _of(self, born: int, last: UUID, until: int) -> Sequence[PostingLike]:
        return await self.feed.page(born, last, until, BATCH)

    async def _page(self, born: int, last: UUID, until: int) -> Sequence[PostingLike]:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            place, task = ahead
            found = await task
            if place == (born, last) and found:
                return found
        return await self._of(born, last, until)

    async def _drafts(self, postings: Sequence[PostingLike], again: int) -> list[Draft]:
        """Entries of postings that have none: after a recovery the feed is read again from its start."""
        doubtful = [one.id for one in postings if one.born < again]
        known = await self.store.known(doubtful) if doubtful else set[UUID]()
        salts = secrets.token_bytes(SALT_BYTES * len(postings))
        found = []
        for number, posting in enumerate(postings):
            if number % REST_BATCH == 0:
                await asyncio.sleep(0)
            if posting.id not in known:
                place = number * SALT_BYTES
                found.append(self._drafter.draft(posting, salts[place : place + SALT_BYTES]))
        return found

    # ── what was signed ──────────────────────────────────────────────────────────────────────────────────────────

    async def _check(self, head: Head) -> None:
        """Refuse a database that is not a continuation of what was signed, by us or before a witness."""
        if head.place is None and not head.restored:
            await self.store.note_place(self.epoch, await self.place())
        refused = self.rewound(head) or await self.moved(head)
        if refused is not None:
            raise refused
        raw = self._remembered()
        if raw is None:
            self._edge = self._edge or Edge()
            return
        await self._load(_head(raw), raw)
        seen = self.keys.folder.read(WITNESSED)
        if seen is not None and await asyncio.to_thread(self._root_at, _head(seen).size) != _head(seen).root:
            raise LogRewound(_head(seen).size, head.size, "a witness holds another history under our signature")

    def _remembered(self) -> bytes | None:
        """The largest checkpoint we signed: as remembered with the keys, or as published."""
        found = [raw for raw in (self.keys.folder.read(SIGNED), self.folder.read(CHECKPOINT)) if raw is not None]
        return max(found, key=lambda raw: _head(raw).size, default=None)

    def signed(self) -> Checkpoint | None:
        """The newest checkpoint we know to have signed."""
        raw = self._remembered()
        return _head(raw) if raw is not None else None

    def rewound(self, head: Head) -> LogRewound | None:
        """What `seal` would refuse with, as far as sizes tell; for whoever only looks."""
        found = [raw for raw in (self._remembered(), self.keys.folder.read(WITNESSED)) if raw is not None]
        size = max((_head(raw).size for raw in found), default=0)
        return LogRewound(size, head.size) if size > head.size else None

    async def place(self) -> str:
        if self._place is None:
            self._place = await self.store.place()
        return self._place

    async def moved(self, head: Head) -> LogMoved | None:
        """What `seal` would refuse with when the database came out of a backup or lies elsewhere than it did: files may
        be as old as it is, so that nothing here tells how much others have seen."""
        elsewhere = head.place is not None and head.place != await self.place()
        return LogMoved() if head.restored or elsewhere else None

    def _root_at(self, size: int) -> bytes:
        edge = self._edge
        if edge is None or size > edge.size:
            return b""
        return root(TileReader(self.folder.read, edge.size).node, size)

    async def _load(self, signed: Checkpoint, raw: bytes) -> None:
        """The right edge at the signed size, from tiles, or from the database where tiles are lost."""
        if self._edge is not None and self._edge.size == signed.size:
            return
        try:
            edge = await asyncio.to_thread(TileReader(self.folder.read, signed.size).edge)
        except ProofRefused:
            edge = Edge()
        if edge.root != signed.root:
            edge = await self._rebuilt(signed)
        await self._same(edge)
        self._edge = edge
        await asyncio.to_thread(self._republish, signed, raw)

    async def _same(self, edge: Edge) -> None:
        """The database's last entries are those of the tiles: a restored one that grew differently is not ours."""
        first = max(0, (edge.size - 1) // WIDTH * WIDTH)
        if edge.size == 0:
            return
        leaves = await self.store.leaves(first, edge.size)
        tile = TileReader(self.folder.read, edge.size).tile(0, first // WIDTH)
        if [leaf_hash(one) for one in leaves] != [tile[i : i + HASH_BYTES] for i in range(0, len(tile), HASH_BYTES)]:
            raise LogRewound(edge.size, edge.size, "its entries are others than those that were signed")

    async def _rebuilt(self, signed: Checkpoint) -> Edge:
        edge = Edge()
        while edge.size < signed.size:
            leaves = await self.store.leaves(edge.size, min(signed.size, edge.size + PAGE_MAX))
            if not leaves:
                raise LogRewound(signed.size, edge.size)
            edge.extend(leaves)
            await asyncio.to_thread(self.folder.write_all, list(edge.take()))
        if edge.root != signed.root:
            raise LogRewound(signed.size, edge.size, "its entries are others than those that were signed")
        return edge

    def _republish(self, signed: Checkpoint, raw: bytes) -> None:
        """A crash between remembering and publishing leaves the checkpoint behind: put it forward."""
        with self.folder.locked():
            for folder, name in ((self.keys.folder, SIGNED), (self.folder, CHECKPOINT)):
                there = folder.read(name)
                if there is None or _head(there).size < signed.size:
                    folder.write(name, raw)

    # ── tiles and signature ──────────────────────────────────────────────────────────────────────────────────────

    async def _publish(self, ring: Ring) -> None:
        edge, head = self._edge, await self.store.head()
        if edge is None or head.epoch != self.epoch:
            raise NotLeader
        start = edge.size
        self._edge = None  # an interruption below leaves it half grown: load it again then
        fresh, self._fresh = self._fresh, []
        while edge.size < head.size:
            begin = head.size - len(fresh)
            found = fresh[edge.size - begin :][:PAGE_MAX] if begin <= edge.size else ()
            edge.extend(found or await self.store.leaves(edge.size, min(head.size, max(begin, edge.size + 1))))
            await asyncio.sleep(0)
        if edge.size > start or self.keys.folder.read(SIGNED) is None:
            await asyncio.to_thread(self._write, edge, start, ring)
        self._edge = edge
        raw = (self.keys.folder.read(SIGNED) or b"").decode()
        if await self.store.checkpoint(edge.size) is None:
            await self.store.signed(edge.size, edge.root, raw, self._clock.now())
        self._shown = edge.size

    def _write(self, edge: Edge, start: int, ring: Ring) -> None:
        """Tiles, then the memory of what is signed, then the checkpoint; each durable before the next."""
        files = list(edge.take())
        with self.folder.locked():
            raw = self.keys.folder.read(SIGNED)
            signed = _head(raw) if raw else Checkpoint(ring.origin, 0, EMPTY_ROOT)
            if signed.size > edge.size or (signed.size == edge.size and signed.root != edge.root):
                raise LogRewound(signed.size, edge.size)
            self.folder.write_all(files)
            text = Checkpoint(ring.origin, edge.size, edge.root).text
            note = str(Note(text, tuple(one.sign(text) for one in self.keys.signers(ring)))).encode()
            self.keys.folder.write(SIGNED, note)
            self.folder.write(CHECKPOINT, note)
            full = [
                (level, number)
                for level in range(LEVELS_MAX)
                for number in range(start >> HEIGHT * (level + 1), edge.size >> HEIGHT * (level + 1))
            ]
            names = [tile_path(level, number) for level, number in full]
            names += [tile_path("entries", number) for level, number in full if level == 0]
            self.folder.drop_partials(names)


def _head(raw: bytes) -> Checkpoint:
    return Checkpoint.parse(Note.parse(raw.decode()).text)
