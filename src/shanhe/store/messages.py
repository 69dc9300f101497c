"""Whom the store tells what: reviewers what waits, makers what became of it, users what it costs and when it is gone.

Listings are called by their short names, which are public; reasons are on their pages.
"""

from __future__ import annotations

from uuid import UUID

from shanhe.kernel.notify import Notice, Severity, Text
from shanhe.store.model import Listing, ListingState, Terms, Version
from shanhe.store.terms import price_en, price_zh

KIND = "store"


def handed_in(listing: Listing, version: Version) -> Notice:
    """To the operators."""
    return Notice(
        f"{KIND}.submitted", Text("有上架项待审核", "A listing waits for its review"),
        Text(f"{listing.name} 第 {version.n} 版。", f"{listing.name}, version {version.n}."),
        link="/city/store", dedupe=f"store:{version.id}:{version.submitted_at}",
    )  # fmt: skip


def decided(listing: Listing, version: Version, approved: bool) -> Notice:
    """To the maker."""
    name, n = listing.name, version.n
    title = Text("您的上架项已通过审核", "Your listing was approved") if approved else Text(
        "您的上架项被退回", "Your listing was not approved")  # fmt: skip
    body = Text(
        f"{name} 第 {n} 版已按其条款上架。", f"Version {n} of {name} is offered on its terms."
    ) if approved else Text(
        f"{name} 第 {n} 版未通过；意见见其页面，修改后可再次提交。",
        f"Version {n} of {name}: its page says why. Change it and hand it in again.",
    )  # fmt: skip
    return Notice(
        f"{KIND}.decided", title, body, Severity.INFO if approved else Severity.WARNING, org_id=listing.owner,
        link=f"/makers/{name}", dedupe=f"store:{version.id}:{'approved' if approved else 'rejected'}",
    )  # fmt: skip


def moved(listing: Listing, to: ListingState, mark: UUID) -> Notice:
    """To the maker, of what the city did."""
    gone = to is ListingState.REMOVED
    title = Text("您的上架项被城市下架", "The city took your listing out of the store") if gone else Text(
        "您的上架项已恢复", "Your listing is back in the store")  # fmt: skip
    return Notice(
        f"{KIND}.moved", title,
        Text(f"{listing.name}：理由见其页面。{'修改后可提交新版本；如有异议请联系经办部门。' if gone else ''}",
             f"{listing.name}: its page says why.{' Change it and hand it in, or speak to the city.' if gone else ''}"),
        Severity.WARNING if gone else Severity.INFO, org_id=listing.owner, link=f"/makers/{listing.name}",
        dedupe=f"store:moved:{mark}",
    )  # fmt: skip


def gone(listing: Listing, user: UUID, by_city: bool, mark: UUID) -> Notice:
    """To who used it."""
    who_zh, who_en = ("城市", "the city") if by_city else ("制作方", "its maker")
    return Notice(
        f"{KIND}.gone", Text("您用过的上架项已下架", "Something you use is no longer offered"),
        Text(f"{listing.name} 已由{who_zh}下架，不能再调用；已付的费用不受影响。",
             f"{listing.name} was taken out of the store by {who_en}; it can't be called any more."),
        Severity.WARNING, org_id=user, link="/store", dedupe=f"store:gone:{mark}:{user}",
    )  # fmt: skip


def back(listing: Listing, user: UUID, mark: UUID) -> Notice:
    """To who used it."""
    return Notice(
        f"{KIND}.back", Text("您用过的上架项已恢复", "Something you use is offered again"),
        Text(f"{listing.name} 可以继续调用。", f"{listing.name} can be called again."),
        org_id=user, link=f"/store/{listing.name}", dedupe=f"store:back:{mark}:{user}",
    )  # fmt: skip


def dearer(listing: Listing, version: Version, before: Terms, user: UUID) -> Notice:
    """To who used it, when its price has risen."""
    return Notice(
        f"{KIND}.dearer", Text("您用过的上架项已涨价", "Something you use costs more"),
        Text(f"{listing.name}：由{price_zh(before)}改为{price_zh(version.terms)}，自现在起的调用按新价。",
             f"{listing.name}: {price_en(before)} became {price_en(version.terms)}, for calls from now on."),
        Severity.WARNING, org_id=user, link=f"/store/{listing.name}", dedupe=f"store:dearer:{version.id}:{user}",
    )  # fmt: skip
