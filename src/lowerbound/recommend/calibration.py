"""Scores as probabilities: how often items of such a score were what users had next.

The score of an item becomes the logarithm of its share among all items that the user does not have
yet, as under a softmax, so that the scores of two users can be compared. What a user has next
stands for one of the user's held-out items, drawn at random: an item is it with the probability 1 /
(number of held-out items) if it is held out, else 0. A rising function of the shares (isotonic
regression, Zadrozny and Elkan 2002) is fitted to these of the validation users, and measured on
those of the test users.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data import History
from ..errors import DataError, RunError, one_line
from ..run.contents import PARTNER
from ..system.files import is_file, read_json, within, write_json

FILE = "calibration.json"
"""The file of a run that keeps its calibration."""

DEPTH = 500
"""The calibration is fitted to so many of the best items of each user."""

SHOWN = 20
"""It is measured on so many of the best items of each user, as a list shows them."""

USERS_AT_ONCE = 64
"""The scores of all items of so many users are in memory at a time."""

LEAST_USERS = 20
"""So many users with held-out items are needed."""

BINS = 10
"""The measured items are parted into so many groups of equal size, by their probabilities."""

GROUP = ("items", "probability", "next")
"""What is measured of each of these groups, see `measure`."""

Scores = Callable[[History], np.ndarray]
"""It scores all items for some users, (B, I) float32, minus infinity for those that they have."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A map from the logarithms of shares to probabilities.

    Attributes:
        knots: (n,) the logarithms, ascending.
        values: (n,) the probabilities at the knots, from 0 to 1, never falling.
        facts: what it was fitted to, and how it was measured, see `fit_calibration`.
    """

    knots: np.ndarray
    values: np.ndarray
    facts: dict[str, Any]

    def __call__(self, log_shares: np.ndarray) -> np.ndarray:
        """Returns probabilities, of the same shape."""
        return np.interp(log_shares, self.knots, self.values)

    @property
    def sentence(self) -> str:
        """Says what the probabilities are of, and how far they can be relied on."""
        facts = self.facts
        line = (
            "probability that the next interaction is with the item; calibrated on "
            f"{facts['users']:,} validation users"
        )
        if facts.get("test_users"):
            line += (
                f"; expected calibration error {facts['error']:.4f} on the first {SHOWN} items of "
                f"{facts['test_users']:,} test users, where it is {facts['probability']:.4f} in "
                f"the mean, and {facts['next']:.4f} in truth"
            )
        return line

    def write(self, folder: Path, digest: str) -> None:
        """Writes the calibration into the folder of a run.

        Args:
            folder: of the run.
            digest: of the weights that gave the scores.

        Raises:
            RunError: it cannot be written.
        """
        content = {
            "weights": digest,
            "knots": self.knots.tolist(),
            "values": self.values.tolist(),
            "facts": self.facts,
        }
        write_json(folder / FILE, content)

    @classmethod
    def read(cls, folder: Path, digest: str) -> "Calibration | None":
        """Reads the calibration of a run; None where it has none, or one of other weights.

        Raises:
            RunError: the file holds none.
        """
        path = within(folder, FILE)
        if not is_file(path):
            return None
        content = read_json(path)
        try:
            if content["weights"] != digest:
                return None
            found = cls(
                np.array(content["knots"], np.float64),
                np.array(content["values"], np.float64),
                dict(content["facts"]),
            )
            found.refuse_unfit()
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path} holds no calibration: {one_line(error, 160)}") from None
        return found

    def refuse_unfit(self) -> None:
        """Refuses what is no rising map to probabilities with the facts that are told of it.

        Raises:
            KeyError: a fact is missing.
            TypeError: a fact is of another kind.
            ValueError: says what else is wrong.
        """
        if self.knots.ndim != 1 or self.knots.shape != self.values.shape or not len(self.knots):
            raise ValueError("knots and values have no equal lengths")
        is_map = np.isfinite(self.knots).all() and (np.diff(self.knots) >= 0).all()
        is_probable = (self.values >= 0).all() and (self.values <= 1).all()
        if not is_map or not is_probable or not (np.diff(self.values) >= 0).all():
            raise ValueError("the map does not rise from 0 to 1")
        _ = self.sentence  # it has the numbers that it needs
        for group in self.facts.get("table", ()):
            if not all(isinstance(group[name], int | float) for name in GROUP):
                raise ValueError("a group of its table has no numbers")


def digest_of_weights(folder: Path) -> str:
    """Returns the sha256 of the files of a run that give the scores."""
    digest = hashlib.sha256()
    for name in ("model.safetensors", PARTNER):
        path = within(folder, name)
        if is_file(path):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def kept_calibration(folder: Path) -> Calibration | None:
    """Reads the calibration that a run keeps; None where it has none of its weights.

    Raises:
        RunError: the file holds none.
    """
    if not is_file(within(folder, FILE)):
        return None
    return Calibration.read(folder, digest_of_weights(folder))


def log_shares(scores: np.ndarray) -> np.ndarray:
    """Returns the logarithms of the shares of items under a softmax, (B, I) float64.

    Each row is summed up alone, so that it does not depend on the others.

    Args:
        scores: (B, I), minus infinity for items that do not count.
    """
    values = scores.astype(np.float64)
    for row in values:
        highest = row.max()
        row -= highest + np.log(np.exp(row - highest).sum())
    return values


def best_pairs(scores: Scores, users: History, depth: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Lists the best items of each user: the logarithms of their shares, and with which probability
    each was what the user had next, (n * depth,) each.

    Args:
        scores: scores all items.
        users: with targets; those without any are left out.
        depth: so many items of each user, at most.

    Returns:
        The logarithms, the probabilities, and the number of users.
    """
    assert users.targets is not None
    counts = np.diff(users.targets.indptr)
    kept = users.take(np.flatnonzero(counts > 0))
    assert kept.targets is not None
    shares = [np.empty(0)]
    chances = [np.empty(0)]
    for start in range(0, len(kept), USERS_AT_ONCE):
        block = kept.take(slice(start, start + USERS_AT_ONCE))
        assert block.targets is not None
        logs = log_shares(scores(block))
        best = np.argsort(-logs, axis=1, kind="stable")[:, :depth]
        found = np.take_along_axis(logs, best, axis=1)
        is_target = block.targets.toarray() > 0
        chance = is_target / is_target.sum(1, keepdims=True)
        is_item = np.isfinite(found)
        shares.append(found[is_item])
        chances.append(np.take_along_axis(chance, best, axis=1)[is_item])
    return np.concatenate(shares), np.concatenate(chances), len(kept)


