"""N4–N8 at venues: tickets with companions, vouchers, courses, nights; each through the ledger, none twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from shanhe.approvals.api import PartyToIt, Request, RequestState, SamePerson
from shanhe.cli import app as shanhe
from shanhe.identity.api import NewOrganisation, OrgKind, Role
from shanhe.kernel.clock import SystemClock
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, InsufficientCredit, Posting, Transfer
from shanhe.nomads import codes
from shanhe.nomads.api import BadCode, BadField, Card, NewVenue, NotEligible, Scan, UsedAlready, Venue, VenueKind

from .conftest import Town, days


async def tickets(town: Town, person: Any) -> list[str]:
    return [item.code for item in (await town.nomads.benefits.purse(person)).tickets]


class TestTicket:
    async def test_admits_the_holder_and_three_companions_once(self, town: Town) -> None:
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        good = await tickets(town, person)
        assert len(good) == 5
        with pytest.raises(NotEligible, match="present"):
            await town.nomads.benefits.redeem(gate, good[0], companions=1, holder_present=False)
        done = await town.nomads.benefits.redeem(gate, good[0], companions=4, holder_present=True)
        assert (done.admitted, done.left) == (4, 4)
        with pytest.raises(UsedAlready, match="2026-05-30"):
            await town.nomads.benefits.redeem(gate, good[0], companions=0, holder_present=True)
        assert (await town.nomads.benefits.purse(person)).left["attraction"] == 4
        assert [(t["what"], t["uses"], t["people"]) for t in await town.nomads.tallies(gate.id, 30)] == [
            ("ticket", 1, 4)
        ]
        for code in good[1:]:
            await town.nomads.benefits.redeem(gate, code, companions=0, holder_present=True)
        assert (await town.nomads.benefits.purse(person)).left["attraction"] == 0
        assert await town.sound()

    async def test_is_used_at_attractions_only(self, town: Town) -> None:
        person, shop = await town.carded(), await town.venue("咖啡店", VenueKind.MERCHANT)
        with pytest.raises(NotEligible, match="no attraction"):
            await town.nomads.benefits.redeem(shop, (await tickets(town, person))[0], companions=0, holder_present=True)
        assert (await town.nomads.benefits.purse(person)).left["attraction"] == 5

    async def test_is_refused_when_made_up_out_of_time_or_of_a_revoked_card(self, town: Town) -> None:
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        one, two, *_ = await tickets(town, person)
        with pytest.raises(BadCode):
            await town.nomads.benefits.redeem(gate, one[:-3] + "AAA", companions=0, holder_present=True)
        with pytest.raises(BadCode, match="not a ticket"):
            await town.nomads.benefits.redeem(gate, await town.pass_of(person), companions=0, holder_present=True)
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        town.day(card.valid_until)
        assert "" not in await tickets(town, person), "the last day counts"
        town.day(card.valid_until + days(1))
        with pytest.raises(NotEligible, match="not valid"):
            await town.nomads.benefits.redeem(gate, one, companions=0, holder_present=True)
        assert await tickets(town, person) == [""] * 5
        town.day(card.valid_until + days(45))
        await town.nomads.tick()
        assert (await town.nomads.benefits.purse(person)).left["attraction"] == 5, "a gate may still report"
        town.day(card.valid_until + days(46))
        await town.nomads.tick()
        assert (await town.nomads.benefits.purse(person)).left["attraction"] == 0
        town.day(card.valid_until)
        await town.nomads.revoke(card.id, "x", actor="test")
        with pytest.raises(NotEligible, match="not valid"):
            await town.nomads.benefits.redeem(gate, two, companions=0, holder_present=True)
        assert await town.sound()

    async def test_posting_that_a_crash_left_is_made_up_for(self, town: Town) -> None:
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        post = town.ledger.post

        async def crash(posting: Posting) -> Any:
            raise ConnectionError

        town.ledger.post = crash  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            await town.nomads.benefits.redeem(gate, (await tickets(town, person))[0], companions=0, holder_present=True)
        town.ledger.post = post  # type: ignore[method-assign]
        assert (await town.nomads.benefits.purse(person)).left["attraction"] == 5
        for _ in range(2):
            await town.nomads.tick()
        assert (await town.nomads.benefits.purse(person)).left["attraction"] == 4

    async def test_not_on_the_ledger_yet_keeps_no_card_from_being_revoked(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def died(card: Card) -> None:
            raise ConnectionError

        with monkeypatch.context() as patched:
            patched.setattr(town.nomads.benefits, "open", died)
            with contextlib.suppress(ConnectionError):
                await town.carded()
        card = await town.nomads.cards.get(await town.db.fetchval("SELECT id FROM nomads.card WHERE NOT settled"))
        assert (await town.nomads.revoke(card.id, "冒名取得", actor="test")).ended
        assert (await town.nomads.tick())["repaired"] == 0
        assert await town.sound()

    async def test_used_when_its_card_ended_in_that_moment_keeps_no_other_waiting(self, town: Town) -> None:
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        use = town.nomads.benefits._use_ticket

        async def ended(ticket: UUID, of: Card) -> None:
            await town.nomads.revoke(card.id, "冒名取得", actor="test")
            await use(ticket, of)

        town.nomads.benefits._use_ticket = ended  # type: ignore[method-assign]
        with pytest.raises(InsufficientCredit):
            await town.nomads.benefits.redeem(gate, (await tickets(town, person))[0], companions=0, holder_present=True)
        town.nomads.benefits._use_ticket = use  # type: ignore[method-assign]
        assert [(await town.nomads.tick())["repaired"] for _ in range(2)] == [1, 0]
        assert await town.sound()


class TestOffline:
    async def test_scanners_that_let_one_ticket_in_twice_settle_it_once(self, town: Town) -> None:
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        one, two, *_ = await tickets(town, person)
        noon = town.clock.now()
        town.clock.advance(hours=5)
        north = [Scan(one, noon, "north", 0, 2), Scan(two, noon + timedelta(minutes=5), "north", 1)]
        south = [Scan(one, noon - timedelta(minutes=1), "south", 0), Scan("SH1.a.b", noon, "south", 1)]
        assert [item.outcome for item in await town.nomads.offline.sync(gate, north)] == ["settled", "settled"]
        assert [item.outcome for item in await town.nomads.offline.sync(gate, south)] == ["double", "refused"]
        again = await town.nomads.offline.sync(gate, [*north, *south])
        assert [item.outcome for item in again] == ["known"] * 4
        swapped = await town.nomads.offline.sync(gate, [Scan(two, noon, "north", 0)])
        assert swapped[0].outcome == "refused"
        assert (await town.nomads.benefits.purse(person)).left["attraction"] == 3
        notices = await town.db.fetch("SELECT * FROM kernel.notice WHERE kind = 'nomad.double'")
        assert len(notices) == 1
        assert await town.sound()

    async def test_scan_is_kept_with_what_it_took_or_it_took_nothing(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that ended between the two made the honest repeat a double."""
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        scan = Scan((await tickets(town, person))[0], town.clock.now(), "north", 0, 2)

        async def died(*_: Any) -> bool:
            raise ConnectionError

        with monkeypatch.context() as patched:
            patched.setattr("shanhe.nomads.store.insert_scan", died)
            with pytest.raises(ConnectionError):
                await town.nomads.offline.sync(gate, [scan])
        (done,) = await town.nomads.offline.sync(gate, [scan])
        assert (done.outcome, done.admitted) == ("settled", 3)
        assert (await town.nomads.benefits.purse(person)).left["attraction"] == 4
        assert await town.db.fetchval("SELECT count(*) FROM kernel.notice WHERE kind = 'nomad.double'") == 0
        assert await town.sound()

    @pytest.mark.parametrize("other", [False, True])
    async def test_scan_that_is_reported_again_meanwhile_is_no_double(
        self, town: Town, monkeypatch: pytest.MonkeyPatch, other: bool
    ) -> None:
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        one, two, *_ = await tickets(town, person)
        scan, redeem = Scan(one, town.clock.now(), "north", 0), town.nomads.benefits.redeem
        first = []

        async def meanwhile(*given: Any, **named: Any) -> Any:
            monkeypatch.setattr(town.nomads.benefits, "redeem", redeem)
            first.extend(await town.nomads.offline.sync(gate, [Scan(two, scan.at, "north", 0) if other else scan]))
            return await redeem(*given, **named)

        monkeypatch.setattr(town.nomads.benefits, "redeem", meanwhile)
        (again,) = await town.nomads.offline.sync(gate, [scan])
        assert [first[0].outcome, again.outcome] == ["settled", "refused" if other else "known"]
        assert (await town.nomads.benefits.purse(person)).left["attraction"] == 4
        assert await town.db.fetchval("SELECT count(*) FROM kernel.notice WHERE kind = 'nomad.double'") == 0
        assert await town.sound()

    async def test_scan_from_tomorrow_or_long_ago_is_refused(self, town: Town) -> None:
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        one, *_ = await tickets(town, person)
        ahead = Scan(one, town.clock.now() + days(1), "a", 0)
        old = Scan(one, town.clock.now() - days(46), "a", 1)
        assert [i.outcome for i in await town.nomads.offline.sync(gate, [ahead, old])] == ["refused"] * 2
        with pytest.raises(ShanheError, match="at most"):
            await town.nomads.offline.sync(gate, [ahead] * 501)

    async def test_any_mix_of_scanners_moves_the_ledger_once_a_ticket(self, town: Town) -> None:
        """Whatever is reported in whatever order, as many tickets are gone as different ones were let in."""
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        good, dice, used = await tickets(town, person), random.Random(7), set[str]()
        for batch in range(6):
            scans = [Scan(dice.choice(good), town.clock.now(), dice.choice("ab"), batch * 10 + n, dice.randrange(4))
                     for n in range(dice.randrange(1, 5))]  # fmt: skip
            used |= {scan.code for scan in scans}
            reports = await asyncio.gather(*(town.nomads.offline.sync(gate, scans) for _ in range(2)))
            assert {item.outcome for report in reports for item in report} <= {"settled", "double", "known"}
            assert (await town.nomads.benefits.purse(person)).left["attraction"] == 5 - len(used)
        assert await town.sound()

    async def test_scanner_checks_alone_and_reports_later(self, town: Town, tmp_path: Path) -> None:
        person, gate = await town.carded(), await town.venue("云台山", VenueKind.ATTRACTION)
        kit, queue = tmp_path / "kit.json", tmp_path / "queue"
        kit.write_text(json.dumps(await town.nomads.offline.kit(gate)))
        one, *_ = await tickets(town, person)

        def scan(text: str) -> tuple[int, str]:
            result = CliRunner().invoke(shanhe, ["nomads", "scan", str(kit), str(queue), text, "--json"])
            return result.exit_code, getattr(result.exception, "code", "") or result.stdout

        ticket = codes.ticket_of(codes.read(one))
        assert ticket.holder == "林*"
        now = SystemClock().today()
        valid = codes.make_ticket(
            codes.Ticket(ticket.id, 1, now - days(2), now + days(2), 3, "林*"), town.clock.now(),
            town.nomads._ground.city_key(),
        )  # fmt: skip
        assert json.loads(scan(valid)[1])["admitted"] == 1
        assert scan(valid) == (1, "ticket_used")
        assert scan(valid[:-4] + "AAAA") == (1, "code_forged")
        assert len(queue.read_text().splitlines()) == 1


