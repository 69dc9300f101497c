"""`.tlog-proof` files (C2SP tlog-proof): one entry, its place in the tree, the signed checkpoint, and what it hides.

The `extra` line carries the entry, and for its holder the salt and the private part that the entry commits to. A sum
over the whole file goes with it, so that damage anywhere is noticed, in a cosignature of an unknown witness too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from shanhe.log.errors import ProofRefused
from shanhe.log.leaf import SALT_BYTES, canonical, commitment
from shanhe.log.merkle import HASH_BYTES, PROOF_HASHES_MAX, included, leaf_hash
from shanhe.log.note import COSIGNATURE, Checkpoint, Note, VerifierKey, b64, decimal, open_checkpoint, unb64

HEAD: Final = "c2sp.org/tlog-proof@v1"
FILE_BYTES_MAX: Final = 512 * 1024
SUFFIX: Final = ".tlog-proof"


class Proof(msgspec.Struct, frozen=True):
    """What a proof file says, before anything of it is believed."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    entry: bytes
    salt: bytes | None = None
    private: bytes | None = None

    def __str__(self) -> str:
        body = self._body()
        parts = self._opening()
        parts["sum"] = b64(_sum(parts, body))
        return f"{HEAD}\nextra {b64(canonical(parts))}\n{body}"

    def _body(self) -> str:
        path = "".join(f"{b64(one)}\n" for one in self.path)
        return f"index {self.index}\n{path}\n{self.checkpoint}"

    def _opening(self) -> dict[str, str]:
        parts = {"entry": b64(self.entry)}
        if self.salt is not None and self.private is not None:
            parts |= {"salt": b64(self.salt), "private": b64(self.private)}
        return parts

    @classmethod
    def parse(cls, raw: bytes) -> Proof:
        """Strict reading; ProofRefused for anything that `str()` would not write the same way."""
        if len(raw) > FILE_BYTES_MAX:
            raise ProofRefused("the file is too long", "文件过长")
        try:
            head, extra, body = raw.decode().split("\n", 2)
        except ValueError as error:
            raise ProofRefused("this is no proof file", "这不是证明文件") from error
        if head != HEAD or not extra.startswith("extra "):
            raise ProofRefused("this is no proof file", "这不是证明文件")
        lines, blank, checkpoint = body.partition("\n\n")
        first, *rest = lines.split("\n")
        if not blank or not first.startswith("index ") or len(rest) > PROOF_HASHES_MAX:
            raise ProofRefused("the proof is malformed", "证明格式不正确")
        path = tuple(unb64(one, "a hash of the path", "路径哈希") for one in rest)
        if any(len(one) != HASH_BYTES for one in path):
            raise ProofRefused("a hash of the path has a wrong length", "路径哈希长度不正确")
        parts = _parts(extra.removeprefix("extra "), body)
        private = parts.get("private")
        return cls(
            decimal(first.removeprefix("index "), "the index", "序号"), path, checkpoint,
            unb64(parts["entry"], "the entry", "条目"),
            unb64(parts["salt"], "the salt", "盐值") if private else None,
            unb64(private, "the private part", "隐藏部分") if private else None,
        )  # fmt: skip


class Verified(msgspec.Struct, frozen=True):
    """What a proof proves: the entry stands at `index` of the log that these keys signed."""

    index: int
    entry: dict[str, Any]
    private: dict[str, Any] | None
    checkpoint: Checkpoint
    logs: tuple[str, ...]
    witnesses: tuple[str, ...]
    witnessed_at_s: int | None


def verify(raw: bytes, keys: Sequence[VerifierKey], *, quorum: int = 0) -> Verified:
    """Check a proof file with the log's key (and witnesses' keys); ProofRefused says which check failed.

    Needs nothing but its arguments. `quorum`: how many of the given witnesses must have cosigned.
    """
    proof = Proof.parse(raw)
    checkpoint, note = open_checkpoint(proof.checkpoint, keys)
    if str(proof).encode() != raw or str(note) != proof.checkpoint:
        raise ProofRefused("the file is not written as it must be", "文件写法不规范")
    witnesses = note.signed_by([key for key in keys if key.kind == COSIGNATURE])
    if len({key.public for key in witnesses}) < quorum:
        raise ProofRefused(f"only {len(witnesses)} of {quorum} witnesses cosigned", "见证人签名不足")
    if not included(proof.index, checkpoint.size, leaf_hash(proof.entry), proof.path, checkpoint.root):
        raise ProofRefused("the entry is not in the signed tree", "该条目不在已签名的日志中")
    entry = _object(proof.entry)
    private = _opened(entry, proof)
    logs = note.signed_by([key for key in keys if key.kind != COSIGNATURE])
    return Verified(
        proof.index, entry, private, checkpoint, tuple(map(str, logs)), tuple(map(str, witnesses)),
        _witnessed(note, witnesses),
    )  # fmt: skip


def _opened(entry: dict[str, Any], proof: Proof) -> dict[str, Any] | None:
    if proof.salt is None or proof.private is None:
        return None
    if len(proof.salt) != SALT_BYTES or entry.get("commit") != b64(commitment(proof.salt, proof.private)):
        raise ProofRefused("what the file shows is not what the entry commits to", "所示内容与日志承诺不符")
    return _object(proof.private)


def _object(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError) as error:
        raise ProofRefused("the entry is no JSON object", "条目不是 JSON 对象") from error


def _witnessed(note: Note, witnesses: Sequence[VerifierKey]) -> int | None:
    known = {(key.name, key.id) for key in witnesses}
    times = [one.time_s for one in note.signatures if (one.name, one.key_id) in known]
    return min(times) if times else None


def _parts(encoded: str, body: str) -> dict[str, str]:
    raw = unb64(encoded, "the extra line", "附加数据")
    try:
        parts = msgspec.json.decode(raw, type=dict[str, str])
    except (msgspec.MsgspecError, ValueError) as error:
        raise ProofRefused("the extra line is malformed", "附加数据格式不正确") from error
    total = parts.pop("sum", "")
    names = set(parts)
    if names not in ({"entry"}, {"entry", "salt", "private"}) or canonical({**parts, "sum": total}) != raw:
        raise ProofRefused("the extra line is malformed", "附加数据格式不正确")
    if unb64(total, "the sum", "校验和") != _sum(parts, body):
        raise ProofRefused("the file was altered or damaged", "文件被改动或已损坏")
    return parts


def _sum(parts: dict[str, str], body: str) -> bytes:
    return hashlib.sha256(canonical(parts) + b"\n" + body.encode()).digest()
