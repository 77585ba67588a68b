"""Writes into the chart what the code says, and into its page what the chart says.

    python build/chart.py helm/orrery docs/kubernetes.md

In `values.schema.json` the names of settings, stages, models and kinds of components; in the page the table of values, from
the schema's descriptions and the defaults in `values.yaml`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from orrery.dispatcher.settings import DispatcherSettings
from orrery.gateway.settings import GatewaySettings
from orrery.worker.settings import StageEnvironment
from orrery.worlds.catalog import CATALOG
from orrery.worlds.components import ComponentKind
from orrery.worlds.contracts import POOLED
from orrery.worlds.environment import ProcessSettings

STORES = {"redis_url", "artifacts_url"}
SET_BY_THE_CHART: dict[type[ProcessSettings], set[str]] = {
    GatewaySettings: STORES
    | {"host", "port", "grpc_port", "models", "default_model", "random_weights", "webhooks", "api_keys", "api_keys_file"},
    DispatcherSettings: STORES | {"host", "port", "webhook_secret"},
    StageEnvironment: STORES
    | {"stages", "components", "models_dir", "run_dir", "device", "drain_seconds"}
    | {"metrics_host", "metrics_port", "triton_grpc_port", "triton_metrics_port", "triton_http_port", "upsampler_api_key"},
}
"""Settings that have values of their own, or must be what the chart's ports and folders are."""

TABLE = re.compile(r"(?<=<!-- values -->\n).*?(?=<!-- end of values -->)", re.DOTALL)


def main(chart: str, page: str) -> None:
    schema = Path(chart, "values.schema.json")
    known = with_names(json.loads(schema.read_text()))
    schema.write_text(json.dumps(known, indent=1) + "\n")
    values = yaml.safe_load(Path(chart, "values.yaml").read_text())
    text = Path(page).read_text()
    Path(page).write_text(TABLE.sub(lambda _: table(known, values), text))


def with_names(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, with every list of names as the code has it."""
    parts, stage = schema["properties"], schema["$defs"]["stage"]["properties"]
    models = sorted(CATALOG)
    parts["models"]["properties"]["served"]["items"]["enum"] = models
    parts["models"]["properties"]["untrained"]["items"]["enum"] = models
    parts["models"]["properties"]["default"]["enum"] = ["", *models]
    parts["modelCache"]["properties"]["components"]["additionalProperties"]["enum"] = [kind.value for kind in ComponentKind]
    stage["hosts"]["items"]["enum"] = list(POOLED)
    for settings, process in ((GatewaySettings, parts["gateway"]), (DispatcherSettings, parts["dispatcher"])):
        process["properties"]["settings"] = free(settings)
    stage["settings"] = free(StageEnvironment)
    return schema


def free(settings: type[ProcessSettings]) -> dict[str, Any]:
    """The settings of a process that are given by their own names, each with its kind and bounds."""
    schema = settings.model_json_schema()
    fields = {name: _whole(field, schema) for name, field in schema["properties"].items()}
    names = sorted(set(fields) - SET_BY_THE_CHART[settings])
    return {
        "description": f"Settings of the process by their names, as `{names[0]}`",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _bounds(fields[name]) for name in names},
    }


def _whole(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """With what it only refers to."""
    named = field.get("$ref")
    return field if named is None else dict(schema["$defs"][named.rpartition("/")[2]])


def _bounds(field: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in field.items() if name not in {"title", "default", "description", "format"}}


def table(schema: dict[str, Any], values: dict[str, Any]) -> str:
    rows = [f"| `{path}` | {meaning} | {_shown(values, path)} |" for path, meaning in leaves(schema, schema, ())]
    return "\n".join(["", "| Value | What it is | Default |", "|---|---|---|", *rows, "", ""])


def leaves(schema: dict[str, Any], part: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every value that holds no others, with what it is. A stage's own values are those of `stageDefaults`."""
    for name, field in part["properties"].items():
        inner = schema["$defs"]["stage"] if field.get("$ref") == "#/$defs/stage" else field
        if "properties" in inner and name != "settings":
            yield from leaves(schema, inner, (*path, name))
        elif name != "global":
            yield ".".join((*path, name)), field["description"]


def _shown(values: Any, path: str) -> str:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    if path == "stages":
        return ", ".join(f"`{name}`" for name in values)
    if values in (None, "", [], {}):
        return ""
    return f"`{values if isinstance(values, str) else json.dumps(values)}`"


if __name__ == "__main__":
    main(*sys.argv[1:])
