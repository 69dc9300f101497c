"""What a real city says of itself before anybody has set it up, and as they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final, cast

import pytest
from tests.platform.test_access import City

from shanhe.app import open_services
from shanhe.backup.making import back_up
from shanhe.cli.backup import _on_record
from shanhe.cli.city import Terminal
from shanhe.console.live.city import LiveCity
from shanhe.console.live.modules import Names
from shanhe.console.model import Who
from shanhe.founding import Outcome
from shanhe.identity.api import NewOrganisation, NewPerson, OrgKind, Role
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.log.witness import open_signer
from shanhe.settings import Settings

COMMAND: Final = "shanhe people create LOGIN --role admin"


@pytest.fixture
async def city(dsn: str, tmp_path: Path) -> AsyncIterator[City]:
    settings = Settings(data=tmp_path / "city", database_url=dsn, demo=False, with_model=False)
    async with open_services(settings, "cli") as services:
        yield City(services)


def test_the_banner_says_how_the_first_admin_is_made_until_there_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data=tmp_path)
    Terminal().ready(settings, Outcome(unmanned=True))
    assert COMMAND in capsys.readouterr().out
    Terminal().ready(settings, Outcome())
    assert COMMAND not in capsys.readouterr().out


async def test_the_sign_in_page_asks_for_the_first_admin_until_there_is_one(city: City) -> None:
    async with await city.browser() as resident:
        resident.cookies.clear()
        resident.headers.pop("cookie")
        assert COMMAND in (await resident.get("/sign-in")).text
        await city.browser(Role.ADMIN)
        assert COMMAND not in (await resident.get("/sign-in")).text


async def test_a_step_of_the_setting_up_is_ticked_once_what_it_asks_for_is_there(
    city: City, dsn: str, tmp_path: Path
) -> None:
    services, orgs, people = city.services, city.services.identity.orgs, city.services.identity.people

    async def done() -> set[str]:
        answer = await admin.get("/city/accounts")
        found = {step.key for step in await steps() if step.done}
        assert f"已完成 {len(found)} / 8" in answer.text
        return found

    async with await city.browser(Role.ADMIN) as admin:
        steps = partial(LiveCity(services, Names(services.identity, services.ledger), ready).setup, cast(Who, None))
        assert await done() == set()
        org = await orgs.create(NewOrganisation(OrgKind.COMPANY, "启明科技"), by="test")
        assert await done() == {"org"}
        owner = await people.create(NewPerson("周敏", "zhoumin", password="correct horse 电池"), by="test")
        await orgs.set_member(org.id, owner.id, Role.OWNER, by="test")
        assert await done() == {"org", "owner"}
        await city.browser(Role.OPERATOR)
        assert await done() == {"org", "owner", "second"}
        await services.credits.top_up(org.id, 5 * MICRO, "第一笔", "test", client_ref=str(new_id()))
        assert await done() == {"org", "owner", "second", "money"}
        witness = open_signer(tmp_path / "w", "witness.example/w1", lambda: bytes(range(2, 34)))
        await services.log.add_witness(str(witness.verifier), by="test")
        settings = Settings(data=tmp_path / "city", database_url=dsn, demo=False, with_model=False)
        manifest, _ = await back_up(settings, tmp_path / "copy", None, lambda *_: None)
        await _on_record(settings, manifest, with_keys=False)
        assert await done() == {"org", "owner", "second", "money", "witness", "backup"}


async def ready() -> dict[str, str]:
    return {}
