"""A page asks the database as often for many rows as for few."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from tests.doors.town import BY, Route, Town, answer

from shanhe.board.api import Kind, Words
from shanhe.datasets.api import NewDataset
from shanhe.identity.api import NewPerson, Role
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset
from shanhe.store.api import Kind as Thing
from shanhe.store.api import NewListing, Terms
from stage.reading import asked, fill

FEW, MANY = 3, 15
PAGES: Final = (
    "/board", "/api/board/posts", "/board/mine", "/studio", "/studio/flow", "/makers", "/api/store/mine",
    "/settings", "/api/identity/me", "/city/audit", "/city/ledger/accounts", "/members",
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
        for owner in (own, town.company):
            words, post = Words(Kind.NEED, f"需求 {n}", TEXT, "manufacturing", today + timedelta(days=30)), new_id()
            await services.board.posts.write(post, owner, words, actor=BY)
            await services.board.posts.publish(post, owner)
        rows_of = f"question,answer\n第 {new_id().hex} 问,答\n".encode()
        made = NewDataset(f"数据 {new_id().hex[-6:]}", "pairs", "CC0-1.0", "own")
        await services.workshop.datasets.bring(town.company, made, "a.csv", rows_of, by=BY)
        slug = f"listing-{new_id().hex[-8:]}"
        listing = await services.store.open(NewListing(new_id(), Thing.PROMPT, slug, "提示", "Prompt"),
                                            owner=town.company, actor=BY)  # fmt: skip
        await services.store.draft(
            listing.name, {"text": "Write about {subject}."}, Terms(MARKUP_BPS), owner=town.company, actor=BY
        )
    await fill(
        services.db,
        f"""INSERT INTO kernel.act (id, at, actor, action, object, details, door)
            SELECT gen_random_uuid(), now(), 'person:' || gen_random_uuid(), 'key.create', 'x:y', '{{}}', ''
              FROM generate_series(1, {rows})""",
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
