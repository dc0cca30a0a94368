"""Exported files compute what the run computes: with ONNX Runtime, at any number of examples."""
# ruff: noqa: E501 - a message is one line here as it is on the screen

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch.nn import functional as F

import lowerbound
from lowerbound import recipe
from lowerbound.batch import Batch
from lowerbound.data import Schema
from lowerbound.doors.export import BATCHES, TOLERANCE, decompositions, exporting, graphs, parity
from lowerbound.doors.export.ports import Port
from lowerbound.doors.export.writing import to_onnx
from lowerbound.errors import ConfigError, RunError
from lowerbound.recommend import Recommender
from lowerbound.system import extras

FOLDER = Path(__file__).parents[2] / "benchmarks"
if str(FOLDER) not in sys.path:
    sys.path.append(str(FOLDER))

from random_runs import COLUMNS, ITEMS, LABEL, random_run  # noqa: E402 - no part of the package

SMALL = {"model.latent": [3], "model.network.hidden": [8]}

TINY_CONV = {"model.latent": [3], "model.network.channels": [4, 8]}

TINY_LADDER = {
    "model.latent": [1, 1, 4],
    "model.ladder.width": 4,
    "model.ladder.grids": [2],
    "model.likelihood": "Bernoulli",
}


def opened(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def checked(run, folder, what, **arguments):
    """An exported file of a run, which agrees with it."""
    done = lowerbound.export(run, folder / "model.onnx", what=what, check=True, **arguments)
    assert tuple(done.differences) == BATCHES
    assert max(done.differences.values()) <= TOLERANCE
    return opened(done.out)


# The operators that are computed another way

NEAR = torch.logspace(-30, 2.3, 400)
ANY = torch.cat([-NEAR, NEAR, torch.tensor([0.0, torch.inf, -torch.inf])])


@pytest.mark.parametrize(
    ("ours", "theirs", "x"),
    [
        (decompositions.log1p, torch.log1p, ANY[ANY > -1]),
        (decompositions.expm1, torch.expm1, ANY),
        (decompositions.log_sigmoid, F.logsigmoid, ANY),
        (decompositions.lgamma, torch.lgamma, torch.logspace(-6, 8, 2000, dtype=torch.float64)),
    ],
    ids=["log1p", "expm1", "log_sigmoid", "lgamma"],
)
def test_functions_keep_their_digits(ours, theirs, x):
    torch.testing.assert_close(ours(x), theirs(x), rtol=4e-7, atol=1e-11)


def test_logaddexp_of_all_pairs():
    a, b = torch.meshgrid(ANY, ANY, indexing="ij")
    torch.testing.assert_close(decompositions.logaddexp(a, b), torch.logaddexp(a, b))


@pytest.mark.parametrize("right", [True, False])
def test_search_sorted_counts_edges(right):
    edges = torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, torch.inf]])
    values = torch.tensor([[-1.0, 0.0, 1.0, 9.0]]).repeat(2, 1)
    counted = decompositions.search_sorted(edges, values, right=right)
    assert counted.equal(torch.searchsorted(edges, values, right=right))


# What is exported


@pytest.mark.parametrize("what", ["decode", "reconstruct"])
def test_images_of_a_convolution(tmp_path, what):
    checked(random_run("conv-mnist", **TINY_CONV), tmp_path, what)


def test_grey_levels_go_in_and_come_out(tmp_path):
    run = random_run("digits", **SMALL)
    session = checked(run, tmp_path, "reconstruct")
    raw = np.random.default_rng(0).integers(0, 17, (5, 1, 8, 8)).astype(np.float32)
    (answer,) = session.run(None, {"x": raw})
    shares = run.reconstruct(torch.from_numpy(raw / 16)).numpy()
    np.testing.assert_allclose(answer, 16 * shares, rtol=1e-5)


def test_score_is_the_log_likelihood_of_the_run(tmp_path):
    run = random_run("digits", **SMALL)
    session = checked(run, tmp_path, "score", samples=30, seed=3)
    raw = np.random.default_rng(0).integers(0, 17, (5, 1, 8, 8)).astype(np.float32)
    raw[0] = 16  # far from what the model expects, where a naive sigmoid is 0
    (answer,) = session.run(None, {"x": raw})
    ours = run.log_likelihood(torch.from_numpy(raw / 16), samples=30, seed=3)
    np.testing.assert_allclose(answer, ours, rtol=1e-6)
    (alone,) = session.run(None, {"x": raw[2:3]})
    np.testing.assert_allclose(alone, answer[2:3], rtol=1e-6)


