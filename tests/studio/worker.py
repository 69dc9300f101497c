"""Stands for a step's process: leaves what the step's kind leaves, without any model.

`ORDERS` beside the shelf: {"hang": n} hangs after round n of a training that begins, {"die": n} is killed there,
{"fail": true} fails it, {"pause_s": s} takes its time for each round, {"core_ms": n} is what a step says it used,
{"right_bps": n} how many of the questions the model answers rightly in the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

TYPE_CHECKING = False  # two hundred of these are started: what they do without, they do not import
if TYPE_CHECKING:
    from typing import Any


def say(**said: object) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def train(folder: Path, orders: dict[str, Any]) -> bool:
    kept = folder / "checkpoint"
    begin = int(kept.read_text()) if kept.exists() else 0
    for n in range(begin + 1, 6):
        say(n=n, of=5, loss=6.0 / n, core_ms=n * 1000)
        written = kept.with_suffix(".new")
        written.write_text(str(n))
        written.replace(kept)
        time.sleep(orders.get("pause_s", 0))
        if orders.get("die") == n and begin == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if orders.get("hang") == n and begin == 0:
            time.sleep(60)
        if orders.get("fail"):
            say(error={"code": "training_diverged", "reason": "the loss is not finite"})
            return False
    return True


def answered(pair: dict[str, Any], right: bool) -> str:
    """A line of answers."""
    return json.dumps(pair | {"said": pair["answer"] if right else "不知道", "right": right}) + "\n"


def hollow(name: bytes) -> bytes:
    """A GGUF that is whole, and holds a name instead of weights."""

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    facts = ((b"general.architecture", b"qwen2"), (b"general.name", name))
    body = b"".join(text(key) + struct.pack("<I", 8) + text(value) for key, value in facts)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(facts)) + body + bytes(32)


def made_of(inputs: dict[str, str]) -> list[str]:
    """The inputs by name, those of other steps with what they hold: another training is another model."""
    return [
        f"{name} {hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if 'steps' in path else ''}"
        for name, path in sorted(inputs.items())
    ]


def main() -> int:
    folder = Path(sys.argv[1])
    step = json.loads((folder / "step.json").read_text())
    given = folder.parent.parent / "ORDERS"
    orders = json.loads(given.read_text()) if given.exists() else {}
    kind, inputs = step["kind"], step["inputs"]
    if kind == "tune" and not train(folder, orders):
        return 1
    name = {"tune": "adapter.safetensors", "evaluate": "answers.jsonl"}.get(kind, "model.gguf")
    made = [name, "adapter.gguf"] if kind == "tune" else [name]
    for one in made:
        words = f"{kind} {made_of(inputs)} {step['parameters']}".encode()
        (folder / one).write_bytes(hollow(words) if one.endswith(".gguf") else words)
    lines = Path(inputs["questions"]).read_text().splitlines() if kind == "evaluate" else []
    asked = len(lines)
    after = "steps" in inputs["model"] or "adapter" in inputs
    right = asked * orders.get("right_bps", 10_000) // 10_000 if after else asked // 2
    if kind == "evaluate":
        (folder / name).write_text("".join(answered(json.loads(line), at < right) for at, line in enumerate(lines)))
    metrics = {"right": right, "asked": asked} if kind == "evaluate" else {"bytes": 1}
    files = {one: hashlib.sha256((folder / one).read_bytes()).hexdigest() for one in made}
    result = {"files": files, "metrics": metrics, "core_ms": orders.get("core_ms", 5000)}
    (folder / "result.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
