"""The short way of a call: no task, no future, no timer of its own, only calls from one callback to the next.

It takes a call whose every question is answered from memory: a known key, a reservation from a lease, an engine with a
free slot and an open connection, an answer in one piece whose usage is believed. The decisions are the pipeline's own
functions. Wherever one of them would have to wait, refuse or doubt, the call goes on as a task in the pipeline, from
the point it has reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from shanhe.gateway.call import CALL_MAX_S, Call, receipt_headers
from shanhe.gateway.faces.base import Face
from shanhe.gateway.http import JSON_TYPE, Client
from shanhe.gateway.pipeline import IN_FLIGHT_MAX, Pipeline, believed, completed, decode_answer

if TYPE_CHECKING:
    from shanhe.gateway.admission import Admitter
    from shanhe.gateway.dispatch import Attempts, Dispatcher, Exchange
    from shanhe.gateway.metrics import Metrics
    from shanhe.gateway.settlement import Outcome, Settler

LOOK_AFTER_S: Final = 5.0
"""How often calls that wait for an engine are looked at for having taken too long."""
OK: Final = 200
log = structlog.get_logger(__name__)


class WholeClient(Client, Protocol):
    """A client whose request is here, and that can be answered at once."""

    def deliver(self, body: bytes, receipt: bytes) -> None:
        """`answer` with status 200, JSON and the receipt's headers, without a wait."""
        ...

    def carry_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what is left of the call as a task of the server's."""
        ...


class Express:
    """Begins calls the short way. One per process, beside its pipeline."""

    def __init__(
        self, pipeline: Pipeline, admitter: Admitter, dispatcher: Dispatcher, settler: Settler, metrics: Metrics
    ) -> None:
        self.pipeline = pipeline
        self.settler = settler
        self.metrics = metrics
        self.flights: set[Flight] = set()
        self._admitter = admitter
        self._dispatcher = dispatcher
        self._look: asyncio.TimerHandle | None = None

    def begin(self, face: Face, client: WholeClient, token: str, body: bytes) -> bool:
        """Take a call; False when it is the pipeline's from the beginning, and nothing has been done."""
        in_flight = self.pipeline.in_flight
        call = Call(face)
        try:
            call.caller = self._admitter.known(token)
            if call.caller is None or len(in_flight) >= IN_FLIGHT_MAX or not self._admitter.admit_now(call, body):
                return False
        except Exception:  # whatever it is, the pipeline meets it too, and answers
            log.debug("refused on the short way", exc_info=True)
            return False
        call.admitted_at = perf_counter()
        if self.metrics.traces is not None:
            self.metrics.traces.begun(call, client)
        in_flight.add(call.receipt_id)
        Flight(self, call, client, self._dispatcher.attempts(call)).depart()
        return True

    def watch(self, flight: Flight) -> None:
        """Keep an eye on a call that waits for its engine."""
        self.flights.add(flight)
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_AFTER_S, self._look_after)

    def _look_after(self) -> None:
        self._look = None
        late = perf_counter() - CALL_MAX_S
        for flight in [flight for flight in self.flights if flight.call.admitted_at < late]:
            flight.expire()
        if self.flights:
            self._look = asyncio.get_running_loop().call_later(LOOK_AFTER_S, self._look_after)

    async def stop(self) -> None:
        """Drop what still waits for an engine: nothing of it was delivered, so nothing is charged."""
        if self._look is not None:
            self._look.cancel()
        for flight in tuple(self.flights):
            flight.drop()
            await self._admitter.release(flight.call.reservation)
        self.flights.clear()


class Flight:
    """One call on its way: to the engine, to the ledger, and back to its client."""

    __slots__ = ("_answer", "_attempts", "_client", "_exchange", "_express", "_outcome", "call")

    def __init__(self, express: Express, call: Call, client: WholeClient, attempts: Attempts) -> None:
        self._express = express
        self._client = client
        self._attempts = attempts
        self._exchange: Exchange
        self._answer: bytes
        self._outcome: Outcome
        self.call = call

    def depart(self) -> None:
        """Send the request; the engine's answer calls `_landed`."""
        exchange = None
        parsed = self.call.parsed
        if not (parsed.stream or parsed.media or parsed.pictures):
            try:
                exchange = self._attempts.begin()
            except Exception:  # no engine, or none that fits: the pipeline says so
                log.debug("no engine on the short way", exc_info=True)
        if exchange is None:
            self._leave()
            return
        self._exchange = exchange
        self._express.watch(self)
        exchange.connection.on_landing(self._landed)

    def expire(self) -> None:
        """The engine took too long."""
        self._exchange.connection.expire(CALL_MAX_S)

    def drop(self) -> None:
        """Nobody waits for the engine any more."""
        self._exchange.connection.on_landing(None)
        self._exchange.connection.close()

    def _landed(self) -> None:
        self._express.flights.discard(self)
        connection = self._exchange.connection
        try:
            body = connection.whole
            if body is not None and connection.status == OK and self._settle(body):
                return
        except Exception:  # the pipeline finds the same fault in the answer, and knows what it means
            log.debug("an answer was not for the short way", exc_info=True)
        if connection.unanswered:
            connection.close()
            self._attempts.resend()
        self._leave()

    def _settle(self, body: bytes) -> bool:
        """Meter the answer and queue its capture; False when that has to wait for something."""
        call, exchange = self.call, self._exchange
        completion = decode_answer(body, call.parsed.kind)
        done_at = perf_counter()
        metered = believed(call, exchange, completion.usage, completion.delivered_bytes)
        if metered is None:
            return False
        self._answer = call.face.answer(body, completion, call.parsed, metered, exchange.target.upstream_model)
        self._outcome = completed(call, completion, metered, done_at)
        if not self._express.settler.settle_soon(call, exchange, self._outcome, self._settled):
            return False
        exchange.succeeded(done_at - call.admitted_at)
        exchange.close()
        return True

    def _settled(self, error: Exception | None) -> None:
        """The capture is durable, or has failed."""
        express, call = self._express, self.call
        if error is not None:
            self._client.carry_on(express.pipeline.fail(call, self._client, error))
            return
        express.pipeline.in_flight.discard(call.receipt_id)
        if call.rates:
            self._client.carry_on(self._client.answer(200, self._answer, receipt_headers(call, JSON_TYPE)))
        else:
            self._client.deliver(self._answer, call.receipt.encode())
        express.metrics.answered(call, self._exchange, self._outcome)

    def _leave(self) -> None:
        """Go on as a task in the pipeline, from here."""
        self._client.carry_on(self._express.pipeline.go_on(self.call, self._client, self._attempts))
