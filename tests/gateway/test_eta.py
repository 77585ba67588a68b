"""What is learned about how long things take."""

from __future__ import annotations

import random

import pytest

from orrery.gateway.eta import MAX_KINDS, WINDOW, LatencyModel, Line, fit

TRUE = Line(14.4, 3.05)


def measured(chance: random.Random, count: int = 40, noise: float = 0.0) -> list[tuple[int, float]]:
    steps = [chance.randint(1, 100) for _ in range(count)]
    return [(n, TRUE.seconds(n) * (1 + chance.gauss(0, noise))) for n in steps]


def off(line: Line, steps: int) -> float:
    return abs(line.seconds(steps) - TRUE.seconds(steps)) / TRUE.seconds(steps)


@pytest.mark.parametrize("seed", range(20))
def test_a_line_is_found_within_three_per_mille(seed: int) -> None:
    line = fit(measured(random.Random(seed), noise=0.002))
    assert line.per_step == pytest.approx(TRUE.per_step, rel=3e-3)
    assert max(off(line, steps) for steps in (10, 35, 50, 100)) < 3e-3


@pytest.mark.parametrize("outlier", [(35, 500.0), (1, 900.0), (100, 0.1)], ids=str)
def test_one_accident_changes_nothing(outlier: tuple[int, float]) -> None:
    for seed in range(10):
        line = fit([*measured(random.Random(seed), count=12), outlier])
        assert (line.fixed, line.per_step) == (pytest.approx(TRUE.fixed, rel=3e-3), pytest.approx(TRUE.per_step, rel=3e-3))


def test_of_two_numbers_of_steps_the_line_is_exact() -> None:
    line = fit([(10, TRUE.seconds(10)), (35, TRUE.seconds(35))])
    assert (line.fixed, line.per_step) == (pytest.approx(TRUE.fixed), pytest.approx(TRUE.per_step))


def test_of_one_number_of_steps_it_is_right_there() -> None:
    assert fit([(35, 100.0), (35, 102.0), (35, 300.0)]).seconds(35) == pytest.approx(101.0)
    assert fit([(0, 2.0), (0, 2.2), (0, 9.0)]) == Line(pytest.approx(2.1), 0.0)


def test_times_are_never_negative() -> None:
    assert Line(-5.0, 1.0).seconds(2) == 0.0


def test_the_model_forgets_what_is_long_past() -> None:
    model = LatencyModel()
    for _ in range(WINDOW):
        model.learn("a", 10, 100.0)
    assert model.line("a") == Line(0.0, 10.0)
    for _ in range(WINDOW):
        model.learn("a", 10, 20.0)
    assert model.line("a") == Line(0.0, 2.0)
    for k in range(MAX_KINDS):
        model.learn(k, 1, 1.0)
    assert model.line("a") is None
    assert model.line(0) is not None
