"""Words for what comes from data: choices inside sentences and values, articles of the law, facts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.console import double

from shanhe.console.render import View


@pytest.fixture(scope="module")
def view() -> View:
    return View(double.desk())


def shown(view: View, lang: str, source: str, value: Any) -> str:
    """A value through a template, as a reader of `lang` sees it."""
    template = view._jinja.from_string(source)
    return template.render(lang=lang, value=value, both=lambda text: text)


class TestFilter:
    @pytest.mark.parametrize(
        ("lang", "source", "value", "text"),
        [
            ("zh-CN", "{{ value|plain }}", "若所载为 software_copyright：符合", "若所载为 软件著作权：符合"),
            ("zh-CN", "{{ value|plain }}", "no_such_word stays", "no_such_word stays"),
            ("zh-CN", "{{ value|choices }}", "software_copyright: 5, none: 1,000", "软件著作权 5、无 1,000"),
            ("en", "{{ value|choices }}", "software_copyright: 500", "Software copyright 500"),
            ("zh-CN", "{{ value|choices }}", "traffic: ¥ 20.00; training: ¥ 5,000.00", "流量 ¥ 20.00、培训 ¥ 5,000.00"),
            ("zh-CN", "{{ value|law }}", "PIPL 13(3)", "《个人信息保护法》第 13 条第（3）项"),
            ("zh-CN", "{{ value|law }}", "PIPL 13(1), 29", "《个人信息保护法》第 13 条第（1）项、第 29 条"),
            ("en", "{{ value|law }}", "PIPL 13(3)", "PIPL 13(3)"),
            ("zh-CN", "{{ value|said }}", True, "是"),
            ("zh-CN", "{{ value|said }}", 1200, "1,200"),
            ("zh-CN", "{{ value|said }}", ["software_copyright", "杭州"], "软件著作权、杭州"),
        ],
    )  # fmt: skip
    def test_says_it_in_the_readers_language(self, view: View, lang: str, source: str, value: Any, text: str) -> None:
        assert shown(view, lang, source, value) == text
