"""Workflows: the list, the editor that is a form, a run with its trace, and what waits for one's word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import msgspec
from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.definitions import definition_file, object_in
from shanhe.console.pages.base import Room
from shanhe.console.render import form, form_with_file, go
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import parse_credits, said_credits
from shanhe.kernel.routing import APIRouter
from shanhe.workflows.api import BRANCHES_MAX, KINDS, Definition, DraftChanged

MAY: Final = "publish"
STOP_POLLING: Final = 286
EDITOR_FIELDS_MAX: Final = 900
NODES_MAX: Final = 60
NODES_SENT_MAX: Final = NODES_MAX + 1
"""One more than a run may have: it is kept, and said to be too many."""
NODE_WIDE, NODE_HIGH, COLUMNS = 260, 220, 3
AGENTS_SHOWN_MAX: Final = 50
EDGES: Final = ("then", "body", "refused", "failed", "next")
AGAIN: Final = (("tries", "number"), ("failed", "node"))
"""Of what may fail."""
FIELDS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "ask": (("target", "line"), ("prompt", "area"), ("system", "area"), ("tokens", "number"),
            ("temperature", "decimal"), ("schema", "json"), ("given", "pairs"), ("save", "line"), *AGAIN),
    "knowledge": (("bases", "bases"), ("question", "area"), ("passages", "number"), ("save", "line"), *AGAIN),
    "tool": (("tool", "line"), ("arguments", "json"), ("save", "line"), *AGAIN),
    "workflow": (("workflow", "line"), ("given", "pairs"), ("save", "line"), *AGAIN),
    "branch": (("when", "line"), ("then", "node")),
    "parallel": (("branches", "nodes"),),
    "loop": (("over", "line"), ("until", "line"), ("most", "number"), ("item", "line"), ("gather", "line"),
             ("save", "line"), ("body", "node")),
    "approval": (("who", "who"), ("shows", "area"), ("hours", "number"), ("save", "line"), ("refused", "node")),
    "code": (("code", "code"), ("inputs", "words"), ("save", "line"), *AGAIN),
    "http": (("method", "method"), ("url", "line"), ("headers", "pairs"), ("secrets", "pairs"), ("body", "area"),
             ("save", "line"), *AGAIN),
    "set": (("values", "pairs"),),
    "output": (("values", "pairs"),),
}  # fmt: skip
"""The fields of each kind, with how they are asked for."""
LINES: Final = frozenset({"lines", "nodes", "bases"})
"""Widgets of several values."""
LABELS: Final[Mapping[tuple[str, str], str]] = {("http", "body"): "request", ("ask", "given"): "told"}
FRESH: Final[Mapping[str, Mapping[str, Any]]] = {
    "ask": {"target": "", "prompt": "", "save": "answer"}, "branch": {"when": "", "then": ""},
    "parallel": {"branches": []},
    "loop": {"body": "", "most": 10}, "approval": {"who": "owner", "shows": ""},
    "code": {"code": "def main(answer):\n    return answer\n", "save": "made", "inputs": ["answer"]},
    "knowledge": {"bases": [], "question": "{{input.topic}}", "save": "found"},
    "tool": {"tool": "", "arguments": {"city": "{{input.topic}}"}, "save": "said"},
    "workflow": {"workflow": "", "given": {"topic": "{{input.topic}}"}, "save": "got"},
    "http": {"url": "https://", "save": "found"}, "set": {"values": {"text": ""}},
    "output": {"values": {"result": ""}},
}  # fmt: skip
FIRST: Final = {
    "start": "ask_1",
    "inputs": ["topic"],
    "nodes": [
        {"kind": "ask", "id": "ask_1", "target": "", "prompt": "{{input.topic}}", "save": "answer", "next": "output_1"},
        {"kind": "output", "id": "output_1", "values": {"result": "{{answer}}"}, "x": NODE_WIDE},
    ],
}
"""What a new workflow begins with."""


class RoutinesRoom(Room):
    """`/workflows` and what is below it."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/workflows", self.overview, methods=["GET"])
        add("/workflows", self.make, methods=["POST"])
        add("/workflows/inbox", self.inbox, methods=["GET"])
        add("/workflows/inbox/{approval}", self.decide, methods=["POST"])
        add("/workflows/runs/{run}", self.run, methods=["GET"])
        add("/workflows/runs/{run}/now", self.now, methods=["GET"])
        add("/workflows/runs/{run}/cancel", self.cancel, methods=["POST"])
        add("/workflows/{slug}", self.editor, methods=["GET"])
        add("/workflows/{slug}", self.change, methods=["POST"])
        add("/workflows/{slug}/delete", self.delete, methods=["POST"])
        add("/workflows/{slug}/nodes/{node}", self.node, methods=["GET"])
        add("/workflows/{slug}/nodes/{node}", self.try_node, methods=["POST"])
        add("/workflows/{slug}/versions/{n}", self.version_file, methods=["GET"])
        add("/workflows/{slug}/versions/{n}", self.restore, methods=["POST"])
        add("/workflows/{slug}/schedule", self.schedule, methods=["POST"])
        add("/workflows/{slug}/hooks", self.add_hook, methods=["POST"])
        add("/workflows/{slug}/hooks/{hook}/revoke", self.revoke_hook, methods=["POST"])
        return routes

    async def may(self, request: Request) -> m.Who:
        return await self.allowed(request, MAY)

    async def overview(self, request: Request) -> Response:
        who = await self.may(request)
        found = await self.desk.routines.overview(who)
        return self.show(request, "workflows.html", who, found=found, typed={})

    async def make(self, request: Request) -> Response:
        who = await self.may(request)
        fields, _, data = await form_with_file(request, who)
        try:
            content = object_in(data) if data else FIRST
            slug = await self.desk.routines.make(who, fields.get("slug", ""), fields.get("title", ""), content)
        except ShanheError as error:
            found = await self.desk.routines.overview(who)
            return self.again(request, "workflows.html", who, error, found=found, typed=fields)
        return go(f"/workflows/{slug}", "workflow_made")

    # -- the editor ---------------------------------------------------------------------------------------------------

    async def editor(self, request: Request, slug: str) -> Response:
        made = await self.left(request, who := await self.may(request), "hook", "secret")
        return self.handed(request, await self._editor(request, who, slug, **made))

    async def _editor(self, request: Request, who: m.Who, slug: str, **values: Any) -> Response:
        found = await self.desk.routines.one(who, slug)
        models = [one.id for one in await self.desk.member.models() if one.kind == "chat"]
        offered, _ = await self.desk.shop.window("agent", "", most=AGENTS_SHOWN_MAX)
        agents = [str(row["name"]) for row in offered]
        people = {str(row["id"]): row["name"] for row in await self.desk.house.members(who)}
        shows = {"targets": models + agents, "others": (await self.desk.routines.overview(who))["workflows"],
                 "people": people, "bases": await self.desk.knowledge.overview(who),
                 "frame": framed(found["definition"]), "nodes": shown(found["definition"]), "kinds": KINDS,
                 "branches_max": BRANCHES_MAX, "base": found["mark"], "client_ref": str(new_id())}  # fmt: skip
        return self.show(request, "workflow.html", who, found=found, **shows | values)

    async def change(self, request: Request, slug: str) -> Response:
        """Keep what was typed, then do what the pressed button says."""
        who = await self.may(request)
        fields = await form(request, who, most=EDITOR_FIELDS_MAX)
        do, kept = fields.get("do", "save"), as_typed(fields)
        try:
            content = read(fields)
            if do.startswith("add_"):
                content = added(content, do.removeprefix("add_"))
            base = await self.desk.routines.save(who, slug, content, fields.get("base"))
            kept = {"frame": framed(content), "nodes": shown(content), "base": base}
            if do == "publish":
                await self.desk.routines.publish(who, slug)
            elif do.startswith("try_"):
                return go(f"/workflows/{slug}/nodes/{quote(do.removeprefix('try_'))}")
            elif do == "run":
                run = await self.desk.routines.start(who, slug, given(fields), fields.get("ref", ""))
                return go(f"/workflows/runs/{run}")
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            if isinstance(error, DraftChanged):  # whoever reads this and saves again means it
                kept["changed"] = kept.pop("base")
            mistake = self.view.mistake(request, error)
            return await self._editor(request, who, slug, mistake=mistake, status=status, **kept)
        if do.startswith("add_"):
            return go(f"/workflows/{slug}#node-{content['nodes'][-1]['id']}", "workflow_saved")
        return go(f"/workflows/{slug}", "workflow_published" if do == "publish" else "workflow_saved")

    async def delete(self, request: Request, slug: str) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            await self.desk.routines.delete(who, slug, anyway="anyway" in fields)
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._editor(request, who, slug, mistake=mistake, status=error.status)
        return go("/workflows", "workflow_deleted")

    async def node(self, request: Request, slug: str, node: str) -> Response:
        """One node by itself: what it needs, filled in with what the newest run left there."""
        who = await self.may(request)
        found = await self.desk.routines.wants(who, slug, node)
        values = {name: spelt(value) for name, value in found.items()}
        return self.show(
            request, "workflow_node.html", who, slug=slug, node=node, values=values, client_ref=str(new_id())
        )

    async def try_node(self, request: Request, slug: str, node: str) -> Response:
        who, fields = await self.posted(request, MAY)
        values = {name.removeprefix("v_"): text for name, text in fields.items() if name.startswith("v_")}
        try:
            variables = {name: meant(text) for name, text in values.items()}
            run = await self.desk.routines.try_node(who, slug, node, variables, fields.get("ref", ""))
        except (ShanheError, ValueError) as error:
            shown = {"slug": slug, "node": node, "values": values, "client_ref": fields.get("ref", "")}
            return self.again(request, "workflow_node.html", who, error, **shown)
        return go(f"/workflows/runs/{run}")

    async def version_file(self, request: Request, slug: str, n: int) -> Response:
        """A version as a file, as `/workflows` and `shanhe workflows save` take it."""
        who = await self.may(request)
        return definition_file(await self.desk.routines.version(who, slug, n), f"{slug}-{n}.json")

    async def restore(self, request: Request, slug: str, n: int) -> Response:
        """An earlier version as the draft."""
        who, fields = await self.posted(request, MAY)
        try:
            content = await self.desk.routines.version(who, slug, n)
            await self.desk.routines.save(who, slug, content, fields.get("base"))
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._editor(request, who, slug, mistake=mistake, status=error.status)
        return go(f"/workflows/{slug}", "workflow_saved")

    async def schedule(self, request: Request, slug: str) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            wanted: dict[str, Any] | None = None
            if fields.get("do") != "stop":
                every, at = fields.get("every", ""), fields.get("at", "")
                days = [int(day) for day in fields.get("days", "").split()] or list(range(1, 8))
                wanted = {"every_minutes": int(every)} if every else {"at": at, "days": days}
            await self.desk.routines.schedule(who, slug, wanted, given(fields))
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            return await self._editor(request, who, slug, mistake=self.view.mistake(request, error), status=status)
        return go(f"/workflows/{slug}", "workflow_saved")

    async def add_hook(self, request: Request, slug: str) -> Response:
        """A webhook; its secret is shown on this page and never again."""
        who, _ = await self.posted(request, MAY)
        try:
            hook, secret = await self.desk.routines.add_hook(who, slug)
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._editor(request, who, slug, mistake=mistake, status=error.status)
        return await self.hand(request, who, f"/workflows/{slug}", hook=str(hook), secret=secret)

    async def revoke_hook(self, request: Request, slug: str, hook: UUID) -> Response:
        who, _ = await self.posted(request, MAY)
        await self.desk.routines.revoke_hook(who, slug, hook)
        return go(f"/workflows/{slug}", "workflow_saved")

    # -- runs ---------------------------------------------------------------------------------------------------------

    async def run(self, request: Request, run: UUID) -> Response:
        who = await self.may(request)
        return self.show(request, "workflow_run.html", who, found=await self.desk.routines.run(who, run))

    async def now(self, request: Request, run: UUID) -> Response:
        """The run as it is now, for htmx."""
        who = await self.may(request)
        found = await self.desk.routines.run(who, run)
        status = 200 if found["run"].ended_at is None else STOP_POLLING
        return self.show(request, "parts/workflow_run.html", who, status=status, found=found)

    async def cancel(self, request: Request, run: UUID) -> Response:
        who, _ = await self.posted(request, MAY)
        await self.desk.routines.cancel(who, run)
        return go(f"/workflows/runs/{run}", "workflow_cancelled")

    # -- approvals ----------------------------------------------------------------------------------------------------

    async def inbox(self, request: Request) -> Response:
        who = await self.may(request)
        return self.show(request, "workflow_inbox.html", who, waiting=await self.desk.routines.inbox(who))

    async def decide(self, request: Request, approval: UUID) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            await self.desk.routines.decide(
                who, approval, approve=fields.get("verdict") == "approve", note=fields.get("note", "")
            )
        except ShanheError as error:
            waiting = await self.desk.routines.inbox(who)
            return self.again(request, "workflow_inbox.html", who, error, waiting=waiting)
        return go("/workflows/inbox", "workflow_decided")


