"""What people are told in words: amounts, fields, bounds."""

from __future__ import annotations

import pytest

from shanhe.credits.errors import ValueOutOfBounds
from shanhe.identity.errors import BadText
from shanhe.kernel.errors import Field, Unreadable
from shanhe.kernel.money import parse_credits, parse_yuan, said_credits
from shanhe.kernel.texts import check_line
from shanhe.programmes.errors import BadAnswers


class TestMessage:
    @pytest.mark.parametrize(
        ("typed", "zh"),
        [("", "请填写金额"), ("12元", "“12元”不是有效的金额"), ("1.234", "小数超过"), ("9" * 19, "不是有效的金额")],
    )
    def test_says_how_to_write_an_amount(self, typed: str, zh: str) -> None:
        with pytest.raises(Unreadable) as caught:
            parse_yuan(typed)
        assert zh in caught.value.zh
        assert caught.value.en == str(caught.value)

    def test_bounds_what_it_repeats(self) -> None:
        with pytest.raises(Unreadable) as caught:
            parse_credits("x" * 10_000)
        assert len(caught.value.zh) < 100

    @pytest.mark.parametrize(
        ("micro", "text"),
        [(0, "0.00"), (1, "0.000001"), (172_500, "0.1725"), (1_234_500_000, "1,234.50"), (-1_100_000, "-1.10")],
    )
    def test_says_credits_without_zeros_that_say_nothing(self, micro: int, text: str) -> None:
        assert said_credits(micro) == text
        assert parse_credits(text) == micro

    def test_names_amounts_as_people_count_them(self) -> None:
        assert "0.01 至 1,000.00 元" in ValueOutOfBounds(1, 100_000, "fen").message_zh
        assert "0.000001 至 2.00 积分" in ValueOutOfBounds(1, 2_000_000, "µ").message_zh
        assert "1 至 100 %" in ValueOutOfBounds(1, 100, "%").message_zh

    def test_names_fields_as_the_pages_do(self) -> None:
        assert BadText("phone", "is wrong", "不正确").message_zh == "电话：不正确。"
        with pytest.raises(Exception, match="client ref") as caught:
            check_line("client_ref", "")
        assert "请求编号须为" in caught.value.message_zh  # type: ignore[attr-defined]
        problems = [("number", "未填写", "is missing"), ("odd", "表单没有这一项", "is not asked for")]
        told = BadAnswers(problems, {"number": Field(pointer="/answers/number", zh="登记号", en="Registration number")})
        assert told.message_zh == "表单未填写完整：登记号：未填写；odd：表单没有这一项。"
        assert "Registration number (number): is missing; odd: is not asked for" in told.message
