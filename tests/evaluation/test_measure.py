"""One number has one definition: whoever measures a split of a run shows the same value, to the
last digit.
"""

import json
import math

import numpy as np
import pytest
import torch

import lowerbound
from lowerbound import anomalies
from lowerbound.data import Examples, History, Split
from lowerbound.errors import DataError
from lowerbound.evaluation import Estimate, bound
from lowerbound.evaluation.measure import (
    DenseMeasures,
    MeasureSettings,
    RankedMeasures,
    deciding_metric,
    draws_for,
    measure_split,
)
from lowerbound.evaluation.statistics import column_distances, kolmogorov_smirnov
from lowerbound.model import Terms
from lowerbound.objectives import Elbo, Iwae
from lowerbound.report.comparison import measure
from lowerbound.report.findings.dense import DenseFindings
from lowerbound.report.findings.recommender import findings
from lowerbound.training.validation import measured

FAST = {
    "report.write": False,
    "training.epochs": 2,
    "training.accelerator": "cpu",
    "model.network.hidden": [32],
}


def fitted(out, source="digits", **settings):
    return lowerbound.fit(source, out=out, settings=FAST | settings, progress=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(home):
    return fitted(home / "plain", **{"model.latent": [3, 2]})


@pytest.fixture(scope="module")
def drawn(home):
    """A run whose pixels are drawn anew for each batch of its training."""
    pixels = np.random.default_rng(0).random((120, 4, 4), dtype=np.float32)
    np.savez(home / "grey.npz", train=pixels[:80], test=pixels[80:])
    settings = {"data.source": str(home / "grey.npz"), "data.binarize": "dynamic"}
    settings |= {"data.validation": 20, "model.likelihood": {"type": "Bernoulli"}}
    return fitted(home / "drawn", **settings)


@pytest.fixture(scope="module")
def recommender(home):
    generator = np.random.default_rng(0)
    rows = ["userId,movieId,rating,timestamp"]
    for user in range(60):
        for i, item in enumerate(generator.choice(30, 8, replace=False)):
            rows.append(f"{user},{item},5,{i}")
    (home / "ratings.csv").write_text("\n".join(rows))
    settings = {
        "data.source": str(home / "ratings.csv"),
        "data.interactions": {"split": "strong"},
        "data.validation": 15,
        "data.test": 15,
        "model.likelihood": "Multinomial",
        "model.latent": [4],
    }
    return fitted(home / "films", **settings)


def copied(run, folder):
    """The same run in another folder, so that there are two to compare."""
    from shutil import copytree

    return lowerbound.load(copytree(run.folder, folder))


# One value -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run", "drawn"])
def test_all_show_the_same_bound_of_a_split(name, request, tmp_path):
    run = request.getfixturevalue(name)
    test = run.summary["test"]
    evaluated = lowerbound.load(run.folder).evaluate(samples=2)
    report = DenseFindings(lowerbound.load(run.folder)).bound
    compared = measure([run, copied(run, tmp_path / "copy")], samples=2).first
    scored = anomalies.score(run, samples=2).means()["elbo"]
    bounds = [
        test["elbo"],
        evaluated["elbo"],
        report.elbo.value,
        compared.measures["elbo"].value,
    ]
    assert len(set(bounds)) == 1
    errors = [evaluated["elbo_se"], report.elbo.standard_error]
    errors += [compared.measures["elbo"].standard_error]
    assert len(set(errors)) == 1
    # Scores are functions of the example alone: all examples share the noise of z, and of pixels.
    if name == "run":
        assert abs(scored.value - bounds[0]) < 3 * errors[0]
    rates = [test["rate"], evaluated["rate"], list(report.rate), list(compared.rate)]
    assert all(rate == rates[0] for rate in rates)
    terms = [test["log_likelihood_term"], evaluated["log_likelihood_term"]]
    terms += [report.log_likelihood_term]
    assert len(set(terms)) == 1


def test_the_likelihood_of_a_comparison_is_that_of_evaluate(run, tmp_path):
    compared = measure([run, copied(run, tmp_path / "copy")], samples=3).first
    alone = run.evaluate(samples=3)
    estimate = Estimate(alone["log_likelihood"], alone["log_likelihood_se"])
    assert compared.measures["log_likelihood"] == estimate
    assert compared.measured.importance.effective_samples == alone["effective_samples"]


def test_runs_are_compared_on_data_in_memory(run, tmp_path):
    pixels = run.data().split("test").values_at(slice(0, 40))
    compared = measure([run, copied(run, tmp_path / "copy")], data=pixels, samples=2)
    assert compared.first.measures["elbo"].value == pytest.approx(
        run.evaluate(pixels, samples=2)["elbo"]
    )
    assert compared.source == "<memory>"


def test_the_command_line_says_the_same(run, command):
    _, out, _ = command("evaluate", run.folder, "--samples", 2, "--json")
    found = json.loads(out.splitlines()[-1])
    assert found["elbo"] == run.summary["test"]["elbo"]
    assert found["draws"] == draws_for(found["examples"]) == 27


def test_a_recommender_has_the_same_metrics_wherever_they_are_shown(recommender):
    test = recommender.summary["test"]
    evaluated = lowerbound.load(recommender.folder).evaluate()
    report = findings(recommender).compared.rankings["model"]
    shared = [name for name in test if name in evaluated["metrics"]]
    assert {"ndcg@10", "recall@20"} <= set(shared)
    for name in shared:
        assert test[name] == evaluated["metrics"][name]
    for name in report.metrics:
        assert report[name].value == evaluated["metrics"][name]
        assert report[name].standard_error == evaluated["standard_errors"][name]


def test_a_recommender_is_compared_by_the_same_metrics(recommender, tmp_path):
    found = measure([recommender, copied(recommender, tmp_path / "copy")])
    evaluated = recommender.evaluate()
    for name, estimate in found.first.measures.items():
        assert estimate.value == evaluated["metrics"][name]
    assert list(found.first.rate) == evaluated["rate"]


# Draws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("examples", "draws"), [(0, 50), (1, 50), (200, 50), (359, 27), (1000, 10), (60_000, 10)]
)
def test_the_draws_of_an_example_hang_on_the_number_of_examples_alone(examples, draws):
    assert draws_for(examples) == draws


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_noise_of_the_draws_is_well_below_the_standard_error(run, split):
    examples = run.data().split(split)
    draws = draws_for(len(examples))
    one, other = (
        bound(run.model, examples, samples=1, seed=seed).per_example.numpy() for seed in (1, 2)
    )
    noise = math.sqrt(((one - other) ** 2).mean() / 2 / draws / len(examples))
    found = bound(run.model, examples, samples=draws)
    assert noise < found.elbo.standard_error / 5


