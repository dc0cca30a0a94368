"""What is measured of an example with shared noise is a function of this example alone, and is
still an estimate of log p(x).
"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lowerbound.batch import Batch
from lowerbound.columns import ColumnSchema
from lowerbound.evaluation import batches, bound
from lowerbound.evaluation.likelihood import importance_log_likelihood, log_likelihoods
from lowerbound.evaluation.proposal import ABOUT_MODES, DEFENSIVE
from lowerbound.families import FlowPosterior, Normal
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.networks.ladders import MLPLadder
from lowerbound.priors import FlowPrior, Mixture, VampPrior
from lowerbound.testing import Rows, linear_gaussian

GIVEN = (ColumnSchema("class", "nominal", levels=("a", "b", "c")),)

MODELS = {
    "one level": {"latent": (2,)},
    "chain": {"latent": (3, 2)},
    "ladder": {"latent": (3, 2), "ladder": MLPLadder(6)},
    "mixture": {"latent": (2,), "prior": Mixture(3)},
    "vamp": {"latent": (2,), "prior": VampPrior(4)},
    "flow prior": {"latent": (2,), "prior": FlowPrior("RealNVP", hidden=(4,))},
    "flow posterior": {"latent": (2,), "posterior": FlowPosterior("RealNVP", hidden=(4,))},
    "IAF": {"latent": (2,), "posterior": FlowPosterior(hidden=(4,))},
    "conditional": {"latent": (2,), "conditional_prior": True},
    "conditional chain": {"latent": (3, 2), "conditional_prior": True},
    "conditional ladder": {"latent": (3, 2), "ladder": MLPLadder(6)},
}


def build(name):
    """A model with random weights in float64, and a batch for it."""
    torch.manual_seed(0)
    settings = {"network": MLP((6,)), "level_network": MLP((5,)), "likelihood": Normal()}
    settings |= MODELS[name]
    if "ladder" in settings:
        del settings["network"], settings["level_network"]
    given = None
    columns = ()
    if name.startswith("conditional"):
        columns = GIVEN
        given = torch.tensor([0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0])[:, None].double()
    model = Architecture(**settings).build((5,), given=columns).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model, Batch(3 * torch.randn(7, 5).double(), given)


def scores(model, batch):
    """Log p(x) and the bound of each example."""
    elbo = bound(model, batches.WholeBatch(batch), samples=4, seed=3, shares_noise=True)
    return torch.stack([log_likelihoods(model, batch, samples=20, seed=3), elbo.per_example])


@pytest.mark.parametrize("name", MODELS)
def test_what_is_measured_of_an_example_is_a_function_of_it_alone(name, monkeypatch):
    model, batch = build(name)
    whole = scores(model, batch)
    assert whole[0].unique().numel() == 7
    alone = [scores(model, batch.take(torch.tensor([row]))) for row in range(7)]
    assert torch.allclose(torch.cat(alone, 1), whole, rtol=1e-9, atol=0)
    order = torch.tensor([6, 2, 0, 3, 1, 5, 4])
    assert torch.allclose(scores(model, batch.take(order)), whole[:, order], rtol=1e-9, atol=0)
    monkeypatch.setattr(batches, "CHUNK_NUMBERS", 40 * 512)  # two examples of 20 draws at a time
    assert torch.allclose(scores(model, batch), whole, rtol=1e-9, atol=0)
    other = log_likelihoods(model, batch, samples=20, seed=4)
    assert not torch.allclose(other, whole[0], rtol=1e-6)


def narrowed(levels, scale=0.7):
    """A linear-Gaussian model whose posteriors are narrower than the exact ones."""
    truth = linear_gaussian(levels, size=2, data=5)
    for posterior in truth.model.latents.posteriors:
        (layer,) = (part for part in posterior.modules() if isinstance(part, nn.Linear))
        with torch.no_grad():
            layer.bias[len(layer.bias) // 2 :] += 2 * math.log(scale)
    return truth


@pytest.mark.parametrize(
    ("levels", "proposal"), [(1, DEFENSIVE), (2, DEFENSIVE), (3, DEFENSIVE), (1, ABOUT_MODES)]
)
def test_it_is_still_log_p(levels, proposal):
    """Each example within five standard errors of the truth, by the delta method."""
    truth = narrowed(levels)
    x = truth.sample(5)
    found = importance_log_likelihood(
        truth.model, Rows(x), samples=4_000, shares_noise=True, proposal=proposal
    )
    error = torch.sqrt((1 / found.effective - 1 / 4_000).clamp(min=0))
    assert error.max() < 0.1
    difference = found.per_example - truth.log_evidence(x)
    assert (difference.abs() < 5 * error + 1e-9).all()


def test_an_exact_posterior_has_no_noise():
    truth = linear_gaussian(1, size=2, data=5)
    x = truth.sample(9)
    found = log_likelihoods(truth.model, x, samples=20)
    assert torch.allclose(found, truth.log_evidence(x), rtol=0, atol=0.5)


def test_independent_draws_stay_independent():
    """Equal examples get draws of their own, unless they are to share them."""
    truth = narrowed(1)
    x = truth.sample(1).expand(6, -1)
    apart = importance_log_likelihood(truth.model, Rows(x), samples=20).per_example
    together = log_likelihoods(truth.model, x, samples=20)
    assert apart.unique().numel() == 6
    assert np.ptp(together.numpy()) < 1e-12


def test_one_broken_example_does_not_change_the_others():
    truth = narrowed(1)
    x = truth.sample(3)
    broken = torch.cat([torch.full_like(x[:1], torch.nan), x])
    found = log_likelihoods(truth.model, broken, samples=20)
    assert found[0].isnan()
    assert torch.allclose(found[1:], log_likelihoods(truth.model, x, samples=20), rtol=1e-12)
