"""R0: whether two parties count as one, from what is known of both. Pure; the service fetches."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from uuid import UUID

from shanhe.facts.model import Fact, Relation, RelationTerms
from shanhe.kernel.clock import add_months

SAME = Relation("same", "申请方与本人为同一主体", "they are the same party")
HOUSEHOLD = Relation("household", "双方属同一家庭", "they belong to one household")
OWNERSHIP = Relation(
    "ownership", "双方存在达到门槛的共同出资关系", "they have common ownership at or above the threshold"
)
EMPLOYMENT = Relation("employment", "双方为雇佣关系", "one employs the other")
REFERRAL = Relation("referral", "双方为推荐关系且仍在期限内", "one referred the other not long ago")

Known = Mapping[UUID, Collection[Fact]]
"""Facts that hold on the day, by subject."""


def relation(a: UUID, b: UUID, facts: Known, terms: RelationTerms, on: date) -> Relation | None:
    """The first ground on which `a` and `b` are related on a day; a household counts as one."""
    if a == b:
        return SAME
    left, right = household(a, facts), household(b, facts)
    if left & right:
        return HOUSEHOLD
    for x in sorted(left):
        for y in sorted(right):
            found = _direct(x, y, facts, terms, on)
            if found is not None:
                return found
    return None


def household(party: UUID, facts: Known) -> set[UUID]:
    """The party and whoever, of those looked at, lives with it."""
    homes = homes_of(party, facts)
    return {party} | {other for other in facts if homes & homes_of(other, facts)}


def homes_of(party: UUID, facts: Known) -> set[str]:
    return {fact.key for fact in facts.get(party, ()) if fact.name == "household" and fact.value}


def _direct(a: UUID, b: UUID, facts: Known, terms: RelationTerms, on: date) -> Relation | None:
    owners_a, owners_b = _keyed(a, "owned_by", facts), _keyed(b, "owned_by", facts)
    common = sum(min(share, owners_b[owner]) for owner, share in owners_a.items() if owner in owners_b)
    if max(common, owners_a.get(b, 0), owners_b.get(a, 0)) >= terms.ownership_bps:
        return OWNERSHIP
    if b in _keyed(a, "employer", facts) or a in _keyed(b, "employer", facts):
        return EMPLOYMENT
    for party, other in ((a, b), (b, a)):
        for fact in facts.get(party, ()):
            referred = fact.name == "referred_by" and fact.key == str(other) and fact.value
            if referred and on < add_months(fact.valid_from, terms.referral_months):
                return REFERRAL
    return None


def _keyed(party: UUID, name: str, facts: Known) -> dict[UUID, int]:
    return {UUID(fact.key): int(fact.value) for fact in facts.get(party, ()) if fact.name == name and fact.value}
