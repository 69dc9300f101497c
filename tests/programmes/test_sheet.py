"""Applications as a sheet."""

from __future__ import annotations

import pytest

from shanhe.programmes import service, sheet

from .conftest import City


class TestSheet:
    @pytest.mark.parametrize(("most", "cut"), [(2, True), (3, False)])
    async def test_that_leaves_applications_out_says_so_in_its_last_line(
        self, city: City, monkeypatch: pytest.MonkeyPatch, most: int, cut: bool
    ) -> None:
        for module in (service, sheet):
            monkeypatch.setattr(module, "LIST_ROWS_MAX", 1)
        monkeypatch.setattr(sheet, "SHEET_ROWS_MAX", most)
        for _ in range(3):
            await city.apply("nomad_credits", await city.person())
        lines = "".join([line async for line in sheet.applications_csv(city.programmes)]).splitlines()
        assert len(lines) == 1 + most + cut
        assert ("其余未列" in lines[-1]) is cut
