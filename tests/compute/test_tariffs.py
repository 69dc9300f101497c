"""Which rule prices what."""

from __future__ import annotations

from datetime import date

import pytest

from shanhe.compute.api import SCENES, Kind, NewEngine, cards
from shanhe.rulebook.api import Rulebook
from shanhe.wiring.tariffs import COST_RULES, PRICING_RULES, rule_of_class

DAY = date(2026, 11, 20)
RULEBOOK = Rulebook.load()


class TestTariff:
    @pytest.mark.parametrize("scene", sorted(SCENES))
    def test_of_a_scene_is_its_own(self, scene: Kind) -> None:
        facts = {"cost": 100_000, "model_class": scene, "bucket": "input"}
        priced = rule_of_class(RULEBOOK, PRICING_RULES, facts, DAY)
        assert (priced.rule_id, priced.outputs["list"]) == ("P11_scenes", 115_000)
        facts = {"chip_class": "cpu", "model_class": scene, "bucket": "input"}
        assert rule_of_class(RULEBOOK, COST_RULES, facts, DAY).rule_id == "P11_scene_cost"

    def test_of_text_models_is_by_tokens(self) -> None:
        facts = {"cost": 150_000, "model_class": "small", "bucket": "input"}
        priced = rule_of_class(RULEBOOK, PRICING_RULES, facts, DAY)
        assert (priced.rule_id, priced.outputs["list"]) == ("P11_pricing", 172_500)

    def test_is_named_by_every_packaged_scene_and_taken_by_every_other(self) -> None:
        assert {one.price_class for one in cards() if one.kind in SCENES} == SCENES - {Kind.IMAGE}
        for kind in SCENES:
            new = NewEngine("a", "http://a/v1", {"a": "a"}, None, kind=kind, price_class="medium", chip_class="cpu")
            assert new.model_class == kind
