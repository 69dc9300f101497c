"""What is shown exactly once, after a form: it waits for its page in a cookie that no script can read.

A form that answered with the secret itself would be sent again by a reload, and make another one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

COOKIE: Final = "shanhe_once"
WAIT_S: Final = 120
BYTES_MAX: Final = 3_000


def leave(response: Response, path: str, said: Mapping[str, str], *, secure: bool) -> Response:
    """Leave words for the page at `path`, on the answer that leads there."""
    text = base64.urlsafe_b64encode(msgspec.json.encode(said)).decode()
    assert len(text) <= BYTES_MAX, "a cookie holds no more"
    response.set_cookie(COOKIE, text, max_age=WAIT_S, path=path, httponly=True, samesite="strict", secure=secure)
    return response


def found(request: Request, *names: str) -> dict[str, str]:
    """What was left for this page under these names; nothing when it was shown or never there."""
    try:
        left = msgspec.json.decode(base64.urlsafe_b64decode(request.cookies.get(COOKIE, "")), type=dict[str, str])
        return {name: left[name] for name in names if name in left}
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        return {}


def taken(request: Request, response: Response, path: str, *, secure: bool) -> Response:
    """The page that shows it, which is the last one to."""
    if COOKIE in request.cookies:
        response.delete_cookie(COOKIE, path=path, httponly=True, samesite="strict", secure=secure)
    return response
