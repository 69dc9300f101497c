"""Signing in: a first proof (password or provider), a second where one is set up or needed, then a full session."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from shanhe.identity.entry_model import Ceremony, Client, Issued, Stage
from shanhe.identity.errors import CodeWrong, PasswordWrong, SessionMissing, SignInAgain, SignInFailed
from shanhe.identity.model import PersonState
from shanhe.identity.names import EMAIL_MAX, sign_in_key
from shanhe.identity.service.base import Ground
from shanhe.identity.service.factors import Factors
from shanhe.identity.service.passkeys import Passkeys
from shanhe.identity.service.passwords import Attempts, Passwords
from shanhe.identity.service.people import People
from shanhe.identity.service.registrations import Registrations
from shanhe.identity.service.sessions import Sessions
from shanhe.identity.store import people as store
from shanhe.identity.store import sessions
from shanhe.kernel import acts

NOWHERE = Client()
JUST_S = 600
"""How long a sign-in stands for the password of who has none."""


class SignIn:
    def __init__(
        self,
        ground: Ground,
        people: People,
        passwords: Passwords,
        attempts: Attempts,
        factors: Factors,
        passkeys: Passkeys,
        sessions: Sessions,
        registrations: Registrations,
    ) -> None:
        self._ground = ground
        self._people = people
        self._passwords = passwords
        self._attempts = attempts
        self._factors = factors
        self._passkeys = passkeys
        self._sessions = sessions
        self._registrations = registrations

    async def password(self, login: str, password: str, client: Client = NOWHERE) -> Issued:
        """The first step. SignInFailed alike for a wrong login, a wrong password, a suspended person; SignInLocked;
        RegistrationWaiting."""
        if len(login) > EMAIL_MAX:
            raise SignInFailed()
        # By name and not by person: who locks one spelling of a name must not see by another one, or by the e-mail
        # address, whether there is a person behind it.
        buckets = [self._attempts.bucket("login", sign_in_key(login)), *self._attempts.by_network("address", client)]
        await self._attempts.begin(buckets)
        person_id = await self._people.by_name(login)
        right = await self._passwords.verify(person_id, password)
        if person_id is None or not right:
            raise SignInFailed()
        if not await self._active(person_id):
            await self._registrations.waits(person_id)  # who knows the password may know that, too
            raise SignInFailed()
        await self._attempts.succeeded(buckets)
        return await self.proved(person_id, "password", client)

    async def confirm(self, person_id: UUID, password: str, session_id: UUID | None) -> None:
        """The password once more, guessed no more often than at sign-in; who has none has just signed in.
        PasswordWrong, SignInAgain."""
        if not await self._passwords.has(person_id):
            began = None if session_id is None else await sessions.session_began(self._ground.db, person_id, session_id)
            if began is None or began < self._ground.now() - timedelta(seconds=JUST_S):
                raise SignInAgain()
            return
        bucket = [self._attempts.bucket("confirm", str(person_id))]
        await self._attempts.begin(bucket)
        if not await self._passwords.verify(person_id, password):
            raise PasswordWrong()
        await self._attempts.succeeded(bucket)

    async def proved(self, person_id: UUID, method: str, client: Client, *, strong: bool = False) -> Issued:
        """A session after a first proof: full, or waiting for a second factor, or for setting one up.

        `strong`: the proof was of two factors already.
        """
        factors = await self._factors.of(person_id)
        stage = Stage.FULL
        if not strong and factors:
            stage = Stage.SECOND_FACTOR
        elif not strong and await self._factors.needed(person_id):
            stage = Stage.ENROL
        issued = await self._sessions.open(person_id, stage, [method], client, can=factors)
        if stage == Stage.FULL:
            await self._note(person_id, [method])
        return issued

    async def code(self, token: str, code: str, client: Client = NOWHERE) -> Issued:
        """The second step with a TOTP or a recovery code; a fresh, full session. CodeWrong."""
        row = await self._waiting(token, Stage.SECOND_FACTOR)
        person_id = row["person_id"]
        buckets = [self._attempts.bucket("factor", str(person_id))]
        await self._attempts.begin(buckets)
        if await self._factors.use_totp(person_id, code):
            method = "totp"
        elif await self._factors.use_recovery_code(person_id, code):
            method = "recovery"
        else:
            raise CodeWrong()
        await self._attempts.succeeded(buckets)
        return await self._complete(row, method, client)

    async def passkey_options(self, token: str | None = None, client: Client = NOWHERE) -> Ceremony:
        """Options for the second step of a waiting session, or for signing in with nothing but a passkey; SignInLocked
        where more were asked for from one network than are ever answered."""
        await self._attempts.begin(self._attempts.by_network("begun", client))
        if token is None:
            return await self._passkeys.begin_authentication()
        row = await self._waiting(token, Stage.SECOND_FACTOR)
        return await self._passkeys.begin_authentication(row["person_id"])

    async def passkey(
        self, ceremony_id: UUID, answer: Mapping[str, Any], client: Client = NOWHERE, *, token: str | None = None
    ) -> Issued:
        """A full session by passkey, alone or (with the waiting session's token) as the second step."""
        buckets = self._attempts.by_network("address", client)
        await self._attempts.begin(buckets)
        row = await self._waiting(token, Stage.SECOND_FACTOR) if token is not None else None
        person_id = await self._passkeys.authenticate(ceremony_id, answer)
        await self._attempts.succeeded([*buckets, *self._attempts.by_network("begun", client)])
        if row is None:
            return await self.proved(person_id, "passkey", client, strong=True)
        if row["person_id"] != person_id:
            raise SignInFailed()
        return await self._complete(row, "passkey", client)

    async def still_enrols(self, person_id: UUID) -> None:
        """SessionMissing where a factor was set up since this sign-in began: a new one takes that."""
        if await self._factors.of(person_id):
            raise SessionMissing()

    async def enrolled(self, token: str, client: Client = NOWHERE) -> Issued:
        """After a waiting person has set up a factor: a fresh, full session in place of the waiting one."""
        row = await self._waiting(token, Stage.ENROL)
        factors = await self._factors.of(row["person_id"])
        if not factors:
            raise SignInFailed()
        return await self._complete(row, factors[0], client)

    async def _waiting(self, token: str, stage: Stage) -> Any:
        row = await self._sessions.row(token)
        if row["stage"] != stage:
            raise SessionMissing()
        return row

    async def _complete(self, row: Any, method: str, client: Client) -> Issued:
        methods = [*row["methods"], method]
        issued = await self._sessions.open(row["person_id"], Stage.FULL, methods, client, replaces=row["id"])
        await self._note(row["person_id"], methods)
        return issued

    async def _note(self, person_id: UUID, methods: list[str]) -> None:
        name = f"person:{person_id}"
        await acts.note(self._ground.db, name, "sign_in", name, {"methods": methods}, self._ground.now())

    async def _active(self, person_id: UUID) -> bool:
        row = await store.get(self._ground.db, person_id)
        return row is not None and row["state"] == PersonState.ACTIVE
