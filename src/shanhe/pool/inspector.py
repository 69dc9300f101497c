"""Keeping nodes honest: canaries among the calls, spot re-execution, recounts, a memory for repeats.

Whether a call is checked is decided before its answer is seen; otherwise the test's false-alarm rate would not hold.
Prompts and answers are looked at in memory and forgotten; a prompt is asked again only of an engine on the city's own
premises.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
import structlog

from shanhe.compute.api import Compute
from shanhe.kernel.calling import over_socket
from shanhe.kernel.db import FAILURES
from shanhe.kernel.errors import ShanheError
from shanhe.pool.answers import Answer, Asked, Seen, answer_of, asked_of
from shanhe.pool.checks import AGREE_TOKENS, REFERENCE_MIN_CHARS, Memory, canary, disagrees, miscounted, refuses
from shanhe.pool.hub import PROBE_HEADER, Session
from shanhe.pool.model import Node
from shanhe.pool.suspicion import AuditTerms, Check, Suspicion, beside_peers

WAITING_MAX: Final = 256
"""Checks that wait; beyond it new ones are left out, which costs nothing but time."""
CHECKERS: Final = 2
CANARY_LIMIT_S: Final = 60.0
SPARED: Final = frozenset({404, 408, 413, 429})

Verdict = Callable[[Node, str, Mapping[str, Any]], Awaitable[None]]
"""Told that a node failed: node, cause, figures."""
log = structlog.get_logger(__name__)


@dataclass
class Ward:
    """What is known of one node."""

    tests: dict[Check, Suspicion] = field(default_factory=lambda: {check: Suspicion() for check in Check})
    memory: Memory = field(default_factory=Memory)
    calls: int = 0
    dirty: bool = False
    condemned: bool = False
    cleared: int = 0
    """How often the node had been cleared when this began."""


class Inspector:
    """Checks the nodes whose tunnels this process holds."""

    def __init__(self, compute: Compute, terms: Callable[[], AuditTerms], verdict: Verdict) -> None:
        self._compute = compute
        self._terms = terms
        self._verdict = verdict
        self._coins = random.SystemRandom()
        self._wards: dict[UUID, Ward] = {}
        self._queue: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(WAITING_MAX)
        self._running: set[asyncio.Task[None]] = set()
        self._busy = 0

    def start(self) -> None:
        for _ in range(CHECKERS):
            self._running.add(asyncio.get_running_loop().create_task(self._work()))

    async def stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def know(self, node: Node, found: Mapping[str, tuple[int, int, float]]) -> None:
        """Go on where another process, or a former life, left off."""
        ward = self._wards[node.id] = Ward(cleared=node.cleared)
        for kind, values in found.items():
            ward.tests[Check(kind)] = Suspicion(*values)

    def condemned(self, node_id: UUID) -> bool:
        """Whether a verdict is out."""
        ward = self._wards.get(node_id)
        return ward is not None and ward.condemned

    def figures(self) -> dict[UUID, tuple[int, dict[str, tuple[int, int, float]]]]:
        """Tests that changed since the last time, by node, with how often it had been cleared before them."""
        changed = {node_id: ward for node_id, ward in self._wards.items() if ward.dirty}
        for ward in changed.values():
            ward.dirty = False
        return {node_id: (ward.cleared, figures_of(ward)) for node_id, ward in changed.items()}

    # -- calls that pass --------------------------------------------------------------------------------------------

    def saw(self, session: Session, seen: Seen, answer: Answer | None) -> None:
        """One call of a customer went through a node's tunnel."""
        ward = self._wards.setdefault(session.node.id, Ward(cleared=session.node.cleared))
        asked = asked_of(seen.request)
        if ward.condemned or asked is None or not seen.path.endswith("/chat/completions") or seen.left:
            return
        terms = self._terms()
        ward.calls += 1
        spot = self._coins.randrange(10_000) < terms.spot_bps
        if answer is not None and answer.finished:
            repeated = ward.memory.repeats(asked.prompt_hash, answer.text)
            if repeated is not None:
                self._note(session.node, ward, Check.REPLAY, repeated)
        if spot and not seen.lost and seen.status not in SPARED:
            self._later(lambda: self._spot(session.node, ward, asked, seen.status, answer))
        if ward.calls % terms.canary_every_calls == 0:
            self._later(lambda: self._canary(session, ward, asked.model))

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        if not self._queue.full():
            self._queue.put_nowait(work)

    async def _work(self) -> None:
        while True:
            work = await self._queue.get()
            self._busy += 1
            try:
                await work()
            except (ShanheError, OSError, TimeoutError, httpx.HTTPError) as error:
                log.info("a check could not be made", error=str(error)[:200])
            finally:
                self._busy -= 1

    async def settle(self) -> None:
        """Until every waiting check was made: for tests."""
        while self._busy or not self._queue.empty() or len(self._running) > CHECKERS:  # noqa: ASYNC110 - no event of ours
            await asyncio.sleep(0.01)

    # -- checks -----------------------------------------------------------------------------------------------------

    async def _spot(self, node: Node, ward: Ward, asked: Asked, status: int, answer: Answer | None) -> None:
        """Ask a customer's question again where it may be asked."""
        await self._compare(node, ward, asked, status, answer, local_only=True, greedy=asked.greedy)

    async def _canary(self, session: Session, ward: Ward, model: str) -> None:
        """Ask a question of our own, through the same tunnel in the same words as any call."""
        body = {
            "messages": canary(self._coins),
            "temperature": 0,
            "model": model,
            "max_tokens": AGREE_TOKENS,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        request = msgspec.json.encode(body)
        asked = asked_of(request)
        assert asked is not None
        transport = over_socket(str(session.path))
        headers = {"content-type": "application/json", PROBE_HEADER.decode(): "1"}
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=CANARY_LIMIT_S) as client:
            got = await client.post("http://engine/v1/chat/completions", content=request, headers=headers)
        answer = answer_of(got.content) if got.status_code == 200 else None
        if got.status_code not in SPARED:
            await self._compare(session.node, ward, asked, got.status_code, answer, local_only=False, greedy=True)

    async def _compare(
        self,
        node: Node,
        ward: Ward,
        asked: Asked,
        status: int,
        answer: Answer | None,
        *,
        local_only: bool,
        greedy: bool,
    ) -> None:
        text = answer.text if answer is not None else ""
        trusted = self._compute.references.find(asked.model, local_only=local_only)
        if trusted is None:
            return
        if answer is not None and text and answer.finished:
            counted = await self._compute.references.count(trusted, text)
            if counted is not None:
                wrong = miscounted(answer.completion_tokens, counted, self._terms())
                self._note(node, ward, Check.COUNT, wrong)
        most = min(AGREE_TOKENS, asked.max_tokens or AGREE_TOKENS)
        reference = await self._compute.references.ask(trusted, asked.messages, most)
        if len("".join(reference.split())) < REFERENCE_MIN_CHARS:
            return
        refused = status >= 400 or refuses(text, reference)
        self._note(node, ward, Check.REFUSAL, refused)
        if greedy and not refused:
            self._note(node, ward, Check.ANSWER, disagrees(text, reference))

    def _note(self, node: Node, ward: Ward, check: Check, failed: bool) -> None:
        terms = self._terms()
        tolerance = terms.tolerances[check]
        if check is Check.REFUSAL:
            others = [one.tests[check] for node_id, one in self._wards.items() if node_id != node.id]
            tolerance = beside_peers(tolerance, sum(one.failures for one in others), sum(one.checks for one in others))
        test = ward.tests[check]
        test.add(failed, tolerance, terms.epoch_checks)
        ward.dirty = True
        if test.score >= terms.threshold and not ward.condemned:
            ward.condemned = True
            cause = f"{check.value}: {test.failures} of {test.checks} checks failed"
            detail = {
                "check": check.value, "checks": test.checks, "failures": test.failures, "calls": ward.calls,
                "figures": figures_of(ward),
            }  # fmt: skip
            task = asyncio.get_running_loop().create_task(self._condemn(node, ward, cause, detail))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _condemn(self, node: Node, ward: Ward, cause: str, detail: Mapping[str, Any]) -> None:
        log.warning("a node failed its checks", node=node.name, cause=cause)
        try:
            await self._verdict(node, cause, detail)
        except FAILURES as error:
            ward.condemned = False  # it serves on and is looked at; the next check that fails says it again
            log.warning("a verdict could not be written", node=node.name, error=type(error).__name__)


def figures_of(ward: Ward) -> dict[str, tuple[int, int, float]]:
    """Checks, failures and evidence of each test."""
    return {check.value: (test.checks, test.failures, test.score) for check, test in ward.tests.items() if test.checks}
