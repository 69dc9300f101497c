"""What a nursery and its keeper say to each other: one message a packet, descriptors beside it."""

from __future__ import annotations

import array
import socket
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

PACKET_MAX_BYTES: Final = 192 * 1024
"""Less than what a socket of this kind takes at once on any Linux; an environment of that size is refused."""
DESCRIPTORS_MAX: Final = 8
T = TypeVar("T")


class Order(msgspec.Struct, frozen=True):
    """Be born as `python -m MODULE ARGUMENTS` would be, in a session of its own, and end with the nursery.

    With `stdio` the first three descriptors become stdin, stdout and stderr; the rest are named at the end of the
    arguments, each as `--fd N`. `parent` adds `--parent PID` of the nursery."""

    number: int
    title: str
    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    folder: str = ""
    stdio: bool = False
    parent: bool = True


class Report(msgspec.Struct, frozen=True):
    """What became of an order: born (its pidfd beside it), refused and why, or ended with a status."""

    number: int
    pid: int = 0
    status: int | None = None
    refused: str = ""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends that keep messages apart."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: Order | Report, descriptors: Sequence[int] = ()) -> None:
    """One message; OSError when the other end is gone, or the message too large."""
    rights: list[Any] = []
    if descriptors:
        rights.append((socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors)))
    channel.sendmsg([msgspec.msgpack.encode(message)], rights)


def receive(channel: socket.socket, kind: type[T]) -> tuple[T, list[int]] | None:
    """The next message with its descriptors, which are not inheritable; None when the other end is gone."""
    body, descriptors, _, _ = socket.recv_fds(channel, PACKET_MAX_BYTES, DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC)
    return (msgspec.msgpack.decode(body, type=kind), descriptors) if body else None
