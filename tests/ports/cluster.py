"""A Ray cluster of this machine alone, for as long as this process lives: `python cluster.py DASHBOARD_PORT`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import ray


def main() -> None:
    root = str(Path(__file__).parents[2])  # where replicas find the tests' own application
    ray.init(
        address="local", num_cpus=2, include_dashboard=True, dashboard_host="127.0.0.1",
        dashboard_port=int(sys.argv[1]), object_store_memory=100_000_000, _node_ip_address="127.0.0.1",
        log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": root}},
    )  # fmt: skip
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    told.wait()
    ray.shutdown()


if __name__ == "__main__":
    main()
