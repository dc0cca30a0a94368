"""The benchmark of imputation measures what it says."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import lognorm, norm

from lowerbound.baselines import GaussianEM

FOLDER = Path(__file__).parents[2] / "benchmarks"


def script(name):
    """A module of `benchmarks/`, which is no part of the package."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)


imputation = script("imputation")

COLUMNS = (
    imputation.Column("size", "positive"),
    imputation.Column("visits", "count"),
    imputation.Column("grade", "ordinal", 4),
    imputation.Column("colour", "categorical", 3),
)


def task(truth, hidden, columns=COLUMNS):
    return imputation.Task("made up", 50, 1, columns, np.array(truth), np.array(hidden, bool))


def test_errors_are_those_of_the_paper():
    """By hand: 2 / 10 and 1 / 4 of the range, 3 / 4 and 1 / 4 of the levels, half wrong."""
    made = task(
        truth=[[0.0, 1, 3, 0], [10.0, 5, 0, 1], [4.0, 3, 1, 2], [5.0, np.nan, 2, 2]],
        hidden=[[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]],
    )
    single = made.truth.copy()
    single[2] = [6.0, 4.0, 1, 2]
    single[:2, 2:] = [[0, 0], [1, 2]]
    found = imputation.error_by_kind(made, single)
    assert found["numbers"] == pytest.approx((0.2 + 0.25) / 2)
    assert found["ordinal"] == pytest.approx((3 + 1) / 2 / 4)
    assert found["categorical"] == 0.5
    assert found["error"] == pytest.approx((0.2 + 0.25 + 0.5 + 0.5) / 4)
    assert np.isnan(made.values[made.hidden]).all()


def test_the_square_error_is_over_hidden_cells():
    made = task([[1.0, 2.0], [3.0, 4.0]], [[True, False], [False, True]], COLUMNS[:2])
    single = np.array([[2.0, 99.0], [99.0, 1.0]])
    assert imputation.square_error(made, single) == {"error": 5.0}


