"""What clients share."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from shanhe.kernel.calling import authorities, over_socket
from stage.certificates import made


class TestAuthorities:
    def test_are_loaded_once_and_believed(self) -> None:
        assert authorities() is authorities()
        assert authorities().verify_mode is ssl.CERT_REQUIRED
        assert authorities().check_hostname
        assert authorities().cert_store_stats()["x509_ca"] > 50

    def test_are_a_citys_own_where_it_names_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(made(tmp_path)[0]))
        authorities.cache_clear()
        try:
            assert authorities().cert_store_stats()["x509_ca"] == 1
        finally:
            authorities.cache_clear()


class TestSocket:
    def test_needs_no_authorities(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(ssl, "create_default_context")
        assert over_socket(tmp_path / "engine.sock")._pool._uds == str(tmp_path / "engine.sock")  # type: ignore[attr-defined]
