"""Wiring of workflows and of evaluation sets: what a run can have done, in the hands of the modules that do it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.agents.api import BadInputs, NoAnswer, OutOfTime, Published, UnknownRun, Way
from shanhe.gateway.api import CallError
from shanhe.kernel.errors import NotFound, ShanheError, Unavailable
from shanhe.mcp.errors import BadServer
from shanhe.retrieval.api import DATA_CLASSES, Asking, shown
from shanhe.sandbox.api import Limits, Sandbox
from shanhe.trials.api import Trials
from shanhe.wiring.payers import Payers
from shanhe.wiring.store import published
from shanhe.workflows.api import CITY_CLASSES, Paid, Runner, Said, StepFailed, Workflows

if TYPE_CHECKING:
    from shanhe.gateway.api import Gateway
    from shanhe.identity.api import Caller, Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.purse import Purse
    from shanhe.kernel.vault import Vault
    from shanhe.log.api import Log
    from shanhe.retrieval.api import Base
    from shanhe.wiring.knowledge import Library
    from shanhe.wiring.store import Bazaar

KEY_NAME: Final = "~workflows"
"""Of the key by which an organisation pays for runs that start by themselves or from the console."""
JUDGE_KEY: Final = "~evaluations"
"""Of the key by which a maker pays for measuring."""
FETCH_LIMIT_S: Final = 30.0
FETCH_MAX_BYTES: Final = 256 * 1024
ERROR_SHOWN_CHARS: Final = 300
HIDDEN: Final = b"***"
HIDDEN_MIN_CHARS: Final = 4
"""A shorter secret is found in texts that have nothing to do with it."""
FACE, FACE_TRY = "openai", "try"
"""As which an agent's own trace shows who called it."""
LIMITS: Final = Limits()


@dataclass(frozen=True)
class Routines:
    """Workflows, who works on their runs, and drafts of agents with what measures them."""

    workflows: Workflows
    runner: Runner
    trials: Trials
    draft: Callable[[str, UUID], Awaitable[Published]]
    """A maker's own agent as its newest version would run; UnknownListing."""


def open_routines(
    db: Database, clock: Clock, vault: Vault, *, gateway: Gateway, identity: Identity, bazaar: Bazaar, log: Log,
    library: Library, worker: str,
) -> Routines:  # fmt: skip
    """Connect them; nothing runs yet."""
    payers = Payers(identity, KEY_NAME)
    workflows = Workflows(
        db,
        clock,
        key_of=payers.key_of,
        is_member=identity.orgs.is_member,
        hook_key=vault.secret("workflow-hooks"),
        seals=identity.seals,
    )
    deeds = _Deeds(gateway, identity, bazaar, library)

    async def match(code: str, pairs: Sequence[tuple[str, str]]) -> Sequence[bool]:
        found: Sequence[bool] = await deeds.code(code, {"pairs": pairs})
        return found

    asks = _Asks(bazaar, Payers(identity, JUDGE_KEY))
    trials = Trials(db, clock, asks=asks, match=match, entry=log.record, seals=identity.seals)
    bazaar.guard(trials.gate)

    async def users(base: Base) -> list[str]:
        names = (str(base.id), base.name)
        return await bazaar.agents_on(base) + [
            f"workflow {slug}" for slug in await workflows.looking_up(base.org_id, names)
        ]

    library.knowledge.users = users

    async def draft(name: str, owner: UUID) -> Published:
        return published(await bazaar.store.draft_of(name, owner))

    return Routines(workflows, Runner(db, clock, workflows, deeds, worker=worker), trials, draft)


