"""Wrong use of tables with columns of several kinds: what each mistake gets, word for word.

Each table is a CSV file of 40 rows. Some mistakes are made when a run is fitted, and others when a
run that was fitted to `GOOD` reads other data. In messages HERE is the folder of the file.
"""
# ruff: noqa: E501 - a message is one line here as it is on the screen, so that it can be searched for

import numpy as np
import polars as pl
import pytest

import lowerbound
from lowerbound.errors import ConfigError, DataError, ShapeError

ROWS = 40
FEW = {"training.epochs": 1, "model.network.hidden": [4], "model.latent": [2]}
"""The settings of a run that takes a moment."""

GOOD = {
    "age": [str(20 + 7 * k % 53) for k in range(ROWS)],
    "income": [f"{100 + 37 * k % 71}.{k % 9 + 1}" for k in range(ROWS)],
    "city": [("Bonn", "Köln", "Ulm", "Jena")[k % 4] for k in range(ROWS)],
    "grade": [str(k % 5 + 1) for k in range(ROWS)],
    "joined": [f"{k % 28 + 1:02}/{k % 12 + 1:02}/2020" for k in range(ROWS)],
}
"""A table with a column of each kind."""


def table(**columns):
    """Returns the good table with other columns, or without those that are None."""
    changed = {**GOOD, **columns}
    return {name: cells for name, cells in changed.items() if cells is not None}


def cells(*words):
    """Returns words over and over, as the cells of a column."""
    return [words[k % len(words)] for k in range(ROWS)]


def but_for(name, row, word):
    """Returns a column of the good table with another word in a row, counted from 1."""
    changed = list(GOOD[name])
    changed[row - 1] = word
    return {name: changed}


def write(path, columns):
    pl.DataFrame(columns).write_csv(path)


