"""See `ports.Rights`: over identity, facts and privacy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.console.model_credits import File
from shanhe.console.render import words
from shanhe.exchange.api import Market
from shanhe.facts.api import Use, names
from shanhe.identity.api import AUTOMATED, purposes
from shanhe.ip.api import State as RightState
from shanhe.kernel.documents import MEDIA, Format, render, save_headers
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset
from shanhe.nomads.api import Standing
from shanhe.privacy.api import GROUNDS, Conclusion, NewAssessment, RequestKind, copy_json, copy_paper
from shanhe.programmes.api import State
from shanhe.science.api import State as DepositState

READINGS_SHOWN = 30
KEPT_RIGHTS = (RightState.FILED, RightState.VERIFIED)
UNPAID = (State.IN_REVIEW, State.RETURNED, State.APPROVED, State.WAITING_BUDGET, State.ACTIVE, State.SUSPENDED)
EDITABLE = ("name", "email", "phone")


def _gathered(readings: Sequence[Any], titles: Mapping[str, Any], myself: str) -> Sequence[Mapping[str, Any]]:
    """Readings for a page: those of one minute, purpose, reader and ground in one line, with how often."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in readings:
        by, ground = _reader(one.by, myself), one.ground.partition(":")[0]
        row = rows.setdefault(
            (one.at.replace(second=0, microsecond=0), one.purpose, by, ground),
            {"at": one.at, "purpose": titles[one.purpose], "by": by, "ground": ground, "names": {}, "times": 0},
        )
        row["times"] += 1
        row["names"] |= {name: {"zh": names()[name].zh, "en": names()[name].en} for name in one.names}
    return [row | {"names": list(row["names"].values())} for row in rows.values()]


def _reader(by: str, myself: str) -> str:
    """self, clerk or system: who read, without the number of a clerk."""
    if by == myself:
        return "self"
    return "clerk" if by.startswith("person:") else "system"


def _titled(purpose: str, on: date) -> dict[str, str]:
    notice = purposes()[purpose].notice(on)
    return {"zh": notice.zh, "en": notice.en}


