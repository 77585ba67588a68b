"""What a stage is: a class that declares its contract, is built from settings, and maps named values to named values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar, Protocol

from orrery.engines.options import EXACT as EXACT
from orrery.engines.options import Shortcut as Shortcut
from orrery.worlds.catalog import DEFAULT_MODEL
from orrery.worlds.contracts import CONTRACTS, YIELDED, StageContract
from orrery.worlds.upsampling import Fail

Values = Mapping[str, Any]
"""Tensors as NumPy arrays; scalars (dims [1]) as str, bool, int or float; absent optional values are absent keys."""


class EngineHost(StrEnum):
    """Where the denoiser's transformer runs: in the denoiser's own process, or as a Triton model called through BLS."""

    IN_PROCESS = "in_process"
    BLS = "bls"


@dataclass(frozen=True)
class Endpoint:
    """A language model behind OpenAI's API: `url` up to its version, as in `http://vllm:8000/v1`.

    An answer is waited for `seconds`. `fail` says what becomes of a request that it fails.
    """

    url: str
    model: str
    seconds: float = 30.0
    fail: Fail = Fail.OPEN
    api_key: str | None = field(default=None, repr=False)


class MemoryMode(StrEnum):
    """Where weights are: on the device, in the processor's memory between jobs, or there always but for layers that compute."""

    RESIDENT = "resident"
    CPU_OFFLOAD = "cpu_offload"
    LAYERWISE = "layerwise"


@dataclass(frozen=True)
class StageSettings:
    """`models_dir` holds one folder per component; `device` is torch's name; `preload` are components to load at start.

    `default_model` is what a request to an ensemble means that names none. `device_bytes` is how much weights may take of the
    device at a time, None for no bound; `shortcuts` is what the transformer's engine may leave out.
    """

    models_dir: Path
    device: str = "cpu"
    transformer: EngineHost = EngineHost.IN_PROCESS
    preload: tuple[str, ...] = ()
    threads: int | None = None
    default_model: str = DEFAULT_MODEL
    upsampler: Endpoint | None = None
    memory: MemoryMode = MemoryMode.RESIDENT
    device_bytes: int | None = None
    shortcuts: tuple[Shortcut, ...] = EXACT


class Cancelled(Exception):
    """The caller does not want the answer any more."""


class Call(Protocol):
    """What a stage may do while it runs, besides computing."""

    def check_cancelled(self) -> None:
        """Raises `Cancelled` if the request was cancelled."""
        ...

    def wants_yield(self) -> bool:
        """Whether the caller would rather have a checkpoint now than the answer later."""
        ...

    def report(self, **progress: Any) -> None:
        """Streams values of the contract's `progress`."""
        ...

    def infer(self, stage: str, values: Values) -> Values:
        """Calls another stage of the same server (BLS)."""
        ...


class Stage(Protocol):
    contract: ClassVar[StageContract]

    def __init__(self, settings: StageSettings) -> None: ...

    def run(self, values: Values, call: Call) -> Values:
        """The contract's outputs, or `YIELDED_VALUES` if the caller wanted that and has the checkpoint.

        Raises an `OrreryError` for what the client must know, `Cancelled` when stopped.
        """
        ...


YIELDED_VALUES: Values = {YIELDED.name: True}


STAGES: dict[str, str] = {
    "guardrail_text": "orrery.stages.guardrail_text:GuardrailText",
    "text_encoder": "orrery.stages.text_encoder:TextEncoder",
    "video_encoder": "orrery.stages.video_encoder:VideoEncoder",
    "video_decoder": "orrery.stages.video_decoder:VideoDecoder",
    "denoiser": "orrery.stages.denoiser:Denoiser",
    "transformer": "orrery.stages.transformer:Transformer",
    "publisher": "orrery.stages.publisher:Publisher",
    "prompt_upsampler": "orrery.stages.prompt_upsampler:PromptUpsampler",
    "text2world_request": "orrery.stages.text2world_request:Text2WorldRequest",
    "denoiser_unary": "orrery.stages.denoiser_unary:DenoiserUnary",
}
"""Where each stage's class is; resolved late, so that a stage without torch never imports it."""


def stage_class(name: str) -> type[Stage]:
    """The class of a stage of `CONTRACTS`, imported now."""
    cls: type[Stage] = resolve_name(STAGES[CONTRACTS[name].name])
    return cls
