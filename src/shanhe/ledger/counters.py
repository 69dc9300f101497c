"""Counters (budgets and rates of a key) lent to a worker in blocks, like credit: most calls count in memory.

What is left of a block lies where the worker's death can't take it (`lent`): who is started next gives it back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from shanhe.kernel.clock import Clock
from shanhe.ledger.commit import ConnectionLost, Line
from shanhe.ledger.errors import LedgerFull, LedgerUnavailable, LimitExceeded
from shanhe.ledger.lent import SEPARATOR, Cell, Key, Lent
from shanhe.ledger.model import Limit

TAKE: Final = "SELECT * FROM ledger.counter_take($1, $2, $3, $4, $5, $6, $7)"
RETURN: Final = "SELECT ledger.counter_return($1, $2, $3, $4)"
CHANNEL: Final = "ledger_counter"
PARTS_PER_WORKER: Final = 4
RECALL_WAITS_S: Final = (0.03, 0.06, 0.11)
"""How long a refused caller waits for other workers to give their blocks back: 200 ms in all."""
REFUSED_FOR_S: Final = 0.5
IDLE_S: Final = 90.0
KEYS_MAX: Final = 50_000

log = structlog.get_logger(__name__)


class Block:
    """A counter's lent block: what is left of it (`cell[0]`), and the cap under which it was lent."""

    __slots__ = ("cap", "cell", "refused_until_s", "touched_s", "used")

    def __init__(self, cap: int, cell: Cell) -> None:
        self.cap = cap
        self.cell = cell
        self.used = 0
        self.touched_s = 0.0
        self.refused_until_s = 0.0


