"""Logs of users and items as people have them: any dialect of text, any type of id, any form of
time, any usual name of a column. What is read wrong by a guess is refused in one line.
"""

import gzip
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowerbound.data import Data, Dataset, Interactions
from lowerbound.data.interactions.dataset import described, from_frame
from lowerbound.data.interactions.ids import id_text, positions, unify
from lowerbound.errors import DataError, LowerboundError

USERS = 12
ITEMS = 30


def pairs(seed: int = 0) -> list[tuple[int, int]]:
    """Each of 12 users with ten of 30 items, in random order."""
    rng = np.random.default_rng(seed)
    return [(u, int(i)) for u in range(USERS) for i in rng.permutation(ITEMS)[:10]]


def write(folder: Path, text: str, name: str = "log.csv", encoding: str = "utf-8") -> Path:
    """Writes a file to the byte, without a change of line ends."""
    path = folder / name
    content = text.encode(encoding)
    if name.endswith(".gz"):
        content = gzip.compress(content)
    path.write_bytes(content)
    return path


def opened(path: Path, **options: Any) -> Dataset:
    """Opens a log with all users for training; options of `Data` begin with `data_`."""
    data = {"validation": 0, "test": 0}
    how = {}
    for name, value in options.items():
        if name.startswith("data_"):
            data[name.removeprefix("data_")] = value
        else:
            how[name] = value
    return Data(str(path), interactions=Interactions(**how), **data).open()


def entries(data: Dataset, targets: bool = False, part: str = "all") -> set[tuple[Any, Any]]:
    """The pairs of a split, by the users' and items' own ids."""
    split = data.split(part)
    matrix = (split.targets if targets else split.matrix).tocoo()
    users = split.users[matrix.row].tolist()
    return set(zip(users, data.items.ids[matrix.col].tolist(), strict=True))


def refusal(act: Any, kind: type[LowerboundError] = DataError) -> str:
    """The one line with which something is refused."""
    with pytest.raises(kind) as caught:
        act()
    text = str(caught.value)
    assert "\n" not in text
    return text


# Times


ORDERS = {
    "%m/%d/%Y": "month first",
    "%d/%m/%Y": "day first",
    "%m-%d-%Y": "month first",
    "%d-%m-%Y": "day first",
    "%d.%m.%Y": "day first",
    "%m/%d/%Y %H:%M": "month first",
    "%d/%m/%Y %H:%M:%S": "day first",
    "%d.%m.%Y %H:%M": "day first",
    "%m/%d/%Y %I:%M %p": "month first",
    "%m/%d/%Y, %I:%M:%S %p": "month first",
    "%Y-%m-%d": None,
    "%Y/%m/%d": None,
    "%Y.%m.%d %H:%M": None,
    "%Y-%m-%d %H:%M:%S": None,
    "%Y-%m-%dT%H:%M:%S.%f": None,
    "%Y-%m-%dT%H:%M:%SZ": None,
    "%Y-%m-%d %H:%M:%S UTC": None,
}
"""Forms of times, and the order that the notes tell."""


def last_by(times: dict[tuple[int, int], datetime], user: int) -> tuple[int, int]:
    """The last pair of a user by time."""
    own = [pair for pair in times if pair[0] == user]
    return max(own, key=times.__getitem__)


def moments(days: int, seed: int = 1) -> dict[tuple[int, int], datetime]:
    """A day of its own for each pair of a user, in the first days of the months of 2020."""
    rng = np.random.default_rng(seed)
    choices = [
        datetime(2020, m, d, 9 + d % 12, m, tzinfo=UTC)
        for m in range(1, 13)
        for d in range(1, days + 1)
    ]
    found = {}
    for user in range(USERS):
        own = [pair for pair in pairs() if pair[0] == user]
        for pair, place in zip(own, rng.choice(len(choices), len(own), replace=False), strict=True):
            found[pair] = choices[place]
    return found


