"""What each noise does while training, and what a module behind it sees."""

import math

import pytest
import torch
from torch import nn

from lowerbound.noise import Binarize, Dropout, GaussianNoise, L2Normalize, Noisy

N = 20_000


def test_dropout_keeps_the_mean():
    """A share of zeros, and the rest scaled up by 1 / (1 - probability)."""
    out = Dropout(0.3)(torch.ones(1, N).double(), True)
    assert sorted(out.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert abs((out == 0).double().mean().item() - 0.3) < 5 * math.sqrt(0.21 / N)


def test_gaussian_noise_has_its_scale():
    out = GaussianNoise(0.2)(torch.full((1, N), 3.0).double(), True) - 3
    assert abs(out.std().item() - 0.2) < 5 * 0.2 / math.sqrt(2 * N)
    assert abs(out.mean().item()) < 5 * 0.2 / math.sqrt(N)


def test_binarize_draws_in_training_and_rounds_outside():
    out = Binarize()(torch.full((1, N), 0.3).double(), True)
    assert set(out.unique().tolist()) == {0.0, 1.0}
    assert abs(out.mean().item() - 0.3) < 5 * math.sqrt(0.21 / N)
    assert Binarize()(torch.tensor([[0.3, 0.5, 0.51]]), False).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("training", [True, False])
def test_l2_normalize_divides_each_example_by_its_norm(training):
    x = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    expected = torch.tensor([[[0.6, 0.0], [0.0, 0.8]], [[0.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(L2Normalize()(x, training), expected)
    turned = torch.rand(2, 3, 4).transpose(1, 2)
    torch.testing.assert_close(
        L2Normalize()(turned, training).flatten(1).norm(dim=1), torch.ones(2)
    )


def test_layers_of_noise_apply_in_order():
    """Normalised first, then dropped (Mult-VAE): what is kept is 1/2 / (1 - p). The other order
    would give norm one.
    """
    network = Noisy((L2Normalize(), Dropout(0.5)), nn.Identity())
    out = network.train()(torch.ones(50, 4))
    assert set(out.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(network.eval()(torch.ones(1, 4)), torch.full((1, 4), 0.5))


@pytest.mark.parametrize(
    "make", [lambda: Dropout(1.0), lambda: Dropout(-0.1), lambda: GaussianNoise(0.0)]
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match="should be"):
        make()
