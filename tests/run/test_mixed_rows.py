"""What a run on a table with columns of several kinds gives back: rows in the types of the source,
the log-likelihood of each column, and the cells that make a row odd.
"""

import json
import shutil
from datetime import date, timedelta
from functools import partial

import numpy as np
import polars
import pytest
import torch
from polars.testing import assert_frame_equal

import lowerbound
from lowerbound.anomalies.cells import usual_of_gaps
from lowerbound.anomalies.measures import Scorer, settings_of_scores
from lowerbound.errors import ConfigError, RunError, ShapeError
from lowerbound.evaluation.cells import cells_of, column_likelihoods
from lowerbound.run import returned
from lowerbound.system.files import write_frames

QUIET = {"report.write": False, "training.accelerator": "cpu", "training.epochs": 3}
TOWNS = ["Bern", "Fargo", "Oslo"]


def make_frame(rows, seed=0):
    """A table of all kinds with gaps; the town says how high the income is."""
    rng = np.random.default_rng(seed)
    town = rng.integers(0, 3, rows)
    start = date(2020, 1, 1)
    frame = polars.DataFrame(
        {
            "name": [f"p{number}" for number in range(rows)],
            "town": [TOWNS[place] for place in town],
            "income": np.round(np.exp(town + rng.normal(0, 0.1, rows)), 2),
            "children": rng.poisson(town + 20.0),
            "height": np.round(rng.normal(170, 10, rows), 1),
            "member": rng.random(rows) < 0.3,
            "since": [start + timedelta(days=int(days)) for days in rng.integers(0, 900, rows)],
        }
    )
    gaps = []
    for number, column in enumerate(("town", "income", "children", "height", "since")):
        is_gap = polars.Series(np.random.default_rng(number).random(rows) < 0.1)
        gaps.append(polars.when(~is_gap).then(polars.col(column)).alias(column))
    return frame.with_columns(gaps)


@pytest.fixture(scope="module")
def frame():
    return make_frame(400)


@pytest.fixture(scope="module")
def run(tmp_path_factory, frame):
    settings = QUIET | {"data.ids": ["name"], "training.batch_size": 32}
    out = tmp_path_factory.mktemp("mixed") / "run"
    return lowerbound.fit("table", data=frame, out=out, progress=False, settings=settings)


# Samples and reconstructions


def test_samples_are_rows_in_the_types_of_the_source(run, frame):
    rows = run.sample(300, seed=1)
    assert rows.schema == frame.drop("name").schema
    assert rows.null_count().row(0) == (0,) * 6
    assert set(rows["town"]) == set(TOWNS)
    assert rows["income"].min() > 0
    assert rows["income"].round(2).equals(rows["income"])
    assert rows["children"].min() >= 0
    assert rows["town"].to_list() != [rows["town"][0]] * 300


def test_samples_in_the_units_of_the_model_are_the_codes_of_the_rows(run):
    codes = run.sample(50, seed=3, units="model")
    assert isinstance(codes, torch.Tensor)
    values = run.schema.coding.decode(codes.numpy())
    rows = run.sample(50, seed=3)
    assert rows["children"].to_list() == values[:, 2].astype(int).tolist()
    assert rows["town"].to_list() == [TOWNS[int(place)] for place in values[:, 0]]


def test_frames_of_samples_are_the_samples_piece_by_piece(run, monkeypatch):
    monkeypatch.setattr(returned, "CHUNKS_SEEDED", 1)
    frames = list(run.sample_frames(5000, seed=2))
    assert [len(each) for each in frames] == [2048, 2048, 904]
    assert_frame_equal(polars.concat(frames), run.sample(5000, seed=2))
    assert_frame_equal(run.sample(3000, seed=2)[:2048], frames[0])
    assert not frames[0][:904].equals(frames[2])


