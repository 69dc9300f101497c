"""An address without its secrets."""

from __future__ import annotations

import pytest

from shanhe.kernel.address import without_secrets
from shanhe.kernel.errors import Invalid


class TestAddress:
    @pytest.mark.parametrize(
        ("whole", "bare", "password"),
        [
            ("postgresql://city:p%40ss@db.example:5433/city?sslmode=require",
             "postgresql://city@db.example:5433/city?sslmode=require", "p@ss"),
            ("postgresql://city@db.example/city?password=p%40s+s&sslmode=require",
             "postgresql://city@db.example/city?sslmode=require", "p@s s"),
            ("postgresql:///city?host=/run&user=city&pass%77ord=s", "postgresql:///city?host=/run&user=city", "s"),
            ("postgresql://city:first@db.example/city?password=second", "postgresql://city@db.example/city", "first"),
        ],
    )  # fmt: skip
    def test_keeps_the_password_off_command_lines(self, whole: str, bare: str, password: str) -> None:
        address, environment = without_secrets(whole)
        assert (address, environment["PGPASSWORD"]) == (bare, password)

    def test_refuses_what_could_be_handed_on_in_public_only(self) -> None:
        with pytest.raises(Invalid, match="sslpassword"):
            without_secrets("postgresql://city@db.example/city?sslpassword=s")
