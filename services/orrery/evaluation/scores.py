"""Accuracies out of verdicts, with what chance would give."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orrery.evaluation.judging import ATTRIBUTES, SeenClip, SeenThing, Verdict, compared
from orrery.evaluation.running import Result
from orrery.miniature.scenes import Scene

_Z95 = 1.959964
"""Standard deviations to either side that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Share:
    """`right` of `n`, one at least."""

    right: int
    n: int

    @property
    def accuracy(self) -> float:
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, of 95 %."""
        spread = _Z95**2 / self.n
        middle = (self.accuracy + spread / 2) / (1 + spread)
        half = _Z95 / (1 + spread) * math.sqrt(self.accuracy * (1 - self.accuracy) / self.n + spread / (4 * self.n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def as_dict(self) -> dict[str, float]:
        low, high = self.interval
        return {
            "accuracy": round(self.accuracy, 4),
            "right": self.right,
            "n": self.n,
            "low": round(low, 4),
            "high": round(high, 4),
        }


def shares(pairs: Iterable[tuple[str, bool]]) -> dict[str, dict[str, float]]:
    """The share of each name, in the order in which the names first come."""
    heard: dict[str, list[bool]] = defaultdict(list)
    for name, right in pairs:
        heard[name].append(right)
    return {name: Share(sum(each), len(each)).as_dict() for name, each in heard.items()}


def by_prompt(verdicts: Iterable[Verdict]) -> dict[str, dict[str, float]]:
    """Of each attribute how many clips have it right for every thing in them, and `all` of them right."""
    return shares(pair for verdict in verdicts for pair in (*verdict.right.items(), ("all", all(verdict.right.values()))))


def report(results: Sequence[Result]) -> dict[str, Any]:
    """Everything that was measured, ready for JSON."""
    verdicts = [result.verdict for result in results]
    decibels = [verdict.psnr for verdict in verdicts if verdict.psnr is not None]
    counts = sorted({len(verdict.things) for verdict in verdicts})
    return {
        "accuracy": by_prompt(verdicts),
        "by_objects": {str(n): by_prompt(v for v in verdicts if len(v.things) == n) for n in counts},
        "by_thing": shares(_of_things(results)),
        "by_word": {attribute: shares(sorted(_of_words(results, attribute))) for attribute in ATTRIBUTES},
        "other_captions": other_captions([verdict.seen for verdict in verdicts], [result.prompt.scene for result in results]),
        "conditioning_psnr": _spread(decibels) if decibels else None,
        "smoothness": smoothness([verdict.seen for verdict in verdicts]),
        "seconds_per_clip": _spread([result.seconds for result in results]),
    }


def clip_record(result: Result) -> dict[str, Any]:
    """One clip of the report: its prompt, what is right, and what was seen."""
    verdict = result.verdict
    seen = [{"colour": t.colour, "shape": t.shape, "motion": t.motion, "share": round(t.share, 3)} for t in verdict.seen.things]
    return {
        "index": result.prompt.index,
        "prompt": result.prompt.text,
        "right": verdict.right,
        "seen": {"background": verdict.seen.background, "things": seen},
        "conditioning_psnr": verdict.psnr,
        "seconds": round(result.seconds, 3),
    }


def smoothness(seen: Sequence[SeenClip]) -> dict[str, float]:
    """Means over clips: `flicker` of pixels at rest in 8-bit levels per frame, `jitter` of objects' centres in pixels."""
    jitters = [thing.jitter for clip in seen for thing in clip.things]
    return {
        "flicker": round(float(np.mean([clip.flicker for clip in seen])), 3),
        "jitter": round(float(np.mean(jitters or [0.0])), 3),
    }


def other_captions(seen: Sequence[SeenClip], scenes: Sequence[Scene]) -> dict[str, float]:
    """Mean accuracy of every clip under every caption but its own. Empty for a single clip."""
    right = [compared(clip, scene).right for i, clip in enumerate(seen) for j, scene in enumerate(scenes) if i != j]
    return {name: round(float(np.mean([each[name] for each in right])), 4) for name in ATTRIBUTES if right}


def chance(scenes: Sequence[Scene]) -> dict[str, float]:
    """`other_captions` of a sight that errs never: what the scenes have in common by chance."""
    return other_captions([perfect_sight(scene) for scene in scenes], scenes)


def perfect_sight(scene: Scene) -> SeenClip:
    things = [
        SeenThing(thing.colour, thing.shape, thing.motion, 1.0, float(4 * thing.track.radius.mean() ** 2), 0.0)
        for thing in scene.things
    ]
    return SeenClip(scene.background, tuple(things), 0.0)


def _of_things(results: Sequence[Result]) -> Iterable[tuple[str, bool]]:
    things = [thing for result in results for thing in result.verdict.things]
    return [pair for t in things for pair in (("colour", t.colour), ("shape", t.shape), ("direction", t.direction))]


def _of_words(results: Sequence[Result], attribute: str) -> Iterable[tuple[str, bool]]:
    """Each word that was asked for, with whether it came true."""
    for result in results:
        scene, verdict = result.prompt.scene, result.verdict
        if attribute == "background":
            yield scene.background, verdict.background
        else:
            word = {"colour": "colour", "shape": "shape", "direction": "motion"}[attribute]
            for asked, thing in zip(scene.things, verdict.things, strict=True):
                yield str(getattr(asked, word)), getattr(thing, attribute)


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 3), "min": round(min(values), 3), "max": round(max(values), 3)}