def test_the_means_of_rows_are_the_means_of_their_distributions(run):
    """The mean of a log-normal number is above the exponential of the mean of its log."""
    rows = run.data().whole.take(slice(0, 30))
    back = run.reconstruct(rows)
    assert back.schema == run.sample(1).schema
    codes = run.reconstruct(rows, units="model")
    medians = run.schema.coding.decode(codes.numpy())
    assert (back["income"].to_numpy() >= medians[:, 1] - 0.01).all()
    assert back["town"].to_list() == [TOWNS[int(place)] for place in codes[:, 0]]
    z = run.encode(rows)[0]
    assert_frame_equal(run.decode(z), back)
    assert run.vary(0, 2, 3).shape == (6, 6)


def test_frames_paths_splits_and_batches_are_encoded_alike(run, frame, tmp_path):
    own = run.encode(run.data().whole)[0]
    frame.write_parquet(tmp_path / "rows.parquet")
    shuffled = frame.select(reversed(frame.columns)).with_columns(other=polars.lit(1))
    for source in (frame, shuffled, tmp_path / "rows.parquet"):
        assert torch.equal(run.encode(source)[0], own)
    batch = run.data().whole.batch(slice(0, 20))
    assert torch.allclose(run.encode(batch)[0], own[:20], atol=1e-6)


def test_frames_of_samples_are_for_mixed_tables(tmp_path):
    settings = QUIET | {"training.epochs": 1, "model.network.hidden": [4]}
    digits = lowerbound.fit("digits", out=tmp_path / "d", progress=False, settings=settings)
    with pytest.raises(ConfigError, match="are for tables with columns of several kinds"):
        next(digits.sample_frames(3))


# Columns


def test_the_columns_sum_to_the_term_of_the_bound(run):
    found = run.evaluate(samples=2, split="all")
    total = 0.0
    for column in found["columns"]:
        total += column["log_likelihood_term"] * column["observed"]
    assert total / found["examples"] == pytest.approx(found["log_likelihood_term"], rel=1e-9)


def test_the_mean_and_the_error_of_a_column_are_those_of_its_cells(run):
    rows = run.data().whole
    cells = np.concatenate(list(cells_of(run.model, rows, draws=300, seed=4)))
    assert np.array_equal(np.isnan(cells), np.isnan(rows.values))
    for position, column in enumerate(column_likelihoods(run.model, rows, draws=300, seed=4)):
        observed = cells[~np.isnan(cells[:, position]), position]
        assert column.observed == len(observed)
        assert column.log_likelihood_term == pytest.approx(observed.mean(), rel=1e-10)
        error = observed.std(ddof=1) / np.sqrt(len(observed))
        assert column.standard_error == pytest.approx(error, rel=1e-10)


def test_a_column_without_cells_has_no_number(run):
    rows = run.other_data(make_frame(20).drop("height")).whole
    (height,) = [c for c in column_likelihoods(run.model, rows) if c.column == "height"]
    assert height.observed == 0
    assert np.isnan(height.log_likelihood_term)


# Scores


def test_the_odd_cell_is_found(run):
    """Each row has one cell that no row of the run's own data is like."""
    frame = make_frame(60, seed=5).drop_nulls()
    odd = {"height": 300.0, "children": 200, "income": 5000.0}
    for column, value in odd.items():
        changed = frame.with_columns(polars.lit(value).cast(frame.schema[column]).alias(column))
        rows = lowerbound.score(run, changed, samples=4).to_frame()
        assert set(rows["odd_1"]) == {column}
        assert set(rows["odd_1_value"].cast(polars.Float64)) == {float(value)}
        assert rows["odd_1_below"].max() < -5
        assert rows["gaps"].to_list() == [0] * len(rows)


def test_odd_cells_are_the_lowest_below_what_is_usual(run):
    scores = lowerbound.score(run, split="all", samples=2)
    reference = json.loads((run.folder / "reference.json").read_text())
    usual = np.array(reference["usual"])
    cells = np.concatenate(list(cells_of(run.model, run.data().whole, shares_noise=True)))
    below = cells - usual
    frame = scores.to_frame()
    lowest = np.nanmin(below, axis=1)
    assert np.allclose(
        frame["odd_1_below"].to_numpy(), np.where(lowest < 0, lowest, np.nan), equal_nan=True
    )
    names = np.array(run.schema.columns)[np.nanargmin(below, axis=1)]
    assert frame["odd_1"].to_list() == np.where(lowest < 0, names, None).tolist()
    assert frame["gaps"].to_list() == np.isnan(cells).sum(1).tolist()
    assert frame["name"].to_list() == [f"p{number}" for number in range(400)]
    assert_frame_equal(polars.concat(scores.frames()), frame)


