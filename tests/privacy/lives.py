"""What a person leaves in other corners of the city: store, agents, tools, data, files, venues, cards, estates."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final
from uuid import UUID, uuid4

from shanhe.clones import store as clone_store
from shanhe.credits.estate_model import EstateDocument, Successor
from shanhe.datasets.api import NewDataset
from shanhe.facts.api import NewFact, Standing
from shanhe.governance.api import NewProposal
from shanhe.identity.api import NewKey, NewOrganisation, OrgKind, Role
from shanhe.kernel.ids import new_id
from shanhe.mcp import store as tool_store
from shanhe.mcp.model import Tool
from shanhe.mcp.service import _sealed as sealed_tool
from shanhe.nomads.api import NewVenue, VenueKind
from shanhe.retrieval.api import NewBase
from shanhe.store import contest_store
from shanhe.store.api import Kind, NewContest, NewListing, Terms, Words
from shanhe.store.contests import NOTE

from .conftest import House
from .second_lives import live_twice
from .third_lives import live_thrice

LATER_VALUES: Final = {
    "listing title": "欧阳家谱问答",
    "listing summary": "欧阳祖传方子一问一答",
    "later title": "欧阳家谱新问答",
    "summary": "Recipes of the Ouyang-Cybot family",
    "withdrawn": "欧阳流水 20260302-77",
    "instructions": "你是欧阳赛博坦的分身",
    "version notes": "欧阳改了第三版",
    "review": "欧阳的提示词合规",
    "jury": "欧阳此作平平",
    "rating": "欧阳觉得翻译生硬",
    "reply": "欧阳谢过指教",
    "entry": "欧阳用十年笔记练成此作",
    "entry note": "欧阳式笔法一望可知",
    "tool": "查询欧阳的病历本",
    "tool field": "欧阳病历编号",
    "tool title": "查欧阳的病历柜",
    "set name": "欧阳错题集",
    "set note": "欧阳自用勿外传",
    "set file": "欧阳导出.csv",
    "set row": "欧阳问焊条受潮怎么办",
    "base": "欧阳病历库",
    "base file": "欧阳体检报告.txt",
    "base text": "欧阳血压一百四十",
    "file name": "欧阳批量.jsonl",
    "prompt": "欧阳的心电图怎么看",
    "metadata": "欧阳的第七批",
    "custom id": "ouyang-batch-0007",
    "bad file": "ouyang-unknown-model-7",
    "venue": "欧阳家的民宿",
    "venue address": "欧阳巷 88 号后院",
    "insurance": "欧阳参保外市望海",
    "visit": "欧阳丢了身份卡",
    "card appeal": "欧阳称少算十天",
    "card evidence": "欧阳租房合同 77 号",
    "card answer": "欧阳合同已核无入住",
    "fact evidence": "欧阳公证 2026-778",
    "patent": "ZL2026 1 7788990.1",
    "patent title": "欧阳式焊枪夹",
    "leak": "欧阳把密钥贴在博客",
    "frozen": "欧阳已故待承继",
    "revoked": "欧阳换了电脑",
    "estate": "欧阳之女承继",
    "estate paper": "公证遗字欧阳 2026-9",
    "estate refusal": "欧阳公证书缺页",
    "check": "欧阳身份证与户名相符",
    "comment": "欧阳反对涨价",
    "stranger": "欧阳赛博坦",
    "stranger remark": "欧阳转学费请查收",
    "bank note": "欧阳致电说明用途",
    "called": "欧阳夫子",
    "invited as": "ouyang.zhanggui",
    "clone question": "欧阳问分身家训",
    "clone answer": "欧阳家训是勤俭",
    "clone correction": "欧阳家训是勤读",
}
"""Besides `test_erasure.VALUES`."""
PATH_OWNERS: Final = ("digital",)
NEVER_SHOWN: Final = frozenset({
    "tool", "tool field", "tool title", "jury", "review", "leak", "estate refusal", "check", "stranger remark",
    "bank note", "visit", "bad file", "prompt", "set row", "custom id", "base text",
})  # fmt: skip
"""Rows and bodies are downloaded, not copied; what the office says of its own steps is in its files, not the copy."""


async def live_on(house: House, person: UUID, org: UUID) -> dict[str, str]:
    """Everything of the newer corners, ending with the person's death: their wallet is frozen. What was drawn at random
    on the way and must not be found either."""
    await _shop(house, org)
    await _depicted(house, person, org)
    await _learn(house, org)
    await _host(house, person, org)
    await _talk(house, person)
    await _registers(house, person, org)
    await _strangers(house)
    drawn = await live_twice(house, person, org)
    await live_thrice(house, org)
    await _die(house, org)
    return drawn


async def _shop(house: House, org: UUID) -> None:
    """Offers a prompt that is approved, drafts an agent, has a tool looked at, rates somebody else's listing."""
    store, v = house.services.store, LATER_VALUES
    listing = await store.open(
        NewListing(new_id(), Kind.PROMPT, "family", v["listing title"], "Family", v["listing summary"], v["summary"]),
        owner=org, actor="t",
    )  # fmt: skip
    content, terms = {"instructions": v["instructions"]}, Terms(100)
    await store.draft(listing.name, content, terms, owner=org, actor="t", notes=v["version notes"])
    await store.submit(listing.name, owner=org)
    await store.review(listing.name, 1, approve=True, note=v["review"], reviewer="person:2", reviewer_org=None)
    renamed = Words(v["later title"], "Family, later", v["listing summary"], v["summary"], "general")
    await store.describe(listing.name, renamed, owner=org, actor="t")
    await store.judge(listing.name, score_bps=1, note=v["jury"], juror="person:3", juror_org=None)
    now, writes = house.services.clock.now(), house.services.db.writes
    rating = await store._shelf.rate(writes, listing.id, org, 3, v["rating"], now, "t")
    await store._shelf.reply(writes, rating, org, v["reply"], now, "t")  # whether somebody may is another test's
    await _compete(house, org, listing.name)
    await house.services.tools.put_secret(org, "token", "ouyang-secret-778899", actor="t")
    await store.open(NewListing(new_id(), Kind.MCP, "records", "病历", "Records"), owner=org, actor="t")
    tool = Tool("look", v["tool"], {"type": "object", "properties": {v["tool field"]: {"type": "string"}}},
                {"title": v["tool title"]})  # fmt: skip
    seal = await house.services.identity.seals.of(org)
    await tool_store.keep_tools(house.services.db, "records", 1, [sealed_tool(seal, tool)], house.services.clock.now())


