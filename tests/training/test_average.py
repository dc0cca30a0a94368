"""The moving average of the weights: what it is, what is measured and kept, and that the weights
that are trained know nothing of it.
"""

import dataclasses
import math
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

import lowerbound
from lowerbound.data import Data
from lowerbound.errors import ConfigError, Interrupted, RunError
from lowerbound.families import Multinomial
from lowerbound.model import Architecture
from lowerbound.networks import MLP, Conv
from lowerbound.noise import Dropout, L2Normalize
from lowerbound.objectives import Elbo
from lowerbound.priors import composite
from lowerbound.recipe import Phase, Training
from lowerbound.training import Fit, Follower, execution
from lowerbound.training.average import Average
from lowerbound.training.checkpoint import load_checkpoint

SETTINGS = Training(
    epochs=3, batch_size=128, learning_rate=3e-3, accelerator="cpu", ema=0.9, monitor="objective"
)
SMALL = Architecture(latent=(4,), network=MLP((16,)), noise=(Dropout(0.1),))


@pytest.fixture(scope="module")
def digits():
    return Data("digits", binarize="dynamic", validation=200, test=200).open()


def make(data, architecture=SMALL, checkpoints=None, **changed):
    settings = dataclasses.replace(SETTINGS, **changed)
    torch.manual_seed(settings.seed)
    model = architecture.build(data.schema.shape, sparse=data.schema.is_sparse)
    return Fit(model, data, Elbo(), settings, checkpoints=checkpoints)


def copied(tensors):
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


def decay_of(update, decay=SETTINGS.ema):
    return min(decay, (1 + update) / (10 + update))


# What it is -------------------------------------------------------------------------------------


def test_the_average_of_constants_is_the_constant_to_the_last_bit():
    torch.manual_seed(0)
    layer = nn.Linear(30, 20)
    average = Average(layer, 0.9999)
    for _ in range(500):
        average.update()
    assert_same(average.weights, copied(layer.state_dict()))


def test_each_update_weighs_the_present_weights_as_the_formula_says():
    layer = nn.Linear(1, 1, bias=False).double()
    average = Average(layer, 0.8)
    expected = float(layer.weight.detach())
    for update in range(60):
        with torch.no_grad():
            layer.weight.fill_(math.sin(update))
        average.update()
        decay = decay_of(update, 0.8)
        expected = decay * expected + (1 - decay) * math.sin(update)
        assert float(average.weights["weight"]) == pytest.approx(expected, rel=1e-12)
    assert decay_of(60, 0.8) == 0.8
    assert average.updates == 60


@pytest.mark.parametrize("decay", [0.9, 0.9999])
def test_the_random_weights_of_the_start_are_forgotten_within_some_updates(decay):
    """However long the average is to be in the end."""
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    average = Average(layer, decay)
    with torch.no_grad():
        layer.weight.zero_()
    for _ in range(11):
        average.update()
    assert 0 < float(average.weights["weight"]) < 1e-5


def test_buffers_are_averaged_if_they_are_kept_and_are_no_counters():
    layer = nn.BatchNorm1d(3)
    layer.register_buffer("passing", torch.zeros(3), persistent=False)
    average = Average(layer, 0.5)
    assert average.weights.keys() == {"weight", "bias", "running_mean", "running_var"}
    layer(torch.randn(8, 3))
    average.update()
    expected = 0.9 * layer.running_mean
    torch.testing.assert_close(average.weights["running_mean"], expected)


def test_weights_and_averages_change_places_for_a_block_and_back_after_an_error():
    layer = nn.Linear(3, 2)
    average = Average(layer, 0.9)
    with torch.no_grad():
        layer.weight += 1
    weights = copied(layer.state_dict())
    averages = copied(average.weights)
    with average.in_use():
        assert_same(copied(layer.state_dict()), averages)
    assert_same(copied(layer.state_dict()), weights)
    with pytest.raises(ZeroDivisionError), average.in_use():
        raise ZeroDivisionError
    assert_same(copied(layer.state_dict()), weights)
    assert_same(average.weights, averages)


# What a fit makes of it -------------------------------------------------------------------------