@pytest.mark.parametrize("form", ORDERS)
@pytest.mark.parametrize("days", [28, 12])
def test_the_last_item_of_a_user_is_the_last_in_every_form_of_time(
    tmp_path: Path, form: str, days: int
) -> None:
    """The truth is known: the times are written in a form, and read without a word on it.

    Where every day is up to 12 and no rule tells the order, the log is refused; with the order set
    it is right.
    """
    times = moments(days)
    rows = "".join(f"{u}\t{i}\t{t.strftime(form)}\n" for (u, i), t in times.items())
    path = write(tmp_path, f"user\titem\ttimestamp\n{rows}", "log.tsv")
    truth = {last_by(times, user) for user in range(USERS)}
    is_ambiguous = days == 12 and form[:3] in ("%m/", "%d/", "%m-", "%d-")
    options: dict[str, Any] = {"split": "leave-one-out", "data_test": 1}
    if is_ambiguous:
        text = refusal(lambda: opened(path, **options))
        assert "day first or month first" in text
        assert "data.interactions.time_format=day-first, month-first" in text
        options["time_format"] = ORDERS[form].replace(" ", "-")
    data = opened(path, **options)
    assert entries(data, True, "test") == truth
    told = [note for note in data.notes if "times such as" in note]
    assert len(told) == (ORDERS[form] is not None)
    if ORDERS[form] is not None:
        assert f"are read {ORDERS[form]} (data.interactions.time_format)" in told[0]


def stamps(*texts: Any, form: str | None = None, dtype: Any = None) -> list[int]:
    """The order in which one user's interactions with these times are read, by their places."""
    frame = pl.DataFrame(
        {"user": 1, "item": range(len(texts)), "timestamp": pl.Series(texts, dtype=dtype)}
    )
    how = Interactions(split="temporal", time_format=form)
    order = []
    left = frame
    while len(left) > 1:
        # The last of those that are left, one by one.
        data = from_frame(left, how, validation=0, test=1 / len(left))
        (pair,) = entries(data, True, "test")
        order.append(pair[1])
        left = left.filter(pl.col("item") != pair[1])
    return [left["item"].item(), *reversed(order)]


def test_a_format_is_kept_to_in_a_text_of_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item,time\n1,7,01022020\n1,8,31012020\n1,9,02012020\n")
    by_time = {"split": "leave-one-out", "data_test": 1}
    assert entries(opened(path, **by_time), True, "test") == {(1, 8)}  # the largest number
    told = opened(path, time_format="%d%m%Y", **by_time)
    assert entries(told, True, "test") == {(1, 7)}


def test_zones_count() -> None:
    assert stamps(
        "2020-01-01T10:00:00Z",
        "2020-01-01T10:00:00+02:00",
        "2020-01-01 11:00:00-0330",
        "2020-01-01 09:00",
        "2020-01-01 10:30:00 UTC",
    ) == [1, 3, 0, 4, 2]
    east, west = timezone(timedelta(hours=5)), timezone(timedelta(hours=-5))
    zoned = pl.Series([datetime(2020, 1, 1, 12, tzinfo=east), datetime(2020, 1, 1, 3, tzinfo=west)])
    assert stamps(*zoned.dt.convert_time_zone("Asia/Tokyo").to_list()) == [0, 1]
    assert stamps(date(2020, 2, 1), date(2020, 1, 31)) == [1, 0]


def test_numbers_are_times_also_as_texts() -> None:
    assert stamps("9", "10", "2.5") == [2, 0, 1]
    assert stamps(1.5e9, 1.4e9) == [1, 0]
    assert stamps("1600000000000", "1500000000001") == [1, 0]


def test_halves_of_the_day_and_fractions_of_seconds() -> None:
    assert stamps("1/31/2020 12:05 AM", "1/31/2020 1:05 am", "1/31/2020 12:01pm") == [0, 1, 2]
    assert stamps("2020-01-01 10:00:00.9", "2020-01-01 10:00:00.10", "2020-01-01 10:00") == [
        2,
        1,
        0,
    ]


def test_a_format_may_be_given() -> None:
    texts = ("03/12/20", "11/05/20", "05/10/20")
    assert "'%d %b %y'" in refusal(lambda: stamps(*texts))
    assert stamps(*texts, form="%m/%d/%y") == [0, 2, 1]
    assert stamps(*texts, form="%d/%m/%y") == [1, 2, 0]
    assert stamps("Jan 5, 2020", "Dec 1, 2019", form="%b %d, %Y") == [1, 0]
    zoned = ("2020-01-01 10:00 +0200", "2020-01-01 09:00 +0000")
    assert stamps(*zoned, form="%Y-%m-%d %H:%M %z") == [0, 1]
    assert stamps(20200131, 20191231, form="%Y%m%d") == [1, 0]
    assert stamps(31012020, 11122019, form="%d%m%Y") == [1, 0]
    assert "not written as" in refusal(lambda: stamps("2020", "x", form="%Y-%m"))


