"""What can go wrong with nodes."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound, Unauthorized
from shanhe.kernel.words import en, zh


class UnknownNode(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_node",
            f"There is no node {name!r}.",
            message_zh=f"没有名为 {name!r} 的节点。",
            hint="`shanhe nodes list` shows the nodes.",
            hint_zh="用 `shanhe nodes list` 查看节点。",
        )


class NodeExists(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(
            "node_exists",
            f"A node called {name!r} has joined already.",
            message_zh=f"节点 {name!r} 已加入。",
            hint="Make a token with another name: receipts carry it, so it is used once.",
            hint_zh="请换一个名称：凭据上写有节点名称，移除后也不再重复使用。",
        )


class BadToken(Unauthorized):
    """The token to join with is unknown, over or used."""

    def __init__(self, reason: str, reason_zh: str) -> None:
        super().__init__(
            "bad_join_token",
            f"This token can't be used to join: {reason}.",
            message_zh=f"该令牌不能用于加入：{reason_zh}。",
            hint="Ask for a new one: `shanhe nodes token` or the console's page of nodes.",
            hint_zh="请重新签发：`shanhe nodes token` 或控制台的节点页面。",
        )


class BadPassport(Unauthorized):
    """What a node signed does not prove that it is this node."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "bad_node_passport",
            f"The node did not prove who it is: {reason}.",
            message_zh="节点未能证明其身份。",
            hint="Join again with a new token if the node's key was lost.",
            hint_zh="若节点密钥丢失，请用新令牌重新加入。",
        )


class IdentityTaken(Conflict):
    """Another machine holds this identity and answers."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "node_identity_taken",
            f"Another machine is connected as {name}; this one is refused and the node is flagged.",
            message_zh=f"另一台机器正以 {name} 的身份连接；本机被拒绝，该节点已标记。",
            hint="Stop the other machine, or join with a token of its own. Never copy a node's state folder.",
            hint_zh="请停用另一台机器，或用单独的令牌加入；切勿复制节点的状态目录。",
        )


class ReasonMissing(Invalid):
    """The owner of a node is to be told why."""

    def __init__(self) -> None:
        super().__init__(
            "reason_missing",
            "A reason is missing.",
            message_zh="须写明原因。",
            hint="The node's owner is told the reason.",
            hint_zh="机主会收到这一原因。",
        )


class BadReport(Invalid):
    """A node's report is out of bounds."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "bad_node_report", f"The node's report is not usable: {reason}.", message_zh="节点报告不可用。"
        )


class WrongState(Conflict):
    """The node's state does not allow this step."""

    def __init__(self, name: str, state: str, wanted: str) -> None:
        super().__init__(
            "node_state",
            f"{name} is {en(state)}; it can't be {en(wanted)} now.",
            message_zh=f"节点 {name} 当前状态为“{zh(state)}”，不能变为“{zh(wanted)}”。",
            hint="`shanhe nodes show` tells what may be done.",
            hint_zh="用 `shanhe nodes show` 查看可执行的操作。",
        )


class HeldByCity(Conflict):
    """The city stopped the node, so its owner can't start it again or take it out."""

    def __init__(self, name: str, state: str) -> None:
        super().__init__(
            "node_held",
            f"The city stopped {name} ({en(state)}); its owner can't change that.",
            message_zh=f"节点 {name} 由城市运营方停止（{zh(state)}），机主不能自行变更。",
            hint="The node's page has the reason. An operator puts it back, or takes it out.",
            hint_zh="原因见该节点的页面；恢复或移除由运营人员处理。",
        )


class NotMovable(Conflict):
    """The node does not offer the model, or its agent can't load and unload it."""

    def __init__(self, name: str, model: str) -> None:
        super().__init__(
            "not_movable",
            f"{name} can't load or unload {model}.",
            message_zh=f"节点 {name} 不能装载或卸载 {model}。",
            hint="`shanhe nodes show` lists what a node offers and what it can move.",
            hint_zh="用 `shanhe nodes show` 查看节点可装卸的模型。",
        )
