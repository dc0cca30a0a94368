"""Scores of anomalies: known areas and percentiles, the laws of a code length, and what a fitted
run says of noise.
"""

import io
import json
import lzma
import math

import numpy as np
import polars
import pytest
from PIL import Image, features
from scipy.stats import norm
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

import lowerbound
from lowerbound.anomalies import ANOMALOUS
from lowerbound.errors import ConfigError, DataError, ShapeError
from lowerbound.evaluation import auroc, complexity, percentile, typicality
from lowerbound.evaluation.detection import codecs

QUIET = {"report.write": False, "training.accelerator": "cpu"}


# The area under the curve


@pytest.mark.parametrize(
    ("inside", "outside", "expected"),
    [
        ([1, 2, 3], [4, 5], 1),
        ([4, 5], [1, 2, 3], 0),
        ([7, 7, 7], [7, 7], 0.5),
        ([1, 2, 3], [2, 4], 4.5 / 6),  # 2 beats 1 and ties with 2; 4 beats all
        ([0, 0, 1], [0, 1], (1 + 2.5) / 6),
    ],
)
def test_the_area_of_known_scores(inside, outside, expected):
    assert auroc(np.array(inside), np.array(outside)).value == pytest.approx(expected, abs=1e-12)


def test_the_area_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, 20, 300) / 3, rng.integers(5, 25, 200) / 3  # with many ties
    truth = np.r_[np.zeros(300), np.ones(200)]
    assert auroc(inside, outside).value == pytest.approx(
        roc_auc_score(truth, np.r_[inside, outside]), abs=1e-12
    )


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_its_standard_error_is_its_spread(shift):
    """500 pairs of samples of two normal distributions, whose area is Phi(shift / sqrt 2)."""
    rng = np.random.default_rng(1)
    found = [auroc(rng.normal(size=70), rng.normal(shift, size=40)) for _ in range(500)]
    values = np.array([estimate.value for estimate in found])
    spread = values.std(ddof=1)
    assert abs(values.mean() - norm.cdf(shift / math.sqrt(2))) < 4 * spread / math.sqrt(500)
    assert np.mean([estimate.standard_error for estimate in found]) == pytest.approx(
        spread, rel=4 / math.sqrt(1000)
    )


def test_its_standard_error_by_hand():
    """Of [2, 4] against [1, 2, 3]: the shares are 1/2 and 1 of the one side, 1, 3/4 and 1/2 of the
    other.
    """
    error = auroc(np.array([1, 2, 3]), np.array([2, 4])).standard_error
    assert error == pytest.approx(math.sqrt((1 / 8) / 2 + (1 / 16) / 3), rel=1e-12)


def test_scores_that_do_not_overlap_and_single_examples():
    assert auroc(np.arange(5.0), np.arange(10.0, 15.0)).standard_error == 0
    assert math.isnan(auroc(np.array([1.0]), np.array([2.0, 3.0])).standard_error)


# Percentiles and typicality


def test_percentiles_by_hand():
    found = percentile(np.array([0, 1, 1.5, 2, 4, 9]), np.array([4, 1, 2, 1]))
    assert found.tolist() == [0, 25, 50, 62.5, 87.5, 100]


def test_a_sample_is_uniform_among_itself():
    values = np.random.default_rng(0).normal(size=101)
    assert np.sort(percentile(values, values)) == pytest.approx((np.arange(101) + 0.5) / 101 * 100)


def test_typicality_is_high_on_both_sides():
    training = np.array([-110.0, -100.0, -90.0])
    assert typicality(np.array([-100.0, -60.0, -140.0]), training).tolist() == [0, 40, 40]


# Complexity

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 8, 8), (3, 5, 17), (1, 1, 1)]


