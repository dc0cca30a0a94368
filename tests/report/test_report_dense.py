"""The report of runs on images and tables: what stands on it is what the run is, and what does not
apply is left out.
"""

import math
import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import lowerbound
from lowerbound import recipe
from lowerbound.batch import Batch
from lowerbound.columns import ColumnSchema
from lowerbound.data import Schema
from lowerbound.errors import ConfigError
from lowerbound.evaluation import bound
from lowerbound.evaluation.likelihood import LIKELIHOOD_SAMPLES
from lowerbound.evaluation.measure import dimension_of
from lowerbound.latents import Inference
from lowerbound.report import figures, page, projection
from lowerbound.report.findings.dense import DenseFindings
from lowerbound.report.records import Picture
from lowerbound.report.report import sections
from lowerbound.report.sections import bound as bounds
from lowerbound.report.sections import images, latent, tables, training

SMALL = {
    "training.epochs": 2,
    "training.accelerator": "cpu",
    "model.network": {"type": "MLP", "hidden": [16]},
    "report.write": False,
    "report.points": 120,
}


PLAIN = {
    "data__kinds": None,
    "data__hide": 0,
    "model__likelihood": {"type": "Normal", "variance": "learned"},
}
"""A table of numbers alone, without gaps."""


def fit(folder, name="digits", **changed):
    settings = SMALL | {key.replace("__", "."): value for key, value in changed.items()}
    return lowerbound.fit(name, out=folder, settings=settings, progress=False)


@pytest.fixture(scope="module")
def levels(tmp_path_factory):
    """Two levels of latents, on labelled images."""
    return fit(tmp_path_factory.mktemp("levels") / "run", model__latent=[3, 2], training__epochs=12)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    first = rng.normal(size=400)
    values = np.stack(
        [first, first + 0.1 * rng.normal(size=400), rng.exponential(size=400)], axis=1
    )
    values[7] = (0, 6, 0)  # the second column is nearly the first, but not here
    names = '"<script>alert(1)</script>","twin of $\\frac","c"'
    (folder / "t.csv").write_text(
        names + "\n" + "\n".join(",".join(map(str, row)) for row in values)
    )
    return fit(
        folder / "a <b> run",
        "table",
        data__source=str(folder / "t.csv"),
        training__epochs=60,
        data__test=200,
        **PLAIN,
    )


