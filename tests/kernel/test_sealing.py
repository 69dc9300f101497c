"""What parties write is a person's or an organisation's: sealed or as it is, in texts, values and pieces of bytes."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanhe.kernel.sealing import EXTRA_BYTES, MAGIC, PIECE_BYTES, PLAIN, Seal, Seals, payer_key, sealed
from shanhe.kernel.vault import Vault, VaultDamaged


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def person(vault: Vault) -> UUID:
    made = uuid4()
    vault.create(made)
    return made


@pytest.fixture
def seal(vault: Vault, person: UUID) -> Seal:
    return Seals(vault).of_person(person)


def stored(seal: Seal, data: bytes, cut: int = 1_000_003) -> bytes:
    return b"".join(seal.pieces("f", (data[at : at + cut] for at in range(0, len(data), cut))))


def read(seal: Seal, kept: bytes, start: int = 0, length: int = -1) -> bytes:
    return seal.part("f", lambda at, size: kept[at:] if size < 0 else kept[at : at + size], start, length)


class TestSeal:
    def test_leaves_what_an_organisation_writes(self) -> None:
        assert (PLAIN.text("f", "甲"), PLAIN.json("f", {"a": 1}), stored(PLAIN, b"x")) == ("甲", {"a": 1}, b"x")
        assert read(PLAIN, b"abc", 1, 1) == b"b"

    def test_opens_what_it_sealed_and_nothing_moved_elsewhere(self, seal: Seal) -> None:
        kept, value = seal.text("f", "甲"), seal.json("f", {"a": ["乙"]})
        assert sealed(kept)
        assert (seal.open("f", kept), seal.open_json("f", value)) == ("甲", {"a": ["乙"]})
        assert (seal.text("f", ""), seal.json("f", {}), seal.open("f", "旧")) == ("", {}, "旧")
        with pytest.raises(VaultDamaged):
            seal.open("g", kept)

    def test_reads_as_nothing_once_its_person_is_erased(self, vault: Vault) -> None:
        gone = uuid4()
        vault.create(gone)
        before = Seals(vault).of_person(gone)
        kept = (before.text("f", "甲"), before.json("f", [1]), stored(before, b"x" * 9))
        vault.destroy(gone)
        after = Seals(vault).of_person(gone)
        assert (after.open("f", kept[0]), after.open_json("f", kept[1]), read(after, kept[2])) == ("", None, b"")
        assert after.open("f", after.text("f", "乙")) == ""
        assert stored(after, b"new") == MAGIC

    @given(
        size=st.sampled_from([0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7]),
        start=st.integers(0, 3 * PIECE_BYTES + 9),
        length=st.integers(0, 2 * PIECE_BYTES),
        cut=st.sampled_from([1_000, PIECE_BYTES, PIECE_BYTES + 1]),
    )
    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    def test_reads_any_part_of_bytes_alone(self, seal: Seal, size: int, start: int, length: int, cut: int) -> None:
        data = bytes(n % 251 for n in range(size))
        kept = stored(seal, data, cut)
        assert kept.startswith(MAGIC)
        assert read(seal, kept) == data
        assert read(seal, kept, start) == data[start:]
        if length:
            assert read(seal, kept, start, length) == data[start : start + length]

    def test_notices_pieces_that_changed_places(self, seal: Seal) -> None:
        step = PIECE_BYTES + EXTRA_BYTES
        kept = stored(seal, b"a" * PIECE_BYTES + b"b" * PIECE_BYTES)
        first, second = kept[len(MAGIC) : len(MAGIC) + step], kept[len(MAGIC) + step : len(MAGIC) + 2 * step]
        with pytest.raises(VaultDamaged):
            read(seal, MAGIC + second + first)


class TestPayer:
    def test_is_one_however_a_bank_writes_the_name(self) -> None:
        assert payer_key("欧阳 赛博坦") == payer_key("欧阳赛博坦") == payer_key("欧阳·赛博坦")
        assert payer_key("ＯＵＹＡＮＧ Ｃ") == payer_key("ouyang c")
        assert payer_key("欧阳") != payer_key("欧阳赛")


class TestSeals:
    async def test_of_many_parties_are_asked_for_at_once_and_of_known_ones_not_again(self, vault: Vault) -> None:
        asked: list[set[UUID]] = []
        firm, nobody, own, person = (uuid4() for _ in range(4))
        vault.create(person)

        async def people_of(org_ids: Collection[UUID]) -> dict[UUID, UUID | None]:
            asked.append(set(org_ids))
            return {firm: None, own: person}

        seals = Seals(vault, people_of)
        found = await seals.of_all([firm, own, own, nobody])
        assert {party: seal.personal for party, seal in found.items()} == {firm: False, own: True, nobody: False}
        assert asked == [{firm, own, nobody}]
        assert (await seals.of(own)).personal
        assert not await seals.personal(nobody)
        assert len(asked) == 1
