"""A sampler's state as bytes that only the same work can go on from, and when it is time to hand them out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save

from orrery.stages.samplers import SamplerState
from orrery.stages.stage import Values
from orrery.worlds.contracts import StageContract, Tensor
from orrery.worlds.errors import CheckpointRefused
from orrery.worlds.tensors import to_array

_IDENTITY = "identity"
_FORMAT = 1


class Cadence:
    """A checkpoint is due `steps` steps or `seconds` seconds after the last one, whichever comes first; 0 means never."""

    def __init__(self, *, step: int, steps: int, seconds: float, clock: Callable[[], float]) -> None:
        self._steps = steps
        self._seconds = seconds
        self._clock = clock
        self.taken(step)

    def due(self, step: int) -> bool:
        by_steps = 0 < self._steps <= step - self._step
        return by_steps or 0 < self._seconds <= self._clock() - self._time

    def taken(self, step: int) -> None:
        """Counts from here."""
        self._step = step
        self._time = self._clock()


def identity(contract: StageContract, values: Values, fingerprint: str) -> bytes:
    """SHA-256 of everything the result depends on: the contract's version, the weights' fingerprint, inputs and parameters."""
    digest = hashlib.sha256(f"{_FORMAT} {contract.name} {contract.version} {fingerprint}".encode())
    for tensor in contract.inputs + contract.parameters:
        if tensor.name in values:
            shape, data = _plain(tensor, values[tensor.name])
            digest.update(f"\n{tensor.name} {shape} {len(data)}\n".encode())
            digest.update(data)
    return digest.digest()


def pack(state: SamplerState, identity: bytes) -> NDArray[np.uint8]:
    """The state as one UINT8 row, safetensors inside; exact in every bit."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state.to_tensors().items()}
    marked = tensors | {_IDENTITY: torch.frombuffer(bytearray(identity), dtype=torch.uint8)}
    return np.frombuffer(save(marked), dtype=np.uint8)


def unpack(checkpoint: NDArray[np.uint8], identity: bytes, device: torch.device) -> SamplerState:
    """The inverse of `pack`. Raises `CheckpointRefused` if it is not a checkpoint of the work that `identity` names."""
    tensors = _tensors(checkpoint)
    found = tensors.pop(_IDENTITY, None)
    if found is None or found.numpy().tobytes() != identity:
        raise CheckpointRefused("the checkpoint belongs to other work: its inputs, parameters or weights are not these")
    # Copies, which start where torch aligns its memory: kernels round differently at another alignment.
    return SamplerState.from_tensors({name: tensor.clone().to(device) for name, tensor in tensors.items()})


def _tensors(checkpoint: NDArray[np.uint8]) -> dict[str, torch.Tensor]:
    try:
        tensors: Mapping[str, torch.Tensor] = load(checkpoint.tobytes())
    except SafetensorError as error:
        raise CheckpointRefused(f"this is no checkpoint: {error}") from error
    return dict(tensors)


def _plain(tensor: Tensor, value: object) -> tuple[tuple[int, ...], bytes]:
    """Shape and bytes in the contract's own element type, so that 7 and 7.0 are one guidance scale."""
    if isinstance(value, str):
        return (1,), value.encode()
    array = to_array(tensor, value)
    return array.shape, array.tobytes()
