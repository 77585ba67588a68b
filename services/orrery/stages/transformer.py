"""The transformer as a stage of its own, for a denoiser that calls it through BLS."""

from __future__ import annotations

from typing import ClassVar

from orrery.stages.arrays import to_tensor
from orrery.stages.networks import Network, Networks
from orrery.stages.stage import Call, StageSettings, Values
from orrery.worlds.contracts import TRANSFORMER, StageContract


class Transformer:
    contract: ClassVar[StageContract] = TRANSFORMER

    def __init__(self, settings: StageSettings):
        self._networks = Networks(settings)

    def run(self, values: Values, call: Call) -> Values:  # noqa: ARG002  one evaluation is too short to be cancelled
        """See the contract. A timestep without a condition mask, or one for several frames, is for all of them."""
        tensors = {t.name: to_tensor(values[t.name], self._networks.device) for t in self.contract.inputs if t.name in values}
        if "condition_mask" not in tensors or tensors["timestep"].numel() < tensors["hidden_states"].shape[2]:
            tensors["timestep"] = tensors["timestep"].reshape(1)
        with self._networks.use(Network.of(values)) as engine:
            sample = engine(
                tensors["hidden_states"],
                tensors["timestep"],
                tensors["encoder_hidden_states"],
                tensors.get("condition_mask"),
                values.get("rope_fps"),
            )
        return {"sample": sample.cpu().numpy()}
