"""What every page shares: who is there, what they may do, and how a form answers."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping
from datetime import date
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from shanhe.console import once
from shanhe.console.model import Who
from shanhe.console.model_city import Days
from shanhe.console.model_credits import Queue
from shanhe.console.ports import Desk
from shanhe.console.render import View, address, form, go
from shanhe.identity.api import Role, permissions_of
from shanhe.kernel.documents import BOM, csv_line
from shanhe.kernel.errors import Forbidden, Invalid, NotFound, ShanheError, Unauthorized, Unreadable
from shanhe.kernel.http import language, sheet
from shanhe.kernel.ids import id_in
from shanhe.kernel.words import PERMISSIONS_ZH

SIGN_IN_PATH: Final = "/sign-in"
INT_CHARS_MAX: Final = 12
SHEET_WORDS: Final = {
    "category": "moderation_category", "decision": "moderation_decision", "what": "sheet_what",
    "suppressed": "sheet_yes", "thin": "sheet_yes", "name": "choice",
}  # fmt: skip
"""Columns of tables whose words people read otherwise, and the family of texts that says how."""
ENROL_PATH: Final = "/settings/second-factor"


class Room:
    """A group of pages over one desk."""

    def __init__(self, desk: Desk, view: View) -> None:
        self.desk = desk
        self.view = view

    async def who(self, request: Request) -> Who:
        """The person at the screen; sends them to sign in, or to set up a second factor, when they must."""
        who = await self.desk.gate.who(request)
        if who is None:
            raise SignInFirst(request)
        if not who.second_factor and not request.url.path.startswith(ENROL_PATH):
            raise SignInFirst(request, ENROL_PATH)
        return who

    async def allowed(self, request: Request, *permissions: str) -> Who:
        """The same, for those who have one of these permissions."""
        who = await self.who(request)
        may = any(map(who.may, permissions))
        if not may and not who.permissions:
            raise Forbidden(
                "no_account_yet",
                "You belong to no organisation yet, so there is nothing to act for.",
                message_zh="您还没有个人账户，也不是任何机构的成员，暂时不能办理。",
                hint="Open an account of your own in the settings; it takes one click.",
                hint_zh="请在“设置”中点“以个人身份办理”，即可开通个人账户。",
            )
        if not may:
            raise _not_permitted(who, permissions[0])
        return who

    async def posted(self, request: Request, *permissions: str) -> tuple[Who, dict[str, str]]:
        """Who posted a form, and its fields, after the token was checked; one of the permissions is needed."""
        who = await (self.allowed(request, *permissions) if permissions else self.who(request))
        return who, await form(request, who)

    def show(self, request: Request, template: str, who: Who | None, **values: Any) -> Response:
        return self.view.page(request, template, who, **values)

    def sheet(self, request: Request, text: str, name: str) -> Response:
        """A table as a file for a spreadsheet: its heads and known words in the reader's language, never cached."""
        lang, (head, *rows) = language(request), list(csv.reader(io.StringIO(text.removeprefix(BOM))))
        word = self.view.words.get
        families = [SHEET_WORDS.get(column, "") for column in head]
        out = io.StringIO()
        write = csv.writer(out, lineterminator="\r\n").writerow
        write([word(f"sheet.{column}", lang, column) for column in head])
        for row in rows:
            write([word(f"{family}.{cell}", lang, cell) for cell, family in zip(row, families, strict=True)])
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return Response((BOM + out.getvalue()).encode(), media_type="text/csv; charset=utf-8", headers=headers)

    def long_sheet(self, request: Request, lines: AsyncIterator[str], name: str) -> Response:
        """The same of a table that is read while it is sent, its heads first; they alone are in the reader's words."""
        lang = language(request)

        async def said() -> AsyncIterator[str]:
            head = next(csv.reader([(await anext(lines)).removeprefix(BOM)]))
            yield BOM + csv_line([self.view.words.get(f"sheet.{column}", lang, column) for column in head])
            async for line in lines:
                yield line

        return sheet(said(), name)

    async def hand(self, request: Request, who: Who | None, path: str, *, holder: str = "", **said: str) -> Response:
        """After a form: to the page that shows, once, what was made; a reload makes nothing."""
        to = holder or once.holder(request, who)
        token = await self.desk.handover.leave(to, path, said, life_s=once.WAIT_S)
        return once.leave(go(path), path, token, secure=self.desk.secure)

    async def left(self, request: Request, who: Who | None, *names: str) -> dict[str, str]:
        """What a form left for this page under these names, for the only time."""
        if not (token := once.token_of(request)):
            return {}
        left = await self.desk.handover.take(once.holder(request, who), request.url.path, token)
        return {name: str(left[name]) for name in names if name in left}

    async def answered(
        self, request: Request, who: Who, path: str, said: Mapping[str, Any], *, mark: str = ""
    ) -> Response:
        """After a form that asked something: to the page that shows the answer, however often, for a while."""
        token = await self.desk.handover.leave(once.holder(request, who), path, said, life_s=once.STAY_S)
        return go(f"{path}?{once.FIELD}={token}{mark}")

    async def answer_of(self, request: Request, who: Who | None) -> dict[str, Any] | None:
        """The answer that the address asks for: None where it asks for none, empty where it is no longer kept."""
        token = request.query_params.get(once.FIELD, "")[: once.TOKEN_CHARS_MAX]
        if not token:
            return None
        return await self.desk.handover.see(once.holder(request, who), request.url.path, token)

    def handed(self, request: Request, response: Response) -> Response:
        """The page that showed it, which is the last one to."""
        return once.taken(request, response, request.url.path, secure=self.desk.secure)

    def again(self, request: Request, template: str, who: Who | None, error: Exception, **values: Any) -> Response:
        """The form once more, with what was typed and what was wrong."""
        status = error.status if isinstance(error, ShanheError) else 422
        values.setdefault("mistake", self.view.mistake(request, error))
        return self.view.page(request, template, who, status=status, **values)


