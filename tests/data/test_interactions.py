"""Logs of users and items: reading, cleaning and splits, each rule by hand, and from real sets to
batches.
"""

import json
import os
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tomli_w
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.sparse import csr_matrix, save_npz

from lowerbound.data import Data, Dataset, History, Interactions, Items, Schema, named_sets
from lowerbound.data.interactions.dataset import described, from_frame
from lowerbound.data.named import fetch
from lowerbound.data.named.synthetic import tastes
from lowerbound.errors import ConfigError, DataError, DownloadError, LowerboundError, ShapeError
from lowerbound.recipe import parse

RNG = np.random.default_rng(0)
SPLITS = ("given", "strong", "random", "leave-one-out", "temporal")


def frame(*rows: tuple[Any, ...], columns: str = "user item rating timestamp") -> pl.DataFrame:
    """Rows as a frame."""
    return pl.DataFrame(rows, schema=columns.split()[: len(rows[0])], orient="row")


def csv(folder: Path, text: str, name: str = "log.csv") -> str:
    """A text file."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


def whole(rows: pl.DataFrame, **how: Any) -> Dataset:
    """All users for training."""
    return from_frame(rows, Interactions(**how), validation=0, test=0)


def triples(
    data: Dataset, history: History | None = None, targets: bool = False
) -> dict[tuple[Any, Any], float]:
    """What a split holds, by the users' and items' own ids."""
    history = history or data.split("all")
    entries = (history.targets if targets else history.matrix).tocoo()
    keys = zip(
        history.users[entries.row].tolist(), data.items.ids[entries.col].tolist(), strict=True
    )
    return dict(zip(keys, entries.data.tolist(), strict=True))


def line(act: Callable[[], Any], *words: str, kind: type[LowerboundError] = DataError) -> str:
    """The one line with which something is refused; it has these words."""
    with pytest.raises(kind) as caught:
        act()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    return text


def some(users: int = 40, items: int = 15, rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """A log at random, each pair once, times distinct."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(users * items, rows, replace=False)
    times = rng.permutation(rows)
    ratings = rng.integers(1, 6, rows)
    return pl.DataFrame(
        {"user": pairs // items, "item": pairs % items, "rating": ratings, "timestamp": times}
    )


# Reading


LOG = frame(("b", 7, 3.0, 5), ("a", 9, 5.0, 6), ("a", 7, 4.0, 7))
PAIRS = {("b", 7), ("a", 9), ("a", 7)}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_files_and_frames_are_read_alike(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log{suffix}"
    if suffix == ".parquet":
        LOG.write_parquet(path)
    else:
        LOG.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    data = Data(str(path), validation=0, test=0, interactions=Interactions()).open()
    assert triples(data).keys() == PAIRS
    assert data.name == "log"
    assert data.train.users.tolist() == ["a", "b"]
    assert data.items.ids.tolist() == [7, 9]
    assert triples(whole(LOG)) == triples(whole(LOG.lazy())) == triples(data)


def test_batches_are_sparse_rows_with_an_order(tmp_path: Path) -> None:
    data = whole(LOG, binary=False)
    assert data.schema == Schema((2,), "interactions", None, 0.0, 5.0)
    batch = data.train.batch(slice(None))
    assert torch.equal(batch.dense(), torch.tensor([[4.0, 5.0], [3.0, 0.0]]))
    assert (batch.offsets.dtype, batch.columns.dtype, batch.values.dtype) == (
        torch.int64,
        torch.int64,
        torch.float32,
    )
    assert whole(LOG).schema == Schema((2,), "interactions", 2, 0.0, 1.0)


@pytest.mark.parametrize("user", ["user", "user_id", "userId", "uid"])
@pytest.mark.parametrize("item", ["item", "item_id", "itemId", "movie_id", "movieId"])
def test_usual_names_of_columns(user: str, item: str) -> None:
    assert triples(whole(LOG.rename({"user": user, "item": item}))).keys() == PAIRS


def test_own_names_of_columns() -> None:
    rows = LOG.rename({"user": "who", "item": "what", "rating": "stars"})
    data = whole(rows, user="who", item="what", rating="stars", binary=False)
    assert triples(data) == {("b", 7): 3, ("a", 9): 5, ("a", 7): 4}
    assert (
        whole(rows.rename({"stars": "weight"}), user="who", item="what", binary=False).schema.high
        == 5
    )


def test_parquet_reads_only_the_columns_it_needs(tmp_path: Path) -> None:
    """A lazy source that would fail if any other column were touched."""

    def touched(_: pl.Series) -> pl.Series:
        raise AssertionError("a column was read in vain")

    lazy = LOG.lazy().with_columns(
        pl.col("rating").map_batches(touched, return_dtype=pl.Float64).alias("secret")
    )
    lazy = lazy.with_columns(
        pl.col("timestamp").map_batches(touched, return_dtype=pl.Int64).alias("timestamp")
    )
    assert triples(whole(lazy)).keys() == PAIRS


def test_an_id_that_is_no_number_may_come_last(tmp_path: Path) -> None:
    rows = "".join(f"{k},{k % 7}\n" for k in range(300))
    path = csv(tmp_path, f"user,item\n{rows}anna,3\n")
    users = Data(path, validation=0, test=0, interactions=Interactions()).open().train.users
    assert "anna" in users.tolist()
    assert len(users) == 301


def log_of(path: str, **how: Any) -> Dataset:
    """A file, all users for training."""
    return Data(path, validation=0, test=0, interactions=Interactions(**how)).open()


@pytest.mark.parametrize(
    "odd",
    [
        "001",
        "1.5",
        "+1",
        "-0",
        "1e3",
        "18446744073709551616",
        "9223372036854775808",
        "9" * 60,
    ],
)
def test_ids_of_a_text_file_are_numbers_only_if_all_are_written_so(
    tmp_path: Path, odd: str
) -> None:
    path = csv(tmp_path, f"user,item\n1,1\n2,{odd}\n2,1\n")
    assert triples(log_of(path)).keys() == {(1, "1"), (2, odd), (2, "1")}
    csv(tmp_path / "parts", "user,item\n1,1\n1,2\n", "train.csv")
    parts = csv(tmp_path / "parts", f"user,item\n1,{odd}\n", "test.csv")
    assert set(log_of(str(Path(parts).parent)).items.ids) == {"1", "2", odd}
    whole_numbers = log_of(csv(tmp_path, "user,item\n9223372036854775807,-1\n0,10\n", "whole.csv"))
    assert triples(whole_numbers).keys() == {(2**63 - 1, -1), (0, 10)}


def test_only_an_empty_field_of_a_text_file_is_a_missing_id(tmp_path: Path) -> None:
    path = csv(tmp_path, 'user,item,rating\nNA,None,1\nnull,?,2\n,x,3\n"",y,3\nn,,3\n')
    data = log_of(path, binary=False)
    assert triples(data) == {("NA", "None"): 1, ("null", "?"): 2}
    assert data.facts["missing_ids"] == 3
    for word in ("None", "NA", "", "nan", "NaN", "inf", "-inf", "-1"):
        path = csv(tmp_path, f"user,item,rating\n1,1,{word}\n1,2,3\n")
        line(
            lambda path=path: log_of(path), "1 ratings that are missing, negative, NaN or infinite"
        )
    line(lambda: log_of(csv(tmp_path, "user,item,rating\n1,1,good\n1,2,3\n")), "'good'")
    assert triples(log_of(csv(tmp_path, "user,item,rating\n1,1, 2.5\n"), binary=False)) == {
        (1, 1): 2.5
    }


def test_times_of_a_text_file(tmp_path: Path) -> None:
    for times in ("3 1 2", "3.5 1 2", "2020-01-03 2020-01-01 2020-01-02"):
        rows = "".join(f"1,{k},{t}\n" for k, t in enumerate(times.split()))
        path = csv(tmp_path, f"user,item,timestamp\n{rows}")
        data = Data(path, interactions=Interactions(split="leave-one-out")).open()
        assert triples(data, data.test, True).keys() == {(1, 0)}
    for word in ("nan", "None", ""):
        path = csv(tmp_path, f"user,item,timestamp\n1,1,{word}\n1,2,3\n")
        line(lambda path=path: log_of(path, split="temporal"), "1 interactions without a timestamp")


@pytest.mark.parametrize("kind", [pl.UInt64, pl.Int128, pl.UInt128])
def test_long_ids_of_frames(kind: Any) -> None:
    short, long = (pl.Series([1, 2, top], dtype=kind) for top in (3, 2**64 - 1))
    assert whole(pl.DataFrame({"user": short, "item": short})).items.ids.tolist() == [1, 2, 3]
    as_ = int if kind == pl.UInt64 else str
    data = whole(pl.DataFrame({"user": long, "item": long}))
    assert set(data.items.ids.tolist()) == {as_(1), as_(2), as_(2**64 - 1)}
    other = from_frame(
        pl.DataFrame({"user": short, "item": short}), schema=data.schema, items=data.items
    )
    assert other.facts["unknown_items"] == 1


@pytest.mark.parametrize(
    "ids",
    [[3, 1, 2], ["x", "z", "y"], [1.5, 0.5, 2.5], [np.int8(3), np.int8(1), np.int8(2)]],
    ids=["int", "text", "real", "small"],
)
def test_ids_of_any_type_come_back(ids: list[Any]) -> None:
    data = whole(pl.DataFrame({"user": ids, "item": ids[::-1]}))
    assert triples(data).keys() == set(zip(ids, ids[::-1], strict=True))
    again = Items.from_frame(data.items.to_frame())
    assert again.ids.tolist() == sorted(ids)
    assert again.digest() == data.items.digest()


def test_categories_are_texts_and_dates_are_ids() -> None:
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 1, 3), eager=True)
    data = whole(
        pl.DataFrame({"user": pl.Series(["b", "a", "b"], dtype=pl.Categorical), "item": days})
    )
    assert data.train.users.tolist() == ["a", "b"]
    assert len(data.items) == 3


