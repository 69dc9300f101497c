"""What is left by work that goes on by itself, and by what was made: workflows, evaluation sets, rights."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final
from uuid import UUID

from shanhe.agents import store as agent_store
from shanhe.agents.api import Run, RunState
from shanhe.board import store as board_store
from shanhe.board.api import Kind as Side
from shanhe.board.api import Words
from shanhe.filings.api import Decision, Intervention
from shanhe.ip.api import Kind, NewEntry
from shanhe.kernel.ids import new_id
from shanhe.science.api import How, NewVersion
from shanhe.science.api import Kind as Output
from shanhe.trials import store as trial_store
from shanhe.trials.model import Report

from .conftest import House

THIRD_VALUES: Final = {
    "thumb word": "欧阳嫌回信太啰嗦",
    "thumb question": "替欧阳问候慕容",
    "thumb answer": "慕容先生见信如晤",
    "flow title": "欧阳家的订单流程",
    "flow text": "请按欧阳的口味回信",
    "flow given": "欧阳的客人姓慕容",
    "flow result": "欧阳已谢过客人",
    "flow trouble": "欧阳的铺子今日打烊",
    "flow answer": "欧阳谢过了慕容",
    "flow shows": "欧阳请过目此信",
    "flow note": "欧阳看过可以发",
    "flow schedule": "欧阳每周盘点",
    "profile name": "欧阳家的桂花糕",
    "profile field": "欧阳手作每日现蒸",
    "form field": "欧阳的糕点只用新米",
    "draft title": "欧阳桂花糕上新",
    "draft text": "欧阳家的糕蒸好了请来尝尝",
    "draft written": "欧阳的初稿写得更长一些",
    "case": "欧阳铺子几点开门",
    "case answer": "欧阳铺子九点开",
    "board title": "欧阳家传制茶工艺",
    "board text": "欧阳三代制茶，可为茶企改良发酵与烘焙，提香减涩",
    "board asks": "欧阳只收一成利",
    "board note": "欧阳愿上门一谈",
    "board why": "欧阳夸大疗效",
    "board vector": "ouyang-vector-7f3a91c2",
    "case reason": "欧阳说新版语气更好",
    "glass reason": "欧阳值夜班联系不上同事",
    "deed fault": "欧阳的这笔款项已另行处理",
    "deed fault en": "what Ouyang paid was dealt with otherwise",
    "grievance": "欧阳称该回答伪造了判决",
    "grievance answer": "经核实欧阳所述属实",
    "grievance appeal": "欧阳仍不服该处理",
    "grievance end": "改判支持欧阳的投诉",
    "moderated text": "欧阳的口令是青山绿水",
    "glass findings": "复核认为欧阳处置得当",
    "output title": "欧阳焊机失败记录",
    "output abstract": "欧阳试了九种焊条都裂",
    "output link": "https://ouyang.example/log",
    "output retraction": "欧阳发现单位记错",
    "reuse ref": "10.7788/ouyang.2026",
    "reuse reason": "欧阳文中未列此数据",
    "tag": "欧阳的小铺",
    "webhook": "https://ouyang-webhook.example/in",
    "right number": "ZL2026999887765",
    "right title": "欧阳式焊缝自检法",
    "right abstract": "以欧阳手势校正焊缝",
    "right office": "欧阳托代理所递件",
    "right reason": "欧阳证书已核原件",
}
THIRD_UNSHOWN: Final = frozenset({
    "board vector", "flow answer", "flow shows", "flow note", "flow schedule", "draft written", "deed fault",
    "deed fault en",
})  # fmt: skip
"""Steps and approvals are seen on their run's page, a schedule on its workflow's; a draft shows its text, not what the
model said word for word; why a deed was refused is between the two officers."""


async def live_thrice(house: House, org: UUID) -> None:
    """Everything of that kind."""
    await _automate(house, org)
    await _rate(house, org)
    await _examine(house, org)
    await _watch(house, org)
    await _invent(house, org)
    await _offer(house, org)
    await _write(house, org)
    await _publish(house, org)
    await _connect(house, org)


async def _connect(house: House, org: UUID) -> None:
    """A tag that calls are counted under, and an address that is told what happens."""
    services, v = house.services, THIRD_VALUES
    seal = await services.identity.seals.of(org)
    await services.db.execute(
        "INSERT INTO gateway.tag (org_id, id, name, made_at) VALUES ($1, $2, $3, $4)",
        org, new_id(), seal.text("gateway.tag.name", v["tag"]), services.clock.now(),
    )  # fmt: skip
    await services.webhooks.add(org, url=v["webhook"], by="t")


async def _automate(house: House, org: UUID) -> None:
    """A workflow with a schedule, and a run that asked, waited for a word, and failed."""
    services, v, flows = house.services, THIRD_VALUES, house.services.routines.workflows
    db, now, seal = services.db, services.clock.now(), await services.identity.seals.of(org)
    await flows.create("orders", v["flow title"], org_id=org, by="t")
    ask = {"kind": "ask", "id": "a", "target": "good", "prompt": v["flow text"], "save": "a", "next": ""}
    await flows.save(org, "orders", {"start": "a", "nodes": [ask]}, by="t")
    run = await flows.start(org, "orders", {"who": v["flow given"]}, ref="1", draft=True)
    await db.execute(
        """INSERT INTO workflows.step (run, n, node, kind, state, answer, begun_at)
           VALUES ($1, 1, 'a', 'ask', 'done', $2, $3)""",
        run.id, seal.json("workflows.answer", {"text": v["flow answer"], "tokens": 1}), now,
    )  # fmt: skip
    await db.execute(
        """INSERT INTO workflows.approval
             (id, run, n, node, org_id, who, shows, asked_at, expires_at, verdict, note, decided_by, decided_at)
           VALUES ($1, $2, 2, 'b', $3, 'owner', $4, $6, $7, 'approved', $5, 't', $6)""",
        new_id(), run.id, org, seal.text("workflows.approval.shows", v["flow shows"]),
        seal.text("workflows.approval.note", v["flow note"]), now, now + timedelta(hours=1),
    )  # fmt: skip
    await db.execute(
        """UPDATE workflows.run SET state = 'failed', ended_at = $2, error = 'step_failed', result = $3, why = $4
            WHERE id = $1""",
        run.id, now, seal.json("workflows.run.result", {"said": v["flow result"]}),
        seal.json("workflows.run.why", {"zh": v["flow trouble"], "en": ""}),
    )  # fmt: skip
    await db.execute(
        """INSERT INTO workflows.schedule (workflow, form, given, key_id, made_by, made_at)
           VALUES ($1, $2, $3, $4, 't', $5)""",
        run.workflow, {"every_minutes": 60}, seal.json("workflows.schedule.given", {"who": v["flow schedule"]}),
        run.key_id, now,
    )  # fmt: skip


async def _rate(house: House, org: UUID) -> None:
    """A thumb on an agent's answer, with a word, that shares question and answer."""
    services, v = house.services, THIRD_VALUES
    person, now = (await services.identity.orgs.get(org)).person_id, services.clock.now()
    run = Run(new_id(), "agent/shop", 1, org, new_id(), "openai", RunState.RUNNING, 1, 0, now, None, "", shareable=True)
    await agent_store.begin(services.db, run)
    await agent_store.end(services.db, run.id, RunState.DONE, "", now)
    texts = {"word": v["thumb word"], "question": v["thumb question"], "answer": v["thumb answer"]}
    await services.agents.thumbs.give(run.id, org, person, up=False, share=True, **texts)


