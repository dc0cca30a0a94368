"""Flows as priors and posteriors: their densities against the change of variables, the identity
that they start as, and what the rest of the house asks of them.
"""

import copy
import subprocess
import sys

import pytest
import torch
from torch.autograd.functional import jacobian
from torch.distributions import Distribution

from lowerbound import load
from lowerbound.batch import Batch
from lowerbound.errors import ConfigError
from lowerbound.evaluation import bound, importance_log_likelihood, latent_statistics
from lowerbound.evaluation.proposal import DEFENSIVE, POSTERIOR_ALONE, Sampler, fitting
from lowerbound.families import FlowPosterior, Normal, Place
from lowerbound.families.transforms import Flow, import_zuko
from lowerbound.latents import code, draw
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.networks.ladders import MLPLadder
from lowerbound.objectives import Elbo, Iwae
from lowerbound.priors import FlowPrior
from lowerbound.testing import Rows, check_latents, check_prior
from lowerbound.training import execution

pytest.importorskip("zuko")

PRIORS = [
    FlowPrior("MAF", 2, (8,)),
    FlowPrior("NSF", 2, (8,), 4),
    FlowPrior("RealNVP", 3, (8,)),
]
POSTERIORS = [FlowPosterior("IAF", 2, (8,), 3), FlowPosterior("RealNVP", 3, (8,), 3)]
STEP = 0.5
"""How far the weights are moved from the identity: far enough that it bends."""

every_prior = pytest.mark.parametrize("spec", PRIORS, ids=lambda spec: spec.flow)
every_posterior = pytest.mark.parametrize("spec", POSTERIORS, ids=lambda spec: spec.flow)


