"""Calls at everybody's door that their client takes back by a message of its own, as versions with a handshake have it.

A session is a name alone, sealed to its payer: nothing is kept of it, and every process knows it again. A call is known
to the process where it runs; one that is taken back at another process is passed on by a notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shanhe.kernel.ids import new_id
from shanhe.mcp import wire

if TYPE_CHECKING:
    from shanhe.kernel.db import Database
    from shanhe.mcp.service import Left

CHANNEL: Final = "mcp_cancelled"
NAME_MAX_BYTES: Final = 1_000
"""Longest name of a call that is passed on; a notice has its bounds."""


class Cancelled(msgspec.Struct, rename={"request": "requestId"}):
    """What `notifications/cancelled` is looked at for."""

    request: int | float | str


class Cancelling:
    """The calls in sessions of one process."""

    def __init__(self, db: Database, sessions: wire.Sessions) -> None:
        self._db = db
        self._sessions = sessions
        self._running: dict[str, asyncio.Event] = {}
        self._listens = False

    def begun(self, owner: bytes) -> str:
        """A new session of a payer, sealed."""
        return self._sessions.seal(new_id().hex, owner)

    @contextmanager
    def running(self, sealed: bytes | None, owner: bytes, call: Any) -> Iterator[Left | None]:
        """While a call runs: what returns when it is taken back; None where nobody can, since it has no session."""
        name = self._name(sealed, owner, call)
        if name is None or name in self._running:
            yield None
            return
        if not self._listens:
            self._listens = True
            self._db.listen(CHANNEL, self._heard)
        event = self._running[name] = asyncio.Event()

        async def left() -> None:
            await event.wait()

        try:
            yield left
        finally:
            del self._running[name]

    async def cancel(self, sealed: bytes | None, owner: bytes, params: msgspec.Raw | wire.Unset) -> None:
        """Take a call back, wherever it runs; nothing where it is over or is somebody else's."""
        try:
            call = msgspec.json.decode(b"" if params is msgspec.UNSET else params, type=Cancelled).request
        except msgspec.MsgspecError:
            return
        name = self._name(sealed, owner, call)
        if name in self._running:
            self._heard(name)
        elif name is not None:
            await self._db.execute("SELECT pg_notify($1, $2)", CHANNEL, name)

    def _heard(self, name: str) -> None:
        if (event := self._running.get(name)) is not None:
            event.set()

    def _name(self, sealed: bytes | None, owner: bytes, call: Any) -> str | None:
        """A call's name among all that run in the city."""
        session = None if sealed is None else self._sessions.open(sealed.decode("latin-1"), owner)
        name = f"{session} {wire.encode(call).decode()}"
        return None if session is None or len(name.encode()) > NAME_MAX_BYTES else name
