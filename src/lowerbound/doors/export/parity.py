"""The same numbers twice: those of the exported file by ONNX Runtime, and those of the run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...batch import Batch
from ...columns import ColumnSchema
from ...data import Schema
from ...data.split import float_tensor
from ...evaluation.batches import evaluating
from ...evaluation.likelihood import log_likelihoods
from ...model import VAE
from ...recommend import Recommender
from ...run import Run
from ...run.given import as_given, to_codes
from ...sparse import SparseRows
from .graphs import Decode, Encode, Graph, Recommend, Reconstruct
from .padded import NO_ITEM
from .ports import TYPES
from .score import Score

BATCHES = (1, 3, 17)
"""A file is checked with so many examples: one, as many as it was traced with, and more."""

TOLERANCE = 1e-5
"""Numbers may differ by so much, beside the largest of their output (of a table, of their column)
or the deviation of the column.
"""

LONGEST_HISTORY = 20
"""Lists of items that a file is checked with have at most so many."""

GAPS = 0.15
"""The share of the cells of a table that are gaps in what a file is checked with."""

Arrays = list[np.ndarray]


def open_session(path: Path) -> Any:
    """Opens an exported file in ONNX Runtime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(path), sess_options=options, providers=["CPUExecutionProvider"]
    )


def compare(run: Run, graph: Graph, path: Path, seed: int = 0) -> dict[int, float]:
    """Compares a file with the run that it was made of, on examples that are drawn from the model.

    Args:
        run: the run.
        graph: what was exported of it.
        path: the file.
        seed: of the examples.

    Returns:
        The largest difference of each batch, see `TOLERANCE`; infinite where lists of items, gaps
        or shapes are others.
    """
    session = open_session(path)
    names = [port.name for port in graph.takes]
    reference = Reference(run, graph)
    found = {}
    for batch in BATCHES:
        inputs = draw_inputs(run, graph, batch, seed)
        answers = session.run(None, dict(zip(names, inputs, strict=True)))
        found[batch] = reference.difference(inputs, answers)
    return found


# What goes in


def draw_inputs(run: Run, graph: Graph, count: int, seed: int) -> Arrays:
    """Draws inputs for a graph: rows from the model of the run, values of z from its prior, lists
    of items at random.
    """
    rng = np.random.default_rng([seed, count])
    given = draw_conditions(run.schema.given, count, rng)
    conditions = []
    if run.schema.given:
        conditions.append(given)
    if run.schema.is_sparse and not isinstance(graph, Decode):
        return [*_draw_histories(run, count, rng), *conditions]
    model = run.model
    codes = to_codes(given, run.schema)
    if codes is not None:
        codes = codes.to(next(model.parameters()))
    with evaluating(model, seed):
        values = model.latents.generate(count, given=model.embed(codes))
        if isinstance(graph, Decode):
            zs = [z.float().cpu().numpy() for z in values.zs[: graph.levels]]
            return [*zs, *conditions]
        drawn = model.decode(values.context, codes).sample().cpu().numpy()
    rows = np.array(run.schema.restore(drawn), np.float64)
    if run.schema.table:
        is_gap = (rng.random(rows.shape) < GAPS) | ~np.isfinite(rows)
        rows[is_gap] = np.nan
    return [rows.astype(TYPES[graph.takes[0].dtype]), *conditions]


