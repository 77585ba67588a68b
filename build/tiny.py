"""Builds the components of `tiny-predict2`: the classes of Cosmos Predict2 at toy size, with random weights.

    python build/tiny.py --out DIR

Each component is a folder as diffusers and transformers save it, plus Orrery's manifest. The layout of the networks is that of
the released checkpoints (no learnable positional embedding, RoPE (1, 4, 4) for images and (1, 3, 3) for worlds, Wan2.1's four
levels); only the widths are small. The same script gives the same bytes every time. Components that are there and whole are
left alone.
"""

from __future__ import annotations

import argparse
import math
import shutil
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, CosmosTransformer3DModel
from transformers import T5Config, T5EncoderModel, T5TokenizerFast
from transformers.utils.logging import disable_progress_bar

from orrery.stages.colours import fit_latent_rgb
from orrery.worlds.components import MANIFEST, ComponentKind, read_manifest, verify, write_manifest
from orrery.worlds.errors import ComponentUnusable

TEXT_WIDTH = 32
MAX_TOKENS = 512
SEED = 20260101


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


def transformer(folder: Path, *, in_channels: int, rope_scale: tuple[float, float, float]) -> ComponentKind:
    def make() -> Any:
        return CosmosTransformer3DModel(
            in_channels=in_channels,
            out_channels=16,
            num_attention_heads=2,
            attention_head_dim=16,
            num_layers=2,
            mlp_ratio=2.0,
            text_embed_dim=TEXT_WIDTH,
            adaln_lora_dim=8,
            rope_scale=rope_scale,
            concat_padding_mask=True,
            extra_pos_embed_type=None,
        )

    model = seeded(make)
    randomise(model, gain=1.2)
    # The gain above makes the prompt tell; this keeps latents near unit deviation, as trained ones are.
    model.proj_out.weight.data.mul_(0.5)
    model.save_pretrained(folder)
    return ComponentKind.TRANSFORMER


TOKENIZER = "tiny-wan-vae"


def seeded(make: Callable[[], Any]) -> Any:
    torch.manual_seed(SEED)
    return make().eval()


def randomise(model: Any, *, gain: float) -> None:
    """Matrices with deviation `gain / sqrt(fan in)`: the default initialisation lets the signal die out from layer to layer."""
    generator = torch.Generator().manual_seed(SEED)
    for parameter in model.parameters():
        if parameter.ndim > 1 and min(parameter.shape[:2]) > 1:
            deviation = gain / math.sqrt(parameter[0].numel())
            parameter.data.normal_(0.0, deviation, generator=generator)


COMPONENTS: dict[str, Callable[[Path], ComponentKind]] = {
    "tiny-t5": text_encoder,
    TOKENIZER: video_tokenizer,
    "tiny-predict2-text2image": lambda folder: transformer(folder, in_channels=16, rope_scale=(1.0, 4.0, 4.0)),
    "tiny-predict2-video2world": lambda folder: transformer(folder, in_channels=17, rope_scale=(1.0, 3.0, 3.0)),
}

TRANSFORMERS = ("tiny-predict2-text2image", "tiny-predict2-video2world")
"""Made after their tokenizer, whose latents they are to show."""


def whole(folder: Path) -> bool:
    """Whether the component is there with every file as its manifest says, and a transformer can show its latents."""
    if not (folder / MANIFEST).is_file():
        return False
    try:
        verify(folder)
    except ComponentUnusable:
        return False
    return read_manifest(folder).latent_rgb is not None or folder.name not in TRANSFORMERS


def build(out: Path) -> list[str]:
    """Makes what is missing or broken under `out`; returns the names of the components it made."""
    made = []
    for name, recipe in COMPONENTS.items():
        folder = out / name
        if whole(folder):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        kind = recipe(folder)
        rgb = fit_latent_rgb(out / TOKENIZER) if name in TRANSFORMERS else None
        write_manifest(folder, kind, random_weights=True, latent_rgb=rgb)
        made.append(name)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the tiny random components of tiny-predict2.")
    parser.add_argument("--out", type=Path, required=True, help="folder that holds one folder per component")
    out = parser.parse_args().out
    disable_progress_bar()
    made = build(out)
    print(f"{out}: built {', '.join(made) or 'nothing, all components are there'} (random weights)")


if __name__ == "__main__":
    main()
