"""What is wrong with a definition before it runs: every reason, with the node it is at."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.errors import ShanheError
from shanhe.sandbox.api import CODE_MAX_BYTES
from shanhe.workflows.errors import BadDefinition
from shanhe.workflows.language import names_in, places_in
from shanhe.workflows.model import (
    AGENTS,
    BASE_MAX_CHARS,
    BASES_MAX,
    BRANCHES_MAX,
    BUDGET_MAX_MICRO,
    DEFINITION_MAX_BYTES,
    FAILURE,
    FIELDS_MAX,
    HEADER,
    HOST,
    HOSTS_MAX,
    HOURS_MAX,
    INPUT,
    NAME,
    NODES_MAX,
    OURS,
    PASSAGES_MAX,
    ROLES,
    ROUNDS_MAX,
    SECRET,
    SLUG,
    STEPS_MAX,
    TEXT_MAX_CHARS,
    TITLE_MAX_CHARS,
    TOKENS_MAX,
    TOOL,
    TRIES_MAX,
    AnyNode,
    Approval,
    Ask,
    Attempt,
    Branch,
    Code,
    Definition,
    Flow,
    Http,
    Knowledge,
    Loop,
    Output,
    Parallel,
    Set,
    Tool,
)

Problem = tuple[str, str, str, str]
"""(node, code, zh, en)."""
TEMPERATURE_MAX: Final = 2
ROUND: Final = "round"
"""The variable that counts a loop's rounds from 1."""
INSIDE: Final = frozenset({"body", "branches"})
"""Exits that lead into chains of their own."""
FIELD: Final = re.compile(r"^[A-Za-z0-9_]{1,64}$")
HAS: Final[Mapping[type, tuple[str, ...]]] = {
    Knowledge: ("text", "supported", "passages"), Http: ("status", "body"), Approval: ("verdict", "note"),
}  # fmt: skip
"""Fields of what a node of a kind saves."""
FAILURE_FIELDS: Final = ("code", "node", "zh", "en")


def read(content: Any) -> Definition:
    """A definition that may run; BadDefinition with every reason."""
    definition = shaped(content)
    found = problems(definition)
    if found:
        raise BadDefinition(found)
    return definition


def shaped(content: Any) -> Definition:
    """A definition of the right form, which may still be wrong."""
    try:
        if len(msgspec.json.encode(content, enc_hook=str)) > DEFINITION_MAX_BYTES:
            raise BadDefinition([("", "too_large", f"定义超过 {DEFINITION_MAX_BYTES} 字节",
                                  f"the definition is larger than {DEFINITION_MAX_BYTES} bytes")])  # fmt: skip
        return msgspec.convert(content, type=Definition, strict=False)
    except (msgspec.ValidationError, RecursionError, TypeError, ValueError) as error:
        text = str(error)[:300]
        raise BadDefinition([("", "bad_form", f"格式不正确：{text}", f"its form is wrong: {text}")]) from error


def problems(definition: Definition) -> list[Problem]:
    """Every reason why it can't run; none when it can."""
    found = list(_frame(definition))
    for node in definition.nodes:
        found += _own(node, definition)
    if found:
        return found
    return Walk(definition).problems()


def problems_from(definition: Definition, known: set[str]) -> list[Problem]:
    """The same of a definition whose first node finds these variables."""
    found = list(_frame(definition))
    found += [problem for node in definition.nodes if not node.id.startswith("~") for problem in _own(node, definition)]
    return found or Walk(definition).problems(known)


