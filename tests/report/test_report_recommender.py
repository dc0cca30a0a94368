"""The page of a recommender: one file that needs no other, in which each thing stands exactly where
it applies.
"""

import html.parser
import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from lowerbound import fitting as runs
from lowerbound.data import Items
from lowerbound.evaluation.latent import LatentStatistics
from lowerbound.recipe import parse
from lowerbound.recommend import item_vectors
from lowerbound.report import page, projection
from lowerbound.report.figures import curves, distributions, points, style
from lowerbound.report.findings import recommender as findings_of
from lowerbound.report.html import svg_bytes, write
from lowerbound.report.records import Picture, Section, Table
from lowerbound.report.sections import recommender
from lowerbound.report.sections.training import metric_rows, training

HOSTILE = "<script>alert(1)</script> & \"x\" 'y' $\\frac{"


class Reader(html.parser.HTMLParser):
    """What a page consists of; fails on a tag that is not closed."""

    VOID = ("meta", "img", "link", "br", "input")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def read(path):
    return Reader(path.read_text(encoding="utf-8"))


def log(folder, users=80, items=40, titles=True, seed=0):
    """A log of users of two tastes, and a file of titles: the table `data` of a recipe."""
    rng, folder = np.random.default_rng(seed), folder / "films"
    folder.mkdir(parents=True)
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(users):
        odds = np.where(np.arange(items) % 2 == user % 2, 6.0, 1.0) / (1 + np.arange(items) // 4)
        chosen = rng.choice(items, min(items - 1, 8 + user % 5), replace=False, p=odds / odds.sum())
        lines += [f"{user},{item},5,{i}" for i, item in enumerate(chosen)]
    (folder / "ratings.csv").write_text("\n".join(lines))
    if not titles:
        return {"source": str(folder / "ratings.csv"), "interactions": {"split": "strong"}}
    quoted = HOSTILE.replace('"', '""')
    rows = [
        f'{i},"{quoted if i == 0 else f"Film {i}"}","{"$_<b>|Drama" if i % 2 else "Comedy"}"'
        for i in range(items)
    ]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(rows))
    return {
        "source": str(folder / "ratings.csv"),
        "interactions": {"split": "strong", "items": str(folder / "movies.csv")},
    }


