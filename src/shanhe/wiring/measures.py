"""What the city measures about a party, for programmes to decide on: each answer is read from where it is booked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.board.api import Match
from shanhe.facts.api import Facts, Use
from shanhe.gateway.api import Gateway
from shanhe.kernel.asking import Related
from shanhe.kernel.clock import CITY_TZ, Clock, add_months
from shanhe.kernel.money import MICRO
from shanhe.ledger.api import Asset, Ledger, Provenance
from shanhe.programmes.api import Measure, Party, first_of, quarter_end
from shanhe.science.api import Counted
from shanhe.studio.api import Standing

PURPOSE: Final = "programmes"
CAPITAL, OWNED_BY = "paid_in_capital_fen", "owned_by"
WHOLE_BPS: Final = 10_000
MONTHS_A_YEAR: Final = 12
TRAINING: Final = "ai_training_hours"
PAYERS_MAX: Final = 2_000
"""Most organisations whose use of one model is looked at, those first that used it most."""
Subsidised = Callable[[UUID], Awaitable[datetime | None]]
Won = Callable[[UUID, UUID], Awaitable[tuple[int, int] | None]]
"""(organisation, contest)"""
Agreed = Callable[[UUID], Awaitable[Match | None]]
Stood = Callable[[UUID, str], Awaitable[tuple[int, int, int, int] | None]]
"""(organisation, `2026-10/agent`)"""
Registered = Callable[[str, UUID], Awaitable[str]]
"""(registration number, organisation)"""
Reused = Callable[[UUID, UUID], Awaitable[Counted | None]]
"""(reuse, author)"""
TRADEABLE = (Provenance.PURCHASED, Provenance.REWARD, Provenance.EXCHANGE)


class Measures:
    """Reads only; a party without an account has used nothing."""

    def __init__(self, clock: Clock, ledger: Ledger, gateway: Gateway, facts: Facts) -> None:
        self.subsidised: Subsidised | None = None
        """Since when an organisation has an award on its capital, if it has one; set once programmes are there."""
        self.won: Won | None = None
        """The pool and the place of a party in a contest; set once the store is there."""
        self.stood: Stood | None = None
        """The place and the score of a party in a month's ranking; set likewise."""
        self.registered: Registered | None = None
        """What the registry says of a right and a party; set once the registry is there."""
        self.agreed: Agreed | None = None
        """A match that both sides accepted; set once the board is there."""
        self.are_related: Callable[[Match], Awaitable[bool]] | None = None
        """Whether its sides are related parties; set likewise."""
        self.reused: Reused | None = None
        """What open science says of a reuse and one of its authors; set likewise."""
        self._facts = facts
        self._clock = clock
        self._ledger = ledger
        self._gateway = gateway

    def all(self) -> dict[str, Measure]:
        """By the name that programme files use."""
        return {
            "captured_since_micro": self.captured_since_micro,
            "captured_last_month_micro": self.captured_last_month_micro,
            "untied_last_month_micro": self.untied_last_month_micro,
            "capital_once_fen": self.capital_once_fen,
            "untied_four_quarters_micro": self.untied_four_quarters_micro,
            "ai_training_hours": self.ai_training_hours,
            "contest_pool_fen": self.contest_pool_fen,
            "contest_place": self.contest_place,
            "month_place": self.month_place,
            "month_score": self.month_score,
            "month_payers": self.month_payers,
            "month_own_micro": self.month_own_micro,
            "ip_standing": self.ip_standing,
            "match_need_accepts": self.match_need_accepts,
            "match_solution_accepts": self.match_solution_accepts,
            "match_related": self.match_related,
            "reuse_counts": self.reuse_counts,
            "reuse_shares": self.reuse_shares,
            "reuse_place": self.reuse_place,
        }

    async def ip_standing(self, party: Party, day: date, number: Any) -> str | None:
        """The kind of a verified right that a party holds, by its number; or why there is none."""
        return None if self.registered is None else await self.registered(str(number), party.org_id)

    async def reuse_counts(self, party: Party, day: date, reuse: Any) -> bool | None:
        """Whether a reuse was confirmed and is no relative's."""
        found = await self._reuse(party, reuse)
        return None if found is None else found.counts

    async def reuse_shares(self, party: Party, day: date, reuse: Any) -> list[int] | None:
        """The shares of all authors of what was reused, in their order."""
        found = await self._reuse(party, reuse)
        return None if found is None else list(found.shares)

    async def reuse_place(self, party: Party, day: date, reuse: Any) -> int | None:
        """Which of the authors a party is."""
        found = await self._reuse(party, reuse)
        return None if found is None else found.place

    async def _reuse(self, party: Party, reuse: Any) -> Counted | None:
        try:
            return None if self.reused is None else await self.reused(UUID(str(reuse)), party.org_id)
        except ValueError:
            return None

    async def contest_pool_fen(self, party: Party, day: date, contest: Any) -> int | None:
        """The prize pool of a contest in which a party took a place."""
        found = await self._won(party, contest)
        return None if found is None else found[0]

    async def contest_place(self, party: Party, day: date, contest: Any) -> int | None:
        """The place a party took in a contest."""
        found = await self._won(party, contest)
        return None if found is None else found[1]

    async def match_need_accepts(self, party: Party, day: date, match: Any) -> bool | None:
        """Whether a party is the side in need of a match that both accepted; None where there is none."""
        found = await self._agreed(match)
        return None if found is None else found.need_org == party.org_id

    async def match_solution_accepts(self, party: Party, day: date, match: Any) -> bool | None:
        """Whether a party is the solving side of a match that both accepted; None where there is none."""
        found = await self._agreed(match)
        return None if found is None else found.solution_org == party.org_id

    async def match_related(self, party: Party, day: date, match: Any) -> bool | None:
        """Whether the sides of a match are related parties (R0)."""
        found = await self._agreed(match)
        return None if found is None or self.are_related is None else await self.are_related(found)

    async def _agreed(self, match: Any) -> Match | None:
        try:
            return None if self.agreed is None else await self.agreed(UUID(str(match)))
        except ValueError:
            return None

    async def month_place(self, party: Party, day: date, round_: Any) -> int | None:
        """The place a party took in a month and kind of the store."""
        found = None if self.stood is None else await self.stood(party.org_id, str(round_))
        return None if found is None else found[0]

    async def month_score(self, party: Party, day: date, round_: Any) -> int | None:
        """The score of that place."""
        found = None if self.stood is None else await self.stood(party.org_id, str(round_))
        return None if found is None else found[1]

    async def month_payers(self, party: Party, day: date, round_: Any) -> int | None:
        """How many payers of what took it count."""
        found = None if self.stood is None else await self.stood(party.org_id, str(round_))
        return None if found is None else found[2]

    async def month_own_micro(self, party: Party, day: date, round_: Any) -> int | None:
        """What these paid for it out of credits that they bought themselves."""
        found = None if self.stood is None else await self.stood(party.org_id, str(round_))
        return None if found is None else found[3]

    async def _won(self, party: Party, contest: Any) -> tuple[int, int] | None:
        try:
            return None if self.won is None else await self.won(party.org_id, UUID(str(contest)))
        except ValueError:
            return None

    async def captured_since_micro(self, party: Party, day: date) -> int:
        """Credits captured by calls from a day on until now."""
        rows = await self._gateway.usage(party.org_id, day, self._clock.today(), ("org",))
        return sum(row.amount_micro for row in rows)

    async def captured_last_month_micro(self, party: Party, day: date) -> int:
        """Credits captured by calls in the last full month before a day."""
        last = day.replace(day=1) - timedelta(days=1)
        rows = await self._gateway.usage(party.org_id, last.replace(day=1), last, ("org",))
        return sum(row.amount_micro for row in rows)

    async def capital_once_fen(self, party: Party, day: date) -> int | None:
        """Paid-in capital without what counts at an owner or a subsidiary already, which I5 subsidises (once through
        chains of ownership); None when it is not known."""
        if self.subsidised is None:
            return None
        since = await self.subsidised(party.org_id)

        async def first(other: UUID) -> bool:
            """Whether its capital was counted before this party's, so that it counts there."""
            then = await self.subsidised(other) if self.subsidised is not None else None
            return then is not None and (since is None or then < since)

        async with self._facts.reading(Use(PURPOSE, "system")) as reader:
            own = await reader.value(party.subject, CAPITAL, on=day, sound=True)
            if not isinstance(own, int):
                return None
            counted = 0
            for fact in await reader.of(party.subject, on=day, wanted=[OWNED_BY], sound=True):
                if await first(UUID(fact.key)):
                    counted += own * int(fact.value or 0) // WHOLE_BPS
            for other in await reader.subjects_with(OWNED_BY, party.subject, on=day):
                if await first(other):
                    capital = await reader.value(other, CAPITAL, on=day, sound=True)
                    shares = await reader.of(other, on=day, wanted=[OWNED_BY], sound=True)
                    share = sum(int(fact.value or 0) for fact in shares if fact.key == str(party.subject))
                    counted += int(capital or 0) * share // WHOLE_BPS
        return max(0, own - counted)

    async def untied_last_month_micro(self, party: Party, day: date) -> int:
        """Credits of the last full month before a day that were paid from lots which are no subsidy (T12)."""
        last = day.replace(day=1) - timedelta(days=1)
        return await self._untied(party, last.replace(day=1), last)

    async def untied_four_quarters_micro(self, party: Party, day: date) -> int:
        """Credits of the last four full quarters that were paid from lots which are no subsidy (T13)."""
        last = quarter_end(day)
        return await self._untied(party, first_of(last), last)

    async def _untied(self, party: Party, first: date, last: date) -> int:
        wallet = await self._ledger.ensure_account(party.org_id, Asset.CREDIT, "wallet")
        burned = await self._ledger.burned(wallet.id, first, last)
        return sum(burned.get(provenance, 0) for provenance in TRADEABLE)

    async def ai_training_hours(self, party: Party, day: date) -> int:
        """Hours of AI training that a person took within the twelve months up to a day, as recorded (B9)."""
        since = add_months(day, -MONTHS_A_YEAR)
        async with self._facts.reading(Use(PURPOSE, "system")) as reader:
            found = await reader.of(party.subject, on=day, wanted=[TRAINING], sound=True)
        return sum(int(fact.value or 0) for fact in found if fact.valid_from > since)


