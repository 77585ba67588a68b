"""What each shortcut of the engine saves: operations at the released size, and time at the released width with few layers.

Operations are counted by torch on a device without memory, where a whole 2B network runs in no time. Beside them is what the
video encoder does not do: it encodes the frames that are given, not the clip that they are the beginning of.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import WORDS, asked, component, network, seconds_of
from benchmarks.report import Spread, show, spread, write
from orrery.engines.eager import EagerEngine, with_padding
from orrery.engines.options import Shortcut
from orrery.engines.pairing import PairedEngine
from orrery.engines.shortcuts import FrameTimes, TextMemory

META = torch.device("meta")
LAYERS = 28
CLIPS = {"world, 93 frames of 1280x704": (24, 88, 160), "image of 1360x768": (1, 96, 170)}
NAME = "wide"


def run(out: Path, device: torch.device, layers: int, rounds: int) -> dict[str, Any]:
    saved = {name: _operations(*shape) for name, shape in CLIPS.items()} | {"encoding of frames": _encoding()}
    with tempfile.TemporaryDirectory() as folder:
        component(Path(folder), NAME, layers, "5GB")
        seconds, differences = _timed(Path(folder) / NAME, device, rounds)
    _print(saved)
    show(f"One guided step, {layers} layers of real width on {device}", seconds)
    print("largest difference from the plain step, of its largest value:", differences)
    told = {"flops": saved, "seconds": seconds, "differ": differences}
    write(out, "shortcuts", {"device": str(device), "layers": layers} | told)
    return {"frame_adaln_flops_saved": saved["world, 93 frames of 1280x704"]["frame_adaln"]["saved"]}


def _count(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return int(counter.get_total_flops())


def _operations(frames: int, height: int, width: int) -> dict[str, dict[str, float]]:
    """Of one evaluation after the first, plain and with each shortcut."""
    counted = {"plain": _evaluation(frames, height, width)}
    for shortcut in (Shortcut.TEXT_KV, Shortcut.FRAME_ADALN):
        counted[shortcut.value] = _evaluation(frames, height, width, shortcut)
    plain = counted["plain"]
    return {name: {"flops": flops, "saved": round(1 - flops / plain, 5)} for name, flops in counted.items()}


def _evaluation(frames: int, height: int, width: int, shortcut: Shortcut | None = None) -> int:
    """An image's network has no frame that is given, and one noise level for all."""
    clip = frames > 1
    with META:
        module = network(LAYERS, in_channels=17 if clip else 16)
    values = {name: one if one is None else one.to(torch.bfloat16) for name, one in asked(frames, height, width, META).items()}
    channels = with_padding(values["condition_mask"] if clip else None, values["hidden_states"])
    timestep = values["timestep"] if clip else values["timestep"].reshape(1)
    module.register_to_config(concat_padding_mask=False)
    texts = TextMemory(module) if shortcut is Shortcut.TEXT_KV else None
    if shortcut is Shortcut.FRAME_ADALN:
        FrameTimes(module).frames = frames if clip else None

    def evaluate() -> None:
        text = values["encoder_hidden_states"]
        taken = text if texts is None else texts.taken(text, lambda one: one)
        module(values["hidden_states"], timestep, taken, condition_mask=channels, return_dict=False)

    if texts is not None:
        _count(evaluate)
    return _count(evaluate)


def _encoding() -> dict[str, dict[str, float]]:
    """Of 5 frames and of 1 at 1280x704, and of the 93 that they are the first of."""
    with META:
        vae = AutoencoderKLWan()
    counted = {str(n): _count(lambda n=n: vae.encode(torch.empty((1, 3, n, 704, 1280), device=META))) for n in (93, 5, 1)}
    return {f"{n} frames": {"flops": flops, "saved": round(1 - flops / counted["93"], 5)} for n, flops in counted.items()}


def _timed(folder: Path, device: torch.device, rounds: int) -> tuple[dict[str, Spread], dict[str, float]]:
    """A step evaluates both branches. By turns, after one of each that nobody counts."""
    values = asked(3, 16, 16, device)
    text, negative = values.pop("encoder_hidden_states"), torch.zeros((1, WORDS, 1024), device=device)
    plain = EagerEngine(folder, device, ())
    engines: dict[str, Any] = {"plain": plain}
    engines |= {one.value: EagerEngine(folder, device, (one,)) for one in (Shortcut.TEXT_KV, Shortcut.FRAME_ADALN)}
    engines[Shortcut.BATCHED_GUIDANCE.value] = PairedEngine(plain, text, negative)
    steps = {name: _step(engine, values, text, negative) for name, engine in engines.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    expected = steps["plain"]()
    differ = {name: float((step() - expected).abs().max() / expected.abs().max()) for name, step in steps.items()}
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(seconds_of(step, device))
    return {name: spread(taken) for name, taken in seconds.items()}, differ


def _step(engine: Any, values: dict[str, Any], text: torch.Tensor, negative: torch.Tensor) -> Callable[[], torch.Tensor]:
    def step() -> torch.Tensor:
        order = values["hidden_states"], values["timestep"]
        rest = values["condition_mask"], values["rope_fps"]
        return torch.cat([engine(*order, words, *rest) for words in (text, negative)])

    return step


def _print(saved: dict[str, dict[str, dict[str, float]]]) -> None:
    table = Table("", "", "TFLOP", "saved", title=f"Operations of one evaluation, {LAYERS} layers")
    for name, rows in saved.items():
        for shortcut, row in rows.items():
            table.add_row(name, shortcut, f"{row['flops'] / 1e12:.2f}", f"{100 * row['saved']:.2f} %")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    print(json.dumps(run(chosen.out, chosen.device, chosen.layers, chosen.rounds)))


if __name__ == "__main__":
    main()
