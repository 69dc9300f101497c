"""The jobs port, the same for this machine and for a Ray cluster: what a step says, leaves, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shanhe.studio.errors import StepFailed
from shanhe.studio.ray_steps import RayJobs
from shanhe.studio.steps import RunStep, run_step

from .conftest import RAY_TOKEN

STEP = (sys.executable, str(Path(__file__).parent / "step.py"))
ENVIRONMENT = {"PATH": os.environ["PATH"], "SHANHE_VAULT_KEY": "secret"}


@pytest.fixture(params=["embedded", pytest.param("ray", marks=pytest.mark.prove)])
def run(request: pytest.FixtureRequest) -> RunStep:
    if request.param == "embedded":
        return run_step
    return RayJobs(request.getfixturevalue("ray_dashboard"), RAY_TOKEN)


class Listener:
    """Keeps what a step says; wants no more after `enough` lines."""

    def __init__(self, enough: int = 99) -> None:
        self.heard: list[Mapping[str, Any]] = []
        self._enough = enough

    async def __call__(self, told: Mapping[str, Any]) -> bool:
        if told:  # else it asks only whether to go on
            self.heard.append(told)
        return len(self.heard) < self._enough


def prepared(folder: Path, **orders: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "step.json").write_text(json.dumps(orders), encoding="utf-8")
    return folder


async def gone(folder: Path) -> bool:
    """Whether the step's process ends within a bounded time."""
    pid = int((folder / "pid").read_text())
    for _ in range(1_200):
        if not alive(pid):
            return True
        await asyncio.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


class TestStep:
    async def test_is_heard_line_by_line_and_leaves_its_result(self, run: RunStep, tmp_path: Path) -> None:
        folder, listener = prepared(tmp_path / "a"), Listener()
        assert await run(folder, listener, environment=ENVIRONMENT, command=STEP) is True
        assert [told["n"] for told in listener.heard] == [1, 2, 3]
        assert listener.heard[2]["say"] == "第 3 轮"
        seen = json.loads((folder / "result.json").read_text())["metrics"]["seen"]
        assert seen == {"SHANHE_VAULT_KEY": "", "HF_HUB_OFFLINE": "1"}

    async def test_that_fails_says_why_in_its_own_words(self, run: RunStep, tmp_path: Path) -> None:
        error = {"code": "training_diverged", "reason": "the loss is not finite"}
        with pytest.raises(StepFailed) as caught:
            await run(prepared(tmp_path / "a", error=error), Listener(), environment=ENVIRONMENT, command=STEP)
        assert "training_diverged" in str(caught.value.to_dict("en"))
        assert "the loss is not finite" in str(caught.value.to_dict("en"))

    @pytest.mark.parametrize("code", [0, 3])
    async def test_that_ends_without_a_result_has_failed(self, run: RunStep, tmp_path: Path, code: int) -> None:
        with pytest.raises(StepFailed) as caught:
            await run(prepared(tmp_path / "a", code=code), Listener(), environment=ENVIRONMENT, command=STEP)
        assert "step_died" in str(caught.value.to_dict("en"))

    async def test_ends_when_nobody_wants_more_and_goes_on_from_its_checkpoint(
        self, run: RunStep, tmp_path: Path
    ) -> None:
        folder, listener = prepared(tmp_path / "a", hang=2), Listener(enough=2)
        assert await run(folder, listener, environment=ENVIRONMENT, command=STEP) is False
        assert await gone(folder)
        assert not (folder / "result.json").exists()
        again = Listener()
        assert await run(prepared(folder), again, environment=ENVIRONMENT, command=STEP) is True
        assert [told["n"] for told in again.heard] == [3]

    async def test_that_is_silent_asks_whether_to_go_on(
        self, run: RunStep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shanhe.studio.steps.QUIET_S", 0.1)
        folder, begun = prepared(tmp_path / "a", hang=1), asyncio.Event()

        async def said(told: Mapping[str, Any]) -> bool:
            if told:
                begun.set()
            return bool(told) or not begun.is_set()

        async with asyncio.timeout(60):
            assert await run(folder, said, environment=ENVIRONMENT, command=STEP) is False
        assert await gone(folder)

    async def test_ends_when_its_foreman_is_told_to_stop(self, run: RunStep, tmp_path: Path) -> None:
        folder, begun = prepared(tmp_path / "a", hang=1), asyncio.Event()

        async def said(told: Mapping[str, Any]) -> bool:
            if told:
                begun.set()
            return True

        work = asyncio.ensure_future(run(folder, said, environment=ENVIRONMENT, command=STEP))
        async with asyncio.timeout(60):
            await begun.wait()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert await gone(folder)


class TestClusterThatIsAway:
    async def test_is_a_failure_that_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(StepFailed) as caught:
            await RayJobs("http://127.0.0.1:9")(
                prepared(tmp_path / "a"), Listener(), environment=ENVIRONMENT, command=STEP
            )
        assert "ray_away" in str(caught.value.to_dict("en"))
