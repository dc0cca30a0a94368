"""What `lowerbound describe` says of a source, and that it is what a fit then reads."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy.sparse import random as random_matrix
from scipy.sparse import save_npz

import lowerbound
from lowerbound.cli import main
from lowerbound.data import Data
from lowerbound.data.describing import Reading, describe
from lowerbound.data.files.cells import is_with_unit
from lowerbound.data.files.description import count_labels
from lowerbound.errors import DataError

RANDOM = np.random.default_rng(0)


def write_pictures(folder: Path, sizes: list[tuple[int, int]]) -> Path:
    """Writes a picture of each (height, width) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (height, width) in enumerate(sizes):
        values = RANDOM.integers(0, 256, (height, width, 3)).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{i}.png")
    return folder


def write_text(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """Runs the command line, and returns what it prints."""
    monkeypatch.setattr(sys, "argv", ["lowerbound", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out


def test_pictures_are_described_by_their_headers(tmp_path, monkeypatch):
    """Sizes, labels and parts are told, and no picture is decoded."""
    for part, count in (("train", 6), ("test", 3)):
        for label in ("cat", "dog"):
            write_pictures(tmp_path / part / label, [(20, 30)] * count)
    write_pictures(tmp_path / "train" / "cat", [(200, 300)])

    def refuse(*arguments):
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr("lowerbound.data.files.images.decode_pictures", refuse)
    found = describe(tmp_path)
    assert (found.kind, found.count, found.train) == ("image", 18, 12)
    assert found.labels == {"cat": 9, "dog": 9}
    assert any("20x30 to 200x300" in note for note in found.notes)
    assert "in colour" in found.facts[0]


def test_a_broken_picture_is_a_problem_that_is_told(tmp_path):
    write_pictures(tmp_path, [(9, 9)] * 3)
    (tmp_path / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = describe(tmp_path)
    assert found.count == 4
    assert "1 of the 4" in (found.problem or "")
    assert repr(found).splitlines()[-1].startswith("problem")


def test_a_table_is_described_by_its_columns(tmp_path):
    """Kinds and why, uses, levels, gaps and examples, of all rows where there are not too many."""
    rows = [f"{i};{i / 2:.1f};{'yes' if i % 2 else 'no'};".replace(".", ",") for i in range(3000)]
    path = write_text(tmp_path / "t.csv", ["n;half;word;none", *rows])
    found = describe(path)
    assert (found.kind, found.count, found.looked_at) == ("table", 3000, 3000)
    assert [column.kind for column in found.columns] == ["id", "real", "binary", "empty"]
    assert [column.use for column in found.columns] == ["left out", "value", "value", "left out"]
    assert [column.levels for column in found.columns] == [None, None, 2, None]
    assert found.columns[0].why == "it counts the rows"
    assert found.columns[1].examples == ("0,0", "0,5", "1,0")
    assert found.columns[3].missing == 3000
    assert "';'" in found.notes[0]
    assert "','" in found.notes[0]
    assert found.problem is None
    lines = str(found).splitlines()
    assert "all 3,000 rows:" in lines
    heads = next(line.split() for line in lines if "levels" in line)
    assert heads == ["column", "kind", "use", "levels", "missing", "why", "examples"]
    assert any(line.split()[:4] == ["none", "empty", "left", "out"] for line in lines)


def test_a_long_table_is_described_by_its_first_rows(tmp_path):
    """Of many columns fewer rows are looked at, but no fewer than a thousand."""
    path = tmp_path / "t.parquet"
    pl.DataFrame({"x": RANDOM.normal(size=120_000)}).write_parquet(path)
    found = describe(path)
    assert (found.count, found.looked_at) == (120_000, 100_000)
    assert "the first 100,000 rows:" in str(found)
    wide = pl.DataFrame(np.ones((1500, 3000)))
    assert describe(wide).looked_at == 1000


def test_what_a_fit_would_refuse_is_said_beside_the_columns(tmp_path):
    """The column that can be read in two ways is marked, and the others have their kinds."""
    rows = [f"0{i % 9 + 1}/0{i % 7 + 1}/2020,{i % 5}" for i in range(40)]
    path = write_text(tmp_path / "t.csv", ["day,n", *rows])
    found = describe(path)
    assert "day first or month first" in (found.problem or "")
    assert [column.use for column in found.columns] == ["refused", "value"]
    assert [column.kind for column in found.columns] == ["unknown", "ordinal"]
    told = Data(str(path), kinds={"day": "datetime %d/%m/%Y"})
    found = describe(path, Reading(told.wanted()))
    assert found.problem is None
    assert [column.kind for column in found.columns] == ["datetime", "ordinal"]
    assert found.columns[0].why == "told by data.kinds"


def test_what_a_table_is_asked_for_shows_in_the_uses(tmp_path):
    lines = ["id,x,y,class", *(f"a{i},{i * 3 % 7},{i * i},{i % 2}" for i in range(20))]
    path = write_text(tmp_path / "t.csv", lines)
    data = Data(str(path), ids=["id"], labels="class", exclude=["y"])
    found = describe(path, Reading(data.wanted()))
    assert [column.use for column in found.columns] == ["id", "value", "left out", "label"]
    assert found.problem is None
    assert data.open().schema.columns == ("x",)


def test_a_log_is_told_from_a_table_by_its_columns(tmp_path):
    lines = ["User-ID,ISBN,Book-Rating", *(f"{i % 7},{i % 11},{i % 5}" for i in range(50))]
    path = write_text(tmp_path / "log.csv", lines)
    found = describe(path)
    assert found.kind == "interactions"
    assert [column.use for column in found.columns] == ["user", "item", "rating"]
    as_table = describe(path, Reading(is_log=False))
    assert as_table.kind == "table"
    assert as_table.count == found.count == 50


def test_a_file_without_names_may_be_either(tmp_path):
    """Columns by their places are read as a table, and the other reading is told of."""
    path = write_text(tmp_path / "ratings.dat", [f"{i % 7}::{i % 11}::3::{i}" for i in range(50)])
    found = describe(path)
    assert found.kind == "table"
    assert any("multvae" in note for note in found.notes)
    log = describe(path, Reading(is_log=True))
    assert [column.use for column in log.columns] == ["user", "item", "rating", "time"]


def test_a_sparse_matrix_is_a_log_and_other_archives_are_not(tmp_path):
    save_npz(tmp_path / "sparse.npz", random_matrix(9, 5, 0.5, "csr", random_state=0))
    np.savez(tmp_path / "images.npz", images=np.zeros((4, 8, 8), np.uint8), labels=[0, 1, 1, 1])
    assert describe(tmp_path / "sparse.npz").kind == "interactions"
    images = describe(tmp_path / "images.npz")
    assert (images.kind, images.labels) == ("image", {"1": 3, "0": 1})


def test_a_parquet_file_is_described_by_its_columns(tmp_path):
    """Lists are told of, and not unpacked."""
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame({"x": range(2500), "day": ["2020-01-01", "2020-01-02"] * 1250})
    frame = frame.with_columns(pl.col("day").str.to_date(), tags=pl.concat_list("x"))
    frame.write_parquet(path)
    found = describe(path)
    assert (found.count, found.looked_at) == (2500, 2500)
    assert [column.kind for column in found.columns] == ["id", "datetime", "text"]
    assert found.columns[2].why == "values of type List(Int64)"


def test_a_frame_is_described_as_its_file_is(tmp_path):
    """What is wrong is said beside what is there, and all rows are counted."""
    frame = pl.DataFrame({"x": range(2500), "day": ["monday"] * 2500})
    path = tmp_path / "days.parquet"
    frame.write_parquet(path)
    for source in (frame, frame.lazy()):
        found = describe(source)
        assert found.count == 2500
        assert found.columns == describe(str(path)).columns
        assert "no column that a model reads: 'x' (id: it counts the rows)" in found.problem
        assert "'day' (one value only: 'monday')" in found.problem


def test_data_in_memory_and_named_sets_are_described(tmp_path):
    assert describe(np.zeros((5, 6, 7))).count == 5
    found = lowerbound.describe(pl.DataFrame({"x": [1.0, 2.0]}))
    assert (found.kind, found.count) == ("table", 2)
    digits = describe("digits")
    assert (digits.kind, digits.count) == ("image", 1797)
    assert describe("synthetic-interactions").kind == "interactions"


def test_what_is_not_there_is_refused():
    with pytest.raises(DataError, match="no file or folder"):
        describe("nowhere/at.all")


def test_labels_are_counted_and_the_rarest_together():
    counted = count_labels(np.repeat(np.arange(13), np.arange(13, 0, -1)))
    assert list(counted)[:2] == ["0", "1"]
    assert counted["others"] == 3 + 2 + 1
    assert sum(counted.values()) == 13 * 14 // 2


def test_the_command_prints_what_a_fit_would_make_of_it(tmp_path, capsys, monkeypatch):
    """Its splits are those of the fit, and its last line is the command of one."""
    path = write_text(tmp_path / "t.csv", ["x,y", *(f"{i},{i % 3}" for i in range(40))])
    printed = run(capsys, monkeypatch, "describe", str(path), "--set", "data.test=0.25")
    data = Data(str(path), test=0.25).open()
    assert data.test is not None
    assert f"train {len(data.train)}, validation 4, test {len(data.test)}" in printed
    assert printed.splitlines()[-1].endswith(
        f"lowerbound fit table --data {path} --set data.test=0.25"
    )


def test_json_has_the_same(tmp_path, capsys, monkeypatch):
    folder = write_pictures(tmp_path / "photos", [(12, 12)] * 20)
    printed = run(capsys, monkeypatch, "describe", str(folder), "--json")
    found = json.loads(printed.splitlines()[-1])
    assert (found["kind"], found["count"]) == ("image", 20)
    assert found["splits"] == {"train": 16, "validation": 2, "test": 2}
    assert found["next"] == f"lowerbound fit images --data {folder}"


def test_images_on_other_levels_get_a_command_that_fits_them(tmp_path, capsys, monkeypatch):
    """Where only a fit can tell the levels, no command is given, and a note says why."""
    np.save(tmp_path / "deep.npy", np.arange(20 * 16).reshape(20, 4, 4).astype(np.uint16) * 9)
    printed = run(capsys, monkeypatch, "describe", str(tmp_path / "deep.npy"))
    command = printed.splitlines()[-1].removeprefix("next").strip()
    assert command.endswith("--set model.likelihood.levels=4096")
    data = Data(str(tmp_path / "deep.npy")).open()
    assert data.schema.levels == 4096
    np.save(tmp_path / "real.npy", RANDOM.random((20, 4, 4)))
    printed = run(capsys, monkeypatch, "describe", str(tmp_path / "real.npy"))
    assert "lowerbound fit" not in printed
    assert "model.likelihood" in printed


def test_too_few_examples_are_a_problem_and_no_crash(tmp_path, capsys, monkeypatch):
    folder = write_pictures(tmp_path / "photos", [(12, 12)])
    printed = run(capsys, monkeypatch, "describe", str(folder), "--set", "data.validation=3")
    assert "would leave none" in printed
    assert "lowerbound fit" not in printed


def test_a_key_of_another_table_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lowerbound", "describe", "x", "--set", "model.latent=[2]"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "keys of [data] alone, got model.latent" in capsys.readouterr().err


def test_nobody_waits_for_torch(tmp_path):
    """A description of files does without torch."""
    path = write_text(tmp_path / "t.csv", ["x,y", "1,2", "3,4"])
    code = (
        "import sys; from lowerbound.data.describing import describe; "
        f"describe({str(path)!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.parquet", b"PAR1" + b"x" * 100 + b"PAR1x", "cannot be read as a table"),
        ("t.csv", b"a,b\n1,2\n3,4,5\n6,7\n", "line 3 of"),
    ],
)
def test_a_damaged_table_is_refused_as_a_table(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    """And not as a log of users and items, which nobody spoke of."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as refusal:
        describe(str(path))
    assert "interactions" not in str(refusal.value)


def test_tables_in_memory_are_described_as_a_frame_is() -> None:
    """A dict of columns and a list of dicts too, with words among numbers and objects of Python."""
    columns: dict[str, list[Any]] = {
        "a": [1, "x", None, 2.5] * 10,
        "b": [0.5 * k for k in range(40)],
    }
    rows = [{"b": value} for value in columns["b"]]
    found = describe(columns)
    assert found.problem is None
    assert [column.kind for column in found.columns] == ["categorical", "real"]
    assert found.columns[0].missing == 10
    assert describe(rows).columns == found.columns[1:]
    objects = pl.DataFrame({"o": pl.Series([object()] * 3, dtype=pl.Object), "b": [1.5, 2.5, 3.5]})
    assert [column.use for column in describe(objects).columns] == ["left out", "value"]


def test_what_is_not_unpacked_can_be_named(tmp_path: Path) -> None:
    """A description takes the same options as a fit, and tells the same of such columns."""
    path = tmp_path / "t.parquet"
    lists = [[1, 2]] * 40
    pl.DataFrame({"x": [k / 2 for k in range(40)], "tags": lists}).write_parquet(path)
    found = describe(str(path))
    assert found.problem is None
    assert any("not unpacked: 'tags' (List(Int64))" in note for note in found.notes)
    without = Data(str(path), kinds={}, exclude=["tags"])
    found = describe(str(path), Reading(without.wanted()))
    assert found.problem is None
    alone = Data(str(path), kinds={}, columns=["tags"])
    assert "'tags' (List(Int64))" in (describe(str(path), Reading(alone.wanted())).problem or "")


def test_a_folder_with_a_table_in_parts_is_no_log(tmp_path):
    for name in ("train", "test"):
        pl.DataFrame({"age": [1.5, 2, 3], "city": ["a", "b", "a"]}).write_csv(
            tmp_path / f"{name}.csv"
        )
    found = describe(tmp_path)
    assert found.kind == "table"
    assert [column.name for column in found.columns] == ["age", "city"]
    assert f"of a table give one file, such as {tmp_path}/train.csv" in found.problem
    assert describe(tmp_path, Reading(is_log=True)).kind == "interactions"
    log = pl.DataFrame({"user": [1, 2], "item": [3, 4]})
    for name in ("train", "test"):
        log.write_csv(tmp_path / f"{name}.csv")
    assert describe(tmp_path).kind == "interactions"


def test_one_row_is_not_rows(tmp_path):
    pl.DataFrame({"a": [1]}).write_csv(tmp_path / "one.csv")
    text = str(describe(tmp_path / "one.csv"))
    assert "content  1 row\n" in text
    assert "the only row:" in text


def test_empty_lines_of_one_column_are_told_to_be_no_gaps(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("a\n1\n\n3\n")
    assert any("write NA for it" in note for note in describe(path).notes)
    path.write_text("a,b\n1,2\n\n3,4\n")
    assert not any("write NA for it" in note for note in describe(path).notes)


def test_kinds_that_are_not_used_are_told_to_be_none(command, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    _, out, _ = command("describe", path, "--set", "data.kinds=none")
    assert "data.kinds=none takes numbers alone" in out
    _, out, _ = command("describe", path)
    assert "data.kinds=none" not in out


@pytest.mark.parametrize(
    ("word", "is_such"),
    [
        ("12 kg", True),
        ("€ 5", True),
        ("5%", True),
        ("-$1,200.50", True),
        ("1.2.3", False),
        ("12", False),
        ("1'000", False),
        ("twelve", False),
        ("2020-01-02", False),
    ],
)
def test_numbers_with_units(word, is_such):
    assert is_with_unit(word) == is_such
