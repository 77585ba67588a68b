"""Writes the Grafana dashboard from the table of its panels: `python build/dashboard.py helm/orrery/files/dashboard.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, ACROSS = 8, 8, 3
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """`queries` are expressions by the legend of their lines; `unit` is Grafana's."""

    title: str
    unit: str
    tells: str
    queries: dict[str, str]
    kind: str = "timeseries"


def rate(name: str, by: str, where: str = "") -> str:
    return f"sum by ({by}) (rate(orrery_{name}{where}[$__rate_interval]))"


def quantile(share: float, name: str, by: str) -> str:
    return f"histogram_quantile({share}, {rate(f'{name}_bucket', f'{by}, le')})"


def mean(name: str, by: str) -> str:
    return f"{rate(f'{name}_sum', by)} / {rate(f'{name}_count', by)}"


def greatest(name: str, by: str) -> str:
    """Of what every gateway or dispatcher tells alike."""
    return f"max by ({by}) (rate(orrery_{name}[$__rate_interval]))"


def over_all(share: float, name: str, where: str = "") -> str:
    return f"histogram_quantile({share}, {rate(f'{name}_bucket', 'le', where)})"


def triton(name: str) -> str:
    return f"sum by (model) (rate(nv_inference_{name}[$__rate_interval]))"


OURS = "orrery_job_store_up or orrery_triton_restarts_total"
"""One metric that each of our processes has."""

