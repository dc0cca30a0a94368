"""Who and what is held out of a log of interactions. Every rule is deterministic in the log and the
seed.

"given" takes the source's own parts; "strong" holds out users; "random", "leave-one-out" and
"temporal" hold out interactions of all users. A `Cut` says of each split what the model sees of its
users, and what is to be found.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ...errors import ConfigError, DataError
from ..splits import count
from .cleaning import Log

TRAIN, VALIDATION, TEST = 0, 1, 2
"""Where an interaction belongs, in the order of time."""


ENOUGH = 5
"""A held-out user with fewer items has them all folded in, and nothing to be found (Liang et al.
2018).
"""


FEWEST = 3
"""A user with fewer items keeps them all in "leave-one-out"."""


@dataclass(frozen=True)
class HeldOut:
    """How much is held out (`Data` has the numbers) and how much of a held-out user is shown."""

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0
    fold_in: float = 0.8


@dataclass(frozen=True, eq=False)
class SplitPart:
    """One split: its users, ascending, and which interactions the model sees, and which it has to
    find (None: none).
    """

    users: np.ndarray
    seen: np.ndarray
    wanted: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Split:
    """The splits of a log (which may have lost items that no training user has); None where a split
    is empty.
    """

    log: Log
    train: SplitPart
    validation: SplitPart | None
    test: SplitPart | None


def _fractions(shares: HeldOut, split: str) -> None:
    """ConfigError for numbers where only a fraction of interactions makes sense."""
    for name in ("validation", "test"):
        if getattr(shares, name) >= 1:
            got = f"data.{name}={getattr(shares, name):g}"
            raise ConfigError(
                f"{got} with the split {split!r}; allowed: a fraction below 1 of the interactions"
            )


def _by_user(log: Log, part: np.ndarray) -> Split:
    """The splits of all users: the test sees what training and validation hold. Every user is in
    both, targets or not.
    """
    everyone = np.arange(len(log.users))
    sides = [
        SplitPart(everyone, part < held, part == held) if (part == held).any() else None
        for held in (VALIDATION, TEST)
    ]
    train = part == TRAIN
    if not train.any():
        raise DataError(f"{log.name} has no training interactions")
    return Split(log, SplitPart(np.unique(log.user[train]), train), *sides)


def _ranks(log: Log, order: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Among the interactions in `mask`: how many of the same user come before each in `order`, and
    how many it has.
    """
    counts = np.bincount(log.user[mask], minlength=len(log.users))
    chosen = order[mask[order]]
    chosen = chosen[np.argsort(log.user[chosen], kind="stable")]
    starts = np.cumsum(counts) - counts
    rank = np.full(len(log), -1)
    rank[chosen] = np.arange(len(chosen)) - starts[log.user[chosen]]
    return rank, counts[log.user]


def _shuffled(log: Log, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, len(log)]).permutation(len(log))


def _sample(log: Log, shares: HeldOut, test: float, mask: np.ndarray) -> np.ndarray:
    """Each interaction's part: of a user's k in `mask`, round(test k) and round(validation k) at
    random, one at least kept.

    Half goes to the even number; the test is served first.
    """
    rank, k = _ranks(log, _shuffled(log, shares.seed), mask)
    tests = np.minimum(np.rint(test * k), k - 1)
    held = np.minimum(np.rint(shares.validation * k), k - 1 - tests)
    part = np.where(rank < tests, TEST, np.where(rank < tests + held, VALIDATION, TRAIN))
    return np.where(mask, part, TRAIN)


def given(log: Log, shares: HeldOut) -> Split:
    """The source's own parts. Where it brings no validation, `validation` of each user's training
    items are cut off.
    """
    if log.part is None:
        raise ConfigError(
            f"data.interactions.split='given' needs a source with train and test files; {log.name} "
            "is one log"
        )
    part = log.part
    if shares.validation and not (part == VALIDATION).any():
        _fractions(replace(shares, test=0), "given")
        part = np.where(part == TRAIN, _sample(log, shares, 0.0, part == TRAIN), part)
    cut = _by_user(log, part)
    new = np.bincount(log.user[part == TRAIN], minlength=len(log.users)) == 0
    log.facts.update(users_without_training=int(new.sum()))
    return cut


def random(log: Log, shares: HeldOut) -> Split:
    """Of each user's k items, round(test k) are for the test, round(validation k) for the
    validation; one at least stays.
    """
    _fractions(shares, "random")
    return _by_user(log, _sample(log, shares, shares.test, np.ones(len(log), bool)))


def leave_one_out(log: Log, shares: HeldOut) -> Split:
    """Of each user with three items or more the last is for the test and the one before for the
    validation.

    The last by time (of two at one time the later in the source); at random where there are no
    times. `validation` or `test` of 0 switches its part off; other numbers all mean one.
    """
    order = _shuffled(log, shares.seed) if log.time is None else np.argsort(log.time, kind="stable")
    rank, k = _ranks(log, order, np.ones(len(log), bool))
    part = np.full(len(log), TRAIN)
    last = k - 1
    for held, asked in ((TEST, shares.test), (VALIDATION, shares.validation)):
        if asked:
            part[(rank == last) & (k >= FEWEST)] = held
            last = last - 1
    return _by_user(log, part)


