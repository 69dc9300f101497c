"""Choosing an engine and getting the head of its answer, with retry and fallback before the first token only."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import structlog

from shanhe.compute.api import BOUND, NO_RESPONSE_FORMAT, NO_STREAM_OPTIONS, EngineKind
from shanhe.gateway.client import Connection, Endpoint, Pool, UpstreamError
from shanhe.gateway.errors import CallError, TooLong
from shanhe.gateway.faces.base import BOUNDARY, FORMS, THOUGHT, THOUGHT_OTHERWISE, Parsed
from shanhe.gateway.thinking import told
from shanhe.gateway.weights import Weights
from shanhe.kernel.errors import ShanheError, TooMany

if TYPE_CHECKING:
    from shanhe.compute.api import Compute, Target
    from shanhe.gateway.call import Call

ATTEMPTS_MAX: Final = 3
HEADS_MAX: Final = 1024
"""Heads of requests that are kept ready; a changed engine is another target."""
SECONDS_DIGITS: Final = 9
"""More digits make no longer wait."""
BUSY_S: Final = 2
"""What a caller is told to wait for a busy engine that says nothing of it."""
ERROR_BODY_MAX_BYTES: Final = 64 * 1024
BYTES_PER_TOKEN: Final = 4
"""For the guess how long a prompt takes; speeds are measured in the same unit."""
CALLERS_FAULT: Final = frozenset({400, 413, 415, 422})
"""Statuses with which an engine refuses the request itself; another engine would refuse it too."""
MAY_NAME_A_TIME: Final = frozenset({429, 503})
"""Statuses with which an engine may say when to ask it again."""
SAID_WITH_500: Final = ("failed to parse ", "is too large to process")
"""How llama.cpp begins or ends a 500 that is about the request; counted against the engine, five of them would take its
model from everybody."""

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class Numbered(msgspec.Struct):
    """An error with the status that it stands for."""

    code: int | str | None = None


_numbered = msgspec.json.Decoder(Numbered)
FORM_TYPE: Final = b"multipart/form-data; boundary=" + BOUNDARY.encode()
BEGUN_CALL: Final = {"role": "assistant", "content": "<tool_call>\n"}
"""What begins a tool call in the templates of the Hermes kind."""
THOUGHT_KEY: Final = b'"%b"' % THOUGHT.encode()
"""Quotes inside a text are escaped, so this is a key wherever it stands."""
CHAT_PATH: Final = "/chat/completions"
STREAM_OPTIONS: Final = "stream_options"
RESPONSE_FORMAT: Final = "response_format"
TRUE_USAGE: Final = msgspec.Raw(b'{"include_usage":true}')


class Exchange:
    """One attempt at one engine; leaving the `with` block returns the connection and the engine's slot.

    An engine is blamed by `failed` alone: what else ends the block, a caller who asked for what the model has not, a
    database that is away, says nothing of it.
    """

    def __init__(self, dispatcher: Dispatcher, target: Target, connection: Connection, attempt: int) -> None:
        self._dispatcher = dispatcher
        self.target = target
        self.connection = connection
        self.attempt = attempt
        self._released = False

    def succeeded(self, first_token_s: float) -> None:
        """The engine did its part; `first_token_s` feeds its health."""
        self._release(True, first_token_s * 1000)

    def failed(self, error: BaseException) -> None:
        """The engine broke off; its circuit learns of it."""
        log.warning("engine failed", engine=self.target.engine_name, error=str(error)[:200])
        self._release(False, None)

    def _release(self, ok: bool, ttft_ms: float | None) -> None:
        if not self._released:
            self._released = True
            self.target.release(ok, ttft_ms, self.connection.status)

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._release(True, None)
        self._dispatcher.give_back(self.connection)

    def close(self) -> None:
        """As leaving the block without an error does, for whoever holds no block."""
        self._release(True, None)
        self._dispatcher.give_back(self.connection)


class Dispatcher:
    """Sends calls to engines."""

    def __init__(self, compute: Compute, pool: Pool, weights: Weights | None = None) -> None:
        self.compute = compute
        self.weights = weights or Weights()
        self._pool = pool
        self._heads: dict[tuple[Target, str], tuple[Endpoint, bytes]] = {}

    def attempts(self, call: Call) -> Attempts:
        return Attempts(self, call)

    async def send(self, target: Target, parsed: Parsed, body: bytes, most_s: float) -> Connection:
        endpoint, head = self._head(target, parsed.path)
        timeout_s = min(target.first_token_timeout_s, most_s) if parsed.stream else most_s
        return await self._pool.exchange(endpoint, request_bytes(head, body), timeout_s=timeout_s)

    def send_now(self, target: Target, parsed: Parsed, body: bytes) -> Connection | None:
        """Send over an idle connection without waiting for the answer; None when there is no such connection."""
        endpoint, head = self._head(target, parsed.path)
        connection = self._pool.take(endpoint)
        if connection is not None:
            connection.start(request_bytes(head, body))
        return connection

    def give_back(self, connection: Connection) -> None:
        self._pool.give_back(connection)

    async def count_text(self, target: Target, text: str) -> int | None:
        """Tokens of a text by the model's tokenizer; None where there is none at hand."""
        try:
            return await self.compute.tokenize(target, text)
        except (ShanheError, OSError):
            return None

    async def count_prompt(self, target: Target, parsed: Parsed) -> int | None:
        """Tokens of the prompt, template included; None where it can't be counted."""
        if parsed.prompt_text is not None:
            return await self.count_text(target, parsed.prompt_text)
        if parsed.prompt_messages is None:
            return None
        messages, tools = msgspec.json.decode(_encode([parsed.prompt_messages, parsed.body.get("tools", ())]))
        try:
            return await self.compute.count_chat(target, messages, tools)
        except (ShanheError, OSError):
            return None

    def _head(self, target: Target, path: str) -> tuple[Endpoint, bytes]:
        key = (target, path)
        cached = self._heads.get(key)
        if cached is not None:
            return cached
        if len(self._heads) >= HEADS_MAX:
            self._heads.clear()
        lines = [
            b"POST %b%b HTTP/1.1" % (target.path_prefix.encode(), path.encode()),
            b"host: %b" % target.host_header.encode(),
            b"content-type: " + (FORM_TYPE if path in FORMS else b"application/json"),
            b"accept-encoding: identity",
        ]
        if target.auth_header is not None:
            lines.append(b"authorization: " + target.auth_header)
        lines.append(b"content-length: ")
        entry = self._heads[key] = endpoint_of(target), b"\r\n".join(lines)
        return entry


