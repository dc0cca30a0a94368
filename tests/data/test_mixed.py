"""Tables with columns of several kinds and gaps: what each column is taken for, what is left out
and told of, and that what was read comes back as it was.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from lowerbound.columns import ColumnSchema
from lowerbound.data import Data, Dataset
from lowerbound.data.files.cells import CellFormat, have_units
from lowerbound.data.files.kinds import FoundKind, find_kind
from lowerbound.data.files.mixed import to_values
from lowerbound.data.frames import to_frame
from lowerbound.errors import DataError, LowerboundError, ShapeError

RNG = np.random.default_rng(0)

IN_A_FILE = CellFormat(is_text=True)
"""How the cells of a text file are written."""

ALL = {"validation": 0, "test": 0}
"""All rows are the training split."""


def opened(source: Any, **options: Any) -> Dataset:
    """Opens a table with columns of several kinds, all of which is the training split."""
    data: dict[str, Any] = {"kinds": {}, **ALL, **options}
    if isinstance(source, Path):
        return Data(str(source), **data).open()
    return Data("<memory>", **data).open(source=source)


def read_again(dataset: Dataset, source: Any, **options: Any) -> Dataset:
    """Opens other data by the schema of a run."""
    data: dict[str, Any] = {"kinds": {}, **ALL, **options}
    if isinstance(source, Path):
        return Data(str(source), **data).open(dataset.schema)
    return Data("<memory>", **data).open(dataset.schema, source=source)


def written(folder: Path, columns: dict[str, list[Any]], **options: Any) -> Path:
    """Writes columns as a CSV file."""
    path = folder / "t.csv"
    pl.DataFrame(columns).write_csv(path, **options)
    return path


def column(dataset: Dataset, name: str) -> ColumnSchema:
    """Returns what is known of a column."""
    return dataset.schema.table[dataset.schema.columns.index(name)]


def values(dataset: Dataset, name: str) -> list[float | None]:
    """Returns the values of a column, with None for a gap."""
    numbers = dataset.whole.values[:, dataset.schema.columns.index(name)]
    return [None if np.isnan(number) else float(number) for number in numbers]


def said(dataset: Dataset) -> str:
    return "\n".join(dataset.notes)


# Kinds

NUMBERS = [f"{number:.2f}" for number in RNG.normal(size=60)]
COUNTS = [str(number) for number in RNG.integers(0, 50, 60)]

KINDS: list[tuple[str, list[Any], str, str, str]] = [
    ("real numbers", NUMBERS, "real", "float", "numbers"),
    ("numbers above 0", ["0.5", "1.25", "3.0"] * 9, "positive", "float", "above 0"),
    ("with zeros", ["0.5", "0", "3.25"] * 9, "positive", "float", "and zeros"),
    ("whole numbers", COUNTS, "count", "integer", "from 0 on"),
    ("whole and negative", ["-20", *COUNTS], "real", "integer", "below 0"),
    ("large whole numbers", ["20000000", *COUNTS], "real", "integer", "up to 2e+07"),
    ("few whole numbers", ["1", "2", "3", "5"] * 9, "ordinal", "integer", "1 to 5"),
    ("few around 0", ["-1", "0", "1"] * 9, "ordinal", "integer", "-1 to 1"),
    ("few far apart", ["1", "2", "900"] * 9, "count", "integer", "from 0 on"),
    ("two numbers", ["0", "1"] * 9, "binary", "integer", "two different"),
    ("words", ["red", "green", "blue"] * 9, "categorical", "text", "3 different words"),
    ("two words", ["yes", "no"] * 9, "binary", "text", "2 different words"),
    ("truth values", ["True", "False"] * 9, "binary", "text", "2 different words"),
    ("codes with zeros", ["007", "012", "099"] * 9, "categorical", "text", "3 different"),
    ("dates", ["2020-01-31", "2020-02-01", "1999-12-31"], "datetime", "text", "%Y-%m-%d"),
    ("a word each", [f"name {k}" for k in range(60)], "id", "text", "of its own"),
    ("few words each", [f"car {k}" for k in range(15)], "id", "text", "of its own"),
    ("texts", [f"text {k // 2}" for k in range(139)], "text", "text", "70 different"),
    ("it counts the rows", [str(k) for k in range(1, 40)], "id", "integer", "counts the rows"),
    ("large numbers", ["9007199254740993", "9007199254740992", "3"], "id", "integer", "2^53"),
    (
        "numbers that float64 takes for one",
        [str(2**60 + k) for k in range(9)],
        "id",
        "integer",
        "2^53",
    ),
    ("a gap is no word", ["?", "a", "b", "NA", ""] * 9, "binary", "text", "2 different"),
    ("thousands", ["1,234", "12,500", "950"], "count", "integer", "from 0 on"),
    ("years", [str(year) for year in range(1990, 2020)], "count", "integer", "from 0 on"),
]


@pytest.mark.parametrize(
    ("cells", "kind", "kind_of_value", "why"),
    [row[1:] for row in KINDS],
    ids=[row[0] for row in KINDS],
)
def test_the_kind_of_a_column_of_a_text_file(
    cells: list[str], kind: str, kind_of_value: str, why: str
) -> None:
    found = find_kind(pl.Series("x", cells), IN_A_FILE)
    assert (found.column.kind, found.column.type) == (kind, kind_of_value)
    assert why in found.why
    assert found.is_left_out == (kind in ("id", "text"))


@pytest.mark.parametrize(
    ("series", "kind", "kind_of_value", "form"),
    [
        (pl.Series([date(2020, 1, 1), date(2020, 1, 2)]), "datetime", "date", ""),
        (pl.Series([datetime(2020, 1, 1), datetime(2020, 1, 2)]), "datetime", "datetime", ""),
        (
            pl.Series([datetime(2020, 1, 1), datetime(2020, 1, 2)]).cast(
                pl.Datetime("ms", "Europe/Berlin")
            ),
            "datetime",
            "datetime",
            "ms Europe/Berlin",
        ),
        (pl.Series([True, False, None]), "binary", "boolean", ""),
        (pl.Series([1, 30, None], dtype=pl.Int16), "binary", "integer", "Int16"),
        (pl.Series([0.5, 2.5, 7.25], dtype=pl.Float32), "positive", "float", "Float32"),
        (pl.Series(["a", "b", "a"], dtype=pl.Categorical), "binary", "text", "Categorical"),
        (
            pl.Series(["lo", "hi", "mid"], dtype=pl.Enum(["lo", "mid", "hi"])),
            "ordinal",
            "text",
            "Enum",
        ),
        (pl.Series(["1", "?", "2", "3"]), "ordinal", "integer", "String"),
        (pl.Series([[1], [2]]), "text", "text", ""),
        (pl.Series([b"a", b"b"]), "text", "text", ""),
    ],
    ids=str,
)
def test_the_kind_of_a_column_of_a_frame(
    series: pl.Series, kind: str, kind_of_value: str, form: str
) -> None:
    found = find_kind(series.alias("x"))
    assert (found.column.kind, found.column.type, found.column.format) == (
        kind,
        kind_of_value,
        form,
    )


def test_an_enum_keeps_its_order() -> None:
    series = pl.Series("x", ["hi", "lo", "mid"], dtype=pl.Enum(["lo", "mid", "hi"]))
    assert find_kind(series).column.levels == ("lo", "mid", "hi")


@pytest.mark.parametrize("cells", [["5", "5"], ["a", "a", "?"], ["1.0", "1"], ["2020-01-01"] * 2])
def test_a_column_of_one_value_is_left_out(cells: list[str]) -> None:
    found = find_kind(pl.Series("x", cells), IN_A_FILE)
    assert found.is_useless
    assert "one value only" in found.why


def test_one_row_tells_nothing_of_that() -> None:
    assert not find_kind(pl.Series("x", ["5"]), IN_A_FILE).is_left_out


@pytest.mark.parametrize("name", ["id", "patient_id", "userId", "ID", "row key", "uuid", "index"])
def test_whole_numbers_that_all_differ_are_ids_by_their_name(name: str) -> None:
    numbers = RNG.permutation(np.arange(100, 200)).tolist()
    assert find_kind(pl.Series(name, numbers)).column.kind == "id"
    assert find_kind(pl.Series("humid", numbers)).column.kind == "count"


def test_an_id_is_kept_beside_the_codes_where_that_is_asked_for(tmp_path: Path) -> None:
    rows = {"name": [f"n{k}" for k in range(40)], "x": [k * 7 % 40 for k in range(40)]}
    path = written(tmp_path, rows)
    dataset = opened(path)
    assert dataset.schema.columns == ("x",)
    assert "left out: 'name' (id: a word of its own in each row)" in said(dataset)
    assert "data.ids keeps an id beside codes and scores" in said(dataset)
    kept = opened(path, ids=["name"])
    assert kept.whole.names_of_rows()["name"].tolist() == rows["name"]
    assert "left out" not in said(kept)


# What is told and left out


def test_all_that_is_left_out_is_told_of(tmp_path: Path) -> None:
    """An index, an id, texts, a constant, an empty column, a copy of another one."""
    count = 60
    rows: dict[str, list[Any]] = {
        "": list(range(count)),
        "serial": list(range(1, count + 1)),
        "text": [f"word {k // 2}" for k in range(count - 4)] + ["x", "y", "z", "w"],
        "same": ["same"] * count,
        "none": ["?", ""] * (count // 2),
        "x": NUMBERS,
        "again": NUMBERS,
        "y": COUNTS,
    }
    rows["text"] = [f"{word} {k}" if k > 3 else "a" for k, word in enumerate(rows["text"])]
    dataset = opened(written(tmp_path, rows))
    assert dataset.schema.columns == ("x", "y")
    told = said(dataset)
    assert "the column '' is an index" in told
    for words in (
        "'serial' (id: it counts the rows)",
        "'text' (text: 57 different words)",
        "'same' (one value only: 'same')",
        "'none' (no values)",
        "'again' (equal to 'x')",
    ):
        assert words in told
    assert "columns by kind: 1 real, 1 count" in told


def test_a_copy_stays_where_its_kind_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, {"x": COUNTS, "y": COUNTS, "z": COUNTS})
    assert opened(path, kinds={"y": "count"}).schema.columns == ("x", "y")
    assert opened(path, kinds={"y": "real"}).schema.columns == ("x", "y")


def test_a_table_of_nothing_that_is_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"a": ["x"] * 9, "n": [f"n{k}" for k in range(9)]})
    with pytest.raises(DataError, match="no column that a model reads: 'a' \\(one value only: 'x'"):
        opened(path, kinds={"n": "text"})


@pytest.mark.parametrize(
    "word", ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None", "?", "-", " ? "]
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ""])
def test_words_for_a_gap_are_gaps_everywhere(tmp_path: Path, word: str, suffix: str) -> None:
    """In numbers and in words, in text files, in Parquet and in frames."""
    cells = {"n": ["1.5", word, "2.5", "7"], "w": ["a", "b", word, "c"]}
    frame = pl.DataFrame(cells)
    source: Any = frame
    if suffix == ".csv":
        source = written(tmp_path, cells)
    elif suffix:
        source = tmp_path / "t.parquet"
        frame.write_parquet(source)
    dataset = opened(source)
    assert values(dataset, "n") == [1.5, None, 2.5, 7]
    assert column(dataset, "w").levels == ("a", "b", "c")
    assert values(dataset, "w") == [0, 1, None, 2]
    assert "2 of 8 cells are gaps, in 2 of 4 rows" in said(dataset)


def test_words_for_a_gap_can_be_set(tmp_path: Path) -> None:
    """Numbers among them are gaps in columns of numbers too."""
    numbers = pl.DataFrame({"n": [1, -999, 7, 9], "x": [0.5, 1.5, -999.0, 7.25]})
    dataset = opened(numbers, missing=["-999"])
    assert values(dataset, "n") == [1, None, 7, 9]
    assert values(dataset, "x") == [0.5, 1.5, None, 7.25]
    cells = {"n": ["1.5", "-999", "2.5", "7.5"], "w": ["NA", "b", "c", "b"]}
    path = tmp_path / "t.parquet"
    pl.DataFrame(cells).write_parquet(path)
    for source in (written(tmp_path, cells), pl.DataFrame(cells), path):
        dataset = opened(source, missing=["-999"])
        assert values(dataset, "n") == [1.5, None, 2.5, 7.5]
        assert column(dataset, "w").levels == ("NA", "b", "c")


def test_infinite_numbers_are_gaps_and_counted(tmp_path: Path) -> None:
    """And so are numbers beyond float32, which a model cannot see."""
    numbers = [1.5, float("inf"), -3.25, float("nan"), 1e300, None, 2.0]
    columns = {"x": numbers, "y": [1, 2, 3, 5, 1, 2, 3]}
    for source in (pl.DataFrame(columns), written(tmp_path, columns)):
        dataset = opened(source)
        assert values(dataset, "x") == [1.5, None, -3.25, None, None, None, 2]
        assert "4 of 14 cells are gaps" in said(dataset)
        assert "2 of them are infinite numbers, or beyond float32" in said(dataset)


def test_a_word_among_numbers_is_told_of(tmp_path: Path) -> None:
    cells = [*COUNTS, "unknown"]
    dataset = opened(written(tmp_path, {"x": cells}))
    assert column(dataset, "x").kind == "categorical"
    assert "'x': read as words: 1 of 61 cells are no numbers, such as 'unknown'" in said(dataset)
    as_gap = opened(written(tmp_path, {"x": cells}), missing=["unknown"])
    assert column(as_gap, "x").kind == "count"
    days = [f"2020-01-{day:02}" for day in range(1, 29)]
    dataset = opened(written(tmp_path, {"x": [*days, *days, "soon"], "y": [1, 2, 3] * 19}))
    assert "'x': read as words: 1 of 57 cells are no dates, such as 'soon'" in said(dataset)


# Numbers in texts


@pytest.mark.parametrize(
    ("cells", "form", "numbers"),
    [
        (["1,234", "12,500", "950"], "1,234.5", [1234, 12500, 950]),
        (["1,234,567", "8,950,000", "1,000"], "1,234.5", [1234567, 8950000, 1000]),
        (["1,234.5", "12,500.25", "0.5"], "1,234.5", [1234.5, 12500.25, 0.5]),
        (["1.234,5", "12.500,25", "0,5"], "1.234,5", [1234.5, 12500.25, 0.5]),
        (["1 234", "12 500", "950"], "1 234.5", [1234, 12500, 950]),
        (["1\u202f234,5", "12\u00a0500,25", "950"], "1 234,5", [1234.5, 12500.25, 950]),
        (["1'234.5", "12'500", "950"], "1'234.5", [1234.5, 12500, 950]),
        (["2,5", "3,25", "-1,75"], "1234,5", [2.5, 3.25, -1.75]),
        (["0,234", "3,456", "12,500"], "1234,5", [0.234, 3.456, 12.5]),
    ],
    ids=str,
)
def test_numbers_with_marks_are_read_and_told_of(
    cells: list[str], form: str, numbers: list[float]
) -> None:
    series = pl.Series("x", [*cells, None])
    found = find_kind(series, IN_A_FILE)
    assert found.column.format == form
    assert form in found.note
    read, odd = to_values(series, found.column, IN_A_FILE)
    assert read[:-1].tolist() == numbers
    assert np.isnan(read[-1])
    assert not odd.any()


def test_other_columns_tell_what_a_mark_is(tmp_path: Path) -> None:
    """A decimal comma in one column makes a point stand between thousands in another."""
    commas = {"a": ["1.234", "12.500", "3.000"], "b": ["2,5", "3,25", "7,0"]}
    dataset = opened(written(tmp_path, commas, separator=";"))
    assert values(dataset, "a") == [1234, 12500, 3000]
    points = {"a": ["1,234", "12,500", "3,000"], "b": ["2.5", "3.25", "7.0"]}
    dataset = opened(written(tmp_path, points, separator=";"))
    assert values(dataset, "a") == [1234, 12500, 3000]


def test_what_a_mark_is_can_be_said(tmp_path: Path) -> None:
    path = written(tmp_path, {"a": ["1,234", "12,500", "3,000"], "b": [1, 2, 3]})
    with pytest.raises(DataError, match="may be a decimal mark or stand between thousands"):
        opened(path)
    assert values(opened(path, decimal="."), "a") == [1234, 12500, 3000]
    assert values(opened(path, decimal=","), "a") == [1.234, 12.5, 3]


@pytest.mark.parametrize(
    ("cells", "is_refused"),
    [
        (["$5", "$12.50", "7"], True),
        (["12 €", "3 €"], True),
        (["-$5", "$1,200"], True),
        (["12%", "3.5 %"], True),
        ([f"{k}kg" for k in range(30)], True),
        (["5kg", "10kg"], False),
        (["1st", "2nd", "3rd"], False),
        (["65+", "40-64", "18-39"], False),
        (["12A", "3B"] * 20, False),
    ],
    ids=str,
)
def test_numbers_with_signs_and_units_are_known(cells: list[str], is_refused: bool) -> None:
    assert have_units(pl.Series(cells)) == is_refused
    if not is_refused:
        assert find_kind(pl.Series("x", cells), IN_A_FILE).column.kind in ("binary", "categorical")
        return
    with pytest.raises(DataError, match=r"column 'x' has numbers with currency signs.*data\.kinds"):
        find_kind(pl.Series("x", cells), IN_A_FILE)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("separator", [";", "\t"])
def test_files_of_any_dialect(tmp_path: Path, encoding: str, separator: str) -> None:
    """Encodings, marks at the beginning, separators, decimal commas."""
    lines = [separator.join(["größe", "stadt", "n"])]
    for row in range(40):
        number = f"{row * 37 % 11},{row % 10}5"
        lines.append(separator.join([number, ["Köln", "Šibenik", "Bonn"][row % 2], str(row % 5)]))
    path = tmp_path / "t.csv"
    text = "\r\n".join(lines)
    if encoding == "latin-1":
        text = text.replace("Š", "S")
    path.write_bytes(text.encode(encoding))
    dataset = opened(path)
    assert dataset.schema.columns == ("größe", "stadt", "n")
    assert [each.kind for each in dataset.schema.table] == ["positive", "binary", "ordinal"]
    assert values(dataset, "größe")[1] == 4.15
    assert "Köln" in column(dataset, "stadt").levels


# Parquet


def test_nested_columns_are_told_of_and_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame({"x": NUMBERS, "n": COUNTS}).cast({"x": pl.Float64, "n": pl.Int64})
    frame = frame.with_columns(tags=pl.concat_list("n"), raw=pl.lit(b"bytes"))
    frame.write_parquet(path)
    for source in (path, frame):
        dataset = opened(source)
        assert dataset.schema.columns == ("x", "n")
        assert "'tags'" in said(dataset)
        assert "'raw'" in said(dataset)


def test_a_file_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    """One long text in each of many rows is stored once, and would be 600 MB as texts."""
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame({"x": np.arange(6_000.0)})
    frame = frame.with_columns(word=pl.lit("long " * 20_000), n=pl.col("x") % 7)
    frame.write_parquet(path)
    with pytest.raises(DataError, match="claims"):
        opened(path)


# Kinds that are told


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        (COUNTS, "real", "real"),
        (COUNTS, "categorical", "categorical"),
        (COUNTS, "ordinal", "ordinal"),
        ([str(k) for k in range(40)], "count", "count"),
        (["007", "012", "010"], "count", "count"),
        (["1", "2"] * 9, "count", "count"),
        (["$5", "$6", "$7"], "categorical", "categorical"),
        (["03/04/2020", "05/06/2020"], "datetime %m/%d/%Y", "datetime"),
        (["31/12/20", "01/02/21"], "datetime %d/%m/%y", "datetime"),
        (["1,234", "1.5", "2"], "text", None),
    ],
    ids=str,
)
def test_a_kind_can_be_told(
    tmp_path: Path, cells: list[str], kind: str, expected: str | None
) -> None:
    rows = {"x": cells, "y": [str(k % 5) for k in range(len(cells))]}
    dataset = opened(written(tmp_path, rows), kinds={"x": kind})
    if expected is None:
        assert dataset.schema.columns == ("y",)
        return
    assert column(dataset, "x").kind == expected
    assert to_frame(dataset.schema.table, dataset.whole.values)["x"].null_count() == 0


def test_levels_of_numbers_stand_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    dataset = opened(written(tmp_path, {"x": ["10", "9", "100", "9"]}), kinds={"x": "ordinal"})
    assert column(dataset, "x").levels == ("9", "10", "100")


# What was read comes back

NAMES = st.sampled_from(["a", "b", "c"])


def gaps_in(elements: SearchStrategy[Any]) -> SearchStrategy[list[Any]]:
    return st.lists(st.one_of(st.none(), elements), min_size=2, max_size=30)


MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2059, 12, 31))

TYPES: list[tuple[str, Any, SearchStrategy[Any]]] = [
    ("Int64", pl.Int64, st.integers(-(2**53) + 1, 2**53 - 1)),
    ("Int8", pl.Int8, st.integers(-128, 127)),
    ("UInt16", pl.UInt16, st.integers(0, 2**16 - 1)),
    ("Float64", pl.Float64, st.floats(-1e30, 1e30)),
    ("Float32", pl.Float32, st.floats(-(2.0**99), 2.0**99, width=32)),
    ("Boolean", pl.Boolean, st.booleans()),
    ("String", pl.String, st.sampled_from(["red", "green", "blue", "0x", "é"])),
    ("digits", pl.String, st.integers(0, 9).map(str)),
    ("Categorical", pl.Categorical, st.sampled_from(["red", "green", "blue"])),
    ("Enum", pl.Enum(["lo", "mid", "hi"]), st.sampled_from(["lo", "mid", "hi"])),
    ("Date", pl.Date, st.dates(date(1800, 1, 1), date(2200, 1, 1))),
    ("Datetime", pl.Datetime("us"), MOMENTS),
    ("Datetime ms", pl.Datetime("ms"), MOMENTS.map(lambda moment: moment.replace(microsecond=0))),
    (
        "Datetime ns",
        pl.Datetime("ns", "UTC"),
        MOMENTS.map(lambda moment: moment.replace(microsecond=0)),
    ),
    ("Decimal", pl.Decimal(12, 2), st.integers(-(10**6), 10**6).map(lambda n: n / 100)),
    ("texts of dates", pl.String, st.dates(date(1900, 1, 1), date(2059, 1, 1)).map(str)),
]


@pytest.mark.parametrize(
    ("dtype", "elements"), [row[1:] for row in TYPES], ids=[row[0] for row in TYPES]
)
@settings(max_examples=40)
@given(st.data())
def test_a_column_of_a_frame_comes_back_as_it_was(
    dtype: Any, elements: SearchStrategy[Any], data: st.DataObject
) -> None:
    """Values, gaps and type, of every type that a model reads."""
    cells = data.draw(gaps_in(elements))
    series = pl.Series("x", cells, strict=False).cast(dtype)
    if not (series.dtype == pl.String or series.dtype.is_temporal()):
        series = pl.Series("x", cells, dtype=dtype, strict=False)
    found = find_kind(series)
    if found.is_left_out:
        return
    numbers, odd = to_values(series, found.column)
    assert not odd.any()
    frame = to_frame([found.column], numbers[:, None])
    assert frame.equals(series.to_frame())
    assert frame.schema == series.to_frame().schema


def test_dates_of_a_zone_come_back_in_it() -> None:
    moments = pl.datetime_range(datetime(2020, 3, 28), datetime(2020, 3, 30), "7h", eager=True)
    series = moments.dt.replace_time_zone("Europe/Berlin").alias("x")
    found = find_kind(series)
    numbers, _ = to_values(series, found.column)
    assert to_frame([found.column], numbers[:, None])["x"].equals(series)


def test_dates_of_a_text_file_come_back_as_texts(tmp_path: Path) -> None:
    days = ["31/01/2020", "05/02/2020", None, "01/12/1999"]
    dataset = opened(written(tmp_path, {"day": days, "n": [1, 2, 3, 4]}))
    frame = to_frame(dataset.schema.table, dataset.whole.values_at(slice(None)))
    assert frame["day"].to_list() == days
    assert "'day': dates written as %d/%m/%Y (day first)" in said(dataset)


def test_a_number_beyond_the_type_of_its_source_is_given_back_as_it_is() -> None:
    """A model may draw 300 where the source had integers of 8 bits."""
    small = ColumnSchema("x", "count", "integer", decimals=0, format="UInt8")
    assert to_frame([small], np.array([[3.0], [300.0]]))["x"].to_list() == [3, 300]


def test_what_an_odd_schema_names_is_refused_in_one_line() -> None:
    zone = ColumnSchema("x", "datetime", "datetime", format="us Nowhere/City")
    with pytest.raises(DataError, match="column 'x' cannot be given back as datetime"):
        to_frame([zone], np.zeros((2, 1)))
    hours = ColumnSchema("x", "datetime", "text", format="%Y-%m-%d %H")
    with pytest.raises(DataError, match="column 'x' cannot be read by the form '%Y-%m-%d %H'"):
        to_values(pl.Series("x", ["2020-01-01"]), hours)
    fields = {"name": "x", "kind": "datetime", "type": "text"}
    for form in ("", "%Q", "%", "a\nb", "%Y" * 40, 3, None):
        with pytest.raises(DataError, match="cannot have format="):
            ColumnSchema.from_json({**fields, "format": form})
    assert ColumnSchema.from_json({**fields, "format": "%d.%m.%Y"}).format == "%d.%m.%Y"
    for form in ("DataFrame", "Int9", "read_csv", "Decimal(1)"):
        with pytest.raises(DataError, match="cannot have format="):
            ColumnSchema.from_json({"name": "x", "format": form})


# Data that a run reads later


@pytest.fixture
def fitted(tmp_path: Path) -> Dataset:
    """A table with a column of each kind."""
    count = 80
    rows: dict[str, list[Any]] = {
        "real": [f"{number:.2f}" for number in RNG.normal(size=count)],
        "positive": [f"{1 + number:.2f}" for number in RNG.random(count)],
        "zeros": [f"{max(number, 0):.2f}" for number in RNG.normal(size=count)],
        "count": [str(number) for number in RNG.integers(0, 90, count)],
        "level": ["a", "b", "c", "d"] * (count // 4),
        "grade": ["1", "2", "3", "4"] * (count // 4),
        "day": [f"2020-01-{1 + k % 28:02}" for k in range(count)],
    }
    dataset = opened(written(tmp_path, rows))
    kinds = [each.kind for each in dataset.schema.table]
    assert kinds == [
        "real",
        "positive",
        "positive",
        "count",
        "categorical",
        "ordinal",
        "datetime",
    ]
    return dataset


ROW = {
    "real": "0.5",
    "positive": "1.5",
    "zeros": "0",
    "count": "7",
    "level": "b",
    "grade": "3",
    "day": "2020-01-02",
}

ODD = [
    ("real", "low", "(real) is no number: 'low'"),
    ("positive", "0", "(positive) is no number above 0: '0'"),
    ("positive", "-1.5", "(positive) is no number above 0: '-1.5'"),
    ("zeros", "-1", "(positive) is no number from 0 on: '-1'"),
    ("count", "-3", "(count) is no whole number from 0 on: '-3'"),
    ("count", "2.5", "(count) is no whole number from 0 on: '2.5'"),
    ("count", "many", "(count) is no whole number from 0 on: 'many'"),
    ("level", "e", "(categorical) has a level that the run does not know: 'e'"),
    ("grade", "9", "(ordinal) has a level that the run does not know: '9'"),
    ("grade", "good", "(ordinal) has a level that the run does not know: 'good'"),
    ("day", "2020-02-31", "(datetime) is no date: '2020-02-31'"),
    ("day", "soon", "(datetime) is no date: 'soon'"),
]


@pytest.mark.parametrize(("name", "word", "told"), ODD, ids=[f"{row[0]} {row[1]}" for row in ODD])
@pytest.mark.parametrize("is_frame", [True, False], ids=["frame", "file"])
def test_what_a_column_cannot_hold_is_a_gap_and_counted_or_refused(
    fitted: Dataset, tmp_path: Path, name: str, word: str, told: str, is_frame: bool
) -> None:
    cells = {key: [cell, word if key == name else cell] for key, cell in ROW.items()}
    source: Any = pl.DataFrame(cells)
    if not is_frame:
        source = written(tmp_path, cells)
    found = read_again(fitted, source)
    gaps = np.isnan(found.whole.values)
    assert gaps.sum() == 1
    assert gaps[1, fitted.schema.columns.index(name)]
    assert f"1 cell of '{name}' {told}; it is a gap (data.unseen)" in said(found)
    with pytest.raises(DataError) as caught:
        read_again(fitted, source, unseen="error")
    assert told in str(caught.value)
    assert "data.unseen=missing" in str(caught.value)


def test_columns_are_found_by_name_in_any_order_and_dialect(
    fitted: Dataset, tmp_path: Path
) -> None:
    """Others are passed over, and those that are not there are gaps; each in one line."""
    rows = {"extra": ["x"], "day": ["2020-01-09"], "real": ["0,25"], "level": ["c"]}
    found = read_again(fitted, written(tmp_path, rows, separator=";"))
    assert values(found, "real") == [0.25]
    assert values(found, "level") == [2]
    assert values(found, "day") == [18270]
    assert values(found, "count") == [None]
    told = said(found)
    assert "columns that the run does not know are passed over: 'extra'" in told
    assert "not there are gaps: 'positive', 'zeros', 'count', 'grade'" in told


def test_a_table_without_any_column_of_the_run_is_refused(fitted: Dataset) -> None:
    with pytest.raises(DataError, match="has none of the 7 columns of the run: 'real'"):
        read_again(fitted, pl.DataFrame({"other": [1.0]}))


def test_cells_of_other_types_mean_the_same(fitted: Dataset) -> None:
    """A frame may have numbers, dates and categories where the run's file had texts."""
    frame = pl.DataFrame(
        {
            "real": pl.Series([0.5], dtype=pl.Float32),
            "positive": [1.5],
            "zeros": [0],
            "count": [7.0],
            "level": pl.Series(["b"], dtype=pl.Categorical),
            "grade": [3.0],
            "day": [date(2020, 1, 2)],
        }
    )
    texts = pl.DataFrame({name: [cell] for name, cell in ROW.items()})
    ours = read_again(fitted, frame).whole.values
    np.testing.assert_array_equal(ours, read_again(fitted, texts).whole.values)
    assert not np.isnan(ours).any()


