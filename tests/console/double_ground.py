"""What all doubles know: the day, who is signed in, one trace, ids that stay the same."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

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


TOKEN = {"csrf": "csrf-of-session"}
"""What a form of the signed-in person carries."""
