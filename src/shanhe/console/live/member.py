"""Balance, usage, receipts, keys and notices from their modules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from operator import attrgetter
from uuid import UUID

from shanhe.compute.api import BUCKETS, NoPrice
from shanhe.console import model as m
from shanhe.console import model_postings as mp
from shanhe.console.live.modules import Modules, Names, actor_of, opened_by
from shanhe.gateway.api import PRIVATE, WINDOWS, Receipt, UsageRow, complete
from shanhe.identity.api import Key, NewKey
from shanhe.kernel.paging import Leaf, leaf
from shanhe.ledger.api import Asset

MARKUP_SCALE = 1_000_000 * 10_000
"""Prices are per million tokens, markups in basis points."""
PLAY_KEY = "~playground"
"""Name of the keys that the playground makes for itself."""
HIDDEN = "~"
"""Keys whose names begin with it were made by the city for its own pages; they are not listed."""
ROTATE_GRACE_S = 86_400
LAST_USED_DAYS = 30
KEYS_MAX, KEYS_ROWS = 1_000, 100
NOBODY = UUID(int=0)


class LiveMember:
    """See `ports.Member`."""

    def __init__(self, modules: Modules, names: Names) -> None:
        self._of = modules
        self._names = names

    async def wallet(self, who: m.Who) -> m.WalletView:
        found = await self._of.credits.wallet(who.org_id)
        lots = [
            m.LotRow(
                lot.provenance, lot.issued_micro, lot.remaining_micro, lot.held_micro, lot.expires_at, lot.tradeable_at
            )
            for lot in found.lots
            if lot.remaining_micro
        ]
        parts = {str(name): micro for name, micro in found.by_provenance.items()}
        return m.WalletView(
            found.balance_micro, found.available_micro, found.held_micro, parts, lots, more=found.next is not None
        )

    async def spend(self, who: m.Who, days: int) -> Sequence[m.DaySpend]:
        today = self._of.clock.today()
        rows = await self._of.gateway.usage(who.org_id, today - timedelta(days=days - 1), today, ("day",))
        known = {row.day: row for row in rows}
        wanted = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
        return [
            m.DaySpend(day, known[day].amount_micro, known[day].calls) if day in known else m.DaySpend(day, 0, 0)
            for day in wanted
        ]

    async def calls(
        self, who: m.Who, limit: int, after: str | None = None, tag: str | None = None
    ) -> tuple[Sequence[m.CallRow], str | None]:
        page = await self._of.gateway.recent(who.org_id, limit, after, tag=tag)
        rows = [
            m.CallRow(row.id, row.at, row.model, row.key_name, row.tokens, row.amount_micro, row.status, tags=row.tags)
            for row in page.calls
        ]
        return rows, page.cursor

    async def usage(self, who: m.Who, start: date, end: date, by: str) -> Sequence[m.UsageRow]:
        rows = complete(await self._of.gateway.usage(who.org_id, start, end, (by,)))
        keys = await self._of.identity.keys.among(who.org_id, {row.key_id for row in rows if row.key_id is not None})
        names = {key.id: key.name for key in keys.values()}
        found = [_usage(row, by, names) for row in rows]
        return sorted(found, key=lambda row: row.label) if by in WINDOWS else found

    async def costs(self, who: m.Who, start: date, end: date, kind: str) -> Sequence[m.CostRow]:
        if kind in ("app", "city_app"):
            return await self._app_costs(None if kind == "city_app" else who.org_id, start, end)
        source = self._of.agents if kind == "agent" else self._of.routines.workflows
        found = await source.costs(who.org_id, start, end)
        keys = await self._of.identity.keys.among(who.org_id, {one.key_id for one in found})
        people = {one.person_id: one.name for one in await self._of.identity.orgs.members(who.org_id)} if found else {}

        def called(key_id: UUID) -> str:
            key = keys.get(key_id)
            if key is None:
                return ""
            return people.get(key.created_by, "") if key.created_by and key.name == PLAY_KEY else key.name

        sums: dict[tuple[date, str, str], tuple[int, int]] = {}
        for one in found:
            runs, micro = sums.get(at := (one.day, one.name, called(one.key_id)), (0, 0))
            sums[at] = (runs + one.runs, micro + one.paid_micro)
        return [m.CostRow(*at, runs, micro) for at, (runs, micro) in sums.items()]

    async def _app_costs(self, org_id: UUID | None, start: date, end: date) -> Sequence[m.CostRow]:
        """By who let the app act; of every organisation by organisation."""
        found = await self._of.oauth.costs(org_id, start, end)
        if org_id is None:
            orgs = await self._of.identity.orgs.names({row.org_id for row in found})
            return [m.CostRow(row.day, row.name, orgs[row.org_id], row.calls, row.paid_micro) for row in found]
        people = {one.person_id: one.name for one in await self._of.identity.orgs.members(org_id)} if found else {}
        return [m.CostRow(row.day, row.name, people.get(row.person_id, ""), row.calls, row.paid_micro) for row in found]

    async def receipt(self, who: m.Who, receipt_id: UUID) -> mp.Receipt:
        found = await self._of.gateway.receipt(receipt_id, None if who.may("ledger") else who.org_id)
        return await self._receipt(found)

    async def _receipt(self, found: Receipt) -> mp.Receipt:
        seen = found.evidence
        transfers = [await self._transfer(line) for line in found.transfers]
        return mp.Receipt(
            id=found.id,
            at=found.at,
            state=found.status,
            model=seen.model,
            upstream_model=seen.upstream_model,
            engine=seen.engine,
            face=seen.face,
            key_name=seen.key_name,
            stream=seen.stream,
            finish_reason=seen.finish_reason or "",
            usage_source=seen.usage_source,
            usage_clamped=seen.usage_clamped,
            buckets=[mp.BucketLine(name, getattr(seen.buckets, name), getattr(seen.prices, name)) for name in BUCKETS],
            unit=found.unit,
            total_micro=found.amount_micro,
            held_micro=seen.held_micro,
            uncovered_micro=seen.uncovered_micro,
            parties=[
                mp.PartyLine(share.role, await self._names.label(share.account), share.amount_micro)
                for share in seen.shares
            ],
            rules=[
                mp.RuleLine(rule.id, (rule.title_zh, rule.title_en), rule.article, rule.version) for rule in found.rules
            ],
            burned=await self._burned(found, seen.org_id),
            transfers=transfers,
            admitted_ms=seen.timings.admitted_ms,
            first_token_ms=seen.timings.first_token_ms,
            engine_done_ms=seen.timings.engine_done_ms,
            attempts=seen.attempts,
            price_version=seen.prices.version,
            org_id=seen.org_id,
            trace=found.trace or {},
            markups=_markups(found),
            decisions=found.decisions,
            reversed_by=found.reversed_by,
            tags=found.tags,
        )

    async def _transfer(self, line: dict[str, object]) -> mp.TransferLine:
        source, target = UUID(str(line["debit"])), UUID(str(line["credit"]))
        asset = str((await self._of.ledger.account(source)).asset)
        labels = await self._names.label(source), await self._names.label(target)
        return mp.TransferLine(UUID(str(line["id"])), *labels, int(str(line["amount"])), asset, source, target)

    async def _burned(self, found: Receipt, org_id: UUID) -> Sequence[mp.BurnLine]:
        """The payer's lots that the call used, with where they came from."""
        wallet = await self._of.ledger.ensure_account(org_id, Asset.CREDIT, "wallet")
        used = [(UUID(str(change["lot"])), -int(change["amount"])) for change in found.lots]
        known = await self._of.ledger.lots_by_id([lot for lot, _ in used])
        return [
            mp.BurnLine(str(lot.provenance), amount, lot.expires_at)
            for number, amount in used
            if amount > 0 and (lot := known.get(number)) is not None and lot.account == wallet.id
        ]

    # -- keys --------------------------------------------------------------------------------------------------------

    async def keys(self, who: m.Who, before: UUID | None = None) -> Leaf[m.KeyRow]:
        return Leaf([], None) if who.org_id == NOBODY else await self.keys_of(who.org_id, before)

    async def keys_of(self, org_id: UUID, before: UUID | None) -> Leaf[m.KeyRow]:
        """Keys of an organisation that people made, a page, of it the working ones first."""
        today = self._of.clock.today()
        used = await self._of.gateway.usage(org_id, today - timedelta(days=LAST_USED_DAYS), today, ("day", "key"))
        last: dict[UUID, date] = {}
        for row in used:
            if row.key_id is not None and row.day is not None:
                last[row.key_id] = max(row.day, last.get(row.key_id, row.day))
        found = await leaf(
            partial(self._of.identity.keys.list, org_id, limit=KEYS_MAX), _read,
            lambda key: not key.name.startswith(HIDDEN), before=before, most=KEYS_ROWS, place=attrgetter("id"),
        )  # fmt: skip
        rows = [self._key(key, last.get(key.id)) for key in found.rows]
        return Leaf(sorted(rows, key=lambda row: row.state != "active"), found.following)

    def _key(self, key: Key, last: date | None = None) -> m.KeyRow:
        state = key.state(self._of.clock.now())
        return m.KeyRow(
            id=key.id,
            name=key.name,
            hint=f"{key.prefix}…{key.last4}",
            state="rotating" if state == "active" and key.successor_id else state,
            models=tuple(sorted(key.models)) if key.models is not None else None,
            budget_day_micro=key.budget_day_micro,
            budget_month_micro=key.budget_month_micro,
            rpm=key.rpm,
            tpm=key.tpm,
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_on=last,
        )

    async def key_create(self, who: m.Who, wanted: m.NewKey) -> tuple[m.KeyRow, str]:
        new = NewKey(
            name=wanted.name,
            models=frozenset(wanted.models) if wanted.models else None,
            budget_day_micro=wanted.budget_day_micro,
            budget_month_micro=wanted.budget_month_micro,
            rpm=wanted.rpm,
            tpm=wanted.tpm,
            expires_at=wanted.expires_at,
        )
        key, token = await self._of.identity.create_key(who.org_id, new, by=actor_of(who), key_id=wanted.id)
        return self._key(key), token

    async def key_rotate(self, who: m.Who, key_id: UUID) -> tuple[m.KeyRow, str]:
        keys = self._of.identity.keys
        key, token = await keys.rotate(key_id, who.org_id, grace_s=ROTATE_GRACE_S, by=actor_of(who))
        return self._key(key), token

    async def key_revoke(self, who: m.Who, key_id: UUID) -> None:
        await self._of.identity.keys.revoke(key_id, who.org_id, by=actor_of(who))

    # -- models and notices --------------------------------------------------------------------------------------------

    async def models(self) -> Sequence[m.ModelRow]:
        rows = []
        today = self._of.clock.today()
        aliases: dict[str, list[str]] = {}
        for name, model in (await self._of.compute.aliases.every()).items():
            aliases.setdefault(model, []).append(name)
        for info in self._of.compute.models():
            if info.id.startswith(PRIVATE):  # it answers through its clone alone
                continue
            row = m.ModelRow(
                id=info.id,
                title=(info.title_zh, info.title_en),
                kind=str(info.kind),
                context_tokens=info.context_tokens,
                licence=info.licence,
                engines=info.engines,
                local=info.local,
                aliases=tuple(aliases.get(info.id, ())),
                price_class=info.price_class,
            )
            try:
                prices = self._of.compute.prices(info.id, today)
            except NoPrice:
                rows.append(row)
                continue
            rows.append(row.priced({bucket: getattr(prices, bucket) for bucket in BUCKETS}, prices))
        return rows

    async def notices(self, who: m.Who, limit: int) -> Sequence[m.NoticeRow]:
        orgs = [who.org_id] if who.org_id != NOBODY else []
        found = await self._of.notifier.inbox(who.person_id, orgs, operator=who.operator, limit=limit)
        return [
            m.NoticeRow(
                notice.id,
                notice.created_at or self._of.clock.now(),
                str(notice.severity),
                (notice.title.zh, notice.title.en),
                (notice.body.zh, notice.body.en),
                opened_by(who, notice.link),
                notice.read,
            )
            for notice in found
        ]

    async def notices_read(self, who: m.Who, ids: Sequence[UUID]) -> None:
        await self._of.notifier.mark_read(who.person_id, ids)


