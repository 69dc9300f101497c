"""Supervised fine-tuning of LoRA adapters (Hu et al. 2021) on a GGUF model, and which layers are least missed.

In float32, on a graphics processor where there is one: packed weights are unpacked by the framework when it loads
them. Everything follows from the seed and the number of a round, so that a resumed training goes on as if it had not
been interrupted. Checkpoints are safetensors; nothing is ever pickled.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from shanhe.kernel.errors import Invalid
from shanhe.studio.work import chip
from shanhe.studio.work.surgery import MODULES, Files, adapter_gguf, architecture, gguf_name, read_pairs, without_layers

WARM_UP: Final = 0.05
CLIP: Final = 1.0
KEEP_EVERY: Final = 25
"""Rounds between two checkpoints."""
DIVERGED: Final = 3.0
"""A loss this many times the first one, after the warm-up, ends the training."""
LOSS_LEAST: Final = 1.0
"""A first loss below this counts as this: what was learnt before may begin near nothing."""
SMOOTH: Final = 10
"""Rounds over which the loss is looked at: one batch says little."""
TELL_EVERY: Final = 5
SCAN_ROWS: Final = 24
TOGETHER: Final = 16
"""Rows that pass the frozen layers at the same time."""
IGNORED: Final = -100
Tell = Callable[..., None]


def load(path: Path) -> tuple[Any, Any]:
    """(tokenizer, model) of a GGUF."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from shanhe.studio.work.quick import quickly

    folder, name = str(path.parent), path.name
    with quickly(path):
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
        net = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    return tokenizer, net.to(chip.take())


def prompt_of(tokenizer: Any, question: str) -> str:
    """A question as the model's own template puts it, up to where the answer begins."""
    if not question:
        return ""
    if tokenizer.chat_template:
        messages = [{"role": "user", "content": question}]
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    return f"问：{question}\n答："


def encoded(tokenizer: Any, pairs: list[dict[str, Any]], tokens_max: int) -> list[tuple[list[int], list[int]]]:
    """(tokens, labels) of each pair; what is asked is not learnt."""
    end = tokenizer.eos_token_id
    found = []
    for pair in pairs:
        asked = tokenizer(prompt_of(tokenizer, pair["question"]), add_special_tokens=False).input_ids
        said = [*tokenizer(pair["answer"], add_special_tokens=False).input_ids, end]
        tokens, labels = asked + said, [IGNORED] * len(asked) + said
        found.append((tokens[-tokens_max:], labels[-tokens_max:]))
    return found


def batch_at(rows: list[Any], n: int, size: int, seed: int) -> list[Any]:
    """The rows of round `n`: each row once an epoch, in an order of the epoch's own."""
    chosen = []
    for place in range(n * size, (n + 1) * size):
        epoch, at = divmod(place, len(rows))
        order = list(range(len(rows)))
        random.Random(seed * 1_000_003 + epoch).shuffle(order)
        chosen.append(rows[order[at]])
    return chosen


def loss_of(net: Any, batch: list[tuple[Any, list[int]]]) -> Any:
    """Mean cross-entropy of the answers' tokens; the vocabulary is multiplied out for those alone.

    `batch`: (what enters the layers that are trained, labels) of each row.
    """
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.utils.rnn import pad_sequence

    width = max(len(labels) for _, labels in batch)
    entering = pad_sequence([row for row, _ in batch], batch_first=True)
    where = entering.device
    labels = torch.tensor([row + [IGNORED] * (width - len(row)) for _, row in batch], device=where)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for _, row in batch], device=where)
    hidden = net.model(inputs_embeds=entering, attention_mask=mask, use_cache=False).last_hidden_state
    wanted = labels[:, 1:] != IGNORED
    logits = net.lm_head(hidden[:, :-1][wanted])
    return cross_entropy(logits, labels[:, 1:][wanted])


def rate_at(n: int, rounds: int, peak: float) -> float:
    """Warm-up, then a cosine down to a tenth."""
    warm = max(1, int(rounds * WARM_UP))
    if n < warm:
        return peak * (n + 1) / warm
    return peak * (0.55 + 0.45 * math.cos(math.pi * (n - warm) / max(1, rounds - warm)))


@dataclass(frozen=True)
class Ready:
    """A network with an adapter in it, before the first round. `frozen`: so many layers from below are not trained."""

    arch: str
    tokenizer: Any
    net: Any
    adapted: Any
    weights: dict[str, Any]
    frozen: int


