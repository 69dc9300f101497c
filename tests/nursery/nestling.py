"""What the tests let a nursery bear: `nestling.main()` does what its first argument says."""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from shanhe.kernel.ids import new_id, new_id_and_text
from shanhe.kernel.process import threads

IDS = 50
BEFORE_THE_FORK = [str(new_id()), new_id_and_text()[1], random.random()]  # so that every generator holds a state
LINGER_S = 0.4


def ready() -> None:
    """There is nothing to read."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--parent", type=int)
    parser.add_argument("--fd", type=int)
    given = parser.parse_args()
    globals()[given.what](given)


def tell(given: argparse.Namespace) -> None:
    """Everything about itself, as JSON on its descriptor."""
    with os.fdopen(given.fd, "w") as pipe:
        json.dump(facts(), pipe)


def facts() -> dict[str, Any]:
    return {
        "pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0), "group": os.getpgrp(),
        "arguments": sys.argv[1:], "environment": dict(os.environ), "threads": threads(),
        "line": Path("/proc/self/cmdline").read_bytes().replace(b"\0", b" ").decode().strip(),
        "input": os.readlink("/proc/self/fd/0"), "open": sorted(os.listdir("/proc/self/fd")),
        "ids": [str(new_id()) for _ in range(IDS)] + [new_id_and_text()[1] for _ in range(IDS)],
        "random": [random.random() for _ in range(IDS)],
        "tokens": [secrets.token_hex(16) for _ in range(IDS)] + [str(uuid.uuid4()) for _ in range(IDS)],
    }  # fmt: skip


def fail(given: argparse.Namespace) -> None:
    raise SystemExit(7)


def complain(given: argparse.Namespace) -> None:
    raise SystemExit("it can not be done")


def stay(given: argparse.Namespace) -> None:
    """Until SIGTERM, which takes its time to answer; notes its beginning and its end."""

    def note(word: str) -> None:
        with given.file.open("a") as file:
            file.write(f"{word} {os.getpid()}\n")

    def end(*_: object) -> None:
        time.sleep(LINGER_S)
        note("end")
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    note("begin")
    for _ in range(600):  # a signal just before a long sleep would wait for its end
        time.sleep(0.1)


if __name__ == "__main__":
    main()
