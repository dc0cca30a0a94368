"""Files appear whole or not at all, and nothing of a failed write stays."""

import math
import os
import resource
from pathlib import Path

import polars
import pytest

from lowerbound.errors import RunError
from lowerbound.system.files import (
    is_file,
    read_json,
    replacing,
    within,
    write_frame,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half of the new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_write_replaces_the_file(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    for text in ("old", "new"):
        write_text(path, text)
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "text")


def test_json_has_no_numbers_that_are_not_finite(tmp_path):
    write_json(
        tmp_path / "a.json", {"a": math.inf, "b": [math.nan, 1.5], "c": (1, None, "x", True)}
    )
    assert read_json(tmp_path / "a.json") == {
        "a": None,
        "b": [None, 1.5],
        "c": [1, None, "x", True],
    }


def test_broken_json_is_one_line(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(RunError, match=r"cannot read .*a\.json"):
        read_json(tmp_path / "a.json")


@pytest.fixture
def full():
    """A disk on which no file can have more than some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(most):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("most", [0, 3000])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, full, ending, most):
    frame = polars.DataFrame({"a": range(100_000), "b": [f"text {i}" for i in range(100_000)]})
    full(most)
    with pytest.raises(RunError, match=rf"^cannot write .*x\.{ending}: [^\n]*too large") as told:
        write_frame(tmp_path / f"x.{ending}", frame)
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [b"csv", b"parquet", b"PARQUET"])
def test_a_frame_goes_to_a_file_of_any_name(tmp_path, ending):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe." + ending))
    frame = polars.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    write_frame(path, frame)
    with path.open("rb") as file:
        assert (polars.read_csv if ending == b"csv" else polars.read_parquet)(file).equals(frame)


def test_what_is_no_regular_file_is_not_read(tmp_path):
    """A pipe that nobody writes to would be waited for; a device is refused by the same look,
    without the wait.
    """
    (tmp_path / "device").symlink_to("/dev/null")
    for path in (tmp_path / "device", tmp_path):
        assert not is_file(path)
        with pytest.raises(RunError, match="is not a regular file"):
            read_json(path)


def test_a_path_that_can_be_none_is_one_line(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name in ("x" * 5000, "a\0b"):
        assert not is_file(tmp_path / name)
        with pytest.raises(RunError, match="cannot read"):
            read_json(tmp_path / name)
    for name in ("a\0b", "loop"):
        with pytest.raises(RunError, match="cannot read"):
            within(tmp_path, name)
