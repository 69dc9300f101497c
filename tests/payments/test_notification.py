from __future__ import annotations

import asyncio
import base64
import itertools
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanhe.kernel.errors import ShanheError
from shanhe.payments import signing
from shanhe.payments.api import (
    AmountMismatch,
    Faults,
    NotificationForged,
    NotificationLate,
    NotificationMalformed,
    NotificationReplayed,
    Sandbox,
    State,
    UnknownPayment,
)
from stage.draws import draws

from .conftest import NOON, SECRET, Counter


def message(counter, order, event="payment.succeeded", **changes):
    return {
        "id": str(uuid4()),
        "event": event,
        "subject_id": str(order.id),
        "provider_ref": order.provider_ref,
        "amount_fen": order.amount_fen,
        "occurred_at": counter.clock.now().isoformat(),
        **changes,
    }


def signed(counter, body, *, nonce=None, at=None, secret=SECRET):
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    key = signing.derive_key(secret, "payments/sandbox/ed25519")
    return signing.sign(key, raw, nonce=nonce or uuid4().hex, now=at or counter.clock.now()), raw


async def refused(counter, error, headers, body):
    before = await counter.snapshot()
    with pytest.raises(error):
        await counter.payments.notify("sandbox", headers, body)
    assert await counter.snapshot() == before
    assert counter.told == []


class TestNotification:
    async def test_makes_the_order_paid_and_tells_whoever_ordered(self, counter):
        order = await counter.paid()
        assert order.state is State.PAID
        assert order.paid_at == counter.clock.now()
        assert [told.id for told in counter.told] == [order.id]

    async def test_sent_twice_is_one_payment(self, database):
        counter = Counter(database, Faults(copies=3))
        order = await counter.paid()
        assert order.state is State.PAID
        assert len(counter.told) == 1

    @pytest.mark.parametrize(
        "sequence", list(itertools.permutations(["payment.pending", "payment.failed", "payment.succeeded"]))
    )
    async def test_ends_the_same_in_whatever_order_the_messages_come(self, counter, sequence):
        order = await counter.ordered()
        for event in sequence:
            await counter.payments.notify("sandbox", *signed(counter, message(counter, order, event)))
        assert (await counter.payments.order(order.id)).state is State.PAID
        assert len(counter.told) == 1

    async def test_may_arrive_before_our_own_request_returns(self, counter, monkeypatch):
        create = counter.sandbox.create

        async def slow(order):
            created = await create(order)
            await counter.sandbox.pay(created.provider_ref)
            await counter.deliver()
            return created

        monkeypatch.setattr(counter.sandbox, "create", slow)
        order = await counter.ordered()
        assert order.state is State.PAID
        assert len(counter.told) == 1

    async def test_delivered_to_many_workers_at_once_tells_once(self, counter):
        order = await counter.ordered()
        body = message(counter, order)
        await asyncio.gather(*(counter.payments.notify("sandbox", *signed(counter, body)) for _ in range(8)))
        assert len(counter.told) == 1


