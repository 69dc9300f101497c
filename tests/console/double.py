"""A desk without modules behind it: believable figures, the same on every run, so pages can be drawn and looked at."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from tests.console.double_arrivals import Arrivals
from tests.console.double_board import Board
from tests.console.double_bulletin import Bulletin, SecondDesk
from tests.console.double_clones import Clones
from tests.console.double_commons import Commons
from tests.console.double_company import Company
from tests.console.double_conduct import ConductDesk
from tests.console.double_connect import Connect
from tests.console.double_content import ContentDesk
from tests.console.double_contests import Contests
from tests.console.double_counter import Counter
from tests.console.double_house import House
from tests.console.double_knowledge import Knowledge
from tests.console.double_nomads import NomadDesk
from tests.console.double_routines import Routines
from tests.console.double_shop import Shop
from tests.console.double_treasury import Treasury
from tests.console.double_watch import WatchDesk
from tests.console.double_workshop import Pool, Workshop
from tests.console.governance import Governance
from tests.console.promises import Promises
from tests.console.rights import Rights

from shanhe.console import chart
from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.console import model_exchange as x
from shanhe.console.live.exchange import DISPUTES, REVERSALS
from shanhe.console.ports import Desk, SignedIn
from shanhe.console.routes import pages
from shanhe.kernel import http
from shanhe.kernel.errors import Invalid, NotFound, Unauthorized
from shanhe.kernel.money import MICRO, parse_yuan

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
ORG, PERSON = UUID(int=7), UUID(int=8)
EVERYTHING = frozenset(
    {
        "keys",
        "usage",
        "topup",
        "chat",
        "accounts",
        "models",
        "engines",
        "ledger",
        "rules",
        "audit",
        "apply",
        "members",
        "publish",
        "store",
        "programmes",
        "people",
    }
)
MODEL = "qwen2.5-coder-0.5b-instruct"
COOKIE = "double_session"
TRACE = {
    "inputs": {"value_fen": {"title": {"zh": "目录价", "en": "List value"}, "value": 100_000, "unit": "fen"}},
    "parameters": [
        {
            "title": {"zh": "优惠比例", "en": "Discount"},
            "value": 3_000,
            "unit": "bps",
            "article": "四·1.2",
            "origin": "given",
        },
        {
            "title": {"zh": "年度上限", "en": "Yearly cap"},
            "value": 100_000_000,
            "unit": "fen",
            "article": "四·1.2",
            "origin": "given",
        },
    ],
    "steps": [
        {
            "title": {"zh": "按比例的优惠", "en": "Benefit by rate"},
            "calc": "100,000 × 3,000 ÷ 10,000",
            "value": 30_000,
            "unit": "fen",
        },
        {
            "title": {"zh": "不超过剩余上限", "en": "Within the cap left"},
            "calc": "min(30,000, 88,400,000)",
            "value": 30_000,
            "unit": "fen",
        },
    ],
    "binding": {"zh": "优惠比例 30%", "en": "the 30 % rate"},
}


def ident(number: int) -> UUID:
    return UUID(f"019a9f00-{number:04x}-7000-8000-{number * 7919:012x}")


class Gate:
    oidc = True

    def __init__(self) -> None:
        self.member_only = False
        self.alone = False
        """Signed in, and a member of nothing."""
        self.enrolled = True
        self.factors_of: set[str] = {"passkey"}
        self.session = "s1"
        self.rights: frozenset[str] | None = None
        """What whoever is signed in may do, where a test says so."""

    async def who(self, request: Request) -> m.Who | None:
        if request.cookies.get(COOKIE) != "in":
            return None
        usual = frozenset({"keys", "usage", "topup", "chat"}) if self.member_only else EVERYTHING
        rights = usual if self.rights is None else self.rights
        if self.alone:
            rights = frozenset()
        return m.Who(
            PERSON,
            UUID(int=0) if self.alone else ORG,
            "陈思远",
            "山河市启明智能科技有限公司",
            frozenset({"admin"}),
            rights,
            "csrf-of-session",
            self.session,
            self.enrolled,
            2,
        )

    def seat(self, response: Response, result: SignedIn, *, secure: bool) -> None:
        for name, value in result.cookies.items():
            response.set_cookie(name, value, httponly=True)

    async def password(self, request: Request, login: str, password: str) -> SignedIn:
        if password != "right":
            raise Unauthorized("bad_login", "Wrong name or password.", message_zh="用户名或密码不正确。")
        return SignedIn("second_factor", {})

    async def code(self, request: Request, code: str) -> SignedIn:
        if code != "123456":
            raise Unauthorized("bad_code", "This code is not right.", message_zh="验证码不正确。")
        return SignedIn("", {COOKIE: "in"})

    async def passkey_options(self, request: Request) -> Mapping[str, Any]:
        return {"challenge": "AAAA", "allowCredentials": []}

    async def passkey(self, request: Request, answer: Mapping[str, Any]) -> SignedIn:
        return SignedIn("", {COOKIE: "in"})

    async def sign_out(self, request: Request, response: Response) -> None:
        response.delete_cookie(COOKIE)

    async def totp_start(self, who: m.Who) -> tuple[str, str]:
        return "JBSWY3DPEHPK3PXP", "otpauth://totp/Shanhe:chen?secret=JBSWY3DPEHPK3PXP&issuer=Shanhe"

    async def waiting(self, request: Request) -> str:
        return ""

    async def totp_confirm(self, request: Request, who: m.Who, code: str) -> tuple[Sequence[str], SignedIn | None]:
        if code != "123456":
            raise Invalid("bad_code", "This code is not right.", message_zh="验证码不正确。")
        return [f"{n:04d}-{n * 3:04d}" for n in range(1111, 1119)], None

    async def factors(self, who: m.Who) -> Collection[str]:
        return self.factors_of

    async def totp_remove(self, who: m.Who, password: str) -> None:
        self._known(password)
        self.factors_of -= {"totp", "recovery"}

    async def codes_renew(self, who: m.Who, password: str) -> Sequence[str]:
        self._known(password)
        return ["abcd-efgh-ijkl-mnop"]

    def _known(self, password: str) -> None:
        if password != "right":
            raise Unauthorized("password_wrong", "The password is wrong.", message_zh="密码不正确，未做任何更改。")

    async def passkey_add_options(self, request: Request, who: m.Who) -> Mapping[str, Any]:
        return {"challenge": "AAAA", "user": {"id": "AAAA", "name": "x", "displayName": "x"}}

    async def passkey_add(self, request: Request, who: m.Who, answer: Mapping[str, Any], name: str) -> SignedIn | None:
        return None

    async def passkeys(self, who: m.Who) -> Sequence[m.PasskeyRow]:
        return [m.PasskeyRow("p1", "办公电脑", NOW - timedelta(days=40))]

    async def passkey_remove(self, who: m.Who, passkey_id: str) -> None: ...

    async def sessions(self, who: m.Who) -> Sequence[m.SessionRow]:
        return [
            m.SessionRow("s1", NOW, NOW, "Chromium · Linux", True),
            m.SessionRow("s2", NOW - timedelta(days=2), NOW, "Safari · iPhone", False),
        ]

    async def session_end(self, who: m.Who, session_id: str) -> None: ...


class Handover:
    """See `ports_gate.Handover`: in memory, for ever."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, str, dict[str, Any]]] = {}

    async def leave(self, holder: str, path: str, said: Mapping[str, Any], *, life_s: int) -> str:
        token = f"{len(self.kept):043d}"
        self.kept[token] = (holder, path, json.loads(json.dumps(said)))
        return token

    async def take(self, holder: str, path: str, token: str) -> dict[str, Any]:
        found = await self.see(holder, path, token)
        if found:
            self.kept[token] = ("", "", {})
        return found

    async def see(self, holder: str, path: str, token: str) -> dict[str, Any]:
        kept = self.kept.get(token, ("", "", {}))
        return dict(kept[2]) if kept[:2] == (holder, path) else {}


