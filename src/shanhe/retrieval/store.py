"""SQL of knowledge bases. Passages are read through the schema's functions, which ask who reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.db import Database
from shanhe.retrieval.model import Asking, Base, Chunk, Document, Evaluation, Question, Reader

CHANNEL: Final = "shanhe_knowledge"
PAGE_MAX: Final = 500
Connection = Any


def _of(kind: Any, row: Any) -> Any:
    return kind(**{name: row[name] for name in kind.__struct_fields__})


# -- bases ----------------------------------------------------------------------------------------------------------


async def lock_org(conn: Connection, org_id: UUID) -> None:
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('retrieval:' || $1::text, 0))", str(org_id))


async def insert_base(conn: Connection, one: Base) -> None:
    await conn.execute(
        """INSERT INTO retrieval.base (id, org_id, name, reach, data_class, model, reranker, support_bps, secret,
                                       personal, key_id, made_by, made_at, size, overlap, separator)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)""",
        one.id, one.org_id, one.name, one.reach, one.data_class, one.model, one.reranker, one.support_bps, one.secret,
        one.personal, one.key_id, one.made_by, one.made_at, one.size, one.overlap, one.separator,
    )  # fmt: skip


async def base(db: Connection | Database, base_id: UUID) -> Base | None:
    row = await db.fetchrow("SELECT * FROM retrieval.base WHERE id = $1 AND archived_at IS NULL", base_id)
    return None if row is None else _of(Base, row)


async def bases(db: Connection | Database, asking: Asking) -> list[Base]:
    """Those an asker may read, and those of its organisation; the newest first."""
    rows = await db.fetch(
        """SELECT * FROM retrieval.base b WHERE archived_at IS NULL
              AND (b.org_id = $1 OR b.id IN (SELECT retrieval.readable($1, $2))) ORDER BY id DESC LIMIT $3""",
        asking.org_id, asking.person_id, PAGE_MAX,
    )  # fmt: skip
    return [_of(Base, row) for row in rows]


async def bases_of(db: Connection | Database, org_id: UUID) -> list[Base]:
    rows = await db.fetch("SELECT * FROM retrieval.base WHERE org_id = $1 AND archived_at IS NULL ORDER BY id", org_id)
    return [_of(Base, row) for row in rows]


async def readable(db: Connection | Database, asking: Asking) -> set[UUID]:
    rows = await db.fetch("SELECT retrieval.readable($1, $2) AS id", asking.org_id, asking.person_id)
    return {row["id"] for row in rows}


async def update_base(conn: Connection, one: Base) -> None:
    await conn.execute(
        """UPDATE retrieval.base SET name = $2, reach = $3, data_class = $4, reranker = $5, support_bps = $6,
                  key_id = $7, size = $8, overlap = $9, separator = $10 WHERE id = $1""",
        one.id, one.name, one.reach, one.data_class, one.reranker, one.support_bps, one.key_id, one.size, one.overlap,
        one.separator,
    )  # fmt: skip


async def archive(conn: Connection, base_id: UUID, now: datetime) -> list[UUID]:
    """Delete what a base holds and take it off every list; returns its blobs."""
    await conn.execute("UPDATE retrieval.base SET archived_at = $2 WHERE id = $1", base_id, now)
    rows = await conn.fetch("DELETE FROM retrieval.document WHERE base_id = $1 RETURNING blob", base_id)
    for table in ("reader", "question", "evaluation"):
        await conn.execute(f"DELETE FROM retrieval.{table} WHERE base_id = $1", base_id)
    return [row["blob"] for row in rows]


async def destroy(conn: Connection, base_id: UUID) -> None:
    """Take the archived base's own row away; nothing of it is left then."""
    for table in ("chunk", "document"):
        await conn.execute(f"DELETE FROM retrieval.{table} WHERE base_id = $1", base_id)
    await conn.execute("DELETE FROM retrieval.base WHERE id = $1", base_id)


async def readers(db: Connection | Database, base_id: UUID) -> list[Reader]:
    rows = await db.fetch("SELECT * FROM retrieval.reader WHERE base_id = $1 ORDER BY at, reader", base_id)
    return [_of(Reader, row) for row in rows]


async def add_reader(conn: Connection, base_id: UUID, one: Reader) -> None:
    await conn.execute(
        """INSERT INTO retrieval.reader (base_id, kind, reader, by, at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT DO NOTHING""",
        base_id, one.kind, one.reader, one.by, one.at,
    )  # fmt: skip