def prepared(model: Path, parameters: dict[str, Any]) -> Ready:
    import torch
    from peft import LoraConfig, get_peft_model

    arch = architecture(model)
    torch.manual_seed(parameters["seed"])
    tokenizer, net = load(model)
    rank, layers = parameters["rank"], len(net.model.layers)
    frozen = max(0, layers - (parameters["layers"] or layers))
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=[name.split(".")[1] for name in MODULES], task_type="CAUSAL_LM",
        layers_to_transform=list(range(frozen, layers)),
    )  # fmt: skip
    adapted = get_peft_model(net, config)
    weights = {name: one for name, one in adapted.named_parameters() if one.requires_grad}
    return Ready(arch, tokenizer, net, adapted, weights, frozen)


def tune(inputs: dict[str, Path], folder: Path, parameters: dict[str, Any], tell: Tell) -> Files:
    """Train an adapter; goes on from the folder's checkpoint if there is one."""
    ready = prepared(inputs["model"], parameters)
    pairs = encoded(ready.tokenizer, read_pairs(inputs["pairs"]), parameters["tokens_max"])
    rows = below(ready.net, pairs, ready.frozen, tell)

    def loss(n: int) -> Any:
        return loss_of(ready.net, batch_at(rows, n, parameters["batch"], parameters["seed"]))

    return learnt(ready, folder, parameters, loss, len(rows), tell)


def learnt(
    ready: Ready, folder: Path, parameters: dict[str, Any], loss_at: Callable[[int], Any], rows: int, tell: Tell
) -> Files:
    """All rounds of a training whose loss in round n is given; goes on from the folder's checkpoint."""
    import torch

    rounds, weights = parameters["rounds"], ready.weights
    optimiser = torch.optim.AdamW(list(weights.values()), lr=1e-4, weight_decay=0.0)
    keeper = Checkpoint(folder, weights, optimiser)
    begin, first = keeper.load()
    if begin:
        tell(say=f"resumed after {begin} of {rounds} rounds")
    recent: list[float] = []
    for n in range(begin, rounds):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(n, rounds, parameters["rate_ppm"] / 1e6)
        loss = loss_at(n)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(weights.values()), CLIP)
        optimiser.step()
        recent.append(float(loss.detach()))
        first = first or recent[0]
        diverged(sum(recent[-SMOOTH:]) / len(recent[-SMOOTH:]), first, n, rounds)
        if (n + 1) % TELL_EVERY == 0 or n + 1 == rounds:
            tell(n=n + 1, of=rounds, loss=sum(recent[-TELL_EVERY:]) / len(recent[-TELL_EVERY:]))
        if (n + 1) % KEEP_EVERY == 0:
            keeper.keep(n + 1, first)
    files = written(folder, ready.adapted, weights, parameters["rank"], ready.arch)
    last = recent[-20:] or [first]
    metrics = {"rounds": rounds, "loss_first": first, "loss_last": sum(last) / len(last), "rows": rows}
    return files, metrics | {"layers": len(ready.net.model.layers) - ready.frozen, "chip": chip.name()}


def below(net: Any, rows: list[tuple[list[int], list[int]]], frozen: int, tell: Tell) -> list[tuple[Any, list[int]]]:
    """(what enters the first trained layer, labels) of each row; the layers below are then let go.

    They never change, and attention looks back only: what they make of a row is computed once and kept, instead of in
    every round.
    """
    import torch

    class Pass(torch.nn.Module):  # type: ignore[misc]
        """Stands where a layer was."""

        def forward(self, hidden: Any, *_: Any, **__: Any) -> Any:
            return hidden

    layers, norm = list(net.model.layers), net.model.norm
    found: dict[int, Any] = {}
    order = sorted(range(len(rows)), key=lambda at: len(rows[at][0]))
    with torch.no_grad():
        for at in range(frozen, len(layers)):
            net.model.layers[at] = Pass()
        net.model.norm = Pass()
        for begin in range(0, len(order), TOGETHER):
            some = order[begin : begin + TOGETHER]
            width = max(len(rows[at][0]) for at in some)
            tokens = torch.tensor([rows[at][0] + [0] * (width - len(rows[at][0])) for at in some], device=net.device)
            hidden = net.model(input_ids=tokens, use_cache=False).last_hidden_state
            found |= {at: one[: len(rows[at][0])].clone() for at, one in zip(some, hidden, strict=True)}
            if frozen:
                tell(n=len(found), of=len(rows))
        net.model.norm = norm
        for at, layer in enumerate(layers):
            net.model.layers[at] = Pass() if at < frozen else layer
    return [(found[at], labels) for at, (_, labels) in enumerate(rows)]


def diverged(loss: float, first: float, n: int, rounds: int) -> None:
    if not math.isfinite(loss) or (n > rounds * WARM_UP + 20 and loss > DIVERGED * max(first, LOSS_LEAST)):
        raise Invalid(
            "training_diverged",
            f"The loss went from {first:.2f} to {loss:.2f} in round {n + 1}; a smaller rate may help.",
            message_zh=f"第 {n + 1} 轮损失由 {first:.2f} 升至 {loss:.2f}，训练发散；可调低学习率。",
        )  # fmt: skip


