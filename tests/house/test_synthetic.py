"""The scores of drawn rows in `benchmarks/`: that they tell good rows from bad ones, and by
what.
"""

import argparse
import ast
import importlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lowerbound.evaluation import Estimate, auroc

FOLDER = Path(__file__).parents[2] / "benchmarks"


def script(name):
    """A module of `benchmarks/`, which is no part of the package."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)


scores, tables = map(script, ("synthetic_scores", "synthetic_tables"))


def people(count, seed):
    """Rows in which the job goes with the age, and the pay with both."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 80, count)
    works = (age < 65) ^ (random.random(count) < 0.02)
    hours = np.where(works, 40, 0)
    high = random.random(count) < np.where(works & (age > 40), 0.8, 0.1)
    return pl.DataFrame(
        {
            "age": age,
            "job": np.where(works, "works", "rests"),
            "hours": hours,
            "weight": random.normal(70.0, 9.0, count),
            "pay": np.where(high, "high", "less"),
        }
    )


@pytest.fixture(scope="module")
def layout():
    return scores.Layout.of(people(2000, 0), "pay")


@pytest.fixture(scope="module")
def train(layout):
    return layout.aligned(people(2000, 0))


@pytest.fixture(scope="module")
def held(layout):
    return layout.aligned(people(1500, 1))


@pytest.fixture(scope="module")
def shuffled(train):
    return pl.DataFrame([column.shuffle(seed=place) for place, column in enumerate(train)])


# Rows as they come


def test_the_layout_is_that_of_the_training_rows(layout):
    assert layout.columns == ("age", "job", "hours", "weight", "pay")
    assert layout.levels == {"job": ["rests", "works"], "pay": ["high", "less"]}
    assert layout.whole == ("age", "hours")
    assert layout.numbers == ["age", "hours", "weight"]


@pytest.mark.parametrize("target", ["age", "elsewhere"])
def test_a_target_without_two_levels_is_refused(target):
    with pytest.raises(scores.RowsError, match=f"^the target '{target}' must be a column of text"):
        scores.Layout.of(people(10, 0), target)


def test_rows_are_aligned_by_name_and_gaps_of_text_are_a_level(layout):
    rows = pl.DataFrame(
        {
            "pay": ["high", None],
            "more": [1, 2],
            "weight": ["70.5", None],
            "job": pl.Series(["works", "sleeps"], dtype=pl.Categorical),
            "hours": [40, 0],
            "age": pl.Series([30, None], dtype=pl.UInt8),
        }
    )
    found = layout.aligned(rows)
    assert found.columns == list(layout.columns)
    assert found["pay"].to_list() == ["high", "?"]
    assert found["weight"][0] == 70.5
    codes = layout.codes(found, ["age", "job", "weight"])
    assert np.isnan(codes[1]).tolist() == [True, True, True]
    assert codes[0].tolist() == [30.0, 1.0, 70.5]


def test_rows_without_a_column_and_words_for_numbers_are_refused(layout):
    with pytest.raises(scores.RowsError, match=r"^no column age, pay; there are job, hours,"):
        layout.aligned(people(3, 0).drop("age", "pay"))
    words = people(3, 0).with_columns(pl.lit("old").alias("age"))
    with pytest.raises(scores.RowsError, match="old"):
        layout.aligned(words)


def test_files_are_read_by_their_names(tmp_path):
    rows = people(5, 0)
    rows.write_csv(tmp_path / "rows.csv")
    rows.write_parquet(tmp_path / "rows.parquet")
    assert scores.read(tmp_path / "rows.csv").equals(scores.read(tmp_path / "rows.parquet"))
    with pytest.raises(scores.RowsError, match=r"absent\.csv: "):
        scores.read(tmp_path / "absent.csv")


# What a classifier learns


def test_rows_teach_what_they_hold(train, held, shuffled, layout):
    labels = (held["pay"] == "less").to_numpy()
    taught = scores.foretold(train, held, layout)
    mistaught = scores.foretold(shuffled, held, layout)
    good = auroc(taught[~labels], taught[labels])
    bad = auroc(mistaught[~labels], mistaught[labels])
    assert good.value > 0.75
    assert abs(bad.value - 0.5) < 0.1
    apart = scores.difference(mistaught, taught, labels)
    assert apart.value == pytest.approx(bad.value - good.value, abs=1e-12)
    assert 0 < apart.standard_error < 0.05


def test_rows_of_one_level_teach_nothing(train, held, layout):
    one = train.filter(pl.col("pay") == "less")
    assert set(scores.foretold(one, held, layout)) == {0.5}


