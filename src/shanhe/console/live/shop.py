"""The store's pages over its module: listings as plain data, forms as what their kinds define."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.agents.api import labelled_file
from shanhe.clones.api import UnknownMandate
from shanhe.console import model as m
from shanhe.console.live.modules import Modules, Names, actor_of
from shanhe.console.model_credits import File
from shanhe.kernel.documents import MEDIA, Format, render, save_headers
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import parse_credits, said_credits
from shanhe.store.api import (
    Card,
    Case,
    Kind,
    Listing,
    Move,
    NewListing,
    Order,
    Store,
    Terms,
    UnknownListing,
    Version,
    Words,
    earnings_view,
    period,
)

BPS_PERCENT: Final = 100
WORDS: Final = ("title_zh", "title_en", "summary_zh", "summary_en")
NUMBERS: Final = {
    "step_tokens": ("每步最多词元", "tokens a step"), "temperature": ("温度", "temperature"),
    "budget": ("单次运行预算", "budget of a run"), "steps_max": ("最多步数", "steps at most"),
    "answers_max": ("作答成员数", "answers"), "adapter": ("适配器", "adapter"), "share": ("份额", "share"),
    "markup": ("加价率", "markup"), "fee": ("每次费用", "fee a call"),
}  # fmt: skip
"""What the numbers of the form are called."""
PPM_PERCENT: Final = 10_000
MARKUP_DEFAULT: Final = "20"
STEP_TOKENS_DEFAULT: Final = "512"
INPUTS_MAX: Final = 10
SPARE_INPUTS: Final = 2
"""Empty rows after the inputs that an agent has."""
OPTIONS: Final = re.compile(r"[|｜、，,;；\n]")
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    Kind.AGENT: frozenset(
        {
            "model",
            "instructions",
            "tools",
            "knowledge",
            "calling",
            "budget_micro",
            "steps_max",
            "step_tokens",
            "temperature",
            "opening",
            "questions",
            "inputs",
        }
    ),
    Kind.CLONE: frozenset({"model", "instructions", "knowledge", "budget_micro", "clone"}),
    Kind.ALLIANCE: frozenset({"model", "instructions", "budget_micro", "alliance"}),
    Kind.MCP: frozenset({"url", "tools", "secrets", "passes", "hosted"}),
}
"""What a kind's form has fields for; the other kinds are JSON as a whole."""


