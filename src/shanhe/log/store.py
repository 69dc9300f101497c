"""The log's tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from shanhe.kernel.db import Database
from shanhe.log.errors import NotLeader
from shanhe.log.leaf import POSTING, Draft
from shanhe.log.model import Entry, Head, Opening, SignedHead
from shanhe.log.sheets import SHEET_MAX, SHREDDED, Sheet, packed, unpacked

FENCED: Final = "SH010"
PAGE_MAX: Final = 1000


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    # ── sealing ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def head(self) -> Head:
        row = await self._db.fetchrow("SELECT *, EXISTS (SELECT FROM kernel.restored) AS restored FROM log.head")
        return Head(
            row["epoch"], row["holder"], row["until"], row["size"], row["feed_born"], row["feed_id"], row["pending"],
            row["again"], row["place"], row["restored"],
        )  # fmt: skip

    async def place(self) -> str:
        """Which database this is: the server's own number, given when its data folder was made, and the database's."""
        database = "SELECT oid::text FROM pg_database WHERE datname = current_database()"
        found: str = await self._db.fetchval(database)
        try:
            server = await self._db.fetchval("SELECT system_identifier::text FROM pg_control_system()")
        except asyncpg.InsufficientPrivilegeError:  # some who run servers for others keep this to themselves
            server = "?"
        return f"{server}/{found}"

    async def note_place(self, epoch: int, place: str) -> None:
        """The database lies here, and its entries are known to continue what was signed."""
        await self._db.execute(
            "WITH noted AS (UPDATE log.head SET place = $2 WHERE epoch = $1 RETURNING 1)"
            " DELETE FROM kernel.restored WHERE EXISTS (SELECT FROM noted)",
            epoch, place,
        )  # fmt: skip

    async def lead(self, holder: str, epoch: int, now: datetime, until: datetime) -> int | None:
        found: int | None = await self._db.writes.fetchval("SELECT log.lead($1, $2, $3, $4)", holder, epoch, now, until)
        return found

    async def release(self, holder: str, epoch: int) -> None:
        await self._db.execute("UPDATE log.head SET until = NULL WHERE holder = $1 AND epoch = $2", holder, epoch)

    async def append(
        self, epoch: int, first: int, sheets: Sequence[Sheet], rows: Sequence[Draft], intake: Sequence[UUID],
        born: int, last: UUID, pending: dict[str, Any],
    ) -> None:  # fmt: skip
        """Give sheets' entries, then rows, the indices from `first` on; NotLeader when this epoch is over."""
        filed = [one.subject for sheet in sheets for one in sheet.drafts]
        kept = [packed(one.drafts) for one in sheets]
        opened = [(first + len(filed) + n, one) for n, one in enumerate(rows) if one.salt is not None]
        try:
            await self._db.execute(
                "SELECT log.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
                epoch, first, filed, [len(one.drafts) for one in sheets], [forms for forms, _ in kept],
                [leaves for _, leaves in kept], [one.salts for one in sheets],
                [one.subject for one in rows], [one.kind for one in rows], [one.leaf for one in rows],
                [index for index, _ in opened], [one.salt for _, one in opened], [one.private for _, one in opened],
                list(intake), born, last, pending,
            )  # fmt: skip
        except asyncpg.PostgresError as error:
            if error.sqlstate == FENCED:
                raise NotLeader from error
            raise

    async def move(self, epoch: int, born: int, last: UUID) -> None:
        """Set how far the ledger was read; where that is back, what comes again is looked for."""
        done = await self._db.execute(
            "UPDATE log.head SET feed_born = $2, feed_id = $3, again = greatest(again, feed_born + 1) WHERE epoch = $1",
            epoch, born, last,
        )  # fmt: skip
        if done != "UPDATE 1":
            raise NotLeader

    async def intake(self, until: int, limit: int) -> list[Any]:
        """Recorded entries of transactions that ended, oldest first: rows (id, kind, public, private)."""
        return await self._db.fetch(
            "SELECT id, kind, public, private FROM log.intake WHERE born < $1 ORDER BY born, id LIMIT $2", until, limit
        )

    async def waiting(self) -> int:
        return int(await self._db.fetchval("SELECT count(*) FROM log.intake"))

    async def known(self, subjects: Sequence[UUID]) -> set[UUID]:
        rows = await self._db.fetch(
            "SELECT subject FROM log.entry WHERE subject = ANY($1) UNION ALL SELECT u.id FROM unnest($1) u(id) "
            "WHERE EXISTS (SELECT FROM log.sheet s WHERE s.span @> u.id AND u.id = ANY(s.subjects))", list(subjects),
        )  # fmt: skip
        return {row["subject"] for row in rows}

    async def leaves(self, first: int, end: int) -> list[bytes]:
        end = min(end, first + PAGE_MAX)
        rows = await self._db.fetch("SELECT idx, leaf FROM log.entry WHERE idx >= $1 AND idx < $2", first, end)
        found = {row["idx"]: row["leaf"] for row in rows}
        for row in await self._db.fetch(
            "SELECT first, forms, leaves FROM log.sheet WHERE first > $1 AND first < $2", first - SHEET_MAX, end
        ):
            found |= enumerate(unpacked(row["forms"], row["leaves"]), row["first"])
        return [found[index] for index in range(first, end) if index in found]

    # ── recording, opening, forgetting ───────────────────────────────────────────────────────────────────────────

    async def record(
        self, connection: Any, subject: UUID, kind: str, public: bytes, private: bytes | None, about: Sequence[UUID]
    ) -> None:
        if about:
            await connection.execute(
                "INSERT INTO log.about SELECT party, $2 FROM unnest($1::uuid[]) party ON CONFLICT DO NOTHING",
                list(about), subject,
            )  # fmt: skip
        await connection.execute(
            "INSERT INTO log.intake (id, kind, public, private) SELECT $1, $2, $3, $4 "
            "WHERE NOT EXISTS (SELECT FROM log.entry WHERE subject = $1) ON CONFLICT (id) DO NOTHING",
            subject, kind, public, private,
        )  # fmt: skip

    async def entry_of(self, subject: UUID) -> Entry | None:
        row = await self._db.fetchrow("SELECT * FROM log.entry WHERE subject = $1", subject)
        if row is not None:
            return Entry(row["idx"], row["subject"], row["kind"], row["leaf"])
        row = await self._db.fetchrow(
            "SELECT first, array_position(subjects, $1) - 1 AS place, forms, leaves FROM log.sheet "
            "WHERE span @> $1 AND $1 = ANY(subjects)", subject,
        )  # fmt: skip
        if row is None:
            return None
        leaf = unpacked(row["forms"], row["leaves"])[row["place"]]
        return Entry(row["first"] + row["place"], subject, POSTING, leaf)

    async def in_intake(self, subject: UUID) -> bool:
        return bool(await self._db.fetchval("SELECT EXISTS (SELECT FROM log.intake WHERE id = $1)", subject))

    async def opening(self, index: int) -> Opening | None:
        row = await self._db.fetchrow("SELECT salt, private FROM log.opening WHERE idx = $1", index)
        if row is not None:
            return Opening(row["salt"], row["private"])
        salt = await self._db.fetchval(
            "SELECT substring(salts FROM ($1 - first)::int * 16 + 1 FOR 16) FROM log.sheet_salts "
            "WHERE first > $1 - $2::bigint AND first <= $1 ORDER BY first DESC LIMIT 1", index, SHEET_MAX,
        )  # fmt: skip
        return Opening(salt, None) if salt and salt != SHREDDED else None

    async def about(self, party: UUID, after: UUID, limit: int) -> list[UUID]:
        """Recorded entries about a party, in order of id."""
        rows = await self._db.fetch(
            "SELECT subject FROM log.about WHERE party = $1 AND subject > $2 ORDER BY subject LIMIT $3",
            party, after, limit,
        )  # fmt: skip
        return [row["subject"] for row in rows]

    async def shred(self, connection: Any, subjects: Sequence[UUID]) -> int:
        return int(await connection.fetchval("SELECT log.shred($1)", list(subjects)))

    # ── checkpoints and witnesses ────────────────────────────────────────────────────────────────────────────────

    async def signed(self, size: int, root: bytes, note: str, at: datetime) -> None:
        await self._db.execute(
            "INSERT INTO log.checkpoint (size, root, note, at) VALUES ($1, $2, $3, $4) ON CONFLICT (size) DO NOTHING",
            size, root, note, at,
        )  # fmt: skip

    async def checkpoint(self, size: int) -> SignedHead | None:
        return _head(await self._db.fetchrow("SELECT * FROM log.checkpoint WHERE size = $1", size))

    async def latest(self) -> SignedHead | None:
        return _head(await self._db.fetchrow("SELECT * FROM log.checkpoint ORDER BY size DESC LIMIT 1"))

    async def best_for(self, index: int) -> SignedHead | None:
        """The newest cosigned checkpoint over an entry, else the newest over it at all."""
        query = "SELECT * FROM log.checkpoint WHERE size > $1 {} ORDER BY size DESC LIMIT 1"
        return _head(await self._db.fetchrow(query.format("AND cosigned > 0"), index)) or _head(
            await self._db.fetchrow(query.format(""), index)
        )

    async def cosign(self, size: int, note: str, count: int, before: str) -> bool:
        """Replace a checkpoint's note; False when somebody else was first."""
        done = await self._db.execute(
            "UPDATE log.checkpoint SET note = $2, cosigned = $3 WHERE size = $1 AND note = $4",
            size, note, count, before,
        )  # fmt: skip
        return done == "UPDATE 1"

    async def purge_checkpoints(self, before: datetime) -> int:
        """Forget old checkpoints that no witness cosigned; the newest stays."""
        done = await self._db.execute(
            "DELETE FROM log.checkpoint WHERE cosigned = 0 AND at < $1 "
            "AND size < (SELECT max(size) FROM log.checkpoint)", before,
        )  # fmt: skip
        return int(done.rsplit(" ", 1)[-1])

    async def witnesses(self) -> list[str]:
        return [row["vkey"] for row in await self._db.fetch("SELECT vkey FROM log.witness ORDER BY added_at, vkey")]

    async def add_witness(self, connection: Any, vkey: str, by: str, now: datetime) -> bool:
        """Whether it was not listed yet."""
        done = await connection.execute(
            "INSERT INTO log.witness VALUES ($1, $2, $3) ON CONFLICT (vkey) DO NOTHING", vkey, by, now
        )
        return bool(done == "INSERT 0 1")

    async def remove_witness(self, connection: Any, vkey: str) -> bool:
        return bool(await connection.execute("DELETE FROM log.witness WHERE vkey = $1", vkey) == "DELETE 1")


def _head(row: Any) -> SignedHead | None:
    if row is None:
        return None
    return SignedHead(row["size"], row["root"], row["note"], row["cosigned"], row["at"])
