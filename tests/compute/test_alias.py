"""A model answers to further names, which can be pointed elsewhere, and is itself whatever it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from shanhe.compute.api import Compute
from shanhe.compute.errors import BadAlias, UnknownAlias, UnknownModel
from shanhe.kernel.db import Database

from .conftest import Bureau


class TestAlias:
    async def test_means_a_model_in_every_process(self, bureau: Bureau, database: Database, tmp_path: Path) -> None:
        engine = await bureau.add()
        model = engine.models[0].model
        aliases = bureau.compute.aliases
        await aliases.point("gpt-4o-mini", model, actor="t")
        await aliases.point("gpt-4o-mini", model, actor="t")
        other = Compute(database, bureau.clock, data=tmp_path, price_rule=bureau.rule, upstream_key=bureau.keys.get)
        await other.reload()
        for compute in (bureau.compute, other):
            known = compute.model("gpt-4o-mini")
            assert known is not None
            assert known.id == model
        assert [one.id for one in bureau.compute.models()].count(model) == 1
        assert await aliases.every() == {"gpt-4o-mini": model}

    async def test_that_was_given_up_means_nothing_and_its_row_says_by_whom(
        self, bureau: Bureau, database: Database
    ) -> None:
        model = (await bureau.add()).models[0].model
        await bureau.compute.aliases.point("old", model, actor="t")
        await bureau.compute.aliases.drop("old", actor="person:1")
        assert bureau.compute.model("old") is None
        assert await database.fetchval("SELECT changed_by FROM compute.alias WHERE name = 'old'") == "person:1"
        with pytest.raises(UnknownAlias):
            await bureau.compute.aliases.drop("old", actor="t")

    @pytest.mark.parametrize("name", ["", "a b", "agent/x", "clone-x", "x" * 121])
    async def test_is_no_name_that_others_answer_to(self, bureau: Bureau, name: str) -> None:
        model = (await bureau.add()).models[0].model
        with pytest.raises(BadAlias):
            await bureau.compute.aliases.point(name, model, actor="t")

    async def test_leads_to_a_model_itself_and_never_takes_a_models_own_name(self, bureau: Bureau) -> None:
        model = (await bureau.add()).models[0].model
        aliases = bureau.compute.aliases
        await aliases.point("one", model, actor="t")
        with pytest.raises(UnknownModel):
            await aliases.point("two", "one", actor="t")
        with pytest.raises(UnknownModel):
            await aliases.point("two", "nothing", actor="t")
        with pytest.raises(BadAlias):
            await aliases.point(model, model, actor="t")
