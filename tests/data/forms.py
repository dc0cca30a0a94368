"""The forms of data that people have, each with what is read of it.

`docs/data.md` has these as its first table, and `test_forms` writes each one and reads it.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image
from scipy.sparse import csr_matrix, save_npz

NUMBERS = np.array([[1.5, -20.0], [0.25, 3.0], [-7.0, 1000.5], [2.0, 4.0]])
"""The table that all forms of tables hold."""

PAIRS = [("ann", "tea"), ("ann", "jam"), ("bob", "tea"), ("cid", "rye"), ("cid", "jam")]
"""The log that all forms of logs hold."""

GREYS = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5) * 2
"""The images that all forms of grey images hold, (4, 6, 5)."""


@dataclass(frozen=True)
class Form:
    """A form of data.

    Attributes:
        have: what people have.
        read: what is read of it, and what is said.
        kind: "table", "image", "vector" or "log".
        make: writes it below a folder, and returns its path; or returns data in memory.
        options: of `Data`.
        expected: the values in the units of the source, (N, *shape); None takes the table, the
            images or the log above.
        notes: words that are said of it.
        labels: the labels, or None.
        parts: the sizes of the source's own parts (train, validation, test), or None.
        files: the column `file`, or None.
    """

    have: str
    read: str
    kind: str
    make: Callable[[Path], Any]
    options: dict[str, Any] = field(default_factory=dict)
    expected: Any = None
    notes: tuple[str, ...] = ()
    labels: list[Any] | None = None
    parts: tuple[int, int, int] | None = None
    files: list[str] | None = None


def text(
    name: str,
    separator: str = ",",
    decimal: str = ".",
    encoding: str = "utf-8",
    end: str = "\n",
    header: tuple[str, ...] = ("a", "b"),
    before: tuple[str, ...] = (),
) -> Callable[[Path], Path]:
    """Makes a function that writes the table as a text file."""

    def make(folder: Path) -> Path:
        lines = [*before]
        if header:
            lines.append(separator.join(header))
        for row in NUMBERS:
            words = [str(number).replace(".", decimal) for number in row]
            lines.append(separator.join(words))
        content = "".join(f"{line}{end}" for line in lines).encode(encoding)
        if name.endswith(".gz"):
            content = gzip.compress(content)
        (folder / name).write_bytes(content)
        return folder / name

    return make


def rows(name: str, lines: list[str]) -> Callable[[Path], Path]:
    """Makes a function that writes lines to a file."""

    def make(folder: Path) -> Path:
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder / name

    return make


def frame(**more: Any) -> pl.DataFrame:
    """Returns the table as a frame, with more columns."""
    return pl.DataFrame({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1], **more})


def parquet(folder: Path) -> Path:
    frame().write_parquet(folder / "t.parquet")
    return folder / "t.parquet"


def table_lines(header: str, more: list[str]) -> list[str]:
    """Returns the lines of the table with one more column."""
    lines = [header]
    for (a, b), word in zip(NUMBERS.tolist(), more, strict=True):
        lines.append(f"{a},{b},{word}")
    return lines


def log(name: str, header: str, separator: str = ",", tail: str = "") -> Callable[[Path], Path]:
    """Makes a function that writes the log as a text file."""
    lines = [f"{user}{separator}{item}{tail}" for user, item in PAIRS]
    if header:
        lines.insert(0, header)
    return rows(name, lines)


def picture(path: Path, values: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)


def pictures(names: list[str]) -> Callable[[Path], Path]:
    """Makes a function that writes the images into a folder, under these names."""

    def make(folder: Path) -> Path:
        for name, values in zip(names, GREYS, strict=True):
            picture(folder / "photos" / name, values)
        return folder / "photos"

    return make


def transparent(folder: Path) -> Path:
    values = np.zeros((4, 4, 4), np.uint8)
    values[:2, :, 3] = 255
    picture(folder / "photos" / "a.png", values)
    return folder / "photos"


def deep(folder: Path) -> Path:
    picture(folder / "photos" / "a.png", np.full((4, 4), 3000, np.uint16))
    return folder / "photos"


def labelled(folder: Path) -> Path:
    path = pictures(["a.png", "b.png", "c.png", "d.png"])(folder)
    lines = ["file,label", "a.png,cat", "b.png,dog", "c.png,cat", "d.png,dog"]
    (path / "labels.csv").write_text("\n".join(lines))
    return path


def broken(folder: Path) -> Path:
    path = pictures(["a.png", "b.png", "c.png", "d.png"])(folder)
    (path / "e.png").write_bytes(b"no picture")
    (path / "notes.txt").write_text("of the camera")
    return path


def npz(**arrays: Any) -> Callable[[Path], Path]:
    """Makes a function that writes arrays to an archive."""

    def make(folder: Path) -> Path:
        np.savez(folder / "x.npz", **arrays)
        return folder / "x.npz"

    return make


def npy(values: np.ndarray) -> Callable[[Path], Path]:
    """Makes a function that writes one array."""

    def make(folder: Path) -> Path:
        np.save(folder / "x.npy", values)
        return folder / "x.npy"

    return make


def sparse_log() -> csr_matrix:
    """Returns the log as a matrix of users x items, by the order of their names."""
    users = sorted({user for user, _ in PAIRS})
    items = sorted({item for _, item in PAIRS})
    at = [(users.index(user), items.index(item)) for user, item in PAIRS]
    ones = np.ones(len(at), np.float32)
    return csr_matrix((ones, tuple(zip(*at, strict=True))), (len(users), len(items)))


def sparse_file(folder: Path) -> Path:
    save_npz(folder / "log.npz", sparse_log())
    return folder / "log.npz"


def log_parts(folder: Path) -> Path:
    for name, pairs in (("train", PAIRS[:3]), ("test", PAIRS[3:])):
        lines = ["user,item", *(f"{user},{item}" for user, item in pairs)]
        (folder / f"{name}.csv").write_text("\n".join(lines))
    return folder


NUMBERED_PAIRS = [("0", "2"), ("0", "0"), ("1", "2"), ("2", "1"), ("2", "0")]
"""The log of `sparse_log`, whose users and items are numbers."""

FOUR = ["a.png", "b.png", "c.png", "d.png"]
CLASSES = ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]
PARTED = ["train/cat/1.png", "train/dog/1.png", "val/cat/2.png", "test/dog/2.png"]
COUNTED = ["frame_1.png", "frame_2.png", "frame_10.png", "frame_11.png"]

FORMS = (
    # Tables
    Form("a plain CSV", "the columns by their names", "table", text("t.csv")),
    Form(
        "semicolons and decimal commas",
        "found from the first lines, and said (`data.separator`, `data.decimal`)",
        "table",
        text("t.csv", ";", ","),
        notes=("';'", "','"),
    ),
    Form(
        "tabs", "found, whatever the file is called", "table", text("t.txt", "\t"), notes=(r"'\t'",)
    ),
    Form("blanks of any width", "found", "table", text("t.dat", "   "), notes=("' '",)),
    Form("two colons, as in MovieLens", "found", "table", text("t.dat", "::"), notes=("'::'",)),
    Form(
        "lines that end in CR alone, as Excel for the Macintosh wrote them",
        "lines like all others",
        "table",
        text("t.csv", end="\r"),
        notes=("CR",),
    ),
    Form("UTF-16", "found, and said", "table", text("t.csv", encoding="utf-16"), notes=("utf-16",)),
    Form(
        "UTF-8 with a byte order mark",
        "the mark is no part of a name",
        "table",
        text("t.csv", encoding="utf-8-sig"),
    ),
    Form("a CSV in `.gz`", "unpacked, within limits", "table", text("t.csv.gz")),
    Form(
        "comments above the header",
        "passed over and counted (`data.comment`)",
        "table",
        text("t.csv", before=("# of the north station", "# in millimetres")),
        notes=("comments or empty: 2",),
    ),
    Form(
        "no header",
        "columns are called `column_1`, `column_2`, ... and this is said (`data.header`)",
        "table",
        text("t.csv", header=()),
        notes=("no line of names",),
    ),
    Form(
        "an index without a name, as pandas writes it",
        "is no value; said",
        "table",
        rows("t.csv", [",a,b", *(f"{i},{a},{b}" for i, (a, b) in enumerate(NUMBERS.tolist()))]),
        notes=("index",),
    ),
    Form(
        "a column that names the rows",
        'with `data.ids=["name"]` no value, but beside the codes and scores',
        "table",
        rows("t.csv", table_lines("a,b,name", ["x1", "x2", "x3", "x4"])),
        options={"ids": ["name"]},
    ),
    Form(
        "a column of classes",
        'with `data.labels="kind"` no value, but the label of each row',
        "table",
        rows("t.csv", table_lines("a,b,kind", ["oak", "elm", "oak", "elm"])),
        options={"labels": "kind"},
        labels=["oak", "elm", "oak", "elm"],
    ),
    Form(
        "columns that are not wanted",
        'left out with `data.exclude=["note_*"]`',
        "table",
        rows("t.csv", table_lines("a,b,note_1", ["x", "y", "z", "x"])),
        options={"exclude": ["note_*"]},
    ),
    Form(
        "a constant column",
        "is left out, and told of",
        "table",
        rows("t.csv", table_lines("a,b,same", ["7", "7", "7", "7"])),
        notes=("'same'",),
    ),
    Form(
        "quotation marks that are part of a text",
        "no row is lost: the marks are read as part of the text, and this is said",
        "table",
        rows("t.csv", table_lines("a,b,size", ['5"', '7"', "9", '12" x'])),
        options={"exclude": ["size"]},
        notes=("quotation marks",),
    ),
    Form("a Parquet file", "the columns by their names", "table", parquet),
    Form("a Polars or pandas frame", "as a file of it", "table", lambda folder: frame()),
    Form(
        "a dict of columns",
        "as a frame",
        "table",
        lambda folder: {"a": NUMBERS[:, 0].tolist(), "b": NUMBERS[:, 1].tolist()},
    ),
    # Images
    Form("a folder of pictures", "in natural order", "image", pictures(COUNTED), files=COUNTED),
    Form(
        "folders of classes",
        "the label is the path of the folder",
        "image",
        pictures(CLASSES),
        labels=["cat", "cat", "dog", "dog"],
        files=CLASSES,
    ),
    Form(
        "`train/`, `val/` and `test/`, and classes below them",
        "the source's own parts, and the classes",
        "image",
        pictures(PARTED),
        labels=["cat", "dog", "cat", "dog"],
        parts=(2, 1, 1),
        notes=("its own parts",),
    ),
    Form(
        "a CSV of labels beside the pictures",
        'with `data.labels="labels.csv"` the label of each picture',
        "image",
        labelled,
        options={"labels": "labels.csv"},
        labels=["cat", "dog", "cat", "dog"],
    ),
    Form(
        "broken files among the pictures",
        "one line names them; with `data.skip_broken=true` they are passed over and counted",
        "image",
        broken,
        options={"skip_broken": True},
        notes=("1 of the 5", "notes.txt"),
    ),
    Form(
        "one picture",
        "a source of one",
        "image",
        lambda folder: pictures(FOUR)(folder) / "a.png",
        expected=GREYS[:1, None],
    ),
    Form(
        "transparent pixels",
        "laid over white, and counted",
        "image",
        transparent,
        expected=np.concatenate([np.zeros((1, 3, 2, 4)), np.full((1, 3, 2, 4), 255)], axis=2),
        notes=("over white",),
    ),
    Form(
        "pictures of 16 bits",
        "all their bits, on the fewest levels that hold them",
        "image",
        deep,
        expected=np.full((1, 1, 4, 4), 3000),
    ),
    Form("a `.npy` of uint8", "256 levels", "image", npy(GREYS)),
    Form(
        "the same as floats 0 to 255, int64 or uint16",
        "the very same 256 levels, and this is said",
        "image",
        npy(GREYS.astype(np.float32)),
        notes=("levels",),
    ),
    Form(
        "`.npz` as Keras has it (`x_train`, `y_train`, `x_test`, `y_test`)",
        "the parts and the labels",
        "image",
        npz(x_train=GREYS[:3], y_train=[0, 1, 2], x_test=GREYS[3:], y_test=[1]),
        labels=[0, 1, 2, 1],
        parts=(3, 0, 1),
    ),
    Form(
        "`.npz` as MedMNIST has it (`train_images`, `val_images`, `test_images`, labels (N, 1))",
        "the parts and the labels",
        "image",
        npz(
            train_images=GREYS[:2],
            train_labels=[[5], [6]],
            val_images=GREYS[2:3],
            val_labels=[[7]],
            test_images=GREYS[3:],
            test_labels=[[8]],
        ),
        labels=[5, 6, 7, 8],
        parts=(2, 1, 1),
    ),
    Form(
        "`.npz` of `np.savez(file, images)` without names",
        "the array",
        "image",
        npz(arr_0=GREYS),
    ),
    Form("a NumPy array or a torch tensor", "as a `.npy`", "image", lambda folder: GREYS),
    Form(
        "`(x, y)`",
        "examples and labels",
        "image",
        lambda folder: (GREYS, np.arange(4)),
        labels=[0, 1, 2, 3],
    ),
    # Vectors
    Form(
        "`.npz` as scikit-learn has it (`X`, `y`)",
        "vectors and labels",
        "vector",
        npz(X=NUMBERS, y=[0, 0, 1, 1]),
        expected=NUMBERS,
        labels=[0, 0, 1, 1],
    ),
    # Logs
    Form("a log with `user,item`", "its pairs", "log", log("log.csv", "user,item")),
    Form(
        "a log with other names of columns (`User-ID;ISBN`)",
        "usual names are known, and said (`data.interactions.user`, `.item`)",
        "log",
        log("log.csv", '"User-ID";"ISBN"', ";"),
        notes=("'User-ID'", "'ISBN'"),
    ),
    Form(
        "a log without a header, as MovieLens' `ratings.dat`",
        "columns by their places: user, item, rating, time; said",
        "log",
        log("ratings.dat", "", "::", "::4::978300760"),
        notes=("places",),
    ),
    Form(
        "a folder with `train.csv` and `test.csv`",
        "the source's own parts",
        "log",
        log_parts,
    ),
    Form(
        "JSON lines",
        "one object a line",
        "log",
        rows("log.jsonl", [f'{{"user": "{user}", "item": "{item}"}}' for user, item in PAIRS]),
    ),
    Form(
        "a frame of a log",
        "as a file of it",
        "log",
        lambda folder: pl.DataFrame(PAIRS, schema=["user", "item"], orient="row"),
    ),
    Form(
        "a sparse matrix, in memory or as SciPy's `.npz`",
        "rows are users, columns items",
        "log",
        sparse_file,
        expected=NUMBERED_PAIRS,
    ),
)
"""All forms, in the order of the page."""
