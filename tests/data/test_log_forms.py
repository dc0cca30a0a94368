"""Logs in the forms in which people have them, each read to the same interactions.

Every form is a tiny file that is written here as the tool or the publisher writes it.
"""
# ruff: noqa: E501 - a form is one line here as it is in the file, and so is a message

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from lowerbound.data import Data, Dataset, Interactions
from lowerbound.data.describing import describe
from lowerbound.data.files.arrow import scan_arrow
from lowerbound.data.files.zstd import most_unpacked
from lowerbound.data.interactions.dataset import described
from lowerbound.data.interactions.folders import LogFile, list_files
from lowerbound.data.interactions.origin import find_files
from lowerbound.errors import ConfigError, DataError

RNG = np.random.default_rng(0)

ROWS = [
    (user, 100 + int(item), int(RNG.integers(1, 6)), 978300000 + 86400 * place + 1000 * user)
    for user in (11, 12, 13, 14)
    for place, item in enumerate(RNG.permutation(9)[:4])
]
"""User, item, rating, and time; the last item of a user in the log is its last by time."""

KINDS = {1: "view", 2: "addtocart", 3: "view", 4: "transaction", 5: "view"}
"""The kinds of events in place of the ratings."""

WEIGHTS = {"view": 1.0, "addtocart": 3.0, "transaction": 5.0}


def lines(template: str, header: str = "", end: str = "\n") -> str:
    """Writes a line for each row by a template with the names u, i, r, t, d (a date), and k (a
    kind).
    """
    written = [header] if header else []
    for user, item, rating, time in ROWS:
        moment = datetime.fromtimestamp(time, UTC)
        values = {"u": user, "i": item, "r": rating, "t": time, "d": moment, "k": KINDS[rating]}
        written.append(template.format(**values))
    return end.join(written) + end


def text(name: str, *arguments: str, encoding: str = "utf-8", **more: str) -> Any:
    """Makes a function that writes `lines` to a file; `.gz` compresses them."""

    def make(folder: Path) -> Path:
        content = lines(*arguments, **more).encode(encoding)
        if name.endswith(".gz"):
            content = gzip.compress(content)
        (folder / name).write_bytes(content)
        return folder / name

    return make


def frame(**names: str) -> pl.DataFrame:
    """Returns the log with these names of columns, for user, item, rating and time."""
    columns = {"user": 0, "item": 1, "rating": 2, "timestamp": 3}
    found = {names.get(key, key): [row[at] for row in ROWS] for key, at in columns.items()}
    return pl.DataFrame(found)


def zst(folder: Path) -> Path:
    path = folder / "plays.csv.zst"
    frame().lazy().sink_csv(path, compression="zstd")
    return path


def feather(folder: Path) -> Path:
    frame().write_ipc(folder / "log.feather", compression="zstd")
    return folder / "log.feather"


def stream(folder: Path) -> Path:
    frame().write_ipc_stream(folder / "data-00000-of-00001.arrow", compression="lz4")
    return folder / "data-00000-of-00001.arrow"


def hive(folder: Path) -> Path:
    """Parts by day, as Spark and Hive write them: the day is in no file."""
    days = frame().with_columns(date=pl.from_epoch("timestamp").dt.strftime("%Y-%m-%d"))
    for (day,), rows in days.group_by("date"):
        below = folder / "plays" / f"date={day}"
        below.mkdir(parents=True)
        rows.drop("date", "timestamp").write_parquet(below / "part-0.snappy.parquet")
    (folder / "plays" / "_SUCCESS").touch()
    return folder / "plays"


def pattern(folder: Path) -> str:
    """Two files of the log, one with other types, beside a file that is none of it."""
    first, second = frame()[:7], frame()[7:]
    first.write_parquet(folder / "plays-1.parquet")
    second.cast({"user": pl.String, "rating": pl.Int8}).write_parquet(folder / "plays-2.parquet")
    pl.DataFrame({"item": [1], "title": ["x"]}).write_parquet(folder / "items.parquet")
    return str(folder / "plays-*.parquet")


def spark_csv(folder: Path) -> Path:
    """Spark's CSV: a line of names in each part, marks of what is done, and checksums."""
    for number, rows in enumerate((frame()[:5], frame()[5:])):
        rows.write_csv(folder / f"part-0000{number}-77aa-c000.csv")
        (folder / f".part-0000{number}-77aa-c000.csv.crc").touch()
    (folder / "_SUCCESS").touch()
    return folder


def array(folder: Path) -> Path:
    (folder / "log.json").write_text(json.dumps(frame().to_dicts(), indent=1))
    return folder / "log.json"


