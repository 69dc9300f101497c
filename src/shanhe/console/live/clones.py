"""The pages of clones over their module: consents, feedback and versions as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any
from uuid import UUID

import msgspec

from shanhe.clones.api import PURPOSES, CloneRefused, Clones, FeedbackState, Mandate, State, Teaching, UnknownMandate
from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.kernel.errors import Invalid


class LiveClones:
    """See `ports.CloneDesk`."""

    def __init__(self, modules: Modules) -> None:
        self._clones: Clones = modules.clones
        self._teaching: Teaching = modules.teaching
        self._identity = modules.identity
        self._store = modules.store

    async def mine(self, who: m.Who) -> Mapping[str, Any]:
        org = await self._clones.mandates(org_id=who.org_id) if who.has_org and who.may("publish") else []
        of_me = await self._clones.mandates(person_id=who.person_id)
        return {"org": [_view(one) for one in org], "me": [_view(one) for one in of_me], "purposes": PURPOSES}

    async def ask(self, who: m.Who, slug: str, wanted: Sequence[str], until: str) -> str:
        _, code = await self._clones.ask(who.org_id, f"clone/{slug.strip()}", wanted, _day(until), by=actor_of(who).ref)
        return code

    async def drop(self, who: m.Who, mandate: UUID) -> None:
        await self._clones.drop(mandate, who.org_id)

    async def asked(self, who: m.Who, code: str) -> Mapping[str, Any]:
        found = await self._clones.asked(code, who.person_id)
        mine = found.person_id in (None, who.person_id)
        if not mine:
            raise UnknownMandate()
        maker = await self._identity.orgs.get(found.org_id)
        notice, still = self._clones.notice(), found.state is State.ASKED
        return {**_view(found), "maker": maker.name, "notice": notice, "open": still}

    async def grant(self, who: m.Who, code: str, called: str, wanted: Sequence[str], until: str, version: str) -> None:
        await self._clones.grant(
            code, who.person_id, called=called, wanted=wanted, until=_day(until), notice_version=version
        )

    async def decline(self, who: m.Who, code: str) -> None:
        await self._clones.decline(code, who.person_id)

    async def revoke(self, who: m.Who, mandate: UUID) -> None:
        await self._clones.revoke(mandate, who.person_id)

    async def say(self, who: m.Who, fields: Mapping[str, str]) -> None:
        try:
            run, label = UUID(fields.get("run", "")), msgspec.json.decode(fields.get("label", "") or "{}")
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            raise Invalid("bad_feedback", "The answer is missing.", message_zh="缺少所评价的回答。") from error
        await self._teaching.say(
            who.person_id, who.org_id, run, good=fields.get("good") == "1", question=fields.get("question", ""),
            answer=fields.get("answer", "").replace("\r\n", "\n"), label=label if isinstance(label, dict) else {},
            correction=fields.get("correction", ""),
        )  # fmt: skip

    async def one(self, who: m.Who, slug: str) -> Mapping[str, Any]:
        name = f"clone/{slug}"
        mandate = await self._clones.standing(name, who.org_id)
        waiting = await self._teaching.queue(name, who.org_id, FeedbackState.NEW)
        accepted = await self._teaching.queue(name, who.org_id, FeedbackState.ACCEPTED)
        taken = await self._teaching.queue(name, who.org_id, FeedbackState.TAKEN)
        try:
            gates = [asdict(one) for one in await self._teaching.gates(name, who.org_id)]
        except CloneRefused:
            gates = []
        version = next((one.version_id for one in taken if one.version_id is not None), None)
        listed = any(listing.name == name for listing, _ in await self._store.mine(who.org_id))
        return {
            **_view(mandate), "listed": listed, "feedback": [asdict(one) for one in waiting],
            "accepted": len(accepted), "gates": gates, "version_id": version or "",
        }  # fmt: skip

    async def decide(self, who: m.Who, feedback: UUID, accept: bool) -> None:
        await self._teaching.decide(feedback, who.org_id, accept=accept, by=actor_of(who).ref)

    async def collect(self, who: m.Who, slug: str) -> None:
        await self._teaching.collect(f"clone/{slug}", who.org_id, by=actor_of(who).ref)

    async def train(self, who: m.Who, slug: str, version: str, epochs: str) -> UUID:
        try:
            number, passes = UUID(version), int(epochs)
        except ValueError as error:
            raise Invalid("bad_number", "Choose a version and a number.", message_zh="请选择版本与遍数。") from error
        return await self._teaching.train(f"clone/{slug}", who.org_id, number, {"epochs": passes}, by=actor_of(who).ref)

    async def offer(self, who: m.Who, slug: str, number: int) -> None:
        await self._teaching.offer(f"clone/{slug}", who.org_id, number, by=actor_of(who).ref)


def _view(one: Mandate) -> dict[str, Any]:
    shown = {name: value for name, value in asdict(one).items() if name not in ("person_id", "consent_id")}
    return shown | {"slug": one.slug, "uses": one.purposes or one.asked, "last": one.until or one.asked_until}


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise Invalid("bad_date", "Write a day like 2027-06-30.", message_zh="日期格式如 2027-06-30。") from error
