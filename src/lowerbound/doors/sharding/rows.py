"""Shards of images, vectors and rows of tables: ranges of the rows of a split.

A range begins where a batch of the whole split begins, so that each example is computed in the very
batch in which one process computes it; and by one thread, so that its last bits hang on neither the
machine's cores nor the engine. Each process opens the whole source, once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import lcm
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...anomalies import Judge, Scorer, settings_of_scores
from ...anomalies.measures import BOUND_DRAWS
from ...data import Split
from ...evaluation.batches import chunk_size, positive
from ...run import load
from ...system.files import write_frames
from .job import Job
from .levels import code_names, written_levels
from .opened import examples_of, run_of

if TYPE_CHECKING:
    from polars import DataFrame


def encode_rows(job: Job, number: int) -> dict[str, Any]:
    """Writes the codes of the examples of a shard, as `encode` writes those of all."""
    run = run_of(job)
    levels = written_levels(run, job.options.get("level"))

    def frame_of(examples: Split) -> "DataFrame":
        import polars

        means = run.encode(examples)
        codes = np.concatenate([means[level].numpy() for level in levels], axis=1)
        names = code_names(run, levels)
        columns = examples.names_of_rows() | dict(zip(names, codes.T, strict=True))
        return polars.DataFrame(columns)

    return _write(job, number, chunk_size(run.model), lambda rows: iter([frame_of(rows)]))


def score_rows(job: Job, number: int) -> dict[str, Any]:
    """Writes the scores of the examples of a shard, as `score` writes those of all."""
    run = run_of(job)
    judge = _judge_of(job.to_text())
    chunk = chunk_size(run.model)
    samples = min(judge.scorer.settings.samples, chunk)
    step = lcm(max(1, chunk // BOUND_DRAWS), max(1, chunk // samples))
    anomalous = 0

    def frames_of(examples: Split) -> "Iterator[DataFrame]":
        nonlocal anomalous
        scores = judge.score(examples)
        if scores.anomalous is not None:
            anomalous = int(scores.anomalous.sum())
        yield from scores.frames()

    found = _write(job, number, step, frames_of)
    if judge.thresholds:
        found["anomalous"] = anomalous
    return found


@lru_cache(maxsize=1)
def _judge_of(text: str) -> Judge:
    """Returns what the examples of a job are scored by; it is found once in a process."""
    job = Job.from_text(text)
    run = run_of(job)
    options = job.options
    against = None
    if options.get("against") is not None:
        against = load(options["against"], allow_code=job.allow_code)
    split, _ = examples_of(job)
    settings = settings_of_scores(positive(options["samples"]), options.get("seed", 0), split)
    return Judge.of(Scorer(run, against, settings), options.get("threshold"), options.get("by"))


def _write(
    job: Job, number: int, step: int, frames_of: "Callable[[Split], Iterator[DataFrame]]"
) -> dict[str, Any]:
    """Writes the rows of a shard, and counts them.

    Args:
        job: the job.
        number: of the shard.
        step: a shard begins at a multiple of it.
        frames_of: makes the frames of examples.
    """
    _, examples = examples_of(job)
    run = run_of(job)
    run.caveat(examples, job.source)  # which refuses values that the likelihood cannot have
    start, stop = bounds_of(number, job.shards, len(examples), step)
    with one_thread():
        if start < stop:
            write_frames(job.part(number), frames_of(examples.take(slice(start, stop))))
        else:  # the columns, without a row
            first = next(frames_of(examples.take(slice(0, 1))))
            write_frames(job.part(number), [first.clear()])
    return {"examples": stop - start, "rows": stop - start}


def bounds_of(number: int, shards: int, rows: int, step: int) -> tuple[int, int]:
    """Returns the first row of a shard and the one behind its last; they are equal for an empty
    one.

    >>> [bounds_of(number, 3, 100, 16) for number in range(3)]
    [(0, 48), (48, 96), (96, 100)]
    """
    steps = -(-rows // (shards * step))
    size = steps * step
    return min(number * size, rows), min((number + 1) * size, rows)


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets PyTorch compute in one thread during the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
