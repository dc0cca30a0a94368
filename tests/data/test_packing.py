"""Logs are read in pieces and sorted as packed numbers: the same as by plain dictionaries."""

import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowerbound.data import Data, Interactions
from lowerbound.data.interactions import packing
from lowerbound.data.interactions.cleaning import clean
from lowerbound.data.interactions.columns import Columns
from lowerbound.data.interactions.logs import RawLog
from lowerbound.errors import DataError


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    """Arrays are worked on in pieces of a few numbers, so that pairs lie across their ends."""
    patch = pytest.MonkeyPatch()
    patch.setattr(packing, "CHUNK", 7)
    patch.setattr(packing, "ROWS_AT_ONCE", 5)
    patch.setattr(packing, "ROWS_OF_NAMES", 11)
    yield
    patch.undo()


IDS = {
    "close": lambda numbers: numbers - 3,
    "far": lambda numbers: numbers * 2**40 - 2**61,
    "real": lambda numbers: numbers + 0.5,
    "text": lambda numbers: np.array([f"id {number}" for number in numbers], object),
    "spellings": lambda numbers: np.array([" 7", "7.0", "7", "x "], object)[numbers % 4],
}


def plain(rows, threshold):
    """What a log holds, by dictionaries: of each pair the part, the weight and the time."""
    found = {}
    for part in (0, 2):
        for user, item, rating, time, of_row in rows:
            pair = (user, item)
            if of_row != part or rating < threshold:
                continue
            known = found.setdefault(pair, [part, [], []])
            if known[0] == part:
                known[1].append(rating)
                known[2].append(time)
    return {
        pair: (part, sum(weights), min(times)) for pair, (part, weights, times) in found.items()
    }


def name_of(value):
    """The id by which a spelling is known."""
    text = str(value).strip()
    return {"7.0": "7"}.get(text, text)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(sorted(IDS)),
    st.sampled_from(sorted(IDS)),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 2**20]),
)
def test_a_log_is_what_dictionaries_make_of_it(seed, of_users, of_items, binary, timed, scale):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 80))
    users = IDS[of_users](rng.integers(0, 9, count))
    items = IDS[of_items](rng.integers(0, 6, count))
    rating = rng.integers(1, 5, count).astype(float)
    rating[0] = 4.0  # one at least is kept
    times = rng.integers(0, 50, count) * scale * 2**20
    part = rng.choice([0, 2], count)
    frame = polars.DataFrame({"user": users, "item": items, "rating": rating, "timestamp": times})
    parts = {}
    for number in (0, 2):
        parts[number] = frame.filter(part == number).lazy()
    log = clean(RawLog("log", parts), Columns(timed=timed), 2.0, binary)
    names = [name_of(user) for user in users.tolist()], [name_of(item) for item in items.tolist()]
    rows = zip(*names, rating.tolist(), times.tolist(), part.tolist(), strict=True)
    expected = plain(list(rows), 2.0)
    found = {}
    for k in range(len(log)):
        pair = (name_of(log.users[log.user[k]]), name_of(log.items[log.item[k]]))
        found[pair] = (int(log.part[k]), log.weight[k] if not binary else None)
    assert found.keys() == expected.keys()
    assert all(found[pair][0] == expected[pair][0] for pair in found)
    if not binary:
        assert all(found[pair][1] == expected[pair][1] for pair in found)
    if timed:
        ours = np.argsort(log.time, kind="stable")
        keys = list(found)
        in_time = [expected[keys[k]][2] for k in ours]
        assert in_time == sorted(in_time)
    assert log.facts["duplicates"] == int((rating >= 2).sum()) - len(expected)
    places = log.user.astype(np.int64) * len(log.items) + log.item
    assert (np.diff(places) > 0).all()


def test_times_may_be_any_numbers(tmp_path):
    rows = polars.DataFrame({"user": [1] * 4, "item": range(4)})
    for times in ([0, 2**40, 1, 3], [0.5, 9.25, -1.0, 2.0], [-(2**62), 2**62, 0, 1]):
        rows.with_columns(timestamp=polars.Series(times)).write_parquet(tmp_path / "log.parquet")
        how = Interactions(split="leave-one-out")
        data = Data(str(tmp_path / "log.parquet"), interactions=how).open()
        assert data.test.targets.indices.tolist() == [1]
        assert data.validation.targets.indices.tolist() == [3]


def test_a_log_that_grows_while_it_is_read_is_refused(monkeypatch):
    rows = polars.DataFrame({"user": [1, 2, 3], "item": [1, 2, 3]})
    monkeypatch.setattr(packing, "batches_of", lambda frame, rows: iter([frame.collect()[:2]]))
    with pytest.raises(DataError, match="it had 3 rows, and then 2: is it being written"):
        clean(RawLog("log", {0: rows.lazy()}), Columns())