def texts_alone(folder: Path) -> Path:
    """A CSV that somebody has made a Parquet file of without any types."""
    frame().cast(pl.String).write_parquet(folder / "log.parquet")
    return folder / "log.parquet"


def matrix(folder: Path) -> csr_matrix:
    users, items, ratings, _ = np.array(ROWS).T
    return csr_matrix((ratings, (users, items)))


@dataclass(frozen=True)
class LogForm:
    """A form of a log.

    Attributes:
        make: writes it into a folder, and returns the source.
        data: the keys of [data].
        how: the keys of [data.interactions].
        lacks: what the form does not hold: "ratings", "times".
        notes: words of the notes.
    """

    make: Callable[[Path], Any]
    data: dict[str, Any] = field(default_factory=dict)
    how: dict[str, Any] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


BY_DAY = {"time_format": "%m/%d/%y"}
PLACES = ["user", "item", "category", "behavior", "timestamp"]

FORMS = {
    "MovieLens-1M's `ratings.dat`: `::` between fields, no header": LogForm(text("ratings.dat", "{u}::{i}::{r}::{t}"), notes=("'::'", "places")),
    "MovieLens-100K's `u.data`: tabs, no header": LogForm(text("u.data", "{u}\t{i}\t{r}\t{t}"), notes=("places",)),
    "MovieLens-25M's `ratings.csv`: `userId,movieId,rating,timestamp`": LogForm(text("ratings.csv", "{u},{i},{r}.0,{t}", "userId,movieId,rating,timestamp")),
    r"`\|\|` between fields, no header": LogForm(text("log.txt", "{u}||{i}||{r}||{t}"), notes=("'||'",)),
    r"`\|~\|` between fields": LogForm(
        text("log.txt", "{u}|~|{i}|~|{r}|~|{t}", "user|~|item|~|rating|~|timestamp"),
        {"separator": "|~|"},
    ),
    "Book-Crossing: semicolons, quotation marks, Latin-1, `User-ID`, `ISBN`, `Book-Rating`": LogForm(
        text("BX.csv", '"{u}";"{i}";"{r}";"Café"', '"User-ID";"ISBN";"Book-Rating";"Café"', encoding="latin-1"),
        lacks=("times",),
        notes=("cp1252", "ratings from 'Book-Rating'"),
    ),
    "Last.fm 360K: tabs, no header, a column of names between the others": LogForm(
        text("plays.tsv", "{u}\t{i}\tThe {i}\t{r}"),
        {"columns": ["user", "artid", "artname", "plays"]},
        {"item": "artid"},
        lacks=("times",),
        notes=("ratings from 'plays'",),
    ),
    "Gowalla's check-ins: five columns without a header": LogForm(
        text("checkins.txt", "{u}\t{d:%Y-%m-%dT%H:%M:%SZ}\t30.2\t-97.7\t{i}"),
        how={"user": "1", "timestamp": "2", "item": "5"},
        lacks=("ratings",),
    ),
    "a CSV in `.gz`": LogForm(text("log.csv.gz", "{u},{i},{r},{t}", "user,item,rating,timestamp")),
    "a CSV in `.zst`": LogForm(zst),
    "Amazon's reviews: lines of JSON in `.json.gz`, with lists among the values": LogForm(
        text(
            "reviews.json.gz",
            '{{"reviewerID": "{u}", "asin": "{i}", "helpful": [0, 0], "overall": {r}.0, "unixReviewTime": {t}}}',
        ),
        notes=("items from 'asin'",),
    ),
    "lines of JSON (`.jsonl`, `.ndjson`), ratings as texts": LogForm(
        text("log.ndjson", '{{"user_id": {u}, "business_id": "{i}", "stars": "{r}", "date": "{d:%Y-%m-%d %H:%M}"}}')
    ),
    "one array of JSON objects (`.json`)": LogForm(array),
    "Feather, or Arrow IPC": LogForm(feather),
    "a stream of Arrow IPC, as Hugging Face's `datasets` writes it (`.arrow`)": LogForm(stream),
    "a folder of Parquet parts in partitions (`date=2024-01-31/part-0.parquet`)": LogForm(hive, notes=("columns from the names of folders: date",)),
    "some files of a folder, of different types: `plays-*.parquet`": LogForm(pattern, notes=("2 files, plays-1.parquet to plays-2.parquet",)),
    "a folder of CSV parts as Spark writes it, with `_SUCCESS` and checksums": LogForm(spark_csv, notes=("2 files, part-00000-77aa-c000.csv",)),
    "Parquet in which everything is a text": LogForm(texts_alone),
    "names in capital letters, with blanks around them and around the values": LogForm(
        text("LOG.CSV", "{u}, {i} ,{r} , {t}", " USER_ID , ITEM , RATING,  TimeStamp "),
    ),
    "RetailRocket's `events.csv`: view, addtocart, transaction": LogForm(
        text("events.csv", "{t}000,{u},{k},{i},", "timestamp,visitorid,event,itemid,transactionid"),
        how={"events": WEIGHTS},
        notes=("rows by kind of event: view", "(weight 3)"),
    ),
    "Taobao's `UserBehavior.csv`: kinds of events, no header": LogForm(
        text("UserBehavior.csv", "{u},{i},7,{k},{t}"),
        {"columns": PLACES},
        {"events": WEIGHTS},
    ),
    "decimal commas, semicolons": LogForm(
        text("log.csv", "{u};{i};{r},0;{t}", "user;item;rating;time"), notes=("','",)
    ),
    "`1.234,50`": LogForm(
        text("log.csv", "{u};{i};{r}.000,00;{t}", "user;item;plays;time"),
        notes=("numbers written as 1.234,5",),
    ),
    "dates of two digits for the year (`01/31/20`), names of two words": LogForm(
        text("log.csv", "{u},{i},{r},{d:%m/%d/%y}", "Customer ID,Product ID,Rating,Order Date"), how=BY_DAY
    ),
    "blanks between fields, a comment above, lines that end in CR LF": LogForm(
        text("log.txt", "{u} {i} {r} {t}", "# exported\nuser item rating timestamp", end="\r\n")
    ),
    "a pandas frame": LogForm(
        lambda folder: pd.DataFrame(frame(user="customer_id", item="sku").to_dict(as_series=False))
    ),
    "a Polars frame, eager or lazy": LogForm(lambda folder: frame(user="uid").lazy()),
    "a CSR matrix of users x items": LogForm(matrix, lacks=("times",)),
}  # fmt: skip


