"""Several processes draw and measure together what one would have drawn and measured alone."""

import pytest
import torch

from lowerbound import evaluation, noise, shares
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.objectives import Elbo
from lowerbound.shares import ALONE, Processes, Share, sharing


@pytest.mark.parametrize(("world", "whole"), [(1, 5), (2, 7), (3, 7), (4, 2), (2, 1)])
def test_every_example_counts_in_one_process(world, whole):
    parts = [Share(rank, world, whole) for rank in range(world)]
    counted = torch.cat([share.rows[: share.size] for share in parts])
    assert sorted(counted.tolist()) == list(range(whole))
    assert all(len(share.rows) == max(1, share.size) for share in parts)


@pytest.mark.parametrize("kind", [noise.Dropout(0.4), noise.GaussianNoise(0.3), noise.Binarize()])
def test_noise_of_a_share_is_that_of_the_whole(kind):
    x = torch.rand(7, 5)
    torch.manual_seed(1)
    whole = kind(x, True)
    for rank in range(2):
        share = Share(rank, 2, 7)
        torch.manual_seed(1)
        with sharing(share):
            assert torch.equal(kind(x[share.rows], True), whole[share.rows])


def test_draws_of_a_share_are_those_of_the_whole_at_every_level():
    model = Architecture((4, 3, 2), MLP((5,))).build((6,))
    x = torch.rand(7, 6)
    torch.manual_seed(1)
    whole = model.infer(x, 3)
    for rank in range(3):
        share = Share(rank, 3, 7)
        torch.manual_seed(1)
        with sharing(share):
            own = model.infer(x[share.rows], 3)
        for mine, all_ in zip(own, whole, strict=True):
            torch.testing.assert_close(mine.z, all_.z[:, share.rows])


def test_without_a_share_nothing_is_changed():
    x = torch.zeros(4, 3)
    torch.manual_seed(1)
    plain = torch.randn(4, 3)
    torch.manual_seed(1)
    assert torch.equal(shares.drawn(torch.randn_like, x), plain)


class Waiting(Exception):
    """For the answer of the other processes."""


class Examples:
    """Some rows as batches."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def batch(self, index, key=0):
        return self.x[index]


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("size", [1, 11, 600])
def test_a_measure_of_several_processes_is_that_of_one(world, size, monkeypatch):
    """Each process measures its own examples, of chunks of any size; what they gather is what one finds, example by example."""
    monkeypatch.setattr(evaluation.batches, "ELEMENTS", 512 * 64)
    model, examples = Architecture((3, 2), MLP((5,))).build((6,)), Examples(torch.rand(size, 6))
    alone = evaluation.bound(model, examples, objective=Elbo(free_bits=0.5), seed=4)
    asked: list[list[torch.Tensor]] = []

    def round_of(rank, answers):
        """One process up to its first gather that has no answer yet; each gather is answered with what all have asked."""
        mine: list[torch.Tensor] = []

        def gather(values):
            mine.append(values)
            if len(mine) > len(answers):
                raise Waiting
            return answers[len(mine) - 1]

        try:
            return evaluation.bound(
                model, examples, objective=Elbo(free_bits=0.5), seed=4, processes=Processes(rank, world, gather)
            )
        except Waiting:
            return mine[-1]

    answers: list[torch.Tensor] = []
    while isinstance((found := [round_of(rank, answers) for rank in range(world)])[0], torch.Tensor):
        asked.append(found)
        answers.append(torch.stack(found))
    for each in found:
        torch.testing.assert_close(each.per_example, alone.per_example, rtol=1e-5, atol=1e-5)
        assert each.objective == pytest.approx(alone.objective, rel=1e-6)
        assert each.rate == pytest.approx(alone.rate, rel=1e-5)


def test_one_process_gathers_nothing():
    assert ALONE.share(3) == Share(0, 1, 3)
    assert torch.equal(ALONE.gather(torch.ones(2)), torch.ones(1, 2))
