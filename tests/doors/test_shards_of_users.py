"""Work in shards: the same lists on every engine as in one process, a log that is scattered by its
users, a worker that is killed, and work that goes on where it was.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
from zlib import crc32

import numpy as np
import polars
import psutil
import pytest
import torch
from polars.testing import assert_frame_equal

import lowerbound
from lowerbound.columns import ColumnSchema, fit_columns
from lowerbound.data import Data, Interactions, Items, Schema
from lowerbound.data.interactions import batches, scatter
from lowerbound.doors.sharding import (
    encode_in_shards,
    engines,
    opened,
    recommend_in_shards,
    work,
)
from lowerbound.doors.sharding.engines import local, spark
from lowerbound.doors.sharding.job import Job
from lowerbound.doors.sharding.sharding import run_job
from lowerbound.doors.sharding.watch import Watch
from lowerbound.errors import ConfigError, DataError, RunError, WorkerError
from lowerbound.families import Multinomial
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.noise import L2Normalize
from lowerbound.recipe import Recipe, parse
from lowerbound.recommend import Recommender, recommend_in_blocks
from lowerbound.run import Run

WIDTH = 60
ARCHITECTURE = Architecture(
    latent=(6,), network=MLP((20,), "tanh"), likelihood=Multinomial(), noise=(L2Normalize(),)
)


def made(how=None, levels=2, given=(), names=None):
    """A recommender with random weights, in no folder. Its items are i00 to i59."""
    torch.manual_seed(1)
    model = ARCHITECTURE.build((WIDTH,), sparse=True, given=given)
    recipe = Recipe(data=Data("nowhere", interactions=how, given=names), model=ARCHITECTURE)
    schema = Schema((WIDTH,), "interactions", levels, 0.0, 1.0, given=given)
    ids = np.array([f"i{number:02d}" for number in range(WIDTH)], dtype=object)
    return Run("nowhere", recipe, schema, model, {}, Items(ids))


@pytest.fixture
def loaded(monkeypatch):
    """Makes a run the one that shards load."""

    def use(run):
        opened.close()
        monkeypatch.setattr(opened, "load", lambda folder, allow_code: run)
        return run

    yield use
    opened.close()


def log_of(seed=0, rows=4000, users=150):
    """A log as tools write it: ids that are whole numbers in some rows and words in others, blanks,
    accents in two encodings, repetitions, unknown items, a user of unknown items alone, and rows
    without a user.
    """
    rng = np.random.default_rng(seed)
    names = [str(number) for number in range(users)]
    names[::3] = [f"u{number}" for number in range(0, users, 3)]
    names[1] = "Jos\u00e9"
    user = rng.integers(0, users, rows)
    frame = polars.DataFrame(
        {
            "user": [names[at] for at in user],
            "item": [f"i{at:02d}" for at in rng.integers(0, WIDTH + 4, rows)],
            "rating": rng.integers(1, 6, rows),
        }
    )
    odd = {
        "user": [" 2", "2.0", "Jose\u0301", "lost", "lost", None, "  "],
        "item": ["i01", "i02", "i03", "gone", "i99", "i04", "i05"],
        "rating": [5, 5, 5, 5, 5, 5, 5],
    }
    return polars.concat([frame, polars.DataFrame(odd)])


def write(frame, path):
    {".csv": frame.write_csv, ".parquet": frame.write_parquet}[path.suffix](path)
    return path


def in_one_process(run, path, **options):
    """The lists of all users as one process makes them."""
    blocks = recommend_in_blocks(Recommender(run), run.open_other(path).whole, **options)
    return polars.concat([lists.to_frame() for lists in blocks])


def together(made):
    return polars.concat([polars.read_parquet(path) for path in made.files])


def ordered(frame):
    return frame.sort("user", "rank")


# Lists block by block


def test_blocks_are_the_lists_of_all(loaded, tmp_path):
    run = made()
    recommender = Recommender(run)
    whole = run.open_other(write(log_of(), tmp_path / "log.csv")).whole
    expected = recommender.recommend_many(whole, 7).to_frame()
    for size in (1, 64, 10_000):
        blocks = list(recommend_in_blocks(recommender, whole, 7, users_of_block=size))
        assert len(blocks) == -(-len(whole) // size)
        assert_frame_equal(polars.concat([lists.to_frame() for lists in blocks]), expected)
    nobody = whole.take(np.flatnonzero(np.diff(whole.matrix.indptr) == 0))
    assert len(nobody) == 1
    with pytest.raises(DataError, match="nothing to recommend by"):
        list(recommend_in_blocks(recommender, nobody, 7))
    (lists,) = recommend_in_blocks(recommender, nobody, 7, may_know_nobody=True)
    assert lists.counts.tolist() == [0]


# The log in shards


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("how", "levels"),
    [
        (None, 2),
        (Interactions(threshold=3.0), 2),
        (Interactions(rating="rating", binary=False), None),
        (Interactions(event="rating", events={"1": 1.0, "4": 3.0, "5": 9.0}), None),
    ],
    ids=["binary", "threshold", "weights", "events"],
)
def test_shards_hold_the_lists_of_one_process(loaded, tmp_path, monkeypatch, how, levels, ending):
    monkeypatch.setattr(batches, "ROWS_AT_ONCE", 700)
    monkeypatch.setattr(scatter, "ROWS_HELD", 1500)
    run = loaded(made(how, levels))
    path = write(log_of(), tmp_path / f"log{ending}")
    expected = in_one_process(run, path, k=7, deny=["i07"])
    found = recommend_in_shards("run", path, tmp_path / "recs", 7, shards=6, deny=["i07"])
    assert_frame_equal(ordered(together(found)), ordered(expected))
    facts = run.open_other(path).facts
    described = found.describe()
    assert described["users"] == len(run.open_other(path).whole)
    assert described["unknown_items"] == facts["unknown_items"]
    assert described["missing_ids"] == facts["missing_ids"] == 2
    assert described["users_without"] == 1
    for number, file in enumerate(found.files):
        users = polars.read_parquet(file)["user"].unique().to_list()
        assert {crc32(user.encode()) % 6 for user in users} == {number}


def test_a_log_in_parts_is_scattered_as_one(loaded, tmp_path):
    run = loaded(made(Interactions(rating="rating", binary=False), None))
    log = log_of()
    folder = tmp_path / "log"
    folder.mkdir()
    write(log[:2500], folder / "train.csv")
    write(log[2500:], folder / "test.csv")
    found = recommend_in_shards("run", folder, tmp_path / "recs", 5, shards=3)
    assert_frame_equal(
        ordered(together(found)), ordered(in_one_process(run, folder, k=5)), check_exact=True
    )


@pytest.mark.parametrize(
    ("users", "kind"),
    [
        ([1, 2, 70_000], polars.Int64),
        ([1.0, 2.0, None], polars.Int64),
        ([1.5, 2.0], polars.Float64),
    ],
)
def test_users_keep_the_type_of_the_whole_log(loaded, tmp_path, users, kind):
    run = loaded(made())
    frame = polars.DataFrame({"user": users, "item": ["i01"] * len(users)})
    path = write(frame, tmp_path / "log.parquet")
    found = together(recommend_in_shards("run", path, tmp_path / "recs", 3, shards=7))
    assert found.schema["user"] == kind
    assert_frame_equal(ordered(found), ordered(in_one_process(run, path, k=3)))


def test_features_of_users_are_found_in_every_shard(loaded, tmp_path):
    log = log_of(users=20)
    ages = polars.DataFrame({"user": ["u0", "u3", "2", "lost"], "age": [20, 30, 40, 50]})
    table = write(ages, tmp_path / "people.csv")
    given = fit_columns(
        (ColumnSchema("age", "count", "integer"),), np.arange(20.0, 60)[:, None], np.arange(40)
    )
    run = loaded(made(Interactions(users=str(table)), given=given, names=["age"]))
    path = write(log, tmp_path / "log.csv")
    found = recommend_in_shards("run", path, tmp_path / "recs", 4, shards=9)
    assert_frame_equal(ordered(together(found)), ordered(in_one_process(run, path, k=4)))
    assert "lost" in together(found)["user"].to_list()


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        ({"user": [1], "item": ["nothing"]}, "has no item that the model was trained on"),
        ({"user": [None], "item": ["i01"]}, "holds no interactions that are kept"),
        ({"user": [1], "thing": ["i01"]}, "item"),
        ({"user": [1], "item": [["i01"]]}, "the items are of type List"),
        ({"user": [1], "item": ["i01"], "rating": [-1.0]}, "has 1 ratings that are missing, neg"),
    ],
)
def test_a_log_that_cannot_be_scattered(loaded, tmp_path, frame, line):
    loaded(made(Interactions(binary=False), None))
    path = tmp_path / "log.parquet"
    polars.DataFrame(frame).write_parquet(path)
    with pytest.raises(DataError, match=line) as error:
        recommend_in_shards("run", path, tmp_path / "recs")
    assert str(path) in str(error.value)
    assert not list((tmp_path / "recs").glob("part-*"))
    assert not (tmp_path / "recs" / "_work" / "log").exists()


# Going on


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


def test_what_is_done_stays_and_the_rest_is_made(loaded, tmp_path, monkeypatch):
    loaded(made())
    path = write(log_of(), tmp_path / "log.csv")
    whole = recommend_in_shards("run", path, tmp_path / "whole", 5, shards=4)
    out = tmp_path / "recs"
    real = work.WORK_OF["recommend"]
    calls = []

    def stopping(job, number):
        calls.append(number)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(job, number)

    monkeypatch.setitem(work.WORK_OF, "recommend", stopping)
    with pytest.raises(KeyboardInterrupt):
        recommend_in_shards("run", path, out, 5, shards=4)
    assert calls == [0, 1, 2]
    assert sorted(bytes_of(out)) == ["part-00000-of-00004.parquet", "part-00001-of-00004.parquet"]
    (out / "part-00001-of-00004.parquet").write_bytes(b"cut")
    found = recommend_in_shards("run", path, out, 5, shards=4)
    assert calls == [0, 1, 2, 1, 2, 3]
    assert found.already_done == 1
    assert bytes_of(out) == bytes_of(tmp_path / "whole")
    assert found.digest == whole.digest
    again = recommend_in_shards("run", path, out, 5, shards=4)
    assert len(calls) == 6
    assert again.already_done == 4
    expected = found.describe() | {"already_done": 4}
    assert again.describe() == expected
    assert not list(out.rglob(".writing-*"))
    with pytest.raises(RunError, match=r"another request \(it differs in: options\)"):
        recommend_in_shards("run", path, out, 6, shards=4)
    os.utime(path, (1, 1))
    with pytest.raises(RunError, match="the source or the run has changed since"):
        recommend_in_shards("run", path, out, 5, shards=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A fitted run, which processes can load."""
    plan = {
        "data": {"source": "nowhere", "interactions": {}},
        "model": {
            "latent": [6],
            "likelihood": "Multinomial",
            "network": {"type": "MLP", "hidden": [20]},
        },
        "training": {"epochs": 1, "accelerator": "cpu"},
        "report": {"write": False},
    }
    folder = tmp_path_factory.mktemp("sharding")
    log = log_of(rows=3000).drop_nulls()
    lowerbound.fit(parse(plan), data=log, out=folder / "run", progress=False)
    write(log_of(1), folder / "log.csv")
    return folder


