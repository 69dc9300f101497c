"""Surgery on a tiny GGUF: what is merged is the sum, what is dropped is gone, what is packed is near what it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="the extra `studio` is not installed")
pytest.importorskip("libgguf", reason="the extra `studio` is not installed")

from shanhe.studio.errors import BadModelFile  # noqa: E402 - after the extra is known to be there
from shanhe.studio.gguf_check import check  # noqa: E402
from shanhe.studio.work.surgery import merge, quantize, without_layers  # noqa: E402

WIDE, ODD, LAYERS = 256, 96, 4
RANDOM = np.random.default_rng(7)
Weights = dict[str, Any]


def written(path: Path, arch: str = "qwen2", *, width: int = WIDE) -> Weights:
    """A model of four little layers; its weights."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(LAYERS)
    writer.add_array("tokenizer.ggml.tokens", ["<a>", "b", "工"])
    weights = {"token_embd.weight": RANDOM.normal(size=(3, width)).astype(np.float32)}
    for at in range(LAYERS):
        weights[f"blk.{at}.attn_norm.weight"] = np.full(width, float(at), np.float32)
        weights[f"blk.{at}.attn_q.weight"] = RANDOM.normal(size=(width, width)).astype(np.float32)
    for name, weight in weights.items():
        writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def read(path: Path) -> tuple[Weights, dict[str, str]]:
    """(weights as float32, their types)."""
    reader = gguf.GGUFReader(path)
    unpacked: Callable[[Any], Any] = lambda one: gguf.quants.dequantize(one.data, one.tensor_type)  # noqa: E731
    return (
        {one.name: unpacked(one).reshape(tuple(reversed(one.shape.tolist()))) for one in reader.tensors},
        {one.name: one.tensor_type.name for one in reader.tensors},
    )


def quietly(**said: object) -> None:
    """Nobody listens."""


class TestSurgery:
    def test_adds_an_adapter_to_the_weights_it_was_made_for(self, tmp_path: Path) -> None:
        from safetensors.numpy import save_file

        weights = written(tmp_path / "base.gguf")
        side_a, side_b = RANDOM.normal(size=(4, WIDE)) / 16, RANDOM.normal(size=(WIDE, 4)) / 16
        name = "blk.2.attn_q.weight"
        adapter = {f"{name}.lora_a": side_a.astype(np.float32), f"{name}.lora_b": side_b.astype(np.float32)}
        save_file(adapter, tmp_path / "a.safetensors", metadata={"scale": "2.0"})
        inputs = {"model": tmp_path / "base.gguf", "adapter": tmp_path / "a.safetensors"}
        files, metrics = merge(inputs, tmp_path, {}, quietly)
        found, kinds = read(files["model.gguf"])
        assert metrics["merged"] == 1
        assert kinds[name] == "Q8_0"
        wanted = weights[name] + 2.0 * side_b @ side_a
        assert np.abs(found[name] - wanted).max() < np.abs(wanted).max() / 100
        same = [other for other in weights if other != name]
        assert all(np.array_equal(found[other], weights[other]) for other in same)

    def test_drops_layers_and_moves_the_others_up(self, tmp_path: Path) -> None:
        weights = written(tmp_path / "base.gguf")
        found, _ = read(without_layers(tmp_path / "base.gguf", tmp_path / "out.gguf", [1, 2]))
        assert check(tmp_path / "out.gguf").blocks == 2
        assert {name.split(".")[1] for name in found if name.startswith("blk")} == {"0", "1"}
        assert np.array_equal(found["blk.1.attn_q.weight"], weights["blk.3.attn_q.weight"])
        reader = gguf.GGUFReader(tmp_path / "out.gguf")
        assert reader.get_field("tokenizer.ggml.tokens").contents() == ["<a>", "b", "工"]

    @pytest.mark.parametrize(("quantum", "loss"), [("Q8_0", 0.01), ("Q4_K", 0.1), ("Q2_K", 0.4)])
    def test_packs_weights_as_small_as_asked(self, tmp_path: Path, quantum: str, loss: float) -> None:
        weights = written(tmp_path / "base.gguf")
        files, metrics = quantize({"model": tmp_path / "base.gguf"}, tmp_path, {"quantum": quantum}, quietly)
        found, kinds = read(files["model.gguf"])
        assert (metrics["packed"], metrics["odd_rows"]) == (LAYERS, 0)
        for at in range(LAYERS):
            name = f"blk.{at}.attn_q.weight"
            assert kinds[name] == quantum
            off = float(np.sqrt(np.mean((found[name] - weights[name]) ** 2)))
            assert off < loss * float(np.std(weights[name]))

    def test_gives_odd_rows_what_fits_them(self, tmp_path: Path) -> None:
        written(tmp_path / "base.gguf", width=ODD)
        files, metrics = quantize({"model": tmp_path / "base.gguf"}, tmp_path, {"quantum": "Q4_K"}, quietly)
        assert metrics["odd_rows"] == LAYERS
        assert read(files["model.gguf"])[1]["blk.0.attn_q.weight"] == "Q5_0"

    def test_refuses_what_it_would_spoil(self, tmp_path: Path) -> None:
        written(tmp_path / "base.gguf", "llama")
        with pytest.raises(BadModelFile, match="llama"):
            without_layers(tmp_path / "base.gguf", tmp_path / "out.gguf", [1])
