"""Examples beside what a model makes of them."""

from typing import Any

import numpy as np
import torch

from ...data import Examples
from ...run.given import Given
from ...run.run import Examples as AnyExamples
from .inputs import as_split
from .outputs import png_url, rows_of, shares
from .scoring import score
from .served import Served


def reconstruct(
    served: Served, x: AnyExamples, given: Given | None, samples: int | None, seed: int
) -> dict[str, Any]:
    """Reconstructs examples, and measures them where the run has a likelihood.

    Args:
        served: the run.
        x: examples as `Run.encode` takes them.
        given: their conditions, see `Run.encode`.
        samples: importance samples for each, see `scoring.score`.
        seed: of the draws.
    """
    run = served.run
    split = as_split(run, x, given)
    codes = run.encode(split)
    means = run.reconstruct(split)
    scores: list[dict[str, Any] | None] = [None] * len(split)
    if run.recipe.objective.has_bound:
        scores = [*score(served, split, samples, seed).lines()]
    answer: dict[str, Any] = {"caveat": run.caveat(split)}
    if served.kind == "images":
        answer["residual_scale"] = 1.0
        examples = _pictures(split, means)
    else:
        examples = _rows(split, means)
    for row, example in enumerate(examples):
        example["codes"] = [level[row].double().tolist() for level in codes]
        example["score"] = scores[row]
    answer["examples"] = examples
    answer["notes"] = list(served.notes)
    return answer


def _pictures(split: Examples, means: torch.Tensor) -> list[dict[str, Any]]:
    """Returns images as pictures: original, mean, and the residual, where grey is no difference."""
    originals = shares(split.tensor(slice(None)), split.schema)
    reconstructed = shares(means, split.schema)
    examples = []
    for original, mean in zip(originals, reconstructed, strict=True):
        examples.append(
            {
                "original": png_url(original),
                "mean": png_url(mean),
                "residual": png_url((1 + original - mean) / 2),
            }
        )
    return examples


def _rows(split: Examples, means: Any) -> list[dict[str, Any]]:
    """Returns rows by column: originals, means, and the differences of numbers."""
    schema = split.schema
    originals = _own_rows(split)
    examples = []
    for original, mean in zip(originals, rows_of(means, schema), strict=True):
        residual = {}
        for name, value in original.items():
            residual[name] = _difference(value, mean.get(name))
        examples.append({"original": original, "mean": mean, "residual": residual})
    return examples


def _own_rows(split: Examples) -> list[dict[str, Any]]:
    """Returns the rows of a split in the units and words of the data."""
    schema = split.schema
    if schema.table:
        from ...data.frames import to_frame

        return to_frame(schema.table, split.values_at(slice(None))).to_dicts()
    values = np.asarray(split.values_at(slice(None)), np.float64)
    return rows_of(torch.from_numpy(values), schema)


def _difference(value: Any, mean: Any) -> Any:
    """Returns value - mean of numbers; of other values whether they are the same, as null."""
    are_numbers = isinstance(value, int | float) and isinstance(mean, int | float)
    if are_numbers and not isinstance(value, bool):
        return value - mean
    return None
