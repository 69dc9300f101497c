"""A machine without libgomp serves local models all the same."""

from __future__ import annotations

import ctypes
import sysconfig
from pathlib import Path

import pytest

from shanhe.compute import openmp


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system without it; the folder of installed packages."""
    packages = tmp_path / "site-packages"
    packages.mkdir()

    def absent(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(packages))
    return packages


def bring(packages: Path, name: str) -> Path:
    file = packages / "some.libs" / name
    file.parent.mkdir(exist_ok=True)
    file.touch()
    return file


class TestOpenMp:
    def test_of_the_system_is_used_where_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: name)
        environment = {"PATH": "/bin"}
        assert openmp.with_openmp(environment, tmp_path / "lib") is environment
        assert not (tmp_path / "lib").exists()

    def test_of_another_package_is_found_by_the_name_that_is_asked_for(self, bare: Path, tmp_path: Path) -> None:
        copy = bring(bare, "libgomp-e985bcbb.so.1.0.0")
        environment = openmp.with_openmp({"PATH": "/bin", "LD_LIBRARY_PATH": "/own"}, tmp_path / "lib")
        assert environment == {"PATH": "/bin", "LD_LIBRARY_PATH": f"{tmp_path / 'lib'}:/own"}
        assert (tmp_path / "lib" / "libgomp.so.1").resolve() == copy

    def test_moves_on_when_the_package_is_another_one(self, bare: Path, tmp_path: Path) -> None:
        old = bring(bare, "libgomp-old.so.1.0.0")
        openmp.with_openmp({}, tmp_path / "lib")
        old.unlink()
        new = bring(bare, "libgomp-new.so.1.0.0")
        openmp.with_openmp({}, tmp_path / "lib")
        assert (tmp_path / "lib" / "libgomp.so.1").resolve() == new

    def test_that_is_nowhere_leaves_the_child_to_say_so(self, bare: Path, tmp_path: Path) -> None:
        assert openmp.with_openmp({"PATH": "/bin"}, tmp_path / "lib") == {"PATH": "/bin"}
        assert not openmp.installed()
        assert openmp.brought() is None