class Member:
    def __init__(self) -> None:
        self.random = random.Random(7)
        self.empty = False
        self.more_micro = 0
        self.made: list[m.KeyRow] = []
        self.read = False

    async def wallet(self, who: m.Who) -> m.WalletView:
        if self.empty:
            return m.WalletView(0, 0, 0, {})
        lots = [
            m.LotRow("subsidy", 30_000 * MICRO, 21_408_117_340, 0, NOW + timedelta(days=310), None),
            m.LotRow("reward", 1_200 * MICRO, 1_200 * MICRO, 0, NOW + timedelta(days=600), NOW + timedelta(days=60)),
            m.LotRow("purchased", 70_000 * MICRO, 70_000 * MICRO + self.more_micro, 0, None, NOW + timedelta(days=60)),
        ]
        parts = {lot.provenance: lot.remaining_micro for lot in lots}
        total = sum(parts.values())
        return m.WalletView(total, total - 12_400_000, 12_400_000, parts, lots)

    async def spend(self, who: m.Who, days: int) -> Sequence[m.DaySpend]:
        source = random.Random(3)
        today = NOW.date()
        found = []
        for back in range(days - 1, -1, -1):
            day = today - timedelta(days=back)
            calls = 0 if self.empty else int(source.uniform(500, 1600) * (0.25 if day.weekday() > 4 else 1))
            found.append(m.DaySpend(day, calls * source.randint(160_000, 260_000), calls))
        return found

    async def calls(self, who: m.Who, limit: int, after: str | None = None) -> tuple[Sequence[m.CallRow], str | None]:
        if self.empty:
            return [], None
        names = ("客服机器人", "代码助手", "playground", "报表生成")
        states = (
            "completed",
            "completed",
            "disconnected",
            "completed",
            "completed",
            "broken",
            "completed",
            "completed",
        )
        rows = [
            m.CallRow(
                ident(n),
                NOW - timedelta(seconds=97 * n),
                MODEL,
                names[n % 4],
                400 + 137 * n,
                18_412 * (n + 3),
                states[n % 8],
                812.0,
            )
            for n in range(limit)
        ]
        return rows, None if after else "older"

    async def usage(self, who: m.Who, start: date, end: date, by: str) -> Sequence[m.UsageRow]:
        if self.empty:
            return []
        labels = {
            "day": [str(start + timedelta(days=n)) for n in range((end - start).days + 1)],
            "model": [MODEL, "multilingual-e5-small", "qwen-large"],
            "key": ["客服机器人", "代码助手", "playground"],
        }[by]
        source = random.Random(len(labels))
        rows = []
        for label in labels:
            calls = source.randint(200, 1500)
            tokens = {
                "input": calls * 310,
                "cached_input": calls * 90,
                "output": calls * 240,
                "reasoning": calls * 12,
                "tool": 0,
            }
            rows.append(m.UsageRow(label, calls, tokens, calls * 211_337))
        return rows

    async def receipt(self, who: m.Who, receipt_id: UUID) -> m.Receipt:
        if receipt_id.int == 1:
            raise NotFound("no_receipt", "There is no such receipt.", message_zh="没有这张凭据。")
        rules = [
            m.RuleLine("P11", ("定价", "Pricing"), "四·1.4", "sha256:9f2ac1d07b3e44d1"),
            m.RuleLine("P10", ("算力贡献", "Compute contribution"), "三·2.3", "sha256:11aa32d07b3e44d1"),
            m.RuleLine("C12", ("额度使用顺序", "Burn order"), "", "sha256:77fec1d07b3e44d1"),
        ]
        buckets = [
            m.BucketLine("input", 312, 28_000_000),
            m.BucketLine("cached_input", 96, 14_000_000),
            m.BucketLine("output", 268, 56_000_000),
            m.BucketLine("reasoning", 0, 56_000_000),
            m.BucketLine("tool", 0, 28_000_000),
        ]
        total = 25_088
        return m.Receipt(
            receipt_id,
            NOW,
            "completed",
            MODEL,
            MODEL,
            "local-llama",
            "openai.chat",
            "客服机器人",
            True,
            "stop",
            "engine",
            False,
            buckets,
            total,
            61_440,
            0,
            [
                m.PartyLine("contributor", "云谷算力合作社 · 收入", 17_561),
                m.PartyLine("platform", "城市 · 平台收入", 7_527),
            ],
            rules,
            [m.BurnLine("subsidy", total, NOW + timedelta(days=310))],
            [
                m.TransferLine(ident(50), "启明智能 · 钱包", "云谷算力合作社 · 收入", 17_561, "credit"),
                m.TransferLine(ident(51), "启明智能 · 钱包", "城市 · 平台收入", 7_527, "credit"),
            ],
            0.8,
            214.3,
            4_310.9,
            1,
            "p11-2026-11-01-3f2a",
            markups=[m.MarkupLine("agent/letters", "20", 5_000, "9181.6")],
            decisions=[TRACE | {"rule": "P6_developer_share"}],
        )

    async def keys(self, who: m.Who) -> Sequence[m.KeyRow]:
        if self.empty:
            return []
        base = NOW - timedelta(days=60)
        return [
            *self.made,
            m.KeyRow(
                ident(1),
                "客服机器人",
                "sk-sh-…x4Qd",
                "active",
                None,
                50 * MICRO,
                1_000 * MICRO,
                600,
                200_000,
                base,
                None,
                NOW.date(),
            ),
            m.KeyRow(
                ident(2),
                "代码助手",
                "sk-sh-…p9Lm",
                "active",
                (MODEL,),
                None,
                None,
                None,
                None,
                base,
                NOW + timedelta(days=90),
                NOW.date(),
            ),
            m.KeyRow(ident(3), "旧版小程序", "sk-sh-…0aZz", "revoked", None, None, None, None, None, base, None, None),
        ]

    async def key_create(self, who: m.Who, wanted: m.NewKey) -> tuple[m.KeyRow, str]:
        key = m.KeyRow(
            ident(90),
            wanted.name,
            "sk-sh-…nEw1",
            "active",
            wanted.models,
            wanted.budget_day_micro,
            wanted.budget_month_micro,
            wanted.rpm,
            wanted.tpm,
            NOW,
            wanted.expires_at,
            None,
        )
        self.made.append(key)
        return key, "sk-sh-" + "A1b2C3d4" * 5

    async def key_rotate(self, who: m.Who, key_id: UUID) -> tuple[m.KeyRow, str]:
        return (await self.keys(who))[0], "sk-sh-" + "Z9y8X7w6" * 5

    async def key_revoke(self, who: m.Who, key_id: UUID) -> None:
        self.made = [replace(key, state="revoked") for key in self.made]

    async def models(self) -> Sequence[m.ModelRow]:
        return [
            m.ModelRow(
                MODEL,
                ("通义千问 2.5 代码 0.5B", "Qwen2.5 Coder 0.5B"),
                "chat",
                8_192,
                "Apache-2.0",
                ("local-llama",),
                {
                    "input": 28 * MICRO,
                    "cached_input": 14 * MICRO,
                    "output": 56 * MICRO,
                    "reasoning": 56 * MICRO,
                    "tool": 28 * MICRO,
                },
                False,
                False,
                date(2026, 11, 1),
                "p11-2026-11-01",
            ),
            m.ModelRow(
                "qwen-large",
                ("通义千问大模型", "Qwen Large"),
                "chat",
                131_072,
                "Qwen",
                ("upstream-a",),
                {"input": 4_000 * MICRO, "cached_input": 1_000 * MICRO, "output": 12_000 * MICRO},
                True,
                False,
                date(2026, 11, 1),
                "",
                False,
            ),
            m.ModelRow(
                "multilingual-e5-small",
                ("多语言向量", "Multilingual E5 small"),
                "embedding",
                512,
                "MIT",
                ("local-e5",),
                {"input": 5 * MICRO},
                False,
                True,
                date(2026, 10, 1),
                "",
            ),
        ]

    async def notices(self, who: m.Who, limit: int) -> Sequence[m.NoticeRow]:
        if self.empty:
            return []
        rows = [
            m.NoticeRow(
                ident(70),
                NOW,
                "warning",
                ("本月消费已达 80%", "80 % of the month is spent"),
                ("提醒“月度预算”：已消费 800 / 1,000 额度。", "Alert “monthly budget”: 800 of 1,000 credits."),
                "/usage",
                self.read,
            ),
            m.NoticeRow(
                ident(71),
                NOW - timedelta(days=3),
                "info",
                ("价格调整预告", "Price change ahead"),
                ("qwen-large 自 12 月 1 日起下调 8%。", "qwen-large is 8 % cheaper from 1 December."),
                "/models",
                True,
            ),
        ]
        return rows[:limit]

    async def notices_read(self, who: m.Who, ids: Sequence[UUID]) -> None:
        self.read = True


