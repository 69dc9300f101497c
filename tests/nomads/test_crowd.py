"""Many at once: nomads apply, appeal and check in, gates and scanners take tickets, venues take passes, clerks revoke,
two jobs workers repair, some die.

Whatever came first: a person has one card at a time, a ticket and a pass serve once, a card that has ended holds
nothing, and what others are told of a nomad is what the card says.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shanhe.identity.api import PersonState
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Ledger, Posting, Transfer
from shanhe.nomads.api import Card, Nomads, Scan, Venue, VenueKind
from stage import crowds

from .conftest import RULEBOOK, START, Town, seeded

ROUNDS_QUICK, ROUNDS_PROVED, AT_ONCE = 14, 32, 7
SEEDS_QUICK, SEEDS_PROVED = 2, 60
DIES = 0.004
PEOPLE = 4
ENOUGH_DAYS = 90
VOUCHERS_FEN, COURSES_FEN, PRICE_FEN = 3_000, 400_000, 100_000
A_YEAR = {"attraction": ("N4", "tickets"), "night": ("N8", "nights"), "course": ("N6", "courses")}
NEVER = (
    "SELECT id FROM nomads.decision d WHERE granted AND NOT EXISTS (SELECT FROM nomads.card c WHERE c.id = d.card)",
    "SELECT id FROM nomads.card c WHERE NOT EXISTS (SELECT FROM nomads.decision d WHERE d.card = c.id)",
    "SELECT a.id FROM nomads.card a JOIN nomads.card b ON a.person_id = b.person_id AND a.id < b.id AND a.revoked_at"
    " IS NULL AND b.revoked_at IS NULL AND a.valid_from <= b.valid_until AND b.valid_from <= a.valid_until",
)
WAITS = (
    "SELECT id FROM nomads.card WHERE NOT settled AND revoked_at IS NULL",
    "SELECT id FROM nomads.card WHERE NOT ended AND revoked_at IS NOT NULL",
    "SELECT ticket FROM nomads.redemption WHERE NOT posted",
    "SELECT id FROM nomads.appeal WHERE state = 'upheld' AND NOT settled",
)
USED = """
  SELECT coalesce(sum(t.amount), 0)::int FROM ledger.transfer t JOIN ledger.posting p ON p.id = t.posting
   WHERE p.kind = $2 AND t.debit = $1"""
KINDS = {"night": "stay", "course": "course"}
REFUSED = "SELECT id, person_id FROM nomads.decision WHERE NOT granted ORDER BY id DESC LIMIT 4"
ISSUED = "SELECT count(*) FROM kernel.event WHERE topic = 'nomads.card_issued'"
SHOWN = "SELECT id FROM ledger.posting WHERE kind IN ('stay', 'course', 'voucher')"
TALLIED = "SELECT coalesce(sum(uses), 0)::int FROM nomads.venue_day WHERE what = $1"


class Going(FixedClock):
    """What is said later is known later, also in one round."""

    def now(self) -> datetime:
        self.advance(microseconds=1)
        return super().now()


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, seed: int, folder: Path) -> None:
        super().__init__(db, seed)
        self.clock, vault = Going(START), Vault(folder / "keys")
        self.ledger = Ledger(db, self.clock, worker="one", workers=1)
        self.towns = [Town(self.db, self.clock, vault, self.ledger) for _ in range(2)]
        self.refs: list[tuple[UUID, str]] = []
        self.codes: list[str] = []
        self.scans: list[Scan] = []
        self.takers: dict[UUID, set[object]] = defaultdict(set)
        self.sent: list[tuple[str, Venue, int]] = []
        self.answers: dict[str, set[UUID]] = defaultdict(set)
        self.numbers = itertools.count()
        self.draws = [
            (self.apply, 12), (self.apply_again, 4), (self.revoke, 2), (self.tick, 6), (self.look, 6),
            (self.redeem, 10), (self.scan, 8), (self.report_again, 4), (self.show, 16), (self.show_again, 12),
            (self.check_in, 4), (self.appeal, 4), (self.decide, 4), (self.erase, 1),
        ]  # fmt: skip

    @property
    def nomads(self) -> Nomads:
        return self.rng.choice(self.towns).nomads

    async def live(self, rounds: int) -> None:
        town = self.towns[0]
        await town.fund("nomad_vouchers", PEOPLE * VOUCHERS_FEN)
        await town.fund("nomad_courses", COURSES_FEN)
        self.people = [await town.nomad() for _ in range(PEOPLE)]
        self.clerk = await town.nomad("办事员")
        self.gate = await town.venue("云台山", VenueKind.ATTRACTION)
        self.places = [await town.venue("茶馆", VenueKind.MERCHANT), await town.venue("客栈", VenueKind.LODGING),
                       await town.venue("医院", VenueKind.CLINIC),
                       await town.venue("学院", VenueKind.ACADEMY, certified=True)]  # fmt: skip
        self.purses = [await self._funded(person) for person in self.people]
        await self.live_here(ENOUGH_DAYS)
        for _ in range(rounds):
            if self.rng.random() < 0.15:
                await self.live_here(self.rng.choice((45, 100, 150)))
            self.clock.advance(seconds=self.rng.choice((0, 1, 30, 30, 900, 90_000)))
            await self.round(AT_ONCE, dies=DIES)
            for query in NEVER:
                assert await self.db.fetch(query) == [], query
        await self.come_to_rest()

    async def _funded(self, person: UUID) -> UUID:
        """Vouchers that a sponsor paid for; where they are."""
        town = self.towns[0]
        budget = await town.programmes.budgets._books.budget("nomad_vouchers")
        purse = await town.ledger.ensure_account(await town.nomads._ground.purse(person), Asset.VOUCHER, "wallet")
        leg = Transfer(new_id(), budget.id, purse.id, VOUCHERS_FEN)
        await town.ledger.post(Posting(id=new_id(), kind="test", transfers=(leg,), actor="test", memo="N7"))
        return purse.id

    async def live_here(self, days: int) -> None:
        """So many days that count, of all but one."""
        here = self.rng.sample(self.people, PEOPLE - 1)
        for person in here:
            if (await self.towns[0].identity.people.get(person)).state is PersonState.ERASED:
                continue
            nomad = await self.towns[0].nomads.presence.nomad(person)
            async with self.db.transaction() as conn:
                for n in range(days):
                    await seeded(self.towns[0].nomads, conn, nomad, self.clock.today() + timedelta(days=n))
        self.clock.advance(days=days)

    def person(self) -> UUID:
        return self.rng.choice(self.people)

    # -- cards --------------------------------------------------------------------------------------------------------

    async def apply(self) -> None:
        self.refs.append((self.person(), f"{next(self.numbers)}"))
        await self._apply(*self.refs[-1])

    async def apply_again(self) -> None:
        if self.refs:
            await self._apply(*self.rng.choice(self.refs[-4:]))

    async def _apply(self, person: UUID, ref: str) -> None:
        await self.nomads.apply(person, client_ref=ref, actor="test")

    async def revoke(self) -> None:
        cards = await self.db.fetch("SELECT id FROM nomads.card ORDER BY id")
        if cards:
            await self.nomads.revoke(self.rng.choice(cards)["id"], "冒名取得", actor="test")

    async def erase(self) -> None:
        person = self.person()
        await self.towns[0].identity.people.erase(person, by="test")
        await self.nomads.forget(person)

    async def tick(self) -> None:
        await self.nomads.tick()

    async def appeal(self) -> None:
        rows = await self.db.fetch(REFUSED)
        if rows:
            row, today = self.rng.choice(rows), self.clock.today()
            days = [today - timedelta(days=n) for n in range(self.rng.choice((1, ENOUGH_DAYS)))]
            await self.nomads.appeals.file(
                row["person_id"], row["id"], why="在此", days=days, evidence="票据", appeal_id=uuid4()
            )

    async def decide(self) -> None:
        rows = await self.db.fetch("SELECT id FROM nomads.appeal ORDER BY id DESC LIMIT 3")
        if rows:
            uphold = self.rng.random() < 0.8
            await self.nomads.decide_appeal(self.rng.choice(rows)["id"], self.clerk, uphold=uphold, answer="已核")

    async def check_in(self) -> None:
        nomads = self.nomads
        await nomads.presence.check_in(self.person(), nomads.venues.code(self.rng.choice(self.places)))

    # -- tickets ------------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        purse = await self.nomads.benefits.purse(self.person())
        self.codes += [one.code for one in purse.tickets if one.code]

    def code(self) -> str:
        return self.rng.choice(self.codes[-8:])

    def ticket(self, code: str) -> UUID:
        return self.towns[0].nomads.benefits.ticket(code).id

    async def redeem(self) -> None:
        if self.codes:
            code = self.code()
            self.takers[self.ticket(code)].add("gate")
            await self.nomads.benefits.redeem(
                self.gate, code, companions=self.rng.randrange(4), holder_present=self.rng.random() < 0.9
            )

    async def scan(self) -> None:
        if self.codes:
            self.scans.append(Scan(self.code(), self.clock.now(), self.rng.choice("ab"), next(self.numbers)))
            await self._report(self.scans[-1:])

    async def report_again(self) -> None:
        await self._report(self.scans[-self.rng.randint(1, 3) :])

    async def _report(self, scans: list[Scan]) -> None:
        for one in scans:
            self.takers[self.ticket(one.code)].add((one.scanner, one.seq))
        await self.nomads.offline.sync(self.gate, scans)

    # -- passes -------------------------------------------------------------------------------------------------------

    async def show(self) -> None:
        town, units = self.rng.choice(self.towns), self.rng.choice((1, 7, 30))
        self.sent.append((await town.pass_of(self.person()), self.rng.choice(self.places), units))
        await self._send(*self.sent[-1])

    async def show_again(self) -> None:
        """The same once more, or the same pass for something else."""
        if self.sent:
            code, venue, units = self.rng.choice(self.sent[-3:])
            if self.rng.random() < 0.5:
                venue, units = self.rng.choice(self.places), self.rng.choice((1, 7))
            await self._send(code, venue, units)

    async def _send(self, code: str, venue: Venue, units: int) -> None:
        benefits, done = self.nomads.benefits, None
        if venue.kind is VenueKind.MERCHANT:
            done = (await benefits.pay(venue, code, units * 100)).id
        elif venue.kind is VenueKind.ACADEMY:
            done = (await benefits.course(venue, code, PRICE_FEN)).id
        elif (stay := await benefits.stay(venue, code, units)).nights:
            done = stay.id
        if done is not None:
            self.answers[code].add(done)

    # -- at the end ---------------------------------------------------------------------------------------------------

    async def come_to_rest(self) -> None:
        erased = [
            one for one in self.people
            if (await self.towns[0].identity.people.get(one)).state is PersonState.ERASED
        ]  # fmt: skip
        for person in erased:  # whoever died before it is told again
            await self.nomads.forget(person)
        for _ in range(3):
            await self.tick()
        for query in (*NEVER, *WAITS):
            assert await self.db.fetch(query) == [], query
        cards = [await self.nomads.cards.get(row["id"]) for row in await self.db.fetch("SELECT id FROM nomads.card")]
        assert await self.db.fetchval(ISSUED) == len(cards)
        for card in cards:
            await self.holds_what_is_left(card)
        for person in set(self.people) - set(erased):
            await self.is_known_as(person, [card for card in cards if card.person_id == person])
        await self.were_used_once()
        await self.was_paid_once()
        assert await self.towns[0].sound()
        await self.ledger.stop()

    async def holds_what_is_left(self, card: Card) -> None:
        used = {"attraction": await self.db.fetchval("SELECT count(*) FROM nomads.redemption WHERE card = $1", card.id)}
        opened = await self.db.fetch("SELECT id, name FROM ledger.account WHERE name LIKE $1", f"%:{card.id}")
        for account in opened:
            benefit = account["name"].partition(":")[0]
            left = (await self.ledger.balance(account["id"])).balance
            if card.ended:
                assert left == 0, (benefit, card)
                continue
            if benefit in KINDS:
                used[benefit] = await self.db.fetchval(USED, account["id"], KINDS[benefit])
            assert left == int(RULEBOOK.parameter(*A_YEAR[benefit], card.valid_from)) - used[benefit], (benefit, card)
        assert card.ended or len(opened) == len(A_YEAR)

    async def is_known_as(self, person: UUID, cards: list[Card]) -> None:
        today = self.clock.today()
        valid = any(card.valid_on(today) for card in cards)
        assert (await self.towns[0].fact(person, "nomad_id") is True) == valid, cards
        found = (await self.towns[0].identity.people.get(person)).categories
        listed = [one for one in found if one.verified and one.valid_from <= today <= (one.valid_to or today)]
        assert bool(listed) == valid, (found, cards)

    async def were_used_once(self) -> None:
        used = await self.db.fetchval("SELECT count(*) FROM nomads.redemption")
        assert await self.db.fetchval(TALLIED, "ticket") == used
        for _ in range(2):
            again = await self.nomads.offline.sync(self.gate, self.scans) if self.scans else []
        assert {one.outcome for one in again} <= {"known"}
        doubles = await self.db.fetch("SELECT scanner, seq FROM nomads.scan WHERE outcome = 'double'")
        numbers = {(one["scanner"], one["seq"]) for one in doubles}
        for scan in self.scans:
            if (scan.scanner, scan.seq) in numbers:
                assert len(self.takers[self.ticket(scan.code)]) > 1, scan

    async def was_paid_once(self) -> None:
        posted = {row["id"] for row in await self.db.fetch(SHOWN)}
        assert all(len(ids) == 1 and ids <= posted for ids in self.answers.values())
        assert len(posted) <= len({code for code, *_ in self.sent})
        vouchers = [(await self.ledger.balance(purse)).balance for purse in self.purses]
        town = self.towns[0]
        left, _ = await town.budget("nomad_courses")
        earned = sum([await town.money(venue.org_id, "cny") for venue in self.places])
        assert earned == PEOPLE * VOUCHERS_FEN - sum(vouchers) + COURSES_FEN - left
        for what, kind in (("short_stay", "stay"), ("course", "course")):
            many = await self.db.fetchval("SELECT count(*) FROM ledger.posting WHERE kind = $1", kind)
            assert await self.db.fetchval(TALLIED, what) <= many, what


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_leaves_no_card_half_way(self, database: Database, tmp_path: Path, seed: int) -> None:
        await Crowd(database, seed, tmp_path).live(ROUNDS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_leaves_no_card_half_way_whoever_is_first(
        self, database: Database, tmp_path: Path, seed: int
    ) -> None:
        await Crowd(database, seed, tmp_path).live(ROUNDS_PROVED)