def fit_calibration(
    scores: Scores,
    validation: History | None,
    test: History | None,
    unseen: Scores | None = None,
) -> Calibration:
    """Fits a calibration to the validation users, and measures it on the test users.

    Args:
        scores: scores all items for users.
        validation: the users that it is fitted to, with targets.
        test: the users that it is measured on; None: it is not.
        unseen: scores all items for the validation users, where `scores` has seen what was held
            out of them, by which their own held-out items would look too probable.

    Returns:
        The calibration. Its facts are `users`, and of a measured one those of `measure`.

    Raises:
        DataError: there are too few validation users with held-out items.
    """
    from sklearn.isotonic import IsotonicRegression

    with_targets = 0
    if validation is not None and validation.targets is not None:
        with_targets = int((np.diff(validation.targets.indptr) > 0).sum())
    if validation is None or with_targets < LEAST_USERS:
        raise DataError(
            f"probabilities need {LEAST_USERS} validation users with held-out items, got "
            f"{with_targets}; fit again with a larger data.validation"
        )
    shares, chances, users = best_pairs(unseen or scores, validation, DEPTH)
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(shares, chances)
    knots = np.asarray(fitted.X_thresholds_, np.float64)
    values = np.clip(np.asarray(fitted.y_thresholds_, np.float64), 0, 1)
    facts: dict[str, Any] = {"users": users}
    calibration = Calibration(knots, values, facts)
    if test is not None and test.targets is not None and test.targets.nnz:
        facts |= measure(calibration, scores, test)
    return calibration


def measure(calibration: Calibration, scores: Scores, test: History) -> dict[str, Any]:
    """Measures a calibration on the first items of the lists of test users.

    Returns:
        `test_users`; `error`, the expected calibration error: the mean over groups of equal size,
        by probability, of |mean probability - mean of what was next|; the two means over all,
        `probability` and `next`; and `table`, the groups, each with `items` and the two means.
    """
    shares, chances, users = best_pairs(scores, test, SHOWN)
    probabilities = calibration(shares)
    order = np.argsort(probabilities, kind="stable")
    table = []
    error = 0.0
    for group in np.array_split(order, BINS):
        if not len(group):
            continue
        probability = float(probabilities[group].mean())
        truth = float(chances[group].mean())
        error += len(group) / len(order) * abs(probability - truth)
        table.append({"items": len(group), "probability": probability, "next": truth})
    return {
        "test_users": users,
        "error": error,
        "probability": float(probabilities.mean()),
        "next": float(chances.mean()),
        "table": table,
    }
