"""Schedules at the points that their descriptions name."""

import itertools
import math

import pytest

from lowerbound.schedules import Constant, Cosine, Linear, LinearDecay, OneCycle, Stages, at


@pytest.mark.parametrize(
    ("schedule", "step", "value"),
    [
        (Constant(0.3), 0, 0.3),
        (Constant(0.3), math.inf, 0.3),
        (Linear(0.0, 0.2, 200), 0, 0.0),
        (Linear(0.0, 0.2, 200), 50, 0.05),
        (Linear(0.0, 0.2, 200), 200, 0.2),
        (Linear(0.0, 0.2, 200), 5000, 0.2),
        (Linear(0.0, 0.2, 200), math.inf, 0.2),
        (Linear(1.0, 0.5, 10), 5, 0.75),
        (Cosine(), 0, 1.0),
        (Cosine(), 500, 0.5),
        (Cosine(), 250, (1 + math.sqrt(0.5)) / 2),
        (Cosine(0.1), 1000, 0.1),
        (Cosine(0.1), math.inf, 0.1),
        (Cosine(0.1, 0.2, 0.5), 0, 0.5),
        (Cosine(0.1, 0.2, 0.5), 100, 0.75),
        (Cosine(0.1, 0.2, 0.5), 200, 1.0),
        (Cosine(0.1, 0.2, 0.5), 600, 0.55),
        (LinearDecay(0.5, 0.1), 0, 1.0),
        (LinearDecay(0.5, 0.1), 500, 1.0),
        (LinearDecay(0.5, 0.1), 750, 0.55),
        (LinearDecay(0.5, 0.1), 1000, 0.1),
        (LinearDecay(0.5, 0.1), math.inf, 0.1),
        (OneCycle(0.4, 0.04, 0.01), 0, 0.04),
        (OneCycle(0.4, 0.04, 0.01), 200, 0.52),
        (OneCycle(0.4, 0.04, 0.01), 400, 1.0),
        (OneCycle(0.4, 0.04, 0.01), 700, 0.505),
        (OneCycle(0.4, 0.04, 0.01), 1000, 0.01),
        (OneCycle(0.4, 0.04, 0.01), math.inf, 0.01),
    ],
)
def test_values_in_a_run_of_a_thousand_steps(schedule, step, value):
    assert schedule(step, 1000) == pytest.approx(value, abs=1e-12)


def test_the_stages_of_burda():
    """3^i passes at 10^(-i/7), i = 0 .. 7: 3,280 passes in all (Burda et al. 2015, section 5), with
    7 steps in each pass.
    """
    expected = [10 ** (-i / 7) for i in range(8) for _ in range(7 * 3**i)]
    assert [Stages()(step, 7 * 3280) for step in range(7 * 3280)] == pytest.approx(expected)
    assert Stages()(math.inf, 1) == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", [Linear(steps=1000), Cosine(0.1, 0.2), OneCycle()], ids=repr)
def test_no_jumps(schedule):
    values = [schedule(step, 1000) for step in range(1001)]
    assert max(abs(a - b) for a, b in itertools.pairwise(values)) < 0.01


def test_at_takes_a_number_or_a_schedule():
    assert at(0.7, 3, 10) == 0.7
    assert at(2, math.inf, 1) == 2.0
    assert at(Linear(0.0, 1.0, 10), 3, 10) == pytest.approx(0.3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(steps=0),
        lambda: Cosine(warmup=1.0),
        lambda: Cosine(final=-1),
        lambda: OneCycle(warmup=0),
        lambda: Constant(math.nan),
        lambda: Stages(growth=1.0),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match="should be"):
        make()
