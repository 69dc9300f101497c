"""Filings as plain data and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from shanhe.filings.model import Algorithm, Complaint, Event, Month
from shanhe.kernel.documents import BOM, csv_line

COLUMNS = ("month", "surface", "category", "decision", "count")


def algorithm_view(one: Algorithm, *, whole: bool = False) -> dict[str, Any]:
    """As the public register shows it; `whole` adds who is responsible, and who wrote it."""
    found = asdict(one)
    found["name"] = {"zh": found.pop("name_zh"), "en": found.pop("name_en")}
    found["purpose"] = {"zh": found.pop("purpose_zh"), "en": found.pop("purpose_en")}
    found["sources"] = {"zh": found.pop("sources_zh"), "en": found.pop("sources_en")}
    if not whole:
        for name in ("responsible", "made_by"):
            del found[name]
    return found


def event_view(one: Event) -> dict[str, Any]:
    return asdict(one)


def month_view(one: Month) -> dict[str, Any]:
    return asdict(one)


def complaint_view(one: Complaint, now: datetime) -> dict[str, Any]:
    return asdict(one) | {"overdue": one.overdue(now)}


def months_csv(months: Sequence[Month]) -> str:
    lines = [csv_line(getattr(one, name) for name in COLUMNS) for one in months]
    return BOM + csv_line(COLUMNS) + "".join(lines)
