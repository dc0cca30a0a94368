"""Thresholds: the cut on a score that a given part of ordinary examples is beyond."""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError
from ..evaluation.detection import Numbers

CONFIDENCE = 0.95
"""The false-alarm rate lies in the interval of a threshold with this probability."""


@dataclass(frozen=True)
class Threshold:
    """A cut on a score, and the part of ordinary examples that it calls anomalous.

    The cut is the k-th most anomalous of n held-out examples. Where a further ordinary example and
    these are exchangeable, it lies beyond the cut with the probability k / (n + 1); given these n,
    the probability has the distribution Beta(k, n + 1 - k), whatever the distribution of the scores
    (Wilks 1941, "Determination of sample sizes for setting tolerance limits"; as the bound of
    conformal prediction in Vovk 2012, "Conditional validity of inductive conformal predictors").
    Scores with ties give fewer false alarms.

    Attributes:
        score: the name of the score.
        cut: examples beyond it are anomalous.
        end: "low" where those below the cut are anomalous, "high" where those above it are.
        rate: the expected rate of false alarms.
        interval: the rate lies in it with the probability `CONFIDENCE`.
    """

    score: str
    cut: float
    end: str
    rate: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, score: str, end: str, held_out: Numbers, rate: float) -> "Threshold":
        """Finds the cut with the largest expected false-alarm rate that is at most `rate`.

        Args:
            score: the name of the score.
            end: its anomalous end.
            held_out: the scores of held-out examples, (n,).
            rate: the wanted rate of false alarms.

        Raises:
            ConfigError: the rate is none, or smaller than so few examples can tell.
        """
        refuse_rate(rate)
        from scipy.special import betaincinv

        count = len(held_out)
        position = math.floor(rate * (count + 1) * (1 + 1e-12))
        if position < 1:
            needed = math.ceil(1 / rate) - 1
            raise ConfigError(
                f"a false-alarm rate of {rate:g} needs {needed:,} held-out examples or more, got "
                f"{count:,}; the least rate of these is {1 / (count + 1):.2g}"
            )
        ordered = np.sort(held_out)
        cut = ordered[position - 1]
        if end == "high":
            cut = ordered[-position]
        tail = (1 - CONFIDENCE) / 2
        low, high = betaincinv(position, count + 1 - position, [tail, 1 - tail])
        expected = position / (count + 1)
        return cls(score, float(cut), end, expected, (float(low), float(high)))

    def flags(self, values: Numbers) -> np.ndarray:
        """Says which of these scores (N,) are anomalous, (N,) bool; one that is no number is."""
        if self.end == "high":
            return ~(values <= self.cut)
        return ~(values >= self.cut)


def refuse_rate(rate: float) -> None:
    """Raises ConfigError for what is no rate of false alarms."""
    is_number = isinstance(rate, int | float | np.number) and not isinstance(rate, bool)
    if not is_number or not 0 < rate < 1:
        raise ConfigError(
            f"threshold is a rate of false alarms between 0 and 1, such as 0.01, got {rate!r}"
        )
