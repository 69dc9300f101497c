"""Contribution points: what was earned and when, level (T5), reputation with its half-life (T6), turning into credits.

Nothing is kept beside the ledger: points are postings on a party's wallet, and standing is a rule over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.errors import Conflict
from shanhe.ledger.api import Account, Posting, Provenance, Transfer, UnknownPosting
from shanhe.programmes import award_store
from shanhe.programmes.booking import Books
from shanhe.programmes.cases import Payment
from shanhe.programmes.errors import NothingToConvert
from shanhe.programmes.ground import Ground
from shanhe.rulebook.api import Decision

LEVELS, REPUTATION = "T5_points", "T6_reputation"
BUDGET: Final = "points_credit"
POINTS: Final = "points"
KIND: Final = "points_converted"
GAINS_MAX: Final = 400
"""How many contributions reputation looks at, the latest first: as many as its rule takes."""
PAGE_ROWS: Final = 200


@dataclass(frozen=True)
class Standing:
    """`points` convert, `lifetime` counts for the level; `reputation` halves with age, `coefficient_bps` follows it."""

    points: int
    lifetime: int
    level: int
    reputation: int
    coefficient_bps: int
    convertible_micro: int
    points_left: int
    traces: dict[str, Any]


class Points:
    def __init__(self, ground: Ground, books: Books) -> None:
        self._ground = ground
        self._books = books

    async def standing(self, org_id: UUID) -> Standing:
        """What a party's contributions come to today."""
        wallet = await self._books.wallet(org_id, "point")
        found, _ = await self._decide(wallet)
        return found

    async def _decide(self, wallet: Account) -> tuple[Standing, Decision]:
        ground, today = self._ground, self._ground.today()
        gains = await self._gains(wallet)
        recent = gains[:GAINS_MAX] or [(0, today)]
        ages = [max((today - day).days, 0) for _, day in recent]
        repute = ground.rulebook.evaluate(
            REPUTATION, {"points": [amount for amount, _ in recent], "ages": ages}, on=today
        )
        points = (await ground.ledger.balance(wallet.id)).balance
        lifetime = sum(amount for amount, _ in gains)
        facts = {"points": points, "lifetime_points": lifetime, "coefficient": repute.outputs["coefficient"]}
        level = ground.rulebook.evaluate(LEVELS, facts, on=today)
        return Standing(
            points, lifetime, level.outputs["level"], repute.outputs["reputation"], repute.outputs["coefficient"],
            level.outputs["credit_micro"], level.outputs["points_left"],
            {REPUTATION: repute.trace, LEVELS: level.trace},
        ), level  # fmt: skip

    async def _gains(self, wallet: Account) -> list[tuple[int, date]]:
        """Every grant of points, newest first; what a clawback took back was not earned."""
        found, cursor = list[tuple[int, date]](), None
        while True:
            page = await self._ground.ledger.postings(account=wallet.id, kind="grant", cursor=cursor, limit=PAGE_ROWS)
            void = await award_store.taken_back(self._ground.db, [item.id for item in page.items])
            found += [
                (leg.amount, item.day) for item in page.items if item.id not in void
                for leg in item.transfers if leg.credit == wallet.id
            ]  # fmt: skip
            cursor = page.next
            if cursor is None:
                return found

    async def convert(self, org_id: UUID, *, conversion_id: UUID, actor: str) -> int:
        """Turn whole blocks of points into credits by T5, in one posting; µ given. Idempotent by id.

        NothingToConvert below a block; InsufficientCredit when the budget for it is empty.
        """
        wallet = await self._books.wallet(org_id, "point")
        credits = await self._books.wallet(org_id, "credit")
        try:
            done = await self._ground.ledger.posting(conversion_id)
        except UnknownPosting:
            standing, decision = await self._decide(wallet)
            if standing.convertible_micro == 0:
                raise NothingToConvert(standing.points) from None
            made = await self._posting(conversion_id, wallet, credits, standing, decision, actor)
            await self._ground.ledger.post(made)
            return standing.convertible_micro
        if done.kind != KIND or not any(leg.credit == credits.id for leg in done.transfers):
            raise Conflict(
                "conversion_conflict", "This id already belongs to another posting.", message_zh="该编号已被使用。",
                hint="Use a new id.", hint_zh="请使用新的编号。",
            )  # fmt: skip
        return sum(leg.amount for leg in done.transfers if leg.credit == credits.id)

    async def _posting(
        self, number: UUID, wallet: Account, credits: Account, standing: Standing, decision: Decision, actor: str
    ) -> Posting:
        points, budget = await self._books.budget(POINTS), await self._books.budget(BUDGET)
        spent, given = standing.points - standing.points_left, standing.convertible_micro
        item = Payment(credits.owner, "credit", BUDGET, given, Provenance.REWARD.value, given)
        evidence = {"version": 1, "rule": LEVELS, "rule_version": decision.version, "trace": decision.trace}
        return Posting(
            id=number, kind=KIND,
            transfers=(Transfer(UUID(int=number.int ^ 1), wallet.id, points.id, spent),
                       Transfer(UUID(int=number.int ^ 2), budget.id, credits.id, given)),
            lots=(self._books.lot(item, credits, self._ground.today()),),
            evidence=msgspec.json.encode(evidence, order="sorted"), actor=actor,
            memo="Points into credits · 贡献积分转换",
        )  # fmt: skip
