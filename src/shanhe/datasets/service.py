"""Data sets of organisations: importing, cleaning, reading, deleting, and who was trained on what."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.datasets import cleaning, pairs, reading, store
from shanhe.datasets.errors import (
    NameTaken,
    NothingLeft,
    PersonalDataInside,
    RowsForgotten,
    TooManyDatasets,
    UnknownDataset,
)
from shanhe.datasets.model import (
    CONSENTS,
    FORMS,
    Cleaning,
    Dataset,
    Row,
    Use,
    Version,
    content_hash,
    in_form,
    packed,
    unpacked,
)
from shanhe.kernel.blobs import Blobs, Shared
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.paging import every
from shanhe.kernel.sealing import MAGIC, Seal, Seals

DATASETS_MAX: Final = 200
NAME_MAX, LICENCE_MAX, NOTE_MAX = 80, 80, 500
PREVIEW_MAX: Final = 200
CHARS_BOUND: Final = 100_000
ROWS_FIELD: Final = "datasets.rows"
RESEAL_MAX: Final = 200
SEALED_TEXTS: Final = ("name", "licence", "note")


class NewDataset(msgspec.Struct, frozen=True):
    """What must be said when data is brought in."""

    name: str
    form: str
    licence: str
    consent: str
    note: str = ""


SharedWith = Callable[[UUID], Awaitable[frozenset[UUID]]]


class Datasets:
    """Data sets; rows lie in `folder` (or `shared`), the rest in the database. What is a person's is sealed in both."""

    def __init__(
        self, db: Database, clock: Clock, *, folder: Path, shared: Shared | None = None, seals: Seals | None = None
    ) -> None:
        self.shared: SharedWith | None = None
        """Data sets of others that an organisation may read, if there are alliances."""
        self._db = db
        self._seals = seals or Seals()
        self._clock = clock
        self._blobs = Blobs(folder, shared)

    # -- bringing in and cleaning -------------------------------------------------------------------------------------

    async def bring(self, org_id: UUID, new: NewDataset, file_name: str, data: bytes, *, by: str) -> Version:
        """Import a file as a data set, or as the next version of the one with this name. The same rows again are the
        same version. UnreadableFile, WrongColumns, NameTaken (another form), TooManyDatasets."""
        new = checked(new)
        rows = await _rows_of(new.form, file_name, data)
        recipe = {
            "step": "import", "file": file_name[:200], "sha256": hashlib.sha256(data).hexdigest(),
            "licence": new.licence, "consent": new.consent,
        }  # fmt: skip
        body, report = await asyncio.to_thread(_described, rows)
        now, seal = self._clock.now(), await self._seals.of(org_id)
        async with self._db.transaction() as conn:
            await store.lock_org(conn, org_id)
            known = await self._called(conn, org_id, new.name)
            if known is None:
                if await store.count(conn, org_id) >= DATASETS_MAX:
                    raise TooManyDatasets(DATASETS_MAX)
                known = Dataset(new_id(), org_id, new.name, new.form, new.licence, new.consent, new.note, by, now)
                await store.insert_dataset(conn, _sealed(seal, known))
            elif (known.form, known.licence, known.consent) != (new.form, new.licence, new.consent):
                raise NameTaken(new.name)
            return await self._keep(conn, seal, known.id, None, body, report, recipe, by, now)

    async def clean(self, version_id: UUID, org_id: UUID | None, wishes: Cleaning, *, by: str) -> Version:
        """A new version without what the wishes drop; NothingLeft. The same wishes again give the same version."""
        dataset, version = await self.version(version_id, org_id)
        checked_wishes(wishes)
        rows = await self._rows(version)
        kept, done = await asyncio.to_thread(cleaning.clean, rows, wishes)
        if not kept:
            raise NothingLeft()
        body, report = await asyncio.to_thread(_described, kept)
        recipe = {"step": "clean", "wishes": msgspec.to_builtins(wishes), **done}
        seal = await self._seals.of(dataset.org_id)
        async with self._db.transaction() as conn:
            await store.lock_org(conn, dataset.org_id)
            return await self._keep(conn, seal, dataset.id, version.id, body, report, recipe, by, self._clock.now())

    async def _keep(
        self, conn: Any, seal: Seal, dataset_id: UUID, parent: UUID | None, body: bytes, report: dict[str, Any],
        recipe: dict[str, Any], by: str, now: datetime,
    ) -> Version:  # fmt: skip
        wanted = Version(
            new_id(), dataset_id, 0, parent, content_hash(body), report["rows"], len(body), report["personal_count"],
            seal.json("datasets.recipe", recipe), seal.json("datasets.report", report), by, now,
        )  # fmt: skip
        kept = await store.insert_version(conn, wanted)
        if kept.id == wanted.id or kept.forgotten_at is not None:
            await asyncio.to_thread(self._blobs.put, kept.id, seal.pieces(ROWS_FIELD, (body,)))
            await store.remember(conn, kept.id)
        return _opened_version(seal, msgspec.structs.replace(kept, forgotten_at=None))

    # -- reading ------------------------------------------------------------------------------------------------------

    async def datasets(self, org_id: UUID | None, *, most: int = store.PAGE_MAX) -> list[Dataset]:
        """An organisation's, the newest first; None = everybody's."""
        found = await store.datasets(self._db, org_id, most)
        seals = await self._seals.of_all(one.org_id for one in found)
        return [_opened(seals[one.org_id], one) for one in found]

    async def dataset(self, name: str, org_id: UUID | None) -> Dataset:
        """By id, or by name within an organisation."""
        try:
            found = await store.dataset(self._db, UUID(name), org_id)
        except ValueError:
            found = None if org_id is None else await self._called(self._db, org_id, name)
        if found is None:
            raise UnknownDataset(name)
        return await self._opened(found)

    async def _called(self, db: Any, org_id: UUID, name: str) -> Dataset | None:
        """By name: a sealed name can't be looked for, so a person's are opened one by one."""
        if not await self._seals.personal(org_id):
            return await store.called(db, org_id, name)
        seal = await self._seals.of(org_id)
        opened = (_opened(seal, one) for one in await store.datasets(db, org_id))
        return next((one for one in opened if one.name == name), None)

    async def _opened(self, dataset: Dataset) -> Dataset:
        return _opened(await self._seals.of(dataset.org_id), dataset)

    async def versions(self, dataset: Dataset, *, most: int = store.PAGE_MAX) -> list[Version]:
        """The newest of a data set's, by number."""
        seal = await self._seals.of(dataset.org_id)
        newest = await store.versions(self._db, dataset.id, most)
        return [_opened_version(seal, one) for one in reversed(newest)]

    async def newest(self, datasets: Sequence[Dataset]) -> dict[UUID, Version]:
        """The newest version of each that has one; one question."""
        org_of = {one.id: one.org_id for one in datasets}
        seals = await self._seals.of_all(org_of.values())
        return {
            one.dataset_id: _opened_version(seals[org_of[one.dataset_id]], one)
            for one in await store.newest(self._db, list(org_of))
        }

    async def version(self, version_id: UUID, org_id: UUID | None) -> tuple[Dataset, Version]:
        version = await store.version(self._db, version_id)
        dataset = None if version is None else await store.dataset(self._db, version.dataset_id, org_id)
        if version is None or dataset is None:
            raise UnknownDataset(str(version_id))
        seal = await self._seals.of(dataset.org_id)
        return _opened(seal, dataset), _opened_version(seal, version)

    async def readable(self, version_id: UUID, org_id: UUID | None) -> tuple[Dataset, Version]:
        """One's own version, or one of a data set that an ally shares: to read and to learn from, never to change, and
        only where no personal data was found."""
        if org_id is not None and self.shared is not None:
            version = await store.version(self._db, version_id)
            if version is not None and not version.personal and version.dataset_id in await self.shared(org_id):
                return await self.version(version_id, None)
        return await self.version(version_id, org_id)

    async def shared_with(self, org_id: UUID) -> list[Dataset]:
        """Data sets that allies share with an organisation."""
        found = sorted(await self.shared(org_id)) if self.shared is not None else []
        sets = [await store.dataset(self._db, one, None) for one in found]
        return [await self._opened(one) for one in sets if one is not None]

    async def preview(self, version: Version, first: int = 0, most: int = 20) -> list[Row]:
        """Some rows, from the one numbered `first` (0 = the first)."""
        rows = await self._rows(version)
        return rows[first : first + min(most, PREVIEW_MAX)]

    async def body(self, version: Version) -> bytes:
        """All rows as JSONL; RowsForgotten."""
        if version.forgotten_at is not None:
            raise RowsForgotten()
        dataset = await store.dataset(self._db, version.dataset_id, None)
        if dataset is None:
            raise UnknownDataset(str(version.dataset_id))
        seal = await self._seals.of(dataset.org_id)
        return await asyncio.to_thread(seal.part, ROWS_FIELD, lambda at, size: self._blobs.read(version.id, at, size))

    async def _rows(self, version: Version) -> list[Row]:
        return await asyncio.to_thread(unpacked, await self.body(version))

    # -- learning -----------------------------------------------------------------------------------------------------

    async def lessons(
        self, version_id: UUID, org_id: UUID | None, *, held_bps: int = 1_000
    ) -> tuple[list[pairs.Pair], list[pairs.Pair]]:
        """(pairs to train on, pairs to evaluate with); PersonalDataInside where training would need consent."""
        dataset, version = await self.readable(version_id, org_id)
        if version.personal and dataset.consent != "consent":
            raise PersonalDataInside(version.personal)
        learnt, held = pairs.split(dataset.form, await self._rows(version), held_bps)
        return pairs.training(dataset.form, learnt), pairs.evaluation(dataset.form, held)

    async def used(self, version_id: UUID, purpose: str, ref: str, name: str) -> None:
        """Note that something was trained on a version or evaluated with it; idempotent."""
        await store.add_use(self._db, Use(version_id, purpose, ref, name, self._clock.now()))

    async def uses(self, dataset: Dataset) -> Sequence[Use]:
        """Where a data set went."""
        return await store.uses(self._db, dataset.id)

    # -- deleting -----------------------------------------------------------------------------------------------------

    async def forget(self, version_id: UUID, org_id: UUID | None) -> Version:
        """Delete a version's rows for good; hash, report and lineage stay."""
        dataset, version = await self.version(version_id, org_id)
        async with self._db.transaction() as conn:
            await store.lock_org(conn, dataset.org_id)
            await store.forget(conn, version.id, self._clock.now())
        await asyncio.to_thread(self._blobs.delete, version.id)
        return (await self.version(version_id, org_id))[1]

    async def reseal(self) -> int:
        """Seal rows of people that were kept before they were sealed; how many versions. Again it finds nothing."""
        done = 0
        for one in await store.unsealed_versions(self._db, RESEAL_MAX):
            seal = await self._seals.of(one["org_id"])
            if seal.personal and one["forgotten_at"] is None:
                body = await asyncio.to_thread(self._blobs.read, one["id"])
                if not body.startswith(MAGIC):
                    await asyncio.to_thread(self._blobs.put, one["id"], seal.pieces(ROWS_FIELD, (body,)))
                    done += 1
            await store.note_sealed(self._db, one["id"])
        return done

    async def forget_all(self, org_id: UUID) -> int:
        """Delete everything of somebody who is no longer there; how many data sets."""
        gone = 0
        while found := await store.datasets(self._db, org_id):  # what is archived is on the list no more
            for one in found:
                await self.archive(one)
            gone += len(found)
        return gone

    async def archive(self, dataset: Dataset) -> None:
        """Delete all of a data set's rows and take it off the list; its name is free again."""
        async for version in every(partial(store.versions, self._db, dataset.id), attrgetter("number")):
            await self.forget(version.id, dataset.org_id)
        async with self._db.transaction() as conn:
            await store.archive(conn, dataset.id, self._clock.now())


