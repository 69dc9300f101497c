"""Which Python the virtual environment is made with."""

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "fastest-python"


def chosen(folder: Path, **says: str) -> str:
    """What is chosen where each Python says what its probe took; one that says nothing ends with an error."""
    for name, words in says.items():
        found = folder / name.replace("python3_", "python3.")
        found.write_text(f"#!/bin/bash\n{f'echo {words}' if words else 'exit 1'}\n", encoding="utf-8")
        found.chmod(0o755)
    found = subprocess.run(
        ["/bin/bash", str(SCRIPT)], env={"PATH": str(folder)}, capture_output=True, text=True, check=True, timeout=20
    )
    assert not found.stderr
    return found.stdout.strip().rpartition("/")[2]


class TestFastestPython:
    def test_is_the_one_whose_build_does_the_same_in_less_time(self, tmp_path: Path) -> None:
        assert chosen(tmp_path, python3_13="9000 /own/build", python3="5000 /usr/bin/python3.11") == "python3"

    def test_is_the_newer_one_where_both_are_about_as_fast(self, tmp_path: Path) -> None:
        assert chosen(tmp_path, python3_13="5000 /a", python3_11="4600 /b") == "python3.13"

    def test_is_none_that_is_too_old_or_has_no_pip(self, tmp_path: Path) -> None:
        assert chosen(tmp_path, python3_12="", python3="8000 /c") == "python3"
        (tmp_path / "python3").unlink()
        assert chosen(tmp_path, python3_12="") == ""

    def test_is_asked_once_whatever_it_is_called(self, tmp_path: Path) -> None:
        assert chosen(tmp_path, python3_11="9000 /same", python3="4000 /same") == "python3.11"
