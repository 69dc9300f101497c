"""Exact interval arithmetic over fractions: what a node can at most be."""

from __future__ import annotations

from fractions import Fraction

Interval = tuple[Fraction, Fraction]


def add(a: Interval, b: Interval) -> Interval:
    return a[0] + b[0], a[1] + b[1]


def subtract(a: Interval, b: Interval) -> Interval:
    return a[0] - b[1], a[1] - b[0]


def multiply(a: Interval, b: Interval) -> Interval:
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


def divide(a: Interval, b: Interval) -> Interval:
    """`b` must not contain zero."""
    corners = [x / y for x in a for y in b]
    return min(corners), max(corners)


def union(a: Interval, b: Interval) -> Interval:
    return min(a[0], b[0]), max(a[1], b[1])


def pick(op: str, a: Interval, b: Interval) -> Interval:
    chosen = min if op == "min" else max
    return chosen(a[0], b[0]), chosen(a[1], b[1])


def below(a: Interval, b: Interval, strict: bool, whole: bool) -> tuple[Interval, Interval]:
    """`a` and `b` narrowed by a < b (strict) or a ≤ b; an empty result keeps the old bounds (a dead branch)."""
    step = Fraction(1) if strict and whole else Fraction(0)
    low, high = (a[0], min(a[1], b[1] - step)), (max(b[0], a[0] + step), b[1])
    return (low if low[0] <= low[1] else a), (high if high[0] <= high[1] else b)
