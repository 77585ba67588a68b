"""Work of a transformer that need not be done, or not as often: the same mathematics with fewer operations.

What the prompt gives to cross-attention is the same in every step, and what the noise level gives to the layers of a block is
the same for every token of a frame. The network of diffusers computes both anew, in every step and for every token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.models.transformers.transformer_cosmos import CosmosAttnProcessor2_0
from torch.nn.functional import scaled_dot_product_attention

Pair = tuple[torch.Tensor, torch.Tensor]
KEPT_TEXTS = 2
"""The prompt and the negative prompt."""


@dataclass
class Text:
    """A text as it was given, as the network takes it, and keys and values of it by block."""

    given: torch.Tensor
    taken: torch.Tensor
    pairs: dict[int, Pair] = field(default_factory=dict)


class TextMemory:
    """Keys and values of the texts that were seen last, for as long as nobody changes the network."""

    def __init__(self, network: Any) -> None:
        self._texts: list[Text] = []
        for index, block in enumerate(network.transformer_blocks):
            if isinstance(block.attn2.processor, CosmosAttnProcessor2_0):
                block.attn2.set_processor(RememberingAttention(self, index))

    def forget(self) -> None:
        """Before and after a change of the network, and when a job is done: the keys and values take memory."""
        self._texts.clear()

    def taken(self, given: torch.Tensor, take: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """What `take` makes of a text. The very tensor must be given again for it to be known."""
        found = next((text for text in self._texts if text.given is given), None)
        if found is None:
            found = Text(given, take(given))
        self._texts = [*(text for text in self._texts if text is not found), found][-KEPT_TEXTS:]
        return found.taken

    def pair(self, taken: torch.Tensor, block: int, make: Callable[[], Pair]) -> Pair:
        """Keys and values of the text for a block, made once."""
        pairs = next(text for text in self._texts if text.taken is taken).pairs
        if block not in pairs:
            pairs[block] = make()
        return pairs[block]


class RememberingAttention:
    """Attention to the text, with the operations of diffusers' own processor and in their order."""

    def __init__(self, memory: TextMemory, block: int) -> None:
        self._memory = memory
        self._block = block

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        query = attn.norm_q(_heads(attn, attn.to_q(hidden_states)))
        key, value = self._memory.pair(encoder_hidden_states, self._block, lambda: _pair(attn, encoder_hidden_states))
        seen = scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        answer: torch.Tensor = attn.to_out[0](seen.transpose(1, 2).flatten(2, 3).type_as(query))
        return answer


def _pair(attn: Any, text: torch.Tensor) -> Pair:
    return attn.norm_k(_heads(attn, attn.to_k(text))), _heads(attn, attn.to_v(text))


def _heads(attn: Any, projected: torch.Tensor) -> torch.Tensor:
    """[n, tokens, width] to [n, heads, tokens, width of a head]."""
    count, tokens, _ = projected.shape
    return projected.view(count, tokens, attn.heads, -1).transpose(1, 2)


class FrameTimes:
    """Shift, scale and gate of a block's layers are computed for each frame and not for each of its tokens.

    The network spreads what its time embedding answers over all tokens. Under this it answers next to nothing where frames
    have times of their own, and the layers that would read it find the real one here. `frames` is their number in the
    evaluation to come, None if one time is for all.
    """

    def __init__(self, network: Any) -> None:
        self._embedded: torch.Tensor | None = None
        self._spread: torch.Tensor | None = None
        self.frames: int | None = None
        self._embed = network.time_embed.forward
        network.time_embed.forward = self._keep
        norms = [norm for block in network.transformer_blocks for norm in (block.norm1, block.norm2, block.norm3)]
        for norm in norms:
            norm.forward = _Modulated(self, norm, chunks=3)
        network.norm_out.forward = _Modulated(self, network.norm_out, chunks=2)

    def _keep(self, hidden_states: torch.Tensor, timestep: torch.Tensor) -> Pair:
        spread, embedded = self._embed(hidden_states, timestep)
        if self.frames is None:
            self._embedded = None
            return spread, embedded
        each = (-1, self.frames)
        self._spread, self._embedded = spread.unflatten(0, each), embedded.unflatten(0, each)
        return spread[:, :1], embedded[:, :1]

    def of(self, embedded: torch.Tensor, spread: torch.Tensor) -> Pair:
        """[n, frames, width] each; where all frames have one time they are what the layer was given, [n, 1, width]."""
        if self._embedded is None or self._spread is None:
            return embedded[:, None], spread[:, None]
        return self._embedded, self._spread


class _Modulated:
    """The forward pass of an adaptive norm; it answers the gate too where there are three `chunks`."""

    def __init__(self, times: FrameTimes, norm: Any, *, chunks: int) -> None:
        self._times = times
        self._norm = norm
        self._chunks = chunks

    def __call__(self, hidden_states: torch.Tensor, embedded_timestep: torch.Tensor, temb: torch.Tensor) -> Any:
        embedded, spread = self._times.of(embedded_timestep, temb)
        told = self._norm.linear_2(self._norm.linear_1(self._norm.activation(embedded)))
        shift, scale, *gate = (told + spread[..., : told.shape[-1]]).unsqueeze(2).chunk(self._chunks, dim=-1)
        frames = self._norm.norm(hidden_states).unflatten(1, (shift.shape[1], -1))
        changed = (frames * (1 + scale) + shift).flatten(1, 2)
        return (changed, gate[0].expand_as(frames).flatten(1, 2)) if gate else changed
