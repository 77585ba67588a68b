"""Frames that condition a world, to latents."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from orrery.stages.arrays import to_tensor
from orrery.stages.framing import fit
from orrery.stages.loading import ComponentCache
from orrery.stages.stage import Call, StageSettings, Values
from orrery.stages.tokenizers import VideoTokenizer, load_tokenizer
from orrery.worlds.components import ComponentKind
from orrery.worlds.contracts import VIDEO_ENCODER, StageContract
from orrery.worlds.errors import InvalidField, InvalidMedia


class VideoEncoder:
    contract: ClassVar[StageContract] = VIDEO_ENCODER

    def __init__(self, settings: StageSettings):
        self._components = ComponentCache(settings, ComponentKind.VIDEO_TOKENIZER, load_tokenizer)

    def run(self, values: Values, call: Call) -> Values:
        """See the contract. Encodes the frames that are meant and none after them."""
        call.check_cancelled()
        frames = to_tensor(_chosen(values), self._components.device).permute(0, 3, 1, 2)
        with self._components.use(values["component"]) as tokenizer:
            _hold(len(frames), tokenizer.compression.temporal)
            latents = _encoded(fit(frames, values["height"], values["width"]), values, tokenizer)
        return {"latents": latents[0].cpu().numpy()}


def _hold(num_frames: int, step: int) -> None:
    if num_frames % step != 1:
        raise InvalidMedia(f"{num_frames} frames cannot be encoded", field="frames", allowed=f"1 + {step}k frames")


def _encoded(frames: torch.Tensor, values: Values, tokenizer: VideoTokenizer) -> torch.Tensor:
    """Latents [1, channels, t, h, w] of uint8 frames [T, 3, H, W], as the official script or diffusers' pipeline makes them."""
    if "posterior_seed" not in values:
        return tokenizer.encode(_video(frames, tokenizer.white))
    seed, num_frames = values["posterior_seed"], values["posterior_frames"]
    return tokenizer.encode_sampled(_video(frames, white=255), seed=seed, num_frames=num_frames)


def _video(frames: torch.Tensor, white: int) -> torch.Tensor:
    """[1, 3, T, H, W] in [-1, 1]."""
    return (frames.float() / white * 2 - 1).transpose(0, 1)[None]


def _chosen(values: Values) -> NDArray[np.uint8]:
    """All frames, or the last of them."""
    frames: NDArray[np.uint8] = values["frames"]
    count = values.get("last_frames", len(frames))
    if not 1 <= count <= len(frames):
        raise InvalidField(f"there are {len(frames)} frames", field="last_frames", allowed=f"1 to {len(frames)}")
    return frames[-count:]
