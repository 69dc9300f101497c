"""What goes on in an organisation when the person who made it is gone, gathered from the modules where it lies.

Nothing is kept here: a thing is left behind because its maker is no member, and is not any more once somebody has it or
it has ended. What acts by the leaver's own word alone (connected apps, the keys of their sessions) ends with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from uuid import UUID

from shanhe.identity.api import (
    LEFT_TOPIC,
    OWN_NAME,
    Actor,
    Fate,
    LeavesBehind,
    Left,
    LeftKind,
    Role,
    Settled,
    TakesOwn,
    Unknown,
)
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.outbox import Event, Outbox

if TYPE_CHECKING:
    from shanhe.identity.api import By, Identity
    from shanhe.kernel.clock import Clock
    from shanhe.oauth.api import OAuth
    from shanhe.webhooks.api import Webhooks
    from shanhe.workflows.api import Workflows

ACTOR: Final = "leavings"
TRIGGERS: Final = (LeftKind.HOOK, LeftKind.SCHEDULE)


class Leavings:
    """See `identity.left_model.Leaving`."""

    def __init__(
        self, identity: Identity, oauth: OAuth, webhooks: Webhooks, workflows: Workflows, clock: Clock
    ) -> None:
        self._identity = identity
        self._oauth = oauth
        self._webhooks = webhooks
        self._workflows = workflows
        self._clock = clock

    async def of(self, org_id: UUID, person_id: UUID | None = None) -> Sequence[Left]:
        if person_id is not None:
            found = [one for one in await self._everything(org_id) if one.person_id == person_id]
            if not await self._identity.orgs.is_member(org_id, person_id):
                return found
            return await self._lasting(org_id, found)
        return await self._of_those_gone(org_id)

    async def leavers(self, org_id: UUID) -> set[UUID]:
        return {one.person_id for one in await self._lasting(org_id, await self._everything(org_id))}

    async def _of_those_gone(self, org_id: UUID) -> Sequence[Left]:
        here = {one.person_id for one in await self._identity.orgs.members(org_id)}
        city = set(await self._identity.people.holders(Role.OPERATOR, Role.ADMIN))  # they make keys for others
        return [one for one in await self._everything(org_id) if one.person_id not in here | city]

    async def settle(
        self, org_id: UUID, kind: LeftKind, left_id: UUID, fate: Fate, *, grace_s: int = 0, by: By
    ) -> Settled:
        for one in await self.of(org_id):
            if (one.kind, one.id) == (kind, left_id):
                return await self._settle(org_id, one, fate, grace_s, by)
        raise Unknown("thing left behind", "遗留项")

    async def remove(
        self, org_id: UUID, person_id: UUID, fate: Fate | None, *, grace_s: int = 0, by: By
    ) -> Sequence[Settled]:
        left = await self.of(org_id, person_id)
        if fate is Fate.TAKE and isinstance(by, Actor) and by.person_id == person_id:
            raise TakesOwn()
        if left and fate is None:
            raise LeavesBehind(len(left))
        await self._identity.orgs.remove_member(org_id, person_id, by=by)
        done = []
        for one in left:  # whatever can't be settled now is listed still: the membership has ended all the same
            try:
                done.append(await self._settle(org_id, one, fate or Fate.LATER, grace_s, by))
            except ShanheError as error:
                done.append(Settled(one, Fate.LATER, one.id, problem=error.code))
        return done

    async def end_own(self, org_id: UUID, person_id: UUID) -> None:
        """What acts for a person who has left an organisation, and for nobody else there."""
        await self._oauth.end_all(person_id, org_id)
        for one in await self._everything(org_id):
            if one.person_id == person_id and self._own(one):
                await self._identity.keys.revoke(one.id, org_id, reason="left", by=ACTOR)

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _lasting(self, org_id: UUID, found: Sequence[Left]) -> list[Left]:
        """What of these does not end with whoever made it."""
        apps = await self._oauth.keys_in(org_id)
        return [one for one in found if one.id not in apps and not self._own(one)]

    async def _everything(self, org_id: UUID) -> list[Left]:
        """All that somebody made there and that goes on by itself, or by a secret that its maker was told."""
        keys = await self._identity.keys.told(org_id)
        makers: dict[str, UUID] = {}
        found = [Left(LeftKind.KEY, key.id, key.name, maker, key.created_at)
                 for key in keys if (maker := key.created_by) is not None]  # fmt: skip
        for hook in await self._webhooks.of(org_id):
            if (person := await self._person(hook.made_by, makers)) is not None:
                host = urlsplit(hook.url).hostname or ""
                found.append(Left(LeftKind.WEBHOOK, hook.id, host, person, hook.made_at))
        for one in await self._workflows.triggers(org_id):
            if (person := await self._person(one.made_by, makers)) is not None:
                found.append(Left(LeftKind(one.kind), one.id, one.slug, person, one.made_at))
        return found

    async def _person(self, ref: str, known: dict[str, UUID]) -> UUID | None:
        """Who made something; a key counts as whoever made it, the program's own parts as nobody."""
        kind, _, number = ref.partition(":")
        if kind == "person":
            return UUID(number)
        if kind != "key":
            return None
        if ref not in known:
            maker = (await self._identity.keys.get(UUID(number))).created_by
            if maker is None:
                return None
            known[ref] = maker
        return known[ref]

    @staticmethod
    def _own(one: Left) -> bool:
        return one.kind is LeftKind.KEY and one.name.startswith(OWN_NAME)

    async def _settle(self, org_id: UUID, one: Left, fate: Fate, grace_s: int, by: By) -> Settled:
        if fate is Fate.LATER:
            return Settled(one, fate, one.id)
        return await (self._take(org_id, one, grace_s, by) if fate is Fate.TAKE else self._end(org_id, one, by))

    async def _take(self, org_id: UUID, one: Left, grace_s: int, by: By) -> Settled:
        ref = by.ref if isinstance(by, Actor) else by
        if one.kind is LeftKind.KEY:
            if (await self._identity.keys.get(one.id, org_id)).successor_id is not None:
                return await self._cut(org_id, one, grace_s, by)
            key, token = await self._identity.keys.rotate(one.id, org_id, grace_s=grace_s, by=by)
            return Settled(one, Fate.TAKE, key.id, token)
        if one.kind is LeftKind.WEBHOOK:
            place = await self._webhooks.hand_over(org_id, one.id, by=ref)
            return Settled(one, Fate.TAKE, place.id, place.secret if place.form == "standard" else "")
        number, secret = await self._workflows.hand_over(org_id, one.kind, one.id, by=ref)
        return Settled(one, Fate.TAKE, number, secret)

    async def _cut(self, org_id: UUID, one: Left, grace_s: int, by: By) -> Settled:
        """Of a key whose successor is taken over nothing is to be had: it ends, with `grace_s` no later than that one's
        old secret."""
        if not grace_s:
            return await self._end(org_id, one, by)
        key, end = await self._identity.keys.get(one.id, org_id), self._clock.now() + timedelta(seconds=grace_s)
        if key.expires_at is None or key.expires_at > end:
            await self._identity.keys.edit(one.id, org_id, {"expires_at": end}, by=by)
        return Settled(one, Fate.LATER, one.id)

    async def _end(self, org_id: UUID, one: Left, by: By) -> Settled:
        if one.kind is LeftKind.KEY:
            await self._identity.keys.revoke(one.id, org_id, reason="left", by=by)
        elif one.kind is LeftKind.WEBHOOK:
            await self._webhooks.remove(org_id, one.id)
        else:
            await self._workflows.end_trigger(org_id, one.kind, one.id)
        return Settled(one, Fate.END, one.id)


def follow_leavings(outbox: Outbox, leavings: Leavings) -> None:
    """End what acts by the word of somebody who has left, wherever they left from."""

    async def left(event: Event) -> None:
        if person := event.payload.get("person"):
            await leavings.end_own(UUID(event.payload["org"]), UUID(person))

    outbox.subscribe(LEFT_TOPIC, "leavings.end", left)
