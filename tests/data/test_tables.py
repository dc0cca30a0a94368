"""Tables: which columns become values, ids and labels, and what the words in them mean."""

import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lowerbound.data import Data, Dataset
from lowerbound.data.files.sources import Raw, Wanted
from lowerbound.data.files.tables import Table, table_of_frame
from lowerbound.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


def read(folder: Path, text: str, **wanted: object) -> Raw:
    """Reads a table of a text."""
    path = folder / "x.csv"
    path.write_text(text, encoding="utf-8")
    return Table().read(path, Wanted(**wanted))  # type: ignore[arg-type]


def opened(folder: Path, text: str, **options: object) -> Dataset:
    """Opens a table of a text, all of which is the training split."""
    path = folder / "x.csv"
    path.write_text(text, encoding="utf-8")
    return Data(str(path), validation=0, test=0, standardize=False, **options).open()  # type: ignore[arg-type]


def refusal(folder: Path, text: str, **wanted: object) -> str:
    """Reads a table that is refused, and returns the one line that says why."""
    with pytest.raises((DataError, ConfigError)) as caught:
        read(folder, text, **wanted)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Columns

NAMED = "id,a,note_1,note_2,b,kind\n001,1,x,y,2,cat\n002,3,z,w,4,dog\n"


@pytest.mark.parametrize(
    ("exclude", "columns"),
    [
        (("id", "kind", "note_*"), ("a", "b")),
        (("id", "kind", "note_[12]"), ("a", "b")),
        (("[!ab]*",), ("a", "b")),
        (("id", "note_?", "kind", "a"), ("b",)),
    ],
    ids=str,
)
def test_columns_are_left_out_by_names_and_patterns(
    tmp_path: Path, exclude: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    assert read(tmp_path, NAMED, exclude=exclude).columns == columns


def test_a_pattern_is_first_a_name(tmp_path: Path) -> None:
    """A column may be called as a pattern is written."""
    assert read(tmp_path, "a[1],b\n1,2\n3,4\n", exclude=("a[1]",)).columns == ("b",)


def test_one_column_among_many_is_left_out_by_its_name(tmp_path: Path) -> None:
    names = [f"g{k}" for k in range(300)]
    values = RNG.normal(size=(5, 300)).round(3).astype(str)
    lines = [",".join([*names, "tissue"])]
    lines += [",".join([*row, "lung"]) for row in values]
    raw = read(tmp_path, "\n".join(lines), exclude=("tissue",))
    assert raw.columns == tuple(names)
    np.testing.assert_array_equal(raw.values, values.astype(float))


def test_all_columns_that_are_missing_are_told_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, "co,temp\n1,2\n", columns=("co", "tmp", "z"))
    assert "unknown column 'tmp', nor 'z', in" in message
    assert "(data.columns); did you mean 'temp'? Allowed: co, temp" in message


def test_ids_and_labels_are_no_values_and_keep_their_texts(tmp_path: Path) -> None:
    """An id with a zero before it, or a word that elsewhere stands for a gap, is what it is."""
    text = "id,a,b,kind\n001,1,2,NA\n002,3,4,dog\n"
    data = opened(tmp_path, text, ids=["id"], labels="kind")
    assert data.schema.columns == ("a", "b")
    assert data.whole.values.tolist() == [[1, 2], [3, 4]]
    names = data.whole.names_of_rows()
    assert list(names["id"]) == ["001", "002"]
    assert list(names["label"]) == ["NA", "dog"]


def test_whole_numbers_stay_whole_numbers_as_ids_and_labels(tmp_path: Path) -> None:
    """An id beyond 2^53 is not rounded."""
    text = "id,a,y\n9007199254740993,1,0\n9007199254740992,3,1\n"
    data = opened(tmp_path, text, ids=["id"], labels="y")
    assert data.whole.names["id"].tolist() == [9007199254740993, 9007199254740992]
    assert data.whole.labels is not None
    assert data.whole.labels.tolist() == [0, 1]


def test_ids_go_with_their_rows_into_splits(tmp_path: Path) -> None:
    lines = [f"row{k},{k},{k * k}" for k in range(40)]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["name,a,b", *lines]))
    data = Data(str(path), ids=["name"], test=10, standardize=False).open()
    assert data.test is not None
    names = data.test.names_of_rows()
    assert len(names["name"]) == 10
    for name, values in zip(names["name"], data.test.batch(slice(None)).tolist(), strict=True):
        assert name == f"row{values[0]:g}"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (",a,b\n0,1,2\n1,3,4\n", [[1, 2], [3, 4]]),
        (",a,b\n17,1,2\n3,3,4\n", [[1, 2], [3, 4]]),
        ('"","a"\n"r1",1\n"r2",2\n', [[1], [2]]),
        ("Unnamed: 0,a\n0,1\n1,2\n", [[1], [2]]),
        (",0,1,2\n0,1.5,2.5,3.5\n1,1,2,3\n", [[1.5, 2.5, 3.5], [1, 2, 3]]),
    ],
    ids=str,
)
def test_an_index_is_no_value_and_that_is_told(
    tmp_path: Path, text: str, values: list[list[float]]
) -> None:
    """A first column without a name is what pandas and R number or name the rows by."""
    raw = read(tmp_path, text)
    assert raw.values.tolist() == values
    assert "is an index" in raw.notes[-1]


