"""How the studio puts questions to a judge: a batch of the organisation's own, metered line by line, with receipts.

A judge's calls may wait, so they run where the batches run, beside people's calls and at the price of work that may
wait; and a batch is found again under the step's reference, so that nothing is asked or paid for twice: of one that was
cancelled half-way, the rest is asked in another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.batches.api import Batch, Batches
from shanhe.compute.api import Compute
from shanhe.gateway.api import Gateway
from shanhe.kernel.errors import NotFound, ShanheError
from shanhe.studio.api import Going, Heard, StepFailed
from shanhe.wiring.payers import Payers

KEY_NAME: Final = "~studio"
"""Of the key by which an organisation pays for judges."""
ENDPOINT: Final = "/v1/chat/completions"
WINDOW: Final = "24h"
POLL_S: Final = 1.0
WAIT_MAX_S: Final = 2 * 3_600.0
TURNS_MAX: Final = 20
"""How often a judge may be cancelled and taken up again."""
ID: Final = "{:06d}"
OK: Final = 200


class Judges:
    """Asks for an organisation."""

    def __init__(self, batches: Batches, payers: Payers, compute: Compute, gateway: Gateway) -> None:
        self._batches = batches
        self._payers = payers
        self._compute = compute
        self._gateway = gateway
        self._asked: dict[str, list[Batch]] = {}

    async def ask(
        self, org_id: UUID, ref: str, calls: Sequence[Mapping[str, Any]], going: Going
    ) -> list[Heard] | None:  # fmt: skip
        """The answers in the order of the calls; None when it was told to stop. StepFailed when the batch is late."""
        heard, left = [Heard(None)] * len(calls), list(range(len(calls)))
        for name in (ref, *(f"{ref} {turn}" for turn in range(1, TURNS_MAX))):
            try:
                batch = await self._ordered(org_id, name, {at: calls[at] for at in left})
            except NotFound:
                continue  # its questions were thrown away
            broken = batch.cancelling_at is not None  # a job before this one was cancelled: what it heard still counts
            done = await self._waited(batch, going)
            if done is None:
                return None
            self._asked.setdefault(ref, []).append(done)
            for at, one in (await self._heard(done)).items():
                heard[at] = one
            left = [at for at in left if heard[at].text is None]
            if not (broken and left):
                return heard
        raise StepFailed("judge_late", "the judge was cancelled too often")

    async def _waited(self, batch: Batch, going: Going) -> Batch | None:
        """A batch when it has ended; None when told to stop."""
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                while batch.ended_at is None:
                    await asyncio.sleep(POLL_S)
                    if not await going():
                        await self._cancel(batch)
                        return None
                    batch = await self._batches.batch(batch.id, batch.org_id)
        except TimeoutError:
            await self._cancel(batch)
            raise StepFailed("judge_late", "the judge did not answer in time") from None
        return batch

    async def forget(self, ref: str) -> None:
        """Throw the questions and answers of a reference away; what is lost sight of in a crash goes by its age."""
        for batch in self._asked.pop(ref, ()):
            for file in (batch.input_file, batch.output_file, batch.error_file):
                if file is not None:
                    with contextlib.suppress(ShanheError):
                        await self._batches.delete_file(file, batch.org_id)

    async def _ordered(self, org_id: UUID, ref: str, calls: Mapping[int, Mapping[str, Any]]) -> Batch:
        lines = [
            msgspec.json.encode({"custom_id": ID.format(at), "method": "POST", "url": ENDPOINT, "body": call}) + b"\n"
            for at, call in calls.items()
        ]
        file = await self._batches.keep(
            org_id, f"{ref}.jsonl", "batch", b"".join(lines), by="studio", request_key=ref
        )  # fmt: skip
        return await self._batches.create(
            org_id, await self._payers.key_of(org_id), input_file=file.id, endpoint=ENDPOINT, window=WINDOW,
            allowed=lambda model: self._compute.model(model) is not None, request_key=ref,
        )  # fmt: skip

    async def _cancel(self, batch: Batch) -> None:
        with contextlib.suppress(ShanheError):  # it has ended meanwhile
            await self._batches.cancel(batch.id, batch.org_id)

    async def _heard(self, batch: Batch) -> dict[int, Heard]:
        """What was answered, by the number of the call."""
        heard = dict[int, Heard]()
        if batch.output_file is None:
            return heard
        try:
            content = await self._batches.content(batch.output_file, batch.org_id)
        except NotFound:  # thrown away since
            return heard
        for line in content.splitlines():
            told = msgspec.json.decode(line)
            response = told["response"] or {}
            cost_micro = await self._cost(response.get("request_id", ""), batch.org_id)
            text = _text(response["body"]) if response.get("status_code") == OK else None
            heard[int(told["custom_id"])] = Heard(text, cost_micro)
        return heard

    async def _cost(self, receipt: str, org_id: UUID) -> int:
        try:
            return (await self._gateway.receipt(UUID(receipt), org_id)).amount_micro
        except (NotFound, ValueError):  # a call that cost nothing has no posting
            return 0


def _text(body: Mapping[str, Any]) -> str | None:
    try:
        found = body["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return None
    return found if isinstance(found, str) else None
