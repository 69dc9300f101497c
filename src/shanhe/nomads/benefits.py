"""What a card opens: tickets (N4), courses (N6), vouchers (N7) and stays (N8), each used at a venue by a posting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import msgspec
import structlog

from shanhe.kernel.errors import ShanheError
from shanhe.kernel.money import format_fen
from shanhe.kernel.vault import PersonErased
from shanhe.ledger.api import CITY_OWNER, Account, Asset, InsufficientCredit, Posting, Transfer, UnknownPosting
from shanhe.nomads import codes, store
from shanhe.nomads.cards import Cards
from shanhe.nomads.errors import BadCode, BadField, NotEligible, UsedAlready
from shanhe.nomads.ground import Ground
from shanhe.nomads.model import (
    Benefit,
    Card,
    CourseTaken,
    Redemption,
    Spent,
    Stay,
    Venue,
    VenueKind,
)
from shanhe.nomads.presence import Presence, whole_weeks

TICKETS, COURSES, LIVING, PROOF = "N4", "N6", "N8", "N1_presence"
COUNTS: Final = {
    Benefit.ATTRACTION: (TICKETS, "tickets"),
    Benefit.NIGHT: (LIVING, "nights"),
    Benefit.COURSE: (COURSES, "courses"),
}
"""Where the rulebook says how many a year."""
COURSE_BUDGET: Final = "nomad_courses"
FIELD: Final = "nomad.redemption"
PASS_KEPT: Final = timedelta(hours=1)
FEN_MAX: Final = 10_000_000
NIGHTS_MAX: Final = 60

Keep = Callable[[Any, int], Awaitable[None]]
"""(connection, how many were admitted)."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TicketView:
    """A ticket of a card: its code while it is good, the day it was used otherwise."""

    number: int
    code: str
    used_on: date | None


@dataclass(frozen=True, slots=True)
class Purse:
    """What somebody still has: units left by benefit, vouchers in fen."""

    left: dict[str, int]
    voucher_fen: int
    tickets: tuple[TicketView, ...]
    card: Card | None


