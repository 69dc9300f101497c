"""YAML read strictly (no duplicate keys, no floats, no anchors, only true/false); a reader that knows its keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, NoReturn

import yaml

from shanhe.rulebook.errors import RuleFileInvalid
from shanhe.rulebook.model import Text

FILE_CHARS = 262_144
TEXT_CHARS = 2_000


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there: ten times as fast


def _refuse_aliases(root: yaml.Node) -> None:
    """A rule file is read by people, once: no anchors. An alias shows as one node in two places."""
    seen: set[int] = set()
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            raise yaml.YAMLError("anchors and aliases are not used in rule files")
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            stack.extend(part for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            stack.extend(node.value)


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: the key {key!r} must be a text")
        if key in seen:
            raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: the key {key!r} appears twice")
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


def _no_float(loader: Any, node: yaml.ScalarNode) -> NoReturn:
    raise yaml.YAMLError(f"line {node.start_mark.line + 1}: write {node.value} as basis points or as a quoted decimal")


def _boolean(loader: Any, node: yaml.ScalarNode) -> bool:
    return bool(node.value == "true")


def _strict_loader() -> Any:
    """YAML 1.1 turns `on` and `no` into booleans; here only true and false are."""

    class Loader(_Base):  # type: ignore[misc]
        def __init__(self, text: str) -> None:
            super().__init__(text)
            self.anchored = "&" in text  # without one there is no anchor, nor an alias

        def get_single_node(self) -> Any:
            root = super().get_single_node()
            if root is not None and self.anchored:
                _refuse_aliases(root)
            return root

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
    Loader.add_constructor("tag:yaml.org,2002:float", _no_float)
    Loader.add_constructor("tag:yaml.org,2002:bool", _boolean)
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
    return Loader


_LOADER: Any = _strict_loader()


def read_yaml(text: str, where: str) -> dict[str, Any]:
    """One document whose top is a mapping; RuleFileInvalid with the line otherwise."""
    if len(text) > FILE_CHARS:
        raise RuleFileInvalid(where, f"longer than {FILE_CHARS} characters", f"超过 {FILE_CHARS} 个字符")
    try:
        document = yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RuleFileInvalid(where, f"not a strict YAML file: {reason}", f"不是严格的 YAML 文件：{reason}") from error
    if not isinstance(document, dict):
        raise RuleFileInvalid(where, "the file is not a mapping", "文件顶层不是映射")
    return document


class Reader:
    """Reads one mapping: every key must be asked for, and each by its type. `done()` refuses what is left."""

    def __init__(self, content: Any, where: str) -> None:
        self.where = where
        if not isinstance(content, Mapping):
            self.refuse("must be a mapping", "必须是映射")
        self.content: dict[str, Any] = dict(content)
        self._left = set(self.content)

    def refuse(self, problem: str, problem_zh: str) -> NoReturn:
        raise RuleFileInvalid(self.where, problem, problem_zh)

    def has(self, key: str) -> bool:
        return key in self.content

    def take(self, key: str) -> Any:
        if key not in self.content:
            self.refuse(f"the key {key!r} is missing", f"缺少键 {key!r}")
        self._left.discard(key)
        return self.content[key]

    def maybe(self, key: str, default: Any = None) -> Any:
        self._left.discard(key)
        return self.content.get(key, default)

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str) or not value.strip() or len(value) > TEXT_CHARS:
            self.refuse(f"{key!r} must be a text", f"{key!r} 必须是文本")
        return value

    def one_of(self, key: str, options: Iterable[str], default: str | None = None) -> str:
        value = self.take(key) if default is None else self.maybe(key, default)
        choices = tuple(options)
        if not isinstance(value, str) or value not in choices:
            names = ", ".join(choices)
            self.refuse(f"{key!r} must be one of {names}", f"{key!r} 必须是以下之一：{names}")
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        value = self.take(key) if default is None else self.maybe(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(f"{key!r} must be a whole number", f"{key!r} 必须是整数")
        return value

    def date(self, key: str) -> date:
        return as_date(self.take(key), f"{self.where}.{key}")

    def both(self, key: str = "") -> Text:
        """A text in both languages: under `key`, or as `zh` and `en` of this mapping."""
        if key:
            return Reader(self.take(key), f"{self.where}.{key}").only_both()
        return Text(zh=self.text("zh"), en=self.text("en"))

    def only_both(self) -> Text:
        """A text in both languages that this mapping is, and nothing else."""
        text = self.both()
        self.done()
        return text

    def mapping(self, key: str, *, empty: bool = False) -> dict[str, Any]:
        value = self.maybe(key, {}) if empty else self.take(key)
        if not isinstance(value, Mapping):
            self.refuse(f"{key!r} must be a mapping", f"{key!r} 必须是映射")
        return dict(value)

    def rows(self, key: str, *, empty: bool = False) -> list[Any]:
        value = self.maybe(key, []) if empty else self.take(key)
        if not isinstance(value, list | tuple) or (not value and not empty):
            self.refuse(f"{key!r} must be a list", f"{key!r} 必须是列表")
        return list(value)

    def done(self) -> None:
        if self._left:
            names = ", ".join(sorted(self._left))
            self.refuse(f"unknown keys: {names}", f"未知的键：{names}")


def as_date(value: Any, where: str) -> date:
    """A date, or an ISO text of one (rows travel as JSON); a time of day is refused."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise RuleFileInvalid(where, "must be a date like 2026-01-31", "必须是形如 2026-01-31 的日期")


def each(rows: Mapping[str, Any], where: str, make: Callable[[str, Reader], Any]) -> tuple[Any, ...]:
    """Make one object per named row, and let nothing unknown pass."""
    made = []
    for name, content in rows.items():
        reader = Reader(content, f"{where}.{name}")
        made.append(make(name, reader))
        reader.done()
    return tuple(made)
