"""Rows are cleaned as asked, and the report says what was done to which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.datasets.cleaning import clean, language, report
from shanhe.datasets.likeness import alike, duplicates, shingles
from shanhe.datasets.model import Cleaning
from shanhe.datasets.pairs import ASKED, UNSEEN, evaluation, split, training

LONG = "焊接前应当清除坡口两侧二十毫米范围内的油污、铁锈和水分，并按工艺卡预热到规定温度之后方可施焊。"

ROWS = [
    {"question": f"第{n}道工序几度", "wrong": "不预热", "right": f"预热到{n}0度", "reason": "防裂"} for n in range(1, 4)
]


def pair(question: str, answer: str = "按工艺卡执行。") -> dict[str, str]:
    return {"question": question, "answer": answer}


class TestCleaning:
    def test_drops_near_duplicates_and_keeps_the_first(self) -> None:
        rows = [pair(LONG), pair("如何存放焊条"), pair(LONG.replace("方可施焊", "才可施焊")), pair(LONG)]
        kept, done = clean(rows, Cleaning())
        assert kept == rows[:2]
        assert done["steps"]["duplicate"] == {"dropped": 2, "rows": [3, 4]}

    def test_masks_drops_or_keeps_personal_data(self) -> None:
        rows = [pair("请联系 13800138000 的李工"), pair("如何存放焊条")]
        masked, done = clean(rows, Cleaning("mask"))
        assert masked[0]["question"] == "请联系 〔电话〕 的李工"
        assert done["masked"] == {"phone": 1}
        assert clean(rows, Cleaning("drop"))[0] == rows[1:]
        assert clean(rows, Cleaning("keep"))[0] == rows

    def test_keeps_the_languages_and_lengths_asked_for(self) -> None:
        rows = [pair("How do I weld?", "With care."), pair("怎样焊接"), pair("", "a")]
        kept, done = clean(rows, Cleaning(languages=("zh",)))
        assert kept == rows[1:2]
        assert (done["steps"]["length"]["rows"], done["steps"]["language"]["rows"]) == ([3], [1])

    @given(st.lists(st.builds(pair, st.text(max_size=40), st.text(max_size=40)), max_size=12))
    def test_accounts_for_every_row(self, rows: list[dict[str, str]]) -> None:
        kept, done = clean(rows, Cleaning())
        assert len(rows) == len(kept) + sum(step["dropped"] for step in done["steps"].values())
        assert clean(kept, Cleaning())[1]["steps"]["duplicate"]["dropped"] == 0


class TestReport:
    def test_says_what_is_in_the_rows(self) -> None:
        found = report([pair("李工 13800138000"), pair(LONG), pair(LONG), pair("Weld it", "Yes")])
        assert (found["rows"], found["personal_count"], found["duplicates"]) == (4, 1, {"rows": 1, "pairs": [[3, 2]]})
        assert found["personal"] == {"phone": {"found": 1, "rows": [1]}}
        assert found["languages"] == {"zh": 3, "en": 1}

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("你好", "zh"),
            ("hello", "en"),
            ("用 Python 写", "zh"),
            ("こんにちは世界", "ja"),
            ("안녕하세요", "ko"),
            ("123", "other"),
        ],
    )
    def test_knows_languages_by_their_script(self, text: str, expected: str) -> None:
        assert language(text) == expected


class TestLikeness:
    @given(st.lists(st.text(min_size=1, max_size=60), max_size=12))
    def test_never_takes_for_alike_what_is_not(self, texts: list[str]) -> None:
        for later, first in duplicates(texts, 0.85).items():
            assert first < later
            assert alike(shingles(texts[later]), shingles(texts[first])) >= 0.85

    def test_finds_most_of_what_is_alike(self) -> None:
        texts = [f"{number}号工位：{LONG}{number * 7919}" for number in range(100)]
        near = [text + "。注意安全" for text in texts]
        assert len(duplicates([*texts, *near], 0.80)) >= 95


class TestErrorBook:
    def test_teaches_every_item_in_several_words_and_says_why(self) -> None:
        lessons = training("errors", ROWS)
        assert len(lessons) == 3 * (len(ASKED) + 1)
        judged = [one for one in lessons if one.answer.startswith("不对")]
        assert judged[0].answer.endswith("防裂。")
        assert "不预热" in judged[0].question

    def test_asks_in_words_that_were_not_taught(self) -> None:
        learnt = {one.question for one in training("errors", ROWS)}
        asked = evaluation("errors", ROWS)
        assert len(asked) == 3 * len(UNSEEN)
        assert not learnt & {one.question for one in asked}

    def test_holds_out_rows_of_other_forms(self) -> None:
        rows = [pair(str(number)) for number in range(20)]
        learnt, held = split("pairs", rows, 1_000)
        assert (len(learnt), len(held)) == (18, 2)
        assert sorted(row["question"] for row in learnt + held) == sorted(row["question"] for row in rows)
