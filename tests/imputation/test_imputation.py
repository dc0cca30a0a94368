"""Imputation of frames: what was observed stays, and what is filled is of the source's types."""

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_tables import COLUMNS, made, with_gaps

import lowerbound
from lowerbound.errors import ConfigError, DataError
from lowerbound.imputation import filling
from lowerbound.imputation.completion import BLOCK, Completer


def impute(run, source, **options):
    return lowerbound.impute(run, source, **{"samples": 5, "progress": False, **options})


def same_where(is_kept, first, second):
    """Whether two columns are of one type, and have the same bits where they are to be kept."""
    assert first.dtype == second.dtype
    first = first.filter(is_kept)
    second = second.filter(is_kept)
    if first.dtype.is_float():
        integers = {pl.Float64: np.int64, pl.Float32: np.int32}[first.dtype]
        bits = first.to_numpy().view(integers), second.to_numpy().view(integers)
        return np.array_equal(*bits)
    return first.equals(second)


def check_kept(source, filled):
    assert filled.columns == source.columns
    assert len(filled) == len(source)
    for name in source.columns:
        is_kept = source[name].is_not_null()
        if source[name].dtype.is_float():
            is_kept &= source[name].is_finite().fill_null(False)
        assert same_where(is_kept, source[name], filled[name]), name


def test_what_was_observed_stays_and_what_was_not_is_filled(run):
    source = with_gaps(made(50))
    found = impute(run, source, multiple=2)
    for frame in (found.frame, *found.frames):
        check_kept(source, frame)
        assert frame.schema == source.schema
        assert not sum(frame.null_count().row(0))
    assert found.filled == {name: source[name].null_count() for name in COLUMNS}
    assert not found.frames[0].equals(found.frames[1])
    is_gap = source.select(pl.any_horizontal(pl.all().is_null())).to_series()
    assert found.rows.tolist() == is_gap.arg_true().to_list()
    assert len(found.effective) == len(found.rows)


def test_filled_cells_are_values_that_the_column_may_have(run):
    source = with_gaps(made(300))
    for frame in impute(run, source, multiple=2).frames:
        assert (frame["price"] > 0).all()
        assert (frame["visits"] >= 0).all()
        assert frame["level"].is_in([1, 2, 3, 4]).all()
        assert frame["town"].is_in(["Bern, old", "Köln", "Oslo"]).all()
        assert frame["height"].equals(frame["height"].round(2))


TYPES = {
    "height": [pl.Float32, pl.Float64, pl.Int16, pl.String, pl.Decimal(10, 2)],
    "visits": [pl.UInt8, pl.Int64, pl.Float64, pl.Float32, pl.String],
    "level": [pl.Int8, pl.UInt64, pl.Float32, pl.String],
    "town": [pl.String, pl.Categorical, pl.Enum(["Bern, old", "Köln", "Oslo", "Riga"])],
    "member": [pl.Boolean],
    "since": [pl.Date, pl.Datetime("ms"), pl.Datetime("ns", "Europe/Berlin")],
}


