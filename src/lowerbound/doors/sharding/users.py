"""Shards of users: their lists, or their codes."""

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import History, Interactions, Items
from ...data.interactions.ids import positions, unify
from ...data.interactions.scatter import shard_path
from ...errors import DataError, RunError
from ...recommend import item_vectors, recommend_in_blocks
from ...recommend.blocks import USERS_OF_BLOCK
from ...report.text import column_names
from ...run import Run
from ...system.files import exists, expand_home, write_frames
from .job import Job
from .opened import recommender_of, run_of, table_of_users

if TYPE_CHECKING:
    from polars import DataFrame


def recommend_to_users(job: Job, number: int) -> dict[str, Any]:
    """Writes the lists of the users of a shard, by user, then rank."""
    history = open_shard(job, number)
    recommender = recommender_of(job)
    counts = {"users": len(history), "rows": 0, "users_without": 0, "users_popular": 0}

    def frames() -> "Iterator[DataFrame]":
        for lists in recommend_in_blocks(recommender, history, may_know_nobody=True, **job.options):
            counts["rows"] += int(lists.counts.sum())
            counts["users_without"] += int((lists.counts == 0).sum())
            counts["users_popular"] += lists.count_popular()
            yield _with_user_type(lists.to_frame(), job)

    write_frames(job.part(number), frames())
    return counts


def encode_users(job: Job, number: int) -> dict[str, Any]:
    """Writes the codes of the users of a shard: `user`, `z1_1` and so on."""
    history = open_shard(job, number)
    write_frames(job.part(number), _frames_of_codes(job, history))
    return {"users": len(history), "rows": len(history)}


def _frames_of_codes(job: Job, history: History) -> "Iterator[DataFrame]":
    """Yields the codes of some users after those of others."""
    import polars

    recommender = recommender_of(job)
    names = column_names((), run_of(job).model.latents.sizes[0], "z1_")
    for start in range(0, max(len(history), 1), USERS_OF_BLOCK):
        block = history.take(slice(start, start + USERS_OF_BLOCK))
        codes = np.empty((0, len(names)), np.float32)
        if len(block):
            codes = recommender.codes(block)
        columns = block.names_of_rows() | dict(zip(names, codes.T, strict=True))
        yield _with_user_type(polars.DataFrame(columns), job)


def frame_of_items(run: Run, items: Items) -> "DataFrame":
    """Makes a frame of the vectors of the items: item, title (where the run has titles), v1 and so
    on.
    """
    import polars

    vectors = item_vectors(run.model)
    columns: dict[str, Any] = {"item": items.ids.tolist()}
    if items.titles is not None:
        columns["title"] = items.titles
    names = column_names((), vectors.shape[1], "v")
    columns |= dict(zip(names, vectors.T, strict=True))
    return polars.DataFrame(columns)


def _with_user_type(frame: "DataFrame", job: Job) -> "DataFrame":
    """Returns a frame whose users are of the type that all users of the log have.

    The ids of one shard may all be whole numbers, and those of another not.
    """
    import polars

    kind = getattr(polars, job.user_type, None)
    if kind is None:
        return frame
    return frame.with_columns(polars.col("user").cast(kind))


# Opening


def open_shard(job: Job, number: int) -> History:
    """Opens the users of a shard, by the rules by which the run reads any log."""
    path = shard_path(job.log, number)
    run = run_of(job)
    users, has_known_items = _look_at(path, run)
    if has_known_items:
        history = _reading_shards(run).open_other(str(path)).whole
    else:
        history = _without_items(run, users)
    assert isinstance(history, History)
    if run.schema.given and len(history):
        return _with_features(job, run, history)
    return history


def _look_at(path: Path, run: Run) -> tuple[np.ndarray, bool]:
    """Returns the users of a shard, ascending, and whether the run knows any of their items.

    Raises:
        RunError: the shard is not there.
    """
    import polars

    if not exists(path):
        raise RunError(
            f"there is no {path}: every machine must see the folder of the results by this path"
        )
    files = [path]
    if path.is_dir():
        files = sorted(path.iterdir())
    rows = polars.concat([polars.scan_parquet(file, glob=False) for file in files])
    items = rows.select(polars.col("item").unique()).collect().to_series()
    users = rows.select(polars.col("user").unique()).collect().to_series()
    assert run.items is not None
    known = positions(unify(items).to_numpy(), run.items.ids) >= 0
    return unify(users).sort().to_numpy(), bool(known.any())


def _reading_shards(run: Run) -> Run:
    """Returns the run, which reads logs whose columns have the names of shards, whose events are
    weighed, and nothing of users beside their items.
    """
    how = run.recipe.data.interactions or Interactions()
    settings: dict[str, Any] = {
        "data.columns": None,
        "data.interactions.user": "user",
        "data.interactions.item": "item",
        "data.interactions.event": None,
        "data.interactions.events": None,
        "data.interactions.binary": how.is_binary,
    }
    if how.rating is not None or how.events is not None:
        settings["data.interactions.rating"] = "rating"
    reading = copy(run)
    reading.recipe = run.recipe.replace(settings)
    reading.schema = replace(run.schema, given=())
    return reading


def _without_items(run: Run, users: np.ndarray) -> History:
    """Returns users of whom no item is known."""
    from scipy.sparse import csr_matrix

    schema = replace(run.schema, given=())
    nothing = (np.empty(0, np.float32), np.empty(0, np.int32), np.zeros(len(users) + 1, np.int32))
    matrix = csr_matrix(nothing, shape=(len(users), schema.shape[0]))
    return History(schema, matrix, None, users, np.arange(len(users)), schema.levels)


def _with_features(job: Job, run: Run, history: History) -> History:
    """Returns users with their features, as the table of users has them."""
    data = run.recipe.data
    how = data.interactions or Interactions()
    path = job.features or how.users
    if path is None:
        raise DataError(
            "the run is conditioned on features of users, and knows no file of them; --features "
            "FILE names it"
        )
    table = table_of_users(expand_home(path), data.text_format())
    values = np.full((len(history), len(run.schema.given)), np.nan)
    if table.knows(history.users, how).any():
        given = run.schema.names_of_conditions
        wanted = replace(data.wanted(), given=given, conditions=run.schema.given, is_run=True)
        values = table.conditions(history.users, how, wanted).values
    return history.conditioned(run.schema, values)
