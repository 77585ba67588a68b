"""The transformer as another model of the same Triton server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from orrery.worlds.contracts import TRANSFORMER

Infer = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Calls a stage by name with its contract's values."""


class BlsEngine:
    """Asks the `transformer` stage for each evaluation, so that any backend of Triton can serve it."""

    def __init__(self, infer: Infer, network: Mapping[str, Any], device: torch.device):
        """`network` are the values of the contract that say which network is wanted."""
        self._infer = infer
        self._network = network
        self._device = device

    def __call__(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        condition_mask: torch.Tensor | None,
        rope_fps: float | None,
    ) -> torch.Tensor:
        """See `Engine`."""
        values: dict[str, Any] = {
            **self._network,
            "hidden_states": _array(hidden_states),
            "timestep": _array(timestep).reshape(1, 1, -1, 1, 1),
            "encoder_hidden_states": _array(encoder_hidden_states),
        }
        if condition_mask is not None:
            values["condition_mask"] = _array(condition_mask)
        if rope_fps is not None:
            values["rope_fps"] = rope_fps
        sample = self._infer(TRANSFORMER.name, values)["sample"]
        return torch.tensor(sample, device=self._device)


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().cpu().contiguous().numpy()
    return array
