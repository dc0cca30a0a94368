"""Scores of anomalies: known areas and percentiles, the laws of a code length, and what a fitted
run says of noise.
"""

import io
import json
import lzma
import math
import shutil

import numpy as np
import polars
import pytest
import torch
from PIL import Image, features
from scipy.stats import beta, kstest, norm
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score, roc_auc_score

import lowerbound
from lowerbound.anomalies import ANOMALOUS, Threshold, examples_kept
from lowerbound.anomalies.measures import draw_rows
from lowerbound.cli.scores import least_likely_row
from lowerbound.errors import ConfigError, DataError, RunError, ShapeError
from lowerbound.evaluation import auroc, average_precision, complexity, percentile, typicality
from lowerbound.evaluation.detection import codecs
from lowerbound.evaluation.likelihood import LIKELIHOOD_SAMPLES

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
    np.save(folder / "real.npy", noise((8, 8), 20) / 256.0)
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
    assert repr(scores).endswith(repr(frame))


def test_the_means_are_about_what_evaluate_finds(run):
    """Up to the noise, which is the same for all examples in the one, and not in the other."""
    means, found = lowerbound.score(run, samples=50).means(), run.evaluate(samples=50)
    for name in ("elbo", "log_likelihood"):
        error = found[f"{name}_se"]
        assert means[name].value == pytest.approx(found[name], abs=3 * error)
        assert means[name].standard_error == pytest.approx(error, rel=0.1)


def test_a_score_is_a_function_of_the_row_alone(run):
    """In any order, alone, in float64 and nearly so in float32; and it is `log_likelihood`."""
    pixels = load_digits().images[:6].astype(np.uint8)
    for precise, tolerance in ((run, 1e-5), (run.in_float64(), 1e-9)):
        whole = lowerbound.score(precise, pixels, samples=20).scores
        turned = lowerbound.score(precise, pixels[::-1], samples=20).scores
        alone = lowerbound.score(precise, pixels[2:3], samples=20).scores
        for name, values in whole.items():
            assert np.allclose(values[::-1], turned[name], rtol=tolerance, atol=0), name
            assert np.allclose(values[2], alone[name][0], rtol=tolerance, atol=0), name
        direct = precise.log_likelihood(pixels, samples=20)
        assert np.allclose(direct, whole["log_likelihood"], rtol=tolerance, atol=0)
    assert next(run.model.parameters()).dtype == torch.float32


def test_what_is_drawn_of_an_image_is_a_function_of_it_alone(tmp_path):
    """Pixels that are binarised are, in scores, by the same noise for all images."""
    pixels = load_digits().images.astype(np.float32)[:300] / 16
    settings = {"data.binarize": "static", "model.likelihood": "Bernoulli", "training.epochs": 1}
    settings |= QUIET
    run = lowerbound.fit("digits", data=pixels, out=tmp_path / "r", settings=settings)
    run = run.in_float64()
    whole = run.log_likelihood(pixels[:5], samples=10)
    assert np.allclose(whole[3:4], run.log_likelihood(pixels[3:4], samples=10), rtol=1e-9)
    scores = lowerbound.score(run, pixels[:5], samples=10).scores["log_likelihood"]
    assert np.allclose(whole, scores, rtol=1e-9)


def test_the_reference_is_uniform_among_itself(run):
    """It is the validation split, whatever the samples: kept with the run, or measured anew."""
    for samples in (LIKELIHOOD_SAMPLES, 3):
        scores = lowerbound.score(run, split="validation", samples=samples)
        assert (scores.reference_split, scores.reference) == ("validation", 180)
        frame = scores.to_frame()
        uniform = (np.arange(len(frame)) + 0.5) / len(frame) * 100
        assert frame["percentile"].sort().to_numpy() == pytest.approx(uniform)
        assert frame["typicality_percentile"].sort().to_numpy() == pytest.approx(uniform)


def test_ordinary_test_examples_are_uniform_among_the_reference(folder):
    """Training examples of a model that overfits are above held-out ones; ordinary test examples
    are not below them: Kolmogorov's bound at 0.1 % for 809 and 809 examples.
    """
    settings = {"data.source": str(folder / "digits.npz"), "model.likelihood.levels": 256}
    settings |= {"data.validation": 0.45, "data.test": 0.45, "training.patience": None}
    overfit = fit(folder, "overfit", **settings, **{"training.epochs": 150})
    test = lowerbound.score(overfit, samples=5).columns["percentile"]
    train = lowerbound.score(overfit, split="train", samples=5).columns["percentile"]
    assert len(test) == 809
    distance = np.abs(np.sort(test) / 100 - (np.arange(809) + 0.5) / 809)
    assert distance.max() < 1.95 * math.sqrt(2 / 809)
    assert train.mean() > test.mean() + 5


