"""No room and no database have one name and one advice wherever they show."""

from __future__ import annotations

import errno
import io
import os
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from shanhe.kernel.blobs import Blobs
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Unavailable
from shanhe.kernel.ids import new_id
from shanhe.kernel.logs import Patient
from shanhe.kernel.outage import ROOM_LOW_BYTES, ROOM_MIN_BYTES, outage, room, unusable
from shanhe.kernel.process import Held, is_held

LATEST = timezone(-timedelta(hours=12))


class TestOutage:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (asyncpg.DiskFullError("could not extend file"), "disk_full"),
            (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
            (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
            (ConnectionRefusedError("refused"), "database_away"),
            (FileNotFoundError(errno.ENOENT, "no socket"), "database_away"),
            (asyncpg.CannotConnectNowError("starting up"), "database_away"),
            (asyncpg.TooManyConnectionsError("too many"), "database_away"),
            (asyncpg.ConnectionDoesNotExistError("closed"), "database_away"),
        ],
    )
    def test_is_named(self, error: Exception, code: str) -> None:
        found = outage(error)
        assert found is not None
        assert (found.code, found.status) == (code, 503)
        assert found.hint
        assert found.hint_zh

    @pytest.mark.parametrize("error", [ValueError("x"), asyncpg.CheckViolationError("x"), IsADirectoryError("x")])
    def test_is_nothing_else(self, error: Exception) -> None:
        assert outage(error) is None

    @pytest.mark.parametrize(
        ("free", "state"),
        [(ROOM_MIN_BYTES - 1, "full"), (ROOM_MIN_BYTES, "low"), (ROOM_LOW_BYTES - 1, "low"), (ROOM_LOW_BYTES, "up")],
    )
    def test_tells_how_much_room_is_left(
        self, free: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
        assert room(tmp_path / "not" / "there") == state


class TestValue:
    @pytest.mark.parametrize("sent", ["\0", "a\0b", "\ud800", 2**63, datetime.max.replace(tzinfo=LATEST)])
    async def test_that_no_record_can_hold_is_told_so(self, sent: Any, database: Database) -> None:
        kind = {str: "text", int: "bigint", datetime: "timestamptz"}[type(sent)]
        with pytest.raises((asyncpg.PostgresError, ValueError, OverflowError)) as refused:
            await database.fetchval(f"SELECT $1::{kind}", sent)
        assert outage(refused.value) is None
        found = unusable(refused.value)
        assert found is not None
        assert (found.code, found.status) == ("unusable_value", 422)

    def test_that_somebody_took_in_the_same_moment_is_told_so(self) -> None:
        found = unusable(asyncpg.UniqueViolationError("x"))
        assert found is not None
        assert found.status == 409

    @pytest.mark.parametrize("error", [ValueError("x"), asyncpg.CheckViolationError("x"), KeyError("x")])
    def test_that_is_our_own_mistake_stays_one(self, error: Exception) -> None:
        assert unusable(error) is None


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


class TestFullDisk:
    def test_drops_a_log_line_and_nothing_else(self) -> None:
        Patient(FullDisk()).warning("PostgreSQL ended; starting it again")

    def test_keeps_no_half_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        blobs, name = Blobs(tmp_path), new_id()

        def pieces() -> Any:
            yield b"the first half"
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(Unavailable, match="full"):
            blobs.put(name, pieces())
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_does_not_hinder_a_lock(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with Held(tmp_path / "city.lock"):
            assert is_held(tmp_path / "city.lock")
        assert not is_held(tmp_path / "city.lock")