def temporal(log: Log, shares: HeldOut) -> Split:
    """The last `test` of all interactions by time, and the `validation` before them. Those at the
    time of a cut go before it.

    DataError if a part would be empty, or the source has no times.
    """
    _fractions(shares, "temporal")
    if log.time is None:
        raise DataError(
            f"{log.name} has no timestamps; data.interactions.split='temporal' needs them"
        )
    times, n = np.sort(log.time), len(log)
    tests = count(shares.test, n)
    ends = (n - tests - count(shares.validation, n), n - tests)
    if ends[0] < 1:
        raise DataError(
            f"{log.name}: validation={shares.validation:g} and test={shares.test:g} leave no "
            "training interactions"
        )
    part = sum((log.time > times[end - 1]).astype(int) for end in ends)
    for held, asked in ((TRAIN, 1.0), (VALIDATION, shares.validation), (TEST, shares.test)):
        if asked and not (part == held).any():
            name = ("training", "validation", "test")[held]
            raise DataError(
                f"{log.name}: the {name} interactions by time are none; too many have the same "
                "timestamp"
            )
    _refuse_leakage(log, np.asarray(part))
    return _by_user(log, np.asarray(part))


def _refuse_leakage(log: Log, part: np.ndarray) -> None:
    """DataError if anything is as late as what is held out after it."""
    assert log.time is not None
    ends = [
        (log.time[part == held].min(), log.time[part == held].max())
        for held in range(3)
        if (part == held).any()
    ]
    if any(before[1] >= after[0] for before, after in pairwise(ends)):
        raise DataError(f"{log.name}: the parts by time overlap")


def _held_out(log: Log, shares: HeldOut) -> list[np.ndarray]:
    """The users of training, validation and test, each ascending; the permutation is that of Liang
    et al.'s notebook.
    """
    n = len(log.users)
    held, tests = count(shares.validation, n), count(shares.test, n)
    if held + tests >= n:
        asked = f"validation={shares.validation:g} and test={shares.test:g}"
        raise DataError(
            f"{log.name} has {n} users; {asked} would leave none to train on: at most {n - 1} can "
            "be held out"
        )
    order = np.random.RandomState(shares.seed % 2**32).permutation(n)
    return [np.sort(part) for part in np.split(order, [n - held - tests, n - tests])]


def _targets(log: Log, users: np.ndarray, shares: HeldOut) -> np.ndarray:
    """Which interactions of these held-out users are to be found: of k >= 5, int((1 - fold_in) k)
    drawn by the seed anew.

    The users come in ascending order and the items of each in the order of the source, as in Liang
    et al.'s notebook, so that the same seed holds out the same.
    """
    stream = np.random.RandomState(shares.seed % 2**32)
    share = round(1 - shares.fold_in, 9)  # 1 - 0.8 is a little less than 0.2, and int() would show
    order = np.argsort(log.user, kind="stable")
    starts = np.searchsorted(log.user[order], np.arange(len(log.users) + 1))
    wanted = np.zeros(len(log), bool)
    for user in users:
        own = order[starts[user] : starts[user + 1]]
        if len(own) >= ENOUGH:
            wanted[own[stream.choice(len(own), size=int(share * len(own)), replace=False)]] = True
    return wanted


def strong(log: Log, shares: HeldOut) -> Split:
    """Users held out whole (Liang et al. 2018, "strong generalisation"): part of each is folded in,
    the rest to be found.

    The catalogue is what the training users have; what held-out users have beside it is dropped and
    counted. A held-out user who has nothing else stays, with nothing seen.
    """
    train, *held = _held_out(log, shares)
    trained = np.isin(log.user, train)
    known = np.bincount(log.item[trained], minlength=len(log.items)) > 0
    kept = known[log.item]
    log.facts.update(
        items_of_held_out_users_only=int((~known).sum()), interactions_with_those=int((~kept).sum())
    )
    log = _without(log, known)
    sides: list[SplitPart | None] = []
    for users in held:
        wanted = _targets(log, users, shares)
        sides.append(SplitPart(users, ~wanted, wanted) if len(users) else None)
    return Split(log, SplitPart(train, np.ones(len(log), bool)), *sides)


def _without(log: Log, known: np.ndarray) -> Log:
    """The log without the items that are not `known`; all users stay."""
    kept = known[log.item]
    time = None if log.time is None else log.time[kept]
    item = (np.cumsum(known) - 1)[log.item[kept]]
    part = None if log.part is None else log.part[kept]
    whole = {
        "items": log.items[known],
        "user": log.user[kept],
        "item": item,
        "weight": log.weight[kept],
    }
    return replace(log, **whole, time=time, part=part)


RULES: dict[str, Callable[[Log, HeldOut], Split]] = {
    "given": given,
    "strong": strong,
    "random": random,
    "leave-one-out": leave_one_out,
    "temporal": temporal,
}


def hold_out(log: Log, split: str, shares: HeldOut) -> Split:
    """The splits of a log by one of the RULES; "auto" is "given" for a source with its own parts,
    else "strong".
    """
    return RULES[("strong" if log.part is None else "given") if split == "auto" else split](
        log, shares
    )