def test_rows_with_gaps_are_adjusted_by_what_is_usual(run):
    scores = lowerbound.score(run, split="all", samples=2)
    usual = np.array(json.loads((run.folder / "reference.json").read_text())["usual"])
    filled = np.isnan(run.data().whole.values) @ usual
    found = scores.scores["adjusted"] - scores.scores["log_likelihood"]
    assert np.allclose(found, filled, atol=1e-10)
    assert (found[~np.isnan(run.data().whole.values).any(1)] == 0).all()
    assert np.allclose(usual_of_gaps(run.data().whole, usual), filled)
    assert scores.least_likely(400)["adjusted"].is_sorted()


def test_a_cell_taken_away_moves_the_adjusted_score_less(run):
    """log p(x_obs) loses a whole cell with a gap; the adjusted score does not."""
    whole = make_frame(300, seed=6).drop_nulls()
    without = whole.drop("height")
    first = lowerbound.score(run, whole, samples=20).scores
    second = lowerbound.score(run, without, samples=20).scores
    loss = abs((second["log_likelihood"] - first["log_likelihood"]).mean())
    assert abs((second["adjusted"] - first["adjusted"]).mean()) < 0.2 * loss
    assert abs(second["percentile"].mean() - first["percentile"].mean()) < 10


def test_a_threshold_is_by_the_adjusted_score(run):
    scores = lowerbound.score(run, split="all", samples=100, threshold=0.1)
    assert scores.by == "adjusted"
    assert scores.summary()["thresholds"]["by"] == "adjusted"


def test_runs_of_other_splits_are_compared_row_by_row(run, frame, tmp_path):
    """Their scales differ, and the log-likelihoods are in the units of the data all the same."""
    settings = QUIET | {"data.ids": ["name"], "data.seed": 5, "training.epochs": 1}
    other = lowerbound.fit(
        "table", data=frame, out=tmp_path / "o", progress=False, settings=settings
    )
    assert other.schema.table != run.schema.table
    rows = frame.head(60)
    found = lowerbound.score(run, rows, against=other, samples=4).scores
    alone = lowerbound.score(other, rows, samples=4).scores["log_likelihood"]
    assert np.allclose(found["log_likelihood"] - found["log_ratio_against"], alone, atol=1e-4)
    settings |= {"data.kinds": {"children": "real"}}
    other = lowerbound.fit(
        "table", data=frame, out=tmp_path / "p", progress=False, settings=settings
    )
    with pytest.raises(ShapeError, match=r"children real.*children count.*must be alike"):
        lowerbound.score(run, rows, against=other)


def test_many_rows_are_measured_in_pieces(run, monkeypatch):
    examples = run.data().whole
    scorer = Scorer(run, None, settings_of_scores(samples=2))
    whole = scorer.measure(examples)["elbo"]
    monkeypatch.setattr("lowerbound.anomalies.measures.MEASURED_AT_ONCE", 150)
    parts = scorer.measure(examples)["elbo"]
    assert len(parts) == 400
    assert np.allclose(whole, parts, atol=1e-4)