async def _read(keys: Sequence[Key]) -> Sequence[Key]:
    return keys


def _usage(row: UsageRow, by: str, names: dict[UUID, str]) -> m.UsageRow:
    labels = {"model": row.model or "", "key": "", "tag": str(row.tag or "")} | dict.fromkeys(WINDOWS, str(row.day))
    if row.key_id is not None:
        labels["key"] = names.get(row.key_id, f"…{str(row.key_id)[-8:]}")
    return m.UsageRow(labels[by], row.calls, {name: getattr(row, name) for name in BUCKETS}, row.amount_micro)


def _markups(found: Receipt) -> list[mp.MarkupLine]:
    """What each listing added to the model's cost; exact, like the buckets."""
    through = found.evidence.through
    if through is None:
        return []
    seen = found.evidence
    cost = sum(getattr(seen.buckets, name) * getattr(seen.prices, name) for name in BUCKETS)
    lines = []
    for markup in through.markups:
        added = cost * markup.rate_bps + markup.fee_micro * MARKUP_SCALE
        whole, rest = divmod(added, MARKUP_SCALE)
        exact = f"{whole}.{rest:010d}".rstrip("0").rstrip(".")
        lines.append(mp.MarkupLine(markup.resource, f"{markup.rate_bps / 100:g}", markup.fee_micro, exact))
    return lines
