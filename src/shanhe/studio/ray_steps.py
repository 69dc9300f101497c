"""Steps as jobs of a Ray cluster: the same port as `steps.run_step`, spoken to over Ray's own HTTP.

The cluster's head runs the step's command in the step's folder, which has to be the same folder there (one machine, or
a file system that both mount). Nothing of Ray is imported: the city needs an address only, and the cluster's machines
`pip install 'shanhe[ray,studio]'`.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import httpx

from shanhe.kernel.ids import new_id
from shanhe.studio.errors import StepFailed
from shanhe.studio.steps import COMMAND, LINES_LEAST_S, LOG_MAX_BYTES, QUIET, STOP_LIMIT_S, Said, failed, spoken

CALL_LIMIT_S: Final = 30.0
POLL_S: Final = 0.5
OVER: Final = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})
TEXT_MAX: Final = 300


class RayJobs:
    """The jobs port of a Ray cluster. `address`: of its head's dashboard, like http://head:8265; `token`: Ray's own."""

    def __init__(self, address: str, token: str = "", *, gpus: float = 0) -> None:
        self._address = address.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._asks = {"entrypoint_num_cpus": 1, "entrypoint_num_gpus": gpus}

    async def __call__(
        self, folder: Path, said: Said, *, environment: Mapping[str, str], command: Sequence[str] = COMMAND
    ) -> bool:
        """Do the step in a folder as a Ray job; False when `said` ended it, StepFailed when it failed.

        Of `environment` nothing travels: the cluster's own finds Python there.
        """
        timeout = httpx.Timeout(CALL_LIMIT_S)
        async with httpx.AsyncClient(
            base_url=self._address, headers=self._headers, timeout=timeout, trust_env=False
        ) as client:  # fmt: skip
            try:
                return await self._do(client, folder, said, command)
            except (httpx.HTTPError, ValueError) as error:
                raise StepFailed("ray_away", f"the Ray cluster does not answer: {error}"[:TEXT_MAX]) from error

    async def _do(self, client: httpx.AsyncClient, folder: Path, said: Said, command: Sequence[str]) -> bool:
        job = f"shanhe-{new_id()}"
        # The shell becomes the step, whose parent is then Ray's supervisor of this job: it ends with it.
        entrypoint = f"exec {shlex.join([*command, str(folder)])} --parent $PPID"
        body = {
            "entrypoint": entrypoint, "submission_id": job, "runtime_env": {"env_vars": QUIET},
            "metadata": {"step": folder.name}, **self._asks,
        }  # fmt: skip
        answer = await client.post("/api/jobs/", json=body)
        if answer.status_code != 200:
            raise StepFailed("ray_refused", f"status {answer.status_code}: {answer.text}"[:TEXT_MAX])
        error: dict[str, Any] | None = None
        whole = False
        try:
            async with aclosing(self._lines(client, job, folder)) as lines:
                async for told in lines:
                    if "error" in told:
                        error = told["error"]
                    elif not await said(told):
                        return False
            found = await self._found(client, job)
            whole = True
        finally:
            if not whole:
                await asyncio.shield(self._stop(client, job))
        if found.get("status") != "SUCCEEDED" or not (folder / "result.json").exists():
            raise failed(folder, error, found.get("driver_exit_code"))
        return True

    async def _lines(self, client: httpx.AsyncClient, job: str, folder: Path) -> AsyncGenerator[dict[str, Any]]:
        """What the job says, line by line, until it is over; everything else goes to the step's log."""
        known, heard_at = 0, time.monotonic()
        with (folder / "log.txt").open("ab") as log:
            while True:
                over = (await self._found(client, job)).get("status") in OVER  # asked first: nothing is said after it
                text = await self._log(client, job)
                end = len(text) if over else text.rfind("\n") + 1
                for line in text[known:end].splitlines():
                    told = spoken(line.encode())
                    if told is not None:
                        yield told
                    elif log.tell() < LOG_MAX_BYTES:
                        log.write(line.encode() + b"\n")
                if end > known:
                    known, heard_at = end, time.monotonic()
                elif not over:
                    yield {}
                if over:
                    return
                if time.monotonic() - heard_at > LINES_LEAST_S:
                    raise StepFailed("step_silent", "it said nothing for too long")
                await asyncio.sleep(POLL_S)

    async def _log(self, client: httpx.AsyncClient, job: str) -> str:
        answer = await client.get(f"/api/jobs/{job}/logs")
        if len(answer.content) > LOG_MAX_BYTES:
            raise StepFailed("step_silent", "it said too much")
        return str(answer.json().get("logs") or "") if answer.status_code == 200 else ""

    async def _found(self, client: httpx.AsyncClient, job: str) -> dict[str, Any]:
        """The job, as Ray has it."""
        answer = await client.get(f"/api/jobs/{job}")
        if answer.status_code != 200:
            raise StepFailed("ray_away", f"the Ray cluster lost the job: status {answer.status_code}")
        found: dict[str, Any] = answer.json()
        return found

    async def _stop(self, client: httpx.AsyncClient, job: str) -> None:
        """End a job and wait until it is over; bounded."""
        with contextlib.suppress(httpx.HTTPError, TimeoutError, ValueError, StepFailed):
            await client.post(f"/api/jobs/{job}/stop")
            async with asyncio.timeout(STOP_LIMIT_S):
                while (await self._found(client, job)).get("status") not in OVER:  # noqa: ASYNC110 - Ray has no event
                    await asyncio.sleep(POLL_S)
