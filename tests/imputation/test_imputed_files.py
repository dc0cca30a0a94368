"""Imputation of files: what was observed is as it was written; all is written, or nothing."""

import errno
import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sample_tables import made, with_gaps

import lowerbound
from lowerbound.columns import ColumnSchema
from lowerbound.errors import ConfigError, DataError, RunError
from lowerbound.imputation import filling, impute_file, writing
from lowerbound.imputation.completion import BLOCK
from lowerbound.imputation.texts import Style, number_text

TEXT = '''\
# height in cm
id;height;visits;level;town;member;note;since
007;1,50;3;1;"Bern; old";True;"a ""b""";2020-01-31
008;?;;2; Oslo;False;;2021-12-01
009;170,00;4;NA;Köln;?;?;
"010";171,25;?;4;?;True;"x
y";2020-02-01
'''


def impute(run, source, out, **options):
    return impute_file(run, str(source), out, **{"samples": 5, "progress": False, **options})


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_observed_cells_are_as_they_were_written(run, tmp_path):
    source = write(tmp_path / "a.csv", TEXT)
    out = tmp_path / "b.csv"
    found = impute(run, source, out)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "id;height;visits;level;town;member;note;since"
    assert lines[1].startswith('007;1,50;3;1;"Bern; old";True;')
    cells = lines[2].split(";")
    assert cells[0] == "008"
    assert cells[3:6] == ["2", " Oslo", "False"]
    assert cells[6:] == ["", "2021-12-01"]
    assert len(cells[1].split(",")[1]) == 2
    cells = lines[3].split(";")
    assert cells[:3] == ["009", "170,00", "4"]
    assert cells[3] in "1234"
    assert cells[5] in ("True", "False")
    assert cells[6] == "?"
    assert len(cells[7]) == 10
    assert lines[4].startswith("010;171,25;")
    assert lines[5].startswith("y")
    assert found.filled == {
        "height": 1, "visits": 2, "level": 1, "town": 1, "member": 1, "since": 1,
    }  # fmt: skip
    assert found.left == {"note": 2}
    assert found.rows == 4
    assert found.notes[-1] == f"{out} lacks the 1 lines of the source that are comments or empty"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "height,town\n1.5,Oslo\n"),
        ("a.csv", "height,town\r\n1.5,Oslo\r\n"),
        ("a.csv", "\ufeffheight,town\n1.5,Oslo\n"),
        ("a.tsv", "height\ttown\n1.50\tOslo\n"),
        ("a.csv", 'height,town\n1.5,"Bern, old"\n'),
        ("a.csv", 'height , town,"odd ""name"""\n1.5,Oslo,"a ""b"""\n'),
        ("a.csv", ",height,town\n1,1.5,Oslo\n2,1.5,Oslo\n"),
        ("a.txt", "height|town\n1.5|Oslo\n"),
        ("a.csv", "height::town\n1.5::Oslo\n"),
        ("a.csv", "height,town,\n1.5,Oslo,\n"),
    ],
)
def test_a_file_without_gaps_comes_back_byte_for_byte(run, tmp_path, name, text):
    source = write(tmp_path / name, text)
    out = tmp_path / f"out{source.suffix}"
    found = impute(run, source, out)
    assert out.read_bytes() == source.read_bytes()
    assert found.headline == (
        f"{source} has no gaps in the columns that the run reads: nothing was filled"
    )
    assert found.warning is None


