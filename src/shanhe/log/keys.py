"""The log's signing keys, in the keys folder: seeds are secrets of the vault, the ring beside them says which count.

A rotation makes a new key; the one before goes on to sign beside it, so that whoever holds either can verify. Both sign
the published key list, which is how a verifier with the old key learns the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from shanhe.kernel.vault import Vault
from shanhe.log.errors import ProofRefused
from shanhe.log.files import Folder
from shanhe.log.note import ED25519, Note, Signer, VerifierKey

RING: Final = "ring.json"
LIST_HEAD: Final = "shanhe-log-keys/v1"
LIST_KEYS_MAX: Final = 64


class KeyState(StrEnum):
    CURRENT = "current"
    PREVIOUS = "previous"
    RETIRED = "retired"


class LogKey(msgspec.Struct, frozen=True):
    """One key of the log; `number` names its secret."""

    number: int
    vkey: str
    since: date
    state: KeyState

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey.parse(self.vkey)


class Ring(msgspec.Struct, frozen=True):
    """The log's name for ever, and its keys, newest first."""

    origin: str
    keys: tuple[LogKey, ...]


class Keys:
    """Reads the ring, makes it on first use, rotates it. `origin` is asked for once in the log's life."""

    def __init__(self, vault: Vault, folder: Path, origin: Callable[[], str]) -> None:
        self._vault = vault
        self.folder = Folder(folder, mode=0o600)
        self._origin = origin

    def ring(self, today: date) -> Ring:
        """The ring; the first caller makes key and origin."""
        raw = self.folder.read(RING)
        if raw is None:
            with self.folder.locked():
                raw = self.folder.read(RING)
                if raw is None:
                    ring = self._with_new(Ring(self._origin(), ()), today)
                    raw = msgspec.json.encode(ring)
                    self.folder.write(RING, raw)
        return msgspec.json.decode(raw, type=Ring)

    def rotate(self, today: date) -> Ring:
        """A new current key; the current one becomes previous, the previous one retires."""
        self.ring(today)
        with self.folder.locked():
            ring = self._with_new(self.ring(today), today)
            self.folder.write(RING, msgspec.json.encode(ring))
        return ring

    def signers(self, ring: Ring) -> list[Signer]:
        """Who signs checkpoints: the current key, and the previous one beside it."""
        return [
            Signer(ring.origin, ED25519, self._vault.secret(_secret(key.number)))
            for key in ring.keys
            if key.state is not KeyState.RETIRED
        ]

    def published(self, ring: Ring) -> str:
        """The key list as a signed note."""
        lines = [LIST_HEAD, ring.origin, *(f"{key.state} {key.since} {key.vkey}" for key in ring.keys)]
        text = "\n".join(lines) + "\n"
        return str(Note(text, tuple(signer.sign(text) for signer in self.signers(ring))))

    def _with_new(self, ring: Ring, today: date) -> Ring:
        number = max((key.number for key in ring.keys), default=0) + 1
        signer = Signer(ring.origin, ED25519, self._vault.secret(_secret(number)))
        older = {KeyState.CURRENT: KeyState.PREVIOUS}
        rest = [msgspec.structs.replace(key, state=older.get(key.state, KeyState.RETIRED)) for key in ring.keys]
        first = LogKey(number, str(signer.verifier), today, KeyState.CURRENT)
        return Ring(ring.origin, (first, *rest[: LIST_KEYS_MAX - 1]))


def listed_keys(raw: str, known: Sequence[VerifierKey]) -> list[VerifierKey]:
    """Every key of a published list that one of `known` signed; ProofRefused otherwise."""
    note = Note.parse(raw)
    head, *rows = note.text.splitlines()
    signed = note.signed_by([key for key in known if key.kind == ED25519])
    if head != LIST_HEAD or not rows or len(rows) > LIST_KEYS_MAX + 1:
        raise ProofRefused("this is no key list", "这不是公钥列表")
    if not any(key.name == rows[0] for key in signed):
        raise ProofRefused("no given key signed this key list", "公钥列表没有已知公钥的签名")
    found = [VerifierKey.parse(row.split(" ", 2)[-1]) for row in rows[1:]]
    if any(key.name != rows[0] for key in found):
        raise ProofRefused("the key list names another log's key", "公钥列表含有其他日志的公钥")
    return found


def _secret(number: int) -> str:
    return f"log-key-{number}"