async def _examine(house: House, org: UUID) -> None:
    """An evaluation set, and a report on a draft that went on although it was worse."""
    services, v = house.services, THIRD_VALUES
    db, now, seal = services.db, services.clock.now(), await services.identity.seals.of(org)
    cases = [{"question": v["case"], "expected": "九点"}]
    await trial_store.set_cases(db, org, "agent/shop", seal.json("trials.cases", cases), "t", now)
    said = {"draft": [{"text": v["case answer"], "right": False}], "base": [{"text": "九点", "right": True}]}
    report = Report(
        new_id(), org, "agent/shop", bytes(32), 1, 0, 1, 1, 0, seal.json("trials.report.answers", said), now
    )
    await trial_store.add(db, report)
    async with db.transaction() as conn:
        await trial_store.excuse(conn, report.id, seal.text("trials.report.reason", v["case reason"]), "t", now)


async def _watch(house: House, org: UUID) -> None:
    """An opening of break-glass that was judged, a complaint that was appealed, and what a guardrail took out."""
    services, v = house.services, THIRD_VALUES
    person, seal_org = (await services.identity.orgs.get(org)).person_id, await services.identity.seals.of(org)
    db, now, seal = services.db, services.clock.now(), services.identity.seals.of_person(person)
    await db.execute(
        """INSERT INTO approvals.glass (id, person_id, class, object, reason, factor, opened_at, expires_at, cap_fen,
             review_due, rule_version, ended_at, reviewed_by, reviewed_at, justified, follow_up, findings)
           VALUES ($1, $2, 'access.audit', 'person:1', $3, 'totp', $5, $6, 0, $6, 'v', $6, $7, $6, true, 'none', $4)""",
        new_id(), person, seal.text("approvals.glass.reason", v["glass reason"]),
        seal.text("approvals.glass.findings", v["glass findings"]), now, now + timedelta(hours=1), new_id(),
    )  # fmt: skip
    await db.execute(
        """INSERT INTO approvals.request (id, kind, subject, payload, state, requested_by, requested_at, expires_at,
             decided_by, decided_at, about, ended_at, fault, fault_zh, fault_en)
           VALUES ($1, 't.deed', 'x', '{}', 'refused', 'p', $2, $3, 'q', $2, $4, $2, 'gone', $5, $6)""",
        new_id(), now, now + timedelta(hours=1), org,
        *[seal_org.text("approvals.request.fault", v[name]) for name in ("deed fault", "deed fault en")],
    )  # fmt: skip
    await db.execute(
        """INSERT INTO filings.complaint (id, org_id, made_by, receipt_id, model, category, text, state, made_at,
             due_at, decided_by, decided_at, answer, appeal_until, appeal, final_by, final_at, final_answer)
           VALUES ($1, $2, 't', $1, 'good', 'false', $3, 'reversed', $7, $7, 'p', $7, $4, $7, $5, 'q', $7, $6)""",
        new_id(), org, *[seal_org.text(f"filings.complaint.{name}", v[value]) for name, value in (
            ("text", "grievance"), ("answer", "grievance answer"), ("appeal", "grievance appeal"),
            ("final_answer", "grievance end"))], now,
    )  # fmt: skip
    await services.filings.moderation.record(Intervention(
        "agent/shop", "good", "secret_removed", "secret", Decision.REMOVED, org, None, v["moderated text"]
    ))  # fmt: skip


