"""The weekly bulletin's page over its module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from shanhe.bulletin.api import SECTIONS, Bulletin, UnknownIssue, issue_view


class LiveBulletin:
    """See `ports.BulletinDesk`."""

    def __init__(self, bulletin: Bulletin) -> None:
        self._bulletin = bulletin

    async def issue(self, day: date | None) -> Mapping[str, Any] | None:
        try:
            issue = await self._bulletin.issue(day)
        except UnknownIssue:
            if day is not None:
                raise
            return None
        found = issue_view(issue)
        sections = [
            {"kind": kind, "title": {"zh": title.zh, "en": title.en}, "items": items}
            for kind, title in SECTIONS.items()
            if (items := [item for item in found["items"] if item["kind"] == kind])
        ]
        return {**found, "day": issue.day, "since": issue.since, "sections": sections}

    async def days(self) -> Sequence[date]:
        return [one.day for one in await self._bulletin.issues()]
