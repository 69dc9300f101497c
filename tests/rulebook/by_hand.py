"""Every rule told a second time in plain Python, from the city's own words; nothing of the product is imported.

What the words say is typed here on purpose, so that a mistake in a rule file does not repeat itself. Where they leave a
number to the rulebook (a chip's cost, the weights of a tender), it comes in as `own`, read from the rule: only what is
done with it is told again. Money is in fen, credits in micro-credits, rates in basis points, as the facts name it.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil, floor
from typing import Any

Own = Callable[[str], Any]
HAND: dict[str, Callable[[Any, Own], dict[str, Any]]] = {}
YUAN, CREDIT, FEN_MICRO = 100, 1_000_000, 10_000
NEVER = date(9999, 12, 31)


@dataclass(frozen=True)
class Facts:
    """Facts by attribute."""

    of: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.of[name]


def rule(*names: str) -> Callable[[Any], Any]:
    def keep(function: Any) -> Any:
        HAND.update(dict.fromkeys(names, function))
        return function

    return keep


def half_even(value: Fraction | int) -> int:
    return round(Fraction(value))


def percent(many: int | str) -> Fraction:
    return Fraction(many) / 100


def bps(many: int) -> Fraction:
    return Fraction(many, 10_000)


def months_on(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def equal_parts(total: int, many: int, number: int) -> int:
    """The `number`-th (from 1) of equal instalments with the remainder in the last one; nothing beyond it."""
    if number > many:
        return 0
    return total // many + (total % many if number == many else 0)


def largest_remainder(total: int, weights: list[int]) -> list[int]:
    """Whole parts that add up, the largest remainders first, ties to the earlier."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts


# -- guard rules -------------------------------------------------------------------------------------------------------


@rule("R0_related_parties")
def related(f: Any, own: Own) -> dict[str, Any]:
    lately = f.referred and f.asked_on < months_on(f.referred_on, 24)
    return {"related": f.household or f.common_share >= 2500 or f.employment or lately}


@rule("R1_subsidy_stays_subsidy")
def stays_subsidy(f: Any, own: Own) -> dict[str, Any]:
    at_most = f.model_cost_micro + min(Fraction(f.markup_micro), percent(20) * f.model_cost_micro)
    subsidy = min(f.subsidy_micro, floor(at_most))
    return {"from_subsidy_micro": subsidy, "from_other_micro": f.model_cost_micro + f.markup_micro - subsidy,
            "may_settle_cash": f.reviewed and not f.related}  # fmt: skip


SUBSIDY = "p1_discount n5 i3 i4 i5 i6 t1 t4 t7 t9 t12 f6 b5 software_copyright"
REWARD = "i1 i2 t5 t8 t10 t11 patent t21"


@rule("R2_lot_class")
def lot_class(f: Any, own: Own) -> dict[str, Any]:
    if f.source in REWARD.split():
        return {"subsidy_lot": False}
    return {"subsidy_lot": True} if f.source in SUBSIDY.split() else {}


@rule("R3_refund")
def refund(f: Any, own: Own) -> dict[str, Any]:
    left = f.purchased_left_micro + f.subsidy_left_micro
    used = max(f.purchased_micro + f.subsidy_micro - left - f.expired_micro, 0)
    back = max(0, floor(f.paid_fen - Fraction(used * f.list_price_fen, CREDIT)))
    return {"refund_fen": back, "consumed_micro": used}


@rule("R4_no_double_pledge")
def double_pledge(f: Any, own: Own) -> dict[str, Any]:
    over = f.held_micro - f.floor_micro
    return {"free_micro": max(over, 0), "short_micro": max(-over, 0)}


# -- platform and pricing ----------------------------------------------------------------------------------------------


def purchase(value: int, rate: Fraction, used: int) -> dict[str, int]:
    benefit = min(half_even(rate * value), max(1_000_000 * YUAN - used, 0))
    quantity = value * FEN_MICRO
    subsidy = quantity * benefit // value if value else 0
    return {"benefit_fen": benefit, "paid_fen": value - benefit, "quantity_micro": quantity, "subsidy_micro": subsidy,
            "purchased_micro": quantity - subsidy}  # fmt: skip


@rule("P1_resident_discount")
def resident(f: Any, own: Own) -> dict[str, Any]:
    return purchase(f.value_fen, percent(30 if f.category != "none" else 0), f.benefit_used_fen)


@rule("P2_framework_purchase")
def framework(f: Any, own: Own) -> dict[str, Any]:
    return {"instalment_fen": equal_parts(5_000_000 * YUAN, 4, f.number)}


@rule("P3_profit_lock")
def profit_lock(f: Any, own: Own) -> dict[str, Any]:
    reached = (
        f.availability >= own("availability_min")
        and f.active_orgs >= own("orgs_min")
        and f.served_credit_micro >= own("served_min") * CREDIT
    )
    may = f.cumulative_profit_fen > 0 and reached
    return {"may_share": may, "shareable_fen": f.cumulative_profit_fen if may else 0}


