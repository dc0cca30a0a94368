"""`benchmarks/large_table.py`: the table that it draws, the memory that it sees, and its checks."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import polars
import pytest
from polars.testing import assert_frame_equal

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def large_table(monkeypatch):
    """The script as a module, which is no part of the package."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("large_table")


def test_the_table_is_drawn_by_seeds(large_table):
    frame = large_table.block(4000, 3)
    assert_frame_equal(frame, large_table.block(4000, 3))
    assert not frame.equals(large_table.block(4000, 4))
    assert frame.width == 20
    share = sum(frame.null_count().row(0)) / (4000 * 20)
    assert share == pytest.approx(large_table.GAPS, abs=0.005)
    assert (frame["refund"].drop_nulls() == 0).mean() > 0.5
    assert frame["city"].drop_nulls().n_unique() > 150
    assert frame["change"].abs().max() > 8


def test_the_columns_depend_on_each_other(large_table):
    """All are made of the same few hidden numbers, with the same weights in each block."""
    signs = []
    for seed in (0, 1):
        frame = large_table.block(4000, seed).drop_nulls(["balance", "score", "temperature"])
        pair = frame.select(polars.corr("balance", "score"), polars.corr("score", "temperature"))
        signs.append(pair.row(0))
        assert max(map(abs, pair.row(0))) > 0.2
    assert signs[0] == pytest.approx(signs[1], abs=0.1)


def test_blocks_have_all_rows(large_table, monkeypatch):
    monkeypatch.setattr(large_table, "BLOCK", 100)
    assert [len(block) for block in large_table.blocks(250)] == [100, 100, 50]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory is that of /proc")
def test_the_memory_of_a_process_is_seen(large_table):
    script = "import time; held = bytearray(120_000_000); time.sleep(1)"
    with subprocess.Popen([sys.executable, "-c", script], text=True) as process:
        watch = large_table.Watch(process)
        watch.start()
    watch.join()
    assert 115e6 < watch.peaks["RssAnon"] < 200e6
    assert large_table.memory_of(os.getpid())["VmRSS"] > 0
    assert large_table.memory_of(2**30) == {}


def test_a_changed_cell_and_a_gap_are_found(large_table, tmp_path):
    source = polars.DataFrame({"a": [1, None, 3], "b": ["x", "y", None]})
    source.write_parquet(tmp_path / "source.parquet")
    for filled, is_right in (
        ({"a": [1, 2, 3], "b": ["x", "y", "z"]}, True),
        ({"a": [1, 2, 4], "b": ["x", "y", "z"]}, False),
        ({"a": [1, 2, 3], "b": ["x", "y", None]}, False),
    ):
        polars.DataFrame(filled).write_parquet(tmp_path / "filled.parquet")
        arguments = (tmp_path / "source.parquet", tmp_path / "filled.parquet")
        if is_right:
            assert large_table.check(*arguments)["gaps"] == 2
        else:
            with pytest.raises(AssertionError):
                large_table.check(*arguments)
