"""The demo city: organisations, an administrator, credits and a key, made once and found again at every start.

Everything goes through the modules' own doors; the credits come from a real posting. What only its maker knows (the
password, the key) is kept in demo.env and handed back in here; when that file is lost, both are made anew.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_OID, UUID, uuid5

from shanhe.approvals.api import NewLicence, Scope
from shanhe.board.api import Kind as Side
from shanhe.board.api import Words
from shanhe.clones.api import Mandate
from shanhe.exchange.api import BUY, SELL, Market, NewOrder
from shanhe.facts.api import NewFact, Standing, Use
from shanhe.founding import Demo
from shanhe.identity.api import NewKey, NewOrganisation, NewPerson, Organisation, OrgKind, Role
from shanhe.ip.api import Kind as RightKind
from shanhe.ip.api import NewEntry
from shanhe.ip.api import State as RightState
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.money import FEN, MICRO
from shanhe.ledger.api import Asset, NewLot, OpeningBalance, Provenance
from shanhe.nomads.api import NewVenue, VenueKind
from shanhe.retrieval.api import NewBase
from shanhe.store.api import ChecksFailed, Kind, NewContest, NewListing, Terms
from shanhe.wiring.knowledge import GUIDE_BASE, renew_guide

if TYPE_CHECKING:
    from shanhe.app import Services

ACTOR: Final = "demo"
ADMIN_LOGIN: Final = "admin"
ADMIN_NAME: Final = "演示管理员 Demo Admin"
PASSWORD_BYTES: Final = 12
CREDITS_MICRO: Final = 10_000 * 1_000_000
CREDITS_REF: Final = "demo-first-credits"
LICENCE_AUTHORITY: Final = "（示例）山河市金融管理办公室 Sample Finance Office"
LICENCE_DAYS: Final = 365
DEMO_SPACE: Final = UUID("d3300000-0000-5000-8000-000000000001")
TRADERS: Final = (
    NewOrganisation(OrgKind.COMPANY, "清源智算（演示） Qingyuan Compute (demo)"),
    NewOrganisation(OrgKind.COMPANY, "云麓软件（演示） Yunlu Software (demo)"),
)
TRADE_MICRO: Final = 2_000 * MICRO
TRADE_LOT_FEN: Final = 2_000 * FEN
TRADE_CASH_FEN: Final = 100_000
TRADE_ORDERS: Final = (
    (SELL, 7_200, 200), (SELL, 6_900, 150), (SELL, 6_600, 120), (SELL, 6_300, 60),
    (BUY, 6_450, 80), (BUY, 6_100, 140), (BUY, 5_800, 200), (BUY, 5_400, 150),
)  # fmt: skip
"""(side, price in ticks, credits): one pair crosses, the rest gathers."""
DEVELOPER: Final = NewOrganisation(OrgKind.COMPANY, "山河演示开发 Shanhe Demo Developers")
AGENT_SLUG: Final = "letters"
AGENT_INSTRUCTIONS: Final = "你是公文助手。把用户给出的要点写成简洁、得体的中文信函，不编造事实。"
AGENT_MARKUP_BPS: Final = 2_000
GUIDE_MARKUP_BPS: Final = 100  # the least that P6 knows: every token pays
GUIDE_SLUG: Final = "xiaozhi"
GUIDE_TITLE: Final = "山河市政策（演示）"
GUIDE_INSTRUCTIONS: Final = (
    "你是山河小智，山河市的政策向导。只依据给出的资料回答，用一两句话说明数额、条件与期限，"
    "照抄资料中的数字，不补充资料之外的内容。"
)
BUREAU: Final = NewOrganisation(OrgKind.GOVERNMENT, "山河市数据局 Shanhe Data Bureau")
INDUSTRY: Final = NewOrganisation(OrgKind.GOVERNMENT, "山河市经济和信息化局（示例）Economy Bureau Sample")
INDUSTRY_MICRO: Final = 10_000 * MICRO
INDUSTRY_REF: Final = "demo-content-hub"
APPLICANT: Final = NewOrganisation(OrgKind.COMPANY, "青山机器人（示例）Qingshan Robotics Sample")
APPLICATION: Final = {"registration_number": "示例2026SR0000001", "registered_on": "2026-01-05"}
WHOLE_PPM: Final = 1_000_000
RIGHT_PPM: Final = 10_000
APPLICATION_REF: Final = "demo-first-application"
BUDGETS: Final = {"credit": 1_000_000 * 1_000_000, "cny": 100_000_000, "voucher": 10_000_000, "ticket": 10}
VENUES: Final = (
    ("湖畔共享空间（示例）Lakeside Space Sample", VenueKind.SPACE),
    ("云台山（示例）Yuntai Hill Sample", VenueKind.ATTRACTION),
    ("老街茶馆（示例）Old Street Tea Sample", VenueKind.MERCHANT),
)
RESOURCES: Final = (
    ("desk", "共享工位（示例）", "Desks Sample", 0, 24, 40),
    ("training", "提示词训练营（示例）", "Prompt Camp Sample", 9, 17, 20),
    ("mentoring", "创业导师（示例）", "Mentor Sample", 9, 17, 2),
    ("marketing", "城市媒体位（示例）", "City Media Sample", 0, 24, 3),
    ("adviser", "专属顾问（示例）", "Adviser Sample", 9, 17, 1),
)
"""Service, names, hours, seats."""
NODE: Final = NewOrganisation(OrgKind.COMPANY, "本地算力节点 Local Compute Node")
CONTEST_POOL_FEN: Final = 5_000_000
CONTEST_DAYS: Final = 30
CONTEST_WORK: Final = "先把来件的要点逐条列出，再按公文格式写成回信；没有写明的事一律标注“待核”，不替人补充。"
DEPICTED: Final = NewPerson("陈书远（示例人物）Chen Shuyuan Sample", "chen.shuyuan")
CLONE: Final = "clone/chen-shuyuan"
CLONE_CALLED: Final = "陈书远老师（示例）"
CLONE_INSTRUCTIONS: Final = (
    "你是退休语文教师陈书远的数字分身，教孩子写作文。先问孩子想写什么，再帮他列三条提纲，"
    "最后只改一处最要紧的毛病。说话简短、和气。"
)
CLONE_USES: Final = ("consultation", "teaching", "alliance", "training")
CLONE_DAYS: Final = 365
WORKFLOW: Final = "weekly-brief"
WORKFLOW_TITLE: Final = "周报起草与签发（示例）"
BOARD_DAYS: Final = 90
BOARD: Final = (
    (Side.NEED, "竹制品表面瑕疵自动检验",
     "竹砧板抛光后靠人工看霉斑和裂纹，每分钟二十片仍有漏检，想用机器视觉在线检验。",
     "manufacturing", 6),
    (Side.NEED, "灌区末端用水调度",
     "末端几个村灌水高峰轮不上，渠道闸门靠人开，想按墒情和天气预报安排轮灌。",
     "agriculture", 5),
    (Side.SOLUTION, "小样本表面缺陷视觉检测",
     "异常检测网络，几十张良品即可上线，识别裂纹、霉斑、划伤，节拍一秒，附光源与安装方案。",
     "manufacturing", 8),
    (Side.SOLUTION, "灌区需水预报与闸门联合调度",
     "依据土壤墒情与气象预报计算各支渠需水，生成轮灌计划并驱动闸门，已在一个灌区试用。",
     "agriculture", 6),
)  # fmt: skip
DEPARTMENTS: Final = ("算力运营处 Compute", "财务结算处 Settlement", "规则审计处 Rules and Audit")


async def seed(services: Services, known: Mapping[str, str]) -> Demo:
    """Make what is missing; `known` is the last start's demo.env (empty at the first)."""
    developer = await _organisation(services, DEVELOPER)
    bureau = await _organisation(services, BUREAU)
    there = {department.name for department in await services.identity.orgs.departments(bureau.id)}
    for name in DEPARTMENTS:
        if name not in there:
            await services.identity.orgs.add_department(bureau.id, name, by=ACTOR)
    password = await _admin(services, developer.id, known.get("SHANHE_ADMIN_PASSWORD", ""))
    await services.credits.top_up(
        developer.id, CREDITS_MICRO, "demo city", ACTOR, method="cash_desk", client_ref=CREDITS_REF
    )
    await _programmes(services)
    await _licence(services)
    await _market(services, developer.id)
    await _shop(services)
    await _guide(services)
    await _content(services)
    await _contest(services)
    await _board(services, developer.id)
    await _clone(services, developer.id)
    await _workflow(services, developer.id)
    await _venues(services, developer.id)
    await _incubator(services, (await _organisation(services, APPLICANT)).id)
    return Demo(ADMIN_LOGIN, password, await _key(services, developer.id, known.get("SHANHE_API_KEY", "")))


