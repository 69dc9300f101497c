"""Applications from tables: GBK, merged cells, a report row by row, and nothing half-done."""

from __future__ import annotations

import asyncio
import io
from uuid import UUID

import pytest
from openpyxl import Workbook

from shanhe.programmes.api import AskAgain, ImportRefused, State
from shanhe.programmes.importing import ALONE

from .conftest import City

HEADER = "主体,登记号,登记日,登记证书\n"


async def firms(city: City, count: int) -> list[tuple[UUID, str]]:
    made = [await city.company(f"企业{number}") for number in range(count)]
    return [(org, (await city.identity.orgs.get(org)).registration or "") for org in made]


class TestImport:
    async def test_reads_gbk_and_records_every_row(self, city: City) -> None:
        (one, first), (two, second) = await firms(city, 2)
        text = f"{HEADER}{first},2026SR1,2026-01-05,软著登字第1号\n\n{second},2026SR2,2026-01-06,软著登字第2号\n"
        report = await city.programmes.importing.run(
            "software_copyright", text.encode("gbk"), batch="三月", actor="test"
        )
        assert report.recorded
        assert [row.row for row in report.rows] == [2, 4]
        for org in (one, two):
            (app,) = await city.programmes.applications(org_id=org)
            assert (app.state, app.evidence["certificate"].reference[:4]) == (State.IN_REVIEW, "软著登字")
        again = await city.programmes.importing.run(
            "software_copyright", text.encode("gbk"), batch="三月", actor="test"
        )
        assert [row.known for row in again.rows] == [True, True]
        assert len(await city.programmes.applications()) == 2
        assert [app.org_id for app in await city.programmes.applications(orgs=[two])] == [two]
        assert await city.programmes.applications(orgs=[]) == [], "a name that nobody has finds nobody"

    async def test_with_one_bad_row_records_nothing_and_says_what_is_wrong_with_each(self, city: City) -> None:
        (_, first), (_, second) = await firms(city, 2)
        text = (
            f"{HEADER}{first},2026SR1,2026-01-05,甲\n{second},2026SR2,2026-13-05,乙\nnobody,2026SR3,2026-01-05,丙\n"
            f"{second},2026sr-1,2026-01-05,丁\n"
        )
        report = await city.programmes.importing.run("software_copyright", text.encode(), batch="b", actor="test")
        assert not report.recorded
        problems = [row.problem[0] if row.problem else "" for row in report.rows]
        assert problems[0] == ""
        assert "日期" in problems[1]
        assert problems[2]
        assert problems[3] == "与第 2 行重复"
        assert await city.programmes.applications() == []

    async def test_looked_through_first_tells_what_each_row_would_become_and_records_nothing(self, city: City) -> None:
        ((_, number),) = await firms(city, 1)
        run = city.programmes.importing.run
        lists = {"software_copyright": f"{HEADER}{number},2026SR1,2026-01-05,甲\n", "dao_support": f"主体\n{number}\n"}
        made = {name: await run(name, text.encode(), batch="b", actor="test", check=True)
                for name, text in lists.items()}  # fmt: skip
        assert [(one.recorded, one.sound) for one in made.values()] == [(False, True)] * 2
        assert [one.rows[0].becomes for one in made.values()] == [State.IN_REVIEW, State.REFUSED]
        assert [bool(one.rows[0].why) for one in made.values()] == [False, True]
        assert await city.programmes.applications() == []
        assert (await run("dao_support", lists["dao_support"].encode(), batch="b", actor="test")).recorded

    async def test_of_another_content_under_a_batch_that_was_imported_is_no_repetition(self, city: City) -> None:
        ((_, number),) = await firms(city, 1)
        run = city.programmes.importing.run
        for name, good in (("甲", True), ("乙", False)):
            text = f"{HEADER}{number},2026SR1,2026-01-05,{name}\n".encode()
            report = await run("software_copyright", text, batch="b", actor="test")
            assert report.recorded == good
        assert report.rows[0].problem is not None

    async def test_of_what_counts_earlier_awards_is_one_row_at_a_time_and_the_second_says_so(self, city: City) -> None:
        await city.fund("science_credit")
        (lab, lab_number), *factories = await firms(city, 3)
        city.measured["match_solution_accepts", lab] = True
        for factory, _ in factories:
            city.measured["match_need_accepts", factory], city.measured["match_related", factory] = True, False
        rows = [f"{number},{lab_number},m{n}\n" for n, (_, number) in enumerate(factories)]
        importing = city.programmes.importing
        report = await importing.run("research_match", f"party,partner,match\n{''.join(rows)}".encode(), batch="b",
                                     actor="test")  # fmt: skip
        assert [row.problem[1] if row.problem else "" for row in report.rows] == ["", ALONE.en]
        assert not report.recorded
        report = await importing.run("research_match", f"party,partner,match\n{rows[0]}".encode(), batch="b",
                                     actor="test")  # fmt: skip
        assert report.recorded

    async def test_twice_at_once_is_recorded_once_and_names_no_application_that_is_not_there(self, city: City) -> None:
        ((_, number),) = await firms(city, 1)
        text = f"{HEADER}{number},2026SR1,2026-01-05,甲\n".encode()
        run = city.programmes.importing.run
        done = await asyncio.gather(
            *(run("software_copyright", text, batch="b", actor="test") for _ in range(3)), return_exceptions=True
        )
        (app,) = await city.programmes.applications()
        for one in done:
            assert isinstance(one, AskAgain) or [row.application for row in one.rows] in ([app.id], [None])

    async def test_fills_merged_cells_of_a_workbook(self, city: City) -> None:
        ((org, registration),) = await firms(city, 1)
        book = Workbook()
        sheet = book.active
        assert sheet is not None
        for row in (["主体", "登记号", "登记日", "登记证书"], [registration, "2026SR8", "2026-01-05", "第8号"],
                    [None, "2026SR9", "2026-01-06", "第9号"]):  # fmt: skip
            sheet.append(row)
        sheet.merge_cells("A2:A3")
        packed = io.BytesIO()
        book.save(packed)
        report = await city.programmes.importing.run("software_copyright", packed.getvalue(), batch="x", actor="test")
        assert report.recorded, report
        assert len(await city.programmes.applications(org_id=org)) == 2

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (b"\xff\xff\xff", "neither UTF-8 nor GBK"),
            ("主体,颜色\na,红\n".encode(), "颜色"),
            ("登记号\nx\n".encode(), "party"),
            (b"PK\x03\x04broken", "no workbook"),
            ("主体,登记号,登记号\na,b,c\n".encode(), "same name"),
            (b"", "no header"),
        ],
    )
    async def test_refuses_a_file_it_cannot_read(self, city: City, data: bytes, problem: str) -> None:
        with pytest.raises(ImportRefused, match=problem):
            await city.programmes.importing.run("software_copyright", data, batch="x", actor="test")
