"""What follows a form is a page of its own: a reload sends nothing again."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from tests.console import double

from shanhe.console.pages.base import Room
from shanhe.console.render import View
from shanhe.console.routes import ROOMS

LEADS_ON = ("go(", "self.hand(", "self._next(", "download(", "JSONResponse(", "as_json(", "StreamingResponse(")
"""What an answer may begin with: a way to another page, a file, or data for a script."""
STAYS = {
    "CityRoom.engine_test": "asks an engine and shows what it said",
    "BooksRoom.verify_start": "a part of the page that htmx fills in",
    "CityRoom.pull": "a part of the page that htmx fills in",
    "PromisesRoom.check": "a trial by the rule; nothing is applied for",
    "GovernanceRoom.propose": "a look at the change before it is proposed",
    "ShopRoom.attempt": "a trial call of one's own, which who reloads the page makes again",
    "PlayRoom.ask": "the playground without scripts: a call of one's own, made again by who sends the form again",
    "WatchRoom.read": "break-glass shows what it read; each reading is written down, again as well",
    "VenueRoom.scanned": "a scan counts once a day, however often it is sent",
    "VenueRoom.feed": "a scan counts once a day, however often it is sent",
    "TreasuryRoom.file": "a file",
    "ConnectRoom.answer": "an authorisation that was asked for once; its page closes itself",
    "NomadRoom.apply": "a refusal, kept once by the id of its form",
}


def posted() -> Iterator[tuple[type[Room], str]]:
    """Every room with the name of each of its methods that takes a form."""
    desk = double.desk()
    view = View(desk)
    for room in ROOMS:
        for route in room(desk, view).routes().routes:
            if "POST" in getattr(route, "methods", ()):
                yield room, route.endpoint.__name__  # type: ignore[attr-defined]


def answers(room: type[Room], name: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """What a method returns where nothing was wrong, through the methods that it leaves the answer to."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(room, name))))
    assigned: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assigned.setdefault(node.targets[0].id, ast.unparse(node.value).removeprefix("await "))
    for text in _returned(tree):
        found = assigned.get(text, text)
        helper = found.removeprefix("self.").partition("(")[0]
        if found.startswith("self._") and helper not in seen and hasattr(room, helper) and not leads(found):
            yield from answers(room, helper, seen | {helper})
        else:
            yield found


def _returned(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ExceptHandler):
            continue
        if isinstance(child, ast.Return) and child.value is not None:
            yield ast.unparse(child.value).removeprefix("await ")
        yield from _returned(child)


def leads(answer: str) -> bool:
    return answer.startswith(LEADS_ON)


class TestForm:
    def test_is_followed_by_a_page_of_its_own(self) -> None:
        forms = list(posted())
        assert len(forms) > 150
        shown: dict[str, Any] = {}
        for room, name in forms:
            stay = [answer[:80] for answer in answers(room, name) if not leads(answer)]
            if stay:
                shown[f"{room.__name__}.{name}"] = stay
        assert {name: stay for name, stay in shown.items() if name not in STAYS} == {}
        assert set(STAYS) == set(shown)
