"""What an encoder sees of a table with columns of several kinds."""

import datetime
import math

import numpy as np
import pytest
import torch

from lowerbound.columns import Coding, ColumnSchema
from lowerbound.columns.families import (
    CumulativeLogits,
    Gaussian,
    Histogram,
    NegativeBinomial,
    Softmax,
)
from lowerbound.errors import ConfigError, LowerboundError
from lowerbound.families import Columns, Normal
from lowerbound.model import Architecture
from lowerbound.model.inputs import PERIODS, TableFeatures
from lowerbound.networks import MLP, Conv

EPOCH = datetime.date(1970, 1, 1)


def days(year, month, day):
    return (datetime.date(year, month, day) - EPOCH).days


COLUMNS = (
    ColumnSchema("r", mean=5.0, scale=2.0, atoms=(1.0,), shares=(0.3,)),
    ColumnSchema("c", "categorical", "text", ("a", "b", "c")),
    ColumnSchema("n", "count", "integer", mean=1.0, scale=0.5),
    ColumnSchema("p", "positive", mean=0.0, scale=2.0, atoms=(0.0, 1.0), shares=(0.3, 0.2)),
    ColumnSchema("d", "datetime", "date", mean=18_000.0, scale=400.0),
    ColumnSchema("b", "binary", "text", ("no", "yes")),
)
ROW = [7.0, 2.0, 4.0, math.e**3, days(2024, 2, 29), 1.0]


def features_of(row, columns=COLUMNS, observed=None):
    codes = torch.tensor(Coding(columns).encode(np.array([row]))).float()
    if observed is None:
        observed = ~codes.isnan()
    features = TableFeatures(columns)
    made = features(torch.where(observed, codes, 0), observed)
    assert made.shape == (1, features.width)
    return made[0]


def test_the_features_of_each_kind_by_hand():
    """Values of numbers, whether they are observed, atoms, sines and cosines of dates, levels."""
    made = features_of(ROW)
    values = [1.0, (math.log(5.0) - 1) / 0.5, 1.5, (days(2024, 2, 29) - 18_000) / 400]
    torch.testing.assert_close(made[:4], torch.tensor(values))
    assert made[4:8].tolist() == [1.0] * 4
    assert made[8:11].tolist() == [0.0] * 3
    angles = [2 * math.pi * (days(2024, 2, 29) / period % 1) for period in PERIODS]
    cyclic = [part(angle) for angle in angles for part in (math.sin, math.cos)]
    torch.testing.assert_close(made[11:17], torch.tensor(cyclic), atol=2e-3, rtol=0)
    assert made[17:].tolist() == [0.0, 0.0, 1.0, 0.0, 1.0]
    assert len(made) == 2 * 4 + 3 + 6 + 5


def test_the_value_of_an_atom_is_its_indicator_alone():
    made = features_of([1.0, 0.0, 4.0, 0.0, 18_000.0, 0.0])
    assert made[[0, 2]].tolist() == [0.0, 0.0]
    assert made[8:11].tolist() == [1.0, 1.0, 0.0]
    made = features_of([1.0, 0.0, 4.0, 1.0, 18_000.0, 0.0])
    assert made[8:11].tolist() == [1.0, 0.0, 1.0]


def test_the_numbers_for_a_normal_by_hand():
    """Values with NaN at atoms and gaps, atoms with NaN at gaps, levels but for the first."""
    rows = np.array([ROW, [1.0, 1.0, 4.0, 0.0, 18_000.0, 0.0], [np.nan] * 6])
    codes = torch.tensor(Coding(COLUMNS).encode(rows)).float()
    observed = ~codes.isnan()
    found = TableFeatures(COLUMNS).linear(torch.where(observed, codes, 0), observed)
    count = (math.log(5.0) - 1) / 0.5
    day = (days(2024, 2, 29) - 18_000) / 400
    nan = math.nan
    wanted = [
        [1.0, count, 1.5, day, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0],
        [nan, count, nan, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0],
        [nan] * 10,
    ]
    torch.testing.assert_close(found.values, torch.tensor(wanted), equal_nan=True)
    assert found.owner.tolist() == [0, 2, 3, 4, 0, 3, 3, 1, 1, 5]


def test_what_is_not_observed_is_zero_everywhere():
    """Of a row of gaps nothing is left; of a gap nothing of its column."""
    assert not features_of([np.nan] * 6).any()
    made = features_of([np.nan, *ROW[1:5], np.nan])
    assert not made[[0, 4, 8, 20, 21]].any()
    assert made[[1, 2, 3, 5, 6, 7]].all()