class Tuned:
    """What the studio, the ledger and the gateway say of a model that a party made: (party, day, name)."""

    def __init__(
        self, clock: Clock, standing: Standing, gateway: Gateway, *,
        related: Related, price: Callable[[date], Any],
    ) -> None:  # fmt: skip
        self._clock = clock
        self._standing = standing
        self._gateway = gateway
        self._related = related
        self._price = price

    def all(self) -> dict[str, Measure]:
        """By the name that programme files use."""
        return {
            "tuned_cost_fen": self.cost_fen,
            "tuned_score_bps": self.score_bps,
            "tuned_deployed": self.deployed,
            "tuned_before_use_micro": self.before_use_micro,
        }

    async def cost_fen(self, party: Party, day: date, name: str) -> int:
        """What was captured for tuning it, at the list price."""
        return await self._standing.captured_micro(party.org_id, name) * int(self._price(day)) // MICRO

    async def score_bps(self, party: Party, day: date, name: str) -> int | None:
        return await self._standing.score_bps(party.org_id, name)

    async def deployed(self, party: Party, day: date, name: str) -> bool:
        return await self._standing.deployed(party.org_id, name)

    async def before_use_micro(self, party: Party, day: date, name: str) -> int:
        """Credits that others, unrelated to the party (R0), paid for calls to the model it deployed before."""
        before = await self._standing.before(party.org_id, name)
        if before is None:
            return 0
        since = before.since.astimezone(CITY_TZ).date()
        rows = await self._gateway.usage_of_all(since, self._clock.today(), ("org",), before.name)
        found = 0
        for row in sorted(rows, key=lambda one: -one.amount_micro)[:PAYERS_MAX]:
            if row.org_id is not None and not await self._related(party.org_id, row.org_id):
                found += row.amount_micro
        return found