def test_truth_values_mean_the_same_in_any_form() -> None:
    frame = pl.DataFrame({"x": [True, False] * 9, "y": list(range(18))})
    fitted = opened(frame.with_columns(y=pl.col("y") * 7 % 18))
    for cells in ([True, False], ["true", "false"], ["TRUE", "False"]):
        found = read_again(fitted, pl.DataFrame({"x": cells, "y": [1, 2]}))
        assert values(found, "x") == [1, 0]
    from_words = opened(pl.DataFrame({"x": ["True", "False"] * 9, "y": frame["y"] * 7 % 18}))
    assert column(from_words, "x").levels == ("False", "True")
    assert values(read_again(from_words, frame.head(2)), "x") == [1, 0]


def test_zeros_that_no_training_row_has_are_zeros_all_the_same() -> None:
    """They have no log, and are an atom because the source has them."""
    numbers = np.concatenate([RNG.random(400) + 0.5, [0.0, 0.0]])
    frame = pl.DataFrame({"x": numbers, "y": RNG.random(402)})
    for seed in range(40):
        dataset = Data("<memory>", kinds={}, seed=seed).open(source=frame)
        if not (dataset.train.values_at(slice(None))[:, 0] == 0).any():  # type: ignore[attr-defined]
            break
    else:
        raise AssertionError("each seed has a zero in the training split")
    assert 0.0 in column(dataset, "x").atoms


