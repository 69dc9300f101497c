"""A city after years: what is asked again and again reads what it answers with, not what there ever was."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from shanhe.approvals import store as approvals
from shanhe.board import store as board
from shanhe.identity.model import ActsAsked
from shanhe.identity.store import audit
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notice, Notifier, Text
from shanhe.kernel.outbox import Outbox
from shanhe.nomads import store as nomads
from shanhe.pool import store as pool
from shanhe.programmes import award_store as awards
from shanhe.retrieval import store as retrieval
from shanhe.workflows import run_store as workflows
from stage.reading import fill, reading

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
TODAY = date(2026, 11, 20)
MANY = 4_000
"""Rows that an answer does not need."""
FEW = 200
"""What it may look at besides."""
ID = "lpad(to_hex(n), 32, '0')::uuid"
AGO = "timestamptz '2026-11-20 04:00+00' - n * interval '1 hour'"
N = f"FROM generate_series(1, {MANY}) n"
SHA = "sha256(n::text::bytea)"


async def test_an_inbox_reads_what_it_shows_however_much_others_are_told(database: Database) -> None:
    columns = "id, kind, severity, title_zh, title_en, body_zh, body_en, link, created_at, expires_at"
    row = f"'a', 'info', '', '', '', '', '', {AGO}, timestamptz '2027-01-01'"
    await fill(
        database,
        f"INSERT INTO kernel.notice (org_id, {columns}) SELECT gen_random_uuid(), {ID}, {row} {N}",
        f"INSERT INTO kernel.notice (person_id, {columns}) SELECT gen_random_uuid(), gen_random_uuid(), {row} {N}",
    )
    org, person, counted = uuid4(), uuid4(), reading(database)
    notifier = Notifier(database, FixedClock(NOW))
    mine = [Notice("b", Text("一", "one"), Text("", ""), **to) for to in ({"org_id": org}, {"person_id": person}, {})]
    for one in mine:
        assert await notifier.notify(one)
    shown = await Notifier(counted, FixedClock(NOW)).inbox(person, [org, org], operator=True)
    assert {one.id for one in shown} == {one.id for one in mine}
    assert counted.rows < FEW


class TestActs:
    @pytest.fixture
    async def acts(self, database: Database) -> Database:
        await fill(
            database,
            f"""INSERT INTO kernel.act (id, at, actor, action, object, details, door)
                SELECT {ID}, {AGO}, 'person:' || n % 40, 'key.create', 'key:' || n, '{{}}', '' {N}""",
            f"""INSERT INTO kernel.act (id, at, actor, action, object, details, door)
                SELECT gen_random_uuid(), {AGO}, 'cli', a, 'x:y', '{{}}', ''
                FROM unnest(ARRAY['backup.make', 'governance.seat', 'governance.seat.add', 'governance_seat',
                                  'governance.seats', 'governance.seat_x']) WITH ORDINALITY u (a, n)""",
        )
        return database

    async def test_the_newest_of_a_rare_name_is_found_without_reading_all(self, acts: Database) -> None:
        counted = reading(acts)
        for asked in (ActsAsked(action="backup.make"), ActsAsked(action="backup.make", since=NOW - timedelta(days=9))):
            assert len(await audit.rows(counted, asked, None, 1)) == 1
        assert await audit.rows(counted, ActsAsked(action="vault.rotate"), None, 1) == []
        assert counted.rows < FEW

    async def test_a_name_finds_what_is_below_it_and_nothing_beside_it(self, acts: Database) -> None:
        found = await audit.rows(acts, ActsAsked(action="governance.seat"), None, 9)
        assert {one.action for one in found} == {"governance.seat", "governance.seat.add", "governance_seat"}

    @pytest.mark.parametrize("actor", ["person:7"])
    async def test_somebodys_acts_are_read_alone(self, acts: Database, actor: str) -> None:
        counted = reading(acts)
        found = await audit.rows(counted, ActsAsked(actor=actor, until=NOW), UUID(int=MANY), 20)
        assert [one.actor for one in found] == [actor] * 20
        assert counted.rows < FEW


async def test_a_look_for_events_given_up_reads_those_alone(database: Database) -> None:
    columns = "id, topic, key, payload, created_at, state, attempts, due_at"
    await fill(
        database,
        f"INSERT INTO kernel.event ({columns}) SELECT {ID}, 't', '', '{{}}', {AGO}, 'delivered', 1, {AGO} {N}",
        f"INSERT INTO kernel.event ({columns}) SELECT gen_random_uuid(), 't', '', '{{}}', t, 'failed', 9, t"
        f" FROM (SELECT timestamptz '{NOW}' AS t) one",
    )
    counted = reading(database)
    assert len(await Outbox(counted, FixedClock(NOW)).failed()) == 1
    assert counted.rows < FEW


async def test_a_page_of_requests_for_a_second_person_reads_a_page(database: Database) -> None:
    await fill(
        database,
        f"""INSERT INTO approvals.request (id, kind, subject, payload, state, requested_by, requested_at, expires_at,
                                           decided_by, decided_at, ended_at)
            SELECT {ID}, 'ledger.close', 's', '{{}}', 'done', 'a', {AGO}, {AGO}, 'b', {AGO}, {AGO} {N}""",
    )
    counted = reading(database)
    found = await approvals.requests(counted, None, None, None, 20)
    after = await approvals.requests(counted, None, None, found[-1].id, 20)
    assert (found[0].id.int, after[0].id.int) == (1, 21)
    assert counted.rows < FEW


class TestSweeps:
    """What is looked for every minute."""

    async def test_scans_to_forget(self, database: Database) -> None:
        await fill(
            database,
            f"""INSERT INTO nomads.scan (venue_id, scanner, seq, mark, outcome, admitted, at, forget_on)
                SELECT {ID}, 's', n, '', 'settled', 1, {AGO}, date '{TODAY}' + CASE WHEN n < 9 THEN 0 ELSE 1 END {N}""",
        )
        counted = reading(database)
        await nomads.forget(counted, TODAY, NOW)
        assert counted.rows < FEW
        assert await database.fetchval("SELECT count(*) FROM nomads.scan") == MANY - 8

    async def test_runs_whose_time_is_over(self, database: Database) -> None:
        await fill(
            database,
            "INSERT INTO workflows.workflow (id, org_id, slug, title, made_by, made_at, deleted_by)"
            f" VALUES ('{UUID(int=1)}', '{UUID(int=1)}', 'slug', 't', 'x', '{NOW}', '')",
            f"""INSERT INTO workflows.run (id, workflow, version, org_id, key_id, source, ref, state, course, error,
                  steps, budget_micro, paid_micro, made_at, due_at, expires_at, ended_at, node, depth)
                SELECT {ID}, '{UUID(int=1)}', 1, {ID}, {ID}, 'hand', n::text,
                       CASE WHEN n < 9 THEN 'paused' ELSE 'done' END,
                       '{{}}', '', 1, 1, 0, {AGO} - interval '9 hours', {AGO}, {AGO},
                       CASE WHEN n < 9 THEN NULL ELSE {AGO} END, '', 0 {N}""",
        )
        counted = reading(database)
        assert len(await workflows.overdue(counted, NOW)) == 8
        assert counted.rows < FEW

    async def test_posts_whose_last_day_is_past(self, database: Database) -> None:
        await fill(
            database,
            f"""INSERT INTO board.post (id, kind, org_id, state, title, text, asks, sector, until, shows_name,
                  by_meaning, readiness, revision, made_by, made_at, changed_at, published_at, removed_why)
                SELECT {ID}, 'need', {ID}, 'open', 't', 't', '', 'farming', date '{TODAY}' - 9 + least(n, 50)::int,
                       true, false, 1, 1, 'x', {AGO}, {AGO}, {AGO}, '' {N}""",
        )
        counted = reading(database)
        assert len(await board.over(counted, TODAY)) == 8
        assert counted.rows < FEW

    async def test_awards_that_can_move(self, database: Database) -> None:
        states = (
            "(ARRAY['approved', 'waiting_budget', 'active', 'active', 'active', 'stopped', 'stopped', 'suspended'])"
        )
        await fill(
            database,
            f"""INSERT INTO programmes.application (id, programme, org_id, subject, client_ref, digest, state, round,
                  step, applied_on, content, breaches, actor, created_at, changed_at)
                SELECT {ID}, CASE n WHEN 8 THEN 'watched' WHEN 9 THEN 'watched' ELSE 'other' END, {ID}, {ID}, 'x', '',
                       CASE WHEN n < 9 THEN {states}[n] ELSE 'active' END, 1, 0, date '{TODAY}', '{{}}', 0, 'x',
                       {AGO}, {AGO} {N}""",
            f"""INSERT INTO programmes.tranche (application, n, state, due_on, planned_on, committed, reason,
                                               changed_at)
                SELECT {ID}, 1,
                       CASE n WHEN 4 THEN 'due' WHEN 3 THEN 'planned' WHEN 10 THEN 'planned' ELSE 'released' END,
                       date '{TODAY}' + CASE n WHEN 3 THEN 0 ELSE 1 END, date '{TODAY}', false, '', {AGO} {N}""",
            f"""INSERT INTO programmes.clawback (application, cause, unspent, recovered, owed, actor, at, settled_at)
                SELECT {ID}, 'breach', true, '{{}}', '{{}}', 'x', {AGO}, CASE n WHEN 6 THEN NULL ELSE {AGO} END {N}""",
        )
        counted = reading(database)
        moved = await awards.due(counted, NOW, TODAY, ["watched"], NOW - timedelta(hours=6), 100)
        assert {one.int for one in moved} == {1, 2, 3, 4, 6, 8, 9}
        assert counted.rows < FEW
        async with database.transaction() as conn:
            assert await awards.due(conn, NOW, TODAY, ["watched"], NOW - timedelta(hours=6), 100) == []


async def test_whose_turn_it_is_to_be_read_is_found_among_many_that_wait(database: Database) -> None:
    base = "id, org_id, name, reach, data_class, model, support_bps, secret, personal, made_by, made_at"
    await fill(
        database,
        f"""INSERT INTO retrieval.base ({base})
            SELECT {ID}, {ID}, 'b', 'org', 'general', 'm', 0, '', false, 'x', timestamptz '{NOW}'
              FROM generate_series(1, 3) n""",
        f"""INSERT INTO retrieval.document (id, base_id, name, name_hash, sha256, size_bytes, blob, state, made_by,
                                            made_at, seen_at)
            SELECT {ID}, lpad(to_hex(CASE WHEN n < 3 THEN 2 ELSE 1 END), 32, '0')::uuid, 'd', {SHA}, {SHA}, 1, {ID},
                   CASE WHEN n % 2 = 0 THEN 'waiting' ELSE 'ready' END, 'x', {AGO},
                   CASE WHEN n % 2 = 0 THEN NULL ELSE {AGO} END {N}""",
        "UPDATE retrieval.document SET seen_at = '2020-01-01' WHERE id = lpad('1', 32, '0')::uuid",
    )
    counted = reading(database)
    first = await retrieval.take(counted, "w", NOW, NOW - timedelta(minutes=5))
    assert first is not None
    assert (first.base_id.int, first.id.int) == (2, 2)  # its organisation was served last in 2020
    assert counted.rows < FEW
    second = await retrieval.take(counted, "v", NOW, NOW - timedelta(minutes=5))
    assert second is not None
    assert (second.base_id.int, second.id.int) == (1, MANY)  # the oldest of the other one


async def test_what_changed_in_a_base_is_read_without_what_stayed(database: Database) -> None:
    base = UUID(int=1)
    await fill(
        database,
        f"""INSERT INTO retrieval.document (id, base_id, name, name_hash, sha256, size_bytes, blob, state, made_by,
                                            made_at)
            VALUES ('{base}', '{base}', 'd', sha256(''), sha256(''), 1,
                    '{base}', 'ready', 'x', '{NOW}')""",
        f"""INSERT INTO retrieval.chunk (id, base_id, document_id, n, page, box, heading, text, source, words, length,
                                         edited_at)
            SELECT {ID}, '{base}', '{base}', n, 1, '{{0,0,1,1}}', '', '', '', '', 0,
                   CASE WHEN n <= 3 THEN timestamptz '{NOW}' END {N}""",
    )
    counted = reading(database)
    await retrieval.changed(counted, base, NOW - timedelta(days=1))
    assert counted.rows <= 10


async def test_the_plan_of_a_large_pool_counts_every_node(database: Database) -> None:
    """75 nodes with one model fill 50,000 hours in four weeks: what came last counts as much as what came first."""
    await fill(
        database,
        f"""INSERT INTO pool.hour (node_id, hour, model, calls, failed, prompt_tokens, completion_tokens, busy_ms,
                                   ttft_ms)
            SELECT lpad(to_hex(node), 32, '0')::uuid, timestamptz '{NOW}' - n * interval '1 hour', 'm', 1, 0, 3, 2, 1, 1
              FROM generate_series(1, 100) node, generate_series(1, 600) n""",
    )
    found = await pool.demand(database, NOW - timedelta(days=28))
    assert len(found) == 600
    assert {(one.calls, one.prompt_tokens, one.completion_tokens) for one in found} == {(100, 300, 200)}
    assert found[-1].hour == NOW - timedelta(hours=1)


async def test_a_public_account_is_read_without_what_other_budgets_paid(database: Database) -> None:
    await fill(
        database,
        f"""INSERT INTO programmes.payment (application, n, ordinal, to_org, asset, provenance, budget, amount,
                                            released)
            SELECT {ID}, 0, 0, {ID}, 'credit', 'subsidy', CASE WHEN n = 1 THEN 'charity_fund' ELSE 'other' END, 2, 1
            {N}""",
    )
    counted = reading(database)
    assert dict(await awards.spent(counted, ["charity_fund"])) == {"charity_fund": 1}
    assert dict(await awards.committed(counted, ["charity_fund"])) == {}
    assert counted.rows < FEW
