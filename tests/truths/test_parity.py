"""Our loss against the published one of each reference system, on the same weights and the same
noise, in float64.

The published formulas are written out here with `torch.nn.functional` on the weights of our model;
none of our families, rates or objectives takes part. The noise is the same because both draw
standard normal numbers after the same seed.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowerbound.families import Bernoulli, Normal
from lowerbound.model import Architecture
from lowerbound.model.conditionals import build_decoder, build_encoder
from lowerbound.networks import MLP, Conv
from lowerbound.objectives import Elbo, PublishedHierarchical, Reconstruction

SEED = 11


def layers(module, kind=nn.Linear):
    """Weight and bias of the layers of one kind, in the order in which they are used."""
    return [(m.weight, m.bias) for m in module.modules() if isinstance(m, kind)]


def noise(*shapes):
    """What the model draws after `SEED`."""
    torch.manual_seed(SEED)
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


def ours(model, x, objective, samples=1):
    torch.manual_seed(SEED)
    return objective(model.terms(x, samples, objective.kl)).item()


def same(a, b):
    assert a == pytest.approx(b.item(), rel=1e-9)


# R1: Kingma & Welling 2013


def r1_posterior(model, x):
    """h = tanh(W1 x + b1), mu = W2 h + b2, log sigma^2 = W3 h + b3."""
    *hidden, (w2, b2), (w3, b3) = layers(model.latents.posteriors[0])
    ((w1, b1),) = hidden
    h = torch.tanh(F.linear(x, w1, b1))
    return F.linear(h, w2, b2), F.linear(h, w3, b3)


def r1(likelihood, latent=2):
    spec = Architecture(
        (latent,), MLP((7,), "tanh", init=0.5), likelihood=likelihood, heads="separate"
    )
    return spec.build((9,)).double()


@pytest.mark.parametrize("latent", [2, 5])
@pytest.mark.parametrize("samples", [1, 4])
def test_r1_bernoulli(samples, latent):
    """-KL + 1/L sum_l log p(x|z_l) (equation 10), with the decoder's sigmoid and the cross entropy
    in two steps.
    """
    model = r1(Bernoulli(), latent)
    x = (torch.rand(6, 9) < 0.4).double()
    mean, log_variance = r1_posterior(model, x)
    (eps,) = noise((samples, 6, latent))
    z = mean + torch.exp(log_variance / 2) * eps
    (w4, b4), (w5, b5) = layers(model.decoder)
    y = torch.sigmoid(F.linear(torch.tanh(F.linear(z, w4, b4)), w5, b5))
    log_p = (x * torch.log(y) + (1 - x) * torch.log(1 - y)).sum(-1)
    kl = -0.5 * (1 + log_variance - mean**2 - torch.exp(log_variance)).sum(-1)
    same(ours(model, x, Elbo(), samples), (kl - log_p.mean(0)).mean())


@pytest.mark.parametrize("samples", [1, 4])
def test_r1_gaussian(samples):
    """Appendix C.2: learned mean and variance of x, the mean through a sigmoid (Frey faces)."""
    model = r1(Normal(mean="sigmoid"))
    x = torch.rand(6, 9).double()
    mean, log_variance = r1_posterior(model, x)
    (eps,) = noise((samples, 6, 2))
    (w3, b3), (w4, b4), (w5, b5) = layers(model.decoder)
    h = torch.tanh(F.linear(mean + torch.exp(log_variance / 2) * eps, w3, b3))
    mu, log_s2 = torch.sigmoid(F.linear(h, w4, b4)), F.linear(h, w5, b5)
    log_p = (
        -0.5 * math.log(2 * math.pi) - log_s2 / 2 - (x - mu) ** 2 / (2 * torch.exp(log_s2))
    ).sum(-1)
    kl = -0.5 * (1 + log_variance - mean**2 - torch.exp(log_variance)).sum(-1)
    same(ours(model, x, Elbo(), samples), (kl - log_p.mean(0)).mean())


def test_r1_initial_weights():
    """N(0, 0.1) weights everywhere in the model; the published code leaves the biases to
    PyTorch.
    """
    model = Architecture((2,), MLP((500,), "tanh", init=0.1), heads="separate").build((1, 28, 28))
    for weight, bias in layers(model):
        assert weight.std().item() == pytest.approx(0.1, rel=5 / math.sqrt(2 * weight.numel()))
        assert bias.abs().max() <= weight.shape[1] ** -0.5


def test_the_plain_autoencoder_of_r1():
    """No sampling, no KL: the cross entropy at the code."""
    model = Architecture((2,), MLP((7,), "tanh"), posterior="Delta").build((9,)).double()
    x = (torch.rand(6, 9) < 0.4).double()
    (w1, b1), (w2, b2) = layers(model.latents.posteriors[0])
    (w3, b3), (w4, b4) = layers(model.decoder)
    code = F.linear(torch.tanh(F.linear(x, w1, b1)), w2, b2)
    logits = F.linear(torch.tanh(F.linear(code, w3, b3)), w4, b4)
    loss = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1).mean()
    same(ours(model, x, Reconstruction()), loss)


# R2: the convolutional VAE


def test_r2():
    """Its 28x28 network layer by layer; the loss is the mean over the batch of (sum over pixels of
    BCE + KL).
    """
    model = Architecture((4,), Conv()).build((1, 28, 28)).double()
    x = (torch.rand(3, 1, 28, 28) < 0.2).double()
    encoder = model.latents.posteriors[0]
    h = x
    for weight, bias in layers(encoder, nn.Conv2d):
        h = F.relu(F.conv2d(h, weight, bias, stride=2, padding=1))
    assert h.shape == (3, 64, 7, 7)
    mean, log_variance = F.linear(h.flatten(1), *layers(encoder)[0]).chunk(2, dim=1)
    (eps,) = noise((1, 3, 4))
    z = (mean + torch.exp(0.5 * log_variance) * eps)[0]
    y = F.relu(F.linear(z, *layers(model.decoder)[0])).view(3, 64, 7, 7)
    ups = layers(model.decoder, nn.ConvTranspose2d)
    assert [tuple(w.shape) for w, _ in ups] == [(64, 64, 3, 3), (64, 32, 3, 3)]
    for weight, bias in ups:
        y = F.relu(F.conv_transpose2d(y, weight, bias, stride=2))
    y = torch.sigmoid(F.conv2d(y, *layers(model.decoder, nn.Conv2d)[0]))
    bce = F.binary_cross_entropy(y, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + log_variance - mean**2 - log_variance.exp())
    same(ours(model, x, Elbo()), (bce + kl) / 3)


# R3: the hierarchical VAE


def r3(likelihood, latent=(20, 20), hidden=100):
    spec = Architecture(
        latent,
        MLP((hidden,)),
        level_network=MLP((hidden,)),
        level_prior=Normal(variance=1.0),
        likelihood=likelihood,
    )
    return spec.build((784,))


def r3_published(model, x, use_bce):
    """The published loss: KL terms without 1/2, and the closed form at every level, both as they
    were printed.
    """
    up, down = model.latents.posteriors, model.latents.priors
    below, means, log_variances, zs = x, [], [], []
    for encoder, eps in zip(up, noise(*[(len(x), n) for n in model.latents.sizes]), strict=True):
        (w1, b1), (w2, b2) = layers(encoder)
        mean, log_variance = F.linear(F.relu(F.linear(below, w1, b1)), w2, b2).chunk(2, dim=1)
        below = mean + torch.exp(log_variance / 2) * eps
        means, log_variances, zs = [*means, mean], [*log_variances, log_variance], [*zs, below]

    def decoded(decoder, z):
        (w1, b1), (w2, b2) = layers(decoder)
        return F.linear(F.relu(F.linear(z, w1, b1)), w2, b2)

    targets = [
        *(decoded(d, z) for d, z in zip(down, zs[1:], strict=False)),
        torch.zeros_like(zs[-1]),
    ]
    kl = sum(
        (-1 - v + v.exp() + (m - t) ** 2).sum(-1)
        for m, v, t in zip(means, log_variances, targets, strict=True)
    )  # twice the KL divergence from N(t, I)
    out = decoded(model.decoder, zs[0])
    if use_bce:
        return (F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(-1) + kl).mean()
    return (((out - x) ** 2).sum(-1) + kl).mean()


@pytest.mark.parametrize("latent", [(5,), (5, 4), (5, 4, 3)], ids=str)
@pytest.mark.parametrize("use_bce", [True, False])
def test_r3(use_bce, latent):
    """With a variance of 1/2, -log p(x|z) is the squared error and a constant, D/2 log pi."""
    model = r3(Bernoulli() if use_bce else Normal(variance=0.5), latent, 10).double()
    x = (torch.rand(6, 784) < 0.3).double() if use_bce else torch.rand(6, 784).double()
    constant = 0 if use_bce else 784 / 2 * math.log(math.pi)
    same(ours(model, x, PublishedHierarchical()), r3_published(model, x, use_bce) + constant)


def test_r3_has_174084_parameters():
    assert sum(p.numel() for p in r3(Bernoulli()).parameters()) == 174_084


def test_one_level_of_r3_is_the_plain_vae_with_beta_two():
    """Both errors are accounted for: at the top, where q and p share parents, only the factor 1/2
    is missing.
    """
    model, x = r3(Bernoulli(), (5,), 10).double(), (torch.rand(6, 784) < 0.3).double()
    assert ours(model, x, PublishedHierarchical()) == pytest.approx(
        ours(model, x, Elbo(beta=2.0)), rel=1e-12
    )
    deep = r3(Bernoulli(), (5, 4), 10).double()
    assert abs(ours(deep, x, PublishedHierarchical()) - ours(deep, x, Elbo(beta=2.0))) > 0.1


# R4: one doubled head or two separate ones


def spread(joint, separate):
    """Copy the one wide last layer into the heads, which are the last layers of the other, half and
    half.
    """
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    wide = [m for m in joint.modules() if isinstance(m, kinds)]
    narrow = [m for m in separate.modules() if isinstance(m, kinds)]
    assert len(narrow) == len(wide) + 1
    with torch.no_grad():
        for a, b in zip(wide[:-1], narrow[:-2], strict=True):
            b.load_state_dict(a.state_dict())
        for head, weight, bias in zip(
            narrow[-2:], wide[-1].weight.chunk(2), wide[-1].bias.chunk(2), strict=True
        ):
            head.weight.copy_(weight)
            head.bias.copy_(bias)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 5)], ids=str)
@pytest.mark.parametrize("network", [MLP((10,)), Conv((4, 6))], ids=["MLP", "Conv"])
@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_heads(side, network, shape):
    """The published text holds the two against each other; they are the same functions, mean first,
    log-variance second.
    """
    if side == "encoder":
        joint, separate = (
            build_encoder(network, Normal(), shape, 5, separate=s).double() for s in (False, True)
        )
        context = torch.rand(3, *shape).double()
    else:
        joint, separate = (
            build_decoder(network, Normal(), 5, shape, separate=s).double() for s in (False, True)
        )
        context = torch.randn(2, 3, 5).double()
    assert sum(p.numel() for p in joint.parameters()) == sum(
        p.numel() for p in separate.parameters()
    )
    spread(joint, separate)
    a, b = joint(context), separate(context)
    torch.testing.assert_close(a.mean, b.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(a.variance, b.variance, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(a.mean, a.variance.log())
