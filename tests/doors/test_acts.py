"""What a clerk changes is on record, whichever door the clerk came through."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import datetime
from typing import Any, Final

import httpx
import pytest
from tests.doors.town import BY, CHANGES, ENDS, Town, answer
from typer.testing import CliRunner

from shanhe.cli import app, common
from shanhe.identity import acts_sheet
from shanhe.identity.api import Role
from shanhe.kernel import acts
from shanhe.kernel.ids import new_id

OTHER_CREDENTIALS: Final = {
    "POST /api/identity/register", "POST /api/identity/sign-in", "POST /api/identity/sign-in/code",
    "POST /api/identity/sign-in/passkey", "POST /api/identity/sign-in/passkey/options",
    "POST /api/identity/me/passkeys", "POST /api/identity/me/passkeys/options", "POST /api/identity/me/totp",
    "POST /api/identity/me/totp/confirm", "POST /api/keys/leaks", "POST /api/payments/notify/{provider}",
    "POST /api/pool/join", "POST /oauth/revoke", "POST /oauth/token",
}  # fmt: skip
CHANGES_NOTHING: Final = {
    "POST /api/labels/check", "POST /api/labels/check-picture", "POST /api/labels/check-sound",
    "POST /api/rules/check", "POST /api/rules/replay", "POST /api/rules/{rule_id}/check",
    "POST /api/rules/{rule_id}/eval",
}  # fmt: skip
KEY: Final = "ab" * 32


async def written(town: Town, *actions: str) -> list[Any]:
    rows: list[Any] = await town.services.db.fetch(
        "SELECT * FROM kernel.act WHERE action = ANY ($1) ORDER BY id", list(actions)
    )
    return rows


async def done(clerk: httpx.AsyncClient, method: str, path: str, **sent: Any) -> None:
    got = await clerk.request(method, path, **sent)
    assert got.status_code < 400, got.text


class TestDoor:
    async def test_lets_no_clerk_through_unseen(self, town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: set[str] = set()

        def begin(who: str, door: str, at: datetime) -> None:
            seen.add(door)

        monkeypatch.setattr(acts, "begin", begin)
        clerk = await town.person(Role.ADMIN, org=town.company)
        doors = [route for route in town.routes() if route.method in CHANGES and route.path not in ENDS]
        async with await town.browser(clerk) as browser:
            for route in doors:
                await answer(browser, route)
        assert {f"{route.method} {route.path}" for route in doors} - seen == OTHER_CREDENTIALS | CHANGES_NOTHING

    async def test_of_the_api_knows_who_ended_what_whose_row_names_nobody(self, town: Town) -> None:
        clerk, other, resource = await town.person(Role.ADMIN), await town.person(), new_id()
        async with await town.browser(clerk) as api:
            await done(api, "PUT", f"/api/nomads/organisations/{town.company}", json={"public_key": KEY})
            await done(api, "DELETE", f"/api/nomads/organisations/{town.company}")
            for place in ("programmes/reviewers", "governance/seats"):
                await done(api, "POST", f"/api/{place}", json={"person_id": str(other), "department": "finance"})
                await done(api, "DELETE", f"/api/{place}/{other}/finance")
            await done(api, "POST", "/api/bulletin")
            await done(api, "POST", "/api/credentials/rotate")
            await done(api, "POST", "/api/incubator/resources", json={
                "id": str(resource), "service": "desk", "name_zh": "工位", "name_en": "Desks", "place": "A",
                "opens_hour": 8, "closes_hour": 20, "seats": 4,
            })  # fmt: skip
            await done(api, "POST", f"/api/incubator/resources/{resource}/close")
        rows = await written(
            town, "nomads.organisation.change", "programmes.reviewer.remove", "governance.seat.remove",
            "bulletin.issue.add", "credentials.issuer_key.change", "incubator.resource.change",
        )  # fmt: skip
        assert [(row["door"].partition(" ")[0], row["action"]) for row in rows] == [
            ("DELETE", "nomads.organisation.change"), ("DELETE", "programmes.reviewer.remove"),
            ("DELETE", "governance.seat.remove"), ("POST", "bulletin.issue.add"),
            ("POST", "credentials.issuer_key.change"), ("POST", "incubator.resource.change"),
        ]  # fmt: skip
        assert {row["actor"] for row in rows} == {f"person:{clerk}"}
        assert list(rows[-1]["details"]["after"]) == ["closed_at"]
        assert rows[1]["object"] == f"programmes.reviewer:{other}/finance"
        assert rows[1]["door"] == "DELETE /api/programmes/reviewers/{person_id}/{department}"

    async def test_of_the_pages_knows_it_too(self, town: Town) -> None:
        clerk, resource = await town.person(Role.ADMIN), new_id()
        await town.services.incubator.add(
            resource, service="desk", name_zh="工位", name_en="Desks", place="A", opens_hour=8, closes_hour=20, seats=4,
            by=BY,
        )  # fmt: skip
        async with await town.browser(clerk) as browser:
            await done(browser, "POST", f"/city/services/{resource}/close", data={"x": "1"})
        (row,) = await written(town, "incubator.resource.change")
        assert (row["actor"], row["door"]) == (f"person:{clerk}", "POST /city/services/{resource}/close")

    async def test_of_a_key_that_may_do_more_than_members_names_the_key(self, town: Town) -> None:
        key, api = await town.key(town.company, permissions=frozenset({"accounts"}))
        other = await town.person()
        async with api:
            await done(api, "POST", "/api/governance/seats", json={"person_id": str(other), "department": "finance"})
        (row,) = await written(town, "governance.seat.add")
        assert row["actor"] == f"key:{key}"

    async def test_writes_down_no_resident_s_own_dealings(self, town: Town) -> None:
        owner = await town.person(org=town.company)
        async with await town.browser(owner) as browser:
            await done(browser, "POST", "/api/alliances", json={
                "id": str(new_id()), "name": "机器人联盟", "purpose": "一起做",
            })  # fmt: skip
        assert await town.services.db.fetchval("SELECT count(*) FROM alliances.alliance") == 1
        assert await written(town, "alliances.alliance.add") == []

    async def test_is_closed_again_when_the_answer_is_given(self, town: Town) -> None:
        """Whatever else this task does is nobody's act: a test's client asks in the caller's own task."""
        clerk = await town.person(Role.ADMIN)
        async with await town.browser(clerk) as api:
            await done(api, "POST", "/api/credentials/rotate")
        assert acts.acting() is None

    async def test_of_a_command_knows_the_login_and_the_command(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clerk = await town.services.identity.people.get(await town.person())
        monkeypatch.setenv("DATABASE_URL", town.services.settings.database_url)
        monkeypatch.setattr(common, "login", lambda: "zhou")
        words = [
            "governance",
            "seat",
            str(clerk.login),
            "finance",
            "--data",
            str(town.services.settings.data),
            "--json",
        ]
        said = await asyncio.to_thread(CliRunner().invoke, app, words, catch_exceptions=False)
        assert said.exit_code == 0, said.output
        (row,) = await written(town, "governance.seat.add")
        assert (row["actor"], row["door"]) == ("cli:zhou", "shanhe governance seat")
        assert acts.acting() is None

    async def test_writes_who_had_it_before_when_it_is_given_to_another(self, town: Town) -> None:
        """Reassigning overwrites the name in the row; here both stand, with who gave it away and when."""
        first, second = await town.person(Role.ADMIN), await town.person(Role.ADMIN)
        for clerk, key in ((first, KEY), (second, "cd" * 32)):
            async with await town.browser(clerk) as api:
                await done(api, "PUT", f"/api/nomads/organisations/{town.company}", json={"public_key": key})
        _, row = await written(town, "nomads.organisation.add", "nomads.organisation.change")
        assert row["details"]["before"]["actor"] == f"person:{first}"
        assert row["details"]["after"]["actor"] == f"person:{second}" == row["actor"]
        assert row["details"]["hidden"] == ["public"]


class TestRecord:
    """What an auditor is told."""

    async def test_is_asked_for_by_whom_what_of_which_kind_and_when(self, town: Town) -> None:
        clerk, other = await town.person(Role.ADMIN), await town.person()
        login = (await town.identity.people.get(clerk)).login
        async with await town.browser(clerk) as api:
            for department in ("finance", "science"):
                seat = {"person_id": f"{other}", "department": department}
                await done(api, "POST", "/api/governance/seats", json=seat)
            days = {"since": "2026-01-01", "until": "2999-01-01"}
            for asked, actions in (
                ({"by": login, "action": "governance.seat"}, ["governance.seat.add"] * 2),
                ({"by": "nobody.there"}, []),
                ({"object": f"{other}/science"}, ["governance.seat.add"]),
                ({"object": f"governance.seat:{other}/science", **days}, ["governance.seat.add"]),
                ({"object": f"{other}/science", "until": "2026-01-01"}, []),
                ({"action": "governance.seat.add", "limit": 1}, ["governance.seat.add"]),
            ):  # fmt: skip
                got = await api.get("/api/audit", params=asked)
                assert [row["action"] for row in got.json()["data"]] == actions, asked

    async def test_goes_out_whole_as_a_sheet_that_no_spreadsheet_runs(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(acts_sheet, "AUDIT_PAGE_MAX", 2)
        for n in range(5):
            await town.identity.record("cli", "person.copy", "person:x", {"purpose": f"=cmd{n}"})
        async with await town.browser(await town.person(Role.AUDITOR)) as api:
            sheet = await api.get("/api/audit.csv", params={"action": "person.copy"})
        rows = list(csv.DictReader(io.StringIO(sheet.text.removeprefix("\ufeff"))))
        assert [(row["what"], row["to"]) for row in rows] == [("purpose", f"'=cmd{n}") for n in (4, 3, 2, 1, 0)]

    @pytest.mark.parametrize(("acts", "cut"), [(4, False), (5, True)])
    async def test_says_at_its_end_that_a_sheet_leaves_something_out(
        self, town: Town, monkeypatch: pytest.MonkeyPatch, acts: int, cut: bool
    ) -> None:
        monkeypatch.setattr(acts_sheet, "AUDIT_PAGE_MAX", 2)
        monkeypatch.setattr(acts_sheet, "SHEET_ROWS_MAX", 4)
        for n in range(acts):
            await town.identity.record("cli", "person.copy", "person:x", {"purpose": f"{n}"})
        async with await town.browser(await town.person(Role.AUDITOR)) as api:
            sheet = await api.get("/api/audit.csv", params={"action": "person.copy"})
        lines = sheet.text.splitlines()
        assert len(lines) == 1 + 4 + cut
        assert ("其余未列" in lines[-1]) is cut

    async def test_says_yes_no_and_nothing_alike_on_its_page_and_in_its_sheet(self, town: Town) -> None:
        told = {"seen": True, "left": None, "parts": ["a", None, False]}
        await town.identity.record("cli", "person.copy", "person:x", told)
        async with await town.browser(await town.person(Role.AUDITOR)) as api:
            sheet = await api.get("/api/audit.csv", params={"action": "person.copy"})
            page = (await api.get("/city/audit?action=person.copy")).text.partition("<tbody>")[2]
        rows = csv.DictReader(io.StringIO(sheet.text.removeprefix("\ufeff")))
        assert {row["what"]: row["to"] for row in rows} == {"seen": "true", "left": "", "parts": "a, , false"}
        assert "true" in page
        assert "a, , false" in page
        assert "None" not in page

    async def test_is_for_auditors_and_administrators_only(self, town: Town) -> None:
        async with await town.browser(await town.person(Role.OPERATOR)) as api:
            for path in ("/api/audit", "/api/audit.csv", "/city/audit.csv"):
                assert (await api.get(path)).status_code == 403

    async def test_still_says_what_an_erased_person_did_and_not_who_that_was(self, town: Town) -> None:
        clerk, other, _ = await town.person(Role.ADMIN), await town.person(), await town.person(Role.ADMIN)
        name = (await town.identity.people.get(clerk)).name
        async with await town.browser(clerk) as api:
            await done(api, "POST", "/api/governance/seats", json={"person_id": f"{other}", "department": "finance"})
        async with await town.browser(await town.person(Role.AUDITOR)) as auditor:
            assert name in (await auditor.get("/city/audit?action=governance_seat")).text
            await town.identity.people.withdraw(clerk, Role.ADMIN, by=BY)
            await town.identity.people.erase(clerk, by=BY)
            page = (await auditor.get("/city/audit?action=governance_seat")).text
        assert f"person:{clerk}" in page
        assert name not in page.partition("<tbody>")[2]
