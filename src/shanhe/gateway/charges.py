"""What a call that comes through listings is split by: features publish it, the rulebook bounds it (R0 too)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.gateway import charge_store as store
from shanhe.gateway.commission import Commission, Maker, Markup, Referral, Royalty
from shanhe.gateway.errors import CallError
from shanhe.kernel.asking import Related
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.ledger.api import Asset, Ledger

if TYPE_CHECKING:
    from shanhe.rulebook.api import Rulebook

DEVELOPER_RULE: Final = "P6"
ROYALTY_RULE: Final = "T16"
SHARES_RULE: Final = "T17"
REFERRAL_RULE: Final = "B2"
SUBSIDY_RULE: Final = "R1"
RELATED_RULE: Final = "R0"
PARTIES_MAX: Final = 32
USERS_MAX: Final = 100
RESOURCES_MAX: Final = 8
"""Listings one call may come through."""
RELATIONS_MAX: Final = 4096
FEES_MAX: Final = 20_000
FEE_TTL_S: Final = 5.0
"""How long a fee's terms are believed without asking; a change is heard of within milliseconds."""
RELATION_TTL_S: Final = 60.0
"""How long an answer about two parties is remembered."""
WHOLE_PPM: Final = 1_000_000
Referrer = Callable[[UUID], Awaitable[tuple[UUID, date] | None]]
"""Who brought an organisation, and when it signed up."""


class ResourceTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a feature publishes: who is paid how much when a call comes through the resource.

    `makers`: (owner, share in millionths, a million in all); `holders`: (owner, rate in millionths of the price);
    `rights`: registered rights that its calls use, by name: who holds them and at which rate, the registry says.
    """

    name: str
    role: str
    markup_bps: int
    fee_micro: int = 0
    makers: tuple[tuple[UUID, int], ...]
    holders: tuple[tuple[UUID, int], ...] = ()
    rights: tuple[str, ...] = ()


async def nobody(org_id: UUID) -> tuple[UUID, date] | None:
    """Nobody brought anybody."""
    return None


async def unrelated(one: UUID, other: UUID) -> bool:
    """Only one and the same party is related."""
    return one == other


class ChargeBook:
    """Terms of resources, and what they come to for one payer today."""

    def __init__(
        self, db: Database, clock: Clock, ledger: Ledger, rulebook: Rulebook, related: Related, referrer: Referrer
    ) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._rulebook = rulebook
        self._related = related
        self._referrer = referrer
        self._relations: dict[tuple[UUID, UUID], tuple[float, bool]] = {}
        self._fees: dict[tuple[UUID, str], tuple[float, date, Commission]] = {}
        self._heed: list[Callable[[], None]] = []
        self._heard = 0

    def start(self) -> None:
        """Hear of terms that other processes change."""
        self._db.listen(store.CHANNEL, lambda _: self._changed(), on_connect=self._changed)

    def heed(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever what is for sale may have changed."""
        self._heed.append(changed)

    def _changed(self) -> None:
        self._heard += 1
        self._fees.clear()
        for changed in self._heed:
            changed()

    async def fee(self, payer: UUID, name: str) -> Commission:
        """`commission` of one resource, from memory where it was asked for within a second and nothing has changed."""
        known = self.fee_known(payer, name)
        if known is not None:
            return known
        key, now, today = (payer, name), time.monotonic(), self._clock.today()
        heard = self._heard
        found = await self.commission(payer, [name])
        if len(self._fees) >= FEES_MAX:
            self._fees.clear()
        if heard == self._heard:  # what changed meanwhile may not be in the answer
            self._fees[key] = now, today, found
        return found

    def fee_known(self, payer: UUID, name: str) -> Commission | None:
        """The same as far as memory goes."""
        known = self._fees.get((payer, name))
        fresh = known is not None and time.monotonic() - known[0] < FEE_TTL_S and known[1] == self._clock.today()
        return known[2] if fresh and known is not None else None

    async def publish(self, terms: ResourceTerms, *, actor: str, conn: Any = None) -> None:
        """Set the terms of a resource, in the caller's transaction if there is one; later calls are split by them."""
        if sum(share for _, share in terms.makers) != WHOLE_PPM or len(terms.makers) > PARTIES_MAX:
            raise Invalid(
                "shares_not_whole",
                f"The makers' shares must sum to {WHOLE_PPM} millionths, with at most {PARTIES_MAX} makers.",
                message_zh=f"制作方份额合计须为百万分之 {WHOLE_PPM}，且不超过 {PARTIES_MAX} 方。",
            )
        if max(len(terms.holders), len(terms.rights)) > PARTIES_MAX:
            raise Invalid("too_many_holders", f"At most {PARTIES_MAX} rights a listing.",
                          message_zh=f"每个上架项最多登记 {PARTIES_MAX} 项权利。")  # fmt: skip
        if conn is None:
            async with self._db.transaction() as own:
                return await self.publish(terms, actor=actor, conn=own)
        now = self._clock.now()
        self._changed()
        return await store.publish(
            conn, terms.name, terms.role, terms.markup_bps, terms.fee_micro, terms.makers, terms.holders, terms.rights,
            now, actor,
        )  # fmt: skip

    async def grant(
        self, right: str, rate_ppm: int, holders: Sequence[tuple[UUID, int]], *, actor: str, conn: Any
    ) -> None:
        """Pay a registered right from now on wherever it is used: `holders` by shares in millionths (T17)."""
        if sum(share for _, share in holders) != WHOLE_PPM or len(holders) > PARTIES_MAX:
            raise Invalid(
                "shares_not_whole",
                f"The holders' shares must sum to {WHOLE_PPM} millionths, with at most {PARTIES_MAX} holders.",
                message_zh=f"权利人份额合计须为百万分之 {WHOLE_PPM}，且不超过 {PARTIES_MAX} 方。",
            )
        self._changed()
        await store.grant(conn, right, rate_ppm, holders, self._clock.now(), actor)

    async def end(self, right: str, *, actor: str, conn: Any) -> None:
        """Pay a registered right no more; what uses it goes on without."""
        self._changed()
        await store.end(conn, right, self._clock.now(), actor)

    async def missing(self, rights: Sequence[str], *, conn: Any = None) -> list[str]:
        """Those of these rights that nobody offers for use now."""
        return await store.missing(conn or self._db, rights)

    async def users(self, right: str) -> list[str]:
        """Resources on sale whose calls use a right, a bounded list."""
        return await store.users(self._db, right, USERS_MAX)

    async def close(self, name: str, *, actor: str, conn: Any) -> None:
        """Sell nothing more through a resource; calls that are running end as they were admitted."""
        self._changed()
        await store.close(conn, name, self._clock.now(), actor)

    async def refers(self, payer: UUID) -> bool:
        """Whether somebody may be paid for having brought this payer."""
        return await self._referrer(payer) is not None

    async def commission(
        self, payer: UUID, names: Sequence[str], weights: Mapping[str, Sequence[int]] | None = None,
        fees: Collection[str] | None = None, carried: Mapping[str, int] | None = None, since: datetime | None = None,
    ) -> Commission:  # fmt: skip
        """Who is paid when `payer` calls through these resources; CallError 404 for one that is not for sale.

        `weights` of a resource take the place of its recorded shares: tokens of each maker in the final answer (T3).
        `fees` names those whose fee is due with this call, None all: a run of several calls pays a fee once. `carried`:
        model cost of the run's earlier calls by the resource whose markup on it is due now, µ. `since`: when the run
        began; what was for sale then is to its end, whoever withdraws it meanwhile.
        """
        names = list(dict.fromkeys(names))
        if len(names) > RESOURCES_MAX:
            raise CallError(400, "too_many_listings", f"One call may come through at most {RESOURCES_MAX} listings.")
        found = {row["name"]: row for row in await store.terms(self._db, names, since)} if names else {}
        if missing := [name for name in names if name not in found]:
            raise CallError(404, "listing_withdrawn", f"{missing[0]} is not offered (any more).", param="model")
        today = self._clock.today()
        rules = dict[str, str]()
        markups, royalties = [], list[Royalty]()
        for name in names:
            mine = found[name]["parties"]
            makers = [row for row in mine if row["role"] == "maker"]
            chosen = (weights or {}).get(name) or ()
            if len(chosen) != len(makers):  # none were given, or they are of makers that it had when the run began
                chosen = [row["share_ppm"] for row in makers]
            fee_micro = found[name]["fee_micro"] if fees is None or name in fees else 0
            markup = await self._markup(found[name], fee_micro, makers, chosen, payer, today)
            if markup.makers and carried and carried.get(name):
                markup = msgspec.structs.replace(markup, carried_micro=carried[name])
            markups.append(markup)
            for row in mine:
                if row["role"] == "ip_holder" and not await self._are_related(payer, UUID(row["party"])):
                    royalties.append(await self._royalty(name, UUID(row["party"]), row["rate_ppm"], today))
        royalties += await self._rights(found, payer, today)
        referral = await self._referral(payer, today)
        used = [SUBSIDY_RULE, RELATED_RULE] if names else []
        used += [DEVELOPER_RULE] if markups else []
        parted = [*(markup.makers for markup in markups), *(royalty.holders for royalty in royalties)]
        used += [SHARES_RULE] if any(len(parties) > 1 for parties in parted) else []
        used += [ROYALTY_RULE] if royalties else []
        used += [REFERRAL_RULE] if referral else []
        rules = {rule: self._rulebook.version(rule, today) for rule in used}
        return Commission(
            tuple(markup for markup in markups if markup.makers),
            tuple(royalties),
            referral,
            self._number(DEVELOPER_RULE, "developer_share", today),
            self._number(SUBSIDY_RULE, "markup_share", today),
            rules,
        )

    async def _markup(
        self, row: Any, fee_micro: int, makers: Sequence[Any], weights: Sequence[int], payer: UUID, today: date
    ) -> Markup:
        """A resource's markup. Whoever uses what is all their own, or their relatives', pays no markup (R0)."""
        found = []
        for maker, weight in zip(makers, weights, strict=True):
            party = UUID(maker["party"])
            account = await self._ledger.ensure_account(party, Asset.CREDIT, "income")
            found.append(Maker(account.id, weight, await self._are_related(payer, party)))
        if all(maker.related for maker in found):
            return Markup(row["role"], row["name"], 0, 0, ())
        rate_bps = max(row["markup_bps"], self._number(DEVELOPER_RULE, "lowest_markup", today))
        return Markup(row["role"], row["name"], rate_bps, fee_micro, tuple(found))

    async def _rights(self, terms: Mapping[str, Any], payer: UUID, today: date) -> list[Royalty]:
        """Registered rights that a call through these uses, each once; a related holder earns nothing (R0)."""
        lowest, highest = (self._number(ROYALTY_RULE, bound, today) for bound in ("lowest", "highest"))
        found: dict[str, tuple[str, int, list[Maker]]] = {}
        for name, row in ((name, row) for name, one in terms.items() for row in one["rights"]):
            resource, _, holders = found.setdefault(row["name"], (name, row["rate_ppm"], []))
            if resource == name:
                party = UUID(row["party"])
                account = await self._ledger.ensure_account(party, Asset.CREDIT, "income")
                related = await self._are_related(payer, party)
                holders.append(Maker(account.id, row["share_ppm"], related))
        return [
            Royalty(resource, None, min(max(rate_ppm, lowest), highest), name, tuple(holders))
            for name, (resource, rate_ppm, holders) in found.items()
            if not all(holder.related for holder in holders)
        ]

    async def _royalty(self, name: str, party: UUID, rate_ppm: int, today: date) -> Royalty:
        account = await self._ledger.ensure_account(party, Asset.CREDIT, "income")
        lowest, highest = (self._number(ROYALTY_RULE, bound, today) for bound in ("lowest", "highest"))
        return Royalty(name, account.id, min(max(rate_ppm, lowest), highest))

    async def _referral(self, payer: UUID, today: date) -> Referral | None:
        """B2 pays for a time from the sign-up on; the rule itself says whether today still is."""
        known = await self._referrer(payer)
        if known is None:
            return None
        party, signed_up_on = known
        facts = {"paid_micro": WHOLE_PPM, "signed_up_on": signed_up_on, "paid_on": today}
        if not self._rulebook.evaluate(REFERRAL_RULE, facts, on=today).outputs["creator_micro"]:
            return None
        account = await self._ledger.ensure_account(party, Asset.CREDIT, "income")
        return Referral(account.id, self._number(REFERRAL_RULE, "rate", today))

    async def _are_related(self, one: UUID, other: UUID) -> bool:
        if one == other:
            return True
        key, now = (one, other), time.monotonic()
        known = self._relations.get(key)
        if known is not None and now - known[0] < RELATION_TTL_S:
            return known[1]
        if len(self._relations) >= RELATIONS_MAX:
            self._relations.clear()
        answer = await self._related(one, other)
        self._relations[key] = now, answer
        return answer

    def divide(self, amount: int, weights: Sequence[int]) -> Sequence[int]:
        """T17: an amount by weights, exactly, largest remainder first."""
        parts: Sequence[int] = self._rulebook.compiled(SHARES_RULE, self._clock.today())(
            income_micro=amount, shares=list(weights)
        )["parts_micro"]
        return parts

    def _number(self, rule: str, name: str, on: date) -> int:
        return int(self._rulebook.parameter(rule, name, on))
