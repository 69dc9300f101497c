"""Rights and open science as pages show them: public lists, one's own, and what an office decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.console.ports_commons import Shown
from shanhe.identity.api import Organisation, OrgKind
from shanhe.ip.api import File, NewEntry, line_views, own_view, public_view, public_views
from shanhe.ip.api import Kind as RightKind
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.science.api import LICENCES, Deposit, How, NewVersion, cited, deposit_views, own_views, reuse_views
from shanhe.science.api import Kind as OutputKind
from shanhe.science.api import cite as cite_as
from shanhe.science.api import own_view as own_output

WHOLE_PPM = 1_000_000
PERCENT_PPM = 10_000
OWN = ("本单位", "本人", "us", "self")
"""How a line names whoever writes it."""
NAME_CHARS_MAX = 120
PAGE_ROWS = 100
MANUAL_HOWS = (How.PAPER, How.DEPOSIT, How.LISTING, How.MODEL, How.DATASET)


class LiveCommons:
    """See `ports_commons.CommonsDesk`."""

    def __init__(self, modules: Modules) -> None:
        self._rights = modules.commons.rights
        self._science = modules.commons.science
        self._programmes = modules.programmes
        self._clock = modules.clock
        self._options = modules.identity.options
        self._orgs = modules.identity.orgs

    # -- rights -------------------------------------------------------------------------------------------------------

    async def rights(self, find: str, kind: str, pooled: bool, before: int | None) -> Shown:
        found = await self._rights.shown(
            find=find, kind=kind if kind in list(RightKind) else "", pooled=pooled, before=before, most=PAGE_ROWS
        )
        return [_right(one) for one in await public_views(self._rights, found.rows)], found.following

    async def right(self, who: m.Who | None, entry: UUID) -> Mapping[str, Any]:
        """A right as somebody may see it; `whole` for its parties and the office."""
        officer = await self._officer(who)
        org = who.org_id if who is not None and who.has_org else None
        found = await self._rights.get(entry, org, officer=officer)
        whole = officer or (org is not None and found.touches(org))
        if whole:
            view = await own_view(self._rights, found, org, self._clock.today())
            terms = found.in_force or found.open
            written = found.open or found.in_force
            shares = await self._lines(written.shares if written else (), org)
            return _right({
                **view, "rate_ppm": terms.rate_ppm if terms else None, "own": bool(org and found.touches(org)),
                "awards": self._awards(found.entry.kind), "whole": True, "officer": officer,
                "holders": self._holders(found, view), "kinds": list(RightKind), "fields": _right_fields(found, shares),
            })  # fmt: skip
        past = [{"event": one.event, "at": one.at, "id": one.id} for one in await self._rights.history(entry)]
        used = await self._rights.used_by(found.entry)
        shown = await public_view(self._rights, found)
        return _right({**shown, "whole": False, "own": False, "officer": False, "awards": [], "reason": "",
                       "history": past, "used_by": used})  # fmt: skip

    def _awards(self, kind: RightKind) -> list[Mapping[str, Any]]:
        """Programmes that ask for a verified right of this kind."""
        return [
            {"id": name, "title": {"zh": one.title.zh, "en": one.title.en}}
            for name, one in self._programmes.catalogue.programmes.items()
            if any("wanted" in each.facts and each.facts["wanted"].is_ == kind for each in one.conditions)
        ]

    def _holders(self, found: File, view: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        terms = found.in_force or found.open
        return next((one["shares"] for one in view["terms"] if terms is not None and one["n"] == terms.n), [])

    async def my_rights(self, who: m.Who, before: int | None) -> Mapping[str, Any]:
        found = await self._rights.mine(who.org_id, before=before, most=PAGE_ROWS)
        rows = [_right(one) for one in await line_views(self._rights, found.rows, who.org_id)]
        return {"rows": rows, "before": before, "following": found.following, "kinds": list(RightKind),
                "id": str(new_id()), "officer": await self._officer(who)}  # fmt: skip

    async def register(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        number = UUID(fields.get("id", ""))
        await self._rights.draft(await self._entry(who, number, fields), org_id=who.org_id, actor=actor_of(who).ref)
        return number

    async def _entry(self, who: m.Who, number: UUID, fields: Mapping[str, str]) -> NewEntry:
        return NewEntry(
            number, _kind(RightKind, fields.get("kind", "")), fields.get("number", ""), fields.get("title", ""),
            fields.get("abstract", ""), fields.get("office", ""), _day(fields.get("applied_on", "")),
            _day(fields.get("granted_on", "")), fields.get("sha256", ""),
            await self._shares(who, fields.get("shares", "")), _ppm(fields.get("rate", "")),
        )  # fmt: skip

    async def right_step(self, who: m.Who, entry: UUID, step: str, fields: Mapping[str, str]) -> None:
        """One step of an entry: accept, decline, change, file, withdraw, terms; verify, refuse, lapse as the office."""
        rights, org, actor, reason = self._rights, who.org_id, actor_of(who).ref, fields.get("reason", "")
        if step in ("accept", "decline"):
            n = int(fields["n"]) if fields.get("n", "").isdecimal() else None
            await rights.answer(entry, org_id=org, accept=step == "accept", actor=actor, n=n)
        elif step == "change":
            await rights.change(await self._entry(who, entry, fields), org_id=org, actor=actor)
        elif step == "file":
            await rights.file(entry, org_id=org, actor=actor)
        elif step == "withdraw":
            await rights.withdraw(entry, org_id=org, actor=actor)
        elif step == "terms":
            wanted = await self._shares(who, fields.get("shares", ""))
            await rights.propose(entry, wanted, _ppm(fields.get("rate", "")), org_id=org, actor=actor)
        elif step in ("verify", "refuse"):
            filed = datetime.fromisoformat(fields["filed_at"]) if fields.get("filed_at") else None
            await rights.decide(entry, verify=step == "verify", reason=reason, person_id=who.person_id, filed_at=filed)
        else:
            await rights.lapse(entry, reason=reason, person_id=who.person_id)

    async def rights_queue(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        found = await self._rights.queue(who.person_id)
        return [_right(one) for one in await line_views(self._rights, found, who.org_id if who.has_org else None)]

    async def _officer(self, who: m.Who | None) -> bool:
        return who is not None and await self._rights.is_officer(who.person_id)

    # -- open science -------------------------------------------------------------------------------------------------

    async def outputs(self, find: str, kind: str, before: int | None) -> Shown:
        found = await self._science.shown(
            find=find, kind=kind if kind in list(OutputKind) else "", before=before, most=PAGE_ROWS
        )
        counts = await self._science.counts(found.rows)
        return [_output(one) for one in await deposit_views(self._science, found.rows, counts)], found.following

    async def output(self, who: m.Who | None, deposit: UUID) -> Mapping[str, Any]:
        science = self._science
        org = who.org_id if who is not None and who.has_org else None
        found = await science.get(deposit, org)
        party = org is not None and org in found.parties
        reviewer = who is not None and await science.is_reviewer(who.person_id)
        counts, reuses = await science.counts([found]), await science.reuses(deposit)
        shares = await self._lines(found.versions[0].authors, org)
        seen = [one for one in reuses if one.state == "confirmed" or party or reviewer]
        view = await own_output(science, found, org) if party else (await deposit_views(science, [found]))[0]
        author = found.current is not None and org in dict(found.current.authors)
        return _output({
            "asked": False, "draft": False, "waiting": [], "mine": False, "versions": [], **view, "party": party,
            "offered": _output(view["versions"][0]) if view.get("asked") else None,
            "author": author, "reviewer": reviewer, "licences": LICENCES, "fields": _output_fields(found, shares),
            "hows": MANUAL_HOWS, "next_id": str(new_id()),
            "reused": counts.get(deposit, 0),
            "reuses": await reuse_views(science, seen, whole=party or reviewer),
            "history": [{"event": one.event, "at": one.at} for one in await science.history(deposit)],
        })  # fmt: skip

    async def my_outputs(self, who: m.Who, before: int | None) -> Mapping[str, Any]:
        science, org = self._science, who.org_id
        mine = await science.mine(org, before=before, most=PAGE_ROWS)
        of_mine = await science.reuses_of(org, "declared")
        return {
            "rows": [_output(one) for one in await own_views(science, mine.rows, org)],
            "before": before, "following": mine.following,
            "waiting": await reuse_views(science, of_mine, whole=True),
            "declared": await reuse_views(science, await science.declared_by(org), whole=True),
            "kinds": list(OutputKind), "licences": LICENCES, "id": str(new_id()),
            "reviewer": await science.is_reviewer(who.person_id),
        }  # fmt: skip

    async def deposit(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        number = UUID(fields.get("id", ""))
        kind = _kind(OutputKind, fields.get("kind", ""))
        await self._science.deposit(
            number, kind, await self._version(who, fields), org_id=who.org_id, actor=actor_of(who).ref
        )
        return number

    async def output_step(self, who: m.Who, deposit: UUID, step: str, fields: Mapping[str, str]) -> None:
        """One step of an output: agree, publish, retract, declare, revise."""
        science, org, actor = self._science, who.org_id, actor_of(who).ref
        if step == "agree":
            await science.agree(deposit, org_id=org, actor=actor, digest=fields.get("digest"))
        elif step == "publish":
            await science.publish(deposit, org_id=org, actor=actor, dataset=fields.get("dataset", ""))
        elif step == "retract":
            reviewer = await science.is_reviewer(who.person_id)
            own = None if reviewer else org
            await science.retract(deposit, reason=fields.get("reason", ""), org_id=own, actor=actor)
        elif step == "revise":
            await science.revise(deposit, await self._version(who, fields), org_id=org, actor=actor)
        else:
            how = _kind(How, fields.get("how", ""))
            await science.declare(
                UUID(fields.get("id", "")), deposit, how, fields.get("ref", ""), org_id=org, actor=actor
            )

    async def reuse_step(self, who: m.Who, reuse: UUID, step: str, fields: Mapping[str, str]) -> None:
        """A declared reuse: confirm or refuse it, as an author or as a reviewer of the department."""
        science, reason = self._science, fields.get("reason", "")
        if fields.get("as") == "office":
            await science.review(reuse, confirm=step == "confirm", reason=reason, person_id=who.person_id)
        elif step == "confirm":
            await science.confirm(reuse, org_id=who.org_id, actor=actor_of(who).ref)
        else:
            await science.refuse(reuse, reason=reason, org_id=who.org_id, actor=actor_of(who).ref)

    async def reuse_queue(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        if not await self._science.is_reviewer(who.person_id):
            return []
        return await reuse_views(self._science, await self._science.queue(), whole=True)

    async def waiting(self, who: m.Who) -> Mapping[str, int]:
        found = dict[str, int]()
        if await self._rights.is_officer(who.person_id):
            found["rights"] = len(await self._rights.queue(who.person_id))
        if await self._science.is_reviewer(who.person_id):
            found["reuses"] = len(await self._science.queue())
        return found

    async def citation(self, deposit: UUID, form: str, url: str) -> bytes:
        found = await cited(self._science, await self._science.get(deposit), url=url, publisher=self._options.city_name)
        return cite_as(found, form)

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _version(self, who: m.Who, fields: Mapping[str, str]) -> NewVersion:
        return NewVersion(
            fields.get("title", ""), fields.get("abstract", ""), fields.get("licence", ""), fields.get("sha256", ""),
            fields.get("link", ""), await self._shares(who, fields.get("shares", "")),
        )  # fmt: skip

    async def _shares(self, who: m.Who, text: str) -> tuple[tuple[UUID, int], ...]:
        """A line each: who (`OWN`, a whole name, registration number, login or id) and percent; nothing: oneself."""
        found = []
        for line in text.splitlines():
            word, _, percent = line.strip().replace("％", "%").rstrip("% ").rpartition(" ")
            if not line.strip():
                continue
            ppm = _ppm(percent)
            if not word.strip() or ppm is None:
                raise Invalid(
                    "bad_share", f"Write {line.strip()[:40]!r} as: who, a space, percent.",
                    message_zh=f"“{line.strip()[:40]}”应写作：单位或登录名 空格 百分比。",
                )  # fmt: skip
            found.append((await self._found(who, word.strip()), ppm))
        return tuple(found) or ((who.org_id, WHOLE_PPM),)

    async def _found(self, who: m.Who, word: str) -> UUID:
        if word in OWN:
            return who.org_id
        if len(named := await self._called(word)) == 1:
            return named[0].id
        try:
            return await self._programmes.find(word)
        except ShanheError as error:
            raise Invalid(
                "unknown_party", f"Nobody here is {word[:60]!r}.",
                message_zh=f"没有找到“{word[:60]}”，请填写单位全称、统一社会信用代码或个人登录名。",
                hint="Write a company's whole name or registration number, a person's login, or “us”.",
                hint_zh="本单位可直接写“本单位”。",
            ) from error  # fmt: skip

    async def _called(self, name: str) -> list[Organisation]:
        """Organisations with exactly this public name."""
        if not name or len(name) > NAME_CHARS_MAX:
            return []
        return [org for org in await self._orgs.list(find=name) if org.name == name and org.kind is not OrgKind.PERSON]

    async def _lines(self, shares: Sequence[tuple[UUID, int]], own: UUID | None) -> str:
        """Shares as one writes them, so that the form can be sent again as it stands."""
        return "\n".join([f"{await self._word(party, own)} {_percent(ppm)}" for party, ppm in shares])

    async def _word(self, party: UUID, own: UUID | None) -> str:
        if party == own:
            return OWN[0]
        org = await self._orgs.get(party)
        if org.kind is OrgKind.PERSON:
            return str(party)
        return org.name if len(await self._called(org.name)) == 1 else org.registration or str(party)


def _right(view: Mapping[str, Any]) -> Mapping[str, Any]:
    """A right with its rate and shares in percent."""
    found = {**view, "rate": _percent(view["rate_ppm"]) if view.get("rate_ppm") else ""}
    if "holders" in view:
        found["holders"] = _shared(view["holders"])
    if "terms" in view:
        found["terms"] = [
            {**one, "shares": _shared(one["shares"]), "rate": _percent(one["rate_ppm"]) if one["rate_ppm"] else ""}
            for one in view["terms"]
        ]
    return found


def _shared(shares: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [{**one, "percent": _percent(one["share_ppm"])} for one in shares]


def _right_fields(found: File, shares: str) -> Mapping[str, str]:
    """An entry's form, filled with what it says now."""
    one, terms = found.entry, found.open or found.in_force
    return {
        "kind": one.kind, "number": one.number, "title": one.title, "abstract": one.abstract, "office": one.office,
        "applied_on": str(one.applied_on or ""), "granted_on": str(one.granted_on or ""),
        "sha256": one.document_sha256, "rate": _percent(terms.rate_ppm) if terms and terms.rate_ppm else "",
        "shares": shares,
    }  # fmt: skip


