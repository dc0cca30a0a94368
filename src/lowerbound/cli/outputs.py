"""The files that the commands write for others to read: samples and codes as PNG, .npy, CSV or
Parquet.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Items, Split
from ..data.frames import to_frame
from ..doors.sharding.levels import code_names, written_levels
from ..doors.sharding.users import frame_of_items
from ..errors import ConfigError
from ..evaluation.batches import chunk_size
from ..recommend import Recommendations, item_vectors
from ..recommend.blocks import USERS_OF_BLOCK
from ..recommend.histories import each_once
from ..report.text import column_names
from ..run import Run
from ..run.given import refuse_unknown_conditions
from ..system.files import replacing, write_frame, write_frames
from ..system.image_grid import to_png, to_unit_interval

if TYPE_CHECKING:
    from polars import DataFrame

TABLE_ENDINGS = (".csv", ".parquet")
"""The endings of files that hold a table."""


def suffix(path: Path, allowed: tuple[str, ...], of: str = "") -> str:
    """Gives the ending of a file that is to be written, in lower case.

    Args:
        path: of the file.
        allowed: the endings that it may have.
        of: what makes them so, for the message.

    Raises:
        ConfigError: the ending is not an allowed one.
    """
    ending = path.suffix.lower()
    if ending not in allowed:
        got = path.suffix or "none"
        endings = ", ".join(allowed)
        raise ConfigError(f"--out {path}: the ending must be one of {endings}{of}, got {got}")
    return ending


def write_array(path: Path, values: np.ndarray) -> None:
    """Writes an .npy file."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)


def write_table(path: Path, columns: Any) -> None:
    """Writes a CSV or Parquet file of columns by name, or of a Polars frame."""
    import polars

    write_frame(path, polars.DataFrame(columns))


