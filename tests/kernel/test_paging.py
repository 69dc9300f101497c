"""Lists that are read to their end, and copies that say where they are cut."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import UUID

from shanhe.kernel.ids import new_id
from shanhe.kernel.paging import COPY_ROWS, drawn, every, whole

PAGE = 50
CUT = {"left_out": {"newest_kept": COPY_ROWS, "rest_asked_at": "/my-data"}}


class Book:
    """A list that is read `PAGE` rows at a time."""

    def __init__(self, rows: int) -> None:
        self.rows = [SimpleNamespace(id=new_id(), n=n) for n in range(rows)]

    async def page(self, before: UUID | None) -> list[SimpleNamespace]:
        start = 0 if before is None else next(n for n, one in enumerate(self.rows) if one.id == before) + 1
        return self.rows[start : start + PAGE]


class TestEvery:
    async def test_reads_each_page_after_the_last_row_of_the_one_before(self) -> None:
        book = Book(4 * PAGE + 5)
        assert [one async for one in every(book.page)] == book.rows

    async def test_goes_by_the_place_that_it_is_told(self) -> None:
        async def page(before: int | None) -> list[int]:
            return list(range(before - 1 if before is not None else 9, -1, -1))[:2]

        assert [one async for one in every(page, int)] == list(range(9, -1, -1))


class TestDrawn:
    async def test_is_one_row_more_than_a_copy_holds_and_no_page_further(self) -> None:
        asked = 0

        async def page(before: int | None) -> list[SimpleNamespace]:
            nonlocal asked
            asked += 1
            first = 0 if before is None else before + 1
            return [SimpleNamespace(id=n) for n in range(first, first + 2_000)]

        assert len(await drawn(page)) == COPY_ROWS + 1
        assert asked == COPY_ROWS // 2_000 + 1


class TestWhole:
    def test_says_in_a_list_that_is_cut_how_many_are_there_and_where_the_rest_is_asked_for(self) -> None:
        rows = list(range(COPY_ROWS + 1))
        assert whole(rows[:-1]) == rows[:-1]
        assert whole(rows) == [*rows[:-1], CUT]

    def test_looks_at_every_list_wherever_it_lies(self) -> None:
        found = whole({"a": [{"b": tuple(range(COPY_ROWS + 5)), "c": "text"}]})
        (inner,) = found["a"]
        assert inner["c"] == "text"
        assert len(inner["b"]) == COPY_ROWS + 1
        assert inner["b"][-1] == CUT

    def test_cuts_nothing_a_second_time(self) -> None:
        once = whole({"a": list(range(COPY_ROWS + 5))})
        assert whole(once) == once
