"""The laws of priors."""

import torch
from torch import nn

from ..families import Normal, Place
from ..model.conditionals import build_encoder
from ..networks import MLP
from ..priors import Prior, StartsFromData
from .parts import saved_and_loaded
from .quadrature import check_moments, check_total, point_masses
from .spec import DRAWS, check_spec, moved, require, require_gradients, require_shape

EXAMPLE = (4,)
"""The shape of the examples that the posterior beside the prior sees."""


def _build_posterior(size: int) -> nn.Module:
    """Builds a posterior of the level that the prior is for, in float64."""
    return build_encoder(MLP(()), Normal(), EXAMPLE, size).double()


def _build_prior(prior: Prior, size: int, posterior: nn.Module) -> nn.Module:
    """Builds the module of a prior, in float64, started from data where it wants that.

    Its weights are moved a little from where they start.
    """
    module = prior.build(Place((size,), EXAMPLE, posterior)).double()
    for part in module.modules():
        if isinstance(part, StartsFromData):
            part.start_from(torch.rand(part.examples_wanted, *EXAMPLE).double())
    return moved(module)


def check_prior(prior: Prior, *, size: int = 3, seed: int = 0) -> None:
    """Checks a prior of a level of this size, in float64.

    The laws: it is one distribution of the level's events, without a batch, or with the batch of
    the examples if it sees them (`priors.sees_examples`); gradients reach every
    weight and the values whose density it gives; saved weights give the same density; on a level
    of size 1 the density integrates to one, and its samples have its moments. The rule of
    integration reaches 1,500 quartile distances from the median: a prior of heavier tails, or
    without a variance, cannot be checked, though a fit may use one that has a mean.

    Raises:
        AssertionError: says which law was broken.
    """
    check_spec(prior)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _check_module(prior, size)
        with torch.no_grad():
            _check_density(prior)


def _check_module(prior: Prior, size: int) -> None:
    """Checks the shapes, the gradients and the saved weights of the module of a prior."""
    name = type(prior).__name__
    posterior = _build_posterior(size)
    module = _build_prior(prior, size, posterior)
    d = module(None)
    require(
        d.batch_shape == () and d.event_shape == (size,),
        f"{name}: batch {d.batch_shape}, event {d.event_shape}",
    )
    seen = module(torch.rand(2, *EXAMPLE).double())
    require(
        seen.batch_shape in ((), (2,)),
        f"{name}: batch {seen.batch_shape} of two examples",
    )
    z = d.sample(torch.Size([5, 4])).requires_grad_()
    log_prob = d.log_prob(z)
    require_shape(f"{name}: a sample", z, (5, 4, size))
    require_shape(f"{name}: log_prob", log_prob, (5, 4))
    require(
        torch.equal(module().log_prob(z), log_prob),
        f"{name}: forward() and forward(None) differ",
    )
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    total = log_prob.square().sum() + seen.log_prob(z[:, :2]).square().sum()
    require_gradients(f"{name}.log_prob, z first", total, [z, *weights])
    again = _build_prior(prior, size, posterior)
    again.load_state_dict(saved_and_loaded(module))
    require(
        torch.equal(again(None).log_prob(z), log_prob),
        f"{name}: after saving and loading it differs",
    )


def _check_density(prior: Prior) -> None:
    """Checks the samples of the prior of one dimension against its density."""
    name = type(prior).__name__
    d = _build_prior(prior, 1, _build_posterior(1))(None)
    points, masses = point_masses(d, None, torch.float64)
    check_total(f"{name}: integral of the density", masses, 1e-6)
    samples = d.sample(torch.Size([DRAWS])).squeeze(-1)
    check_moments(name, samples, points, masses)
