"""Keys by which organisations pay for what nobody's own key does: knowledge, judges."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from shanhe.identity.api import Identity, NewKey

KEYS_LOOKED_AT: Final = 1_000


class Payers:
    """One key of a name for each organisation, with a token that nobody ever saw; made the first time it is needed."""

    def __init__(self, identity: Identity, name: str) -> None:
        self.identity = identity
        self._name = name
        self._known: dict[UUID, UUID] = {}

    async def key_of(self, org_id: UUID) -> UUID:
        """The key of an organisation."""
        known = self._known.get(org_id)
        if known is not None:
            return known
        keys = await self.identity.keys.list(org_id, limit=KEYS_LOOKED_AT)
        found = next((key.id for key in keys if key.name == self._name and key.revoked_at is None), None)
        if found is None:
            found = (await self.identity.keys.create(org_id, NewKey(self._name), by=self._name.strip("~")))[0].id
        self._known[org_id] = found
        return found
