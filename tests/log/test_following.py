"""Bringing a folder to what was signed elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from shanhe.log.errors import LogRewound
from shanhe.log.files import Folder
from shanhe.log.following import follow
from shanhe.log.model import SignedHead


class Empty:
    """A database that lost its entries."""

    async def leaves(self, first: int, end: int) -> list[bytes]:
        return []


class TestFollow:
    async def test_ends_when_the_database_has_fewer_entries_than_were_signed(self, tmp_path: Path) -> None:
        signed = SignedHead(3, b"\0" * 32, "note", 0, datetime(2026, 1, 1, tzinfo=UTC))
        with pytest.raises(LogRewound, match="holds 0 entries"):
            await follow(cast(Any, Empty()), Folder(tmp_path), signed)
