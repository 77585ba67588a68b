"""What an idle `orrery up` costs: proportional set size of every process, and its share of a core."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.report import write
from e2e.stack import Stack, descendants


def run(stack: Stack, results: Path, seconds: float) -> dict[str, Any]:
    pids = [stack.process.pid, *sorted(descendants(stack.process.pid))]
    processes = [psutil.Process(pid) for pid in pids]
    before = {p.pid: cpu_seconds(p) for p in processes}
    time.sleep(seconds)
    rows = [(label(p), p.memory_full_info().pss, (cpu_seconds(p) - before[p.pid]) / seconds) for p in processes]
    table = Table("process", "PSS MiB", "% of a core", title=f"idle for {seconds:.0f} s")
    for name, pss, share in rows:
        table.add_row(name, f"{pss / 2**20:.0f}", f"{100 * share:.2f}")
    Console().print(table)
    total = {
        "idle_pss_gib": round(sum(pss for _, pss, _ in rows) / 2**30, 2),
        "idle_cpu_percent_of_core": round(100 * sum(share for _, _, share in rows), 2),
    }
    listed = [{"process": name, "pss_bytes": pss, "share_of_core": share} for name, pss, share in rows]
    write(results, "idle", {"seconds": seconds, "processes": listed, **total})
    return total


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def label(process: psutil.Process) -> str:
    """The subcommand of our own processes, the model of a Triton stub, else the program."""
    words = process.cmdline()
    if "orrery.client.cli" in words:
        return f"orrery {words[words.index('orrery.client.cli') + 1]}"
    models = [word for word in words if word.endswith("model.py")]
    return f"stub {Path(models[0]).parents[1].name}" if models else process.name()
