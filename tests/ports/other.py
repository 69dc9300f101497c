"""An application of somebody else on the cluster."""

from __future__ import annotations

from typing import Any

from ray import serve
from starlette.requests import Request


class Other:
    async def __call__(self, request: Request) -> str:
        return "somebody else's"


def build(args: dict[str, Any]) -> Any:
    return serve.deployment(name="other", ray_actor_options={"num_cpus": 0})(Other).bind()
