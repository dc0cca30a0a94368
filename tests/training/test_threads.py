"""The number of threads changes the time of a step, and no bit of a result."""

import dataclasses

import pytest
import torch

from lowerbound.data import Data
from lowerbound.model import Architecture
from lowerbound.networks import MLP, Conv
from lowerbound.objectives import Elbo
from lowerbound.recipe import Phase, Training
from lowerbound.training import Fit
from lowerbound.training import threads as module
from lowerbound.training.threads import (
    PER_THREAD,
    TRIALS,
    WINDOW,
    ThreadChoice,
    numbers_to_try,
    operations,
    same_bits,
    threads,
)

SETTINGS = Training(epochs=2, batch_size=64, accelerator="cpu")


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    """PyTorch has three threads, and three cores may be used, whatever the machine has."""
    before = torch.get_num_threads()
    monkeypatch.setattr(module, "allowed_cores", lambda: 3)
    monkeypatch.setattr("lowerbound.training.fit.allowed_cores", lambda: 3)
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_the_operations_of_linear_layers_are_two_for_each_weight_and_example():
    model = torch.nn.Sequential(
        torch.nn.Linear(7, 5, bias=False), torch.nn.ReLU(), torch.nn.Linear(5, 3, bias=False)
    )
    assert operations(lambda: model(torch.zeros(11, 7))) == 2 * 11 * (7 * 5 + 5 * 3)


@pytest.mark.parametrize(
    ("choice", "work", "expected"),
    [
        ("auto", 0, 1),
        ("auto", PER_THREAD, 1),
        ("auto", 2 * PER_THREAD, 2),
        ("auto", 1e15, 3),
        (2, 0, 2),
    ],
)
def test_threads_are_as_many_as_the_work_keeps_busy_and_are_given_back(choice, work, expected):
    with threads(choice, lambda: int(work)) as count:
        assert torch.get_num_threads() == count == expected
    assert torch.get_num_threads() == 3


def test_no_more_threads_are_taken_than_cores_are_allowed(monkeypatch):
    monkeypatch.setattr(module, "allowed_cores", lambda: 2)
    with threads("auto", lambda: int(1e15)) as count:
        assert count == 2


@pytest.mark.parametrize(
    ("usual", "most", "numbers"),
    [
        (1, 1, [1]),
        (1, 2, [1, 2]),
        (2, 3, [1, 2, 3]),
        (1, 64, [1, 2, 4]),
        (64, 64, [16, 32, 64]),
        (6, 12, [2, 4, 6, 8, 12]),
    ],
)
def test_numbers_from_a_quarter_to_four_times_the_usual_one_are_tried(usual, most, numbers):
    assert numbers_to_try(usual, most) == numbers


def test_numbers_that_give_other_bits_are_left_out():
    def work():
        # The sum of one part for each thread, as a kernel may compute it.
        return [torch.full((3,), 1.0 + (torch.get_num_threads() == 2)), None]

    torch.set_num_threads(1)
    assert same_bits(work, 1, 4) == [1, 4]
    assert torch.get_num_threads() == 1


class Clock:
    """A clock by which a step on a number of threads takes the seconds of `steps`."""

    def __init__(self, steps):
        self.steps = steps
        self.now = 0.0

    def __call__(self):
        return self.now

    def take(self, choice, count=1):
        used = []
        for _ in range(count):
            with choice.for_step():
                used.append(torch.get_num_threads())
                self.now += self.steps[used[-1]]
        return used


def test_the_fastest_number_is_chosen_after_some_steps_on_each():
    clock = Clock({3: 3.0, 1: 1.0, 2: 2.0})
    choice = ThreadChoice([3, 1, 2], clock)
    used = clock.take(choice, 3 * TRIALS)
    assert used == [3, 1, 2] * TRIALS
    assert clock.take(choice, 4) == [1, 1, 1, 1]