async def _programmes(services: Services) -> None:
    """Budgets that hold something, the administrator as every department's reviewer, and one application that waits."""
    programmes = services.programmes
    admin = await services.identity.people.by_name(ADMIN_LOGIN)
    if admin is not None:
        for department in programmes.catalogue.departments:
            await programmes.reviewing.assign(admin, department, actor=ACTOR)
    for view in await programmes.budgets.list():
        if not (view.free or view.committed or view.spent or programmes.catalogue.budgets[view.name].unlimited):
            await programmes.budgets.fund(
                view.name, BUDGETS[view.asset], reason="demo city", actor=ACTOR,
                funding_id=uuid5(NAMESPACE_OID, f"demo:{view.name}"),
            )  # fmt: skip
    applicant = await _organisation(services, APPLICANT)
    if admin is not None:
        await _right(services, applicant.id, admin)
    if not await programmes.applications(org_id=applicant.id, limit=1):
        await programmes.applying.apply(
            "software_copyright", applicant.id, answers=APPLICATION, client_ref=APPLICATION_REF, actor=ACTOR,
            evidence={"certificate": "（示例）软著登字第 0001 号"},
        )  # fmt: skip


async def _right(services: Services, holder: UUID, officer: UUID) -> None:
    """A software copyright in the registry that any call may use for a hundredth of its price."""
    rights, number = services.commons.rights, uuid5(DEMO_SPACE, "right")
    new = NewEntry(
        number, RightKind.SOFTWARE_COPYRIGHT, APPLICATION["registration_number"], "零件质检软件（示例）",
        "从图像中找出零件表面缺陷的软件。", "中国版权保护中心（示例）", None,
        date.fromisoformat(APPLICATION["registered_on"]), "", ((holder, WHOLE_PPM),), RIGHT_PPM,
    )  # fmt: skip
    found = await rights.draft(new, org_id=holder, actor=ACTOR)
    if found.entry.state is RightState.DRAFT:
        found = await rights.file(number, org_id=holder, actor=ACTOR)
    if found.entry.state is RightState.FILED:
        await rights.decide(number, verify=True, reason="示例数据", person_id=officer)


