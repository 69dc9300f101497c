"""The path of a call: authenticate → price → admit → route → stream → meter → capture → receipt.

Nothing is charged before the first token; what tells a client that its answer is complete leaves only after the
capture is durable; whoever disconnects pays for what was generated, since the engine's answer is drained to its end.
"""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import structlog

from shanhe.compute.api import HIDDEN
from shanhe.gateway.admission import Admitter
from shanhe.gateway.call import ANSWER_MAX_BYTES, Call, receipt_headers, timings
from shanhe.gateway.client import UpstreamError
from shanhe.gateway.coding import CODINGS
from shanhe.gateway.dispatch import Attempts, Dispatcher, Exchange, reported
from shanhe.gateway.errand import Errand
from shanhe.gateway.errors import CallError, ChargedLater
from shanhe.gateway.faces.base import Completion, Face, Pictures, present
from shanhe.gateway.faces.images import ANSWER_MAX_BYTES as PICTURES_MAX_BYTES
from shanhe.gateway.faces.images import drawn
from shanhe.gateway.faces.righting import read_answer
from shanhe.gateway.http import JSON_TYPE, Client, ClientGone, Headers
from shanhe.gateway.meter import Bounds, Buckets, Metered, Usage, believe
from shanhe.gateway.metrics import Metrics
from shanhe.gateway.model import weighed
from shanhe.gateway.pictures import pictures_metered
from shanhe.gateway.relay import Relay
from shanhe.gateway.settlement import Outcome, Settler, Unsettled
from shanhe.gateway.sse import EventTooLarge
from shanhe.kernel.errors import ShanheError

TOKENS_PER_SECOND: Final = 50
"""Of audio, where an engine counts time: a Whisper encoder makes 1,500 frames of 30 s."""
SOUND_MAX_S: Final = 1e6
"""No engine is believed to have heard more."""
IN_FLIGHT_MAX: Final = 8192
"""Calls one process works on at once."""
BYTES_PER_TOKEN_GUESS: Final = 4
"""Used only where neither the engine nor a tokenizer counts; the receipt says `estimate`."""

log = structlog.get_logger(__name__)
_completion = msgspec.json.Decoder(Completion)
_usage = msgspec.json.Decoder(Usage)
ENGINE_FAULTS: Final = (
    UpstreamError, TimeoutError, EventTooLarge, msgspec.MsgspecError, UnicodeDecodeError, RecursionError
)  # fmt: skip
"""What an engine can do wrong with its answer."""
SHAPE_FAULTS: Final = (AttributeError, TypeError, KeyError, IndexError, ValueError)
"""What an answer of the wrong shape does to the code that reads it."""

PICTURES_AT_ONCE: Final = 4
"""Answers with pictures that one process reads at once: each may be tens of MB, several times over while it is read."""
PICTURES_WAIT_S: Final = 120.0
"""Longest time such an answer may take to arrive once it has begun."""

Delegate = Callable[[Call, Client, bytes], Awaitable[None] | None]


class Collected:
    """The client of a call that the city makes itself: keeps the answer."""

    method, path, query, started, gone = "POST", "/v1/chat/completions", "", False, False

    def __init__(self) -> None:
        self.headers: Headers = []
        self.answered = b""

    def header(self, name: bytes) -> bytes | None:
        return None

    async def body(self) -> bytes:
        return b""

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        self.answered = body

    def heartbeat(self, sign: bytes, head: Callable[[], Headers]) -> None:
        """Whole answers only."""

    async def start(self, headers: Headers) -> None:
        """Whole answers only."""

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Whole answers only."""

    async def break_off(self, data: bytes, *, owed: bool = False) -> None:
        """Whole answers only."""

    async def left(self) -> None:
        """The city waits for its own answers."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Nothing to close."""


Label = Callable[[str, str, bytes], tuple[bytes, Mapping[str, str]]]
"""(id, media type, body): a sound or a picture with the label of generated content in it where it can be, and the
label."""


class Read(NamedTuple):
    """An engine's whole answer, read: what the caller gets, with which headers, what it comes to, and when it was
    there."""

    answer: bytes
    headers: Headers
    completion: Completion
    metered: Metered
    done_at: float


