"""Whom the store tells what: reviewers what waits, makers what became of it, users what it costs and when it is gone.

Listings are called by their short names, which are public; reasons are on their pages.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from shanhe.kernel.notify import Notice, Severity, Text
from shanhe.store.model import RATING, Listing, ListingState, Version
from shanhe.store.terms import price_en, price_zh

KIND = "store"


def handed_in(listing: Listing, version: Version) -> Notice:
    """To the operators."""
    return Notice(
        f"{KIND}.submitted", Text("有上架项待审核", "A listing waits for its review"),
        Text(f"{listing.name} 第 {version.n} 版。", f"{listing.name}, version {version.n}."),
        link="/city/store", dedupe=f"store:{version.id}:{version.submitted_at}",
    )  # fmt: skip


def decided(listing: Listing, version: Version, approved: bool, starts_on: date | None = None) -> Notice:
    """To the maker; with `starts_on` where its users are given notice first."""
    name, n = listing.name, version.n
    title = Text("您的上架项已通过审核", "Your listing was approved") if approved else Text(
        "您的上架项被退回", "Your listing was not approved")  # fmt: skip
    body = Text(
        f"{name} 第 {n} 版已按其条款上架。", f"Version {n} of {name} is offered on its terms."
    ) if approved else Text(
        f"{name} 第 {n} 版未通过；意见见其页面，修改后可再次提交。",
        f"Version {n} of {name}: its page says why. Change it and hand it in again.",
    )  # fmt: skip
    if starts_on is not None:
        body = Text(
            f"{name} 第 {n} 版较现价上涨，已提前通知用户；自 {starts_on} 起生效，此前仍按原版本与原价。",
            f"Version {n} of {name} costs more than before: its users were told, and it is offered from {starts_on}. "
            "Until then they get the version and the price before.",
        )
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


def dearer(listing: Listing, version: Version, before: Version, user: UUID, starts_on: date | None) -> Notice:
    """To who used it, when its price rises; `starts_on`: from which day, None: from now on."""
    when_zh, when_en = (
        ("自现在起的调用按新价", "for calls from now on")
        if starts_on is None
        else (f"自 {starts_on} 起的调用按新价，此前仍按原价", f"for calls from {starts_on}; until then the price stays")
    )
    return Notice(
        f"{KIND}.dearer", Text("您用过的上架项将涨价", "Something you use is going to cost more"),
        Text(f"{listing.name}：由{price_zh(before)}改为{price_zh(version)}，{when_zh}。",
             f"{listing.name}: {price_en(before)} becomes {price_en(version)}, {when_en}."),
        Severity.WARNING, org_id=user, link=f"/store/{listing.name}", dedupe=f"store:dearer:{version.id}:{user}",
    )  # fmt: skip


def stays(listing: Listing, announced: Version, user: UUID) -> Notice:
    """To who was told of a higher price that does not come."""
    return Notice(
        f"{KIND}.stays", Text("您用过的上架项不涨价了", "Something you use does not cost more after all"),
        Text(f"{listing.name}：原定自 {announced.starts_on} 起的涨价已取消。",
             f"{listing.name}: the price announced for {announced.starts_on} was taken back."),
        org_id=user, link=f"/store/{listing.name}", dedupe=f"store:stays:{announced.id}:{user}",
    )  # fmt: skip


def rated(listing: Listing, rating: UUID, stars: int, at: datetime) -> Notice:
    """To the maker: somebody said something."""
    return Notice(
        f"{KIND}.rated", Text("您的上架项收到评语", "Somebody wrote about your listing"),
        Text(f"{listing.name}：{stars} 星；可在其页面公开回复一次。",
             f"{listing.name}: {stars} stars; you can answer once, publicly, on its page."),
        org_id=listing.owner, link=f"/store/{listing.name}#said", dedupe=f"store:rated:{rating}:{at}",
    )  # fmt: skip


def replied(name: str, rater: UUID, rating: UUID, at: datetime) -> Notice:
    """To who rated."""
    return Notice(
        f"{KIND}.replied", Text("制作方回复了您的评语", "A maker answered your rating"),
        Text(f"{name} 的页面上可以看到。", f"It is on the page of {name}."), org_id=rater, link=f"/store/{name}#said",
        dedupe=f"store:replied:{rating}:{at}",
    )  # fmt: skip


def struck(name: str, author: UUID, kind: str, number: str) -> Notice:
    """To whose words they were."""
    what_zh, what_en = ("评语", "rating") if kind == RATING else ("回复", "reply")
    return Notice(
        f"{KIND}.struck", Text(f"您的{what_zh}已被移除", f"The words of your {what_en} were taken away"),
        Text(f"{name}：针对它的投诉成立。", f"{name}: a complaint about them was upheld."),
        Severity.WARNING, org_id=author, link=f"/store/{name}#said", dedupe=f"store:struck:{kind}:{number}",
    )  # fmt: skip
