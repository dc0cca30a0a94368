"""Steps that are left out because their gradient is too large: which they are, that they change
nothing, and that they are counted.
"""

import dataclasses
import math
import os
import signal

import numpy as np
import pytest
import torch

import lowerbound
from lowerbound.data import Data
from lowerbound.distributed.processes import Processes
from lowerbound.errors import Interrupted, NonFiniteError
from lowerbound.families import Multinomial
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.noise import Dropout
from lowerbound.objectives import Elbo, Objective
from lowerbound.recipe import Training
from lowerbound.report.sections.training import training
from lowerbound.training import Fit
from lowerbound.training.gradients import gradient_norm, is_within

SETTINGS = Training(
    epochs=2, batch_size=128, learning_rate=3e-3, accelerator="cpu", skip_above=4.45
)
"""Of the 22 gradients some are larger, and some smaller."""

SMALL = Architecture(latent=(4,), network=MLP((16,)), noise=(Dropout(0.1),))


@pytest.fixture(scope="module")
def digits():
    return Data("digits", binarize="dynamic", validation=200, test=200).open()


def make(data, architecture=SMALL, objective=None, checkpoints=None, **changed):
    settings = dataclasses.replace(SETTINGS, **changed)
    torch.manual_seed(settings.seed)
    model = architecture.build(data.schema.shape, sparse=data.schema.is_sparse)
    return Fit(model, data, objective or Elbo(), settings, checkpoints=checkpoints)


def weights(fit):
    return torch.cat([p.detach().flatten() for p in fit.model.parameters()])


def optimizer_state(fit):
    states = fit.stepper.optimizer.state_dict()["state"].values()
    numbers = [t.flatten() for state in states for t in state.values() if t is not None]
    return torch.cat([torch.zeros(0), *numbers])


class Watched:
    """Runs a fit, and notes of each step the norm of its gradient and whether it changed anything.

    The norm is computed here from scratch, before anything is clipped.
    """

    def __init__(self, fit):
        self.fit = fit
        self.norms = []
        self.taken = []
        clip = fit.stepper._clip
        take = fit.stepper.take

        def clipping():
            parts = []
            for parameter in fit.weights.trained.values():
                gradient = parameter.grad
                if gradient is not None and gradient.is_sparse:
                    gradient = gradient.to_dense()
                if gradient is not None:
                    parts.append(gradient.double().flatten())
            self.norms.append(float(torch.cat(parts).norm()))
            return clip()

        def taking(order, state):
            before = weights(fit)
            moments = optimizer_state(fit)
            skipped = state.skipped
            take(order, state)
            is_taken = state.skipped == skipped
            assert torch.equal(weights(fit), before) is not is_taken
            if not is_taken:
                assert torch.equal(optimizer_state(fit), moments)
            self.taken.append(is_taken)

        fit.stepper._clip = clipping
        fit.stepper.take = taking
        self.state = fit.run()


@pytest.mark.parametrize("clip", [None, 2.0, 1e6])
@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_a_step_is_left_out_where_the_norm_before_clipping_is_too_large(digits, clip, optimizer):
    found = Watched(make(digits, clip=clip, optimizer=optimizer, skip_above=4.45))
    assert len(found.norms) == 22
    assert found.taken == [norm <= 4.45 for norm in found.norms]
    assert 0 < sum(found.taken) < 22
    counted = [row["train_skipped"] for row in found.state.history]
    assert counted == [11 - sum(found.taken[:11]), 11 - sum(found.taken[11:])]


def test_a_threshold_that_nothing_reaches_changes_no_bit(digits):
    plain = make(digits, skip_above=None)
    high = make(digits, skip_above=1e6)
    plain_history = plain.run().history
    history = high.run().history
    assert torch.equal(weights(plain), weights(high))
    assert [row.pop("train_skipped") for row in history] == [0, 0]
    assert history == plain_history


def test_the_average_has_no_update_by_a_step_that_is_left_out(digits):
    found = Watched(make(digits, ema=0.9))
    assert found.fit.weights.average.updates == sum(found.taken) < 22


def test_a_fit_of_rows_that_are_updated_by_themselves_leaves_steps_out():
    """LazyAdam takes sparse gradients, whose norm is that of the dense ones."""
    data = Data("synthetic-interactions").open()
    architecture = Architecture(latent=(4,), network=MLP((16,)), likelihood=Multinomial())
    options = {"optimizer": "LazyAdam", "batch_size": 4, "epochs": 1, "monitor": "objective"}
    fit = make(data, architecture, **options, skip_above=8.6)
    fit.loader.train = data.train.take(np.arange(60))
    fit.loader.batches = 15
    found = Watched(fit)
    assert any(p.grad.is_sparse for p in fit.weights.trained.values())
    assert found.taken == [norm <= 8.6 for norm in found.norms]
    assert 0 < sum(found.taken) < 15


