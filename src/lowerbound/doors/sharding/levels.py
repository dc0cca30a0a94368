"""The levels of a hierarchy whose codes are written, and the names of their columns."""

from collections.abc import Sequence

from ...errors import ConfigError
from ...report.text import column_names
from ...run import Run


def code_names(run: Run, levels: Sequence[int]) -> list[str]:
    """Names the columns of codes: `z1_1 ... z1_d` for the level next to the data, `z2_1 ...` above.

    The names stand in the order of the levels, which are numbered from 0.
    """
    names = []
    for level in levels:
        names += column_names((), run.model.latents.sizes[level], f"z{level + 1}_")
    return names


def written_levels(run: Run, level: int | None) -> list[int]:
    """Returns the levels whose codes are written, from 0: all, or the one that is asked for.

    Raises:
        ConfigError: there is no such level.
    """
    count = len(run.model.latents.sizes)
    if level is None:
        return list(range(count))
    if not 1 <= level <= count:
        raise ConfigError(
            f"--level {level}: the run has the levels 1 (next to the data) to {count} (top)"
        )
    return [level - 1]
