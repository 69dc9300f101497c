"""From blocks to passages: whole blocks, one page, one heading, small enough for the embedding. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from shanhe.retrieval.model import Block, Box, Piece
from shanhe.retrieval.words import HAN

WEIGHT_AIM: Final = 260
WEIGHT_MAX: Final = 340
"""A Han sign weighs 1, any other 0.4: about the tokens of a multilingual tokenizer, whose context is 512."""
PLAIN_WEIGHT: Final = 0.4
HEADINGS_KEPT: Final = 3
HEADING_MAX_CHARS: Final = 80
PIECES_MAX: Final = 20_000
JOINT: Final = " › "
_HAN: Final = re.compile(f"[{HAN}]")
_SENTENCE: Final = re.compile(r"(?<=[。！？；\n])|(?<=[.!?;])\s")


def weight(text: str) -> float:
    han = len(_HAN.findall(text))
    return han + (len(text) - han) * PLAIN_WEIGHT


def pieces(blocks: Iterable[Block]) -> list[Piece]:
    """Passages of a document, in reading order; at most PIECES_MAX."""
    found: list[Piece] = []
    path: list[Block] = []
    held: list[Block] = []

    def close() -> None:
        if held:
            found.append(_piece(held, path))
            held.clear()

    bare = False  # a heading that no text has followed yet
    for block in blocks:
        if len(found) >= PIECES_MAX:
            break
        if block.kind == "heading":
            close()
            if bare and path[-1].level >= block.level:
                found.append(_piece([path[-1]], path[:-1]))
            path = [*(one for one in path if one.level < block.level), block][-HEADINGS_KEPT:]
            bare = True
            continue
        bare = False
        for part in split(block):
            size = sum(weight(one.text) for one in held)
            elsewhere = held and (held[0].page, held[0].place) != (part.page, part.place)
            if held and (elsewhere or size + weight(part.text) > WEIGHT_AIM):
                close()
            held.append(part)
    close()
    if bare:
        found.append(_piece([path[-1]], path[:-1]))
    return [one for one in found[:PIECES_MAX] if one.text]


def _piece(held: Sequence[Block], path: Sequence[Block]) -> Piece:
    heading = JOINT.join(one.text[:HEADING_MAX_CHARS] for one in path)
    return Piece("\n".join(one.text for one in held), heading, held[0].page, around([one.box for one in held]),
                 held[0].place)  # fmt: skip


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of them."""
    return (min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes))


def split(block: Block) -> Iterator[Block]:
    """A block, or where it is too long its parts, cut behind sentences; boxes by their share of the text."""
    if weight(block.text) <= WEIGHT_MAX:
        yield block
        return
    left, top, right, bottom = block.box
    total, done = max(1, len(block.text)), 0
    for text in _parts(block.text):
        above, below = (top + (bottom - top) * at // total for at in (done, min(total, done + len(text))))
        done += len(text)
        yield msgspec.structs.replace(block, text=text.strip(), box=(left, above, right, max(above, below)))


def _parts(text: str) -> Iterator[str]:
    held = ""
    for sentence in (piece for piece in _SENTENCE.split(text) if piece):
        if held and weight(held) + weight(sentence) > WEIGHT_AIM:
            yield held
            held = ""
        held += sentence
        while weight(held) > WEIGHT_MAX:  # a sentence without an end
            cut = WEIGHT_AIM
            while cut < len(held) and weight(held[:cut]) < WEIGHT_AIM:
                cut += WEIGHT_AIM // 4
            yield held[:cut]
            held = held[cut:]
    if held.strip():
        yield held


def source_hash(piece: Piece, secret: str = "") -> bytes:
    """Names what was read at a place, so that reading it again finds the same passage (wherever its box has moved).
    With a secret nobody else can tell what it names."""
    return keyed("\x1f".join((piece.heading, piece.text)).encode(), secret)


def keyed(data: bytes, secret: str) -> bytes:
    """A hash that only the holder of the secret can make; without one anybody."""
    if not secret:
        return hashlib.sha256(data).digest()
    return hmac.digest(secret.encode(), data, hashlib.sha256)


def spoken(heading: str, text: str) -> str:
    """A passage as it is embedded and indexed: under its headings."""
    return f"{heading}\n{text}" if heading else text