def endpoint_of(target: Target) -> Endpoint:
    """Where a target listens."""
    return Endpoint(uds=target.uds_path, host=target.host, port=target.port, tls=target.tls)


def request_bytes(head: bytes, body: bytes) -> bytes:
    """One request in one piece."""
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)


def upstream_body(
    parsed: Parsed, target: Target, max_tokens: int | None, supposed: Collection[str] = frozenset()
) -> bytes:  # fmt: skip
    """The request for the engine: the caller's fields, with model, bound and usage report set by us.

    `supposed`: features it is asked as if it had them, for what it said when it refused.
    """
    if parsed.form is not None or parsed.pictures is not None:
        own = parsed.body | {"model": target.upstream_model}
        if parsed.pictures is not None and not (target.has(NO_RESPONSE_FORMAT) or NO_RESPONSE_FORMAT in supposed):
            own[RESPONSE_FORMAT] = "b64_json"  # addresses would be the engine's choice of where somebody looks
        return _encode(own) if parsed.form is None else parsed.form(own)
    plain = parsed.plain
    if plain is not None:
        plain.model, plain.max_tokens, plain.stream = target.upstream_model, max_tokens, False
        if max_tokens is not None and (target.has(BOUND) or BOUND in supposed):
            plain.max_tokens = None
            return b'%b,"%b":%d}' % (_encode(plain)[:-1], BOUND.encode(), max_tokens)
        return _adapted(_encode(plain), target)
    fields: dict[str, Any] = parsed.body
    fields["model"] = target.upstream_model
    if parsed.max_tokens_field is not None:
        bounds = parsed.path == CHAT_PATH and (target.has(BOUND) or BOUND in supposed)
        fields.pop("max_tokens" if bounds else BOUND, None)
        fields[BOUND if bounds else "max_tokens"] = max_tokens
    fields["stream"] = parsed.stream
    if parsed.stream:
        fields[STREAM_OPTIONS] = TRUE_USAGE
        if target.has(NO_STREAM_OPTIONS) or NO_STREAM_OPTIONS in supposed:
            del fields[STREAM_OPTIONS]
    if parsed.effort is not None or parsed.unseen:
        fields = fields | told(parsed.effort, target, unseen=parsed.unseen)
    if parsed.must_call is not None and target.kind == EngineKind.LLAMA:
        fields = _must_call(fields, parsed.must_call, begun="hermes_calls" in target.features)
    return _adapted(_encode(fields), target)