def noise(shape, n=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_code_gives_the_image_back(shape):
    """Otherwise its length would say nothing of the image."""
    (image,) = np.moveaxis(noise(shape, 1), 1, -1)
    first, *pictures = codecs()
    raw = lzma.decompress(first(image), lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}])
    assert raw == image.tobytes()
    for code in pictures:
        with Image.open(io.BytesIO(code(image))) as picture:
            mode = "L" if shape[0] == 1 else "RGB"
            assert np.array_equal(np.asarray(picture.convert(mode)).reshape(image.shape), image), (
                picture.format
            )


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_noise_costs_eight_bits_a_value_and_no_image_costs_more(shape):
    pixels = math.prod(shape) * math.log(256)
    found = complexity(noise(shape))
    assert found.shape == (4,)
    assert np.all(
        found >= pixels
    )  # no code is shorter than the entropy of noise, but with a vanishing probability
    assert np.all(found <= 1.02 * pixels)


def test_simple_images_cost_less_than_others():
    digits = (load_digits().images[:1].repeat(4, 1).repeat(4, 2) * 15).astype(np.uint8)
    flat, stripes = (
        np.full((32, 32), 200, np.uint8),
        np.arange(32, dtype=np.uint8).repeat(32).reshape(32, 32),
    )
    found = complexity(np.stack([flat, stripes, digits[0], noise((32, 32), 1)[0]])[:, None])
    assert np.all(np.diff(found) > 0)


def test_colour_that_is_grey_costs_little_more_than_grey():
    if not features.check("webp"):
        pytest.skip("this Pillow has no WebP")
    grey = noise((1, 24, 24))
    assert np.all(complexity(grey.repeat(3, 1)) < 1.1 * complexity(grey))


# A fitted run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The digits on 256 levels, with labels; noise, blank images, and images of another size."""
    folder = tmp_path_factory.mktemp("anomalies")
    images = (load_digits().images * 15).astype(np.uint8)
    np.savez(folder / "digits.npz", images=images, labels=load_digits().target)
    np.save(folder / "noise.npy", noise((8, 8), 200))
    np.save(folder / "large.npy", noise((9, 9), 20))
    np.save(folder / "real.npy", noise((8, 8), 20) / 255.0)
    return folder


def fit(folder, name, **settings):
    return lowerbound.fit("digits", out=folder / name, progress=False, settings=QUIET | settings)


@pytest.fixture(scope="module")
def run(folder):
    settings = {
        "data.source": str(folder / "digits.npz"),
        "model.likelihood.levels": 256,
        "training.epochs": 5,
    }
    return fit(folder, "run", **settings)


@pytest.fixture(scope="module")
def levels17(folder):
    return fit(folder, "levels17", **{"training.epochs": 1})


@pytest.fixture(scope="module")
def autoencoder(folder):
    settings = {
        "objective": {"type": "Reconstruction"},
        "model.posterior": "Delta",
        "training.epochs": 1,
    }
    return fit(folder, "autoencoder", **settings)


@pytest.fixture(scope="module")
def recommender(folder):
    settings = {"data.source": "synthetic-interactions", "training.epochs": 1} | QUIET
    return lowerbound.fit("multvae", out=folder / "recommender", progress=False, settings=settings)


NAMES = [
    "elbo",
    "log_likelihood",
    "percentile",
    "typicality",
    "typicality_percentile",
    "complexity",
    "log_ratio",
]


def test_the_columns_of_its_own_test_split(run):
    scores = lowerbound.score(run, samples=5)
    frame, test = scores.to_frame(), run.data().split("test")
    assert frame.columns == ["row", "label", *NAMES]
    assert frame["row"].to_list() == test.rows.tolist()
    assert frame["label"].to_list() == test.labels.tolist()
    assert frame.null_count().sum_horizontal().item() == 0
    assert (frame["log_ratio"] - frame["log_likelihood"] - frame["complexity"]).abs().max() < 1e-9
    assert (scores.own, scores.auroc()) == (None, {})  # nothing to tell it from


def test_the_means_are_what_evaluate_finds(run):
    means, found = lowerbound.score(run, samples=5).means(), run.evaluate(samples=5)
    assert means["elbo"] == pytest.approx((found["elbo"], found["elbo_se"]), rel=1e-9)
    assert means["log_likelihood"] == pytest.approx(
        (found["log_likelihood"], found["log_likelihood_se"]), rel=1e-9
    )


