"""Requests, drafts, profiles, and who pays: everything about content but writing it (see `runner`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from shanhe.content import store
from shanhe.content.checking import Personal, findings
from shanhe.content.errors import BadForm, FreeUsedUp, IdTaken, NoModel, NotAPayer, TooManyOpen, UnknownContent
from shanhe.content.kinds import cleaned, everything, form_of, kind_of
from shanhe.content.model import (
    DRAFTS_MAX,
    FREE_RULE,
    NAME_MAX_CHARS,
    TEXT_MAX_CHARS,
    TITLE_MAX_CHARS,
    Draft,
    Finding,
    Form,
    Job,
    Own,
    Profile,
    Standing,
    Terms,
)
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal, Seals

OPEN_MAX: Final = 12
PROFILES_MAX: Final = 50
FIND_MAX_CHARS: Final = 80
KEEP: Final = timedelta(days=731)
"""Drafts that nobody touched for so long are forgotten; receipts stay."""
FORM, WRITTEN, TITLE, TEXT, NAME, FIELDS = (
    "content.job.form", "content.draft.written", "content.draft.title", "content.draft.text", "content.profile.name",
    "content.profile.fields",
)  # fmt: skip
CLOSED: Final = ("市里尚未开通免费额度", "The city has not opened the free tier")
OTHER_MODEL: Final = ("免费额度只用于默认模型", "The free tier is for the city's basic model")
NOT_A_COMPANY: Final = ("免费额度只提供给企业", "The free tier is for companies")
USED_UP: Final = ("本月免费额度不足", "The free tier of this month is not enough")
Decide = Callable[[Mapping[str, Any], date, datetime | None], tuple[int, Any]]
"""(facts of the rule, day, known when: None = now) → (free uses left, the trace)."""


class Town(Protocol):
    """What the hub must know of the city; handed in by the composition root."""

    async def is_company(self, org_id: UUID) -> bool:
        """Whether the free tier is meant for it."""
        ...

    async def designated(self, org_id: UUID) -> bool:
        """Whether a register says that it is above designated size."""
        ...

    async def payer_name(self, org_id: UUID) -> tuple[str, bool]:
        """(name, whether it is a government body) of an organisation."""
        ...

    def models(self) -> Sequence[str]:
        """Models that write, the city's basic one first."""
        ...

    async def key_of(self, org_id: UUID) -> UUID:
        """The key by which an organisation pays for what it writes here."""
        ...


