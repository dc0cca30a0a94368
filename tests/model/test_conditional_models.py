"""Conditional models: their truth in closed form, and what their networks see."""

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from lowerbound.batch import Batch
from lowerbound.columns import ColumnSchema
from lowerbound.errors import ConfigError, ShapeError
from lowerbound.evaluation import bound, importance_log_likelihood
from lowerbound.families import Bernoulli, Normal
from lowerbound.model import Architecture
from lowerbound.model.given import WIDEST, Conditions
from lowerbound.networks import MLP, Conv, DenseMLP, ResNet
from lowerbound.networks.joining import Joined, join, joined_shape
from lowerbound.networks.ladders import MLPLadder
from lowerbound.noise import Dropout, GaussianNoise
from lowerbound.objectives import Elbo
from lowerbound.priors import Mixture
from lowerbound.testing import check_latents

LETTER = ColumnSchema("letter", "categorical", "text", ("a", "b", "c"), shares=(0.5, 0.3, 0.2))
HEIGHT = ColumnSchema("height", "real", mean=3.0, scale=2.0)
GIVEN = (LETTER, HEIGHT)
WIDTH = 3 + 2
"""The features of both: an indicator of each letter, the height and whether it is known."""

CODES = torch.tensor([[0, 0.5], [1, -1.0], [2, 0.0], [1, torch.nan], [torch.nan, 1.5]])


class Rows:
    """Rows of a batch as examples that every measure takes."""

    def __init__(self, batch):
        self.rows = batch

    def __len__(self):
        return len(self.rows)

    def batch(self, index, key=0):
        return self.rows.take(torch.arange(len(self))[index])


def build(shape=(4,), given=GIVEN, **settings):
    settings = {"latent": (2,), "network": MLP((6,)), "level_network": MLP((5,))} | settings
    return Architecture(**settings).build(shape, given=given).double()


