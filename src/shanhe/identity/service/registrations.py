"""Residents who open an account of their own.

A sign-in name is the part a person chose and a number the city draws, so that no answer tells which names there are.
Where the city wants to look first, the account waits, suspended, and an officer opens or declines it; one that nobody
looked at goes, with all its data.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from shanhe.identity.arrival_model import (
    DeclineGround,
    NewRegistration,
    Outcome,
    Registering,
    Registration,
    RegistrationState,
)
from shanhe.identity.consent_model import PurposeNotice
from shanhe.identity.entry_model import Client
from shanhe.identity.errors import (
    BadText,
    ConsentNeedsMore,
    RegistrationKnown,
    RegistrationOff,
    RegistrationOver,
    RegistrationWaiting,
    Taken,
    Unknown,
)
from shanhe.identity.model import ActsAsked, AuditRow, NewPerson, Person, PersonState
from shanhe.identity.names import NAME_MAX, clean, login_key, new_password
from shanhe.identity.service.base import By, Ground, ref
from shanhe.identity.service.consents import purpose_of
from shanhe.identity.service.orgs import Organisations
from shanhe.identity.service.passwords import Attempts, Passwords
from shanhe.identity.service.people import People, Still
from shanhe.identity.store import arrivals as store
from shanhe.identity.store import audit
from shanhe.identity.store import people as people_store
from shanhe.kernel import acts
from shanhe.kernel.errors import Conflict, Invalid

PURPOSE: Final = "account"
STEM_MAX: Final = 40
NUMBERS: Final = 100_000
DRAWS_MAX: Final = 8
WAITING_MAX: Final = 5_000
WAIT_DAYS: Final = 30
LAPSING_MAX: Final = 200
PAGE_MAX: Final = 200
CITY: Final = "city"
DECLINE: Final = "registration.decline"
LAPSE: Final = "registration.lapse"
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
            self._attempts.bucket("register", client.network), self._attempts.bucket("register_city", CITY)
        ])  # fmt: skip
        made, known = None, await store.registration(self._ground.db, new.id)
        if known is None:
            await self._not_over(new.id)
            made = await self._open(new, stem, name)
            known = made or await store.registration(self._ground.db, new.id)  # sent at this very moment, too
        if known is None:  # and declined or erased in between
            raise RegistrationOver()
        if made is None and not await self._passwords.verify(known["person_id"], new.password):
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
            if waits and await store.waiting_count(conn) >= WAITING_MAX:
                raise RegistrationOff()
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

    async def outcome(self, registration_id: UUID) -> Outcome:
        """How far a registration has come, for whoever has its number, which is its sender's; no name is told.

        Unknown for one that never was, or whose person has erased everything since.
        """
        row = await store.registration(self._ground.db, registration_id)
        if row is not None:
            return Outcome(row["state"])
        how = await self._end(registration_id)
        if how is None:
            raise Unknown("registration", "注册申请")
        return Outcome.DECLINED if how == DECLINE else Outcome.LAPSED

    async def ground(self, registration_id: UUID) -> DeclineGround | None:
        """Why it was declined, for whoever has its number; None where it was not, or nothing was said."""
        found = await self._last_act(registration_id)
        said = found.details.get("ground") if found is not None and found.action == DECLINE else None
        return DeclineGround(said) if said else None

    # -- what officers do ------------------------------------------------------------------------------------------

    async def list(
        self, *, state: RegistrationState | None = None, after: str | None = None, limit: int = 50
    ) -> Sequence[Registration]:
        """Those that wait first, then newest first; `after` is the `place_of` of the last one seen."""
        wanted, place = min(max(limit, 1), PAGE_MAX), _place(after) if after else None
        return [await self._shown(row) for row in await store.registrations(self._ground.db, state, place, wanted)]

    async def get(self, registration_id: UUID) -> Registration:
        """Unknown when there is none."""
        return await self._shown(await self._known(registration_id))

    async def approve(self, registration_id: UUID, *, by: By) -> Registration:
        """Let a waiting account be used; again makes up for what a crash left undone and changes nothing else."""
        now = self._ground.now()
        person_id: UUID = (await self._known(registration_id))["person_id"]
        async with self._ground.db.transaction() as conn:
            await people_store.get(conn, person_id, lock=True)  # before the registration, as an erasure does
            row = await store.registration(conn, registration_id, lock=True)
            if row is None:
                raise RegistrationOver()
            if row["state"] == RegistrationState.WAITING:
                await people_store.set_state(conn, person_id, PersonState.ACTIVE)
                await store.settle(conn, person_id, ref(by), now)
                await acts.note(conn, ref(by), "registration.approve", f"person:{person_id}", {}, now)
        if (await self._people.get(person_id)).state is PersonState.ACTIVE:
            await self._organisations.create_personal(person_id, by=by)  # again, where a crash came between the two
        return await self.get(registration_id)

    async def decline(self, registration_id: UUID, ground: DeclineGround, *, by: By) -> None:
        """Erase a waiting account with all that its person wrote; its sender reads the ground. Again changes nothing.
        Conflict for one that is open, also when it was opened at this very moment."""
        row = await store.registration(self._ground.db, registration_id)
        if row is None and await self._end(registration_id) == DECLINE:
            return
        row = row or await self._known(registration_id)
        still = self._ending(registration_id, DECLINE, by, {"ground": ground})
        if not await self._people.erase(row["person_id"], by=by, still=still):
            row = await store.registration(self._ground.db, registration_id)
            if row is not None:
                raise Conflict(
                    "registration_open", "This account is open; suspend or erase the person instead.",
                    message_zh="该账户已开通；如需停用，请停用或注销此人。",
                )  # fmt: skip

    async def lapse(self) -> int:
        """Erase accounts that waited WAIT_DAYS for nothing."""
        before, gone = self._ground.now() - timedelta(days=WAIT_DAYS), 0
        for row in await store.stale(self._ground.db, before, LAPSING_MAX):
            gone += await self._people.erase(
                row["person_id"], by="system", still=self._ending(row["id"], LAPSE, "system")
            )
        return gone

    def _ending(self, registration_id: UUID, how: str, by: By, said: Mapping[str, str] | None = None) -> Still:
        """Whether a registration still waits; then it is written down that it ends, and how."""

        async def waits(conn: Any) -> bool:
            row = await store.registration(conn, registration_id, lock=True)
            if row is None or row["state"] != RegistrationState.WAITING:
                return False
            await acts.note(conn, ref(by), how, f"registration:{registration_id}", said, self._ground.now())
            return True

        return waits

    async def _end(self, registration_id: UUID) -> str | None:
        """How a registration ended whose person is gone: DECLINE, LAPSE, or None for one that never was."""
        found = await self._last_act(registration_id)
        return found.action if found is not None else None

    async def _last_act(self, registration_id: UUID) -> AuditRow | None:
        found = await audit.rows(self._ground.db, ActsAsked(object=f"registration:{registration_id}"), None, 1)
        return found[0] if found else None

    async def _not_over(self, registration_id: UUID) -> None:
        if await self._end(registration_id) is not None:
            raise RegistrationOver()

    async def _known(self, registration_id: UUID) -> Any:
        """Its row; RegistrationOver for one that was declined or ran out, Unknown for one that never was."""
        row = await store.registration(self._ground.db, registration_id)
        if row is None:
            await self._not_over(registration_id)
            raise Unknown("registration", "注册申请")
        return row

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


def place_of(one: Registration) -> str:
    """Where a list goes on after this one."""
    return f"{one.state.value}.{one.created_at.isoformat()}.{one.id}"


def _place(text: str) -> store.Place:
    """The place that `place_of` wrote; Invalid for anything else."""
    try:
        state, rest = text.split(".", 1)
        at, known = rest.rsplit(".", 1)
        return RegistrationState(state) is RegistrationState.WAITING, datetime.fromisoformat(at), UUID(known)
    except ValueError as error:
        raise Invalid(
            "bad_place", "The list can't go on from there.", message_zh="列表的续页位置不正确。",
            hint="Give `after` as the answer before said in `next`.", hint_zh="请原样使用上一页返回的 next。",
        ) from error  # fmt: skip