# -- a definition as a form, and back ---------------------------------------------------------------------------------


def given(fields: Mapping[str, str]) -> dict[str, str]:
    """What a run is given, out of a form."""
    return {name.removeprefix("given_"): text for name, text in fields.items() if name.startswith("given_")}


def framed(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a definition has besides its nodes, as texts of the form."""
    whole = msgspec.to_builtins(msgspec.convert({**content, "nodes": ()}, Definition))
    return {
        "start": whole["start"], "inputs": " ".join(whole["inputs"]), "hosts": " ".join(whole["hosts"]),
        "steps_max": str(whole["steps_max"]), "hours_max": str(whole["hours_max"]),
        "budget": said_credits(whole["budget_micro"]).replace(",", ""),
    }  # fmt: skip


def shown(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nodes with their fields as texts, each with a place on the canvas."""
    found = []
    for at, node in enumerate(content.get("nodes", ())):
        texts = {name: _text(widget, node.get(name)) for name, widget in FIELDS[node["kind"]]}
        x, y = node.get("x") or 0, node.get("y") or 0
        if at and not x and not y:
            x, y = (at % COLUMNS) * NODE_WIDE, (at // COLUMNS) * NODE_HIGH
        plain = {name: node.get(name, "") for name in ("kind", "id", "title", "next")}
        found.append({**plain, "was": node["id"], "x": x, "y": y, "fields": _fields(node["kind"], texts)})
    return found


def _fields(kind: str, texts: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """(name, widget, text, label) of each field that a kind has."""
    return [(name, widget, texts[name], LABELS.get((kind, name), name)) for name, widget in FIELDS[kind]]


def as_typed(fields: Mapping[str, str]) -> dict[str, Any]:
    """The form as it was sent, to be shown again as it was, whatever is wrong with it."""
    nodes = []
    for at in range(NODES_SENT_MAX):
        sent = {name: fields.get(f"n{at}_{name}", "") for name in ("kind", "id", "was", "title", "next", "x", "y")}
        if (kind := sent["kind"]) not in FIELDS:
            break
        texts = {name: _sent(fields, at, name, widget) for name, widget in FIELDS[kind]}
        nodes.append(sent | {"fields": _fields(kind, texts)})
    frame = {name: fields.get(name, "") for name in ("start", "inputs", "hosts", "budget", "steps_max", "hours_max")}
    return {"frame": frame, "nodes": nodes, "base": fields.get("base", "")}


def _sent(fields: Mapping[str, str], at: int, name: str, widget: str) -> str:
    """What was typed for a node's field; of several nodes one a line."""
    if widget != "nodes":
        return fields.get(f"n{at}_{name}", "")
    chosen = (fields.get(f"n{at}_{name}_{n}", "") for n in range(BRANCHES_MAX))
    return "\n".join(one for one in chosen if one)


def _text(widget: str, value: Any) -> str:
    if value is None or value == "":
        return ""
    if widget == "pairs":
        return "\n".join(f"{name} = {_quoted(text)}" for name, text in value.items())
    if widget == "words":
        return " ".join(value)
    if widget in LINES:
        return "\n".join(value)
    if widget == "json":
        return msgspec.json.encode(value).decode()
    return str(value)


def _quoted(text: str) -> str:
    """A text that stands on one line and is read as it was: as it is, or in JSON's quotes."""
    plain = "\n" not in text and text == text.strip() and _unquoted(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)


def _unquoted(text: str) -> str:
    read = meant(text) if text.startswith('"') else text
    return read if isinstance(read, str) else text


def read(fields: Mapping[str, str]) -> dict[str, Any]:
    """A definition out of the editor's form; Invalid names what can't be read."""
    nodes, called = [], dict[str, str]()
    for at in range(NODES_SENT_MAX):
        kind = fields.get(f"n{at}_kind")
        if kind is None:
            break
        if kind not in FIELDS:
            raise Invalid("bad_node", "There is no such node.", message_zh="没有这种节点。")
        if fields.get(f"n{at}_away"):
            continue
        node: dict[str, Any] = {"kind": kind}
        for name in ("id", "title", "next"):
            node[name] = fields.get(f"n{at}_{name}", "")
        called[fields.get(f"n{at}_was") or node["id"]] = node["id"]
        for name in ("x", "y"):
            node[name] = _number(fields.get(f"n{at}_{name}", ""))
        for name, widget in FIELDS[kind]:
            value = _value(widget, _sent(fields, at, name, widget))
            if value is not None:
                node[name] = value
        nodes.append(node)
    for node in nodes:  # lines follow a node that has another id now, and lead nowhere where it was taken away
        for edge in EDGES:
            if node.get(edge):
                node[edge] = called.get(node[edge], "")
        if "branches" in node:
            node["branches"] = [called[to] for to in node["branches"] if to in called]
    found = {
        "start": called.get(fields.get("start", ""), nodes[0]["id"] if nodes else ""), "nodes": nodes,
        "inputs": fields.get("inputs", "").split(), "hosts": fields.get("hosts", "").lower().split(),
    }  # fmt: skip
    for name in ("steps_max", "hours_max"):
        if fields.get(name):
            found[name] = _number(fields[name])
    return found | ({"budget_micro": parse_credits(fields["budget"])} if fields.get("budget") else {})


def _number(text: str) -> int:
    cleaned = text.strip()
    if not cleaned:
        return 0
    if not cleaned.isascii() or not cleaned.isdigit() or len(cleaned) > 9:
        raise Invalid("bad_number", f"{cleaned[:20]!r} is no whole number.", message_zh=f"“{cleaned[:20]}”不是整数。")
    return int(cleaned)


def _value(widget: str, text: str) -> Any:
    """A field's value; None leaves the node's own default."""
    if widget == "pairs":
        rows = [line.partition("=") for line in text.splitlines() if line.strip()]
        return {name.strip(): _unquoted(value.strip()) for name, _, value in rows}
    if widget in LINES:
        return [line.strip() for line in text.splitlines() if line.strip()]
    if widget == "words":
        return text.replace(",", " ").split()
    if not text.strip():
        return None if widget in ("number", "decimal", "json", "method") else ""
    if widget == "number":
        return _number(text)
    if widget == "decimal":
        return _decimal(text)
    if widget == "json":
        return object_in(text)
    return text


def _decimal(text: str) -> float:
    try:
        return float(Decimal(text))
    except (InvalidOperation, OverflowError) as error:
        raise Invalid("bad_number", f"{text[:20]!r} is no number.", message_zh=f"“{text[:20]}”不是数字。") from error


def added(content: dict[str, Any], kind: str) -> dict[str, Any]:
    """One more node at the end of the list, joined to the last one whose chain ends."""
    if kind not in FIELDS:
        raise Invalid("bad_node", "There is no such node.", message_zh="没有这种节点。")
    nodes = content["nodes"]
    taken = {node["id"] for node in nodes}
    name = next(f"{kind}_{n}" for n in range(1, NODES_SENT_MAX + 2) if f"{kind}_{n}" not in taken)
    low = max((node.get("y", 0) for node in nodes), default=-NODE_HIGH)
    column = sum(node.get("y", 0) == low for node in nodes) % COLUMNS
    y = low if column else low + NODE_HIGH
    nodes.append({"kind": kind, "id": name, "x": column * NODE_WIDE, "y": y, **FRESH[kind]})
    return content | {"start": content["start"] or name}


def spelt(value: Any) -> str:
    """A variable as it is typed: a text as it is, unless it would be read as something else; all else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str) and meant(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def meant(text: str) -> Any:
    """What was typed for a variable: JSON where it is that, else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
