"""HTTP of credentials: what verifiers need, public and cacheable; operators rotate the key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Depends
from starlette.responses import Response

from shanhe.credentials.service import Credentials
from shanhe.credentials.status import TTL
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter

CACHE = f"public, max-age={int(TTL.total_seconds())}"


def router(credentials: Credentials, require: Callable[[str], Any]) -> APIRouter:
    """Everything under /api/credentials, and the issuer's metadata where the standard looks for it."""
    routes = APIRouter(tags=["credentials"])

    @routes.get("/api/credentials/keys")
    async def keys() -> Response:
        """The issuer's public keys (JWKS): keep them, and cards can be verified without a network."""
        return as_json(await credentials.jwks())

    @routes.get("/.well-known/jwt-vc-issuer", include_in_schema=False)
    async def metadata() -> Response:
        return as_json(await credentials.metadata())

    @routes.get("/api/credentials/status/{list_no}")
    async def status(list_no: int) -> Response:
        """A signed status list: which credentials were revoked, without saying whose."""
        return Response(
            await credentials.status_list(list_no),
            media_type="application/statuslist+jwt",
            headers={"cache-control": CACHE},
        )

    @routes.post("/api/credentials/rotate", dependencies=[Depends(require("programmes"))])
    async def rotate() -> Response:
        """Sign with a new key from now on."""
        return as_json({"kid": await credentials.rotate()})

    return routes