@pytest.mark.parametrize(
    ("texts", "form", "words"),
    [
        (("01/18/2020", "18/01/2020"), None, "only be read day first, such as '18/01/2020'"),
        (("01/18/2020", "05/05/2020"), "day-first", "'01/18/2020' are no dates that are"),
        (("18/01/2020", "05/05/2020"), "month-first", "'18/01/2020' are no dates that are"),
        (("31/02/2020", "01/02/2020"), None, "'31/02/2020' are neither numbers nor dates"),
        (("2020-02-30", "2020-02-01"), None, "'2020-02-30' are neither numbers nor dates"),
        (("2020-02-01 25:00", "2020-02-01"), None, "'2020-02-01 25:00' are neither"),
        (("1/31/2020 13:00 PM", "1/31/2020 1:00 PM"), None, "'1/31/2020 13:00 PM' are neither"),
        (("soon", "2020-02-01"), None, "'soon' are neither numbers nor dates"),
    ],
)
def test_times_that_are_none_are_refused(texts: Any, form: str | None, words: str) -> None:
    assert words in refusal(lambda: stamps(*texts, form=form))


def test_a_form_of_times_is_checked_before_anything_is_read() -> None:
    with pytest.raises(ValueError, match=r"no form of times; allowed: day-first, month-first"):
        Interactions(time_format="american")


@given(st.lists(st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)), min_size=2, max_size=8))
def test_every_form_gives_the_same_numbers(times: list[datetime]) -> None:
    from lowerbound.data.interactions.times import times_as_numbers

    times = [moment.replace(microsecond=0) for moment in times]
    truth = [int((moment - datetime(1970, 1, 1)).total_seconds()) * 10**6 for moment in times]
    for form, order in (
        ("%Y-%m-%d %H:%M:%S", None),
        ("%m/%d/%Y %I:%M:%S %p", "month-first"),
        ("%d.%m.%Y %H:%M:%S", "day-first"),
    ):
        column = pl.Series([moment.strftime(form) for moment in times])
        assert times_as_numbers(column, "x", order)[0].tolist() == truth


@pytest.mark.parametrize("split", ["leave-one-out", "temporal"])
@pytest.mark.parametrize(
    "name", ["time", "Date", "datetime", "unixReviewTime", "created_at", "TS", "InvoiceDate"]
)
def test_usual_names_of_times(split: str, name: str) -> None:
    rows = [(u, i, k) for k, (u, i) in enumerate(pairs())]
    frame = pl.DataFrame(rows, schema=["user", "item", name], orient="row")
    data = from_frame(frame, Interactions(split=split), validation=0, test=0.1)
    last = max(rows, key=lambda row: row[2])
    assert last[:2] in entries(data, True, "test")
    other = frame.rename({name: "something"})
    assert "data.interactions.timestamp" in refusal(
        lambda: from_frame(other, Interactions(split=split))
    )
    named = Interactions(split=split, timestamp="something")
    again = from_frame(other, named, validation=0, test=0.1)
    assert again.fingerprint()["sha256"] == data.fingerprint()["sha256"]


# Ids


TYPES = {
    "int64": lambda ids: pl.Series(ids),
    "int32": lambda ids: pl.Series(ids, dtype=pl.Int32),
    "uint64": lambda ids: pl.Series(ids, dtype=pl.UInt64),
    "real": lambda ids: pl.Series([float(k) for k in ids]),
    "real32": lambda ids: pl.Series(ids, dtype=pl.Float32),
    "text": lambda ids: pl.Series([str(k) for k in ids]),
    "text of a real": lambda ids: pl.Series([f"{k}.0" for k in ids]),
    "text with blanks": lambda ids: pl.Series([f" {k}" for k in ids]),
    "category": lambda ids: pl.Series([str(k) for k in ids], dtype=pl.Categorical),
    "decimal": lambda ids: pl.Series(ids).cast(pl.Decimal(20, 2)),
}
"""The types in which tools write the whole numbers of ids."""