class TestVoucher:
    async def funded(self, town: Town, person: Any, fen: int) -> None:
        """Vouchers a sponsor paid for, as N7's programme gives them."""
        await town.fund("nomad_vouchers", fen)
        budget = await town.programmes.budgets._books.budget("nomad_vouchers")
        wallet = await town.ledger.ensure_account(await town.nomads._ground.purse(person), Asset.VOUCHER, "wallet")
        leg = Transfer(new_id(), budget.id, wallet.id, fen)
        await town.ledger.post(Posting(id=new_id(), kind="test", transfers=(leg,), actor="test", memo="N7"))

    async def test_moves_the_sponsors_money_to_the_shop_once_a_pass(self, town: Town) -> None:
        person, shop = await town.nomad(), await town.venue("老街茶馆", VenueKind.MERCHANT)
        await self.funded(town, person, 5_000)
        code = await town.pass_of(person)
        for _ in range(2):  # sent twice, paid once
            done = await town.nomads.benefits.pay(shop, code, 1_999)
        assert (done.fen, done.left_fen) == (1_999, 3_001)
        assert await town.money(shop.org_id, "cny") == 1_999
        with pytest.raises(BadCode, match="something else"):
            await town.nomads.benefits.pay(shop, code, 1)
        town.clock.advance(seconds=1)
        with pytest.raises(NotEligible, match=r"30\.01"):
            await town.nomads.benefits.pay(shop, await town.pass_of(person), 3_002)
        town.clock.advance(seconds=1)
        late = await town.pass_of(person)
        town.clock.advance(seconds=121)
        with pytest.raises(BadCode, match="expired"):
            await town.nomads.benefits.pay(shop, late, 1)
        with pytest.raises(ShanheError, match=r"0\.01"):
            await town.nomads.benefits.pay(shop, late, 0)
        assert await town.sound()


