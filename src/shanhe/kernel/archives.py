"""What reading a broken, locked or strangely packed ZIP archive raises: such files come from anybody."""

from __future__ import annotations

import zipfile
import zlib
from typing import Final

BROKEN: Final = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, OSError, NotImplementedError,
                 RuntimeError)  # fmt: skip