def fit(folder, data, **settings):
    tables = {
        "data": data | {"validation": 20, "test": 20},
        "model": {
            "latent": [4],
            "network": {"type": "MLP", "hidden": [8]},
            "likelihood": "Multinomial",
        },
        "training": {"epochs": 3, "monitor": "ndcg@10", "validate_every": 2},
        "report": {"write": False},
    }
    plan = parse(tables).replace({key.replace("__", "."): value for key, value in settings.items()})
    return runs.fit(plan, out=folder / "a <b> run", progress=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return fit(folder, log(folder))


@pytest.fixture(scope="module")
def found(run):
    return findings_of.findings(run)


@pytest.fixture(scope="module")
def written(run):
    path = page(run)
    return path.with_name("overview.png"), read(path)


def test_the_page_needs_no_other_file(written):
    picture, reader = written
    assert picture.name == "overview.png"
    assert picture.stat().st_size > 10_000
    images = reader.all("img")
    assert len(images) >= 8
    assert all(
        image["src"].startswith("data:image/svg+xml;base64,") and image["alt"] for image in images
    )
    assert not reader.all("script") + reader.all("link") + reader.all("iframe")
    addresses = [
        value
        for _, attributes in reader.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset")
    ]
    assert all(value.startswith(("data:", "#")) for value in addresses)
    text = (picture.parent / "index.html").read_text()
    assert not re.search(r"url\(|@import", text)
    pictures = {path.name for path in picture.parent.glob("*.png")}
    assert {
        "validation.png",
        "elbo.png",
        "quality.png",
        "activity.png",
        "items.png",
        "users.png",
        "rates_1.png",
    } <= pictures


def test_the_page_can_be_read_on_a_telephone_and_in_the_dark(written):
    picture, reader = written
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in reader.all(
        "meta"
    )
    assert "prefers-color-scheme: dark" in (picture.parent / "index.html").read_text()
    assert len([a for a in reader.all("div") if a.get("class") == "scroll"]) == len(
        reader.all("table")
    )


def test_titles_are_text_and_nothing_else(written):
    picture, reader = written
    assert HOSTILE in reader.text
    assert "<script" not in (picture.parent / "index.html").read_text()
    assert "a <b> run" in reader.text


def test_the_page_says_what_the_run_is(written, run):
    text = written[1].text
    assert "interactions of 80 users with 40 items" in text
    assert "40 train, 20 validation, 20 test users" in text
    assert "lowerbound fit 'a <b> run/recipe.toml' --out 'a <b> run-again'" in text
    assert f"{sum(p.numel() for p in run.model.parameters()):,}" in text
    assert "EASE has l2 = " in text
    assert "by nDCG@10 on the validation split" in text


def test_links_lead_to_sections(written):
    reader = written[1]
    ids = {a["id"] for a in reader.all("section")}
    assert {a["href"] for a in reader.all("a")} == {f"#{i}" for i in ids}


def test_blank_cells_of_the_metrics_are_passed_over(run):
    rows = metric_rows(run)
    assert [("validation_ndcg@10" in row) for row in rows] == [False, True, True]


def test_differences_to_the_baselines_are_of_pairs(run, found):
    compared = found.compared
    section = recommender.quality(run, found)
    model, other = (
        compared.rankings[name].per_user["ndcg@10"].numpy() for name in ("model", "popularity")
    )
    paired = (model - other).std(ddof=1) / np.sqrt(len(model))
    row = next(row for row in section.tables[0].rows if row[0] == "nDCG@10")
    assert row[3].endswith(f"{paired:.4f}")


def scored(found, better):
    """The findings with a model that has the rankings of popularity, better or worse by a tenth."""
    compared = found.compared
    base = compared.rankings["popularity"]
    per_user = {name: values + better for name, values in base.per_user.items()}
    ranking = base.__class__(**vars(base) | {"per_user": per_user})
    return vars(compared) | {"rankings": {"model": ranking, "popularity": base}}


@pytest.mark.parametrize(
    ("by", "words"), [(0.1, "beats"), (-0.1, "does not beat"), (0.0, "does not beat")]
)
def test_the_verdict_is_said(found, by, words):
    compared = found.compared.__class__(**scored(found, by))
    sentence, beats = recommender.verdict(compared, "popularity")
    assert sentence.startswith(f"The model {words} popularity")
    assert beats == (by > 0)


def test_a_difference_within_its_error_is_not_clear(found):
    compared = found.compared.__class__(
        **scored(found, torch.linspace(-1, 1.02, len(found.compared.rankings["model"].users)))
    )
    assert recommender.verdict(compared, "popularity")[0].startswith(
        "The model does not clearly beat popularity"
    )


def test_collapse_is_said(run, found):
    def told(rates, variances, active):
        latent = LatentStatistics((torch.tensor(rates),), (torch.tensor(variances),), (active,))
        return recommender.health(run, found.__class__(**vars(found) | {"latent": latent}))

    assert told([1.0] * 20, [1.0] * 20, 20).warnings == ()
    assert "collapsed: their rate is 0.002 nats" in told([0.0001] * 20, [0.0] * 20, 0).warnings[0]
    assert (
        "Few of the latents are in use: 1 of 20 units"
        in told([1.0] + [0.0] * 19, [1.0] + [0.0] * 19, 1).warnings[0]
    )


def test_a_run_that_has_not_converged_says_so(run):
    before = run.summary
    try:
        run.summary = before | {"best_epoch": 3}
        assert "has not converged" in training(run).warnings[0]
        run.summary = before | {"best_epoch": 2}
        assert training(run).warnings == ()
        run.summary = before | {"validation": None}
        assert "no validation split" in training(run).sentences[0]
    finally:
        run.summary = before


def test_without_titles_ids_are_shown(run, found):
    before = run.items
    try:
        run.items = Items(before.ids, popularity=before.popularity)
        rows = recommender.neighbours(run, found).tables[0].rows
        assert {row[0] for row in rows} <= {str(i) for i in before.ids}
        assert "genre" not in recommender.maps(run, found).pictures[0].caption
    finally:
        run.items = before


def test_a_small_run_without_test_and_validation(tmp_path):
    """Six items, one latent dimension, nobody held out: what cannot be said is left out."""
    source = log(tmp_path, users=12, items=6, titles=False)
    run = fit(
        tmp_path,
        source,
        data__validation=0,
        data__test=0,
        training__monitor="objective",
        model__latent=[1],
    )
    reader = read(page(run))
    assert "no validation split" in reader.text
    for title in ("How well it ranks", "For whom"):
        assert title not in reader.text
    assert "Health of the latents" in reader.text
    path = run.folder / "report" / "index.html"
    before = path.read_text()
    page(run)
    assert path.read_text() == before  # nothing in it is of the day


def test_a_run_on_a_table_has_a_page_too(tmp_path):
    np.save(
        tmp_path / "numbers.npy", np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    )
    tables = {"data": {"source": str(tmp_path / "numbers.npy")}, "training": {"epochs": 2}}
    model = {"latent": [2], "network": {"type": "MLP", "hidden": [8]}, "likelihood": "Normal"}
    run = runs.fit(parse(tables | {"model": model}), out=tmp_path / "run", progress=False)
    reader = read(page(run))
    wanted = [
        "This run",
        "Training",
        "The bound",
        "Columns",
        "Likelihood by column",
        "Latent space",
        "Health",
        "Least likely",
    ]
    assert [words for words in wanted if words in reader.text] == wanted
    assert "How well it ranks" not in reader.text


def test_a_small_catalogue_is_cut_at_what_it_has(tmp_path):
    """An autoencoder with two numbers for a code: no rates, the map is the codes, and the
    validation split is the test.
    """
    source = log(tmp_path, users=30, items=6, titles=False)
    settings = {
        "model__latent": [2],
        "model__posterior": "Delta",
        "objective": "Reconstruction",
        "training__monitor": "ndcg@3",
    }
    run = fit(tmp_path, source, data__validation=10, data__test=0, **settings)
    reader = read(page(run))
    assert "nDCG@5" in reader.text
    assert "nDCG@10" not in reader.text
    assert "these are the validation users" in reader.text
    assert "Health of the latents" not in reader.text


def test_ease_is_left_out_of_large_catalogues(run, found, monkeypatch):
    monkeypatch.setattr(findings_of, "EASE_MEMORY", 1000)
    compared = findings_of.compare(run, found.data, found.popularity)
    assert "EASE" not in compared.rankings
    assert "EASE is left out: over 40 items" in compared.notes[0]


def test_nearest_items_are_those_of_the_largest_cosine():
    vectors = findings_of.unit_rows(
        np.array([[1, 0], [2, 0.1], [0, 3], [-1, 0], [0, 0]], dtype=float)
    )
    order = findings_of.nearest(vectors, 0, 3)
    assert [i for i, _ in order] == [1, 2, 4]
    assert order[0][1] == pytest.approx(2 / np.hypot(2, 0.1))


def test_item_vectors_give_the_scores(run):
    natural = run.model.decode(torch.randn(3, 4)).natural
    scores = natural.h @ torch.from_numpy(item_vectors(run.model)).T + natural.bias
    torch.testing.assert_close(scores, natural.tensor())


def test_maps_need_points_that_differ():
    rows = np.arange(50)
    assert projection.plane(np.zeros((50, 5)), rows, "x") is None
    assert projection.plane(np.random.default_rng(0).random((5, 5)), rows, "x") is None
    assert projection.plane(np.random.default_rng(0).random((50, 1)), rows, "x") is None
    flat = projection.plane(np.random.default_rng(0).random((50, 2)), rows, "x")
    assert flat.axes == ("x1", "x2")


POINTS = np.random.default_rng(0).random((30, 2))
DRAWINGS = {
    "lines": lambda ax: curves.lines(
        [{"epoch": 1, "a": 1.0}, {"epoch": 2, "b": 3.0}],
        {"a": "a", "b": "$b"},
        "y",
        ax,
        best_epoch=1,
    ),
    "lines of nothing": lambda ax: curves.lines([], {"a": "a"}, "y", ax, trim=True),
    "bars": lambda ax: distributions.bars(
        ["a", "b"], {"x": ([1, np.nan], [0.1, np.nan]), "$_y": ([2, 3], None)}, "y", ax
    ),
    "levels": lambda ax: distributions.levels({"a": 1.0, "b": 2.0}, "x", ax, grey="b"),
    "rates": lambda ax: distributions.rates([0.1, 3, 0.2], ax, active=2),
    "rates of one": lambda ax: distributions.rates([0.0], ax, active=0),
    "classes": lambda ax: points.classes(
        POINTS, [f"_$kind {i % 12}" if i % 5 else "" for i in range(30)], ax
    ),
    "classes of none": lambda ax: points.classes(POINTS, [""] * 30, ax, axes=("a", "b")),
    "amounts": lambda ax: points.amounts(POINTS, list(range(30)), "n", ax),
    "amounts that are equal": lambda ax: points.amounts(POINTS, [3.0] * 30, "n", ax),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_pictures_are_figures_and_take_axes(name, tmp_path):
    alone = DRAWINGS[name](None)
    assert isinstance(alone, Figure)
    alone.savefig(tmp_path / "a.png")
    figure = Figure()
    ax = figure.subplots(1, 2)[1]
    assert DRAWINGS[name](ax) is figure
    assert ax.has_data() or name == "lines of nothing"


def test_the_most_frequent_kinds_have_colours():
    kinds = [f"k{i % 12}" for i in range(24)] + ["k11"] * 6
    figure = points.classes(POINTS, kinds)
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names[0] == "k11 (8)"
    assert names[-1].startswith("other")
    assert len(names) == 11


def test_any_words_can_be_drawn():
    assert style.words("$a\n_b") == r"\$a _b"
    assert style.words("_hidden") == " _hidden"
    assert len(style.words("x" * 99)) == 28


def test_any_sections_make_a_page(tmp_path):
    draw = Picture("p", "A <picture>", "seen", lambda ax: distributions.rates([1.0], ax))
    made = [
        Section(
            "One",
            ("a & b",),
            ("beware",),
            (Table(("x", "y"), (("1", "2"),)),),
            (draw,),
            ("ls",),
            (("more", "text"),),
        ),
        Section("Two"),
    ]
    reader = read(write(tmp_path, "name", "", made))
    assert reader.text.count("beware") == 2
    assert "a & b" in reader.text
    assert [a["alt"] for a in reader.all("img")] == ["A <picture>. seen"]


@pytest.mark.parametrize(
    "names",
    [
        ("train", "validation"),
        ("model", "popularity", "EASE"),
        (
            *("model", "popularity", "the network alone", "the linear method alone"),
            *("EASE", "the graph filter"),
        ),
        tuple(f"a ranking with a long name, number {place}" for place in range(7)),
    ],
    ids=len,
)
def test_a_legend_is_not_wider_than_its_picture(names):
    series = {name: ([0.2, 0.3], [0.1, 0.1]) for name in names}
    figure = distributions.bars(["nDCG@100", "recall@20"], series, "mean over users")
    svg_bytes(figure)
    legend = figure.axes[0].get_legend()
    assert legend.get_window_extent().x0 >= 0
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    assert max(text.get_window_extent().y1 for text in legend.get_texts()) <= figure.bbox.y1