class SignInFirst(Unauthorized):
    """Nobody is signed in (or a second factor is missing); pages turn this into a redirect."""

    def __init__(self, request: Request, path: str = SIGN_IN_PATH) -> None:
        wanted = address(request)
        query = [] if wanted == "/" else [f"next={quote(wanted, safe='/')}"]
        if request.method != "GET" and path == SIGN_IN_PATH:
            query.append("done=session_over")
        self.location = f"{path}?{'&'.join(query)}" if query else path
        super().__init__(
            "sign_in_first",
            "Please sign in.",
            message_zh="请先登录。",
            hint="Your session may have ended.",
            hint_zh="会话可能已过期。",
        )


def uuid_in(query: Mapping[str, str], name: str) -> UUID | None:
    """A number in an address; None where there is none, or nothing that is one."""
    return id_in(query.get(name))


def queue_in(query: Mapping[str, str]) -> Queue:
    """The part of an operators' list that an address asks for."""
    return Queue(query.get("all") == "1", uuid_in(query, "past"))


def days_in(query: Mapping[str, str]) -> Days:
    """The days `since` and `until` of an address; an end that is no day is open."""
    return Days(day_in(query, "since"), day_in(query, "until"))


def day_in(query: Mapping[str, str], name: str) -> date | None:
    """A day in an address; None where there is none, or nothing that is one."""
    try:
        return date.fromisoformat(query.get(name, ""))
    except ValueError:
        return None


async def sent(request: Request) -> dict[str, Any]:
    """What a page's script sent: one JSON object; Invalid for anything else."""
    try:
        found = msgspec.json.decode(await request.body(), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(
            "invalid_request", "The request does not have the expected form.", message_zh="请求的格式不正确。"
        ) from error
    return found


def optional_int(fields: Mapping[str, str], name: str) -> int | None:
    """A positive whole number of a form; None when left empty; `Unreadable` otherwise."""
    text = fields.get(name, "").replace(",", "").strip()
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text[:INT_CHARS_MAX]) < 2**31:
        shown = text[:INT_CHARS_MAX]
        raise Unreadable(f"“{shown}”应为正整数。", f"{shown!r} should be a whole number above zero")
    return int(text)


def one_of(action: str, known: tuple[str, ...]) -> str:
    """The action; NotFound for one that isn't known."""
    if action not in known:
        raise NotFound("unknown_action", "There is no such action.", message_zh="没有该操作。")
    return action


def _not_permitted(who: Who, permission: str) -> Forbidden:
    """Which permission a page takes, and who gives it to somebody like this one."""
    if who.may("audit") and not who.may("accounts"):
        hint, hint_zh = (
            "Auditors read; what they may read is in the menu.",
            "审计人员只查阅、不经办；可查阅的内容都在菜单里。",
        )
    elif who.has_org and permission in permissions_of((Role.OWNER,)):
        hint, hint_zh = "Ask an administrator of your organisation for it.", "如需使用，请联系本单位管理员授权。"
    else:
        hint, hint_zh = "Ask an administrator of the city for it.", "如需使用，请联系城市管理员授权。"
    return Forbidden(
        "not_permitted", f"Your role lacks the permission “{permission}”.",
        message_zh=f"您的角色没有“{PERMISSIONS_ZH.get(permission, permission)}”权限。", hint=hint, hint_zh=hint_zh,
    )  # fmt: skip