def draw_conditions(
    columns: Sequence[ColumnSchema], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws values of conditions, (count, G); some are not known."""
    values = np.empty((count, len(columns)))
    for position, column in enumerate(columns):
        if column.levels:
            values[:, position] = rng.integers(0, len(column.levels), count)
        elif column.kind == "count":
            values[:, position] = np.round(rng.uniform(column.low, column.high, count))
        else:
            values[:, position] = rng.uniform(column.low, column.high, count)
    values[rng.random(values.shape) < GAPS] = np.nan
    return values


def _draw_histories(run: Run, count: int, rng: np.random.Generator) -> Arrays:
    """Draws lists of different items, and their weights where items have some."""
    width = run.schema.shape[0]
    longest = min(LONGEST_HISTORY, width)
    items = np.full((count, longest), NO_ITEM, np.int64)
    for row in items:
        length = rng.integers(1, longest + 1)
        row[:length] = rng.choice(width, length, replace=False)
    if run.schema.levels == 2:
        return [items]
    return [items, rng.integers(1, 6, items.shape).astype(np.float32)]


# What must come out


class Reference:
    """What the run itself gives for the inputs of a graph.

    Raw rows are coded by the schema of the run, in NumPy, as data that are read.

    Args:
        run: the run.
        graph: what was exported of it.
    """

    def __init__(self, run: Run, graph: Graph) -> None:
        self.run = run
        self.graph = graph
        self.recommender: Recommender | None = None
        if isinstance(graph, Recommend):
            self.recommender = Recommender(run, nothing_known="nothing")

    def difference(self, inputs: Arrays, answers: Arrays) -> float:
        """Returns the largest difference between the outputs of a file and those of the run."""
        wanted = self.outputs(inputs)
        if not isinstance(self.graph, Recommend):
            return _difference(self.run.schema, self.graph, answers, wanted)
        with evaluating(self.run.model, 0):
            all_scores = self.run.model.item_scores(self._batch(inputs))
        return _difference_of_lists(answers, wanted, all_scores.cpu().numpy())

    def outputs(self, inputs: Arrays) -> Arrays:
        """Returns the outputs for some inputs."""
        graph = self.graph
        model = self.run.model
        if self.recommender is not None:
            assert isinstance(graph, Recommend)
            given = None
            if self.run.schema.given:
                given = as_given(self.run.schema.given, inputs[-1])
            lists = self.recommender.recommend_many(self._matrix(inputs), graph.k, given=given)
            return _padded_to(graph.k, lists.items, lists.scores)
        if isinstance(graph, Score):
            samples = graph.sampler.samples
            batch = self._batch(inputs)
            return [log_likelihoods(model, batch, samples=samples, seed=graph.seed).numpy()]
        with evaluating(model, 0):
            if isinstance(graph, Encode):
                return [z.cpu().numpy() for z in model.encode(self._batch(inputs))]
            if isinstance(graph, Reconstruct):
                return [self._means(model.reconstruction(self._batch(inputs)))]
            assert isinstance(graph, Decode)
            return [self._means(self._decoded(model, graph, inputs))]

    def _decoded(self, model: VAE, graph: Decode, inputs: Arrays) -> Any:
        """Returns p(x | z) for values of z."""
        weight = next(model.parameters())
        zs = [torch.from_numpy(z).to(weight) for z in inputs[: graph.levels]]
        codes = None
        if len(inputs) > graph.levels:
            codes = to_codes(inputs[-1], self.run.schema)
        if codes is not None:
            codes = codes.to(weight)
        if len(zs) < len(model.latents.sizes) or len(zs) == 1:
            return model.decode(zs[0], codes)
        return model.decode_levels(zs, Batch(zs[0], codes))

    def _batch(self, inputs: Arrays) -> Batch:
        """Returns raw rows as the model sees them."""
        weight = next(self.run.model.parameters())
        schema = self.run.schema
        given: Tensor | None = None
        if schema.given:
            given = to_codes(inputs[-1], schema)
        if schema.is_sparse:
            return Batch(SparseRows.of(self._matrix(inputs)), given).to(weight.device)
        codes = schema.scaled(inputs[0], schema.levels)
        if not schema.table:
            return Batch(float_tensor(codes), given).to(weight.device)
        observed = ~np.isnan(codes)
        x = float_tensor(np.where(observed, codes, 0))
        return Batch(x, given, torch.from_numpy(observed)).to(weight.device)

    def _matrix(self, inputs: Arrays) -> Any:
        """Returns lists of items as a matrix of users and items."""
        from scipy.sparse import csr_matrix

        row, place = np.nonzero(inputs[0] >= 0)
        weights = np.ones(len(row), np.float32)
        if self.run.schema.levels != 2:
            weights = inputs[1][row, place]
        shape = (len(inputs[0]), self.run.schema.shape[0])
        return csr_matrix((weights, (row, inputs[0][row, place])), shape=shape)

    def _means(self, p: Any) -> np.ndarray:
        """Returns the means of p(x | z) in the units of the data, not rounded."""
        schema = self.run.schema
        if schema.table:
            table = getattr(p, "base_dist", p)
            return np.asarray(table.data_mean.double().cpu().numpy())
        means = p.mean.cpu().numpy()
        if schema.mean:
            return schema.restore(means)
        if schema.levels is None or schema.is_sparse:
            return np.asarray(means)
        return np.asarray(means * np.float32(schema.levels - 1))


def _padded_to(k: int, items: np.ndarray, scores: np.ndarray) -> Arrays:
    """Fills lists up to length k, as a graph gives them."""
    missing = ((0, 0), (0, k - items.shape[1]))
    return [
        np.pad(items, missing, constant_values=NO_ITEM),
        np.pad(scores, missing, constant_values=np.nan),
    ]


# How far they are apart


def _difference(schema: Schema, graph: Graph, answers: Arrays, wanted: Arrays) -> float:
    """Returns the largest difference of all outputs, see `TOLERANCE`."""
    deviations = None
    if isinstance(graph, Reconstruct | Decode) and schema.scale:
        deviations = np.array(schema.scale)
    if isinstance(graph, Reconstruct | Decode) and schema.table:
        deviations = np.array([column.scale for column in schema.table])
    pairs = zip(answers, wanted, strict=True)
    return max(_largest(answer, right, deviations) for answer, right in pairs)


def _largest(answer: np.ndarray, wanted: np.ndarray, deviations: np.ndarray | None = None) -> float:
    """Returns the largest difference of two arrays beside the largest number of the array, or of
    each column beside that of the column or its deviation (D,).
    """
    if answer.shape != wanted.shape:
        return np.inf
    is_finite = np.isfinite(wanted)
    others_agree = np.array_equal(answer[~is_finite], wanted[~is_finite], equal_nan=True)
    if not others_agree or not np.isfinite(answer[is_finite]).all():
        return np.inf
    sizes = np.abs(np.where(is_finite, wanted, 0))
    distances = np.abs(np.where(is_finite, answer, 0) - np.where(is_finite, wanted, 0))
    if deviations is None:
        largest = np.maximum(sizes.max(initial=0), np.finfo(np.float32).tiny)
    else:
        largest = np.maximum(sizes.max(axis=0, initial=0), deviations)
    return float((distances / largest).max(initial=0))


def _difference_of_lists(answers: Arrays, wanted: Arrays, all_scores: np.ndarray) -> float:
    """Returns the largest difference of the scores of lists, those of their items included.

    Where another item stands at a place, it has the same score, or the lists are not the same.

    Args:
        answers: items and scores of the file, (B, k) each.
        wanted: those of the run.
        all_scores: of all items by the run, (B, I).
    """
    items, scores = answers
    right_items, right_scores = wanted
    if items.shape != right_items.shape or not np.array_equal(items < 0, right_items < 0):
        return np.inf
    own = np.take_along_axis(all_scores, np.maximum(items, 0), 1)
    own = np.where(items < 0, np.nan, own)
    has_same_items = np.where(items == right_items, right_scores, own)
    return max(_largest(scores, right_scores), _largest(scores, has_same_items))
