"""Features of users, from a table beside the interactions: what a recommender is conditioned on.

The table has one row for each user. Its columns are read by the rules of tables with columns of
several kinds, and gaps are allowed; of a user without a row nothing is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigError, DataError, one_line
from ...system.files import expand_home, is_file
from ..files.cells import CellFormat
from ..files.choice import normal_names, refuse_unknown
from ..files.conditions import Conditions, read_conditions
from ..files.dialect import TextFormat
from ..files.sources import Wanted
from ..files.tables import cells_of_frame, cells_of_text
from ..files.texts import find_dialect, scan_texts
from .beside import find_ids, is_nested, read_beside, refuse_no_table
from .columns import USERS
from .forms import guarded
from .ids import encode, positions
from .logs import RawLog
from .spec import Interactions

if TYPE_CHECKING:
    from polars import DataFrame

KEY = "data.interactions.users"
"""The key of a recipe that names the table of users."""

WAY_OF_RUN = (
    "--features FILE names the table of users (run.with_users in Python, which also takes "
    "(log, users) as data)"
)
"""How a run that lacks its table of users is given one."""


@dataclass(frozen=True, eq=False)
class UserTable:
    """A table with a row for each user.

    Attributes:
        name: the table as it appears in messages.
        frame: all its columns.
        cells: how its cells are written.
        notes: sentences on how its text is written.
    """

    name: str
    frame: "DataFrame"
    cells: CellFormat
    notes: tuple[str, ...] = ()

    def conditions(self, users: np.ndarray, how: Interactions, wanted: Wanted) -> Conditions:
        """Reads the conditions of users.

        Args:
            users: (n,) their ids.
            how: names the column of ids.
            wanted: the columns that are conditions, and what a run knows of them.

        Returns:
            The conditions, whose values are (n, G); NaN where a user has no row.

        Raises:
            DataError: the table has no ids, a user twice, none of these users, or a column that no
                model could be conditioned on.
            ConfigError: a kind that the user has named is none, or does not fit a column.
        """
        ids = self._ids(how.user)
        rows = self._rows_of(users, ids)
        names = [name for name in self.frame.columns if name != ids]
        if not wanted.conditions:
            self._refuse_unfit(wanted, names, ids)
        frame = self.frame.select(names)
        found = read_conditions(frame, wanted.given, wanted, self.name, self.cells)
        values = np.full((len(users), len(found.columns)), np.nan)
        values[rows >= 0] = found.values[rows[rows >= 0]]
        notes = (*self.notes, *found.notes, *self._tell_absent(rows))
        return Conditions(found.columns, values, notes)

    def knows(self, users: np.ndarray, how: Interactions) -> np.ndarray:
        """Says which of some users (n,) have a row, (n,) bool.

        Raises:
            DataError: the table has no ids.
        """
        return positions(users, self.frame[self._ids(how.user)].to_numpy()) >= 0

    def _ids(self, user: str) -> str:
        """Finds the column of ids.

        Raises:
            DataError: there is none.
        """
        ids = find_ids(self.frame.columns, user, USERS)
        if ids is None:
            names = one_line(", ".join(self.frame.columns), 200)
            raise DataError(
                f"{self.name} has no column of users (as data.interactions.user, or a usual name); "
                f"its columns: {names}"
            )
        return ids

    def _rows_of(self, users: np.ndarray, ids: str) -> np.ndarray:
        """Finds the row of each user, (n,); -1 where there is none.

        Raises:
            DataError: a user has two rows, or no user has one.
        """
        known = self.frame[ids]
        self._refuse_repeated(ids)
        rows = positions(users, known.to_numpy())
        if (rows < 0).all():
            raise DataError(
                f"{self.name} has a row for none of the {len(users):,} users of the log: its users "
                f"are such as {_first(known.drop_nulls().to_list())}, those of the log such as "
                f"{_first(users.tolist())}"
            )
        return rows

    def _refuse_repeated(self, ids: str) -> None:
        known = self.frame[ids].drop_nulls()
        different, codes = encode(known)
        if len(different) == len(known):
            return
        counts = np.bincount(codes)
        most = int(counts.argmax())
        raise DataError(
            f"{self.name} has {counts[most]} rows for the user {_first(different[most:].tolist())}"
            f"; allowed: one row for each user"
        )

    def _refuse_unfit(self, wanted: Wanted, names: Sequence[str], ids: str) -> None:
        """Refuses conditions that the table does not have, and kinds of other columns."""
        if ids in wanted.given:
            raise ConfigError(
                f"data.given names {ids!r}, which tells the users of {self.name} apart; allowed: "
                f"{one_line(', '.join(names), 200)}"
            )
        refuse_unknown(wanted.given, names, self.name, "data.given")
        for name in wanted.kinds or {}:
            if name not in wanted.given:
                raise ConfigError(
                    f"data.kinds names {one_line(repr(name), 80)}; of a log with features of "
                    "users, allowed: the columns of data.given, "
                    f"{one_line(', '.join(wanted.given), 200)}"
                )

    def _tell_absent(self, rows: np.ndarray) -> tuple[str, ...]:
        absent = int((rows < 0).sum())
        if not absent:
            return ()
        users = f"{absent:,} of {len(rows):,} users"
        return (f"{self.name} has no row for {users}, of whom nothing is known",)


def _first(values: Sequence[Any]) -> str:
    """Shows the first of some values."""
    if not values:
        return "none"
    return one_line(repr(values[0]), 60)


def users_of_frame(frame: "DataFrame", text: TextFormat, name: str) -> UserTable:
    """Makes a table of users of a frame.

    Raises:
        DataError: two columns have the same name.
    """
    flat = [each for each, dtype in frame.schema.items() if not is_nested(dtype)]
    named = frame.select(flat).rename(normal_names(flat, name))
    return UserTable(name, named, cells_of_frame(text))


def read_users(path: Path, text: TextFormat) -> UserTable:
    """Reads a text or Parquet file of users.

    How a text file is written is found from it: the log may be written in another way. Words for
    gaps that the user has named stand for gaps in both.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    refuse_no_table(path, KEY, "users")
    asked = TextFormat(missing=text.missing)
    cells = cells_of_frame(asked)
    notes: tuple[str, ...] = ()

    def read_text(path: Path) -> "DataFrame":
        nonlocal cells, notes
        dialect = find_dialect(path, asked)
        cells = cells_of_text(dialect, asked)
        notes = dialect.notes()
        return scan_texts(path, dialect).collect()

    frame = guarded(str(path), partial(read_beside, path, read_text), "a table of users")
    flat = users_of_frame(frame, asked, str(path))
    return UserTable(flat.name, flat.frame, cells, tuple(notes))