def objective_by_hand(run, objective, group, draws):
    """The mean of an objective over groups of draws, from the terms of each batch."""
    examples = run.data().split("test")
    torch.manual_seed(0)
    with torch.no_grad():
        x = examples.batch(slice(None))
        terms = run.model.terms(x, draws, objective.kl)
    losses = []
    for start in range(0, draws - group + 1, group):
        part = slice(start, start + group)
        fields = (terms.log_likelihood[part], terms.rate[part], terms.log_weight[part])
        losses.append(objective(Terms(*(field.double() for field in fields))).item())
    return np.mean(losses)


@pytest.mark.parametrize("group", [1, 4, 27])
@pytest.mark.parametrize("objective", [Iwae(), Elbo(free_bits=2.0), Elbo(beta=3.0)])
def test_the_objective_is_measured_on_the_same_draws_in_groups(run, monkeypatch, group, objective):
    # All examples make one chunk, so that the draws are those of one batch.
    monkeypatch.setattr("lowerbound.evaluation.batches.CHUNK_NUMBERS", 2**30)
    examples = run.data().split("test")
    columns = measure_split(examples, run.model, MeasureSettings()).columns(objective, group)
    wanted = objective_by_hand(run, objective, group, 27)
    assert columns["objective"] == pytest.approx(wanted, rel=1e-9)
    assert columns["elbo"] == measure_split(examples, run.model, MeasureSettings()).bound.elbo.value


def test_an_objective_of_more_draws_than_the_bound_has_draws_of_its_own(run):
    examples = run.data().split("test")
    columns = measure_split(examples, run.model, MeasureSettings()).columns(Iwae(), 60)
    alone = bound(run.model, examples, samples=60, objective=Iwae())
    assert columns["objective"] == alone.objective
    assert columns["elbo"] == bound(run.model, examples, samples=27).elbo.value


