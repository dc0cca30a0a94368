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


@dataclass(frozen=True)
class SplitSizes:
    """How much is cut from the training part for the other splits, and by which seed.

    Attributes:
        validation: a fraction (below 1) or a number of examples.
        test: likewise.
        seed: the seed of the splits and of the fixed binarisation.
    """

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class OwnParts:
    """The sizes of the parts that a source brings. They stand in this order, the test part last.

    Attributes:
        train: the size of the training part; None where the source brings no test part.
        validation: the size of the validation part; None where it brings none.
    """

    train: int | None = None
    validation: int | None = None


def count(asked: float, among: int) -> int:
    """Converts a size of a recipe to a number of examples.

    Args:
        asked: a fraction of `among` when it is below 1, else the number itself.
        among: the number of examples that there are.
    """
    if asked < 1:
        return round(asked * among)
    return int(asked)


def cut(total: int, own: OwnParts, sizes: SplitSizes, name: str) -> Rows:
    """Draws the splits of `total` examples.

    The parts that the source brings are kept. The others are cut at random from the training part.

    Args:
        total: the number of examples in the source.
        own: the sizes of the source's own parts.
        sizes: how much is cut for the parts that it does not bring, and by which seed.
        name: the source as it appears in messages.

    Raises:
        DataError: no training example would remain.
    """
    own_validation = own.validation or 0
    trainable = total - own_validation
    test_count = 0
    if own.train is not None:
        trainable = own.train
    else:
        test_count = count(sizes.test, trainable)
    validation_count = 0
    if own.validation is None:
        validation_count = count(sizes.validation, trainable)
    if test_count + validation_count >= trainable:
        asked = f"data.validation={sizes.validation:g}"
        if own.train is None:
            asked += f" and data.test={sizes.test:g}"
        raise DataError(
            f"{name} has {trainable} training examples; {asked} would leave none: at most "
            f"{trainable - 1} can be cut off"
        )
    order = np.random.default_rng([sizes.seed, trainable]).permutation(trainable)
    test_rows, validation_rows, train_rows = np.split(
        order, [test_count, test_count + validation_count]
    )
    if own.validation is not None:
        validation_rows = np.arange(trainable, trainable + own_validation)
    if own.train is not None:
        test_rows = np.arange(trainable + own_validation, total)
    # Ascending rows keep a film in its order and a memory-mapped file read from front to back.
    return Rows(np.sort(train_rows), np.sort(validation_rows), np.sort(test_rows))
