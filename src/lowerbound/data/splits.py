"""Which examples belong to which split: a random permutation by the seed decides."""

from dataclasses import dataclass

import numpy as np

from ..errors import DataError


@dataclass(frozen=True, eq=False)
class Rows:
    """The positions in the source of the examples of each split, ascending.

    The splits share no example, and together they hold all of them.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def count(asked: float, among: int) -> int:
    """Converts a size of a recipe to a number of examples.

    Args:
        asked: a fraction of `among` when it is below 1, else the number itself.
        among: the number of examples that there are.
    """
    if asked < 1:
        return round(asked * among)
    return int(asked)


def cut(
    total: int, train_size: int | None, validation: float, test: float, seed: int, name: str
) -> Rows:
    """Draws the splits of `total` examples.

    `validation` is cut at random from the training part. So is `test` where the source brings no
    test part of its own.

    Args:
        total: the number of examples in the source.
        train_size: the size of the source's own training part, which comes first; None where the
            source brings no test part.
        validation: a fraction (below 1) or a number of examples.
        test: likewise.
        seed: the seed of the permutation.
        name: the source as it appears in messages.

    Raises:
        DataError: no training example would remain.
    """
    if train_size is None:
        trainable = total
        test_count = count(test, trainable)
    else:
        trainable = train_size
        test_count = 0
    validation_count = count(validation, trainable)
    if test_count + validation_count >= trainable:
        asked = f"validation={validation:g}"
        if train_size is None:
            asked += f" and test={test:g}"
        raise DataError(
            f"{name} has {trainable} training examples; {asked} would leave none: at most "
            f"{trainable - 1} can be cut off"
        )
    order = np.random.default_rng([seed, trainable]).permutation(trainable)
    test_rows, validation_rows, train_rows = np.split(
        order, [test_count, test_count + validation_count]
    )
    if train_size is not None:
        test_rows = np.arange(train_size, total)
    # Ascending rows keep a film in its order and a memory-mapped file read from front to back.
    return Rows(np.sort(train_rows), np.sort(validation_rows), np.sort(test_rows))
