"""A call is a span: under its caller's trace, with what the receipt says and without what was said."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from shanhe.gateway.traces import Traces, headers_of, traces_to
from shanhe.kernel.errors import Invalid

from .conftest import Desk
from .engine import stream as stream_of
from .test_call import STREAM

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `traces` is not installed")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Watch:
    """A traced gateway, and the spans of its calls by name."""

    def __init__(self, desk: Desk, spans: InMemorySpanExporter) -> None:
        self.desk, self.spans = desk, spans

    async def of(self, number: int) -> list[ReadableSpan]:
        async with asyncio.timeout(20):
            while len(found := self.spans.get_finished_spans()) < number:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)
        return list(found)


@pytest_asyncio.fixture(loop_scope="module")
async def watch(desk: Desk) -> AsyncIterator[Watch]:
    provider, spans = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    desk.gateway.trace(Traces(provider.get_tracer("t"), provider))
    yield Watch(desk, spans)
    desk.gateway._metrics.traces = None


class TestSpan:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_says_what_the_receipt_says_and_nothing_that_was_said(self, watch: Watch, stream: bool) -> None:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        body = {"model": "syn", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 64}
        if stream:
            watch.desk.engine.scripts.append(stream_of(*STREAM))
        extra = {"stream": True} if stream else {"metadata": {"tags": ["secret-project"]}}
        answer = await watch.desk.http.post("/v1/chat/completions", json=body | extra, headers=headers)
        below, span = await watch.of(2)
        said = dict(span.attributes or {})
        receipt = await watch.desk.gateway.receipt(UUID(str(said["shanhe.receipt"])), watch.desk.org)
        assert span.name == "chat syn"
        assert (said["shanhe.receipt"], said["shanhe.status"]) == (answer.headers["x-shanhe-receipt"], "completed")
        assert said["shanhe.amount_micro"] == receipt.amount_micro > 0
        buckets = receipt.evidence.buckets
        assert said["gen_ai.usage.input_tokens"] == buckets.prompt
        assert said["gen_ai.usage.output_tokens"] == buckets.completion
        assert span.parent is not None
        assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
        assert below.parent is not None
        assert below.parent.span_id == span.context.span_id
        assert (span.start_time or 0) <= (below.start_time or 0) <= (below.end_time or 0) <= (span.end_time or 0)
        told = " ".join(one.to_json() for one in (span, below))
        assert "hello" not in told.lower()
        assert "secret-project" not in told

    async def test_of_a_plain_call_begins_a_trace_of_its_own(self, watch: Watch) -> None:
        await watch.desk.chat()
        _, span = await watch.of(2)
        assert span.parent is None
        assert (span.attributes or {})["shanhe.amount_micro"] > 0  # type: ignore[operator]

    @pytest.mark.parametrize(
        ("changes", "code"), [({"model": "nothing"}, "model_not_found"), ({"messages": 7}, "invalid_type")]
    )
    async def test_of_a_refused_call_names_the_reason(self, watch: Watch, changes: dict[str, Any], code: str) -> None:
        answer = await watch.desk.chat(**changes)
        (span,) = await watch.of(1)
        said = span.attributes or {}
        assert (said["error.type"], said["http.response.status_code"]) == (code, answer.status_code)
        assert span.status.status_code.name == "ERROR"


class Collector(http.server.BaseHTTPRequestHandler):
    came: list[tuple[str, str | None, bytes]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.came.append((self.path, self.headers.get("authorization"), body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def collector() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


class TestExport:
    async def test_reaches_a_collector_by_otlp(self, desk: Desk, collector: int) -> None:
        traces = traces_to(
            f"http://127.0.0.1:{collector}/otel", "authorization=Basic%20eA==", city="Qingshan", worker="w9"
        )
        desk.gateway.trace(traces)
        try:
            await desk.chat()
            await desk.idle()
        finally:
            desk.gateway._metrics.traces = None
        await traces.stop()
        ((path, authorization, body),) = Collector.came
        assert (path, authorization) == ("/otel/v1/traces", "Basic eA==")
        for part in (b"chat syn", b"shanhe.receipt", b"Qingshan", b"w9"):
            assert part in body

    async def test_is_refused_to_what_is_no_address(self) -> None:
        with pytest.raises(Invalid, match="http"):
            traces_to("collector:4318", "", city="c", worker="w")

    async def test_headers_are_read_as_opentelemetry_writes_them(self) -> None:
        assert headers_of("a=b, c=d%20e,,x") == {"a": "b", "c": "d e"}
