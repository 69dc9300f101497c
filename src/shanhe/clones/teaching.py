"""From what users say of answers to the next version: reviewed lessons, a trained adapter, a gate (T2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from shanhe.clones import store
from shanhe.clones.errors import BadFeedback, GateClosed, NothingToTeach, UnknownFeedback
from shanhe.clones.model import TEXT_MAX_CHARS, Compared, Feedback, FeedbackState, Gate, Mandate, hold_out
from shanhe.clones.service import TRAINING, Clones
from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import PersonErased

PURPOSE: Final = "clone_training"
QUESTION, ANSWER, CORRECTION = (f"clones.{field}" for field in ("question", "answer", "correction"))
HELD_BPS: Final = 1_000
"""Share of the lessons that are only asked."""
WHOLE_BPS: Final = 10_000
Rule = Callable[[Mapping[str, object]], Mapping[str, Any]]
"""T2's outputs of facts."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that came out of training a clone."""

    number: int
    score_bps: int
    base_bps: int
    state: str
    compared: Compared | None = None
    """With the version in service, where both answered the same questions."""


class School(Protocol):
    """The modules that teaching needs; handed in by the composition root."""

    async def run_of(self, run_id: UUID) -> tuple[str, UUID]:
        """(what ran, who paid) of a run; NotFound."""
        ...

    def genuine(self, text: str, label: Mapping[str, object]) -> str:
        """The id of the content that a label is genuinely of; empty otherwise."""
        ...

    async def collect(self, mandate: Mandate, rows: bytes, *, by: str) -> UUID:
        """Lessons as the next version of the clone's data set."""
        ...

    async def train(self, mandate: Mandate, version_id: UUID, recipe: Mapping[str, Any], *, by: str) -> UUID:
        """Order an adapter; its job."""
        ...

    async def trained(self, mandate: Mandate) -> Sequence[Trained]:
        """What came out so far, newest first."""
        ...

    async def offer(self, mandate: Mandate, number: int, *, by: str) -> int:
        """Hand in a version of the listing with this adapter; its number."""
        ...


