"""Between the values a stage works on and Triton's tensors. Knows NumPy, not Triton."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from orrery.worlds.contracts import DType, Tensor

Array = npt.NDArray[Any]

NUMPY_TYPES: dict[DType, Any] = {
    DType.BOOL: np.bool_,
    DType.UINT8: np.uint8,
    DType.INT32: np.int32,
    DType.INT64: np.int64,
    DType.FP32: np.float32,
    DType.FP64: np.float64,
    DType.STRING: np.object_,
}


def to_value(tensor: Tensor, array: Array) -> Any:
    """A scalar (dims [1]) becomes str, bool, int or float; anything else stays an array."""
    if tensor.dims != (1,):
        return array
    item = array.reshape(-1)[0]
    return item.decode() if tensor.dtype is DType.STRING else item.item()


def to_array(tensor: Tensor, value: Any) -> Array:
    """The inverse of `to_value`; contiguous, of the contract's type. Raises `ValueError` if the rank is another."""
    if tensor.dims == (1,):
        value = [value.encode()] if tensor.dtype is DType.STRING else [value]
    array = np.ascontiguousarray(np.asarray(value, dtype=NUMPY_TYPES[tensor.dtype]))
    if array.ndim != len(tensor.dims):
        raise ValueError(f"{tensor.name} has {array.ndim} dimensions, the contract says {list(tensor.dims)}")
    return array


def named(tensors: Iterable[Tensor]) -> dict[str, Tensor]:
    return {tensor.name: tensor for tensor in tensors}
