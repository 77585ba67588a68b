"""Builds the components of `tiny-predict2` and `tiny-predict1`: the classes of Cosmos at toy size, with random weights.

    python build/tiny.py --out DIR

Each component is a folder as diffusers and transformers save it, plus Orrery's manifest. The layout of the networks is that of
the released checkpoints (for Predict2: no learnable positional embedding, RoPE (1, 4, 4) for images and (1, 3, 3) for worlds,
Wan2.1's four levels); only the widths are small. The same script gives the same bytes every time. Components that are there
and whole are left alone.
"""

from __future__ import annotations

import argparse
import shutil
import string
from functools import cache
from pathlib import Path

import tiny_predict1
import tiny_predict25
from diffusers import AutoencoderKLWan
from tiny_parts import TEXT_WIDTH, Recipe, randomise, seeded, transformer
from transformers import T5Config, T5EncoderModel, T5TokenizerFast
from transformers.utils.logging import disable_progress_bar

from orrery.stages.colours import fit_latent_rgb
from orrery.worlds.components import MANIFEST, ComponentKind, read_manifest, verify, write_manifest
from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.neighbourhoods import mark

MAX_TOKENS = 512


def vocabulary() -> list[tuple[str, float]]:
    """Unigram pieces with their scores: single characters, and pairs of small letters so that prompts of usual length fit."""
    letters = string.ascii_lowercase
    singles = sorted(set(string.printable) - set(string.whitespace))
    pairs = [a + b for a in letters for b in letters]
    starts = ["▁" + letter for letter in letters]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return special + [("▁", -4.0)] + [(s, -6.0) for s in singles] + [(s, -5.0) for s in starts + pairs]


def text_encoder(folder: Path) -> ComponentKind:
    vocab = vocabulary()
    tokenizer = T5TokenizerFast(vocab=vocab, extra_ids=0, model_max_length=MAX_TOKENS)
    tokenizer.save_pretrained(folder / "tokenizer")
    config = T5Config(vocab_size=len(vocab), d_model=TEXT_WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    seeded(lambda: T5EncoderModel(config)).save_pretrained(folder)
    return ComponentKind.TEXT_ENCODER


def video_tokenizer(folder: Path) -> ComponentKind:
    vae = seeded(lambda: AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=1))
    randomise(vae, gain=1.0)
    vae.save_pretrained(folder)
    return ComponentKind.VIDEO_TOKENIZER


TOKENIZER = "tiny-wan-vae"


def sparse(folder: Path) -> ComponentKind:
    """The network of the tiny worlds, marked as one that was trained with neighbourhoods."""
    kind = transformer(folder, in_channels=17, rope_scale=(1.0, 3.0, 3.0))
    mark(folder / "config.json", "tiny")
    return kind


COMPONENTS: dict[str, Recipe] = {
    "tiny-t5": Recipe(text_encoder),
    TOKENIZER: Recipe(video_tokenizer),
    "tiny-predict2-text2image": Recipe(
        lambda folder: transformer(folder, in_channels=16, rope_scale=(1.0, 4.0, 4.0)), shown_by=TOKENIZER
    ),
    "tiny-predict2-video2world": Recipe(
        lambda folder: transformer(folder, in_channels=17, rope_scale=(1.0, 3.0, 3.0)), shown_by=TOKENIZER
    ),
    "tiny-predict2-video2world-natten": Recipe(sparse, shown_by=TOKENIZER),
    **tiny_predict1.COMPONENTS,
    **tiny_predict25.COMPONENTS,
}


def whole(folder: Path, recipe: Recipe) -> bool:
    """Whether the component is there with every file as its manifest says, and a transformer can show its latents."""
    if not (folder / MANIFEST).is_file():
        return False
    try:
        verify(folder)
    except ComponentUnusable:
        return False
    return read_manifest(folder).latent_rgb is not None or recipe.shown_by is None


def build(out: Path) -> list[str]:
    """Makes what is missing or broken under `out`; returns the names of the components it made."""
    made = []
    shown = cache(lambda tokenizer: fit_latent_rgb(out / tokenizer))
    for name, recipe in COMPONENTS.items():
        folder = out / name
        if whole(folder, recipe):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        kind = recipe.make(folder)
        rgb = shown(recipe.shown_by) if recipe.shown_by is not None else None
        write_manifest(folder, kind, random_weights=True, latent_rgb=rgb)
        made.append(name)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the tiny random components.")
    parser.add_argument("--out", type=Path, required=True, help="folder that holds one folder per component")
    out = parser.parse_args().out
    disable_progress_bar()
    made = build(out)
    print(f"{out}: built {', '.join(made) or 'nothing, all components are there'} (random weights)")


if __name__ == "__main__":
    main()
