"""The joints of the house, each proven by a part of a user's own (tests/laws/user_parts): one file
each.
"""

import pytest
import torch
from torch.distributions import Distribution, kl_divergence

import lowerbound
from lowerbound.batch import Batch, as_batch
from lowerbound.data import Data
from lowerbound.errors import ConfigError, DataError, ShapeError
from lowerbound.evaluation import bound, importance_log_likelihood, latent_statistics
from lowerbound.evaluation.proposal import DEFENSIVE, POSTERIOR_ALONE, fitting
from lowerbound.families import Bernoulli, Multinomial, Normal, Place
from lowerbound.latents import Chain, code
from lowerbound.model import VAE, Architecture
from lowerbound.model.conditionals import build_decoder, build_encoder
from lowerbound.networks import MLP
from lowerbound.noise import Dropout
from lowerbound.objectives import Elbo, Iwae, Reconstruction
from lowerbound.priors import Composite, Mixture, Prior, StandardNormal
from lowerbound.recipe import Training
from lowerbound.specs.checked import checked
from lowerbound.testing import (
    Rows,
    check_family,
    check_latents,
    check_prior,
    linear_gaussian,
    random_terms,
)
from lowerbound.training.threads import step_operations

validates = Distribution._validate_args
zuko = pytest.importorskip("zuko")
Distribution.set_default_validate_args(validates)  # which zuko turns off for everybody

from user_parts.flow_posterior import FlowPosterior  # noqa: E402
from user_parts.flow_prior import Flow  # noqa: E402
from user_parts.ladder import Ladder  # noqa: E402
from user_parts.vamp import Vamp  # noqa: E402


@pytest.fixture
def x():
    return torch.rand(7, 5).double()


def ladder():
    latents = Ladder(5, (3, 2)).double()
    decoder = build_decoder(MLP((6,)), Normal(), 6, (5,)).double()
    return VAE(latents, decoder, (5,))


def fit_steps(model, x, objective, steps=150, samples=2):
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = objective(model.terms(x, samples))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# The levels and what the decoder sees


def test_a_chain_keeps_the_laws(x):
    model = Architecture((3, 2, 2), MLP((6,)), level_network=MLP((4,))).build((5,))
    check_latents(model.latents, Batch(x))


def test_a_ladder_with_deterministic_state_keeps_the_laws(x):
    check_latents(Ladder(5, (3, 2)), Batch(x))


def test_a_wrong_claim_of_shared_parents_is_seen(x):
    class Wrong(Ladder):
        def walk(self, batch, choose):
            inference = super().walk(batch, choose)
            levels = [level._replace(shared=False) for level in inference.levels]
            return inference._replace(levels=levels)

    with pytest.raises(AssertionError, match="shared is False, but the prior depends on"):
        check_latents(Wrong(5, (3, 2)), Batch(x))


class SameDraws(Ladder):
    def infer(self, batch, samples):
        inference = super().infer(batch, samples)
        return super().at(batch, [level.z[:1].expand_as(level.z) for level in inference.levels])


class NoContext(Ladder):
    def generate(self, n, top=None, given=None, temperature=1.0):
        values = super().generate(n, top, given, temperature)
        return values._replace(context=torch.zeros_like(values.context))


class OneTop(Ladder):
    def generate(self, n, top=None, given=None, temperature=1.0):
        if top is None:
            top = torch.zeros(n, self.sizes[1]).double()
        return super().generate(n, top, given, temperature)


class OwnNoise(Ladder):
    def generate(self, n, top=None, given=None, temperature=1.0):
        if top is None:
            top = torch.randn(n, self.sizes[1]).double()
        return super().generate(n, top, given, temperature)


class BlindDescent(Ladder):
    def descend(self, z, level, given=None):
        return super().descend(torch.zeros_like(z), level, given)


class DrawingDescent(Ladder):
    def descend(self, z, level, given=None):
        if level == 1:
            return super().generate(len(z), top=z).context
        return super().descend(z, level, given)


