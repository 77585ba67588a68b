"""NumPy arrays of a call as torch tensors."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray


def to_tensor(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """A copy, which starts where torch aligns its memory.

    An array of a call may start anywhere in shared memory, and kernels round differently at another alignment: without the
    copy the same input could give other bytes the next time.
    """
    return torch.tensor(array, device=device)
