"""Several processes draw and measure together what one would have drawn and measured alone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy.sparse import random as random_matrix

from lowerbound import evaluation, noise
from lowerbound.distributed import processes
from lowerbound.distributed.launch import processes_of
from lowerbound.distributed.processes import ONE_PROCESS, Processes, Share, noise_of
from lowerbound.model import Architecture, Terms
from lowerbound.networks import MLP
from lowerbound.objectives import Elbo
from lowerbound.sparse import SparseRows


@pytest.mark.parametrize(("world", "whole"), [(1, 5), (2, 7), (3, 7), (4, 2), (2, 1)])
def test_every_example_counts_in_one_process(world, whole):
    parts = [Share(rank, world, whole) for rank in range(world)]
    counted = torch.cat([share.rows[: share.size] for share in parts])
    assert sorted(counted.tolist()) == list(range(whole))
    assert all(len(share.rows) == max(1, share.size) for share in parts)


@pytest.mark.parametrize(("world", "whole", "parts"), [(1, 7, 3), (2, 7, 3), (3, 7, 2), (2, 3, 2)])
def test_the_parts_of_all_shares_have_every_example_once(world, whole, parts):
    seen = []
    for rank in range(world):
        share = Share(rank, world, whole)
        own = [share.part(number, parts) for number in range(parts)]
        rows = torch.cat([part.rows[: part.size] for part in own])
        assert sorted(rows.tolist()) == share.rows[: share.size].tolist()
        seen += rows.tolist()
    assert sorted(seen) == list(range(whole))


@pytest.mark.parametrize("kind", [noise.Dropout(0.4), noise.GaussianNoise(0.3), noise.Binarize()])
def test_noise_of_a_share_is_that_of_the_whole(kind):
    x = torch.rand(7, 5)
    torch.manual_seed(1)
    whole = kind(x, True)
    for rank in range(2):
        share = Share(rank, 2, 7)
        torch.manual_seed(1)
        with noise_of(share):
            assert torch.equal(kind(x[share.rows], True), whole[share.rows])


@pytest.mark.parametrize("kind", [noise.Dropout(0.4), noise.GaussianNoise(0.3)])
@pytest.mark.parametrize("world", [2, 3, 9])
def test_noise_of_a_share_of_sparse_rows_is_that_of_the_whole_and_what_is_drawn_next_too(
    kind, world
):
    """Of nine processes two have no example, and row 3 has no entry."""
    matrix = random_matrix(7, 20, density=0.3, format="lil", random_state=0)
    matrix[3] = 0
    matrix = matrix.tocsr()

    def drawn(x):
        torch.manual_seed(1)
        return kind(x, True).dense(), torch.rand(1)

    whole, following = drawn(SparseRows.of(matrix))
    for rank in range(world):
        share = Share(rank, world, 7, torch.from_numpy(matrix.getnnz(1)))
        with noise_of(share):
            mine, after = drawn(SparseRows.of(matrix[share.rows.numpy()]))
        assert torch.equal(mine, whole[share.rows])
        assert torch.equal(after, following)


def test_draws_of_a_share_are_those_of_the_whole_at_every_level():
    model = Architecture((4, 3, 2), MLP((5,))).build((6,))
    x = torch.rand(7, 6)
    torch.manual_seed(1)
    whole = model.infer(x, 3).levels
    for rank in range(3):
        share = Share(rank, 3, 7)
        torch.manual_seed(1)
        with noise_of(share):
            own = model.infer(x[share.rows], 3).levels
        for mine, all_ in zip(own, whole, strict=True):
            torch.testing.assert_close(mine.z, all_.z[:, share.rows])


@pytest.mark.parametrize("free_bits", [0.0, 0.4, 0.5, 0.6])
def test_the_loss_and_gradient_of_shares_are_those_of_the_whole_with_free_bits_too(free_bits):
    """Of two levels; the mean rate of one share is above 0.4 and 0.5, that of the other below."""
    rate = torch.linspace(0.1, 1.0, 7).expand(2, 7).unsqueeze(-1) * torch.tensor([1.0, 0.7])
    likelihood, objective = torch.randn(2, 7), Elbo(free_bits=free_bits)

    def loss(rows, scale):
        s = scale.expand(len(rows))
        return objective(
            Terms(likelihood[:, rows], rate[:, rows] * s.view(1, -1, 1), likelihood[:, rows])
        )

    everything, parts = torch.arange(7), [torch.arange(3), torch.arange(3, 7)]
    scale = torch.ones((), requires_grad=True)
    expected = loss(everything, scale)
    expected.backward()
    means = torch.stack([rate[:, rows].mean((0, 1)) * len(rows) / 7 for rows in parts])
    mine = torch.ones((), requires_grad=True)
    total = 0.0
    for rank, rows in enumerate(parts):
        share = Fixed(rank, 2, 7, gather=lambda own: means)
        with noise_of(share):
            found = loss(rows, mine) * len(rows) / 7
        found.backward()
        total += float(found.detach())
    assert total == pytest.approx(float(expected.detach()), rel=1e-6)
    torch.testing.assert_close(mine.grad, scale.grad)


class Fixed(Share):
    """A share with three examples, or the other four."""

    @property
    def size(self):
        return (3, 4)[self.rank]


def test_without_a_share_nothing_is_changed():
    x = torch.zeros(4, 3)
    torch.manual_seed(1)
    plain = torch.randn(4, 3)
    torch.manual_seed(1)
    assert torch.equal(processes.draw_shared(torch.randn_like, x), plain)


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
    """Each process measures its own examples, of chunks of any size; what they gather is what one
    finds, example by example.
    """
    monkeypatch.setattr(evaluation.batches, "CHUNK_NUMBERS", 512 * 64)
    model, examples = Architecture((3, 2), MLP((5,))).build((6,)), Examples(torch.rand(size, 6))
    alone = evaluation.bound(model, examples, objective=Elbo(free_bits=0.5), seed=4)
    asked: list[list[torch.Tensor]] = []

    def round_of(rank, answers):
        """One process up to its first gather that has no answer yet; each gather is answered with
        what all have asked.
        """
        mine: list[torch.Tensor] = []

        def gather(values):
            mine.append(values)
            if len(mine) > len(answers):
                raise Waiting
            return answers[len(mine) - 1]

        try:
            return evaluation.bound(
                model,
                examples,
                objective=Elbo(free_bits=0.5),
                seed=4,
                processes=Processes(rank, world, gather),
            )
        except Waiting:
            return mine[-1]

    answers: list[torch.Tensor] = []
    while isinstance(
        (found := [round_of(rank, answers) for rank in range(world)])[0], torch.Tensor
    ):
        asked.append(found)
        answers.append(torch.stack(found))
    for each in found:
        torch.testing.assert_close(each.per_example, alone.per_example, rtol=1e-5, atol=1e-5)
        assert each.objective == pytest.approx(alone.objective, rel=1e-6)
        assert each.rate == pytest.approx(alone.rate, rel=1e-5)


def test_one_process_gathers_nothing():
    assert ONE_PROCESS.share(3) == Share(0, 1, 3)
    assert torch.equal(ONE_PROCESS.gather(torch.ones(2)), torch.ones(1, 2))


class Threads:
    """One of several threads, to be seen as the fabric of one of several processes."""

    device = torch.device("cpu")

    def __init__(self, rank, brought, barrier):
        self.global_rank, self.world_size, self.brought, self.barrier = (
            rank,
            len(brought),
            brought,
            barrier,
        )

    def all_reduce(self, values, reduce_op):
        assert reduce_op == "sum"
        self.brought[self.global_rank] = values
        self.barrier.wait()
        total = torch.stack(self.brought).sum(0, dtype=values.dtype)
        self.barrier.wait()
        return total


def together(world, work):
    """What each of several processes finds; `work` is given its `Processes`."""
    barrier, brought = threading.Barrier(world, timeout=20), [None] * world

    def begin(rank):
        try:
            return work(processes_of(Threads(rank, brought, barrier)))
        except BaseException:
            barrier.abort()  # so that no other waits for it
            raise

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(begin, range(world)))


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ([0.1, -1e300, torch.inf, torch.nan], torch.float64),
        ([2**62 + 1, -1], torch.int64),
        ([7, -128], torch.int8),
    ],
)
def test_what_each_process_has_reaches_all_as_it_is(world, numbers, kind):
    numbers = torch.tensor(numbers, dtype=kind)
    whole = torch.stack([numbers.roll(rank) for rank in range(world)])
    for found in together(world, lambda processes: processes.gather(numbers.roll(processes.rank))):
        torch.testing.assert_close(found, whole, rtol=0, atol=0, equal_nan=True)


class Users:
    """A holdout of which some users have no target; `asked` counts how often each is to be
    scored.
    """

    def __init__(self, n, items=40):
        rng = np.random.default_rng(n)
        self.matrix, self.targets = (
            random_matrix(
                n, items, density, "csr", np.float32, rng, lambda size: np.ones(size, np.float32)
            )
            for density in (0.2, 0.04)
        )
        self.asked = np.zeros(n, int)

    def __len__(self):
        return self.matrix.shape[0]

    def batch(self, index, key=0):
        self.asked[index] += 1
        return SparseRows.of(self.matrix[index])


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("n", [9, 83])
def test_a_ranking_by_several_processes_is_that_of_one_to_the_last_bit(world, n):
    """Also where there are fewer batches than processes."""
    table = torch.randn(40, 40, generator=torch.Generator().manual_seed(0))
    users, popularity = Users(n), np.arange(40) // 3

    def measured(processes=ONE_PROCESS):
        def scorer(history):
            return history.dense() @ table

        return asdict(
            evaluation.rank(
                scorer,
                users,
                ks=(2, 7),
                batch=4,
                popularity=popularity,
                keep_top=True,
                processes=processes,
            )
        )

    alone, once = measured(), users.asked.copy()
    assert 0 < len(alone["users"]) < n
    users.asked[:] = 0
    for found in together(world, measured):
        torch.testing.assert_close(found, alone, rtol=0, atol=0)
    assert (users.asked == once).all()
