"""Stands for a step: does what `step.json` says. `python step.py FOLDER --parent PID`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def say(**said: Any) -> None:
    sys.stdout.write(json.dumps(said, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def main() -> int:
    folder = Path(sys.argv[1])
    orders = json.loads((folder / "step.json").read_text(encoding="utf-8"))
    (folder / "pid").write_text(str(os.getpid()))
    if os.getppid() != int(sys.argv[sys.argv.index("--parent") + 1]):
        say(error={"code": "orphan", "reason": "its parent is not the one that it was told"})
        return 1
    kept = folder / "checkpoint"
    begin = int(kept.read_text()) if kept.exists() else 0
    sys.stdout.write("a library says something that is not for us\n")
    for n in range(begin + 1, orders.get("rounds", 3) + 1):
        kept.write_text(str(n))
        say(n=n, of=3, loss=1 / n, say=f"第 {n} 轮", core_ms=n)
        if orders.get("hang") == n:
            time.sleep(60)
    if "error" in orders:
        say(error=orders["error"])
        return 1
    if "code" in orders:
        sys.stderr.write("the last words\n")
        return int(orders["code"])
    seen = {name: os.environ.get(name, "") for name in ("SHANHE_VAULT_KEY", "HF_HUB_OFFLINE")}
    (folder / "result.json").write_text(json.dumps({"files": {}, "metrics": {"seen": seen}, "core_ms": 3}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
