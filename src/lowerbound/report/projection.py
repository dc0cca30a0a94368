"""Projections: many vectors as points of a plane."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from threadpoolctl import threadpool_limits

from ..errors import ConfigError

FEWEST_POINTS = 10
"""A map has at least this many points."""


ONE_THREAD_POINTS = 2000
"""Up to this many points one thread makes a map: more would wait for each other longer than they
work.
"""


TSNE_ITERATIONS = 500
"""t-SNE takes this many steps: the groups of thousands of points stand by then, and twice as many
steps take twice the time.
"""


FARTHEST = 100
"""No centred value is further from 0 than this many standard deviations."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Vectors as points of a plane.

    Attributes:
        points: the points, (N, 2).
        rows: the rows of the vectors that they stand for, (N,).
        axes: the names of the axes; None where the axes have no meaning.
        method: the title of the projection; "" where the axes have a meaning.
        seconds: the time that the projection took.
    """

    points: np.ndarray
    rows: np.ndarray
    axes: tuple[str, str] | None
    method: str
    seconds: float

    @property
    def note(self) -> str:
        """A sentence on the projection with a space before it; "" where the axes have a meaning."""
        if not self.method:
            return ""
        return (
            f" {self.method}, which took {self.seconds:.0f} s; "
            "distances between far groups mean nothing."
        )


def plane(
    vectors: np.ndarray, rows: np.ndarray, name: str, *, method: str = "tsne", seed: int = 0
) -> Plane | None:
    """Maps vectors to a plane: those of two numbers as they are, all others by a projection.

    Args:
        vectors: the vectors, (N, d).
        rows: the rows that they stand for, (N,).
        name: the name of the vectors, which the axes of an unprojected map bear with a number.
        method: one of `METHODS`.
        seed: the seed of the projection.

    Returns:
        The map, or None where the vectors are too few or too much alike to show anything.

    Raises:
        ConfigError: the library of the method is not installed.
    """
    centred = _centred(vectors)
    if centred is None:
        return None
    if vectors.shape[1] == 2:
        return Plane(vectors, rows, (f"{name}1", f"{name}2"), "", 0.0)
    title, project = METHODS[method]
    installed(method)
    start = time.perf_counter()
    threads = None if len(vectors) > ONE_THREAD_POINTS else 1
    with threadpool_limits(threads, "openmp"):
        points = np.asarray(project(centred.astype(np.float32), seed))
    return Plane(points, rows, None, title, time.perf_counter() - start)


def principal(vectors: np.ndarray, rows: np.ndarray) -> Plane | None:
    """Maps vectors (N, d) to the plane of their first two principal components."""
    if _centred(vectors) is None:
        return None
    from sklearn.decomposition import PCA

    start = time.perf_counter()
    pca = PCA(2)
    points = pca.fit_transform(vectors.astype(np.float64))
    first, second = pca.explained_variance_ratio_
    axes = (
        f"component 1 ({first:.0%} of the variance)",
        f"component 2 ({second:.0%} of the variance)",
    )
    return Plane(points, rows, axes, "", time.perf_counter() - start)


def installed(method: str) -> None:
    """Refuses a projection whose library is missing.

    Raises:
        ConfigError: the library is not installed; the message holds the line that installs it.
    """
    library = LIBRARIES[method]
    if find_spec(library) is None:
        raise ConfigError(
            f'report.projection: {method} is not installed; pip install "lowerbound[{method}]"'
        )


def _centred(vectors: np.ndarray) -> np.ndarray | None:
    """Centres and scales vectors (N, d) to a standard deviation of 1 in all.

    A vector that lies very far out would leave nothing of the others, and is beyond what the
    projections can compute with. It is clipped to `FARTHEST`.

    Returns:
        The vectors, or None where there is nothing to be seen.
    """
    if len(vectors) < FEWEST_POINTS or vectors.shape[1] < 2 or not np.isfinite(vectors).all():
        return None
    centred = vectors.astype(np.float64) - np.median(vectors, axis=0)
    largest = float(np.abs(vectors).max())
    rounding = 1e-6 * max(1.0, largest * 1e-6)
    for _ in range(2):  # the second time without what lay far out
        scale = centred.std()
        if not scale >= rounding:
            return None
        centred = np.clip(centred / scale, -FARTHEST, FARTHEST)
    if not centred.std() > 1e-3:
        return None
    return centred


def _perplexity(count: int) -> float:
    return min(30.0, (count - 1) / 3)


def _processes(points: int) -> int:
    """Returns how many threads look for the neighbours of points: -1 stands for all."""
    if points > ONE_THREAD_POINTS:
        return -1
    return 1


def _project_by_tsne(vectors: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    tsne = TSNE(
        perplexity=_perplexity(len(vectors)),
        init="pca",
        random_state=seed,
        max_iter=TSNE_ITERATIONS,
        n_jobs=_processes(len(vectors)),
    )
    return np.asarray(tsne.fit_transform(vectors))


def _project_by_opentsne(vectors: np.ndarray, seed: int) -> np.ndarray:
    from openTSNE import TSNE

    tsne = TSNE(
        perplexity=_perplexity(len(vectors)),
        random_state=seed,
        n_jobs=_processes(len(vectors)),
    )
    return np.asarray(tsne.fit(vectors))


def _project_by_umap(vectors: np.ndarray, seed: int) -> np.ndarray:
    from umap import UMAP

    umap = UMAP(n_neighbors=min(15, len(vectors) - 1), random_state=seed, n_jobs=1)
    return np.asarray(umap.fit_transform(vectors))


METHODS: dict[str, tuple[str, Callable[[np.ndarray, int], np.ndarray]]] = {
    "tsne": ("t-SNE", _project_by_tsne),
    "opentsne": ("t-SNE", _project_by_opentsne),
    "umap": ("UMAP", _project_by_umap),
}
"""The title and the function of each projection."""


LIBRARIES = {"tsne": "sklearn", "opentsne": "openTSNE", "umap": "umap"}
"""The module that each projection needs."""
