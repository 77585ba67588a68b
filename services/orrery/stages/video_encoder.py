"""Frames that condition a world, to latents."""

from __future__ import annotations

from typing import ClassVar

import torch

from orrery.stages.arrays import to_tensor
from orrery.stages.framing import fit
from orrery.stages.loading import ComponentCache
from orrery.stages.stage import Call, StageSettings, Values
from orrery.stages.wan import WanTokenizer
from orrery.worlds.catalog.models import Compression
from orrery.worlds.components import ComponentKind
from orrery.worlds.contracts import VIDEO_ENCODER, StageContract
from orrery.worlds.errors import InvalidMedia


class VideoEncoder:
    contract: ClassVar[StageContract] = VIDEO_ENCODER

    def __init__(self, settings: StageSettings):
        self._components = ComponentCache(settings, ComponentKind.VIDEO_TOKENIZER, WanTokenizer)

    def run(self, values: Values, call: Call) -> Values:
        """See the contract. Encodes the frames it is given and none after them."""
        call.check_cancelled()
        video = _video(values, self._components.device)
        with self._components.use(values["component"]) as tokenizer:
            if "posterior_seed" in values:
                seed, num_frames = values["posterior_seed"], values["posterior_frames"]
                latents = tokenizer.encode_sampled(video, seed=seed, num_frames=num_frames)
            else:
                latents = tokenizer.encode(video)
        return {"latents": latents[0].cpu().numpy()}


def _video(values: Values, device: torch.device) -> torch.Tensor:
    """[1, 3, T, H, W] in [-1, 1] at the size asked for."""
    frames = to_tensor(values["frames"], device).permute(0, 3, 1, 2)
    step = Compression().temporal
    if len(frames) % step != 1:
        raise InvalidMedia(f"{len(frames)} frames cannot be encoded", field="frames", allowed=f"1 + {step}k frames")
    fitted = fit(frames, values["height"], values["width"]).float() / 255 * 2 - 1
    return fitted.transpose(0, 1)[None]
