"""One step: `python -m shanhe.studio.work.main FOLDER --parent PID`. Reads FOLDER/step.json, leaves FOLDER/result.json.

Says how it goes on stdout, a JSON object a line: `say` a sentence, `n`, `of` and `loss` a point of the curve, `core_ms`
the processor time so far (a chip's counts as that of so many cores), `error` why it ended. Ends with the foreman that
started it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from shanhe.kernel.blobs import FULL
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.process import die_with_parent
from shanhe.studio.work import chip

NICENESS: Final = 10
MISSING: Final = "pip install 'shanhe[studio]'"
Tell = Callable[..., None]
Do = Callable[[dict[str, Path], Path, dict[str, Any], Tell], tuple[dict[str, Path], dict[str, Any]]]
"""(inputs, folder, parameters, tell) → (files, metrics)."""


def tell(**said: Any) -> None:
    """One line for the foreman."""
    sys.stdout.write(json.dumps(said | {"core_ms": core_ms()}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def core_ms() -> int:
    """Processor time of this process and of its children that have ended, and what a chip's time counts for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return int(sum(one.ru_utime + one.ru_stime for one in used) * 1000) + chip.counted_ms()


def kinds() -> dict[str, Do]:
    from shanhe.studio.work import aligning, measure, surgery, tuning

    return {
        "tune": tuning.tune,
        "align": aligning.align,
        "merge": surgery.merge,
        "drop": tuning.drop,
        "quantize": surgery.quantize,
        "evaluate": measure.evaluate,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="shanhe.studio.work.main")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    die_with_parent(given.parent)
    os.nice(NICENESS)
    os.umask(0o077)
    step = json.loads((given.folder / "step.json").read_text(encoding="utf-8"))
    chip.counts_as(int(step.get("chip_cores", 0)))
    return done(given.folder, step, lambda: kinds()[step["kind"]])


def done(folder: Path, step: dict[str, Any], kind: Callable[[], Do]) -> int:
    """Do a step in its folder and leave its result, or say why not and leave nothing half written; the exit code."""
    try:
        inputs = {name: Path(path) for name, path in step["inputs"].items()}
        files, metrics = kind()(inputs, folder, step["parameters"], tell)
        peak_kb = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        result = {
            "files": {name: sha256_of(path) for name, path in files.items()},
            "metrics": metrics | {"peak_mb": peak_kb // 1024},
            "core_ms": core_ms(),
        }
        coming = folder / "result.json.coming"
        coming.write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
        coming.replace(folder / "result.json")
    except Exception as error:
        why = reason_of(error)
        if why is None:
            raise
        for half in folder.glob("*.coming"):  # on a full disk it would only be in the way
            half.unlink(missing_ok=True)
        tell(error=why)
        return 1
    return 0


def reason_of(error: Exception) -> dict[str, str] | None:
    """What is told of a failure that is not ours; None for one that is."""
    match error:
        case ModuleNotFoundError():
            return {"code": "studio_not_installed", "reason": f"{error.name} is not installed: {MISSING}"}
        case ShanheError():
            return {"code": error.code, "reason": error.message}
        case OSError():
            code = "disk_full" if error.errno in FULL else "studio_io"
            return {"code": code, "reason": f"{error.strerror}: {error.filename}"}
        case MemoryError():
            return {"code": "out_of_memory", "reason": "the machine has too little memory for this model"}
    # what is written by a library in another language fails in its words
    return {"code": "disk_full", "reason": str(error)} if any(f"os error {one}" in str(error) for one in FULL) else None


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
