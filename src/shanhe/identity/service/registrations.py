"""Residents who open an account of their own.

A sign-in name is the part a person chose and a number the city draws, so that no answer tells which names there are.
Where the city wants to look first, the account waits, suspended, and an officer opens or declines it; one that nobody
looked at goes, with all its data.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from shanhe.identity.errors import (
    BadText,
    ConsentNeedsMore,
    RegistrationKnown,
    RegistrationOff,
    RegistrationWaiting,
    Taken,
    Unknown,
)
from shanhe.identity.model import (
    Client,
    NewPerson,
    NewRegistration,
    Person,
    PersonState,
    PurposeNotice,
    Registering,
    Registration,
    RegistrationState,
)
from shanhe.identity.names import NAME_MAX, clean, login_key, new_password
from shanhe.identity.service.base import By, Ground, ref
from shanhe.identity.service.consents import purpose_of
from shanhe.identity.service.orgs import Organisations
from shanhe.identity.service.passwords import Attempts, Passwords
from shanhe.identity.service.people import People
from shanhe.identity.store import arrivals as store
from shanhe.identity.store import audit
from shanhe.identity.store import people as people_store
from shanhe.kernel.errors import Conflict

PURPOSE: Final = "account"
STEM_MAX: Final = 40
NUMBERS: Final = 100_000
DRAWS_MAX: Final = 8
WAITING_MAX: Final = 5_000
WAIT_DAYS: Final = 30
LAPSING_MAX: Final = 200
PAGE_MAX: Final = 200
CITY: Final = "city"
REGISTERED_TOPIC: Final = "identity.registered"
"""Key: the person; payload: `state`, whether an officer has to look."""


class Registrations:
    def __init__(
        self, ground: Ground, people: People, passwords: Passwords, attempts: Attempts, organisations: Organisations
    ) -> None:
        self._ground = ground
        self._people = people
        self._passwords = passwords
        self._attempts = attempts
        self._organisations = organisations

    @property
    def mode(self) -> Registering:
        return self._ground.options.registering

    def notice(self) -> PurposeNotice:
        """What whoever registers agrees to, in the version of today."""
        return purpose_of(PURPOSE).notice(self._ground.clock.today())

    async def register(self, new: NewRegistration, client: Client) -> Registration:
        """An account without rights but one's own, open or waiting; the same again for the same id and password."""
        if self.mode is Registering.OFF:
            raise RegistrationOff()
        stem, name = _checked(new)
        self._agreed(new)
        await self._attempts.begin([
            self._attempts.bucket("register", client.address), self._attempts.bucket("register_city", CITY)
        ])  # fmt: skip
        known = None
        if await store.registration(self._ground.db, new.id) is None:
            if await store.waiting_count(self._ground.db) >= WAITING_MAX:
                raise RegistrationOff()
            known = await self._open(new, stem, name)
        if known is None:  # sent before, perhaps at this very moment
            known = await store.registration(self._ground.db, new.id)
            if not await self._passwords.verify(known["person_id"], new.password):
                raise RegistrationKnown()
        if known["state"] == RegistrationState.OPEN:
            await self._organisations.create_personal(known["person_id"], by="register")
        return await self._shown(known)

    async def _open(self, new: NewRegistration, stem: str, name: str) -> Any:
        """The row of a new account, None when the id is known; its name is drawn again while somebody has it."""
        waits = self.mode is Registering.APPROVAL
        state = RegistrationState.WAITING if waits else RegistrationState.OPEN

        async def register(conn: Any, person_id: UUID) -> None:
            now = self._ground.now()
            await store.register(conn, new.id, person_id, state, new.notice_version, now)
            if self._ground.announce is not None:
                await self._ground.announce(conn, REGISTERED_TOPIC, str(person_id), {"state": state})

        for _ in range(DRAWS_MAX):
            login = f"{stem}-{secrets.randbelow(NUMBERS):05d}"
            person = NewPerson(name, login=login, password=new.password, language=new.language)
            try:
                await self._people.create(person, by="register", suspended=waits, along=register)
            except Taken:
                continue
            except asyncpg.UniqueViolationError:
                return None
            return await store.registration(self._ground.db, new.id)
        raise Conflict("name_crowded", "Too many people have a name like this; choose another.",
                       message_zh="使用这个登录名的人太多，请换一个。")  # fmt: skip

    def _agreed(self, new: NewRegistration) -> None:
        if not new.agreed or new.notice_version != self.notice().version:
            raise ConsentNeedsMore(
                f"the notice in force is version {self.notice().version}", "请阅读当前告知内容并勾选同意"
            )

    # -- what officers do ------------------------------------------------------------------------------------------

    async def list(
        self, *, state: RegistrationState | None = None, before: datetime | None = None, limit: int = 50
    ) -> Sequence[Registration]:
        """Those that wait first, then newest first."""
        wanted = min(max(limit, 1), PAGE_MAX)
        return [await self._shown(row) for row in await store.registrations(self._ground.db, state, before, wanted)]

    async def get(self, registration_id: UUID) -> Registration:
        """Unknown when there is none."""
        return await self._shown(_found(await store.registration(self._ground.db, registration_id)))

    async def approve(self, registration_id: UUID, *, by: By) -> Registration:
        """Let a waiting account be used; again makes up for what a crash left undone and changes nothing else."""
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            row = _found(await store.registration(conn, registration_id, lock=True))
            person_id: UUID = row["person_id"]
            if row["state"] == RegistrationState.WAITING:
                await people_store.set_state(conn, person_id, PersonState.ACTIVE)
                await store.settle(conn, person_id, ref(by), now)
                await audit.add(conn, ref(by), "registration.approve", f"person:{person_id}", {}, now)
        if (await self._people.get(person_id)).state is PersonState.ACTIVE:
            await self._organisations.create_personal(person_id, by=by)  # again, where a crash came between the two
        return await self.get(registration_id)

    async def decline(self, registration_id: UUID, *, by: By) -> None:
        """Erase a waiting account with all that its person wrote; Conflict for one that is open."""
        row = _found(await store.registration(self._ground.db, registration_id))
        if row["state"] != RegistrationState.WAITING:
            raise Conflict(
                "registration_open", "This account is open; suspend or erase the person instead.",
                message_zh="该账户已开通；如需停用，请停用或注销此人。",
            )  # fmt: skip
        await audit.add(
            self._ground.db, ref(by), "registration.decline", f"person:{row['person_id']}", {}, self._ground.now()
        )
        await self._people.erase(row["person_id"], by=by)

    async def lapse(self) -> int:
        """Erase accounts that waited WAIT_DAYS for nothing."""
        before = self._ground.now() - timedelta(days=WAIT_DAYS)
        left = await store.stale(self._ground.db, before, LAPSING_MAX)
        for person_id in left:
            await self._people.erase(person_id, by="system")
        return len(left)

    async def waits(self, person_id: UUID) -> None:
        """RegistrationWaiting when the person's account waits to be looked at."""
        row = await store.registration_of(self._ground.db, person_id)
        if row is not None and row["state"] == RegistrationState.WAITING:
            raise RegistrationWaiting()

    async def _shown(self, row: Any) -> Registration:
        person: Person = await self._people.get(row["person_id"])
        return Registration(
            row["id"], row["person_id"], RegistrationState(row["state"]), person.state, person.login or "",
            person.name, row["notice_version"], row["created_at"], row["decided_at"],
        )  # fmt: skip


def _checked(new: NewRegistration) -> tuple[str, str]:
    """The chosen part of the sign-in name and the person's name, as they may be; BadText otherwise."""
    if len(login_key(new.login)) > STEM_MAX:
        raise BadText("login", f"at most {STEM_MAX} characters", f"最多 {STEM_MAX} 个字符")
    new_password(new.password)
    return clean("login", new.login, STEM_MAX), clean("name", new.name, NAME_MAX)


def _found(row: Any) -> Any:
    if row is None:
        raise Unknown("registration", "注册申请")
    return row