def test_the_error_of_a_difference_is_that_of_pairs():
    random = np.random.default_rng(0)
    labels = random.random(600) < 0.4
    first = labels + random.normal(0.0, 1.0, 600)
    second = first + random.normal(0.0, 0.5, 600)
    found = scores.difference(first, second, labels)
    drawn = []
    for _ in range(300):
        chosen = random.integers(0, 600, 600)
        drawn.append(scores.difference(first[chosen], second[chosen], labels[chosen]).value)
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.2)
    assert scores.difference(first, first, labels) == Estimate(0.0, 0.0)


# Told apart


def test_real_rows_are_not_told_from_real_ones(train, held, layout):
    found = scores.detected(train, held, layout)
    assert abs(found.auc.value - 0.5) < 4 * found.auc.standard_error
    assert max(found.importances.values()) < 0.05


def test_shuffled_columns_are_told_by_those_that_depend_on_each_other(shuffled, held, layout):
    found = scores.detected(shuffled, held, layout)
    assert found.auc.value > 0.65
    assert set(sorted(found.importances, key=found.importances.get)[-3:]) == {
        "age",
        "job",
        "hours",
    }
    assert found.surest.columns == list(layout.columns)
    mistakes = (found.surest["job"] == "works") != (found.surest["hours"] == 40)
    assert mistakes.all()
    for name, area in scores.alone(shuffled, held, layout).items():
        assert abs(area - 0.5) < 0.1, name


def test_a_column_that_is_wrong_is_told_alone(train, held, layout):
    heavier = train.with_columns(pl.col("weight") + 20)
    areas = scores.alone(heavier, held, layout)
    assert areas.pop("weight") > 0.85
    assert max(areas.values()) < 0.6


# How near


def test_the_nearest_row_is_that_of_all_distances(train, held, layout):
    rows = held[:7]
    others = train[:30]
    gower = scores.Gower.of(train, layout)
    wanted = []
    for row in rows.rows(named=True):
        distances = []
        for other in others.rows(named=True):
            sum_ = 0.0
            for name in layout.columns:
                if name in layout.levels:
                    sum_ += row[name] != other[name]
                else:
                    spread = train[name].max() - train[name].min()
                    sum_ += abs(row[name] - other[name]) / spread
            distances.append(sum_ / len(layout.columns))
        wanted.append(min(distances))
    assert gower.nearest(rows, others) == pytest.approx(wanted, abs=1e-6)


def test_rows_learned_by_heart_are_copies_and_nearer_to_the_training_rows(train, held, layout):
    found = scores.closeness(train, train, held, layout, count=300)
    assert found["copies"] == 1.0
    assert found["distance_median"].value == pytest.approx(0.0, abs=1e-6)
    assert found["nearer_train"].value > 0.8
    other = scores.closeness(held[:700], train, held[700:], layout, count=300)
    assert other["copies"] == 0.0
    assert other["distance_median"].value > 1e-4
    assert abs(other["nearer_train"].value - 0.5) < 4 * other["nearer_train"].standard_error


def test_a_quantile_has_the_error_of_the_bootstrap():
    values = np.random.default_rng(0).random(4000)
    found = scores.quantile(values, 0.5)
    assert found.value == pytest.approx(0.5, abs=0.05)
    assert found.standard_error == pytest.approx(0.5 / math.sqrt(4000), rel=0.3)


# Values and pairs


def test_values_and_pairs_that_are_wrong_are_named(train, held, layout):
    wrong = held.with_columns(
        pl.when(pl.col("hours") == 40).then(41.5).otherwise(-1.0).alias("hours")
    )
    named = scores.unlike_values(wrong, held, layout)[:4]
    assert {(column, value) for column, value, _, _ in named} == {
        ("hours", 40.0),
        ("hours", 41.5),
        ("hours", 0.0),
        ("hours", -1.0),
    }
    _, _, real, drawn = named[0]
    assert (real == 0) != (drawn == 0)
    marginal = scores.marginals(wrong, train, layout)["hours"]
    working = (held["hours"] == 40).mean()
    assert marginal["most_frequent"] == 40
    assert marginal["share_of_it"] == 0
    assert marginal["beyond_range"] == 1
    assert marginal["not_whole"] == pytest.approx(working)


def test_pairs_that_no_training_row_has_are_counted(layout):
    train = layout.aligned(people(2000, 0))
    rows = pl.concat([train[:3], train[:1].with_columns(pl.lit(7.0).alias("hours"))])
    share, pairs = scores.unseen_pairs(rows, train, layout)
    assert share == 0.25
    assert pairs == [("job", "hours", 0.25), ("hours", "pay", 0.25)]


