"""What starts runs by itself: times of the city's day, and calls from outside that prove who sent them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.clock import CITY_TZ
from shanhe.workflows.errors import BadSignature, BadTrigger
from shanhe.workflows.model import Schedule

EVERY_MIN_MINUTES: Final = 5
EVERY_MAX_MINUTES: Final = 7 * 24 * 60
TIME: Final = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)$")
TOLERANCE_S: Final = 300
HOOK_ID: Final = re.compile(r"^[A-Za-z0-9_.:-]{1,100}$")
PREFIX: Final = "whsec_"


def schedule_of(content: Any) -> Schedule:
    """A schedule as it is written down; BadTrigger."""
    try:
        found = msgspec.convert(content, type=Schedule)
    except msgspec.ValidationError as error:
        text = str(error)[:200]
        raise BadTrigger(f"The schedule's form is wrong: {text}", f"定时格式不正确：{text}") from error
    if bool(found.every_minutes) == bool(found.at):
        raise BadTrigger("A schedule is every so many minutes, or at a time", "定时须在“每隔若干分钟”与“定点”中二选一")
    if found.every_minutes and not EVERY_MIN_MINUTES <= found.every_minutes <= EVERY_MAX_MINUTES:
        raise BadTrigger(f"Every {EVERY_MIN_MINUTES} to {EVERY_MAX_MINUTES} minutes",
                         f"间隔须为 {EVERY_MIN_MINUTES}–{EVERY_MAX_MINUTES} 分钟")  # fmt: skip
    if found.at and not TIME.fullmatch(found.at):
        raise BadTrigger("A time is like 09:30", "时间格式如 09:30")
    if not found.days or not set(found.days) <= set(range(1, 8)):
        raise BadTrigger("Days are 1 (Monday) to 7", "星期须为 1（周一）至 7")
    return found


def next_time(schedule: Schedule, after: datetime) -> datetime:
    """The first time after an instant; what was missed is not made up for."""
    if schedule.every_minutes:
        return after + timedelta(minutes=schedule.every_minutes)
    hour, minute = (int(part) for part in schedule.at.split(":"))
    here = after.astimezone(CITY_TZ)
    for ahead in range(8):
        day = here.date() + timedelta(days=ahead)
        at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=CITY_TZ)
        if at > here and day.isoweekday() in schedule.days:
            return at
    raise AssertionError("unreachable: eight days hold each day of the week")


def secret_of(key: bytes, hook_id: UUID) -> str:
    """A webhook's secret, as its owner is told it."""
    made = hmac.new(key, hook_id.bytes, hashlib.sha256).digest()
    return PREFIX + base64.b64encode(made).decode()


def signature(secret: str, message_id: str, at: str, body: bytes) -> str:
    """What a sender signs with (Standard Webhooks 1.0): HMAC-SHA256 over `id.timestamp.body`."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


def verified(secret: str, message_id: str, at: str, given: str, body: bytes, now: datetime) -> str:
    """The message's id, if the call was signed with the secret a short while ago; BadSignature."""
    if not HOOK_ID.fullmatch(message_id) or not re.fullmatch(r"\d{1,12}", at):
        raise BadSignature("webhook-id or webhook-timestamp is missing", "缺少 webhook-id 或 webhook-timestamp")
    if abs(int(now.timestamp()) - int(at)) > TOLERANCE_S:
        raise BadSignature(f"it was signed more than {TOLERANCE_S} s ago", f"签名时间与现在相差超过 {TOLERANCE_S} 秒")
    wanted = signature(secret, message_id, at, body)
    if not any(hmac.compare_digest(one.encode(), wanted.encode()) for one in given.split(" ")[:8]):
        raise BadSignature("the signature is another", "签名不符")
    return message_id
