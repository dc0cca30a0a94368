"""Which users or interactions of a log are held out. Every rule is a function of the interactions
and the seed, and not of the order of the rows, but for published sets (`RawLog.keeps_order`).

"given" takes the source's own parts; "strong" holds out users; "random", "leave-one-out" and
"temporal" hold out interactions of all users. A `Split` says for each part what the model sees of
its users, and what it has to find.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ...errors import ConfigError, DataError
from ..splits import count
from .cleaning import Log

TRAIN = 0
"""The part of interactions to train on. By time the parts stand in the order of their numbers."""


VALIDATION = 1
"""The part of interactions that validation has to find."""


TEST = 2
"""The part of interactions that the test has to find."""


MIN_ITEMS_FOR_TARGETS = 5
"""In "strong", a held-out user with fewer items is folded in whole and has no targets (Liang et al.
2018).
"""


MIN_ITEMS_FOR_LEAVING_ONE = 3
"""In "leave-one-out", all items of a user with fewer are for training."""


@dataclass(frozen=True)
class HeldOut:
    """How much is held out, as in `Data`, and which fraction of a held-out user is folded in."""

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0
    fold_in: float = 0.8


@dataclass(frozen=True, eq=False)
class SplitPart:
    """One part of a split: its users, and their interactions as two masks over the log, (n,).

    Attributes:
        users: ascending positions in `Log.users`.
        history: the interactions that the model sees.
        targets: the interactions that it has to find; None where there are none to find.
    """

    users: np.ndarray
    history: np.ndarray
    targets: np.ndarray | None = None

    @classmethod
    def everything(cls, log: Log) -> "SplitPart":
        """All users with all their interactions, and nothing to be found."""
        return cls(np.arange(len(log.users)), np.ones(len(log), bool))


@dataclass(frozen=True, eq=False)
class Split:
    """The parts of a log; None where a part is empty.

    The log may have lost items that no training user has.
    """

    log: Log
    train: SplitPart
    validation: SplitPart | None
    test: SplitPart | None


def _refuse_counts(held_out: HeldOut, split: str) -> None:
    """ConfigError for counts where only a fraction of the interactions makes sense."""
    for name in ("validation", "test"):
        amount = getattr(held_out, name)
        if amount >= 1:
            raise ConfigError(
                f"data.{name}={amount:g} with the split {split!r}; allowed: a fraction below 1 of "
                "the interactions"
            )


def _split_by_part(log: Log, part: np.ndarray) -> Split:
    """Splits by the part of each interaction, (n,); the test sees what the two parts before hold.

    Every user is in both held-out parts, with targets or without.

    Raises:
        DataError: there are no training interactions.
    """
    everyone = np.arange(len(log.users))
    held: dict[int, SplitPart | None] = {VALIDATION: None, TEST: None}
    for number in held:
        targets = part == number
        if targets.any():
            held[number] = SplitPart(everyone, part < number, targets)
    is_training = part == TRAIN
    if not is_training.any():
        raise DataError(f"{log.name} has no training interactions")
    train = SplitPart(np.unique(log.user[is_training]), is_training)
    return Split(log, train, held[VALIDATION], held[TEST])


def _ranks_by_user(log: Log, order: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks each user's interactions in `mask` by the order of all, a permutation (n,).

    Returns:
        For each interaction, how many of the same user come before it, -1 outside the mask, and how
        many interactions in the mask its user has. Both (n,).
    """
    counts = log.count_by_user(mask)
    rows = order[mask[order]]
    rows = rows[np.argsort(log.user[rows], kind="stable")]
    first = np.cumsum(counts) - counts
    first_of_user = first[log.user[rows]]
    rank = np.full(len(log), -1)
    rank[rows] = np.arange(len(rows)) - first_of_user
    return rank, counts[log.user]


def _ordered(log: Log, places: np.ndarray) -> np.ndarray:
    """Makes positions in the log of places (n,) in the order in which draws see it."""
    if log.order is None:
        return places
    return log.order[places]


def _shuffle(log: Log, seed: int) -> np.ndarray:
    """Draws a permutation of the interactions, (n,)."""
    return _ordered(log, np.random.default_rng([seed, len(log)]).permutation(len(log)))


def _sample_parts(log: Log, held_out: HeldOut, test: float, mask: np.ndarray) -> np.ndarray:
    """Draws the part of each interaction in `mask`; all others are for training.

    Of a user's k interactions in `mask` round(test k) go to the test and round(validation k) to the
    validation, but at least one stays. Half goes to the even number; the test is served first.
    """
    rank, k = _ranks_by_user(log, _shuffle(log, held_out.seed), mask)
    tests = np.rint(test * k)
    tests = np.minimum(tests, k - 1)
    validations = np.rint(held_out.validation * k)
    validations = np.minimum(validations, k - 1 - tests)
    part = np.full(len(log), TRAIN)
    part[mask & (rank < tests + validations)] = VALIDATION
    part[mask & (rank < tests)] = TEST
    return part


