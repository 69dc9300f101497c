"""A whole little language model as a GGUF: random weights, a vocabulary of bytes, a template; and adapters for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

HIDDEN, INNER, HEADS, LAYERS, RANK = 64, 96, 4, 3, 8
TEMPLATE = "{% for one in messages %}{{ one['content'] }}{% endfor %}"
SIZE = 0.08
"""Of weights in the layers: so small that the half precision of a KV cache decides no word."""
SIDES = {
    "attn_q": (HIDDEN, HIDDEN), "attn_k": (HIDDEN, HIDDEN // 2), "attn_v": (HIDDEN, HIDDEN // 2),
    "attn_output": (HIDDEN, HIDDEN), "ffn_gate": (HIDDEN, INNER), "ffn_up": (HIDDEN, INNER),
    "ffn_down": (INNER, HIDDEN),
}  # fmt: skip
"""(in, out) of each adapted weight."""


def signs() -> list[str]:
    """How byte-level vocabularies write the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    known = {byte: chr(byte) for byte in plain} | {byte: chr(256 + at) for at, byte in enumerate(others)}
    return [known[byte] for byte in range(256)]


def model(path: Path, seed: int = 7) -> Path:
    """A Qwen2 of three layers in float32."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS // 2)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(0)
    tokens = [*signs(), "<|end|>", "ab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3, 1])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(256)
    writer.add_pad_token_id(256)
    writer.add_bos_token_id(256)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)

    def put(name: str, *shape: int, ones: bool = False) -> None:
        weight = np.ones(shape) if ones else random.normal(size=shape) * (SIZE if name.startswith("blk") else 1.0)
        writer.add_tensor(f"{name}.weight", weight.astype(np.float32))

    put("token_embd", len(tokens), HIDDEN)
    put("output", len(tokens), HIDDEN)
    put("output_norm", HIDDEN, ones=True)
    for at in range(LAYERS):
        put(f"blk.{at}.attn_norm", HIDDEN, ones=True)
        put(f"blk.{at}.ffn_norm", HIDDEN, ones=True)
        for name, (entering, leaving) in SIDES.items():
            put(f"blk.{at}.{name}", leaving, entering)
        for name in ("attn_q", "attn_k", "attn_v"):
            writer.add_tensor(f"blk.{at}.{name}.bias", np.zeros(SIDES[name][1], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def adapter(path: Path, sides: dict[str, tuple[int, int]], layers: int, seed: int, size: float = 0.2) -> Path:
    """An adapter of rank 8 as the studio leaves it, with weights of its own."""
    from safetensors.numpy import save_file

    random = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for at in range(layers):
        for name, (entering, leaving) in sides.items():
            known = f"blk.{at}.{name}.weight"
            found[f"{known}.lora_a"] = (random.normal(size=(RANK, entering)) * size).astype(np.float16).astype("f4")
            found[f"{known}.lora_b"] = (random.normal(size=(leaving, RANK)) * size).astype(np.float16).astype("f4")
    save_file(found, path, metadata={"scale": "2.0", "alpha": str(2 * RANK), "rank": str(RANK)})
    return path