@settings(max_examples=20)
@given(
    types=st.fixed_dictionaries({name: st.sampled_from(types) for name, types in TYPES.items()}),
    order=st.permutations(COLUMNS),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_types_and_order_are_those_of_the_source(run, types, order, share):
    source = made(20).select("id", *order)
    changed = []
    for name, kind in types.items():
        if isinstance(kind, pl.Datetime) and kind.time_zone:
            zoned = source[name].cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
            changed.append(zoned.dt.convert_time_zone(kind.time_zone))
        elif kind == pl.Int16:
            changed.append(source[name].round().cast(kind))
        else:
            changed.append(source[name].cast(kind))
    source = with_gaps(source.with_columns(changed), share)
    found = impute(run, source, samples=2, multiple=1)
    for frame in (found.frame, found.frames[0]):
        assert frame.schema == source.schema
        check_kept(source, frame)
        assert not sum(frame.null_count().row(0))


def test_odd_numbers_stay_bit_for_bit(run):
    numbers = [-0.0, 5e-324, 1 / 3, 123456789.123456789, None, float("nan"), float("inf")]
    source = made(7).with_columns(height=pl.Series(numbers))
    found = impute(run, source)
    check_kept(source, found.frame)
    assert found.frame["height"].is_finite().all()
    assert found.filled == {"height": 3}


def test_levels_that_a_fixed_set_lacks_are_added(run):
    towns = pl.Series("town", ["Oslo", None] * 20, pl.Enum(["Oslo"]))
    found = impute(run, made(40).with_columns(towns), multiple=3)
    for frame in (found.frame, *found.frames):
        assert frame["town"].dtype == pl.Enum(["Oslo", "Bern, old", "Köln"])
        assert frame["town"][0] == "Oslo"


def test_a_column_without_any_value_is_filled(run):
    source = made(10).with_columns(visits=pl.lit(None), town=pl.lit(None))
    found = impute(run, source)
    assert found.frame["visits"].dtype == pl.Int64
    assert found.frame["town"].dtype == pl.String
    assert not sum(found.frame.null_count().row(0))


def test_columns_that_the_run_does_not_read_stay_with_their_gaps(run):
    source = made(4).with_columns(note=pl.Series(["a", None, "c", None])).drop("price")
    source = source.with_columns(visits=pl.Series([1, None, 2, 3]))
    found = impute(run, source)
    assert found.frame["note"].equals(source["note"])
    assert "price" not in found.frame.columns
    assert found.filled == {"visits": 1}
    assert found.notes == (
        "the frame: columns of the run that are not there: 'price'",
        "the frame: columns that the run does not read stay as they are: 'id', 'note'",
        "the frame: 2 gaps in 'note' stay gaps",
    )


def test_levels_that_the_run_does_not_know_stay(run):
    source = made(4).with_columns(town=pl.Series(["Oslo", "Rome", None, "Rome"]))
    found = impute(run, source)
    assert found.frame["town"].to_list()[:2] == ["Oslo", "Rome"]
    assert found.frame["town"][2] in ("Bern, old", "Köln", "Oslo")
    assert found.notes[-1] == (
        "the frame: 2 cells of 'town' (categorical) have levels that the run does not know, such "
        "as 'Rome'; they stay as they are"
    )


def test_rows_that_lack_nothing_are_not_drawn_for(run, monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(run.model, "joint", refuse)
    source = made(30)
    found = impute(run, source.drop("price"), multiple=1)
    assert found.frame.equals(source.drop("price"))
    assert found.frames[0].equals(source.drop("price"))
    assert not len(found.rows)
    assert found.warning is None
    assert found.headline == (
        "the frame has no gaps in the columns that the run reads: nothing was filled"
    )


def test_what_is_filled_hangs_on_the_seed_and_on_nothing_else(run, monkeypatch):
    source = with_gaps(made(2 * BLOCK + 100), 0.05)
    whole = impute(run, source, multiple=1, samples=2)
    again = impute(run, source, multiple=1, samples=2)
    assert whole.frame.equals(again.frame)
    monkeypatch.setattr("lowerbound.imputation.imputation.CHUNK", BLOCK)
    parts = impute(run, source, multiple=1, samples=2)
    assert whole.frame.equals(parts.frame)
    assert whole.frames[0].equals(parts.frames[0])
    assert np.array_equal(whole.effective, parts.effective)
    assert not whole.frame.equals(impute(run, source, samples=2, seed=1).frame)


def test_arrays_have_the_columns_of_the_run(run):
    nothing = float("nan")
    values = [[170.0, 3.5, 4, nothing, nothing, nothing, nothing, 0.5], [nothing] * 8]
    frame = impute(run, np.array(values)).frame
    assert frame.columns == COLUMNS
    assert frame.row(0)[:3] == (170.0, 3.5, 4)
    assert frame.schema["town"] == pl.String
    assert not sum(frame.null_count().row(0))


def test_its_own_data_are_filled_where_they_are_held(run):
    found = impute(run, None)
    assert found.frame.equals(made(200))


def test_poor_rows_are_told_of(run):
    found = impute(run, with_gaps(made(20)), samples=5)
    count = len(found.rows)
    assert found.warning == (
        f"{count} of {count} rows with gaps have fewer than {filling.LEAST_EFFECTIVE} effective "
        "draws of 5: what fills them is less certain than it says; take more samples"
    )


def test_a_table_without_rows_is_refused(run):
    with pytest.raises(DataError, match="the frame has no rows, so that there is nothing to fill"):
        impute(run, made(5)[:0], multiple=1)


def check_refused(error, line, call):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"samples": 0}, "samples must be 1 or more, got 0"),
        ({"multiple": 0}, "multiple must be 1 or more, got 0"),
        ({"multiple": 1.5}, "multiple must be a whole number, got 1.5"),
        ({"mode": "mode"}, "unknown mode 'mode'; did you mean 'mean'? Allowed: mean, median"),
        ({"seed": -1}, "seed must be a whole number from 0 to 2^63 - 1, got -1"),
    ],
)
def test_arguments_that_are_none_are_refused(run, options, line):
    check_refused(ConfigError, line, lambda: impute(run, made(3), **options))


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (
            pl.DataFrame({"x": [1], "y": [2]}),
            (
                "the frame has none of the columns of the run: 'height', 'price', 'visits', "
                "'level', 'town', 'member', 'since', 'signed'; it has 'x', 'y'"
            ),
        ),
        (
            made(3).with_columns(since=pl.Series([1, 2, None])),
            (
                "the gaps of column 'since' cannot be filled: the run has dates there, and its "
                "type is Int64; convert it, or leave the column out"
            ),
        ),
        (
            made(3).with_columns(town=pl.Series([None, None, date(2020, 1, 1)])),
            (
                "the gaps of column 'town' cannot be filled: the run has words there, and its "
                "type is Date; convert it, or leave the column out"
            ),
        ),
        (
            np.zeros((3, 2)),
            (
                "impute fills frames, and arrays with the 8 columns of the run (N, 8); got an "
                "array of shape (3, 2)"
            ),
        ),
        (
            {"x": np.zeros((3, 2, 2))},
            (
                "impute fills frames, and arrays with the 8 columns of the run (N, 8); got data of "
                "type dict"
            ),
        ),
        (
            "digits",
            (
                "impute fills tables, files that end in .csv, .tsv, .txt, .dat, .data, .tab, "
                ".parquet; got digits"
            ),
        ),
    ],
)
def test_sources_that_do_not_fit_are_refused(run, source, line):
    check_refused(DataError, line, lambda: impute(run, source))