def titles(run):
    path = page(run)
    return path, re.findall("<h2>(.*?)</h2>", path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written(levels):
    return titles(levels)


def test_a_page_on_images_has_every_section_in_order(written):
    wanted = "This run|Training|The bound|Reconstructions|Samples|Levels|Manifold|Latent space|"
    wanted += "The label|Health|Least likely"
    assert written[1] == wanted.split("|")


def test_each_picture_is_there_as_png_and_svg(written):
    folder = written[0].parent
    names = {path.stem for path in folder.glob("*.png")} - {"overview"}
    assert names == {path.stem for path in folder.glob("*.svg")}
    wanted = "reconstructions reconstructions_best reconstructions_worst pixel_error samples "
    wanted += "samples_level_1 manifold_1 manifold_2 manifold_quantiles_1 traversals_1 "
    wanted += "interpolations pca_1 tsne_1 codes_2 rates_1 aggregate_1 aggregate_2 unlikely elbo "
    wanted += "rate"
    assert set(wanted.split()) <= names
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 1, f"{path.name} is an empty sheet"
    assert written[0].read_text(encoding="utf-8").count("<img ") == len(names)


def test_a_dark_page_leaves_images_of_images_as_they_are(written):
    text = written[0].read_text(encoding="utf-8")
    assert re.search(r'<figure class="photo[^"]*">\s*<img src="data:image/png;base64', text)
    assert "figure.photo img { filter: brightness" in text


def test_a_table_has_its_columns_and_its_names_are_text(table):
    path, found = titles(table)
    assert found == [
        "This run",
        "Training",
        "The bound",
        "Columns",
        "Likelihood by column",
        "Latent space",
        "Health",
        "Least likely",
    ]
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "a &lt;b&gt; run" in text


def test_the_row_that_breaks_a_rule_is_among_the_least_likely_with_the_column_that_breaks_it(table):
    look = DenseFindings(table)
    look.__dict__["examples"] = look.data.split("all")
    (shown,) = tables.unlikely(table, look).tables
    rows = {row[0]: row[2] for row in shown.rows}
    assert "7" in rows
    assert rows["7"].startswith("twin")


def test_an_autoencoder_has_neither_samples_nor_rates(tmp_path):
    settings = {"model__posterior": "Delta", "objective": {"type": "Reconstruction"}}
    found = [section.title for section in sections(fit(tmp_path / "run", **settings))]
    assert "The likelihood term" in found
    assert not {"Samples", "Health", "The bound"} & set(found)


@pytest.mark.parametrize(
    "settings",
    [{"model__latent": [1]}, {"model__prior": "Mixture"}, {"data__test": 0, "data__validation": 0}],
)
def test_what_is_odd_has_a_page_all_the_same(tmp_path, settings):
    found = [section.title for section in sections(fit(tmp_path / "run", **settings))]
    assert found[-2:] == ["Health", "Least likely"]


def test_the_bound_on_the_page_is_that_of_the_run(levels):
    look = DenseFindings(levels)
    found = bound(levels.model, levels.data().test, samples=27)  # 10,000 draws in all
    assert look.bound.elbo == found.elbo
    assert np.array_equal(look.order, np.argsort(found.per_example.numpy(), kind="stable"))
    assert len(look.scores) == len(levels.data().test) == 359


def bound_section(run):
    look = DenseFindings(run)
    return look, bounds.measured(run, look)


def test_the_bound_says_what_its_figures_are(levels):
    """log p(x) is a lower bound; the bits are those of the ELBO, by pixel, and not those of the
    likelihood term beside it.
    """
    look, section = bound_section(levels)
    rows = dict(section.tables[0].rows)
    (name,) = (name for name in rows if name.startswith("log p(x)"))
    likelihood = look.likelihood
    assert likelihood.samples == LIKELIHOOD_SAMPLES
    assert f"median {likelihood.median_effective_samples:.1f}, least" in name
    assert rows[name].startswith("≥ −")
    assert f"about {likelihood.looseness:.2f} nats below the truth" in name
    bits = -look.bound.elbo.value / (64 * math.log(2))
    assert rows["bits for each pixel, of the ELBO"] == f"≤ {bits:.4f}"


@pytest.mark.parametrize("unreliable", [0.05, 0.4])
def test_heavy_tails_of_the_importance_weights_are_told(levels, unreliable):
    look, _ = bound_section(levels)
    shapes = torch.zeros(359)
    shapes[: round(359 * unreliable)] = 0.9
    vars(look.measured)["likelihood"] = look.likelihood._replace(pareto_k=shapes)
    warnings = bounds.measured(levels, look).warnings
    told = [warning for warning in warnings if "too heavy a tail (Pareto k above 0.50)" in warning]
    assert len(told) == (unreliable > 0.1)


@pytest.mark.parametrize(
    ("shape", "kind", "name"),
    [
        ((1, 8, 8), "image", "pixel"),
        ((3, 8, 8), "image", "channel of a pixel"),
        ((7,), "table", "column"),
        ((7,), "vector", "value"),
    ],
)
def test_bits_are_counted_by_what_a_dimension_is(shape, kind, name):
    assert dimension_of(Schema(shape, kind, 256, 0.0, 1.0)) == name


def test_the_sum_of_the_rates_by_dimension_is_the_rate_of_the_table(levels):
    """The same draws, and the same examples."""
    look, _ = bound_section(levels)
    for rate, total in zip(look.latent.rate_per_dimension, look.bound.rate, strict=True):
        assert float(rate.sum()) == pytest.approx(total, rel=1e-6)


def test_a_small_split_is_mapped_with_all_others(levels):
    look = DenseFindings(levels)
    assert look.mapped_name == "120 of 1,797 examples of all splits"
    assert len(look.means[0]) == len(look.labels) == len(look.mapped_scores) == 120
    assert look.labels == [str(label) for label in look.mapped.labels]


def test_the_top_level_is_swept_in_units_of_its_prior_and_the_lower_one_in_those_of_its_codes(
    levels,
):
    look = DenseFindings(levels)
    middle, scale = look.frame(1)
    assert (middle == 0).all()
    assert (scale == 1).all()
    middle, scale = look.frame(0)
    assert np.allclose(middle, look.means[0].mean(0))
    assert np.allclose(scale, look.means[0].std(0))


def test_a_sweep_begins_below_on_the_left(levels):
    look = DenseFindings(levels)
    ticks = np.array([-2.0, 0.0, 1.0])
    drawn = images._decode_square(look, 1, (0, 1), ticks)
    corner = levels.decode(torch.tensor([[-2.0, -2.0]]), 1).numpy()
    right = levels.decode(torch.tensor([[1.0, -2.0]]), 1).numpy()
    assert np.allclose(drawn[6], corner[0], atol=1e-6)
    assert np.allclose(drawn[8], right[0], atol=1e-6)


def test_dispersion_is_one_where_the_likelihood_is_true():
    class Stated(DenseFindings):
        """A look at a model whose p(x | z) is N(0, 2^2) whatever z, on data of some spread."""

        def __init__(self, spread):
            self.run = self.model = self.examples = self
            self.spread = spread

        def take(self, index):
            return self

        def _inferred(self, examples):
            inference = Inference([], torch.zeros(1, 250, 1))
            return ((Batch(torch.randn(250, 30) * self.spread), inference) for _ in range(2))

        def decode(self, z, given=None):
            return torch.distributions.Normal(torch.zeros(250, 30), 2.0)

    assert Stated(2.0).dispersion == pytest.approx(1, rel=0.05)
    assert Stated(0.2).dispersion == pytest.approx(0.01, rel=0.05)


def test_a_likelihood_that_does_not_fit_is_told(tmp_path):
    run = fit(tmp_path / "run", model__likelihood={"type": "Normal", "variance": 25.0})
    warned = " ".join(latent.health(run, DenseFindings(run)).warnings)
    assert re.search(r"does not fit the data: the squared errors are \d+ times smaller", warned)


def test_collapse_is_told_and_a_run_that_uses_its_latents_is_not_blamed(tmp_path, levels):
    run = fit(tmp_path / "run", objective={"type": "Elbo", "beta": 300.0}, training__epochs=6)
    assert "have collapsed" in " ".join(latent.health(run, DenseFindings(run)).warnings)
    assert not [
        text
        for text in latent.health(levels, DenseFindings(levels)).warnings
        if "level 1 have collapsed" in text
    ]


def test_remembering_the_training_split_is_told(tmp_path):
    settings = {
        "model__network": {"type": "MLP", "hidden": [256]},
        "data__validation": 0,
        "data__test": 1700,
        "training__epochs": 200,
        "training__learning_rate": 4e-3,
    }
    run = fit(tmp_path / "run", **settings)
    assert "The model overfits" in " ".join(latent.health(run, DenseFindings(run)).warnings)


def test_fit_writes_the_report_unless_told_not_to(tmp_path):
    quiet = fit(tmp_path / "quiet")
    assert not (quiet.folder / "report").exists()
    told = fit(tmp_path / "told", report__write=True)
    assert (told.folder / "report" / "index.html").is_file()
    assert (told.folder / "report" / "overview.png").is_file()


def test_another_report_is_not_another_run(tmp_path):
    """The report and the trackers may change on --resume; the weights do not hang on them."""
    run = fit(tmp_path / "run")
    again = lowerbound.fit(
        "digits", out=run.folder, settings=SMALL | {"report.points": 7}, resume=True, progress=False
    )
    assert again.summary["epochs"] == 2


@pytest.mark.parametrize("method", ["opentsne", "umap"])
def test_a_missing_projection_is_refused_before_any_work(tmp_path, monkeypatch, method):
    monkeypatch.setattr(projection, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=rf'{method} is not installed; pip install "lowerbound\[{method}\]"'
    ):
        fit(tmp_path / "run", report__write=True, report__projection=method)
    assert not (tmp_path / "run").exists()


def test_an_unknown_projection_is_refused():
    with pytest.raises(ConfigError, match=r"report\.projection"):
        recipe.load("digits").replace({"report.projection": "pca3"})


@pytest.mark.parametrize("settings", [{}, {"model__latent": [2]}])
def test_one_value_beyond_all_others_does_not_end_the_report(tmp_path, settings):
    values = np.random.default_rng(0).normal(size=(60, 2))
    values[-1, 0] = 1e25
    np.save(tmp_path / "t.npy", values)
    run = fit(
        tmp_path / "run",
        "table",
        data__source=str(tmp_path / "t.npy"),
        data__standardize=False,
        **PLAIN,
        **settings,
    )
    assert page(run).is_file()


@pytest.mark.parametrize("recipe_name", ["digits", "table"])
def test_weights_that_are_no_numbers_have_a_report_that_says_so(tmp_path, recipe_name):
    np.save(tmp_path / "t.npy", np.random.default_rng(0).normal(size=(60, 2)))
    source = {}
    if recipe_name == "table":
        source = PLAIN | {"data__source": str(tmp_path / "t.npy")}
    run = fit(tmp_path / "run", recipe_name, **source)
    for parameter in run.model.decoder.parameters():
        parameter.data.fill_(math.nan)
    with torch.no_grad():
        assert "hold values that are not finite numbers" in page(run).read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_no_reason_to_lose_a_run(tmp_path, monkeypatch, capsys):
    def broken(run, progress):
        raise ValueError("no ink")

    monkeypatch.setattr("lowerbound.fitting.page", broken)
    assert fit(tmp_path / "run", report__write=True).summary["epochs"] == 2
    assert "the report (lowerbound report" in capsys.readouterr().err


def test_a_schedule_that_ends_at_rest_is_not_called_unfinished():
    assert training._is_improving([10, 8, 7, 6, 5])
    assert not training._is_improving([10, 5, 3, 2.5, 2.3, 2.2, 2.15, 2.14, 2.135, 2.134, 2.1339])


def test_pictures_of_an_earlier_report_go(tmp_path):
    run = fit(tmp_path / "run", "digits", model__latent=[2])
    folder = page(run).parent
    (folder / "umap_1.png").write_bytes(b"old")
    page(run)
    assert not (folder / "umap_1.png").exists()


# Maps


def test_principal_components_are_those_of_greatest_variance():
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(4000, 2)) * (3, 1)
    turned = (
        np.concatenate([plain, np.zeros((4000, 3))], axis=1)
        @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    )
    found = projection.principal(turned, np.arange(4000))
    assert found.points.std(0) == pytest.approx([3, 1], rel=0.05)
    assert found.axes == ("component 1 (90% of the variance)", "component 2 (10% of the variance)")


