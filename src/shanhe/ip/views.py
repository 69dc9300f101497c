"""Rights as plain data: for HTTP, CLI and pages alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.ip.model import SHOWN, Entry, File, Terms
from shanhe.ip.service import Rights

EARNED_DAYS: Final = 90


async def public_views(rights: Rights, found: Sequence[File]) -> list[dict[str, Any]]:
    """What everybody may read of verified rights; a holder that is a person has no name."""
    shares = {one.entry.id: one.in_force.shares if one.in_force else () for one in found}
    names = await rights.public_names({party for held in shares.values() for party, _ in held})
    return [
        {
            **_entry(one.entry), "rate_ppm": one.in_force.rate_ppm if one.in_force else None,
            "holders": [{"name": names.get(party, ""), "share_ppm": ppm} for party, ppm in shares[one.entry.id]],
        }
        for one in found
    ]  # fmt: skip


async def public_view(rights: Rights, found: File) -> dict[str, Any]:
    """The same of one."""
    return (await public_views(rights, [found]))[0]


async def line_views(rights: Rights, found: Sequence[File], org_id: UUID | None) -> list[dict[str, Any]]:
    """Entries in a list, for their parties and the office."""
    names = await rights.names({one.entry.org_id for one in found})
    return [
        {
            **_entry(one.entry), "reason": one.entry.reason, "filed_at": one.entry.filed_at,
            "rate_ppm": one.in_force.rate_ppm if one.in_force else None, "mine": org_id in one.holders,
            "asked": org_id in one.waiting, "registrant": org_id == one.entry.org_id,
            "registered_by": names.get(one.entry.org_id, ""),
        }
        for one in found
    ]  # fmt: skip


async def own_view(rights: Rights, found: File, org_id: UUID | None, today: date) -> dict[str, Any]:
    """All of an entry, for its parties and the office: terms with consents, history, and what calls paid."""
    parties = {party for terms in found.terms for party in terms.parties | {terms.proposed_by}}
    names = await rights.names(parties)
    used = await rights.used_by(found.entry) if found.entry.state in SHOWN else []
    days = await rights.earned(found, today - timedelta(days=EARNED_DAYS), today)
    return {
        **(await line_views(rights, [found], org_id))[0], "used_by": used,
        "document_sha256": found.entry.document_sha256,
        "org_id": found.entry.org_id, "created_at": found.entry.created_at,
        "terms": [_terms(one, names) for one in found.terms],
        "waiting": [{"party": party, "name": names.get(party, "")} for party in sorted(found.waiting)],
        "history": [asdict(one) for one in await rights.history(found.entry.id)],
        "earned": [{**asdict(one), "name": names.get(one.party, "")} for one in days],
        "earned_micro": sum(one.amount_micro for one in days),
        "calls": _calls([(one.day, one.calls) for one in days]),
    }  # fmt: skip


def _calls(days: list[tuple[date, int]]) -> int:
    """Calls that paid the right: of a day, as many as the holder with most of them had."""
    most: dict[date, int] = {}
    for day, calls in days:
        most[day] = max(most.get(day, 0), calls)
    return sum(most.values())


def _entry(one: Entry) -> dict[str, Any]:
    return {
        "id": one.id, "name": one.name, "kind": one.kind, "number": one.number,
        "title": one.title or one.name,  # what an erased person wrote is unreadable
        "abstract": one.abstract, "office": one.office, "applied_on": one.applied_on, "granted_on": one.granted_on,
        "state": one.state, "decided_at": one.decided_at,
    }  # fmt: skip


def _terms(one: Terms, names: Mapping[UUID, str]) -> dict[str, Any]:
    said = dict(one.consents)
    return {
        "n": one.n, "rate_ppm": one.rate_ppm, "state": one.state, "proposed_by": names.get(one.proposed_by, ""),
        "proposed_at": one.proposed_at,
        "shares": [{"party": party, "name": names.get(party, ""), "share_ppm": ppm, "consent": said.get(party)}
                   for party, ppm in one.shares],
    }  # fmt: skip