def typed_log(kind: str) -> pl.DataFrame:
    users, items = zip(*pairs(), strict=True)
    return pl.DataFrame({"user": TYPES[kind](users), "item": TYPES[kind](items)})


@pytest.mark.parametrize("kind", TYPES)
def test_the_type_of_ids_changes_nothing(kind: str, tmp_path: Path) -> None:
    """The splits, the fingerprint and the matching with a run and with titles are the same."""
    usual = from_frame(typed_log("int64"), seed=3)
    frame = typed_log(kind)
    data = from_frame(frame, seed=3)
    assert data.fingerprint() == usual.fingerprint()
    other = from_frame(frame, schema=usual.schema, items=usual.items, other=True)
    assert other.facts["unknown_items"] == len({i for _, i in pairs()}) - len(usual.items)
    assert entries(other) == entries(usual)
    titles = pl.DataFrame(
        {"item": TYPES[kind](range(ITEMS)), "title": [f"T{k}" for k in range(ITEMS)]}
    )
    for rows in (frame, typed_log("int64")):
        named = from_frame(rows, titles=titles).items
        assert named.titles == [f"T{k}" for k in named.ids]
    frame.write_parquet(tmp_path / "log.parquet")
    stored = Data(str(tmp_path / "log.parquet"), seed=3, interactions=Interactions()).open()
    assert stored.fingerprint()["sha256"] == usual.fingerprint()["sha256"]


def test_a_column_of_ids_with_gaps_holds_whole_numbers() -> None:
    frame = pl.DataFrame({"user": [1.0, 2.0, float("nan"), None], "item": ["7", " ", "8", "9"]})
    data = from_frame(frame, validation=0, test=0)
    assert entries(data) == {(1, 7)}
    assert data.train.users.dtype == np.int64
    assert data.facts["missing_ids"] == 3


def test_a_text_with_zeros_before_it_is_another_id() -> None:
    frame = pl.DataFrame({"user": ["1", "1", "1.0"], "item": ["001", "1", "01"]})
    assert entries(from_frame(frame, validation=0, test=0)) == {(1, "001"), (1, "1"), (1, "01")}


def test_parts_may_have_ids_of_different_types(tmp_path: Path) -> None:
    pl.DataFrame({"user": [1, 2], "item": [3, 4]}).write_parquet(tmp_path / "train.parquet")
    texts = pl.Series(["1", "2"], dtype=pl.Categorical)
    pl.DataFrame({"user": texts, "item": ["4.0", "5"]}).write_parquet(tmp_path / "test.parquet")
    data = Data(str(tmp_path), validation=0, interactions=Interactions()).open()
    assert entries(data, part="train") == {(1, 3), (2, 4)}
    assert entries(data, True, "test") == {(1, 4), (2, 5)}


def test_an_accent_is_one_id_however_it_is_encoded() -> None:
    composed = "Beyonc\u00e9"
    apart = unicodedata.normalize("NFD", composed)
    assert composed != apart
    frame = pl.DataFrame({"user": [1, 2, 1], "item": [composed, apart, "x"]})
    titles = pl.DataFrame({"item": [apart], "title": [apart]})
    data = from_frame(frame, titles=titles, validation=0, test=0)
    assert data.items.ids.tolist() == [composed, "x"]
    assert data.items.titles == [composed, "x"]
    other = pl.DataFrame({"user": [5], "item": [apart]})
    mapped = from_frame(other, schema=data.schema, items=data.items, other=True)
    assert entries(mapped) == {(5, composed)}


def test_real_numbers_that_tell_neighbours_not_apart_are_no_ids() -> None:
    frame = pl.DataFrame({"user": [1.2e18, None], "item": [1, 2]})
    assert "do not tell neighbours beyond 2^53 apart" in refusal(lambda: from_frame(frame))
    whole = pl.DataFrame({"user": [12 * 10**17, 12 * 10**17 + 1], "item": [1, 2]})
    assert len(from_frame(whole, validation=0, test=0).train) == 2


