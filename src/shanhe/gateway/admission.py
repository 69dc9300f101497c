"""From a raw request to a reservation: who calls, what it may cost at most, and whether that is there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import structlog

from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.estimate import output_default, prompt_bound
from shanhe.gateway.http import Client, Headers
from shanhe.gateway.model import Admission, with_commission
from shanhe.gateway.pictures import pictures_admitted
from shanhe.gateway.tags import under_header
from shanhe.gateway.terms import Today
from shanhe.kernel.clock import CITY_TZ, Clock
from shanhe.kernel.db import FAILURES
from shanhe.kernel.money import said_credits
from shanhe.kernel.purse import OverBudget
from shanhe.ledger.api import Asset, InsufficientCredit, Ledger, Limit, LimitExceeded, LotHistory, call_facts

if TYPE_CHECKING:
    from shanhe.compute.api import Compute, ModelInfo
    from shanhe.gateway.call import Call
    from shanhe.gateway.charges import ChargeBook
    from shanhe.gateway.faces.base import Face, Parsed
    from shanhe.gateway.terms import PriceList
    from shanhe.identity.api import Caller, Identity

MODEL_NAME_MAX: Final = 128
PRIVATE: Final = "clone-"
"""How the names of models begin that only a listing may call, not a key."""
CALL_TTL: Final = timedelta(seconds=2400)
"""A call's reservation lapses after this: the longest call (`call.CALL_MAX_S`), a blocked write, its capture."""
MINUTE: Final = timedelta(minutes=1)
RATES: Final = {"requests_per_minute": b"requests", "tokens_per_minute": b"tokens"}
"""Counters of which callers are told what is left, by the word that OpenAI's headers have for them."""
MISSING_KEY: Final = "No API key given. Send it as `Authorization: Bearer sk-sh-…` (or `x-api-key`)."
MISSING_KEY_ZH: Final = "缺少 API 密钥：请以 `Authorization: Bearer sk-sh-…`（或 `x-api-key`）发送。"
log = structlog.get_logger(__name__)


def token_of(client: Client) -> str:
    """The API key of a request; CallError 401 without one."""
    value = client.header(b"authorization")
    if value is not None:
        scheme, _, token = value.partition(b" ")
        if token and scheme.lower() == b"bearer":
            return token.strip().decode("latin-1")
    value = client.header(b"x-api-key")
    if value:
        return value.decode("latin-1")
    raise CallError(401, "invalid_api_key", MISSING_KEY, MISSING_KEY_ZH)


@contextlib.contextmanager
def database_away() -> Iterator[None]:
    """A lost database is a 503 with a hint to retry, not a surprise."""
    try:
        yield
    except FAILURES as error:
        raise CallError(
            503, "ledger_unavailable", "The ledger can't be reached; try again.", retry_after_s=2
        ) from error


