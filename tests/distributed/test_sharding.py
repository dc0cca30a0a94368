"""Weights that are kept in parts train as whole ones do; in one process here, in two in
`test_survival.py`.
"""

import dataclasses
import os

import pytest
import torch
from lightning_fabric import Fabric
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from lowerbound.data import Data
from lowerbound.distributed import sharding
from lowerbound.distributed.sharding import (
    UNIT_WEIGHTS,
    all_gathered,
    gathered,
    laid_out,
    local_part,
    sharded_strategy,
)
from lowerbound.errors import ConfigError
from lowerbound.families import Delta, Normal
from lowerbound.model import Architecture
from lowerbound.networks import MLP, Conv
from lowerbound.noise import Dropout
from lowerbound.objectives import Elbo, Iwae, Reconstruction
from lowerbound.optimizers import WHOLE, optimizers
from lowerbound.priors import composite, mixture
from lowerbound.recipe import Training
from lowerbound.training import Fit

SETTINGS = Training(
    epochs=2, batch_size=349, learning_rate=3e-3, accelerator="cpu", strategy="fsdp"
)

SMALL = MLP((16,))

MODELS = {
    "mlp": (Architecture((4,), SMALL, noise=(Dropout(0.1),)), Elbo()),
    "conv": (Architecture((4,), Conv(channels=(4, 8))), Elbo()),
    "levels": (Architecture((6, 4, 2), SMALL, level_network=SMALL), Elbo(kl="everywhere")),
    "tied": (Architecture((4,), SMALL, decoder_network="tied"), Elbo()),
    "mixture": (Architecture((4,), SMALL, prior=mixture.Mixture(3)), Iwae()),
    "composite": (Architecture((4,), SMALL, prior=composite.Composite()), Elbo()),
    "autoencoder": (
        Architecture((4,), SMALL, posterior=Delta(), likelihood=Normal(variance="shared")),
        Reconstruction(),
    ),
}


@pytest.fixture(scope="module")
def digits():
    return Data("digits", binarize="dynamic", validation=200, test=200).open()


@pytest.fixture(scope="module", autouse=True)
def fabric():
    """One process that keeps its weights in parts, of which there is one."""
    before = dict(os.environ)
    made = Fabric(accelerator="cpu", devices=1, strategy=sharded_strategy(1))
    made.launch()
    yield made
    torch.distributed.destroy_process_group()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def images_with_any_prior(monkeypatch):
    """What is tested of `Composite` is that copies of weights are renewed; on images it gives no
    bound, and is refused.
    """
    monkeypatch.setattr("lowerbound.model.architecture.sees_examples", lambda module, place: False)


def make(digits, fabric=None, model="mlp", checkpoints=None, **settings):
    torch.manual_seed(0)
    architecture, objective = MODELS[model]
    chosen = dataclasses.replace(SETTINGS, **settings)
    return Fit(
        architecture.build(digits.schema.shape),
        digits,
        objective,
        chosen,
        fabric,
        checkpoints=checkpoints,
    )


def same(a, b, tolerance=1e-5):
    """Whether two fits have the same weights, buffers included, and the same history."""
    ours, theirs = a.model.state_dict(), b.model.state_dict()
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    assert [row.keys() for row in a.state.history] == [row.keys() for row in b.state.history]
    for one, other in zip(a.state.history, b.state.history, strict=True):
        assert list(one.values()) == pytest.approx(list(other.values()), rel=tolerance)


def both(digits, fabric, **changed):
    found = make(digits, fabric, **changed), make(digits, **changed)
    for fit in found:
        fit.run()
    return found


@pytest.fixture(params=[UNIT_WEIGHTS, 1], ids=["together", "by layer"])
def unit(request, monkeypatch):
    """How large a layer must be that is gathered by itself."""
    monkeypatch.setattr(sharding, "UNIT_WEIGHTS", request.param)
    return request.param


@pytest.mark.parametrize("model", MODELS)
def test_a_model_in_parts_learns_what_a_whole_one_does(digits, fabric, unit, model):
    parts, plain = both(digits, fabric, model=model)
    units = [layer for layer in parts.weights.learner.modules() if isinstance(layer, FSDPModule)]
    assert (len(units) > 1) == (unit == 1 and model != "tied")
    assert all(isinstance(p, DTensor) for p in parts.weights.trained.values())
    assert not any(isinstance(t, DTensor) for t in parts.model.state_dict().values())
    same(parts, plain)


@pytest.mark.parametrize("optimizer", [name for name in optimizers() if name not in WHOLE])
def test_every_optimiser_that_is_allowed_takes_parts(digits, fabric, optimizer):
    same(*both(digits, fabric, model="levels", optimizer=optimizer, epochs=1))


@pytest.mark.parametrize("optimizer", WHOLE)
def test_an_optimiser_that_needs_whole_weights_is_refused(optimizer):
    with pytest.raises(
        ConfigError, match=f"strategy='fsdp': {optimizer} needs whole weights; allowed: ASGD"
    ):
        dataclasses.replace(SETTINGS, optimizer=optimizer)


@pytest.mark.parametrize(
    "changed",
    [
        {"clip": 0.1},
        {"on_nonfinite": "skip"},
        {"patience": 1, "learning_rate": 0.3},
        {"ema": 0.9},
        {"skip_above": 15.0},
        {"skip_above": 15.0, "clip": 3.0},
        {"accumulate": 3},
    ],
)
def test_clipping_skipping_stopping_and_averaging_do_the_same(digits, fabric, changed):
    same(*both(digits, fabric, epochs=4, **changed))


@pytest.mark.parametrize("model", ["conv", "composite"])
@pytest.mark.parametrize("parts_first", [True, False])
def test_a_checkpoint_of_parts_is_one_of_a_whole_model(
    digits, fabric, unit, tmp_path, model, parts_first
):
    """One begins, the other goes on: with averages, best weights kept, a schedule, and kernels that
    lie channels last.
    """
    first, second = (fabric, None) if parts_first else (None, fabric)
    make(digits, first, model, tmp_path, epochs=2, ema=0.9).run()
    other = make(digits, second, model, tmp_path, epochs=4, ema=0.9)
    other.resume()
    other.run()
    alone = make(digits, None, model, epochs=4, ema=0.9)
    alone.run()
    same(other, alone)
    averages = [all_gathered(fit.weights.average.weights) for fit in (other, alone)]
    torch.testing.assert_close(*averages, rtol=1e-5, atol=1e-5)


def test_what_is_laid_out_in_parts_is_whole_again(fabric):
    layer = torch.nn.Linear(5, 3)
    values = torch.randn(3, 5)
    fabric.setup_module(layer)
    parts = laid_out(values, layer.weight)
    assert isinstance(parts, DTensor)
    assert torch.equal(local_part(parts), values)
    assert torch.equal(gathered(parts), values)
    assert torch.equal(all_gathered({"a": parts, "b": values})["b"], values)


def test_what_has_another_shape_is_not_laid_out():
    step = torch.tensor(3.0)
    assert laid_out(step, torch.zeros(2, 2)) is step


def test_values_lie_as_their_pattern_lies():
    pattern = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
    found = laid_out(torch.rand(2, 3, 4, 4), pattern)
    assert found.stride() == pattern.stride()
