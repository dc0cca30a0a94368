"""Linear probes: labels that one level knows, that none knows, and what is left out."""

import numpy as np
import pytest
import torch

import lowerbound
from lowerbound.errors import DataError
from lowerbound.evaluation import probe
from lowerbound.evaluation.latent import own_codes
from lowerbound.evaluation.probe import chosen_rows, probe_labels
from lowerbound.model import Architecture
from lowerbound.networks.ladders import MLPLadder
from lowerbound.testing import Rows

EXAMPLES = 400


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def known(rng):
    """Labels that are a function of level 2 alone; level 1 and the examples are noise."""
    codes = [rng.normal(size=(EXAMPLES, 6)), rng.normal(size=(EXAMPLES, 3))]
    labels = np.argmax(codes[1], axis=1)
    return probe_labels(codes, labels, rng.normal(size=(EXAMPLES, 1, 4, 4)))


def test_labels_that_are_a_function_of_one_level_are_found_in_it(known):
    assert known.levels[1].accuracy.value > 0.9
    assert known.best == 1
    assert known.holders == (1,)
    assert known.describe()["holders"] == [2]
    assert known.together.size == 9
    assert known.together.accuracy.value > 0.8


def test_what_knows_nothing_of_a_label_is_at_chance(known):
    for blind in (known.levels[0], *known.components.values()):
        value, error = blind.accuracy
        assert abs(value - 1 / 3) < 4 * error
        assert 0.01 < error < 0.05


def test_labels_that_are_noise_are_in_no_level(rng):
    codes = [rng.normal(size=(EXAMPLES, 5)), rng.normal(size=(EXAMPLES, 2))]
    found = probe_labels(codes, rng.integers(0, 4, EXAMPLES), rng.normal(size=(EXAMPLES, 7)))
    assert found.holders == ()
    for level in found.levels:
        assert abs(level.accuracy.value - 1 / 4) < 4 * level.accuracy.standard_error


def test_two_levels_that_know_the_label_equally_well_both_hold_it(rng):
    labels = rng.integers(0, 3, EXAMPLES)
    same = np.eye(3)[labels] + 0.3 * rng.normal(size=(EXAMPLES, 3))
    found = probe_labels([same, same.copy()], labels, same)
    assert found.holders == (0, 1)


def test_principal_components_are_as_many_as_the_levels_have_dimensions(known):
    # 16 values of an example are the most; level 1 has 6 dimensions, level 2 has 3, both have 9.
    assert sorted(known.components) == [3, 6, 9]
    assert known.components_of(known.levels[0]).size == 6
    assert known.components_of(known.together).size == 9


def test_there_are_no_more_components_than_values(rng):
    labels = rng.integers(0, 2, EXAMPLES)
    found = probe_labels([rng.normal(size=(EXAMPLES, 8))], labels, rng.normal(size=(EXAMPLES, 2)))
    assert list(found.components) == [2]
    assert found.components_of(found.levels[0]).size == 2
    assert found.together is found.levels[0]


def test_components_that_hold_the_label_are_as_good_as_the_level_that_is_made_of_them(rng):
    """The first three principal components, as codes, are probed as those of the examples are."""
    labels = rng.integers(0, 3, EXAMPLES)
    values = np.zeros((EXAMPLES, 5))
    values[:, :3] = 10 * np.eye(3)[labels]
    values += rng.normal(size=values.shape)
    found = probe_labels([values[:, :3]], labels, values)
    assert found.levels[0].accuracy.value > 0.95
    assert found.components[3].accuracy.value > 0.95


def test_the_most_frequent_label_is_the_accuracy_of_no_features(rng):
    labels = np.array([0] * 300 + [1] * 100)
    found = probe_labels([np.zeros((400, 2))], labels, rng.normal(size=(400, 3)))
    assert found.most_frequent == 0.75
    # Not every example is tested equally often.
    assert found.levels[0].accuracy.value == pytest.approx(0.75, abs=0.01)
    assert found.holders == ()