def test_runs_that_know_no_gaps_are_refused(tmp_path):
    frame = made(50).select("height", "price", "signed")
    settings = {
        "report.write": False,
        "training.epochs": 1,
        "data.kinds": None,
        "data.hide": 0.0,
        "model.likelihood": {"type": "Normal"},
    }
    numbers = lowerbound.fit(
        "table", data=frame, out=tmp_path / "run", progress=False, settings=settings
    )
    check_refused(
        ConfigError,
        f"impute needs a run that knows the kinds of its columns; {numbers.folder} is none: fit "
        "the recipe table, or set data.kinds={} and model.likelihood=Columns",
        lambda: impute(numbers, frame),
    )


def test_means_of_columns_that_are_mostly_one_number_are_told_of(run):
    columns = list(run.schema.table)
    columns[0] = replace(columns[0], atoms=(0.0,), shares=(0.9,))
    completer = Completer(run.model, tuple(columns), samples=2)
    for mode, told in (("mean", 1), ("median", 0)):
        filler = filling.Filler(replace(completer, mode=mode), "it", ["height"])
        filler.filled = {"height": 3}
        assert len(filler.notes()) == 1 + told
    filler = filling.Filler(completer, "it", ["height"])
    filler.filled = {"height": 3}
    assert filler.notes()[-1] == (
        "'height' is 0 in 90% of the rows that the run was fitted to, and its means lie between "
        "that and the others: the mode 'median' fills it with values such as there are"
    )
