"""Open science as plain data: for HTTP, CLI and pages alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from shanhe.kernel.clock import city_date
from shanhe.science.cite import Cited
from shanhe.science.model import Deposit, Reuse, State, Version
from shanhe.science.service import Science


async def deposit_views(
    science: Science, found: Sequence[Deposit], reused: Mapping[UUID, int] | None = None
) -> list[dict[str, Any]]:
    """What everybody may read of published deposits: their current versions, and how often each was reused."""
    shown = [(one, one.current or one.versions[0]) for one in found]
    names = await science.names({party for _, version in shown for party, _ in version.authors})
    return [_deposit(one, names, (reused or {}).get(one.id, 0)) for one, _ in shown]


async def own_views(science: Science, found: Sequence[Deposit], org_id: UUID | None) -> list[dict[str, Any]]:
    """All of deposits for their parties: versions, the open draft, who has not agreed yet."""
    names = await science.names({party for one in found for party in one.parties})
    views = []
    for one in found:
        draft = one.draft
        views.append({
            **_deposit(one, names), "dataset": one.dataset, "mine": org_id == one.org_id,
            "asked": draft is not None and org_id in draft.waiting, "draft": draft is not None,
            "waiting": [names.get(party, "") for party in draft.waiting] if draft else [],
            "versions": [_version(each, names) for each in one.versions],
        })  # fmt: skip
    return views


async def own_view(science: Science, found: Deposit, org_id: UUID | None) -> dict[str, Any]:
    """The same of one."""
    return (await own_views(science, [found], org_id))[0]


async def reuse_views(science: Science, found: Sequence[Reuse], *, whole: bool = False) -> list[dict[str, Any]]:
    """Reuses. Only those who have a part in one read why it was decided so, a person's name, and what the city knows
    of a model that nobody declared.
    """
    hidden = set() if whole else {one.org_id for one in found if await science.personal(one.org_id)}
    names = await science.names({one.org_id for one in found} - hidden)
    deposits = await science.all_of({one.deposit for one in found})
    return [_reuse(one, deposits[one.deposit], names.get(one.org_id, ""), whole=whole) for one in found]


async def reuse_view(science: Science, one: Reuse, *, whole: bool = False) -> dict[str, Any]:
    """The same of one."""
    return (await reuse_views(science, [one], whole=whole))[0]


def _reuse(one: Reuse, deposit: Deposit, by: str, *, whole: bool) -> dict[str, Any]:
    shown = asdict(one) | {
        "by": by, "ref": one.ref if whole or one.source == "declared" else "", "deposit_name": deposit.name,
        "deposit_title": (deposit.current or deposit.versions[0]).title,
    }  # fmt: skip
    return shown if whole else {key: value for key, value in shown.items() if key not in ("reason", "org_id")}


async def cited(science: Science, found: Deposit, *, url: str, publisher: str) -> Cited:
    """A published deposit as a citation says it."""
    version = found.current or found.versions[0]
    names = await science.names([party for party, _ in version.authors])
    authors = [(names.get(party, ""), await science.personal(party)) for party, _ in version.authors]
    return Cited(
        found.name, found.kind, version.title, version.abstract, version.licence, version.n,
        city_date(version.published_at or version.created_at), authors, f"{url}/science/{found.id}", publisher,
        found.state is State.RETRACTED,
    )  # fmt: skip


def _deposit(one: Deposit, names: Mapping[UUID, str], reused: int = 0) -> dict[str, Any]:
    return {
        "id": one.id, "name": one.name, "kind": one.kind, "state": one.state, "retraction": one.retraction,
        "retracted_at": one.retracted_at, "reused": reused, **_version(one.current or one.versions[0], names),
    }  # fmt: skip


def _version(one: Version, names: Mapping[UUID, str]) -> dict[str, Any]:
    return {
        "version": one.n, "title": one.title, "abstract": one.abstract, "licence": one.licence, "sha256": one.sha256,
        "link": one.link, "published_at": one.published_at, "digest": one.digest,
        "authors": [{"party": party, "name": names.get(party, ""), "share_ppm": ppm, "agreed": party in one.agreed}
                    for party, ppm in one.authors],
    }  # fmt: skip