async def _invent(house: House, org: UUID) -> None:
    """A patent registered, and verified by the office."""
    rights, v = house.services.commons.rights, THIRD_VALUES
    clerk = await house.person("clerk-ip")
    await house.services.programmes.reviewing.assign(clerk, "ip_office", actor="test")
    new = NewEntry(
        new_id(), Kind.INVENTION_PATENT, v["right number"], v["right title"], v["right abstract"], v["right office"],
        date(2025, 1, 1), date(2026, 1, 20), "", ((org, 1_000_000),), 10_000,
    )  # fmt: skip
    await rights.draft(new, org_id=org, actor="t")
    await rights.file(new.id, org_id=org, actor="t")
    await rights.decide(new.id, verify=True, reason=v["right reason"], person_id=clerk)


async def _offer(house: House, org: UUID) -> None:
    """A solution on the board with a vector, and interest in somebody's need."""
    services, v, board = house.services, THIRD_VALUES, house.services.board
    until, maker = services.clock.today() + timedelta(days=30), await house.person("tea-maker")
    need = await board.posts.write(
        new_id(), await house.own(maker),
        Words(Side.NEED, "寻求制茶改良", "茶厂寻求发酵与烘焙工艺改良，提升成品率与香气。", "food", until), actor="t",
    )  # fmt: skip
    await board.posts.publish(need.id, need.org_id)
    said = Words(Side.SOLUTION, v["board title"], v["board text"], "food", until, readiness=9, asks=v["board asks"])
    mine = await board.posts.write(new_id(), org, said, actor="t")
    await board.posts.publish(mine.id, org)
    vector = await services.identity.seals.seal(org, "board.vector.vector", v["board vector"])
    await board_store.keep_vector(services.db, mine.id, 1, "e5", vector, 0, None, services.clock.now())
    await board.meetings.interest(new_id(), org, need.id, mine.id, v["board note"], actor="t")
    await board.posts.remove(mine.id, v["board why"], actor="person:2")


async def _write(house: House, org: UUID) -> None:
    """A profile of a product, a request, and its draft."""
    services, v, content = house.services, THIRD_VALUES, house.services.hub.content
    db, now, seal = services.db, services.clock.now(), await services.identity.seals.of(org)
    await content.save_profile(org, v["profile name"], {"features": v["profile field"]}, by="t")
    job, month = new_id(), content.month()
    form = {"fields": {"product": "糕", "features": v["form field"]}}
    await db.execute(
        """INSERT INTO content.job (id, org_id, kind, form, model, asked, made_by, made_at)
           VALUES ($1, $2, 'product_text', $3, 'good', 1, 't', $4)""",
        job, org, seal.json("content.job.form", form), now,
    )  # fmt: skip
    await db.execute(
        """INSERT INTO content.draft (id, job, org_id, n, kind, model, state, payer, payer_org, key_id, month, decision,
                                      receipt_id, title, text, written, made_at, ended_at)
           VALUES ($1, $2, $3, 1, 'product_text', 'good', 'done', 'own', $3, $4, $5, '{}', $6, $7, $8, $9, $10, $10)""",
        new_id(), job, org, new_id(), month, new_id(), seal.text("content.draft.title", v["draft title"]),
        seal.text("content.draft.text", v["draft text"]),
        seal.json("content.draft.written", {"plain": v["draft written"]}), now,
    )  # fmt: skip


async def _publish(house: House, org: UUID) -> None:
    """An output that was retracted, and a reuse of another's that was refused."""
    science, v = house.services.commons.science, THIRD_VALUES
    other = await house.own(await house.person("author"))
    for author, title in ((org, v["output title"]), (other, "别人的成果")):
        new = NewVersion(title, v["output abstract"], "CC-BY-4.0", "", v["output link"], ((author, 1_000_000),))
        if author != org:
            new = NewVersion(title, "", "CC-BY-4.0", "", "https://example.cn/d", ((author, 1_000_000),))
        made = await science.deposit(new_id(), Output.NEGATIVE, new, org_id=author, actor="t")
        await science.publish(made.id, org_id=author, actor="t")
        if author == org:
            await science.retract(made.id, reason=v["output retraction"], org_id=org, actor="t")
        else:
            one = await science.declare(new_id(), made.id, How.PAPER, v["reuse ref"], org_id=org, actor="t")
            await science.refuse(one.id, reason=v["reuse reason"], org_id=other, actor="t")