def test_npz_gives_row_and_column_numbers(tmp_path: Path) -> None:
    matrix = csr_matrix(np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]]))
    save_npz(tmp_path / "x.npz", matrix)
    data = Data(
        str(tmp_path / "x.npz"), validation=0, test=0, interactions=Interactions(binary=False)
    ).open()
    assert triples(data) == {(0, 1): 2, (2, 0): 1, (2, 2): 3}


def test_a_folder_brings_its_own_parts(tmp_path: Path) -> None:
    csv(tmp_path, "user,item\n1,1\n1,2\n2,2\n", "train.csv")
    csv(tmp_path, "user\titem\n1\t3\n", "valid.tsv")
    frame((1, 4), (3, 9), columns="user item").write_parquet(tmp_path / "test.parquet")
    data = Data(str(tmp_path), interactions=Interactions()).open()
    assert triples(data, data.train).keys() == {(1, 1), (1, 2), (2, 2)}
    assert triples(data, data.validation) == triples(data, data.train)
    assert triples(data, data.validation, True).keys() == {(1, 3)}
    assert triples(data, data.test).keys() == {(1, 1), (1, 2), (2, 2), (1, 3)}
    assert triples(data, data.test, True).keys() == {(1, 4), (3, 9)}
    assert data.train.users.tolist() == [1, 2]
    assert data.test.users.tolist() == [1, 2, 3]  # 3 has an empty history, and stays
    assert data.items.ids.tolist() == [1, 2, 3, 4, 9]
    assert data.items.popularity.tolist() == [1, 2, 0, 0, 0]
    assert data.facts["users_without_training"] == 1
    assert triples(data).keys() == {(1, 1), (1, 2), (2, 2), (1, 3), (1, 4), (3, 9)}


def test_a_pair_belongs_to_the_first_part_that_has_it(tmp_path: Path) -> None:
    csv(tmp_path, "user,item,rating\n1,1,2\n1,1,3\n1,2,1\n", "train.csv")
    csv(tmp_path, "user,item,rating\n1,1,50\n1,3,1\n", "test.csv")
    data = Data(str(tmp_path), validation=0, interactions=Interactions(binary=False)).open()
    assert triples(data, data.train) == {(1, 1): 5, (1, 2): 1}
    assert triples(data, data.test, True) == {(1, 3): 1}
    assert data.facts["duplicates"] == 2
    assert data.validation is None


def test_validation_is_cut_from_a_given_training_part(tmp_path: Path) -> None:
    rows = some()
    rows[:300].write_parquet(tmp_path / "train.parquet")
    rows[300:].write_parquet(tmp_path / "test.parquet")
    data, fitted = (
        Data(str(tmp_path), validation=v, interactions=Interactions()).open() for v in (0.2, 0)
    )
    train, held = triples(data, data.train).keys(), triples(data, data.validation, True).keys()
    assert not train & held
    assert train | held == triples(fitted, fitted.train).keys() == triples(data, data.test).keys()
    per_user = data.validation.matrix.getnnz(1) + data.validation.targets.getnnz(1)
    assert np.array_equal(data.validation.targets.getnnz(1), np.rint(0.2 * per_user))
    assert fitted.validation is None
    line(
        Data(str(tmp_path), validation=5, interactions=Interactions()).open,
        "data.validation=5",
        "below 1",
        kind=ConfigError,
    )


# Titles