class Pipeline:
    """Runs calls. One per process; everything it needs is handed in."""

    def __init__(self, admitter: Admitter, dispatcher: Dispatcher, settler: Settler, metrics: Metrics) -> None:
        self._admitter = admitter
        self._dispatcher = dispatcher
        self._settler = settler
        self._metrics = metrics
        self.in_flight: set[UUID] = set()
        self.label: Label | None = None
        self._drawing = asyncio.Semaphore(PICTURES_AT_ONCE)
        self.delegate: Delegate | None = None
        """Whoever answers calls that name no model but an agent; None from it = an ordinary call."""

    async def run(self, face: Face, client: Client, receipt_id: UUID | None = None) -> None:
        """Serve one request, under the receipt that it may bring along; every failure becomes the face's own typed
        error."""
        call = Call(face)
        if receipt_id is not None:
            call.receipt_id, call.receipt = receipt_id, str(receipt_id)
        if len(self.in_flight) >= IN_FLIGHT_MAX:
            busy = CallError(429, "too_many_calls", "Too many calls at once; try again shortly.", retry_after_s=1)
            return await self.refuse(face, call.receipt_id, busy, client)
        self.in_flight.add(call.receipt_id)
        if self._metrics.traces is not None:
            self._metrics.traces.begun(call, client)

        async def steps() -> None:
            call.caller = await self._admitter.authenticate(client)
            body = await client.body()
            if self.delegate is not None and (work := self.delegate(call, client, body)) is not None:
                await work
                return
            await self._admitter.admit(call, body)
            call.admitted_at = perf_counter()
            await self._dispatch(call, client, self._dispatcher.attempts(call))

        await self._guarded(call, client, steps())
        return None

    async def run_errand(self, face: Face, client: Client, errand: Errand) -> None:
        """Serve a call that nobody waits for, under the receipt that it brings along."""
        call = Call(face)
        call.errand, call.caller, call.keep = errand, errand.caller, errand.keep
        call.receipt_id, call.receipt = errand.receipt_id, str(errand.receipt_id)
        self.in_flight.add(call.receipt_id)

        async def steps() -> None:
            await self._admitter.admit(call, await client.body())
            if call.parsed.stream:
                raise CallError(400, "stream_not_allowed", "A call that waits can't be streamed.", param="stream")
            call.admitted_at = perf_counter()
            await self._dispatch(call, client, self._dispatcher.attempts(call))

        await self._guarded(call, client, steps())

    async def go_on(self, call: Call, client: Client, attempts: Attempts) -> None:
        """Finish an admitted call that the express path has begun; see `express`."""
        await self._guarded(call, client, self._dispatch(call, client, attempts))

    async def ask(self, call: Call, body: bytes) -> bytes:
        """One whole call from inside the city: the same path, its answer returned, its failures raised."""
        if len(self.in_flight) >= IN_FLIGHT_MAX:
            raise CallError(429, "too_many_calls", "Too many calls at once; try again shortly.", retry_after_s=1)
        self.in_flight.add(call.receipt_id)
        collected = Collected()
        try:
            await self._admitter.admit(call, body)
            call.admitted_at = perf_counter()
            await self._whole(call, collected, self._dispatcher.attempts(call))
            await self._admitter.booked(call, call.paid_micro)
        finally:
            self.in_flight.discard(call.receipt_id)
            await self._admitter.booked(call, None if call.reservation is None else 0)
            if call.reservation is not None:
                await self._admitter.release(call.reservation)
        return collected.answered

    async def fail(self, call: Call, client: Client, error: Exception) -> None:
        """Answer a call of the express path whose capture failed."""

        async def steps() -> None:
            raise error

        await self._guarded(call, client, steps())

    async def _guarded(self, call: Call, client: Client, steps: Coroutine[Any, Any, None]) -> None:
        """Run a call's steps; what they leave reserved is released, what they raise is answered."""
        try:
            try:
                await steps
            finally:
                self.in_flight.discard(call.receipt_id)
                if call.reservation is not None:
                    await self._admitter.release(call.reservation)
        except ClientGone:
            self._metrics.clients_gone += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            await self._fail(call, told(error), client)
        finally:
            await client.close()

    async def _dispatch(self, call: Call, client: Client, attempts: Attempts) -> None:
        await (self._stream if call.parsed.stream else self._whole)(call, client, attempts)

    async def _fail(self, call: Call, error: CallError, client: Client) -> None:
        if self._metrics.traces is not None:
            self._metrics.traces.refused(call, error)
        if client.started:
            writer = call.writer or call.face.writer(call.parsed, call.receipt_id.hex, "")
            await client.break_off(writer.broken(error, call.receipt), owed=isinstance(error, ChargedLater))
            self._metrics.refused(error.code)
            return
        await self.refuse(call.face, call.receipt_id, error, client, call.rates)

    async def refuse(
        self, face: Face, receipt_id: UUID, error: CallError, client: Client, more: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Answer with the face's typed error; `more`: further headers."""
        self._metrics.refused(error.code)
        told = str(receipt_id).encode()
        headers = [JSON_TYPE, (b"x-request-id", told), (b"request-id", told), *more]
        if error.retry_after_s is not None:
            headers.append((b"retry-after", str(error.retry_after_s).encode()))
        if error.status == 415:
            headers.append((b"accept-encoding", b", ".join(CODINGS)))
        await client.answer(error.status, face.error(error, str(receipt_id)), headers)

    # -- whole answers ----------------------------------------------------------------------------------------
    async def _whole(self, call: Call, client: Client, attempts: Attempts) -> None:
        while True:
            with await attempts.next() as exchange:
                await self._settler.prepare(exchange)
                try:
                    answer, told, completion, metered, done_at = await self._read(call, exchange)
                except ENGINE_FAULTS + SHAPE_FAULTS as error:
                    exchange.failed(error)
                    attempts.failed(error)
                    continue
                exchange.succeeded(done_at - call.admitted_at)
                outcome = completed(call, completion, metered, done_at)
                if call.keep is not None:
                    await call.keep(answer)
                if call.weigh is not None and call.admission.commission is not None:
                    call.admission = weighed(call.admission, *call.weigh(answer))
                await self._settler.settle(call, exchange, outcome)
                await client.answer(200, answer, receipt_headers(call, *told))
                self._metrics.answered(call, exchange, outcome)
                return

    async def _read(self, call: Call, exchange: Exchange) -> Read:
        """The engine's answer, and what it comes to; one of ENGINE_FAULTS or SHAPE_FAULTS where it is none."""
        if call.parsed.pictures is not None:
            async with asyncio.timeout(call.seconds_left()), self._drawing:
                return await self._pictures(call, exchange, call.parsed.pictures)
        body = await exchange.connection.body(call.seconds_left(), ANSWER_MAX_BYTES)
        body, completion = (body, Completion()) if call.parsed.media else read_whole(call, body)
        done_at = perf_counter()
        metered = believed(call, exchange, completion.usage, completion.delivered_bytes)
        metered = metered or await self._count(call, exchange, completion.delivered_bytes, completion)
        answer = call.face.answer(body, completion, call.parsed, metered, exchange.target.upstream_model)
        headers: Headers = [JSON_TYPE]
        if call.parsed.media:
            answer, headers = await self._sound(call, call.parsed.media, answer)
        return Read(answer, headers, completion, metered, done_at)

    async def _pictures(self, call: Call, exchange: Exchange, asked: Pictures) -> Read:
        """The same of pictures, which take a thread: they are decoded, labelled and encoded again."""
        body = await exchange.connection.body(PICTURES_WAIT_S, PICTURES_MAX_BYTES)
        done_at = perf_counter()
        label = None if self.label is None else partial(self.label, call.receipt)
        found = await asyncio.to_thread(drawn, body, asked, label)
        if present(found.made.error) and not found.entries:
            raise reported(found.made.error)
        metered = pictures_metered(found, call.admission, exchange.target)
        answer = found.answer(metered.buckets, tokens=metered.source == "engine")
        return Read(answer, [JSON_TYPE], Completion(), metered, done_at)

    async def _sound(self, call: Call, media: bytes, answer: bytes) -> tuple[bytes, Headers]:
        """A sound with its label, inside where its format can, and the headers that say what it is."""
        kind: Headers = [(b"content-type", media)]
        if self.label is None:
            return answer, kind
        sound, label = await asyncio.to_thread(self.label, call.receipt, media.decode(), answer)
        return sound, [*kind, (b"x-aigc-label", base64.b64encode(msgspec.json.encode({"AIGC": label})))]

    # -- streams ----------------------------------------------------------------------------------------------
    async def _stream(self, call: Call, client: Client, attempts: Attempts) -> None:
        self._settler.expect_room()
        client.heartbeat(call.face.heartbeat, partial(receipt_headers, call))
        while True:
            with await attempts.next() as exchange:
                await self._settler.prepare(exchange)
                relay = Relay(call, client, exchange.target.upstream_model)
                try:
                    await relay.pump(exchange.connection, exchange.target.idle_timeout_s)
                    exchange.succeeded(relay.first_at - call.admitted_at)
                    metered = believed(call, exchange, relay.usage, relay.delivered_bytes)
                    metered = metered or await self._count(call, exchange, relay.delivered_bytes, relay)
                except asyncio.CancelledError:
                    if relay.begun:  # the city stops: what was delivered is charged before it does
                        await asyncio.shield(self._broken(call, exchange, relay))
                    raise
                except ENGINE_FAULTS + SHAPE_FAULTS as error:
                    exchange.failed(error)
                    if not relay.begun:
                        attempts.failed(error)
                        continue
                    await self._broken(call, exchange, relay)
                    text = f"The engine broke off: {error}. Only what was delivered is charged."
                    raise CallError(502, "engine_broke_off", text) from error
                status = "disconnected" if client.gone else "completed"
                outcome = Outcome(metered, status, relay.finish_reason, relay.timings())
                await self._settler.settle(call, exchange, outcome)
                await client.write(relay.writer.finish(metered.buckets), last=True)
                self._metrics.answered(call, exchange, outcome)
                return

    async def _broken(self, call: Call, exchange: Exchange, relay: Relay) -> None:
        """The engine failed inside a stream: the payer pays for the delivered output alone."""
        tokens = await self._dispatcher.count_text(exchange.target, relay.text)
        source = "tokenizer"
        if tokens is None:
            tokens, source = relay.chunks, "estimate"
        output = min(tokens, relay.delivered_bytes, call.admission.completion_tokens_max)
        metered = Metered(Buckets(output=output), source)
        await self._settler.settle(call, exchange, Outcome(metered, "broken", None, relay.timings()))

    # -- metering ---------------------------------------------------------------------------------------------
    async def _count(self, call: Call, exchange: Exchange, delivered: int, spoken: Completion | Relay) -> Metered:
        """Buckets by our own count, where the engine's usage is missing or can't be believed."""
        bounds = bounds_of(call, exchange, delivered)
        source = "tokenizer"
        text = spoken.text
        output = await self._dispatcher.count_text(exchange.target, text) if text else 0
        prompt = await self._dispatcher.count_prompt(exchange.target, call.parsed)
        if output is None or prompt is None:
            source = "estimate"
            output = output if output is not None else -(-delivered // BYTES_PER_TOKEN_GUESS)
            prompt = prompt if prompt is not None else -(-call.parsed.text_bytes // BYTES_PER_TOKEN_GUESS)
        most = bounds.completion if bounds.delivered is None else min(bounds.completion, bounds.delivered)
        return Metered(Buckets(input=min(prompt, bounds.prompt), output=min(output, most)), source)


def bounds_of(call: Call, exchange: Exchange, delivered: int) -> Bounds:
    """What the call could have used at most."""
    hidden = call.parsed.kind != "chat" or HIDDEN in exchange.target.features
    return call.admission.bounds(None if hidden else delivered)


def believed(call: Call, exchange: Exchange, usage: msgspec.Raw, delivered: int) -> Metered | None:
    """Buckets by the engine's usage object; None when there is none, or it can't be read or believed."""
    if call.parsed.fixed_tokens is not None:
        return Metered(Buckets(input=call.parsed.fixed_tokens), "request")
    if not present(usage) or (call.parsed.answers > 1 and exchange.target.counts_one):
        return None
    try:
        said = _usage.decode(usage)
        if call.parsed.kind != "chat" and said.prompt_tokens is None:
            heard_s = said.seconds or 0.0
            heard = math.ceil(heard_s * TOKENS_PER_SECOND) if 0 < heard_s < SOUND_MAX_S else None
            said.prompt_tokens = said.total_tokens if heard is None else heard
        return believe(said, bounds_of(call, exchange, delivered))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def decode_answer(body: bytes, kind: str) -> Completion:
    """An engine's whole answer that is as it should be; ValidationError for any other."""
    completion = _completion.decode(body)
    if kind == "chat" and not (completion.choices and all(choice.well_formed for choice in completion.choices)):
        raise msgspec.ValidationError("the engine's answer holds no choices")
    return completion


def read_whole(call: Call, body: bytes) -> tuple[bytes, Completion]:
    """An engine's whole answer, put right where it has to be; ValidationError when it holds none, else `reported`."""
    chat = call.parsed.kind == "chat"
    body, completion = read_answer(body, call.receipt_id.hex) if chat else (body, _completion.decode(body))
    if present(completion.error) and not completion.choices:
        raise reported(completion.error)
    if chat and not completion.choices:
        raise msgspec.ValidationError("the engine's answer holds no choices")
    return body, completion


def completed(call: Call, completion: Completion, metered: Metered, done_at: float) -> Outcome:
    """How a call ended whose answer came whole."""
    finish = completion.choices[0].finish_reason if completion.choices else None
    return Outcome(metered, "completed", finish, timings(call, done_at, done_at))


def told(error: Exception) -> CallError:
    """What has gone wrong, in the words of a call."""
    match error:
        case CallError():
            return error
        case ShanheError():
            after_s = getattr(error, "retry_after_s", None)
            return CallError(error.status, error.code, error.whole_text, error.whole_text_zh, retry_after_s=after_s)
        case UpstreamError():
            return CallError(502, "engine_failed", f"The engine failed: {error}.")
        case Unsettled():
            return CallError(503, "ledger_unavailable", f"The ledger is away: {error}.")
        case _:
            log.error("call failed", error=repr(error)[:500], exc_info=error)
            text = "Something went wrong on our side; nothing was charged for what was not delivered."
            return CallError(500, "internal_error", text)
