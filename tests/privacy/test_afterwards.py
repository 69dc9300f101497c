"""What is left of somebody who was erased is shown as what it is: on pages of the city, nothing without a name."""

from __future__ import annotations

import re
from uuid import UUID

import httpx

from shanhe.identity.api import Client, Role, Stage
from shanhe.kernel.notify import Notice, Text
from shanhe.ledger.api import Asset
from shanhe.nomads.api import NewVenue, VenueKind
from shanhe.wiring.arrivals import follow_arrivals
from shanhe.wiring.erasure import follow_erasures
from stage.browsing import visitor
from stage.reading import fill

from .conftest import House

ROWS = re.compile(r"<tr[^>]*>.*?</tr>", re.S)


async def clerk(house: House, login: str, *roles: Role) -> httpx.AsyncClient:
    """Somebody of the city at their desk, with the second factor that it takes."""
    person = await house.person(login, *roles, name="钱守一")
    opened = await house.services.identity.sessions.open(
        person, stage=Stage.FULL, methods=("password", "totp"), client=Client()
    )
    return visitor(house.site, cookie=f"shanhe_session={opened.token}", **{"x-csrf-token": opened.csrf})


async def gone(house: House) -> UUID:
    """Whoever bought credits, and is erased."""
    person = await house.person("wei", name="卫临风")
    org = await house.own(person)
    await house.services.credits.top_up(org, 5_000_000, "柜台", "person:1", method="cash_desk")
    await house.services.identity.people.erase(person, by="test")
    return org


class TestErased:
    async def test_is_a_number_that_leads_somewhere_in_the_list_of_accounts(self, house: House) -> None:
        org = await gone(house)
        async with await clerk(house, "desk", Role.OPERATOR) as desk:
            listed = (await desk.get("/city/accounts")).text
            (row,) = [row for row in ROWS.findall(listed) if str(org) in row]
            assert f"…{str(org)[-8:]}" in row
            assert "已注销" in row
            page = (await desk.get(f"/city/accounts/{org}")).text
            assert f"<h1>…{str(org)[-8:]}" in page
            assert "已注销" in page
            assert f'action="/city/accounts/{org}/topup"' not in page, "nobody can use what is booked there"
            assert f'action="/city/accounts/{org}/freeze"' not in page

    async def test_is_named_by_number_and_their_account_in_words_in_the_ledger(self, house: House) -> None:
        org = await gone(house)
        async with await clerk(house, "auditor", Role.AUDITOR) as auditor:
            assert f"…{str(org)[-8:]} · 钱包" in (await auditor.get("/city/ledger")).text
            assert f"…{str(org)[-8:]}" in (await auditor.get("/city/ledger/accounts")).text


class TestPosting:
    async def test_offers_no_proof_of_it_once_somebody_it_is_about_was_erased(self, house: House) -> None:
        services, person = house.services, await house.person("wei", name="卫临风")
        org = await house.own(person)
        await services.credits.top_up(org, 5_000_000, "柜台", "person:1", method="cash_desk")
        wallet = (await services.ledger.ensure_account(org, Asset.CREDIT, "wallet")).id
        posting = (await services.ledger.postings(account=wallet, limit=1)).items[0].id
        async with await clerk(house, "auditor", Role.AUDITOR) as auditor:
            while not await services.log.sealed(posting):
                await services.log.seal()
            proof = f"/api/log/proofs/{posting}"
            assert proof in (await auditor.get(f"/city/ledger/postings/{posting}")).text
            assert (await auditor.get(proof)).status_code == 200
            await services.identity.people.erase(person, by="test")
            follow_erasures(services.outbox, services)
            while await services.outbox.deliver_due():
                await services.log.seal()
            page = (await auditor.get(f"/city/ledger/postings/{posting}")).text
            assert proof not in page
            assert "不再签发证明" in page


