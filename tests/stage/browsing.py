"""Who asks a site of this process: somebody who has signed in, or a visitor."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import httpx

from shanhe.identity.api import Client, Identity, Stage

URL: Final = "http://localhost:8600"


def visitor(site: Any, **headers: str) -> httpx.AsyncClient:
    """Somebody who has not signed in."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url=URL, headers=headers)


async def signed_in(
    identity: Identity, site: Any, person: UUID, org: UUID | None = None, client: Client | None = None
) -> httpx.AsyncClient:
    """A person with a session of their own, who acts for an organisation where one is named."""
    issued = await identity.sessions.open(
        person, stage=Stage.FULL, methods=("password",), client=client or Client()
    )  # fmt: skip
    acting = {} if org is None else {"x-shanhe-org": str(org)}
    return visitor(site, cookie=f"shanhe_session={issued.token}", **{"x-csrf-token": issued.csrf}, **acting)