def test_an_index_can_be_chosen(tmp_path: Path) -> None:
    assert read(tmp_path, ",a\n7,1\n8,2\n", columns=("", "a")).values.tolist() == [[7, 1], [8, 2]]


@pytest.mark.parametrize("start", [0, 1])
def test_a_value_that_only_counts_the_rows_is_told_of(tmp_path: Path, start: int) -> None:
    """An index may have any name; it stays a value until the user says what it is."""
    rows = [f"{row + start},{row % 3},{row * 2}" for row in range(12)]
    text = "\n".join(["sample,a,b", *rows])
    raw = read(tmp_path, text)
    assert raw.columns == ("sample", "a", "b")
    (note,) = raw.notes
    assert "a value that only counts the rows: 'sample';" in note
    assert "data.exclude" in note
    assert not read(tmp_path, text, ids=("sample",)).notes
    for other in (rows[:9], [*rows, "3,4,5"], rows[3:]):
        assert not read(tmp_path, "\n".join(["sample,a,b", *other])).notes


def test_a_column_without_name_and_values_is_left_out(tmp_path: Path) -> None:
    """Each line of some exports ends in a separator."""
    raw = read(tmp_path, "a,b,\n1,2,\n3,4,\n")
    assert raw.columns == ("a", "b")
    assert "without values" in raw.notes[0]


# Constant columns


def test_constant_columns_are_left_out_and_told_of(tmp_path: Path) -> None:
    """A run on the rest knows nothing of them, and other data need not have them."""
    names = [f"g{k}" for k in range(400)]
    values = RNG.normal(size=(60, 400)).round(1)
    values[:, ::7] = 0
    path = tmp_path / "x.csv"
    pl.DataFrame(values, names).write_csv(path)
    data = Data(str(path), seed=3).open()
    left = [name for position, name in enumerate(names) if position % 7]
    assert data.schema.columns == tuple(left)
    assert data.whole.values.shape == (60, len(left))
    note = data.notes[0]
    assert "58 of 400 columns have one value only in the training split (data.seed=3)" in note
    assert "'g0', 'g7', 'g14'" in note
    assert len(note) < 500
    pl.DataFrame(values, names).select(left).write_csv(path)
    again = Data(str(path), validation=0, test=0).open(data.schema)
    np.testing.assert_array_equal(again.whole.values, data.whole.values)


def test_what_is_constant_is_decided_on_the_training_split(tmp_path: Path) -> None:
    """A column with one other value in the test split alone is left out."""
    path = tmp_path / "x.csv"
    frame = pl.DataFrame({"a": RNG.normal(size=50), "rare": np.zeros(50)})
    frame.write_csv(path)
    data = Data(str(path)).open()
    assert data.test is not None
    rare = np.zeros(50)
    rare[data.test.rows[0]] = 1
    frame.with_columns(rare=rare).write_csv(path)
    assert Data(str(path)).open().schema.columns == ("a",)
    rare[data.train.rows[0]] = 1
    frame.with_columns(rare=rare).write_csv(path)
    assert Data(str(path)).open().schema.columns == ("a", "rare")


def test_a_table_of_constants_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'a', 'b'; leave it out through data\.exclude"):
        opened(tmp_path, "a,b\n1,2\n1,2\n")


# Words


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("+1", 1),
        ("1e5", 1e5),
        ("1E-3", 1e-3),
        (".5", 0.5),
        ("5.", 5),
        (" 7 ", 7),
        ("007", 7),
        ("-0", 0),
        ("12345678901234567890", 12345678901234567890.0),
        ("0.1234567890123456789", 0.1234567890123456789),
    ],
)
@pytest.mark.parametrize("rest", ["2", " 2"])
def test_numbers_in_any_spelling(tmp_path: Path, word: str, number: float, rest: str) -> None:
    """They are read to the same number beside plain fields and beside fields with blanks."""
    raw = read(tmp_path, f"a,b\n{rest},1\n{word},2\n")
    assert raw.values.tolist() == [[2, 1], [number, 2]]