async def contributor(services: Services) -> UUID:
    """The organisation that contributes the embedded node, and is paid for it."""
    return (await _organisation(services, NODE)).id


async def _market(services: Services, developer: UUID) -> None:
    """Two traders with taken-over balances and a few orders, so that the next auction has something to clear."""
    exchange = services.exchange
    if (await exchange.market()) is not Market.REAL:
        return
    seller, buyer = [await _organisation(services, trader) for trader in TRADERS]
    for org in (seller.id, developer):
        wallet = await services.ledger.ensure_account(org, Asset.CREDIT, "wallet")
        lot = NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=TRADE_MICRO, cost_fen=TRADE_LOT_FEN)
        entry = OpeningBalance(account=wallet.id, amount=TRADE_MICRO, lots=(lot,))
        await services.ledger.open_books([entry], posting_id=uuid5(DEMO_SPACE, f"lots {org}"), actor=ACTOR)
    for org in (buyer.id, developer):
        await exchange.cash.receive(org, TRADE_CASH_FEN, reference="demo opening", actor=ACTOR)
    for number, (side, ticks, credits) in enumerate(TRADE_ORDERS):
        org = buyer.id if side == BUY else seller.id
        order = NewOrder(uuid5(DEMO_SPACE, f"order {number}"), org, side, ticks, credits * MICRO)
        with contextlib.suppress(ShanheError):  # an operator may have paused the market or changed its rules
            await exchange.place(order, actor=ACTOR)