def keys_of(form: LogForm) -> str:
    """Writes the keys of a form as one sets them."""
    tables = (("data", form.data), ("data.interactions", form.how))
    written = []
    for table, keys in tables:
        for key, value in keys.items():
            text = json.dumps(value).replace("|", "\\|")
            if isinstance(value, dict):
                text = "{" + ", ".join(f"{kind}={weight:g}" for kind, weight in value.items()) + "}"
            written.append(f"`{table}.{key}={text}`")
    return ", ".join(written)


def test_the_page_has_these_forms() -> None:
    """The table of logs is this one."""
    page = Path(__file__).parents[2] / "docs" / "data.md"
    rows = [f"| {name} | {keys_of(form)} |".replace("|  |", "| |") for name, form in FORMS.items()]
    assert "\n".join(["| you have | keys |", "|---|---|", *rows]) in page.read_text()


def opened(form: LogForm, folder: Path, **more: Any) -> Dataset:
    source = form.make(folder)
    how = Interactions(**form.how, **more.pop("how", {}))
    options = {"validation": 0, "test": 0} | more | form.data
    if isinstance(source, str | Path):
        return Data(str(source), interactions=how, **options).open()
    return Data("<memory>", interactions=how, **options).open(source=source)


def weights_of(data: Dataset) -> dict[tuple[Any, Any], float]:
    """The weight of each pair, by the users' and items' own ids."""
    entries = data.whole.matrix.tocoo()
    users = data.whole.users[entries.row].tolist()
    items = data.items.ids[entries.col].tolist()
    return dict(zip(zip(users, items, strict=True), entries.data.tolist(), strict=True))


def expected_weights(form: LogForm) -> dict[tuple[int, int], float]:
    if "ratings" in form.lacks:
        return {(user, item): 1.0 for user, item, _, _ in ROWS}
    if "events" in form.how:
        return {(user, item): WEIGHTS[KINDS[rating]] for user, item, rating, _ in ROWS}
    scale = 1000.0 if form is FORMS["`1.234,50`"] else 1.0
    return {(user, item): scale * rating for user, item, rating, _ in ROWS}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_holds_the_same_interactions(name: str, tmp_path: Path) -> None:
    form = FORMS[name]
    data = opened(form, tmp_path, how={"binary": False})
    assert weights_of(data) == expected_weights(form)
    assert data.facts["read"] == len(ROWS)
    said = " ".join(data.notes)
    for words in form.notes:
        assert words in said
    if "times" not in form.lacks:
        (tmp_path / "again").mkdir()
        by_time = opened(form, tmp_path / "again", how={"split": "leave-one-out"}, test=1)
        targets = by_time.test.targets.tocoo()
        users = by_time.test.users[targets.row].tolist()
        found = dict(zip(users, by_time.items.ids[targets.col].tolist(), strict=True))
        assert found == {user: item for user, item, _, _ in ROWS}


