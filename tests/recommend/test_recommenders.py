"""The autoencoders for collaborative filtering: the whole grid of them, their published formulas,
and how they are trained.
"""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal as TorchNormal

import lowerbound
from lowerbound import fitting as runs
from lowerbound import recipe as recipes
from lowerbound.errors import ConfigError, DataError
from lowerbound.families import Bernoulli, Delta, Multinomial, Normal
from lowerbound.model import VAE, Architecture, Terms
from lowerbound.networks import MLP, Conv, DenseMLP
from lowerbound.noise import Dropout, GaussianNoise, L2Normalize
from lowerbound.objectives import Elbo, Reconstruction
from lowerbound.optimizers import LazyAdam
from lowerbound.priors import Composite
from lowerbound.recipe import Phase
from lowerbound.schedules import Linear
from lowerbound.sparse import SparseLinear, SparseRows, Transposed
from lowerbound.training import Fit

ITEMS = 30
LIKELIHOODS = {
    "gaussian": Normal(variance=0.5),
    "bernoulli": Bernoulli(),
    "multinomial": Multinomial(),
}


def interactions(users=7, seed=0):
    generator = np.random.default_rng(seed)
    dense = (generator.random((users, ITEMS)) < 0.25).astype(np.float32)
    from scipy.sparse import csr_matrix

    return SparseRows.of(csr_matrix(dense))


def built(seed=0, **settings):
    torch.manual_seed(seed)
    return Architecture(**({"latent": (3,), "network": MLP((8,), "tanh")} | settings)).build(
        (ITEMS,), sparse=True
    )


def settled(model, x, samples=1, seed=1):
    torch.manual_seed(seed)
    return model.eval().terms(x, samples)


@pytest.mark.parametrize(
    ("kind", "likelihood"), list(itertools.product(("AE", "DAE", "VAE"), LIKELIHOODS))
)
@pytest.mark.parametrize("decoder", [None, "tied", MLP((5, 4))])
def test_the_grid_is_arguments(kind, likelihood, decoder):
    """{AE, DAE, VAE} x three likelihoods, mirrored, tied or given decoder: every parameter learns,
    and dense rows agree.
    """
    noise = (L2Normalize(), Dropout(0.5)) if kind != "AE" else (L2Normalize(),)
    posterior = Normal() if kind == "VAE" else Delta()
    model = built(
        likelihood=LIKELIHOODS[likelihood],
        noise=noise,
        posterior=posterior,
        decoder_network=decoder,
    )
    objective = Elbo(beta=0.2) if kind == "VAE" else Reconstruction()
    x = interactions()
    objective(model.train().terms(x)).backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all() and (p.grad != 0).any()
        for p in model.parameters()
    )
    sparse = settled(model, x)
    torch.manual_seed(1)
    z = model.infer(x).levels[0].z
    dense = model.decode(z).log_prob(x.dense())
    torch.testing.assert_close(sparse.log_likelihood, dense, rtol=1e-4, atol=1e-4)


def test_the_multinomial_loss_and_gradient_are_those_of_the_paper():
    """Liang et al. 2018, eq. 4 and 6: mean over users of -sum_i x_i log softmax_i + beta sum_d KL,
    from plain formulas.
    """
    x = interactions()
    model = built(likelihood=Multinomial(), noise=(L2Normalize(),)).double()
    x = x.to(dtype=torch.float64)
    torch.manual_seed(3)
    loss = Elbo(beta=0.3)(model.terms(x))
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    weights = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    first, code, inner, last = (
        (weights[f"{n}.weight"], weights[f"{n}.bias"])
        for n in (
            "latents.posteriors.0.network.network.0",
            "latents.posteriors.0.network.network.2",
            "decoder.network.0",
            "decoder.network.2.linear",
        )
    )
    dense = x.dense()
    h = torch.tanh(dense / dense.norm(dim=1, keepdim=True) @ first[0] + first[1])
    mean, log_variance = F.linear(h, *code).chunk(2, dim=1)
    torch.manual_seed(3)
    z = mean + torch.exp(log_variance / 2) * torch.randn(1, *mean.shape, dtype=torch.float64)[0]
    logits = F.linear(torch.tanh(F.linear(z, *inner)), *last)
    kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)
    expected = (-(dense * logits.log_softmax(1)).sum(1) + 0.3 * kl).mean()
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for name, weight in weights.items():
        torch.testing.assert_close(gradients[name], weight.grad, msg=name)


