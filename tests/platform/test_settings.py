"""Settings: read in one place, documented, and careful with what they hold."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from shanhe.kernel.errors import Invalid
from shanhe.settings import Settings, page

ROOT = Path(__file__).parents[2]
READS = {"environ", "getenv", "environb"}


def reads_environment(path: Path) -> bool:
    """Whether a file looks something up there; handing the whole of it to a child process does not count."""
    text = path.read_text(encoding="utf-8")
    if not any(word in text for word in READS):
        return False
    tree = ast.parse(text)
    handed_on = {id(value) for node in ast.walk(tree) if isinstance(node, ast.Dict)
                 for key, value in zip(node.keys, node.values, strict=True) if key is None}  # fmt: skip
    handed_on |= {id(value) for node in ast.walk(tree) if isinstance(node, ast.Call) for value in node.args}
    return any(
        isinstance(node, ast.Attribute) and node.attr in READS and id(node) not in handed_on for node in ast.walk(tree)
    )


class TestSettings:
    @pytest.mark.parametrize(("language", "file"), [("en", "docs/settings.md"), ("zh", "docs/zh/settings.md")])
    def test_are_documented_in_both_languages(self, language: str, file: str) -> None:
        assert (ROOT / file).read_text(encoding="utf-8") == page(language), "run `python -m shanhe.settings`"

    def test_are_the_only_reader_of_the_environment(self) -> None:
        offenders = [str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.py") if reads_environment(path)]
        assert set(offenders) == {"src/shanhe/settings.py"}

    def test_survive_the_way_to_a_child_process(self) -> None:
        settings = Settings(port=9000, with_model=False, database_url="postgresql://x", data=Path("/tmp/a"))
        assert Settings.from_environment(settings.to_environment()) == settings

    def test_chosen_anew_win_over_the_environment_in_a_child(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHANHE_WORKERS", "2")
        monkeypatch.setenv("STAGE_ENGINE_KEY", "an engine's")
        environment = Settings(workers=1).child_environment()
        assert Settings.from_environment(environment).workers == 1
        assert environment["STAGE_ENGINE_KEY"] == "an engine's"

    def test_name_the_variable_that_cannot_be_read(self) -> None:
        with pytest.raises(Invalid, match="PORT='many'"):
            Settings.from_environment({"PORT": "many"})

    @pytest.mark.parametrize(
        ("variable", "value"), [("PORT", "99999"), ("SHANHE_WORKERS", "0"), ("SHANHE_DB_POOL", "-1")]
    )
    def test_refuse_numbers_with_which_no_city_starts(self, variable: str, value: str) -> None:
        with pytest.raises(Invalid, match=f"{variable}='{value}'.*from"):
            Settings.from_environment({variable: value})

    def test_hide_secrets_from_their_printed_form(self) -> None:
        assert "hunter2" not in repr(Settings(database_url="postgresql://u:hunter2@h/d", vault_key="hunter2"))

    def test_refuse_to_hand_the_citys_own_secrets_to_an_engine(self) -> None:
        for name in ("DATABASE_URL", "SHANHE_VAULT_KEY", "PATH", "x_KEY"):
            with pytest.raises(Invalid):
                Settings().upstream_key(name)