class Till:
    def __init__(self, member: Member) -> None:
        self.member = member
        self.ways: Sequence[str] = ("wechat", "alipay", "sandbox", "bank_transfer")
        self.bought: list[m.PurchaseRow] = []

    async def quote(self, who: m.Who, value_fen: int) -> m.QuoteView:
        if value_fen < 100:
            raise Invalid("value_out_of_bounds", "At least CNY 1.00.", message_zh="最少 1.00 元。")
        benefit = value_fen * 30 // 100
        micro = (value_fen - benefit) * 10_000
        return m.QuoteView(
            ident(value_fen % 65_000),
            value_fen,
            value_fen - benefit,
            benefit,
            88_400_000,
            micro,
            benefit * 10_000,
            "local_company",
            TRACE,
            NOW,
        )

    def methods(self) -> Sequence[str]:
        return self.ways

    async def purchase(self, who: m.Who, quote_id: UUID, client_ref: str, method: str) -> m.PurchaseRow:
        row = m.PurchaseRow(ident(200), NOW, "payer", "sandbox", 7_000, 3_000, 100 * MICRO, "posted", None)
        self.bought.append(row)
        self.member.more_micro += 100 * MICRO
        return row

    async def purchase_get(self, who: m.Who, purchase_id: UUID) -> m.PurchaseRow:
        return m.PurchaseRow(purchase_id, NOW, "payer", "sandbox", 70_000, 30_000, 1_000 * MICRO, "posted", None)

    async def purchases(self, who: m.Who) -> Sequence[m.PurchaseRow]:
        if self.member.empty:
            return []
        old = m.PurchaseRow(
            ident(201),
            NOW - timedelta(days=5),
            "payer",
            "sandbox",
            7_000_000,
            3_000_000,
            100_000 * MICRO,
            "posted",
            None,
        )
        wait = m.PurchaseRow(
            ident(202),
            NOW - timedelta(minutes=5),
            "payer",
            "sandbox",
            35_000,
            15_000,
            500 * MICRO,
            "open",
            "/pay/sandbox/x",
        )
        return [*self.bought, wait, old]

    async def alerts(self, who: m.Who) -> Sequence[m.AlertRow]:
        return [m.AlertRow(ident(80), "月度预算", "month", 1_000 * MICRO, 80, True)]

    async def alert_add(self, who: m.Who, name: str, window: str, amount_micro: int, percent: int) -> None: ...
    async def alert_remove(self, who: m.Who, alert_id: UUID) -> None: ...

    async def auto(self, who: m.Who) -> m.AutoRow | None:
        return m.AutoRow(500 * MICRO, 100_000, 500_000, True, "active", None)

    async def auto_save(self, who: m.Who, threshold_micro: int, value_fen: int, cap_fen: int) -> m.AutoRow:
        return m.AutoRow(threshold_micro, value_fen, cap_fen, True, "active", None)

    async def auto_stop(self, who: m.Who) -> None: ...


