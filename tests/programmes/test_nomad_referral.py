"""I2: 100 credits and a voucher of CNY 100 per nomad referred, again each year; neither oneself nor in a circle."""

from __future__ import annotations

from datetime import date

from shanhe.programmes.api import State

from .conftest import CREDIT, City


class TestNomadReferral:
    async def test_is_paid_now_and_again_each_year_the_id_is_valid(self, city: City) -> None:
        for budget in ("referral_credit", "referral_vouchers"):
            await city.fund(budget)
        citizen, nomad = await city.person(), await city.person("游民")
        await city.know(nomad, "nomad_id", True, to=date(2027, 12, 31))
        app = await city.apply("nomad_referral", citizen, {"nomad": str(nomad)})
        assert (await city.balance(citizen), await city.balance(citizen, "voucher")) == (100 * CREDIT, 10_000)
        await city.at(date(2027, 3, 2))
        assert (await city.balance(citizen), await city.balance(citizen, "voucher")) == (200 * CREDIT, 20_000)
        await city.at(date(2028, 3, 20))
        await city.at(date(2028, 4, 3))
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED
        assert await city.balance(citizen, "voucher") == 20_000
        assert await city.sound()

    async def test_of_oneself_or_of_ones_own_referrer_is_refused(self, city: City) -> None:
        for budget in ("referral_credit", "referral_vouchers"):
            await city.fund(budget)
        one, two = await city.person("甲"), await city.person("乙")
        for person in (one, two):
            await city.know(person, "nomad_id", True)
        assert (await city.apply("nomad_referral", one, {"nomad": str(one)})).state is State.REFUSED
        assert (await city.apply("nomad_referral", one, {"nomad": str(two)}, ref="b")).state is State.ACTIVE
        back = await city.apply("nomad_referral", two, {"nomad": str(one)})
        assert back.state is State.REFUSED
        assert (await city.programmes.file(back.id)).decisions[0].reasons[0]["nearest"]
