"""The proxy and the unit that come along let through what the city serves, and end it as it wants to be ended."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from shanhe.gateway import http as gateway_http
from shanhe.gateway.call import CALL_MAX_S
from shanhe.web import UPLOADS

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
PROXY: Final = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
UNIT: Final = (DEPLOY / "shanhe.service").read_text(encoding="utf-8")


def said(name: str, unit: str) -> int:
    found = re.search(rf"\b{name} +([0-9]+){unit};", PROXY)
    assert found is not None
    return int(found[1])


class TestProxy:
    def test_lets_the_largest_body_through(self) -> None:
        """A smaller bound answers with a page of the proxy's own, where the city says how large it may be."""
        assert said("client_max_body_size", "m") * 1024 * 1024 > max(*UPLOADS.values(), gateway_http.BODY_MAX_BYTES)

    def test_waits_for_the_longest_answer(self) -> None:
        assert said("proxy_read_timeout", "s") > CALL_MAX_S

    def test_passes_on_what_opens_a_tunnel_and_buffers_no_answer(self) -> None:
        for line in ("proxy_set_header Upgrade $http_upgrade;", "proxy_http_version 1.1;", "proxy_buffering off;"):
            assert line in PROXY

    def test_believes_no_address_that_a_client_claims(self) -> None:
        assert "X-Forwarded-For $remote_addr;" in PROXY

    def test_logs_no_query_string_and_no_referrer(self) -> None:
        """Both hold what people search for: names, payers, questions."""
        written = re.search(r"log_format shanhe '([^']*)'", PROXY)
        assert written is not None
        assert not re.search(r"\$(request|request_uri|args|query_string|http_referer)\b", written[1])
        assert re.search(r"access_log \S+ shanhe;", PROXY)

    def test_shows_metrics_to_nobody_outside(self) -> None:
        assert re.search(r"location = /metrics \{[^}]*deny all;", PROXY)


class TestUnit:
    def test_lets_the_city_end_its_processes_in_order(self) -> None:
        assert "KillMode=mixed" in UNIT

    def test_leaves_no_picture_of_its_memory(self) -> None:
        """It would hold the master key."""
        assert "LimitCORE=0" in UNIT


class TestImage:
    def test_keeps_its_data_on_a_volume_that_is_its_own_and_is_reached_from_outside(self) -> None:
        """A folder that root owns, or a server on the loopback, is a container in which nothing starts or answers."""
        image = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
        owned, user = image.index("-o shanhe -g shanhe /data"), image.index("USER shanhe")
        assert owned < user < image.index("VOLUME /data")
        assert "SHANHE_HOST=0.0.0.0" in image
