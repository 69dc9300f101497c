"""A model that was made here answers under its public name, and the one before it can again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from shanhe.compute.api import card

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
            engine = await compute.serve_made(mine, file, public="helper", actor="t")
            assert engine.enabled
            target = compute.route("helper")
            assert target is not None
            assert target.upstream_model == f"helper.{number}"
        await compute.switch_made("helper", "local-helper.1", actor="t")
        target = compute.route("helper")
        assert target is not None
        assert target.upstream_model == "helper.1"
