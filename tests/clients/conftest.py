"""One paying tenant for the well-behaved clients."""

from __future__ import annotations

import pytest

from stage.fixtures import Stage, Tenant


@pytest.fixture(scope="session")
def tenant(stage: Stage) -> Tenant:
    return stage.tenant("Clients")
