"""What the pages of the content hub ask for. Plain data, as the module's views say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from shanhe.console import model as m


class ContentDesk(Protocol):
    async def overview(self, who: m.Who, find: str, kind: str, before: UUID | None) -> Mapping[str, Any]:
        """`standing`, `kinds`, `profiles`, and `rows`: drafts, newest first."""
        ...

    async def agree(self, who: m.Who, own: str) -> None: ...
    async def blank(self, who: m.Who, kind: str, profile: UUID | None, job: UUID | None) -> Mapping[str, Any]:
        """A form to fill: its `kind`, `fields` with values out of a profile or an earlier request, and `standing`."""
        ...

    async def ask(self, who: m.Who, kind: str, fields: Mapping[str, str]) -> UUID: ...
    async def job(self, who: m.Who, job_id: UUID) -> Mapping[str, Any]:
        """A request with its `drafts`; `open` while one is being written."""
        ...

    async def again(self, who: m.Who, job_id: UUID, ref: str) -> UUID: ...
    async def draft(self, who: m.Who, draft_id: UUID) -> Mapping[str, Any]:
        """With `pieces` (text, number of its finding or None) and, where it cost something, `paid`."""
        ...

    async def edit(self, who: m.Who, draft_id: UUID, title: str, text: str) -> None: ...
    async def drop(self, who: m.Who, draft_id: UUID) -> None: ...
    async def drop_profile(self, who: m.Who, profile: UUID) -> None: ...
    async def file(self, who: m.Who, draft_id: UUID, form: str) -> tuple[bytes, str]:
        """(bytes, media type) of a labelled file."""
        ...

    async def city(self, who: m.Who) -> Mapping[str, Any]:
        """Who pays the free tier, and what it took this month."""
        ...

    async def set_city(self, who: m.Who, org: str, model: str) -> None:
        """Name who pays, by id or registration number, and for which model; no organisation closes the free tier."""
        ...