# Arrays


def test_an_array_is_a_table_whose_columns_have_numbers_for_names() -> None:
    array = RNG.normal(size=(50, 3))
    array[:, 2] = RNG.integers(0, 3, 50)
    array[3, 1] = np.nan
    array[4, 0] = np.inf
    masked = np.ma.masked_invalid(array)
    for source in (array, masked, array.astype(np.float32)):
        dataset = opened(source)
        assert dataset.schema.columns == ("x1", "x2", "x3")
        assert [each.kind for each in dataset.schema.table] == ["real", "real", "ordinal"]
        assert values(dataset, "x2")[3] is None
        assert values(dataset, "x1")[4] is None
        assert "2 of 150 cells are gaps" in said(dataset)


def test_files_of_arrays_are_tables_too(tmp_path: Path) -> None:
    array = RNG.normal(size=(50, 3))
    array[3, 1] = np.nan
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x_train=array, x_test=array[:9], y_train=np.arange(50) % 2)
    assert values(opened(tmp_path / "x.npy"), "x2")[3] is None
    dataset = Data(str(tmp_path / "x.npz"), kinds={}, validation=0).open()
    assert (len(dataset.train), len(dataset.test or ())) == (50, 9)


def test_an_array_of_texts_and_numbers_is_a_table() -> None:
    array = np.array([[1.5, "a"], [None, "b"], [2.5, "?"], [np.nan, "c"], [3.5, "a"]], object)
    dataset = opened(array)
    assert values(dataset, "x1") == [1.5, None, 2.5, None, 3.5]
    assert values(dataset, "x2") == [0, 1, None, 2, 0]
    again = opened(array.astype(str), missing=["None", "nan", "?"])
    np.testing.assert_array_equal(again.whole.values, dataset.whole.values)


