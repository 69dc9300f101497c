"""What a maker writes of an agent, a clone or an alliance: whether it is in order, and as whom a clone answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from shanhe.agents.errors import BadRequest
from shanhe.agents.inputs import input_problems
from shanhe.agents.model import (
    BUDGET_MAX_MICRO,
    CLONE,
    INSTRUCTIONS_MAX_CHARS,
    KNOWLEDGE_MAX,
    KNOWLEDGE_NAME_MAX_CHARS,
    MEMBERS_MAX,
    OPENING_MAX_CHARS,
    QUESTION_MAX_CHARS,
    QUESTIONS_MAX,
    SCHEMA_MAX_BYTES,
    STEP_TOKENS_MAX,
    STEPS_MAX,
    TOOL_NAME,
    TOOLS_MAX,
    TOPIC_MAX_CHARS,
    TOPICS_MAX,
    Definition,
    Depicted,
    Published,
)
from shanhe.gateway.api import PRIVATE

PERSONA: Final = (
    "你是“{}”的数字分身，由人工智能扮演，不是本人；被问到时要说明这一点，不代表本人承诺或签署任何事项。"
    "You are the digital clone of this person, played by AI: say so when asked, and promise nothing in their name."
)


def as_clone(agent: Published, whose: Depicted) -> Published:
    """A clone as it is run: its adapter answers, and it knows what it is."""
    likeness, definition = agent.definition.clone, agent.definition
    assert likeness is not None
    model = PRIVATE + agent.name.partition("/")[2] if likeness.adapter else definition.model
    told = f"{PERSONA.format(whose.called)}\n\n{definition.instructions}"
    return replace(agent, definition=msgspec.structs.replace(definition, model=model, instructions=told))


def definition_of(content: Mapping[str, Any], kind: str = "agent") -> Definition:
    """A definition of an agent, a clone or an alliance, out of what a maker wrote; BadRequest names what is wrong."""
    try:
        found = msgspec.convert(dict(content), Definition)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The definition is not in order: {error}", f"定义有误：{error}") from error
    told, schema_bytes = len(found.instructions), len(msgspec.json.encode(found.answer_schema))
    problems = [
        (not 1 <= told <= INSTRUCTIONS_MAX_CHARS, f"instructions: 1 to {INSTRUCTIONS_MAX_CHARS} characters"),
        (not 1 <= found.steps_max <= STEPS_MAX, f"steps_max: 1 to {STEPS_MAX}"),
        (not 1 <= found.step_tokens <= STEP_TOKENS_MAX, f"step_tokens: 1 to {STEP_TOKENS_MAX}"),
        (not 1 <= found.budget_micro <= BUDGET_MAX_MICRO, f"budget_micro: 1 to {BUDGET_MAX_MICRO}"),
        (len(found.tools) > TOOLS_MAX, f"tools: at most {TOOLS_MAX}"),
        (len(set(found.tools)) < len(found.tools), "tools: each once"),
        (any(not TOOL_NAME.fullmatch(tool) for tool in found.tools), "tools: server/tool each"),
        (found.temperature is not None and not 0 <= found.temperature <= 2, "temperature: 0 to 2"),
        (schema_bytes > SCHEMA_MAX_BYTES, f"answer_schema: at most {SCHEMA_MAX_BYTES} bytes"),
        (len(found.knowledge) > KNOWLEDGE_MAX, f"knowledge: at most {KNOWLEDGE_MAX}"),
        (len(set(found.knowledge)) < len(found.knowledge), "knowledge: each once"),
        (any(not 1 <= len(name) <= KNOWLEDGE_NAME_MAX_CHARS for name in found.knowledge), "knowledge: names of bases"),
        (len(found.opening) > OPENING_MAX_CHARS, f"opening: at most {OPENING_MAX_CHARS} characters"),
        (len(found.questions) > QUESTIONS_MAX, f"questions: at most {QUESTIONS_MAX}"),
        (any(not 1 <= len(one) <= QUESTION_MAX_CHARS for one in found.questions),
         f"questions: 1 to {QUESTION_MAX_CHARS} characters each"),
        (bool(found.tools) and found.steps_max < 2, "steps_max: at least 2 with tools"),
        (found.model.startswith(PRIVATE), f"model: not one that begins with {PRIVATE}"),
        *input_problems(found),
        *_kind_problems(found, kind),
    ]  # fmt: skip
    for wrong, what in problems:
        if wrong:
            raise BadRequest(f"The definition is not in order: {what}", f"定义有误：{what}")
    return found


def _kind_problems(found: Definition, kind: str) -> list[tuple[bool, str]]:
    """What a clone or an alliance has to have, and what it can't have."""
    problems = [
        ((found.clone is not None) != (kind == "clone"), "clone: what a clone has, and nothing else"),
        ((found.alliance is not None) != (kind == "alliance"), "alliance: what an alliance has, and nothing else"),
        (kind != "agent" and bool(found.tools), "tools: none for a clone or an alliance"),
        (kind != "agent" and bool(found.inputs), "inputs: none for a clone or an alliance"),
        (kind != "agent" and found.answer_schema is not None, "answer_schema: none, a mark is added to the answer"),
    ]
    if found.clone is not None:
        one = found.clone
        problems += [
            (len(one.topics) > TOPICS_MAX, f"clone.topics: at most {TOPICS_MAX}"),
            (any(not 1 <= len(topic) <= TOPIC_MAX_CHARS for topic in one.topics),
             f"clone.topics: 1 to {TOPIC_MAX_CHARS} characters each"),
            (one.adapter < 0, "clone.adapter: the number of a model, 0 for none"),
            (max(len(one.voice), len(one.voice_name)) > KNOWLEDGE_NAME_MAX_CHARS, "clone.voice: names of a model"),
        ]  # fmt: skip
    if found.alliance is not None:
        members = found.alliance.members
        problems += [
            (not 2 <= len(members) <= MEMBERS_MAX, f"alliance.members: 2 to {MEMBERS_MAX} clones"),
            (len(set(members)) < len(members), "alliance.members: each once"),
            (any(not CLONE.fullmatch(one) for one in members), "alliance.members: clone/name each"),
            (not 1 <= found.alliance.answers_max <= MEMBERS_MAX, f"alliance.answers_max: 1 to {MEMBERS_MAX}"),
            (bool(found.knowledge), "knowledge: an alliance has its clones'"),
        ]  # fmt: skip
    return problems
