"""Going on after the database was restored from a backup, without ever forking.

Entries that were signed and that the database lost come back from the tiles; a `recovered` entry tells everybody that
the ledger no longer vouches for them. Whatever the restored ledger still has of them is sealed again.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from shanhe.kernel.ids import new_id
from shanhe.log.errors import LogRewound, NotLeader, ProofRefused
from shanhe.log.files import CHECKPOINT
from shanhe.log.leaf import RECOVERED, VERSION, Draft, canonical
from shanhe.log.merkle import HASH_BYTES, leaf_hash, root
from shanhe.log.model import Recovered
from shanhe.log.note import Checkpoint, Note, open_checkpoint
from shanhe.log.sealing import FAR, SIGNED, WITNESSED, Sealer
from shanhe.log.store import PAGE_MAX
from shanhe.log.tiles import WIDTH, Fetch, TileReader

NOBODY: Final = UUID(int=0)


async def recover(sealer: Sealer, source: Fetch | None) -> Recovered:
    """Adopt what was signed and the database lacks, from the log's own tiles or `source`; then seal on.

    NotLeader while another process seals (stop it first); LogRewound when the missing entries are nowhere, or the
    database holds other entries than were signed.
    """
    head = await sealer.lead()
    if head is None:
        raise NotLeader
    note, reader = _target(sealer, source, head.size)
    signed = Checkpoint.parse(Note.parse(note).text) if note else None
    adopted = 0
    if signed is not None and reader is not None:
        await _same(sealer, reader, min(head.size, signed.size))
        adopted = await _adopt(sealer, reader, head.size, signed.size)
        sealer.keys.folder.write(SIGNED, note.encode())
        sealer.folder.write(CHECKPOINT, note.encode())
    horizon = await sealer.feed.horizon()
    await sealer.store.move(sealer.epoch, 0, NOBODY)
    again = await sealer.append_all(FAR)
    await sealer.store.move(sealer.epoch, horizon - 1, NOBODY)
    await sealer.store.note_place(sealer.epoch, await sealer.place())
    added = await sealer.seal()
    return Recovered(adopted, again + added, signed.size if signed is not None else 0)


def _target(sealer: Sealer, source: Fetch | None, held: int) -> tuple[str, TileReader | None]:
    """The largest checkpoint under our signature that anybody has shown us, and tiles that make its root."""
    keys = [key.verifier for key in sealer.ring().keys]
    local = sealer.folder.read
    found = [sealer.keys.folder.read(SIGNED), local(CHECKPOINT), sealer.keys.folder.read(WITNESSED)]
    found.append(source(CHECKPOINT) if source is not None else None)
    notes = [raw.decode() for raw in found if raw is not None]
    if not notes:
        return "", None
    note = max(notes, key=lambda raw: open_checkpoint(raw, keys)[0].size)
    signed = open_checkpoint(note, keys)[0]
    for fetch in (local, source):
        if fetch is None:
            continue
        reader = TileReader(fetch, signed.size)
        try:
            if root(reader.node, signed.size) == signed.root:
                return note, reader
        except ProofRefused:
            continue
    if signed.size <= held:
        return note, None
    raise LogRewound(signed.size, held, "the missing entries are not in DATA/log; name a mirror with --from")


async def _same(sealer: Sealer, reader: TileReader, size: int) -> None:
    """What the database still holds is what was signed."""
    at = 0
    while at < size:
        leaves = await sealer.store.leaves(at, min(size, at - at % WIDTH + WIDTH, at + PAGE_MAX))
        tile = reader.tile(0, at // WIDTH)
        for offset, leaf in enumerate(leaves):
            place = (at % WIDTH + offset) * HASH_BYTES
            if leaf_hash(leaf) != tile[place : place + HASH_BYTES]:
                raise LogRewound(reader.size, size, f"entry {at + offset} is another than the one that was signed")
        at += len(leaves)


async def _adopt(sealer: Sealer, reader: TileReader, first: int, end: int) -> int:
    at = first
    while at < end:
        entries = reader.entries(at // WIDTH)[at % WIDTH :]
        drafts = [Draft(new_id(), str(msgspec.json.decode(one).get("kind", "")), one) for one in entries]
        if at + len(drafts) >= end:
            public = {"v": VERSION, "kind": RECOVERED, "day": sealer.today(), "first": first, "end": end}
            drafts.append(Draft(new_id(), RECOVERED, canonical(public)))
        await sealer.adopt(drafts)
        at += len(entries)
    return max(0, end - first)
