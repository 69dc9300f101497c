"""Free text at the door: normalised, bounded, without control characters; and what look-ups compare."""

from __future__ import annotations

import re
import unicodedata

from shanhe.identity.errors import BadText

NAME_MAX = 100
ORG_NAME_MAX = 200
LOGIN_MAX = 64
EMAIL_MAX = 254
PHONE_MAX = 32
PASSWORD_MIN = 10
PASSWORD_MAX = 256
NOTE_MAX = 2000
REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
LOGIN = re.compile(r"^[^\s@:/\\]+$")
EMAIL = re.compile(r"^[^\s@<>\"',;]+@[^\s@<>\"',;]+\.[^\s@<>\"',;]+$")
PHONE = re.compile(r"^\+?[0-9]{5,20}$")


def clean(field: str, text: str, limit: int, *, least: int = 1, lines: bool = False) -> str:
    """`text` in NFC without surrounding space; BadText when too short, too long, or with control characters.

    Direction overrides are refused with them: they let one name pass for another. `lines` permits line breaks.
    """
    if len(text) > limit * 4:  # before any work on it
        raise BadText(field, f"at most {limit} characters", f"最多 {limit} 个字符")
    tidy = unicodedata.normalize("NFC", text).strip()
    if not least <= len(tidy) <= limit:
        raise BadText(field, f"{least} to {limit} characters", f"应为 {least} 至 {limit} 个字符")
    for char in tidy:
        if lines and char in "\n\t":
            continue
        if char in BIDI_CONTROLS or unicodedata.category(char) in REFUSED_CATEGORIES:
            raise BadText(field, "contains control characters", "含有控制字符")
    return tidy


def login_key(text: str) -> str:
    """A login as look-ups compare it: NFKC, case folded, no spaces or @."""
    key = unicodedata.normalize("NFKC", clean("login", text, LOGIN_MAX, least=2)).casefold()
    if not LOGIN.match(key):
        raise BadText("login", "spaces and the characters @ : / \\ are not possible", "不能含空格或 @ : / \\")
    return key


def email_key(text: str) -> str:
    """An e-mail address as look-ups compare it; BadText when it is none."""
    key = clean("email", text, EMAIL_MAX, least=3).lower()
    if not EMAIL.match(key):
        raise BadText("email", "not an e-mail address", "不是有效的邮箱地址")
    return key


def sign_in_key(text: str) -> str:
    """What a typed sign-in name is counted by: one for all ways to write a name, whether or not somebody has it."""
    for key_of in (email_key, login_key):
        try:
            return key_of(text)
        except BadText:
            continue
    return text.strip().casefold()


def phone_key(text: str) -> str:
    """A telephone number as look-ups compare it: digits with the country's code, China's when there is none."""
    digits = re.sub(r"[\s().-]", "", clean("phone", text, PHONE_MAX, least=5))
    if not PHONE.match(digits):
        raise BadText("phone", "not a telephone number", "不是有效的电话号码")
    if digits.startswith("00"):
        return "+" + digits[2:]
    return digits if digits.startswith("+") else "+86" + digits.lstrip("0")


def new_password(text: str) -> str:
    """A password good enough to store: long, bounded, any characters (NFC, so that every keyboard agrees)."""
    password = unicodedata.normalize("NFC", text)
    if len(password) < PASSWORD_MIN:
        raise BadText("password", f"at least {PASSWORD_MIN} characters", f"至少 {PASSWORD_MIN} 个字符")
    if len(password) > PASSWORD_MAX:
        raise BadText("password", f"at most {PASSWORD_MAX} characters", f"最多 {PASSWORD_MAX} 个字符")
    return password


def safe_path(text: str) -> str:
    """A path of this site to go to after signing in; `/` for anything that could lead elsewhere."""
    printable = all(char.isprintable() for char in text)
    if not printable or len(text) > 500 or not text.startswith("/") or text[1:2] in ("/", "\\"):
        return "/"
    return text
