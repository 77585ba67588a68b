"""Objects against the schemas of Kubernetes, KEDA, the Gateway API and the Prometheus operator. Unknown fields are refused."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator

KUBERNETES = ("1.30", "1.37")
"""The oldest that the chart is for, and the newest whose schemas there are."""

SCHEMAS = Path(__file__).parent / "schemas"
CUSTOM = {
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1", "GRPCRoute"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
}


def validate(item: dict[str, Any]) -> None:
    """Raises `jsonschema.ValidationError`, or `SchemaNotFoundError` for what nobody knows."""
    if (item["apiVersion"], item["kind"]) in CUSTOM:
        _custom(item["kind"]).validate({name: value for name, value in item.items() if name != "apiVersion"})
        return
    _standard(json.dumps(item, sort_keys=True))


@cache
def _standard(item: str) -> None:
    """Most objects are the same with most values."""
    for version in KUBERNETES:
        kubernetes_validate.validate(json.loads(item), version, strict=True)


@cache
def _custom(kind: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{kind.lower()}.json").read_text())
    # The version is looked up above: the schema of GRPCRoute is of the version before.
    schema["required"] = [name for name in schema["required"] if name != "apiVersion"]
    schema["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(_strict(schema))


def _strict(schema: Any) -> Any:
    """Where fields are named, no others may be."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        strict.setdefault("additionalProperties", False)
    return strict
