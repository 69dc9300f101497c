"""What can go wrong with what a person leaves behind."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound
from shanhe.kernel.money import said_credits


class BadEstate(Invalid):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__("bad_estate", f"This is no handover: {why}.", message_zh=f"申请不合规：{why_zh}。")


class UnknownEstate(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_estate", "There is no such handover.", message_zh="没有该移转申请。")


class EstateConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "estate_conflict",
            "Another handover of this organisation is open, or this id was used for a different one.",
            message_zh="该机构已有未办结的移转申请，或编号已用于其他申请。",
            hint="Decide the open one first.",
            hint_zh="请先办结原申请。",
        )


class NotFrozen(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "not_frozen",
            "The organisation still works: its keys could spend while it is handed over.",
            message_zh="该机构尚未冻结，移转期间其密钥仍可消费。",
            hint="Freeze it first: shanhe orgs freeze.",
            hint_zh="请先冻结该机构：shanhe orgs freeze。",
        )


class EstateHeld(Conflict):
    def __init__(self, account: str) -> None:
        super().__init__(
            "estate_held",
            f"Something of account {account} is still set aside for a running call, a withdrawal or an agreement.",
            message_zh=f"账户 {account} 仍有冻结（进行中的调用、提现或协议）。",
            hint="It is booked as soon as nothing is held any more.",
            hint_zh="冻结解除后自动办理。",
        )


class EstatePledged(Conflict):
    def __init__(self, floor: int) -> None:
        super().__init__(
            "estate_pledged",
            f"{said_credits(floor)} credits of it secure a loan and cannot be handed over (rule R4).",
            message_zh=f"其中 {said_credits(floor)} 积分已质押担保，不得移转（规则 R4）。",
            hint="Settle or release the pledge first.",
            hint_zh="请先清偿或解除质押。",
        )