def test_titles_are_found_whatever_the_case(tmp_path: Path) -> None:
    csv(
        tmp_path,
        "ID,Item_Id,Title,YEAR,Genres\n0,9,Fargo,1996,Crime|Drama\n0,8,None,,\n0,9,Twice,1,x\n",
        "items.csv",
    )
    data = whole(LOG, items=str(tmp_path / "items.csv"))
    assert data.items.titles == ["7", "Fargo (1996)"]
    assert data.items.genres == ["", "Crime|Drama"]
    data.items.write(tmp_path / "run" / "items.parquet")
    again = Items.read(tmp_path / "run" / "items.parquet")
    assert (again.ids.tolist(), again.titles, again.genres) == (
        [7, 9],
        data.items.titles,
        data.items.genres,
    )
    assert again.popularity.tolist() == [2, 1]
    assert whole(LOG).items.titles is None


def test_the_further_columns_of_items_are_kept(tmp_path: Path) -> None:
    """Under their own names, numbers as numbers, in the run too."""
    csv(
        tmp_path,
        "item,title,genre,year,price,code,Popularity\n9,Fargo,Crime,1996,2.5,007,1\n7,x,,,3,a,2\n",
        "items.csv",
    )
    data = whole(LOG, items=str(tmp_path / "items.csv"))
    assert data.items.features.to_dict(as_series=False) == {
        "genre": [None, "Crime"],
        "year": [None, 1996],
        "price": [3.0, 2.5],
        "code": ["a", "007"],
    }
    data.items.write(tmp_path / "run" / "items.parquet")
    again = Items.read(tmp_path / "run" / "items.parquet")
    assert again.features.equals(data.items.features)
    frame = pl.DataFrame(
        {
            "item": [9],
            "title": ["nine"],
            "kind": pl.Series(["a"], dtype=pl.Categorical),
            "list": [[1]],
        }
    )
    found = from_frame(LOG, titles=frame, validation=0, test=0).items
    assert found.features.to_dict(as_series=False) == {"kind": [None, "a"]}
    assert found.to_frame().columns == ["item", "title", "popularity", "kind"]


def test_titles_from_a_frame_match_ids_of_another_type() -> None:
    titles = pl.DataFrame({"item": ["7", "9"], "title": ["seven", "nine"]})
    assert from_frame(LOG, titles=titles, validation=0, test=0).items.titles == ["seven", "nine"]
    small = pl.DataFrame({"item": pl.Series([9, 7], dtype=pl.Int16), "title": ["nine", None]})
    assert from_frame(LOG, titles=small, validation=0, test=0).items.titles == ["7", "nine"]


def test_bad_titles_and_catalogues(tmp_path: Path) -> None:
    line(lambda: whole(LOG, items="films.doc"), "films.doc", ".parquet")
    line(
        lambda: whole(LOG, items=str(tmp_path / "none.csv")),
        "data.interactions.items=",
        "none.csv",
        "no such file",
    )
    line(
        lambda: whole(LOG, items=csv(tmp_path, "hello", "y.parquet")),
        "y.parquet",
        "titles of items",
    )
    codes = csv(tmp_path, "user,item\na,01\nb,1\n", "codes.csv")
    titles = csv(tmp_path, "ITEM,title\n1,one\n01,other\n", "titles.csv")
    assert log_of(codes, items=titles).items.titles == ["other", "one"]
    line(
        lambda: whole(LOG, items=csv(tmp_path, "thing,title\n1,x\n")),
        "no column of items",
        "its columns: thing, title",
    )
    line(lambda: whole(LOG, items=csv(tmp_path, "item,tittle\n1,x\n")), "no column of titles")
    line(lambda: Items.from_frame(pl.DataFrame({"x": [1]})), "item", "x")
    line(lambda: Items.read(Path(csv(tmp_path, "hello", "x.parquet"))), "x.parquet")


# Cleaning


def test_rows_without_ids_are_dropped_and_counted() -> None:
    rows = frame(
        ("a", 1.0), (None, 1.0), ("b", None), ("b", float("nan")), ("b", 2.0), columns="user item"
    )
    data = whole(rows)
    assert triples(data).keys() == {("a", 1.0), ("b", 2.0)}
    assert (data.facts["read"], data.facts["missing_ids"], data.facts["kept"]) == (5, 3, 2)


def test_the_threshold_keeps_what_is_at_it() -> None:
    data = whole(LOG, threshold=4)
    assert triples(data) == {("a", 9): 1, ("a", 7): 1}
    assert data.facts["below_threshold"] == 1
    assert triples(whole(LOG, threshold=4, binary=False)) == {("a", 9): 5, ("a", 7): 4}


def test_duplicates_count_once_or_are_summed() -> None:
    rows = frame((1, 1, 2.0), (1, 2, 1.0), (1, 1, 3.0))
    assert triples(whole(rows)) == {(1, 1): 1, (1, 2): 1}
    data = whole(rows, binary=False)
    assert triples(data) == {(1, 1): 5, (1, 2): 1}
    assert data.facts["duplicates"] == 1
    assert triples(whole(rows.drop("rating"), binary=False)) == {
        (1, 1): 2,
        (1, 2): 1,
    }  # repetitions are counted


def test_zero_is_a_rating_but_no_weight() -> None:
    rows = frame((1, 1, 0.0), (1, 2, 1.0), (1, 3, 1e-50))  # the last is 0 in float32
    assert triples(whole(rows)) == {(1, 1): 1, (1, 2): 1, (1, 3): 1}
    data = whole(rows, binary=False)
    assert triples(data) == {(1, 2): 1}
    assert data.facts["zero_weights"] == 2
    assert data.items.ids.tolist() == [2]


def test_rare_items_go_first_then_rare_users_in_one_pass() -> None:
    # Item 3 has one user and goes; user c then has one item and goes; item 2 then has one user, and
    # stays.
    rows = frame(
        ("a", 1), ("b", 1), ("a", 2), ("c", 2), ("c", 3), ("b", 4), ("a", 4), columns="user item"
    )
    data = whole(rows, min_user_items=2, min_item_users=2)
    assert triples(data).keys() == {("a", 1), ("b", 1), ("a", 2), ("b", 4), ("a", 4)}
    assert (data.facts["rare_items"], data.facts["rare_users"]) == (1, 1)


def test_the_facts_are_one_line() -> None:
    data = whole(LOG, threshold=4)
    facts = {
        "read": 3,
        "missing_ids": 0,
        "below_threshold": 1,
        "duplicates": 0,
        "rare_items": 0,
        "rare_users": 0,
    }
    assert facts.items() <= data.facts.items()
    assert (
        data.facts["kept"],
        data.facts["users"],
        data.facts["items"],
        data.facts["density"],
    ) == (2, 1, 2, 1.0)
    text = described(data.facts)
    assert "\n" not in text
    assert "2 interactions of 1 users with 2 items" in text
    assert "1 below threshold" in text