def _frame(definition: Definition) -> Iterator[Problem]:
    names = [node.id for node in definition.nodes]
    if not 1 <= len(names) <= NODES_MAX:
        yield "", "nodes", f"节点须为 1–{NODES_MAX} 个", f"1 to {NODES_MAX} nodes"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield name, "twice", f"节点编号“{name}”重复", f"two nodes are called {name!r}"
    if definition.start not in names:
        yield "", "no_start", "起始节点不存在", f"it begins at {definition.start[:40]!r}, which is no node"
    bounds = (
        ("steps_max", definition.steps_max, STEPS_MAX), ("budget_micro", definition.budget_micro, BUDGET_MAX_MICRO),
        ("hours_max", definition.hours_max, HOURS_MAX),
    )  # fmt: skip
    for what, value, most in bounds:
        if not 1 <= value <= most:
            yield "", "bound", f"{what} 须为 1–{most}", f"{what} is 1 to {most}"
    if len(definition.hosts) > HOSTS_MAX or any(not HOST.fullmatch(host) for host in definition.hosts):
        yield "", "hosts", f"主机白名单最多 {HOSTS_MAX} 个小写主机名", f"at most {HOSTS_MAX} host names in lower case"
    if len(definition.inputs) > FIELDS_MAX or any(not NAME.fullmatch(name) for name in definition.inputs):
        yield "", "inputs", f"输入最多 {FIELDS_MAX} 个小写字母名称", f"at most {FIELDS_MAX} inputs in lower case"


def _own(node: AnyNode, definition: Definition) -> Iterator[Problem]:
    """What one node has wrong by itself."""
    known = {other.id for other in definition.nodes}
    if not NAME.fullmatch(node.id):
        yield node.id, "name", f"节点编号“{node.id[:40]}”须为小写字母、数字、下划线", "its id is not a lower case name"
    if len(node.title) > TITLE_MAX_CHARS:
        yield node.id, "title", f"标题不超过 {TITLE_MAX_CHARS} 字", f"its title has at most {TITLE_MAX_CHARS} signs"
    for edge, to in exits(node):
        if to and to not in known:
            yield node.id, "no_node", f"{edge} 指向不存在的节点“{to[:40]}”", f"{edge} leads to {to[:40]!r}, no node"
    for name in written(node):
        if not NAME.fullmatch(name) or name == INPUT:
            yield node.id, "variable", f"不能使用变量名“{name[:40]}”", f"{name[:40]!r} can't be a variable"
    for text in texts(node):
        if len(text) > TEXT_MAX_CHARS:
            yield node.id, "long", f"文本不超过 {TEXT_MAX_CHARS} 字", f"a text has at most {TEXT_MAX_CHARS} signs"
    for condition in conditions(node):
        try:
            names_in(condition)
        except ShanheError as error:
            yield node.id, "condition", error.message_zh, error.message
    if isinstance(node, Attempt) and not 1 <= node.tries <= TRIES_MAX:
        yield node.id, "tries", f"尝试次数须为 1–{TRIES_MAX}", f"tries are 1 to {TRIES_MAX}"
    yield from SPECIAL.get(type(node), _nothing)(node, definition)


def _nothing(node: Any, definition: Definition) -> Iterator[Problem]:
    yield from ()


def _ask(node: Ask, definition: Definition) -> Iterator[Problem]:
    if not node.target or not node.prompt.strip():
        yield node.id, "empty", "须指定模型或智能体，并填写提示词", "it needs a model or an agent, and a prompt"
    if not 1 <= node.tokens <= TOKENS_MAX:
        yield node.id, "tokens", f"tokens 须为 1–{TOKENS_MAX}", f"tokens are 1 to {TOKENS_MAX}"
    if node.temperature is not None and not 0 <= node.temperature <= TEMPERATURE_MAX:
        yield node.id, "temperature", f"温度须为 0–{TEMPERATURE_MAX}", f"the temperature is 0 to {TEMPERATURE_MAX}"
    if node.temperature is not None and node.target.startswith(AGENTS):
        yield node.id, "temperature", "智能体的温度由其自身定义", "an agent has its own temperature"
    if node.given and not node.target.startswith(AGENTS):
        yield node.id, "given", "只有智能体需要填写对话前信息", "only an agent is told something first"
    if len(node.given) > FIELDS_MAX or any(not NAME.fullmatch(name) for name in node.given):
        yield node.id, "given", f"对话前信息最多 {FIELDS_MAX} 项，名称为小写字母、数字、下划线", \
            f"at most {FIELDS_MAX} inputs, with names in lower case"  # fmt: skip
    if node.schema is not None and node.target.startswith(AGENTS):
        yield node.id, "schema", "智能体的输出格式由其自身定义", "an agent's answer has its own schema"