AT_A_FIT = [
    (
        "an unknown kind",
        GOOD,
        'data.kinds={age="counts"}',
        "unknown kind 'counts' (data.kinds); did you mean 'count'? Allowed: real, positive, count, ordinal, categorical, binary, datetime, text, id",
    ),
    (
        "a kind of an unknown column",
        GOOD,
        'data.kinds={agee="count"}',
        "unknown column 'agee' among those that are read of HERE/t.csv (data.kinds); did you mean 'age'? Allowed: age, income, city, grade, joined",
    ),
    (
        "a kind of a column that is left out",
        GOOD,
        'data.kinds={age="count"} & data.exclude=["age"]',
        "unknown column 'age' among those that are read of HERE/t.csv (data.kinds); did you mean 'grade'? Allowed: income, city, grade, joined",
    ),
    (
        "a kind in a list",
        GOOD,
        'data.kinds=["count"]',
        "recipe: data.kinds: should be a table of keys and values",
    ),
    (
        "a kind that is a number",
        GOOD,
        "data.kinds={age=3}",
        "recipe: data.kinds.age: should be text, got 3",
    ),
    (
        "words as a count",
        GOOD,
        'data.kinds={city="count"}',
        "data.kinds: 'city' of HERE/t.csv cannot be count: it has words; allowed for words: categorical, ordinal, text, id",
    ),
    (
        "words as real",
        GOOD,
        'data.kinds={city="real"}',
        "data.kinds: 'city' of HERE/t.csv cannot be real: it has words; allowed for words: categorical, ordinal, text, id",
    ),
    (
        "words as dates",
        GOOD,
        'data.kinds={city="datetime"}',
        "data.kinds: 'city' of HERE/t.csv cannot be datetime %Y-%m-%d: 40 cells do not fit, such as 'Bonn' in row 1; data.missing names the words that are gaps",
    ),
    (
        "numbers as dates",
        GOOD,
        'data.kinds={age="datetime"}',
        "data.kinds: 'age' of HERE/t.csv cannot be datetime %Y-%m-%d: 40 cells do not fit, such as '20' in row 1; data.missing names the words that are gaps",
    ),
    (
        "a form of dates that is none",
        GOOD,
        'data.kinds={joined="datetime %Q"}',
        "data.kinds: '%Q' is no form of dates; allowed: such as '%Y-%m-%d', '%d/%m/%Y' or '%m/%d/%y %H:%M'",
    ),
    (
        "a form of dates without a part",
        GOOD,
        'data.kinds={joined="datetime day"}',
        "data.kinds: 'day' is no form of dates; allowed: such as '%Y-%m-%d', '%d/%m/%Y' or '%m/%d/%y %H:%M'",
    ),
    (
        "another form of dates",
        GOOD,
        'data.kinds={joined="datetime %Y-%m-%d %H"}',
        "data.kinds: '%Y-%m-%d %H' is no form of dates; allowed: such as '%Y-%m-%d', '%d/%m/%Y' or '%m/%d/%y %H:%M'",
    ),
    (
        "fractions as a count",
        GOOD,
        'data.kinds={income="count"}',
        "data.kinds: 'income' of HERE/t.csv cannot be count: 40 cells do not fit, such as '100.1' in row 1",
    ),
    (
        "a negative count",
        table(**but_for("age", 7, "-3")),
        'data.kinds={age="count"}',
        "data.kinds: 'age' of HERE/t.csv cannot be count: 1 cell does not fit, such as '-3' in row 7",
    ),
    (
        "a positive number below 0",
        table(**but_for("income", 7, "-3.5")),
        'data.kinds={income="positive"}',
        "data.kinds: 'income' of HERE/t.csv cannot be positive: 1 cell does not fit, such as '-3.5' in row 7",
    ),
    (
        "one word among counts",
        table(**but_for("age", 7, "old")),
        'data.kinds={age="count"}',
        "data.kinds: 'age' of HERE/t.csv cannot be count: 1 cell does not fit, such as 'old' in row 7; data.missing names the words that are gaps",
    ),
    (
        "one date that is none",
        table(**but_for("joined", 7, "31/02/2020")),
        'data.kinds={joined="datetime %d/%m/%Y"}',
        "data.kinds: 'joined' of HERE/t.csv cannot be datetime %d/%m/%Y: 1 cell does not fit, such as '31/02/2020' in row 7; data.missing names the words that are gaps",
    ),
    (
        "four levels as binary",
        GOOD,
        'data.kinds={city="binary"}',
        "data.kinds: 'city' of HERE/t.csv cannot be binary: it has 4 different values; allowed: 2 for binary, 1 to 1,000 else",
    ),
    (
        "texts that are left out, all of them",
        {"note": [f"note {k}" for k in range(ROWS)]},
        "",
        "HERE/t.csv has no column that a model reads: 'note' (id: a word of its own in each row)",
    ),
    (
        "nothing but constants and gaps",
        {"a": cells("x"), "b": cells("?", "NA")},
        "",
        "HERE/t.csv has no column that a model reads: 'a' (one value only: 'x'), 'b' (no values)",
    ),
    (
        "signs of a currency",
        table(price=[f"${k + 1}" for k in range(ROWS)]),
        "",
        "HERE/t.csv: column 'price' has numbers with currency signs, percent signs or units, such as '$1': write plain numbers, or leave it out (data.exclude), or read its words as levels (data.kinds={price=\"categorical\"})",
    ),
    (
        "percent signs",
        table(share=[f"{k} %" for k in range(ROWS)]),
        "",
        "HERE/t.csv: column 'share' has numbers with currency signs, percent signs or units, such as '0 %': write plain numbers, or leave it out (data.exclude), or read its words as levels (data.kinds={share=\"categorical\"})",
    ),
    (
        "units",
        table(weight=[f"{k + 40}kg" for k in range(ROWS)]),
        "",
        "HERE/t.csv: column 'weight' has numbers with currency signs, percent signs or units, such as '40kg': write plain numbers, or leave it out (data.exclude), or read its words as levels (data.kinds={weight=\"categorical\"})",
    ),
    (
        "a comma that may be either",
        table(people=[f"{k + 1},{100 + k}" for k in range(ROWS)], income=None),
        "",
        "HERE/t.csv: column 'people' has numbers such as '1,100', whose comma may be a decimal mark or stand between thousands: data.decimal=',' or data.decimal='.' says which",
    ),
    (
        "day or month first",
        table(joined=cells("03/04/2020", "05/06/2020")),
        "",
        'HERE/t.csv: column \'joined\' has dates such as \'03/04/2020\', which may be read day first or month first, and both fit all of them; say which: data.kinds={joined="datetime %d/%m/%Y"} or "datetime %m/%d/%Y", or {joined="text"} leaves them out',
    ),
    (
        "day or month first, told as dates",
        table(joined=cells("03/04/2020", "05/06/2020")),
        'data.kinds={joined="datetime"}',
        'HERE/t.csv: column \'joined\' has dates such as \'03/04/2020\', which may be read day first or month first, and both fit all of them; say which: data.kinds={joined="datetime %d/%m/%Y"} or "datetime %m/%d/%Y", or {joined="text"} leaves them out',
    ),
    (
        "years of two digits",
        table(joined=cells("13/04/20", "05/06/21")),
        "",
        "HERE/t.csv: column 'joined' has dates with years of two digits, such as '05/06/21'; say how they are written, such as data.kinds={joined=\"datetime %d/%m/%y\"}, or {joined=\"text\"} leaves them out",
    ),
    (
        "an id that is not there",
        GOOD,
        'data.ids=["id"]',
        "unknown column 'id' in HERE/t.csv (data.ids); did you mean 'joined'? Allowed: age, income, city, grade, joined",
    ),
    (
        "a column that is not there",
        GOOD,
        'data.columns=["age","town"]',
        "unknown column 'town' in HERE/t.csv (data.columns); allowed: age, income, city, grade, joined",
    ),
    (
        "a pattern that matches nothing",
        GOOD,
        'data.exclude=["note_*"]',
        "unknown column 'note_*' in HERE/t.csv (data.exclude); did you mean 'income'? Allowed: age, income, city, grade, joined",
    ),
    (
        "data.drop",
        GOOD,
        'data.drop=["age"]',
        "recipe: data: unknown key 'drop'; did you mean 'exclude'? Allowed: source, binarize, size, grey, validation, test, seed, standardize, columns, kinds, unseen, hide, exclude, ids, labels, given, skip_broken, max_pixels, encoding, separator, decimal, quote, comment, header, missing, interactions",
    ),
    (
        "data.keep",
        GOOD,
        'data.keep=["age"]',
        "recipe: data: unknown key 'keep'; did you mean 'columns'? Allowed: source, binarize, size, grey, validation, test, seed, standardize, columns, kinds, unseen, hide, exclude, ids, labels, given, skip_broken, max_pixels, encoding, separator, decimal, quote, comment, header, missing, interactions",
    ),
    (
        "another word for unseen",
        GOOD,
        "data.unseen=drop",
        "recipe: data.unseen: should be 'missing' or 'error', got 'drop'",
    ),
    ("all cells hidden", GOOD, "data.hide=1", "recipe: data.hide: should be less than 1, got 1"),
    (
        "standardize=false",
        GOOD,
        "data.standardize=false",
        "data.standardize=false is for tables of numbers alone: leave it out, or data.kinds",
    ),
    (
        "a table of numbers alone",
        GOOD,
        "data.kinds=none",
        "HERE/t.csv has columns that are not numbers: 'city' ('Bonn' in row 1), 'joined' ('01/01/2020' in row 1); data.kinds={} reads columns of all kinds (with model.likelihood.type=Columns, as in the recipe table), or leave them out through data.exclude",
    ),
    (
        "a binarised table",
        GOOD,
        "data.binarize=dynamic",
        "data.binarize=dynamic needs values in [0, 1]; HERE/t.csv is standardised",
    ),
]

