"""Break-glass: in an emergency one person does what takes two. Recorded first, told at once, bounded, reviewed after.

An opening names one class of act, one object, a limit of money and ends by itself. Whatever is done under it goes the
way it always goes; only the second person's word is replaced by the opening, whose row is locked while it is used.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg
import structlog

from shanhe.approvals import glass_messages as messages
from shanhe.approvals import glass_store as store
from shanhe.approvals.errors import (
    BadGlass,
    GlassEnded,
    GlassNotEnded,
    GlassOverCap,
    GlassRefused,
    GlassReviewed,
    GlassReviewer,
    GlassUnreviewed,
    UnknownGlass,
)
from shanhe.approvals.glass_model import (
    READING,
    Act,
    Counts,
    FollowUp,
    Glass,
    NewGlass,
    Proof,
    Review,
    Worth,
)
from shanhe.approvals.model import Request, person_of
from shanhe.kernel.asking import Akin, Record
from shanhe.kernel.clock import Clock, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals

REASON_FIELD: Final = "approvals.glass.reason"
FINDINGS_FIELD: Final = "approvals.glass.findings"
REASON_CHARS_MIN, REASON_CHARS_MAX = 10, 1_000
OBJECT: Final = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
NEVER: Final = {
    "rule.amendment": "rulebook_change", "rule.set_aside": "rulebook_change", "finance.debt": "new_debt",
    "governance.pricing": "pricing_change", "data.disposal": "data_disposal", "budget.overrun": "budget_overrun",
}  # fmt: skip
"""Classes in which the big-data group may hold a veto (P4), by the matter they are; its rule decides."""
OWN_RIGHTS: Final = ("identity.", "approvals.", "governance.")
"""Raising rights, deciding about approvals themselves, seats: never, whatever the rule lists."""
SWEEP_ROWS: Final = 100
PAGE_ROWS: Final = 50
UNREVIEWED: Final = "glass_unreviewed"

log = structlog.get_logger(__name__)

StepUp = Callable[[UUID, Proof], Awaitable[str]]
"""The factor by which a person proved just now that they are there; raises where they did not."""
Weigh = Callable[[Request], Awaitable[Worth]]


class Rules(Protocol):
    """What the rulebook says of break-glass (P4_break_glass) and of vetoes (P4_major_veto)."""

    def parameter(self, name: str, on: date) -> Any: ...
    def evaluate(self, facts: Mapping[str, Any], on: date) -> Any: ...
    def veto(self, matter: str, on: date) -> bool: ...


class BreakGlass:
    """`weighs` say what a request of a class would move; a class that is not known can't be done under break-glass."""

    def __init__(
        self, db: Database, clock: Clock, *, rules: Rules, notifier: Notifier, step_up: StepUp, concerned: Akin,
        entry: Record | None = None, seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._rules = rules
        self._notifier = notifier
        self._step_up = step_up
        self._concerned = concerned
        self._entry = entry
        self._seals = seals or Seals()
        self.weighs: dict[str, Weigh] = {}
        self.others: set[str] = {READING}
        """Classes that bring their own worth with the act."""

    # -- opening and ending -------------------------------------------------------------------------------------------

    async def open(self, new: NewGlass, person_id: UUID, proof: Proof) -> Glass:
        """Open it; recorded, entered in the log and told before this returns. Idempotent by id.

        Raises BadGlass, GlassRefused, GlassUnreviewed, and what the step-up raises.
        """
        known = await store.get(self._db, new.id)
        if known is not None and (known["person_id"], known["class"], known["object"]) == (
            person_id, new.kind, new.object
        ):  # fmt: skip
            return await self.get(new.id)
        reason = new.reason.strip()
        if not OBJECT.fullmatch(new.object):
            raise BadGlass("name one object, by its id or name", "须写明一个对象的编号或名称")
        if not REASON_CHARS_MIN <= len(reason) <= REASON_CHARS_MAX:
            raise BadGlass(
                f"give a reason of {REASON_CHARS_MIN} to {REASON_CHARS_MAX} characters",
                f"事由须为 {REASON_CHARS_MIN} 至 {REASON_CHARS_MAX} 字",
            )
        self._never(new.kind)
        await self._may_open(new.kind, person_id)
        factor = await self._step_up(person_id, proof)
        row = self._row(new, person_id, factor)
        row["reason"] = self._seals.of_person(person_id).text(REASON_FIELD, reason)
        try:
            async with self._db.transaction() as conn:
                await store.insert(conn, row)
                public = {"class": new.kind, "until": row["expires_at"].isoformat(), "cap_fen": row["cap_fen"],
                          "rule": row["rule_version"]}  # fmt: skip
                private = {"id": str(new.id), "by": f"person:{person_id}", "object": new.object,
                           "reason": row["reason"]}  # fmt: skip
                await self._log(conn, "glass.opened", public, private, person_id)
                await self._notifier.notify(messages.opened(row), conn)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == UNREVIEWED:
                raise GlassUnreviewed from error
            raise BadGlass("this id is taken", "该编号已被使用") from error
        log.warning("break-glass opened", glass=str(new.id), kind=new.kind, person=str(person_id))
        return await self.get(new.id)

    def _never(self, kind: str) -> None:
        on = self._clock.today()
        matter = NEVER.get(kind)
        if matter is not None and self._rules.veto(matter, on):
            raise GlassRefused(
                "the big-data group may veto such matters", "该类事项由大数据集团行使一票否决权",
                "Propose it under governance.", "请在“治理”中提出。",
            )  # fmt: skip
        if kind.startswith(OWN_RIGHTS) or matter is not None:
            raise GlassRefused(
                "nobody raises their own rights or changes the rules alone", "任何人不得独自提升本人权限或修改规则",
                "Ask an administrator, or propose it under governance.", "请联系管理员，或在“治理”中提出。",
            )  # fmt: skip
        if kind not in self._known():
            raise GlassRefused(
                f"the class {kind[:40]!r} is not one of those that can be done alone", "该类事项不在可紧急办理之列",
                "Ask a second person.", "请由第二人审批。",
            )  # fmt: skip

    def _known(self) -> tuple[str, ...]:
        return (*self.weighs, *sorted(self.others))

    async def _may_open(self, kind: str, person_id: UUID) -> None:
        """The rule's word; which of its conditions fails is said."""
        if await store.unreviewed_of(self._db, person_id) is not None:
            raise GlassUnreviewed
        on = self._clock.today()
        count = await store.openings(self._db, person_id, midnight(on.replace(day=1)))
        facts = {"act": self._act(kind, on), "openings": min(count, 1_000), "limit_fen": 0}
        if not self._rules.evaluate(facts, on).outputs["may_open"]:
            if count >= int(self._rules.parameter("openings_a_month", on)):
                raise GlassRefused(
                    f"you opened it {count} times this month", f"您本月已启用 {count} 次",
                    "Ask a colleague; the city needs a second person on duty.", "请由同事审批，并安排双人值班。",
                )  # fmt: skip
            raise GlassRefused(
                "the rulebook does not list this class today", "规则目前未列入该类事项",
                "Ask a second person.", "请由第二人审批。",
            )  # fmt: skip

    def _act(self, kind: str, on: date) -> str:
        word = kind.replace(".", "_")
        return word if word in self._rules.parameter("classes", on) else "other"

    def _row(self, new: NewGlass, person_id: UUID, factor: str) -> dict[str, Any]:
        now, on = self._clock.now(), self._clock.today()
        minutes, days, cap = (int(self._rules.parameter(name, on)) for name in ("minutes", "review_days", "cap_fen"))
        limit = cap if new.limit_fen is None else new.limit_fen
        if not 0 <= limit <= cap:
            raise BadGlass(f"the limit is at most {cap} fen", f"限额最高为 {cap} 分")
        return {
            "id": new.id, "person_id": person_id, "class": new.kind, "object": new.object, "reason": "",
            "factor": factor, "opened_at": now, "expires_at": now + timedelta(minutes=minutes),
            "cap_fen": 0 if new.kind == READING else limit, "review_due": now + timedelta(days=days),
            "rule_version": self._rules.evaluate({"act": "other", "limit_fen": 0}, on).version,
        }  # fmt: skip

    async def close(self, glass_id: UUID, person_id: UUID) -> Glass:
        """Who opened it ends it early; ending it again changes nothing."""
        async with self._db.transaction() as conn:
            row = await store.get(conn, glass_id, lock=True)
            if row is None or row["person_id"] != person_id:
                raise UnknownGlass
            await self._end(conn, row, min(self._clock.now(), row["expires_at"]))
        return await self.get(glass_id)

    async def tick(self) -> int:
        """End what has expired, tell whose review is late, undo what was agreed to; how many moved. Bounded."""
        now, moved = self._clock.now(), 0
        async with self._db.transaction() as conn:
            for row in await store.expired(conn, now, SWEEP_ROWS):
                moved += await self._end(conn, row, row["expires_at"])
            for row in await store.late(conn, now, SWEEP_ROWS):
                await self._notifier.notify(messages.overdue(row), conn)
                log.warning("review of break-glass overdue", glass=str(row["id"]))
                moved += 1
        return moved

    async def _end(self, conn: Any, row: Any, at: datetime) -> bool:
        if not await store.end(conn, row["id"], at):
            return False
        public = {"class": row["class"], "spent_fen": row["spent_fen"]}
        await self._log(conn, "glass.ended", public, {"id": str(row["id"])}, row["person_id"])
        await self._notifier.notify(messages.ended(row), conn)
        return True

    # -- acting -------------------------------------------------------------------------------------------------------

    async def agree(self, conn: Any, request: Request, by: str) -> UUID | None:
        """The opening that stands for the second person's word on this request, used for it; None without one."""
        weigh, person = self.weighs.get(request.kind), person_of(by)
        if weigh is None or person is None:
            return None
        worth = await weigh(request)
        return await self.act(conn, request.kind, worth, act_id=request.id, by=by)

    async def act(self, conn: Any, kind: str, worth: Worth, *, act_id: UUID, by: str) -> UUID | None:
        """Use a person's opening for one act, in the transaction of the act; None when they have none for it.

        Raises GlassEnded, GlassOverCap, GlassRefused. Two at once wait for each other at the opening's row.
        """
        person = person_of(by)
        if person is None:
            return None
        row = await store.unreviewed_of(conn, person, lock=True)
        objects = worth.objects | {str(act_id)}
        if row is None or row["class"] != kind or row["object"] not in objects:
            return None
        now, on = self._clock.now(), self._clock.today()  # after the lock: waiting may have taken it past its end
        if row["ended_at"] is not None or row["expires_at"] <= now:
            raise GlassEnded
        if worth.beneficiary is not None and await self._concerned(person, worth.beneficiary):
            raise GlassRefused(
                "it would go to an organisation of your own", "受益方与您有关联",
                "Somebody without a part in it has to decide.", "须由无关联的人员决定。",
            )  # fmt: skip
        facts = {"act": self._act(kind, on), "cash_fen": worth.cash_fen, "credit_micro": worth.credit_micro,
                 "spent_fen": row["spent_fen"], "limit_fen": row["cap_fen"]}  # fmt: skip
        decision = self._rules.evaluate(facts, on)
        value = int(decision.outputs["value_fen"])
        if not decision.outputs["may_act"]:
            raise GlassOverCap(value, row["cap_fen"] - row["spent_fen"])
        await store.add_act(conn, act_id, row["id"], kind, row["object"], value, worth.posting, decision.trace, now)
        await store.spend(conn, row["id"], value)
        public = {"class": kind, "value_fen": value}
        private = {"id": str(row["id"]), "act": str(act_id), "by": by, "posting": str(worth.posting or "")}
        await self._log(conn, "glass.acted", public, private, person)
        await self._notifier.notify(messages.acted(row, kind, act_id, value), conn)
        log.warning("acted under break-glass", glass=str(row["id"]), kind=kind, value_fen=value)
        glass_id: UUID = row["id"]
        return glass_id

    async def read(self, glass_id: UUID, person_id: UUID, act_id: UUID) -> str:
        """The object whose audit may be read now under an opening for that; the reading is written down first."""
        async with self._db.transaction() as conn:
            row = await store.get(conn, glass_id)
            if row is None or row["person_id"] != person_id or row["class"] != READING:
                raise UnknownGlass
            used = await self.act(
                conn, READING, Worth(frozenset({row["object"]})), act_id=act_id, by=f"person:{person_id}"
            )
            if used is None:  # it was reviewed meanwhile
                raise GlassEnded
        object_: str = row["object"]
        return object_

    # -- reviewing ----------------------------------------------------------------------------------------------------

    async def review(
        self, glass_id: UUID, person_id: UUID, *, justified: bool, findings: str, follow_up: FollowUp
    ) -> Glass:
        """Somebody else's judgement, once. Raises GlassReviewer, GlassNotEnded, GlassReviewed, BadGlass."""
        text = findings.strip()
        if not REASON_CHARS_MIN <= len(text) <= REASON_CHARS_MAX:
            raise BadGlass("findings need their reasons", "复核结论须写明理由")
        async with self._db.transaction() as conn:
            row = await store.get(conn, glass_id, lock=True)
            if row is None:
                raise UnknownGlass
            now = self._clock.now()
            if row["person_id"] == person_id:
                raise GlassReviewer
            if row["reviewed_at"] is not None:
                raise GlassReviewed
            if row["ended_at"] is None and row["expires_at"] > now:
                raise GlassNotEnded
            await self._end(conn, row, row["expires_at"])
            sealed = self._seals.of_person(row["person_id"]).text(FINDINGS_FIELD, text)
            await store.review(conn, glass_id, person_id, now, justified, str(follow_up), sealed)
            public = {"class": row["class"], "justified": justified, "follow_up": str(follow_up)}
            private = {"id": str(glass_id), "by": f"person:{person_id}", "findings": sealed}
            await self._log(conn, "glass.reviewed", public, private, row["person_id"])
            await self._notifier.notify(messages.reviewed(row, justified=justified), conn)
        return await self.get(glass_id)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def get(self, glass_id: UUID) -> Glass:
        row = await store.get(self._db, glass_id)
        if row is None:
            raise UnknownGlass
        return self._opened(row, await store.acts(self._db, [glass_id]))

    async def list(
        self, *, person_id: UUID | None = None, waiting: bool = False, limit: int = PAGE_ROWS
    ) -> Sequence[Glass]:
        """Newest first, a bounded page; `waiting`: those that nobody reviewed yet."""
        rows = await store.page(self._db, person_id=person_id, waiting=waiting, limit=limit)
        acts = await store.acts(self._db, [row["id"] for row in rows])
        return [self._opened(row, [act for act in acts if act["glass_id"] == row["id"]]) for row in rows]

    async def in_force(self) -> Sequence[Glass]:
        """Openings that may be used now, without their acts: what every operator's page warns of."""
        return [self._opened(row, ()) for row in await store.in_force(self._db, self._clock.now(), PAGE_ROWS)]

    async def counts(self) -> Counts:
        return Counts(**dict(await store.counts(self._db, self._clock.now())))

    def terms(self) -> dict[str, Any]:
        """What the rule says today: classes, minutes, cap, openings a month, days of a review."""
        on = self._clock.today()
        names = ("minutes", "cap_fen", "openings_a_month", "review_days")
        known = [kind for kind in self._known() if self._act(kind, on) != "other"]
        return {name: int(self._rules.parameter(name, on)) for name in names} | {"classes": known}

    def _opened(self, row: Any, acts: Sequence[Any]) -> Glass:
        seal = self._seals.of_person(row["person_id"])
        review = None
        if row["reviewed_at"] is not None:
            review = Review(
                row["reviewed_by"], row["reviewed_at"], row["justified"], FollowUp(row["follow_up"]),
                seal.open(FINDINGS_FIELD, row["findings"]),
            )  # fmt: skip
        return Glass(
            row["id"], row["person_id"], row["class"], row["object"], seal.open(REASON_FIELD, row["reason"]),
            row["factor"], row["opened_at"], row["expires_at"], row["cap_fen"], row["spent_fen"], row["review_due"],
            row["ended_at"], review,
            tuple(Act(act["id"], act["n"], act["class"], act["object"], act["value_fen"], act["posting"], act["at"],
                      act["reversal"], act["reversal_state"] or "") for act in acts),
        )  # fmt: skip

    async def _log(
        self, conn: Any, kind: str, public: Mapping[str, Any], private: Mapping[str, Any], person_id: UUID
    ) -> None:
        if self._entry is not None:
            await self._entry(conn, kind, public, private, about=[person_id])
