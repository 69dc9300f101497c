"""T8: a mentor earns 20 % on top of what the mentee's fine-tuning was paid; not among related parties."""

from __future__ import annotations

from shanhe.programmes.api import State

from .conftest import CREDIT, City
from .test_graduate_finetune import model


class TestMentorReward:
    async def test_is_a_fifth_of_the_mentees_subsidy_on_top(self, city: City) -> None:
        await city.fund("talent_credit")
        mentee, mentor = await city.person(), await city.person("导师")
        award = await model(city, mentee, "one", 7_000)
        app = await city.apply("mentor_reward", mentor, {"mentee": str(mentee), "award": str(award.id)})
        assert (await city.approve(app)).state is State.COMPLETED
        (lot,) = await city.lots(mentor)
        assert (lot.remaining, lot.provenance) == (1_000 * CREDIT, "reward")
        assert await city.balance(mentee) == 5_000 * CREDIT

    async def test_is_refused_for_somebody_elses_award_and_within_a_household(self, city: City) -> None:
        await city.fund("talent_credit")
        mentee, mentor, other = await city.person(), await city.person("导师"), await city.person("旁人")
        award = await model(city, mentee, "one", 7_000)
        strange = await city.apply("mentor_reward", mentor, {"mentee": str(other), "award": str(award.id)})
        assert strange.state is State.REFUSED
        for person in (mentee, mentor):
            await city.know(person, "household", True, key=award.id)
        related = await city.apply("mentor_reward", mentor, {"mentee": str(mentee), "award": str(award.id)}, ref="b")
        assert related.state is State.REFUSED