def test_a_killed_process_leaves_the_same_bytes(folder, tmp_path, monkeypatch):
    expected = recommend_in_shards(folder / "run", folder / "log.csv", tmp_path / "one", 5)
    out = tmp_path / "recs"

    def kill_when_one_is_done():
        while not list(out.glob("part-*")):
            time.sleep(0.001)
        for child in psutil.Process().children():
            if "spawn_main" in " ".join(child.cmdline()):
                child.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_when_one_is_done, daemon=True)
    monkeypatch.setattr(engines, "engine_of", lambda name: None)
    monkeypatch.setattr(
        "lowerbound.doors.sharding.sharding.engine_of",
        lambda name: lambda job, numbers, workers: local.make_in_processes(job, numbers, 1),
    )
    killer.start()
    with pytest.raises(WorkerError, match="the same command goes on"):
        recommend_in_shards(folder / "run", folder / "log.csv", out, 5)
    killer.join()
    done = bytes_of(out)
    assert 1 <= len(done) < 16
    monkeypatch.undo()
    found = recommend_in_shards(folder / "run", folder / "log.csv", out, 5)
    assert found.already_done >= len(done) - 1
    assert bytes_of(out) == bytes_of(tmp_path / "one")
    assert found.digest == expected.digest
    assert not multiprocessing.active_children()