def test_the_training_examples_are_uniform_among_themselves(run):
    frame = lowerbound.score(run, split="train", samples=3).to_frame()
    uniform = (np.arange(len(frame)) + 0.5) / len(frame) * 100
    assert frame["percentile"].sort().to_numpy() == pytest.approx(uniform)
    assert frame["typicality_percentile"].sort().to_numpy() == pytest.approx(uniform)


def test_few_training_examples_give_nearly_the_same_percentiles(run):
    every, few = (lowerbound.score(run, samples=3, reference=n) for n in (5000, 300))
    assert (every.reference, few.reference) == (len(run.data().train), 300)
    distance = np.abs(every.columns["percentile"] - few.columns["percentile"]).max()
    assert 0 < distance < 100 * 1.95 / math.sqrt(300)  # Kolmogorov's bound, at 0.1 %


def test_noise_is_anomalous(run, folder):
    scores = lowerbound.score(run, folder / "noise.npy", samples=3)
    assert (scores.split, len(scores), len(scores.own["elbo"])) == ("all", 200, 359)
    assert scores.auroc().keys() == ANOMALOUS.keys() - {"log_ratio_against"}
    assert all(estimate.value > 0.99 for estimate in scores.auroc().values())
    assert scores.columns["percentile"].max() < 1
    assert "label" not in scores.columns


def test_the_same_values_from_elsewhere_are_no_other_source(run, folder):
    np.save(folder / "again.npy", (load_digits().images * 15).astype(np.uint8))
    assert lowerbound.score(run, folder / "again.npy", samples=1).auroc() == {}


def test_the_ratio_to_itself_is_one(run):
    scores = lowerbound.score(run, samples=2, against=run.folder)
    assert np.abs(scores.columns["log_ratio_against"]).max() < 1e-6


def test_a_better_model_wins_against_a_worse_one(run, folder):
    """On the data that both were fitted to; and the ratio tells these data from others."""
    worse = fit(
        folder,
        "worse",
        **{
            "data.source": str(folder / "noise.npy"),
            "model.likelihood.levels": 256,
            "training.epochs": 2,
        },
    )
    scores = lowerbound.score(run, folder / "noise.npy", samples=2, against=worse)
    assert scores.own["log_ratio_against"].min() > 0
    assert scores.auroc()["log_ratio_against"].value > 0.99


def test_the_least_likely_come_first(run):
    scores = lowerbound.score(run, samples=2)
    least = scores.least_likely(4)["log_likelihood"].to_list()
    assert least == sorted(scores.columns["log_likelihood"])[:4]


def test_the_seed_decides_all(run, folder):
    one, same, other = (
        lowerbound.score(run, folder / "noise.npy", samples=2, seed=seed) for seed in (0, 0, 1)
    )
    assert one.to_frame().equals(same.to_frame())
    assert all(
        np.any(one.columns[name] != other.columns[name]) for name in ("elbo", "log_likelihood")
    )


@pytest.mark.parametrize("likelihood", ["Bernoulli", "Normal"])
def test_only_a_probability_of_the_levels_is_compared_with_a_code(folder, likelihood):
    settings = {"model.likelihood": likelihood, "training.epochs": 1}
    scores = lowerbound.score(fit(folder, likelihood, **settings), samples=1)
    assert scores.columns.keys() == {"row", "label", *NAMES} - {"log_ratio"}


def test_a_binary_image_is_compared_with_its_code(folder):
    settings = {"model.likelihood": "Bernoulli", "data.binarize": "static", "training.epochs": 1}
    scores = lowerbound.score(fit(folder, "binary", **settings), samples=1)
    assert "log_ratio" in scores.columns
    assert scores.columns["complexity"].max() < 64 * math.log(2) + 32 * math.log(
        256
    )  # a bit each, and a header


