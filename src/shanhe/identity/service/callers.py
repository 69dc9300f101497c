"""API keys on the hot path: a bounded memory of who calls, never older than a second.

Three things keep it true. NOTIFY drops an entry within milliseconds of a change; every entry runs out after
`FRESH_S` unless a background task has read it again; and an entry never outlives its key's expiry. So a revocation
bites within a second in every process even when a notice is lost, and a calling key costs no query of its own.
Tokens are remembered by SHA-256 only: they are 256 random bits, so a plain hash is as strong as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from shanhe.identity.errors import InvalidKey, KeyExpired, KeyRevoked, OrgFrozen
from shanhe.identity.key_model import Caller
from shanhe.identity.model import DataClass, OrgState
from shanhe.identity.service.base import Ground
from shanhe.identity.store import keys as store
from shanhe.kernel.db import FAILURES
from shanhe.kernel.errors import ShanheError, Unavailable

CHANNEL = "identity_keys"
TOKEN = re.compile(r"^sk-sh-[0-9A-Za-z]{43}\Z")
FRESH_S = 0.9
REFRESH_EVERY_S = 0.35
KEPT_MAX = 20_000
REFUSED_MAX = 10_000
BATCH = 1_000
LOOKUPS_MAX = 4
LOOKUP_LIMIT_S = 5.0
DATA_CLASS_ORDER = (DataClass.GENERAL, DataClass.CITIZEN, DataClass.GOVERNMENT)

Refusal = Callable[[], ShanheError]

log = structlog.get_logger(__name__)


class _Entry:
    __slots__ = ("caller", "used", "valid_until")

    def __init__(self, caller: Caller, valid_until: float) -> None:
        self.caller = caller
        self.valid_until = valid_until
        self.used = True


class Callers:
    """Look-up of API keys for one process. `start` listens and refreshes; without it entries just run out."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._entries: dict[bytes, _Entry] = {}
        self._refused: dict[bytes, tuple[Refusal, float]] = {}
        self._by_org: dict[UUID, set[bytes]] = {}
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)
        self._epoch = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._ground.db.listen(CHANNEL, self._changed, on_connect=self._forget_all)
        self._task = asyncio.create_task(self._refresh_forever())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def cached(self, token: str) -> Caller | None:
        """The caller if it is known and fresh; no I/O, about a microsecond. None says nothing about the token."""
        try:
            entry = self._entries.get(hashlib.sha256(token.encode()).digest())
        except UnicodeEncodeError:
            return None
        if entry is None or entry.valid_until < time.monotonic():
            return None
        entry.used = True
        return entry.caller

    async def get(self, token: str) -> Caller:
        """The caller; InvalidKey, KeyRevoked, KeyExpired, OrgFrozen, or Unavailable when the database is away."""
        if not TOKEN.match(token):
            raise InvalidKey()
        digest = hashlib.sha256(token.encode()).digest()
        known = self.cached(token)
        if known is not None:
            return known
        refused = self._refused.get(digest)
        if refused is not None and refused[1] > time.monotonic():
            raise refused[0]()
        try:
            async with asyncio.timeout(LOOKUP_LIMIT_S), self._lookups:
                known = self.cached(token)  # somebody else may have looked meanwhile
                if known is not None:
                    return known
                await self._read([digest])
        except FAILURES as error:
            raise Unavailable(
                "identity_unavailable",
                "The key cannot be checked now.",
                message_zh="暂时无法校验密钥。",
                hint="Try again in a moment.",
                hint_zh="请稍后重试。",
            ) from error
        entry = self._entries.get(digest)
        if entry is not None:
            return entry.caller
        raise self._refused.get(digest, (InvalidKey, 0.0))[0]()

    async def of_key(self, key_id: UUID) -> Caller:
        """The caller that a key stands for, without its token: for work it has asked for before. Read every time."""
        row = await store.caller_of(self._ground.db, key_id)
        refusal = _refusal(row, self._ground.now())
        if refusal is not None:
            raise refusal()
        return _caller(row)

    # -- memory ------------------------------------------------------------------------------------------------------

    async def _read(self, digests: Sequence[bytes]) -> None:
        """Read keys again and remember or refuse each. What changed while the query ran is not believed for long."""
        epoch = self._epoch
        began = time.monotonic()  # freshness counts from before the read, so a slow query can't stretch it
        rows = {bytes(row["token_sha256"]): row for row in await store.callers(self._ground.db, digests)}
        now = self._ground.now()
        valid_until = began + FRESH_S if epoch == self._epoch else began
        for digest in digests:
            row = rows.get(digest)
            refusal = _refusal(row, now)
            if refusal is None and row is not None:
                self._remember(digest, row, valid_until, now)
            else:
                self._drop(digest)
                self._refuse(digest, refusal or InvalidKey, valid_until)

    def _remember(self, digest: bytes, row: Any, valid_until: float, now: datetime) -> None:
        if row["expires_at"] is not None:
            valid_until = min(valid_until, time.monotonic() + (row["expires_at"] - now).total_seconds())
        self._refused.pop(digest, None)
        entry = self._entries.get(digest)
        caller = _caller(row)
        if entry is not None:
            entry.caller, entry.valid_until = caller, valid_until
            return
        while len(self._entries) >= KEPT_MAX:
            self._drop(next(iter(self._entries)))
        self._entries[digest] = _Entry(caller, valid_until)
        self._by_org.setdefault(caller.org_id, set()).add(digest)

    def _refuse(self, digest: bytes, error: Refusal, until: float) -> None:
        while len(self._refused) >= REFUSED_MAX:
            del self._refused[next(iter(self._refused))]
        self._refused[digest] = (error, until)

    def _drop(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry is None:
            return
        siblings = self._by_org.get(entry.caller.org_id)
        if siblings is not None:
            siblings.discard(digest)
            if not siblings:
                del self._by_org[entry.caller.org_id]

    def _changed(self, payload: str) -> None:
        self._epoch += 1
        kind, _, name = payload.partition(":")
        if kind == "key":
            digest = bytes.fromhex(name)
            self._drop(digest)
            self._refused.pop(digest, None)
        elif kind == "org":
            for digest in list(self._by_org.get(UUID(name), ())):
                self._drop(digest)
            self._refused.clear()

    def _forget_all(self) -> None:
        self._epoch += 1
        self._entries.clear()
        self._refused.clear()
        self._by_org.clear()

    async def _refresh_forever(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_EVERY_S)
            now = time.monotonic()
            used = []
            for digest, entry in list(self._entries.items()):
                if entry.used:
                    entry.used = False
                    used.append(digest)
                elif entry.valid_until < now:
                    self._drop(digest)
            try:
                for at in range(0, len(used), BATCH):
                    await self._read(used[at : at + BATCH])
            except FAILURES as error:
                log.warning("keys could not be checked again; they run out", error=type(error).__name__)


def _refusal(row: Any, now: datetime) -> Refusal | None:
    if row is None:
        return InvalidKey
    if row["revoked_at"] is not None:
        return KeyRevoked
    if row["expires_at"] is not None and row["expires_at"] <= now:
        return KeyExpired
    return OrgFrozen if row["org_state"] == OrgState.FROZEN else None


def _caller(row: Any) -> Caller:
    classes = (DataClass(row["data_class"]), DataClass(row["org_data_class"]))
    return Caller(
        key_id=row["id"],
        org_id=row["org_id"],
        key_name=row["name"],
        models=None if row["models"] is None else frozenset(row["models"]),
        budget_day_micro=row["budget_day_micro"],
        budget_month_micro=row["budget_month_micro"],
        rpm=row["rpm"],
        tpm=row["tpm"],
        expires_at=row["expires_at"],
        data_class=str(max(classes, key=DATA_CLASS_ORDER.index)),  # the stricter of key's and organisation's
        limit_scope=row["limit_scope"],
        department_id=row["department_id"],
    )
