"""The parts of a split as matrices and as a `Dataset`, of a log that was read or that is kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset import Dataset
from ..files.conditions import Conditions
from ..schema import Schema
from .history import History, Items
from .holdout import HELD, SEEN, TEST, TRAIN, VALIDATION, Assigned

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


_Select = Callable[..., Any]

ConditionsOf = Callable[[np.ndarray], Conditions]
"""It reads the conditions of users by their ids, (n,)."""


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a split.

    Attributes:
        users: (n,) ascending positions among all users.
        history: (n, I) float32, what the model sees of each.
        targets: (n, I) float32, what it has to find of each; None where there is nothing to find.
    """

    users: np.ndarray
    history: "csr_matrix"
    targets: "csr_matrix | None" = None


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a split; None where one is empty.

    Attributes:
        whole: all users, with all their interactions.
        assigned: what belongs to which part.
        train: the training part.
        validation: the validation part, or None.
        test: the test part, or None.
    """

    whole: Part
    assigned: Assigned
    train: Part
    validation: Part | None
    test: Part | None


def cut(matrix: "csr_matrix", assigned: Assigned, are_equal: bool) -> Parts:
    """Cuts the interactions of a log into the parts of a split.

    Args:
        matrix: (U, I) float32, all interactions, in canonical format.
        assigned: the part of each of its entries and, where users are held out, of each user.
        are_equal: every interaction counts 1. All parts share the memory of these numbers then.
    """
    everyone = np.arange(matrix.shape[0])
    whole = Part(everyone, matrix)
    select = partial(select_entries, are_equal=are_equal)
    if assigned.user_part is None:
        return _cut_interactions(whole, assigned, select)
    return _cut_users(whole, assigned, assigned.user_part, select)


def _cut_interactions(whole: Part, assigned: Assigned, select: _Select) -> Parts:
    """Cuts a log of which interactions are held out: each part sees what the parts before hold.

    Parts that see the same interactions share their memory.
    """
    part = assigned.part
    seen = {TRAIN: select(whole.history, part == TRAIN)}
    for number in (VALIDATION, TEST):
        seen[number] = seen[number - 1]
        if number == TEST and (part == VALIDATION).any():
            seen[number] = select(whole.history, part < TEST)
    held: dict[int, Part | None] = {}
    for number in (VALIDATION, TEST):
        held[number] = None
        is_target = part == number
        if is_target.any():
            held[number] = Part(whole.users, seen[number], select(whole.history, is_target))
    train = _drop_empty(Part(whole.users, seen[TRAIN]))
    return Parts(whole, assigned, train, held[VALIDATION], held[TEST])


def _cut_users(whole: Part, assigned: Assigned, user_part: np.ndarray, select: _Select) -> Parts:
    """Cuts a log of which users are held out."""
    counts = np.diff(whole.history.indptr)
    of_user = np.repeat(user_part, counts)
    train_users = np.flatnonzero(user_part == TRAIN)
    train = Part(train_users, select(whole.history, of_user == TRAIN, train_users))
    held: dict[int, Part | None] = {}
    for number in (VALIDATION, TEST):
        held[number] = None
        users = np.flatnonzero(user_part == number)
        if len(users):
            is_seen = (of_user == number) & (assigned.part == SEEN)
            is_target = (of_user == number) & (assigned.part == HELD)
            held[number] = Part(
                users,
                select(whole.history, is_seen, users),
                select(whole.history, is_target, users),
            )
    return Parts(whole, assigned, train, held[VALIDATION], held[TEST])


def select_entries(
    matrix: "csr_matrix",
    mask: np.ndarray,
    users: np.ndarray | None = None,
    *,
    are_equal: bool = False,
) -> "csr_matrix":
    """Selects entries of a matrix (U, I).

    Args:
        matrix: in canonical format.
        mask: (n,) which of its entries are selected.
        users: ascending rows, which have all of these; None: all rows.
        are_equal: all its entries are equal, so that any of them do as the selected ones.

    Returns:
        A matrix (len(users), I). If all entries are selected they share their memory.
    """
    from scipy.sparse import csr_matrix

    offsets = matrix.indptr
    counts = _count_by_row(mask, offsets)
    if users is not None:
        counts = counts[users]
    new_offsets = np.zeros(len(counts) + 1, offsets.dtype)
    np.cumsum(counts, out=new_offsets[1:])
    data = matrix.data
    indices = matrix.indices
    if new_offsets[-1] < len(mask):
        indices = indices[mask]
    if are_equal:
        data = data[: len(indices)]
    elif len(indices) < len(mask):
        data = data[mask]
    return csr_matrix((data, indices, new_offsets), shape=(len(counts), matrix.shape[1]))


ROWS_AT_ONCE = 2**16
"""The entries of this number of rows are counted at a time."""


def _count_by_row(mask: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Counts the selected entries of each row, (U,)."""
    counts = np.zeros(len(offsets) - 1, np.int64)
    for start in range(0, len(counts), ROWS_AT_ONCE):
        bounds = offsets[start : start + ROWS_AT_ONCE + 1]
        selected = mask[bounds[0] : bounds[-1]]
        is_filled = bounds[1:] > bounds[:-1]
        if len(selected):
            starts = bounds[:-1][is_filled] - bounds[0]
            found = np.add.reduceat(selected, starts, dtype=np.int64)
            counts[start : start + ROWS_AT_ONCE][is_filled] = found
    return counts


def _drop_empty(part: Part) -> Part:
    """Drops users without a history; the others share the memory of the entries."""
    from scipy.sparse import csr_matrix

    matrix = part.history
    is_filled = np.diff(matrix.indptr) > 0
    if is_filled.all():
        return part
    offsets = np.r_[matrix.indptr[:1], matrix.indptr[1:][is_filled]]
    users = part.users[is_filled]
    shape = (len(users), matrix.shape[1])
    return Part(users, csr_matrix((matrix.data, matrix.indices, offsets), shape=shape))


def to_dataset(
    name: str,
    users: np.ndarray,
    parts: Parts,
    schema: Schema,
    items: Items,
    *,
    conditions: np.ndarray | None = None,
    seed: int = 0,
    facts: Mapping[str, Any],
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Makes a `Dataset` of the parts of a split.

    Args:
        name: of the source.
        users: (U,) their ids.
        parts: of the split.
        schema: of the data.
        items: the catalogue.
        conditions: (U, G) what a conditional model is given of the users, or None.
        seed: of the split.
        facts: counts of what was read, dropped and kept.
        notes: sentences on how the source was read.
    """

    def history_of(part: Part) -> History:
        of_part = conditions
        if of_part is not None:
            of_part = of_part[part.users]
        return History(
            schema,
            part.history,
            part.targets,
            users[part.users],
            part.users,
            schema.levels,
            conditions=of_part,
        )

    validation = None
    if parts.validation is not None:
        validation = history_of(parts.validation)
    test = None
    if parts.test is not None:
        test = history_of(parts.test)
    return Dataset(
        name=name,
        schema=schema,
        train=history_of(parts.train),
        validation=validation,
        test=test,
        whole=history_of(parts.whole),
        source=name,
        seed=seed,
        items=items,
        facts=dict(facts),
        notes=notes,
        assigned=parts.assigned,
    )
