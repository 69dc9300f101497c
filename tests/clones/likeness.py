"""People, their consents, and clones of them that went the whole way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from shanhe.clones.api import Mandate
from shanhe.identity.api import NewPerson
from stage.market import MODEL, Market, Party

ALL = ("consultation", "teaching", "alliance", "training")
PERSONA = {"model": MODEL, "instructions": "你讲话简短。", "calling": "tools"}


async def person(market: Market, name: str) -> UUID:
    new = NewPerson(name=name, login="p-" + name.replace(" ", "-"))
    made = await market.services.identity.people.create(new, by="tests")
    return made.id


async def consent(
    market: Market, maker: Party, name: str, who: UUID, *, called: str, purposes: tuple[str, ...] = ALL, days: int = 30
) -> Mandate:
    """Asked for by a maker, granted by the person's own account."""
    clones, until = market.services.clones, market.services.clock.today() + timedelta(days=days)
    _, code = await clones.ask(maker.org, name, purposes, until, by="tests")
    return await clones.grant(
        code, who, called=called, wanted=purposes, until=until, notice_version=clones.notice()["version"]
    )


async def clone(
    market: Market, maker: Party, slug: str, called: str, *, purposes: tuple[str, ...] = ALL, fee_micro: int = 0,
    **content: Any,
) -> tuple[UUID, Mandate]:  # fmt: skip
    """A listed clone: whose it is, and their consent."""
    who = await person(market, slug)
    found = await consent(market, maker, f"clone/{slug}", who, called=called, purposes=purposes)
    likeness = {"mandate": str(found.id), **content.pop("clone", {})}
    await market.listed(maker.org, f"clone/{slug}", {**PERSONA, **content, "clone": likeness}, fee_micro=fee_micro)
    return who, found


async def asked(market: Market, payer: Party, model: str, question: str, purpose: str = "") -> Any:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": question}]}
    if purpose:
        body["metadata"] = {"purpose": purpose}
    return await payer.http.post("/v1/chat/completions", json=body)