def written(folder: Path, adapted: Any, weights: dict[str, Any], rank: int, arch: str) -> dict[str, Path]:
    """The adapter in the names of GGUF (to merge), as GGUF (for llama.cpp) and as PEFT has it (for other servers)."""
    from safetensors.torch import save_file

    tensors = {}
    for name, one in weights.items():
        side = "lora_a" if ".lora_A." in name else "lora_b"
        known = gguf_name(name.split(".lora_")[0])
        if known is None:
            raise Invalid(
                "odd_module", f"The module {name} has no place in a GGUF.", message_zh=f"模块 {name} 无法写入 GGUF。"
            )
        tensors[f"{known}.{side}"] = one.detach().cpu().contiguous()
    path = folder / "adapter.safetensors"
    save_file(tensors, path, metadata={"scale": "2.0", "alpha": str(2 * rank), "rank": str(rank)})
    adapted.save_pretrained(folder / "peft", safe_serialization=True)
    return {
        "adapter.safetensors": path,
        "adapter.gguf": adapter_gguf(path, arch, folder / "adapter.gguf"),
        "peft/adapter_model.safetensors": folder / "peft" / "adapter_model.safetensors",
        "peft/adapter_config.json": folder / "peft" / "adapter_config.json",
    }


class Checkpoint:
    """Adapter and optimiser after some rounds, in one safetensors file that is replaced whole."""

    def __init__(self, folder: Path, weights: dict[str, Any], optimiser: Any) -> None:
        self._path = folder / "checkpoint.safetensors"
        self._weights = weights
        self._optimiser = optimiser

    def keep(self, n: int, first: float) -> None:
        from safetensors.torch import save_file

        tensors = {}
        for name, one in self._weights.items():
            tensors[f"w.{name}"] = one.detach().contiguous()
            for part, value in self._optimiser.state[one].items():
                tensors[f"o.{part}.{name}"] = value.detach().contiguous().reshape(value.shape or (1,))
        coming = self._path.with_suffix(".coming")
        save_file(tensors, coming, metadata={"said": json.dumps({"n": n, "first": first})})
        coming.replace(self._path)

    def load(self) -> tuple[int, float]:
        """(rounds done, the first loss); (0, 0.0) without a checkpoint that can be read."""
        import torch
        from safetensors import SafetensorError, safe_open

        if not self._path.exists():
            return 0, 0.0
        try:
            with safe_open(self._path, "pt") as file:
                said = json.loads(file.metadata()["said"])
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            return 0, 0.0
        with torch.no_grad():
            for name, one in self._weights.items():
                one.copy_(found[f"w.{name}"])
                state = {}
                for part in ("step", "exp_avg", "exp_avg_sq"):
                    value = found[f"o.{part}.{name}"]
                    state[part] = value.reshape(()) if part == "step" else value.to(one.device)
                self._optimiser.state[one] = state
        return int(said["n"]), float(said["first"])


def drop(inputs: dict[str, Path], folder: Path, parameters: dict[str, Any], tell: Tell) -> Files:
    """Take out the layers that change least what passes through them (Men et al. 2024, ShortGPT: block influence)."""
    import torch

    architecture(inputs["model"])
    tokenizer, net = load(inputs["model"])
    rows = encoded(tokenizer, read_pairs(inputs["pairs"])[:SCAN_ROWS], parameters["tokens_max"])
    sums: list[float] = []
    with torch.no_grad():
        for number, (tokens, _) in enumerate(rows, 1):
            entering = torch.tensor([tokens], device=net.device)
            states = net.model(input_ids=entering, output_hidden_states=True).hidden_states
            found = [
                1 - float(torch.nn.functional.cosine_similarity(one[0], other[0], dim=-1).mean())
                for one, other in pairwise(states)
            ]
            sums = [one + other for one, other in zip(sums or [0.0] * len(found), found, strict=True)]
            tell(n=number, of=len(rows))
    influence = [one / len(rows) for one in sums]
    inner = range(2, len(influence) - 1)
    if parameters["layers"] >= len(inner):
        raise Invalid("too_many_layers", "So many layers can't be dropped.", message_zh="删除的层数过多。")
    dropped = sorted(sorted(inner, key=lambda at: influence[at])[: parameters["layers"]])
    path = without_layers(inputs["model"], folder / "model.gguf", dropped)
    rounded = [round(one, 4) for one in influence]
    return {"model.gguf": path}, {"dropped": dropped, "influence": rounded, "bytes": path.stat().st_size}
