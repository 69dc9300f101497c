"""Amendments as rows, over a database or one connection of it; they travel as JSON, so dates are ISO texts there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from typing import Any
from uuid import UUID

from shanhe.rulebook.model import RuleAmendment, content_hash


def _sql(name: str) -> str:
    return (resources.files("shanhe.rulebook") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


async def amendments(db: Any) -> list[RuleAmendment]:
    """Every amendment in the order in which they were recorded."""
    return [_amendment(row) for row in await db.fetch(_sql("amendments"))]


async def add(db: Any, amendment: RuleAmendment, now: datetime) -> bool:
    """Record an amendment; False when one of this id (and whatever content) is there already."""
    row = await db.fetchval(
        _sql("add_amendment"),
        UUID(amendment.id),
        amendment.rule_id,
        dict(amendment.content),
        content_hash(amendment.content),
        amendment.decided_by,
        amendment.note,
        now,
    )
    return row is not None


async def same(db: Any, amendment: RuleAmendment) -> bool:
    """Whether the recorded amendment of this id has the same content."""
    sha256 = await db.fetchval(_sql("amendment_hash"), UUID(amendment.id))
    return bool(sha256 == content_hash(amendment.content))


async def shown(db: Any) -> dict[str, str]:
    """The version of each rule that the log showed last."""
    return {row["rule_id"]: row["version"] for row in await db.fetch(_sql("shown"))}


async def show(db: Any, versions: Mapping[str, str], now: datetime) -> None:
    await db.execute(_sql("show"), list(versions), list(versions.values()), now)


def _amendment(row: Any) -> RuleAmendment:
    return RuleAmendment(str(row["id"]), row["rule_id"], row["content"], row["decided_by"], row["note"])
