"""Keys by which organisations pay for what nobody's own key does: knowledge, judges, workflows, evaluations."""

from __future__ import annotations

from uuid import UUID

from shanhe.identity.api import Identity


class Payers:
    """One key of a name for each organisation; nothing is remembered here, so that a revocation counts with the next
    use in every process."""

    def __init__(self, identity: Identity, name: str) -> None:
        self.identity = identity
        self._name = name

    async def key_of(self, org_id: UUID) -> UUID:
        """The key of an organisation, made the first time and after the one before was revoked."""
        return await self.identity.keys.house(org_id, self._name, by=self._name.strip("~"))
