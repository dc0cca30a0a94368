"""The loop against a plain one: which examples, rates, weights and draws each step gets, and which
weights and figures are kept in the end.

Each test here fails for a fault that was once put in by hand and noticed by no other test.
"""

import copy
import itertools
import math

import numpy as np
import pytest
import torch

import lowerbound
from lowerbound.data import Data
from lowerbound.families import Bernoulli
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.noise import Dropout, L2Normalize
from lowerbound.objectives import Elbo, PublishedHierarchical
from lowerbound.recipe import Phase, Training
from lowerbound.schedules import Linear
from lowerbound.training import Fit, Follower, derive_seed
from lowerbound.training.seeds import NOISE_STREAM, ORDER_STREAM, VALIDATION_STREAM
from lowerbound.training.validation import measured

EPOCHS = 3
BATCH = 400
RATE = 0.05
WARM_UP = 7
"""Optimiser steps until the weight of the rate is 1. They end within the second epoch."""


@pytest.fixture(scope="module")
def digits():
    return Data("digits", validation=200, test=200).open()


def settings(**changed):
    options = {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": RATE, "accelerator": "cpu"}
    return Training(**(options | changed))


def build(data, latent=(4,), **options):
    torch.manual_seed(0)
    likelihood = Bernoulli()
    architecture = Architecture(latent=latent, network=MLP((16,)), likelihood=likelihood, **options)
    return architecture.build(data.schema.shape, sparse=data.schema.is_sparse)


class PlainLoop:
    """Plain stochastic gradient descent on the negative bound, written out.

    The rate of step s of S is RATE (1 - s/S), and the weight of the KL term min(s / WARM_UP, 1).
    """

    def __init__(self, model, examples):
        self.model = model
        self.examples = examples
        self.orders = []
        self.losses = []

    def run(self):
        parameters = list(self.model.parameters())
        per_epoch = math.ceil(len(self.examples) / BATCH)
        step = 0
        self.model.train()
        for epoch in range(EPOCHS):
            generator = torch.Generator().manual_seed(derive_seed(0, ORDER_STREAM, epoch))
            order = torch.randperm(len(self.examples), generator=generator)
            self.orders.append(order)
            for index in order.split(BATCH):
                noise = derive_seed(0, NOISE_STREAM, step, 0)
                x = self.examples.batch(index, noise)
                torch.manual_seed(noise)
                terms = self.model.terms(x)
                weight = min(step / WARM_UP, 1.0)
                loss = (weight * terms.rate.sum(-1) - terms.log_likelihood).mean()
                gradients = torch.autograd.grad(loss, parameters)
                rate = RATE * (1 - step / (EPOCHS * per_epoch))
                with torch.no_grad():
                    for parameter, gradient in zip(parameters, gradients, strict=True):
                        parameter -= rate * gradient
                self.losses.append(float(loss.detach()))
                step += 1


@pytest.fixture(scope="module")
def both(digits):
    """The plain loop, and a fit with the same settings. Both have run."""
    model = build(digits)
    loop = PlainLoop(copy.deepcopy(model), digits.train)
    loop.run()
    # Gradient descent without memory, so that each rate and each weight has its own effect.
    how = settings(optimizer="SGD", schedule=lowerbound.schedules.LinearDecay(after=0.0, final=0.0))
    objective = Elbo(beta=Linear(steps=WARM_UP))
    fit = Fit(model, digits, objective, how)
    fit.run(LastWeights(fit))
    return loop, fit


class LastWeights(Follower):
    """Keeps the weights after each epoch, since the best ones take their place in the end."""

    def __init__(self, fit):
        self.fit = fit
        self.states = []
        fit.kept = self.states

    def epoch_done(self, history):
        weights = {name: w.detach().clone() for name, w in self.fit.model.state_dict().items()}
        self.states.append(weights)


def test_a_fit_equals_a_plain_loop(both):
    """The rate and the weight of the KL term are those of each step, over the whole run."""
    loop, fit = both
    for name, weight in loop.model.state_dict().items():
        torch.testing.assert_close(fit.kept[-1][name], weight, rtol=1e-4, atol=1e-6)


def test_the_objective_of_each_epoch_is_the_mean_of_its_losses(both, digits):
    """The weight of the KL term goes on from epoch to epoch, in the loss as in the log."""
    loop, fit = both
    sizes = [len(index) for index in loop.orders[0].split(BATCH)]
    losses = np.asarray(loop.losses).reshape(EPOCHS, len(sizes))
    expected = losses @ sizes / len(digits.train)
    found = [row["train_objective"] for row in fit.state.history]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_each_epoch_has_an_order_of_its_own(both):
    loop, fit = both
    orders = [fit.loader.order(epoch) for epoch in range(EPOCHS)]
    for order, expected in zip(orders, loop.orders, strict=True):
        assert torch.equal(order, expected)
        assert torch.equal(order.sort().values, torch.arange(len(order)))
    for earlier, later in itertools.pairwise(orders):
        # Two independent orders agree in one place in the mean.
        assert (earlier == later).sum() < 10


# What is kept -----------------------------------------------------------------------------------


def test_the_best_weights_are_kept_for_the_least_gain(digits):
    """Validation improves by some thousandths of a nat an epoch, and yet each epoch is the best."""
    how = settings(optimizer="SGD", learning_rate=1e-7, epochs=4)
    fit = Fit(build(digits), digits, Elbo(), how)
    state = fit.run(LastWeights(fit))
    values = [row["validation_objective"] for row in state.history]
    gains = -np.diff(values)
    assert (gains > 0).all()
    assert gains.max() < 0.1
    assert state.best_epoch == 4
    for name, weight in fit.model.state_dict().items():
        assert torch.equal(weight, fit.kept[-1][name])


def test_the_summary_is_of_the_epoch_whose_weights_are_kept(tmp_path):
    """The figures beside the test figures are those of the best epoch, not of the last."""
    changed = {
        "training.epochs": 8,
        # The rate rises until the steps do harm.
        "training.schedule": {"type": "Linear", "start": 1.0, "stop": 300.0, "steps": 160},
        "report.write": False,
    }
    run = lowerbound.fit("digits", out=tmp_path / "run", settings=changed, progress=False)
    rows = np.genfromtxt(tmp_path / "run/metrics.csv", delimiter=",", names=True)
    best = run.summary["best_epoch"]
    assert best == 1 + int(np.argmin(rows["validation_objective"]))
    assert best < len(rows), "the last epoch must not be the best for this test to see anything"
    for split in ("train", "validation"):
        for figure in ("elbo", "objective", "log_likelihood_term"):
            column = rows[f"{split}_{figure}"]
            assert run.summary[split][figure] == column[best - 1]
            assert column[best - 1] != column[-1]
    validation = run.data().split("validation")
    plan = run.recipe
    again = measured(run.model, validation, plan.objective, plan.training, VALIDATION_STREAM)
    assert again["elbo"] == pytest.approx(run.summary["validation"]["elbo"], rel=1e-5)


# What is drawn ----------------------------------------------------------------------------------


def test_the_noise_of_a_fixed_binarisation_is_of_each_row_its_own(tmp_path):
    """No two blocks of rows share their draws: of grey pixels any two images differ."""
    grey = np.full((1000, 1, 8, 8), 128, np.uint8)
    np.save(tmp_path / "grey.npy", grey)
    data = Data(str(tmp_path / "grey.npy"), binarize="static", validation=0, test=0).open()
    bits = data.train.batch(slice(None)).numpy().reshape(1000, -1)
    assert len(np.unique(bits, axis=0)) == 1000
    for lag in (1, 255, 256, 257, 512):
        agreement = (bits[lag:] == bits[:-lag]).mean()
        # Bits with p = 128/255 agree with probability 1/2; 7 standard errors are below 0.02.
        assert agreement == pytest.approx(0.5, abs=0.02)


def test_the_phase_of_the_decoder_has_no_noise():
    """With `noise = false` the encoder sees x as it is: its codes are the same in each draw."""
    data = Data("synthetic-interactions").open()
    torch.manual_seed(0)
    architecture = Architecture(
        latent=(4,),
        network=MLP((16,)),
        likelihood=lowerbound.families.Multinomial(),
        noise=(L2Normalize(), Dropout(0.5)),
    )
    model = architecture.build(data.schema.shape, sparse=True)
    phases = (Phase(trains="latents"), Phase(trains="decoder", noise=False))
    fit = Fit(model, data, Elbo(), settings(phases=phases, monitor="objective"))
    x = data.train.batch(slice(0, 20))

    def spread_of_means():
        means = [fit.weights.wrapped.infer(x, 1).levels[0].q.mean for _ in range(2)]
        return float((means[0] - means[1]).detach().abs().max())

    fit.weights.begin_phase(phases[0])
    assert spread_of_means() > 1e-3
    fit.weights.begin_phase(phases[1])
    assert spread_of_means() == 0.0
    fit.weights.begin_phase(phases[0])
    assert spread_of_means() > 1e-3


# What is logged ---------------------------------------------------------------------------------


def test_the_bound_of_a_hierarchy_in_training_is_the_bound(digits):
    """Under the published loss, whose rates are no bound, the logged bound is that of the weights.

    With two levels and a posterior far from the prior the two differ by much.
    """
    model = build(digits, latent=(6, 3))
    with torch.no_grad():
        for parameter in model.latents.parameters():
            parameter *= 3
    before = copy.deepcopy(model)
    objective = PublishedHierarchical()
    how = settings(epochs=1, learning_rate=1e-30, batch_size=len(digits.train))
    fit = Fit(model, digits, objective, how)
    state = fit.run()
    before.train()
    noise = derive_seed(0, NOISE_STREAM, 0, 0)
    x = digits.train.batch(fit.loader.order(0), noise)
    torch.manual_seed(noise)
    with torch.no_grad():
        terms = before.terms(x, 1, "sampled")
        torch.manual_seed(noise)
        closed = before.terms(x, 1, "everywhere")
    bound = float(terms.log_weight.mean())
    in_closed_form = float((closed.log_likelihood - closed.rate.sum(-1)).mean())
    assert abs(bound - in_closed_form) > 1.0
    assert state.history[0]["train_elbo"] == pytest.approx(bound, rel=1e-4)
