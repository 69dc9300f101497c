"""Bytes that one machine takes, and another gives back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.kernel import blobs
from shanhe.kernel.blobs import Blobs, Shared
from shanhe.kernel.db import Database
from shanhe.kernel.errors import NotFound
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import Vault
from shanhe.settings import Settings
from shanhe.sharing import FILES, alone, share

PIECE_BYTES = 7
DATA = bytes(range(20))


@pytest.fixture
async def shared(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shared]:
    monkeypatch.setattr(blobs, "PIECE_BYTES", PIECE_BYTES)
    made = Shared(database.dsn)
    yield made
    await made.close()


class TestSharedBlob:
    async def test_is_read_on_another_machine_in_any_part(self, shared: Shared, tmp_path: Path) -> None:
        here, there, blob = Blobs(tmp_path / "here", shared), Blobs(tmp_path / "there", shared), new_id()

        def look() -> None:
            stored = here.put(blob, (DATA[:3], DATA[3:]))
            assert stored.size_bytes == len(DATA)
            assert there.read(blob) == DATA
            for start in (0, 6, 7, 8, 13, 14, 19, 20, 35):
                assert there.read(blob, start) == DATA[start:]
                for length in (0, 1, 6, 7, 8, 14, 30):
                    assert there.read(blob, start, length) == DATA[start : start + length]
            here.put(blob, (b"",))
            assert there.read(blob) == b""
            here.put(blob, (DATA[:9],))
            assert there.read(blob) == DATA[:9]
            assert there.delete(blob)
            assert not here.delete(blob)
            with pytest.raises(NotFound):
                here.read(blob)
            assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

        await asyncio.to_thread(look)

    async def test_of_a_person_is_sealed(self, shared: Shared, database: Database, tmp_path: Path) -> None:
        org, person, vault = uuid4(), uuid4(), Vault(tmp_path / "keys")
        vault.create(person)

        async def people_of(_: object) -> dict[UUID, UUID | None]:
            return {org: person}

        seal = await Seals(vault, people_of).of(org)
        kept, blob = Blobs(tmp_path / "here", shared), new_id()
        await asyncio.to_thread(kept.put, blob, seal.pieces("f", (DATA,)))
        there = Blobs(tmp_path / "there", shared)
        found = await asyncio.to_thread(seal.part, "f", lambda at, size: there.read(blob, at, size), 5, 9)
        assert found == DATA[5:14]
        stored = await database.fetchval("SELECT string_agg(piece, '' ORDER BY number) FROM kernel.blob")
        assert DATA not in stored

    async def test_from_before_is_moved_where_all_read_it(self, shared: Shared, tmp_path: Path) -> None:
        settings = Settings(data=tmp_path / "here", database_url=shared._dsn)
        old, blob, gone = Blobs(tmp_path / "here" / FILES), new_id(), new_id()
        for one in (blob, gone):
            old.put(one, (DATA,))
        both, there = Blobs(tmp_path / "here" / FILES, shared), Blobs(tmp_path / "there", shared)
        assert await asyncio.to_thread(both.read, blob) == DATA
        assert await asyncio.to_thread(both.delete, gone)
        assert alone(settings.data) == 1
        assert await share(Settings(data=settings.data, database_url=shared._dsn, files="folder")) == 0
        assert (await share(settings), await share(settings), alone(settings.data)) == (1, 0, 0)
        assert await asyncio.to_thread(there.read, blob) == DATA

    async def test_is_read_also_while_it_is_moved(
        self, shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings, blob, look = Settings(data=tmp_path, database_url=shared._dsn), new_id(), shared.read
        Blobs(tmp_path / FILES).put(blob, (DATA,))

        async def early(*some: Any) -> bytes | None:
            monkeypatch.setattr(shared, "read", look)
            found = await look(*some)
            assert await share(settings) == 1
            return found

        monkeypatch.setattr(shared, "read", early)
        assert await asyncio.to_thread(Blobs(tmp_path / FILES, shared).read, blob) == DATA

    async def test_that_is_deleted_or_replaced_while_it_is_moved_does_not_come_back(
        self, shared: Shared, tmp_path: Path
    ) -> None:
        both, blob, other = Blobs(tmp_path / FILES, shared), new_id(), new_id()
        for one in (blob, other):
            Blobs(tmp_path / FILES).put(one, (DATA,))
        deleting: list[asyncio.Task[bool]] = []

        class Opened(type(tmp_path)):  # type: ignore[misc]
            def open(self, *some: Any, **more: Any) -> Any:
                deleting.append(asyncio.create_task(asyncio.to_thread(both.delete, blob)))
                return super().open(*some, **more)

        await shared.put(blob, Opened(both.path(blob)), instead=False)
        assert await deleting[0]
        with pytest.raises(NotFound):
            await asyncio.to_thread(both.read, blob)
        (tmp_path / "new").write_bytes(DATA[:3])
        await shared.put(other, tmp_path / "new")  # and the old one lies there for a moment yet
        await asyncio.to_thread(both.share)
        assert await asyncio.to_thread(both.read, other) == DATA[:3]

    def test_is_for_cities_that_name_their_server(self) -> None:
        assert not Settings().shares_files
        assert not Settings().on_own_server("postgresql:///x").shares_files
        assert Settings(database_url="postgresql:///x").shares_files
        assert Settings(files="database").on_own_server("postgresql:///x").shares_files