def test_a_file_without_names_has_none_either(run, tmp_path):
    """Its columns are called column_1 and so on, as those of the run are."""
    columns = made(60).select(column_1="height", column_2="town")
    settings = {"report.write": False, "training.epochs": 1, "model.network.hidden": [8]}
    fitted = lowerbound.fit(
        "table", data=columns, out=tmp_path / "run", progress=False, settings=settings
    )
    source = write(tmp_path / "a.csv", "170.5,Oslo\n,Oslo\n171.25,?\n169.0,Oslo\n")
    impute(fitted, source, tmp_path / "b.csv")
    lines = (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "170.5,Oslo"
    assert lines[1].endswith(",Oslo")
    assert float(lines[1].split(",")[0]) > 0
    assert lines[3] == "169.0,Oslo"
    assert len(lines) == 4


def test_another_encoding_is_written_in_utf_8_and_told_of(run, tmp_path):
    source = write(tmp_path / "a.csv", "height,town\n1.5,Köln\n,Köln\n", "latin-1")
    found = impute(run, source, tmp_path / "b.csv")
    assert "1.5,Köln" in (tmp_path / "b.csv").read_text(encoding="utf-8")
    assert found.notes[-1] == (
        f"{tmp_path / 'b.csv'} is written in UTF-8; the encoding of the source is cp1252"
    )


def test_packed_files_are_packed_again(run, tmp_path):
    source = tmp_path / "a.csv.gz"
    source.write_bytes(gzip.compress(b"height,town\n1.5,Oslo\n,Oslo\n"))
    found = impute(run, source, tmp_path / "b.csv.gz", multiple=1)
    assert [path.name for path in found.outs] == ["b.csv.gz", "b-1.csv.gz"]
    for path in found.outs:
        assert gzip.decompress(path.read_bytes()).startswith(b"height,town\n1.5,Oslo\n")


def test_parquet_keeps_types_and_equals_the_frame(run, tmp_path):
    source = with_gaps(made(2 * BLOCK + 7), 0.02)
    source = source.with_columns(town=source["town"].cast(pl.Categorical), visits=source["visits"])
    source.write_parquet(tmp_path / "a.parquet")
    found = impute(run, tmp_path / "a.parquet", tmp_path / "b.parquet", multiple=2)
    expected = lowerbound.impute(run, source, samples=5, multiple=2, progress=False)
    assert pl.read_parquet(found.outs[0]).equals(expected.frame)
    for path, frame in zip(found.outs[1:], expected.frames, strict=True):
        written = pl.read_parquet(path)
        assert written.equals(frame)
        assert written.schema == source.schema


def test_pieces_of_a_file_are_filled_as_the_whole(run, tmp_path, monkeypatch):
    with_gaps(made(3 * BLOCK + 7), 0.02).write_csv(tmp_path / "a.csv")
    impute(run, tmp_path / "a.csv", tmp_path / "b.csv", multiple=1)
    impute(run, tmp_path / "a.csv", tmp_path / "b.parquet")
    monkeypatch.setattr("lowerbound.imputation.files.CHUNK", BLOCK)
    impute(run, tmp_path / "a.csv", tmp_path / "c.csv", multiple=1)
    impute(run, tmp_path / "a.csv", tmp_path / "c.parquet")
    for name in ("{}.csv", "{}-1.csv"):
        first = (tmp_path / name.format("b")).read_bytes()
        assert first == (tmp_path / name.format("c")).read_bytes()
    frame = pl.read_parquet(tmp_path / "b.parquet")
    assert frame.equals(pl.read_parquet(tmp_path / "c.parquet"))
    assert not sum(frame.null_count().row(0))
    assert frame.equals(lowerbound.impute(run, tmp_path / "a.csv", samples=5).frame)


def test_formats_may_differ(run, tmp_path):
    source = with_gaps(made(30))
    source.write_parquet(tmp_path / "a.parquet")
    impute(run, tmp_path / "a.parquet", tmp_path / "b.tsv")
    text = (tmp_path / "b.tsv").read_text(encoding="utf-8")
    assert text.startswith("id\theight\tprice\t")
    write(tmp_path / "c.csv", "height;town\n1,5;Oslo\n;Oslo\n")
    impute(run, tmp_path / "c.csv", tmp_path / "c.tsv")
    assert (tmp_path / "c.tsv").read_text(encoding="utf-8").startswith("height\ttown\n1,5\tOslo\n")


def test_nothing_is_left_half_written(run, tmp_path, monkeypatch):
    with_gaps(made(BLOCK + 50)).write_csv(tmp_path / "a.csv")
    monkeypatch.setattr("lowerbound.imputation.files.CHUNK", BLOCK)
    real = filling.Filler.fill

    def stop(self, frame):
        if self.read:
            raise KeyboardInterrupt
        return real(self, frame)

    monkeypatch.setattr(filling.Filler, "fill", stop)
    write(tmp_path / "b.csv", "as it was")
    for out in (tmp_path / "b.csv", tmp_path / "c.parquet"):
        with pytest.raises(KeyboardInterrupt):
            impute(run, tmp_path / "a.csv", out, multiple=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv"]
    assert (tmp_path / "b.csv").read_text() == "as it was"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_where_one_file_cannot_be_finished_none_is_written(run, tmp_path, monkeypatch, ending):
    with_gaps(made(20)).write_csv(tmp_path / "a.csv")
    for writer in (writing._TextWriter, writing._ParquetWriter):
        monkeypatch.setattr(writer, "finish", failing_for("b-1", writer.finish))
    with pytest.raises(RunError) as caught:
        impute(run, tmp_path / "a.csv", tmp_path / f"b.{ending}", multiple=2)
    assert str(caught.value).endswith(f"b-1.{ending}: No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def failing_for(name, finish):
    def fail(writer):
        path = getattr(writer, "path", None) or Path(writer.file.name)
        if path.stem == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finish(writer)

    return fail


def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_is_written(run, tmp_path):
    with_gaps(made(20)).write_csv(tmp_path / "a.csv")
    (tmp_path / "b-1.csv").mkdir()
    with pytest.raises(RunError) as caught:
        impute(run, tmp_path / "a.csv", tmp_path / "b.csv", multiple=2)
    assert str(caught.value) == f"cannot write {tmp_path / 'b-1.csv'}: Is a directory"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b-1.csv"]


@pytest.mark.parametrize(
    ("number", "decimals", "least", "text"),
    [
        (1.5, 2, 0, "1.5"),
        (1.5, 2, 2, "1.50"),
        (2.0, 2, 0, "2"),
        (7, 0, 0, "7"),
        (7, 0, 1, "7.0"),
        (1 / 3, None, 0, "0.3333333"),
        (1e-9, None, 0, "1e-09"),
        (123456.7, 1, 0, "123456.7"),
        (-0.25, 2, 0, "-0.25"),
        (1000000, 0, 0, "1000000"),
    ],
)
def test_numbers_are_written_with_the_decimals_of_their_source(number, decimals, least, text):
    assert number_text(number, decimals, least) == text


def test_words_for_yes_and_no_are_written_as_in_the_source():
    boolean = ColumnSchema("m", "binary", "boolean", ("false", "true"))
    values = np.array([1, np.nan, 0])
    for examples, expected in (
        (("True", "False"), ["True", None, "False"]),
        (("TRUE",), ["TRUE", None, "FALSE"]),
        (("TRUE", "perhaps"), ["TRUE", None, "FALSE"]),
        (("true", "False"), ["true", None, "false"]),
        ((), ["true", None, "false"]),
    ):
        style = Style(examples={"m": pl.Series(examples, dtype=pl.String)})
        written = style.write(values, boolean, "m")
        assert written.to_list() == expected


# The command -------------------------------------------------------------------------------------


def test_the_command_says_what_it_filled(run, tmp_path, command):
    source = write(tmp_path / "a.csv", TEXT)
    out = tmp_path / "b.csv"
    arguments = ["impute", str(run.folder), "--data", str(source), "--samples", "5"]
    code, text, _ = command(*arguments, "--out", str(out), "--multiple", "2")
    assert code == 0
    assert f"7 cells filled in 3 of 4 rows of {source}" in text
    assert f"in {out}\n" in text
    assert f"draws, for analyses of the whole: {tmp_path}/b-1.csv to {tmp_path}/b-2.csv" in text
    code, text, _ = command(*arguments, "--out", str(out), "--json")
    assert code == 0
    found = json.loads(text.splitlines()[-1])
    assert found["cells"] == 7
    assert found["filled"]["visits"] == 2
    assert found["rows_with_gaps"] == 3
    assert found["draws"] == []


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--out", "{folder}/a.csv"],
            "--out {folder}/a.csv is the table that is filled; allowed: another file",
        ),
        (
            ["--out", "{folder}/b.xlsx"],
            (
                "--out {folder}/b.xlsx: the ending must be one of .csv, .tsv, .txt, .dat, .data, "
                ".tab, .parquet, got .xlsx"
            ),
        ),
        (["--out", "{folder}/b.csv", "--samples", "0"], "samples must be 1 or more, got 0"),
        (["--out", "{folder}/b.csv", "--multiple", "0"], "multiple must be 1 or more, got 0"),
        (
            ["--out", "{folder}/b.csv", "--mode", "modal"],
            "unknown mode 'modal'; did you mean 'median'? Allowed: mean, median",
        ),
        (
            ["--out", "{folder}/b.csv", "--data", "{folder}/none.csv"],
            "there is no file or folder '{folder}/none.csv'",
        ),
        (
            ["--out", "{folder}/b.csv", "--data", "{folder}/other.csv"],
            (
                "{folder}/other.csv has none of the columns of the run: 'height', 'price', "
                "'visits', 'level', 'town', 'member', 'since', 'signed'; it has 'x', 'y'"
            ),
        ),
        (
            ["--out", "{folder}/b.csv", "--data", "{folder}/strings.parquet"],
            (
                "the gaps of column 'height' cannot be filled: the run has numbers there, and its "
                "type is List(Int64); convert it, or leave the column out"
            ),
        ),
    ],
)
def test_requests_that_are_none_are_refused(run, tmp_path, command, options, line):
    write(tmp_path / "a.csv", TEXT)
    write(tmp_path / "other.csv", "x,y\n1,2\n")
    pl.DataFrame({"height": [[1], None]}).write_parquet(tmp_path / "strings.parquet")
    before = sorted(tmp_path.iterdir())
    filled = [option.format(folder=tmp_path) for option in options]
    code, _, text = command("impute", str(run.folder), "--data", str(tmp_path / "a.csv"), *filled)
    assert code == 2
    assert line.format(folder=tmp_path) in text
    assert len(text.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_run_whose_data_were_in_memory_needs_a_source(run, tmp_path):
    loaded = lowerbound.load(run.folder)
    with pytest.raises(DataError) as caught:
        impute_file(loaded, None, tmp_path / "b.csv")
    assert str(caught.value).startswith("the data of this run were given in memory")


def test_levels_that_are_not_known_may_be_refused(run, tmp_path):
    write(tmp_path / "a.csv", "height,town\n1.5,Rome\n,Oslo\n")
    strict = lowerbound.load(run.folder)
    strict.recipe = replace(strict.recipe, data=replace(strict.recipe.data, unseen="error"))
    with pytest.raises(DataError) as caught:
        impute(strict, tmp_path / "a.csv", tmp_path / "b.csv")
    assert str(caught.value) == (
        f"{tmp_path / 'a.csv'}: 1 cell of 'town' (categorical) has a level that the run does not "
        "know: 'Rome'; data.unseen=missing, when a run is fitted, leaves such cells as they are"
    )


def test_a_number_of_draws_that_is_none_is_refused_before_anything_is_read(run, tmp_path):
    with pytest.raises(ConfigError):
        impute(run, tmp_path / "none.csv", tmp_path / "b.csv", multiple=-1)
