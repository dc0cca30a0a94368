"""Tables larger than one wants in memory: they are read column by column into a temporary file, and
are the very tables that they are when they are read whole.
"""

import os
import tempfile
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import polars
import pytest

import lowerbound
from lowerbound.data.files.sources import Wanted
from lowerbound.data.files.tables import Table
from lowerbound.data.prepare import take_columns
from lowerbound.errors import ConfigError, DataError
from lowerbound.system import maps

MIXED = Wanted(kinds={}, ids=("name",))


def make_frame(rows=300):
    """A table of all kinds with gaps, a constant column, and a copy."""
    rng = np.random.default_rng(0)
    start = date(2020, 1, 1)
    frame = polars.DataFrame(
        {
            "name": [f"p{number}" for number in range(rows)],
            "town": rng.choice(["Bern", "Fargo", "Oslo"], rows),
            "income": np.round(np.exp(rng.normal(3, 1, rows)), 2),
            "refund": np.where(rng.random(rows) < 0.6, 0.0, rng.random(rows)),
            "children": rng.poisson(20.0, rows),
            "height": rng.normal(170, 10, rows),
            "same": ["x"] * rows,
            "member": rng.random(rows) < 0.3,
            "since": [start + timedelta(days=int(days)) for days in rng.integers(0, 900, rows)],
        }
    )
    gaps = []
    for number, column in enumerate(("town", "income", "refund", "children", "height", "since")):
        is_gap = polars.Series(np.random.default_rng(number).random(rows) < 0.1)
        gaps.append(polars.when(~is_gap).then(polars.col(column)).alias(column))
    frame = frame.with_columns(gaps)
    return frame.with_columns(copy=polars.col("height"))


@pytest.fixture(params=[".parquet", ".csv"])
def path(request, tmp_path):
    path = tmp_path / f"rows{request.param}"
    if request.param == ".csv":
        make_frame().write_csv(path)
    else:
        make_frame().write_parquet(path)
    return path


def is_in_file(values):
    """Says whether an array, or what it is a part of, is a memory map."""
    while values is not None:
        if isinstance(values, np.memmap):
            return True
        values = getattr(values, "base", None)
    return False


@pytest.fixture
def small_memory(monkeypatch):
    """Arrays of more than 100 numbers lie in a file."""
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", 100)


def test_a_large_table_is_the_table_that_it_is_when_read_whole(path, monkeypatch):
    whole = Table().read(path, MIXED)
    assert not is_in_file(whole.values)
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", 100)
    large = Table().read(path, MIXED)
    assert is_in_file(large.values)
    assert large.table == whole.table
    assert large.columns == whole.columns
    assert "copy" not in large.columns
    assert "same" not in large.columns
    np.testing.assert_array_equal(large.values, whole.values)
    assert large.values.flags.c_contiguous
    assert large.names["name"].tolist() == whole.names["name"].tolist()
    assert large.notes[:-1] == whole.notes
    assert "300 x 7 numbers are held in a temporary file" in large.notes[-1]


def test_a_run_reads_a_large_table_as_it_reads_others(path, monkeypatch, tmp_path):
    settings = {"data.ids": ["name"], "training.epochs": 1, "report.write": False}
    settings |= {"training.accelerator": "cpu", "model.network.hidden": [8]}
    whole = lowerbound.fit("table", data=path, out=tmp_path / "a", settings=settings)
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", 100)
    large = lowerbound.fit("table", data=path, out=tmp_path / "b", settings=settings)
    assert is_in_file(large.data().train.values)
    assert large.summary["validation"] == whole.summary["validation"]
    assert large.is_own(large.data())
    changed = make_frame().drop("height", "copy").with_columns(town=polars.lit("Rome"))
    changed.write_parquet(tmp_path / "changed.parquet")
    rows = large.other_data(tmp_path / "changed.parquet").whole
    assert is_in_file(rows.values)
    position = [large.schema.columns.index(name) for name in ("town", "height")]
    assert np.isnan(rows.values[:, position]).all()
    scores = lowerbound.score(large, tmp_path / "changed.parquet")
    assert scores.to_frame()["gaps"].min() >= 2


def test_a_temporary_file_has_no_name(small_memory, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    values = maps.new_array((50, 4))
    values[:] = np.arange(200.0).reshape(50, 4)
    assert is_in_file(values)
    assert os.listdir(tmp_path) == []
    assert values.sum() == 199 * 100


def test_a_stored_text_leaves_nothing_behind(small_memory, tmp_path, monkeypatch):
    make_frame().write_csv(tmp_path / "rows.csv")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    Table().read(tmp_path / "rows.csv", MIXED)
    assert os.listdir(tmp_path / "temporary") == []


def test_a_ragged_line_of_a_large_text_is_told(small_memory, tmp_path):
    lines = make_frame().write_csv().splitlines()
    lines[200] += ",1,2"
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="line 201"):
        Table().read(tmp_path / "rows.csv", MIXED)


def test_a_disk_without_room_is_one_line(small_memory, monkeypatch):
    monkeypatch.setattr(maps.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(ConfigError, match=r"50 x 4 numbers needs 1,600 bytes .* set TMPDIR"):
        maps.new_array((50, 4))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system reserves no room")
def test_a_disk_that_gets_full_is_one_line(small_memory, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with pytest.raises(ConfigError, match="set TMPDIR to a folder with more"):
        maps.new_array((50, 4))


def test_columns_are_taken_of_arrays_in_files(small_memory):
    values = maps.new_array((1000, 3))
    values[:] = np.random.default_rng(0).normal(size=(1000, 3))
    kept = take_columns(values, np.array([True, False, True]))
    assert is_in_file(kept)
    assert np.array_equal(kept, values[:, [0, 2]])
    assert take_columns(values, np.ones(3, bool)) is values


def test_texts_far_longer_than_the_file_are_refused(small_memory, tmp_path):
    path = tmp_path / "bomb.parquet"
    polars.DataFrame({"a": ["x" * 1_000_000] * 150, "b": range(150)}).write_parquet(path)
    with pytest.raises(DataError, match="claims"):
        Table().read(path, Wanted(kinds={}))
