"""What can go wrong with evaluation sets."""

from __future__ import annotations

from shanhe.kernel.errors import Invalid, NotFound


class BadCases(Invalid):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_evaluation_set", f"{en}.", message_zh=f"{zh}。")


class NoReport(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "no_evaluation", "This draft was not measured against its set yet.", message_zh="该草稿尚未评测。",
            hint="POST /api/evaluations/{kind}/{slug}/run runs the set.",
            hint_zh="请先运行评测：POST /api/evaluations/{kind}/{slug}/run。",
        )  # fmt: skip
