"""What the commands write for others to read: samples and codes as PNG, .npy, CSV or Parquet."""

from pathlib import Path
from typing import Any

import numpy as np

from ..data import Examples, History, Items
from ..errors import ConfigError
from ..recommend import item_vectors
from ..run import Run
from ..system.files import replacing, write_frame
from ..system.image_grid import tiles, to_unit_interval

TABLE_ENDINGS = (".csv", ".parquet")


def suffix(path: Path, allowed: tuple[str, ...]) -> str:
    """The ending of a file to be written.

    Raises:
        ConfigError: it is not one of those allowed here.
    """
    if path.suffix.lower() not in allowed:
        raise ConfigError(
            f"--out {path}: the ending must be one of {', '.join(allowed)}, got "
            f"{path.suffix or 'none'}"
        )
    return path.suffix.lower()


def write_array(path: Path, values: np.ndarray) -> None:
    """An .npy file."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)


def write_table(path: Path, columns: Any) -> None:
    """A CSV or Parquet file of columns by name, or of a Polars frame."""
    import polars

    write_frame(path, polars.DataFrame(columns))


def write_png(path: Path, images: np.ndarray) -> None:
    """A grid of images (N, C, H, W) in [0, 1]; small ones are enlarged."""
    from PIL import Image

    zoom = max(1, 56 // images.shape[2])
    picture = tiles(images.repeat(zoom, axis=2).repeat(zoom, axis=3), gap=2)
    with replacing(path) as temporary:  # for Pillow, ..png has no ending
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(
            temporary, format="PNG"
        )


def write_samples(run: Run, n: int, path: Path, seed: int) -> int:
    """Samples of the model: a PNG shows the means of p(x | z), a file of numbers holds draws from
    it, in the data's units.
    """
    image = run.schema.kind == "image"
    ending = suffix(path, (".png", ".npy") if image else (".npy", *TABLE_ENDINGS))
    samples = run.sample(n, mean=ending == ".png", seed=seed).numpy()
    if ending == ".png":
        write_png(path, to_unit_interval(samples, run.schema.low, run.schema.high))
    elif ending == ".npy":
        write_array(path, run.schema.restore(samples))
    else:
        names = run.schema.columns or tuple(f"x{i + 1}" for i in range(samples.shape[1]))
        write_table(path, dict(zip(names, run.schema.restore(samples).T, strict=True)))
    return n


def code_names(run: Run) -> list[str]:
    """`z1_1 ... z1_d` for the level next to the data, `z2_1 ...` for the one above."""
    return [
        f"z{i + 1}_{j + 1}" for i, size in enumerate(run.model.latents.sizes) for j in range(size)
    ]


def write_codes(run: Run, examples: Examples | History, path: Path) -> dict[str, Any]:
    """The posterior means of all levels side by side, one row per example in the source's order, or
    per user.

    Of a run on interactions also the vectors of the items, in a second file: NAME.items.ENDING
    beside NAME.ENDING.
    """
    ending = suffix(path, (".npy", *TABLE_ENDINGS))
    codes = np.concatenate([level.numpy() for level in run.encode(examples)], axis=1)
    names, found = code_names(run), {}
    if run.items is not None:
        beside = path.with_name(f"{path.stem}.items{path.suffix}")
        found = {"items_out": str(beside), "items": write_items(run, run.items, beside)}
    if ending == ".npy":
        write_array(path, codes)
    else:
        write_table(path, _labels(examples) | dict(zip(names, codes.T, strict=True)))
    return {"examples": len(codes), "columns": names} | found


def _labels(examples: Examples | History) -> dict[str, Any]:
    """What tells the rows apart: the users' ids, or the row numbers and labels."""
    if isinstance(examples, History):
        return {"user": examples.users.tolist()}
    return {"row": examples.rows} | ({} if examples.labels is None else {"label": examples.labels})


def write_items(run: Run, items: Items, path: Path) -> int:
    """The vectors of the items, rows of the weight of the decoder's last layer: item, title (where
    known), v1 ... vd.
    """
    vectors = item_vectors(run.model)
    if path.suffix.lower() == ".npy":
        write_array(path, vectors)
    else:
        titles = {} if items.titles is None else {"title": items.titles}
        numbers = {f"v{i + 1}": column for i, column in enumerate(vectors.T)}
        write_table(path, {"item": items.ids.tolist()} | titles | numbers)
    return len(vectors)