AT_A_RUN = [
    (
        "none of its columns",
        {"x": cells("1", "2")},
        "HERE/t.csv has none of the 5 columns of the run: 'age', 'income', 'city', 'grade', 'joined'; it has 'x'",
    ),
    (
        "an unseen level",
        table(**but_for("city", 7, "Trier")),
        "HERE/t.csv: 1 cell of 'city' (categorical) has a level that the run does not know: 'Trier'; data.unseen=missing, when a run is fitted, takes such cells for gaps",
    ),
    (
        "an unseen grade",
        table(**but_for("grade", 7, "6")),
        "HERE/t.csv: 1 cell of 'grade' (ordinal) has a level that the run does not know: '6'; data.unseen=missing, when a run is fitted, takes such cells for gaps",
    ),
    (
        "a count below 0",
        table(**but_for("age", 7, "-1")),
        "HERE/t.csv: 1 cell of 'age' (count) is no whole number from 0 on: '-1'; data.unseen=missing, when a run is fitted, takes such cells for gaps",
    ),
    (
        "a count with a fraction",
        table(**but_for("age", 7, "30.5")),
        "HERE/t.csv: 1 cell of 'age' (count) is no whole number from 0 on: '30.5'; data.unseen=missing, when a run is fitted, takes such cells for gaps",
    ),
    (
        "a word for a count",
        table(**but_for("age", 7, "old")),
        "HERE/t.csv: 1 cell of 'age' (count) is no whole number from 0 on: 'old'; data.unseen=missing, when a run is fitted, takes such cells for gaps",
    ),
    (
        "a positive number that is 0",
        table(**but_for("income", 7, "0")),
        "HERE/t.csv: 1 cell of 'income' (positive) is no number above 0: '0'; data.unseen=missing, when a run is fitted, takes such cells for gaps",
    ),
    (
        "a sign of a currency",
        table(**but_for("income", 7, "$100")),
        "HERE/t.csv: 1 cell of 'income' (positive) is no number above 0: '$100'; data.unseen=missing, when a run is fitted, takes such cells for gaps",
    ),
    (
        "a date that is none",
        table(**but_for("joined", 7, "31/02/2020")),
        "HERE/t.csv: 1 cell of 'joined' (datetime) is no date: '31/02/2020'; data.unseen=missing, when a run is fitted, takes such cells for gaps",
    ),
    (
        "dates month first",
        table(**but_for("joined", 7, "01/31/2020")),
        "HERE/t.csv: 1 cell of 'joined' (datetime) is no date: '01/31/2020'; data.unseen=missing, when a run is fitted, takes such cells for gaps",
    ),
    (
        "several levels",
        table(city=cells("Trier", "Bonn")),
        "HERE/t.csv: 20 cells of 'city' (categorical) have levels that the run does not know, such as 'Trier'; data.unseen=missing, when a run is fitted, takes such cells for gaps",
    ),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on the good table."""
    folder = tmp_path_factory.mktemp("fitted")
    settings = {**FEW, "data.unseen": "error"}
    lowerbound.fit(
        "table", data=pl.DataFrame(GOOD), out=folder / "run", settings=settings, progress=False
    )
    return folder / "run"


def contents(folder):
    """The names of all that is in a folder."""
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [row[1:] for row in AT_A_FIT],
    ids=[row[0] for row in AT_A_FIT],
)
def test_a_mistake_at_a_fit_gets_one_line(command, tmp_path, columns, settings, message):
    path = tmp_path / "t.csv"
    write(path, columns)
    words = []
    for setting in filter(None, settings.split(" & ")):
        words += ["--set", setting]
    code, out, err = command("fit", "table", "--data", path, "--out", tmp_path / "run", *words)
    assert err.replace(str(tmp_path), "HERE") == f"lowerbound: {message}\n"
    assert (code, out) == (2, "")
    assert contents(tmp_path) == ["t.csv"]


@pytest.mark.parametrize(
    ("columns", "message"), [row[1:] for row in AT_A_RUN], ids=[row[0] for row in AT_A_RUN]
)
def test_a_mistake_in_other_data_gets_one_line(command, run, tmp_path, columns, message):
    path = tmp_path / "t.csv"
    write(path, columns)
    code, out, err = command("evaluate", run, "--data", path)
    assert err.replace(str(tmp_path), "HERE") == f"lowerbound: {message}\n"
    assert (code, out) == (2, "")


IN_PYTHON = [
    (
        "images",
        np.zeros((9, 4, 4)),
        {},
        ConfigError,
        "data.kinds is for sources of kind table; the array is of kind image; leave the option out, or take the recipe that lowerbound describe names",
    ),
    (
        "an array of other objects",
        np.array([["a", 1], [{}, 2]], object),
        {},
        DataError,
        "the array holds a dict; allowed in a table: texts, numbers, yes or no, None",
    ),
    (
        "an array without a column that varies",
        np.ones((9, 2)),
        {},
        DataError,
        "the array has no column that a model reads: 'x1' (one value only: 1), 'x2' (one value only: 1)",
    ),
    (
        "a column of an array that is not there",
        np.eye(9),
        {"data.exclude": ["x10"]},
        DataError,
        "unknown column 'x10' in the array (data.exclude); did you mean 'x1'? Allowed: x1, x2, x3, x4, x5, x6, x7, x8, x9",
    ),
    (
        "a frame of lists alone",
        pl.DataFrame({"a": [[1], [2]]}),
        {},
        DataError,
        "the frame has no column that a model reads: 'a' (text: values of type List(Int64))",
    ),
    (
        "a kind of a moment",
        pl.DataFrame({"a": pl.Series([1, 2, 3]).cast(pl.Duration("us"))}),
        {"data.kinds": {"a": "datetime"}},
        ConfigError,
        "data.kinds: 'a' of the frame cannot be datetime: its values are of type Duration(time_unit='us'); allowed: dates, and texts that are dates",
    ),
    (
        "truth values as a count",
        pl.DataFrame({"a": [True, False]}),
        {"data.kinds": {"a": "count"}},
        ConfigError,
        "data.kinds: 'a' of the frame cannot be count: it has words; allowed for words: categorical, ordinal, text, id",
    ),
]


@pytest.mark.parametrize(
    ("source", "settings", "kind", "message"),
    [row[1:] for row in IN_PYTHON],
    ids=[row[0] for row in IN_PYTHON],
)
def test_a_mistake_in_python_gets_one_line_too(tmp_path, source, settings, kind, message):
    with pytest.raises(kind) as raised:
        lowerbound.fit("table", data=source, out=tmp_path / "run", settings=settings)
    assert str(raised.value) == message
    assert contents(tmp_path) == []


def test_an_array_of_another_width_than_the_run_gets_one_line(run):
    with pytest.raises(ShapeError) as raised:
        lowerbound.load(run).evaluate(np.zeros((5, 3)))
    assert str(raised.value) == (
        "the array has 3 columns without names, the run was fitted on the 5 columns 'age', 'income', 'city', 'grade', 'joined': give a frame with these, or an array of the same columns"
    )


def test_each_mistake_is_in_the_tables_once():
    names = [row[0] for row in (*AT_A_FIT, *AT_A_RUN, *IN_PYTHON)]
    assert len(set(names)) == len(names) >= 50
