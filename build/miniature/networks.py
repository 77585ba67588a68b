"""The networks of the miniature, in the classes of the released checkpoints, and their text tokenizer."""

from __future__ import annotations

import string
from itertools import chain
from typing import Any

from diffusers import AutoencoderKLWan, CosmosTransformer3DModel
from transformers import T5Config, T5EncoderModel, T5TokenizerFast

from orrery.miniature.captions import VERBS
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS, SIZES, Shape

TEXT_WIDTH = 128
MAX_TOKENS = 128
LATENT_CHANNELS = 16
_CONNECTIVES = ["a", "an", "on", "in", "of", "the", "and", "is", "background", "wall", "front"]


def words() -> list[str]:
    """Every word of a caption, in small letters."""
    verbs = chain.from_iterable(phrase.split() for phrases in VERBS.values() for phrase in phrases)
    return sorted({*COLOURS, *BACKGROUNDS, *SIZES, *(s.value for s in Shape), *verbs, *_CONNECTIVES})


def vocabulary() -> list[tuple[str, float]]:
    """Unigram pieces with their scores: the words, with and without a capital, and single characters for anything else."""
    known = [f"▁{form}" for word in words() for form in (word, word.capitalize())]
    singles = sorted(set(string.printable) - set(string.whitespace))
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces = [("▁", -4.0)] + [(single, -6.0) for single in singles]
    pairs = [(a + b, -8.0) for a in string.ascii_lowercase for b in string.ascii_lowercase]
    return special + pieces + pairs + [(piece, -1.0) for piece in dict.fromkeys(known)]


def text_tokenizer() -> Any:
    return T5TokenizerFast(vocab=vocabulary(), extra_ids=0, model_max_length=MAX_TOKENS)


def text_encoder() -> Any:
    config = T5Config(
        vocab_size=len(vocabulary()),
        d_model=TEXT_WIDTH,
        d_kv=32,
        d_ff=384,
        num_layers=4,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
    )
    return T5EncoderModel(config)


def video_tokenizer() -> Any:
    return AutoencoderKLWan(base_dim=16, z_dim=LATENT_CHANNELS, dim_mult=[1, 2, 4, 4], num_res_blocks=1)


def text2image() -> Any:
    """Where things are is settled between few tokens, layer by layer: it is rather deep than wide."""
    return _transformer(in_channels=LATENT_CHANNELS, num_layers=7, mlp_ratio=2.0, adaln_lora_dim=16, rope_scale=(1.0, 4.0, 4.0))


def video2world() -> Any:
    """One channel more: which latent frames are given."""
    return _transformer(
        in_channels=LATENT_CHANNELS + 1, num_layers=8, mlp_ratio=4.0, adaln_lora_dim=32, rope_scale=(1.0, 3.0, 3.0)
    )


def _transformer(**sizes: Any) -> Any:
    return CosmosTransformer3DModel(
        out_channels=LATENT_CHANNELS,
        num_attention_heads=6,
        attention_head_dim=32,
        text_embed_dim=TEXT_WIDTH,
        **sizes,
        concat_padding_mask=True,
        extra_pos_embed_type=None,
    )
