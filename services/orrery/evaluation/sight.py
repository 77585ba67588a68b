"""What is seen in a clip: the background and the objects, without being told what should be there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orrery.evaluation.regions import Floats, Frames, Mask, dilated, grown, main_region, nearest
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS

BACKGROUND_WITHIN = 50.0
"""How far a clip's background may lie from the colour it is called by, as a distance in RGB; the nearest two are 101 apart."""
COLOUR_WITHIN = 75.0
"""The same for a pixel of an object. Orange and yellow, the nearest two, are 87 apart."""
PRESENT = 0.85
"""Share of the frames in which an object has to be seen to be one of the scene's objects."""
EXTRA = 0.25
"""Share of the frames from which on something that nobody asked for counts as seen."""
MIN_AREA = 50
"""Pixels. The smallest object of a scene, at its smallest, has 140."""
_HALO = 4
"""Pixels beside an object's pure colour that may still be its blurred edge."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One object: `cover` [frames, H, W] says how much of each pixel it covers."""

    colour: str
    cover: Floats

    @property
    def there(self) -> NDArray[np.bool_]:
        """In which frames it is seen at all."""
        return _there(self.cover)

    @property
    def share(self) -> float:
        """Of the frames, those in which it is seen."""
        return _share(self.cover)


@dataclass(frozen=True, eq=False)
class Sight:
    """`background` is None where no single known colour fills it. `rest` is where no object is, nor its edge."""

    background: str | None
    objects: tuple[Seen, ...]
    rest: Mask


def look(frames: Frames) -> Sight:
    """Everything in the clip. Objects seen in fewer than `EXTRA` of the frames are left out."""
    behind = np.median(frames.reshape(-1, 3), axis=0)
    cores = _cores(frames, behind)
    covered = np.any([mask for _, mask in cores], axis=0) if cores else np.zeros(frames.shape[:3], dtype=bool)
    seen = [Seen(colour, _cover(frames, behind, core, covered & ~core)) for colour, core in cores]
    rest = ~dilated(covered, _HALO)
    return Sight(_background(frames, rest), tuple(each for each in seen if each.share >= EXTRA), rest)


def _cores(frames: Frames, behind: NDArray[np.float64]) -> list[tuple[str, Mask]]:
    """Regions of pure colour, each with its colour's name; one colour may have two."""
    labels = nearest(frames, np.array([behind, *COLOURS.values()]), COLOUR_WITHIN)
    found = []
    for index, colour in enumerate(COLOURS, start=1):
        left = labels == index
        for _ in range(2):
            if _share(left) < EXTRA:
                break
            core = main_region(left)
            if _share(core) >= EXTRA:
                found.append((colour, core))
            left = left & ~dilated(core)
    return found


def _there(cover: Mask | Floats) -> NDArray[np.bool_]:
    return np.asarray(cover.sum(axis=(1, 2)) >= MIN_AREA)


def _share(cover: Mask | Floats) -> float:
    return float(_there(cover).mean())


def _cover(frames: Frames, behind: NDArray[np.float64], core: Mask, others: Mask) -> Floats:
    """How much of each pixel the object covers: mixed with the background, an edge has no colour's name."""
    own = np.median(frames[core], axis=0)
    toward = (own - behind) / np.square(own - behind).sum()
    cover = np.clip((frames.astype(np.float64) - behind) @ toward, 0.0, 1.0)
    own_pixels = grown(core, (cover > 0) & dilated(core, _HALO) & ~others)
    return np.where(own_pixels, cover, 0.0)


def _background(frames: Frames, rest: Mask) -> str | None:
    """The known colour nearest to what lies behind the objects, if that is the same from the first frame to the last."""
    palette = np.array(list(BACKGROUNDS.values()), dtype=np.float64)
    votes = np.bincount(nearest(frames[rest], palette, BACKGROUND_WITHIN) + 1, minlength=len(palette) + 1)[1:]
    best = int(votes.argmax())
    return list(BACKGROUNDS)[best] if votes[best] >= max(1, PRESENT * rest.sum()) else None