# Engines


def test_a_line_tells_of_silence(tmp_path):
    lines = []
    job = Job("recommend", "run", "log", str(tmp_path), 3)
    watch = Watch(job, [0, 1, 2], lines.append, lines.append, quiet_seconds=0.02)
    watch.look()
    assert lines == []
    time.sleep(0.03)
    watch.look()
    watch.look()
    assert len(lines) == 1
    assert "no shard was finished for 0 s: 0 of 3 are done" in lines[0]
    job.part(1).write_bytes(b"rows")
    job.mark_done(1, {})
    watch.look()
    assert lines[1:] == ["shard 1 is done"]


def test_what_spark_runs_is_the_same_function(loaded, tmp_path):
    run = loaded(made())
    path = write(log_of(), tmp_path / "log.csv")
    found = []

    def as_spark_does(job, numbers, workers):
        found.extend(spark.result_of(job.to_text(), number) for number in numbers)
        spark.refuse_failed(found)

    job = Job("recommend", "run", str(path), str(tmp_path / "recs"), 3, {"k": 5})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowerbound.doors.sharding.sharding.engine_of", lambda name: as_spark_does)
        sharded = run_job(job, "spark")
    assert_frame_equal(ordered(together(sharded)), ordered(in_one_process(run, path, k=5)))
    assert [json.loads(each)["shard"] for each in found] == [0, 1, 2]
    failed = spark.result_of(Job("recommend", "run", str(path), str(tmp_path), 3).to_text(), 0)
    with pytest.raises(RunError, match=r"there is no \S+shard-00000.parquet: every machine"):
        spark.refuse_failed([failed])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the engines, whose libraries warn of each other
