"""API keys: making, changing, rotating, revoking, and what happens when one leaks."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from shanhe.identity.errors import BadText, KeyMade, PermissionMissing, TooManyOfThem, Unknown
from shanhe.identity.key_model import Key, LeakReport, NewKey, TellLeak, TraceUse
from shanhe.identity.model import ALL_PERMISSIONS, Actor, Organisation, OrgState
from shanhe.identity.names import NAME_MAX, NOTE_MAX, clean
from shanhe.identity.service.base import By, Ground, ref
from shanhe.identity.service.callers import TOKEN
from shanhe.identity.service.endings import freeze_ends, take_back
from shanhe.identity.store import keys as store
from shanhe.identity.store import orgs
from shanhe.kernel import acts
from shanhe.kernel.errors import Conflict, Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals

TOKEN_PREFIX = "sk-sh-"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TOKEN_CHARS = 43  # ⌈256 / log2(62)⌉
SHOWN_CHARS = 6
KEYS_MAX = 1_000
MODELS_MAX = 200
MODEL_NAME_MAX = 200
GRACE_MAX_S = 30 * 86_400
BUDGET_MAX_MICRO = 10**15
RATE_MAX = 10**9
TRACE_MAX = 200
TRACE_LIMIT_S = 10.0

OWN_NAME = "~"
"""How the program calls keys of its own, whose tokens nobody saw."""
NAME_FIELD = "key.name"
REASON_FIELD = "api_key.revoked_reason"
LEAK_FIELD = "leak.note"

log = structlog.get_logger(__name__)


def new_token() -> str:
    """`sk-sh-` and 256 random bits in base 62."""
    number = secrets.randbits(256)
    digits = []
    for _ in range(TOKEN_CHARS):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return TOKEN_PREFIX + "".join(reversed(digits))


class Keys:
    """Every method that takes `org_id` answers Unknown (404) for keys of another organisation."""

    def __init__(self, ground: Ground, seals: Seals) -> None:
        self._ground = ground
        self._seals = seals
        self._trace: TraceUse | None = None
        self._tell: TellLeak | None = None

    def on_leak(self, *, trace: TraceUse | None = None, tell: TellLeak | None = None) -> None:
        """How to find a key's recent use, and whom to tell; the composition root knows both."""
        self._trace, self._tell = trace, tell

    async def create(
        self, org_id: UUID, new: NewKey, *, by: By, key_id: UUID | None = None, own: bool = False
    ) -> tuple[Key, str]:
        """A key and its token, which is never shown again. A key may do in administration at most what `by` may.
        KeyMade when there is one with this id: the form was sent before. `own`: it is the program's, and so is
        its name (`~…`)."""
        checked = _checked(new, self._ground.now())
        if not own:
            _chosen(checked.name)
        self._allowed(checked.permissions, by)
        async with self._ground.db.transaction() as conn:
            org = await self._locked(conn, org_id)
            if key_id is not None and await store.get(conn, key_id, None) is not None:
                raise KeyMade()
            return await self._create(conn, org, checked, by, key_id)

    async def house(self, org_id: UUID, purpose: str, *, by: By) -> UUID:
        """The key by which an organisation pays for a purpose (`~…`), with a token that nobody ever saw: one at a time,
        made when it is needed. Read every time, so that a revoked or expired one is known everywhere at once."""
        found = await store.house(self._ground.db, org_id, purpose, self._ground.now())
        if found is not None:
            return found
        async with self._ground.db.transaction() as conn:
            org = await self._locked(conn, org_id)
            found = await store.house(conn, org_id, purpose, self._ground.now())
            if found is None:
                found = await self._known_by_name(conn, org_id, purpose)
                if found is None:
                    new = _checked(NewKey(purpose), self._ground.now())
                    found = (await self._create(conn, org, new, by))[0].id
                await store.set_house(conn, org_id, purpose, found)
        return found

    async def _locked(self, conn: Any, org_id: UUID) -> Organisation:
        org = await orgs.get(conn, org_id, lock=True)
        if org is None:
            raise Unknown("organisation", "机构")
        return org

    async def _create(
        self, conn: Any, org: Organisation, new: NewKey, by: By, key_id: UUID | None = None
    ) -> tuple[Key, str]:
        await self._room(conn, org, new.department_id)
        token = new_token()
        key = _key(org.id, new, token, await self._maker(conn, by), self._ground.now())
        key = replace(key, id=key_id, limit_scope=key_id) if key_id is not None else key
        await store.insert(conn, await self._sealed(key), _digest(token))
        await self._note(conn, by, "key.create", key, {"prefix": key.prefix, "permissions": sorted(key.permissions)})
        return key, token

    async def _known_by_name(self, conn: Any, org_id: UUID, purpose: str) -> UUID | None:
        """A live key that was made for the purpose before there was a table of them."""
        now = self._ground.now()
        for key in await store.of_org(conn, org_id, before=None, limit=KEYS_MAX):
            live = key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
            if live and key.created_by is None and (await self._opened(key)).name == purpose:
                return key.id
        return None

    async def counts(self, org_ids: Collection[UUID]) -> dict[UUID, int]:
        """How many active keys each of these organisations has, where it has any; one question."""
        return await store.counts(self._ground.db, org_ids, self._ground.now())

    async def list(self, org_id: UUID, *, before: UUID | None = None, limit: int = 200) -> Sequence[Key]:
        """Keys of an organisation, newest first."""
        found = await store.of_org(self._ground.db, org_id, before=before, limit=min(max(limit, 1), KEYS_MAX))
        return [await self._opened(key) for key in found]

    async def among(self, org_id: UUID, ids: Collection[UUID]) -> dict[UUID, Key]:
        """Those of these that are an organisation's, by id."""
        found = await store.among(self._ground.db, org_id, ids) if ids else []
        return {key.id: await self._opened(key) for key in found}

    async def told(self, org_id: UUID) -> Sequence[Key]:
        """Live keys of an organisation whose token some person was told, oldest first. Of keys that were
        rotated those whose maker did so themselves: for how long the old one works is nobody else's word yet."""
        return [await self._opened(key) for key in await store.told(self._ground.db, org_id, self._ground.now())]

    async def get(self, key_id: UUID, org_id: UUID | None = None) -> Key:
        return await self._opened(_found(await store.get(self._ground.db, key_id, org_id)))

    async def edit(self, key_id: UUID, org_id: UUID | None, changes: Mapping[str, Any], *, by: By) -> Key:
        """Change fields of NewKey; what `changes` doesn't name stays."""
        unknown = set(changes) - set(NewKey.__dataclass_fields__)
        if unknown:
            raise Invalid("unknown_field", f"A key has no {', '.join(sorted(unknown))}.", message_zh="密钥没有该字段。")
        async with self._ground.db.transaction() as conn:
            key = await self._opened(_live(_found(await store.get(conn, key_id, org_id, lock=True))))
            wanted = {name: getattr(key, name) for name in NewKey.__dataclass_fields__} | dict(changes)
            new = _checked(NewKey(**wanted), self._ground.now() if "expires_at" in changes else None)
            if new.name != key.name:
                _chosen(new.name)
            self._allowed(new.permissions - key.permissions, by)
            if new.department_id is not None and await orgs.department(conn, key.org_id, new.department_id) is None:
                raise Unknown("department", "部门")
            key = replace(key, **{name: getattr(new, name) for name in NewKey.__dataclass_fields__})
            await store.update(conn, await self._sealed(key))
            await self._note(conn, by, "key.edit", key, {"fields": sorted(changes)})
        return key

    async def rotate(self, key_id: UUID, org_id: UUID | None, *, grace_s: int = 0, by: By) -> tuple[Key, str]:
        """A successor with the same scope; the old key still works for `grace_s`. They share budgets and rates."""
        if not 0 <= grace_s <= GRACE_MAX_S:
            raise Invalid("bad_grace", f"The grace is between 0 and {GRACE_MAX_S} s.", message_zh="宽限期超出范围。")
        token, now = new_token(), self._ground.now()
        async with self._ground.db.transaction() as conn:
            org = _found(await store.get(conn, key_id, org_id)).org_id
            await self._locked(conn, org)  # before the key, as whoever reports its leak does
            old = _live(_found(await store.get(conn, key_id, org, lock=True)))
            if old.successor_id is not None:
                raise Conflict("rotated_already", "This key has a successor already.", message_zh="该密钥已轮换。")
            self._allowed(old.permissions, by)
            fields = {name: getattr(old, name) for name in NewKey.__dataclass_fields__}
            if old.expires_at is not None:  # the successor lives as long as the old one was made to live
                fields["expires_at"] = now + (old.expires_at - old.created_at)
            maker = await self._maker(conn, by)
            new = replace(_key(old.org_id, NewKey(**fields), token, maker, now), limit_scope=old.limit_scope)
            await store.insert(conn, new, _digest(token))
            end = now + timedelta(seconds=grace_s)
            ended = replace(old, successor_id=new.id, expires_at=min(end, old.expires_at or end))
            if grace_s == 0:
                ended = replace(ended, revoked_at=now, revoked_reason="rotated")
            await store.update(conn, ended)
            await self._note(conn, by, "key.rotate", old, {"successor": str(new.id), "grace_s": grace_s})
        return await self._opened(new), token

    async def revoke(self, key_id: UUID, org_id: UUID | None, *, reason: str = "revoked", by: By) -> Key:
        """End a key for good; revoking twice changes nothing."""
        reason = clean("reason", reason, NAME_MAX)
        async with self._ground.db.transaction() as conn:
            key = _found(await store.get(conn, key_id, org_id, lock=True))
            if key.revoked_at is None:
                said = await self._seals.seal(key.org_id, REASON_FIELD, reason)
                key = replace(key, revoked_at=self._ground.now(), revoked_reason=said)
                await store.update(conn, key)
                await take_back(self._ground, conn, by=f"key:{key.id}")
                await self._note(conn, by, "key.revoke", key, {} if said != reason else {"reason": reason})
        return await self._opened(key)

    async def affected_by(self, model: str) -> Sequence[UUID]:
        """Organisations with a live key that may call a model: whom a price change concerns."""
        return await store.orgs_with_model(self._ground.db, model, self._ground.now())

    # -- leaks -------------------------------------------------------------------------------------------------------

    async def report_leak(
        self, token_or_prefix: str, reporter: str, *, freeze: bool = False, note: str = "", org_id: UUID | None = None
    ) -> LeakReport | None:
        """Revoke the key at once, optionally freeze its organisation's spending, trace its use, tell its owners.

        None when no key of ours is meant. A prefix must name exactly one key; with `org_id`, one of that organisation.
        The trace comes after the revocation and can't delay it.
        """
        reporter = clean("reporter", reporter, NAME_MAX)
        note = clean("note", note, NOTE_MAX, least=0, lines=True)
        key = await self._meant(token_or_prefix.strip(), org_id)
        if key is None:
            return None
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            org = await orgs.get(conn, key.org_id, lock=True)
            key = _found(await store.get(conn, key.id, None, lock=True))
            if key.revoked_at is None:
                key = replace(key, revoked_at=now, revoked_reason="leaked")
                await store.update(conn, key)
                await take_back(self._ground, conn, by=f"key:{key.id}")
            if freeze and org is not None and org.state == OrgState.ACTIVE:
                reason = f"leaked key {key.prefix}…{key.last4}"
                await orgs.update(conn, replace(org, state=OrgState.FROZEN, frozen_reason=reason, frozen_at=now))
                await freeze_ends(self._ground, conn, org.id)
            await self._note(conn, reporter, "key.leak", key, {"frozen": freeze, "prefix": key.prefix})
        name = (await self._opened(key)).name
        report = LeakReport(new_id(), key.id, key.org_id, name, reporter, now, freeze, await self._traced(key.id))
        sealed = await self._seals.seal(key.org_id, LEAK_FIELD, note)
        await store.add_leak(self._ground.db, report, sealed)
        if self._tell is not None:
            await self._tell(report)
        return report

    async def _meant(self, text: str, org_id: UUID | None) -> Key | None:
        if TOKEN.match(text):
            found = await store.by_sha256(self._ground.db, _digest(text))
            candidates = [found] if found else []
        elif text.startswith(TOKEN_PREFIX) and len(text) == len(TOKEN_PREFIX) + SHOWN_CHARS:
            candidates = await store.by_prefix(self._ground.db, text)
        else:
            raise BadText("key", "not an API key of this city, nor the start of one", "不是本城密钥或其前缀")
        ours = [key for key in candidates if org_id is None or hmac.compare_digest(key.org_id.bytes, org_id.bytes)]
        return ours[0] if len(ours) == 1 else None

    async def _traced(self, key_id: UUID) -> tuple[Mapping[str, Any], ...]:
        if self._trace is None:
            return ()
        try:
            async with asyncio.timeout(TRACE_LIMIT_S):
                return tuple((await self._trace(key_id))[:TRACE_MAX])
        except (TimeoutError, OSError, ShanheError, asyncpg.PostgresError) as error:
            log.warning("a leaked key could not be traced", key=str(key_id), error=type(error).__name__)
            return ({"error": type(error).__name__},)

    # -- checks ------------------------------------------------------------------------------------------------------

    async def _room(self, conn: Any, org: Organisation, department_id: UUID | None) -> None:
        if (await store.counts(conn, [org.id], self._ground.now())).get(org.id, 0) >= KEYS_MAX:
            raise TooManyOfThem("keys", KEYS_MAX)
        if department_id is not None and await orgs.department(conn, org.id, department_id) is None:
            raise Unknown("department", "部门")

    @staticmethod
    async def _maker(conn: Any, by: By) -> UUID | None:
        """Whoever answers for a key, and is told its token; of one that a key makes, that key's own. None for trusted
        code without a person."""
        if not isinstance(by, Actor) or by.key_id is None:
            return by.person_id if isinstance(by, Actor) else None
        return _found(await store.get(conn, by.key_id, None)).created_by

    @staticmethod
    def _allowed(permissions: frozenset[str], by: By) -> None:
        if isinstance(by, Actor):
            for permission in sorted(permissions - by.permissions):
                raise PermissionMissing(permission)

    async def _sealed(self, key: Key) -> Key:
        """As it is stored: the name of a person's own key is sealed."""
        return replace(key, name=await self._seals.seal(key.org_id, NAME_FIELD, key.name))

    async def _opened(self, key: Key) -> Key:
        name = await self._seals.open(key.org_id, NAME_FIELD, key.name)
        why = key.revoked_reason
        return replace(key, name=name, revoked_reason=why and await self._seals.open(key.org_id, REASON_FIELD, why))

    async def _note(self, conn: Any, by: By, action: str, key: Key, details: Mapping[str, Any]) -> None:
        await acts.note(conn, ref(by), action, f"key:{key.id}", details, self._ground.now(), org_id=key.org_id)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _found(key: Key | None) -> Key:
    if key is None:
        raise Unknown("API key", "API 密钥")
    return key


