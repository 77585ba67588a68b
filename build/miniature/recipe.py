"""What is trained, how long and on how much: the one place with numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Crowd:
    """Of the first so many `scenes` of `seed`, those that are used: so many of one, of two and of three things."""

    seed: int
    scenes: int
    counts: tuple[int, int, int]


@dataclass(frozen=True)
class Recipe:
    """Steps are optimiser steps. Scenes are numbered from 0; the tokenizer draws its own beyond those of the denoisers."""

    seed: int = 20261120
    scenes: int = 75_000
    captions_per_scene: int = 4

    tokenizer_steps: int = 12_800
    tokenizer_batch: int = 32
    tokenizer_frames: int = 9
    tokenizer_crop: int = 96
    tokenizer_rate: float = 1e-3
    kl_weight: float = 1e-5

    denoiser_steps: int = 27_901
    denoiser_batch: int = 256
    denoiser_rate: float = 1e-3
    warm_up: int = 500
    caption_dropout: float = 0.1
    conditional_frames: tuple[float, float, float] = (0.1, 0.65, 0.25)
    """How often 0, 1 and 2 latent frames are given to the video2world denoiser."""
    rope_fps_share: float = 0.25
    """How often the rotary embedding is fed the frame rate, as the diffusers pipeline does; official code feeds none."""
    ema_decay: float = 0.9995

    crowd: Crowd = Crowd(20261120, 150_000, (30_000, 30_000, 15_000))
    crowd_steps: int = 13_839
    crowd_rate: float = 5e-4
    crowd_conditional_frames: tuple[float, float, float] = (0.5, 0.35, 0.15)
    """For `crowding`: how often 0, 1, 2 frames are given."""

    alone_warm_up: int = 300
    image_crowd: Crowd = Crowd(20261127, 300_000, (70_000, 85_000, 28_000))
    image_steps: int = 32_613
    image_rate: float = 1.5e-3
    image_again_steps: int = 12_730
    image_again_rate: float = 8e-4
    image_batch: int = 1024
    image_deciding_share: float = 0.6
    """For text2image `alone`: on scenes of its own, and again on those of video2world; how often levels are where it is settled
    which thing is where."""

    world_crowd: Crowd = Crowd(20261130, 203_000, (40_000, 40_000, 20_000))
    world_steps: int = 5_533
    world_rate: float = 1e-3
    world_deciding_share: float = 0.2
    """For video2world `alone`."""

    one_model_steps: int = 8_851
    one_model_conditional_frames: tuple[float, float, float] = (0.5, 0.3, 0.2)
    one_model_images: int = 256
    """For the one model in the form of Predict2.5: it makes worlds from nothing, from an image and from a clip. Beside each
    batch of worlds it sees so many single frames."""

    @property
    def crowding(self) -> Recipe:
        """As `denoisers` reads it, when they go on with scenes of several things. By another seed batches are others."""
        return replace(
            self,
            seed=self.seed + 1,
            denoiser_steps=self.crowd_steps,
            denoiser_rate=self.crowd_rate,
            conditional_frames=self.crowd_conditional_frames,
        )


_FEW = Crowd(20261120, 60, (2, 2, 2))

SMOKE = Recipe(
    scenes=4,
    tokenizer_steps=3,
    tokenizer_batch=1,
    tokenizer_crop=32,
    denoiser_steps=3,
    denoiser_batch=2,
    warm_up=1,
    image_crowd=_FEW,
    image_steps=2,
    image_again_steps=2,
    image_batch=2,
    world_crowd=_FEW,
    world_steps=2,
    alone_warm_up=1,
    crowd=_FEW,
    crowd_steps=2,
    one_model_steps=2,
    one_model_images=2,
)
"""Runs through everything in a minute and learns nothing."""

RECIPES: dict[str, Recipe] = {"full": Recipe(), "smoke": SMOKE}
