"""People: sealed on the way in, opened on the way out; their rights to see, take along and erase (PIPL 44–47)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import asyncpg

from shanhe.identity.errors import BadText, LastOfItsKind, OwnsAlone, Taken, Unknown
from shanhe.identity.model import (
    CITY_ROLES,
    Actor,
    Category,
    NewPerson,
    Person,
    PersonState,
    Role,
    permissions_of,
)
from shanhe.identity.names import NAME_MAX, clean, email_key, login_key, phone_key
from shanhe.identity.service.base import By, Ground, ref
from shanhe.identity.service.endings import NAMING, take_back
from shanhe.identity.service.orgs import gone
from shanhe.identity.service.passwords import Passwords
from shanhe.identity.store import arrivals, audit, keys, orgs, sessions
from shanhe.identity.store import people as store
from shanhe.kernel import acts
from shanhe.kernel.errors import Conflict, Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.paging import COPY_ROWS, whole
from shanhe.kernel.sealing import PAYER_INDEX, Seals, payer_key

PAGE_MAX = 200
LANGUAGES = ("zh-CN", "en")
EDITABLE = frozenset({"name", "login", "email", "phone", "language"})
LEFT_MAX = 100
ERASED_TOPIC = "identity.person_erased"
"""Key: the person; payload: `org_id`, the person's own organisation of one, if there is one, and `payer`, a keyed hash
of the name under which a bank would know them (`kernel.sealing.PAYER_INDEX`)."""
OWNERLESS_TOPIC = "identity.ownerless"
"""An organisation's only member was erased; payload: `org`."""
PASSKEY_FIELD = "passkey.name"
KEY_OF = {"login": login_key, "email": email_key, "phone": phone_key}
ENDED = "erased"
"""Why the keys of a person's own account ended."""
RESTORED = "restore"
"""Who erases again whom a restored database has brought back."""
Along = Callable[[Any, UUID], Awaitable[None]]
"""What else is written in the transaction that makes a person."""
Still = Callable[[Any], Awaitable[bool]]
"""Whether an erasure is still wanted, asked in its transaction once nobody else can change the person."""


