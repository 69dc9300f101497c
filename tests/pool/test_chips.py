"""What a machine is made of, and how the vendors' tools tell it."""

from __future__ import annotations

from shanhe.pool.agent import chips


class TestChips:
    def test_of_the_machine_is_readable(self) -> None:
        found = chips.found()
        assert found[0].kind == "cpu"
        assert found[0].count >= 1
        assert chips.memory_mb() > 100
        assert all(chip.name.isprintable() for chip in found)

    def test_reads_the_vendors_tables(self) -> None:
        cards = chips.nvidia("NVIDIA H100, 81559\nNVIDIA H100, 81559\nNVIDIA GeForce RTX 4090, 24564\n")
        assert [(card.name, card.count, card.memory_mb) for card in cards] == [
            ("NVIDIA H100", 2, 81559),
            ("NVIDIA GeForce RTX 4090", 1, 24564),
        ]
        assert chips.chip_class(cards) == "datacentre_gpu"
        table = """| 0     910B2               | OK            | 93.4        42                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3325 / 65536         |"""
        npus = chips.ascend(table)
        assert [(npu.kind, npu.name, npu.memory_mb) for npu in npus] == [("ascend", "Ascend 910B2", 65536)]
        assert chips.chip_class(npus) == "npu"
