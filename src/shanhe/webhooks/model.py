"""Nouns of webhooks: addresses, deliveries, the forms in which they speak. Frozen and pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

KIND: Final = re.compile(r"^[a-z0-9_]{1,40}(\.[a-z0-9_]{1,40}){0,3}$")
KINDS_MAX: Final = 20
ENDPOINTS_MAX: Final = 10
"""Of one organisation."""
PAUSES_S: Final = (5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long is waited after each failed try; after the last one it is given up."""
CLAIM_S: Final = 120
BATCH: Final = 32
TEST: Final = "webhook.test"
ADDRESS: Final = "webhooks.endpoint.address"
OVERLAP: Final = timedelta(hours=24)
"""How long messages are signed with the secret before, too."""


class Form(StrEnum):
    """What an address understands: JSON signed by Standard Webhooks, or a text of a group robot."""

    STANDARD = "standard"
    WECOM = "wecom"
    DINGTALK = "dingtalk"
    FEISHU = "feishu"


class Endpoint(msgspec.Struct, frozen=True):
    """An address of an organisation. `kinds` empty = every notice; `data.` of them also what begins with it.

    `state`: active, stopped (it took nothing for too long, or said it is gone), removed. `turned_at`: since when
    `secret` is the one that its owner is told; `secret_before` signs beside it for some time.
    """

    id: UUID
    org_id: UUID
    form: Form
    url: str
    secret: str
    kinds: tuple[str, ...]
    state: str
    made_by: str
    made_at: datetime
    failing_since: datetime | None = None
    turned_at: datetime | None = None
    secret_before: str = ""

    def overlaps(self, now: datetime) -> bool:
        """Whether the secret before is still good."""
        return self.turned_at is not None and now < self.turned_at + OVERLAP

    def wants(self, kind: str) -> bool:
        return not self.kinds or any(kind == one or kind.startswith(one + ".") for one in self.kinds)


class Delivery(msgspec.Struct, frozen=True):
    """One notice on its way to one address. `status` is the last answer's; `error` says in a word what was wrong."""

    id: UUID
    endpoint: UUID
    kind: str
    notice: Any
    state: str
    attempts: int
    due_at: datetime
    made_at: datetime
    status: int | None = None
    error: str | None = None
    done_at: datetime | None = None
