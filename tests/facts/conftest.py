"""The same city, about whose parties registers say something."""

from __future__ import annotations

from tests.ip.conftest import City, city

__all__ = ["City", "city"]
