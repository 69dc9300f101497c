"""Frozen data of a call: what is decided before dispatch and what is kept as evidence afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

import msgspec

from shanhe.gateway.commission import Commission, Through
from shanhe.gateway.meter import Bounds, Buckets
from shanhe.gateway.tariff import Party, Prices, Share


class Admission(msgspec.Struct, frozen=True):
    """What a call may use at most and what that costs, µ; `commission`: who else is paid from it."""

    model: str
    prompt_tokens_max: int
    completion_tokens_max: int
    max_tokens: int | None
    held_micro: int
    prices: Prices
    commission: Commission | None = None
    subsidy_max_micro: int | None = None

    def bounds(self, delivered_bytes: int | None) -> Bounds:
        return Bounds(self.prompt_tokens_max, self.completion_tokens_max, delivered_bytes)


def with_commission(admission: Admission, commission: Commission) -> Admission:
    """The same with more people to pay: what is held and how much of it may be subsidy."""
    held, subsidy_max = commission.held(admission.held_micro)
    return msgspec.structs.replace(admission, held_micro=held, commission=commission, subsidy_max_micro=subsidy_max)


def weighed(admission: Admission, resource: str, tokens: Mapping[UUID, int]) -> Admission:
    """The same once the answer says who contributed what (T3); what is held does not depend on it."""
    assert admission.commission is not None
    return msgspec.structs.replace(admission, commission=admission.commission.weighed(resource, tokens))


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds since the request arrived, to the microsecond."""

    admitted_ms: float
    first_token_ms: float
    engine_done_ms: float


SCENE_RULE: Final = "P11_scenes"
"""Prices what counts no tokens."""
UNITS: Final = {"ocr": "tile", "openai.transcriptions": "tick", "openai.speech": "sign", "forecast": "number"}
"""What a face counts; the others count tokens."""
PICTURES: Final = frozenset({"openai.images", "openai.edits"})
"""Faces that count pictures where that is what has a price."""


def unit_of(face: str, rules: Collection[str]) -> str:
    """What a call through a face, priced by these rules, is charged by: a token, a tile of 784 pixels, a tick of a
    fiftieth of a second, a sign of a text, a number of a series, a picture."""
    if face in PICTURES and SCENE_RULE in rules:
        return "picture"
    return UNITS.get(face, "token")


class Evidence(msgspec.Struct, frozen=True):
    """Why a call cost what it cost; stored on its posting, versioned, never with prompt or answer.

    Amounts in µ, prices in µ per million tokens, `usage_source` one of engine, tokenizer, estimate, request, answer,
    fee. `through`: the listings a call came through, None for a plain one. `tags`: ids of what the caller counts it
    under, see `tags`.
    """

    v: int
    face: str
    model: str
    org_id: UUID
    key_id: UUID
    key_name: str
    engine: str
    engine_kind: str
    upstream_model: str
    stream: bool
    status: str
    finish_reason: str | None
    buckets: Buckets
    usage_source: str
    usage_clamped: bool
    prices: Prices
    held_micro: int
    total_micro: int
    uncovered_micro: int
    shares: tuple[Share, ...]
    rules: dict[str, str]
    timings: Timings
    attempts: int
    through: Through | None = None
    tags: tuple[UUID, ...] = ()


class Terms(msgspec.Struct, frozen=True):
    """What an engine's share in a model's calls is: parties paid before the platform, and the rules that say so.

    `deferred`: the same for calls that may wait, whose price has one more rule.
    """

    parties: tuple[Party, ...]
    rules: dict[str, str]
    deferred: Terms | None = None