def test_a_user_without_interactions_is_harmless():
    x = SparseRows(torch.tensor([0, 0, 2]), torch.tensor([1, 4]), torch.ones(2), ITEMS)
    for likelihood in LIKELIHOODS.values():
        model = built(likelihood=likelihood, noise=(L2Normalize(), Dropout(0.5)))
        terms = model.train().terms(x)
        assert terms.log_likelihood.isfinite().all()
        assert model.eval().item_scores(x).isfinite().all()
    assert settled(built(likelihood=Multinomial()), x).log_likelihood[0, 0] == 0


def test_dropout_is_off_in_evaluation_and_the_target_stays_clean():
    model = built(likelihood=Multinomial(), noise=(L2Normalize(), Dropout(0.9)), posterior=Delta())
    x = interactions()
    kept = x.values.clone()
    model.train().terms(x)
    assert torch.equal(x.values, kept)
    assert torch.equal(model.eval().item_scores(x), model.item_scores(x))


def test_noise_of_sparse_rows_stays_at_the_entries():
    x = interactions()
    noisy = GaussianNoise(0.5)(x, True)
    assert not torch.equal(noisy.values, x.values)
    assert ((noisy.dense() != 0) <= (x.dense() != 0)).all()


def test_several_levels_are_possible():
    model = built(latent=(4, 2), likelihood=Multinomial())
    terms = model.terms(interactions(), 3)
    assert terms.rate.shape == (3, 7, 2)
    assert model.item_scores(interactions()).shape == (7, ITEMS)


@pytest.mark.parametrize("likelihood", [Normal(), Normal(variance=0.5, mean="sigmoid")])
def test_a_likelihood_that_would_need_a_dense_copy_is_refused(likelihood):
    model = built(likelihood=likelihood)
    with pytest.raises(ConfigError, match="no likelihood for sparse rows; allowed: Multinomial"):
        model.terms(interactions())


def test_networks_without_sparse_layers_are_refused():
    with pytest.raises(ConfigError, match="Conv does not take sparse rows; allowed: MLP"):
        built(network=Conv())
    with pytest.raises(ConfigError, match="DenseMLP does not give sparse rows; allowed: MLP"):
        built(network=DenseMLP(8, 2))
    with pytest.raises(ConfigError, match="DenseMLP cannot be tied"):
        built(network=DenseMLP(8, 2), decoder_network="tied")
    with pytest.raises(ConfigError, match="one parameter for each element"):
        Architecture(latent=(3,), likelihood=Normal(), decoder_network="tied").build((ITEMS,))


def test_a_tied_decoder_shares_its_weights_and_is_saved_once():
    model = built(likelihood=Multinomial(), decoder_network="tied")
    own = [m for m in model.decoder.modules() if isinstance(m, Transposed)]
    first = next(m for m in model.modules() if isinstance(m, SparseLinear))
    assert len(own) == 2
    assert own[-1].weight.data_ptr() == first.weight.data_ptr()
    assert not [name for name in model.decoder.state_dict() if name.endswith("weight")]
    other = built(seed=5, likelihood=Multinomial(), decoder_network="tied")
    other.load_state_dict(model.state_dict())
    assert torch.equal(
        other.eval().item_scores(interactions()), model.eval().item_scores(interactions())
    )


def test_tied_dense_models_give_images():
    model = Architecture(latent=(3,), network=MLP((5,)), decoder_network="tied").build((1, 4, 4))
    assert model.sample(2).shape == (2, 1, 4, 4)


@pytest.mark.parametrize("likelihood", list(LIKELIHOODS.values()))
def test_the_output_starts_at_the_mean_of_the_data(likelihood):
    model = built(likelihood=likelihood)
    mean = torch.rand(ITEMS) + 0.1
    model.start_at(mean / mean.sum() if likelihood == Multinomial() else mean / 2)
    with torch.no_grad():
        weight = model.decoder.network[-1].linear.weight
        weight.zero_()
        found = model.decode(torch.randn(2, 3)).mean
    torch.testing.assert_close(
        found[1], mean / mean.sum() if likelihood == Multinomial() else mean / 2
    )


def test_a_learned_variance_has_no_start():
    model = Architecture(latent=(3,), network=MLP((5,)), likelihood=Normal()).build((6,))
    with pytest.raises(ConfigError, match="output_bias"):
        model.start_at(torch.zeros(6))


# RecVAE


