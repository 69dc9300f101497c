"""Organisations, their departments and members, and what benefit rules ask of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from shanhe.identity.errors import HasAnOwner, LastOwner, Taken, TooManyOfThem, Unknown
from shanhe.identity.model import (
    ORG_ROLES,
    Actor,
    Department,
    Member,
    NewOrganisation,
    Organisation,
    OrgKind,
    OrgState,
    PayerFacts,
    PersonState,
    Role,
)
from shanhe.identity.names import NOTE_MAX, ORG_NAME_MAX, clean
from shanhe.identity.service.base import By, Ground, ref
from shanhe.identity.service.endings import UNFROZEN_TOPIC, freeze_ends, take_back
from shanhe.identity.store import orgs as store
from shanhe.identity.store import people
from shanhe.kernel import acts
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal, Seals

PAGE_MAX = 500
REASON_FIELD = "organisation.frozen_reason"
LEFT_TOPIC = "identity.member_left"
"""Somebody is no member any more; payload: `org`, `person`, and `own`, whether that was their own doing."""
DEPARTMENTS_MAX = 1_000
MEMBERS_MAX = 10_000
EDITABLE = frozenset(
    {"name", "registration", "locally_registered", "local_verified", "data_company", "data_class", "cap_group"}
)


class Organisations:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def create(self, new: NewOrganisation, *, owner: UUID | None = None, by: By) -> Organisation:
        """An organisation, with `owner` as its first member; Taken when its registration number is known."""
        if new.kind == OrgKind.PERSON:
            raise Invalid("bad_kind", "A person's organisation is made by `create_personal`.")
        new = replace(
            new,
            name=clean("name", new.name, ORG_NAME_MAX),
            registration=clean("registration", new.registration, 64) if new.registration else None,
        )
        now, org_id = self._ground.now(), new_id()
        try:
            async with self._ground.db.transaction() as conn:
                org = await store.insert(conn, org_id, new, person_id=None, now=now)
                if owner is not None:
                    await active(conn, owner)
                    await store.put_member(conn, Member(org_id, owner, Role.OWNER, None), now)
                await acts.note(conn, ref(by), "org.create", f"org:{org_id}", {"kind": new.kind}, now, org_id=org_id)
        except asyncpg.UniqueViolationError as error:
            raise Taken("registration number", "登记号") from error
        return org

    async def create_personal(self, person_id: UUID, *, by: By) -> Organisation:
        """The organisation of one person; the standing one when there is one. Its name stays sealed with the person."""
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            await active(conn, person_id)
            org = await store.of_person(conn, person_id)
            if org is None:
                new = NewOrganisation(OrgKind.PERSON, "")
                org = await store.insert(conn, new_id(), new, person_id=person_id, now=now)
                await store.put_member(conn, Member(org.id, person_id, Role.OWNER, None), now)
                await acts.note(conn, ref(by), "org.create", f"org:{org.id}", {"kind": "person"}, now, org_id=org.id)
        return (await self._named([org]))[0]

    async def get(self, org_id: UUID) -> Organisation:
        """Unknown when there is none."""
        return (await self._named([_found(await store.get(self._ground.db, org_id))]))[0]

    async def names(self, org_ids: Collection[UUID]) -> dict[UUID, str]:
        """What each of these is called, as far as there are such; two questions however many they are."""
        return {org.id: org.name for org in await self._named(await store.of_ids(self._ground.db, org_ids))}

    async def people(self, org_ids: Collection[UUID]) -> dict[UUID, UUID | None]:
        """The person that each of these is, where it is an organisation of one; one question."""
        return {org.id: org.person_id for org in await store.of_ids(self._ground.db, org_ids)}

    async def companies_among(self, org_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these are companies; one question."""
        return await store.of_kind(self._ground.db, org_ids, OrgKind.COMPANY)

    async def by_registration(self, number: str) -> Organisation | None:
        """Whoever is registered under this number, exactly as written; None for nobody."""
        found = await store.by_registration(self._ground.db, number)
        return (await self._named([found]))[0] if found is not None else None

    async def list(
        self, *, kind: OrgKind | None = None, find: str | None = None, before: UUID | None = None, limit: int = 100
    ) -> Sequence[Organisation]:
        """Newest first; `find` is part of a public name (persons' names are sealed and can't be searched)."""
        wanted = clean("find", find, ORG_NAME_MAX) if find else None
        found = await store.page(
            self._ground.db, kind=kind, find=wanted, before=before, limit=min(max(limit, 1), PAGE_MAX)
        )
        return await self._named(found)

    async def begun(self) -> tuple[UUID | None, UUID | None]:
        """Of organisations of several people: the newest, and the newest that has an owner."""
        row = await store.begun(self._ground.db)
        return row["newest"], row["owned"]

    async def of_person(self, person_id: UUID) -> Sequence[tuple[Organisation, Role]]:
        """Where a person is a member, oldest membership first."""
        roles = {member.org_id: member.role for member in await store.memberships(self._ground.db, person_id)}
        known = {org.id: org for org in await self._named(await store.of_ids(self._ground.db, roles))}
        return [(known[org_id], role) for org_id, role in roles.items()]

    async def edit(self, org_id: UUID, changes: Mapping[str, Any], *, by: By) -> Organisation:
        """Change the fields in EDITABLE."""
        if not changes or not set(changes) <= EDITABLE:
            raise Invalid(
                "unknown_field",
                f"Only {', '.join(sorted(EDITABLE))} can be changed.",
                message_zh="包含不可修改的字段。",
            )
        checked = dict(changes)
        if "name" in checked:
            checked["name"] = clean("name", checked["name"] or "", ORG_NAME_MAX)
        if "registration" in checked:
            checked["registration"] = clean("registration", given, 64) if (given := checked["registration"]) else None
        async with self._ground.db.transaction() as conn:
            org = _found(await store.get(conn, org_id, lock=True))
            if org.kind == OrgKind.PERSON:
                checked.pop("name", None)
            try:
                org = await store.update(conn, replace(org, **checked))
            except asyncpg.UniqueViolationError as error:
                raise Taken("registration number", "登记号") from error
            await acts.note(
                conn,
                ref(by),
                "org.edit",
                f"org:{org_id}",
                {"fields": sorted(checked)},
                self._ground.now(),
                org_id=org_id,
            )
        return (await self._named([org]))[0]

    async def freeze(self, org_id: UUID, reason: str, *, by: By) -> Organisation:
        """Stop the organisation's keys within a second; nothing is deleted."""
        return await self._switch(org_id, OrgState.FROZEN, clean("reason", reason, NOTE_MAX, lines=True), by)

    async def unfreeze(self, org_id: UUID, *, by: By) -> Organisation:
        return await self._switch(org_id, OrgState.ACTIVE, None, by)

    async def _switch(self, org_id: UUID, state: OrgState, reason: str | None, by: By) -> Organisation:
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            org = _found(await store.get(conn, org_id, lock=True))
            frozen_at = now if state == OrgState.FROZEN else None
            said = self._seal(org.person_id).text(REASON_FIELD, reason) if reason else reason
            org = await store.update(conn, replace(org, state=state, frozen_reason=said, frozen_at=frozen_at))
            if state == OrgState.FROZEN:
                await freeze_ends(self._ground, conn, org_id)
            elif self._ground.announce is not None:
                await self._ground.announce(conn, UNFROZEN_TOPIC, str(new_id()), {"org": str(org_id)})
            action = "org.freeze" if state == OrgState.FROZEN else "org.unfreeze"
            details = {"reason": reason} if said == reason else {}
            await acts.note(conn, ref(by), action, f"org:{org_id}", details, now, org_id=org_id)
        return (await self._named([org]))[0]

    async def payer_facts(self, org_id: UUID, on: date | None = None) -> PayerFacts:
        """What benefit rules (P1) ask of an organisation on a day."""
        org = _found(await store.get(self._ground.db, org_id))
        if org.person_id is not None:
            row = await people.get(self._ground.db, org.person_id)
            day = on or self._ground.clock.today()
            categories = await people.standing_categories(self._ground.db, org.person_id, day)
            beneficiary = row["cap_group"] or org.person_id
        else:
            local = org.locally_registered and org.local_verified
            company = org.kind == OrgKind.COMPANY and local
            categories = ("local_company",) if company else ()
            if company and org.data_company:
                categories += ("local_data_company",)
            beneficiary = org.cap_group or org.id
        return PayerFacts(
            org_id, org.kind, beneficiary, categories, org.locally_registered and org.local_verified,
            org.state == OrgState.FROZEN,
        )  # fmt: skip

    # -- departments and members -------------------------------------------------------------------------------------

    async def add_department(self, org_id: UUID, name: str, *, by: By) -> Department:
        department = Department(new_id(), org_id, clean("name", name, ORG_NAME_MAX))
        now = self._ground.now()
        try:
            async with self._ground.db.transaction() as conn:
                _found(await store.get(conn, org_id, lock=True))
                if len(await store.departments(conn, org_id)) >= DEPARTMENTS_MAX:
                    raise TooManyOfThem("departments", DEPARTMENTS_MAX)
                await store.add_department(conn, department, now)
                await acts.note(
                    conn, ref(by), "department.create", f"department:{department.id}", {}, now, org_id=org_id
                )
        except asyncpg.UniqueViolationError as error:
            raise Taken("department", "部门名称") from error
        return department

    async def departments(self, org_id: UUID) -> Sequence[Department]:
        return await store.departments(self._ground.db, org_id)

    async def set_member(
        self, org_id: UUID, person_id: UUID, role: Role = Role.MEMBER, *, department_id: UUID | None = None, by: By
    ) -> Member:
        """Make a person a member, or change the member's role or department. Whom a falling owner invited is no
        longer; neither is the person who is a member now."""
        now, member = self._ground.now(), Member(org_id, person_id, role, department_id)
        async with self._ground.db.transaction() as conn:
            org = await in_org(conn, org_id, role, department_id)
            if org.kind == OrgKind.PERSON and person_id != org.person_id:
                raise Invalid(
                    "one_person", "A person's organisation has one member.", message_zh="个人机构只有一名成员。"
                )
            await active(conn, person_id)
            await self._keeps_an_owner(conn, org_id, person_id, role)
            await store.put_member(conn, member, now)
            await take_back(self._ground, conn, org_id=org_id, person_id=person_id)
            if role != Role.OWNER:
                await take_back(self._ground, conn, org_id=org_id, by=f"person:{person_id}")
            await acts.note(conn, ref(by), "member.set", f"person:{person_id}", {"role": role}, now, org_id=org_id)
        return member

    async def remove_member(self, org_id: UUID, person_id: UUID, *, by: By) -> None:
        """End a membership, and with it whatever invitation that person gave or has in the organisation."""
        async with self._ground.db.transaction() as conn:
            await self._end_membership(conn, org_id, person_id, "member.remove", by)
            own = isinstance(by, Actor) and by.person_id == person_id
            await gone(self._ground, conn, org_id, person_id, own=own)

    async def leave(self, org_id: UUID, person_id: UUID, *, by: By) -> None:
        """End one's own membership; LastOwner for the last owner. The organisation is told that somebody left."""
        async with self._ground.db.transaction() as conn:
            await self._end_membership(conn, org_id, person_id, "member.leave", by)
            await gone(self._ground, conn, org_id, person_id, own=True)

    async def _end_membership(self, conn: Any, org_id: UUID, person_id: UUID, action: str, by: By) -> None:
        now, org = self._ground.now(), await store.get(conn, org_id, lock=True)
        if org is None or await store.member(conn, org_id, person_id) is None:
            raise Unknown("member", "成员")
        if org.kind == OrgKind.PERSON:
            raise Invalid("one_person", "A person's organisation has one member, who stays.",
                          message_zh="个人账户只有本人一名成员，不能退出或移除。")  # fmt: skip
        await self._keeps_an_owner(conn, org_id, person_id, None)
        await store.remove_member(conn, org_id, person_id)
        await take_back(self._ground, conn, org_id=org_id, by=f"person:{person_id}")
        await take_back(self._ground, conn, org_id=org_id, person_id=person_id)
        await acts.note(conn, ref(by), action, f"person:{person_id}", {}, now, org_id=org_id)

    async def is_member(self, org_id: UUID, person_id: UUID) -> bool:
        return await store.member(self._ground.db, org_id, person_id) is not None

    async def no_owner(self, org_id: UUID) -> None:
        """HasAnOwner, where it is for the organisation itself to say who acts for it."""
        if any(member.role == Role.OWNER for member in await store.members(self._ground.db, org_id)):
            raise HasAnOwner()

    async def share_a_member(self, one: UUID, other: UUID) -> bool:
        """Whether somebody is a member of both."""
        return await store.share_a_member(self._ground.db, one, other)

    async def members(self, org_id: UUID) -> Sequence[Member]:
        """Members with their names."""
        found = await store.members(self._ground.db, org_id)
        sealed = await people.names(self._ground.db, [member.person_id for member in found])
        return [
            replace(member, name=self._ground.open(member.person_id, "name", sealed.get(member.person_id)) or "")
            for member in found
        ]

    async def _keeps_an_owner(self, conn: Any, org_id: UUID, person_id: UUID, role: Role | None) -> None:
        owners = {member.person_id for member in await store.members(conn, org_id) if member.role == Role.OWNER}
        if owners == {person_id} and role != Role.OWNER:
            raise LastOwner

    def _seal(self, person_id: UUID | None) -> Seal:
        return Seals(self._ground.vault).of_person(person_id)

    async def _named(self, found: Sequence[Organisation]) -> Sequence[Organisation]:
        ids = [org.person_id for org in found if org.person_id is not None]
        sealed = await people.names(self._ground.db, ids) if ids else {}
        return [
            replace(
                org,
                name=self._ground.open(org.person_id, "name", sealed.get(org.person_id)) or "",
                frozen_reason=self._seal(org.person_id).open(REASON_FIELD, org.frozen_reason)
                if org.frozen_reason
                else org.frozen_reason,
            )
            if org.person_id is not None
            else org
            for org in found
        ]


