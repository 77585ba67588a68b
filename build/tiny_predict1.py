"""The components of `tiny-predict1`: learnable positional embeddings, RoPE (2, 1, 1), and the tokenizer CV8x8x8."""

from __future__ import annotations

from pathlib import Path

from diffusers import AutoencoderKLCosmos
from tiny_parts import Recipe, randomise, seeded, transformer

from orrery.worlds.components import ComponentKind

TOKENIZER = "tiny-cosmos-vae"
ROPE = (2.0, 1.0, 1.0)
WIDTHS = (8, 8, 8, 8)


def video_tokenizer(folder: Path) -> ComponentKind:
    """The released one's levels, Haar patches and table of means and deviations, and few channels."""
    vae = seeded(lambda: AutoencoderKLCosmos(encoder_block_out_channels=WIDTHS, decode_block_out_channels=WIDTHS))
    randomise(vae, gain=1.0)
    vae.save_pretrained(folder)
    return ComponentKind.VIDEO_TOKENIZER


def denoiser(folder: Path, in_channels: int) -> ComponentKind:
    return transformer(folder, in_channels=in_channels, rope_scale=ROPE, extra_pos_embed_type="learnable")


COMPONENTS = {
    TOKENIZER: Recipe(video_tokenizer),
    "tiny-predict1-text2world": Recipe(lambda folder: denoiser(folder, 16), shown_by=TOKENIZER),
    "tiny-predict1-video2world": Recipe(lambda folder: denoiser(folder, 17), shown_by=TOKENIZER),
}
