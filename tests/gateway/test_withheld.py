"""An answer that was withheld because the ledger was away costs nothing, whatever turns out to have been booked."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.gateway import settlement
from shanhe.gateway.settlement import Settler
from shanhe.ledger.api import AlreadyReversed, LedgerUnavailable


class Books:
    """A ledger that is away for two questions, and then has booked it."""

    def __init__(self, *, reversed_before: bool = False) -> None:
        self.asked, self._before = 0, reversed_before
        self.reversed: list[UUID] = []

    async def settle(self, *_: Any) -> None:
        self.asked += 1
        if self.asked < 3:
            raise LedgerUnavailable

    async def reverse(self, receipt: UUID, *, actor: str, reason: str) -> None:
        if self._before:
            raise AlreadyReversed(receipt)
        self.reversed.append(receipt)


class TestWithheldAnswer:
    @pytest.mark.parametrize("withheld", [True, False])
    async def test_is_given_back_and_a_delivered_one_is_not(
        self, withheld: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settlement, "RETRY_WAIT_S", 0)
        books: Any = Books()
        nothing: Any = None
        settler, receipt = Settler(books, nothing, nothing, nothing), uuid4()
        settler._later(SimpleNamespace(receipt_id=receipt), nothing, withheld=withheld)
        await asyncio.gather(*settler._open)
        assert books.asked == 3
        assert books.reversed == ([receipt] if withheld else [])

    async def test_is_given_back_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settlement, "RETRY_WAIT_S", 0)
        books: Any = Books(reversed_before=True)
        nothing: Any = None
        settler = Settler(books, nothing, nothing, nothing)
        settler._later(SimpleNamespace(receipt_id=uuid4()), nothing, withheld=True)
        await asyncio.gather(*settler._open)
        assert books.asked == 3
