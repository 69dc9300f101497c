"""Adapters served beside one base: the texts of the framework that trains them, and little memory each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest

torch = pytest.importorskip("torch", reason="the extra `studio` is not installed")
torch.set_num_threads(1)  # of so little work each would only wait for the other
pytest.importorskip("gguf", reason="the extra `studio` is not installed")
pytest.importorskip("transformers", reason="the extra `studio` is not installed")
pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")

from tests.studio import tiny  # noqa: E402 - after the extra is known to be there

from shanhe.compute.adapters import SLOTS  # noqa: E402
from shanhe.compute.api import LlamaSupervisor, card  # noqa: E402
from shanhe.studio.work.surgery import MODULES, adapter_gguf, gguf_name  # noqa: E402
from shanhe.studio.work.tuning import load, prompt_of, tune  # noqa: E402

PROMPTS = [f"{word} {n}?" for n in range(5) for word in ("weld", "bolt", "grind", "paint")]
ANSWER_TOKENS = 16
CLONES = 16
QWEN = "qwen2.5-coder-0.5b-instruct"
QWEN_SIDES = {
    "attn_q": (896, 896), "attn_k": (896, 128), "attn_v": (896, 128), "attn_output": (896, 896),
    "ffn_gate": (896, 4_864), "ffn_up": (896, 4_864), "ffn_down": (4_864, 896),
}  # fmt: skip
QWEN_LAYERS, QWEN_TAUGHT = 24, 8


@contextmanager
def served(
    model: Path, adapters: Sequence[Path], context: int = 256, slots: int = 2
) -> Iterator[tuple[httpx.Client, int]]:
    """A child with these adapters: a client of it, its process."""
    with tempfile.TemporaryDirectory(prefix="shanhe-t-") as short:
        socket = Path(short) / "m.sock"
        command = [sys.executable, "-m", "shanhe.compute.llama_child", "--model", str(model), "--socket", str(socket)]
        command += [
            "--alias",
            "m",
            "--context-tokens",
            str(context),
            "--slots",
            str(slots),
            "--parent",
            str(os.getpid()),
        ]
        for path in adapters:
            command += ["--adapter", str(path)]
        child = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            until = time.monotonic() + 120
            while not socket.exists():
                assert child.poll() is None, child.stderr.read().decode() if child.stderr else ""
                assert time.monotonic() < until
                time.sleep(0.05)
            transport = httpx.HTTPTransport(uds=str(socket))
            with httpx.Client(transport=transport, base_url="http://m", timeout=120) as client:
                yield client, child.pid
        finally:
            child.terminate()
            child.wait(timeout=20)


def said(client: httpx.Client, prompt: str, number: int | None) -> str:
    body: dict[str, Any] = {
        "model": "m", "messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": ANSWER_TOKENS,
        "logprobs": True, "top_logprobs": 2,
    }  # fmt: skip
    if number is not None:
        body["lora"] = [{"id": number, "scale": 1.0}]
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def adapted(model: Path, adapter: Path, layers: int = 0) -> tuple[Any, Any]:
    """(tokenizer, network) with the adapter in it (on the last `layers`), as the framework has it while it trains."""
    from peft import LoraConfig, get_peft_model
    from safetensors import safe_open

    tokenizer, net = load(model)
    modules = [name.split(".")[1] for name in MODULES]
    count = len(net.model.layers)
    net = get_peft_model(net, LoraConfig(
        r=tiny.RANK, lora_alpha=2 * tiny.RANK, target_modules=modules,
        layers_to_transform=list(range(count - (layers or count), count)),
    ))  # fmt: skip
    with safe_open(adapter, "pt") as file, torch.no_grad():
        for name, weight in net.named_parameters():
            if weight.requires_grad:
                side = "lora_a" if ".lora_A." in name else "lora_b"
                weight.copy_(file.get_tensor(f"{gguf_name(name.split('.lora_')[0])}.{side}"))
    return tokenizer, net


def greedy(tokenizer: Any, net: Any, prompt: str) -> str:
    tokens = tokenizer(prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        for _ in range(ANSWER_TOKENS):
            best = net(input_ids=tokens).logits[0, -1].argmax()
            if int(best) == tokenizer.eos_token_id:
                break
            tokens = torch.cat([tokens, best.reshape(1, 1)], dim=1)
    start = len(tokenizer(prompt).input_ids)
    return str(tokenizer.decode(tokens[0, start:]))


def generated(tokenizer: Any, net: Any, question: str) -> str:
    """What the framework's own greedy search says."""
    tokens = tokenizer(prompt_of(tokenizer, question), return_tensors="pt").input_ids
    said = net.generate(input_ids=tokens, max_new_tokens=ANSWER_TOKENS, do_sample=False, repetition_penalty=1.0)
    return str(tokenizer.decode(said[0, tokens.shape[1] :], skip_special_tokens=True))


