"""I8: four fifths of an incubated company's loan stand in the compensation fund; the bank is paid, and pays back."""

from __future__ import annotations

from datetime import date
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanhe.programmes.api import (
    AlreadyClaimed,
    Application,
    NothingToCall,
    State,
    UnknownApplication,
    WrongState,
)
from shanhe.programmes.errors import CallConflict
from shanhe.programmes.guarantees import Guarantee
from shanhe.rulebook.api import Rulebook
from stage.draws import draws

from .conftest import City

LOAN_FEN = 100_000_000
FUND, FUND_FEN = "compensation_fund", 100_000_000
RULEBOOK = Rulebook.load()
ON = date(2026, 3, 2)


async def guaranteed(city: City, loan_fen: int = LOAN_FEN, contract: str = "HT-1") -> tuple[UUID, UUID, Application]:
    firm, bank = await city.company("在孵企业"), await city.company("山河银行")
    await city.know(firm, "incubated", True)
    asked = {"bank": str(bank), "contract": contract, "loan_fen": loan_fen, "ends_on": "2027-03-02"}
    app = await city.apply("loan_guarantee", firm, asked)
    return firm, bank, await city.approve(app) if app.state is State.IN_REVIEW else app


async def called(city: City, app: Application, lost_fen: int = LOAN_FEN, past_due: int = 90) -> Guarantee:
    """The bank asks, an operator agrees."""
    request = await city.programmes.second.call(
        app.id, lost_fen=lost_fen, past_due=past_due, by="person:bank", request_id=uuid4()
    )
    await city.programmes.second.approve(request.id, by="person:operator")
    return await city.programmes.guarantees.get(app.id)


