"""What objectives say of themselves and refuse; their values are in test_traps, their laws in
test_laws.
"""

import math

import pytest
import torch

from lowerbound.errors import ConfigError
from lowerbound.objectives import Elbo, Iwae, PublishedHierarchical, Reconstruction
from lowerbound.schedules import Linear
from lowerbound.testing import random_terms


@pytest.mark.parametrize(
    ("objective", "kl", "bound", "weight"),
    [
        (Elbo(), "valid", True, 1.0),
        (Elbo(beta=4.0, kl="sampled"), "sampled", True, 4.0),
        (Iwae(), "valid", True, 1.0),
        (Reconstruction(), "valid", False, 0.0),
        (PublishedHierarchical(), "everywhere", True, 2.0),
    ],
)
def test_what_an_objective_needs(objective, kl, bound, weight):
    """The trainer asks for these: how to estimate rates, whether the posterior needs a density, the
    weight to log.
    """
    assert (objective.kl, objective.has_bound, objective.weight()) == (kl, bound, weight)


def test_the_weight_follows_its_schedule():
    """Annealing of Mult-VAE: from 0 to 0.2 over 200,000 steps; without a step, the value in the
    end.
    """
    objective = Elbo(beta=Linear(0.0, 0.2, 200_000))
    assert [objective.weight(step, 1) for step in (0, 100_000, 200_000, 10**9)] == pytest.approx(
        [0, 0.1, 0.2, 0.2]
    )
    assert objective.weight() == pytest.approx(0.2)


def test_free_bits_are_in_the_metrics_where_they_follow_a_schedule():
    falling = Elbo(free_bits=Linear(2.0, 0.0, 20_000))
    found = [falling.scheduled(step, 1)["free_bits"] for step in (0, 5_000, 20_000, 10**9)]
    assert found == pytest.approx([2.0, 1.5, 0.0, 0.0])
    assert falling.scheduled() == {"free_bits": 0.0}
    assert Elbo(free_bits=2.0).scheduled(3, 10) == {}
    assert Iwae().scheduled(3, 10) == {}


def test_rates_may_fall_below_zero_when_the_free_bits_have_come_to_none():
    """Rates that are estimated from draws may be negative: a clamp at 0 would bias the bound."""
    terms = random_terms()
    terms = terms._replace(rate=-terms.rate.abs())
    falling = Elbo(free_bits=Linear(1.0, 0.0, 10))
    assert torch.equal(falling(terms, 10), Elbo()(terms))
    assert torch.equal(falling(terms, 0), Elbo(free_bits=1.0)(terms))


@pytest.mark.parametrize(
    "options",
    [
        {"beta": math.nan},
        {"beta": "much"},
        {"free_bits": -1.0},
        {"free_bits": "few"},
        {"kl": "exact"},
        {"bta": 1.0},
    ],
    ids=repr,
)
def test_bad_settings_are_refused(options):
    with pytest.raises(ConfigError, match=r"^Elbo: "):
        Elbo(**options)
