"""Errors of imputations by hand, their standard errors by simulation, and `evaluate --hide`."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from sample_tables import made, with_gaps
from table_truths import LinearGaussian

import lowerbound
from lowerbound.cli.hidden import hidden_lines
from lowerbound.cli.use import imputation_lines
from lowerbound.columns import Coding, ColumnSchema
from lowerbound.errors import ConfigError, DataError
from lowerbound.imputation import MEASURES, HiddenMeasures, WrittenImputation, measure_hidden
from lowerbound.imputation.completion import Completer
from lowerbound.imputation.errors import CellErrors, mean_over_rows
from lowerbound.imputation.hiding import OURS, draw_hidden, interval_coverage

NAN = float("nan")

COLUMNS = (
    ColumnSchema("n", "real", low=0.0, high=10.0),
    ColumnSchema("o", "ordinal", "integer", ("1", "2", "3", "4")),
    ColumnSchema("c", "categorical", "text", ("a", "b", "c")),
    ColumnSchema("m", "count", "integer", low=0.0, high=4.0),
)

TRUTH = np.array([[1.0, 3.0, NAN, 0.0], [3.0, 0.0, 2.0, NAN], [NAN, 1.0, 1.0, 4.0]])

IMPUTED = np.array([[2.0, 1.0, 0.0, 0.0], [6.0, 0.0, 2.0, 9.0], [7.0, 2.0, 0.0, 2.0]])


def errors(columns=COLUMNS, truth=TRUTH, imputed=IMPUTED, deviation=None):
    if deviation is None:
        deviation = np.array([2.0, 1.0, 1.0, 1.0])
    return CellErrors(columns, truth, imputed, deviation)


def test_every_kind_has_its_error():
    of_columns = errors().by_column()
    found = {name: estimate.value for name, estimate in of_columns.items()}
    assert found == pytest.approx(
        {
            "n": math.sqrt((1 + 9) / 2) / 10,
            "o": (2 + 0 + 1) / 3 / 4,
            "c": 1 / 2,
            "m": math.sqrt((0 + 4) / 2) / 4,
        }
    )
    kinds = {kind: estimate.value for kind, estimate in errors().by_kind().items()}
    assert list(kinds) == ["real", "count", "ordinal", "categorical"]
    assert set(kinds) <= set(MEASURES)
    assert errors().mean().value == pytest.approx(np.mean(list(found.values())))
    squares = [1 / 4, 9 / 4, 0, 4]
    assert errors().standardised().value == pytest.approx(np.mean(squares))


def test_columns_of_which_nothing_was_hidden_are_left_out():
    truth = TRUTH.copy()
    truth[:, [0, 2]] = NAN
    assert list(errors(truth=truth).by_column()) == ["o", "m"]
    assert list(errors(truth=truth).by_kind()) == ["count", "ordinal"]
    only = errors(COLUMNS[1:3], TRUTH[:, 1:3], IMPUTED[:, 1:3], np.ones(2))
    assert only.standardised() is None


def test_standard_errors_are_the_spread_of_the_errors():
    """Of tables that are drawn anew, whose cells go wrong together within a row."""
    random = np.random.default_rng(0)
    values = []
    told = []
    differences = []
    told_differences = []
    for _ in range(200):
        together = random.normal(size=(150, 1))
        truth = np.where(random.random((150, 4)) < 0.5, 0.0, NAN)
        noise = together + random.normal(size=(150, 4))
        first = errors(truth=truth, imputed=np.abs(noise.round()))
        second = errors(truth=truth, imputed=np.abs((1.3 * noise).round()))
        values.append(first.mean().value)
        told.append(first.mean().standard_error)
        differences.append(first.difference(second).value)
        told_differences.append(first.difference(second).standard_error)
    assert np.mean(told) == pytest.approx(np.std(values), rel=0.2)
    assert np.mean(told_differences) == pytest.approx(np.std(differences), rel=0.2)
    assert np.mean(told_differences) < np.mean(told)


def test_a_mean_over_cells_has_the_standard_error_of_rows():
    values = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, NAN]])
    found = mean_over_rows(values)
    assert found.value == 0.6
    assert found.standard_error == pytest.approx(math.sqrt(0.8**2 + 1.2**2 + 0.4**2) / 5)


def test_one_row_has_no_standard_error():
    """None is known of the spread between rows, which is not the same as none."""
    one = errors(truth=TRUTH[:1], imputed=IMPUTED[:1])
    other = errors(truth=TRUTH[:1], imputed=IMPUTED[1:2])
    found = [one.mean(), one.difference(other), one.standardised(), *one.by_column().values()]
    assert all(math.isnan(estimate.standard_error) for estimate in found)
    assert not math.isnan(errors().mean().standard_error)


def test_methods_without_errors_have_none():
    perfect = errors(imputed=np.nan_to_num(TRUTH))
    assert perfect.mean() == (0.0, 0.0)


def test_cells_are_hidden_with_one_probability_and_gaps_are_none():
    values = np.where(np.arange(50_000).reshape(-1, 5) % 7 == 0, NAN, 1.0)
    hidden = draw_hidden(values, 0.2, 0)
    assert not hidden[np.isnan(values)].any()
    share = hidden.sum(axis=0) / (~np.isnan(values)).sum(axis=0)
    assert share == pytest.approx([0.2] * 5, abs=0.02)
    assert not np.array_equal(hidden, draw_hidden(values, 0.2, 1))


def test_intervals_of_the_right_model_cover_as_often_as_they_say():
    world = LinearGaussian()
    drawn = world.model.sample(300, mean=False).numpy()
    values = Coding(world.columns).decode(drawn)
    hidden = draw_hidden(values, 0.4, 0)
    settings = {"samples": 400, "interval": 0.9}
    completed = Completer(world.model, world.columns, **settings).complete(
        np.where(hidden, NAN, values)
    )
    coverage = interval_coverage(np.where(hidden, values, NAN), completed)
    assert abs(coverage.value - 0.9) < 4 * coverage.standard_error
    assert coverage.standard_error < 0.02


# Of a run ----------------------------------------------------------------------------------------


def measured(run, **settings):
    return measure_hidden(run, **{"hide": 0.3, "samples": 20, "progress": False, **settings})


def test_a_run_is_measured_beside_baselines_on_the_same_cells(run):
    found = measured(run, split="all")
    assert list(found.errors) == [OURS, "mean or mode", "Gaussian EM", "kNN"]
    values = run.data().whole.values
    hidden = draw_hidden(values, 0.3, 0)
    assert found.hidden == hidden.sum()
    place = [column.name for column in run.schema.table].index("height")
    train = run.data().train.values_at(slice(None))[:, place]
    wrong = (values[:, place] - train.mean().round(2))[hidden[:, place]]
    expected = math.sqrt((wrong**2).mean()) / (train.max() - train.min())
    assert found.errors["mean or mode"].by_column()["height"].value == pytest.approx(expected)
    assert found.describe() | {"methods": 0} == measured(run, split="all").describe() | {
        "methods": 0
    }
    assert found.hidden != measured(run, split="all", seed=1).hidden


def test_other_data_are_measured_with_their_gaps(run, monkeypatch):
    monkeypatch.setattr("lowerbound.imputation.hiding.MOST_ROWS", 30)
    found = measured(run, source=with_gaps(made(40, seed=5)))
    assert found.rows == 30
    assert found.split == "all"
    assert found.notes == ("30 of 40 all rows are measured",)
    assert not np.isnan(found.ours.losses[~np.isnan(found.ours.truth)]).any()


def test_without_its_own_data_a_run_is_measured_alone(run):
    loaded = lowerbound.load(run.folder)
    found = measured(loaded, source=made(30))
    assert list(found.errors) == [OURS]
    assert found.notes[0].startswith("no baselines: ")
    assert found.differences() == {}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"hide": 0}, "hide must be a share of the known cells, above 0 and below 1, got 0"),
        ({"hide": 1.0}, "hide must be a share of the known cells, above 0 and below 1, got 1.0"),
        ({"hide": True}, "hide must be a share of the known cells, above 0 and below 1, got True"),
        ({"samples": 0}, "samples must be 1 or more, got 0"),
    ],
)
def test_requests_that_are_none_are_refused(run, settings, line):
    with pytest.raises(ConfigError) as caught:
        measured(run, **settings)
    assert str(caught.value) == line


def test_nothing_hidden_is_refused(run):
    with pytest.raises(DataError) as caught:
        measured(run, source=made(2), hide=1e-9)
    assert str(caught.value) == "no cell of 2 rows was hidden; hide more"


def test_the_command_prints_the_table(run, tmp_path, command):
    made(60).write_parquet(tmp_path / "a.parquet")
    arguments = ["evaluate", str(run.folder), "--data", str(tmp_path / "a.parquet")]
    code, text, _ = command(*arguments, "--hide", "0.2", "--samples", "10")
    assert code == 0
    assert "60 all examples" in text
    assert "known cells hidden (20%, seed 0)" in text
    assert "categorical, error rate" in text
    assert "90% intervals of numbers cover" in text
    assert "note: no baselines: " in text
    made(1).write_parquet(tmp_path / "a.parquet")
    code, text, _ = command(*arguments, "--hide", "0.9", "--samples", "10")
    assert code == 0
    (line,) = [line for line in text.splitlines() if line.startswith("mean over columns")]
    assert line.endswith(" +- -")
    made(60).write_parquet(tmp_path / "a.parquet")
    code, text, _ = command(*arguments, "--hide", "0.2", "--samples", "10", "--json")
    assert code == 0
    found = json.loads(text.splitlines()[-1])
    assert found["examples"] == 60
    assert found["methods"][OURS]["by_kind"]["positive"]["value"] > 0


def test_a_column_whose_name_has_several_lines_takes_one_line():
    columns = (ColumnSchema("x\ny", "real", low=0.0, high=10.0),)
    found = errors(columns, TRUTH[:, :1], IMPUTED[:, :1], np.ones(1))
    measures = HiddenMeasures(
        {OURS: found}, None, np.ones(3), {OURS: 0.0}, 0.2, "all", "a", 5, 0, 3
    )
    (line,) = [line for line in hidden_lines(measures.describe()) if "y  " in line]
    assert line.startswith("  x y  ")
    written = WrittenImputation((Path("a.csv"),), 3, np.ones(3), {"x\ny": 2}, {}, "a", 5, ())
    assert any(line.split() == ["x", "y", "2"] for line in imputation_lines(written))
