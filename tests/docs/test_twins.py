"""The Chinese pages say what the English ones say, in the words of the glossary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md"))
TWINS = [
    *((DOCS / name, DOCS / "zh" / name) for name in PAGES),
    *((ROOT / f"{name}.md", ROOT / f"{name}.zh-CN.md") for name in ("README", "CONTRIBUTING", "SECURITY")),
]

ONLY_CHINESE = {"glossary.md"}
"""Pages of the Chinese documentation that need no twin."""
OTHERWISE = {"index.md", "README.md"}
"""Pages whose links lead a reader of Chinese elsewhere: their tables and lists differ by a line or two."""

FENCE = "```"
COMMENT = re.compile(r"\s+# .*$", re.MULTILINE)
QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"')
SENTENCE = re.compile(r'[\u4e00-\u9fff]|^"[A-Za-z]+ [A-Za-z0-9]')
WORD = re.compile(r"[\w-]+\.xlsx|[\u4e00-\u9fff]+|\b[A-Z]{2,}\b")
"""What a translator may put into their own language: names and sentences between quotes, placeholders, file names."""


def translated(quoted: re.Match[str]) -> str:
    return '"…"' if SENTENCE.search(quoted[0]) else quoted[0]


@dataclass
class Shape:
    """What both of two twins have to have."""

    headings: list[int]
    code: list[str]
    rows: list[int]

    @classmethod
    def of(cls, page: Path) -> Shape:
        found, inside, last = cls([], [], []), False, ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith(FENCE):
                inside = not inside
                if inside:
                    found.code.append(line)
            elif inside:
                found.code[-1] += f"\n{line}"
            elif line.startswith("#"):
                found.headings.append(len(line) - len(line.lstrip("#")))
            elif line.startswith("|"):
                if not last.startswith("|"):
                    found.rows.append(0)
                found.rows[-1] += 1
            last = line
        found.code = [WORD.sub("…", QUOTED.sub(translated, COMMENT.sub("", one))) for one in found.code]
        return found


def texts() -> list[Path]:
    """Whatever a reader of Chinese may come to see."""
    source = [path for kind in ("py", "yaml", "html", "js", "json", "md") for path in (ROOT / "src").rglob(f"*.{kind}")]
    return [*source, *(DOCS / "zh").glob("*.md"), *ROOT.glob("*.zh-CN.md")]


class TestTwin:
    def test_of_every_page_is_there(self) -> None:
        assert {page.name for page in (DOCS / "zh").glob("*.md")} - ONLY_CHINESE == set(PAGES)

    @pytest.mark.parametrize(("english", "chinese"), TWINS, ids=lambda page: page.name)
    def test_has_the_same_sections_commands_and_tables(self, english: Path, chinese: Path) -> None:
        ours, theirs = Shape.of(english), Shape.of(chinese)
        assert ours.headings == theirs.headings
        assert ours.code == theirs.code
        if english.name not in OTHERWISE:
            assert ours.rows == theirs.rows

    @pytest.mark.parametrize("page", sorted((DOCS / "zh").glob("*.md")), ids=lambda page: page.name)
    def test_links_to_the_chinese_pages(self, page: Path) -> None:
        """The other language is a link that says so."""
        text = page.read_text(encoding="utf-8").replace("[英文]", "")
        text = re.sub(r"\(\.\./[\w-]+\.md\)", "", text) if page.name == "knowledge.md" else text
        assert re.findall(r"\]\((\.\./[\w-]+\.md)[)#]", text) == []


class TestGlossary:
    def test_words_are_the_only_ones_for_what_they_mean(self) -> None:
        glossary = DOCS / "zh" / "glossary.md"
        rows = [line.split("|") for line in glossary.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        others = [word for row in rows for word in row[4].strip().split("、") if word not in ("", "不用")]
        assert len(others) >= 10
        pattern = re.compile("|".join(others))
        found = {
            f"{path.relative_to(ROOT)}: {pattern.findall(path.read_text(encoding='utf-8'))}"
            for path in texts()
            if path != glossary and pattern.search(path.read_text(encoding="utf-8"))
        }
        assert found == set()