def _live(key: Key) -> Key:
    if key.revoked_at is not None:
        raise Conflict("key_revoked", "This key was revoked; make a new one.", message_zh="该密钥已吊销，请新建。")
    return key


def _key(org_id: UUID, new: NewKey, token: str, maker: UUID | None, now: datetime) -> Key:
    key_id = new_id()
    return Key(
        id=key_id,
        org_id=org_id,
        department_id=new.department_id,
        name=new.name,
        prefix=token[: len(TOKEN_PREFIX) + SHOWN_CHARS],
        last4=token[-4:],
        models=new.models,
        permissions=new.permissions,
        budget_day_micro=new.budget_day_micro,
        budget_month_micro=new.budget_month_micro,
        rpm=new.rpm,
        tpm=new.tpm,
        data_class=new.data_class,
        limit_scope=key_id,
        successor_id=None,
        created_by=maker,
        created_at=now,
        expires_at=new.expires_at,
        revoked_at=None,
        revoked_reason=None,
    )


def _chosen(name: str) -> None:
    """Invalid where somebody calls a key what only the program calls its own."""
    if name.startswith(OWN_NAME):
        raise Invalid("bad_name", f"The name of a key does not begin with {OWN_NAME}.",
                      message_zh=f"密钥名称不能以 {OWN_NAME} 开头。")  # fmt: skip


