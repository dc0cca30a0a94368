"""Data in memory: arrays, tensors, frames and matrices, read as files of the same content are.

Libraries that may be absent (pandas, pyarrow) are not imported: their objects are known by what
they offer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError, LowerboundError, one_line
from ..system.machine import refuse_beyond_memory
from .files.archives import Member, read_members
from .files.arrays import from_array
from .files.pictures import pixels_of
from .files.sources import Raw, Wanted, reason
from .files.tables import array_names, table_of_frame
from .interactions.forms import guarded
from .interactions.history import Items
from .interactions.ids import series
from .interactions.logs import RawLog
from .interactions.matrices import matrix_frame

if TYPE_CHECKING:
    from polars import DataFrame

MEMORY = "<memory>"
"""The source of a recipe whose data were given in memory."""

ALLOWED = (
    "a path or the name of a set, a NumPy array, a torch tensor, a Polars or pandas frame, a SciPy "
    "sparse matrix, a PIL image, a list of arrays or PIL images of one shape, (x, y), or a dict of "
    "arrays or of columns"
)
"""What can be given as data, for messages."""


class ArrowStream(Protocol):
    """A frame of any library that speaks Arrow, such as Polars, pyarrow and DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


class PandasFrame(Protocol):
    """A pandas frame."""

    @property
    def columns(self) -> Any: ...

    @property
    def iloc(self) -> Any: ...