def test_the_first_mask_is_that_of_the_notebook():
    """The same calls, as its text has them."""
    np.random.seed(1234)  # noqa: NPY002
    expected = np.zeros(178 * 13, dtype=bool)
    expected[np.random.choice(178 * 13, 178 * 13 // 2, replace=False)] = True  # noqa: NPY002
    np.testing.assert_array_equal(imputation.miwae_mask((178, 13), 1234), expected.reshape(178, 13))


@pytest.mark.parametrize("draws", [19, 100])
def test_perfect_draws_cover_nine_of_ten(draws):
    random = np.random.default_rng(0)
    shape = (20_000, 2)
    truth = random.normal(size=shape)
    made = task(truth, np.ones(shape, dtype=bool), COLUMNS[:2])
    share = imputation.coverage(made, (random.normal(size=shape) for _ in range(draws)))
    assert share == pytest.approx(0.9, abs=0.006)
    narrow = imputation.coverage(made, (0.5 * random.normal(size=shape) for _ in range(draws)))
    exact = 2 * norm.cdf(0.5 * norm.ppf(0.95)) - 1
    assert narrow == pytest.approx(exact, abs=0.05)
    levels = task(np.zeros((3, 2)), np.ones((3, 2), dtype=bool), COLUMNS[2:])
    assert imputation.coverage(levels, iter([])) is None


def test_the_bound_of_discrete_columns_is_below_the_entropy_that_nobody_beats():
    """Whole numbers 0 to 3, uniform and alone: log p is at most -log 4. A Gaussian of variance
    16 / 12 with uniform noise on them is near -1/2 log(2 pi e 16 / 12).
    """
    random = np.random.default_rng(0)
    values = random.integers(0, 4, (4000, 1)).astype(float)
    column = (imputation.Column("visits", "count", discrete=True),)
    logs = imputation.Logs.of(column, values, positive=False)
    log_prob = imputation.dequantised_log_prob(GaussianEM(ridge=0.0), values, column, logs, 0)
    found = log_prob(values).mean()
    assert found < -np.log(4)
    assert found == pytest.approx(-0.5 * np.log(2 * np.pi * np.e * 16 / 12), abs=0.02)


def test_densities_are_told_of_hidden_cells_given_the_known_ones():
    made = task([[1.0, 2.0], [3.0, 4.0]], [[True, False], [False, True]], COLUMNS[:2])
    found = imputation.log_probs(made, lambda table: np.nansum(table, axis=1))
    assert found["log_prob"] == 2.5
    assert found["hidden_log_prob"] == 2.5
    assert found["log_prob_error"] == pytest.approx(0.5)
    assert found["hidden_log_prob_error"] == pytest.approx(1.5)


def test_tables_are_read_with_levels_as_codes(tmp_path):
    pl.DataFrame(
        {
            "size": [1.5, 2.0, 4.0],
            "grade": [-2, None, 1],
            "colour": ["c10", "c2", "c2"],
        }
    ).write_parquet(tmp_path / "data.parquet")
    kinds = {
        "size": {"kind": "real"},
        "grade": {"kind": "ordinal", "levels": 4},
        "colour": {"kind": "categorical", "levels": 3},
    }
    (tmp_path / "kinds.json").write_text(json.dumps(kinds))
    columns, values = imputation.mixed_table(tmp_path)
    np.testing.assert_array_equal(values, [[1.5, 0, 1], [2, np.nan, 0], [4, 3, 0]])
    assert [column.kind for column in columns] == ["real", "ordinal", "categorical"]
    assert [column.discrete for column in columns] == [False, True, True]
    assert columns[1].for_imputer().ordered
    assert columns[2].for_imputer().is_unordered


def test_what_was_measured_is_not_measured_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys,
        "argv",
        [
            *("imputation.py", "--protocol", "numbers", "--data", "wine", "--masks", "1"),
            *("--only", "mean or mode", "kNN", "--results", str(tmp_path), "--threads", "1"),
        ],
    )
    imputation.main()
    first = (tmp_path / "imputation-numbers.json").read_text()
    assert {row["contestant"] for row in json.loads(first)["rows"]} == {"mean or mode", "kNN"}
    assert "| wine | 50 % | kNN | 0.71" in capsys.readouterr().out
    monkeypatch.setattr(imputation, "measured", None)
    imputation.main()
    assert (tmp_path / "imputation-numbers.json").read_text() == first


def test_a_table_has_means_with_standard_errors():
    rows = [
        {"data": "wine", "share": 50, "contestant": "kNN", "error": error}
        for error in (0.1, 0.2, 0.3)
    ]
    rows.append({"data": "wine", "share": 50, "contestant": "EM", "error": 0.125, "coverage": 0.9})
    assert imputation.table(rows) == [
        "| data | hidden | contestant | error | coverage of 90 % |",
        "|---|---|---|---|---|",
        "| wine | 50 % | kNN | 0.2000 ± 0.0577 | - |",
        "| wine | 50 % | EM | 0.1250 | 0.900 |",
    ]


def test_logs_are_undone_and_their_density_is_in_the_units_of_the_data():
    """A log-normal column, whose density is known, beside one that is left as it is."""
    random = np.random.default_rng(0)
    values = np.column_stack([np.exp(2 + 0.5 * random.normal(size=5000)), random.normal(size=5000)])
    values[:7, 0] = np.nan
    columns = (imputation.Column("size", "positive"), imputation.Column("shift", "real"))
    logs = imputation.Logs.of(columns, values, positive=True)
    np.testing.assert_allclose(logs.undo(logs.take(values)), values, rtol=1e-12)
    log_prob = imputation.dequantised_log_prob(GaussianEM(ridge=0.0), values, columns, logs, 0)
    expected = norm.logpdf(values[:, 1])
    expected[7:] += lognorm.logpdf(values[7:, 0], 0.5, scale=np.exp(2))
    np.testing.assert_allclose(log_prob(values), expected, rtol=0.05, atol=0.05)
    made = imputation.gaussian(GaussianEM(), in_logs=True).fit_and_impute(values, columns, 0)
    np.testing.assert_allclose(made.single[:7, 0], np.exp(2), rtol=0.1)
    whole = (imputation.Column("paid", "positive", discrete=True),)
    paid = imputation.Logs.of(whole, np.array([[5.0], [np.nan]]), positive=True)
    np.testing.assert_allclose(paid.take(np.array([[0.0], [np.e - 1]])), [[0], [1]], atol=1e-12)
    np.testing.assert_array_equal(paid.undo(np.array([[-3.0], [20.0]])), [[0], [5]])
