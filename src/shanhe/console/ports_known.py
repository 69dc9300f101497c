"""What the console asks about facts: what registers and documents say of a party, and recording it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from shanhe.console import model as m


class KnownDesk(Protocol):
    """Facts of an organisation, or of the person behind an organisation of one."""

    async def page(self, who: m.Who, org_id: UUID) -> Mapping[str, Any]:
        """`name`, `facts` (every one ever said, newest first), `kinds` (what can be recorded of such a party: name,
        title, how its value is written), `id` of the next. Of people it is kept who looked."""
        ...

    async def record(self, who: m.Who, org_id: UUID, fields: Mapping[str, str]) -> None:
        """Ask that a fact be recorded; a second operator agrees."""
        ...
