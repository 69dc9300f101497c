"""What can go wrong with a credential."""

from __future__ import annotations

from shanhe.kernel.errors import Invalid, NotFound


class UnknownCredential(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_credential",
            "There is no such credential.",
            message_zh="没有该凭证。",
            hint="Check its number.",
            hint_zh="请核对编号。",
        )


class CredentialRefused(Invalid):
    """A credential that must not be relied on. `reason` is stable: malformed, signature, key, expired, revoked, …"""

    def __init__(self, reason: str, problem: str, problem_zh: str) -> None:
        super().__init__(
            f"credential_{reason}",
            f"The credential is not to be relied on: {problem}.",
            message_zh=f"凭证不可采信：{problem_zh}。",
            hint="Ask its holder for a current one, and its issuer for the current keys.",
            hint_zh="请向持有人索取有效凭证，并向签发方获取最新公钥。",
        )
        self.reason = reason
