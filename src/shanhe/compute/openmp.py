"""libgomp, the OpenMP runtime that llama.cpp is linked with: its package leaves it out, and small systems lack it.

The system's, where there is one. Else a copy that came along in some other package (`make` installs one where it is
missing), under the name that llama.cpp asks for.
"""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

NAME: Final = "libgomp.so.1"
SEARCH_PATH: Final = "LD_LIBRARY_PATH"


def installed() -> bool:
    """Whether the system has it; it is only asked for on Linux."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL(NAME)
    except OSError:
        return False
    return True


def brought() -> Path | None:
    """The copy in an installed package; None where no package has one."""
    packages = Path(sysconfig.get_path("platlib"))
    return min(packages.glob("*.libs/libgomp*.so*"), default=None)


def has_openmp() -> bool:
    """Whether local models find it."""
    return installed() or brought() is not None


def with_openmp(environment: Mapping[str, str], folder: Path) -> Mapping[str, str]:
    """The environment of a child, in which it can be loaded; a copy gets its name in `folder`."""
    if installed() or (copy := brought()) is None:
        return environment
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / NAME
    if not link.is_symlink() or link.readlink() != copy:
        fresh = folder / f"{NAME}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(copy)
        fresh.replace(link)
    before = environment.get(SEARCH_PATH)
    return {**environment, SEARCH_PATH: f"{folder}:{before}" if before else str(folder)}
