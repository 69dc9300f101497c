"""Requests of tests that say nothing of it wait a minute instead of httpx's five seconds: where other tests and other
programs work as well, five seconds are no sign of a fault.
"""

from __future__ import annotations

from importlib import import_module

from stage.trust import PACKAGES

PATIENCE_S = 60.0

for package in PACKAGES:
    usual = import_module(f"{package}._config").DEFAULT_TIMEOUT_CONFIG  # the one that clients have by default
    usual.connect = usual.read = usual.write = usual.pool = PATIENCE_S
