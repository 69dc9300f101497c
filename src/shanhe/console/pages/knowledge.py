"""Knowledge bases: make one, hand documents in, look at passages where they stand, try a question, measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room
from shanhe.console.render import form_with_file, go
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.routing import APIRouter

MAY: Final = "usage"
STOP_POLLING: Final = 286
"""The status by which htmx is told to ask no more."""
PAGE: Final = 50


class KnowledgeRoom(Room):
    """`/knowledge` and what is below it."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/knowledge", self.overview, methods=["GET"])
        add("/knowledge", self.make, methods=["POST"])
        add("/knowledge/documents", self.bring, methods=["POST"])
        add("/knowledge/preview", self.preview, methods=["POST"])
        add("/knowledge/{base}", self.base, methods=["GET"])
        add("/knowledge/{base}/now", self.now, methods=["GET"])
        add("/knowledge/{base}/edit", self.edit, methods=["POST"])
        add("/knowledge/{base}/archive", self.archive, methods=["POST"])
        add("/knowledge/{base}/cut", self.cut, methods=["GET"])
        add("/knowledge/{base}/cut", self.keep_cut, methods=["POST"])
        add("/knowledge/{base}/recut", self.recut, methods=["POST"])
        add("/knowledge/{base}/try", self.attempt, methods=["GET"])
        add("/knowledge/{base}/measure", self.measure, methods=["GET"])
        add("/knowledge/{base}/questions", self.questions, methods=["POST"])
        add("/knowledge/{base}/evaluate", self.evaluate, methods=["POST"])
        add("/knowledge/{base}/{document}", self.document, methods=["GET"])
        add("/knowledge/{base}/{document}/retry", self.retry, methods=["POST"])
        add("/knowledge/{base}/{document}/remove", self.remove, methods=["POST"])
        add("/knowledge/{base}/{document}/{passage}", self.passage, methods=["POST"])
        return routes

    async def may(self, request: Request) -> m.Who:
        return await self.allowed(request, MAY)

    # -- bases --------------------------------------------------------------------------------------------------------

    async def overview(self, request: Request) -> Response:
        who = await self.may(request)
        return self.show(request, "knowledge.html", who, bases=await self.desk.knowledge.overview(who), typed={})

    async def make(self, request: Request) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            base = await self.desk.knowledge.make(who, fields)
        except ShanheError as error:
            bases = await self.desk.knowledge.overview(who)
            return self.again(request, "knowledge.html", who, error, bases=bases, typed=fields)
        return go(f"/knowledge/{base}", "knowledge_made")

    async def base(self, request: Request, base: UUID) -> Response:
        return await self._base(request, await self.may(request), base)

    async def _base(self, request: Request, who: m.Who, base: UUID, **values: Any) -> Response:
        found = await self.desk.knowledge.base(who, base)
        return self.show(request, "knowledge_base.html", who, base=found, **values)

    async def now(self, request: Request, base: UUID) -> Response:
        """The documents as they are now, for htmx."""
        who = await self.may(request)
        found = await self.desk.knowledge.base(who, base)
        status = 200 if found["open"] else STOP_POLLING
        return self.show(request, "parts/knowledge_documents.html", who, status=status, base=found)

    async def edit(self, request: Request, base: UUID) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            await self.desk.knowledge.edit(who, base, fields)
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            mistake = self.view.mistake(request, error)
            return await self._base(request, who, base, mistake=mistake, status=status)
        return go(f"/knowledge/{base}", "knowledge_changed")

    async def archive(self, request: Request, base: UUID) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            await self.desk.knowledge.archive(who, base, anyway="anyway" in fields)
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._base(request, who, base, mistake=mistake, status=error.status)
        return go("/knowledge", "knowledge_deleted")

    # -- documents ----------------------------------------------------------------------------------------------------

    async def bring(self, request: Request) -> Response:
        who = await self.may(request)
        fields, name, data = await form_with_file(request, who)
        base = _base_of(fields)
        try:
            await self.desk.knowledge.bring(who, base, name, data)
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._base(request, who, base, mistake=mistake, status=error.status)
        return go(f"/knowledge/{base}", "document_taken")

    async def document(self, request: Request, base: UUID, document: UUID, first: int = 1) -> Response:
        return await self._document(request, await self.may(request), base, document, max(1, first))

    async def _document(
        self, request: Request, who: m.Who, base: UUID, document: UUID, first: int, **values: Any
    ) -> Response:
        found = await self.desk.knowledge.document(who, base, document, first, PAGE)
        return self.show(request, "knowledge_document.html", who, document=found, first=first, step=PAGE, **values)

    async def passage(self, request: Request, base: UUID, document: UUID, passage: UUID) -> Response:
        who, fields = await self.posted(request, MAY)
        first = int(fields.get("first") or 1)
        try:
            await self.desk.knowledge.edit_passage(who, base, passage, fields.get("text", ""))
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._document(request, who, base, document, first, mistake=mistake, status=error.status)
        return go(f"/knowledge/{base}/{document}?first={first}", "passage_changed")

    async def retry(self, request: Request, base: UUID, document: UUID) -> Response:
        who, _ = await self.posted(request, MAY)
        await self.desk.knowledge.retry(who, base, document)
        return go(f"/knowledge/{base}", "document_taken")

    async def remove(self, request: Request, base: UUID, document: UUID) -> Response:
        who, _ = await self.posted(request, MAY)
        await self.desk.knowledge.remove(who, base, document)
        return go(f"/knowledge/{base}", "document_removed")

    # -- cutting ------------------------------------------------------------------------------------------------------

    async def cut(self, request: Request, base: UUID) -> Response:
        """How documents are cut into passages, tried on one before it counts."""
        return await self._cut(request, await self.may(request), base)

    async def _cut(self, request: Request, who: m.Who, base: UUID, **values: Any) -> Response:
        found = await self.desk.knowledge.base(who, base)
        typed = {"size": str(found["size"]), "overlap": str(found["overlap"]), "document": "",
                 "separator": found["separator"].replace("\n", "\\n")}  # fmt: skip
        shown = {"preview": None} | values | {"typed": typed | values.get("typed", {})}
        return self.show(request, "knowledge_cut.html", who, base=found, **shown)

    async def preview(self, request: Request) -> Response:
        who = await self.may(request)
        fields, name, data = await form_with_file(request, who)
        base = _base_of(fields)
        try:
            found = await self.desk.knowledge.preview(who, base, fields, name, data)
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            mistake = self.view.mistake(request, error)
            return await self._cut(request, who, base, typed=fields, mistake=mistake, status=status)
        return await self._cut(request, who, base, typed=fields, preview=found)

    async def keep_cut(self, request: Request, base: UUID) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            await self.desk.knowledge.edit(who, base, fields)
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._cut(request, who, base, typed=fields, mistake=mistake, status=error.status)
        return go(f"/knowledge/{base}/cut", "knowledge_changed")

    async def recut(self, request: Request, base: UUID) -> Response:
        who, _ = await self.posted(request, MAY)
        await self.desk.knowledge.recut(who, base)
        return go(f"/knowledge/{base}", "knowledge_recut")

    # -- trying and measuring -----------------------------------------------------------------------------------------

    async def attempt(self, request: Request, base: UUID, q: str = "") -> Response:
        """What a question finds, and why."""
        who = await self.may(request)
        found, mistake, status = None, None, 200
        if q.strip():
            try:
                found = await self.desk.knowledge.search(who, base, q)
            except ShanheError as error:
                mistake, status = self.view.mistake(request, error), error.status
        values = {} if mistake is None else {"mistake": mistake}
        shown = await self.desk.knowledge.card(who, base)
        return self.show(request, "knowledge_try.html", who, status=status, base=shown, found=found, q=q, **values)

    async def measure(self, request: Request, base: UUID) -> Response:
        return await self._measure(request, await self.may(request), base)

    async def _measure(self, request: Request, who: m.Who, base: UUID, **values: Any) -> Response:
        found = await self.desk.knowledge.measured(who, base)
        return self.show(request, "knowledge_measure.html", who, base=found, **values)

    async def questions(self, request: Request, base: UUID) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            await self.desk.knowledge.set_questions(who, base, fields.get("questions", ""))
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._measure(request, who, base, mistake=mistake, status=error.status)
        return go(f"/knowledge/{base}/measure", "questions_kept")

    async def evaluate(self, request: Request, base: UUID) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            await self.desk.knowledge.evaluate(who, base, calibrate=fields.get("calibrate") == "1")
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._measure(request, who, base, mistake=mistake, status=error.status)
        return go(f"/knowledge/{base}/measure", "knowledge_measured")


def _base_of(fields: Mapping[str, str]) -> UUID:
    """The base that a form with a file is about: it stands in the form, because addresses of large bodies are fixed."""
    try:
        return UUID(fields.get("base", ""))
    except ValueError as error:
        raise Invalid(
            "no_base", "The file names no knowledge base.", message_zh="未指明知识库。",
            hint="Open the knowledge base and add the file there.", hint_zh="请打开知识库页面后再添加文件。",
        ) from error  # fmt: skip