async def remove_reader(db: Connection | Database, base_id: UUID, kind: str, reader: UUID) -> None:
    await db.execute(
        "DELETE FROM retrieval.reader WHERE base_id = $1 AND kind = $2 AND reader = $3", base_id, kind, reader
    )


# -- documents ------------------------------------------------------------------------------------------------------


async def documents(db: Connection | Database, base_id: UUID) -> list[Document]:
    rows = await db.fetch("SELECT * FROM retrieval.document WHERE base_id = $1 ORDER BY id LIMIT 2000", base_id)
    return [_of(Document, row) for row in rows]


async def count(db: Connection | Database, base_id: UUID) -> int:
    found: int = await db.fetchval("SELECT count(*) FROM retrieval.document WHERE base_id = $1", base_id)
    return found


async def changed(db: Connection | Database, base_id: UUID, since: datetime) -> list[Any]:
    """Documents that came, were replaced or had passages edited after an instant: `name`, `at`, the latest first."""
    return await db.fetch(
        """SELECT d.name, greatest(d.made_at, e.at) AS at FROM retrieval.document d
             LEFT JOIN (SELECT document_id, max(edited_at) AS at FROM retrieval.chunk
                         WHERE base_id = $1 AND edited_at > $2 GROUP BY document_id) e ON e.document_id = d.id
            WHERE d.base_id = $1 AND greatest(d.made_at, e.at) > $2 ORDER BY at DESC, d.id LIMIT 2000""",
        base_id, since,
    )  # fmt: skip


async def document(db: Connection | Database, base_id: UUID, document_id: UUID) -> Document | None:
    row = await db.fetchrow("SELECT * FROM retrieval.document WHERE base_id = $1 AND id = $2", base_id, document_id)
    return None if row is None else _of(Document, row)


async def named(conn: Connection, base_id: UUID, name_hash: bytes) -> Document | None:
    row = await conn.fetchrow(
        "SELECT * FROM retrieval.document WHERE base_id = $1 AND name_hash = $2 FOR UPDATE", base_id, name_hash
    )
    return None if row is None else _of(Document, row)


async def insert_document(conn: Connection, one: Document, name_hash: bytes) -> None:
    await conn.execute(
        """INSERT INTO retrieval.document (id, base_id, name, name_hash, sha256, size_bytes, blob, state, key_id,
                                           made_by, made_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, $9, $10)""",
        one.id, one.base_id, one.name, name_hash, one.sha256, one.size_bytes, one.blob, one.key_id, one.made_by,
        one.made_at,
    )  # fmt: skip
    await conn.execute(f"NOTIFY {CHANNEL}")


async def renew_document(conn: Connection, one: Document) -> None:
    """Another file under the same name: it is read anew, and until then found as it was."""
    await conn.execute(
        """UPDATE retrieval.document SET sha256 = $2, size_bytes = $3, blob = $4, state = 'waiting', error = NULL,
                  done = 0, total = 0, worker = '', seen_at = NULL, key_id = $5, made_by = $6, made_at = $7
            WHERE id = $1""",
        one.id, one.sha256, one.size_bytes, one.blob, one.key_id, one.made_by, one.made_at,
    )  # fmt: skip
    await conn.execute(f"NOTIFY {CHANNEL}")


async def again(db: Connection | Database, document_id: UUID) -> None:
    await db.execute(
        """UPDATE retrieval.document SET state = 'waiting', error = NULL, done = 0, total = 0, worker = '',
                  seen_at = NULL WHERE id = $1 AND state IN ('failed', 'ready')""",
        document_id,
    )
    await db.execute(f"NOTIFY {CHANNEL}")


async def recut(conn: Connection, base_id: UUID, cut: str) -> int:
    """Have every document that was cut otherwise read anew; it is found as it was until then. How many."""
    rows = await conn.fetch(
        """UPDATE retrieval.document SET state = 'waiting', error = NULL, done = 0, total = 0, worker = '',
                  seen_at = NULL WHERE base_id = $1 AND state = 'ready' AND cut <> $2 RETURNING id""",
        base_id, cut,
    )  # fmt: skip
    await conn.execute(f"NOTIFY {CHANNEL}")
    return len(rows)


