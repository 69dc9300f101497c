"""The command `shanhe` out of the tests' own nursery: nothing but the import is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from shanhe.bench.processes import Interpreter
from shanhe.nursery.api import possible
from stage.nursery import program

LIMIT_S = 60.0
LONG = ("rules", "mutate")
SAME = (("rules", "show", "P1", "--json"), ("rules", "show", "none"))

pytestmark = pytest.mark.skipif(not possible(), reason="needs pidfds")


class TestCommand:
    @pytest.mark.parametrize("arguments", SAME)
    def test_says_and_ends_as_in_an_interpreter_of_its_own(self, arguments: tuple[str, ...], tmp_path: Path) -> None:
        real = Interpreter().run(arguments, tmp_path, {"COLUMNS": "80"}, LIMIT_S)
        forked = program().run(arguments, tmp_path, {"COLUMNS": "80"}, LIMIT_S)
        assert (forked.returncode, forked.stdout, forked.stderr) == (real.returncode, real.stdout, real.stderr)
        assert forked.stdout or forked.stderr

    def test_has_the_environment_and_the_folder_that_it_is_given(self, tmp_path: Path) -> None:
        (tmp_path / "here").mkdir()
        done = program().run(["doctor", "--json"], tmp_path, {"DATA": "here"}, LIMIT_S)
        assert str(tmp_path / "here") in done.stdout

    def test_that_takes_too_long_is_ended(self, tmp_path: Path) -> None:
        with pytest.raises(subprocess.TimeoutExpired):
            program().run(LONG, tmp_path, {}, 0.0)

    def test_is_a_process_in_a_session_of_its_own(self, tmp_path: Path) -> None:
        process = program().start("long", LONG, tmp_path, {}).process
        until = time.monotonic() + LIMIT_S
        while os.getsid(process.pid) != process.pid:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert process.poll() is None
        process.kill()
        assert process.wait(LIMIT_S) == -signal.SIGKILL == process.poll()
