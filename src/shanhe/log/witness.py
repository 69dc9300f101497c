"""A witness: follows a log from outside, and cosigns only what continues what it has seen.

Keeps its own memory in its own folder and needs nothing of the city but its public files. Alarms on a log that shrinks
(rollback), on one that shows another past (fork), and on one that shows others another present (split view); each alarm
leaves a file with both signed checkpoints, which prove to anybody that the log's key signed two histories.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from shanhe.kernel.errors import Conflict
from shanhe.log.errors import ProofRefused
from shanhe.log.files import Folder
from shanhe.log.keys import listed_keys
from shanhe.log.merkle import consistent, prove_consistency, root
from shanhe.log.note import COSIGNATURE, ED25519, Checkpoint, Note, Signer, VerifierKey, open_checkpoint
from shanhe.log.tiles import WIDTH, Fetch, TileReader

STATE: Final = "state.json"
COSIGNED: Final = "checkpoint"
BUNDLES_MAX: Final = 4096
"""How many bundles of new entries one step reads; a log that grew more is caught up over several steps."""


class Alarm(Conflict):
    """The log broke its promise. `kind`: rollback, fork, split-view or entries."""

    def __init__(self, kind: str, why: str, why_zh: str, evidence: dict[str, Any]) -> None:
        super().__init__(
            "log_alarm",
            f"ALARM ({kind}): {why}.",
            message_zh=f"警报（{kind}）：{why_zh}。",
            hint="Keep the evidence file, tell the city and its other witnesses, and cosign nothing more.",
            hint_zh="请保存证据文件，通知城市和其他见证人，并停止副署。",
        )
        self.kind = kind
        self.evidence = evidence


class Memory(msgspec.Struct, frozen=True):
    """What the witness has seen: its word against the log's."""

    origin: str
    size: int
    note: str
    keys: tuple[str, ...]


class View(msgspec.Struct, frozen=True):
    """A log as one place shows it."""

    checkpoint: Checkpoint
    note: Note
    reader: TileReader


class Step(msgspec.Struct, frozen=True):
    """What a step found: sizes before and now, and the cosigned checkpoint."""

    origin: str
    old_size: int
    size: int
    cosigned: str


