"""`benchmarks/table_anomalies.py` and its peers: the tables, the halves, what the peers see, and
the measures against truths of their own.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lowerbound.evaluation import auroc, average_precision

FOLDER = Path(__file__).parents[2] / "benchmarks"
if str(FOLDER) not in sys.path:
    sys.path.append(str(FOLDER))

bench = importlib.import_module("table_anomalies")
peers = importlib.import_module("table_anomalies_peers")


def small_table(rows=200, anomalies=20, seed=0):
    """Three correlated columns of text, and anomalies that are far away."""
    random = np.random.default_rng(seed)
    marks = np.arange(rows) < anomalies
    values = random.normal(size=(rows, 1)) + random.normal(0, 0.3, (rows, 3))
    values[marks] += 6 * random.choice([-1, 1], (anomalies, 3))
    cells = [[f"{value:.4f}" for value in row] for row in values]
    return bench.Table("made here", peers.numbered(3), cells, marks)


# The generated table


@pytest.fixture(scope="module")
def generated():
    return bench.generate(rows=6_000, share=0.05)


def test_the_generated_table_has_three_kinds_in_equal_parts(generated):
    values, kinds = generated
    assert values.shape == (6_000, 30)
    assert np.isfinite(values).all()
    names, counts = np.unique(kinds.astype(str), return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
        "": 5_700,
        "cluster": 100,
        "dependence": 100,
        "outlier": 100,
    }


def test_the_same_seed_generates_the_same_table(generated):
    again, kinds = bench.generate(rows=6_000, share=0.05)
    assert np.array_equal(again, generated[0])
    assert np.array_equal(kinds, generated[1])
    assert not np.array_equal(bench.generate(rows=6_000, share=0.05, seed=1)[0], generated[0])


def test_an_outlier_is_one_value_far_from_the_mean(generated):
    values, kinds = generated
    ordinary = values[kinds == ""]
    distances = np.abs(values - ordinary.mean(0)) / ordinary.std(0)
    most = distances[kinds == "outlier"].max(1)
    assert (most > 4.8).all()
    assert np.median(np.sort(distances[kinds == "outlier"], 1)[:, -2]) < 3


def test_broken_dependence_keeps_the_columns_and_breaks_what_joins_them(generated):
    values, kinds = generated
    known = values[kinds == ""]
    broken = values[kinds == "dependence"]
    for column in range(30):
        assert np.isin(broken[:, column], values[:, column]).all()
        error = known[:, column].std() / np.sqrt(len(broken))
        assert abs(broken[:, column].mean() - known[:, column].mean()) < 5 * error
    inverse = np.linalg.inv(np.cov(known.T))
    centred = [part - known.mean(0) for part in (known, broken)]
    far = [np.einsum("nd,de,ne->n", part, inverse, part).mean() for part in centred]
    assert far[1] > 2 * far[0]


def test_a_cluster_is_near_one_point(generated):
    values, kinds = generated
    spread = values[kinds == "cluster"].std(0) / values[kinds == ""].std(0)
    assert spread == pytest.approx(np.full(30, 0.1), rel=0.4)


# Halves


def test_halves_part_the_anomalies_and_the_ordinary_rows_alike():
    marks = np.arange(101) < 11
    first, second = bench.halves(marks, 0)
    assert sorted([*first, *second]) == list(range(101))
    assert marks[first].sum() == 5
    assert len(first) == 50
    assert not np.array_equal(first, bench.halves(marks, 1)[0])


def test_rows_to_fit_do_not_tell_the_truth(tmp_path):
    table = small_table(rows=10, anomalies=2)
    bench.write_rows(table, np.array([0, 5]), tmp_path / "train.csv")
    bench.write_rows(table, np.array([1, 6]), tmp_path / "rows.csv", truth=True)
    assert (tmp_path / "train.csv").read_text().splitlines()[0] == "x1,x2,x3"
    assert bench.read_table(tmp_path / "rows.csv", "").anomalies.tolist() == [True, False]
    assert list(peers.columns_of(tmp_path / "rows.csv")) == ["x1", "x2", "x3"]


# What the peers see


def prepared(tmp_path, train, rows):
    (tmp_path / "train.csv").write_text(train)
    (tmp_path / "rows.csv").write_text(rows)
    return peers.prepare(tmp_path / "train.csv", tmp_path / "rows.csv")


def test_numbers_are_standardised_by_the_training_rows_with_gaps_as_the_median(tmp_path):
    train, rows = prepared(tmp_path, "a\n1\n2\n?\n6\n", "a,anomaly\n2,1\n,0\n")
    filled = np.array([1.0, 2.0, 2.0, 6.0])
    assert train[:, 0] == pytest.approx((filled - filled.mean()) / filled.std())
    assert rows[:, 0] == pytest.approx(np.repeat((2 - filled.mean()) / filled.std(), 2))


def test_categories_become_a_column_for_each_level_of_the_training_rows(tmp_path):
    train, rows = prepared(tmp_path, "a\nred\nblue\n?\n", "a,anomaly\nblue,1\ngreen,0\n")
    assert train.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert rows.tolist() == [[0, 1, 0], [0, 0, 0]]


def test_columns_that_never_change_are_left_out(tmp_path):
    train, _ = prepared(tmp_path, "a,b,c,d\n1,x,?,3\n1,x,?,4\n", "a,b,c,d\n2,y,5,3\n1,x,?,4\n")
    assert train.shape == (2, 1)


@pytest.mark.parametrize("name", peers.METHODS)
def test_the_scores_of_a_peer_are_high_for_anomalies(name, tmp_path):
    if name == "ecod":
        pytest.importorskip("pyod", reason="PyOD is a peer, which `make peers` installs")
    table = small_table()
    bench.write_rows(table, np.arange(20, 200), tmp_path / "train.csv")
    bench.write_rows(table, np.arange(200), tmp_path / "rows.csv", truth=True)
    seconds = peers.run(name, tmp_path, 0)
    scores = np.load(tmp_path / f"{name}.npy")
    assert auroc(scores[20:], scores[:20]).value > 0.98
    assert min(seconds.values()) >= 0


def test_the_mixture_has_as_many_components_as_bic_says():
    random = np.random.default_rng(0)
    values = random.normal(size=(400, 2)) * 0.1 + random.integers(2, size=(400, 1)) * 5
    method = peers.GaussianMixture(0)
    method.fit(values)
    assert method.mixtures[0].n_components == 2


def test_thinning_keeps_all_ordinary_rows_and_some_anomalies():
    table = peers.Table("", ["a"], [[str(n)] for n in range(10)], [n > 5 for n in range(10)])
    found = peers.thinned(table, 2)
    assert sum(found.anomalies) == 2
    assert found.rows[:6] == table.rows[:6]
    assert all((int(row[0]) > 5) == mark for row, mark in zip(found.rows, found.anomalies))  # noqa: B905


def test_a_package_that_is_absent_is_named():
    with pytest.raises(FileNotFoundError, match="no_such_package is not installed"):
        peers.file_of("no_such_package", "data.csv")


# Ours


def test_ours_fits_and_scores_the_files(tmp_path, monkeypatch):
    monkeypatch.setitem(bench.SETTINGS, "training.epochs", 40)
    table = small_table(rows=300)
    bench.write_rows(table, np.arange(20, 300), tmp_path / "train.csv")
    bench.write_rows(table, np.arange(300), tmp_path / "rows.csv", truth=True)
    seconds = bench.fit_and_score(tmp_path, "table", 0)
    assert set(seconds) == {"fit", "score"}
    for name in bench.SCORES:
        scores = np.load(tmp_path / f"{name}.npy")
        assert auroc(scores[20:], scores[:20]).value > 0.9


# Measures


def drawn(random, anomalies=30, ordinary=150):
    """Two scores of the same rows that go together."""
    marks = np.arange(anomalies + ordinary) < anomalies
    shared = random.normal(size=len(marks)) + marks
    return marks, *(shared + random.normal(0, noise, len(marks)) for noise in (0.5, 1.0))


def test_the_difference_of_areas_has_the_error_that_repeated_draws_have():
    random = np.random.default_rng(0)
    found = [bench.area_difference(*drawn(random)) for _ in range(400)]
    values, errors = map(np.array, zip(*found, strict=True))
    assert errors.mean() == pytest.approx(values.std(), rel=0.1)
    marks, first, second = drawn(random)
    areas = [auroc(scores[~marks], scores[marks]) for scores in (first, second)]
    value, error = bench.area_difference(marks, first, second)
    assert value == pytest.approx(areas[0].value - areas[1].value)
    assert error < np.hypot(areas[0].standard_error, areas[1].standard_error)
    assert bench.area_difference(marks, first, first) == (0, 0)


def test_the_error_of_the_average_precision_is_that_of_repeated_draws():
    random = np.random.default_rng(0)
    samples = [drawn(random)[:2] for _ in range(200)]
    values = [average_precision(*sample) for sample in samples]
    errors = [bench.precision_error(*sample, seed=0) for sample in samples[:5]]
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.25)


def given(methods, **more):
    options = {"peer": sys.executable, "threads": 1, "recipe": "table", "seeds": [0, 1]}
    return argparse.Namespace(methods=methods, **options | more)


def test_a_half_is_scored_by_a_process_of_its_own():
    found = bench.measure_half(small_table(), "ordinary", 0, given(["isolation-forest"]))
    assert found["isolation-forest"]["auroc"][0] > 0.98
    assert set(found["isolation-forest"]["seconds"]) == {"fit", "score"}


def test_a_method_that_fails_is_an_error_line():
    asked = given(["ecod"], peer="/no/python")
    assert bench.measure_half(small_table(), "contaminated", 0, asked) == {
        "ecod": {
            "error": "python: No such file or directory; `make peers` installs the peers",
        }
    }


def test_measures_of_one_score_are_means_over_the_seeds():
    rows = [
        {"auroc": [0.8, 0.1], "seconds": {"fit": 1.0}},
        {"auroc": [0.6, 0.3], "seconds": {"fit": 2.0}},
    ]
    found = bench.pooled(rows)
    assert found["auroc"]["value"] == pytest.approx(0.7)
    assert found["auroc"]["standard_error"] == pytest.approx(0.2)
    assert found["auroc"]["seeds"] == [0.8, 0.6]
    assert found["seconds"] == {"fit": 1.5}
    assert bench.pooled([*rows, {"error": "no"}]) == {"error": "no"}


def test_the_tables_show_what_is_lost_and_what_has_no_scores():
    def row(name, score, area, **more):
        value = {"value": area, "standard_error": 0.01}
        return {"set": name, "protocol": "ordinary", "score": score, "auroc": value, **more}

    lost = {"value": -0.1, "standard_error": 0.02}
    rows = [
        row("a", "ours, log_likelihood", 0.8),
        row("a", "ecod", 0.9, **{"ours minus it": lost}),
        row("b", "ecod", 0.7),
        {"set": "b", "protocol": "ordinary", "score": "ours", "error": "columns"},
    ]
    facts = {"source": "here", "columns": 3, "mixed": True, "gaps": 0.0}
    counts = {"rows": 1_000, "anomalies": 50}
    text = bench.markdown(rows, {"a": facts | counts, "b": facts | counts})
    assert "| a (5.0%) | 0.800 ± 0.010 | 0.900 ± 0.010 |" in text
    assert "| b (5.0%) | none | 0.700 ± 0.010 |" in text
    assert "at or above ecod on 0 of 2; beyond two standard errors: a -0.100 ± 0.020" in text
    assert "no scores: b, ordinary: ours: columns" in text
    assert "| a | 1,000 | 3, mixed | 0.0% | 50 (5.0%) | here |" in text


def test_a_run_keeps_the_rows_of_tables_that_it_does_not_measure(tmp_path):
    def row(name, protocol, score):
        return {"set": name, "protocol": protocol, "score": score}

    earlier = [
        row("generated", "ordinary", "ecod"),
        row("wbc", "ordinary", "ecod"),
        row("wbc", "contaminated", "ecod"),
        row("wbc", "contaminated", "ours, elbo"),
    ]
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"sets": {"generated": {}, "wbc": {}}, "rows": earlier}))
    found = bench.kept(path, {("wbc", "ordinary")})
    assert found["rows"] == [earlier[0], *earlier[2:]]
    found = bench.in_order(found)
    assert list(found["sets"]) == ["wbc", "generated"]
    assert found["rows"] == [earlier[3], earlier[2], earlier[0]]
    assert bench.kept(tmp_path / "none.json", set()) == {"sets": {}, "rows": []}
