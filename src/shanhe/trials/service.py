"""Measuring a draft against what callers get now, and the gate before its review."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from shanhe.kernel.asking import Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal, Seals
from shanhe.trials import store
from shanhe.trials.errors import BadCases, NoReport
from shanhe.trials.model import (
    ANSWER_KEPT_CHARS,
    CASES_MAX,
    EXPECTED_MAX_CHARS,
    QUESTION_MAX_CHARS,
    REASON_MAX_CHARS,
    Answer,
    Case,
    Report,
    key_of,
    right,
)

AT_ONCE: Final = 4
WHOLE_MAX_S: Final = 540.0
"""A gate is waited for; a set that takes longer is refused and stays unmeasured."""
RUN_MAX_S: Final = WHOLE_MAX_S + 30.0
"""After so long a run that said nothing has ended with its process."""
POLL_S: Final = 0.5
CASES, ANSWERS, REASON = "trials.cases", "trials.report.answers", "trials.report.reason"
OVERRIDE_KIND: Final = "evaluation_override"
MATCHER: Final = """
import re

def main(pairs):
    return [bool(re.search(pattern, text)) for pattern, text in pairs]
"""
Finding = tuple[str, bool, str, str]
"""(name, passed, zh, en) of one check."""


class Asks(Protocol):
    """Whoever runs agents; handed in by the composition root."""

    async def current(self, name: str) -> tuple[int, Mapping[str, Any]] | None:
        """(version, content) that callers of a name get now."""
        ...

    async def draft(self, name: str, owner: UUID) -> Mapping[str, Any]:
        """The content of a maker's own draft."""
        ...

    async def answer(
        self, owner: UUID, name: str, content: Mapping[str, Any], question: str, inputs: Mapping[str, str]
    ) -> tuple[str, int, str]:  # fmt: skip
        """(text, paid, code of what kept the agent from answering) of one question, paid by the maker at list price.
        `inputs`: what the agent is told first. What is nobody's answer (no credits, no engine) is raised."""
        ...


Match = Callable[[str, Sequence[tuple[str, str]]], Awaitable[Sequence[bool]]]
"""(code, pairs of pattern and text): which match, found out where a bad pattern harms nobody."""


