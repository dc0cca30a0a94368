"""Limits that each of many users has: frames of what may, and may not, be recommended to whom."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.interactions.ids import positions
from ..data.memory import to_frame
from ..errors import ConfigError
from .histories import HistoryReader
from .wishes import Wishes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, eq=False)
class OwnLimits:
    """Wishes of which those that each user has alone stand apart.

    Attributes:
        wishes: those of all users.
        allow: (n, I) the items that each user may get; None: all.
        deny: (n, I) the items that each user may not get; None: none.
        unknown: the items of the frames that the run does not know.
    """

    wishes: Wishes
    allow: "csr_matrix | None" = None
    deny: "csr_matrix | None" = None
    unknown: tuple[Any, ...] = ()

    def denied_beside(self, histories: "csr_matrix | None") -> "csr_matrix | None":
        """Returns what each user is not recommended, (n, I); None: all may be recommended.

        Args:
            histories: (n, I) what each user has and shall not get again; None: nothing.
        """
        if histories is None:
            return self.deny
        if self.deny is None:
            return histories
        return histories + self.deny


def is_frame(value: Any) -> bool:
    """Says whether allowed or denied items are a frame, of what each user may or may not get."""
    return hasattr(value, "columns") and to_frame(value) is not None


def refuse_frames(wishes: Wishes) -> None:
    """Refuses limits of many users where one is asked for.

    Raises:
        ConfigError: `allow` or `deny` is a frame.
    """
    for option in ("allow", "deny"):
        if is_frame(wishes.get(option)):
            raise ConfigError(
                f"{option} of one user is a list of items; a frame of user and item goes with "
                "recommend_many"
            )


def own_limits(reader: HistoryReader, wishes: Wishes, users: np.ndarray) -> OwnLimits:
    """Reads the limits that each user has.

    Args:
        reader: reads frames of users and items.
        wishes: of which `allow` and `deny` may be frames.
        users: (n,) the ids of the users who are asked for. What the frames have of others is left
            out. A user without a row in `allow` may get nothing.

    Raises:
        DataError: a frame has no columns of users and items.
    """
    shared = wishes.copy()
    found: dict[str, csr_matrix] = {}
    unknown: tuple[Any, ...] = ()
    for option in ("allow", "deny"):
        asked = wishes.get(option)
        if not is_frame(asked):
            continue
        del shared[option]  # type: ignore[misc]
        matrix, unknown_items = _read_pairs(reader, to_frame(asked), users, option)
        found[option] = matrix
        unknown += unknown_items
    return OwnLimits(shared, found.get("allow"), found.get("deny"), unknown)


def _read_pairs(
    reader: HistoryReader, frame: Any, users: np.ndarray, option: str
) -> "tuple[csr_matrix, tuple[Any, ...]]":
    """Reads a frame of users and items as a matrix of the users who are asked for, (n, I).

    Returns:
        The matrix, and the items that the run does not know.
    """
    from scipy.sparse import vstack

    read = reader.read_pairs(frame, f"{option} as a frame")
    at = positions(np.asarray(users), read.users)
    nothing = read.matrix[:1] * 0
    rows = vstack([read.matrix, nothing], format="csr")  # the last row is at -1
    rows.eliminate_zeros()
    return rows[at], read.unknown