class SparseMatrix(Protocol):
    """A SciPy matrix or array of any sparse format."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def tocsr(self) -> Any: ...


InMemory = (
    np.ndarray
    | Tensor
    | ArrowStream
    | PandasFrame
    | SparseMatrix
    | Sequence[Any]
    | Mapping[str, Any]
)
"""Data in memory."""

DataSource = str | PathLike[str] | InMemory
"""The name of a set, the path of a file or folder, or data in memory."""


def is_in_memory(source: DataSource) -> TypeGuard[InMemory]:
    """Says whether a source is no name and no path."""
    return not isinstance(source, str | PathLike)


def source_text(source: DataSource) -> str:
    """Returns a source as recipes and messages have it: its name or path, or `MEMORY`."""
    if is_in_memory(source):
        return MEMORY
    return str(source)


def refuse_absent(source: str) -> None:
    """Refuses the source of a run whose data were in memory, where they are not given again.

    Raises:
        DataError: the source is that of such a run.
    """
    if source == MEMORY:
        raise DataError(
            "the data of this run were given in memory, and no file has them; give the same data "
            "again, or other data (data= or source= in Python, --data SOURCE in a shell)"
        )


def read_examples(source: InMemory, wanted: Wanted) -> Raw:
    """Makes the `Raw` of images, vectors or a table in memory.

    Arrays are (N, D) vectors, or images (N, H, W), (N, H, W, C) or (N, C, H, W); a frame is a
    table, whose index is no column; named arrays are read as those of a `.npz` file. Where a table
    may have columns of several kinds, masked values are gaps, and an array of texts is a table.

    Args:
        source: the data.
        wanted: what is asked of the reader.

    Raises:
        DataError: it is nothing that can be read, or holds no such data.
        ShapeError: an array holds neither vectors nor images.
    """
    name = name_of(source)
    if wanted.is_mixed and np.ma.isMaskedArray(source):
        source = _fill_masked(source)
    found = to_plain(source)
    if isinstance(found, np.ndarray):
        if wanted.is_mixed and found.ndim == 2 and found.dtype.kind in "OUS":
            return table_of_frame(frame_of_objects(found), wanted, name)
        notes = _tell_of_pictures(source)
        return from_array(found, name, notes=notes, may_have_gaps=wanted.is_mixed)
    if isinstance(found, dict):
        members = {}
        for key, values in found.items():
            members[key] = Member(values.shape, values.dtype, values.view)
        return read_members(members, name, wanted.is_mixed)
    if is_sparse_matrix(found):
        raise DataError(
            f"{name} is sparse: users x items, for a recipe of interactions such as multvae; "
            ".toarray() makes vectors of its rows"
        )
    return table_of_frame(found, wanted, name)


def _fill_masked(values: Any) -> np.ndarray:
    """Makes gaps of the masked values of an array of numbers."""
    return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))


def frame_of_objects(values: np.ndarray) -> "DataFrame":
    """Makes a frame of an array (N, D) of texts, numbers and gaps.

    Raises:
        DataError: it holds other objects.
    """
    import polars

    columns = {}
    for position, name in enumerate(array_names(values.shape[1])):
        columns[name] = _series_of_objects(values[:, position].tolist())
    return polars.DataFrame(columns)


def _series_of_objects(entries: list[Any]) -> Any:
    """Makes a column of objects: of texts where texts and numbers stand together.

    Raises:
        DataError: other objects stand together.
    """
    import polars
    from polars.exceptions import PolarsError

    for row, entry in enumerate(entries):
        if isinstance(entry, float) and np.isnan(entry):
            entries[row] = None
    try:
        return polars.Series(entries, strict=True)
    except (PolarsError, TypeError):
        return polars.Series([_as_text(entry) for entry in entries])


def _as_text(entry: Any) -> str | None:
    """Writes a value of a column in which texts and numbers stand together."""
    if entry is None:
        return None
    if not isinstance(entry, str | int | float | bool | np.generic):
        raise DataError(
            f"the array holds a {type(entry).__name__}; allowed in a table: texts, numbers, yes or "
            "no, None"
        )
    return str(entry)


def read_log(source: InMemory, items: Items | None = None) -> RawLog:
    """Makes the `RawLog` of interactions in memory.

    A frame has one interaction a row. A matrix, sparse or not, has users as rows, items as columns
    and weights as values; an item is its column's number, or the item of a catalogue where the
    matrix has one column for each of them. A pair is such data and a frame with a row for each
    user; those of a matrix are numbered from 0.

    Args:
        source: the data.
        items: the catalogue of a run.

    Raises:
        DataError: it is nothing that can be read, or holds no interactions.
    """
    import polars

    if isinstance(source, tuple) and len(source) == 2:
        log, users = source
        return replace(read_log(log, items), users=_read_users(users))
    name = name_of(source)
    if isinstance(source, polars.LazyFrame):
        return RawLog(name, {0: source})
    found = to_plain(source)
    if isinstance(found, dict):
        raise DataError(
            f"{name} are no interactions; allowed: a frame with the columns user and item, a "
            "matrix of users x items"
        )
    if isinstance(found, np.ndarray):
        _refuse_pairs(found, name)
        found = _to_sparse(found, name)
    if not is_sparse_matrix(found):
        return RawLog(name, {0: found.lazy()})  # type: ignore[union-attr]
    frame = guarded(name, lambda: matrix_frame(found))
    if items is not None and found.shape[1] == len(items):
        frame = frame.with_columns(item=series(items.ids[frame["item"].to_numpy()]))
    return RawLog(name, {0: frame.lazy()})


def _read_users(source: Any) -> "DataFrame":
    """Reads the frame of users of a pair (log, users).

    Raises:
        DataError: it is none.
    """
    frame = guarded("the frame of users", lambda: to_frame(source), "a frame")
    if frame is None:
        raise DataError(
            f"(log, users) has users of type {type(source).__name__}; allowed: a frame with a row "
            "for each user"
        )
    found: DataFrame = frame
    return found


def is_matrix(source: InMemory) -> bool:
    """Says whether data in memory are a matrix, sparse or not, and no frame."""
    is_dense = isinstance(source, np.ndarray | Tensor) and source.ndim == 2
    return is_dense or is_sparse_matrix(source)


def to_sparse(source: InMemory) -> Any:
    """Makes a SciPy matrix of a matrix of users x items.

    Raises:
        DataError: it holds no numbers.
    """
    found = to_plain(source)
    if isinstance(found, np.ndarray):
        return _to_sparse(found, name_of(source))
    return found


def _to_sparse(values: np.ndarray, name: str) -> SparseMatrix:
    """Makes a sparse matrix of a dense one of users x items.

    Raises:
        DataError: it is none.
    """
    from scipy.sparse import csr_matrix

    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise DataError(
            f"{name} of shape {values.shape} and type {one_line(values.dtype, 60)} holds no "
            "interactions; allowed: a matrix of users x items, a frame with the columns user and "
            "item"
        )
    matrix: SparseMatrix = csr_matrix(values)
    return matrix


def _refuse_pairs(values: np.ndarray, name: str) -> None:
    """Refuses a dense matrix that may be a list of users and items as well.

    Raises:
        DataError: it has two to four columns.
    """
    if values.ndim == 2 and values.shape[1] in (2, 3, 4):
        raise DataError(
            f"{name} of shape {values.shape} may hold users x items, or a user and an item a row: "
            "give a frame with the columns user and item, or a scipy.sparse.csr_matrix of users x "
            "items"
        )


# From what was given to arrays, named arrays, frames and sparse matrices --------------------------


def to_plain(source: Any) -> "np.ndarray | dict[str, np.ndarray] | DataFrame | Any":
    """Converts data in memory to a NumPy array, named arrays, a Polars frame or a SciPy matrix.

    Raises:
        DataError: it is nothing that can be read.
    """
    from polars.exceptions import PanicException

    try:
        found = _convert(source)
    except LowerboundError:
        raise
    # The objects are of other libraries, which raise many kinds of errors.
    except (Exception, PanicException) as error:
        raise DataError(f"{name_of(source)} cannot be read: {reason(error)}") from None
    if found is None:
        raise DataError(f"data of type {type(source).__name__} are not read; allowed: {ALLOWED}")
    return found


def _convert(source: Any) -> Any:
    """Converts as `to_plain` does; None for what nobody knows."""
    if isinstance(source, Tensor):
        return _from_tensor(source)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if is_sparse_matrix(source):
        return source
    if _is_picture(source):
        return _stack([source])
    if isinstance(source, torch.utils.data.Dataset):
        return _from_dataset(source)
    if isinstance(source, tuple):
        return _from_pairs(source)
    if isinstance(source, Mapping):
        return _from_mapping(source)
    if isinstance(source, list):
        return _stack(source)
    return _from_frame_or_array(source)


def _from_frame_or_array(source: Any) -> Any:
    """Converts frames, and the arrays of other libraries; None for what nobody knows."""
    frame = to_frame(source)
    if frame is not None:
        return frame
    if hasattr(source, "__array__"):
        return np.asarray(source)
    return None


def to_frame(source: Any) -> "DataFrame | None":
    """Converts a frame of Polars, pandas, or a library that speaks Arrow; None for others."""
    import polars

    if isinstance(source, polars.LazyFrame):
        return source.collect()
    if isinstance(source, polars.DataFrame):
        return source
    if isinstance(source, polars.Series):
        return source.to_frame()
    if hasattr(source, "iloc") and hasattr(source, "to_frame"):
        source = source.to_frame()  # a column of pandas
    if _is_frame(source):
        return _from_pandas(source)
    if hasattr(source, "__arrow_c_stream__"):
        return polars.DataFrame(source)
    return None


def _is_frame(source: Any) -> bool:
    """Says whether this is a frame of Polars or pandas."""
    import polars

    if isinstance(source, polars.DataFrame | polars.LazyFrame):
        return True
    return hasattr(source, "iloc") and hasattr(source, "columns")


def _from_pandas(frame: Any) -> "DataFrame":
    """Converts a pandas frame column by column, which needs no pyarrow. Its index is left out.

    Raises:
        DataError: a name stands for several columns.
    """
    import polars

    columns: dict[str, Any] = {}
    for position, label in enumerate(frame.columns):
        name = str(label)
        if isinstance(label, tuple):
            name = "_".join(map(str, label))
        if name in columns:
            raise DataError(
                f"the frame has the column {one_line(repr(name), 120)} more than once; allowed: "
                "each name once"
            )
        columns[name] = _from_pandas_column(frame.iloc[:, position])
    return polars.DataFrame(columns)


def _from_pandas_column(column: Any) -> Any:
    """Converts a column of pandas; NaN, NaT and NA are missing there.

    Categories that have an order become an Enum, which has one too.
    """
    import polars

    kind = getattr(column, "dtype", None)
    categories = getattr(kind, "categories", None)
    if categories is not None and getattr(kind, "ordered", False):
        names = list(map(str, categories))
        codes = column.cat.codes.to_numpy()
        words = [names[code] if code >= 0 else None for code in codes]
        return polars.Series(words, dtype=polars.Enum(names))
    values = column.to_numpy()
    is_whole = getattr(kind, "kind", "") in ("i", "u")
    if is_whole and values.dtype.kind == "f":
        # Of whole numbers with gaps pandas makes others, which lack some of those from 2^53 on.
        whole = column.fillna(0).to_numpy(column.dtype.numpy_dtype)
        return polars.Series(whole).set(polars.Series(column.isna().to_numpy()), None)
    if values.dtype.kind == "f":
        return polars.Series(values).fill_nan(None)
    if values.dtype.kind in "mM" and np.datetime_data(values.dtype)[0] == "s":
        # Polars has no moments of whole seconds.
        return values.astype(f"{values.dtype.kind}8[ms]")
    if values.dtype.kind in "biumM":
        return values
    entries = values.tolist()
    for position in np.flatnonzero(column.isna().to_numpy()):
        entries[position] = None
    return polars.Series(entries)


def _from_tensor(tensor: Tensor) -> Any:
    """Converts a tensor on any device, in any type and layout."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    if tensor.layout == torch.strided:
        return tensor.numpy()
    from scipy.sparse import coo_matrix

    entries = tensor.to_sparse_coo().coalesce()
    rows, columns = entries.indices().numpy()
    return coo_matrix((entries.values().numpy(), (rows, columns)), shape=tuple(tensor.shape))