class Trials:
    """Evaluation sets of one city."""

    def __init__(
        self, db: Database, clock: Clock, *, asks: Asks, match: Match, entry: Record, seals: Seals | None = None
    ) -> None:
        self._db = db
        self._clock = clock
        self._asks = asks
        self._match = match
        self._entry = entry
        self._seals = seals or Seals()

    # -- sets ---------------------------------------------------------------------------------------------------------

    async def cases(self, org_id: UUID, agent: str) -> list[Case]:
        """An agent's set; empty when it has none."""
        stored = await store.cases(self._db, org_id, agent)
        seal = await self._seals.of(org_id)
        return msgspec.convert(seal.open_json(CASES, stored, []) or [], type=list[Case])

    async def set_cases(self, org_id: UUID, agent: str, content: Any, *, by: str) -> list[Case]:
        """Replace an agent's set; BadCases. The agent needs a listing of its maker's."""
        await self._asks.draft(agent, org_id)
        found = await self._checked(content)
        seal = await self._seals.of(org_id)
        kept = seal.json(CASES, msgspec.to_builtins(found))
        await store.set_cases(self._db, org_id, agent, kept, by, self._clock.now())
        return found

    async def _checked(self, content: Any) -> list[Case]:
        try:
            found = msgspec.convert(content, type=list[Case])
        except msgspec.ValidationError as error:
            text = str(error)[:200]
            raise BadCases(f"The set's form is wrong: {text}", f"评测集格式不正确：{text}") from error
        if len(found) > CASES_MAX:
            raise BadCases(f"At most {CASES_MAX} cases", f"最多 {CASES_MAX} 条")
        for one in found:
            if not 1 <= len(one.question.strip()) <= QUESTION_MAX_CHARS:
                raise BadCases(f"A question has 1 to {QUESTION_MAX_CHARS} signs", f"问题须为 1–{QUESTION_MAX_CHARS} 字")
            if not 1 <= len(one.expected.strip()) <= EXPECTED_MAX_CHARS:
                raise BadCases(f"What is expected has 1 to {EXPECTED_MAX_CHARS} signs",
                               f"预期须为 1–{EXPECTED_MAX_CHARS} 字")  # fmt: skip
        patterns = [(one.expected, "") for one in found if one.form == "regex"]
        try:
            await self._matches(patterns)
        except Invalid as error:
            raise BadCases(f"A pattern can't be used: {error.message.rstrip('.')}", "有正则表达式无法使用") from error
        return found

    async def _matches(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        return list(await self._match(MATCHER, pairs)) if pairs else []

    # -- measuring ----------------------------------------------------------------------------------------------------

    async def run(self, org_id: UUID, agent: str) -> Report:
        """Measure the draft as it is now; a report that stands is not made again. BadCases without a set."""
        cases = await self.cases(org_id, agent)
        if not cases:
            raise BadCases("The agent has no evaluation set", "该智能体没有评测集")
        return await self._measured(org_id, agent, await self._asks.draft(agent, org_id), cases)

    async def reports(self, org_id: UUID, agent: str, *, most: int = store.PAGE_ROWS) -> list[Report]:
        """What was measured, newest first."""
        seal = await self._seals.of(org_id)
        return [_opened(seal, one) for one in await store.reports(self._db, org_id, agent, most)]

    async def everything(self, org_id: UUID, *, most: int) -> list[dict[str, Any]]:
        """Each set of an organisation's, with what it measured; `most` of either."""
        return [
            {"agent": agent, "cases": await self.cases(org_id, agent),
             "reports": await self.reports(org_id, agent, most=most)}
            for agent in await store.agents(self._db, org_id, most)
        ]  # fmt: skip

    async def _measured(
        self, org_id: UUID, agent: str, draft: Mapping[str, Any], cases: Sequence[Case]
    ) -> Report:  # fmt: skip
        current, seal = await self._asks.current(agent), await self._seals.of(org_id)
        key = key_of(cases, draft, None if current is None else current[1])
        try:
            async with asyncio.timeout(WHOLE_MAX_S):
                while (known := await store.report(self._db, org_id, agent, key)) is None:
                    run_id, now = new_id(), self._clock.now()
                    if await store.begin(self._db, org_id, agent, key, run_id, now, now + timedelta(seconds=RUN_MAX_S)):
                        try:
                            if await store.report(self._db, org_id, agent, key) is None:
                                await self._measure(seal, org_id, agent, draft, current, cases, key)
                        finally:
                            await store.over(self._db, run_id)
                    else:
                        await asyncio.sleep(POLL_S)  # somebody measures just this: theirs is the report
        except TimeoutError as error:
            raise BadCases(f"The set takes longer than {WHOLE_MAX_S:.0f} s",
                           f"评测集耗时超过 {WHOLE_MAX_S:.0f} 秒") from error  # fmt: skip
        return _opened(seal, known)

    async def _measure(
        self, seal: Seal, org_id: UUID, agent: str, draft: Mapping[str, Any],
        current: tuple[int, Mapping[str, Any]] | None, cases: Sequence[Case], key: bytes,
    ) -> None:  # fmt: skip
        made, paid = await self._answers(org_id, agent, draft, cases)
        other, more = (None, 0) if current is None else await self._answers(org_id, agent, current[1], cases)
        asked = [case.question for case in cases]
        answers = msgspec.to_builtins({"questions": asked, "draft": made, "base": other})
        await store.add(self._db, Report(
            new_id(), org_id, agent, key, len(cases), sum(one.right for one in made),
            None if other is None else sum(one.right for one in other), None if current is None else current[0],
            paid + more, seal.json(ANSWERS, answers), self._clock.now(),
        ))  # fmt: skip

    async def _answers(
        self, org_id: UUID, agent: str, content: Mapping[str, Any], cases: Sequence[Case]
    ) -> tuple[list[Answer], int]:
        """What a version says to each case, a few at once, and what that cost."""
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(case: Case) -> tuple[str, int, str]:
            async with room:
                inputs = {} if isinstance(case.inputs, msgspec.UnsetType) else case.inputs
                return await self._asks.answer(org_id, agent, content, case.question, inputs)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(case)) for case in cases]
        except BaseExceptionGroup as failed:  # `except*` makes a group again in 3.11.2
            refused, others = failed.split(ShanheError)
            if refused is None or others is not None:
                raise
            raise first_of(refused) from failed
        said = [task.result() for task in tasks]
        patterns = iter(await self._matches([
            (case.expected, text) for case, (text, _, _) in zip(cases, said, strict=True) if case.form == "regex"
        ]))  # fmt: skip
        found = [
            Answer(
                text[:ANSWER_KEPT_CHARS], (next(patterns) if case.form == "regex" else right(case, text)) and not error,
                error,
            )
            for case, (text, _, error) in zip(cases, said, strict=True)
        ]  # fmt: skip
        return found, sum(paid for _, paid, _ in said)

    # -- the gate -----------------------------------------------------------------------------------------------------

    async def gate(self, owner: UUID, agent: str, content: Mapping[str, Any]) -> list[Finding]:
        """Whether a version may go to review: nothing to say without a set."""
        cases = await self.cases(owner, agent)
        if not cases:
            return []
        try:
            report = await self._measured(owner, agent, content, cases)
        except ShanheError as error:
            return [("evaluation", False, f"评测未完成：{error.message_zh}", f"not measured: {error.message}")]
        zh = f"评测通过 {report.draft_right}/{report.asked}"
        en = f"{report.draft_right} of {report.asked} right"
        if report.base_right is not None:
            zh += f"，现行版本 {report.base_right}/{report.asked}"
            en += f", the version in use {report.base_right}"
        if report.worse:
            zh += "，已说明理由放行" if report.passed else "；低于现行版本，请改进，或说明理由后放行"
            en += (
                ", let through for a stated reason"
                if report.passed
                else ("; fewer than the version in use: make it better, or say why it should go on")
            )
        return [("evaluation", report.passed, zh, en)]

    async def excuse(self, org_id: UUID, agent: str, reason: str, *, by: str) -> Report:
        """Let the present draft through although it is worse, for a reason that the log keeps. NoReport."""
        if not 10 <= len(reason.strip()) <= REASON_MAX_CHARS:
            raise BadCases(f"A reason has 10 to {REASON_MAX_CHARS} signs", f"理由须为 10–{REASON_MAX_CHARS} 字")
        cases, draft = await self.cases(org_id, agent), await self._asks.draft(agent, org_id)
        current = await self._asks.current(agent)
        key = key_of(cases, draft, None if current is None else current[1])
        seal = await self._seals.of(org_id)
        async with self._db.transaction() as conn:
            found = await store.report(conn, org_id, agent, key)
            if found is None:
                raise NoReport()
            if not found.worse:
                raise BadCases("The draft is not worse: it needs no reason", "草稿并不低于现行版本，无需放行")
            if await store.excuse(conn, found.id, seal.text(REASON, reason), by, self._clock.now()):
                public = {"agent": agent, "asked": found.asked, "draft_right": found.draft_right,
                          "base_right": found.base_right}  # fmt: skip
                await self._entry(conn, OVERRIDE_KIND, public, {"reason": reason, "by": by, "org": str(org_id)})
            done = await store.report(conn, org_id, agent, key)
        assert done is not None
        return _opened(seal, done)


def first_of(group: BaseExceptionGroup[ShanheError]) -> ShanheError:
    """The first of what went wrong at once."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, ShanheError)
    return found


def _opened(seal: Seal, one: Report) -> Report:
    return msgspec.structs.replace(
        one, answers=seal.open_json(ANSWERS, one.answers, {}), reason=seal.open(REASON, one.reason)
    )
