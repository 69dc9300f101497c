"""The path of a call: authenticate → price → admit → route → stream → meter → capture → receipt.

Nothing is charged before the first token; what tells a client that its answer is complete leaves only after the
capture is durable; whoever disconnects pays for what was generated, since the engine's answer is drained to its end.
"""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from time import perf_counter
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from shanhe.gateway.admission import Admitter
from shanhe.gateway.client import Connection, UpstreamError
from shanhe.gateway.coding import CODINGS
from shanhe.gateway.commission import Parted
from shanhe.gateway.dispatch import Attempts, Dispatcher, Exchange
from shanhe.gateway.errand import Errand, Keep
from shanhe.gateway.errors import CallError
from shanhe.gateway.faces.base import ABSENT, Completion, Face, Parsed, StreamWriter, present
from shanhe.gateway.http import JSON_TYPE, Client, ClientGone, Headers
from shanhe.gateway.meter import Bounds, Buckets, Metered, Usage, believe
from shanhe.gateway.metrics import Metrics
from shanhe.gateway.model import Admission, Timings, weighed
from shanhe.gateway.settlement import Outcome, Settler, Unsettled
from shanhe.gateway.sse import DONE, EventTooLarge, Splitter, data_of
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id_and_text

ANSWER_MAX_BYTES: Final = 32 * 1024 * 1024
CALL_MAX_S: Final = 1800.0
"""Longest time a call may take from its admission on; the reservation lives longer, see `admission.CALL_TTL_S`."""
TOKENS_SLACK: Final = 64
"""Chunks beyond `max_tokens` after which an engine is cut off."""
DRAIN_MAX_S: Final = 300.0
"""Longest time an abandoned stream is drained; what came until then is charged."""
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


Delegate = Callable[["Call", Client, bytes], Awaitable[None] | None]


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

    async def start(self, headers: Headers) -> None:
        """Whole answers only."""

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Whole answers only."""

    async def left(self) -> None:
        """The city waits for its own answers."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Nothing to close."""


class Call:
    """Working state of one call, alive for as long as it is."""

    __slots__ = (
        "admission", "admitted_at", "caller", "carried", "errand", "face", "fees", "inside", "keep", "most_micro",
        "paid_micro", "parsed", "parted", "receipt", "receipt_id", "reservation", "started_at", "through",
        "traceparent", "weigh", "weights", "writer",
    )  # fmt: skip

    def seconds_left(self) -> float:
        """How long the call may still take; at least a second."""
        return max(1.0, self.admitted_at + CALL_MAX_S - perf_counter())

    def __init__(self, face: Face) -> None:
        self.face = face
        self.receipt_id, self.receipt = new_id_and_text()
        self.started_at = started_at = perf_counter()
        self.caller: Any = None
        self.errand: Errand | None = None
        self.keep: Keep | None = None  # gets a whole answer before it is charged
        self.parsed: Parsed
        self.traceparent: bytes | None  # where calls are traced
        self.admission: Admission
        self.reservation: Any = None
        self.admitted_at = started_at
        self.through: Sequence[str] = ()  # listings the call comes through
        self.weights: Mapping[str, Sequence[int]] | None = None
        self.fees: Collection[str] | None = None  # those of them whose fee is due with this call; None = all
        self.carried: Mapping[str, int] | None = None  # model cost of earlier calls whose markup is due with this one
        self.weigh: Callable[[bytes], tuple[str, Mapping[UUID, int]]] | None = None  # makers by what the answer holds
        self.inside = False  # may call models that only listings may
        self.most_micro: int | None = None  # what is left of a budget
        self.paid_micro = 0
        self.parted: Parted | None = None
        self.writer: StreamWriter | None = None


Label = Callable[[str, str, bytes], tuple[bytes, Mapping[str, str]]]
"""(id, media type, sound): the sound with the label of generated content in it where it can be, and the label."""


