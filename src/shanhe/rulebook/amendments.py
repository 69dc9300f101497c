"""Amending: proved before it is written, decided by two people, and seen by every running process.

An amendment must load, type and pass every example and proof of its rule and of the rules that share its parameters.
Four eyes are handed in (`Eyes`), for approvals are a peer of the rulebook.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from shanhe.kernel.asking import Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, Invalid, ShanheError
from shanhe.rulebook import store
from shanhe.rulebook.check import AMENDMENT_FITS
from shanhe.rulebook.errors import RuleNotInForce, RuleWithheld
from shanhe.rulebook.mistakes import Mistake, mistakes
from shanhe.rulebook.model import RuleAmendment, Unfit, content_hash
from shanhe.rulebook.service import Rulebook
from shanhe.rulebook.texts import edition_of

KIND: Final = "rule.amendment"
ASIDE: Final = "rule.set_aside"
AMENDED: Final = "rule.amended"
IN_FORCE: Final = "rule.in_force"
NOTE_CHARS: Final = 200
CHANNEL: Final = "rulebook_amended"
OPEN_DAYS: Final = 30
LOCK: Final = 0x72756C65626F6F6B
PAGE_ROWS: Final = 50

log = structlog.get_logger(__name__)


class Eyes(Protocol):
    """Four eyes, as approvals offer them: who asks never decides."""

    async def request(
        self, kind: str, subject: str, payload: Mapping[str, Any], *, by: str, expires_at: datetime,
        request_id: UUID | None = None,
    ) -> Any: ...  # fmt: skip
    async def approve(self, request_id: UUID, *, by: str, reason: str = "", conn: Any = None) -> Any: ...
    async def done(self, request_id: UUID, conn: Any = None) -> None: ...
    async def get(self, request_id: UUID) -> Any: ...
    async def requests(self, *, kind: str | None = None, limit: int = PAGE_ROWS) -> Sequence[Any]: ...


async def load_amended(db: Any) -> Rulebook:
    """The packaged rules with every recorded amendment that fits layered on; only reads."""
    return await asyncio.to_thread(Rulebook.load, await store.amendments(db))


async def open_rulebook(db: Database, clock: Clock) -> Rulebook:
    """The rules as a process of a city decides by them: their texts are kept from before its first decision on."""
    rows = await store.amendments(db)
    rulebook, edition = await asyncio.to_thread(Rulebook.load, rows), edition_of(rows)
    if not await store.has_edition(db, edition):
        async with db.transaction() as conn:
            await store.keep(conn, edition, await asyncio.to_thread(rulebook.sources), clock.now())
    rulebook.remember(await store.former(db, edition))
    for one in rulebook.unfit:
        log.error("rulebook.amendment_unfit", rule=one.amendment.rule_id, amendment=one.amendment.id, why=one.why.en)
    return rulebook


def proved(rulebook: Rulebook, amendment: RuleAmendment) -> Rulebook:
    """The amended rulebook; Invalid when a proof or example of the rule, or of one that shares what changes, fails.

    That another amendment is not in force is nothing against this one, which may be what mends it.
    """
    amended = rulebook.amended([amendment])
    changed = amendment.content.get("parameters", {})
    for rule_id in (amendment.rule_id, *amended.sharing(amendment.rule_id, changed)):
        report = amended.check(rule_id)
        failed = [finding for finding in report.failed() if finding.check != AMENDMENT_FITS]
        if failed:
            first = failed[0]
            raise Invalid(
                "rule_amendment_unproved",
                f"The amendment of {amendment.rule_id} fails {first.check}: {first.message}",
                message_zh=f"对 {amendment.rule_id} 的修订未通过 {first.check}：{first.message_zh}",
                hint="Correct the amendment or its examples; nothing was recorded.",
                hint_zh="请改正修订内容或示例；尚未记录任何内容。",
                details=report.to_dict(),
            )
    return amended


async def record(
    db: Database, clock: Clock, rulebook: Rulebook, amendment: RuleAmendment, conn: Any = None
) -> Rulebook:
    """Prove an amendment on top of `rulebook`, record it, and return the amended rulebook.

    Idempotent by id; Conflict for the same id with other content; Invalid when a proof or an example fails. With `conn`
    it is recorded in the caller's transaction.
    """
    amended = proved(rulebook, amendment)
    place = conn or db.writes
    if not await store.add(place, amendment, clock.now()) and not await store.same(place, amendment):
        raise Conflict(
            "rule_amendment_differs",
            f"Amendment {amendment.id} is already recorded with other content.",
            message_zh=f"修订 {amendment.id} 已以不同内容记录。",
            hint="Use a new id for a new amendment.",
            hint_zh="新的修订请使用新的编号。",
        )
    return amended


Needed = Callable[[Any], Awaitable[None]]
"""(request): what has to be decided before what it asks for is recorded; raises when it is not."""
Owned = Callable[[UUID, str, Mapping[str, Any], str], Awaitable[None]]
"""(amendment, rule, content, by): raises where the number stands for something else that is being decided."""


class Amendments:
    """Proposing, deciding and following amendments of the rulebook of a running city.

    `entry` takes recorded amendments, and every change of what is in force, into the transparency log.
    """

    def __init__(
        self, db: Database, clock: Clock, rulebook: Rulebook, eyes: Eyes, *, entry: Record | None = None
    ) -> None:
        self._db = db
        self._clock = clock
        self._rulebook = rulebook
        self._eyes = eyes
        self._entry = entry
        self._reading = asyncio.Lock()
        self._needed: Needed | None = None
        self._owned: Owned | None = None

    def need(self, needed: Needed, owned: Owned) -> None:
        """Ask `needed` before any amendment is recorded: whose decision it takes beyond two people (governance); and
        `owned` before one is asked for, so that nobody takes the number of what is being decided."""
        self._needed, self._owned = needed, owned

    def mistakes(self, files: Mapping[str, str]) -> list[Mistake]:
        """What is wrong with rule files (name → text), on top of the rules as they stand."""
        return mistakes(self._rulebook, files)

    async def propose(
        self, rule_id: str, content: Mapping[str, Any], *, amendment_id: UUID, by: str, note: str = ""
    ) -> Any:
        """Prove an amendment and ask for a second person. Idempotent by `amendment_id`; returns the request."""
        rule = self._rulebook.rule(rule_id)
        if self._owned is not None:
            await self._owned(amendment_id, rule.id, content, by)
        proved(self._rulebook, RuleAmendment(str(amendment_id), rule.id, content, by, note))
        payload = {"rule_id": rule.id, "content": dict(content), "note": note}
        expires = self._clock.now() + timedelta(days=OPEN_DAYS)
        return await self._eyes.request(KIND, rule.id, payload, by=by, expires_at=expires, request_id=amendment_id)

    async def approve(self, amendment_id: UUID, *, by: str, reason: str = "") -> RuleAmendment:
        """A second person agrees: proved again on today's rules, recorded, and in force in this process at once."""
        asked = await self._eyes.get(amendment_id)
        if asked.kind != KIND:
            raise Invalid(
                "not_an_amendment",
                f"Request {amendment_id} is no amendment of a rule.",
                message_zh=f"申请 {amendment_id} 不是规则修订。",
                hint="List the proposals: GET /api/rules/amendments.",
                hint_zh="请先查看修订列表：GET /api/rules/amendments。",
            )
        return await self._take_over(asked, by, reason, decide=True)

    async def ready(self, asked: Any) -> None:
        """Whether a second person may agree now; raises what has to be decided before."""
        if self._needed is not None:
            await self._needed(asked)

    async def carry_out(self, decided: Any) -> None:
        """Record what was agreed to elsewhere; once."""
        await self._take_over(decided, str(decided.decided_by), decided.reason, decide=False)

    async def _take_over(self, asked: Any, by: str, reason: str, *, decide: bool) -> RuleAmendment:
        payload, amendment_id = asked.payload, asked.id
        amendment = RuleAmendment(
            str(amendment_id), payload["rule_id"], payload["content"], f"{asked.requested_by}, {by}", payload["note"]
        )
        known = {one.id for one in await store.amendments(self._db)}
        if amendment.id not in known:
            await self.ready(asked)
            async with self._db.transaction() as conn:
                # One at a time, each proved on top of what is recorded: two that are sound alone may not be together.
                await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
                current = await load_amended(conn)
                if decide:
                    await self._eyes.approve(amendment_id, by=by, reason=reason, conn=conn)
                await record(self._db, self._clock, current, amendment, conn)
                await self._keep(conn)
                if self._entry is not None:
                    public = {"rule": amendment.rule_id, "amendment": amendment.id, "note": amendment.note[:NOTE_CHARS],
                              "content_sha256": content_hash(amendment.content)}  # fmt: skip
                    private = {"id": amendment.id, "decided_by": amendment.decided_by, "reason": reason}
                    await self._entry(conn, AMENDED, public, private, id=amendment_id)
                if decide:
                    await self._eyes.done(amendment_id, conn)
        await self.refresh()
        return amendment

    @property
    def unfit(self) -> Sequence[Unfit]:
        """Recorded amendments that are not in force, since the rules as they are packaged can't take them."""
        return self._rulebook.unfit

    async def ask_aside(self, amendment_id: UUID, *, request_id: UUID, by: str, reason: str) -> Any:
        """Ask for a second person to set aside an amendment that does not fit: its rule then decides as if it had never
        been. Idempotent by `request_id`; Conflict for one that is in force."""
        one = _waiting(self._rulebook, str(amendment_id))
        payload = {"amendment": one.amendment.id, "rule_id": one.amendment.rule_id, "reason": reason}
        expires = self._clock.now() + timedelta(days=OPEN_DAYS)
        return await self._eyes.request(
            ASIDE, one.amendment.rule_id, payload, by=by, expires_at=expires, request_id=request_id
        )

    async def carry_out_aside(self, decided: Any) -> None:
        """Set aside what two people agreed to; once. Conflict for one that fits by now: what was voted for is in force
        again, and two people alone don't undo it."""
        number, by = UUID(decided.payload["amendment"]), f"{decided.requested_by}, {decided.decided_by}"
        async with self._db.transaction() as conn:
            await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            current = await load_amended(conn)
            if not await store.set_aside(conn, number, by, self._clock.now()):
                return
            _waiting(current, str(number))
            await self._keep(conn)
            if self._entry is not None:
                public = {"rule": decided.payload["rule_id"], "amendment": str(number)}
                await self._entry(conn, ASIDE, public, {"decided_by": by}, id=decided.id)
        await self.refresh()

    async def _keep(self, conn: Any) -> None:
        """Before any process goes over to what was just recorded."""
        rows = await store.amendments(conn)
        book = await asyncio.to_thread(Rulebook.load, rows)
        await store.keep(conn, edition_of(rows), await asyncio.to_thread(book.sources), self._clock.now())

    async def proposals(self) -> Sequence[Any]:
        """Requests for amendments, newest first; a bounded page."""
        return await self._eyes.requests(kind=KIND, limit=PAGE_ROWS)

    async def recorded(self) -> Sequence[RuleAmendment]:
        return await store.amendments(self._db)

    async def show(self) -> int:
        """Take what is in force today, where it is not what the log showed last, into the log; how many rules.

        An amendment comes into force on its day, and a release of the program changes rules as well: whatever the
        cause, a change that nobody announced is seen here.
        """
        if self._entry is None:
            return 0
        async with self._db.transaction() as conn:
            await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            before = await store.shown(conn)
            changed = {rule: version for rule, (version, *names) in self._in_force().items()
                       if before.get(rule) not in names}  # fmt: skip
            for rule_id, version in changed.items():
                public = {"rule": rule_id, "version": version, "before": before.get(rule_id, "")}
                await self._entry(conn, IN_FORCE, public, None)
            await store.show(conn, changed, self._clock.now())
        return len(changed)

    def _in_force(self) -> dict[str, tuple[str, ...]]:
        """Of each rule the version that decides today, and every name that the log may have called it by; a withheld
        rule has none: that nothing decides is a change as well."""
        today, found = self._clock.today(), {}
        for rule_id in self._rulebook.ids():
            try:
                version = self._rulebook.in_force(rule_id, today)
                found[rule_id] = (version.version, *version.names)
            except RuleWithheld as error:
                found[rule_id] = (name := f"withheld:{error.amendment}", name)
            except RuleNotInForce:  # its first day is still to come
                continue
        return found

    async def refresh(self) -> None:
        """Read the recorded amendments and go over to them; what cannot be read leaves the rules as they are."""
        async with self._reading:
            try:
                self._rulebook.adopt(await open_rulebook(self._db, self._clock))
            except ShanheError as error:
                log.error("rulebook.amendment_unreadable", error=error.message)

    def follow(self) -> None:
        """From now on, take over what other processes record."""
        tasks: set[asyncio.Task[None]] = set()

        def heard(_: str = "") -> None:
            task = asyncio.get_running_loop().create_task(self.refresh())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        self._db.listen(CHANNEL, heard, on_connect=heard)


def _waiting(rulebook: Rulebook, amendment: str) -> Unfit:
    """An amendment that a rulebook can't take."""
    found = next((one for one in rulebook.unfit if one.amendment.id == amendment), None)
    if found is None:
        raise Conflict(
            "rule_amendment_fits",
            f"No amendment {amendment} waits to be set aside.",
            message_zh=f"没有待搁置的修订 {amendment}。",
            hint="Only an amendment that is not in force can be; one that is in force is succeeded by another.",
            hint_zh="只有未生效的修订可以搁置；已生效的修订请以新的修订接替。",
        )
    return found