def test_a_table_has_no_complexity(folder):
    rng = np.random.default_rng(0)
    (folder / "t.csv").write_text(
        "a,b\n" + "\n".join(f"{a},{b}" for a, b in rng.normal(size=(100, 2)))
    )
    (folder / "far.csv").write_text(
        "a,b\n" + "\n".join(f"{a},{b}" for a, b in rng.normal(9, 1, size=(50, 2)))
    )
    settings = QUIET | {"training.epochs": 5, "data.test": 0.2}
    table = lowerbound.fit(
        "table", data=folder / "t.csv", out=folder / "table", progress=False, settings=settings
    )
    scores = lowerbound.score(table, folder / "far.csv", samples=2)
    assert scores.columns.keys() == {"row", *NAMES[:5]}
    assert scores.auroc()["log_likelihood"].value > 0.99
    assert "standardised" in scores.summary()["caveat"]


# What is refused


@pytest.mark.parametrize("options", [{"samples": 0}, {"reference": 0}], ids=str)
def test_too_few_are_refused(run, options):
    with pytest.raises(ConfigError, match=f"{next(iter(options))} must be 1 or more, got 0"):
        lowerbound.score(run, **options)


def test_runs_without_a_likelihood_are_refused(run, autoencoder, recommender):
    for other, why in ((autoencoder, "is an autoencoder"), (recommender, "on interactions")):
        with pytest.raises(ConfigError, match=why):
            lowerbound.score(other)
        with pytest.raises(ConfigError, match=why):
            lowerbound.score(run, against=other)


def test_sources_that_do_not_fit_are_refused(run, folder):
    with pytest.raises(ShapeError, match=r"large\.npy has examples of shape \(1, 9, 9\)"):
        lowerbound.score(run, folder / "large.npy")
    with pytest.raises(DataError, match="real numbers"):
        lowerbound.score(run, folder / "real.npy")


def test_a_run_on_other_data_is_refused_to_compare_with(run, levels17):
    with pytest.raises(ShapeError, match=r"on 17 levels.*on 256 levels; the two must be alike"):
        lowerbound.score(run, against=levels17)


# The command


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_the_command_writes_every_score(command, run, folder, tmp_path, ending):
    out = tmp_path / f"scores{ending}"
    code, printed, _ = command(
        "score", run.folder, "--data", folder / "noise.npy", "--out", out, "--samples", 2
    )
    frame = (polars.read_csv if ending == ".csv" else polars.read_parquet)(out)
    assert code == 0
    assert "AUROC" in printed
    assert str(out) in printed
    assert printed.count("log p(x)") == 5
    assert (len(frame), frame.columns) == (200, ["row", *NAMES])


def test_the_command_as_json(command, run, folder, tmp_path):
    out = tmp_path / "scores.csv"
    arguments = ("--data", folder / "noise.npy", "--against", run.folder, "--samples", 2, "--json")
    code, printed, _ = command("score", run.folder, "--out", out, *arguments)
    found = json.loads(printed.splitlines()[-1])
    assert code == 0
    assert (found["out"], found["examples"], found["samples"]) == (str(out), 200, 2)
    assert found["means"].keys() == found["own_test_means"].keys() == {*NAMES, "log_ratio_against"}
    assert found["auroc"].keys() == ANOMALOUS.keys()
    assert found["auroc"]["log_likelihood"]["value"] > 0.99
    frame = polars.read_csv(out)
    assert found["means"]["elbo"]["value"] == pytest.approx(frame["elbo"].mean())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--out", "x.txt"], "ending must be one of .csv, .parquet, got .txt"),
        (["--out", "x.csv", "--samples", "0"], "samples must be 1 or more, got 0"),
        (["--out", "x.csv", "--split", "tset"], "unknown split 'tset'"),
        (["--out", "x.csv", "--data", "LARGE"], "shape (1, 9, 9)"),
        (["--out", "x.csv", "--against", "nowhere"], "nowhere is not a fitted run"),
        (["--out", "x.csv", "--against", "LEVELS17"], "the two must be alike"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(
    command, run, levels17, folder, tmp_path, monkeypatch, arguments, line
):
    monkeypatch.chdir(tmp_path)
    known = {"LARGE": folder / "large.npy", "LEVELS17": levels17.folder}
    code, out, err = command("score", run.folder, *(known.get(a, a) for a in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("lowerbound: ")
    assert line in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