def _checked(new: NewKey, now: datetime | None) -> NewKey:
    """The wanted scope with clean names and sane numbers; an expiry must be ahead of `now` where one is given."""
    models = new.models
    if models is not None:
        if not 1 <= len(models) <= MODELS_MAX:
            raise Invalid(
                "bad_models", f"Name 1 to {MODELS_MAX} models, or none for all.", message_zh="模型数量不合法。"
            )
        models = frozenset(clean("model", model, MODEL_NAME_MAX) for model in models)
    for permission in sorted(new.permissions - ALL_PERMISSIONS):
        raise Invalid("unknown_permission", f"There is no permission {permission[:40]!r}.", message_zh="没有这个权限。")
    bounds: Sequence[tuple[str, int, int]] = (
        ("budget_day_micro", 0, BUDGET_MAX_MICRO),
        ("budget_month_micro", 0, BUDGET_MAX_MICRO),
        ("rpm", 1, RATE_MAX),
        ("tpm", 1, RATE_MAX),
    )
    for name, least, most in bounds:
        value = getattr(new, name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most):
            raise Invalid(
                "bad_limit", f"{name} is a whole number from {least} to {most}.", message_zh=f"{name} 超出范围。"
            )
    if new.expires_at is not None:
        if new.expires_at.tzinfo is None:
            raise Invalid("bad_expiry", "The expiry needs a time zone.", message_zh="到期时间需带时区。")
        if now is not None and new.expires_at <= now:
            raise Invalid("bad_expiry", "The expiry lies in the past.", message_zh="到期时间已过。")
    return replace(new, name=clean("name", new.name, NAME_MAX), models=models)
