"""The step in which a model of the city judges what base and tuned model answered: calls that are metered as any other.

It runs beside the steps' own processes, because it computes nothing here: the calls are the organisation's, each with
its receipt, and are asked for under the job's id, so that a job taken up again pays for none of them twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from shanhe.studio import judging
from shanhe.studio.errors import StepFailed
from shanhe.studio.judging import Heard
from shanhe.studio.steps import Result

KIND: Final = "judge"
FILE: Final = "judged.jsonl"
Going = Callable[[], Awaitable[bool]]
"""Whether the job may go on; asked again and again while the judge works."""


class Asks(Protocol):
    """The port through which a judge is asked."""

    async def ask(self, org_id: UUID, ref: str, calls: Sequence[Mapping[str, Any]], going: Going) -> list[Heard] | None:
        """Put calls to a model for an organisation, once for each reference; the answers in their order, None when it
        was told to stop."""
        ...

    async def forget(self, ref: str) -> None:
        """What was heard is written down: questions and answers need not be kept beside it."""
        ...


async def judge(
    asks: Asks, org_id: UUID, ref: str, folder: Path, inputs: Mapping[str, str], parameters: Mapping[str, Any],
    rubric: str, going: Going,
) -> bool:  # fmt: skip
    """Do the step in its folder; False when `going` ended it. StepFailed when nothing the judge said can be read."""
    before, after = [await asyncio.to_thread(_read, Path(inputs[name])) for name in ("before", "after")]
    numbers = judging.worth_judging(before, after, parameters["questions"])
    calls = [
        call
        for n in numbers
        for call in judging.requests(
            parameters["judge"], rubric or judging.RUBRIC, before[n], before[n]["said"], after[n]["said"]
        )
    ]
    heard = await asks.ask(org_id, ref, calls, going) if calls else []
    if heard is None:
        return False
    verdicts = [judging.verdict(one.text) for one in heard]
    pairs = zip(numbers, verdicts[::2], verdicts[1::2], strict=True)
    found = [one for n, straight, turned in pairs if (one := judging.judged(n, straight, turned)) is not None]
    if calls and not found:
        raise StepFailed("judge_unreadable", f"none of its {len(calls)} answers is a verdict")
    metrics = judging.summary(found, len(numbers), heard)
    await asyncio.to_thread(_leave, folder, found, metrics)
    await asks.forget(ref)
    return True


def verdicts_in(path: Path) -> dict[int, dict[str, Any]]:
    """By the number of the question; empty when there are none."""
    try:
        return {row["n"]: row for row in _read(path)}
    except (OSError, msgspec.DecodeError):
        return {}


def _read(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def _leave(folder: Path, found: Sequence[judging.Judged], metrics: dict[str, Any]) -> None:
    body = b"".join(msgspec.json.encode(one) + b"\n" for one in found)
    (folder / FILE).write_bytes(body)
    result = Result({FILE: hashlib.sha256(body).hexdigest()}, metrics, 0)
    coming = folder / ".result.json"
    coming.write_bytes(msgspec.json.encode(result))
    coming.replace(folder / "result.json")
