"""Blocks that are computed a second time in the backward pass: the same numbers to the last bit,
and fewer of them in memory.
"""

import dataclasses

import pytest
import torch
from torch import nn

from lowerbound.data import Data
from lowerbound.distributed.processes import Share, draw_shared, noise_of
from lowerbound.errors import ConfigError
from lowerbound.model import Architecture
from lowerbound.networks import MLP, ResNet
from lowerbound.networks.layers import Recomputed
from lowerbound.networks.resnet import Residual
from lowerbound.noise import Dropout
from lowerbound.objectives import Elbo
from lowerbound.recipe import Training
from lowerbound.training import Fit

SETTINGS = Training(epochs=1, batch_size=349, learning_rate=3e-3, accelerator="cpu")


@pytest.fixture(scope="module")
def digits():
    return Data("digits", binarize="dynamic", validation=200, test=200).open()


def make(digits, network, **changed):
    torch.manual_seed(0)
    architecture = Architecture(latent=(4,), network=network, noise=(Dropout(0.1),))
    settings = dataclasses.replace(SETTINGS, **changed)
    return Fit(architecture.build(digits.schema.shape), digits, Elbo(), settings)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fit_is_the_same_to_the_last_bit(digits, precision):
    network = ResNet(channels=(4, 8), blocks=1)
    fits = [
        make(digits, network, recompute=choice, precision=precision) for choice in (False, True)
    ]
    plain, twice = fits
    blocks = [block for block in twice.model.modules() if isinstance(block, Recomputed)]
    assert len(blocks) == 4
    assert all(block.recompute for block in blocks)
    assert plain.run().history == twice.run().history
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, twice.model.state_dict()[name]), name


def kept_bytes(module, x):
    """The bytes that the backward pass of a module finds in memory, its weights left out."""
    weights = {p.data_ptr() for p in module.parameters()}
    kept = {}

    def note(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = module(x)
    return sum(kept.values()), out


def test_the_inner_values_of_a_block_are_not_kept():
    """Of each block its input alone is kept, which is the output of the one before it."""
    torch.manual_seed(0)
    blocks = nn.Sequential(*(Residual(8, "silu") for _ in range(5)))
    x = torch.randn(16, 8, 12, 12, requires_grad=True)
    found = []
    for choice in (False, True):
        for block in blocks:
            block.recompute = choice
        kept, out = kept_bytes(blocks, x)
        gradients = torch.autograd.grad(out.square().sum(), [x, *blocks.parameters()])
        found.append((kept, out, gradients))
    plain, twice = found
    assert twice[0] == 5 * x.nbytes
    assert plain[0] >= 3.9 * twice[0]
    assert torch.equal(plain[1], twice[1])
    assert all(map(torch.equal, plain[2], twice[2]))


def test_without_gradients_a_block_is_computed_once():
    calls = []

    class Counting(Recomputed):
        def compute(self, x):
            calls.append(x)
            return x.sin()

    block = Counting()
    x = torch.ones(3, requires_grad=True)
    block.recompute = True
    block(x).sum().backward()
    assert len(calls) == 2
    with torch.no_grad():
        block(x)
    assert len(calls) == 3
    block.recompute = False
    block(x).sum().backward()
    assert len(calls) == 4


class Noisy(Recomputed):
    """A block that draws: noise of its own, and noise of the examples of a batch."""

    def compute(self, x):
        factors = draw_shared(torch.rand_like, x)
        return (x * factors).sin() * torch.rand(())


def test_what_a_block_draws_is_drawn_again_as_it_was():
    gradients = []
    for choice in (False, True):
        block = Noisy()
        block.recompute = choice
        x = torch.ones(3, 2, requires_grad=True)
        torch.manual_seed(5)
        with noise_of(Share(1, 2, 6)):
            block(x).sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*gradients)


def test_the_names_of_the_weights_are_those_of_the_layers():
    names = list(Residual(3, "silu").state_dict())
    assert names == ["body.1.weight", "body.1.bias", "body.3.weight", "body.3.bias"]


def test_a_model_without_such_blocks_is_refused(digits):
    with pytest.raises(ConfigError, match=r"training\.recompute is for networks of blocks, such"):
        make(digits, MLP((8,)), recompute=True)
