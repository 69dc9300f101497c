"""What postings say, in the reader's language: found again from what is sealed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import shanhe
from shanhe.kernel.memos import CHINESE, MEMOS, METHODS, WORDS, said

FIELD = re.compile(r"\{[^}]*\}")
SOURCE = Path(shanhe.__file__).parent


def written() -> Iterator[tuple[str, str]]:
    """(file, shape) of every text that the program makes a memo of; what is put in is {}."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "memo":
                found: ast.expr = node.value
            elif isinstance(node, ast.Assign) and [getattr(one, "id", "") for one in node.targets] == ["memo"]:
                found = node.value
            else:
                continue
            if isinstance(found, ast.Constant) and isinstance(found.value, str):
                yield file.name, found.value
            elif isinstance(found, ast.JoinedStr):
                yield (
                    file.name,
                    "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in found.values),
                )


class TestMemo:
    def test_of_the_program_is_known_in_both_languages(self) -> None:
        known = {FIELD.sub("{}", shape) for shape in MEMOS}
        unknown = [
            (file, shape)
            for file, shape in written()
            if shape not in known and re.search(r"[A-Za-z]", FIELD.sub("", shape)) and not CHINESE.search(shape)
        ]
        assert unknown == [], "write in shanhe/kernel/memos.py what they say in Chinese"
        assert len(list(written())) > 15

    def test_in_chinese_has_the_same_fields(self) -> None:
        for shape, texts in MEMOS.items():
            for text in filter(None, texts):
                assert set(FIELD.findall(text)) <= set(FIELD.findall(shape)), shape
            assert CHINESE.search(texts[0]), shape

    @pytest.mark.parametrize("language", ["zh-CN", "en"])
    def test_of_every_shape_is_told_in_one_language(self, language: str) -> None:
        for shape in MEMOS:
            memo = FIELD.sub(lambda at: next(iter(WORDS.get(at[0][1:-1], {"N1": ""}))), shape)
            if "{method}" in shape or "{channel}" in shape:
                memo = FIELD.sub(lambda at: next(iter(METHODS)) if at[0] in ("{method}", "{channel}") else "N1", shape)
            assert bool(CHINESE.search(said(memo, language))) is language.startswith("zh"), memo

    @pytest.mark.parametrize(
        ("memo", "zh", "en"),
        [
            ("Award A1, tranche 2 cancelled", "奖励 A1，第 2 期撤销", "Award A1, tranche 2 cancelled"),
            ("applied: bank over, statement 1f row 4", "用于订单：银行多付款项，对账单 1f 第 4 行",
             "applied: bank money paid too much, statement 1f row 4"),
            ("Operator top-up, paid by cash desk 现金柜台, booked by hand: 见 3, 4: 号",
             "人工入账充值，现金柜台：见 3, 4: 号", "Operator top-up, paid by cash desk, booked by hand: 见 3, 4: 号"),
            ("Points into credits · 贡献积分转换", "贡献积分转换", "Points into credits"),
            ("付款人来电: a, b c, d e", "付款人来电: a, b c, d e", "付款人来电: a, b c, d e"),
            ("{award}", "{award}", "{award}"), ("", "", ""),
        ],
    )  # fmt: skip
    def test_says_what_was_written(self, memo: str, zh: str, en: str) -> None:
        assert (said(memo, "zh-CN"), said(memo, "en")) == (zh, en)
