"""How much of the held-out prompts comes true by sampler, number of steps and guidance, by the samplers alone without HTTP.

PYTHONPATH=build python -m miniature.trades --out FILE

Every combination of what is told is a row, one JSON object a line of FILE, which keeps the rows that are there and adds those
that are missing. Minutes on an H200, hours on a processor.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from miniature import components, scoring
from miniature.latents import moments
from miniature.sampling import Choice, PairStudio
from orrery.evaluation.judging import Verdict, judge
from orrery.evaluation.prompts import Prompt, held_out_prompts
from orrery.worlds.components import PACKAGED

AT_ONCE = {"cuda": 100, "cpu": 20}


def main() -> None:
    told = _told()
    prompts = held_out_prompts(told.prompts, told.seed)
    told.out.parent.mkdir(parents=True, exist_ok=True)
    done = told.out.read_text().splitlines() if told.out.exists() else []
    known = [json.loads(line)["asked"] for line in done]
    # Processes of their own judge: it takes a processor as long as a GPU takes to make the clips.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as judges, told.out.open("a") as out:
        studio = _studio(told.components)
        for choice in _choices(told):
            asked = asdict(choice) | {"prompts": told.prompts, "seed": told.seed}
            if asked not in known:
                _tell(out, asked, list(judges.map(_judged, _made(studio, prompts, choice), prompts)))


def _told() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="miniature.trades", description=__doc__)
    parser.add_argument("--components", type=Path, default=PACKAGED, help="folder of the components")
    parser.add_argument("--out", type=Path, required=True, help="file of the rows")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the list of prompts")
    parser.add_argument("--samplers", nargs="+", default=["res_2ab", "euler"])
    parser.add_argument("--steps", type=int, nargs="+", default=[8, 12, 18, 25, 35])
    parser.add_argument("--image-guidance", type=float, nargs="+", default=[Choice.image_guidance])
    parser.add_argument("--world-guidance", type=float, nargs="+", default=[Choice.world_guidance])
    return parser.parse_args()


def _choices(told: argparse.Namespace) -> Iterator[Choice]:
    for terms in product(told.samplers, told.steps, told.image_guidance, told.world_guidance):
        yield Choice(*terms)


def _studio(folder: Path) -> PairStudio:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vae, networks = components.load(folder, device)
    return PairStudio(vae, networks, *moments(vae, device))


def _made(studio: PairStudio, prompts: list[Prompt], choice: Choice) -> list[np.ndarray]:
    groups = scoring.grouped(prompts, AT_ONCE[studio.device.type])
    return [clip for group in groups for clip in scoring.text2world(studio, group, choice)]


def _judged(clip: np.ndarray, prompt: Prompt) -> Verdict:
    return judge(clip, prompt.scene)


def _tell(out: TextIO, asked: dict[str, Any], verdicts: list[Verdict]) -> None:
    right = scoring.accuracies(verdicts)
    counts = sorted({len(verdict.things) for verdict in verdicts})
    parts = {f"right_of_{n}": scoring.accuracies(v for v in verdicts if len(v.things) == n) for n in counts}
    print(json.dumps({"asked": asked, "right": right} | parts), file=out, flush=True)
    print(*asked.values(), *(f"{kind} {share}" for kind, share in right.items()), flush=True)


if __name__ == "__main__":
    main()