# What is not read as it stands


@pytest.mark.parametrize("name", ["plays.csv", "plays.jsonl"])
def test_a_small_file_of_zstd_that_claims_much_is_not_unpacked(tmp_path: Path, name: str) -> None:
    """Blocks of one repeated byte: 4 bytes each, and 128 KiB of text."""
    block = ((2**17 << 3) | 1 << 1).to_bytes(3, "little") + b"1"
    last = ((0 << 3) | 1).to_bytes(3, "little")
    header = b"\x28\xb5\x2f\xfd" + bytes([0, 0x58])
    path = tmp_path / f"{name}.zst"
    path.write_bytes(header + 600 * block + last)
    assert most_unpacked(path) == 600 * 2**17
    with pytest.raises(DataError, match="may unpack to more than 67108864 bytes"):
        Data(str(path), interactions=Interactions()).open()


def test_what_zstd_unpacks_to_is_known_before(tmp_path: Path) -> None:
    lines = pl.DataFrame({"x": np.random.default_rng(0).integers(0, 10**9, 100_000)})
    lines.lazy().sink_csv(tmp_path / "x.csv")
    lines.lazy().sink_csv(tmp_path / "x.csv.zst", compression="zstd")
    held = (tmp_path / "x.csv").stat().st_size
    # Only the last block of a frame is not full.
    assert held <= most_unpacked(tmp_path / "x.csv.zst") < held + 2**18


@pytest.mark.parametrize("make", [feather, stream], ids=["file", "stream"])
def test_damaged_files_of_arrow_are_refused(tmp_path: Path, make: Any) -> None:
    path = make(tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(25):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 6):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        with suppress(DataError):  # and no other error
            Data(str(path), validation=0, test=0, interactions=Interactions()).open()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        Data(str(path), interactions=Interactions()).open()


def test_a_buffer_of_arrow_that_claims_much_is_not_allocated(tmp_path: Path) -> None:
    """The first 8 bytes of a compressed buffer say how large it is."""
    rows = pl.DataFrame({"user": np.arange(5000), "item": np.arange(5000)})
    path = tmp_path / "x.feather"
    rows.write_ipc(path, compression="zstd")
    content = path.read_bytes()
    claim = (8 * 5000).to_bytes(8, "little")
    assert claim in content
    assert scan_arrow(path).collect().equals(rows)
    path.write_bytes(content.replace(claim, (2**40).to_bytes(8, "little"), 1))
    with pytest.raises(DataError, match=r"claims 109951\d+ bytes of values"):
        scan_arrow(path)


# Folders


def listed(folder: Path) -> list[str]:
    return [file.path.relative_to(folder).as_posix() for file in list_files(folder).parts[0]]


def test_pieces_stand_in_natural_order_and_marks_of_tools_are_passed_over(tmp_path: Path) -> None:
    for name in (
        "d=2/p_10.csv",
        "d=2/p_9.csv",
        "d=10/p.csv",
        "_temporary/p.csv",
        ".x.csv",
        "README",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert listed(tmp_path) == ["d=2/p_9.csv", "d=2/p_10.csv", "d=10/p.csv"]
    assert list_files(tmp_path).parts[0][0] == LogFile(tmp_path / "d=2" / "p_9.csv", {"d": "2"})
    assert "passed over: 1 (README)" in list_files(tmp_path).notes[1]


def test_partitions_without_a_value_and_with_marks(tmp_path: Path) -> None:
    for name, item in (("user=a%20b", 1), ("user=__HIVE_DEFAULT_PARTITION__", 2)):
        (tmp_path / name).mkdir()
        pl.DataFrame({"item": [item]}).write_parquet(tmp_path / name / "0.parquet")
    data = Data(str(tmp_path), validation=0, test=0, interactions=Interactions()).open()
    assert weights_of(data) == {("a b", 1): 1.0}
    assert data.facts["missing_ids"] == 1


def test_a_time_in_a_file_is_surer_than_the_day_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "date=2024-01-31").mkdir()
    rows = pl.DataFrame({"user": [1, 1], "item": [7, 8], "event_time": [20, 10]})
    rows.write_parquet(tmp_path / "date=2024-01-31" / "0.parquet")
    how = Interactions(split="leave-one-out")
    data = Data(str(tmp_path), validation=0, test=1, interactions=how).open()
    assert "times from 'event_time'" in " ".join(data.notes)


