"""Imputation reads tables as a fit does: the same gaps, numbers, dates and levels; and what was
observed comes back bit for bit, in all types and spellings.
"""

import csv
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from sample_tables import made

import lowerbound
from lowerbound.columns import ColumnSchema
from lowerbound.data import Data, Schema
from lowerbound.data.files.cells import CellFormat
from lowerbound.errors import DataError
from lowerbound.imputation import impute_file
from lowerbound.imputation.sources import open_table
from lowerbound.imputation.texts import NumberStyle, Style
from lowerbound.recipe import Recipe

SETTINGS = {
    "report.write": False,
    "training.epochs": 1,
    "model.latent": [2],
    "model.network.hidden": [8],
}


def fit(source, out, **settings):
    return lowerbound.fit(
        "table", data=source, out=out, progress=False, settings={**SETTINGS, **settings}
    )


def impute(run, source, **options):
    return lowerbound.impute(run, source, **{"samples": 5, "progress": False, **options})


# A German text file


def german(number, decimals):
    text = f"{number:,.{decimals}f}"
    return text.translate(str.maketrans(",.", ".,"))


@pytest.fixture(scope="module")
def german_lines():
    """Lines with thousands points, decimal commas, dotted dates, and `k.A.` for a gap."""
    random = np.random.default_rng(0)
    lines = ["preis;größe;zimmer;ort;seit;wahr"]
    for _ in range(200):
        day = date(2020, 1, 1) + timedelta(int(random.integers(1000)))
        cells = [
            german(np.exp(random.normal(7, 1.5)), 2),
            german(random.normal(1.7, 0.1), 3),
            str(random.integers(1, 6)),
            str(random.choice(["Köln", '"Bern; alt"', "Ulm"])),
            f"{day:%d.%m.%Y}",
            str(random.choice(["WAHR", "FALSCH"])),
        ]
        for place in np.flatnonzero(random.random(6) < 0.1):
            cells[place] = "k.A."
        lines.append(";".join(cells))
    return lines


