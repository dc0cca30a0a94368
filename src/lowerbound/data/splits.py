"""Who is in which split: a permutation by seed, and nothing else."""

from dataclasses import dataclass

import numpy as np

from ..errors import DataError


@dataclass(frozen=True, eq=False)
class Rows:
    """Positions in the source of each split's examples, ascending. Disjoint, and together all of
    them.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def count(asked: float, among: int) -> int:
    """How many examples `asked` means: a fraction of `among` below 1, else the number itself."""
    return round(asked * among) if asked < 1 else int(asked)


def cut(
    total: int, given: int | None, validation: float, test: float, seed: int, name: str
) -> Rows:
    """The splits of `total` examples, of which the first `given` are the source's own training part
    (None: all).

    `validation` (and `test`, where the source brings no test part) are cut at random from the
    training part. DataError if no training example would remain.
    """
    n = total if given is None else given
    tests = count(test, n) if given is None else 0
    validations = count(validation, n)
    if tests + validations >= n:
        asked = f"validation={validation:g}" + (f" and test={test:g}" if given is None else "")
        raise DataError(
            f"{name} has {n} training examples; {asked} would leave none: at most {n - 1} can be "
            "cut off"
        )
    order = np.random.default_rng([seed, n]).permutation(n)
    # Ascending rows keep a film in its order and a memory-mapped file read from front to back.
    chosen, held, rest = (np.sort(part) for part in np.split(order, [tests, tests + validations]))
    return Rows(rest, held, chosen if given is None else np.arange(given, total))