def test_parts_of_several_files(tmp_path: Path) -> None:
    """As Hugging Face writes them, and folders of pieces."""
    for number, rows in enumerate((frame()[:6], frame()[6:12])):
        rows.write_parquet(tmp_path / f"train-0000{number}-of-00002.parquet")
    (tmp_path / "test").mkdir()
    frame()[12:].write_csv(tmp_path / "test" / "part-0.csv")
    data = Data(str(tmp_path), validation=0, interactions=Interactions()).open()
    assert data.train.matrix.nnz == 12
    assert data.test.targets.nnz == 4


def csvs(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content)
    return folder


WRONG_FOLDERS = {
    "two tables": (
        {"movies": "movieId,title\n1,x\n", "ratings": "userId,movieId\n1,1\n"},
        "HERE holds files of different columns: movies.csv lacks 'userId', which ratings.csv has; allowed: files of one log. Give one file, such as HERE/ratings.csv, a pattern of paths, or the columns to read by data.columns",
    ),
    "names in one of two": (
        {"a": "user,item\n1,2\n", "b": "1,2\n3,4\n"},
        "HERE holds files with a line of names and some without one, such as a.csv and b.csv; data.header=true or false says which they are",
    ),
    "no test": (
        {"train": "user,item\n1,2\n"},
        "HERE holds no train and test (and perhaps valid) files; allowed: each as .csv, .tsv, .txt, .dat, .data, .tab, .jsonl, .ndjson, .json (also with .gz, .zst), .parquet, .feather, .arrow, .ipc, .npz, or files of one log, none of which is called as a part",
    ),
}


@pytest.mark.parametrize("name", WRONG_FOLDERS)
def test_folders_that_are_no_log(tmp_path: Path, name: str) -> None:
    files, line = WRONG_FOLDERS[name]
    folder = csvs(tmp_path / "plays", **files)
    with pytest.raises(DataError) as caught:
        Data(str(folder), interactions=Interactions()).open()
    assert str(caught.value).replace(str(folder), "HERE") == line


def test_what_is_no_table_is_described_as_a_log_with_its_problem(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"session": 1, "aid": [1, 2]}\n')
    found = describe(tmp_path / "x.jsonl")
    assert "data.interactions.user=session" in (found.problem or "")
    folder = csvs(tmp_path / "plays", a="1,2\n3,4\n", b="5,6\n7,8\n")
    found = describe(folder)
    assert (found.kind, found.count, found.problem) == ("interactions", 4, None)
    tables = csvs(tmp_path / "tables", a="x,y\n3,4\n", b="x,y\n7,8\n")
    assert "from a folder logs of these alone are read" in (describe(tables).problem or "")
    with pytest.raises(DataError, match="holds files of different columns"):
        describe(csvs(tmp_path / "two", a="user,item\n3,4\n", b="x,y\n7,8\n"))


def test_the_folder_of_a_delta_table_is_refused(tmp_path: Path) -> None:
    frame().write_parquet(tmp_path / "part-0.parquet")
    (tmp_path / "_delta_log").mkdir()
    with pytest.raises(DataError, match="is a table of Delta Lake, which may keep the files of"):
        Data(str(tmp_path), interactions=Interactions()).open()


# Kinds of events


EVENTS = """who,what,action
1,7,View
1,7, addtocart
1,8,view
2,7,transaction
2,9,hover
2,8,
3,9,hover
"""


def events(folder: Path, **how: Any) -> Dataset:
    (folder / "events.csv").write_text(EVENTS)
    how = {"user": "who", "item": "what"} | how
    path = str(folder / "events.csv")
    return Data(path, validation=0, test=0, interactions=Interactions(**how)).open()


def test_events_weigh_what_the_recipe_says_and_others_are_counted(tmp_path: Path) -> None:
    data = events(tmp_path, events=WEIGHTS)
    assert weights_of(data) == {(1, 7): 4.0, (1, 8): 1.0, (2, 7): 5.0}
    assert data.schema.levels is None
    assert data.facts["other_events"] == 3
    assert "; 3 other events" in described(data.facts)
    assert (
        "rows by kind of event: view 2 (weight 1), addtocart 1 (weight 3), transaction 1 (weight 5)"
        "; dropped: 'hover' 2, '' 1 (data.interactions.events)"
    ) in data.notes
    bought = events(tmp_path, events={"Transaction": 1, "addtocart": 1})
    assert weights_of(bought) == {(1, 7): 1.0, (2, 7): 1.0}
    assert bought.schema.levels == 2
    heavy = events(tmp_path, events=WEIGHTS, threshold=3)
    assert weights_of(heavy) == {(1, 7): 3.0, (2, 7): 5.0}
    assert heavy.facts["below_threshold"] == 2
    by_name = events(tmp_path, events={"7": 2}, event="what")
    assert weights_of(by_name) == {(1, 7): 4.0, (2, 7): 2.0}