def find_users(log: RawLog, how: Interactions, wanted: Wanted) -> UserTable | None:
    """Finds the table of users that a log has beside it, or that a recipe names.

    Returns:
        The table, or None where nothing is asked of it.

    Raises:
        ConfigError: conditions are asked for and there is no table, or the other way round.
        DataError: the table cannot be read.
    """
    if not wanted.given and how.users is not None and not wanted.is_run:
        raise ConfigError(
            f"{KEY} names a table of users, and data.given none of its columns; name some, such as "
            'data.given=["age"], or leave both out'
        )
    if not wanted.given:
        return None
    if log.users is not None:
        return users_of_frame(log.users, wanted.text, "the frame of users")
    if how.users is None and wanted.is_run:
        raise DataError(
            f"the run is conditioned on {one_line(', '.join(wanted.given), 120)} of users, and "
            f"knows no file of them; {WAY_OF_RUN}"
        )
    if how.users is None:
        raise ConfigError(
            f"data.given names what is known of users, and {KEY} no table of them: name the file "
            "with a row for each user (in Python, data=(log, users) takes frames)"
        )
    path = expand_home(how.users)
    if wanted.is_run and not is_file(path):
        raise DataError(f"{KEY}={path}, which the run was fitted to, is not there; {WAY_OF_RUN}")
    return read_users(path, wanted.text)
