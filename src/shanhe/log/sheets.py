"""Sheets: postings with neighbouring ids, kept together in one row. Pure."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import msgspec

from shanhe.log.leaf import COMMIT, SALT_BYTES, Draft, Form
from shanhe.log.merkle import HASH_BYTES
from shanhe.log.tiles import bundle, unbundle

SHEET_MAX: Final = 256
SHEET_MIN: Final = 16
"""Fewer would be a row each in two tables either way."""
SPAN_MS: Final = 10 * 60 * 1000
"""Between the ids of one sheet, so that an id lies in the spans of few."""
VERSION_BYTE: Final = 6
TIME_BYTES: Final = 6
"""A UUID of version 7 begins with the millisecond in which it was made."""
SHREDDED: Final = bytes(SALT_BYTES)
MARKED_BYTES: Final = 1 + HASH_BYTES
"""A form's number and a commitment."""


class Sheet(msgspec.Struct, frozen=True):
    """Entries that follow each other in the log, in the order of their subjects."""

    drafts: list[Draft]

    @property
    def salts(self) -> bytes:
        return b"".join([draft.salt or SHREDDED for draft in self.drafts])


def packed(drafts: Sequence[Draft]) -> tuple[bytes, bytes]:
    """Entries as a sheet keeps them: their forms, which are entries without a commitment, and what differs."""
    forms: dict[Form | None, bytes] = {}
    found: list[bytes] = []
    for draft in drafts:
        number = forms.get(draft.form)
        if number is None:
            number = forms[draft.form] = bytes((len(forms),))
        found += number, draft.commit
    return bundle(form.before + form.after for form in forms if form is not None), b"".join(found)


def unpacked(forms: bytes | None, data: bytes) -> list[bytes]:
    """The entries of a sheet; those sealed by an earlier release have no forms and stand there whole."""
    if forms is None:
        return unbundle(data)
    halves = [form.partition(COMMIT) for form in unbundle(forms)]
    found = []
    for at in range(0, len(data), MARKED_BYTES):
        before, commit, after = halves[data[at]]
        found.append(before + commit + b2a_base64(data[at + 1 : at + MARKED_BYTES], newline=False) + after)
    return found


def arrange(drafts: Sequence[Draft]) -> tuple[list[Sheet], list[Draft]]:
    """What goes into sheets, and the others in the order they had.

    A posting whose id tells no time, or another time than those of the batch, is a row of its own.
    """
    timed: list[tuple[bytes, Draft]] = []
    rest: list[Draft] = []
    for draft in drafts:
        raw = draft.subject.bytes
        if draft.form is not None and raw[VERSION_BYTE] >> 4 == 7:
            timed.append((raw, draft))
        else:
            rest.append(draft)
    timed.sort(key=itemgetter(0))
    sheets: list[Sheet] = []
    single: list[Draft] = []
    at = 0
    while at < len(timed):
        end, latest = min(at + SHEET_MAX, len(timed)), _ms(timed[at][0]) + SPAN_MS
        while _ms(timed[end - 1][0]) > latest:
            end -= 1
        piece = [draft for _, draft in timed[at:end]]
        if len(piece) < SHEET_MIN:
            single += piece
        else:
            sheets.append(Sheet(piece))
        at = end
    return sheets, single + rest


def _ms(raw: bytes) -> int:
    return int.from_bytes(raw[:TIME_BYTES], "big")
