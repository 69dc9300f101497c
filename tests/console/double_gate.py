"""The door without identity behind it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from tests.console.double_ground import COOKIE, EVERYTHING, NOW, ORG, PERSON

from shanhe.console import model as m
from shanhe.console.ports import SignedIn
from shanhe.kernel.errors import Invalid, Unauthorized


class Gate:
    oidc = True

    def __init__(self) -> None:
        self.member_only = False
        self.alone = False
        """Signed in, and a member of nothing."""
        self.enrolled = True
        self.is_unmanned = False
        self.factors_of: set[str] = {"passkey"}
        self.session = "s1"
        self.org = ORG
        self.rights: frozenset[str] | None = None
        """What whoever is signed in may do, where a test says so."""

    async def unmanned(self) -> bool:
        return self.is_unmanned

    async def who(self, request: Request) -> m.Who | None:
        if request.cookies.get(COOKIE) != "in":
            return None
        usual = frozenset({"keys", "usage", "topup", "chat"}) if self.member_only else EVERYTHING
        rights = usual if self.rights is None else self.rights
        if self.alone:
            rights = frozenset()
        return m.Who(
            PERSON,
            UUID(int=0) if self.alone else self.org,
            "陈思远",
            "山河市启明智能科技有限公司",
            frozenset({"admin"}),
            rights,
            "csrf-of-session",
            self.session,
            self.enrolled,
            2,
        )

    def seat(self, response: Response, result: SignedIn, *, secure: bool) -> None:
        for name, value in result.cookies.items():
            response.set_cookie(name, value, httponly=True)

    async def password(self, request: Request, login: str, password: str) -> SignedIn:
        if password != "right":
            raise Unauthorized("bad_login", "Wrong name or password.", message_zh="用户名或密码不正确。")
        return SignedIn("second_factor", {})

    async def code(self, request: Request, code: str) -> SignedIn:
        if code != "123456":
            raise Unauthorized("bad_code", "This code is not right.", message_zh="验证码不正确。")
        return SignedIn("", {COOKIE: "in"})

    async def passkey_options(self, request: Request) -> Mapping[str, Any]:
        return {"challenge": "AAAA", "allowCredentials": []}

    async def passkey(self, request: Request, answer: Mapping[str, Any]) -> SignedIn:
        return SignedIn("", {COOKIE: "in"})

    async def sign_out(self, request: Request, response: Response) -> None:
        response.delete_cookie(COOKIE)

    async def totp_start(self, who: m.Who) -> tuple[str, str]:
        return "JBSWY3DPEHPK3PXP", "otpauth://totp/Shanhe:chen?secret=JBSWY3DPEHPK3PXP&issuer=Shanhe"

    async def waiting(self, request: Request) -> str:
        return ""

    async def totp_confirm(
        self, request: Request, who: m.Who, code: str, password: str
    ) -> tuple[Sequence[str], SignedIn | None]:
        if code != "123456":
            raise Invalid("bad_code", "This code is not right.", message_zh="验证码不正确。")
        self._known(password)
        return [f"{n:04d}-{n * 3:04d}" for n in range(1111, 1119)], None

    async def factors(self, who: m.Who) -> Collection[str]:
        return self.factors_of

    async def totp_remove(self, who: m.Who, password: str) -> None:
        self._known(password)
        self.factors_of -= {"totp", "recovery"}

    async def codes_renew(self, who: m.Who, password: str) -> Sequence[str]:
        self._known(password)
        return ["abcd-efgh-ijkl-mnop"]

    def _known(self, password: str) -> None:
        if password != "right":
            raise Unauthorized("password_wrong", "The password is wrong.", message_zh="密码不正确，未做任何更改。")

    async def passkey_add_options(self, request: Request, who: m.Who, password: str) -> Mapping[str, Any]:
        self._known(password)
        return {"challenge": "AAAA", "user": {"id": "AAAA", "name": "x", "displayName": "x"}}

    async def passkey_add(self, request: Request, who: m.Who, answer: Mapping[str, Any], name: str) -> SignedIn | None:
        return None

    async def passkeys(self, who: m.Who) -> Sequence[m.PasskeyRow]:
        return [m.PasskeyRow("p1", "办公电脑", NOW - timedelta(days=40))]

    async def passkey_remove(self, who: m.Who, passkey_id: str, password: str) -> None: ...

    async def sessions(self, who: m.Who) -> Sequence[m.SessionRow]:
        return [
            m.SessionRow("s1", NOW, NOW, "Chromium · Linux", True),
            m.SessionRow("s2", NOW - timedelta(days=2), NOW, "Safari · iPhone", False),
        ]

    async def session_end(self, who: m.Who, session_id: str) -> None: ...


class Handover:
    """See `ports_gate.Handover`: in memory, for ever."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, str, dict[str, Any]]] = {}

    async def leave(self, holder: str, path: str, said: Mapping[str, Any], *, life_s: int) -> str:
        token = f"{len(self.kept):043d}"
        self.kept[token] = (holder, path, json.loads(json.dumps(said)))
        return token

    async def take(self, holder: str, path: str, token: str) -> dict[str, Any]:
        found = await self.see(holder, path, token)
        if found:
            self.kept[token] = ("", "", {})
        return found

    async def see(self, holder: str, path: str, token: str) -> dict[str, Any]:
        kept = self.kept.get(token, ("", "", {}))
        return dict(kept[2]) if kept[:2] == (holder, path) else {}
