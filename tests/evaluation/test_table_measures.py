"""Distances, associations and gaps of the columns of a table against SciPy and cases by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lowerbound.columns import ColumnSchema
from lowerbound.evaluation.columns import (
    association,
    associations,
    column_distance,
    correlation_ratio,
    cramers_v,
    distances_by_kind,
    gap_pairs,
    pearson,
    total_variation,
)

NUMBER = ColumnSchema("n")
LEVELS = ColumnSchema("l", "categorical", "text", ("a", "b", "c"))
NAN = np.nan


def two_columns(seed, first=4, second=3, count=300):
    """Levels of which the second repeats the first in half of the rows."""
    rng = np.random.default_rng(seed)
    a = rng.integers(first, size=count)
    b = np.where(rng.random(count) < 0.5, a % second, rng.integers(second, size=count))
    return a.astype(float), b.astype(float)


def table_of(a, b):
    return np.array([[(np.equal(a, i) & np.equal(b, j)).sum() for j in set(b)] for i in set(a)])


# Distances


def test_total_variation_is_the_greatest_difference_of_an_event():
    first = np.array([0.5, 0.3, 0.2])
    second = np.array([0.2, 0.3, 0.5])
    assert total_variation(first, second) == pytest.approx(0.3)
    assert total_variation(first, first) == 0
    assert total_variation(np.array([1.0, 0]), np.array([0, 1.0])) == 1


def test_levels_are_apart_by_their_shares_and_gaps_count_nowhere():
    first = np.array([0, 0, 1, NAN, 2])  # 1/2, 1/4, 1/4
    second = np.array([0, 1, 1, 1, NAN, NAN])  # 1/4, 3/4, 0
    assert column_distance(LEVELS, first, second) == pytest.approx(0.5)


def test_a_level_that_the_column_does_not_know_counts():
    assert column_distance(LEVELS, np.array([0.0, 0.0]), np.array([0.0, 3.0])) == 0.5


@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(2, 60))
def test_numbers_are_apart_as_kolmogorov_and_smirnov_have_it(seed, count, other):
    rng = np.random.default_rng(seed)
    first = rng.integers(8, size=count).astype(float)  # with ties
    second = rng.integers(9, size=other).astype(float)
    wanted = stats.ks_2samp(first, second).statistic
    gapped = np.append(first, NAN)
    assert column_distance(NUMBER, gapped, second) == pytest.approx(wanted)


def test_a_column_without_observed_values_has_no_distance():
    assert np.isnan(column_distance(NUMBER, np.array([NAN, NAN]), np.array([1.0])))
    assert np.isnan(column_distance(LEVELS, np.array([1.0]), np.array([NAN])))


def test_each_column_has_the_distance_of_its_kind():
    first = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0], [NAN, 1.0]])
    second = np.array([[0.0, 0.0], [5.0, 0.0]])
    found = distances_by_kind([NUMBER, LEVELS], first, second)
    # Of 0, 1, 2 and 0, 5: two thirds lie in 1..2, of the others none: 1/2 + ... at 2 it is 1 - 1/2.
    assert found == pytest.approx([0.5, 0.5])


# Associations


@pytest.mark.parametrize("seed", range(5))
def test_cramers_v_is_that_of_scipy(seed):
    a, b = two_columns(seed)
    wanted = stats.contingency.association(table_of(a, b), method="cramer")
    assert cramers_v(a, b, corrected=False) == pytest.approx(wanted, rel=1e-12)
    assert cramers_v(b, a, corrected=False) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_correction_is_that_of_bergsma(seed):
    """His formula on the chi-square of SciPy."""
    a, b = two_columns(seed)
    table = table_of(a, b)
    n = table.sum()
    r, c = table.shape
    chi_square = stats.chi2_contingency(table, correction=False).statistic
    phi = max(0, chi_square / n - (r - 1) * (c - 1) / (n - 1))
    r_ = r - (r - 1) ** 2 / (n - 1)
    c_ = c - (c - 1) ** 2 / (n - 1)
    assert cramers_v(a, b) == pytest.approx(np.sqrt(phi / min(r_ - 1, c_ - 1)), rel=1e-12)


def test_levels_that_are_independent_are_hardly_associated_once_chance_is_taken_off():
    rng = np.random.default_rng(0)
    a = rng.integers(20, size=500).astype(float)
    b = rng.integers(20, size=500).astype(float)
    assert cramers_v(a, b, corrected=False) > 0.15
    assert cramers_v(a, b) < 0.06


def test_levels_that_name_the_same_are_fully_associated():
    a = np.repeat([0.0, 1.0, 2.0], 20)
    assert cramers_v(a, (a + 1) % 3, corrected=False) == pytest.approx(1)
    assert cramers_v(a, (a + 1) % 3) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_the_correlation_ratio_is_that_of_an_analysis_of_variance(seed):
    rng = np.random.default_rng(seed)
    levels = rng.integers(4, size=200).astype(float)
    numbers = levels % 3 + rng.normal(size=200)
    f = stats.f_oneway(*(numbers[levels == level] for level in range(4))).statistic
    between = 3
    within = 196
    square = f * between / (f * between + within)
    found = correlation_ratio(numbers, levels, corrected=False)
    assert found == pytest.approx(np.sqrt(square), rel=1e-10)
    # Kelley: 1 - MS within / MS total, which is (F - 1) / (F + within / between).
    kelley = between * (f - 1) / (between * f + within)
    assert correlation_ratio(numbers, levels) == pytest.approx(np.sqrt(max(kelley, 0)), abs=1e-10)


def test_the_correlation_ratio_by_hand():
    numbers = np.array([1.0, 3.0, 5.0, 7.0])
    levels = np.array([0.0, 0.0, 1.0, 1.0])
    # Means 2 and 6 about 4: 16 between; 20 in all.
    assert correlation_ratio(numbers, levels, corrected=False) == pytest.approx(np.sqrt(0.8))


@given(st.integers(0, 10**6))
def test_pearson_is_that_of_numpy(seed):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=30)
    second = first * rng.normal() + rng.normal(size=30) * 1e3
    assert pearson(first, second) == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-12)


def test_what_does_not_vary_is_not_associated():
    constant = np.zeros(10)
    varied = np.arange(10.0)
    assert pearson(constant, varied) == 0
    assert cramers_v(constant, varied) == 0
    assert correlation_ratio(varied, constant) == 0
    assert correlation_ratio(constant, varied % 2) == 0
    assert correlation_ratio(varied, varied) == 0  # each row a level of its own


def test_pairs_of_columns_are_measured_on_the_rows_that_have_both():
    first = np.array([1.0, 2.0, NAN, 4.0, 100.0])
    second = np.array([2.0, 4.0, 50.0, 8.0, NAN])
    assert association((NUMBER, NUMBER), first, second) == pytest.approx(1)
    assert np.isnan(association((NUMBER, NUMBER), first, np.full(5, NAN)))


def test_the_matrix_has_the_measure_of_each_pair_of_kinds():
    rng = np.random.default_rng(0)
    a, b = two_columns(3)
    number = a + rng.normal(size=len(a))
    number[::7] = NAN
    other = number * 2 + rng.normal(size=len(a))
    kinds = [
        NUMBER,
        ColumnSchema("a", "ordinal", "text", tuple("abcd")),
        LEVELS,
        ColumnSchema("m", "count"),
    ]
    found = associations(kinds, np.stack([number, a, b, other], axis=1))
    known = ~np.isnan(number)
    assert np.array_equal(found, found.T)
    assert np.array_equal(np.diag(found), np.ones(4))
    assert found[0, 1] == correlation_ratio(number[known], a[known])
    assert found[1, 0] == found[0, 1]
    assert found[1, 2] == cramers_v(a, b)
    assert found[0, 3] == pytest.approx(np.corrcoef(number[known], other[known])[0, 1])


# Gaps


def test_gaps_that_come_together_are_found_first():
    observed = np.ones((8, 4), bool)
    observed[:4, 0] = False
    observed[:4, 1] = False
    observed[2:4, 2] = False  # the last column has no gaps, and no pair
    pairs = gap_pairs(observed)
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1), (0, 2), (1, 2)]
    assert pairs[0].correlation == pytest.approx(1)
    assert pairs[0].both == 0.5
    wanted = np.corrcoef(~observed[:, 0], ~observed[:, 2])[0, 1]
    assert pairs[1].correlation == pytest.approx(wanted)
    assert pairs[1].both == 0.25


def test_a_column_of_gaps_alone_has_no_pairs():
    observed = np.ones((5, 2), bool)
    observed[:, 0] = False
    observed[0, 1] = False
    assert gap_pairs(observed) == []
