"""Wiring of the board: who pays for meaning, who is related, and how an agreed match is rewarded (T10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.board.api import Board, Finding, Match, Meetings, Posts
from shanhe.kernel.asking import Related
from shanhe.kernel.money import MICRO
from shanhe.programmes.api import TrancheState
from shanhe.wiring.payers import Payers

if TYPE_CHECKING:
    from shanhe.compute.api import Compute
    from shanhe.gateway.api import Gateway
    from shanhe.identity.api import Caller, Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.notify import Notifier
    from shanhe.programmes.api import Programmes
    from shanhe.rulebook.api import Rulebook

PROGRAMME: Final = "research_match"
RULE: Final = "T10"
KEY_NAME: Final = "~board"
"""Of the key by which an owner pays for a post's vector."""


def open_board(
    db: Database, clock: Clock, *, gateway: Gateway, compute: Compute, identity: Identity, notifier: Notifier,
    programmes: Programmes, rulebook: Rulebook, related: Related,
) -> Board:  # fmt: skip
    """Make the board and hand it what it asks of others."""
    payers = Payers(identity, KEY_NAME)

    def embedding() -> str:
        return next((model.id for model in compute.models() if model.kind == "embedding"), "")

    async def payer(org_id: UUID) -> Caller:
        return await identity.caller_of(await payers.key_of(org_id))

    def terms() -> dict[str, Any]:
        today = clock.today()
        return {"rule": RULE, "reward_micro": int(rulebook.parameter(RULE, "reward", today)) * MICRO,
                "matches_max": int(rulebook.parameter(RULE, "matches_max", today))}  # fmt: skip

    posts = Posts(db, clock, seals=identity.seals, notifier=notifier, names=identity.orgs.names)
    finding = Finding(posts, embed=gateway.embed, payer=payer, model=embedding)
    meetings = Meetings(posts, award=award_of(programmes), told=told_of(programmes), related=related)
    return Board(posts, finding, meetings, terms)


def award_of(programmes: Programmes) -> Callable[[Match], Awaitable[tuple[UUID | None, Mapping[str, str] | None]]]:
    """A match is rewarded like any other promise: the side in need applies, the rule decides, both are paid."""

    async def award(match: Match) -> tuple[UUID | None, Mapping[str, str] | None]:
        asked = await programmes.applying.on_behalf(
            PROGRAMME, match.need_org, "match", match.id, actor="board", partner=str(match.solution_org)
        )
        why = asked.barred
        return asked.application, None if why is None else {"zh": why.message_zh, "en": why.message}

    return award


def told_of(programmes: Programmes) -> Callable[[UUID], Awaitable[Mapping[str, Any]]]:
    """What became of a reward, as both sides may know it: its state, why not, who gets how much."""

    async def told(application: UUID) -> Mapping[str, Any]:
        file = await programmes.file(application)
        return {
            "state": file.application.state,
            "reasons": [{"zh": one["zh"], "en": one["en"]} for row in file.decisions for one in row.reasons],
            "payments": [
                {"to": item.to_org, "amount_micro": item.amount,
                 "paid_micro": item.released if tranche.state is TrancheState.RELEASED else 0}
                for tranche in file.tranches for item in tranche.payments
            ],
        }  # fmt: skip

    return told
