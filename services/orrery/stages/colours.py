"""The linear map from latents to colours that a video tokenizer keeps to. For who makes components: no stage needs it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import avg_pool2d, interpolate

from orrery.stages.tokenizers import load_tokenizer
from orrery.worlds.components import LatentRgb

PICTURES, SIDE, SEED = 32, 96, 20260101
DIGITS = 6


def fit_latent_rgb(tokenizer: Path, pictures: torch.Tensor | None = None) -> LatentRgb:
    """The map that tells the colours of what the video tokenizer in this folder encodes best, by least squares.

    `pictures` [n, 3, H, W] in 0 to 1 are what it is fitted on: something that the tokenizer knows, or else smooth and plain
    colours, the same every time. Each is a clip of one frame, so of a tokenizer that normalises each latent frame by itself the
    map is that of the first.
    """
    encoder = load_tokenizer(tokenizer, torch.device("cpu"))
    pictures = _pictures() if pictures is None else pictures
    latents = torch.cat([encoder.encode((2 * picture - 1)[None, :, None]) for picture in pictures])
    seen = latents[:, :, 0].permute(0, 2, 3, 1).flatten(0, 2).double()
    told = avg_pool2d(pictures, encoder.compression.spatial).permute(0, 2, 3, 1).flatten(0, 2).double()
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
