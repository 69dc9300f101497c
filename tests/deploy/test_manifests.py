"""The manifests are what the cluster's own schemas take, agree with each other, and with this program."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.main import get_command

from shanhe.cli import app
from shanhe.gateway.call import CALL_MAX_S
from shanhe.gateway.http import BODY_MAX_BYTES
from shanhe.kernel.migrations import LIMIT_S
from shanhe.settings import Settings
from shanhe.web import UPLOADS

from .schemas import KINDS

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
DOCUMENTS: list[dict[str, Any]] = [
    one for file in FILES for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))
]
UNITS = {"": 1, "m": Fraction(1, 1000), "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def named(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in DOCUMENTS if one["kind"] == kind}


def pods() -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """(name, replicas, pod) of everything that runs."""
    for kind in ("StatefulSet", "Deployment"):
        for name, one in named(kind).items():
            yield name, one["spec"]["replicas"], one["spec"]["template"]["spec"]
    for name, one in named("RayCluster").items():
        yield f"{name}-head", 1, one["spec"]["headGroupSpec"]["template"]["spec"]
        for group in one["spec"]["workerGroupSpecs"]:
            yield f"{name}-{group['groupName']}", group["maxReplicas"], group["template"]["spec"]


def amount(word: str | int) -> Fraction:
    found = re.fullmatch(r"([0-9.]+)(\D*)", str(word))
    assert found is not None
    return Fraction(found[1]) * UNITS[found[2]]


class TestManifest:
    @pytest.mark.parametrize("one", DOCUMENTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
    def test_is_of_its_kind(self, one: dict[str, Any]) -> None:
        jsonschema.Draft202012Validator(KINDS[one["kind"]]).validate(one)

    @pytest.mark.parametrize(
        ("kind", "spoil"),
        [
            ("StatefulSet", lambda one: one["spec"]["template"]["spec"]["containers"][0].update(imagee="x")),
            ("RayCluster", lambda one: one["spec"]["workerGroupSpecs"][0].pop("maxReplicas")),
            ("ClusterQueue", lambda one: one["spec"]["resourceGroups"][0]["flavors"][0].update(resources=[])),
        ],
    )
    def test_that_is_misspelt_is_refused(self, kind: str, spoil: Any) -> None:
        [one] = [yaml.safe_load(yaml.safe_dump(found)) for found in DOCUMENTS if found["kind"] == kind]
        spoil(one)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(KINDS[kind]).validate(one)

    def test_selects_its_own_pods(self) -> None:
        for kind in ("StatefulSet", "Deployment"):
            for one in named(kind).values():
                spec = one["spec"]
                assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()

    def test_leads_from_the_ingress_over_the_service_to_the_port_of_the_city(self) -> None:
        backend = named("Ingress")["city"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        [port] = named("Service")[backend["name"]]["spec"]["ports"]
        city = named("StatefulSet")["city"]["spec"]["template"]
        [listens] = city["spec"]["containers"][0]["ports"]
        assert backend["port"]["name"] == port["name"]
        assert port["targetPort"] == listens["name"]
        assert str(listens["containerPort"]) == named("ConfigMap")["shanhe"]["data"]["PORT"]
        assert named("Service")["city"]["spec"]["selector"].items() <= city["metadata"]["labels"].items()

    def test_lets_through_the_ingress_what_the_city_serves(self) -> None:
        """An ingress takes bodies of 1 MiB unless told otherwise, and tries a call again at another place."""
        told = named("Ingress")["city"]["metadata"]["annotations"]
        said = {name.partition("/")[2]: value for name, value in told.items()}
        assert amount(said["proxy-body-size"].upper() + "i") > max(*UPLOADS.values(), BODY_MAX_BYTES)
        assert int(said["proxy-read-timeout"]) > CALL_MAX_S
        assert (said["proxy-buffering"], said["proxy-next-upstream"]) == ("off", "off")

    def test_believes_the_ingress_who_is_calling(self) -> None:
        """Else all people are one address, and the limits of one address are everybody's."""
        assert "/" in named("ConfigMap")["shanhe"]["data"]["SHANHE_TRUSTED_PROXIES"]

    def test_waits_for_a_migration_as_long_as_one_may_take(self) -> None:
        """A city that migrates does not answer yet; killed for that, it would begin the same one again for ever."""
        [city] = named("StatefulSet")["city"]["spec"]["template"]["spec"]["containers"]
        waits = city["startupProbe"]
        assert waits["periodSeconds"] * waits["failureThreshold"] >= LIMIT_S

    def test_mounts_volumes_that_there_are(self) -> None:
        claims = named("PersistentVolumeClaim")
        for name, _, pod in pods():
            volumes = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
            assert set(volumes.values()) <= set(claims), name
            assert all(mount["name"] in volumes for one in pod["containers"] for mount in one["volumeMounts"]), name

    def test_keeps_the_keys_of_the_city_from_everything_else(self) -> None:
        for name, _, pod in pods():
            whole = [mount for one in pod["containers"] for mount in one["volumeMounts"] if "subPath" not in mount]
            claims = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
            assert ("shanhe-data" in {claims[mount["name"]] for mount in whole}) == (name == "city"), name


