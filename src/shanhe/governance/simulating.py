"""What a rule's change would have cost over what was recorded: asked for, worked out aside, kept with the proposal.

The same rule functions that decide decide here again, over the facts of decisions that were made. Each proposal of a
rule's change has a simulation of the calendar month before it by itself; seats and operators ask for others. Who reads
the cases is handed in (`Gather`), for programmes, credits and calls are peers.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from shanhe.governance import simulation_store, store
from shanhe.governance.errors import (
    AlreadySimulated,
    BadSimulation,
    NothingToSimulate,
    NotSeated,
    SimulationConflict,
    TooManyCases,
    TooManySimulations,
    UnknownProposal,
    UnknownSimulation,
)
from shanhe.governance.model import RULE_CHANGE, Proposal
from shanhe.kernel.asking import Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.rulebook.api import (
    RuleAmendment,
    Rulebook,
    RuleNotInForce,
    RuleWithheld,
    Side,
    Stream,
    content_hash,
    last_month,
    simulate,
)

PRIVACY_RULE, LEAST = "P9_dilution", "least_recipients"
CASES_MOST: Final = 200_000
SPAN_MOST_DAYS: Final = 366
RUN_MOST_S: Final = 300
STALE_AFTER: Final = timedelta(seconds=2 * RUN_MOST_S)
TRIES_MOST: Final = 3
PER_DAY_MOST: Final = 20
"""Simulations of one proposal (or drafts) that may be asked for within a day."""
TELL_EVERY_S: Final = 1.0
SALT_BYTES: Final = 16
FORMAT: Final = 1
DONE: Final = "governance.simulated"
SYSTEM: Final = "system"
GONE_ZH, GONE_EN = "测算进程多次中断", "Its worker went away every time"
_NAME = re.compile(r"[a-z_][a-z0-9_]*")

log = structlog.get_logger(__name__)


class Progress(Protocol):
    """Hears how many cases were read."""

    def __call__(self, more: int) -> None: ...


Gather = Callable[[str, date, date, int, Progress], Awaitable[Sequence[Stream]]]
"""(rule, first day, last day, most cases, progress): what was recorded of decisions by a rule between two days, both
included; none for a rule that nobody records. TooManyCases past the most."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """`seen`: cases read so far; `report` once it is done, `error` when it failed."""

    id: UUID
    proposal: UUID | None
    rule_id: str
    content: Mapping[str, Any]
    content_sha256: str
    first_day: date
    last_day: date
    salt: str
    state: str
    tries: int
    seen: int
    report: Mapping[str, Any] | None
    report_sha256: str | None
    error_zh: str
    error_en: str
    asked_by: str
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class Simulating:
    """Asks are rows; whoever runs jobs works them out, one at a time."""

    def __init__(self, db: Database, clock: Clock, rulebook: Rulebook, record: Record, gather: Gather | None) -> None:
        self._db = db
        self._clock = clock
        self._rulebook = rulebook
        self._record = record
        self._gather = gather

    # -- asking -------------------------------------------------------------------------------------------------------

    async def attach(self, conn: Any, made: Proposal) -> None:
        """The simulation that a rule's change has by itself: of the calendar month before, in the same transaction."""
        if made.matter == RULE_CHANGE and self._gather is not None:
            await self._insert(conn, new_id(), made.id, made.rule_id or "", made.content, None, SYSTEM)

    async def ask(
        self, simulation: UUID, proposal: UUID, *, days: tuple[date, date] | None = None, by: str,
        person_id: UUID | None = None,
    ) -> Simulation:  # fmt: skip
        """Of a proposal, over other calendar months than the last; idempotent by id. A person needs a seat.

        Once for each time: a second one would tell by its difference what somebody had who was erased meanwhile.
        """
        if person_id is not None and not await store.seats_of(self._db, person_id):
            raise NotSeated("任一部门", "any department")
        found = await store.get(self._db, proposal)
        if found is None:
            raise UnknownProposal()
        if found.matter != RULE_CHANGE:
            raise NothingToSimulate()
        return await self._ask(simulation, proposal, found.rule_id or "", found.content,
                               self.span(days, months=True), by)  # fmt: skip

    async def draft(
        self, simulation: UUID, rule_id: str, content: Mapping[str, Any], *, days: tuple[date, date] | None = None,
        by: str, months: bool = False,
    ) -> Simulation:  # fmt: skip
        """Of rows that nobody proposed yet; of whole `months` where few people's sums are not for who asks."""
        rule = self._rulebook.rule(rule_id)
        self._rulebook.amended([_amendment(rule.id, content)])
        return await self._ask(simulation, None, rule.id, content, self.span(days, months=months), by)

    async def _ask(
        self, simulation: UUID, proposal: UUID | None, rule_id: str, content: Mapping[str, Any],
        span: tuple[date, date], by: str,
    ) -> Simulation:  # fmt: skip
        row = await simulation_store.get(self._db, simulation)
        if row is None:
            if proposal is not None and await self.of_days(proposal, span) is not None:
                raise AlreadySimulated(*span)
            since = self._clock.now() - timedelta(days=1)
            if await simulation_store.count(self._db, proposal, since) >= PER_DAY_MOST:
                raise TooManySimulations(PER_DAY_MOST)
            await self._insert(self._db.writes, simulation, proposal, rule_id, content, span, by)
            row = await simulation_store.get(self._db, simulation)
        found = Simulation(**dict(row))
        asked = (proposal, rule_id, content_hash(content), *span)
        if (found.proposal, found.rule_id, found.content_sha256, found.first_day, found.last_day) != asked:
            raise SimulationConflict()
        return found

    async def _insert(
        self, conn: Any, simulation: UUID, proposal: UUID | None, rule_id: str, content: Mapping[str, Any],
        days: tuple[date, date] | None, by: str,
    ) -> None:  # fmt: skip
        await simulation_store.insert(
            conn, simulation, proposal, rule_id, content, content_hash(content), self.span(days),
            secrets.token_hex(SALT_BYTES), by, self._clock.now(),
        )  # fmt: skip

    def span(self, days: tuple[date, date] | None, *, months: bool = False) -> tuple[date, date]:
        """The days asked for, last month by default; BadSimulation for a time that is not over, or too long.

        What everybody reads is of whole `months`: two times that differ by a day would tell of that day's few.
        """
        if days is None:
            return last_month(self._clock.today())
        first, last = days
        if last < first or last >= self._clock.today():
            raise BadSimulation("its days are in order and have passed", "起止日期须先后有序且均已过去")
        if (last - first).days >= SPAN_MOST_DAYS:
            raise BadSimulation(f"it covers at most {SPAN_MOST_DAYS} days", f"区间最多 {SPAN_MOST_DAYS} 天")
        if months and (first.day != 1 or (last + timedelta(days=1)).day != 1):
            raise BadSimulation("a proposal's is of whole calendar months", "提案的测算须为完整的日历月")
        return first, last

    # -- reading ------------------------------------------------------------------------------------------------------

    async def get(self, simulation: UUID) -> Simulation:
        row = await simulation_store.get(self._db, simulation)
        if row is None:
            raise UnknownSimulation()
        return Simulation(**dict(row))

    async def of(self, proposal: UUID | None) -> list[Simulation]:
        """A proposal's, newest first; drafts for None."""
        return [Simulation(**dict(row)) for row in await simulation_store.of(self._db, proposal)]

    async def of_days(self, proposal: UUID, days: tuple[date, date]) -> Simulation | None:
        """A proposal's of these days, unless it failed."""
        row = await simulation_store.of_days(self._db, proposal, days)
        return Simulation(**dict(row)) if row is not None else None

    # -- working ------------------------------------------------------------------------------------------------------

    async def tick(self) -> int:
        """Work out the one that waits longest; how many ended."""
        now = self._clock.now()
        ended = await simulation_store.given_up(self._db.writes, now, now - STALE_AFTER, TRIES_MOST, GONE_ZH, GONE_EN)
        row = await simulation_store.claim(self._db.writes, now, now - STALE_AFTER, TRIES_MOST)
        if row is None:
            return ended
        await self._work(Simulation(**dict(row)))
        return ended + 1

    async def run(self, simulation: UUID) -> Simulation:
        """Work one out here and now, unless it has ended."""
        found = await self.get(simulation)
        if found.ended_at is None:
            await self._work(found)
        return await self.get(simulation)

    async def _work(self, found: Simulation) -> None:
        seen = Seen()
        telling = asyncio.create_task(self._tell(found.id, seen))
        try:
            amended = self._rulebook.amended([_amendment(found.rule_id, found.content)])
            days = (found.first_day, found.last_day)
            report = await self.report(found.rule_id, amended, days, salt=found.salt, seen=seen,
                                       content=found.content)  # fmt: skip
        except ShanheError as error:
            await simulation_store.end(
                self._db.writes, found.id, self._clock.now(), zh=error.message_zh, en=error.message
            )
            return
        except TimeoutError:
            zh, en = f"{RUN_MOST_S} 秒内未完成；请缩短区间", f"Not done within {RUN_MOST_S} s; ask for a shorter time"
            await simulation_store.end(self._db.writes, found.id, self._clock.now(), zh=zh, en=en)
            return
        except ArithmeticError as error:
            log.error("two evaluators differ", simulation=str(found.id), error=str(error))
            await simulation_store.end(self._db.writes, found.id, self._clock.now(), zh="两种算法结果不一致，已停止",
                                       en="The two evaluators differ; stopped")  # fmt: skip
            return
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        async with self._db.transaction() as conn:
            sha256 = sealed_hash(found.salt, report)
            if await simulation_store.end(
                conn, found.id, self._clock.now(), seen=seen.cases, report=report, sha256=sha256
            ):
                public = {"rule": found.rule_id, "content_sha256": found.content_sha256, "report_sha256": sha256,
                          "first": str(found.first_day), "last": str(found.last_day)}  # fmt: skip
                private = {"id": str(found.id), "proposal": str(found.proposal or "")}
                await self._record(conn, DONE, public, private)

    async def _tell(self, simulation: UUID, seen: Seen) -> None:
        """Write how far it is, for whoever waits."""
        told = 0
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            if seen.cases != told:
                told = seen.cases
                await simulation_store.note_seen(self._db, simulation, told)

    async def report(
        self, rule_id: str, amended: Rulebook, days: tuple[date, date], *, salt: str = "", seen: Seen | None = None,
        content: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """What another rulebook would have decided: of the rule itself, and of each that shares what changes.

        `content`: the rows that make the difference; without it a whole file stands for the rule.
        """
        if self._gather is None:
            raise NothingToSimulate()
        counted, today = seen or Seen(), self._clock.today()
        rule = amended.rule(rule_id)
        names = None if content is None else list(content.get("parameters", {}))
        rules = [rule.id, *(one for one in amended.sharing(rule.id, names) if one != rule.id)]
        after_on = max(_last_start(rule, content), today)
        least = int(self._rulebook.parameter(PRIVACY_RULE, LEAST, today))
        span = f"{days[0]}..{days[1]}"
        sections, unrecorded, salt = [], list[str](), salt or secrets.token_hex(SALT_BYTES)
        async with asyncio.timeout(RUN_MOST_S):
            for one in rules:
                sides = self._sides(amended, one, today, after_on)
                left = CASES_MOST - counted.cases
                streams = await self._gather(one, *days, left, counted) if sides else ()
                if sides is None or not any(stream.cases or stream.erased for stream in streams):
                    unrecorded.append(one)
                    continue
                decided, before, after = sides
                for stream in streams:
                    sections.append(asdict(await asyncio.to_thread(
                        simulate, stream, before, after, least=least, salt=salt, span=span, tell=_nothing,
                        decided=decided,
                    )))  # fmt: skip
        named = [{"rule": one, "title": amended.rule(one).title.to_dict()} for one in unrecorded]
        return {
            "format": FORMAT, "rule": rule.id, "first": str(days[0]), "last": str(days[1]), "asked_on": str(today),
            "after_on": str(after_on), "least": least, "sections": sections, "unrecorded": named,
            "unseen": _unseen(rule, content),
        }  # fmt: skip

    def _sides(self, amended: Rulebook, rule_id: str, today: date, after_on: date) -> tuple[Side, Side, Side] | None:
        """The version in force, what would hold without the change on the day of the change, and the proposed one;
        None for a rule without a formula, that is new, or of which nothing decides for now."""
        if rule_id not in self._rulebook.ids() or not amended.rule(rule_id).formulas:
            return None
        try:
            now, then = self._rulebook.in_force(rule_id, today), self._rulebook.in_force(rule_id, after_on)
        except (RuleNotInForce, RuleWithheld):
            return None
        decided = Side.of(now, today)
        before = decided if then.version == now.version else Side.of(then, after_on)
        return decided, before, Side.of(amended.in_force(rule_id, after_on), after_on)


@dataclass
class Seen:
    """Cases read so far; `told` hears of them each time another `every` were read."""

    cases: int = 0
    every: int = 0
    told: Callable[[int], None] | None = None

    def __call__(self, more: int) -> None:
        before, self.cases = self.cases, self.cases + more
        if self.cases > CASES_MOST:
            raise TooManyCases(CASES_MOST)
        if self.told is not None and self.every and self.cases // self.every != before // self.every:
            self.told(self.cases)


def sealed_hash(salt: str, report: Mapping[str, Any]) -> str:
    """Of a report, for the log. The salt keeps a count that is hidden from being tried."""
    return content_hash({"salt": salt, "report": report})


def _nothing(_: int) -> None:
    """Nobody waits within a section: it takes seconds."""


def _amendment(rule_id: str, content: Mapping[str, Any]) -> RuleAmendment:
    return RuleAmendment("simulated", rule_id, content, "simulation")


def _rows(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*(row for rows in content.get("parameters", {}).values() for row in rows), *content.get("formula", ())]


def _last_start(rule: Any, content: Mapping[str, Any] | None) -> date:
    """The first day on which all of a change holds."""
    if content is not None:
        return max((date.fromisoformat(str(row["from"])) for row in _rows(content)), default=date.min)
    dated = [*rule.formulas, *(value for one in rule.parameters for value in one.values)]
    return max((one.start for one in dated), default=date.min)


def _unseen(rule: Any, content: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Values that change and that no formula of the rule uses: what they cost can't be worked out here."""
    used = {
        name
        for formula in rule.formulas
        for line in (*formula.steps, *formula.outputs)
        for name in _NAME.findall(line.expression)
    }
    changed = (content or {}).get("parameters", {})
    return [{"name": one.name, "title": one.title.to_dict()} for one in rule.parameters
            if one.name in changed and one.name not in used]  # fmt: skip
