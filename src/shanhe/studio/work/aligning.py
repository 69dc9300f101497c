"""Learning to prefer the right practice to the wrong one: direct preference optimisation (Rafailov et al. 2023).

An error book has both answers to each question. The loss is -log σ(β · margin), where the margin is by how much more
the adapter has raised the right answer's likelihood than the wrong one's, against the model that it started from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from shanhe.kernel.errors import Invalid
from shanhe.studio.work.surgery import Files, read_pairs
from shanhe.studio.work.tuning import IGNORED, TOGETHER, Tell, batch_at, below, encoded, learnt, prepared

BETA: Final = 0.1
Row = tuple[Any, list[int]]


def align(inputs: dict[str, Path], folder: Path, parameters: dict[str, Any], tell: Tell) -> Files:
    """Train an adapter on pairs of a right and a wrong answer; goes on from the folder's checkpoint if there is one."""
    import torch
    from torch.nn.functional import logsigmoid

    pairs = [pair for pair in read_pairs(inputs["pairs"]) if pair.get("wrong")]
    if not pairs:
        raise Invalid(
            "no_preferences", "No pair has a wrong answer beside the right one.",
            message_zh="数据中没有可对照的错误答案。", hint="Use an error book.", hint_zh="请使用错题集。",
        )  # fmt: skip
    ready = prepared(inputs["model"], parameters)
    both = [
        encoded(ready.tokenizer, [pair | {"answer": pair[field]} for pair in pairs], parameters["tokens_max"])
        for field in ("answer", "wrong")
    ]
    rows = below(ready.net, both[0] + both[1], ready.frozen, tell)
    with torch.no_grad(), ready.adapted.disable_adapter():
        found = [likelihoods(ready.net, rows[at : at + TOGETHER]) for at in range(0, len(rows), TOGETHER)]
        reference = torch.cat(found)
    margins: list[float] = []

    def loss(n: int) -> Any:
        chosen = batch_at(list(range(len(pairs))), n, parameters["batch"], parameters["seed"])
        places = [*chosen, *(at + len(pairs) for at in chosen)]
        raised = likelihoods(ready.net, [rows[at] for at in places]) - reference[places]
        margin = raised[: len(chosen)] - raised[len(chosen) :]
        margins.append(float(margin.detach().mean()))
        return -logsigmoid(BETA * margin).mean()

    files, metrics = learnt(ready, folder, parameters, loss, len(pairs), tell)
    return files, metrics | {"margin": round(margins[-1], 3) if margins else 0.0}


def likelihoods(net: Any, rows: list[Row]) -> Any:
    """The logarithm of the likelihood of each row's answer."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.utils.rnn import pad_sequence

    width = max(len(labels) for _, labels in rows)
    entering = pad_sequence([row for row, _ in rows], batch_first=True)
    labels = torch.tensor([one + [IGNORED] * (width - len(one)) for _, one in rows], device=entering.device)
    mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for _, one in rows], device=entering.device)
    hidden = net.model(inputs_embeds=entering, attention_mask=mask, use_cache=False).last_hidden_state
    wanted = labels[:, 1:] != IGNORED
    losses = cross_entropy(net.lm_head(hidden[:, :-1][wanted]), labels[:, 1:][wanted], reduction="none")
    return -losses.new_zeros(len(rows)).index_add(0, wanted.nonzero()[:, 0], losses)
