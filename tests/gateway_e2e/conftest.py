"""A tenant whose balance must not move, and the two shapes an error may have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from stage.fixtures import Stage, Tenant


@pytest.fixture(scope="module")
def careless(stage: Stage) -> Iterator[Tenant]:
    """Sends nothing but bad requests, and has the same balance afterwards."""
    tenant = stage.tenant("Careless")
    before = stage.balance_micro(tenant)
    yield tenant
    assert stage.balance_micro(tenant) == before


@pytest.fixture
def uncharged(stage: Stage, careless: Tenant) -> Iterator[httpx.Client]:
    """A client of the careless tenant; after the test it has no paid call and the process lives."""
    with stage.client(careless) as client:
        yield client
        assert client.get("/api/calls").json()["calls"] == []
    assert stage.city.ready()


def assert_openai_error(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """OpenAI's error shape, and nothing that a stranger could use."""
    assert answer.status_code == status, answer.text[:500]
    error: dict[str, Any] = answer.json()["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert "code" in error
    assert "param" in error
    if code is not None:
        assert error["code"] == code
    assert "Traceback" not in answer.text
    return error


def assert_anthropic_error(answer: httpx.Response, status: int, kind: str | None = None) -> dict[str, Any]:
    """Anthropic's error shape."""
    assert answer.status_code == status, answer.text[:500]
    body = answer.json()
    assert body["type"] == "error"
    error: dict[str, Any] = body["error"]
    assert error["message"]
    if kind is not None:
        assert error["type"] == kind
    assert "Traceback" not in answer.text
    return error