class LiveRights:
    """What a person sees and does about their data, and what the privacy desk does."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._privacy = modules.privacy
        self._consents = modules.identity.consents

    async def mine(self, who: m.Who) -> Mapping[str, Any]:
        person = await self._modules.identity.people.get(who.person_id)
        standings = await self._privacy.standings(who.person_id)
        titles = {one.purpose: one.title for one in standings}
        myself = actor_of(who).ref
        async with self._modules.facts.reading(Use("own_access", actor_of(who).ref)) as reader:
            facts = await reader.of(who.person_id)
        return {
            "person": person,
            "purposes": [asdict(one) | {"by_consent": one.by_consent} for one in
                         standings],
            "by_people": await self._consents.refused(who.person_id, AUTOMATED),
            "facts": [{"title": {"zh": names()[fact.name].zh, "en": names()[fact.name].en}, "value": fact.value,
                       "standing": str(fact.standing), "since": fact.valid_from, "source": fact.source}
                      for fact in facts],
            "readings": _gathered(await self._privacy.readings(who.person_id, limit=READINGS_SHOWN), titles, myself),
            "requests": [asdict(one) for one in await self._privacy.requests(person_id=who.person_id)],
            "left": await self._left(who.person_id),
        }  # fmt: skip

    async def _left(self, person_id: UUID) -> Mapping[str, int]:
        """What an erasure leaves behind for nobody: the person's own credits, income and cash, what they offer, awards
        and applications that are not paid in full, their nomad ID, and what they registered, published or keep."""
        found = {"wallet_micro": 0, "income_micro": 0, "exchange_fen": 0, "listings": 0, "awards": 0, "card": 0,
                 "rights": 0, "outputs": 0, "data": 0}  # fmt: skip
        card, standing = await self._modules.nomads.cards.current(person_id)
        found["card"] = int(card is not None and standing in (Standing.VALID, Standing.GRACE))
        for org, _ in await self._modules.identity.orgs.of_person(person_id):
            if org.person_id != person_id:
                continue
            for kind in ("wallet", "income"):
                account = await self._modules.ledger.ensure_account(org.id, Asset.CREDIT, kind)
                found[f"{kind}_micro"] += (await self._modules.ledger.balance(account.id)).balance
            found["exchange_fen"] += (await self._modules.exchange.cash.purse(org.id, Market.REAL)).cash_fen
            offered = await self._modules.store.mine(org.id)
            asked = await self._modules.programmes.applications(org_id=org.id)
            found["awards"] += sum(one.state in UNPAID for one in asked)
            found["listings"] += sum(one.state in ("listed", "deprecated") for one, _ in offered)
            await self._works(org.id, found)
        return found

    async def _works(self, org_id: UUID, found: dict[str, int]) -> None:
        rights, outputs = self._modules.commons.rights, self._modules.commons.science
        found["rights"] += sum(one.entry.state in KEPT_RIGHTS for one in (await rights.mine(org_id)).rows)
        published = [one for one in (await outputs.mine(org_id)).rows if one.state is DepositState.PUBLISHED]
        found["outputs"] += sum(one.org_id == org_id for one in published)
        found["data"] += len(await self._modules.workshop.datasets.datasets(org_id))
        found["data"] += len(await self._modules.library.knowledge.all_of(org_id))

    async def correct(self, who: m.Who, fields: Mapping[str, str]) -> None:
        changes = {name: fields[name].strip() or None for name in EDITABLE if name in fields}
        await self._modules.identity.correct(who.person_id, changes, by=actor_of(who))

    async def consent(self, who: m.Who, purpose: str, version: str, *, apart: bool) -> None:
        await self._consents.give(who.person_id, purpose, notice_version=version, apart=apart)

    async def withdraw(self, who: m.Who, purpose: str) -> None:
        await self._consents.withdraw(who.person_id, purpose)

    async def refuse(self, who: m.Who, purpose: str, *, refused: bool) -> None:
        await (self._consents.refuse if refused else self._consents.accept)(who.person_id, purpose)

    async def ask(self, who: m.Who, kind: str, text: str, request_id: UUID) -> None:
        await self._privacy.ask(who.person_id, RequestKind(kind), text, request_id=request_id)

    async def copy(self, who: m.Who, fmt: str, language: str) -> File:
        made = await self._privacy.copy(who.person_id)
        if fmt == "json":
            headers = {"content-disposition": 'attachment; filename="my-data.json"', "cache-control": "no-store"}
            return File(copy_json(made), "application/json", headers)
        city = self._modules.identity.options.city_name
        paper = copy_paper(made, city_name=city, word=words().get, language=language)
        return File(await render(paper, Format.PDF), MEDIA[Format.PDF], save_headers("my-data", Format.PDF))

    async def erase(self, who: m.Who, password: str) -> None:
        await self._modules.identity.signin.confirm(who.person_id, password, actor_of(who).session_id)
        await self._modules.identity.people.erase(who.person_id, by=actor_of(who))

    async def desk(self, who: m.Who) -> Mapping[str, Any]:
        now = self._modules.clock.now()
        return {
            "requests": [asdict(one) | {"overdue": one.overdue(now)} for one in await self._privacy.requests()],
            "assessments": [asdict(one) for one in await self._privacy.assessments()],
            "missing": [_titled(name, now.date()) for name in await self._privacy.unassessed()],
            "purposes": [asdict(one) for one in await self._privacy.standings(None)],
            "grounds": GROUNDS,
        }

    async def answer(self, who: m.Who, request_id: UUID, *, done: bool, answer: str) -> None:
        await self._privacy.decide(request_id, done=done, answer=answer, by=actor_of(who).ref)

    async def assess(self, who: m.Who, fields: Mapping[str, str]) -> None:
        new = NewAssessment(
            UUID(fields["id"]) if fields.get("id") else new_id(), fields.get("purpose", ""),
            tuple(ground for ground in GROUNDS if fields.get(f"ground_{ground}")), fields.get("necessity", ""),
            fields.get("impact", ""), fields.get("safeguards", ""), Conclusion(fields.get("conclusion", "")),
        )  # fmt: skip
        await self._privacy.assess(new, by=actor_of(who).ref)