@pytest.mark.parametrize("engine", ["ray", "spark"])
def test_engines_write_the_same_bytes(folder, tmp_path, engine):
    pytest.importorskip({"ray": "ray", "spark": "pyspark"}[engine])
    arguments = (folder / "run", folder / "log.csv")
    expected = recommend_in_shards(*arguments, tmp_path / "local", 5, shards=3)
    found = recommend_in_shards(*arguments, tmp_path / engine, 5, engine=engine, shards=3)
    assert found.digest == expected.digest
    assert bytes_of(tmp_path / engine) == bytes_of(tmp_path / "local")


@pytest.mark.parametrize("engine", ["ray", "spark"])
def test_an_absent_library_is_named(loaded, tmp_path, monkeypatch, engine):
    loaded(made())
    monkeypatch.setattr("lowerbound.system.extras.find_spec", lambda name: None)
    path = write(log_of(), tmp_path / "log.csv")
    with pytest.raises(ConfigError, match=rf"--engine {engine} needs .*'lowerbound\[{engine}\]'"):
        recommend_in_shards("run", path, tmp_path / "recs", engine=engine)


# The command


def test_the_command_writes_what_one_process_writes(command, loaded, tmp_path):
    run = loaded(made())
    path = write(log_of(), tmp_path / "log.csv")
    arguments = ["recommend", "run", "--users", path, "-k", 4, "--out", tmp_path / "recs"]
    code, out, _ = command(*arguments, "--shards", 2, "--deny", "i01", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["shards"], found["users_without"]) == (2, 1)
    frame = polars.read_parquet(tmp_path / "recs" / "part-*.parquet")
    assert_frame_equal(ordered(frame), ordered(in_one_process(run, path, k=4, deny=["i01"])))
    code, out, _ = command(*arguments, "--shards", 2, "--deny", "i01")
    assert out.splitlines()[0].endswith("2 files, 2 of which were there already")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--engine", "sparc"], "unknown engine 'sparc'; did you mean 'spark'? Allowed: local, ra"),
        (["--shards", "0"], "--shards"),
        (["--workers", "2"], "--workers goes with --engine or --shards"),
        (["--engine", "local", "--out", "x.csv"], "--out x.csv: in shards it is a folder"),
        (["--engine", "local", "--deny", "gone.txt"], "there is no such file of items"),
        (["--engine", "local", "-k", "0"], "k must be a whole number from 1, got 0"),
        (["--engine", "local", "--unknown", "error"], "items of log.csv are not known to the run"),
        (["--engine", "local", "--users", "gone.csv"], "gone.csv"),
    ],
)
def test_a_mistake_in_the_command(command, loaded, tmp_path, monkeypatch, arguments, line):
    loaded(made())
    monkeypatch.chdir(tmp_path)
    write(log_of(), tmp_path / "log.csv")
    code, _, err = command("recommend", "run", "--users", "log.csv", "--out", "recs", *arguments)
    assert code == 2
    assert line in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("recs/part-*"))