def _branch(node: Branch, definition: Definition) -> Iterator[Problem]:
    if not node.then or not node.next:
        yield node.id, "open_branch", "分支须有两个去向", "a branch leads to two nodes"


def _parallel(node: Parallel, definition: Definition) -> Iterator[Problem]:
    if not 2 <= len(node.branches) <= BRANCHES_MAX or "" in node.branches:
        yield node.id, "branches", f"并行须有 2–{BRANCHES_MAX} 条分支", f"2 to {BRANCHES_MAX} branches go on at once"
    if len(set(node.branches)) < len(node.branches) or node.next in node.branches:
        yield (node.id, "branches", "每条分支须从不同的节点开始，且不能是汇合处",
               "each branch begins with another node, none with the one where they meet")  # fmt: skip


def _loop(node: Loop, definition: Definition) -> Iterator[Problem]:
    if not 1 <= node.most <= ROUNDS_MAX:
        yield (node.id, "unbounded_loop", f"循环须有 1–{ROUNDS_MAX} 的次数上限",
               f"a loop has a bound of 1 to {ROUNDS_MAX}")  # fmt: skip
    if bool(node.over) == bool(node.until):
        yield node.id, "loop", "循环须在列表与条件中二选一", "a loop goes over a list or until a condition"
    if not node.body:
        yield node.id, "loop", "循环体为空", "its body is empty"
    if bool(node.gather) != bool(node.save):
        yield node.id, "loop", "gather 与 save 须同时填写", "gather and save go together"


def _approval(node: Approval, definition: Definition) -> Iterator[Problem]:
    if node.who not in ROLES:
        try:
            UUID(node.who)
        except ValueError:
            yield node.id, "who", "审批人须为 owner、member 或人员编号", "who: owner, member or a person's id"
    if not 1 <= node.hours <= HOURS_MAX:
        yield node.id, "hours", f"时限须为 1–{HOURS_MAX} 小时", f"hours are 1 to {HOURS_MAX}"


def _code(node: Code, definition: Definition) -> Iterator[Problem]:
    if len(node.code.encode("utf-8", "replace")) > CODE_MAX_BYTES or "def main(" not in node.code:
        yield (
            node.id,
            "code",
            f"代码须定义 main，且不超过 {CODE_MAX_BYTES} 字节",
            (f"the code defines main, in at most {CODE_MAX_BYTES} bytes"),
        )


def _http(node: Http, definition: Definition) -> Iterator[Problem]:
    host = node.url.partition("://")[2].partition("/")[0].partition("?")[0]
    if not node.url.startswith(("https://", "http://")) or "{{" in host or "@" in host:
        yield (node.id, "url", "须以 https:// 开头，主机名不得含变量",
               "the address begins with https://, its host is fixed")  # fmt: skip
    elif host.partition(":")[0].lower() not in definition.hosts:
        yield node.id, "host", f"主机“{host[:60]}”不在白名单内", f"{host[:60]!r} is not on the list of hosts"
    names = [*node.headers, *node.secrets]
    if len(names) > FIELDS_MAX or len({name.lower() for name in names}) < len(names):
        yield node.id, "headers", f"请求头最多 {FIELDS_MAX} 个，每个一次", f"at most {FIELDS_MAX} headers, each once"
    for name in names:
        if not HEADER.fullmatch(name) or name.lower() in OURS:
            yield node.id, "headers", f"不能使用请求头“{name[:40]}”", f"{name[:40]!r} can't be a header"
    for name in node.secrets.values():
        if not SECRET.fullmatch(name):
            yield node.id, "secrets", f"“{name[:40]}”不是密钥名称", f"{name[:40]!r} is no name of a secret"
    if node.method == "GET" and node.body:
        yield node.id, "body", "GET 请求没有正文", "a GET has no body"


