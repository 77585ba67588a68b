"""Writes the table of metrics of docs/operations.md from the code: `python build/operations.py docs/operations.md`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from orrery.dispatcher.metrics import new_metrics as dispatcher_metrics
from orrery.gateway.metrics import new_metrics as gateway_metrics
from orrery.telemetry.instruments import Described, Instruments
from orrery.telemetry.traffic import ArtifactTraffic
from orrery.worker.observing import WorkMetrics

MARKED = re.compile(r"(<!-- metrics: .*?-->\n).*?(<!-- /metrics -->)", re.DOTALL)

MAKERS = {
    "gateway": (gateway_metrics, ArtifactTraffic),
    "dispatcher": (dispatcher_metrics, ArtifactTraffic),
    "stage": (WorkMetrics, ArtifactTraffic),
}


def described() -> dict[Described, list[str]]:
    """Every metric, and the processes that tell it."""
    found: dict[Described, list[str]] = {}
    for process, makers in MAKERS.items():
        made = Instruments()
        for maker in makers:
            maker(made)
        for metric in made.described:
            found.setdefault(metric, []).append(process)
    return found


def table() -> str:
    lines = ["| Metric | Kind | Labels | Told by | What it is |", "|---|---|---|---|---|"]
    for metric, processes in sorted(described().items(), key=lambda item: item[0].name):
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {', '.join(processes)} | {metric.meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(MARKED.sub(lambda match: match[1] + table() + match[2], page.read_text()))