class TestPerson:
    async def test_has_their_accounts_a_link_away_though_no_search_finds_their_name(self, house: House) -> None:
        person = await house.person("wei", name="卫临风")
        org = await house.own(person)
        await house.services.credits.top_up(org, 5_000_000, "柜台", "person:1", method="cash_desk")
        async with await clerk(house, "desk", Role.OPERATOR) as desk:
            page = (await desk.get(f"/city/accounts/{org}")).text
            (books,) = re.findall(r'href="(/city/ledger/accounts\?find=[^"]*)"', page)
            assert "卫临风" in (await desk.get(books)).text

    async def test_reads_before_an_erasure_what_goes_with_them(self, house: House) -> None:
        person = await house.person("wei", name="卫临风")
        org, now = await house.own(person), house.clock.now()
        await fill(
            house.services.db,
            f"""INSERT INTO datasets.dataset (id, org_id, name, form, licence, consent, made_by, made_at)
                VALUES (gen_random_uuid(), '{org}', 'd', 'pairs', 'x', 'own', 'x', '{now}')""",
            f"""INSERT INTO ip.entry (id, org_id, kind, number, title, abstract, office, document_sha256, state,
                                      created_by, created_at, filed_at)
                VALUES (gen_random_uuid(), '{org}', 'other', '1', 't', '', '', '', 'filed', 'x', '{now}', '{now}')""",
            f"""INSERT INTO science.deposit (id, org_id, kind, state, created_by, created_at)
                VALUES (gen_random_uuid(), '{org}', 'code', 'published', 'x', '{now}')""",
            f"""INSERT INTO science.version (deposit, n, title, abstract, licence, sha256, link, created_at,
                                            published_at)
                SELECT id, 1, 't', '', 'MIT', '', '', '{now}', '{now}' FROM science.deposit""",
            f"""INSERT INTO science.author (deposit, n, at, party, share_ppm, agreed_at)
                SELECT id, 1, 1, '{org}', 1000000, '{now}' FROM science.deposit""",
        )
        async with await house.browser(person) as owner:
            left = (await owner.get("/my-data")).text
        for words in ("登记的知识产权 1 项", "开放科学成果 1 项", "数据集与知识库 1 个"):
            assert words in left, words


class TestFrozen:
    async def test_organisation_is_told_on_each_page_and_by_a_notice_until_it_is_frozen_no_more(
        self, house: House
    ) -> None:
        person, orgs, outbox = await house.person("wei"), house.services.identity.orgs, house.services.outbox
        org = await house.own(person)
        follow_arrivals(outbox, house.services.identity, house.services.leavings, house.services.notifier, house.clock)
        async with await house.browser(person) as owner, await clerk(house, "desk", Role.OPERATOR) as desk:
            await orgs.freeze(org, "涉嫌盗刷", by="test")
            await outbox.deliver_due()
            keys = (await owner.get("/keys")).text
            assert "2026-03-02 起账户被冻结" in keys
            assert "联系运营方" in keys
            told = (await owner.get("/notices")).text
            assert "您的账户已被冻结" in told
            assert "涉嫌盗刷" not in keys + told, "a clerk's word to clerks"
            page = (await desk.get(f"/city/accounts/{org}")).text
            assert "涉嫌盗刷" in page
            assert f'href="/city/credits/estates?org={org}"' in page
            await orgs.unfreeze(org, by="test")
            await outbox.deliver_due()
            assert "起账户被冻结" not in (await owner.get("/keys")).text
            assert "您的账户已解冻" in (await owner.get("/notices")).text


class TestAuditor:
    async def test_is_led_by_notices_only_to_pages_that_auditors_may_open(self, house: House) -> None:
        for page in ("/city/store", "/city/second#r1"):
            await house.services.notifier.notify(Notice("test", Text(page, page), Text("", ""), link=page))
        async with await clerk(house, "auditor", Role.AUDITOR) as auditor:
            shown = (await auditor.get("/notices")).text
            assert 'href="/city/second#r1"' in shown
            assert 'href="/city/store"' not in shown
        async with await clerk(house, "desk", Role.OPERATOR) as desk:
            assert 'href="/city/store"' in (await desk.get("/notices")).text


class TestGate:
    async def test_is_offered_to_whom_it_opens(self, house: House) -> None:
        org = await house.own(await house.person("host"))
        made = await house.services.nomads.venues.add(NewVenue("青川咖啡", VenueKind.SPACE, org), actor="test")
        async with await clerk(house, "desk", Role.OPERATOR) as desk:
            gate = f"/venues/{made.id}/gate"
            assert (await desk.get(gate)).status_code == 403
            assert f'href="{gate}"' not in (await desk.get("/city/nomads")).text
