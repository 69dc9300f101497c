"""The kinds that deploy/ uses, as JSON schemas written for this test: every field that is used, and no other.

A misspelt field, a wrong unit or type, a missing part fails here, as `kubectl apply --dry-run=server` would fail it.
Written after Kubernetes 1.37, KubeRay 1.x (ray.io/v1) and Kueue (kueue.x-k8s.io/v1beta2).
"""

from __future__ import annotations

from typing import Any

NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}
TEXT = {"type": "string", "maxLength": 1_000}
COUNT = {"type": "integer", "minimum": 0}
FLAG = {"type": "boolean"}
QUANTITY = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"},
    ]
}  # fmt: skip
TEXTS = {"type": "object", "additionalProperties": TEXT}
RESOURCE = r"^([a-z0-9.-]+/)?[A-Za-z0-9][A-Za-z0-9_.-]*$"


def record(required: str = "", /, **fields: Any) -> dict[str, Any]:
    """An object of these fields alone."""
    return {"type": "object", "additionalProperties": False, "properties": fields, "required": required.split()}


def listed(item: Any, least: int = 1) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": least}


def one_of(*words: str) -> dict[str, Any]:
    return {"enum": list(words)}


QUANTITIES = {"type": "object", "patternProperties": {RESOURCE: QUANTITY}, "additionalProperties": False}
META = record("name", name=NAME, namespace=NAME, labels=TEXTS, annotations=TEXTS)
KEY_OF = record("name key", name=NAME, key={"type": "string", "pattern": "^[-._a-zA-Z0-9]+$"}, optional=FLAG)
PORT = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65_535}, NAME]}
TOLERATION = record("", key=TEXT, operator=one_of("Exists", "Equal"), value=TEXT, effect=one_of("NoSchedule"))
PROBE = record(
    "httpGet", httpGet=record("path port", path=TEXT, port=PORT), periodSeconds=COUNT, failureThreshold=COUNT
)  # fmt: skip
CONTAINER = record(
    "name image resources",
    name=NAME, image=TEXT, args=listed(TEXT), command=listed(TEXT),
    ports=listed(record("containerPort", name=NAME, containerPort=PORT)),
    envFrom=listed(record("configMapRef", configMapRef=record("name", name=NAME))),
    env=listed(record("name", name=TEXT, value=TEXT, valueFrom=record("secretKeyRef", secretKeyRef=KEY_OF))),
    readinessProbe=PROBE, livenessProbe=PROBE, startupProbe=PROBE,
    resources=record("requests limits", requests=QUANTITIES, limits=QUANTITIES),
    volumeMounts=listed(record("name mountPath", name=NAME, mountPath=TEXT, subPath=TEXT, readOnly=FLAG)),
)  # fmt: skip
POD = record(
    "containers",
    containers=listed(CONTAINER),
    volumes=listed(record("name", name=NAME, persistentVolumeClaim=record("claimName", claimName=NAME))),
    securityContext=record("", runAsNonRoot=FLAG, runAsUser=COUNT, fsGroup=COUNT),
    terminationGracePeriodSeconds=COUNT, schedulerName=NAME, nodeSelector=TEXTS, tolerations=listed(TOLERATION),
)  # fmt: skip
TEMPLATE = record("spec", metadata=record("", labels=TEXTS, annotations=TEXTS), spec=POD)
SELECTOR = record("matchLabels", matchLabels=TEXTS)


def kind(version: str, name: str, **parts: Any) -> dict[str, Any]:
    """One kind: its version, its metadata, its own parts."""
    fixed = {"apiVersion": {"const": version}, "kind": {"const": name}, "metadata": META}
    return record(f"apiVersion kind metadata {' '.join(parts)}", **fixed, **parts)


