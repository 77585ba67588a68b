"""The loss curves as a picture."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

WINDOW = 20
"""Points of the log that the drawn line averages over."""


def plot(work: Path, path: Path) -> None:
    """Draws every run's losses under `work`, on logarithmic axes."""
    runs = [
        (folder.name, _read(folder / "loss.jsonl")) for folder in sorted(work.iterdir()) if (folder / "loss.jsonl").exists()
    ]
    figure, axes = plt.subplots(1, len(runs), figsize=(6 * len(runs), 4), squeeze=False)
    for axis, (name, losses) in zip(axes[0], runs, strict=True):
        steps = losses.pop("step")
        for label, values in losses.items():
            axis.plot(steps[: len(_smooth(values))], _smooth(values), label=label, linewidth=1)
        axis.set(title=name, xlabel="step", yscale="log")
        axis.legend()
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _read(path: Path) -> dict[str, np.ndarray]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {name: np.array([line[name] for line in lines]) for name in lines[0]}


def _smooth(values: np.ndarray) -> np.ndarray:
    window = min(WINDOW, len(values))
    return np.convolve(values, np.ones(window) / window, mode="valid")
