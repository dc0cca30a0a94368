"""The convolutions that go another way compute what PyTorch's compute: values, gradients, in both
precisions.
"""

import pytest
import torch
from torch import nn

from lowerbound.networks import Conv, ResNet
from lowerbound.networks.kernels import FEW_OUTPUTS, Last, Up

PLAIN = {Up: nn.ConvTranspose2d, Last: nn.Conv2d}
LAYERS = [
    (Up, 3, 2, 0),
    (Up, 4, 2, 1),
    (Up, 3, 1, 0),
    (Up, 5, 3, 2),
    (Up, (3, 4), (2, 1), (1, 0)),
    (Last, 4, 1, 0),
    (Last, (4, 3), 1, 0),
    (Last, 3, 1, 2),
]


def results(layer, x, autocast):
    """The output, and the gradients of a function of it by the input, the weight and the bias."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        out = layer(x)
    (out.float() * torch.linspace(-1, 2, out.numel()).view(out.shape)).sum().backward()
    return out.float(), x.grad, layer.weight.grad, layer.bias.grad


@pytest.mark.parametrize("outputs", [1, 3, FEW_OUTPUTS + 1])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize(("kind", "kernel", "stride", "padding"), LAYERS)
def test_the_same_function_as_the_ordinary_layer(
    kind, kernel, stride, padding, autocast, channels_last, outputs
):
    torch.manual_seed(0)
    ordinary, ours = (cls(6, outputs, kernel, stride, padding) for cls in (PLAIN[kind], kind))
    ours.load_state_dict(ordinary.state_dict())
    x = torch.randn(7, 6, 9, 8)
    if channels_last:
        ordinary, ours, x = (
            thing.to(memory_format=torch.channels_last) for thing in (ordinary, ours, x)
        )
    for wanted, got in zip(results(ordinary, x, autocast), results(ours, x, autocast), strict=True):
        assert got.shape == wanted.shape
        error = (got - wanted).abs().max() / wanted.abs().max()
        assert error < (2e-2 if autocast else 1e-5)


@pytest.mark.parametrize("kind", [Up, Last])
def test_in_double_precision_they_are_the_ordinary_ones(kind):
    layer = kind(3, 2, 3, 1).double()
    x = torch.randn(2, 3, 6, 5, dtype=torch.float64)
    assert torch.equal(layer(x), PLAIN[kind].forward(layer, x))
    assert torch.autograd.gradcheck(layer, x.requires_grad_())


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 17, 21)])
@pytest.mark.parametrize("network", [Conv(channels=(4, 6)), ResNet(channels=(4, 6), blocks=1)])
def test_a_network_without_gradients_gives_the_same_numbers_whatever_the_batch(network, shape):
    torch.manual_seed(0)
    encoder, decoder = network.encoder(shape, 5).eval(), network.decoder(5, shape).eval()
    x, z = torch.rand(70, *shape), torch.randn(70, 5)
    for module, given in ((encoder, x), (decoder, z)):
        whole = module(given).detach()
        with torch.no_grad():
            torch.testing.assert_close(module(given), whole, rtol=1e-5, atol=1e-6)


def test_the_networks_use_them():
    kinds = {type(layer) for layer in Conv().decoder(2, (1, 28, 28)).modules()}
    assert {Up, Last} <= kinds
    assert not kinds & set(PLAIN.values())