GROUP = record(
    "groupName replicas minReplicas maxReplicas rayStartParams template",
    groupName=NAME, replicas=COUNT, minReplicas=COUNT, maxReplicas=COUNT, rayStartParams=TEXTS, template=TEMPLATE,
)  # fmt: skip
FLAVOR = record("name resources", name=NAME, resources=listed(record(
    "name nominalQuota", name={"type": "string", "pattern": RESOURCE}, nominalQuota=QUANTITY, borrowingLimit=QUANTITY
)))  # fmt: skip
POLICY = one_of("Never", "LowerPriority", "LowerOrNewerEqualPriority")
BACKEND = record("service", service=record("name port", name=NAME, port=record("", name=NAME, number=PORT)))
RULE = record("http", host=TEXT, http=record("paths", paths=listed(
    record("path pathType backend", path=TEXT, pathType=one_of("Prefix", "Exact"), backend=BACKEND)
)))  # fmt: skip
CLAIM = record(
    "accessModes resources", accessModes=listed(one_of("ReadWriteOnce", "ReadWriteMany")), storageClassName=NAME,
    resources=record("requests", requests=QUANTITIES),
)  # fmt: skip

KINDS: dict[str, dict[str, Any]] = {
    "Namespace": kind("v1", "Namespace"),
    "ConfigMap": kind("v1", "ConfigMap", data=TEXTS),
    "PersistentVolumeClaim": kind("v1", "PersistentVolumeClaim", spec=CLAIM),
    "StatefulSet": kind("apps/v1", "StatefulSet", spec=record(
        "serviceName replicas selector template", serviceName=NAME, replicas=COUNT, selector=SELECTOR, template=TEMPLATE
    )),
    "Deployment": kind("apps/v1", "Deployment", spec=record(
        "replicas selector template", replicas=COUNT, selector=SELECTOR, template=TEMPLATE,
        strategy=record("type", type=one_of("Recreate", "RollingUpdate")),
    )),
    "Service": kind("v1", "Service", spec=record(
        "selector ports", selector=TEXTS, ports=listed(record("name port", name=NAME, port=PORT, targetPort=PORT))
    )),
    "Ingress": kind("networking.k8s.io/v1", "Ingress", spec=record(
        "rules", ingressClassName=NAME, rules=listed(RULE),
        tls=listed(record("hosts secretName", hosts=listed(TEXT), secretName=NAME)),
    )),
    "ResourceFlavor": {**kind("kueue.x-k8s.io/v1beta2", "ResourceFlavor", spec=record(
        "", nodeLabels=TEXTS, tolerations=listed(TOLERATION)
    )), "required": ["apiVersion", "kind", "metadata"]},
    "ClusterQueue": kind("kueue.x-k8s.io/v1beta2", "ClusterQueue", spec=record(
        "namespaceSelector resourceGroups", namespaceSelector=SELECTOR,
        queueingStrategy=one_of("StrictFIFO", "BestEffortFIFO"), preemption=record("", withinClusterQueue=POLICY),
        resourceGroups=listed(record(
            "coveredResources flavors", coveredResources=listed({"type": "string", "pattern": RESOURCE}),
            flavors=listed(FLAVOR),
        )),
    )),
    "LocalQueue": kind("kueue.x-k8s.io/v1beta2", "LocalQueue", spec=record("clusterQueue", clusterQueue=NAME)),
    "WorkloadPriorityClass": kind(
        "kueue.x-k8s.io/v1beta2", "WorkloadPriorityClass", value={"type": "integer"}, description=TEXT
    ),
    "RayCluster": kind("ray.io/v1", "RayCluster", spec=record(
        "rayVersion headGroupSpec workerGroupSpecs", rayVersion=TEXT, enableInTreeAutoscaling=FLAG,
        authOptions=record("mode secretName", mode=one_of("token", "disabled"), secretName=NAME),
        headGroupSpec=record("rayStartParams template", rayStartParams=TEXTS, template=TEMPLATE),
        workerGroupSpecs=listed(GROUP),
    )),
}  # fmt: skip