# The contest


def options(tmp_path, **more):
    """Options of the script."""
    given = tables.options().parse_args([])
    folder = tmp_path / "people"
    folder.mkdir(exist_ok=True)
    people(200, 0).write_csv(folder / "train.csv")
    people(100, 1).write_csv(folder / "test.csv")
    chosen = {"data": folder, "target": "pay", "work": tmp_path, "threads": 1, "close": 50}
    return argparse.Namespace(**(vars(given) | chosen | more))


FAKE = """
import json, shutil, sys
import polars
print(sys.argv, file=sys.stderr)
work, name, train, out = sys.argv[1:5]
polars.read_csv(train).write_parquet(out)
seconds = {"fit_seconds": 2.0, "fit_cpu_seconds": 3.0, "sample_seconds": 0.5}
print(json.dumps(seconds | {"rows": 60, "epochs": 4}))
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A script that stands in for the peers'."""
    path = tmp_path / "peer.py"
    path.write_text(FAKE)
    monkeypatch.setattr(tables, "PEER_SCRIPT", path)
    return path


def test_a_peer_is_fitted_once(fake, tmp_path):
    given = options(tmp_path, peer=Path(sys.executable), rows=60, epochs=4)
    table = tables.Table.of(given)
    assert len(table.train) == 60
    found = tables.peer("TVAE", table, given)
    assert found["train_rows_per_second"] == 120
    assert found["train_rows_per_cpu_second"] == 80
    assert found["sampled_rows_per_second"] == 120
    assert len(scores.read(tmp_path / "TVAE.parquet")) == 60
    fake.write_text("raise ValueError('not again')")
    assert tables.peer("TVAE", table, given) == found
    with pytest.raises(tables.Failed, match=r"^ValueError: not again$"):
        tables.peer("TVAE", table, options(tmp_path, peer=given.peer, rows=60, epochs=5))
    assert not (tmp_path / "TVAE.json").exists()


def test_a_peer_without_an_interpreter_is_an_error_line(tmp_path):
    given = options(tmp_path, peer=tmp_path / "python", only=["CTGAN"])
    table = tables.Table.of(given)
    found = tables.contest(table, given)
    assert "`make peers` installs the peers" in found["CTGAN"]["error"]
    assert list(found) == ["real", "shuffled", "CTGAN"]
    assert found["real"]["told_apart"].value == pytest.approx(0.5, abs=0.2)
    assert found["real"]["auc_less_real"] == Estimate(0.0, 0.0)
    for name, each in found.items():
        assert len(tables.line(name, each)) == len(tables.HEADS)
    assert "weight = " in tables.most_frequent(found)
    text = tables.diagnosis("shuffled", found["shuffled"], table.layout.columns)
    assert "| hours |" in text
    assert json.dumps(found)


def test_the_script_for_the_peers_needs_nothing_that_their_interpreter_lacks():
    tops = ast.parse((FOLDER / "synthetic_peer.py").read_text(encoding="utf-8")).body
    imported = {alias.name for top in tops if isinstance(top, ast.Import) for alias in top.names}
    imported |= {top.module for top in tops if isinstance(top, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= {
        "numpy",
        "torch",
    } | sys.stdlib_module_names


def judged(auc, shapes, pairs, apart, distance):
    """Scores as those of a contestant."""
    return {
        "auc": Estimate(auc, 0.001),
        "auc_less_real": Estimate(auc - 0.92, 0.001),
        "quality": {"column_shapes": shapes, "pair_trends": pairs},
        "told_apart": Estimate(apart, 0.001),
        "distance_median": Estimate(distance, 0.01),
        "distance_5_percent": Estimate(distance, 0.01),
    }


def test_targets_are_those_of_the_figures():
    found = {
        "real": judged(0.92, 0.99, 0.99, 0.5, 0.30),
        "TVAE": judged(0.88, 0.91, 0.90, 0.97, 0.30),
        "CTGAN": {"error": "gone"},
        "lowerbound": judged(0.885, 0.95, 0.89, 0.60, 0.29),
    }
    assert {each["target"]: each["reached"] for each in tables.targets(found)} == {
        "AUC above TVAE's": True,
        "column shapes above TVAE's": True,
        "pair trends above TVAE's": False,
        "told apart less than TVAE's": True,
        "AUC within 0.03 of real rows'": False,
        "distance median not below held-out rows'": True,
        "distance 5 percent not below held-out rows'": True,
    }
    assert tables.targets({"lowerbound": {"error": "gone"}}) == []
