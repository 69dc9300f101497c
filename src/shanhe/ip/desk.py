"""What both sides of the registry stand on: entries as their owners wrote them, terms, and what happened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.ip import store
from shanhe.ip.errors import BadEntry, NumberTaken, UnknownEntry
from shanhe.ip.model import PARTIES_MAX, Entry, File, NewEntry, State, Terms, TermsState, same_as
from shanhe.kernel.asking import Named, Names, Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notice, Notifier, Text
from shanhe.kernel.sealing import Seal, Seals
from shanhe.kernel.vault import Vault

if TYPE_CHECKING:
    from shanhe.gateway.api import ChargeBook
    from shanhe.rulebook.api import Rulebook

POOL_RULE: Final = "T16"
SHARES_RULE: Final = "T17"
WORDS: Final = ("number", "title", "abstract", "office", "reason")
PLACE: Final = "ip.entry"
INDEX: Final = "ip-number"
LOG_KIND: Final = "ip.changed"
PAGE: Final = "/ip"
STANDING: Final = (TermsState.IN_FORCE, TermsState.OPEN)
PERCENT_PPM: Final = 10_000


@dataclass(frozen=True)
class Desk:
    db: Database
    clock: Clock
    vault: Vault
    rulebook: Rulebook
    charges: ChargeBook
    notifier: Notifier
    named: Named
    names: Names
    seals: Seals
    record: Record | None = None

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _whole(self, entries: Sequence[Entry], terms: Mapping[UUID, Sequence[Terms]]) -> list[File]:
        """Entries with their terms and their words, which are empty where their person was erased."""
        standing = {
            one.id: {party for each in terms.get(one.id, ()) if each.state in STANDING for party in each.parties}
            for one in entries
        }
        seals = await self.seals.of_all({one.org_id for one in entries}.union(*standing.values()))
        return [
            File(
                _opened(seals[one.org_id], one), tuple(terms.get(one.id, ())),
                frozenset(party for party in standing[one.id] if seals[party].erased),
            )
            for one in entries
        ]  # fmt: skip

    async def sealed(self, new: NewEntry, org_id: UUID) -> NewEntry:
        """What is stored of a new entry."""
        seal = await self.seals.of(org_id)
        words: dict[str, Any] = {
            name: seal.text(f"{PLACE}.{name}", getattr(new, name)) for name in WORDS if hasattr(new, name)
        }
        return replace(new, **words)

    async def files(self, entries: Sequence[Entry]) -> list[File]:
        """Entries with their terms, opened; of those that erased people registered what others hold."""
        terms = await store.terms(self.db, [one.id for one in entries])
        return [one for one in await self._whole(entries, terms) if one.entry.title or one.holders - one.gone]

    async def load(self, identifier: UUID, *, conn: Any = None) -> File:
        """An entry with its terms; locked where a transaction is given. UnknownEntry."""
        found = await store.entry(conn or self.db, identifier, lock=conn is not None)
        if found is None:
            raise UnknownEntry
        return (await self._whole([found], await store.terms(conn or self.db, [identifier])))[0]

    def key(self, number: str) -> bytes | None:
        """The keyed hash by which a number is registered once; None without one."""
        return self.vault.blind_index(INDEX, same_as(number)) if number else None

    async def free(self, number: str, identifier: UUID) -> None:
        """NumberTaken when another entry has the number."""
        key = self.key(number)
        found = await store.by_number(self.db, key) if key is not None else None
        if found not in (None, identifier):
            raise NumberTaken

    # -- terms --------------------------------------------------------------------------------------------------------

    def check_terms(self, shares: Sequence[tuple[UUID, int]], rate_ppm: int | None) -> None:
        """BadEntry unless the shares are a whole (T17) and the rate lies within the rule's bounds (T16)."""
        today = self.clock.today()
        whole = int(self.rulebook.parameter(SHARES_RULE, "whole", today))
        parties = {party for party, _ in shares}
        if not shares or len(parties) < len(shares) or len(shares) > PARTIES_MAX:
            raise BadEntry(
                "shares", f"1 to {PARTIES_MAX} holders, each once", f"须有 1–{PARTIES_MAX} 个权利人，每方一次"
            )
        if min(share for _, share in shares) <= 0 or sum(share for _, share in shares) != whole:
            raise BadEntry(
                "shares", "each must be above 0, and they must make 100 % together, exactly (T17)",
                "各方份额须大于零，合计恰为 100%（T17）",
            )  # fmt: skip
        lowest, highest = (int(self.rulebook.parameter(POOL_RULE, one, today)) for one in ("lowest", "highest"))
        if rate_ppm is not None and not lowest <= rate_ppm <= highest:
            raise BadEntry(
                "rate_ppm", f"{percent(lowest)} to {percent(highest)} % of the price of a call (T16)",
                f"应为调用价格的 {percent(lowest)}%–{percent(highest)}%（T16）",
            )  # fmt: skip

    async def put(
        self, conn: Any, found: File, shares: Sequence[tuple[UUID, int]], rate_ppm: int | None, org_id: UUID, actor: str
    ) -> None:
        """Propose terms with the proposer's own consent; at once in force where nobody else has to consent."""
        n, now = max((one.n for one in found.terms), default=0) + 1, self.clock.now()
        await store.propose(conn, found.entry.id, n, rate_ppm, shares, org_id, now)
        await store.say(conn, found.entry.id, n, org_id, True, actor, now)
        await self.note(conn, found, "proposed", actor, n, {"rate_ppm": rate_ppm, "shares": list(shares)})
        await self.settle(conn, await self.load(found.entry.id, conn=conn), actor)

    async def settle(self, conn: Any, found: File, actor: str) -> None:
        """Open terms to which everybody consented come into force; of a verified right, calls are paid by them."""
        terms = found.open
        if terms is None or found.waiting:
            return
        await store.settle(conn, found.entry.id, terms.n, TermsState.IN_FORCE, self.clock.now())
        await self.note(conn, found, "agreed", actor, terms.n, {"rate_ppm": terms.rate_ppm})
        if found.entry.state is State.VERIFIED:
            await self.publish(conn, found.entry, terms, actor)

    async def publish(self, conn: Any, entry: Entry, terms: Terms | None, actor: str) -> None:
        """Have calls pay the right by its terms, or no more."""
        if terms is not None and terms.rate_ppm is not None and entry.state is State.VERIFIED:
            await self.charges.grant(entry.name, terms.rate_ppm, terms.shares, actor=actor, conn=conn)
        else:
            await self.charges.end(entry.name, actor=actor, conn=conn)

    # -- what happened ------------------------------------------------------------------------------------------------

    async def note(
        self, conn: Any, found: File, event: str, actor: str, n: int | None = None,
        said: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """A line of the history, and an entry of the log: that it happened is public, what exactly is committed to."""
        number = new_id()
        await store.note(conn, number, found.entry.id, event, n, actor, self.clock.now())
        if self.record is None:
            return
        # No text that people wrote: what the log keeps beside its leaf is plain until it is shredded.
        public = {"right": found.entry.name, "right_kind": str(found.entry.kind), "event": event}
        content = msgspec.json.encode(asdict(found.entry), order="sorted", enc_hook=str)
        private = {"id": str(number), "by": actor, "content_sha256": hashlib.sha256(content).hexdigest(),
                   **msgspec.to_builtins(dict(said or {}))}  # fmt: skip
        about = sorted({found.entry.org_id, *found.holders, *found.concerned})
        await self.record(conn, LOG_KIND, public, private, id=number, about=about)

    async def tell(self, conn: Any, entry: UUID, parties: Sequence[UUID], key: str, title: Text, body: Text) -> None:
        """A notice for each organisation, once, that leads to the entry."""
        for party in parties:
            await self.notifier.notify(
                Notice("ip.changed", title, body, org_id=party, link=f"{PAGE}/{entry}", dedupe=f"ip:{key}:{party}"),
                conn,
            )


def _opened(seal: Seal, one: Entry) -> Entry:
    words: dict[str, Any] = {name: seal.open(f"{PLACE}.{name}", getattr(one, name)) for name in WORDS}
    return replace(one, **words)


def percent(ppm: int) -> str:
    """Millionths as people write them, without the sign."""
    whole, rest = divmod(ppm, PERCENT_PPM)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".")