def _must_call(fields: dict[str, Any], name: str, *, begun: bool) -> dict[str, Any]:
    """The request for llama.cpp, which knows no choice by name: the other tools are left out, and the call is begun."""
    wanted = fields | {"tool_choice": "required"}
    if name:
        tools = msgspec.json.decode(_encode(fields["tools"]))
        wanted["tools"] = [tool for tool in tools if tool["function"]["name"] == name]
        wanted["parallel_tool_calls"] = False
    messages = msgspec.json.decode(_encode(fields["messages"]))
    if begun and messages[-1]["role"] != "assistant":
        wanted["messages"] = [*messages, BEGUN_CALL]
    return wanted


def _adapted(body: bytes, target: Target) -> bytes:
    """The body, asking for the adapter that is the model, with earlier thoughts where its engine may read them."""
    if target.kind != EngineKind.LLAMA and THOUGHT_KEY in body:
        body = _by_both_names(body)
    return body[:-1] + target.lora if target.lora else body


def _by_both_names(body: bytes) -> bytes:
    """The body with what a model thought under either name: engines read the one or the other."""
    fields: dict[str, Any] = _fields.decode(body)
    if "messages" not in fields:
        return body
    rows = _rows.decode(fields["messages"])
    for row in rows:
        if (thought := row.get(THOUGHT)) is not None:
            row[THOUGHT_OTHERWISE] = thought
    return _encode({**fields, "messages": rows})