@rule("P4_major_veto")
def veto(f: Any, own: Own) -> dict[str, Any]:
    major = f.matter in ("new_debt", "data_disposal", "rulebook_change", "budget_overrun")
    applies = major or (f.matter == "pricing_change" and f.change > 1000)
    return {"veto_applies": applies}


@rule("P5_internal_first")
def internal_first(f: Any, own: Own) -> dict[str, Any]:
    lapses = months_on(f.approved_on, 12)
    approved = f.own_department and f.digital_office and f.approved_on <= f.asked_on < lapses
    return {"may_use_other": f.body == "other" or approved}


@rule("P6_developer_share")
def developer(f: Any, own: Own) -> dict[str, Any]:
    markup = bps(max(f.markup_bps, 100)) * f.model_cost_micro
    price, due = half_even(f.model_cost_micro + markup), floor(percent(80) * markup)
    return {"price_micro": price, "developer_micro": due}


@rule("P7_developer_rank")
def rank(f: Any, own: Own) -> dict[str, Any]:
    """The rating is a Bayesian average: as if some had given the middle stars before anybody rated."""
    if not f.rating_count <= f.rating_sum <= 5 * f.rating_count:
        return {}
    rating = Fraction(f.rating_sum + own("prior_count") * own("prior_stars"), f.rating_count + own("prior_count"))
    rated = rating / 5 * 10_000
    return {"score": half_even(Fraction(5, 10) * f.usage_rank + Fraction(3, 10) * rated + Fraction(2, 10) * f.jury)}


@rule("P8_contests")
def contest(f: Any, own: Own) -> dict[str, Any]:
    weights = list(own("weights"))
    return {"prize_fen": (largest_remainder(f.pool_fen, weights) + [0] * 100)[f.place - 1]}


@rule("P9_feedback_loop")
def feedback_loop(f: Any, own: Own) -> dict[str, Any]:
    due = months_on(f.reviewed_on, 3)
    return {"overdue": f.asked_on > due, "due_on": due}


@rule("P10_compute_contribution")
def contribution(f: Any, own: Own) -> dict[str, Any]:
    due = floor(percent(70) * f.list_cost_micro)
    return {"contributor_micro": due, "platform_micro": f.list_cost_micro - due}


@rule("P11_pricing")
def pricing(f: Any, own: Own) -> dict[str, Any]:
    reference = own("market_reference")[f.model_class]
    written = f.bucket == "cache_write"
    return priced(f.cost, reference["input"] * bps(own("write_reference")) if written else reference[f.bucket])


@rule("P11_scenes")
def scene_pricing(f: Any, own: Own) -> dict[str, Any]:
    return priced(f.cost, own("market_reference")[f.scene])


def priced(cost: int, reference: Fraction | int) -> dict[str, Any]:
    asked = cost * Fraction(115, 100)
    return {"list": half_even(min(asked, Fraction(reference))), "thin": asked > reference, "loss": cost > reference}


@rule("P11_reference_cost")
def reference_cost(f: Any, own: Own) -> dict[str, Any]:
    return {"cost": half_even(own("base_cost")[f.model_class][f.bucket] * bps(own("chip_factor")[f.chip_class]))}


@rule("P11_call_charge")
def call_charge(f: Any, own: Own) -> dict[str, Any]:
    buckets = ("input", "cached_input", "output", "reasoning", "tool", "cache_write")
    total = sum(f.of[f"{bucket}_tokens"] * f.of[f"{bucket}_price"] for bucket in buckets)
    return {"charge_micro": half_even(Fraction(total, 10**6))}


@rule("P12_jv_tender")
def tender(f: Any, own: Own) -> dict[str, Any]:
    """A weighted sum; the weights are the rulebook's, and they are a whole."""
    weights = [own(f"{name}_weight") for name in ("technical", "operation", "price")]
    assert sum(weights) == 10_000
    score = sum(bps(weight) * part for weight, part in zip(weights, (f.technical, f.operation, f.price), strict=True))
    return {"score": half_even(score), "valid": f.bidders >= own("bidders_min")}


@rule("P13_policy_lab")
def policy_lab(f: Any, own: Own) -> dict[str, Any]:
    end = months_on(f.started_on, own("months")[f.instrument])
    return {"ends_on": end, "in_force": f.started_on <= f.asked_on < end}


# -- AI Credit ---------------------------------------------------------------------------------------------------------


@rule("C1_milestone_grant")
def milestone(f: Any, own: Own) -> dict[str, Any]:
    late = max((f.asked_on - f.moved_on).days, 0)
    total = (f.moved_on - f.planned_on).days + late
    over = f.planned_on + timedelta(total) > months_on(f.planned_on, 12)
    return {"released_micro": f.tranche_micro if f.met and not over else 0, "cancelled": over, "delay_days": late,
            "total_delay_days": total}  # fmt: skip