@pytest.mark.parametrize(
    ("sizes", "split"),
    [
        ({"data.validation": 40, "data.test": 40}, "validation"),
        ({"data.validation": 0, "data.test": 40, "training.patience": None}, "test"),
        ({"data.validation": 0, "data.test": 0, "training.patience": None}, "train"),
    ],
)
def test_the_reference_is_held_out_where_something_is(folder, tmp_path, sizes, split):
    """And without held-out data the caveat says what the percentiles are."""
    one = fit(tmp_path, "one", **{"training.epochs": 1}, **sizes)
    for kept in (True, False):
        if not kept:
            (one.folder / "reference.json").unlink()
        scores = lowerbound.score(one, split="train")
        assert scores.reference_split == split
        assert ("no held-out data" in str(scores.caveat)) == (split == "train")


def test_few_examples_give_nearly_the_same_percentiles(run):
    every, few = (lowerbound.score(run, samples=3, reference=n) for n in (5000, 90))
    assert (every.reference, few.reference) == (180, 90)
    distance = np.abs(every.columns["percentile"] - few.columns["percentile"]).max()
    assert 0 < distance < 100 * 1.95 / math.sqrt(90)  # Kolmogorov's bound, at 0.1 %


# What a run keeps


def test_a_run_keeps_what_its_data_would_give(run, folder, monkeypatch):
    """The same scores, percentiles, cuts and areas with the kept numbers as from the data."""
    options = {"threshold": 0.05}
    kept = lowerbound.score(run, folder / "noise.npy", **options)
    monkeypatch.setattr("lowerbound.anomalies.reference.read", lambda folder: None)
    measured = lowerbound.score(run, folder / "noise.npy", **options)
    assert kept.to_frame().equals(measured.to_frame())
    assert kept.thresholds == measured.thresholds
    assert kept.own.keys() == measured.own.keys()
    assert all(np.array_equal(kept.own[name], measured.own[name]) for name in kept.own)


@pytest.mark.parametrize(
    ("trained", "kept"), [(0, 500), (500_999, 500), (1_000_000, 1000), (10**7, 5000)]
)
def test_how_many_are_kept_depends_on_counts_alone(trained, kept):
    """One example for each ten times a hundred draws that the fit has made, within the limits."""
    assert LIKELIHOOD_SAMPLES == 100, "the counts of this test are those of 100 samples"
    assert examples_kept(trained) == kept


@pytest.mark.parametrize(("count", "most"), [(1000, 900), (50, 50), (7, 100)])
def test_a_reference_has_each_row_once(count, most):
    """Rows that are drawn twice would count twice in each percentile."""
    rows = draw_rows(count, most, seed=3)
    assert len(rows) == len(set(rows.tolist())) == min(count, most)
    assert (np.diff(rows) > 0).all()
    assert 0 <= rows[0] < rows[-1] < count


def test_no_reference_without_a_likelihood(autoencoder, recommender):
    assert not (autoencoder.folder / "reference.json").exists()
    assert not (recommender.folder / "reference.json").exists()


def test_new_weights_never_stand_beside_an_old_reference(folder, tmp_path, monkeypatch):
    """A fit that ends between the two leaves no reference."""
    one = fit(tmp_path, "one", **{"training.epochs": 1})
    assert (one.folder / "reference.json").is_file()
    monkeypatch.setattr("lowerbound.anomalies.keep", lambda *arguments: 1 / 0)
    settings = QUIET | {"training.epochs": 2}
    lowerbound.fit("digits", out=one.folder, settings=settings, resume=True, progress=False)
    assert not (one.folder / "reference.json").exists()


