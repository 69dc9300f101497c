"""A page asks the database as often for many rows as for few."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from tests.doors.town import BY, Route, Town, answer

from shanhe.board.api import Kind, Words
from shanhe.datasets.api import NewDataset
from shanhe.identity.api import NewPerson, Role
from shanhe.ip.api import Kind as Right
from shanhe.ip.api import NewEntry
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset
from shanhe.programmes.second import CLAWBACK
from shanhe.science.api import How, NewVersion
from shanhe.science.api import Kind as Output
from shanhe.store.api import Kind as Thing
from shanhe.store.api import NewListing, Terms
from stage.reading import asked, fill

FEW, MANY = 3, 15
PAGES: Final = (
    "/board", "/api/board/posts", "/board/mine", "/studio", "/studio/flow", "/makers", "/api/store/mine",
    "/settings", "/api/identity/me", "/city/audit", "/city/ledger/accounts", "/members", "/api/board/matches",
    "/science", "/api/science", "/science/mine", "/api/science/mine", "/api/science/reuses", "/ip", "/api/ip",
    "/ip/mine", "/api/ip/mine", "/bookings", "/bookings?service=desk", "/api/incubator/bookings",
    "/city/services", "/city/contests", "/city/accounts", "/store/ranks", "/city/second", "/city/programmes",
)  # fmt: skip
MARKUP_BPS: Final = 2_000
TEXT: Final = "要一套焊缝检测设备，节拍三十秒，能认出气孔与咬边，现场有网络，九月试机。"


async def grow(town: Town, person: UUID, rows: int) -> None:
    """So many more of what the pages list, each of an organisation of its own where it has one."""
    services, today = town.services, town.services.clock.today()
    for n in range(rows):
        org = await town.organisation(f"第 {new_id().hex[-6:]} 号公司")
        await town.identity.orgs.set_member(org, person, Role.MEMBER, by=BY)
        somebody = await town.identity.people.create(NewPerson("周敏", f"p{new_id().hex[-12:]}"), by=BY)
        await town.identity.orgs.set_member(town.company, somebody.id, Role.MEMBER, by=BY)
        own = (await town.identity.orgs.create_personal(somebody.id, by=BY)).id
        await services.ledger.ensure_account(own, Asset.CREDIT, "wallet")
        posts = {Kind.NEED: new_id(), Kind.SOLUTION: new_id()}
        for kind, owner in ((Kind.SOLUTION, own), (Kind.NEED, town.company)):
            words = Words(kind, f"需求 {n}", TEXT, "manufacturing", today + timedelta(days=30), readiness=6)
            await services.board.posts.write(posts[kind], owner, words, actor=BY)
            await services.board.posts.publish(posts[kind], owner)
        await services.board.meetings.interest(
            new_id(), own, posts[Kind.NEED], posts[Kind.SOLUTION], "愿意洽谈，请看附上的说明。", actor=BY
        )
        await register(town, own)
        rows_of = f"question,answer\n第 {new_id().hex} 问,答\n".encode()
        made = NewDataset(f"数据 {new_id().hex[-6:]}", "pairs", "CC0-1.0", "own")
        await services.workshop.datasets.bring(town.company, made, "a.csv", rows_of, by=BY)
        slug = f"listing-{new_id().hex[-8:]}"
        listing = await services.store.open(NewListing(new_id(), Thing.PROMPT, slug, "提示", "Prompt"),
                                            owner=town.company, actor=BY)  # fmt: skip
        await services.store.draft(
            listing.name, {"text": "Write about {subject}."}, Terms(MARKUP_BPS), owner=town.company, actor=BY
        )
    await book(town, rows)
    await ask(town, rows)
    await fill(
        services.db,
        f"""INSERT INTO kernel.act (id, at, actor, action, object, details, door)
            SELECT gen_random_uuid(), now(), 'person:' || gen_random_uuid(), 'key.create', 'x:y', '{{}}', ''
              FROM generate_series(1, {rows})""",
    )


async def register(town: Town, own: UUID) -> None:
    """A right of both and an output of each, reused by the other; what is registered is shown."""
    rights, science = town.services.commons.rights, town.services.commons.science
    number, halves = new_id().hex[-10:], ((town.company, 500_000), (own, 500_000))
    entry = NewEntry(new_id(), Right.SOFTWARE_COPYRIGHT, number, "质检软件", "找缺陷。", "版权中心", None,
                     town.services.clock.today(), "", halves)  # fmt: skip
    await rights.draft(entry, org_id=town.company, actor=BY)
    outputs = {}
    for author in (own, town.company):
        outputs[author] = new_id()
        version = NewVersion("焊缝照片", "三百张照片。", "CC-BY-4.0", "a" * 64, "", ((author, 1_000_000),))
        await science.deposit(outputs[author], Output.DATASET, version, org_id=author, actor=BY)
        await science.publish(outputs[author], org_id=author, actor=BY)
    for author, user in ((own, town.company), (town.company, own)):
        await science.declare(new_id(), outputs[author], How.PAPER, f"10.1234/{number}.{user}", org_id=user, actor=BY)


async def ask(town: Town, rows: int) -> None:
    """Awards of as many organisations that a second person is asked to take back, and listings with a place."""
    now = town.services.clock.now()
    await fill(
        town.services.db,
        f"""WITH made AS (
              INSERT INTO identity.organisation (id, kind, name, created_at)
              SELECT gen_random_uuid(), 'company', '公司 ' || gen_random_uuid(), '{now}'
                FROM generate_series(1, {rows}) RETURNING id),
            applied AS (
              INSERT INTO programmes.application (id, programme, org_id, subject, client_ref, digest, state, applied_on,
                                                  content, actor, created_at, changed_at)
              SELECT gen_random_uuid(), 'software_copyright', id, id, 'a', '', 'active', '{now:%Y-%m-%d}', '{{}}', 'x',
                     '{now}', '{now}' FROM made RETURNING id, org_id)
            INSERT INTO approvals.request (id, kind, subject, payload, state, requested_by, requested_at, expires_at,
                                           about)
            SELECT gen_random_uuid(), '{CLAWBACK}', id, '{{"amount": 1, "reason": "r", "note": "n"}}', 'open',
                   'person:' || gen_random_uuid(), '{now}', timestamptz '{now}' + interval '9 days', org_id
              FROM applied""",
        """INSERT INTO store.rank_month (month, fixed_at) VALUES ('2026-01-01', '2026-02-01') ON CONFLICT DO NOTHING""",
        """INSERT INTO store.rank (month, kind, place, listing, owner, score)
           SELECT '2026-01-01', kind, row_number() OVER (ORDER BY id), id, owner, 1 FROM store.listing
               ON CONFLICT DO NOTHING""",
    )


async def book(town: Town, rows: int) -> None:
    """Bookings of the company, of a desk each, contests with a juror, and rights shown to all."""
    org, now = town.company, town.services.clock.now()
    await fill(
        town.services.db,
        f"""WITH made AS (
              INSERT INTO incubator.resource (id, service, name_zh, name_en, place, opens_hour, closes_hour, seats,
                                              added_by, added_at)
              SELECT gen_random_uuid(), 'desk', 'd', 'd', 'p', 0, 24, 9, 'x', '{now}'
                FROM generate_series(1, {rows}) RETURNING id)
            INSERT INTO incubator.booking (id, resource, service, org_id, month, starts_at, ends_at, units, state,
                                           version, trace, booked_by, booked_at)
            SELECT gen_random_uuid(), id, 'desk', '{org}', date_trunc('month', timestamptz '{now}'), '{now}',
                   timestamptz '{now}' + interval '1 day', 1, 'booked', 'v', '{{}}', 'x', '{now}' FROM made""",
        f"""WITH called AS (
              INSERT INTO store.contest (id, title_zh, title_en, call_zh, call_en, pool_fen, opens_on, entries_until,
                                         judged_until, created_at, created_by)
              SELECT gen_random_uuid(), 't', 't', 'c', 'c', 100, '2026-01-01', '2026-01-02', '2026-01-03', '{now}',
                     'x' FROM generate_series(1, {rows}) RETURNING id)
            INSERT INTO store.contest_juror (contest, person, named_at, named_by)
            SELECT called.id, (SELECT id FROM identity.person LIMIT 1), '{now}', 'x' FROM called""",
        f"""UPDATE ip.entry SET state = 'verified', filed_at = '{now}', decided_at = '{now}', decided_by = 'x'""",
        f"""UPDATE ip.terms SET state = 'in_force', settled_at = '{now}'""",
    )


class TestStatements:
    async def test_do_not_grow_with_the_rows_of_a_list(self, town: Town) -> None:
        person = await town.person(Role.ADMIN, org=town.company)
        counts: dict[str, list[int]] = {path: [] for path in PAGES}
        async with await town.browser(person) as boss:
            for rows in (FEW, MANY):
                await grow(town, person, rows)
                for path in PAGES:
                    await answer(boss, Route("GET", path), path)  # what is kept in memory is read by the first
                    with asked() as said:
                        response = await answer(boss, Route("GET", path), path)
                    assert response is not None
                    assert response.status_code == 200, path
                    counts[path].append(len(said))
        assert {path: found for path, found in counts.items() if found[1] > found[0]} == {}
