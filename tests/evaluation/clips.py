"""Clips to judge: as drawn, as published, and as a model might spoil them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from orrery.evaluation.films import frames_of
from orrery.evaluation.regions import Frames
from orrery.miniature.vocabulary import FPS
from orrery.stages.movies import MP4, film


def published(frames: Frames) -> Frames:
    return frames_of(film(MP4, frames, FPS, lambda: None))


def blurred(frames: Frames, sigma: float) -> Frames:
    soft = ImageFilter.GaussianBlur(sigma)
    return np.stack([np.asarray(Image.fromarray(frame).filter(soft)) for frame in frames])


def noisy(frames: Frames, levels: float, seed: int) -> Frames:
    noise = np.random.default_rng(seed).normal(0, levels, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def shifted(frames: Frames, levels: int, seed: int) -> Frames:
    """Each channel by up to so many levels, the same in the whole clip."""
    shift = np.random.default_rng(seed).integers(-levels, levels + 1, 3)
    return np.clip(frames.astype(int) + shift, 0, 255).astype(np.uint8)


SPOILS: dict[str, Callable[[Frames, int], Frames]] = {
    "as drawn": lambda frames, seed: frames,
    "in H.264": lambda frames, seed: published(frames),
    "blurred": lambda frames, seed: blurred(frames, 1.5),
    "noisy": lambda frames, seed: noisy(frames, 10, seed),
    "off colour": lambda frames, seed: shifted(frames, 10, seed),
    "all of it": lambda frames, seed: published(noisy(shifted(blurred(frames, 1.2), 10, seed), 5, seed)),
}
