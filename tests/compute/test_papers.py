"""Fields of papers from lines that were read, and check digits that have to be right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.compute.scenes.papers import (
    CITIZEN_SIGNS,
    CITIZEN_WEIGHTS,
    Line,
    business_licence,
    citizen_number,
    credit_code,
    id_card,
    invoice,
)

NUMBER = "11010519491231002X"
CODE = "91350100M000100Y43"


def lines(*rows: tuple[float, float, str]) -> list[Line]:
    """Lines of 30 pixels, each sign as wide as it is high."""
    return [Line(text, left, top, left + 30 * len(text), top + 30) for left, top, text in rows]


class TestNumber:
    def test_of_a_citizen_is_taken_with_its_check_digit_only(self) -> None:
        assert citizen_number(f"公民身份号码 {NUMBER}") == NUMBER
        assert citizen_number("公民身份号码 11010519491231002x") == NUMBER
        assert citizen_number("110105194912310021") is None
        assert citizen_number("1" + NUMBER) is None

    def test_of_a_day_that_never_was_is_none(self) -> None:
        body = "11010519490231002"
        total = sum(int(sign) * weight for sign, weight in zip(body, CITIZEN_WEIGHTS, strict=True))
        assert citizen_number(body + CITIZEN_SIGNS[total % 11]) is None

    def test_of_an_organisation_is_taken_with_its_check_sign_only(self) -> None:
        assert credit_code(f"代码:{CODE}") == CODE
        assert credit_code("91350100M000100Y44") is None

    @given(st.integers(0, 17), st.sampled_from("0123456789"))
    def test_with_one_wrong_digit_is_refused(self, at: int, digit: str) -> None:
        spoiled = NUMBER[:at] + digit + NUMBER[at + 1 :]
        assert (citizen_number(spoiled) is None) == (spoiled != NUMBER)

    @given(st.text(max_size=60))
    def test_is_looked_for_in_anything(self, text: str) -> None:
        assert citizen_number(text) is None or len(text) >= 18
        credit_code(text)


class TestIdCard:
    def test_gives_its_fields(self) -> None:
        found = id_card(lines(
            (40, 50, "姓名李山河"), (40, 120, "性别女民族汉"), (40, 190, "出生1949年12月31日"),
            (40, 260, "住址江西省山河市青山区滨江路"), (130, 310, "18号3栋502室"), (40, 450, f"公民身份号码 {NUMBER}"),
        ))  # fmt: skip
        assert found == {
            "name": "李山河", "sex": "女", "people": "汉", "born": "1949-12-31",
            "address": "江西省山河市青山区滨江路18号3栋502室", "number": NUMBER, "checked": True,
        }  # fmt: skip

    def test_with_values_beside_their_labels_is_read_too(self) -> None:
        found = id_card(lines((40, 50, "姓 名"), (180, 52, "李山河"), (40, 120, "出生"), (180, 121, "1990年3月7日")))
        assert (found["name"], found["born"], found["checked"]) == ("李山河", "1990-03-07", False)

    def test_of_another_picture_is_empty_and_unchecked(self) -> None:
        found = id_card(lines((0, 0, "今日菜单"), (0, 40, "红烧肉 38 元")))
        assert set(found.values()) == {None, False}


class TestBusinessLicence:
    def test_gives_its_fields(self) -> None:
        found = business_licence(lines(
            (40, 130, f"统一社会信用代码 {CODE}"), (40, 200, "名称山河智汇科技有限公司"),
            (700, 200, "注册资本伍佰万元整"),
            (40, 250, "类型有限责任公司"), (700, 250, "成立日期2024年05月06日"), (40, 300, "法定代表人 王青山"),
            (700, 300, "住所山河市高新区1号"), (40, 350, "经营范围人工智能应用软件开发；"), (40, 395, "算力租赁。"),
            (700, 480, "登记机关"),
        ))  # fmt: skip
        assert found["code"] == CODE
        assert found["name"] == "山河智汇科技有限公司"
        assert found["representative"] == "王青山"
        assert found["founded"] == "2024-05-06"
        assert found["address"] == "山河市高新区1号"
        assert found["scope"] == "人工智能应用软件开发；算力租赁。"
        assert found["checked"]


class TestInvoice:
    @pytest.mark.parametrize(("net", "checked"), [("943.40", True), ("943.41", False)])
    def test_is_checked_where_amount_and_tax_make_the_total(self, net: str, checked: bool) -> None:
        found = invoice(lines(
            (640, 40, "发票号码：24362000000012345678"), (640, 80, "开票日期：2026年11月05日"),
            (40, 190, f"纳税人识别号：{CODE}"), (40, 400, f"合计¥{net} ¥56.60"), (40, 460, "（小写）¥1,000.00"),
        ))  # fmt: skip
        assert (found["number"], found["date"]) == ("24362000000012345678", "2026-11-05")
        assert (found["buyer_code"], found["total_fen"], found["checked"]) == (CODE, 100_000, checked)
        assert found["tax_fen"] == (5_660 if checked else None)