class CounterBook:
    """Blocks of counters that this worker was lent."""

    def __init__(self, line: Line, clock: Clock, workers: int, folder: Path | None = None) -> None:
        """`folder`: where it is noted what is left of blocks."""
        self._line = line
        self._lent = Lent(folder)
        self._clock = clock
        self._workers = workers
        self._blocks: dict[Key, Block] = {}
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Begin to note what is left, and give back what dead processes of this machine did not use."""
        self._lent.start()
        try:
            found = await asyncio.to_thread(self._lent.left_behind)
        except OSError as error:
            log.warning("what dead processes left of budgets can't be read", error=str(error))
            return
        if not found:
            return
        try:
            await self._line.fetch(
                RETURN, [scope for scope, *_ in found], [name for _, name, _ in found],
                [window for *_, window in found], [*found.values()],
            )  # fmt: skip
        except (ConnectionLost, LedgerFull) as error:
            log.warning("what dead processes left of budgets counts as used", counters=len(found), error=str(error))
        else:
            log.info("what dead processes left of budgets was given back", counters=len(found))

    async def stop(self) -> None:
        """Give every block back."""
        await self.housekeep(everything=True)
        self._blocks.clear()
        self._lent.close()

    def try_take(self, limits: Sequence[Limit]) -> bool:
        """Count against all limits, or none, from memory."""
        blocks = self._blocks
        found = []
        for limit in limits:
            block = blocks.get((limit.scope, limit.name, limit.window))
            if block is None or block.cell[0] < limit.amount or block.cap != limit.cap:
                return False
            found.append(block)
        now_s = time.monotonic()
        for block, limit in zip(found, limits, strict=True):
            block.cell[0] -= limit.amount
            block.touched_s = now_s
        return True

    def left(self, limit: Limit) -> int | None:
        """What a window has room for as far as this worker knows; None where it knows nothing of it.

        What others took since it last asked is not in it, and what they gave back isn't either.
        """
        block = self._blocks.get((limit.scope, limit.name, limit.window))
        if block is None or block.cap != limit.cap:
            return None
        return min(limit.cap, max(0, limit.cap - block.used) + block.cell[0])

    def give_back(self, limits: Sequence[Limit], actuals: Sequence[int] = ()) -> None:
        """Return what was counted and not used; without actuals nothing was used."""
        for index, limit in enumerate(limits):
            unused = limit.amount - (actuals[index] if index < len(actuals) else 0)
            if unused > 0:  # a call may last longer than its block was kept: the next housekeeping returns it
                self._block(limit).cell[0] += unused

    def _block(self, limit: Limit) -> Block:
        return self._kept((limit.scope, limit.name, limit.window), limit.cap)

    def _kept(self, key: Key, cap: int) -> Block:
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = Block(cap, self._lent.cell(key))
            block.touched_s = time.monotonic()
        return block

    async def take(self, limits: Sequence[Limit]) -> None:
        """Count against all limits, borrowing blocks where needed; `LimitExceeded` when the database has no room."""
        if self.try_take(limits):
            return
        for wait_s in (*RECALL_WAITS_S, None):
            refused = await self._borrow(limits)
            if refused is None:
                return
            limit, block = refused
            if wait_s is None or self._workers == 1 or block.refused_until_s > time.monotonic():
                block.refused_until_s = time.monotonic() + REFUSED_FOR_S
                raise LimitExceeded(limit, max(0, block.used - block.cell[0]))
            await asyncio.sleep(wait_s)

    async def _borrow(self, limits: Sequence[Limit]) -> tuple[Limit, Block] | None:
        async with self._lock:  # who waited here may be served by the block that another one fetched
            if self.try_take(limits):
                return None
            now_s = time.monotonic()
            wanted = []
            await self._recapped(limits)
            for limit in limits:
                block = self._block(limit)
                block.touched_s = now_s
                if limit.amount > limit.cap:
                    return limit, block
                if block.cell[0] < limit.amount:
                    if block.refused_until_s > now_s:
                        return limit, block
                    wanted.append((limit, block))
            try:
                rows = await self._line.fetch(
                    TAKE, self._clock.now(), [w.scope for w, _ in wanted], [w.name for w, _ in wanted],
                    [w.window for w, _ in wanted], [w.cap for w, _ in wanted],
                    [w.amount - block.cell[0] for w, block in wanted], PARTS_PER_WORKER * self._workers,
                )  # fmt: skip
            except ConnectionLost as error:
                raise LedgerUnavailable(str(error)) from error
            refused = None
            for row in rows:
                limit, block = wanted[row["ord"] - 1]
                block.cell[0] += row["granted"]
                block.used = row["used_now"]
                if row["granted"] == 0:
                    refused = limit, block
            return refused if refused is not None or not self.try_take(limits) else None

    async def _recapped(self, limits: Sequence[Limit]) -> None:
        """What was lent under another cap goes back before more is asked for."""
        for limit in limits:
            block = self._block(limit)
            if block.cap != limit.cap:
                await self._give_up([(limit.scope, limit.name, limit.window)], forget=False)
                block.cap, block.refused_until_s = limit.cap, 0.0

    async def recall(self, payload: str) -> None:
        """Another worker needs what this one borrowed and does not use."""
        scope, name, window = payload.split(SEPARATOR, 2)
        await self._return([(UUID(scope), name, window)])

    async def housekeep(self, *, everything: bool = False) -> None:
        """Give idle blocks back; windows that have passed are forgotten with them."""
        limit_s = time.monotonic() - IDLE_S
        crowded = len(self._blocks) > KEYS_MAX
        idle = [key for key, block in self._blocks.items() if everything or crowded or block.touched_s < limit_s]
        await self._return(idle, forget=True)

    async def _return(self, keys: list[Key], *, forget: bool = False) -> None:
        async with self._lock:
            await self._give_up(keys, forget=forget)

    async def _give_up(self, keys: list[Key], *, forget: bool) -> None:
        found = [(key, self._blocks[key]) for key in keys if key in self._blocks]
        back = [(key, block.cap, block.cell[0]) for key, block in found]
        for key, block in found:
            block.cell[0] = 0
            if forget:
                del self._blocks[key]
                self._lent.forget(key, block.cell)
        back = [one for one in back if one[2] > 0]
        if not back:
            return
        try:
            await self._line.fetch(
                RETURN, [key[0] for key, *_ in back], [key[1] for key, *_ in back], [key[2] for key, *_ in back],
                [amount for *_, amount in back],
            )  # fmt: skip
        except (ConnectionLost, LedgerFull) as error:
            if isinstance(error, ConnectionLost) and error.sent:
                return  # counted as used: the careful side
            for key, cap, amount in back:  # it never came there: given back the next time
                self._kept(key, cap).cell[0] += amount
