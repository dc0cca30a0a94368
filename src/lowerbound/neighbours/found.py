"""The neighbours that were found of an example or an item."""

import base64
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Examples, Split
from ..errors import ConfigError
from ..run.returned import rows_of
from ..system.image_grid import to_png, to_unit_interval

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, eq=False)
class Similar:
    """The nearest neighbours of one example or item, the nearest first.

    Attributes:
        to: what they are the neighbours of, in words.
        names: the columns that name them, (k,) each: `row`, and `file` or `label` where the source
            has them; `user`; or `item` and `title`.
        values: cosines or distances, (k,).
        metric: see `metrics.Metric`.
        source: what was searched.
        searched: how many examples or items were searched.
        query: the example itself; None of an item.
        found: the neighbours; None of items.
        caveat: what is to be known of the run, or None.
    """

    to: str
    names: dict[str, Any]
    values: np.ndarray
    metric: str
    source: str
    searched: int
    query: Split | None = None
    found: Split | None = None
    caveat: str | None = None

    def __len__(self) -> int:
        """Returns the number of neighbours."""
        return len(self.values)

    def __repr__(self) -> str:
        """Returns what they are like, and their rows."""
        return f"{self.headline}\n{self.to_frame()}"

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the images, where they are some, and the rows."""
        parts = [f"<p>{escape(self.headline)}</p>"]
        if self.are_images:
            picture = base64.b64encode(self.sheet()).decode()
            parts.append(f'<img src="data:image/png;base64,{picture}" alt="neighbours">')
        parts.append(self.to_frame()._repr_html_())
        return "".join(parts)

    @property
    def headline(self) -> str:
        """Says in one line what was searched, for what, and by what measure."""
        return (
            f"the {len(self):,} nearest of {self.searched:,} in {self.source} to {self.to}, by "
            f"{self.measure}"
        )

    @property
    def measure(self) -> str:
        """The name of the column of values: "cosine", or "distance" (in a metric)."""
        if self.metric == "cosine":
            return "cosine"
        return f"{self.metric} distance"

    @property
    def are_images(self) -> bool:
        """Whether the neighbours are images."""
        return self.found is not None and self.found.schema.kind == "image"

    def to_frame(self) -> "polars.DataFrame":
        """Returns a frame with one row for each neighbour: `rank` (from 1), its names, its cosine
        or its distance, and the cells of a row of a table.
        """
        import polars

        column = "distance"
        if self.metric == "cosine":
            column = "cosine"
        ranks = np.arange(1, len(self) + 1)
        frame = polars.DataFrame({"rank": ranks, **self.names, column: self.values})
        cells = self._cells()
        if cells is None:
            return frame
        return frame.hstack([cells[name] for name in cells.columns if name not in frame.columns])

    def _cells(self) -> "polars.DataFrame | None":
        """Returns the neighbours as rows of a table in the words of the data; None for others."""
        import polars

        if not isinstance(self.found, Examples) or self.found.schema.kind == "image":
            return None
        values = self.found.values_at(slice(None))
        schema = self.found.schema
        if schema.table:
            return rows_of(values, schema, self.found.conditions)
        if not schema.columns:
            return None
        return polars.DataFrame(dict(zip(schema.columns, values.T, strict=True)))

    def images(self) -> np.ndarray:
        """Returns the image itself and then its neighbours, (1 + k, C, H, W) in [0, 1].

        Raises:
            ConfigError: these are no images.
        """
        if not self.are_images:
            raise ConfigError("a sheet is for images; these neighbours are rows: take to_frame()")
        parts = []
        for split in (self.query, self.found):
            assert isinstance(split, Examples)
            schema = split.schema
            pixels = replace(split, draw="none").tensor(slice(None)).numpy()
            parts.append(to_unit_interval(pixels, schema.low, schema.high))
        return np.concatenate(parts)

    def sheet(self) -> bytes:
        """Returns a PNG of the image itself, at the left of the first row, and its neighbours."""
        return to_png(self.images())

    def describe(self) -> dict[str, Any]:
        """Returns what the command line prints as JSON."""
        return {
            "to": self.to,
            "source": self.source,
            "searched": self.searched,
            "metric": self.metric,
            "nearest": self.to_frame().to_dicts(),
            "caveat": self.caveat,
        }