class TestRefusal:
    async def test_of_a_forged_signature_changes_nothing(self, counter):
        order = await counter.ordered()
        headers, body = signed(counter, message(counter, order), secret=b"another city's secret")
        await refused(counter, NotificationForged, headers, body)

    @pytest.mark.parametrize("missing", [signing.SIGNATURE, signing.NONCE, signing.TIMESTAMP, signing.SERIAL])
    async def test_of_a_missing_header_changes_nothing(self, counter, missing):
        order = await counter.ordered()
        headers, body = signed(counter, message(counter, order))
        del headers[missing]
        await refused(counter, NotificationForged, headers, body)

    async def test_of_any_flipped_byte_changes_nothing(self, counter):
        order = await counter.ordered()
        headers, body = signed(counter, message(counter, order))
        before = await counter.snapshot()
        for place in range(len(body)):
            bent = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
            with pytest.raises(NotificationForged):
                counter.sandbox.verify(headers, bent, counter.clock.now())
        signature = base64.b64decode(headers[signing.SIGNATURE])
        for place in range(len(signature)):
            bent = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
            bent_headers = headers | {signing.SIGNATURE: base64.b64encode(bent).decode()}
            with pytest.raises(NotificationForged):
                counter.sandbox.verify(bent_headers, body, counter.clock.now())
        assert await counter.snapshot() == before

    @pytest.mark.parametrize("header", [signing.NONCE, signing.TIMESTAMP])
    async def test_of_a_fresh_envelope_around_an_old_signature_changes_nothing(self, counter, header):
        order = await counter.ordered()
        headers, body = signed(counter, message(counter, order))
        other, _ = signed(counter, message(counter, order), at=counter.clock.now().replace(minute=1))
        await refused(counter, NotificationForged, headers | {header: other[header]}, body)

    async def test_of_a_replay_changes_nothing(self, counter):
        order = await counter.ordered()
        headers, body = signed(counter, message(counter, order))
        await counter.payments.notify("sandbox", headers, body)
        counter.told.clear()
        await refused(counter, NotificationReplayed, headers, body)

    @pytest.mark.parametrize("offset_s", [-301, 301])
    async def test_of_a_stale_or_future_timestamp_changes_nothing(self, counter, offset_s):
        order = await counter.ordered()
        headers, body = signed(counter, message(counter, order))
        counter.clock.advance(seconds=offset_s)
        await refused(counter, NotificationLate, headers, body)

    async def test_of_success_for_a_closed_order_changes_nothing(self, counter):
        order = await counter.ordered()
        await counter.payments.cancel(order.id)
        counter.told.clear()
        await refused(counter, NotificationLate, *signed(counter, message(counter, order)))

    async def test_of_money_that_cannot_be_booked_keeps_it_visible_once(self, counter):
        order = await counter.ordered()
        await counter.payments.cancel(order.id)
        counter.told.clear()
        for nonce in ("n1", "n2"):
            await refused(counter, NotificationLate, *signed(counter, message(counter, order), nonce=nonce))
        day = timedelta(days=1)
        now = counter.clock.now()
        (stray,) = await counter.payments.strays(since=now - day, until=now + day)
        assert (stray.why, stray.order_id, stray.amount_fen) == ("late", order.id, order.amount_fen)

    async def test_of_an_unknown_order_changes_nothing(self, counter):
        order = await counter.ordered()
        await refused(counter, UnknownPayment, *signed(counter, message(counter, order, subject_id=str(uuid4()))))
        await refused(counter, UnknownPayment, *signed(counter, message(counter, order, provider_ref="other")))
        await refused(counter, UnknownPayment, *signed(counter, message(counter, order, "refund.succeeded")))
        await refused(counter, UnknownPayment, *signed(counter, message(counter, order, "mandate.signed")))

    @pytest.mark.parametrize("amount_fen", [6_999, 7_001, 0, -7_000, None])
    async def test_of_another_amount_changes_nothing(self, counter, amount_fen):
        order = await counter.ordered()
        await refused(counter, AmountMismatch, *signed(counter, message(counter, order, amount_fen=amount_fen)))

    async def test_leaves_its_nonce_unspent(self, counter):
        order = await counter.ordered()
        await refused(counter, AmountMismatch, *signed(counter, message(counter, order, amount_fen=1), nonce="n"))
        await counter.payments.notify("sandbox", *signed(counter, message(counter, order), nonce="n"))
        assert (await counter.payments.order(order.id)).state is State.PAID

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"id": 1}', b'{"amount_fen": 1e400}', b"x" * 70_000],
    )
    async def test_of_a_malformed_body_changes_nothing(self, counter, body):
        await refused(counter, NotificationMalformed, *signed(counter, body))

    @pytest.mark.parametrize("amount", [7_000.5, "7000", True, 2**70])
    async def test_of_a_strange_amount_changes_nothing(self, counter, amount):
        order = await counter.ordered()
        headers, body = signed(
            counter,
            msgspec.json.encode(message(counter, order)).replace(
                b'"amount_fen":7000',
                b'"amount_fen":' + (str(2**70).encode() if amount == 2**70 else msgspec.json.encode(amount)),
            ),
        )
        await refused(counter, ShanheError, headers, body)

    @given(
        headers=st.dictionaries(st.text(max_size=30), st.text(max_size=40), max_size=5), body=st.binary(max_size=200)
    )
    @settings(max_examples=draws(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_of_anything_unsigned_is_always_typed(self, headers, body):
        sandbox = Sandbox(None, None, SECRET)  # type: ignore[arg-type]
        with pytest.raises(NotificationForged):
            sandbox.verify(headers, body, NOON)


class TestDelivery:
    async def test_is_repeated_until_taken(self, counter):
        order = await counter.ordered()
        await counter.sandbox.pay(order.provider_ref)

        async def away(headers, body):
            raise OSError("nobody answers")

        assert await counter.sandbox.deliver_due(away) == 0
        assert await counter.deliver() == 0  # not due yet
        counter.clock.advance(seconds=3)
        assert await counter.deliver() == 2
        assert (await counter.payments.order(order.id)).state is State.PAID

    async def test_gives_up_after_its_last_attempt(self, counter):
        order = await counter.ordered()
        await counter.sandbox.pay(order.provider_ref)
        attempts = 0

        async def away(headers, body):
            nonlocal attempts
            attempts += 1
            raise OSError("nobody answers")

        for _ in range(20):
            await counter.sandbox.deliver_due(away)
            counter.clock.advance(days=1)
        assert attempts == 2 * 8

    async def test_out_of_order_and_in_many_copies_is_still_one_payment(self, database):
        counter = Counter(database, Faults(copies=3, reorder=True, delay_s=60))
        order = await counter.ordered()
        await counter.sandbox.pay(order.provider_ref)
        assert await counter.deliver() == 0
        counter.clock.advance(minutes=2)
        assert await counter.deliver() == 6
        assert (await counter.payments.order(order.id)).state is State.PAID
        assert len(counter.told) == 1
