"""Who is there, and how they get in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from shanhe.console import model as m


@dataclass(frozen=True)
class SignedIn:
    """How a step of signing in ended. `needs`: "" (signed in), "second_factor" or "enrolment"."""

    needs: str
    cookies: Mapping[str, str]
    issued: object = field(default=None, repr=False)
    session_id: str = ""


class Handover(Protocol):
    """What a form leaves for the page that follows it; `holder` and `path` have to be the same to read it."""

    async def leave(self, holder: str, path: str, said: Mapping[str, Any], *, life_s: int) -> str:
        """The token to read it with."""
        ...

    async def take(self, holder: str, path: str, token: str) -> dict[str, Any]:
        """For the only time; empty when it was taken, ran out or is another's."""
        ...

    async def see(self, holder: str, path: str, token: str) -> dict[str, Any]: ...


class Gate(Protocol):
    """Who is there, signing in and out, second factors, sessions."""

    oidc: bool

    async def who(self, request: Request) -> m.Who | None: ...
    def seat(self, response: Response, result: SignedIn, *, secure: bool) -> None:
        """Put the session on the answer."""
        ...

    async def unmanned(self) -> bool:
        """Whether nobody may run the city yet: its first admin is still to be made."""
        ...

    async def waiting(self, request: Request) -> str:
        """What an unfinished sign-in waits for, in the words of `SignedIn.needs`; empty for none."""
        ...

    async def password(self, request: Request, login: str, password: str) -> SignedIn: ...
    async def code(self, request: Request, code: str) -> SignedIn: ...
    async def passkey_options(self, request: Request) -> Mapping[str, Any]: ...
    async def passkey(self, request: Request, answer: Mapping[str, Any]) -> SignedIn: ...
    async def sign_out(self, request: Request, response: Response) -> None: ...
    async def totp_start(self, who: m.Who) -> tuple[str, str]:
        """A fresh TOTP secret and its otpauth:// address, unconfirmed."""
        ...

    async def totp_confirm(
        self, request: Request, who: m.Who, code: str, password: str
    ) -> tuple[Sequence[str], SignedIn | None]:
        """Confirm the secret, with the password of who is signed in already; recovery codes, shown once, and the
        session it completed if it did."""
        ...

    async def factors(self, who: m.Who) -> Collection[str]:
        """What is set up: `totp`, `recovery` (codes are left), `passkey`."""
        ...

    async def totp_remove(self, who: m.Who, password: str) -> None:
        """Take the application off, with the password once more where there is one."""
        ...

    async def codes_renew(self, who: m.Who, password: str) -> Sequence[str]:
        """New recovery codes in place of the old ones, likewise."""
        ...

    async def passkey_add_options(self, request: Request, who: m.Who, password: str) -> Mapping[str, Any]: ...
    async def passkey_add(
        self, request: Request, who: m.Who, answer: Mapping[str, Any], name: str
    ) -> SignedIn | None: ...
    async def passkeys(self, who: m.Who) -> Sequence[m.PasskeyRow]: ...
    async def passkey_remove(self, who: m.Who, passkey_id: str, password: str) -> None:
        """Likewise with the password once more, where there is one."""
        ...

    async def sessions(self, who: m.Who) -> Sequence[m.SessionRow]: ...
    async def session_end(self, who: m.Who, session_id: str) -> None: ...
