"""Labels of what a model made, as the national measure on generated content asks: seen, and in metadata. Pure.

The metadata is the `AIGC` object of GB 45438-2025: `Label` 1 = generated, who produced it, an id of the piece; the
reserved code is this city's Ed25519 signature over the three and the content's hash, so that anybody can check a label
with the city's public key alone. A sound carries its label in its WAV file: in a chunk of its own, and as a comment
that common players show; pictures do so in their XMP, see `labelled_pictures`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shanhe.kernel import labelled_pictures

GENERATED: Final = "1"
FIELDS: Final = (
    "Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2",
)  # fmt: skip
"""The names of the measure, in its order."""
CONTEXT: Final = b"shanhe aigc label v1"
CHUNK: Final = b"AIGC"
NAMES: Final = ("人工智能", "AI")
DEEDS: Final = ("生成", "合成")
WAV_HEAD_BYTES: Final = 12
CHUNKS_MAX: Final = 64
WAV, MP3, ID3 = "audio/wav", "audio/mpeg", b"ID3"
ID3_HEAD_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found: `labelled` = there is a label; `genuine` = it is this city's, for exactly this content."""

    labelled: bool
    genuine: bool
    marked: bool
    producer: str
    content_id: str
    zh: str
    en: str


class Labels:
    """Makes a city's labels. `mark` is what people see; it must say that AI made the text."""

    def __init__(self, secret: bytes, producer: str, mark: str) -> None:
        if not is_mark(mark):
            raise ValueError("the mark must say AI (人工智能) and generated (生成)")
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self._producer = producer
        self._mark = mark

    @property
    def public_key(self) -> str:
        """What a label is checked with, base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def marked(self, text: str, by: str, content_id: str) -> str:
        """The text with the visible mark after it."""
        line = self._mark.replace("{by}", by).replace("{id}", content_id)
        return f"{text.rstrip()}\n\n{line}"

    def of(self, content_id: str, digest: bytes) -> dict[str, str]:
        """The metadata of a piece of content by its hash."""
        signature = self._key.sign(_signed(self._producer, content_id, digest))
        values = (GENERATED, self._producer, content_id, base64.urlsafe_b64encode(signature).decode(), "", "", "")
        return dict(zip(FIELDS, values, strict=True))

    def of_text(self, content_id: str, text: str) -> dict[str, str]:
        return self.of(content_id, text_digest(text))

    def media(self, content_id: str, kind: str, body: bytes) -> tuple[bytes, dict[str, str]]:
        """(file, label) of a picture or a sound: PNG, JPEG, WebP, WAV and MP3 carry the label inside, others have it
        beside them; ValueError for a picture that can't be read."""
        if kind in labelled_pictures.FORMS:
            picture, found = labelled_pictures.labelled(body, lambda digest: self.of(content_id, digest))
            return picture, dict(found)
        try:
            if kind == WAV:
                label = self.of(content_id, wav_digest(body))
                return with_label(body, label), label
        except ValueError:
            pass  # an engine's own idea of a WAV file: labelled beside it
        if kind == MP3:
            label = self.of(content_id, mp3_digest(body))
            return with_id3(body, label), label
        return body, self.of(content_id, hashlib.sha256(body).digest())

    def sound(self, content_id: str, wav: bytes) -> bytes:
        """A WAV file with its label inside; ValueError for another format."""
        return with_label(wav, self.of(content_id, wav_digest(wav)))


def is_mark(text: str) -> bool:
    """Whether a sentence says what the measure wants said."""
    return any(name in text for name in NAMES) and any(deed in text for deed in DEEDS)


def text_digest(text: str) -> bytes:
    """Hash of a text as it is read: composed signs, no blanks at its ends."""
    return hashlib.sha256(unicodedata.normalize("NFC", text).strip().encode()).digest()


def check_text(text: str, label: Mapping[str, object], public_key: str) -> Verdict:
    """Whether a text carries a mark and a label that is genuine for it."""
    return _verdict(label, text_digest(text), public_key, marked=is_mark(text))


def check_sound(sound: bytes, public_key: str) -> Verdict:
    """The same of a sound, WAV or MP3; ValueError for what is neither."""
    if sound[:3] != ID3:
        return check_wav(sound, public_key)
    return _verdict(label_in_id3(sound), mp3_digest(sound), public_key, marked=True)


def check_picture(picture: bytes, public_key: str) -> Verdict:
    """The same of a picture, PNG, JPEG or WebP; ValueError for what is neither. What is seen in it is not looked at."""
    digest = labelled_pictures.digest(picture)  # first: it bounds how many pieces are looked through for the label
    return _verdict(labelled_pictures.label_in(picture), digest, public_key, marked=False)


def check_wav(wav: bytes, public_key: str) -> Verdict:
    """The same of a sound; ValueError for what is no WAV file."""
    return _verdict(label_in(wav), wav_digest(wav), public_key, marked=True)