def test_events_that_nobody_has_weighed_are_told_of(tmp_path: Path) -> None:
    data = events(tmp_path)
    assert len(weights_of(data)) == 6
    assert any("all kinds of events in 'action' count alike" in note for note in data.notes)


# Ratings


def rated(
    folder: Path, ratings: list[Any], data: dict[str, Any] | None = None, **how: Any
) -> Dataset:
    rows = "".join(f"1;{item};{rating}\n" for item, rating in enumerate(ratings))
    (folder / "r.csv").write_text(f"user;item;rating\n{rows}")
    options = {"validation": 0, "test": 0} | (data or {})
    return Data(str(folder / "r.csv"), interactions=Interactions(**how), **options).open()


def test_negative_ratings_below_the_threshold_are_dropped(tmp_path: Path) -> None:
    data = rated(tmp_path, [-7.5, 0, 3.25, 9, -0.1], threshold=0, binary=False)
    assert weights_of(data) == {(1, 2): 3.25, (1, 3): 9.0}
    assert data.facts["below_threshold"] == 2
    with pytest.raises(DataError, match="has 1 ratings that are missing, negative"):
        rated(tmp_path, [-7.5, 3], binary=False)
    with pytest.raises(DataError, match="has 2 ratings that are missing, negative, NaN"):
        rated(tmp_path, [-1, 3, "nan", ""], threshold=0)


@pytest.mark.parametrize(
    ("ratings", "data", "expected"),
    [
        (["1.234", "12"], {}, [1.234, 12.0]),
        (["1.234", "12"], {"decimal": ","}, [1234.0, 12.0]),
        (["1,234", "12,5"], {}, [1.234, 12.5]),
        (["1,234", "2,345"], {"decimal": "."}, [1234.0, 2345.0]),
        (["1,234,567", "12"], {}, [1234567.0, 12.0]),
        (["1.234,5", "12,25"], {}, [1234.5, 12.25]),
        (["1 234", "12"], {}, [1234.0, 12.0]),
        (["4,5", "3"], {}, [4.5, 3.0]),
    ],
)
def test_marks_of_numbers(
    tmp_path: Path, ratings: list[str], data: dict[str, Any], expected: list[float]
) -> None:
    found = weights_of(rated(tmp_path, ratings, data, binary=False))
    assert list(found.values()) == pytest.approx(expected)


def test_a_mark_that_may_be_either_is_asked_for(tmp_path: Path) -> None:
    pl.DataFrame({"user": [1, 1], "item": [1, 2], "rating": ["1,234", "2,345"]}).write_parquet(
        tmp_path / "r.parquet"
    )
    with pytest.raises(DataError) as caught:
        Data(str(tmp_path / "r.parquet"), interactions=Interactions(binary=False)).open()
    assert (
        "has ratings such as '1,234', whose mark may stand between thousands or be the decimal mark"
        "; data.decimal='.' or ',' says which mark is the decimal one"
    ) in str(caught.value)
    how = Interactions(binary=False)
    for decimal, ratings in ((",", [1.234, 2.345]), (".", [1234, 2345])):
        path = str(tmp_path / "r.parquet")
        data = Data(path, validation=0, test=0, decimal=decimal, interactions=how).open()
        assert list(weights_of(data).values()) == pytest.approx(ratings)


# Columns


def columns_of(
    folder: Path, header: str, data: dict[str, Any] | None = None, **how: Any
) -> Dataset:
    rows = "7,8,9,2020-01-31\n7,9,2,2020-01-30\n"
    (folder / "log.csv").write_text(f"{header}\n{rows}" if header else rows)
    options = {"validation": 0, "test": 0} | (data or {})
    path = str(folder / "log.csv")
    return Data(path, interactions=Interactions(**how), **options).open()


