"""The city's desks without modules behind them: rules, accounts and books, proofs, the market."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from tests.console.double_ground import MODEL, NOW, ORG, TRACE, ident
from tests.console.double_member import Member

from shanhe.console import chart
from shanhe.console import model as m
from shanhe.console import model_city as mc
from shanhe.console import model_credits as c
from shanhe.console import model_exchange as x
from shanhe.console import model_postings as mp
from shanhe.console import model_rules as mr
from shanhe.console.live.exchange import DISPUTES, ORDERS, REVERSALS, TRADES
from shanhe.kernel.errors import Conflict, Invalid, NotFound
from shanhe.kernel.money import MICRO, parse_yuan
from shanhe.kernel.paging import Leaf


class Rules:
    async def list(self) -> Sequence[mr.RuleRow]:
        names = {
            "P1": ("居民优惠", "Resident discount"),
            "P6": ("开发者分成", "Developer share"),
            "P10": ("算力贡献", "Compute contribution"),
            "P11": ("定价", "Pricing"),
            "C12": ("额度使用顺序", "Burn order"),
            "T15_ip_award": ("知识产权奖励", "Intellectual property"),
        }
        return [
            mr.RuleRow(
                name,
                title,
                "四·1" if name[0] == "P" else "",
                ("数字办", "Digital office"),
                "amount",
                date(2027, 3, 31),
                n,
            )
            for n, (name, title) in enumerate(names.items())
        ]

    async def page(self, rule_id: str) -> mr.RulePage:
        row = next((row for row in await self.list() if row.id == rule_id), None)
        if row is None:
            raise NotFound("no_rule", "There is no such rule.", message_zh="没有这条规则。")
        parameters = [
            mr.ParameterRow(
                "rate",
                ("优惠比例", "Discount"),
                date(2026, 1, 1),
                date(2025, 11, 1),
                "30.00 %",
                "given",
                ("", ""),
                "四·1.2",
                True,
            ),
            mr.ParameterRow(
                "list_price",
                ("目录价", "List price"),
                date(2026, 1, 1),
                date(2025, 11, 1),
                "1.00",
                "assumed",
                ("原文未规定，以单价 1 元计", "The source is silent; CNY 1"),
                "",
                True,
            ),
        ]
        facts = [
            mr.FactField("value_fen", ("购买价值", "Value bought"), "number", "fen", (), "100000", True),
            mr.FactField(
                "category",
                ("身份", "Category"),
                "enum",
                "",
                (("local_company", ("本地注册企业", "Local company")), ("citizen", ("市民", "Citizen"))),
                "",
                True,
            ),
        ]
        formula = [
            mr.FormulaLine(
                ("按比例的优惠", "Benefit by rate"), "benefit", "min(value_fen * rate, cap - used_fen)", "floor"
            )
        ]
        return mr.RulePage(
            row,
            ("", ""),
            ("购买时", "At purchase"),
            "sha256:9f2ac1d07b3e44d1aa",
            parameters,
            facts,
            formula,
            [("CNY 1,000", [(("目录价", "List value"), "¥1,000.00")], [(("优惠金额", "Benefit"), "¥300.00")])],
            [
                mr.RuleChange(
                    ("优惠比例由 25 % 变为 30 %", "Discount goes from 25 % to 30 %"),
                    date(2026, 1, 1),
                    date(2025, 11, 1),
                )
            ],
        )

    async def values(self, find: str, on: date, *, coming: bool) -> Sequence[mr.ValueRow]:
        page = await self.page("P1")
        then = () if coming else page.parameters[:1]
        return [mr.ValueRow(page.row, one.title, one, next(iter(then), None)) for one in page.parameters]

    def replay(self, trace: Mapping[str, Any]) -> str:
        return "same" if trace.get("version") else ""

    async def evaluate(
        self, rule_id: str, facts: Mapping[str, str], on: date, known: date | None = None
    ) -> mr.DecisionView:
        if "value_fen" not in facts:
            raise Invalid("facts_invalid", "value_fen is missing.", message_zh="缺少 value_fen。")
        return mr.DecisionView("30,000", "fen", "sha256:9f2ac1d07b3e44d1aa", "四·1.2", TRACE)


class City:
    def __init__(self) -> None:
        self.pulling = 0
        self.done = {"engine", "org"}
        """Steps of the setting up that are behind."""
        self.empty = False
        self.invited: str | None = None

    async def status(self) -> mc.StatusView:
        return mc.StatusView(
            "up",
            NOW,
            [("gateway", "up"), ("database", "up"), ("disk", "low"), ("engine", "up")],
            [(MODEL, "up"), ("qwen-large", "degraded")],
        )

    async def setup(self, who: m.Who) -> Sequence[mc.SetupStep]:
        return [
            mc.SetupStep("engine", "engine" in self.done, "/city/engines"),
            mc.SetupStep("org", "org" in self.done, "/city/accounts#name"),
            mc.SetupStep("second", "second" in self.done, command="shanhe people create LOGIN --role operator"),
        ]

    async def orgs(self, who: m.Who, find: str, before: str = "") -> Sequence[mc.OrgRow]:
        rows = [
            mc.OrgRow(
                ORG,
                "山河市启明智能科技有限公司",
                "company",
                "active",
                92_608_117_340,
                3,
                NOW - timedelta(days=80),
                {"subsidy": 21_408_117_340, "reward": 1_200 * MICRO, "purchased": 70_000 * MICRO},
            ),
            mc.OrgRow(
                UUID(int=9), "云谷算力合作社", "institution", "active", 4_120 * MICRO, 1, NOW, {"reward": 4_120 * MICRO}
            ),
            mc.OrgRow(UUID(int=10), "旧桥贸易行", "company", "frozen", 0, 2, NOW, {}),
        ]
        return [row for row in rows if find in row.name and not self.empty]

    async def org(self, who: m.Who, org_id: UUID) -> mc.OrgRow:
        return next(row for row in await self.orgs(who, "") if row.id == org_id)

    async def org_keys(self, who: m.Who, org_id: UUID, before: UUID | None) -> Leaf[m.KeyRow]:
        return await Member().keys(who)

    async def org_create(self, who: m.Who, name: str, kind: str) -> UUID:
        return ORG

    async def org_people(self, who: m.Who, org_id: UUID) -> mc.OrgPeople:
        takes = org_id != ORG and self.invited is None
        asked = [(UUID(int=5), self.invited, "owner", NOW)] if self.invited else []
        return mc.OrgPeople(int(org_id == ORG), 2 * (org_id == ORG), asked, takes=takes)

    async def org_invite(self, who: m.Who, org_id: UUID, login: str) -> None:
        if login == "nobody":
            raise NotFound("unknown_person", "Nobody.", message_zh="没有以此登录名或邮箱登录的人员。")
        self.invited = login

    async def org_uninvite(self, who: m.Who, org_id: UUID, invitation_id: UUID) -> None:
        self.invited = None

    async def org_freeze(self, who: m.Who, org_id: UUID, reason: str) -> None: ...
    async def org_unfreeze(self, who: m.Who, org_id: UUID) -> None: ...
    async def org_top_up(
        self, who: m.Who, org_id: UUID, micro: int, reason: str, *, method: str, client_ref: str
    ) -> None: ...

    async def cards(self, who: m.Who) -> Sequence[m.CardRow]:
        state = "downloading" if self.pulling else ""
        done = min(self.pulling * 60_000_000, 138_000_000)
        return [
            m.CardRow(MODEL, ("通义千问 2.5 代码 0.5B", "Qwen2.5 Coder 0.5B"), "Apache-2.0", 491_400_064, True),
            m.CardRow(
                "multilingual-e5-small",
                ("多语言向量", "Multilingual E5 small"),
                "MIT",
                138_000_000,
                False,
                state,
                done,
                138_000_000,
            ),
        ]

    async def alias(self, who: m.Who, name: str, model: str | None) -> None:
        self.aliases = [*getattr(self, "aliases", []), (name, model)]

    async def pull(self, who: m.Who, model: str) -> None:
        self.pulling = 1

    async def engines(self, who: m.Who) -> Sequence[mc.EngineRow]:
        return [
            mc.EngineRow(
                ident(30),
                "local-llama",
                "llama",
                "unix",
                "",
                ((MODEL, MODEL),),
                True,
                "up",
                "closed",
                3,
                0,
                4,
                12,
                214.3,
                18_204,
                None,
                NOW,
                True,
            ),
            mc.EngineRow(
                ident(31),
                "upstream-a",
                "openai",
                "https://upstream.example/v1",
                "UPSTREAM_A_KEY",
                (("qwen-large", "Qwen3-235B"),),
                True,
                "down",
                "open",
                0,
                2,
                256,
                4_310,
                None,
                903,
                ("未在时限内应答", "it did not answer in time"),
                NOW,
                False,
            ),
        ]

    async def engine_add(self, who: m.Who, fields: Mapping[str, str]) -> None:
        raise Invalid("bad_engine", "This address does not answer.", message_zh="该地址没有响应。")

    async def engine(self, who: m.Who, engine_id: UUID) -> mc.EngineTerms:
        classes, features = frozenset({"general"}), frozenset({"tools", "vision", "no_stream_options"})
        return mc.EngineTerms(
            ident(31), "upstream-a", False, classes, features, 256, 1_024, 60_000, 60_000, 10**6, 2_500_000, 10**6
        )

    async def engine_set(self, who: m.Who, engine_id: UUID, fields: Mapping[str, str]) -> None:
        if fields.get("slots") == "0":
            raise Invalid("bad_engine", "Slots are 1-100,000.", message_zh="并发槽 1–100000。")

    async def engine_test(self, who: m.Who, engine_id: UUID) -> mc.EngineTest:
        return mc.EngineTest("local-llama", MODEL, True, 231.0, "你好！", (), ("chat_template_kwargs",))

    async def engine_switch(self, who: m.Who, engine_id: UUID, enabled: bool) -> None: ...


class Books:
    def __init__(self) -> None:
        self.verifying = 0
        self.asked: tuple[object, ...] = ()

    async def closed_through(self, who: m.Who) -> date | None:
        return date(2026, 10, 31)

    async def accounts(
        self, who: m.Who, asset: str, kind: str, find: str, after: str
    ) -> tuple[Sequence[mc.AccountRow], str]:
        rows = [
            mc.AccountRow(
                ident(40), "山河市启明智能科技有限公司", "credit", "wallet", "", 92_608_117_340, 12_400_000, 0, True
            ),
            mc.AccountRow(ident(41), "山河市", "credit", "issuance", "", -101_200 * MICRO, 0, None, False),
            mc.AccountRow(ident(42), "山河市", "cny", "cash", "", 7_000_000, 0, None, False),
        ]
        return rows, "" if after else str(ident(42))

    async def trial(self, who: m.Who) -> Sequence[mc.TrialLine]:
        return [
            mc.TrialLine("credit", "wallet", 3, 8_591_882_660, 101_200 * MICRO, 92_608_117_340),
            mc.TrialLine("credit", "platform", 2, 0, 8_591_882_660, 8_591_882_660),
            mc.TrialLine("credit", "issuance", 1, 101_200 * MICRO, 0, -101_200 * MICRO),
            mc.TrialLine("cny", "cash", 1, 7_000_000, 0, -7_000_000),
            mc.TrialLine("cny", "revenue", 1, 0, 7_000_000, 7_000_000),
        ]

    async def account_named(self, who: m.Who, text: str) -> tuple[UUID, str]:
        if text == "?":
            raise Invalid("which_organisation", "None.", message_zh="没有该机构。")
        return ident(40), text

    async def postings(
        self, who: m.Who, kind: str, account: UUID | None, days: mc.Days, before: str
    ) -> Sequence[mc.PostingRow]:
        self.asked = (kind, account, days, before)
        return [
            mc.PostingRow(
                ident(n),
                NOW - timedelta(minutes=n),
                "purchase" if n == 3 else "call",
                "key 客服机器人",
                "P1" if n == 3 else "",
                25_088 * (n + 1),
                "credit",
            )
            for n in range(12)
        ]

    async def unfinished(self, who: m.Who, through: date) -> Sequence[mc.UnfinishedRow]:
        if through.month == 9:
            return []
        return [mc.UnfinishedRow("suspense", 2, date(2026, 10, 7), "/city/bank#suspense")]

    async def statement(self, who: m.Who, account: UUID, days: mc.Days, after: str) -> mc.AccountPage:
        self.asked = (account, days, after)
        row = mc.AccountRow(account, "山河市", "cny", "budget", ("知识产权奖励", "IP rewards"), 1_250, 0, 0, False)
        line = mc.StatementRow(
            ident(4), NOW, "award", "Award 7 · 发放 7", "山河市启明智能科技有限公司 · wallet", ident(40), -250, 1_250
        )
        return mc.AccountPage(
            row, days.since or NOW.date(), days.until or NOW.date(), 1_500, 1_250, [line], "" if after else "next|1"
        )

    async def posting(self, who: m.Who, posting_id: UUID) -> mp.PostingPage:
        lines = (await Member().receipt(who, ident(1))).transfers
        fact = {"name": "value_fen", "title": {"zh": "目录价", "en": "List value"}, "value": 100_000, "unit": "fen"}
        decided = TRACE | {"rule": "P1_resident_discount", "on": "2026-11-20", "inputs": [fact]}
        return mp.PostingPage(
            posting_id,
            NOW,
            NOW.date(),
            "call",
            "key 客服机器人",
            "",
            None,
            lines,
            [mp.LotLine(ident(5), -25_088, "purchased", None, ident(40)), mp.LotLine(ident(6), 12)],
            {
                "v": 1,
                "status": "completed",
                "shares": [{"role": "platform", "amount_micro": 2}],
                "trace": decided,
                "market": "real",
                "buy": str(ident(7)),
            },
            [mp.RuleLine("P11", ("平台定价", "Pricing"), "四·1.2", "8af3fd6a2343")],
        )

    async def verify(self, who: m.Who) -> mc.VerifyView:
        if 0 < self.verifying < 3:
            self.verifying += 1
            return mc.VerifyView("running", self.verifying, 4, "balances")
        state = "clean" if self.verifying else "never"
        return mc.VerifyView(
            state, accounts=412, transfers=182_004, lots=1_893, took_ms=812, at=NOW if self.verifying else None
        )

    async def verify_start(self, who: m.Who) -> None:
        self.verifying = 1

    async def audit(self, who: m.Who, wanted: mc.ActsWanted, before: str) -> Sequence[mc.AuditRow]:
        self.asked = (wanted, before)
        return [
            mc.AuditRow(
                NOW, "陈思远", "governance.seat.change", "…00000001 / finance", "", ident(2), "governance.seat:1",
                by="person:1", door="DELETE /api/governance/seats/{person_id}/{department}", thing="governance_seat",
                done="change", changes=[("department", "finance", "science"), ("state", "open", "")], hidden=["note"],
            ),
            mc.AuditRow(NOW, "陈思远", "key.create", "key …14bc7ab5", "", ident(1), "key:1", [("role", "operator")]),
            mc.AuditRow(NOW, "陈思远", "org.freeze", "旧桥贸易行", "欠费", door="shanhe orgs freeze"),
        ]  # fmt: skip

    async def audit_sheet(self, who: m.Who, wanted: mc.ActsWanted) -> AsyncIterator[str]:
        async def lines() -> AsyncIterator[str]:
            yield "\ufeffat,id\r\n"
            yield f"{wanted.by},1\r\n"

        return lines()


class Proofs:
    async def keys(self) -> Sequence[str]:
        return ["city.example/log+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"]

    async def sealed(self, who: m.Who, receipt_id: UUID) -> bool:
        return receipt_id != ident(4)

    async def erased(self, receipt_id: UUID) -> bool:
        return receipt_id == ident(15)

    async def proof(self, who: m.Who, receipt_id: UUID) -> str:
        return "c2sp.org/tlog-proof@v1\n"


class Exchange:
    """A market with a few orders on both sides."""

    def __init__(self) -> None:
        self.mode = "sample"
        self.asked: list[UUID] = []

    async def market(self) -> x.MarketPage:
        rows = [x.DepthRow(6_500 - 20 * n, (120 - 9 * n) * MICRO, 3 + n, 10_000 - 700 * n) for n in range(8)]
        sells = [x.DepthRow(6_540 + 20 * n, (80 + 11 * n) * MICRO, 2 + n, 6_000 + 400 * n) for n in range(8)]
        hours = [(NOW - timedelta(hours=40 - n), 6_300 + 9 * n, 6_420 + 9 * n, 6_250 + 8 * n, 6_350 + 8 * n)
                 for n in range(40)]  # fmt: skip
        return x.MarketPage(
            self.mode, "示例机关 示例〔2026〕1 号", False, False, "", 3_000, 10_000, 1_000, 6_512, 6_520, 240 * MICRO,
            NOW + timedelta(minutes=27), rows, sells, [x.TapeRow(NOW, 6_512, 31 * MICRO)],
            [x.AuctionRow(NOW, 6_512, 310 * MICRO, 12)], chart.candles(hours, 3_000, 10_000),
        )  # fmt: skip

    async def fund(self) -> x.FundPage:
        row = x.FundRow(ident(9), NOW, "山河一中", 500_000, "人工智能大赛奖金", "paid", "")
        acted = x.InterventionRow(NOW, "buy", 5_400, 40 * MICRO)
        return x.FundPage(self.mode, "示例机关", 1_204_350, 1_904_350, 500_000, 200_000, 1_402, [row], [acted])

    async def mine(self, who: m.Who) -> x.MyMarket:
        orders = [
            x.MyOrder(ident(n), NOW, "buy" if n % 2 else "sell", 6_500, 100 * MICRO, 40 * MICRO, 2_600, 260 * (n % 2),
                      "gtc", "open" if n < 23 else "filled", NOW + timedelta(days=9))
            for n in range(20, 26)
        ]  # fmt: skip
        paid = x.WithdrawalRow(ident(8), NOW, "启明", 10_000, "山河银行 6222", "paid", "流水 8821")
        contested = c.Row(
            ident(7), (NOW, ident(21), "成交价格与显示不一致", "upheld", "属实", 40 * MICRO, 2_340, "credits")
        )
        disputes = c.Sheet("exchange.my_disputes", DISPUTES, [contested], "exchange.no_disputes")
        traded = c.Row(ident(6), (NOW, "sell", "0.6500", 40 * MICRO, 2_600, 260, 40 * MICRO, 2_340))
        trades = c.Sheet("exchange.my_trades", TRADES, [traded], "exchange.no_trades")
        return x.MyMarket(8_200 * MICRO, 250_000, 184_000, 184_000, orders, trades, [paid], disputes)

    async def place(self, who: m.Who, order_id: UUID, fields: Mapping[str, str]) -> None:
        if fields.get("price") != "0.65":
            raise Invalid("outside_corridor", "Outside the corridor.", message_zh="报价不在价格通道内。")

    async def cancel(self, who: m.Who, order_id: UUID) -> None:
        if order_id == ident(25):
            raise Conflict("order_ended", "It is filled.", message_zh="该委托已结束（已成交）。")

    async def amend(self, who: m.Who, order_id: UUID, price: str, quantity: str) -> None:
        if price != "0.65":
            raise Invalid("outside_corridor", "Outside the corridor.", message_zh="报价不在价格通道内。")

    async def dispute(self, who: m.Who, order_id: UUID, dispute_id: UUID, text: str) -> None: ...
    async def play(self, who: m.Who) -> None: ...
    async def deposit(self, who: m.Who, yuan: str, ref: str, method: str) -> str:
        return f"/pay/{method}/x"

    async def withdraw(self, who: m.Who, withdrawal_id: UUID, yuan: str, payee: str) -> None:
        parse_yuan(yuan)
        self.asked.append(withdrawal_id)

    async def operations(self, who: m.Who) -> x.Operations:
        row = x.FundRow(ident(9), NOW, "山河一中", 500_000, "人工智能大赛奖金", "open", "person:1")
        out = x.WithdrawalRow(ident(8), NOW, "启明", 10_000, "山河银行 6222", "open", "")
        disputed = x.DisputeRow(ident(7), NOW, "启明", ident(21), "成交价格与显示不一致")
        asked = c.Row(ident(6), (NOW, "启明", ident(22), "报价显示有误", 2, "person:1"))
        reversals = c.Sheet("exchange.waiting_reversals", REVERSALS, [asked], "exchange.nothing_waits")
        standing = c.Row(ident(20), (NOW, "启明", "sell", "0.6500", 100 * MICRO, 40 * MICRO))
        orders = c.Sheet("exchange.open_orders", ORDERS, [standing], "exchange.no_open_orders")
        return x.Operations([row], [out], [disputed], [disputed], reversals, orders)

    async def switch(self, who: m.Who, paused: bool, reason: str) -> None:
        if not reason:
            raise Invalid("bad_text", "A reason is needed.", message_zh="须说明原因。")

    async def stop_order(self, who: m.Who, order_id: UUID) -> None:
        await self.cancel(who, order_id)

    async def auction(self, who: m.Who) -> None: ...
    async def pay_out(self, who: m.Who, payment_id: UUID | None, org: str, yuan: str, reason: str) -> None:
        parse_yuan(yuan)
        if payment_id is not None:
            self.asked.append(payment_id)

    async def decide_payment(self, who: m.Who, payment_id: UUID, yes: bool, reason: str) -> None: ...
    async def decide_withdrawal(self, who: m.Who, withdrawal_id: UUID, yes: bool, reason: str) -> bool:
        return False

    async def decide_dispute(self, who: m.Who, dispute_id: UUID, yes: bool, reason: str) -> None: ...
    async def ask_reversal(self, who: m.Who, dispute_id: UUID, reason: str) -> None: ...
    async def decide_reversal(self, who: m.Who, reversal_id: UUID, yes: bool, reason: str) -> None: ...