async def edits(db: Connection | Database, base_id: UUID, cut: str) -> int:
    """Edited passages in documents that were cut otherwise."""
    found: int = await db.fetchval(
        """SELECT count(*) FROM retrieval.chunk c JOIN retrieval.document d ON d.id = c.document_id
            WHERE c.base_id = $1 AND c.edited_by IS NOT NULL AND d.state = 'ready' AND d.cut <> $2""",
        base_id, cut,
    )  # fmt: skip
    return found


async def delete_document(conn: Connection, document_id: UUID) -> None:
    await conn.execute("DELETE FROM retrieval.document WHERE id = $1", document_id)


async def counts(db: Connection | Database, base_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Documents, those not ready yet, pages, passages and cost by base."""
    rows = await db.fetch(
        """SELECT b AS id, count(d.id) AS documents, coalesce(sum(d.pages), 0)::bigint AS pages,
                  count(d.id) FILTER (WHERE d.state IN ('waiting', 'reading', 'embedding')) AS open,
                  count(d.id) FILTER (WHERE d.state = 'failed') AS failed,
                  coalesce(sum(d.paid_micro), 0)::bigint AS paid_micro,
                  (SELECT count(*) FROM retrieval.chunk c WHERE c.base_id = b) AS passages
             FROM unnest($1::uuid[]) b LEFT JOIN retrieval.document d ON d.base_id = b GROUP BY b""",
        list(base_ids),
    )
    return {row["id"]: {name: int(value) for name, value in row.items() if name != "id"} for row in rows}


# -- indexing -------------------------------------------------------------------------------------------------------


_OPEN: Final = "d.state IN ('waiting', 'reading', 'embedding')"
_FREE: Final = (
    f"{_OPEN} AND ((d.worker = '' AND (d.seen_at IS NULL OR d.seen_at <= $2)) OR (d.worker <> '' AND d.seen_at < $3))"
)
TAKERS_MAX: Final = 32
"""Of each base so many are looked at: those that others are taking at this moment are passed over."""


async def take(db: Connection | Database, worker: str, now: datetime, lost_before: datetime) -> Document | None:
    """A document that nobody works on, now this worker's: the oldest of the organisation for which nothing was read
    for the longest time, so that nobody waits for all that another one brings. Of each base that has any the first few
    are looked at, however many wait there."""
    row = await db.writes.fetchrow(
        f"""WITH RECURSIVE waits AS (
             (SELECT d.base_id FROM retrieval.document d WHERE {_OPEN} ORDER BY d.base_id LIMIT 1)
             UNION ALL
             SELECT (SELECT d.base_id FROM retrieval.document d WHERE {_OPEN} AND d.base_id > waits.base_id
                      ORDER BY d.base_id LIMIT 1) FROM waits WHERE waits.base_id IS NOT NULL
           ), due AS (
             SELECT f.id, f.made_at, b.org_id FROM waits JOIN retrieval.base b ON b.id = waits.base_id
              CROSS JOIN LATERAL (SELECT d.id, d.made_at FROM retrieval.document d WHERE d.base_id = b.id AND {_FREE}
                                   ORDER BY d.made_at, d.id LIMIT $4) f
           ), served AS (
             SELECT b.org_id, max(l.seen_at) AS at FROM retrieval.base b
              CROSS JOIN LATERAL (SELECT d.seen_at FROM retrieval.document d WHERE d.base_id = b.id
                                     AND d.seen_at IS NOT NULL ORDER BY d.seen_at DESC LIMIT 1) l
              WHERE b.archived_at IS NULL AND b.org_id IN (SELECT org_id FROM due) GROUP BY b.org_id
           ), turn AS (
             SELECT ARRAY(SELECT due.id FROM due LEFT JOIN served USING (org_id)
                           ORDER BY served.at NULLS FIRST, due.made_at, due.id LIMIT $4) AS ids
           ), first AS (
             SELECT d.id FROM retrieval.document d WHERE d.id = ANY((SELECT ids FROM turn)::uuid[]) AND {_FREE}
              -- asked of the row once more when it is locked: another process may have taken it since
              ORDER BY array_position((SELECT ids FROM turn), d.id) LIMIT 1 FOR UPDATE SKIP LOCKED
           ) UPDATE retrieval.document SET worker = $1, seen_at = $2, state = 'reading', done = 0, total = 0
              WHERE id = (SELECT id FROM first) RETURNING *""",
        worker, now, lost_before, TAKERS_MAX,
    )  # fmt: skip
    return None if row is None else _of(Document, row)


async def give_back(db: Connection | Database, worker: str) -> None:
    """A process of this name starts: what the last one had is nobody's."""
    await db.execute(
        """UPDATE retrieval.document SET worker = '', seen_at = NULL
            WHERE worker = $1 AND state IN ('waiting', 'reading', 'embedding')""",
        worker,
    )


async def progress(db: Connection | Database, one: Document, state: str, done: int, total: int, now: datetime) -> bool:
    """False when the file has been replaced or deleted meanwhile."""
    row = await db.writes.fetchval(
        """UPDATE retrieval.document SET state = $3, done = $4, total = $5, seen_at = $6
            WHERE id = $1 AND blob = $2 RETURNING id""",
        one.id, one.blob, state, done, total, now,
    )  # fmt: skip
    return row is not None


async def paid(db: Connection | Database, document_id: UUID, micro: int) -> None:
    await db.execute("UPDATE retrieval.document SET paid_micro = paid_micro + $2 WHERE id = $1", document_id, micro)


async def later(db: Connection | Database, one: Document, at: datetime) -> None:
    await db.execute(
        """UPDATE retrieval.document SET state = 'waiting', worker = '', seen_at = $3 WHERE id = $1 AND blob = $2""",
        one.id, one.blob, at,
    )  # fmt: skip


async def fail(db: Connection | Database, one: Document, error: dict[str, Any]) -> None:
    await db.execute(
        """UPDATE retrieval.document SET state = 'failed', worker = '', error = $3 WHERE id = $1 AND blob = $2""",
        one.id, one.blob, error,
    )  # fmt: skip


async def known(db: Connection | Database, document_id: UUID) -> dict[bytes, Any]:
    """Passages of a document by the hash of what was read: vectors and edits that need not be made again."""
    rows = await db.fetch(
        """SELECT source, heading, text, words::text AS words, length, vector::text AS vector, sealed, edited_by,
                  edited_at
             FROM retrieval.chunk WHERE document_id = $1""",
        document_id,
    )
    return {row["source"]: row for row in rows}


async def embedded(db: Connection | Database, document_id: UUID) -> dict[bytes, tuple[str | None, str]]:
    """Vectors that were paid for in a run that did not come to its end."""
    rows = await db.fetch(
        "SELECT source, vector::text AS vector, sealed FROM retrieval.embedded WHERE document_id = $1", document_id
    )
    return {row["source"]: (row["vector"], row["sealed"]) for row in rows}


async def keep_embedded(
    db: Connection | Database, document_id: UUID, rows: Sequence[tuple[bytes, str | None, str]]
) -> None:  # fmt: skip
    await db.execute(
        """INSERT INTO retrieval.embedded (document_id, source, vector, sealed)
           SELECT $1, s, v::vector, e FROM unnest($2::bytea[], $3::text[], $4::text[]) x(s, v, e)
               ON CONFLICT DO NOTHING""",
        document_id, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows],
    )  # fmt: skip