class ConstantVariation(Ladder):
    def vary(self, level, groups, draws, given=None):
        return super().vary(level, groups, draws, given)[:1].expand(groups * draws, -1)


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        (SameDraws, "infer gives the same draw of an example twice"),
        (NoContext, "generate: the context against priors_at"),
        (OneTop, "level 1: generate repeats a sample"),
        (OwnNoise, "level 0, of examples that share their noise: the samples"),
        (BlindDescent, "descend does not see level 0"),
        (DrawingDescent, "descend twice from level 1"),
        (ConstantVariation, "vary of level 0 gives one sample of a group twice"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_ladder_that_breaks_a_law_is_caught(wrong, law, x):
    with pytest.raises(AssertionError, match=law):
        check_latents(wrong(5, (3, 2)), Batch(x))


def test_a_ladder_trains_is_measured_and_samples(x):
    model = ladder()
    before = bound(model, Rows(x), samples=20).elbo.value
    losses = fit_steps(model, x, Elbo())
    after = bound(model, Rows(x), samples=20).elbo.value
    assert losses[-1] < losses[0]
    assert after > before + 1
    likelihood = importance_log_likelihood(model, Rows(x), samples=200).log_likelihood.value
    assert likelihood > after - 0.2
    assert model.sample(4).shape == (4, 5)
    assert model.reconstruct(x).shape == (7, 5)
    assert [z.shape[1] for z in model.encode(x)] == [3, 2]
    statistics = latent_statistics(model, Rows(x), samples=4)
    assert [len(rate) for rate in statistics.rate_per_dimension] == [3, 2]


@pytest.mark.parametrize("name", ["ladder", "flow"])
def test_the_mixture_of_the_importance_samples_is_for_every_model(name, x):
    """Log p(x) is that by draws of the posterior alone, of a topology that infers from the top
    down, and of posteriors that own modules.
    """
    model = ladder()
    if name == "flow":
        spec = Architecture((3,), MLP((6,)), posterior=FlowPosterior(), likelihood=Normal())
        model = spec.build((5,)).double()
    fit_steps(model, x, Elbo())  # so that the posterior alone is a proposal to be trusted
    assert fitting(DEFENSIVE, model, Batch(x)) == DEFENSIVE
    found = importance_log_likelihood(model, Rows(x), samples=20_000)
    alone = importance_log_likelihood(model, Rows(x), samples=20_000, proposal=POSTERIOR_ALONE)
    error = torch.sqrt(1 / found.effective + 1 / alone.effective)
    assert error.max() < 0.1
    assert ((found.per_example - alone.per_example).abs() < 5 * error).all()


def test_the_rates_of_a_ladder_are_unbiased_in_both_forms(x):
    """The closed form and the draws estimate the same rate, level by level."""
    model = ladder()
    fit_steps(model, x, Elbo(), steps=30)
    with torch.no_grad():
        inference = model.infer(x[:1], 20_000)
        closed = model.terms_of(inference, x[:1], "valid").rate[:, 0]
        drawn = model.terms_of(inference, x[:1], "sampled").rate[:, 0]
    difference = closed - drawn
    error = difference.std(0) / len(difference) ** 0.5
    assert (difference.mean(0).abs() < 5 * error).all()
    assert (closed.std(0) < drawn.std(0)).all()


# log p(x, z) at any z


@pytest.mark.parametrize("levels", [1, 3])
def test_log_joint_is_what_the_weights_are_made_of(levels):
    truth = linear_gaussian(levels)
    x = truth.sample(6)
    inference = truth.model.infer(x, 4)
    zs = [level.z for level in inference.levels]
    log_q = sum(level.q.log_prob(level.z) for level in inference.levels)
    weight = truth.model.terms_of(inference, x).log_weight
    torch.testing.assert_close(truth.model.log_joint(x, zs) - log_q, weight)
    # The posterior is exact, so that log p(x, z) - log q(z | x) is log p(x) at any z at all.
    moved = [z + 0.5 for z in zs]
    again = truth.model.at(x, moved)
    log_q = sum(level.q.log_prob(level.z) for level in again.levels)
    log_p = truth.log_evidence(x).expand(4, 6)
    torch.testing.assert_close(truth.model.log_joint(x, moved) - log_q, log_p)


def test_log_joint_of_a_ladder(x):
    model = ladder()
    inference = model.infer(x, 3)
    zs = [level.z for level in inference.levels]
    log_q = sum(level.q.log_prob(level.z) for level in inference.levels)
    weight = model.terms_of(inference, x).log_weight
    torch.testing.assert_close(model.log_joint(x, zs) - log_q, weight)


# Priors


def test_a_vamp_prior_keeps_the_laws():
    check_prior(Vamp())


@checked
class SeesExamples(Prior):
    """N(features of the example, I): a user's own prior that sees the examples."""

    def build(self, place):
        return SeesExamplesModule(place)


class SeesExamplesModule(torch.nn.Module):
    def __init__(self, place):
        super().__init__()
        self.size = place.size
        self.mean = torch.nn.Linear(place.context[-1], place.size)

    def forward(self, context=None):
        mean = self.mean.bias
        if context is not None:
            mean = self.mean(context)
        return Normal(variance=1.0)((mean,), 1)


@pytest.mark.parametrize("latent", [(2,), (3, 2)])
def test_a_prior_that_sees_the_examples_is_none_of_dense_data(latent):
    """Of one level it would see x, of several the level below, which hangs on x."""
    for prior in (SeesExamples(), Composite()):
        with pytest.raises(ConfigError, match=f"{type(prior).__name__} sees the examples"):
            Architecture(latent, MLP((6,)), prior=prior, likelihood=Normal()).build((5,))
    spec = Architecture((2,), MLP((6,)), prior=SeesExamples(), likelihood=Multinomial())
    assert spec.build((5,), sparse=True).sparse


@pytest.mark.parametrize("prior", [StandardNormal(), Mixture(), Vamp(), Flow()], ids=repr)
def test_a_prior_that_does_not_is_built_with_the_weights_of_before(prior):
    """To ask it draws no number: the weights of the decoder, which are drawn later, are the same
    with a prior that has none.
    """
    torch.manual_seed(0)
    spec = Architecture((2,), MLP((6,)), prior=prior, likelihood=Normal())
    model = spec.build((5,))
    after = torch.rand(())
    torch.manual_seed(0)
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lowerbound.model.architecture.sees_examples",
            lambda module, place: bool(asked.append(place)),
        )
        unasked = spec.build((5,))
    assert len(asked) == 1
    assert torch.equal(after, torch.rand(()))
    for one, other in zip(model.parameters(), unasked.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_prior_that_sees_the_examples_keeps_the_laws():
    check_prior(SeesExamples())


def test_a_flow_prior_keeps_the_laws():
    check_prior(Flow())


def test_a_vamp_prior_is_the_aggregate_posterior_of_its_inputs(x):
    """With all examples as pseudo-inputs, p(z) is the mean of q(z | x), without dropout on them."""
    spec = Architecture((2,), MLP((6,)), prior=Vamp(components=7), noise=(Dropout(),))
    model = spec.build((5,)).double().train()
    (part,) = model.parts_from_data()
    assert part.examples_wanted == 7
    part.start_from(x)
    z = torch.randn(11, 1, 2).double()
    p = model.latents.priors[-1](None)
    q = model.eval().latents.posteriors[0](x)
    expected = q.log_prob(z).exp().mean(1).log()
    torch.testing.assert_close(p.log_prob(z.squeeze(1)), expected)


def test_a_vamp_prior_trains_with_its_posterior(x):
    model = Architecture((2,), MLP((6,)), prior=Vamp(), likelihood=Normal()).build((5,)).double()
    losses = fit_steps(model, x, Elbo())
    assert losses[-1] < losses[0] - 1


def test_a_fit_starts_a_vamp_prior_from_its_data(tmp_path):
    """The pseudo-inputs of a run that was not trained yet are training examples."""
    recipe = lowerbound.Recipe(
        data={"source": "digits"},
        model=Architecture((2,), MLP((6,)), prior=Vamp(components=4)),
        training={"epochs": 1, "learning_rate": 1e-12, "accelerator": "cpu"},
        report={"write": False},
    )
    run = lowerbound.fit(recipe, out=tmp_path / "run", progress=False)
    inputs = run.model.latents.priors[-1].inputs.detach()
    train = run.data().train.batch(slice(None))
    distance = torch.cdist(inputs.flatten(1), train.flatten(1)).min(1).values
    assert (distance < 1e-3).all()
    assert len(torch.unique(inputs, dim=0)) == 4


def test_the_operations_of_a_step_with_a_vamp_prior_are_counted():
    """The encoder is called with a parameter there, not with data."""
    train = Data("digits").open().train
    settings = Training(batch_size=2)
    counts = []
    for prior in (StandardNormal(), Vamp(components=2)):
        model = Architecture((2,), MLP((6,)), prior=prior).build((1, 8, 8))
        counts.append(step_operations(model, train, settings, Elbo(), 1))
    encoder = 2 * (64 * 6 + 6 * 4)
    assert counts[1] - counts[0] == 3 * 2 * encoder


# Posteriors that own modules


def test_a_flow_posterior_keeps_the_laws():
    check_family(FlowPosterior())


def test_a_flow_posterior_is_never_inverted_in_training(x, monkeypatch):
    model = Architecture((3,), MLP((6,)), posterior=FlowPosterior(), likelihood=Normal())
    model = model.build((5,)).double()
    monkeypatch.setattr(zuko.distributions.NormalizingFlow, "log_prob", None)
    terms = model.terms(x, 4)
    assert terms.log_weight.isfinite().all()


def test_a_flow_posterior_trains_encodes_and_is_measured(x):
    spec = Architecture((3,), MLP((6,)), posterior=FlowPosterior(), likelihood=Normal())
    model = spec.build((5,)).double()
    losses = fit_steps(model, x, Elbo())
    assert losses[-1] < losses[0] - 1
    (codes,) = model.encode(x)
    q = model.infer(x).levels[0].q
    torch.testing.assert_close(codes, code(q))
    assert latent_statistics(model, Rows(x)).rate_per_dimension == (None,)
    measured = bound(model, Rows(x), samples=50)
    likelihood = importance_log_likelihood(model, Rows(x), samples=500).log_likelihood.value
    assert measured.elbo.value < likelihood + 0.2


def test_a_flow_around_an_exact_posterior_has_its_density(x):
    """log q of the draw is the base's density through the change of variables."""
    head = FlowPosterior().head(Place((3,), (5,))).double()
    q = head(torch.randn(4, 6).double())
    z, log_q = q.rsample_and_log_prob((9,))
    torch.testing.assert_close(log_q, q.log_prob(z))


def test_code_is_the_mean_where_there_is_one():
    mean = torch.randn(4, 3)
    assert torch.equal(code(Normal(variance=1.0)((mean,), 1)), mean)
    base = torch.distributions.Normal(mean, 1.0)
    shifted = torch.distributions.AffineTransform(1.0, 2.0)
    q = torch.distributions.TransformedDistribution(base, [shifted])
    torch.testing.assert_close(code(q), 1 + 2 * mean)
    with pytest.raises(ConfigError, match="has no mean"):
        code(object())


# Batches


def test_a_bare_tensor_is_a_batch(x):
    model = Architecture((2,), MLP((4,)), likelihood=Normal()).build((5,)).double()
    torch.manual_seed(0)
    bare = model.terms(x)
    torch.manual_seed(0)
    whole = model.terms(Batch(x))
    assert all(torch.equal(a, b) for a, b in zip(bare[:3], whole[:3], strict=True))
    with pytest.raises(DataError, match="got ndarray"):
        as_batch(x.numpy())


def test_a_mask_of_what_is_observed_gives_the_bound_of_the_rest():
    """A factorised likelihood of two of five columns is that of a model of these two columns."""
    truth = linear_gaussian(noise=0.3)
    x = truth.sample(6)
    observed = torch.ones(6, 5, dtype=torch.bool)
    observed[:, 2:] = False
    inference = truth.model.infer(x, 4)
    terms = truth.model.terms_of(inference, Batch(x, observed=observed))
    p = truth.model.decode(inference.context).base_dist
    expected = p.log_prob(x)[..., :2].sum(-1)
    torch.testing.assert_close(terms.log_likelihood, expected)


def test_what_is_not_observed_changes_nothing(x):
    model = Architecture((2,), MLP((4,)), likelihood=Bernoulli()).build((5,)).double()
    observed = torch.rand(7, 5) > 0.4
    other = torch.where(observed, x, torch.nan)
    torch.manual_seed(0)
    terms = model.terms(Batch(x, observed=observed))
    torch.manual_seed(0)
    again = model.terms(Batch(other, observed=observed))
    assert torch.equal(terms.log_weight, again.log_weight)
    again.log_weight.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_mask_needs_a_likelihood_that_factorises(x):
    model = Architecture((2,), MLP((4,)), likelihood="Multinomial").build((5,)).double()
    observed = torch.ones(7, 5, dtype=torch.bool)
    with pytest.raises(ConfigError, match="must factorise over them; _Multinomial does not"):
        model.terms(Batch(x, observed=observed))
    with pytest.raises(DataError, match="has their shape"):
        model.infer(Batch(x, observed=observed[:, :2]))


class Conditioned(torch.nn.Module):
    """A conditional that sees a class beside its context."""

    def __init__(self, inputs, event, classes=3):
        super().__init__()
        self.inputs = inputs
        self.table = torch.nn.Embedding(classes, 4)
        self.inner = build_encoder(MLP((8,)), Normal(), (inputs + 4,), event)

    def forward(self, context, given):
        embedded = self.table(given)
        if not self.inputs:
            return self.inner(embedded)
        embedded = embedded.expand(*context.shape[:-1], -1)
        return self.inner(torch.cat([context, embedded], -1))


def test_a_conditional_model_sees_the_conditions_everywhere(x):
    """Encoder, prior and decoder of classes: it learns that the class says what x is."""
    chain = Chain([Conditioned(5, 2)], [Conditioned(0, 2)], (2,))
    model = VAE(chain, Conditioned(2, 5), (5,), conditions=()).double()
    given = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    batch = Batch(given.double().unsqueeze(1).expand(-1, 5) / 2, given)
    check_latents(model.latents, batch)
    losses = fit_steps(model, batch, Elbo(), steps=400)
    assert losses[-1] < losses[0] - 5
    asked = torch.arange(3).repeat(50)
    samples = model.sample(150, given=asked).mean(1)
    means = torch.stack([samples[asked == c].mean() for c in range(3)])
    torch.testing.assert_close(means, torch.tensor([0.0, 0.5, 1.0]).double(), atol=0.15, rtol=0)
    assert model.log_joint(batch, [torch.zeros(2, 7, 2).double()]).shape == (2, 7)


def test_conditions_are_refused_where_they_do_not_fit(x):
    plain = Architecture((2,), MLP((4,)), likelihood=Normal()).build((5,)).double()
    with pytest.raises(ShapeError, match="takes no conditions, got a batch with some"):
        plain.terms(Batch(x, torch.zeros(7)))
    chain = Chain([Conditioned(5, 2)], [StandardNormal().build(Place((2,)))], (2,))
    model = VAE(chain, Conditioned(2, 5), (5,), conditions=()).double()
    with pytest.raises(ShapeError, match="is conditional, got a batch without conditions"):
        model.terms(x)
    with pytest.raises(ShapeError, match=r"conditions of shape \(7,\), got \(7, 2\)"):
        model.terms(Batch(x, torch.zeros(7, 2)))


# Terms


@pytest.mark.parametrize("objective", [Elbo(), Iwae(), Reconstruction()])
def test_an_extra_term_is_part_of_the_loss(objective):
    terms = random_terms()
    extra = torch.rand_like(terms.log_likelihood)
    loss = objective(terms._replace(extra=extra))
    torch.testing.assert_close(loss, objective(terms) + extra.mean())


def test_terms_are_changed_and_joined_by_name():
    terms = random_terms(batch=6)
    parts = [terms.map(lambda t: t[:, :2]), terms.map(lambda t: t[:, 2:])]
    joined = type(terms).join(parts)
    assert all(torch.equal(joined.known()[name], value) for name, value in terms.known().items())
    assert joined.extra is None


def test_the_closed_form_is_kept_for_levels_with_a_known_density():
    """A level that brings log q is measured by it; one that does not, by its distribution."""
    truth = linear_gaussian()
    x = truth.sample(4)
    inference = truth.model.infer(x, 3)
    (level,) = inference.levels
    kept = inference._replace(levels=[level._replace(log_q=level.q.log_prob(level.z))])
    ours = truth.model.terms_of(kept, x, "sampled")
    theirs = truth.model.terms_of(inference, x, "sampled")
    torch.testing.assert_close(ours.log_weight, theirs.log_weight)
    assert torch.equal(
        truth.model.terms_of(inference, x).rate[..., 0],
        kl_divergence(level.q, level.p).expand(3, 4),
    )
