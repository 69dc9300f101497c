"""What the first start of a city makes and later ones find again: `python -m shanhe.founding --fd OUTCOME`.

A process of its own, so that the supervisor, which lives as long as the city, holds nothing of the program. Its outcome
is one line of JSON on a pipe: what a first visitor needs, or the error that the supervisor raises in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from shanhe.kernel import logs
from shanhe.kernel.errors import ShanheError, Unavailable
from shanhe.kernel.process import collect_seldom, die_with_parent
from shanhe.settings import Settings

if TYPE_CHECKING:
    from shanhe.app import Services

ENV_FILE: Final = "demo.env"
AWAY: Final = Unavailable.default_status


class Demo(msgspec.Struct, frozen=True):
    """What a first visitor needs."""

    admin_user: str
    admin_password: str
    api_key: str


class Refusal(msgspec.Struct, frozen=True):
    """A `ShanheError` on its way to another process."""

    code: str
    message: str
    message_zh: str
    hint: str
    hint_zh: str
    status: int

    @classmethod
    def of(cls, error: ShanheError) -> Refusal:
        return cls(error.code, error.message, error.message_zh, error.hint, error.hint_zh, error.status)

    def error(self) -> ShanheError:
        """The error again; `Unavailable` when something needed is away, since commands tell the two apart."""
        kind = Unavailable if self.status == AWAY else ShanheError
        return kind(
            self.code, self.message, message_zh=self.message_zh, hint=self.hint, hint_zh=self.hint_zh,
            status=self.status,
        )  # fmt: skip


class Outcome(msgspec.Struct, frozen=True):
    """How the founding ended."""

    demo: Demo | None = None
    unmanned: bool = False
    """Nobody may run this city yet: its first admin is still to be made."""
    refusal: Refusal | None = None


async def found(settings: Settings) -> Outcome:
    """Register the local models, seed the demo city and write its keys to demo.env; the same at every start."""
    from shanhe.app import open_services
    from shanhe.demo import contributor
    from shanhe.identity.api import Role

    async with open_services(settings, "cli") as services:
        if settings.with_model:
            owner = await contributor(services) if settings.demo else None
            for card in services.compute.cards():
                if card.id == settings.model or (card.lazy and card.runnable):
                    await services.compute.ensure_local(card.id, contributor=owner)
        demo = await _seed_and_note(services, settings) if settings.demo else None
        return Outcome(demo=demo, unmanned=not await services.identity.people.holders(Role.ADMIN))


async def _seed_and_note(services: Services, settings: Settings) -> Demo:
    """Seed the demo city and write its address and keys to demo.env (0600); the same values at every start."""
    from shanhe.demo import seed

    path = settings.data / ENV_FILE
    demo = await seed(services, read_env(path))
    values = {"SHANHE_URL": settings.url, "SHANHE_API_KEY": demo.api_key}
    values |= {"SHANHE_ADMIN_USER": demo.admin_user, "SHANHE_ADMIN_PASSWORD": demo.admin_password}
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    fresh.replace(path)
    return demo


def read_env(path: Path) -> dict[str, str]:
    """The values of an env file; empty when there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def main() -> None:
    collect_seldom()
    parser = argparse.ArgumentParser(prog="shanhe.founding")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    die_with_parent(given.parent)
    settings = Settings.from_environment()
    logs.configure(settings.log_level, as_json=settings.log_json, worker="founding")
    try:
        outcome = asyncio.run(found(settings))
    except ShanheError as error:
        outcome = Outcome(refusal=Refusal.of(error))
    with os.fdopen(given.fd, "wb") as pipe:
        pipe.write(msgspec.json.encode(outcome) + b"\n")


if __name__ == "__main__":
    main()