@rule("C2_exclusivity")
def exclusivity(f: Any, own: Own) -> dict[str, Any]:
    until = months_on(f.subsidy_ends_on, 24)
    bound = f.asked_on <= until
    measure = min(f.breaches_before + 1, 3) if bound and f.breach else 0
    return {"bound": bound, "bound_until": until, "measure": measure,
            "clawback_micro": f.unspent_subsidy_micro if measure == 3 else 0}  # fmt: skip


@rule("C3_asset_statement")
def statement(f: Any, own: Own) -> dict[str, Any]:
    quantity = Fraction(f.quantity_micro, CREDIT)
    middle = percent(65) * f.list_price_fen * quantity
    return {"middle_fen": half_even(middle), "value_fen": half_even(min(f.cost_fen, middle))}


@rule("C4_pledge")
def pledge(f: Any, own: Own) -> dict[str, Any]:
    needed = ceil(Fraction(f.outstanding_fen * CREDIT, f.clearing_price) / percent(70))
    return {"floor_micro": needed, "short_micro": max(needed - f.counted_micro, 0),
            "margin_call": f.counted_micro < needed}  # fmt: skip


@rule("C5_contribution_rate")
def contribution_rate(f: Any, own: Own) -> dict[str, Any]:
    points = bps(f.percentile) * 100
    rate = bps(f.base) * (1 - bps(f.discount)) - percent("1.5") * points / 100
    return {"rate_ppm": half_even(max(rate, Fraction(0)) * 10**6)}


@rule("C6_tradeability")
def tradeability(f: Any, own: Own) -> dict[str, Any]:
    if f.provenance == "subsidy":
        return {"may_trade": False, "unlocks_on": NEVER}
    unlocks = months_on(f.acquired_on, 3)
    return {"may_trade": f.asked_on >= unlocks, "unlocks_on": unlocks}


@rule("C7_corridor")
def corridor(f: Any, own: Own) -> dict[str, Any]:
    low, high = ceil(percent(30) * f.list_price_fen * 100), f.list_price_fen * 100
    return {"floor_ticks": low, "ceiling_ticks": high, "inside": low <= f.price_ticks <= high}


@rule("C8_trade_fee")
def trade_fee(f: Any, own: Own) -> dict[str, Any]:
    fee = half_even(percent(10) * (1 - bps(f.discount_bps)) * f.proceeds_fen)
    return {"fee_fen": fee, "net_fen": f.proceeds_fen - fee}


@rule("C9_contribution_kinds")
def kinds(f: Any, own: Own) -> dict[str, Any]:
    return {"points": own("points_each")[f.kind] * f.units}


@rule("C10_loyalty")
def loyalty(f: Any, own: Own) -> dict[str, Any]:
    tier = sum(f.quarters >= least for least in (4, 8, 12))
    return {"fee_bps": half_even(f.fee * (1 - percent(10) * tier)), "reduction_bps": 1000 * tier,
            "queue_weight": tier + 1}  # fmt: skip


@rule("C11_expiry")
def expiry(f: Any, own: Own) -> dict[str, Any]:
    months = {"subsidy": 12, "reward": 24}.get(f.provenance)
    return {"expires": months is not None, "expires_on": months_on(f.issued_on, months) if months else NEVER}


@rule("C12_burn_order")
def burn_order(f: Any, own: Own) -> dict[str, Any]:
    return {"place": {"subsidy": 0, "reward": 1, "purchased": 2, "exchange": 2}[f.provenance]}


# -- digital nomads ----------------------------------------------------------------------------------------------------


def stays(f: Any, needed: int) -> dict[str, Any]:
    foreign = not f.insured_here and not f.resident
    return {"ok": foreign and f.days_present >= needed, "days_missing": max(needed - f.days_present, 0)}


@rule("N1_qualify")
def nomad(f: Any, own: Own) -> dict[str, Any]:
    found = stays(f, 90)
    return {"qualifies": found["ok"], "days_missing": found["days_missing"],
            "window_from": f.applied_on - timedelta(364)}  # fmt: skip


@rule("N2_whitelist")
def whitelist(f: Any, own: Own) -> dict[str, Any]:
    return {"qualifies": f.member and stays(f, 30)["ok"], "days_missing": stays(f, 30)["days_missing"]}


@rule("N3_renewal")
def renewal(f: Any, own: Own) -> dict[str, Any]:
    found, last = stays(f, 30 if f.member else 90), f.valid_until + timedelta(30)
    early = f.valid_until - timedelta(own("early_days"))
    return {"renews": found["ok"] and early <= f.applied_on <= last, "days_missing": found["days_missing"],
            "last_day_to_apply": last}  # fmt: skip


@rule("N4_tickets")
def tickets(f: Any, own: Own) -> dict[str, Any]:
    left = max(5 - f.used, 0) if f.card_valid else 0
    opens = left > 0 and f.holder_present
    return {"admitted": 1 + min(f.companions, 3) if opens else 0, "tickets_left": left - opens}


@rule("N5_credits")
def nomad_credits(f: Any, own: Own) -> dict[str, Any]:
    return {"credit_micro": 1_000 * CREDIT if f.card_valid and not f.granted else 0}


