"""What the pages on watching ask for: break-glass, dilution, the register of algorithms, complaints. Plain data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, Protocol
from uuid import UUID

from shanhe.console import model as m
from shanhe.console import model_city as mc


class WatchDesk(Protocol):
    async def dilution(self, who: m.Who | None, on: str) -> Mapping[str, Any]:
        """The `report` and its `trend` by quarter; sums and small cells for those who may see all."""
        ...

    async def dilution_csv(self, who: m.Who | None, on: str) -> str: ...

    async def openings(self, who: m.Who) -> Mapping[str, Any]:
        """`rows`, newest first, and the `terms` of today."""
        ...

    async def opening(self, who: m.Who, glass_id: UUID) -> Mapping[str, Any]:
        """With `can`: `end`, `read`, `review`."""
        ...

    async def open(self, who: m.Who, fields: Mapping[str, str]) -> UUID: ...
    async def end(self, who: m.Who, glass_id: UUID) -> None: ...
    async def read(self, who: m.Who, glass_id: UUID) -> Sequence[mc.AuditRow]: ...
    async def review(self, who: m.Who, glass_id: UUID, fields: Mapping[str, str]) -> None: ...


class ConductDesk(Protocol):
    async def register(self) -> Mapping[str, Any]:
        """`algorithms` with their filings and public `months` of interventions; for everybody."""
        ...

    async def algorithm(self, algorithm_id: UUID) -> Mapping[str, Any]: ...
    async def mine(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        """The complaints of one's organisation."""
        ...

    async def complain(self, who: m.Who, fields: Mapping[str, str]) -> None: ...
    async def appeal(self, who: m.Who, complaint_id: UUID, text: str) -> None: ...
    async def desk(self, who: m.Who) -> Mapping[str, Any]:
        """`algorithms`, waiting and decided `complaints`, newest `events`, `months`; for operators."""
        ...

    async def add(self, who: m.Who, fields: Mapping[str, str]) -> None: ...
    async def move(self, who: m.Who, algorithm_id: UUID, fields: Mapping[str, str]) -> None: ...
    async def attach(self, who: m.Who, algorithm_id: UUID, fields: Mapping[str, str]) -> None: ...
    async def decide(self, who: m.Who, complaint_id: UUID, *, uphold: bool, answer: str, state: str | None) -> None:
        """`state`: as the page said."""
        ...

    async def months_csv(self, who: m.Who) -> str: ...


class SecondDesk(Protocol):
    """What waits for a second person, as plain data; `mine` are those this one asked for."""

    async def waiting(self, who: m.Who, wanted: mc.Wanted) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
        """A page of what fits, newest first, and where the next begins."""
        ...

    async def undone(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        """What was agreed to and is not done, with what stands in its way."""
        ...

    async def decided(self, who: m.Who, wanted: mc.Wanted) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
        """Likewise."""
        ...

    async def chosen(self, who: m.Who, numbers: Sequence[UUID]) -> Sequence[Mapping[str, Any]]:
        """Those of these that there are, whatever became of them."""
        ...

    def kinds(self) -> Sequence[str]:
        """What such requests may be about."""
        ...

    async def decide(self, who: m.Who, request_id: UUID, do: str, reason: str) -> None:
        """`do`: approve, reject, try again what is not done or, by who asked, withdraw. Refused to whoever lacks the
        permission with which it is asked for."""
        ...

    def rights(self) -> Collection[str]:
        """Permissions of which one is needed to decide anything."""
        ...

    async def ask_close(self, who: m.Who, through: date) -> None: ...
    async def ask_reversal(self, who: m.Who, posting: UUID, reason: str) -> None: ...