class Attempts:
    """The engines a call is offered to, one after the other, until one answers."""

    def __init__(self, dispatcher: Dispatcher, call: Call) -> None:
        self._dispatcher = dispatcher
        self._call = call
        self._excluded: set[UUID] = set()
        self._supposed: dict[UUID, frozenset[str]] = {}
        """Of engines that refused, the features that would explain it; they are asked once more as if they had them."""
        self._count = 0
        self._last: CallError | None = None
        self._begun: tuple[Target, Connection | None] | None = None

    def begin(self) -> Exchange | None:
        """The first attempt, sent without waiting for anything; None when that can't be. `next` goes on from there."""
        target = self._route()
        if target is None or not target.try_acquire():
            return None
        self._count = 1
        self._excluded.add(target.engine_id)
        self._begun = target, None
        body = upstream_body(self._call.parsed, target, self._call.admission.max_tokens)
        connection = self._dispatcher.send_now(target, self._call.parsed, body)
        if connection is None:
            return None
        self._begun = target, connection
        return Exchange(self._dispatcher, target, connection, 1)

    def resend(self) -> None:
        """What was begun found its connection closed: the same engine is asked again."""
        assert self._begun is not None
        self._begun = self._begun[0], None

    async def next(self) -> Exchange:
        """The next engine that accepts the call; CallError when none is left."""
        call = self._call
        while self._begun is not None or self._count < ATTEMPTS_MAX:
            if self._begun is not None:
                (target, connection), self._begun = self._begun, None
            else:
                connection, chosen = None, self._route()
                if chosen is None:
                    break
                target = chosen
                self._count += 1
                self._excluded.add(target.engine_id)
                try:
                    await target.acquire(self._turn)
                except TooMany as error:
                    self._note(CallError(429, "engine_busy", error.message, retry_after_s=error.retry_after_s))
                    continue
            if (exchange := await self._try(target, call, connection)) is not None:
                return exchange
        raise self._last or CallError(
            503, "no_engine", f"No engine can serve {call.parsed.model} now; try again shortly.", retry_after_s=5
        )

    def failed(self, error: BaseException) -> None:
        """What an engine began to answer can't be used; told to the caller if no other engine does better."""
        said = error if isinstance(error, UpstreamError) else "its answer can't be read"
        self._note(CallError(502, "engine_failed", f"The engine failed: {said}."))

    def _note(self, error: CallError) -> None:
        """What the caller is told if no other engine does better: the last refusal, and the soonest time of any."""
        waits = [wait_s for wait_s in (self._last and self._last.retry_after_s, error.retry_after_s) if wait_s]
        error.retry_after_s = min(waits, default=None)
        self._last = error

    def _turn(self) -> tuple[UUID, int]:
        org_id: UUID = self._call.caller.org_id
        return org_id, self._dispatcher.weights.of(org_id)

    def _route(self) -> Target | None:
        call = self._call
        return self._dispatcher.compute.route(
            call.parsed.model,
            data_class=call.caller.data_class,
            exclude=frozenset(self._excluded),
            needs=call.parsed.needs,
            prompt_tokens=call.parsed.text_bytes // BYTES_PER_TOKEN,
        )

    async def _try(self, target: Target, call: Call, connection: Connection | None) -> Exchange | None:
        try:
            if connection is not None:
                await connection.head(call.seconds_left())
            else:
                supposed = self._supposed.get(target.engine_id, frozenset())
                body = upstream_body(call.parsed, target, call.admission.max_tokens, supposed)
                connection = await self._dispatcher.send(target, call.parsed, body, call.seconds_left())
        except UpstreamError as error:
            log.warning("engine unreachable", engine=target.engine_name, error=str(error)[:200])
            if connection is not None:
                connection.close()
            target.release(False, None, 0)
            self._note(CallError(504 if error.timed_out else 502, "engine_failed", f"The engine failed: {error}."))
            return None
        except BaseException:
            target.release(True, None, 0)
            raise
        exchange = Exchange(self._dispatcher, target, connection, self._count)
        if connection.status == 200:
            for feature in self._supposed.get(target.engine_id, ()):
                target.found(feature)
            return exchange
        with exchange:
            await self._refused(exchange)
        return None

    async def _refused(self, exchange: Exchange) -> None:
        """The engine answered with an error: the caller's fault is told to the caller, others try the next engine."""
        status = exchange.connection.status
        try:
            body = await exchange.connection.body(10.0, ERROR_BODY_MAX_BYTES)
        except (UpstreamError, TimeoutError):
            body = b""
        asked_s = wait_of(exchange.connection) if status in MAY_NAME_A_TIME else None
        wait_s = None if asked_s is None else exchange.target.state.rest(asked_s)
        message, code = read_error(body)
        if status in CALLERS_FAULT or (status == 500 and any(words in message.lower() for words in SAID_WITH_500)):
            exchange.succeeded(0.0)
            if self._asks_otherwise(exchange.target, body):
                return
            refusal = engine_refusal(message, code)
            if refusal.code == "context_length_exceeded":
                refusal = await self._too_long(exchange.target) or refusal
            raise refusal
        exchange.failed(UpstreamError(f"status {status}"))  # its message may quote the prompt, and is for no log
        if status == 429 or wait_s is not None:
            text = "The engine is busy; try again shortly."
            self._note(CallError(429, "engine_busy", text, retry_after_s=wait_s or BUSY_S))
        else:
            self._note(CallError(502, "engine_failed", f"The engine answered with status {status}."))

    def _asks_otherwise(self, target: Target, said: bytes) -> bool:
        """Whether an engine that refused is asked again, once for each field that it names: a stream without
        `stream_options`, a bound by its newer name, pictures without `response_format`.

        The words may be the caller's, quoted. That it answers what it is asked otherwise is what shows that it meant
        them.
        """
        parsed, before = self._call.parsed, self._supposed.get(target.engine_id, frozenset())
        named: set[str] = set()
        if parsed.stream and STREAM_OPTIONS.encode() in said:
            named.add(NO_STREAM_OPTIONS)
        if parsed.path == CHAT_PATH and BOUND.encode() in said:
            named.add(BOUND)
        if parsed.pictures is not None and RESPONSE_FORMAT.encode() in said:
            named.add(NO_RESPONSE_FORMAT)
        news = frozenset(one for one in named if not target.has(one)) - before
        if not news:
            return False
        self._supposed[target.engine_id] = before | news
        self._excluded.discard(target.engine_id)
        self._count -= 1
        return True

    async def _too_long(self, target: Target) -> TooLong | None:
        """By how much a prompt that an engine refused is too long; None where that can't be counted."""
        parsed = self._call.parsed
        model = self._dispatcher.compute.model(parsed.model)
        prompt = await self._dispatcher.count_prompt(target, parsed)
        answer = parsed.max_tokens or 0
        if model is None or prompt is None or prompt + answer <= model.context_tokens:
            return None
        return TooLong(prompt, answer, model.context_tokens)