def test_the_norm_of_nothing_is_zero_and_that_of_repeated_rows_counts_their_sum():
    layer = torch.nn.Embedding(5, 2, sparse=True)
    assert float(gradient_norm(layer.parameters())) == 0
    layer(torch.tensor([1, 1, 3])).sum().backward()
    assert float(gradient_norm(layer.parameters())) == pytest.approx(math.sqrt(2 * 4 + 2 * 1))


# What is not finite -----------------------------------------------------------------------------


class Breaking(Objective):
    """Its loss, or its gradient alone, becomes NaN at a step."""

    def __init__(self, step, *, gradient_alone):
        self.step = step
        self.gradient_alone = gradient_alone

    def __call__(self, terms, step=math.inf, total=1):
        loss = Elbo()(terms)
        if step != self.step:
            return loss
        if self.gradient_alone:
            return loss + (terms.rate.sum() * 0).abs().sqrt()
        return loss * math.nan


@pytest.mark.parametrize("on_nonfinite", ["stop", "skip"])
@pytest.mark.parametrize("clip", [None, 5.0])
def test_a_gradient_that_is_not_finite_is_left_out_and_counted(digits, on_nonfinite, clip):
    objective = Breaking(13, gradient_alone=True)
    options = {"on_nonfinite": on_nonfinite, "clip": clip, "skip_above": 1e6}
    fit = make(digits, objective=objective, **options)
    history = fit.run().history
    assert [row["train_skipped"] for row in history] == [0, 1]
    assert weights(fit).isfinite().all()


def test_a_loss_that_is_not_finite_stops_the_fit_unless_it_is_to_be_left_out(digits):
    objective = Breaking(13, gradient_alone=False)
    with pytest.raises(NonFiniteError, match="nan at step 13"):
        make(digits, objective=objective, skip_above=1e6).run()
    fit = make(digits, objective=objective, skip_above=1e6, on_nonfinite="skip")
    assert [row["train_skipped"] for row in fit.run().history] == [0, 1]


@pytest.mark.parametrize(
    ("norm", "loss", "expected"),
    [
        (2.0, 1.0, True),
        (3.1, 1.0, False),
        (math.inf, 1.0, False),
        (math.nan, 1.0, False),
        (2.0, math.nan, False),
    ],
)
def test_all_processes_decide_alike(norm, loss, expected):
    """Another process whose step is good, or not, decides with this one."""
    for other in (True, False):

        def gather(values, other=other):
            return torch.stack([values, torch.tensor(int(other), dtype=values.dtype)])

        two = Processes(0, 2, gather)
        found = is_within(torch.tensor(norm), 3.0, torch.tensor(loss), two)
        assert found is (expected and other)


# Resuming and telling ---------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["Adam", "Adamax"])
def test_a_fit_goes_on_exactly(digits, tmp_path, optimizer):
    options = {"clip": 5.0, "ema": 0.9, "optimizer": optimizer, "epochs": 3}
    whole = make(digits, **options)
    whole.run()
    fit = make(digits, checkpoints=tmp_path, **options)
    ordinary = fit._step

    def stepping(order):
        ordinary(order)
        if fit.state.step == 15:
            os.kill(os.getpid(), signal.SIGINT)

    fit._step = stepping
    with pytest.raises(Interrupted):
        fit.run()
    second = make(digits, checkpoints=tmp_path, **options)
    second.resume()
    second.run()
    assert second.state.history == whole.state.history
    assert sum(row["train_skipped"] for row in second.state.history) > 0
    assert torch.equal(weights(second), weights(whole))


def test_where_nearly_all_steps_are_left_out_one_line_says_so_once(digits, capsys):
    history = make(digits, skip_above=1.0, epochs=3).run().history
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "lowerbound: 11 of the 11 steps of epoch 1 were left out, because the norm of their "
        "gradient is above training.skip_above=1; the smallest is 4.382"
    )
    assert line.endswith(
        ": raise training.skip_above, which is for nats per example, or set it to none"
    )
    assert [row["train_skipped"] for row in history] == [11, 11, 11]
    assert not any(column.startswith("train_rate") for column in history[0])


class AlwaysBroken(Objective):
    """Its loss is NaN in training."""

    def __call__(self, terms, step=math.inf, total=1):
        loss = Elbo()(terms)
        if step == math.inf:
            return loss
        return loss * math.nan


def test_where_no_loss_is_finite_one_line_says_so(digits, capsys):
    make(digits, objective=AlwaysBroken(), skip_above=None, on_nonfinite="skip").run()
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "lowerbound: 11 of the 11 steps of epoch 1 were left out, because their losses or "
        "gradients are not finite; try a smaller training.learning_rate"
    )


def test_a_run_of_which_nothing_was_trained_has_a_report_that_says_so(tmp_path):
    changed = {"training.epochs": 2, "training.skip_above": 1e-3, "report.write": False}
    run = lowerbound.fit("digits", out=tmp_path / "run", settings=changed, progress=False)
    assert run.summary["train"] == {"skipped": 20}
    warnings = training(run).warnings
    assert warnings == ("In some epochs each training step was left out, so that nothing changed.",)
