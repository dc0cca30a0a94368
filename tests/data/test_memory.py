"""Data in memory: what is given in any form is the very data that a file of the same content is."""

from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch
from PIL import Image
from scipy.sparse import coo_array, csc_matrix, csr_matrix, lil_matrix

from lowerbound.data import Data, Dataset, Interactions
from lowerbound.data.interactions.dataset import from_frame
from lowerbound.data.interactions.matrices import check_matrix
from lowerbound.data.memory import MEMORY, to_frame
from lowerbound.errors import ConfigError, DataError, LowerboundError, ShapeError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 5, 7), dtype=np.uint8)
REAL = RNG.normal(size=(30, 3))
LABELS = np.arange(20) % 3
USERS, ITEMS = np.nonzero(RNG.random((40, 12)) < 0.4)
MATRIX = np.zeros((40, 12))
MATRIX[USERS, ITEMS] = 1


class FakeColumn:
    """A column of pandas, with no more of it than is needed."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def to_numpy(self) -> np.ndarray:
        return self.values

    def isna(self) -> "FakeColumn":
        return FakeColumn([value is None or value != value for value in self.values.tolist()])


class FakeFrame:
    """A frame of pandas with an index, with no more of it than is needed."""

    def __init__(self, columns: list[tuple[Any, Any]]) -> None:
        self.columns = [name for name, _ in columns]
        self.values = [FakeColumn(values) for _, values in columns]
        self.index = range(100, 100 + len(self.values[0].values))

    @property
    def iloc(self) -> "FakeFrame":
        return self

    def __getitem__(self, place: tuple[slice, int]) -> FakeColumn:
        assert place[0] == slice(None)
        return self.values[place[1]]


class FakeArrow:
    """A frame of a library that speaks Arrow."""

    def __init__(self, frame: polars.DataFrame) -> None:
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.frame.__arrow_c_stream__(requested_schema)


class FakeJax:
    """An array of another library."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return GREY


class Pairs(torch.utils.data.Dataset):
    """Images and their labels, one at a time."""

    def __len__(self) -> int:
        return len(GREY)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(GREY[index]), int(LABELS[index])


class Images(Pairs):
    """Images alone."""

    def __getitem__(self, index: int) -> Any:
        return GREY[index]


def opened(source: Any, **options: Any) -> Dataset:
    """A source in memory."""
    return Data(MEMORY, **options).open(source=source)


def refused(act: Any, *words: str, kind: type[LowerboundError] = DataError) -> None:
    """The act is refused with one line that has these words."""
    with pytest.raises(kind) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# Images and vectors


def boxed(entries: list[Any]) -> np.ndarray:
    """An array of objects."""
    array = np.empty(len(entries), object)
    array[:] = entries
    return array


IMAGES: dict[str, Any] = {
    "array": GREY,
    "read only": np.frombuffer(GREY.tobytes(), np.uint8).reshape(GREY.shape),
    "reversed twice": GREY[::-1].copy()[::-1],
    "tensor": torch.from_numpy(GREY),
    "tensor of floats": torch.from_numpy(GREY).float().requires_grad_(),
    "tensor of bfloat16": torch.from_numpy(GREY).bfloat16(),
    "channels last": GREY[..., None],
    "list of arrays": list(GREY),
    "list of tensors": list(torch.from_numpy(GREY)),
    "list of lists": GREY.tolist(),
    "another library": FakeJax(),
    "list of pictures": list(map(Image.fromarray, GREY)),
    "array of arrays": boxed(list(GREY)),
    "array of pictures": boxed(list(map(Image.fromarray, GREY))),
    "torch data set": Images(),
}


@pytest.mark.parametrize("form", IMAGES)
def test_images_in_memory_are_those_of_a_file(tmp_path: Path, form: str) -> None:
    np.save(tmp_path / "x.npy", GREY)
    file = Data(str(tmp_path / "x.npy")).open()
    data = opened(IMAGES[form])
    if form == "tensor of bfloat16":
        # It holds eight bits of a number, and so not all levels.
        assert data.schema.levels == 256
        return
    assert data.schema == file.schema
    assert data.whole.digest() == file.whole.digest()
    assert data.fingerprint() | {"source": ""} == file.fingerprint() | {"source": ""}
    assert data.fingerprint()["source"] == MEMORY
    assert data.name == "data in memory"
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(data.split(name).rows, file.split(name).rows)