async def _compete(house: House, org: UUID, name: str) -> None:
    """Enters a contest and is judged."""
    contests, today, v = house.services.contests, house.services.clock.today(), LATER_VALUES
    until = today + timedelta(days=1)
    new = NewContest(new_id(), "大赛", "C", "来", "c", 0, today, until, until + timedelta(1))
    made = await contests.call(new, actor="t")
    entry = await contests.enter(made.id, owner=org, listing=name, work=v["entry"], actor="t")
    note = await house.services.identity.seals.seal(org, NOTE, v["entry note"])
    async with house.services.db.transaction() as conn:  # how points are given is another test's
        await contest_store.score(conn, entry.id, new_id(), 5_000, note, house.services.clock.now())


async def _depicted(house: House, person: UUID, org: UUID) -> None:
    """Lets a clone of themselves be made, and corrects what a clone said."""
    clones, v = house.services.clones, LATER_VALUES
    until = house.services.clock.today() + timedelta(days=30)
    _, code = await clones.ask(new_id(), "clone/fuzi", ("consultation", "training"), until, by="t")
    found = await clones.grant(
        code, person, called=v["called"], wanted=("consultation", "training"), until=until,
        notice_version=clones.notice()["version"],
    )  # fmt: skip
    words = ("question", "answer", "correction")
    texts = [clones.vault.encrypt(person, f"clones.{word}", v[f"clone {word}"]) for word in words]
    now = house.services.clock.now()
    await clone_store.give(
        house.services.db, new_id(), found.name, found.id, new_id(), person, org, True, texts, now
    )  # that only who was answered may say something is another test's


async def _learn(house: House, org: UUID) -> None:
    """A data set, a batch, and one that fails."""
    shop, v = house.services.workshop, LATER_VALUES
    rows = f"question,answer\n{v['set row']},晾干\n另一问,另一答\n".encode()
    told = NewDataset(v["set name"], "pairs", "欧阳自有", "own", v["set note"])
    await shop.datasets.bring(org, told, v["set file"], rows, by="t")
    knowledge = house.services.library.knowledge
    base = await knowledge.make(org, NewBase(v["base"], model=""), by="t")
    await knowledge.bring(base, v["base file"], f"{v['base text']}\n".encode(), by="t")
    key = (await house.services.identity.keys.list(org))[0]
    for model, name in (("good", v["file name"]), (v["bad file"], "2.jsonl")):
        line = (
            f'{{"custom_id": "{v["custom id"]}", "method": "POST", "url": "/v1/chat/completions", "body": '
            f'{{"model": "{model}", "messages": [{{"role": "user", "content": "{v["prompt"]}"}}]}}}}\n'
        )
        file = await shop.batches.keep(org, name, "batch", line.encode(), by="t")
        made = await shop.batches.create(
            org, key.id, input_file=file.id, endpoint="/v1/chat/completions", window="24h",
            allowed=lambda model: model == "good", metadata={"which": v["metadata"]},
        )  # fmt: skip
        assert made.state == ("in_progress" if model == "good" else "failed")


