"""Mixtures of logistic distributions, and the mean of a logistic variable on a grid."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from lowerbound.families import DiscretizedLogistic, MixtureLogistic, Place, mixture_density
from lowerbound.families.logistic import mean_of_rounded
from lowerbound.model import Architecture
from lowerbound.networks import MLP, Conv

COLOURS = torch.tensor(list(itertools.product(range(4), repeat=3))).double() / 3


def mixture(family, event, batch=(), size=1.0):
    """The head of a family, and random features for it."""
    head = family.head(Place(event)).double()
    return head, size * torch.randn(*batch, *family.features(event)).double()


def cell_probabilities(location, scale, levels):
    """The logistic distribution's mass of each cell, the outer ones open to both sides."""
    edges = np.concatenate([[-np.inf], (np.arange(levels - 1) + 0.5) / (levels - 1), [np.inf]])
    return np.diff(stats.logistic(location, scale).cdf(edges))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("mean", [-0.2, 0.0, 0.5, 0.9922, 1.0, 1.3])
@pytest.mark.parametrize("log_scale", [-7.0, -4.0, 0.0])
def test_the_levels_of_grey_pixels_sum_to_one(mean, log_scale):
    """Also where pixels are black or white: level 254 has no part of the tail."""
    family = MixtureLogistic(2)
    head, features = mixture(family, (1,))
    start = head.start.squeeze()
    features[2:4] = mean - start[2:4]
    features[4:6] = log_scale - start[4:6]
    grid = torch.arange(256).double().unsqueeze(-1) / 255
    got = head(features).log_prob(grid).exp()
    torch.testing.assert_close(got.sum(), torch.tensor(1.0).double(), rtol=1e-9, atol=0)
    expected = cell_probabilities(mean, math.exp(log_scale), 256)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize("size", [0.1, 3.0, 30.0])