class TestCourse:
    async def test_is_subsidised_five_times_at_a_certified_academy(self, town: Town) -> None:
        await town.fund("nomad_courses", 1_000_000)
        person = await town.carded()
        academy = await town.venue("智汇学院", VenueKind.ACADEMY, certified=True)
        plain = await town.venue("普通学校", VenueKind.ACADEMY)
        with pytest.raises(NotEligible, match="not certified"):
            await town.nomads.benefits.course(plain, await town.pass_of(person), 100_000)
        inn = await town.venue("竹溪客栈", VenueKind.LODGING, certified=True)
        with pytest.raises(NotEligible, match="offers no courses"):
            await town.nomads.benefits.course(inn, await town.pass_of(person), 100_000)
        for left in (4, 3, 2, 1, 0):
            town.clock.advance(seconds=1)
            code = await town.pass_of(person)
            for _ in range(2):  # sent twice, the fifth too, and counted once
                done = await town.nomads.benefits.course(academy, code, 100_000)
                assert (done.subsidy_fen, done.pays_fen, done.left) == (80_000, 20_000, left)
        (tally,) = await town.nomads.tallies(academy.id, 1)
        assert tally["uses"] == 5
        town.clock.advance(seconds=1)
        with pytest.raises(NotEligible, match="used up"):
            await town.nomads.benefits.course(academy, await town.pass_of(person), 100_000)
        assert await town.money(academy.org_id, "cny") == 400_000
        with pytest.raises(NotEligible, match="no valid"):
            await town.nomads.benefits.course(academy, await town.pass_of(await town.nomad()), 100_000)
        assert await town.sound()


