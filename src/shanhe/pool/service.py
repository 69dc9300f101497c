"""The pool of one process: who may join, who is connected, what each node serves, how fast it is."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
import structlog
from prometheus_client import CollectorRegistry

from shanhe.compute.api import Compute, Kind, NodeEngine, NodeModel, Rates, Speed, private_folder, run_folder
from shanhe.kernel.asking import Parameter
from shanhe.kernel.calling import over_socket
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.ledger.api import Ledger
from shanhe.pool import store
from shanhe.pool.answers import Seen
from shanhe.pool.earnings import Earnings
from shanhe.pool.errors import BadReport, BadToken, HeldByCity, NodeExists, ReasonMissing, UnknownNode, WrongState
from shanhe.pool.hub import Session
from shanhe.pool.inspector import Inspector
from shanhe.pool.measure import measure
from shanhe.pool.messages import stopped_or_freed, withheld_decided
from shanhe.pool.model import NAME, Hour, Node, NodeEvent, NodeState, Report, Token, Verdict
from shanhe.pool.passport import KEY_BYTES
from shanhe.pool.planner import Planner, node_of
from shanhe.pool.suspicion import AuditTerms
from shanhe.pool.tally import Tally, cost_of
from shanhe.pool.tunnel import Tunnels
from shanhe.pool.withholding import KEPT, RESTORED, RETURNED, Withholding, WithholdRule

REFRESH_S: Final = 3.0
"""How often speeds are exchanged between processes and sums are written."""
FOLLOWED: Final = attrgetter("state", "session", "cleared")
"""What of a node its tunnel has to hear of."""
TOKEN_PREFIX: Final = "shn-"
TOKEN_HOURS_MAX: Final = 24 * 30
QUEUE_PER_SLOT: Final = 8
SYSTEM: Final = "pool"
SWEEP_FOR: Final = timedelta(hours=1)
"""Longer than any call runs: what a node had begun before its quarantine has been settled by then."""
ALLOWED: Final = {
    NodeState.DRAINING: {NodeState.JOINING, NodeState.ACTIVE},
    NodeState.QUARANTINED: {NodeState.JOINING, NodeState.ACTIVE, NodeState.DRAINING},
    NodeState.JOINING: {NodeState.DRAINING, NodeState.QUARANTINED},
    NodeState.ACTIVE: {NodeState.JOINING},
    NodeState.GONE: {NodeState.JOINING, NodeState.ACTIVE, NodeState.DRAINING, NodeState.QUARANTINED},
}
"""From which states each state may be entered."""
LOST: Final = FAILURES

log = structlog.get_logger(__name__)


class Pool:
    """Nodes as one process sees them. `data`: the city's folder, whose run folder holds the sockets."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        compute: Compute,
        ledger: Ledger,
        parameter: Parameter,
        audit: Callable[[date], AuditTerms],
        withhold_rule: WithholdRule,
        notifier: Notifier,
        data: Path,
        city: str,
        worker: str,
        registry: CollectorRegistry,
    ) -> None:
        self._db = db
        self._clock = clock
        self._notifier = notifier
        self._compute = compute
        self._folder = run_folder(data)
        self._tasks: set[asyncio.Task[None]] = set()
        self._tally = Tally(clock, registry)
        self._audit = audit
        self.earnings = Earnings(ledger)
        self.withholding = Withholding(db, clock, ledger, self.earnings, withhold_rule)
        self.planner = Planner(db, clock, compute, lambda: int(parameter("warm_replicas", clock.today())))
        self.inspector = Inspector(compute, self._terms, self._condemned)
        self.tunnels = Tunnels(
            db, clock, folder=self._folder, city=city, worker=worker, observe=self._observe, changed=self._changed
        )

    # -- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve tunnels: for gateway processes."""
        private_folder(self._folder)
        self._db.listen(store.CHANNEL, self._notified)
        self._db.listen(store.COMMANDS, self._commanded)
        self._spawn(self._refresh())
        self.inspector.start()

    def _terms(self) -> AuditTerms:
        """The rulebook's say on audits."""
        return self._audit(self._clock.today())

    def now(self) -> datetime:
        """The pool's clock."""
        return self._clock.now()

    async def stop(self) -> None:
        """Close the tunnels; what runs has been drained by the server."""
        for session in tuple(self.tunnels.sessions.values()):
            await self.tunnels.tell(session.node.id, {"type": "closing"})
            await session.close("the city stops")
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.inspector.stop()
        await self._flush()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _refresh(self) -> None:
        while True:
            try:
                await self._flush()
                await self._exchange_speeds()
            except LOST as error:
                log.warning("the pool can't reach its tables", error=type(error).__name__)
            await asyncio.sleep(REFRESH_S)

    async def _flush(self) -> None:
        for node_id, (cleared, figures) in self.inspector.figures().items():
            await store.put_suspicion(self._db, node_id, cleared, figures)
        sums = self._tally.take_hours()
        if sums:
            try:
                await store.add_hours(self._db, sums)
            except LOST:
                self._tally.give_back(sums)
                raise

    async def _exchange_speeds(self) -> None:
        now = self._clock.now()
        for (node_id, model), speed in self._tally.take_speeds().items():
            await store.put_speed(self._db, node_id, model, speed, now)
        names = {}
        for node in await store.nodes(self._db):
            names[node.id] = node.engine
            session = self.tunnels.sessions.get(node.id)
            if session is not None and FOLLOWED(node) != FOLLOWED(session.node):
                self._spawn(self._follow(session))  # its notice was lost
        for (node_id, model), speed in (await store.speeds(self._db)).items():
            if node_id in names:
                self._compute.learn_speed(names[node_id], model, speed)
        self._tally.tell([session.node for session in self.tunnels.sessions.values()], self._compute)

    def cost(self, node: Node, model: str) -> Rates | None:
        """Reference cost of a model on a node, µ per million tokens; None where the city does not know it there."""
        return cost_of(self._compute, node, model)

    # -- joining --------------------------------------------------------------------------------------------------

    async def make_token(
        self, name: str, owner: UUID, *, hours: int = 24, local: bool = False, new_models: bool = False,
        city_owned: bool = False, actor: str,
    ) -> tuple[str, datetime]:  # fmt: skip
        """Leave to join once under a name; the token is shown now and never again."""
        if not NAME.match(name):
            raise Invalid(
                "bad_node_name", "A node's name has 1-40 of a-z, 0-9 and dash.",
                message_zh="节点名称须为 1–40 个小写字母、数字或横线。",
            )  # fmt: skip
        if not 1 <= hours <= TOKEN_HOURS_MAX:
            raise Invalid(
                "bad_hours", f"A token lives 1 to {TOKEN_HOURS_MAX} hours.", message_zh="令牌有效期超出范围。"
            )
        if await store.node_called(self._db, name) is not None:
            raise NodeExists(name)
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now = self._clock.now()
        token = Token(name, owner, local, new_models, city_owned, now + timedelta(hours=hours))
        async with self._db.transaction() as conn:
            await store.insert_token(conn, _hash(secret), token, actor, now)
        return secret, token.expires_at

    async def join(self, secret: str, public_key: bytes, report: Report) -> Node:
        """Register the machine that holds a token; the same machine may ask again."""
        if problem := report.problem():
            raise BadReport(problem)
        if len(public_key) != KEY_BYTES:
            raise BadReport("a public key has 32 bytes")
        digest, now = _hash(secret), self._clock.now()
        async with self._db.transaction() as conn:
            token = await store.token(conn, digest)
            if token is None:
                raise BadToken("nobody made it", "未签发过")
            if token.used_by is not None:
                known = await store.node(conn, token.used_by)
                if known is None or known.public_key != public_key:
                    raise BadToken("it was used", "已被使用")
                return known
            if token.expires_at <= now:
                raise BadToken("it is over", "已过期")
            node = Node(
                new_id(), token.name, token.owner, token.local, token.new_models, token.city_owned, public_key,
                NodeState.JOINING, "", "", report, now, None, None, "", "",
            )  # fmt: skip
            if not await store.insert_node(conn, node):
                raise NodeExists(token.name)
            await store.use_token(conn, digest, node.id)
            await store.add_event(conn, node.id, "joined", f"org:{token.owner}", now)
        return node

    # -- reading --------------------------------------------------------------------------------------------------

    async def nodes(self, owner: UUID | None = None) -> list[Node]:
        """Every node, or those of an organisation."""
        return await store.nodes(self._db, owner)

    async def node(self, name: str, owner: UUID | None = None) -> Node:
        """UnknownNode when there is none, or it is somebody else's."""
        found = await store.node_called(self._db, name)
        if found is None or (owner is not None and found.owner != owner):
            raise UnknownNode(name)
        return found

    async def verdicts(self, nodes: Sequence[Node]) -> dict[UUID, Verdict]:
        """What the inspector found against those of the nodes that it put into quarantine."""
        held = [node.id for node in nodes if node.state is NodeState.QUARANTINED]
        return await store.verdicts(self._db, held) if held else {}

    async def events(self, node: Node, limit: int = 50) -> list[NodeEvent]:
        return await store.events(self._db, node.id, limit)

    async def hours(self, since: datetime, node: Node) -> list[Hour]:
        """Sums of a node by hour since an instant."""
        await self._flush()
        return await store.hours(self._db, since, node.id)

    def unserved(self, node: Node) -> list[str]:
        """What an active node offers and gets no calls for: models that the city does not know, or knows as another
        kind, or has no price for."""
        if node.state is not NodeState.ACTIVE:
            return []
        served = {
            one.model for engine in self._compute.engines() if engine.name == node.engine for one in engine.models
        }
        return [offer.model for offer in node.report.offers if offer.loaded and offer.model not in served]

    async def speeds(self) -> dict[tuple[UUID, str], Speed]:
        """What the city measured, by node and model."""
        return await store.speeds(self._db)

    # -- states ---------------------------------------------------------------------------------------------------

    async def drain(self, name: str, *, actor: str, reason: str = "", own: bool = False) -> Node:
        """Nothing new for a node; what runs is finished. `own`: its owner wants it so, and may end it again."""
        return await self._enter(name, NodeState.DRAINING, actor, reason, own=own)

    async def restart(self, name: str, *, actor: str) -> Node:
        """The agent finishes what runs and starts again, with the version that is installed there by then."""
        node = await self.node(name)
        async with self._db.transaction() as conn:
            await store.add_event(conn, node.id, "restart", actor, self._clock.now(), node.report.version)
            await store.command(conn, node.id, "restart")
        return node

    async def quarantine(self, name: str, *, actor: str, reason: str) -> Node:
        """Nothing new for a node, and its recent income is withheld; `reason` is what its owner reads."""
        self.check_reason(reason)
        return await self._enter(name, NodeState.QUARANTINED, actor, reason)

    async def release(
        self, name: str, *, actor: str, reason: str = "", restore: bool = False, own: bool = False
    ) -> Node:
        """Back to work after a drain or a quarantine: measured again; out of quarantine its suspicion is forgotten.

        `restore` gives back the income that was withheld. `own`: its owner asks, who may end a drain of their own and
        nothing else (HeldByCity).
        """
        node = await self.node(name)
        if restore and node.state is NodeState.QUARANTINED and not own:
            await self.withholding.restore(node, actor)  # first: who is back at work can't be released once more
        await self._enter(name, NodeState.JOINING, actor, reason, store.GIVEN_BACK if restore else None, own=own)
        if restore:
            await self.withholding.restore(node, actor, in_quarantine=False)  # what was withheld meanwhile
        return await self.node(name)

    async def remove(self, name: str, *, actor: str, own: bool = False) -> Node:
        """The node is gone for good; receipts and income stay. `own`: its owner asks, who waits for the end of a
        quarantine (HeldByCity)."""
        return await self._enter(name, NodeState.GONE, actor, "", own=own)

    async def _condemned(self, node: Node, cause: str, detail: Mapping[str, Any]) -> None:
        """The inspector's verdict: out of service at once; its income follows, now and for calls that still run.

        A machine that was taken out meanwhile stays out, and its income follows as well.
        """
        try:
            await self._enter(node.name, NodeState.QUARANTINED, SYSTEM, cause, detail)
        except WrongState:
            async with self._db.transaction() as conn:
                await store.add_event(
                    conn, node.id, NodeState.QUARANTINED.value, SYSTEM, self._clock.now(), cause, detail
                )  # fmt: skip
        await self._flush()
        await self.sweep()

    async def sweep(self) -> int:
        """Withhold income of nodes that were quarantined lately, calls that ended since included; how much, µ. What was
        still withheld of one that was cleared lately goes back."""
        taken = 0
        since = self._clock.now() - SWEEP_FOR
        for node in await store.quarantined_since(self._db, since):
            taken += await self.withholding.withhold(node, self._terms().withhold_calls)
        for node in await store.cleared_since(self._db, since):  # while income was withheld, or by one who ended there
            await self.withholding.restore(node, SYSTEM, in_quarantine=False)  # as it may be once more
        return taken

    async def suspicions(self, node: Node) -> dict[str, tuple[int, int, float]]:
        """Checks, failures and evidence of each test against a node."""
        with contextlib.suppress(*LOST):
            await self._flush()
        return await store.suspicion(self._db, node.id)

    async def withheld(self, node: Node) -> list[dict[str, Any]]:
        """Receipts whose income was withheld, what was decided on it, and the postings that did and undid it; `waits`:
        for a decision, or for somebody to go on with one that was interrupted."""
        return [
            row | {"waits": row["decided"] != RETURNED and row["restored_by"] is None and row["kept_by"] is None}
            for row in await store.withheld(self._db, node.id)
        ]

    async def waiting(self, node: Node, *, give_back: bool) -> tuple[int, UUID | None]:
        """What a decision would end, µ, and its newest call: what nobody decided on, or so and was interrupted."""
        return await store.waiting(self._db, node.id, RESTORED if give_back else KEPT)

    @staticmethod
    def check_reason(reason: str) -> None:
        """ReasonMissing: a node's owner is told why."""
        if not reason.strip():
            raise ReasonMissing()

    async def decide_withheld(
        self, name: str, *, give_back: bool, actor: str, reason: str, through: datetime | None = None
    ) -> int:  # fmt: skip
        """End what is withheld of a node, a removed one too: its owner's again, or the city's; the amount, µ. Its owner
        reads the reason. `through`: only of what was withheld until then."""
        self.check_reason(reason)
        node = await self.node(name)
        decide = self.withholding.restore if give_back else self.withholding.keep
        amount = await decide(node, actor, through=through)
        if amount:
            async with self._db.transaction() as conn:
                event = "income_restored" if give_back else "income_kept"
                await store.add_event(conn, node.id, event, actor, self._clock.now(), reason)
                await self._notifier.notify(withheld_decided(node, amount, reason, give_back=give_back), conn)
        return amount

    async def held_back(self, owner: UUID) -> int:
        """What is withheld of an owner's income at all their nodes, in µ."""
        return await store.held_back(self._db, owner)

    async def _enter(
        self,
        name: str,
        state: NodeState,
        actor: str,
        reason: str,
        detail: Mapping[str, Any] | None = None,
        *,
        own: bool = False,
    ) -> Node:
        node = await self.node(name)
        own_drain = own and state is NodeState.DRAINING
        async with self._db.transaction() as conn:
            was = await store.locked(conn, node.id)
            assert was is not None
            if was.state is state and (own or not was.own_drain):
                return was
            if was.state is not state and was.state not in ALLOWED[state]:
                raise WrongState(name, was.state, state)
            if own and not _owner_may(was, state):
                raise HeldByCity(name, was.state)
            await store.set_state(conn, node.id, state, reason, own_drain=own_drain)
            await store.add_event(conn, node.id, state.value, actor, self._clock.now(), reason, detail)
            if state is NodeState.JOINING and not own:
                await store.set_flag(conn, node.id, "")
            if state is NodeState.JOINING and was.state is NodeState.QUARANTINED:
                await store.clear_suspicion(conn, node.id)
            if not own and node.contributor is not None:
                await self._notifier.notify(stopped_or_freed(node, state, reason, detail), conn)
        if state is not NodeState.JOINING:
            await self._compute.drop_node(node.engine)
        return await self.node(name)

    # -- what sessions bring ----------------------------------------------------------------------------------------

    def _notified(self, payload: str) -> None:
        try:
            node_id = UUID(payload)
        except ValueError:
            return
        session = self.tunnels.sessions.get(node_id)
        if session is not None:
            self._spawn(self._follow(session))

    def _commanded(self, payload: str) -> None:
        found = node_of(payload)
        if found is not None:
            node_id, word, model = found
            self._spawn(self.tunnels.tell(node_id, {"type": word, "model": model}))

    async def _follow(self, session: Session) -> None:
        """A node's row changed: tell the node and bring its engine in line."""
        node = await store.node(self._db, session.node.id)
        if node is None:
            return
        if node.session != session.node.session:
            self.tunnels.sessions.pop(node.id, None)
            await session.close("a newer tunnel took over")
            return
        if node.state is not session.node.state:
            await self.tunnels.tell(node.id, {"type": "state", "state": node.state.value, "cause": node.cause})
        was, session.node = session.node, node
        joins = node.state is NodeState.JOINING and was.state is not NodeState.JOINING
        if node.cleared != was.cleared or (joins and self.inspector.condemned(node.id)):
            self.inspector.know(node, {})  # after a drain, which is no verdict, what was found still counts
        if joins:
            await self._begin(session)

    async def _changed(self, session: Session, what: str) -> None:
        if what == "welcome":
            self.inspector.know(session.node, await store.suspicion(self._db, session.node.id))
        if what == "welcome" or (what == "report" and session.node.state is NodeState.JOINING):
            self._spawn(self._begin(session))
        elif what == "report":
            await self._offer(session)
        elif what == "leaving":
            await self._compute.drop_node(session.node.engine)
        elif what.startswith("end"):
            log.info("node left", node=session.node.name, cause=what)
            # Its engine stays registered: without a socket it is down, and it is up again when the node returns.

    async def _begin(self, session: Session) -> None:
        """Measure a connected node and put it to work."""
        node = session.node
        if node.state not in (NodeState.JOINING, NodeState.ACTIVE):
            return
        measured = await self._measure(session)
        chat = [offer for offer in node.report.offers if offer.loaded and offer.kind == "chat"]
        if chat and not measured:
            log.warning("a node answers no probe", node=node.name)
            return
        if node.state is NodeState.JOINING:
            async with self._db.transaction() as conn:
                now_is = await store.locked(conn, node.id)
                if now_is is None or now_is.state is not NodeState.JOINING:
                    return
                await store.set_state(conn, node.id, NodeState.ACTIVE, "")
                await store.add_event(conn, node.id, "active", SYSTEM, self._clock.now())
            session.node = msgspec.structs.replace(session.node, state=NodeState.ACTIVE)
        await self._offer(session)

    async def _measure(self, session: Session) -> int:
        transport = over_socket(self.tunnels.socket_of(session.node.id))
        found = 0
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            for offer in session.node.report.offers:
                if not offer.loaded or offer.kind != "chat":
                    continue
                speed = await measure(client, "http://engine/v1", offer.model, salt=secrets.token_hex(2))
                if speed is not None:
                    self._tally.measured(session.node.id, offer.model, speed)
                    await store.put_speed(self._db, session.node.id, offer.model, speed, self._clock.now())
                    found += 1
        return found

    async def _offer(self, session: Session) -> None:
        """Let compute know what a node serves now."""
        node = session.node
        if node.state is not NodeState.ACTIVE:
            return
        models = {
            offer.model: NodeModel(offer.context_tokens, Kind(offer.kind), offer.price_class)
            for offer in node.report.offers
            if offer.loaded
        }
        await self._compute.put_node(
            NodeEngine(
                node.engine, str(self.tunnels.socket_of(node.id)), models, node.report.chip_class, node.contributor,
                node.local, node.report.slots, node.report.slots * QUEUE_PER_SLOT, node.new_models,
            ),
            actor=SYSTEM,
        )  # fmt: skip
        await self._exchange_speeds()
        await self._compute.check_health()

    def _observe(self, session: Session, seen: Seen) -> None:
        answer = self._tally.count(session.node, seen, session.running)
        if not seen.probe:
            self.inspector.saw(session, seen, answer)


def _owner_may(node: Node, state: NodeState) -> bool:
    if state is NodeState.JOINING:
        return node.owner_may_release
    return node.owner_may_remove if state is NodeState.GONE else True


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
