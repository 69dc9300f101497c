"""Training on a tiny network: the layers below what is trained are computed once, and nothing changes by that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `studio` is not installed")
torch.set_num_threads(1)  # of so little work each would only wait for the other
gguf = pytest.importorskip("gguf", reason="the extra `studio` is not installed")
pytest.importorskip("transformers", reason="the extra `studio` is not installed")

from tests.studio import tiny  # noqa: E402 - after the extra is known to be there

from shanhe.kernel.errors import Invalid  # noqa: E402
from shanhe.studio.work.aligning import align  # noqa: E402
from shanhe.studio.work.importance import importance  # noqa: E402
from shanhe.studio.work.quick import Reader, dequantize  # noqa: E402
from shanhe.studio.work.surgery import quantize  # noqa: E402
from shanhe.studio.work.tuning import IGNORED, below, diverged, loss_of, tune  # noqa: E402

NOT = IGNORED
ROWS = [([3, 5, 8, 1, 9], [NOT, NOT, 8, 1, 9]), ([7, 2, 4], [NOT, 2, 4]), ([6, 6, 1, 0], [NOT, NOT, NOT, 0])]


def network() -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(7)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=12, num_hidden_layers=4, **shape)).eval()


def whole(net: Any) -> Any:
    """The same loss over the whole network, row by row."""
    total, count = 0.0, 0
    for tokens, labels in ROWS:
        logits = net(input_ids=torch.tensor([tokens])).logits[0, :-1]
        wanted = torch.tensor(labels[1:])
        total = total + torch.nn.functional.cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="sum")
        count += int((wanted != IGNORED).sum())
    return total / count


class TestTuning:
    @pytest.mark.parametrize("frozen", [0, 3])
    def test_gives_the_loss_and_the_slopes_of_the_whole_network(self, frozen: int) -> None:
        slopes = []
        for one in (network(), network()):
            last = one.model.layers[-1].mlp.up_proj.weight
            loss = loss_of(one, below(one, ROWS, frozen, lambda **_: None)) if not slopes else whole(one)
            loss.backward()
            slopes.append((loss.item(), last.grad.clone()))
        assert slopes[0][0] == pytest.approx(slopes[1][0], rel=1e-5)
        assert torch.allclose(slopes[0][1], slopes[1][1], atol=1e-6)

    def test_ends_when_it_diverges_and_not_when_it_began_near_nothing(self) -> None:
        diverged(0.46, 0.04, 40, 90)
        diverged(8.0, 2.0, 5, 90)  # it still warms up
        for loss in (7.0, float("nan"), float("inf")):
            with pytest.raises(Invalid):
                diverged(loss, 2.0, 40, 90)

    def test_that_diverges_ends_without_an_adapter(self, tmp_path: Path) -> None:
        (tmp_path / "pairs.jsonl").write_text(json.dumps({"question": "q", "answer": "a weld", "item": 0}))
        inputs = {"model": tiny.model(tmp_path / "base.gguf"), "pairs": tmp_path / "pairs.jsonl"}
        asked = {"rounds": 80, "batch": 1, "rank": 8, "rate_ppm": 10**43, "tokens_max": 64, "seed": 7, "layers": 0}
        with pytest.raises(Invalid, match="The loss went"):
            tune(inputs, tmp_path, asked, lambda **_: None)
        assert not (tmp_path / "adapter.gguf").exists()


class TestAligning:
    def test_prefers_the_right_answer_more_with_each_round(self, tmp_path: Path) -> None:
        lines = [{"question": f"q{n}", "answer": f"yes {n}", "wrong": f"no {n}", "item": n} for n in range(4)]
        (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
        inputs = {"model": tiny.model(tmp_path / "base.gguf"), "pairs": tmp_path / "pairs.jsonl"}
        asked = {"rounds": 12, "batch": 4, "rank": 4, "rate_ppm": 5_000, "tokens_max": 64, "seed": 7, "layers": 2}
        files, metrics = align(inputs, tmp_path, asked, lambda **_: None)
        assert metrics["loss_first"] == pytest.approx(0.6931, abs=1e-3)  # the adapter changes nothing yet
        assert metrics["loss_last"] < metrics["loss_first"]
        assert metrics["margin"] > 0
        assert set(files) >= {"adapter.safetensors", "adapter.gguf"}

    def test_needs_wrong_answers(self, tmp_path: Path) -> None:
        (tmp_path / "pairs.jsonl").write_text(json.dumps({"question": "q", "answer": "a", "wrong": "", "item": 0}))
        with pytest.raises(Invalid):
            align({"model": tmp_path, "pairs": tmp_path / "pairs.jsonl"}, tmp_path, {}, lambda **_: None)


class TestImportance:
    def test_rounds_with_care_where_much_enters(self, tmp_path: Path) -> None:
        base = tiny.model(tmp_path / "base.gguf")
        (tmp_path / "pairs.jsonl").write_text(json.dumps({"question": "weld", "answer": "clean it first", "item": 0}))
        known = importance(base, tmp_path / "pairs.jsonl", 64, lambda **_: None)
        assert set(known) == {f"blk.{at}.{name}.weight" for at in range(tiny.LAYERS) for name in tiny.SIDES}
        before = {one.name: dequantize(one.data, one.tensor_type) for one in Reader(base).tensors}
        errors = []
        for number, inputs in enumerate(({"model": base}, {"model": base, "pairs": tmp_path / "pairs.jsonl"})):
            folder = tmp_path / str(number)
            folder.mkdir()
            files, metrics = quantize(inputs, folder, {"quantum": "Q4_K", "tokens_max": 64}, lambda **_: None)
            assert metrics["weighed"] == number * len(known)
            after = {one.name: dequantize(one.data, one.tensor_type) for one in Reader(files["model.gguf"]).tensors}
            errors.append(sum(float(((after[name] - before[name]) ** 2 * known[name]).sum()) for name in known))
        assert errors[1] < errors[0]


class TestReader:
    def test_reads_what_the_package_reads(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gguf"
        writer = gguf.GGUFWriter(path, "qwen2")
        writer.add_array("tokenizer.ggml.tokens", ["<a>", "", "工业"])
        writer.add_array("tokenizer.ggml.token_type", [1, 2, 3])
        writer.add_float32("qwen2.rope.freq_base", 1e6)
        weight = np.random.default_rng(7).normal(size=(4, 64)).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor("a", gguf.quants.quantize(weight, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        slow, fast = gguf.GGUFReader(path), Reader(path)
        assert {name: (one.contents(), one.types) for name, one in fast.fields.items()} == {
            name: (one.contents(), one.types) for name, one in slow.fields.items()
        }
        packed = fast.tensors[0]
        assert np.array_equal(packed.data, slow.tensors[0].data)
        assert np.array_equal(dequantize(packed.data, kind), gguf.quants.dequantize(packed.data, kind))
