"""YAML read strictly (no duplicate keys, no floats, no anchors, only true/false); a reader that knows its keys."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, NoReturn

import yaml

from shanhe.rulebook.errors import RuleFileInvalid, meant
from shanhe.rulebook.model import Text

FILE_CHARS = 262_144
FIRST_DATE, LAST_DATE = date(1900, 1, 1), date(2199, 12, 31)
TEXT_CHARS = 2_000


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there: ten times as fast


class _Strict(yaml.YAMLError):
    """What YAML allows and a rule file does not, with its line (from 1)."""

    def __init__(self, node: yaml.Node, en: str, zh: str) -> None:
        super().__init__(en)
        self.line, self.en, self.zh = node.start_mark.line + 1, en, zh


def _refuse_aliases(root: yaml.Node) -> None:
    """A rule file is read by people, once: no anchors. An alias shows as one node in two places."""
    seen: set[int] = set()
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            raise _Strict(
                node,
                "anchors and aliases are not used in rule files: write the value out",
                "规则文件不使用锚点和别名，请写出完整的值",
            )
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
            raise _Strict(
                key_node, f"the key {key!r} must be a text: put it in quotes", f"键 {key!r} 必须是文本，请加引号"
            )
        if key in seen:
            raise _Strict(key_node, f"the key {key!r} appears twice: remove one", f"键 {key!r} 出现两次，请删去一个")
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


def _no_float(loader: Any, node: yaml.ScalarNode) -> NoReturn:
    raise _Strict(
        node,
        f"write {node.value} as basis points or as a quoted decimal",
        f"{node.value} 请写成基点（bps）或加引号的小数",
    )


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
    except _Strict as error:
        raise RuleFileInvalid(where, error.en, error.zh, line=error.line) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise RuleFileInvalid(
            where, f"not YAML ({reason}): look at indents, brackets, quotes and the space after a colon",
            f"不是有效的 YAML（{reason}），请检查缩进、括号、引号以及冒号后的空格", line=_line(error, text),
        ) from error  # fmt: skip
    if not isinstance(document, dict):
        raise RuleFileInvalid(
            where, "the file is not a mapping: begin with `id: …`", "文件顶层不是映射，请以 `id: …` 开头", line=1
        )
    return document


def _line(error: Exception, text: str) -> int:
    """Where a parser stopped: it says a mark, or how many characters it read; behind a last line without an end it
    counts one line more."""
    mark, read = getattr(error, "problem_mark", None), getattr(error, "position", None)
    if mark is not None:
        return 1 + min(int(mark.line), text.count("\n"))
    return text.count("\n", 0, read) + 1 if isinstance(read, int) else 1


def line_of(text: str, pointer: str) -> int:
    """The line (from 1) on which a JSON pointer's place begins in a YAML text: of what of it there is."""
    node: Any = yaml.compose(text, Loader=_LOADER)
    line = 1
    for part in pointer.split("/")[1:]:
        name, found = part.replace("~1", "/").replace("~0", "~"), None
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == name), None)
        elif isinstance(node, yaml.SequenceNode) and name.isdecimal() and int(name) < len(node.value):
            found = (node.value[int(name)],) * 2
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


class Reader:
    """Reads one mapping: every key must be asked for, and each by its type. `done()` refuses what is left."""

    def __init__(self, content: Any, where: str) -> None:
        self.where = where
        if not isinstance(content, Mapping):
            self.refuse("must be a mapping", "必须是映射")
        self.content: dict[str, Any] = dict(content)
        self._left = set(self.content)
        self._asked: set[str] = set()

    def refuse(self, problem: str, problem_zh: str, key: str = "") -> NoReturn:
        """Of the mapping, or of what stands under a key of it."""
        raise RuleFileInvalid(f"{self.where}.{key}" if key else self.where, problem, problem_zh)

    def has(self, key: str) -> bool:
        self._asked.add(key)
        return key in self.content

    def take(self, key: str) -> Any:
        self._asked.add(key)
        if key not in self.content:
            near = meant(key, self._left)
            self.refuse(f"the key {key!r} is missing{near.en}", f"缺少键 {key!r}{near.zh}", near.name or key)
        self._left.discard(key)
        return self.content[key]

    def maybe(self, key: str, default: Any = None) -> Any:
        self._asked.add(key)
        self._left.discard(key)
        return self.content.get(key, default)

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str) or not value.strip() or len(value) > TEXT_CHARS:
            self.refuse(
                f"{key!r} must be a text of 1 to {TEXT_CHARS} characters",
                f"{key!r} 必须是 1 至 {TEXT_CHARS} 个字符的文本", key,
            )  # fmt: skip
        return value

    def one_of(self, key: str, options: Iterable[str], default: str | None = None) -> str:
        value = self.take(key) if default is None else self.maybe(key, default)
        choices = tuple(options)
        if not isinstance(value, str) or value not in choices:
            names = ", ".join(choices)
            self.refuse(f"{key!r} must be one of {names}", f"{key!r} 必须是以下之一：{names}", key)
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        value = self.take(key) if default is None else self.maybe(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(f"{key!r} must be a whole number", f"{key!r} 必须是整数", key)
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
            self.refuse(f"{key!r} must be a mapping", f"{key!r} 必须是映射", key)
        return dict(value)

    def rows(self, key: str, *, empty: bool = False) -> list[Any]:
        value = self.maybe(key, []) if empty else self.take(key)
        if not isinstance(value, list | tuple) or (not value and not empty):
            self.refuse(f"{key!r} must be a list that holds something", f"{key!r} 必须是非空列表", key)
        return list(value)

    def done(self) -> None:
        if self._left:
            names = sorted(self._left)
            said, near = ", ".join(name or "''" for name in names), meant(names[0], self._asked - set(self.content))
            self.refuse(f"unknown keys: {said}{near.en}", f"未知的键：{said}{near.zh}", names[0])


def as_date(value: Any, where: str) -> date:
    """A date, or an ISO text of one (rows travel as JSON); a time of day is refused."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = date.fromisoformat(value)
    if isinstance(value, datetime) or not isinstance(value, date):
        raise RuleFileInvalid(where, "must be a date like 2026-01-31", "必须是形如 2026-01-31 的日期")
    if not FIRST_DATE <= value <= LAST_DATE:
        raise RuleFileInvalid(
            where,
            f"{value} must lie between {FIRST_DATE} and {LAST_DATE}",
            f"{value} 须在 {FIRST_DATE} 与 {LAST_DATE} 之间",
        )
    return value


def each(rows: Mapping[str, Any], where: str, make: Callable[[str, Reader], Any]) -> tuple[Any, ...]:
    """Make one object per named row, and let nothing unknown pass."""
    made = []
    for name, content in rows.items():
        reader = Reader(content, f"{where}.{name}")
        made.append(make(name, reader))
        reader.done()
    return tuple(made)
