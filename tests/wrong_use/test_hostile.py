"""Hostile files: each loader returns, or refuses in one line of ours, in bounded time and memory,
and runs no code.

The inputs are those of `benchmarks/hostile.py`: a sample here, thousands in the test marked slow.
Inputs that once failed, or are likely to, are kept in `tests/wrong_use/hostile/LOADER/CASE/`: the
files that take the place of those of a valid source.
"""

import importlib.util
import io
import json
import os
import pickle
import shutil
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import polars
import pytest
from PIL import Image

import lowerbound
from lowerbound import recipe as recipes
from lowerbound.data import Data, Interactions, Schema
from lowerbound.data.files.limits import (
    DEFLATE_RATIO,
    FREE_BYTES,
    RATIO,
    refuse_bomb,
    refuse_deflated,
)
from lowerbound.data.files.parquet import unpacked
from lowerbound.data.files.tables import scan_parquet, text_bytes
from lowerbound.data.interactions.dataset import from_frame
from lowerbound.data.interactions.titles import read_titles
from lowerbound.data.named.fetch import _extract
from lowerbound.errors import ConfigError, DataError, LowerboundError, RunError, one_line
from lowerbound.system.files import read_json
from lowerbound.training.checkpoint import load_checkpoint, save_checkpoint

HERE = Path(__file__).parent
CASES = sorted(case for case in (HERE / "hostile").glob("*/*") if case.is_dir())


