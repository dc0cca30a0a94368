"""Runs beside each other: the same examples for all, errors of the pairs, and what is refused."""

import functools
import html.parser
import json
import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import lowerbound
from lowerbound.errors import ConfigError, RunError
from lowerbound.evaluation import Estimate, bound, importance_log_likelihood
from lowerbound.evaluation.proposal import POSTERIOR_ALONE
from lowerbound.evaluation.ranking import rank
from lowerbound.recipe import load as load_recipe
from lowerbound.report import compare
from lowerbound.report.comparison.measure import common, measure, names, settings
from lowerbound.report.comparison.page import _difference, overlaid, place
from lowerbound.report.comparison.text import as_text, verdicts
from lowerbound.report.figures import classes
from lowerbound.report.findings.dense import DenseFindings

FAST = {"training.epochs": 2, "model.network.hidden": [32], "report.write": False}
DELTA = {"model.posterior": "Delta", "objective": {"type": "Reconstruction"}}


def fitted(out, source="digits", **more):
    return lowerbound.fit(source, settings=FAST | more, out=out, progress=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(home):
    return fitted(home / "plain")


@pytest.fixture(scope="module")
def other(home):
    """Another model of the same splits, in a folder whose name is no markup."""
    return fitted(home / "a <b> run", **{"model.latent": [3], "training.seed": 5})


@pytest.fixture(scope="module")
def moved(home):
    """Other splits of the same source."""
    return fitted(home / "moved", **{"data.seed": 1})


@pytest.fixture(scope="module")
def autoencoder(home):
    return fitted(home / "autoencoder", **DELTA)


@pytest.fixture(scope="module")
def found(run, other):
    return measure([run, other], samples=4)


def log(folder, users=60, items=30):
    rng = np.random.default_rng(0)
    rows = [
        f"{user},{item},5,{i}"
        for user in range(users)
        for i, item in enumerate(rng.choice(items, 8, replace=False))
    ]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows]))
    return str(folder / "ratings.csv")


@pytest.fixture(scope="module")
def recommenders(home):
    given = {
        "data.source": log(home),
        "data.interactions": {"split": "strong"},
        "data.validation": 15,
        "data.test": 15,
    }
    given |= {"model.likelihood": "Multinomial", "model.latent": [4], "training.monitor": "ndcg@10"}
    return [fitted(home / f"films {seed}", **given, **{"training.seed": seed}) for seed in (0, 1)]


