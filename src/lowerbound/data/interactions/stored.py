"""The split of a log as a run keeps it, from which it is opened again without the log.

A folder `split` holds `users.parquet` (a row for each user: the id, how many interactions, the part
where users are held out, and the conditions of a conditional model), `interactions.parquet` (a row
for each interaction, ascending by user and item: how far its item is from that of the row before,
the part, and the weight where they do not all count 1) and `log.json` (what the files of the log
were). The items are those of the catalogue of the run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, one_line
from ...system.files import is_file, replacing_all, within, writing
from ..dataset import Dataset
from ..files.limits import refuse_bomb
from ..files.sources import reason
from ..files.tables import scan_parquet, text_bytes
from ..schema import Schema
from .history import History, Items
from .holdout import HELD, TEST, Assigned
from .ids import series
from .origin import LOG, Origin, read_origin
from .parts import ConditionsOf, cut, to_dataset

if TYPE_CHECKING:
    from polars import DataFrame
    from scipy.sparse import csr_matrix

FOLDER = "split"
"""The folder of a run that holds its split."""

USERS = f"{FOLDER}/users.parquet"
"""The users of a split."""

INTERACTIONS = f"{FOLDER}/interactions.parquet"
"""The interactions of a split."""

CONDITION = "condition "
"""The columns of conditions are called so, and by their numbers."""


def holds_split(folder: Path) -> bool:
    """Says whether a run keeps its split."""
    return all(is_file(within(folder, name)) for name in (USERS, INTERACTIONS))


def write_split(folder: Path, dataset: Dataset, origin: Origin) -> None:
    """Writes the split of a dataset of interactions into the folder of a run: all of it, or none.

    Args:
        folder: of the run.
        dataset: as it was opened for the fit.
        origin: what the log is.

    Raises:
        RunError: the folder cannot be written.
    """
    whole = dataset.whole
    assigned = dataset.assigned
    assert isinstance(whole, History)
    assert assigned is not None
    users = _frame_of_users(whole, assigned)
    interactions = _frame_of_interactions(whole.matrix, assigned)
    paths = [folder / name for name in (USERS, INTERACTIONS, LOG)]
    with writing(folder / FOLDER), replacing_all(paths) as temporaries:
        users.write_parquet(temporaries[0])
        interactions.write_parquet(temporaries[1])
        temporaries[2].write_text(origin.model_dump_json(indent=1), encoding="utf-8")


def _frame_of_users(whole: History, assigned: Assigned) -> "DataFrame":
    import polars

    columns: dict[str, Any] = {
        "user": series(whole.users),
        "interactions": np.diff(whole.matrix.indptr).astype(np.uint32),
    }
    if assigned.user_part is not None:
        columns["part"] = assigned.user_part
    if whole.conditions is not None:
        for position, values in enumerate(whole.conditions.T):
            columns[f"{CONDITION}{position}"] = np.ascontiguousarray(values, np.float64)
    return polars.DataFrame(columns)


def _frame_of_interactions(matrix: "csr_matrix", assigned: Assigned) -> "DataFrame":
    import polars

    # Differences have fewer digits, and take half of the room of the items themselves.
    gaps = matrix.indices.astype(np.uint32)
    gaps[1:] -= matrix.indices[:-1].astype(np.uint32)
    starts = _starts(matrix.indptr)
    gaps[starts] = matrix.indices[starts]
    columns: dict[str, Any] = {"gap": gaps, "part": assigned.part}
    if (matrix.data != 1).any():
        columns["weight"] = matrix.data
    return polars.DataFrame(columns)


def _starts(offsets: np.ndarray) -> np.ndarray:
    """Returns the first entry of each row that has one."""
    starts: np.ndarray = offsets[:-1][np.diff(offsets) > 0]
    return starts


def read_split(
    folder: Path,
    schema: Schema,
    items: Items,
    *,
    name: str,
    seed: int,
    facts: Mapping[str, Any],
    conditions_of: ConditionsOf | None = None,
) -> Dataset:
    """Reads the split that a run keeps.

    Args:
        folder: of the run.
        schema: of the run.
        items: the catalogue of the run.
        name: of the source.
        seed: of the split.
        facts: counts of what was read, dropped and kept.
        conditions_of: reads the conditions of users in place of those that are kept.

    Raises:
        DataError: the files are damaged, or do not fit the run.
    """
    users = _read(folder, USERS, ("user", "interactions"), ("part",))
    rows = _read(folder, INTERACTIONS, ("gap", "part"), ("weight",))
    try:
        matrix = _to_matrix(users["interactions"].to_numpy(), rows, len(items))
        assigned = _to_assigned(users, rows["part"].to_numpy())
        conditions = _to_conditions(users, len(schema.given))
    except ValueError as error:
        raise DataError(_damaged(folder, str(error))) from None
    parts = cut(matrix, assigned, "weight" not in rows.columns)
    ids = users["user"].to_numpy()
    notes = tuple(read_origin(folder).notes)
    if conditions_of is not None:
        found = conditions_of(ids)
        conditions = found.values
        notes += found.notes
    return to_dataset(
        name,
        ids,
        parts,
        schema,
        items,
        conditions=conditions,
        seed=seed,
        facts=facts,
        notes=notes,
    )


def _damaged(folder: Path, message: str) -> str:
    return (
        f"{folder / FOLDER} does not hold the split of its run: {message}; without this folder the "
        "log is read again"
    )


def _read(folder: Path, name: str, needed: Sequence[str], others: Sequence[str]) -> "DataFrame":
    """Reads the known columns of a file of a split.

    Raises:
        DataError: the file is damaged, or lacks a column.
    """
    from polars.exceptions import PanicException

    path = within(folder, name)
    try:
        frame = scan_parquet(path)
        known = _known_columns(frame.collect_schema(), (*needed, *others))
        missing = [column for column in needed if column not in known]
        if missing:
            raise ValueError(f"{path.name} lacks the column {missing[0]}")
        found = frame.select(known).collect()
        if sum(found.null_count().row(0)):
            raise ValueError(f"{path.name} has gaps")
        refuse_bomb(path, text_bytes(found), path.stat().st_size)
    except DataError:
        raise
    # Polars raises many kinds of exceptions for a file that is damaged.
    except (Exception, PanicException) as error:
        raise DataError(_damaged(folder, reason(error))) from None
    return found


def _known_columns(schema: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Returns the columns that a split has, of those of a file.

    Raises:
        ValueError: one has a type that `write_split` never wrote.
    """
    import polars

    types = {
        "interactions": polars.UInt32,
        "gap": polars.UInt32,
        "part": polars.UInt8,
        "weight": polars.Float32,
    }
    known = []
    for column, dtype in schema.items():
        is_condition = column.startswith(CONDITION)
        if column not in names and not is_condition:
            continue
        is_right = dtype == types.get(column, polars.Float64)
        if column == "user":
            is_right = not (dtype.is_nested() or dtype.is_object() or dtype == polars.Binary)
        if not is_right:
            raise ValueError(f"its column {one_line(column, 40)} is of type {one_line(dtype, 80)}")
        known.append(column)
    return known


