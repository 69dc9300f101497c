"""Stands for a step's process: leaves what the step's kind leaves, without any model.

`ORDERS` beside the shelf: {"hang": n} hangs after round n of a training that begins, {"fail": true} fails it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
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
        if orders.get("hang") == n and begin == 0:
            time.sleep(60)
        if orders.get("fail"):
            say(error={"code": "training_diverged", "reason": "the loss is not finite"})
            return False
    return True


def main() -> int:
    folder = Path(sys.argv[1])
    step = json.loads((folder / "step.json").read_text())
    given = folder.parent.parent / "ORDERS"
    orders = json.loads(given.read_text()) if given.exists() else {}
    kind, inputs = step["kind"], step["inputs"]
    if kind == "tune" and not train(folder, orders):
        return 1
    name = {"tune": "adapter.safetensors", "evaluate": "answers.jsonl"}.get(kind, "model.gguf")
    (folder / name).write_bytes(f"{kind} {sorted(inputs)} {step['parameters']}".encode())
    asked = len(Path(inputs["questions"]).read_text().splitlines()) if kind == "evaluate" else 0
    right = asked if "steps" in inputs["model"] else asked // 2
    metrics = {"right": right, "asked": asked} if kind == "evaluate" else {"bytes": 1}
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    result = {"files": {name: digest}, "metrics": metrics, "core_ms": 5000}
    (folder / "result.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