@pytest.mark.parametrize("year", [1, 1582, 1900, 1970, 2026, 2500, 9999])
def test_a_thursday_is_a_thursday_in_any_century(year):
    """1 January 1970 was one, of angle 0. Float32 days since then lack the parts of a day, and in
    far centuries the day itself; what is added to the mean is small.
    """
    first = datetime.date(year, 3, 1)
    thursday = first + datetime.timedelta((3 - first.weekday()) % 7)
    mean = float((first - EPOCH).days) + 0.37
    columns = [ColumnSchema("d", "datetime", "date", mean=mean, scale=9.5)]
    for later in range(4):
        day = (thursday - EPOCH).days + later
        made = features_of([float(day)], columns)
        angle = 2 * math.pi * later / 7
        assert made[2].item() == pytest.approx(math.sin(angle), abs=1e-4)
        assert made[3].item() == pytest.approx(math.cos(angle), abs=1e-4)
        assert made[6].item() == pytest.approx(0, abs=1e-4)
        assert made[7].item() == pytest.approx(1, abs=1e-4)


def test_numbers_far_from_the_others_are_seen_nearer():
    """The identity within five deviations, and logarithmic beyond; ever rising."""
    columns = [ColumnSchema("r")]
    seen = [features_of([value], columns)[0].item() for value in (4.9, 5.0, 1e3, 1e6, 1e30)]
    assert seen[0] == pytest.approx(4.9)
    assert sorted(seen) == seen
    assert seen[3] == pytest.approx(5 + math.log(2e6), rel=1e-3)


def test_a_count_of_tiny_deviation_stays_finite():
    columns = [ColumnSchema("n", "count", mean=math.log1p(1e6), scale=1e-9)]
    made = features_of([1e6 + 3], columns)
    assert made.isfinite().all()
    assert made.abs().max() < 60


def test_a_table_of_levels_or_of_numbers_alone():
    for columns in (COLUMNS[:1], COLUMNS[1:2], COLUMNS[2:3], COLUMNS[4:5]):
        row = [ROW[COLUMNS.index(columns[0])]]
        assert features_of(row, columns).isfinite().all()


def test_a_model_of_a_table_is_built_on_the_meta_device():
    """The size of a model is counted there; every family takes part."""
    likelihoods = [
        Columns(),
        Columns(real=Histogram(), positive=Gaussian(scale="shared"), count=NegativeBinomial()),
        Columns(binary=CumulativeLogits()),
    ]
    for likelihood in likelihoods:
        architecture = Architecture((2,), MLP((4,)), likelihood=likelihood)
        here = architecture.build((6,), columns=COLUMNS)
        with torch.device("meta"):
            there = architecture.build((6,), columns=COLUMNS)
        ours = [tuple(parameter.shape) for parameter in here.parameters()]
        assert ours == [tuple(parameter.shape) for parameter in there.parameters()]


# Mistakes


@pytest.mark.parametrize(
    ("settings", "columns", "line"),
    [
        (
            {"likelihood": Columns()},
            (),
            (
                "model.likelihood Columns is for tables whose columns have kinds: set data.kinds "
                "(data.kinds={} finds them), or take another likelihood, such as Normal"
            ),
        ),
        (
            {"likelihood": Normal()},
            COLUMNS[1:],
            (
                "model.likelihood Normal is for real numbers, and the column 'c' is of kind "
                "categorical; allowed for tables with columns of several kinds: Columns"
            ),
        ),
        (
            {"likelihood": Normal()},
            COLUMNS[:1],
            (
                "model.likelihood Normal is for real numbers, and the column 'r' is of kind real; "
                "allowed for tables with columns of several kinds: Columns"
            ),
        ),
        (
            {"likelihood": Columns(), "network": Conv((4,))},
            COLUMNS,
            (
                "Conv needs images (channels, height, width), got an event of shape (22,); use MLP "
                "for vectors"
            ),
        ),
    ],
    ids=["no kinds", "Normal", "atoms", "Conv"],
)
def test_a_model_that_does_not_fit_a_table_is_refused(settings, columns, line):
    architecture = Architecture((2,), **({"network": MLP((4,))} | settings))
    with pytest.raises(LowerboundError) as error:
        architecture.build((max(len(columns), 1),), columns=columns)
    assert str(error.value) == line


def test_a_bias_of_data_is_refused_of_a_table():
    model = Architecture((2,), MLP((4,)), likelihood=Columns()).build((6,), columns=COLUMNS)
    with pytest.raises(ConfigError) as error:
        model.start_at(torch.zeros(6))
    assert str(error.value) == (
        "model.output_bias='data' is not for Columns, whose families start about the training "
        "values by themselves; leave it out"
    )


@pytest.mark.parametrize(
    ("kind", "family", "allowed"),
    [
        ("real", Softmax(), "categorical, binary, ordinal"),
        ("positive", NegativeBinomial(), "count"),
        ("count", Gaussian(), "real, positive, datetime"),
        ("ordinal", Gaussian(), "real, positive, datetime"),
        ("categorical", CumulativeLogits(), "ordinal, binary"),
        ("binary", Histogram(), "real, positive, count, datetime"),
        ("datetime", Softmax(), "categorical, binary, ordinal"),
    ],
)
def test_a_family_of_another_kind_is_refused(kind, family, allowed):
    name = type(family).__name__
    with pytest.raises(ConfigError) as error:
        Columns(**{kind: family})
    assert f"{kind} cannot be {name}, which is for {allowed}" in str(error.value)
