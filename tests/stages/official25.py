"""The sampling loops of cosmos-predict2.5, written down once more in FP64, around a network that computes in FP32."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import CosmosTransformer3DModel
from safetensors.torch import load_file

from stages.test_unipc import by_the_paper, karras_by_hand, shifted_by_hand


class Network:
    """The transformer's velocity with guidance, for text alone. `texts` are what its blocks are given: projected already."""

    def __init__(self, folder: Path, texts: Sequence[np.ndarray], guidance_scale: float):
        config = {
            **CosmosTransformer3DModel.load_config(folder),
            "use_crossattn_projection": False,
            "concat_padding_mask": False,
        }
        self._module = CosmosTransformer3DModel.from_config(config | {"in_channels": config["in_channels"] + 1}).eval()
        weights = load_file(folder / "diffusion_pytorch_model.safetensors")
        self._module.load_state_dict({name: w for name, w in weights.items() if not name.startswith("crossattn_proj")})
        self._texts = [torch.from_numpy(text)[None] for text in texts]
        self._scale = guidance_scale

    @torch.inference_mode()
    def __call__(self, latents: np.ndarray, t: float) -> np.ndarray:
        """The velocity of a flow's state at level `t`, with two empty channels after the latents: no condition, no padding."""
        state = torch.from_numpy(latents).float()
        empty = torch.zeros(1, 2, *state.shape[2:])
        told = torch.full((1, 1, state.shape[2], 1, 1), t)
        arguments = {"hidden_states": state, "timestep": told, "condition_mask": empty, "return_dict": False}
        conditional, unconditional = (
            self._module(encoder_hidden_states=text, **arguments)[0].double().numpy() for text in self._texts
        )
        velocity: np.ndarray = conditional + self._scale * (conditional - unconditional)
        return velocity


def cut(network: Network) -> Callable[[np.ndarray, float], np.ndarray]:
    """Official code tells its networks whole thousandths."""
    return lambda latents, t: network(latents, math.floor(1000 * t) / 1000)


def karras(network: Network, noise: torch.Tensor, num_steps: int) -> np.ndarray:
    return by_the_paper(noise.double().numpy(), karras_by_hand(num_steps + 1), cut(network))


def shifted(network: Network, noise: torch.Tensor, num_steps: int) -> np.ndarray:
    return by_the_paper(noise.double().numpy(), shifted_by_hand(num_steps), cut(network))


def distilled(network: Network, noise: torch.Tensor, num_steps: int) -> np.ndarray:
    """Clean estimates of a flow whose levels are 1, 15/16, 5/6 and 5/8, from the same noise each time."""
    noise_, x0 = noise.double().numpy(), np.zeros(noise.shape)
    for t in (1.0, 15 / 16, 5 / 6, 5 / 8)[:num_steps]:
        flow = (1 - t) * x0 + t * noise_
        x0 = flow - t * network(flow, t)
    return x0


OFFICIAL = {"unipc_karras": karras, "unipc_shifted": shifted, "trigflow": distilled}
"""By the sampler's name: (network, noise, steps) to latents."""
