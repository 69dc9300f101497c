"""Data sets over a real database: versions by content, lineage, deleting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shanhe.datasets.errors import (
    NameTaken,
    NothingLeft,
    PersonalDataInside,
    RowsForgotten,
    UnknownDataset,
    UnreadableFile,
)
from shanhe.datasets.model import Cleaning
from shanhe.datasets.service import Datasets, NewDataset
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id

BOOK = "题目,错误做法,正确做法,原因\n焊前做什么,直接焊,清除油污,防气孔\n几度预热,不预热,预热到一百度,防裂\n".encode()
ORG = new_id()


def new(**changes: Any) -> NewDataset:
    return NewDataset(**{"name": "错题集", "form": "errors", "licence": "CC-BY-4.0", "consent": "own"} | changes)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def datasets(database: Database, clock: FixedClock, tmp_path: Path) -> Datasets:
    return Datasets(database, clock, folder=tmp_path)


class TestDataset:
    async def test_is_known_by_its_content(self, datasets: Datasets) -> None:
        one = await datasets.bring(ORG, new(), "a.csv", BOOK, by="t")
        again = await datasets.bring(ORG, new(), "b.csv", BOOK.decode().encode("gbk"), by="t")
        assert (one.id, one.number, one.rows) == (again.id, 1, 2)
        other = await datasets.bring(ORG, new(), "a.csv", BOOK + "焊后做什么,不管,打磨,美观\n".encode(), by="t")
        assert (other.number, other.rows) == (2, 3)
        found = await datasets.dataset("错题集", ORG)
        assert [version.number for version in await datasets.versions(found)] == [1, 2]

    async def test_is_cleaned_into_a_version_that_names_its_parent(self, datasets: Datasets) -> None:
        raw = await datasets.bring(ORG, new(), "a.csv", BOOK + "找谁,不找,找李工13800138000,快\n".encode(), by="t")
        assert raw.personal == 1
        clean = await datasets.clean(raw.id, ORG, Cleaning(), by="t")
        assert (clean.parent, clean.number, clean.personal, clean.recipe["masked"]) == (raw.id, 2, 0, {"phone": 1})
        assert (await datasets.clean(raw.id, ORG, Cleaning(), by="t")).id == clean.id
        assert (await datasets.preview(clean))[2]["right"] == "找李工〔电话〕"

    async def test_with_personal_data_trains_nobody_without_consent(self, datasets: Datasets) -> None:
        data = "找谁,13800138000\n"
        table = f"question,answer\n{data}".encode()
        raw = await datasets.bring(ORG, new(name="a", form="pairs"), "a.csv", table, by="t")
        with pytest.raises(PersonalDataInside):
            await datasets.lessons(raw.id, ORG)
        agreed = await datasets.bring(ORG, new(name="b", form="pairs", consent="consent"), "a.csv", table, by="t")
        learnt, held = await datasets.lessons(agreed.id, ORG)
        assert len(learnt) + len(held) == 1

    async def test_is_followed_to_what_was_made_of_it(self, datasets: Datasets) -> None:
        version = await datasets.bring(ORG, new(), "a.csv", BOOK, by="t")
        for _ in range(2):
            await datasets.used(version.id, "train", "job 1", "焊工助手")
        (use,) = await datasets.uses(await datasets.dataset("错题集", ORG))
        assert (use.version_id, use.name) == (version.id, "焊工助手")

    async def test_that_is_forgotten_leaves_no_rows(self, datasets: Datasets, tmp_path: Path) -> None:
        version = await datasets.bring(ORG, new(), "a.csv", BOOK, by="t")
        await datasets.forget(version.id, ORG)
        assert files_in(tmp_path) == []
        with pytest.raises(RowsForgotten):
            await datasets.lessons(version.id, ORG)
        back = await datasets.bring(ORG, new(), "a.csv", BOOK, by="t")
        assert back.id == version.id
        assert len(await datasets.preview(back)) == 2

    async def test_is_its_organisations_own(self, datasets: Datasets) -> None:
        version = await datasets.bring(ORG, new(), "a.csv", BOOK, by="t")
        with pytest.raises(UnknownDataset):
            await datasets.version(version.id, new_id())
        with pytest.raises(UnknownDataset):
            await datasets.dataset("错题集", new_id())

    async def test_that_is_archived_frees_its_name(self, datasets: Datasets) -> None:
        await datasets.bring(ORG, new(), "a.csv", BOOK, by="t")
        with pytest.raises(NameTaken):
            await datasets.bring(ORG, new(form="text"), "a.txt", b"words of a text", by="t")
        await datasets.archive(await datasets.dataset("错题集", ORG))
        assert await datasets.datasets(ORG) == []
        await datasets.bring(ORG, new(form="text"), "a.txt", b"words of a text", by="t")

    @pytest.mark.parametrize("changes", [{"licence": " "}, {"consent": "none"}, {"form": "x"}, {"name": "x" * 81}])
    async def test_needs_licence_and_consent(self, datasets: Datasets, changes: dict[str, str]) -> None:
        with pytest.raises(Invalid):
            await datasets.bring(ORG, new(**changes), "a.csv", BOOK, by="t")

    async def test_without_rows_is_refused(self, datasets: Datasets) -> None:
        with pytest.raises(NothingLeft):
            await datasets.bring(ORG, new(), "a.csv", "题目,错误做法,正确做法\n,,x\n".encode(), by="t")
        with pytest.raises(UnreadableFile):
            await datasets.bring(ORG, new(), "a.csv", b"", by="t")
        version = await datasets.bring(ORG, new(), "a.csv", BOOK, by="t")
        with pytest.raises(NothingLeft):
            await datasets.clean(version.id, ORG, Cleaning(chars_min=5_000), by="t")