def _engine():
    """The module `benchmarks/hostile.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location(
        "hostile", HERE.parents[1] / "benchmarks" / "hostile.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["hostile"] = module
    spec.loader.exec_module(module)
    return module


hostile = _engine()
SAMPLE = {"resume": 30, "metrics": 20}
"""Inputs of the loaders that take long, in place of 60."""

OPEN: tuple[str, ...] = ()
"""Loaders that are not yet known to refuse all there is: what they fail at is shown, and does not
fail the tests.
"""

by_loader = pytest.mark.parametrize("loader", list(hostile.TARGETS))


@pytest.fixture(scope="module")
def outcomes():
    """What becomes of some inputs for each loader, and of all that were kept; one worker judges
    them all.
    """
    sample = [
        {"loader": name, "number": k, "seed": 0}
        for name in hostile.TARGETS
        for k in range(SAMPLE.get(name, 60))
    ]
    kept = [{"loader": case.parent.name, "case": str(case)} for case in CASES]
    return [(job.get("case"), outcome) for job, outcome in hostile.judge([*sample, *kept])]


def _none_failed(found):
    failed = [outcome for outcome in found if outcome.what == "failed"]
    if failed and failed[0].loader in OPEN and failed[0].kind not in ("NameError", "ImportError"):
        pytest.xfail(f"{failed[0].kind}: {failed[0].why}")
    assert found
    assert not failed, failed[:3]


@by_loader
def test_a_sample_of_damaged_inputs(outcomes, loader):
    found = [outcome for case, outcome in outcomes if case is None and outcome.loader == loader]
    assert len(found) == SAMPLE.get(loader, 60)
    _none_failed(found)
    assert {outcome.what for outcome in found} == {"loaded", "refused"}, (
        "the damage is all the same: the loader is not tried"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_what_once_failed(outcomes, case):
    _none_failed([outcome for name, outcome in outcomes if name == str(case)])


@pytest.mark.slow
def test_many_damaged_inputs():
    jobs = list(hostile.jobs(10_000, list(hostile.TARGETS), seed=0))
    assert len(jobs) >= 10_000
    found = [outcome for _, outcome in hostile.judge(jobs)]
    for loader in hostile.TARGETS:
        if loader not in OPEN:
            _none_failed([outcome for outcome in found if outcome.loader == loader])


def test_the_kept_inputs_are_small_and_have_a_loader():
    files = [path for path in (HERE / "hostile").rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 20_000
    assert {case.parent.name for case in CASES} == set(hostile.TARGETS)


# The judge itself can say no


@pytest.fixture
def loader(monkeypatch):
    """Makes a loader of a function, and judges one file through it."""

    def judged(load):
        monkeypatch.setitem(hostile.TARGETS, "mine", hostile.Target(lambda: [{"x": b""}], load))
        return hostile.judged("mine", {"x": b"abc"})

    return judged


def _raising(error):
    def load(folder):
        raise error

    return load


def test_the_judge_tells_refusals_from_failures(loader):
    assert loader(lambda folder: None).what == "loaded"
    assert loader(_raising(DataError("one line"))).what == "refused"
    for error in (
        ValueError("x"),
        DataError("two\nlines"),
        DataError("x" * 600),
        RunError("\x1b[2J"),
        MemoryError(),
        RecursionError(),
    ):
        assert loader(_raising(error)).what == "failed"


def test_the_judge_weighs_and_times(loader, monkeypatch):
    monkeypatch.setattr(hostile, "SECONDS", 0.01)
    assert "too slow" in loader(lambda folder: threading.Event().wait(0.05)).why
    monkeypatch.setattr(hostile, "SECONDS", 60.0)
    monkeypatch.setattr(hostile, "MEGABYTES", 50.0)
    if Path("/proc/self/clear_refs").exists():
        assert "too large" in loader(lambda folder: np.ones(2**27, np.uint8).sum()).why


def test_the_judge_sees_code_that_runs(tmp_path):
    """In a process of its own, as a hook stays for good."""
    script = (
        f"import sys, pickle, os; sys.path.insert(0, {str(HERE.parents[1] / 'benchmarks')!r})\n"
        "import hostile\n"
        "hostile.watch_for_code(); import colorsys\n"
        "assert not hostile.RAN, hostile.RAN\n"
        "exec('1'); pickle.loads(pickle.dumps(os.path.join)); os.system('true')\n"
        "assert hostile.RAN == ['exec', 'pickle.find_class', 'os.system'], hostile.RAN\n"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", script]) == 0


def test_the_worker_is_replaced_when_it_dies(monkeypatch):
    worker = hostile.Worker()
    dead = worker.ask({"loader": "no such loader"})
    assert (dead.what, dead.kind, dead.why) == ("failed", "died", "exit code 1")
    assert worker.ask({"loader": "recipe", "number": 0, "seed": 0}).what in ("loaded", "refused")
    worker.close()


def test_inputs_are_the_same_for_the_same_numbers():
    assert hostile.made("npz", 7, 0) == hostile.made("npz", 7, 0)
    assert len({str(hostile.made("npz", number, 0)) for number in range(20)}) > 15


# What is decided by hand: links, names, claims


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    hostile.put(hostile.seeds("run")[0], folder)
    return folder / "run"


@pytest.mark.parametrize("name", ["recipe.toml", "data.json", "model.safetensors", "summary.json"])
def test_no_file_of_a_run_may_be_a_link_that_leads_out(run, tmp_path, name):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / name).rename(tmp_path / name)
    for target in (tmp_path / name, Path("..", name)):
        (copy / name).symlink_to(target)
        with pytest.raises(RunError, match="leads out of its folder"):
            lowerbound.load(copy)
        (copy / name).unlink()


def test_no_reference_is_read_through_a_link(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "reference.json").rename(tmp_path / "reference.json")
    (copy / "reference.json").symlink_to(tmp_path / "reference.json")
    with pytest.raises(RunError, match="leads out of its folder"):
        lowerbound.score(lowerbound.load(copy))


def test_a_link_to_a_run_and_a_link_within_it_are_fine(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "model.safetensors").rename(copy / "weights")
    (copy / "model.safetensors").symlink_to("weights")
    (tmp_path / "link").symlink_to(copy)
    assert lowerbound.load(tmp_path / "link").schema.kind == "table"


def test_names_in_the_files_of_a_run_are_not_followed(run, tmp_path):
    """Neither what data.json nor what summary.json names is opened."""
    copy = shutil.copytree(run, tmp_path / "run")
    trap = tmp_path / "trap"
    os.mkfifo(trap)  # whoever opens it waits for ever
    for name in ("data.json", "summary.json"):
        facts = json.loads((copy / name).read_text())
        facts |= {"run": str(trap), "source": "../trap", "model": "../trap", "items": str(trap)}
        (copy / name).write_text(json.dumps(facts))
    assert lowerbound.load(copy).summary["run"] == str(trap)


def test_no_checkpoint_is_read_through_a_link(tmp_path):
    save_checkpoint(tmp_path / "a", 1, {"model": {}}, {"step": 1})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "step-00000002").symlink_to(tmp_path / "a" / "step-00000001")
    with pytest.raises(RunError):
        load_checkpoint(tmp_path / "b")


def test_a_folder_of_images_may_hold_links_to_files_and_follows_none_to_folders(tmp_path):
    """It is the user's own, and often is made of links; what they lead to is read as an image, and
    as nothing else.
    """
    (tmp_path / "set").mkdir()
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "set" / "a.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "set" / "self").symlink_to(tmp_path / "set")
    assert Data(str(tmp_path / "set"), validation=0, test=0).open().schema.shape == (1, 3, 4)
    (tmp_path / "secret").write_text("hunter2")
    (tmp_path / "set" / "b.png").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match="cannot identify") as caught:
        Data(str(tmp_path / "set"), validation=0, test=0).open()
    assert "hunter2" not in str(caught.value)


def test_a_text_that_stands_in_every_row_is_weighed_in_every_row():
    """Above 32 bits too; in the frame it is there once."""
    frame = polars.DataFrame({"title": polars.Series(["x" * 2**20]).gather([0] * 5000)})
    assert text_bytes(frame) == 5000 * 2**20


@pytest.mark.parametrize(
    "kind", [polars.String, polars.Categorical, polars.Enum(["v" * 1025, "v"])]
)
@pytest.mark.parametrize("column", ["user", "item"])
def test_an_id_of_any_length_is_refused_whatever_its_type(kind, column):
    ids = polars.Series(["v" * 1025, "v"]).cast(kind)
    frame = polars.DataFrame({"user": [1, 2], "item": [1, 2]} | {column: ids})
    with pytest.raises(DataError, match=f"has a {column} of 1025 bytes; allowed: 1024"):
        from_frame(frame, validation=0, test=0)
    assert (
        from_frame(
            frame.with_columns(polars.col(column).cast(str).str.tail(1024)), validation=0, test=0
        ).facts["kept"]
        == 2
    )


def test_the_bytes_beside_the_titles_of_items_are_left_where_they_are(tmp_path):
    frame = polars.DataFrame(
        {"item": [1, 2], "title": ["a", "b"], "picture": [b"x", b"y"], "tags": [["a"], []]}
    )
    frame.write_parquet(tmp_path / "titles.parquet")
    assert read_titles(tmp_path / "titles.parquet").rows() == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("case", "claim"),
    [
        ("interactions/bomb-of-one-long-id/x.parquet", 300_000_000),
        ("interactions/bomb-of-prefixes/x.parquet", 2_000_000_000),
        ("titles/bomb-of-one-huge-title/titles.parquet", 300_000_000),
    ],
)
def test_a_parquet_file_is_weighed_before_it_is_unpacked(case, claim, monkeypatch):
    path = HERE / "hostile" / case
    assert claim <= unpacked(path) < 1.01 * claim
    monkeypatch.setattr(polars.LazyFrame, "collect", _raising(AssertionError("it is unpacked")))
    with pytest.raises(DataError, match="which are not allocated"):
        scan_parquet(path)


def test_pipes_are_not_waited_for(tmp_path):
    for name in ("train-images-idx3-ubyte", "train.csv", "test.csv", "x.png", "x.bin"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="no images"):
        Data(str(tmp_path)).open()
    with pytest.raises(DataError, match="no files of a log"):
        Data(str(tmp_path), interactions=Interactions()).open()
    with pytest.raises(ConfigError, match="unknown recipe"):
        recipes.load(tmp_path / "train.csv")


def test_stars_in_names_are_no_patterns(tmp_path):
    for name in ("1.csv", "2.csv", "[12].csv", "*.csv"):
        (tmp_path / name).write_text(f"a,b\n{len(name)},1\n2,3\n")
    for name in ("[12].csv", "*.csv"):
        values = (
            Data(str(tmp_path / name), validation=0, test=0, standardize=False).open().whole.values
        )
        assert values.tolist() == [[len(name), 1], [2, 3]]
    polars.DataFrame({"user": [1], "item": [2]}).write_parquet(tmp_path / "*.parquet")
    polars.DataFrame({"user": [3], "item": [4]}).write_parquet(tmp_path / "b.parquet")
    log = Data(
        str(tmp_path / "*.parquet"), validation=0, test=0, interactions=Interactions()
    ).open()
    assert log.facts["read"] == 1


def test_an_archive_of_a_named_set_is_unpacked_beside_itself_and_nowhere_else(tmp_path):
    path = tmp_path / "a" / "b" / "set.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../u.data", "1")
        archive.writestr("/tmp/../u.item", "2")
        archive.writestr("../../other", "3")
    _extract(path, ["u.data", "u.item"])
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()} == {
        "a/b/set.zip",
        "a/b/u.data",
        "a/b/u.item",
    }


def test_names_of_files_cannot_write_to_the_terminal(tmp_path):
    (tmp_path / "a\x1b[2J\nb.txt").touch()
    with pytest.raises(DataError) as caught:
        Data(str(tmp_path)).open()
    assert str(caught.value).isprintable()


class Harm:
    """What must not be made of a pickle."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_objects_in_arrays_are_refused_and_do_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.array([Harm()]), allow_pickle=True)
    np.savez("x.npz", images=np.array([Harm()]))
    np.savez("labels.npz", images=np.zeros((2, 3, 3)), labels=np.array([Harm()] * 2))
    Path("bare.npy").write_bytes(pickle.dumps(Harm()))
    Path("bare.npz").write_bytes(pickle.dumps(Harm()))
    for name in ("x.npy", "x.npz", "labels.npz", "bare.npy", "bare.npz"):
        with pytest.raises(DataError, match=name):
            Data(name).open()
    assert not Path("harm").exists()


