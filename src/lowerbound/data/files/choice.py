"""Which columns of a table are read, and what each is used for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ...errors import ConfigError, DataError, one_line, unknown
from .dialect import repeated
from .sources import Wanted
from .texts import normal_name

INDEX_NAMES = ("", "Unnamed: 0", "__index_level_0__")
"""A column with one of these names is an index, as pandas and R write it."""


@dataclass(frozen=True)
class Choice:
    """The columns of a table, by what they are used for.

    Attributes:
        values: the columns of numbers.
        ids: the columns that name the rows: those of `data.ids`, and an index.
        labels: the column of labels.
        given: the columns that a model is conditioned on; that of the labels may be one of them.
        notes: sentences on what is left out.
    """

    values: tuple[str, ...]
    ids: tuple[str, ...] = ()
    labels: str | None = None
    given: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[str, ...]:
        """The columns that hold no values, each once."""
        names = dict.fromkeys(self.ids)
        if self.labels is not None:
            names[self.labels] = None
        names |= dict.fromkeys(self.given)
        return tuple(names)

    @property
    def all(self) -> list[str]:
        """All columns that are read."""
        return [*self.values, *self.others]


def choose_columns(names: Sequence[str], wanted: Wanted, table: str) -> Choice:
    """Chooses columns of a table by their names, which are in composed form (`normal_name`).

    Args:
        names: the names of all columns.
        wanted: what is asked for.
        table: the table as it appears in messages.

    Raises:
        DataError: a column is not there, or none is left.
        ConfigError: a column is asked for as a value and as an id or label.
    """
    ids = tuple(map(normal_name, wanted.ids))
    labels = None
    if wanted.labels is not None:
        labels = normal_name(wanted.labels)
    if wanted.is_run:
        return _choose_for_run(names, wanted, table, ids, labels)
    refuse_unknown(ids, names, table, "data.ids")
    if labels is not None:
        refuse_unknown([labels], names, table, "data.labels")
    given = _choose_given(wanted, names, table, labels)
    excluded = _match_patterns(wanted.exclude, names, table)
    others = {*ids, labels, *given}
    if wanted.columns is not None:
        values = [normal_name(column) for column in wanted.columns]
        refuse_unknown(values, names, table, "data.columns")
        _refuse_two_uses(values, others, excluded, given)
        return Choice(tuple(values), ids, labels, given)
    left = [name for name in names if name not in excluded and name not in others]
    indices = [name for name in left if is_index(name, names)]
    values = [name for name in left if name not in indices]
    if not values:
        raise DataError(
            f"{table} has no columns of values left; it has {listed(names)}: see data.exclude, "
            "data.ids and data.labels"
        )
    notes = []
    if indices:
        notes.append(
            f"{table}: the column {listed(indices)} is an index, and no value (data.columns can "
            "choose it)"
        )
    return Choice(tuple(values), (*ids, *indices), labels, given, tuple(notes))


def _choose_given(
    wanted: Wanted, names: Sequence[str], table: str, labels: str | None
) -> tuple[str, ...]:
    """Chooses the columns that a model is conditioned on; "label" may be that of the labels.

    Raises:
        DataError: one is not there.
    """
    given = []
    for name in map(normal_name, wanted.given):
        if name == "label" and name not in names and labels is not None:
            name = labels
        given.append(name)
    refuse_unknown(given, names, table, "data.given")
    return tuple(given)


def _choose_for_run(
    names: Sequence[str], wanted: Wanted, table: str, ids: tuple[str, ...], labels: str | None
) -> Choice:
    """Chooses the columns that a run was fitted on, in any order, and the others that are there.

    Raises:
        DataError: one of them is not there.
    """
    values = tuple(map(normal_name, wanted.columns or ()))
    known = set(names)
    missing = [column for column in values if column not in known]
    if missing and wanted.is_mixed:
        if len(missing) == len(values):
            raise DataError(
                f"{table} has none of the {len(values)} columns of the run: {listed(missing)}; it "
                f"has {listed(names)}"
            )
        values = tuple(column for column in values if column in known)
    elif missing:
        raise DataError(
            f"{table} lacks {len(missing)} of the {len(values)} columns that the run was fitted "
            f"on: {listed(missing)}; it has {listed(names)}"
        )
    found_ids = tuple(name for name in ids if name in names)
    if labels not in names:
        labels = None
    given = tuple(column.name for column in wanted.conditions)
    missing_given = [name for name in given if name not in known]
    if missing_given:
        raise DataError(
            f"{table} lacks {listed(missing_given)}, which the run is conditioned on (data.given); "
            "a column of gaps says that it is not known"
        )
    used = {*values, *found_ids, labels, *given}
    others = [name for name in names if name not in used]
    indices = [name for name in others if is_index(name, names)]
    extra = [name for name in others if name not in indices]
    notes = []
    if extra:
        notes.append(
            f"{table}: columns that the run does not know are passed over: {listed(extra)}"
        )
    return Choice(values, (*found_ids, *indices), labels, given, tuple(notes))


def is_index(name: str, names: Sequence[str]) -> bool:
    """Says whether a column is an index by its name, and in a text file by its place."""
    return name in INDEX_NAMES and (name == INDEX_NAMES[-1] or name == names[0])


def refuse_unknown(
    columns: Iterable[str], names: Sequence[str], table: str, key: str | None = None
) -> None:
    """Refuses columns that are not there, all in one line, with the key that names them."""
    known = set(names)
    missing = [column for column in columns if normal_name(column) not in known]
    if not missing:
        return
    others = ""
    if len(missing) > 1:
        others = f", nor {one_line(', '.join(map(repr, missing[1:])), 200)},"
    where = f"{others} in {table}"
    if key is not None:
        where += f" ({key})"
    raise DataError(one_line(unknown("column", missing[0], names, where)))


def _match_patterns(patterns: Sequence[str], names: Sequence[str], table: str) -> set[str]:
    """Finds the names that match any of the patterns, such as `note_*`.

    Raises:
        DataError: a pattern matches none.
    """
    matched = set()
    for pattern in patterns:
        pattern = normal_name(pattern)
        found = {name for name in names if name == pattern or fnmatchcase(name, pattern)}
        if not found:
            where = f" in {table} (data.exclude)"
            raise DataError(one_line(unknown("column", pattern, names, where)))
        matched |= found
    return matched


def _refuse_two_uses(
    values: Sequence[str], others: set[str | None], excluded: set[str], given: Sequence[str]
) -> None:
    """Refuses columns that `data.columns` names together with another option."""
    for name in values:
        if name in given:
            raise ConfigError(
                f"data.columns names {name!r}, which data.given names too; allowed: one use of a "
                "column"
            )
        if name in others:
            raise ConfigError(
                f"data.columns names {name!r}, which data.ids or data.labels names too; allowed: "
                "one use of a column"
            )
        if name in excluded:
            raise ConfigError(f"data.columns names {name!r}, which data.exclude leaves out")


def listed(names: Iterable[str]) -> str:
    """Shows names, not too many of them."""
    return one_line(", ".join(map(repr, names)) or "none", 240)


def normal_names(names: Sequence[str], table: str) -> dict[str, str]:
    """Maps the names of columns to their composed form.

    Raises:
        DataError: two of them then are the same.
    """
    normal = {name: normal_name(name) for name in names}
    name_twice = repeated(list(normal.values()))
    if name_twice is not None:
        raise DataError(
            f"{table} has the column {one_line(repr(name_twice), 120)} more than once; allowed: "
            "each name once"
        )
    return normal
