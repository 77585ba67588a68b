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
from typing import Any

import numpy as np
import torch

from miniature import components
from miniature.sampling import Choice, PairStudio
from orrery.evaluation.judging import Verdict, judge
from orrery.evaluation.prompts import Prompt, held_out_prompts
from orrery.evaluation.scores import by_prompt
from orrery.worlds.components import PACKAGED

AT_ONCE = {"cuda": 100, "cpu": 20}
KINDS = ("colour", "shape", "direction", "background", "all")


def main() -> None:
    told = _told()
    prompts = held_out_prompts(told.prompts, told.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = {json.dumps(_asked(told, choice)): choice for choice in _choices(told)}
    told.out.parent.mkdir(parents=True, exist_ok=True)
    done = told.out.read_text().splitlines() if told.out.exists() else []
    known = {json.dumps(json.loads(line)["asked"]) for line in done}
    # Processes of their own judge: it takes a processor as long as a GPU takes to make the clips.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as judges, told.out.open("a") as out:
        studio = _studio(told.components, device)
        for name, choice in rows.items():
            if name not in known:
                verdicts = list(judges.map(_judged, *_made(studio, prompts, choice, AT_ONCE[device.type])))
                _tell(out, json.loads(name), verdicts)


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


def _asked(told: argparse.Namespace, choice: Choice) -> dict[str, Any]:
    return asdict(choice) | {"prompts": told.prompts, "seed": told.seed}


def _studio(folder: Path, device: torch.device) -> PairStudio:
    vae, networks = components.load(folder, device)
    moments = (torch.tensor(getattr(vae.config, f"latents_{name}"), device=device) for name in ("mean", "std"))
    return PairStudio(vae, networks, *moments)


def _made(studio: PairStudio, prompts: list[Prompt], choice: Choice, at_once: int) -> tuple[list[np.ndarray], list[Prompt]]:
    clips: list[np.ndarray] = []
    for start in range(0, len(prompts), at_once):
        group = prompts[start : start + at_once]
        clips += [*studio.text2world([prompt.text for prompt in group], [prompt.index for prompt in group], choice)]
    return clips, prompts


def _judged(clip: np.ndarray, prompt: Prompt) -> Verdict:
    return judge(clip, prompt.scene)


def _tell(out: Any, asked: dict[str, Any], verdicts: list[Verdict]) -> None:
    things = {count: [verdict for verdict in verdicts if len(verdict.things) == count] for count in (1, 2, 3)}
    shares = {"right": _shares(verdicts)} | {f"right_of_{count}": _shares(some) for count, some in things.items() if some}
    print(json.dumps({"asked": asked} | shares), file=out, flush=True)
    print(
        " ".join(f"{value}" for value in asked.values()),
        *(f"{kind} {share}" for kind, share in shares["right"].items()),
        flush=True,
    )


def _shares(verdicts: list[Verdict]) -> dict[str, float]:
    scores = by_prompt(verdicts)
    return {kind: round(scores[kind]["accuracy"], 4) for kind in KINDS}


if __name__ == "__main__":
    main()
