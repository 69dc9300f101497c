"""Where a network is worked on: the machine's graphics processor if the framework sees one, else its processor.

Everything else of a step is the same on both. Time on the chip is metered from the moment a network lies there: it is
the step's alone until the step ends.
"""

from __future__ import annotations

import time
from typing import Any

_since: list[float] = []
_cores = 0


def counts_as(cores: int) -> None:
    """Say as how many cores a chip is charged."""
    global _cores
    _cores = cores


def take() -> Any:
    """The device for a network; on a chip its time runs from now on."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    if not _since:
        _since.append(time.monotonic())
    return torch.device("cuda")


def counted_ms() -> int:
    """How long this process has held a chip, in milliseconds of cores; 0 where it has none."""
    return int((time.monotonic() - _since[0]) * 1000) * _cores if _since else 0


def name() -> str:
    """What the network is worked on, in the maker's words."""
    import torch

    return str(torch.cuda.get_device_name()) if _since else "cpu"
