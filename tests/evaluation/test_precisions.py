"""Scores are the same in float32 and in float64, up to rounding, whatever the prior draws by."""

import numpy as np
import pytest
import torch

from lowerbound import Architecture
from lowerbound.distributed.precision import Float32Draws
from lowerbound.evaluation.likelihood import log_likelihoods

PRIORS = ["StandardNormal", "Mixture", "VampPrior", "FlowPrior"]


@pytest.mark.parametrize("prior", PRIORS)
def test_log_likelihoods_are_those_of_the_other_precision(prior):
    torch.manual_seed(0)
    model = Architecture(latent=[3], prior=prior, likelihood="Normal").build((5,))
    rows = torch.randn(7, 5)
    single = log_likelihoods(model, rows, samples=20).numpy()
    double = log_likelihoods(model.double(), rows.double(), samples=20).numpy()
    np.testing.assert_allclose(double, single, rtol=1e-5)


def test_draws_have_the_type_that_is_asked_for():
    weights = torch.tensor([0.2, 0.8], dtype=torch.float64)
    zeros = torch.zeros(4, dtype=torch.float64)
    draws = {
        "normal": lambda: torch.normal(zeros, zeros + 1),
        "randn": lambda: torch.randn(4, dtype=torch.float64),
        "rand_like": lambda: torch.rand_like(zeros),
    }
    for name, draw in draws.items():
        torch.manual_seed(1)
        with Float32Draws():
            found = draw()
        assert found.dtype == torch.float64, name
        assert torch.equal(found, found.float().double()), name
        assert not torch.equal(draw(), draw().float().double()), name
    with Float32Draws():
        assert torch.multinomial(weights, 3, replacement=True).dtype == torch.int64
        assert torch.randn(2).dtype == torch.float32
