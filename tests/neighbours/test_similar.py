"""Neighbours by codes: exact, of every kind of data, by every way to name what they are like."""

import json

import numpy as np
import polars
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

import lowerbound
from lowerbound.errors import ConfigError, DataError
from lowerbound.families import Delta, Normal
from lowerbound.model import Architecture
from lowerbound.neighbours import METRICS, encode_items, nearest, spreads_of_posteriors
from lowerbound.networks import MLP

QUIET = {"report.write": False, "training.accelerator": "cpu"}


# The nearest of many codes


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_nearest_are_those_of_scikit_learn(metric, monkeypatch):
    monkeypatch.setattr("lowerbound.neighbours.metrics.NUMBERS_AT_ONCE", 100)
    codes = np.random.default_rng(0).normal(size=(300, 7)).astype(np.float32)
    known = NearestNeighbors(n_neighbors=6, metric=metric, algorithm="brute").fit(codes)
    distances, positions = known.kneighbors(codes[:1])
    found = nearest(torch.from_numpy(codes), torch.from_numpy(codes[0]), 5, metric, besides=0)
    assert found.positions.tolist() == positions[0, 1:].tolist()
    if metric == "cosine":
        distances = 1 - distances
    assert np.allclose(found.values, distances[0, 1:], atol=1e-6)


def test_of_equal_codes_the_first_comes_first():
    codes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 2.0]])
    assert nearest(codes, codes[1], 9, "euclidean", besides=1).positions.tolist() == [2, 3, 0]
    assert nearest(codes, codes[1], 2, "cosine").positions.tolist() == [1, 2]
    assert nearest(codes, torch.zeros(2), 1, "cosine").values.tolist() == [0]  # no angle


