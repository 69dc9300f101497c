"""What matters in a weight: the mean square of what enters it, by column, over some rows of the data.

As llama.cpp's importance matrix: where much enters, packing rounds more carefully.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from shanhe.studio.work.surgery import gguf_name, read_pairs
from shanhe.studio.work.tuning import encoded, load

ROWS: Final = 64
Tell = Callable[..., None]


def importance(model: Path, pairs: Path, tokens_max: int, tell: Tell) -> dict[str, Any]:
    """Tensor → importance of its columns, as float32."""
    import torch

    tokenizer, net = load(model)
    sums: dict[str, Any] = {}
    seen = 0

    def watch(name: str) -> Callable[..., None]:
        def hook(_: Any, entering: tuple[Any, ...], __: Any) -> None:
            squares = entering[0].reshape(-1, entering[0].shape[-1]).square().sum(0)
            sums[name] = sums[name] + squares if name in sums else squares

        return hook

    for name, module in net.named_modules():
        known = gguf_name(name)
        if known is not None:
            module.register_forward_hook(watch(known))
    rows = encoded(tokenizer, read_pairs(pairs)[:ROWS], tokens_max)
    with torch.no_grad():
        for number, (tokens, _) in enumerate(rows, 1):
            net.model(input_ids=torch.tensor([tokens], device=net.device), use_cache=False)
            seen += len(tokens)
            tell(n=number, of=len(rows))
    return {name: (one / max(1, seen)).cpu().numpy().astype("float32") for name, one in sums.items()}
