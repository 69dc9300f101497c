"""Writing drafts in one gateway process: takes what waits, and takes up what an ended process left.

A draft's call has its receipt's id before it is made and its answer is kept before it is charged, so that a crash
neither charges twice nor loses what was paid. An answer that is no text of its kind is refused before the charge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
import structlog

from shanhe.content import store
from shanhe.content.errors import Overtaken, Unusable
from shanhe.content.model import Draft, Form
from shanhe.content.service import TEXT, TITLE, WRITTEN, Content
from shanhe.content.writing import asked, rendered, understood
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal
from shanhe.kernel.waking import Crew

AT_ONCE_MAX: Final = 4
TRIES_MAX: Final = 2
LAPSED_AFTER: Final = timedelta(seconds=2_520)
"""By then a call's reservation (2,400 s) has lapsed, so what is not booked can't be charged any more."""
SHORT_CODES: Final = frozenset({"insufficient_quota", "key_budget_exceeded"})
"""The payer has not enough."""
CITY_EMPTY: Final = "content_city_budget_empty"
CITY_WORDS: Final = {
    "zh": "市里的免费额度经费不足，未扣费，免费次数已退回。可改由自有积分支付后重写。",
    "en": "The city's budget for the free tier is empty; nothing was charged and the free use is back. "
          "Agree that your own credits pay, and write it again.",
}  # fmt: skip
OWN_WORDS: Final = {
    "zh": "自有积分不足，未扣费。请充值后重写。",
    "en": "Your credits do not suffice; nothing was charged. Top up and write it again.",
}
log = structlog.get_logger(__name__)
Keep = Callable[[bytes], Awaitable[None]]


class Failed(Exception):
    """A call that came to nothing, in the words of whoever made it."""

    def __init__(self, code: str, message: str, message_zh: str) -> None:
        super().__init__(message)
        self.code, self.message, self.message_zh = code, message, message_zh


class Deeds(Protocol):
    """What writing needs; handed in by the composition root."""

    async def ask(self, key_id: UUID, fields: Mapping[str, Any], receipt_id: UUID, keep: Keep) -> int:
        """A call of a model by a key and under a receipt; `keep` gets the answer before it is charged. What was paid;
        Failed."""
        ...

    async def paid(self, receipt_id: UUID) -> int | None:
        """What was charged under a receipt; None when nothing was."""
        ...

    def guarded(self, given: list[str], text: str) -> str:
        """A text without secrets, ID numbers and links that nobody gave."""
        ...


class Runner:
    """Writes drafts, a bounded number at once."""

    def __init__(self, db: Database, clock: Clock, content: Content, deeds: Deeds, *, worker: str) -> None:
        self._db = db
        self._clock = clock
        self._content = content
        self._deeds = deeds
        self._worker = worker
        self._crew = Crew(self.fill, self._take_up, at_once_max=AT_ONCE_MAX, what="content")

    async def start(self) -> None:
        """Take up what a process of this name left behind, then work."""
        await store.put_back(self._db, self._worker, self._clock.now())
        self._db.wake(store.CHANNEL, self._crew.wake)
        self._crew.start()

    async def stop(self) -> None:
        """Leave what is being written where it is; the next start takes it up."""
        await self._crew.stop()

    async def drain(self) -> None:
        """Write until nothing waits."""
        await self._crew.drain()

    async def _take_up(self) -> None:
        await store.put_back(self._db, None, self._clock.now() - LAPSED_AFTER)

    async def fill(self) -> int:
        """Take and begin as many drafts as there is room for; how many."""
        room = self._crew.room
        if room <= 0:
            return 0
        taken = await store.take(self._db, self._worker, room, self._clock.now())
        for draft in taken:
            self._crew.begin(self.write(draft))
        return len(taken)

    async def write(self, draft: Draft) -> None:
        """One draft, to its end."""
        try:
            seal = await self._content.seal_of(draft.org_id)
            form = await self._content.form_of_job(draft.job)
            await self._written(draft, form, seal)
        except Overtaken:
            return
        except Failed as error:
            await self._fail(draft, error.code, {"zh": error.message_zh, "en": error.message})
        except ShanheError as error:
            await self._fail(draft, error.code, {"zh": error.message_zh, "en": error.message})
        except FAILURES:
            raise  # the database: what is booked stays, the rest is taken up again
        except Exception:
            log.exception("a draft failed on our side", draft=str(draft.id))
            await self._fail(
                draft, "internal_error", {"zh": "系统内部错误，未扣费。", "en": "Something went wrong on our side."}
            )

    async def _fail(self, draft: Draft, code: str, why: Mapping[str, str]) -> None:
        await store.fail(self._db, draft, self._worker, code, dict(why), self._clock.now())

    async def _written(self, draft: Draft, form: Form, seal: Seal) -> None:
        if draft.receipt_id is not None and draft.written is not None:  # an ended process may have paid
            paid = await self._deeds.paid(draft.receipt_id)
            if paid is not None:
                return await self._done(draft, form, seal, seal.open_json(WRITTEN, draft.written, {}), paid)
        key_id, payer = draft.key_id, draft.payer
        for tried in range(1, TRIES_MAX + 1):
            try:
                written, paid = await self._called(draft, key_id, form, seal)
                return await self._done(draft, form, seal, written, paid)
            except Unusable:
                if tried == TRIES_MAX:
                    raise
            except Failed as error:
                if error.code not in SHORT_CODES:
                    raise
                if payer == "own":
                    raise Failed(error.code, OWN_WORDS["en"], OWN_WORDS["zh"]) from error
                key_id, payer = await self._own(draft), "own"
        raise Unusable()

    async def _own(self, draft: Draft) -> UUID:
        """The city can't pay: own credits do where that was agreed; Failed says so otherwise."""
        terms = await self._content.terms(draft.org_id)
        if not terms.may_pay(draft.month):
            raise Failed(CITY_EMPTY, CITY_WORDS["en"], CITY_WORDS["zh"])
        key_id = await self._content.own_key(draft.org_id)
        if not await store.pay_oneself(self._db, draft, self._worker, key_id):
            raise Overtaken()
        return key_id

    async def _called(
        self, draft: Draft, key_id: UUID, form: Form, seal: Seal
    ) -> tuple[dict[str, Any], int]:  # fmt: skip
        receipt, kept = new_id(), dict[str, Any]()
        if not await store.begin(self._db, draft.id, self._worker, receipt, self._clock.now()):
            raise Overtaken()

        async def keep(body: bytes) -> None:
            found = understood(draft.kind, _text_of(body))
            if not await store.keep(self._db, draft.id, self._worker, receipt, seal.json(WRITTEN, found)):
                raise Overtaken()
            kept.update(found)

        paid = await self._deeds.ask(key_id, asked(draft.kind, form, draft.n, draft.model), receipt, keep)
        return kept, paid

    async def _done(self, draft: Draft, form: Form, seal: Seal, written: Mapping[str, Any], paid: int) -> None:
        title, text = rendered(draft.kind, form, written)
        given = list(form.fields.values())
        title, text = self._deeds.guarded(given, title), self._deeds.guarded(given, text)
        await store.done(
            self._db, draft.id, self._worker, paid, seal.text(TITLE, title), seal.text(TEXT, text), self._clock.now()
        )  # fmt: skip


def _text_of(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["choices"][0]["message"].get("content") or "")
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, AttributeError):
        raise Unusable() from None
