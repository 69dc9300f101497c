"""Looking a form over before it is sent: what is missing or wrong, what stands against it, what it would give.

Nothing is written and nothing is used up, so it may be asked as often as somebody likes; what is found here is what
`Applying.apply` would find now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from shanhe.kernel.errors import ShanheError
from shanhe.programmes import forms, store
from shanhe.programmes.applying import Applying, about_nothing, claim_words
from shanhe.programmes.awards import Awards
from shanhe.programmes.cases import Outcome, Party
from shanhe.programmes.errors import NotForYou
from shanhe.programmes.forms import Problem
from shanhe.programmes.ground import Ground
from shanhe.programmes.judging import FreeOf, Judge, Question
from shanhe.programmes.model import Programme

OWN_WORDS = ("applicant", "year", "month")
"""What of a claim is known without the form."""
NOTHING_SAID = Outcome()


class Standing(StrEnum):
    """How an application would fare, the worst first."""

    CLOSED = "closed"
    TAKEN = "taken"
    REFUSED = "refused"
    INCOMPLETE = "incomplete"
    WAITING = "waiting"
    REVIEW = "review"
    READY = "ready"


@dataclass(frozen=True)
class Checked:
    """`problems`: fields that are not in order. `closed`: why this party can't apply at all. `taken`: what somebody
    applied with before. `short`: budgets that can't pay today; it would wait for them."""

    programme: Programme
    standing: Standing
    problems: Sequence[Problem] = ()
    closed: tuple[str, str] | None = None
    taken: tuple[str, str] | None = None
    short: Sequence[str] = ()
    outcome: Outcome = NOTHING_SAID


class Checking:
    """The clerk who looks a form over at the counter."""

    def __init__(self, ground: Ground, judge: Judge, awards: Awards, applying: Applying, free: FreeOf) -> None:
        self._ground = ground
        self._judge = judge
        self._awards = awards
        self._applying = applying
        self._free = free

    async def check(
        self, programme_id: str, org_id: UUID, *, answers: Mapping[str, Any], evidence: Mapping[str, Any]
    ) -> Checked:  # fmt: skip
        """What an application sent now would meet; UnknownProgramme."""
        ground = self._ground
        programme, party, today = ground.programme(programme_id), await ground.party(org_id), ground.today()
        try:
            self._applying.open_for(programme, party)
        except NotForYou as error:
            return Checked(programme, Standing.CLOSED, closed=(error.message_zh, error.message))
        clean, problems = await self._read(programme, answers, org_id)
        problems += forms.read_evidence(programme, evidence)[1]
        closed: tuple[str, str] | None = None
        try:
            await self._applying.strangers(programme, party, clean)
        except NotForYou as error:
            closed = error.message_zh, error.message
        outcome = await self._judge.outcome(Question(programme, party, clean, today, today))
        taken = await self._taken(programme, party, clean)
        found = Checked(programme, Standing.READY, problems, closed, taken, await self._short(outcome), outcome)
        return replace(found, standing=_standing(found, opted_out=await ground.by_people(party)))

    async def _read(
        self, programme: Programme, answers: Mapping[str, Any], org_id: UUID
    ) -> tuple[dict[str, Any], list[Problem]]:
        """Answers in order and what is wrong with the others; a party that nobody knows is one of these."""
        unknown: list[Problem] = []
        given = dict(answers)
        for name, ask in programme.asks.items():
            if ask.type != "party" or not given.get(name):
                continue
            try:
                given |= await self._applying.named(programme, {name: given[name]}, org_id)
            except ShanheError as error:
                unknown.append((name, error.message_zh, error.message))
                del given[name]
        clean, problems = forms.read_answers(programme, given, by="applicant")
        named = {name for name, _, _ in unknown}
        return clean, unknown + [one for one in problems if one[0] not in named]

    async def _taken(self, programme: Programme, party: Party, clean: Mapping[str, Any]) -> tuple[str, str] | None:
        """What was applied with before, of what the form says so far."""
        said = [all(word in OWN_WORDS or word in clean for word in claim) for claim in programme.once]
        keys = self._awards.claims(programme, party.subject, clean, self._ground.today())
        known = [index for index, complete in enumerate(said) if complete]
        found = await store.claimed(self._ground.db, programme.family, [keys[index] for index in known])
        if found is not None:
            return claim_words(programme, known[found])
        return await self._applying.renewed(self._ground.db, programme, party.subject, clean, self._ground.today())

    async def _short(self, outcome: Outcome) -> list[str]:
        """Budgets that have less than a first payment."""
        due: dict[str, int] = {}
        for payment in outcome.payments:
            due[payment.budget] = due.get(payment.budget, 0) + payment.amount
        catalogue = self._ground.catalogue
        return [
            name for name, amount in due.items()
            if not catalogue.budgets[name].unlimited and await self._free(name) < amount
        ]  # fmt: skip


def _standing(checked: Checked, *, opted_out: bool) -> Standing:
    """The first thing that stands in the way. Who opted out of automated decisions is not refused by a rule."""
    programme, outcome = checked.programme, checked.outcome
    reviewed = bool(programme.review) or opted_out
    if checked.closed is not None:
        return Standing.CLOSED
    if checked.taken is not None:
        return Standing.TAKEN
    if outcome.reasons and not opted_out and not (checked.problems and about_nothing(outcome)):
        return Standing.REFUSED
    if checked.problems or (outcome.missing and not reviewed):
        return Standing.INCOMPLETE
    if checked.short and not reviewed:
        return Standing.WAITING
    return Standing.REVIEW if reviewed else Standing.READY