async def replace(
    conn: Connection, one: Document, kind: str, pages: int, rows: Sequence[tuple[Any, ...]], cut: str, now: datetime
) -> bool:
    """All passages of a document at once; False when its file has been replaced or deleted meanwhile."""
    done = await conn.fetchval(
        """UPDATE retrieval.document SET state = 'ready', worker = '', format = $3, pages = $4, done = $5, total = $5,
                  indexed_at = $6, error = NULL, cut = $7
            WHERE id = $1 AND blob = $2 RETURNING id""",
        one.id, one.blob, kind, pages, len(rows), now, cut,
    )  # fmt: skip
    if done is None:
        return False
    await conn.execute("DELETE FROM retrieval.chunk WHERE document_id = $1", one.id)
    await conn.execute("DELETE FROM retrieval.embedded WHERE document_id = $1", one.id)
    await conn.executemany(
        """INSERT INTO retrieval.chunk (id, base_id, document_id, n, page, box, place, heading, text, source, words,
                                        length, vector, sealed, edited_by, edited_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::tsvector, $12, $13::text::vector, $14, $15,
                   $16)""",
        rows,
    )
    return True


# -- passages -------------------------------------------------------------------------------------------------------


async def chunks(db: Connection | Database, document_id: UUID, first: int, most: int) -> list[Chunk]:
    rows = await db.fetch(
        """SELECT *, (vector IS NOT NULL OR sealed <> '') AS has_vector FROM retrieval.chunk
            WHERE document_id = $1 AND n >= $2 ORDER BY n LIMIT $3""",
        document_id, first, min(most, PAGE_MAX),
    )  # fmt: skip
    return [_of(Chunk, row) for row in rows]


