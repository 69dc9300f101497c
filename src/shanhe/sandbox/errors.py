"""What can go wrong with code in the cage."""

from __future__ import annotations

from typing import Final

from shanhe.kernel.errors import Invalid, Unavailable


class CageMissing(Unavailable):
    """A layer can't be had on this machine, so nothing runs."""

    def __init__(self, layer: str) -> None:
        super().__init__(
            "sandbox_missing",
            f"Code is not run here: a layer of the sandbox is missing ({layer[:200]}).",
            message_zh=f"本机缺少沙箱所需的隔离层（{layer[:200]}），不运行代码。",
            hint="The operator's page on the sandbox says what the machine must allow: user namespaces and seccomp.",
            hint_zh="请运维人员开启用户命名空间与 seccomp。",
        )


class CodeRaised(Invalid):
    """The code itself ended with an error."""

    def __init__(self, message: str) -> None:
        super().__init__("code_raised", f"The code failed: {message[:300]}", message_zh=f"代码出错：{message[:300]}")


WORDS: Final = {
    "time": ("it took too long", "运行超时"),
    "memory": ("it needed too much memory", "内存超限"),
    "too_large": ("its answer is too large", "结果过大"),
    "crashed": ("it crashed", "运行崩溃"),
}


class CodeStopped(Invalid):
    """The code went beyond a bound."""

    def __init__(self, bound: str) -> None:
        en, zh = WORDS.get(bound, WORDS["crashed"])
        super().__init__(
            f"code_{bound if bound in WORDS else 'crashed'}",
            f"The code was stopped: {en}.",
            message_zh=f"代码已被终止：{zh}。",
        )
