"""The program as a nursery holds it: what the processes of a city import, and what they read of the package itself."""

from __future__ import annotations

from importlib import import_module
from typing import Final

MODULES: Final = (
    "shanhe.worker", "shanhe.background", "shanhe.founding", "shanhe.app", "shanhe.demo", "shanhe.timetable",
    "shanhe.serving", "shanhe.web",
    "cryptography.hazmat.backends.openssl.backend", "pgqueuer.adapters.drivers.asyncpg", "pgqueuer.core.applications",
    "pydantic.v1", "websockets.server",
)  # fmt: skip
"""The last of these are what libraries put off until they are first used, which every city does."""


def ready() -> None:
    """Import it all and fill the caches that hold nothing of one city. No thread is started, nothing is opened."""
    for name in MODULES:
        import_module(name)
    from shanhe.console.api import words
    from shanhe.programmes.api import load_catalogue
    from shanhe.rulebook.api import Rulebook

    load_catalogue(Rulebook.load())
    words()
