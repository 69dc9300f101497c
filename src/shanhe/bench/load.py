"""Load with wrk: one script for every contender, so that all of them receive byte-identical bodies."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from shanhe.bench.errors import BenchError
from shanhe.bench.model import Endpoint, Measurement

WRK_TIMEOUT_S = 20
WRK_MARGIN_S = 60

BODY = json.dumps(
    {
        "model": "bench",
        "messages": [{"role": "user", "content": "Say hello in exactly three words."}],
        "max_tokens": 16,
    }
)

_SCRIPT = """
wrk.method = "POST"
wrk.body = [==[{body}]==]
{headers}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "errors": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def require_wrk() -> str:
    """Path of wrk.

    Raises BenchError with the package to install where it is absent."""
    found = shutil.which("wrk")
    if found is None:
        raise BenchError("wrk is not installed, so there is nothing to load with. Run `apt-get install wrk`.")
    return found


def write_script(folder: Path, name: str, endpoint: Endpoint) -> Path:
    """Write the wrk script of one contender; only its headers differ from the others'."""
    headers = {"Content-Type": "application/json", **endpoint.headers}
    lines = "\n".join(f"wrk.headers[{json.dumps(key)}] = {json.dumps(value)}" for key, value in headers.items())
    path = folder / f"wrk-{name}.lua"
    path.write_text(_SCRIPT.format(body=BODY, headers=lines), encoding="utf-8")
    return path


def run_wrk(script: Path, contender: str, endpoint: Endpoint, connections: int, seconds: int) -> Measurement:
    """One bounded measurement with one wrk thread.

    Raises BenchError if wrk itself fails."""
    command = [
        require_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={WRK_TIMEOUT_S}s",
        "-s", str(script), endpoint.url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + WRK_MARGIN_S)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return Measurement(contender=contender, connections=connections, **json.loads(line.removeprefix("RESULT ")))
    raise BenchError(f"wrk gave no result for {contender}: {(done.stderr or done.stdout).strip()[:400]}")
