"""The engine client against real sockets: framing, reuse, and engines that misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shanhe.gateway.client import Connection, Endpoint, Pool, UpstreamError
from shanhe.kernel.calling import authorities

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def engine(path: Path, handler: Handler) -> AsyncIterator[Endpoint]:
    server = await asyncio.start_unix_server(handler, str(path / "s"))
    try:
        yield Endpoint(uds=str(path / "s"))
    finally:
        server.close()


def answering(*pieces: bytes, pause_s: float = 0.0, close: bool = False) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
            if close:
                break
        writer.close()

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return quiet


async def body_of(connection: Connection) -> bytes:
    return await connection.body(5.0, 1_000_000)


class TestAnswer:
    @pytest.mark.parametrize(
        ("begins", "goes_on"),
        [
            (b"HTTP/1.1 200 OK\r\nx: ", b"a" * 4096),
            (b"HTTP/1.1 200 ", b"a" * 4096),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1;x=", b"a" * 4096),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ", b"a" * 4096),
        ],
        ids=["a header", "a status", "interim answers", "a chunk's extension", "a trailer"],
    )
    async def test_whose_frame_never_ends_is_not_kept(self, tmp_path: Path, begins: bytes, goes_on: bytes) -> None:
        """The parser copies an unfinished line with each piece: all other calls of the process would wait."""
        async with engine(tmp_path, answering(begins, *[goes_on] * 64, pause_s=0.0)) as endpoint:
            with pytest.raises(UpstreamError, match="head is larger"):
                await body_of(await Pool().exchange(endpoint, REQUEST, timeout_s=30))

    async def test_with_more_behind_it_is_read_and_the_rest_is_nobodys(self, tmp_path: Path) -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
        pool = Pool()
        async with engine(tmp_path, answering(answer + answer[:-2])) as endpoint:
            for _ in range(2):
                connection = await pool.exchange(endpoint, REQUEST, timeout_s=5)
                assert await body_of(connection) == b"hello"
                assert not connection.reusable
                pool.give_back(connection)

    async def test_with_a_length_is_read_and_the_connection_reused(self, tmp_path: Path) -> None:
        pool = Pool()
        async with engine(tmp_path, answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel", b"lo")) as endpoint:
            first = await pool.exchange(endpoint, REQUEST, timeout_s=5)
            assert await body_of(first) == b"hello"
            pool.give_back(first)
            second = await pool.exchange(endpoint, REQUEST, timeout_s=5)
            assert await body_of(second) == b"hello"
            assert second is first
            pool.give_back(second)
            pool.close()

    async def test_in_chunks_is_joined(self, tmp_path: Path) -> None:
        pieces = (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")
        async with engine(tmp_path, answering(*pieces)) as endpoint:
            connection = await Pool().exchange(endpoint, REQUEST, timeout_s=5)
            assert await body_of(connection) == b"abcde"
            assert connection.reusable
            connection.close()

    async def test_without_framing_ends_with_the_connection(self, tmp_path: Path) -> None:
        async with engine(tmp_path, answering(b"HTTP/1.1 200 OK\r\n\r\nall", close=True)) as endpoint:
            connection = await Pool().exchange(endpoint, REQUEST, timeout_s=5)
            assert await body_of(connection) == b"all"
            assert not connection.reusable

    async def test_larger_than_allowed_is_refused(self, tmp_path: Path) -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 3_000_000
        async with engine(tmp_path, answering(answer)) as endpoint:
            connection = await Pool().exchange(endpoint, REQUEST, timeout_s=5)
            with pytest.raises(UpstreamError, match="larger"):
                await body_of(connection)
            connection.close()


class TestFault:
    async def test_a_silent_engine_times_out(self, tmp_path: Path) -> None:
        async with engine(tmp_path, answering(pause_s=1)) as endpoint:
            with pytest.raises(UpstreamError) as caught:
                await Pool().exchange(endpoint, REQUEST, timeout_s=0.05)
            assert caught.value.timed_out

    async def test_a_connection_cut_inside_the_body_is_an_error(self, tmp_path: Path) -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"
        async with engine(tmp_path, answering(answer, close=True)) as endpoint:
            connection = await Pool().exchange(endpoint, REQUEST, timeout_s=5)
            with pytest.raises(UpstreamError):
                await body_of(connection)

    async def test_nonsense_is_an_error(self, tmp_path: Path) -> None:
        async with engine(tmp_path, answering(b"220 smtp ready\r\n")) as endpoint:
            with pytest.raises(UpstreamError):
                await Pool().exchange(endpoint, REQUEST, timeout_s=5)

    async def test_nobody_listening_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UpstreamError):
            await Pool().exchange(Endpoint(uds=str(tmp_path / "none")), REQUEST, timeout_s=5)

    async def test_a_kept_connection_closed_by_the_engine_is_replaced(self, tmp_path: Path) -> None:
        pool = Pool()
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        async with engine(tmp_path, answering(answer, close=True)) as endpoint:
            for _ in range(3):
                connection = await pool.exchange(endpoint, REQUEST, timeout_s=5)
                assert await body_of(connection) == b"ok"
                pool.give_back(connection)
        pool.close()

    @pytest.fixture
    def unloaded(self) -> Iterator[None]:
        """A process that has asked for nobody's authorities yet, and forgets those of the test."""
        authorities.cache_clear()
        yield
        authorities.cache_clear()

    @pytest.mark.usefixtures("unloaded")
    async def test_whose_certificate_nobody_vouches_for_is_an_error_and_authorities_are_loaded_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loaded: list[ssl.SSLContext] = []

        def load() -> ssl.SSLContext:
            loaded.append(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
            return loaded[-1]

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            writer.close()

        monkeypatch.setattr(ssl, "create_default_context", load)
        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        pool, port = Pool(), server.sockets[0].getsockname()[1]
        async with server:
            for _ in range(2):
                with pytest.raises(UpstreamError):
                    await pool.exchange(Endpoint(host="127.0.0.1", port=port, tls=True), REQUEST, timeout_s=5)
        assert len(loaded) == 1
