"""Wiring of filings: what may be published, what guardrails tell, and whose complaints wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.filings.api import Decision, Filings, Intervention, Subject
from shanhe.store.api import RATING, REPLY, UnknownListing

if TYPE_CHECKING:
    from shanhe.agents.api import Moderated
    from shanhe.gateway.api import Gateway
    from shanhe.identity.api import Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.notify import Notifier
    from shanhe.kernel.vault import Vault
    from shanhe.log.api import Log
    from shanhe.rulebook.api import Rulebook
    from shanhe.store.api import Listing, Store, Version
    from shanhe.wiring.relatives import Relatives

RULE: Final = "P9_filing"
CATEGORIES: Final = {
    "secret_in_arguments": "secret", "secret_removed": "secret", "personal_data_in_arguments": "personal",
    "personal_removed": "personal", "knowledge_in_arguments": "knowledge", "unknown_address_in_arguments": "address",
    "link_removed": "address", "markup_removed": "address", "unsupported": "unsupported", "not_carried": "unsupported",
    "ai_label": "generated",
}  # fmt: skip
"""What each rule of the guardrails protects."""
SEPARATOR: Final = "/"
Finding = tuple[str, bool, str, str]


def open_filings(
    db: Database, clock: Clock, vault: Vault, *, rulebook: Rulebook, identity: Identity, notifier: Notifier,
    gateway: Gateway, log: Log, relatives: Relatives, store: Store,
) -> Filings:  # fmt: skip
    """Connect them; nothing runs yet."""

    async def model_of(receipt_id: UUID) -> str:
        return (await gateway.receipt(receipt_id, None)).evidence.model

    async def subject_of(name: str) -> Subject:
        if said(name):
            words = await store.words(name)
            return Subject(words.author, f"/store/{words.listing}#said", words.text or "—")
        found = await store.listed(name)
        if found.state == "draft":
            raise UnknownListing(name)
        return Subject(found.owner, f"/makers/{name}")

    async def remove(name: str, conn: Any) -> None:
        """Words go where a complaint about them is upheld; what becomes of a listing a reviewer decides."""
        if said(name):
            await store.strike(name, conn)

    return Filings(
        db, clock, vault, parameter=partial(rulebook.parameter, RULE),
        evaluate=lambda facts, on: rulebook.evaluate(RULE, facts, on=on), seals=identity.seals, notifier=notifier,
        model_of=model_of, subject_of=subject_of, concerned=relatives.akin, remove=remove, entry=log.record,
    )  # fmt: skip


def said(name: str) -> bool:
    """Whether a name means words about a listing, and no listing."""
    return name.partition(SEPARATOR)[0] in (RATING, REPLY)


def built_on(kind: str, content: Mapping[str, Any]) -> list[str]:
    """Subjects of the register that a version's answers come from."""
    models = [f"model/{content['model']}"] if isinstance(content.get("model"), str) and content["model"] else []
    if kind == "alliance":
        members = content.get("alliance", {})
        names = members.get("members", ()) if isinstance(members, Mapping) else ()
        return [*models, *map(str, names)]
    return models


class Conduct:
    """Asked by the store before something is offered, told by agents what their guardrails did."""

    def __init__(self, filings: Filings) -> None:
        self._filings = filings

    async def gate(self, name: str, content: Mapping[str, Any]) -> Sequence[Finding]:
        """The check of a draft: its record is enough, or what to do."""
        kind = name.partition(SEPARATOR)[0]
        found = await self._filings.register.verdict(name, built_on(kind, content))
        if not found.needs_record:
            return ()
        if found.may_publish:
            by = "" if found.algorithm is None else found.algorithm.number or found.algorithm.name_zh
            return (("filing", True, f"算法登记：{by}", f"covered by the register of algorithms ({found.filing})"),)
        return ((
            "filing", False, f"算法登记状态为 {found.filing}，不得上架；请联系市数字办登记或更新备案（/algorithms）",
            f"its record in the register of algorithms is {found.filing}; ask the digital office, see /algorithms",
        ),)  # fmt: skip

    async def ready(self, listing: Listing, version: Version) -> None:
        """Once more before a version is offered: a filing may have been withdrawn since it was handed in. NotFiled."""
        await self._filings.register.require(listing.name, built_on(str(listing.kind), version.content))

    async def moderated(self, done: Moderated) -> None:
        await self._filings.moderation.record(Intervention(
            done.surface, done.model, done.rule, CATEGORIES.get(done.rule, "other"), Decision(done.decision),
            done.org_id, done.run_id, done.text,
        ))  # fmt: skip