class People:
    def __init__(self, ground: Ground, passwords: Passwords) -> None:
        self._ground = ground
        self._passwords = passwords

    async def create(self, new: NewPerson, *, by: By, suspended: bool = False, along: Along | None = None) -> Person:
        """A person, with a key of the person's own; Taken when login or e-mail is in use."""
        fields = self._checked({name: getattr(new, name) for name in store.FIELDS})
        if fields["login"] is None and fields["email"] is None:
            raise BadText("login", "a login or an e-mail address is needed", "需要登录名或邮箱")
        _language(new.language)
        hashed = await self._passwords.hash(new.password) if new.password is not None else None
        person_id, now = new_id(), self._ground.now()
        self._ground.vault.create(person_id)
        try:
            async with self._ground.db.transaction() as conn:
                await store.insert(
                    conn,
                    person_id,
                    {name: self._ground.seal(person_id, name, text) for name, text in fields.items()},
                    {name: self._index(name, fields[name]) for name in store.INDEXED},
                    state=PersonState.SUSPENDED if suspended else PersonState.ACTIVE,
                    language=new.language,
                    email_verified=new.email_verified,
                    now=now,
                )
                if hashed is not None:
                    await sessions.set_password(conn, person_id, hashed, now)
                await acts.note(conn, ref(by), "person.create", f"person:{person_id}", {}, now)
                if along is not None:
                    await along(conn, person_id)
        except asyncpg.UniqueViolationError as error:
            self._ground.vault.destroy(person_id)
            if error.table_name != "person":  # what goes along has a say of its own
                raise
            raise _taken(error) from error
        except ShanheError:
            self._ground.vault.destroy(person_id)
            raise
        return await self.get(person_id)

    async def get(self, person_id: UUID) -> Person:
        """The person in plain text; an erased one has an id and nothing else."""
        row = await store.get(self._ground.db, person_id)
        if row is None:
            raise Unknown("person", "人员")
        return self._person(
            row,
            await store.categories(self._ground.db, person_id),
            await store.city_roles(self._ground.db, person_id),
        )

    async def find(
        self, *, login: str | None = None, email: str | None = None, phone: str | None = None
    ) -> Sequence[Person]:
        """By blind index; exact values only, several people may share a telephone."""
        for field, text in (("login", login), ("email", email), ("phone", phone)):
            if text is not None:
                index = self._ground.vault.blind_index(field, KEY_OF[field](text))
                return [await self.get(found) for found in await store.by_index(self._ground.db, field, index)]
        return []

    async def by_name(self, name: str) -> UUID | None:
        """Whoever signs in with this login or e-mail address; None, never an error, for anything else."""
        fields = ("email", "login") if "@" in name else ("login",)
        for field in fields:
            try:
                index = self._ground.vault.blind_index(field, KEY_OF[field](name))
            except BadText:
                continue
            for found in await store.by_index(self._ground.db, field, index):
                return found
        return None

    async def names(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """What each of these is called, as far as there are such and they were not erased; one question."""
        found = await store.names(self._ground.db, ids)
        return {person: self._ground.open(person, "name", sealed) or "" for person, sealed in found.items()}

    async def officers(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """The same of those among them that hold an office of the city."""
        return await self.names(await store.officers_of(self._ground.db, ids))

    async def which(self, ids: Sequence[UUID]) -> set[UUID]:
        """Which of these ids are people, erased ones too."""
        return await store.people_of(self._ground.db, ids)

    async def list(self, *, before: UUID | None = None, limit: int = 50) -> Sequence[Person]:
        """Newest first, without categories and roles."""
        rows = await store.page(self._ground.db, before=before, limit=min(max(limit, 1), PAGE_MAX))
        return [self._person(row) for row in rows]

    async def edit(self, person_id: UUID, changes: Mapping[str, Any], *, by: By) -> Person:
        """Correct name, login, email, phone or language (PIPL 46). A changed e-mail address is unverified again."""
        if not changes or not set(changes) <= EDITABLE:
            raise Invalid(
                "unknown_field",
                f"Only {', '.join(sorted(EDITABLE))} can be changed.",
                message_zh="包含不可修改的字段。",
            )
        fields = self._checked({name: text for name, text in changes.items() if name in store.FIELDS})
        try:
            async with self._ground.db.transaction() as conn:
                row = await self._standing(conn, person_id)
                for name, text in fields.items():
                    sealed = self._ground.seal(person_id, name, text)
                    await store.set_field(conn, person_id, name, sealed, self._index(name, text))
                if "language" in changes:
                    await store.set_language(conn, person_id, _language(changes["language"]))
                row = await store.get(conn, person_id)
                if row["login_index"] is None and row["email_index"] is None:
                    raise BadText("login", "a login or an e-mail address is needed", "需要登录名或邮箱")
                await acts.note(
                    conn, ref(by), "person.edit", f"person:{person_id}", {"fields": sorted(changes)}, self._ground.now()
                )
        except asyncpg.UniqueViolationError as error:
            raise _taken(error) from error
        return await self.get(person_id)

    async def set_category(self, person_id: UUID, category: Category, *, by: By) -> None:
        """Record a ground for benefits from a day on; the same day again replaces it."""
        if category.valid_to is not None and category.valid_to < category.valid_from:
            raise Invalid("bad_period", "The period ends before it begins.", message_zh="结束日期早于开始日期。")
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            await self._standing(conn, person_id)
            await store.set_category(conn, person_id, category, ref(by), now)
            details = {"category": category.category, "verified": category.verified}
            await acts.note(conn, ref(by), "person.category", f"person:{person_id}", details, now)

    async def set_cap_group(self, person_id: UUID, group: UUID | None, *, by: By) -> None:
        """Put a person into a household that shares one yearly cap (R0)."""
        async with self._ground.db.transaction() as conn:
            await self._standing(conn, person_id)
            await store.set_cap_group(conn, person_id, group)
            await acts.note(conn, ref(by), "person.cap_group", f"person:{person_id}", {}, self._ground.now())

    async def grant(self, person_id: UUID, role: Role, *, by: By) -> None:
        """Give a role in the city: operator, auditor or admin. The person's sessions end: they were opened without the
        second factor that the role asks for."""
        _city_role(role)
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            await self._standing(conn, person_id)
            await store.grant(conn, person_id, role, ref(by), now)
            own = by.session_id if isinstance(by, Actor) and by.person_id == person_id else None
            await sessions.revoke_sessions(conn, person_id, now, keep=own)
            await acts.note(conn, ref(by), "role.grant", f"person:{person_id}", {"role": role}, now)

    async def withdraw(self, person_id: UUID, role: Role, *, by: By) -> None:
        """Take a role in the city back; LastOfItsKind for the last admin."""
        _city_role(role)
        async with self._ground.db.transaction() as conn:
            await self._not_the_last_admin(conn, person_id, role)
            await store.withdraw(conn, person_id, role)
            await self._no_longer_asks(conn, person_id)
            await acts.note(conn, ref(by), "role.withdraw", f"person:{person_id}", {"role": role}, self._ground.now())

    async def _no_longer_asks(self, conn: Any, person_id: UUID) -> None:
        """End what a person asked others to by a right that is gone, and nothing that they may ask still."""
        if NAMING & permissions_of(await store.city_roles(conn, person_id)):
            return
        own = [one.org_id for one in await orgs.memberships(conn, person_id) if NAMING & permissions_of([one.role])]
        await take_back(self._ground, conn, by=_ref(person_id), but=own)

    async def holders(self, *roles: Role) -> Sequence[UUID]:
        """Active people with any of these roles in the city."""
        return await store.with_roles(self._ground.db, [str(role) for role in roles])

    async def suspend(self, person_id: UUID, *, by: By) -> None:
        """End all sessions and refuse new ones until `resume`."""
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            await store.get(conn, person_id, lock=True)  # before what else is locked, as an erasure does
            await self._not_the_last_admin(conn, person_id, Role.ADMIN)
            if not await store.set_state(conn, person_id, PersonState.SUSPENDED):
                raise Unknown("person", "人员")
            await sessions.revoke_sessions(conn, person_id, now)
            await take_back(self._ground, conn, by=_ref(person_id))
            await acts.note(conn, ref(by), "person.suspend", f"person:{person_id}", {}, now)

    async def resume(self, person_id: UUID, *, by: By) -> None:
        async with self._ground.db.transaction() as conn:
            if not await store.set_state(conn, person_id, PersonState.ACTIVE):
                raise Unknown("person", "人员")
            await arrivals.settle(conn, person_id, ref(by), self._ground.now())
            await acts.note(conn, ref(by), "person.resume", f"person:{person_id}", {}, self._ground.now())

    # -- export and erasure ------------------------------------------------------------------------------------------

    async def export(self, person_id: UUID) -> dict[str, Any]:
        """Everything identity holds about a person, in plain text, for that person (PIPL 45); see `whole`."""
        db = self._ground.db
        person = await self.get(person_id)
        passkeys, seal = await sessions.passkeys(db, person_id), Seals(self._ground.vault).of_person(person_id)
        rows = await audit.of_actor(db, f"person:{person_id}", COPY_ROWS + 1)
        return dict(whole({
            "format": "shanhe-person-export/1",
            "exported_at": self._ground.now(),
            "person": asdict(person) | {"city_roles": sorted(person.city_roles)},
            "memberships": [asdict(member) for member in await orgs.memberships(db, person_id)],
            "registration": _registered(await arrivals.registration_of(db, person_id)),
            "invitations": [
                {name: row[name] for name in ("org_id", "role", "state", "created_at", "decided_at")}
                | {"called": self._ground.open(person_id, "called", row["called_sealed"])}
                for row in await arrivals.of_person(db, person_id, COPY_ROWS + 1)
            ],
            "consents": [asdict(consent) for consent in await audit.consents(db, person_id)],
            "objections": [dict(row) for row in await audit.objections(db, person_id, None, COPY_ROWS + 1)],
            "passkeys": [
                {"name": seal.open(PASSKEY_FIELD, row["name"]), "created_at": row["created_at"]} for row in passkeys
            ],
            "actions": [asdict(row) for row in rows],
        }))  # fmt: skip

    async def erase(self, person_id: UUID, *, by: By, still: Still | None = None) -> bool:
        """Anonymise the rows, then destroy the key, so that copies in logs and backups can't be read either (PIPL 47).

        Keys of their own account end, those they made for others stay with them; audit rows keep an id that no longer
        leads to anybody.
        OwnsAlone where others are members of what only this person owns; what has no other member is announced.
        False, and nothing done, where `still` says so.
        """
        async with self._ground.db.transaction() as conn:
            await orgs.lock_owned(conn, person_id)  # organisations before people, as whoever changes members does
            row = await store.get(conn, person_id, lock=True)
            if row is None:
                raise Unknown("person", "人员")
            if still is not None and not await still(conn):
                return False
            if row["state"] != PersonState.ERASED:
                await self._not_the_last_admin(conn, person_id, Role.ADMIN)
                left = await orgs.owned_alone(conn, person_id)
                if names := [one["name"] for one in left if one["others"]]:
                    raise OwnsAlone(names)
                await self._anonymise(conn, row, left, by=by)
        await self._destroy_key(person_id)
        return True

    async def _erase_again(self, person_id: UUID) -> None:
        """What an erasure did once, in rows that are older than it. Nothing of then can be in its way now."""
        async with self._ground.db.transaction() as conn:
            await orgs.lock_owned(conn, person_id)
            row = await store.get(conn, person_id, lock=True)
            if row is not None and row["state"] != PersonState.ERASED:
                await self._anonymise(conn, row, await orgs.owned_alone(conn, person_id), by=RESTORED)
        await self._destroy_key(person_id)

    async def _anonymise(self, conn: Any, row: Any, left: Sequence[Any], *, by: By) -> None:
        """Anonymise the rows and tell the other modules; `left`: what only this person owns."""
        person_id, now = row["id"], self._ground.now()
        await self._leave_owned(conn, left)
        await take_back(self._ground, conn, by=_ref(person_id))
        own = await orgs.of_person(conn, person_id)
        for one in await orgs.memberships(conn, person_id):
            if own is None or one.org_id != own.id:
                await gone(self._ground, conn, one.org_id, person_id, own=True)
        await store.erase(conn, person_id, now)
        await acts.note(conn, ref(by), "person.erase", f"person:{person_id}", {}, now)
        if own is not None:
            await keys.end_all(conn, own.id, ENDED, now)
        if self._ground.announce is None:
            return
        name = self._ground.open(person_id, "name", row["name_sealed"]) or ""
        payload = {
            "org_id": str(own.id) if own is not None else None,
            "payer": self._ground.vault.blind_index(PAYER_INDEX, payer_key(name)).hex() if name else None,
        }
        await self._ground.announce(conn, ERASED_TOPIC, str(person_id), payload)

    async def _leave_owned(self, conn: Any, left: Sequence[Any]) -> None:
        """Where nobody is an owner any more, the city hears of it."""
        if self._ground.announce is not None:
            for row in left:
                await self._ground.announce(conn, OWNERLESS_TOPIC, str(new_id()), {"org": str(row["id"])})

    async def finish_erasures(self) -> int:
        """Destroy keys that a process left behind when it died between the two steps of an erasure, and erase again
        whom a restored database has brought back although their key is destroyed; how many."""
        left = await store.keys_left(self._ground.db, LEFT_MAX)
        for person_id in left:
            await self._destroy_key(person_id)
        back = await store.brought_back(self._ground.db, self._ground.vault.destroyed())
        for person_id in back:
            await self._erase_again(person_id)
        return len(left) + len(back)

    async def _destroy_key(self, person_id: UUID) -> None:
        self._ground.vault.destroy(person_id)
        await store.key_destroyed(self._ground.db, person_id, self._ground.now())

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _checked(self, fields: Mapping[str, Any]) -> dict[str, str | None]:
        checked: dict[str, str | None] = {}
        for name, text in fields.items():
            if name == "name":
                checked[name] = clean("name", str(text or ""), NAME_MAX)
            elif text in (None, ""):
                checked[name] = None
            else:
                KEY_OF[name](str(text))  # refuses what could never be looked up
                checked[name] = clean(name, str(text), 254)
        return checked

    def _index(self, name: str, text: str | None) -> bytes | None:
        if text is None or name not in KEY_OF:
            return None
        return self._ground.vault.blind_index(name, KEY_OF[name](text))

    def _person(
        self, row: Any, categories: tuple[Category, ...] = (), city_roles: frozenset[Role] = frozenset()
    ) -> Person:
        opened = {name: self._ground.open(row["id"], name, row[f"{name}_sealed"]) for name in store.FIELDS}
        return Person(
            id=row["id"],
            state=PersonState(row["state"]),
            language=row["language"],
            name=opened["name"] or "",
            login=opened["login"],
            email=opened["email"],
            phone=opened["phone"],
            email_verified=row["email_verified"],
            created_at=row["created_at"],
            cap_group=row["cap_group"],
            categories=categories,
            city_roles=city_roles,
        )

    @staticmethod
    async def _standing(conn: Any, person_id: UUID) -> Any:
        row = await store.get(conn, person_id, lock=True)
        if row is None:
            raise Unknown("person", "人员")
        if row["state"] == PersonState.ERASED:
            raise Conflict("person_erased", "This person's data was erased.", message_zh="此人的数据已清除。")
        return row

    @staticmethod
    async def _not_the_last_admin(conn: Any, person_id: UUID, role: Role) -> None:
        if role == Role.ADMIN and await store.holders(conn, role) == [person_id]:
            raise LastOfItsKind("administrator", "管理员")


def _ref(person_id: UUID) -> str:
    """How a person's own doings are written down (`Actor.ref`)."""
    return f"person:{person_id}"


def _registered(row: Any) -> dict[str, Any] | None:
    """A registration of one's own, for the person's copy."""
    return row and {name: row[name] for name in ("state", "notice_version", "created_at", "decided_at")}


def _city_role(role: Role) -> None:
    if role not in CITY_ROLES:
        raise Invalid("bad_role", "In the city one is operator, auditor or admin.", message_zh="城市角色不合法。")


def _language(text: Any) -> str:
    if text not in LANGUAGES:
        raise Invalid("bad_language", "The language is zh-CN or en.", message_zh="语言应为 zh-CN 或 en。")
    return str(text)


def _taken(error: asyncpg.UniqueViolationError) -> Taken:
    return Taken("e-mail address", "邮箱") if "email" in str(error.constraint_name) else Taken("login", "登录名")
