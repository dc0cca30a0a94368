"""The VampPrior against the mixture of posteriors written out by hand."""

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from torch import nn

import lowerbound
from lowerbound.batch import Batch
from lowerbound.columns import ColumnSchema
from lowerbound.errors import ConfigError
from lowerbound.evaluation import bound, importance_log_likelihood
from lowerbound.evaluation.batches import evaluating
from lowerbound.families import Delta, FlowPosterior, Multinomial, Normal, Place
from lowerbound.model import Architecture
from lowerbound.model.conditionals import build_encoder
from lowerbound.networks import MLP
from lowerbound.networks.ladders import MLPLadder
from lowerbound.noise import Dropout, L2Normalize
from lowerbound.objectives import Elbo
from lowerbound.priors import VampPrior
from lowerbound.priors.vamp import MARGIN, NormalMixture, _by_differences, _by_products
from lowerbound.testing import Rows, check_latents
from lowerbound.testing.spec import moved

SHAPE = (4,)


def build(components=5, size=2, posterior=None, **settings):
    """A prior of a level of this size in float64, and the posterior that it is made of."""
    if posterior is None:
        posterior = build_encoder(MLP((6,), "tanh", init=0.9), Normal(), SHAPE, size).double()
    prior = VampPrior(components, **settings).build(Place((size,), SHAPE, posterior)).double()
    return prior, posterior


AXIS = torch.linspace(-25, 25, 1001).double()
GRID = torch.cartesian_prod(AXIS, AXIS)
CELL = 0.05**2


def model_with(prior, latent=(2,), shape=SHAPE, **settings):
    settings = {"likelihood": Normal(), "level_network": MLP((5,))} | settings
    return Architecture(latent, MLP((6,)), prior=prior, **settings).build(shape).double()


# The density