class Talk:
    async def stream(self, who: m.Who, body: bytes) -> AsyncIterator[tuple[int, Mapping[str, str], bytes]]:
        ask = json.loads(body)
        words = ("复式记账，", "就是每一笔钱", "都同时记下", "来处与去处。")
        head = {"x-shanhe-receipt": str(ident(60))}
        if not ask["stream"]:
            answer: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": "".join(words)}}]}
            if str(ask["model"]).startswith("alliance/"):
                part = {"clone": "clone/teacher", "called": "张老师", "state": "answered", "tokens": 12,
                        "words": ["作文", "开头"]}  # fmt: skip
                answer |= {"shanhe": {"run_id": str(ident(61)), "clones": [part]}}
            if str(ask["model"]).startswith("clone/"):
                answer |= {"AIGC": {"Label": "1", "ProduceID": str(ident(61))}, "shanhe": {"run_id": str(ident(61))}}
            yield 200, {**head, "content-type": "application/json"}, json.dumps(answer).encode()
            return
        yield 200, {**head, "content-type": "text/event-stream"}, b""
        for word in words:
            chunk = {"choices": [{"delta": {"content": word}}]}
            yield 0, {}, f"data: {json.dumps(chunk)}\n\n".encode()
            await asyncio.sleep(0.02)
        yield 0, {}, b"data: [DONE]\n\n"


