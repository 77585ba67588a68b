"""How much of a prompt comes true: the miniature by steps and sampler through HTTP, and in the pipelines of diffusers.

    PYTHONPATH=tests python -m benchmarks.meaning --prompts 200

Takes hours on a processor, so `make bench` leaves it out. Prints a table and writes meaning.json.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.report import write
from e2e.stack import running
from orrery.client.clips import HttpClips
from orrery.evaluation.prompts import held_out_prompts
from orrery.evaluation.regions import Frames
from orrery.evaluation.running import ClipMaker, Terms, evaluate
from orrery.evaluation.scores import by_prompt
from orrery.miniature.vocabulary import FRAMES, SIDE
from orrery.sdk import Client
from orrery.stages.denoiser import official_noise
from orrery.worlds.catalog import find
from orrery.worlds.catalog.models import DenoiserSpec
from orrery.worlds.components import PACKAGED
from stages.reference import Reference, stand_in_for_torchvision

MODEL = find("miniature")
KINDS = ("colour", "shape", "direction", "background", "all")


class DiffusersClips:
    """The pipelines of diffusers, with its own scheduler, from the same noise. One clip at a time."""

    def __init__(self) -> None:
        stand_in_for_torchvision(pytest.MonkeyPatch())
        self._reference = Reference(PACKAGED, MODEL)

    def __call__(self, prompt: str, first_frame: Frames | None, *, seed: int, steps: int | None, sampler: str | None) -> Frames:
        # The pipelines fill texts up to 512 tokens, and zeros take attention: a network knows as many as its tokenizer.
        length = self._reference.tokenizer.model_max_length
        texts = {"prompt": prompt, "negative_prompt": "", "max_sequence_length": length}
        texts |= {"num_inference_steps": steps, "seed": seed}
        sizes = {"height": SIDE, "width": SIDE}
        if first_frame is None:
            assert MODEL.image is not None
            guidance = {"guidance_scale": _guided(MODEL.image)}
            first_frame = self._reference.text2image(**texts, **sizes, **guidance, latents=_noise(seed, 1)).frames
        assert MODEL.world is not None
        guidance = {"guidance_scale": _guided(MODEL.world), "num_frames": FRAMES}
        clip = self._reference.video2world(np.asarray(first_frame), **texts, **sizes, **guidance, latents=_noise(seed, FRAMES))
        return clip.frames


def _guided(spec: DenoiserSpec) -> float:
    """The pipelines guide only above 1, and then as Orrery does: a hair above it is 1 with guidance."""
    return max(spec.default_guidance_scale, 1 + 1e-6)


def _noise(seed: int, frames: int) -> Any:
    return official_noise(seed, (1, 16, *MODEL.compression.latent_shape(frames, SIDE, SIDE)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--steps", type=int, nargs="+", default=[8, 12, 18, 25, 35])
    chosen = parser.parse_args()
    rows = []
    for row in _rows(chosen.prompts, chosen.steps):
        print(" | ".join(str(value) for value in row.values()), flush=True)
        rows.append(row)
    write(chosen.out, "meaning", {"prompts": chosen.prompts, "rows": rows})


def _rows(prompts: int, steps: list[int]) -> Iterator[dict[str, Any]]:
    with ExitStack() as open_:
        home = open_.enter_context(tempfile.TemporaryDirectory())
        stack = open_.enter_context(running(Path(home), PACKAGED, models=(MODEL.name,), ensemble=True))
        clips = HttpClips(open_.enter_context(Client(str(stack.client.base_url))), MODEL.name)
        for sampler, count in product(("res_2ab", "euler"), steps):
            yield _row("orrery", clips, prompts, Terms(steps=count, sampler=sampler))
        yield _row("orrery", clips, prompts, Terms(from_image=True, steps=max(steps), sampler="res_2ab"))
    pipelines = DiffusersClips()
    for from_image in (False, True):
        yield _row("diffusers", pipelines, prompts, Terms(from_image=from_image, steps=max(steps)))


def _row(name: str, make: ClipMaker, prompts: int, terms: Terms) -> dict[str, Any]:
    results = evaluate(held_out_prompts(prompts, 0), make, terms, concurrency=2 if name == "orrery" else 1)
    scores = by_prompt(result.verdict for result in results)
    about = {"by": name, "from": "image" if terms.from_image else "text", "sampler": terms.sampler or "its own"}
    return about | {"steps": terms.steps} | {kind: round(scores[kind]["accuracy"], 3) for kind in KINDS}


if __name__ == "__main__":
    main()