@pytest.mark.parametrize("word", ["+1", "1e5", ".5", " 7", "1_0", "0x1", "1,0", "1d5", "--1", "１"])
def test_a_word_far_below_means_what_it_means_above(tmp_path: Path, word: str) -> None:
    """Whether a word is read or refused does not hang on the rows that were looked at first."""
    results = []
    for place in (0, 5000):
        rows = ["1;2"] * 5001
        rows[place] = f"{word};2"
        try:
            results.append(read(tmp_path, "\n".join(["a;b", *rows])).values[place, 0])
        except DataError as error:
            results.append("data.decimal" in str(error) or "not numbers" in str(error))
    assert results[0] == results[1]


@pytest.mark.parametrize("words", [("true", "false"), ("True", "FALSE"), ("TRUE", "True")])
def test_truth_values_are_ones_and_zeros(tmp_path: Path, words: tuple[str, str]) -> None:
    raw = read(tmp_path, f"a,b\n{words[0]},1\n{words[1]},2\n")
    assert raw.values[:, 0].tolist() == [word.lower() == "true" for word in words]


@pytest.mark.parametrize(
    "word", ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None", "?", "-", "."]
)
def test_the_usual_words_for_a_missing_value(tmp_path: Path, word: str) -> None:
    """They are gaps, which are refused with the name of the column and the way out."""
    message = refusal(tmp_path, f"a,b\n1,2\n3,{word}\n5,6\n")
    assert "'b' (1 of 3 rows, first in row 2); data.kinds={} takes them for gaps" in message
    assert "data.exclude" in message


def test_the_words_for_a_missing_value_can_be_set(tmp_path: Path) -> None:
    """Those that are set stand in place of the usual ones."""
    text = "a,b\n1,2\n3,-999\n5,6\n"
    assert read(tmp_path, text).values[1].tolist() == [3, -999]
    with pytest.raises(DataError, match=r"'b' \(1 of 3 rows, first in row 2\)"):
        opened(tmp_path, text, missing=["-999"])
    with pytest.raises(DataError, match=r"'b' \('NA' in row 2\)"):
        opened(tmp_path, "a,b\n1,2\n3,NA\n5,6\n", missing=["-999"])


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("$12", "currency signs"),
        ("12 €", "currency signs"),
        ("12%", "percent signs"),
        ("5kg", "units"),
        ("1'234", "between thousands"),
        ("1 234.5", "between thousands"),
        ("2020-01-02", "data.exclude"),
        ("low", "data.exclude"),
        ("0x10", "data.exclude"),
        ("1_000", "data.exclude"),
    ],
)
def test_words_that_are_no_numbers_are_refused_by_name(
    tmp_path: Path, word: str, hint: str
) -> None:
    """Nothing is guessed: a number is a plain number."""
    message = refusal(tmp_path, f"a;b\n1;2\n{word};3\n")
    assert f"'a' ({word!r} in row 2)" in message
    assert hint in message


@pytest.mark.parametrize(
    ("text", "options", "values"),
    [
        ("a;b\n1,5;2\n3,25;4\n", {}, [[1.5, 2], [3.25, 4]]),
        ("a\tb\n1,5\t2\n-,25\t4\n", {}, [[1.5, 2], [-0.25, 4]]),
        ('a,b\n"1,5",2\n"3,25",4\n', {"decimal": ","}, [[1.5, 2], [3.25, 4]]),
        ("a b\n1,5 2\n3,25 4\n", {}, [[1.5, 2], [3.25, 4]]),
        ("a;b\n1.5;2\n3.25;4\n", {}, [[1.5, 2], [3.25, 4]]),
    ],
    ids=str,
)
def test_decimal_marks(
    tmp_path: Path, text: str, options: dict[str, str], values: list[list[float]]
) -> None:
    assert opened(tmp_path, text, **options).whole.values.tolist() == values


def test_a_decimal_comma_far_below_the_first_rows_is_found(tmp_path: Path) -> None:
    rows = ["1;2"] * 3000 + ["1;2,25"]
    data = opened(tmp_path, "\n".join(["a;b", *rows, "4;5"]))
    assert data.whole.values[-2].tolist() == [1, 2.25]
    assert "the decimal mark is ','" in data.notes[0]


def test_a_comma_that_may_stand_between_thousands_is_not_taken_for_a_decimal_mark(
    tmp_path: Path,
) -> None:
    """Tabs tell nothing of the comma, as semicolons do."""
    text = "a\tb\n1,234\t2\n3,456\t4\n"
    assert "if the comma is a decimal mark set data.decimal=','" in refusal(tmp_path, text)
    read_so = opened(tmp_path, text, decimal=",")
    assert read_so.whole.values[:, 0].tolist() == [1.234, 3.456]
    assert opened(tmp_path, text.replace("1,", "0,")).whole.values[:, 0].tolist() == [0.234, 3.456]
    semicolons = text.replace("\t", ";")
    assert opened(tmp_path, semicolons).whole.values[:, 0].tolist() == [1.234, 3.456]