WRONG_COLUMNS = {
    "all at once": (
        ("wer,was,wert,wann", {}, {"threshold": 3, "split": "temporal"}),
        "HERE has no column of users and no column of items and no column of ratings, which data.interactions.threshold=3 needs, and no column of times, which data.interactions.split=temporal needs; name what is there by data.interactions.user=COLUMN, data.interactions.item=COLUMN, data.interactions.rating=COLUMN, data.interactions.timestamp=COLUMN (its columns: wer, was, wert, wann); if its first line is no header, set data.header=false",
    ),
    "events": (
        ("user,item,a,b", {}, {"events": {"view": 1}}),
        "HERE has no column of events, which data.interactions.events needs; name what is there by data.interactions.event=COLUMN (its columns: user, item, a, b)",
    ),
    "no such events": (
        ("user,item,event,b", {}, {"events": {"view": 1}}),
        "HERE has no events of the kinds 'view', which data.interactions.events weighs; its kinds: '2', '9'",
    ),
    "names of too few": (
        ("", {"columns": ["user", "item"]}, {}),
        "HERE has no line of names and 4 columns, and data.columns names 2; allowed: one name for each, in their order",
    ),
    "other names than there are": (
        ("userId,movieId,rating,time", {"columns": ["user", "item", "rating", "time"]}, {}),
        "HERE has no columns 'user', 'item', which data.columns names; what each of its own is, data.interactions.user, .item and so on say; if its first line holds values, set data.header=false (its columns: userId, movieId, rating, time)",
    ),
}


@pytest.mark.parametrize("name", WRONG_COLUMNS)
def test_columns_that_are_missing(tmp_path: Path, name: str) -> None:
    (header, data, how), line = WRONG_COLUMNS[name]
    with pytest.raises(DataError) as caught:
        columns_of(tmp_path, header, data, **how)
    assert str(caught.value).replace(str(tmp_path / "log.csv"), "HERE") == line


def test_columns_may_be_chosen_as_those_of_a_table(tmp_path: Path) -> None:
    header = "artist,user,track_id,time"
    assert weights_of(columns_of(tmp_path, header)) == {(8, 9): 1.0, (9, 2): 1.0}
    chosen = columns_of(tmp_path, header, {"columns": ["user", "artist"]})
    assert weights_of(chosen) == {(8, 7): 1.0, (9, 7): 1.0}


