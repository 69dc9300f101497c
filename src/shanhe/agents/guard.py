"""What text of strangers can't achieve: the checks between a model that was talked over, and the world. Pure.

A model can be persuaded of anything by what it reads, so nothing here asks the model. Texts are shown between marks
that nobody can forge; what leaves through a tool's arguments and what is said to the asker is compared with where it
may have come from. A check that can't be made refuses.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_plus

from shanhe.retrieval.api import visible

COPY_MIN_CHARS: Final = 16
"""So many signs in a row, spaces and punctuation left out, are a copy."""
ENCODED_MIN_CHARS: Final = 20
VALUES_MAX: Final = 2_000
DEPTH_MAX: Final = 12
VALUE_MAX_CHARS: Final = 64 * 1024
TOOL_TEXT_MAX_CHARS: Final = 60_000
SECRETS: Final = (
    re.compile(r"sk-(?:sh-|ant-|proj-)?[A-Za-z0-9_-]{20,}"),
    re.compile(r"\b(?:AKIA|ASIA|LTAI|AKID)[A-Za-z0-9]{12,}"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    re.compile(r"(?i)\b(?:password|passwd|secret|api[_-]?key|token|口令|密码)\s*[:=：]\s*[^\s\"',;]{8,}"),
)
ADDRESS: Final = re.compile(
    r"(?i)(?:[a-z][a-z0-9+.-]{1,12}:)?//[^\s\"'<>()\[\]，。；、]+|\b(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}\b(?:/[^\s\"'<>)]*)?"
    r"|\b(?:\d{1,3}\.){3}\d{1,3}\b"
)
SHOWN_ADDRESS: Final = re.compile(
    r"(?i)(?:[a-z][a-z0-9+.-]{1,12}:)?//[^\s\"'<>()\[\]，。；、]+|\bwww\.[^\s\"'<>()，。；、]+"
)
FILE: Final = re.compile(
    r"(?i)^[\w.-]+\.(?:pdf|docx?|xlsx?|pptx?|csv|txt|md|json|ya?ml|html?|png|jpe?g|py|sql|xml|zip)$"
)
HOST: Final = re.compile(r"(?i)^(?:[a-z][a-z0-9+.-]*:)?/*(?:[^/@]*@)?\[?([a-z0-9.:-]+?)\]?(?::\d+)?(?:[/?#]|$)")
IMAGE: Final = re.compile(r"!\[([^\]]*)\]\s*(?:\([^)]*\)|\[[^\]]*\])|<img\b[^>]*>", re.I)
TAG: Final = re.compile(
    r"</?(?:a|iframe|script|object|embed|form|link|svg|video|audio|source|style|meta|base)\b[^>]*>", re.I
)
LINK: Final = re.compile(r"\[([^\]]*)\]\s*\(([^)]*)\)")
REMOVED_LINK, REMOVED_SECRET, REMOVED_PERSONAL = "〔链接已移除〕", "〔密钥已移除〕", "〔个人信息已移除〕"
MARKS: Final = re.compile(r"</?\s*(?:tool_data|资料)[^>]{0,80}>?", re.I)
PERSONAL_MASKED: Final = frozenset({"id_number", "bank_card"})
_PLAIN: Final = re.compile(r"[^\w]|_")
_BASE64: Final = re.compile(rf"[A-Za-z0-9+/_=-]{{{ENCODED_MIN_CHARS},}}")
_HEX: Final = re.compile(rf"(?:[0-9a-fA-F]{{2}}[\s:,]?){{{ENCODED_MIN_CHARS // 2},}}")
Personal = Callable[[str], Iterable[tuple[str, str]]]
"""Personal data in a text: (kind, the text of it)."""


def marked(text: str, nonce: str) -> str:
    """A tool's answer as a model is shown it."""
    plain = MARKS.sub("", visible(text)[:TOOL_TEXT_MAX_CHARS])
    return f"<tool_data {nonce}>\n{plain}\n</tool_data {nonce}>"


def plain(text: str) -> str:
    """Letters and digits alone, so that a copy is found however it is spaced."""
    return _PLAIN.sub("", visible(text)).lower()