def _from_array(values: np.ndarray) -> Any:
    """Converts an array of any kind: one with named fields is a frame.

    Raises:
        DataError: values are masked.
    """
    import polars

    if np.ma.is_masked(values):
        raise DataError("the array has masked values, which are missing; fill or drop them")
    values = np.asarray(values)
    if values.dtype == object and values.ndim == 1:
        return _from_objects(values)
    if values.dtype.names is None:
        return values
    return polars.DataFrame({name: values[name] for name in values.dtype.names})


def _from_objects(values: np.ndarray) -> np.ndarray:
    """Stacks an array whose entries are arrays or pictures; one of other objects stays as it is."""
    entries = values.tolist()
    if not all(_is_picture(entry) or np.ndim(entry) > 1 for entry in entries):
        return values
    stacked: np.ndarray = _stack(entries)
    return stacked


def _from_mapping(mapping: Mapping[Any, Any]) -> Any:
    """Converts a dict of arrays of images or vectors, or of columns of a table.

    Raises:
        DataError: the names are no texts, or the values are frames.
    """
    import polars

    if not all(isinstance(key, str) for key in mapping):
        raise DataError("the names of a dict of arrays or columns must be texts")
    arrays = {}
    columns: dict[str, Any] = {}
    for key, values in mapping.items():
        if isinstance(values, polars.Series):
            columns[key] = values
            arrays[key] = np.empty(0)
            continue
        if _is_frame(values):
            raise DataError("a dict of frames is not read; give one frame")
        arrays[key] = _to_array(values)
        columns[key] = arrays[key]
        if arrays[key].dtype == object:
            columns[key] = _series_of_objects(arrays[key].tolist())
    if any(array.ndim > 1 for array in arrays.values()):
        return arrays
    return polars.DataFrame(columns)