@pytest.fixture(scope="module")
def german_run(german_lines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("german")
    path = folder / "de.csv"
    path.write_bytes(("\r\n".join(german_lines) + "\r\n").encode("latin-1"))
    return fit(str(path), folder / "run", **{"data.missing": ["k.A."]})


PATTERNS = [
    r"(0|[1-9]\d{0,2}(\.\d{3})*),\d{2}",
    r"\d,\d{3}",
    r"[1-5]",
    "Köln|Bern; alt|Ulm",
    r"\d{2}\.\d{2}\.\d{4}",
    "WAHR|FALSCH",
]


def test_a_german_file_is_filled_in_its_own_spelling(german_run, german_lines, tmp_path):
    source = german_run.recipe.data.source
    impute_file(german_run, source, tmp_path / "b.csv", samples=5, multiple=1, progress=False)
    for name in ("b.csv", "b-1.csv"):
        text = (tmp_path / name).read_bytes().decode()
        assert text.count("\r\n") == len(german_lines) == text.count("\n")
        rows = list(csv.reader(text.splitlines(), delimiter=";"))
        sources = list(csv.reader(german_lines, delimiter=";"))
        assert rows[0] == sources[0]
        gaps = 0
        for row, source_row in zip(rows[1:], sources[1:], strict=True):
            for cell, source_cell, pattern in zip(row, source_row, PATTERNS, strict=True):
                if source_cell == "k.A.":
                    gaps += 1
                    assert pl.Series([cell]).str.contains(f"^({pattern})$").all(), cell
                else:
                    assert cell == source_cell
        assert gaps > 50


def test_a_word_for_a_gap_with_a_point_makes_no_decimals(german_run):
    column = german_run.schema.table[2]
    assert column.name == "zimmer"
    assert column.type == "integer"


def test_a_german_file_becomes_a_frame_of_numbers(german_run, german_lines):
    frame = impute(german_run, None).frame
    assert frame.dtypes == [pl.Float64, pl.Float64, pl.Int64, pl.String, pl.String, pl.String]
    assert not sum(frame.null_count().row(0))
    first = german_lines[1].split(";")
    expected = float(first[0].replace(".", "").replace(",", "."))
    assert frame["preis"][0] == expected


# Types


def of_many_types(rows):
    random = np.random.default_rng(3)
    moments = []
    for _ in range(rows):
        minutes = int(random.integers(500_000))
        moments.append(datetime(2020, 1, 1) + timedelta(minutes=minutes))
    moments = pl.Series(moments, dtype=pl.Datetime("ms"))
    return pl.DataFrame(
        {
            "day": moments.dt.date(),
            "moment": moments.dt.replace_time_zone("Europe/Berlin", non_existent="null"),
            "sort": pl.Series(random.choice(["b", "a", "c"], rows), dtype=pl.Enum(["b", "c", "a"])),
            "small": pl.Series(random.poisson(30, rows), dtype=pl.Int8),
            "money": pl.Series(
                [Decimal(int(cents)) / 100 for cents in random.integers(100, 99999, rows)],
                dtype=pl.Decimal(9, 2),
            ),
            "whole": random.integers(-1000, 1000, rows),
            "single": pl.Series(random.normal(size=rows), dtype=pl.Float32),
            "word": random.choice(["x", "y", "z"], rows),
            "written": [f"{number:.2f}" for number in random.normal(5, 2, rows)],
            "us": moments.dt.offset_by("-9d").shuffle(1).dt.strftime("%m/%d/%Y"),
            "yes": random.random(rows) < 0.5,
        }
    )


def hidden_in(frame, share, random):
    """Hides cells, as null, "?", NaN or infinite numbers, as the types have them."""
    changed = []
    for series in frame:
        gaps = [None]
        if series.dtype == pl.String:
            gaps = [None, "?", " NA ", ""]
        elif series.dtype.is_float():
            gaps = [None, float("nan"), float("inf"), -float("inf")]
        cells = series.to_list()
        for row in np.flatnonzero(random.random(len(frame)) < share):
            cells[row] = gaps[random.integers(len(gaps))]
        changed.append(pl.Series(series.name, cells, series.dtype))
    return pl.DataFrame(changed)


def is_gap(series):
    found = series.is_null()
    if series.dtype == pl.String:
        found |= series.str.strip_chars().is_in(["?", "NA", ""]).fill_null(False)
    if series.dtype.is_float():
        found |= ~series.is_finite().fill_null(False)
    return found


@pytest.fixture(scope="module")
def many_types(tmp_path_factory):
    return fit(of_many_types(300), tmp_path_factory.mktemp("types") / "run")


def check_filled(source, filled):
    """What was observed has the same bits, all gaps are filled, and the types stay."""
    assert filled.schema == source.schema
    for series in source:
        gaps = is_gap(series)
        made_of = filled[series.name]
        assert made_of.filter(~gaps).equals(series.filter(~gaps)), series.name
        assert not is_gap(made_of).any(), series.name
    assert filled["written"].str.contains(r"^-?\d+\.\d\d$").all()
    assert filled["us"].str.contains(r"^\d\d/\d\d/\d{4}$").all()
    assert filled["word"].is_in(["x", "y", "z"]).all()


def test_all_types_come_back_from_parquet(many_types, tmp_path):
    source = hidden_in(of_many_types(200), 0.2, np.random.default_rng(1))
    source.write_parquet(tmp_path / "a.parquet")
    found = impute_file(
        many_types,
        str(tmp_path / "a.parquet"),
        tmp_path / "b.parquet",
        samples=5,
        multiple=1,
        progress=False,
    )
    expected = {series.name: int(is_gap(series).sum()) for series in source}
    assert found.filled == expected
    for path in found.outs:
        check_filled(source, pl.read_parquet(path))


def test_all_types_come_back_from_frames_and_text_files(many_types, tmp_path):
    source = hidden_in(of_many_types(200), 0.2, np.random.default_rng(2))
    check_filled(source, impute(many_types, source).frame)
    texts = source.with_columns(pl.col("moment").dt.strftime("%Y-%m-%dT%H:%M:%S"))
    texts = texts.with_columns(
        pl.selectors.numeric().cast(pl.String), pl.col("day").cast(pl.String)
    )
    texts.write_csv(tmp_path / "a.csv")
    impute_file(many_types, str(tmp_path / "a.csv"), tmp_path / "b.csv", samples=5, progress=False)
    before = pl.read_csv(tmp_path / "a.csv", infer_schema=False)
    after = pl.read_csv(tmp_path / "b.csv", infer_schema=False)
    missing = ["", "?", "NA", "NaN", "inf", "-inf"]
    for series in before:
        gaps = series.fill_null("").str.strip_chars().is_in(missing)
        assert after[series.name].filter(~gaps).equals(series.filter(~gaps)), series.name
        assert not after[series.name].fill_null("").str.strip_chars().is_in(missing).any()
    assert after["moment"].str.contains(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$").all()
    assert after["day"].str.contains(r"^\d{4}-\d\d-\d\d$").all()


def test_frames_of_pandas_are_filled(many_types):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    source = of_many_types(50).select("small", "single", "word", "yes", "day")
    frame = pandas.DataFrame(
        {
            "small": pandas.array([3, None] * 25, dtype="Int8"),
            "single": [float("nan"), 0.1] * 25,
            "word": ["?", "x", None, "y", "z"] * 10,
            "yes": pandas.array([True, None] * 25, dtype="boolean"),
            "whole": pandas.array([None, 2**60 + 1] * 25, dtype="Int64"),
            "day": pandas.to_datetime([*source["day"].to_list()[:49], None]),
        }
    )
    found = impute(many_types, frame)
    filled = found.frame
    assert found.filled == {"small": 25, "single": 25, "word": 20, "yes": 25, "whole": 25, "day": 1}
    assert filled["small"].dtype == pl.Int8
    assert filled["small"].to_list()[::2] == [3] * 25
    assert filled["single"].to_list()[1::2] == [0.1] * 25
    assert filled["word"].to_list()[1] == "x"
    assert filled["whole"].to_list()[1::2] == [2**60 + 1] * 25
    assert filled["yes"].to_list()[::2] == [True] * 25
    assert filled["day"].cast(pl.Date).to_list()[:49] == source["day"].to_list()[:49]
    assert not sum(filled.null_count().row(0))


def test_an_array_of_objects_is_filled(run):
    values = made(4).drop("id").to_numpy().astype(object)
    values[1, 4] = None
    values[2, 0] = float("nan")
    frame = impute(run, values).frame
    assert frame["town"].to_list()[0] == values[0, 4]
    assert frame["town"][1] in ("Bern, old", "Köln", "Oslo")
    assert frame["height"][2] > 0


# Odd cells


ODD = {
    "height": ["tall", "170.25", None, "171.5"],
    "price": [0.0, 2.5, None, 1.0],
    "visits": [2.5, None, 3.0, 4.0],
    "level": [9, None, 2, 3],
    "town": ["Rome", None, "Oslo", "Rome"],
    "since": ["2020-02-31", None, "2020-01-31", "2020-05-01"],
}

TOLD = [
    "1 cell of 'height' (positive) is no number above 0: 'tall'; it stays as it is",
    "1 cell of 'price' (positive) is no number above 0: '0'; it stays as it is",
    "1 cell of 'visits' (ordinal) has a level that the run does not know: '2.5'; it stays as it is",
    "1 cell of 'level' (ordinal) has a level that the run does not know: '9'; it stays as it is",
    (
        "2 cells of 'town' (categorical) have levels that the run does not know, such as 'Rome'; "
        "they stay as they are"
    ),
    "1 cell of 'since' (datetime) is no date: '2020-02-31'; it stays as it is",
]


def test_odd_cells_stay_and_are_counted(run, tmp_path):
    source = pl.DataFrame(ODD)
    found = impute(run, source)
    assert found.frame.schema == source.schema
    assert found.frame.row(0) == source.row(0)
    assert not sum(found.frame.null_count().row(0))
    assert list(found.notes[-len(TOLD) :]) == [f"the frame: {line}" for line in TOLD]
    assert sum(found.filled.values()) == 6
    source.write_csv(tmp_path / "a.csv")
    impute_file(run, str(tmp_path / "a.csv"), tmp_path / "b.csv", samples=5, progress=False)
    before = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    after = (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines()
    assert before[1] == after[1]
    assert "" not in ",".join(after).split(",")


def test_words_among_numbers_of_a_text_file_are_null_in_a_frame(run, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("height,price,town\ntall,0,Rome\n,2,Oslo\n171.5,3,?\n", encoding="utf-8")
    found = impute(run, str(path))
    assert found.frame["height"].dtype == pl.Float64
    assert found.frame["height"][0] is None
    assert found.frame["price"].to_list() == [0, 2, 3]
    assert found.frame["town"][0] == "Rome"
    assert found.notes[-3:] == (
        (
            f"{path}: 1 cell of 'height' (positive) is no number above 0: 'tall'; what is no value "
            "of its type is null"
        ),
        (
            f"{path}: 1 cell of 'price' (positive) is no number above 0: '0'; what is no value of "
            "its type is null"
        ),
        (
            f"{path}: 1 cell of 'town' (categorical) has a level that the run does not know: "
            "'Rome'; it stays as it is"
        ),
    )


@pytest.mark.parametrize("name", ODD)
def test_odd_cells_may_be_refused(tmp_path_factory, name):
    strict = fit(
        made(200).drop("id"),
        tmp_path_factory.mktemp("strict") / "run",
        **{"data.unseen": "error", "data.kinds": {"level": "ordinal"}},
    )
    with pytest.raises(DataError) as caught:
        impute(strict, pl.DataFrame({name: ODD[name]}))
    assert str(caught.value).endswith(
        "; data.unseen=missing, when a run is fitted, leaves such cells as they are"
    )


# Spellings


@pytest.mark.parametrize(
    ("words", "form", "value", "text"),
    [
        (["1.234,50", "2,25"], "1.234,5", 1234567.5, "1.234.567,50"),
        (["1.234,50", "2,25"], "1.234,5", -1234.5, "-1.234,50"),
        (["2,25"], "1.234,5", 999.0, "999,00"),
        (["1234,50"], "1.234,5", 1234567.5, "1234567,50"),
        (["1,234", "5"], "1,234.5", 98765.0, "98,765"),
        (["1\u202f234", "5"], "1 234.5", 98765.0, "98\u202f765"),
        (["1'234", "5"], "1'234.5", 98765.0, "98'765"),
        ([], "1'234.5", 98765.0, "98'765"),
        ([], "1234,5", 0.25, "0,25"),
        (["0.5"], "", 1234.25, "1234.25"),
        (["0.500", "tall"], "", 7.0, "7.000"),
        (["1.234,50", "groß"], "1.234,5", 7654.0, "7.654,00"),
        (["0.5"], "1.234,5", 1234.25, "1234.25"),
    ],
)
def test_numbers_are_written_with_the_marks_of_their_source(words, form, value, text):
    column = ColumnSchema("x", format=form, decimals=2)
    style = NumberStyle.of_words(pl.Series(words, dtype=pl.String), column)
    assert style.write(value, 2) == text


DAYS = np.array([18292.0, np.nan, 18293.5])
"""2020-01-31, and noon of the day after it."""


@pytest.mark.parametrize(
    ("form", "kind", "words", "expected"),
    [
        ("%d.%m.%Y", "text", ["01.02.2020"], ["31.01.2020", "02.02.2020"]),
        ("%d.%m.%Y", "text", ["1.2.2020", "12.12.2020"], ["31.1.2020", "2.2.2020"]),
        ("%d.%m.%Y", "text", ["2020-02-01"], ["2020-01-31", "2020-02-02"]),
        ("%d.%m.%Y", "text", ["2020-02-01", "soon"], ["2020-01-31", "2020-02-02"]),
        ("%d/%m/%Y", "text", [], ["31/01/2020", "02/02/2020"]),
        ("%d/%m/%Y", "text", ["01/02/2020"], ["31/01/2020", "02/02/2020"]),
        ("%d/%m/%Y", "text", ["12/31/2020"], ["31/01/2020", "02/02/2020"]),
        ("", "date", ["31 Jan 2020"], ["2020-01-31", "2020-02-02"]),
        ("", "date", [], ["2020-01-31", "2020-02-02"]),
        ("", "datetime", [], ["2020-01-31 00:00:00", "2020-02-01 12:00:00"]),
        (
            "us Europe/Berlin",
            "datetime",
            ["2020-01-31T10:00:00+02:00"],
            ["2020-01-31T02:00:00+02:00", "2020-02-01T14:00:00+02:00"],
        ),
        (
            "%Y-%m-%dT%H:%M:%S+02:00",
            "text",
            ["2020-01-31T10:00:00Z"],
            ["2020-01-30T22:00:00Z", "2020-02-01T10:00:00Z"],
        ),
    ],
)
def test_dates_are_written_in_the_form_of_their_source(form, kind, words, expected):
    column = ColumnSchema("x", "datetime", kind, format=form)
    style = Style(CellFormat(), {"x": pl.Series("x", words, pl.String)})
    assert style.write(DAYS, column, "x").drop_nulls().to_list() == expected


def test_levels_of_an_enum_that_stand_for_numbers_become_texts(run):
    source = made(4).select("visits", "town")
    source = source.with_columns(visits=pl.Series(["3", None, "4", "3"], dtype=pl.Enum(["3", "4"])))
    frame = impute(run, source).frame
    assert frame["visits"].dtype == pl.String
    assert frame["visits"][0] == "3"
    assert frame["visits"].null_count() == 0


def test_a_table_without_rows_is_refused(tmp_path):
    run = SimpleNamespace(
        recipe=Recipe(data=Data("nowhere")), held=None, schema=Schema((2,), "table", None, 0, 1)
    )
    path = tmp_path / "t.csv"
    path.write_text("a,b\n")
    for source in (path, pl.DataFrame({"a": [], "b": []})):
        with pytest.raises(DataError, match="has no rows, so that there is nothing to fill"):
            open_table(run, source)