BAD: dict[str, tuple[pl.DataFrame, dict[str, Any], list[str]]] = {
    "no user": (
        LOG.rename({"user": "usr"}),
        {},
        ["no column of users", "data.interactions.user=usr"],
    ),
    "no item": (LOG.rename({"item": "thing"}), {}, ["no column of items", "thing"]),
    "no alias for another name": (
        LOG.rename({"user": "user_id"}),
        {"user": "uid"},
        ["'uid'", "user_id"],
    ),
    "no rating": (LOG, {"rating": "stars"}, ["'stars'"]),
    "no time": (LOG, {"timestamp": "when", "split": "temporal"}, ["'when'"]),
    "negative": (frame((1, 1, -1.0), (1, 2, 1.0)), {}, ["1 ratings", "negative"]),
    "nan": (frame((1, 1, float("nan")), (1, 2, None)), {}, ["2 ratings", "NaN"]),
    "infinite": (frame((1, 1, float("inf"))), {"threshold": 1}, ["1 ratings", "infinite"]),
    "beyond float32": (
        frame((1, 1, 1e39), (1, 2, 1.0)),
        {"binary": False},
        ["1 ratings", "beyond float32", "1e+39", "3.4e+38"],
    ),
    "sums beyond float32": (
        frame((1, 1, 3e38), (1, 1, 3e38)),
        {"binary": False},
        ["sums", "beyond float32", "6e+38"],
    ),
    "sums beyond float64": (
        frame((1, 1, 1e308), (1, 1, 1e308)),
        {"binary": False},
        ["sums", "beyond float32", "inf"],
    ),
    "text rating": (frame((1, 1, "good")), {}, ["good", "numbers"]),
    "bytes": (pl.DataFrame({"user": [b"a"], "item": [1]}), {}, ["users", "Binary"]),
    "lists of times": (
        frame((1, 1, 1.0, [1, 2])),
        {"split": "temporal"},
        ["timestamps", "List(Int64)"],
    ),
    "a time is nan": (
        frame(
            (1, 1, 1.0, 5.0),
            (1, 2, 1.0, float("nan")),
            (1, 3, 1.0, float("inf")),
            (1, 4, 1.0, None),
        ),
        {"split": "temporal"},
        ["3 interactions without"],
    ),
    "lists": (pl.DataFrame({"user": [[1], [2]], "item": [1, 2]}), {}, ["users", "List"]),
    "empty": (LOG.clear(), {}, ["no interactions"]),
    "all low": (LOG, {"threshold": 9}, ["no interactions", "3 below threshold"]),
    "all rare": (LOG, {"min_user_items": 9}, ["no interactions", "2 rare users"]),
    "threshold of nothing": (
        LOG.drop("rating"),
        {"threshold": 3},
        ["no column of ratings", "data.interactions.threshold=3"],
    ),
    "no timestamps": (
        LOG.drop("timestamp"),
        {"split": "temporal"},
        ["no column of times", "data.interactions.timestamp"],
    ),
    "a time missing": (
        frame((1, 1, 1.0, 5), (1, 2, 1.0, None)),
        {"split": "temporal"},
        ["1 interactions without"],
    ),
    "text for a time": (
        frame((1, 1, 1.0, "soon"), (1, 2, 1.0, "2020-01-01")),
        {"split": "temporal"},
        ["'soon'", "dates"],
    ),
    "not given": (LOG, {"split": "given"}, ["train and test"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_logs_are_refused_in_one_line(name: str) -> None:
    rows, how, words = BAD[name]
    line(lambda: from_frame(rows, Interactions(**how)), *words, kind=LowerboundError)


def test_bad_sources_are_refused_in_one_line(tmp_path: Path) -> None:
    def of(path: Any) -> Callable[[], Any]:
        return Data(str(path), interactions=Interactions()).open

    line(of("movielens-10k"), "did you mean 'movielens-100k'")
    line(of(tmp_path / "none.csv"), "none.csv")
    line(of(csv(tmp_path, "x", "x.doc")), "x.doc", ".parquet")
    line(of(csv(tmp_path, "", "e.csv")), "e.csv")
    line(of(csv(tmp_path, "hello", "x.npz")), "x.npz")
    line(of(csv(tmp_path, "hello", "x.parquet")), "x.parquet")
    line(of(csv(tmp_path, 'user,item\n1,2,3\n4,5,"', "odd.csv")), "odd.csv")
    line(of(tmp_path), "e.csv", "empty")
    (tmp_path / "nothing").mkdir()
    line(of(tmp_path / "nothing"), "no files of a log")
    np.savez(tmp_path / "images.npz", images=np.zeros((3, 3)))
    line(of(tmp_path / "images.npz"), "images.npz")
    np.savez(
        tmp_path / "lies.npz", format=b"csr", data=[1.0], indices=[9], indptr=[0, 1], shape=[1, 2]
    )
    line(of(tmp_path / "lies.npz"), "lies.npz")
    np.savez(
        tmp_path / "pickle.npz",
        format=b"csr",
        data=np.array([{}]),
        indices=[0],
        indptr=[0, 1],
        shape=[1, 2],
    )
    line(of(tmp_path / "pickle.npz"), "pickle.npz")
    np.savez(
        tmp_path / "vast.npz",
        format=b"coo",
        data=[1.0],
        row=[10**13],
        col=[1],
        shape=[10**13 + 1, 10],
    )
    line(of(tmp_path / "vast.npz"), "vast.npz", "allocate")
    line(of("digits"), "digits", kind=ConfigError)
    line(lambda: from_frame([1, 2]), "frame")
    save_npz(tmp_path / "complex.npz", csr_matrix([[1j, 0], [0, 1j]]))
    line(of(tmp_path / "complex.npz"), "complex.npz", "complex numbers")


def test_what_is_no_regular_file_holds_no_interactions(tmp_path: Path) -> None:
    """Whoever opened a pipe would wait for ever; a device stands for it here."""
    for name in ("x.csv", "x.tsv", "x.parquet", "x.npz"):
        (tmp_path / name).symlink_to("/dev/null")
        line(
            Data(str(tmp_path / name), interactions=Interactions()).open,
            f"{name} is not a regular file",
        )
    line(lambda: Items.read(tmp_path / "x.parquet"), "x.parquet is not a regular file")


def test_dates_are_times() -> None:
    days = ["2020-03-01", "2020-01-01", "2020-02-01", "2020-04-01"]
    rows = pl.DataFrame({"user": [1] * 4, "item": [3, 1, 2, 4], "timestamp": days})
    dates = rows.with_columns(pl.col("timestamp").str.to_date())
    clock = rows.with_columns(pl.col("timestamp") + "T10:00:00Z")
    for some_rows in (rows, dates, clock):
        data = from_frame(some_rows, Interactions(split="leave-one-out"))
        assert triples(data, data.test, True).keys() == {(1, 4)}
        assert triples(data, data.validation, True).keys() == {(1, 3)}


# Splits


def notebook(rows: list[tuple[int, int]], seed: int, held: int, share: float) -> tuple[Any, ...]:
    """Liang et al.'s strong generalisation as their notebook goes about it: lists and a global
    stream, user after user. The rows of MovieLens-20M ascend by user and item.
    """
    users = sorted({u for u, _ in rows})
    np.random.seed(seed)  # noqa: NPY002
    users = [users[k] for k in np.random.permutation(len(users))]  # noqa: NPY002
    n = len(users)
    groups = set(users[: n - 2 * held]), set(users[n - 2 * held : n - held]), set(users[n - held :])
    train = [(u, i) for u, i in rows if u in groups[0]]
    known = {i for _, i in train}
    out: list[Any] = [set(train)]
    for group in groups[1:]:
        plays = [(u, i) for u, i in rows if u in group and i in known]
        seen, wanted = set(), set()
        np.random.seed(seed)  # noqa: NPY002
        for user in sorted({u for u, _ in plays}):
            own = [pair for pair in plays if pair[0] == user]
            chosen: list[int] = []
            if len(own) >= 5:
                size = int(share * len(own))
                places = np.random.choice(len(own), size=size, replace=False)  # noqa: NPY002
                chosen = places.astype("int64").tolist()
            wanted |= {own[k] for k in chosen}
            seen |= {pair for k, pair in enumerate(own) if k not in chosen}
        out += [seen, wanted]
    return tuple(out)


@pytest.mark.parametrize("seed", [0, 98765])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_strong_generalisation_is_that_of_the_notebook(seed: int, share: float) -> None:
    rows = some(60, 80, 360, seed)
    expected = notebook(sorted((u, i) for u, i, *_ in rows.rows()), seed, 9, share)
    data = from_frame(
        rows, Interactions(split="strong", fold_in=1 - share), validation=9, test=9, seed=seed
    )
    found = [triples(data, data.train)]
    for part in (data.validation, data.test):
        found += [triples(data, part), triples(data, part, True)]
    assert [set(f) for f in found] == list(expected)
    assert (len(data.train), len(data.validation), len(data.test)) == (42, 9, 9)
    assert any(data.test.targets.getnnz(1) == 0)
    assert set(data.items.ids.tolist()) == {i for _, i in expected[0]}


def test_items_of_held_out_users_alone_are_dropped_and_counted() -> None:
    rows = frame(
        *[(u, i) for u in range(10) for i in (0, 1, 2, 3, 4, 100 + u)], columns="user item"
    )
    data = from_frame(rows, validation=0.1, test=0.2)
    assert (len(data.train), len(data.validation), len(data.test)) == (7, 1, 2)
    assert len(data.items) == 5 + 7
    assert data.facts["items_of_held_out_users_only"] == data.facts["interactions_with_those"] == 3
    assert data.facts["kept"] == 57
    alone = from_frame(frame(*[(u, u) for u in range(10)], columns="user item"), test=0.2)
    assert (len(alone.test), alone.test.matrix.nnz, alone.test.targets.nnz) == (2, 0, 0)
    line(lambda: from_frame(rows, validation=5, test=5), "10 users", "at most 9")


def test_random_rounds_and_leaves_one() -> None:
    sizes = [1, 2, 3, 5, 10, 14]
    rows = pl.DataFrame(
        {"user": np.repeat(range(6), sizes), "item": np.concatenate([np.arange(s) for s in sizes])}
    )
    data = from_frame(rows, Interactions(split="random"), validation=0.2, test=0.3)
    assert data.test.targets.getnnz(1).tolist() == [0, 1, 1, 2, 3, 4]
    assert data.validation.targets.getnnz(1).tolist() == [0, 0, 1, 1, 2, 3]
    greedy = from_frame(rows, Interactions(split="random"), validation=0.9, test=0.9)
    assert greedy.train.matrix.getnnz(1).tolist() == [1] * 6
    line(
        lambda: from_frame(rows, Interactions(split="random"), test=3),
        "data.test=3",
        "'random'",
        kind=ConfigError,
    )


def test_leave_one_out_by_time() -> None:
    rows = frame((1, 1, 1, 9), (1, 2, 1, 3), (1, 3, 1, 9), (1, 4, 1, 1), (2, 1, 1, 1), (2, 2, 1, 2))
    how = Interactions(split="leave-one-out")
    data = from_frame(rows, how)
    # Of two at one time the one with the greater id is the last.
    assert triples(data, data.test, True).keys() == {(1, 3)}
    assert triples(data, data.validation, True).keys() == {(1, 1)}
    assert triples(data, data.train).keys() == {(1, 2), (1, 4), (2, 1), (2, 2)}
    assert triples(data, data.test).keys() == {(1, 1), (1, 2), (1, 4), (2, 1), (2, 2)}
    assert len(data.test) == 2  # user 2 stays, with nothing to be found
    only = from_frame(rows, how, validation=0)
    assert only.validation is None
    assert triples(only, only.test, True).keys() == {(1, 3)}
    other = from_frame(rows, how, test=0)
    assert triples(other, other.validation, True).keys() == {(1, 3)}


@pytest.mark.parametrize("split", ["leave-one-out", "temporal"])
def test_a_split_by_time_is_never_one_at_random(split: str) -> None:
    rows = some().drop("timestamp")
    line(lambda: from_frame(rows, Interactions(split=split)), split, "data.interactions.timestamp")


def test_repeated_pairs_have_the_earliest_time() -> None:
    rows = frame((1, 1, 1, 50), (1, 2, 1, 20), (1, 1, 1, 10), (1, 3, 1, 30))
    data = from_frame(rows, Interactions(split="leave-one-out"))
    assert triples(data, data.test, True).keys() == {(1, 3)}
    assert triples(data, data.validation, True).keys() == {(1, 2)}


def test_temporal_puts_ties_on_the_earlier_side() -> None:
    rows = pl.DataFrame(
        {"user": [0] * 10, "item": range(10), "timestamp": [0, 1, 2, 3, 4, 5, 6, 6, 8, 9]}
    )
    data = from_frame(rows, Interactions(split="temporal"), validation=0.2, test=0.3)
    # The cut before the last three is amid the two at 6: both go before it.
    assert triples(data, data.test, True).keys() == {(0, 8), (0, 9)}
    assert triples(data, data.validation, True).keys() == {(0, 5), (0, 6), (0, 7)}
    same = rows.with_columns(timestamp=7)
    line(lambda: from_frame(same, Interactions(split="temporal")), "validation", "same timestamp")
    line(
        lambda: from_frame(rows, Interactions(split="temporal"), validation=0.5, test=0.5),
        "data.validation=0.5 and data.test=0.5",
    )
    line(
        lambda: from_frame(rows, Interactions(split="temporal"), test=2),
        "data.test=2",
        kind=ConfigError,
    )


@given(st.integers(0, 10**6), st.sampled_from([5, 30, 1000]))
def test_temporal_leaks_nothing(seed: int, times: int) -> None:
    rows = some(seed=seed).with_columns(pl.col("timestamp") % times)
    data = from_frame(rows, Interactions(split="temporal"), validation=0.25, test=0.25)
    when = {(u, i): t for u, i, _, t in rows.rows()}
    latest = max(when[pair] for pair in triples(data, data.train))
    held = [when[pair] for pair in triples(data, data.validation, True)]
    tests = [when[pair] for pair in triples(data, data.test, True)]
    assert latest < min(held) <= max(held) < min(tests)
    assert all(when[pair] < min(tests) for pair in triples(data, data.test))


@given(st.integers(0, 10**6), st.sampled_from(SPLITS[1:]), st.booleans())
def test_every_split_is_whole_disjoint_and_repeatable(seed: int, split: str, binary: bool) -> None:
    rows = some(30, 12, 200, seed)
    how = Interactions(split=split, binary=binary)
    data = from_frame(rows, how, validation=0.2, test=0.2, seed=seed)
    everything = triples(data)
    known = {
        (u, i): 1.0 if binary else float(r) for u, i, r, _ in rows.rows() if i in data.items.ids
    }
    assert everything == known
    train, seen = triples(data, data.train), {}
    for name in ("validation", "test"):
        part = data.split(name)
        found = triples(data, part, True)
        assert not found.keys() & triples(data, part).keys()
        assert not found.keys() & train.keys()
        assert not found.keys() & seen.keys()
        seen |= found
        assert data.split("all").users[part.rows].tolist() == part.users.tolist()
        for matrix in (part.matrix, part.targets):
            assert matrix.has_canonical_format
            assert matrix.dtype == np.float32
    if split == "strong":
        seen |= triples(data, data.validation) | triples(data, data.test)
    assert train | seen == everything
    assert data.items.popularity.tolist() == data.train.matrix.getnnz(0).tolist()
    again = from_frame(rows, how, validation=0.2, test=0.2, seed=seed)
    assert again.fingerprint() == data.fingerprint()
    assert triples(again, again.test, True) == triples(data, data.test, True)


# History and Dataset


def test_a_batch_is_the_dense_rows_however_it_is_asked_for() -> None:
    train = whole(some(), binary=False).train
    dense = torch.from_numpy(train.matrix.toarray())
    for index in (
        torch.tensor([3, 0, 3]),
        np.array([5, -1]),
        slice(2, 9),
        slice(None),
        slice(0, 0),
        torch.tensor(4),
    ):
        batch = train.batch(index, key=7)
        rows = (
            dense[index] if isinstance(index, slice) else dense[torch.as_tensor(index).reshape(-1)]
        )
        assert torch.equal(batch.dense(), rows)
        assert batch.shape == rows.shape
        assert torch.equal(batch.counts, (rows > 0).sum(1))
    batch = train.batch(slice(None))
    batch.values.zero_()
    batch.columns.zero_()
    assert torch.equal(
        train.batch(slice(None)).dense(), dense
    )  # a batch shares no memory with the split


def test_take_keeps_users_rows_and_targets_together() -> None:
    test = from_frame(some(), Interactions(split="random")).test
    taken = test.take(torch.tensor([5, 2]))
    assert len(taken) == 2
    assert (taken.rows.tolist(), taken.users.tolist()) == (
        test.rows[[5, 2]].tolist(),
        test.users[[5, 2]].tolist(),
    )
    assert (
        (taken.matrix != test.matrix[[5, 2]]).nnz
        == (taken.targets != test.targets[[5, 2]]).nnz
        == 0
    )
    assert test.span() == (0.0, 1.0)
    assert whole(some(), binary=False).train.span() == (0.0, 5.0)
    assert whole(some()).train.take(slice(2)).targets is None
    assert (test.labels, test.draw, test.levels) == (None, "none", 2)


def test_digests_tell_contents_ids_and_targets_apart() -> None:
    data = from_frame(LOG, validation=0, test=0)
    assert data.train.digest() == from_frame(LOG, validation=0, test=0).train.digest()
    others = [
        LOG.with_columns(item=pl.col("item") + 1),
        LOG.with_columns(item=pl.format("0{}", "item")),
        LOG.with_columns(user=pl.col("user") + "x"),
        LOG[:2],
    ]
    prints = {
        from_frame(rows, validation=0, test=0).fingerprint()["sha256"] for rows in [LOG, *others]
    }
    assert len(prints) == 5
    test = from_frame(some(), Interactions(split="random")).test
    assert test.digest() != replace(test, targets=None).digest()
    seeds = [from_frame(some(), Interactions(split="random"), seed=s).fingerprint() for s in (0, 1)]
    assert seeds[0]["sha256"] != seeds[1]["sha256"]
    assert json.loads(json.dumps(seeds[0])) == seeds[0]
    assert (seeds[0]["interactions"], seeds[0]["items"], seeds[0]["train"]) == (400, 15, 40)


def test_moving_a_pair_between_given_parts_changes_the_fingerprint(tmp_path: Path) -> None:
    rows, prints = some(), []
    for cut in (300, 301):
        rows[:cut].write_parquet(tmp_path / "train.parquet")
        rows[cut:].write_parquet(tmp_path / "test.parquet")
        prints.append(
            Data(str(tmp_path), validation=0, interactions=Interactions())
            .open()
            .fingerprint()["sha256"]
        )
    assert prints[0] != prints[1]


# The recipe, and a run's catalogue


def test_the_table_goes_to_toml_and_back() -> None:
    how = Interactions(user="who", threshold=3.5, split="temporal")
    recipe = parse(
        {
            "data": {
                "source": "x.csv",
                "interactions": {"user": "who", "threshold": 3.5, "split": "temporal"},
            }
        }
    )
    assert recipe.data.interactions == how
    assert parse(tomllib.loads(recipe.to_toml())) == recipe
    assert "rating" not in tomllib.loads(tomli_w.dumps(recipe.describe()))["data"]["interactions"]
    plain = parse({"data": {"source": "digits"}})
    assert plain.data.interactions is None
    assert "interactions" not in plain.describe()["data"]
    assert plain.replace({"data.interactions.split": "random"}).data.interactions == Interactions(
        split="random"
    )
    assert recipe.replace({"data.interactions.fold_in": 0.5}).data.interactions == replace(
        how, fold_in=0.5
    )


def test_unknown_keys_and_bad_values_are_named() -> None:
    line(
        lambda: parse({"data": {"source": "x", "interactions": {"treshold": 3}}}),
        "data.interactions",
        "did you mean 'threshold'",
        kind=ConfigError,
    )
    for bad in (
        {"split": "weak"},
        {"fold_in": 1},
        {"fold_in": 0},
        {"min_user_items": 0},
        {"user": ""},
        {"threshold": float("nan")},
    ):
        with pytest.raises(ValidationError):
            TypeAdapter(Interactions).validate_python(bad)


@pytest.mark.parametrize(
    "option",
    [
        {"binarize": "static"},
        {"size": "4x4"},
        {"grey": True},
        {"standardize": True},
    ],
    ids=str,
)
def test_options_for_other_kinds_are_refused(option: dict[str, Any]) -> None:
    line(
        Data("synthetic-interactions", **option).open,
        f"data.{next(iter(option))}",
        kind=ConfigError,
    )


def test_a_run_reads_its_own_data_as_it_was_fitted() -> None:
    for split in SPLITS[1:]:
        how = Interactions(split=split, min_user_items=6, min_item_users=3)
        fitted = from_frame(some(), how, seed=4)
        again = from_frame(some(), how, seed=4, schema=fitted.schema, items=fitted.items)
        assert again.fingerprint() == fitted.fingerprint()
        assert again.items is fitted.items


def test_other_data_are_mapped_to_the_catalogue_of_the_run(tmp_path: Path) -> None:
    fitted = from_frame(
        frame(("a", "x"), ("a", "y"), ("b", "z"), columns="user item"), validation=0, test=0
    )
    path = csv(tmp_path, "user,item\nnew,y\nnew,w\nnobody,w\n")
    asked = Data(
        path, validation=0, test=0, interactions=Interactions(min_user_items=5, split="temporal")
    )
    other = asked.open(fitted.schema, fitted.items)
    assert other.train.users.tolist() == ["new", "nobody"]
    assert triples(other).keys() == {("new", "y")}
    assert (other.facts["unknown_items"], other.schema, other.items) == (
        1,
        fitted.schema,
        fitted.items,
    )
    assert other.test is None
    # A run on a named set has no table of its own; its schema tells how other data are to be read.
    assert triples(Data(path, validation=0, test=0).open(fitted.schema, fitted.items)) == triples(
        other
    )
    strange = csv(tmp_path, "user,item\n1,5\n", "strange.csv")
    line(lambda: Data(strange).open(fitted.schema, fitted.items), "strange.csv", "are 5,", "'x'")
    numbers = from_frame(frame((1, 5), (1, 6), columns="user item"), validation=0, test=0)
    texts = frame((1, "6"), columns="user item")
    assert triples(from_frame(texts, schema=numbers.schema, items=numbers.items)).keys() == {(1, 6)}


def test_rare_users_of_other_data_stay_whatever_their_catalogue(tmp_path: Path) -> None:
    """Two users with both items make the run's catalogue by its rules; the others are rare, or know
    nothing of it.
    """
    rows = "a,x,1\na,y,2\nb,x,3\nb,y,4\nrare,x,5\nnobody,w,6\n"
    path = csv(tmp_path, f"user,item,timestamp\n{rows}")
    for split in SPLITS[1:4]:
        asked = Data(
            path,
            validation=0,
            test=0,
            interactions=Interactions(min_user_items=2, min_item_users=2, split=split),
        )
        fitted = asked.open()
        assert fitted.whole.users.tolist() == ["a", "b"]
        assert (
            asked.open(fitted.schema, fitted.items).fingerprint() == fitted.fingerprint()
        )  # the run's own data again
        other = asked.open(fitted.schema, fitted.items, other=True)
        assert other.whole.users.tolist() == ["a", "b", "nobody", "rare"]
        assert triples(other).keys() == triples(fitted).keys() | {("rare", "x")}
        assert (other.facts["unknown_items"], other.items) == (1, fitted.items)
        assert f"1 items of {path} are not known to the run and were left out" in other.notes
        plain = replace(asked, interactions=Interactions(split=split))
        own = plain.open()
        assert plain.open(own.schema, own.items, other=True).fingerprint() == own.fingerprint()


def test_rows_of_other_data_without_ids_are_told_of_at_every_door(tmp_path: Path) -> None:
    fitted = from_frame(LOG, validation=0, test=0)
    path = csv(tmp_path, "user,item\nnew,7\nnew,\n,9\n")
    asked = Data(path, validation=0, test=0, interactions=Interactions())
    notes = asked.open(fitted.schema, fitted.items, other=True).notes
    assert notes == (f"2 rows of {path} without a user or an item were left out",)


def test_other_data_need_no_times(tmp_path: Path) -> None:
    fitted = from_frame(LOG, Interactions(split="temporal"), validation=0, test=0.3)
    path = csv(tmp_path, "user,item,timestamp\nnew,7,soon\nnew,9,\n")
    asked = Data(path, validation=0, test=0, interactions=Interactions(split="temporal"))
    assert len(triples(asked.open(fitted.schema, fitted.items, other=True))) == 2


def test_other_data_keep_the_parts_that_they_bring(tmp_path: Path) -> None:
    fitted = from_frame(some(), validation=0, test=0)
    csv(tmp_path, "user,item\n1,1\n1,2\n", "train.csv")
    csv(tmp_path, "user,item\n1,3\n1,99\n", "test.csv")
    other = Data(str(tmp_path), validation=0, test=0, interactions=Interactions()).open(
        fitted.schema, fitted.items
    )
    assert triples(other, other.test).keys() == {(1, 1), (1, 2)}
    assert triples(other, other.test, True).keys() == {(1, 3)}


def test_schemas_that_do_not_fit() -> None:
    images = Schema((1, 8, 8), "image", 17, 0.0, 1.0)
    line(lambda: from_frame(LOG, schema=images), "interactions", "image")
    line(
        lambda: from_frame(LOG, validation=0, test=0, schema=Schema((5,), "interactions", 2, 0, 1)),
        "2 items",
        "5",
        kind=ShapeError,
    )
    line(
        lambda: Data("digits").open(Schema((5,), "interactions", 2, 0, 1)),
        "digits",
        kind=ConfigError,
    )


# The named sets


def test_the_named_sets_are_listed() -> None:
    found = {name for name, entry in named_sets().items() if entry.kind == "interactions"}
    assert found == {
        "movielens-100k",
        "movielens-1m",
        "movielens-20m",
        "gowalla",
        "lastfm",
        "synthetic-interactions",
    }
    assert named_sets()["synthetic-interactions"].found() == "lowerbound"


def test_the_synthetic_set_is_what_it_says() -> None:
    data = Data("synthetic-interactions").open()
    everyone = data.split("all")
    counts = everyone.matrix.getnnz(1)
    assert everyone.matrix.shape == (2000, 500)
    assert (counts.min(), counts.max()) == (30, 60)
    assert data.items.titles[11] == "taste-3 item 1"
    assert data.items.genres[11] == "taste-3"
    assert (everyone.users[0], data.items.ids[11]) == ("user-0000", "item-011")
    np.testing.assert_allclose(tastes().sum(1), 1)
    assert data.fingerprint() == Data("synthetic-interactions").open().fingerprint()


def test_who_knows_the_tastes_beats_popularity() -> None:
    """Recall@20 of the held-out: by the tastes of each user's own items, against the most
    popular.
    """
    data = Data("synthetic-interactions").open()
    seen, wanted = data.test.matrix.toarray(), data.test.targets.toarray()
    mine = np.stack([seen[:, k::8].sum(1) for k in range(8)], 1) + 0.1
    scores = {
        "tastes": (mine / mine.sum(1, keepdims=True)) @ tastes(),
        "popular": data.items.popularity + np.zeros_like(seen),
    }
    recall = {}
    for name, score in scores.items():
        top = np.argsort(-np.where(seen > 0, -np.inf, score), 1)[:, :20]
        recall[name] = (
            np.take_along_axis(wanted, top, 1).sum(1) / np.minimum(20, wanted.sum(1))
        ).mean()
    assert recall["tastes"] > 1.5 * recall["popular"]


U_DATA = "1\t2\t5\t10\n1\t1\t4\t11\n2\t2\t1\t12\n"
U_ITEM = (
    "1|Caf\xe9 (1995)|01-Jan-1995||url|"
    + "|".join("010" + "0" * 16)
    + "\n2|B (1996)|||url|"
    + "|".join("1" + "0" * 18)
    + "\n"
)
DAT = "1::2::5::10\n1::1::4::11\n2::2::1::12\n"
MOVIES = "1::Caf\xe9 (1995)::Action\n2::Star Wars: B (1996)::Drama|War\n"


def test_the_publishers_files_of_movielens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fetch.VARIABLE, str(tmp_path))
    for folder, texts in {
        "ml-100k": {"u.data": U_DATA, "u.item": U_ITEM},
        "movielens-1m": {"ratings.dat": DAT, "movies.dat": MOVIES},
        "ml-20m": {
            "ratings.csv": "userId,movieId,rating,timestamp\n1,2,5,10\n1,1,4.5,11\n2,2,1.0,12\n",
            "movies.csv": "movieId,title,genres\n1,Caf\xe9 (1995),Action\n2,B (1996),x\n",
        },
    }.items():
        (tmp_path / folder).mkdir()
        for name, text in texts.items():
            (tmp_path / folder / name).write_text(
                text, encoding="utf-8" if name.endswith("csv") else "latin-1"
            )
    data = {
        size: Data(f"movielens-{size}", validation=0, test=0).open()
        for size in ("100k", "1m", "20m")
    }
    for found in data.values():
        assert triples(found).keys() == {(1, 2), (1, 1), (2, 2)}
        assert found.items.titles[0] == "Caf\xe9 (1995)"
        assert found.items.genres[0] == "Action"
    assert data["1m"].items.titles[1] == "Star Wars: B (1996)"
    assert data["1m"].items.genres[1] == "Drama|War"
    how = Interactions(threshold=4, binary=False)
    assert Data("movielens-1m", validation=0, test=0, interactions=how).open().schema.high == 5
    (tmp_path / "movielens-1m" / "movies.dat").write_text("1\n")
    line(Data("movielens-1m").open, "movies.dat", "line 1")


def _archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-100k/u.data", U_DATA)
        archive.writestr("ml-100k/u.item", U_ITEM.encode("latin-1"))
        archive.writestr("../evil", "x")


def test_an_archive_is_unpacked_once_and_only_what_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(fetch.VARIABLE, raising=False)
    monkeypatch.setattr(fetch, "cache", lambda: tmp_path / "cache")
    asked = []

    def retrieve(url: str, sha256: str, folder: Path, file: str) -> None:
        asked.append((url, sha256))
        folder.mkdir(parents=True)
        _archive(folder / file)

    monkeypatch.setattr(fetch, "_retrieve", retrieve)
    for _ in range(2):
        assert len(Data("movielens-100k", validation=0, test=0).open().train) == 2
    assert [(url.rpartition("/")[2], len(sha256)) for url, sha256 in asked] == [("ml-100k.zip", 64)]
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["u.data", "u.item"]

    def fail(*_: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(fetch, "_retrieve", fail)
    line(
        Data("movielens-1m").open,
        "ml-1m.zip",
        "no route",
        "movielens-1m/ratings.dat",
        "LOWERBOUND_DATA",
        kind=DownloadError,
    )
    line(Data("gowalla").open, "gowalla/train.parquet", kind=DownloadError)


def real(name: str) -> None:
    """Skip, unless the real set is here."""
    if not (Path(os.environ.get("LOWERBOUND_DATA", "nowhere")) / name).is_dir():
        pytest.skip(f"LOWERBOUND_DATA names no folder with {name}/")


def test_movielens_100k_is_whole() -> None:
    real("ml-100k")
    data = Data("movielens-100k", interactions=Interactions(split="temporal", binary=False)).open()
    assert (data.facts["kept"], data.facts["users"], data.facts["items"]) == (100_000, 943, 1682)
    assert data.items.titles[0] == "Toy Story (1995)"
    assert data.items.titles[data.items.ids.tolist().index(100)] == "Fargo (1996)"
    assert data.schema.high == 5
    strong = Data(
        "movielens-100k", seed=98765, interactions=Interactions(threshold=4, min_user_items=5)
    ).open()
    assert strong.facts["below_threshold"] == 44_625


def test_gowalla_is_whole_and_its_batches_are_fast() -> None:
    real("gowalla")
    data = Data("gowalla", validation=0).open()
    assert (len(data.train), len(data.items)) == (29_858, 40_981)
    assert (data.train.matrix.nnz, data.test.targets.nnz) == (810_128, 217_242)
    assert (data.test.matrix != data.train.matrix).nnz == 0
    batch = data.train.batch(torch.arange(500))
    assert torch.equal(batch.counts, torch.from_numpy(data.train.matrix.getnnz(1)[:500]).long())


def test_lastfm_keeps_users_and_items_that_training_lacks() -> None:
    real("lastfm")
    data = Data("lastfm", validation=0).open()
    assert (len(data.train), len(data.test), len(data.items)) == (1878, 1880, 4489)
    assert (data.items.popularity == 0).sum() == 13
    assert data.facts["users_without_training"] == 2