def wait_of(connection: Connection) -> float | None:
    """Seconds after which an engine says to ask it again, as `retry-after` of RFC 9110: whole seconds, or a date.

    A date counts from its own clock where it tells it; one that is past means now. None where it says nothing readable.
    """
    said = (connection.header(b"retry-after") or b"").strip()
    if said.isdigit():
        return float(said[:SECONDS_DIGITS])
    if (until := _date(said)) is None:
        return None
    now = _date(connection.header(b"date") or b"") or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(said: bytes) -> datetime | None:
    try:
        found = parsedate_to_datetime(said.decode("latin-1"))
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def read_error(body: bytes) -> tuple[str, str]:
    """(message, type or code) of an engine's error body, bounded; empty where there is none.

    vLLM and SGLang have written it without the object around it, FastAPI writes a `detail`.
    """
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    error = said.get("error", said) if isinstance(said, dict) else None
    if isinstance(error, str):
        return error[:500], ""
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or ""
        return str(message)[:500], str(error.get("type") or error.get("code") or "")[:100]
    return "", ""


def reported(error: msgspec.Raw) -> Exception:
    """What an engine says in the place of an answer, its status 200 being out: a refusal of the request (CallError), as
    SGLang streams it and OpenRouter writes it, or that it failed (UpstreamError)."""
    message, kind = read_error(bytes(error))
    try:
        code = _numbered.decode(error).code
    except msgspec.MsgspecError:
        code = None
    if code in CALLERS_FAULT:
        return engine_refusal(message, kind)
    return UpstreamError("the engine reported an error in the place of an answer")


def engine_refusal(message: str, code: str) -> CallError:
    """A refusal by the engine as the protocol's own 400."""
    before, too_large, _ = message.partition(" is too large to process")
    if too_large:
        return CallError(400, "context_length_exceeded", f"The {before} is longer than the model reads at once.")
    if "context" in code or "context" in message.lower():
        return CallError(
            400, "context_length_exceeded", message or "The prompt does not fit the model's context.", param="messages"
        )
    return CallError(400, "invalid_request", message or "The engine refused the request.")
