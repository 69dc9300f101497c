"""Wiring of webhooks: notices come in as by any other way out, and leave over the tools' guarded connections."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from shanhe.mcp.api import checked_url
from shanhe.webhooks.api import Webhooks

if TYPE_CHECKING:
    from shanhe.identity.api import Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.notify import Notifier
    from shanhe.kernel.vault import Vault
    from shanhe.settings import Settings
    from shanhe.wiring.store import Bazaar

LIMIT_S: Final = 15.0
ANSWER_MAX_BYTES: Final = 16 * 1024
SECRET: Final = "webhooks"


def open_webhooks(
    settings: Settings, db: Database, clock: Clock, vault: Vault, *, identity: Identity, notifier: Notifier,
    bazaar: Bazaar,
) -> Webhooks:  # fmt: skip
    """Connect them: from now on notices of organisations go to their addresses, too."""

    async def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        links = bazaar.tools.links
        async with links.exchange("the webhook", url, "POST", headers, body, limit_s=LIMIT_S) as answer:
            return answer.status, await answer.body(LIMIT_S, ANSWER_MAX_BYTES)

    webhooks = Webhooks(
        db, clock, notifier=notifier, post=post, check=partial(checked_url, private=settings.private_tools),
        key=vault.secret(SECRET), seals=identity.seals, city=settings.city_name, url=settings.url,
    )  # fmt: skip
    notifier.join(webhooks)
    return webhooks
