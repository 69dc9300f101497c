"""Whether the strategy comes true: scorecard (S1), profit lock (P3), paybacks (S3), reviews (P9), overdue work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from shanhe.governance import store
from shanhe.governance.errors import BadProposal, UnknownThing
from shanhe.governance.model import Duty, Project, Score, State, duties
from shanhe.kernel.clock import Clock, add_months, city_date
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict
from shanhe.kernel.migrations import opened_at
from shanhe.rulebook.api import Decision, Rulebook

SCORECARD, PROFIT_LOCK, PAYBACK, LOOP, INTERNAL = (
    "S1_scorecard", "P3_profit_lock", "S3_payback", "P9_feedback_loop", "P5_internal_first",
)  # fmt: skip
NOT_TARGETS: Final = ("city_start", "term_months")
AT_MOST: Final = ("fund_max", "forums_max")
TEXT_CHARS, EVIDENCE_CHARS = 4_000, 200
WHOLE_BPS: Final = 10_000
FIGURES: Final = ("cumulative_profit_fen", "availability_bps")
"""What P3 needs and nobody measures here: an auditor records it."""

Measure = Callable[[date], Awaitable[int]]
"""What the city itself counts as of a day."""
Work = Callable[[], Awaitable[Sequence[Duty]]]
"""Work with deadlines that another module knows of."""


class Watching:
    """`measures` count what ledger and registers know; what they don't is recorded as a figure with evidence."""

    def __init__(
        self, db: Database, clock: Clock, *, rulebook: Rulebook, measures: Mapping[str, Measure],
        work: Mapping[str, Work],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._rulebook = rulebook
        self._measures = measures
        self._work = work

    # -- the scorecard ------------------------------------------------------------------------------------------------

    async def record(self, name: str, value: int, *, on: date, evidence: str, figure_id: UUID, by: str) -> None:
        """Record a figure that nobody measures; idempotent by id, a later one of the day corrects."""
        targets = {parameter.name for parameter in self._rulebook.rule(SCORECARD).parameters} - set(NOT_TARGETS)
        if name not in targets | set(FIGURES) or name in self._measures:
            raise BadProposal("nobody records this figure by hand", "该指标不可人工填报")
        if not 0 < len(evidence.strip()) <= EVIDENCE_CHARS or on > self._clock.today():
            raise BadProposal("a figure needs evidence, and is of no day to come", "须注明依据，日期不得晚于今天")
        row = await store.add_figure(self._db, figure_id, name, on, value, evidence.strip(), by, self._clock.now())
        if (row["name"], row["value"], row["on_day"]) != (name, value, on):
            raise _conflict()

    async def scorecard(self) -> list[Score]:
        """Every target of the three years: how far, by whose count, and how much of the time has passed."""
        today = self._clock.today()
        rule, figures = self._rulebook.rule(SCORECARD), await store.figures(self._db, today)
        start = self._rulebook.parameter(SCORECARD, "city_start", today)
        months = int(self._rulebook.parameter(SCORECARD, "term_months", today))
        elapsed = _elapsed_bps(start, months, today)
        scores = []
        for parameter in rule.parameters:
            if parameter.name in NOT_TARGETS:
                continue
            target = int(self._rulebook.parameter(SCORECARD, parameter.name, today))
            actual, source = await self._actual(parameter.name, figures, today)
            reached = None if actual is None else min(actual, 10**15) * WHOLE_BPS // target
            title = {"zh": parameter.title.zh, "en": parameter.title.en}
            scores.append(Score(parameter.name, title, target, parameter.unit, actual, source, reached, elapsed,
                                parameter.name in AT_MOST))  # fmt: skip
        return scores

    async def _actual(self, name: str, figures: Mapping[str, Any], today: date) -> tuple[int | None, str]:
        if name in self._measures:
            return await self._measures[name](today), "measured"
        row = figures.get(name)
        return (row["value"], row["evidence"]) if row is not None else (None, "")

    # -- the profit lock (P3) -----------------------------------------------------------------------------------------

    async def profit_lock(self) -> tuple[Decision | None, list[str]]:
        """Whether the operator may share profit today, with the trace; what is missing when it can't be said. What was
        shared before is profit no more."""
        today = self._clock.today()
        figures = await store.figures(self._db, today)
        missing = [name for name in FIGURES if name not in figures]
        if missing:
            return None, missing
        facts = {
            "cumulative_profit_fen": figures["cumulative_profit_fen"]["value"] - await store.shared_fen(self._db),
            "availability": figures["availability_bps"]["value"],
            "active_orgs": await self._measures["active_orgs"](today),
            "served_credit_micro": await self._measures["served_credit_micro"](today),
        }
        return self._rulebook.evaluate(PROFIT_LOCK, facts, on=today), []

    async def check_profit_share(self, content: Mapping[str, Any], on: date) -> None:
        """A share of profit is proposed and adopted only within what P3 opens."""
        amount = content.get("amount_fen")
        if type(amount) is not int or amount <= 0:
            raise BadProposal("say the amount in fen", "须写明分润金额（分）")
        decision, missing = await self.profit_lock()
        if decision is None:
            raise BadProposal(f"P3 needs figures: {', '.join(missing)}", f"缺少 P3 所需数据：{'、'.join(missing)}")
        if not decision.outputs["may_share"] or amount > decision.outputs["shareable_fen"]:
            raise BadProposal("the profit lock (P3) is not open for it", "未达到分润条件（P3）")

    # -- internal first (P5) ------------------------------------------------------------------------------------------

    async def may_use_other(self, body: str, org_id: UUID | None, on: date | None = None) -> Decision:
        """Whether a body may use another platform: by an infeasibility report that both offices approved."""
        day = on or self._clock.today()
        adopted = await store.last_report(self._db, org_id) if org_id is not None else None
        approved = city_date(adopted) if adopted is not None else None
        facts = {"body": body, "own_department": approved is not None, "digital_office": approved is not None,
                 "approved_on": approved or day, "asked_on": day}  # fmt: skip
        return self._rulebook.evaluate(INTERNAL, facts, on=day)

    async def check_infeasibility(self, content: Mapping[str, Any], on: date) -> None:
        """A report names whose it is, which platform, and why this one can't do it."""
        try:
            UUID(str(content.get("org_id")))
        except ValueError:
            raise BadProposal("say whose report it is (`org_id`)", "须写明报告单位（org_id）") from None
        for name in ("platform", "reason"):
            if not 0 < len(str(content.get(name, "")).strip()) <= TEXT_CHARS:
                raise BadProposal(f"the report says its {name}", "须写明所用平台与不可行的理由")

    # -- projects (S3) ------------------------------------------------------------------------------------------------

    async def add_project(
        self, project_id: UUID, *, name_zh: str, name_en: str, department: str, started_on: date, by: str
    ) -> Project:
        """A project whose money has to come back within the months of S3. Idempotent by id."""
        if department not in duties().departments or not name_zh.strip() or not name_en.strip():
            raise BadProposal("a project has names and a department", "须填写项目名称与主办部门")
        await store.add_project(self._db, project_id, name_zh.strip(), name_en.strip(), department, started_on, by,
                                self._clock.now())  # fmt: skip
        return await self.project(project_id)

    async def flow(
        self, project_id: UUID, kind: str, amount_fen: int, *, on: date, evidence: str, flow_id: UUID, by: str
    ) -> Project:
        """Money into or back out of a project, with its evidence (a posting's id, a document). Idempotent by id."""
        await self.project(project_id)
        if on > self._clock.today():  # money that is to come back has not
            raise BadProposal("money that moved, moved by today", "日期不得晚于今天")
        if kind not in ("invested", "returned") or amount_fen <= 0 or not 0 < len(evidence.strip()) <= EVIDENCE_CHARS:
            raise BadProposal("give invested or returned, an amount and evidence", "须填写类别、正数金额与依据")
        row = await store.add_flow(self._db, flow_id, project_id, kind, amount_fen, on, evidence.strip(), by,
                                   self._clock.now())  # fmt: skip
        if (row["project"], row["kind"], row["amount_fen"]) != (project_id, kind, amount_fen):
            raise _conflict()
        return await self.project(project_id)

    async def project(self, project_id: UUID) -> Project:
        rows = await store.projects(self._db, project_id)
        if not rows:
            raise UnknownThing("project", "项目")
        return self._project(rows[0])

    async def projects(self) -> list[Project]:
        """Every project, oldest first; `watched` are on the watch list."""
        return [self._project(row) for row in await store.projects(self._db)]

    def _project(self, row: Any) -> Project:
        today = self._clock.today()
        facts = {"started_on": row["started_on"], "asked_on": max(today, row["started_on"]),
                 "invested_fen": row["invested_fen"], "returned_fen": row["returned_fen"]}  # fmt: skip
        found = self._rulebook.evaluate(PAYBACK, facts, on=today).outputs
        return Project(
            row["id"], {"zh": row["name_zh"], "en": row["name_en"]}, row["department"], row["started_on"],
            row["invested_fen"], row["returned_fen"], found["deadline"], found["missing_fen"], found["watch_list"],
        )  # fmt: skip

    # -- reviews of rules (P9) and overdue work -----------------------------------------------------------------------

    async def review(self, rule_id: str, *, on: date, finding: str, review_id: UUID, by: str) -> None:
        """Record that a rule was looked at, and what was found. Idempotent by id."""
        rule = self._rulebook.rule(rule_id)
        if not 0 < len(finding.strip()) <= TEXT_CHARS or on > self._clock.today():
            raise BadProposal("say what the review found, not later than today", "须写明评估结论，日期不得晚于今天")
        await store.add_review(self._db, review_id, rule.id, on, finding.strip(), by, self._clock.now())

    async def reviews(self, rule_id: str | None = None) -> list[dict[str, Any]]:
        return await store.reviews(self._db, self._rulebook.rule(rule_id).id if rule_id else None)

    async def duties(self, *, overdue_only: bool = False) -> list[Duty]:
        """Work of every department with its day, the most urgent first: votes, reviews, other modules' work."""
        found = [*await self._votes(), *await self._rule_reviews()]
        for work in self._work.values():
            found += await work()
        shown = [duty for duty in found if duty.overdue or not overdue_only]
        return sorted(shown, key=lambda duty: (duty.due_on, duty.kind, duty.title["zh"]))

    async def _votes(self) -> list[Duty]:
        open_ = await store.page(self._db, states=[State.VOTING], matter=None, before=None, limit=100)
        return [
            Duty(_text(duties().departments[one.at(one.step)]), "vote", {"zh": one.title, "en": one.title},
                 city_date(one.step_due), one.step_due < self._clock.now(), f"/governance/{one.id}")
            for one in open_ if one.step_due is not None
        ]  # fmt: skip

    async def _rule_reviews(self) -> list[Duty]:
        today, last = self._clock.today(), await store.last_reviews(self._db)
        start = self._rulebook.parameter(SCORECARD, "city_start", today)
        start = max(start, city_date(await opened_at(self._db)))  # before it opened, a city could review nothing
        found, said_of = [], dict[date, Mapping[str, Any]]()
        for rule_id in self._rulebook.ids():
            rule, reviewed = self._rulebook.rule(rule_id), last.get(rule_id, start)
            if reviewed not in said_of:  # most were last looked at on one day; a decision with its trace takes its time
                facts = {"reviewed_on": reviewed, "asked_on": max(today, start)}
                said_of[reviewed] = self._rulebook.evaluate(LOOP, facts, on=today).outputs
            said = said_of[reviewed]
            if said["overdue"]:
                title = {"zh": f"{rule_id} {rule.title.zh}", "en": f"{rule_id} {rule.title.en}"}
                owner = {"zh": rule.department.zh, "en": rule.department.en}
                found.append(Duty(owner, "review", title, said["due_on"], True, f"/rules/{rule_id}"))
        return found


def _elapsed_bps(start: date, months: int, today: date) -> int:
    end = add_months(start, months)
    return max(0, min(WHOLE_BPS, (today - start).days * WHOLE_BPS // (end - start).days))


def _text(text: Any) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def _conflict() -> Conflict:
    return Conflict(
        "figure_conflict", "This id already belongs to another record.", message_zh="该编号已用于另一条记录。",
        hint="Use a new id.", hint_zh="请使用新的编号。",
    )  # fmt: skip
