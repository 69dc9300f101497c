"""What parties write: plain for an organisation, unreadable without the person's key for a person.

A sealed text lives in the same column as a plain one, marked by a control character that no checked text can contain;
a sealed JSON value is an object of one member of that name; sealed bytes begin with a magic number.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.vault import PersonErased, PersonKey, Vault

MARK: Final = "\x1e"
MAGIC: Final = b"\x1eshanhe-sealed-1\n"
PIECE_BYTES: Final = 64 * 1024
EXTRA_BYTES: Final = 1 + 12 + 16
"""What sealing adds to a piece: version, nonce, tag."""
OWNERS_KEPT: Final = 20_000
PAYER_INDEX: Final = "payer-name"
"""The blind index of names as banks write them."""
PeopleOf = Callable[[Collection[UUID]], Awaitable[Mapping[UUID, UUID | None]]]
"""The person behind each organisation of one; None, or nothing, for any other."""


def payer_key(name: str) -> str:
    """A name as payers are compared: width, case and spaces don't matter."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def sealed(stored: str) -> bool:
    """Whether a stored text is a person's and sealed."""
    return stored.startswith(MARK)


class Seal:
    """One party's seal. It holds an opened key: for one piece of work, never to be kept.

    What concerns an erased person is not kept, and reads as empty.
    """

    def __init__(self, *, personal: bool, key: PersonKey | None) -> None:
        self.personal = personal
        self._key = key

    @property
    def erased(self) -> bool:
        """Whether its person was erased."""
        return self.personal and self._key is None

    def text(self, field: str, text: str) -> str:
        """What to store of a text; empty stays empty."""
        if not self.personal or not text:
            return text
        return MARK + (base64.b64encode(self._key.encrypt(field, text)).decode() if self._key is not None else "")

    def open(self, field: str, stored: str) -> str:
        """The text; empty when its person was erased."""
        if not sealed(stored):
            return stored
        if self._key is None or stored == MARK:
            return ""
        return self._key.decrypt(field, base64.b64decode(stored[len(MARK) :]))

    def json(self, field: str, value: Any) -> Any:
        """What to store of a JSON value; nothing stays nothing."""
        if not self.personal or not value:
            return value
        if self._key is None:
            return {MARK: ""}
        plain = msgspec.json.encode(value, enc_hook=str)
        return {MARK: base64.b64encode(self._key.encrypt_bytes(field, plain)).decode()}

    def open_json(self, field: str, stored: Any, empty: Any = None) -> Any:
        """The value; `empty` when its person was erased."""
        if not isinstance(stored, dict) or set(stored) != {MARK}:
            return stored
        if self._key is None or not stored[MARK]:
            return empty
        return msgspec.json.decode(self._key.decrypt_bytes(field, base64.b64decode(stored[MARK])))

    def opened(self, place: str, row: Mapping[str, Any], *fields: str) -> dict[str, Any]:
        """A row with these texts opened; each was sealed as `place.field`."""
        return dict(row) | {field: self.open(f"{place}.{field}", row[field]) for field in fields}

    # -- bytes, in pieces so that a part can be read alone -------------------------------------------------------------

    def pieces(self, field: str, data: Iterable[bytes]) -> Iterator[bytes]:
        """What to store of bytes that come in pieces of any size."""
        if not self.personal:
            yield from data
            return
        yield MAGIC
        if self._key is None:
            return
        number, waiting = 0, bytearray()
        for one in data:
            waiting += one
            while len(waiting) >= PIECE_BYTES:
                yield self._key.encrypt_bytes(f"{field}#{number}", bytes(waiting[:PIECE_BYTES]))
                del waiting[:PIECE_BYTES]
                number += 1
        yield self._key.encrypt_bytes(f"{field}#{number}", bytes(waiting))

    def part(self, field: str, read: Callable[[int, int], bytes], start: int = 0, length: int = -1) -> bytes:
        """Bytes from `start` out of what `pieces` stored; `read(at, size)` reads the store, size -1 to its end."""
        if read(0, len(MAGIC)) != MAGIC:
            return read(start, length)
        if self._key is None:
            return b""
        first = start // PIECE_BYTES
        most = -1 if length < 0 else (start + length - 1) // PIECE_BYTES + 1 - first
        step = PIECE_BYTES + EXTRA_BYTES
        stored = read(len(MAGIC) + first * step, -1 if most < 0 else most * step)
        plain = b"".join(
            self._key.decrypt_bytes(f"{field}#{first + at // step}", stored[at : at + step])
            for at in range(0, len(stored), step)
        )
        skip = start - first * PIECE_BYTES
        return plain[skip:] if length < 0 else plain[skip : skip + length]


PLAIN: Final = Seal(personal=False, key=None)


class Seals:
    """Seals and opens texts of parties. Without a vault (for trying a module alone) texts stay as they are."""

    def __init__(self, vault: Vault | None = None, people_of: PeopleOf | None = None) -> None:
        self._vault = vault
        self._people_of = people_of
        self._owners: OrderedDict[UUID, UUID | None] = OrderedDict()

    async def of(self, org_id: UUID) -> Seal:
        """A party's seal, for several values at once."""
        return self.of_person(await self._person(org_id))

    def of_person(self, person: UUID | None) -> Seal:
        """The seal of a person; of nobody, none."""
        if person is None or self._vault is None:
            return PLAIN
        try:
            return Seal(personal=True, key=self._vault.opened(person))
        except PersonErased:
            return Seal(personal=True, key=None)

    async def seal(self, org_id: UUID, field: str, text: str) -> str:
        """What to store of a text; empty stays empty, and what concerns an erased person is not kept."""
        return text if not text else (await self.of(org_id)).text(field, text)

    async def open(self, org_id: UUID, field: str, stored: str) -> str:
        """The text; empty when its person was erased."""
        return stored if not sealed(stored) else (await self.of(org_id)).open(field, stored)

    async def opened(self, org_id: UUID, place: str, row: Mapping[str, Any], *fields: str) -> dict[str, Any]:
        """A row with these fields opened; each was sealed as `place.field`."""
        if not any(sealed(row[field]) for field in fields):
            return dict(row)
        return (await self.of(org_id)).opened(place, row, *fields)

    async def personal(self, org_id: UUID) -> bool:
        """Whether an organisation is one person."""
        return await self._person(org_id) is not None

    async def of_all(self, org_ids: Iterable[UUID]) -> dict[UUID, Seal]:
        """The seal of each of these parties; one question however many they are."""
        return {org_id: self.of_person(person) for org_id, person in (await self._people(set(org_ids))).items()}

    async def _person(self, org_id: UUID) -> UUID | None:
        return (await self._people((org_id,)))[org_id]

    async def _people(self, org_ids: Collection[UUID]) -> dict[UUID, UUID | None]:
        """Who they are; an organisation never becomes another one, so what was told is kept."""
        if self._people_of is None:
            return dict.fromkeys(org_ids)
        known = {org_id: self._owners[org_id] for org_id in org_ids if org_id in self._owners}
        if unknown := [org_id for org_id in org_ids if org_id not in known]:
            told = await self._people_of(unknown)
            fresh = {org_id: told.get(org_id) for org_id in unknown}
            known |= fresh
            self._owners.update(fresh)
            while len(self._owners) > OWNERS_KEPT:
                self._owners.popitem(last=False)
        return known
