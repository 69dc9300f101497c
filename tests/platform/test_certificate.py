"""The doctor looks at the certificate that people are shown, before it ends."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shanhe.doctor import certificate
from stage.certificates import made


@contextlib.contextmanager
def proxy(shown: Path, key: Path) -> Iterator[int]:
    """What stands before the city: shakes hands over TLS, once; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake() -> None:
            with contextlib.suppress(OSError):
                plain, _ = listener.accept()
                with plain, context.wrap_socket(plain, server_side=True):
                    pass

        thread = threading.Thread(target=shake, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
    thread.join(10)


@pytest.mark.parametrize(("days", "ok"), [(60, True), (5, False)])
def test_that_ends_within_two_weeks_is_told(tmp_path: Path, days: int, ok: bool) -> None:
    shown, key = made(tmp_path, days)
    with proxy(shown, key) as port:
        found = certificate(f"https://localhost:{port}", ssl.create_default_context(cafile=str(shown)))
    assert (found.ok, f"{days} days" in found.found, bool(found.advice)) == (ok, True, not ok)


def test_that_has_ended_or_that_nobody_knows_is_told_with_the_reason(tmp_path: Path) -> None:
    shown, key = made(tmp_path, -1)
    with proxy(shown, key) as port:
        ended = certificate(f"https://localhost:{port}", ssl.create_default_context(cafile=str(shown)))
    assert not ended.ok
    assert "expired" in ended.found
    with proxy(shown, key) as port:
        assert not certificate(f"https://localhost:{port}").ok


def test_of_a_proxy_that_is_away_is_told_as_such() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = certificate(f"https://localhost:{port}")
    assert not found.ok
    assert "proxy" in found.advice