def test_one_pseudo_input_is_its_posterior():
    prior, posterior = build(components=1)
    q = posterior(prior.pseudo_inputs())
    z = 3 * torch.randn(50, 2).double()
    torch.testing.assert_close(prior().log_prob(z), q.log_prob(z), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(prior().mean, q.mean[0])
    torch.testing.assert_close(prior().variance, q.variance[0])


@pytest.mark.parametrize("weights", ["uniform", "learned"])
def test_the_density_is_the_mixture_written_out(weights):
    prior, posterior = build(weights=weights)
    log_weights = np.full(5, -math.log(5))
    if weights == "learned":
        nn.init.normal_(prior.logits)
        log_weights = prior.logits.detach().log_softmax(0).numpy()
    q = posterior(prior.pseudo_inputs().detach()).base_dist
    z = torch.randn(7, 3, 2).double()
    each = norm.logpdf(z.numpy()[..., None, :], q.mean.detach(), q.stddev.detach()).sum(-1)
    expected = logsumexp(each + log_weights, axis=-1)
    np.testing.assert_allclose(prior().log_prob(z).detach(), expected, rtol=1e-10)


@pytest.mark.parametrize("components", [1, 2, 500])
def test_the_weights_sum_to_one_for_any_number_of_components(components):
    """Pseudo-inputs that are all the same are one posterior, whatever their number."""
    prior, posterior = build(components)
    with torch.no_grad():
        prior.inputs[:] = prior.inputs[0]
    z = torch.randn(9, 2).double()
    q = posterior(prior.pseudo_inputs()[:1])
    torch.testing.assert_close(prior().log_prob(z), q.log_prob(z))


def test_the_density_integrates_to_one():
    prior, _ = build(components=6, weights="learned")
    with torch.no_grad():
        moved(prior)
        p = prior()
        assert p.scales.max() > 1.5 * p.scales.min()  # or else it would be one normal distribution
        assert float(p.log_prob(GRID).exp().sum() * CELL) == pytest.approx(1, abs=1e-5)


def test_samples_are_those_of_the_density():
    """The share of samples in a half plane is the integral of the density over it."""
    prior, _ = build(components=4, weights="learned")
    with torch.no_grad():
        moved(prior)
        p = prior()
        masses = p.log_prob(GRID).exp() * CELL
        samples = p.sample(torch.Size([20_000]))
        for direction in torch.randn(6, 2).double():
            threshold = float(p.mean @ direction) + 0.3
            share = float((samples @ direction > threshold).double().mean())
            expected = float(masses[GRID @ direction > threshold].sum())
            error = math.sqrt(expected * (1 - expected) / len(samples))
            assert abs(share - expected) < 5 * error + 0.005  # the grid has cells at the border
    torch.testing.assert_close(samples.mean(0), p.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(samples.var(0), p.variance, atol=0.1, rtol=0)


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
def test_narrow_components_do_not_cancel_in_float32(scale):
    """The two matrix products in float32 would be off by nats where sigma is 0.01."""
    mean = torch.randn(30, 40)
    scales = torch.full((30, 40), scale)
    mixture = NormalMixture(mean, scales, torch.full((30,), -math.log(30)))
    z = mean[:5] + scale * torch.randn(5, 40)
    differences = (z.double().unsqueeze(-2) - mean.double()) / scales.double()
    each = -differences.square().sum(-1) / 2 - 40 * (math.log(scale) + math.log(2 * math.pi) / 2)
    expected = each.logsumexp(-1) - math.log(30)
    torch.testing.assert_close(mixture.log_prob(z).double(), expected, rtol=1e-6, atol=1e-4)
    assert mixture.log_prob(z).dtype == torch.float32


def test_a_device_without_float64_takes_differences():
    mean = torch.randn(30, 4).double()
    scale = torch.rand(30, 4).double() + 0.1
    z = torch.randn(5, 3, 4).double()
    torch.testing.assert_close(_by_differences(z, mean, scale), _by_products(z, mean, scale))


# What is learned


def test_gradients_reach_the_pseudo_inputs_and_the_encoder():
    prior, posterior = build()
    prior().log_prob(torch.randn(8, 2).double()).sum().backward()
    for weight in (prior.inputs, *posterior.parameters()):
        assert (weight.grad != 0).any()


def test_the_weights_of_the_posterior_are_registered_once():
    prior, _ = build()
    assert list(prior.state_dict()) == ["inputs", "is_unit"]
    model = model_with(VampPrior(5))
    names = [name for name, _ in model.named_parameters()]
    assert len(names) == len(set(names))
    assert sum("priors" in name for name in names) == 1


def test_a_copy_is_made_of_its_own_posterior():
    model = model_with(VampPrior(5))
    twin = copy.deepcopy(model)
    with torch.no_grad():
        moved(model.latents.posteriors[0])
    z = torch.randn(3, 2).double()
    kept = twin.latents.priors[0]().log_prob(z)
    assert not torch.allclose(model.latents.priors[0]().log_prob(z), kept)
    moved(twin.latents.posteriors[0])
    assert not torch.allclose(twin.latents.priors[0]().log_prob(z), kept)


# Where it starts


def test_pseudo_inputs_start_at_examples_in_their_range():
    x = torch.rand(5, *SHAPE).double().round()
    prior, _ = build()
    prior.start_from(x)
    torch.testing.assert_close(prior.pseudo_inputs(), x.clamp(MARGIN, 1 - MARGIN))
    assert prior.inputs.isfinite().all()


def test_pseudo_inputs_of_real_numbers_are_free():
    x = 5 * torch.randn(5, *SHAPE).double()
    prior, _ = build()
    prior.start_from(x)
    assert torch.equal(prior.pseudo_inputs(), x)


def test_too_few_examples_leave_noise():
    x = torch.rand(3, *SHAPE).double() + 2
    prior, _ = build()
    before = prior.pseudo_inputs().clone()
    prior.start_from(x)
    assert torch.equal(prior.pseudo_inputs(), torch.cat([x, before[3:]]))


def test_noise_takes_the_range_of_the_examples_alone():
    prior, _ = build(start="noise")
    before = prior.inputs.clone()
    prior.start_from(torch.rand(5, *SHAPE).double())
    assert torch.equal(prior.inputs, before)
    assert torch.equal(prior.pseudo_inputs(), torch.sigmoid(before))


def test_the_range_is_saved_with_the_weights():
    prior, posterior = build()
    prior.start_from(torch.rand(5, *SHAPE).double())
    again, _ = build(posterior=posterior)
    again.load_state_dict(prior.state_dict())
    assert torch.equal(again.pseudo_inputs(), prior.pseudo_inputs())


# The noise of the encoder


class WithDropout(MLP):
    """A user's own network that has a layer of dropout."""

    def encoder(self, shape, features, heads=1):
        return nn.Sequential(nn.Dropout(0.5), super().encoder(shape, features, heads))


def test_pseudo_inputs_are_seen_without_noise():
    posterior = build_encoder(
        WithDropout((6,)), Normal(), SHAPE, 2, noise=(Dropout(0.5), L2Normalize())
    )
    posterior = posterior.double().train()
    prior, _ = build(posterior=posterior)
    z = torch.randn(6, 2).double()
    found = prior().log_prob(z)
    assert all(part.training for part in posterior.modules())
    q = posterior.eval()(prior.pseudo_inputs())  # which is normalised all the same
    expected = q.log_prob(z.unsqueeze(1)).logsumexp(-1) - math.log(5)
    torch.testing.assert_close(found, expected)


# Measures


def test_many_chunks_are_measured_with_one_pass_of_the_pseudo_inputs(monkeypatch):
    model = model_with(VampPrior(5))
    calls = []
    posterior = model.latents.posteriors[0]
    clean = posterior.clean
    monkeypatch.setattr(posterior, "clean", lambda x: calls.append(len(x)) or clean(x))
    importance_log_likelihood(model, Rows(torch.rand(20, *SHAPE)), samples=2000)
    assert calls == [5]


def test_a_kept_mixture_follows_the_weights():
    model = model_with(VampPrior(5)).eval()
    prior = model.latents.priors[0]
    z = torch.randn(4, 2).double()

    def values():
        with torch.no_grad():
            return prior().log_prob(z)

    found = [values()]
    torch.optim.SGD(model.parameters(), 0.1).zero_grad()
    with torch.no_grad():
        moved(model.latents.posteriors[0])
    found.append(values())
    with torch.no_grad():
        moved(prior)
    found.append(values())
    prior.start_from(torch.rand(5, *SHAPE).double())
    found.append(values())
    weights = {name: 2 * weight for name, weight in model.state_dict().items()}
    weights["latents.priors.0.is_unit"] = torch.tensor(True)
    model.load_state_dict(weights)
    found.append(values())
    model.latents.posteriors[0].network[1].weight.data.mul_(0.5)  # which leaves no trace
    with evaluating(model, 0):
        found.append(values())
    for before, after in pairwise(found):
        assert not torch.allclose(before, after)


# With the other parts


@pytest.mark.parametrize("latent", [(2,), (3, 2)])
def test_a_chain_with_it_keeps_the_laws(latent):
    model = model_with(VampPrior(5), latent)
    check_latents(model.latents, Batch(torch.rand(7, *SHAPE).double()))


def test_the_top_of_a_chain_starts_at_draws_of_the_level_below():
    model = model_with(VampPrior(200), (3, 2))
    x = torch.rand(200, *SHAPE).double()
    seen = model.draw_below_top(x)
    q = model.latents.posteriors[0](x)
    standard = (seen - q.mean) / q.stddev
    assert standard.std().item() == pytest.approx(1, abs=5 / math.sqrt(2 * standard.numel()))
    (part,) = model.parts_from_data()
    part.start_from(seen)
    assert torch.equal(part.pseudo_inputs(), seen)


def test_it_goes_with_a_flow_that_is_one_pass_either_way():
    pytest.importorskip("zuko")
    model = model_with(VampPrior(5), posterior=FlowPosterior("RealNVP", 1, (8,), 3))
    moved(model)
    z = torch.randn(6, 2).double()
    prior = model.latents.priors[0]
    q = model.latents.posteriors[0](prior.pseudo_inputs())
    each = torch.stack([q.log_prob(one.expand(5, 2)) for one in z])
    torch.testing.assert_close(prior().log_prob(z), each.logsumexp(-1) - math.log(5))
    assert prior().sample(torch.Size([3])).shape == (3, 2)


def test_a_ladder_with_it_keeps_the_laws():
    spec = Architecture((2, 3), ladder=MLPLadder(8), prior=VampPrior(5), likelihood=Normal())
    model = spec.build(SHAPE).double()
    x = torch.rand(7, *SHAPE).double()
    (part,) = model.parts_from_data()
    part.start_from(model.draw_below_top(x[:5]))
    torch.testing.assert_close(part.pseudo_inputs(), x[:5].clamp(MARGIN, 1 - MARGIN))
    check_latents(model.latents, Batch(x))


def test_a_conditional_model_has_pseudo_inputs_of_which_no_condition_is_known():
    letter = ColumnSchema("letter", "categorical", "text", ("a", "b"), shares=(0.5, 0.5))
    spec = Architecture((2,), MLP((6,)), prior=VampPrior(5), likelihood=Normal())
    model = spec.build(SHAPE, given=(letter,)).double()
    given = torch.tensor([[0.0], [1.0], [torch.nan]]).double()
    batch = Batch(torch.rand(3, *SHAPE).double(), given)
    (part,) = model.parts_from_data()
    part.start_from(model.draw_below_top(batch))
    z = torch.randn(6, 2).double()
    q = model.latents.posteriors[0](part.pseudo_inputs())
    expected = q.log_prob(z.unsqueeze(1)).logsumexp(-1) - math.log(5)
    torch.testing.assert_close(part().log_prob(z), expected)
    Elbo()(model.terms(batch, 2)).backward()
    assert (part.inputs.grad != 0).any()
    assert model.sample(3, given=given).shape == (3, *SHAPE)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_it_is_measured_and_differentiated_in_lower_precision(precision):
    model = model_with(VampPrior(5)).float()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        terms = model.terms(torch.rand(6, *SHAPE), 3)
    loss = Elbo()(terms)
    loss.backward()
    assert terms.rate.dtype == torch.float32
    assert model.latents.priors[0].inputs.grad.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"posterior": Delta()}, "a VampPrior needs a posterior with a density, got Delta"),
        ({"posterior": FlowPosterior()}, "set model.posterior.flow='RealNVP'"),
    ],
    ids=["delta", "iaf"],
)
def test_other_posteriors_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Architecture((2,), MLP((6,)), prior=VampPrior(), **settings)


