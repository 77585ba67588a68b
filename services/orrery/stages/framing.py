"""Fitting frames of any size to the size that is asked for, as the official script does."""

from __future__ import annotations

import math

import torch


def fit(frames: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resizes until both sides cover the target, then crops the centre. uint8 [T, 3, H, W] to uint8 [T, 3, height, width].

    As `resize_input` of cosmos-predict2: bilinear with antialiasing on values in [0, 1], sizes rounded up, the crop's corner
    rounded to even, and the result cut (not rounded) to 8 bits. Frames of the target's size are not touched.
    """
    source_height, source_width = frames.shape[-2:]
    if (source_height, source_width) == (height, width):
        return frames
    scale = max(width / source_width, height / source_height)
    covering = (math.ceil(scale * source_height), math.ceil(scale * source_width))
    resized = torch.nn.functional.interpolate(frames.float() / 255, size=covering, mode="bilinear", antialias=True)
    top, left = round((covering[0] - height) / 2), round((covering[1] - width) / 2)
    return (resized[..., top : top + height, left : left + width] * 255).to(torch.uint8)
