"""What `shanhe doctor` looks at: each check says what it found and, when that is not right, what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec

from shanhe.backup.begun import begun
from shanhe.compute.api import has_openmp
from shanhe.kernel.db import FAILURES, PRIMARY
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.postgres import EmbeddedPostgres, find_binaries
from shanhe.kernel.process import is_held
from shanhe.settings import Settings
from shanhe.sharing import alone

PYTHON_MIN = (3, 11)
DISK_MIN_BYTES = 3 * 1024**3
MEMORY_MIN_BYTES = 2 * 1024**3
CLOCK_SKEW_MAX_S = 2.0
EYES_DAYS = 90
CONNECT_LIMIT_S = 5.0
POSTGRES_MIN = 150_000
SAYS_TOO_EARLY = "off"
"""The value of synchronous_commit with which a commit that was confirmed may be lost."""
VECTOR = """
SELECT a.installed_version AS there,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       OR (v.trusted AND has_database_privilege(current_database(), 'CREATE')) AS may
  FROM pg_available_extensions a
  JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
 WHERE a.name = 'vector'
"""
LOCK_FILE = "city.lock"
HTTPS_PORT = 443
CERTIFICATE_MIN_DAYS = 14
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    ok: bool
    found: str
    advice: str = ""
    """What to do; only when something is not right."""


def _judge(check: str, ok: bool, found: str, advice: str) -> Finding:
    return Finding(check, ok, found, "" if ok else advice)


async def examine(settings: Settings) -> list[Finding]:
    """Every check in order; none changes anything."""
    running = settings.data.exists() and is_held(settings.data / LOCK_FILE)
    findings = [_python(), _binaries(settings), _model_library(settings), _disk(settings), _memory()]
    findings += [_folder(settings), _port(settings, running=running)]
    findings += await _database(settings, running=running)
    if settings.database_url:
        findings.append(await asyncio.to_thread(_files, settings))
    findings.append(await asyncio.to_thread(_model, settings))
    if settings.secure_cookies:
        findings.append(await asyncio.to_thread(certificate, settings.url))
    return findings


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return _judge("python", sys.version_info >= PYTHON_MIN, version, "Use 3.11 or newer.")


def _binaries(settings: Settings) -> Finding:
    if settings.database_url:
        return Finding("postgresql programs", True, "not needed: DATABASE_URL is set")
    try:
        return Finding("postgresql programs", True, str(find_binaries()))
    except ShanheError as error:
        return Finding("postgresql programs", False, error.message, error.hint)


def _model_library(settings: Settings) -> Finding:
    import importlib.util

    if not settings.with_model:
        return Finding("llama.cpp", True, "not needed: local models are off")
    there = importlib.util.find_spec("xllamacpp") is not None
    if there and not has_openmp():
        return Finding("llama.cpp", False, "xllamacpp, without libgomp.so.1", "sudo apt install libgomp1")
    return _judge("llama.cpp", there, "xllamacpp" if there else "missing", "pip install 'shanhe[local]'")


def _disk(settings: Settings) -> Finding:
    folder = next(path for path in (settings.data, *settings.data.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    ok = free >= DISK_MIN_BYTES
    return _judge("disk", ok, f"{free / 1024**3:.1f} GiB free", "Free some space, or set DATA to another disk.")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ok = total >= MEMORY_MIN_BYTES
    return _judge("memory", ok, f"{total / 1024**3:.1f} GiB", "Run without a local model: --no-model.")


def _folder(settings: Settings) -> Finding:
    if not settings.data.exists():
        return Finding("data folder", True, f"{settings.data} (made at the first start)")
    if begun(settings.data) is not None:
        again = "Run the same `shanhe restore` again."
        return Finding("data folder", False, "a restore was begun and not finished", again)
    mode = settings.data.stat().st_mode & 0o777
    ok = mode & 0o077 == 0 and os.access(settings.data, os.W_OK)
    return _judge("data folder", ok, f"{settings.data} ({mode:o})", f"chmod 700 {settings.data}")


def _files(settings: Settings) -> Finding:
    """Where several machines may share a database, whether all of them can read what was uploaded on this one."""
    here = alone(settings.data)
    if settings.shares_files:
        found = "in the database" + (f", {here} on this machine alone" if here else "")
        return _judge("files", here == 0, found, "They are moved while `shanhe up` runs here.")
    found = f"{here} on this machine alone: other machines answer bytes_gone unless they share DATA"
    return Finding("files", True, f"{found} (SHANHE_FILES=database)")


def _port(settings: Settings, *, running: bool) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            advice = "" if running else "Stop what listens there, or choose another: make run PORT=8601"
            return Finding("port", running, f"{settings.port}: {'the city' if running else error.strerror}", advice)
    return Finding("port", True, f"{settings.port} is free")


async def _connected(dsn: str) -> asyncpg.Connection[Any]:
    """To the server that the city asks, the primary; where no server named is one, to the first that answers."""
    with suppress(asyncpg.InternalClientError):
        return await asyncpg.connect(dsn, timeout=CONNECT_LIMIT_S, target_session_attrs=PRIMARY)
    return await asyncpg.connect(dsn, timeout=CONNECT_LIMIT_S)


async def _database(settings: Settings, *, running: bool) -> list[Finding]:
    dsn = settings.database_url
    if not dsn:
        if not running:
            return [Finding("database", True, "embedded, not running now")]
        dsn = EmbeddedPostgres(settings.data / "postgres").dsn
    try:
        connection = await _connected(dsn)
    except FAILURES as error:
        return [Finding("database", False, f"{type(error).__name__}: {error}", "Check DATABASE_URL and the server.")]
    try:
        version = int(await connection.fetchval("SHOW server_version_num"))
        theirs = await connection.fetchval("SELECT clock_timestamp()")
        fsync = await connection.fetchval("SHOW fsync")
        waits = await connection.fetchval("SHOW synchronous_commit")
        encoding = await connection.fetchval("SHOW server_encoding")
        extension = await _extension(connection)
        fixed = await connection.fetchval("SHOW transaction_read_only") == "on"
        allowed = int(await connection.fetchval("SHOW max_connections"))
        rules = await _rules(connection) + await _eyes(connection, theirs)
    finally:
        await connection.close()
    skew = abs((datetime.now(UTC) - theirs).total_seconds())
    old = f"Use PostgreSQL {POSTGRES_MIN // 10_000} or newer."
    skewed = "Run a time service, for example chrony."
    return [
        _judge("database", version >= POSTGRES_MIN, f"PostgreSQL {version // 10_000}", old),
        _judge(
            "writing",
            not fixed,
            "refused: a standby, or locked" if fixed else "allowed",
            "Name the primary in DATABASE_URL, or all servers (host1,host2): the city asks the one that is it.",
        ),
        _judge(
            "connections",
            allowed >= settings.connections,
            f"{allowed} allowed, {settings.connections} at most for a machine",
            f"Raise max_connections: each machine of the city may hold {settings.connections} of them.",
        ),
        _judge(
            "durability",
            fsync == "on" and waits != SAYS_TOO_EARLY,
            f"fsync {fsync}, synchronous_commit {waits}",
            "Turn both on: money depends on them.",
        ),
        _judge("encoding", encoding == "UTF8", encoding, "Make the database anew with ENCODING 'UTF8'."),
        extension,
        _judge("clock", skew <= CLOCK_SKEW_MAX_S, f"{skew:.3f} s from the database", skewed),
        *rules,
    ]


async def _extension(connection: asyncpg.Connection[Any]) -> Finding:
    """Whether the extension of knowledge bases is in the database, or will be made by the first start."""
    found = await connection.fetchrow(VECTOR)
    if found is None:
        advice = "Install pgvector on the server (postgresql-N-pgvector), then CREATE EXTENSION vector as superuser."
        return Finding("extension", False, "vector is not installed on the server", advice)
    if found["there"]:
        return Finding("extension", True, f"vector {found['there']}")
    advice = "As superuser, in the city's database: CREATE EXTENSION vector"
    found_here = "vector is not in the database yet"
    return _judge(
        "extension", found["may"], f"{found_here}{' (made at the first start)' if found['may'] else ''}", advice
    )


async def _rules(connection: asyncpg.Connection[Any]) -> list[Finding]:
    """Whether this release takes every amendment that the city recorded; nothing of a city that has no rules yet."""
    if await connection.fetchval("SELECT to_regclass('rulebook.set_aside')") is None:
        return []
    from shanhe.rulebook.api import load_amended

    await connection.set_type_codec("jsonb", encoder=str, decoder=msgspec.json.decode, schema="pg_catalog")
    unfit = (await load_amended(connection)).unfit
    found = "; ".join(f"{one.amendment.rule_id}: {one.why.en}" for one in unfit) or "every amendment is in force"
    advice = (
        "`shanhe rules check --data DIR` says more; succeed it by another amendment, or `shanhe rules set-aside ID`."
    )
    return [_judge("rulebook", not unfit, found, advice)]


async def _eyes(connection: asyncpg.Connection[Any], now: datetime) -> list[Finding]:
    """Whether what takes two people was asked for and agreed to by one login of this machine, as its acts tell."""
    if await connection.fetchval("SELECT to_regclass('kernel.act')") is None:
        return []
    since = now - timedelta(days=EYES_DAYS)
    alone = await connection.fetchval(
        """SELECT count(*) FROM (
             SELECT object FROM kernel.act
             WHERE action IN ('approvals.request.add', 'approvals.request.change') AND actor LIKE 'cli:%' AND at >= $1
             GROUP BY object, actor
             HAVING bool_or(action = 'approvals.request.add')
                AND bool_or(action = 'approvals.request.change' AND details -> 'after' ? 'decided_by'
                            AND details -> 'after' ->> 'state' IN ('approved', 'done'))) one""",
        since,
    )
    found = f"{alone} requests of {EYES_DAYS} days had both words from one login of this machine"
    return [_judge("four eyes", not alone, found, "Let a second operator decide, signed in at /city/second.")]


def certificate(url: str, trusted: ssl.SSLContext | None = None) -> Finding:
    """How long the certificate at the city's public address is good, as a client sees it."""
    place = urlsplit(url)
    host, port = place.hostname or "", place.port or HTTPS_PORT
    context = trusted or ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, port), timeout=CONNECT_LIMIT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            ends = ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        advice = "Renew it, with all that is between it and a known authority, and reload the proxy."
        return Finding("certificate", False, f"{host}: {error.verify_message}", advice)
    except OSError as error:
        return Finding(
            "certificate", False, f"{host}:{port}: {error}", "Start the proxy; this machine must reach it, too."
        )
    days = int((ends - datetime.now(UTC).timestamp()) // DAY_S)
    until = datetime.fromtimestamp(ends, UTC).date()
    return _judge("certificate", days >= CERTIFICATE_MIN_DAYS, f"{host}: {days} days, until {until}", "Renew it.")


def _model(settings: Settings) -> Finding:
    if not settings.with_model:
        return Finding("model", True, "local models are off")
    from shanhe.compute.api import default_cache

    folders = (settings.data / "models", default_cache())
    files = [path for folder in folders if folder.exists() for path in folder.rglob("*.gguf")]
    found = ", ".join(f"{path.name} ({path.stat().st_size / 1024**2:.0f} MiB)" for path in files)
    return Finding("model", True, found or "not fetched yet (the first start does it, or `shanhe models pull`)")