class Guard:
    """Checks of one run. `said`: what its asker and its maker wrote, which may go anywhere; `kept`: texts of bases."""

    def __init__(
        self, said: Sequence[str], kept: Sequence[str], *, personal: Personal | None = None, open_egress: bool = False
    ) -> None:
        self._said = "\n".join(said)
        self._said_plain = plain(self._said)
        self._said_hosts = frozenset(hosts(self._said))
        self._kept = _windows(plain("".join(kept)))
        self._personal = personal
        self._open = open_egress
        self._sent = ""

    def refusal(self, arguments: Mapping[str, Any]) -> str | None:
        """Why a tool may not be handed these arguments; None when it may."""
        try:
            values = _values(arguments)
            sent = self._sent + "".join(values)
            for text in spellings([*values, sent]):
                why = self._why(text)
                if why is not None:
                    return why
        except (ValueError, RecursionError, UnicodeError):
            return "arguments_not_checkable"
        self._sent = sent[-VALUE_MAX_CHARS:]  # a text handed on piece by piece is handed on
        return None

    def _why(self, text: str) -> str | None:
        if any(pattern.search(text) for pattern in SECRETS):
            return "secret_in_arguments"
        if any(plain(what) not in self._said_plain for _, what in self._found(text)):
            return "personal_data_in_arguments"
        if self._open:
            return None
        if self._copied(text):
            return "knowledge_in_arguments"
        if any(host not in self._said_hosts for host in hosts(text)):
            return "unknown_address_in_arguments"
        return None

    def _found(self, text: str) -> list[tuple[str, str]]:
        return [] if self._personal is None else list(self._personal(text))

    def _copied(self, text: str) -> bool:
        """Whether a text holds a piece of a base that the asker did not write too."""
        for spelled in (text, text[::-1]):
            signs = plain(spelled)
            for at in range(len(signs) - COPY_MIN_CHARS + 1):
                piece = signs[at : at + COPY_MIN_CHARS]
                if piece in self._kept and piece not in self._said_plain:
                    return True
        return False

    def answer(self, text: str) -> str:
        """An answer without what may not be shown: secrets, ID and card numbers, and (unless egress is open) images and
        addresses that neither asker nor maker gave: a picture that is fetched carries out what its address says."""
        text = visible(text) if self._open else self._without_links(visible(text))
        for pattern in SECRETS:
            text = pattern.sub(REMOVED_SECRET, text)
        for kind, what in self._found(text):
            if kind in PERSONAL_MASKED and plain(what) not in self._said_plain:
                text = text.replace(what, REMOVED_PERSONAL)
        return text

    def _without_links(self, text: str) -> str:
        text = TAG.sub("", IMAGE.sub(lambda found: found[1] or "", text))
        text = LINK.sub(lambda found: f"[{found[1]}]({found[2]})" if self._known(found[2]) else found[1], text)
        return SHOWN_ADDRESS.sub(lambda found: found[0] if self._known(found[0]) else REMOVED_LINK, text)

    def _known(self, address: str) -> bool:
        found = hosts(address)
        return all(host in self._said_hosts for host in found) if found else not address.strip().startswith("//")


def removed(before: str, after: str) -> tuple[str, ...]:
    """What `Guard.answer` took out of a text, in the words of records."""
    marks = ((REMOVED_SECRET, "secret_removed"), (REMOVED_PERSONAL, "personal_removed"), (REMOVED_LINK, "link_removed"))
    found = [rule for mark, rule in marks if after.count(mark) > before.count(mark)]
    shown = visible(before)
    if any(len(pattern.findall(after)) < len(pattern.findall(shown)) for pattern in (IMAGE, TAG, LINK)):
        found.append("markup_removed")
    return tuple(found)


def hosts(text: str) -> list[str]:
    """Names and numbers of machines that a text mentions."""
    found = []
    for address in ADDRESS.findall(text):
        if FILE.match(address):
            continue
        match = HOST.match(address)
        if match is not None:
            found.append(match[1].lower().rstrip("."))
    return found


def _values(arguments: Any, deep: int = 0) -> list[str]:
    """All texts in arguments, keys too; ValueError when there are too many or they are nested too deep."""
    if deep > DEPTH_MAX:
        raise ValueError("nested too deep")
    if isinstance(arguments, Mapping):
        parts = [text for value in arguments.values() for text in _values(value, deep + 1)]
        parts += map(str, arguments)  # behind the values, so that a text in several of them is one
    elif isinstance(arguments, list | tuple):
        parts = [text for value in arguments for text in _values(value, deep + 1)]
        parts.append("".join(value for value in arguments if isinstance(value, str)))
    else:
        parts = [str(arguments)] if arguments is not None else []
    if len(parts) > VALUES_MAX or any(len(part) > VALUE_MAX_CHARS for part in parts):
        raise ValueError("too much")
    return parts


def spellings(values: Sequence[str]) -> list[str]:
    """The texts, their whole, and what they are when percent, base64 or hex is taken off, twice over."""
    found = [*values, "".join(values)]
    layer = list(found)
    for _ in range(2):
        layer = [text for one in layer for text in _decoded(one)]
        found += layer
    return found


def _decoded(text: str) -> list[str]:
    found = []
    if "%" in text or "+" in text:
        once = unquote_plus(text)
        if once != text:
            found.append(once)
    for word in _BASE64.findall(text):
        raw = word.replace("-", "+").replace("_", "/").rstrip("=")
        try:
            found.append(base64.b64decode(raw + "=" * (-len(raw) % 4)).decode())
        except (binascii.Error, UnicodeDecodeError):
            continue
    for word in _HEX.findall(text):
        try:
            found.append(bytes.fromhex(re.sub(r"[^0-9a-fA-F]", "", word)).decode())
        except ValueError:
            continue
    return found


def _windows(text: str) -> frozenset[str]:
    return frozenset(text[at : at + COPY_MIN_CHARS] for at in range(len(text) - COPY_MIN_CHARS + 1))
