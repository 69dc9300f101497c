"""Invitations into organisations: an owner asks, the person answers, and until then nothing is granted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.identity.arrival_model import Invitation, InvitationState
from shanhe.identity.errors import InvitationOver, OrgTakesNobody, PermissionMissing, TooManyOfThem, Unknown
from shanhe.identity.model import Member, Organisation, OrgKind, OrgState, PersonState, Role, permissions_of
from shanhe.identity.names import EMAIL_MAX
from shanhe.identity.service.base import By, Ground, ref
from shanhe.identity.service.endings import ANSWERED_TOPIC, NAMING, lapse
from shanhe.identity.service.orgs import Organisations, active, in_org
from shanhe.identity.store import arrivals as store
from shanhe.identity.store import keys, orgs, people
from shanhe.kernel import acts
from shanhe.kernel.errors import Conflict, Invalid

VALID_DAYS: Final = 14
PENDING_MAX: Final = 200
FIELD: Final = "called"
ROTATED: Final = "rotated"
INVITED_TOPIC: Final = "identity.invited"
"""Key: the invitation; payload: `person`, `org`."""


class Invitations:
    def __init__(self, ground: Ground, organisations: Organisations) -> None:
        self._ground = ground
        self._organisations = organisations

    async def invite(
        self, invitation_id: UUID, org_id: UUID, person_id: UUID, role: Role = Role.MEMBER, *,
        department_id: UUID | None = None, called: str = "", by: By,
    ) -> Invitation:  # fmt: skip
        """Ask a person to become a member; the pending invitation when there is one. `called` is the name by which the
        asking person knows them."""
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            _takes_members(await in_org(conn, org_id, role, department_id))
            if not await self._may_ask(conn, ref(by), org_id):
                raise PermissionMissing("members")
            await active(conn, person_id)
            sealed = self._ground.seal(person_id, FIELD, called[:EMAIL_MAX]) if called else None
            if await orgs.member(conn, org_id, person_id) is not None:
                raise Conflict("member_already", "This person is a member already.", message_zh="此人已是本机构成员。")
            await lapse(self._ground, conn, org_id)
            if len(await store.pending(conn, now, org_id=org_id, limit=PENDING_MAX)) >= PENDING_MAX:
                raise TooManyOfThem("pending invitations", PENDING_MAX)
            until = now + timedelta(days=VALID_DAYS)
            if await store.invite(
                conn, invitation_id, org_id, person_id, role, department_id, sealed, ref(by), now, until
            ):
                await acts.note(
                    conn, ref(by), "member.invite", f"person:{person_id}", {"role": role}, now, org_id=org_id
                )
                await self._announce(conn, INVITED_TOPIC, invitation_id, {"person": str(person_id), "org": str(org_id)})
            found = await store.pending(conn, now, org_id=org_id, person_id=person_id, limit=1)
        if not found:  # the id is another invitation's
            raise InvitationOver()
        return (await self._shown(found[:1]))[0]

    async def invites(self, org_id: UUID) -> None:
        """Whether anybody can be asked at all, before it is looked up who: Unknown, Invalid, OrgTakesNobody."""
        _takes_members(await self._organisations.get(org_id))

    async def of_org(self, org_id: UUID) -> Sequence[Invitation]:
        """What waits for an answer, as the organisation may see it: without the people's names."""
        return await self._shown(
            await store.pending(self._ground.db, self._ground.now(), org_id=org_id, limit=PENDING_MAX)
        )

    async def of_person(self, person_id: UUID) -> Sequence[Invitation]:
        """What a person can answer."""
        return await self._shown(
            await store.pending(self._ground.db, self._ground.now(), person_id=person_id, limit=PENDING_MAX)
        )

    async def accept(self, invitation_id: UUID, person_id: UUID, *, by: By) -> Invitation:
        """Become a member, as was asked; again changes nothing. InvitationOver when it is no longer to be had."""
        return await self._answer(invitation_id, InvitationState.ACCEPTED, by, person_id=person_id)

    async def decline(self, invitation_id: UUID, person_id: UUID, *, by: By) -> Invitation:
        return await self._answer(invitation_id, InvitationState.DECLINED, by, person_id=person_id)

    async def withdraw(self, invitation_id: UUID, org_id: UUID, *, by: By) -> Invitation:
        """Take back what was not answered yet."""
        return await self._answer(invitation_id, InvitationState.WITHDRAWN, by, org_id=org_id)

    async def _answer(
        self, invitation_id: UUID, state: InvitationState, by: By, *,
        person_id: UUID | None = None, org_id: UUID | None = None,
    ) -> Invitation:  # fmt: skip
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            row = await store.invitation(conn, invitation_id)
            if (
                row is None
                or row["person_id"] != (person_id or row["person_id"])
                or (row["org_id"] != (org_id or row["org_id"]))
            ):
                raise Unknown("invitation", "邀请")
            org = await orgs.get(conn, row["org_id"], lock=True)  # one after the other with what owners do
            assert org is not None
            if state is InvitationState.ACCEPTED:
                await active(conn, row["person_id"])  # before the invitation, as an erasure does
            row = await store.invitation(conn, invitation_id, lock=True)
            if row is None:
                raise Unknown("invitation", "邀请")
            if row["state"] != state:
                if row["state"] != InvitationState.PENDING or row["expires_at"] <= now:
                    raise InvitationOver()
                if state is InvitationState.ACCEPTED:
                    _takes_members(org)
                    if not await self._may_ask(conn, row["invited_by"], org.id):
                        raise InvitationOver()
                await self._do(conn, row, state, by)
            row = await store.invitation(conn, invitation_id)
        return (await self._shown([row]))[0]

    async def _do(self, conn: Any, row: Any, state: InvitationState, by: By) -> None:
        now, org_id, person_id = self._ground.now(), row["org_id"], row["person_id"]
        await store.answer(conn, row["id"], state, now)
        if state is InvitationState.ACCEPTED and await orgs.member(conn, org_id, person_id) is None:
            await orgs.put_member(conn, Member(org_id, person_id, Role(row["role"]), row["department_id"]), now)
        await acts.note(
            conn, ref(by), f"member.{state}", f"person:{person_id}", {"role": row["role"]}, now, org_id=org_id
        )
        await self._announce(conn, ANSWERED_TOPIC, row["id"], {"org": str(org_id), "state": state})

    async def _may_ask(self, conn: Any, by: str, org_id: UUID) -> bool:
        """Whether who asks, or asked, may name members there today; trusted code always may."""
        kind, _, text = by.partition(":")
        if kind == "key":
            key = await keys.get(conn, UUID(text), None)
            if key is None or (key.revoked_at is not None and key.revoked_reason != ROTATED):
                return False
            maker = key.created_by
            return maker is None or await self._names(conn, maker, org_id)
        return kind != "person" or await self._names(conn, UUID(text), org_id)

    async def _names(self, conn: Any, person_id: UUID, org_id: UUID) -> bool:
        """An owner names its people; the city's officers the first owner alone."""
        held = NAMING & await self._permissions(conn, person_id, org_id)
        if "members" in held or not held:
            return bool(held)
        return not any(member.role == Role.OWNER for member in await orgs.members(conn, org_id))

    @staticmethod
    async def _permissions(conn: Any, person_id: UUID, org_id: UUID) -> frozenset[str]:
        row, member = await people.get(conn, person_id), await orgs.member(conn, org_id, person_id)
        if row is None or row["state"] != PersonState.ACTIVE:
            return frozenset()
        roles = await people.city_roles(conn, person_id)
        return permissions_of(roles | {member.role} if member is not None else roles)

    async def _announce(self, conn: Any, topic: str, invitation_id: UUID, payload: dict[str, str]) -> None:
        if self._ground.announce is not None:
            await self._ground.announce(conn, topic, str(invitation_id), payload)

    async def _shown(self, rows: Sequence[Any]) -> list[Invitation]:
        names = await self._organisations.names({row["org_id"] for row in rows})
        return [
            Invitation(
                row["id"], row["org_id"], names[row["org_id"]], row["person_id"], Role(row["role"]),
                row["department_id"], self._ground.open(row["person_id"], FIELD, row["called_sealed"]) or "",
                InvitationState(row["state"]), row["created_at"], row["expires_at"],
            )
            for row in rows
        ]  # fmt: skip


def _takes_members(org: Organisation) -> None:
    """Invalid for a person's own, OrgTakesNobody for a frozen one."""
    if org.kind == OrgKind.PERSON:
        raise Invalid("one_person", "A person's organisation has one member.", message_zh="个人账户只有本人一名成员。")
    if org.state == OrgState.FROZEN:
        raise OrgTakesNobody()
