"""Where the points of the map lie: what the model says of them, and planes of their codes."""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ....errors import RunError
from ....evaluation.batches import chunk_size, chunks, evaluating
from ....report.projection import FARTHEST, plane, principal
from ....run import Run
from ....run.run import digest_of
from ....system.files import is_file
from ....system.weights import load_tensors, save_tensors
from ....training.seeds import derive_seed
from ..problems import Problem
from ..served import Served
from .examples import Colour, OwnExamples, OwnItems, points_of
from .jobs import Job, aside, in_turn, job_of

PIECE = 1024
"""So many examples are measured before other requests have their turn."""

LANDMARKS = 4_000
"""So many points are laid out by t-SNE itself; each other one is put among those whose codes are
nearest to its own.
"""

NEIGHBOURS = 5
"""The landmarks among which a point is put."""

PLANES = ("PCA", "t-SNE")
"""How codes of more than two dimensions become points of a plane."""

CODES = "codes"
"""How codes of two dimensions do: as they are."""

FOLDER = "page"
"""The folder of a run that keeps maps."""

FORMAT = 1
"""The version of what it keeps."""

MEASURED_SHARE = 0.7
"""The part of a job that the measuring is, as far as it tells of it."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model says of the points of a map.

    Attributes:
        codes: of each level, (N, d) each.
        score: the bound of each example in nats, by one draw of z, (N,); None without a likelihood.
        rate: the rate of all levels of each, (N,); None as above.
    """

    codes: list[np.ndarray]
    score: np.ndarray | None
    rate: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Layout:
    """The points of a map.

    Attributes:
        points: (N, 2) float32.
        method: how they were made: "codes", "PCA" or "t-SNE".
        axes: the names of the axes, or None where these mean nothing.
        note: a sentence on them.
        colours: what they are coloured by.
    """

    points: np.ndarray
    method: str
    axes: tuple[str, str] | None
    note: str
    colours: list[Colour]

    def to_bytes(self) -> bytes:
        """Returns x of all points, then y, then each colour, as float32, the least byte first."""
        columns = [self.points[:, 0], self.points[:, 1]]
        columns += [colour.values for colour in self.colours]
        return np.concatenate(columns).astype("<f4").tobytes()


def methods_of(dimensions: int) -> tuple[str, ...]:
    """Lists how codes of so many dimensions become points, the usual way first."""
    if dimensions <= 2:
        return (CODES,)
    return PLANES


async def dimensions_of(served: Served) -> list[int]:
    """Returns the dimensions of what is laid out: of the codes of each level, or of the vectors of
    items, which have no levels.
    """
    if served.kind == "recommender":
        vectors = await in_turn(served, lambda: served.recommender.item_vectors)
        return [vectors.shape[1]]
    return list(served.run.model.latents.sizes)


def layout_job(served: Served, level: int, method: str) -> Job:
    """Begins the layout of a map, or returns the one that is on its way."""
    return job_of(served, ("map", level, method), partial(_lay_out, served, level, method))


async def _lay_out(served: Served, level: int, method: str, job: Job) -> Layout:
    """Lays out a map, from what was kept of it where there is that."""
    points = await points_of(served)
    path = served.run.folder / FOLDER / f"map-{_key(served, level, method)}.safetensors"
    kept = await asyncio.to_thread(_read, path, len(points))
    if kept is None:
        measuring = job_of(served, "measure", partial(_measure, served, points))
        while not measuring.is_ready:
            job.done = MEASURED_SHARE * measuring.done
            await asyncio.sleep(0.05)
        measured = await measuring.result()
        laid = await aside(partial(_plane, measured.codes[level], method))
        kept = {"points": laid}
        if measured.score is not None and measured.rate is not None:
            kept |= {"score": measured.score, "rate": measured.rate}
        await asyncio.to_thread(_keep, path, kept)
    job.done = 1.0
    return _layout(points, kept, method)


def _layout(points: OwnExamples | OwnItems, kept: dict[str, np.ndarray], method: str) -> Layout:
    """Puts a map together."""
    colours = points.colours()
    measures = [Colour(name, kept[name]) for name in ("score", "rate") if name in kept]
    if colours and colours[0].name == "label":
        colours = [colours[0], *measures, *colours[1:]]
    else:
        colours = [*measures, *colours]
    notes = []
    axes = None
    if method == CODES:
        axes = ("z1", "z2")
    elif method == "PCA":
        notes.append("The plane of the two principal components.")
    else:
        notes.append("t-SNE: distances between far groups mean nothing.")
        if len(points) > LANDMARKS:
            notes.append(f"It was made of {LANDMARKS:,} points, the others lie among these.")
    if measures:
        notes.append("Score and rate are nats; the score is the bound, by one draw of z.")
    return Layout(kept["points"], method, axes, " ".join(notes), colours)


# Measuring


