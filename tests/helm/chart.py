"""The chart as the real Helm engine renders it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "orrery"
RELEASE, NAMESPACE = "orrery", "worlds"
PRESETS = {path.stem.removeprefix("values-"): path for path in sorted(CHART.glob("values-*.yaml"))}
GPU_PRESETS = [name for name in PRESETS if name.startswith("gpu-")]

Object = dict[str, Any]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

EXTERNAL_REDIS = {"redis": {"bundled": {"enabled": False}, "external": {"urlSecret": {"name": "managed-redis"}}}}
S3 = {
    "artifacts": {
        "kind": "s3",
        "s3": {
            "url": "s3://worlds/orrery",
            "region": "eu-north-1",
            "endpoint": "http://minio.storage:9000",
            "allowHttp": True,
            "port": 9000,
            "credentialsSecret": {"name": "worlds-bucket"},
        },
    }
}
EVERYTHING = {
    "image": {"registry": "registry.example", "pullSecrets": ["registry"]},
    "gateway": {
        "apiKeysSecret": {"name": "api-keys"},
        "settings": {"rate_per_second": 2.5, "max_upload_bytes": 209715200, "url_inputs": "on", "url_hosts": ["a.example"]},
        "autoscaling": {"enabled": True},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "hosts": ["worlds.example"],
            "tls": [{"secretName": "tls", "hosts": ["worlds.example"]}],
        },
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "edge"}], "hostnames": ["worlds.example"]},
        "grpcRoute": {"enabled": True, "parentRefs": [{"name": "edge"}]},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "podAnnotations": {"example/one": "two"},
    },
    "dispatcher": {"webhookSecret": {"name": "webhooks"}, "settings": {"sweep_dry_run": True}},
    "redis": {"bundled": {"passwordSecret": {"name": "redis-password"}, "storageClass": "fast"}},
    "artifacts": {"volume": {"storageClass": "shared"}},
    "modelCache": {
        "enabled": True,
        "components": {"t5-11b": "text_encoder"},
        "fetch": {"command": ["fetch", "--to", "/models"], "secret": "hub-token"},
    },
    "monitoring": {
        "serviceMonitors": True,
        "alerts": True,
        "dashboard": True,
        "labels": {"release": "prometheus"},
        "gatewayTokenSecret": {"name": "admin-key"},
    },
    "stages": {"denoiser": {"gpu": {"count": 1, "resource": "nvidia.com/mig-3g.40gb"}, "settings": {"checkpoint_seconds": 10}}},
    "stageDefaults": {"scaling": {"enabled": True}},
    "networkPolicy": {"gatewayFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
    "tracing": {"endpoint": "http://collector.monitoring:4318"},
    "test": {"apiKeySecret": {"name": "test-key"}},
}


def preset(name: str) -> dict[str, Any]:
    """Read as Helm reads a file given with `-f`."""
    return helm.values_from_yaml(PRESETS[name].read_text())


VARIANTS: dict[str, Mapping[str, Any]] = {
    "default": {},
    "external-redis": EXTERNAL_REDIS,
    "s3": S3,
    "everything": EVERYTHING,
    **{name: preset(name) for name in PRESETS},
}
"""Values that the chart must be right for."""


def render(values: Mapping[str, Any], *, release: str = RELEASE) -> list[Object]:
    """Every object of the release, that of `helm test` included. Raises `helm.HelmError`."""
    return [
        document for name, text in rendered(values, release).items() if name.endswith(".yaml") for document in _documents(text)
    ]


def rendered(values: Mapping[str, Any], release: str = RELEASE) -> dict[str, str]:
    with helm.Chart.load(CHART) as chart:
        return chart.render(dict(values), name=release, namespace=NAMESPACE)


def lint(values: Mapping[str, Any]) -> list[str]:
    """What `helm lint --strict` says against these values."""
    return list(helm.lint(CHART, dict(values), strict=True, namespace=NAMESPACE)["errors"])


def defaults() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return values


def one(objects: list[Object], kind: str, name: str) -> Object:
    """The object of this kind and name, without the release's name before it."""
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == f"{RELEASE}-{name}"]
    return found


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod that the release makes, with the name of what makes it: labels and annotations in `metadata`, and `spec`."""
    for item in objects:
        if item["kind"] == "Pod":
            yield item["metadata"]["name"], item
        elif item["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield item["metadata"]["name"], item["spec"]["template"]


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(container: Object) -> dict[str, Any]:
    """Its variables; those from a secret as the reference to it."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", [])}


def _documents(text: str) -> list[Object]:
    return [document for document in yaml.load_all(text, LOADER) if document]
