"""From lines that were read to the fields of a paper: identity card, business licence, invoice. Pure.

Labels are found whether the value follows on the same line or stands beside it. A number that carries a check digit is
given only where the digit is right (GB 11643-1999 for citizens, GB 32100-2015 for organisations); `checked` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

CITIZEN_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CITIZEN_SIGNS: Final = "10X98765432"
CREDIT_SIGNS: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CREDIT_WEIGHTS: Final = tuple(3**power % 31 for power in range(17))
CITIZEN: Final = re.compile(r"(?<!\d)(\d{17}[\dXx])(?!\d)")
CREDIT: Final = re.compile(r"(?<![0-9A-Z])([0-9A-HJ-NPQRTUWXY]{18})(?![0-9A-Z])")
DATE: Final = re.compile(r"(\d{4})\s*[年./-]\s*(\d{1,2})\s*[月./-]\s*(\d{1,2})")
MONEY: Final = re.compile(r"[¥￥]\s*(-?[\d,]+\.\d{2})")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text and where it stands, in pixels from the upper left."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def citizen_number(text: str) -> str | None:
    """A citizen's number whose check digit is right."""
    for found in CITIZEN.findall(text.replace(" ", "")):
        number = str(found).upper()
        total = sum(int(sign) * weight for sign, weight in zip(number, CITIZEN_WEIGHTS, strict=False))
        if CITIZEN_SIGNS[total % 11] == number[17] and _day(number[6:10], number[10:12], number[12:14]):
            return number
    return None


def credit_code(text: str) -> str | None:
    """An organisation's unified code whose check sign is right."""
    for code in CREDIT.findall(text.replace(" ", "").upper()):
        total = sum(CREDIT_SIGNS.index(sign) * weight for sign, weight in zip(code, CREDIT_WEIGHTS, strict=False))
        if CREDIT_SIGNS[(31 - total % 31) % 31] == code[17]:
            return str(code)
    return None


def id_card(lines: Sequence[Line]) -> dict[str, Any]:
    """The front of a resident's identity card."""
    text = "\n".join(line.text for line in lines)
    number = citizen_number(text)
    people = re.search(r"民族\s*([\u4e00-\u9fff]{1,6})", text.replace("\n", " "))
    born = _after(lines, "出生")
    address = _paragraph(lines, "住址", until=("公民身份号码", "公民身份"))
    return {
        "name": _after(lines, "姓名"),
        "sex": ("男" if int(number[16]) % 2 else "女") if number else _first(r"性别\s*([男女])", text),
        "people": people[1] if people else None,
        "born": _day(number[6:10], number[10:12], number[12:14]) if number else _date(born or ""),
        "address": address,
        "number": number,
        "checked": number is not None,
    }


def business_licence(lines: Sequence[Line]) -> dict[str, Any]:
    """A business licence of any form of company."""
    text = "\n".join(line.text for line in lines)
    code = credit_code(text)
    return {
        "code": code,
        "name": _after(lines, "名称"),
        "kind": _after(lines, "类型"),
        "representative": _after(lines, "法定代表人", "负责人", "经营者"),
        "capital": _after(lines, "注册资本"),
        "founded": _date(_after(lines, "成立日期", "注册日期") or ""),
        "address": _paragraph(lines, "住所", until=("登记机关", "经营范围")) or _after(lines, "经营场所", "营业场所"),
        "scope": _paragraph(lines, "经营范围", until=("登记机关", "住所", "注册资本", "成立日期")),
        "checked": code is not None,
    }


def invoice(lines: Sequence[Line]) -> dict[str, Any]:
    """An electronic invoice (with or without a code), amounts in fen; `checked` where amount and tax make the total."""
    text = "\n".join(line.text for line in lines)
    amounts = sorted({_fen(found) for found in MONEY.findall(text)}, reverse=True)
    total = amounts[0] if amounts else None
    pair = next(((net, tax) for net in amounts[1:] for tax in amounts if net + tax == total and net >= tax), None)
    codes = [code for word in re.findall(r"[0-9A-Z]{18}", text.replace(" ", "").upper()) if (code := credit_code(word))]
    return {
        "code": _first(r"发票代码[:：\s]*(\d{10,12})", text),
        "number": _first(r"发票号码[:：\s]*(\d{8,20})", text),
        "date": _date(_first(r"开票日期[:：\s]*([\d年月日./\s-]{8,14})", text) or ""),
        "buyer_code": codes[0] if codes else None,
        "seller_code": codes[1] if len(codes) > 1 else None,
        "net_fen": pair[0] if pair else None,
        "tax_fen": pair[1] if pair else None,
        "total_fen": total,
        "checked": pair is not None,
    }


PAPERS: Final[dict[str, Callable[[Sequence[Line]], dict[str, Any]]]] = {
    "id_card": id_card,
    "business_licence": business_licence,
    "invoice": invoice,
}


def _after(lines: Sequence[Line], *labels: str) -> str | None:
    """What follows a label on its line, or the nearest line to its right."""
    for label in labels:
        spaced = r"\s*".join(label)
        for line in lines:
            found = re.match(rf"\s*{spaced}\s*[:：]?\s*(.*)", line.text)
            if found is None:
                continue
            if found[1].strip():
                return found[1].strip()
            beside = [
                other for other in lines
                if other is not line and other.left >= line.right - line.height
                and abs(other.middle - line.middle) < line.height * 0.7
            ]  # fmt: skip
            if beside:
                return min(beside, key=lambda other: other.left).text.strip()
    return None


def _paragraph(lines: Sequence[Line], label: str, *, until: Sequence[str]) -> str | None:
    """What follows a label over several lines, as far as they stand under it."""
    begin = next((line for line in lines if re.match(r"\s*" + r"\s*".join(label), line.text)), None)
    if begin is None:
        return None
    parts = [re.sub(r"^\s*" + r"\s*".join(label) + r"\s*[:：]?\s*", "", begin.text)]
    last = begin
    for line in sorted(lines, key=lambda one: one.top):
        if line is begin or line.middle < begin.middle - begin.height * 0.7:
            continue
        if any(word in line.text.replace(" ", "") for word in until):
            break
        gap = line.top - last.bottom
        if line.right > begin.left and gap < max(begin.height, line.height) * 1.6:
            parts.append(line.text.strip())
            last = line
    return "".join(parts).strip() or None


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1].strip() if found else None


def _date(text: str) -> str | None:
    found = DATE.search(text)
    return _day(*found.groups()) if found else None


def _day(year: str, month: str, day: str) -> str | None:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def _fen(text: str) -> int:
    return int(text.replace(",", "").replace(".", ""))