async def _measure(served: Served, points: OwnExamples | OwnItems, job: Job) -> Measured:
    """Measures all points, piece by piece."""
    if isinstance(points, OwnItems):
        vectors = await in_turn(served, lambda: served.recommender.item_vectors)
        return Measured([vectors], None, None)
    parts = []
    for start in range(0, len(points), PIECE):
        piece = slice(start, start + PIECE)
        parts.append(await in_turn(served, partial(_measure_piece, served.run, points, piece)))
        job.done = min(1.0, (start + PIECE) / len(points))
    levels = zip(*(part.codes for part in parts), strict=True)
    codes = [np.concatenate(level) for level in levels]
    score = None
    rate = None
    if served.run.recipe.objective.has_bound:
        score = np.concatenate([part.score for part in parts])
        rate = np.concatenate([part.rate for part in parts])
    return Measured(codes, score, rate)


def _measure_piece(run: Run, points: OwnExamples, piece: slice) -> Measured:
    """Measures some points; it is called in the thread of the models."""
    examples = points.examples.take(piece)
    model = run.model
    codes: list[list[torch.Tensor]] = [[] for _ in model.latents.sizes]
    scores = []
    rates = []
    with evaluating(model, derive_seed(0, piece.start)):
        for batch in chunks(model, examples, chunk_size(model)):
            for level, means in enumerate(model.encode(batch)):
                codes[level].append(means.cpu())
            if run.recipe.objective.has_bound:
                terms = model.terms_of(model.infer(batch, 1), batch)
                rate = terms.rate[0].sum(-1)
                scores.append((terms.log_likelihood[0] - rate).cpu())
                rates.append(rate.cpu())
    levels = [torch.cat(level).float().numpy() for level in codes]
    if not scores:
        return Measured(levels, None, None)
    return Measured(levels, torch.cat(scores).numpy(), torch.cat(rates).numpy())


# Planes


def _plane(codes: np.ndarray, method: str) -> np.ndarray:
    """Makes points (N, 2) of codes (N, d).

    Raises:
        Problem: the codes are too few, or too much alike.
    """
    if method == CODES:
        points = codes
        if codes.shape[1] == 1:
            points = np.column_stack([codes[:, 0], np.zeros(len(codes))])
        return _bounded(points)
    rows = np.arange(len(codes))
    if method == "PCA":
        found = principal(codes, rows)
    elif len(codes) <= LANDMARKS:
        found = plane(codes, rows, "z", method="tsne")
    else:
        return _plane_by_landmarks(codes)
    if found is None:
        raise Problem(409, "the codes are too few, or too much alike, for a map")
    return _bounded(found.points)


def _plane_by_landmarks(codes: np.ndarray) -> np.ndarray:
    """Lays some codes out by t-SNE, and puts each other one among those that are nearest to it, at
    the mean of their points, weighted by the inverse of their distances.
    """
    from sklearn.neighbors import KNeighborsRegressor

    drawn = np.random.default_rng(0).choice(len(codes), LANDMARKS, replace=False)
    found = plane(codes[drawn], drawn, "z", method="tsne")
    if found is None:
        raise Problem(409, "the codes are too much alike for a map")
    neighbours = KNeighborsRegressor(NEIGHBOURS, weights="distance")
    neighbours.fit(codes[drawn], found.points)
    return _bounded(neighbours.predict(codes))


def _bounded(points: np.ndarray) -> np.ndarray:
    """Returns points as float32, none of them further out than `FARTHEST` standard deviations."""
    points = np.nan_to_num(np.asarray(points, np.float64))
    middle = np.median(points, axis=0)
    reach = FARTHEST * max(float(points.std()), 1e-12)
    return np.clip(points, middle - reach, middle + reach).astype(np.float32)


# What is kept


def _key(served: Served, level: int, method: str) -> str:
    """Returns what tells whether a map that was kept is this one."""
    run = served.run
    weights = run.folder / "model.safetensors"
    digest = hashlib.sha256(json.dumps([FORMAT, level, method, digest_of(run.folder)]).encode())
    if is_file(weights):
        digest.update(weights.read_bytes())
    if served.source is not None:
        digest.update(str(served.source).encode())
    return digest.hexdigest()[:20]


def _read(path: Path, count: int) -> dict[str, np.ndarray] | None:
    """Reads a map that was kept; None where there is none of so many points."""
    if not is_file(path):
        return None
    try:
        tensors = load_tensors(path)
    except RunError:
        return None
    if "points" not in tensors or tuple(tensors["points"].shape) != (count, 2):
        return None
    if any(len(tensor) != count for tensor in tensors.values()):
        return None
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _keep(path: Path, kept: dict[str, np.ndarray]) -> None:
    """Keeps a map in the folder of its run, where that can be written."""
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in kept.items()
    }
    try:
        save_tensors(path, tensors)
    except RunError:
        return  # A folder that is only read is as good: the map is made anew next time.