class Reader(html.parser.HTMLParser):
    """The tags, the words, and the words of each section of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.sections, self.words = [], {}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "section":
            self.words = self.sections.setdefault(dict(attributes)["id"], [])

    def handle_data(self, data):
        self.words += data.split()

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(word for words in self.sections.values() for word in words)


def by_hand(differences):
    """Mean, and standard error of the mean, of numbers."""
    values = np.asarray(differences, dtype=float)
    return values.mean(), values.std(ddof=1) / math.sqrt(len(values))


# The figures.


def test_the_error_is_that_of_the_pairs(run, other, found):
    examples = run.data().split("test")
    ours, theirs = (
        bound(r.model, examples, samples=DenseFindings.draws_each(examples)).per_example.numpy()
        for r in (run, other)
    )
    assert found.entries[1].differences["elbo"] == pytest.approx(by_hand(theirs - ours), rel=1e-9)
    ours, theirs = (importance_log_likelihood(r.model, examples, samples=4) for r in (run, other))
    value, error = by_hand((theirs.per_example - ours.per_example).numpy())
    assert ours.looseness > 0
    error = math.hypot(error, ours.looseness, theirs.looseness)
    assert found.entries[1].differences["log_likelihood"] == pytest.approx((value, error), rel=1e-9)
    unpaired = math.hypot(*(entry.measures["elbo"].standard_error for entry in found.entries))
    assert (
        found.entries[1].differences["elbo"].standard_error < unpaired
    )  # what one finds hard, the other does too


def test_a_run_is_as_good_as_its_copy(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy")
    found = measure([run, lowerbound.load(tmp_path / "copy")], samples=2)
    differences = found.entries[1].differences
    assert {difference.value for difference in differences.values()} == {0.0}
    assert differences["elbo"] == differences["log_likelihood_term"] == (0.0, 0.0)
    assert found.settings == {}
    assert "all settings are equal" in as_text(found)


def test_the_figures_are_those_of_evaluate(run, found):
    alone = run.evaluate(samples=4)
    entry = found.entries[0]
    assert entry.measures["elbo"].value == pytest.approx(
        alone["elbo"], abs=0.3 * alone["elbo_se"]
    )  # of more draws
    assert entry.measures["log_likelihood"] == pytest.approx(
        (alone["log_likelihood"], alone["log_likelihood_se"])
    )
    assert list(entry.rate) == pytest.approx(alone["rate"])
    assert found.examples == found.weighed == alone["examples"]
    assert not entry.differences


def test_settings_that_differ_and_no_others(run, other, autoencoder):
    assert settings([run, other]) == {"model.latent": ([8], [3]), "training.seed": (0, 5)}
    differ = settings([run, other, autoencoder])
    assert differ["model.posterior.type"] == ("Normal", "Normal", "Delta")
    assert differ["objective.beta"] == (1.0, 1.0, None)
    assert not [key for key in differ if key.startswith(("about", "data", "training.epochs"))]


def test_an_autoencoder_is_compared_by_its_log_likelihood_term(run, autoencoder):
    found = measure([run, autoencoder], samples=2)
    assert found.headline == "log_likelihood_term"
    examples = run.data().split("test")
    ours, theirs = (
        bound(r.model, examples, samples=DenseFindings.draws_each(examples)).terms.numpy()
        for r in (run, autoencoder)
    )
    assert found.entries[1].differences["log_likelihood_term"] == pytest.approx(
        by_hand(theirs - ours), rel=1e-9
    )
    assert (
        set(found.entries[1].differences)
        == set(found.entries[1].measures)
        == {"log_likelihood_term"}
    )
    assert any(
        "autoencoder is an autoencoder, without a bound" in warning for warning in found.warnings
    )
    json.dumps(found.describe())


def test_recommenders_are_compared_by_their_ranking(recommenders):
    found = measure(recommenders)
    users = recommenders[0].data().split("test")
    ours, theirs = (
        rank(r.model.item_scores, users, metrics=["ndcg@10"]).per_user["ndcg@10"].numpy()
        for r in recommenders
    )
    assert found.headline == found.shown[0] == "ndcg@10"
    assert found.entries[1].differences["ndcg@10"] == pytest.approx(by_hand(theirs - ours))
    assert found.examples == 15
    assert found.warnings == ()


# The same examples for all.


def test_other_splits_are_refused(run, moved):
    with pytest.raises(
        ConfigError,
        match=r"the test splits of .*plain and .*moved are not the same.*data.seed is 0 and 1.*"
        r"--data",
    ):
        measure([run, moved])
    with pytest.raises(ConfigError, match="the validation splits"):
        measure([run, moved], split="validation")


def test_one_source_for_all_tells_what_was_trained_on(run, moved):
    found = measure([run, moved], data="digits", samples=1)
    everything = run.data().whole.values.reshape(found.examples, -1)
    assert found.split == "all"
    for entry in found.entries:
        train = {row.tobytes() for row in everything[entry.run.data().train.rows]}
        count = sum(row.tobytes() in train for row in everything)
        assert 1000 < count < found.examples
        assert f"{count:,} in that of {entry.name}" in found.warnings[0]


def test_what_was_seen_in_training_is_said(run, other):
    for split, told in (
        ("train", "trained on these"),
        ("validation", "chose the weights"),
        ("all", "trained on most"),
    ):
        (warning,) = measure([run, other], split=split, samples=1).warnings
        assert told in warning


@pytest.fixture(scope="module")
def grey(home):
    """Grey images that bring a test part of their own."""
    pixels = np.random.default_rng(0).random((120, 4, 4), dtype=np.float32)
    np.savez(home / "grey.npz", train=pixels[:80], test=pixels[80:])
    return str(home / "grey.npz")


@pytest.fixture(scope="module")
def drawn(home, grey):
    """Two runs whose pixels were drawn by different seeds, with validation splits of different
    size, and one of grey values.
    """

    def of(name, **more):
        return fitted(
            home / name, **{"data.source": grey, "model.likelihood": {"type": "Bernoulli"}} | more
        )

    first = of("first", **{"data.binarize": "static", "data.validation": 0})
    second = of("second", **{"data.binarize": "dynamic", "data.validation": 20, "data.seed": 3})
    return first, second, of("third", **{"data.validation": 0})


def test_a_test_part_of_the_source_is_common_and_drawn_once(drawn):
    first, second, _ = drawn
    split, (ours, theirs) = common([first, second])
    assert split == "test"
    assert torch.equal(ours.batch(slice(None)), theirs.batch(slice(None)))
    assert not torch.equal(
        theirs.batch(slice(None)), second.data().split("test").batch(slice(None))
    )
    assert measure([first, second], samples=1).comparable


def test_new_examples_bring_no_warning(drawn, tmp_path):
    np.savez(
        tmp_path / "new.npz", images=np.random.default_rng(1).random((30, 4, 4), dtype=np.float32)
    )
    found = measure(drawn[:2], data=tmp_path / "new.npz")
    assert (found.split, found.examples, found.source) == ("all", 30, "new.npz")
    assert not [warning for warning in found.warnings if "trained" in warning]


def test_likelihoods_of_other_kinds_are_no_verdict(drawn):
    first, _, third = drawn
    found = measure([first, third], samples=1)
    assert not found.comparable
    assert "of different kinds" in found.warnings[0]
    assert "cross entropy" in found.warnings[0]
    text = "\n".join(as_text(found))
    assert found.warnings[0] in text
    assert "nats above" not in text
    assert "nats below" not in text


# What is refused, and names.


def test_what_cannot_be_compared_is_refused(run, recommenders, drawn):
    with pytest.raises(ConfigError, match="two runs or more, got 1"):
        measure([run])
    with pytest.raises(ConfigError, match="is given twice"):
        measure([run, lowerbound.load(run.folder.parent / "." / "plain")])
    with pytest.raises(ConfigError, match="of one kind of data can be compared, got image"):
        measure([run, recommenders[0]])
    with pytest.raises(ConfigError, match=r"got \(1, 8, 8\) .* and \(1, 4, 4\)"):
        measure([run, drawn[0]])
    with pytest.raises(ConfigError, match="samples must be 1 or more"):
        measure(
            [run, drawn[0].__class__(run.folder / "x", run.recipe, run.schema, run.model, {})],
            samples=0,
        )


def test_names_are_as_short_as_they_can_be(tmp_path):
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "b" / "single"]
    assert names(paths) == ["a/run", "b/run", "single"]
    assert names([tmp_path / "run", tmp_path / "x" / "run"])[1] == "x/run"
    assert names([tmp_path / "one\nline", tmp_path / "b"]) == ["one line", "b"]


def test_nothing_but_an_earlier_comparison_is_written_over(run, other, tmp_path):
    called = ["plain", "a <b> run"]
    assert place([run, other], called) == run.folder.parent / "compare-plain-a <b> run"
    assert place([run, other], called, tmp_path / "new") == tmp_path / "new"
    (tmp_path / "comparison.json").write_text('{"kind": "something else"}')
    for there in (tmp_path, run.folder, tmp_path / "comparison.json"):
        with pytest.raises(RunError, match="choose another --out"):
            compare([run, other], there)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comparison.json"]


# The terminal and the page.


@pytest.fixture(scope="module")
def written(run, other, autoencoder, home):
    return compare([run, other, autoencoder], home / "page", samples=4)


def test_the_page_has_all_runs_side_by_side(written):
    folder, page = written.page.parent, Reader(written.page)
    text = written.page.read_text()
    assert "a <b> run" in page.text
    assert "<b> run" not in text
    assert {path.stem for path in folder.glob("*.png")} == {
        path.stem for path in folder.glob("*.svg")
    }
    drawn = {path.stem for path in folder.glob("*.png")}
    assert drawn >= {
        "samples_1",
        "samples_2",
        "reconstructions",
        "difference_1",
        "difference_2",
        "curve_elbo",
        "curve_rate",
    }
    assert "samples_3" not in drawn  # an autoencoder has no prior
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in page.all("img"))
    assert len(page.all("img")) == len(drawn)
    assert all(len(words) > 8 for words in page.sections.values())
    assert all(entry.name in page.text for entry in written.entries)
    assert "model.latent [8] [3] [8]" in page.text
    assert json.loads((folder / "comparison.json").read_text()) == json.loads(
        json.dumps(written.describe())
    )


def test_the_page_of_recommenders(recommenders, home):
    found = compare(recommenders)
    assert found.page == home / "compare-films 0-films 1" / "index.html"
    assert {path.stem for path in found.page.parent.glob("*.png")} == {
        "quality",
        "difference_1",
        "curve_ranking",
    }
    page = Reader(found.page)
    assert all(len(words) > 8 for words in page.sections.values())
    assert "nDCG@10" in page.text


def test_tables_are_compared_by_columns_of_their_samples(home):
    values = np.random.default_rng(0).normal(size=(100, 2))
    np.savetxt(home / "table.csv", values, delimiter=",", header="height,<i>", comments="")
    runs = [
        fitted(
            home / f"t{n}", "table", **{"data.source": str(home / "table.csv"), "training.seed": n}
        )
        for n in (0, 1)
    ]
    found = compare(runs, samples=2)
    page = Reader(found.page)
    assert (found.page.parent / "columns_2.png").is_file()
    assert "<i>" in page.text
    assert not page.all("i")
    assert found.comparable


def test_a_short_run_stays_in_the_picture():
    long = [(epoch, -100 + epoch / 10) for epoch in range(1, 151)]
    figure = overlaid({"long": long, "short": [(1, -150.0), (2, -140.0)]}, "nats")
    low, high = figure.axes[0].get_ylim()
    assert low < -150
    assert high > -85
    figure = overlaid({"long": [(0, -9999.0), *long]}, "nats")
    assert figure.axes[0].get_ylim()[0] > -105


def test_the_command(command, run, other, tmp_path):
    code, out, _ = command(
        "compare", run.folder, other.folder, "--samples", 2, "--out", tmp_path / "page"
    )
    assert code == 0
    lines = out.splitlines()
    row = next(line for line in lines if line.startswith("a <b> run"))
    assert row.count("+-") == 4
    assert row.split()[-3] == f"{sum(p.numel() for p in other.model.parameters()):,}"
    assert any(line.split() == ["model.latent", "[8]", "[3]"] for line in lines)
    assert lines[-1] == f"page     {tmp_path / 'page' / 'index.html'}"


def test_the_command_as_json_writes_over_its_earlier_page(command, recommenders, tmp_path):
    folders = [run.folder for run in recommenders]
    for _ in range(2):
        code, out, _ = command("compare", *folders, "--out", tmp_path / "page", "--json")
        assert code == 0
    found = json.loads(out.splitlines()[-1])
    assert [entry["name"] for entry in found["runs"]] == ["films 0", "films 1"]
    assert found["runs"][0]["differences"] == {}
    assert found["runs"][1]["differences"]["ndcg@10"].keys() == {"value", "standard_error"}
    assert found["settings"] == {"training.seed": [0, 1]}
    assert (found["headline"], found["split"], found["page"]) == (
        "ndcg@10",
        "test",
        str(tmp_path / "page" / "index.html"),
    )


def test_the_command_fails_in_one_line(command, run, moved, tmp_path):
    for folders in (
        [run.folder],
        [run.folder, tmp_path],
        [run.folder, moved.folder],
        [run.folder, run.folder],
    ):
        code, out, err = command("compare", *folders)
        assert (code, out) == (2, "")
        assert len(err.strip().splitlines()) == 1
    assert not list(run.folder.parent.glob("compare-*moved*"))


# What is not there.


def test_log_p_is_told_as_a_lower_bound(found, written):
    text = "\n".join(as_text(found))
    assert text.count(">= -") == 2
    words = Reader(written.page).text
    assert "≥ −" in words
    assert "holds how loose it may be" in words
    assert r"$\geq -" in found.to_latex()


def with_another_scale(run, folder, factor):
    """The same model with a posterior of another scale: p(x) is the same."""
    shutil.copytree(run.folder, folder)
    made = lowerbound.load(folder)
    (posterior,) = made.model.latents.posteriors
    layer = [part for part in posterior.modules() if isinstance(part, torch.nn.Linear)][-1]
    with torch.no_grad():
        layer.bias[len(layer.bias) // 2 :] += 2 * math.log(factor)
    return made


@pytest.fixture(scope="module")
def narrow(run, tmp_path_factory):
    return with_another_scale(run, tmp_path_factory.mktemp("scale") / "narrow", 0.15)


def test_the_same_likelihood_by_another_encoder_is_no_difference(run, narrow):
    """With the encoder's variance changed the ELBO is another one, and log p(x) is not: no error
    of the pairs says that it is, with few draws or many.
    """
    for samples in (10, 100):
        found = measure([run, narrow], samples=samples)
        differences = found.entries[1].differences
        assert differences["elbo"].is_clear
        assert differences["elbo"].value < -1
        assert not differences["log_likelihood"].is_clear


def test_a_difference_that_is_one_of_the_estimates_is_told(run, narrow, monkeypatch):
    """With draws of the posterior alone the estimates differ by nats: that is said, and that the
    weights have heavy tails.
    """
    monkeypatch.setattr(
        "lowerbound.evaluation.measure.importance_log_likelihood",
        functools.partial(importance_log_likelihood, proposal=POSTERIOR_ALONE),
    )
    found = measure([run, narrow], samples=40)
    entry = found.entries[1]
    assert entry.measured.importance.looseness > 0.1
    told = [warning for warning in found.warnings if "may be one of the estimates" in warning]
    clear = Estimate.of(entry.each["log_likelihood"] - found.first.each["log_likelihood"]).is_clear
    assert clear
    assert len(told) == (not entry.differences["log_likelihood"].is_clear)
    (heavy,) = [warning for warning in found.warnings if "Of narrow:" in warning]
    assert "too heavy a tail" in heavy
    assert f"note: {heavy}" in as_text(found)


def with_difference(found, value, error):
    """A comparison whose second run has this difference by the measure that decides."""
    first, second = found.entries[:2]
    differences = dict(second.differences) | {found.headline: Estimate(value, error)}
    return replace(found, entries=(first, replace(second, differences=differences)))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3.0, "3.00 nats above that of plain (±\u00a01.00)."),
        (-3.0, "3.00 nats below that of plain (±\u00a01.00)."),
        (1.5, "1.50 nats above that of plain (±\u00a01.00), which is within twice the"),
        (-1.5, "1.50 nats below that of plain (±\u00a01.00), which is within twice the"),
        (0.0, "is equal to that of plain."),
    ],
)
def test_the_verdict_says_the_side_and_the_doubt(found, value, words):
    (verdict,) = verdicts(with_difference(found, value, 1.0))
    assert words in verdict


def test_the_picture_of_the_differences_counts_both_sides(found):
    picture = _difference(found, 1)
    values = (found.entries[1].each["elbo"] - found.first.each["elbo"]).numpy()
    above = f"above 0 for {(values > 0).mean():.0%} of them"
    below = f"below 0 for {(values < 0).mean():.0%}"
    assert (values > 0).mean() != (values < 0).mean()
    assert above in picture.caption
    assert below in picture.caption


def test_a_ladder_has_no_settings_of_a_chain():
    conv, ladder = (
        SimpleNamespace(recipe=load_recipe(name)) for name in ("conv-mnist", "ladder-mnist")
    )
    found = settings([conv, ladder])
    assert found["model.network.type"] == ("Conv", None)
    assert not any(key.startswith("model.start") for key in settings([ladder, ladder]))
    assert found["model.ladder.type"][1] == "ConvLadder"


def test_rows_without_a_class_are_not_others():
    points = np.arange(12.0).reshape(6, 2)
    cases = {("c", ""): "not known", ("c", "b"): "other", ("b", ""): "other or not known"}
    for last, label in cases.items():
        figure = classes(points, ["a", "a", "a", "c", *last], most=2)
        texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        assert texts[-1].startswith(f"{label} (")