def recvae(seed=0):
    return built(
        seed,
        network=DenseMLP(width=6, layers=3),
        decoder_network=MLP(()),
        likelihood=Multinomial(),
        prior=Composite(),
        noise=(L2Normalize(), Dropout(0.5)),
    )


def test_the_composite_prior_is_the_published_mixture():
    """Shenbin et al. 2020, in each dimension: 3/20 N(0, 1), 3/4 of the earlier posterior, 1/10 N(0,
    e^10).
    """
    model, x = recvae(), interactions()
    prior = model.eval().latents.priors[0]
    z = 3 * torch.randn(4, 7, 3)
    earlier = prior.previous(x).base_dist
    densities = [
        TorchNormal(torch.zeros(3), torch.ones(3)).log_prob(z) + math.log(3 / 20),
        TorchNormal(earlier.mean, earlier.stddev).log_prob(z) + math.log(3 / 4),
        TorchNormal(torch.zeros(3), torch.full((3,), math.exp(5))).log_prob(z) + math.log(1 / 10),
    ]
    torch.testing.assert_close(prior(x).log_prob(z), torch.stack(densities).logsumexp(0).sum(-1))


def test_the_earlier_posterior_changes_only_when_it_is_renewed():
    model, x = recvae(), interactions()
    prior = model.train().latents.priors[0]
    before = copy.deepcopy(prior.previous.state_dict())
    Elbo()(model.terms(x)).backward()
    assert all(p.grad is None for p in prior.previous.parameters())
    with torch.no_grad():
        for p in model.latents.posteriors.parameters():
            p.add_(1.0)
    assert all(torch.equal(before[k], v) for k, v in prior.previous.state_dict().items())
    model.refresh()
    now = model.latents.posteriors[0].state_dict()
    assert all(torch.equal(now[k], v) for k, v in prior.previous.state_dict().items())


def test_the_earlier_posterior_sees_no_noise_while_the_encoder_is_trained():
    prior = recvae().train().latents.priors[0]
    assert torch.equal(prior(interactions()).mean, prior(interactions()).mean)


def test_beta_by_entry_weighs_each_user_by_the_number_of_interactions():
    model, x = recvae(), interactions()
    terms = settled(model, x)
    expected = (-terms.log_likelihood + 0.005 * x.counts * terms.rate.sum(-1)).mean()
    torch.testing.assert_close(Elbo(beta=0.005, per_entry=True)(terms), expected)
    with pytest.raises(ConfigError, match="per_entry is for interactions"):
        Elbo(per_entry=True)(Terms(terms.log_likelihood, terms.rate, terms.log_weight))


# Training

SMALL = {
    "data": {"source": "synthetic-interactions"},
    "model": {
        "latent": [8],
        "network": {"type": "MLP", "hidden": [16], "activation": "tanh"},
        "likelihood": "Multinomial",
        "noise": ["L2Normalize", {"type": "Dropout", "probability": 0.5}],
        "output_bias": "data",
    },
    "objective": {"type": "Elbo", "beta": {"type": "Linear", "stop": 0.2, "steps": 20}},
    "training": {"epochs": 3, "batch_size": 400, "monitor": "ndcg@100", "learning_rate": 2e-2},
}


QUIET = {"report.write": False}


def fitted(folder, **settings):
    return runs.fit(recipes.parse(SMALL).replace(settings | QUIET), out=folder, progress=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("runs") / "small", **{"training.epochs": 12})


def test_a_fit_ranks_better_than_popularity(small):
    found = small.evaluate()
    assert (
        found["more_than_popularity"]["ndcg@100"]["value"]
        > 3 * found["more_than_popularity"]["ndcg@100"]["standard_error"]
    )
    assert found["metrics"]["recall_capped@50"] >= found["metrics"]["recall@50"]
    assert small.summary["test"]["ndcg@100"] == pytest.approx(found["metrics"]["ndcg@100"])
    assert small.summary["best_epoch"] == 1 + np.argmax(
        [float(r) for r in _column(small, "validation_ndcg@100")]
    )


def _column(run, name):
    lines = [line.split(",") for line in (run.folder / "metrics.csv").read_text().splitlines()]
    return [line[lines[0].index(name)] for line in lines[1:]]