def test_a_history_is_no_work_for_an_engine(command, loaded):
    loaded(made())
    code, _, err = command("recommend", "run", "--history", "i01", "--engine", "local")
    assert code == 2
    assert "--engine and --shards go with --users" in err


# Codes and scores


def test_codes_of_users_are_those_of_one_process(loaded, tmp_path):
    run = loaded(made())
    path = write(log_of(), tmp_path / "log.csv")
    found = encode_in_shards("run", path, tmp_path / "codes", shards=3)
    whole = run.open_other(path).whole
    names = [f"z1_{number}" for number in range(1, 7)]
    codes = polars.DataFrame(Recommender(run).codes(whole), schema=names)
    expected = codes.insert_column(0, polars.Series("user", whole.users.tolist())).sort("user")
    assert_frame_equal(together(found).sort("user"), expected, check_exact=True)
    items = polars.read_parquet(tmp_path / "codes" / "_items.parquet")
    assert items.columns == ["item", *(f"v{number}" for number in range(1, 21))]
    assert items["item"].to_list() == list(run.items.ids)


def test_rows_are_encoded_and_scored_as_in_one_process(people_run, command, tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    monkeypatch.setattr("lowerbound.doors.sharding.rows.chunk_size", lambda model: 128)
    rows = 40
    frame = polars.DataFrame(
        {
            "age": rng.integers(18, 80, rows),
            "job": rng.choice(["baker", "nurse", "retired"], rows),
            "pay": rng.normal(2000, 300, rows).round(2),
            "member": rng.random(rows) < 0.5,
        }
    )
    path = write(frame, tmp_path / "people.csv")
    arguments = [people_run.folder, "--data", path, "--out"]
    shards = ["--shards", "3", "--json"]
    code, _, _ = command("encode", *arguments, tmp_path / "codes", *shards)
    assert code == 0
    command("encode", *arguments, tmp_path / "codes.parquet")
    codes = polars.read_parquet(tmp_path / "codes" / "part-*.parquet")
    assert_frame_equal(codes, polars.read_parquet(tmp_path / "codes.parquet"), check_exact=True)
    empty = polars.read_parquet(tmp_path / "codes" / "part-00002-of-00003.parquet")
    assert (len(empty), empty.schema) == (0, codes.schema)
    asked = ["--split", "all", "--threshold", "0.1"]
    code, out, _ = command("score", *arguments, tmp_path / "scores", *asked, *shards)
    assert code == 0
    command("score", *arguments, tmp_path / "scores.parquet", *asked)
    files = sorted((tmp_path / "scores").glob("part-*"))
    sizes = [len(polars.read_parquet(file)) for file in files]
    assert sizes == [18, 18, 4]  # multiples of the rows that are measured at a time
    scores = polars.concat([polars.read_parquet(file) for file in files])
    expected = polars.read_parquet(tmp_path / "scores.parquet")
    assert_frame_equal(scores, expected, rel_tol=1e-4, abs_tol=1e-4)
    assert json.loads(out)["anomalous"] == expected["anomalous"].sum()
    code, _, err = command("score", *arguments, tmp_path / "x", *shards, "--truth", "job=baker")
    assert code == 2
    assert "--truth measures all scores at once" in err
