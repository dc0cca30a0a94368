"""A batch that is computed in parts gives the step of the whole batch: the same examples, the same
noise, the same gradient up to rounding, whatever the objective.
"""

import dataclasses
import math
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from lowerbound.data import Data
from lowerbound.data.memory import MEMORY
from lowerbound.distributed.processes import ONE_PROCESS
from lowerbound.errors import ConfigError, Interrupted, NonFiniteError
from lowerbound.families import Multinomial
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.networks.ladders import ConvLadder, MLPLadder
from lowerbound.noise import Dropout, GaussianNoise
from lowerbound.objectives import (
    Elbo,
    Iwae,
    Objective,
    PublishedHierarchical,
    Reconstruction,
)
from lowerbound.recipe import Training
from lowerbound.schedules import Linear
from lowerbound.training import Fit
from lowerbound.training.loader import Loader

SETTINGS = Training(
    epochs=2, batch_size=133, learning_rate=3e-3, accelerator="cpu", precision="64-true"
)
"""The last of the eleven batches has 67 of the 1,397 examples."""

LEVELS = Architecture(
    latent=(4, 2),
    network=MLP((16,)),
    level_network=MLP((8,)),
    noise=(Dropout(0.1), GaussianNoise(0.1)),
)


@pytest.fixture(scope="module")
def digits():
    return Data("digits", binarize="dynamic", validation=200, test=200).open()


def make(data, objective=None, architecture=LEVELS, checkpoints=None, **changed):
    settings = dataclasses.replace(SETTINGS, **changed)
    torch.manual_seed(settings.seed)
    model = architecture.build(data.schema.shape, sparse=data.schema.is_sparse)
    return Fit(model, data, objective or Elbo(), settings, checkpoints=checkpoints)


def mean_of(values):
    return values.detach().double().mean((0, 1))


def first_gradient(fit, batch=0, epoch=0):
    """The loss, the mean terms and the gradient of one batch."""
    order = fit.loader.order(epoch)
    fit.state.batch = batch
    fit.state.step = batch
    fit._begin_epoch()
    loss, terms, share = fit.stepper._differentiate(order, fit.state)
    gradients = {
        name: p.grad.to_dense() for name, p in fit.weights.trained.items() if p.grad is not None
    }
    return float(loss.detach()), terms.map(mean_of), share, gradients


def assert_same_gradient(found, expected, tolerance=1e-6):
    loss, terms, share, gradients = found
    assert loss == pytest.approx(expected[0], rel=tolerance)
    for name, value in terms.known().items():
        torch.testing.assert_close(value, expected[1].known()[name], rtol=tolerance, atol=tolerance)
    assert share.size == expected[2].size
    assert gradients.keys() == expected[3].keys()
    for name, gradient in gradients.items():
        wanted = expected[3][name]
        torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-5)
    assert sum(float(gradient.abs().sum()) for gradient in gradients.values()) > 1


class OfMoments(Objective):
    """No mean over examples, and of all terms: the variance of the weights over the batch, too."""

    def __call__(self, terms, step=math.inf, total=1):
        return Elbo()(terms) + terms.log_weight.var(dim=1).mean() + terms.rate.mean((0, 1)).norm()


FREE = 1.0
"""At first one level has a higher mean rate, the other a lower one."""

OBJECTIVES = {
    "elbo": (Elbo(beta=Linear(0.3, 1.0, 4)), 1),
    "several draws": (Elbo(kl="sampled"), 3),
    "iwae": (Iwae(), 3),
    "published": (PublishedHierarchical(), 1),
    "reconstruction": (Reconstruction(), 2),
    "free bits": (Elbo(free_bits=FREE), 1),
    "free bits that fall": (Elbo(free_bits=Linear(2 * FREE, 0.0, 8)), 2),
    "moments": (OfMoments(), 2),
}


