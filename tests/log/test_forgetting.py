"""A person is erased: what the log hid of them can be neither opened nor guessed, and every proof stays what it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from shanhe.app import Services, open_services
from shanhe.identity.api import NewOrganisation, NewPerson, OrgKind
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.log.api import NotSealedYet, OpeningErased, verify
from shanhe.log.leaf import commitment, private_of
from shanhe.log.note import b64
from shanhe.settings import Settings
from shanhe.timetable import register_jobs

CREDIT = 1_000_000


@pytest.fixture
async def services(dsn: str, tmp_path: Path, clock: FixedClock) -> AsyncIterator[Services]:
    settings = Settings(database_url=dsn, data=tmp_path, with_model=False)
    async with open_services(settings, "cli", clock) as opened:
        register_jobs(opened)
        yield opened


async def person(services: Services) -> tuple[UUID, UUID]:
    """Somebody with an organisation of their own and credits in it: (person, organisation)."""
    made = await services.identity.people.create(NewPerson("李四", login="lisi"), by="test")
    own = await services.identity.orgs.create_personal(made.id, by="test")
    return made.id, own.id


async def paid(services: Services, org: UUID) -> UUID:
    """The posting of a top-up, with a reason in it that is nobody else's business."""
    bought = await services.credits.top_up(org, 5 * CREDIT, "给李四的奖励", "test", client_ref=str(new_id()))
    return bought.posting_id


async def recorded(services: Services, about: UUID) -> UUID:
    entry = new_id()
    async with services.db.transaction() as conn:
        public = {"programme": "role_grant", "decision": "grant"}
        await services.log.record(conn, "programme.decided", public, {"of": str(about)}, id=entry, about=[about])
    return entry


async def found_anywhere(services: Services, needle: bytes) -> list[str]:
    """Columns of bytes, of any table, in which these bytes still stand."""
    columns = await services.db.fetch(
        """SELECT table_schema AS s, table_name AS t, column_name AS c FROM information_schema.columns
           WHERE data_type = 'bytea' AND table_schema NOT LIKE 'pg%'"""
    )
    return [
        f"{row['s']}.{row['t']}.{row['c']}"
        for row in columns
        if await services.db.fetchval(
            f'SELECT EXISTS (SELECT FROM "{row["s"]}"."{row["t"]}" WHERE position($1 IN "{row["c"]}") > 0)', needle
        )
    ]


class TestErasure:
    async def test_leaves_proofs_valid_and_what_they_hid_unguessable(self, services: Services) -> None:
        log = services.log
        person_id, org = await person(services)
        other = (await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "某公司"), by="test")).id
        theirs, foreign = await paid(services, org), await paid(services, other)
        decision = await recorded(services, person_id)
        await log.seal()
        proofs = {subject: await log.prove(subject) for subject in (theirs, decision, foreign)}
        for proof in proofs.values():
            assert verify(str(proof).encode(), log.verifiers()).private is not None
        head = await services.db.fetchrow("SELECT size, root FROM log.checkpoint ORDER BY size DESC LIMIT 1")
        salt, leaf = proofs[theirs].salt, proofs[theirs].entry
        assert salt is not None
        assert await found_anywhere(services, salt) == ["log.opening.salt"]

        await services.identity.people.erase(person_id, by="test")
        assert await services.outbox.deliver_due() == 1

        # Who took a proof before keeps it; nobody gets a new one of what was hidden.
        for proof in proofs.values():
            assert verify(str(proof).encode(), log.verifiers()).private is not None
        for subject in (theirs, decision):
            with pytest.raises(OpeningErased):
                await log.prove(subject)
        # The ledger still knows what was booked, but without the salt nothing leads from it to the leaf.
        posting = await log._feed.one(theirs)
        assert posting is not None
        plain = private_of(posting)
        assert b64(commitment(salt, plain)).encode() in leaf
        assert await found_anywhere(services, salt) == []
        salts = [row["salt"] for row in await services.db.fetch("SELECT salt FROM log.opening")]
        assert all(b64(commitment(one, plain)).encode() not in leaf for one in salts)
        assert await services.db.fetchval("SELECT count(*) FROM log.opening WHERE private LIKE $1",
                                          b"%" + str(person_id).encode() + b"%") == 0  # fmt: skip
        # Root and other proofs stand, and the log goes on from there.
        await paid(services, other)
        await log.seal()
        grown = await log.prove(foreign)
        assert verify(str(grown).encode(), log.verifiers()).private is not None
        assert grown.entry == proofs[foreign].entry
        assert (await log.store.checkpoint(head["size"])).root == head["root"]  # type: ignore[union-attr]

    async def test_waits_for_what_is_not_sealed_yet(self, services: Services, clock: FixedClock) -> None:
        person_id, org = await person(services)
        posting = await paid(services, org)
        await services.identity.people.erase(person_id, by="test")
        await services.outbox.deliver_due()
        with pytest.raises(NotSealedYet):
            await services.log.forget([person_id, org])
        await services.log.seal()
        clock.advance(minutes=15)
        assert await services.outbox.deliver_due() == 1
        with pytest.raises(OpeningErased):
            await services.log.prove(posting)
        assert await services.outbox.failed() == []

    async def test_a_second_time_forgets_nothing_more(self, services: Services) -> None:
        person_id, _ = await person(services)
        await services.identity.people.erase(person_id, by="test")
        await services.identity.people.erase(person_id, by="test")
        assert await services.outbox.deliver_due() == 1
        assert await services.log.forget([person_id]) == 0
