"""What a listing may say and ask, and what its terms become on the gateway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

from shanhe.gateway.api import ResourceTerms
from shanhe.kernel.money import said_credits
from shanhe.store.alike import BLANK
from shanhe.store.errors import BadListing
from shanhe.store.model import ROLES, SUMMARY_MAX_CHARS, TITLE_MAX_CHARS, Listing, Terms, Version

if TYPE_CHECKING:
    from shanhe.rulebook.api import Rulebook

DEVELOPER_RULE: Final = "P6"
ROYALTY_RULE: Final = "T16"
WHOLE_PPM: Final = 1_000_000
WHOLE_BPS: Final = 10_000
PARTIES_MAX: Final = 32
MARKUP_MAX_BPS: Final = 1_000_000
FEE_MAX_MICRO: Final = 1_000_000_000_000
PERCENT_BPS: Final = 100
PERCENT_PPM: Final = 10_000
CATEGORIES: Final = (
    "general", "government", "industry", "health", "education", "culture_tourism", "finance", "transport", "developer",
)  # fmt: skip


def price_zh(one: Version) -> str:
    """What a version costs, in a sentence."""
    model, terms = model_of(one), one.terms
    asked = f"加价 {terms.markup_bps / PERCENT_BPS:g} %、每次 {said_credits(terms.fee_micro)} 积分"
    return f"模型 {model}、{asked}" if model else asked


def price_en(one: Version) -> str:
    """The same."""
    model, terms = model_of(one), one.terms
    asked = f"a markup of {terms.markup_bps / PERCENT_BPS:g} % and {said_credits(terms.fee_micro)} credits a call"
    return f"the model {model}, {asked}" if model else asked


def model_of(one: Version) -> str:
    """The model that a version's calls are answered by; empty where its kind has none."""
    found = one.content.get("model")
    return found if isinstance(found, str) else ""


def rises(before: Version, after: Version, cost: Callable[[str], Sequence[int]]) -> bool:
    """Whether some call costs its payer more: by the fee, or by what a token of its model costs with the markup.
    `cost`: list prices of a model's tokens, none where there are none; then the markups alone are compared."""
    was, becomes = ([price * (WHOLE_BPS + one.terms.markup_bps) for price in cost(model_of(one)) or (1,)]
                    for one in (before, after))  # fmt: skip
    if len(was) != len(becomes):
        was, becomes = [before.terms.markup_bps], [after.terms.markup_bps]
    return after.terms.fee_micro > before.terms.fee_micro or any(
        more > less for less, more in zip(was, becomes, strict=True)
    )


def resource_terms(listing: Listing, version: Version) -> ResourceTerms:
    """What the gateway splits calls by once this version is approved."""
    terms = version.terms
    return ResourceTerms(
        name=listing.name, role=ROLES[listing.kind], markup_bps=terms.markup_bps, fee_micro=terms.fee_micro,
        makers=terms.makers or ((listing.owner, WHOLE_PPM),), holders=terms.holders, rights=terms.rights,
    )  # fmt: skip


def check_words(title_zh: str, title_en: str, summary_zh: str, summary_en: str, category: str) -> None:
    """BadListing unless it is called and described as a window can show it."""
    for field, text, most in (("title_zh", title_zh, TITLE_MAX_CHARS), ("title_en", title_en, TITLE_MAX_CHARS)):
        if not 1 <= len(text.strip()) <= most or not text.isprintable() or BLANK & set(text):
            raise BadListing(field, f"1 to {most} printable characters", f"1–{most} 个可见字符")
    for field, text in (("summary_zh", summary_zh), ("summary_en", summary_en)):
        if len(text) > SUMMARY_MAX_CHARS:
            raise BadListing(field, f"at most {SUMMARY_MAX_CHARS} characters", f"不超过 {SUMMARY_MAX_CHARS} 字")
    if category not in CATEGORIES:
        raise BadListing("category", "one of " + ", ".join(CATEGORIES), "须为：" + "、".join(CATEGORIES))


def lowest(rulebook: Rulebook, today: date) -> Terms:
    """What a draft asks for before its maker says something else: the lowest markup (P6) and no fee."""
    return Terms(int(rulebook.parameter(DEVELOPER_RULE, "lowest_markup", today)))


def check_terms(terms: Terms, rulebook: Rulebook, today: date) -> None:
    """BadListing unless markup, fee and shares are within the rules (P6, T16, T17)."""
    least = lowest(rulebook, today).markup_bps
    if not least <= terms.markup_bps <= MARKUP_MAX_BPS:
        raise BadListing(
            "markup_bps",
            f"{least / PERCENT_BPS:g} % to {MARKUP_MAX_BPS / PERCENT_BPS:g} % (P6: every token pays)",
            f"应为 {least / PERCENT_BPS:g} % 至 {MARKUP_MAX_BPS / PERCENT_BPS:g} %（规则 P6）",
        )
    if not 0 <= terms.fee_micro <= FEE_MAX_MICRO:
        most = said_credits(FEE_MAX_MICRO)
        raise BadListing("fee_micro", f"0 to {most} credits", f"应为 0 至 {most} 积分")
    if terms.makers and (
        sum(share for _, share in terms.makers) != WHOLE_PPM
        or min(share for _, share in terms.makers) <= 0
        or len({maker for maker, _ in terms.makers}) < len(terms.makers)
    ):
        raise BadListing("makers", "shares above 0 that sum to 100 % (T17)", "份额须为正，合计 100 %（规则 T17）")
    fewest, highest = (int(rulebook.parameter(ROYALTY_RULE, one, today)) for one in ("lowest", "highest"))
    if any(not fewest <= rate <= highest for _, rate in terms.holders):
        raise BadListing(
            "holders",
            f"rates of {fewest / PERCENT_PPM:g} % to {highest / PERCENT_PPM:g} % (T16)",
            f"费率应为 {fewest / PERCENT_PPM:g} % 至 {highest / PERCENT_PPM:g} %（规则 T16）",
        )
    if max(len(terms.makers), len(terms.holders), len(terms.rights)) > PARTIES_MAX:
        raise BadListing("makers", f"at most {PARTIES_MAX} parties", f"不超过 {PARTIES_MAX} 方")
