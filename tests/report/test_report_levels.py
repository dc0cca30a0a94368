"""The report of a hierarchy: what each level carries, what each adds, and which one is dead."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import lowerbound
from lowerbound.evaluation.probe import probe_labels
from lowerbound.report import figures, page
from lowerbound.report.findings.dense import DenseFindings
from lowerbound.report.sections import images, latent, levels, training
from lowerbound.report.text import name_level
from lowerbound.schedules import Linear

SETTINGS = {
    "model.ladder": {"type": "ConvLadder", "width": 8, "grids": [3], "stem": 2},
    "model.latent": [1, 1, 1, 3],
    "model.network": None,
    "objective": {"type": "Elbo", "free_bits": 2.0},
    "training.epochs": 2,
    "training.learning_rate": 3e-3,
    "training.batch_size": 64,
    "training.accelerator": "cpu",
    "report.write": False,
    "report.points": 180,
    "report.examples": 120,
}


def fit(folder, **changed):
    settings = SETTINGS | {key.replace("__", "."): value for key, value in changed.items()}
    return lowerbound.fit("digits", out=folder, settings=settings, progress=False)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory):
    """A ladder of four levels on labelled images. The lowest is dead and the top one tells much,
    whatever so short a fit has made of them.
    """
    run = fit(tmp_path_factory.mktemp("ladder") / "run")
    kill(run, 0)
    with torch.no_grad():
        for parameter in run.model.latents.top.head.parameters():
            parameter.mul_(8)
    return run


def kill(run, level):
    """Gives a level the posterior of its prior, as it has in a residual ladder that collapses."""
    head = run.model.latents.rungs[level].posterior_head[-1]
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()


@pytest.fixture(scope="module")
def findings(ladder):
    return DenseFindings(ladder)


@pytest.fixture(scope="module")
def written(ladder):
    path = page(ladder)
    return path, path.read_text(encoding="utf-8")


def test_a_page_on_a_ladder_has_its_sections_and_pictures(written):
    path, text = written
    titles = re.findall("<h2>(.*?)</h2>", text)
    wanted = "This run|Training|The bound|Reconstructions|Samples|Levels|Manifold|Latent space|"
    assert titles == (wanted + "The label|Health|Least likely").split("|")
    names = {each.stem for each in path.parent.glob("*.png")}
    assert {"level_rates", "levels_varied", "reconstructions_by_level", "rate"} <= names
    assert {"interpolations", "traversals_4", "manifold_4"} <= names
    # Four levels are too many for a picture of each, and maps of lower levels are not swept.
    assert not {name for name in names if name.startswith("samples_level")}
    assert not names & {"traversals_1", "traversals_2", "manifold_1", "manifold_2"}
    assert len({name for name in names if name.startswith("aggregate")}) == 3


def test_a_page_says_what_the_ladder_is(written):
    assert "ConvLadder of 4 levels, 3 × 1 + 3 latent" in written[1]
    assert "16 + 16 + 16 + 3 dimensions, from the data up" in written[1]
    assert "rate of all 4 levels" in written[1]


def test_a_dead_level_is_told_with_its_name_and_the_way_out(ladder, findings):
    warned = " ".join(latent.health(ladder, findings).warnings)
    assert "The latents of level 1 (next to the data) have collapsed: their rate is 0.000" in warned
    assert "level 4 (top) have collapsed" not in warned
    # Other levels may be dead after so short a fit; all are given the same advice.
    (steps,) = set(
        re.findall(r"objective\.free_bits='\{type=\"Linear\",start=2,stop=0.0,steps=(\d+)", warned)
    )
    batches = -(-ladder.split_sizes()["train"] // 64)
    assert int(steps) == round(0.3 * 2 * batches)
    told = {"type": "Linear", "start": 2, "stop": 0.0, "steps": int(steps)}
    advised = ladder.recipe.replace({"objective.free_bits": told})
    assert advised.objective.free_bits == Linear(start=2.0, stop=0.0, steps=int(steps))


def test_units_below_the_top_are_active_where_they_depart_from_their_prior(findings):
    """The means of a dead level vary with the levels above it, and tell nothing."""
    active = findings.latent.active_units
    assert active[0] == 0
    assert active[3] > 0
    assert np.var(findings.means[0], axis=0).max() > 0
    assert not findings.in_use(0).any()


def test_the_table_of_levels_has_the_numbers_of_the_bound(ladder, findings):
    (table,) = levels.hierarchy(ladder, findings).tables
    assert [row[0] for row in table.rows] == [name_level(level, 4) for level in (3, 2, 1, 0)]
    for row, level in zip(table.rows, (3, 2, 1, 0), strict=True):
        assert float(row[2].replace("−", "-")) == pytest.approx(
            findings.bound.rate[level], abs=6e-3
        )
        assert int(row[4]) == findings.latent.active_units[level]
    errors = [float(row[5]) for row in table.rows]
    x = findings.examples.tensor(slice(None)).numpy()
    whole = x - ladder.reconstruct(findings.examples, units="model").numpy()
    assert errors[-1] == pytest.approx(np.sqrt((whole**2).mean()), abs=6e-5)
    # A dead level adds nothing to reconstructions.
    assert errors[-1] == errors[-2]
    top = x - ladder.reconstruct(findings.examples, units="model", lowest=3).numpy()
    assert errors[0] == pytest.approx(np.sqrt((top**2).mean()), abs=6e-5)


@pytest.mark.parametrize(
    ("markov", "sizes", "conditional_prior", "said"),
    [
        (True, (3,), False, ""),
        (True, (3, 2), False, ""),
        (False, (3, 2), False, " (below the top: of its distance"),
        (True, (3,), True, " (of its distance"),
        (True, (3, 2), True, " (at the top: of its distance"),
        (False, (3, 2), True, " (of its distance"),
    ],
)
def test_what_counts_as_active_is_said_where_it_is_not_the_mean(
    markov, sizes, conditional_prior, said
):
    latents = SimpleNamespace(markov=markov, sizes=sizes)
    recipe = SimpleNamespace(model=SimpleNamespace(conditional_prior=conditional_prior))
    run = SimpleNamespace(model=SimpleNamespace(latents=latents), recipe=recipe)
    found = levels.distance(run)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_there_is_no_section_on_levels_where_there_is_one(tmp_path):
    network = {"type": "MLP", "hidden": [16]}
    changed = {"model__ladder": None, "model__network": network, "model__latent": [3]}
    run = fit(tmp_path / "run", training__epochs=1, **changed)
    assert levels.hierarchy(run, DenseFindings(run)) is None


def test_interpolations_end_at_the_reconstructions_of_both_ends(ladder, findings, monkeypatch):
    drawn = []
    monkeypatch.setattr(images, "strips", lambda shown, ax, **options: drawn.append(shown))
    images._interpolations(findings).draw(None)
    (lines,) = drawn
    order = np.random.default_rng(1).permutation(len(findings.means[0]))
    firsts = order[: images.INTERPOLATED_PAIRS]
    expected = findings.shown(ladder.reconstruct(findings.mapped.take(firsts)))
    np.testing.assert_allclose(lines[:, 1], expected, atol=1e-5)


def test_the_levels_of_a_row_that_are_not_varied_are_those_of_the_other_rows(ladder):
    """What is below a varied level is not drawn, and what is above it is one sample for all."""
    dead = ladder.vary(0, 1, 4)[0]
    np.testing.assert_allclose(dead[0], dead[1], atol=0.2)
    torch.testing.assert_close(ladder.vary(1, 1, 4, seed=3), ladder.vary(1, 1, 4, seed=3))


def test_rates_over_training_are_stacked_with_the_top_level_below(ladder, monkeypatch):
    drawn = {}

    def keep(rows, labels, *others, **options):
        drawn.update(labels)

    monkeypatch.setattr(training, "stacked", keep)
    (picture,) = [each for each in training.training(ladder).pictures if each.name == "rate"]
    picture.draw(None)
    assert list(drawn) == [f"validation_rate_{level}" for level in (4, 3, 2, 1)]
    assert drawn["validation_rate_4"] == "level 4 (top)"


@pytest.mark.parametrize("epochs", [1, 3])
def test_stacked_rates_are_drawn_of_one_epoch_and_of_several(epochs):
    rows = [{"epoch": e, "a": 1.0 * e, "b": 2.0} for e in range(1, epochs + 1)]
    rows.append({"epoch": epochs + 1, "a": float("nan")})
    figure = figures.stacked(rows, {"a": "first", "b": "second"}, "nats")
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "second",
        "first",
    ]


def test_of_many_levels_the_rows_are_spread_evenly():
    chosen = levels._some(list(range(40)), 7)
    assert chosen[0] == 0
    assert chosen[-1] == 39
    assert len(chosen) == 7
    assert levels._some([3, 2], 7) == [3, 2]


@pytest.mark.parametrize(
    ("level", "count", "name"),
    [
        (0, 3, "level 1 (next to the data)"),
        (1, 3, "level 2"),
        (2, 3, "level 3 (top)"),
    ],
)
def test_levels_have_the_words_of_ladders(level, count, name):
    assert name_level(level, count) == name


def told(codes, labels):
    sentence = levels.tell_label(probe_labels(codes, labels, np.asarray(codes[0])))
    return sentence.replace("\u00a0", " ")


def test_the_level_of_the_label_is_told_in_a_sentence():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    knows = labels[:, None] + 0.1 * rng.normal(size=(200, 1))
    blind = rng.normal(size=(200, 2))
    assert told([blind, knows], labels).startswith(
        "The label is in level 2 (top) of 2: accuracy 1.000 ± 0.000, and "
    )
    assert told([knows, blind, knows], labels).startswith("The levels 1 and 3 of 3 tell the label")
    assert told([blind, blind], labels).startswith("No level tells the label: the accuracy of")
    assert told([knows], labels).startswith("A linear probe of the codes finds the label with an")
