"""Files that outlive a power cut: written whole beside their place, made durable, and put there by a rename."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

DRAFT_BYTES = 8
"""Random bytes in the name of what is not in its place yet."""


def drafted(path: Path, data: bytes, mode: int = 0o600) -> Path:
    """A durable temporary file beside `path`, to be renamed or linked; nothing is left where it can't be written."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(DRAFT_BYTES)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except BaseException:  # a full disk: whoever tries again must not leave a draft each time
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return draft


def replaced(path: Path, data: bytes) -> None:
    """Put a whole, durable file at `path`, mode 0600, in place of what is there."""
    drafted(path, data).replace(path)
    synced(path.parent)


def synced(folder: Path) -> None:
    """Make durable which names are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
