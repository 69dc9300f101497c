"""Trees and tiles against an independent RFC 6962 implementation (pymerkle)."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from shanhe.log.errors import ProofRefused
from shanhe.log.merkle import (
    EMPTY_ROOT,
    consistent,
    included,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
    root,
)
from shanhe.log.tiles import Edge, TileReader, bundle, is_tile_path, tile_path, unbundle

SIZES = (0, 1, 2, 3, 7, 8, 255, 256, 257, 511, 512, 700)


def grown(count: int, *steps: int) -> tuple[Edge, dict[str, bytes], InmemoryTree]:
    """A tree of `count` entries in tiles, published after each of `steps` and at its end, and the oracle's tree."""
    edge, files, oracle = Edge(), {}, InmemoryTree(algorithm="sha256")
    for index in range(count):
        entry = f"entry {index}".encode()
        edge.extend([entry])
        oracle.append_entry(entry)
        if edge.size in steps:
            files.update(edge.take())
    files.update(edge.take())
    return edge, files, oracle


def plain_root(entries: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if len(entries) == 1:
        return leaf_hash(entries[0])
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + plain_root(entries[:k]) + plain_root(entries[k:])).digest()


class TestTree:
    @pytest.mark.parametrize("count", SIZES)
    def test_has_the_oracles_root(self, count: int) -> None:
        edge, files, oracle = grown(count)
        assert edge.root == (oracle.get_root() if count else EMPTY_ROOT)
        assert root(TileReader(files.get, count).node, count) == edge.root

    def test_of_three_levels_grows_from_its_edge(self) -> None:
        rng = random.Random(7)
        steps = sorted(rng.sample(range(1, 70_000), 12))
        edge, files = Edge(), {}
        for index in range(70_000):
            edge.extend([b"%d" % index])
            if edge.size in steps:
                files.update(edge.take())
                edge = TileReader(files.get, edge.size).edge()
        files.update(edge.take())
        assert edge.root == plain_root([b"%d" % index for index in range(70_000)])
        assert len(files[tile_path(0, 273, 112)]) == 112 * 32
        assert len(files[tile_path(1, 1, 17)]) == 17 * 32
        assert len(files[tile_path(2, 0, 1)]) == 32

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_proofs_agree_with_the_oracles(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(2, 600))
        edge, files, oracle = grown(count)
        node = TileReader(files.get, count).node
        index, old = data.draw(st.integers(0, count - 1)), data.draw(st.integers(1, count - 1))
        path = prove_inclusion(node, index, count)
        theirs = oracle.prove_inclusion(index + 1)
        assert [bytes.fromhex(one) for one in theirs.serialize()["path"]][1:] == path
        assert included(index, count, leaf_hash(b"entry %d" % index), path, edge.root)
        steps = prove_consistency(node, old, count)
        before = oracle.get_root(old)
        assert consistent(old, count, before, edge.root, steps)
        wrong = data.draw(st.integers(0, count - 1).filter(lambda other: other != index))
        assert not included(wrong, count, leaf_hash(b"entry %d" % index), path, edge.root)
        assert not consistent(old, count, leaf_hash(before), edge.root, steps)
        assert not consistent(old, count, before, leaf_hash(edge.root), steps)

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_proof_with_one_flipped_bit_fails(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(2, 300))
        edge, files, _ = grown(count)
        node = TileReader(files.get, count).node
        index = data.draw(st.integers(0, count - 1))
        path = prove_inclusion(node, index, count)
        place, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
        path[place] = (int.from_bytes(path[place], "big") ^ (1 << bit)).to_bytes(32, "big")
        assert not included(index, count, leaf_hash(b"entry %d" % index), path, edge.root)
        assert not included(index, count, leaf_hash(b"entry %d" % index), path[:-1], edge.root)


class TestTile:
    def test_path_follows_the_specification(self) -> None:
        assert tile_path(0, 1_234_067) == "tile/0/x001/x234/067"
        assert tile_path("entries", 5, 17) == "tile/entries/005.p/17"
        assert is_tile_path("tile/0/x001/x234/067.p/255")
        for wrong in ("tile/0/1", "tile/0/001.p/256", "tile/0/001.p/0", "tile/00/001", "tile/0/../001", "tile/9/001"):
            assert not is_tile_path(wrong), wrong

    def test_partial_is_replaced_by_its_full_one(self) -> None:
        edge, files, _ = grown(300, 100)
        del files[tile_path(0, 0, 100)], files[tile_path("entries", 0, 100)]
        reader = TileReader(files.get, 100)
        assert reader.entries(0)[99] == b"entry 99"
        assert edge.size == 300

    def test_missing_or_short_is_refused(self) -> None:
        _, files, _ = grown(300)
        files[tile_path(0, 1, 44)] = files[tile_path(0, 1, 44)][:-1]
        with pytest.raises(ProofRefused, match="too short"):
            root(TileReader(files.get, 300).node, 300)
        del files[tile_path(1, 0, 1)]
        with pytest.raises(ProofRefused, match="missing"):
            root(TileReader(files.get, 256).node, 256)

    @given(st.lists(st.binary(max_size=40), max_size=20))
    def test_bundle_gives_its_entries_back(self, entries: list[bytes]) -> None:
        assert unbundle(bundle(entries)) == entries