def taught(base: Path, folder: Path, answers: Sequence[str]) -> Path:
    """An adapter that was trained to answer each prompt so; as GGUF, with its own file beside it."""
    folder.mkdir()
    pairs = [{"question": one, "answer": other, "item": 0} for one, other in zip(PROMPTS, answers, strict=True)]
    (folder / "pairs.jsonl").write_text("\n".join(json.dumps(pair) for pair in pairs))
    asked = {"rounds": 100, "batch": len(PROMPTS), "rank": tiny.RANK, "rate_ppm": 10_000, "tokens_max": 64, "seed": 7}
    inputs = {"model": base, "pairs": folder / "pairs.jsonl"}
    files, metrics = tune(inputs, folder, asked | {"layers": 0}, lambda **_: None)
    assert metrics["loss_last"] < metrics["loss_first"] / 2
    return files["adapter.gguf"]


class TestAdapter:
    def test_says_what_the_framework_says_whoever_was_asked_before(self, tmp_path: Path) -> None:
        base = tiny.model(tmp_path / "base.gguf")
        words = {
            0: [f"{word[:2]}{n}" for n in range(5) for word in ("ok", "no", "so", "to")],
            1: ["stop"] * len(PROMPTS),
        }
        packed = [taught(base, tmp_path / str(number), words[number]) for number in words]
        with served(base, packed) as (client, _):
            texts = {number: [said(client, prompt, number) for prompt in PROMPTS] for number in words}
            mixed = [(said(client, prompt, 0), said(client, prompt, 1)) for prompt in PROMPTS[:4]]
            plain = [said(client, prompt, None) for prompt in PROMPTS[:4]]
        for number in words:
            tokenizer, net = adapted(base, tmp_path / str(number) / "adapter.safetensors")
            assert [greedy(tokenizer, net, prompt) for prompt in PROMPTS] == texts[number]
        assert mixed == list(zip(texts[0][:4], texts[1][:4], strict=True))
        assert sum(one != other for one, other in zip(texts[0], texts[1], strict=True)) == len(PROMPTS)
        assert not set(plain) & (set(texts[0]) | set(texts[1]))

    @pytest.mark.prove
    @pytest.mark.model
    def test_on_the_real_base_says_what_the_framework_says(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        base = LlamaSupervisor(tmp_path).file_of(QWEN)
        if base is None:
            pytest.skip("the model was not fetched")
        book = resources.files("shanhe.studio").joinpath("samples", "error_book.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in book.splitlines()[: len(PROMPTS)]]
        pairs = [{"question": row["question"], "answer": row["right"], "item": n} for n, row in enumerate(rows)]
        (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs))
        asked = {"rounds": 40, "batch": 4, "rank": tiny.RANK, "rate_ppm": 1_000, "tokens_max": 96, "seed": 7}
        torch.set_num_threads(os.cpu_count() or 1)
        inputs = {"model": base, "pairs": tmp_path / "pairs.jsonl"}
        files, metrics = tune(inputs, tmp_path, asked | {"layers": QWEN_TAUGHT}, lambda **_: None)
        with served(base, [files["adapter.gguf"]]) as (client, _):
            texts = [said(client, pair["question"], 0) for pair in pairs]
        tokenizer, net = adapted(base, files["adapter.safetensors"], QWEN_TAUGHT)
        wanted = [generated(tokenizer, net, pair["question"]) for pair in pairs]
        with capsys.disabled():
            same = sum(one == other for one, other in zip(texts, wanted, strict=True))
            print(f"\n{same} of {len(pairs)} greedy texts equal; loss {metrics['loss_last']:.2f}")
        assert texts == wanted

    @pytest.mark.prove
    @pytest.mark.model
    def test_costs_little_memory_beside_its_base(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        base = LlamaSupervisor(tmp_path).file_of(QWEN)
        if base is None:
            pytest.skip("the model was not fetched")
        kept = [tiny.adapter(tmp_path / f"{n}.safetensors", QWEN_SIDES, QWEN_LAYERS, n, 0.01) for n in range(CLONES)]
        packed = [adapter_gguf(path, "qwen2", path.with_suffix(".gguf")) for path in kept]
        memory = []
        for some in (packed[:1], packed):
            with served(base, some, card(QWEN).context_tokens, SLOTS) as (client, pid):
                for number in range(CLONES):  # the same questions for both: prompts are kept, too
                    said(client, f"第{number}道焊缝的坡口怎么处理？", number % len(some))
                memory.append(resident_mb(pid))
        with capsys.disabled():
            print(f"\none adapter {memory[0]} MB, {CLONES} adapters {memory[1]} MB: {memory[1] / memory[0]:.3f} x")
        assert memory[1] <= 1.25 * memory[0]


def resident_mb(pid: int) -> int:
    """Memory that a process holds, the mapped model included."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))
