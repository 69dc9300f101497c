from __future__ import annotations

from datetime import date

import pytest

from shanhe.approvals.api import Approvals, BadApproval, LicenceConflict, NewLicence, SampleRefused, Scope

FIRST, LAST = date(2026, 11, 1), date(2027, 10, 31)
LICENCE = NewLicence(Scope.EXCHANGE, "市金融办", "金办〔2026〕1 号", FIRST, LAST)
SAMPLE = NewLicence(Scope.EXCHANGE, "示例机关", "示例 1 号", FIRST, LAST, sample=True)


@pytest.fixture
def approvals(database, clock):
    return Approvals(database, clock)


class TestGate:
    async def test_is_shut_without_an_approval(self, approvals):
        gate = await approvals.gate("exchange")
        assert (gate.real, gate.licence) == (False, None)

    @pytest.mark.parametrize(
        ("on", "real"),
        [(date(2026, 10, 31), False), (FIRST, True), (LAST, True), (date(2027, 11, 1), False)],
    )
    async def test_is_open_from_the_first_to_the_last_day(self, approvals, on, real):
        await approvals.record(LICENCE, by="person:a")
        assert (await approvals.gate(Scope.EXCHANGE, on)).real is real

    async def test_of_one_scope_opens_no_other(self, approvals):
        await approvals.record(LICENCE, by="person:a")
        assert not (await approvals.gate(Scope.LOANS)).real

    async def test_shuts_when_the_approval_is_revoked(self, approvals):
        licence = await approvals.record(LICENCE, by="person:a")
        await approvals.revoke(licence.id, reason="withdrawn by the authority", by="person:a")
        assert not (await approvals.gate(Scope.EXCHANGE)).real
        with pytest.raises(LicenceConflict):
            await approvals.record(LICENCE, by="person:a")

    async def test_counts_a_sample_in_a_demo_city_only(self, approvals, database, clock):
        with pytest.raises(SampleRefused):
            await approvals.record(SAMPLE, by="demo")
        demo = Approvals(database, clock, samples=True)
        await demo.record(SAMPLE, by="demo")
        assert (await demo.gate(Scope.EXCHANGE)).sample
        assert not (await approvals.gate(Scope.EXCHANGE)).real
        await demo.record(LICENCE, by="person:a")
        assert not (await demo.gate(Scope.EXCHANGE)).sample


class TestLicence:
    async def test_is_recorded_once(self, approvals):
        first = await approvals.record(LICENCE, by="person:a")
        assert (await approvals.record(LICENCE, by="person:b")).id == first.id
        other = NewLicence(Scope.EXCHANGE, LICENCE.authority, LICENCE.number, FIRST, date(2030, 1, 1))
        with pytest.raises(LicenceConflict):
            await approvals.record(other, by="person:a")

    async def test_is_refused_with_days_in_the_wrong_order_or_without_a_name(self, approvals):
        with pytest.raises(BadApproval):
            await approvals.record(NewLicence(Scope.LOANS, "市金融办", "2 号", LAST, FIRST), by="person:a")
        with pytest.raises(BadApproval):
            await approvals.record(NewLicence(Scope.LOANS, " ", "2 号", FIRST, LAST), by="person:a")