async def _host(house: House, person: UUID, org: UUID) -> None:
    """Lets a room, checks in elsewhere, asks for the ID in vain, has a credential that is revoked."""
    services, v = house.services, LATER_VALUES
    await services.nomads.venues.add(NewVenue(v["venue"], VenueKind.LODGING, org, v["venue address"]), actor="t")
    owner = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "河边咖啡"), by="t")
    cafe = await services.nomads.venues.add(NewVenue("河边咖啡", VenueKind.SPACE, owner.id, "河边"), actor="t")
    await services.nomads.presence.consent(person, given=True)
    await services.nomads.presence.check_in(person, services.nomads.venues.code(cafe))
    await services.nomads.cards.declare(person, v["insurance"], actor="t")
    refused = await services.nomads.apply(person, client_ref="1", actor="t")
    assert not refused.granted
    appeal = await services.nomads.appeals.file(
        person, refused.id, why=v["card appeal"], days=[], evidence=v["card evidence"], appeal_id=uuid4()
    )
    clerk = await house.person("clerk-cards", Role.OPERATOR)
    await services.nomads.decide_appeal(appeal.id, clerk, uphold=False, answer=v["card answer"])
    today = services.clock.today()
    async with services.db.transaction() as conn:
        made = await services.credentials.issue(
            conn, person, "sample", {"name": "欧阳赛博坦"}, valid_from=today, valid_until=today + timedelta(days=1)
        )
    await services.credentials.revoke(made, v["visit"])


async def _talk(house: House, person: UUID) -> None:
    """Says something of a proposal."""
    deciding = house.services.governance.deciding
    clerk = await house.person("clerk-gov", Role.OPERATOR)
    for department in PATH_OWNERS:
        await deciding.seat(clerk, department, by="t")
    content = {"parameters": {"discount": [
        {"from": "2026-05-01", "announced": "2026-04-01", "value": 2500, "given": True},
    ]}}  # fmt: skip
    new = NewProposal(new_id(), "rulebook_change", "优惠降为 25%", "控制支出", date(2026, 4, 1), content, rule_id="P1")
    made = await deciding.propose(new, person_id=clerk)
    await deciding.comment(made.id, person, LATER_VALUES["comment"], comment_id=uuid4())


async def _registers(house: House, person: UUID, org: UUID) -> None:
    """What registers and operators write down: a patent, a leak, a revoked key, a checked account."""
    services, v = house.services, LATER_VALUES
    await services.facts.publish(
        NewFact(new_id(), person, "patent", v["patent title"], date(2026, 1, 1), None, v["patent"], Standing.CHECKED,
                "register", v["fact evidence"]),
        actor="t",
    )  # fmt: skip
    keys = await services.identity.keys.list(org)
    await services.identity.keys.report_leak(f"{keys[0].prefix}", "person:9", note=v["leak"])
    key, _ = await services.identity.keys.create(org, NewKey("甲"), by="t")
    await services.identity.keys.revoke(key.id, org, reason=v["revoked"], by="t")
    firm = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "邀请公司"), by="t")
    await services.identity.invitations.invite(new_id(), firm.id, person, called=v["invited as"], by="t")
    payee = await services.payouts.payees.of(org)
    assert payee is not None
    await services.payouts.payees.record_check(payee.id, passed=True, reference=v["check"], by="person:1")


async def _strangers(house: House) -> None:
    """A statement with a line that names nobody's order, an unreadable one, and what an operator notes of the first."""
    bank, v = house.services.bank, LATER_VALUES
    head = "交易日期,交易时间,借方发生额,贷方发生额,对方户名,对方账号,摘要,附言,流水号"
    lines = [
        f"2026-03-02,11:30:00,,77.00,{v['stranger']},6222020200998877665,转账,{v['stranger remark']},L7",
        f"{v['stranger remark']},11:30:00,,77.00,{v['stranger']},6222020200998877665,转账,x,L8",
    ]
    report = await bank.statements.take(
        "\n".join([head, *lines]).encode(), name="4月.csv", actor="person:1", second="person:2"
    )
    assert [str(line.state) for line in report.lines] == ["suspense", "refused"]
    assert report.lines[0].party == v["stranger"]
    item = (await bank.suspense())[0]
    await bank.give_back(item.id, actor="person:1", note=v["bank note"])
    assert (await bank.suspense(None))[0].note == v["bank note"]


async def _die(house: House, org: UUID) -> None:
    """The wallet is frozen, a handover asked for and refused."""
    services, v = house.services, LATER_VALUES
    await services.identity.orgs.freeze(org, v["frozen"], by="person:1")
    heir = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "承继公司"), by="t")
    papers = [EstateDocument("end", v["estate paper"]), EstateDocument("right", "继 2026-1")]
    asked = await services.credits.estates.ask(
        org, kind="inheritance", successors=[Successor(heir.id)], documents=papers, reason=v["estate"], by="person:1"
    )
    await services.credits.estates.reject(asked.id, by="person:2", reason=v["estate refusal"])
