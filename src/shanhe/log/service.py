"""The log: record, seal, prove, forget, and say how it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import Vault
from shanhe.log.errors import (
    BadEntry,
    LogRewound,
    NotSealedYet,
    OpeningErased,
    ProofRefused,
    UnknownCheckpoint,
    UnknownEntry,
    UnknownWitness,
    WitnessAsked,
)
from shanhe.log.files import CHECKPOINT, Folder
from shanhe.log.following import follow
from shanhe.log.keys import Keys, LogKey, Ring
from shanhe.log.leaf import POSTING, commitment, private_bytes, private_of, public_bytes
from shanhe.log.merkle import prove_inclusion
from shanhe.log.model import Entry, Head, Opening, Recovered, SignedHead, Status
from shanhe.log.note import COSIGNATURE, Checkpoint, Note, VerifierKey, b64, open_checkpoint
from shanhe.log.proof import Proof
from shanhe.log.recovery import recover
from shanhe.log.remote import open_source
from shanhe.log.sealing import WITNESSED, PostingFeed, Sealer
from shanhe.log.store import Store
from shanhe.log.tiles import WIDTH, TileReader

KEEP_UNCOSIGNED: Final = timedelta(days=2)
BEHIND_AFTER: Final = timedelta(minutes=5)
SHRED_MAX: Final = 10_000
SHRED_NAMED_MAX: Final = 1_000
"""So many ids fit into what an entry hides."""
WITNESSES_MAX: Final = 16
WITNESS: Final = "log.witness"
COSIGN_TRIES: Final = 3
NOBODY: Final = UUID(int=0)


class Log:
    """The city's transparency log. Touches the disk only when asked for something."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        vault: Vault,
        *,
        data: Path,
        origin: Callable[[], str],
        feed: PostingFeed,
        worker: str = "cli",
    ) -> None:
        self._db = db
        self._clock = clock
        self._feed = feed
        self.store = Store(db)
        self.folder = Folder(data / "log")
        self.keys = Keys(vault, data / "keys" / "log", origin)
        self.sealer = Sealer(self.store, clock, self.folder, self.keys, feed, worker)
        self.problem: ShanheError | None = None

    # ── recording ────────────────────────────────────────────────────────────────────────────────────────────────

    async def record(
        self,
        connection: Any,
        kind: str,
        public: Mapping[str, Any],
        private: Mapping[str, Any] | None = None,
        *,
        id: UUID | None = None,
        about: Sequence[UUID] = (),
    ) -> UUID:
        """Hand in an entry inside the caller's transaction; its id, under which it can be proved once it is sealed.

        `public` is readable by everybody for ever; `private` is committed to, shown to holders of a proof, and can be
        shredded. `about` names the people or organisations whose erasure shreds it. The same `id` again records nothing
        twice. BadEntry for what cannot be an entry.
        """
        subject = id or new_id()
        content = public_bytes(kind, self._clock.today(), public)
        await self.store.record(connection, subject, kind, content, private_bytes(private), about)
        return subject

    async def seal(self) -> int:
        """Seal what is waiting; how many entries. Remembers why it refused, for `status`."""
        try:
            added = await self.sealer.seal()
        except ShanheError as error:
            self.problem = error
            raise
        self.problem = None
        return added

    async def close(self) -> None:
        """Let another process seal at once."""
        await self.sealer.release()

    async def recover(self, place: str | None, *, alone: bool = False) -> Recovered:
        """Go on after the database was restored; `place`: a mirror's address or folder, which may have more than we.

        WitnessAsked where others follow the log and neither a place is named nor `alone` says that they saw no more.
        """
        if place is None and not alone and await self.sealer.moved(await self.store.head()) is not None:
            witnesses = await self.store.witnesses()
            if witnesses:
                raise WitnessAsked(len(witnesses))
        done = await recover(self.sealer, open_source(place) if place else None)
        self.problem = None
        return done

    # ── proving ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def prove(self, subject: UUID) -> Proof:
        """The proof of a receipt, posting or recorded entry, with what it hides."""
        entry = await self._entry(subject)
        signed = await self.store.best_for(entry.idx)
        if signed is None:
            raise NotSealedYet(subject)
        await follow(self.store, self.folder, signed)
        path = await asyncio.to_thread(self._path, entry.idx, signed)
        opening = await self.store.opening(entry.idx)
        if opening is None:
            if b'"commit":' in entry.leaf:
                raise OpeningErased(subject)
            return Proof(entry.idx, path, signed.note, entry.leaf)
        private = await self._private(entry, opening)
        return Proof(entry.idx, path, signed.note, entry.leaf, opening.salt, private)

    async def sealed(self, subject: UUID) -> bool:
        """Whether a signed checkpoint covers it already."""
        entry = await self.store.entry_of(subject)
        return entry is not None and await self.store.best_for(entry.idx) is not None

    async def erased(self, subject: UUID) -> bool:
        """Whether what it hid was shredded, so that nobody can be given a proof of it any more."""
        entry = await self.store.entry_of(subject)
        return entry is not None and b'"commit":' in entry.leaf and await self.store.opening(entry.idx) is None

    async def _entry(self, subject: UUID) -> Entry:
        entry = await self.store.entry_of(subject)
        if entry is not None:
            return entry
        if await self.store.in_intake(subject) or await self._feed.one(subject) is not None:
            raise NotSealedYet(subject)
        raise UnknownEntry(subject)

    def _path(self, index: int, signed: SignedHead) -> tuple[bytes, ...]:
        return tuple(prove_inclusion(TileReader(self.folder.read, signed.size).node, index, signed.size))

    async def _private(self, entry: Entry, opening: Opening) -> bytes:
        private = opening.private
        if private is None and entry.kind == POSTING:
            posting = await self._feed.one(entry.subject)
            private = private_of(posting, msgspec.json.decode(entry.leaf)["v"]) if posting is not None else b""
        if private is None or b64(commitment(opening.salt, private)).encode() not in entry.leaf:
            raise ProofRefused("the ledger no longer holds what was sealed under this id", "账本中的内容与封存时不一致")
        return private

    # ── witnesses ────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_witness(self, vkey: str, *, by: str) -> None:
        """List a witness whose cosignatures are taken."""
        key = VerifierKey.parse(vkey)
        if key.kind != COSIGNATURE:
            raise ProofRefused("this is no witness's key", "这不是见证人公钥")
        if len(await self.store.witnesses()) >= WITNESSES_MAX:
            raise BadEntry(f"{WITNESSES_MAX} witnesses are listed already")
        async with self._db.transaction() as connection:
            if await self.store.add_witness(connection, str(key), by, self._clock.now()):
                await self.record(connection, WITNESS, {"key": str(key), "listed": True}, {"actor": by})

    async def remove_witness(self, vkey: str, *, by: str) -> bool:
        """List a witness no more; False when it was not listed."""
        async with self._db.transaction() as connection:
            removed = await self.store.remove_witness(connection, vkey)
            if removed:
                await self.record(connection, WITNESS, {"key": vkey, "listed": False}, {"actor": by})
        return removed

    async def cosign(self, raw: str) -> int:
        """Take a checkpoint that listed witnesses cosigned; how many have by now.

        UnknownWitness for a key that isn't listed. LogRewound when it proves that we signed more than we know, or
        something else: nothing is signed from then on.
        """
        head, note = open_checkpoint(raw, self.verifiers())
        listed = [VerifierKey.parse(one) for one in await self.store.witnesses()]
        named = {(key.name, key.id) for key in note.signed_by(listed)}
        given = [one for one in note.signatures if (one.name, one.key_id) in named]
        if not given:
            others = [one.name for one in note.signatures if one.name != head.origin]
            raise UnknownWitness(others[0] if others else "")
        for _ in range(COSIGN_TRIES):
            kept = await self.store.checkpoint(head.size)
            if kept is None or kept.root != head.root:
                await self._unknown_checkpoint(head, raw, kept)
                return 0
            merged = Note.parse(kept.note).with_signatures(given)
            count = len(merged.signed_by(listed))
            if str(merged) == kept.note or await self.store.cosign(head.size, str(merged), count, kept.note):
                await asyncio.to_thread(self._show, head, merged)
                return count
        return 0

    async def _unknown_checkpoint(self, head: Checkpoint, raw: str, kept: SignedHead | None) -> None:
        """An old one, or one whose row is still being written, is harmless; one that we can't know of is not."""
        signed = self.sealer.signed()
        if kept is None and signed is not None and (head.size < signed.size or head == signed):
            raise UnknownCheckpoint(head.size)
        self.keys.folder.write(WITNESSED, raw.encode())
        raise LogRewound(head.size, signed.size if signed is not None else 0)

    def _show(self, head: Checkpoint, note: Note) -> None:
        """Publish the cosignatures while the checkpoint is still the newest."""
        with self.folder.locked():
            there = self.folder.read(CHECKPOINT)
            if there is not None and Note.parse(there.decode()).text == head.text:
                self.folder.write(CHECKPOINT, str(note).encode())

    # ── forgetting ───────────────────────────────────────────────────────────────────────────────────────────────

    async def shred(self, subjects: Sequence[UUID], *, by: str) -> int:
        """Destroy the salts of entries: what they hid can't be shown or guessed any more; roots and proofs stand.

        How many there were. The log has an entry of it: how many, and privately by whom and which.
        """
        async with self._db.transaction() as connection:
            done = await self.store.shred(connection, subjects[:SHRED_MAX])
            if done:
                named = [str(one) for one in subjects[:SHRED_NAMED_MAX]]
                await self.record(connection, "log.shred", {"entries": done}, {"actor": by, "ids": named})
        return done

    async def forget(self, parties: Sequence[UUID]) -> int:
        """Shred what is hidden about parties: their organisations' postings, and recorded entries about them.

        How many salts are gone now. NotSealedYet while something about them waits to be sealed: ask again then.
        """
        readers: tuple[Callable[[UUID, UUID, int], Awaitable[Sequence[UUID]]], ...]
        readers = (self._feed.posting_ids, self.store.about)
        done, waiting = 0, None
        for party, read in product(parties, readers):
            after = NOBODY
            while page := await read(party, after, SHRED_MAX):
                done += await self.store.shred(self._db.writes, page)
                waiting = waiting or next(iter(set(page) - await self.store.known(page)), None)
                after = page[-1]
        if waiting is not None:
            raise NotSealedYet(waiting)
        return done

    async def purge(self) -> int:
        """Forget old checkpoints that nobody cosigned; witnesses and holders keep theirs."""
        return await self.store.purge_checkpoints(self._clock.now() - KEEP_UNCOSIGNED)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def presentable(self) -> None:
        """Make this machine's files as new as what another one signed, before they are shown.

        LogMoved while a restored database waits for `recover`: its files may be older than what witnesses hold, who
        would rightly call that a rollback. Where the database is away the files are shown as they are.
        """
        try:
            moved, signed = await self.sealer.moved(await self.store.head()), await self.store.latest()
            if moved is None and signed is not None:
                await follow(self.store, self.folder, signed)
        except FAILURES:
            return
        if moved is not None:
            raise moved

    def resource(self, path: str) -> bytes | None:
        """A public file of the log: `checkpoint` or a tile."""
        return self.folder.resource(path)

    def ring(self) -> Ring:
        return self.keys.ring(self._clock.today())

    async def rotate(self, *, actor: str) -> LogKey:
        """A new signing key, which is an entry of the log too; the one before signs beside it."""
        made = self.keys.rotate(self._clock.today()).keys[0]
        public = {"key": made.vkey, "number": made.number}
        async with self._db.transaction() as connection:
            await self.record(connection, "log.key", public, {"actor": actor})
        return made

    def verifiers(self) -> list[VerifierKey]:
        return [key.verifier for key in self.ring().keys]

    async def trusted(self) -> list[VerifierKey]:
        """The keys a proof is verified with: the log's, and its witnesses'."""
        return [*self.verifiers(), *(VerifierKey.parse(one) for one in await self.store.witnesses())]

    def key_list(self) -> str:
        """The published key list, a signed note."""
        return self.keys.published(self.ring())

    def entries(self, first: int, count: int) -> list[bytes]:
        """Published entries from `first` on, at most to the end of their bundle."""
        number, offset = divmod(first, WIDTH)
        raw = self.folder.read(CHECKPOINT)
        size = int(raw.split(b"\n", 2)[1]) if raw else 0
        if first >= size:
            return []
        found: list[bytes] = TileReader(self.folder.read, size).entries(number)
        return found[offset : offset + count]

    async def state(self) -> str:
        """`up`, `behind` or `refused`; makes no key."""
        head, signed = await self.store.head(), await self.store.latest()
        return self._state(head, signed, await self._refusal(head))

    async def _refusal(self, head: Head) -> ShanheError | None:
        return self.problem or self.sealer.rewound(head) or await self.sealer.moved(head)

    def _state(self, head: Head, signed: SignedHead | None, refusal: ShanheError | None) -> str:
        if refusal is not None:
            return "refused"
        waiting = head.size > (signed.size if signed is not None else 0)
        late = signed is not None and self._clock.now() - signed.at > BEHIND_AFTER
        return "behind" if waiting and late else "up"

    async def status(self) -> Status:
        head, signed = await self.store.head(), await self.store.latest()
        ring = self.ring()
        size = signed.size if signed else 0
        waiting = head.size - size + await self.store.waiting()
        problem = await self._refusal(head)
        return Status(
            state=self._state(head, signed, problem),
            origin=ring.origin,
            key=ring.keys[0].vkey,
            assigned=head.size,
            signed=size,
            root=b64(signed.root) if signed else "",
            signed_at=signed.at if signed else None,
            waiting=waiting,
            cosignatures=signed.cosigned if signed else 0,
            witnesses=len(await self.store.witnesses()),
            sealer=head.holder,
            problem=problem.message if problem is not None else "",
        )
