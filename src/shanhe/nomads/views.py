"""Nomads' records as plain data with words in both languages: for HTTP, commands and pages."""

from __future__ import annotations

from typing import Any

from shanhe.nomads.appeals import Appeal
from shanhe.nomads.benefits import Purse
from shanhe.nomads.cards import Outlook
from shanhe.nomads.model import Card, CheckIn, FeedRow, Settled, Standing, Venue, Verdict


def venue_view(venue: Venue) -> dict[str, Any]:
    return {
        "id": venue.id, "org_id": venue.org_id, "name": venue.name, "kind": str(venue.kind), "address": venue.address,
        "public_key": venue.public.hex(), "own_key": venue.own_key, "certified": venue.certified,
        "closed_at": venue.closed_at,
    }  # fmt: skip


def place_view(venue: Venue) -> dict[str, Any]:
    """A venue as whoever looks for one sees it."""
    return {"name": venue.name, "kind": str(venue.kind), "address": venue.address, "certified": venue.certified}


def check_in_view(done: CheckIn) -> dict[str, Any]:
    return {"day": done.day, "counted": done.counted, "days": done.days, "venue": done.venue}


def card_view(card: Card, standing: str) -> dict[str, Any]:
    return {
        "id": card.id, "year": card.year, "rule": card.rule, "standing": standing, "valid_from": card.valid_from,
        "valid_until": card.valid_until, "days_at_least": card.days_required, "issued_at": card.issued_at,
        "revoked_at": card.revoked_at,
    }  # fmt: skip


def outlook_view(seen: Outlook) -> dict[str, Any]:
    return {
        "days": seen.days, "needed": seen.needed, "missing": max(seen.needed - seen.days, 0), "kind": seen.kind,
        "standing": str(seen.standing), "member": seen.member, "declared": seen.declared,
        "card": card_view(seen.card, str(seen.standing)) if seen.card is not None else None,
        "renewed": card_view(seen.renewed, str(Standing.COMING)) if seen.renewed is not None else None,
        "reasons": [{"code": item.code, "zh": item.zh, "en": item.en} for item in seen.reasons],
    }  # fmt: skip


def verdict_view(verdict: Verdict) -> dict[str, Any]:
    return {
        "id": verdict.id, "kind": verdict.kind, "granted": verdict.granted, "at": verdict.at, "card": verdict.card,
        "days": verdict.days, "needed": verdict.days_required, "versions": verdict.versions, "traces": verdict.traces,
        "reasons": [{"code": item.code, "zh": item.zh, "en": item.en} for item in verdict.reasons],
    }  # fmt: skip


def appeal_view(appeal: Appeal) -> dict[str, Any]:
    return {
        "id": appeal.id, "decision": appeal.decision, "why": appeal.why, "days": appeal.days,
        "evidence": appeal.evidence, "state": appeal.state, "asked_at": appeal.asked_at, "due_at": appeal.due_at,
        "answer": appeal.answer, "decided_at": appeal.decided_at,
    }  # fmt: skip


def purse_view(purse: Purse) -> dict[str, Any]:
    return {
        "left": purse.left, "voucher_fen": purse.voucher_fen,
        "tickets": [{"number": item.number, "code": item.code, "used_on": item.used_on} for item in purse.tickets],
    }  # fmt: skip


def settled_view(item: Settled) -> dict[str, Any]:
    return {"scanner": item.scanner, "seq": item.seq, "outcome": item.outcome, "admitted": item.admitted,
            "zh": item.zh, "en": item.en}  # fmt: skip


def feed_view(rows: list[FeedRow]) -> dict[str, Any]:
    """The report of a feed with its sums."""
    sums = {name: sum(row.outcome == name for row in rows) for name in ("counted", "known", "conflict", "refused")}
    return {**sums, "rows": [{"row": row.row, "nomad": row.nomad, "day": row.day, "outcome": row.outcome, "zh": row.zh,
                              "en": row.en} for row in rows]}  # fmt: skip
