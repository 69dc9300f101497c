"""Appeals against a refused card: days that were proved otherwise are looked at by a person of the office.

What is upheld counts as days like any other, and the rule then decides again: nobody grants a card by hand. Whoever
appeals, or is related to them (R0), never decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shanhe.kernel.notify import Notice, Severity
from shanhe.kernel.notify import Text as Words
from shanhe.kernel.vault import PersonErased
from shanhe.kernel.words import en, zh
from shanhe.nomads import store
from shanhe.nomads.errors import NeedsConsent
from shanhe.nomads.ground import Ground
from shanhe.nomads.presence import Presence

RULE: Final = "N1_presence"
WINDOW: Final = ("N1", "window_days")
ASKED_FIELD, ANSWER_FIELD = "nomad.appeal.asked", "nomad.appeal.answer"
TEXT_CHARS: Final = 1_000
DAYS_MAX: Final = 366
ROWS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Appeal:
    """`why`, `days`, `evidence` and `answer` are empty once the person was erased."""

    id: UUID
    decision: UUID
    person_id: UUID
    why: str
    days: tuple[date, ...]
    evidence: str
    state: str
    asked_at: datetime
    due_at: datetime
    answer: str
    decided_by: str | None
    decided_at: datetime | None
    settled: bool


class AppealClosed(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "appeal_closed", f"This appeal is {en(state)} already.", message_zh=f"该申诉已办结（{zh(state)}）。",
            hint="See its answer.", hint_zh="请查看答复。",
        )  # fmt: skip


class OwnAppeal(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "own_appeal", "Nobody decides an appeal of their own or of somebody related.",
            message_zh="不得办理本人或关联方的申诉。", hint="Let somebody else decide it.", hint_zh="请由他人办理。",
        )  # fmt: skip


class Appeals:
    def __init__(self, ground: Ground, presence: Presence) -> None:
        self._ground = ground
        self._presence = presence

    async def file(
        self, person_id: UUID, decision: UUID, *, why: str, days: Sequence[date], evidence: str, appeal_id: UUID
    ) -> Appeal:
        """Appeal a refusal with the days it should have counted. Once a refusal; idempotent by id."""
        ground, today = self._ground, self._ground.today()
        _check(why, evidence, days)
        known = await store.appeal(ground.db, appeal_id)
        if known is not None:
            if (known["person_id"], known["decision"]) != (person_id, decision):
                raise Conflict("appeal_conflict", "This id is another appeal's.", message_zh="编号已用于其他申诉。")
            return self._opened(known)
        if not await self._presence.consented(person_id):
            raise NeedsConsent
        first = today - timedelta(days=int(ground.rulebook.parameter(*WINDOW, today)) - 1)
        if not all(first <= day <= today for day in days):
            raise Invalid(
                "bad_days", f"The days lie between {first} and today.", message_zh=f"日期应在 {first} 至今日之间。"
            )
        plain = {"why": why.strip(), "days": sorted({day.isoformat() for day in days}), "evidence": evidence.strip()}
        sealed = ground.vault.encrypt(person_id, ASKED_FIELD, msgspec.json.encode(plain).decode())
        due = ground.now() + timedelta(days=int(ground.rulebook.parameter(RULE, "appeal_days", today)))
        async with ground.db.transaction() as conn:
            row = await store.refusal(conn, decision, person_id)
            if row is None:
                raise NotFound("no_refusal", "You have no such refusal.", message_zh="没有该未通过决定。")
            if not await store.insert_appeal(conn, appeal_id, decision, person_id, sealed, ground.now(), due):
                raise Conflict("appealed", "This refusal was appealed before.", message_zh="该决定已申诉过。")
        return await self.get(appeal_id)

    async def get(self, appeal_id: UUID) -> Appeal:
        row = await store.appeal(self._ground.db, appeal_id)
        if row is None:
            raise NotFound("unknown_appeal", "There is no such appeal.", message_zh="没有该申诉。")
        return self._opened(row)

    async def of(self, person_id: UUID, *, most: int = ROWS_MAX) -> list[Appeal]:
        """A person's own, newest first."""
        return [self._opened(row) for row in await store.appeals_of(self._ground.db, person_id, most)]

    async def open(self) -> list[Appeal]:
        """What waits for a decision, the most urgent first."""
        return [self._opened(row) for row in await store.open_appeals(self._ground.db, ROWS_MAX)]

    async def decide(self, appeal_id: UUID, decider: UUID, *, uphold: bool, answer: str) -> Appeal:
        """Uphold or reject, with why; the same verdict again changes nothing. `settle` then does what follows."""
        ground, found = self._ground, await self.get(appeal_id)
        _check(answer, "", ())
        state, by = ("upheld" if uphold else "rejected"), f"person:{decider}"
        if decider == found.person_id or await ground.facts.related(decider, found.person_id, by=by):
            raise OwnAppeal
        if found.state != "open":
            if found.state == state:
                return found
            raise AppealClosed(found.state)
        sealed = ground.vault.encrypt(found.person_id, ANSWER_FIELD, answer.strip())
        async with ground.db.transaction() as conn:
            done = await store.decide_appeal(conn, appeal_id, state, sealed, by, ground.now())
            if done:
                await ground.notifier.notify(_answered(found, uphold), conn)
        if not done:
            raise AppealClosed((await self.get(appeal_id)).state)
        return await self.get(appeal_id)

    async def count(self, appeal: Appeal) -> int:
        """Let the days of an upheld appeal count; how many were new."""
        nomad = await self._presence.nomad(appeal.person_id)
        return sum([await self._presence.record_reviewed(nomad, day) for day in appeal.days])

    async def unsettled(self) -> list[Appeal]:
        """Upheld, but not followed through yet."""
        return [self._opened(row) for row in await store.unsettled_appeals(self._ground.db, ROWS_MAX)]

    async def settled(self, appeal_id: UUID) -> None:
        await store.settle_appeal(self._ground.db, appeal_id)

    async def forget(self, person_id: UUID) -> int:
        """After an erasure: what was not decided is no more, for nobody can; how many."""
        return await store.forget_appeals(self._ground.db.writes, person_id)

    async def escalate(self) -> int:
        """Tell the operators, once, about appeals whose day has passed; how many."""
        ground = self._ground
        async with ground.db.transaction() as conn:
            late = await store.late_appeals(conn, ground.now(), ROWS_MAX)
            for row in late:
                await ground.notifier.notify(_overdue(row["id"]), conn)
        return len(late)

    def _opened(self, row: Any) -> Appeal:
        vault, person = self._ground.vault, row["person_id"]
        try:
            asked = msgspec.json.decode(vault.decrypt(person, ASKED_FIELD, row["asked"]))
            answer = vault.decrypt(person, ANSWER_FIELD, row["answer"]) if row["answer"] is not None else ""
        except PersonErased:
            asked, answer = {"why": "", "days": [], "evidence": ""}, ""
        return Appeal(
            row["id"], row["decision"], person, asked["why"], tuple(map(date.fromisoformat, asked["days"])),
            asked["evidence"], row["state"], row["asked_at"], row["due_at"], answer, row["decided_by"],
            row["decided_at"], row["settled"],
        )  # fmt: skip