GOOD = {"elbo": [1.0], "log_likelihood": [1.0]}


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        "{}",
        json.dumps({"format": 2, "samples": 20, "splits": {"test": GOOD}}),
        json.dumps({"format": 1, "samples": 20, "splits": {}}),
        json.dumps({"format": 1, "samples": 20, "splits": {"best": GOOD}}),
        json.dumps({"format": 1, "samples": 20, "splits": {"test": GOOD | {"elbo": []}}}),
        json.dumps({"format": 1, "samples": 20, "splits": {"test": GOOD | {"elbo": [math.nan]}}}),
        json.dumps({"format": 1, "samples": 20, "splits": {"test": GOOD | {"elbo": [1.0, 2.0]}}}),
    ],
)
def test_a_damaged_reference_is_one_line(run, tmp_path, content):
    copied = tmp_path / "run"
    shutil.copytree(run.folder, copied)
    (copied / "reference.json").write_text(content)
    with pytest.raises(RunError, match=r"reference\.json") as caught:
        lowerbound.score(lowerbound.load(copied))
    assert "\n" not in str(caught.value)


# Thresholds


@pytest.mark.parametrize("end", ["low", "high"])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_false_alarms_are_as_many_as_expected(end, rate):
    """Over 2,000 sets of held-out scores the true rate has the stated mean, lies in the stated
    interval as often as stated, and has the distribution Beta(k, n + 1 - k)."""
    rng = np.random.default_rng(0)
    count = 150
    rates, inside = [], []
    for _ in range(2000):
        cut = Threshold.of("s", end, rng.normal(size=count), rate)
        true_rate = norm.cdf(cut.cut) if end == "low" else norm.sf(cut.cut)
        rates.append(true_rate)
        inside.append(cut.interval[0] <= true_rate <= cut.interval[1])
    k = math.floor(rate * (count + 1))
    assert cut.rate == pytest.approx(k / (count + 1))
    assert cut.rate <= rate
    assert np.mean(rates) == pytest.approx(cut.rate, abs=4 * np.std(rates) / math.sqrt(2000))
    assert np.mean(inside) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 2000))
    assert kstest(rates, beta(k, count + 1 - k).cdf).pvalue > 1e-3


def test_a_cut_by_hand():
    """Of the scores 1 to 9, a tenth: the least is the cut, and what is below it is anomalous."""
    held_out = np.arange(1.0, 10.0)
    low, high = (Threshold.of("s", end, held_out, 0.1) for end in ("low", "high"))
    assert (low.cut, low.rate, high.cut, high.rate) == (1, 0.1, 9, 0.1)
    values = np.array([0.5, 1.0, 9.0, 9.5, math.nan])
    assert low.flags(values).tolist() == [True, False, False, False, True]
    assert high.flags(values).tolist() == [False, False, False, True, True]
    # Beta(1, 9) has the distribution function 1 - (1 - p)^9.
    assert [1 - (1 - p) ** 9 for p in low.interval] == pytest.approx([0.025, 0.975])


def test_a_threshold_flags_the_rows_beyond_its_cut(run, folder):
    scores = lowerbound.score(run, folder / "noise.npy", threshold=0.05)
    assert scores.thresholds.keys() == ANOMALOUS.keys() - {"log_ratio_against", "adjusted"}
    cut = scores.thresholds["log_likelihood"].cut
    column = scores.columns["log_likelihood"] < cut
    assert scores.columns["anomalous"].tolist() == column.tolist()
    assert scores.flagged()["log_likelihood"] == 200  # noise is anomalous
    by_ratio = lowerbound.score(run, folder / "noise.npy", threshold=0.05, by="log_ratio")
    cut = by_ratio.thresholds["log_ratio"].cut
    assert by_ratio.columns["anomalous"].tolist() == (scores.columns["log_ratio"] < cut).tolist()
    own = scores.summary()["thresholds"]["cuts"]["log_likelihood"]
    low, high = own["interval"]
    assert low / 2 < own["own_test_flagged"] / 359 < high * 2  # of ordinary examples


# The truth


