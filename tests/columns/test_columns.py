"""What is known of columns, what is measured of them, and their codes."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowerbound.columns import KINDS, Coding, ColumnSchema, fit_columns
from lowerbound.columns.coding import CODE_OF_ZERO
from lowerbound.columns.schema import TAIL_RANKS
from lowerbound.columns.statistics import ENOUGH_OF_EACH, MOST_ATOMS, QUANTILES, fit_column
from lowerbound.data import Schema
from lowerbound.errors import DataError

# Schema

SOUND = {
    "name": "x",
    "kind": "ordinal",
    "type": "integer",
    "levels": ["1", "2"],
    "decimals": 0,
    "mean": 0.0,
    "scale": 1.0,
    "low": 0.0,
    "high": 1.0,
    "quantiles": [],
    "tails": [],
    "atoms": [],
    "shares": [0.5, 0.5],
    "observed": 7,
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"name": 3}, "a column cannot have name=3"),
        ({"name": None}, "a column cannot have name=None"),
        ({"kind": "reel"}, "a column cannot have kind='reel'"),
        ({"kind": "real"}, "a column cannot have levels=('1', '2')"),
        ({"type": "int"}, "a column cannot have type='int'"),
        ({"levels": []}, "a column cannot have levels=()"),
        ({"levels": "ab"}, "a column cannot have levels='ab'"),
        ({"levels": [1, 2]}, "a column cannot have levels=(1, 2)"),
        ({"levels": ["1", "1"]}, "a column cannot have levels=('1', '1')"),
        ({"decimals": -1}, "a column cannot have decimals=-1"),
        ({"decimals": 99}, "a column cannot have decimals=99"),
        ({"decimals": "2"}, "a column cannot have decimals='2'"),
        ({"mean": math.nan}, "a column cannot have mean=nan"),
        ({"mean": "0"}, "a column cannot have mean='0'"),
        ({"scale": 0.0}, "a column cannot have scale=0.0"),
        ({"scale": -1.0}, "a column cannot have scale=-1.0"),
        ({"scale": True}, "a column cannot have scale=True"),
        ({"low": math.inf}, "a column cannot have low=inf"),
        ({"high": None}, "a column cannot have high=None"),
        ({"quantiles": [0.0, "1"]}, "a column cannot have quantiles=(0.0, '1')"),
        ({"tails": [1.0, 2.0]}, "a column cannot have tails=(1.0, 2.0)"),
        ({"quantiles": 3.0}, "a column cannot have quantiles=3.0"),
        ({"quantiles": [2.0, 1.0]}, "a column cannot have quantiles=(2.0, 1.0)"),
        ({"atoms": "x"}, "a column cannot have atoms='x'"),
        ({"atoms": [0.0]}, "a column cannot have atoms=(0.0,)"),
        ({"shares": [0.5]}, "a column cannot have shares=(0.5,)"),
        ({"shares": [1.5, -0.5]}, "a column cannot have shares=(1.5, -0.5)"),
        ({"shares": 0.5}, "a column cannot have shares=0.5"),
        ({"observed": -1}, "a column cannot have observed=-1"),
        ({"observed": 1.5}, "a column cannot have observed=1.5"),
        ({"observed": True}, "a column cannot have observed=True"),
        ({"levls": []}, "unknown key 'levls' in a column; did you mean 'levels'?"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(changes, line):
    ColumnSchema.from_json(SOUND)
    with pytest.raises(DataError) as error:
        ColumnSchema.from_json(SOUND | changes)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"atoms": [math.nan]}, "a column cannot have atoms=(nan,)"),
        ({"atoms": ["0"]}, "a column cannot have atoms=('0',)"),
        ({"atoms": [1.0, 1.0]}, "a column cannot have atoms=(1.0, 1.0)"),
        ({"atoms": [1.0], "shares": [0.1, 0.2]}, "a column cannot have shares=(0.1, 0.2)"),
        ({"kind": "positive", "atoms": [-1.0]}, "a column cannot have atoms=(-1.0,)"),
        ({"kind": "count", "atoms": [-1.0]}, "a column cannot have atoms=(-1.0,)"),
    ],
    ids=str,
)
def test_a_wrong_field_of_numbers_is_named(changes, line):
    with pytest.raises(DataError) as error:
        ColumnSchema.from_json({"name": "x"} | changes)
    assert str(error.value) == line


@pytest.mark.parametrize("fields", [3, [], "x", None])
def test_what_is_no_column_is_refused(fields):
    with pytest.raises(DataError, match="a column must be a table of fields, got"):
        ColumnSchema.from_json(fields)


def test_a_column_without_a_name_is_refused():
    with pytest.raises(DataError, match="a column lacks its name"):
        ColumnSchema.from_json({"kind": "real"})


def a_table(seed=0, rows=500):
    """Columns of all kinds with their statistics, and their values with gaps."""
    random = np.random.default_rng(seed)
    plain = [
        ColumnSchema("r"),
        ColumnSchema("p", "positive"),
        ColumnSchema("z", "positive", decimals=2),
        ColumnSchema("n", "count", "integer", decimals=0),
        ColumnSchema("o", "ordinal", "integer", ("1", "2", "3")),
        ColumnSchema("c", "categorical", "text", ("a", "b", "c", "d")),
        ColumnSchema("b", "binary", "boolean", ("false", "true")),
        ColumnSchema("d", "datetime", "date"),
    ]
    values = np.stack(
        [
            random.normal(1e4, 3.0, rows),
            random.lognormal(0, 2, rows),
            np.where(random.random(rows) < 0.3, 0, random.lognormal(0, 1, rows)).round(2),
            random.poisson(40, rows),
            random.integers(0, 3, rows),
            random.integers(0, 3, rows),
            random.integers(0, 2, rows),
            random.integers(-20_000, 20_000, rows),
        ],
        axis=1,
    ).astype(np.float64)
    values[random.random(values.shape) < 0.1] = np.nan
    return fit_columns(plain, values, np.arange(rows)), values


def test_schemas_of_tables_round_trip_through_json():
    columns, values = a_table()
    assert {column.kind for column in columns} == set(KINDS)
    names = tuple(column.name for column in columns)
    schema = Schema((8,), "table", None, 0.0, 1.0, names, table=columns)
    written = json.dumps(schema.to_json())
    again = Schema.from_json(json.loads(written))
    assert again == schema
    np.testing.assert_array_equal(again.scaled(values, None), schema.scaled(values, None))


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (3, "a data schema cannot have table=3"),
        ([3], "a column must be a table of fields, got 3"),
        ([{"name": "other"}], "a data schema cannot have table="),
        ([{"name": "x"}, {"name": "y"}], "a data schema cannot have table="),
    ],
    ids=str,
)
def test_a_wrong_table_of_a_schema_is_refused(table, line):
    fields = Schema((1,), "table", None, 0.0, 1.0, ("x",), table=(ColumnSchema("x"),)).to_json()
    fields = json.loads(json.dumps(fields, default=dataclasses.asdict))
    with pytest.raises(DataError) as error:
        Schema.from_json(fields | {"table": table})
    assert str(error.value).startswith(line)


# Statistics


def test_statistics_are_those_of_numpy():
    """Of observed training rows alone, and beside the atoms."""
    columns, values = a_table()
    rows = np.arange(100, 400)
    fitted = fit_columns([dataclasses.replace(column) for column in columns], values, rows)
    for place, column in enumerate(fitted):
        numbers = values[rows, place]
        numbers = numbers[~np.isnan(numbers)]
        assert column.observed == len(numbers)
        assert (column.low, column.high) == (numbers.min(), numbers.max())
        if column.levels:
            shares = np.bincount(numbers.astype(int), minlength=len(column.levels)) / len(numbers)
            np.testing.assert_allclose(column.shares, shares)
            continue
        others = numbers[~np.isin(numbers, column.atoms)]
        measured = others
        if column.kind == "positive":
            measured = np.log(others)
        if column.kind == "count":
            measured = np.log1p(others)
        assert column.mean == pytest.approx(measured.mean(), rel=1e-12)
        assert column.scale == pytest.approx(measured.std(), rel=1e-9)
        quantiles = np.quantile(others, np.linspace(0, 1, QUANTILES))
        np.testing.assert_allclose(column.quantiles, quantiles)
        for atom, share in zip(column.atoms, column.shares, strict=True):
            assert share == pytest.approx((numbers == atom).mean())
    assert fitted[2].atoms == (0.0,)


@pytest.mark.parametrize(
    ("kind", "repeated", "total", "atoms"),
    [
        ("real", 200, 1000, (7.0,)),
        ("real", 199, 1000, ()),
        ("real", 19, 40, ()),
        ("real", 20, 40, (7.0,)),
        ("count", 50, 1000, (7.0,)),
        ("count", 49, 1000, ()),
        ("datetime", 300, 1000, (7.0,)),
    ],
)
def test_a_number_is_an_atom_by_its_rows_and_its_share(kind, repeated, total, atoms):
    others = 1000.0 + 3 * np.arange(total - repeated)
    numbers = np.concatenate([np.full(repeated, 7.0), others])
    assert fit_column(ColumnSchema("x", kind), numbers).atoms == atoms


def test_a_single_zero_of_positive_numbers_is_an_atom():
    column = fit_column(ColumnSchema("x", "positive"), np.array([0.0, 1.0, 2.0, 4.0]))
    assert column.atoms == (0.0,)
    assert column.shares == (0.25,)
    assert column.mean == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("kind", "atoms"), [("real", ()), ("positive", (0.0,)), ("count", ()), ("datetime", ())]
)
def test_atoms_that_are_not_wanted_are_zeros_without_a_log_alone(kind, atoms):
    numbers = np.array([0.0] * 100 + [3.0] * 100 + list(range(1, 101)))
    plain = ColumnSchema("x", kind)
    found = fit_column(plain, numbers, atoms=False)
    assert found.atoms == atoms
    assert len(fit_column(plain, numbers).atoms) > len(atoms)
    if kind == "real":
        assert found.mean == pytest.approx(numbers.mean())
        assert found.scale == pytest.approx(numbers.std())


@pytest.mark.parametrize("kind", ["real", "positive"])
def test_atoms_come_back_as_they_are_in_the_source(kind):
    """The codes of a model are float32, in which 0.1 is none of the numbers of the source."""
    atoms = (0.1, 1 / 3, 17.123456789012345)
    column = ColumnSchema("x", kind, mean=0.7, scale=1.3, atoms=atoms, shares=(0.3, 0.3, 0.3))
    coding = Coding([column])
    codes = coding.encode(np.array(atoms)[:, None]).astype(np.float32)
    assert coding.decode(codes)[:, 0].tolist() == list(atoms)
    (others,) = coding.decode(codes[:1] + np.float32(1e-3))
    assert others[0] != atoms[0]


@pytest.mark.parametrize("numbers", [[0.0, 0.5, 2.0], [0.0, 0.5], [0.0]], ids=str)
def test_positive_numbers_that_are_all_atoms(numbers):
    """Zeros are not measured: they have no log."""
    column = fit_column(ColumnSchema("x", "positive"), np.repeat(numbers, 40))
    assert column.atoms == tuple(numbers)
    assert math.isfinite(column.mean)
    assert column.scale > 0
    assert min(column.quantiles) > 0


def test_a_column_has_no_more_atoms_than_the_most():
    frequent = np.repeat(np.arange(1.0, 19.0), 600)
    numbers = np.concatenate([frequent, np.arange(1000.0, 1200.0)])
    column = fit_column(ColumnSchema("x", "count"), numbers)
    assert len(column.atoms) == MOST_ATOMS
    assert sum(column.shares) < 1


def test_all_values_of_a_count_of_few_are_atoms():
    numbers = np.repeat(np.arange(1.0, 19.0), ENOUGH_OF_EACH)
    column = fit_column(ColumnSchema("x", "count"), numbers)
    assert column.atoms == tuple(range(1, 19))
    assert sum(column.shares) == pytest.approx(1)
    fewer = fit_column(ColumnSchema("x", "count"), numbers[:-1])
    assert len(fewer.atoms) < 18


def test_the_tails_are_quantiles_and_stand_among_them_in_order():
    numbers = np.random.default_rng(0).standard_t(3, 5000)
    column = fit_column(ColumnSchema("x"), numbers)
    np.testing.assert_allclose(column.tails, np.quantile(numbers, TAIL_RANKS))
    ranks, values = column.ranked()
    assert len(values) == QUANTILES + len(TAIL_RANKS)
    np.testing.assert_allclose(values, np.quantile(numbers, ranks))


@pytest.mark.parametrize("number", [0.1, 1e9 + 0.1, 1e-12, 0.0])
def test_equal_numbers_have_no_deviation(number):
    """The deviation of equal numbers in float64 is what their mean is rounded by."""
    column = fit_column(ColumnSchema("x"), np.full(19, number))
    assert column.scale == 1.0


def test_a_long_column_keeps_its_ends():
    numbers = np.random.default_rng(0).normal(size=300_000)
    numbers[17] = 90.0
    column = fit_column(ColumnSchema("x"), numbers)
    assert column.quantiles[-1] == 90.0
    assert column.quantiles[0] == numbers.min()
    assert column.quantiles[32] == pytest.approx(0, abs=0.01)


# Codes

numbers_of = {
    "real": st.floats(-1e6, 1e6, allow_subnormal=False),
    "positive": st.floats(1e-6, 1e9),
    "count": st.integers(0, 2**24 - 1).map(float),
    "datetime": st.integers(-700_000, 2_900_000).map(float),
}


@given(st.data())
def test_codes_come_back_as_values(data):
    kind = data.draw(st.sampled_from(sorted(numbers_of)))
    values = np.array(data.draw(st.lists(numbers_of[kind], min_size=2, max_size=30)))
    column = fit_column(ColumnSchema("x", kind), values)
    coding = Coding([column])
    again = coding.decode(coding.encode(values[:, None]))[:, 0]
    spread = np.abs(values).max() + 1
    np.testing.assert_allclose(again, values, rtol=1e-9, atol=1e-9 * spread)


@given(st.lists(st.floats(0.01, 1e4).map(lambda x: round(x, 2)), min_size=2, max_size=30))
def test_decimals_come_back_from_the_float32_of_a_batch(values):
    """What a model sees is rounded to float32; the decimals of the source undo it."""
    numbers = np.array(values)
    for kind in ("real", "positive"):
        column = fit_column(ColumnSchema("x", kind, decimals=2), numbers)
        coding = Coding([column])
        codes = coding.encode(numbers[:, None]).astype(np.float32)
        np.testing.assert_array_equal(coding.decode(codes)[:, 0], numbers)


def test_codes_of_all_kinds():
    columns = (
        ColumnSchema("r", mean=5.0, scale=2.0),
        ColumnSchema("p", "positive", mean=1.0, scale=0.5, atoms=(0.0, math.e), shares=(0.1, 0.2)),
        ColumnSchema("n", "count", mean=9.0, scale=9.0),
        ColumnSchema("o", "ordinal", levels=("a", "b"), mean=0.0),
        ColumnSchema("d", "datetime", "date", mean=18_000.0, scale=100.0),
    )
    coding = Coding(columns)
    values = np.array([[7.0, math.e, 3.0, 1.0, 18_050.0], [np.nan, 0.0, 0.0, np.nan, np.nan]])
    codes = coding.encode(values)
    expected = [[1.0, 0.0, 3.0, 1.0, 0.5], [np.nan, CODE_OF_ZERO, 0.0, np.nan, np.nan]]
    np.testing.assert_allclose(codes, expected)
    np.testing.assert_allclose(coding.decode(codes), values)
    atoms = coding.atoms()
    np.testing.assert_array_equal(atoms[1], np.array([CODE_OF_ZERO, 0.0], np.float32))
    assert all(atom.dtype == np.float32 for atom in atoms)


def test_a_small_positive_number_is_not_rounded_to_zero():
    column = ColumnSchema("x", "positive", decimals=2, mean=0.0, scale=1.0)
    assert Coding([column]).decode(np.array([[math.log(1e-4)]])).item() == 0.01
