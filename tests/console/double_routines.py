"""The part of the desk's double that is about workflows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.kernel.errors import Invalid, NotFound
from shanhe.trials.api import Case, Report
from shanhe.workflows.api import DraftChanged, Hook, Run, Step, Uses, Version, Waiting, Workflow, WorkflowInUse
from shanhe.workflows.checking import problems, shaped
from shanhe.workflows.ways import known_at

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
FLOW, RUN, WAITING = UUID(int=401), UUID(int=402), UUID(int=403)
CONTENT: dict[str, Any] = {
    "start": "look", "inputs": ["topic"], "hosts": ["data.example.cn"],
    "nodes": [
        {"kind": "http", "id": "look", "url": "https://data.example.cn/?q={{input.topic}}", "save": "found",
         "next": "write"},
        {"kind": "ask", "id": "write", "title": "写周报", "target": "agent/writer", "prompt": "{{found.body}}",
         "save": "text", "next": "fork"},
        {"kind": "branch", "id": "fork", "when": "length(text) > 20", "then": "sign", "next": "out"},
        {"kind": "approval", "id": "sign", "who": "owner", "shows": "{{text}}", "hours": 24, "next": "both"},
        {"kind": "output", "id": "out", "values": {"report": "{{text}}"}},
        {"kind": "parallel", "id": "both", "branches": ["short", "long"], "next": "out"},
        {"kind": "set", "id": "short", "values": {"short": "{{text}}"}, "next": "out"},
        {"kind": "set", "id": "long", "values": {"long": "{{text}}"}},
    ],
}  # fmt: skip
ONE = Workflow(FLOW, UUID(int=7), "weekly", "每周简报", "person:8", NOW, 2, 1)

ANSWERS = {
    "questions": ["几点开门", "电话"],
    "draft": [{"text": "九点", "right": True, "error": ""}, {"text": "<i>不知道</i>", "right": False, "error": ""}],
    "base": [{"text": "九点", "right": True, "error": ""}, {"text": "0571", "right": True, "error": ""}],
}


def run(state: str = "paused") -> Run:
    return Run(RUN, FLOW, 1, UUID(int=7), UUID(int=9), "hand", state, None, {}, None, "", 2, 2_000_000, 42_000, NOW,
               NOW, NOW + timedelta(days=7), None, "weekly")  # fmt: skip


class Routines:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.mark = "m1"

    async def overview(self, who: m.Who) -> Mapping[str, Any]:
        return {"workflows": [ONE], "runs": [run(), run("done")], "waiting": 1}

    async def make(self, who: m.Who, slug: str, title: str, definition: Mapping[str, Any]) -> str:
        shaped(definition)
        self.done.append(("make", slug, title, len(definition["nodes"])))
        return slug

    async def one(self, who: m.Who, slug: str) -> Mapping[str, Any]:
        if slug != "weekly":
            raise NotFound("unknown_workflow", "There is none.", message_zh="没有该工作流。")
        found = problems(shaped({**CONTENT, "hosts": []}))
        return {"workflow": ONE, "definition": CONTENT, "problems": found, "runs": [run("done")],
                "versions": [Version(FLOW, 2, "draft", CONTENT, "person:8", NOW),
                             Version(FLOW, 1, "published", CONTENT, "person:8", NOW, NOW)],
                "mark": self.mark, "given": ("topic",), "known": known_at(shaped(CONTENT)),
                "tools": [("weather/forecast", "天气", 12_000), ("maps/find", "地图", 0)],
                "schedule": {"next_at": NOW, "form": {}, "error": "", "input": {"topic": "养老"}},
                "uses": Uses(["monthly"], True, 1, 2), "hooks": [Hook(FLOW, FLOW, "person:8", NOW)]}  # fmt: skip

    async def version(self, who: m.Who, slug: str, n: int) -> Mapping[str, Any]:
        return CONTENT

    async def save(self, who: m.Who, slug: str, definition: Mapping[str, Any], base: str | None) -> str:
        shaped(definition)
        if base != self.mark:
            raise DraftChanged("person:9", NOW)
        self.done.append(("save", definition))
        return self.mark

    async def delete(self, who: m.Who, slug: str, *, anyway: bool) -> None:
        if not anyway:
            raise WorkflowInUse(slug, Uses(["monthly"], True, 1, 2))
        self.done.append(("delete", slug))

    async def publish(self, who: m.Who, slug: str) -> None:
        self.done.append(("publish", slug))

    async def start(self, who: m.Who, slug: str, given: Mapping[str, Any], ref: str) -> UUID:
        self.done.append(("start", dict(given)))
        return RUN

    async def run(self, who: m.Who, run_id: UUID) -> Mapping[str, Any]:
        steps = [
            Step(RUN, 1, "look", "http", "done", None, 0, 0, 310, "", NOW),
            Step(RUN, 2, "write", "ask", "done", UUID(int=404), 42_000, 512, 1_840, "", NOW),
        ]  # fmt: skip
        return {"run": run(), "steps": steps, "parts": {1: UUID(int=405)}}

    async def wants(self, who: m.Who, slug: str, node: str) -> Mapping[str, Any]:
        return {"found": {"status": 200, "body": "新政策"}, "topic": "养老"}

    async def try_node(self, who: m.Who, slug: str, node: str, variables: Mapping[str, Any], ref: str) -> UUID:
        self.done.append(("try", dict(variables)))
        return RUN

    async def cancel(self, who: m.Who, run_id: UUID) -> None:
        self.done.append(("cancel", run_id))

    async def inbox(self, who: m.Who) -> Any:
        return [Waiting(WAITING, RUN, 4, "sign", UUID(int=7), "owner", "本周新增政策三条，拟发布简报。", NOW,
                        NOW + timedelta(hours=24), slug="weekly")]  # fmt: skip

    async def decide(self, who: m.Who, approval: UUID, *, approve: bool, note: str) -> None:
        self.done.append(("decide", approve, note))

    async def add_hook(self, who: m.Who, slug: str) -> tuple[UUID, str]:
        return FLOW, "whsec_secret"

    async def revoke_hook(self, who: m.Who, slug: str, hook: UUID) -> None:
        self.done.append(("revoke", hook))

    async def schedule(self, who: m.Who, slug: str, form: Mapping[str, Any] | None, given: Mapping[str, Any]) -> None:
        self.done.append(("schedule", form, given))

    async def evaluation(self, who: m.Who, agent: str) -> Mapping[str, Any]:
        cases = [Case("几点开门", "九点"), Case("电话", r"\d{4}", "regex")]
        return {"cases": cases, "reports": [
            Report(RUN, FLOW, agent, b"", 2, 1, 2, 3, 1_200, ANSWERS, NOW),
            Report(RUN, FLOW, agent, b"", 2, 1, 2, 2, 1_200, {}, NOW, "先行试用", "person:8", NOW),
            Report(RUN, FLOW, agent, b"", 2, 2, None, None, 1_200, {}, NOW),
        ]}  # fmt: skip

    async def set_cases(self, who: m.Who, agent: str, cases: Any) -> None:
        self.done.append(("cases", agent, cases))

    async def evaluate(self, who: m.Who, agent: str) -> None:
        self.done.append(("evaluate", agent))

    async def excuse(self, who: m.Who, agent: str, reason: str) -> None:
        if len(reason) < 10:
            raise Invalid("bad_reason", "Too short.", message_zh="理由过短。")
        self.done.append(("excuse", agent, reason))
