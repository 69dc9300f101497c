"""The nursery of a run: who comes when it has ended hears of it at once, and starts an interpreter instead."""

from __future__ import annotations

import secrets
import socket

import pytest

from shanhe.bench.processes import Interpreter
from shanhe.nursery.api import possible
from stage import nursery

pytestmark = pytest.mark.skipif(not possible(), reason="nothing is forked on this system")


class TestProgram:
    @pytest.mark.parametrize("waits", [False, True])
    def test_is_an_interpreter_where_the_nursery_has_ended(self, waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        name = f"shanhe-tests-{secrets.token_hex(8)}"
        monkeypatch.setenv(nursery.VARIABLE, name)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(f"\0{name}")
        listener.listen(1)
        if waits:  # it ends while somebody waits for it to import
            monkeypatch.setattr(socket.socket, "recv", lambda *_: listener.close() or b"")
        else:
            listener.close()
        assert isinstance(nursery.program.__wrapped__(), Interpreter)