@rule("N5_discount")
def nomad_discount(f: Any, own: Own) -> dict[str, Any]:
    return purchase(f.value_fen, percent(30 if f.card_valid else 0), f.benefit_used_fen)


@rule("N6_courses")
def courses(f: Any, own: Own) -> dict[str, Any]:
    due = f.card_valid and f.certified and f.courses_used < 5
    subsidy = half_even(percent(80) * min(f.price_fen, own("price_cap_fen") * YUAN)) if due else 0
    return {"subsidy_fen": subsidy, "pays_fen": f.price_fen - subsidy}


@rule("N7_vouchers")
def vouchers(f: Any, own: Own) -> dict[str, Any]:
    amount = own("voucher_fen")[f.task]
    issued = amount if f.card_valid and f.sponsor_balance_fen >= amount else 0
    return {"issued_fen": issued, "sponsor_left_fen": f.sponsor_balance_fen - issued}


# -- investment promotion ----------------------------------------------------------------------------------------------


@rule("I1_company_referral")
def company_referral(f: Any, own: Own) -> dict[str, Any]:
    """How many instalments is settled with the company; capital that left since makes each of them smaller."""
    quality = Fraction(1, 2) + bps(f.index) if f.indexed else 1

    def reward_on(capital: int) -> Fraction:
        return min(percent(1) * capital, Fraction(200_000 * YUAN)) * quality

    reward = half_even(reward_on(min(f.paid_in_at_settlement_fen, f.paid_in_now_fen)))
    first = half_even(reward_on(f.paid_in_at_settlement_fen))
    many = 3 if first < 50_000 * YUAN else 4 if first < 120_000 * YUAN else 5
    cash = reward - reward // 2
    due = f.company_here
    return {"reward_fen": reward, "instalments": many, "cash_fen": cash, "credit_fen": reward // 2,
            "cash_due_fen": equal_parts(cash, many, f.instalment) if due else 0,
            "credit_due_fen": equal_parts(reward // 2, many, f.instalment) if due else 0,
            "credit_due_micro": equal_parts(reward // 2, many, f.instalment) * FEN_MICRO if due else 0,
            "due_on": months_on(f.settled_on, 12 * f.instalment)}  # fmt: skip


@rule("I2_nomad_referral")
def nomad_referral(f: Any, own: Own) -> dict[str, Any]:
    due = f.qualified and not f.own and not f.cycle
    return {"credit_micro": 100 * CREDIT if due else 0, "voucher_due_fen": 100 * YUAN if due else 0}


@rule("I3_dao_support")
def dao(f: Any, own: Own) -> dict[str, Any]:
    return {"credit_micro": 20_000 * CREDIT if f.registered_here and not f.granted else 0,
            "rooms": 1 if f.registered_here else 0}  # fmt: skip


@rule("I4_public_good")
def public_good(f: Any, own: Own) -> dict[str, Any]:
    left = max(500_000 * YUAN - f.granted_before_fen, 0)
    grant = min(f.requested_fen, left) if f.body in ("charity", "religious") else 0
    return {"grant_fen": grant, "grant_micro": grant * FEN_MICRO}


@rule("I5_incubator_subsidy")
def incubator(f: Any, own: Own) -> dict[str, Any]:
    total = half_even(percent(50) * f.paid_in_fen) if f.incubated else 0
    part = 0 if f.withdrawn else equal_parts(total, 5, f.tranche)
    repay = f.released_micro if f.withdrawn else 0
    return {"total_fen": total, "tranche_fen": part, "tranche_micro": part * FEN_MICRO, "repay_micro": repay,
            "from_unspent_micro": min(repay, f.unspent_micro)}  # fmt: skip


@rule("I6_incubatee_price")
def incubatee(f: Any, own: Own) -> dict[str, Any]:
    entitled = f.bought_on <= months_on(f.ended_on, 24) and not f.other_token
    return purchase(f.value_fen, percent(30 if entitled else 0), f.benefit_used_fen)


@rule("I8_guarantee")
def guarantee(f: Any, own: Own) -> dict[str, Any]:
    return {"guaranteed_fen": min(floor(percent(80) * f.loan_fen), f.fund_free_fen) if f.incubated else 0}


@rule("I9_virtual_zone")
def zone(f: Any, own: Own) -> dict[str, Any]:
    return {"in_zone": f.registered_in_city}


# -- talent, research, rights ------------------------------------------------------------------------------------------


@rule("T1_expert_clone")
def expert_clone(f: Any, own: Own) -> dict[str, Any]:
    grant = min(f.cost_fen, 100_000 * YUAN) if f.senior and f.deployed_here else 0
    return {"grant_fen": grant, "grant_micro": grant * FEN_MICRO}


@rule("T2_clone_income")
def clone_income(f: Any, own: Own) -> dict[str, Any]:
    due = floor(percent(80) * bps(max(f.markup, 100)) * f.model_cost_micro)
    return {"owner_micro": due, "trains": f.consent and f.reviewed}


@rule("T3_clone_alliance")
def clones(f: Any, own: Own) -> dict[str, Any]:
    return {"shares_micro": largest_remainder(f.income_micro, list(f.tokens))}


@rule("T4_role_grant")
def role_grant(f: Any, own: Own) -> dict[str, Any]:
    year = {"algorithm_engineer": 1000, "data_analyst": 800, "ml_ops": 800, "product": 600, "annotator": 400}[f.role]
    return {"credit_micro": 0 if f.granted else year * CREDIT}


@rule("T5_points")
def points(f: Any, own: Own) -> dict[str, Any]:
    blocks, rest = divmod(f.points, 100)
    return {"credit_micro": half_even(blocks * 10 * CREDIT * bps(f.coefficient)), "points_left": rest,
            "level": 1 + sum(f.lifetime_points >= least for least in (500, 2000, 8000))}  # fmt: skip


@rule("T6_reputation")
def reputation(f: Any, own: Own) -> dict[str, Any]:
    with localcontext() as context:
        context.prec = 60
        faded = (
            Decimal(many) * Decimal("0.5") ** (Decimal(age) / 730) for many, age in zip(f.points, f.ages, strict=True)
        )
        total = sum(faded, Decimal(0))
        coefficient = 1 + min(total / 2000, Decimal(1)) * Decimal("0.5")
        return {"reputation": floor(total), "coefficient": floor(coefficient * 10_000)}


@rule("T7_graduate_finetune")
def graduate(f: Any, own: Own) -> dict[str, Any]:
    bar = 100 * (60 + 5 * min(f.ordinal - 1, 5))
    use = 100 * f.ordinal * CREDIT if f.ordinal > 1 else 0
    due = f.deployed and f.score >= bar and f.previous_use_micro >= use
    rate = percent(min(10 + 2 * (f.ordinal - 1), 20))
    subsidy = half_even(min(rate * f.cost_fen, Fraction(10_000 * YUAN))) if due else 0
    return {"due": due, "subsidy_fen": subsidy, "subsidy_micro": subsidy * FEN_MICRO, "bar_points": bar,
            "use_needed_micro": use}  # fmt: skip


@rule("T8_mentor")
def mentor(f: Any, own: Own) -> dict[str, Any]:
    return {"mentor_micro": 0 if f.related else half_even(percent(20) * f.mentee_subsidy_micro)}


@rule("T9_paper_grant")
def paper(f: Any, own: Own) -> dict[str, Any]:
    tiers = own("grant_credit")
    assert (min(tiers.values()), max(tiers.values())) == (500, 5000)
    return {"credit_micro": tiers[f.tier] * CREDIT if f.uses_local_model or f.co_signed else 0}


@rule("T10_matching")
def matching(f: Any, own: Own) -> dict[str, Any]:
    match = f.need_accepts and f.solution_accepts and not f.related
    return {"need_micro": 500 * CREDIT if match and f.need_matches < 10 else 0,
            "solution_micro": 500 * CREDIT if match and f.solution_matches < 10 else 0}  # fmt: skip


@rule("T11_open_science")
def open_science(f: Any, own: Own) -> dict[str, Any]:
    return {"points": 5 * f.reuses}


@rule("T12_usage_bonus")
def usage_bonus(f: Any, own: Own) -> dict[str, Any]:
    return {"bonus_micro": half_even(percent(5) * max(f.captured_micro - 10_000 * CREDIT, 0))}


@rule("T13_value_index")
def value_index(f: Any, own: Own) -> dict[str, Any]:
    def percentile(name: str) -> Fraction:
        if f.companies == 1:
            return Fraction(1, 2)
        return (f.of[f"{name}_below"] + Fraction(f.of[f"{name}_equal"], 2)) / (f.companies - 1)

    parts = (("usage", 4), ("innovation", 2), ("jobs", 2), ("data", 2))
    if any(f.of[f"{name}_below"] + f.of[f"{name}_equal"] > f.companies - 1 for name, _ in parts):
        return {}
    return {"index": half_even(sum(Fraction(tenths, 10) * percentile(name) for name, tenths in parts) * 10_000)}


@rule("T14_alliance")
def alliance(f: Any, own: Own) -> dict[str, Any]:
    rate = min(f.best_rate + (500 if f.members >= 3 else 0), 10_000)
    return {"rate_bps": rate} | purchase(f.value_fen, bps(rate), f.benefit_used_fen)


@rule("T15_ip_award")
def ip_award(f: Any, own: Own) -> dict[str, Any]:
    credit, yuan = {"software_copyright": (500, 0), "invention_patent": (1000, 0), "ai_patent_person": (0, 10_000),
                    "ai_patent_company": (0, 30_000)}[f.right]  # fmt: skip
    return {"credit_micro": 0 if f.awarded else credit * CREDIT, "cash_fen": 0 if f.awarded else yuan * YUAN}


@rule("T16_ip_pool")
def ip_pool(f: Any, own: Own) -> dict[str, Any]:
    rate = min(max(f.rate, 1_000), 100_000)
    return {"holder_micro": 0 if f.related else f.price_micro * rate // 10**6}


@rule("T17_contribution_split")
def split(f: Any, own: Own) -> dict[str, Any]:
    complete = sum(f.shares) == 10**6
    return {"complete": complete} | (
        {"parts_micro": largest_remainder(f.income_micro, list(f.shares))} if complete else {}
    )


@rule("T18_three_plus_three")
def three_plus_three(f: Any, own: Own) -> dict[str, Any]:
    missing = max(3 - f.theory_months, 0) + max(3 - f.practice_months, 0)
    return {"complete": not missing, "months_missing": missing}


@rule("T21_learn_to_earn")
def learn_to_earn(f: Any, own: Own) -> dict[str, Any]:
    def earned(modules: int) -> int:
        counted = min(f.paid_fen, own("price_cap_fen") * YUAN)
        return floor(percent(min(modules, 20)) * counted) if f.certified else 0

    total, before = earned(f.modules), earned(max(f.modules - 1, 0))
    return {"total_fen": total, "before_fen": before, "earned_micro": (total - before) * FEN_MICRO}


# -- finance -----------------------------------------------------------------------------------------------------------


@rule("F1_fund")
def fund(f: Any, own: Own) -> dict[str, Any]:
    accepted = min(f.call_fen, max(200_000_000 * YUAN - f.called_before_fen, 0))
    government = half_even(percent(40) * accepted)
    return {"accepted_fen": accepted, "government_fen": government, "private_fen": accepted - government}


@rule("F2_tiers")
def fund_tiers(f: Any, own: Own) -> dict[str, Any]:
    tier = sum(f.revenue_fen > most * YUAN for most in (3_000_000, 30_000_000))
    limit = (1_500_000, 5_000_000, 20_000_000)[tier] * YUAN
    return {"tier": tier + 1, "allowed_fen": min(f.deal_fen, max(limit - f.invested_before_fen, 0))}


@rule("F3_rebalance")
def rebalance(f: Any, own: Own) -> dict[str, Any]:
    shares = ((f.small, 3000), (f.growing, 3000), (f.expanding, 4000))
    near = all(abs(share - first) <= 1000 for share, first in shares)
    return {"allowed": near and sum(share for share, _ in shares) == 10_000,
            "next_review": months_on(f.last_review, 6)}  # fmt: skip


@rule("F4_conditions")
def conditions(f: Any, own: Own) -> dict[str, Any]:
    jobs, partners = {"small": (3, 1), "growing": (8, 2), "expanding": (15, 3)}[f.tier]
    missing = max(jobs - f.local_jobs, 0), max(partners - f.partners, 0)
    return {"met": f.team_here and missing == (0, 0), "jobs_missing": missing[0], "partners_missing": missing[1]}


@rule("F5_carry")
def carry(f: Any, own: Own) -> dict[str, Any]:
    """Capital back pro rata; the private base return; a fifth of the rest to the managers; the remainder 30 : 70.

    What whole years made of the capital is a sum of money, in whole fen; the days beyond count on it."""
    capital = f.government_fen + f.private_fen
    grown = half_even(f.private_fen * Fraction(106, 100) ** f.years)
    back = min(f.proceeds_fen, capital)
    due = half_even(grown * (1 + percent(6) * Fraction(f.rest_days, 365)) - f.private_fen)
    base = min(f.proceeds_fen - back, due)
    rest = f.proceeds_fen - back - base
    managers = half_even(percent(20) * rest)
    government_back = Fraction(back * f.government_fen, capital) if capital else 0
    government = half_even(government_back + percent(30) * (rest - managers))
    return {"base_fen": base, "managers_fen": managers, "government_due_fen": government,
            "private_due_fen": f.proceeds_fen - managers - government}  # fmt: skip


@rule("F5_conversion")
def conversion(f: Any, own: Own) -> dict[str, Any]:
    converts = not f.target_met and f.asked_on >= months_on(f.invested_on, 36)
    days = (f.asked_on - f.invested_on).days
    debt = half_even(f.invested_fen * (1 + percent(8) * Fraction(days, 365))) if converts else 0
    return {"debt_fen": debt, "converted": converts}


@rule("F6_token_package")
def token_package(f: Any, own: Own) -> dict[str, Any]:
    share = {"startup": 50, "public_service": 50, "growing": 40, "expanding": 30}[f.stage]
    package = half_even(percent(share) * f.invested_fen)
    return {"package_fen": package, "package_micro": package * FEN_MICRO}


@rule("F7_token_value")
def token_value(f: Any, own: Own) -> dict[str, Any]:
    names = ("innovation", "feedback", "efficiency")
    assert sum(own(f"{name}_weight") for name in names) == 10_000
    return {"index": half_even(sum(bps(own(f"{name}_weight")) * f.of[name] for name in names))}


@rule("F8_stability_fund")
def stability(f: Any, own: Own) -> dict[str, Any]:
    low, high = percent(90) * f.average_ticks, percent(110) * f.average_ticks
    left = max(floor(percent(2) * f.float_micro) - f.used_micro, 0)
    return {"buy_below_ticks": floor(low), "sell_above_ticks": ceil(high), "may_buy": 0 < f.price_ticks < low,
            "may_sell": f.average_ticks > 0 and f.price_ticks > high, "left_micro": left}  # fmt: skip


@rule("F9_credit_score")
def credit_score(f: Any, own: Own) -> dict[str, Any]:
    names = ("usage", "progress", "feedback", "innovation", "team", "market")
    assert sum(own(f"{name}_points") for name in names) == 1000
    return {"score": half_even(sum(bps(f.of[name]) * own(f"{name}_points") for name in names))}


@rule("F10_prepaid_loan")
def prepaid(f: Any, own: Own) -> dict[str, Any]:
    if f.score < 500:
        return {"limit_fen": 0}
    discount = percent(10) + percent(10) * Fraction(min(f.score, 900) - 500, 400)
    return {"limit_fen": floor(percent(70) * f.unused_fen), "discount_ppm": half_even(discount * 10**6),
            "rate_ppm": half_even(bps(f.base) * (1 - discount) * 10**6)}  # fmt: skip


@rule("F11_growth_loan")
def growth(f: Any, own: Own) -> dict[str, Any]:
    limit = percent(20) * f.revenue_fen + 3 * Fraction(f.captured_fen, 6)
    return {"limit_fen": floor(limit) if f.score > 750 else 0}


@rule("F12_lease")
def lease(f: Any, own: Own) -> dict[str, Any]:
    """An annuity at the rulebook's rate; the title passes with the last payment."""
    month = bps(own("annual_rate")) / 12
    payment = half_even(f.price_fen * month / (1 - (1 + month) ** -f.months))
    return {"payment_fen": payment, "title_passes": f.paid >= f.months}


@rule("F13_loss_layers")
def layers(f: Any, own: Own) -> dict[str, Any]:
    """Each layer owes its share up to its balance; what it can't pay passes on, the institution has the rest."""
    by_fund = min(half_even(percent(40) * f.loss_fen), f.fund_fen)
    by_reserve = min(half_even(percent(40 + 30) * f.loss_fen - by_fund), f.reserve_fen)
    return {"fund_pays_fen": by_fund, "reserve_pays_fen": by_reserve,
            "institution_pays_fen": f.loss_fen - by_fund - by_reserve}  # fmt: skip


@rule("F14_risk_stages")
def stages(f: Any, own: Own) -> dict[str, Any]:
    by_days = sum(f.past_due >= days for days in (30, 60, 90))
    by_score = sum(f.score_drop >= drop for drop in (100, 200, 300))
    return {"stage": max(by_days, by_score), "days_stage": by_days, "score_stage": by_score}


@rule("F15_default")
def default(f: Any, own: Own) -> dict[str, Any]:
    worth = percent(20) * Fraction(f.quantity_micro * f.clearing_price, CREDIT)
    offset = min(f.debt_fen, floor(worth))
    return {"offset_fen": offset, "debt_left_fen": f.debt_fen - offset}


@rule("F16_abs")
def securitisation(f: Any, own: Own) -> dict[str, Any]:
    senior, mezzanine = floor(percent(70) * f.pool_fen), floor(percent(20) * f.pool_fen)
    junior = f.pool_fen - senior - mezzanine
    keep = ceil(percent(50) * junior)
    may = f.qualified and f.use in ("infrastructure", "core_technology") and f.junior_retained_fen >= keep
    return {"senior_fen": senior, "mezzanine_fen": mezzanine, "junior_fen": junior, "to_keep_fen": keep,
            "may_issue": may}  # fmt: skip


@rule("F17_distribution")
def distribution(f: Any, own: Own) -> dict[str, Any]:
    days = Fraction(f.elapsed, 365)
    claims = {
        "fees_paid_fen": f.fees_fen,
        "senior_coupon_fen": f.senior_unpaid_fen + half_even(percent(4) * days * f.senior_fen),
        "mezzanine_coupon_fen": f.mezzanine_unpaid_fen + half_even(percent(7) * days * f.mezzanine_fen),
        "senior_principal_fen": f.senior_fen,
        "mezzanine_principal_fen": f.mezzanine_fen,
    }
    left, paid = f.receipts_fen, {}
    for name, claim in claims.items():
        paid[name] = min(claim, left)
        left -= paid[name]
    return paid | {
        "junior_fen": left,
        "senior_unpaid_next_fen": claims["senior_coupon_fen"] - paid["senior_coupon_fen"],
        "mezzanine_unpaid_next_fen": claims["mezzanine_coupon_fen"] - paid["mezzanine_coupon_fen"],
    }


# -- brand and creators ------------------------------------------------------------------------------------------------


@rule("B1_course_fee")
def course_fee(f: Any, own: Own) -> dict[str, Any]:
    fee = percent(20) * f.gross_fen
    if f.month_number >= 6:
        fee -= percent(5) * max(f.gross_fen - 50_000 * YUAN, 0) + percent(5) * max(f.gross_fen - 100_000 * YUAN, 0)
    return {"fee_fen": half_even(fee), "creator_fen": f.gross_fen - half_even(fee)}


@rule("B2_api_referral")
def api_referral(f: Any, own: Own) -> dict[str, Any]:
    within = f.signed_up_on <= f.paid_on < months_on(f.signed_up_on, 24)
    return {"creator_micro": 3 * f.paid_micro // 100 if within else 0}


@rule("B3_rookie")
def rookie(f: Any, own: Own) -> dict[str, Any]:
    due = (f.live_hours >= 50 or f.videos >= 100) and f.followers >= 10_000 and f.granted_before < 100
    return {"grant_fen": 1000 * YUAN if due else 0, "followers_missing": max(10_000 - f.followers, 0)}


@rule("B4_enterprise_track")
def enterprise_track(f: Any, own: Own) -> dict[str, Any]:
    return {"certified": f.ai_share > 6000, "traffic_weight": own("weight" if f.ai_share > 6000 else "plain")}


@rule("B5_lab")
def lab(f: Any, own: Own) -> dict[str, Any]:
    day = f.granted_on
    return {"credit_micro": f.seats * 100 * own("hour_price") * CREDIT,
            "expires_on": day.replace(day=calendar.monthrange(day.year, day.month)[1])}  # fmt: skip


@rule("B6_star_human")
def star_human(f: Any, own: Own) -> dict[str, Any]:
    kept = f.streams >= 2 and f.ai_share >= 4000
    suspended = f.missed_before + (not kept) >= 2
    return {"duty_kept": kept, "suspended": suspended, "entitled": f.rank <= 100 and not suspended}


@rule("B7_lite_human")
def lite_human(f: Any, own: Own) -> dict[str, Any]:
    return {"subsidy_fen": half_even(percent(50) * f.price_fen) if f.works >= 10 else 0,
            "works_missing": max(10 - f.works, 0)}  # fmt: skip


@rule("B8_topic_traffic")
def topic_traffic(f: Any, own: Own) -> dict[str, Any]:
    return {"voucher_views": min(f.views, max(own("daily") - f.given_today, 0))}


@rule("B9_cadre")
def cadre(f: Any, own: Own) -> dict[str, Any]:
    return {"met": f.hours >= 16 and f.ai_share > 9000, "hours_missing": max(16 - f.hours, 0)}


@rule("B10_content_hub")
def content_hub(f: Any, own: Own) -> dict[str, Any]:
    return {"free_left": max(own("designated_free" if f.designated else "other_free") - f.used, 0)}


@rule("B11_brand_index")
def brand_index(f: Any, own: Own) -> dict[str, Any]:
    above = f.audited_exposure > 100_000_000
    return {"award_fen": 500_000 * YUAN if above and not f.awarded else 0, "media_priority": above,
            "bonus": own("procurement_bonus") if above else 0}  # fmt: skip


@rule("B14_conference")
def conference(f: Any, own: Own) -> dict[str, Any]:
    pool = 10_000_000 * YUAN * Fraction(f.track_weight, f.all_weights)
    weights = list(own("weights"))
    if f.track_weight > f.all_weights:
        return {}
    return {"prize_fen": (largest_remainder(floor(pool), weights) + [0] * 100)[f.place - 1]}


@rule("B15_xiaozhi")
def xiaozhi(f: Any, own: Own) -> dict[str, Any]:
    following = f.aired_on + timedelta(7)
    return {"next_on": following, "due": f.asked_on >= following}


@rule("B16_platform_barter")
def barter(f: Any, own: Own) -> dict[str, Any]:
    return {"value_fen": own("unit_value")[f.kind] * f.units}


@rule("B17_city_courses")
def city_courses(f: Any, own: Own) -> dict[str, Any]:
    lapses = months_on(f.certified_on, own("months"))
    made = f.bureau and f.university and f.mcn
    return {"certified": made and f.certified_on <= f.asked_on < lapses}


# -- city hub and scorecard --------------------------------------------------------------------------------------------


@rule("H1_ingest")
def ingest(f: Any, own: Own) -> dict[str, Any]:
    return {"reached": f.devices >= 200_000, "missing": max(200_000 - f.devices, 0)}


@rule("H2_flood")
def flood(f: Any, own: Own) -> dict[str, Any]:
    return {"in_time": f.lead_s >= 5 * 60}


@rule("H7_data_exchange")
def data_exchange(f: Any, own: Own) -> dict[str, Any]:
    may = f.domain in ("culture_tourism", "industry", "education")
    commission = half_even(bps(own("commission")) * f.price_fen) if may else 0
    subsidy = half_even(bps(own("subsidy")) * f.price_fen) if may and f.refined else 0
    return {"may_trade": may, "commission_fen": commission, "subsidy_fen": subsidy}


@rule("S3_payback")
def payback(f: Any, own: Own) -> dict[str, Any]:
    deadline = months_on(f.started_on, 18)
    missing = max(f.invested_fen - f.returned_fen, 0)
    return {"watch_list": f.asked_on > deadline and missing > 0, "deadline": deadline, "missing_fen": missing}
