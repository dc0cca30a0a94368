"""The report of tables with columns of several kinds and with gaps."""

import re
from dataclasses import replace

import numpy as np
import polars
import pytest
import torch
from matplotlib.figure import Figure

import lowerbound
from lowerbound.columns import ColumnSchema
from lowerbound.evaluation.columns import cramers_v, total_variation
from lowerbound.report import compare, figures, page
from lowerbound.report.comparison.columns import values_in
from lowerbound.report.findings.table import TableFindings
from lowerbound.report.report import glance, sections
from lowerbound.report.sections import about, columns, gaps, latent, tables
from lowerbound.report.text import format_plain, format_share

FAST = {
    "training.epochs": 3,
    "training.patience": None,
    "training.accelerator": "cpu",
    "model.network.hidden": [16],
    "model.latent": [3],
    "report.write": False,
    "report.points": 60,
    "data.test": 0.4,
}

COUNTRIES = ["Chile", "Peru", "Mali", "Laos", "Cuba", "Iran", "Oman", "Togo", "Fiji", "Cote d'Or $"]


def mixed(rows=400, seed=0):
    """A frame with a column of each kind, atoms and gaps: the words hang on the numbers."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=rows)
    zeros = rng.random(rows) < 0.7
    frame = polars.DataFrame(
        {
            "height": hidden + 0.3 * rng.normal(size=rows) - 2,
            "income": np.exp(2 * hidden + 3 + 0.2 * rng.normal(size=rows)),
            "gain": np.where(zeros, 0, rng.poisson(3000, rows)),
            "visits": rng.poisson(np.exp(hidden / 2 + 1)),
            "stage": rng.integers(1, 5, rows) + (hidden > 0),
            "country": rng.choice(COUNTRIES, rows),
            "sign": np.where(hidden > 0, "plus", "minus"),
        }
    )
    days = polars.Series("born", (10_000 + 900 * hidden).astype(int)).cast(polars.Date)
    frame = frame.with_columns(days)
    for number, name in enumerate(frame.columns):
        lacks = rng.random(rows) < 0.03 * number
        series = frame[name].to_list()
        frame = frame.with_columns(
            polars.Series(
                name,
                [None if gap else value for gap, value in zip(lacks, series, strict=True)],
                dtype=frame[name].dtype,
            )
        )
    return frame


KINDS = {"stage": "ordinal", "income": "positive", "visits": "count", "gain": "count"}


def fit(out, frame, **settings):
    path = out.with_suffix(".parquet")
    frame.write_parquet(path)
    given = FAST | {"data.source": str(path)} | settings
    return lowerbound.fit("table", out=out, settings=given, progress=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    return fit(folder / "run", mixed(), **{"data.kinds": KINDS})


@pytest.fixture(scope="module")
def look(run):
    return TableFindings(run)


@pytest.fixture(scope="module")
def written(run):
    path = page(run)
    return path, path.read_text(encoding="utf-8")


# The page


def test_the_page_has_every_section_in_order(written):
    wanted = "This run|Training|The bound|Columns|Associations|Gaps|Imputation|"
    wanted += "Likelihood by column|Latent space|Health|Least likely"
    assert re.findall("<h2>(.*?)</h2>", written[1]) == wanted.split("|")


def test_the_fixture_has_a_column_of_each_kind(run):
    kinds = {column.name: column.kind for column in run.schema.table}
    assert kinds["born"] == "datetime"
    assert kinds["country"] == "categorical"
    assert kinds["sign"] == "binary"
    assert set(kinds.values()) >= {"real", "positive", "count", "ordinal"}
    assert [column.name for column in run.schema.table if column.atoms][:1] == ["gain"]


def test_the_page_tells_that_training_rows_have_hidden_cells(written):
    assert "In training, half of the rows have cells hidden (data.hide)" in written[1]


def test_each_picture_is_there(written):
    names = {path.stem for path in written[0].parent.glob("*.png")}
    wanted = "marginals associations gaps column_densities column_probabilities pca_1 pca_1_by_2 "
    wanted += "imputed_numbers imputation_numbers imputation_ordered imputation_levels tsne_1 "
    wanted += "tsne_1_by_2 bounds aggregate_1 overview"
    assert set(wanted.split()) <= names


def test_the_page_tells_the_kinds_of_the_columns(run):
    facts = dict(about.about(run).tables[0].rows)
    assert facts["columns"].startswith("8: 2 count, ")
    assert facts["columns"].count("1 ") == 6


@pytest.mark.parametrize(
    "names",
    [["height"], ["sign"], ["country", "sign", "stage"], ["height", "income", "visits"], ["born"]],
)
def test_tables_of_fewer_kinds_have_a_page_without_warnings(tmp_path, names):
    kinds = {name: kind for name, kind in KINDS.items() if name in names}
    small = fit(tmp_path / "run", mixed(120).select(names), **{"data.kinds": kinds})
    assert page(small).is_file()


@pytest.mark.parametrize(
    "settings",
    [
        {"data.test": 0, "data.validation": 0},
        {"model.latent": [1]},
        {"model.latent": [3, 2]},
        {"model.posterior": "Delta", "objective": {"type": "Reconstruction"}},
    ],
)
def test_what_is_odd_has_a_page_all_the_same(tmp_path, settings):
    odd = fit(tmp_path / "run", mixed(150), **{"data.kinds": KINDS}, **settings)
    assert page(odd).is_file()


def test_a_plain_table_of_numbers_keeps_its_page(tmp_path):
    frame = polars.DataFrame(np.random.default_rng(0).normal(size=(150, 3)), schema=["a", "b", "c"])
    plain = {"data.kinds": None, "model.likelihood": "Normal", "data.hide": 0}
    made = sections(fit(tmp_path / "run", frame, **plain))
    titles = [section.title for section in made]
    assert "Associations" not in titles
    (shown,) = (section for section in made if section.title == "Columns")
    names = [picture.name for picture in shown.pictures]
    assert names == ["marginals", "correlations_data", "correlations_samples", "correlations_gap"]
    assert shown.tables[0].head[1] == "mean, data"


def test_a_wide_table_is_bounded(tmp_path):
    rng = np.random.default_rng(0)
    values = {f"column number {i}": rng.normal(size=80) for i in range(100)}
    values |= {f"word {i}": rng.choice(["a", "b", "c"], 80) for i in range(100)}
    wide = fit(tmp_path / "run", polars.DataFrame(values), **{"training.epochs": 1})
    found = TableFindings(wide)
    shown = columns.columns(wide, found)
    assert len(shown.tables[0].rows) == columns.LISTED_COLUMNS
    assert "50 of 200 columns" in shown.tables[0].caption
    assert "The 24 columns of 200 that differ most" in shown.pictures[0].caption
    text = " ".join(columns.together(wide, found).sentences)
    assert "of the 40 columns of 200" in text
    for section in (shown, columns.together(wide, found)):
        for picture in section.pictures:
            assert isinstance(picture.draw(None), Figure)


def test_many_rows_are_drawn_at_random_and_that_is_said(run, monkeypatch):
    monkeypatch.setattr("lowerbound.report.findings.table.MOST_EXAMPLES", 50)
    found = TableFindings(run)
    whole = run.data().test
    assert len(found.examples) == 50
    assert set(found.examples.rows) < set(whole.rows)
    assert found.examples.rows.max() > whole.rows[60]  # not the first
    caption = columns.measured(run, found).tables[0].caption
    assert caption.startswith("Drawn at random, 50 of 160 test examples")


# Columns beside samples


def test_values_of_the_page_are_those_of_the_source(run, look):
    frame = polars.read_parquet(run.recipe.data.source)
    rows = look.mapped.rows
    names = [column.name for column in run.schema.table]
    heights = look.values[:, names.index("height")]
    wanted = frame["height"].gather(rows).to_numpy()
    assert np.array_equal(heights, wanted, equal_nan=True)
    signs = look.values[:, names.index("sign")]
    words = [["minus", "plus"][int(sign)] if sign == sign else None for sign in signs]
    assert words == frame["sign"].gather(rows).to_list()


def test_the_table_has_the_measures_of_each_column_the_worst_first(run, look):
    (table,) = columns.columns(run, look).tables
    rows = {row[0]: row for row in table.rows}
    names = [column.name for column in run.schema.table]
    distances = [float(row[-1]) for row in table.rows]
    assert distances == sorted(distances, reverse=True)
    at = names.index("sign")
    data = look.values[:, at]
    drawn = look.samples[:, at]
    shares = [
        np.array([(part == i).sum() / (~np.isnan(part)).sum() for i in (0, 1)])
        for part in (data, drawn)
    ]
    assert rows["sign"][-1] == f"{total_variation(*shares):.3f}"
    most = int(shares[0].argmax())
    word = ["minus", "plus"][most]
    assert rows["sign"][4] == f"{word}: {100 * shares[0][most]:.1f} %"
    assert rows["sign"][5] == f"{word}: {100 * shares[1][most]:.1f} %"
    assert rows["sign"][1:3] == ("binary", "minus, plus")
    assert rows["sign"][3] == format_share(np.isnan(data).mean())
    assert rows["height"][3] == "–"
    assert rows["country"][2] == "10 levels"
    assert re.fullmatch(r"0 to \d+; \d\d % are 0", rows["gain"][2])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d ± [\d,.]+ days", rows["born"][4])


@pytest.mark.parametrize("days", [-1e12, 1e12])
def test_dates_beyond_the_calendar_are_told_by_its_ends(days):
    column = ColumnSchema("when", "datetime", "date")
    told = columns.summarise(column, np.array([days]), np.array([0.0]))
    assert re.match(r"(0001|9997)-\d\d-\d\d ± 0 days", told)


def numbers_schema(values, **known):
    return ColumnSchema("x", low=float(np.nanmin(values)), high=float(np.nanmax(values)), **known)


def drawn_axes(figure):
    """All axes of a figure, those inside others too."""
    found = []
    for ax in figure.axes:
        found += [ax, *ax.child_axes]
    return found


def test_heavy_tails_and_positive_numbers_have_a_logarithmic_scale():
    rng = np.random.default_rng(0)
    heavy = np.exp(3 * rng.normal(size=500))
    plain = rng.normal(size=500)
    both_signs = heavy * rng.choice([-1, 1], 500)
    scales = []
    for values, kind in ((heavy, "positive"), (plain, "real"), (both_signs, "real")):
        drawn = figures.column_marginal(numbers_schema(values, kind=kind), values, values)
        scales.append(drawn.axes[0].get_xscale())
    assert scales == ["log", "linear", "asinh"]


def test_atoms_have_bars_of_their_own_beside_the_histogram_of_the_others():
    rng = np.random.default_rng(0)
    values = np.where(np.arange(1000) < 900, 0, rng.normal(5000, 300, 1000).round())
    drawn = np.where(np.arange(1000) < 800, 0, rng.normal(5000, 300, 1000).round())
    column = numbers_schema(values, kind="count", decimals=0, atoms=(0.0,), shares=(0.9,))
    figure = figures.column_marginal(column, values, drawn)
    atoms, others = figure.axes[0].child_axes
    heights = [bar.get_height() for bar in atoms.patches]
    assert heights == [0.9, 0.8]
    assert [text.get_text() for text in atoms.texts] == ["90 %"]
    assert [tick.get_text() for tick in atoms.get_xticklabels()] == ["0"]
    filled, line = (patch.get_data() for patch in others.patches)
    assert filled.values.sum() == pytest.approx(1)
    assert line.values.sum() == pytest.approx(1)
    assert filled.edges[0] > 3000  # the zeros are not in it


def test_whole_numbers_of_a_small_range_have_a_bar_each():
    values = np.repeat([1.0, 2.0, 3.0, 9.0], [5, 60, 30, 5])
    column = numbers_schema(values, kind="count", decimals=0, atoms=(2.0,), shares=(0.6,))
    figure = figures.column_marginal(column, values, values)
    filled = figure.axes[0].patches[0].get_data()
    middles = (filled.edges[1:] + filled.edges[:-1]) / 2
    shares = dict(zip(middles, filled.values, strict=True))
    assert shares[2.0] == pytest.approx(0.6)
    assert shares[9.0] == pytest.approx(0.05)
    assert shares[5.0] == 0


def test_levels_are_ordered_by_the_data_and_the_rest_is_told():
    column = ColumnSchema("c", "categorical", "text", tuple(f"level {i}" for i in range(12)))
    positions = np.repeat(np.arange(12.0), np.arange(1, 13))
    drawn = np.append(np.full(78, 11.0), np.nan)
    figure = figures.column_marginal(column, positions, drawn)
    (bars,) = figure.axes[0].child_axes
    names = [tick.get_text() for tick in bars.get_yticklabels()]
    assert names == [*(f"level {i}" for i in range(11, 3, -1)), "4 others"]
    widths = [bar.get_width() for bar in bars.patches]
    assert widths[0] == pytest.approx(12 / 78)
    assert widths[8] == pytest.approx((1 + 2 + 3 + 4) / 78)
    assert widths[9:11] == [1, 0]


def test_dates_are_drawn_by_time():
    days = np.linspace(17_000, 18_500, 200)
    column = ColumnSchema("when", "datetime", "date", low=17_000, high=18_500)
    figure = figures.column_marginal(column, days, days)
    figure.canvas.draw()
    labels = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert "2018" in labels


@pytest.mark.parametrize("values", [[np.nan] * 3, [2.0, 2.0], [0.0], [-1e30, 1e30], [1e-9, 3e12]])
@pytest.mark.parametrize("kind", ["real", "positive", "count", "datetime"])
def test_odd_numbers_are_drawn(values, kind):
    if kind == "datetime" and max(values) > 1e6:
        pytest.skip("no such day")
    if kind in ("positive", "count"):
        values = np.abs(values)
    column = ColumnSchema("x", kind)
    samples = np.array([0.5, 1e20 if kind == "real" else 3.0])
    figure = figures.column_marginals([column], np.array(values)[:, None], samples[:, None])
    assert len(figures.pixels(figure))


# Associations


def test_associations_of_the_page_are_those_of_the_rows_that_have_both(look):
    names = [column.name for column in look.columns]
    shown = np.array([names.index("country"), names.index("sign")])
    of_data, of_samples = look.associations(shown)
    pair = look.values[:, shown]
    both = ~np.isnan(pair).any(1)
    assert of_data[0, 1] == cramers_v(*pair[both].T)
    assert of_samples[0, 1] == cramers_v(*look.samples[:, shown].T)


def test_the_square_has_data_below_the_diagonal_and_samples_above():
    data = np.array([[1, 0.5], [0.5, 1]])
    samples = np.array([[1, -0.25], [-0.25, 1]])
    figure = figures.associations_matrix(data, samples, ["a", "b"])
    both, difference = (ax.images[0].get_array() for ax in figure.axes[0].child_axes)
    assert both[1, 0] == 0.5
    assert both[0, 1] == -0.25
    assert difference[0, 1] == 0.75
    assert both.mask[0, 0]


# Gaps


def test_gaps_are_told_as_they_are(run, look):
    section = gaps.gaps(run, look)
    share = np.isnan(look.values).mean()
    assert section.sentences[0].startswith(f"{format_share(share)} of the cells of ")


def test_pairs_of_gaps_are_listed(tmp_path):
    frame = mixed(200)
    lacks = np.random.default_rng(1).random(200) < 0.3
    together = [
        polars.when(~polars.Series(lacks)).then(polars.col(c)).alias(c)
        for c in ("height", "country")
    ]
    paired = fit(tmp_path / "run", frame.with_columns(together), **{"data.kinds": KINDS})
    found = TableFindings(paired)
    row = gaps.gaps(paired, found).tables[0].rows[0]
    assert row[0] == "height and country"
    first = np.isnan(found.values[:, 0])
    second = np.isnan(found.values[:, 5])
    assert row[3] == f"{np.corrcoef(first, second)[0, 1]:.2f}"
    assert row[2] == format_share((first & second).mean())


def test_a_table_without_gaps_has_no_such_section(tmp_path):
    full = fit(tmp_path / "run", mixed(100).drop_nulls().head(40))
    assert gaps.gaps(full, TableFindings(full)) is None


# Imputation


def test_hidden_cells_are_observed_ones(look):
    hidden = look.hidden
    values = look.examples.values_at(slice(None))
    is_hidden = ~np.isnan(hidden.truth)
    assert np.array_equal(hidden.truth[is_hidden], values[is_hidden])
    assert not np.isnan(values[is_hidden]).any()
    observed = (~np.isnan(values)).sum()
    assert 0.15 < is_hidden.sum() / observed < 0.25
    assert np.isfinite(hidden.model.imputed).all()


def test_no_hidden_cell_is_seen_by_the_model(look):
    """What fills the cells is the same whatever the truth is."""
    examples = look.examples
    values = examples.values.copy()
    rows = examples.rows[: len(look.hidden.truth)]
    is_hidden = ~np.isnan(look.hidden.truth)
    part = values[rows]
    part[is_hidden] = 0.0
    values[rows] = part
    other = TableFindings(look.run)
    other.__dict__["examples"] = replace(examples, values=values)
    before = look.hidden.model.imputed[is_hidden]
    assert (other.hidden.truth[is_hidden] == 0).all()
    assert np.array_equal(other.hidden.model.imputed[is_hidden], before)


def test_one_value_is_the_mean_or_the_mode_of_the_training_rows(run, look):
    train = run.data().train.values_at(slice(None))
    names = [column.name for column in run.schema.table]
    is_hidden = ~np.isnan(look.hidden.truth)
    height = names.index("height")
    filled = look.hidden.constant.imputed[is_hidden[:, height], height]
    assert filled == pytest.approx(np.nanmean(train[:, height]))
    stage = names.index("stage")
    known = train[~np.isnan(train[:, stage]), stage].astype(int)
    filled = look.hidden.constant.imputed[is_hidden[:, stage], stage]
    assert set(filled) == {np.bincount(known).argmax()}


def test_the_picture_has_the_errors_of_evaluate_by_kind(run, look):
    section = gaps.imputations(run, look)
    by_column = look.hidden.model.by_column()
    drawn = {}
    for picture in section.pictures[1:]:
        ax = picture.draw(None).axes[0]
        names = [tick.get_text() for tick in ax.get_yticklabels()]
        values = ax.collections[0].get_offsets()[:, 0]
        drawn |= dict(zip(names, values, strict=True))
        assert list(values) == sorted(values, reverse=True)
    assert drawn == {name: pytest.approx(error.value) for name, error in by_column.items()}
    assert section.commands[1] == "lowerbound evaluate run --hide 0.2"


# Likelihood


def test_the_terms_of_the_columns_are_those_of_the_row(run, look):
    """Gaps have none, and the others add up to log p(x | z) of the observed cells."""
    terms = look.by_column
    observed = look.examples.batch(slice(None)).observed.numpy()
    assert np.array_equal(~np.isnan(terms), observed)
    total = 0.0
    for batch, inference in look._inferred(look.examples):
        total += float(run.model.terms_of(inference, batch).log_likelihood[0].sum())
    assert np.nansum(terms) == pytest.approx(total, rel=1e-4)


def test_densities_and_probabilities_are_apart(run, look):
    section = columns.likelihoods(run, look)
    names = [picture.name for picture in section.pictures]
    assert names == ["column_probabilities", "column_densities"]
    shown = []
    for picture in section.pictures:
        figure = picture.draw(None)
        shown.append({tick.get_text() for tick in figure.axes[0].get_yticklabels()})
    assert shown[1] == {"height", "income", "born"}
    assert shown[0] == {"gain", "visits", "stage", "country", "sign"}


def test_impossible_cells_are_told_and_blamed(run):
    found = TableFindings(run)
    found.by_column[3, 0] = -np.inf
    found.by_column[5, 0] = -np.inf
    (warning,) = columns.likelihoods(run, found).warnings
    assert warning.startswith("The model finds 2 cells impossible")
    assert "of them of height" in warning
    found.__dict__["order"] = np.array([3, 0])
    rows = tables.unlikely(run, found).tables[0].rows
    assert re.match(r"height = .* \(–\)", rows[0][2])


def test_the_oddest_row_is_told_in_the_words_of_the_source(run, look):
    (table,) = tables.unlikely(run, look).tables
    frame = polars.read_parquet(run.recipe.data.source)
    for number, _, blamed in table.rows:
        row = frame.row(int(number), named=True)
        for name, told in re.findall(r"(\w+) = (.*?) \(", blamed):
            value = row[name]
            assert value is not None
            if isinstance(value, float):
                assert float(told) == pytest.approx(value, rel=1e-5)
            else:
                assert told == str(value)


# Health


class Stated(TableFindings):
    """A look at a model whose p(x | z) of two columns is N(0, 2^2), on data of some spread."""

    def __init__(self, spread):
        self.run = self.model = self.examples = self.schema = self.coding = self
        self.spread = spread

    columns = (ColumnSchema("a"), ColumnSchema("b", atoms=(7.0,), shares=(0.5,)))

    def take(self, index):
        return self

    def atoms(self):
        return [np.zeros(0, np.float32), np.array([7.0], np.float32)]

    def _inferred(self, examples):
        from lowerbound.batch import Batch
        from lowerbound.latents import Inference

        x = torch.randn(4000, 2) * self.spread
        x[::2, 1] = 7.0  # an atom, which is left out
        observed = torch.rand(4000, 2) < 0.8
        x[~observed] = 1e6
        yield Batch(x, observed=observed), Inference([], torch.zeros(1, 4000, 1))

    def decode(self, z, given=None):
        return torch.distributions.Normal(torch.zeros(4000, 2), 2.0)


@pytest.mark.parametrize(("spread", "wanted"), [(2.0, 1.0), (6.0, 9.0), (0.5, 1 / 16)])
def test_dispersion_is_the_ratio_of_the_variances(spread, wanted):
    found = Stated(spread).dispersions
    assert found["a"] == pytest.approx(wanted, rel=0.15, abs=0.06)
    assert found["b"] == pytest.approx(wanted, rel=0.15, abs=0.06)


def test_columns_whose_likelihood_does_not_fit_are_named(run, look, monkeypatch):
    monkeypatch.setattr(TableFindings, "dispersions", {"height": 9.0, "income": 1.1, "gain": 0.1})
    (told,) = latent._misfit_warnings(look)
    assert "gain 10 times smaller, height 9 times larger" in told
    assert "income" not in told


def test_only_numbers_have_a_dispersion(look):
    assert set(look.dispersions) <= {"height", "income", "gain", "visits", "born"}
    assert "height" in look.dispersions


# Maps


def test_maps_are_coloured_by_the_levels_that_codes_tell_most(look):
    names = [name for name, _ in look.colourings]
    assert len(names) == 2
    assert names[0] == "sign"  # the others are drawn at random
    words = look.colourings[0][1]
    assert set(words) <= {"plus", "minus", ""}
    assert len(words) == len(look.mapped)


# Elsewhere


def test_a_glance_during_training_shows_the_columns(run):
    shown = glance(run, run.data())
    assert set(shown) == {"columns"}
    assert shown["columns"].dtype == np.uint8
    assert shown["columns"].std() > 1


def test_a_notebook_shows_the_run_and_its_page(run):
    assert "Columns" in run._repr_html_()
    assert "Associations" in run.report()._repr_html_()


def test_two_runs_on_a_mixed_table_are_compared(run, tmp_path):
    other = lowerbound.fit(
        "table",
        out=tmp_path / "other",
        settings=FAST
        | {"data.source": run.recipe.data.source, "data.kinds": KINDS, "training.epochs": 1},
        progress=False,
    )
    found = compare([run, other], tmp_path / "page", samples=4)
    text = found.page.read_text(encoding="utf-8")
    assert "Columns of samples" in text
    assert "associations of pairs, mean difference" in text
    assert (tmp_path / "page" / "columns_2.png").is_file()


def test_samples_of_another_run_go_by_the_words(run):
    class Other:
        class schema:
            table = (
                ColumnSchema("sign", "categorical", "text", ("none", "plus", "minus")),
                ColumnSchema("height", "categorical", "text", ("tall", "small")),
            )

    columns_of_run = [column for column in run.schema.table if column.name in ("sign", "height")]
    values = np.array([[0, 0], [1, 0], [2, 1], [np.nan, 1]])
    found = values_in(columns_of_run, Other, values)
    names = [column.name for column in columns_of_run]
    assert np.array_equal(
        found[:, names.index("sign")], [2, 1, 0, np.nan], equal_nan=True
    )  # "none" is none of minus and plus
    assert np.isnan(found[:, names.index("height")]).all()  # words are no numbers


@pytest.mark.parametrize(
    ("value", "told"), [(41104.2, "41,104"), (0.0123456, "0.01235"), (-12345678.0, "−12,345,678")]
)
def test_numbers_are_written_without_powers_of_ten(value, told):
    assert format_plain(value) == told
