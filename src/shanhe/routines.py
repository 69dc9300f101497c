"""Wiring of workflows: what a run can have done, in the hands of the modules that do it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.errors import NotFound
from shanhe.payers import Payers
from shanhe.sandbox.api import Limits, Sandbox
from shanhe.workflows.api import Runner, Said, Workflows

if TYPE_CHECKING:
    from shanhe.bazaar import Bazaar
    from shanhe.gateway.api import Gateway
    from shanhe.identity.api import Caller, Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.vault import Vault

KEY_NAME: Final = "~workflows"
"""Of the key by which an organisation pays for runs that start by themselves or from the console."""
FETCH_LIMIT_S: Final = 30.0
FETCH_MAX_BYTES: Final = 256 * 1024
FACE: Final = "openai"
"""As which an agent's own trace shows who called it."""
LIMITS: Final = Limits()


@dataclass(frozen=True)
class Routines:
    """Workflows, and who works on their runs."""

    workflows: Workflows
    runner: Runner


def open_routines(
    db: Database, clock: Clock, vault: Vault, *, gateway: Gateway, identity: Identity, bazaar: Bazaar, worker: str
) -> Routines:  # fmt: skip
    """Connect them; nothing runs yet."""
    payers = Payers(identity, KEY_NAME)
    workflows = Workflows(
        db, clock, key_of=payers.key_of, hook_key=vault.secret("workflow-hooks"), seals=identity.seals
    )
    return Routines(workflows, Runner(db, clock, workflows, _Deeds(gateway, identity, bazaar), worker=worker))


class _Deeds:
    """See `workflows.course.Deeds`."""

    def __init__(self, gateway: Gateway, identity: Identity, bazaar: Bazaar) -> None:
        self._gateway = gateway
        self._identity = identity
        self._bazaar = bazaar
        self._sandbox = Sandbox()

    async def ask(
        self, caller: Caller, fields: Mapping[str, Any], most_micro: int, receipt_id: UUID,
        keep: Callable[[bytes], Awaitable[None]],
    ) -> Said:  # fmt: skip
        done = await self._gateway.ask(caller, fields, most_micro=most_micro, receipt_id=receipt_id, keep=keep)
        return Said(done.answer, done.paid_micro, done.receipt_id)

    async def agent(self, caller: Caller, name: str, text: str, most_micro: int) -> Said:
        agents = self._bazaar.agents
        agent = await agents.published(name)
        budget = min(agent.definition.budget_micro, most_micro)
        bounded = replace(agent, definition=msgspec.structs.replace(agent.definition, budget_micro=budget))
        done = await agents.run(bounded, caller, [{"role": "user", "content": text}], face=FACE)
        return Said(done.text, done.paid_micro, done.receipt_id, done.prompt_tokens + done.completion_tokens)

    async def code(self, code: str, inputs: Mapping[str, Any]) -> Any:
        return await self._sandbox.run(code, "main", inputs, LIMITS)

    async def fetch(self, method: str, url: str, body: bytes, key: str) -> tuple[int, bytes]:
        headers = {"accept": "application/json, text/plain;q=0.9", "idempotency-key": key}
        if body:
            headers["content-type"] = "application/json"
        links = self._bazaar.tools.links
        async with links.exchange("the address", url, method, headers, body, limit_s=FETCH_LIMIT_S) as answer:
            return answer.status, await answer.body(FETCH_LIMIT_S, FETCH_MAX_BYTES)

    async def paid(self, receipt_id: UUID) -> int | None:
        try:
            return (await self._gateway.receipt(receipt_id, None)).amount_micro
        except NotFound:
            return None

    async def caller_of(self, key_id: UUID) -> Caller:
        return await self._identity.caller_of(key_id)
