"""`make chaos DURATION=600 SEED=7`: the seed is printed and reproduces the schedule; the last line is one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
from pathlib import Path

from chaos.campaign import Campaign


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=None, help="half a job a second if not given")
    parser.add_argument("--models-dir", type=Path, required=True)
    chosen = parser.parse_args()
    seed = secrets.randbelow(2**31) if chosen.seed is None else chosen.seed
    jobs = chosen.jobs if chosen.jobs is not None else max(10, int(chosen.duration / 2))
    print(f"seed {seed}, {chosen.duration:.0f} s, {jobs} jobs", flush=True)
    with tempfile.TemporaryDirectory() as home:
        campaign = Campaign(seed, chosen.duration, jobs, Path(home), chosen.models_dir)
        verdict = asyncio.run(campaign.run(lambda text: print(text, flush=True)))
    for fault in verdict.faults:
        print(fault)
    print(json.dumps(verdict.as_dict()))
    sys.exit(1 if verdict.faults else 0)


if __name__ == "__main__":
    main()
