"""Wiring of the content hub: what it must know of the city, who writes, and who pays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.agents.api import Guard
from shanhe.content.api import FREE_RULE, Content, Failed, Overtaken, Runner, Unusable
from shanhe.datasets.api import personal_data
from shanhe.facts.api import Use
from shanhe.gateway.api import PRIVATE, CallError
from shanhe.identity.api import OrgKind
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.labelling import Labels
from shanhe.wiring.clones import labels_of
from shanhe.wiring.payers import Payers

if TYPE_CHECKING:
    from shanhe.compute.api import Compute
    from shanhe.facts.api import Facts
    from shanhe.gateway.api import Gateway
    from shanhe.identity.api import Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.vault import Vault
    from shanhe.rulebook.api import Rulebook
    from shanhe.settings import Settings

KEY_NAME: Final = "~content"
"""Of the key by which an organisation pays for drafts: a company for its own, the city's for free ones."""
MARK: Final = "【AI生成】本文由人工智能辅助生成（{by}），使用前请人工核对；内容编号 {id}"
DESIGNATED: Final = "designated_size"


@dataclass(frozen=True)
class Hub:
    """The content hub, who writes its drafts, and its labels."""

    content: Content
    runner: Runner
    labels: Labels


def open_hub(
    settings: Settings, db: Database, clock: Clock, vault: Vault, *, gateway: Gateway, compute: Compute,
    identity: Identity, facts: Facts, rulebook: Rulebook, worker: str,
) -> Hub:  # fmt: skip
    """Connect it; nothing runs yet."""

    def decide(given: Mapping[str, Any], on: date, known: datetime | None) -> tuple[int, Any]:
        decision = rulebook.evaluate(FREE_RULE, given, on=on, known=known)
        return int(decision.outputs["free_left"]), decision.trace

    town = _Town(settings, compute, identity, facts, clock)
    content = Content(db, clock, town=town, decide=decide, personal=personal_data, seals=identity.seals)
    runner = Runner(db, clock, content, _Deeds(gateway, identity), worker=worker)
    return Hub(content, runner, labels_of(settings, vault, MARK))


def chat_models(settings: Settings, compute: Compute) -> Sequence[str]:
    """Chat models that callers can use; the city's default first."""
    found = [one.id for one in compute.models() if one.kind == "chat" and not one.id.startswith(PRIVATE)]
    return sorted(found, key=lambda name: (name != settings.model, name))


class _Town:
    """See `content.service.Town`."""

    def __init__(
        self, settings: Settings, compute: Compute, identity: Identity, facts: Facts, clock: Clock
    ) -> None:  # fmt: skip
        self._settings = settings
        self._compute = compute
        self._identity = identity
        self._facts = facts
        self._clock = clock
        self._payers = Payers(identity, KEY_NAME)

    async def is_company(self, org_id: UUID) -> bool:
        return (await self._identity.orgs.get(org_id)).kind is OrgKind.COMPANY

    async def designated(self, org_id: UUID) -> bool:
        async with self._facts.reading(Use("programmes", "content")) as reader:
            return bool(await reader.value(org_id, DESIGNATED, on=self._clock.today(), sound=True))

    async def payer_name(self, org_id: UUID) -> tuple[str, bool]:
        org = await self._identity.orgs.get(org_id)
        return org.name, org.kind is OrgKind.GOVERNMENT

    def models(self) -> Sequence[str]:
        return chat_models(self._settings, self._compute)

    async def key_of(self, org_id: UUID) -> UUID:
        return await self._payers.key_of(org_id)


class _Deeds:
    """See `content.runner.Deeds`."""

    def __init__(self, gateway: Gateway, identity: Identity) -> None:
        self._gateway = gateway
        self._identity = identity

    async def ask(
        self, key_id: UUID, fields: Mapping[str, Any], receipt_id: UUID, keep: Callable[[bytes], Awaitable[None]]
    ) -> int:
        caller = await self._identity.caller_of(key_id)
        try:
            done = await self._gateway.ask(caller, fields, receipt_id=receipt_id, keep=keep)
        except CallError as error:
            raise Failed(error.code, error.message, f"模型调用失败：{error.message}") from error
        except (Unusable, Overtaken):
            raise
        except ShanheError as error:
            raise Failed(error.code, error.message, error.message_zh) from error
        return done.paid_micro

    async def paid(self, receipt_id: UUID) -> int | None:
        return await self._gateway.fate(receipt_id)

    def guarded(self, given: list[str], text: str) -> str:
        return Guard(given, [], personal=personal_data).answer(text)
