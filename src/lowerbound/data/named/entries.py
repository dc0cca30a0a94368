"""The named sets: one entry for each, below the functions that read them."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError, unknown
from ...system.files import exists, expand_home
from .fetch import FilePatterns, Named

if TYPE_CHECKING:
    import numpy as np

    from ..files.sources import Raw
    from ..interactions.logs import RawLog


def _read_digits(_: Path) -> "Raw":
    """Reads the file of `sklearn.datasets.load_digits`.

    The import of that module takes longer than all else that a small run needs but torch.
    """
    import numpy as np

    from ..files.sources import Raw

    (library,) = find_spec("sklearn").submodule_search_locations  # type: ignore[union-attr, misc]
    table = np.loadtxt(Path(library, "datasets", "data", "digits.csv.gz"), delimiter=",")
    images = table[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8)
    labels = table[:, -1].astype(int)
    return Raw("digits", "image", images, 17, labels)


def _read_idx(folder: Path) -> "Raw":
    from ..files.idx import Idx
    from ..files.sources import Wanted

    return Idx().read(folder, Wanted())


def _read_frey_faces(folder: Path) -> "Raw":
    from ..files.archives import Npz
    from ..files.arrays import from_array
    from ..files.sources import Wanted

    file = folder / FREY_FACES
    if file.is_file():
        return Npz().read(file, Wanted())
    return from_array(_read_matlab(folder / FREY_FACES_ORIGINAL), "freyfaces")


def _read_matlab(path: Path) -> "np.ndarray":
    """Reads the original Frey Faces as (N, 28, 20).

    Their file has `ff`, uint8 (560, N), with a column for each image.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    from ..files.sources import reason

    try:
        return loadmat(path)["ff"].T.reshape(-1, 28, 20)
    except (
        MatReadError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        NotImplementedError,
        AttributeError,
    ) as error:
        raise DataError(
            f"{path} cannot be read as a MATLAB file with ff (560, N): {reason(error)}"
        ) from None


def _read_films(folder: Path) -> "RawLog":
    from .movielens import read_films

    return read_films(folder)


def _read_log(folder: Path) -> "RawLog":
    from ..interactions.logs import read_log

    return read_log(folder)


def _read_synthetic(folder: Path) -> "RawLog":
    from .synthetic import read_synthetic

    return read_synthetic(folder)


FREY_FACES = "freyfaces.npz"
"""The name of the file of the Frey Faces as NumPy arrays."""

FREY_FACES_ORIGINAL = "frey_rawface.mat"
"""The name of the original file of the Frey Faces."""

HELD_IDX: FilePatterns = (
    (
        r"train-images[.-]idx\d-ubyte(\.gz)?",
        r"train-labels[.-]idx\d-ubyte(\.gz)?",
        r"(t10k|test)-images[.-]idx\d-ubyte(\.gz)?",
        r"(t10k|test)-labels[.-]idx\d-ubyte(\.gz)?",
    ),
)
"""A folder holds an MNIST-like set by these files, as `idx.parts` finds them."""

HELD_FILMS: FilePatterns = (
    (r"ratings\.csv", r"(items|movies)\.csv"),
    (r"ratings\.dat", r"movies\.dat"),
    (r"u\.data", r"u\.item"),
)
"""A folder holds a MovieLens set by these files, the formats of `movielens.FORMATS`."""

LOG_ENDINGS = (
    r"\.((csv|tsv|txt|dat|data|tab|jsonl|ndjson|json)(\.gz|\.zst)?|parquet|feather|arrow|ipc|npz)"
)
"""Files of interactions have these endings, those of `forms.ENDINGS`."""

HELD_PARTS: FilePatterns = ((rf"(?i:train(ing)?{LOG_ENDINGS})", rf"(?i:test(ing)?{LOG_ENDINGS})"),)
"""A folder holds a set with its own parts by these files, as `folders.parts_of` finds them."""


def _mnist_files(
    train_images: str, train_labels: str, test_images: str, test_labels: str
) -> dict[str, str]:
    """Names the four files of an MNIST-like set, each with its sha256."""
    return {
        "train-images-idx3-ubyte.gz": train_images,
        "train-labels-idx1-ubyte.gz": train_labels,
        "t10k-images-idx3-ubyte.gz": test_images,
        "t10k-labels-idx1-ubyte.gz": test_labels,
    }


