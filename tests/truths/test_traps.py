"""One test for each trap found in real VAE code, as far as it applies to what is built so far."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import logsumexp

from lowerbound.errors import ShapeError
from lowerbound.evaluation import (
    batches,
    bits_per_dimension,
    bound,
    importance_log_likelihood,
    latent_statistics,
)
from lowerbound.evaluation.proposal import POSTERIOR_ALONE
from lowerbound.families import Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Normal
from lowerbound.latents import rate
from lowerbound.model import Architecture, Terms
from lowerbound.networks import MLP
from lowerbound.networks.limits import bounded
from lowerbound.noise import Binarize, Dropout, GaussianNoise
from lowerbound.objectives import Elbo, Iwae, PublishedHierarchical, Reconstruction
from lowerbound.priors import Mixture
from lowerbound.schedules import Linear
from lowerbound.testing import Rows, linear_gaussian, random_terms


def small(latent=(3,), shape=(6,), **options):
    return (
        Architecture(latent, MLP((8,), "tanh", init=0.7), level_network=MLP((5,)), **options)
        .build(shape)
        .double()
    )


def binary(n, shape=(6,)):
    return (torch.rand(n, *shape) < 0.5).double()


@pytest.fixture
def cramped(monkeypatch):
    """Chunks of seven events, so that a handful of examples or samples already needs several, and a
    short last one.
    """
    monkeypatch.setattr(batches, "CHUNK_NUMBERS", 7 * 512)


@pytest.fixture
def drawn(monkeypatch):
    """Records how many samples are asked of the latent variables for how many examples."""
    record = []

    def spy(model):
        infer = model.latents.infer
        monkeypatch.setattr(
            model.latents,
            "infer",
            lambda x, samples: record.append((samples, len(x))) or infer(x, samples),
        )
        return record

    return spy


# The rate


def test_trap_kl_without_the_half():
    """Trap: KL without the 1/2. N(mu, 1) is mu^2 / 2 from N(0, 1)."""
    model = small((1,), posterior=Normal(variance=1.0))
    (level,) = model.infer(binary(4)).levels
    torch.testing.assert_close(rate(level)[0], level.q.mean[:, 0] ** 2 / 2)


def test_trap_kl_averaged_over_latent_dimensions():
    """Trap: KL averaged over latent dimensions. Twice the same dimension is twice the rate."""
    model = small((2,))
    (level,) = model.infer(binary(4)).levels
    mean, log_variance = level.q.mean, level.q.variance.log()
    each = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
    assert rate(level).shape == (1, 4)
    torch.testing.assert_close(rate(level)[0], each[:, 0] + each[:, 1])


@pytest.mark.parametrize("shape", [(6,), (12,), (3, 4, 2)], ids=str)
def test_trap_hidden_beta(shape):
    """Trap: mean over pixels but sum over latents (a hidden beta). The log-likelihood is a sum over
    all of the event.
    """
    model = small(shape=shape)
    x = binary(5, shape)
    inference = model.infer(x, 3)
    logits = model.decoder.network(inference.context.reshape(15, 3)).reshape(3, 5, *shape)
    expected = (
        -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
        .flatten(2)
        .sum(-1)
    )
    torch.testing.assert_close(model.terms_of(inference, x).log_likelihood, expected)


@pytest.mark.parametrize(
    "likelihood",
    [Bernoulli(), Normal(), Normal(variance=0.5), ContinuousBernoulli(), DiscretizedLogistic()],
)
def test_the_event_is_summed_for_every_likelihood(likelihood):
    """The same trap, family by family: an event of two copies has twice the log-likelihood."""
    values = [torch.randn(4, 3).double() for _ in range(likelihood.parameters)]
    x = torch.randint(0, 2, (4, 3)).double()
    once = likelihood(values, 1).log_prob(x)
    twice = likelihood([torch.cat([v, v], 1) for v in values], 1).log_prob(torch.cat([x, x], 1))
    torch.testing.assert_close(twice, 2 * once)


def test_trap_closed_form_below_the_top():
    """Trap: closed-form KL below the top of a bottom-up chain. There the default takes the draw, at
    the top the formula.
    """
    model, x = small((3, 2)), binary(4)
    inference = model.infer(x, 2)
    levels = inference.levels
    terms = model.terms_of(inference, x)
    torch.testing.assert_close(terms.rate[..., 0], rate(levels[0], "sampled"))
    torch.testing.assert_close(terms.rate[..., 1], rate(levels[1], "everywhere"))
    assert not torch.allclose(rate(levels[0], "sampled"), rate(levels[0], "everywhere"))


# Drawing


@pytest.mark.parametrize("log_variance", [-4.0, 0.0, 3.0])
def test_trap_sigma_squared_in_the_reparameterisation(log_variance):
    """Trap: sigma squared in the reparameterisation (R1's slip). The spread of the draws is
    sigma.
    """
    n = 20_000
    z = Normal()(
        (torch.full((n, 1), 2.0).double(), torch.full((n, 1), log_variance).double()), 1
    ).rsample()
    sigma = math.exp(log_variance / 2)
    assert abs(float(z.std()) - sigma) < 5 * sigma / math.sqrt(2 * n)
    assert abs(float(z.mean()) - 2) < 5 * sigma / math.sqrt(n)


def test_trap_mean_inside_a_monte_carlo_bound():
    """Trap: z = mean inside a Monte-Carlo bound. E[(x - w z - b)^2] has the posterior's variance in
    it, w^2 v of it.
    """
    truth = linear_gaussian(1, size=1, data=4, noise=0.3)
    x = truth.sample(40)
    with torch.no_grad():
        (w, b), q = (
            (p.detach() for p in truth.model.decoder.parameters()),
            truth.model.infer(x).levels[0].q,
        )
    residual = x - q.mean @ w.T - b
    squares = (residual**2).sum(-1) + (w**2).sum() * q.variance[:, 0]
    expected = float((-0.5 * (4 * math.log(2 * math.pi * 0.3) + squares / 0.3)).mean())
    at_the_mean = float(
        (-0.5 * (4 * math.log(2 * math.pi * 0.3) + (residual**2).sum(-1) / 0.3)).mean()
    )
    found = bound(truth.model, Rows(x), samples=4000).log_likelihood_term
    assert abs(found - expected) < 0.02
    assert abs(found - at_the_mean) > 0.2


def test_samples_are_drawn_apart():
    """L samples are L draws for each example, not one draw L times, nor one draw for the whole
    batch.
    """
    z = small((2,)).infer(binary(1).expand(5, -1), 4).levels[0].z
    assert len({tuple(row) for row in z.reshape(20, 2).tolist()}) == 20


def test_trap_prior_samples():
    """Trap: a learned prior that samples from N(0, I). What is decoded comes from the prior's own
    components.
    """
    model = small((2,), prior=Mixture(components=2, spread=1.0))
    with torch.no_grad():
        model.latents.priors[-1].location.copy_(torch.tensor([[-50.0, -50.0], [50.0, 50.0]]))
    (z,) = model.latents.generate(400).zs
    assert z.abs().min() > 40
    assert abs(float((z[:, 0] > 0).double().mean()) - 0.5) < 5 * 0.5 / 20


def test_every_posterior_depends_on_x():
    """Trap: a posterior that ignores x. At every level of a chain."""
    model = small((3, 2))
    one, other = model.encode(torch.zeros(1, 6).double()), model.encode(torch.ones(1, 6).double())
    assert all((a - b).abs().max() > 1e-6 for a, b in zip(one, other, strict=True))


# Objectives


def test_trap_iwae():
    """Trap: IWAE that weighs by +loss, uses the analytic KL, or reports the weighted sum instead of
    log-mean-exp.
    """
    terms = random_terms()
    w = terms.log_weight.numpy()
    expected = -(logsumexp(w, axis=0) - math.log(len(w))).mean()
    assert Iwae()(terms).item() == pytest.approx(expected, rel=1e-12)
    spoiled = terms._replace(rate=terms.rate * 100, log_likelihood=terms.log_likelihood * 3)
    assert Iwae()(spoiled).item() == pytest.approx(expected, rel=1e-12)


def test_iwae_gradient_weighs_by_the_normalised_importance_weights():
    """The gradient of the bound in log w_k is softmax(log w)_k: the better sample counts more, not
    less.
    """
    terms = random_terms()
    w = terms.log_weight.clone().requires_grad_()
    Iwae()(terms._replace(log_weight=w)).backward()
    torch.testing.assert_close(-w.grad * w.shape[1], torch.softmax(terms.log_weight, 0))


@pytest.mark.parametrize(
    "objective",
    [Elbo(), Elbo(beta=2.0), Elbo(kl="sampled"), Iwae(), Reconstruction(), PublishedHierarchical()],
)
def test_trap_sign(objective):
    """Trap: NLL with the wrong sign. Discrete data of probability below one have a positive loss
    and a negative log p(x).
    """
    model, x = small(), binary(30)
    assert objective(model.terms(x, 2, objective.kl)).item() > 0
    found = importance_log_likelihood(model, Rows(x), samples=4)
    assert (found.per_example < 0).all()
    assert found.log_likelihood.value == pytest.approx(found.per_example.mean().item())
    assert bits_per_dimension(found.log_likelihood.value, (6,)) > 0
    assert bound(model, Rows(x)).elbo.value < 0


def test_elbo_is_the_published_sum():
    """-E[log p] + beta * sum of rates, and free bits act on a level's mean rate over the batch,
    from below.
    """
    terms = Terms(
        torch.tensor([[-3.0, -5.0]]), torch.tensor([[[0.5, 2.0], [1.5, 4.0]]]), torch.zeros(1, 2)
    )
    assert Elbo()(terms).item() == pytest.approx(4 + 1 + 3)
    assert Elbo(beta=0.5)(terms).item() == pytest.approx(4 + 2)
    assert Elbo(free_bits=2.0)(terms).item() == pytest.approx(4 + 2 + 3)
    assert Elbo(beta=0.5, free_bits=2.0)(terms).item() == pytest.approx(4 + 2.5)
    falling = Elbo(free_bits=Linear(2.0, 0.0, 10))
    assert falling(terms, step=0).item() == pytest.approx(4 + 2 + 3)
    assert falling(terms, step=4).item() == pytest.approx(4 + 1.2 + 3)
    assert falling(terms, step=6).item() == pytest.approx(4 + 1 + 3)
    assert falling(terms).item() == pytest.approx(4 + 1 + 3)
    assert Elbo(beta=Linear(0.0, 1.0, 10))(terms, step=5).item() == pytest.approx(4 + 2)
    assert Elbo(beta=Linear(0.0, 1.0, 10))(terms).item() == pytest.approx(4 + 4)
    assert Reconstruction()(terms).item() == pytest.approx(4)
    assert PublishedHierarchical()(terms).item() == pytest.approx(4 + 8)


# Measuring


@pytest.mark.parametrize("samples", [1, 7, 10, 23])
@pytest.mark.parametrize("n", [1, 5])
def test_trap_number_of_importance_samples(samples, n, drawn, cramped):
    """Trap: importance sampling that uses another number than asked, or divides by the samples
    asked for, not those drawn.

    Each example gets exactly `samples` draws, also in chunks; with the exact posterior a wrong
    divisor shows as its log.
    """
    truth = linear_gaussian()
    record = drawn(truth.model)
    x = truth.sample(n)
    found = importance_log_likelihood(
        truth.model, Rows(x), samples=samples, proposal=POSTERIOR_ALONE
    )
    assert sum(k * b for k, b in record) == samples * n
    assert all(k * b <= 7 for k, b in record)
    assert found.samples == samples
    torch.testing.assert_close(found.per_example, truth.log_evidence(x), rtol=1e-9, atol=0)
    assert found.effective_samples == pytest.approx(samples)


@pytest.mark.parametrize("samples", [1, 3, 9])
def test_the_bound_draws_what_was_asked(samples, drawn, cramped):
    truth = linear_gaussian()
    record = drawn(truth.model)
    bound(truth.model, Rows(truth.sample(5)), samples=samples)
    assert {k for k, _ in record} == {samples}
    assert sum(b for _, b in record) == 5


@pytest.mark.parametrize("n", [1, 6, 7, 8, 20])
def test_trap_short_last_batch(n, cramped):
    """Trap: the loss of a short last batch weighing as a full one. Every example counts once, in
    every figure.
    """
    model, x = small((3, 2)), binary(n)
    found = bound(model, Rows(x), objective=Elbo())
    assert found.per_example.shape == (n,)
    assert found.elbo.value == pytest.approx(found.per_example.mean().item(), rel=1e-12)
    assert found.elbo.value == pytest.approx(found.log_likelihood_term - sum(found.rate), rel=1e-12)
    assert found.objective == pytest.approx(-found.elbo.value, rel=1e-12)


def test_a_short_last_batch_of_another_kind(cramped):
    """The same with the exact answer: seven examples of one sort and one outlier, whose weight must
    be an eighth.
    """
    truth = linear_gaussian()
    x = torch.cat([truth.mean.expand(7, -1), truth.mean.expand(1, -1) + 10])
    found = bound(truth.model, Rows(x), objective=Iwae())
    assert found.objective == pytest.approx(-truth.log_evidence(x).mean().item(), rel=1e-9)
    measured = importance_log_likelihood(truth.model, Rows(x), samples=2)
    assert measured.log_likelihood.value == pytest.approx(
        truth.log_evidence(x).mean().item(), rel=1e-9
    )


@pytest.mark.parametrize("noise", [Dropout(0.9), GaussianNoise(3.0), Binarize()], ids=repr)
def test_trap_noise_left_on_in_evaluation(noise):
    """Trap: dropout or noise left on in evaluation. The figures are those of the same weights
    without the noise.
    """
    noisy, clean = small(noise=(noise,)), small()
    clean.load_state_dict(
        {k.replace("network.network.", "network."): v for k, v in noisy.state_dict().items()}
    )
    x = binary(20)
    noisy.train()
    assert not torch.equal(noisy.encode(binary(20) * 0.6)[0], clean.encode(binary(20) * 0.6)[0])
    rows = Rows(x)
    assert torch.equal(bound(noisy, rows).per_example, bound(clean, rows).per_example)
    a, b = (importance_log_likelihood(m, rows, samples=3) for m in (noisy, clean))
    assert torch.equal(a.per_example, b.per_example)
    a, b = (latent_statistics(m, rows) for m in (noisy, clean))
    assert torch.equal(a.variance_of_means[0], b.variance_of_means[0])


def test_the_target_stays_clean():
    """Noise belongs to the encoder alone: with everything dropped the likelihood is still that of
    x.
    """
    model = small((2,), noise=(Dropout(0.99),)).train()
    x = torch.ones(3, 6).double()
    inference = model.infer(x)
    torch.testing.assert_close(
        model.terms_of(inference, x).log_likelihood,
        model.decode(inference.context).log_prob(torch.ones(3, 6).double()),
    )
    assert (x == 1).all()


@pytest.mark.parametrize(
    "objective",
    [
        Elbo(free_bits=50.0),
        Elbo(free_bits=Linear(0.0, 50.0, 5)),
        Elbo(beta=Linear(0.0, 9.0, 5)),
        Elbo(beta=0.0),
        Iwae(),
        PublishedHierarchical(),
    ],
)
def test_trap_objective_in_a_reported_bound(objective):
    """Trap: free bits or warm-up left in a reported bound. The bound is the same whatever the model
    is trained with.
    """
    model, rows = small((3, 2)), Rows(binary(12))
    plain, found = bound(model, rows, samples=2), bound(model, rows, samples=2, objective=objective)
    assert torch.equal(found.per_example, plain.per_example)
    assert found[:3] == plain[:3]
    assert plain.objective is None
    assert found.objective != pytest.approx(-found.elbo.value)


def test_the_measured_objective_asks_for_its_own_rates():
    """The published R3 loss needs the closed form everywhere, on the same draws as the bound beside
    it.
    """
    model, rows = small((3, 2)), Rows(binary(12))
    found = bound(model, rows, objective=PublishedHierarchical(), seed=3)
    torch.manual_seed(3)
    with torch.no_grad():
        expected = PublishedHierarchical()(model.eval().terms(rows.values, 1, "everywhere")).item()
    assert found.objective == pytest.approx(expected, rel=1e-9)


def test_trap_cross_entropy_called_a_likelihood():
    """Trap: BCE on grey pixels called a likelihood. The family says so; on binary data there is
    nothing to say.
    """
    assert "not a likelihood" in Bernoulli().caveat(0, 1, 256)
    assert "not a likelihood" in Bernoulli().caveat(0, 1, None)
    assert Bernoulli().caveat(0, 1, 2) is None
    assert DiscretizedLogistic(256).caveat(0, 1, 256) is None
    assert Normal().caveat(0, 1, 256) is not None
    assert Normal().caveat(-3, 3, None) is None


@pytest.mark.parametrize("at", [-1e4, -21.0, -20.0, -3.0, 0.0, 19.0, 20.0, 21.0, 1e4])
def test_trap_dead_gradient_of_a_clamped_log_variance(at):
    """Trap: clamped log-variance whose gradient dies. It is 1 up to the limits, then falls like 1 /
    distance.
    """
    x = torch.tensor(at).double().requires_grad_()
    bounded(x).backward()
    assert x.grad.item() == pytest.approx(1 / math.hypot(1, max(abs(at) - 20, 0)))
    expected = at if abs(at) <= 20 else math.copysign(20 + math.asinh(abs(at) - 20), at)
    assert bounded(x).item() == pytest.approx(expected)


def measures(model, rows, seed=0):
    return (
        lambda: bound(model, rows, samples=2, seed=seed).per_example,
        lambda: importance_log_likelihood(model, rows, samples=3, seed=seed).per_example,
        lambda: latent_statistics(model, rows, seed=seed).variance_of_means[0],
    )


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_caller_alone(training):
    """Random stream, mode and gradients are what they were; what is measured hangs on the seed
    alone.
    """
    model, rows = small(noise=(Dropout(0.5),)).train(training), Rows(binary(9))
    for measure in measures(model, rows):
        before = torch.get_rng_state()
        first = measure()
        assert torch.equal(before, torch.get_rng_state())
        assert all(m.training == training for m in model.modules())
        assert torch.is_grad_enabled()
        assert all(p.grad is None and p.requires_grad for p in model.parameters())
        torch.rand(5)
        assert torch.equal(first, measure())
    (drawn, weighed, _), (other, another, _) = measures(model, rows), measures(model, rows, seed=1)
    assert not torch.equal(drawn(), other())
    assert not torch.equal(weighed(), another())


def test_evaluation_leaves_a_frozen_part_in_its_mode():
    """A caller who trains the decoder behind an encoder in evaluation mode finds it in that mode
    afterwards.
    """
    model = small(noise=(Dropout(0.5),)).train()
    model.latents.eval()
    bound(model, Rows(binary(3)))
    assert model.training
    assert not any(m.training for m in model.latents.modules())


def test_evaluation_leaves_the_caller_alone_when_it_fails():
    model, rows = small().train(), Rows(binary(3)[:, :-1])
    before = torch.get_rng_state()
    with pytest.raises(ShapeError):
        bound(model, rows)
    assert model.training
    assert torch.equal(before, torch.get_rng_state())


def test_the_order_of_examples_is_nothing(cramped):
    """Each example's figure is its own: exact where the posterior is, and in the mean within its
    error elsewhere.
    """
    truth = linear_gaussian(2)
    x = truth.sample(20)
    order = torch.randperm(20)
    a = importance_log_likelihood(truth.model, Rows(x), samples=3).per_example
    b = importance_log_likelihood(truth.model, Rows(x[order]), samples=3).per_example
    torch.testing.assert_close(a[order], b, rtol=1e-9, atol=0)
    a, b = latent_statistics(truth.model, Rows(x)), latent_statistics(truth.model, Rows(x[order]))
    torch.testing.assert_close(a.variance_of_means[0], b.variance_of_means[0])
    model, x = small(), binary(200)
    a, b = (bound(model, Rows(rows), samples=20) for rows in (x, x.flip(0)))
    off = (a.per_example - b.per_example.flip(0)).numpy()
    assert abs(off.mean()) < 5 * off.std() / math.sqrt(len(off))


def test_an_example_does_not_depend_on_its_batch():
    """Means, and the terms of the same draws, are those of the example alone."""
    model, x = small((3, 2)), binary(6)
    for together, alone in zip(model.encode(x), model.encode(x[:1]), strict=True):
        torch.testing.assert_close(together[:1], alone)
    together, alone = model.infer(x, 2), model.infer(x[:1], 2)
    levels = [a._replace(z=t.z[:, :1]) for t, a in zip(together.levels, alone.levels, strict=True)]
    kept = alone._replace(levels=levels, context=together.context[:, :1])
    terms = model.terms_of(together, x)
    torch.testing.assert_close(
        model.terms_of(kept, x[:1]).log_likelihood, terms.log_likelihood[:, :1]
    )


def test_delta_has_no_bound():
    """A point has an infinite rate: its ELBO and its log p(x) are minus infinity, not a number that
    looks fine.
    """
    model, rows = small(posterior="Delta"), Rows(binary(5))
    found = bound(model, rows, objective=Reconstruction())
    assert found.elbo.value == -math.inf
    assert found.rate == (math.inf,)
    assert math.isfinite(found.objective)
    assert importance_log_likelihood(model, rows, samples=3).log_likelihood.value == -math.inf
    assert Elbo()(model.terms(rows.values)).item() == math.inf
    assert Elbo(kl="sampled")(model.terms(rows.values, 2, "sampled")).item() == math.inf
    assert Iwae()(model.terms(rows.values, 2)).item() == math.inf
    loss = Reconstruction()(model.terms(rows.values))
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_effective_samples_are_kish():
    """(sum w)^2 / sum w^2 by hand, from the same draws."""
    model, x = small(), binary(4)
    found = importance_log_likelihood(model, Rows(x), samples=6, seed=2, proposal=POSTERIOR_ALONE)
    torch.manual_seed(2)
    with torch.no_grad():
        w = np.exp(model.eval().terms(x, 6).log_weight.numpy())
    effective = w.sum(0) ** 2 / (w**2).sum(0)
    np.testing.assert_allclose(found.effective, effective, rtol=1e-9)
    assert found.effective_samples == pytest.approx(effective.mean(), rel=1e-9)
    assert found.median_effective_samples == pytest.approx(np.median(effective), rel=1e-9)
    assert found.least_effective_samples == pytest.approx(effective.min(), rel=1e-9)
    np.testing.assert_allclose(found.per_example, np.log(w.mean(0)), rtol=1e-9)
