"""Amendments, and the texts that decided, as rows over a database or one connection of it.

They travel as JSON, so dates are ISO texts there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from typing import Any
from uuid import UUID

from shanhe.rulebook.model import RuleAmendment, content_hash
from shanhe.rulebook.texts import Source


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


async def set_aside(conn: Any, amendment: UUID, by: str, now: datetime) -> bool:
    """Let an amendment decide nothing from now on; False when it was set aside before."""
    return await conn.fetchval(_sql("set_aside"), amendment, by, now) is not None


async def has_edition(db: Any, edition: str) -> bool:
    """Whether every text of an edition is kept."""
    return bool(await db.fetchval(_sql("has_edition"), edition))


async def keep(conn: Any, edition: str, sources: Mapping[str, tuple[str, Source]], now: datetime) -> None:
    """Keep the texts of an edition, those that aren't yet. In the caller's transaction: all of them or none."""
    rules, made = [rule for rule, _ in sources.values()], [dict(source) for _, source in sources.values()]
    await conn.execute(_sql("keep_texts"), list(sources), rules, made, now)
    await conn.execute(_sql("keep_edition"), edition, list(sources))


async def former(db: Any, edition: str) -> dict[str, tuple[str, Source]]:
    """The texts that are of no rule of this edition any more, by hash."""
    rows = await db.fetch(_sql("former_texts"), edition)
    return {row["rule_hash"]: (row["rule_id"], row["source"]) for row in rows}


def _amendment(row: Any) -> RuleAmendment:
    return RuleAmendment(
        str(row["id"]), row["rule_id"], row["content"], row["decided_by"], row["note"], row["sha256"], row["aside"]
    )  # fmt: skip