def _to_matrix(counts: np.ndarray, rows: "DataFrame", width: int) -> "csr_matrix":
    """Makes the matrix (U, I) of all interactions.

    Args:
        counts: (U,) how many interactions each user has.
        rows: a row for each interaction.
        width: the number of items, I.

    Raises:
        ValueError: these are no interactions of so many items.
    """
    from scipy.sparse import csr_matrix

    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    if offsets[-1] != len(rows):
        raise ValueError(f"it has {len(rows)} interactions, and users with {offsets[-1]}")
    gaps = rows["gap"].to_numpy()
    starts = _starts(offsets)
    # Sums of 32 bits may go round; differences of two of them are right all the same.
    sums = np.cumsum(gaps, dtype=np.uint32)
    before = (sums[starts] - gaps[starts]).astype(np.uint32)
    sums -= np.repeat(before, counts[counts > 0])
    if len(sums) and sums.max() >= width:
        raise ValueError(f"it has items beyond the {width} of the catalogue")
    weights = np.ones(len(rows), np.float32)
    if "weight" in rows.columns:
        weights = rows["weight"].to_numpy()
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError("it has a weight that no interaction has")
    matrix = csr_matrix((weights, sums.view(np.int32), offsets), shape=(len(counts), width))
    if not matrix.has_canonical_format:
        raise ValueError("the items of a user do not ascend")
    return matrix


def _to_assigned(users: "DataFrame", part: np.ndarray) -> Assigned:
    """Returns which part each user or interaction belongs to.

    Raises:
        ValueError: there is no such part.
    """
    user_part = None
    last = TEST
    if "part" in users.columns:
        user_part = users["part"].to_numpy()
        last = HELD
        if len(user_part) and user_part.max() > TEST:
            raise ValueError("a user belongs to a part that is none")
    if len(part) and part.max() > last:
        raise ValueError("an interaction belongs to a part that is none")
    return Assigned(part, user_part)


def _to_conditions(users: "DataFrame", count: int) -> np.ndarray | None:
    """Returns the conditions of the users, (U, G); None of a model that is given nothing.

    Raises:
        ValueError: there are not so many.
    """
    names = [f"{CONDITION}{position}" for position in range(count)]
    if not names:
        return None
    if not set(names) <= set(users.columns):
        raise ValueError(f"it lacks the {count} conditions of its users")
    return np.ascontiguousarray(users.select(names).to_numpy())
