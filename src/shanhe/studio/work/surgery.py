"""GGUF files taken apart and put together: adapters merged in, layers dropped, weights packed smaller."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from shanhe.studio.errors import BadModelFile
from shanhe.studio.gguf_check import check

ARCHITECTURES: Final = frozenset({"qwen2", "qwen3", "gemma3"})
"""Whose weights lie in a GGUF as the framework has them; others permute heads, and would be spoilt here."""
MODULES: Final = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip
BLOCK: Final = re.compile(r"^blk\.(\d+)\.(.+)$")
PACKED: Final = re.compile(r"^blk\.\d+\.(attn_(q|k|v|output)|ffn_(gate|up|down))\.weight$")
INSTEAD: Final = {"Q2_K": "IQ4_NL", "Q3_K": "IQ4_NL", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What rows get whose width is no multiple of 256, as llama.cpp has it."""
Files = tuple[dict[str, Path], dict[str, Any]]


def architecture(path: Path) -> str:
    """The architecture of a whole GGUF file that can be worked on; BadModelFile."""
    found = check(path).architecture
    if found not in ARCHITECTURES:
        raise BadModelFile(f"the architecture {found!r} is none of {', '.join(sorted(ARCHITECTURES))}")
    return found


def gguf_name(module: str) -> str | None:
    """`model.layers.3.self_attn.q_proj` → `blk.3.attn_q.weight`; None for other modules."""
    match = re.search(r"layers\.(\d+)\.(.+)$", module)
    short = MODULES.get(match.group(2)) if match else None
    return None if match is None or short is None else f"blk.{match.group(1)}.{short}.weight"


def unpacked(tensor: Any) -> Any:
    """A tensor of a GGUF as float32."""
    from shanhe.studio.work.quick import dequantize

    return dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def merge(inputs: dict[str, Path], folder: Path, parameters: dict[str, Any], tell: Callable[..., None]) -> Files:
    """W + (alpha / rank) · B·A for each adapted weight, packed as Q8_0; everything else as it was."""
    import libgguf
    from gguf import GGMLQuantizationType
    from safetensors import safe_open

    architecture(inputs["model"])
    with safe_open(inputs["adapter"], "np") as file:
        scale = float(file.metadata()["scale"])
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    adapted = {name.removesuffix(".lora_a") for name in found if name.endswith(".lora_a")}
    done = 0

    def each(tensor: Any) -> tuple[Any, Any]:
        nonlocal done
        if tensor.name not in adapted:
            return tensor.data, tensor.tensor_type
        weight = unpacked(tensor)
        change = scale * (found[f"{tensor.name}.lora_b"] @ found[f"{tensor.name}.lora_a"])
        if change.shape != weight.shape:
            raise BadModelFile(f"the adapter does not fit {tensor.name}")
        done += 1
        tell(n=done, of=len(adapted))
        return libgguf.quantize_rows(weight + change, GGMLQuantizationType.Q8_0), GGMLQuantizationType.Q8_0

    path = rewrite(inputs["model"], folder / "model.gguf", each)
    return {"model.gguf": path}, {"merged": done, "bytes": path.stat().st_size}


def without_layers(model: Path, out: Path, dropped: Sequence[int]) -> Path:
    """The model without some of its layers; those behind move up."""
    arch, gone = architecture(model), set(dropped)

    def renamed(name: str) -> str | None:
        match = BLOCK.match(name)
        if match is None:
            return name
        number = int(match.group(1))
        return None if number in gone else f"blk.{number - sum(other < number for other in gone)}.{match.group(2)}"

    return rewrite(model, out, lambda one: (one.data, one.tensor_type), renamed, {f"{arch}.block_count": -len(gone)})


def quantize(inputs: dict[str, Path], folder: Path, parameters: dict[str, Any], tell: Callable[..., None]) -> Files:
    """Pack the weights of the layers as asked; rows of an odd width get the nearest type that fits.

    With `pairs` beside the model, what enters each weight for them says where to round with care.
    """
    import libgguf
    from gguf import GGMLQuantizationType as Type

    architecture(inputs["model"])
    wanted, odd, count, known = parameters["quantum"], 0, 0, {}
    if "pairs" in inputs:
        from shanhe.studio.work.importance import importance

        known = importance(inputs["model"], inputs["pairs"], parameters["tokens_max"], tell)

    def each(tensor: Any) -> tuple[Any, Any]:
        nonlocal odd, count
        if not PACKED.match(tensor.name):
            return tensor.data, tensor.tensor_type
        weight, kind = unpacked(tensor), wanted
        if weight.shape[-1] % 256 and wanted in INSTEAD:
            kind, odd = INSTEAD[wanted], odd + 1
        count += 1
        tell(n=count, of=count)
        return libgguf.quantize_rows(weight, Type[kind], known.get(tensor.name)), Type[kind]

    path = rewrite(inputs["model"], folder / "model.gguf", each)
    return {"model.gguf": path}, {"packed": count, "odd_rows": odd, "weighed": len(known), "bytes": path.stat().st_size}


def rewrite(
    model: Path,
    out: Path,
    each: Callable[[Any], tuple[Any, Any]],
    renamed: Callable[[str], str | None] = lambda name: name,
    add: Mapping[str, int] | None = None,
) -> Path:
    """A GGUF with the same facts and every tensor as `each` gives it.

    What `renamed` answers None for is left out; `add` adds to numbers among the facts.
    """
    from gguf import GGUFWriter

    from shanhe.studio.work.quick import Reader

    reader, coming = Reader(model), out.with_suffix(".coming")
    arch = str(reader.get_field("general.architecture").contents())
    writer = GGUFWriter(coming, arch)
    for name, value, kind, inner in _facts(reader):
        changed = value + add[name] if add and name in add else value
        writer.add_key_value(name, changed, kind, sub_type=inner)
    for tensor in reader.tensors:
        wanted = renamed(tensor.name)
        if wanted is not None:
            data, kind = each(tensor)
            writer.add_tensor(wanted, np.ascontiguousarray(data), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    check(coming)
    coming.replace(out)
    return out


def _facts(reader: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    from gguf import GGUFValueType

    for field in reader.fields.values():
        if field.name == "general.architecture" or field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        yield field.name, field.contents(), kind, field.types[-1] if kind == GGUFValueType.ARRAY else None


def adapter_gguf(adapter: Path, arch: str, out: Path) -> Path:
    """An adapter that llama.cpp loads beside its base."""
    from gguf import GGUFWriter
    from safetensors import safe_open

    writer = GGUFWriter(out, arch)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    with safe_open(adapter, "np") as file:
        writer.add_float32("adapter.lora.alpha", float(file.metadata()["alpha"]))
        for name in file.keys():  # noqa: SIM118 - no mapping
            writer.add_tensor(name, file.get_tensor(name).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def read_pairs(path: Path) -> list[dict[str, Any]]:
    """Lines of a file of pairs."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
