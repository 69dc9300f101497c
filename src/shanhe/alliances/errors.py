"""What can go wrong in an alliance, said so that one can act on it."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shanhe.kernel.words import en, zh


class UnknownAlliance(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_alliance", "There is no such alliance of yours.", message_zh="没有该联盟，或贵单位不在其中。",
            hint="GET /api/alliances lists yours and your invitations.",
            hint_zh="GET /api/alliances 列出贵单位的联盟与邀请。",
        )  # fmt: skip


class NotACompany(Forbidden):
    def __init__(self, name: str) -> None:
        super().__init__(
            "not_a_company", f"{name} can't be a member: alliances are of companies in good standing.",
            message_zh=f"“{name}”不能加入：联盟成员须为状态正常的企业。",
        )  # fmt: skip


class AlreadyAllied(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "already_allied", "A company is in one alliance at a time, and this one is in one.",
            message_zh="一家企业同时只能加入一个联盟，该企业已在联盟中。",
            hint="Leave the other alliance first.", hint_zh="请先退出原联盟。",
        )  # fmt: skip


class NotInvited(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "not_invited", f"There is no open invitation: yours is {en(state)}.",
            message_zh=f"没有待答复的邀请（当前状态为“{zh(state)}”）。", hint="A member can invite again.",
            hint_zh="可请联盟成员重新邀请。",
        )  # fmt: skip


class AlreadyInvited(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(
            "already_invited", f"{name} was invited or is a member already.",
            message_zh=f"“{name}”已被邀请或已是成员。",
        )  # fmt: skip


class TooMany(Conflict):
    def __init__(self, what: str, what_zh: str, most: int) -> None:
        super().__init__(
            "too_many", f"An alliance has at most {most} {what}.", message_zh=f"一个联盟最多有 {most} {what_zh}。"
        )


class NotYours(Invalid):
    def __init__(self, kind: str, ref: str) -> None:
        zh = {"dataset": "数据集", "model": "模型"}[kind]
        super().__init__(
            "not_yours", f"You have no {kind} {ref[:80]!r}.", message_zh=f"贵单位没有该{zh}：{ref[:80]}。",
            hint="Share what is yours: a data set by its id, a model by its name.",
            hint_zh="只能共享自己的：数据集填编号，模型填名称。",
        )  # fmt: skip
