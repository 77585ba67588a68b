"""The denoiser with one answer and no progress, which is what an ensemble can hold."""

from __future__ import annotations

from typing import ClassVar

from orrery.stages.stage import Call, StageSettings, Values
from orrery.worlds.contracts import DENOISER, DENOISER_UNARY, StageContract


class DenoiserUnary:
    """Passes its values to the denoiser of the same server."""

    contract: ClassVar[StageContract] = DENOISER_UNARY

    def __init__(self, settings: StageSettings) -> None:
        self._settings = settings

    def run(self, values: Values, call: Call) -> Values:
        return call.infer(DENOISER.name, {**values, "stream": False})
