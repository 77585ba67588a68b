"""What every `model.py` uses: a stage as a Triton Python-backend model. Imported only inside Triton's Python stub."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import triton_python_backend_utils as pb_utils

from orrery.backend.control import ControlByte
from orrery.backend.settings import settings_from
from orrery.stages.stage import Cancelled, Stage, Values, stage_class
from orrery.worlds.contracts import CONTRACTS, CONTROL, STAGE_SECONDS, StageContract, Tensor
from orrery.worlds.control import YIELD
from orrery.worlds.errors import InvalidRequest, OrreryError, StageFailed
from orrery.worlds.tensors import to_array, to_value
from orrery.worlds.wire import decode_error, encode_error

log = logging.getLogger("orrery.stage")
FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
_HEARD: deque[list[Any]] = deque(maxlen=2)
"""The last answers of other stages. A thread of the stub lets go of its share of them without Python's lock. Were it the last
to, it would free arrays there: see `asked_for`."""


def stage_model(name: str) -> type[StageModel]:
    """The `TritonPythonModel` of the stage `name`."""
    return type("TritonPythonModel", (StageModel,), {"contract": CONTRACTS[name]})


class StageModel:
    """Runs one request at a time; whatever happens to it, the caller gets an answer with a typed error."""

    contract: StageContract

    def initialize(self, _args: dict[str, str]) -> None:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
        # A crash in native code tells Triton's log where it was.
        faulthandler.enable()
        settings = settings_from(os.environ)
        self.stage: Stage = stage_class(self.contract.name)(settings)

    def execute(self, requests: list[Any]) -> list[Any] | None:
        if self.contract.decoupled:
            for request in requests:
                sender = request.get_response_sender()
                sender.send(self._respond(request, partial(StreamedCall, self.contract, request, sender)), flags=FINAL)
            return None
        return [self._respond(request, partial(TritonCall, request)) for request in requests]

    def _respond(self, request: Any, make_call: Callable[[], TritonCall]) -> Any:
        started = time.perf_counter()
        try:
            outputs = dict(self.stage.run(read_inputs(self.contract, request), make_call()))
        except Cancelled:
            return failure("the request was cancelled", pb_utils.TritonError.CANCELLED)
        except OrreryError as error:
            code = pb_utils.TritonError.INVALID_ARG if isinstance(error, InvalidRequest) else pb_utils.TritonError.INTERNAL
            return failure(encode_error(error), code)
        except Exception as error:
            log.exception("%s failed", self.contract.name)
            return failure(encode_error(StageFailed(f"{self.contract.name}: {error}")), pb_utils.TritonError.INTERNAL)
        outputs[STAGE_SECONDS.name] = time.perf_counter() - started
        return pb_utils.InferenceResponse(pb_tensors(asked_for(request, self.contract.triton_outputs), outputs))


class TritonCall:
    """`Call` over one Triton request."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def check_cancelled(self) -> None:
        if self._request.is_cancelled():
            raise Cancelled

    def wants_yield(self) -> bool:
        return False

    def report(self, **_progress: Any) -> None:
        raise TypeError("a stage without progress in its contract cannot report any")

    def infer(self, stage: str, values: Values) -> Values:
        contract = CONTRACTS[stage]
        wanted = [tensor for tensor in contract.outputs if not tensor.optional]
        request = pb_utils.InferenceRequest(
            model_name=stage,
            requested_output_names=[tensor.name for tensor in wanted],
            inputs=pb_tensors(contract.triton_inputs, values),
        )
        responses = list(_responses(request, contract))
        _HEARD.append(responses)
        for response in responses:
            if response.has_error():
                raise decode_error(response.error().message())
            found = {t.name(): t.as_numpy() for t in response.output_tensors()}
            if found:
                return {t.name: to_value(t, found[t.name]) for t in wanted}
        raise StageFailed(f"{stage} ended without an answer")


def _responses(request: Any, contract: StageContract) -> Iterable[Any]:
    return request.exec(decoupled=True) if contract.decoupled else [request.exec()]


class StreamedCall(TritonCall):
    """Sends progress as it comes, unless the caller asked for the last response alone."""

    def __init__(self, contract: StageContract, request: Any, sender: Any) -> None:
        super().__init__(request)
        self._sender = sender
        self._progress = asked_for(request, contract.progress)
        stream = pb_utils.get_input_tensor_by_name(request, "stream")
        self._streaming = stream is None or bool(stream.as_numpy()[0])
        control = pb_utils.get_input_tensor_by_name(request, CONTROL.name)
        self._control = None if control is None else ControlByte(to_value(CONTROL, control.as_numpy()))

    def wants_yield(self) -> bool:
        """Never of a caller that reads no stream: the checkpoint would not reach it."""
        return self._streaming and self._control is not None and self._control.read() == YIELD

    def report(self, **progress: Any) -> None:
        if self._streaming:
            self._sender.send(pb_utils.InferenceResponse(pb_tensors(self._progress, progress)))


def read_inputs(contract: StageContract, request: Any) -> Values:
    """The request's tensors by name, as stages want them."""
    return {tensor.name: to_value(tensor, found.as_numpy()) for tensor, found in _given(contract, request)}


def _given(contract: StageContract, request: Any) -> Iterator[tuple[Any, Any]]:
    for tensor in contract.inputs + contract.parameters + contract.steering:
        found = pb_utils.get_input_tensor_by_name(request, tensor.name)
        if found is not None:
            yield tensor, found


def asked_for(request: Any, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Those of `tensors` that the request wants.

    The stub would drop the others itself, but for a response that is sent it does so without Python's lock. Freeing an array
    there is a crash from Python 3.12 on.
    """
    names = request.requested_output_names()
    return tuple(tensor for tensor in tensors if tensor.name in names)


def pb_tensors(tensors: tuple[Tensor, ...], values: Values) -> list[Any]:
    """Triton tensors of those `tensors` that have a value."""
    return [pb_utils.Tensor(t.name, to_array(t, values[t.name])) for t in tensors if t.name in values]


def failure(message: str, code: int) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
