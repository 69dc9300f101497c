"""Every text is in the catalogue, in both languages, and nowhere else; vendored files are what the manifest says."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml

from shanhe.console import model
from shanhe.console.render import words
from shanhe.filings import views as filings
from shanhe.gateway.model import Evidence
from shanhe.governance import dilution_views, simulation_views
from shanhe.identity import acts_sheet
from shanhe.kernel.i18n import Catalogue, CatalogueError
from shanhe.kernel.words import ENTRIES, POSTINGS_ZH
from shanhe.programmes import sheet as applications
from shanhe.programmes.model import ScheduleKind

ROOT = Path(str(files("shanhe.console")))
SOURCES = sorted(Path(str(files("shanhe"))).rglob("*.py"))
ACT = re.compile(r'"((?:key|member|org|passkey|payout|person|registration|role|department)\.[a-z_]+)"')
NO_ACTS = {"key.json", "key.leaked", "key.name", "org.html", "passkey.name", "payout.account", "payout.holder",
           "payout.reason"}  # fmt: skip
"""Files, an event, columns, and fields that are sealed."""
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
POSTED = re.compile(r'_post\(\s*\w+,\s*"([a-z_]+)"|\bPosting\((?:[^()]|\([^()]*\))*?kind="([a-z_]+)"')
"""A kind of posting where it is made."""
HANDED_IN = re.compile(
    r'\.(?:record|_record|_entry|_log|entry)\(\s*(?:conn|connection),\s*(?:f?"([a-z_.]+)[^"]*"|([A-Z][A-Z_]+))'
    r'(?: if \w+ else "([a-z_.]+)")?'
)
"""An entry of the log where it is handed in: by its kind, the kind's beginning, or the constant that says it."""
MIGRATIONS = sorted(Path(str(files("shanhe"))).glob("*/migrations/*.sql"))
WATCHED = re.compile(r"kernel\.watch\('([a-z_.]+)'")
CHINESE = re.compile(r"[\u3400-\u9fff]")
KEY = re.compile(r"(?<![\w.])t\(\s*'([\w.\-]+)'")
BEGUN = re.compile(r"""['"`](\w+(?:\.\w*)*[._])(?:%s|\{|\$\{|['"])""")
"""A key whose end is known when it is shown."""
FAMILY = re.compile(r"""(?:(?:word|state|pick|called)(?:\(|:)\s*['"]?|"\w+": ")(\w+)""")
"""Words of a kind, whichever of them."""
CALLS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
WORDS = re.compile(r"[A-Za-z]{3,}")
ALLOWED = {"html"}
SHOWN_ATTRIBUTES = {"aria-label", "title", "placeholder", "alt"}
EXAMPLES = {"UPSTREAM_KEY", "https://host/v1", "qwen-large=Qwen3-235B-A22B"}


