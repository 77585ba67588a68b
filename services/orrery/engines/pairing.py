"""Both branches of guidance in one evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from orrery.engines.engine import Engine


@dataclass(frozen=True)
class Asked:
    """What an evaluation was asked, but for the text."""

    hidden_states: torch.Tensor
    timestep: torch.Tensor
    condition_mask: torch.Tensor | None
    rope_fps: float | None

    def same_as(self, other: Asked) -> bool:
        return (
            self.rope_fps == other.rope_fps
            and _equal(self.hidden_states, other.hidden_states)
            and _equal(self.timestep, other.timestep)
            and _equal(self.condition_mask, other.condition_mask)
        )


class PairedEngine:
    """An `Engine` that is asked for one text after the other, and evaluates both in a batch of two at the first.

    What it is asked for the second text must be what it was asked for the first; if it is not, that is evaluated by itself.
    The engine behind it must take batches.
    """

    def __init__(self, engine: Engine, text: torch.Tensor, negative_text: torch.Tensor):
        self._engine = engine
        self._text = text
        self._negative_text = negative_text
        self._both = torch.cat([text, negative_text])
        self._ahead: tuple[Asked, torch.Tensor] | None = None

    def __call__(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        condition_mask: torch.Tensor | None,
        rope_fps: float | None,
    ) -> torch.Tensor:
        """See `Engine`."""
        asked = Asked(hidden_states, timestep, condition_mask, rope_fps)
        if encoder_hidden_states is self._text:
            answer, other = self._evaluated(asked).chunk(2)
            self._ahead = asked, other
            return answer
        if encoder_hidden_states is self._negative_text and self._ahead is not None and asked.same_as(self._ahead[0]):
            return self._ahead[1]
        return self._engine(hidden_states, timestep, encoder_hidden_states, condition_mask, rope_fps)

    def _evaluated(self, asked: Asked) -> torch.Tensor:
        mask = None if asked.condition_mask is None else _twice(asked.condition_mask)
        return self._engine(_twice(asked.hidden_states), _twice(asked.timestep), self._both, mask, asked.rope_fps)


def _equal(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one, other)


def _twice(tensor: torch.Tensor) -> torch.Tensor:
    return torch.cat([tensor, tensor])
