"""A model that was made here answers under its public name, and the one before it can again."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from shanhe.compute.api import card
from shanhe.compute.made import read_made
from shanhe.kernel.errors import Invalid

from .conftest import Bureau


class TestMade:
    async def test_is_switched_to_and_back(self, bureau: Bureau, tmp_path: Path) -> None:
        compute = bureau.compute
        base = card("qwen2.5-coder-0.5b-instruct")
        for number in (1, 2):
            file = tmp_path / f"{number}.gguf"
            file.write_bytes(b"x" * number)
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            mine = replace(base, id=f"helper.{number}", file=f"helper-{number}.gguf", sha256=digest, size_bytes=number)
            engine = await compute.made.serve(mine, file, public="helper", actor="t")
            assert engine.enabled
            target = compute.route("helper")
            assert target is not None
            assert target.upstream_model == f"helper.{number}"
        await compute.made.switch("helper", "local-helper.1", actor="t")
        target = compute.route("helper")
        assert target is not None
        assert target.upstream_model == "helper.1"

    async def test_shares_one_child_with_the_other_adapters_on_its_base(self, bureau: Bureau, tmp_path: Path) -> None:
        compute, base = bureau.compute, card("qwen2.5-coder-0.5b-instruct")

        async def serve(public: str, number: int) -> None:
            file = tmp_path / f"{public}-{number}.gguf"
            file.write_bytes(f"{public} {number}".encode())
            mine = replace(base, id=f"{public}.{number}", adapters=(file.name,))
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            await compute.made.serve_adapter(mine, file, digest, base=base.id, public=public, actor="t")

        def led() -> list[tuple[str, bytes]]:
            found = [compute.route(public) for public in ("welder", "painter") if compute.model(public)]
            return [(one.upstream_model, one.lora) for one in found if one is not None]

        await serve("welder", 1)
        assert led() == [(led()[0][0], b',"lora":[{"id":0,"scale":1.0}]}')]
        await serve("painter", 1)
        await serve("welder", 2)
        (host, first), (same, second) = led()
        assert host == same
        assert (first, second) == (b',"lora":[{"id":1,"scale":1.0}]}', b',"lora":[{"id":0,"scale":1.0}]}')
        held = read_made(tmp_path, host)
        assert held is not None
        assert (held.sha256, held.adapters) == (base.sha256, ("painter-1.gguf", "welder-2.gguf"))
        await compute.made.switch("welder", "local-welder.1", actor="t")
        (back, number), _ = led()
        other = read_made(tmp_path, back)
        assert other is not None
        assert other.adapters[int(number.split(b":")[2][:1])] == "welder-1.gguf"
        assert (tmp_path / "models" / "welder-1.gguf").read_bytes() == b"welder 1"

    async def test_that_is_not_the_adapter_that_was_measured_is_refused(self, bureau: Bureau, tmp_path: Path) -> None:
        base = card("qwen2.5-coder-0.5b-instruct")
        (tmp_path / "a.gguf").write_bytes(b"other")
        mine = replace(base, id="welder.1", adapters=("a.gguf",))
        with pytest.raises(Invalid):
            await bureau.compute.made.serve_adapter(
                mine, tmp_path / "a.gguf", "00" * 32, base=base.id, public="welder", actor="t"
            )
        assert bureau.compute.model("welder") is None

    async def test_on_trial_gets_its_share_and_the_one_before_the_rest(self, bureau: Bureau, tmp_path: Path) -> None:
        compute, base = bureau.compute, card("qwen2.5-coder-0.5b-instruct")

        async def serve(number: int, share_bps: int) -> None:
            file = tmp_path / f"{number}.gguf"
            file.write_bytes(b"x" * number)
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            mine = replace(base, id=f"helper.{number}", file=f"helper-{number}.gguf", sha256=digest, size_bytes=number)
            await compute.made.serve(mine, file, public="helper", actor="t", share_bps=share_bps)

        def asked() -> Counter[str]:
            found = [compute.route("helper") for _ in range(40)]
            return Counter(one.upstream_model for one in found if one is not None)

        await serve(1, 2_000)
        assert asked() == {"helper.1": 40}  # nothing else is there
        await serve(2, 2_500)
        assert asked() == {"helper.1": 30, "helper.2": 10}
        await serve(3, 1_000)
        assert asked() == {"helper.1": 36, "helper.3": 4}
        await compute.made.switch("helper", "local-helper.3", actor="t")
        assert asked() == {"helper.3": 40}