@given(st.lists(st.integers(-(10**6), 10**6) | st.text("01. a-+", min_size=1), min_size=1))
def test_one_id_and_many_are_read_by_one_rule(ids: list[int | str]) -> None:
    """`id_text` of one and `unify` of a column agree on which ids are the same."""
    texts = [str(one) for one in ids]
    unified = unify(pl.Series(texts)).to_list()
    for first, one in zip(texts, unified, strict=True):
        for second, other in zip(texts, unified, strict=True):
            assert (id_text(first) == id_text(second)) == (one == other)
    catalogue = unify(pl.Series(texts)).unique().sort().to_numpy()
    at = positions(np.array(texts, dtype=object), catalogue)
    assert [id_text(catalogue[k]) for k in at] == [id_text(text) for text in texts]


# Columns


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("User-ID,ISBN,Book-Rating", "users from 'User-ID', items from 'ISBN'"),
        ("USERID,MovieId,Rating", "users from 'USERID', items from 'MovieId'"),
        ("customer_id,sku,weight", "users from 'customer_id', items from 'sku'"),
        ("visitorid,itemid,rating", "users from 'visitorid', items from 'itemid'"),
        ("reviewerID,asin,overall", "ratings from 'overall'"),
        ("CustomerID,StockCode,stars", "ratings from 'stars'"),
        ("user,artist,plays", "items from 'artist'"),
        ("uid,track_id,rating", "items from 'track_id'"),
        ("userId,product id,rating", "items from 'product id'"),
    ],
)
def test_usual_columns_are_found_whatever_their_case(
    tmp_path: Path, header: str, told: str
) -> None:
    path = write(tmp_path, f"{header}\n1,7,5\n2,8,2\n")
    data = opened(path, threshold=3)
    assert entries(data) == {(1, 7)}
    assert any(told in note for note in data.notes)


def test_other_columns_that_may_be_meant_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "user,artist,track_id\n1,a,7\n1,b,8\n")
    data = opened(path)
    assert entries(data) == {(1, 7), (1, 8)}
    assert "other columns may be meant: data.interactions.item=artist" in data.notes
    assert entries(opened(path, item="artist")) == {(1, "a"), (1, "b")}
    assert entries(opened(path, item="ARTIST")) == {(1, "a"), (1, "b")}


def test_all_missing_columns_are_told_of_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "session_id,thing,stars\n1,7,5\n")
    text = refusal(lambda: opened(path))
    assert "no column of users and no column of items" in text
    assert "data.interactions.user=session_id" in text
    assert "data.interactions.item=COLUMN" in text
    assert "its columns: session_id, thing, stars" in text
    text = refusal(lambda: opened(path, item="thnig", rating="likes", user="session_id"))
    assert "no column 'thnig' of items and no column 'likes' of ratings" in text
    assert "data.interactions.item=thing" in text
    assert entries(opened(path, user="session_id", item="thing")) == {(1, 7)}


