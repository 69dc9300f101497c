"""How well a base finds, cites and declines, on its labelled questions; and where its threshold should lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shanhe.kernel.ids import new_id
from shanhe.retrieval import store
from shanhe.retrieval.answering import Answering
from shanhe.retrieval.errors import BadKnowledge
from shanhe.retrieval.model import Answer, Asking, Base, Evaluation, Hit, Question
from shanhe.retrieval.search import Search
from shanhe.retrieval.service import Knowledge

if TYPE_CHECKING:
    from shanhe.identity.api import Caller

AT: Final = 5
"""k of recall@k."""
KEPT_MIN: Final = 0.9
"""A threshold must let through at least this part of the questions that have an answer."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One question's result. `rank`: of the first right passage, 0 = not among the first AT."""

    question: Question
    rank: int
    support: float
    answer: Answer

    @property
    def cited_right(self) -> int:
        return sum(right(self.question, hit) for hit in self.answer.citations)


def right(question: Question, hit: Hit) -> bool:
    """Whether a passage answers a question: it stands in the document named and says what was written down."""
    said = "".join(f"{hit.passage.heading}{hit.passage.text}".split()).lower()
    wanted = "".join(question.contains.split()).lower()
    return question.answerable and hit.passage.document == question.document and wanted in said


class Evaluating:
    """Runs evaluations."""

    def __init__(self, knowledge: Knowledge, search: Search, answering: Answering) -> None:
        self._knowledge = knowledge
        self._search = search
        self._answering = answering

    async def run(
        self, base: Base, asking: Asking, caller: Caller | None, *, by: str, model: str = "", calibrate: bool = False
    ) -> Evaluation:
        """Ask every labelled question. `calibrate`: choose the threshold on every second question and judge the rest;
        the figures are then of questions that it was not chosen on."""
        questions = await self._knowledge.questions(base)
        if not questions:
            raise BadKnowledge("The base has no labelled questions", "该知识库还没有评测问题")
        if calibrate:
            learnt = [await self._judge(base, one, asking, caller, "") for one in questions[::2]]
            least = threshold([(one.question.answerable, one.support) for one in learnt])
            base = await self._knowledge.edit(base, {"support_bps": round(least * 10_000)})
            questions = questions[1::2]
        judged = [await self._judge(base, one, asking, caller, model) for one in questions]
        made = Evaluation(
            new_id(), base.id, len(judged), sum(one.question.answerable for one in judged),
            *shares(judged), {"questions": [_row(one) for one in judged], "model": model, "calibrated": calibrate,
                              "support_bps": base.support_bps, "at": AT},
            sum(one.answer.paid_micro for one in judged), by, self._knowledge.clock.now(),
        )  # fmt: skip
        await store.add_evaluation(self._knowledge.db, made)
        return made

    async def past(self, base: Base) -> list[Evaluation]:
        """The last evaluations, newest first."""
        return await store.evaluations(self._knowledge.db, base.id)

    async def _judge(self, base: Base, question: Question, asking: Asking, caller: Caller | None, model: str) -> Judged:
        answer = await self._answering.answer([base], question.asked, asking, caller, model)
        ranks = [rank for rank, hit in enumerate(answer.found.hits[:AT], 1) if right(question, hit)]
        return Judged(question, ranks[0] if ranks else 0, answer.found.support, answer)


def shares(judged: Sequence[Judged]) -> tuple[int, int, int]:
    """(recall@AT, citation precision, part of the unanswerable that was declined), in basis points."""
    able = [one for one in judged if one.question.answerable]
    unable = [one for one in judged if not one.question.answerable]
    cited = sum(len(one.answer.citations) for one in able)
    return (
        _bps(sum(one.rank > 0 for one in able), len(able)),
        _bps(sum(one.cited_right for one in able), cited),
        _bps(sum(bool(one.answer.declined) for one in unable), len(unable)),
    )


def _bps(part: int, whole: int) -> int:
    return 10_000 * part // whole if whole else 0


def threshold(known: Sequence[tuple[bool, float]]) -> float:
    """The support that declines most of what has no answer, of those that keep nearly all that has one: to answer what
    isn't there misleads, to decline what is there sends somebody to the counter. Halfway between two neighbours, so
    that it is as far from both as it can be; 0.5 where nothing is known. (Neyman and Pearson's choice: a bound on one
    error, the least of the other. The sum of both, which Youden's J weighs, wavers with every document that is added.)
    """
    scores = sorted({score for _, score in known})
    able = [score for answerable, score in known if answerable]
    unable = [score for answerable, score in known if not answerable]
    best, least = (-1.0, -1.0), 0.5
    for low, high in zip([0.0, *scores], [*scores, 1.0], strict=True):
        cut = (low + high) / 2
        kept = sum(score >= cut for score in able) / max(1, len(able))
        declined = sum(score < cut for score in unable) / max(1, len(unable))
        if kept >= KEPT_MIN and (declined, kept) > best:
            best, least = (declined, kept), cut
    return least


def _row(one: Judged) -> dict[str, Any]:
    """A question's result as it is kept: no texts, they are the questions' own."""
    cited = [
        {"page": hit.passage.page, "box": list(hit.passage.box), "document": str(hit.passage.document_id)}
        for hit in one.answer.citations
    ]
    return {"answerable": one.question.answerable, "rank": one.rank, "support": round(one.support, 4),
            "declined": one.answer.declined, "cited": cited, "cited_right": one.cited_right}  # fmt: skip
