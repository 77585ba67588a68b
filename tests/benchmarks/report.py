"""Numbers with their spread, written to a file and shown as a table."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Spread:
    """Seconds, unless the name says otherwise."""

    n: int
    p50: float
    p95: float
    minimum: float
    maximum: float


def spread(values: Sequence[float]) -> Spread:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return Spread(len(ordered), statistics.median(ordered), p95, ordered[0], ordered[-1])


def write(folder: Path, name: str, result: dict[str, Any]) -> None:
    """`bench-results/<name>.json`: the machine, then everything measured."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = {"cores": psutil.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    body = {"machine": machine, **result}
    (folder / f"{name}.json").write_text(json.dumps(body, indent=1, default=asdict) + "\n")


def show(title: str, rows: dict[str, Spread], unit: str = "ms") -> None:
    scale = 1000 if unit == "ms" else 1
    table = Table("", "n", f"p50 {unit}", f"p95 {unit}", f"min {unit}", f"max {unit}", title=title)
    for name, s in rows.items():
        table.add_row(name, str(s.n), *(f"{scale * value:.1f}" for value in (s.p50, s.p95, s.minimum, s.maximum)))
    Console().print(table)