def test_what_is_claimed_is_weighed_against_what_is_there():
    refuse_bomb("x", FREE_BYTES, 1)
    refuse_bomb("x", 5 * FREE_BYTES, 5 * FREE_BYTES // RATIO + 1)
    with pytest.raises(DataError, match="x has 10 bytes and claims"):
        refuse_bomb("x", FREE_BYTES + 1, 10)


def test_a_deflated_file_holds_what_deflate_can_hold(monkeypatch):
    """Beyond it the claim is a lie, and below it the memory decides."""
    refuse_deflated("x", FREE_BYTES, 1)
    with pytest.raises(DataError, match="at most 1032 times its size can be in it"):
        refuse_deflated("x", FREE_BYTES + 1, FREE_BYTES // DEFLATE_RATIO)
    monkeypatch.setattr("lowerbound.data.files.limits.available_memory", lambda: 2.0**20)
    refuse_deflated("x", 2**19, 2**19)
    with pytest.raises(DataError, match=r"x needs 0\.00 GiB of memory, which are not allocated"):
        refuse_deflated("x", 2**19 + 1, 2**19)


def test_zeros_are_as_dense_as_deflate_gets(tmp_path):
    """The ratio is no bound that real data exceed."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("x", bytes(2**27))
    held = (tmp_path / "x.zip").stat().st_size
    assert 1000 * held < 2**27 < DEFLATE_RATIO * held


def test_plain_arrays_that_compress_well_are_no_bombs(tmp_path, monkeypatch):
    """Sprites of one colour, as binary images are: far above the ratio of texts."""
    monkeypatch.setattr("lowerbound.data.files.limits.FREE_BYTES", 2**16)
    values = np.zeros((400, 64, 64), np.uint8)
    values[:, 20:40, 20:40] = 1
    np.savez_compressed(tmp_path / "x.npz", images=values)
    assert values.nbytes > 2 * RATIO * (tmp_path / "x.npz").stat().st_size
    assert np.array_equal(Data(str(tmp_path / "x.npz")).open().whole.values[:, 0], values)


def test_a_picture_is_weighed_before_it_is_decoded(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((100, 100), np.uint8)).save(tmp_path / "a.png")
    source = Data(str(tmp_path), validation=0, test=0, size="4x4")
    assert len(source.open().train) == 1
    monkeypatch.setattr("lowerbound.data.files.limits.available_memory", lambda: 100_000.0)
    monkeypatch.setattr(Image.Image, "load", _raising(AssertionError("it is decoded")))
    with pytest.raises(DataError, match=r"a\.png cannot be used as an image: it needs"):
        source.open()


def test_a_picture_of_too_many_pixels_is_refused_by_a_setting_that_is_named(tmp_path):
    for i in range(2):
        Image.fromarray(np.zeros((100, 101), np.uint8)).save(tmp_path / f"{i}.png")
    many = Data(str(tmp_path), validation=0, test=0, max_pixels=10_099)
    with pytest.raises(DataError, match=r"2 of the 2 .* 100x101 = 10,100 pixels.*data\.max_pixels"):
        many.open()
    assert len(Data(str(tmp_path), validation=0, test=0, max_pixels=10_100).open().train) == 2


def test_a_jpeg_of_endless_scans_is_refused(tmp_path):
    out = io.BytesIO()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rfind(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[:last] + data[last:-2] * 200 + data[-2:])
    with pytest.raises(DataError, match="scans"):
        Data(str(tmp_path), validation=0, test=0).open()
    (tmp_path / "a.jpg").write_bytes(data)
    assert len(Data(str(tmp_path), validation=0, test=0).open().train) == 1


GOOD = {
    "shape": [2],
    "kind": "table",
    "levels": None,
    "low": -1.0,
    "high": 2.0,
    "columns": ["a", "b"],
    "mean": [0, 1],
    "scale": [1, 2.5],
}


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"shape": shape}
            for shape in ([], [0], [-1], [True], [2.0], ["2"], [2, 2], 2, None, [3], [2**70])
        ),
        *({"kind": kind} for kind in ("image", "cloud", None, 3, [])),
        *({"levels": levels} for levels in (1, -2, 2.5, "2", True, 2**40)),
        *({"low": low} for low in (float("nan"), None, "x", float("-inf"), [])),
        *({"columns": columns} for columns in (["a"], [1, 2], "ab")),
        *({"mean": mean} for mean in ([0], ["a", "b"], [0, float("nan")], [[0], [1]])),
        *({"scale": scale} for scale in ([0, 1], [-1, 1], [1], [], [1, float("inf")])),
    ],
    ids=str,
)
def test_a_schema_that_no_data_have_is_refused(change):
    assert Schema.from_json(GOOD).to_json() == GOOD
    with pytest.raises(DataError, match=f"cannot have|{next(iter(change))}"):
        Schema.from_json(GOOD | change)


def test_json_and_toml_of_any_depth_and_size_are_told_in_one_line(tmp_path, monkeypatch):
    path = tmp_path / "x"
    for text in ("[" * 100_000, '{"a":' * 100_000, "1" * 5000, "\0", "\ufeff{}"):
        path.write_text(text)
        with pytest.raises(RunError, match="cannot read"):
            read_json(path)
    for text in (
        "a." * 5000 + "a = 1",
        "a = " + "[" * 5000,
        "a = " + '"x y" . ' * 40,
        "['a' . " + "b." * 40 + "c]",
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match="not a TOML file"):
            recipes.load(path)
    monkeypatch.setattr("lowerbound.system.files.LARGEST_JSON", 10)
    monkeypatch.setattr("lowerbound.recipe.LARGEST", 10)
    path.write_text(" " * 11)
    for read, kind in ((read_json, RunError), (recipes.load, ConfigError)):
        with pytest.raises(kind, match="11 bytes; allowed: 10"):
            read(path)


def test_a_message_is_one_printable_line_of_bounded_length():
    assert one_line("a\n b\t\x1b[2J c") == "a b [2J c"
    assert len(one_line("x" * 10_000)) <= 480
    assert one_line("x" * 480) == "x" * 480
    assert one_line("x" * 100, 50).endswith(" ...")


@pytest.mark.parametrize(
    "text",
    [
        "[model]\nlatent = [1000000000000]",
        "[model.network]\ntype = 'MLP'\nhidden = [1000000, 1000000]",
    ],
)
def test_a_model_of_any_size_in_a_recipe_costs_no_memory(run, tmp_path, text):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "recipe.toml").write_text(f"[data]\nsource = 'digits'\n{text}\n")
    with pytest.raises(LowerboundError):
        lowerbound.load(copy)