def _sealed(seal: Seal, one: Dataset) -> Dataset:
    return msgspec.structs.replace(
        one, **{name: seal.text(f"datasets.{name}", getattr(one, name)) for name in SEALED_TEXTS}
    )


def _opened(seal: Seal, one: Dataset) -> Dataset:
    return msgspec.structs.replace(
        one, **{name: seal.open(f"datasets.{name}", getattr(one, name)) for name in SEALED_TEXTS}
    )


def _opened_version(seal: Seal, one: Version) -> Version:
    return msgspec.structs.replace(
        one, recipe=seal.open_json("datasets.recipe", one.recipe, {}),
        report=seal.open_json("datasets.report", one.report, {}),
    )  # fmt: skip


async def _rows_of(form: str, file_name: str, data: bytes) -> list[Row]:
    columns, rows = await reading.read(file_name, data)
    found = await asyncio.to_thread(in_form, form, columns, rows)
    if not found:
        raise NothingLeft()
    return found


def _described(rows: Sequence[Row]) -> tuple[bytes, dict[str, Any]]:
    return packed(rows), cleaning.report(rows)


def checked(new: NewDataset) -> NewDataset:
    """The same, trimmed; Invalid names what is missing."""
    name, licence, note = new.name.strip(), new.licence.strip(), new.note.strip()
    wrong = ""
    if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
        wrong = f"a name of 1 to {NAME_MAX} signs"
    elif not 1 <= len(licence) <= LICENCE_MAX:
        wrong = f"a licence of 1 to {LICENCE_MAX} signs"
    elif new.form not in FORMS:
        wrong = f"a form: {', '.join(FORMS)}"
    elif new.consent not in CONSENTS:
        wrong = f"why it may be used: {', '.join(CONSENTS)}"
    elif len(note) > NOTE_MAX:
        wrong = f"a note of at most {NOTE_MAX} signs"
    if wrong:
        raise Invalid(
            "incomplete_dataset", f"A data set needs {wrong}.", message_zh=f"数据集缺少必填信息或不合要求：{wrong}。",
            hint="Say name, form, licence and consent.", hint_zh="请填写名称、类型、许可与使用依据。",
        )  # fmt: skip
    return NewDataset(name, new.form, licence, new.consent, note)


def checked_wishes(wishes: Cleaning) -> None:
    good = (
        wishes.personal in cleaning.PERSONAL
        and 0 <= wishes.similar_bps <= 10_000
        and 0 <= wishes.chars_min <= wishes.chars_max <= CHARS_BOUND
        and set(wishes.languages) <= set(cleaning.LANGUAGES)
    )
    if not good:
        raise Invalid(
            "bad_cleaning", "These wishes for cleaning are out of range.", message_zh="清洗条件超出范围。",
            hint="personal: mask, drop, keep; similar_bps 0-10000; languages zh, en, ja, ko, other.",
            hint_zh="personal 取 mask、drop、keep；similar_bps 为 0–10000；languages 取 zh、en、ja、ko、other。",
        )  # fmt: skip
