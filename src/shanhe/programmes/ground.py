"""What every part of programmes stands on, and the parties it deals with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from shanhe.facts.api import Facts
from shanhe.identity.api import AUTOMATED, Identity, OrgKind, OrgState, Unknown
from shanhe.kernel.asking import Announce, Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from shanhe.programmes import store
from shanhe.programmes.cases import Application, Outcome, Party
from shanhe.programmes.errors import UnknownProgramme
from shanhe.programmes.model import Catalogue, Programme
from shanhe.programmes.sealing import seal
from shanhe.rulebook.api import Rulebook

ENTRY_KIND = "programme.decided"


@dataclass(frozen=True)
class Ground:
    db: Database
    clock: Clock
    vault: Vault
    ledger: Ledger
    rulebook: Rulebook
    facts: Facts
    identity: Identity
    notifier: Notifier
    catalogue: Catalogue
    announce: Announce
    entry: Record | None = None

    def now(self) -> datetime:
        return self.clock.now()

    def today(self) -> date:
        return self.clock.today()

    def programme(self, name: str) -> Programme:
        """UnknownProgramme when there is none."""
        found = self.catalogue.programmes.get(name)
        if found is None:
            raise UnknownProgramme(name)
        return found

    async def write_decision(
        self, conn: Any, app: Application, kind: str, outcome: Outcome, content: Mapping[str, Any], *, actor: str
    ) -> None:
        """A decision with its reasons and traces, sealed for people; the log shows that it was made and by which rules.

        What the log hides names the application and the content's hash only, and goes when its applicant is erased.
        """
        stored = seal(self.vault, app.person_id, content)
        decision = await store.insert_decision(conn, app.id, kind, self.now(), actor, outcome.versions, stored)
        if self.entry is None:
            return
        public = {"programme": app.programme, "decision": kind,
                  "rules": [f"{rule}@{version}" for rule, version in sorted(outcome.versions.items())]}  # fmt: skip
        plain = msgspec.json.encode(content, order="sorted")
        private = {"id": str(decision), "application": str(app.id), "by": actor,
                   "content_sha256": hashlib.sha256(plain).hexdigest()}  # fmt: skip
        await self.entry(conn, ENTRY_KIND, public, private, id=decision, about=sorted({app.org_id, app.subject}))

    async def party(self, org_id: UUID) -> Party:
        """An organisation, or the person behind an organisation of one."""
        org = await self.identity.orgs.get(org_id)
        kind = "person" if org.kind is OrgKind.PERSON else str(org.kind)
        return Party(org.id, org.person_id or org.id, kind, org.name, org.person_id, org.state is OrgState.FROZEN)

    async def find(self, word: str, *, asked_by: UUID | None = None) -> UUID:
        """An organisation by id or registration number, a person's by login; Unknown for anything else. Names that
        nobody has are tried by an applicant (`asked_by`) no more often than passwords are; SignInLocked."""
        try:
            return (await self.identity.orgs.get(UUID(word))).id
        except ValueError:
            pass
        org = await self.identity.orgs.by_registration(word)
        if org is not None:
            return org.id
        attempts = self.identity.attempts
        bucket = [attempts.bucket("party", str(asked_by))] if asked_by is not None else []
        await attempts.begin(bucket)
        person = await self.identity.people.by_name(word)
        if person is None:
            raise Unknown(
                "party", "主体", hint="Give an organisation's id or registration number, or a person's login.",
                hint_zh="请填写机构的编号或登记号，或个人的登录名。",
            )  # fmt: skip
        await attempts.succeeded(bucket)
        return (await self.identity.orgs.create_personal(person, by="system")).id

    async def by_people(self, party: Party) -> bool:
        """Whether a person refuses to be judged by rules alone (PIPL 24); then somebody of the department decides."""
        return party.person_id is not None and await self.identity.consents.refused(party.person_id, AUTOMATED)

    async def conflict(self, person_id: UUID, party: Party, on: date) -> tuple[str, str] | None:
        """Why a person may not decide about a party (R0), in both languages; None when nothing stands against it."""
        if person_id == party.person_id:
            return "申请人是您本人", "the applicant is you"
        if party.person_id is None:
            members = await self.identity.orgs.members(party.org_id)
            if any(member.person_id == person_id for member in members):
                return "您是申请单位的成员", "you are a member of the applicant"
        found = await self.facts.related(person_id, party.subject, on=on)
        return (found.zh, found.en) if found is not None else None
