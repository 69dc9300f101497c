"""The bench report says what the measurements say."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from shanhe.bench import sections
from shanhe.bench.load import BODY, write_script
from shanhe.bench.model import Endpoint, Measurement, Memory, Report
from shanhe.bench.report import markdown

DOCS = Path(__file__).parents[2] / "docs"


def seen(contender: str, connections: int, requests: int, p50_us: int, errors: int = 0) -> Measurement:
    return Measurement(contender, connections, requests, 1_000_000, p50_us, p50_us * 3, errors)


@pytest.fixture
def report() -> Report:
    rows = [
        seen("direct", 1, 9_000, 100), seen("direct", 16, 30_000, 500),
        seen("nginx", 16, 20_000, 800), seen("nginx", 64, 20_000, 3_000),
        seen("shanhe", 1, 900, 1_000), seen("shanhe", 1, 700, 1_400), seen("shanhe", 1, 800, 1_200),
        seen("shanhe", 16, 4_000, 4_000), seen("shanhe", 16, 6_000, 3_000), seen("shanhe", 16, 5_000, 3_500, errors=2),
        seen("shanhe", 64, 5_000, 12_000),
    ]  # fmt: skip
    memory = Memory(200_000, 100_000, 104_000, 105_000, ((20_000, 100_000), (220_000, 104_000)))
    machine = {"cpus": "2", "model": "a CPU", "system": "Linux"}
    includes = dict.fromkeys(("direct", "nginx", "shanhe"), "something")
    options = {"rounds": 3, "seconds": 4, "upstream": "python"}
    return Report("2026-11-23", machine, options, includes, {}, rows, memory)


class TestReport:
    def test_shows_medians_and_not_means(self, report: Report) -> None:
        assert report.rps("shanhe", 16) == 5_000
        assert report.p50_us("shanhe", 1) == 1_200

    def test_compares_only_what_was_measured(self, report: Report) -> None:
        assert report.ratio("shanhe", "nginx", 16) == 0.25
        assert report.ratio("shanhe", "litellm", 16) is None

    def test_adds_latency_to_the_direct_upstream(self, report: Report) -> None:
        assert report.added_p50_us("shanhe") == 1_100
        assert report.added_p50_us("nginx") is None

    def test_counts_every_failed_call(self, report: Report) -> None:
        assert report.errors("shanhe") == 2

    def test_says_yes_and_no_where_they_belong(self, report: Report) -> None:
        page = markdown(report)
        assert "| throughput ÷ nginx, 16 connections | ≥ 0.25 | 0.25 | yes |" in page
        assert "| throughput ÷ nginx, 64 connections | ≥ 0.3 | 0.25 | no |" in page
        assert "| its growth over 200,000 calls | < 3% | +4.00% | no |" in page
        assert "LiteLLM" not in page.split("## How")[0]


class TestPage:
    @pytest.mark.parametrize(("zh", "name"), [(False, "bench.md"), (True, "zh/bench.md")])
    def test_says_in_both_languages_what_the_figures_beside_it_say(self, zh: bool, name: str) -> None:
        found = msgspec.json.decode((DOCS / "bench.json").read_bytes(), type=Report)
        page = DOCS / name
        assert page.read_text(encoding="utf-8") == markdown(found, zh=zh) + sections.kept(page)

    def test_has_the_same_sections_in_both_languages(self) -> None:
        marks = [re.findall(r"<!-- .* -->", page.read_text(encoding="utf-8")) for _, page in sections.pages(DOCS)]
        assert marks[0] == marks[1]
        assert len(marks[0]) == 4


class TestScript:
    def test_gives_every_contender_the_same_body(self, tmp_path: Path) -> None:
        plain = write_script(tmp_path, "a", Endpoint("http://x")).read_text()
        keyed = write_script(tmp_path, "b", Endpoint("http://x", {"Authorization": 'Bearer "k"'})).read_text()
        assert BODY in plain
        assert BODY in keyed
        assert 'wrk.headers["Authorization"] = "Bearer \\"k\\""' in keyed
