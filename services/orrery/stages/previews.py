"""Small pictures of latents, by a linear map from their channels to colours, and how that map is found."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, interpolate

from orrery.stages.checkpoints import Cadence
from orrery.stages.wan import WanTokenizer
from orrery.worlds.catalog.models import Compression
from orrery.worlds.components import LatentRgb
from orrery.worlds.contracts import PREVIEW, PREVIEW_SIZE

LONG_SIDE = 256
"""The most pixels that a preview is enlarged to."""

QUALITY = 80
PICTURES, SIDE, SEED = 32, 96, 20260101
DIGITS = 6


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


def fit_latent_rgb(tokenizer: Path) -> LatentRgb:
    """The map that tells the colours of what the video tokenizer in this folder encodes best, by least squares.

    Seen are pictures of smooth and of plain colours, the same every time: 8 x 8 pixels are one latent.
    """
    encoder = WanTokenizer(tokenizer, torch.device("cpu"))
    pictures = _pictures()
    latents = torch.cat([encoder.encode((2 * picture - 1)[None, :, None]) for picture in pictures])
    seen = latents[:, :, 0].permute(0, 2, 3, 1).flatten(0, 2).double()
    told = avg_pool2d(pictures, Compression().spatial).permute(0, 2, 3, 1).flatten(0, 2).double()
    known = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
    rows = torch.linalg.lstsq(known, told).solution.tolist()
    *factors, bias = (tuple(round(value, DIGITS) for value in row) for row in rows)
    return LatentRgb(factors=tuple(factors), bias=bias)


def _pictures() -> torch.Tensor:
    """[PICTURES, 3, SIDE, SIDE] in 0 to 1: half of them gradients between random colours, half of one colour each."""
    generator = torch.Generator().manual_seed(SEED)
    half = PICTURES // 2
    smooth = interpolate(torch.rand((half, 3, 3, 3), generator=generator), (SIDE, SIDE), mode="bilinear", align_corners=True)
    plain = torch.rand((half, 3, 1, 1), generator=generator).expand(-1, -1, SIDE, SIDE)
    return torch.cat([smooth, plain])
