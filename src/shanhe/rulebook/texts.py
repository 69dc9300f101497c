"""The text that a rule was decided by, whole: the files of a release and the amendments on top of them.

A trace names it by its hash (`rule_hash`). A city keeps every text that it ever decided by, so that a later release,
whatever it edits, can still decide by the old one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shanhe import __version__
from shanhe.kernel.errors import ShanheError
from shanhe.rulebook.layers import layered
from shanhe.rulebook.loader import packaged_texts, parse_rule, with_shared
from shanhe.rulebook.model import Rule, RuleAmendment, content_hash

Source = Mapping[str, Any]
"""`files`: the rule's file and those whose parameters it shares, by id; `amendments`: what was layered on, in order."""


def edition_of(amendments: Sequence[RuleAmendment]) -> str:
    """The name of what a program makes of its own files and of these recorded amendments."""
    recorded = [[one.id, one.sha256 or content_hash(one.content), one.aside] for one in amendments]
    return content_hash([__version__, content_hash(packaged_texts()), recorded])


def source_of(rule: Rule, amendments: Sequence[RuleAmendment]) -> Source:
    """What a packaged rule is made of, when these amendments are the ones that fit."""
    needed = {rule.id, *(p.of for p in rule.parameters if p.of)}
    return {
        "files": {name: text for name, text in packaged_texts().items() if name in needed},
        "amendments": [
            {"id": one.id, "rule": one.rule_id, "content": dict(one.content)}
            | ({"completed": True} if one.completed else {})
            for one in amendments
            if one.rule_id in needed
        ],
    }


def read(rule_id: str, rule_hash: str, source: Source) -> Rule | None:
    """The rule again; None where the source can't be read, or isn't the text of that hash."""
    try:
        files = {name: parse_rule(text, f"{name}.yaml") for name, text in source["files"].items()}
        layers = [
            RuleAmendment(one["id"], one["rule"], one["content"], "", completed=bool(one.get("completed")))
            for one in source["amendments"]
        ]
        rules = layered(files, layers)
        rule = with_shared(rules[rule_id], rules)
    except (ShanheError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return rule if rule.content_hash == rule_hash else None