LABELLED: dict[str, Any] = {
    "a pair": (GREY, LABELS),
    "a pair of tensors": (torch.from_numpy(GREY), torch.from_numpy(LABELS)),
    "a dict": {"images": GREY, "labels": LABELS},
    "a torch data set": Pairs(),
    "a TensorDataset": torch.utils.data.TensorDataset(
        torch.from_numpy(GREY), torch.from_numpy(LABELS)
    ),
}


PICTURES = [Image.fromarray(pixels) for pixels in RNG.integers(0, 256, (4, 9, 9, 3), np.uint8)]


def lying(picture: Image.Image) -> Image.Image:
    """The picture, with the word that it is to be turned."""
    picture = picture.copy()
    picture.getexif()[0x0112] = 6
    return picture


MODES: dict[str, list[Image.Image]] = {
    "palette": [picture.quantize(9) for picture in PICTURES],
    "cmyk": [picture.convert("CMYK") for picture in PICTURES],
    "black and white": [picture.convert("1") for picture in PICTURES],
    "grey with alpha": [picture.convert("LA") for picture in PICTURES],
    "clear": [picture.convert("RGBA").point(lambda level: level // 2) for picture in PICTURES],
    "grey and colour": [PICTURES[0].convert("L"), *PICTURES[1:]],
    "deep": [Image.fromarray(np.asarray(p.convert("L")).astype(np.uint16) * 257) for p in PICTURES],
    "turned": list(map(lying, PICTURES)),
}


@pytest.mark.parametrize("form", MODES)
def test_pictures_in_memory_have_the_pixels_of_their_files(tmp_path: Path, form: str) -> None:
    for number, picture in enumerate(MODES[form]):
        options: dict[str, Any] = {}
        if form == "turned":
            options["exif"] = picture.getexif()
        picture.save(tmp_path / f"{number}.tif", **options)
    from_files = Data(str(tmp_path)).open().whole
    found = opened(MODES[form]).whole
    assert found.levels == from_files.levels
    np.testing.assert_array_equal(found.values, from_files.values)


def test_transparent_pictures_in_memory_are_told_of() -> None:
    (note,) = opened([*PICTURES, *MODES["clear"]]).notes
    assert note == "what is transparent in 4 of 8 images is laid over white"


def test_one_picture_in_memory_is_one_example() -> None:
    assert opened(PICTURES[0], validation=0, test=0).whole.values.shape == (1, 3, 9, 9)


def test_a_split_is_shown_without_its_values() -> None:
    assert repr(opened(GREY).whole) == "Examples(20 x (1, 5, 7), kind='image', 256 levels)"


@pytest.mark.parametrize("form", LABELLED)
def test_labels_come_with_their_images(form: str) -> None:
    whole = opened(LABELLED[form]).split("all")
    np.testing.assert_array_equal(whole.batch(slice(None))[:, 0], (GREY / 255).astype("f4"))
    np.testing.assert_array_equal(whole.labels, LABELS)


def test_parts_come_as_keras_loads_them() -> None:
    pairs = ((GREY[:15], LABELS[:15]), (GREY[15:], LABELS[15:]))
    data = opened(pairs)
    np.testing.assert_array_equal(data.split("test").rows, np.arange(15, 20))
    np.testing.assert_array_equal(data.split("all").labels, LABELS)


def test_an_open_archive_is_a_source(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x_train=GREY[:15], x_test=GREY[15:])
    with np.load(tmp_path / "x.npz") as arrays:
        data = opened(arrays)
    assert len(data.split("test")) == 5


def test_an_array_in_memory_is_not_copied() -> None:
    values = opened(GREY).whole.values  # type: ignore[attr-defined]
    assert np.shares_memory(values, GREY)


# Tables


FRAME = polars.DataFrame({"a": REAL[:, 0], "b": range(30), "c": [True, False, True] * 10})
COLUMNS = [(name, FRAME[name].to_numpy()) for name in FRAME.columns]
FRAMES: dict[str, Any] = {
    "polars": FRAME,
    "lazy": FRAME.lazy(),
    "pandas": FakeFrame(COLUMNS),
    "arrow": FakeArrow(FRAME),
    "columns": dict(COLUMNS),
    "columns as lists": FRAME.to_dict(as_series=False),
    "columns as tensors": {name: torch.from_numpy(values.copy()) for name, values in COLUMNS},
    "columns as series": FRAME.to_dict(),
    "rows": FRAME.to_dicts(),
    "fields": np.rec.fromarrays([values for _, values in COLUMNS], names="a,b,c"),
}


@pytest.mark.parametrize("form", FRAMES)
def test_a_frame_is_a_table_and_its_index_no_column(tmp_path: Path, form: str) -> None:
    FRAME.write_parquet(tmp_path / "x.parquet")
    file = Data(str(tmp_path / "x.parquet")).open()
    data = opened(FRAMES[form])
    assert data.schema == file.schema
    assert data.schema.columns == ("a", "b", "c")
    assert data.whole.digest() == file.whole.digest()


def test_a_frame_of_pandas_is_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(dict(COLUMNS), index=[f"row {i}" for i in range(30)])
    assert opened(frame).whole.digest() == opened(FRAME).whole.digest()
    texts = frame.assign(d="x", e=pandas.Categorical(["u", "v"] * 15))
    refused(lambda: opened(texts), "the frame", "'d' ('x' in row 1)", "'e'")
    assert opened(texts, columns=["c", "a"]).schema.columns == ("c", "a")
    gaps = frame.assign(b=pandas.array([1, None] * 15, dtype="Int64"))
    refused(lambda: opened(gaps), "the frame", "'b' (15 of 30 rows, first in row 2)")


def test_names_of_pandas_become_texts() -> None:
    """Its columns may be numbers, or pairs of names."""
    frame = to_frame(FakeFrame([(0, [1, 2]), (("size", "mean"), [3, 4])]))
    assert frame is not None
    assert frame.columns == ["0", "size_mean"]
    twice = FakeFrame([("a", [1, 2]), ("a", [3, 4])])
    refused(lambda: opened(twice), "'a' more than once")


def test_what_is_missing_in_pandas_is_missing() -> None:
    frame = to_frame(
        FakeFrame([("x", [1.0, np.nan]), ("y", np.array(["u", None], object)), ("z", [1, 2])])
    )
    assert frame is not None
    assert frame.null_count().row(0) == (1, 1, 0)


def test_rows_of_an_array_are_rows_of_the_run_s_table() -> None:
    """They are standardised as the run's columns are; a frame serves a run on vectors."""
    table = opened(FRAME)
    values = np.column_stack([values for _, values in COLUMNS])
    rows = Data(MEMORY).open(table.schema, source=values)
    assert rows.schema == table.schema
    assert torch.equal(rows.split("all").batch(slice(None)), table.split("all").batch(slice(None)))
    vectors = opened(REAL, standardize=True)
    as_frame = polars.DataFrame(REAL, schema=["a", "b", "c"])
    again = Data(MEMORY).open(vectors.schema, source=as_frame)
    assert torch.equal(
        again.split("all").batch(slice(None)), vectors.split("all").batch(slice(None))
    )
    refused(
        lambda: Data(MEMORY).open(table.schema, source=values[:, :2]),
        "the array has examples of shape (2,), the model was trained on (3,)",
        kind=ShapeError,
    )


# Interactions


LOG = polars.DataFrame({"user": USERS, "item": ITEMS})
LOGS: dict[str, Any] = {
    "polars": LOG,
    "lazy": LOG.lazy(),
    "pandas": FakeFrame([("user", USERS), ("item", ITEMS)]),
    "columns": {"user": USERS, "item": ITEMS},
    "csr": csr_matrix(MATRIX),
    "csc": csc_matrix(MATRIX),
    "lil": lil_matrix(MATRIX),
    "coo array": coo_array(MATRIX),
    "sparse tensor": torch.from_numpy(MATRIX).to_sparse_coo(),
    "dense matrix": MATRIX,
    "dense matrix of bool": MATRIX > 0,
    "dense tensor": torch.from_numpy(MATRIX),
}


@pytest.mark.parametrize("form", LOGS)
def test_a_matrix_is_the_log_of_its_entries(form: str) -> None:
    plan = Data(MEMORY, interactions=Interactions())
    data = plan.open(source=LOGS[form])
    assert data.fingerprint()["sha256"] == from_frame(LOG).fingerprint()["sha256"]
    assert data.source == MEMORY


def test_weights_of_a_matrix_are_its_ratings() -> None:
    weighted = csr_matrix(MATRIX * np.arange(1, 13))
    plan = Data(MEMORY, interactions=Interactions(threshold=4), validation=0, test=0)
    data = plan.open(source=weighted)
    assert data.items is not None
    assert data.items.ids.tolist() == list(range(3, 12))


def test_a_matrix_over_the_catalogue_of_a_run_stands_in_its_order() -> None:
    """The items of the run are texts; a matrix of another width has no such items."""
    texts = LOG.with_columns(polars.format("film {}", 10 + polars.col("item")).alias("item"))
    plan = Data(MEMORY, interactions=Interactions())
    run = plan.open(source=texts)
    again = plan.open(run.schema, run.items, other=True, source=csr_matrix(MATRIX))
    assert again.facts["unknown_items"] == 0
    np.testing.assert_array_equal(again.whole.matrix.toarray(), MATRIX)  # type: ignore[attr-defined]


def test_columns_without_users_are_no_items_and_wide_matrices_are_still_read() -> None:
    """A run on a matrix with empty columns has fewer items; the columns keep their numbers."""
    gaps = MATRIX.copy()
    gaps[:, [0, 7]] = 0
    data = Data(MEMORY, interactions=Interactions()).open(source=csr_matrix(gaps))
    assert data.items is not None
    ids = data.items.ids
    assert data.items.ids.tolist() == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    checked = check_matrix(csr_matrix(MATRIX), data.items.ids, True)
    np.testing.assert_array_equal(checked.toarray(), MATRIX[:, data.items.ids])
    refused(
        lambda: check_matrix(csr_matrix(MATRIX[:, :9]), ids, True),
        "one column for each of the 10 items, got 9",
    )


# What is refused


@pytest.mark.parametrize(
    ("source", "words", "kind"),
    [
        (5, ["type int", "a NumPy array", "a Polars or pandas frame"], DataError),
        (object(), ["type object"], DataError),
        (print, ["type builtin_function_or_method"], DataError),
        ({1, 2}, ["type set"], DataError),
        (MEMORY, ["in memory", "give the same data again"], DataError),
        (np.zeros(9), ["the array has 1 axes"], ShapeError),
        (torch.zeros(3, 3, 3, 3, 3), ["the tensor has 5 axes"], ShapeError),
        (np.array([["a"]]), ["the array holds values of type <U1"], DataError),
        (np.array([[None]]), ["the array holds values of type object"], DataError),
        (np.full((2, 2), np.nan), ["the array holds 4 values that are NaN"], DataError),
        (np.zeros((0, 4)), ["the array holds no examples"], DataError),
        ([], ["no examples"], DataError),
        ([GREY[0], GREY[0, 1:]], ["one shape", "(4, 7), (5, 7)"], DataError),
        (np.ma.masked_less(GREY, 9), ["masked"], DataError),
        ((GREY, LABELS, LABELS), ["(x, y)"], DataError),
        ((GREY, LABELS[:4]), ["(4,)", "(20,)"], DataError),
        ({"left": GREY, "right": GREY}, ["the arrays holds left (20, 5, 7)"], DataError),
        ({1: GREY}, ["must be texts"], DataError),
        ({"train": FRAME, "test": FRAME}, ["a dict of frames"], DataError),
        (csr_matrix(MATRIX), ["users x items", "multvae", ".toarray()"], DataError),
        (polars.DataFrame({"a": ["x"]}), ["the frame", "'a' ('x' in row 1)"], DataError),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    source: Any, words: list[str], kind: type[LowerboundError]
) -> None:
    refused(lambda: opened(source), *words, kind=kind)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((9, 3)), ["users x items, or a user and an item a row", "a frame"]),
        (GREY, ["(20, 5, 7)", "no interactions"]),
        ({"images": GREY}, ["no interactions", "a frame"]),
        (polars.DataFrame({"who": [1], "what": [2]}), ["no column of users", "who, what"]),
        (csr_matrix(MATRIX * 1j), ["complex numbers"]),
    ],
)
def test_what_holds_no_interactions_is_refused(source: Any, words: list[str]) -> None:
    plan = Data(MEMORY, interactions=Interactions())
    refused(lambda: plan.open(source=source), *words)


def test_a_data_set_without_length_or_of_several_shapes_is_refused() -> None:
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            return iter(GREY)

    class Ragged(Images):
        def __getitem__(self, index: int) -> Any:
            return GREY[index, : 1 + index]

    class Vast(Images):
        def __len__(self) -> int:
            return 2**50

    class Named(Images):
        def __getitem__(self, index: int) -> Any:
            return {"image": GREY[index], "label": 1}

    refused(lambda: opened(Endless()), "Endless has no length")
    refused(lambda: opened(Named()), "the examples of the data set are dicts; allowed: an array")
    refused(lambda: opened(Ragged()), "the Ragged cannot be read")
    refused(lambda: opened(Vast()), "more memory than this machine has", kind=ConfigError)


def test_options_hold_for_data_in_memory_too() -> None:
    assert opened(GREY, size="4x4").schema.shape == (1, 4, 4)
    assert opened(FRAME, columns=["b", "a"]).schema.columns == ("b", "a")
    refused(lambda: opened(FRAME, size="4x4"), "data.size", kind=ConfigError)
    refused(lambda: opened(FRAME, columns=["z"]), "'z'", "the frame")