class Pipeline:
    """Runs calls. One per process; everything it needs is handed in."""

    def __init__(self, admitter: Admitter, dispatcher: Dispatcher, settler: Settler, metrics: Metrics) -> None:
        self._admitter = admitter
        self._dispatcher = dispatcher
        self._settler = settler
        self._metrics = metrics
        self.in_flight: set[UUID] = set()
        self.label: Label | None = None
        self.delegate: Delegate | None = None
        """Whoever answers calls that name no model but an agent; None from it = an ordinary call."""

    async def run(self, face: Face, client: Client) -> None:
        """Serve one request; every failure becomes the face's own typed error."""
        call = Call(face)
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
        finally:
            self.in_flight.discard(call.receipt_id)
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
        except CallError as error:
            await self._fail(call, error, client)
        except ShanheError as error:
            await self._fail(call, from_shanhe(error), client)
        except UpstreamError as error:
            await self._fail(call, CallError(502, "engine_failed", f"The engine failed: {error}."), client)
        except Unsettled as error:
            await self._fail(call, CallError(503, "ledger_unavailable", f"The ledger is away: {error}."), client)
        except Exception as error:
            log.error("call failed", error=repr(error)[:500], exc_info=True)
            text = "Something went wrong on our side; nothing was charged for what was not delivered."
            await self._fail(call, CallError(500, "internal_error", text), client)
        finally:
            await client.close()

    async def _dispatch(self, call: Call, client: Client, attempts: Attempts) -> None:
        await (self._stream if call.parsed.stream else self._whole)(call, client, attempts)

    async def _fail(self, call: Call, error: CallError, client: Client) -> None:
        if self._metrics.traces is not None:
            self._metrics.traces.refused(call, error)
        if client.started:
            last = b"" if call.writer is None else call.writer.broken(error, call.receipt)
            await client.write(last, last=True)
            self._metrics.refused(error.code)
            return
        await self.refuse(call.face, call.receipt_id, error, client)

    async def refuse(self, face: Face, receipt_id: UUID, error: CallError, client: Client) -> None:
        """Answer with the face's typed error."""
        self._metrics.refused(error.code)
        told = str(receipt_id).encode()
        headers = [JSON_TYPE, (b"x-request-id", told), (b"request-id", told)]
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
                    body = await exchange.connection.body(call.seconds_left(), ANSWER_MAX_BYTES)
                    completion = Completion() if call.parsed.media else decode_answer(body, call.parsed.kind)
                    done_at = perf_counter()
                    metered = believed(call, exchange, completion.usage, completion.delivered_bytes)
                    metered = metered or await self._count(call, exchange, completion.delivered_bytes, completion)
                    answer = call.face.answer(body, completion, call.parsed, metered, exchange.target.upstream_model)
                    told: Headers = [JSON_TYPE]
                    if call.parsed.media:
                        answer, told = await self._sound(call, call.parsed.media, answer)
                except ENGINE_FAULTS + SHAPE_FAULTS as error:
                    exchange.failed(error)
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
                    if client.started:  # the city stops: what was delivered is charged before it does
                        await asyncio.shield(self._broken(call, exchange, relay))
                    raise
                except ENGINE_FAULTS + SHAPE_FAULTS as error:
                    exchange.failed(error)
                    if not client.started:
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
    hidden = call.parsed.kind != "chat" or "hidden_reasoning" in exchange.target.features
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
    """An engine's whole answer; ValidationError when it holds none."""
    completion = _completion.decode(body)
    if kind == "chat" and not completion.choices:
        raise msgspec.ValidationError("the engine's answer holds no choices")
    return completion


def timings(call: Call, first_at: float, done_at: float) -> Timings:
    at = call.started_at
    done_ms = int((done_at - at) * 1e6) / 1000
    first_ms = done_ms if first_at == done_at else int((first_at - at) * 1e6) / 1000
    return Timings(int((call.admitted_at - at) * 1e6) / 1000, first_ms, done_ms)


def completed(call: Call, completion: Completion, metered: Metered, done_at: float) -> Outcome:
    """How a call ended whose answer came whole."""
    finish = completion.choices[0].finish_reason if completion.choices else None
    return Outcome(metered, "completed", finish, timings(call, done_at, done_at))


def receipt_headers(call: Call, *first: tuple[bytes, bytes]) -> Headers:
    """The headers that name a call's receipt."""
    receipt = call.receipt.encode()
    return [*first, (b"x-shanhe-receipt", receipt), (b"x-request-id", receipt), (b"request-id", receipt)]


class Relay:
    """Moves a stream from the engine to the client, event by event, and remembers what was delivered."""

    def __init__(self, call: Call, client: Client, upstream_model: str) -> None:
        self._call = call
        self._client = client
        self.writer = call.writer = call.face.writer(call.parsed, call.receipt_id.hex, upstream_model)
        self.usage: msgspec.Raw = ABSENT
        self.finish_reason: str | None = None
        self.delivered_bytes = 0
        self.chunks = 0
        self._texts: list[str] = []
        self.first_at = call.started_at
        self.done_at = call.started_at
        self._finished = False

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def timings(self) -> Timings:
        return timings(self._call, self.first_at, self.done_at)

    async def pump(self, connection: Connection, idle_timeout_s: float) -> None:
        """Relay until the stream ends; raises when it ends without an end."""
        splitter = Splitter()
        give_up_at = self._call.admitted_at + CALL_MAX_S
        while data := await connection.chunk(idle_timeout_s):
            out: list[bytes] = []
            for event in splitter.feed(data):
                payload = data_of(event)
                if payload is None:
                    continue
                if payload == DONE:
                    self._finished = True
                    break
                out.append(self._take(event, payload))
            if ready := b"".join(out):
                await self._forward(ready)
            self.done_at = perf_counter()
            if self._client.gone:
                give_up_at = min(give_up_at, self.done_at + DRAIN_MAX_S)
            if self.done_at > give_up_at:
                raise UpstreamError("the stream took too long", timed_out=True)
            if self._finished:
                break
        if not self._finished and self.finish_reason is None:
            raise UpstreamError("the stream ended without an end")
        if not self._client.started:
            await self._begin()

    async def _forward(self, ready: bytes) -> None:
        if not self._client.started:
            await self._begin()
        await self._client.write(ready)

    async def _begin(self) -> None:
        self.first_at = perf_counter()
        await self._client.start(receipt_headers(self._call))

    def _take(self, event: bytes, payload: bytes) -> bytes:
        chunk = _completion.decode(payload)
        if present(chunk.error):
            raise UpstreamError("the engine reported an error inside the stream")
        if present(chunk.usage):
            self.usage = chunk.usage
        size = chunk.delivered_bytes
        if size:
            self.delivered_bytes += size
            self.chunks += 1
            self._texts.append(chunk.text)
            if self.chunks > self._call.admission.completion_tokens_max + TOKENS_SLACK:
                raise UpstreamError("the engine wrote more than it was asked for")
        for choice in chunk.choices:
            self.finish_reason = choice.finish_reason or self.finish_reason
        return self.writer.chunk(event, chunk)


def from_shanhe(error: ShanheError) -> CallError:
    """A typed error of another module in the words of a call."""
    return CallError(error.status, error.code, error.message, retry_after_s=getattr(error, "retry_after_s", None))
