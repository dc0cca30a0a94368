"""How far two sets of numbers are apart."""

import numpy as np


def kolmogorov_smirnov(first: np.ndarray, second: np.ndarray) -> float:
    """The greatest difference of the distribution functions of two sets, (N,) and (M,): the
    statistic of the test of two samples.

    It is that of `scipy.stats.ks_2samp`, whose module takes longer to import, and more memory, than
    all pictures of a report.
    """
    first, second = np.sort(first), np.sort(second)
    every = np.concatenate([first, second])
    below = [np.searchsorted(part, every, side="right") / len(part) for part in (first, second)]
    return float(np.abs(below[0] - below[1]).max())