def test_a_run_comes_back_from_its_folder(small):
    again = lowerbound.load(small.folder)
    x = again.examples()[1].batch(slice(0, 5))
    assert torch.equal(again.model.item_scores(x), small.model.item_scores(x))
    assert list(again.items.ids) == list(small.items.ids)
    assert again.evaluate()["metrics"] == small.evaluate()["metrics"]
    with pytest.raises(DataError, match="holds nothing out"):
        again.evaluate(split="train")
    with pytest.raises(ConfigError, match="recommend"):
        again.sample(3)


def test_the_annealing_counts_steps_and_never_starts_again(small):
    """12 epochs of 4 steps: the weight grows by 0.2 / 20 a step over the first five, and then
    stays.
    """
    expected = [Linear(stop=0.2, steps=20)(4 * epoch - 1, 48) for epoch in range(1, 13)]
    assert expected[-1] == 0.2
    np.testing.assert_allclose([float(v) for v in _column(small, "kl_weight")], expected)


def test_validation_can_be_rarer_and_the_last_epoch_always_has_one(tmp_path):
    found = fitted(tmp_path / "run", **{"training.validate_every": 2})
    assert [v != "" for v in _column(found, "validation_ndcg@100")] == [False, True, True]


@pytest.mark.parametrize(
    ("monitor", "wanted"), [("ndcg@1000", "ndcg@500"), ("recall@7", "recall@7"), ("map", "map@20")]
)
def test_the_monitor_is_measured_and_cut_to_the_catalogue(tmp_path, monitor, wanted):
    found = fitted(tmp_path / "run", **{"training.monitor": monitor, "training.epochs": 2})
    best = np.argmax([float(v) for v in _column(found, f"validation_{wanted}")])
    assert found.summary["best_epoch"] == best + 1


def test_the_objective_can_choose_the_best_weights(tmp_path):
    found = fitted(tmp_path / "run", **{"training.monitor": "objective", "training.epochs": 1})
    assert float(_column(found, "validation_objective")[0]) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training.monitor": "ndgc@100"}, "unknown metric 'ndgc'; did you mean 'ndcg'?"),
        ({"training.monitor": "ndcg@0"}, "a metric is cut at a k of 1 or more"),
        (
            {"data.validation": 0},
            "the recipe needs one; set training.monitor=objective, raise data.validation",
        ),
        ({"training.compile": True}, "training.compile is for dense examples"),
        (
            {"training.optimizer": "LazyAdam", "training.clip": 1.0},
            "training.clip needs the gradient of all rows",
        ),
        (
            {"training.phases": [{"trains": "encoder"}]},
            "training.phases.0.trains: should be 'all', 'latents' or 'decoder'",
        ),
        ({"model.network": "Conv"}, "Conv does not take sparse rows"),
        (
            {"training.phases": [{}], "training.devices": 2},
            "phases are for one process, got devices=2",
        ),
    ],
)
def test_settings_that_do_not_fit_are_told_before_anything_is_written(tmp_path, settings, message):
    with pytest.raises((ConfigError, DataError)) as caught:
        fitted(tmp_path / "run", **settings)
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_monitor_is_for_interactions(tmp_path):
    with pytest.raises(ConfigError, match=r"monitor=ndcg@100 needs interactions"):
        runs.fit(
            "digits",
            out=tmp_path / "run",
            settings={"training.monitor": "ndcg@100"},
            progress=False,
        )


def test_phases_train_their_part_alone(tmp_path):
    """One epoch of the encoder, one of the decoder: the other part stays as it is, bit for bit."""
    phases = [Phase(trains="latents"), Phase(trains="decoder", noise=False)]
    states = []
    for epochs in (1, 2):
        settings = {
            "training.phases": [{"trains": p.trains, "noise": p.noise} for p in phases],
            "training.epochs": epochs,
        }
        found = fitted(
            tmp_path / str(epochs),
            **settings | {"training.monitor": "objective", "data.validation": 0},
        )
        states.append(found.model.state_dict())
    torch.manual_seed(0)
    start = runs.build(recipes.parse(SMALL), found.schema)
    start.start_at(torch.from_numpy(found.recipe.data.open().train.mean()))
    changed = [
        {k for k in a if not torch.equal(a[k], b[k])}
        for a, b in itertools.pairwise([start.state_dict(), *states])
    ]
    assert {k.partition(".")[0] for k in changed[0]} == {"latents"}
    assert {k.partition(".")[0] for k in changed[1]} == {"decoder"}


