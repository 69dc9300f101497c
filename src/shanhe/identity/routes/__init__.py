"""HTTP of identity: `/api/identity`, `/api/keys`, `/api/orgs`, `/api/people`, `/api/audit`."""

from __future__ import annotations

from shanhe.identity.api import Identity, Leaving
from shanhe.identity.routes import account, arrivals, entry, keys, orgs, people
from shanhe.kernel import http
from shanhe.kernel.routing import APIRouter


def router(identity: Identity, leaving: Leaving) -> APIRouter:
    """Every route of identity. The application must carry the same `identity` on `app.state.identity`."""
    routes = APIRouter()
    http.take(routes, *(part.router(identity) for part in (entry, arrivals, account, keys, people)))
    http.take(routes, orgs.router(identity, leaving))
    return routes
