"""How fast weights come to the device, beside `from_pretrained` on the same files, and what each memory mode takes of it."""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import CosmosTransformer3DModel

from benchmarks.networks import asked, component, seconds_of
from benchmarks.report import show, spread, write
from orrery.engines.weights import load_module, memory_of
from orrery.stages.networks import Network, Networks
from orrery.stages.residency import MODES
from orrery.stages.stage import MemoryMode, StageSettings

NAME = "wide"
JOBS = 3


def run(out: Path, device: torch.device, layers: int, shard: str, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        models_dir = Path(folder)
        component(models_dir, NAME, layers, shard)
        size = memory_of(models_dir / NAME, device).total
        loading = _loading(models_dir, device, rounds)
        memory = {mode.value: _in_mode(models_dir, device, mode) for mode in MemoryMode}
    show(f"Loading {size / 1e9:.2f} GB to {device}, files in the page cache", loading, unit="ms")
    for mode, measured in memory.items():
        print(f"{mode:12}", "  ".join(f"{name} {value}" for name, value in measured.items()))
    write(out, "weights", {"device": str(device), "bytes": size, "layers": layers, "loading": loading, "memory": memory})
    ways = {"load_gb_per_s": "orrery, weights alone", "load_gb_per_s_verified": "orrery, digests read too"}
    ways["load_gb_per_s_from_pretrained"] = [way for way in loading if way.startswith("from_pretrained")][-1]
    return {name: round(size / 1e9 / loading[way].p50, 2) for name, way in ways.items()}


def _loading(models_dir: Path, device: torch.device, rounds: int) -> dict[str, Any]:
    """By turns, after one of each that nobody counts.

    On a processor `from_pretrained` leaves weights in the file, mapped to memory. A stage has them in memory of its own, so
    that is compared too.
    """
    folder = models_dir / NAME
    settings = StageSettings(models_dir, device=str(device), preload=(NAME,))

    def pretrained() -> Any:
        return CosmosTransformer3DModel.from_pretrained(folder, torch_dtype=torch.bfloat16).to(device)

    def copied() -> None:
        for parameter in pretrained().parameters():
            parameter.data = parameter.data.clone()

    ways: dict[str, Callable[[], object]] = {
        "orrery, digests read too": lambda: Networks(settings),
        "orrery, weights alone": lambda: load_module(CosmosTransformer3DModel, folder, device),
        "from_pretrained": pretrained,
    }
    if device.type == "cpu":
        ways["from_pretrained, copied"] = copied
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for counted in range(rounds + 1):
        for name, way in ways.items():
            gc.collect()
            taken = seconds_of(way, device)
            seconds[name] += [taken] if counted else []
    return {name: spread(values) for name, values in seconds.items()}


def _in_mode(models_dir: Path, device: torch.device, mode: MemoryMode) -> dict[str, Any]:
    """Seconds of an evaluation, the bytes that plans count on, and on a GPU also the most that there were and what stayed."""
    # What an earlier mode leaves goes with the garbage only: it would be counted here.
    gc.collect()
    networks = Networks(StageSettings(models_dir, device=str(device), preload=(NAME,), memory=mode))
    values = asked(3, 16, 16, device)
    seconds = []
    for _ in range(JOBS):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        with networks.use(Network(NAME, None, 1.0)) as engine:
            engine(**values)
            seconds += [seconds_of(lambda: engine(**values), device) for _ in range(3)]
    measured: dict[str, Any] = {"evaluation_ms": round(1000 * statistics.median(seconds), 1)}
    measured |= _counted_on(models_dir, device, mode)
    if device.type == "cuda":
        measured |= {"peak": torch.cuda.max_memory_allocated(device), "between_jobs": torch.cuda.memory_allocated(device)}
    return measured


def _counted_on(models_dir: Path, device: torch.device, mode: MemoryMode) -> dict[str, int]:
    """What a stage declares of the weights, so that what cannot fit is refused before it is loaded."""
    size, chosen = memory_of(models_dir / NAME, device), MODES[mode]
    return {"counted": chosen.share(size.total, size.largest), "counted_between_jobs": size.total if chosen.stays else 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--layers", type=int, default=2, help="the 2B networks have 28")
    parser.add_argument("--shard", default="100MB")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    print(json.dumps(run(chosen.out, chosen.device, chosen.layers, chosen.shard, chosen.rounds)))


if __name__ == "__main__":
    main()