def _verdict(label: Mapping[str, object], digest: bytes, public_key: str, *, marked: bool) -> Verdict:
    producer, content_id = _said(label, "ContentProducer"), _said(label, "ProduceID")
    labelled = label.get("Label") == GENERATED and bool(producer and content_id)
    if not labelled:
        return Verdict(False, False, marked, producer, content_id, "没有标识", "There is no label.")
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        signature = base64.urlsafe_b64decode(str(label.get("ReservedCode1", "")))
        key.verify(signature, _signed(producer, content_id, digest))
    except (InvalidSignature, ValueError, binascii.Error):
        zh, en = "标识与内容不符，或不是该城市签发", "The label is not this city's, or not of this content."
        return Verdict(True, False, marked, producer, content_id, zh, en)
    return Verdict(True, True, marked, producer, content_id, "标识真实，内容未改动",
                   "The label is genuine and the content unchanged.")  # fmt: skip


def _said(label: Mapping[str, object], name: str) -> str:
    """What a label says, as anybody can be told it: JSON can name half a sign, which no answer can hold."""
    return str(label.get(name, "")).encode(errors="replace").decode()


def _signed(producer: str, content_id: str, digest: bytes) -> bytes:
    parts = (CONTEXT, GENERATED.encode(), producer.encode(), content_id.encode(), digest)
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


# -- sounds -----------------------------------------------------------------------------------------------------------


def _chunks(wav: bytes) -> list[tuple[bytes, bytes]]:
    if len(wav) < WAV_HEAD_BYTES or wav[:4] != b"RIFF" or wav[8:12] != b"WAVE":
        raise ValueError("it is no WAV file")
    found: list[tuple[bytes, bytes]] = []
    at = WAV_HEAD_BYTES
    while at + 8 <= len(wav) and len(found) < CHUNKS_MAX:
        name, size = wav[at : at + 4], struct.unpack("<I", wav[at + 4 : at + 8])[0]
        found.append((name, wav[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def wav_digest(wav: bytes) -> bytes:
    """Hash of what is heard: form and samples, whatever else the file says."""
    heard = hashlib.sha256()
    for name, body in _chunks(wav):
        if name in (b"fmt ", b"data"):
            heard.update(name + struct.pack("<I", len(body)) + body)
    return heard.digest()


def label_in(wav: bytes) -> dict[str, object]:
    """The label of a WAV file; empty without one."""
    for name, body in _chunks(wav):
        if name == CHUNK:
            try:
                found = json.loads(body.rstrip(b"\0").decode())
            except (ValueError, RecursionError):
                return {}
            label = found.get("AIGC") if isinstance(found, dict) else None
            return label if isinstance(label, dict) else {}
    return {}


def with_label(wav: bytes, label: Mapping[str, str]) -> bytes:
    """The same sound with a label, in the place of one that it had."""
    said = json.dumps({"AIGC": dict(label)}, ensure_ascii=False).encode()
    comment = b"INFO" + _chunk(b"ICMT", said + b"\0")
    kept = [(name, body) for name, body in _chunks(wav) if name != CHUNK and not _is_comment(name, body)]
    body = b"WAVE" + b"".join(_chunk(*one) for one in [*kept, (b"LIST", comment), (CHUNK, said)])
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _is_comment(name: bytes, body: bytes) -> bool:
    return name == b"LIST" and body[:4] == b"INFO" and b'"AIGC"' in body


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


# -- MP3: a tag of its own before the sound (ID3v2.4, a user's text frame) --------------------------------------------


def mp3_digest(sound: bytes) -> bytes:
    """Hash of what is heard, whatever its tag says."""
    return hashlib.sha256(sound[_tag_bytes(sound) :]).digest()


def with_id3(sound: bytes, label: Mapping[str, str]) -> bytes:
    """The same sound with its label in a tag, in the place of the tag that it had."""
    text = json.dumps({"AIGC": dict(label)}, ensure_ascii=False).encode()
    frame = b"\x03AIGC\0" + text
    frame = b"TXXX" + _seven_bits(len(frame)) + b"\0\0" + frame
    return ID3 + b"\x04\0\0" + _seven_bits(len(frame)) + frame + sound[_tag_bytes(sound) :]


def label_in_id3(sound: bytes) -> dict[str, object]:
    """The label of an MP3 file as it is made here; empty without one."""
    frame = sound[ID3_HEAD_BYTES : _tag_bytes(sound)]
    if frame[:4] != b"TXXX" or not frame[ID3_HEAD_BYTES:].startswith(b"\x03AIGC\0"):
        return {}
    try:
        found = json.loads(frame[ID3_HEAD_BYTES + 6 :].decode())
    except (ValueError, RecursionError):
        return {}
    label = found.get("AIGC") if isinstance(found, dict) else None
    return label if isinstance(label, dict) else {}


def _tag_bytes(sound: bytes) -> int:
    """Length of a file's leading ID3v2 tag, 0 without one."""
    if sound[:3] != ID3 or len(sound) < ID3_HEAD_BYTES:
        return 0
    size = 0
    for byte in sound[6:10]:
        size = size << 7 | byte & 0x7F
    return ID3_HEAD_BYTES + size


def _seven_bits(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
