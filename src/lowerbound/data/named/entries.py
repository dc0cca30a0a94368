"""The named sets, one entry each."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError, unknown
from ...system.files import exists, expand_home
from .fetch import Named, Ways

if TYPE_CHECKING:
    import numpy as np

    from ..files.sources import Raw
    from ..interactions.logs import RawLog


def _digits(_: Path) -> "Raw":
    """The file of `sklearn.datasets.load_digits`, an import that takes longer than all else that a
    small run needs but torch.
    """
    import numpy as np

    from ..files.sources import Raw

    (library,) = find_spec("sklearn").submodule_search_locations  # type: ignore[union-attr, misc]
    table = np.loadtxt(Path(library, "datasets", "data", "digits.csv.gz"), delimiter=",")
    return Raw(
        "digits",
        "image",
        table[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8),
        17,
        table[:, -1].astype(int),
    )


def _idx(folder: Path) -> "Raw":
    from ..files.idx import Idx
    from ..files.sources import Wanted

    return Idx().read(folder, Wanted())


def _mat(path: Path) -> "np.ndarray":
    """The original Frey Faces: `ff`, uint8 (560, N), a column for each image, as (N, 28, 20)."""
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


FREY, FREY_ORIGINAL = "freyfaces.npz", "frey_rawface.mat"


def _frey(folder: Path) -> "Raw":
    from ..files.arrays import Npz, from_array
    from ..files.sources import Wanted

    npz = folder / FREY
    return (
        Npz().read(npz, Wanted())
        if npz.is_file()
        else from_array(_mat(folder / FREY_ORIGINAL), "freyfaces")
    )


def _films(folder: Path) -> "RawLog":
    from .movielens import read_films

    return read_films(folder)


def _tables(folder: Path) -> "RawLog":
    from ..interactions.logs import read_log

    return read_log(folder)


def _synthetic(folder: Path) -> "RawLog":
    from .synthetic import read_synthetic

    return read_synthetic(folder)


HELD_IDX: Ways = (
    tuple(
        rf"{part}-{what}[.-]idx\d-ubyte(\.gz)?"
        for part in ("train", "(t10k|test)")
        for what in ("images", "labels")
    ),
)
"""Of an MNIST-like set, as `idx.parts` finds them."""


HELD_FILMS: Ways = (
    (r"ratings\.csv", r"(items|movies)\.csv"),
    (r"ratings\.dat", r"movies\.dat"),
    (r"u\.data", r"u\.item"),
)
"""Of a MovieLens set: the formats of `movielens.FORMATS`."""


HELD_PARTS: Ways = ((r"train\.(?i:csv|tsv|parquet|npz)", r"test\.(?i:csv|tsv|parquet|npz)"),)
"""Of a set that brings its own parts, as `plays.parts_of` finds them."""


def _four(
    train_images: str, train_labels: str, test_images: str, test_labels: str
) -> dict[str, str]:
    """The four files of an MNIST-like set with their sha256."""
    return {
        "train-images-idx3-ubyte.gz": train_images,
        "train-labels-idx1-ubyte.gz": train_labels,
        "t10k-images-idx3-ubyte.gz": test_images,
        "t10k-labels-idx1-ubyte.gz": test_labels,
    }


def _movielens(size: str, what: str, sha256: str, *files: str) -> Named:
    """An entry of a MovieLens set; GroupLens allows no redistribution, so there is no other mirror."""
    return Named(
        f"movielens-{size}",
        f"MovieLens {what}",
        read=_films,
        held=HELD_FILMS,
        files=dict.fromkeys(files, ""),
        kind="interactions",
        folders=(f"ml-{size}",),
        archive=f"https://files.grouplens.org/datasets/movielens/ml-{size}.zip",
        sha256=sha256,
    )


def _parted(name: str, summary: str) -> Named:
    """An entry of a set with the train and test files of a published comparison, which everyone has
    to bring.
    """
    files = {"train.parquet": "", "test.parquet": ""}
    return Named(
        name, f"{summary} (bring your own copy)", _tables, HELD_PARTS, files, kind="interactions"
    )


_ENTRIES = [
    Named(
        "digits",
        "1,797 handwritten digits, 8x8 grey, 17 levels (comes with scikit-learn)",
        read=_digits,
        inside="scikit-learn",
    ),
    Named(
        "mnist",
        "MNIST: 60,000 + 10,000 handwritten digits, 28x28 grey",
        read=_idx,
        held=HELD_IDX,
        files=_four(
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
        read=_idx,
        held=HELD_IDX,
        files=_four(
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
        read=_frey,
        held=((re.escape(FREY),), (re.escape(FREY_ORIGINAL),)),
        files={FREY: ""},
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
    _parted(
        "gowalla",
        "Gowalla: 1,027,370 check-ins of 29,858 users at 40,981 places, split as for LightGCN",
    ),
    _parted(
        "lastfm",
        "Last.fm: 52,668 pairs of 1,880 users and 4,489 artists, split as in LightGCN's repository",
    ),
    Named(
        "synthetic-interactions",
        "2,000 users with 500 items, drawn from eight tastes that are known (generated)",
        read=_synthetic,
        inside="lowerbound",
        kind="interactions",
    ),
]


NAMED: dict[str, Named] = {entry.name: entry for entry in _ENTRIES}


def named_sets() -> dict[str, Named]:
    """The named sets by name: each has a `summary` and tells by `found()` where it is."""
    return dict(NAMED)


def place(source: str) -> Path:
    """The file or folder at a path that is no named set. DataError, with what is allowed, if there
    is none.
    """
    path = expand_home(source)
    if source and exists(path):
        return path
    if source and path.name == source and not path.suffix:
        raise DataError(unknown("data source", source, NAMED) + ", or a path to a file or folder")
    raise DataError(
        f"there is no file or folder {source!r}; allowed: a path, or one of {', '.join(NAMED)}"
    )


def short(source: str) -> str:
    """A source in a word: the name of a set, or of a file without its suffix."""
    return source if source in NAMED else expand_home(source).stem