class Admitter:
    """Authenticates, prices and reserves."""

    def __init__(
        self, identity: Identity, compute: Compute, ledger: Ledger, lots: LotHistory, prices: PriceList, clock: Clock,
        charges: ChargeBook, waiting_prices: PriceList,
    ) -> None:  # fmt: skip
        self._identity = identity
        self._compute = compute
        self._ledger = ledger
        self._lots = lots
        self._prices = prices
        self._waiting_prices = waiting_prices
        self._clock = clock
        self._today = Today(clock)
        self._charges = charges
        self._wallets: dict[UUID, UUID] = {}
        self._brought: dict[UUID, tuple[date, bool]] = {}  # whether an organisation's referrer may be paid, by day
        self._minute_from = self._minute_until = clock.now()
        self._window_names = "", "", ""

    async def authenticate(self, client: Client) -> Caller:
        """The caller behind the request's key, with the tags of its header; typed 401/403 otherwise."""
        token = token_of(client)
        with database_away():
            caller = self._identity.caller_cached(token) or await self._identity.caller(token)
        return under_header(caller, client)

    def known(self, token: str) -> Caller | None:
        """The caller behind a key where no question has to be asked."""
        return self._identity.caller_cached(token)

    async def admit(self, call: Call, body: bytes) -> None:
        """Fill in a known caller's call and reserve its largest price; CallError or ShanheError if it can't run."""
        if not call.through and self.admit_now(call, body):
            return
        org_id = call.caller.org_id
        if call.through:
            call.parsed = understood(call.face, body)
            known = self._known_model(call.parsed.model)
            call.parsed.model = known.id
            call.admission = self._admission(call.parsed, known, self._prices, self._clock.now())
        if call.through or await self._is_brought(org_id):
            with database_away():
                commission = await self._charges.commission(
                    org_id, call.through, call.weights, call.fees, call.carried, call.since
                )
            call.admission = with_commission(call.admission, commission)
        await self.reserve(call)

    async def reserve(self, call: Call) -> None:
        """Ask the database for what a priced call may cost at most; CallError 402 where that is not there."""
        org_id = call.caller.org_id
        payer = self._wallets.get(org_id) or await self._wallet(org_id)
        await self._set_aside(call)
        now, held = self._clock.now(), call.admission.held_micro
        limits = self._limits(call.caller, call.admission, now)
        try:
            await self._reserve_within(payer, held, limits, call, now)
        except BaseException:
            await self.booked(call, 0)
            raise
        finally:
            if limits:
                call.rates = self._rates(limits, now)

    async def _set_aside(self, call: Call) -> None:
        """What a call may cost at most, of its caller's purse; CallError 402 where that is not in it."""
        purse, may = call.caller.purse, call.admission.held_micro
        if purse is None or not may:
            return
        try:
            with database_away():
                await purse.hold(may)
        except OverBudget as error:
            text = f"This step may cost {may} µ; {error.left_micro} µ are left of the budget."
            raise CallError(402, "run_budget_exceeded", text) from error
        call.set_aside = may

    async def booked(self, call: Call, paid_micro: int | None) -> None:
        """A call is over that had set something aside; `paid_micro` None: what it cost isn't known."""
        held, call.set_aside = call.set_aside, 0
        if not held:
            return
        try:
            await call.caller.purse.settle(held, None if paid_micro is None else min(paid_micro, held))
        except FAILURES as error:  # it stays set aside
            log.warning("a budget was not given back to", receipt=call.receipt, micro=held, error=str(error)[:200])

    async def _reserve_within(
        self, payer: UUID, held: int, limits: tuple[Limit, ...], call: Call, now: datetime
    ) -> None:
        if call.admission.subsidy_max_micro == 0:  # a fee: no earmark and no subsidy can pay it, a lease's lots can
            call.reservation = self._ledger.try_admit(
                payer, held, receipt_id=call.receipt_id, limits=limits, ttl=CALL_TTL, now=now, unsubsidised=True
            )
        call.reservation = call.reservation or await self._reserve(payer, call.admission, call, limits)

    async def _is_brought(self, org_id: UUID) -> bool:
        """Whether somebody may be paid for having brought this payer (B2); asked once a day."""
        today = self._clock.today()
        known = self._brought.get(org_id)
        if known is None or known[0] != today:
            with database_away():
                known = self._brought[org_id] = today, await self._charges.refers(org_id)
        return known[1]

    def _may_be_brought(self, org_id: UUID, now: datetime) -> bool:
        known = self._brought.get(org_id)
        return known is None or known[1] or known[0] != self._today(now)

    def admit_now(self, call: Call, body: bytes) -> bool:
        """`admit` as far as memory goes; False when the database has to be asked for the reservation."""
        caller = call.caller
        parsed = call.parsed = understood(call.face, body)
        now = self._clock.now()
        prices = self._prices if call.errand is None else self._waiting_prices
        known = self._known_model(parsed.model) if call.inside else self.model(caller, parsed.model)
        if known.id != parsed.model:  # called by a further name: all that follows is about the model
            parsed.model = known.id
        admission = call.admission = self._admission(parsed, known, prices, now)
        payer = self._wallets.get(caller.org_id)
        if payer is None or caller.purse is not None or self._may_be_brought(caller.org_id, now):
            return False
        limits = self._limits(caller, admission, now)
        call.reservation = self._ledger.try_admit(
            payer, admission.held_micro, receipt_id=call.receipt_id, limits=limits, ttl=CALL_TTL, now=now
        )
        if call.reservation is None:
            return False
        if limits:
            call.rates = self._rates(limits, now)
        return True

    def model(self, caller: Caller, name: str) -> ModelInfo:
        """A model that this key may use; CallError 404 whether it does not exist or is not allowed.

        What was trained on a person answers through that person's clone alone, where consent is asked for.
        """
        open_to_keys = not name.startswith(PRIVATE)
        allowed = caller.models is None or name in caller.models or self._names_one_of(caller.models, name)
        return self._known_model(name, allowed=open_to_keys and allowed)

    def _names_one_of(self, models: frozenset[str], name: str) -> bool:
        """Whether a name that isn't on a key's list is a further one of a model that is."""
        known = self._compute.model(name)
        return known is not None and known.id in models

    def _known_model(self, name: str, *, allowed: bool = True) -> ModelInfo:
        model = self._compute.model(name) if allowed and 0 < len(name) <= MODEL_NAME_MAX else None
        if model is None:
            shown = "".join(sign for sign in name[:MODEL_NAME_MAX] if sign.isprintable())
            text = f"The model `{shown}` does not exist or this key may not use it. GET /v1/models lists what it may."
            zh = f"没有模型 `{shown}`，或该密钥不能使用它；可用的见 GET /v1/models。"
            raise CallError(404, "model_not_found", text, zh, param="model")
        return model

    def _admission(self, parsed: Parsed, model: ModelInfo, price_list: PriceList, now: datetime) -> Admission:
        if model.kind != parsed.kind:
            raise invalid(f"{model.id} is a model for {model.kind}, not for {parsed.kind}.", "model", "wrong_endpoint")
        context = model.context_tokens
        if parsed.max_tokens is not None and parsed.max_tokens > context:
            text = f"{parsed.max_tokens_field} is {parsed.max_tokens}, the context of {model.id} is {context} tokens."
            raise invalid(text, parsed.max_tokens_field, "context_length_exceeded")
        if parsed.fixed_tokens is not None and parsed.fixed_tokens > context:
            text = f"This reads {parsed.fixed_tokens} tokens; {model.id} reads {context} at once."
            raise invalid(text, None, "context_length_exceeded")
        prices = price_list.of(model.id, now)
        if parsed.pictures is not None:
            return pictures_admitted(parsed, parsed.pictures, model, prices)
        max_tokens = None
        if parsed.max_tokens_field is not None:
            max_tokens = parsed.max_tokens if parsed.max_tokens is not None else output_default(context)
        inputs = parsed.messages if parsed.kind != "chat" or parsed.path == "/completions" else 1
        prompt = parsed.fixed_tokens or prompt_bound(parsed.text_bytes, parsed.messages, context * inputs)
        completion = (max_tokens or 0) * parsed.answers
        return Admission(parsed.model, prompt, completion, max_tokens, prices.most(prompt, completion), prices)

    async def _wallet(self, org_id: UUID) -> UUID:
        with database_away():
            account = await self._ledger.ensure_account(org_id, Asset.CREDIT, "wallet")
        self._wallets[org_id] = account.id
        return account.id

    async def _reserve(self, payer: UUID, admission: Admission, call: Call, limits: tuple[Limit, ...]) -> Any:
        """Ask the database, with what earmarked lots want to know of the call: model, department, year, programme."""
        with database_away():
            marks = await self._lots.earmarks(payer)
        department = call.caller.department_id
        facts = call_facts(
            model=admission.model,
            department=None if department is None else str(department),
            programmes=[str(mark["programme"]) for mark in marks if "programme" in mark],
            fiscal_year=self._clock.today().year,
            earmarks=marks,
        )
        try:
            return await self._ledger.admit(
                payer,
                admission.held_micro,
                receipt_id=call.receipt_id,
                limits=limits,
                ttl_s=CALL_TTL.total_seconds(),
                earmark=facts,
                subsidy_max_micro=admission.subsidy_max_micro,
            )
        except InsufficientCredit as error:
            bounded = " Subsidy credits pay only a part of a markup." if admission.commission is not None else ""
            bounded_zh = "补贴积分只能支付加价的一部分。" if bounded else ""
            zh = f"{error.message_zh}{bounded_zh}{error.hint_zh}"
            raise CallError(402, "insufficient_quota", f"{error.message}{bounded} {error.hint}", zh) from error
        except LimitExceeded as error:
            raise self._limit_error(error) from error

    async def release(self, reservation: Any) -> None:
        """Give a reservation back whose call came to nothing."""
        await self._ledger.release(reservation)

    def _limits(self, caller: Caller, admission: Admission, now: datetime) -> tuple[Limit, ...]:
        if caller.rpm is caller.tpm is caller.budget_day_micro is caller.budget_month_micro is None:
            return ()
        minute, day, month = self._windows(now)
        scope, held = caller.limit_scope, admission.held_micro
        limits: list[Limit] = []
        if caller.rpm is not None:
            limits.append(Limit(scope, "requests_per_minute", minute, caller.rpm, 1))
        if caller.tpm is not None:
            tokens = admission.prompt_tokens_max + admission.completion_tokens_max
            limits.append(Limit(scope, "tokens_per_minute", minute, caller.tpm, tokens))
        if caller.budget_day_micro is not None:
            limits.append(Limit(scope, "budget_per_day", day, caller.budget_day_micro, held))
        if caller.budget_month_micro is not None:
            limits.append(Limit(scope, "budget_per_month", month, caller.budget_month_micro, held))
        return tuple(limits)

    def _rates(self, limits: tuple[Limit, ...], now: datetime) -> Headers:
        """What is left of a key's rates with this call counted, by OpenAI's names; tokens count as they are reserved.

        It is what this process knows: calls that other processes take at the same time are not in it.
        """
        reset = b"%ds" % (MINUTE.seconds - now.second)
        told: Headers = []
        for limit in limits:
            word = RATES.get(limit.name)
            if word is not None and (left := self._ledger.left(limit)) is not None:
                told += [
                    (b"x-ratelimit-limit-" + word, b"%d" % limit.cap),
                    (b"x-ratelimit-remaining-" + word, b"%d" % left),
                    (b"x-ratelimit-reset-" + word, reset),
                ]
        return told

    def _windows(self, now: datetime) -> tuple[str, str, str]:
        """Names of the city's minute, day and month, worked out once a minute."""
        if not self._minute_from <= now < self._minute_until:
            city = now.astimezone(CITY_TZ)
            self._minute_from = now.replace(second=0, microsecond=0)
            self._minute_until = self._minute_from + MINUTE
            self._window_names = city.strftime("%Y-%m-%dT%H:%M"), city.strftime("%Y-%m-%d"), city.strftime("%Y-%m")
        return self._window_names

    def _limit_error(self, error: LimitExceeded) -> CallError:
        limit, left = error.limit, max(0, error.limit.cap - error.used)
        if limit.name.endswith("_per_minute"):
            wait_s = 60 - self._clock.now().second
            what = "calls" if limit.name.startswith("requests") else "tokens"
            if limit.amount > limit.cap:  # no minute has room for it
                text = (
                    f"This call may use {limit.amount} {what}; its key may use {limit.cap} a minute. Ask for fewer"
                    " tokens, or raise the key's rate."
                )
                return CallError(429, "rate_limit_exceeded", text)
            text = (
                f"This key may use {limit.cap} {what} a minute and has {left} left; this needs {limit.amount}."
                f" Try again in {wait_s} s."
            )
            return CallError(429, "rate_limit_exceeded", text, retry_after_s=wait_s)
        cap, rest, needed = (said_credits(micro) for micro in (limit.cap, left, limit.amount))
        text = (
            f"The key's budget of {cap} credits a {limit.name.removeprefix('budget_per_')} has {rest} left, and this"
            f" call may cost {needed}. Raise the key's budget, or ask for fewer tokens."
        )
        window = "每日" if limit.name == "budget_per_day" else "每月"
        zh = f"密钥的{window}预算 {cap} 积分尚余 {rest}，本次最多需要 {needed}。请提高预算，或把 max_tokens 调小。"
        return CallError(402, "key_budget_exceeded", text, zh)


def understood(face: Face, body: bytes) -> Parsed:
    """The parsed request; whatever its nested values do to the face that reads them is the caller's 400."""
    try:
        return face.parse(body)
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError) as error:
        raise invalid(
            f"The request does not fit the protocol: {type(error).__name__}.", None, "invalid_type"
        ) from error


def actuals(limits: tuple[Limit, ...], tokens: int, total_micro: int) -> tuple[int, ...]:
    """What a finished call counts against each of its limits."""
    used = []
    for limit in limits:
        name = limit.name
        most = 1 if name == "requests_per_minute" else tokens if name == "tokens_per_minute" else total_micro
        used.append(min(most, limit.amount))
    return tuple(used)