class Content:
    """The hub of one city."""

    def __init__(
        self, db: Database, clock: Clock, *, town: Town, decide: Decide, personal: Personal, seals: Seals | None = None
    ) -> None:
        self._db = db
        self._clock = clock
        self._town = town
        self._decide = decide
        self._personal = personal
        self._seals = seals or Seals()

    # -- who pays -----------------------------------------------------------------------------------------------------

    def month(self) -> date:
        """The first day of the city's month."""
        return self._clock.today().replace(day=1)

    async def standing(self, org_id: UUID) -> Standing:
        """What is free this month, by which rule, and who pays beyond it."""
        month, today = self.month(), self._clock.today()
        eligible = await self._town.is_company(org_id)
        designated = eligible and await self._town.designated(org_id)
        used, terms = await store.used(self._db, org_id, month), await store.terms(self._db, org_id)
        city, models = (await store.city(self._db))[0], await self.models()
        left, trace = self._decide({"designated": designated, "used": used}, today, None)
        name = "" if city is None else (await self._town.payer_name(city))[0]
        return Standing(
            month, eligible, designated, used, left if eligible and city is not None else 0, name, terms.own,
            terms.may_pay(month), models[0] if models else "", tuple(models), trace,
        )  # fmt: skip

    async def agree(self, org_id: UUID, own: Own, *, by: str) -> Terms:
        """Say whether own credits pay beyond the free tier: not at all, this month, or until it is said otherwise."""
        terms = Terms(own, self.month() if own == "month" else None, by)
        await store.set_terms(self._db, org_id, terms, self._clock.now())
        return terms

    async def terms(self, org_id: UUID) -> Terms:
        return await store.terms(self._db, org_id)

    async def own_key(self, org_id: UUID) -> UUID:
        return await self._town.key_of(org_id)

    async def models(self) -> list[str]:
        """Models that write, the one that the city pays for first."""
        basic, found = (await store.city(self._db))[1], list(self._town.models())
        return sorted(found, key=lambda name: name != basic)

    async def set_city(self, org_id: UUID | None, *, by: str, model: str = "") -> None:
        """Whose credits pay the free tier from now on, and of which model (empty = the first); None closes it.
        NotAPayer for who is no government body, NoModel for what is not offered."""
        if org_id is not None:
            name, government = await self._town.payer_name(org_id)
            if not government:
                raise NotAPayer(name)
        if model and model not in self._town.models():
            raise NoModel(model)
        if (org_id, model) != await store.city(self._db):
            await store.set_city(self._db, org_id, model, by, self._clock.now())

    async def open_city(self, org_id: UUID, *, by: str) -> None:
        """The same where nobody ever said who pays."""
        if not await store.city_known(self._db):
            await self.set_city(org_id, by=by)

    async def city(self) -> dict[str, Any]:
        """Who pays the free tier, and what it took this month."""
        (org_id, model), month = await store.city(self._db), self.month()
        row = await store.month_totals(self._db, month)
        name = "" if org_id is None else (await self._town.payer_name(org_id))[0]
        return {
            "org_id": org_id, "name": name, "model": model, "models": await self.models(), "month": month,
            "organisations": row["orgs"], "used": row["used"], "paid_micro": int(row["paid_micro"]),
        }  # fmt: skip

    # -- profiles -----------------------------------------------------------------------------------------------------

    async def save_profile(
        self, org_id: UUID, name: str, fields: Mapping[str, str], *, by: str, profile_id: UUID | None = None
    ) -> Profile:
        """Keep what stays the same from text to text; the same id again changes it."""
        name = name.strip()
        if not 1 <= len(name) <= NAME_MAX_CHARS or any(ord(sign) < 32 for sign in name):
            raise BadForm(f"A name has 1 to {NAME_MAX_CHARS} signs", f"名称须为 1–{NAME_MAX_CHARS} 字")
        known = everything().fields
        given = {key: value for key, value in cleaned(fields).items() if known[key].profile}
        standing = await store.profiles(self._db, org_id)
        if len(standing) >= PROFILES_MAX and profile_id not in {one.id for one in standing}:
            raise BadForm(f"At most {PROFILES_MAX} profiles", f"最多 {PROFILES_MAX} 份产品档案")
        seal, now = await self._seals.of(org_id), self._clock.now()
        made = Profile(profile_id or new_id(), org_id, seal.text(NAME, name), seal.json(FIELDS, given), by, now, now)
        if not await store.save_profile(self._db, made):
            raise IdTaken()
        return msgspec.structs.replace(made, name=name, fields=given)

    async def profiles(self, org_id: UUID) -> list[Profile]:
        seal = await self._seals.of(org_id)
        return [
            msgspec.structs.replace(one, name=seal.open(NAME, one.name), fields=seal.open_json(FIELDS, one.fields, {}))
            for one in await store.profiles(self._db, org_id)
        ]

    async def drop_profile(self, org_id: UUID, profile_id: UUID) -> None:
        if not await store.drop_profile(self._db, org_id, profile_id):
            raise UnknownContent("profile", "产品档案")

    # -- requests -----------------------------------------------------------------------------------------------------

    async def ask(
        self, org_id: UUID, kind: str, content: Mapping[str, Any], *, by: str, drafts: int = 1, model: str = "",
        job_id: UUID | None = None, key_id: UUID | None = None,
    ) -> tuple[Job, list[Draft]]:  # fmt: skip
        """Have drafts written; the same id again is the same request. FreeUsedUp when nobody pays for all of them."""
        form = form_of(kind, content)
        if not 1 <= drafts <= DRAFTS_MAX:
            raise BadForm(f"1 to {DRAFTS_MAX} drafts", f"一次 1–{DRAFTS_MAX} 稿")
        models = await self.models()
        if not models or (model and model not in models):
            raise NoModel(model)
        model = model or models[0]
        wanted = Job(
            job_id or new_id(), org_id, kind, msgspec.to_builtins(form), model, drafts, by, self._clock.now()
        )  # fmt: skip
        if (known := await self._known(wanted)) is not None:
            return known
        city, why = await self._city_for(org_id, model, models[0])
        own_key = key_id or await self._town.key_of(org_id)
        city_key = own_key if city is None else await self._town.key_of(city)
        designated = city is not None and await self._town.designated(org_id)
        seal, month = await self._seals.of(org_id), self.month()
        async with self._db.transaction() as conn:
            used = await store.used_locked(conn, org_id, month)
            if await store.open_count(conn, org_id) + drafts > OPEN_MAX:
                raise TooManyOpen(OPEN_MAX)
            fresh = await store.add_job(conn, msgspec.structs.replace(wanted, form=seal.json(FORM, wanted.form)))
            if fresh:
                free = 0
                for n in range(1, drafts + 1):
                    facts = {"designated": designated, "used": used + free}
                    left, _ = self._decide(facts, self._clock.today(), None)
                    pays = city if city is not None and left > 0 else None
                    if pays is None and not (await store.terms(conn, org_id)).may_pay(month):
                        raise FreeUsedUp(free + (left if city is not None else 0), drafts, why)
                    free += pays is not None
                    await store.add_draft(conn, _draft(wanted, n, pays, city_key if pays else own_key, month,
                                                       {"rule": FREE_RULE, "facts": facts, "free_left": left})
                                          )  # fmt: skip
                await store.count_uses(conn, org_id, month, free)
                await store.announce(conn)
        found = await self._known(wanted)
        assert found is not None
        return found

    async def _city_for(self, org_id: UUID, model: str, basic: str) -> tuple[UUID | None, tuple[str, str]]:
        """Who pays free uses for this request, if anybody; and what to say when that is not enough."""
        if not await self._town.is_company(org_id):
            return None, NOT_A_COMPANY
        if model != basic:
            return None, OTHER_MODEL
        city, _ = await store.city(self._db)
        return city, CLOSED if city is None else USED_UP

    async def _known(self, wanted: Job) -> tuple[Job, list[Draft]] | None:
        """The request that has this id; IdTaken when it is another."""
        standing = await store.job(self._db, wanted.id)
        if standing is None:
            return None
        if standing.org_id != wanted.org_id:
            raise IdTaken()
        found = await self._opened_job(standing)
        same = (found.kind, found.form, found.model, found.asked) == (
            wanted.kind, wanted.form, wanted.model, wanted.asked
        )  # fmt: skip
        if not same:
            raise IdTaken()
        return found, await self._opened(wanted.org_id, await store.drafts_of(self._db, wanted.id))

    async def again(
        self, org_id: UUID, job_id: UUID, *, by: str, drafts: int = 1, new: UUID | None = None,
        key_id: UUID | None = None,
    ) -> tuple[Job, list[Draft]]:  # fmt: skip
        """The same form once more, as a request of its own, by the model that is the city's now if the old one left."""
        old, _ = await self.job(org_id, job_id)
        model = old.model if old.model in self._town.models() else ""
        return await self.ask(
            org_id, old.kind, old.form, by=by, drafts=drafts, model=model, job_id=new, key_id=key_id
        )  # fmt: skip

    async def job(self, org_id: UUID, job_id: UUID) -> tuple[Job, list[Draft]]:
        """A request of one's own with its drafts."""
        found = await store.job(self._db, job_id)
        if found is None or found.org_id != org_id:
            raise UnknownContent("request", "写作请求")
        return await self._opened_job(found), await self._opened(org_id, await store.drafts_of(self._db, job_id))

    async def _opened_job(self, one: Job) -> Job:
        seal = await self._seals.of(one.org_id)
        return msgspec.structs.replace(one, form=seal.open_json(FORM, one.form, {"fields": {}}))

    # -- drafts -------------------------------------------------------------------------------------------------------

    async def draft(self, org_id: UUID, draft_id: UUID) -> Draft:
        found = await store.draft(self._db, draft_id)
        if found is None or found.org_id != org_id:
            raise UnknownContent("draft", "文稿")
        return (await self._opened(org_id, [found]))[0]

    async def _opened(self, org_id: UUID, rows: Sequence[Draft]) -> list[Draft]:
        seal = await self._seals.of(org_id)
        return [
            msgspec.structs.replace(
                one, title=seal.open(TITLE, one.title), text=seal.open(TEXT, one.text),
                written=seal.open_json(WRITTEN, one.written, {}),
            )
            for one in rows
        ]  # fmt: skip

    async def drafts(self, org_id: UUID, *, find: str = "", kind: str = "", before: UUID | None = None) -> list[Draft]:
        """An organisation's drafts, newest first, a page; `find` in titles and texts of the newest thousand."""
        wanted = find.strip().casefold()[:FIND_MAX_CHARS]
        if kind:
            kind_of(kind)
        limit = store.SEARCH_ROWS if wanted else store.PAGE_ROWS
        rows = await self._opened(org_id, await store.drafts(self._db, org_id, kind or None, before, limit))
        if wanted:
            rows = [one for one in rows if wanted in f"{one.title}\n{one.text}".casefold()][: store.PAGE_ROWS]
        return rows

    async def edit(self, org_id: UUID, draft_id: UUID, title: str, text: str) -> Draft:
        """Change a finished draft; it stays AI-made."""
        title, text = title.strip(), text.replace("\r\n", "\n").strip()
        bad = any(ord(sign) < 32 and sign != "\n" for sign in title + text) or "\n" in title
        if bad or not 1 <= len(text) <= TEXT_MAX_CHARS or len(title) > TITLE_MAX_CHARS:
            raise BadForm(f"A text has 1 to {TEXT_MAX_CHARS} signs, its title one line of at most {TITLE_MAX_CHARS}",
                          f"正文须为 1–{TEXT_MAX_CHARS} 字，标题一行且不超过 {TITLE_MAX_CHARS} 字")  # fmt: skip
        await self.draft(org_id, draft_id)
        seal = await self._seals.of(org_id)
        if not await store.edit(
            self._db, draft_id, seal.text(TITLE, title), seal.text(TEXT, text), self._clock.now()
        ):  # fmt: skip
            raise UnknownContent("finished draft", "已完成的文稿")
        return await self.draft(org_id, draft_id)

    async def drop(self, org_id: UUID, draft_id: UUID) -> None:
        """Delete a draft that is not being written; what it cost stays on the ledger."""
        await self.draft(org_id, draft_id)
        if not await store.drop_draft(self._db, org_id, draft_id):
            raise UnknownContent("finished draft", "已完成的文稿")

    def checked(self, draft: Draft, form: Any) -> list[Finding]:
        """What to look at in a draft as it stands now."""
        given = [str(value) for value in (form.get("fields") or {}).values()] if isinstance(form, dict) else []
        return findings(draft.text, given, self._personal)

    def why_paid(self, draft: Draft) -> Any:
        """The trace of the decision who pays, as the rule was known then."""
        facts = draft.decision.get("facts") if isinstance(draft.decision, dict) else None
        return None if not facts else self._decide(facts, city_date(draft.made_at), draft.made_at)[1]

    async def payer_name(self, draft: Draft) -> str:
        return (await self._town.payer_name(draft.payer_org))[0]

    async def seal_of(self, org_id: UUID) -> Seal:
        return await self._seals.of(org_id)

    async def form_of_job(self, job_id: UUID) -> Form:
        """What a draft is written from."""
        found = await store.job(self._db, job_id)
        assert found is not None
        return msgspec.convert((await self._opened_job(found)).form, type=Form)

    async def purge(self) -> int:
        """Forget drafts that nobody touched for long."""
        return await store.purge(self._db, self._clock.now() - KEEP)


def _draft(job: Job, n: int, city: UUID | None, key_id: UUID, month: date, decision: Any) -> Draft:
    return Draft(
        id=new_id(), job=job.id, org_id=job.org_id, n=n, kind=job.kind, model=job.model, state="waiting",
        payer="own" if city is None else "city", payer_org=city or job.org_id, key_id=key_id, month=month,
        decision=decision, receipt_id=None, paid_micro=0, title="", text="", written=None, why=None, error="",
        made_at=job.made_at, ended_at=None, edited_at=None,
    )  # fmt: skip
