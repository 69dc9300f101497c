"""Wiring of knowledge: who pays for it, which model embeds, what agents may read, and the city's own guide."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from shanhe.compute.api import Compute
from shanhe.gateway.api import Asked, Gateway
from shanhe.guide import Chapter, as_markdown, policies, services
from shanhe.identity.api import Actor, Caller, Identity, org_of
from shanhe.kernel.blobs import Shared
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.programmes.api import Catalogue
from shanhe.retrieval.api import (
    Answering,
    Asking,
    Base,
    Evaluating,
    Found,
    Indexer,
    Knowledge,
    Search,
    UnknownBase,
    judged,
    scores_of,
)
from shanhe.rulebook.api import Rulebook
from shanhe.settings import Settings
from shanhe.sharing import KNOWLEDGE
from shanhe.wiring.payers import Payers

KEY_NAME: Final = "~knowledge"
"""Of the key by which an organisation pays for knowledge."""
GUIDE_BASE: Final = UUID("6f0c1e5a-6d0b-5c1e-9a55-0d6a3f2b1c07")
"""The base of the city's own guide to its policies, where a city has one."""
GUIDE_POLICIES, GUIDE_SERVICES, GUIDE_NEWS = "政策汇编.md", "办事指南.md", "每周播报.md"


@dataclass(frozen=True)
class Library:
    """Knowledge and those who work with it."""

    knowledge: Knowledge
    search: Search
    answering: Answering
    evaluating: Evaluating
    indexer: Indexer
    payers: Payers
    shelves: Shelves

    async def caller_for(self, actor: Actor) -> Caller:
        """Who pays for what somebody asks here: their key, or their organisation's own."""
        if actor.key_id is not None:
            return await self.payers.identity.caller_of(actor.key_id)
        return await self.payers.identity.caller_of(await self.payers.key_of(org_of(actor)))


@dataclass(frozen=True)
class Changes:
    """`changed`: base and document, and when, the latest first; of `documents` that are there today."""

    documents: int
    changed: tuple[tuple[str, datetime], ...]


class Shelves:
    """Bases as agents use them: a maker's own, and those that the city opens to everybody."""

    def __init__(self, knowledge: Knowledge, search: Search) -> None:
        self._knowledge = knowledge
        self._search = search

    async def _usable(self, owner: UUID, name: str) -> Base:
        """Being let read a base is not being let publish it: UnknownBase."""
        (found,) = await self._knowledge.readable([name], Asking(owner))
        if found.org_id != owner and found.reach != "city":
            raise UnknownBase(name)
        return found

    async def missing(self, owner: UUID, names: Sequence[str]) -> list[str]:
        gone = []
        for name in names:
            try:
                await self._usable(owner, name)
            except UnknownBase:
                gone.append(name)
        return gone

    async def changes(self, owner: UUID, names: Sequence[str], since: datetime) -> Changes:
        """What bases say today that they did not at an instant; one that is gone says nothing."""
        documents, changed = 0, list[tuple[str, datetime]]()
        for name in names:
            with contextlib.suppress(UnknownBase):
                base = await self._usable(owner, name)
                documents += await self._knowledge.count(base)
                changed += [(f"{base.name} / {title}", at) for title, at in await self._knowledge.changed(base, since)]
        return Changes(documents, tuple(sorted(changed, key=lambda one: one[1], reverse=True)))

    async def find(self, owner: UUID, names: Sequence[str], question: str, caller: Caller) -> Found:
        bases = [await self._usable(owner, name) for name in names]
        return await self._search.find(bases, question, Asking(owner), caller)


async def renew_guide(
    knowledge: Knowledge, rulebook: Rulebook, catalogue: Catalogue, on: date, *, news: str = ""
) -> bool:  # fmt: skip
    """What the city's guide answers from, as the rules are on a day, with the newest bulletin; False where the city has
    no such base. A text that says the same is not read again."""
    try:
        base = await knowledge.own(GUIDE_BASE, None)
    except UnknownBase:
        return False
    texts = {
        GUIDE_POLICIES: as_markdown("政策汇编", policies(rulebook, on)),
        GUIDE_SERVICES: as_markdown("办事指南", [Chapter("如何申请", tuple(services(catalogue)))]),
    }
    if news:
        texts[GUIDE_NEWS] = news
    for name, text in texts.items():
        await knowledge.bring(base, name, text.encode(), by="guide")
    return True


def open_library(
    settings: Settings, db: Database, clock: Clock, *, gateway: Gateway, compute: Compute, identity: Identity,
    worker: str, shared: Shared | None = None,
) -> Library:  # fmt: skip
    """Connect it; nothing runs yet."""
    payers = Payers(identity, KEY_NAME)

    def embedding() -> str:
        return next((model.id for model in compute.models() if model.kind == "embedding"), "")

    async def ask(caller: Caller, fields: Mapping[str, Any]) -> Asked:
        return await gateway.ask(caller, fields)

    knowledge = Knowledge(
        db, clock, folder=settings.data / KNOWLEDGE, shared=shared, seals=identity.seals, embed=gateway.embed,
        caller_of=identity.caller_of, paying_key=payers.key_of, default_model=embedding,
        environment=settings.child_environment(),
    )  # fmt: skip

    async def judge(caller: Caller, model: str, text: str, passages: Sequence[str]) -> tuple[list[float], int]:
        """By a reranking engine, or by a chat model's one word."""
        known = compute.model(model)
        if known is None or known.kind != "rerank":
            return await judged(ask, caller, model, text, passages)
        asked = await gateway.rank(caller, model, text, passages)
        return scores_of(asked.answer, len(passages)), asked.paid_micro

    search = Search(knowledge, judge)
    answering = Answering(search, ask)
    indexer = Indexer(knowledge, worker=worker, environment=settings.child_environment())
    return Library(knowledge, search, answering, Evaluating(knowledge, search, answering), indexer, payers,
                   Shelves(knowledge, search))  # fmt: skip