@pytest.mark.parametrize(
    ("how", "line"),
    [
        (
            {"event": "action"},
            "event='action' names the column of kinds of events, and events none",
        ),
        ({"events": {}}, "events names no kind"),
        ({"events": {"view": 0}}, "greater than 0"),
        ({"events": {"view": 1}, "rating": "stars"}, "allowed: one of the two"),
        ({"time_format": ["%Y", "american"]}, "are no forms of times; allowed: formats such as"),
        ({"time_format": []}, "are no forms of times"),
    ],
)
def test_keys_that_make_no_sense(how: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Interactions(**how)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_formats_of_times(tmp_path: Path) -> None:
    times = ["03/01/20 10:00", "02/29/20", "03/01/20 09:00"]
    rows = "".join(f"1,{item},{time}\n" for item, time in enumerate(times))
    (tmp_path / "log.csv").write_text(f"user,item,date\n{rows}")
    formats = ["%m/%d/%y %H:%M", "%m/%d/%y"]
    how = Interactions(split="leave-one-out", time_format=formats)
    data = Data(str(tmp_path / "log.csv"), validation=0, test=1, interactions=how).open()
    assert data.items.ids[data.test.targets.indices].tolist() == [0]
    one = Interactions(split="leave-one-out", time_format=formats[0])
    with pytest.raises(DataError, match="1 timestamps, such as '02/29/20', are not written as"):
        Data(str(tmp_path / "log.csv"), validation=0, test=1, interactions=one).open()


# Data that a run reads later


def later(tmp_path: Path, own: dict[str, Any], content: str, name: str = "new.csv") -> Dataset:
    """Reads another file as data of a run that was fitted to the log with some keys."""
    own = dict(own)
    (tmp_path / "own.txt").write_text(
        own.pop("text", lines("{u}|{i}|{r}|{t}", "user|item|rating|time"))
    )
    how = Interactions(**own.pop("how", {}))
    plan = Data(str(tmp_path / "own.txt"), validation=0, test=0, interactions=how, **own)
    run = plan.open()
    (tmp_path / name).write_text(content)
    return plan.open(run.schema, run.items, other=True, source=tmp_path / name)


ITEM = ROWS[0][1]


@pytest.mark.parametrize(
    ("own", "content"),
    [
        ({}, f"customer_id,sku\n5,{ITEM}\n"),
        ({"how": {"threshold": 1}}, f"customer_id,sku\n5,{ITEM}\n"),
        ({"separator": "|"}, f"uid;article\n5;{ITEM}\n"),
        ({}, f"5,{ITEM}\n"),
        ({"how": {"user": "user", "item": "item", "rating": "rating"}}, f"5\t{ITEM}\n"),
        ({"text": lines("{u},{i},{k}", "who,what,action"), "how": {"user": "who", "item": "what", "events": WEIGHTS}}, f"user,item\n5,{ITEM}\n"),
        ({"text": lines("{u},{i}"), "header": False}, f"member,product\n5,{ITEM}\n"),
        ({"text": lines("{u},x,{i}"), "columns": ["user", "x", "item"]}, f"5,{ITEM}\n"),
        ({"text": lines("{u},x,{i}"), "columns": ["user", "x", "item"]}, f"5,y,{ITEM}\n"),
        ({"text": lines("{i},{u},x,x,x"), "how": {"user": "2", "item": "1"}}, f"userId,itemId\n5,{ITEM}\n"),
    ],
)  # fmt: skip
def test_data_of_a_run_may_be_written_in_another_way(
    tmp_path: Path, own: dict[str, Any], content: str
) -> None:
    data = later(tmp_path, own, content)
    assert list(weights_of(data)) == [(5, ITEM)]
    assert not any("data.interactions" in note for note in data.notes)


def test_what_data_of_a_run_lack_is_told(tmp_path: Path) -> None:
    data = later(tmp_path, {"how": {"threshold": 1}}, f"customer_id,sku\n5,{ITEM}\n")
    assert (
        f"{tmp_path}/new.csv has no ratings, so all its rows count as those of 1 and above"
        in data.notes
    )
    assert "columns: users from 'customer_id', items from 'sku'" in data.notes


# From a fit to what is asked of it


SMALL = {
    "training.epochs": 1,
    "model.latent": [2],
    "model.network.hidden": [4],
    "report.write": False,
    "data.validation": 0.2,
    "data.test": 0.2,
    "training.accelerator": "cpu",
}


def test_a_run_of_a_pattern_is_asked_with_other_names(tmp_path: Path, monkeypatch, command) -> None:
    """The recipe keeps the pattern from any folder; files of other forms and names are read."""
    import lowerbound

    rng = np.random.default_rng(2)
    below = tmp_path / "[old] plays"  # marks of patterns in the name of a folder
    below.mkdir()
    for part in range(2):
        users = np.repeat(np.arange(30) + 30 * part, 6)
        items = np.concatenate([rng.permutation(15)[:6] for _ in range(30)])
        rows = pl.DataFrame(
            {"session": users, "thing": items, "action": rng.choice(["v", "p"], 180)}
        )
        rows.write_parquet(below / f"p{part}.parquet")
    monkeypatch.chdir(below)
    settings = SMALL | {
        "data.interactions.user": "session",
        "data.interactions.item": "thing",
        "data.interactions.events": {"v": 1, "p": 5},
    }
    run = lowerbound.fit("multvae", data="p*.parquet", out=tmp_path / "run", settings=settings)
    monkeypatch.chdir(tmp_path)
    loaded = lowerbound.load(tmp_path / "run")
    assert loaded.data().fingerprint() == run.data().fingerprint()
    asked = {"customer_id": ["ann", "ann", "bob"], "sku": [1, 2, 3]}
    pl.DataFrame(asked).write_ipc(tmp_path / "ask.feather")
    code, out, err = command(
        "recommend", "run", "--users", "ask.feather", "--out", "recs.csv", "-k", 3
    )
    assert (code, out) == (0, "6 recommendations for 2 users in recs.csv\n")
    assert "columns: users from 'customer_id', items from 'sku'" in err
    recommender = lowerbound.Recommender(loaded)
    for asking in (pl.DataFrame(asked), pl.DataFrame(asked).lazy(), pd.DataFrame(asked)):
        (codes,) = loaded.encode(asking)
        assert codes.shape == (2, 2)
    assert pl.read_csv(tmp_path / "recs.csv")["user"].to_list() == ["ann"] * 3 + ["bob"] * 3
    first = recommender.recommend([1, 2], k=3)
    assert [one.item for one in first] == pl.read_csv(tmp_path / "recs.csv")["item"].to_list()[:3]


def test_the_files_of_folders_that_a_pattern_names_are_known_again(tmp_path: Path) -> None:
    """So a run can tell that its log has changed."""
    for day in (1, 2):
        (tmp_path / f"date=2024-01-0{day}").mkdir()
        frame().write_parquet(tmp_path / f"date=2024-01-0{day}" / "0.parquet")
    source = str(tmp_path / "date=2024-*")
    read = {str(file.path) for file in list_files(Path(source)).parts[0]}
    assert len(read) == 2
    assert read == {str(path) for path in find_files(source).values()} == set(find_files(source))
