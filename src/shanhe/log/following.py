"""A machine that does not seal makes the log's files again from the database: every machine shows the same log."""

from __future__ import annotations

import asyncio

from shanhe.log.errors import LogRewound, ProofRefused
from shanhe.log.files import CHECKPOINT, Folder
from shanhe.log.model import SignedHead
from shanhe.log.note import Checkpoint, Note
from shanhe.log.store import PAGE_MAX, Store
from shanhe.log.tiles import Edge, TileReader


async def follow(store: Store, folder: Folder, signed: SignedHead) -> None:
    """Bring a folder's tiles and checkpoint to what was signed elsewhere; nothing where they are as far already.

    LogRewound when the database's entries do not make the signed root.
    """
    size = _size(folder)
    if size >= signed.size:
        return
    try:
        edge = await asyncio.to_thread(TileReader(folder.read, size).edge)
    except ProofRefused:
        edge = Edge()
    while edge.size < signed.size:
        leaves = await store.leaves(edge.size, min(signed.size, edge.size + PAGE_MAX))
        if not leaves:
            raise LogRewound(signed.size, edge.size)
        edge.extend(leaves)
        await asyncio.to_thread(folder.write_all, list(edge.take()))
    if edge.root != signed.root:
        raise LogRewound(signed.size, edge.size, "its entries are others than those that were signed")
    await asyncio.to_thread(_put_forward, folder, signed)


def _put_forward(folder: Folder, signed: SignedHead) -> None:
    with folder.locked():
        if _size(folder) < signed.size:
            folder.write(CHECKPOINT, signed.note.encode())


def _size(folder: Folder) -> int:
    raw = folder.read(CHECKPOINT)
    return Checkpoint.parse(Note.parse(raw.decode()).text).size if raw is not None else 0
