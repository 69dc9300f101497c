"""The door of connected apps for other modules."""

from __future__ import annotations

from shanhe.oauth.errors import OAuthError, UnknownApp, UnknownRequest
from shanhe.oauth.model import ACCESS_PREFIX, App, AppCost, Asking, Client, Tokens
from shanhe.oauth.service import OAuth, returns_to

__all__ = [
    "ACCESS_PREFIX",
    "App",
    "AppCost",
    "Asking",
    "Client",
    "OAuth",
    "OAuthError",
    "Tokens",
    "UnknownApp",
    "UnknownRequest",
    "returns_to",
]
