"""Routes that read their signature when they are first asked for, and the form of what they are sent.

FastAPI reads every signature and makes a model of every parameter when a route is added: for the city's 800 routes
seven tenths of a second of each process that serves pages, most of it for routes that nobody asks this process for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fastapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette._utils import get_route_path
from starlette.routing import Match
from starlette.types import Scope


class LateRoute(APIRoute):
    """A route that knows its address and methods, and the rest of itself from its first request on."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.path = path
        self.endpoint = endpoint
        self._late: dict[str, Any] | None = options
        self._head, brace, _ = path.partition("{")
        self._whole = not brace

    def __getattr__(self, name: str) -> Any:
        """Asked only for what is not there yet: read the signature, once."""
        options = self.__dict__.get("_late")
        if options is None:
            raise AttributeError(name)
        self._late = None
        try:
            super().__init__(self.path, self.endpoint, **options)
        except BaseException:
            self._late = options  # whoever asks next is told the reason again
            raise
        return getattr(self, name)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = get_route_path(scope)
        if path != self.path if self._whole else not path.startswith(self._head):
            return Match.NONE, {}
        return super().matches(scope)


class APIRouter(fastapi.APIRouter):
    """FastAPI's router, with late routes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"route_class": LateRoute, **options})


class Body(BaseModel):
    """What a route expects, and nothing else."""

    model_config = ConfigDict(extra="forbid")