HIT = '{result="hit"}'
SUBMIT = '{method="POST",route="/v1/videos"}'
POOL = "{{stage}} {{component}}"
WORK = "stage, component"

ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        Panel("Waiting tasks", "short", "Over all pools.", {"": "sum(max by (pool) (orrery_pool_waiting))"}, "stat"),
        Panel("Running tasks", "short", "Over all pools.", {"": "sum(max by (pool) (orrery_pool_running))"}, "stat"),
        Panel("Dead jobs", "short", "Jobs that used up their attempts.", {"": "max(orrery_dead_jobs)"}, "stat"),
    ),
    "Queue": (
        Panel("Waiting by pool", "short", "Tasks that no worker holds.", {"{{pool}}": "max by (pool) (orrery_pool_waiting)"}),
        Panel("Running by pool", "short", "Tasks that a worker holds.", {"{{pool}}": "max by (pool) (orrery_pool_running)"}),
        Panel(
            "Workers by pool",
            "short",
            "Live workers that announced the pool.",
            {"{{pool}}": "max by (pool) (orrery_pool_workers)"},
        ),
        Panel(
            "Depth by stage",
            "short",
            "Waiting and running: what stages are scaled by.",
            {"{{stage}}": "max by (stage) (orrery_stage_depth)"},
        ),
        Panel(
            "Wait of a task",
            "s",
            "From when it was queued until a worker claimed it.",
            {
                f"median {POOL}": quantile(0.5, "task_wait_seconds", WORK),
                f"95 % {POOL}": quantile(0.95, "task_wait_seconds", WORK),
            },
        ),
        Panel(
            "Jobs",
            "ops",
            "Taken, and ended by what came of them.",
            {
                "taken {{workflow}}": rate("jobs_submitted_total", "workflow"),
                "{{state}}": greatest("jobs_ended_total", "state"),
            },
        ),
    ),
    "Work": (
        Panel(
            "Seconds in the stage", "s", "The mean, without tasks that were remembered.", {POOL: mean("stage_seconds", WORK)}
        ),
        Panel(
            "Seconds of a task", "s", "The mean from claim to end, with inputs and outputs.", {POOL: mean("task_seconds", WORK)}
        ),
        Panel("Steps per second", "ops", "Over all workers.", {POOL: rate("step_seconds_count", WORK)}),
        Panel(
            "Seconds of a step",
            "s",
            "",
            {f"median {POOL}": quantile(0.5, "step_seconds", WORK), f"95 % {POOL}": quantile(0.95, "step_seconds", WORK)},
        ),
        Panel(
            "Seconds to keep a checkpoint", "s", "Beside the stage, not in its way.", {POOL: mean("checkpoint_seconds", WORK)}
        ),
        Panel("Checkpoint bytes", "Bps", "", {POOL: rate("checkpoint_bytes_total", WORK)}),
        Panel(
            "Share of tasks that were remembered",
            "percentunit",
            "Their outputs were there already.",
            {POOL: f"{rate('memo_lookups_total', WORK, HIT)} / {rate('memo_lookups_total', WORK)}"},
        ),
        Panel("Tasks by outcome", "ops", "", {"{{outcome}}": rate("tasks_total", "outcome")}),
        Panel(
            "Seconds of a job",
            "s",
            "From submission to completion.",
            {"median {{workflow}}": f"histogram_quantile(0.5, {greatest('job_seconds_bucket', 'workflow, le')})"},
        ),
    ),
    "What should be rare": (
        Panel(
            "Leases lost, retries, preemptions, dead letters",
            "ops",
            "As the job store counts them.",
            {
                f"{name} {{{{pool}}}}": greatest(f"{name}_total", "pool")
                for name in ("leases_lost", "retries", "preemptions", "dead_letters")
            },
        ),
        Panel("Stages that are ready", "bool_yes_no", "", {"{{stage}} {{instance}}": "orrery_stage_ready"}),
        Panel("Restarts of Triton", "short", "", {"{{instance}}": "increase(orrery_triton_restarts_total[$__rate_interval])"}),
        Panel("Failed jobs by error", "ops", "", {"{{code}}": greatest("jobs_failed_total", "code")}),
        Panel("Refused submissions", "ops", "By the code of the error.", {"{{code}}": rate("submit_rejections_total", "code")}),
        Panel(
            "Error of forecasts",
            "percentunit",
            "What a client was told when its job was taken, beside what came.",
            {"median": over_all(0.5, "eta_error_ratio"), "95 %": over_all(0.95, "eta_error_ratio")},
        ),
    ),
    "Gateway": (
        Panel("Requests by route", "reqps", "", {"{{method}} {{route}}": rate("http_requests_total", "method, route")}),
        Panel("Requests by status", "reqps", "", {"{{status}}": rate("http_requests_total", "status")}),
        Panel(
            "Seconds of POST /v1/videos",
            "s",
            "",
            {"median": over_all(0.5, "http_request_seconds", SUBMIT), "99 %": over_all(0.99, "http_request_seconds", SUBMIT)},
        ),
        Panel("gRPC calls", "reqps", "", {"{{method}} {{code}}": rate("grpc_calls_total", "method, code")}),
        Panel("Seconds to decode an upload", "s", "", {"{{job}}": mean("upload_decode_seconds", "job")}),
        Panel(
            "Memory of each process",
            "bytes",
            "Without Triton's.",
            {"{{job}} {{instance}}": f"process_resident_memory_bytes and on (instance) ({OURS})"},
        ),
    ),
    "Stores and webhooks": (
        Panel(
            "Artifact bytes",
            "Bps",
            "To and from the artifact store.",
            {
                "read {{job}}": rate("artifact_read_bytes_total", "job"),
                "written {{job}}": rate("artifact_written_bytes_total", "job"),
            },
        ),
        Panel("Artifact errors", "ops", "", {"{{code}}": rate("artifact_errors_total", "code")}),
        Panel("Artifacts stored", "bytes", "At the last sweep.", {"{{which}}": "max by (which) (orrery_artifact_bytes)"}),
        Panel(
            "Swept", "short", "Since the dispatcher started.", {"{{what}} {{done}}": "sum by (what, done) (orrery_swept_total)"}
        ),
        Panel("Job store answers", "bool_yes_no", "", {"{{instance}}": "orrery_job_store_up"}),
        Panel(
            "Webhooks",
            "ops",
            "Attempts by outcome, and how many are owed.",
            {"{{outcome}}": rate("webhook_attempts_total", "outcome"), "owed": "max(orrery_webhooks_pending)"},
        ),
    ),
    "Triton": (
        Panel("Requests", "reqps", "Triton's own count.", {"{{model}}": triton("request_success")}),
        Panel("Failures", "reqps", "", {"{{model}}": triton("request_failure")}),
        Panel(
            "Seconds of a request",
            "s",
            "The mean, as Triton sees it.",
            {"{{model}}": f"{triton('request_duration_us')} / {triton('request_success')} / 1e6"},
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """As Grafana imports it; the source of data is chosen there."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "title": "Orrery",
        "uid": "orrery",
        "tags": ["orrery"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [source]},
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    top, number = 0, 1
    for row, panels in ROWS.items():
        yield {"type": "row", "title": row, "id": number, "collapsed": False, "panels": [], "gridPos": _place(0, top, 24, 1)}
        top, number = top + 1, number + 1
        for index, panel in enumerate(panels):
            across, down = index % ACROSS, index // ACROSS
            yield _panel(panel, number) | {"gridPos": _place(across * WIDTH, top + down * HEIGHT, WIDTH, HEIGHT)}
            number += 1
        top += HEIGHT * -(-len(panels) // ACROSS)


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for index, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.tells,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": targets,
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(dashboard(), indent=1) + "\n")
