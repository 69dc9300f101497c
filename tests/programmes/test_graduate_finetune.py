"""T7: 10 % of the first model's cost, 12 % of the second, each with a higher bar."""

from __future__ import annotations

from shanhe.programmes.api import Application, State

from .conftest import CREDIT, City


async def model(city: City, person: object, name: str, score: int, used: int = 0) -> Application:
    app = await city.apply("graduate_finetune", person, {"model": name, "cost_fen": 5_000_000}, ref=name)  # type: ignore[arg-type]
    return await city.approve(app, {"score": score, "deployed": True, "previous_use_micro": used})


class TestGraduateFinetune:
    async def test_pays_a_step_more_for_each_next_model(self, city: City) -> None:
        await city.fund("talent_credit")
        graduate = await city.person()
        assert (await model(city, graduate, "一号", 6_000)).state is State.COMPLETED
        assert await city.balance(graduate) == 5_000 * CREDIT
        assert (await model(city, graduate, "二号", 6_500, 200 * CREDIT)).state is State.COMPLETED
        assert await city.balance(graduate) == 11_000 * CREDIT

    async def test_below_the_bar_is_refused_and_says_how_much_is_missing(self, city: City) -> None:
        graduate = await city.person()
        app = await model(city, graduate, "一号", 5_999)
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[-1].reasons
        assert any("60" in change["zh"] for change in reason["nearest"])
