"""Signed notes, checkpoints, cosignatures and verifier keys (C2SP signed-note, tlog-checkpoint, tlog-cosignature)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shanhe.log.errors import ProofRefused
from shanhe.log.merkle import HASH_BYTES

ED25519: Final = 1
COSIGNATURE: Final = 4
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
NOTE_BYTES_MAX: Final = 64 * 1024
SIGNATURES_MAX: Final = 32
SIZE_MAX: Final = 2**62
DASH: Final = "\u2014"
NAME: Final = re.compile(r"^[^\s+]{1,255}\Z")
DECIMAL: Final = re.compile(r"^(0|[1-9][0-9]{0,18})\Z")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unb64(text: str, what: str, what_zh: str) -> bytes:
    """Strict: the standard alphabet, padded, and the only encoding of those bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or b64(data) != text:
        raise ProofRefused(f"{what} is not canonical base64", f"{what_zh}不是规范的 base64")
    return data


def decimal(text: str, what: str, what_zh: str) -> int:
    if not DECIMAL.match(text) or int(text) > SIZE_MAX:
        raise ProofRefused(f"{what} is not a number", f"{what_zh}不是有效数字")
    return int(text)


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key with its name, as `<name>+<id>+<base64>`; `kind` is ED25519 (a log) or COSIGNATURE (a witness)."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """ProofRefused for anything but the one spelling of a key."""
        name, _, rest = text.strip().partition("+")
        identifier, _, material = rest.partition("+")
        data = unb64(material, "the key", "公钥")
        key = cls(name, data[0], data[1:])
        known = key.kind in (ED25519, COSIGNATURE) and len(key.public) == KEY_BYTES and NAME.match(name)
        if not known or identifier != key.id.hex():
            raise ProofRefused("this is no Ed25519 verifier key", "这不是有效的 Ed25519 公钥")
        return key

    def verifies(self, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer(msgspec.Struct, frozen=True):
    """A private key (32-byte seed) with its name."""

    name: str
    kind: int
    seed: bytes

    @property
    def verifier(self) -> VerifierKey:
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return VerifierKey(self.name, self.kind, public.public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, text: str, time_s: int = 0) -> Signature:
        """A signature line over a note's text; a cosignature carries its time."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        verifier = self.verifier
        if self.kind == ED25519:
            return Signature(self.name, verifier.id, key.sign(text.encode()))
        signed = key.sign(_cosigned(text, time_s))
        return Signature(self.name, verifier.id, struct.pack(">Q", time_s) + signed)


class Signature(msgspec.Struct, frozen=True):
    """One signature line."""

    name: str
    key_id: bytes
    data: bytes

    def __str__(self) -> str:
        return f"{DASH} {self.name} {b64(self.key_id + self.data)}\n"

    @property
    def time_s(self) -> int:
        """When a cosignature was made (POSIX seconds)."""
        return int(struct.unpack(">Q", self.data[:8])[0])


class Note(msgspec.Struct, frozen=True):
    """A text and who signed it; `str()` gives the bytes that were read."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(map(str, self.signatures))

    @classmethod
    def parse(cls, raw: str) -> Note:
        """Strict reading; ProofRefused for whatever would not be written the same way again."""
        if len(raw.encode()) > NOTE_BYTES_MAX or any(ord(c) < 32 and c != "\n" for c in raw):
            raise ProofRefused("the note is too long or has control characters", "签名文本过长或含控制字符")
        text, found, lines = raw.rpartition("\n\n")
        if not found or not text or not lines.endswith("\n"):
            raise ProofRefused("the note has no signature", "缺少签名")
        rows = lines[:-1].split("\n")
        if len(rows) > SIGNATURES_MAX:
            raise ProofRefused("the note has too many signatures", "签名过多")
        return cls(text + "\n", tuple(_signature(row) for row in rows))

    def signed_by(self, keys: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
        """Which of `keys` signed; a line that claims a known key and does not verify refuses the whole note."""
        known = {(key.name, key.id): key for key in keys}
        found = []
        for signature in self.signatures:
            key = known.get((signature.name, signature.key_id))
            if key is None:
                continue
            if not _verifies(key, signature, self.text):
                raise ProofRefused(f"the signature of {key.name} is wrong", f"{key.name} 的签名不正确")
            found.append(key)
        return tuple(found)

    def with_signatures(self, more: Sequence[Signature]) -> Note:
        """With further lines, each key once."""
        had = {(one.name, one.key_id) for one in self.signatures}
        return Note(self.text, (*self.signatures, *(s for s in more if (s.name, s.key_id) not in had)))


class Checkpoint(msgspec.Struct, frozen=True):
    """The head of a log: origin, size, root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{b64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise ProofRefused("this is no checkpoint", "这不是有效的检查点")
        size = decimal(lines[1], "the size", "日志大小")
        root = unb64(lines[2], "the root", "根哈希")
        if len(root) != HASH_BYTES:
            raise ProofRefused("the root has a wrong length", "根哈希长度不正确")
        return cls(lines[0], size, root)


def open_checkpoint(raw: str, keys: Sequence[VerifierKey]) -> tuple[Checkpoint, Note]:
    """A checkpoint that one of `keys` (of the log) signed; ProofRefused otherwise."""
    note = Note.parse(raw)
    checkpoint = Checkpoint.parse(note.text)
    logs = [key for key in keys if key.kind == ED25519]
    if not note.signed_by(logs):
        raise ProofRefused("no given key of the log signed this checkpoint", "没有已知日志公钥的签名")
    if all(key.name != checkpoint.origin for key in note.signed_by(logs)):
        raise ProofRefused("the checkpoint is another log's", "检查点属于另一份日志")
    return checkpoint, note


def _signature(row: str) -> Signature:
    dash, _, rest = row.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = unb64(encoded, "a signature", "签名")
    if dash != DASH or not NAME.match(name) or len(data) < 5:
        raise ProofRefused("a signature line is malformed", "签名行格式不正确")
    return Signature(name, data[:4], data[4:])


def _verifies(key: VerifierKey, signature: Signature, text: str) -> bool:
    if key.kind == ED25519:
        return len(signature.data) == SIGNATURE_BYTES and key.verifies(signature.data, text.encode())
    if len(signature.data) != 8 + SIGNATURE_BYTES or signature.time_s >= 2**63:
        return False
    return key.verifies(signature.data[8:], _cosigned(text, signature.time_s))


def _cosigned(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()
