"""Open science as plain data: for HTTP, CLI and pages alike."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from shanhe.kernel.clock import city_date
from shanhe.science.cite import Cited
from shanhe.science.model import Deposit, Reuse, State, Version
from shanhe.science.service import Science


async def deposit_view(science: Science, found: Deposit, reused: int = 0) -> dict[str, Any]:
    """What everybody may read of a published deposit: its current version and how often it was reused."""
    version = found.current or found.versions[0]
    return {
        "id": found.id, "name": found.name, "kind": found.kind, "state": found.state, "retraction": found.retraction,
        "retracted_at": found.retracted_at, "reused": reused, **await _version(science, version),
    }  # fmt: skip


async def own_view(science: Science, found: Deposit, org_id: UUID | None) -> dict[str, Any]:
    """All of a deposit for its parties: versions, the open draft, who has not agreed yet."""
    draft = found.draft
    return {
        **await deposit_view(science, found), "dataset": found.dataset, "mine": org_id == found.org_id,
        "asked": draft is not None and org_id in draft.waiting, "draft": draft is not None,
        "waiting": [await science.name_of(party) for party in draft.waiting] if draft else [],
        "versions": [await _version(science, one) for one in found.versions],
    }  # fmt: skip


async def reuse_view(science: Science, one: Reuse, *, whole: bool = False) -> dict[str, Any]:
    """A reuse. Only those who have a part in it read why it was decided so, a person's name, and what the city knows of
    a model that nobody declared.
    """
    deposit = await science.get(one.deposit, one.org_id)
    hidden = not whole and await science.personal(one.org_id)
    shown = asdict(one) | {
        "by": "" if hidden else await science.name_of(one.org_id),
        "ref": one.ref if whole or one.source == "declared" else "", "deposit_name": deposit.name,
        "deposit_title": (deposit.current or deposit.versions[0]).title,
    }  # fmt: skip
    return shown if whole else {key: value for key, value in shown.items() if key not in ("reason", "org_id")}


async def cited(science: Science, found: Deposit, *, url: str, publisher: str) -> Cited:
    """A published deposit as a citation says it."""
    version = found.current or found.versions[0]
    authors = [(await science.name_of(party), await science.personal(party)) for party, _ in version.authors]
    return Cited(
        found.name, found.kind, version.title, version.abstract, version.licence, version.n,
        city_date(version.published_at or version.created_at), authors, f"{url}/science/{found.id}", publisher,
        found.state is State.RETRACTED,
    )  # fmt: skip


async def _version(science: Science, one: Version) -> dict[str, Any]:
    return {
        "version": one.n, "title": one.title, "abstract": one.abstract, "licence": one.licence, "sha256": one.sha256,
        "link": one.link, "published_at": one.published_at,
        "authors": [{"party": party, "name": await science.name_of(party), "share_ppm": ppm,
                     "agreed": party in one.agreed} for party, ppm in one.authors],
    }  # fmt: skip
