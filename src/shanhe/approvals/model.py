"""Approvals, gates and four-eyes requests: frozen, pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid5

from shanhe.kernel.errors import ShanheError


class Scope(StrEnum):
    """What an authority must have approved before real cash moves in it."""

    EXCHANGE = "exchange"
    LOANS = "loans"
    SECURITIES = "securities"


class Mode(StrEnum):
    REAL = "real"
    SANDBOX = "sandbox"


@dataclass(frozen=True)
class NewLicence:
    """An approval as an operator records it; both days are included. `sample` counts in a demo city only."""

    scope: Scope
    authority: str
    number: str
    valid_from: date
    valid_to: date
    sample: bool = False


@dataclass(frozen=True)
class Licence:
    id: UUID
    scope: Scope
    authority: str
    number: str
    valid_from: date
    valid_to: date
    sample: bool
    recorded_by: str
    recorded_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None
    reason: str


@dataclass(frozen=True)
class Gate:
    """Whether real cash may move on a day, and by which approval. Without one: sandbox, play cash."""

    scope: Scope
    mode: Mode
    licence: Licence | None

    @property
    def real(self) -> bool:
        return self.mode is Mode.REAL

    @property
    def sample(self) -> bool:
        return self.licence is not None and self.licence.sample


class RequestState(StrEnum):
    """Open until somebody decides; approved: agreed to, and not done yet; refused: agreed to, and it could not be."""

    OPEN = "open"
    APPROVED = "approved"
    DONE = "done"
    REFUSED = "refused"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Request:
    """Something that happens only when a second person agrees before `expires_at`. `kind` says what it is about."""

    id: UUID
    kind: str
    subject: str
    payload: Mapping[str, Any]
    state: RequestState
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    reason: str
    about: UUID | None = None
    glass: UUID | None = None
    """The opening of break-glass under which who asked also agreed."""
    tries: int = 0
    next_at: datetime | None = None
    """When what was agreed to is tried again by itself; None: only when somebody asks for it."""
    held_until: datetime | None = None
    """Somebody is at it until then at the latest."""
    fault: str = ""
    """The code of what stood in its way the last time, and what that is in words."""
    fault_zh: str = ""
    fault_en: str = ""
    ended_at: datetime | None = None

    @property
    def agreed(self) -> bool:
        """Two people want it: it is done, or will be."""
        return self.state in (RequestState.APPROVED, RequestState.DONE)

    @property
    def signed(self) -> str:
        """Who stands for it in the books: both people, or one and the opening."""
        return f"{self.requested_by} + {f'break-glass:{self.glass}' if self.glass else self.decided_by}"


RIGHT: Final = "accounts"


TURNS_MAX: Final = 200
"""Requests about one subject, one after the other."""


def numbers(space: UUID, subject: str) -> Iterator[UUID]:
    """The numbers that requests about a subject have, one after the other, for `standing`."""
    return (uuid5(space, f"{subject}:{turn}") for turn in range(TURNS_MAX))


@dataclass(frozen=True)
class Deed:
    """What a kind of request is for; its module says so once.

    `do`: done at once when a second person agrees, and idempotent by the request: it is done again after a crash, and
    when somebody asks for it. None where nothing is left to do. `page`: where to look at what it is about, with fields
    of the payload in braces. `why`: reads why it was asked, where that is not the payload's own `reason`. `waits`:
    refusals that somebody can help, or time; what says anything else ends the request. `told`: where who asked can read
    what became of it. `ready`: asked before a second person may agree; raises where something else comes first.
    `right`: the permission with which it is asked for, which whoever decides it needs as well. `party`: whether a
    person is party to what is asked for, who can't be the second then.
    """

    do: Callable[[Request], Awaitable[object]] | None = None
    page: str = ""
    why: Callable[[Request], Awaitable[str]] | None = None
    right: str = RIGHT
    waits: tuple[type[ShanheError], ...] = ()
    told: str = "/city/second"
    ready: Callable[[Request], Awaitable[None]] | None = None
    party: Callable[[Request, UUID], Awaitable[bool]] | None = None


def person_of(ref: str) -> UUID | None:
    """Whom an actor's name means; None for a key or a part of the program: decisions of note are for people."""
    kind, _, number = ref.partition(":")
    with suppress(ValueError):
        return UUID(number) if kind == "person" else None
    return None