class Some:
    """Examples that some can be taken of."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def batch(self, index, key=0):
        return self.values[index]

    def take(self, rows):
        return Some(self.values[rows])


def test_the_spreads_are_those_of_the_posterior():
    torch.manual_seed(0)
    model = Architecture((2,), MLP((4,)), likelihood=Normal()).build((3,)).double()
    examples = Some(torch.randn(1500, 3).double())
    q = model.infer(examples.values).levels[0].q
    expected = q.variance.mean(0).sqrt()
    assert torch.allclose(spreads_of_posteriors(model, examples), expected, rtol=0.05)
    point = Architecture((2,), MLP((4,)), posterior=Delta(), likelihood=Normal()).build((3,))
    with pytest.raises(ConfigError, match=r"needs a posterior with a spread.*cosine, euclidean"):
        spreads_of_posteriors(point.double(), examples)


# Images


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("neighbours")


@pytest.fixture(scope="module")
def digits(home):
    settings = QUIET | {"training.epochs": 6, "model.network": {"type": "MLP", "hidden": [32]}}
    return lowerbound.fit("digits", out=home / "digits", settings=settings, progress=False)


def test_a_row_a_file_and_an_image_in_memory_have_the_same_neighbours(digits, home):
    image = load_digits().images[3].astype(np.uint8)
    Image.fromarray(image * 15).save(home / "grey.png")  # 16 levels of 256: the run has 17
    np.save(home / "three.npy", image[None])
    by_row = digits.similar(3, k=4)
    by_file = digits.similar(home / "three.npy", k=5)
    by_array = digits.similar(image, k=5)
    assert by_row.names["row"].tolist() == by_file.names["row"].tolist()[1:]
    assert by_file.names["row"][0] == 3
    assert by_file.values[0] == pytest.approx(0, abs=1e-4)
    assert np.allclose(by_row.values, by_file.values[1:], atol=1e-4)
    assert np.allclose(by_array.values, by_file.values, atol=1e-4)
    assert by_row.images().shape == (5, 1, 8, 8)
    assert np.allclose(by_row.images()[0, 0] * 16, image)
    assert "data:image/png;base64," in by_row._repr_html_()
    assert "the 4 nearest of 1,797 in digits to row 3, by mahalanobis distance" in repr(by_row)


def test_most_neighbours_of_digits_are_of_the_same_label(digits):
    """One in ten are, by chance."""
    for metric in METRICS:
        same = 0
        for row in range(0, 100, 5):
            found = digits.similar(row, k=5, metric=metric, split="train")
            assert row not in found.names["row"]
            label = load_digits().target[row]
            same += int((found.names["label"] == label).sum())
        assert same > 50, metric


def test_the_codes_of_one_level_alone(digits):
    whole = digits.similar(3, metric="euclidean")
    assert np.allclose(digits.similar(3, metric="euclidean", level=0).values, whole.values)
    with pytest.raises(ConfigError, match="this model has the levels 0, got 1"):
        digits.similar(3, level=1)


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        (5000, {}, "there is no row 5000 among the 1,797 examples; their rows are 0 to 1,796"),
        ("nowhere.png", {}, "there is no file nowhere.png; allowed: the number of a row, the path"),
        (3, {"metric": "manhattan"}, "unknown metric 'manhattan'"),
        (3, {"k": 0}, "k must be 1 or more, got 0"),
        (3, {"users": True}, "users are those of a run on interactions"),
        (3, {"split": "rest"}, "unknown split 'rest'"),
        (np.zeros((2, 8, 8), np.uint8), {}, "to holds 2 examples; allowed"),
    ],
)
def test_what_there_is_not_is_refused(digits, to, options, message):
    with pytest.raises((ConfigError, DataError), match=message):
        lowerbound.similar(digits, to, **options)


def test_the_command_line(digits, home, command):
    code, out, err = command("similar", digits.folder, "--to", 3, "-k", 2, "--out", home / "s.png")
    assert (code, err.count("Traceback")) == (0, 0)
    assert "the 2 nearest of 1,797 in digits to row 3" in out
    with Image.open(home / "s.png") as sheet:
        assert sheet.size == (2 * 56 + 2, 2 * 56 + 2)
    words = ("similar", digits.folder, "--to", 3, "--json", "--out", home / "s.csv", "--level", 1)
    _, out, _ = command(*words)
    found = json.loads(out.splitlines()[-1])
    assert [row["rank"] for row in found["nearest"]] == list(range(1, 11))
    assert polars.read_csv(home / "s.csv")["row"].to_list() == [
        row["row"] for row in found["nearest"]
    ]
    code, _, err = command("similar", digits.folder, "--to", 3, "--out", home / "s.txt")
    assert (code, "must be one of .csv, .parquet, .png, got .txt" in err) == (2, True)


# Tables


def test_rows_of_a_table_and_their_cells(home):
    draw = np.random.default_rng(0)
    group = draw.integers(0, 2, 200)
    rows = {
        "size": 10.0 * group + draw.normal(size=200).round(2),
        "kind": np.where(group > 0, "large", "small"),
    }
    frame = polars.DataFrame(rows)
    settings = QUIET | {"training.epochs": 30, "model.latent": [2]}
    run = lowerbound.fit("table", data=frame, out=home / "t", settings=settings, progress=False)
    found = lowerbound.similar(run, {"size": 10.5, "kind": "large"}, frame, k=5).to_frame()
    assert found.columns == ["rank", "row", "distance", "size", "kind"]
    assert set(found["kind"]) == {"large"}
    again = lowerbound.similar(run, frame[int(found["row"][0])], frame, k=1)
    assert again.names["row"].tolist() == [found["row"][0]]
    reloaded = lowerbound.load(run.folder)
    with pytest.raises(DataError, match="was fitted to data in memory, which no file has"):
        reloaded.similar(3)
    assert len(reloaded.similar(3, frame)) == 10


# Interactions


@pytest.fixture(scope="module")
def films(home):
    """Two groups of users, each with ten films of its own."""
    draw = np.random.default_rng(0)
    rows = ["user,item,title"]
    for user in range(80):
        for item in draw.choice(10, 5, replace=False) + 10 * (user % 2):
            rows.append(f"u{user},{item},Film {item}")
    (home / "films.csv").write_text("\n".join(rows))
    settings = QUIET | {"training.epochs": 60, "data.validation": 10, "data.test": 10}
    settings |= {"model.latent": [3], "model.network": {"type": "MLP", "hidden": [16]}}
    settings |= {"objective.beta": 0.05, "training.learning_rate": 0.01, "training.batch_size": 20}
    return lowerbound.fit(
        "multvae",
        data=home / "films.csv",
        out=home / "films",
        settings=settings | {"data.interactions": {"split": "strong"}},
        progress=False,
    )


def test_items_and_users_of_one_group_are_near(films, home):
    found = films.similar(13, k=9)
    assert {item // 10 for item in found.names["item"]} == {1}
    assert 13 not in found.names["item"]
    assert found.to == "item 13 (Film 13)" or found.to == "item 13"
    for metric in METRICS:
        users = films.similar("u7", k=9, users=True, metric=metric)
        assert {int(user[1:]) % 2 for user in users.names["user"]} == {1}
    assert users.to == "user u7"
    with pytest.raises(DataError, match="no item '99' among the 20 of this run"):
        films.similar(99)
    with pytest.raises(DataError, match="there is no user nobody; the first users are u0"):
        films.similar("nobody", users=True)


def test_items_need_no_log(films, home):
    """Nor do users: the run keeps its split."""
    (home / "films.csv").rename(home / "moved.csv")
    try:
        run = lowerbound.load(films.folder)
        assert run.similar(13, k=3).metric == "cosine"
        by_distance = encode_items(run, metric="mahalanobis").nearest_to(13, 9)
        assert {item // 10 for item in by_distance.names["item"]} == {1}
        assert len(run.similar("u7", users=True).to_frame())
    finally:
        (home / "moved.csv").rename(home / "films.csv")
    with pytest.raises(ConfigError, match="items are those of the run: give no data"):
        films.similar(13, home / "films.csv")
