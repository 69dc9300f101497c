"""The store: the window, trying and rating, a maker's listings and income, the reviewers' queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from fastapi import Request
from starlette.responses import Response

from shanhe.console import chart, once
from shanhe.console import model as m
from shanhe.console.definitions import definition_file, object_in
from shanhe.console.pages.base import Room
from shanhe.console.pages.credits import download
from shanhe.console.pages.play import inputs_of
from shanhe.console.render import form, form_with_file, go
from shanhe.kernel.errors import Invalid, NotFound, ShanheError
from shanhe.kernel.http import language
from shanhe.kernel.ids import id_in
from shanhe.kernel.routing import APIRouter
from shanhe.store.errors import ListingChanged

KINDS: Final = ("agent", "clone", "alliance", "mcp", "model", "data", "prompt")
TRIED: Final = ("agent", "clone", "alliance")
"""Kinds that answer a question."""
USES: Final = ("consultation", "teaching", "service", "promotion")
CATEGORIES: Final = (
    "general", "government", "industry", "health", "education", "culture_tourism", "finance", "transport", "developer",
)  # fmt: skip
STARS: Final = (5, 4, 3, 2, 1)
ORDERS: Final = ("rank", "new", "used", "rated", "cheap")
QUESTION_MAX_CHARS: Final = 4_000
MAKER_FIELDS_MAX: Final = 200
FIND_MAX_CHARS: Final = 80
LEAF_ROWS: Final = 50
PAGE_DIGITS: Final = 6
FORMATS: Final = ("csv", "xlsx", "pdf")
OK: Final = 200


class ShopRoom(Room):
    """`/store` for everybody; `/makers` for makers; `/city/store` for reviewers."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/store", self.window, methods=["GET"])
        add("/store/ranks", self.ranks, methods=["GET"])
        add("/store/{kind}/{slug}", self.listing, methods=["GET"])
        add("/store/{kind}/{slug}/try", self.attempt, methods=["POST"])
        add("/store/{kind}/{slug}/save", self.keep, methods=["POST"])
        add("/store/{kind}/{slug}/rate", self.rate, methods=["POST"])
        add("/store/{kind}/{slug}/reply", self.reply, methods=["POST"])
        add("/makers", self.mine, methods=["GET"])
        add("/makers", self.open, methods=["POST"])
        add("/makers/income", self.income, methods=["GET"])
        add("/makers/income/statement.{fmt}", self.income_file, methods=["GET"])
        add("/makers/{kind}/{slug}", self.edit, methods=["GET"])
        add("/makers/{kind}/{slug}", self.save, methods=["POST"])
        add("/makers/{kind}/{slug}/versions/{n}", self.version_file, methods=["GET"])
        add("/makers/{kind}/{slug}/show", self.expose, methods=["POST"])
        add("/makers/{kind}/{slug}/withdraw", self.withdraw, methods=["POST"])
        add("/makers/{kind}/{slug}/recall", self.recall, methods=["POST"])
        add("/city/store", self.queue, methods=["GET"])
        add("/city/store/listings", self.known, methods=["GET"])
        add("/city/store/listings/{kind}/{slug}", self.case, methods=["GET"])
        add("/city/store/listings/{kind}/{slug}", self.stand, methods=["POST"])
        add("/city/store/{kind}/{slug}/{n}", self.review, methods=["POST"])
        return routes

    # -- the window ---------------------------------------------------------------------------------------------------

    async def window(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        asked = request.query_params
        kind, category, order = (
            asked.get(name, "") if asked.get(name, "") in known else known[0]
            for name, known in (("kind", ("", *KINDS)), ("category", ("", *CATEGORIES)), ("order", ORDERS))
        )
        find = asked.get("find", "").strip()[:FIND_MAX_CHARS]
        leaf = await _leaf(asked, partial(self.desk.shop.window, kind, find, category, order))
        same = urlencode({"kind": kind, "category": category, "order": order, "find": find})
        return self.show(
            request, "store.html", who, **leaf, kinds=KINDS, kind=kind, categories=CATEGORIES,
            category=category, orders=ORDERS, order=order, find=find, same=same,
        )  # fmt: skip

    async def ranks(self, request: Request) -> Response:
        """Who stood where at a month's end, what it was given, and what makes a payer count."""
        who = await self.desk.gate.who(request)
        asked = request.query_params.get("month", "")[:7]
        return self.show(request, "store_ranks.html", who, **await self.desk.shop.ranks(asked))

    async def listing(self, request: Request, kind: str, slug: str) -> Response:
        who = await self.desk.gate.who(request)
        kept = await self.answer_of(request, who)
        values = await self._listing(kind, slug, who) | (kept or {})
        if who is not None and kept and kind == "agent" and (run_id := id_in(kept["said"].get("run_id"))):
            values["found"] = await self.desk.talk.run(who, run_id)
        return self.show(request, "store_listing.html", who, **values | {"lapsed": kept == {}})

    async def _listing(self, kind: str, slug: str, who: m.Who | None) -> dict[str, Any]:
        one = await self.desk.shop.listing(f"{kind}/{slug}", who)
        prices = next((row.prices for row in await self.desk.member.models() if row.id == one["model"]), {})
        return {
            "one": one, "prices": {bucket: prices[bucket] for bucket in ("input", "output") if bucket in prices},
            "stars": STARS, "question": "", "said": None, "tried": TRIED, "uses": USES, "purpose": "",
            "lapsed": False, "found": None, "told": {}, "inputs": (await self.desk.talk.face(one["name"]))["inputs"]
            if kind == "agent" else (),
        }  # fmt: skip

    async def attempt(self, request: Request, kind: str, slug: str) -> Response:
        """One question to an agent, paid by the person's organisation; the answer has a page of its own, which a reload
        shows again and asks nothing."""
        who, fields = await self.posted(request, "chat")
        values = await self._listing(kind, slug, who)
        values["question"] = question = fields.get("question", "").strip()[:QUESTION_MAX_CHARS]
        try:
            if not question:
                raise Invalid("question_missing", "Ask something.", message_zh="请填写问题。")
            values["purpose"] = purpose = fields.get("purpose", "")[:32]
            values["told"] = told = inputs_of(fields)
            said = await self._ask(request, who, f"{kind}/{slug}", question, {"purpose": purpose, "inputs": told})
        except ShanheError as error:
            return self.again(request, "store_listing.html", who, error, **values)
        kept = {"question": question, "purpose": purpose, "told": told, "said": said}
        return await self.answered(request, who, f"/store/{kind}/{slug}", kept, mark="#try")

    async def _ask(
        self, request: Request, who: m.Who, name: str, question: str, metadata: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        asked = {
            "model": name, "messages": [{"role": "user", "content": question}], "stream": False,
            "metadata": {key: value for key, value in metadata.items() if value},
        }  # fmt: skip
        body = msgspec.json.encode(asked)
        status, parts = 0, []
        async for code, _, piece in self.desk.talk.stream(who, body):
            status = code or status
            parts.append(piece)
        data = b"".join(parts)
        if status != OK:
            raise Invalid("no_answer", self.view.refusal(request, data), status=status or 502)
        answer = msgspec.json.decode(data)
        label = answer.get("AIGC")
        signed = msgspec.json.encode(label).decode() if label else ""
        told = {"steps": [], "citations": [], "clones": [], **answer.get("shanhe", {}), "aigc": label, "label": signed}
        return {"text": answer["choices"][0]["message"]["content"][: once.ANSWER_CHARS_MAX], **told}

    async def keep(self, request: Request, kind: str, slug: str) -> Response:
        """An answer as a file that carries its mark and label."""
        who, fields = await self.posted(request, "chat")
        named = (fields.get(name, "") for name in ("text", "label", "format"))
        return download(await self.desk.shop.answer_file(who, f"{kind}/{slug}", *named, language=language(request)))

    async def rate(self, request: Request, kind: str, slug: str) -> Response:
        who, fields = await self.posted(request, "chat")
        try:
            stars = int(fields.get("stars", "0") or "0")
            await self.desk.shop.rate(who, f"{kind}/{slug}", stars, fields.get("text", ""))
        except (ShanheError, ValueError) as error:
            return self.again(request, "store_listing.html", who, error, **await self._listing(kind, slug, who))
        return go(f"/store/{kind}/{slug}", "rated")

    async def reply(self, request: Request, kind: str, slug: str) -> Response:
        """The maker's answer to a rating of its listing."""
        who, fields = await self.posted(request, "publish")
        try:
            rating = id_in(fields.get("rating", ""))
            if rating is None:
                raise NotFound("unknown_rating", "There is no such rating.", message_zh="没有这条评价。")
            await self.desk.shop.reply(who, rating, fields.get("text", ""))
        except ShanheError as error:
            return self.again(request, "store_listing.html", who, error, **await self._listing(kind, slug, who))
        return go(f"/store/{kind}/{slug}", "replied")

    # -- makers -------------------------------------------------------------------------------------------------------

    async def mine(self, request: Request) -> Response:
        begun = {name: request.query_params.get(name, "")[:63] for name in ("kind", "slug")}
        return await self._mine(request, await self.allowed(request, "publish"), begun)

    async def _mine(self, request: Request, who: m.Who, fields: Mapping[str, str], **values: Any) -> Response:
        rows = await self.desk.shop.mine(who)
        return self.show(
            request, "makers.html", who, rows=rows, kinds=KINDS, categories=CATEGORIES, fields=fields, **values
        )

    async def open(self, request: Request) -> Response:
        who = await self.allowed(request, "publish")
        fields, _, data = await form_with_file(request, who)
        try:
            name = await self.desk.shop.open(who, fields, object_in(data) if data else None)
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._mine(request, who, fields, mistake=mistake, status=error.status)
        return go(f"/makers/{name}", "listing_opened")

    async def edit(self, request: Request, kind: str, slug: str) -> Response:
        who = await self.allowed(request, "publish")
        found = await self._edited(who, f"{kind}/{slug}")
        return self.show(request, "maker.html", who, fields=found["one"]["form"], **found)

    async def _edited(self, who: m.Who, name: str) -> dict[str, Any]:
        """A listing with what its form offers to choose from."""
        models = [one.id for one in await self.desk.member.models() if one.kind == "chat"]
        bases = await self.desk.knowledge.overview(who)
        one = await self.desk.shop.edit(who, name)
        return {"one": one, "models": models, "bases": bases, "categories": CATEGORIES}

    async def version_file(self, request: Request, kind: str, slug: str, n: int) -> Response:
        """What a version says as a file, as `/makers` and `shanhe store` take it."""
        who = await self.allowed(request, "publish")
        return definition_file(await self.desk.shop.version(who, f"{kind}/{slug}", n), f"{slug}-{n}.json")

    async def save(self, request: Request, kind: str, slug: str) -> Response:
        """Keep the draft; with the other button hand it in as well."""
        who = await self.allowed(request, "publish")
        fields = await form(request, who, most=MAKER_FIELDS_MAX)
        name, done = f"{kind}/{slug}", "listing_saved"
        try:
            await self.desk.shop.save(who, name, fields)
            if fields.get("then") == "submit":
                await self.desk.shop.submit(who, name)
                done = "listing_submitted"
        except (ShanheError, ValueError) as error:
            found = await self._edited(who, name)
            if isinstance(error, ListingChanged):  # whoever reads this and saves again means it
                fields = fields | {"base": found["one"]["mark"], "changed": "1"}
            return self.again(request, "maker.html", who, error, fields=fields, **found)
        return go(f"/makers/{name}", done)

    async def expose(self, request: Request, kind: str, slug: str) -> Response:
        """Show it in the window again, or no more."""
        who, fields = await self.posted(request, "publish")
        shown = fields.get("shown") == "1"
        await self.desk.shop.expose(who, f"{kind}/{slug}", shown)
        return go(f"/makers/{kind}/{slug}", "listing_shown" if shown else "listing_hidden")

    async def withdraw(self, request: Request, kind: str, slug: str) -> Response:
        who, _ = await self.posted(request, "publish")
        await self.desk.shop.withdraw(who, f"{kind}/{slug}")
        return go(f"/makers/{kind}/{slug}", "listing_withdrawn")

    async def recall(self, request: Request, kind: str, slug: str) -> Response:
        who, _ = await self.posted(request, "publish")
        await self.desk.shop.recall(who, f"{kind}/{slug}")
        return go(f"/makers/{kind}/{slug}", "listing_recalled")

    async def income(self, request: Request) -> Response:
        who = await self.allowed(request, "publish")
        try:
            return self._income(request, who, await self.desk.shop.income(who, *_period(request)))
        except ShanheError as error:
            found = await self.desk.shop.income(who, "", "")
            return self._income(request, who, found, mistake=self.view.mistake(request, error), status=error.status)

    def _income(self, request: Request, who: m.Who, found: Mapping[str, Any], **values: Any) -> Response:
        days = found["chart"]
        broad = chart.columns(days, width=720, height=200, every=max(5, len(days) // 6))
        narrow = chart.columns(days[-14:], width=330, height=180, every=4)
        return self.show(
            request, "makers_income.html", who, income=found, broad=broad, narrow=narrow, formats=FORMATS, **values
        )

    async def income_file(self, request: Request, fmt: str) -> Response:
        who = await self.allowed(request, "publish")
        shape = fmt if fmt in FORMATS else "csv"
        return download(await self.desk.shop.income_file(who, *_period(request), shape, language(request)))

    # -- reviewers ----------------------------------------------------------------------------------------------------

    async def queue(self, request: Request) -> Response:
        who = await self.allowed(request, "store")
        return self.show(request, "city_store.html", who, rows=await self.desk.shop.queue(who))

    async def review(self, request: Request, kind: str, slug: str, n: int) -> Response:
        who, fields = await self.posted(request, "store")
        try:
            approve = fields.get("verdict") == "approve"
            await self.desk.shop.review(who, f"{kind}/{slug}", n, approve, fields.get("note", ""))
        except ShanheError as error:
            return self.again(request, "city_store.html", who, error, rows=await self.desk.shop.queue(who))
        return go("/city/store", "listing_decided")

    async def known(self, request: Request) -> Response:
        who = await self.allowed(request, "store", "audit")
        find = request.query_params.get("find", "").strip()[:FIND_MAX_CHARS]
        leaf = await _leaf(request.query_params, partial(self.desk.shop.known, who, find))
        return self.show(request, "city_listings.html", who, find=find, same=urlencode({"find": find}), **leaf)

    async def case(self, request: Request, kind: str, slug: str) -> Response:
        who = await self.allowed(request, "store", "audit")
        return self.show(request, "city_listing.html", who, row=await self.desk.shop.case(who, f"{kind}/{slug}"))

    async def stand(self, request: Request, kind: str, slug: str) -> Response:
        """Take a listing out of the store, or put it back, with the reason that its maker reads."""
        who, fields = await self.posted(request, "store")
        name, offered = f"{kind}/{slug}", fields.get("then") == "restore"
        try:
            await self.desk.shop.stand(who, name, offered, fields.get("note", ""))
        except ShanheError as error:
            row = await self.desk.shop.case(who, name)
            return self.again(request, "city_listing.html", who, error, row=row, fields=fields)
        return go(f"/city/store/listings/{name}", "listing_restored" if offered else "listing_removed")


def _period(request: Request) -> tuple[str, str]:
    """The days asked for, as they were written."""
    return request.query_params.get("first", "")[:10], request.query_params.get("last", "")[:10]


async def _leaf(
    asked: Mapping[str, str], read: Callable[..., Awaitable[tuple[Sequence[Any], int]]]
) -> dict[str, Any]:  # fmt: skip
    """A page of what is ranked as a whole: its `rows`, of `count`, and the number of the `following` page."""
    wanted = asked.get("page", "")
    page = max(1, int(wanted)) if wanted.isascii() and wanted.isdigit() and len(wanted) < PAGE_DIGITS else 1
    first = (page - 1) * LEAF_ROWS
    rows, count = await read(first=first, most=LEAF_ROWS)
    return {"rows": rows, "count": count, "following": page + 1 if count > first + LEAF_ROWS else None}
