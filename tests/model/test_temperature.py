"""Priors at another temperature: what is scaled, what stays, and what has no scale."""

import pytest
import torch
from torch.distributions import (
    AffineTransform,
    Categorical,
    Gamma,
    Independent,
    MixtureSameFamily,
    Normal,
    TransformedDistribution,
)

from lowerbound.errors import ConfigError
from lowerbound.families import Normal as NormalFamily
from lowerbound.families import Place
from lowerbound.latents import cooled
from lowerbound.priors import Mixture
from lowerbound.run.returned import refuse_temperature

ZEROS = torch.zeros(3)


def normal():
    return NormalFamily()((torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.0, 1.0, -1.0])), 1)


def test_at_one_a_prior_is_itself():
    p = normal()
    assert cooled(p, 1.0) is p


def test_the_scale_of_a_normal_distribution_is_multiplied():
    p = normal()
    cool = cooled(p, 0.5)
    assert cool.event_shape == p.event_shape
    assert torch.equal(cool.mean, p.mean)
    torch.testing.assert_close(cool.stddev, p.stddev / 2)
    torch.manual_seed(0)
    whole = p.sample()
    torch.manual_seed(0)
    torch.testing.assert_close(cool.sample() - p.mean, (whole - p.mean) / 2)


def test_each_component_of_a_mixture_keeps_its_place_and_its_weight():
    p = Mixture(components=4)
    mixture = p.build(Place((3,)))(None)
    cool = cooled(mixture, 0.1)
    assert torch.equal(cool.component_distribution.mean, mixture.component_distribution.mean)
    assert cool.mixture_distribution is mixture.mixture_distribution
    torch.testing.assert_close(
        cool.component_distribution.stddev, mixture.component_distribution.stddev / 10
    )
    assert cool.sample((5,)).shape == (5, 3)


def test_mixtures_of_each_dimension_are_cooled_too():
    parts = Normal(torch.zeros(3, 2), torch.ones(3, 2))
    p = Independent(MixtureSameFamily(Categorical(logits=torch.zeros(3, 2)), parts), 1)
    assert torch.equal(
        cooled(p, 0.25).base_dist.component_distribution.stddev, torch.full((3, 2), 0.25)
    )


def test_the_base_of_a_transformed_distribution_is_cooled():
    base = Independent(Normal(ZEROS, torch.ones(3)), 1)
    p = TransformedDistribution(base, [AffineTransform(5.0, 2.0)])
    draws = cooled(p, 0.01).sample((1_000,))
    torch.testing.assert_close(draws.mean(0), torch.full((3,), 5.0), atol=0.01, rtol=0)
    torch.testing.assert_close(draws.std(0), torch.full((3,), 0.02), atol=2e-3, rtol=0)


def test_a_prior_without_a_scale_is_refused_but_at_one():
    p = Gamma(torch.ones(2), torch.ones(2))
    assert cooled(p, 1.0) is p
    with pytest.raises(ConfigError, match="for priors that have a scale, got Gamma; 1 leaves"):
        cooled(p, 0.7)


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), True, "hot", None])
def test_what_is_no_temperature_is_refused(wrong):
    with pytest.raises(ConfigError, match="temperature must be a number above 0, got"):
        refuse_temperature(wrong)
