"""Postings kept by the sheet: found, proved, forgotten and made again one by one, as if each were a row."""

from __future__ import annotations

import json
import shutil
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from tests.log.conftest import Town
from tests.log.test_sealing import published

from shanhe.kernel.ids import new_id
from shanhe.log.errors import OpeningErased
from shanhe.log.leaf import Draft, Form
from shanhe.log.note import b64
from shanhe.log.proof import verify
from shanhe.log.sheets import SHEET_MAX, SHEET_MIN, arrange, packed, unpacked
from shanhe.log.tiles import bundle, unbundle

LEAF = b'{"commit":"","kind":"posting"}'
FORM = Form(b'{"commit":"', b'","kind":"posting"}', "call", ())


def draft(subject: UUID, *, form: Form | None = FORM) -> Draft:
    return Draft(subject, "posting", LEAF, bytes([1]) * 16, form=form)


def committed(form: Form, number: int) -> Draft:
    commit = bytes([number]) * 32
    return Draft(new_id(), "posting", form.before + b64(commit).encode() + form.after, bytes(16), None, form, commit)


def later(subject: UUID, ms: int) -> UUID:
    return UUID(int=subject.int + (ms << 80))


class TestArrangement:
    def test_fills_sheets_in_the_order_of_ids_and_keeps_the_rest(self) -> None:
        now = new_id()
        postings = [draft(later(now, n)) for n in range(2 * SHEET_MAX + SHEET_MIN)]
        record = draft(new_id(), form=None)
        sheets, rest = arrange([record, *reversed(postings)])
        assert [len(one.drafts) for one in sheets] == [SHEET_MAX, SHEET_MAX, SHEET_MIN]
        assert [one for sheet in sheets for one in sheet.drafts] == postings
        assert rest == [record]
        assert len(sheets[0].salts) == 16 * SHEET_MAX

    @pytest.mark.parametrize("odd", [uuid4(), uuid5(new_id(), "x"), later(new_id(), 10**9)])
    def test_leaves_alone_what_tells_no_time_or_another(self, odd: UUID) -> None:
        sheets, rest = arrange([draft(odd), *(draft(new_id()) for _ in range(SHEET_MIN))])
        assert [len(one.drafts) for one in sheets] == [SHEET_MIN]
        assert [one.subject for one in rest] == [odd]

    def test_makes_no_sheet_of_few_nor_of_what_hides_nothing(self) -> None:
        few = [draft(new_id()) for _ in range(SHEET_MIN - 1)]
        assert arrange(few) == ([], few)
        adopted = [draft(new_id(), form=None) for _ in range(SHEET_MIN)]
        assert arrange(adopted) == ([], adopted)


class TestPacking:
    def test_gives_back_each_entry_byte_for_byte(self) -> None:
        forms = [Form(b'{"assets":["credit"],"commit":"', b'","rules":["P11@%d"],"v":2}' % n, "", ()) for n in range(3)]
        drafts = [committed(forms[n % 3], n) for n in range(SHEET_MAX)]
        assert unpacked(*packed(drafts)) == [one.leaf for one in drafts]

    def test_keeps_one_form_of_entries_that_differ_in_their_commitments(self) -> None:
        forms, data = packed([committed(FORM, n) for n in range(SHEET_MAX)])
        assert unbundle(forms) == [LEAF]
        assert len(data) == (1 + 32) * SHEET_MAX

    def test_has_a_number_for_each_of_as_many_forms_as_entries(self) -> None:
        drafts = [committed(Form(b'{"commit":"', b'","n":%d}' % n, "", ()), 0) for n in range(SHEET_MAX)]
        assert unpacked(*packed(drafts)) == [one.leaf for one in drafts]


async def filed(town: Town) -> int:
    """How many entries stand in sheets."""
    return int(await town.db.fetchval("SELECT coalesce(sum(cardinality(subjects)), 0) FROM log.sheet"))


