"""The items of a catalogue as examples: each is a user who has had this item alone."""

from typing import Any

import numpy as np

from ..data import History
from ..errors import one_line
from ..recommend import Catalogue
from ..run import Run


def histories_of_items(run: Run) -> History:
    """Returns a history for each item of a run on interactions that has this item alone, (I, I).

    What the encoder makes of it is the code of the item.
    """
    from scipy.sparse import identity

    assert run.items is not None
    count = len(run.items)
    matrix = identity(count, dtype=np.float32, format="csr")
    return History(
        run.schema,
        matrix,
        None,
        users=np.asarray(run.items.ids),
        rows=np.arange(count),
        levels=run.schema.levels,
    )


def names_of_items(catalogue: Catalogue, positions: np.ndarray) -> dict[str, Any]:
    """Returns the columns `item` and, where there are titles, `title` of some items."""
    names: dict[str, Any] = {"item": catalogue.ids[positions].tolist()}
    if catalogue.titles is not None:
        names["title"] = [catalogue.title(int(position)) for position in positions]
    return names


def describe_item(catalogue: Catalogue, position: int) -> str:
    """Names an item by its id and its title."""
    item = catalogue.ids[position]
    title = catalogue.title(position)
    if title is None:
        return f"item {item}"
    return f"item {item} ({one_line(title, 80)})"