@pytest.mark.parametrize("accumulate", [2, 3, 50])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_gradient_of_parts_is_that_of_the_whole_batch(digits, name, accumulate):
    objective, samples = OBJECTIVES[name]
    plain = make(digits, objective, samples=samples)
    parts = make(digits, objective, samples=samples, accumulate=accumulate)
    for batch in (0, 10):
        expected = first_gradient(plain, batch)
        found = first_gradient(parts, batch)
        assert_same_gradient(found, expected)


LADDERS = {
    "vectors": (MLPLadder(width=16), (4, 3)),
    "grids": (ConvLadder(width=8, stem=2, grids=(1, 1)), (2, 2, 4)),
}


@pytest.mark.parametrize("name", LADDERS)
@pytest.mark.parametrize("free_bits", [0.0, 0.2])
def test_parts_of_a_ladder_whose_cells_are_computed_twice(digits, name, free_bits):
    """The levels draw their noise in one walk; free bits act on the mean rate of the batch."""
    ladder, latent = LADDERS[name]
    architecture = Architecture(latent=latent, ladder=ladder)
    objective = Elbo(free_bits=free_bits)
    plain = make(digits, objective, architecture)
    parts = make(digits, objective, architecture, accumulate=3, recompute=True)
    for fit in (plain, parts):
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in fit.model.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    assert_same_gradient(first_gradient(parts), first_gradient(plain))


def test_the_mean_rates_of_the_levels_are_on_both_sides_of_the_free_bits(digits):
    """So that the tests of free bits see both."""
    fit = make(digits)
    with torch.no_grad():
        for parameter in fit.model.latents.posteriors[0].parameters():
            parameter *= 3
    _, terms, _, _ = first_gradient(fit)
    assert terms.rate.max() > FREE > terms.rate.min()


@pytest.mark.parametrize(
    ("objective", "calls"), [(Elbo(), 3), (Elbo(free_bits=FREE), 6)], ids=["mean", "free bits"]
)
def test_no_more_than_a_part_is_computed_at_once(digits, objective, calls):
    fit = make(digits, objective, accumulate=3)
    sizes = []
    fit.model.decoder.register_forward_pre_hook(
        lambda module, inputs: sizes.append(inputs[0].shape[1])
    )
    first_gradient(fit)
    assert sizes == [45, 44, 44] * (calls // 3)


@pytest.mark.parametrize(("size", "parts"), [(1, 1), (2, 2), (5, 4), (9, 4)])
def test_a_batch_of_few_examples_has_few_parts(digits, size, parts):
    loader = Loader(
        digits.train.take(np.arange(size)),
        Training(batch_size=100, accumulate=4),
        ONE_PROCESS,
        torch.device("cpu"),
    )
    order = loader.order(0)
    assert loader.parts(order, 0) == parts
    found = loader.read_parts(order, 0, 0)
    whole, _ = loader.read(order, 0, 0)
    seen = torch.cat([share.rows for _, share in found])
    assert sorted(seen.tolist()) == list(range(size))
    for batch, share in found:
        assert torch.equal(batch.x, whole.x[share.rows])


@pytest.mark.parametrize("optimizer", ["Adam", "LazyAdam"])
@pytest.mark.parametrize("objective", [Elbo(per_entry=True, beta=0.01), Elbo(free_bits=0.5)])
def test_parts_of_sparse_rows(optimizer, objective):
    """Their noise is of their entries in the whole batch."""
    data = Data("synthetic-interactions").open()
    architecture = Architecture(
        latent=(4,), network=MLP((16,)), likelihood=Multinomial(), noise=(Dropout(0.5),)
    )
    options = {"optimizer": optimizer, "batch_size": 21, "monitor": "objective"}
    fits = [make(data, objective, architecture, accumulate=number, **options) for number in (1, 4)]
    expected, found = [first_gradient(fit, 1) for fit in fits]
    assert_same_gradient(found, expected)
    for fit in fits:
        fit.stepper.take(fit.loader.order(0), fit.state)
    for name, weight in fits[0].model.state_dict().items():
        torch.testing.assert_close(fits[1].model.state_dict()[name], weight, rtol=1e-5, atol=1e-6)


def test_parts_of_a_table_with_gaps_have_the_cells_that_the_batch_hides():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(300, 5))
    table[rng.random(table.shape) < 0.1] = np.nan
    data = Data(MEMORY, kinds={}, hide=0.3, validation=50, test=50).open(source=table)
    settings = Training(batch_size=31, accumulate=4)
    loader = Loader(data.train, settings, ONE_PROCESS, torch.device("cpu"))
    order = loader.order(0)
    whole, _ = loader.read(order, 1, 9)
    for batch, share in loader.read_parts(order, 1, 9):
        assert torch.equal(batch.observed, whole.observed[share.rows])
        assert torch.equal(batch.x, whole.x[share.rows])


