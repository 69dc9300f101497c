"""Files and batches of organisations: keeping, ordering, cancelling, and writing results."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

import msgspec

from shanhe.batches import store
from shanhe.batches.errors import (
    BadBatch,
    BadUpload,
    BatchEnded,
    FileInUse,
    TooManyBatches,
    TooManyFiles,
    UnknownBatch,
    UnknownFile,
)
from shanhe.batches.model import (
    ENDPOINTS,
    PURPOSES,
    WINDOW,
    Batch,
    File,
    Line,
    answer_line,
    dropped_line,
    read_requests,
)
from shanhe.kernel.asking import Parameter
from shanhe.kernel.blobs import Blobs, Shared
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal, Seals

FILES_MAX: Final = 500
KEPT_MAX_BYTES: Final = 1024 * 1024 * 1024
FILE_MAX_BYTES: Final = 15 * 1024 * 1024
OPEN_MAX: Final = 20
"""Most open batches of one organisation."""
PAGE_MAX: Final = 100
METADATA_MAX: Final = 16
KEY_MAX, VALUE_MAX = 64, 512
EXPIRY_MIN: Final = timedelta(hours=1)
REQUEST_KEY_MAX: Final = 255
CONTENT_FIELD: Final = "batches.content"
METADATA_FIELD: Final = "batches.metadata"


class Batches:
    """Files and batches. Contents lie in `folder` (or `shared`), rows in the database; what is a person's is sealed."""

    def __init__(
        self, db: Database, clock: Clock, *, folder: Path, parameter: Parameter, shared: Shared | None = None,
        seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self._seals = seals or Seals()
        self._clock = clock
        self._parameter = parameter
        self.blobs = Blobs(folder, shared)

    # -- files --------------------------------------------------------------------------------------------------------

    async def keep(
        self, org_id: UUID, name: str, purpose: str, data: bytes, *, by: str, lasts: timedelta | None = None,
        request_key: str | None = None,
    ) -> File:  # fmt: skip
        """Keep a file of an organisation, once for each `request_key`; BadUpload, TooManyFiles."""
        if purpose not in PURPOSES:
            raise BadUpload(f"its purpose is none of {', '.join(PURPOSES)}", f"purpose 须为 {'、'.join(PURPOSES)}")
        if not data:
            raise BadUpload("it is empty", "内容为空")
        if len(data) > FILE_MAX_BYTES:
            raise BadUpload(f"it is larger than {FILE_MAX_BYTES} bytes", f"超过 {FILE_MAX_BYTES} 字节")
        seal = await self._seals.of(org_id)
        now, most = self._clock.now(), timedelta(days=int(self._parameter("file_days", self._clock.today())))
        if lasts is not None and not EXPIRY_MIN <= lasts <= most:
            days = most.days
            raise BadUpload(f"it can be kept from one hour to {days} days", f"保存时间须在 1 小时至 {days} 天之间")
        shown = "".join(sign for sign in name[:200] if sign.isprintable()) or "file"
        file_id = new_id() if request_key is None else uuid5(org_id, f"file {request_key}")
        digest = hashlib.sha256(data).digest()
        found = File(file_id, org_id, purpose, shown, len(data), digest, by, now, now + (lasts or most))
        async with self._db.transaction() as conn:
            await store.lock_org(conn, org_id)
            if request_key is not None and (known := await store.file(conn, file_id, org_id, ever=True)) is not None:
                return _opened(seal, known)
            files, kept = await store.kept(conn, org_id)
            if files >= FILES_MAX or kept + len(data) > KEPT_MAX_BYTES:
                raise TooManyFiles(f"{FILES_MAX}, {KEPT_MAX_BYTES} bytes")
            await self.put(seal, found.id, (data,))
            await store.insert_file(conn, _sealed(seal, found))
        return found

    async def file(self, file_id: UUID, org_id: UUID | None) -> File:
        found = await store.file(self._db, file_id, org_id)
        if found is None or found.expires_at <= self._clock.now():
            raise UnknownFile(f"file-{file_id.hex}")
        return _opened(await self._seals.of(found.org_id), found)

    async def files(
        self, org_id: UUID, *, purpose: str | None = None, after: UUID | None = None, limit: int = 100,
        newest: bool = True,
    ) -> tuple[list[File], bool]:  # fmt: skip
        """A page of files and whether there are more."""
        limit = max(1, min(limit, PAGE_MAX))
        found = await store.files(self._db, org_id, purpose, after, limit + 1, newest=newest)
        seal = await self._seals.of(org_id)
        return [_opened(seal, one) for one in found[:limit]], len(found) > limit

    async def content(self, file_id: UUID, org_id: UUID | None) -> bytes:
        found = await self.file(file_id, org_id)
        return await self.read(await self._seals.of(found.org_id), found.id)

    async def put(self, seal: Seal, blob: UUID, pieces: Sequence[bytes]) -> None:
        """Keep bytes of a party."""
        await asyncio.to_thread(self.blobs.put, blob, seal.pieces(CONTENT_FIELD, pieces))

    async def read(self, seal: Seal, blob: UUID, start: int = 0, length: int = -1) -> bytes:
        """Bytes of a party, or a part of them."""
        return await asyncio.to_thread(self._plain, seal, blob, start, length)

    def _plain(self, seal: Seal, blob: UUID, start: int = 0, length: int = -1) -> bytes:
        return seal.part(CONTENT_FIELD, lambda at, size: self.blobs.read(blob, at, size), start, length)

    async def seal_of(self, org_id: UUID) -> Seal:
        """The seal of who orders, for one piece of work."""
        return await self._seals.of(org_id)

    async def delete_file(self, file_id: UUID, org_id: UUID | None) -> File:
        """The bytes are gone on return; FileInUse while an open batch reads them."""
        found = await self.file(file_id, org_id)
        await self._forget(file_id, found.org_id)
        return found

    async def _forget(self, file_id: UUID, org_id: UUID) -> None:
        async with self._db.transaction() as conn:
            await store.lock_org(conn, org_id)
            if await store.in_use(conn, file_id):
                raise FileInUse()
            await store.forget_file(conn, file_id, self._clock.now())
        await self._drop_bytes(file_id)

    async def _drop_bytes(self, file_id: UUID) -> None:
        await asyncio.to_thread(self.blobs.delete, file_id)
        await store.bytes_are_gone(self._db, file_id, self._clock.now())

    async def forget_all(self, org_id: UUID) -> int:
        """Delete the files of somebody who is no longer there; how many. One that an open batch reads goes later."""
        gone, after = 0, None
        while page := await store.files(self._db, org_id, None, after, PAGE_MAX, newest=True):
            for one in page:
                with contextlib.suppress(FileInUse):
                    await self.delete_file(one.id, org_id)
                    gone += 1
            after = page[-1].id
        return gone

    # -- batches ------------------------------------------------------------------------------------------------------

    async def create(
        self, org_id: UUID, key_id: UUID, *, input_file: UUID, endpoint: str, window: str,
        allowed: Callable[[str], bool], metadata: dict[str, str] | None = None, request_key: str | None = None,
    ) -> Batch:  # fmt: skip
        """Order a batch; the same `request_key` again gives the same batch. A file with mistakes makes a batch that has
        failed and says which; BadBatch, UnknownFile, TooManyBatches for orders that make none."""
        checked(endpoint, window, metadata, request_key)
        found = await self.file(input_file, org_id)
        if found.purpose != "batch":
            raise BadBatch("invalid_file_purpose", "the file's purpose is not batch", "文件用途不是 batch")
        seal = await self._seals.of(org_id)
        data = await self.read(seal, found.id)
        wanted, wrong = await asyncio.to_thread(read_requests, data, endpoint, allowed)
        now = self._clock.now()
        hours = int(self._parameter("window_hours", self._clock.today()))
        batch = Batch(
            id=new_id(), org_id=org_id, key_id=key_id, endpoint=endpoint, input_file=found.id, output_file=None,
            error_file=None, state="failed" if wrong else "in_progress", metadata=metadata,
            errors=msgspec.to_builtins(wrong) if wrong else None, total=0 if wrong else len(wanted), made_at=now,
            expires_at=now + timedelta(hours=hours), finalizing_at=None, cancelling_at=None,
            ended_at=now if wrong else None,
        )  # fmt: skip
        async with self._db.transaction() as conn:
            await store.lock_org(conn, org_id)
            if request_key is not None and (known := await store.batch_by_key(conn, org_id, request_key)) is not None:
                return _opened_batch(seal, known)
            if await store.open_count(conn, org_id) >= OPEN_MAX:
                raise TooManyBatches(OPEN_MAX)
            if await store.file(conn, found.id, org_id) is None:
                raise UnknownFile(found.public)
            lines = [
                msgspec.structs.replace(line, custom_id=seal.text("batches.line.custom_id", line.custom_id))
                for line in ([] if wrong else wanted)
            ]
            await store.insert_batch(conn, _sealed_batch(seal, batch), request_key, lines)
        return batch

    async def batch(self, batch_id: UUID, org_id: UUID | None) -> Batch:
        found = await store.batch(self._db, batch_id, org_id)
        if found is None:
            raise UnknownBatch(f"batch_{batch_id.hex}")
        return _opened_batch(await self._seals.of(found.org_id), found)

    async def batches(
        self, org_id: UUID | None, *, after: UUID | None = None, limit: int = 20
    ) -> tuple[list[Batch], bool]:
        """A page, the newest first, and whether there are more; None = of every organisation."""
        limit = max(1, min(limit, PAGE_MAX))
        found = await store.batches(self._db, org_id, after, limit + 1)
        shown = [_opened_batch(await self._seals.of(one.org_id), one) for one in found[:limit]]
        return shown, len(found) > limit

    async def cancel(self, batch_id: UUID, org_id: UUID | None) -> Batch:
        """Run nothing more; what runs is finished, charged and delivered. Again = the same; BatchEnded."""
        found = await self.batch(batch_id, org_id)
        if found.state not in ("in_progress", "cancelling"):
            raise BatchEnded(found.state)
        async with self._db.transaction() as conn:
            await store.cancel(conn, batch_id, self._clock.now())
        return await self.batch(batch_id, org_id)

    # -- what repeats -------------------------------------------------------------------------------------------------

    async def tick(self) -> int:
        """Drop what came too late, write the results of batches that are through, forget old files and the bytes that a
        crash has left of what was deleted."""
        now = self._clock.now()
        await store.expire(self._db, now)
        finished = await store.finished(self._db)
        for batch in finished:
            await self._finish(batch, now)
        expired = await store.expired_files(self._db, now)
        for file_id, org_id in expired:
            with contextlib.suppress(FileInUse):  # ordered in that moment
                await self._forget(file_id, org_id)
        for file_id in await store.bytes_to_go(self._db):
            await self._drop_bytes(file_id)
        for batch_id in await store.answers_to_go(self._db):
            await self._forget_answers(batch_id, await self._lines(batch_id))
        return len(finished) + len(expired)

    async def _lines(self, batch_id: UUID) -> list[Line]:
        lines = list[Line]()
        while page := await store.lines(self._db, batch_id, lines[-1].at if lines else -1):
            lines += page
        return lines

    async def _finish(self, batch: Batch, now: datetime) -> None:
        """Write output and errors under ids that the batch determines, so that a crash in between does no harm."""
        await store.finalizing(self._db, batch.id, now)
        seal, lines = await self._seals.of(batch.org_id), await self._lines(batch.id)
        good = [line for line in lines if line.state == "done"]
        dropped = any(line.state == "dropped" for line in lines)
        state = "cancelled" if batch.cancelling_at is not None else "expired" if dropped else "completed"
        bad = [line for line in lines if line.state in ("failed", "dropped")]
        output = await self._result(batch, "output", seal, self._answers(seal, good, state), now) if good else None
        errors = await self._result(batch, "error", seal, self._answers(seal, bad, state), now) if bad else None
        async with self._db.transaction() as conn:
            for one in (output, errors):
                if one is not None:
                    await store.insert_file(conn, _sealed(seal, one))
            await store.end(conn, batch.id, state, output.id if output else None, errors.id if errors else None, now)
        for one in (output, errors):
            if one is not None and await store.file(self._db, one.id, None) is None:
                await self._drop_bytes(one.id)  # it was written twice, and deleted in between
        await self._forget_answers(batch.id, lines)

    def _answers(self, seal: Seal, lines: list[Line], state: str) -> Iterator[bytes]:
        for stored in lines:
            named = seal.open("batches.line.custom_id", stored.custom_id)
            line = msgspec.structs.replace(stored, custom_id=named)
            if line.receipt_id is None or line.state == "dropped":
                yield dropped_line(line, state)
            else:
                yield answer_line(line, self._plain(seal, line.receipt_id))

    async def _result(self, batch: Batch, kind: str, seal: Seal, pieces: Iterator[bytes], now: datetime) -> File:
        file_id, counted = uuid5(batch.id, kind), Counted(pieces)
        await asyncio.to_thread(self.blobs.put, file_id, seal.pieces(CONTENT_FIELD, counted))
        lasts = timedelta(days=int(self._parameter("file_days", self._clock.today())))
        name = f"{batch.public}_{kind}.jsonl"
        return File(
            file_id, batch.org_id, "batch_output", name, counted.size_bytes, counted.sha256, "system", now, now + lasts
        )

    async def _forget_answers(self, batch_id: UUID, lines: list[Line]) -> None:
        kept = [line.receipt_id for line in lines if line.receipt_id is not None]
        await asyncio.to_thread(lambda: [self.blobs.delete(one) for one in kept])
        await store.answers_are_gone(self._db, batch_id, self._clock.now())


class Counted:
    """Bytes as they pass: how many, and their hash, before they are sealed."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._digest.update(piece)
            self.size_bytes += len(piece)
            yield piece

    @property
    def sha256(self) -> bytes:
        return self._digest.digest()


def _sealed(seal: Seal, file: File) -> File:
    return msgspec.structs.replace(file, name=seal.text("batches.file.name", file.name))


def _opened(seal: Seal, file: File) -> File:
    return msgspec.structs.replace(file, name=seal.open("batches.file.name", file.name))


def _sealed_batch(seal: Seal, batch: Batch) -> Batch:
    return msgspec.structs.replace(
        batch, metadata=seal.json(METADATA_FIELD, batch.metadata), errors=seal.json("batches.errors", batch.errors)
    )


def opened_metadata(seal: Seal, kept: dict[str, str] | None) -> dict[str, str] | None:
    """What a batch's owner wrote on it."""
    found: dict[str, str] | None = seal.open_json(METADATA_FIELD, kept)
    return found


def _opened_batch(seal: Seal, batch: Batch) -> Batch:
    return msgspec.structs.replace(
        batch, metadata=opened_metadata(seal, batch.metadata),
        errors=seal.open_json("batches.errors", batch.errors),
    )  # fmt: skip


def checked(endpoint: str, window: str, metadata: dict[str, str] | None, request_key: str | None) -> None:
    """BadBatch for an order that no file could make good."""
    if endpoint not in ENDPOINTS:
        names = ", ".join(ENDPOINTS)
        raise BadBatch("invalid_endpoint", f"the endpoint is none of {names}", f"endpoint 须为 {names}")
    if window != WINDOW:
        raise BadBatch("invalid_window", f"completion_window is {WINDOW}", f"completion_window 须为 {WINDOW}")
    given = metadata or {}
    if len(given) > METADATA_MAX or any(len(key) > KEY_MAX or len(value) > VALUE_MAX for key, value in given.items()):
        raise BadBatch(
            "invalid_metadata", f"metadata has at most {METADATA_MAX} pairs of {KEY_MAX} and {VALUE_MAX} signs",
            f"metadata 最多 {METADATA_MAX} 项，键不超过 {KEY_MAX} 字、值不超过 {VALUE_MAX} 字",
        )  # fmt: skip
    if request_key is not None and not 1 <= len(request_key) <= REQUEST_KEY_MAX:
        raise BadBatch(
            "invalid_idempotency_key", f"an idempotency key has 1 to {REQUEST_KEY_MAX} signs",
            f"幂等键长度须为 1 至 {REQUEST_KEY_MAX}",
        )  # fmt: skip
