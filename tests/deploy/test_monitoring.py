"""What watches a city asks for figures that there are, and says what to do in the manual's words."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from shanhe.gateway.metrics import FAULTS
from stage.fixtures import Stage, chat

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
BOARD = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
ASKED = {rule["alert"]: rule["expr"] for rule in RULES} | {
    f"{panel['title']} {target['refId']}": target["expr"] for panel in BOARD["panels"] for target in panel["targets"]
}
OURS = re.compile(r"\b(?:shanhe|process)_[a-z_]+\b")
SELECTED = re.compile(r"\b((?:shanhe|process)_[a-z_]+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"([a-z_]+)\s*(?:=~|!=|=)")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
WAIT_S = 120.0
OF_NODES = {"shanhe_node_utilisation": {"node"}}
"""Figures with labels that only a city with lent machines has."""


@pytest.fixture(scope="module")
def told(stage: Stage) -> dict[str, set[str]]:
    """Each figure that a city with a call behind it tells, and its labels."""
    tenant = stage.tenant("Watched")
    with stage.client(tenant) as client:
        assert client.post("/v1/chat/completions", json=chat("good")).status_code == 200
        client.post("/v1/chat/completions", json=chat("no such model"))
    until = time.monotonic() + WAIT_S
    while True:
        text = httpx.get(f"{stage.url}/metrics", trust_env=False).text
        if "shanhe_job_done_timestamp_seconds{" in text and "shanhe_calls_total{" in text:
            break
        assert time.monotonic() < until, "the jobs process tells nothing"
        time.sleep(0.5)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        named = family.name + ("_total" if family.type == "counter" else "")
        found.setdefault(named, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    for name, labels in OF_NODES.items():
        found[name] |= labels
    return found


@pytest.mark.parametrize("what", ASKED)
def test_asks_for_figures_and_labels_that_a_city_tells(what: str, told: dict[str, set[str]]) -> None:
    known = set[str]()
    for name, within in SELECTED.findall(ASKED[what]):
        assert name in told, name
        known |= told[name]
        assert set(LABEL.findall(within)) <= told[name] | {"le"}, (name, within)
    for names in GROUPED.findall(ASKED[what]):
        assert {name.strip() for name in names.split(",")} <= known | {"le"}


def named() -> list[tuple[str, str, str]]:
    """(figure, label, value) for each task and each refusal that an alarm names."""
    found = set[tuple[str, str, str]]()
    for rule in RULES:
        for name, within in SELECTED.findall(rule["expr"]):
            for label, values in re.findall(r'(task|code|outcome)=~?"([^"]*)"', within):
                found |= {(name, label, value) for value in values.split("|") if re.fullmatch(r"[\w.]*\w", value)}
    return sorted(found)


def test_rings_for_whatever_a_call_is_told_while_the_database_is_away() -> None:
    """A second after it went, no key can be looked up any more: none of the calls gets as far as the ledger."""
    found = re.search(r'code=~"([^"]*)"', ASKED["ShanheLedgerAway"])
    assert found is not None
    assert "identity_unavailable" in found[1].split("|")
    assert set(FAULTS) - set(found[1].split("|")) == {"internal_error"}


def test_is_told_beside_the_city_and_not_through_a_proxy(stage: Stage) -> None:
    """An ingress that passes every path on would show them to the world."""
    through = httpx.get(f"{stage.url}/metrics", headers={"x-forwarded-for": "203.0.113.9"}, trust_env=False)
    assert through.status_code == 404


@pytest.mark.parametrize(("name", "label", "value"), named())
def test_tells_what_an_alarm_names_before_anything_goes_wrong(stage: Stage, name: str, label: str, value: str) -> None:
    """Prometheus sees an increase between two values: of a count that appears as one, it sees none."""
    until = time.monotonic() + WAIT_S
    while True:
        told = text_string_to_metric_families(httpx.get(f"{stage.url}/metrics", trust_env=False).text)
        samples = [sample for family in told for sample in family.samples if sample.name == name]
        if any(sample.labels.get(label) == value for sample in samples):
            return
        assert time.monotonic() < until, f"{name} tells nothing of {value} beforehand"
        time.sleep(0.5)


def test_every_alarm_is_said_in_both_languages_and_explained_in_both_manuals() -> None:
    for rule in RULES:
        assert " · " in rule["annotations"]["summary"], rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
    for manual in ("docs/production.md", "docs/zh/production.md"):
        explained = re.findall(r"^\| `(Shanhe\w+)` \|", (ROOT / manual).read_text(encoding="utf-8"), re.MULTILINE)
        assert sorted(explained) == sorted(rule["alert"] for rule in RULES), manual