class _Deeds:
    """See `workflows.deeds.Deeds`."""

    def __init__(self, gateway: Gateway, identity: Identity, bazaar: Bazaar, library: Library) -> None:
        self._library = library
        self._gateway = gateway
        self._identity = identity
        self._bazaar = bazaar
        self._sandbox = Sandbox()

    async def ask(
        self, caller: Caller, fields: Mapping[str, Any], receipt_id: UUID, keep: Callable[[bytes], Awaitable[None]]
    ) -> Said:  # fmt: skip
        done = await self._gateway.ask(caller, fields, receipt_id=receipt_id, keep=keep)
        return Said(done.answer, done.paid_micro, done.receipt_id)

    async def agent(self, caller: Caller, name: str, text: str, number: UUID, inputs: Mapping[str, Any]) -> Said:
        agents = self._bazaar.agents
        agent = await agents.published(name)
        if caller.models is not None and name not in caller.models:
            raise CallError(404, "model_not_found", f"This key may not use {name}.", param="model")
        asked = [{"role": "user", "content": text}]
        try:
            done = await agents.run(agent, caller, asked, face=FACE, way=Way((name,), number=number), inputs=inputs)
        except (ShanheError, CallError) as error:  # what its steps cost until then is the step's
            spent = await self.spent(number)
            raise Paid(StepFailed(error.code, error.message, error.message_zh), Said(None, spent)) from error
        return Said(done.text, done.paid_micro, done.receipt_id, done.prompt_tokens + done.completion_tokens)

    async def spent(self, number: UUID) -> int:
        try:
            return (await self._bazaar.agents.trace(number, None))[0].paid_micro
        except UnknownRun:
            return 0

    async def look_up(self, caller: Caller, owner: UUID, bases: Sequence[str], question: str, passages: int) -> Said:
        library = self._library
        asking = Asking(owner)
        found = await library.search.find(
            await library.knowledge.readable(bases, asking), question, asking, caller, passages
        )
        hits = found.hits[:passages] if found.supported else ()
        rows = [{"document": one.passage.document, "page": one.passage.page, "heading": one.passage.heading,
                 "text": one.passage.text} for one in hits]  # fmt: skip
        value = {"supported": found.supported, "text": shown(hits) if hits else "", "passages": rows}
        return Said(value, found.paid_micro, found.receipt_id, data_class=found.data_class)

    async def code(self, code: str, inputs: Mapping[str, Any]) -> Any:
        return await self._sandbox.run(code, "main", inputs, LIMITS)

    async def tool(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Said:
        toolbox = self._bazaar.agents.toolbox
        spec = next(iter(await toolbox.specs([name])), None)
        if spec is None:
            raise StepFailed("tool_not_offered", f"There is no tool {name!r}", f"没有工具“{name}”")
        if caller.data_class in CITY_CLASSES and not spec.local:
            raise StepFailed("leaves_the_city", f"{caller.data_class} data may not leave the city",
                             f"{caller.data_class} 类数据不得出域")  # fmt: skip
        said = await toolbox.call(caller, name, arguments)
        if said.failed:
            shown = said.text[:ERROR_SHOWN_CHARS]
            raise StepFailed("tool_failed", f"The tool failed: {shown}", f"工具调用失败：{shown}")
        return Said(said.text, said.paid_micro, said.receipt_id)

    async def fetch(
        self, method: str, url: str, body: bytes, key: str, headers: Mapping[str, str], secrets: Mapping[str, str],
        owner: UUID,
    ) -> tuple[int, bytes]:  # fmt: skip
        tools = self._bazaar.tools
        sent = {"accept": "application/json, text/plain;q=0.9", "idempotency-key": key}
        if body:
            sent["content-type"] = "application/json"
        sealed = await tools.headers_of(owner, secrets)
        sent |= {name.lower(): text for name, text in {**headers, **sealed}.items()}
        try:
            async with tools.links.exchange("the address", url, method, sent, body, limit_s=FETCH_LIMIT_S) as answer:
                return answer.status, hidden(await answer.body(FETCH_LIMIT_S, FETCH_MAX_BYTES), sealed.values())
        except BadServer as error:  # it is no tool's server here
            why = error.message.partition(": ")[2], error.message_zh.partition("：")[2]
            raise StepFailed("http_failed", f"The address can't be asked: {why[0].rstrip('.')}",
                             f"无法访问该地址：{why[1].rstrip('。')}") from error  # fmt: skip

    async def paid(self, receipt_id: UUID) -> int | None:
        return await self._gateway.fate(receipt_id)

    async def caller_of(self, key_id: UUID, data_class: str, purse: Purse) -> Caller:
        caller = await self._identity.caller_of(key_id)
        most = max(caller.data_class, data_class, key=DATA_CLASSES.index)
        return msgspec.structs.replace(caller, data_class=most, purse=purse)


def hidden(said: bytes, secrets: Iterable[str]) -> bytes:
    """What an address said, without the secrets that it was asked with: some say back what they were sent."""
    words = {word for secret in secrets for word in (secret, secret.rpartition(" ")[2])}
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= HIDDEN_MIN_CHARS:
            said = said.replace(word.encode(), HIDDEN)
    return said


class _Asks:
    """See `trials.service.Asks`."""

    def __init__(self, bazaar: Bazaar, payers: Payers) -> None:
        self._bazaar = bazaar
        self._payers = payers

    async def current(self, name: str) -> tuple[int, Mapping[str, Any]] | None:
        try:
            version = (await self._bazaar.store.offer(name)).version
        except NotFound:
            return None
        return version.n, version.content

    async def draft(self, name: str, owner: UUID) -> Mapping[str, Any]:
        return (await self._bazaar.store.draft_of(name, owner)).version.content

    async def answer(
        self, owner: UUID, name: str, content: Mapping[str, Any], question: str, inputs: Mapping[str, str]
    ) -> tuple[str, int, str]:
        offer = await self._bazaar.store.draft_of(name, owner)
        agent = published(replace(offer, version=replace(offer.version, content=content)))
        caller = await self._payers.identity.caller_of(await self._payers.key_of(owner))
        asked = [{"role": "user", "content": question}]
        try:
            done = await self._bazaar.agents.run(agent, caller, asked, face=FACE_TRY, charged=False, inputs=inputs)
        except (BadInputs, NoAnswer, OutOfTime) as error:
            return "", 0, error.code
        except CallError as error:
            raise Unavailable(error.code, error.message) from error
        return done.text, done.paid_micro, ""
