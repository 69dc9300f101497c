"""Server-sent events cut out of a byte stream without copying what needs no change (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from typing import Final

EVENT_MAX_BYTES: Final = 4 * 1024 * 1024
DONE: Final = b"[DONE]"
COMMENT: Final = b": keep-alive\n\n"
"""A comment in a block of its own, as DeepSeek writes it: clients that read by lines and those that read by blocks skip
it."""


class EventTooLarge(Exception):
    """An event, or what has to be kept of a stream, grew past EVENT_MAX_BYTES."""

    def __init__(self) -> None:
        super().__init__(f"it sent more than {EVENT_MAX_BYTES} bytes that nobody can use")


class Splitter:
    """Feed chunks, get whole events (each with its trailing blank line)."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        rest, data = self._rest, chunk
        if rest:
            seam = max(0, len(rest) - 2)
            rest += chunk
            if rest.find(b"\n\n", seam) < 0 and rest.find(b"\n\r\n", seam) < 0:  # read once, however small it is cut
                return self._bounded([])
            data = bytes(rest)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        events = data.split(b"\n\n")
        self._rest = bytearray(events.pop())
        return self._bounded([event for event in events if event.strip()])

    def _bounded(self, events: list[bytes]) -> list[bytes]:
        if len(self._rest) > EVENT_MAX_BYTES:
            raise EventTooLarge
        return events

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return bytes(self._rest)


def data_of(event: bytes) -> bytes | None:
    """The payload of an event's `data` lines, joined; None for comments and events without data."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip()
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines).strip() if lines else None


def event_bytes(payload: bytes, name: bytes = b"") -> bytes:
    """Encode one event."""
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + payload + b"\n\n"
