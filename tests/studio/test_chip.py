"""Training where the machine has a graphics processor: the same adapter, sooner, and its time is charged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `studio` is not installed")
pytest.importorskip("gguf", reason="the extra `studio` is not installed")
pytest.importorskip("transformers", reason="the extra `studio` is not installed")

from tests.studio import tiny  # noqa: E402 - after the extra is known to be there

from shanhe.studio.work import chip  # noqa: E402
from shanhe.studio.work.aligning import align  # noqa: E402
from shanhe.studio.work.importance import importance  # noqa: E402
from shanhe.studio.work.tuning import KEEP_EVERY, drop, tune  # noqa: E402

ASKED = {"rounds": 30, "batch": 4, "rank": 4, "rate_ppm": 5_000, "tokens_max": 64, "seed": 7, "layers": 2}
needs_chip = pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics processor")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each test were a step's process."""
    monkeypatch.setattr(chip, "_since", [])
    monkeypatch.setattr(chip, "_cores", 0)


def inputs(folder: Path) -> dict[str, Path]:
    lines = [{"question": f"q{n}", "answer": f"yes {n}", "wrong": f"no {n}", "item": n} for n in range(8)]
    (folder / "pairs.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return {"model": tiny.model(folder / "base.gguf"), "pairs": folder / "pairs.jsonl"}


def on_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    chip._since.clear()


class TestWithoutAChip:
    def test_works_on_the_processor_and_counts_no_chip(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        on_processor(monkeypatch)
        chip.counts_as(64)
        assert chip.take().type == "cpu"
        assert (chip.counted_ms(), chip.name()) == (0, "cpu")


@needs_chip
class TestChip:
    @pytest.mark.parametrize("train", [tune, align])
    def test_learns_what_the_processor_learns(
        self, train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given, found = inputs(tmp_path), []
        for place in ("chip", "cpu"):
            if place == "cpu":
                on_processor(monkeypatch)
            (tmp_path / place).mkdir()
            found.append(train(given, tmp_path / place, ASKED, lambda **_: None)[1])
        assert found[0]["chip"] != found[1]["chip"] == "cpu"
        assert found[0]["loss_first"] == pytest.approx(found[1]["loss_first"], rel=1e-3)
        assert found[0]["loss_last"] == pytest.approx(found[1]["loss_last"], rel=2e-2)
        assert found[0]["loss_last"] < found[0]["loss_first"]

    def test_goes_on_from_a_checkpoint(self, tmp_path: Path) -> None:
        given, straight, resumed = inputs(tmp_path), list[Any](), list[Any]()

        class Killed(Exception):
            pass

        def until(**told: Any) -> None:
            if told.get("loss") and told["n"] > KEEP_EVERY:
                raise Killed

        whole, broken = tmp_path / "whole", tmp_path / "broken"
        whole.mkdir()
        broken.mkdir()
        tune(given, whole, ASKED, lambda **told: straight.append(told))
        with pytest.raises(Killed):
            tune(given, broken, ASKED, until)
        tune(given, broken, ASKED, lambda **told: resumed.append(told))
        assert any("resumed" in told.get("say", "") for told in resumed)
        assert resumed[-1]["n"] == ASKED["rounds"]
        assert resumed[-1]["loss"] == pytest.approx(straight[-1]["loss"], rel=1e-2)

    def test_scans_layers_and_weighs_columns(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tiny, "LAYERS", 6)
        given = inputs(tmp_path)
        asked = {"layers": 1, "tokens_max": 64}
        here = drop(given, tmp_path, asked, lambda **_: None)[1]["influence"]
        columns = importance(given["model"], given["pairs"], 64, lambda **_: None)
        on_processor(monkeypatch)
        there = drop(given, tmp_path, asked, lambda **_: None)[1]["influence"]
        assert here == pytest.approx(there, abs=2e-3)
        again = importance(given["model"], given["pairs"], 64, lambda **_: None)
        assert all(abs(columns[name] - again[name]).max() <= 2e-3 * again[name].max() for name in again)

    def test_is_charged_for_as_long_as_it_is_held(self) -> None:
        chip.counts_as(64)
        assert chip.counted_ms() == 0
        chip.take()
        one = chip.counted_ms()
        torch.ones(8, device="cuda").sum().item()
        assert chip.counted_ms() >= one
        assert chip.counted_ms() % 64 == 0
