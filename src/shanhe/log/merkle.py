"""RFC 6962 Merkle trees: hashes, proofs and their verification. Pure; where hashes come from is the reader's matter."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

HASH_BYTES: Final = 32
PROOF_HASHES_MAX: Final = 63
LEAF: Final = b"\x00"
NODE: Final = b"\x01"
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Node = Callable[[int, int], bytes]
"""(height, index) → hash of the perfect subtree over leaves [index·2^height, (index+1)·2^height)."""


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Root over 2^k hashes that are neighbours on one level."""
    sha256, level = hashlib.sha256, hashes
    while len(level) > 1:
        level = [sha256(NODE + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def split(count: int) -> int:
    """The largest power of two below `count` (≥ 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def range_root(node: Node, first: int, end: int) -> bytes:
    """Root over leaves [first, end), where `first` is a multiple of the range's first perfect subtree."""
    count = end - first
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return node(height, first >> height)
    middle = first + split(count)
    return node_hash(range_root(node, first, middle), range_root(node, middle, end))


def root(node: Node, size: int) -> bytes:
    return range_root(node, 0, size) if size else EMPTY_ROOT


def prove_inclusion(node: Node, index: int, size: int) -> list[bytes]:
    """Sibling hashes from the leaf up (RFC 6962, 2.1.1); ValueError when the tree has no such leaf."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    found: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + split(end - first)
        if index < middle:
            found.append(range_root(node, middle, end))
            end = middle
        else:
            found.append(range_root(node, first, middle))
            first = middle
    return found[::-1]


def prove_consistency(node: Node, old: int, size: int) -> list[bytes]:
    """That a tree of `size` continues the one of `old` leaves (RFC 6962, 2.1.2); empty for old = 0 and old = size."""
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {size} does not continue one of {old}")
    if old in (0, size):
        return []
    found: list[bytes] = []
    first, end, whole = 0, size, True
    while old != end:
        middle = first + split(end - first)
        if old <= middle:
            found.append(range_root(node, middle, end))
            end = middle
        else:
            found.append(range_root(node, first, middle))
            first, whole = middle, False
    if not whole:
        found.append(range_root(node, first, end))
    return found[::-1]


def included(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root_hash: bytes) -> bool:
    """Whether `leaf` (a leaf hash) stands at `index` in the tree of `size` with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or len(proof) > PROOF_HASHES_MAX:
        return False
    position, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            found = node_hash(sibling, found)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and found == root_hash


def consistent(old: int, size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of `size` begins with the tree of `old` (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= size or len(proof) > PROOF_HASHES_MAX:
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if old == size:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    position, last = old - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root