@pytest.mark.parametrize(
    ("phases", "renewed"),
    [
        ([], [1, 2, 3, 4, 5]),
        ([{"epochs": 3}], [3]),
        ([{"epochs": 2, "trains": "latents"}, {"trains": "decoder"}], [2, 3, 5]),
    ],
)
def test_the_earlier_posterior_is_renewed_at_the_end_of_each_phase(
    tmp_path, monkeypatch, phases, renewed
):
    seen = []
    monkeypatch.setattr(VAE, "refresh", lambda model: seen.append(len(saved)))
    saved = []
    monkeypatch.setattr(
        Fit, "_begin_epoch", lambda fit, own=Fit._begin_epoch: (saved.append(1), own(fit))
    )
    fitted(tmp_path / "run", **{"training.phases": phases, "training.epochs": 5})
    assert seen == renewed


def test_recvae_is_resumed_exactly_between_and_inside_its_phases(tmp_path):
    recipe = recipes.parse(SMALL).replace(
        {
            "model.prior": {"type": "Composite"},
            "model.network": {"type": "DenseMLP", "width": 16, "layers": 2},
            "model.decoder_network": {"type": "MLP", "hidden": []},
            "training.phases": [
                {"epochs": 2, "trains": "latents"},
                {"trains": "decoder", "noise": False},
            ],
            "training.optimizer": "LazyAdam",
        }
    )
    whole = runs.fit(
        recipe, out=tmp_path / "whole", settings=QUIET | {"training.epochs": 4}, progress=False
    )
    for first in (1, 2, 3):
        out = tmp_path / f"after-{first}"
        runs.fit(recipe, out=out, settings=QUIET | {"training.epochs": first}, progress=False)
        runs.fit(
            recipe, out=out, settings=QUIET | {"training.epochs": 4}, resume=True, progress=False
        )
        assert (out / "model.safetensors").read_bytes() == (
            whole.folder / "model.safetensors"
        ).read_bytes()
        assert (out / "metrics.csv").read_text().splitlines()[-1] == (
            whole.folder / "metrics.csv"
        ).read_text().splitlines()[-1]


# LazyAdam


def test_lazy_adam_is_adam_where_every_row_is_in_the_gradient():
    torch.manual_seed(0)
    ours, theirs = torch.zeros(5, 3, requires_grad=True), torch.zeros(5, 3, requires_grad=True)
    lazy, adam = LazyAdam([ours], lr=0.1), torch.optim.Adam([theirs], lr=0.1)
    for _ in range(5):
        gradient = torch.randn(5, 3)
        ours.grad, theirs.grad = gradient.to_sparse(1), gradient.clone()
        lazy.step()
        adam.step()
    torch.testing.assert_close(ours, theirs)


def test_lazy_adam_leaves_the_other_rows_alone_and_dense_parameters_to_adam():
    torch.manual_seed(0)
    table, dense, other = (torch.zeros(s, requires_grad=True) for s in ((5, 3), (4,), (4,)))
    lazy, adam = LazyAdam([table, dense], lr=0.1), torch.optim.Adam([other], lr=0.1)
    for row in (1, 3, 1):
        table.grad = torch.sparse_coo_tensor(
            torch.tensor([[row, row]]), torch.randn(2, 3), (5, 3), check_invariants=True
        )
        dense.grad = torch.randn(4)
        other.grad = dense.grad.clone()
        lazy.step()
        adam.step()
    assert torch.equal(table[[0, 2, 4]], torch.zeros(3, 3))
    assert (table[[1, 3]] != 0).all()
    torch.testing.assert_close(dense, other)


def test_lazy_adam_of_a_dense_gradient_with_the_rows_that_were_seen_is_that_of_a_sparse_one():
    """As of several processes; a row that was seen counts where its gradient is zero, too."""
    torch.manual_seed(0)
    one, mean = (torch.nn.Parameter(torch.ones(6, 3)) for _ in range(2))
    lazy, other = LazyAdam([one], lr=0.1), LazyAdam([mean], lr=0.1)
    for rows in ([0, 2], [2, 5], [1, 2, 3]):
        values, seen = torch.randn(len(rows), 3), torch.tensor(rows)
        values[-1] = 0
        one.grad = torch.sparse_coo_tensor(seen[None], values, (6, 3), check_invariants=True)
        mean.grad, other.seen[mean] = torch.zeros(6, 3).index_copy(0, seen, values), seen
        lazy.step()
        other.step()
    assert torch.equal(one, mean)
    assert torch.equal(one[4], torch.ones(3))