def test_an_array_for_a_run_is_read_by_its_places() -> None:
    """Of a run on a frame in the order of its columns, of a run on an array by its own names."""
    frame = pl.DataFrame(RNG.normal(size=(50, 3)), schema=["a", "b", "c"])
    fitted = opened(frame)
    rows = frame.to_numpy()[:5]
    np.testing.assert_array_equal(read_again(fitted, rows).whole.values, rows)
    with pytest.raises(ShapeError, match="has 2 columns without names, the run was fitted on the"):
        read_again(fitted, rows[:, :2])
    array = np.column_stack([rows, np.ones(5), rows[:, 0] ** 2])
    on_array = opened(array)
    assert on_array.schema.columns == ("x1", "x2", "x3", "x5")
    found = read_again(on_array, array[:2])
    np.testing.assert_array_equal(found.whole.values, array[:2, [0, 1, 2, 4]])
    with pytest.raises(ShapeError, match="has 4 columns without names"):
        read_again(on_array, array[:, :4])


def test_images_are_no_table() -> None:
    with pytest.raises(LowerboundError, match=r"data\.kinds is for sources of kind table"):
        opened(np.zeros((5, 6, 7)))


def test_a_dict_of_columns_and_a_list_of_rows_are_tables() -> None:
    columns = {"a": np.array([1.5, 2.5, 3.25]), "b": ["x", "y", "x"]}
    rows = [{"a": 1.5, "b": "x"}, {"a": 2.5, "b": "y"}, {"a": 3.25, "b": "x"}]
    assert opened(columns).schema == opened(rows).schema