def test_a_decimal_comma_with_points_between_thousands_is_refused(tmp_path: Path) -> None:
    """One column of two is read by the comma; 1.234 is not read as a number near 1."""
    for word in ("1.234,5", "1.234"):
        with pytest.raises(DataError, match=f"'a' \\('{word}' in row 1\\); marks between"):
            opened(tmp_path, f"a;b\n{word};2,5\n3;4,5\n", decimal=",")


def test_large_whole_numbers_are_told_of(tmp_path: Path) -> None:
    raw = read(tmp_path, "a,b\n9007199254740993,2\n3,4\n")
    assert "from 2^53 on are rounded in 'a'" in raw.notes[0]
    assert not read(tmp_path, "a,b\n9007199254740991,2\n3,4\n").notes


# Names in any encoding of their accents


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_names_mean_the_same_however_accents_are_encoded(
    tmp_path: Path, forms: tuple[str, str], suffix: str
) -> None:
    """In data.columns, data.exclude, data.ids, and where a run reads other data."""
    first, second = (unicodedata.normalize(form, "größe é") for form in forms)
    frame = pl.DataFrame({first: [1.5, 2.5], "b": [3, 4], "c": [5, 7]})
    path = tmp_path / f"x{suffix}"
    if suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    everything = {"validation": 0, "test": 0, "standardize": False}
    data = Data(str(path), columns=[second, "b"], **everything).open()  # type: ignore[arg-type]
    assert data.whole.values.tolist() == [[1.5, 3], [2.5, 4]]
    left = Data(str(path), exclude=[second], **everything).open()  # type: ignore[arg-type]
    assert left.schema.columns == ("b", "c")
    frame.rename({first: second}).write_csv(tmp_path / "other.csv")
    other = Data(str(tmp_path / "other.csv"), **everything).open(data.schema)  # type: ignore[arg-type]
    assert other.whole.values.tolist() == [[1.5, 3], [2.5, 4]]


# Tables of a run


def test_a_run_takes_its_columns_by_name_from_another_table(tmp_path: Path) -> None:
    """In any order and any dialect; others are passed over and told of."""
    fitted = opened(tmp_path, "a,b,c\n1,2,3\n4,5,7\n", exclude=["c"])
    other = tmp_path / "other.csv"
    other.write_text(";extra;b;a\n0;x;2,5;1,5\n")
    data = Data(str(other), exclude=["c"], ids=["id"], labels="y", validation=0, test=0)
    read_again = data.open(fitted.schema)
    assert read_again.whole.values.tolist() == [[1.5, 2.5]]
    assert any("passed over: 'extra'" in note for note in read_again.notes)


def test_what_a_run_lacks_in_another_table_is_told_at_once(tmp_path: Path) -> None:
    """The message speaks of the run, and not of keys that the command has not."""
    fitted = opened(tmp_path, "a,b,c\n1,2,3\n4,5,7\n")
    other = tmp_path / "other.csv"
    for text, words in [
        ("a,d\n1,2\n", "lacks 2 of the 3 columns that the run was fitted on: 'b', 'c'; it has"),
        ("a,b,c\n1,,3\n", "the run needs a number in each row"),
        ("a,b,c\n1,x,3\n", "'b' ('x' in row 1); the run needs a number in each row"),
    ]:
        other.write_text(text)
        with pytest.raises(DataError) as caught:
            Data(str(other), validation=0, test=0).open(fitted.schema)
        assert words in str(caught.value)
        assert "data." not in str(caught.value)


# Frames


def test_a_frame_becomes_a_table_by_the_same_rules() -> None:
    frame = pl.DataFrame(
        {"name": ["x", "y"], "a": [1, 2], "b": [True, False], "kind": ["u", "v"], "n_1": [0, 0]}
    )
    raw = table_of_frame(frame, Wanted(ids=("name",), labels="kind", exclude=("n_*",)), "the frame")
    assert raw.columns == ("a", "b")
    assert raw.values.tolist() == [[1, 1], [2, 0]]
    assert raw.names["name"].tolist() == ["x", "y"]
    assert raw.labels is not None
    assert raw.labels.tolist() == ["u", "v"]
    with pytest.raises(DataError, match=r"the frame has columns .* 'name' \('x' in row 1\)"):
        table_of_frame(frame, Wanted(), "the frame")


def test_a_parquet_file_with_an_index_of_pandas(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": [1, 2], "__index_level_0__": [5, 9]}).write_parquet(path)
    assert Table().read(path, Wanted()).columns == ("a",)
    with pytest.raises(ConfigError, match=r"data\.separator is for text files"):
        Data(str(path), separator=";").open()
