"""Whoever changes something for the city is on record: every route and page that changes anything knows who came in."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from .test_forms import asks, posted

SOURCE: Final = Path(__file__).parents[2] / "src/shanhe"
CHANGES: Final = ("post", "put", "patch", "delete")
WHO: Final = ("actor", "who", "acting")
DONE: Final = ("None", "bool", "str", "UUID")
"""What a page is answered with when something was done; everything else is there to be shown."""
UNNAMED: Final = {
    "changes nothing": {"agents.check_label", "agents.check_a_picture", "agents.check_a_sound", "ledger.verify",
                        "gate.unmanned", "rulebook.check_all", "rulebook.check_one"},
    "has credentials of its own": {
        "agents.any_agent", "agents.one_agent", "agents.one_clone", "workflows.receive", "pool.join", "log.cosign",
        "oauth.register", "oauth.token", "oauth.revoke", "payments.notify", "payments.decide", "payments.sign_mandate",
        "identity.register", "identity.sign_in", "identity.code", "identity.passkey_options", "identity.passkey",
        "identity.sign_out", "identity.leak", "gate.sign_out",
    },
}  # fmt: skip
"""Why nobody is known to have done it."""


def unnamed(functions: Iterator[ast.AsyncFunctionDef], guards: Collection[str] = ()) -> Iterator[str]:
    """Names of functions that nobody comes to through a door that knows who it was: whatever they change is on no
    record (`shanhe.kernel.acts`)."""
    for one in functions:
        given = (*one.args.args, *one.args.kwonlyargs)
        asked = any("Depends(require(" in ast.unparse(decorator) for decorator in one.decorator_list)
        if not asked and not any(
            arg.arg in WHO or (arg.annotation and ast.unparse(arg.annotation) in guards) for arg in given
        ):
            yield one.name


def guards(path: Path) -> set[str]:
    """The names that a file gives to those who were asked who they are."""
    return {
        ast.unparse(node.targets[0])
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and re.match(r"Annotated\[Actor, .*Depends", ast.unparse(node.value))
    }


def routes(path: Path) -> Iterator[ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.AsyncFunctionDef) and any(
            isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr in CHANGES
            for one in node.decorator_list
        ):
            yield node


def does(one: ast.AsyncFunctionDef) -> bool:
    return one.returns is not None and ast.unparse(one.returns) in DONE


def behind_pages() -> Iterator[str]:
    """`room.method` of what stands behind the pages and is not told who calls it."""
    for path in (SOURCE / "console/live").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                done = (one for one in node.body if isinstance(one, ast.AsyncFunctionDef) and does(one))
                yield from (f"{node.name.removeprefix('Live').lower()}.{name}" for name in unnamed(done))


class TestOnRecord:
    def test_whoever_changes_something_is_known_or_the_reason_is_here(self) -> None:
        found = {
            f"{path.relative_to(SOURCE).parts[0]}.{name}"
            for path in SOURCE.rglob("*.py") if "console" not in path.parts and "cli" not in path.parts
            for name in unnamed(routes(path), guards(path))
        }  # fmt: skip
        called = {one for room, name in posted() for one in asks(room, name)}
        found |= called.intersection(behind_pages())
        assert found == set().union(*UNNAMED.values())
