"""Which users or interactions of a log are held out. Every rule is a function of the interactions
and the seed, and not of the order of the rows, but for published sets (`RawLog.keeps_order`).

"given" takes the source's own parts; "strong" holds out users; "random", "leave-one-out" and
"temporal" hold out interactions of all users.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ...errors import ConfigError, DataError
from ..splits import count
from .cleaning import Log
from .packing import HALF, LOWER, chunks
from .packing import count as count_numbers

TRAIN = 0
"""The part of interactions to train on. By time the parts stand in the order of their numbers."""


VALIDATION = 1
"""The part of interactions that validation has to find."""


TEST = 2
"""The part of interactions that the test has to find."""


SEEN = 0
"""Of a held-out user: an interaction that the model sees."""


HELD = 1
"""Of a held-out user: an interaction that the model has to find."""


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
class Assigned:
    """Which part of a split each interaction of a log belongs to, or each user.

    Attributes:
        part: (n,) uint8, of each interaction. Where interactions are held out: TRAIN, VALIDATION or
            TEST, the part that has to find it; each part sees the interactions of the parts before
            it, and has all users. Where users are: SEEN or HELD.
        user_part: (U,) uint8, of each user, where users are held out: TRAIN, VALIDATION or TEST.
            Else None.
    """

    part: np.ndarray
    user_part: np.ndarray | None = None

    @classmethod
    def everything(cls, log: Log) -> "Assigned":
        """Everybody is for training, with all interactions."""
        part = np.full(len(log), SEEN, np.uint8)
        return cls(part, np.full(len(log.users), TRAIN, np.uint8))


@dataclass(frozen=True, eq=False)
class Split:
    """A log, which may have lost items that no training user has, and its parts."""

    log: Log
    assigned: Assigned


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
    """Splits by the part of each interaction, (n,).

    Raises:
        DataError: there are no training interactions.
    """
    if not (part == TRAIN).any():
        raise DataError(f"{log.name} has no training interactions")
    return Split(log, Assigned(part.astype(np.uint8, copy=False)))


def _ordered(log: Log, places: np.ndarray) -> np.ndarray:
    """Makes positions in the log of places (n,) in the order in which draws see it."""
    if log.order is None:
        return places
    return log.order[places]


def _shuffle(log: Log, seed: int) -> np.ndarray:
    """Draws a permutation of the interactions, (n,)."""
    drawn = np.random.default_rng([seed, len(log)]).permutation(len(log))
    return _ordered(log, drawn.astype(np.int32, copy=False))


def _sample_parts(log: Log, held_out: HeldOut, test: float, mask: np.ndarray) -> np.ndarray:
    """Draws the part of each interaction in `mask`, (n,) uint8; all others are for training.

    Of a user's k interactions in `mask` round(test k) go to the test and round(validation k) to the
    validation, but at least one stays. Half goes to the even number; the test is served first.
    """
    k = log.count_by_user(mask)
    tests = np.rint(test * k)
    tests = np.minimum(tests, k - 1)
    validations = np.rint(held_out.validation * k)
    validations = np.minimum(validations, k - 1 - tests)
    shuffled = _shuffle(log, held_out.seed)
    # The interactions of each user, in the order of the permutation: sorted numbers, whose upper
    # half is the user and whose lower half is the place.
    keys = _keys_by_user(log, shuffled, mask)
    first = np.cumsum(k) - k
    part = np.full(len(log), TRAIN, np.uint8)
    for chunk in chunks(len(keys)):
        users = keys[chunk] >> HALF
        rows = shuffled[keys[chunk] & LOWER]
        rank = np.arange(chunk.start, chunk.stop) - first[users]
        part[rows[rank < tests[users] + validations[users]]] = VALIDATION
        part[rows[rank < tests[users]]] = TEST
    return part


def _keys_by_user(log: Log, order: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Sorts the interactions in `mask` by user, and those of each user by their place in an order.

    Args:
        log: of n interactions.
        order: (n,) all interactions in an order.
        mask: (n,) which of them are sorted.

    Returns:
        Ascending int64 numbers: 2^32 times the user, plus the place in the order.
    """
    keys = log.user.astype(np.int64)
    keys <<= HALF
    for chunk in chunks(len(order)):
        keys[order[chunk]] += np.arange(chunk.start, chunk.stop)
    if not mask.all():
        keys = keys[mask]
    keys.sort()
    return keys


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
    counts = log.count_by_user(np.ones(len(log), bool))
    users = np.flatnonzero(counts >= MIN_ITEMS_FOR_LEAVING_ONE)
    part = np.full(len(log), TRAIN, np.uint8)
    last = _last_of(log, time, users, part == TRAIN)
    before = _last_of(log, time, users, _without(part == TRAIN, last))
    log = _note_ties(log, time[last], time[before])
    left = [last, before]
    for number, amount in ((TEST, held_out.test), (VALIDATION, held_out.validation)):
        if amount:
            part[left.pop(0)] = number
    return _split_by_part(log, part)