def codes(rows):
    """Codes of conditions, with each letter, unknown ones, and any height."""
    chosen = CODES.double().repeat(rows // len(CODES) + 1, 1)[:rows]
    return chosen + torch.tensor([0.0, 0.1]) * torch.arange(rows)[:, None]


# A truth: x = W z + V y + b + noise, z ~ N(A y, I) or N(0, I)


def linear(conditional_prior):
    model = build(
        network=MLP(()),
        likelihood=Normal(variance=0.3),
        level_network=MLP(()),
        level_prior=Normal(variance=1.0),
        conditional_prior=conditional_prior,
    )
    torch.manual_seed(3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def exact_log_likelihood(model, x, given):
    """log p(x | y) of a linear model, from its weights alone."""
    (decoder,) = (m for m in model.decoder.modules() if isinstance(m, torch.nn.Linear))
    y = torch.zeros(len(x), WIDTH).double()
    for row, (letter, height) in enumerate(given.tolist()):
        if not np.isnan(letter):
            y[row, 2 + int(letter)] = 1
        if not np.isnan(height):
            y[row, 0] = height
            y[row, 1] = 1
    loadings = decoder.weight[:, :2]
    mean = y @ decoder.weight[:, 2:].T + decoder.bias
    layers = [m for m in model.latents.priors.modules() if isinstance(m, torch.nn.Linear)]
    if layers:
        (prior,) = layers
        mean = mean + (y @ prior.weight.T + prior.bias) @ loadings.T
    covariance = loadings @ loadings.T + 0.3 * torch.eye(4)
    return MultivariateNormal(mean, covariance).log_prob(x)


@pytest.mark.parametrize("conditional_prior", [False, True])
def test_log_p_of_x_given_y_is_that_of_the_closed_form(conditional_prior):
    model = linear(conditional_prior)
    given = codes(8)
    given[:, 1] = given[:, 1].clamp(-2, 2)  # within what the features leave as it is
    batch = Batch(model.generate(8, given).sample(), given)
    truth = exact_log_likelihood(model, batch.x, given)
    # The posterior of these weights is far off, so that the mixture has work to do.
    found = importance_log_likelihood(model, Rows(batch), samples=20_000)
    error = torch.sqrt(1 / found.effective)
    assert ((found.per_example - truth).abs() < 5 * error + 1e-3).all()
    assert error.max() < 0.1
    assert bound(model, Rows(batch), samples=50).elbo.value < truth.mean()


def test_the_exact_posterior_has_the_bound_of_the_closed_form():
    """Of one dimension of z, q(z | x, y) can be set: the bound is then log p(x | y) itself."""
    model = build(latent=(1,), network=MLP(()), likelihood=Normal(variance=0.3)).double()
    (decoder,) = (m for m in model.decoder.modules() if isinstance(m, torch.nn.Linear))
    (encoder,) = (m for m in model.latents.posteriors.modules() if isinstance(m, torch.nn.Linear))
    torch.nn.init.normal_(decoder.weight)
    loading = decoder.weight[:, 0].detach()
    precision = 1 + loading @ loading / 0.3
    gain = loading / 0.3 / precision
    with torch.no_grad():
        encoder.weight.zero_()
        encoder.weight[0, :4] = gain
        encoder.weight[0, 4:] = -gain @ decoder.weight[:, 1:]
        encoder.bias[0] = -gain @ decoder.bias
        encoder.bias[1] = -precision.log()
    given = codes(5)
    x = torch.randn(5, 4).double()
    terms = model.terms(Batch(x, given), 3)
    y = model.embed(given)
    mean = y @ decoder.weight[:, 1:].T + decoder.bias
    covariance = torch.outer(loading, loading) + 0.3 * torch.eye(4)
    truth = MultivariateNormal(mean, covariance).log_prob(x)
    torch.testing.assert_close(terms.log_weight, truth.expand(3, 5))


# What the networks see


def test_a_join_is_a_longer_vector_or_further_planes():
    given = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    vectors = join(torch.zeros(5, 2, 3), given)
    assert vectors.shape == (5, 2, *joined_shape((3,), 2))
    assert torch.equal(vectors[4, 1], torch.tensor([0, 0, 0, 3.0, 4.0]))
    images = join(torch.zeros(5, 2, 1, 3, 4), given, 3)
    assert images.shape == (5, 2, *joined_shape((1, 3, 4), 2))
    assert (images[:, 0, 1] == 1).all()
    assert (images[:, 1, 2] == 4).all()


def test_nothing_known_is_zeros():
    network = Joined(torch.nn.Identity(), 2)
    assert torch.equal(network(torch.ones(3, 4)), join(torch.ones(3, 4), torch.zeros(3, 2)))


def test_the_features_of_conditions():
    features = Conditions(GIVEN)(CODES)
    assert features.shape == (5, WIDTH)
    assert torch.equal(features[0], torch.tensor([0.5, 1, 1, 0, 0]))
    assert torch.equal(features[3], torch.tensor([0, 0, 0, 1.0, 0]))
    assert torch.equal(features[4], torch.tensor([1.5, 1, 0, 0, 0]))


def test_many_levels_have_an_embedding_that_unknown_ones_do_not_shift():
    levels = tuple(map(str, range(WIDEST + 10)))
    conditions = Conditions([ColumnSchema("id", "categorical", "text", levels)])
    assert conditions.width == WIDEST
    embedded = conditions(torch.tensor([[0.0], [70.0], [torch.nan]]))
    assert embedded.shape == (3, WIDEST)
    assert not embedded[2].any()
    assert not torch.equal(embedded[0], embedded[1])
    model = build(given=[ColumnSchema("id", "categorical", "text", levels)])
    model.terms(Batch(torch.rand(3, 4).double(), torch.tensor([[0.0], [70.0], [3.0]])))[2].sum()
    loss = model.terms(Batch(torch.rand(2, 4).double(), torch.ones(2, 1)))[2].sum()
    loss.backward()
    assert model.embedding.embedding.weight.grad.any()


NETWORKS = {
    "mlp": (MLP((6,)), (4,)),
    "linear path": (MLP((6,), linear_path=True), (4,)),
    "dense": (DenseMLP(), (4,)),
    "conv": (Conv(), (2, 9, 7)),
    "resnet": (ResNet(), (1, 8, 8)),
    "mlp of images": (MLP((6,)), (1, 5, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("latent", [(2,), (3, 2)])
@pytest.mark.parametrize("conditional_prior", [False, True])
def test_every_network_is_conditioned(name, latent, conditional_prior):
    network, shape = NETWORKS[name]
    model = build(shape, network=network, latent=latent, conditional_prior=conditional_prior)
    x = torch.rand(6, *shape).double()
    given = codes(6)
    model.eval()
    check_latents(model.latents, Batch(x, model.embed(given)))
    terms = model.train().terms(Batch(x, given), 2)
    Elbo()(terms).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    model.eval()
    other = given.clone()
    other[:, 0] = torch.tensor([2, 0, 1, 0, 2, 1])
    assert not torch.equal(model.encode(Batch(x, given))[0], model.encode(Batch(x, other))[0])
    z = torch.randn(6, latent[0]).double()
    assert not torch.equal(model.decode(z, given).mean, model.decode(z, other).mean)
    torch.manual_seed(0)
    samples = model.sample(6, given=given)
    torch.manual_seed(0)
    assert not torch.equal(samples, model.sample(6, given=other))
    assert model.swap(Batch(x, given), other).mean.shape == x.shape


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("ladder", [None, MLPLadder(6)], ids=["chain", "ladder"])
def test_each_group_that_varies_has_its_own_conditions(ladder, level):
    settings = {"latent": (3, 2), "conditional_prior": True, "ladder": ladder}
    if ladder is None:
        settings["network"] = MLP((6,))
    model = Architecture(**settings).build((4,), given=GIVEN).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    given = model.embed(codes(2))

    def vary(conditions):
        torch.manual_seed(0)
        with torch.no_grad():
            return model.latents.vary(level, 2, 3, conditions).reshape(2, 3, -1)

    found = vary(given)
    for group in range(2):
        alone = vary(given[group].expand(2, -1))
        torch.testing.assert_close(found[group], alone[group])
    assert not torch.allclose(vary(given[0].expand(2, -1)), vary(given[1].expand(2, -1)))


def test_the_prior_on_the_top_of_a_ladder_has_a_family_and_a_network_of_its_own():
    settings = {"level_prior": Normal(variance="shared"), "level_network": MLP((7,))}
    spec = Architecture((3, 2), ladder=MLPLadder(6), conditional_prior=True, **settings)
    model = spec.build((4,), given=GIVEN)
    given = model.embed(codes(5).float())
    torch.manual_seed(0)
    inference = model.infer(Batch(torch.rand(5, 4), codes(5).float()))
    top = inference.levels[-1].p.base_dist
    assert len({tuple(scale) for scale in top.scale.expand(5, 2).tolist()}) == 1
    assert len({tuple(mean) for mean in top.loc.reshape(5, 2).tolist()}) == 5
    widths = [p.shape[0] for p in model.latents.prior.parameters() if p.dim() == 2]
    assert widths[0] == 7
    assert given.shape[1] == model.embedding.width
    for name, value in settings.items():
        with pytest.raises(ValueError, match=f"{name} is for a chain of levels"):
            Architecture((3, 2), ladder=MLPLadder(6), **{name: value})


def test_the_decoder_of_a_conditional_ladder_starts_at_the_mean():
    model = Architecture((2, 2), ladder=MLPLadder(6)).build((4,), given=GIVEN)
    mean = torch.tensor([0.1, 0.4, 0.6, 0.9])
    model.start_at(mean)
    layers = [m for m in model.decoder.modules() if isinstance(m, torch.nn.Linear)]
    torch.testing.assert_close(torch.sigmoid(layers[-1].bias.detach()), mean)


def test_a_swap_to_the_own_conditions_is_the_reconstruction():
    model = build(likelihood=Bernoulli(), latent=(3, 2)).eval()
    batch = Batch(torch.rand(6, 4).double(), codes(6))
    assert torch.equal(model.swap(batch, batch.given).mean, model.reconstruct(batch))


def test_noise_is_no_noise_of_the_conditions():
    """Behind a noise that leaves nothing of x, the encoder still tells the conditions apart."""
    model = build(noise=(Dropout(0.5), GaussianNoise(3.0))).train()
    seen = []
    joined = model.latents.posteriors[0].network.network
    joined.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    given = codes(6)
    model.terms(Batch(torch.ones(6, 4).double(), given))
    assert torch.equal(seen[0][:, 4:], model.embed(given))
    assert not torch.equal(seen[0][:, :4], torch.ones(6, 4).double())


def test_what_is_not_known_is_taken_and_changes_nothing_else():
    model = build().eval()
    x = torch.rand(5, 4).double()
    given = codes(5)
    found = model.encode(Batch(x, given))[0]
    assert found.isfinite().all()
    all_known = torch.where(given.isnan(), 0, given)
    same = ~given.isnan().any(1)
    assert torch.equal(found[same], model.encode(Batch(x, all_known))[0][same])
    assert not torch.equal(found[~same], model.encode(Batch(x, all_known))[0][~same])


def test_a_prior_that_knows_nothing_of_conditions_is_theirs_all_the_same():
    model = build(prior=Mixture(components=3))
    batch = Batch(torch.rand(6, 4).double(), codes(6))
    check_latents(model.eval().latents, Batch(batch.x, model.embed(batch.given)))
    assert model.sample(6, given=batch.given).shape == (6, 4)


def test_a_model_learns_what_its_conditions_tell():
    """x is the letter, but for a little noise: z is not needed, and samples have their letter."""
    model = build(given=(LETTER,), likelihood=Normal(variance=0.1))
    given = torch.arange(60).remainder(3).double()[:, None]
    batch = Batch(given.expand(-1, 4) + 0.1 * torch.randn(60, 4).double(), given)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(300):
        optimizer.zero_grad()
        Elbo()(model.terms(batch)).backward()
        optimizer.step()
    terms = model.terms(batch, 20)
    assert terms.rate.mean() < 0.3
    means = model.eval().sample(3, given=torch.tensor([[0.0], [1.0], [2.0]]).double()).mean(1)
    torch.testing.assert_close(means, torch.arange(3).double(), atol=0.2, rtol=0)


# Refusals


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({"conditional_prior": True}, (), "is for models with conditions: name them in data.given"),
        (
            {"conditional_prior": True, "prior": Mixture()},
            GIVEN,
            "takes the place of model.prior, which must then be StandardNormal, got Mixture",
        ),
        (
            {"decoder_network": "tied", "likelihood": Bernoulli()},
            GIVEN,
            "decoder_network='tied' is for models without conditions",
        ),
        ({"start": "factors"}, GIVEN, "start='factors' is for models without conditions"),
    ],
)
def test_parts_that_do_not_fit_conditions_are_refused(settings, given, message):
    with pytest.raises(ConfigError, match=message):
        build(given=given, **settings)


def test_conditions_of_another_number_are_refused():
    model = build()
    x = torch.rand(5, 4).double()
    with pytest.raises(ShapeError, match="is conditional, got a batch without conditions"):
        model.terms(x)
    with pytest.raises(ShapeError, match=r"conditions of shape \(5, 2\), got \(5, 3\)"):
        model.terms(Batch(x, torch.zeros(5, 3)))
    with pytest.raises(ShapeError, match=r"conditions of shape \(5, 2\), got \(5, 1\)"):
        model.swap(Batch(x, codes(5)), torch.zeros(5, 1).double())


def test_a_network_that_flattens_images_sees_each_number_once():
    """As planes, a number would have the weight and the gradient of all pixels together."""
    model = build((1, 5, 3), network=MLP((6,)))
    first = next(m for m in model.latents.posteriors.modules() if isinstance(m, torch.nn.Linear))
    assert first.in_features == 15 + WIDTH
    model = build((1, 9, 7), network=Conv())
    first = next(m for m in model.latents.posteriors.modules() if isinstance(m, torch.nn.Conv2d))
    assert first.in_channels == 1 + WIDTH