def test_validation_has_the_draws_and_the_seed_of_the_training(run):
    examples = run.data().validation
    settings = run.recipe.training
    found = measured(run.model, examples, Elbo(), settings, 2)
    seed = lowerbound.training.derive_seed(settings.seed, 2)
    wanted = bound(run.model, examples, samples=settings.samples, objective=Elbo(), seed=seed)
    assert found["elbo"] == wanted.elbo.value
    assert found["objective"] == wanted.objective


def test_an_autoencoder_has_a_likelihood_term_alone(home):
    run = fitted(home / "ae", **{"model.posterior": "Delta", "objective": "Reconstruction"})
    settings = MeasureSettings(has_bound=False)
    found = measure_split(run.data().split("test"), run.model, settings)
    assert isinstance(found, DenseMeasures)
    assert found.names == found.main == ("log_likelihood_term",)
    assert found.rate == ()
    assert run.summary["test"]["log_likelihood_term"] == found.bound.log_likelihood_term


@pytest.mark.parametrize(
    ("monitor", "items", "metric"),
    [
        ("objective", 1000, "ndcg@100"),
        ("objective", 30, "ndcg@20"),
        ("objective", 3, "ndcg@3"),
        ("recall@50", 1000, "recall@50"),
        ("recall@50", 30, "recall@30"),
        ("mrr", 1000, "mrr@20"),
    ],
)
def test_the_metric_that_decides(monitor, items, metric):
    assert deciding_metric(monitor, items) == metric


# Arithmetic ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "clear", "above"),
    [
        (2.1, 1.0, True, True),
        (2.0, 1.0, False, False),
        (-2.1, 1.0, True, False),
        (0.0, 0.0, False, False),
        (1.0, math.nan, False, False),
    ],
)
def test_a_difference_is_clear_beyond_two_standard_errors(value, error, clear, above):
    estimate = Estimate(value, error)
    assert (estimate.is_clear, estimate.is_clearly_above) == (clear, above)


def test_columns_are_apart_as_each_of_them_is():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(50, 3)), generator.normal(size=(70, 3)) + 0.5
    wanted = [kolmogorov_smirnov(first[:, i], second[:, i]) for i in range(3)]
    assert column_distances(first, second).tolist() == wanted


# Splits ----------------------------------------------------------------------------------------


def test_every_split_answers_for_itself(run, recommender):
    dense, users = run.data(), recommender.data()
    for data in (dense, users):
        for name in ("train", "validation", "test", "all"):
            assert isinstance(data.split(name), Split)
    assert isinstance(dense.test, Examples)
    assert isinstance(users.test, History)
    assert isinstance(
        measure_split(users.split("test"), recommender.model, MeasureSettings()), RankedMeasures
    )
    assert list(dense.test.names_of_rows()) == ["row", "label"]
    assert users.test.names_of_rows() == {"user": users.test.users.tolist()}
    assert dense.test.counts(slice(None)) is None
    assert dense.test.seen(slice(None)) is None
    assert users.test.counts(slice(None)).tolist() == np.diff(users.test.matrix.indptr).tolist()
    assert len(set(dense.test.hashes(dense.schema))) > 300
    assert users.test.hashes(users.schema) == []
    assert (dense.schema.unit, users.schema.unit) == ("examples", "users")


def test_splits_of_the_same_rows_are_known(run, recommender):
    dense, users = run.data(), recommender.data()
    assert dense.test.holds_same_rows(run.data().test)
    assert not dense.test.holds_same_rows(dense.validation)
    assert users.test.holds_same_rows(recommender.data().test)
    assert not users.test.holds_same_rows(users.validation)
    assert not dense.test.holds_same_rows(users.test)
    assert not users.test.holds_same_rows(dense.test)


def test_a_split_of_another_kind_is_refused_or_none(run, recommender):
    dense, users = run.data(), recommender.data()
    with pytest.raises(DataError, match="has users and items"):
        users.examples("test")
    assert dense.users("test") is None
    assert dense.held_out("test") is None
    assert users.held_out("train") is None
    assert users.held_out("test") is users.test
    assert users.train.lacks_targets()
    assert not users.test.lacks_targets()
    assert not dense.train.lacks_targets()
