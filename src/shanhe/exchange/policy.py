"""What the rulebook decides for the exchange; the only place of this module that knows rule ids and fact names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from shanhe.kernel.clock import city_date, midnight
from shanhe.rulebook.api import Decision, Rulebook

CORRIDOR: Final = "C7_corridor"
SESSION: Final = "C7_session"
FEE: Final = "C8_trade_fee"
LOCK: Final = "C6"
STABILITY: Final = "F8_stability_fund"
PRICE: Final = "P1"
CONTINUOUS: Final = "continuous"


@dataclass(frozen=True)
class Day:
    """The rules of one day."""

    on: date
    list_price_fen: int
    floor_ticks: int
    ceiling_ticks: int
    continuous: bool
    interval: timedelta
    random_close_s: int
    min_order_fen: int
    play_cash_fen: int
    play_credits_micro: int
    unlock_at: datetime | None
    versions: dict[str, str]


class Policy:
    """Decisions by day, each computed once while the rules stay as they are."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self.day = rulebook.kept(self._day)
        self._fee = rulebook.kept(lambda on: rulebook.compiled(FEE, on))

    def _day(self, on: date) -> Day:
        book = self._rulebook
        list_price_fen = int(book.parameter(PRICE, "list_price_fen", on))
        corridor = book.evaluate(CORRIDOR, {"list_price_fen": list_price_fen}, on=on)
        lock = book.evaluate(LOCK, {"provenance": "exchange", "acquired_on": on, "asked_on": on}, on=on)
        return Day(
            on=on,
            list_price_fen=list_price_fen,
            floor_ticks=corridor.outputs["floor_ticks"],
            ceiling_ticks=corridor.outputs["ceiling_ticks"],
            continuous=CONTINUOUS in book.parameter(SESSION, "mode", on),
            interval=timedelta(minutes=int(book.parameter(SESSION, "interval_minutes", on))),
            random_close_s=int(book.parameter(SESSION, "random_close_s", on)),
            min_order_fen=int(book.parameter(FEE, "min_order_fen", on)),
            play_cash_fen=int(book.parameter(SESSION, "play_cash_fen", on)),
            play_credits_micro=int(book.parameter(SESSION, "play_credits_micro", on)),
            unlock_at=midnight(lock.outputs["unlocks_on"]),
            versions={"C7": corridor.version, "C6": lock.version, "C8": book.version(FEE, on)},
        )

    def fee_fen(self, proceeds_fen: int, discount_bps: int, on: date) -> int:
        """What an order of that day owes on its proceeds so far."""
        return int(self._fee(on)(proceeds_fen=proceeds_fen, discount_bps=discount_bps)["fee_fen"])

    def fee(self, proceeds_fen: int, discount_bps: int, on: date) -> Decision:
        """The same with its trace."""
        return self._rulebook.evaluate(FEE, {"proceeds_fen": proceeds_fen, "discount_bps": discount_bps}, on=on)

    def stability(self, facts: dict[str, Any], on: date) -> Decision:
        return self._rulebook.evaluate(STABILITY, facts, on=on)

    def window_days(self, on: date) -> int:
        return int(self._rulebook.parameter(STABILITY, "window_days", on))


def end_of_day(at: datetime) -> datetime:
    """The instant at which the city's day of `at` ends."""
    return midnight(city_date(at) + timedelta(days=1))
