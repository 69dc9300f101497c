"""What operators see and do, from identity, credits, compute and the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.compute.api import Engine, EngineChange, Kind, NewEngine, Rates
from shanhe.console import model as m
from shanhe.console import model_city as mc
from shanhe.console import model_postings as mp
from shanhe.console.explain import traces
from shanhe.console.live.acts import Acts
from shanhe.console.live.house import called
from shanhe.console.live.member import LiveMember
from shanhe.console.live.modules import Modules, Names, actor_of
from shanhe.identity.api import ActsAsked, DataClass, NewOrganisation, Organisation, OrgKind, Role
from shanhe.kernel.clock import midnight
from shanhe.kernel.errors import Conflict, Invalid, NotFound, ShanheError
from shanhe.kernel.ids import id_in, new_id
from shanhe.kernel.money import parse_credits
from shanhe.ledger.api import Account, AccountView, Asset, Lot, PostingView, VerifyReport

TIMEOUT_MAX_S: Final = 3_600

ORGS_SHOWN = 50
ROWS_SHOWN = 50
STATEMENT_ROWS = 100
DAY = timedelta(days=1)
ACCOUNTS_SHOWN = 100
OWNERS_SEARCHED = 100
STANDING = {"operational": "up", "degraded": "degraded", "outage": "down"}
PAID_IN = ("top_up", "purchase")
BACKED_UP = ActsAsked(action="backup.make")
PRESENT = ("done", "ready", "present")
Ready = Callable[[], Awaitable[Mapping[str, str]]]


class LiveCity:
    """See `ports.City`."""

    def __init__(self, modules: Modules, names: Names, ready: Ready) -> None:
        self._of = modules
        self._names = names
        self._ready = ready
        self._member = LiveMember(modules, names)
        self._verifying = _Verification()
        self._acts = Acts(modules.identity, names)

    async def status(self) -> mc.StatusView:
        seen = self._of.compute.public_status()
        parts = dict(await self._ready())
        serving = parts.get("database", "up") == "up" and parts.get("disk", "up") != "full"
        state = STANDING[seen["status"]] if serving else "down"
        models = [(row["id"], STANDING[row["status"]]) for row in seen["models"]]
        return mc.StatusView(state, self._of.clock.now(), [("gateway", "up"), *parts.items()], models)

    # -- a new city --------------------------------------------------------------------------------------------------

    async def setup(self, who: m.Who) -> Sequence[mc.SetupStep]:
        identity, ledger = self._of.identity, self._of.ledger
        answering = any(model["status"] == "operational" for model in self._of.compute.public_status()["models"])
        newest, owned = await identity.orgs.begun()
        clerks = len(await identity.people.holders(Role.ADMIN, Role.OPERATOR))
        paid = [(await ledger.postings(kind=kind, limit=1)).items for kind in (*PAID_IN, "call")]
        page = f"/city/accounts/{newest}" if newest else "/city/accounts#name"
        return [
            mc.SetupStep("engine", answering, "/city/engines"),
            mc.SetupStep("org", newest is not None, "/city/accounts#name"),
            mc.SetupStep("owner", owned is not None, page),
            mc.SetupStep("second", clerks > 1, command="shanhe people create LOGIN --role operator"),
            mc.SetupStep("money", any(paid[:-1]), f"/city/accounts/{owned}" if owned else page),
            mc.SetupStep("call", bool(paid[-1]), command=f"shanhe keys create --org {owned or newest or 'ORG'}"),
            mc.SetupStep(
                "backup", bool(await identity.audit(BACKED_UP, limit=1)), command="shanhe backup DIR --keys DIR"
            ),
            mc.SetupStep(
                "witness", bool(await self._of.log.store.witnesses()), command="shanhe log witnesses --add VKEY"
            ),
        ]

    # -- organisations -----------------------------------------------------------------------------------------------

    async def orgs(self, who: m.Who, find: str, before: str = "") -> Sequence[mc.OrgRow]:
        found = await self._of.identity.orgs.list(find=find or None, before=id_in(before), limit=ORGS_SHOWN)
        return [await self._org(org) for org in found]

    async def _org(self, org: Organisation) -> mc.OrgRow:
        wallets = await self._of.ledger.accounts(owner=org.id, asset=Asset.CREDIT, kind="wallet", limit=1)
        keys = await self._of.identity.keys.list(org.id)
        now = self._of.clock.now()
        balance = wallets[0].balance if wallets else 0
        live = sum(key.state(now) == "active" for key in keys)
        return mc.OrgRow(org.id, org.name, str(org.kind), str(org.state), balance, live, org.created_at)

    async def org(self, who: m.Who, org_id: UUID) -> mc.OrgRow:
        org = await self._of.identity.orgs.get(org_id)
        wallet = await self._of.credits.wallet(org_id)
        parts = {str(name): micro for name, micro in wallet.by_provenance.items()}
        wallets = await self._of.ledger.accounts(owner=org_id, asset=Asset.CREDIT, kind="wallet", limit=1)
        return mc.OrgRow(
            org.id, org.name, str(org.kind), str(org.state), wallet.balance_micro, 0, org.created_at, parts,
            org.registration or "", wallets[0].account.id if wallets else None,
        )  # fmt: skip

    async def org_keys(self, who: m.Who, org_id: UUID) -> Sequence[m.KeyRow]:
        return await self._member.keys_of(org_id)

    async def org_create(self, who: m.Who, name: str, kind: str) -> UUID:
        org = await self._of.identity.orgs.create(NewOrganisation(OrgKind(kind), name), by=actor_of(who))
        return org.id

    async def org_people(self, who: m.Who, org_id: UUID) -> mc.OrgPeople:
        identity = self._of.identity
        org, members = await identity.orgs.get(org_id), await identity.orgs.members(org_id)
        asked = [
            (one.id, one.called, str(one.role), one.expires_at) for one in await identity.invitations.of_org(org_id)
        ]
        owners = sum(one.role is Role.OWNER for one in members)
        return mc.OrgPeople(owners, len(members), asked, takes=org.kind is not OrgKind.PERSON and not owners)

    async def org_invite(self, who: m.Who, org_id: UUID, login: str) -> None:
        identity, by = self._of.identity, actor_of(who)
        await identity.invitations.invites(org_id)
        if (await self.org_people(who, org_id)).owners:
            raise Conflict(
                "has_an_owner", "It has an owner, who invites whoever else is to act for it.",
                message_zh="该机构已有负责人，成员由负责人邀请。",
            )  # fmt: skip
        person = await called(identity, login, by)
        await identity.invitations.invite(new_id(), org_id, person, Role.OWNER, called=login, by=by)

    async def org_uninvite(self, who: m.Who, org_id: UUID, invitation_id: UUID) -> None:
        await self._of.identity.invitations.withdraw(invitation_id, org_id, by=actor_of(who))

    async def org_freeze(self, who: m.Who, org_id: UUID, reason: str) -> None:
        await self._of.identity.orgs.freeze(org_id, reason, by=actor_of(who))

    async def org_unfreeze(self, who: m.Who, org_id: UUID) -> None:
        await self._of.identity.orgs.unfreeze(org_id, by=actor_of(who))

    async def org_top_up(
        self, who: m.Who, org_id: UUID, micro: int, reason: str, *, method: str, client_ref: str
    ) -> None:
        await self._of.identity.orgs.get(org_id)
        await self._of.moves.ask_top_up(
            org_id, micro, reason, method=method, client_ref=client_ref or str(new_id()), by=actor_of(who).ref
        )

    # -- models and engines --------------------------------------------------------------------------------------------

    async def cards(self, who: m.Who) -> Sequence[m.CardRow]:
        rows = []
        for card in self._of.compute.cards():
            pull = await asyncio.to_thread(self._of.compute.pulls.state, card.id)
            rows.append(
                m.CardRow(
                    card.id,
                    (card.title_zh, card.title_en),
                    card.licence,
                    card.size_bytes,
                    pull.state in PRESENT,
                    card.runnable,
                    pull.state,
                    pull.done_bytes,
                    pull.total_bytes,
                    pull.message,
                )
            )
        return rows

    async def alias(self, who: m.Who, name: str, model: str | None) -> None:
        actor = actor_of(who)
        if model is None:
            await self._of.compute.aliases.drop(name, actor=actor.ref)
        else:
            await self._of.compute.aliases.point(name, model, actor=actor.ref)
        await self._of.identity.record(actor, "model.alias", f"model:{model or name}")

    async def pull(self, who: m.Who, model: str) -> None:
        await self._of.compute.pulls.start(model, actor=actor_of(who).ref)

    async def engines(self, who: m.Who) -> Sequence[mc.EngineRow]:
        states = {status.name: status for status in self._of.compute.statuses()}
        rows = []
        for engine in self._of.compute.engines():
            state = states.get(engine.name)
            rows.append(
                mc.EngineRow(
                    id=engine.id,
                    name=engine.name,
                    kind=str(engine.kind),
                    url=engine.url,
                    key_env=engine.key_env,
                    models=tuple((served.model, served.upstream) for served in engine.models),
                    enabled=engine.enabled,
                    health=str(state.health) if state else "unknown",
                    circuit=state.circuit if state else "",
                    in_flight=state.in_flight if state else 0,
                    waiting=state.waiting if state else 0,
                    slots=engine.slots,
                    error_rate_bps=state.error_rate_bps if state else 0,
                    ttft_ms=state.ttft_ms if state else None,
                    requests=state.requests if state else 0,
                    last_error=(state.last_error_zh, state.last_error) if state and state.last_error else None,
                    checked_at=state.checked_at if state else None,
                    local=engine.local,
                )
            )
        return rows

    def _engine(self, engine_id: UUID) -> Engine:
        found = next((engine for engine in self._of.compute.engines() if engine.id == engine_id), None)
        if found is None:
            raise NotFound("no_engine", "There is no such engine.", message_zh="没有这个引擎。")
        return found

    async def engine_add(self, who: m.Who, fields: Mapping[str, str]) -> None:
        local = fields.get("local") == "1"
        costs = {bucket: parse_credits(fields.get(f"cost_{bucket}") or "0") for bucket in ("input", "output")}
        new = NewEngine(
            name=fields.get("name", ""),
            url=fields.get("url", ""),
            models=_models(fields.get("models", "")),
            cost=Rates.of(costs),
            key_env=fields.get("key_env", ""),
            local=local,
            data_classes=frozenset(map(str, DataClass)) if local else frozenset({str(DataClass.GENERAL)}),
            kind=Kind(fields.get("kind") or "chat"),
        )
        new, _ = await self._of.compute.looked_at(new)
        await self._of.compute.add_engine(new, actor=actor_of(who).ref)

    async def engine(self, who: m.Who, engine_id: UUID) -> mc.EngineTerms:
        engine = self._engine(engine_id)
        cost = engine.models[0].cost if engine.models else Rates.of({})
        return mc.EngineTerms(
            id=engine.id,
            name=engine.name,
            local=engine.local,
            data_classes=engine.data_classes,
            features=engine.features,
            slots=engine.slots,
            queue=engine.queue,
            first_token_timeout_ms=engine.first_token_timeout_ms,
            idle_timeout_ms=engine.idle_timeout_ms,
            cost_input=cost.input,
            cost_output=cost.output,
        )

    async def engine_set(self, who: m.Who, engine_id: UUID, fields: Mapping[str, str]) -> None:
        engine, shown = self._engine(engine_id), await self.engine(who, engine_id)
        read, written = parse_credits(fields.get("cost_input", "")), parse_credits(fields.get("cost_output", ""))
        cost = None
        if (read, written) != (shown.cost_input, shown.cost_output):  # what is not typed anew keeps its other buckets
            cost = engine.models[0].cost.sided(
                None if read == shown.cost_input else read, None if written == shown.cost_output else written
            )
        change = EngineChange(
            cost=cost,
            local=fields.get("local") == "1",
            data_classes=frozenset(str(one) for one in DataClass if fields.get(f"class_{one}") == "1"),
            features=frozenset(fields.get("features", "").split()),
            slots=int(fields.get("slots", "")),
            queue=int(fields.get("queue", "")),
            first_token_timeout_ms=_ms(fields.get("first_token_s", "")),
            idle_timeout_ms=_ms(fields.get("idle_s", "")),
        )
        await self._of.compute.change_engine(engine.name, change, actor=actor_of(who).ref)

    async def engine_test(self, who: m.Who, engine_id: UUID) -> mc.EngineTest:
        name = self._engine(engine_id).name
        reports = await self._of.compute.test_engine(name, actor=actor_of(who).ref)
        if not reports:
            return mc.EngineTest(name, "", False, 0.0, "", (), ())
        told = next((report for report in reports if not report.ok), reports[0])
        problems = tuple(zip(told.problems_zh, told.problems, strict=True))
        return mc.EngineTest(told.engine, told.model, told.ok, told.latency_ms, told.answer, problems, told.thinks)

    async def engine_switch(self, who: m.Who, engine_id: UUID, enabled: bool) -> None:
        await self._of.compute.set_enabled(self._engine(engine_id).name, enabled, actor=actor_of(who).ref)

    # -- ledger --------------------------------------------------------------------------------------------------------

    async def accounts(
        self, who: m.Who, asset: str, kind: str, find: str, after: str
    ) -> tuple[Sequence[mc.AccountRow], str]:
        ledger, wanted, named = self._of.ledger, Asset(asset) if asset else None, kind or None
        if find:
            orgs = await self._of.identity.orgs.list(find=find, limit=OWNERS_SEARCHED)
            found = [
                view
                for org in orgs
                for view in await ledger.accounts(owner=org.id, asset=wanted, kind=named, limit=ACCOUNTS_SHOWN)
            ]
            return await self._account_rows(found), ""
        found = await ledger.accounts(after=id_in(after), asset=wanted, kind=named, limit=ACCOUNTS_SHOWN)
        following = str(found[-1].account.id) if len(found) == ACCOUNTS_SHOWN else ""
        return await self._account_rows(found), following

    async def unfinished(self, who: m.Who, through: date) -> Sequence[mc.UnfinishedRow]:
        found = await self._of.moves.unfinished(through)
        return [mc.UnfinishedRow(one.kind, one.count, one.since, one.page) for one in found]

    async def closed_through(self, who: m.Who) -> date | None:
        return await self._of.ledger.closed_through()

    async def _account_rows(self, found: Sequence[AccountView]) -> Sequence[mc.AccountRow]:
        return [await self._account_row(view.account, view.balance, view.held) for view in found]

    async def _account_row(self, account: Account, balance: int, held: int) -> mc.AccountRow:
        budget = self._of.programmes.catalogue.budgets.get(account.name)
        name = (budget.zh, budget.en) if budget else account.name
        return mc.AccountRow(
            account.id, await self._names.owner(account.owner), str(account.asset), account.kind, name, balance, held,
            account.floor, account.lots,
        )  # fmt: skip

    async def trial(self, who: m.Who) -> Sequence[mc.TrialLine]:
        sums: dict[tuple[str, str], list[int]] = {}
        for row in await self._of.ledger.trial_balance():
            known = sums.setdefault((str(row.account.asset), row.account.kind), [0, 0, 0, 0])
            for at, value in enumerate((1, row.debits, row.credits, row.balance)):
                known[at] += value
        return [mc.TrialLine(asset, kind, *values) for (asset, kind), values in sorted(sums.items())]

    async def account_named(self, who: m.Who, text: str) -> tuple[UUID, str]:
        number = id_in(text.strip())
        if number is None:
            org = await self._names.organisation(text)
            wallets = await self._of.ledger.accounts(owner=org, asset=Asset.CREDIT, kind="wallet", limit=1)
            if not wallets:
                raise NotFound("no_wallet", "It has no wallet yet.", message_zh="该机构还没有积分钱包。")
            number = wallets[0].account.id
        account = await self._of.ledger.account(number)
        return number, await self._names.owner(account.owner)

    async def postings(
        self, who: m.Who, kind: str, account: UUID | None, days: mc.Days, before: str
    ) -> Sequence[mc.PostingRow]:
        page = await self._of.ledger.postings(
            account=account, kind=kind or None, since=midnight(days.since) if days.since else None,
            until=midnight(days.until + DAY) if days.until else None, cursor=before or None, limit=ROWS_SHOWN,
        )  # fmt: skip
        called = self._names.actors()
        return [await self._posting_row(one, page.next or "", await called(one.actor)) for one in page.items]

    async def _posting_row(self, posting: PostingView, cursor: str, actor: str) -> mc.PostingRow:
        """The asset of the first transfer, and how much of it moved."""
        assets = [str((await self._of.ledger.account(line.debit)).asset) for line in posting.transfers]
        asset = "credit" if "credit" in assets else assets[0] if assets else "credit"
        amount = sum(line.amount for line, of in zip(posting.transfers, assets, strict=True) if of == asset)
        sides = [await self._names.label(end) for line in posting.transfers[:1] for end in (line.debit, line.credit)]
        return mc.PostingRow(
            posting.id, posting.at, posting.kind, actor, self._memo(posting.memo), amount, asset, cursor, sides
        )

    def _memo(self, memo: str) -> str:
        """A memo without the program's name of a budget, which the accounts beside it are called by."""
        name, colon, said = memo.partition(": ")
        return said if colon and name in self._of.programmes.catalogue.budgets else memo

    async def statement(self, who: m.Who, account: UUID, days: mc.Days, after: str) -> mc.AccountPage:
        ledger, today = self._of.ledger, self._of.clock.today()
        known, balance = await ledger.account(account), await ledger.balance(account)
        row = await self._account_row(known, balance.balance, balance.held)
        until = days.until or today
        since = days.since or until.replace(month=1, day=1)
        page = await ledger.statement(account, since, until, cursor=after or None, limit=STATEMENT_ROWS)
        rows = [
            mc.StatementRow(
                line.posting, line.at, line.kind, self._memo(line.memo), await self._names.label(line.counterpart),
                line.counterpart, line.amount, line.balance,
            )
            for line in page.lines
        ]  # fmt: skip
        return mc.AccountPage(row, since, until, page.opening, page.closing, rows, page.next or "")

    async def posting(self, who: m.Who, posting_id: UUID) -> mp.PostingPage:
        ledger = self._of.ledger
        found = await ledger.posting(posting_id)
        transfers = [
            mp.TransferLine(
                line.id,
                await self._names.label(line.debit),
                await self._names.label(line.credit),
                line.amount,
                str((await ledger.account(line.debit)).asset),
                line.debit,
                line.credit,
            )
            for line in found.transfers
        ]
        known = await ledger.lots_by_id([change.lot for change in found.lots])
        evidence = _evidence(found.evidence)
        return mp.PostingPage(
            found.id,
            found.at,
            found.day,
            found.kind,
            await self._names.actors()(found.actor),
            self._memo(found.memo),
            found.reverses,
            transfers,
            [_lot(change.lot, change.amount, known.get(change.lot)) for change in found.lots],
            evidence,
            [self._rule(rule, version) for rule, version in _rules(evidence)],
            (await ledger.reversed_among([posting_id])).get(posting_id),
            await self._of.log.sealed(posting_id),
        )

    def _rule(self, rule_id: str, version: str) -> mp.RuleLine:
        """A rule that decided, called as it is now; by its id alone where it is no longer in the book."""
        try:
            rule = self._of.rulebook.rule(rule_id)
        except ShanheError:
            return mp.RuleLine(rule_id, ("", ""), "", version)
        return mp.RuleLine(rule.id, (rule.title.zh, rule.title.en), rule.article, version)

    async def verify(self, who: m.Who) -> mc.VerifyView:
        return self._verifying.view

    async def verify_start(self, who: m.Who) -> None:
        await self._of.identity.record(actor_of(who), "ledger.verify", "ledger")
        self._verifying.start(self._of)

    async def audit(self, who: m.Who, wanted: mc.ActsWanted, before: str) -> Sequence[mc.AuditRow]:
        return await self._acts.rows(wanted, id_in(before))

    async def audit_sheet(self, who: m.Who, wanted: mc.ActsWanted) -> AsyncIterator[str]:
        return await self._acts.sheet(wanted)


