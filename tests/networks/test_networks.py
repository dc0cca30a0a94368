"""What is particular to each network; their common laws are in test_laws."""

import math

import pytest
import torch
from torch import nn

from lowerbound.errors import ShapeError
from lowerbound.networks import MLP, Conv, ResNet
from lowerbound.networks.base import ACTIVATIONS
from lowerbound.networks.layers import fitting_convolution
from lowerbound.networks.limits import bounded_above


def widths(module):
    return [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, nn.Linear)]


def test_the_decoder_of_a_perceptron_mirrors_its_encoder():
    spec = MLP((50, 20))
    assert widths(spec.encoder((1, 5, 4), 6)) == [(20, 50), (50, 20), (20, 6)]
    assert widths(spec.decoder(6, (1, 5, 4))) == [(6, 20), (20, 50), (50, 20)]
    assert widths(spec.encoder((20,), 6, heads=2)) == [(20, 50), (50, 20), (20, 3), (20, 3)]
    assert widths(MLP(()).encoder((20,), 6)) == [(20, 6)]


@pytest.mark.parametrize("std", [0.01, 0.1, 1.0])
def test_initial_weights(std):
    for module in (
        MLP((400,), init=std).encoder((300,), 50, heads=2),
        MLP((400,), init=std).decoder(50, (300,), heads=2),
    ):
        for layer in (m for m in module.modules() if isinstance(m, nn.Linear)):
            assert layer.weight.std().item() == pytest.approx(
                std, rel=5 / math.sqrt(2 * layer.weight.numel())
            )
            assert layer.bias.abs().max() <= layer.in_features**-0.5  # the biases stay PyTorch's


def test_without_init_the_weights_are_those_of_pytorch():
    torch.manual_seed(3)
    spec = MLP(()).encoder((7,), 4)
    torch.manual_seed(3)
    assert torch.equal(spec[1].weight, nn.Linear(7, 4).weight)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_between_the_layers(name):
    """Its name is that of the function, and it is what the network applies."""
    network = MLP((5,), name).encoder((3,), 2)
    x = torch.randn(4, 3)
    function = getattr(nn.functional, name, None) or getattr(torch, name)
    torch.testing.assert_close(network(x), network[3](function(network[1](x))))


@pytest.mark.parametrize("network", [Conv(), ResNet()], ids=repr)
@pytest.mark.parametrize("shape", [(5,), (4, 4)], ids=str)
def test_images_only(network, shape):
    """One line that names the network, the shape got, and what to take instead."""
    for make in (lambda: network.encoder(shape, 2), lambda: network.decoder(2, shape)):
        with pytest.raises(
            ShapeError,
            match=rf"^{type(network).__name__} needs images .* got .*; use MLP for vectors$",
        ):
            make()


@pytest.mark.parametrize(
    ("size", "target"), [((9, 9), (4, 6)), ((4, 6), (9, 9)), ((5, 5), (5, 5)), ((3, 8), (7, 2))]
)
def test_fit_reaches_any_size_from_any_size(size, target):
    layer = fitting_convolution(2, 3, size, target)
    assert layer(torch.zeros(1, 2, *size)).shape == (1, 3, *target)


@pytest.mark.parametrize(
    "spec", [Conv((4,), 1, 1, "softplus"), Conv((4,), 3, 2, "softplus"), ResNet((4,), 1)], ids=repr
)
def test_every_pixel_depends_on_z(spec):
    """Also where the maps are smaller than the image and the last convolution is, in effect, a
    transposed one (kernel 1).
    """
    decoder = spec.decoder(2, (1, 8, 8)).double()
    z = torch.randn(1, 2).double().requires_grad_()
    for pixel in decoder(z).flatten():
        (grad,) = torch.autograd.grad(pixel, z, retain_graph=True)
        assert grad.abs().sum() > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: MLP((0,)),
        lambda: MLP(activation="rlu"),
        lambda: Conv(()),
        lambda: Conv(stride=0),
        lambda: Conv(kernel_size=2, stride=3),
        lambda: ResNet(blocks=0),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match=r"should be|1 or more entries|at most kernel_size"):
        make()


def test_numbers_above_a_limit_grow_like_a_logarithm():
    numbers = torch.tensor(
        [-1e6, -3.0, 4.9, 5.0, 6.0, 1e6], dtype=torch.float64, requires_grad=True
    )
    found = bounded_above(numbers, 5.0)
    expected = torch.tensor([-1e6, -3.0, 4.9, 5.0, 5 + math.asinh(1), 5 + math.asinh(1e6 - 5)])
    torch.testing.assert_close(found, expected.double())
    found.sum().backward()
    assert (numbers.grad > 0).all()