def test_pandas_frames_are_tables() -> None:
    """Nullable whole numbers, categories with an order, zones, gaps of all kinds."""
    pandas = pytest.importorskip("pandas")
    count = 10
    frame = pandas.DataFrame(
        {
            "n": pandas.array([1, None, 30] * count, dtype="Int64"),
            "c": pandas.Categorical(
                ["lo", "hi", "mid"] * count, categories=["lo", "mid", "hi"], ordered=True
            ),
            "t": pandas.date_range("2020-01-01", periods=3 * count, tz="Europe/Berlin"),
            "b": pandas.array([True, False, None] * count, dtype="boolean"),
            "o": ["?", "1", "2"] * count,
            "f": [1.5, np.nan, 2.5] * count,
        }
    )
    dataset = opened(frame)
    found = [(each.kind, each.type) for each in dataset.schema.table]
    assert found == [
        ("binary", "integer"),
        ("ordinal", "text"),
        ("datetime", "datetime"),
        ("binary", "boolean"),
        ("binary", "integer"),
        ("binary", "float"),
    ]
    assert column(dataset, "c").levels == ("lo", "mid", "hi")
    assert column(dataset, "t").format.endswith("Europe/Berlin")


# Keys


def test_usual_names_of_other_keys_are_known() -> None:
    for key, meant in [("drop", "exclude"), ("keep", "columns"), ("types", "kinds")]:
        with pytest.raises(LowerboundError, match=f"unknown key '{key}'; did you mean '{meant}'"):
            Data("x", **{key: ["a"]})


def test_found_kinds_say_whether_a_model_reads_them() -> None:
    assert FoundKind(ColumnSchema("x", "text"), "words").is_left_out
    assert FoundKind(ColumnSchema("x"), "no values", is_useless=True).is_left_out
    assert not FoundKind(ColumnSchema("x"), "numbers").is_left_out
