"""Many at once: makers draft, hand in, recall and withdraw, reviewers and the city decide, users pay, some die.

Whatever came first: what is for sale is the version that was approved, a call is parted by the terms of one version,
and no listing goes from a state to another unrecorded.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from shanhe.gateway.api import CallError, ResourceTerms
from shanhe.gateway.charges import ChargeBook
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.ledger.api import Asset, Ledger
from shanhe.rulebook.api import Rulebook
from shanhe.store.api import Kind, NewListing, Store, Terms
from shanhe.store.model import Words
from stage import crowds

ROUNDS_QUICK, ROUNDS_PROVED, AT_ONCE = 12, 30, 7
SEEDS_QUICK, SEEDS_PROVED = 2, 100
DIES = 0.004
WHOLE = 1_000_000
RULEBOOK = Rulebook.load()
SOLD = """
  SELECT l.id, l.kind || '/' || l.slug AS name, l.state, v.terms, r.open, r.markup_bps
    FROM store.listing l LEFT JOIN store.version v ON v.listing = l.id AND v.state = 'approved'
    LEFT JOIN gateway.resource r ON r.name = l.kind || '/' || l.slug"""
MOVES = "SELECT listing, was, becomes FROM store.move ORDER BY listing, id"
LATE = "SELECT id FROM store.version WHERE state = 'announced' AND starts_on <= $1"
UNTOLD = """
  SELECT id FROM store.version WHERE state IN ('approved', 'announced', 'rejected') AND decided_by <> 'reviewer'"""


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, clock: FixedClock, seed: int) -> None:
        super().__init__(db, seed)
        self.clock, self.ledger = clock, Ledger(db, clock, worker="one", workers=1)
        self.books = [self.book() for _ in range(2)]
        self.stores = [self.store_of(book) for book in self.books]
        self.owners, self.users = [uuid4() for _ in range(2)], [uuid4() for _ in range(2)]
        self.names: list[tuple[str, UUID]] = []
        self.wanted: dict[int, Terms] = {}
        self.number = 0
        self.draws = [
            (self.draft, 14), (self.submit, 16), (self.recall, 4), (self.describe, 3), (self.review, 20),
            (self.deprecate, 2), (self.relist, 2), (self.withdraw, 2), (self.remove, 2), (self.restore, 3),
            (self.start, 6), (self.pay, 16), (self.rate, 4), (self.reply, 2), (self.forget, 1),
        ]  # fmt: skip

    def book(self) -> ChargeBook:
        async def related(one: UUID, other: UUID) -> bool:
            return False

        async def referrer(payer: UUID) -> None:
            return None

        return ChargeBook(self.db, self.clock, self.ledger, RULEBOOK, related, referrer)

    def store_of(self, book: ChargeBook) -> Store:
        async def used(*_: Any) -> list[Any]:
            return [SimpleNamespace(org_id=user, amount_micro=5, resource="", calls=1, payers=1) for user in self.users]

        async def names(orgs: Any) -> dict[UUID, str]:
            return {}

        async def related(one: UUID, other: UUID) -> bool:
            return False

        gateway = SimpleNamespace(charges=book, through=used, payers=used, list_prices=lambda model: ())
        return Store(
            self.db, self.clock, gateway=cast("Any", gateway), ledger=self.ledger, rulebook=RULEBOOK, checks={},
            names=names, related=related, notifier=Notifier(self.db, self.clock),
        )  # fmt: skip

    async def live(self, rounds: int) -> None:
        for n in range(3):
            owner = self.owners[n % 2]
            new = NewListing(new_id(), Kind.PROMPT, f"thing-{n}", "信函", "Letters", "写信")
            self.names.append(((await self.stores[0].open(new, owner=owner, actor="tests")).name, owner))
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 900, 90_000, 3_000_000)))
            await self.round(AT_ONCE, dies=DIES)
            await self.compare()
        self.clock.advance(days=60)
        await self.stores[0].start_due()
        await self.compare()
        assert await self.db.fetch(LATE, self.clock.today()) == []
        await self.ledger.stop()

    @property
    def store(self) -> Store:
        return self.rng.choice(self.stores)

    def one(self) -> tuple[str, UUID]:
        return self.rng.choice(self.names)

    # -- makers -------------------------------------------------------------------------------------------------------

    async def draft(self) -> None:
        """Terms that are told from all others by their markup."""
        (name, owner), self.number = self.one(), self.number + 1
        share = self.rng.choice((WHOLE, 600_000, 250_000))
        others = (
            () if share == WHOLE else ((self.owners[0] if owner == self.owners[1] else self.owners[1]), WHOLE - share)
        )
        makers = ((owner, share), others) if others else ((owner, share),)
        terms = Terms(1_000 + self.number, self.rng.choice((0, 5)), makers=cast("Any", makers))
        self.wanted[terms.markup_bps] = terms
        await self.store.draft(name, {"text": f"{self.number}"}, terms, owner=owner, actor="tests")

    async def submit(self) -> None:
        name, owner = self.one()
        await self.store.submit(name, owner=owner)

    async def recall(self) -> None:
        name, owner = self.one()
        await self.store.recall(name, owner=owner)

    async def describe(self) -> None:
        name, owner = self.one()
        self.number += 1
        words = Words(f"信函 {self.number}", "Letters", "写信", "", "general")
        await self.store.describe(name, words, owner=owner, actor="tests")

    async def deprecate(self) -> None:
        name, owner = self.one()
        await self.store.deprecate(name, owner=owner, actor="tests")

    async def relist(self) -> None:
        name, owner = self.one()
        await self.store.relist(name, owner=owner, actor="tests")

    async def withdraw(self) -> None:
        name, owner = self.one()
        await self.store.withdraw(name, owner=owner, actor="tests")

    async def forget(self) -> None:
        if self.rng.random() < 0.3:
            await self.store.forget(self.rng.choice(self.owners), actor="tests")

    # -- the city -----------------------------------------------------------------------------------------------------

    async def review(self) -> None:
        """Who decides has read what they decide about."""
        queue = await self.store.queue()
        if queue:
            listing, version = self.rng.choice(queue)
            await self.db.pause()
            done = await self.store.review(
                listing.name, version.n, approve=self.rng.random() < 0.8, note="so", reviewer="reviewer",
                reviewer_org=None,
            )  # fmt: skip
            assert (done.content, done.terms) == (version.content, version.terms)

    async def remove(self) -> None:
        await self.store.remove(self.one()[0], reason="bad", actor="city", actor_org=None)

    async def restore(self) -> None:
        await self.store.restore(self.one()[0], reason="good", actor="city", actor_org=None)

    async def start(self) -> None:
        await self.store.start_due()

    # -- users --------------------------------------------------------------------------------------------------------

    async def pay(self) -> None:
        """Calls one after another, each parted by the terms of one version: its markup, its fee and its makers."""
        name = self.one()[0]
        for _ in range(4):
            await self._call(name)

    async def _call(self, name: str) -> None:
        try:
            found = await self.rng.choice(self.books).commission(self.rng.choice(self.users), [name])
        except CallError as error:
            self.refused.append(f"pay: {error.code}")
            return
        (markup,) = found.markups
        terms = self.wanted[markup.rate_bps]
        expected = [
            ((await self.ledger.ensure_account(maker, Asset.CREDIT, "income")).id, share)
            for maker, share in terms.makers
        ]
        assert [(maker.account, maker.weight) for maker in markup.makers] == expected
        assert markup.fee_micro == terms.fee_micro

    async def rate(self) -> None:
        await self.store.rate(
            self.one()[0], org_id=self.rng.choice(self.users), stars=self.rng.randint(1, 5), text="good", actor="tests"
        )

    async def reply(self) -> None:
        name, owner = self.one()
        for said in (await self.store.ratings(name))[:1]:
            await self.store.reply(said.id, owner=owner, text="thanks", actor="tests")
            if self.rng.random() < 0.3:
                async with self.db.transaction() as conn:
                    await self.store.strike(f"rating/{said.id}", conn)

    # -- between rounds -----------------------------------------------------------------------------------------------

    async def compare(self) -> None:
        states: dict[UUID, str] = {}
        for row in await self.db.fetch(SOLD):
            states[row["id"]] = row["state"]
            sells = row["state"] in ("listed", "deprecated")
            assert bool(row["open"]) == sells
            if sells:
                assert row["terms"]["markup_bps"] == row["markup_bps"]
        stands = dict.fromkeys(states, "draft")
        for row in await self.db.fetch(MOVES):
            assert stands[row["listing"]] == row["was"]
            stands[row["listing"]] = row["becomes"]
        assert stands == states
        assert await self.db.fetch(UNTOLD) == []


class Meanwhile(Database):
    """After the first read something else happens."""

    def __init__(self, db: Database, then: Callable[[], Awaitable[None]]) -> None:
        super().__init__(db.dsn, db._reading, db.pool)
        self._then: Callable[[], Awaitable[None]] | None = then

    @contextlib.asynccontextmanager
    async def _read(self) -> AsyncIterator[Any]:
        async with super()._read() as connection:
            yield connection
        then, self._then = self._then, None
        if then is not None:
            await then()


class TestTerms:
    NAME = "prompt/thing"

    async def publish(self, book: ChargeBook, markup_bps: int, *makers: UUID) -> None:
        shares = tuple((maker, WHOLE // len(makers)) for maker in makers)
        terms = ResourceTerms(name=self.NAME, role="maker", markup_bps=markup_bps, makers=shares)
        await book.publish(terms, actor="tests")

    async def test_of_a_call_are_all_of_one_version(self, database: Database, clock: FixedClock) -> None:
        crowd = Crowd(database, clock, 0)
        (one, other), book = crowd.owners, crowd.books[0]
        await self.publish(book, 1_000, one)
        crowd.db = cast("Any", Meanwhile(database, lambda: self.publish(book, 2_000, other)))
        (markup,) = (await crowd.book().commission(uuid4(), [self.NAME])).markups
        earns = await crowd.ledger.ensure_account(one, Asset.CREDIT, "income")
        assert (markup.rate_bps, [maker.account for maker in markup.makers]) == (1_000, [earns.id])
        await crowd.ledger.stop()

    async def test_with_other_makers_than_answered_pay_by_their_recorded_shares(
        self, database: Database, clock: FixedClock
    ) -> None:
        """An alliance changed its members while one of its runs went on."""
        crowd = Crowd(database, clock, 0)
        await self.publish(crowd.books[0], 1_000, *crowd.owners)
        found = await crowd.books[0].commission(uuid4(), [self.NAME], weights={self.NAME: (7, 2, 1)})
        assert [maker.weight for maker in found.markups[0].makers] == [WHOLE // 2] * 2
        await crowd.ledger.stop()


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_sells_what_was_approved(self, database: Database, clock: FixedClock, seed: int) -> None:
        await Crowd(database, clock, seed).live(ROUNDS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_sells_what_was_approved_whoever_is_first(
        self, database: Database, clock: FixedClock, seed: int
    ) -> None:
        await Crowd(database, clock, seed).live(ROUNDS_PROVED)
