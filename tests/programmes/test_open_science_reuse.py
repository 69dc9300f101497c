"""T11, T17: five points for a reuse of what was deposited, to each author by their share, once."""

from __future__ import annotations

from datetime import date

import pytest

from shanhe.programmes.api import AlreadyClaimed, State

from .conftest import City

REUSE = "01a21901-0000-7000-8000-000000000001"
OCTOBER, DECEMBER = date(2026, 10, 30), date(2026, 12, 1)


class TestOpenScienceReuse:
    async def test_pays_an_author_their_share_of_five_points_once(self, city: City) -> None:
        await city.at(DECEMBER)
        author = await city.person()
        for name, value in (("reuse_counts", True), ("reuse_shares", [500_000, 500_000]), ("reuse_place", 0)):
            city.measured[name, author] = value
        app = await city.apply("open_science_reuse", author, {"reuse": REUSE})
        assert app.state is State.COMPLETED
        assert await city.balance(author, "point") == 3
        with pytest.raises(AlreadyClaimed):
            await city.apply("open_science_reuse", author, {"reuse": REUSE}, ref="b")
        assert await city.sound()

    async def test_pays_nothing_for_a_relatives_reuse_and_says_why(self, city: City) -> None:
        await city.at(DECEMBER)
        author = await city.company()
        for name, value in (("reuse_counts", False), ("reuse_shares", [1_000_000]), ("reuse_place", 0)):
            city.measured[name, author] = value
        app = await city.apply("open_science_reuse", author, {"reuse": REUSE})
        assert app.state is State.REFUSED
        (decision,) = (await city.programmes.file(app.id)).decisions
        assert "关联方" in str(decision)

    async def test_takes_over_from_the_monthly_report(self, city: City) -> None:
        before, after = (city.programmes.programme(name) for name in ("open_science", "open_science_reuse"))
        for day, open_ in ((OCTOBER, (True, False)), (DECEMBER, (False, True))):
            assert (before.open_on(day), after.open_on(day)) == open_
