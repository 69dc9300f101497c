from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.compute.address import PATH_MAX_BYTES, parse_url, private_folder, socket_path
from shanhe.compute.errors import BadEngine


class TestUrl:
    @pytest.mark.parametrize(
        ("url", "host", "port", "tls", "prefix", "header"),
        [
            ("http://127.0.0.1:8000", "127.0.0.1", 8000, False, "/v1", "127.0.0.1:8000"),
            ("http://127.0.0.1:8000/v1/", "127.0.0.1", 8000, False, "/v1", "127.0.0.1:8000"),
            ("https://api.example.com", "api.example.com", 443, True, "/v1", "api.example.com"),
            ("https://h.example/api/paas/v4", "h.example", 443, True, "/api/paas/v4", "h.example"),
            ("http://[::1]:9/v1", "::1", 9, False, "/v1", "[::1]:9"),
        ],
    )
    def test_is_taken_apart(self, url: str, host: str, port: int, tls: bool, prefix: str, header: str) -> None:
        found = parse_url(url)
        assert (found.host, found.port, found.tls) == (host, port, tls)
        assert (found.prefix, found.host_header) == (prefix, header)

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://h/v1",
            "file:///etc/passwd",
            "http://",
            "http://user:secret@h/v1",
            "http://h/v1?key=1",
            "http://h/v1#x",
            "http://h/v1\r\nx: y",
            "http://h h/",
            "http://h:99999/",
            "http://169.254.169.254/latest",
            "http://[::ffff:169.254.169.254]/",
            "http://2852039166/latest",
            "http://0xa9.0xfe.0xa9.0xfe/latest",
            "http://0.0.0.0:1/",
            "http://0:1/",
            "http://[fe80::1]/",
            "http://例子/",
            "http://h/" + "a" * 600,
        ],
    )
    def test_that_is_not_an_engine_is_refused(self, url: str) -> None:
        with pytest.raises(BadEngine):
            parse_url(url)

    @given(st.text(max_size=60))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        for url in (text, f"http://{text}"):
            try:
                found = parse_url(url)
            except BadEngine:
                continue
            assert "\r" not in found.host_header + found.prefix
            assert "\n" not in found.host_header + found.prefix


class TestSocket:
    @given(st.text(min_size=1, max_size=100), st.integers(0, 3))
    def test_path_always_fits(self, model: str, depth: int) -> None:
        data = Path("/tmp") / "/".join(["a-rather-long-folder-name"] * depth) / "data"
        assert len(bytes(socket_path(data, model))) <= PATH_MAX_BYTES + 3

    def test_path_is_the_same_in_every_process(self, tmp_path: Path) -> None:
        assert socket_path(tmp_path, "a/b") == socket_path(tmp_path, "a/b")
        assert socket_path(tmp_path, "m" * 60 + "1") != socket_path(tmp_path, "m" * 60 + "2")

    def test_folder_is_closed_to_others(self, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        assert private_folder(folder).stat().st_mode & 0o777 == 0o700

    def test_a_link_in_the_folders_place_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(PermissionError):
            private_folder(tmp_path / "run")