class Recording(Follower):
    """Keeps the weights after each step and those that are measured after each epoch."""

    def __init__(self, fit):
        self.fit = fit
        self.start = copied(fit.model.state_dict())
        self.trained = []
        self.measured = []
        take = fit.stepper.take

        def taking(order, state):
            take(order, state)
            self.trained.append(copied(fit.model.state_dict()))

        fit.stepper.take = taking

    def epoch_done(self, history):
        self.measured.append(copied(self.fit.model.state_dict()))

    def expected(self):
        """The averages after each step, in double precision."""
        average = {name: tensor.double() for name, tensor in self.start.items()}
        averages = []
        for update, weights in enumerate(self.trained):
            decay = decay_of(update)
            average = {
                name: decay * average[name] + (1 - decay) * tensor.double()
                for name, tensor in weights.items()
            }
            averages.append(average)
        return averages


def test_the_averages_are_measured_watched_kept_and_given_in_the_end(digits):
    """A learning rate that rises until it does harm, so that the best epoch is not the last."""
    rising = lowerbound.schedules.Linear(start=1.0, stop=300.0, steps=60)
    fit = make(digits, epochs=8, schedule=rising)
    recording = Recording(fit)
    state = fit.run(recording)
    after_epochs = recording.expected()[fit.loader.batches - 1 :: fit.loader.batches]
    for found, expected in zip(recording.measured, after_epochs, strict=True):
        for name, tensor in found.items():
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-4, atol=1e-5)
    values = [row["validation_objective"] for row in state.history]
    assert state.best_epoch == 1 + int(np.argmin(values)) < 8
    assert_same(copied(fit.model.state_dict()), recording.measured[state.best_epoch - 1])
    assert fit._validate()["validation_objective"] == min(values)


PHASES = (Phase(epochs=2, trains="latents"), Phase(trains="decoder", noise=False))

KINDS = {
    "plain": (SMALL, {}),
    "convolutions": (Architecture((4,), Conv(channels=(4, 8))), {}),
    "phases": (SMALL, {"phases": PHASES}),
    "earlier posterior": (Architecture((4,), MLP((16,)), prior=composite.Composite()), {}),
    "Adamax": (SMALL, {"optimizer": "Adamax", "optimizer_options": {"betas": (0.9, 0.99)}}),
    "double": (SMALL, {"precision": "64-true"}),
    "half": (SMALL, {"precision": "bf16-mixed"}),
}


@pytest.fixture
def any_prior(monkeypatch):
    """On images a `Composite` prior gives no bound, and is refused."""
    monkeypatch.setattr("lowerbound.model.architecture.sees_examples", lambda module, place: False)


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_that_are_trained_know_nothing_of_the_average(digits, any_prior, kind):
    """Each step is bit for bit that of a fit without one, also behind a validation."""
    architecture, options = KINDS[kind]
    fits = [make(digits, architecture, ema=ema, **options) for ema in (None, 0.9)]
    followers = [Recording(fit) for fit in fits]
    histories = [fit.run(each).history for fit, each in zip(fits, followers, strict=True)]
    plain, averaged = followers
    for ours, theirs in zip(averaged.trained, plain.trained, strict=True):
        assert_same(ours, theirs)
    for ours, theirs in zip(*histories, strict=True):
        for column, value in theirs.items():
            assert (ours[column] == value) is not column.startswith("validation_"), column
    for found, step in zip(averaged.measured, range(10, 33, 11), strict=True):
        for name, tensor in found.items():
            torch.testing.assert_close(
                tensor.double(), averaged.expected()[step][name], rtol=1e-4, atol=1e-5
            )


def test_the_average_of_rows_that_are_updated_by_themselves():
    """LazyAdam leaves the rows alone that a batch has not; their average goes on."""
    data = Data("synthetic-interactions").open()
    architecture = Architecture(
        latent=(4,), network=MLP((16,)), likelihood=Multinomial(), noise=(L2Normalize(),)
    )
    fit = make(data, architecture, epochs=2, optimizer="LazyAdam", batch_size=8)
    recording = Recording(fit)
    fit.run(recording)
    for name, expected in recording.expected()[-1].items():
        torch.testing.assert_close(
            recording.measured[-1][name].double(), expected, rtol=1e-4, atol=1e-5
        )


def test_the_average_starts_at_the_weights_that_the_fit_starts_at(digits):
    """Those of parts that start from data included: they start before the fit is made."""
    torch.manual_seed(0)
    model = SMALL.build(digits.schema.shape)
    model.start_at(torch.from_numpy(digits.train.mean()))
    fit = Fit(model, digits, Elbo(), SETTINGS)
    assert_same(fit.weights.average.weights, copied(model.state_dict()))


