"""What a run has done so far: its steps as they are written down, what they cost, what the model counted."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.agents import store
from shanhe.agents.model import Outcome, Step
from shanhe.gateway.api import CallError
from shanhe.kernel.errors import ShanheError

if TYPE_CHECKING:
    from shanhe.gateway.api import Asked
    from shanhe.kernel.db import Database

ERROR_MAX_CHARS: Final = 300


class Trace:
    """The trace of one run, an agent's or an alliance's."""

    def __init__(self, db: Database, run_id: UUID) -> None:
        self._db = db
        self.run_id = run_id
        self._steps: list[Step] = []
        self._receipt: UUID | None = None
        self._prompt = self._completion = 0
        self.spent = 0
        """Micro-credits of all steps."""

    async def note(
        self, kind: str, name: str, state: str, began: float, *, paid: int = 0, receipt: UUID | None = None,
        tokens: int = 0, sent: int = 0, got: int = 0, error: str = "",
    ) -> None:  # fmt: skip
        """Write a step down, with what it cost."""
        took_ms = int((time.perf_counter() - began) * 1000)
        step = Step(len(self._steps) + 1, kind, name, state, paid, receipt, tokens, sent, got, took_ms,
                    error[:ERROR_MAX_CHARS])  # fmt: skip
        self._steps.append(step)
        self.spent += paid
        self._receipt = receipt or self._receipt
        await store.add_step(self._db, self.run_id, step)

    async def call(self, model: str, fields: Mapping[str, Any], answer: Awaitable[Asked]) -> Asked:
        """One call of a model with `fields`, written down as it went."""
        began = time.perf_counter()
        try:
            asked = await answer
        except (ShanheError, CallError) as error:
            await self.note("model", model, "refused", began, error=error.code)
            raise
        await self.note(
            "model", model, "done", began, paid=asked.paid_micro, receipt=asked.receipt_id,
            tokens=self._counted(asked.answer), sent=len(msgspec.json.encode(fields["messages"])),
            got=len(msgspec.json.encode(message_of(asked))),
        )  # fmt: skip
        return asked

    def count(self, prompt: int, completion: int) -> int:
        """Add tokens to the run's; their sum."""
        self._prompt += prompt
        self._completion += completion
        return prompt + completion

    def _counted(self, answer: Mapping[str, Any]) -> int:
        """`count` of a model's own usage."""
        usage = answer.get("usage") or {}
        return self.count(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))

    def outcome(self, text: str, **more: Any) -> Outcome:
        """The run's end; `more` are further fields of `Outcome`."""
        return Outcome(
            self.run_id, text, self._prompt, self._completion, self.spent, self._receipt, tuple(self._steps), **more
        )


def message_of(asked: Asked) -> Mapping[str, Any]:
    """What the model said, with the tools it wishes for."""
    said: Mapping[str, Any] = asked.answer["choices"][0]["message"]
    return said
