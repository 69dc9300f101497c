"""Issues as plain data, and as an Atom feed (RFC 4287)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import msgspec

from shanhe.bulletin.model import Issue

ATOM = "http://www.w3.org/2005/Atom"
MADE_BY_AI = "本播报由程序依据规则与在办计划自动生成。"
"""What a reader is told of how it came about."""


def issue_view(issue: Issue) -> dict[str, Any]:
    view: dict[str, Any] = msgspec.to_builtins(issue)
    return view | {"items": [{**item, "for": item.pop("for_")} for item in view["items"]]}


def row_view(issue: Issue) -> dict[str, Any]:
    """An issue for lists."""
    counts: dict[str, int] = {}
    for item in issue.items:
        counts[item.kind] = counts.get(item.kind, 0) + 1
    return {"day": issue.day, "since": issue.since, "counts": counts}


def feed(issues: Sequence[Issue], city: str, url: str) -> bytes:
    """The newest issues as Atom, in Chinese; the ids are addresses of this site."""
    root = Element("feed", {"xmlns": ATOM, "xml:lang": "zh-CN"})
    _text(root, "title", f"{city} · 山河小智每周播报")
    _text(root, "id", f"{url}/bulletin")
    _text(root, "updated", (issues[0].made_at.isoformat() if issues else "1970-01-01T00:00:00+00:00"))
    SubElement(root, "link", {"rel": "self", "href": f"{url}/api/bulletin/feed.xml"})
    _text(SubElement(root, "author"), "name", city)
    for issue in issues:
        entry = SubElement(root, "entry")
        address = f"{url}/bulletin/{issue.day}"
        _text(entry, "title", f"{issue.day} 每周播报")
        _text(entry, "id", address)
        _text(entry, "updated", issue.made_at.isoformat())
        SubElement(entry, "link", {"href": address})
        told = "\n".join([*(one.zh for one in issue.talk), MADE_BY_AI])
        _text(entry, "content", told)
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _text(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = text
