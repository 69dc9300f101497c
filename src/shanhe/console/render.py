"""Templates, words and forms of the console: everything between a page's data and its bytes."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final
from uuid import UUID

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from shanhe.console.compiled import Compiled
from shanhe.console.explain import explain, replay, sheet, traces
from shanhe.console.model import BUCKETS, Bilingual, Who
from shanhe.console.ports import Desk
from shanhe.kernel import memos
from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.errors import Conflict, Forbidden, ShanheError, Unreadable
from shanhe.kernel.http import language, theme
from shanhe.kernel.i18n import Catalogue, Entry
from shanhe.kernel.money import format_credits, format_fen, said_credits
from shanhe.kernel.texts import parts_of
from shanhe.kernel.words import STATES_ZH, move
from shanhe.rulebook.api import Rulebook

FORM_COOKIE: Final = "shanhe_form"
FORM_COOKIE_AGE_S: Final = 86_400
ANYWHERE: Final = ("/sign-out", "/preferences", "/settings/organisation", "/settings/personal", "/settings/password")
"""Forms that are about whoever is signed in, whomever they act for."""
SAFE_METHODS: Final = ("GET", "HEAD")
FIELDS_MAX: Final = 64
REFUSAL_CHARS_MAX: Final = 400
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ARTICLE = re.compile(r"(\d+)(?:\((\d+)\))?")
_NAME = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
_CALL = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) /")
_CODE = re.compile(r"^[a-z_]{1,40}$")
_HAN = re.compile(r"[\u4e00-\u9fff]")
BOTH: Final = " · "


def listed(texts: Iterable[str], lang: str) -> str:
    """Texts as one, with the comma that a language has for lists."""
    return ("、" if lang.startswith("zh") else ", ").join(texts)


@cache
def words() -> Catalogue:
    """What the console says and what rules call their choices, read once for each process."""
    book = Rulebook.load()
    named = {name: label for rule_id in book.ids() for name, label in book.rule(rule_id).labels.items()}
    choices = {f"choice.{name}": Entry(label.zh, label.en) for name, label in named.items()}
    return Catalogue(choices | dict(Catalogue.load(files("shanhe.console") / "i18n").entries))


class View:
    """Renders pages for one `Desk`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.words = words()
        self._marks = _fingerprints()
        self._jinja = Environment(
            loader=PackageLoader("shanhe.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            bytecode_cache=Compiled(),
        )
        self._jinja.globals.update(BUCKETS=BUCKETS, asset=self.asset, explain=explain)
        self._jinja.globals.update(replay=replay, replayed=desk.rules.replay, evidence_sheet=sheet, traces=traces)
        self._jinja.filters.update(
            credits=credits,
            move=move,
            credits_plain=said_credits,
            yuan=format_fen,
            price=price,
            when=when,
            minute=minute,
            day=day,
            month=month,
            grouped=grouped,
            short=short,
            size=size,
            pick=pick,
            lines=lines,
            word=self._word,
            choices=self._choices,
            listed=self._listed,
            account=self._account,
            actor=self._actor,
            spoken=self._spoken,
            memo=self._memo,
            law=self._law,
            said=self._said,
            plain=self._plain,
        )

    def asset(self, path: str) -> str:
        """The address of a static file, with a mark of its content so that it may be cached for good."""
        return f"/static/{path}?v={self._marks[path]}"

    @pass_context
    def _account(self, context: Context, label: str) -> str:
        """An account's label, `owner · kind · name`, with its kind in the reader's language."""
        owner, dot, rest = label.partition(" · ")
        kind, second, name = rest.partition(" · ")
        what, colon, number = name.partition(":")
        if colon and (called := self._word(context, what, "account_name")) != what:
            name = f"{called} …{number[-8:]}"
        named = self._spoken(context, self._word(context, name, "account_name")) if name else ""
        return owner + dot + (self._word(context, kind, "account_kind") if kind else "") + second + named

    @pass_context
    def _actor(self, context: Context, shown: str) -> str:
        """Who or what the record names, in the reader's language where it is no name: `key …14bc7ab5`, `exchange`."""
        kind, dots, end = shown.partition(" …")
        return self._word(context, kind, "actor") + dots + end

    @pass_context
    def _word(self, context: Context, name: object, family: str) -> str:
        """The text for a word that comes from data, or the word itself; a state has one in the table of all states."""
        lang, text = context["lang"], str(name)
        if family == "status":
            text = STATES_ZH.get(text, text) if lang.startswith("zh") else text.replace("_", " ")
        return self.words.get(f"{family}.{name}", lang, text)

    @pass_context
    def _spoken(self, context: Context, text: str) -> str:
        """A text that was written in both languages, `English · 中文`, in the reader's; any other as it is."""
        parts = text.split(BOTH)
        chinese = [bool(_HAN.search(part)) for part in parts]
        if len(parts) != len(set(chinese)) or len(parts) == 1:
            return text
        return parts[chinese.index(context["lang"].startswith("zh"))]

    @pass_context
    def _memo(self, context: Context, text: str) -> str:
        """What a posting says, in the reader's language."""
        return memos.said(text, context["lang"])

    @pass_context
    def _choices(self, context: Context, value: object) -> str:
        """A rule's value, its choices in the reader's language; numbers and other texts stay as they are."""
        lang, known = context["lang"], []
        for part in re.split("[,;] ", str(value)):
            name, colon, rest = part.partition(": ")
            word = self.words.get(f"choice.{name}", lang, "")
            known.append(f"{word}{' ' if colon else ''}{rest}" if word else "")
        return listed(known, lang) if all(known) else str(value)

    @pass_context
    def _said(self, context: Context, value: object) -> str:
        """A fact's value for people: yes and no, choices in words, lists with the language's comma."""
        lang = context["lang"]
        if isinstance(value, bool):
            return self.words.text("promises.yes" if value else "promises.no", lang)
        if isinstance(value, list | tuple):
            return listed((self._said(context, one) for one in value), lang)
        if isinstance(value, int):
            return grouped(value)
        return self._choices(context, value)

    @pass_context
    def _plain(self, context: Context, text: str) -> str:
        """A sentence in which the names of choices (`software_copyright`) are words."""
        lang = context["lang"]
        return _NAME.sub(lambda found: self.words.get(f"choice.{found[0]}", lang, found[0]), text)

    @pass_context
    def _law(self, context: Context, article: str) -> str:
        """An article of the law on personal information, as its readers cite it: `PIPL 13(3)`."""
        parts = [_ARTICLE.fullmatch(one) for one in article.removeprefix("PIPL ").split(", ")]
        if not context["lang"].startswith("zh") or not article.startswith("PIPL ") or not all(parts):
            return article
        cited = (f"第 {one[1]} 条" + (f"第（{one[2]}）项" if one[2] else "") for one in parts if one)
        return "《个人信息保护法》" + "、".join(cited)

    @pass_context
    def _listed(self, context: Context, texts: Iterable[str | Bilingual | Mapping[str, str]]) -> str:
        """Texts in the reader's language, one after the other; what is no pair of texts is one already."""
        both = context["both"]
        return listed((one if isinstance(one, str) else both(one) for one in texts), context["lang"])

    def fragment(self, request: Request, template: str, who: Who | None, **values: Any) -> str:
        """A template as text, with everything every template may use."""
        lang = language(request)

        def t(key: str, **given: Any) -> str:
            return self.words.text(key, lang, given)

        def both(text: Bilingual | Mapping[str, str]) -> str:
            chinese = lang.startswith("zh")
            if isinstance(text, Mapping):
                return text["zh" if chinese else "en"]
            return text[0] if chinese else text[1]

        flash = request.query_params.get("done", "")
        return self._jinja.get_template(template).render(
            t=t,
            both=both,
            lang=lang,
            theme=theme(request),
            who=who,
            path=request.url.path,
            here=address(request),
            posted=request.method == "POST",
            place=f"{request.url.netloc}{address(request)}",
            query=request.query_params,
            flash=self.words.get(f"flash.{flash}", lang, "") if _CODE.match(flash) else "",
            csrf=form_mark(who) if who else form_token(request),
            version=self.desk.version,
            **values,
        )

    def page(self, request: Request, template: str, who: Who | None, *, status: int = 200, **values: Any) -> Response:
        """A whole page: never cached, with a policy that allows only our own files."""
        response = HTMLResponse(self.fragment(request, template, who, **values), status_code=status)
        response.headers["content-security-policy"] = CSP
        response.headers["cache-control"] = "no-store"
        response.headers["vary"] = "Cookie, Accept-Language, HX-Request"
        if who is None:
            self._set_form_cookie(request, response)
        return response

    def _set_form_cookie(self, request: Request, response: Response) -> None:
        if request.cookies.get(FORM_COOKIE) != form_token(request):
            response.set_cookie(
                FORM_COOKIE,
                form_token(request),
                max_age=FORM_COOKIE_AGE_S,
                httponly=True,
                samesite="strict",
                secure=self.desk.secure,
            )

    def problem(self, request: Request, error: ShanheError) -> str:
        """What to tell the person about an error, with what to do next."""
        body = self.told(request, error)["error"]
        gap = "" if body["message"].endswith("。") else " "
        return f"{body['message']}{gap}{body.get('hint', '')}".strip()

    def told(self, request: Request, error: ShanheError) -> dict[str, Any]:
        """An error's body as a page tells it: a hint that names a request is for programs, a reader gets a way back."""
        lang = language(request)
        body = error.to_dict(lang)
        call = _CALL.search(body["error"].get("hint", ""))
        if call is not None:
            body["error"]["hint"] = self.words.text("error.look_back", lang) if call[1] == "GET" else ""
        return body

    def refusal(self, request: Request, data: bytes) -> str:
        """Why the gateway refused a call, in the reader's language; its own words where we have none for its code."""
        try:
            error = msgspec.json.decode(data)["error"]
            code, message = str(error.get("code", "")), str(error["message"])[:REFUSAL_CHARS_MAX]
        except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
            code, message = "no_answer", ""
        lang = language(request)
        return self.words.get(f"call_error.{code}", lang, message or self.words.text("call_error.no_answer", lang))

    def mistake(self, request: Request, error: Exception) -> str:
        """The same for anything a form may raise."""
        if isinstance(error, ShanheError):
            return self.problem(request, error)
        if isinstance(error, Unreadable):
            return error.zh if language(request).startswith("zh") else _sentence(error.en)
        return self.words.text("error.bad_value", language(request))


def _sentence(text: str) -> str:
    return f"{text.removesuffix('.')}."


def form_token(request: Request) -> str:
    """The token of forms before sign-in: a cookie compared with a field of the form."""
    known = request.cookies.get(FORM_COOKIE, "")
    if re.fullmatch(r"[\w-]{32,64}", known):
        return known
    if not hasattr(request.state, "form_token"):
        request.state.form_token = secrets.token_urlsafe(32)
    return str(request.state.form_token)


async def form(request: Request, who: Who | None, *, most: int = FIELDS_MAX) -> dict[str, str]:
    """The fields of a posted form, after its token was checked; `Forbidden` without the right one.

    Several fields of one name come joined by a newline.
    """
    data = await request.form(max_fields=most, max_files=0)
    given = request.headers.get("x-csrf-token") or str(data.get("csrf", ""))
    check_token(request, who, given)
    return {name: "\n".join(str(value) for value in data.getlist(name)).strip() for name in data}


async def form_with_file(request: Request, who: Who | None) -> tuple[dict[str, str], str, bytes]:
    """Like `form`, with the one file of a form: its name and bytes; the house bounds every body."""
    data = await request.form(max_fields=FIELDS_MAX, max_files=1)
    check_token(request, who, request.headers.get("x-csrf-token") or str(data.get("csrf", "")))
    fields = {name: str(value).strip() for name, value in data.multi_items() if isinstance(value, str)}
    for _, value in data.multi_items():
        if not isinstance(value, str):
            return fields, value.filename or "", await value.read()
    return fields, "", b""


def check_token(request: Request, who: Who | None, given: str) -> None:
    expected = who.csrf if who is not None else request.cookies.get(FORM_COOKIE, "")
    given, dot, org = given.partition(".") if who is not None else (given, "", "")
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Forbidden(
            "stale_form",
            "This form is too old or came from another site; nothing was done.",
            message_zh="表单已过期或来源不符，未做任何更改。",
            hint="Open the page again and repeat.",
            hint_zh="请重新打开页面后再试。",
        )
    if dot and who is not None and org != who.org_id.hex and request.url.path not in ANYWHERE:
        raise Conflict(
            "acts_for_another",
            f"You act for {who.org_name} by now; this form was opened for somebody else. Nothing was done.",
            message_zh=f"您现在以“{who.org_name}”的身份办理，而这份表单是为另一身份打开的；未做任何更改。",
            hint="Change back in the settings and send it again, or open the page anew.",
            hint_zh="请在“设置”中切换回原身份再提交，或重新打开页面填写。",
        )


def form_mark(who: Who) -> str:
    """What a form of somebody carries: their session's token, and whom they acted for when the page was made."""
    return f"{who.csrf}.{who.org_id.hex}"


def go(path: str, done: str = "") -> Response:
    """Redirect after a form; `done` names the message to show (`flash.<done>`)."""
    page, mark, place = path.partition("#")
    target = f"{page}{'&' if '?' in page else '?'}done={done}{mark}{place}" if done else path
    return RedirectResponse(target, status_code=303, headers={"cache-control": "no-store"})


def address(request: Request) -> str:
    """Where the person is: the page asked for, or the page whose form was sent (a form has no page) or whose part was
    asked for."""
    if request.method == "GET" and "hx-request" not in request.headers:
        return local_path(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
    came = parts_of(request.headers.get("referer", ""))
    if came.netloc != request.url.netloc or not came.path:
        return "/"
    return local_path(came.path + (f"?{came.query}" if came.query else ""))


def local_path(text: str) -> str:
    """A path on this site, or the start page: never a way to elsewhere."""
    good = re.fullmatch(r"/(?![/\\])[\w\-./?=&%:+]*", text)
    return text if good else "/"


# -- filters ---------------------------------------------------------------------------------------------------------


def credits(micro: int) -> Markup:
    """Credits to the micro-credit, the last four places set back: 1,234.56`7890`."""
    text = format_credits(micro).replace("-", "\N{MINUS SIGN}")
    return Markup('<span class="num">{}<small>{}</small></span>').format(text[:-4], text[-4:])


def price(ticks: int | None) -> str:
    """Ticks of CNY 0.0001 as yuan; a dash for none."""
    return "—" if ticks is None else f"{ticks // 10_000}.{ticks % 10_000:04d}"


def when(at: datetime | None) -> Markup:
    """An instant in the city to the second, machine-readable."""
    return _time(at, "%Y-%m-%d %H:%M:%S")


def minute(at: datetime | None) -> Markup:
    """An instant in the city to the minute."""
    return _time(at, "%Y-%m-%d %H:%M")


def _time(at: datetime | None, form_: str) -> Markup:
    if at is None:
        return Markup("—")
    here = at.astimezone(CITY_TZ)
    return Markup('<time datetime="{}">{}</time>').format(here.isoformat(timespec="seconds"), here.strftime(form_))


def day(at: datetime | date | None) -> Markup:
    """A day in the city."""
    if at is None:
        return Markup("—")
    here = at.astimezone(CITY_TZ).date() if isinstance(at, datetime) else at
    return Markup('<time datetime="{0}">{0}</time>').format(here.isoformat())


def month(at: datetime) -> Markup:
    """The month of an instant in the city."""
    here = at.astimezone(CITY_TZ)
    return Markup('<time datetime="{0}">{0}</time>').format(here.strftime("%Y-%m"))


def grouped(number: int | float) -> str:
    """12,345; a minus sign that is one."""
    return f"{number:,}".replace("-", "\N{MINUS SIGN}")


def short(identifier: UUID | str) -> Markup:
    """The telling end of an identifier: v7 ids begin with the time, so the end is what differs."""
    text = str(identifier)
    return Markup('<code title="{}">…{}</code>').format(text, text[-8:])


def size(count: int) -> str:
    """Bytes for people: 491.4 MB."""
    amount, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def pick(mapping: Mapping[str, Any], key: str) -> Any:
    return mapping.get(key, 0)


def lines(text: str) -> list[str]:
    """The lines of a form's text that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def html(text: object) -> str:
    return str(escape(text))


def _fingerprints() -> dict[str, str]:
    found: dict[str, str] = {}
    root = files("shanhe.console") / "static"
    for folder, prefix in ((root, ""), (root / "vendor", "vendor/")):
        for item in folder.iterdir():
            if item.is_file():
                found[prefix + item.name] = hashlib.sha256(item.read_bytes()).hexdigest()[:12]
    return found