class TestCertificate:
    """N6 pays for the courses of a certified venue: one person asks for that, another agrees."""

    async def asked(self, town: Town) -> tuple[NewVenue, UUID, Request]:
        org = await town.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "智汇学院运营"), by="test")
        new, number = NewVenue("智汇学院", VenueKind.ACADEMY, org.id, "学府路 1 号", certified=True), uuid4()
        made = await town.nomads.venues.add(new, actor="person:one", identifier=number)
        assert not made.certified
        (request,) = await town.approvals.requests(kind="nomads.certificate")
        return new, number, request

    async def test_takes_a_second_person(self, town: Town) -> None:
        new, number, request = await self.asked(town)
        assert await town.approvals.why(request) == "智汇学院 · 学府路 1 号"
        with pytest.raises(SamePerson):
            await town.approvals.agree(request.id, by="person:one", rights={"programmes"})
        with pytest.raises(ShanheError):
            await town.approvals.agree(request.id, by="person:two", rights={"accounts"})
        assert not (await town.nomads.venues.get(number)).certified
        await town.approvals.agree(request.id, by="person:two", rights={"programmes"})
        assert (await town.nomads.venues.get(number)).certified
        await town.nomads.venues.add(new, actor="person:one", identifier=number)
        assert len(await town.approvals.requests(kind="nomads.certificate")) == 1

    async def test_is_asked_for_once_and_anew_after_a_refusal(self, town: Town) -> None:
        new, number, request = await self.asked(town)
        await town.nomads.venues.add(new, actor="person:one", identifier=number)
        assert len(await town.approvals.requests(kind="nomads.certificate")) == 1
        await town.approvals.reject(request.id, by="person:two", reason="材料不全")
        assert not (await town.nomads.venues.add(new, actor="person:one", identifier=number)).certified
        assert len(await town.approvals.requests(kind="nomads.certificate")) == 2

    async def test_is_not_agreed_to_by_a_relative_of_the_venue(self, town: Town) -> None:
        _, number, request = await self.asked(town)
        one = await town.nomad("院长家属")
        venue = await town.nomads.venues.get(number)
        await town.identity.orgs.set_member(venue.org_id, one, Role.MEMBER, by="test")
        with pytest.raises(PartyToIt):
            await town.approvals.agree(request.id, by=f"person:{one}", rights={"programmes"})
        assert (await town.approvals.get(request.id)).state is RequestState.OPEN
        await town.approvals.agree(request.id, by=f"person:{await town.nomad()}", rights={"programmes"})
        assert (await town.nomads.venues.get(number)).certified

    async def test_is_asked_for_by_a_venue_that_is_there_and_taken_back_with_a_reason(self, town: Town) -> None:
        venues, academy = town.nomads.venues, await town.venue("智汇学院", VenueKind.ACADEMY)
        for turn in (1, 2):
            for _ in range(2):
                await venues.ask_to_certify(academy.id, actor="person:one")
            asked = await town.approvals.requests(kind="nomads.certificate")
            assert len(asked) == turn
            await town.approvals.agree(asked[0].id, by="person:two", rights={"programmes"})
            await venues.ask_to_certify(academy.id, actor="person:one")
            assert len(await town.approvals.requests(kind="nomads.certificate")) == turn
            for _ in range(2):
                assert not (await venues.end_certificate(academy.id, "课程停办")).certified
            town.clock.advance(days=1)
        told = [one.body.zh for one in await town.notifier.inbox(uuid4(), [academy.org_id])]
        assert told == ["理由：课程停办。此后的课程不再享受城市补贴。"] * 2
        with pytest.raises(BadField):
            await venues.end_certificate(academy.id, " ")
        await venues.close(academy.id, actor="test")
        with pytest.raises(ShanheError, match="closed"):
            await venues.ask_to_certify(academy.id, actor="person:one")

    async def test_is_not_given_to_a_venue_closed_meanwhile(self, town: Town) -> None:
        _, number, request = await self.asked(town)
        await town.nomads.venues.close(number, actor="person:one")
        with pytest.raises(ShanheError, match="closed"):
            await town.approvals.agree(request.id, by="person:two")
        assert (await town.approvals.get(request.id)).state is RequestState.REFUSED
        assert not (await town.nomads.venues.get(number)).certified