def _without(mask: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Takes rows out of a mask (n,)."""
    mask[rows] = False
    return mask


def _last_of(log: Log, time: np.ndarray, users: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Finds the last interaction in `mask` of each of some users, who have one: their rows."""
    latest = np.full(len(log.users), -np.inf)
    np.maximum.at(latest, log.user[mask], time[mask])
    rows = np.flatnonzero(mask & (time == latest[log.user]))
    if log.order is not None:
        place = np.empty(len(log), np.int64)
        place[log.order] = np.arange(len(log))
        rows = rows[np.argsort(place[rows])]
    last = np.full(len(log.users), -1)
    last[log.user[rows]] = rows  # of several rows of a user the last one counts
    return last[users]


def _note_ties(log: Log, last: np.ndarray, before: np.ndarray) -> Log:
    """Notes for how many users the last two interactions, whose times these are, have one time."""
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
    part = after_training.astype(np.uint8) + after_validation
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


def _draw_users(log: Log, held_out: HeldOut) -> np.ndarray:
    """Draws the part of each user, TRAIN, VALIDATION or TEST, (U,) uint8.

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
    drawn = stream.permutation(n)
    user_part = np.full(n, TRAIN, np.uint8)
    user_part[drawn[validation_start:test_start]] = VALIDATION
    user_part[drawn[test_start:]] = TEST
    return user_part


def draw_targets(log: Log, users: np.ndarray, held_out: HeldOut) -> np.ndarray:
    """Draws the targets of held-out users, a mask (n,): int((1 - fold_in) k) of a user's k >= 5.

    The stream begins with the seed anew. The users come in ascending order and so do the items of
    each, as they do in Liang et al.'s notebook, so that the same seed holds out the same. (Of other
    published sets the items come in the order of the set.)
    """
    stream = np.random.RandomState(held_out.seed % 2**32)
    # 1 - 0.8 is a little less than 0.2, and int() would show it.
    fraction = round(1 - held_out.fold_in, 9)
    order = None
    if log.order is not None:
        order = log.order[np.argsort(log.user[log.order], kind="stable")]
    counts = count_numbers(log.user, len(log.users))
    ends = np.cumsum(counts)
    targets = np.zeros(len(log), bool)
    for end, k in zip(ends[users].tolist(), counts[users].tolist(), strict=True):
        if k >= MIN_ITEMS_FOR_TARGETS:
            # These are the numbers of choice(k, size, replace=False), in less time.
            drawn = stream.permutation(k)[: int(fraction * k)] + (end - k)
            if order is not None:
                drawn = order[drawn]
            targets[drawn] = True
    return targets


def split_strong(log: Log, held_out: HeldOut) -> Split:
    """Holds out whole users (Liang et al. 2018, "strong generalisation"): part of each is folded
    in, and the other part is to be found.

    The catalogue is what the training users have. Other items of held-out users are dropped and
    counted. A held-out user who has no others stays, with an empty history.
    """
    user_part = _draw_users(log, held_out)
    is_known = log.count_by_item((user_part == TRAIN)[log.user]) > 0
    is_dropped = ~is_known[log.item]
    log.facts["items_of_held_out_users_only"] = int((~is_known).sum())
    log.facts["interactions_with_those"] = int(is_dropped.sum())
    if is_dropped.any():
        log = _drop_items(log, is_known)
    part = np.full(len(log), SEEN, np.uint8)
    for number in (VALIDATION, TEST):
        targets = draw_targets(log, np.flatnonzero(user_part == number), held_out)
        part[targets] = HELD
    return Split(log, Assigned(part, user_part))


def _drop_items(log: Log, is_known: np.ndarray) -> Log:
    """Drops the items that are not known, a mask (I,); all users stay."""
    kept = log.select(is_known[log.item])
    new_columns = np.cumsum(is_known, dtype=np.int32) - np.int32(1)
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
