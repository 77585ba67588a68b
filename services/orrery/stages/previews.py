"""Small pictures of latents, by a linear map from their channels to colours. `colours.py` finds the map."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image

from orrery.stages.checkpoints import Cadence
from orrery.worlds.components import LatentRgb
from orrery.worlds.contracts import PREVIEW, PREVIEW_SIZE

LONG_SIDE = 256
"""The most pixels that a preview is enlarged to."""

QUALITY = 80


class Previews:
    """Pictures of a sampler's estimates, `seconds` apart or more; none for 0, or without a map."""

    def __init__(self, rgb: LatentRgb | None, *, seconds: float, clock: Callable[[], float]) -> None:
        self._rgb = rgb
        self._cadence = Cadence(step=0, steps=0, seconds=seconds, clock=clock)

    def of(self, step: int, estimate: torch.Tensor | None) -> dict[str, Any]:
        """The contract's values of a preview of the estimate [1, 16, t, h, w] after this step, or nothing."""
        if self._rgb is None or estimate is None or not self._cadence.due(step):
            return {}
        self._cadence.taken(step)
        picture = picture_of(estimate, self._rgb)
        return {PREVIEW.name: _jpeg(picture), PREVIEW_SIZE.name: np.array(picture.size, np.int32)}


def picture_of(estimate: torch.Tensor, rgb: LatentRgb) -> Image.Image:
    """The middle latent frame of [1, 16, t, h, w], one pixel per latent, then enlarged to `LONG_SIDE`."""
    # NumPy's loops: on a busy processor it takes longer to gather torch's threads than to do this much arithmetic.
    frame = estimate[0, :, estimate.shape[2] // 2].cpu().numpy()
    colours = np.einsum("chw,cr->hwr", frame, np.array(rgb.factors)) + np.array(rgb.bias)
    small = Image.fromarray((colours.clip(0, 1) * 255).astype(np.uint8))
    scale = LONG_SIDE / max(small.size)
    if scale <= 1:
        return small
    return small.resize((round(small.width * scale), round(small.height * scale)), Image.Resampling.BILINEAR)


def _jpeg(picture: Image.Image) -> Any:
    written = BytesIO()
    picture.save(written, "JPEG", quality=QUALITY)
    return np.frombuffer(written.getvalue(), np.uint8)
