"""What a machine is made of: CPU, memory, NVIDIA and Ascend cards, and whatever a plug-in knows.

A plug-in is an entry point of the group `shanhe.chips`: a function without arguments that returns a list of `Chip`.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import structlog

from shanhe.pool.model import CHIPS_MAX, TEXT_MAX, Chip

TOOL_LIMIT_S: Final = 10.0
GROUP: Final = "shanhe.chips"
CONSUMER: Final = re.compile(r"geforce|rtx (?!a?\d{4} ada|pro|a\d)|gtx|titan", re.I)

log = structlog.get_logger(__name__)


def found() -> list[Chip]:
    """Everything that computes on this machine, the CPU first."""
    chips = [cpu(), *nvidia(_run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]))]
    chips += ascend(_run(["npu-smi", "info"]))
    for plug_in in entry_points(group=GROUP):
        try:
            chips += [chip for chip in plug_in.load()() if isinstance(chip, Chip)]
        except Exception as error:  # noqa: BLE001 - a plug-in may do anything wrong; the node joins with what is left
            log.warning("a chip plug-in failed", plug_in=plug_in.name, error=repr(error)[:200])
    return chips[:CHIPS_MAX]


def chip_class(chips: list[Chip]) -> str:
    """The class that the reference cost goes by: that of the strongest kind."""
    kinds = {chip.kind for chip in chips}
    if "nvidia" in kinds:
        names = [chip.name for chip in chips if chip.kind == "nvidia"]
        return "consumer_gpu" if all(CONSUMER.search(name) for name in names) else "datacentre_gpu"
    return "npu" if "ascend" in kinds else "cpu"


def cpu() -> Chip:
    """The processor, with the cores that this process may use."""
    name = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        match = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
        name = match.group(1) if match else name
    except OSError:
        pass
    return Chip("cpu", name[:TEXT_MAX], len(os.sched_getaffinity(0)), 0)


def memory_mb() -> int:
    """Memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)


def nvidia(text: str) -> list[Chip]:
    """Cards out of nvidia-smi's CSV, equal ones counted."""
    counts: dict[tuple[str, int], int] = {}
    for line in text.splitlines():
        name, _, memory = line.rpartition(",")
        if name.strip() and memory.strip().isdigit():
            key = (name.strip()[:TEXT_MAX], int(memory))
            counts[key] = counts.get(key, 0) + 1
    return [Chip("nvidia", name, count, memory) for (name, memory), count in counts.items()]


def ascend(text: str) -> list[Chip]:
    """Cards out of npu-smi's table: rows that begin with a number and a name, memory in the row below."""
    counts: dict[tuple[str, int], int] = {}
    name = ""
    for line in text.splitlines():
        match = re.match(r"^\|\s*\d+\s+(\d{3}[\w-]*|Ascend[\w-]*)\s*\|", line)
        if match:
            name = match.group(1)
            continue
        memory = re.findall(r"(\d+)\s*/\s*(\d+)", line)
        if name and memory:
            key = (f"Ascend {name}"[:TEXT_MAX], int(memory[-1][1]))
            counts[key] = counts.get(key, 0) + 1
            name = ""
    return [Chip("ascend", name, count, memory) for (name, memory), count in counts.items()]


def _run(command: list[str]) -> str:
    """What a vendor's tool prints; empty where it is not installed or fails."""
    tool = shutil.which(command[0])
    if tool is None:
        return ""
    try:
        done = subprocess.run(
            [tool, *command[1:]], capture_output=True, text=True, timeout=TOOL_LIMIT_S, check=False
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
