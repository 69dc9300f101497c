"""The register of algorithms: records, their filings, and what may be published by them."""

from __future__ import annotations

from datetime import date
from uuid import uuid4

import asyncpg
import pytest

from shanhe.filings.api import (
    AlgorithmConflict,
    BadAlgorithm,
    FiledOtherwise,
    Filing,
    FilingMove,
    NotFiled,
    UnknownAlgorithm,
    algorithm_view,
)
from shanhe.wiring.filings import Conduct, built_on

from .conftest import Desk, new

NUMBER, DAY = "网信算备310000000000001号", date(2026, 10, 1)
CONTENT = {"model": "tuned-1", "instructions": "x"}


class TestAlgorithm:
    async def test_is_registered_once_and_prepared_first(self, desk: Desk) -> None:
        register, wanted = desk.filings.register, new()
        made = await register.add(wanted, by="person:1")
        assert (made.state, made.number) == (Filing.PREPARING, None)
        assert (await register.add(wanted, by="person:1")).id == made.id
        with pytest.raises(AlgorithmConflict):
            await register.add(new(), by="person:1")
        assert [one.subject for one in await register.list()] == ["*", "model/tuned-1"]

    async def test_is_refused_without_subject_names_or_purpose(self, desk: Desk) -> None:
        for wrong in ({"subject": "tuned"}, {"subject": "model/"}, {"name_zh": " "}, {"purpose_en": ""},
                      {"sources_zh": "长" * 1001}):  # fmt: skip
            with pytest.raises(BadAlgorithm):
                await desk.filings.register.add(new(**wrong), by="person:1")

    async def test_is_filed_with_number_and_day_and_that_is_logged(self, desk: Desk) -> None:
        register = desk.filings.register
        made = await register.add(new(), by="person:1")
        for number, day in (("", None), (NUMBER, None), ("", DAY)):
            with pytest.raises(BadAlgorithm, match="a number and a day"):
                await register.move(made.id, Filing.FILED, by="person:1", number=number, filed_on=day)
        for state in (Filing.NOT_NEEDED, Filing.WITHDRAWN):
            with pytest.raises(BadAlgorithm, match="why"):
                await register.move(made.id, state, by="person:1", reason=" ")
        with pytest.raises(BadAlgorithm):
            await register.move(made.id, Filing.FILED, by="person:1", number=NUMBER, filed_on=date(2026, 12, 1))
        for _ in range(2):
            filed = await register.move(made.id, Filing.FILED, by="person:1", number=NUMBER, filed_on=DAY)
        assert (filed.state, filed.number, filed.filed_on, len(filed.history)) == (Filing.FILED, NUMBER, DAY, 1)
        assert desk.told == [("filing.moved", {"subject": "model/tuned-1", "state": "filed", "number": NUMBER})]
        for number, day in (("另一备案号", DAY), (NUMBER, date(2025, 1, 1))):
            with pytest.raises(FiledOtherwise):
                await register.move(made.id, Filing.FILED, by="person:1", number=number, filed_on=day)
        with pytest.raises(FilingMove):
            await register.move(made.id, Filing.NOT_NEEDED, by="person:1", reason="x")
        with pytest.raises(UnknownAlgorithm):
            await register.move(uuid4(), Filing.FILED, by="person:1", number=NUMBER, filed_on=DAY)

    async def test_described_anew_has_to_be_filed_anew(self, desk: Desk) -> None:
        register, wanted = desk.filings.register, new()
        await register.add(wanted, by="person:1")
        await register.move(wanted.id, Filing.FILED, by="person:1", number=NUMBER, filed_on=DAY)
        other = new(id=wanted.id, name_zh="改了名")
        described = await register.describe(other, by="person:1")
        assert (described.state, described.name_zh) == (Filing.FILED, "改了名")  # a name is no other purpose
        with pytest.raises(BadAlgorithm):
            await register.describe(new(id=wanted.id, purpose_zh=" "), by="person:1")
        with pytest.raises(UnknownAlgorithm):  # what it is about stays
            await register.describe(new("model/another", id=wanted.id), by="person:1")
        other = new(id=wanted.id, purpose_zh="为医生写病历")
        assert (await register.describe(other, by="person:1")).state is Filing.CHANGED
        filed = await register.move(wanted.id, Filing.FILED, by="person:1")
        assert (filed.state, filed.number) == (Filing.FILED, NUMBER)

    async def test_has_documents_by_their_hash_and_shows_the_public_nobody(self, desk: Desk) -> None:
        register = desk.filings.register
        made = await register.add(new(responsible=uuid4()), by="person:1")
        for _ in range(2):
            made = await register.attach(made.id, "safety_assessment", "安全评估报告", "ab" * 32, by="person:1")
        assert [one.sha256 for one in made.documents] == ["ab" * 32]
        with pytest.raises(BadAlgorithm):
            await register.attach(made.id, "model_card", "x", "nothing", by="person:1")
        assert {"responsible", "made_by"}.isdisjoint(algorithm_view(made))

    async def test_keeps_its_history(self, desk: Desk) -> None:
        made = await desk.filings.register.add(new(), by="person:1")
        await desk.filings.register.move(made.id, Filing.WITHDRAWN, by="person:1", reason="停止服务")
        with pytest.raises(asyncpg.RestrictViolationError):
            await desk.db.execute("DELETE FROM filings.history")


class TestGate:
    async def test_lets_pass_what_the_citys_own_record_covers(self, desk: Desk) -> None:
        found = await desk.filings.register.require("agent/guide", ["model/anything"])
        assert (found.filing, found.algorithm.subject) == ("preparing", "*")  # type: ignore[union-attr]

    async def test_asks_the_things_own_record_before_that_of_its_model(self, desk: Desk) -> None:
        register = desk.filings.register
        model = await register.add(new(), by="person:1")
        await register.move(model.id, Filing.WITHDRAWN, by="person:1", reason="停止服务")
        with pytest.raises(NotFiled):
            await register.require("agent/guide", ["model/tuned-1"])
        await register.add(new("agent/guide"), by="person:1")
        assert (await register.require("agent/guide", ["model/tuned-1"])).filing == "preparing"

    async def test_of_several_takes_the_worst(self, desk: Desk) -> None:
        register = desk.filings.register
        clone = await register.add(new("clone/expert"), by="person:1")
        await register.move(clone.id, Filing.WITHDRAWN, by="person:1", reason="停止服务")
        content = {"model": "good", "alliance": {"members": ["clone/other", "clone/expert"]}}
        assert built_on("alliance", content) == ["model/good", "clone/other", "clone/expert"]
        assert not (await register.verdict("alliance/team", built_on("alliance", content))).may_publish

    async def test_asks_nothing_of_tools_and_prompts(self, desk: Desk) -> None:
        await desk.db.execute("DELETE FROM filings.algorithm")
        assert (await desk.filings.register.verdict("mcp/weather")).may_publish
        assert (await desk.filings.register.verdict("model/x")).filing == "missing"

    async def test_says_what_to_do_in_the_checks_of_a_draft(self, desk: Desk) -> None:
        conduct = Conduct(desk.filings)
        ((name, passed, _, _),) = await conduct.gate("agent/guide", CONTENT)
        assert (name, passed) == ("filing", True)
        await desk.db.execute("DELETE FROM filings.algorithm")
        ((_, passed, zh, en),) = await conduct.gate("agent/guide", CONTENT)
        assert not passed
        assert "市数字办" in zh
        assert "/algorithms" in en
        assert await conduct.gate("prompt/letters", {}) == ()