class TestSheet:
    async def test_holds_what_is_proved_one_by_one(self, town: Town) -> None:
        log = town.log()
        receipts: list[Any] = await town.post(SHEET_MAX + 40)
        await log.seal()
        assert await filed(town) >= SHEET_MAX
        _, _, entries = published(log)
        assert await log.store.known([*receipts, new_id()]) == set(receipts)
        for receipt in receipts[:: SHEET_MAX // 8]:
            proof = await log.prove(receipt)
            assert entries[proof.index] == proof.entry
            shown = verify(str(proof).encode(), log.verifiers()).private
            assert shown is not None
            assert shown["id"] == str(receipt)
        assert await log.store.opening(len(entries) - 1) is None

    async def test_of_an_earlier_release_has_its_entries_whole_and_goes_on(self, town: Town) -> None:
        log = town.log()
        receipts: list[Any] = await town.post(40)
        await log.seal()
        before = published(log)
        await town.db.execute("ALTER TABLE log.sheet DISABLE TRIGGER append_only")
        for row in await town.db.fetch("SELECT * FROM log.sheet"):
            whole = bundle(unpacked(row["forms"], row["leaves"]))
            await town.db.execute(
                "UPDATE log.sheet SET forms = NULL, leaves = $2 WHERE first = $1", row["first"], whole
            )
        await town.post(40)
        await log.seal()
        assert published(log)[2][: before[0]] == before[2]
        assert verify(str(await log.prove(receipts[5])).encode(), log.verifiers()).private is not None
        shutil.rmtree(town.data / "log")
        town.clock.advance(minutes=1)
        again = town.log()
        await again.seal()
        assert published(again)[2][: before[0]] == before[2]

    async def test_forgets_one_and_keeps_its_neighbours(self, town: Town) -> None:
        log = town.log()
        receipts: list[Any] = await town.post(40)
        few: list[Any] = await town.post(1)
        await log.seal()
        gone = [receipts[0], receipts[7], receipts[39]]
        before = published(log)
        kept = str(await log.prove(gone[1])).encode()
        salt = (await log.prove(gone[1])).salt
        assert await log.shred([*gone, few[0], new_id()], by="tests") == 4
        assert await log.shred(gone, by="tests") == 0
        assert await town.db.fetchval("SELECT max(position($1 IN salts)) FROM log.sheet_salts", salt) == 0
        for receipt in receipts + few:
            if receipt in [*gone, *few]:
                with pytest.raises(OpeningErased):
                    await log.prove(receipt)
            else:
                assert verify(str(await log.prove(receipt)).encode(), log.verifiers()).private is not None
        assert verify(kept, log.verifiers()).private is not None
        assert published(log) == before

    async def test_makes_the_tiles_again(self, town: Town) -> None:
        log = town.log()
        await town.post(SHEET_MAX + 20)
        await log.seal()
        await town.post(3)
        await log.seal()
        before = published(log)
        shutil.rmtree(town.data / "log")
        town.clock.advance(minutes=1)
        again = town.log()
        assert await again.seal() == 0
        assert published(again) == before
        assert [one async for one in _pages(again, before[0])] == before[2]

    async def test_is_looked_through_when_the_ledger_is_read_again(self, town: Town) -> None:
        log = town.log()
        await town.post(60)
        await log.seal()
        before = published(log)
        await town.post(20)
        await log.recover(None)
        await town.post(1)
        await log.seal()
        size, _, entries = published(log)
        assert entries[: before[0]] == before[2]
        kinds = [json.loads(one)["kind"] for one in entries]
        booked = await town.db.fetchval("SELECT count(*) FROM ledger.posting")
        assert kinds.count("posting") == booked == len({one for one in entries if b'"commit"' in one})
        assert size == len(kinds)


async def _pages(log: Any, size: int) -> Any:
    """All leaves as the database gives them, some at a time."""
    for first in range(0, size, 100):
        for leaf in await log.store.leaves(first, min(size, first + 100)):
            yield leaf
