"""Passwords (argon2id, RFC 9106) and the bound on guessing them.

Attempts count before they are judged, by login and by address, in buckets that are keyed hashes: parallel guesses
all count, in every process, and the table holds neither logins nor addresses.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from shanhe.identity.entry_model import Client
from shanhe.identity.errors import SignInLocked
from shanhe.identity.names import PASSWORD_MAX, new_password
from shanhe.identity.service.base import By, Ground, ref
from shanhe.identity.store import sessions as store
from shanhe.kernel import acts
from shanhe.kernel.errors import TooMany

MEMORY_KIB = 19 * 1024
PASSES = 3
LANES = 1
HASHES_AT_ONCE = 2
HASHES_WAITING_MAX = 64
FREE_FAILURES = {
    "login": 5, "confirm": 5, "factor": 5, "address": 50, "report": 50, "member": 10, "register": 10,
    "register_city": 2_000, "party": 10, "begun": 300, "app": 300,
}  # fmt: skip
FIRST_LOCK_S = 30
LOCK_MAX_S = 3_600
FORGET_AFTER_S = {
    "login": 24 * 3_600, "confirm": 24 * 3_600, "factor": 24 * 3_600, "address": 3_600, "report": 3_600,
    "member": 24 * 3_600, "register": 6 * 3_600, "register_city": 3_600, "party": 24 * 3_600,
    "begun": 3_600, "app": 24 * 3_600,
}  # fmt: skip
"""`address`, `report`, `register`, `begun` (what leaves a row until somebody ends it: a challenge, a flow, an app's
question) and `app` (one that registers itself) are counted by `Client.network`, `register_city` for all of them;
`member` are names that one person tried, `party` those that an applicant wrote into forms and nobody has."""
TAKEN_BACK = frozenset({"address", "report", "party", "begun"})
"""Of these a success takes back its own attempt, and no other."""
SALT_BYTES = 16
T = TypeVar("T")


class Attempts:
    """Failures by bucket: a kind (`login`, `factor`, `address`) and what it is about. `login` are names as typed,
    `confirm` people who are signed in, whom nobody else's guesses keep from confirming."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def bucket(self, kind: str, about: str) -> tuple[str, bytes]:
        return kind, self._ground.vault.blind_index(f"attempt.{kind}", about)

    def by_network(self, kind: str, client: Client) -> list[tuple[str, bytes]]:
        """The bucket of where somebody comes from; none where that is unknown."""
        return [self.bucket(kind, client.network)] if client.address else []

    async def begin(self, buckets: Iterable[tuple[str, bytes]]) -> None:
        """Count one attempt in each bucket; SignInLocked while one is locked."""
        now = self._ground.now()
        wait_s = 0
        for kind, bucket in buckets:
            counted = await store.count_attempt(
                self._ground.db.writes,
                bucket,
                now,
                forget_before=now - timedelta(seconds=FORGET_AFTER_S[kind]),
                free=FREE_FAILURES[kind],
                first_lock_s=FIRST_LOCK_S,
                lock_max_s=LOCK_MAX_S,
            )
            if not counted:
                until = await store.locked_until(self._ground.db, bucket) or now
                wait_s = max(wait_s, int((until - now).total_seconds()) + 1)
        if wait_s:
            raise SignInLocked(wait_s)

    async def succeeded(self, buckets: Iterable[tuple[str, bytes]]) -> None:
        """Forget a login's or factor's failures; TAKEN_BACK only get this one attempt back."""
        for kind, bucket in buckets:
            if kind in TAKEN_BACK:
                await store.take_back_attempt(self._ground.db, bucket, FREE_FAILURES[kind])
            else:
                await store.forget_attempts(self._ground.db, bucket)


class Passwords:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._hasher = PasswordHasher(
            time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, salt_len=SALT_BYTES, type=Type.ID
        )
        self._slots = asyncio.Semaphore(HASHES_AT_ONCE)
        self._waiting = 0
        self._decoy = ""

    async def hash(self, password: str) -> str:
        """The PHC string of a new password; BadText when it is too short or too long."""
        checked = new_password(password)
        return await self._work(lambda: self._hasher.hash(checked))

    async def set(self, person_id: UUID, password: str, *, by: By, keep_session: UUID | None = None) -> None:
        """Replace a password and end the person's other sessions."""
        hashed, now = await self.hash(password), self._ground.now()
        async with self._ground.db.transaction() as conn:
            await store.set_password(conn, person_id, hashed, now)
            await store.revoke_sessions(conn, person_id, now, keep=keep_session)
            await acts.note(conn, ref(by), "person.password", f"person:{person_id}", {}, now)

    async def has(self, person_id: UUID) -> bool:
        """Whether the person signs in with a password at all."""
        return await store.password_hash(self._ground.db, person_id) is not None

    async def verify(self, person_id: UUID | None, password: str) -> bool:
        """Takes as long for nobody, or for somebody without a password, as for a wrong one."""
        if len(password) > PASSWORD_MAX:
            return False
        known = await store.password_hash(self._ground.db, person_id) if person_id is not None else None
        if known is None and not self._decoy:
            self._decoy = await self._work(lambda: self._hasher.hash("nobody's password"))
        stored, tried = known or self._decoy, unicodedata.normalize("NFC", password)
        right = await self._work(lambda: self._matches(stored, tried))
        if right and known is not None and person_id is not None and self._hasher.check_needs_rehash(known):
            renewed = await self._work(lambda: self._hasher.hash(tried))
            await store.set_password(self._ground.db, person_id, renewed, self._ground.now())
        return right and known is not None

    def _matches(self, stored: str, tried: str) -> bool:
        try:
            return self._hasher.verify(stored, tried)
        except (VerificationError, InvalidHashError):
            return False

    async def _work(self, task: Callable[[], T]) -> T:
        """Hash in a thread, few at a time: each takes its 19 MiB."""
        if self._waiting >= HASHES_WAITING_MAX:
            raise TooMany(
                "busy", "Too many people sign in right now.", message_zh="登录人数过多，请稍后。", retry_after_s=2
            )
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(task)
        finally:
            self._waiting -= 1
