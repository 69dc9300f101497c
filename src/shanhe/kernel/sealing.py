"""Texts that parties write: plain for an organisation, unreadable without the person's key for a person.

A sealed text lives in the same column as a plain one, marked by a control character that no checked text can contain.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.vault import PersonErased, Vault

MARK: Final = "\x1e"
OWNERS_KEPT: Final = 20_000
PersonOf = Callable[[UUID], Awaitable[UUID | None]]
"""The person behind an organisation of one; None for any other."""


def sealed(stored: str) -> bool:
    """Whether a stored text is a person's and sealed."""
    return stored.startswith(MARK)


class Seals:
    """Seals and opens texts of parties. Without a vault (for trying a module alone) texts stay as they are."""

    def __init__(self, vault: Vault | None = None, person_of: PersonOf | None = None) -> None:
        self._vault = vault
        self._person_of = person_of
        self._owners: OrderedDict[UUID, UUID | None] = OrderedDict()

    async def seal(self, org_id: UUID, field: str, text: str) -> str:
        """What to store of a text; empty stays empty, and what concerns an erased person is not kept."""
        person = await self._person(org_id)
        if person is None or not text or self._vault is None:
            return text
        try:
            return MARK + base64.b64encode(self._vault.encrypt(person, field, text)).decode()
        except PersonErased:
            return MARK  # nobody is left to read it

    async def open(self, org_id: UUID, field: str, stored: str) -> str:
        """The text; empty when its person was erased."""
        if not sealed(stored):
            return stored
        person = await self._person(org_id)
        if person is None or self._vault is None:
            return ""
        try:
            return self._vault.decrypt(person, field, base64.b64decode(stored[len(MARK) :]))
        except PersonErased:
            return ""

    async def opened(self, org_id: UUID, place: str, row: Mapping[str, Any], *fields: str) -> dict[str, Any]:
        """A row with these fields opened; each was sealed as `place.field`."""
        values = dict(row)
        for field in fields:
            values[field] = await self.open(org_id, f"{place}.{field}", values[field])
        return values

    async def personal(self, org_id: UUID) -> bool:
        """Whether an organisation is one person."""
        return await self._person(org_id) is not None

    async def _person(self, org_id: UUID) -> UUID | None:
        if self._person_of is None:
            return None
        if org_id not in self._owners:
            self._owners[org_id] = await self._person_of(org_id)
            if len(self._owners) > OWNERS_KEPT:
                self._owners.popitem(last=False)
        return self._owners[org_id]
