"""What governance refuses, with what to do next."""

from __future__ import annotations

from datetime import date

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shanhe.kernel.words import Word, en, zh


class UnknownProposal(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_proposal", "There is no such proposal.", message_zh="没有该提案。")


class UnknownThing(NotFound):
    def __init__(self, what: str, what_zh: str) -> None:
        super().__init__("unknown_thing", f"There is no such {what}.", message_zh=f"没有该{what_zh}。")


class NotSeated(Forbidden):
    def __init__(self, department_zh: str, department_en: str) -> None:
        super().__init__(
            "not_seated",
            f"This needs a seat in: {department_en}.",
            message_zh=f"该事项须由{department_zh}的席位人员办理。",
            hint="An operator gives seats on the page “Governance”.",
            hint_zh="席位由运营人员在“治理”页面登记。",
        )


class NotForYou(Forbidden):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__("not_for_you", f"You can't decide this: {why}.", message_zh=f"您不能办理该提案：{why_zh}。")


class WrongState(Conflict):
    def __init__(self, state: str, wanted: Word) -> None:
        super().__init__(
            "wrong_state",
            f"The proposal is {en(state)}; this needs {en(wanted)}.",
            message_zh=f"提案当前状态为“{zh(state)}”，该操作要求：{zh(wanted)}。",
            hint="Look at the proposal again.",
            hint_zh="请刷新后再试。",
        )


class AlreadyVoted(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "already_voted", "You voted on this step already.", message_zh="您已对该环节表决。",
            hint="A voice can't be changed; others of the department can still speak.",
            hint_zh="表决不能更改；本部门其他席位仍可表决。",
        )  # fmt: skip


class ProposalConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "proposal_conflict", "This id already belongs to another proposal.", message_zh="该编号已用于另一提案。",
            hint="Use a new id.", hint_zh="请使用新的编号。",
        )  # fmt: skip


class TooSoon(Invalid):
    """The days that a change needs are not in it."""

    def __init__(self, what: str, what_zh: str, earliest: date) -> None:
        super().__init__(
            "too_soon",
            f"{what} is {earliest} at the earliest.",
            message_zh=f"{what_zh}最早为 {earliest}。",
            hint="Discussion, vote, announcement and notice each take their days (rule P4_decision_terms).",
            hint_zh="征求意见、表决、公告与提前告知各有期限，见规则 P4_decision_terms。",
            details={"earliest": earliest.isoformat()},
        )


class BadProposal(Invalid):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__("bad_proposal", f"The proposal is not in order: {why}.", message_zh=f"提案不合规：{why_zh}。")


class NotDecided(Forbidden):
    """Somebody wants to amend a rule without governance having decided it."""

    def __init__(self) -> None:
        super().__init__(
            "not_decided",
            "This change of a rule has not been decided by governance.",
            message_zh="该规则修订尚未经治理程序决定。",
            hint="Propose it on the page “Governance”; it takes effect by itself once adopted.",
            hint_zh="请在“治理”页面提出，通过并公告后自动生效。",
        )


class UnknownSimulation(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_simulation", "There is no such simulation.", message_zh="没有该测算。")


class NothingToSimulate(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "nothing_to_simulate",
            "Only the change of a rule can be simulated, in a city that records decisions.",
            message_zh="只有规则修订可以测算，且须有已记录的决定。",
        )


class BadSimulation(Invalid):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "bad_simulation", f"The simulation is not in order: {why}.", message_zh=f"测算请求不合规：{why_zh}。"
        )


class SimulationConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "simulation_conflict", "This id already belongs to another simulation.",
            message_zh="该编号已用于另一次测算。", hint="Use a new id.", hint_zh="请使用新的编号。",
        )  # fmt: skip


class AlreadySimulated(Conflict):
    def __init__(self, first: date, last: date) -> None:
        super().__init__(
            "already_simulated", f"The proposal has a simulation of {first} to {last}.",
            message_zh=f"该提案已有 {first} 至 {last} 的测算。", hint="Read that one, or ask for other months.",
            hint_zh="请查看已有的测算，或另选月份。",
        )  # fmt: skip


class TooManySimulations(Conflict):
    def __init__(self, most: int) -> None:
        super().__init__(
            "too_many_simulations", f"At most {most} simulations a day can be asked for.",
            message_zh=f"每天最多申请 {most} 次测算。", hint="Read the ones that are done, or ask tomorrow.",
            hint_zh="请先查看已完成的测算，或明日再试。",
        )  # fmt: skip


class TooManyCases(Invalid):
    def __init__(self, most: int) -> None:
        super().__init__(
            "too_many_cases", f"More than {most} cases were recorded in that time.",
            message_zh=f"该区间内的案例超过 {most} 件。", hint="Ask for a shorter time; part of it would mislead.",
            hint_zh="请缩短区间；只算一部分会误导。",
        )  # fmt: skip
