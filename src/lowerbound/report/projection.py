"""Maps: many vectors as points of a plane."""

import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..errors import ConfigError

FEWEST = 10
"""Points of a map, at least."""


FEW = 2000
"""Points up to which one thread makes a map."""


ITERATIONS = 500
"""Of t-SNE: the groups of thousands of points stand by then; twice as many take twice the time."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A map.

    Attributes:
        points: (N, 2).
        rows: which rows of the vectors they are, (N,).
        axes: what the axes mean; None: nothing.
        method: what it was projected by; "" where its axes have a meaning.
        seconds: that it took.
    """

    points: np.ndarray
    rows: np.ndarray
    axes: tuple[str, str] | None
    method: str
    seconds: float

    @property
    def told(self) -> str:
        """A sentence on the projection, with a space before it, or nothing."""
        if not self.method:
            return ""
        return f" {self.method}, which took {self.seconds:.0f} s; distances between far groups mean nothing."


def _centred(vectors: np.ndarray) -> np.ndarray | None:
    """Vectors (N, d) around 0 with standard deviation 1, none further out than a hundred; None
    where nothing is to be seen.

    One vector that lies very far out would leave nothing of the others, and is beyond what the
    projections can compute with.
    """
    if len(vectors) < FEWEST or vectors.shape[1] < 2 or not np.isfinite(vectors).all():
        return None
    found = vectors.astype(np.float64) - np.median(vectors, axis=0)
    for _ in range(2):  # the second time without what lay far out
        scale = found.std()
        if not scale >= 1e-6 * max(1.0, float(np.abs(vectors).max()) * 1e-6):
            return None
        found = np.clip(found / scale, -100, 100)
    return found if found.std() > 1e-3 else None


def principal(vectors: np.ndarray, rows: np.ndarray) -> Plane | None:
    """The plane of the first two principal components of vectors (N, d)."""
    if _centred(vectors) is None:
        return None
    from sklearn.decomposition import PCA

    start, found = time.perf_counter(), PCA(2)
    points = found.fit_transform(vectors.astype(np.float64))
    names = [
        f"component {i + 1} ({share:.0%} of the variance)"
        for i, share in enumerate(found.explained_variance_ratio_)
    ]
    return Plane(points, rows, (names[0], names[1]), "", time.perf_counter() - start)


def _tsne(count: int, seed: int) -> Any:
    from sklearn.manifold import TSNE

    return TSNE(
        perplexity=_perplexity(count), init="pca", random_state=seed, max_iter=ITERATIONS
    ).fit_transform


def _opentsne(count: int, seed: int) -> Any:
    from openTSNE import TSNE

    return TSNE(perplexity=_perplexity(count), random_state=seed, n_jobs=-1).fit


def _umap(count: int, seed: int) -> Any:
    from umap import UMAP

    return UMAP(n_neighbors=min(15, count - 1), random_state=seed, n_jobs=1).fit_transform


def _perplexity(count: int) -> float:
    return min(30.0, (count - 1) / 3)


METHODS = {"tsne": ("t-SNE", _tsne), "opentsne": ("t-SNE", _opentsne), "umap": ("UMAP", _umap)}


def installed(method: str) -> None:
    """ConfigError with the line that installs it, where the library of a projection is missing."""
    library = {"tsne": "sklearn", "opentsne": "openTSNE", "umap": "umap"}[method]
    if find_spec(library) is None:
        raise ConfigError(
            f'report.projection: {method} is not installed; pip install "lowerbound[{method}]"'
        )


def plane(
    vectors: np.ndarray, rows: np.ndarray, name: str, *, method: str = "tsne", seed: int = 0
) -> Plane | None:
    """A map of vectors (N, d): themselves for d = 2, else projected; None where there is nothing to
    be seen on it.

    Raises:
        ConfigError: the library of the method is not installed.
    """
    centred = _centred(vectors)
    if centred is None:
        return None
    if vectors.shape[1] == 2:
        return Plane(vectors, rows, (f"{name}1", f"{name}2"), "", 0.0)
    title, make = METHODS[method]
    installed(method)
    start, threads = time.perf_counter(), None if len(vectors) > FEW else 1
    with threadpool_limits(
        threads, "openmp"
    ):  # for few points threads wait for each other longer than they work
        points = np.asarray(make(len(vectors), seed)(centred.astype(np.float32)))
    return Plane(points, rows, None, title, time.perf_counter() - start)
