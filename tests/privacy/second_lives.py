"""What takes a second device or party, or an index, to be written: passkeys, payouts, remedies, tickets, passages."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from openpyxl import Workbook
from tests.identity.test_passkey import Authenticator

from shanhe.exchange import remedy_store
from shanhe.exchange.remedy import REASON_FIELD as REMEDY_FIELD
from shanhe.identity.api import NewOrganisation, OrgKind
from shanhe.nomads import store as nomad_store
from shanhe.nomads.api import NewVenue, VenueKind
from shanhe.payments import payout_store
from shanhe.payments.payout_model import Payout, PayoutState
from shanhe.retrieval.api import NewBase, Question
from shanhe.studio import store as studio_store
from shanhe.studio.model import Job
from shanhe.studio.service import RUBRIC_FIELD

from .conftest import House

SECOND_VALUES: Final = {
    "passkey": "欧阳的指纹手机",
    "payout": "欧阳劳务凭证不全",
    "remedy": "欧阳误买请求撤回",
    "chapter": "欧阳心脏一章",
    "passage": "欧阳心率七十二次",
    "question": "欧阳心率是多少",
    "sheet": "欧阳体检表",
    "rubric": "欧阳要求只看病理",
}
SECOND_UNSHOWN: Final = frozenset({"passage", "question", "chapter", "remedy", "sheet"})
"""Bodies are downloaded, not copied; why an operator asks to undo a trade stays in the office's file."""
DAYS: Final = 95


async def live_twice(house: House, person: UUID, org: UUID) -> dict[str, str]:
    """Everything of that kind; what was drawn at random and must not be found either."""
    found = await _devices(house, person)
    await _paid(house, org)
    await _undone(house, org)
    await _admitted(house, person)
    await _read(house, org)
    await _judged(house, org)
    return found


async def _devices(house: House, person: UUID) -> dict[str, str]:
    """A passkey with a name, an application with a secret."""
    identity, url = house.services.identity, house.services.settings.url
    ceremony = await identity.passkeys.begin_registration(person)
    device = Authenticator(origin=url, rp_id=ceremony.options["rp"]["id"])
    await identity.passkeys.register(
        person, ceremony.id, device.create(ceremony.options), name=SECOND_VALUES["passkey"], by="t"
    )
    return {"totp secret": (await identity.factors.begin_totp(person)).secret}


async def _paid(house: House, org: UUID) -> None:
    """A request to be paid that is refused with a reason."""
    payouts, db = house.services.payouts, house.services.db
    payee = await payouts.payees.of(org)
    assert payee is not None
    wanted = Payout(
        id=uuid4(), org_id=org, client_ref="p", payee_id=payee.id, amount_micro=10_000_000, subsidy_micro=0,
        state=PayoutState.REQUESTED, posting_id=uuid4(), requested_by="person:5", created_at=house.services.clock.now(),
    )  # fmt: skip
    async with db.transaction() as conn:
        made = await payout_store.insert(conn, wanted)  # whether there is income is another test's
    done = await payouts.refuse(made.id, by="person:1", reason=SECOND_VALUES["payout"])
    assert SECOND_VALUES["payout"] in done.reason


async def _undone(house: House, org: UUID) -> None:
    """Somebody asks for the trades of the person's complaint to be undone."""
    services = house.services
    dispute = await services.db.fetchval("SELECT id FROM exchange.dispute WHERE org_id = $1", org)
    sealed = await services.identity.seals.seal(org, REMEDY_FIELD, SECOND_VALUES["remedy"])
    async with services.db.transaction() as conn:  # whether a trade of theirs stands is another test's
        await remedy_store.insert(conn, uuid4(), dispute, [uuid4()], sealed, "person:1", services.clock.now())


async def _admitted(house: House, person: UUID) -> None:
    """Days enough, the ID, and a ticket used at an attraction."""
    services = house.services
    nomads, today = services.nomads, services.clock.today()
    presence = nomads.presence
    async with services.db.transaction() as conn:
        for back in range(1, DAYS):
            day = today - timedelta(days=back)
            sealed = presence._seal(person, "nomad.day", {"d": day.isoformat(), "p": "code", "s": ""})
            await nomad_store.insert_day(conn, presence._day_key(person, day), person, sealed)
    assert (await nomads.apply(person, client_ref="2", actor="t")).granted
    owner = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "云台山景区"), by="t")
    gate = await nomads.venues.add(NewVenue("云台山", VenueKind.ATTRACTION, owner.id, "云台山"), actor="t")
    ticket = (await nomads.benefits.purse(person)).tickets[0]
    await nomads.benefits.redeem(gate, ticket.code, companions=1, holder_present=True)


async def _read(house: House, org: UUID) -> None:
    """A document read into passages, searched by words, and a question to measure the search by."""
    library, v = house.services.library, SECOND_VALUES
    base = await library.knowledge.make(org, NewBase("欧阳第二库", model=""), by="t")
    await library.knowledge.bring(base, "heart.md", f"# {v['chapter']}\n\n{v['passage']}，规律。\n".encode(), by="t")
    book = Workbook()
    sheet = book.active
    sheet.title = v["sheet"]
    sheet.append(["项目", "结果"])
    sheet.append(["心率", "七十二"])
    kept = io.BytesIO()
    book.save(kept)
    await library.knowledge.bring(base, "heart.xlsx", kept.getvalue(), by="t")
    while await library.indexer.work_once():
        pass
    assert await house.services.db.fetchval("SELECT count(*) FROM retrieval.chunk WHERE base_id = $1", base.id)
    await library.knowledge.set_questions(base, [Question(v["question"], "heart.md", v["passage"])])


async def _judged(house: House, org: UUID) -> None:
    """A job whose judge was told what to look at."""
    services = house.services
    version = await services.db.fetchrow(
        "SELECT v.id, v.dataset_id FROM datasets.version v JOIN datasets.dataset d ON d.id = v.dataset_id"
        " WHERE d.org_id = $1", org,
    )  # fmt: skip
    seal = await services.identity.seals.of(org)
    job = Job(
        id=uuid4(), org_id=org, name="judged", dataset_id=version["dataset_id"], version_id=version["id"], recipe={},
        rubric=seal.text(RUBRIC_FIELD, SECOND_VALUES["rubric"]), state="waiting", steps=1, budget_micro=1,
        spent_micro=0, core_ms=0, hold_id=uuid4(), worker=None, cancel_asked=False, error=None, made_by="t",
        made_at=services.clock.now(), started_at=None, ended_at=None, settled_at=None,
    )  # fmt: skip
    async with services.db.transaction() as conn:  # whether it can be trained is another test's
        await studio_store.insert_job(conn, job, None, ())