def split_given(log: Log, held_out: HeldOut) -> Split:
    """Splits by the source's own parts.

    Where it brings no validation, a fraction `validation` of each user's training items is cut off.
    """
    if log.part is None:
        raise ConfigError(
            f"data.interactions.split='given' needs a source with train and test files; {log.name} "
            "is one log"
        )
    part = log.part
    if held_out.validation and not (part == VALIDATION).any():
        _refuse_counts(replace(held_out, test=0), "given")
        is_training = part == TRAIN
        sampled = _sample_parts(log, held_out, 0.0, is_training)
        part = np.where(is_training, sampled, part)
    split = _split_by_part(log, part)
    training_items = log.count_by_user(part == TRAIN)
    log.facts["users_without_training"] = int((training_items == 0).sum())
    return split


def split_random(log: Log, held_out: HeldOut) -> Split:
    """Splits each user's k items: round(test k) and round(validation k) are held out at random.

    At least one stays for training.
    """
    _refuse_counts(held_out, "random")
    everything = np.ones(len(log), bool)
    return _split_by_part(log, _sample_parts(log, held_out, held_out.test, everything))


def _times_of(log: Log, split: str) -> np.ndarray:
    """Returns the times, (n,). DataError if the source has none."""
    if log.time is None:
        raise DataError(
            f"{log.name} has no column of times that is known as such, and "
            f"data.interactions.split='{split}' needs one; name it by data.interactions.timestamp, "
            "or take data.interactions.split=random"
        )
    return log.time


def split_leave_one_out(log: Log, held_out: HeldOut) -> Split:
    """Holds out two items of each user with three or more: the last for the test, the one before
    for the validation.

    The last is that by time, and of two at one time the one with the greater id (of a published set
    the later in it). `validation` or `test` of 0 switches its part off; other numbers all mean one.

    Raises:
        DataError: the source has no times.
    """
    time = _times_of(log, "leave-one-out")
    in_order = _ordered(log, np.arange(len(log)))
    order = in_order[np.argsort(time[in_order], kind="stable")]
    rank, k = _ranks_by_user(log, order, np.ones(len(log), bool))
    has_enough = k >= MIN_ITEMS_FOR_LEAVING_ONE
    log = _note_ties(log, time, (rank == k - 1) & has_enough, (rank == k - 2) & has_enough)
    part = np.full(len(log), TRAIN)
    last = k - 1
    for number, amount in ((TEST, held_out.test), (VALIDATION, held_out.validation)):
        if amount:
            part[(rank == last) & has_enough] = number
            last = last - 1
    return _split_by_part(log, part)


def _note_ties(log: Log, time: np.ndarray, is_last: np.ndarray, is_before: np.ndarray) -> Log:
    """Notes for how many users the last two interactions, by these masks (n,), have one time."""
    by_user = np.argsort(log.user, kind="stable")
    last = time[by_user[is_last[by_user]]]
    before = time[by_user[is_before[by_user]]]
    ties = int((last == before).sum())
    if not ties:
        return log
    rule = "the one with the greater id"
    if log.order is not None:
        rule = "the later in the source"
    note = (
        f"of {len(last):,} users {ties:,} have several interactions at their last time; of these "
        f"{rule} is the last"
    )
    return replace(log, notes=(*log.notes, note))


def split_temporal(log: Log, held_out: HeldOut) -> Split:
    """Holds out the last `test` of all interactions by time, and the `validation` before them.

    Interactions at the very time of a boundary go before it.

    Raises:
        DataError: a part would be empty, or the source has no times.
    """
    _refuse_counts(held_out, "temporal")
    n = len(log)
    time = _times_of(log, "temporal")
    times = np.sort(time)
    test_start = n - count(held_out.test, n)
    validation_start = test_start - count(held_out.validation, n)
    if validation_start < 1:
        raise DataError(
            f"{log.name}: data.validation={held_out.validation:g} and "
            f"data.test={held_out.test:g} would leave no training interactions"
        )
    after_training = time > times[validation_start - 1]
    after_validation = time > times[test_start - 1]
    part = after_training.astype(int) + after_validation.astype(int)
    amounts = (1.0, held_out.validation, held_out.test)
    for number, name in enumerate(("training", "validation", "test")):
        if amounts[number] and not (part == number).any():
            raise DataError(
                f"{log.name}: the {name} interactions by time are none; too many have the same "
                "timestamp"
            )
    _refuse_leakage(log, time, part)
    return _split_by_part(log, part)


