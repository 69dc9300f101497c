"""A node's token is believed for one challenge of one city, for a minute, and only with its own key."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shanhe.kernel.ids import new_id
from shanhe.pool.errors import BadPassport
from shanhe.pool.passport import CONTEXT, TOKEN_LIFE_S, Claim, sign, verify

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
NODE = new_id()


def token(**changes: Any) -> str:
    fields: dict[str, Any] = {"node": NODE, "city": "here", "challenge": "c", "instance": "i", "issued_at": 100,
                              "expires_at": 100 + TOKEN_LIFE_S}  # fmt: skip
    return sign(KEY, Claim(**{**fields, **changes}))


def refused(text: str, key: bytes = PUBLIC) -> bool:
    try:
        verify(text, key, challenge="c", city="here")
    except BadPassport:
        return True
    return False


class TestToken:
    def test_names_its_node(self) -> None:
        assert verify(token(), PUBLIC, challenge="c", city="here").node == NODE

    @pytest.mark.parametrize("changes", [
        {"challenge": "another"}, {"city": "there"}, {"expires_at": 101 + TOKEN_LIFE_S}, {"expires_at": 100},
        {"expires_at": 99},
    ])  # fmt: skip
    def test_for_anything_else_is_refused(self, changes: dict[str, Any]) -> None:
        assert refused(token(**changes))

    def test_of_another_key_is_refused(self) -> None:
        assert refused(token(), Ed25519PrivateKey.generate().public_key().public_bytes_raw())

    def test_that_was_changed_is_refused(self) -> None:
        payload, _, signature = token(instance="j").partition(".")
        assert refused(f"{payload}.{token().partition('.')[2]}")
        assert refused(f"{payload}.")
        assert refused(signature)

    def test_whose_signature_was_made_for_something_else_is_refused(self) -> None:
        payload = token().partition(".")[0]
        said = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        assert said.startswith(b"{")
        assert CONTEXT not in said
        bare = base64.urlsafe_b64encode(KEY.sign(said)).decode().rstrip("=")
        assert refused(f"{payload}.{bare}")