def test_one_column_is_not_both_users_and_items(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n1,2\n")
    assert "would both be read from 'a'" in refusal(lambda: opened(path, user="a", item="A"))


# Folders


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "val.csv", "test.csv"),
        ("Train.CSV", "dev.csv", "Test.csv"),
        ("training.jsonl", "validation.ndjson", "testing.jsonl"),
        ("train.txt", "valid.dat", "test.data"),
        ("train.csv.gz", "val.tsv", "test.tsv.gz"),
    ],
)
def test_parts_by_their_usual_names(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for position, name in enumerate(names):
        text = f"user\titem\n1\t{position}\n2\t{position + 1}\n"
        if "json" in name:
            text = f'{{"user": 1, "item": {position}}}\n{{"user": 2, "item": {position + 1}}}\n'
        elif ".csv" in name:
            text = text.replace("\t", ",")
        write(tmp_path, text, name)
    data = Data(str(tmp_path), interactions=Interactions()).open()
    assert entries(data, part="train") == {(1, 0), (2, 1)}
    assert entries(data, True, "validation") == {(1, 1), (2, 2)}
    assert entries(data, True, "test") == {(1, 2), (2, 3)}


def test_a_part_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    for name in ("train.csv", "test.csv", "dev.csv", "val.tsv"):
        write(tmp_path, "user,item\n1,2\n", name)
    text = refusal(Data(str(tmp_path), interactions=Interactions()).open)
    assert "holds dev.csv and val.tsv; allowed: one file of each part" in text


# JSON lines and Parquet


def test_lines_of_json(tmp_path: Path) -> None:
    text = (
        '{"user": 1, "item": "x", "more": {"a": [1]}}\n\n{"item": "y", "user": 2.0}\n{"user": 3}\n'
    )
    data = opened(write(tmp_path, text, "log.jsonl"))
    assert entries(data) == {(1, "x"), (2, "y")}
    assert data.facts["missing_ids"] == 1
    for bad, words in (
        ('{"user": 1, "item": \n', "cannot be read as interactions"),
        ('{"user": ' + "[" * 10**6 + "]" * 10**6 + "}\n", "cannot be read as interactions"),
        ("".join(f'{{"k{k}": 1}}\n' for k in range(1200)), "1200 keys in all; allowed: 1000"),
    ):
        path = write(tmp_path, bad, "bad.jsonl")
        assert words in refusal(lambda path=path: opened(path))
    (tmp_path / "packed.jsonl").write_bytes(gzip.compress(text.encode()))
    assert "compressed" in refusal(lambda: opened(tmp_path / "packed.jsonl"))


def test_parquet_of_the_types_that_tools_write(tmp_path: Path) -> None:
    berlin = pl.Series([datetime(2020, 1, k, tzinfo=UTC) for k in (3, 1, 2)])
    frame = pl.DataFrame(
        {
            "user": pl.Series(["a", "a", "a"], dtype=pl.Enum(["b", "a"])),
            "item": pl.Series([1, 2, 3], dtype=pl.Int8),
            "rating": pl.Series([4, 5, 4], dtype=pl.Decimal(5, 1)),
            "date": berlin.dt.convert_time_zone("Europe/Berlin"),
        }
    )
    frame.write_parquet(tmp_path / "x.parquet")
    data = opened(tmp_path / "x.parquet", split="leave-one-out", threshold=4, data_test=1)
    assert entries(data, True, "test") == {("a", 1)}


# What is dropped is said


def test_what_is_dropped_is_counted_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item,rating\n1,1,5\n1,1,5\n,1,5\n2,2,1\n")
    text = described(opened(path, threshold=3).facts)
    assert "of 4 read" in text
    for words in ("1 missing ids", "1 below threshold", "1 duplicates"):
        assert words in text


# Texts


ROWS = sorted(pairs())
"""The pairs of the logs below."""


def rows_of(separator: str = ",", more: str = "", end: str = "\n") -> str:
    return "".join(f"{u}{separator}{i}{more}{end}" for u, i in ROWS)


TEXTS = {
    "log.csv": f"user;item\n{rows_of(';')}",
    "tab.txt": f"user\titem\n{rows_of(chr(9))}",
    "pipe.data": f"user|item\n{rows_of('|')}",
    "colons.dat": f"user::item\n{rows_of('::')}",
    "packed.csv.gz": f"user,item\n{rows_of()}",
    "returns.csv": f"user,item\r{rows_of(end=chr(13))}",
    "both.csv": f"user,item\r\n{rows_of(end=chr(13) + chr(10))}",
    "comments.csv": f"# made by hand\n# twice\nuser,item\n{rows_of()}",
    "quoted.csv": '"user","item"\n' + "".join(f'"{u}","{i}"\n' for u, i in ROWS),
    "CASE.CSV": f"USER,ITEM\n{rows_of()}",
    "bare.csv": rows_of(),
    "bare.dat": rows_of("::"),
    "bare.tsv": rows_of("\t"),
    "rated.dat": rows_of("::", "::5::874965000"),
    "rated.data": rows_of("\t", "\t5\t874965000"),
    "timed.csv": rows_of(",", ",874965000"),
    "dated.csv": rows_of(",", ",2020-01-31"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_every_dialect(tmp_path: Path, name: str) -> None:
    data = opened(write(tmp_path, TEXTS[name], name))
    assert entries(data) == set(ROWS)
    assert data.facts["read"] == len(ROWS)
    is_bare = name[:4] in ("bare", "rate", "time", "date")
    assert any("by their places" in note for note in data.notes) == is_bare


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_texts_of_every_encoding(tmp_path: Path, encoding: str) -> None:
    rows = "".join(f"{u},Café №{i}\n".replace("№", "no ") for u, i in ROWS)
    path = write(tmp_path, f"user,item\n{rows}", encoding=encoding)
    assert entries(opened(path)) == {(u, f"Café no {i}") for u, i in ROWS}


def test_places_of_a_log_without_a_header(tmp_path: Path) -> None:
    rated = write(tmp_path, "1::7::5::30\n1::8::2::20\n1::9::4::10\n", "x.dat")
    assert entries(opened(rated, threshold=3)) == {(1, 7), (1, 9)}
    by_time = {"split": "leave-one-out", "data_test": 1}
    assert entries(opened(rated, **by_time), True, "test") == {(1, 7)}
    timed = write(tmp_path, "1,7,874965030\n1,8,874965020\n1,9,874965010\n", "t.csv")
    assert entries(opened(timed, **by_time), True, "test") == {(1, 7)}
    unrated = refusal(lambda: opened(timed, threshold=3))
    assert "no column of ratings, which data.interactions.threshold=3 needs;" in unrated
    assert "data.interactions.rating=NUMBER" in unrated
    named = opened(rated, user="2", item="1", timestamp="3", **by_time)
    assert {item for _, item in entries(named)} == {1}
    check_ins = "1,2010-10-17T01:48:53Z,39.7,-104.9,22847\n"
    wide = write(tmp_path, 2 * check_ins, "check_ins.txt")
    text = refusal(lambda: opened(wide))
    assert "no header and 5 columns" in text
    assert "data.interactions.user=1" in text
    assert entries(opened(wide, user="1", item="5")) == {(1, 22847)}
    # So the command line and TOML write the numbers.
    assert Interactions(user=1, item=5, rating=2) == Interactions("1", "5", "2")  # type: ignore[arg-type]
    text = refusal(lambda: opened(wide, user="1", item="9"))
    assert "data.interactions.item" in text


def test_a_number_is_no_name_of_a_column(tmp_path: Path) -> None:
    one = write(tmp_path, "1,fargo\n2,alien\n", "a.csv")
    assert entries(opened(one)) == {(1, "fargo"), (2, "alien")}
    other = write(tmp_path, "ann,1\nbob,x\n", "b.csv")
    assert entries(opened(other)) == {("ann", "1"), ("bob", "x")}


def test_a_header_may_be_set(tmp_path: Path) -> None:
    path = write(tmp_path, "ann,fargo\nbob,alien\n")
    assert "set data.header=false" in refusal(lambda: opened(path))
    assert entries(opened(path, data_header=False)) == {("ann", "fargo"), ("bob", "alien")}


def test_quotes_that_are_part_of_a_text_take_no_rows(tmp_path: Path) -> None:
    names = ['"Heroes', 'Blue Monday 12"', '"weird" al', '7" single', "plain"]
    rows = [(u, names[u % 5]) for u in range(40)] + [(u, f"song {u % 7}") for u in range(40)]
    text = "".join(f"{u}\t{name}\n" for u, name in rows)
    data = opened(write(tmp_path, f"user\titem\n{text}", "log.tsv"))
    assert entries(data) == set(rows)
    assert data.facts["read"] == 80
    assert any("data.quote" in note for note in data.notes)
    titles = "".join(f"{k},{name}\n" for k, name in enumerate(names))
    path = write(tmp_path, f"item,title\n{titles}", "titles.csv")
    plays = write(tmp_path, f"user,item\n{''.join(f'{u},{u % 5}{chr(10)}' for u in range(40))}")
    named = opened(plays, items=str(path))
    assert named.items.titles == names
    assert any("titles.csv" in note and "data.quote" in note for note in named.notes)


def test_titles_of_every_dialect(tmp_path: Path) -> None:
    plays = write(tmp_path, "user,item\n1,0007\n1,0008\n2,0009\n")
    books = '"ISBN";"Book-Title";"Book-Author"\n"0007";"Café; a novel";"X"\n"0008";"B";"Y"\n'
    path = write(tmp_path, books, "BX-Books.csv", "latin-1")
    data = opened(plays, items=str(path))
    assert data.items.titles == ["Café; a novel", "B", "0009"]
    said = "BX-Books.csv has no title for 1 of 3 items, such as '0009'; its first is '0007'"
    assert said in data.notes
    films = write(tmp_path, "movieId\tname\tGenre\n7.0\tSeven\tx\n8\tEight\ty\n", "films.txt")
    bare = "7::Star Wars: B::Action|War\n8::C (1996)::Drama\n"
    places = write(tmp_path, bare, "movies.dat", "latin-1")
    numbers = write(tmp_path, "user,item\n1,7\n1,8\n", "numbers.csv")
    by_place = opened(numbers, items=str(places)).items
    assert by_place.titles == ["Star Wars: B", "C (1996)"]
    assert by_place.genres == ["Action|War", "Drama"]
    named = opened(numbers, items=str(films)).items
    assert (named.titles, named.genres) == (["Seven", "Eight"], ["x", "y"])


def test_decimal_commas_and_words_for_missing_values(tmp_path: Path) -> None:
    path = write(tmp_path, "user;item;rating\n1;7;3,5\n1;8;2,0\n2;-;4,5\n")
    assert entries(opened(path, threshold=3)) == {(1, "7"), (2, "-")}
    data = opened(path, data_missing=["-"], binary=False)
    assert entries(data) == {(1, 7), (1, 8)}
    assert data.schema.high == 3.5
    assert data.facts["missing_ids"] == 1


@pytest.mark.parametrize("word", ["NULL", "NA", "\\N", "nan"])
def test_ids_that_may_be_missing_are_told_of(tmp_path: Path, word: str) -> None:
    """An export writes them for users who were not logged in; as one user they would count."""
    path = write(tmp_path, f"user,item\n1,7\n1,8\n{word},7\n{word},9\n2,-\n")
    data = opened(path)
    said = " ".join(data.notes)
    assert f"rows of users called {word!r}, which count as any other id: 2;" in said
    assert "rows of items called '-', which count as any other id: 1;" in said
    dropped = opened(path, data_missing=[word, "-"])
    assert dropped.facts["missing_ids"] == 3
    assert not dropped.notes


def test_no_note_where_no_id_is_such_a_word(tmp_path: Path) -> None:
    assert not opened(write(tmp_path, "user,item\na,x\nb,Nan goa\n")).notes


def test_the_first_rating_that_is_no_number_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path, 'user,item,plays\n1,7,12\n1,8,"1,234"\n2,7,many\n')
    assert "no numbers, such as '1,234';" in refusal(lambda: opened(path))


@pytest.mark.parametrize(
    ("times", "ties"),
    [
        ((5, 5, 5, 5, 5, 5), "of 2 users 2 have several"),
        ((1, 2, 2, 1, 2, 3), "of 2 users 1 have several"),
        ((1, 1, 2, 2, 2, 3), None),
    ],
)
def test_users_whose_last_interaction_the_order_decides_are_counted(
    tmp_path: Path, times: tuple[int, ...], ties: str | None
) -> None:
    rows = [f"{k // 3},{k},{time}" for k, time in enumerate(times)]
    path = write(tmp_path, "\n".join(["user,item,timestamp", *rows, "9,1,4", "9,2,4"]))
    said = " ".join(opened(path, split="leave-one-out", data_test=1).notes)
    if ties is None:
        assert "last time" not in said
    else:
        assert f"{ties} interactions at their last time" in said


@pytest.mark.parametrize(
    ("names", "how", "words"),
    [
        ("kunde,artikel", {"user": "session", "item": "thing"}, "call them 'session' and 'thing'"),
        ("user,artikel", {"item": "thing"}, "call them 'thing'"),
        ("kunde,artikel", {}, "call them 'user' and 'item'"),
    ],
)
def test_columns_of_data_that_a_run_reads_later_have_its_own_or_usual_names(
    tmp_path: Path, names: str, how: dict[str, str], words: str
) -> None:
    """No setting can be given with a request, so none is advised."""
    own = write(tmp_path, f"{how.get('user', 'user')},{how.get('item', 'item')}\n1,7\n2,8\n")
    plan = Data(str(own), validation=0, test=0, interactions=Interactions(**how))
    run = plan.open()
    later = Data(
        str(write(tmp_path, f"{names}\n1,7\n", "later.csv")), interactions=Interactions(**how)
    )
    message = refusal(lambda: later.open(run.schema, run.items, other=True))
    assert words in message
    assert "data." not in message.replace("later.csv", "")
