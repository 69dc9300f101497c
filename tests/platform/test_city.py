"""A whole city as its operator runs it: started, killed in parts, stopped and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from shanhe.bench.city import City, launch
from shanhe.bench.processes import descendants
from stage.fixtures import Stage
from stage.nursery import program

if TYPE_CHECKING:
    from shanhe.app import Services

WAIT_S = 120.0
MODEL = "qwen2.5-coder-0.5b-instruct"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("city")


@pytest.fixture(scope="module")
def city(folder: Path) -> Iterator[City]:
    """One city for the tests of this file, without a model; fsync off, since only the machinery is looked at."""
    running = launch(folder / "data", workers=2, environment={"SHANHE_FSYNC": "false"})
    try:
        running.wait_until_ready()
        running.program = program()  # what is started here is started as an operator does it; its commands need not be
        yield running
    finally:
        running.child.stop()


def until(happened: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen within {WAIT_S:.0f} s"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class TestCity:
    def test_answers_about_its_health(self, city: City) -> None:
        assert httpx.get(f"{city.url}/healthz", trust_env=False).json() == {"status": "ok"}
        ready = httpx.get(f"{city.url}/readyz", trust_env=False).json()
        assert ready["checks"].pop("disk") in ("up", "low")  # whatever machine the tests run on
        assert ready == {"ready": True, "checks": {"database": "up", "engine": "off", "log": "up"}}

    def test_writes_its_first_keys_for_its_owner_only(self, city: City) -> None:
        path = city.data / "demo.env"
        assert path.stat().st_mode & 0o777 == 0o600
        assert city.data.stat().st_mode & 0o777 == 0o700
        assert set(city.demo()) == {"SHANHE_URL", "SHANHE_API_KEY", "SHANHE_ADMIN_USER", "SHANHE_ADMIN_PASSWORD"}
        assert city.demo()["SHANHE_API_KEY"].startswith("sk-sh-")

    def test_accepts_the_demo_key_and_refuses_another(self, city: City) -> None:
        key = city.demo()["SHANHE_API_KEY"]
        for token, status in ((key, 200), (key[:-1] + ("a" if key[-1] != "a" else "b"), 401)):
            answer = httpx.get(f"{city.url}/v1/models", headers={"authorization": f"Bearer {token}"}, trust_env=False)
            assert answer.status_code == status

    def test_shows_metrics_of_all_its_processes(self, city: City) -> None:
        def everybody() -> bool:
            text = httpx.get(f"{city.url}/metrics", trust_env=False).text
            return all(f'shanhe_up{{worker="{name}"}} 1.0' in text for name in ("w0", "w1", "jobs"))

        until(everybody, "metrics of every process")

    def test_starts_a_fallen_worker_again(self, city: City) -> None:
        before = set(city.worker_pids())
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(city.worker_pids()) == 2 and set(city.worker_pids()) != before, "a new worker")
        until(city.ready, "readiness")

    @pytest.mark.prove
    def test_survives_the_end_of_its_nursery(self, city: City) -> None:
        before = set(city.worker_pids())
        (nursery,) = (pid for pid, line in descendants(city.child.process.pid) if line == "shanhe nursery")
        os.kill(nursery, signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in before), "the end of its workers")
        until(lambda: len(city.worker_pids()) == 2, "new workers")
        until(city.ready, "readiness")

    def test_refuses_a_second_city_on_the_same_folder(self, city: City) -> None:
        second = subprocess.run(
            [sys.executable, "-m", "shanhe", "up", "--data", str(city.data), "--port", "0", "--no-model"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert "runs on" in second.stderr

    def test_says_what_to_do_when_its_port_is_taken(self, city: City, tmp_path: Path) -> None:
        second = subprocess.run(
            [sys.executable, "-m", "shanhe", "up", "--data", str(tmp_path), "--port", str(city.port), "--no-model"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert f"Port {city.port}" in second.stderr
        assert "make run PORT=" in second.stderr

    def test_is_found_by_the_command_line_while_it_runs(self, city: City) -> None:
        assert any("Demo Developers" in org["name"] for org in city.command("orgs", "list"))

    def test_tells_commands_the_address_it_really_has(self, city: City) -> None:
        owner = city.command("orgs", "list")[0]["id"]
        made = city.command("nodes", "token", "lent-1", "--owner", owner)
        assert made["command"].startswith(f"shanhe node join http://127.0.0.1:{city.port} ")


class TestCommand:
    def test_works_without_a_running_city(self, tmp_path: Path) -> None:
        environment = {**os.environ, "DATA": str(tmp_path / "data"), "SHANHE_FSYNC": "false"}
        made = subprocess.run(
            [sys.executable, "-m", "shanhe", "orgs", "create", "青山机器人", "--json"],
            capture_output=True, text=True, timeout=120, check=True, env=environment,
        )  # fmt: skip
        assert json.loads(made.stdout)["name"] == "青山机器人"

    def test_explains_an_unknown_organisation(self, city: City) -> None:
        done = program().run(["credits", "balance", "nobody", "--data", str(city.data)], city.data, {}, WAIT_S)
        assert done.returncode == 1
        assert "shanhe orgs list" in done.stderr
        assert "Traceback" not in done.stderr

    def test_examines_the_machine(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            done = subprocess.run(
                [sys.executable, "-m", "shanhe", "doctor", "--data", str(tmp_path / "new"), "--port", port, "--json"],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        found = {row["check"]: row for row in json.loads(done.stdout)}
        assert done.returncode == 1
        assert not found["port"]["ok"]
        assert "PORT=" in found["port"]["advice"]
        assert found["python"]["ok"]


def found(city: City) -> tuple[dict[str, str], str, int]:
    """(keys, developers' organisation, what it has), as a first visitor finds them."""

    async def work(services: Services) -> tuple[str, int]:
        (developer,) = await services.identity.orgs.list(find="Demo Developers")
        return str(developer.id), (await services.credits.wallet(developer.id)).balance_micro

    demo = city.demo()
    demo.pop("SHANHE_URL")
    return demo, *Stage(city, 0).run(work)


def end(city: City) -> None:
    """Stop the city as its operator does; nothing of it is left."""
    pids = [pid for pid, _ in descendants(city.child.process.pid)]
    assert len(pids) >= 3
    city.child.process.send_signal(signal.SIGTERM)
    assert city.child.process.wait(timeout=WAIT_S) == 0
    until(lambda: not any(alive(pid) for pid in pids), "the end of every process")


@pytest.fixture(scope="module")
def before(city: City) -> tuple[dict[str, str], str, int]:
    """What the common city holds when it is stopped, which leaves nothing behind."""
    seen = found(city)
    end(city)
    return seen


@pytest.fixture(scope="module")
def again(city: City, before: object) -> Iterator[City]:
    """The same folder, started once more, now with the model."""
    second = launch(city.data, with_model=True, environment={"SHANHE_FSYNC": "false"})
    try:
        yield second
    finally:
        second.child.stop()


def healthy(city: City) -> bool:
    try:
        return httpx.get(f"{city.url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


class TestRestart:
    """The last acts of the common city."""

    def test_finds_everything_again(self, before: tuple[dict[str, str], str, int], again: City) -> None:
        until(lambda: healthy(again), "the second start")
        until(lambda: found(again) == before, "the same keys and balance")
        assert before[2] > 0

    @pytest.mark.model
    def test_answers_the_first_call_with_the_real_model_and_is_paid_by_its_usage(self, again: City) -> None:
        """As the README has it: the openai package, the embedded model, and a receipt that is the charge."""
        from openai import OpenAI

        again.wait_until_ready()
        demo = again.demo()
        client = OpenAI(base_url=f"{again.url}/v1", api_key=demo["SHANHE_API_KEY"], timeout=90)
        raw = client.chat.completions.with_raw_response.create(
            model=MODEL, max_tokens=12, stream=True, stream_options={"include_usage": True},
            messages=[{"role": "user", "content": "用一句话介绍人工智能"}],
        )  # fmt: skip
        chunks = list(raw.parse())
        headers = {"authorization": f"Bearer {demo['SHANHE_API_KEY']}"}
        url = f"{again.url}/api/receipts/{raw.headers['x-shanhe-receipt']}"
        receipt = httpx.get(url, headers=headers, trust_env=False).json()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        usage = chunks[-1].usage
        assert usage is not None
        assert receipt["evidence"]["usage_source"] == "engine"
        assert sum(receipt["evidence"]["buckets"].values()) == usage.total_tokens
        assert sum(transfer["amount"] for transfer in receipt["transfers"]) == receipt["amount_micro"] > 0

    def test_leaves_no_process_behind(self, again: City) -> None:
        end(again)

    @pytest.mark.prove
    def test_leaves_nothing_behind_when_the_supervisor_is_killed(self, folder: Path) -> None:
        city = launch(folder / "killed", environment={"SHANHE_FSYNC": "false"})
        city.wait_until_ready()
        pids = [pid for pid, _ in descendants(city.child.process.pid)]
        city.child.process.kill()
        city.child.process.wait(timeout=WAIT_S)
        until(lambda: not any(alive(pid) for pid in pids), "the end of every process")