class Teaching:
    """Feedback of one city's clones."""

    def __init__(self, clones: Clones, school: School, rule: Rule) -> None:
        self._clones = clones
        self._db = clones.db
        self._vault = clones.vault
        self._school = school
        self._rule = rule

    # -- users --------------------------------------------------------------------------------------------------------

    async def say(
        self, person_id: UUID, org_id: UUID, run_id: UUID, *, good: bool, question: str, answer: str,
        label: Mapping[str, object], correction: str = "", feedback_id: UUID | None = None,
    ) -> Feedback:  # fmt: skip
        """What a user says of an answer they were given: it carries the label of that answer, so that nobody teaches a
        clone what it never said. Needs the user's consent to `clone_training`; once for each answer.
        """
        question, answer, correction = question.strip(), answer.strip(), correction.strip()
        if not 1 <= len(question) <= TEXT_MAX_CHARS or max(len(answer), len(correction)) > TEXT_MAX_CHARS:
            raise BadFeedback(f"Texts have up to {TEXT_MAX_CHARS} characters, and the question some",
                              f"问题不能为空，文本不超过 {TEXT_MAX_CHARS} 字")  # fmt: skip
        if self._school.genuine(answer, label) != str(run_id):
            raise BadFeedback("The label is not of this answer", "标识与该回答不符")
        name, payer = await self._school.run_of(run_id)
        row = await store.standing(self._db, name)
        if row is None or payer != org_id:
            raise BadFeedback("It is no answer that a clone gave you", "不是分身给您的回答")
        await self._clones.permit(name, row["id"], "", (TRAINING,))
        await self._clones.identity.consents.lawful(person_id, PURPOSE)
        fields = ((QUESTION, question), (ANSWER, answer), (CORRECTION, correction))
        sealed = [self._vault.encrypt(person_id, field, text) for field, text in fields]
        number = feedback_id or new_id()
        made = await store.give(
            self._db, number, name, row["id"], run_id, person_id, org_id, good, sealed, self._clones.clock.now()
        )  # fmt: skip
        found = await store.feedback(self._db, number)
        if not made and (found is None or (found["run_id"], found["person_id"]) != (run_id, person_id)):
            raise BadFeedback("You said something of this answer already", "您已对该回答提交过反馈")
        return self._opened(found)

    async def said(self, person_id: UUID, limit: int = store.PAGE_ROWS) -> list[Feedback]:
        """What a person said, for that person."""
        return [self._opened(row) for row in await store.given(self._db, person_id, limit)]

    # -- the maker ----------------------------------------------------------------------------------------------------

    async def queue(self, name: str, org_id: UUID, state: str | None = None) -> list[Feedback]:
        """What users said of an organisation's clone, newest first; not of those who took their consent back."""
        await self._clones.standing(name, org_id)
        rows, has = await store.feedbacks(self._db, name, state), self._clones.identity.consents.has
        agreed = {person: await has(person, PURPOSE) for person in {row["person_id"] for row in rows}}
        return [self._opened(row) for row in rows if agreed[row["person_id"]]]

    async def decide(self, feedback_id: UUID, org_id: UUID, *, accept: bool, by: str) -> Feedback:
        """The maker's review of one piece; may be changed until it is in a data set."""
        row = await store.feedback(self._db, feedback_id)
        if row is None:
            raise UnknownFeedback()
        await self._clones.standing(row["name"], org_id)
        if not await self._clones.identity.consents.has(row["person_id"], PURPOSE):
            raise UnknownFeedback()
        if accept and not self._opened(row).lesson:
            raise BadFeedback("It says that the answer is bad, not what is right", "只指出不好，没有给出正确答案")
        state = FeedbackState.ACCEPTED if accept else FeedbackState.REJECTED
        if not await store.decide(self._db, feedback_id, state, by, self._clones.clock.now()):
            raise UnknownFeedback()
        return self._opened(await store.feedback(self._db, feedback_id))

    async def collect(self, name: str, org_id: UUID, *, by: str) -> tuple[UUID, int]:
        """Accepted feedback as the next version of the clone's data set: (version, lessons). What was taken before and
        still may teach stays in; whoever took their consent back is left out. NothingToTeach."""
        mandate = await self._clones.standing(name, org_id)
        await self._clones.permit(name, mandate.id, "", (TRAINING,))
        lessons = [one for one in map(self._opened, await store.lessons(self._db, name)) if await self._teaches(one)]
        if not any(one.state is FeedbackState.ACCEPTED for one in lessons):
            raise NothingToTeach()
        held = hold_out(lessons, HELD_BPS)
        rows = b"".join(
            msgspec.json.encode(
                {"question": one.question, "answer": plain(one), "held": "1" if held[one.id] else ""}
            ) + b"\n"
            for one in lessons
        )  # fmt: skip
        version_id = await self._school.collect(mandate, rows, by=by)
        await store.take(self._db, held, version_id)
        return version_id, len(lessons)

    async def _teaches(self, one: Feedback) -> bool:
        if not one.question or not one.lesson:
            return False
        consent = await self._clones.identity.consents.has(one.person_id, PURPOSE)
        facts = {"model_cost_micro": 0, "markup": 0, "consent": consent, "reviewed": True}
        return bool(self._rule(facts)["trains"])

    async def train(
        self, name: str, org_id: UUID, version_id: UUID, recipe: Mapping[str, Any], *, by: str
    ) -> UUID:  # fmt: skip
        """Order an adapter that learns the lessons and is compared with the one in service; the studio's job."""
        return await self._school.train(await self._clones.standing(name, org_id), version_id, recipe, by=by)

    async def gates(self, name: str, org_id: UUID) -> list[Gate]:
        """Every version that was trained, newest first, and whether it may be offered."""
        found = await self._school.trained(await self._clones.standing(name, org_id))
        return [self._gate(one, found) for one in found]

    async def gate(self, mandate: Mandate, number: int) -> Gate | None:
        """Of one version; None when there is none of this number."""
        found = await self._school.trained(mandate)
        return next((self._gate(one, found) for one in found if one.number == number), None)

    def _gate(self, one: Trained, others: Sequence[Trained]) -> Gate:
        standing = next((other for other in others if other.state == "deployed" and other is not one), None)
        both = one.compared
        if standing is None:
            return self._judged(one.number, one.score_bps, one.base_bps, 0, None)
        if both is None or both.number != standing.number:
            return Gate(
                one.number, one.score_bps, one.base_bps, 0, False,
                f"尚未与在用的第 {standing.number} 版在相同题目上对比，请重新训练（已完成的步骤不再计费）",
                f"it was not compared with version {standing.number} in service on the same questions: train again "
                "(steps that are done cost nothing)",
            )  # fmt: skip
        right, base, other = (n * WHOLE_BPS // both.asked for n in (both.right, both.base_right, both.other_right))
        return self._judged(one.number, right, base, other, both)

    def _judged(self, number: int, score: int, base: int, standing: int, both: Compared | None) -> Gate:
        facts = {"model_cost_micro": 0, "markup": 0, "score": score, "base_score": base, "standing_score": standing}
        if self._rule(facts)["publishes"]:
            return Gate(number, score, base, standing, True, compared=both)
        zh, en = "", ""
        if score <= base:
            zh, en = "未高于基座", "it is not above its base"
        if both is not None and both.right < both.other_right:
            span = f"{both.difference:+.1f} [{both.low:+.1f}, {both.high:+.1f}]"
            more_zh = f"在相同的 {both.asked} 道题上比在用的第 {both.number} 版差：{span} 分（95 % 区间）"
            more_en = f"on the same {both.asked} questions it is worse than version {both.number} in service: {span} " \
                      "points (95 % interval)"  # fmt: skip
            zh, en = "；".join(filter(None, (zh, more_zh))), "; ".join(filter(None, (en, more_en)))
        return Gate(number, score, base, standing, False, zh, en, both)

    async def offer(self, name: str, org_id: UUID, number: int, *, by: str) -> int:
        """Hand in the listing's next version with a trained adapter; GateClosed where its scores don't do."""
        mandate = await self._clones.standing(name, org_id)
        gate = await self.gate(mandate, number)
        if gate is None or not gate.passed:
            raise GateClosed(gate.why_zh if gate else "没有该版本", gate.why_en if gate else "there is no such version")
        return await self._school.offer(mandate, number, by=by)

    def _opened(self, row: Any) -> Feedback:
        return Feedback(
            row["id"], row["name"], row["mandate"], row["run_id"], row["person_id"], row["org_id"], row["good"],
            self._text(row, QUESTION), self._text(row, ANSWER), self._text(row, CORRECTION),
            FeedbackState(row["state"]), row["given_at"], row["decided_at"], row["version_id"], row["held"],
        )  # fmt: skip

    def _text(self, row: Any, field: str) -> str:
        sealed = row[field.removeprefix("clones.")]
        try:
            return "" if sealed is None else self._vault.decrypt(row["person_id"], field, sealed)
        except PersonErased:
            return ""


def plain(one: Feedback) -> str:
    """What a lesson teaches: the correction, or the good answer without the mark that stands under it."""
    return one.correction or one.answer.rpartition("\n\n")[0] or one.answer
