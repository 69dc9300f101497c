"""Why an engine can't be reached is told by what happened on the wire, with what to do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from shanhe.compute.discovery import discover
from shanhe.compute.errors import EngineFailed
from shanhe.compute.trouble import HUNG_UP, NO_NAME, NO_TLS, NOBODY, OTHER_NAME, SILENT, UNTRUSTED, Why, why
from stage.certificates import made


@contextlib.asynccontextmanager
async def listening(shown: tuple[Path, Path] | None) -> AsyncIterator[int]:
    """A port that speaks TLS with a certificate, or none and answers in plain text."""
    context = None
    if shown is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*shown)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if context is None and await reader.read(65_536):
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def told(url: str) -> str:
    with pytest.raises(EngineFailed) as found:
        await discover(url)
    assert found.value.hint_zh
    return found.value.hint


class TestReason:
    async def test_is_that_nobody_listens(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            assert await told(f"http://127.0.0.1:{taken.getsockname()[1]}/v1") == NOBODY.hint

    async def test_is_a_certificate_that_nobody_here_trusts(self, tmp_path: Path) -> None:
        async with listening(made(tmp_path)) as port:
            assert await told(f"https://localhost:{port}/v1") == UNTRUSTED.hint

    @pytest.mark.parametrize(("host", "days"), [("127.0.0.1", 30), ("localhost", -10)])
    async def test_is_a_trusted_certificate_of_another_name_or_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, days: int
    ) -> None:
        shown = made(tmp_path, days)
        monkeypatch.setattr("shanhe.compute.discovery.authorities", lambda: ssl.create_default_context(cafile=shown[0]))
        async with listening(shown) as port:
            assert await told(f"https://{host}:{port}/v1") == OTHER_NAME.hint

    async def test_is_that_one_side_speaks_tls_and_the_other_does_not(self, tmp_path: Path) -> None:
        async with listening(None) as port:
            assert await told(f"https://127.0.0.1:{port}/v1") == NO_TLS.hint
        async with listening(made(tmp_path)) as port:
            assert await told(f"http://127.0.0.1:{port}/v1") == HUNG_UP.hint

    @pytest.mark.parametrize(
        ("cause", "reason"),
        [
            (socket.gaierror(-2, "Name or service not known"), NO_NAME),
            (ssl.SSLError(1, "wrong version number"), NO_TLS),
            (ExceptionGroup("all failed", [ConnectionRefusedError()]), NOBODY),
        ],
    )
    def test_is_found_behind_what_the_client_raises(self, cause: Exception, reason: Why) -> None:
        outer = httpx.ConnectError("All connection attempts failed")
        outer.__cause__ = OSError("connect")
        outer.__cause__.__cause__ = cause
        assert why(outer) is reason

    def test_is_silence(self) -> None:
        assert why(httpx.ConnectTimeout("")) is SILENT

    def test_is_what_the_error_says_where_nothing_else_is_known(self) -> None:
        assert why(ValueError("odd")).en == "odd"
        assert why(ValueError()).en == "ValueError"
