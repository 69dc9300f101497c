"""Proof files: strict, self-contained, refused when a single bit differs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanhe.log.errors import ProofRefused
from shanhe.log.leaf import canonical, commitment
from shanhe.log.merkle import prove_inclusion
from shanhe.log.note import COSIGNATURE, ED25519, Checkpoint, Note, Signer, VerifierKey, b64
from shanhe.log.proof import Proof, verify
from shanhe.log.tiles import Edge, TileReader
from stage.draws import draws

LOG = Signer("city.example/log", ED25519, bytes(range(32)))
OLD = Signer("city.example/log", ED25519, bytes(range(1, 33)))
WITNESS = Signer("witness.example/w1", COSIGNATURE, bytes(range(2, 34)))
SALT, PRIVATE = bytes(range(16)), canonical({"kind": "call", "memo": "山河"})


def made(count: int = 300, index: int = 257) -> bytes:
    """A proof file of one entry among `count`, cosigned by a witness."""
    edge, files = Edge(), {}
    for number in range(count):
        edge.extend([canonical({"kind": "posting", "n": number, "commit": b64(commitment(SALT, PRIVATE))})])
    files.update(edge.take())
    text = Checkpoint(LOG.name, count, edge.root).text
    note = Note(text, (LOG.sign(text), OLD.sign(text), WITNESS.sign(text, 1_800_000_000)))
    reader = TileReader(files.get, count)
    path = tuple(prove_inclusion(reader.node, index, count))
    return str(Proof(index, path, str(note), reader.entries(1)[index - 256], SALT, PRIVATE)).encode()


FILE = made()


class TestProof:
    def test_says_what_was_logged(self) -> None:
        found = verify(FILE, [LOG.verifier, WITNESS.verifier], quorum=1)
        assert (found.index, found.entry["n"], found.checkpoint.size) == (257, 257, 300)
        assert found.private == {"kind": "call", "memo": "山河"}
        assert found.witnessed_at_s == 1_800_000_000
        assert verify(FILE, [OLD.verifier]).witnesses == ()

    def test_needs_a_key_of_the_log_and_enough_witnesses(self) -> None:
        other = Signer(LOG.name, ED25519, bytes(32)).verifier
        for keys, quorum in (([], 0), ([other], 0), ([WITNESS.verifier], 0), ([LOG.verifier], 1)):
            with pytest.raises(ProofRefused):
                verify(FILE, keys, quorum=quorum)

    @settings(max_examples=draws(400), deadline=None)
    @given(st.integers(0, len(FILE) * 8 - 1))
    def test_with_one_flipped_bit_is_refused(self, bit: int) -> None:
        data = bytearray(FILE)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProofRefused):
            verify(bytes(data), [LOG.verifier])

    @settings(max_examples=draws(100), deadline=None)
    @given(st.integers(0, len(FILE)), st.binary(min_size=1, max_size=3))
    def test_with_something_put_in_or_cut_off_is_refused(self, at: int, more: bytes) -> None:
        for changed in (FILE[:at] + more + FILE[at:], FILE[:at], FILE + more):
            if changed != FILE:
                with pytest.raises(ProofRefused):
                    verify(changed, [LOG.verifier])

    def test_of_another_private_part_is_refused(self) -> None:
        proof = Proof.parse(FILE)
        forged = Proof(proof.index, proof.path, proof.checkpoint, proof.entry, SALT, canonical({"kind": "gift"}))
        with pytest.raises(ProofRefused, match="commits to"):
            verify(str(forged).encode(), [LOG.verifier])

    def test_is_verified_within_its_time(self) -> None:
        spans = []
        for _ in range(5):
            start = time.process_time()
            verify(FILE, [LOG.verifier, OLD.verifier, WITNESS.verifier])
            spans.append(time.process_time() - start)
        assert min(spans) < 0.05


class TestNote:
    def test_of_the_specification_verifies(self) -> None:
        key = VerifierKey.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
        line = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
        note = Note.parse(f"This is an example message.\n\n\u2014 example.com/foo {line}\n")
        assert note.signed_by([key]) == (key,)

    def test_ignores_unknown_keys_and_refuses_a_wrong_known_one(self) -> None:
        text = Checkpoint(LOG.name, 0, bytes(32)).text
        note = Note(text, (WITNESS.sign(text, 5), LOG.sign("other\n")))
        assert note.signed_by([WITNESS.verifier]) == (WITNESS.verifier,)
        with pytest.raises(ProofRefused, match="wrong"):
            note.signed_by([LOG.verifier])

    @pytest.mark.parametrize(
        "text", ["", "no signature\n", "a\n\n\u2014 name !!!!\n", "a\n\n- name AAAAAAAA\n", "a\n\n\u2014 n AAAAAB==\n"]
    )
    def test_that_is_malformed_is_refused(self, text: str) -> None:
        with pytest.raises(ProofRefused):
            Note.parse(text)

    @pytest.mark.parametrize("size", ["01", "-1", "1e3", "", "9" * 19])
    def test_of_a_checkpoint_takes_plain_numbers_only(self, size: str) -> None:
        with pytest.raises(ProofRefused):
            Checkpoint.parse(f"o\n{size}\n{b64(bytes(32))}\n")


def test_a_key_has_one_spelling() -> None:
    key: Any = str(LOG.verifier)
    assert VerifierKey.parse(key) == LOG.verifier
    for wrong in (key[:-2], key.replace("+", " ", 1), key.replace("city", "town"), "", "a+b+c"):
        with pytest.raises(ProofRefused):
            VerifierKey.parse(wrong)
