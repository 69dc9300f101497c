"""The door of connected apps for other modules."""

from __future__ import annotations

from shanhe.oauth.errors import OAuthError, UnknownRequest
from shanhe.oauth.model import ACCESS_PREFIX, Asking, Client, Tokens
from shanhe.oauth.service import OAuth, returns_to

__all__ = ["ACCESS_PREFIX", "Asking", "Client", "OAuth", "OAuthError", "Tokens", "UnknownRequest", "returns_to"]
