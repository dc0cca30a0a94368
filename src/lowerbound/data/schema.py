"""What a model must know of its data: a record of plain values, stored in the run folder."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError, one_line, unknown

KINDS = {"image": 3, "table": 1, "vector": 1, "interactions": 1}
"""The kinds of sources, and the number of axes of an example of each."""


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclasses.dataclass(frozen=True)
class Schema:
    """What a model must know of its data.

    Attributes:
        shape: the event: (C, H, W) for images, (D,) for tables and vectors.
        kind: "image", "table" or "vector".
        levels: values lie on {0, 1/(levels-1), ..., 1}: 256 for uint8 images, 2 for binary data;
        None for real numbers.
        low: least value of the training split as the model sees it.
        high: greatest value of the training split as the model sees it.
        columns: names of the columns of a table, else empty.
        mean: value = (raw - mean) / scale; empty where nothing is standardised.
        scale: see `mean`.
    """

    shape: tuple[int, ...]
    kind: str
    levels: int | None
    low: float
    high: float
    columns: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; `from_json` gives the same schema back."""
        fields = dataclasses.asdict(self)
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Schema":
        """The schema that `to_json` wrote. DataError if a key is missing or not known, or a value
        cannot be.
        """
        known = {f.name: f.default is dataclasses.MISSING for f in dataclasses.fields(cls)}
        for key in fields:
            if key not in known:
                raise DataError(one_line(unknown("key", key, known, " in a data schema")))
        missing = [key for key, needed in known.items() if needed and key not in fields]
        if missing:
            raise DataError(
                f"a data schema lacks {', '.join(missing)}; got: {', '.join(fields) or 'nothing'}"
            )
        return _sound(cls(**{key: _tuples(value) for key, value in fields.items()}))

    @property
    def unit(self) -> str:
        """What the rows of these data are: "users" or "examples"."""
        if self.kind == "interactions":
            return "users"
        return "examples"

    def refuse_interactions(self, message: str) -> None:
        """Raises ConfigError with this message if the data are interactions."""
        if self.kind == "interactions":
            raise ConfigError(message)

    def refuse_dense(self, message: str) -> None:
        """Raises ConfigError with this message if the data are images, tables or vectors."""
        if self.kind != "interactions":
            raise ConfigError(message)

    def scaled(self, raw: np.ndarray, levels: int | None) -> np.ndarray:
        """Values in the source's units, (..., *shape), as the model sees them; `levels` are the
        source's own.
        """
        if self.mean:
            return (raw - np.asarray(self.mean)) / np.asarray(self.scale)
        return raw if levels is None else np.divide(raw, np.float32(levels - 1), dtype=np.float32)

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Values as the model sees them, (..., *shape), in the source's units.

        Standardised values become float64 `value * scale + mean`; values on levels become uint8 0
        .. levels - 1, rounded and clipped; others come back as they are.
        """
        values = np.asarray(values)
        if self.mean:
            return values.astype(np.float64) * np.asarray(self.scale) + np.asarray(self.mean)
        if self.levels is None:
            return values
        return np.clip(np.rint(values * (self.levels - 1)), 0, self.levels - 1).astype(np.uint8)


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _finite(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < float(np.finfo(np.float64).max)
    )


def _all(values: object, fits: Callable[[Any], bool]) -> bool:
    return isinstance(values, tuple) and all(map(fits, values))


def _sound(schema: Schema) -> Schema:
    """The schema itself. DataError that names the first field whose value no source has."""
    width, axes = (
        schema.shape[:1] if isinstance(schema.shape, tuple) else None,
        KINDS.get(str(schema.kind)),
    )
    numbered = [() if values == () else width for values in (schema.columns, schema.mean)]
    fits = {
        "kind": isinstance(schema.kind, str) and axes is not None,
        "shape": _all(schema.shape, lambda n: _whole(n, 1, 2**40)) and len(schema.shape) == axes,
        "levels": schema.levels is None or _whole(schema.levels, 2, 2**16),
        "low": _finite(schema.low),
        "high": _finite(schema.high),
        "columns": _all(schema.columns, lambda name: isinstance(name, str))
        and numbered[0] in ((), (len(schema.columns),))
        and len(set(schema.columns)) == len(schema.columns),
        "mean": _all(schema.mean, _finite) and numbered[1] in ((), (len(schema.mean),)),
        "scale": _all(schema.scale, lambda s: _finite(s) and s > 0)
        and len(schema.scale) == len(schema.mean),
    }
    for name, fit in fits.items():
        if not fit:
            raise DataError(
                f"a data schema cannot have {name}={one_line(repr(getattr(schema, name)), 100)}"
            )
    return schema
