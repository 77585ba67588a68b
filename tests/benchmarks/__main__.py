"""`make bench`: every benchmark in one run. Prints tables; its last line is one JSON object with the headline figures."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch

from benchmarks import gateway, handover, idle, overhead, queue, shortcuts, urgency, weights
from e2e.stack import running

CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=100, help="jobs at each concurrency")
    parser.add_argument("--rounds", type=int, default=10, help="hand-overs of each kind")
    parser.add_argument("--idle-seconds", type=float, default=30.0)
    parser.add_argument("--full", action="store_true", help="queues of 10^4 and 10^5 tasks too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, running(Path(home), chosen.models_dir, ensemble=True) as stack:
        headline = overhead.run(stack, chosen.models_dir, chosen.out, chosen.jobs)
        headline |= urgency.run(stack, chosen.out, chosen.rounds)
        headline |= idle.run(stack, chosen.out, chosen.idle_seconds)
    headline |= handover.run(chosen.out, chosen.rounds)
    headline |= gateway.run(chosen.out)
    headline |= weights.run(chosen.out, CPU, layers=2, shard="100MB", rounds=chosen.rounds)
    headline |= shortcuts.run(chosen.out, CPU, layers=2, rounds=chosen.rounds)
    headline |= queue.run(chosen.out, full=chosen.full)
    print(json.dumps(headline))


if __name__ == "__main__":
    main()