def test_rows_of_a_table_with_columns_of_several_kinds(tmp_path):
    run = random_run("table", **{**SMALL, "model.prior.components": 3})
    session = checked(run, tmp_path, "encode")
    rows = np.array([[1.0, 2.0, 0.0, 3, 2, 4, 1, 18_000]] * 6)
    rows[1, 3] = 2.5  # no count
    rows[2, 4] = 7  # no level
    rows[3, 2] = -1
    rows[4, 0] = np.inf
    rows[5, 5] = np.nan
    with_gaps = rows.copy()
    with_gaps[[1, 2, 3, 4], [3, 4, 2, 0]] = np.nan
    (answer,) = session.run(None, {"x": rows})
    (of_gaps,) = session.run(None, {"x": with_gaps})
    np.testing.assert_array_equal(answer, of_gaps)
    assert len(np.unique(answer, axis=0)) == len(rows)


def test_the_file_names_the_columns(tmp_path):
    run = random_run("table", **{**SMALL, "model.prior.components": 3})
    session = checked(run, tmp_path, "decode")
    texts = session.get_modelmeta().custom_metadata_map
    columns = json.loads(texts["lowerbound.columns"])
    assert [column["name"] for column in columns] == [column.name for column in COLUMNS]
    assert columns[4]["levels"] == ["0", "1", "2"]
    assert columns[7]["unit"] == "days since 1970-01-01"
    assert texts["lowerbound.what"] == "decode"
    assert texts["lowerbound.version"] == lowerbound.__version__
    assert texts["lowerbound.title"] == run.recipe.about.title
    (z,) = json.loads(texts["lowerbound.inputs"])
    assert (z["name"], z["shape"], z["type"]) == ("z", ["batch", 3], "float32")


def test_a_table_of_numbers_is_standardised_in_the_file(tmp_path):
    scale = (2.0, 1e-3, 5e4)
    schema = Schema((3,), "table", None, -3, 3, ("a", "b", "c"), (10.0, 0.0, -1e6), scale)
    likelihood = {"type": "Normal", "variance": "learned"}
    settings = {"model.likelihood": likelihood, "data.kinds": None, "data.hide": 0.0}
    run = random_run("table", schema, **SMALL, **settings)
    session = checked(run, tmp_path, "reconstruct")
    rows = np.array([[12.0, 1e-3, -9e5], [8.0, -2e-3, -1.1e6]])
    (answer,) = session.run(None, {"x": rows})
    seen = torch.tensor((rows - schema.mean) / scale).float()
    np.testing.assert_allclose(answer, run.reconstruct(Batch(seen)), rtol=1e-5)


def test_conditions_are_a_second_input(tmp_path):
    run = random_run("conditional-mnist", **SMALL)
    session = checked(run, tmp_path, "decode")
    z = np.zeros((2, 3), np.float32)
    (answer,) = session.run(None, {"z": z, "given": np.array([[3.0], [np.nan]])})
    np.testing.assert_allclose(answer, run.decode(z, given={"label": [3, None]}), rtol=1e-5)
    texts = session.get_modelmeta().custom_metadata_map
    (label,) = json.loads(texts["lowerbound.conditions"])
    assert label["levels"] == list("0123456789")


def test_all_levels_of_a_ladder(tmp_path):
    session = checked(random_run("ladder-mnist", **TINY_LADDER), tmp_path, "encode")
    assert [output.name for output in session.get_outputs()] == ["z1", "z2", "z3"]


@pytest.fixture(scope="module")
def films():
    return random_run("multvae", **SMALL)


@pytest.fixture(scope="module")
def recommending(films, tmp_path_factory):
    return checked(films, tmp_path_factory.mktemp("films"), "recommend", k=7)


def test_lists_are_those_of_the_recommender(films, recommending):
    history = np.array([[5, 3, 8, -1], [299, -1, -1, -1]])
    items, scores = recommending.run(None, {"history": history})
    ours = Recommender(films).recommend_many({0: ["i5", "i3", "i8"], 1: ["i299"]}, 7)
    np.testing.assert_array_equal(items, ours.items)
    np.testing.assert_allclose(scores, ours.scores, rtol=1e-5)


