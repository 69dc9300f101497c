"""Small questions that modules ask of each other without knowing each other, answered in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from shanhe.alliances.api import Alliances
from shanhe.credits.api import Affected, Credits, Incubation, Payer
from shanhe.exchange.api import Exchange, Reason, Trader
from shanhe.facts.api import Facts, Use
from shanhe.gateway.api import Gateway
from shanhe.identity.api import Identity, LeakReport, OrgKind, OrgState
from shanhe.identity.api import Role as PersonRole
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.notify import Notice, Notifier, Severity, Text, WebhookSender
from shanhe.kernel.paging import every
from shanhe.programmes.api import Standings
from shanhe.webhooks import api as webhooks
from shanhe.wiring.relatives import Relatives

ELSEWHERE: Final = ("other_token", "outside_use_fen")
INCUBATION: Final = ("incubated", "incubation_ends_on", "infeasibility_report", *ELSEWHERE)
WATCHERS: Final = (PersonRole.OPERATOR, PersonRole.AUDITOR, PersonRole.ADMIN)
"""Who is written to when the operators are told something critical."""
LEAK_TRACE: Final = timedelta(days=30)


class Books:
    """What modules must know of each other without knowing each other: small questions, answered here."""

    gateway: Gateway
    notifier: Notifier
    credits: Credits
    exchange: Exchange
    standings: Standings
    alliances: Alliances

    def __init__(self, identity: Identity, relatives: Relatives, facts: Facts, clock: Clock, webhook_url: str) -> None:
        self._identity = identity
        self._facts = facts
        self.relatives = relatives
        self._clock = clock
        self._webhook_url = webhook_url

    async def payer(self, org_id: UUID) -> Payer:
        """Facts of an organisation for the purchase rule."""
        facts = await self._identity.orgs.payer_facts(org_id, self._clock.today())
        sharing = await self.relatives.sharing(org_id)
        if facts.kind is OrgKind.PERSON:
            return Payer(org_id, facts.beneficiary, facts.categories, facts.frozen, sharing=sharing)
        incubation, allies = await self._incubation(org_id), await self.alliances.size(org_id)
        return Payer(org_id, facts.beneficiary, facts.categories, facts.frozen, incubation, allies, sharing)

    async def _incubation(self, org_id: UUID) -> Incubation | None:
        """What the incubatees' price (I6) asks; None for who was never incubated. What a company says of its own use
        elsewhere counts against it, whoever checked it."""
        today = self._clock.today()
        async with self._facts.reading(Use("programmes", "credits")) as reader:
            known = {fact.name: fact for fact in await reader.of(org_id, on=today, wanted=INCUBATION)}
        standing = {name: fact.value for name, fact in known.items() if fact.standing.sound}
        ends = standing.get("incubation_ends_on")
        if not standing.get("incubated") and not isinstance(ends, str):
            return None
        elsewhere = any(fact.value for name, fact in known.items() if name in ELSEWHERE)
        accepted = bool(standing.get("infeasibility_report"))
        ended = date.fromisoformat(ends) if isinstance(ends, str) else today
        if standing.get("incubated"):
            ended = max(ended, today)
        return Incubation(ended, elsewhere and not accepted)

    async def trader(self, org_id: UUID) -> Trader:
        """Who stands behind an organisation that trades, and whom it may not meet (R0)."""
        facts = await self._identity.orgs.payer_facts(org_id, self._clock.today())
        return Trader(org_id, facts.beneficiary, facts.frozen, await self.relatives.parties(org_id))

    async def fee_discount(self, org_id: UUID, on: date) -> int:
        """What loyalty (C10) takes off the trade fee, in basis points."""
        return (await self.credits.loyalty.standing(org_id, on)).reduction_bps

    async def queue_weight(self, org_id: UUID) -> int:
        """What loyalty (C10) or the value index (T13) makes an organisation's calls weigh at a full engine."""
        loyal = (await self.credits.loyalty.standing(org_id)).queue_weight
        return max(loyal, await self.standings.queue_weight(org_id))

    async def end_orders(self, org_id: UUID) -> None:
        """End an organisation's open orders; their escrow is free again."""
        await self.exchange.end_orders(org_id, reason=Reason.FROZEN, actor="estate")

    async def spent(self, org_id: UUID, key_id: UUID | None, start: datetime, end: datetime) -> int:
        """Micro-credits spent in [start, end); windows are whole days of the city."""
        last = city_date(end - timedelta(microseconds=1))
        rows = await self.gateway.usage(org_id, city_date(start), last, ("org",), key_id)
        return sum(row.amount_micro for row in rows)

    async def affected(self, model: str) -> Sequence[Affected]:
        """Organisations with a live key that may call a model, and those keys' names."""
        found = []
        now = self._clock.now()
        for org_id in await self._identity.keys.affected_by(model):
            keys = every(partial(self._identity.keys.list, org_id))
            live = [k async for k in keys if k.state(now) == "active" and (k.models is None or model in k.models)]
            # A notice outlives an erasure: what a person called a key stays out of it.
            own = (await self._identity.orgs.get(org_id)).person_id is not None
            names = [f"…{key.last4}" if own else key.name for key in live]
            found.append(Affected(org_id, tuple(names)))
        return found

    async def company(self, org_id: UUID) -> tuple[str, bool]:
        """What an organisation is called, and whether it may be a member of an alliance (T14)."""
        org = await self._identity.orgs.get(org_id)
        return org.name, org.kind is OrgKind.COMPANY and org.state is OrgState.ACTIVE

    async def org_kind(self, org_id: UUID) -> str:
        """What kind of organisation it is."""
        return str((await self._identity.orgs.get(org_id)).kind)

    async def org_name(self, org_id: UUID) -> str:
        """What an organisation is called."""
        return (await self._identity.orgs.get(org_id)).name

    async def addresses(self, notice: Notice, channel: str) -> Sequence[str]:
        """Where a notice goes: verified e-mail addresses of its readers; the operators' own webhook; an
        organisation's webhooks, by its id."""
        if channel == WebhookSender.name:
            return (self._webhook_url,) if notice.org_id is None and notice.person_id is None else ()
        if channel == webhooks.CHANNEL:
            return (str(notice.org_id),) if notice.org_id is not None and notice.person_id is None else ()
        people = await self._readers(notice)
        found = [await self._identity.people.get(person_id) for person_id in people]
        return [person.email for person in found if person.email and person.email_verified]

    async def _readers(self, notice: Notice) -> Sequence[UUID]:
        if notice.person_id is not None:
            return (notice.person_id,)
        if notice.org_id is None:
            return await self._identity.people.holders(*WATCHERS) if notice.severity is Severity.CRITICAL else ()
        members = await self._identity.orgs.members(notice.org_id)
        return [member.person_id for member in members if member.role is PersonRole.OWNER]

    async def key_use(self, key_id: UUID) -> Sequence[Mapping[str, Any]]:
        """What a key did lately, by day and model: what a leak's report shows."""
        today = self._clock.today()
        rows = await self.gateway.usage(None, today - LEAK_TRACE, today, ("day", "model"), key_id)
        return [{"day": str(r.day), "model": r.model, "calls": r.calls, "micro": r.amount_micro} for r in rows]

    async def tell_leak(self, report: LeakReport) -> None:
        """Tell the owners of a leaked key that it was revoked."""
        frozen = Text("，机构已冻结", " and the organisation is frozen") if report.frozen else Text("", "")
        own = (await self._identity.orgs.get(report.org_id)).person_id is not None
        named = (f"密钥“{report.key_name}”", f"The key {report.key_name!r}")
        zh, en = ("您的一个密钥", "One of your keys") if own else named
        await self.notifier.notify(
            Notice(
                "key.leaked",
                Text(f"{zh}已泄露并被吊销", f"{en} leaked and was revoked"),
                Text(
                    f"该密钥已立即失效{frozen.zh}。请在密钥页面新建密钥，并核对近期调用。",
                    f"It stopped working at once{frozen.en}. Make a new one on the keys page and check recent calls.",
                ),
                Severity.CRITICAL,
                org_id=report.org_id,
                link="/keys",
                dedupe=f"leak:{report.id}",
            )
        )
