"""What who asked for a second person's word is told of it, and what operators are told of what waits."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from shanhe.approvals.model import Request, RequestState
from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.notify import Notice, Severity, Text
from shanhe.kernel.words import move

ENDS: Final = {
    RequestState.DONE: Text("已办结", "Done"),
    RequestState.REFUSED: Text("已同意但未能办理", "Agreed to, and can't be done"),
    RequestState.REJECTED: Text("未获同意", "Refused"),
    RequestState.EXPIRED: Text("逾期未决", "Nobody decided in time"),
}  # fmt: skip
NEXT: Final = {
    RequestState.DONE: Text("", ""),
    RequestState.REFUSED: Text("它已终结；原因消除后可重新提出。", " It has ended; ask again once the cause is gone."),
    RequestState.REJECTED: Text("如仍需要，可重新提出。", " Ask again if it is still wanted."),
    RequestState.EXPIRED: Text("如仍需要，可重新提出。", " Ask again if it is still wanted."),
}  # fmt: skip


STOPS: Final = "。. "


def ended(request: Request, person_id: UUID, page: str, *, private: bool) -> Notice:
    """For who asked. `private`: what was said of a person's matter is on its page, not in a letter."""
    asked = request.requested_at.astimezone(CITY_TZ).strftime("%Y-%m-%d %H:%M")
    said = request.reason if request.state is RequestState.REJECTED else ""
    why = Text("", "") if private else Text(request.fault_zh or said, request.fault_en or said)
    (zh, en), end, after = move(request.kind), ENDS[request.state], NEXT[request.state]
    return Notice(
        "request.ended", Text(f"{zh}：{end.zh}", f"{en}: {end.en}"),
        Text(f"您于 {asked} 提出。{f'原因：{why.zh.rstrip(STOPS)}。' if why.zh else ''}{after.zh}",
             f"You asked on {asked}.{f' Why: {why.en.rstrip(STOPS)}.' if why.en else ''}{after.en}"),
        Severity.INFO if request.state is RequestState.DONE else Severity.WARNING, person_id=person_id,
        link=f"{page}#r{request.id}" if page else "", dedupe=f"request:{request.id}:{request.state}",
    )  # fmt: skip


def waits(request: Request) -> Notice:
    """For operators: it is tried no more by itself."""
    zh, en = move(request.kind)
    return Notice(
        "request.waits", Text(f"{zh}：已同意，仍未办结", f"{en}: agreed to, and still not done"),
        Text(f"已自动尝试 {request.tries} 次，不再自动重试；请查看原因，排除后点击“再次办理”。",
             f"It was tried {request.tries} times and is tried no more by itself; look why, and do it again."),
        Severity.WARNING, link=f"/city/second#r{request.id}", dedupe=f"request:{request.id}:waits",
    )  # fmt: skip
