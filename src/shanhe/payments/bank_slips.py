"""What a bank statement says of whoever paid: sealed with a key of that line alone, since nobody knows yet whose it is.

A line that names one of our orders of a person keeps nothing of this. Of the others the names can be looked for by a
keyed hash, so that an erased person's are found without reading any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID, uuid5

from shanhe.kernel.sealing import PAYER_INDEX, Seal, Seals, payer_key
from shanhe.kernel.vault import Vault
from shanhe.payments.bank_model import BankLine, LineState, Parsed, Suspense, masked

TEXT_LIMIT_CHARS: Final = 200
TWICE: Final = "the same serial again in this statement · 本对账单内流水号重复"
SPACE: Final = UUID("0d7f6f0a-1f6d-5c55-9a39-64f1d3a0c1b7")
PRINT, PARTY, ACCOUNT, REMARK, STATE, WHY = 2, 6, 7, 8, 9, 10
"""Places in a row on its way to the store: file_hash, row, print, direction, amount, at, party, account, remark, …"""


class Slips:
    """Seals and opens lines of statements."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._seals = Seals(vault)

    def sealed(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A row to keep, the payer's keyed hash at its end. What quotes a cell (why it can't be read) is sealed too."""
        party, account, remark, why = row[PARTY], row[ACCOUNT], row[REMARK], row[WHY]
        quotes = row[STATE] == LineState.REFUSED
        if not (party or account or (quotes and why)):
            return (*row, None)
        self._vault.create(_key(row[0], row[1]))
        seal = self._seal(row[0], row[1])
        index = self._vault.blind_index(PAYER_INDEX, payer_key(party)) if party else None
        kept = (seal.text("party", party), seal.text("account", account), seal.text("remark", remark))
        return (*row[:PARTY], *kept, row[STATE], seal.text("why", why) if quotes else why, index)

    def opened(self, line: BankLine) -> BankLine:
        """A line as it was; without its texts when their key is gone."""
        seal = self._seal(line.file_hash, line.row)
        return replace(
            line, party=seal.open("party", line.party), party_account=seal.open("account", line.party_account),
            remark=seal.open("remark", line.remark), why=seal.open("why", line.why),
        )  # fmt: skip

    def note(self, item: Suspense, note: str) -> str:
        """What an operator says of an item, to keep."""
        seal = self._seal(item.file_hash, item.row)
        return seal.text("note", note) if self._vault.exists(_key(item.file_hash, item.row)) else note

    def noted(self, item: Suspense) -> Suspense:
        return replace(item, note=self._seal(item.file_hash, item.row).open("note", item.note))

    def destroy(self, file_hash: str, row: int) -> None:
        self._vault.destroy(_key(file_hash, row))

    def _seal(self, file_hash: str, row: int) -> Seal:
        return self._seals.of_person(_key(file_hash, row))


def _key(file_hash: str, row: int) -> UUID:
    """The line's key goes by an id of its own, like a person's."""
    return uuid5(SPACE, f"{file_hash}:{row}")


def rows_of(file_hash: str, parsed: Sequence[Parsed]) -> list[tuple[Any, ...]]:
    """Rows for the store. A line that is there twice under the bank's own serial is one transaction; equal lines that
    no serial tells apart are told apart by their number among each other."""
    serials = _serials(parsed)
    seen: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    for one in parsed:
        mark, state, why = None, LineState.REFUSED if one.why else LineState.NEW, one.why
        if not one.why:
            text = _said(one)
            seen[text] = seen.get(text, 0) + 1
            if seen[text] > 1 and one.serial in serials:
                state, why = LineState.DUPLICATE, TWICE
            mark = hashlib.sha256(f"{text}\x1f{seen[text]}".encode()).hexdigest()
        rows.append((file_hash, one.row, mark, one.direction, one.amount_fen, one.at, one.party[:TEXT_LIMIT_CHARS],
                     masked(one.party_account), one.remark[:TEXT_LIMIT_CHARS], state, why))  # fmt: skip
    return rows


def _said(one: Parsed) -> str:
    parts = (one.serial, one.at, one.direction, one.amount_fen, one.party, one.party_account, one.remark)
    return "\x1f".join(map(str, parts))


def _serials(parsed: Sequence[Parsed]) -> set[str]:
    """Serials that name one transaction: not empty or zero, and not on lines that differ otherwise."""
    named: dict[str, set[str]] = {}
    for one in parsed:
        if not one.why and one.serial.strip("0-"):
            named.setdefault(one.serial, set()).add(_said(one))
    return {serial for serial, said in named.items() if len(said) == 1}