def bent(module, step=STEP):
    """Moves the weights of a module so far that its flows are no identity."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(step * torch.randn_like(weight))
    return module


def prior_of(spec, size=2):
    return bent(spec.build(Place((size,))).double())


def posterior_of(spec, size=2):
    return bent(spec.head(Place((size,), (5,))).double())


def model_with(shape=(5,), latent=(3,), **settings):
    settings = {"likelihood": Normal(), "level_network": MLP((5,))} | settings
    return Architecture(latent, MLP((6,)), **settings).build(shape).double()


# At birth


@pytest.mark.parametrize("size", [1, 2, 7])
@every_prior
def test_a_prior_is_born_as_a_standard_normal(spec, size):
    p = spec.build(Place((size,))).double()()
    z = 3 * torch.randn(20, size).double()
    expected = Normal(variance=1.0)((torch.zeros(size).double(),), 1)
    tolerance = 1e-10 if spec.flow == "NSF" else 0  # splines divide and multiply
    torch.testing.assert_close(p.log_prob(z), expected.log_prob(z), rtol=tolerance, atol=0)
    torch.manual_seed(1)
    samples = p.sample(torch.Size([4]))
    torch.manual_seed(1)
    torch.testing.assert_close(samples, expected.sample(torch.Size([4])), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 7])
@every_posterior
def test_a_posterior_is_born_as_a_normal_bit_for_bit(spec, size, samples):
    head = spec.head(Place((size,), (5,)))
    features = torch.randn(4, *spec.features((size,)))
    torch.manual_seed(1)
    z, log_q = draw(head(features), torch.Size([samples]))
    torch.manual_seed(1)
    normal = Normal()(features[:, : 2 * size].chunk(2, dim=1), 1)
    expected = normal.rsample(torch.Size([samples]))
    assert torch.equal(z, expected)
    assert torch.equal(log_q, normal.log_prob(expected))
    assert torch.equal(code(head(features)), normal.mean)


# Densities


def log_determinants(transform, points):
    """Log |det| of the Jacobian of a map at each of some points (N, d), by autograd."""
    return torch.stack([torch.linalg.slogdet(jacobian(transform, point))[1] for point in points])


@every_prior
def test_the_density_of_a_prior_is_the_change_of_variables(spec):
    p = prior_of(spec, 4)()
    z = torch.randn(6, 4).double()
    expected = p.base.log_prob(p.transform(z)) + log_determinants(p.transform, z)
    torch.testing.assert_close(p.log_prob(z), expected)


@every_posterior
def test_the_density_of_a_draw_is_the_change_of_variables(spec):
    head = posterior_of(spec, 4)
    for features in torch.randn(3, *spec.features((4,))).double():
        q = head(features)
        torch.manual_seed(1)
        z, log_q = q.rsample_and_log_prob((5,))
        torch.manual_seed(1)
        base = q.base.rsample((5,))
        expected = q.base.log_prob(base) - log_determinants(q.transform.inv, base)
        torch.testing.assert_close(log_q, expected)
        torch.testing.assert_close(q.log_prob(z), expected)


@pytest.mark.parametrize("spec", [*PRIORS, *POSTERIORS], ids=repr)
def test_maps_go_there_and_back(spec):
    if isinstance(spec, FlowPrior):
        q = prior_of(spec, 6)()
    else:
        q = posterior_of(spec, 6)(torch.randn(*spec.features((6,))).double())
    z = torch.randn(50, 6).double()
    torch.testing.assert_close(q.transform.inv(q.transform(z)), z, atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(q.transform(q.transform.inv(z)), z, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("spec", [*PRIORS, *POSTERIORS], ids=repr)
def test_a_density_in_two_dimensions_integrates_to_one(spec):
    if isinstance(spec, FlowPrior):
        q = bent(spec.build(Place((2,))).double(), 0.3)()
    else:
        head = bent(spec.head(Place((2,), (5,))).double(), 0.3)
        q = head(torch.randn(*spec.features((2,))).double())
    t = torch.linspace(-6, 6, 401).double()  # z = middle + width sinh(t) in each dimension
    with torch.no_grad():
        samples = q.sample(torch.Size([2000]))
        middle = samples.median(0).values
        width = (samples - middle).abs().median(0).values
        z = middle + width * torch.cartesian_prod(t.sinh(), t.sinh())
        weights = torch.cartesian_prod(t.cosh(), t.cosh()) * width * (12 / 400)
        total = (q.log_prob(z).exp() * weights.prod(1)).sum()
    assert float(total) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("spec", [FlowPrior("NSF"), FlowPrior("RealNVP")], ids=repr)
def test_other_flows_keep_the_laws_of_priors(spec):
    check_prior(spec)


@every_posterior
def test_a_posterior_is_bent_by_what_it_sees_of_the_example(spec):
    """Two examples with one mean and one scale have different distributions; without the context
    every x would be corrected in the same way.
    """
    head = posterior_of(spec, 3)
    features = torch.randn(2, *spec.features((3,))).double()
    features[1, :6] = features[0, :6]
    torch.manual_seed(1)
    first = head(features[0]).rsample((500,))
    torch.manual_seed(1)
    second = head(features[1]).rsample((500,))
    standard = [(z - z.mean(0)) / z.std(0) for z in (first, second)]
    assert (standard[0] - standard[1]).abs().max() > 0.1


@every_posterior
def test_several_draws_of_many_examples_are_those_of_each(spec):
    head = posterior_of(spec, 3)
    features = torch.randn(2, 4, *spec.features((3,))).double()
    q = head(features)
    z, log_q = q.rsample_and_log_prob((5,))
    assert z.shape == (5, 2, 4, 3)
    for i in range(2):
        for j in range(4):
            alone = head(features[i, j]).log_prob(z[:, i, j])
            torch.testing.assert_close(log_q[:, i, j], alone)


def test_far_from_its_draws_a_flow_has_no_density_and_never_nan():
    q = bent(posterior_of(POSTERIORS[0], 30), 3.0).float()(torch.randn(4, 63))
    log_prob = q.log_prob(1e4 * torch.randn(4, 30))
    assert not log_prob.isnan().any()
    assert (log_prob < -100).all()


# In a model


@pytest.mark.parametrize("latent", [(3,), (3, 2)])
@pytest.mark.parametrize(
    "settings",
    [{"posterior": spec} for spec in POSTERIORS] + [{"prior": spec} for spec in PRIORS],
    ids=repr,
)
def test_a_chain_of_flows_keeps_the_laws(settings, latent):
    model = bent(model_with(latent=latent, **settings), 0.2)
    check_latents(model.latents, Batch(torch.rand(7, 5).double()))


@pytest.mark.parametrize(
    "settings",
    [{"posterior": POSTERIORS[0]}, {"posterior": POSTERIORS[1]}, {"prior": PRIORS[0]}],
    ids=repr,
)
def test_a_ladder_with_a_flow_at_its_top_keeps_the_laws(settings):
    spec = Architecture((2, 3), ladder=MLPLadder(8), likelihood=Normal(), **settings)
    model = bent(spec.build((5,)).double(), 0.1)
    check_latents(model.latents, Batch(torch.rand(7, 5).double()))


def refuse_inversion(self, y):
    raise AssertionError("an inverse autoregressive flow was inverted")


def test_an_iaf_is_never_inverted(monkeypatch):
    """Not in training, nor where the bound, log p(x), the latents and codes are measured."""
    model = bent(model_with(posterior=POSTERIORS[0]))
    transforms = import_zuko("the test").transforms
    monkeypatch.setattr(transforms.AutoregressiveTransform, "_inverse", refuse_inversion)
    x = torch.rand(8, 5).double()
    for objective in (Elbo(), Iwae()):
        objective(model.terms(x, 4, objective.kl)).backward()
    bound(model, Rows(x), samples=3)
    importance_log_likelihood(model, Rows(x), samples=50)
    assert latent_statistics(model, Rows(x)).rate_per_dimension == (None,)
    assert model.encode(x)[0].shape == (8, 3)
    assert model.reconstruct(x).shape == (8, 5)
    with torch.no_grad():
        drawn = Sampler(model, POSTERIOR_ALONE, 6).draws(Batch(x), range(6))
    assert drawn.log_weights.shape == (6, 8)


def test_an_iaf_keeps_its_own_draws_and_coupling_layers_take_the_mixture():
    x = torch.rand(8, 5).double()
    for spec, proposal in zip(POSTERIORS, (POSTERIOR_ALONE, DEFENSIVE), strict=True):
        model = bent(model_with(posterior=spec), 0.2)
        assert fitting(DEFENSIVE, model, Batch(x)) == proposal


def test_both_proposals_estimate_the_same_log_likelihood():
    model = bent(model_with(posterior=POSTERIORS[1], prior=PRIORS[0]), 0.1)
    x = torch.rand(5, 5).double()
    found = importance_log_likelihood(model, Rows(x), samples=20_000)
    alone = importance_log_likelihood(model, Rows(x), samples=20_000, proposal=POSTERIOR_ALONE)
    error = torch.sqrt(1 / found.effective + 1 / alone.effective)
    assert error.max() < 0.2
    assert ((found.per_example - alone.per_example).abs() < 5 * error).all()


def test_the_weights_of_single_draws_are_those_of_the_terms():
    """The draws of an imputation with an IAF have log p(x, z) - log q(z | x) as their weights."""
    model = bent(model_with(posterior=POSTERIORS[0]), 0.2)
    batch = Batch(torch.rand(4, 5).double())
    torch.manual_seed(3)
    drawn = Sampler(model, POSTERIOR_ALONE, 6).draws(batch, range(6))
    torch.manual_seed(3)
    torch.testing.assert_close(drawn.log_weights, model.terms(batch, 6, "sampled").log_weight)


def test_flows_compute_in_full_precision():
    """Under bfloat16 the density is that of float32, given the same features."""
    q_head = posterior_of(POSTERIORS[0], 3).float()
    p = prior_of(PRIORS[0], 3).float()()
    features = torch.randn(4, 9)
    torch.manual_seed(1)
    z, log_q = q_head(features).rsample_and_log_prob((2,))
    log_p = p.log_prob(z)
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(1)
        again, log_q_again = q_head(features).rsample_and_log_prob((2,))
        assert torch.equal(again, z)
        assert torch.equal(log_q_again, log_q)
        assert torch.equal(p.log_prob(z), log_p)
        terms = model_with(posterior=POSTERIORS[0]).float().terms(torch.rand(6, 5), 2)
    assert terms.rate.dtype == torch.float32


def test_a_copy_and_loaded_weights_are_the_same_model():
    model = bent(model_with(posterior=POSTERIORS[0], prior=PRIORS[0]))
    twin = copy.deepcopy(model)
    fresh = model_with(posterior=POSTERIORS[0], prior=PRIORS[0])
    fresh.load_state_dict(model.state_dict())
    x = torch.rand(6, 5).double()
    weights = []
    for each in (model, twin, fresh):
        torch.manual_seed(5)
        weights.append(each.terms(x, 3).log_weight)
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    "settings", [{}, {"prior": PRIORS[0]}, {"posterior": POSTERIORS[0]}], ids=repr
)
def test_a_model_with_a_flow_is_compiled_on_request_alone(settings, monkeypatch):
    monkeypatch.setattr(execution, "compiler", lambda: "g++")
    assert execution._compilation_pays(model_with(**settings), 10**6) == (not settings)


def test_flows_learn_what_a_normal_distribution_cannot():
    """Two coordinates of a ring: a normal posterior of a fixed decoder loses more than a flow."""
    angle = torch.rand(256, 1).double() * 6.28
    z = torch.cat([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(256, 2).double()
    found = {}
    for spec in (PRIORS[0], PRIORS[1], PRIORS[2]):
        module = spec.build(Place((2,))).double()
        optimizer = torch.optim.Adam(module.parameters(), 2e-2)
        for _ in range(150):
            optimizer.zero_grad()
            loss = -module().log_prob(z).mean()
            loss.backward()
            optimizer.step()
        found[spec.flow] = loss.item()
    covariance = torch.cov(z.T)
    gaussian = torch.distributions.MultivariateNormal(z.mean(0), covariance)
    for value in found.values():
        assert value < -gaussian.log_prob(z).mean().item() - 0.2


# The library


IMPORTS = """
import inspect, warnings
warnings.simplefilter("error")
import sys
from torch.distributions import Distribution, Normal
import lowerbound
from lowerbound.families import FlowPosterior, Place
from lowerbound.priors import FlowPrior
before = Distribution._validate_args, inspect.getattr_static(Distribution, "arg_constraints")
assert isinstance(before[1], property) and before[0]
FlowPrior(), FlowPosterior()
assert "zuko" not in sys.modules
FlowPrior().build(Place((3,)))().sample()
after = Distribution._validate_args, inspect.getattr_static(Distribution, "arg_constraints")
assert before == after
try:
    Normal(0.0, -1.0)
