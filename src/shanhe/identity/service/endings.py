"""Invitations that end by themselves: with the power of who gave them, or with time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from shanhe.identity.arrival_model import InvitationState
from shanhe.identity.service.base import Ground
from shanhe.identity.store import arrivals as store
from shanhe.kernel.ids import new_id

NAMING: Final = frozenset({"members", "accounts"})
"""Either lets one ask people into an organisation."""
ANSWERED_TOPIC: Final = "identity.invitation_answered"
"""Key: the invitation; payload: `org`, `state` (`accepted`, `declined`, `withdrawn`, `lapsed`)."""
FROZEN_TOPIC: Final = "identity.org_frozen"
"""Payload: `org`."""
UNFROZEN_TOPIC: Final = "identity.org_unfrozen"
"""Payload: `org`."""


async def take_back(
    ground: Ground, conn: Any, *, org_id: UUID | None = None, by: str | None = None, person_id: UUID | None = None,
    but: Sequence[UUID] = (),
) -> None:  # fmt: skip
    """Whatever is pending of an organisation, by somebody, to somebody is over; see the store."""
    rows = await store.take_back(conn, ground.now(), org_id=org_id, by=by, person_id=person_id, but=but)
    await _over(ground, conn, rows, InvitationState.WITHDRAWN)


async def freeze_ends(ground: Ground, conn: Any, org_id: UUID) -> None:
    """Whatever is pending of an organisation that is frozen is over, and other modules hear of it."""
    await take_back(ground, conn, org_id=org_id)
    if ground.announce is not None:
        await ground.announce(conn, FROZEN_TOPIC, str(new_id()), {"org": str(org_id)})


async def lapse(ground: Ground, conn: Any, org_id: UUID | None = None) -> None:
    """What nobody answered in time is over."""
    await _over(ground, conn, await store.lapse(conn, ground.now(), org_id), InvitationState.LAPSED)


async def _over(ground: Ground, conn: Any, rows: Sequence[Any], state: InvitationState) -> None:
    if ground.announce is not None:
        for row in rows:
            payload = {"org": str(row["org_id"]), "state": str(state)}
            await ground.announce(conn, ANSWERED_TOPIC, str(row["id"]), payload)
