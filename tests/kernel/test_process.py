"""A child is gone when nobody needs it any more, whatever it was saying."""

from __future__ import annotations

import asyncio
import os

from shanhe.kernel.process import child

SOON_S = 30.0
"""Far longer than it takes: what never ends fails here."""


class TestChild:
    async def test_that_goes_on_talking_is_ended(self) -> None:
        """More than a pipe and a reader hold is on its way when the block is left."""
        async with asyncio.timeout(SOON_S):
            async with child("yes", environment=dict(os.environ), line_max_bytes=1024) as (process, lines):
                assert await lines.readline() == b"y\n"
                while len(lines._buffer) < 2048:  # type: ignore[attr-defined]  # noqa: ASYNC110
                    await asyncio.sleep(0)
        assert process.returncode is not None