def test_lists_that_are_not_as_they_should_be(recommending):
    """Items that come twice count once, those that are not known are left out, and whoever has
    nothing gets nothing.
    """
    history = np.array([[5, 3, 5, 5, -1], [3, -7, 5, ITEMS, 10**9], [5, -1, -1, 3, -1], [-1] * 5])
    items, scores = recommending.run(None, {"history": history})
    np.testing.assert_array_equal(items[1], items[0])
    np.testing.assert_array_equal(items[2], items[0])
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-5)
    assert (items[3] == -1).all()
    assert np.isnan(scores[3]).all()


def test_whoever_has_seen_nearly_all_gets_what_is_left(recommending):
    history = np.arange(ITEMS - 3)[None]
    items, _ = recommending.run(None, {"history": history})
    assert set(items[0, :3]) == {ITEMS - 3, ITEMS - 2, ITEMS - 1}
    assert (items[0, 3:] == -1).all()


def test_features_of_users_and_weights_of_items_go_in(tmp_path):
    """A user of whom nothing but a feature is known gets items; one without any gets none."""
    settings = {"data.given": ["label"], "model.likelihood": "Multinomial"}
    schema = Schema((40,), "interactions", None, 0, 5, given=(LABEL,))
    session = checked(random_run("multvae", schema, **SMALL, **settings), tmp_path, "recommend")
    history = np.array([[3, -1], [-1, -1], [-1, -1]])
    weights = np.array([[2.0, 0.0]] * 3, np.float32)
    given = np.array([[np.nan], [4.0], [np.nan]])
    inputs = {"history": history, "weights": weights, "given": given}
    items, _ = session.run(None, inputs)
    assert (items[:2] >= 0).all()
    assert (items[2] == -1).all()


def test_the_file_names_the_items(recommending):
    texts = recommending.get_modelmeta().custom_metadata_map
    assert json.loads(texts["lowerbound.items"])[:2] == ["i0", "i1"]
    assert json.loads(texts["lowerbound.titles"])[-1] == f"Film {ITEMS - 1}"


# The file

ELSEWHERE = """
import sys
import numpy
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
items, scores = session.run(["items", "scores"], {"history": numpy.array([[5, 3, 8]])})
print(items.shape)
assert not {"torch", "lowerbound"} & set(sys.modules)
"""