async def _shop(services: Services) -> None:
    """An agent of one of the makers, reviewed and offered, as soon as the model it runs on is there."""
    store, maker = services.store, await _organisation(services, TRADERS[1])
    name = f"agent/{AGENT_SLUG}"
    content = {"model": services.settings.model, "instructions": AGENT_INSTRUCTIONS, "budget_micro": MICRO}
    new = NewListing(
        uuid5(DEMO_SPACE, name), Kind.AGENT, AGENT_SLUG, "公文助手（演示）", "Letter writer (demo)",
        "把要点写成得体的公文与信函。", "Turns notes into polite letters.", "government",
    )  # fmt: skip
    with contextlib.suppress(ChecksFailed):  # without a local model there is nothing it could run on
        await store.open(new, owner=maker.id, actor=ACTOR)
        if any(version.state != "draft" for _, versions in await store.mine(maker.id) for version in versions):
            return
        await store.draft(name, content, Terms(AGENT_MARKUP_BPS), owner=maker.id, actor=ACTOR)
        version = await store.submit(name, owner=maker.id)
        await store.review(name, version.n, approve=True, note="演示", reviewer=ACTOR, reviewer_org=None)


async def _contest(services: Services) -> None:
    """One contest that is open from the city's first day on."""
    today = services.clock.today()
    new = NewContest(
        uuid5(DEMO_SPACE, "contest"), "政务智能体大赛（演示）", "Agents for the town hall (demo)",
        "做一个窗口人员每天都愿意用的智能体：说得清依据，不编造数字。",
        "Make an agent that a clerk likes to use: it says what it rests on.",
        CONTEST_POOL_FEN, today, today + timedelta(days=CONTEST_DAYS), today + timedelta(days=2 * CONTEST_DAYS),
    )  # fmt: skip
    await services.contests.call(new, actor=ACTOR)
    maker = await _organisation(services, TRADERS[1])
    with contextlib.suppress(ShanheError):  # nothing is offered yet, or entries are over
        if await services.contests.entry(new.id, maker.id) is None:
            await services.contests.enter(
                new.id, owner=maker.id, listing=f"agent/{AGENT_SLUG}", work=CONTEST_WORK, actor=ACTOR,
                entry_id=uuid5(DEMO_SPACE, "contest entry"),
            )  # fmt: skip


async def _board(services: Services, maker: UUID) -> None:
    """Needs of a company and solutions of the developers; words alone match them, so that nobody pays. Whatever
    became of them stays."""
    firm = (await _organisation(services, APPLICANT)).id
    until = services.clock.today() + timedelta(days=BOARD_DAYS)
    for kind, title, text, sector, readiness in BOARD:
        owner = firm if kind is Side.NEED else maker
        words = Words(kind, title, text, sector, until, by_meaning=False, readiness=readiness)
        made = await services.board.posts.write(uuid5(DEMO_SPACE, title), owner, words, actor=ACTOR)
        if made.published_at is None:
            await services.board.posts.publish(made.id, owner)


async def _clone(services: Services, maker: UUID) -> None:
    """A made-up teacher who lets the developers make a clone: asked and granted as anybody would; offered once the
    model that it speaks with is there. One that was taken back or let go stays gone."""
    store = services.store
    mandate = await _mandate(services, maker)
    if mandate is None or mandate.state != "granted":
        return
    content = {"model": services.settings.model, "instructions": CLONE_INSTRUCTIONS, "budget_micro": MICRO,
               "clone": {"mandate": str(mandate.id), "topics": ["作文", "提纲", "修改"]}}  # fmt: skip
    new = NewListing(
        uuid5(DEMO_SPACE, CLONE), Kind.CLONE, CLONE.partition("/")[2], "作文老师陈书远（示例分身）",
        "Essay teacher (sample clone)", "列提纲、改作文；由示例人物授权。",
        "Outlines and mends essays; of a made-up person.", "education",
    )  # fmt: skip
    with contextlib.suppress(ChecksFailed):
        await store.open(new, owner=maker, actor=ACTOR)
        mine = [versions for listing, versions in await store.mine(maker) if listing.name == CLONE]
        if any(version.state != "draft" for versions in mine for version in versions):
            return
        await store.draft(CLONE, content, Terms(AGENT_MARKUP_BPS), owner=maker, actor=ACTOR)
        version = await store.submit(CLONE, owner=maker)
        await store.review(CLONE, version.n, approve=True, note="演示", reviewer=ACTOR, reviewer_org=None)


