"""What a form leaves for the page after it, and who can read it."""

from __future__ import annotations

import asyncio

import pytest

from shanhe.identity.service.handovers import BYTES_MAX, KEPT_MAX, LIFE_MAX_S
from shanhe.kernel.errors import Invalid

from .conftest import City

ANN, BEN, PAGE, SAID = "session:ann", "session:ben", "/keys", {"secret": "sk-sh-geheim", "n": 1}


class TestHandover:
    async def test_is_taken_once(self, city: City) -> None:
        desk = city.identity.handovers
        token = await desk.leave(ANN, PAGE, SAID, life_s=120)
        assert await desk.see(ANN, PAGE, token) == SAID
        both = await asyncio.gather(*(desk.take(ANN, PAGE, token) for _ in range(2)))  # two tabs
        assert sorted(both, key=len) == [{}, SAID]
        assert await desk.take(ANN, PAGE, token) == {}

    async def test_is_for_one_session_and_one_page(self, city: City) -> None:
        """Who signs in next on this browser, or comes back with a copied cookie, holds another session."""
        desk = city.identity.handovers
        token = await desk.leave(ANN, PAGE, SAID, life_s=120)
        for holder, page in ((BEN, PAGE), (ANN, "/nodes"), ("visitor:x", PAGE)):
            assert await desk.take(holder, page, token) == {}
        for wrong in ("", "x", token[:-1], token + "x", "\N{SNOWMAN}" * 43):
            assert await desk.take(ANN, PAGE, wrong) == {}
        assert await desk.take(ANN, PAGE, token) == SAID  # which takes nothing from who it is for

    async def test_runs_out_and_goes(self, city: City) -> None:
        desk = city.identity.handovers
        token = await desk.leave(ANN, PAGE, SAID, life_s=10 * LIFE_MAX_S)
        city.clock.advance(seconds=LIFE_MAX_S)
        assert await desk.see(ANN, PAGE, token) == {}
        city.clock.advance(seconds=1)
        await city.identity.purge()
        assert await city.db.fetchval("SELECT count(*) FROM identity.handover") == 0

    async def test_is_bounded(self, city: City) -> None:
        desk = city.identity.handovers
        with pytest.raises(Invalid):
            await desk.leave(ANN, PAGE, {"text": "x" * BYTES_MAX}, life_s=60)
        other = await desk.leave(BEN, PAGE, SAID, life_s=60)
        for n in range(KEPT_MAX + 2):
            last = await desk.leave(ANN, PAGE, SAID, life_s=60 + n)
        assert await city.db.fetchval("SELECT count(*) FROM identity.handover") == KEPT_MAX + 1
        assert await desk.take(ANN, PAGE, last) == await desk.take(BEN, PAGE, other) == SAID

    async def test_is_noise_to_who_has_the_database(self, city: City) -> None:
        token = await city.identity.handovers.leave(ANN, PAGE, SAID, life_s=60)
        row = await city.db.fetchrow("SELECT * FROM identity.handover")
        kept = b"".join(value for value in row.values() if isinstance(value, bytes))
        for word in ("sk-sh-geheim", "secret", ANN, PAGE, token):
            assert word.encode() not in kept
