"""What can go wrong with starters, said so that one can act on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shanhe.kernel.errors import Conflict, Invalid, NotFound

DATA_ZH: Final = {"general": "通用数据", "citizen": "公民数据", "government": "政务数据"}


class UnknownStarter(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_starter", f"There is no starter {name[:80]!r}.", message_zh=f"没有模板“{name[:80]}”。",
            hint="GET /api/starters lists them.", hint_zh="GET /api/starters 列出全部模板。",
        )  # fmt: skip


class NoModelHere(Conflict):
    """The city has nothing that could answer."""

    def __init__(self, data_class: str) -> None:
        super().__init__(
            "no_model_here",
            f"This starter needs a chat model for {data_class} data, and the city has none.",
            message_zh=f"该模板需要可处理{DATA_ZH.get(data_class, data_class)}的对话模型，本市目前没有。",
            hint="Ask the city's operators to connect an engine; nothing was copied.",
            hint_zh="请联系城市运营方接入引擎；未复制任何内容。",
        )


class NotAModelForIt(Invalid):
    def __init__(self, model: str, models: Sequence[str]) -> None:
        known = ", ".join(models)
        super().__init__(
            "not_a_model_for_it",
            f"{model[:80]!r} is no chat model that this starter may use here.",
            message_zh=f"该模板不能使用“{model[:80]}”：不是可用的对话模型。",
            hint=f"One of: {known}.", hint_zh=f"可用：{known}。",
        )  # fmt: skip


class NotYourBase(Invalid):
    def __init__(self, names: Sequence[str]) -> None:
        said = ", ".join(name[:80] for name in names)
        super().__init__(
            "not_your_base",
            f"No knowledge base that you may use for this: {said}.",
            message_zh=f"没有可供其使用的知识库：{said}。",
            hint="GET /api/knowledge lists them; leave it out to choose later.",
            hint_zh="GET /api/knowledge 列出全部知识库；也可不填，复制后再选。",
        )
