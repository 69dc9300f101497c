"""What the console asks about a person's organisations, their members, and the person's own password."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from shanhe.console import model as m


class HouseDesk(Protocol):
    """One's organisations; an owner's members."""

    async def places(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        """Organisations that the person belongs to: `id`, `name`, `role`, `personal`, and whether it is `current`."""
        ...

    async def switch(self, who: m.Who, org_id: UUID) -> None: ...
    async def leave(self, who: m.Who, org_id: UUID) -> None:
        """Be no longer a member; who acted for it acts for oneself, or another organisation, where there is one."""
        ...

    async def personal(self, who: m.Who) -> None:
        """Act for oneself: an organisation of one, opened when there is none."""
        ...

    async def has_password(self, who: m.Who) -> bool: ...
    async def password(self, who: m.Who, current: str, new: str) -> None: ...
    async def members(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        """Members of the organisation: `id`, `name`, `role`, whether it is the person (`self`)."""
        ...

    async def put(self, who: m.Who, login: str, role: str) -> bool:
        """Ask whoever signs in with `login` to become a member (True), or change a member's role."""
        ...

    async def remove(self, who: m.Who, person_id: UUID) -> None: ...