class TestLoanGuarantee:
    async def test_is_set_aside_in_full_and_pays_nobody(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, bank, app = await guaranteed(city)
        assert app.state is State.ACTIVE
        assert await city.budget(FUND) == (20_000_000, 80_000_000)
        assert await city.balance(bank, "cny") == 0
        assert (await city.programmes.guarantees.of(bank))[0].state == "in_force"
        assert await city.sound()

    async def test_pays_the_bank_its_share_of_the_loss_and_frees_the_rest(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, bank, app = await guaranteed(city)
        found = await called(city, app, lost_fen=50_000_000)
        assert (found.state, found.paid_fen) == ("recovering", 40_000_000)
        assert await city.balance(bank, "cny") == 40_000_000
        assert await city.budget(FUND) == (60_000_000, 0)
        file = await city.programmes.file(app.id)
        assert file.application.state is State.COMPLETED
        assert [row.event for row in file.history if row.event in ("called", "released")] == ["called", "released"]
        assert await city.sound()

    async def test_what_the_bank_recovers_flows_back_in_proportion(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, bank, app = await guaranteed(city)
        await called(city, app)
        guarantees, number = city.programmes.guarantees, uuid4()
        found = await guarantees.recover(app.id, 30_000_001, recovery_id=number, actor="test")
        assert (found.recovered_fen, found.returned_fen) == (30_000_001, 24_000_000)
        again = await guarantees.recover(app.id, 30_000_001, recovery_id=number, actor="test")
        assert again == found
        found = await guarantees.recover(app.id, 69_999_999, recovery_id=uuid4(), actor="test")
        assert (found.recovered_fen, found.returned_fen) == (LOAN_FEN, 80_000_000)
        assert await city.balance(bank, "cny") == 0
        assert await city.budget(FUND) == (FUND_FEN, 0)
        with pytest.raises(WrongState):
            await guarantees.recover(app.id, 1, recovery_id=uuid4(), actor="test")
        assert await city.sound()

    async def test_a_loan_89_days_late_is_not_paid_and_is_told_when(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, _, app = await guaranteed(city)
        with pytest.raises(NothingToCall) as caught:
            await called(city, app, past_due=89)
        assert "90" in caught.value.hint_zh or "1" in caught.value.hint_zh
        assert await city.budget(FUND) == (20_000_000, 80_000_000)

    async def test_of_one_contract_is_given_once_and_another_bank_may_number_its_own_alike(self, city: City) -> None:
        await city.fund(FUND, 2 * FUND_FEN)
        firm, bank, _ = await guaranteed(city)
        asked = {"bank": str(bank), "contract": "ht—1", "loan_fen": LOAN_FEN, "ends_on": "2027-03-02"}
        with pytest.raises(AlreadyClaimed):
            await city.apply("loan_guarantee", firm, asked, ref="again")
        _, other, app = await guaranteed(city)
        assert (other != bank, app.state) == (True, State.ACTIVE)

    async def test_is_called_once(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, bank, app = await guaranteed(city)
        await called(city, app)
        with pytest.raises(WrongState):
            await called(city, app, lost_fen=1_000)
        await city.programmes.guarantees.call(app.id, lost_fen=LOAN_FEN, past_due=90, actor="test")  # repeats nothing
        assert await city.balance(bank, "cny") == 80_000_000

    async def test_an_id_of_another_call_shows_nothing_of_it(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, _, app = await guaranteed(city)
        second, number = city.programmes.second, uuid4()
        asked = await second.call(app.id, lost_fen=1_000, past_due=90, by="person:bank", request_id=number)
        assert await second.call(app.id, lost_fen=1_000, past_due=90, by="person:bank", request_id=number) == asked
        for application, lost_fen, by in ((uuid4(), 1_000, "person:bank"), (app.id, 2_000, "person:bank"),
                                          (app.id, 1_000, "person:other")):  # fmt: skip
            with pytest.raises(CallConflict):
                await second.call(application, lost_fen=lost_fen, past_due=90, by=by, request_id=number)

    async def test_a_recovery_that_could_not_be_posted_is_posted_with_the_next(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, bank, app = await guaranteed(city)
        await called(city, app)
        guarantees, posts = city.programmes.guarantees, city.ledger.post

        async def refused(posting: object) -> None:
            raise ConnectionError

        city.ledger.post = refused  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            await guarantees.recover(app.id, 50_000_000, recovery_id=uuid4(), actor="test")
        city.ledger.post = posts  # type: ignore[method-assign]
        await guarantees.recover(app.id, 50_000_000, recovery_id=uuid4(), actor="test")
        assert await city.balance(bank, "cny") == 0
        assert await city.budget(FUND) == (FUND_FEN, 0)

    async def test_who_asks_never_agrees(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, bank, app = await guaranteed(city)
        asked = await city.programmes.second.call(app.id, lost_fen=1_000, past_due=90, by="person:one",
                                                  request_id=uuid4())  # fmt: skip
        with pytest.raises(Exception, match="asked"):
            await city.programmes.second.approve(asked.id, by="person:one")
        assert await city.balance(bank, "cny") == 0

    async def test_may_be_called_on_its_last_day_and_after_it_the_fund_is_free_again(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, _, app = await guaranteed(city)
        await city.at(date(2027, 3, 2))
        assert await city.budget(FUND) == (20_000_000, 80_000_000)
        await city.programmes.guarantees.decide(app.id, LOAN_FEN, 90)
        await city.at(date(2027, 3, 3))
        assert await city.budget(FUND) == (FUND_FEN, 0)
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED
        with pytest.raises(WrongState):
            await called(city, app)
        assert await city.sound()

    async def test_called_in_time_is_paid_though_agreeing_to_it_took_days_longer(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, bank, app = await guaranteed(city)
        await city.at(date(2027, 3, 2))
        second, asked = city.programmes.second, {"lost_fen": LOAN_FEN, "past_due": 90, "by": "person:bank"}
        request = await second.call(app.id, **asked, request_id=uuid4())  # type: ignore[arg-type]
        await city.at(date(2027, 3, 12))
        await second.approve(request.id, by="person:operator")
        assert await city.balance(bank, "cny") == 80_000_000
        assert await city.sound()

    async def test_called_again_after_its_last_day_is_refused_though_a_call_waits(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, _, app = await guaranteed(city)
        await city.at(date(2027, 3, 2))
        second, number = city.programmes.second, uuid4()
        request = await second.call(app.id, lost_fen=1_000, past_due=90, by="person:bank", request_id=number)
        await city.at(date(2027, 3, 12))
        with pytest.raises(WrongState):
            await second.call(app.id, lost_fen=LOAN_FEN, past_due=90, by="person:bank", request_id=uuid4())
        again = await second.call(app.id, lost_fen=1_000, past_due=90, by="person:bank", request_id=number)
        assert again.id == request.id

    async def test_called_in_time_and_refused_ends_then(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, _, app = await guaranteed(city)
        await city.at(date(2027, 3, 1))
        request = await city.programmes.second.call(app.id, lost_fen=1_000, past_due=90, by="person:bank",
                                                    request_id=uuid4())  # fmt: skip
        await city.at(date(2027, 3, 12))
        assert await city.budget(FUND) == (20_000_000, 80_000_000)
        await city.programmes.second.reject(request.id, by="person:operator", reason="未逾期")
        await city.later(hours=7)
        assert await city.budget(FUND) == (FUND_FEN, 0)

    async def test_the_fund_never_promises_more_than_it_holds(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        await guaranteed(city)
        _, _, second = await guaranteed(city, contract="HT-2")
        tranche = (await city.programmes.file(second.id)).tranches[0]
        assert tranche.payments[0].amount == 20_000_000  # what was left
        _, _, third = await guaranteed(city, contract="HT-3")
        assert third.state is State.REFUSED
        assert await city.budget(FUND) == (0, FUND_FEN)
        assert await city.sound()

    async def test_outside_the_incubator_is_refused_with_what_would_change_it(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        bank = str(await city.company("山河银行"))
        asked = {"bank": bank, "contract": "HT-9", "loan_fen": 100, "ends_on": "2027-03-02"}
        app = await city.apply("loan_guarantee", await city.company(), asked)
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[0].reasons
        assert reason["rule"] == "I8_guarantee"
        assert reason["nearest"]

    async def test_got_by_deceit_it_ends_and_comes_back(self, city: City) -> None:
        await city.fund(FUND, FUND_FEN)
        _, bank, app = await guaranteed(city)
        await called(city, app)
        done = await city.programmes.awards.claw_back(app.id, "error", note="合同系伪造", actor="test")
        assert done.state is State.STOPPED
        assert await city.balance(bank, "cny") == 0
        assert await city.budget(FUND) == (FUND_FEN, 0)
        assert await city.sound()

    async def test_a_stranger_finds_none(self, city: City) -> None:
        assert await city.programmes.guarantees.of(await city.company()) == []
        with pytest.raises(UnknownApplication):
            await city.programmes.guarantees.get(uuid4())


class TestShares:
    @settings(max_examples=draws(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.integers(1, 10**12), st.integers(1, 10**12), st.lists(st.integers(1, 10**11), max_size=6))
    def test_the_fund_gets_back_at_most_what_it_paid_and_all_of_it_with_the_whole_loss(
        self, lost: int, loan: int, parts: list[int]
    ) -> None:
        facts = {"lost_fen": lost, "guaranteed_fen": loan * 8 // 10, "past_due": 90}
        pays, got, back = int(RULEBOOK.evaluate("I8_call", facts, on=ON).outputs["pays_fen"]), 0, 0
        assert pays <= facts["guaranteed_fen"]
        assert 10 * pays <= 8 * lost
        for part in (*parts, lost):
            got = min(got + part, lost)
            now = int(RULEBOOK.evaluate("I8_call", facts | {"recovered_fen": got}, on=ON).outputs["returned_fen"])
            assert back <= now <= pays
            back = now
        assert back == pays
