from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shanhe.compute import runner as module
from shanhe.compute.api import ChildFailed, ModelRunner, card
from shanhe.compute.llama_child import arguments, threads_for
from shanhe.compute.runner import LlamaSupervisor

from .conftest import until

CARD = replace(card("qwen2.5-coder-0.5b-instruct"), id="stand-in")


NAME = "欧阳铭文330102199003078888"
QUOTED = f"""\
0.57.682.223 W srv    operator(): got exception: {{"error":{{"code":400,"message":"unrecognized type {NAME}"}}}}
WARNING: JSON schema conversion was incomplete: pattern ^({NAME} is not supported, accepting any string
0.57.691.425 W slot   operator(): id  3 | task 6 | n_past was set to 53
0.58.418.755 E srv    send_error: task id = 16, error: request (96027 tokens) exceeds the available context size
0.58.500.000 E parse: {NAME} is no rule
root ::= "{NAME}"
{NAME}
/src/ggml.c:1234: GGML_ASSERT(n_past < n_ctx) failed
Traceback (most recent call last):
  File "/src/engine.py", line 3, in answer
ValueError: {NAME}
"""
KEPT = """\
0.57.682.223 W srv    operator(): got exception
WARNING: JSON schema conversion was incomplete
0.57.691.425 W slot   operator(): id  3 | task 6 | n_past was set to 53
0.58.418.755 E srv    send_error: task id = 16, error
0.58.500.000 E parse:
/src/ggml.c:1234: GGML_ASSERT(n_past < n_ctx) failed
Traceback (most recent call last):
  File "/src/engine.py", line 3, in answer
ValueError
"""
QUOTING = "import sys; print(f'loading {sys.argv[1]}serving it', sys.argv[1], sep=chr(10), flush=True)"


class StandIn(ModelRunner):
    """A runner whose child is the synthetic upstream instead of a model."""

    broken = False
    quotes = ""

    def _command(self) -> list[str]:
        if self.quotes:
            return [sys.executable, "-c", QUOTING, self.quotes]
        if self.broken:
            return [sys.executable, "-c", "import sys; sys.stderr.write('no such model file\\n'); sys.exit(3)"]
        return [sys.executable, "-m", "shanhe.compute.synthetic", "--uds", str(self.socket)]


@pytest.fixture
async def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    monkeypatch.setattr(module, "BACKOFF_FIRST_S", 0.05)
    monkeypatch.setattr(module, "PROBE_S", 0.2)
    made = StandIn(CARD, tmp_path / "none.gguf", tmp_path)
    yield made
    await made.stop()


class TestRunner:
    async def test_serves_on_a_socket_that_only_its_user_reaches(self, runner: StandIn) -> None:
        await runner.start()
        assert await runner.healthy()
        assert runner.socket.parent.stat().st_mode & 0o777 == 0o700

    async def test_a_child_that_dies_is_started_again(self, runner: StandIn) -> None:
        await runner.start()
        first = runner.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)

        async def back() -> bool:
            return runner.pid not in (None, first) and await runner.healthy()

        await until(back)
        assert runner.restarts == 1

    async def test_a_child_that_hangs_is_ended_and_started_again(
        self, runner: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "STOP_LIMIT_S", 0.2)
        monkeypatch.setattr(module, "SILENT_PROBES_MAX", 1)
        plain = StandIn.healthy

        async def impatient(self: StandIn, timeout_s: float = 0.3) -> bool:
            return await plain(self, 0.3)

        monkeypatch.setattr(StandIn, "healthy", impatient)
        await runner.start()
        first = runner.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)

        async def back() -> bool:
            return runner.pid not in (None, first) and await runner.healthy()

        await until(back)

    async def test_stopping_ends_the_child_and_removes_the_socket(self, runner: StandIn) -> None:
        await runner.start()
        pid = runner.pid
        assert pid is not None
        await runner.stop()
        assert not runner.socket.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_a_child_that_cannot_start_says_why(self, runner: StandIn) -> None:
        runner.broken = True
        with pytest.raises(ChildFailed) as failed:
            await runner.start()
        assert "no such model file" in failed.value.message
        assert str(runner.log_file) in failed.value.hint

    async def test_a_child_that_serves_leaves_nothing_of_requests_in_its_log(self, runner: StandIn) -> None:
        """llama.cpp quotes what it refuses: the log keeps what it says itself."""
        runner.quotes = QUOTED
        with pytest.raises(ChildFailed):
            await runner.start()
        before, _, after = runner.log_file.read_text().partition("serving it\n")
        assert before == f"loading {QUOTED}"
        assert after == KEPT

    async def test_a_child_gets_no_secrets(self, tmp_path: Path) -> None:
        environment = {"PATH": "/bin", "HOME": "/h", "DATABASE_URL": "postgresql://u:p@h/d", "VENDOR_KEY": "sk"}
        runner = ModelRunner(CARD, tmp_path / "m", tmp_path, environment=environment)
        assert runner._environment == {"PATH": "/bin", "HOME": "/h"}


class TestSupervisor:
    async def test_starts_again_what_is_wanted_while_it_ends_once_it_has_ended(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both have one socket, which the one that ends takes away."""
        ended, course = asyncio.Event(), list[str]()

        class Slow(ModelRunner):
            async def start(self) -> None:
                course.append("starts")

            async def stop(self) -> None:
                course.append("ends")
                await ended.wait()
                course.append("ended")

        async def there(self: LlamaSupervisor, model: str) -> Path:
            return tmp_path / "m.gguf"

        monkeypatch.setattr(module, "ModelRunner", Slow)
        monkeypatch.setattr(LlamaSupervisor, "fetch", there)
        engines, model = LlamaSupervisor(tmp_path), "qwen2.5-coder-0.5b-instruct"
        await engines.start(model)
        ending = asyncio.create_task(engines.stop(model))
        await asyncio.sleep(0)
        engines._wanted(model)
        await asyncio.sleep(0)
        ended.set()
        await asyncio.gather(ending, *engines._starting)
        assert course == ["starts", "ends", "ended", "starts"]
        await engines.stop()


class TestChild:
    def test_leaves_one_core_to_the_city(self) -> None:
        assert threads_for(0, cores=8) == 7
        assert threads_for(0, cores=1) == 1
        assert threads_for(3, cores=8) == 3

    def test_reads_the_command_that_the_runner_writes(self, tmp_path: Path) -> None:
        for model in ("qwen2.5-coder-0.5b-instruct", "multilingual-e5-small"):
            runner = ModelRunner(card(model), tmp_path / "m.gguf", tmp_path, threads=2)
            args = arguments(runner._command()[3:])
            assert (args.alias, args.threads, args.slots) == (model, 2, card(model).slots)
            assert args.embedding == (model == "multilingual-e5-small")
            assert args.parent == os.getpid()
