"""What a model file is worth: its answers to questions, its speed and its memory, served as it would be served."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from shanhe.kernel.errors import Unavailable
from shanhe.studio.gguf_check import check
from shanhe.studio.scoring import is_right
from shanhe.studio.work.surgery import Files, read_pairs

ANSWER_TOKENS: Final = 48
SLOTS: Final = 4
CONTEXT_TOKENS: Final = 512
READY_S: Final = 120.0
ANSWER_S: Final = 120.0
SPEED_RUNS: Final = 3
SPEED_ASKS: Final = "请写一篇关于车间安全的长文章。"
Tell = Callable[..., None]


def evaluate(inputs: dict[str, Path], folder: Path, parameters: dict[str, Any], tell: Tell) -> Files:
    """Ask the model every question (greedily) and judge the answers; the answers are kept."""
    check(inputs["model"])
    questions = read_pairs(inputs["questions"])
    with tempfile.TemporaryDirectory(prefix="shanhe-eval-") as short:
        socket = Path(short) / "model.sock"
        child = serving(inputs["model"], socket, folder / "engine.log", inputs.get("adapter"))
        try:
            said = asked(child, socket, questions, tell, parameters["speed_tokens"], adapted="adapter" in inputs)
            answers, tokens_s = asyncio.run(said)
            peak_mb = peak_of(child.pid)
        finally:
            child.terminate()
            child.wait(timeout=20)
    rows = [
        {**pair, "said": answer, "right": is_right(answer, pair["answer"], pair.get("wrong", ""))}
        for pair, answer in zip(questions, answers, strict=True)
    ]
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    metrics = {
        "right": sum(row["right"] for row in rows), "asked": len(rows), "tokens_s": tokens_s,
        "engine_peak_mb": peak_mb, "bytes": inputs["model"].stat().st_size,
    }  # fmt: skip
    if "adapter" in inputs:
        metrics["adapter_bytes"] = inputs["adapter"].stat().st_size
    return {"answers.jsonl": path}, metrics


def serving(model: Path, socket: Path, log: Path, adapter: Path | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "shanhe.compute.llama_child", "--model", str(model), "--socket", str(socket)]
    command += ["--alias", "subject", "--context-tokens", str(CONTEXT_TOKENS), "--slots", str(SLOTS)]
    command += ["--threads", str(os.cpu_count() or 1), "--parent", str(os.getpid())]
    command += [] if adapter is None else ["--adapter", str(adapter)]
    with log.open("wb") as said:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)


async def asked(
    child: Any, socket: Path, questions: list[dict[str, Any]], tell: Tell, speed_tokens: int, *, adapted: bool
) -> tuple[list[str], float]:
    """The answer to each question, several at a time; and the speed of one answer alone."""
    lora = {"lora": [{"id": 0, "scale": 1.0}]} if adapted else {}
    deadline = time.monotonic() + READY_S
    while not await asyncio.to_thread(socket.exists):
        if child.poll() is not None or time.monotonic() > deadline:
            raise Unavailable("model_not_served", "The model could not be served.", message_zh="模型无法启动服务。")
        await asyncio.sleep(0.1)
    slots, done = asyncio.Semaphore(SLOTS), 0
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://subject", timeout=ANSWER_S) as client:

        async def ask(question: str) -> str:
            nonlocal done
            body = {
                "model": "subject", "messages": [{"role": "user", "content": question}], "temperature": 0,
                "max_tokens": ANSWER_TOKENS, "cache_prompt": False, **lora,
            }  # fmt: skip
            async with slots:
                answer = await client.post("/v1/chat/completions", json=body)
            answer.raise_for_status()
            told = answer.json()
            done += 1
            tell(n=done, of=len(questions))
            return told["choices"][0]["message"]["content"] or ""

        try:
            answers = await asyncio.gather(*(ask(pair["question"]) for pair in questions))
            return answers, await speed(client, speed_tokens, lora)
        except httpx.HTTPError as error:
            raise Unavailable(
                "model_silent", f"The model stopped answering: {error}.", message_zh="模型停止响应。"
            ) from error


async def speed(client: httpx.AsyncClient, tokens: int, lora: dict[str, Any]) -> float:
    """Tokens a second of one answer of a fixed length, the best of some runs.

    The questions' own answers would not do: a tuned model says in ten tokens what its base needs fifty for, and the
    time to read a question would count for five times as much.
    """
    body = {
        "model": "subject", "messages": [{"role": "user", "content": SPEED_ASKS}], "temperature": 0,
        "max_tokens": tokens, "ignore_eos": True, "cache_prompt": False, **lora,
    }  # fmt: skip
    best = 0.0
    for _ in range(SPEED_RUNS):
        answer = await client.post("/v1/chat/completions", json=body)
        answer.raise_for_status()
        best = max(best, float(answer.json()["timings"]["predicted_per_second"]))
    return round(best, 1)


def peak_of(pid: int) -> int:
    """Most memory a process has held, MB; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0
