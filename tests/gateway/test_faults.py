"""Engines, clients and the database fail in every way at once: nobody pays for what was not had, and nothing is left.

Seeded rounds of calls through every protocol. Each round ends with the question that an auditor would ask: does what
was charged equal what stands in the books, is it what was delivered, and is anything still set aside for anybody?
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from uuid import UUID

import pytest
import pytest_asyncio

from shanhe.gateway import returns, settlement
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger import counters, holding, leases, posting, service, settling
from shanhe.ledger.commit import ConnectionLost, Line
from shanhe.ledger.errors import LedgerFull

from .conftest import TOKEN, Desk, target_for
from .engine import DONE, Script, chunk, raw, stream, usage_chunk, whole
from .test_rerank import vectors
from .test_scenes import png, says, wav

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUNDS: Final = 14
CALLS: Final = 5
FUNDS: Final = 3_000_000
"""Little enough that some calls go by holds."""
WORDS: Final = ("山河 ", "there, ", "how ", "are ", "you?")
LIE: Final = {"prompt_tokens": 10**9, "completion_tokens": 10**9, "total_tokens": 2 * 10**9}
CHAT: Final = {"model": "syn", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 64}
SOUND: Final = wav(1)
FORM: Final = (
    b'--xx\r\nContent-Disposition: form-data; name="model"\r\n\r\nsyn\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + SOUND + b"\r\n--xx--\r\n"
)
ROW: Final = {"mean": [5.0, 6.0], "intervals": {"80": {"low": [4, 5], "high": [6, 7]}}}
FACES: Final[dict[str, tuple[str, Any, Script]]] = {
    "/v1/chat/completions": ("chat", CHAT, whole()),
    "/v1/completions": ("chat", {"model": "syn", "prompt": "Once", "max_tokens": 9}, says({
        "choices": [{"index": 0, "text": " upon", "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}})),
    "/v1/responses": ("chat", {"model": "syn", "input": "Say hello.", "max_output_tokens": 64}, whole()),
    "/v1/messages": ("chat", CHAT, whole()),
    "/v1/embeddings": ("embedding", {"model": "syn", "input": "水位"}, vectors([1, 0])),
    "/v1/rerank": ("embedding", {"model": "syn", "query": "a", "documents": ["b", "c"]},
                   vectors([1, 0], [0, 1], [1, 1])),
    "/v1/ocr": ("ocr", {"model": "syn", "image": png(280, 100)}, says({"lines": [], "text": "x"})),
    "/v1/forecast": ("forecast", {"model": "syn", "series": [[1, 2, 3]], "horizon": 2, "levels": [80]},
                     says({"forecasts": [ROW]})),
    "/v1/images/generations": ("image", {"model": "syn", "prompt": "水库"},
                               says({"data": [{"b64_json": png(2, 2)}]})),
    "/v1/audio/speech": ("speech", {"model": "syn", "input": "好的"}, raw(200, b"RIFF", "audio/wav")),
    "/v1/audio/transcriptions": ("transcription", FORM, says({"text": "x", "usage": {"seconds": 1.0}})),
}  # fmt: skip
STREAMED: Final = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")


def hang_up(_: Any, writer: asyncio.StreamWriter) -> Any:
    writer.transport.abort()
    return asyncio.sleep(0)


def half(_: Any, writer: asyncio.StreamWriter) -> Any:
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"choices": [')
    return hang_up(_, writer)


def twice(script: Script) -> Script:
    """Its answer, and another one that nobody asked for, in one piece."""

    async def answer(asked: Any, writer: Any) -> None:
        kept = Kept()
        await script(asked, kept)
        writer.write(kept.data + kept.data[: len(kept.data) * 2 // 3])

    return answer


class Kept:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


BAD: Final[tuple[Script, ...]] = (
    hang_up, half, raw(500, b"{}"), raw(429, b"{}"), raw(400, b'{"error":{"message":"no"}}'), raw(200, b"no JSON"),
    raw(200, b"[]"), raw(200, b'{"choices":[]}'), raw(200, b'{"choices":[{"message":{"content":5}}]}'), raw(200, b""),
    raw(503, b"<html>"), raw(200, b'{"choices":[{"index":0,"message":null,"finish_reason":"stop"}],"data":[null]}'),
)  # fmt: skip


def words(dice: random.Random) -> list[bytes]:
    return [chunk(word) for word in WORDS[: dice.randint(1, len(WORDS))]]


def streams(dice: random.Random) -> Script:
    """A stream that ends well, oddly, or not."""
    said = words(dice)
    usage = usage_chunk(9, len(said))
    end = [chunk(finish="stop"), usage, DONE]
    return dice.choice([
        stream(*said, *end), stream(*said, *end, pause_s=0.01), stream(*said, chunk(finish="length"), DONE),
        stream(*said, cut=True), stream(*said, chunk(finish="stop"), cut=True), stream(*said, hang=True),
        stream(*said, b'data: {"error":{"message":"boom"}}\n\n'), stream(*said, b"data: {nonsense\n\n", *end),
        stream(*said, b'data: {"choices":[{"delta":null}]}\n\n', b": ping\n\n", b"data: {}\n\n", *end),
        stream(*said, b'data: {"choices":[{"delta":{"tool_calls":[{"function":null}]}}]}\n\n', *end),
        stream(*said, chunk(finish="stop"), usage_chunk(10**9, 10**9), DONE), stream(*said), stream(DONE), stream(),
        stream(*said, chunk(finish="stop"), usage_chunk(-1, -1), DONE), stream(*end),
    ])  # fmt: skip


class Away:
    """The database as the gateway meets it: `plan` says what becomes of the next questions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dice: random.Random) -> None:
        self.kind, self.skip, self.count, self.lost = "", 0, 0, False
        real = Line.fetch

        async def fetch(line: Line, query: str, *args: Any) -> list[Any]:
            kind = self._turn()
            if kind == "away":
                raise ConnectionLost("away", sent=False)
            if kind == "silent":  # it never heard, and nobody knows
                self.lost = True
                raise ConnectionLost("silent")
            if kind == "full":
                raise LedgerFull
            found = await real(line, query, *args)
            if kind == "deaf":
                self.lost = True
                raise ConnectionLost("its answer was lost")
            return found

        monkeypatch.setattr(Line, "fetch", fetch)
        for name in ("fetch", "fetchrow", "fetchval", "execute"):
            monkeypatch.setattr(Database, name, self._pooled(getattr(Database, name)))
        self._dice = dice

    def _turn(self) -> str:
        if not self.kind:
            return ""
        if self.skip:
            self.skip -= 1
            return ""
        self.count -= 1
        kind = self.kind
        if self.count <= 0:
            self.kind = ""
        return kind

    def _pooled(self, real: Callable[..., Any]) -> Callable[..., Any]:
        async def ask(database: Database, *some: Any) -> Any:
            if self.kind in ("away", "silent") and not self.skip:
                self._turn()
                raise OSError("away")
            return await real(database, *some)

        return ask

    def goes(self) -> None:
        self.kind = self._dice.choice(["", "away", "silent", "deaf", "full"])
        self.lost = False
        self.skip, self.count = self._dice.randint(0, 6), self._dice.choice([1, 1, 2, 5, 60])

    def comes_back(self) -> None:
        self.kind = ""