def _tool(node: Tool, definition: Definition) -> Iterator[Problem]:
    if not TOOL.fullmatch(node.tool):
        yield node.id, "tool", "工具须写作“服务/工具”", "a tool is written server/tool"


def _knowledge(node: Knowledge, definition: Definition) -> Iterator[Problem]:
    if not 1 <= len(node.bases) <= BASES_MAX or any(not 1 <= len(name) <= BASE_MAX_CHARS for name in node.bases):
        yield node.id, "bases", f"须有 1–{BASES_MAX} 个知识库的名称或编号", f"names or ids of 1 to {BASES_MAX} bases"
    if not node.question.strip():
        yield node.id, "empty", "须填写要检索的问题", "it needs a question to look up"
    if not 1 <= node.passages <= PASSAGES_MAX:
        yield node.id, "passages", f"段落数须为 1–{PASSAGES_MAX}", f"passages are 1 to {PASSAGES_MAX}"


def _flow(node: Flow, definition: Definition) -> Iterator[Problem]:
    if not SLUG.fullmatch(node.workflow):
        yield node.id, "workflow", "须填写本机构工作流的英文名", "it needs the name of a workflow of yours"
    if len(node.given) > FIELDS_MAX or any(not NAME.fullmatch(name) for name in node.given):
        yield node.id, "values", f"输入最多 {FIELDS_MAX} 项，名称为小写字母、数字、下划线", \
            f"at most {FIELDS_MAX} inputs, with names in lower case"  # fmt: skip


def _values(node: Set | Output, definition: Definition) -> Iterator[Problem]:
    if not 1 <= len(node.values) <= FIELDS_MAX:
        yield node.id, "values", f"须有 1–{FIELDS_MAX} 项", f"1 to {FIELDS_MAX} values"
    if any(not NAME.fullmatch(name) for name in node.values):
        yield node.id, "values", "名称须为小写字母、数字、下划线", "names are in lower case"


SPECIAL: Final[Mapping[type, Callable[[Any, Definition], Iterator[Problem]]]] = {
    Ask: _ask, Branch: _branch, Parallel: _parallel, Loop: _loop, Approval: _approval, Code: _code, Http: _http,
    Tool: _tool, Flow: _flow, Knowledge: _knowledge, Set: _values, Output: _values,
}  # fmt: skip


def exits(node: AnyNode) -> list[tuple[str, str]]:
    """Where a node's chain can go on; a loop's body and what is `INSIDE` of a parallel node are chains of their own."""
    found = [("next", node.next)]
    if isinstance(node, Branch):
        found.append(("then", node.then))
    elif isinstance(node, Parallel):
        found += [("branches", first) for first in node.branches]
    elif isinstance(node, Approval) and node.refused:
        found.append(("refused", node.refused))
    elif isinstance(node, Loop):
        found.append(("body", node.body))
    elif isinstance(node, Attempt) and node.failed:
        found.append(("failed", node.failed))
    return found


def texts(node: AnyNode) -> list[str]:
    """Texts in which `{{name}}` is filled in."""
    match node:
        case Ask():
            return [node.prompt, node.system, *node.given.values()]
        case Knowledge():
            return [node.question]
        case Approval():
            return [node.shows]
        case Http():
            return [node.url, node.body, *node.headers.values()]
        case Tool():
            return list(leaves(node.arguments))
        case Flow():
            return list(node.given.values())
        case Set() | Output():
            return list(node.values.values())
    return []


