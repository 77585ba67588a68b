"""Latents to frames."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from orrery.stages.arrays import to_tensor
from orrery.stages.loading import ComponentCache
from orrery.stages.stage import Call, StageSettings, Values
from orrery.stages.tokenizers import load_tokenizer
from orrery.worlds.catalog.models import Compression
from orrery.worlds.components import ComponentKind
from orrery.worlds.contracts import VIDEO_DECODER, StageContract
from orrery.worlds.errors import InvalidField


class VideoDecoder:
    contract: ClassVar[StageContract] = VIDEO_DECODER

    def __init__(self, settings: StageSettings):
        self._components = ComponentCache(settings, ComponentKind.VIDEO_TOKENIZER, load_tokenizer)

    def run(self, values: Values, call: Call) -> Values:
        """See the contract. Memory beyond the frames themselves is that of one of the tokenizer's parts.

        Frames depend on no later latents, so of those that are not wanted little is computed.
        """
        latents = to_tensor(values["latents"], self._components.device)[None]
        done = 0
        with self._components.use(values["component"]) as tokenizer:
            frames = _empty_frames(latents, tokenizer.compression, values.get("num_frames"))
            for chunk in tokenizer.decode_chunks(latents):
                call.check_cancelled()
                frames[done : done + chunk.shape[1]] = to_uint8(chunk[:, : len(frames) - done])
                done += chunk.shape[1]
                if done >= len(frames):
                    break
        return {"frames": frames}


def _empty_frames(latents: torch.Tensor, compression: Compression, num_frames: int | None) -> NDArray[np.uint8]:
    t, h, w = latents.shape[2:]
    most = 1 + (t - 1) * compression.temporal
    count = most if num_frames is None else num_frames
    if not 1 <= count <= most:
        raise InvalidField(f"the latents are {most} frames", field="num_frames", allowed=f"1 to {most}")
    return np.empty((count, h * compression.spatial, w * compression.spatial, 3), np.uint8)


def to_uint8(pixels: torch.Tensor) -> NDArray[np.uint8]:
    """[3, T, H, W] in [-1, 1] to [T, H, W, 3]; cut and not rounded, as diffusers' video processor and pipelines do."""
    quantised = ((pixels / 2 + 0.5).clamp(0, 1) * 255).to(torch.uint8)
    frames: NDArray[np.uint8] = quantised.permute(1, 2, 3, 0).cpu().numpy()
    return frames