class Benefits:
    """A ticket's id follows from its card and number, and its posting from its id: twice is once."""

    def __init__(self, ground: Ground, cards: Cards, presence: Presence) -> None:
        self._ground = ground
        self._cards = cards
        self._presence = presence

    # -- a card's year ------------------------------------------------------------------------------------------------

    async def open(self, card: Card) -> None:
        """Put the year's tickets, nights and courses on the ledger; safe to repeat. A card that was revoked meanwhile
        keeps none of it."""
        posting_id, transfers = uuid5(card.id, "benefits"), []
        for number in range(1, 1 + int(self._ground.rulebook.parameter(*COUNTS[Benefit.ATTRACTION], card.valid_from))):
            await store.insert_ticket(self._ground.db, uuid4(), card.id, number)
        for index, (benefit, (rule, name)) in enumerate(COUNTS.items(), 1):
            amount = int(self._ground.rulebook.parameter(rule, name, card.valid_from))
            source, target = await self._source(benefit), await self._account(card, benefit)
            transfers.append(Transfer(UUID(int=posting_id.int ^ index), source.id, target.id, amount))
        await self._post(posting_id, "nomad_card", transfers, memo=f"Nomad ID {card.id}")
        await store.mark_card(self._ground.db, card.id, "settled")
        now_is = await self._cards.get(card.id)
        if now_is.revoked_at is not None:
            await self._over(now_is)

    async def end(self, card: Card) -> None:
        """Take back what a year left unused, whoever its holder is by now."""
        posting_id, transfers = uuid5(card.id, "ended"), []
        try:
            opened = await self._opened(card)
        except UnknownPosting:  # ended before its year was on the ledger
            opened = ()
        for index, leg in enumerate(opened, 1):
            left = (await self._ground.ledger.balance(leg.credit)).balance
            if left:
                transfers.append(Transfer(UUID(int=posting_id.int ^ index), leg.credit, leg.debit, left))
        if transfers:
            await self._post(posting_id, "nomad_card_end", transfers, memo=f"Nomad ID {card.id} ended")
        await store.mark_card(self._ground.db, card.id, "ended")

    async def repair(self) -> int:
        """Whatever a crash left: years not opened, tickets not posted, years that are over. One card's trouble does not
        keep the others waiting."""
        ground, done = self._ground, 0
        for card in await store.unsettled(ground.db):
            done += await self._tried(self._begun(card), card.id)
        for row in await store.unposted(ground.db):
            done += await self._tried(self._used(row["ticket"], row["card"]), row["card"])
        late = int(ground.rulebook.parameter(PROOF, "feed_days", ground.today()))
        for card in await store.over(ground.db, ground.today() - timedelta(days=late)):
            done += await self._tried(self._over(card), card.id)
        return done

    async def _tried(self, step: Awaitable[None], card: UUID) -> int:
        try:
            await step
        except ShanheError as error:
            log.warning("a nomad's card does not move on", card=str(card), error=error.code)
            return 0
        return 1

    async def _begun(self, card: Card) -> None:
        await self._cards.settle(card)
        await self.open(card)

    async def _over(self, card: Card) -> None:
        if card.revoked_at is not None:  # first: a card that has ended is looked at no more
            await self._cards.unsettle(card, by="nomads")
        await self.end(card)

    async def _used(self, ticket: UUID, card_id: UUID) -> None:
        """Post a ticket that was used; nothing is left to move where its card was ended in that moment."""
        card = await self._cards.get(card_id)
        try:
            await self._use_ticket(ticket, card)
        except InsufficientCredit:
            if not card.ended:
                raise
            await store.mark_posted(self._ground.db, ticket)

    async def purse(self, person_id: UUID) -> Purse:
        """What a person has left, with a code for each good ticket."""
        card, _ = await self._cards.current(person_id)
        left, tickets = dict[str, int](), list[TicketView]()
        if card is not None:
            left = {str(item): await self._left(card, item) for item in COUNTS}
            tickets = await self._tickets(card)
        account = await self._wallet(await self._ground.purse(person_id), Asset.VOUCHER)
        voucher = (await self._ground.ledger.balance(account.id)).available
        return Purse(left, voucher, tuple(tickets), card)

    async def _tickets(self, card: Card) -> list[TicketView]:
        good, found = card.valid_on(self._ground.today()), []
        companions = int(self._ground.rulebook.parameter(TICKETS, "companions_max", card.valid_from))
        name = (await self._ground.identity.people.get(card.person_id)).name
        key, at = self._ground.city_key(), self._ground.now()
        for row in await store.tickets(self._ground.db, card.id):
            ticket = codes.Ticket(
                row["id"], row["number"], card.valid_from, card.valid_until, companions, initial(name)
            )
            code = codes.make_ticket(ticket, at, key) if good and row["used_on"] is None else ""
            found.append(TicketView(row["number"], code, row["used_on"]))
        return found

    # -- tickets (N4) -------------------------------------------------------------------------------------------------

    def ticket(self, text: str) -> codes.Ticket:
        """The ticket a code carries, if the city signed it."""
        code = codes.read(text, codes.TICKET)
        if not code.by(self._ground.city_public()):
            raise BadCode("forged", "its signature does not hold", "签名无效")
        return codes.ticket_of(code)

    async def redeem(
        self, venue: Venue, text: str, *, companions: int, holder_present: bool, at: datetime | None = None,
        on: date | None = None, keep: Keep | None = None,
    ) -> Redemption:  # fmt: skip
        """Use a ticket at a gate. UsedAlready the second time, whoever scans it and whenever scanners report. `keep`:
        what is written with it or not at all."""
        if venue.kind is not VenueKind.ATTRACTION:
            raise NotEligible("no_attraction", "this venue is no attraction", "该场所不是景点")
        ground, ticket = self._ground, self.ticket(text)
        day, when = on or ground.today(), at or ground.now()
        card = await store.card_of_ticket(ground.db, ticket.id)
        if card is None:
            raise BadCode("unknown", "no card has this ticket", "没有对应的身份卡")
        used = await store.redemptions(ground.db, card.id)
        before = next((row for row in used if row["ticket"] == ticket.id), None)
        if before is not None:
            raise UsedAlready(before["day"])
        facts = {"card_valid": card.valid_on(day), "holder_present": holder_present, "used": len(used),
                 "companions": companions}  # fmt: skip
        outputs = ground.rulebook.evaluate(TICKETS, facts, on=day).outputs
        if not outputs["admitted"]:
            raise _refusal(facts)
        await self._take(card, ticket, int(outputs["admitted"]), venue, day, when, keep)
        return Redemption(ticket.id, ticket.number, int(outputs["admitted"]), when, int(outputs["tickets_left"]))

    async def _take(
        self, card: Card, ticket: codes.Ticket, admitted: int, venue: Venue, day: date, when: datetime,
        keep: Keep | None,
    ) -> None:  # fmt: skip
        ground = self._ground
        keep_days = int(ground.rulebook.parameter(PROOF, "keep_days", day))
        sealed = self._sealed(card.person_id, {"v": str(venue.id), "at": when.isoformat()})
        async with ground.db.transaction() as conn:
            if not await store.insert_redemption(
                conn, ticket.id, card.id, ticket.number, admitted, day, sealed,
                whole_weeks(ground.today() + timedelta(days=keep_days)),
            ):  # fmt: skip
                raise UsedAlready(None)
            await store.tally(conn, venue.id, day, "ticket", admitted)
            if keep is not None:
                await keep(conn, admitted)
        await self._use_ticket(ticket.id, card)

    async def _use_ticket(self, ticket: UUID, card: Card) -> None:
        opened = (await self._opened(card))[list(COUNTS).index(Benefit.ATTRACTION)]
        posting_id = uuid5(ticket, "redeemed")
        leg = Transfer(UUID(int=posting_id.int ^ 1), opened.credit, opened.debit, 1)
        await self._post(posting_id, "ticket", [leg], memo="Attraction ticket")
        await store.mark_posted(self._ground.db, ticket)

    def _sealed(self, person_id: UUID, plain: Any) -> bytes | None:
        try:
            return self._ground.vault.encrypt(person_id, FIELD, msgspec.json.encode(plain).decode())
        except PersonErased:
            return None

    # -- vouchers (N7) ------------------------------------------------------------------------------------------------

    async def pay(self, venue: Venue, text: str, fen: int) -> Spent:
        """A nomad pays with vouchers: the sponsor's money behind them goes to the venue. A pass pays once."""
        if not 0 < fen <= FEN_MAX:
            most = format_fen(FEN_MAX)
            raise BadField("amount", f"it is CNY 0.01 to {most}", f"金额须为 0.01–{most} 元")
        ground = self._ground
        nomad, code = await self._presence.of_pass(text)
        await ground.strangers(nomad.person_id, venue)
        home = await ground.purse(nomad.person_id)
        posting_id = uuid5(venue.id, f"pay:{code.mark.hex()}:{fen}")
        account, target = await self._wallet(home, Asset.VOUCHER), await self._wallet(venue.org_id, Asset.CNY)
        retired = await ground.ledger.system_account("issuance", Asset.VOUCHER)
        backing = await ground.ledger.system_account("issuance", Asset.CNY, "vouchers")
        transfers = [Transfer(UUID(int=posting_id.int ^ 1), account.id, retired.id, fen),
                     Transfer(UUID(int=posting_id.int ^ 2), backing.id, target.id, fen)]  # fmt: skip
        await self._once(code, f"pay:{posting_id}")
        try:
            await self._post(posting_id, "voucher", transfers, memo=f"Vouchers at {venue.name}")
        except InsufficientCredit as error:
            left = (await ground.ledger.balance(account.id)).available
            raise NotEligible(
                "vouchers_short", f"only CNY {format_fen(left)} of vouchers are left",
                f"消费券余额仅 {format_fen(left)} 元",
                "Ask for a smaller amount.", "请减少抵扣金额。",
            ) from error  # fmt: skip
        left = (await ground.ledger.balance(account.id)).available
        return Spent(posting_id, fen, left)

    async def _once(self, code: codes.Code, purpose: str) -> bool:
        """A pass serves one purpose once. Whether this is the first time: the same request may be sent again."""
        fresh = await store.use_pass(self._ground.db.writes, code.mark, purpose, self._ground.now() + PASS_KEPT)
        if fresh is None:
            raise BadCode(
                "used", "it served something else before; ask for the one shown now", "该码已用于其他操作，请重新出示"
            )
        return fresh

    # -- courses (N6) -------------------------------------------------------------------------------------------------

    async def course(self, venue: Venue, text: str, price_fen: int) -> CourseTaken:
        """A nomad enrols at an academy: the city pays its share to the academy, the learner pays the rest there."""
        if venue.kind is not VenueKind.ACADEMY:
            raise NotEligible("no_academy", "this venue offers no courses", "该场所不提供课程")
        if not 0 < price_fen <= FEN_MAX * 100:
            raise BadField("price", "it is a positive amount", "价格须为正数")
        ground, today = self._ground, self._ground.today()
        nomad, code = await self._presence.of_pass(text)
        await ground.strangers(nomad.person_id, venue)
        card = await self._valid(nomad.person_id)
        posting_id = uuid5(card.id, f"course:{code.mark.hex()}")
        known = await self._posted(posting_id)  # sent again: what it took counts as left
        left = await self._left(card, Benefit.COURSE) + known
        a_year = int(ground.rulebook.parameter(*COUNTS[Benefit.COURSE], card.valid_from))
        facts = {
            "card_valid": True,
            "certified": venue.certified,
            "price_fen": price_fen,
            "courses_used": a_year - left,
        }
        outputs = ground.rulebook.evaluate(COURSES, facts, on=today).outputs
        subsidy = int(outputs["subsidy_fen"])
        if not subsidy:
            why = ("the course is not certified", "课程未经城市认证") if not venue.certified else (
                "the year's courses are used up", "本有效年的课程补贴已用完")  # fmt: skip
            raise NotEligible("no_course_subsidy", *why)
        await self._once(code, f"course:{venue.id}:{price_fen}")
        account, source = await self._account(card, Benefit.COURSE), await self._source(Benefit.COURSE)
        budget = await ground.ledger.ensure_account(
            CITY_OWNER, Asset.CNY, "budget", name=COURSE_BUDGET, floor=0, lots=False
        )
        target = await self._wallet(venue.org_id, Asset.CNY)
        fresh = await self._post(
            posting_id, "course",
            [Transfer(UUID(int=posting_id.int ^ 1), account.id, source.id, 1),
             Transfer(UUID(int=posting_id.int ^ 2), budget.id, target.id, subsidy)], memo=f"Course at {venue.name}",
        )  # fmt: skip
        if fresh:
            await store.tally(ground.db, venue.id, today, "course", 1)
        return CourseTaken(posting_id, subsidy, int(outputs["pays_fen"]), await self._left(card, Benefit.COURSE))

    # -- living (N8) --------------------------------------------------------------------------------------------------

    async def stay(self, venue: Venue, text: str, nights: int) -> Stay:
        """Nights at a partner's rate, or medical cover at a clinic, for whoever shows a pass."""
        ground, today = self._ground, self._ground.today()
        offer = {VenueKind.LODGING: "short_stay", VenueKind.CLINIC: "medical_cover"}.get(venue.kind)
        if offer is None:
            raise NotEligible("no_offer", "this venue has no such offer", "该场所没有此项优惠")
        if offer == "short_stay" and not 0 < nights <= NIGHTS_MAX:
            raise BadField("nights", f"it is 1 to {NIGHTS_MAX}", f"晚数须为 1–{NIGHTS_MAX}")
        nomad, code = await self._presence.of_pass(text)
        card = await self._valid(nomad.person_id)
        posting_id = uuid5(card.id, f"stay:{venue.id}:{code.mark.hex()}")
        known = await self._posted(posting_id)
        left = await self._left(card, Benefit.NIGHT) + known
        a_year = int(ground.rulebook.parameter(*COUNTS[Benefit.NIGHT], card.valid_from))
        outputs = ground.rulebook.evaluate(
            LIVING, {"card_valid": True, "offer": offer, "nights_used": a_year - left}, on=today
        ).outputs
        wanted = nights if offer == "short_stay" else 0
        if not outputs["entitled"] or wanted > int(outputs["nights_left"]):
            raise NotEligible("no_nights", f"only {outputs['nights_left']} nights are left this year",
                              f"本有效年仅余 {outputs['nights_left']} 晚")  # fmt: skip
        fresh = await self._once(code, f"stay:{venue.id}:{wanted}")
        if wanted:
            account, source = await self._account(card, Benefit.NIGHT), await self._source(Benefit.NIGHT)
            leg = Transfer(UUID(int=posting_id.int ^ 1), account.id, source.id, wanted)
            fresh = await self._post(posting_id, "stay", [leg], memo="Nights at a partner")
        if fresh:  # what takes no nights has no posting to be known by
            await store.tally(ground.db, venue.id, today, offer, 1)
        return Stay(posting_id, offer, wanted, await self._left(card, Benefit.NIGHT))

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _valid(self, person_id: UUID) -> Card:
        card, _ = await self._cards.current(person_id)
        if card is None or not card.valid_on(self._ground.today()):
            raise NotEligible(
                "no_valid_card", "there is no valid digital nomad ID", "没有有效的数字游民身份",
                "The holder can apply for or renew it on “Digital nomad”.", "持有人可在“数字游民”页面申请或续期。",
            )  # fmt: skip
        return card

    async def _left(self, card: Card, benefit: Benefit) -> int:
        return (await self._ground.ledger.balance((await self._account(card, benefit)).id)).balance

    async def _opened(self, card: Card) -> Sequence[Transfer]:
        """What put the year on the ledger, a leg for each of COUNTS: its accounts are known also where the holder may
        act no more, or was erased."""
        return (await self._ground.ledger.posting(uuid5(card.id, "benefits"))).transfers

    async def _posted(self, posting_id: UUID) -> int:
        """The units that a posting took from a card, 0 before it."""
        try:
            return (await self._ground.ledger.posting(posting_id)).transfers[0].amount
        except UnknownPosting:
            return 0

    async def _account(self, card: Card, benefit: Benefit) -> Account:
        """One account a card and benefit: its floor of 0 is the last guard against double use."""
        owner = await self._ground.purse(card.person_id)
        return await self._ground.ledger.ensure_account(
            owner, Asset.TICKET, "wallet", name=f"{benefit}:{card.id}", floor=0, lots=False
        )

    async def _source(self, benefit: Benefit) -> Account:
        return await self._ground.ledger.system_account("issuance", Asset.TICKET, f"nomad_{benefit}")

    async def _wallet(self, org_id: UUID, asset: Asset) -> Account:
        return await self._ground.ledger.ensure_account(org_id, asset, "wallet")

    async def _post(self, posting_id: UUID, kind: str, transfers: Sequence[Transfer], *, memo: str) -> bool:
        """False where it was booked before."""
        posting = Posting(id=posting_id, kind=kind, transfers=tuple(transfers), actor="nomads", memo=memo)
        return not (await self._ground.ledger.post(posting)).known


def initial(name: str) -> str:
    """What a gate sees of a holder's name: 林*, A*."""
    return f"{name.strip()[:1]}*" if name.strip() else "*"


def _refusal(facts: dict[str, Any]) -> NotEligible:
    if not facts["card_valid"]:
        return NotEligible("no_valid_card", "the ID is not valid on that day", "身份卡在该日无效")
    if not facts["holder_present"]:
        return NotEligible(
            "holder_absent", "the holder has to be present; a ticket is not transferable", "持证人须在场，门票不可转让",
            "Check who is there and confirm it.", "请核对持证人并确认。",
        )  # fmt: skip
    return NotEligible("no_tickets_left", "this year's tickets are used up", "本有效年的门票已用完")