class Rules:
    async def list(self) -> Sequence[m.RuleRow]:
        names = {
            "P1": ("居民优惠", "Resident discount"),
            "P6": ("开发者分成", "Developer share"),
            "P10": ("算力贡献", "Compute contribution"),
            "P11": ("定价", "Pricing"),
            "C12": ("额度使用顺序", "Burn order"),
            "T15_ip_award": ("知识产权奖励", "Intellectual property"),
        }
        return [
            m.RuleRow(
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

    async def page(self, rule_id: str) -> m.RulePage:
        row = next((row for row in await self.list() if row.id == rule_id), None)
        if row is None:
            raise NotFound("no_rule", "There is no such rule.", message_zh="没有这条规则。")
        parameters = [
            m.ParameterRow(
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
            m.ParameterRow(
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
            m.FactField("value_fen", ("购买价值", "Value bought"), "number", "fen", (), "100000", True),
            m.FactField("category", ("身份", "Category"), "enum", "", ("local_company", "citizen"), "", True),
        ]
        formula = [
            m.FormulaLine(
                ("按比例的优惠", "Benefit by rate"), "benefit", "min(value_fen * rate, cap - used_fen)", "floor"
            )
        ]
        return m.RulePage(
            row,
            ("", ""),
            ("购买时", "At purchase"),
            "sha256:9f2ac1d07b3e44d1aa",
            parameters,
            facts,
            formula,
            [("CNY 1,000", [(("目录价", "List value"), "¥1,000.00")], [(("优惠金额", "Benefit"), "¥300.00")])],
            [
                m.RuleChange(
                    ("优惠比例由 25 % 变为 30 %", "Discount goes from 25 % to 30 %"),
                    date(2026, 1, 1),
                    date(2025, 11, 1),
                )
            ],
        )

    async def evaluate(self, rule_id: str, facts: Mapping[str, str], on: date) -> m.DecisionView:
        if "value_fen" not in facts:
            raise Invalid("facts_invalid", "value_fen is missing.", message_zh="缺少 value_fen。")
        return m.DecisionView("30,000", "fen", "sha256:9f2ac1d07b3e44d1aa", "四·1.2", TRACE)


class City:
    def __init__(self) -> None:
        self.pulling = 0
        self.verifying = 0
        self.asked: tuple[object, ...] = ()

    async def status(self) -> m.StatusView:
        return m.StatusView(
            "up",
            NOW,
            [("gateway", "up"), ("database", "up"), ("disk", "low"), ("engine", "up")],
            [(MODEL, "up"), ("qwen-large", "degraded")],
        )

    async def orgs(self, who: m.Who, find: str, before: str = "") -> Sequence[m.OrgRow]:
        rows = [
            m.OrgRow(
                ORG,
                "山河市启明智能科技有限公司",
                "company",
                "active",
                92_608_117_340,
                3,
                NOW - timedelta(days=80),
                {"subsidy": 21_408_117_340, "reward": 1_200 * MICRO, "purchased": 70_000 * MICRO},
            ),
            m.OrgRow(
                UUID(int=9), "云谷算力合作社", "institution", "active", 4_120 * MICRO, 1, NOW, {"reward": 4_120 * MICRO}
            ),
            m.OrgRow(UUID(int=10), "旧桥贸易行", "company", "frozen", 0, 2, NOW, {}),
        ]
        return [row for row in rows if find in row.name]

    async def org(self, who: m.Who, org_id: UUID) -> m.OrgRow:
        return next(row for row in await self.orgs(who, "") if row.id == org_id)

    async def org_keys(self, who: m.Who, org_id: UUID) -> Sequence[m.KeyRow]:
        return await Member().keys(who)

    async def org_create(self, who: m.Who, name: str, kind: str) -> UUID:
        return ORG

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

    async def pull(self, who: m.Who, model: str) -> None:
        self.pulling = 1

    async def engines(self, who: m.Who) -> Sequence[m.EngineRow]:
        return [
            m.EngineRow(
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
                "",
                NOW,
                True,
            ),
            m.EngineRow(
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
                "连接超时 (60 s)",
                NOW,
                False,
            ),
        ]

    async def engine_add(self, who: m.Who, fields: Mapping[str, str]) -> None:
        raise Invalid("bad_engine", "This address does not answer.", message_zh="该地址没有响应。")

    async def engine_test(self, who: m.Who, engine_id: UUID) -> m.EngineTest:
        return m.EngineTest("local-llama", MODEL, True, 231.0, "你好！", ())

    async def engine_switch(self, who: m.Who, engine_id: UUID, enabled: bool) -> None: ...

    async def closed_through(self, who: m.Who) -> date | None:
        return date(2026, 10, 31)

    async def accounts(
        self, who: m.Who, asset: str, kind: str, find: str, after: str
    ) -> tuple[Sequence[m.AccountRow], str]:
        rows = [
            m.AccountRow(
                ident(40), "山河市启明智能科技有限公司", "credit", "wallet", "", 92_608_117_340, 12_400_000, 0, True
            ),
            m.AccountRow(ident(41), "山河市", "credit", "issuance", "", -101_200 * MICRO, 0, None, False),
            m.AccountRow(ident(42), "山河市", "cny", "cash", "", 7_000_000, 0, None, False),
        ]
        return rows, "" if after else str(ident(42))

    async def trial(self, who: m.Who) -> Sequence[m.TrialLine]:
        return [
            m.TrialLine("credit", "wallet", 3, 8_591_882_660, 101_200 * MICRO, 92_608_117_340),
            m.TrialLine("credit", "platform", 2, 0, 8_591_882_660, 8_591_882_660),
            m.TrialLine("credit", "issuance", 1, 101_200 * MICRO, 0, -101_200 * MICRO),
            m.TrialLine("cny", "cash", 1, 7_000_000, 0, -7_000_000),
            m.TrialLine("cny", "revenue", 1, 0, 7_000_000, 7_000_000),
        ]

    async def account_named(self, who: m.Who, text: str) -> tuple[UUID, str]:
        if text == "?":
            raise Invalid("which_organisation", "None.", message_zh="没有该机构。")
        return ident(40), text

    async def postings(
        self, who: m.Who, kind: str, account: UUID | None, days: m.Days, before: str
    ) -> Sequence[m.PostingRow]:
        self.asked = (kind, account, days, before)
        return [
            m.PostingRow(
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

    async def posting(self, who: m.Who, posting_id: UUID) -> m.PostingPage:
        lines = (await Member().receipt(who, ident(1))).transfers
        return m.PostingPage(
            posting_id,
            NOW,
            NOW.date(),
            "call",
            "key 客服机器人",
            "",
            None,
            lines,
            [(ident(5), -25_088)],
            '{\n  "v": 1\n}',
        )

    async def verify(self, who: m.Who) -> m.VerifyView:
        if 0 < self.verifying < 3:
            self.verifying += 1
            return m.VerifyView("running", self.verifying, 4, "balances")
        state = "clean" if self.verifying else "never"
        return m.VerifyView(
            state, accounts=412, transfers=182_004, lots=1_893, took_ms=812, at=NOW if self.verifying else None
        )

    async def verify_start(self, who: m.Who) -> None:
        self.verifying = 1

    async def audit(self, who: m.Who, before: str, about: str, action: str, days: m.Days) -> Sequence[m.AuditRow]:
        self.asked = (before, about, action, days)
        return [
            m.AuditRow(NOW, "陈思远", "key.create", "客服机器人", "", ident(1), "key:1", [("role", "operator")]),
            m.AuditRow(NOW, "陈思远", "org.freeze", "旧桥贸易行", "欠费"),
        ]


class Proofs:
    async def keys(self) -> Sequence[str]:
        return ["city.example/log+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"]

    async def sealed(self, who: m.Who, receipt_id: UUID) -> bool:
        return receipt_id != ident(4)

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
            self.mode, "示例机关 示例〔2026〕1 号", False, False, "", 3_000, 10_000, 6_512, 6_520, 240 * MICRO,
            NOW + timedelta(minutes=27), rows, sells, [x.TapeRow(NOW, 6_512, 31 * MICRO)],
            [x.AuctionRow(NOW, 6_512, 310 * MICRO, 12)], chart.candles(hours, 3_000, 10_000),
        )  # fmt: skip

    async def fund(self) -> x.FundPage:
        row = x.FundRow(ident(9), NOW, "山河一中", 500_000, "人工智能大赛奖金", "paid", "")
        acted = x.InterventionRow(NOW, "buy", 5_400, 40 * MICRO)
        return x.FundPage(self.mode, "示例机关", 1_204_350, 1_704_350, 500_000, 1_402, [row], [acted])

    async def mine(self, who: m.Who) -> x.MyMarket:
        orders = [
            x.MyOrder(ident(n), NOW, "buy" if n % 2 else "sell", 6_500, 100 * MICRO, 40 * MICRO, 2_600, 260 * (n % 2),
                      "gtc", "open" if n < 23 else "filled")
            for n in range(20, 26)
        ]  # fmt: skip
        paid = x.WithdrawalRow(ident(8), NOW, "启明", 10_000, "山河银行 6222", "paid", "流水 8821")
        contested = c.Row(
            ident(7), (NOW, ident(21), "成交价格与显示不一致", "upheld", "属实", 40 * MICRO, 2_340, "credits")
        )
        disputes = c.Sheet("exchange.my_disputes", DISPUTES, [contested], "exchange.no_disputes")
        return x.MyMarket(8_200 * MICRO, 250_000, 184_000, orders, [paid], disputes)

    async def place(self, who: m.Who, order_id: UUID, fields: Mapping[str, str]) -> None:
        if fields.get("price") != "0.65":
            raise Invalid("outside_corridor", "Outside the corridor.", message_zh="报价不在价格通道内。")

    async def cancel(self, who: m.Who, order_id: UUID) -> None: ...
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
        return x.Operations([row], [out], [disputed], [disputed], reversals)

    async def switch(self, who: m.Who, paused: bool, reason: str) -> None:
        if not reason:
            raise Invalid("bad_text", "A reason is needed.", message_zh="须说明原因。")

    async def auction(self, who: m.Who) -> None: ...
    async def pay_out(self, who: m.Who, org: str, yuan: str, reason: str) -> None: ...
    async def decide_payment(self, who: m.Who, payment_id: UUID, yes: bool, reason: str) -> None: ...
    async def decide_withdrawal(self, who: m.Who, withdrawal_id: UUID, yes: bool, reason: str) -> None: ...
    async def decide_dispute(self, who: m.Who, dispute_id: UUID, yes: bool, reason: str) -> None: ...
    async def ask_reversal(self, who: m.Who, dispute_id: UUID, reason: str) -> None: ...
    async def decide_reversal(self, who: m.Who, reversal_id: UUID, yes: bool, reason: str) -> None: ...


def desk() -> Desk:
    member = Member()
    rights = (Rights(), Governance(), NomadDesk())
    public = (Talk(), Rules(), City(), Proofs(), Promises(), *rights)
    rest = (*public, Exchange(), Treasury(), Shop(), Workshop(), Pool(), Knowledge(), Connect(), Company(), Contests())
    rest = (*rest, Clones(), Routines(), WatchDesk(), Board(), ContentDesk(), Commons(), Bulletin(), SecondDesk())
    rest = (*rest, ConductDesk(), House(), Arrivals())
    return Desk(Gate(), Handover(), member, Till(member), Counter(), *rest, version="0.1.0")


def app(of: Desk) -> Any:
    """The console as an ASGI application with the house's manners around it."""
    inner = FastAPI()
    router, error_page = pages(of)
    http.take(inner, router)
    http.install(inner, error_page=error_page)

    @inner.get("/boom")
    async def boom() -> None:
        raise RuntimeError("boom")

    return http.Manners(inner)