def test_the_colours_of_a_pixel_sum_to_one(size):
    head, features = mixture(MixtureLogistic(3, levels=4), (3, 1, 1), (6,), size)
    total = head(features).log_prob(COLOURS.reshape(64, 1, 3, 1, 1)).exp().sum(0)
    torch.testing.assert_close(total, torch.ones(6).double(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("event", [(7,), (2, 3), (1, 4, 5), (3, 4, 5)], ids=str)
def test_one_component_without_couplings_is_a_discretized_logistic_distribution(event):
    head, features = mixture(MixtureLogistic(1), event, (4, 2))
    x = torch.randint(0, 256, (2, *event)).double() / 255
    channels = event[0] if len(event) == 3 else 1
    by_kind = features.reshape(4, 2, -1, x[0].numel() // channels)
    by_kind[:, :, 1 + 2 * channels :] = 0
    d = head(features)
    started = (by_kind + head.start)[:, :, 1 : 1 + 2 * channels]
    mean, log_scale = started.reshape(4, 2, 2, *event).unbind(2)
    expected = DiscretizedLogistic(mean="identity")((mean, log_scale), len(event))
    torch.testing.assert_close(d.log_prob(x), expected.log_prob(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(d.mean, expected.mean, rtol=0, atol=1e-6)


def test_it_is_the_formula_of_the_paper():
    """Written out on [-1, 1], with the distribution function of scipy, one component at a time."""
    head, features = mixture(MixtureLogistic(2), (3, 1, 1))
    x = torch.tensor([254, 255, 31]).double() / 255
    parts = head.layout.split(features.reshape(-1, 1) + head.start)
    logits, means, log_scales, couplings = (part.squeeze(-1).numpy() for part in parts)
    y = 2 * x.numpy() - 1
    terms = []
    for k in range(2):
        term = logits[k] - np.logaddexp(*logits)
        r = np.tanh(couplings[:, k])
        moved = [0, r[0] * y[0], r[1] * y[0] + r[2] * y[1]]
        for c in range(3):
            mean = (2 * means[c, k] - 1 + moved[c] + 1) / 2
            cells = cell_probabilities(mean, math.exp(log_scales[c, k]), 256)
            term += math.log(cells[int(x[c] * 255)])
        terms.append(term)
    got = head(features).log_prob(x.reshape(3, 1, 1))
    assert got.item() == pytest.approx(np.logaddexp(*terms), rel=1e-9)


def test_draws_follow_the_probabilities():
    """Of all 64 colours, by a chi-square test, and they are on the grid."""
    head, features = mixture(MixtureLogistic(3, levels=4), (3, 1, 2))
    d = head(features)
    drawn = d.sample((20000,))[..., 0, 1]
    levels = (3 * drawn).round().long()
    torch.testing.assert_close(levels / 3, drawn.float())
    counts = torch.bincount(levels @ torch.tensor([16, 4, 1]), minlength=64)
    at_place = torch.zeros(64, 3, 1, 2).double()
    at_place[..., 0, 1] = COLOURS
    probabilities = d.pixels.log_prob(at_place)[:, 0, 1].exp() * len(drawn)
    likely = probabilities > 5
    observed = [*counts[likely].tolist(), int(counts[~likely].sum())]
    expected = [*probabilities[likely].tolist(), float(probabilities[~likely].sum())]
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.parametrize("event", [(1, 2, 2), (3, 1, 2)], ids=str)
@pytest.mark.parametrize("log_scale", [-6.0, 0.0, 10.0])
def test_gradients_are_those_of_finite_differences(event, log_scale):
    """Also where log-scales are beyond their bounds, beside that of the start."""
    head, features = mixture(MixtureLogistic(2, levels=4), event, (3,))
    head.layout.split(features.flatten(2)).log_scales.add_(log_scale)
    x = torch.randint(0, 4, (3, *event)).double() / 3
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: head(f).log_prob(x), features)


def written_out(features, x, layout):
    """The log-density of images by the functions and the gradients of PyTorch, (B,)."""
    parts = layout.split(features.flatten(2))
    x = x.flatten(2).unsqueeze(2)
    means = list(parts.means.unbind(1))
    for pair, (channel, earlier) in enumerate(layout.pairs):
        moved = torch.tanh(parts.couplings[:, pair]) * (x[:, earlier] - 0.5)
        means[channel] = means[channel] + moved
    masses = DiscretizedLogistic(layout.levels, "identity")(
        (torch.stack(means, 1), parts.log_scales), 0
    )
    joint = masses.log_prob(x).sum(1) + torch.log_softmax(parts.logits, 1)
    return torch.logsumexp(joint, 1).sum(-1)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("block", [1, 100, 2**17])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_blocks_and_the_order_of_features_change_nothing(
    monkeypatch, channels, block, channels_last
):
    """Values and gradients are those of the plain functions, in float32."""
    monkeypatch.setattr(mixture_density, "BLOCK", block)
    event = (channels, 3, 4)
    family = MixtureLogistic(3)
    head = family.head(Place(event))
    features = torch.randn(5, *family.features(event))
    if channels_last:
        features = features.to(memory_format=torch.channels_last)
    features.requires_grad_()
    x = torch.randint(0, 256, (5, *event)) / 255
    x[0, :, 0, :2] = torch.tensor([0.0, 1.0])
    weight = torch.randn(5)
    found = []
    started = features + head.start.unsqueeze(-1)
    for log_prob in (head(features).log_prob(x), written_out(started, x, head.layout)):
        (gradient,) = torch.autograd.grad((log_prob * weight).sum(), features)
        found.append((log_prob, gradient))
    for got, wanted in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("signs", [*itertools.product((-1e4, 1e4), repeat=4)], ids=str)
def test_it_is_finite_whatever_a_network_gives(signs):
    """With a gradient of log-scales that is not dead where the density depends on them."""
    family = MixtureLogistic(2)
    head = family.head(Place((3, 1, 3)))
    features = torch.zeros(1, 20, 1, 3)
    for kind, sign in zip(head.layout.split(features.flatten(2)), signs, strict=True):
        kind.fill_(sign)
    features.requires_grad_()
    x = torch.tensor([0.0, 128 / 255, 1.0]).expand(1, 3, 1, 3)
    log_prob = head(features).log_prob(x)
    (gradient,) = torch.autograd.grad(log_prob.sum(), features)
    assert log_prob.isfinite().all()
    assert gradient.isfinite().all()
    assert head.layout.split(gradient.flatten(2)).log_scales.any()


def test_features_of_16_bits_are_computed_in_32():
    family = MixtureLogistic(4)
    head = family.head(Place((3, 2, 2)))
    features = torch.randn(2, *family.features((3, 2, 2))).bfloat16().requires_grad_()
    x = torch.randint(0, 256, (2, 3, 2, 2)) / 255
    log_prob = head(features).log_prob(x)
    assert log_prob.dtype == torch.float32
    assert torch.equal(log_prob, head(features.float()).log_prob(x))
    log_prob.sum().backward()
    assert features.grad.dtype == torch.bfloat16
    assert head(features).mean.dtype == torch.float32


@pytest.mark.parametrize("levels", [2, 17, 42, 43, 256, 1024])
def test_the_mean_of_a_rounded_variable_at_any_scale(levels):
    """Against the sum over all edges, from far narrower than a step to far wider than the grid."""
    location = torch.linspace(-1.5, 2.5, 41).double()[:, None]
    scale = torch.exp(torch.linspace(-17, 17, 69)).double()
    edges = (torch.arange(levels - 1).double() + 0.5) / (levels - 1)
    passed = torch.sigmoid((location[..., None] - edges) / scale[..., None])
    location, scale = torch.broadcast_tensors(location, scale)
    got = mean_of_rounded(location, scale, levels)
    torch.testing.assert_close(got * (levels - 1), passed.sum(-1), rtol=1e-9, atol=1e-6)


def test_the_mean_of_colours_is_that_of_draws_where_components_are_narrow():
    """It neglects the ends of the grid alone."""
    head, features = mixture(MixtureLogistic(2), (3, 1, 1), (8,))
    parts = head.layout.split(features.flatten(2))
    parts.log_scales.fill_(-2)  # beside the scale of the start
    parts.means.mul_(0.05)
    d = head(features)
    draws = d.sample((20000,))
    error = (draws.mean(0) - d.mean).abs()
    assert (error < 5 * draws.std(0) / 20000**0.5 + 1e-3).all()


def test_training_starts_at_about_the_entropy_of_all_colours():
    """The density of features that are zero is nowhere far below that of uniform pixels."""
    family = MixtureLogistic()
    head = family.head(Place((3, 16, 16)))
    x = torch.linspace(0, 255, 256).round().reshape(1, 16, 16).expand(3, 16, 16) / 255
    nats = -head(torch.zeros(family.features((3, 16, 16)))).log_prob(x) / x.numel()
    assert nats < math.log(256) + 0.1


@pytest.mark.parametrize("network", [MLP((6,)), Conv((4,))], ids=repr)
@pytest.mark.parametrize("heads", ["joint", "separate"])
@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 6, 5)], ids=str)
def test_networks_of_images_give_its_features(network, heads, shape):
    model = Architecture(
        (4,), network=network, likelihood=MixtureLogistic(2, levels=4), heads=heads
    ).build(shape)
    x = torch.randint(0, 4, (5, *shape)) / 3
    terms = model.terms(x, 3)
    assert terms.log_likelihood.shape == (3, 5)
    terms.log_likelihood.sum().backward()
    for name, parameter in model.decoder.named_parameters():
        assert parameter.grad.any(), name
    drawn = model.sample(7, mean=False)
    assert drawn.shape == (7, *shape)
    torch.testing.assert_close(3 * drawn, (3 * drawn).round())
    assert model.reconstruct(x).shape == x.shape


def test_a_vector_is_so_many_grey_values():
    model = Architecture((2,), network=MLP((6,)), likelihood=MixtureLogistic(3, levels=5)).build(
        (7,)
    )
    assert model.decoder.family.features((7,)) == (63,)
    assert model.sample(4).shape == (4, 7)


@pytest.mark.parametrize("wrong", [{"components": 0}, {"levels": 1}, {"components": 2.5}], ids=repr)
def test_what_is_no_mixture_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MixtureLogistic(**wrong)