class TestOwnVenue:
    """R0: whoever runs a venue, or is related to it, is neither vouched for nor paid for by it."""

    async def owned(self, town: Town, kind: VenueKind, how: str) -> tuple[UUID, Venue]:
        person, venue = await town.carded(), await town.venue("自家场所", kind, certified=True)
        if how == "member":
            await town.identity.orgs.set_member(venue.org_id, person, Role.MEMBER, by="test")
        else:
            org = await town.nomads._ground.purse(person)
            await town.know(org, "employer", True, key=venue.org_id)
        return person, venue

    @pytest.mark.parametrize("how", ["member", "employee"])
    async def test_gets_no_vouchers_and_no_subsidy_by_it(self, town: Town, how: str) -> None:
        await town.fund("nomad_courses", 1_000_000)
        person, venue = await self.owned(town, VenueKind.ACADEMY, how)
        await TestVoucher().funded(town, person, 5_000)
        for act in (town.nomads.benefits.pay, town.nomads.benefits.course):
            with pytest.raises(NotEligible, match="own, or a related"):
                await act(venue, await town.pass_of(person), 1_000)
        assert await town.money(venue.org_id, "cny") == 0

    @pytest.mark.parametrize("how", ["member", "employee"])
    async def test_counts_no_day_by_its_word(self, town: Town, how: str) -> None:
        person, venue = await self.owned(town, VenueKind.LODGING, how)
        town.clock.advance(days=2)
        with pytest.raises(NotEligible, match="own, or a related"):
            await town.nomads.presence.check_in(person, town.nomads.venues.code(venue))
        with pytest.raises(NotEligible, match="own, or a related"):
            await town.nomads.presence.admit(venue, await town.pass_of(person))
        number, day = (await town.nomads.presence.nomad(person)).number, town.today()
        lines = await town.nomads.feeds.run(venue, f"nomad,date\n{number},{day}\n".encode())
        assert [one.outcome for one in lines] == ["refused"]