def test_a_file_runs_without_pytorch(films, tmp_path):
    done = lowerbound.export(films, tmp_path / "films.onnx", k=2)
    command = [sys.executable, "-c", ELSEWHERE, str(done.out)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "(1, 2)"


def test_the_file_tells_nothing_of_this_machine(tmp_path, command):
    """The exporter of PyTorch notes the lines of source files that each part comes from."""
    run = random_run("digits", **SMALL)
    done = lowerbound.export(run, tmp_path / "model.onnx")
    content = done.out.read_bytes()
    assert b".py" not in content
    assert b"/home" not in content
    assert b"site-packages" not in content
    assert onnx.load(str(done.out)).opset_import[0].version == 20
    assert done.size == len(content)
    (leftover,) = tmp_path.iterdir()
    assert leftover == done.out


def test_a_file_that_differs_from_the_run_is_not_written(tmp_path, monkeypatch):
    run = random_run("digits", **SMALL)
    out = tmp_path / "model.onnx"
    out.write_bytes(b"another file")
    monkeypatch.setattr(exporting, "compare", lambda *arguments: {1: 1e-7, 3: 2e-3})
    with pytest.raises(RunError, match=r"differs from the run by 0.002 .* at 3 examples"):
        lowerbound.export(run, out, check=True)
    assert out.read_bytes() == b"another file"
    assert list(tmp_path.iterdir()) == [out]


class FixedBatch(graphs.Graph):
    """A graph that holds for one number of examples alone."""

    takes = (Port("x", ("batch", 2), torch.float32, "numbers"),)
    gives = (Port("y", ("batch", 2), torch.float32, "numbers"),)

    def forward(self, *inputs):
        (x,) = inputs
        return (x + torch.ones(len(x), 2),)


def test_a_graph_for_one_number_of_examples_is_refused():
    with pytest.raises(RunError, match="--what encode of this model has no form in ONNX"):
        to_onnx(FixedBatch(), "encode")


def test_differences_are_seen():
    right = np.array([[1.0, 100.0], [3.0, 200.0]])
    shift = np.array([0.1, 0])
    largest = parity._largest
    assert largest(right, right) == 0
    assert largest(right + shift, right) == pytest.approx(0.1 / 200)
    assert largest(right + shift, right, np.ones(2)) == pytest.approx(0.1 / 3)
    assert largest(right[:1], right) == np.inf
    assert largest(np.where(right == 3, np.nan, right), right) == np.inf
    assert largest(right, np.where(right == 3, np.inf, right)) == np.inf


def test_lists_of_other_items_are_seen():
    scores = np.array([[5.0, 4.0, 4.0, 1.0]])
    wanted = [np.array([[0, 1]]), scores[:, :2]]
    difference = parity._difference_of_lists
    assert difference([np.array([[0, 2]]), scores[:, :2]], wanted, scores) == 0
    assert difference([np.array([[0, 3]]), scores[:, :2]], wanted, scores) == 3 / 5
    assert difference([np.array([[0, -1]]), scores[:, :2]], wanted, scores) == np.inf


# What is refused

DENSE = "encode, decode, reconstruct, score"
SPARSE = "encode, decode, reconstruct, recommend"

MISTAKES = [
    ("digits", {"what": "recommend"}, f"--what recommend is for runs on interactions, and this one is on images or a table; allowed: {DENSE}"),
    ("multvae", {"what": "score"}, f"--what score needs a likelihood of examples, which this run has not; allowed: {SPARSE}"),
    ("autoencoder-mnist", {"what": "score"}, "--what score needs a likelihood of examples, which this run has not; allowed: encode, decode, reconstruct"),
    ("digits", {"what": "scores"}, f"unknown --what 'scores'; did you mean 'score'? Allowed: {DENSE}"),
    ("digits", {"k": 3}, "k is for --what recommend, got --what encode"),
    ("digits", {"samples": 3}, "samples are for --what score, got --what encode"),
    ("multvae", {"k": 0}, "k must be 1 or more, got 0"),
    ("digits", {"what": "score", "samples": 0}, "samples must be 1 or more, got 0"),
    ("digits", {"what": "score", "seed": -1}, "seed must be a whole number from 0 to 2^63 - 1, got -1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "message"), MISTAKES)
def test_mistakes(tmp_path, name, arguments, message):
    with pytest.raises(ConfigError) as mistake:
        lowerbound.export(random_run(name, **SMALL), tmp_path / "model.onnx", **arguments)
    assert str(mistake.value) == message
    assert not list(tmp_path.iterdir())


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"an exported file ends in \.onnx, got 'model\.pt2'"):
        lowerbound.export(random_run("digits", **SMALL), tmp_path / "model.pt2")


def test_an_absent_library_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^`lowerbound export` needs onnx and onnxscript and .*"):
        lowerbound.export(random_run("digits", **SMALL), tmp_path / "model.onnx")


def test_weights_beyond_a_file_are_refused(monkeypatch):
    run = random_run("digits", **SMALL)
    monkeypatch.setattr("lowerbound.doors.export.writing.LARGEST", 10)
    with pytest.raises(RunError, match="an ONNX file holds at most 2 GiB"):
        to_onnx(graphs.Encode(run, run.model), "encode")


# The command


def test_the_command(tmp_path, command, monkeypatch):
    run = random_run("multvae", **SMALL)
    monkeypatch.setattr("lowerbound.run.load", lambda folder, allow_code: run)
    out = tmp_path / "films.onnx"
    code, printed, _ = command("export", tmp_path, "--out", out, "--check", "--json", "-k", 3)
    assert code == 0
    answer = json.loads(printed.splitlines()[-1])
    assert answer["what"] == "recommend"
    assert answer["bytes"] == out.stat().st_size
    assert set(answer["differences"]) == {"1", "3", "17"}
    assert answer["outputs"][0]["shape"] == ["batch", 3]


# All recipes


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe.packaged())
def test_every_recipe(tmp_path, name):
    run = random_run(name)
    for what in exporting.possible(run):
        arguments = {}
        if what == "score":
            arguments["samples"] = 10
        checked(run, tmp_path, what, **arguments)
