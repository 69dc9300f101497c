"""Settings: read in one place, documented, and careful with what they hold."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from shanhe.kernel.errors import Invalid
from shanhe.settings import Settings, page

ROOT = Path(__file__).parents[2]
READS = {"environ", "getenv", "environb"}


class TestSettings:
    def test_are_documented(self) -> None:
        written = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
        assert written == page(), "run `make docs` (or `python -m shanhe.settings > docs/settings.md`)"

    def test_are_the_only_reader_of_the_environment(self) -> None:
        offenders = []
        for path in (ROOT / "src").rglob("*.py"):
            names = {n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}
            if names & READS and path.name != "settings.py":
                offenders.append(str(path.relative_to(ROOT)))
        assert offenders == []

    def test_survive_the_way_to_a_child_process(self) -> None:
        settings = Settings(port=9000, with_model=False, database_url="postgresql://x", data=Path("/tmp/a"))
        assert Settings.from_environment(settings.to_environment()) == settings

    def test_name_the_variable_that_cannot_be_read(self) -> None:
        with pytest.raises(Invalid, match="PORT='many'"):
            Settings.from_environment({"PORT": "many"})

    def test_hide_secrets_from_their_printed_form(self) -> None:
        assert "hunter2" not in repr(Settings(database_url="postgresql://u:hunter2@h/d", vault_key="hunter2"))

    def test_refuse_to_hand_the_citys_own_secrets_to_an_engine(self) -> None:
        for name in ("DATABASE_URL", "SHANHE_VAULT_KEY", "PATH", "x_KEY"):
            with pytest.raises(Invalid):
                Settings().upstream_key(name)