class TestStay:
    async def test_takes_nights_from_sixty_a_year_and_cover_takes_none(self, town: Town) -> None:
        person = await town.carded()
        inn, clinic = await town.venue("竹溪客栈", VenueKind.LODGING), await town.venue("市一医院", VenueKind.CLINIC)
        assert (await town.nomads.benefits.stay(inn, await town.pass_of(person), 58)).left == 2
        town.clock.advance(seconds=1)
        with pytest.raises(NotEligible, match="only 2 nights"):
            await town.nomads.benefits.stay(inn, await town.pass_of(person), 3)
        town.clock.advance(seconds=1)
        code = await town.pass_of(person)
        for _ in range(2):  # sent twice, the last nights too
            assert (await town.nomads.benefits.stay(inn, code, 2)).left == 0
        with pytest.raises(BadCode, match="served something else"):  # one pass, one place
            await town.nomads.benefits.stay(clinic, code, 0)
        town.clock.advance(seconds=1)
        code = await town.pass_of(person)
        for _ in range(2):
            assert (await town.nomads.benefits.stay(clinic, code, 0)).offer == "medical_cover"
        for venue, uses in ((inn, 2), (clinic, 1)):  # what was sent twice is counted once
            assert [one["uses"] for one in await town.nomads.tallies(venue.id, 7)] == [uses]
        with pytest.raises(NotEligible, match="no such offer"):
            await town.nomads.benefits.stay(await town.venue("别处"), await town.pass_of(person), 1)

    async def test_that_is_asked_for_twice_at_once_is_counted_once(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        person, inn = await town.carded(), await town.venue("竹溪客栈", VenueKind.LODGING)
        benefits, once, pass_ = town.nomads.benefits, town.nomads.benefits._once, await town.pass_of(person)

        async def meanwhile(code: codes.Code, purpose: str) -> bool:
            monkeypatch.setattr(benefits, "_once", once)
            await benefits.stay(inn, pass_, 2)
            return await once(code, purpose)

        monkeypatch.setattr(benefits, "_once", meanwhile)
        assert (await benefits.stay(inn, pass_, 2)).left == 58
        assert [one["uses"] for one in await town.nomads.tallies(inn.id, 7)] == [1]
