"""The same city, with outputs, their authors and those who reuse them."""

from __future__ import annotations

from tests.ip.conftest import City, city

__all__ = ["City", "city"]
