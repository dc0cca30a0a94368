"""Dates that are written as texts: the forms that are known, and how a column of them is written.

These forms are known:

- the year first: 2020-01-31, 2020/1/31, 2020-01-31T10:00:00.5+02:00, 2020-01-31 10:00:00 UTC;
- the year last, with four digits: 31/01/2020, 1/31/2020 3:05 PM, 31-01-2020 10:00, 31.01.2020;
- the month by its English name: 31 Jan 2020, 31-Jan-2020, Jan 31, 2020, 31 January 2020.

Of the year-last forms, dates parted by dots are read day first. For the others, day first and month
first are both tried on all values. A moment without a zone is taken as one in UTC.

A form is written as by `strftime`, in the words of Polars: %d/%m/%Y; %-d is a day without a zero.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polars import DataFrame, Expr, Series

DAY_FIRST = "day-first"
MONTH_FIRST = "month-first"

CLOCK = (
    r"(?:[T ,]\s*(?<hour>\d{1,2}):(?<minute>\d{2})"
    r"(?::(?<second>\d{2})(?:[.,](?<fraction>\d{1,9}))?)?"
    r"\s*(?<half>[AaPp][Mm])?\s*(?:[Zz]|UTC|GMT|(?<sign>[+-])(?<off>\d{2}):?(?<set>\d{2})?)?)?\s*$"
)
"""The time of day, with or without a zone."""

YEAR_FIRST = r"^\s*(?<year>\d{4})(?<mark>[-/.])(?<first>\d{1,2})[-/.](?<middle>\d{1,2})" + CLOCK

YEAR_LAST = r"^\s*(?<first>\d{1,2})(?<mark>[-/.])(?<middle>\d{1,2})[-/.](?<year>\d{4})" + CLOCK

NAMED_MONTH = r"^\s*(?:[A-Za-z]{3,9},? )?(?:\d{1,2}[- .]{1,2})?[A-Za-z]{3,9}[- .,].*\d{4}"
"""A text in which a word may be the name of a month."""

NAMED_FORMS = ("%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%a, %d %b %Y")
"""The forms with the name of a month that are known."""

SHORT_YEAR = r"^\s*\d{1,2}[-/]\d{1,2}[-/]\d{2}(?: .*)?$"
"""A date whose year has two digits."""

MICROSECONDS = 1_000_000
"""A second has so many."""

SAMPLED = 200
"""So many texts are looked at before all are read as dates."""

MOST_WRITTEN = 1000
"""Forms are compared by how many of so many texts they write as they are."""

CLOCK_PARTS = (
    r"(?:(?P<gap>[T ,]\s*)\d{1,2}:\d{2}(?P<second>:\d{2}(?P<fraction>[.,]\d{1,9})?)?"
    r"(?P<half>\s*[AaPp][Mm])?(?P<zone>\s*(?:[Zz]|UTC|GMT|[+-]\d{2}:?(?:\d{2})?))?)?"
)
"""The parts of a time of day, which may be absent."""

PARTS = re.compile(r"(?P<date>\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})" + CLOCK_PARTS)
"""The parts of a date that has no name of a month in it."""

NAMED_PARTS = re.compile(r"(?P<date>[^:]{1,40}?\d{4})" + CLOCK_PARTS)
"""The parts of a date that has the name of a month in it, as `NAMED_MONTH` tells."""


@dataclass(frozen=True)
class Dates:
    """How texts are read as dates.

    Attributes:
        format: the form in which they are written; None where they are no dates.
        unread: those of the texts that are no dates.
        orders: the orders of day and month in which all can be read; empty where only one can be.
    """

    format: str | None
    unread: "Series"
    orders: tuple[str, ...] = ()


def find_dates(texts: "Series") -> Dates:
    """Finds the form of texts that may be dates.

    Args:
        texts: different ones, (n,), without blanks around them and without gaps.
    """
    if not may_be_dates(texts):
        return Dates(None, texts)
    named = _find_named(texts)
    if named is not None:
        return named
    found = {}
    for order in (DAY_FIRST, MONTH_FIRST):
        form = _best_form(texts, order)
        found[order] = Dates(form, texts.filter(read_dates(texts, form).is_null()))
        if not texts.str.contains(YEAR_LAST).any():
            return found[order]
    complete = tuple(order for order, dates in found.items() if dates.unread.is_empty())
    if len(complete) == 2 and not _are_dotted(texts) and not _are_same(texts, found):
        return Dates(None, texts, complete)
    return min(found.values(), key=lambda dates: len(dates.unread))


def may_be_dates(texts: "Series") -> bool:
    """Says whether most of the first texts look like dates."""
    head = texts.head(SAMPLED)
    looks = head.str.contains(f"{YEAR_FIRST}|{_unnamed(YEAR_LAST)}|{NAMED_MONTH}")
    return 2 * int(looks.sum()) > len(head)


def have_short_years(texts: "Series") -> bool:
    """Says whether all texts are dates whose years have two digits."""
    if texts.is_empty() or not texts.head(SAMPLED).str.contains(SHORT_YEAR).all():
        return False
    days = texts.str.extract(r"^\s*([-/\d]+)").str.replace_all("/", "-", literal=True)
    for form in ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d"):
        if not days.str.to_date(form, strict=False).null_count():
            return True
    return False


def read_dates(texts: "Series", form: str) -> "Series":
    """Reads texts by a form, in microseconds since 1970; null where one is no date.

    What is written in another form is read too, in the order of day and month that this form has.
    A form with a zone gives the time in that zone; a text with another zone is moved to it.
    """
    times = _read_by_form(texts, form)
    is_left = times.is_null() & texts.is_not_null()
    if not is_left.any():
        return times
    others = texts.filter(is_left).alias("text").to_frame()
    order = order_of(form)
    read = microseconds(others, YEAR_FIRST, order)
    read = read.fill_null(microseconds(others, YEAR_LAST, order)) + zone_offset(form)
    return times.scatter(is_left.arg_true(), read)


def _read_by_form(texts: "Series", form: str) -> "Series":
    """Reads texts that are written in a form, in microseconds since 1970; null for others."""
    import polars

    pattern = re.sub(r"%\.\df", "%.f", form).replace("%P", "%p")
    return texts.str.to_datetime(pattern, strict=False, time_unit="us").cast(polars.Int64)


def order_of(form: str) -> str:
    """Says whether a form has the day or the month first."""
    places = [form.find(part) for part in ("%d", "%-d") if part in form]
    months = [form.find(part) for part in ("%m", "%-m") if part in form]
    is_month_first = places and months and min(months) < min(places)
    if is_month_first and max(form.find("%Y"), form.find("%y")) > min(places):
        return MONTH_FIRST
    return DAY_FIRST


def resolution(form: str) -> int:
    """Returns the microseconds of the smallest part that a form writes."""
    if "%.f" in form or re.search(r"%\.?[369]f", form):
        return 1
    for parts, size in ((("%S",), 1), (("%M",), 60), (("%H", "%-H", "%I", "%-I"), 3600)):
        if any(part in form for part in parts):
            return size * MICROSECONDS
    return 86_400 * MICROSECONDS


def _unnamed(pattern: str) -> str:
    """Removes the names of the groups of a pattern, so that it can stand beside another."""
    return re.sub(r"\(\?<\w+>", "(?:", pattern)


def _find_named(texts: "Series") -> Dates | None:
    """Finds the form of dates with names of months; None where they have none."""
    if not texts.head(SAMPLED).str.contains(NAMED_MONTH).any():
        return None
    best: Dates | None = None
    clocks = _named_clocks(texts)
    for form in NAMED_FORMS:
        unread = texts.filter(_read_by_form(texts, form + clocks[0]).is_null())
        if best is None or len(unread) < len(best.unread):
            best = Dates(form, unread)
    if best is None or best.format is None or len(best.unread) == len(texts):
        return None
    forms = []
    for day in (best.format, best.format.replace("%d", "%-d")):
        for clock in clocks:
            forms.append(day + clock)
    return Dates(_written_most(texts, forms), best.unread)


def _named_clocks(texts: "Series") -> list[str]:
    """Lists the forms of the time of day behind dates with names of months."""
    for text in texts.head(SAMPLED):
        parts = NAMED_PARTS.fullmatch(text)
        if parts is not None:
            return _clocks_of(parts)
    return [""]


def _best_form(texts: "Series", order: str) -> str:
    """Finds the form that writes most of the texts as they are, with the day or the month first."""
    candidates: list[str] = []
    # Texts of other lengths may have other parts.
    lengths = texts.str.len_chars()
    for text in (texts[int(lengths.arg_max() or 0)], texts[int(lengths.arg_min() or 0)], texts[0]):
        candidates += _forms_of(text, order)
    if not candidates:
        return "%Y-%m-%d"
    return _written_most(texts, list(dict.fromkeys(candidates)))


def _forms_of(text: str, order: str) -> list[str]:
    """Lists the forms in which a date may be written, with and without zeros."""
    parts = PARTS.fullmatch(text)
    if parts is None:
        return []
    mark = re.sub(r"\d", "", parts["date"])[0]
    names = ["%d", "%m", "%Y"]
    if re.match(r"\d{4}", text):
        names = ["%Y", "%m", "%d"]
    elif order == MONTH_FIRST:
        names = ["%m", "%d", "%Y"]
    date = mark.join(names)
    forms = []
    for day in (date, date.replace("%d", "%-d").replace("%m", "%-m")):
        for clock in _clocks_of(parts):
            forms.append(day + clock)
    return forms


def _clocks_of(parts: "re.Match[str]") -> list[str]:
    """Lists the forms of a time of day, with and without a zero before the hour."""
    if parts["gap"] is None:
        return [""]
    rest = ":%M"
    if parts["second"]:
        rest += ":%S"
    fraction = parts["fraction"]
    if fraction and len(fraction) in (4, 7, 10):
        digits = len(fraction) - 1
        rest += {".": f"%.{digits}f", ",": f",%{digits}f"}[fraction[0]]
    elif fraction:
        rest += "%.f"
    hours = ("%H", "%-H")
    half = parts["half"]
    if half:
        hours = ("%I", "%-I")
        name = "%p"
        if half.strip().islower():
            name = "%P"
        rest += half[: len(half) - 2] + name
    rest += parts["zone"] or ""
    return [parts["gap"] + hour + rest for hour in hours]


def _written_most(texts: "Series", forms: list[str]) -> str:
    """Returns the form that writes most of the texts as they are; of several the first."""
    head = texts.head(MOST_WRITTEN)
    counts = []
    for form in forms:
        counts.append(int((write_dates(read_dates(head, form), form) == head).sum()))
    return forms[counts.index(max(counts))]


def write_dates(times: "Series", form: str) -> "Series":
    """Writes microseconds since 1970 as texts of a form, rounded to what it can tell."""
    import polars

    step = resolution(form)
    rounded = times
    if step > 1:
        rounded = (times + step // 2) // step * step
    return rounded.cast(polars.Datetime("us")).dt.strftime(form)


def _are_dotted(texts: "Series") -> bool:
    """Says whether dots part all dates that have the year last."""
    written_last = texts.filter(texts.str.contains(YEAR_LAST))
    return bool(written_last.str.contains(r"^\s*\d+\.").all())


def _are_same(texts: "Series", found: dict[str, Dates]) -> bool:
    """Says whether both orders give the same dates."""
    read = []
    for dates in found.values():
        assert dates.format is not None
        read.append(read_dates(texts, dates.format))
    return bool((read[0] == read[1]).all())


def zone_offset(form: str) -> int:
    """Returns the microseconds by which the zone of a form is ahead of UTC."""
    zone = re.search(r"([+-])(\d{2}):?(\d{2})?$", form)
    if zone is None:
        return 0
    minutes = 60 * int(zone[2]) + int(zone[3] or 0)
    if zone[1] == "-":
        minutes = -minutes
    return minutes * 60 * MICROSECONDS


def read_iso(texts: "Series") -> "Series | None":
    """Reads dates that all have the year first and all are of one form; None for others.

    Polars is several times faster than `microseconds`, but mixes no forms. It guesses the form
    from the first text, and with the year first there is nothing to guess.
    """
    import polars
    from polars.exceptions import PolarsError

    if not texts.str.contains(r"^\d{4}-\d").all():
        return None
    try:
        times = texts.str.to_datetime(time_zone="UTC", time_unit="us", strict=False)
    except PolarsError:
        return None
    if times.null_count():
        return None
    return times.cast(polars.Int64)


def microseconds(frame: "DataFrame", form: str, order: str) -> "Series":
    """Reads the texts of one form, in microseconds since 1970; null where a text is none.

    Args:
        frame: the texts, in the column `text`.
        form: `YEAR_FIRST` or `YEAR_LAST`.
        order: `DAY_FIRST` or `MONTH_FIRST`.
    """
    import polars
    from polars import col

    places = ("first", "middle")
    if form == YEAR_LAST and order == DAY_FIRST:
        places = ("middle", "first")
    month, day = places
    parts = frame.select(col("text").str.extract_groups(form)).unnest("text")
    written = polars.format("{}-{}-{}", "year", col(month).str.zfill(2), col(day).str.zfill(2))
    days = written.str.to_date("%Y-%m-%d", strict=False).cast(polars.Int64)
    hour = _number("hour")
    half = col("half").str.to_lowercase()
    hour = polars.when(half.is_null()).then(hour).otherwise(hour % 12 + 12 * (half == "pm"))
    is_hour = (
        polars.when(half.is_null()).then(hour < 24).otherwise(_number("hour").is_between(1, 12))
    )
    is_clock = is_hour & (_number("minute") < 60) & (_number("second") <= 60)
    seconds = (hour * 60 + _number("minute")) * 60 + _number("second") + days * 86_400
    offset = (_number("off") * 60 + _number("set")) * 60
    ahead = polars.when(col("sign") == "-").then(-offset).otherwise(offset)
    fraction = col("fraction").fill_null("").str.pad_end(6, "0").str.head(6).cast(polars.Int64)
    times = (seconds - ahead) * MICROSECONDS + fraction
    return parts.select(polars.when(is_clock).then(times).alias("text")).to_series()


def _number(part: str) -> "Expr":
    """The number in a part of a text, 0 where the text has none."""
    import polars

    return polars.col(part).cast(polars.Int64).fill_null(0)
