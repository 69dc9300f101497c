"""What a maker earned, may have paid out and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import PersonErased
from shanhe.ledger.api import (
    Asset,
    NewLot,
    Posting,
    Provenance,
    Transfer,
)
from shanhe.payments import earnings
from shanhe.payments.api import (
    BANK_FILE,
    CheckResult,
    OpenPayee,
    PayeeKind,
    PayeeNotChecked,
    PayeeState,
    PayoutOutOfBounds,
    PayoutState,
)
from shanhe.wiring.payments import tell_makers
from stage.reading import asked

from .treasury import CLERK, MICRO, PENDING_DAYS, Works


class TestEarnings:
    async def test_are_pending_until_refunds_are_over(self, works: Works) -> None:
        await works.earn(500)
        before = await works.payouts.earnings(works.maker)
        assert (before.reward_micro, before.pending_micro) == (0, 500 * MICRO)
        works.clock.advance(days=PENDING_DAYS)
        after = await works.payouts.earnings(works.maker)
        assert (after.reward_micro, after.pending_micro, after.available_micro) == (500 * MICRO, 0, 500 * MICRO)

    async def test_from_subsidy_of_related_payers_are_never_cash(self, works: Works) -> None:
        relative = await works.earn(300, Provenance.SUBSIDY)
        works.relatives.add(relative)
        await works.ripe(200, Provenance.SUBSIDY)
        earnings = await works.payouts.earnings(works.maker)
        assert (earnings.subsidy_micro, earnings.related_micro) == (200 * MICRO, 300 * MICRO)
        await works.payee()
        with pytest.raises(PayoutOutOfBounds):  # without asking for it, subsidy income stays where it is
            await works.payouts.request(works.maker, 200 * MICRO, client_ref="a", actor="person:maker")
        with pytest.raises(PayoutOutOfBounds):
            await works.payouts.request(
                works.maker, 201 * MICRO, client_ref="a", actor="person:maker", with_subsidy=True
            )
        done = await works.approved(200, with_subsidy=True)
        assert (done.state, done.reviewed_by, done.subsidy_micro) == (PayoutState.SENT, "person:o1", 200 * MICRO)
        left = await works.payouts.earnings(works.maker)  # what was paid out of the day's lot was the unrelated part
        assert (left.subsidy_micro, left.related_micro) == (0, 300 * MICRO)

    async def test_from_subsidy_are_what_unrelated_payers_paid_with_subsidy(self, works: Works) -> None:
        """What they bought themselves stands in a lot of its own, and makes no relative's subsidy cash."""
        works.relatives.add(await works.earn(300, Provenance.SUBSIDY))
        await works.earn(100, Provenance.SUBSIDY, own=150)
        works.clock.advance(days=PENDING_DAYS)
        earnings = await works.payouts.earnings(works.maker)
        assert (earnings.reward_micro, earnings.subsidy_micro, earnings.related_micro) == (
            150 * MICRO, 100 * MICRO, 300 * MICRO
        )  # fmt: skip

    async def test_are_no_cash_where_they_are_set_aside_earmarked_or_expired(self, works: Works) -> None:
        await works.ripe(500)
        account = (await works.ledger.ensure_account(works.maker, Asset.CREDIT, "income")).id
        issuance = await works.ledger.system_account("issuance", Asset.CREDIT)
        soon = works.clock.now() + timedelta(hours=1)
        lots = (
            NewLot(account=account, provenance=Provenance.REWARD, amount=70 * MICRO, expires_at=soon),
            NewLot(account=account, provenance=Provenance.REWARD, amount=90 * MICRO, earmark={"models": ["m"]}),
        )
        transfer = Transfer(new_id(), issuance.id, account, 160 * MICRO)
        await works.ledger.post(Posting(id=new_id(), kind="grant", transfers=(transfer,), lots=lots))
        assert (await works.payouts.earnings(works.maker)).reward_micro == 570 * MICRO
        works.clock.set(soon)
        assert (await works.payouts.earnings(works.maker)).reward_micro == 500 * MICRO
        later = soon + timedelta(days=1)
        await works.ledger.hold(account, 40 * MICRO, hold_id=new_id(), purpose="test", expires_at=later)
        assert (await works.payouts.earnings(works.maker)).reward_micro == 460 * MICRO

    async def test_are_all_there_after_years_of_income_by_the_day(
        self, works: Works, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A lot a day: a maker has more of them than one page of the ledger holds."""
        monkeypatch.setattr(earnings, "LOTS_ROWS", 3)
        for _ in range(8):
            await works.ripe(100)
        assert (await works.payouts.earnings(works.maker)).reward_micro == 800 * MICRO
        await works.payee()
        assert (await works.approved(800)).state is PayoutState.SENT
        assert await works.income_micro() == 0

    async def test_that_were_asked_for_cannot_be_asked_for_again(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        await works.payouts.request(works.maker, 300 * MICRO, client_ref="a", actor="person:maker")
        with pytest.raises(PayoutOutOfBounds):
            await works.payouts.request(works.maker, 300 * MICRO, client_ref="b", actor="person:maker")
        again = await works.payouts.request(works.maker, 300 * MICRO, client_ref="a", actor="person:maker")
        await works.payouts.cancel(works.maker, again.id, by="owner")
        await works.payouts.request(works.maker, 500 * MICRO, client_ref="c", actor="person:maker")

    @pytest.mark.parametrize("credits", [-1, 0, 99, 501])
    async def test_are_paid_within_bounds_only(self, works: Works, credits: int) -> None:
        await works.ripe(500)
        await works.payee()
        with pytest.raises(PayoutOutOfBounds):
            await works.payouts.request(works.maker, credits * MICRO, client_ref="a", actor="person:maker")


class TestQuote:
    async def test_says_before_the_second_approval_what_the_payout_then_pays(self, works: Works) -> None:
        await works.ripe(9_000)
        await works.payee(kind=PayeeKind.PERSON)
        first = await works.approved(1_000, ref="a")
        quoted = await works.payouts.quote(works.maker, 5_000 * MICRO, PayeeKind.PERSON)
        paid = await works.approved(5_000, ref="b")
        amounts = ("gross_fen", "withheld_fen", "net_fen")
        assert [quoted.outputs[name] for name in amounts] == [getattr(paid, name) for name in amounts]
        assert quoted.trace == paid.trace
        assert first.withheld_fen != 0
        alone = await works.payouts.quote(uuid4(), 5_000 * MICRO, PayeeKind.PERSON)
        assert alone.outputs["withheld_fen"] < quoted.outputs["withheld_fen"]  # the month's first payout counts


class TestNews:
    async def test_of_a_payout_reach_its_maker_with_what_they_are_about(self, works: Works) -> None:
        notifier = Notifier(works.db, works.clock)
        tell_makers(works.payouts, notifier)

        async def said() -> list[str]:
            return [one.title.zh for one in await notifier.inbox(works.person, [works.maker])]

        await works.ripe(900)
        await works.payee()
        assert await said() == []  # an account that passed needs nothing of them
        sent = await works.approved(300, ref="a")
        assert await said() == ["提现 300.00 元已批准"]
        await works.payouts.confirm(sent.id, by=CLERK)
        assert (await said())[0] == "提现 300.00 元已到账"
        asked = await works.payouts.request(works.maker, 300 * MICRO, client_ref="b", actor="person:maker")
        await works.payouts.refuse(asked.id, by=CLERK, reason="材料不全")
        assert (await said())[0] == "提现申请未通过"
        back = await works.approved(300, channel=BANK_FILE, ref="c")
        await works.payouts.files.export(by=CLERK)
        await works.payouts.fail(back.id, by=CLERK, reason="账号不符")
        assert (await said())[0] == "提现 300.00 元未能付出"
        payee = await works.payouts.payees.of(works.maker)
        assert payee is not None
        for _ in range(2):  # said once
            await works.payouts.payees.record_check(payee.id, passed=False, reference="x", by=CLERK)
        assert (await said())[0] == "收款账户未通过核验"
        assert len(await said()) == 6


class TestPayee:
    async def test_is_sealed_and_shown_by_its_last_digits(self, works: Works) -> None:
        await works.payee()
        payee = await works.payouts.payees.of(works.maker)
        assert payee is not None
        assert (payee.last4, payee.state) == ("2222", PayeeState.PASSED)
        row = await works.db.fetchrow("SELECT holder, account FROM payments.payee")
        assert "青山".encode() not in row["holder"]
        assert b"6200" not in row["account"]
        assert (await works.payouts.payees.open(payee.id)).account == "6200000011112222"
        works.vault.destroy(works.person)
        with pytest.raises(PersonErased):
            await works.payouts.payees.open(payee.id)

    async def test_of_many_are_opened_by_one_question_without_those_whose_key_is_gone(self, works: Works) -> None:
        made = []
        for _ in range(3):
            works.maker, works.person = uuid4(), uuid4()
            works.vault.create(works.person)
            await works.payee()
            made.append(await works.payouts.payees.of(works.maker))
        works.vault.destroy(works.person)
        wanted = [one.id for one in made if one is not None]
        with asked() as said:
            found = await works.payouts.payees.open_all(wanted)
        assert len(said) == 1
        assert {one: plain.account for one, plain in found.items()} == dict.fromkeys(wanted[:2], "6200000011112222")

    async def test_must_be_checked_before_the_first_approval(self, works: Works) -> None:
        await works.ripe(500)
        with pytest.raises(PayeeNotChecked):
            await works.payouts.request(works.maker, 200 * MICRO, client_ref="a", actor="person:maker")
        await works.payouts.payees.set(
            works.maker, person_id=works.person, kind=PayeeKind.PERSON, holder="王小山", account="62000000", bank="b"
        )
        asked = await works.payouts.request(works.maker, 200 * MICRO, client_ref="a", actor="person:maker")
        with pytest.raises(PayeeNotChecked):
            await works.payouts.approve(asked.id, by="person:o1")

    async def test_that_changes_needs_a_new_check(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        asked = await works.payouts.request(works.maker, 200 * MICRO, client_ref="a", actor="person:maker")
        await works.payouts.approve(asked.id, by="person:o1")
        await works.payouts.payees.set(
            works.maker, person_id=works.person, kind=PayeeKind.PERSON, holder="别人", account="62009999", bank="b"
        )
        with pytest.raises(PayeeNotChecked):
            await works.payouts.approve(asked.id, by="person:o2")

    async def test_that_was_found_wrong_is_asked_for_nothing(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        payee = await works.payouts.payees.of(works.maker)
        assert payee is not None
        await works.payouts.payees.record_check(payee.id, passed=False, reference="户名不符", by="person:o1")
        with pytest.raises(PayeeNotChecked):
            await works.payouts.request(works.maker, 300 * MICRO, client_ref="a", actor="person:maker")

    async def test_of_one_person_is_a_persons_whatever_they_say(self, works: Works) -> None:
        """An organisation invoices and pays its own tax; a person's is withheld."""

        maker = works.maker

        async def people_of(orgs: Sequence[UUID]) -> dict[UUID, UUID]:
            return {org: works.person for org in orgs if org == maker}

        works.payouts = works.treasury(Seals(works.vault, people_of))
        with pytest.raises(Invalid):
            await works.payee()
        await works.payee(kind=PayeeKind.PERSON)
        works.maker = uuid4()
        await works.payee()

    async def test_is_checked_by_a_plug_in_where_there_is_one(self, works: Works) -> None:
        class Bureau:
            name = "bureau"

            async def check(self, kind: PayeeKind, payee: OpenPayee) -> CheckResult:
                return CheckResult(payee.holder == "王小山", "B-1")

        works.payouts.payees._check = Bureau()
        for holder, state in (("王小山", PayeeState.PASSED), ("李四", PayeeState.FAILED)):
            payee = await works.payouts.payees.set(
                works.maker, person_id=works.person, kind=PayeeKind.PERSON, holder=holder, account="62000000", bank="b"
            )
            assert (payee.state, payee.checked_by, payee.check_ref) == (state, "bureau", "B-1")
