"""What tests need that a container may not allow."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def _are_allowed() -> bool:
    tool = shutil.which("unshare")
    return tool is not None and subprocess.run([tool, "-U", "true"], capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(
    not _are_allowed(), reason="no user namespaces may be made here, and without them hosted code is not run"
)
