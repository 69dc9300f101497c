"""Proposals: proposed, discussed, voted along the path, announced, open to a veto, adopted. Repaired by `tick`."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.governance import messages, store
from shanhe.governance.errors import (
    AlreadyVoted,
    BadProposal,
    NotDecided,
    NotForYou,
    NotSeated,
    ProposalConflict,
    TooSoon,
    UnknownProposal,
    WrongState,
)
from shanhe.governance.model import (
    RULE_CHANGE,
    VETO_DEPARTMENT,
    Comment,
    File,
    NewProposal,
    Proposal,
    State,
    Vote,
    duties,
)
from shanhe.kernel.asking import Record
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.notify import Notifier
from shanhe.kernel.paging import cut
from shanhe.kernel.vault import PersonErased, Vault
from shanhe.rulebook.api import Amendments, RuleAmendment, Rulebook, proved

TERMS, VETO_RULE = "P4_decision_terms", "P4_major_veto"
COMMENTS_ROWS: Final = 200
"""A page of what was said of a proposal."""
TITLE_CHARS, WHY_CHARS, REASON_CHARS, COMMENT_CHARS = 200, 4_000, 1_000, 1_000
COMMENT_FIELD: Final = "governance.comment"
OPEN: Final = (State.DISCUSSION, State.VOTING, State.APPROVED, State.ANNOUNCED)

Check = Callable[[Mapping[str, Any], date], Awaitable[None]]
"""Whether a matter's facts allow it on a day; raises why not."""
Follow = Callable[[Any, Proposal], Awaitable[None]]
"""(connection, proposal): what an adopted matter sets in motion, in the transaction that adopts it."""

log = structlog.get_logger(__name__)