def leaves(value: Any) -> Iterator[str]:
    """The texts inside of a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from leaves(one)


def conditions(node: AnyNode) -> list[str]:
    if isinstance(node, Branch):
        return [node.when]
    return [node.until] if isinstance(node, Loop) and node.until else []


def written(node: AnyNode) -> list[str]:
    """Variables that are there after a node; a loop's item and round are its body's own."""
    match node:
        case Ask() | Knowledge() | Code() | Http() | Tool() | Flow():
            return [node.save]
        case Approval() | Loop():
            return [node.save] if node.save else []
        case Set():
            return list(node.values)
    return []


def passing(definition: Definition) -> frozenset[str]:
    """Variables of a round or of a failing way, which end with their branch."""
    return frozenset({ROUND, FAILURE, *(node.item for node in definition.nodes if isinstance(node, Loop))})


def wanted(node: AnyNode) -> set[str]:
    """Variables that must be there before a node; a loop's condition is looked at after its body."""
    found: set[str] = set()
    for text in texts(node):
        found |= places_in(text)
    if isinstance(node, Branch):
        found |= names_in(node.when)
    elif isinstance(node, Loop) and node.over:
        found.add(node.over)
    elif isinstance(node, Code):
        found |= set(node.inputs)
    return found


def known_at(definition: Definition) -> dict[str, list[str]]:
    """What may be named at each node, as it stands in `{{…}}`: variables that are there whichever way led to it, with
    the fields that they are known to have. A definition that has a problem says it of the nodes before that."""
    walk = Walk(definition)
    with contextlib.suppress(KeyError, ShanheError):
        walk.problems()
    fields: dict[str, tuple[str, ...]] = {INPUT: definition.inputs, FAILURE: FAILURE_FIELDS}
    by: dict[str, list[AnyNode]] = {}
    for node in definition.nodes:
        for one in written(node):
            by.setdefault(one, []).append(node)
    fields |= {name: _has(nodes[0]) for name, nodes in by.items() if len(nodes) == 1}
    return {
        name: sorted(f"{one}.{field}" if field else one for one in known for field in fields.get(one) or ("",))
        for name, known in walk.known.items()
    }  # fmt: skip


def _has(node: AnyNode) -> tuple[str, ...]:
    """Fields of what a node saves."""
    if isinstance(node, Ask) and node.schema is not None:
        properties = node.schema.get("properties")
        return tuple(name for name in properties if FIELD.fullmatch(name)) if isinstance(properties, dict) else ()
    return HAS.get(type(node), ())


