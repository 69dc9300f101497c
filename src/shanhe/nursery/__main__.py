"""A nursery in an interpreter of its own: `python -m shanhe.nursery --fd CHANNEL --parent PID PROGRAM`."""

from __future__ import annotations

import argparse
import socket

from shanhe.nursery.process import nurse


def main() -> None:
    parser = argparse.ArgumentParser(prog="shanhe.nursery")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("program")
    given = parser.parse_args()
    nurse(socket.socket(fileno=given.fd), given.parent, given.program)


if __name__ == "__main__":
    main()