class TestQueue:
    def test_has_its_flavors_and_its_cluster_queue(self) -> None:
        for queue in named("LocalQueue").values():
            groups = named("ClusterQueue")[queue["spec"]["clusterQueue"]]["spec"]["resourceGroups"]
            assert {flavor["name"] for group in groups for flavor in group["flavors"]} == set(named("ResourceFlavor"))
            for group in groups:
                for flavor in group["flavors"]:
                    assert [one["name"] for one in flavor["resources"]] == group["coveredResources"]

    def test_has_room_for_the_ray_cluster_and_knows_its_names(self) -> None:
        [ray] = named("RayCluster").values()
        labels = ray["metadata"]["labels"]
        assert labels["kueue.x-k8s.io/queue-name"] in named("LocalQueue")
        assert labels["kueue.x-k8s.io/priority-class"] in named("WorkloadPriorityClass")
        quota = {
            one["name"]: amount(one["nominalQuota"])
            for group in named("ClusterQueue")["city"]["spec"]["resourceGroups"]
            for flavor in group["flavors"]
            for one in flavor["resources"]
        }
        asked: dict[str, Fraction] = {}
        for name, replicas, pod in pods():
            if name.startswith("ray-"):
                for one in pod["containers"]:
                    for resource, word in one["resources"]["requests"].items():
                        asked[resource] = asked.get(resource, Fraction(0)) + replicas * amount(word)
        assert {resource: need for resource, need in asked.items() if need > quota.get(resource, 0)} == {}

    def test_flavors_are_where_the_workers_want_to_be(self) -> None:
        for name, _, pod in pods():
            flavor = named("ResourceFlavor").get(name.removeprefix("ray-"), {}).get("spec")
            if flavor:
                assert pod["nodeSelector"] == flavor["nodeLabels"]
                assert pod["tolerations"] == flavor["tolerations"]
                assert pod["schedulerName"] == "hami-scheduler"


class TestProgram:
    def test_knows_every_setting(self) -> None:
        variables = {one.metadata["variable"] for one in Settings.__dataclass_fields__.values() if one.metadata}
        given = set(named("ConfigMap")["shanhe"]["data"])
        given |= {e["name"] for _, _, pod in pods() for one in pod["containers"] for e in one.get("env", ())}
        assert given - variables == {"SHANHE_NODE_TOKEN"}

    def test_understands_every_command(self) -> None:
        for name, _, pod in pods():
            for one in pod["containers"]:
                if "args" in one:
                    parsed(one["args"], name)

    def test_runs_the_ray_that_is_pinned(self) -> None:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        [pin] = extras["ray"]
        lock = (ROOT / "requirements-ray.lock").read_text(encoding="utf-8")
        for cluster in named("RayCluster").values():
            assert pin == f"ray[serve]=={cluster['spec']['rayVersion']}"
            assert f"\nray=={cluster['spec']['rayVersion']} " in lock

    def test_reads_only_secrets_that_the_guide_makes(self) -> None:
        guide = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
        wanted = {
            one["valueFrom"]["secretKeyRef"]["key"]
            for _, _, pod in pods() for container in pod["containers"]
            for one in container.get("env", ()) if "valueFrom" in one
        }  # fmt: skip
        assert wanted
        assert [key for key in wanted if f"--from-literal={key}=" not in guide] == []


def parsed(words: list[str], name: str) -> None:
    """Parse a command line as the program would, without running it."""
    command: Any = get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    context = command.make_context(name, rest, resilient_parsing=False)
    assert context.params
