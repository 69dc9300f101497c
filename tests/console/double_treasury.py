"""The part of the desk's double that is about money in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.console import model_treasury as mt
from shanhe.kernel.errors import Invalid
from shanhe.kernel.money import MICRO

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
DAY = date(2026, 11, 20)
UNSTATED = date(2026, 11, 1)
QUOTE = mt.PayoutQuote(400_000, 64_000, 336_000, {"rule": "P10_payout"})
PAYEE = mt.PayeeRow(UUID(int=90), "2222", "山河银行滨江支行", "unchecked", "青山机器人有限公司", "6200000011112222")


def payout(number: int, state: str) -> mt.PayoutRow:
    booked = state in ("approved", "sent", "confirmed", "failed")
    return mt.PayoutRow(
        UUID(int=100 + number), "青山机器人", 4_000 * MICRO, 200 * MICRO if state == "review" else 0,
        400_000 if booked else None, 64_000 if booked else None, 336_000 if booked else None, state,
        "SP7K2M9PQ4" if booked else "", "bank_file" if booked else "", "退票" if state == "failed" else "", NOW, PAYEE,
        [("first", "王审"), ("second", "周敏"), ("ended", "张理")] if state == "failed" else (),
        QUOTE if state in ("review", "requested", "first") else None, QUOTE.trace, UUID(int=7) if booked else None,
    )  # fmt: skip


HELD = mt.HeldRow(
    UUID(int=83), "b" * 64, "7月.csv", "王五", NOW, NOW, "2026-07-01", "2026-07-31", 2, 500_000, 0, 100_00, 510_000_00,
    1, 500_000,
)  # fmt: skip


class Treasury:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[str, object]] = []
        self.queue = c.Queue()
        self.looked: tuple[str, UUID | None] = ("", None)
        self.mine = self.alone = False

    async def bank(self, who: m.Who, file_hash: str, find: str = "", past: UUID | None = None) -> mt.BankView:
        self.looked = (find, past)
        lines = [
            mt.BankLineRow(2, "in", 500_000, "matched", "", "充值 SH7K2M9PQ4"),
            mt.BankLineRow(3, "", 0, "refused", "there is no amount · 没有金额", "手续费"),
        ]
        waiting = [
            mt.SuspenseRow(
                UUID(int=80),
                "unknown_reference",
                88_00,
                False,
                "treasury",
                None,
                UUID(int=4),
                NOW,
                "a" * 64,
                7,
                "青山机器人有限公司",
                "十一月服务费",
                [("SH7K2M9PQ4", "青山机器人")],
            ),
            mt.SuspenseRow(
                UUID(int=82),
                "came_back",
                480_00,
                False,
                "treasury",
                None,
                UUID(int=5),
                NOW,
                party="青山机器人",
                came_from=mt.OutgoingRow("SP7K2M9PQ4", "payout", 500_00, NOW, "青山机器人"),
                wanted_back=True,
            ),
            mt.SuspenseRow(
                UUID(int=81), "outgoing", 12_00, True, "国库科 王", None, UUID(int=4), NOW, hands=[("assigned", "王审")]
            ),
        ]
        return mt.BankView(
            [june := mt.StatementRow("a" * 64, "6月.csv", 120, NOW, DAY, DAY, 1_000_00, 5_001_000_00)], waiting,
            [
                mt.OutgoingRow(
                    "SR7K2M9PQ4", "refund", 100_000, NOW, "启明智能", "启明 …4444", ("a" * 64, 7)
                ),
                mt.OutgoingRow("SP9K2M9PQ4", "resend", 300_00, NOW, "青山机器人", account=PAYEE),
                mt.OutgoingRow("SR9K2M9PQ4", "resend", 200_00, NOW, "启明智能"),
            ],
            lines if file_hash else (), "6月.csv",
            {"matched": 1, "refused": 1}, True, [mt.GapRow(june, june, DAY, DAY, 1_000_00)], [HELD], self.alone,
        )  # fmt: skip

    async def balance(self, who: m.Who, day: date | None, sheet: UUID | None) -> mt.BalanceView:
        if day is not None and day > DAY:
            raise Invalid("balance_too_early", f"{day} is not over yet.", message_zh=f"{day} 尚未结束。")
        row = mt.BalanceRow(UUID(int=85), DAY, 1_200_00, 1_000_00, 0, NOW, NOW, [("made", "王审"), ("signed", "周敏")])
        items = [
            mt.TransitRow("bank_in", 300_00, DAY, 0, ("银行流水", "line of a statement"), "SH7K2M9PQ4", ("a" * 64, 7)),
            mt.TransitRow("books_out", 100_00, DAY, 0, ("提现", "payout"), "", None, UUID(int=4), DAY),
        ]
        totals = {"bank_in": 300_00, "bank_out": 0, "books_in": 0, "books_out": 100_00}
        return mt.BalanceView(
            day or DAY, 1_400_00, 1_000_00, 1_300_00, 1_300_00, 0, True, None if day == UNSTATED else DAY, 0, items,
            totals, (), row if sheet else None, [row],
        )  # fmt: skip

    async def balance_sign(self, who: m.Who, day: date) -> None:
        self.done.append(("balance", day))

    async def statement_upload(self, who: m.Who, name: str, data: bytes) -> tuple[str, bool]:
        if not data:
            raise Invalid("statement_unreadable", "Empty.", message_zh="文件为空。")
        known = (name, data) in self.done
        self.done.append((name, data))
        return "a" * 64, known

    async def statement_held(self, who: m.Who, file_hash: str) -> mt.HeldView:
        rows = [
            mt.BankLineRow(2, "in", 500_000, "pays", "", "充值 SH7K2M9PQ4", "青山机器人"),
            mt.BankLineRow(3, "", None, "refused", "there is no amount · 没有金额", "手续费"),
        ]
        return mt.HeldView(replace(HELD, mine=self.mine), rows, {"pays": 1, "refused": 1}, self.alone)

    async def waiting(self, who: m.Who) -> Sequence[mt.WaitingRow]:
        fits = [(UUID(int=90), "SH7K2M9PQ4", 50_00)]
        return [
            mt.WaitingRow(UUID(int=91), "over", 100_00, NOW, fits=fits),
            mt.WaitingRow(UUID(int=92), "late", 30_00, NOW, wanted_back=True),
            mt.WaitingRow(UUID(int=93), "under", 20_00, NOW),
        ]

    async def waiting_decide(self, who: m.Who, item: UUID, order: UUID | None) -> None:
        self.done.append(("want_back" if order is None else "use", item))

    async def suspense_decide(self, who: m.Who, item: UUID, action: str, fields: Mapping[str, str]) -> bool:
        if fields.get("order") == "?":
            raise Invalid("payment_not_found", "No such order.", message_zh="没有该订单。")
        self.done.append((action, item))
        return action == "return"

    async def income(self, who: m.Who) -> mt.IncomeView:
        rows = [payout(n, state) for n, state in enumerate(("requested", "confirmed", "failed"))]
        return mt.IncomeView(1_200 * MICRO, 300 * MICRO, 80 * MICRO, 5 * MICRO, PAYEE, rows, withheld_micro=53)

    async def payee_set(self, who: m.Who, fields: Mapping[str, str]) -> None:
        self.done.append(("payee", fields["bank"]))

    async def payout_quote(self, who: m.Who, micro: int) -> mt.PayoutQuote:
        return QUOTE

    async def payout_ask(self, who: m.Who, micro: int, client_ref: str, *, with_subsidy: bool) -> None:
        if micro > 1_500 * MICRO:
            raise Invalid("payout_out_of_bounds", "Too much.", message_zh="超出可提金额。")
        self.done.append(("ask", (micro, with_subsidy)))

    async def payout_cancel(self, who: m.Who, payout: UUID) -> None:
        self.done.append(("cancel", payout))

    async def payouts(self, who: m.Who, queue: c.Queue) -> Sequence[mt.PayoutRow]:
        self.queue = queue
        states = ("review", "requested", "first", "approved", "sent", "confirmed", "failed", "refused")
        return [payout(n, state) for n, state in enumerate(states)]

    async def payout_sheet(self, who: m.Who, *, everything: bool) -> AsyncIterator[str]:
        async def lines() -> AsyncIterator[str]:
            yield "\ufeffid,maker,state\r\n"
            yield f",青山机器人,{everything}\r\n"

        return lines()

    async def payout_decide(self, who: m.Who, payout: UUID, action: str, fields: Mapping[str, str]) -> bool:
        self.done.append((action, payout))
        return action == "fail"

    async def payee_check(self, who: m.Who, payee: UUID, *, passed: bool, reference: str) -> None:
        self.done.append(("check", passed))

    async def payout_files(self, who: m.Who) -> Sequence[mt.BatchRow]:
        return [mt.BatchRow(UUID(int=80), "王敏", 3, 91_000, 1, NOW)]

    async def payout_file(self, who: m.Who, batch: UUID | None = None) -> tuple[str, str]:
        self.done.append(("file", batch))
        return "payouts.csv", "序号\n"

    async def reconcile(self, who: m.Who, *, everything: bool) -> mt.ReconcileView:
        money = mt.DifferenceRow(
            UUID(int=70), date(2026, 11, 19), "statement_payments", "wechat payment 1", "missing_here", "fen",
            "statement", 7_000, "payments", 0, "treasury", "open", "", "", 7_000, UUID(int=4),
        )  # fmt: skip
        meter = mt.DifferenceRow(
            UUID(int=71), date(2026, 11, 19), "meter_ledger", "a/b/m", "amount_micro", "micro", "meter", 1_000,
            "ledger", 2_000, "platform operations", "resolved", "explained", "重启", 0, None,
        )  # fmt: skip
        runs = [mt.RunRow(date(2026, 11, 19), "nightly", NOW, 2, [mt.CheckRow("engine_ledger", 3, 0, "upstream-a")])]
        bill = mt.BillRow("wechat", "1120.csv", 12, NOW, [(14, "缺少商户订单号或退款单号")])
        return mt.ReconcileView([money, meter] if everything else [money], runs, ("wechat", "alipay"), [bill])

    async def reconcile_run(self, who: m.Who, day: date | None) -> None:
        self.done.append(("run", day))

    async def bill_upload(self, who: m.Who, provider: str, name: str, data: bytes) -> None:
        self.done.append((provider, data))

    async def difference_decide(self, who: m.Who, item: UUID, action: str, fields: Mapping[str, str]) -> None:
        self.done.append((action, fields.get("outcome")))