async def _mandate(services: Services, maker: UUID) -> Mandate | None:
    """The newest request for the clone; the first one is granted by the person it depicts."""
    clones, people = services.clones, services.identity.people
    known = [one for one in await clones.mandates(org_id=maker) if one.name == CLONE]
    if known and known[0].state != "asked":
        return known[0]
    if known:  # a start that broke off: its link is lost
        await clones.drop(known[0].id, maker)
    assert DEPICTED.login is not None
    person = await people.by_name(DEPICTED.login) or (await people.create(DEPICTED, by=ACTOR)).id
    until = services.clock.today() + timedelta(days=CLONE_DAYS)
    _, code = await clones.ask(maker, CLONE, CLONE_USES, until, by=ACTOR)
    return await clones.grant(
        code, person, called=CLONE_CALLED, wanted=CLONE_USES, until=until, notice_version=clones.notice()["version"]
    )


async def _workflow(services: Services, org_id: UUID) -> None:
    """Notes become a draft, somebody signs, the draft goes out: published, ready to be started."""
    workflows, number = services.routines.workflows, uuid5(DEMO_SPACE, WORKFLOW)
    if any(one.id == number for one in await workflows.mine(org_id)):
        return
    content = {
        "start": "write", "inputs": ["notes"], "budget_micro": MICRO, "steps_max": 20,
        "nodes": [
            {"kind": "ask", "id": "write", "target": services.settings.model, "save": "draft", "next": "look",
             "system": "把要点写成一段周报，不编造数字。", "prompt": "{{input.notes}}"},
            {"kind": "branch", "id": "look", "when": "length(draft) > 10", "then": "sign", "next": "short"},
            {"kind": "set", "id": "short", "values": {"draft": "（草稿过短，请补充要点）{{draft}}"}, "next": "sign"},
            {"kind": "approval", "id": "sign", "who": "owner", "shows": "{{draft}}", "hours": 72, "next": "out"},
            {"kind": "output", "id": "out", "values": {"brief": "{{draft}}"}},
        ],
    }  # fmt: skip
    await workflows.create(WORKFLOW, WORKFLOW_TITLE, org_id=org_id, by=ACTOR, workflow_id=number)
    await workflows.save(org_id, WORKFLOW, content, by=ACTOR)
    await workflows.publish(org_id, WORKFLOW)


async def _guide(services: Services) -> None:
    """山河小智: the city's guide to its policies, which answers from the rulebook with citations or not at all."""
    bureau = await _organisation(services, BUREAU)
    knowledge, store = services.library.knowledge, services.store
    new = NewBase(GUIDE_TITLE, reach="city", model="")  # by words alone: nothing has to be fetched for a first look
    with contextlib.suppress(ChecksFailed):
        await knowledge.make(bureau.id, new, by=ACTOR, base_id=GUIDE_BASE)
        await renew_guide(knowledge, services.rulebook, services.programmes.catalogue, services.clock.today())
        name = f"agent/{GUIDE_SLUG}"
        await store.open(
            NewListing(
                uuid5(DEMO_SPACE, name), Kind.AGENT, GUIDE_SLUG, "山河小智", "Xiaozhi, the policy guide",
                "依据规则手册回答政策问题，附出处；没有依据就不答。",
                "Answers questions about the city's policies from its rulebook, with citations, or not at all.",
                "government",
            ),
            owner=bureau.id, actor=ACTOR,
        )  # fmt: skip
        if any(version.state != "draft" for _, versions in await store.mine(bureau.id) for version in versions):
            return
        content = {"model": services.settings.model, "instructions": GUIDE_INSTRUCTIONS, "budget_micro": MICRO,
                   "knowledge": [str(GUIDE_BASE)], "temperature": 0, "steps_max": 1}  # fmt: skip
        await store.draft(name, content, Terms(GUIDE_MARKUP_BPS), owner=bureau.id, actor=ACTOR)
        version = await store.submit(name, owner=bureau.id)
        await store.review(name, version.n, approve=True, note="演示", reviewer=ACTOR, reviewer_org=None)