async def chunk(db: Connection | Database, base_id: UUID, chunk_id: UUID) -> Chunk | None:
    row = await db.fetchrow(
        """SELECT *, (vector IS NOT NULL OR sealed <> '') AS has_vector FROM retrieval.chunk
            WHERE base_id = $1 AND id = $2""",
        base_id, chunk_id,
    )  # fmt: skip
    return None if row is None else _of(Chunk, row)


async def edit_chunk(
    db: Connection | Database, chunk_id: UUID, *, text: str, words: str, length: int, vector: str | None, sealed: str,
    by: str, now: datetime,
) -> None:  # fmt: skip
    await db.execute(
        """UPDATE retrieval.chunk SET text = $2, words = $3::text::tsvector, length = $4, vector = $5::text::vector,
                  sealed = $6, edited_by = $7, edited_at = $8 WHERE id = $1""",
        chunk_id, text, words, length, vector, sealed, by, now,
    )  # fmt: skip


async def by_words(
    db: Connection | Database, asking: Asking, base_ids: Sequence[UUID], tokens: Sequence[str], most: int
) -> list[Any]:
    return await db.fetch(
        "SELECT * FROM retrieval.by_words($1, $2, $3, $4, $5)", asking.org_id, asking.person_id, list(base_ids),
        list(tokens), most,
    )  # fmt: skip


async def by_meaning(
    db: Connection | Database, asking: Asking, base_ids: Sequence[UUID], asked: str, most: int
) -> list[Any]:
    return await db.fetch(
        "SELECT * FROM retrieval.by_meaning($1, $2, $3, $4::text::vector, $5)", asking.org_id, asking.person_id,
        list(base_ids), asked, most,
    )  # fmt: skip


async def sealed_vectors(db: Connection | Database, asking: Asking, base_ids: Sequence[UUID], most: int) -> list[Any]:
    return await db.fetch(
        "SELECT * FROM retrieval.sealed_vectors($1, $2, $3, $4)", asking.org_id, asking.person_id, list(base_ids), most
    )


async def passages(db: Connection | Database, asking: Asking, wanted: Sequence[UUID]) -> list[Any]:
    return await db.fetch("SELECT * FROM retrieval.passages($1, $2, $3)", asking.org_id, asking.person_id, list(wanted))


# -- evaluation -----------------------------------------------------------------------------------------------------


async def questions(db: Connection | Database, base_id: UUID) -> list[Question]:
    rows = await db.fetch("SELECT * FROM retrieval.question WHERE base_id = $1 ORDER BY n", base_id)
    return [_of(Question, row) for row in rows]


async def set_questions(conn: Connection, base_id: UUID, rows: Sequence[tuple[UUID, Question]]) -> None:
    await conn.execute("DELETE FROM retrieval.question WHERE base_id = $1", base_id)
    await conn.executemany(
        "INSERT INTO retrieval.question (id, base_id, n, asked, document, contains) VALUES ($1, $2, $3, $4, $5, $6)",
        [(made, base_id, n, one.asked, one.document, one.contains) for n, (made, one) in enumerate(rows, 1)],
    )


async def add_evaluation(db: Connection | Database, one: Evaluation) -> None:
    await db.execute(
        """INSERT INTO retrieval.evaluation (id, base_id, asked, answerable, found_bps, cited_bps, declined_bps, result,
                                             paid_micro, by, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        one.id, one.base_id, one.asked, one.answerable, one.found_bps, one.cited_bps, one.declined_bps, one.result,
        one.paid_micro, one.by, one.at,
    )  # fmt: skip


async def evaluations(db: Connection | Database, base_id: UUID, most: int = 20) -> list[Evaluation]:
    rows = await db.fetch(
        "SELECT * FROM retrieval.evaluation WHERE base_id = $1 ORDER BY at DESC LIMIT $2", base_id, most
    )
    return [msgspec.structs.replace(_of(Evaluation, row)) for row in rows]
