"""Dates that are texts: the forms that are known, and that they are written as they were read."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowerbound.data.files.dates import (
    DAY_FIRST,
    MONTH_FIRST,
    find_dates,
    have_short_years,
    order_of,
    read_dates,
    write_dates,
)

FORMS = [
    (["2020-01-31", "1999-12-01"], "%Y-%m-%d"),
    (["2020/01/31", "1999/12/01"], "%Y/%m/%d"),
    (["2020-1-31", "1999-12-1"], "%Y-%-m-%-d"),
    (["31/01/2020", "05/12/1999"], "%d/%m/%Y"),
    (["1/31/2020", "12/5/1999"], "%-m/%-d/%Y"),
    (["05.01.2020", "06.12.1999"], "%d.%m.%Y"),
    (["2020-01-31T10:00:00", "1999-12-01T23:59:59"], "%Y-%m-%dT%H:%M:%S"),
    (["2020-01-31 10:00", "1999-12-01 23:59"], "%Y-%m-%d %H:%M"),
    (["2020-01-31 10:00:00.250", "1999-12-01 23:59:59.001"], "%Y-%m-%d %H:%M:%S%.3f"),
    (["2020-01-31T10:00:00Z", "1999-12-01T23:59:59Z"], "%Y-%m-%dT%H:%M:%SZ"),
    (["2020-01-31T10:00:00+02:00", "1999-12-01T23:59:59+02:00"], "%Y-%m-%dT%H:%M:%S+02:00"),
    (["1/31/2020 3:05 PM", "12/1/2020 11:05 AM"], "%-m/%-d/%Y %-I:%M %p"),
    (["31 Jan 2020", "05 Dec 1999"], "%d %b %Y"),
    (["31-Jan-2020", "05-Dec-1999"], "%d-%b-%Y"),
    (["Jan 31, 2020", "Dec 5, 1999"], "%b %-d, %Y"),
    (["31 January 2020", "5 December 1999"], "%-d %B %Y"),
    (["31 Jan 2020 10:05", "7 Dec 1999 4:51"], "%-d %b %Y %-H:%M"),
    (["Jan 31, 2020 3:05 PM", "Dec 5, 1999 11:05 AM"], "%b %-d, %Y %-I:%M %p"),
    (["31-Jan-2020 10:00:00.250", "05-Dec-1999 23:59:59.001"], "%d-%b-%Y %H:%M:%S%.3f"),
    (
        ["Fri, 31 Jan 2020 10:00:00 +0200", "Sun, 05 Dec 1999 23:59:59 +0200"],
        "%a, %d %b %Y %H:%M:%S +0200",
    ),
]


@pytest.mark.parametrize(("texts", "form"), FORMS, ids=[form for _, form in FORMS])
def test_a_form_is_found_and_texts_come_back_as_they_were(texts: list[str], form: str) -> None:
    series = pl.Series(texts)
    found = find_dates(series)
    assert found.format == form
    assert found.unread.is_empty()
    read = read_dates(series, form)
    assert write_dates(read, form).to_list() == texts


def test_what_is_read_is_the_moment_that_is_meant() -> None:
    """In microseconds since 1970, of a text with a zone in that zone."""
    for text, form, meant in [
        ("31/01/2020", "%d/%m/%Y", datetime(2020, 1, 31)),
        ("1/31/2020 3:05 PM", "%-m/%-d/%Y %-I:%M %p", datetime(2020, 1, 31, 15, 5)),
        ("2020-01-31T10:00:00+02:00", "%Y-%m-%dT%H:%M:%S+02:00", datetime(2020, 1, 31, 10)),
        ("2020-01-31T10:00:00+01:00", "%Y-%m-%dT%H:%M:%S+02:00", datetime(2020, 1, 31, 11)),
        ("2020-01-31T10:00:00Z", "%Y-%m-%dT%H:%M:%S+02:00", datetime(2020, 1, 31, 12)),
        ("2020-01-31", "%d/%m/%Y", datetime(2020, 1, 31)),
    ]:
        since = meant - datetime(1970, 1, 1)
        assert read_dates(pl.Series([text]), form)[0] == since // timedelta(microseconds=1), text


def test_day_and_month_that_cannot_be_told_apart_are_told() -> None:
    """Unless both give the same dates, or dots part them, or one value decides."""
    assert find_dates(pl.Series(["03/04/2020", "05/06/2020"])).orders == (DAY_FIRST, MONTH_FIRST)
    assert find_dates(pl.Series(["03/04/2020", "13/06/2020"])).format == "%d/%m/%Y"
    assert find_dates(pl.Series(["03/04/2020", "06/13/2020"])).format == "%m/%d/%Y"
    assert find_dates(pl.Series(["03/03/2020", "06/06/2020"])).orders == ()
    assert find_dates(pl.Series(["03.04.2020", "05.06.2020"])).format == "%d.%m.%Y"


@pytest.mark.parametrize(
    "texts",
    [["red", "blue"], ["1.2.3", "1.2.4"], ["12", "13"], ["10:00", "11:00"], ["12-34", "1-2"]],
    ids=str,
)
def test_other_words_are_no_dates(texts: list[str]) -> None:
    found = find_dates(pl.Series(texts))
    assert found.format is None or len(found.unread) == len(texts)
    assert not have_short_years(pl.Series(texts))


def test_a_date_that_there_is_not_is_unread() -> None:
    found = find_dates(pl.Series(["2020-02-30", "2020-02-28", "2020-03-01"]))
    assert found.unread.to_list() == ["2020-02-30"]


def test_years_of_two_digits_are_known_as_such() -> None:
    assert have_short_years(pl.Series(["31/12/20", "01/01/21"]))
    assert not have_short_years(pl.Series(["99/99/99", "01/01/21"]))
    assert not have_short_years(pl.Series(["1.2.10", "1.2.11"]))


@given(
    st.lists(
        st.datetimes(datetime(1900, 1, 1), datetime(2059, 12, 31)).map(
            lambda moment: moment.replace(microsecond=0)
        ),
        min_size=1,
    ),
    st.sampled_from(["%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p"]),
)
def test_texts_of_any_moments_come_back(moments: list[datetime], form: str) -> None:
    texts = pl.Series([moment.strftime(form) for moment in moments])
    assert write_dates(read_dates(texts, form), form).equals(texts)
    assert order_of("%m/%d/%Y") == MONTH_FIRST
