"""Somebody of whom more is kept than any page shows: what lies beyond the first page is erased, and copied, too."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from uuid import UUID

import pytest

from shanhe.clones import store as clone_store
from shanhe.clones.service import CALLED
from shanhe.datasets import store as dataset_store
from shanhe.identity.api import AUTOMATED
from shanhe.ip import store as right_store
from shanhe.kernel.ids import new_id
from shanhe.payments import bank_store
from shanhe.science import store as output_store
from shanhe.store import store as listing_store
from shanhe.store.api import Kind, NewListing
from stage.reading import fill

from .conftest import House

PAGE: Final = 2
ROWS: Final = 5
N: Final = f"FROM generate_series(1, {ROWS}) n"
MUCH: Final = 600
"""More than any page of a list."""


async def _clones(*given: Any, read: Any = clone_store.mandates, **rest: Any) -> Any:
    db, org, person, _, *before = given
    return await read(db, org, person, PAGE, *before, **rest)


class TestErasure:
    @pytest.fixture(autouse=True)
    def small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(right_store, "of", partial(right_store.of, most=PAGE))
        monkeypatch.setattr(output_store, "of", partial(output_store.of, most=PAGE))
        monkeypatch.setattr(clone_store, "mandates", _clones)
        monkeypatch.setattr(dataset_store, "datasets", partial(dataset_store.datasets, most=PAGE))
        monkeypatch.setattr(dataset_store, "versions", partial(dataset_store.versions, most=PAGE))
        monkeypatch.setattr(listing_store, "versions", partial(listing_store.versions, most=PAGE))
        monkeypatch.setattr(bank_store, "PAYER_ROWS_MAX", PAGE)

    async def test_withdraws_every_right_that_was_held_alone(self, house: House) -> None:
        org, now = await house.own(await house.person()), house.clock.now()
        await fill(
            house.services.db,
            f"""INSERT INTO ip.entry (id, org_id, kind, number, title, abstract, office, document_sha256, state,
                                      created_by, created_at)
                SELECT gen_random_uuid(), '{org}', 'other', n, 't', '', '', '', 'draft', 'x', '{now}' {N}""",
        )
        assert await house.services.commons.rights.forget(org) == ROWS
        assert await self.states(house, "ip.entry", org) == {"withdrawn"}

    async def test_retracts_every_output(self, house: House) -> None:
        org, now = await house.own(await house.person()), house.clock.now()
        await fill(
            house.services.db,
            f"""INSERT INTO science.deposit (id, org_id, kind, state, created_by, created_at)
                SELECT gen_random_uuid(), '{org}', 'code', 'published', 'x', '{now}' {N}""",
            f"""INSERT INTO science.version (deposit, n, title, abstract, licence, sha256, link, created_at,
                                            published_at)
                SELECT id, 1, 't', '', 'MIT', '', '', '{now}', '{now}' FROM science.deposit""",
            f"""INSERT INTO science.author (deposit, n, at, party, share_ppm, agreed_at)
                SELECT id, 1, 1, '{org}', 1000000, '{now}' FROM science.deposit""",
        )
        assert await house.services.commons.science.forget(org) == ROWS
        assert await self.states(house, "science.deposit", org) == {"retracted"}

    async def test_ends_every_clone(self, house: House) -> None:
        person, now = await house.person(), house.clock.now()
        org = await house.own(person)
        called = house.services.vault.encrypt(person, CALLED, "阿晓").hex()
        await fill(
            house.services.db,
            f"""INSERT INTO clones.mandate (id, name, org_id, code_sha256, asked, asked_until, asked_at, asked_by,
                                            state, person_id, consent_id, called, purposes, until, decided_at)
                SELECT gen_random_uuid(), 'clone/of-' || n, '{org}', sha256(n::text::bytea), '{{try}}', '2027-01-01',
                       '{now}', 'x', 'granted', '{person}', gen_random_uuid(), '\\x{called}', '{{try}}',
                       '2027-01-01', '{now}' {N}""",
        )
        assert await house.services.clones.forget(person) == ROWS
        assert await self.states(house, "clones.mandate", org) == {"revoked"}

    async def test_knows_what_every_version_of_a_clone_named(self, house: House) -> None:
        """By which the knowledge that a clone was made with is found when it ends."""
        org, now = await house.own(await house.person()), house.clock.now()
        made = await house.services.store.open(
            NewListing(new_id(), Kind.PROMPT, "family", "家书", "Letters"), owner=org, actor="test"
        )
        await fill(
            house.services.db,
            f"""INSERT INTO store.version (id, listing, n, content, terms, notes, state, created_at, created_by,
                                           submitted_at, decided_at)
                SELECT gen_random_uuid(), id, n, jsonb_build_object('knowledge', jsonb_build_array('base ' || n)),
                       '{{"markup_bps": 0}}', '', 'retired', '{now}', 'x', '{now}', '{now}'
                  FROM store.listing, generate_series(1, {ROWS}) n WHERE slug = 'family'""",
        )
        named = [content["knowledge"] for content in await house.services.store.contents(made.name)]
        assert named == [[f"base {n}"] for n in range(ROWS, 0, -1)]

    async def test_deletes_the_rows_of_every_version_of_every_data_set(self, house: House) -> None:
        org, now = await house.own(await house.person()), house.clock.now()
        await fill(
            house.services.db,
            f"""INSERT INTO datasets.dataset (id, org_id, name, form, licence, consent, made_by, made_at)
                SELECT gen_random_uuid(), '{org}', n, 'pairs', 'x', 'own', 'x', '{now}' {N}""",
            f"""INSERT INTO datasets.version (id, dataset_id, number, sha256, rows, size_bytes, personal, recipe,
                                              report, made_by, made_at)
                SELECT gen_random_uuid(), d.id, n, sha256(n::text::bytea), 1, 1, 0, '{{}}', '{{}}', 'x', '{now}'
                  FROM datasets.dataset d, generate_series(1, {ROWS}) n""",
        )
        assert await house.services.workshop.datasets.forget_all(org) == ROWS
        left = "SELECT count(*) FROM datasets.version WHERE forgotten_at IS NULL"
        assert await house.services.db.fetchval(left) == 0

    async def test_closes_every_venue(self, house: House) -> None:
        org = await house.own(await house.person())
        await venues(house, org)
        assert await house.services.nomads.venues.forget(org) == MUCH
        assert await house.services.nomads.venues.forget(org) == 0

    async def test_makes_every_line_of_a_payer_unreadable(self, house: House) -> None:
        payer, now, statements = b"\1" * 32, house.clock.now(), house.services.bank.statements
        await fill(
            house.services.db,
            *(
                f"""INSERT INTO payments.bank_line (file_hash, row, print, direction, amount_fen, at, state,
                                                  payer_index)
                    SELECT '{file}', n, '{file}' || n, 'in', 1, '{now}', 'new', '\\x{payer.hex()}' {N}"""
                for file in ("a", "b")
            ),
        )
        destroyed: list[tuple[str, int]] = []
        statements._slips.destroy = lambda file, row: destroyed.append((file, row))  # type: ignore[method-assign]
        assert await statements.forget(payer) == 2 * ROWS
        assert set(destroyed) == {(file, n + 1) for file in ("a", "b") for n in range(ROWS)}

    @staticmethod
    async def states(house: House, table: str, org: UUID) -> set[str]:
        rows = await house.services.db.fetch(f"SELECT state FROM {table} WHERE org_id = $1", org)
        return {row["state"] for row in rows}


async def venues(house: House, org: UUID) -> None:
    await fill(
        house.services.db,
        f"""INSERT INTO nomads.venue (id, org_id, name, kind, address, fingerprint, public, own_key, created_at, actor)
            SELECT gen_random_uuid(), '{org}', n, 'space', n, n, sha256(n::text::bytea), false,
                   '{house.clock.now()}', 'x' FROM generate_series(1, {MUCH}) n""",
    )


class TestCopy:
    async def test_holds_every_row_of_lists_that_were_cut_in_silence(self, house: House) -> None:
        person, now = await house.person(), house.clock.now()
        org = await house.own(person)
        much = f"FROM generate_series(1, {MUCH}) n"
        await venues(house, org)
        await fill(
            house.services.db,
            f"""INSERT INTO nomads.person (person_id, handle, number) VALUES ('{person}', gen_random_uuid(),
                                                                              'N00000001')""",
            f"""INSERT INTO nomads.reading (id, person_id, purpose, at, actor)
                SELECT gen_random_uuid(), '{person}', 'own', '{now}', 'x' {much}""",
            f"""INSERT INTO gateway.tag (id, org_id, name, made_at)
                SELECT gen_random_uuid(), '{org}', n, '{now}' FROM generate_series(1, 1200) n""",
            f"""INSERT INTO trials.cases (org_id, agent, cases, set_by, set_at)
                SELECT '{org}', 'agent/a' || n, '[]', 'x', '{now}' {much}""",
            f"""INSERT INTO identity.objection (id, person_id, purpose, made_at, ended_at)
                SELECT gen_random_uuid(), '{person}', 'p', '{now}', '{now}' {much}""",
            f"""INSERT INTO kernel.act (id, at, actor, action, object, details, door)
                SELECT gen_random_uuid(), '{now}', 'person:{person}', 'key.create', 'x:y', '{{}}', ''
                  FROM generate_series(1, 1200)""",
            f"""INSERT INTO exchange.orders (id, market, seq, org_id, party, related, side, ticks, quantity,
                  asked_ticks, asked_quantity, discount_bps, validity, rank, credit_account, cash_account, ordered_on,
                  placed_at, actor)
                SELECT gen_random_uuid(), 'real', n, '{org}', '{org}', '{{}}', 0, 1, 1, 1, 1, 0, 'gtc', n,
                       '{org}', '{org}', '2026-03-02', '{now}', 'x' {much}""",
        )
        found = (await house.services.privacy.copy(person)).data
        lengths = {
            "venues": found["nomads"]["venues"], "readings": found["nomads"]["readings"],
            "sets": found["evaluations"][0], "objections": found["identity"]["objections"],
            "orders": found["exchange"][0]["orders"],
        }  # fmt: skip
        assert {name: len(rows) >= MUCH for name, rows in lengths.items()} == dict.fromkeys(lengths, True)
        assert len(found["tags"]) == 1200
        assert len(found["identity"]["actions"]) >= 1200


class TestObjection:
    async def test_counts_however_often_others_were_taken_back_before(self, house: House) -> None:
        person, now, consents = await house.person(), house.clock.now(), house.services.identity.consents
        await fill(
            house.services.db,
            f"""INSERT INTO identity.objection (id, person_id, purpose, made_at, ended_at)
                SELECT gen_random_uuid(), '{person}', '{AUTOMATED}', '{now}', '{now}'
                  FROM generate_series(1, {MUCH}) n""",
        )
        assert not await consents.refused(person, AUTOMATED)
        await fill(
            house.services.db,
            f"""INSERT INTO identity.objection (id, person_id, purpose, made_at)
                VALUES ('ffffffff-ffff-7fff-bfff-ffffffffffff', '{person}', '{AUTOMATED}', '{now}')""",
        )
        assert await consents.refused(person, AUTOMATED)
