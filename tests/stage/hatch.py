"""What xdist starts in place of an interpreter: hands its streams to the brood, which forks a worker for them.

`python hatch.py NAME INTERPRETER'S ARGUMENTS`: ends when that process ends; where there is no brood any more, this one
becomes the interpreter that was asked for.
"""

from __future__ import annotations

import os
import signal
import socket
import sys


def main() -> None:
    name, *arguments = sys.argv[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        try:
            channel.connect(f"\0{name}")
            socket.send_fds(channel, [b"."], [0, 1, 2])
            taken = bool(channel.recv(1))
        except OSError:
            taken = False
        if taken:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker hears it, too, and ends in order
            os.close(0)
            os.close(1)
            channel.recv(1)
            return
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main()