def test_sparse_rows_are_refused_in_one_line():
    spec = Architecture((2,), MLP((6,)), prior=VampPrior(), likelihood=Multinomial())
    with pytest.raises(ConfigError, match="got sparse rows; for interactions set") as caught:
        spec.build((5,), sparse=True)
    assert "\n" not in str(caught.value)


def test_it_is_built_beside_a_posterior():
    with pytest.raises(ConfigError, match="together with the posterior of its level"):
        VampPrior().build(Place((2,)))


@pytest.mark.parametrize("settings", [{"components": 0}, {"start": "images"}, {"weights": "one"}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match="should be"):
        VampPrior(**settings)


# Fits


def fit(tmp_path, name="digits", model=None, **settings):
    recipe = lowerbound.Recipe(
        data={"source": name},
        model=model or Architecture((2,), MLP((6,)), prior=VampPrior(4)),
        training={"epochs": 1, "accelerator": "cpu"} | settings,
        report={"write": False},
    )
    return lowerbound.fit(recipe, out=tmp_path / "run", progress=False)


def test_a_fit_starts_it_at_training_examples(tmp_path):
    run = fit(tmp_path, learning_rate=1e-12)
    inputs = run.model.latents.priors[0].pseudo_inputs().detach()
    train = run.data().train.batch(slice(None)).clamp(MARGIN, 1 - MARGIN)
    distances = (inputs.flatten(1).unsqueeze(1) - train.flatten(1)).abs().amax(-1)
    assert (distances.amin(1) < 1e-5).all()
    assert len(torch.unique(inputs, dim=0)) == 4


def test_a_run_is_loaded_with_its_pseudo_inputs(tmp_path):
    run = fit(tmp_path)
    again = lowerbound.load(tmp_path / "run")
    test = run.data().split("test")
    assert bound(again.model, test).elbo == bound(run.model, test).elbo
    assert torch.equal(
        again.model.latents.priors[0].pseudo_inputs(), run.model.latents.priors[0].pseudo_inputs()
    )
    assert run.sample(3).shape == (3, 1, 8, 8)


def test_a_table_with_columns_of_several_kinds_has_features_as_pseudo_inputs(tmp_path):
    random = np.random.default_rng(0)
    rows = ["a,b,c"]
    for _ in range(60):
        gap = random.random() < 0.2
        number = "" if gap else f"{random.normal():.3f}"
        rows.append(f"{number},{random.choice(['red', 'blue', 'green'])},{random.poisson(3)}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    run = lowerbound.fit(
        "table",
        data=str(tmp_path / "table.csv"),
        out=tmp_path / "run",
        settings={
            "model.prior": {"type": "VampPrior", "components": 6},
            "training.epochs": 2,
            "report.write": False,
        },
        progress=False,
    )
    prior = run.model.latents.priors[0]
    assert prior.inputs.shape == (6, run.model.features.width)
    assert not prior.is_unit
    assert math.isfinite(bound(run.model, run.data().split("test")).elbo.value)
    assert len(run.sample(5)) == 5
