"""Decisions of identity, put together in one `Identity`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.identity.entry_model import Client, Issued, Options
from shanhe.identity.key_model import Caller, Key, LeakReport, NewKey
from shanhe.identity.model import ActsAsked, AuditRow, Organisation, Person
from shanhe.identity.service.base import By, Ground, ref
from shanhe.identity.service.callers import Callers
from shanhe.identity.service.consents import Consents
from shanhe.identity.service.endings import lapse
from shanhe.identity.service.factors import Factors
from shanhe.identity.service.handovers import Handovers
from shanhe.identity.service.invitations import Invitations
from shanhe.identity.service.keys import Keys
from shanhe.identity.service.orgs import Organisations
from shanhe.identity.service.passkeys import Passkeys
from shanhe.identity.service.passwords import FORGET_AFTER_S, Attempts, Passwords
from shanhe.identity.service.people import People
from shanhe.identity.service.registrations import Registrations
from shanhe.identity.service.sessions import Sessions
from shanhe.identity.service.signin import NOWHERE, SignIn
from shanhe.identity.store import audit, sessions
from shanhe.kernel import acts
from shanhe.kernel.asking import Announce
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import Vault

if TYPE_CHECKING:
    import httpx

    from shanhe.identity.service.oidc import Oidc

AUDIT_PAGE_MAX = 500
EVERY_ACT: Final = ActsAsked()
PARTS: Final = frozenset({"cli", "system"})
"""How the record calls what acts without a person's id."""
OBJECT_MAX = 200


class Identity:
    """Who is who in one city. `people`, `registrations`, `consents`, `orgs`, `invitations`, `keys`, `sessions`,
    `signin`, `factors`, `handovers`, `passkeys`, `passwords` and `oidc` (None when no provider is set) are its parts;
    what everybody needs is on `Identity`.

    `announce` writes an event: that a person was erased, so that other modules forget too."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        vault: Vault,
        options: Options | None = None,
        *,
        oidc_transport: httpx.AsyncBaseTransport | None = None,
        announce: Announce | None = None,
    ) -> None:
        self.options = options or Options()
        ground = Ground(db, clock, vault, self.options, announce)
        self._ground = ground
        self._callers = Callers(ground)
        self.passwords = Passwords(ground)
        self.attempts = Attempts(ground)
        self.people = People(ground, self.passwords)
        self.consents = Consents(ground)
        self.orgs = Organisations(ground)
        self.invitations = Invitations(ground, self.orgs)
        self.registrations = Registrations(ground, self.people, self.passwords, self.attempts, self.orgs)
        self.seals = Seals(vault, self.orgs.people)
        self.keys = Keys(ground, self.seals)
        self.sessions = Sessions(ground)
        self.factors = Factors(ground)
        self.handovers = Handovers(ground)
        self.passkeys = Passkeys(ground, self.factors)
        self.signin = SignIn(
            ground, self.people, self.passwords, self.attempts, self.factors, self.passkeys, self.sessions,
            self.registrations,
        )  # fmt: skip
        self.oidc: Oidc | None = None
        if self.options.oidc is not None:
            from shanhe.identity.service.oidc import Oidc  # libraries that a city without a provider never needs

            self.oidc = Oidc(
                ground, self.options.oidc, self.people, self.orgs, self.signin, self.attempts, transport=oidc_transport
            )

    async def start(self) -> None:
        """Listen for changed keys, keep callers fresh, and finish erasures that a crash interrupted."""
        await self._callers.start()
        await self.people.finish_erasures()

    async def stop(self) -> None:
        await self._callers.stop()

    async def purge(self) -> None:
        """Drop sessions, challenges, flows, attempts, handovers, invitations and registrations that have run out; call
        it every hour or so."""
        now = self._ground.now()
        longest_s = max(FORGET_AFTER_S.values())
        await sessions.purge(self._ground.db, now, now - timedelta(seconds=longest_s))
        async with self._ground.db.transaction() as conn:
            await lapse(self._ground, conn)
        await self.registrations.lapse()
        await self.people.finish_erasures()

    # -- keys on the hot path ----------------------------------------------------------------------------------------

    def caller_cached(self, token: str) -> Caller | None:
        """Who calls, from memory and without I/O; None when it must be looked up. Never older than a second."""
        return self._callers.cached(token)

    async def caller(self, token: str) -> Caller:
        """Who calls; InvalidKey, KeyRevoked, KeyExpired, OrgFrozen, or Unavailable."""
        return await self._callers.get(token)

    async def caller_of(self, key_id: UUID) -> Caller:
        """Who a key is, for work that it asked for earlier; InvalidKey, KeyRevoked, KeyExpired, OrgFrozen."""
        return await self._callers.of_key(key_id)

    async def report_leak(
        self, token_or_prefix: str, reporter: str, *, freeze: bool = False, note: str = "", org_id: UUID | None = None
    ) -> LeakReport | None:
        """Revoke a leaked key, optionally freeze its organisation, trace, tell; None when no key of ours is meant."""
        return await self.keys.report_leak(token_or_prefix, reporter, freeze=freeze, note=note, org_id=org_id)

    def now(self) -> datetime:
        """The clock's time, for views."""
        return self._ground.now()

    # -- shortcuts ---------------------------------------------------------------------------------------------------

    async def organisations(self, **wanted: Any) -> Sequence[Organisation]:
        """`orgs.list`."""
        return await self.orgs.list(**wanted)

    async def create_key(
        self, org_id: UUID, new: NewKey, *, by: By, key_id: UUID | None = None, own: bool = False
    ) -> tuple[Key, str]:
        """`keys.create`: the key, and its token for the only time."""
        return await self.keys.create(org_id, new, by=by, key_id=key_id, own=own)

    async def correct(self, person_id: UUID, changes: Mapping[str, Any], *, by: By) -> Person:
        """`people.edit` of one's own data: another login or address tells whether somebody has it, so that names can be
        tried no more often than at the door; SignInLocked."""
        known = await self.people.get(person_id)
        if any(name in changes and (changes[name] or None) != getattr(known, name) for name in ("login", "email")):
            await self.attempts.begin([self.attempts.bucket("member", f"person:{person_id}")])
        return await self.people.edit(person_id, changes, by=by)

    async def sign_in(self, login: str, password: str, client: Client = NOWHERE) -> Issued:
        """`signin.password`."""
        return await self.signin.password(login, password, client)

    # -- audit -------------------------------------------------------------------------------------------------------

    async def record(
        self,
        actor: By,
        action: str,
        object_: str,
        details: Mapping[str, Any] | None = None,
        *,
        org_id: UUID | None = None,
    ) -> UUID:
        """Write down what an operator did. Give ids, never names: audit rows outlive an erasure."""
        return await acts.note(self._ground.db, ref(actor), action, object_, details, self._ground.now(), org_id=org_id)

    async def audit(
        self, asked: ActsAsked = EVERY_ACT, *, before: UUID | None = None, limit: int = 100
    ) -> list[AuditRow]:
        """Acts that fit, newest first; `before` continues a page."""
        return await audit.rows(self._ground.db, asked, before, min(max(limit, 1), AUDIT_PAGE_MAX))

    async def actor_named(self, text: str) -> str:
        """How the record calls who is meant: the person who signs in with this login or e-mail address, else what is
        written: `kind:id`, or a part of the program."""
        found = None if ":" in text or text in PARTS else await self.people.by_name(text)
        return text if found is None else f"person:{found}"
