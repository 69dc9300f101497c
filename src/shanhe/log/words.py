"""What a verified entry says, in a sentence or two for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shanhe.kernel.money import MICRO
from shanhe.kernel.words import POSTINGS_ZH

UNITS: Final = {
    "credit": (MICRO, "AI 积分", "AI credits"),
    "cny": (100, "元", "yuan"),
    "voucher": (100, "元券", "yuan"),
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
        return f"{day} 记入：{kind}", f"Recorded on {day}: {kind}"
    moved: dict[str, int] = {}
    for transfer in private["transfers"]:
        moved[transfer[4]] = moved.get(transfer[4], 0) + transfer[3]
    sums = [amount(asset, minor) for asset, minor in sorted(moved.items())]
    model = (private.get("evidence") or {}).get("model", "") if isinstance(private.get("evidence"), dict) else ""
    told = f"（{model}）" if model else ""
    return (
        f"{day} 入账“{POSTINGS_ZH.get(kind, kind)}”{told}：{'、'.join(zh for zh, _ in sums)}，时间 {private.get('at')}",
        f"Booked on {day}: {kind}{f' ({model})' if model else ''}, {', '.join(en for _, en in sums)}, "
        f"at {private.get('at')}",
    )
