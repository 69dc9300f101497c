"""Depositing, agreeing to be an author, publishing, retracting; reuse declared and decided, and its points."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg

from shanhe.kernel.asking import Akin, Named, Names, Record, Related
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier, Text
from shanhe.kernel.paging import Leaf, cut, every, leaf
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import Vault
from shanhe.science import store
from shanhe.science.checking import checked
from shanhe.science.desk import Desk
from shanhe.science.errors import (
    AlreadyDeclared,
    BadDeposit,
    DepositConflict,
    DraftChanged,
    JudgesOwn,
    NotAgreed,
    NotYours,
    OwnDeposit,
    UnknownDeposit,
    UnknownReuse,
    WrongState,
)
from shanhe.science.model import (
    REASON_MAX_CHARS,
    REF_MAX_CHARS,
    Award,
    Counted,
    Deposit,
    Happened,
    How,
    Kind,
    NewVersion,
    Reuse,
    ReuseState,
    Reviewer,
    State,
    Title,
    Uses,
)

if TYPE_CHECKING:
    from shanhe.rulebook.api import Rulebook

NAME: Final = re.compile(r"^os/(\d{6,12})$")
DOI: Final = re.compile(r"^10\.\d{4,9}/\S{1,150}$")
PAY_ROWS: Final = 100
SYSTEM: Final = "system"
ERASED: Final = "erasure"


class Science:
    """The registry. Whatever asks the database again is asked before a transaction begins.

    `titles` says by kind of thing what an organisation's is called, `uses` what training used a data set, `award` asks
    for an author's points; `related` and `akin` keep flows among relatives from earning (R0).
    """

    award: Award | None = None

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, *, rulebook: Rulebook, notifier: Notifier, named: Named,
        names: Names, related: Related, akin: Akin, reviewer: Reviewer, titles: Mapping[How, Title], uses: Uses,
        record: Record | None = None, seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._desk = Desk(db, clock, vault, notifier, named, names, seals or Seals(), record)
        self._rulebook = rulebook
        self._related = related
        self._akin = akin
        self._reviewer = reviewer
        self._titles = titles
        self._uses = uses

    # -- reading ------------------------------------------------------------------------------------------------------

    async def shown(
        self, *, find: str = "", kind: str = "", before: int | None = None, most: int = store.ROWS_MAX
    ) -> Leaf[Deposit]:
        """Published deposits, newest first: everybody may look. What is looked for is looked for among their words,
        which are sealed where a person deposited them."""
        words, page = find.strip().lower(), partial(store.shown, self._desk.db, kind or None)
        return await leaf(
            page, self._desk.all_opened, lambda one: words in _searched(one), before=before, most=most,
            place=attrgetter("n"),
        )  # fmt: skip

    async def mine(self, org_id: UUID, *, before: int | None = None, most: int = store.ROWS_MAX) -> Leaf[Deposit]:
        """What an organisation deposited or is an author of, or is asked to be, newest first."""
        found = cut(await store.of(self._desk.db, org_id, most + 1, before=before), most, attrgetter("n"))
        return Leaf(await self._desk.all_opened(found.rows), found.following)

    async def get(self, identifier: UUID, org_id: UUID | None = None) -> Deposit:
        """A deposit: everybody what was published (a retracted one says so), its parties all of it."""
        found = await self._desk.load(identifier)
        if found.state is State.DRAFT and (org_id is None or org_id not in found.parties):
            raise UnknownDeposit
        return found

    async def owner(self, identifier: UUID) -> UUID:
        """Who deposited something."""
        return (await self._desk.load(identifier)).org_id

    async def find(self, word: str) -> UUID:
        """The id of a deposit by its id or its name (`os/000001`)."""
        known = NAME.fullmatch(word.strip())
        try:
            found = await store.by_n(self._desk.db, int(known[1])) if known else UUID(word)
        except ValueError:
            found = None
        if found is None:
            raise UnknownDeposit
        return found

    async def history(self, identifier: UUID) -> list[Happened]:
        """What happened to a deposit, oldest first; each line is an entry of the transparency log."""
        return await store.history(self._desk.db, identifier)

    async def reuses(self, identifier: UUID, state: str | None = None) -> list[Reuse]:
        """Who reused a deposit, newest first; in one state where it is given."""
        return await self._desk.said(await store.reuses(self._desk.db, deposit=identifier, state=state))

    async def reuses_of(self, org_id: UUID, state: str | None = None) -> list[Reuse]:
        """Who reused what an organisation deposited or is an author of, newest first; perhaps in one state."""
        return await self._desk.said(await store.reuses(self._desk.db, of=org_id, state=state))

    async def all_of(self, deposits: Collection[UUID]) -> Mapping[UUID, Deposit]:
        """Each of these deposits, published or not, by its id."""
        found = await store.deposits(self._desk.db, deposits)
        return {one.id: one for one in await self._desk.opened(found)}

    async def declared_by(self, org_id: UUID, *, most: int = store.ROWS_MAX) -> list[Reuse]:
        """What an organisation declared to have reused, newest first."""
        return await self._desk.said(await store.reuses(self._desk.db, org_id=org_id, most=most))

    async def reuse(self, identifier: UUID) -> Reuse:
        """One reuse. UnknownReuse."""
        found = await store.reuse(self._desk.db, identifier)
        if found is None:
            raise UnknownReuse
        return (await self._desk.said([found]))[0]

    async def queue(self) -> list[Reuse]:
        """Declared reuses that nobody has decided about, newest first."""
        return await self._desk.said(await store.reuses(self._desk.db, state="declared"))

    async def counts(self, found: list[Deposit]) -> Mapping[UUID, int]:
        """How often each was reused, as confirmed."""
        return await store.counts(self._desk.db, [one.id for one in found])

    async def names(self, parties: Collection[UUID]) -> Mapping[UUID, str]:
        """What each of these authors and declarers is called."""
        return await self._desk.names(parties)

    async def personal(self, party: UUID) -> bool:
        """Whether an author is one person."""
        return await self._desk.seals.personal(party)

    async def counted(self, identifier: UUID, org_id: UUID) -> Counted | None:
        """What an award asks of a reuse and one of its authors; None for a reuse or an author that is not there."""
        found = await store.reuse(self._desk.db, identifier)
        if found is None:
            return None
        deposit = await self._desk.load(found.deposit)
        version = next(one for one in deposit.versions if one.n == found.n)
        parties = [party for party, _ in version.authors]
        if org_id not in parties:
            return None
        return Counted(bool(found.earns), tuple(ppm for _, ppm in version.authors), parties.index(org_id))

    # -- depositing ---------------------------------------------------------------------------------------------------

    async def deposit(self, identifier: UUID, kind: Kind, new: NewVersion, *, org_id: UUID, actor: str) -> Deposit:
        """Begin a deposit; its other authors are asked whether they are. Idempotent by `identifier`."""
        new = await checked(self._desk, self._rulebook, new, org_id)
        desk = self._desk
        kept = await desk.sealed(new, org_id)
        async with desk.db.transaction() as conn:
            if await store.insert(conn, identifier, org_id, kind, actor, desk.clock.now()):
                await self._put(conn, identifier, 1, kept, org_id)
                await desk.note(conn, await desk.load(identifier, conn=conn), "drafted", actor)
        made = await desk.load(identifier)
        if (made.org_id, made.kind, made.versions[-1].title) != (org_id, kind, new.title):
            raise DepositConflict
        return made

    async def revise(self, identifier: UUID, new: NewVersion, *, org_id: UUID, actor: str) -> Deposit:
        """Change the open draft, or begin the next version of what is published."""
        new = await checked(self._desk, self._rulebook, new, org_id)
        desk = self._desk
        kept = await desk.sealed(new, org_id)
        async with desk.db.transaction() as conn:
            found = await self._own(conn, identifier, org_id)
            if found.draft is not None and found.draft.said == new:
                return found  # who agreed has agreed to it
            n = found.draft.n if found.draft else found.versions[0].n + 1
            await self._put(conn, identifier, n, kept, org_id)
            await desk.note(conn, await desk.load(identifier, conn=conn), "revised", actor)
        return await desk.load(identifier)

    async def _put(self, conn: Any, identifier: UUID, n: int, new: NewVersion, org_id: UUID) -> None:
        """Write a sealed draft and ask its other authors."""
        desk = self._desk
        await store.put_version(conn, identifier, n, new, org_id, desk.clock.now())
        found = await desk.load(identifier, conn=conn)
        await desk.tell(  # what was agreed to is agreed to no more, be it the draft before the last once more
            conn, str(identifier), [party for party, _ in new.authors if party != org_id], f"{new_id()}",
            Text(f"请确认您是成果 {found.name} 的作者", f"Please confirm that you are an author of {found.name}"),
            Text("全部作者确认后方可公开。", "It can be published once every author has."),
        )  # fmt: skip

    async def agree(self, identifier: UUID, *, org_id: UUID, actor: str, digest: str | None = None) -> Deposit:
        """As an author of the open draft, say that one is. Idempotent.

        `digest`: of the draft that was read (None: it is read now). DraftChanged where it was changed since.
        """
        desk = self._desk
        await desk.load(identifier)
        async with desk.db.transaction() as conn:
            found = await desk.load(identifier, conn=conn)
            draft = found.draft
            if draft is None or org_id not in dict(draft.authors):
                raise UnknownDeposit
            if digest not in (None, draft.digest):
                raise DraftChanged
            if org_id in draft.waiting:
                await store.agree(conn, identifier, draft.n, org_id, desk.clock.now())
                await desk.note(conn, found, "agreed", actor)
        return await desk.load(identifier)

    async def publish(self, identifier: UUID, *, org_id: UUID, actor: str, dataset: str = "") -> Deposit:
        """Make the open draft public, for good. `dataset`: the depositor's data set of this city that it describes, so
        that the city counts by itself who trains with it. NotAgreed."""
        linked = await self._linked(org_id, dataset)
        desk = self._desk
        waiting = draft.waiting if (draft := (await desk.load(identifier)).draft) else []
        names = [await desk.named(party) for party in waiting]
        async with desk.db.transaction() as conn:
            found = await self._own(conn, identifier, org_id)
            if found.draft is None:
                return found
            if found.draft.waiting:
                raise NotAgreed(names)
            await store.publish(conn, identifier, found.draft.n, linked, desk.clock.now())
            await desk.note(conn, found, "published", actor)
        return await desk.load(identifier)

    async def _linked(self, org_id: UUID, dataset: str) -> UUID | None:
        if not dataset.strip():
            return None
        if await self._titles[How.DATASET](org_id, dataset.strip()) is None:
            raise NotYours(How.DATASET, dataset)
        return UUID(dataset.strip())

    async def retract(self, identifier: UUID, *, reason: str, org_id: UUID | None, actor: str) -> Deposit:
        """Take back what is public, with the reason; it stays to be seen as retracted, and earns no more. `org_id`
        None: a reviewer of the department."""
        if not 1 <= len(reason.strip()) <= REASON_MAX_CHARS:
            raise BadDeposit("reason", f"1 to {REASON_MAX_CHARS} characters that say why",
                             f"须写明理由，1–{REASON_MAX_CHARS} 字")  # fmt: skip
        desk, known = self._desk, await self._desk.load(identifier)
        said = await desk.seals.seal(known.org_id, "science.deposit.retraction", reason.strip())
        async with desk.db.transaction() as conn:
            found = await desk.load(identifier, conn=conn)
            if org_id is not None and found.org_id != org_id:
                raise UnknownDeposit
            if found.state is State.RETRACTED:
                return found
            if found.state is not State.PUBLISHED:
                raise WrongState(found.state, "retracted", "撤回")
            await store.retract(conn, identifier, said, desk.clock.now())
            await desk.note(conn, found, "retracted", actor)
            users = await store.users(conn, identifier)
            await desk.tell(
                conn, str(identifier), users, f"{identifier}:retracted",
                Text(f"贵方复用的成果 {found.name} 已撤回", f"{found.name}, which you reused, was retracted"),
                Text("撤回理由见成果页面。", "The reason is on its page."),
            )  # fmt: skip
        return await desk.load(identifier)

    # -- reuse --------------------------------------------------------------------------------------------------------

    async def declare(
        self, identifier: UUID, deposit: UUID, how: How, ref: str, *, org_id: UUID, actor: str
    ) -> Reuse:  # fmt: skip
        """Say that something of one's own reuses a published deposit. Idempotent by `identifier`."""
        ref = await self._ref(how, ref.strip(), org_id)
        return await self._declare(identifier, deposit, how, ref, org_id, actor, "declared")

    async def _declare(
        self, identifier: UUID, deposit: UUID, how: How, ref: str, org_id: UUID, actor: str, source: str
    ) -> Reuse:  # fmt: skip
        desk, seal = self._desk, await self._desk.seals.of(org_id)
        await desk.load(deposit)
        try:
            async with desk.db.transaction() as conn:
                found = await desk.load(deposit, conn=conn)
                version = found.current
                if found.state is not State.PUBLISHED or version is None:
                    raise (
                        UnknownDeposit if found.state is State.DRAFT else WrongState(found.state, "reused", "申报复用")
                    )
                if org_id in dict(version.authors) or org_id == found.org_id:
                    raise OwnDeposit
                one = Reuse(
                    identifier, deposit, version.n, org_id, how, seal.text("science.reuse.ref", ref), source,
                    ReuseState.DECLARED, None, "", desk.clock.now(), None, "", None,
                )  # fmt: skip
                if await store.declare(conn, one, desk.key(how, ref), actor):
                    await desk.note(conn, found, "reuse_declared", actor, about=[org_id])
                    await desk.tell(
                        conn, "mine", [party for party, _ in version.authors], f"{identifier}",
                        Text(f"有人申报复用 {found.name}", f"Somebody says they reused {found.name}"),
                        Text("请核实后确认或拒绝。", "Please check it, and confirm or refuse."),
                    )  # fmt: skip
        except asyncpg.UniqueViolationError as error:
            raise AlreadyDeclared from error
        made = await self.reuse(identifier)
        if (made.deposit, made.how, made.ref, made.org_id) != (deposit, how, ref, org_id):
            raise DepositConflict
        return made

    async def confirm(self, identifier: UUID, *, org_id: UUID, actor: str) -> Reuse:
        """As an author of what was reused: it was."""
        return await self._decide(identifier, ReuseState.CONFIRMED, "", actor, author=org_id)

    async def refuse(self, identifier: UUID, *, reason: str, org_id: UUID, actor: str) -> Reuse:
        """As an author of what was reused: it was not."""
        return await self._decide(identifier, ReuseState.REFUSED, reason, actor, author=org_id)

    async def review(self, identifier: UUID, *, confirm: bool, reason: str, person_id: UUID) -> Reuse:
        """As a reviewer of the department, who has no part in it (R0)."""
        if not await self._reviewer(person_id):
            raise UnknownReuse
        found = await self.reuse(identifier)
        for party in {found.org_id, *(await self._desk.load(found.deposit)).parties}:
            if await self._akin(person_id, party):
                raise JudgesOwn
        state = ReuseState.CONFIRMED if confirm else ReuseState.REFUSED
        return await self._decide(identifier, state, reason, f"person:{person_id}")

    async def is_reviewer(self, person_id: UUID) -> bool:
        """Whether a person decides for the department."""
        return await self._reviewer(person_id)

    async def _decide(
        self, identifier: UUID, state: ReuseState, reason: str, actor: str, *, author: UUID | None = None
    ) -> Reuse:  # fmt: skip
        """What becomes of a declared reuse. Idempotent for the same verdict."""
        desk, known = self._desk, await self.reuse(identifier)
        if state is ReuseState.REFUSED and not 1 <= len(reason.strip()) <= REASON_MAX_CHARS:
            raise BadDeposit("reason", f"1 to {REASON_MAX_CHARS} characters that say why",
                             f"须写明理由，1–{REASON_MAX_CHARS} 字")  # fmt: skip
        why_not = await self._why_not(known) if state is ReuseState.CONFIRMED else ""
        said = await desk.seals.seal(known.org_id, "science.reuse.reason", reason.strip())
        await desk.load(known.deposit)
        async with desk.db.transaction() as conn:
            found = await desk.load(known.deposit, conn=conn)
            version = next(one for one in found.versions if one.n == known.n)
            if author is not None and author not in dict(version.authors):
                raise UnknownReuse
            standing = await store.reuse(conn, identifier, lock=True)
            assert standing is not None
            if standing.state is state:
                return known if known.state is state else replace(known, state=state, earns=standing.earns)
            if standing.state is not ReuseState.DECLARED:
                raise WrongState(standing.state, state, "作出该决定")
            if found.state is State.RETRACTED:
                why_not = "retracted"
            earns = (not why_not) if state is ReuseState.CONFIRMED else None
            await store.decide(conn, identifier, state, earns, why_not, said, actor, desk.clock.now())
            await desk.note(conn, found, f"reuse_{state}", actor, about=[known.org_id])
        decided = await self.reuse(identifier)
        if earns:
            await self._pay(decided)
        return decided

    async def _why_not(self, one: Reuse) -> str:
        """Why a reuse earns nothing: its declarer is related to an author (R0), or each reuses the other."""
        deposit = await self._desk.load(one.deposit)
        version = next(each for each in deposit.versions if each.n == one.n)
        for party in dict.fromkeys([deposit.org_id, *dict(version.authors)]):
            if await self._related(party, one.org_id):
                return "related"
        if one.how is How.DEPOSIT:
            back = self._desk.key(How.DEPOSIT, deposit.name)
            if await store.known(self._desk.db, await self.find(one.ref), back):
                return "mutual"
        return ""

    async def _ref(self, how: How, ref: str, org_id: UUID) -> str:
        """What reused it, in its normal form: a thing that is the declarer's, or a paper by its DOI."""
        if not 1 <= len(ref) <= REF_MAX_CHARS or not ref.isprintable():
            raise BadDeposit("ref", f"1 to {REF_MAX_CHARS} printable characters", f"1–{REF_MAX_CHARS} 个可见字符")
        if how is How.PAPER:
            doi = re.sub(r"^(https?://(dx\.)?doi\.org/|doi:)", "", ref, flags=re.IGNORECASE).lower()
            if not DOI.fullmatch(doi):
                raise BadDeposit("ref", "a DOI like 10.1234/abcd", "须为 DOI，如 10.1234/abcd")
            return doi
        if how is How.DEPOSIT:
            own = await self.get(await self.find(ref), org_id)
            if own.state is not State.PUBLISHED or own.current is None or org_id not in dict(own.current.authors):
                raise NotYours(how, ref)
            return own.name
        if await self._titles[how](org_id, ref) is None:
            raise NotYours(how, ref)
        return ref

    # -- what the city knows by itself, and points --------------------------------------------------------------------

    async def tick(self) -> dict[str, int]:
        """What repeats: training that used a deposited data set is a reuse; points that are due are asked for."""
        measured = 0
        for deposit in await store.linked(self._desk.db):
            measured += await self._measure(deposit)
        paid = 0
        for one in await store.unpaid(self._desk.db, PAY_ROWS):
            paid += await self._pay(one)
        return {"measured": measured, "paid": paid}

    async def _measure(self, deposit: Deposit) -> int:
        """Reuses of a deposit's data set that the studio knows of, confirmed by that."""
        desk, found = self._desk, 0
        assert deposit.dataset is not None
        for org_id, model in await self._uses(deposit.dataset):
            if org_id in deposit.parties or await store.known(desk.db, deposit.id, desk.key(How.MODEL, model)):
                continue
            made = await self._declare(new_id(), deposit.id, How.MODEL, model, org_id, SYSTEM, "measured")
            await self._decide(made.id, ReuseState.CONFIRMED, "", SYSTEM)
            found += 1
        return found

    async def _pay(self, one: Reuse) -> bool:
        """Ask for the points of each author of a confirmed reuse; again after a crash, since asking is idempotent."""
        if self.award is None:
            return False
        deposit = await self._desk.load(one.deposit)
        version = next(each for each in deposit.versions if each.n == one.n)
        for party, _ in version.authors:
            await self.award(party, one.id)
        await store.paid(self._desk.db, one.id, self._desk.clock.now())
        return True

    async def forget(self, org_id: UUID) -> int:
        """After an erasure: what the person deposited is retracted."""
        done = 0
        async for one in every(partial(store.of, self._desk.db, org_id), attrgetter("n")):
            if one.org_id == org_id and one.state is State.PUBLISHED:
                async with self._desk.db.transaction() as conn:
                    found = await self._desk.load(one.id, conn=conn)
                    await store.retract(conn, one.id, "", self._desk.clock.now())
                    await self._desk.note(conn, found, "retracted", ERASED)
                done += 1
        return done

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _own(self, conn: Any, identifier: UUID, org_id: UUID) -> Deposit:
        found = await self._desk.load(identifier, conn=conn)
        if found.org_id != org_id:
            raise UnknownDeposit
        if found.state is State.RETRACTED:
            raise WrongState(found.state, "changed", "修改")
        return found


def _searched(one: Deposit) -> str:
    version = one.current or one.versions[0]
    return " ".join((one.name, version.title, version.abstract, version.licence)).lower()