def test_rare_and_missing_labels_are_left_out(rng):
    labels = ["a"] * 60 + ["b"] * 60 + ["rare"] * 3 + [None] * 2 + [float("nan")] + [""]
    size = len(labels)
    found = probe_labels([rng.normal(size=(size, 2))], labels, rng.normal(size=(size, 2)))
    assert (found.examples, found.classes, found.left_out) == (120, 2, 7)


def test_the_error_bar_is_that_of_repeated_experiments():
    """The standard error is the spread of the accuracy over sets of examples."""
    accuracies = []
    errors = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2, 120)
        codes = labels[:, None] + rng.normal(size=(120, 1))
        found = probe_labels([codes], labels, rng.normal(size=(120, 1)), seed=seed)
        accuracies.append(found.levels[0].accuracy.value)
        errors.append(found.levels[0].accuracy.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(accuracies, ddof=1), rel=0.6)


@pytest.mark.parametrize(
    "labels",
    [["a"] * 40, list(range(40)), [None] * 40, ["a"] * 35 + ["b"] * 5],
    ids=["one", "all differ", "none", "one and a rare one"],
)
def test_labels_that_cannot_be_probed_are_refused(labels):
    with pytest.raises(DataError, match=r"two labels or more of 10 examples each, got [01] among"):
        probe_labels([np.zeros((40, 2))], labels, np.zeros((40, 2)))


def test_of_many_examples_some_are_chosen():
    rows = chosen_rows(10_000)
    assert len(rows) == probe.PROBED_EXAMPLES
    assert (np.diff(rows) > 0).all()
    assert rows[-1] > 9_000
    assert chosen_rows(5).tolist() == [0, 1, 2, 3, 4]


def test_a_dead_level_of_a_ladder_does_not_know_what_the_levels_above_it_know():
    """Its mean is that of its prior, which the levels above it give."""
    torch.manual_seed(0)
    model = Architecture((4, 3), ladder=MLPLadder(width=16)).build((6,)).eval()
    labels = torch.arange(200) % 2
    x = torch.where(labels[:, None] == 1, 0.9, 0.1) + 0.1 * torch.rand(200, 6)
    with torch.no_grad():
        for parameter in model.latents.rungs[0].prior_body[-1].parameters():
            parameter.normal_()
    means = model.encode(x)[0].detach().numpy()
    known = probe_labels([means], labels.tolist(), x.numpy())
    assert known.levels[0].accuracy.value > 0.9
    own = own_codes(model, Rows(x))
    assert own[0].abs().max() == 0
    torch.testing.assert_close(own[1], model.encode(x)[1].detach())
    found = probe_labels([each.numpy() for each in own], labels.tolist(), x.numpy())
    assert found.holders == (1,)


def test_what_a_dimension_tells_below_the_noise_of_a_draw_is_no_knowledge():
    """The posterior of a unit that is not active is its prior but for a trace of the label."""
    labels = torch.arange(200) % 2
    weak = 0.01 * labels[:, None].double() + 1e-4 * torch.randn(200, 2).double()
    strong = 10 * weak
    strong[:, 1] = 0.5 * labels + 0.01 * torch.randn(200)
    assert not probe._active_alone(weak).any()
    kept = probe._active_alone(strong)
    assert not kept[:, 0].any()
    assert (kept[:, 1] == strong[:, 1].numpy()).all()
    found = probe_labels([probe._active_alone(weak), kept], labels.tolist(), weak.numpy())
    assert found.levels[0].accuracy.value == pytest.approx(0.5, abs=0.1)
    assert found.holders == (1,)


SMALL = {
    "training.epochs": 1,
    "model.network": {"type": "MLP", "hidden": [16]},
    "model.latent": [3, 2],
    "report.write": False,
}


def test_a_run_measures_its_levels_and_says_what_it_cannot_probe(tmp_path):
    run = lowerbound.fit("digits", out=tmp_path / "run", settings=SMALL, progress=False)
    found = run.probe(split="validation")
    assert [level.size for level in found.levels] == [3, 2]
    assert found.classes == 10
    measured = run.evaluate(split="validation", samples=2, probe=True)["probe"]
    assert measured == found.describe()
    assert "probe" not in run.evaluate(split="validation", samples=2)
    with pytest.raises(DataError, match="these examples have none"):
        run.probe(np.zeros((20, 8, 8), np.uint8))