def test_a_reference_of_other_columns_is_refused(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy")
    path = tmp_path / "copy" / "reference.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"usual": [0.0]}))
    with pytest.raises(RunError, match="tells of 1 columns, and the run has 6"):
        lowerbound.score(lowerbound.load(tmp_path / "copy"), make_frame(20))


# Commands


def test_the_command_sample_writes_rows(command, run, tmp_path):
    for ending, read in ((".csv", polars.read_csv), (".parquet", polars.read_parquet)):
        out = tmp_path / f"rows{ending}"
        code, printed, _ = command("sample", run.folder, "-n", 3000, "--out", out)
        assert (code, printed) == (0, f"3000 samples in {out}\n")
        rows = read(out)
        assert rows.columns == list(run.schema.columns)
        assert len(rows) == 3000
        assert_frame_equal(
            rows.select("children", "town"), run.sample(3000).select("children", "town")
        )


def test_the_command_sample_refuses_arrays(command, run, tmp_path):
    code, _, told = command("sample", run.folder, "--out", tmp_path / "x.npy")
    assert code == 2
    assert told == (
        f"lowerbound: --out {tmp_path / 'x.npy'}: the ending must be one of .csv, .parquet for a "
        "table with columns of several kinds, got .npy\n"
    )


def test_the_command_encode_keeps_ids_and_index(command, run, frame, tmp_path):
    indexed = frame.head(20).drop("since").with_columns(polars.Series("", range(5, 25)))
    indexed.select("", "name", "town", "children", "height").write_csv(tmp_path / "rows.csv")
    out = tmp_path / "codes.csv"
    code, _, _ = command("encode", run.folder, "--data", tmp_path / "rows.csv", "--out", out)
    codes = polars.read_csv(out)
    assert code == 0
    assert codes.columns[:4] == ["row", "name", "index", "z1_1"]
    assert codes["index"].to_list() == list(range(5, 25))
    assert codes["name"].to_list() == frame["name"].head(20).to_list()


def test_the_command_evaluate_shows_columns(command, run, frame, tmp_path):
    frame.write_parquet(tmp_path / "rows.parquet")
    arguments = (
        "evaluate",
        run.folder,
        "--data",
        tmp_path / "rows.parquet",
        "--samples",
        2,
        "--split",
        "all",
    )
    code, printed, _ = command(*arguments)
    assert code == 0
    assert "the least likely of 6 columns, where they are observed:" in printed
    assert "the densities of 'income', 'height', 'since' are in the units of the data" in printed
    code, printed, _ = command(*arguments, "--json")
    found = json.loads(printed.splitlines()[-1])
    assert [column["column"] for column in found["columns"]] == list(run.schema.columns)
    observed = [len(frame) - frame[name].null_count() for name in run.schema.columns]
    assert [column["observed"] for column in found["columns"]] == observed


@pytest.mark.parametrize(("hide", "is_told"), [(0.25, True), (0.0, False)])
def test_the_command_fit_tells_of_hidden_cells(command, frame, tmp_path, hide, is_told):
    frame.head(100).write_parquet(tmp_path / "rows.parquet")
    settings = [f"data.hide={hide}", "training.epochs=1", "report.write=false"]
    code, printed, _ = command(
        "fit",
        "table",
        "--data",
        tmp_path / "rows.parquet",
        "--out",
        tmp_path / "run",
        *(word for setting in settings for word in ("--set", setting)),
    )
    assert code == 0
    assert ("in training, half of the rows have cells hidden (data.hide)" in printed) == is_told


def test_the_command_score_names_cells(command, run, frame, tmp_path):
    frame.head(50).drop("since").with_columns(height=300.0).write_csv(tmp_path / "rows.csv")
    out = tmp_path / "scores.parquet"
    code, printed, _ = command("score", run.folder, "--data", tmp_path / "rows.csv", "--out", out)
    assert code == 0
    assert "odd: height=300" in printed
    assert polars.read_parquet(out)["odd_1"].to_list() == ["height"] * 50


# Files


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("sizes", [(3,), (2, 0, 5), (1, 1, 1)], ids=str)
def test_frames_are_written_one_below_the_other(tmp_path, ending, sizes):
    frames = [make_frame(20).head(size) for size in sizes]
    path = tmp_path / f"x{ending}"
    assert write_frames(path, iter(frames)) == sum(sizes)
    read = polars.read_parquet
    if ending == ".csv":
        read = partial(polars.read_csv, schema_overrides=frames[0].schema)
    assert_frame_equal(read(path), polars.concat(frames))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_frames_that_end_in_an_error_leave_what_was_there(tmp_path, ending):
    path = tmp_path / f"x{ending}"
    path.write_text("before")

    def frames():
        yield make_frame(3)
        raise ConfigError("no more")

    with pytest.raises(ConfigError, match="no more"):
        write_frames(path, frames())
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
