"""What both trainings share: the learning rate, the average of the weights, checkpoints and the log of losses."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

CHECKPOINT_EVERY_SECONDS = 120.0
LOG_EVERY = 50
DECAY = 1e-3
"""Of weights."""


def half_precision(device: torch.device) -> torch.autocast:
    """BF16 where the machine computes in it: on a GPU, and on processors with instructions for it, several times faster."""
    able = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=able)


def learning_rate(step: int, total: int, peak: float, warm_up: int) -> float:
    """Up in a line, then down along half a cosine to a hundredth of the peak."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    progress = (step - warm_up) / max(1, total - warm_up)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Graphed:
    """A module whose passes are replayed as CUDA graphs, one for each set of shapes; elsewhere simply the module.

    Small networks spend most of a step on launching kernels: replayed, a step takes a fraction of the time.
    """

    def __init__(self, module: torch.nn.Module):
        self._module = module
        self._captured: dict[tuple[torch.Size, ...], Any] = {}

    def __call__(self, *inputs: torch.Tensor) -> Any:
        if not inputs[0].is_cuda:
            return self._module(*inputs)
        shapes = tuple(tensor.shape for tensor in inputs)
        if shapes not in self._captured:
            examples = tuple(tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in inputs)
            self._captured[shapes] = torch.cuda.make_graphed_callables(_Holder(self._module), examples)
        return self._captured[shapes](*inputs)


def compile_blocks(transformer: Any, device: torch.device) -> None:
    """On a GPU. Single blocks, which are alike, compile in a fraction of the time of the whole."""
    if device.type == "cuda":
        for block in transformer.transformer_blocks:
            block.compile(dynamic=False)


class _Holder(torch.nn.Module):
    """What is captured has its `forward` replaced; this keeps it from happening to the module itself."""

    def __init__(self, held: torch.nn.Module):
        super().__init__()
        self.held = held

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.held(*inputs)


class Average:
    """Exponential moving average of a module's parameters; young averages forget faster."""

    def __init__(self, module: torch.nn.Module, decay: float):
        self._module, self._decay = module, decay
        self.values = [parameter.detach().clone() for parameter in module.parameters()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, list(self._module.parameters()), 1 - decay)

    @torch.no_grad()
    def write_to(self, module: torch.nn.Module) -> None:
        """Gives another module of the same make the averaged weights."""
        for parameter, value in zip(module.parameters(), self.values, strict=True):
            parameter.copy_(value)


def optimisers(module: torch.nn.Module, *, muon: bool) -> list[torch.optim.Optimizer]:
    """AdamW; with `muon` the matrices of a transformer's blocks learn by Muon, at rates that are those of AdamW.

    Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; Liu et al. 2025, "Muon is scalable for LLM
    training" for the scale of its steps.
    """
    named = list(module.named_parameters())
    matrices = [parameter for name, parameter in named if muon and parameter.ndim == 2 and "transformer_blocks." in name]
    taken = set(map(id, matrices))
    others = [parameter for _, parameter in named if id(parameter) not in taken]
    adam = torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=DECAY, fused=others[0].is_cuda)
    return [adam, torch.optim.Muon(matrices, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw")] if matrices else [adam]


class Run:
    """One resumable training: a folder with `checkpoint.pt` and `loss.jsonl`."""

    def __init__(
        self, folder: Path, module: torch.nn.Module, *, rate: float, total: int, warm_up: int, decay: float, muon: bool = False
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.module, self.total = folder, module, total
        self._rate, self._warm_up = rate, warm_up
        self._optimisers = optimisers(module, muon=muon)
        self.average = Average(module, decay)
        self.step = 0
        self._saved = time.monotonic()
        self._resume()

    def train(self, loss_of: Callable[[int], dict[str, torch.Tensor]]) -> None:
        """Steps until `total`. `loss_of(step)` gives the losses of a batch by name; `loss` is what is minimised."""
        started, since = time.monotonic(), self.step
        while self.step < self.total:
            losses = self._advance(loss_of)
            if self.step % LOG_EVERY == 0 or self.step == self.total:
                speed = (self.step - since) / (time.monotonic() - started)
                self._log({name: value.item() for name, value in losses.items()}, speed)
            if time.monotonic() - self._saved > CHECKPOINT_EVERY_SECONDS:
                self.save()
        self.save()

    def _advance(self, loss_of: Callable[[int], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        losses = loss_of(self.step)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(self.step, self.total, self._rate, self._warm_up)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.average.update(self.step)
        return losses

    def _log(self, losses: dict[str, float], speed: float) -> None:
        line = {"step": self.step, **losses}
        with (self.folder / "loss.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        shown = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
        print(f"{self.folder.name} {self.step}/{self.total}  {shown}  {speed:.2f} steps/s", flush=True)

    def save(self) -> None:
        state: dict[str, Any] = {
            "step": self.step,
            "module": self.module.state_dict(),
            "average": self.average.values,
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
        }
        torch.save(state, self.folder / "checkpoint.part")
        os.replace(self.folder / "checkpoint.part", self.folder / "checkpoint.pt")
        self._saved = time.monotonic()

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=next(self.module.parameters()).device, weights_only=True)
        self.module.load_state_dict(state["module"])
        for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.average.values = state["average"]
        self.step = state["step"]