async def _content(services: Services) -> None:
    """A bureau that pays for free drafts of the content hub (B10), unless an operator said who does."""
    bureau = await _organisation(services, INDUSTRY)
    await services.credits.top_up(
        bureau.id, INDUSTRY_MICRO, "demo city", ACTOR, method="cash_desk", client_ref=INDUSTRY_REF
    )
    await services.hub.content.open_city(bureau.id, by=ACTOR)


async def _venues(services: Services, org_id: UUID) -> None:
    """Sample venues for digital nomads: a screen to check in at, gates for tickets and vouchers."""
    for name, kind in VENUES:
        new = NewVenue(name, kind, org_id)
        await services.nomads.venues.add(new, actor=ACTOR, identifier=uuid5(DEMO_SPACE, f"venue {kind}"))


async def _incubator(services: Services, org_id: UUID) -> None:
    """Something of each kind to book, and the sample company in the incubator."""
    for service, zh, en, opens, closes, seats in RESOURCES:
        await services.incubator.add(
            uuid5(DEMO_SPACE, f"resource {service}"), service=service, name_zh=zh, name_en=en,
            place="孵化器二楼（演示）", opens_hour=opens, closes_hour=closes, seats=seats, by=ACTOR,
        )  # fmt: skip
    today = services.clock.today()
    async with services.facts.reading(Use("programmes", ACTOR)) as reader:
        known = await reader.value(org_id, "incubated", on=today)
    if known is None:
        fact = NewFact(uuid5(DEMO_SPACE, "incubated"), org_id, "incubated", True, today, standing=Standing.CHECKED,
                       source="demo city")  # fmt: skip
        await services.facts.publish(fact, actor=ACTOR)


async def _licence(services: Services) -> None:
    """A sample approval, marked as such, so that the demo's exchange shows real settlement with sandbox payments."""
    first = services.clock.today()
    known = await services.approvals.licences(Scope.EXCHANGE)
    if not any(licence.valid_to >= first for licence in known):  # one that was revoked stays revoked
        last = first + timedelta(days=LICENCE_DAYS)
        number = f"示例〔{first.year}〕{first:%m%d} 号"
        await services.approvals.record(
            NewLicence(Scope.EXCHANGE, LICENCE_AUTHORITY, number, first, last, sample=True), by=ACTOR
        )


async def _organisation(services: Services, wanted: NewOrganisation) -> Organisation:
    for org in await services.identity.orgs.list(find=wanted.name):
        if org.name == wanted.name:
            return org
    return await services.identity.orgs.create(wanted, by=ACTOR)


async def _admin(services: Services, org_id: UUID, password: str) -> str:
    """The administrator, who also owns the developers' organisation; the password that works now."""
    people = services.identity.people
    person_id = await people.by_name(ADMIN_LOGIN)
    fresh = password or secrets.token_urlsafe(PASSWORD_BYTES)
    if person_id is None:
        person_id = (await people.create(NewPerson(ADMIN_NAME, ADMIN_LOGIN, password=fresh), by=ACTOR)).id
        await people.grant(person_id, Role.ADMIN, by=ACTOR)
        await services.identity.orgs.set_member(org_id, person_id, Role.OWNER, by=ACTOR)
    elif not password:
        await services.identity.passwords.set(person_id, fresh, by=ACTOR)
    return fresh


async def _key(services: Services, org_id: UUID, token: str) -> str:
    """The demo key: the known one while it works, else a new one."""
    if token:
        try:
            await services.identity.caller(token)
        except ShanheError:
            token = ""
    if not token:
        _, token = await services.identity.keys.create(org_id, NewKey("demo"), by=ACTOR)
    return token