def _from_pairs(pairs: tuple[Any, ...]) -> Any:
    """Converts (x, y), and ((x, y), (x, y)) of a training and a test part, as Keras loads them.

    Raises:
        DataError: it is another tuple.
    """
    is_nested = len(pairs) == 2 and all(isinstance(pair, tuple) for pair in pairs)
    if is_nested and len(pairs[0]) == len(pairs[1]) == 2:
        (x_train, y_train), (x_test, y_test) = pairs
        named = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
        return {key: _to_array(values) for key, values in named.items()}
    if len(pairs) == 2:
        x, y = map(_to_array, pairs)
        if x.ndim > 1 and y.ndim < x.ndim:
            return {"x": x, "y": y}
    raise DataError("a tuple is read as (x, y) or ((x_train, y_train), (x_test, y_test)) alone")


def _to_array(values: Any) -> np.ndarray:
    """Converts a member of a dict, a list or a tuple to an array."""
    if isinstance(values, Tensor):
        return np.asarray(_from_tensor(values))
    if _is_picture(values):
        return _pixels_of([values])[0]
    if isinstance(values, list) and any(map(_is_picture, values)):
        return np.asarray(_stack(values))
    return np.asarray(values)


def _is_picture(source: Any) -> bool:
    """Says whether this is an image of Pillow."""
    return hasattr(source, "getbands") and hasattr(source, "convert")


