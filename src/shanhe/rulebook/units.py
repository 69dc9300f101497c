"""Units carry a scale and dimensions, so that adding fen to credits is refused before any number exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

Dims = tuple[tuple[str, int], ...]
NONE: Dims = ()


@dataclass(frozen=True, slots=True)
class Unit:
    """`raw × scale` is the exact value in base units (fen, micro-credit, token, day, month)."""

    name: str
    scale: Fraction
    dims: Dims
    zh: str
    en: str


def _unit(name: str, scale: Fraction | int, dims: Mapping[str, int], zh: str, en: str) -> tuple[str, Unit]:
    return name, Unit(name, Fraction(scale), tuple(sorted(dims.items())), zh, en)


UNITS: Mapping[str, Unit] = dict(
    (
        _unit("int", 1, {}, "", ""),
        _unit("bps", Fraction(1, 10_000), {}, "基点", "bps"),
        _unit("ppm", Fraction(1, 1_000_000), {}, "百万分之一", "ppm"),
        _unit("fen", 1, {"fen": 1}, "分", "fen"),
        _unit("yuan", 100, {"fen": 1}, "元", "CNY"),
        _unit("micro", 1, {"micro": 1}, "µ积分", "µcredit"),
        _unit("credit", 1_000_000, {"micro": 1}, "积分", "credit"),
        _unit("fen_per_credit", Fraction(1, 1_000_000), {"fen": 1, "micro": -1}, "分/积分", "fen per credit"),
        _unit("token", 1, {"token": 1}, "词元", "tokens"),
        _unit(
            "micro_per_mtok",
            Fraction(1, 1_000_000),
            {"micro": 1, "token": -1},
            "µ积分/百万词元",
            "µcredit per 1M tokens",
        ),
        _unit("day", 1, {"day": 1}, "天", "days"),
        _unit("month", 1, {"month": 1}, "个月", "months"),
    )
)


def multiply(left: Dims, right: Dims, sign: int = 1) -> Dims:
    """Dimensions of a product (`sign` 1) or a quotient (`sign` -1)."""
    total = dict(left)
    for name, power in right:
        total[name] = total.get(name, 0) + sign * power
    return tuple(sorted((name, power) for name, power in total.items() if power))


def describe(dims: Dims) -> str:
    """The dimensions in words: `micro/token`, `number`."""
    above = [name if power == 1 else f"{name}^{power}" for name, power in dims if power > 0]
    below = [name if power == -1 else f"{name}^{-power}" for name, power in dims if power < 0]
    text = "·".join(above) or ("1" if below else "number")
    return text + "".join(f"/{name}" for name in below)
