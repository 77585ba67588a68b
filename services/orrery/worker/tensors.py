"""Between a stage's outputs and artifacts: tensors as safetensors, byte strings and text as they are."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from orrery.artifacts import ArtifactStore
from orrery.worlds.contracts import DType, Tensor
from orrery.worlds.plan import ArtifactRef
from orrery.worlds.tensors import Array

SAFETENSORS = "application/x-safetensors"
_THREAD_BYTES = 1024 * 1024


async def store(artifacts: ArtifactStore, tensor: Tensor, value: Any) -> ArtifactRef:
    """Stores one output: a UINT8 row as raw bytes, a string as UTF-8 JSON text, any other tensor as safetensors."""
    ref = await _stored(artifacts, tensor, value)
    return ref.model_copy(update={"text": value.tobytes().decode()}) if tensor.told else ref


async def _stored(artifacts: ArtifactStore, tensor: Tensor, value: Any) -> ArtifactRef:
    if tensor.dtype is DType.STRING:
        return await artifacts.put(value.encode(), media_type="application/json")
    if _is_bytes(tensor):
        return await artifacts.put(value.tobytes())
    if value.nbytes > _THREAD_BYTES:
        return await artifacts.put(await asyncio.to_thread(save, {tensor.name: value}), media_type=SAFETENSORS)
    return await artifacts.put(save({tensor.name: value}), media_type=SAFETENSORS)


async def fetch(artifacts: ArtifactStore, tensor: Tensor, ref: ArtifactRef) -> Array:
    """One input: the inverse of `store`, whatever the output it comes from was called."""
    data = await artifacts.get(ref)
    if _is_bytes(tensor):
        return np.frombuffer(data, np.uint8)
    tensors = await asyncio.to_thread(load, bytes(data)) if ref.size > _THREAD_BYTES else load(bytes(data))
    (array,) = tensors.values()
    return array


def _is_bytes(tensor: Tensor) -> bool:
    return tensor.dtype is DType.UINT8 and len(tensor.dims) == 1
