"""Whoever is erased can be read nowhere: no table, no file of the database or its log, no backup, no document, no log.

A person with unmistakable values lives through everything that takes a text from a person, here over the whole city.
Nothing is ever written in plain; once the key is gone, what was sealed is noise in every copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from tests.conftest import PostgresServer

from shanhe.console.live.modules import Names
from shanhe.identity.api import ERASED_TOPIC, Client, NewKey, Role
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import PersonErased
from shanhe.ledger.api import Asset
from shanhe.log.api import verify
from shanhe.payments.api import PayeeKind
from shanhe.privacy.api import RequestKind
from shanhe.programmes.api import Verdict
from shanhe.wiring.erasure import follow_erasures

from .conftest import House
from .lives import LATER_VALUES, NEVER_SHOWN, live_on
from .needles import Haystack, writings
from .second_lives import SECOND_UNSHOWN, SECOND_VALUES
from .test_inventory import listed
from .third_lives import THIRD_UNSHOWN, THIRD_VALUES

if TYPE_CHECKING:
    from stage.fixtures import Stage

VALUES = (
    {
        "name": "欧阳赛博坦",
        "login": "ouyang-zyxwv",
        "email": "ouyang.zyxwv@erase.example",
        "phone": "139-8765-4321",
        "phone digits": "13987654321",
        "id number": "330102199003078888",
        "account": "6222020200112233445",
        "residence": "青川县望不见路 7788 号",
        "registration": "2026SR7766554",
        "certificate": "软著登字第 99887766 号",
        "supplement": "2026SR1122334",
        "return reason": "欧阳材料缺页甲",
        "refusal": "欧阳登记不符乙",
        "appeal": "欧阳不服复议丙",
        "key": "欧阳的笔记本钥匙",
        "alert": "欧阳月度提醒",
        "invoice title": "欧阳个体抬头",
        "tax number": "92330102MA2ZZZ8X7Q",
        "invoice reason": "欧阳税号有误丁",
        "dispute": "欧阳没有调用过",
        "evidence": "欧阳当晚在外地",
        "dispute answer": "欧阳所述属实",
        "refund": "欧阳买错了型号",
        "top-up": "欧阳柜台缴费",
        "market dispute": "欧阳没有下单",
        "market answer": "欧阳误操作",
        "withdrawal": "欧阳农商行 6217001122334455667",
        "asked": "欧阳请更正住址",
        "told": "欧阳住址已更正",
        "browser": "OuyangBrowser/77.1",
        "address": "203.0.113.77",
        "payer": "欧阳赛博坦转账人",
        "remark": "欧阳买积分谢谢",
    }
    | LATER_VALUES
    | SECOND_VALUES
    | THIRD_VALUES
)
UNTOUCHED = {"retrieval.embedded.sealed", "retrieval.chunk.sealed"}
"""Vectors: numbers that take an engine to make."""
SEALED_STARTS = ("\x1e", r"\x01", r"\x1e", r'{"\u001e"')
"""A sealed text, a sealed value as bytes, sealed pieces, a sealed JSON value, as PostgreSQL shows them."""


async def live(house: House, person: UUID, org: UUID) -> dict[str, Any]:
    """Everything a person can write, or that others write about them; ids that the test needs again."""
    kept = await _apply(house, person, org)
    await _spend(house, person, org)
    await _trade(house, person, org)
    await _bank(house, org)
    privacy = house.services.privacy
    asked = await privacy.ask(person, RequestKind.CORRECTION, VALUES["asked"], request_id=uuid4())
    await privacy.decide(asked.id, done=True, answer=VALUES["told"], by="person:1")
    return kept


async def _apply(house: House, person: UUID, org: UUID) -> dict[str, Any]:
    """A fact, an application that is returned, supplemented, refused and appealed, over HTTP."""
    clerk, programmes = await house.person("clerk-1"), house.services.programmes
    await programmes.reviewing.assign(clerk, "ip_office", actor="test")
    async with await house.browser(person, Client(VALUES["address"], VALUES["browser"])) as browser:
        fact = {"name": "residence", "value": VALUES["residence"], "valid_from": "2026-01-01"}
        assert (await browser.post("/api/facts", json=fact)).status_code == 201
        form = {
            "programme": "software_copyright", "client_ref": "first",
            "answers": {"registration_number": VALUES["registration"], "registered_on": "2026-02-10"},
            "evidence": {"certificate": {"reference": VALUES["certificate"], "sha256": ""}},
        }  # fmt: skip
        made = (await browser.post("/api/programmes/applications", json=form)).json()
        path = f"/api/programmes/applications/{made['id']}"
        application = UUID(made["id"])
        await programmes.reviewing.decide(application, clerk, Verdict.RETURN, reason=VALUES["return reason"])
        more = {"answers": {"registration_number": VALUES["supplement"]}, "evidence": {}}
        assert (await browser.post(f"{path}/supplement", json=more)).status_code == 200
        await programmes.reviewing.decide(application, clerk, Verdict.REFUSE, reason=VALUES["refusal"])
        assert (await browser.post(f"{path}/appeal", json={"why": VALUES["appeal"]})).status_code == 200
        key = await browser.post("/api/keys", json={"name": VALUES["key"]})
        assert key.status_code in (200, 201), key.text
        for wrong in ({"name": VALUES["name"] * 200}, {"nom": VALUES["name"]}):
            assert (await browser.patch("/api/identity/me", json=wrong)).status_code == 422
        assert (await browser.get("/api/privacy/me/copy.pdf")).status_code == 200
    await house.services.outbox.deliver_due()
    return {"application": application}


async def _spend(house: House, person: UUID, org: UUID) -> None:
    """A top-up with a reason, an alert, an invoice that is given back, a refund, a payee."""
    credits, by = house.services.credits, f"person:{person}"
    bought = await credits.top_up(org, 50_000_000, VALUES["top-up"], "person:1", method="cash_desk")
    await credits.alerts.create(org, name=VALUES["alert"], window="month", amount_micro=1, actor=by)
    invoice = await credits.invoices.request(
        org, client_ref="i", kind="ordinary", title=VALUES["invoice title"], tax_number=VALUES["tax number"],
        amount_fen=100, email=VALUES["email"], actor=by,
    )  # fmt: skip
    await credits.invoices.reject(invoice.id, reason=VALUES["invoice reason"], by="person:1")
    await credits.alerts.run()
    await credits.refunds.refund(org, bought.id, client_ref="r", reason=VALUES["refund"], actor=by)
    holder = f"{VALUES['name']} {VALUES['id number']}"
    await house.services.payouts.payees.set(
        org, person_id=person, kind=PayeeKind.PERSON, holder=holder, account=VALUES["account"], bank="农商行"
    )


async def _trade(house: House, person: UUID, org: UUID) -> None:
    """Cash on the exchange that is asked back, and complaints; a receipt that is disputed."""
    exchange, by = house.services.exchange, f"person:{person}"
    await exchange.cash.receive(org, 10_000, reference="b-1", actor="person:1")
    asked = new_id()
    await exchange.cash.withdraw(org, 5_000, withdrawal_id=asked, payee=VALUES["withdrawal"], actor=by)
    await exchange.cash.decide_withdrawal(asked, paid=True, reference=VALUES["withdrawn"], actor="person:1")
    number = uuid4()
    await exchange.disputes.open(uuid4(), org, VALUES["market dispute"], dispute_id=number, actor=by)
    await exchange.disputes.decide(number, upheld=True, answer=VALUES["market answer"], actor="person:1")
    disputes = house.services.credits.disputes
    receipt = await _receipt(house, org)
    made = await disputes.open(org, receipt, reason=VALUES["dispute"], evidence=VALUES["evidence"], actor=by)
    await disputes.grant(made.id, answer=VALUES["dispute answer"], by="person:1")


async def _receipt(house: House, org: UUID) -> UUID:
    """A call's charge, as the gateway would book it."""
    from shanhe.ledger.api import Posting, Transfer

    ledger = house.services.ledger
    await house.services.credits.top_up(org, 5_000_000, "更多", "person:1", method="cash_desk")
    wallet = await ledger.ensure_account(org, Asset.CREDIT, "wallet")
    platform = await ledger.system_account("platform", Asset.CREDIT)
    transfer = Transfer(new_id(), wallet.id, platform.id, 1_000)
    posting = Posting(id=new_id(), kind="call", transfers=(transfer,), actor="test", memo="")
    await ledger.post(posting)
    return posting.id