def _output_fields(found: Deposit, shares: str) -> Mapping[str, str]:
    """An output's form, filled with its newest version."""
    one = found.versions[0]
    return {
        "title": one.title, "abstract": one.abstract, "licence": one.licence, "link": one.link, "sha256": one.sha256,
        "shares": shares,
    }  # fmt: skip


def _output(view: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**view, "authors": _shared(view["authors"])}


def _percent(ppm: int) -> str:
    return f"{ppm / PERCENT_PPM:.4f}".rstrip("0").rstrip(".")


def _ppm(text: str) -> int | None:
    """Percent with up to four decimals, in millionths; None when left empty."""
    text = text.replace("％", "%").strip().rstrip("%").strip()
    if not text:
        return None
    whole, _, part = text.partition(".")
    if not (whole + part).isdigit() or len(part) > len(str(PERCENT_PPM)) - 1 or len(whole) > len("100"):
        raise Invalid("bad_percent", f"{text[:20]!r} is no percentage with at most four decimals.",
                      message_zh=f"“{text[:20]}”不是百分比，最多四位小数。")  # fmt: skip
    return int(whole or "0") * PERCENT_PPM + int((part + "0000")[:4])


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text.strip() else None


def _kind(kinds: Any, text: str) -> Any:
    try:
        return kinds(text)
    except ValueError as error:
        raise Invalid("bad_kind", "Choose one of the kinds.", message_zh="请选择类别。") from error
