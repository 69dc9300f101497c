"""A member's desk, till and talk without modules behind them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.console.double_ground import MODEL, NOW, TRACE, ident

from shanhe.agents.api import Input, Run, RunState, Step, Thumb, Told
from shanhe.agents.errors import ThumbOfAnother
from shanhe.agents.thumbs import Count
from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.console import model_postings as mp
from shanhe.gateway.api import CallError
from shanhe.kernel.errors import Invalid, NotFound
from shanhe.kernel.money import MICRO
from shanhe.kernel.paging import Leaf
from shanhe.store.errors import UnknownListing


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

    async def costs(self, who: m.Who, start: date, end: date, kind: str) -> Sequence[m.CostRow]:
        if self.empty:
            return []
        name = {"agent": "agent/letters", "workflow": "weekly"}.get(kind, f"{kind} Claude")
        return [m.CostRow(date(2026, 11, 20), name, "=王", 3, 4_200), m.CostRow(date(2026, 11, 19), name, "", 1, 800)]

    async def calls(
        self, who: m.Who, limit: int, after: str | None = None, tag: str | None = None
    ) -> tuple[Sequence[m.CallRow], str | None]:
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
            "week": [str(end)],
            "month": [str(end)],
            "tag": ["team=blue", "试点"],
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

    async def receipt(self, who: m.Who, receipt_id: UUID) -> mp.Receipt:
        if receipt_id.int == 1:
            raise NotFound("no_receipt", "There is no such receipt.", message_zh="没有这张凭据。")
        rules = [
            mp.RuleLine("P11", ("定价", "Pricing"), "四·1.4", "sha256:9f2ac1d07b3e44d1"),
            mp.RuleLine("P10", ("算力贡献", "Compute contribution"), "三·2.3", "sha256:11aa32d07b3e44d1"),
            mp.RuleLine("C12", ("额度使用顺序", "Burn order"), "", "sha256:77fec1d07b3e44d1"),
        ]
        buckets = [
            mp.BucketLine("input", 312, 28_000_000),
            mp.BucketLine("cached_input", 96, 14_000_000),
            mp.BucketLine("output", 268, 56_000_000),
            mp.BucketLine("reasoning", 0, 56_000_000),
            mp.BucketLine("tool", 0, 28_000_000),
        ]
        total = 25_088
        return mp.Receipt(
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
                mp.PartyLine("contributor", "云谷算力合作社 · 收入", 17_561),
                mp.PartyLine("platform", "城市 · 平台收入", 7_527),
            ],
            rules,
            [mp.BurnLine("subsidy", total, NOW + timedelta(days=310))],
            [
                mp.TransferLine(ident(50), "启明智能 · 钱包", "云谷算力合作社 · 收入", 17_561, "credit"),
                mp.TransferLine(ident(51), "启明智能 · 钱包", "城市 · 平台收入", 7_527, "credit"),
            ],
            0.8,
            214.3,
            4_310.9,
            1,
            "p11-2026-11-01-3f2a",
            markups=[mp.MarkupLine("agent/letters", "20", 5_000, "9181.6")],
            decisions=[TRACE | {"rule": "P6_developer_share"}],
        )

    async def keys(self, who: m.Who, before: UUID | None = None) -> Leaf[m.KeyRow]:
        if self.empty:
            return Leaf([], None)
        base = NOW - timedelta(days=60)
        rows = [
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
        return Leaf(rows, None)

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
        return (await self.keys(who)).rows[0], "sk-sh-" + "Z9y8X7w6" * 5

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
            m.ModelRow(
                "qwen-image", ("通义万相", "Qwen Image"), "image", 32_768, "Qwen", ("painter",),
                {"input": 0, "cached_input": 0, "output": 230_000 * MICRO}, valid_from=date(2026, 11, 1), local=False,
                price_class="image",
            ),
        ]  # fmt: skip

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
        self.bought: list[c.PurchaseRow] = []

    async def quote(self, who: m.Who, value_fen: int) -> c.QuoteView:
        if value_fen < 100:
            raise Invalid("value_out_of_bounds", "At least CNY 1.00.", message_zh="最少 1.00 元。")
        benefit = value_fen * 30 // 100
        micro = (value_fen - benefit) * 10_000
        return c.QuoteView(
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

    async def purchase(self, who: m.Who, quote_id: UUID, client_ref: str, method: str) -> c.PurchaseRow:
        row = c.PurchaseRow(ident(200), NOW, "payer", "sandbox", 7_000, 3_000, 100 * MICRO, "posted", None)
        self.bought.append(row)
        self.member.more_micro += 100 * MICRO
        return row

    async def purchase_get(self, who: m.Who, purchase_id: UUID) -> c.PurchaseRow:
        return c.PurchaseRow(purchase_id, NOW, "payer", "sandbox", 70_000, 30_000, 1_000 * MICRO, "posted", None)

    async def purchases(self, who: m.Who) -> Sequence[c.PurchaseRow]:
        if self.member.empty:
            return []
        old = c.PurchaseRow(
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
        wait = c.PurchaseRow(
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

    async def auto(self, who: m.Who) -> c.AutoRow | None:
        return c.AutoRow(500 * MICRO, 100_000, 500_000, True, "active", None)

    async def auto_save(self, who: m.Who, threshold_micro: int, value_fen: int, cap_fen: int) -> c.AutoRow:
        return c.AutoRow(threshold_micro, value_fen, cap_fen, True, "active", None)

    async def auto_stop(self, who: m.Who) -> None: ...


OFFERED_RUN = ident(62)
"""A run of an agent as it is offered; the others are of a draft."""


PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


class Talk:
    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    given: Thumb | None = None
    sent: Mapping[str, str] = {}

    async def stream(
        self, who: m.Who, body: bytes, path: str = "/v1/chat/completions", name: str = ""
    ) -> AsyncIterator[tuple[int, Mapping[str, str], bytes]]:
        ask = json.loads(body)
        if path == "/v1/images/generations":
            self.asked.append((name, ask))
            if ask["prompt"] == "拒绝":
                yield 402, {}, b'{"error": {"code": "insufficient_quota", "message": "no"}}'
                return
            yield (
                200,
                {"x-shanhe-receipt": str(ident(60))},
                json.dumps({"data": [{"url": PICTURE}] * ask["n"]}).encode(),
            )
            return
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

    async def face(self, name: str, maker: UUID | None = None) -> Mapping[str, Any]:
        return {"name": name, "title": {"zh": "写信", "en": "Letters"}, "summary": {"zh": "代拟书信", "en": "Letters"},
                "opening": "您好，要给谁写信？", "questions": ("<b>给父母</b>", "给老师"), "version": 2,
                "model": "m", "inputs": (Input("city", "城市"),
                                         Input("tone", "语气", "choice", options=("正式", "亲切")))}  # fmt: skip

    async def draft(
        self, who: m.Who, name: str, asked: Sequence[Mapping[str, str]], inputs: Mapping[str, str]
    ) -> tuple[UUID, bytes]:
        self.asked, self.told = (name, list(asked)), dict(inputs)
        if asked[-1]["content"] == "穷":
            raise CallError(402, "insufficient_quota", "No credits.")
        chunk = {"choices": [{"delta": {"content": "见字如面"}}]}
        return ident(61), f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()

    async def run(self, who: m.Who, run_id: UUID) -> Mapping[str, Any]:
        now = datetime(2026, 11, 20, 6, 32, tzinfo=UTC)
        steps = [Step(1, "knowledge", "knowledge", "done", 200, ident(63), 12, 30, 400, 90, ""),
                 Step(2, "model", "qwen", "done", 4_000, ident(60), 310, 900, 400, 1_200, "")]  # fmt: skip
        run = Run(
            run_id, "agent/letters", 2, who.org_id, ident(5), "try", RunState.DONE, 1_000_000, 4_200, now, now, ""
        )
        offered = replace(run, face="openai", shareable=True) if run_id == OFFERED_RUN else run
        return {"run": offered, "steps": steps, "tokens": 322, "took_ms": 1_290, "rated": run_id == OFFERED_RUN,
                "thumb": self.given}  # fmt: skip

    async def thumb(self, who: m.Who, run_id: UUID, fields: Mapping[str, str]) -> None:
        self.sent = dict(fields)
        if fields.get("word") == "同事":
            raise ThumbOfAnother()
        up, shared = fields.get("thumb") == "up", "share" in fields
        self.given = None if "withdraw" in fields else Thumb(
            run_id, "agent/letters", 2, who.org_id, who.person_id, up, shared, fields.get("word", ""),
            fields.get("question", "") if shared else "", fields.get("answer", "") if shared else "",
            date(2026, 11, 20),
        )  # fmt: skip

    async def thumbs(self, who: m.Who, name: str) -> Told:
        if name != "agent/letters":
            raise UnknownListing(name)
        said = {"day": date(2026, 11, 20), "version": 2, "up": False, "shared": True, "word": "<b>太长</b>",
                "question": "写一封信", "answer": "见字如面"}  # fmt: skip
        return Told((Count(date(2026, 11, 20), 2, 3, 1),), ((2, 3, 1),), (said,))
