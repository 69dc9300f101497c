"""What the console asks about people who arrive: registrations, and invitations that they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from starlette.requests import Request

from shanhe.console import model as m
from shanhe.console.ports_gate import SignedIn


class ArrivalDesk(Protocol):
    """`mode`: `on`, `off` or `approval`."""

    mode: str

    def notice(self) -> Mapping[str, Any]:
        """What one agrees to: `version` and `text`, a pair of texts."""
        ...

    async def register(self, request: Request, fields: Mapping[str, str]) -> tuple[str, SignedIn | None]:
        """The sign-in name of the new account, and its session unless it waits for an officer."""
        ...

    async def outcome(self, registration_id: UUID) -> tuple[str, str]:
        """`waiting`, `open`, `declined` or `lapsed`, and on which ground, '' where there is none; NotFound."""
        ...

    async def own(self, who: m.Who) -> Mapping[str, str]:
        """The names by which the person signs in: `login`, `email`."""
        ...

    async def registrations(self, who: m.Who, after: str) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """`id`, `login`, `name`, `at`, `state` (`waiting`, or the account's: `active`, `suspended`, `erased`); and the
        `after` of the following page, None on the last one."""
        ...

    async def decide(self, who: m.Who, registration_id: UUID, word: str, ground: str) -> None:
        """`approve`, `decline` on a ground, `suspend` or `resume`."""
        ...

    async def invitations(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        """What the person can answer: `id`, `org`, `role`, `until`."""
        ...

    async def answer(self, who: m.Who, invitation_id: UUID, accepted: bool) -> None: ...
    async def asked(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        """Whom the organisation asked: `id`, `called`, `role`, `until`."""
        ...

    async def withdraw(self, who: m.Who, invitation_id: UUID) -> None: ...