def _refuse_leakage(log: Log, time: np.ndarray, part: np.ndarray) -> None:
    """DataError if an interaction is as late as one of a later part."""
    spans = []
    for number in (TRAIN, VALIDATION, TEST):
        times = time[part == number]
        if len(times):
            spans.append((times.min(), times.max()))
    for (_, end), (start, _) in pairwise(spans):
        if end >= start:
            raise DataError(f"{log.name}: the parts by time overlap")


def _draw_users(log: Log, held_out: HeldOut) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws the users of training, validation and test, each ascending.

    The permutation is that of Liang et al.'s notebook.
    """
    n = len(log.users)
    validations = count(held_out.validation, n)
    tests = count(held_out.test, n)
    if validations + tests >= n:
        raise DataError(
            f"{log.name} has {n} users; data.validation={held_out.validation:g} and "
            f"data.test={held_out.test:g} would leave none to train on: at most {n - 1} can be "
            "held out"
        )
    stream = np.random.RandomState(held_out.seed % 2**32)
    test_start = n - tests
    validation_start = test_start - validations
    train, validation, test = np.split(stream.permutation(n), [validation_start, test_start])
    return np.sort(train), np.sort(validation), np.sort(test)


def draw_targets(log: Log, users: np.ndarray, held_out: HeldOut) -> np.ndarray:
    """Draws the targets of held-out users, a mask (n,): int((1 - fold_in) k) of a user's k >= 5.

    The stream begins with the seed anew. The users come in ascending order and so do the items of
    each, as they do in Liang et al.'s notebook, so that the same seed holds out the same. (Of other
    published sets the items come in the order of the set.)
    """
    stream = np.random.RandomState(held_out.seed % 2**32)
    # 1 - 0.8 is a little less than 0.2, and int() would show it.
    fraction = round(1 - held_out.fold_in, 9)
    order = _ordered(log, np.arange(len(log)))
    order = order[np.argsort(log.user[order], kind="stable")]
    counts = np.bincount(log.user, minlength=len(log.users))
    ends = np.cumsum(counts)
    targets = np.zeros(len(log), bool)
    for user in users:
        rows = order[ends[user] - counts[user] : ends[user]]
        if len(rows) >= MIN_ITEMS_FOR_TARGETS:
            size = int(fraction * len(rows))
            drawn = stream.choice(len(rows), size=size, replace=False)
            targets[rows[drawn]] = True
    return targets


def split_strong(log: Log, held_out: HeldOut) -> Split:
    """Holds out whole users (Liang et al. 2018, "strong generalisation"): part of each is folded
    in, and the other part is to be found.

    The catalogue is what the training users have. Other items of held-out users are dropped and
    counted. A held-out user who has no others stays, with an empty history.
    """
    train_users, validation_users, test_users = _draw_users(log, held_out)
    is_training = np.isin(log.user, train_users)
    is_known = log.count_by_item(is_training) > 0
    is_dropped = ~is_known[log.item]
    log.facts["items_of_held_out_users_only"] = int((~is_known).sum())
    log.facts["interactions_with_those"] = int(is_dropped.sum())
    log = _drop_items(log, is_known)
    parts: list[SplitPart | None] = []
    for users in (validation_users, test_users):
        part = None
        if len(users):
            targets = draw_targets(log, users, held_out)
            part = SplitPart(users, ~targets, targets)
        parts.append(part)
    train = SplitPart(train_users, np.ones(len(log), bool))
    return Split(log, train, *parts)


def _drop_items(log: Log, is_known: np.ndarray) -> Log:
    """Drops the items that are not known, a mask (I,); all users stay."""
    kept = log.select(is_known[log.item])
    new_columns = np.cumsum(is_known) - 1
    return replace(kept, items=log.items[is_known], item=new_columns[kept.item])


RULES: dict[str, Callable[[Log, HeldOut], Split]] = {
    "given": split_given,
    "strong": split_strong,
    "random": split_random,
    "leave-one-out": split_leave_one_out,
    "temporal": split_temporal,
}
"""The functions that split a log, by their names in a recipe."""


def split_by_rule(log: Log, rule: str, held_out: HeldOut) -> Split:
    """Splits a log by one of the `RULES`.

    "auto" is "given" for a source with its own parts, else "strong".
    """
    if rule == "auto":
        rule = "strong" if log.part is None else "given"
    return RULES[rule](log, held_out)
