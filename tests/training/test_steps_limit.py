"""A recipe may limit the optimiser steps: few examples then have more epochs than many."""

import pytest

import lowerbound
from lowerbound import recipe
from lowerbound.errors import ConfigError
from lowerbound.fitting import limit_epochs

FAST = {"training.threads": 1, "training.compile": False, "report.write": False}


def plan(**training):
    return recipe.parse({"data": {"source": "digits"}, "training": training})


@pytest.mark.parametrize(
    ("examples", "epochs"),
    [(96, 100), (320, 100), (640, 50), (650, 47), (32_000, 1), (1_000_000, 1)],
)
def test_steps_allow_so_many_whole_epochs(examples, epochs):
    """1,000 steps of 32: 31 examples more than 20 batches are another batch of each epoch."""
    limited = limit_epochs(plan(epochs=100, steps=1000, batch_size=32), examples)
    assert limited.training.epochs == epochs
    assert limited.training.steps == 1000


def test_without_a_limit_nothing_changes():
    unlimited = plan(epochs=100)
    assert limit_epochs(unlimited, 10) is unlimited


def test_a_fit_has_no_more_steps_and_says_so_in_its_recipe(tmp_path):
    """A run that is begun again from its recipe, or resumed, has as many."""
    settings = FAST | {"training.epochs": 9, "training.steps": 50, "training.batch_size": 64}
    run = lowerbound.fit("digits", out=tmp_path / "run", settings=settings, progress=False)
    assert run.summary["sizes"]["train"] == 1258  # 20 steps an epoch
    assert run.summary["epochs"] == 2
    assert recipe.load(tmp_path / "run" / "recipe.toml").training.epochs == 2
    more = settings | {"training.steps": 60}
    arguments = {"out": tmp_path / "run", "resume": True, "progress": False}
    assert lowerbound.fit("digits", settings=more, **arguments).summary["epochs"] == 3


@pytest.mark.parametrize("steps", [0, -1, 1.5, "many"])
def test_a_wrong_limit_is_refused(steps):
    with pytest.raises(ConfigError, match=r"training\.steps"):
        plan(steps=steps)
