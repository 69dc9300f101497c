"""Traces of calls for OpenTelemetry collectors (Langfuse, Jaeger, Tempo …): off unless an operator names one.

A call is a span of the server's, with the engine's time as a span below it, under the caller's own trace where the
request names one (W3C `traceparent`). Attributes are those of the conventions for generative AI, and what the receipt
says: never a prompt, an answer, a tag or a person's name. Spans are sent by a thread of the SDK; when its bounded queue
is full, or nobody answers, they are dropped, and calls go on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from shanhe.kernel.errors import Invalid

if TYPE_CHECKING:
    from shanhe.gateway.call import Call
    from shanhe.gateway.dispatch import Exchange
    from shanhe.gateway.errors import CallError
    from shanhe.gateway.http import Client
    from shanhe.gateway.settlement import Outcome

OPERATIONS: Final = {
    "openai.chat": "chat", "openai.responses": "chat", "anthropic.messages": "chat",
    "openai.completions": "text_completion", "openai.embeddings": "embeddings",
}  # fmt: skip
"""What the conventions call a face's operation; others go by the face's own name."""
PATH: Final = "/v1/traces"
SEND_LIMIT_S: Final = 10.0
MS: Final = 1_000_000


class Traces:
    """Makes spans of calls. `tracer`: OpenTelemetry's; `provider`: what sends them."""

    def __init__(self, tracer: Any, provider: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._api = trace
        self._tracer = tracer
        self._provider = provider
        self._context = TraceContextTextMapPropagator()

    def begun(self, call: Call, client: Client) -> None:
        """Remember whose trace the call is part of."""
        call.traceparent = client.header(b"traceparent")

    def answered(self, call: Call, exchange: Exchange, outcome: Outcome) -> None:
        """A settled call."""
        target, timings, metered = exchange.target, outcome.timings, outcome.metered
        span, began = self._begin(call)
        span.set_attributes({
            "gen_ai.provider.name": str(target.kind), "gen_ai.response.model": target.upstream_model,
            "gen_ai.response.id": call.receipt, "gen_ai.request.stream": call.parsed.stream,
            "gen_ai.usage.input_tokens": metered.buckets.prompt,
            "gen_ai.usage.output_tokens": metered.buckets.completion,
            "gen_ai.usage.cache_read.input_tokens": metered.buckets.cached_input,
            "gen_ai.usage.cache_creation.input_tokens": metered.buckets.cache_write,
            "gen_ai.usage.reasoning.output_tokens": metered.buckets.reasoning,
            "gen_ai.response.time_to_first_chunk": timings.first_token_ms / 1000,
            "shanhe.receipt": call.receipt, "shanhe.amount_micro": call.paid_micro, "shanhe.status": outcome.status,
            "shanhe.engine": target.engine_name, "shanhe.attempts": exchange.attempt,
            "shanhe.usage_source": metered.source,
        })  # fmt: skip
        if outcome.finish_reason is not None:
            span.set_attribute("gen_ai.response.finish_reasons", [outcome.finish_reason])
        done = began + int(timings.engine_done_ms * MS)
        below = self._tracer.start_span(
            target.engine_name, context=self._api.set_span_in_context(span), kind=self._api.SpanKind.CLIENT,
            start_time=began + int(timings.admitted_ms * MS),
        )  # fmt: skip
        below.end(end_time=done)
        span.end()

    def refused(self, call: Call, error: CallError) -> None:
        """A call that was refused or broke off."""
        span, _ = self._begin(call)
        span.set_attributes({"error.type": error.code, "http.response.status_code": error.status})
        span.set_status(self._api.StatusCode.ERROR, error.code)
        span.end()

    def _begin(self, call: Call) -> tuple[Any, int]:
        """A span since the request arrived, and when that was, in ns."""
        began = time.time_ns() - int((perf_counter() - call.started_at) * 1e9)
        parsed = getattr(call, "parsed", None)  # what could not be read has none
        operation = OPERATIONS.get(call.face.name, call.face.name)
        attributes: dict[str, Any] = {"gen_ai.operation.name": operation}
        if parsed is not None:
            attributes["gen_ai.request.model"] = parsed.model
            if parsed.max_tokens is not None:
                attributes["gen_ai.request.max_tokens"] = parsed.max_tokens
        if call.caller is not None:
            attributes |= {"shanhe.org_id": str(call.caller.org_id), "shanhe.key_id": str(call.caller.key_id)}
        parent = getattr(call, "traceparent", None)  # what the city calls itself has none
        context = None if parent is None else self._context.extract({"traceparent": parent.decode("latin-1")})
        name = operation if parsed is None else f"{operation} {parsed.model}"
        kind = self._api.SpanKind.SERVER
        return self._tracer.start_span(name, context=context, kind=kind, start_time=began, attributes=attributes), began

    async def stop(self) -> None:
        """Send what is left, for a bounded time."""
        await asyncio.to_thread(self._provider.shutdown)


def traces_to(endpoint: str, headers: str, *, city: str, worker: str) -> Traces:
    """Traces sent to a collector by OTLP over HTTP. `headers`: `name=value` with commas between, values
    percent-encoded. Invalid where the packages aren't installed or the address can't be one.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Invalid(
            "traces_not_installed", "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry's SDK isn't installed.",
            message_zh="已设置 OTEL_EXPORTER_OTLP_ENDPOINT，但未安装 OpenTelemetry 的 SDK。",
            hint="pip install 'shanhe[traces]'", hint_zh="pip install 'shanhe[traces]'",
        ) from error  # fmt: skip
    if not endpoint.startswith(("http://", "https://")):
        raise Invalid(
            "bad_traces_endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT is no http address.",
            message_zh="OTEL_EXPORTER_OTLP_ENDPOINT 不是 http 地址。",
            hint="Like http://collector:4318.", hint_zh="例如 http://collector:4318。",
        )  # fmt: skip
    base = endpoint.rstrip("/")
    url = base if base.endswith(PATH) else base + PATH
    exporter = OTLPSpanExporter(url, headers=headers_of(headers), timeout=SEND_LIMIT_S)
    about = {"service.name": "shanhe", "service.namespace": city, "service.instance.id": worker}
    provider = TracerProvider(resource=Resource.create(about))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Traces(provider.get_tracer("shanhe.gateway"), provider)


def headers_of(text: str) -> Mapping[str, str]:
    """Headers out of the form that OpenTelemetry's variable has; what is no pair is left out."""
    pairs = (piece.partition("=") for piece in text.split(","))
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs if name.strip() and value}
