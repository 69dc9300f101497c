"""What operators see and do about organisations, models and engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

from shanhe.compute.api import IMAGE_TOKENS, Engine, EngineChange, Kind, NewEngine, Rates
from shanhe.console import model as m
from shanhe.console import model_city as mc
from shanhe.console.live.house import called
from shanhe.console.live.member import LiveMember
from shanhe.console.live.modules import Modules, Names, actor_of, unnamed
from shanhe.identity.api import ActsAsked, DataClass, NewOrganisation, Organisation, OrgKind, Role
from shanhe.kernel.clock import city_date
from shanhe.kernel.errors import Invalid, NotFound
from shanhe.kernel.ids import id_in, new_id
from shanhe.kernel.money import parse_credits
from shanhe.kernel.paging import Leaf
from shanhe.ledger.api import Asset

TIMEOUT_MAX_S: Final = 3_600
REFERENCE_CHIP: Final = "datacentre_gpu"
"""Whose reference cost an engine has that is registered without one."""

ORGS_SHOWN = 50
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
        ids = [org.id for org in found]
        held, keys = await self._of.ledger.wallets(ids), await self._of.identity.keys.counts(ids)
        return [
            mc.OrgRow(
                org.id, *_called(org), held.get(org.id, 0), keys.get(org.id, 0),
                org.created_at,
            )
            for org in found
        ]  # fmt: skip

    async def org(self, who: m.Who, org_id: UUID) -> mc.OrgRow:
        org = await self._of.identity.orgs.get(org_id)
        wallet = await self._of.credits.wallet(org_id)
        parts = {str(name): micro for name, micro in wallet.by_provenance.items()}
        wallets = await self._of.ledger.accounts(owner=org_id, asset=Asset.CREDIT, kind="wallet", limit=1)
        return mc.OrgRow(
            org.id, *_called(org), wallet.balance_micro, 0, org.created_at, parts,
            org.registration or "", wallets[0].account.id if wallets else None,
            (city_date(org.frozen_at), org.frozen_reason or "") if org.frozen_at else None,
        )  # fmt: skip

    async def org_keys(self, who: m.Who, org_id: UUID, before: UUID | None) -> Leaf[m.KeyRow]:
        return await self._member.keys_of(org_id, before)

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
        await identity.orgs.no_owner(org_id)
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
        local, said = fields.get("local") == "1", fields.get("kind") or "chat"
        kind = Kind.IMAGE if said == IMAGE_TOKENS else Kind(said)
        costs = {side: parse_credits(typed) for side in ("input", "output") if (typed := fields.get(f"cost_{side}"))}
        if len(costs) == 1 and said != Kind.IMAGE:  # the other side would be sold for nothing
            raise Invalid("one_cost", "Give the cost of input and of output, or neither.",
                          message_zh="输入成本与输出成本请都填写，或都不填。")  # fmt: skip
        new = NewEngine(
            name=fields.get("name", ""),
            url=fields.get("url", ""),
            models=_models(fields.get("models", "")),
            cost=Rates.of(costs) if costs else None,
            chip_class="" if costs else REFERENCE_CHIP,
            key_env=fields.get("key_env", ""),
            local=local,
            data_classes=frozenset(map(str, DataClass)) if local else frozenset({str(DataClass.GENERAL)}),
            kind=kind,
            price_class=said if said == IMAGE_TOKENS else "",
            context_tokens=0,
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
            cost_cache_write=cost.cache_write,
        )

    async def engine_set(self, who: m.Who, engine_id: UUID, fields: Mapping[str, str]) -> None:
        engine = self._engine(engine_id)
        read, written = parse_credits(fields.get("cost_input", "")), parse_credits(fields.get("cost_output", ""))
        cached, was = parse_credits(fields.get("cost_cache_write", "")), engine.models[0].cost
        cost = None
        if (read, written, cached) != (was.input, was.output, was.cache_write):  # else each bucket stays as it is
            cost = was.sided(
                None if read == was.input else read,
                None if written == was.output else written,
                None if cached == was.cache_write else cached,
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


def _called(org: Organisation) -> tuple[str, str, str]:
    """(name, kind, state); of somebody who was erased the end of the number is left."""
    gone = org.kind is OrgKind.PERSON and not org.name
    return org.name or unnamed(org.id), str(org.kind), "erased" if gone else str(org.state)


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
