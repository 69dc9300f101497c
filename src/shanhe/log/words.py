"""What a verified entry says, in a sentence or two for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shanhe.kernel.money import MICRO
from shanhe.kernel.words import ENTRIES, booking

UNITS: Final = {
    "credit": (MICRO, "AI 积分", "AI credits"),
    "cny": (100, "元", "yuan"),
    "voucher": (100, "元券", "yuan in vouchers"),
    "ticket": (1, "张票", "tickets"),
    "point": (1, "贡献积分", "points"),
}


def amount(asset: str, minor: int) -> tuple[str, str]:
    """An amount with its unit, in Chinese and in English."""
    unit, zh, en = UNITS.get(asset, (1, asset, asset))
    whole, part = divmod(minor, unit)
    text = f"{whole:,}" + (f".{part:0{len(str(unit)) - 1}d}".rstrip("0") if part else "")
    return f"{text} {zh}", f"{text} {en}"


def describe(entry: Mapping[str, Any], private: Mapping[str, Any] | None) -> tuple[str, str]:
    """The entry in words, Chinese and English."""
    kind, day = str(entry.get("type") or entry.get("kind")), entry.get("day", "")
    if private is None or "transfers" not in private:
        called = ENTRIES.get(kind) or booking(kind)
        return f"{day} 记入：{called[0]}", f"Recorded on {day}: {called[1]}"
    moved: dict[str, int] = {}
    for transfer in private["transfers"]:
        moved[transfer[4]] = moved.get(transfer[4], 0) + transfer[3]
    sums = [amount(asset, minor) for asset, minor in sorted(moved.items())]
    model = (private.get("evidence") or {}).get("model", "") if isinstance(private.get("evidence"), dict) else ""
    told, (zh, en) = f"（{model}）" if model else "", booking(kind)
    return (
        f"{day} 入账“{zh}”{told}：{'、'.join(one for one, _ in sums)}，时间 {private.get('at')}",
        f"Booked on {day}: {en}{f' ({model})' if model else ''}, {', '.join(one for _, one in sums)}, "
        f"at {private.get('at')}",
    )