def _check(text: str, evidence: str, days: Sequence[date]) -> None:
    if not 1 <= len(text.strip()) <= TEXT_CHARS or len(evidence) > TEXT_CHARS or len(days) > DAYS_MAX:
        raise Invalid(
            "needs_reason", f"Say why in 1 to {TEXT_CHARS} characters.", message_zh=f"请填写理由，1–{TEXT_CHARS} 字。"
        )


def _answered(appeal: Appeal, upheld: bool) -> Notice:
    zh, en = ("已采纳，将重新核定", "upheld; the card is decided again") if upheld else ("未采纳", "rejected")
    return Notice(
        "nomad.appeal", Words(f"您对身份卡决定的申诉{zh}", f"Your appeal was {en}"),
        Words("答复见“数字游民”。", "The answer is on the page “Digital nomad”."), Severity.INFO,
        person_id=appeal.person_id, link="/nomad", dedupe=f"nomad-appeal:{appeal.id}",
    )  # fmt: skip


def _overdue(appeal: UUID) -> Notice:
    return Notice(
        "nomad.appeal_overdue", Words("一件身份卡申诉超期未办", "An appeal of a refused card is overdue"),
        Words("请尽快办理。", "Please decide it."), Severity.WARNING, link="/city/nomads",
        dedupe=f"nomad-appeal-overdue:{appeal}",
    )  # fmt: skip