class _Verification:
    """One verification at a time in this process, with how far it is."""

    def __init__(self) -> None:
        self.view = mc.VerifyView("never")
        self._task: asyncio.Task[None] | None = None

    def start(self, modules: Modules) -> None:
        if self._task is None or self._task.done():
            self.view = mc.VerifyView("running")
            self._task = asyncio.create_task(self._run(modules))

    async def _run(self, modules: Modules) -> None:
        started = time.monotonic()
        try:
            report = await modules.ledger.verify()
        except (OSError, TimeoutError):
            self.view = mc.VerifyView("never")
            return
        took_ms = int((time.monotonic() - started) * 1000)
        self.view = _verified(report, modules, took_ms)


def _verified(report: VerifyReport, modules: Modules, took_ms: int) -> mc.VerifyView:
    return mc.VerifyView(
        "clean" if report.clean else "broken",
        accounts=report.accounts,
        transfers=report.transfers,
        lots=report.lots,
        took_ms=took_ms,
        at=modules.clock.now(),
        findings=[(one.invariant, one.subject, one.expected, one.found) for one in report.findings],
    )


def _lot(lot_id: UUID, change: int, lot: Lot | None) -> mp.LotLine:
    if lot is None:
        return mp.LotLine(lot_id, change)
    return mp.LotLine(lot_id, change, str(lot.provenance), lot.expires_at, lot.account)


