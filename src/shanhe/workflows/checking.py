"""What is wrong with a definition before it runs: every reason, with the node it is at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.errors import ShanheError
from shanhe.sandbox.api import CODE_MAX_BYTES
from shanhe.workflows.errors import BadDefinition
from shanhe.workflows.language import names_in
from shanhe.workflows.model import (
    AGENTS,
    BASE_MAX_CHARS,
    BASES_MAX,
    BRANCHES_MAX,
    BUDGET_MAX_MICRO,
    DEFINITION_MAX_BYTES,
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
from shanhe.workflows.ways import Problem, Walk, conditions, exits, texts, written

TEMPERATURE_MAX: Final = 2


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
