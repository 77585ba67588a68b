"""Stages on a Triton server: tensors by shared memory, scalars inline, progress by a decoupled stream."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import grpc
import numpy as np
from tritonclient import grpc as triton
from tritonclient.grpc import aio
from tritonclient.utils import InferenceServerException

from orrery.worker.shared_memory import SharedRegion, aligned
from orrery.worker.stage_client import Control, OnProgress, StageResult, Values
from orrery.worlds.contracts import CONTROL, PASSING, STAGE_SECONDS, YIELDED, DType, StageContract, Tensor
from orrery.worlds.errors import OrreryError, StageBroken, StageUnavailable
from orrery.worlds.tensors import NUMPY_TYPES, Array, named, to_array, to_value
from orrery.worlds.wire import MARK, decode_error

_THREAD_BYTES = 4 * 1024 * 1024  # a larger copy would hold up the event loop
# How Triton says that it or a model is not there, or that it was started anew and knows no region of before.
_GONE = (
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "NOT_FOUND",
    "Unable to find shared memory region",
)


def by_shared_memory(tensor: Tensor) -> bool:
    """Scalars and strings are cheaper, and possible, only inline."""
    return tensor.dims != (1,) and tensor.dtype is not DType.STRING


class TritonStages:
    """`StageClient` over one server. `shm_bytes` bounds the inputs, and each output, of one request.

    `on_broken` is called when a stage of the server turns out to be gone for good, before that is raised.
    """

    def __init__(self, url: str, *, shm_bytes: int, on_broken: Callable[[], None] = lambda: None) -> None:
        self._client = aio.InferenceServerClient(url)
        self._on_broken = on_broken
        self._shm_bytes = shm_bytes
        self._numbers = itertools.count()
        # Slots stay with their stage: a stage has one instance, so a request that was given up on (and may still write to its
        # slot) is over before the next request of the same stage begins.
        self._idle: defaultdict[str, list[_Slot]] = defaultdict(list)
        self._slots: list[_Slot] = []

    async def ready(self, stage: str) -> bool:
        try:
            return bool(await self._client.is_server_ready() and await self._client.is_model_ready(stage))
        except InferenceServerException:
            return False

    @asynccontextmanager
    async def run(
        self, contract: StageContract, values: Values, on_progress: OnProgress, control: Control | None = None
    ) -> AsyncIterator[StageResult]:
        idle = self._idle[contract.name]
        slot = idle.pop() if idle else self._new_slot()
        try:
            with slot.steered(control or Control()):
                result = await self._infer(slot, contract, values, on_progress)
            yield result
        except (InferenceServerException, grpc.RpcError) as error:
            typed = _typed(str(error))
            if isinstance(typed, StageUnavailable):
                self._forget_slots()
            if isinstance(typed, StageBroken):
                self._on_broken()
            raise typed from error
        finally:
            if slot in self._slots:
                idle.append(slot)

    async def aclose(self) -> None:
        self._forget_slots()
        await self._client.close()

    def _forget_slots(self) -> None:
        """A server that went away took every registration of shared memory with it."""
        for slot in self._slots:
            slot.close()
        self._slots.clear()
        self._idle.clear()

    def _new_slot(self) -> _Slot:
        slot = _Slot(self._client, next(self._numbers), self._shm_bytes)
        self._slots.append(slot)
        return slot

    async def _infer(self, slot: _Slot, contract: StageContract, values: Values, on_progress: OnProgress) -> StageResult:
        inputs = await slot.inputs(contract, values)
        outputs = await slot.outputs(contract)
        if contract.decoupled:
            result = await self._stream(contract, inputs, outputs, on_progress)
        else:
            result = await self._client.infer(contract.name, inputs, outputs=outputs)
        return slot.read(contract, result)

    async def _stream(
        self, contract: StageContract, inputs: list[Any], outputs: list[Any], on_progress: OnProgress
    ) -> triton.InferResult:
        """The last response. Leaving early for any reason cancels the request at the server."""
        request = {"model_name": contract.name, "inputs": inputs, "outputs": outputs, "enable_empty_final_response": True}
        answered = asyncio.Event()
        responses = self._client.stream_infer(_once(request, until=answered))
        final: triton.InferResult | None = None
        try:
            async for result, error in responses:
                if error is not None:
                    raise error
                if _is_final(result):
                    final = result
                    answered.set()
                    continue
                await on_progress(_progress(contract, result))
        except BaseException:
            responses.cancel()
            raise
        finally:
            answered.set()
        if final is not None:
            return final
        raise StageUnavailable(f"{contract.name}: the stream ended before its last response")


class _Slot:
    """Shared memory for one request at a time: one region for inputs, one for each large output."""

    def __init__(self, client: Any, number: int, size: int) -> None:
        self._client = client
        self._number = number
        self._size = size
        self._regions: dict[str, SharedRegion] = {}
        self._control = SharedRegion(f"{number}-control", 1)

    def steered(self, control: Control) -> AbstractContextManager[None]:
        """Meanwhile the stage sees what `control` is told."""
        return control.through(self._control.view(np.dtype(np.uint8), (1,)))

    async def inputs(self, contract: StageContract, values: Values) -> list[Any]:
        """Triton inputs of every value given; arrays are copied into shared memory."""
        tensors = named(contract.triton_inputs)
        if CONTROL in contract.steering:
            values = {**values, CONTROL.name: self._control.name}
        arrays = {name: to_array(tensors[name], value) for name, value in values.items()}
        region = await self._region("in")
        offsets = dict(zip(arrays, _offsets(arrays.values()), strict=True))
        return [await _input(tensors[name], array, region, offsets[name]) for name, array in arrays.items()]

    async def outputs(self, contract: StageContract) -> list[Any]:
        requested = []
        for index, tensor in enumerate(contract.triton_outputs):
            output = triton.InferRequestedOutput(tensor.name)
            # Progress comes inline: the next response may be on its way before a region is read.
            if by_shared_memory(tensor) and tensor not in contract.progress:
                region = await self._region(f"out{index}")
                output.set_shared_memory(region.name, region.size)
            requested.append(output)
        return requested

    def read(self, contract: StageContract, result: triton.InferResult) -> StageResult:
        given = [(i, t) for i, t in enumerate(contract.triton_outputs) if result.get_output(t.name) is not None]
        found = {tensor.name: self._value(index, tensor, result) for index, tensor in given}
        return StageResult(
            outputs={tensor.name: found[tensor.name] for tensor in contract.outputs if tensor.name in found},
            stage_seconds=found[STAGE_SECONDS.name],
            yielded=found.get(YIELDED.name, False),
            passing=found.get(PASSING.name, False),
        )

    def close(self) -> None:
        for region in (self._control, *self._regions.values()):
            region.close()

    def _value(self, index: int, tensor: Tensor, result: triton.InferResult) -> Any:
        if not by_shared_memory(tensor):
            return to_value(tensor, result.as_numpy(tensor.name))
        shape = tuple(result.get_output(tensor.name).shape)
        return self._regions[f"out{index}"].view(np.dtype(NUMPY_TYPES[tensor.dtype]), shape)

    async def _region(self, use: str) -> SharedRegion:
        if use not in self._regions:
            region = SharedRegion(f"{self._number}-{use}", self._size)
            self._regions[use] = region
            await self._client.register_system_shared_memory(region.name, region.key, region.size)
        return self._regions[use]


def _offsets(arrays: Any) -> Iterator[int]:
    offset = 0
    for array in arrays:
        yield offset
        offset = aligned(offset + array.nbytes)


async def _input(tensor: Tensor, array: Array, region: SharedRegion, offset: int) -> Any:
    value = triton.InferInput(tensor.name, array.shape, tensor.dtype.value.replace("STRING", "BYTES"))
    if not by_shared_memory(tensor) or array.nbytes == 0:
        return value.set_data_from_numpy(array)
    target = region.view(array.dtype, array.shape, offset)
    if array.nbytes > _THREAD_BYTES:
        await asyncio.to_thread(np.copyto, target, array)
    else:
        np.copyto(target, array)
    return value.set_shared_memory(region.name, array.nbytes, offset)


async def _once(request: Mapping[str, Any], *, until: asyncio.Event) -> AsyncIterator[Mapping[str, Any]]:
    """One request. The stream stays open until it is answered: its end, come sooner, would be taken for the client's."""
    yield request
    await until.wait()


def _progress(contract: StageContract, result: triton.InferResult) -> dict[str, Any]:
    given = [tensor for tensor in contract.progress if result.get_output(tensor.name) is not None]
    return {tensor.name: to_value(tensor, result.as_numpy(tensor.name)) for tensor in given}


def _is_final(result: triton.InferResult) -> bool:
    return bool(result.get_response().parameters["triton_final_response"].bool_param)


def _typed(text: str) -> OrreryError:
    """The stage's own error if it sent one; else what Triton's words say about trying again."""
    if MARK not in text and any(sign in text for sign in _GONE):
        return StageUnavailable(f"Triton: {text}")
    return decode_error(text)