def _evidence(kept: bytes | None) -> Mapping[str, Any]:
    """What a posting was made by; empty where nothing, or nothing that is data, was kept."""
    try:
        found = msgspec.json.decode(kept or b"{}")
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _rules(found: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Rules that a posting's evidence names, as a table, as a list of `rule@version`, or by their traces."""
    said = found.get("rules")
    if isinstance(said, dict):
        return [(str(rule), str(version)) for rule, version in said.items()]
    if isinstance(said, list):
        pairs = [str(one).partition("@") for one in said if isinstance(one, str)]
        return [(rule, version) for rule, _, version in pairs]
    decided = {str(one["rule"]): str(one.get("version", "")) for one in traces(found)}
    return list(decided.items())


def _models(text: str) -> dict[str, str]:
    """`public=upstream` a line; ValueError otherwise."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, upstream = line.strip().partition("=")
        if name:
            found[name.strip()] = upstream.strip() or name.strip()
    if not found:
        raise Invalid("no_models", "Name at least one model.", message_zh="请至少填写一个模型。")
    return found


def _ms(seconds: str) -> int:
    """Milliseconds of typed seconds; ValueError for anything else."""
    value = float(seconds)
    if not 0 <= value <= TIMEOUT_MAX_S:
        raise ValueError(seconds)
    return round(value * 1000)