def test_the_usual_number_stays_where_another_is_hardly_faster():
    clock = Clock({3: 1.0, 1: 0.95})
    choice = ThreadChoice([3, 1], clock)
    clock.take(choice, 2 * TRIALS)
    assert choice.number == 3


def test_when_steps_become_slow_it_is_chosen_again_and_only_then():
    clock = Clock({3: 1.0, 1: 2.0})
    choice = ThreadChoice([3, 1], clock)
    clock.take(choice, 2 * TRIALS)
    assert set(clock.take(choice, 3 * WINDOW)) == {3}
    clock.steps = {3: 9.0, 1: 2.5}  # a neighbour has taken the other cores
    clock.take(choice, WINDOW)
    assert clock.take(choice, 2 * TRIALS) == [3, 1] * TRIALS
    assert set(clock.take(choice, 3 * WINDOW)) == {1}


def test_a_single_number_is_no_choice_and_sets_nothing():
    choice = ThreadChoice([2])
    with choice.for_step():
        assert torch.get_num_threads() == 3


@pytest.fixture(scope="module")
def digits():
    return Data("digits", binarize="dynamic", validation=200, test=200).open()


DENSE = MLP((64,))
"""A network without convolutions."""


def make(digits, settings=SETTINGS, network=DENSE, **options):
    torch.manual_seed(0)
    architecture = Architecture(latent=(4,), network=network)
    model = architecture.build(digits.schema.shape)
    return Fit(model, digits, Elbo(), settings, **options)


def weights(fit):
    return torch.cat([parameter.detach().flatten() for parameter in fit.model.parameters()])


@pytest.fixture
def restless(monkeypatch):
    """Makes each step take another number of threads. It returns the numbers that were taken."""
    taken = []

    def note(self, seconds):
        taken.append(self.number)
        position = (self.numbers.index(self.number) + 1) % len(self.numbers)
        self.number = self.numbers[position]

    monkeypatch.setattr(ThreadChoice, "_note", note)
    return taken


def test_a_fit_on_changing_numbers_of_threads_has_the_bits_of_one_on_the_usual(
    digits, restless, tmp_path
):
    changing = make(digits)
    history = changing.run().history
    assert set(restless) >= {1, 3}
    usual = make(digits, dataclasses.replace(SETTINGS, threads=1))
    assert usual.run().history == history
    assert torch.equal(weights(changing), weights(usual))


def test_a_resumed_fit_is_exact_though_its_steps_have_other_numbers_of_threads(
    digits, restless, tmp_path
):
    whole = make(digits)
    whole.run()
    first = make(digits, dataclasses.replace(SETTINGS, epochs=1), checkpoints=tmp_path)
    first.run()
    second = make(digits, checkpoints=tmp_path)
    second.resume()
    second.run()
    assert torch.equal(weights(whole), weights(second))


@pytest.mark.parametrize(
    "settings", [{"threads": 2}, {"phases": (Phase(epochs=1),)}, {"precision": "bf16-mixed"}]
)
def test_where_results_could_change_or_the_user_has_chosen_there_is_no_choice(
    digits, restless, settings
):
    make(digits, dataclasses.replace(SETTINGS, epochs=1, **settings)).run()
    assert not restless


def test_convolutions_have_no_choice(digits, restless):
    """They add up in parts, one for each thread; that one batch agrees may be chance."""
    make(digits, dataclasses.replace(SETTINGS, epochs=1), Conv(channels=(4,))).run()
    assert not restless


def test_trying_leaves_modules_that_count_what_they_see_as_they_were(digits):
    fit = make(digits)
    fit.model.register_buffer("seen", torch.zeros(()))
    forward = fit.model.terms

    def counting(*arguments, **options):
        fit.model.seen += 1
        return forward(*arguments, **options)

    fit.model.terms = counting
    order = fit.loader.order(0)
    fit._begin_epoch()
    fit.stepper.choose_threads(1, 3)
    fit.stepper.take(order, fit.state)
    assert fit.model.seen == 1
