"""Training scenes as arrays, and their clips drawn on the device that trains."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from miniature.recipe import Crowd
from orrery.miniature.captions import caption
from orrery.miniature.drawing import SHAPES, compose, coverage
from orrery.miniature.scenes import Scene, training_scene
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS, FRAMES, SIDE

MAX_THINGS = 3
_NOWHERE = -1000.0
"""Where things are that a scene does not have."""


@dataclass(frozen=True)
class Scenery:
    """N scenes: tracks [N, 33, 3, 3] (x, y, half-side), shapes [N, 3], colours [N, 4, 3] (background first, in [-1, 1])."""

    tracks: torch.Tensor
    shapes: torch.Tensor
    colours: torch.Tensor

    def __len__(self) -> int:
        return len(self.tracks)

    def to(self, device: torch.device) -> Scenery:
        return Scenery(self.tracks.to(device), self.shapes.to(device), self.colours.to(device))

    def clips(self, numbers: torch.Tensor) -> torch.Tensor:
        """[n, 3, 33, 96, 96] in [-1, 1] of the scenes of these numbers."""
        tracks = self.tracks[numbers][..., None, None]
        centres = torch.arange(SIDE, device=tracks.device) + 0.5
        shapes = self.shapes[numbers][:, None, :, None, None]
        grid = (centres[:, None], centres[None, :])
        covers = coverage(shapes, tracks[:, :, :, 0], tracks[:, :, :, 1], tracks[:, :, :, 2], grid, torch)
        colours = self.colours[numbers][:, None].expand(-1, FRAMES, -1, -1)
        return compose(colours[:, :, 0], colours[:, :, 1:], covers).permute(0, 4, 1, 2, 3)


def describe(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One scene's part of a `Scenery`."""
    tracks = np.full((FRAMES, MAX_THINGS, 3), _NOWHERE, dtype=np.float32)
    shapes = np.zeros(MAX_THINGS, dtype=np.int64)
    colours = np.zeros((MAX_THINGS + 1, 3), dtype=np.float32)
    colours[0] = BACKGROUNDS[scene.background]
    tracks[..., 2] = 1.0
    for number, thing in enumerate(scene.things):
        tracks[:, number] = np.stack([thing.track.x, thing.track.y, thing.track.radius], axis=-1)
        shapes[number] = SHAPES.index(thing.shape)
        colours[number + 1] = COLOURS[thing.colour]
    return tracks, shapes, colours / 127.5 - 1.0


def gather(scenes: list[Scene]) -> Scenery:
    tracks, shapes, colours = zip(*map(describe, scenes), strict=True)
    return Scenery(*(torch.from_numpy(np.stack(part)) for part in (tracks, shapes, colours)))


def scenery(seed: int, count: int, captions_per_scene: int) -> tuple[Scenery, list[list[str]]]:
    """The first `count` training scenes of `seed`, with captions for each; made by all processors."""
    chunks = [range(start, min(start + 500, count)) for start in range(0, count, 500)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(partial(_part, seed, captions_per_scene), chunks))
    together = [torch.cat([getattr(part[0], name) for part in parts]) for name in ("tracks", "shapes", "colours")]
    return Scenery(*together), [texts for part in parts for texts in part[1]]


def crowded(crowd: Crowd, captions_per_scene: int) -> tuple[Scenery, list[list[str]]]:
    """The first so many scenes of one, of two and of three things, with their captions."""
    things, texts = scenery(crowd.seed, crowd.scenes, captions_per_scene)
    counts = (things.tracks[:, 0, :, 0] > _NOWHERE).sum(dim=1)
    chosen = torch.cat([(counts == number + 1).nonzero()[:many, 0] for number, many in enumerate(crowd.counts)])
    some = Scenery(things.tracks[chosen], things.shapes[chosen], things.colours[chosen])
    return some, [texts[number] for number in chosen.tolist()]


def _part(seed: int, captions_per_scene: int, numbers: range) -> tuple[Scenery, list[list[str]]]:
    scenes = [training_scene(seed, number) for number in numbers]
    return gather(scenes), [
        _captions(scene, seed, number, captions_per_scene) for scene, number in zip(scenes, numbers, strict=True)
    ]


def _captions(scene: Scene, seed: int, number: int, count: int) -> list[str]:
    rng = np.random.default_rng([seed, number, 2])
    return [caption(scene, rng) for _ in range(count)]