def test_without_validation_the_last_averages_are_kept():
    data = Data("digits", binarize="dynamic", validation=0, test=0.5).open()
    fit = make(data)
    recording = Recording(fit)
    fit.run(recording)
    assert_same(copied(fit.model.state_dict()), recording.measured[-1])
    assert not torch.equal(
        recording.measured[-1]["decoder.network.0.weight"],
        recording.trained[-1]["decoder.network.0.weight"],
    )


def test_a_compiled_model_is_measured_with_the_averages(digits, monkeypatch):
    monkeypatch.setattr(execution, "COMPILED_STEPS", 0)
    monkeypatch.setattr(execution, "compiler", lambda: "g++")
    monkeypatch.setattr(torch, "compile", lambda model, **options: model.__call__)
    fast = make(digits)
    assert fast.weights.is_compiled
    history = fast.run().history
    monkeypatch.setattr(execution, "COMPILED_STEPS", math.inf)
    assert history == make(digits).run().history


# Checkpoints ------------------------------------------------------------------------------------


def stop_at(fit, step):
    ordinary = fit._step

    def stepping(order):
        ordinary(order)
        if fit.state.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    fit._step = stepping
    with pytest.raises(Interrupted):
        fit.run()


@pytest.mark.parametrize("step", [4, 11, 15])
@pytest.mark.parametrize("kind", ["plain", "phases", "earlier posterior", "Adamax"])
def test_a_fit_goes_on_exactly_within_an_epoch_and_behind_one(
    digits, any_prior, tmp_path, kind, step
):
    architecture, options = KINDS[kind]
    whole = make(digits, architecture, **options)
    whole.run()
    stop_at(make(digits, architecture, tmp_path, **options), step)
    second = make(digits, architecture, tmp_path, **options)
    second.resume()
    assert second.weights.average.updates == second.state.step == step
    second.run()
    assert second.state.history == whole.state.history
    assert_same(second.weights.average.weights, whole.weights.average.weights)
    assert_same(copied(second.model.state_dict()), copied(whole.model.state_dict()))


def test_a_checkpoint_holds_the_weights_and_their_averages(digits, tmp_path):
    fit = make(digits, checkpoints=tmp_path, epochs=2)
    recording = Recording(fit)
    fit.run(recording)
    groups, _ = load_checkpoint(tmp_path)
    assert_same(groups["model"], recording.trained[-1])
    assert groups["average"].pop("updates") == 22
    assert_same(groups["average"], recording.measured[-1])
    assert_same(groups["best"], recording.measured[-1])


def without(name):
    return lambda tensors: {key: t for key, t in tensors.items() if key != name}


ODD = {
    "no number of updates": (without("updates"), "'updates'"),
    "another model": (
        without("decoder.network.0.bias"),
        r"decoder\.network\.0\.bias is None, but the recipe needs \(16,\)",
    ),
    "NaN": (
        lambda tensors: tensors | {"decoder.network.0.bias": torch.full((16,), math.nan)},
        r"its average of decoder\.network\.0\.bias is not finite",
    ),
    "a fraction of an update": (
        lambda tensors: tensors | {"updates": torch.tensor(0.5)},
        "its average has no number of updates",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), ODD.values(), ids=ODD)
def test_an_average_that_is_none_of_this_fit_is_refused(digits, tmp_path, spoil, message):
    make(digits, checkpoints=tmp_path, epochs=1).run()
    groups, state = load_checkpoint(tmp_path)
    groups["average"] = spoil(groups["average"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowerbound.training.saving.load_checkpoint", lambda _: (groups, state))
        with pytest.raises(RunError, match=message):
            make(digits, checkpoints=tmp_path).resume()


@pytest.mark.parametrize("ema", [0.0, 1.0, -0.5, math.nan])
def test_a_decay_is_between_0_and_1(ema):
    with pytest.raises(ConfigError, match=r"^Training: ema: should be "):
        Training(ema=ema)


# Runs -------------------------------------------------------------------------------------------


def test_a_run_has_the_averages_in_its_weights_and_its_figures(tmp_path):
    changed = {"training.epochs": 2, "training.ema": 0.95, "report.write": False}
    run = lowerbound.fit("digits", out=tmp_path / "run", settings=changed, progress=False)
    groups, _ = load_checkpoint(tmp_path / "run/checkpoint")
    assert_same(lowerbound.load(tmp_path / "run").model.state_dict(), groups["best"])
    assert_same(groups["best"], without("updates")(groups["average"]))
    found = run.evaluate(split="validation")
    assert found["elbo"] == pytest.approx(run.summary["validation"]["elbo"], rel=2e-3)
