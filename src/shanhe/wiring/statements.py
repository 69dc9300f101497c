"""Taking a bank statement in, which pays orders: an operator uploads it, another one looks at it and agrees."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from shanhe.approvals.api import Deed
from shanhe.kernel.money import format_fen
from shanhe.payments.api import BankDesk, Outlook, Report, StatementGone, statement_digest
from shanhe.wiring.moves import LEFT, OPEN_FOR, numbers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shanhe.approvals.api import Approvals, Request
    from shanhe.kernel.clock import Clock

KIND: Final = "payments.bank_statement"
GRACE: Final = timedelta(hours=1)
"""For so long a statement is kept that nobody has asked about: a crash may have come between."""
NAME_CHARS: Final = 200
UNNAMED: Final = "statement.csv"


class TakingIn:
    """What is uploaded at the bank desk, and what of it waits."""

    def __init__(self, clock: Clock, approvals: Approvals, bank: BankDesk) -> None:
        self._clock = clock
        self._approvals = approvals
        self._bank = bank
        approvals.deeds[KIND] = Deed(self._take, "/city/bank/held/{hash}", _said)

    async def ask(self, data: bytes, *, name: str, by: str) -> tuple[Request, Outlook] | Report:
        """Keep a statement sealed and ask a second person to take it in; what it did, where that was done before. One
        request a statement stands at a time. Raises what `HeldStatements.keep` raises."""
        named = "".join(sign for sign in name if sign.isprintable()).strip()[:NAME_CHARS] or UNNAMED
        if (report := await self._bank.statements.known(statement_digest(data))) is not None:
            return report
        outlook = await self._bank.held.keep(data, name=named, actor=by)
        asked = await self._approvals.standing(
            numbers_of(f"{KIND}:{outlook.file.hash}"), KIND, named, _summary(outlook), by=by,
            expires_at=self._clock.now() + OPEN_FOR,
        )  # fmt: skip
        return asked, outlook

    async def held(self) -> Sequence[Request]:
        """The requests about statements that wait, oldest first."""
        found = [await self._last(file_hash) for file_hash, _ in await self._bank.held.all()]
        return [one for one in found if one is not None and one.state in LEFT]

    async def look(self, file_hash: str) -> tuple[Request, Outlook]:
        """A statement that waits, and what it would do now. Raises StatementGone, StatementContradicts."""
        asked = await self._last(file_hash)
        if asked is None or asked.state not in LEFT:
            raise StatementGone
        return asked, await self._bank.held.outlook(file_hash, by=asked.requested_by)

    async def forget(self) -> int:
        """Destroy the contents of what was decided; how many. Bounded; idempotent."""
        gone = 0
        for file_hash, held_at in await self._bank.held.all():
            asked = await self._last(file_hash)
            early = self._clock.now() < held_at + GRACE
            if early if asked is None else asked.state in LEFT:
                continue
            await self._bank.held.drop(file_hash, held_at)
            gone += 1
        return gone

    async def _last(self, file_hash: str) -> Request | None:
        """The newest request about a statement."""
        last = None
        for number in numbers_of(f"{KIND}:{file_hash}"):
            if (found := await self._approvals.known(number)) is None:
                break
            last = found
        return last

    async def _take(self, decided: Request) -> None:
        await self._bank.held.take(
            str(decided.payload["hash"]), actor=decided.requested_by, second=str(decided.decided_by)
        )


def _summary(outlook: Outlook) -> dict[str, Any]:
    """What stays on record of it: nothing of people."""
    file = outlook.file
    return {
        "hash": file.hash, "since": str(file.since or ""), "until": str(file.until or ""), "lines": file.lines,
        "in_fen": outlook.in_fen, "out_fen": outlook.out_fen, "opening_fen": file.opening_fen,
        "closing_fen": file.closing_fen, "orders": outlook.pays, "amount_fen": outlook.pays_fen,
    }  # fmt: skip


async def _said(asked: Request) -> str:
    """A statement in one line, for whoever is to agree."""
    told = asked.payload
    days = " – ".join(dict.fromkeys(day for day in (told["since"], told["until"]) if day))
    opening, closing = _yuan(told["opening_fen"]), _yuan(told["closing_fen"])
    balance = "" if told["closing_fen"] is None else f"余额 balance {opening} → {closing}"
    parts = (
        days, f"{told['lines']} 行 rows", f"收 in {_yuan(told['in_fen'])}", f"付 out {_yuan(told['out_fen'])}", balance,
        f"付讫订单 orders paid {told['orders']}", f"SHA-256 {str(told['hash'])[:16]}…",
    )  # fmt: skip
    return " · ".join(part for part in parts if part)


def _yuan(fen: int | None) -> str:
    return "—" if fen is None else format_fen(fen)
