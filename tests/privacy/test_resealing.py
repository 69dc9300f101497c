"""What people wrote before their columns were sealed is sealed once, wherever the list says, and reads as before."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shanhe.kernel.resealing import Place
from shanhe.kernel.sealing import MARK
from shanhe.nomads.venues import fingerprint
from shanhe.privacy.api import Resealing
from shanhe.wiring.personal_columns import PLACES

from .conftest import House
from .lives import LATER_VALUES, live_on
from .needles import Haystack
from .test_erasure import VALUES, live


async def as_before(house: House, place: Place) -> list[str]:
    """Write a place's texts in plain, as an earlier release left them; which columns."""
    services, plain = house.services, []
    columns = [*place.texts, *(place.values or {})]
    keys = [f"{key} = ${n}" for n, key in enumerate(place.keys, len(columns) + 1)]
    shown = ", ".join(f"t.{one}" for one in (*place.keys, *columns))
    rows = await services.db.fetch(f"SELECT {place.owner} AS owner, {shown} FROM {place.table} t")
    for row in rows:
        if row["owner"] is None:
            continue
        seals = services.identity.seals
        seal = seals.of_person(row["owner"]) if place.of_person else await seals.of(row["owner"])
        opened: dict[str, Any] = {
            column: seal.open(field, row[column]) if row[column] else row[column]
            for column, field in place.texts.items()
        } | {column: seal.open_json(field, row[column]) for column, field in (place.values or {}).items()}
        plain += [column for column in columns if row[column] and opened[column] != row[column]]
        sets = ", ".join(f"{column} = ${n}" for n, column in enumerate(columns, 1))
        async with services.db.transaction() as conn:
            await conn.execute("SELECT set_config('shanhe.resealing', 'on', true)")
            await conn.execute("SET LOCAL session_replication_role = replica")
            await conn.execute(
                f"UPDATE {place.table} SET {sets} WHERE {' AND '.join(keys)}",
                *(opened[column] for column in columns), *(row[key] for key in place.keys),
            )  # fmt: skip
    return plain


async def bank_as_before(house: House) -> None:
    bank = house.services.bank
    for file in await bank.statements.files():
        for line in (await bank.statements.report(file.hash)).lines:
            await house.services.db.execute(
                """UPDATE payments.bank_line SET party = $3, party_account = $4, remark = $5, why = $6,
                          payer_index = NULL WHERE file_hash = $1 AND row = $2""",
                line.file_hash, line.row, line.party, line.party_account, line.remark, line.why,
            )  # fmt: skip


async def numbers_as_before(house: House, person: UUID) -> None:
    """A patent under its number and title, and a venue's mark as its place, as an earlier release wrote them."""
    db = house.services.db
    async with db.transaction() as conn:
        await conn.execute("SELECT set_config('shanhe.resealing', 'on', true)")
        await conn.execute(
            "UPDATE facts.fact SET key = $2, value = $3, sealed = NULL WHERE subject = $1 AND name = 'patent'",
            person, VALUES["patent"], VALUES["patent title"],
        )  # fmt: skip
    await db.execute("UPDATE nomads.venue SET fingerprint = $1 WHERE name LIKE $2",
                     fingerprint(VALUES["venue"], VALUES["venue address"]), f"{VALUES['venue'][:2]}%")  # fmt: skip


async def copied(house: House, person: UUID) -> Any:
    copy = await house.services.privacy.copy(person)
    return {name: text for name, text in copy.data.items() if name not in ("readings", "nomads", "identity")}


class TestResealing:
    async def test_seals_what_an_earlier_release_left_in_plain(self, house: House) -> None:
        services, hay = house.services, Haystack(VALUES)
        person = await house.person("ouyang-zyxwv", name=VALUES["name"])
        org = await house.own(person)
        await live(house, person, org)
        await live_on(house, person, org)
        before = await copied(house, person)
        plain = {place.table: await as_before(house, place) for place in PLACES}
        assert [table for table, columns in plain.items() if not columns] == [
            "retrieval.embedded",
        ]
        await bank_as_before(house)
        await numbers_as_before(house, person)
        found = "\n".join(await hay.in_tables(services.db))
        elsewhere = {
            "set row", "prompt", "base text", "insurance", "comment", "bank note",
            "card appeal", "card evidence", "card answer", "called", "clone question", "clone answer",
            "clone correction", "invited as",
        }  # fmt: skip
        assert [name for name in LATER_VALUES if name not in found and name not in elsewhere] == []

        work = Resealing(services.db, services.clock, services.identity.seals, PLACES)
        assert await work.run() > 0
        assert await services.bank.statements.reseal() > 0
        assert (await services.facts.reseal(), await services.nomads.venues.reseal()) == (1, 1)
        assert await hay.in_tables(services.db) == []
        assert await copied(house, person) == before
        assert await work.run() == 0
        assert await services.bank.statements.reseal() == 0
        assert (await services.facts.reseal(), await services.nomads.venues.reseal()) == (0, 0)

    async def test_leaves_what_organisations_write(self, house: House) -> None:
        from shanhe.identity.api import NewKey, NewOrganisation, OrgKind

        services = house.services
        org = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "青山机器人"), by="test")
        await services.identity.keys.create(org.id, NewKey("生产"), by="test")
        assert await Resealing(services.db, services.clock, services.identity.seals, PLACES).run() == 0
        assert await services.db.fetchval("SELECT name FROM identity.api_key") == "生产"
        assert not MARK.isprintable()
