"""A node is tried by itself: on given variables, paid like any run, and it shows what it did."""

from __future__ import annotations

from typing import Any

import pytest

from shanhe.workflows.errors import BadDefinition, UnknownWork

from .house import PRICE, House, ask, flow

DRAFT = flow(
    ask("write", "Write of {{topic}}.", next="fork"),
    {"kind": "branch", "id": "fork", "when": "length(write) > 3", "then": "each", "next": "sign"},
    {"kind": "loop", "id": "each", "over": "rows", "most": 4, "body": "twice", "gather": "word", "save": "all"},
    {"kind": "set", "id": "twice", "values": {"word": "{{item}} of {{topic}}"}},
    {"kind": "approval", "id": "sign", "who": "owner", "shows": "{{write}}"},
)


async def tried(house: House, node: str, **variables: Any) -> Any:
    if not await house.workflows.mine(house.org):
        await house.workflows.create("wf", "W", org_id=house.org, by="t")
        await house.workflows.save(house.org, "wf", DRAFT, by="t")
    run = await house.workflows.try_node(house.org, "wf", node, variables, ref=f"{node}{variables}")
    return await house.on(run)


class TestNode:
    async def test_is_paid_once_and_says_what_it_made_of_variables(self, house: House) -> None:
        run, steps = await tried(house, "write", topic="tea")
        assert (run.state, run.result, run.node) == ("done", {"write": "<Write of tea.>"}, "write")
        assert (run.paid_micro, sum(house.charged.values())) == (PRICE, PRICE)
        assert [one.node for one in steps] == ["write", "~said"]
        again, _ = await tried(house, "write", topic="tea")
        assert (again.id, len(house.asked)) == (run.id, 1)

    async def test_of_a_branch_says_where_it_would_go(self, house: House) -> None:
        for text, to in (("long", "each"), ("no", "sign")):
            run, steps = await tried(house, "fork", write=text)
            assert (run.state, run.result, len(steps)) == ("done", {"next": to}, 2)

    async def test_of_a_loop_has_its_body(self, house: House) -> None:
        run, _ = await tried(house, "each", rows=["a", "b"], topic="tea")
        assert run.result == {"all": ["a of tea", "b of tea"]}

    async def test_that_lacks_a_variable_is_refused_before_it_costs_anything(self, house: House) -> None:
        with pytest.raises(BadDefinition, match="topic"):
            await tried(house, "write")
        with pytest.raises(BadDefinition, match="topic"):
            await tried(house, "each", rows=[])
        assert house.asked == []

    @pytest.mark.parametrize("node", ["sign", "nowhere", "~said"])
    async def test_that_is_no_node_or_somebodys_word_is_not_tried(self, house: House, node: str) -> None:
        with pytest.raises(UnknownWork):
            await tried(house, node, write="x")

    async def test_knows_what_it_needs_and_what_the_newest_run_left_there(self, house: House) -> None:
        await tried(house, "write", topic="tea")
        await tried(house, "each", rows=[1], topic="coffee")
        wants = house.workflows.wants
        assert await wants(house.org, "wf", "write") == {"topic": "coffee"}
        assert await wants(house.org, "wf", "fork") == {"write": "<Write of tea.>"}
        assert await wants(house.org, "wf", "each") == {"rows": [1], "topic": "coffee"}

    async def test_that_reads_the_input_is_shown_its_names_where_nothing_ran(self, house: House) -> None:
        await house.workflows.create("wf", "W", org_id=house.org, by="t")
        await house.workflows.save(house.org, "wf", flow(ask("a", "{{input.x}}"), inputs=["x"]), by="t")
        assert await house.workflows.wants(house.org, "wf", "a") == {"input": {"x": ""}}

    async def test_of_somebody_elses_workflow_is_not_found(self, house: House) -> None:
        await tried(house, "write", topic="tea")
        from shanhe.kernel.ids import new_id
        from shanhe.workflows.errors import UnknownWorkflow

        with pytest.raises(UnknownWorkflow):
            await house.workflows.try_node(new_id(), "wf", "write", {"topic": "x"}, ref="1")
