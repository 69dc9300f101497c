"""What pictures cost: held for as many as are asked for, charged for as many as came.

A model has a price for a picture, or its supplier bills tokens and so does the city; its price class says which. Where
tokens are billed its context bounds those of one picture, made or brought along, and an answer that does not say what
it used is none: nobody else can count it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shanhe.compute.api import SCENES
from shanhe.gateway.errors import invalid
from shanhe.gateway.estimate import prompt_bound
from shanhe.gateway.faces.scenes import PIXELS_PER_TOKEN
from shanhe.gateway.meter import Bounds, Buckets, Metered, believe
from shanhe.gateway.model import Admission
from shanhe.gateway.tariff import PER_TOKENS

if TYPE_CHECKING:
    from shanhe.compute.api import ModelInfo, Target
    from shanhe.gateway.faces.base import Parsed, Pictures
    from shanhe.gateway.faces.images import Drawn
    from shanhe.gateway.tariff import Prices


def pictures_admitted(parsed: Parsed, asked: Pictures, model: ModelInfo, prices: Prices) -> Admission:
    """What a call for pictures may cost at most; CallError 400 for larger ones than the model makes."""
    context = model.context_tokens
    if model.price_class in SCENES:
        most = context * PIXELS_PER_TOKEN  # as for pictures that are read
        if asked.points > most:
            text = f"{model.id} makes pictures of at most {most:,} points, not {asked.points:,}."
            raise invalid(text, "size", "invalid_value")
        held = -(-asked.asked * prices.output // PER_TOKENS)
        return Admission(parsed.model, 0, asked.asked, None, held, prices)
    prompt = prompt_bound(parsed.text_bytes, 1, context) + asked.brought * context
    completion = asked.asked * context
    return Admission(parsed.model, prompt, completion, None, prices.most(prompt, completion), prices)


def pictures_metered(found: Drawn, admission: Admission, target: Target) -> Metered:
    """What is charged for what came; ValidationError where nothing did, or nothing that can be charged."""
    came = len(found.entries)
    if not came:
        raise msgspec.ValidationError("an answer without a picture")
    if target.price_class in SCENES:
        return Metered(Buckets(output=came), "answer", found.more)
    most = min(came * target.context_tokens, admission.completion_tokens_max)
    bounds = Bounds(admission.prompt_tokens_max, most)
    metered = believe(found.as_tokens(), bounds)
    if metered is None or not (metered.buckets.prompt and metered.buckets.completion):
        raise msgspec.ValidationError("an answer that does not say how many tokens it took")
    return metered