except ValueError:
    print("checked")
import zuko
print(zuko.flows.MAF(2)().sample().shape[0])
"""


def test_importing_zuko_leaves_torch_as_it_was():
    """Arguments of distributions are still checked, and zuko's own still work without a warning."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert done.stdout.split() == ["checked", "2"], done.stderr


@pytest.mark.parametrize("settings", [{"prior": FlowPrior()}, {"posterior": FlowPosterior()}])
def test_an_absent_library_is_one_line(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko", None)
    validates = Distribution._validate_args
    (part,) = settings.values()
    with pytest.raises(ConfigError) as caught:
        Architecture((2,), MLP((6,)), **settings).build((5,))
    assert str(caught.value) == (
        f'{type(part).__name__} needs the library zuko: pip install "lowerbound[flows]"'
    )
    assert Distribution._validate_args == validates


# Mistakes


@pytest.mark.parametrize(
    "make",
    [
        lambda: FlowPrior("IAF"),
        lambda: FlowPosterior("MAF"),
        lambda: FlowPrior(transforms=0),
        lambda: FlowPosterior(context=0),
        lambda: FlowPrior(bins=1),
        lambda: FlowPosterior(hidden=(0,)),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match="should be"):
        make()


def test_a_draft_of_a_flow_has_no_memory():
    """A run is loaded into a draft first, which may be of any size."""
    with torch.device("meta"):
        drafts = [spec.build(Place((2,))) for spec in PRIORS]
        drafts += [spec.head(Place((2,))) for spec in POSTERIORS]
    for draft in drafts:
        assert {value.device.type for value in draft.state_dict().values()} == {"meta"}
    with pytest.raises(ConfigError, match="weights of a flow need"):
        FlowPrior("MAF", 3, (2_000_000, 2_000_000)).build(Place((2,)))


def test_a_flow_posterior_is_no_likelihood():
    assert "not a likelihood" in FlowPosterior().refuses(0.0, 1.0, None)
    with pytest.raises(ConfigError, match=r"of vectors, got events of shape \(1, 8, 8\)"):
        Architecture((2,), MLP((6,)), likelihood=FlowPosterior()).build((1, 8, 8))


# From the command line


@pytest.mark.parametrize("key", ["model.prior=FlowPrior", "model.posterior=FlowPosterior"])
def test_a_fit_with_a_flow_is_measured_sampled_and_loaded(key, tmp_path, command):
    out = tmp_path / "run"
    settings = ("--set", key, "--set", "training.epochs=1", "--set", "report.write=false")
    assert command("fit", "digits", "--out", out, *settings)[0] == 0
    assert command("evaluate", out, "--samples", 5, "--json")[0] == 0
    assert command("sample", out, "-n", 4, "--out", tmp_path / "samples.png")[0] == 0
    assert (tmp_path / "samples.png").stat().st_size > 100
    level = load(out).model.infer(torch.rand(2, 1, 8, 8)).levels[0]
    assert isinstance(level.p, Flow) or isinstance(level.q, Flow)
