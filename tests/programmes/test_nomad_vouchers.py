"""N7: vouchers for tasks, issued only while the sponsor's account holds the money."""

from __future__ import annotations

import pytest

from shanhe.programmes.api import AlreadyClaimed, State

from .conftest import City


class TestNomadVouchers:
    async def test_are_paid_by_the_sponsor_and_stop_when_its_account_is_empty(self, city: City) -> None:
        await city.fund("nomad_vouchers", 12_000)
        nomad = await city.person()
        await city.know(nomad, "nomad_id", True)
        first = await city.approve(
            await city.apply("nomad_vouchers", nomad, {"task": "public_good", "event": "植树 2026"})
        )
        assert first.state is State.COMPLETED
        assert await city.balance(nomad, "voucher") == 10_000
        second = await city.apply("nomad_vouchers", nomad, {"task": "ai_event", "event": "黑客松"}, ref="b")
        assert second.state is State.REFUSED
        await city.fund("nomad_vouchers", 3_000)
        third = await city.approve(
            await city.apply("nomad_vouchers", nomad, {"task": "ai_event", "event": "黑客松"}, ref="c")
        )
        assert third.state is State.COMPLETED
        assert await city.balance(nomad, "voucher") == 15_000
        assert await city.budget("nomad_vouchers") == (0, 0)
        assert await city.sound()

    async def test_are_paid_once_for_an_event(self, city: City) -> None:
        await city.fund("nomad_vouchers", 100_000)
        nomad = await city.person()
        await city.know(nomad, "nomad_id", True)
        answers = {"task": "ai_event", "event": "黑客松"}
        await city.apply("nomad_vouchers", nomad, answers)
        with pytest.raises(AlreadyClaimed):
            await city.apply("nomad_vouchers", nomad, answers, ref="b")
