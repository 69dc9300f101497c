"""`shanhe restore` as an operator runs it: into a mounted volume, and killed at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from shanhe.backup.begun import FOLDER, NOTE
from shanhe.backup.making import Manifest, back_up, check
from shanhe.kernel.vault import Vault
from shanhe.settings import Settings

KILLS = 24
STEP_S = 0.08
IMPORTS_S = 0.3
LIMIT_S = 120.0

pytestmark = pytest.mark.prove


def silent(*_: Any) -> None:
    """Nobody watches."""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "shanhe", *words, "--json"]


def environment(dsn: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": dsn, "SHANHE_WITH_MODEL": "false"}


def told(words: list[str], dsn: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=environment(dsn), capture_output=True, text=True, check=False, timeout=LIMIT_S)


def killed(words: list[str], dsn: str, after_s: float) -> None:
    quiet = subprocess.DEVNULL
    running = subprocess.Popen(words, env=environment(dsn), stdout=quiet, stderr=quiet)
    time.sleep(after_s)
    running.send_signal(signal.SIGKILL)
    running.wait(LIMIT_S)


@pytest.fixture
async def backup(dsn: str, tmp_path: Path) -> tuple[Path, Path, Manifest]:
    """A backup, its keys and its manifest."""
    city = Settings(data=tmp_path / "city", database_url=dsn)
    Vault(city.data / "keys").create(uuid4())
    for name in ("files/ab/one", "log/checkpoint"):
        (city.data / name).parent.mkdir(parents=True)
        (city.data / name).write_bytes(os.urandom(1_000_000))
    (city.data / "log/checkpoint").unlink()
    made, _ = await back_up(city, tmp_path / "backup", tmp_path / "keys", silent)
    return tmp_path / "backup", tmp_path / "keys", made


async def schemas(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        wanted = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('kernel', 'ledger')"
        found: int = await connection.fetchval(wanted)
        return found
    finally:
        await connection.close()


class TestKilledRestore:
    async def test_is_whole_or_empty_or_says_that_it_was_begun(
        self, backup: tuple[Path, Path, Manifest], empty_dsn: str, tmp_path: Path
    ) -> None:
        folder, keys, made = backup
        there, ever = tmp_path / "there", False
        words = command("restore", str(folder), "--keys", str(keys), "--nobody-erased", "--data", str(there))
        for number in range(KILLS):
            killed(words, empty_dsn, IMPORTS_S + STEP_S * number)
            begun, filled = (there / FOLDER / NOTE).exists(), await schemas(empty_dsn) > 0
            ever = ever or begun
            if begun:
                said = told(command("ledger", "verify", "--data", str(there)), empty_dsn).stderr
                assert "restore_unfinished" in said
            elif filled:  # it was through before it was killed
                break
        assert ever
        if begun or not filled:
            done = told(words, empty_dsn)
            assert done.returncode == 0, done.stderr
            assert msgspec.json.decode(done.stdout)["ledger_clean"]
        assert not (there / FOLDER).exists()
        assert (there / "files/ab/one").read_bytes() == (folder / "files/files/ab/one").read_bytes()
        assert check(folder, silent) == made


@pytest.fixture
def mounting() -> list[str]:
    """A command in a namespace of its own, in which it may mount."""
    inside = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        inside.insert(1, "--map-root-user")
    try:
        able = subprocess.run([*inside, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    except OSError:
        pytest.skip("nothing can be mounted here")
    if able.returncode != 0:
        pytest.skip("nothing can be mounted here")
    return inside


class TestMountedFolder:
    async def test_is_filled(
        self, mounting: list[str], backup: tuple[Path, Path, Manifest], empty_dsn: str, tmp_path: Path
    ) -> None:
        folder, keys, _ = backup
        volume = tmp_path / "volume"
        volume.mkdir()
        script = 'mount -t tmpfs none "$0" && mkdir "$0/lost+found" && "$@" && ls "$0"'
        restore = command("restore", str(folder), "--keys", str(keys), "--nobody-erased", "--data", str(volume))
        done = told([*mounting, "sh", "-c", script, str(volume), *restore], empty_dsn)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-5:] == ["city.lock", "files", "keys", "lost+found", "run"]
        assert await schemas(empty_dsn) == 2
