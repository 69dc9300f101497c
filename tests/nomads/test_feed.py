"""Lodgings and co-working spaces report who was there: good rows count, bad ones are named, nothing counts twice."""

from __future__ import annotations

import json

import pytest

from shanhe.kernel.documents.tables import ImportRefused
from shanhe.nomads.api import VenueKind

from .conftest import Town


class TestFeed:
    async def test_counts_good_rows_and_names_bad_ones(self, town: Town) -> None:
        inn, person = await town.venue("竹溪客栈", VenueKind.LODGING), await town.nomad()
        number = (await town.nomads.presence.nomad(person)).number
        shy = await town.nomad("不愿")
        await town.nomads.presence.consent(shy, given=False)
        hidden = (await town.nomads.presence.nomad(shy)).number
        table = (
            "游民编号,入住日期,晚数\n"
            f"{number},2026-02-25,3\n"  # 25, 26, 27 February
            f"{number},2026-02-27,\n"
            f"{number},2026-03-03,1\n"
            f"{number},2026-01-15,1\n"
            "N00000000,2026-03-01,1\n"
            f"{number},2026/03/01,1\n"
            f"{number},2026-03-01,99\n"
            f"{hidden},2026-03-01,1\n"
            f"{number},9999-12-31,2\n"
        ).encode("gb18030")
        report = await town.nomads.feeds.run(inn, table)
        assert [row.outcome for row in report] == ["counted"] * 3 + ["known"] + ["refused"] * 7
        assert [row.row for row in report][:4] == [2, 2, 2, 3]
        assert "未来" in report[4].zh
        assert "补报期限" in report[5].zh
        again = await town.nomads.feeds.run(inn, table)
        assert "counted" not in {row.outcome for row in again}

    async def test_tells_when_two_lodgings_claim_one_night(self, town: Town) -> None:
        one, two = await town.venue("竹溪客栈", VenueKind.LODGING), await town.venue("江畔酒店", VenueKind.LODGING)
        number = (await town.nomads.presence.nomad(await town.nomad())).number
        night = json.dumps({"data": [{"nomad": number, "date": "2026-03-01"}]}).encode()
        assert [r.outcome for r in await town.nomads.feeds.run(one, night)] == ["counted"]
        assert [r.outcome for r in await town.nomads.feeds.run(two, night)] == ["conflict"]
        desk = await town.venue("湖畔共享", VenueKind.SPACE)
        assert [r.outcome for r in await town.nomads.feeds.run(desk, night)] == ["known"]

    @pytest.mark.parametrize(
        ("data", "problem"),
        [(b"{", "no JSON"), (b"[1]", "list of objects"), (b"a,b\n1,2\n", "lacks"), (b"", "no header"),
         (b"\xff\xff\n\xff", "neither")],
    )  # fmt: skip
    async def test_refuses_what_is_no_table(self, town: Town, data: bytes, problem: str) -> None:
        with pytest.raises(ImportRefused, match=problem):
            await town.nomads.feeds.run(await town.venue("竹溪", VenueKind.LODGING), data)

    async def test_comes_from_lodgings_and_spaces_only(self, town: Town) -> None:
        with pytest.raises(ImportRefused, match="only lodgings"):
            await town.nomads.feeds.run(await town.venue("云台山", VenueKind.ATTRACTION), b"nomad,date\n")