class Witness:
    """One log, one memory, one key. `peers` fetch the same log as others see it."""

    def __init__(
        self, folder: Path, signer: Signer, keys: Sequence[VerifierKey], fetch: Fetch, peers: Sequence[Fetch] = ()
    ) -> None:
        self.folder = Folder(folder, mode=0o600)
        self._signer = signer
        self._given = list(keys)
        self._fetch = fetch
        self._peers = list(peers)

    def step(self, now_s: int) -> Step:
        """Look once; cosign what holds. Alarm with its evidence written when something does not; ProofRefused and
        OSError when the log cannot be read."""
        try:
            return self._step(now_s)
        except Alarm as alarm:
            content = json.dumps(alarm.evidence, ensure_ascii=False, indent=2).encode()
            self.folder.write(f"alarm-{alarm.kind}-{now_s}.json", content)
            raise

    def _step(self, now_s: int) -> Step:
        memory = self._memory()
        keys = self._keys(memory)
        seen = self._look(self._fetch, keys)
        if memory is not None and memory.origin != seen.checkpoint.origin:
            raise ProofRefused("this is another log than the one remembered", "与先前记住的不是同一份日志")
        before = Checkpoint.parse(Note.parse(memory.note).text) if memory is not None else None
        if before is not None and memory is not None:
            _continues(before, memory.note, seen)
        for peer in self._peers:
            _agree(seen, self._look(peer, keys))
        old = before.size if before is not None else 0
        self._read_entries(old, seen)
        text = seen.note.text
        cosigned = str(seen.note.with_signatures([self._signer.sign(text, now_s)]))
        self._remember(Memory(seen.checkpoint.origin, seen.checkpoint.size, str(seen.note), self._learn(seen, keys)))
        self.folder.write(COSIGNED, cosigned.encode())
        return Step(seen.checkpoint.origin, old, seen.checkpoint.size, cosigned)

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self, fetch: Fetch, keys: Sequence[VerifierKey]) -> View:
        raw = fetch("checkpoint")
        if raw is None:
            raise ProofRefused("there is no checkpoint", "缺少检查点")
        checkpoint, note = open_checkpoint(raw.decode(), keys)
        reader = TileReader(fetch, checkpoint.size)
        if root(reader.node, checkpoint.size) != checkpoint.root:
            evidence = {"kind": "entries", "checkpoint": raw.decode(), "size": checkpoint.size}
            raise Alarm("entries", "the tiles do not make the signed root", "日志文件与已签名的根不符", evidence)
        return View(checkpoint, note, reader)

    def _read_entries(self, old: int, seen: View) -> None:
        """Every new entry is there and is what was hashed."""
        first, last = old // WIDTH, -(-seen.checkpoint.size // WIDTH)
        for number in range(first, min(last, first + BUNDLES_MAX)):
            try:
                seen.reader.entries(number)
            except ProofRefused as error:
                evidence = {"kind": "entries", "checkpoint": str(seen.note), "bundle": number}
                raise Alarm("entries", error.message, error.message_zh, evidence) from error

    def _learn(self, seen: View, keys: Sequence[VerifierKey]) -> tuple[str, ...]:
        """The log's keys, with those that a list signed by a known one names."""
        known = {(key.name, key.id) for key in keys}
        found = [str(key) for key in keys if key.kind == ED25519]
        if all((one.name, one.key_id) in known for one in seen.note.signatures if one.name == seen.checkpoint.origin):
            return tuple(found)
        raw = self._fetch("keys")
        if raw is not None:
            found += [str(key) for key in listed_keys(raw.decode(), keys) if str(key) not in found]
        return tuple(found)

    # ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _memory(self) -> Memory | None:
        raw = self.folder.read(STATE)
        return msgspec.json.decode(raw, type=Memory) if raw is not None else None

    def _remember(self, memory: Memory) -> None:
        self.folder.write(STATE, msgspec.json.encode(memory))

    def _keys(self, memory: Memory | None) -> list[VerifierKey]:
        learnt = [VerifierKey.parse(one) for one in memory.keys] if memory is not None else []
        return self._given + [key for key in learnt if key not in self._given]


def _continues(before: Checkpoint, note: str, seen: View) -> None:
    """Alarm unless the log as seen now begins with what was remembered."""
    now = seen.checkpoint
    evidence = {"kind": "fork", "remembered": note, "shown": str(seen.note)}
    if now.size < before.size:
        raise Alarm(
            "rollback", f"the log shrank from {before.size} to {now.size} entries",
            f"日志从 {before.size} 条缩减到 {now.size} 条", {**evidence, "kind": "rollback"},
        )  # fmt: skip
    proof = prove_consistency(seen.reader.node, before.size, now.size)
    if not consistent(before.size, now.size, before.root, now.root, proof):
        raise Alarm(
            "fork", f"the log of {now.size} entries does not continue the {before.size} it signed before",
            f"{now.size} 条的日志不是先前签名的 {before.size} 条的延续", evidence,
        )  # fmt: skip


def _agree(here: View, there: View) -> None:
    """Alarm unless one of two views of a log begins with the other."""
    small, large = sorted((here, there), key=lambda view: view.checkpoint.size)
    if small.checkpoint.origin != large.checkpoint.origin:
        return
    old, size = small.checkpoint.size, large.checkpoint.size
    proof = prove_consistency(large.reader.node, old, size)
    if not consistent(old, size, small.checkpoint.root, large.checkpoint.root, proof):
        evidence = {"kind": "split-view", "here": str(here.note), "there": str(there.note)}
        raise Alarm(
            "split-view", f"others are shown another log: {old} and {size} entries do not fit together",
            f"他人看到的是另一份日志：{old} 条与 {size} 条无法吻合", evidence,
        )  # fmt: skip


def open_signer(folder: Path, name: str, seed: Callable[[], bytes]) -> Signer:
    """The witness's own key, made on first use; its name stays."""
    kept = Folder(folder, mode=0o600)
    raw = kept.read("key.json")
    if raw is None:
        raw = json.dumps({"name": name, "seed": seed().hex()}).encode()
        kept.write("key.json", raw)
    found = json.loads(raw)
    return Signer(found["name"], COSIGNATURE, bytes.fromhex(found["seed"]))
