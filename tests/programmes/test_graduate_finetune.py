"""T7: 10 % of the first model's cost, 12 % of the second, each with a higher bar."""

from __future__ import annotations

from uuid import UUID

from shanhe.programmes.api import Application, State

from .conftest import CREDIT, City


def tuned(city: City, name: str, score: int, used: int = 0) -> None:
    """What the studio would say of a deployed model."""
    known = {"cost_fen": 5_000_000, "score_bps": score, "deployed": True, "before_use_micro": used}
    city.measured.update({(f"tuned_{fact}", name): value for fact, value in known.items()})


async def model(city: City, person: UUID, name: str, score: int, used: int = 0) -> Application:
    tuned(city, name, score, used)
    app = await city.apply("graduate_finetune", person, {"model": name}, ref=name)
    return await city.approve(app)


class TestGraduateFinetune:
    async def test_pays_a_step_more_for_each_next_model(self, city: City) -> None:
        await city.fund("talent_credit")
        graduate = await city.person()
        assert (await model(city, graduate, "one", 6_000)).state is State.COMPLETED
        assert await city.balance(graduate) == 5_000 * CREDIT
        assert (await model(city, graduate, "two", 6_500, 200 * CREDIT)).state is State.COMPLETED
        assert await city.balance(graduate) == 11_000 * CREDIT

    async def test_below_the_bar_is_refused_at_once_and_says_how_much_is_missing(self, city: City) -> None:
        graduate = await city.person()
        tuned(city, "one", 5_999)
        app = await city.apply("graduate_finetune", graduate, {"model": "one"})
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[-1].reasons
        assert any("60" in change["zh"] for change in reason["nearest"])

    async def test_for_a_model_the_studio_does_not_know_is_refused(self, city: City) -> None:
        app = await city.apply("graduate_finetune", await city.person(), {"model": "elsewhere"})
        assert app.state is State.REFUSED
