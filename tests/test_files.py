"""Files appear whole or not at all, and nothing of a failed write stays."""

import math

import pytest

from lowerbound.errors import RunError
from lowerbound.files import read_json, replacing, write_json, write_text


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
    write_json(tmp_path / "a.json", {"a": math.inf, "b": [math.nan, 1.5], "c": (1, None, "x", True)})
    assert read_json(tmp_path / "a.json") == {"a": None, "b": [None, 1.5], "c": [1, None, "x", True]}


def test_broken_json_is_one_line(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(RunError, match=r"cannot read .*a\.json"):
        read_json(tmp_path / "a.json")
