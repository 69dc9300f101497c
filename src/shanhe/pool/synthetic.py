"""A rate-limited synthetic engine with a will of its own: for tests and the bench of the pool, never for people.

`python -m shanhe.pool.synthetic --port N [--prefill-tps N] [--decode-tps N] [--slots N] [--weights W] [--cheat KIND]
[--drift-bps N]`

A token is a word of ten signs. Answers are a function of weights and prompt alone, as a greedy model's are; two engines
with the same weights agree, save for the share of answers that `--drift-bps` says (as rounding on other chips does).

| cheat | what it does |
|---|---|
| inflate | claims half as many tokens again |
| smaller | answers with other weights |
| replay | repeats one of its first three answers |
| refuse | says that it can't answer to prompts of more than 200 bytes |
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

WORD_SIGNS: Final = 9
REFUSAL: Final = "抱歉，这个问题我暂时无法回答。"
HARD_BYTES: Final = 200
STEP_S: Final = 0.02
BODY_MAX_BYTES: Final = 32 * 1024 * 1024
TOKENS_MAX: Final = 64
CHEATS: Final = ("", "inflate", "smaller", "replay", "refuse")


@dataclass
class Character:
    """How an engine behaves. `share_bps`: how many of its calls it cheats in."""

    prefill_tps: float = 100_000.0
    decode_tps: float = 10_000.0
    slots: int = 8
    weights: str = "w"
    cheat: str = ""
    share_bps: int = 10_000
    drift_bps: int = 0
    calls: int = 0
    answers: list[str] = field(default_factory=list)


def words_of(weights: str, prompt: str, count: int) -> list[str]:
    """What greedy decoding yields: a chain of hashes, so that a prefix of the answer is an answer of fewer tokens."""
    state = hashlib.blake2b(f"{weights}\n{prompt}".encode(), digest_size=16).digest()
    words = []
    for _ in range(count):
        state = hashlib.blake2b(state, digest_size=16).digest()
        words.append(state.hex()[:WORD_SIGNS])
    return words


def tokens_of(text: str) -> int:
    """The engine's own tokenizer."""
    return len(text.split())


class Engine:
    """The server. `character` may be changed while it runs."""

    def __init__(self, character: Character | None = None) -> None:
        self.character = character or Character()
        self._slots = asyncio.Semaphore(self.character.slots)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; the base URL."""
        self._server = await asyncio.start_server(self._serve, host, port)
        return f"http://{host}:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        size = int(line.partition(b":")[2])
                if size > BODY_MAX_BYTES:
                    break
                body = await reader.readexactly(size)
                await self._answer(head.split(b" ", 2)[1].decode(), json.loads(body) if body else {}, writer)
        writer.close()

    async def _answer(self, path: str, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if path.endswith("/tokenize"):
            await _json(writer, {"count": tokens_of(str(asked.get("prompt", "")))})
            return
        if not path.endswith("/chat/completions"):
            await _json(writer, {"object": "list", "data": []})
            return
        prompt = "\n".join(str(message.get("content", "")) for message in asked["messages"])
        text = self._text(prompt, min(TOKENS_MAX, int(asked.get("max_tokens") or TOKENS_MAX)))
        async with self._slots:
            await asyncio.sleep(max(1, len(prompt.encode()) // 4) / self.character.prefill_tps)
            usage = self._usage(prompt, text)
            if asked.get("stream"):
                await self._stream(text, usage, writer)
                return
            await asyncio.sleep(tokens_of(text) / self.character.decode_tps)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        await _json(writer, {"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage})

    def _text(self, prompt: str, count: int) -> str:
        character = self.character
        character.calls += 1
        mark = hashlib.blake2b(f"{prompt}{character.calls}".encode(), digest_size=4).digest()
        number = int.from_bytes(mark)
        weights = character.weights
        if number % 10_000 < character.drift_bps:
            weights += " drifted"
        cheats = character.cheat if number // 10_000 % 10_000 < character.share_bps else ""
        if cheats == "refuse" and len(prompt.encode()) > HARD_BYTES:
            return REFUSAL
        if cheats == "smaller":
            weights += " smaller"
        text = " ".join(words_of(weights, prompt, count))
        if len(character.answers) < 3:
            character.answers.append(text)
        return character.answers[number % 3] if cheats == "replay" and len(character.answers) == 3 else text

    def _usage(self, prompt: str, text: str) -> dict[str, int]:
        count = tokens_of(text)
        claimed = count * 3 // 2 + 1 if self.character.cheat == "inflate" else count
        asked = max(1, len(prompt.encode()) // 4)
        return {"prompt_tokens": asked, "completion_tokens": claimed, "total_tokens": asked + claimed}

    async def _stream(self, text: str, usage: dict[str, int], writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )  # fmt: skip
        words = text.split(" ")
        step = max(1, round(self.character.decode_tps * STEP_S))
        for at in range(0, len(words), step):
            part = words[at : at + step]
            if at:
                await asyncio.sleep(len(part) / self.character.decode_tps)
            for number, word in enumerate(part, at):
                _event(writer, {"index": 0, "delta": {"content": word if number == 0 else f" {word}"}})
            await writer.drain()
        _event(writer, {"index": 0, "delta": {}, "finish_reason": "stop"})
        _write(writer, {"choices": [], "usage": usage})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()


def _event(writer: asyncio.StreamWriter, choice: dict[str, Any]) -> None:
    _write(writer, {"id": "c", "object": "chat.completion.chunk", "choices": [choice]})


def _write(writer: asyncio.StreamWriter, event: dict[str, Any]) -> None:
    data = b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


async def _json(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
    data = json.dumps(body, ensure_ascii=False).encode()
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)
    )
    await writer.drain()


async def _run(given: argparse.Namespace) -> None:
    character = Character(
        given.prefill_tps, given.decode_tps, given.slots, given.weights, given.cheat, drift_bps=given.drift_bps
    )
    engine = Engine(character)
    print(await engine.start(port=given.port), flush=True)  # noqa: T201 - whoever started it reads the address
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="shanhe.pool.synthetic")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--prefill-tps", type=float, default=100_000.0)
    parser.add_argument("--decode-tps", type=float, default=10_000.0)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--weights", default="w")
    parser.add_argument("--cheat", choices=CHEATS, default="")
    parser.add_argument("--drift-bps", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
