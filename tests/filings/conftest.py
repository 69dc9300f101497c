"""Filings over a fresh database with the real rulebook; receipts that exist, and whose people are related to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shanhe.filings.api import AlgorithmKind, Filings, NewAlgorithm, Subject
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import NotFound
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import Vault
from shanhe.rulebook.api import Rulebook

RULES = Rulebook.load()
RECEIPT = UUID(int=77)
LISTING, MAKER = "agent/imitation", UUID(int=4)
PERSON, PERSONAL_ORG, COMPANY = (UUID(int=n) for n in (1, 2, 3))


@dataclass
class Desk:
    """`told` is what went into the transparency log; `kin` who is related to whom."""

    db: Database
    clock: FixedClock
    vault: Vault
    filings: Filings
    notifier: Notifier
    told: list[tuple[str, Any]] = field(default_factory=list)
    kin: set[tuple[UUID, UUID]] = field(default_factory=set)


def new(subject: str = "model/tuned-1", **given: Any) -> NewAlgorithm:
    base = {
        "id": new_id(), "subject": subject, "name_zh": "文旅问答模型", "name_en": "Culture and tourism answers",
        "operator": "青山机器人", "kind": AlgorithmKind.GENERATION, "purpose_zh": "回答游客提问",
        "purpose_en": "Answers visitors", "sources_zh": "公开景区资料", "sources_en": "Public data of sights",
    }  # fmt: skip
    return NewAlgorithm(**base | given)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    clock, vault = FixedClock(datetime(2026, 11, 20, 2, 0, tzinfo=UTC)), Vault(tmp_path / "keys")
    vault.create(PERSON)
    told: list[tuple[str, Any]] = []
    kin: set[tuple[UUID, UUID]] = set()

    async def entry(conn: Any, kind: str, public: Any, private: Any = None) -> None:
        told.append((kind, public))

    async def people_of(orgs: Sequence[UUID]) -> dict[UUID, UUID]:
        return {org: PERSON for org in orgs if org == PERSONAL_ORG}

    async def model_of(receipt: UUID) -> str:
        if receipt != RECEIPT:
            raise NotFound("unknown_receipt", "There is no such receipt.", message_zh="没有该凭据。")
        return "good"

    async def remove(name: str, conn: Any) -> None:
        told.append(("removed", name))

    async def subject_of(name: str) -> Subject:
        if name != LISTING:
            raise NotFound("unknown_listing", "There is no such listing.", message_zh="没有该上架项。")
        return Subject(MAKER, f"/makers/{name}")

    async def concerned(person: UUID, org: UUID) -> bool:
        return (person, org) in kin

    notifier = Notifier(database, clock)
    filings = Filings(
        database, clock, vault, parameter=partial(RULES.parameter, "P9_filing"),
        evaluate=lambda facts, on: RULES.evaluate("P9_filing", facts, on=on), seals=Seals(vault, people_of),
        notifier=notifier, model_of=model_of, subject_of=subject_of, concerned=concerned, remove=remove, entry=entry,
    )  # fmt: skip
    return Desk(database, clock, vault, filings, notifier, told, kin)
