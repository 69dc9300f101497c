"""What the pages on watching ask for: break-glass. Plain data, as the modules' views say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from shanhe.console import model as m


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
    async def read(self, who: m.Who, glass_id: UUID) -> Sequence[m.AuditRow]: ...
    async def review(self, who: m.Who, glass_id: UUID, fields: Mapping[str, str]) -> None: ...
