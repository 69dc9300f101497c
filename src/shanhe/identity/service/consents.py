"""What personal data may be used for: the ledger of consents and objections (PIPL 13–16, 24, 29, 31).

Rows are added and closed, never changed. A consent is to one version of a notice; a person may end it at any time, and
from that moment nothing is read on its strength.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date
from functools import cache
from importlib import resources
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.identity.consent_model import Consent, Lawful, Purpose
from shanhe.identity.errors import ConsentNeedsMore, PurposeRefused, Unknown, UnknownPurpose
from shanhe.identity.model import PersonState
from shanhe.identity.service.base import Ground
from shanhe.identity.store import audit
from shanhe.identity.store import people as store
from shanhe.kernel import yaml
from shanhe.kernel.errors import Conflict

CONSENT: Final = "consent"
AUTOMATED: Final = "automated_decisions"


@cache
def purposes() -> Mapping[str, Purpose]:
    """Everything personal data is used for, by id."""
    text = (resources.files("shanhe.identity") / "purposes.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.read(text), dict[str, Purpose])


def purpose_of(name: str) -> Purpose:
    found = purposes().get(name)
    if found is None:
        raise UnknownPurpose(name)
    return found


IsChild = Callable[[UUID], Awaitable[bool]]


class Consents:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._is_child: IsChild | None = None

    def minors(self, is_child: IsChild) -> None:
        """How to tell that somebody is too young to consent (PIPL 31); set once, in the composition root."""
        self._is_child = is_child

    async def give(
        self, person_id: UUID, name: str, *, notice_version: str, apart: bool = False, given_by: UUID | None = None,
        about: str = "",
    ) -> Consent:  # fmt: skip
        """Consent to a purpose as its notice in force describes it; the standing row when there is one.

        ConsentNeedsMore when the notice is another by now, when it needs no consent, or when sensitive data is not
        consented to apart from everything else.
        """
        purpose = purpose_of(name)
        notice = purpose.notice(self._ground.clock.today())
        if purpose.basis != CONSENT:
            raise ConsentNeedsMore(f"{name} rests on {purpose.article}, not on consent", "该目的依法处理，无需同意")
        if notice_version != notice.version:
            raise ConsentNeedsMore(
                f"the notice in force is version {notice.version}", f"当前告知为第 {notice.version} 版"
            )
        if purpose.sensitive and not apart:
            raise ConsentNeedsMore("sensitive data needs a consent of its own", "敏感个人信息须单独同意")
        if given_by is None and self._is_child is not None and await self._is_child(person_id):
            raise ConsentNeedsMore("a guardian has to consent for a child", "未成年人须由监护人同意")
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            row = await store.get(conn, person_id, lock=True)
            if row is None:
                raise Unknown("person", "人员")
            if row["state"] == PersonState.ERASED:
                raise Conflict("person_erased", "This person's data was erased.", message_zh="此人的数据已清除。")
            given = await audit.consents(conn, person_id)
            standing = next((c for c in given if _stands(c, name) and c.about == about), None)
            if standing is not None and not purpose.counts(standing.notice_version, self._ground.clock.today()):
                # it is succeeded by the one to the new notice
                await audit.withdraw_consent(conn, person_id, name, now, about)
                standing = None
            return standing or await audit.add_consent(
                conn, person_id, name, purpose.basis, purpose.article, notice.version, now, apart, given_by, about
            )

    async def withdraw(self, person_id: UUID, name: str, *, about: str | None = None) -> Consent:
        """End a consent, `about` one thing or to all of a purpose; from now on nothing is done on its strength. Unknown
        when none stands."""
        found = await audit.withdraw_consent(self._ground.db.writes, person_id, name, self._ground.now(), about)
        if found is None:
            raise Unknown("consent", "同意记录")
        return found

    async def of(self, person_id: UUID) -> Sequence[Consent]:
        """Every consent ever given, ended ones too."""
        return await audit.consents(self._ground.db, person_id)

    async def has(self, person_id: UUID, name: str) -> bool:
        """Whether a consent to the purpose counts today."""
        return await self._consent(person_id, name, self._ground.clock.today()) is not None

    async def stands(self, person_id: UUID, consent_id: UUID) -> bool:
        """Whether this very consent counts today."""
        today = self._ground.clock.today()
        return any(
            one.id == consent_id and one.withdrawn_at is None
            and purpose_of(one.purpose).counts(one.notice_version, today)
            for one in await self.of(person_id)
        )  # fmt: skip

    async def refuse(self, person_id: UUID, name: str) -> None:
        """Object to a refusable purpose, like decisions by rules alone (PIPL 24). Again changes nothing."""
        if not purpose_of(name).refusable:
            raise ConsentNeedsMore(f"{name} can't be refused", "该目的不适用拒绝")
        await audit.add_objection(self._ground.db, person_id, name, self._ground.now())

    async def accept(self, person_id: UUID, name: str) -> None:
        """Take an objection back. Again changes nothing."""
        await audit.end_objection(self._ground.db, person_id, purpose_name(name), self._ground.now())

    async def refused(self, person_id: UUID, name: str) -> bool:
        return any(row["ended_at"] is None for row in await audit.objections(self._ground.db, person_id, name))

    async def objections(self, person_id: UUID) -> list[dict[str, Any]]:
        """Every objection ever made, for the person's own copy."""
        return [dict(row) for row in await audit.objections(self._ground.db, person_id, None)]

    async def lawful(self, person_id: UUID, name: str, names: Collection[str] = ()) -> Lawful:
        """On what ground data of a person may be used for a purpose now; PurposeRefused when on none."""
        purpose = purpose_of(name)
        if not purpose.covers(names):
            beyond = ", ".join(sorted(set(names) - purpose.facts)[:5])
            raise PurposeRefused(name, f"it is not for reading {beyond}", f"该目的不包括 {beyond}")
        if purpose.refusable and await self.refused(person_id, name):
            raise PurposeRefused(name, "the person objected", "本人已拒绝")
        if purpose.basis != CONSENT:
            return Lawful(purpose.basis, purpose.article)
        consent = await self._consent(person_id, name, self._ground.clock.today())
        if consent is None:
            raise PurposeRefused(name, "there is no consent", "本人未同意或已撤回")
        return Lawful(CONSENT, purpose.article, consent.id)

    async def _consent(self, person_id: UUID, name: str, on: date) -> Consent | None:
        purpose = purpose_of(name)
        for consent in await self.of(person_id):
            if _stands(consent, name) and purpose.counts(consent.notice_version, on):
                return consent
        return None


def purpose_name(name: str) -> str:
    """The name, if there is such a purpose; UnknownPurpose otherwise."""
    purpose_of(name)
    return name


def _stands(consent: Consent, name: str) -> bool:
    return consent.purpose == name and consent.withdrawn_at is None