@pytest.mark.parametrize("name", ["elbo", "free bits"])
def test_a_fit_in_parts_has_the_curve_of_a_whole_one(digits, name):
    objective, _ = OBJECTIVES[name]
    plain = make(digits, objective).run().history
    parts = make(digits, objective, accumulate=4).run().history
    for ours, theirs in zip(parts, plain, strict=True):
        assert ours.keys() == theirs.keys()
        assert list(ours.values()) == pytest.approx(list(theirs.values()), rel=1e-5)


def test_a_fit_in_parts_goes_on_exactly(digits, tmp_path):
    """With all that large models need: averages, steps left out, free bits that fall, Adamax."""
    options = {
        "accumulate": 3,
        "ema": 0.9,
        "skip_above": 4.45,
        "clip": 4.0,
        "optimizer": "Adamax",
        "precision": "32-true",
        "epochs": 3,
    }
    objective = Elbo(free_bits=Linear(1.0, 0.0, 20))
    whole = make(digits, objective, **options)
    whole.run()
    fit = make(digits, objective, checkpoints=tmp_path, **options)
    ordinary = fit._step

    def stepping(order):
        ordinary(order)
        if fit.state.step == 15:
            os.kill(os.getpid(), signal.SIGINT)

    fit._step = stepping
    with pytest.raises(Interrupted):
        fit.run()
    second = make(digits, objective, checkpoints=tmp_path, **options)
    second.resume()
    second.run()
    assert second.state.history == whole.state.history
    assert 0 < sum(row["train_skipped"] for row in second.state.history) < 33
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], weight)


class Breaking(Objective):
    """Becomes NaN at a step."""

    def is_mean(self, step=math.inf, total=1):
        return True

    def __call__(self, terms, step=math.inf, total=1):
        return Elbo()(terms) * (math.nan if step == 13 else 1)


def test_a_loss_that_is_not_finite_stops_at_its_step(digits, tmp_path):
    fit = make(digits, Breaking(), accumulate=3, checkpoints=tmp_path)
    with pytest.raises(NonFiniteError, match="nan at step 13"):
        fit.run()
    assert all(weight.isfinite().all() for weight in fit.model.parameters())


def test_a_compiled_model_is_not_computed_in_parts():
    with pytest.raises(ConfigError, match="accumulate=2 is for models as they are, got compile=T"):
        Training(accumulate=2, compile=True)


class WithDropout(MLP):
    """A user's own network with a layer that draws for the examples that it sees."""

    def encoder(self, shape, features, heads=1):
        return nn.Sequential(nn.Dropout(0.5), super().encoder(shape, features, heads))


def test_layers_that_would_draw_the_same_for_all_parts_are_refused(digits):
    architecture = dataclasses.replace(LEVELS, network=WithDropout((4,)))
    make(digits, architecture=architecture)
    with pytest.raises(ConfigError, match="would draw the same for all parts") as e:
        make(digits, architecture=architecture, accumulate=2)
    assert "training.accumulate=1 (got 2) in one process (got 1)" in str(e.value)
