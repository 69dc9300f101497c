"""A maker's evaluation set of an agent: the cases, what was measured, and a reason for going on all the same."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.routing import APIRouter

MAY: Final = "publish"
SEPARATOR: Final = "|"
PARTS: Final = 3
NAMES: Final = ("question", "form", "expected")
Kind = Literal["agent", "clone"]


class TrialsRoom(Room):
    """`/makers/{kind}/{slug}/evaluation`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/makers/{kind}/{slug}/evaluation", self.look, methods=["GET"])
        add("/makers/{kind}/{slug}/evaluation", self.change, methods=["POST"])
        return routes

    async def look(self, request: Request, kind: Kind, slug: str) -> Response:
        return await self._show(request, await self.allowed(request, MAY), f"{kind}/{slug}")

    async def _show(self, request: Request, who: m.Who, agent: str, **values: Any) -> Response:
        found = await self.desk.routines.evaluation(who, agent)
        text = values.pop(
            "text",
            "\n".join(line_of(case.question, case.form, case.expected, inputs=case.inputs) for case in found["cases"]),
        )
        rows = case_by_case(found["reports"][0].answers) if found["reports"] else []
        return self.show(request, "evaluation.html", who, found=found, agent=agent, text=text, rows=rows, **values)

    async def change(self, request: Request, kind: Kind, slug: str) -> Response:
        """Keep the set, measure the draft, or say why it should go on."""
        who, fields = await self.posted(request, MAY)
        agent, do, kept = f"{kind}/{slug}", fields.get("do", "set"), {}
        try:
            if do == "run":
                await self.desk.routines.evaluate(who, agent)
            elif do == "excuse":
                await self.desk.routines.excuse(who, agent, fields.get("reason", ""))
            else:
                kept = {"text": fields.get("cases", "")}
                await self.desk.routines.set_cases(who, agent, cases_of(kept["text"]))
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._show(request, who, agent, mistake=mistake, status=error.status, **kept)
        return go(f"/makers/{agent}/evaluation", f"evaluation_{do if do in ('run', 'excuse') else 'set'}")


def line_of(*parts: str, inputs: Mapping[str, str] | msgspec.UnsetType = msgspec.UNSET) -> str:
    """A case as a line that is read as that case: a JSON list where its own signs would part it, or the agent is told
    something first."""
    if not isinstance(inputs, msgspec.UnsetType):
        return json.dumps((*parts, inputs), ensure_ascii=False)
    line = f" {SEPARATOR} ".join(parts)
    try:
        plain = cases_of(line) == [dict(zip(NAMES, parts, strict=True))]
    except Invalid:
        plain = False
    return line if plain else json.dumps(parts, ensure_ascii=False)


def case_by_case(answers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each version said to each case, those that got worse first."""
    drafts, bases = answers.get("draft") or [], answers.get("base") or []
    asked = answers.get("questions") or []
    rows = [
        {"n": n, "question": asked[n - 1] if n <= len(asked) else "", "draft": draft,
         "base": bases[n - 1] if n <= len(bases) else None}
        for n, draft in enumerate(drafts, 1)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["draft"]["right"], not (row["base"] or {}).get("right", False)))


def cases_of(text: str) -> list[dict[str, Any]]:
    """Cases out of lines like `question | contains | expected`; a line of two parts means `contains`. A line may be a
    JSON list of the three as well, with an object of the agent's inputs after them."""
    found = list[dict[str, Any]]()
    for line in filter(str.strip, text.splitlines()):
        with contextlib.suppress(msgspec.MsgspecError, RecursionError):
            *parts, inputs = msgspec.json.decode(line, type=tuple[str, str, str, dict[str, str]])
            found.append(dict(zip(NAMES, parts, strict=True)) | {"inputs": inputs})
            continue
        with contextlib.suppress(msgspec.MsgspecError, RecursionError):
            found.append(dict(zip(NAMES, msgspec.json.decode(line, type=tuple[str, str, str]), strict=True)))
            continue
        parts = [part.strip() for part in line.split(SEPARATOR, PARTS - 1)]
        if len(parts) < PARTS - 1:
            raise Invalid("bad_case", f"This line is no case: {line[:60]}", message_zh=f"这一行缺少“|”：{line[:60]}")
        form = parts[1] if len(parts) == PARTS else "contains"
        found.append({"question": parts[0], "form": form, "expected": parts[-1]})
    return found