class Walk:
    """Goes every way through a definition once: circles, what is never reached, what is not known where it is used."""

    def __init__(self, definition: Definition) -> None:
        self._nodes: dict[str, AnyNode] = {node.id: node for node in definition.nodes}
        self._start = definition.start
        self._passing = passing(definition)
        self._owner: dict[str, str] = {}
        self._found: list[Problem] = []
        self.known: dict[str, set[str]] = {}
        """What is there at each node, whichever way led to it."""

    def problems(self, known: set[str] | None = None) -> list[Problem]:
        """`known`: what is there at the beginning; what a run is given when nothing is said."""
        self._chain(self._start, "", {INPUT} if known is None else known)
        for name in self._nodes:
            if name not in self._owner and not self._found:
                self._say(name, "unreachable", f"节点“{name}”永远不会执行", f"{name!r} is never reached")
        return self._found

    def _say(self, node: str, code: str, zh: str, en: str) -> None:
        if (node, code, zh, en) not in self._found:
            self._found.append((node, code, zh, en))

    def _chain(self, start: str, owner: str, known: set[str], meet: str = "") -> set[str]:
        """Everything from `start` on that belongs to `owner`, until it ends or comes to `meet`; what is known at each
        of its ends."""
        order = self._order(start, owner, meet)
        if order is None:
            return known
        before: dict[str, set[str]] = {start: set(known)}
        ends: list[set[str]] = []
        for name in order:
            node = self._nodes[name]
            here = self.known[name] = before[name]
            self._missing(name, wanted(node), here)
            after = here | set(written(node))
            if isinstance(node, Loop):
                after |= self._body(node, here)
            elif isinstance(node, Parallel):
                after |= self._branches(node, here)
            for edge, to in exits(node):
                if edge in INSIDE:
                    continue
                there = here | {FAILURE} if edge == "failed" else after
                if to in ("", meet):
                    ends.append(there)
                else:
                    before[to] = before[to] & there if to in before else set(there)
        return set.intersection(*ends) if ends else known

    def _body(self, node: Loop, known: set[str]) -> set[str]:
        inside = known | {ROUND} | ({node.item} if node.over else set())
        ends = self._chain(node.body, node.id, inside)
        if node.gather:
            self._missing(node.id, {node.gather}, ends)
        if not node.until:
            return set()
        self.known[node.id] = ends
        self._missing(node.id, names_in(node.until), ends)
        return ends - {ROUND}

    def _branches(self, node: Parallel, known: set[str]) -> set[str]:
        """What is known where the branches meet; none of them sees what another writes."""
        found, by = set[str](), dict[tuple[str, str], str]()
        for first in node.branches:
            owner = f"{node.id}/{first}"
            found |= self._chain(first, owner, known, node.next) - self._passing
            for kind, name in sorted(self._writes(owner)):
                if by.setdefault((kind, name), first) != first:
                    self._say(node.id, "written_twice", f"两条分支都写入“{name}”，汇合后无法确定取哪一个",
                              f"two branches write {name!r}: which one counts where they meet?")  # fmt: skip
        return found

    def _writes(self, owner: str) -> set[tuple[str, str]]:
        """Variables and results that the nodes of a branch write, those of chains inside of it with them."""
        found = set[tuple[str, str]]()
        for name, of in self._owner.items():
            if of == owner:
                node = self._nodes[name]
                found |= {("variable", one) for one in written(node)}
                if isinstance(node, Output):
                    found |= {("result", one) for one in node.values}
                if isinstance(node, Loop):
                    found |= self._writes(node.id)
                elif isinstance(node, Parallel):
                    found |= {one for first in node.branches for one in self._writes(f"{node.id}/{first}")}
        return found

    def _missing(self, name: str, asked: set[str], known: set[str]) -> None:
        for variable in sorted(asked - known):
            self._say(name, "unknown_variable", f"节点“{name}”用到了此处尚不一定存在的变量“{variable}”",
                      f"{name!r} uses {variable!r}, which need not be there")  # fmt: skip

    def _order(self, start: str, owner: str, meet: str) -> list[str] | None:
        """The chain's nodes, each after all that lead to it; None for a circle."""
        order: list[str] = []
        state: dict[str, int] = {}
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            name, left = stack.pop()
            if left:
                state[name] = 2
                order.append(name)
                continue
            if state.get(name):
                continue
            state[name] = 1
            if self._owner.setdefault(name, owner) != owner:
                self._shared(name, owner)
                return None
            stack.append((name, True))
            for edge, to in exits(self._nodes[name]):
                if edge in INSIDE or to in ("", meet):
                    continue
                if state.get(to) == 1:
                    self._say(name, "unbounded_loop", f"“{name}”回到“{to}”形成无上限的循环，请使用循环节点",
                              f"{name!r} leads back to {to!r}: a circle without a bound; use a loop")  # fmt: skip
                    return None
                stack.append((to, False))
        return order[::-1]

    def _shared(self, name: str, owner: str) -> None:
        if "/" in owner or "/" in self._owner[name]:
            self._say(name, "shared_branch", f"节点“{name}”不止在一条并行分支内；分支相会处请设为并行节点的“之后”",
                      f"{name!r} is in two branches; they meet at the parallel node's `next`")  # fmt: skip
        else:
            self._say(name, "shared_body", f"节点“{name}”同时在循环体内与循环体外",
                      f"{name!r} is both inside a loop and outside of it")  # fmt: skip