class Bare(HTMLParser):
    """Collects text and readable attributes that did not come from the catalogue."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("pre", "code", "script"):
            self._code += 1
        readable = [value or "" for name, value in attrs if name in SHOWN_ATTRIBUTES]
        self.found += [value for value in readable if value not in EXAMPLES and WORDS.search(value)]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("pre", "code", "script"):
            self._code -= 1

    def handle_data(self, data: str) -> None:
        if not self._code and WORDS.search(data):
            self.found.append(data.strip())


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(files("shanhe.console") / "i18n")


class TestCatalogue:
    def test_calls_choices_what_their_rules_call_them(self) -> None:
        assert words().get("choice.local_data_company", "en", "") == "Local data company"
        assert words().get("choice.local_data_company", "zh-CN", "") == "本地数据企业"

    def test_names_every_thing_whose_changes_the_audit_records(self, catalogue: Catalogue) -> None:
        things = {
            thing.replace(".", "_")
            for path in Path(str(files("shanhe"))).glob("*/migrations/*.sql")
            for thing in re.findall(r"kernel\.watch\(\s*'([\w.]+)'", path.read_text(encoding="utf-8"))
        }
        assert len(things) > 90
        assert things == {name.partition(".")[2] for name in catalogue.entries if name.startswith("audit_thing.")}

    def test_names_every_act_that_the_audit_records(self, catalogue: Catalogue) -> None:
        acts = {act for path in SOURCES for act in ACT.findall(path.read_text(encoding="utf-8"))} - NO_ACTS
        assert len(acts) > 30
        assert {act for act in acts if f"audit_action.{act.replace('.', '_')}" not in catalogue.entries} == set()

    def test_calls_postings_what_statements_call_them(self, catalogue: Catalogue) -> None:
        family = "posting_kind."
        kinds = {key.removeprefix(family): one.zh for key, one in catalogue.entries.items() if key.startswith(family)}
        assert kinds == POSTINGS_ZH

    def test_calls_every_kind_of_posting_something(self) -> None:
        texts = [path.read_text(encoding="utf-8") for path in SOURCES]
        kinds = {kind for text in texts for found in POSTED.findall(text) for kind in found if kind}
        assert len(kinds) > 15
        assert kinds - POSTINGS_ZH.keys() == {"bench"}

    def test_calls_every_kind_of_entry_of_the_log_something(self) -> None:
        kinds = set()
        for path in SOURCES:
            text = path.read_text(encoding="utf-8")
            for begun, constant, other in HANDED_IN.findall(text):
                said = re.search(rf'^{constant}\b.*= "(.+)"$', text, re.MULTILINE) if constant else None
                kinds |= {said[1] if said else begun, other} - {""}
        assert len(kinds) > 25
        assert {kind for kind in kinds if not any(known.startswith(kind) for known in ENTRIES)} == set()
        assert {known for known in ENTRIES if not any(known.startswith(kind) for kind in kinds)} == {
            "recovered", "totals",
        }  # fmt: skip

    def test_names_all_that_a_call_was_booked_by(self, catalogue: Catalogue) -> None:
        def names(kind: Any) -> set[str]:
            found = {one.encode_name for one in getattr(kind, "fields", ())}
            inner = [one.type for one in getattr(kind, "fields", ())]
            inner += [*getattr(kind, "item_types", ()), *getattr(kind, "types", ())]
            inner += [one for part in ("item_type", "value_type") if (one := getattr(kind, part, None))]
            return found.union(*map(names, inner))

        said = names(msgspec.inspect.type_info(Evidence))
        assert {"cache_write", "resource", "makers"} <= said
        assert {name for name in said if f"evidence.{name}" not in catalogue.entries} == set()
        assert catalogue.entries["evidence.version"] != catalogue.entries["evidence.v"]  # a price list has an id

    def test_names_every_way_to_be_paid(self, catalogue: Catalogue) -> None:
        assert {kind for kind in get_args(ScheduleKind) if f"schedule.{kind}" not in catalogue.entries} == set()

    def test_has_every_text_in_both_languages(self, catalogue: Catalogue) -> None:
        for key, entry in catalogue.entries.items():
            assert entry.zh, key
            assert entry.en, key
            if not key.startswith(("language.", "site.other_language")):
                assert not CHINESE.search(entry.en), key

    def test_has_every_key_that_templates_ask_for(self, catalogue: Catalogue) -> None:
        asked = {key for path in TEMPLATES for key in KEY.findall(path.read_text(encoding="utf-8"))}
        assert len(asked) > 300
        assert {key for key in asked if not key.endswith(("_", "."))} - set(catalogue.entries) == set()

    def test_has_no_text_that_nothing_shows(self, catalogue: Catalogue) -> None:
        places = [*TEMPLATES, *ROOT.rglob("*.py"), *ROOT.glob("static/*.js")]
        asked = "\n".join(path.read_text(encoding="utf-8") for path in places)
        begun, families = tuple(BEGUN.findall(asked)), set(FAMILY.findall(asked))
        assert len(begun) > 30
        assert [
            key for key in catalogue.entries
            if key not in asked and not key.startswith(begun) and key.partition(".")[0] not in families
        ] == []  # fmt: skip

    def test_keeps_the_space_that_an_english_text_ends_with(self, catalogue: Catalogue) -> None:
        assert [catalogue.text("check.colon", language) for language in ("zh", "en")] == ["：", ": "]

    def test_refuses_a_text_in_one_language(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("a:\n  b: 只有中文\n", encoding="utf-8")
        with pytest.raises(CatalogueError, match=r"a\.b"):
            Catalogue.load(tmp_path)

    def test_refuses_values_that_differ(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("a: '{n} 条 | {m} rows'\n", encoding="utf-8")
        with pytest.raises(CatalogueError, match="other values"):
            Catalogue.load(tmp_path)


class TestTemplate:
    """All in one test each: a hundred and seventy files are read in the time in which pytest reports on ten."""

    def test_holds_no_bare_text(self) -> None:
        for path in TEMPLATES:
            text = path.read_text(encoding="utf-8")
            assert not CHINESE.search(re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)), path.name
            parser = Bare()
            parser.feed(CALLS.sub("", text))
            assert [found for found in parser.found if found not in ALLOWED] == [], path.name

    def test_posts_only_with_a_token(self) -> None:
        forms = [
            (path.name, form)
            for path in TEMPLATES
            for form in re.findall(r'<form[^>]*method="post".*?</form>', path.read_text(encoding="utf-8"), re.DOTALL)
        ]
        assert len(forms) > 100
        assert [(name, form) for name, form in forms if "csrf" not in form] == []


class TestVendored:
    def test_files_are_what_the_manifest_says(self) -> None:
        folder = ROOT / "static" / "vendor"
        assets = json.loads((folder / "manifest.json").read_text())["assets"]
        named = {"manifest.json"}
        for asset in assets:
            content = (folder / asset["file"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == asset["sha256"], asset["file"]
            assert len(content) == asset["bytes"]
            assert asset["version"]
            assert asset["licence"]
            named |= {asset["file"], asset["licence_file"]}
        assert {path.name for path in folder.iterdir()} == named


class TestFile:
    def test_has_each_of_its_keys_once(self) -> None:
        """Of two the last one would be shown, also where the writer of the first one thinks it is."""
        twice: list[str] = []
        for file in sorted((ROOT / "i18n").glob("*.yaml")):
            node = yaml.compose(file.read_text("utf-8"))
            waiting = [node] if node is not None else []
            while waiting:
                one = waiting.pop()
                if isinstance(one, yaml.MappingNode):
                    keys = [key.value for key, _ in one.value]
                    twice += [f"{file.name} {key}" for key in set(keys) if keys.count(key) > 1]
                    waiting += [value for _, value in one.value]
        assert twice == []


class TestSheet:
    def test_has_a_head_for_every_column_of_the_tables_that_are_handed_out(self, catalogue: Catalogue) -> None:
        buckets = [f"{bucket}_tokens" for bucket in model.BUCKETS]
        usage = ["day", "model", "key", "calls", *buckets, "tokens", "credits", "micro_credits"]
        columns = {*usage, *filings.COLUMNS, *dilution_views.COLUMNS, *simulation_views.COLUMNS}
        columns |= {*acts_sheet.HEAD, *applications.HEAD}
        assert {column for column in columns if f"sheet.{column}" not in catalogue.entries} == set()


class TestAct:
    def test_upon_any_table_that_is_watched_has_a_name(self, catalogue: Catalogue) -> None:
        watched = {table for one in MIGRATIONS for table in WATCHED.findall(one.read_text("utf-8"))}
        assert "compute.alias" in watched
        named = {table for table in watched if f"audit_thing.{table.replace('.', '_')}" in catalogue.entries}
        assert watched - named == set()
