"""One call of a tool from admission to its record: the fee held before, in the books before the result is passed on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.gateway.api import CallError
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.mcp.errors import AnswerTooLarge, BadServer, UnknownTool
from shanhe.mcp.model import SEPARATOR, CallRecord, Offered

if TYPE_CHECKING:
    from shanhe.gateway.api import Toll
    from shanhe.identity.api import Caller
    from shanhe.mcp.service import ToolGateway

ARGUMENTS_MAX_BYTES: Final = 64 * 1024
RESULT_MAX_BYTES: Final = 256 * 1024
LEFT_WAIT_S: Final = 1.0
"""How long a server is still waited for after its caller has left: a tool that does something at once would be had for
nothing by whoever leaves before its answer."""
PAID: Final = "shanhe/paid_micro"
RECEIPT: Final = "shanhe/receipt"


class Metered:
    """A call that is being made. `begin`, then one of `finish`, `refuse` and `fail`; later ones do nothing."""

    def __init__(self, gateway: ToolGateway, caller: Caller, slug: str, tool: str, sent: int) -> None:
        self.slug = slug
        self.open = False
        self.resumable = False
        self.abandoned = False
        """Who called has left, and the server had not answered."""
        self.modern = False
        self.paid_micro = 0
        self.receipt_id: UUID | None = None
        self._gateway = gateway
        self._caller = caller
        self._tool = tool
        self._sent = sent
        self._began = time.perf_counter()
        self._toll: Toll | None = None
        self._recorded = False
        self.deadline: asyncio.Timeout | None = None
        """Ends waiting for the server; not the booking of what it answered."""

    async def begin(self, offer: Offered) -> None:
        """Whether the call may be made, and the fee for it; ShanheError or CallError where not."""
        if self._tool not in offer.server.tools:
            raise UnknownTool(f"{self.slug}{SEPARATOR}{self._tool}")
        if self._sent > ARGUMENTS_MAX_BYTES:
            raise BadServer(f"arguments above {ARGUMENTS_MAX_BYTES} bytes", f"参数超过 {ARGUMENTS_MAX_BYTES} 字节")
        await self._gateway.count(self._caller, offer)
        self._toll = await self._gateway.toll(self._caller, self.slug, self._tool)
        self.open = True

    def under_way(self) -> None:
        """The server has been asked: if it takes a moment, the fee is booked meanwhile."""
        if self._toll is not None:
            self._toll.under_way()

    def abandon(self) -> None:
        """Who called has left: end waiting for the server soon, unless what it answered is being booked."""
        until = None if self.deadline is None or self.deadline.expired() else self.deadline.when()
        if self.deadline is not None and until is not None:
            self.abandoned = True
            self.deadline.reschedule(min(until, asyncio.get_running_loop().time() + LEFT_WAIT_S))

    async def finish(self, result: dict[str, Any], got: int) -> dict[str, Any]:
        """The result as it is passed on: booked unless the tool says that it could not, or needs something first."""
        if got > RESULT_MAX_BYTES:
            raise AnswerTooLarge(self.slug, RESULT_MAX_BYTES)
        if self.deadline is not None:
            self.deadline.reschedule(None)
        if result.get("isError") or result.get("resultType", "complete") != "complete":
            await self._close(paid=False)
            self._record("failed" if result.get("isError") else "done", "tool_said_no" if result.get("isError") else "",
                         got)  # fmt: skip
        else:
            await self._close(paid=True)
            self._record("done", "", got)
        meta = {**(result.get("_meta") or {}), PAID: self.paid_micro}
        if self.receipt_id is not None:
            meta[RECEIPT] = str(self.receipt_id)
        return {**result, "_meta": meta}

    async def refuse(self, got: int) -> None:
        """The server wants something first: nothing is paid."""
        await self._close(paid=False)
        self._record("done", "", got)

    async def fail(self, error: ShanheError | CallError) -> None:
        """It came to nothing: the fee is given back."""
        await self._close(paid=False)
        self._record("refused" if error.status < 500 else "failed", error.code, 0)

    async def _close(self, *, paid: bool) -> None:
        toll, self._toll, self.open = self._toll, None, False
        if toll is None:
            return
        if paid:
            await toll.book()
            self.paid_micro, self.receipt_id = toll.paid_micro, toll.receipt_id
            return
        with contextlib.suppress(ShanheError, CallError):
            await toll.give_back()

    def _record(self, state: str, error: str, got: int) -> None:
        if self._recorded:
            return
        self._recorded = True
        took_ms = int((time.perf_counter() - self._began) * 1000)
        self._gateway.record(
            CallRecord(
                new_id(), self._gateway.now(), self._caller.org_id, self._caller.key_id, self.slug[:64],
                self._tool[:64], state, error, self._sent, got, took_ms, self.paid_micro, self.receipt_id,
            )
        )  # fmt: skip


def size_of(value: Any) -> int:
    """How many bytes something takes as JSON."""
    return len(msgspec.json.encode(value))
