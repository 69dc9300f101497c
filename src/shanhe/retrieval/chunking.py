"""From blocks to passages: whole blocks, one page, one heading, small enough for the embedding. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from shanhe.retrieval.model import SIZE, Block, Box, Cut, Piece
from shanhe.retrieval.words import HAN

LONGEST: Final = (17, 13)
"""How much longer than asked for a block may be before it is cut: 340 for 260, of a context of 512."""
PLAIN_WEIGHT: Final = 0.4
"""A Han sign weighs 1: about the tokens of a multilingual tokenizer."""
DEFAULT: Final = Cut()
HEADINGS_KEPT: Final = 3
HEADING_MAX_CHARS: Final = 80
PIECES_MAX: Final = 20_000
JOINT: Final = " › "
_HAN: Final = re.compile(f"[{HAN}]")
_SENTENCE: Final = re.compile(r"(?<=[。！？；\n])|(?<=[.!?;])\s")


def weight(text: str) -> float:
    han = len(_HAN.findall(text))
    return han + (len(text) - han) * PLAIN_WEIGHT


def longest(size: int) -> int:
    return size * LONGEST[0] // LONGEST[1]


def pieces(blocks: Iterable[Block], cut: Cut = DEFAULT) -> list[Piece]:
    """Passages of a document, in reading order; at most PIECES_MAX."""
    found: list[Piece] = []
    path: list[Block] = []
    held: list[Block] = []
    before: Block | None = None  # the end of the passage before, where the next one begins with it

    def close(*, on: bool = False) -> None:
        nonlocal before
        if held:
            found.append(_piece(held, path))
            before = tail(held[-1], cut.overlap) if on and cut.overlap else None
            held.clear()
        elif not on:
            before = None

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
        for part, ends in parts(block, cut):
            size = sum(weight(one.text) for one in held)
            elsewhere = held and (held[0].page, held[0].place) != (part.page, part.place)
            if held and (elsewhere or size + weight(part.text) > cut.size):
                close(on=not elsewhere)
            if before is not None and (before.page, before.place) == (part.page, part.place):
                held.append(before)
            before = None
            held.append(part)
            if ends:
                close()
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


def parts(block: Block, cut: Cut) -> Iterator[tuple[Block, bool]]:
    """(part, whether its passage ends with it) of a block: as it is, or cut at its separators and where it is too
    long."""
    if not cut.separator.strip("\n"):
        *first, last = split(block, cut.size)
        for part in first:
            yield part, False
        yield last, bool(cut.separator)
        return
    stretches = block.text.split(cut.separator)
    for n, one in enumerate(_shared(block, stretches, len(cut.separator)), 1):
        *first, last = split(one, cut.size)
        for part in first:
            yield part, False
        if last.text:
            yield last, n < len(stretches)


def split(block: Block, size: int = SIZE) -> Iterator[Block]:
    """A block, or where it is too long its parts, cut behind sentences."""
    if weight(block.text) <= longest(size):
        yield block
        return
    yield from _shared(block, _sentences(block.text, size))


def _shared(block: Block, texts: Iterable[str], between: int = 0) -> Iterator[Block]:
    """Parts of a block, their boxes by their share of the text; `between`: signs left out after each."""
    left, top, right, bottom = block.box
    total, done = max(1, len(block.text)), 0
    for text in texts:
        above, below = (top + (bottom - top) * at // total for at in (done, min(total, done + len(text))))
        done += len(text) + between
        yield msgspec.structs.replace(block, text=text.strip(), box=(left, above, right, max(above, below)))


def _sentences(text: str, size: int) -> Iterator[str]:
    held = ""
    for sentence in (piece for piece in _SENTENCE.split(text) if piece):
        if held and weight(held) + weight(sentence) > size:
            yield held
            held = ""
        held += sentence
        while weight(held) > longest(size):  # a sentence without an end
            cut = size
            while cut < len(held) and weight(held[:cut]) < size:
                cut += max(1, size // 4)
            yield held[:cut]
            held = held[cut:]
    if held.strip():
        yield held


def tail(block: Block, most: int) -> Block | None:
    """The end of a block that weighs at most so much, from the beginning of a sentence where one fits; None where
    nothing does."""
    kept = ""
    for sentence in reversed([piece for piece in _SENTENCE.split(block.text) if piece.strip()]):
        if weight(sentence) + weight(kept) > most:
            break
        kept = sentence + kept
    if not kept:
        kept = block.text[-most:]
        while weight(kept) > most:
            kept = kept[1:]
    *_, last = _shared(block, (block.text[: len(block.text) - len(kept)], kept))
    return last if last.text else None


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