class Deciding:
    """The way of a proposal. `checks` hold other matters to their rules, when proposed and again when adopted."""

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, *, rulebook: Rulebook, amendments: Amendments,
        notifier: Notifier, record: Record, checks: Mapping[str, Check], follow: Mapping[str, Follow],
        proposed: Follow,
    ) -> None:  # fmt: skip
        self._follow = follow
        self._proposed = proposed
        self._db = db
        self._clock = clock
        self._vault = vault
        self._rulebook = rulebook
        self._amendments = amendments
        self._notifier = notifier
        self._record = record
        self._checks = checks
        amendments.need(self._decided, self._owned)

    # -- seats --------------------------------------------------------------------------------------------------------

    async def seat(self, person_id: UUID, department: str, *, by: str) -> None:
        """Give a person a seat in a department: to propose, and to vote where the department decides."""
        if department not in duties().departments:
            raise BadProposal(f"there is no department {department[:40]!r}", "没有该部门")
        await store.add_seat(self._db, person_id, department, by, self._clock.now())

    async def unseat(self, person_id: UUID, department: str) -> None:
        await store.drop_seat(self._db, person_id, department)

    async def seats(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await store.seats(self._db)]

    async def seats_of(self, person_id: UUID) -> frozenset[str]:
        return await store.seats_of(self._db, person_id)

    # -- proposing ----------------------------------------------------------------------------------------------------

    async def propose(self, new: NewProposal, *, person_id: UUID) -> Proposal:
        """Propose; idempotent by id. A rule's change is proved first; TooSoon when its days are not in it."""
        known = await store.get(self._db, new.id)
        if known is not None:
            return self._same(known, new)
        seats = await self.seats_of(person_id)
        if not seats:
            raise NotSeated("任一部门", "any department")
        made = await self._made(new, person_id, seats)
        async with self._db.transaction() as conn:
            if await store.insert(conn, made):
                await store.note(conn, made.id, "proposed", now=made.proposed_at, actor=f"person:{person_id}")
                await self._proposed(conn, made)
        return self._same(await self.get(made.id), new)

    def _same(self, known: Proposal, new: NewProposal) -> Proposal:
        """What is known, where it is what somebody proposes again: every word and day. ProposalConflict else."""
        same: list[tuple[object, object]] = [
            (new.matter, known.matter), (new.title.strip(), known.title), (new.why.strip(), known.why),
            (dict(new.content), dict(known.content)), (new.announced_on, known.announced_on),
        ]  # fmt: skip
        if any(one != other for one, other in same):
            raise ProposalConflict()
        if known.matter == RULE_CHANGE:  # its rows say from when; its owner decides it
            same = [(self._rulebook.rule(new.rule_id or "").id, known.rule_id)]
        else:
            effective = max(self._effective(new, city_date(known.proposed_at)), known.veto_until)
            same = [(new.department or known.department, known.department), (effective, known.effective_on)]
        if any(one != other for one, other in same):
            raise ProposalConflict()
        return known

    async def _made(self, new: NewProposal, person_id: UUID, seats: frozenset[str]) -> Proposal:
        matter = duties().matters.get(new.matter)
        if matter is None:
            raise BadProposal(f"there is no matter {new.matter[:40]!r}", "没有该事项类别")
        _text("title", new.title, TITLE_CHARS)
        _text("why", new.why, WHY_CHARS)
        today, now = self._clock.today(), self._clock.now()
        department, rule_id = new.department or min(seats), None
        if new.matter == RULE_CHANGE:
            rule = self._rulebook.rule(new.rule_id or "")
            rule_id, department = rule.id, duties().owner_of(rule.department.zh)
        if department not in duties().departments:
            raise BadProposal("it needs a department", "须指定主办部门")
        discuss_until = today + timedelta(days=self._term("discussion_days"))
        if new.announced_on <= discuss_until:
            raise TooSoon("The announcement", "公告日", discuss_until + timedelta(days=1))
        veto_until = new.announced_on + timedelta(days=self._term("veto_days"))
        effective = self._effective(new, today)
        made = Proposal(
            new.id, new.matter, department, rule_id, new.title.strip(), new.why.strip(), new.content, State.DISCUSSION,
            0, None, None, self._vetoable(matter.veto, new.content, today), discuss_until, new.announced_on, veto_until,
            max(effective, veto_until), person_id, now, None, now, "",
        )  # fmt: skip
        await self._check(made)
        return made

    def _effective(self, new: NewProposal, on: date) -> date:
        """The first day on which anything of it holds, proposed on a day; each dated row keeps the days of notice."""
        earliest = new.announced_on + timedelta(days=self._term("notice_days", on))
        if new.matter != RULE_CHANGE:
            return max(new.effective_on or earliest, earliest)
        starts = []
        for row in _rows(new.content):
            start, announced = _day(row.get("from")), _day(row.get("announced"))
            if announced != new.announced_on:
                raise BadProposal("every row is announced on the announcement's day", "各行公告日须与提案公告日一致")
            if start < earliest:
                raise TooSoon("A change", "生效日", earliest)
            starts.append(start)
        if not starts:
            raise BadProposal("it changes nothing", "没有任何改动")
        return min(starts)

    def _vetoable(self, matter: str, content: Mapping[str, Any], on: date) -> bool:
        change = content.get("change_bps", 0)
        facts = {"matter": matter, "change": change if type(change) is int else 0}
        return bool(self._rulebook.evaluate(VETO_RULE, facts, on=on).outputs["veto_applies"])

    async def _check(self, made: Proposal) -> None:
        if made.matter == RULE_CHANGE:
            proved(self._rulebook, self._amendment(made))
        elif made.matter in self._checks:
            await self._checks[made.matter](made.content, self._clock.today())

    def _amendment(self, made: Proposal) -> RuleAmendment:
        return RuleAmendment(str(made.id), made.rule_id or "", made.content, f"person:{made.proposed_by}", made.title)

    def calendar(self, matter: str) -> tuple[date, date, int]:
        """Of a proposal made today: the first day on which it may be announced, the day by which every vote about it
        is over, and the days of notice from the announcement on."""
        first = self._clock.today() + timedelta(days=self._term("discussion_days") + 1)
        votes = sum(step.days for step in duties().matters[matter].path)
        return first, first + timedelta(days=votes), self._term("notice_days")

    def _term(self, name: str, on: date | None = None) -> int:
        return int(self._rulebook.parameter(TERMS, name, on or self._clock.today()))

    # -- discussing and voting ----------------------------------------------------------------------------------------

    async def comment(self, proposal: UUID, person_id: UUID, text: str, *, comment_id: UUID) -> None:
        """Say something while it is discussed; sealed with the writer's key. Idempotent by id."""
        _text("text", text, COMMENT_CHARS)
        found = await self.get(proposal)
        if found.state is not State.DISCUSSION:
            raise WrongState(found.state, State.DISCUSSION)
        sealed = self._vault.encrypt(person_id, COMMENT_FIELD, text.strip())
        await store.add_comment(self._db, comment_id, proposal, person_id, sealed, self._clock.now())

    async def vote(self, proposal: UUID, person_id: UUID, vote: Vote, *, reason: str = "") -> Proposal:
        """One voice of the department whose turn it is, for it only at one step. Against needs a reason and ends it;
        enough for go on."""
        if vote is Vote.VETO:
            return await self.veto(proposal, person_id, reason=reason)
        if vote is Vote.AGAINST:
            _text("reason", reason, REASON_CHARS)
        now, actor = self._clock.now(), f"person:{person_id}"
        async with self._db.transaction() as conn:
            found = await self._locked(conn, proposal)
            if found.state is not State.VOTING:
                raise WrongState(found.state, State.VOTING)
            await self._may(conn, found, person_id, found.at(found.step))
            if vote is Vote.FOR and person_id in await self._before(conn, found):
                raise NotForYou("you voted for it at an earlier step", "您已在此前的环节表决同意")
            if not await store.add_vote(conn, proposal, found.step, person_id, vote, reason[:REASON_CHARS], now):
                raise AlreadyVoted()
            if vote is Vote.AGAINST:
                await store.move(conn, proposal, State.VOTING, State.REJECTED, now=now, actor=actor, reason=reason)
                await self._notifier.notify(messages.ended(found, State.REJECTED), conn)
            elif await self._enough(conn, found):
                await self._passed(conn, found, person_id, now)
        return await self.get(proposal)

    @staticmethod
    async def _before(conn: Any, found: Proposal) -> set[UUID]:
        """Whose voices count at earlier steps: each step is somebody else's."""
        return {one.person_id for one in await store.votes(conn, found.id) if one.step < found.step}

    async def _enough(self, conn: Any, found: Proposal) -> bool:
        voices = await store.votes(conn, found.id)
        given = {one.person_id for one in voices if one.step == found.step and one.vote is Vote.FOR}
        return len(given) >= found.path[found.step].eyes

    async def _passed(self, conn: Any, found: Proposal, person_id: UUID, now: datetime) -> None:
        if found.step + 1 < len(found.path):
            step = found.path[found.step + 1]
            await store.next_step(conn, found.id, found.step + 1, now + timedelta(days=step.days), now)
            await store.note(conn, found.id, "step_passed", now=now, actor=f"person:{person_id}",
                             details={"step": found.step})  # fmt: skip
            return
        late = self._clock.today() > found.announced_on
        becomes = State.REJECTED if late else State.APPROVED
        reason = "late: the day of its announcement has passed · 已过公告日" if late else ""
        await store.move(conn, found.id, State.VOTING, becomes, now=now, actor=f"person:{person_id}",
                         decided_by=None if late else person_id, reason=reason)  # fmt: skip

    async def veto(self, proposal: UUID, person_id: UUID, *, reason: str) -> Proposal:
        """The big-data group's veto (P4), from the vote until the last day after the announcement."""
        _text("reason", reason, REASON_CHARS)
        now, actor = self._clock.now(), f"person:{person_id}"
        async with self._db.transaction() as conn:
            found = await self._locked(conn, proposal)
            if found.state not in (State.VOTING, State.APPROVED, State.ANNOUNCED):
                raise WrongState(found.state, ("表决中或已公告", "a vote or an announcement"))
            if not found.veto:
                raise NotForYou("no veto meets this matter (P4)", "该事项不适用一票否决（P4）")
            if found.state is State.ANNOUNCED and self._clock.today() > found.veto_until:
                raise NotForYou(f"the veto ended on {found.veto_until}", f"否决期已于 {found.veto_until} 届满")
            await self._may(conn, found, person_id, VETO_DEPARTMENT)
            await store.add_vote(conn, proposal, len(found.path), person_id, Vote.VETO, reason, now)
            if await self._vetoed(conn, found):
                await store.move(conn, proposal, found.state, State.VETOED, now=now, actor=actor, reason=reason)
                await self._record(conn, "governance.vetoed", _public(found), {"id": str(found.id), "by": actor})
                await self._notifier.notify(messages.ended(found, State.VETOED), conn)
        return await self.get(proposal)

    async def _vetoed(self, conn: Any, found: Proposal) -> bool:
        matter = duties().matters[found.matter].veto
        wanted = self._rulebook.evaluate(VETO_RULE, {"matter": matter}, on=self._clock.today()).outputs["votes"]
        return sum(one.vote is Vote.VETO for one in await store.votes(conn, found.id)) >= int(wanted)

    async def withdraw(self, proposal: UUID, person_id: UUID) -> Proposal:
        """Who proposed takes it back, before it is announced."""
        async with self._db.transaction() as conn:
            found = await self._locked(conn, proposal)
            if found.proposed_by != person_id:
                raise NotForYou("only who proposed can take it back", "只有提案人可以撤回")
            if found.state not in (State.DISCUSSION, State.VOTING, State.APPROVED):
                raise WrongState(found.state, ("尚未公告", "one that is not announced yet"))
            await store.move(conn, proposal, found.state, State.WITHDRAWN, now=self._clock.now(),
                             actor=f"person:{person_id}")  # fmt: skip
        return await self.get(proposal)

    async def _may(self, conn: Any, found: Proposal, person_id: UUID, department: str) -> None:
        if department not in await store.seats_of(conn, person_id):
            text = duties().departments[department]
            raise NotSeated(text.zh, text.en)
        if person_id == found.proposed_by:
            raise NotForYou("you proposed it", "您是提案人")

    # -- taking effect ------------------------------------------------------------------------------------------------

    async def tick(self) -> int:
        """Open votes, announce, adopt, and tell of votes that are late; how many moved."""
        due = await store.due(self._db, self._clock.today())
        for proposal in due:
            try:
                await self._move_on(proposal)
            except ShanheError as error:
                log.warning("a proposal could not move on", proposal=str(proposal), error=error.code)
        async with self._db.transaction() as conn:
            late = await store.overdue(conn, self._clock.now())
            for found in late:
                await self._notifier.notify(messages.overdue(found), conn)
        return len(due) + len(late)

    async def _move_on(self, proposal: UUID) -> None:
        found, now = await self.get(proposal), self._clock.now()
        if found.state is State.DISCUSSION:
            async with self._db.transaction() as conn:
                step_due = now + timedelta(days=found.path[0].days)
                await store.move(conn, proposal, State.DISCUSSION, State.VOTING, now=now, actor="system",
                                 step_due=step_due)  # fmt: skip
        elif found.state is State.APPROVED:
            async with self._db.transaction() as conn:
                if await store.move(conn, proposal, State.APPROVED, State.ANNOUNCED, now=now, actor="system"):
                    await self._record(conn, "governance.announced", _public(found), {"id": str(found.id)})
                    await self._notifier.notify(messages.announced(found), conn)
        elif found.state is State.ANNOUNCED:
            await self._adopt(found)

    async def _adopt(self, found: Proposal) -> None:
        """A rule goes through the rulebook's amendments, which prove it once more; what fails ends with the reason."""
        becomes, reason = State.ADOPTED, ""
        try:
            if found.matter == RULE_CHANGE:
                by = f"person:{found.proposed_by}"
                await self._amendments.propose(
                    found.rule_id or "", found.content, amendment_id=found.id, by=by, note=found.title
                )
                await self._amendments.approve(found.id, by=f"person:{found.decided_by}", reason="governance")
            else:
                await self._check(found)
        except ShanheError as error:
            if error.status >= 500:
                raise
            becomes, reason = State.FAILED, f"{error.message} · {error.message_zh}"[:REASON_CHARS]
        async with self._db.transaction() as conn:
            now = self._clock.now()
            if await store.move(conn, found.id, State.ANNOUNCED, becomes, now=now, actor="system", reason=reason):
                private = {"id": str(found.id), "content": dict(found.content), "reason": reason}
                await self._record(conn, f"governance.{becomes}", _public(found), private)
                await self._notifier.notify(messages.ended(found, becomes), conn)
                if becomes is State.ADOPTED and found.matter in self._follow:
                    await self._follow[found.matter](conn, found)

    async def _owned(self, number: UUID, rule_id: str, content: Mapping[str, Any], by: str) -> None:
        """A proposal's number stands for its own content, asked for by itself: who took it would keep it from being
        adopted."""
        found = await store.get(self._db, number)
        mine = (rule_id, dict(content), by)
        if found is not None and mine != (found.rule_id, dict(found.content), f"person:{found.proposed_by}"):
            raise ProposalConflict()

    async def _decided(self, asked: Any) -> None:
        """What the rulebook asks before it records an amendment: this very content announced, and past its veto."""
        found = await store.get(self._db, asked.id)
        if found is None or found.state not in (State.ANNOUNCED, State.ADOPTED):
            raise NotDecided()
        if (found.rule_id, dict(found.content)) != (asked.payload["rule_id"], dict(asked.payload["content"])):
            raise NotDecided()
        if self._clock.today() <= found.veto_until:
            raise NotDecided()

    # -- reading ------------------------------------------------------------------------------------------------------

    async def get(self, proposal: UUID) -> Proposal:
        found = await store.get(self._db, proposal)
        if found is None:
            raise UnknownProposal()
        return found

    async def proposals(
        self, *, open_only: bool = False, matter: str | None = None, before: UUID | None = None, limit: int = 50
    ) -> list[Proposal]:
        """Newest first, a bounded page."""
        states = OPEN if open_only else None
        return await store.page(self._db, states=states, matter=matter, before=before, limit=limit)

    async def file(self, proposal: UUID, *, past: UUID | None = None, most: int = COMMENTS_ROWS) -> File:
        """A proposal with its changes in words and numbers, voices, a page of comments (the first, or beyond `past`)
        and history."""
        found = await self.get(proposal)
        said = cut(await store.comments(self._db, proposal, most=most + 1, past=past), most, itemgetter("id"))
        return File(
            found, self.changes(found), await store.votes(self._db, proposal),
            [self._comment(row) for row in said.rows], await store.history(self._db, proposal), said.following,
        )  # fmt: skip

    def changes(self, found: Proposal) -> list[Mapping[str, Any]]:
        """What a rule would be another in, compared with the day before anything of it holds."""
        if found.matter != RULE_CHANGE or found.rule_id is None:
            return []
        rulebook = self._rulebook
        if found.state is not State.ADOPTED:
            try:
                rulebook = rulebook.amended([self._amendment(found)])
            except ShanheError:  # another change made it impossible: its vote will say so
                return []
        last = max(_day(row["from"]) for row in _rows(found.content))
        before = found.effective_on - timedelta(days=1)
        with contextlib.suppress(ShanheError):  # what was decided is in force no more: the rule's page says why
            return [one.to_dict() for one in rulebook.differences(found.rule_id, before, last)]
        return []

    async def said_by(self, person_id: UUID, *, most: int = store.HISTORY_ROWS) -> list[dict[str, Any]]:
        """A person's comments, for their own copy."""
        rows = await store.comments(self._db, None, person_id, most)
        return [{"proposal": row["proposal"], "text": self._comment(row).text, "at": row["at"]} for row in rows]

    def _comment(self, row: Any) -> Comment:
        try:
            text = self._vault.decrypt(row["person_id"], COMMENT_FIELD, row["text"])
        except PersonErased:
            text = ""
        return Comment(row["id"], row["person_id"], text, row["at"])

    async def _locked(self, conn: Any, proposal: UUID) -> Proposal:
        found = await store.get(conn, proposal, lock=True)
        if found is None:
            raise UnknownProposal()
        return found


def _public(found: Proposal) -> dict[str, Any]:
    return {"matter": found.matter, "rule": found.rule_id or "", "announced": str(found.announced_on)}


def _rows(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The dated rows of an amendment."""
    parameters, formulas = content.get("parameters", {}), content.get("formula", [])
    if not isinstance(parameters, Mapping) or not isinstance(formulas, list):
        raise BadProposal("an amendment has parameters or formulas", "修订须含参数或公式")
    rows = [row for values in parameters.values() for row in (values if isinstance(values, list) else [])]
    found = [*rows, *formulas]
    if not all(isinstance(row, Mapping) for row in found):
        raise BadProposal("its rows are not in order", "各行格式不正确")
    return found


def _day(value: Any) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise BadProposal("each row has days `from` and `announced`", "各行须有生效日与公告日") from None


def _text(name: str, text: str, limit_chars: int) -> None:
    if not 0 < len(text.strip()) <= limit_chars:
        raise BadProposal(f"{name} has 1 to {limit_chars} characters", f"{name} 须为 1–{limit_chars} 字")