class Made:
    """One call as its client saw it."""

    def __init__(self, path: str, streamed: bool) -> None:
        self.path, self.streamed = path, streamed
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.left = False
        self.before: Made | None = None

    @property
    def finished(self) -> bool:
        if not self.streamed:
            return self.status == 200
        return any(mark in self.body for mark in (b"[DONE]", b"message_stop", b'"response.completed"', b"incomplete"))

    async def make(self, desk: Desk, dice: random.Random) -> None:
        asked = FACES[self.path][1]
        body = asked if isinstance(asked, bytes) else json.dumps({**asked, "stream": self.streamed}).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {len(body)}"
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
        sent = f"{head}\r\n\r\n".encode() + body
        leaves = dice.choice(["", "", "", "half", "sent", "head", "some"])
        try:
            async with asyncio.timeout(15):
                if not self.streamed and dice.random() < 0.5:  # the second request of a connection goes the short way
                    self.before = Made(self.path, False)
                    writer.write(sent)
                    await self.before.read(reader, "")
                writer.write(sent[: -len(body) // 2] if leaves == "half" else sent)
                if leaves in ("half", "sent"):
                    self.left = True
                    await asyncio.sleep(dice.choice([0, 0.005, 0.02]))
                else:
                    await self.read(reader, leaves)
        finally:
            writer.transport.abort()

    async def read(self, reader: asyncio.StreamReader, leaves: str) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        if leaves == "head":
            self.left = True
        elif "content-length" in self.headers:
            self.body = await reader.readexactly(int(self.headers["content-length"]))
        else:
            await self._events(reader, 2 if leaves == "some" else 10**6)

    async def _events(self, reader: asyncio.StreamReader, most: int) -> None:
        for _ in range(most):
            size = int((await reader.readuntil(b"\r\n")).strip() or b"0", 16)
            self.body += (await reader.readexactly(size + 2))[:-2]
            if not size:
                return
        self.left = True

    def error_is_typed(self) -> None:
        """Every refusal speaks its face's protocol."""
        if self.left or self.finished:
            return
        if not self.streamed or self.status != 200:
            told = json.loads(self.body)
        else:
            events = [line for line in self.body.split(b"\n") if line.startswith(b"data: ")]
            told = json.loads(events[-1].removeprefix(b"data: "))
        if self.path == "/v1/messages":
            assert (told["type"], set(told["error"]) >= {"type", "message"}) == ("error", True), told
        elif self.path == "/v1/responses" and self.status == 200:
            assert (told["type"], bool(told["code"])) == ("error", True), told
        else:
            assert set(told["error"]) == {"message", "type", "param", "code"}, told
        assert b"internal_error" not in self.body, self.body


@pytest_asyncio.fixture(loop_scope="module")
async def torn(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """The desk with little money, two engines, a budget, and short waits."""
    desk.org = new_id()
    desk.keys.known[TOKEN] = desk.caller(budget_month_micro=10**12)
    await desk.fund(FUNDS)
    for room, name, value in (
        (settlement, "RETRY_WAIT_S", 0.01), (settlement, "RETRY_MOST_S", 0.02), (returns, "RETRY_FIRST_S", 0.005),
        (returns, "RETRY_MOST_S", 0.02), (returns, "UNKNOWN_TRIES", 5), (holding, "LOST_LIMIT_S", 0.1),
        (leases, "LOST_LIMIT_S", 0.1), (service, "LOST_LIMIT_S", 0.1), (posting, "LOST_LIMIT_S", 0.1),
        (leases, "RETRY_WAIT_S", 0.005), (holding, "RETRY_WAIT_S", 0.005), (settling, "RETRY_WAIT_S", 0.005),
        (posting, "RETRY_WAIT_S", 0.005), (leases, "DIRECT_FOR_S", 0.01), (counters, "REFUSED_FOR_S", 0.01),
        (service, "FULL_FOR_S", 0.02),
    ):  # fmt: skip
        monkeypatch.setattr(room, name, value)
    yield desk


class Audit:
    """What must be true once everybody has left and the database is back."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.ledger = desk, desk.ledger

    async def quiet(self) -> None:
        gateway = self.desk.gateway
        await self.desk.idle()
        async with asyncio.timeout(20):
            while waiting := {*gateway._settler._open, *gateway._returns._tasks}:
                await asyncio.wait(waiting)
        assert not gateway._express.flights
        assert gateway._returns._slate is not None
        assert gateway._returns._slate.open() == []
        for target in self.desk.engines.targets:
            assert (target.state.in_flight, target.state.waiting) == (0, 0)
        for idle in gateway._pool._idle.values():
            assert all(connection.reusable for connection in idle)

    async def given_back(self) -> None:
        """Nothing is set aside once leases, which nobody can hold longer, have run out."""
        async with asyncio.timeout(20):
            while self.ledger._loose:  # a tenth of a second is not enough for a database that others keep busy
                await self.ledger._void_loose()
        await self.ledger._book.housekeep()
        await self.ledger._book.stop()
        self.ledger._clock.advance(seconds=31)  # type: ignore[attr-defined]
        await self.ledger.sweep()
        wallet = await self.ledger.ensure_account(self.desk.org, "credit", "wallet")  # type: ignore[arg-type]
        assert (await self.ledger.balance(wallet.id)).held == 0

    async def standing(self) -> dict[UUID, int]:
        """Calls that were charged and not given back, with their µ."""
        rows = await self.desk.gateway.charges._db.fetch(
            "SELECT p.id, sum(t.amount)::bigint AS micro FROM ledger.posting p"
            " JOIN ledger.transfer t ON t.posting = p.id JOIN ledger.account a ON a.id = t.debit"
            " WHERE p.kind = 'call' AND a.owner = $1"
            " AND NOT EXISTS (SELECT FROM ledger.posting r WHERE r.reverses = p.id) GROUP BY 1", self.desk.org,
        )  # fmt: skip
        return {row["id"]: row["micro"] for row in rows}

    async def budget(self) -> int:
        await self.ledger._counters.housekeep(everything=True)
        scope = self.desk.keys.known[TOKEN].limit_scope
        return int(await self.desk.gateway.charges._db.fetchval(
            "SELECT coalesce(sum(used), 0) FROM ledger.counter WHERE scope = $1", scope
        ))  # fmt: skip


class TestEverything:
    @pytest.mark.parametrize("seed", range(8))
    async def test_may_fail_and_nobody_pays_for_what_was_not_had(
        self, torn: Desk, monkeypatch: pytest.MonkeyPatch, seed: int
    ) -> None:
        dice = random.Random(seed)
        database, audit = Away(monkeypatch, dice), Audit(torn)
        for _ in range(ROUNDS):
            await self.round(torn, database, audit, dice)

    async def round(self, desk: Desk, database: Away, audit: Audit, dice: random.Random) -> None:
        desk.engines.targets = tuple(
            target_for(engine, name, contributor=new_id(), idle_ms=100)
            for engine, name in ((desk.engine, "first"), (desk.second, "second"))
        )
        desk.engine.decode = desk.second.decode = lambda data: None
        path = dice.choice(list(FACES))
        desk.engines.kind, _, good = FACES[path]
        streamed = path in STREAMED and dice.random() < 0.5
        for engine in (desk.engine, desk.second):
            engine.default = stream(*words(dice), chunk(finish="stop"), usage_chunk(9, 2), DONE) if streamed else good
            bad = [streams(dice) if streamed and dice.random() < 0.7 else dice.choice(BAD) for _ in range(CALLS)]
            odd = [twice(good), whole(usage=LIE), whole(usage=None), whole(usage={"prompt_tokens": -1}), good, good]
            engine.scripts = [dice.choice([one, dice.choice(odd), engine.default]) for one in bad]
        desk.keys.known[TOKEN] = desk.caller(budget_month_micro=10**12)
        before, known = await desk.balance(), await audit.standing()
        database.goes()
        calls = [Made(path, streamed) for _ in range(CALLS)]
        ended = await asyncio.gather(*(call.make(desk, dice) for call in calls), return_exceptions=True)
        database.comes_back()
        assert not [error for error in ended if error is not None], ended
        await audit.quiet()
        await audit.given_back()
        charged = {receipt: micro for receipt, micro in (await audit.standing()).items() if receipt not in known}
        assert before - await desk.balance() == sum(charged.values())
        calls += [call.before for call in calls if call.before is not None]
        assert len(charged) <= len(calls)
        spent, counted = sum(charged.values()), await audit.budget()
        assert counted >= spent if database.lost else counted == spent  # what isn't known counts as used
        for call in calls:
            call.error_is_typed()
            await self.look(desk, call, charged)
        assert (await desk.ledger.verify()).findings == ()

    async def look(self, desk: Desk, call: Made, charged: dict[UUID, int]) -> None:
        name = call.headers.get("x-shanhe-receipt")
        receipt = UUID(name) if name else None
        if call.finished:
            assert receipt in charged, call.body
        elif not call.streamed and call.status != 200 and not call.left:
            assert UUID(call.headers["x-request-id"]) not in charged, call.body
        if receipt in charged:
            found = await desk.gateway.receipt(receipt, desk.org)
            assert found.amount_micro == charged[receipt] <= found.evidence.held_micro
            if found.evidence.status == "broken":
                assert found.evidence.buckets.prompt == 0
            if call.streamed and not call.left:
                assert found.evidence.buckets.completion <= len(call.body)