def test_far_groups_are_far_on_a_map():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 60)
    found = projection.plane(
        rng.normal(size=(3, 10))[groups] * 8 + rng.normal(size=(180, 10)), np.arange(180), "x"
    )
    middles = np.stack([found.points[groups == g].mean(0) for g in range(3)])
    own = np.linalg.norm(found.points - middles[groups], axis=1).max()
    between = min(np.linalg.norm(middles[a] - middles[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert between > own
    assert found.axes is None
    assert "t-SNE" in found.note


# Figures

RNG = np.random.default_rng(0)
PIXELS = RNG.random((16, 1, 6, 5))
HISTORY = [{"epoch": e, "a": -10.0 / e, "b": math.nan if e == 2 else 1.0} for e in range(1, 15)]
POINTS = RNG.normal(size=(40, 2))
COLUMNS = [ColumnSchema("n"), ColumnSchema("l", "binary", "text", ("a", "b", "c", "d"))]

DRAWN = {
    "grid": lambda ax: figures.grid(PIXELS, ax, columns=4),
    "pairs": lambda ax: figures.pairs(PIXELS, PIXELS, ax),
    "strips": lambda ax: figures.strips(
        PIXELS.reshape(4, 4, 1, 6, 5), ax, rows="abcd", columns="wxyz", xlabel="x"
    ),
    "sweep": lambda ax: figures.sweep(PIXELS, [-3, -1, 1, 3], ax),
    "heat": lambda ax: figures.heat(PIXELS[0, 0], "x", ax),
    "matrix": lambda ax: figures.matrix(np.eye(4), "abcd", ax),
    "marginal": lambda ax: figures.marginal(POINTS[:, 0], POINTS[:, 1], ax, name="x"),
    "marginals": lambda ax: figures.marginals(POINTS, POINTS, "ab", ax),
    "histogram": lambda ax: figures.histogram({"a": POINTS[:, 0], "b": POINTS[:, 1]}, "x", ax),
    "level_rates": lambda ax: figures.level_rates(["top", "level 1"], [12.0, 0.5], [24, 98], ax),
    "stacked": lambda ax: figures.stacked(
        [{"epoch": 1, "a": 1.0, "b": 2.0}, {"epoch": 2, "a": 2.0, "b": 2.5}],
        {"a": "level 1", "b": "level 2"},
        "nats",
        ax,
        best_epoch=2,
    ),
    "lines": lambda ax: figures.lines(
        HISTORY, {"a": "a", "b": "b"}, "y", ax, best_epoch=3, trim=True
    ),
    "bars": lambda ax: figures.bars(["a", "b"], {"x": ([1, 2], [0.1, 0.2])}, "y", ax),
    "levels": lambda ax: figures.levels({"a": 1.0, "b": 2.0}, "x", ax),
    "rates": lambda ax: figures.rates([0.1, 2.0, 1.0], ax, active=2),
    "classes": lambda ax: figures.classes(POINTS, ["a", "b"] * 20, ax),
    "shades": lambda ax: figures.shades(POINTS, POINTS[:, 0], "x", ax),
    "amounts": lambda ax: figures.amounts(POINTS, np.arange(1, 41), "x", ax),
    "column_marginal": lambda ax: figures.column_marginal(COLUMNS[1], np.zeros(3), np.ones(2), ax),
    "column_marginals": lambda ax: figures.column_marginals(
        COLUMNS, np.abs(POINTS).round(), np.zeros((4, 2)), ax
    ),
    "associations_matrix": lambda ax: figures.associations_matrix(
        np.eye(2), np.ones((2, 2)), "ab", ax
    ),
    "association_gaps": lambda ax: figures.association_gaps(np.eye(2), "ab", ax),
    "gap_map": lambda ax: figures.gap_map(POINTS > 0, "ab", ax),
    "dumbbells": lambda ax: figures.dumbbells(
        ["a", "b"], {"x": [1.0, 2.0], "y": [0.5, math.nan]}, "error", ax
    ),
    "scatters": lambda ax: figures.scatters(
        COLUMNS[:1], np.abs(POINTS[:, :1]), np.abs(POINTS[:, 1:]), ax
    ),
}


def test_every_public_picture_is_tested():
    made = {
        name
        for name, thing in vars(figures).items()
        if getattr(thing, "__annotations__", {}).get("return") is Figure
    }
    assert {name for name in made if not name.startswith("_")} == set(DRAWN)


@pytest.mark.parametrize("name", list(DRAWN))
def test_a_picture_is_drawn_on_the_axes_that_it_is_given(name):
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    assert DRAWN[name](left) is figure
    assert left.has_data() or left.child_axes
    assert not right.has_data()


@pytest.mark.parametrize("name", list(DRAWN))
def test_a_picture_makes_a_figure_of_its_own(name):
    assert figures.pixels(DRAWN[name](None)).std() > 1


def test_a_sweep_is_labelled_where_its_values_are():
    ax = DRAWN["sweep"](None).axes[0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["−3", "−1.5", "0", "1.5", "3"]
    assert ax.get_xticks()[2] == pytest.approx((4 * 6 - 1) / 2 - 0.5, abs=0.6)
    assert list(ax.get_yticks()) == sorted(ax.get_yticks(), reverse=True)  # upwards


def test_the_first_epochs_leave_the_picture_whichever_way_the_curve_goes():
    up = figures.lines(HISTORY, {"a": "a"}, "y", trim=True).axes[0].get_ylim()
    down = (
        figures.lines([row | {"a": -row["a"]} for row in HISTORY], {"a": "a"}, "y", trim=True)
        .axes[0]
        .get_ylim()
    )
    assert up[0] > -10
    assert up[1] > -10 / 14
    assert down[1] < 10
    assert down[0] < 10 / 14


def test_many_points_are_named_where_they_lie():
    points = np.concatenate([RNG.normal(size=(1000, 2)), RNG.normal(size=(1000, 2)) + 9])
    ax = figures.classes(points, ["a"] * 1000 + ["b"] * 1000).axes[0]
    at = {text.get_text(): text.get_position() for text in ax.texts}
    assert at["a"] == pytest.approx((0, 0), abs=0.3)
    assert at["b"] == pytest.approx((9, 9), abs=0.3)


def test_a_picture_of_a_page_has_a_name_of_its_own(levels):
    look = DenseFindings(levels)
    made = [
        images.reconstructions,
        images.samples,
        images.manifold,
        latent.space,
        latent.health,
        images.unlikely,
    ]
    pictures = [picture for part in made for picture in part(levels, look).pictures]
    assert all(isinstance(picture, Picture) and picture.caption for picture in pictures)
    assert len({picture.name for picture in pictures}) == len(pictures)
