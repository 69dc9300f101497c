"""A step's own process: what it says when it can not go on, and what it leaves then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shanhe.kernel.errors import Invalid
from shanhe.studio.work import main

STEP: dict[str, Any] = {"kind": "tune", "inputs": {}, "parameters": {}}


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return said


def failing(error: Exception) -> Any:
    def do(inputs: Any, folder: Path, parameters: Any, tell: Any) -> Any:
        (folder / "model.coming").write_bytes(b"half of it")
        (folder / "checkpoint.safetensors").write_bytes(b"whole")
        raise error

    return lambda: do


class TestStep:
    def test_leaves_its_result_at_the_end(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"a")
        assert main.done(tmp_path, STEP, lambda: lambda *_: ({"a": tmp_path / "a"}, {"n": 1})) == 0
        result = json.loads((tmp_path / "result.json").read_text())
        assert (list(result["files"]), result["metrics"]["n"]) == (["a"], 1)

    def test_on_a_full_disk_says_so_and_leaves_its_checkpoint_alone(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fills(inputs: Any, folder: Path, parameters: Any, tell: Any) -> Any:
            (folder / "model.coming").write_bytes(b"half of it")
            (folder / "checkpoint.safetensors").write_bytes(b"whole")
            Path("/dev/full").write_bytes(b"more")

        assert main.done(tmp_path, STEP, lambda: fills) == 1
        assert told(capsys)["error"]["code"] == "disk_full"
        assert [one.name for one in tmp_path.iterdir()] == ["checkpoint.safetensors"]

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (RuntimeError("I/O error: No space left on device (os error 28)"), "disk_full"),
            (PermissionError(13, "Permission denied", "x"), "studio_io"),
            (MemoryError(), "out_of_memory"),
            (Invalid("training_diverged", "It diverged.", message_zh="发散。"), "training_diverged"),
        ],
    )
    def test_says_in_its_words_why_it_failed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception, code: str
    ) -> None:
        assert main.done(tmp_path, STEP, failing(error)) == 1
        assert told(capsys)["error"]["code"] == code

    def test_does_not_hide_a_mistake_of_ours(self, tmp_path: Path) -> None:
        with pytest.raises(KeyError):
            main.done(tmp_path, STEP, failing(KeyError("x")))