def _movielens(size: str, description: str, sha256: str, *files: str) -> Named:
    """Makes the entry of a MovieLens set.

    GroupLens allows no redistribution, so there is no other mirror.
    """
    return Named(
        f"movielens-{size}",
        f"MovieLens {description}",
        read=_read_films,
        held=HELD_FILMS,
        files=dict.fromkeys(files, ""),
        kind="interactions",
        folders=(f"ml-{size}",),
        archive=f"https://files.grouplens.org/datasets/movielens/ml-{size}.zip",
        sha256=sha256,
    )


def _published_split(name: str, description: str) -> Named:
    """Makes the entry of a set with the train and test files of a published comparison.

    Everyone has to bring these files.
    """
    return Named(
        name,
        f"{description} (bring your own copy)",
        read=_read_log,
        held=HELD_PARTS,
        files={"train.parquet": "", "test.parquet": ""},
        kind="interactions",
    )


_ENTRIES = [
    Named(
        "digits",
        "1,797 handwritten digits, 8x8 grey, 17 levels (comes with scikit-learn)",
        read=_read_digits,
        inside="scikit-learn",
    ),
    Named(
        "mnist",
        "MNIST: 60,000 + 10,000 handwritten digits, 28x28 grey",
        read=_read_idx,
        held=HELD_IDX,
        files=_mnist_files(
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
    Named(
        "fashion-mnist",
        "Fashion-MNIST: 60,000 + 10,000 articles of clothing, 28x28 grey",
        read=_read_idx,
        held=HELD_IDX,
        files=_mnist_files(
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
    ),
    Named(
        "freyfaces",
        "Frey Faces: 1,965 film frames of a face, 28x20 grey (bring your own copy)",
        read=_read_frey_faces,
        held=((re.escape(FREY_FACES),), (re.escape(FREY_FACES_ORIGINAL),)),
        files={FREY_FACES: ""},
    ),
    _movielens(
        "100k",
        "100K: 100,000 ratings of 943 users for 1,682 films",
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        "u.data",
        "u.item",
    ),
    _movielens(
        "1m",
        "1M: 1,000,209 ratings of 6,040 users for 3,706 films",
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        "ratings.dat",
        "movies.dat",
    ),
    _movielens(
        "20m",
        "20M: 20,000,263 ratings of 138,493 users for 26,744 films",
        "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
        "ratings.csv",
        "movies.csv",
    ),
    _published_split(
        "gowalla",
        "Gowalla: 1,027,370 check-ins of 29,858 users at 40,981 places, split as for LightGCN",
    ),
    _published_split(
        "lastfm",
        "Last.fm: 52,668 pairs of 1,880 users and 4,489 artists, split as in LightGCN's repository",
    ),
    Named(
        "synthetic-interactions",
        "2,000 users with 500 items, drawn from eight tastes that are known (generated)",
        read=_read_synthetic,
        inside="lowerbound",
        kind="interactions",
    ),
]

NAMED: dict[str, Named] = {entry.name: entry for entry in _ENTRIES}
"""The named sets by their names, in the order of listings."""


def named_sets() -> dict[str, Named]:
    """Returns the named sets by name.

    Each has a `summary`, and its method `found` looks for it on this machine.
    """
    return dict(NAMED)


def find_path(source: str) -> Path:
    """Finds the file or folder that a source names which is no named set.

    Raises:
        DataError: there is none; the message has what is allowed.
    """
    path = expand_home(source)
    if source and exists(path):
        return path
    is_word = path.name == source and not path.suffix
    if source and is_word:
        raise DataError(unknown("data source", source, NAMED) + ", or a path to a file or folder")
    raise DataError(
        f"there is no file or folder {source!r}; allowed: a path, or one of {', '.join(NAMED)}"
    )


def short_name(source: str) -> str:
    """Shortens a source to a word: the name of a set, or of a file without its suffix; of a pattern
    that of the folder in which all its files lie.
    """
    from ..interactions.folders import WILD, matches

    if source in NAMED:
        return source
    path = expand_home(source)
    if not matches(source):
        return path.stem
    while any(character in str(path) for character in WILD):
        path = path.parent
    return path.name or path.resolve().name