@pytest.fixture(scope="module")
def by_small_batches(tmp_path_factory):
    """Fitted with batches of which most items are absent, so that a lazy optimiser has rows to
    leave alone.
    """
    folder = tmp_path_factory.mktemp("batches")

    def fit(name, **settings):
        common = {
            "training.batch_size": 5,
            "training.epochs": 4,
            "training.learning_rate": 3e-3,
            "objective.beta": 0.05,
        }
        return fitted(folder / name, **common | settings)

    return fit


@pytest.mark.parametrize(
    "changed", [{"training.optimizer": "LazyAdam"}, {"training.precision": "bf16-mixed"}]
)
def test_the_approximations_do_not_move_the_metrics(by_small_batches, changed):
    """Row-lazy Adam and bfloat16, with the data and the seed the same: NDCG within two standard
    errors, and other weights.
    """
    name = "-".join(changed.values())
    plain, near = by_small_batches(f"plain-{name}"), by_small_batches(name, **changed)
    a, b = plain.evaluate(), near.evaluate()
    assert a["more_than_popularity"]["ndcg@100"]["value"] > 0.1
    assert (
        abs(a["metrics"]["ndcg@100"] - b["metrics"]["ndcg@100"])
        < 2 * a["standard_errors"]["ndcg@100"]
    )
    assert (plain.folder / "model.safetensors").read_bytes() != (
        near.folder / "model.safetensors"
    ).read_bytes()


# What a review found


@pytest.mark.parametrize("options", [{"weight_decay": 0.1}, {"amsgrad": True}, {"maximize": True}])
def test_lazy_adam_refuses_what_would_have_to_reach_every_row(options):
    with pytest.raises(ValueError, match="LazyAdam has no"):
        LazyAdam([torch.zeros(2, requires_grad=True)], **options)


def test_a_composite_prior_needs_a_normal_posterior():
    with pytest.raises(ConfigError, match="a Composite prior needs the posterior Normal"):
        recipes.parse(SMALL).replace(
            {"model.prior": "Composite", "model.posterior": "Delta", "objective": "Reconstruction"}
        )


@pytest.mark.parametrize("items", [4, 40])
def test_small_catalogues_are_fitted_measured_and_reported(tmp_path, command, items):
    rng = np.random.default_rng(0)
    rows = [f"u{u},i{i}" for u in range(60) for i in rng.permutation(items)[: max(3, items // 3)]]
    (tmp_path / "small.csv").write_text("user,item\n" + "\n".join(rows))
    settings = [
        f"data.source={tmp_path / 'small.csv'}",
        "training.epochs=2",
        "training.batch_size=20",
        "data.interactions.split=random",
    ]
    settings += ["data.validation=0.3", "data.test=0.3"] if items == 4 else []
    arguments = [argument for s in settings for argument in ("--set", s)]
    run = str(tmp_path / "run")
    for words in (["fit", "multvae", "--out", run, *arguments], ["evaluate", run], ["report", run]):
        code, _, err = command(*words)
        assert code == 0, err


def test_a_split_that_holds_nothing_out_is_told_before_anything_is_written(tmp_path):
    (tmp_path / "few.csv").write_text(
        "user,item\n" + "\n".join(f"u{u},i{i}" for u in range(40) for i in (u % 7, 7 + u % 5))
    )
    with pytest.raises(
        DataError,
        match=r"in the validation and the test split of few: .* set data.validation=0 and "
        r"data.test=0 and training.monitor=objective, or another data.interactions.split",
    ):
        fitted(
            tmp_path / "run",
            **{"data.source": str(tmp_path / "few.csv"), "data.interactions.user": "user"},
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("option", "expected"), [("--allow", 2), ("--history", 0)])
def test_a_text_that_is_too_long_for_a_path_is_no_traceback(small, command, option, expected):
    """Nothing is left of items to allow; a history of nothing known gets what is popular."""
    arguments = [
        "recommend",
        str(small.folder),
        *(["--history", "taste-1 item 1"] if option == "--allow" else []),
        option,
        "x" * 400,
    ]
    code, _, err = command(*arguments)
    assert code == expected
    assert "Traceback" not in err


def test_parameters_are_those_that_are_trained(tmp_path):
    settings = {
        "model.prior": "Composite",
        "training.phases": [{"trains": "decoder"}],
        "training.epochs": 1,
    }
    plain, composite = (
        fitted(tmp_path / "a", **{"training.epochs": 1}),
        fitted(tmp_path / "b", **settings),
    )
    assert composite.summary["parameters"] == plain.summary["parameters"]