async def gone(ground: Ground, conn: Any, org_id: UUID, person_id: UUID, *, own: bool) -> None:
    """Say that somebody is no member any more."""
    if ground.announce is not None:
        payload = {"org": str(org_id), "person": str(person_id), "own": own}
        await ground.announce(conn, LEFT_TOPIC, str(new_id()), payload)


async def active(conn: Any, person_id: UUID) -> None:
    """Unknown unless the person is there and may act; until the transaction ends nobody suspends or erases them."""
    row = await people.get(conn, person_id, lock=True)
    if row is None or row["state"] != PersonState.ACTIVE:
        raise Unknown("person", "人员")


async def in_org(conn: Any, org_id: UUID, role: Role, department_id: UUID | None) -> Organisation:
    """The organisation, locked, when somebody can be `role` in it and its department."""
    if role not in ORG_ROLES:
        raise Invalid(
            "bad_role", "In an organisation one is owner or member.", message_zh="机构角色只能为负责人或成员。"
        )
    org = _found(await store.get(conn, org_id, lock=True))
    if department_id is not None and await store.department(conn, org_id, department_id) is None:
        raise Unknown("department", "部门")
    return org


def _found(org: Organisation | None) -> Organisation:
    if org is None:
        raise Unknown("organisation", "机构")
    return org
