"""Listings, versions and cases of the store as plain data for pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from shanhe.store.api import Card, Case, Listing, Move, Version

BPS_PERCENT: Final = 100
PPM_PERCENT: Final = 10_000
WORDS: Final = ("title_zh", "title_en", "summary_zh", "summary_en")


def listing_of(one: Listing) -> dict[str, Any]:
    return {
        "name": one.name, "kind": one.kind, "slug": one.slug, "state": one.state, "category": one.category,
        "title": {"zh": one.title_zh, "en": one.title_en},
        "summary": {"zh": one.summary_zh, "en": one.summary_en or one.summary_zh},
    }  # fmt: skip


def card_of(card: Card) -> dict[str, Any]:
    mean = f"{card.stars_sum / card.ratings:.1f}" if card.ratings else ""
    shown = {name: getattr(card, name) for name in card.__slots__ if name != "listing"}
    return {**listing_of(card.listing), **shown, "mean": mean, "points": f"{card.score / BPS_PERCENT:.1f}",
            "markup": f"{card.markup_bps / BPS_PERCENT:g}"}  # fmt: skip


def version_of(version: Version) -> dict[str, Any]:
    checks = [{"name": one.name, "passed": one.passed, "zh": one.zh, "en": one.en} for one in version.checks]
    return {
        "n": version.n, "version_state": version.state, "notes": version.notes, "decision": version.decision,
        "submitted_at": version.submitted_at, "starts_on": version.starts_on,
        "decided_at": version.decided_at, "checks": checks,
        "markup": f"{version.terms.markup_bps / BPS_PERCENT:g}", "fee_micro": version.terms.fee_micro,
    }  # fmt: skip


def move_of(one: Move) -> dict[str, Any]:
    return {"was": one.was, "becomes": one.becomes, "reason": one.reason, "at": one.moved_at}


async def case_of(case: Case, officer: Callable[[str], Awaitable[str]]) -> dict[str, Any]:
    """A listing as its reviewer reads it: what waits, how that differs from what is offered, what was before."""
    one, waits, before = case.listing, case.version, case.before
    called = case.parties.get
    shown = waits or before or (case.versions[0] if case.versions else None)
    return {
        **listing_of(one), **(version_of(shown) if shown else {}), "maker": called(one.owner, ""),
        "waits": waits is not None, "content": "" if shown is None else pretty(shown.content),
        "before": None if before is None or waits is None else version_of(before),
        "changes": [] if before is None or waits is None else changes(before.content, waits.content),
        "makers": [] if shown is None else [
            {"name": called(party, str(party)), "share": f"{ppm / PPM_PERCENT:g}"}
            for party, ppm in shown.terms.makers],
        "rights": [] if shown is None else list(shown.terms.rights),
        "renamed": _renamed(one, waits), "moves": [
            {**move_of(move), "by": await officer(move.moved_by)} for move in case.moves],
        "decided": [
            {**version_of(v), "by": await officer(v.decided_by)} for v in case.versions if v.decided_at is not None],
        "alike": [{**listing_of(other), "maker": called(other.owner, "")} for other in case.alike],
    }  # fmt: skip


def _renamed(one: Listing, waits: Version | None) -> list[dict[str, str]]:
    """Words that change with the version that waits."""
    if waits is None or waits.words is None:
        return []
    return [{"field": field, "was": getattr(one.words, field), "becomes": getattr(waits.words, field)}
            for field in (*WORDS, "category") if getattr(one.words, field) != getattr(waits.words, field)]  # fmt: skip


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    """Fields of a version's content that differ from the one that is offered, as they were and as they become."""
    return [
        {"field": field, "was": _shown(before.get(field)), "becomes": _shown(after.get(field))}
        for field in dict.fromkeys((*before, *after)) if before.get(field) != after.get(field)
    ]  # fmt: skip


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "—"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def pretty(content: Mapping[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
