"""What can go wrong with a run, said so that one can act on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound, ShanheError, TooMany

if TYPE_CHECKING:
    from shanhe.agents.model import Input


class UnknownAgent(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_agent",
            f"There is no agent {name[:80]!r} that you may call.",
            message_zh=f"没有名为“{name[:80]}”的智能体，或您无权调用。",
            hint="GET /api/store/listings?kind=agent lists them.",
            hint_zh="GET /api/store/listings?kind=agent 列出全部智能体。",
        )


class UnknownRun(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_run", "There is no such run of yours.", message_zh="没有该次运行，或不属于您。")


class BadRequest(Invalid):
    """What was sent to the agent can't be used."""

    default_status = 400

    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_agent_request", f"{en}.", message_zh=f"{zh}。")


class BadInputs(Invalid):
    """What an agent has to be told first is missing or can't be used: (name, zh, en) each."""

    default_status = 400

    def __init__(self, wrong: Sequence[tuple[str, str, str]], inputs: Sequence[Input]) -> None:
        labels = {one.name: one.label for one in inputs}
        told, told_zh = (f"{name}: {en}" for name, _, en in wrong), (f"{labels.get(n, n)}：{zh}" for n, zh, _ in wrong)
        super().__init__(
            "bad_inputs",
            f"The agent needs to be told other things first: {'; '.join(told)}.",
            message_zh=f"提问前需填写的内容有误：{'；'.join(told_zh)}。",
            hint="Send them as metadata.inputs; GET /api/agents/{name}/inputs lists them. Its page asks for them.",
            hint_zh="请以 metadata.inputs 提供，GET /api/agents/{name}/inputs 可查询；也可在智能体的对话页填写。",
            details={"inputs": [{"name": name, "zh": zh, "en": en} for name, zh, en in wrong]},
        )


class ToolsLeaveTheCity(Forbidden):
    def __init__(self, tool: str, data_class: str) -> None:
        super().__init__(
            "tools_leave_the_city",
            f"{tool} runs outside of the city, and {data_class} data may not leave it.",
            message_zh=f"工具 {tool} 在市外运行，{data_class} 类数据不得出域。",
            hint="Call the agent with a key for general data, or use an agent whose tools are local.",
            hint_zh="请改用通用数据类别的密钥，或使用工具在本地的智能体。",
        )


class OutOfTime(ShanheError):
    default_status = 504

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            "run_too_long",
            f"The run took longer than {limit_s:.0f} s and was ended; the steps it made are charged.",
            message_zh=f"运行超过 {limit_s:.0f} 秒，已终止；已完成的步骤照常计费。",
        )


class NoAnswer(ShanheError):
    default_status = 502

    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "agent_no_answer",
            f"The agent came to no answer: {why}. The steps it made are charged.",
            message_zh=f"智能体未能给出回答：{why_zh}。已完成的步骤照常计费。",
            hint="Ask in other words, or tell the agent's maker; the run's trace shows each step.",
            hint_zh="请换一种问法，或联系制作方；运行记录可查看每一步。",
        )


class TooManyRuns(TooMany):
    def __init__(self) -> None:
        super().__init__(
            "too_many_runs",
            "Too many agents run at once; try again shortly.",
            message_zh="同时运行的智能体过多，请稍后再试。",
            retry_after_s=2,
        )


class TooManyOfYours(TooMany):
    """Most often agents whose tools call agents in a circle."""

    def __init__(self, most: int) -> None:
        super().__init__(
            "too_many_own_runs",
            f"Your organisation already pays for {most} runs of agents at once.",
            message_zh=f"本机构同时付费运行的智能体已达 {most} 个。",
            hint="If a tool of yours calls an agent that calls your tool, end the circle; else try again shortly.",
            hint_zh="如您的工具调用了又会调用该工具的智能体，请断开循环；否则请稍后再试。",
            retry_after_s=2,
        )


class NoThumbHere(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "no_thumb_here",
            "Only an answer of an agent that is offered can be rated: not a draft's, a clone's, or one that failed.",
            message_zh="只能评价已上架智能体完成的回答；草稿、分身与失败的运行不能评价。",
        )


class NotShareable(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "not_shareable",
            "Question and answer of this run can't be shared: they may hold data of citizens or government.",
            message_zh="该次问答可能含公民或政务数据，不能分享给制作方。",
            hint="Give the thumb without sharing.",
            hint_zh="可以只评价，不分享。",
        )


class ThumbOfAnother(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "thumb_of_another",
            "A colleague has rated this answer; only they change or withdraw it.",
            message_zh="该回答已由同事评价，只能由其本人更改或撤回。",
        )