async def _bank(house: House, org: UUID) -> None:
    """A purchase by bank transfer, and the statement that shows who paid."""
    credits = house.services.credits
    quote = await credits.quote(org, 10_000)
    bought = await credits.purchase(org, quote_id=quote.id, client_ref="bank", actor="person:1", method="bank_transfer")
    order = await house.services.payments.order(bought.order_id)
    row = f"2026-03-02,10:30:00,,{order.amount_fen / 100:.2f},{VALUES['payer']},{VALUES['account']},转账,"
    row += f"{VALUES['remark']}{order.provider_ref or order.details['reference']},L1"
    data = f"交易日期,交易时间,借方发生额,贷方发生额,对方户名,对方账号,摘要,附言,流水号\n{row}".encode()
    report = await house.services.bank.statements.take(data, name="3月.csv", actor="person:1", second="person:2")
    assert [str(line.state) for line in report.lines] == ["matched"]


def keys_in(folder: Path) -> list[Path]:
    return [*folder.rglob("*.key"), *folder.rglob(".*.key*")]


async def proof_of(house: House, subject: UUID) -> bytes:
    """A proof of an entry, once it is sealed."""
    while not await house.services.log.sealed(subject):
        await house.services.log.seal()
        await asyncio.sleep(0.01)
    return str(await house.services.log.prove(subject)).encode()


