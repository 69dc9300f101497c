"""The forms of a page, as a browser would send them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """What a page links to, and its forms filled with what stands in them or would do."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.forms: list[Form] = []
        self._path, self._form, self._select = path, Form("", "get"), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        name, value = of.get("name", ""), of.get("value", "")
        if tag == "a" and of.get("href", "").startswith("/"):
            self.links.add(of["href"].partition("#")[0])
        elif tag == "form":
            self._form = Form(of.get("action") or self._path, of.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in of or not self._form.fields.get(self._select)):
            self._form.fields[self._select] = value
        elif name and tag == "textarea":
            self._form.fields[name] = "文字"
        elif name and tag in ("input", "button") and (of.get("type") != "radio" or "checked" in of):
            self._form.fields[name] = value or {"date": "2026-12-01", "number": "1"}.get(of.get("type", ""), "文字")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
