"""The transformer as a torch module in this process."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import CosmosTransformer3DModel

from orrery.engines.neighbourhood import Grid, attach
from orrery.engines.options import EXACT, Shortcut
from orrery.engines.shortcuts import FrameTimes, TextMemory
from orrery.engines.weights import load_part
from orrery.worlds.catalog.components import COMPONENTS
from orrery.worlds.neighbourhoods import CONFIG_KEY, Triple, layers_of


class EagerEngine:
    """A `CosmosTransformer3DModel` as an `Engine`, computing in the element type that its weights are stored in."""

    def __init__(self, folder: Path, device: torch.device, shortcuts: Collection[Shortcut] = EXACT):
        config = CosmosTransformer3DModel.load_config(folder)
        self._module = load_part(lambda: _without_projection(config), folder, device, transformer_name)
        self._device = device
        self._grid = Grid()
        _attend(self._module, folder.name, config, self._grid, device)
        self._padded = bool(self._module.config.concat_padding_mask)
        # The module would resize the padding mask with torchvision. The mask is all zero, so the channel is added here.
        self._module.register_to_config(concat_padding_mask=False)
        # Networks that project their text (Predict2.5) compute with times in FP32, older ones with times in their own type.
        self._times_dtype = torch.float32 if config.get("use_crossattn_projection", False) else self._module.dtype
        self._texts = TextMemory(self._module) if Shortcut.TEXT_KV in shortcuts else None
        self._times = FrameTimes(self._module) if Shortcut.FRAME_ADALN in shortcuts else None

    @property
    def network(self) -> torch.nn.Module:
        """Whose layers a LoRA changes. `forget` before and after."""
        network: torch.nn.Module = self._module
        return network

    def forget(self) -> None:
        """What was kept of texts is neither there any more nor would be right for a network that was changed."""
        if self._texts is not None:
            self._texts.forget()

    @torch.inference_mode()
    def __call__(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        condition_mask: torch.Tensor | None,
        rope_fps: float | None,
    ) -> torch.Tensor:
        """See `Engine`."""
        cast = {"device": self._device, "dtype": self._module.dtype}
        self._grid.size = _tokens(self._module, hidden_states)
        channels = with_padding(condition_mask, hidden_states) if self._padded else condition_mask
        if self._times is not None:
            self._times.frames = timestep.shape[2] if timestep.ndim == 5 else None
        sample: torch.Tensor = self._module(
            hidden_states=hidden_states.to(**cast),
            timestep=timestep.to(self._device, self._times_dtype),
            encoder_hidden_states=self._text(encoder_hidden_states, cast),
            fps=rope_fps,
            condition_mask=None if channels is None else channels.to(**cast),
            return_dict=False,
        )[0]
        return sample.float()

    def _text(self, given: torch.Tensor, cast: dict[str, Any]) -> torch.Tensor:
        return given.to(**cast) if self._texts is None else self._texts.taken(given, lambda text: text.to(**cast))


def _without_projection(config: Mapping[str, Any]) -> Any:
    """Text comes projected, where the transformer brings a projection for it: that part is not loaded here."""
    own = {name: value for name, value in config.items() if name != CONFIG_KEY}
    return CosmosTransformer3DModel.from_config(own | {"use_crossattn_projection": False})


def _attend(module: Any, name: str, config: Mapping[str, Any], grid: Grid, device: torch.device) -> None:
    """Raises `ComponentUnusable` if it is not sure how the network attends."""
    known = COMPONENTS.get(name)
    layers = layers_of(name, config, config.get(CONFIG_KEY) if known is None else known.neighbourhoods)
    if layers is not None:
        attach(module, layers, grid, device)


def _tokens(module: Any, hidden_states: torch.Tensor) -> Triple:
    frames, rows, columns = (
        side // patch for side, patch in zip(hidden_states.shape[2:], module.config.patch_size, strict=True)
    )
    return frames, rows, columns


def transformer_name(name: str) -> str | None:
    """The name of a stored tensor; None for those of the projection."""
    return None if name.startswith("crossattn_proj.") else name


def with_padding(mask: torch.Tensor | None, hidden_states: torch.Tensor) -> torch.Tensor:
    """The channels [n, 1 or 2, t, h, w] after the latents, in the order of the weights: the condition mask, then zeros."""
    padding = torch.zeros_like(hidden_states[:, :1])
    return padding if mask is None else torch.cat([mask.to(padding), padding], dim=1)
