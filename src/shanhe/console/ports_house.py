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

    async def left(self, who: m.Who, person_id: UUID | None = None) -> Sequence[Mapping[str, Any]]:
        """What one person would leave behind, or what those who are gone did: `kind`, `id`, `name`, `made_at`."""
        ...

    async def remove(self, who: m.Who, person_id: UUID, fate: str, grace_s: int) -> Sequence[Mapping[str, Any]]:
        """End a membership, and what became of what is left: `kind`, `name`, `fate`, `secret`, `problem`. `fate`:
        `take`, `end` or `later`, empty where nobody said."""
        ...

    async def settle(self, who: m.Who, kind: str, left_id: UUID, fate: str, grace_s: int) -> Mapping[str, Any]:
        """Take over or end one thing of somebody who is gone."""
        ...
