"""How a page gets what the form before it made: a key, codes, an answer.

A form that answered with it itself would be sent again by a reload, and make another one. What is said waits, sealed,
in the city (`ports_gate.Handover`); the browser has no more than a token, which opens it in the same session only.
Secrets are taken once, with a token from a cookie that no script can read; answers stay for a while, by address.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from shanhe.console.model import Who
from shanhe.console.render import form_token

COOKIE: Final = "shanhe_once"
WAIT_S: Final = 120
STAY_S: Final = 1_800
FIELD: Final = "answer"
"""Of an address that shows an answer."""
TOKEN_CHARS_MAX: Final = 64
ANSWER_CHARS_MAX: Final = 30_000
"""Of a model's answer, which is kept for its page."""


def holder(request: Request, who: Who | None) -> str:
    """Whom something is left for: a session, or before there is one the browser's form token."""
    return session(who.session_id) if who is not None else f"visitor:{form_token(request)}"


def session(session_id: str) -> str:
    return f"session:{session_id}"


def leave(response: Response, path: str, token: str, *, secure: bool) -> Response:
    """Give the browser the token for the page at `path`, on the answer that leads there."""
    response.set_cookie(COOKIE, token, max_age=WAIT_S, path=path, httponly=True, samesite="strict", secure=secure)
    return response


def token_of(request: Request) -> str:
    return request.cookies.get(COOKIE, "")[:TOKEN_CHARS_MAX]


def taken(request: Request, response: Response, path: str, *, secure: bool) -> Response:
    """The page that showed it, which is the last one to."""
    if COOKIE in request.cookies:
        response.delete_cookie(COOKIE, path=path, httponly=True, samesite="strict", secure=secure)
    return response