def write_png(path: Path, images: np.ndarray) -> None:
    """Writes a grid of images (N, C, H, W) in [0, 1]; small images are enlarged."""
    write_bytes(path, to_png(images))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_samples(
    run: Run,
    n: int,
    path: Path,
    seed: int,
    given: Mapping[str, Any] | None = None,
    temperature: float = 1.0,
) -> int:
    """Writes `n` samples of the model, and gives their number.

    A PNG shows the means of p(x | z). A file of numbers holds draws from p(x | z), in the units of
    the data. The rows of a table with columns of several kinds have the types of its source, and
    are written in pieces, so that millions need little memory; the conditions of a conditional run
    stand behind them.
    """
    refuse_unknown_conditions(given or {}, run.schema.given)
    if run.schema.table:
        from ..system.progress import stages  # rich, which other samples do not need

        suffix(path, TABLE_ENDINGS, " for a table with columns of several kinds")
        with stages("sample", -(-n // chunk_size(run.model))) as begin:
            frames = run.sample_frames(n, given=given, temperature=temperature, seed=seed)
            return write_frames(path, _told(frames, n, begin))
    allowed: tuple[str, ...] = (".npy", *TABLE_ENDINGS)
    if run.schema.kind == "image":
        allowed = (".png", ".npy")
    ending = suffix(path, allowed)
    is_picture = ending == ".png"
    drawn = run.sample(
        n, given=given, mean=is_picture, temperature=temperature, seed=seed, units="model"
    )
    samples = drawn.numpy()
    if is_picture:
        write_png(path, to_unit_interval(samples, run.schema.low, run.schema.high))
        return n
    values = run.schema.restore(samples)
    if ending == ".npy":
        write_array(path, values)
    else:
        names = column_names(run.schema.columns, samples.shape[1], "x")
        columns: dict[str, Any] = dict(zip(names, values.T, strict=True))
        conditions = run.draw_conditions(n, given, seed)
        if conditions is not None:
            columns |= to_frame(run.schema.given, conditions).to_dict()
        write_table(path, columns)
    return n


def _told(
    frames: "Iterator[DataFrame]", total: int, begin: Callable[[str], None]
) -> "Iterator[DataFrame]":
    """Yields frames, and tells which row of all is next."""
    rows = 0
    for frame in frames:
        begin(f"row {rows:,} of {total:,}")
        yield frame
        rows += len(frame)


def write_codes(run: Run, examples: Split, path: Path, level: int | None = None) -> dict[str, Any]:
    """Writes the posterior means of all levels side by side, or of one level, from 1.

    The file has one row per example in the order of the source, or one row per user. For a run on
    interactions a second file, NAME.items.ENDING beside NAME.ENDING, holds the vectors of the
    items.

    Returns:
        What was written, as `encode --json` prints it.
    """
    ending = suffix(path, (".npy", *TABLE_ENDINGS))
    levels = written_levels(run, level)
    means = run.encode(examples)
    codes = np.concatenate([means[number].numpy() for number in levels], axis=1)
    names = code_names(run, levels)
    written: dict[str, Any] = {"examples": len(codes), "columns": names}
    if run.items is not None:
        items_path = path.with_name(f"{path.stem}.items{path.suffix}")
        written["items_out"] = str(items_path)
        written["items"] = write_items(run, run.items, items_path)
    if ending == ".npy":
        write_array(path, codes)
    else:
        columns = examples.names_of_rows() | dict(zip(names, codes.T, strict=True))
        written["columns"] = list(columns)
        write_table(path, columns)
    return written


def write_items(run: Run, items: Items, path: Path) -> int:
    """Writes the vectors of the items, and gives their number.

    They are the rows of the weight of the decoder's last layer. The columns are item, title (where
    the run has titles), v1 ... vd.
    """
    if path.suffix.lower() == ".npy":
        write_array(path, item_vectors(run.model))
    else:
        write_frame(path, frame_of_items(run, items))
    return len(items)


@dataclass
class WrittenLists:
    """What was written of the lists of many users.

    Attributes:
        out: the file.
        users: how many users there are.
        rows: how many recommendations they got.
        users_without: how many of them got none.
        users_popular: of how many nothing is known, so that they got the most popular items.
        unknown: the items of the request that the run does not know, each once.
    """

    out: Path
    users: int = 0
    rows: int = 0
    users_without: int = 0
    users_popular: int = 0
    unknown: tuple[Any, ...] = ()

    def count(self, lists: Recommendations) -> None:
        """Counts the lists of some more users."""
        self.users += len(lists)
        self.rows += int(lists.counts.sum())
        self.users_without += int((lists.counts == 0).sum())
        self.users_popular += lists.count_popular()
        self.unknown = each_once(self.unknown + lists.unknown)

    def describe(self) -> dict[str, Any]:
        """Returns the counts, as `recommend --json` prints them."""
        return {
            "out": str(self.out),
            "users": self.users,
            "rows": self.rows,
            "users_without": self.users_without,
            "users_popular": self.users_popular,
        }

    def lines(self) -> list[str]:
        """Words the counts for people, in one line."""
        line = f"{self.rows:,} recommendations for {self.users:,} users in {self.out}"
        if self.users_without:
            line += (
                f"; {self.users_without:,} users get nothing: none of their items is known, or "
                "none is left"
            )
        if self.users_popular:
            line += f"; of {self.users_popular:,} nothing is known: they get the most popular items"
        return [line]


def write_recommendations(
    blocks: Iterable[Recommendations], path: Path, users: int
) -> WrittenLists:
    """Writes the lists of many users, block by block, whole or not at all, and counts them.

    Args:
        blocks: the lists.
        path: of the file, CSV or Parquet.
        users: the number of all users, for the progress.
    """
    from ..system.progress import stages  # rich, which other commands do not need

    written = WrittenLists(path)

    def frames() -> "Iterator[DataFrame]":
        for lists in blocks:
            written.count(lists)
            yield lists.to_frame()
            begin(f"user {written.users:,} of {users:,}")

    with stages("recommend", -(-users // USERS_OF_BLOCK)) as begin:
        write_frames(path, frames())
    return written
