"""Personal data is found by form and check digit, and what only looks like it is left alone."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.datasets.privacy import MASKS, find, id_number, luhn, masked

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def id_of(region: int, born: date, serial: int) -> str:
    """An ID number, its check digit worked out by the standard's own sum: Σ aᵢ·Wᵢ + check ≡ 1 (mod 11)."""
    body = f"{region}{born:%Y%m%d}{serial:03}"
    rest = sum(int(digit) * weight for digit, weight in zip(body, WEIGHTS, strict=True)) % 11
    check = next(value for value in range(11) if (rest + value) % 11 == 1)
    return body + ("X" if check == 10 else str(check))


ids = st.builds(
    id_of,
    st.integers(110000, 829999),
    st.dates(date(1920, 1, 1), date(2030, 1, 1)),
    st.integers(0, 999),
)


class TestIdNumber:
    def test_of_the_standard_is_found(self) -> None:
        assert id_number("11010519491231002X")
        assert [one.kind for one in find("身份证：11010519491231002X。")] == ["id_number"]

    @given(ids)
    def test_is_found_wherever_it_stands(self, number: str) -> None:
        text = f"证件号{number}，谢谢"
        assert masked(text, find(text)) == f"证件号{MASKS['id_number']}，谢谢"

    @given(ids, st.integers(0, 16), st.integers(1, 9))
    def test_with_one_wrong_digit_is_none(self, number: str, place: int, by: int) -> None:
        wrong = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]
        assert not id_number(wrong)

    @given(ids)
    def test_with_full_width_digits_is_found(self, number: str) -> None:
        wide = "".join(chr(ord(sign) + 0xFEE0) for sign in number)
        assert [one.kind for one in find(wide)] == ["id_number"]

    def test_needs_a_day_that_exists(self) -> None:
        assert not id_number("11010519490231002X"[:17] + "0")


class TestBankCard:
    @given(st.text("0123456789", min_size=12, max_size=15), st.sampled_from(["", " ", "-"]))
    def test_is_found_by_luhn(self, middle: str, gap: str) -> None:
        body = "622" + middle
        number = next(body + str(digit) for digit in range(10) if luhn(body + str(digit)))
        shown = gap.join(number[at : at + 4] for at in range(0, len(number), 4))
        kinds = {one.kind for one in find(f"卡号 {shown} 。")}
        assert kinds <= {"bank_card", "id_number"}
        assert kinds

    @given(st.text("0123456789", min_size=12, max_size=15))
    def test_with_a_wrong_check_is_none(self, middle: str) -> None:
        body = "622" + middle
        good = next(digit for digit in range(10) if luhn(body + str(digit)))
        assert "bank_card" not in {one.kind for one in find(f"单号{body}{(good + 5) % 10}")}


class TestPhone:
    @pytest.mark.parametrize(
        "text", ["13800138000", "+86 138-0013-8000", "010-88886666", "0571-8888666", "１３８００１３８０００"]
    )
    def test_is_found(self, text: str) -> None:
        assert [one.kind for one in find(f"请拨打{text}联系")] == ["phone"]

    @pytest.mark.parametrize("text", ["12345678901", "138001380001", "2026-11-20", "1.38e10", "88886666"])
    def test_is_not_any_number(self, text: str) -> None:
        assert find(text) == []


class TestAddress:
    @pytest.mark.parametrize("text", ["山河市青山区解放路12号3栋502室", "幸福小区5栋2单元301室", "人民大道100号"])
    def test_is_found(self, text: str) -> None:
        assert [one.kind for one in find(text)] == ["address"]

    @pytest.mark.parametrize("text", ["这条路走不通", "电路板第3号焊点虚焊", "A12号模具", "走5号线"])
    def test_is_not_any_place(self, text: str) -> None:
        assert find(text) == []


class TestMask:
    def test_leaves_everything_else(self) -> None:
        text = "张工 zhang@example.com 手机13800138000，家住人民路1号。"
        assert masked(text, find(text)) == "张工 〔邮箱〕 手机〔电话〕，家住〔地址〕。" or "〔地址〕" in masked(
            text, find(text)
        )

    @given(st.text(max_size=200))
    def test_leaves_nothing_to_find(self, text: str) -> None:
        once = masked(text, find(text))
        assert [one for one in find(once) if one.kind in ("id_number", "phone", "email")] == []

    def test_of_a_birthday_today_is_no_accident(self) -> None:
        born = date(2000, 2, 29)
        assert id_number(id_of(330106, born, 12))
        assert not id_number(id_of(330106, born + timedelta(days=1), 12)[:10] + "0230" + "0120")
