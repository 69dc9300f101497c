"""Personal data in texts: found by form and check digit, so that a long number is not taken for somebody's.

ID numbers: GB 11643-1999 (check digit by ISO 7064 MOD 11-2, a birthday that exists). Bank cards: ISO/IEC 7812 (Luhn).
Addresses and names of roads have no check; what is found there is likely, not certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

import msgspec

KINDS: Final = ("id_number", "bank_card", "phone", "email", "address")
MASKS: Final = {
    "id_number": "〔身份证号〕", "bank_card": "〔银行卡号〕", "phone": "〔电话〕", "email": "〔邮箱〕",
    "address": "〔地址〕",
}  # fmt: skip
WIDE: Final = {0xFF10 + digit: ord("0") + digit for digit in range(10)} | {
    0xFF38: ord("X"),
    0xFF58: ord("x"),
    0xFF0D: ord("-"),
}
"""Full-width digits count as digits; one sign for one sign, so places stay."""
_ID: Final = re.compile(r"(?<![0-9A-Za-z])[1-8]\d{5}(?:19|20)\d{9}[0-9Xx](?![0-9A-Za-z])")
_CARD: Final = re.compile(r"(?<![0-9])[3-6]\d{3}(?:[ -]?\d{4}){2}(?:[ -]?\d{1,4}){1,2}(?![0-9])")
_PHONE: Final = re.compile(
    r"(?<![0-9])(?:(?:\+|00)?86[ -]?)?1[3-9]\d(?:[ -]?\d{4}){2}(?![0-9])|(?<![0-9])0\d{2,3}-\d{7,8}(?![0-9])"
)
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}")
_ADDRESS: Final = re.compile(
    r"(?:[\u4e00-\u9fff]{2,9}(?:省|自治区|市|州|区|县|旗|镇|乡|街道)){0,4}"
    r"[\u4e00-\u9fff]{1,12}(?:(?<![电线回管油气水])路|街|大道|巷|弄|胡同|村|小区|花园|苑)[\u4e00-\u9fff0-9A-Za-z-]{0,12}?"
    r"\d{1,5}(?:号|弄|栋|幢|座|单元|室)(?:[0-9A-Za-z\u4e00-\u9fff-]{0,12}?(?:栋|幢|座|楼|单元|室|户))*"
)
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
CARD_DIGITS: Final = range(15, 20)


class Finding(msgspec.Struct, frozen=True):
    """Personal data at [start, end) of a text."""

    kind: str
    start: int
    end: int


def id_number(text: str) -> bool:
    """Whether 18 signs are an ID number: birthday and check digit."""
    if len(text) != 18 or not text[:17].isdigit():
        return False
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, _WEIGHTS, strict=False))
    return _CHECKS[total % 11] == text[17].upper()


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check of the others."""
    total = 0
    for at, sign in enumerate(reversed(digits)):
        digit = int(sign) * (2 if at % 2 else 1)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


def find(text: str) -> list[Finding]:
    """Personal data in a text, in order, never overlapping; the more certain kind wins."""
    taken: list[Finding] = []
    for one in _candidates(text.translate(WIDE)):
        if all(one.end <= other.start or one.start >= other.end for other in taken):
            taken.append(one)
    return sorted(taken, key=lambda one: one.start)


def personal_data(text: str) -> list[tuple[str, str]]:
    """(kind, what stands there) of personal data in a text."""
    return [(one.kind, text[one.start : one.end]) for one in find(text)]


def _candidates(text: str) -> Iterator[Finding]:
    for match in _ID.finditer(text):
        if id_number(match.group()):
            yield Finding("id_number", match.start(), match.end())
    for match in _PHONE.finditer(text):
        yield Finding("phone", match.start(), match.end())
    for match in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", match.group())
        if len(digits) in CARD_DIGITS and luhn(digits):
            yield Finding("bank_card", match.start(), match.end())
    for kind, pattern in (("email", _EMAIL), ("address", _ADDRESS)):
        for match in pattern.finditer(text):
            yield Finding(kind, match.start(), match.end())


def masked(text: str, findings: list[Finding]) -> str:
    """The text with each finding replaced by its kind."""
    parts, at = [], 0
    for one in findings:
        parts += [text[at : one.start], MASKS[one.kind]]
        at = one.end
    return "".join([*parts, text[at:]])
