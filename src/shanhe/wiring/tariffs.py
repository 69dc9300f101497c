"""Which rule prices what: tokens of text models, or the units of scene algorithms, by the class of the model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from shanhe.compute.api import SCENES
from shanhe.rulebook.api import Decision, Rulebook

PRICING_RULES: Final = ("P11", "P11_scenes")
COST_RULES: Final = ("P11_reference_cost", "P11_scene_cost")
"""Each for tokens, and for the units of scenes."""
OF_TOKENS: Final = ("model_class", "bucket")


def rule_of_class(rulebook: Rulebook, rules: tuple[str, str], facts: Mapping[str, object], on: date) -> Decision:
    """Ask the rule of a class: what is priced in units of its own is read only, and has one price for them."""
    tokens, scenes = rules
    if facts["model_class"] not in SCENES:
        return rulebook.evaluate(tokens, facts, on=on)
    own = {name: value for name, value in facts.items() if name not in OF_TOKENS}
    return rulebook.evaluate(scenes, own | {"scene": str(facts["model_class"])}, on=on)