def test_average_precision_by_hand():
    """In the order + - + -, it is the mean of 1 / 1 and 2 / 3."""
    marks = np.array([True, False, True, False])
    assert average_precision(marks, np.array([4.0, 3, 2, 1])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(marks, np.zeros(4)) == 0.5  # all tie


def test_average_precision_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    marks = rng.random(300) < 0.1
    scores = rng.integers(0, 30, 300) + 5.0 * marks  # with many ties
    expected = average_precision_score(marks, scores)
    assert average_precision(marks, scores) == pytest.approx(expected, abs=1e-12)


def test_no_order_of_what_is_no_number():
    numbers, holes = np.arange(4.0), np.array([1.0, math.nan, 2.0])
    for call in (
        lambda: auroc(numbers, holes),
        lambda: auroc(holes, numbers),
        lambda: percentile(numbers, holes),
        lambda: average_precision(np.array([True, False, True]), holes),
    ):
        with pytest.raises(DataError, match=r"1 of 3 scores are no numbers \(nan\)") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert np.isnan(percentile(holes, numbers)).tolist() == [False, True, False]


@pytest.fixture(scope="module")
def mixed(folder):
    """Digits, and at every fourth place noise, with labels that say so."""
    images = (load_digits().images[:200] * 15).astype(np.uint8)
    is_noise = np.arange(200) % 4 == 0
    images[is_noise] = noise((8, 8), 50)
    np.savez(folder / "mixed.npz", images=images, labels=is_noise.astype(int))
    return folder / "mixed.npz", is_noise


@pytest.mark.parametrize("truth", ["label", "label=1", "label!=0", "array"])
def test_the_truth_measures_the_scores(run, mixed, truth):
    path, is_noise = mixed
    scores = lowerbound.score(run, path, samples=2, truth=is_noise if truth == "array" else truth)
    found = scores.against_truth()
    assert scores.columns["truth"].tolist() == is_noise.tolist()
    assert found.keys() == ANOMALOUS.keys() - {"log_ratio_against", "adjusted"}
    for name, measures in found.items():
        sign = 1 if ANOMALOUS[name] == "high" else -1
        values = sign * scores.columns[name]
        assert measures.auroc.value == pytest.approx(roc_auc_score(is_noise, values))
        assert measures.average_precision == pytest.approx(
            average_precision_score(is_noise, values)
        )
    assert found["log_likelihood"].auroc.value > 0.99
    assert abs(scores.auroc()["log_likelihood"].value - 0.5) < 0.25  # another question


def table_of(path, rows, kind="csv"):
    """A table of two normal columns, and a text column that says which rows are far out."""
    rng = np.random.default_rng(rows)
    is_bad = np.arange(rows) % 5 == 0
    a, b = rng.normal(size=(2, rows)) + 6 * is_bad
    frame = polars.DataFrame(
        {"state": np.where(is_bad, "bad", "good"), "a": a, "b": b, "flag": is_bad}
    )
    path = path / f"t{rows}.{kind}"
    getattr(frame, {"csv": "write_csv", "parquet": "write_parquet"}[kind])(path)
    return path, is_bad


@pytest.fixture(scope="module")
def table(folder):
    rng = np.random.default_rng(0)
    frame = polars.DataFrame({name: rng.normal(size=200) for name in "ab"})
    frame.write_csv(folder / "ab.csv")
    settings = QUIET | {"training.epochs": 3}
    return lowerbound.fit(
        "table", data=folder / "ab.csv", out=folder / "ab", progress=False, settings=settings
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("truth", ["state=bad", "state!=good", "flag", "flag=true"])
def test_the_truth_of_a_table_is_a_column_that_is_not_read(table, tmp_path, kind, truth):
    path, is_bad = table_of(tmp_path, 60, kind)
    scores = lowerbound.score(table, path, samples=2, truth=truth)
    assert scores.truth.tolist() == is_bad.tolist()
    assert scores.against_truth()["log_likelihood"].auroc.value > 0.95


@pytest.mark.parametrize(
    ("truth", "error", "line"),
    [
        ("state", ConfigError, "which values are anomalies? They are 'good', 'bad'; write state="),
        ("state=worse", ConfigError, "no row has the value 'worse'; its values are 'good', 'bad'"),
        ("stat", DataError, "unknown column 'stat' in .*; did you mean 'state'"),
        ("a", ConfigError, "the model itself reads the column 'a'"),
        ("state=bad,good", DataError, "every row is an anomaly"),
        (np.zeros(60), DataError, "truth must have an anomaly and an ordinary example"),
        (np.zeros(59), ConfigError, "one boolean for each of the 60 examples"),
    ],
    ids=str,
)
def test_a_truth_that_says_nothing_is_one_line(table, tmp_path, truth, error, line):
    path, _ = table_of(tmp_path, 60)
    with pytest.raises(error, match=line.replace("?", r"\?")) as caught:
        lowerbound.score(table, path, samples=1, truth=truth)
    assert "\n" not in str(caught.value)


def test_rows_without_a_truth_are_named(table, tmp_path):
    (tmp_path / "holes.csv").write_text("a,b,state\n1,2,good\n1,2,\n1,2,bad\n")
    with pytest.raises(DataError, match="no value in the column 'state' in 1 rows, the first of"):
        lowerbound.score(table, tmp_path / "holes.csv", samples=1, truth="state=bad")


def test_noise_is_anomalous(run, folder):
    scores = lowerbound.score(run, folder / "noise.npy", samples=3)
    assert (scores.split, len(scores), len(scores.own["elbo"])) == ("all", 200, 359)
    assert scores.auroc().keys() == ANOMALOUS.keys() - {"log_ratio_against", "adjusted"}
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
    settings = QUIET | {
        "training.epochs": 5,
        "data.test": 0.2,
        "data.kinds": None,
        "data.hide": 0,
        "model.likelihood": "Normal",
    }
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
    areas = found["auroc_against_own_test"]
    assert areas.keys() == ANOMALOUS.keys() - {"adjusted"}
    assert areas["log_likelihood"]["value"] > 0.99
    assert found["medians"].keys() == found["own_test_medians"].keys() == found["means"].keys()
    frame = polars.read_csv(out)
    assert found["means"]["elbo"]["value"] == pytest.approx(frame["elbo"].mean())
    assert found["medians"]["elbo"] == pytest.approx(frame["elbo"].median())
    assert (found["thresholds"], found["truth"]) == (None, None)


def test_the_command_with_a_threshold_and_a_truth(command, run, mixed, tmp_path):
    out = tmp_path / "scores.csv"
    arguments = ("--data", mixed[0], "--out", out, "--threshold", 0.05, "--truth", "label")
    code, printed, _ = command("score", run.folder, *arguments)
    frame = polars.read_csv(out)
    count = int(frame["anomalous"].sum())
    assert code == 0
    assert frame.columns == ["row", "label", *NAMES, "anomalous", "truth"]
    assert 50 <= count < 80  # all of the noise, and some digits
    assert f"anomalous by log_likelihood, which the column says: {count} of 200 examples" in printed
    assert "cuts from 180 validation examples of the run" in printed
    low, high = beta(9, 172).interval(0.95)  # the ninth of 180
    assert f"{9 / 181:.2%} ({low:.2%} to {high:.2%})" in printed
    assert "do these examples as a whole look like the run's own test split (359" in printed
    assert "by your own labels 50 of 200 examples are anomalies" in printed


def test_rows_are_named_by_their_file_or_their_own_columns():
    row = {"row": 3, "label": 7, "file": "a/b.png", "log_likelihood": -1.0, "percentile": 2.0}
    by_file = least_likely_row(row, {"row": [], "file": [], "label": []})
    assert by_file.startswith("file a/b.png  log p(x)")
    assert by_file.endswith("label 7")
    row |= {"customer": "c-17"}
    assert least_likely_row(row, {"row": [], "customer": []}).startswith("customer c-17  log p(x)")
    assert least_likely_row(row, {"row": [], "label": []}).startswith("row 3 ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--out", "x.txt"], "ending must be one of .csv, .parquet, got .txt"),
        (["--out", "x.csv", "--samples", "0"], "samples must be 1 or more, got 0"),
        (["--out", "x.csv", "--split", "tset"], "unknown split 'tset'"),
        (["--out", "x.csv", "--data", "LARGE"], "shape (1, 9, 9)"),
        (["--out", "x.csv", "--against", "nowhere"], "nowhere is not a fitted run"),
        (["--out", "x.csv", "--against", "LEVELS17"], "the two must be alike"),
        (["--out", "x.csv", "--threshold", "0.001"], "needs 999 held-out examples or more, got"),
        (["--out", "x.csv", "--threshold", "1"], "between 0 and 1, such as 0.01, got 1.0"),
        (
            ["--out", "x.csv", "--threshold", "0.1", "--by", "elbow"],
            "unknown score 'elbow' for the cut (by); did you mean 'elbo'?",
        ),
        (["--out", "x.csv", "--truth", "lable"], "unknown column 'lable' in"),
        (["--out", "x.csv", "--truth", "label"], "write label=VALUE"),
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
