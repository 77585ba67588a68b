"""UniPC of second order: the official sampler of Predict2.5."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from orrery.stages.samplers.sampler import Predict, SamplerState
from orrery.stages.samplers.sigmas import karras_sigmas

SIGMA_MAX, SIGMA_MIN = 200.0, 0.01
"""Of the schedule for checkpoints that came from EDM's noise levels, in units of the clean latents' deviation."""
SHIFT = 5.0
HIGHEST = 0.9990000128746033
"""Where the linear schedule begins before it is shifted: 0.999 in FP32, from the 1000 levels that official code tabulates."""


def karras_levels(count: int) -> NDArray[np.float64]:
    """`count` levels t = sigma / (1 + sigma) of a flow, sigma as Karras et al. space it from `SIGMA_MAX` to `SIGMA_MIN`."""
    sigmas = karras_sigmas(count, SIGMA_MAX, SIGMA_MIN)
    levels: NDArray[np.float64] = sigmas / (sigmas + 1)
    return levels


def shifted_levels(count: int) -> NDArray[np.float64]:
    """`count` levels of a flow, from `HIGHEST` in equal steps towards 0, shifted up: s t / (1 + (s - 1) t)."""
    linear = np.linspace(HIGHEST, 0.0, count + 1)[:-1]
    levels: NDArray[np.float64] = SHIFT * linear / (1 + (SHIFT - 1) * linear)
    return levels


class UniPC:
    """Predictor and corrector of Zhao et al. 2023, "UniPC", with B(h) = e^h - 1, for a network that gives velocities; in FP32.

    `levels` are t of x = (1 - t) x0 + t noise. One step is one evaluation at its level: first it corrects the latents that were
    predicted for this level, then it predicts those of the next. The first and the last prediction are of first order, and
    the last, at t = 0, is the estimate of the clean latents. The history is what the next correction needs: the corrected
    latents that were stepped from, and the estimate before the newest.
    """

    def __init__(self, levels: NDArray[np.float64]):
        self.num_steps = len(levels)
        self._levels = torch.from_numpy(np.append(levels, 0.0).astype(np.float32))

    def start(self, noise: torch.Tensor) -> SamplerState:
        """See `Sampler`."""
        return SamplerState(0, noise)

    def advance(self, state: SamplerState, predict_velocity: Predict) -> SamplerState:
        """See `Sampler`."""
        level = self._levels[state.step]
        x0 = state.latents - level * predict_velocity(state.latents, level)
        latents = state.latents if state.previous_x0 is None else self._corrected(state, state.previous_x0, x0)
        step = state.step + 1
        if state.previous_x0 is None:
            return SamplerState(step, self._first_order(step, latents, x0), x0, {"corrected": latents})
        history = {"corrected": latents, "earlier_x0": state.previous_x0}
        return SamplerState(step, self._predicted(step, latents, x0, state.previous_x0), x0, history)

    def _predicted(self, step: int, latents: torch.Tensor, x0: torch.Tensor, previous_x0: torch.Tensor) -> torch.Tensor:
        """The latents at level `step` from those of the level before it."""
        first_order = self._first_order(step, latents, x0)
        if step == self.num_steps:
            return first_order
        slope = (previous_x0 - x0) / self._ratio(step)
        return first_order - self._weight(step) * (0.5 * slope)

    def _corrected(self, state: SamplerState, previous_x0: torch.Tensor, x0: torch.Tensor) -> torch.Tensor:
        """The latents at the level of `state` once more, now that the estimate there is known too."""
        first_order = self._first_order(state.step, state.history["corrected"], previous_x0)
        newest = x0 - previous_x0
        if "earlier_x0" not in state.history:
            return first_order - self._weight(state.step) * (0.5 * newest)
        ratio = self._ratio(state.step)
        older_share, newest_share = _corrector_shares(self._step_size(state.step), ratio)
        slope = (state.history["earlier_x0"] - previous_x0) / ratio
        return first_order - self._weight(state.step) * (older_share * slope + newest_share * newest)

    def _first_order(self, step: int, latents: torch.Tensor, x0: torch.Tensor) -> torch.Tensor:
        """From level `step - 1` to `step` if the estimate stayed `x0` all the way."""
        return self._levels[step] / self._levels[step - 1] * latents - self._weight(step) * x0

    def _weight(self, step: int) -> torch.Tensor:
        return (1 - self._levels[step]) * torch.expm1(-self._step_size(step))

    def _step_size(self, step: int) -> torch.Tensor:
        """How much half the logarithm of the signal-to-noise ratio grows from level `step - 1` to `step`."""
        return self._log_snr(step) - self._log_snr(step - 1)

    def _log_snr(self, step: int) -> torch.Tensor:
        return torch.log(1 - self._levels[step]) - torch.log(self._levels[step])

    def _ratio(self, step: int) -> torch.Tensor:
        """Where level `step - 2` lies, in steps from `step - 1` to `step`: negative."""
        return (self._log_snr(step - 2) - self._log_snr(step - 1)) / self._step_size(step)


def _corrector_shares(step_size: torch.Tensor, ratio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How much of the older slope and of the newest difference is taken: equation 12 of the paper for two points."""
    z = -step_size
    growth = torch.expm1(z)
    phi2 = growth / z - 1
    phi3 = phi2 / z - 0.5
    one = torch.ones_like(ratio)
    points = torch.stack([torch.stack([one, one]), torch.stack([ratio, one])])
    older, newest = torch.linalg.solve(points, torch.stack([phi2 / growth, phi3 * 2 / growth]))
    return older, newest
