"""The laws of priors."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..families import Normal, Place
from ..model import conditionals
from ..networks import MLP
from ..priors import Prior, StartsFromData
from .families import point_masses, require_gradients
from .parts import saved_and_loaded
from .spec import DRAWS, check_spec, require, require_close

EXAMPLE = (4,)
"""The shape of the examples that the posterior of the tests sees."""


def _posterior(size: int) -> nn.Module:
    """Builds a posterior of the level that the prior is for, in float64."""
    return conditionals.encoder(MLP(()), Normal(), EXAMPLE, size).double()


def _build(prior: Prior, size: int, posterior: nn.Module) -> nn.Module:
    """Builds the module of a prior, in float64, started from data where it wants that."""
    module = prior.build(Place((size,), EXAMPLE, posterior)).double()
    for part in module.modules():
        if isinstance(part, StartsFromData):
            part.start_from(torch.rand(part.examples_wanted, *EXAMPLE).double())
    return module


def check_moments(name: str, d: Distribution, masses: Callable[[], tuple[Tensor, Tensor]]) -> None:
    """Compares the samples of a distribution of scalar events (1,) with its density.

    Raises:
        AssertionError: the density does not integrate to one, or the first or second moment of the
            samples is five standard errors from that of the density.
    """
    points, mass = masses()
    one = torch.ones(()).double()
    require_close(mass.sum(), one, 1e-6, f"{name}: integral of the density")
    samples = d.sample(torch.Size([DRAWS])).squeeze(-1)
    for power in (1, 2):
        expected = (points**power * mass).sum(0)
        variance = (points ** (2 * power) * mass).sum(0) - expected**2
        standard_error = variance.sqrt() / math.sqrt(DRAWS)
        error = float(((samples**power).mean() - expected).abs() / standard_error)
        require(
            error < 5,
            f"{name}: moment {power} of the samples is {error:.1f} standard errors from log_prob's",
        )


def check_prior(prior: Prior, *, size: int = 3, seed: int = 0) -> None:
    """Checks shapes, normalisation, samples against log_prob, gradients, and saved weights."""
    check_spec(prior)
    name = type(prior).__name__
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        posterior = _posterior(size)
        module = _build(prior, size, posterior)
        d = module(None)
        z = d.sample(torch.Size([5, 4]))
        log_prob = d.log_prob(z)
        require(
            d.batch_shape == () and d.event_shape == (size,),
            f"{name}: batch {d.batch_shape}, event {d.event_shape}",
        )
        require(
            z.shape == (5, 4, size) and log_prob.shape == (5, 4),
            f"{name}: log_prob must have the shape of the batch",
        )
        require(
            torch.equal(module().log_prob(z), log_prob),
            f"{name}: forward() and forward(None) differ",
        )
        parameters = [p for p in module.parameters() if p.requires_grad]
        if parameters:
            require_gradients(f"{name}.log_prob", log_prob.square().sum(), parameters)
        again = _build(prior, size, posterior)
        again.load_state_dict(saved_and_loaded(module))
        require(
            torch.equal(again(None).log_prob(z), log_prob),
            f"{name}: after saving and loading it differs",
        )
        with torch.no_grad():
            line = _build(prior, 1, _posterior(1))(None)
            check_moments(name, line, lambda: point_masses(line, None, torch.float64))
