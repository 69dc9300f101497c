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

LEADS_ON = (
    "go(", "self.hand(", "self.answered(", "self._next(", "download(", "JSONResponse(", "as_json(",
    "StreamingResponse(",
)  # fmt: skip
"""What an answer may begin with: a way to another page, a file, or data for a script."""
STAYS = {
    "CityRoom.engine_test": "a part of the page that htmx fills in",
    "BooksRoom.verify_start": "a part of the page that htmx fills in",
    "CityRoom.pull": "a part of the page that htmx fills in",
    "PromisesRoom.check": "a trial by the rule; nothing is applied for",
    "PromisesRoom.imported": "what a list would become; it is recorded once, by its batch",
    "KnowledgeRoom.preview": "a look at how a document would be cut; nothing is kept or paid",
    "GovernanceRoom.propose": "a look at the change before it is proposed",
    "WatchRoom.read": "break-glass shows what it read; each reading is written down, again as well",
    "VenueRoom.scanned": "a scan counts once a day, however often it is sent",
    "VenueRoom.feed": "a scan counts once a day, however often it is sent",
    "TreasuryRoom.file": "a file",
    "ConnectRoom.answer": "an authorisation that was asked for once; its page closes itself",
    "PlayRoom.rate": "a part of the page that htmx fills in",
    "PictureRoom.ask": "a part of the page that htmx fills in",
    "NomadRoom.apply": "a refusal, kept once by the id of its form",
}
HTMX = frozenset(
    {"CityRoom.engine_test", "BooksRoom.verify_start", "CityRoom.pull", "PictureRoom.ask", "PlayRoom.rate"}
)
"""Whose staying answer goes to a script only; without scripts they lead on."""
LOOKS = frozenset({
    "connect.asked", "governance.form", "knowledge.base", "knowledge.preview", "nomads.mine", "nomads.venue",
    "promises.check", "promises.kinds", "promises.programme", "rules.list", "treasury.payout_files",
    "treasury.payouts", "watch.opening",
})  # fmt: skip
"""What may be asked of the city by a form that answers itself: it changes nothing and costs nothing."""
AGAIN = {
    "PromisesRoom.imported": {"promises.imported"},
    "WatchRoom.read": {"watch.read"},
    "VenueRoom.scanned": {"nomads.gate"},
    "VenueRoom.feed": {"nomads.feed"},
    "TreasuryRoom.file": {"treasury.payout_file"},
    "ConnectRoom.answer": {"connect.allow", "connect.refuse"},
    "NomadRoom.apply": {"nomads.apply"},
    "GovernanceRoom.propose": {"governance.propose", "governance.draft"},
}
"""What else such a form does: it may be sent again without doing it twice, for the reason in STAYS."""


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


def asks(room: type[Room], name: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """What a method asks of the city (`shop.rate`), through the room's own methods."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(room, name))))
    found: set[str] = set()
    aliases = {"self.desk": ""}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("self.desk."):
            aliases[ast.unparse(node.targets[0])] = ast.unparse(node.value).removeprefix("self.desk.") + "."
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        for alias, meant in aliases.items():
            if called.startswith(f"{alias}."):
                found.add(meant + called.removeprefix(f"{alias}."))
        helper = called.removeprefix("self.")
        if called.startswith("self._") and helper not in seen and hasattr(room, helper):
            found |= asks(room, helper, seen | {helper})
    return found


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

    def test_that_answers_itself_does_nothing_that_a_reload_would_do_again(self) -> None:
        """Every call to the city of a form that is not followed by a page of its own is known to be a look, or to be
        done once. A call to a model is neither."""
        asked = {f"{room.__name__}.{name}": asks(room, name) for room, name in posted()}
        stay = {form: asked[form] for form in STAYS if form not in HTMX}
        assert {form: left for form, found in stay.items() if (left := found - LOOKS - AGAIN.get(form, set()))} == {}
        for form, known in AGAIN.items():
            assert known <= stay[form], form
        assert set().union(*stay.values()) >= LOOKS

    def test_is_read_through_what_it_is_left_to(self) -> None:
        """The reading itself: what the two forms that call a model ask of the city."""
        rooms = {f"{room.__name__}.{name}": (room, name) for room, name in posted()}
        for form in ("PlayRoom.ask", "ShopRoom.attempt"):
            assert "talk.stream" in asks(*rooms[form])
        assert "city.engine_test" in asks(*rooms["CityRoom.engine_test"])

    def test_answers_a_script_only_where_it_says_so(self) -> None:
        for room, name in posted():
            if f"{room.__name__}.{name}" in HTMX:
                assert "'hx-request' in request.headers" in ast.unparse(
                    ast.parse(textwrap.dedent(inspect.getsource(getattr(room, name))))
                )
                assert any(leads(answer) for answer in answers(room, name))