class LiveShop:
    """See `ports.Shop`."""

    def __init__(self, modules: Modules, names: Names) -> None:
        self._names = names
        self._store: Store = modules.store
        self._earnings = modules.earnings
        self._clones = modules.clones
        self._agents = modules.agents
        self._clock = modules.clock

    # -- the window ---------------------------------------------------------------------------------------------------

    async def answer_file(
        self, who: m.Who, name: str, text: str, label: str, form: str, *, language: str
    ) -> File:  # fmt: skip
        try:
            said = msgspec.json.decode(label or "{}", type=dict[str, Any])
        except msgspec.DecodeError:
            said = {}
        # a form's lines end in CR LF; the label is of the text as it was
        plain, agents = text.replace("\r\n", "\n"), self._agents
        key, today = agents.labels.public_key, agents.today()
        return File(*await labelled_file(key, name, plain, said, form, today, language=language))

    async def window(
        self, kind: str, find: str, category: str = "", order: str = "rank"
    ) -> Sequence[Mapping[str, Any]]:
        found = await self._store.cards(kind or None, category or None, find or None, Order(order))
        return [_card(card) for card in found]

    async def listing(self, name: str) -> Mapping[str, Any]:
        ratings = [
            {"stars": one.stars, "text": one.text, "at": one.rated_at} for one in await self._store.ratings(name)
        ]
        honours = [{"contest": one.contest, "title": {"zh": one.title_zh, "en": one.title_en}, "place": one.place}
                   for one in await self._store.honours(name)]  # fmt: skip
        said = [one for one in ratings if one["text"]]
        content = (await self._store.offer(name)).version.content
        model = content.get("model", "") if isinstance(content.get("model"), str) else ""
        return {**_card(await self._store.card(name)), "ratings_said": said, "honours": honours, "model": model}

    async def rate(self, who: m.Who, name: str, stars: int, text: str) -> None:
        await self._store.rate(name, org_id=who.org_id, stars=stars, text=text.strip(), actor=actor_of(who).ref)

    # -- makers -------------------------------------------------------------------------------------------------------

    async def mine(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [
            {**_listing(one), "version": versions[0].n if versions else 0,
             "version_state": versions[0].state if versions else "draft"}
            for one, versions in await self._store.mine(who.org_id)
        ]  # fmt: skip

    async def edit(self, who: m.Who, name: str) -> Mapping[str, Any]:
        for one, versions in await self._store.mine(who.org_id):
            if one.name == name:
                newest = versions[0] if versions else None
                form = _form(one.kind, newest)
                waits = newest.words if newest is not None and newest.state == "draft" else None
                form |= msgspec.to_builtins(waits or one.words)
                if one.kind is Kind.CLONE and not form.get("mandate"):
                    form["mandate"] = await self._mandate(who, name)
                moves = (await self._store.case(name)).moves
                return {
                    **_listing(one), "versions": [_version(version) for version in versions],
                    "moves": [_move(move) for move in moves],
                    "open": newest is None or newest.state != "submitted", "form": form,
                }  # fmt: skip
        raise UnknownListing(name)

    async def _mandate(self, who: m.Who, name: str) -> str:
        """The consent that a clone of this name rests on; empty before it is given."""
        try:
            return str((await self._clones.standing(name, who.org_id)).id)
        except UnknownMandate:
            return ""

    async def open(self, who: m.Who, fields: Mapping[str, str]) -> str:
        kind = fields.get("kind", "")
        if kind not in list(Kind):
            raise Invalid("bad_kind", "Choose a kind.", message_zh="请选择类别。")
        new = NewListing(
            new_id(), Kind(kind), fields.get("slug", "").strip(), fields.get("title_zh", "").strip(),
            fields.get("title_en", "").strip(), fields.get("summary_zh", "").strip(),
            fields.get("summary_en", "").strip(), fields.get("category", "general"),
        )  # fmt: skip
        return (await self._store.open(new, owner=who.org_id, actor=actor_of(who).ref)).name

    async def save(self, who: m.Who, name: str, fields: Mapping[str, str]) -> None:
        content = content_of(name.partition("/")[0], fields, await self._kept(who, name))
        await self._store.draft(
            name, content, terms_of(fields), owner=who.org_id, actor=actor_of(who).ref,
            notes=fields.get("notes", "").strip(),
        )  # fmt: skip
        if fields.get("title_zh"):
            said = {field: fields.get(field, "").strip() for field in WORDS}
            words = Words(**said, category=fields.get("category", "general"))
            await self._store.describe(name, words, owner=who.org_id, actor=actor_of(who).ref)

    async def _kept(self, who: m.Who, name: str) -> Mapping[str, Any]:
        """What the newest version says beyond the form's fields: a page changes only what it shows."""
        newest, shown = await self._newest(who, name), FIELDS.get(name.partition("/")[0])
        if newest is None or shown is None:
            return {}
        return {key: value for key, value in newest.content.items() if key not in shown}

    async def _newest(self, who: m.Who, name: str) -> Version | None:
        for one, versions in await self._store.mine(who.org_id):
            if one.name == name:
                return versions[0] if versions else None
        raise UnknownListing(name)

    async def submit(self, who: m.Who, name: str) -> None:
        await self._store.submit(name, owner=who.org_id)

    async def recall(self, who: m.Who, name: str) -> None:
        await self._store.recall(name, owner=who.org_id)

    async def expose(self, who: m.Who, name: str, shown: bool) -> None:
        move = self._store.relist if shown else self._store.deprecate
        await move(name, owner=who.org_id, actor=actor_of(who).ref)

    async def withdraw(self, who: m.Who, name: str) -> None:
        await self._store.withdraw(name, owner=who.org_id, actor=actor_of(who).ref)

    async def income(self, who: m.Who, first: str, last: str) -> Mapping[str, Any]:
        begin, end = self._period(first, last)
        found = await self._earnings.of(who.org_id, begin, end)
        sums = {begin + timedelta(days=n): [0, 0] for n in range((end - begin).days + 1)}
        for row in found.days:
            sums[row.day][0] += row.earned_micro
            sums[row.day][1] += row.calls
        chart = [m.DaySpend(day, micro, calls) for day, (micro, calls) in sums.items()]
        return {**earnings_view(found), "chart": chart}

    async def income_file(self, who: m.Who, first: str, last: str, fmt: str, language: str) -> File:
        begin, end = self._period(first, last)
        made = await self._earnings.statement(who.org_id, begin, end, name=who.org_name, language=language)
        shape = Format(fmt)
        return File(await render(made, shape), MEDIA[shape], save_headers(f"{made.title}-{begin}-{end}", shape))

    def _period(self, first: str, last: str) -> tuple[date, date]:
        return period(self._clock, _day(first), _day(last))

    # -- reviewers ----------------------------------------------------------------------------------------------------

    async def queue(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        called = self._names.actors()
        return [await _case(one, called) for one in await self._store.cases()]

    async def known(self, who: m.Who, find: str) -> Sequence[Mapping[str, Any]]:
        return [_listing(one) for one in await self._store.known(find)]

    async def case(self, who: m.Who, name: str) -> Mapping[str, Any]:
        return await _case(await self._store.case(name), self._names.actors())

    async def stand(self, who: m.Who, name: str, offered: bool, reason: str) -> None:
        move = self._store.restore if offered else self._store.remove
        await move(
            name, reason=reason.strip(), actor=actor_of(who).ref, actor_org=who.org_id if who.has_org else None
        )  # fmt: skip

    async def review(self, who: m.Who, name: str, n: int, approve: bool, note: str) -> None:
        await self._store.review(
            name,
            n,
            approve=approve,
            note=note.strip(),
            reviewer=actor_of(who).ref,
            reviewer_org=who.org_id if who.has_org else None,
        )


def _day(text: str) -> date | None:
    """A day out of a form; None where none is given."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("bad_date", "Write a day like 2026-11-26.", message_zh="日期格式如 2026-11-26。") from error


def _listing(one: Listing) -> dict[str, Any]:
    return {
        "name": one.name, "kind": one.kind, "slug": one.slug, "state": one.state, "category": one.category,
        "title": {"zh": one.title_zh, "en": one.title_en},
        "summary": {"zh": one.summary_zh, "en": one.summary_en or one.summary_zh},
    }  # fmt: skip


def _card(card: Card) -> dict[str, Any]:
    mean = f"{card.stars_sum / card.ratings:.1f}" if card.ratings else ""
    shown = {name: getattr(card, name) for name in card.__slots__ if name != "listing"}
    return {**_listing(card.listing), **shown, "mean": mean, "points": f"{card.score / BPS_PERCENT:.1f}",
            "markup": f"{card.markup_bps / BPS_PERCENT:g}"}  # fmt: skip


def _version(version: Version) -> dict[str, Any]:
    checks = [{"name": one.name, "passed": one.passed, "zh": one.zh, "en": one.en} for one in version.checks]
    return {
        "n": version.n, "version_state": version.state, "notes": version.notes, "decision": version.decision,
        "submitted_at": version.submitted_at, "decided_at": version.decided_at, "checks": checks,
        "markup": f"{version.terms.markup_bps / BPS_PERCENT:g}", "fee_micro": version.terms.fee_micro,
    }  # fmt: skip


def _move(one: Move) -> dict[str, Any]:
    return {"was": one.was, "becomes": one.becomes, "reason": one.reason, "at": one.moved_at}


async def _case(case: Case, officer: Callable[[str], Awaitable[str]]) -> dict[str, Any]:
    """A listing as its reviewer reads it: what waits, how that differs from what is offered, what was before."""
    one, waits, before = case.listing, case.version, case.before
    called = case.parties.get
    shown = waits or before or (case.versions[0] if case.versions else None)
    return {
        **_listing(one), **(_version(shown) if shown else {}), "maker": called(one.owner, ""),
        "waits": waits is not None, "content": "" if shown is None else _pretty(shown.content),
        "before": None if before is None or waits is None else _version(before),
        "changes": [] if before is None or waits is None else changes(before.content, waits.content),
        "makers": [] if shown is None else [
            {"name": called(party, str(party)), "share": f"{ppm / PPM_PERCENT:g}"}
            for party, ppm in shown.terms.makers],
        "rights": [] if shown is None else list(shown.terms.rights),
        "renamed": _renamed(one, waits), "moves": [
            {**_move(move), "by": await officer(move.moved_by)} for move in case.moves],
        "decided": [
            {**_version(v), "by": await officer(v.decided_by)} for v in case.versions if v.decided_at is not None],
        "alike": [{**_listing(other), "maker": called(other.owner, "")} for other in case.alike],
    }  # fmt: skip


def _renamed(one: Listing, waits: Version | None) -> list[dict[str, str]]:
    """Words that change with the version that waits."""
    if waits is None or waits.words is None:
        return []
    return [{"field": field, "was": getattr(one.words, field), "becomes": getattr(waits.words, field)}
            for field in (*WORDS, "category") if getattr(one.words, field) != getattr(waits.words, field)]  # fmt: skip


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    """Fields of a version's content that differ from the one that is offered, as they were and as they become."""
    return [
        {"field": field, "was": _shown(before.get(field)), "becomes": _shown(after.get(field))}
        for field in dict.fromkeys((*before, *after)) if before.get(field) != after.get(field)
    ]  # fmt: skip


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "—"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _pretty(content: Mapping[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def _form(kind: str, version: Version | None) -> dict[str, str]:
    """The fields of a listing's form, filled with its newest version."""
    if version is None:
        return {"markup": MARKUP_DEFAULT, "fee": "0", "budget": "1", "steps_max": "6", "json": "{}", **_inputs_form([])}
    content, terms = version.content, version.terms
    makers = "\n".join(f"{party} {share / PPM_PERCENT:g}" for party, share in terms.makers)
    secrets = "\n".join(f"{header}={name}" for header, name in content.get("secrets", {}).items())
    hosted = content.get("hosted") or {}
    return {
        "markup": f"{terms.markup_bps / BPS_PERCENT:g}", "fee": said_credits(terms.fee_micro).replace(",", ""),
        "makers": makers, "rights": "\n".join(terms.rights),
        "notes": version.notes, "json": _pretty(content), "model": str(content.get("model", "")),
        "instructions": str(content.get("instructions", "")), "tools": "\n".join(content.get("tools", ())),
        "budget": said_credits(int(content.get("budget_micro", 0))).replace(",", ""),
        "step_tokens": str(content.get("step_tokens", STEP_TOKENS_DEFAULT)),
        "temperature": "" if content.get("temperature") is None else f"{content['temperature']:g}",
        "opening": str(content.get("opening", "")), "questions": "\n".join(content.get("questions", ())),
        "steps_max": str(content.get("steps_max", "")), "knowledge": "\n".join(content.get("knowledge", ())),
        "calling": str(content.get("calling", "auto")), "url": str(content.get("url", "")), "secrets": secrets,
        "passes": ", ".join(content.get("passes", ())), "code": hosted.get("code", ""),
        "described": _pretty(hosted["described"]) if hosted else "", **_likeness_form(content),
        **_inputs_form(content.get("inputs", ())),
    }  # fmt: skip


def _inputs_form(inputs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The rows of what an agent asks for first, with some to spare."""
    found = {"inputs_shown": str(min(len(inputs) + SPARE_INPUTS, INPUTS_MAX))}
    for n, one in enumerate(inputs):
        row = {
            "name": one["name"], "label": one["label"], "kind": one.get("kind", "text"),
            "options": "、".join(one.get("options", ())), "required": "1" if one.get("required", True) else "",
        }  # fmt: skip
        found |= {f"input_{n}_{name}": text for name, text in row.items()}
    return found


def _inputs_of(fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """What an agent asks for first, out of a form: a row without a name is none."""
    found = []
    for n in range(INPUTS_MAX):
        row = {name: fields.get(f"input_{n}_{name}", "").strip() for name in ("name", "label", "kind", "options")}
        if not row["name"]:
            continue
        options = [word.strip() for word in OPTIONS.split(row["options"]) if word.strip()]
        found.append({
            "name": row["name"], "label": row["label"] or row["name"], "kind": row["kind"] or "text",
            "required": bool(fields.get(f"input_{n}_required")),
            **({"options": options} if row["kind"] == "choice" else {}),
        })  # fmt: skip
    return found


def _likeness_form(content: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a clone or an alliance."""
    clone, alliance = content.get("clone") or {}, content.get("alliance") or {}
    return {
        "topics": "\n".join(clone.get("topics", ())),
        "mandate": str(clone.get("mandate", "")), "adapter": str(clone.get("adapter", 0)),
        "voice": str(clone.get("voice", "")), "voice_name": str(clone.get("voice_name", "")),
        "members": "\n".join(alliance.get("members", ())), "answers_max": str(alliance.get("answers_max", 3)),
    }  # fmt: skip


def content_of(kind: str, fields: Mapping[str, str], kept: Mapping[str, Any]) -> dict[str, Any]:
    """What is offered, out of a form: agents and servers have fields of their own beside what is `kept` of the version
    before, the rest is JSON."""
    lines = _lines(fields.get("tools", ""))
    if kind in (Kind.CLONE, Kind.ALLIANCE):
        return {**kept, **_likeness_of(kind, fields)}
    if kind == Kind.AGENT:
        return {
            **kept, "model": fields.get("model", "").strip(), "instructions": fields.get("instructions", "").strip(),
            "tools": lines, "knowledge": _lines(fields.get("knowledge", "")),
            "calling": fields.get("calling") or "auto", "budget_micro": _credits(fields.get("budget", ""), "budget"),
            "steps_max": _whole(fields.get("steps_max", ""), "steps_max"),
            "step_tokens": _whole(fields.get("step_tokens") or STEP_TOKENS_DEFAULT, "step_tokens"),
            "temperature": _decimal(fields.get("temperature", ""), "temperature"),
            "opening": fields.get("opening", "").replace("\r\n", "\n").strip(),
            "questions": _lines(fields.get("questions", "")), "inputs": _inputs_of(fields),
        }  # fmt: skip
    if kind == Kind.MCP:
        pairs = [line.partition("=") for line in fields.get("secrets", "").splitlines() if line.strip()]
        secrets = {header.strip(): name.strip() for header, _, name in pairs}
        if fields.get("code", "").strip():
            described = _json(fields.get("described", "") or "{}")
            hosted = {"code": fields["code"].replace("\r\n", "\n"), "described": described}
            return {**kept, "tools": lines, "hosted": hosted}
        passes = fields.get("passes", "").replace("，", ",").split(",")
        return {**kept, "url": fields.get("url", "").strip(), "tools": lines, "secrets": secrets,
                "passes": [one.strip() for one in passes if one.strip()]}  # fmt: skip
    return _json(fields.get("json", "") or "{}")


def _lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _likeness_of(kind: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """A clone or an alliance, out of a form."""
    found: dict[str, Any] = {
        "model": fields.get("model", "").strip(), "instructions": fields.get("instructions", "").strip(),
        "budget_micro": _credits(fields.get("budget", ""), "budget"),
    }  # fmt: skip
    if kind == Kind.ALLIANCE:
        members = _lines(fields.get("members", ""))
        most = _whole(fields.get("answers_max", "3"), "answers_max")
        return {**found, "alliance": {"members": members, "answers_max": most}}
    clone = {
        "mandate": fields.get("mandate", "").strip(), "adapter": _whole(fields.get("adapter", "0") or "0", "adapter"),
        "topics": _lines(fields.get("topics", "")), "voice": fields.get("voice", "").strip(),
        "voice_name": fields.get("voice_name", "").strip(),
    }  # fmt: skip
    return {**found, "knowledge": _lines(fields.get("knowledge", "")), "clone": clone}


def _json(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Invalid("bad_json", f"The content is no JSON: {error}.", message_zh="内容不是有效的 JSON。") from error
    if not isinstance(found, dict):
        raise Invalid("bad_json", "The content must be a JSON object.", message_zh="内容须为 JSON 对象。")
    return found


def terms_of(fields: Mapping[str, str]) -> Terms:
    """Markup, fee and makers, out of a form."""
    makers = []
    for line in fields.get("makers", "").splitlines():
        if line.strip():
            party, _, percent = line.strip().partition(" ")
            try:
                makers.append((UUID(party), _scaled(percent, PPM_PERCENT, "share")))
            except ValueError as error:
                raise Invalid("bad_maker", f"{party[:40]!r} is no organisation's id.",
                              message_zh=f"“{party[:40]}”不是机构编号。") from error  # fmt: skip
    markup_bps = _scaled(fields.get("markup", ""), BPS_PERCENT, "markup")
    rights = tuple(dict.fromkeys(fields.get("rights", "").split()))
    return Terms(markup_bps, _credits(fields.get("fee", "") or "0", "fee"), tuple(makers), rights=rights)


def _scaled(text: str, scale: int, field: str) -> int:
    """A percentage in whole steps of 1/scale of a percent."""
    try:
        value = Decimal(text.strip().removesuffix("%") or "0") * scale
    except InvalidOperation as error:
        raise _bad_number(text, field) from error
    if not value.is_finite() or value != value.to_integral_value() or not 0 <= value < 2**31:
        raise _bad_number(text, field)
    return int(value)


def _credits(text: str, field: str) -> int:
    try:
        return parse_credits(text)
    except ValueError as error:
        raise _bad_number(text, field) from error


def _whole(text: str, field: str) -> int:
    if not text.strip().isdigit() or len(text) > 6:
        raise _bad_number(text, field)
    return int(text)


def _decimal(text: str, field: str) -> float | None:
    """A number out of a form; None where none is given."""
    if not text.strip():
        return None
    try:
        return float(Decimal(text.strip()))
    except (InvalidOperation, OverflowError) as error:
        raise _bad_number(text, field) from error


def _bad_number(text: str, field: str) -> Invalid:
    return Invalid("bad_number", f"{NUMBERS[field][1]}: {text[:40]!r} is not a number that fits here.",
                   message_zh=f"{NUMBERS[field][0]}：“{text[:40]}”不是有效的数值。")  # fmt: skip