class TestErasure:
    async def test_leaves_nothing_to_read_in_tables_files_wal_backup_or_logs(
        self, house: House, postgres_server: PostgresServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        services = house.services
        postgres_server.forget()  # other tests wrote the same values as an earlier release had left them, in plain
        person = await house.person(VALUES["login"], name=VALUES["name"], email=VALUES["email"], phone=VALUES["phone"])
        org = await house.own(person)
        clerk = await house.person("clerk-2", Role.OPERATOR)
        async with await house.browser(clerk) as desk:  # somebody looks the person up
            assert (await desk.post("/api/people/find", json={"phone": VALUES["phone"]})).json()["data"]
        await live(house, person, org)
        hay = Haystack(VALUES | await live_on(house, person, org))
        assert await self.unsealed(house) == []
        with pytest.raises(ShanheError):
            await services.identity.sign_in(VALUES["login"], "wrong", Client(VALUES["address"], VALUES["browser"]))
        known = (await (await house.browser(person)).get("/api/privacy/me/copy.json")).text
        # Never kept, replaced by the supplement, or only there to recognise a device.
        unknown = {"phone digits", "browser", "address", "payer", "remark", "registration", "stranger", *NEVER_SHOWN,
                   *SECOND_UNSHOWN, *THIRD_UNSHOWN}  # fmt: skip
        assert [name for name, value in VALUES.items() if name not in unknown and value not in known] == []

        wallet = (await services.ledger.ensure_account(org, Asset.CREDIT, "wallet")).id
        posting = (await services.ledger.postings(account=wallet, limit=1)).items[0].id
        proof = await proof_of(house, posting)
        ours = await services.db.fetchval("SELECT oid::int FROM pg_database WHERE datname = current_database()")
        backup = self.backup(postgres_server, tmp_path, ours)
        places = [postgres_server.folder, tmp_path]
        assert await hay.in_tables(services.db) == []
        assert hay.in_files(places, database=ours) == []  # never written in plain, not even while the person was here

        names = Names(services.identity, services.ledger)
        assert await names.owner(org) == VALUES["name"]
        await services.identity.people.erase(person, by="person:1")
        assert VALUES["name"] not in await names.owner(org)  # no page shows it from memory either
        assert not services.vault.exists(person)
        event = await services.db.fetchrow("SELECT key, payload FROM kernel.event WHERE topic = $1", ERASED_TOPIC)
        assert (event["key"], event["payload"]["org_id"]) == (str(person), str(org))
        await self.told(house, org)
        postgres_server.admin("CHECKPOINT")
        assert await hay.in_tables(services.db) == []
        assert hay.in_files(places, database=ours) == []
        said = capfd.readouterr()
        assert hay.in_bytes("log", (said.out + said.err).encode()) == []
        await self.unreadable(house, person, org, backup)
        verify(proof, services.log.verifiers())
        assert (await services.ledger.verify()).clean

    async def unsealed(self, house: House) -> list[str]:
        """Columns that are said to be sealed and where this life left nothing: they would show nothing."""
        left = []
        for (place, column), kind in listed().items():
            if kind not in ("sealed", "line") or f"{place}.{column}" in UNTOUCHED:
                continue
            texts = await house.services.db.fetch(f"SELECT {column}::text AS text FROM {place}")
            if not any(row["text"] and row["text"].startswith(SEALED_STARTS) for row in texts):
                left.append(f"{place}.{column}")
        return left

    async def told(self, house: House, org: UUID) -> None:
        """Whoever keeps something of the person is told, and stops serving it."""
        services = house.services
        follow_erasures(services.outbox, services)
        while await services.outbox.deliver_due():
            await services.log.seal()
        states = await services.db.fetch("SELECT state FROM store.listing WHERE owner = $1", org)
        assert {row["state"] for row in states} == {"withdrawn", "draft"}
        assert await services.workshop.datasets.datasets(org) == []
        assert await services.db.fetchval("SELECT closed_at FROM nomads.venue WHERE org_id = $1", org) is not None
        stranger = next(one for one in (await services.bank.statements.files()) if one.name == "4月.csv")
        assert {line.party for line in (await services.bank.statements.report(stranger.hash)).lines} == {""}

    def backup(self, server: PostgresServer, folder: Path, database: int) -> Path:
        """The data folder with its write-ahead log, copied as a file system's snapshot would be."""
        server.admin("CHECKPOINT")
        source, target = server.folder / "data", folder / "backup"

        def others(place: str, names: list[str]) -> list[str]:
            return [name for name in names if name != str(database)] if place == str(source / "base") else []

        with contextlib.suppress(shutil.Error):  # a file of the running server may vanish while it is copied
            shutil.copytree(source, target, ignore=others)
        assert list((target / "pg_wal").glob("0*"))
        assert list((target / "base" / str(database)).glob("[0-9]*"))
        return target

    async def unreadable(self, house: House, person: UUID, org: UUID, backup: Path) -> None:
        """What is left says nothing to whoever asks, and the key is in no copy either."""
        services = house.services
        with pytest.raises(PersonErased):
            services.vault.encrypt(person, "x", "x")
        assert keys_in(backup) == []
        left = str([
            await services.programmes.applications(org_id=org),
            [await services.programmes.file(app.id) for app in await services.programmes.applications(org_id=org)],
            await services.credits.invoices.list(org), await services.credits.disputes.list(org),
            await services.credits.refunds.list(org), await services.credits.purchases(org),
            await services.credits.alerts.of(org), await services.identity.keys.list(org),
            await services.exchange.cash.withdrawals(org), await services.exchange.disputes.list(org),
            await services.privacy.requests(person_id=person), await services.identity.people.get(person),
            await services.notifier.inbox(person, [org]), await services.store.mine(org),
            await services.credits.estates.list(org), await services.nomads.own_copy(person, actor="test", most=9),
            await services.workshop.batches.batches(org), await services.approvals.requests(),
            await services.payouts.payees.of(org), await services.governance.deciding.said_by(person),
        ])  # fmt: skip
        assert [name for name, value in VALUES.items() if value in left] == []

    async def test_is_looked_for_in_every_writing(self, house: House, tmp_path: Path) -> None:
        """The search itself finds a value however it lies there; otherwise finding nothing would say nothing."""
        plain = "司马明文"
        hay = Haystack({"name": plain})
        for how, needle in writings(plain).items():
            (tmp_path / "x").write_bytes(b"\x00" * 11 + needle + b"\x00")
            assert any(f"as {how}" in one for one in hay.in_files([tmp_path])), how
        await house.services.db.execute(
            "INSERT INTO kernel.act VALUES ($1, $2, 'x', 'x', $3, NULL, '{}')", new_id(),
            datetime(2026, 1, 1, tzinfo=UTC), plain,
        )  # fmt: skip
        assert await hay.in_tables(house.services.db) == ["kernel.act: name as utf-8"]


class TestPrompt:
    def test_is_in_no_file_of_a_running_city(self, stage: Stage) -> None:
        """Prompts and answers pass through; keys named by people reach neither receipts nor logs."""
        secret = {"prompt": f"欧阳的病历{uuid4().hex}", "key": f"欧阳手机{uuid4().hex}"}

        async def work(services: Any) -> str:
            from shanhe.identity.api import NewPerson

            made = await services.identity.people.create(NewPerson("欧阳", f"u{uuid4().hex[:12]}"), by="test")
            org = await services.identity.orgs.create_personal(made.id, by="test")
            await services.credits.top_up(org.id, 10_000_000, "测试", "test", method="cash_desk")
            return (await services.identity.keys.create(org.id, NewKey(secret["key"]), by="test"))[1]

        import httpx

        token = stage.run(work)
        headers = {"authorization": f"Bearer {token}"}
        body = {"model": "good", "messages": [{"role": "user", "content": secret["prompt"]}], "max_tokens": 8}
        with httpx.Client(base_url=stage.url, headers=headers, timeout=30.0, trust_env=False) as client:
            assert client.post("/v1/chat/completions", json=body).status_code == 200
            assert client.post("/v1/chat/completions", json=body | {"model": "broken"}).status_code >= 400
            assert client.post("/v1/chat/completions", json=body | {"max_tokens": "x"}).status_code >= 400
        assert Haystack(secret).in_files([stage.city.data]) == []