def _stack(parts: list[Any]) -> Any:
    """Stacks arrays or pictures of one shape; a list of dicts is a frame.

    Raises:
        DataError: their shapes differ, or they are paths.
    """
    import polars

    if parts and isinstance(parts[0], Mapping):
        return polars.DataFrame(parts, infer_schema_length=None)
    if parts and all(isinstance(part, str | PathLike) for part in parts):
        raise DataError("a list of texts is not read; of files, give the folder that holds them")
    if parts and all(map(_is_picture, parts)):
        arrays = _pixels_of(parts)
    else:
        arrays = [_to_array(part) for part in parts]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise DataError(
            f"a list of arrays needs one shape, got {one_line(', '.join(map(str, shapes)), 160)}; "
            "resize them, or give a folder of files and data.size=HEIGHTxWIDTH"
        )
    if not arrays:
        return np.empty((0, 0))
    return np.stack(arrays)


def _pixels_of(pictures: Sequence[Any]) -> list[np.ndarray]:
    """Returns the pixels of images of Pillow, (C, H, W) each, as a folder of them has them.

    Raises:
        DataError: they cannot be read.
    """
    try:
        return pixels_of(pictures)
    except DataError as error:
        raise DataError(f"a picture cannot be read: {error}") from None


def _tell_of_pictures(source: Any) -> tuple[str, ...]:
    """Says how many images of Pillow in a list have transparent pixels."""
    if not isinstance(source, list) or not all(map(_is_picture, source)):
        return ()
    count = sum(picture.has_transparency_data for picture in source)
    if not count:
        return ()
    total = len(source)
    return (f"what is transparent in {count:,} of {total:,} images is laid over white",)


def _from_dataset(dataset: Any) -> Any:
    """Collects the examples of a torch data set that has a length, and their labels.

    Raises:
        DataError: it has no length, no examples, or examples that are no arrays of one shape.
        ConfigError: its examples do not fit into memory.
    """
    try:
        count = len(dataset)
    except TypeError:
        raise DataError(
            f"a {type(dataset).__name__} has no length; collect its examples into an array"
        ) from None
    if not count:
        raise DataError("the data set holds no examples")
    first, _ = _example_and_label(dataset[0])
    refuse_beyond_memory(first.size * count, f"{count:,} examples of the data set")
    values = np.empty((count, *first.shape), first.dtype)
    labels = []
    for position in range(count):
        values[position], label = _example_and_label(dataset[position])
        labels.append(label)
    if any(label is None for label in labels):
        return values
    return {"x": values, "y": np.asarray(labels)}


def _example_and_label(entry: Any) -> tuple[np.ndarray, Any]:
    """Returns an example of a data set and its label; None where it is no pair or the label no
    single value.
    """
    if isinstance(entry, Mapping):
        raise DataError(
            "the examples of the data set are dicts; allowed: an array, or a tuple of an array and "
            "a label"
        )
    if not isinstance(entry, tuple | list):
        return _to_array(entry), None
    label = None
    if len(entry) > 1 and np.ndim(entry[1]) == 0:
        label = entry[1].item() if isinstance(entry[1], Tensor) else entry[1]
    return _to_array(entry[0]), label


def is_sparse_matrix(source: Any) -> bool:
    """Says whether this is a SciPy matrix of any sparse format."""
    return hasattr(source, "tocsr") and hasattr(source, "shape")


def name_of(source: Any) -> str:
    """Names data in memory for messages."""
    if isinstance(source, Tensor):
        return "the tensor"
    if isinstance(source, np.ndarray | list):
        return "the array"
    if isinstance(source, Mapping | tuple):
        return "the arrays"
    if is_sparse_matrix(source):
        return "the matrix"
    if _is_frame(source):
        return "the frame"
    return f"the {type(source).__name__}"
