"""Programmes of the double: one to apply for, one application in review, one refused, one budget."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.kernel.errors import NotFound

AT = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
ONE, TWO = UUID(int=501), UUID(int=502)


def words(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


TITLE = words("软件著作权奖励", "Software copyright award")
OFFICE = words("市知识产权局", "IP office")
PAYMENT = {"text": words("500 积分", "500 credits")}
REASON = {**words("登记号与权利人不符", "the number belongs to somebody else"),
          "nearest": [words("若登记号更正", "with the right number")]}  # fmt: skip
PROGRAMME: dict[str, Any] = {
    "id": "software_copyright", "title": TITLE, "summary": words("每件奖励一次", "Once for each"), "department": OFFICE,
    "for": ("person", "company"), "rules": ("T15_ip_award",), "schedule": "once",
    "clawback": words("撤销收回", "Annulled"),
    "conditions": [{**words("登记号须已核验", "The number has to be verified"), "rule": "T15", "page": "/ip/mine"}],
    "review": [{**words("核验登记", "Check"), "by": OFFICE, "days": 5, "eyes": 2}],
    "asks": {
        "number": {**words("登记号", "Number"), "type": "text", "by": "applicant", "unit": "", "must": False},
        "cost": {**words("费用", "Cost"), "type": "number", "by": "applicant", "unit": "fen", "must": False},
        "plan": {**words("里程碑", "Milestones"), "type": "plan", "by": "applicant", "unit": "", "must": False},
        "firm": {**words("企业", "Company"), "type": "party", "by": "applicant", "unit": "", "must": False},
        "yes": {**words("承诺", "Promise"), "type": "flag", "by": "applicant", "unit": "", "must": True},
        "tier": {**words("级别", "Tier"), "type": "choice", "by": "reviewer", "unit": "", "must": False,
                 "options": {"top": words("顶级", "Top")}},
    },
    "evidence": {"certificate": words("证书", "Certificate")},
}  # fmt: skip


def row(identifier: UUID, state: str) -> dict[str, Any]:
    waits = state == "in_review"
    return {
        "id": identifier, "programme": "software_copyright", "title": TITLE, "org_id": UUID(int=7), "state": state,
        "round": 2,
        "step": 1 if waits else None, "steps": 1, "step_title": words("核验", "Check") if waits else None,
        "with": OFFICE if waits else None, "due": AT if waits else None, "overdue": waits,
        "applied_on": date(2026, 11, 19),
    }  # fmt: skip


class Promises:
    """See `ports.Promises`."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.looked: tuple[object, ...] = ()
        self.programmes: list[Mapping[str, Any]] = [
            {"programme": "software_copyright", "title": TITLE, "summary": PROGRAMME["summary"], "standing": standing,
             "payments": [PAYMENT], "instalments": 3, "reasons": [REASON], "missing": [words("岗位", "Role")],
             "traces": {},
             "application": ONE if standing == "applied" else None}
            for standing in ("entitled", "not_yet", "applied")
        ]  # fmt: skip

    async def entitlements(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return self.programmes

    async def programme(self, programme_id: str) -> Mapping[str, Any]:
        if programme_id != "software_copyright":
            raise NotFound("unknown_programme", "There is no such programme.", message_zh="没有该计划。")
        return PROGRAMME

    async def apply(self, who: m.Who, programme_id: str, fields: Mapping[str, str]) -> UUID:
        self.done.append(("apply", programme_id, dict(fields)))
        return ONE

    async def check(self, who: m.Who, programme_id: str, fields: Mapping[str, str]) -> Mapping[str, Any]:
        title = {"zh": "登记证书", "en": "Certificate"}
        field = {"field": "certificate", "title": title, "zh": "未填写", "en": "is missing"}
        return {
            "programme": programme_id, "standing": "incomplete", "problems": [field], "closed": None, "taken": None,
            "short": [], "review": [], "reasons": [], "missing": [], "payments": [], "instalments": 1,
        }  # fmt: skip

    async def applications(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [row(ONE, "in_review"), row(TWO, "refused")] if self.programmes else []

    async def file(self, who: m.Who, application: UUID) -> Mapping[str, Any]:
        waits = application == ONE
        return {
            **row(application, "in_review" if waits else "returned"), "mine": True,
            "can": ["withdraw"] if waits else ["supplement", "appeal"], "papers": PROGRAMME["evidence"],
            "shown": [(words("登记号", "Number"), "2026SR1"), (words("承诺", "Promise"), True),
                      (words("级别", "Tier"), words("顶级", "Top")),
                      (words("里程碑", "Milestones"), ["上线 · 2026-12-01 · 100 %"])],
            "evidence": {"certificate": {"reference": "软著登字第 1 号", "sha256": "ab" * 32}},
            "tranches": [{"n": 1, "due_on": date(2026, 12, 1), "state": "released", "payments": [PAYMENT],
                          "title": "", "posting_id": ONE},
                         {"n": 2, "due_on": date(2027, 12, 1), "state": "planned", "payments": [],
                          "title": "上线", "posting_id": None}],
            "decisions": [{"kind": "refusal", "at": AT, "note": "", "reasons": [REASON], "traces": {},
                           "by": "陈审"}],
            "city": ["claw_back", "breach"], "applicant": "青山机器人", "request_id": str(TWO),
            "given": {},
            "history": [{"at": AT, "event": "in_review", "said": []},
                        {"at": AT, "event": "clawed_back", "said": [("owed", ("3.00 积分", "3.00 credits"))]}],
        }  # fmt: skip

    async def withdraw(self, who: m.Who, application: UUID) -> None:
        self.done.append(("withdraw", application))

    async def appeal(self, who: m.Who, application: UUID, why: str) -> None:
        self.done.append(("appeal", why))

    async def supplement(self, who: m.Who, application: UUID, fields: Mapping[str, str]) -> None:
        self.done.append(("supplement", application))

    async def reviews(self, who: m.Who) -> bool:
        return True

    async def queue(self, who: m.Who, programme: str, find: str, page: int, *, overdue: bool) -> Mapping[str, Any]:
        rows = [row(ONE, "in_review") | {"applicant": "青山机器人"}]
        return {"rows": rows, "more": page == 0, "kinds": [("gold", TITLE, 70)], "total": 70, "waiting": 70,
                "milestones": [row(TWO, "active") | {"applicant": "慈善会"}]}  # fmt: skip

    async def next_case(self, who: m.Who, after: UUID, due: datetime | None) -> UUID | None:
        return None

    async def case(self, who: m.Who, application: UUID) -> Mapping[str, Any]:
        outcome = {"payments": [PAYMENT], "reasons": [REASON], "missing": [words("级别", "Tier")], "traces": {}}
        asks = {name: ask for name, ask in PROGRAMME["asks"].items() if ask["by"] == "reviewer"}
        return {**await self.file(who, application), "outcome": outcome, "asks": asks, "spoken": False,
                "applicant": "青山机器人",
                "milestones": [{"n": 2, "title": "上线", "due_on": date(2027, 12, 1)}],
                "turn": 0, "others": [row(TWO, "refused")]}  # fmt: skip

    async def decide(self, who: m.Who, application: UUID, verdict: str, reason: str, fields: Mapping[str, str]) -> None:
        self.done.append(("decide", verdict, reason))

    async def budgets(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        amount = words("1,000 积分", "1,000 credits")
        texts = {"free_text": amount, "committed_text": amount, "spent_text": amount}
        return [
            {"name": name, "title": TITLE, "department": OFFICE, "public": unlimited, "unlimited": unlimited, **texts}
            for name, unlimited in (("ip_credit", False), ("points", True))
        ]

    async def funds(self) -> Sequence[Mapping[str, Any]]:
        text = words("−1 积分", "−1 credit")
        move = {"id": UUID(int=1), "at": datetime(2026, 1, 2, tzinfo=UTC), "kind": "award", "amount": -1, "text": text}
        return [{**one, "moves": [move | {"promised": True}]} for one in await self.budgets(None) if one["public"]]  # type: ignore[arg-type]

    async def fund(self, who: m.Who, name: str, amount: str, reason: str, funding_id: UUID) -> None:
        self.done.append(("fund", name, amount))

    async def reviewers(self, who: m.Who) -> Mapping[str, Any]:
        digital = {"zh": "市数字经济局", "en": "Digital economy bureau"}
        row = {"person_id": UUID(int=71), "name": "周审核", "department": "digital", "called": digital, "added_at": AT}
        return {"rows": [row], "departments": [("digital", digital)]}

    async def assign(self, who: m.Who, name: str, department: str) -> None:
        self.done.append(("assign", name, department))

    async def dismiss(self, who: m.Who, person_id: UUID, department: str) -> None:
        self.done.append(("dismiss", person_id, department))

    async def imported(self, who: m.Who, programme: str, batch: str, table: bytes, *, check: bool) -> Mapping[str, Any]:
        self.done.append(("imported", programme, batch, table, check))
        bad = {"row": 3, "party": "nobody", "application": None, "known": False, "becomes": None, "why": [],
               "problem": {"zh": "没有该主体", "en": "nobody is called that"}}  # fmt: skip
        good = [
            bad | {"row": 2, "party": "青山机器人", "problem": None, "becomes": "refused",
                   "why": [{"zh": "登记日超过一年", "en": "registered more than a year ago"}]},
            bad | {"row": 4, "party": "长河智能", "problem": None, "known": True, "application": ONE},
        ]  # fmt: skip
        rows = [*good, bad] if b"nobody" in table else good
        return {"recorded": not check and len(rows) == 2, "rows": rows, "good": 2, "bad": len(rows) - 2}

    async def waiting(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        move = {"id": ONE, "kind": "programmes.funding", "subject": "ip_credit", "amount_text": "900.00",
                "reason": "2026", "mine": False, "what": TITLE, "href": ""}  # fmt: skip
        back = {"id": TWO, "kind": "programmes.clawback", "amount_text": "", "reason": "", "mine": True,
                "href": f"/applications/{ONE}"}  # fmt: skip
        return [move, move | back]

    async def met(self, who: m.Who, application: UUID, n: int, on: date) -> None:
        self.done.append(("met", n, on))

    async def claw_back(self, who: m.Who, application: UUID, fields: Mapping[str, str]) -> None:
        self.done.append(("claw_back", fields.get("note", "")))

    async def breach(self, who: m.Who, application: UUID, note: str) -> None:
        self.done.append(("breach", note))

    async def agree(self, who: m.Who, request_id: UUID, *, yes: bool, reason: str) -> None:
        self.done.append(("agree", request_id, yes))

    def kinds(self) -> Sequence[tuple[str, tuple[str, str]]]:
        return [("software_copyright", ("软件著作权奖励", "Software copyright award"))]

    async def sheet(self, who: m.Who, state: str, programme: str, find: str) -> AsyncIterator[str]:
        async def lines() -> AsyncIterator[str]:
            yield "id,programme,applicant\r\n"
            yield f"{state},{programme},{find}\r\n"

        return lines()

    async def everything(
        self, who: m.Who, state: str, programme: str, find: str, before: UUID | None
    ) -> Sequence[Mapping[str, Any]]:
        self.looked = (state, programme, find, before)
        return [row(one, state) | {"applicant": "青山机器人"} for one, state in ((ONE, "in_review"), (TWO, "refused"))]
