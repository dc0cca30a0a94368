"""Hostile files: thousands of damaged and crafted inputs through every loader, and what became of
them.

    python benchmarks/hostile.py [--inputs 10000] [--only npz,images] [--seed 0] [--keep FOLDER]

Each input is a valid small source (a *seed*: a file, or a folder of files) of which one file was
changed: bits, bytes and blocks, length fields at their extremes, numbers and words of texts, and,
inside compressed or framed formats (gzip, zip, PNG chunks, the header of safetensors), the content,
framed anew so that checksums hold. What input number n of a loader is depends on (seed, loader, n)
alone. Every call must return, or raise a `LowerboundError` of one line below 600 characters, within
5 s, with at most 512 MB of memory above what the process had before, and must run no code: no
unpickling, no process, no `exec` of text. A worker process does the calls, so that one that hangs
or dies is counted, and the next goes on.

It prints a table of each loader's inputs, how many were loaded and refused, the slowest and the
largest. `--keep` writes each input that failed below a folder. The exit code is 1 if any did.
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import os
import re
import resource
import select
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

SECONDS, MEGABYTES, CHARACTERS = 5.0, 512.0, 600
"""What a call may take, and how long a message may be."""

GRACE = 30.0
"""Seconds after which a worker that does not answer is killed."""

ADDRESSES = 24 * 2**30
"""Most bytes of address space of a worker, so that a bomb cannot take the machine with it."""

HERE = b"@HERE@"
"""Stands in texts for the folder that an input is written to."""

Tree = dict[str, bytes]
"""An input: the content of each file, by its path. What stands at the top is the source."""

Rng = np.random.Generator

# Mutations of bytes

EXTREMES = (
    0,
    1,
    2**7,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
)


def _place(rng: Rng, data: bytes) -> int:
    return int(rng.integers(len(data) + 1))


def _span(rng: Rng, data: bytes) -> tuple[int, int]:
    """A stretch, short ones more often."""
    start = _place(rng, data)
    return start, min(len(data), start + int(2 ** rng.uniform(0, 10)))


def flip(rng: Rng, data: bytes, other: bytes) -> bytes:
    """Some bits are turned."""
    out = bytearray(data)
    for at in (
        rng.integers(len(out), size=min(int(2 ** rng.uniform(0, 6)), len(out))) if out else ()
    ):
        out[at] ^= 1 << int(rng.integers(8))
    return bytes(out)


def byte(rng: Rng, data: bytes, other: bytes) -> bytes:
    """One byte is another."""
    at = _place(rng, data)
    return (
        data[:at]
        + bytes([rng.choice([0, 1, 9, 10, 13, 34, 127, 128, 255, int(rng.integers(256))])])
        + data[at + 1 :]
    )


def truncate(rng: Rng, data: bytes, other: bytes) -> bytes:
    """The end is missing."""
    return data[: _place(rng, data)]


def remove(rng: Rng, data: bytes, other: bytes) -> bytes:
    """A block is missing."""
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def repeat(rng: Rng, data: bytes, other: bytes) -> bytes:
    """A block stands many times."""
    start, end = _span(rng, data)
    times = min(int(2 ** rng.uniform(1, 10)), 20_000 // max(end - start, 1) + 1)
    return data[:start] + data[start:end] * times + data[end:]


def insert(rng: Rng, data: bytes, other: bytes) -> bytes:
    """Noise, zeros or ones stand where nothing was."""
    at, n = _place(rng, data), int(2 ** rng.uniform(0, 10))
    return data[:at] + rng.choice([rng.bytes(n), bytes(n), b"\xff" * n]) + data[at:]


def splice(rng: Rng, data: bytes, other: bytes) -> bytes:
    """The beginning of one and the end of another."""
    return data[: _place(rng, data)] + other[_place(rng, other) :]


def length(rng: Rng, data: bytes, other: bytes) -> bytes:
    """Four or eight bytes say an extreme number, most often near the beginning or the end, where
    headers are.
    """
    width, order = rng.choice([4, 8]), rng.choice(["little", "big"])
    value = int(rng.choice(np.array(EXTREMES, object))) % 2 ** int(8 * width)
    reach = min(len(data), int(2 ** rng.uniform(2, 9)))
    at = (
        int(rng.integers(reach + 1))
        if rng.random() < 0.6
        else len(data) - int(rng.integers(reach + 1))
    )
    return data[:at] + value.to_bytes(int(width), order) + data[at + int(width) :]


BYTES = (flip, byte, truncate, remove, repeat, insert, splice, length)

# Mutations of texts

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
WORD = re.compile(rb"[A-Za-z_][\w-]*")
VALUES = (
    *(
        b"0",
        b"-1",
        b"1e400",
        b"nan",
        b"inf",
        b"-inf",
        b"NaN",
        b"Infinity",
        b"",
        b'""',
        b"null",
        b"true",
        b"[]",
        b"{}",
        b"'x'",
    ),
    *(
        b"1" * 5000,
        b"9223372036854775808",
        b"1000000000000",
        b"-1e-320",
        b"0x10",
        b"1_000",
        b"1.5",
        b"../../x",
        b"/etc/passwd",
    ),
    *(
        b"[1000000000]",
        b"[[1]]",
        b"3000000000",
        b"65536",
        b"1979-05-27T07:32:00Z",
        b'"\\u0000"',
        b"http://localhost/x",
    ),
)


def _replaced(rng: Rng, data: bytes, found: list[re.Match[bytes]], by: bytes) -> bytes:
    if not found:
        return data + by
    match = found[int(rng.integers(len(found)))]
    return data[: match.start()] + by + data[match.end() :]


def number(rng: Rng, data: bytes, other: bytes) -> bytes:
    """A number is an extreme, or none."""
    return _replaced(rng, data, list(NUMBER.finditer(data)), VALUES[int(rng.integers(len(VALUES)))])


def word(rng: Rng, data: bytes, other: bytes) -> bytes:
    """A word is another word of the file, or a value."""
    words = WORD.findall(data) or [b"x"]
    pool = (*words[:200], *VALUES)
    return _replaced(rng, data, list(WORD.finditer(data)), pool[int(rng.integers(len(pool)))])


def lines(rng: Rng, data: bytes, other: bytes) -> bytes:
    """Lines change places, go, or come twice."""
    rows = data.split(b"\n")
    a, b = (int(rng.integers(len(rows))) for _ in range(2))
    rows[a], rows[b] = (rows[b], rows[a]) if rng.random() < 0.4 else (rows[a], rows[a])
    if rng.random() < 0.4:
        del rows[a]
    return b"\n".join(rows)


def nest(rng: Rng, data: bytes, other: bytes) -> bytes:
    """Brackets, ten thousand deep, closed or not; or a key of as many parts."""
    depth = int(rng.choice([10, 100, 1000, 10_000]))
    left, right = [(b"[", b"]"), (b'{"a":', b"}"), (b"{a=", b"}"), (b"a.", b"a"), (b"(", b")")][
        int(rng.integers(5))
    ]
    by = left * depth + (b"1" + right * depth if rng.random() < 0.5 else b"")
    return _replaced(rng, data, list(rng.choice([NUMBER, WORD]).finditer(data)), by)


def oddity(rng: Rng, data: bytes, other: bytes) -> bytes:
    """A byte-order mark, NUL, bytes that are no UTF-8, a quote, a carriage return, a line of great
    length.
    """
    odd = [
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\0",
        b"\xc3\x28",
        b'"',
        b"'",
        b"\r",
        b"\n",
        b"\\",
        b",",
        b"a," * 5000,
        b"x" * 15_000,
        b"\x1b[2J",
    ]
    at = 0 if rng.random() < 0.3 else _place(rng, data)
    return data[:at] + odd[int(rng.integers(len(odd)))] + data[at:]


TEXTS = (number, number, word, word, lines, nest, oddity)

TEXTUAL = (".toml", ".json", ".csv", ".tsv", ".data", ".item", ".dat")

# Framed formats: the content is changed, and framed anew


def _basic(rng: Rng, data: bytes, other: bytes, text: bool = False) -> bytes:
    pool = (*TEXTS, *TEXTS, *BYTES) if text else BYTES
    return pool[int(rng.integers(len(pool)))](rng, data, other)


def in_gzip(rng: Rng, data: bytes, other: bytes) -> bytes:
    """The content of a .gz file."""
    return gzip.compress(_basic(rng, gzip.decompress(data), other), mtime=0)


def _zipped(members: list[tuple[str, bytes]], method: int) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore")  # the same name twice is what is wanted
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


NAMES = (
    "../../x.npy",
    "/tmp/x.npy",
    "data.npy",
    "x.npy",
    "labels.npy",
    "C:\\x.npy",
    "a\0b.npy",
    "\n.npy",
    "shape.npy",
)


def in_zip(rng: Rng, data: bytes, other: bytes) -> bytes:
    """The content, the name or the number of the members of a .zip file; headers of arrays are
    changed as texts.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = int(rng.integers(len(members)))
    name, content = members[at]
    if rng.random() < 0.2:
        members[at] = (NAMES[int(rng.integers(len(NAMES)))], content)
    else:
        members[at] = (name, in_npy(rng, content, members[0][1]))
    method = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA][
        int(rng.integers(4))
    ]
    return _zipped(members, method)


DTYPES = (
    b"|O",
    b"|u1",
    b"<f8",
    b">f2",
    b"<c16",
    b"<U9",
    b"|V0",
    b"<M8[s]",
    b"<f16",
    b"|S0",
    b"<U0",
    b"<i8",
    b"|b1",
)


def in_npy(rng: Rng, data: bytes, other: bytes) -> bytes:
    """The header of an array (its shape or type, with its length set right), or any of its
    bytes.
    """
    if rng.random() < 0.3 or data[:6] != b"\x93NUMPY":
        return _basic(rng, data, other)
    size = struct.unpack("<H", data[8:10])[0]
    head, body = data[10 : 10 + size], data[10 + size :]
    if rng.random() < 0.4:
        head = re.sub(
            rb"'descr': '[^']*'",
            b"'descr': '" + DTYPES[int(rng.integers(len(DTYPES)))] + b"'",
            head,
        )
    else:
        head = TEXTS[int(rng.integers(len(TEXTS)))](rng, head.rstrip(), head)[:60_000] + b"\n"
    return data[:8] + struct.pack("<H", len(head)) + head + body


def in_png(rng: Rng, data: bytes, other: bytes) -> bytes:
    """One chunk of a PNG file, its checksum set right; of the pixels, what is compressed."""
    chunks, at = [], 8
    while at + 8 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    which = int(rng.integers(len(chunks)))
    kind, body = chunks[which]
    if kind == b"IDAT" and rng.random() < 0.7:
        body = zlib.compress(_basic(rng, zlib.decompress(body), other))
    else:
        body = (length if rng.random() < 0.5 else _basic)(rng, body, other)
    chunks[which] = (kind, body)
    if rng.random() < 0.2:
        chunks.insert(which, chunks[int(rng.integers(len(chunks)))])
    framed = (
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    )
    return data[:8] + b"".join(framed)


FORMS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    np.ravel,
    np.transpose,
    lambda values: values.ravel()[: values.size // 2],
    lambda values: np.repeat(values, 2, axis=0) if values.ndim else values,
    lambda values: values.reshape(-1)[:1].reshape(()),
    lambda values: values[..., None],
    lambda values: values.astype(np.float64),
    lambda values: values.astype(np.float16),
    lambda values: values.astype(np.int8),
    lambda values: np.full_like(values, np.nan) if values.dtype.kind == "f" else values,
)
"""Other shapes, types and numbers of a tensor."""


def of_another_form(rng: Rng, data: bytes) -> bytes:
    """A whole safetensors file, some or all of whose tensors have another shape or type, or one of
    them another name.
    """
    tensors = safetensors.numpy.load(data)
    names = sorted(tensors)
    if names and rng.random() < 0.2:
        tensors[f"{rng.integers(100)}.exp_avg"] = tensors.pop(names[int(rng.integers(len(names)))])
    form, part = FORMS[int(rng.integers(len(FORMS)))], rng.choice([0.1, 0.5, 1.0])
    with np.errstate(all="ignore"):
        changed = {
            name: form(values) if rng.random() < part else values
            for name, values in tensors.items()
        }
    return safetensors.numpy.save(
        {name: np.ascontiguousarray(values) for name, values in changed.items()}
    )


def in_safetensors(rng: Rng, data: bytes, other: bytes) -> bytes:
    """The JSON header of a safetensors file, its length set right; or other tensors."""
    if rng.random() < 0.5:
        return of_another_form(rng, data)
    size = struct.unpack("<Q", data[:8])[0]
    head = _basic(rng, data[8 : 8 + size], other[:200], text=True)
    return struct.pack("<Q", len(head)) + head + data[8 + size :]


FRAMED = {
    ".gz": in_gzip,
    ".npz": in_zip,
    ".npy": in_npy,
    ".png": in_png,
    ".safetensors": in_safetensors,
}


def mutated(rng: Rng, name: str, data: bytes, other: bytes) -> bytes:
    """One to three changes; those within a frame come first, while it is whole."""
    suffix = Path(name).suffix
    if suffix in FRAMED and rng.random() < 0.6:
        data = FRAMED[suffix](rng, data, other)
        if rng.random() < 0.7:
            return data
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        data = _basic(rng, data, other, text=suffix in TEXTUAL)
    return data[:1_000_000]


# Seeds: valid small sources


def written(write: Callable[[Any], object]) -> bytes:
    """What is written to a file in memory."""
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def npy(array: Any) -> bytes:
    """An array as a .npy file."""
    return written(lambda out: np.save(out, np.asarray(array)))


def idx(array: np.ndarray) -> bytes:
    """uint8 values as an IDX file."""
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def _numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def recipe_seeds() -> list[Tree]:
    """All packaged recipes, and one with every default written out."""
    from lowerbound import recipe as recipes

    packaged = [{"recipe.toml": path.read_bytes()} for path in recipes.packaged().values()]
    return [*packaged, {"recipe.toml": recipes.load("digits").to_toml().encode()}]


def idx_seeds() -> list[Tree]:
    """Folders of IDX files, plain and compressed."""
    names = {"train-images-idx3-ubyte": _numbers(12, 5, 4), "train-labels-idx1-ubyte": _numbers(12)}
    names |= {"t10k-images-idx3-ubyte": _numbers(6, 5, 4), "t10k-labels-idx1-ubyte": _numbers(6)}
    plain = {f"set/{name}": idx(array) for name, array in names.items()}
    return [
        plain,
        {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in plain.items()},
    ]


def npy_seeds() -> list[Tree]:
    """Arrays of several types and numbers of axes, and one in each of the three versions of the
    format.
    """
    arrays = [
        _numbers(9, 4, 4),
        _numbers(9, 4, 4, 3),
        _numbers(9, 5) / 256,
        np.asfortranarray(_numbers(9, 5) % 2 == 0),
    ]
    return [{"x.npy": npy(array)} for array in arrays]


def npz_seeds() -> list[Tree]:
    """Archives with labels, and with given parts."""
    first = {"images": _numbers(9, 4, 4), "labels": _numbers(9)}
    second = {"train": _numbers(9, 5) / 256, "test": _numbers(4, 5) / 256}
    return [
        {"x.npz": written(lambda out, a=a: np.savez_compressed(out, **a))} for a in (first, second)
    ]


def image_seeds() -> list[Tree]:
    """Folders of one image, of each kind that PNG and JPEG have, and of other formats."""
    from PIL import Image

    def saved(image: Any, form: str, **options: Any) -> bytes:
        return written(lambda out: image.save(out, form, **options))

    grey, colour = Image.fromarray(_numbers(8, 9)), Image.fromarray(_numbers(8, 9, 3))
    exif = Image.Exif()
    exif[274] = 6
    exif[270] = "description"
    more = {"exif": exif, "icc_profile": bytes(200)}
    pngs = [
        grey,
        colour,
        colour.convert("RGBA"),
        colour.convert("P"),
        grey.convert("1"),
        grey.convert("I;16"),
    ]
    files = [(f"{i}.png", saved(image, "PNG")) for i, image in enumerate(pngs)]
    files.append(("clear.png", saved(colour.convert("P"), "PNG", transparency=bytes(range(200)))))
    files.append(("meta.png", saved(colour, "PNG", **more)))
    files.append(
        (
            "film.png",
            saved(colour, "PNG", save_all=True, append_images=[colour.rotate(90)], duration=10),
        )
    )
    jpegs = [grey, colour, colour.convert("CMYK")]
    files += [(f"{i}.jpg", saved(image, "JPEG", **more)) for i, image in enumerate(jpegs)]
    files.append(("progressive.jpg", saved(colour, "JPEG", progressive=True)))
    clear = colour.convert("RGBA")
    clear.putalpha(grey)
    files += [(f"{form}.{form}", saved(clear, form, **more)) for form in ("webp", "tiff")]
    files += [
        (f"{packing}.tif", saved(grey, "TIFF", compression=packing))
        for packing in ("tiff_lzw", "packbits", "tiff_adobe_deflate")
    ]
    files.append(("deep.tif", saved(grey.convert("I;16"), "TIFF")))
    files += [(f"{form}.{form}", saved(colour, form)) for form in ("bmp", "ppm")]
    files.append(("film.gif", saved(colour, "GIF", save_all=True, append_images=[clear])))
    return [{f"set/{name}": content} for name, content in files]


def _frame() -> Any:
    import polars

    values = np.random.default_rng(0).normal(size=(20, 3))
    return polars.DataFrame(
        {"a": values[:, 0], "b": values[:, 1], "c": np.arange(20), "d": values[:, 2] > 0}
    )


def csv_seeds() -> list[Tree]:
    """Tables as texts."""
    text = _frame().drop("d").write_csv()
    return [{"x.csv": text.encode()}, {"x.tsv": text.replace(",", "\t").encode()}]


def parquet_seeds() -> list[Tree]:
    """Tables as Parquet, in each usual compression."""
    return [
        {"x.parquet": written(lambda out, c=c: _frame().write_parquet(out, compression=c))}
        for c in ("zstd", "snappy", "gzip", "uncompressed")
    ]


def _log() -> Any:
    import polars

    rng = np.random.default_rng(0)
    user, item = np.divmod(rng.choice(200, 120, replace=False), 10)
    return polars.DataFrame(
        {"user": user, "item": item, "rating": rng.integers(1, 6, 120), "timestamp": np.arange(120)}
    )


def log_seeds() -> list[Tree]:
    """Interactions as CSV, TSV and Parquet: one file, or with given parts; numbers and texts as
    ids.
    """
    import polars

    log = _log()
    text = log.with_columns(polars.format("item-{}", "item").alias("item"))
    parquet = [written(frame.write_parquet) for frame in (log, text)]
    given = {
        f"set/{part}.csv": log[rows].write_csv().encode()
        for part, rows in (("train", slice(0, 90)), ("test", slice(90, 120)))
    }
    texts = [
        {"x.csv": text.write_csv().encode()},
        {"x.tsv": log.write_csv(separator="\t").encode()},
    ]
    return [*texts, given, *({"x.parquet": content} for content in parquet)]


def arrow_seeds() -> list[Tree]:
    """Interactions as Arrow IPC in each compression, as JSON, packed by zstd, and in pieces."""
    import polars

    log = _log()
    text = log.with_columns(polars.format("item-{}", "item").alias("item"))
    files = [
        {"x.feather": written(lambda out, c=c: text.write_ipc(out, compression=c))}
        for c in ("uncompressed", "lz4", "zstd")
    ]
    pieces = {
        f"set/user={user}/{user}.arrow": written(text[start : start + 60].drop("user").write_ipc)
        for user, start in (("1", 0), ("b", 60))
    }
    lines = text.write_ndjson().encode()
    packed = written(lambda out: text.lazy().sink_csv(out, compression="zstd"))
    return [
        *files,
        {"x.arrow": written(lambda out: log.write_ipc_stream(out, compression="zstd"))},
        {"x.arrow": written(text.write_ipc_stream)},
        pieces,
        {"x.jsonl": lines},
        {"x.json.gz": gzip.compress(text.write_json().encode())},
        {"x.csv.zst": packed},
    ]


def matrix_seeds() -> list[Tree]:
    """Interactions as SciPy matrices, in each of its formats."""
    from scipy import sparse

    matrix = sparse.random(20, 10, 0.4, random_state=0, format="csr")
    forms = [matrix.asformat(form) for form in ("csr", "csc", "coo", "bsr", "dia")]
    return [{"x.npz": written(lambda out, m=m: sparse.save_npz(out, m))} for m in forms]


def title_seeds() -> list[Tree]:
    """Interactions and the file of their items."""
    import polars

    items = polars.DataFrame(
        {
            "item": range(10),
            "title": [f"film {i}" for i in range(10)],
            "genres": ["a|b"] * 10,
            "year": [1990] * 10,
        }
    )
    log = {
        "set/train.csv": _log()[:90].write_csv().encode(),
        "set/test.csv": _log()[90:].write_csv().encode(),
    }
    both = (
        {"titles.csv": items.write_csv().encode()},
        {"titles.parquet": written(items.write_parquet)},
    )
    return [log | titles for titles in both]


def film_seeds() -> list[Tree]:
    """Folders as the publisher of MovieLens has them."""
    rows = _log().rows()
    flags = "|".join("01"[i % 2] for i in range(19))
    old = {
        "set/u.data": "".join("\t".join(map(str, row)) + "\n" for row in rows),
        "set/u.item": "".join(
            f"{i}|film {i} (1990)|01-Jan-1990||http://x|{flags}\n" for i in range(10)
        ),
    }
    dat = {
        "set/ratings.dat": "".join("::".join(map(str, row)) + "\n" for row in rows),
        "set/movies.dat": "".join(f"{i}::film {i} (1990)::Comedy|Drama\n" for i in range(10)),
    }
    new = {
        "set/ratings.csv": "userId,movieId,rating,timestamp\n"
        + "".join(",".join(map(str, row)) + "\n" for row in rows),
        "set/movies.csv": "movieId,title,genres\n"
        + "".join(f'{i},"film, {i}",Comedy\n' for i in range(10)),
    }
    return [{name: text.encode() for name, text in files.items()} for files in (old, dat, new)]


QUICK = {
    "training.epochs": 1,
    "training.batch_size": 10,
    "training.accelerator": "cpu",
    "report.write": False,
}


@cache
def run_seeds() -> list[Tree]:
    """Run folders, of a table and of interactions, each beside its data."""
    import lowerbound

    kinds = {
        "table": (
            "x.csv",
            _frame().drop("d").write_csv(),
            {"model.network.hidden": [3], "model.latent": [2]},
        ),
        "multvae": (
            "x.tsv",
            _log().write_csv(separator="\t"),
            {"model.network.hidden": [3], "model.latent": [2], "data.interactions": {}},
        ),
    }
    found = []
    for recipe, (name, text, settings) in kinds.items():
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made).resolve()
            (folder / name).write_text(text)
            lowerbound.fit(
                recipe,
                data=folder / name,
                out=folder / "run",
                settings=QUICK | settings,
                progress=False,
            )
            found.append(
                signed({key: _fixed(content, folder) for key, content in taken(folder).items()})
            )
    return found


def _fixed(content: bytes, folder: Path) -> bytes:
    """Without the place and the time of its making."""
    content = content.replace(str(folder).encode(), HERE)
    return re.sub(rb'("[a-z_]*seconds?": )[\d.e-]+', rb"\g<1>1.0", content)


def signed(tree: Tree) -> Tree:
    """With the manifests of checkpoints as their files are: no check of sums stands between a
    change and what reads it.
    """
    tree = dict(tree)
    for name in [name for name in tree if name.endswith("/manifest.json")]:
        folder = name.removesuffix("manifest.json")
        files = {
            n.removeprefix(folder): content
            for n, content in tree.items()
            if n.startswith(folder) and n != name
        }
        facts = {
            n: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for n, content in files.items()
        }
        tree[name] = json.dumps(facts, indent=1).encode()
    return tree


def taken(folder: Path) -> Tree:
    """The files of a folder."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


# Loaders


def source(folder: Path) -> str:
    """What stands at the top of an input."""
    return str(min(folder.iterdir()))


def opened(folder: Path, **options: Any) -> object:
    """The source as a data set, a batch of it, and its fingerprint."""
    from lowerbound.data import Data

    dataset = Data(source(folder), **{"validation": 0, "test": 0} | options).open()
    return dataset.train.batch(slice(0, 4)), dataset.fingerprint()


def logged(folder: Path, **options: Any) -> object:
    """The source as interactions; those of MovieLens as the named set."""
    from lowerbound.data import Interactions

    return opened(folder, interactions=Interactions(binary=False, split="auto", **options))


def titled(folder: Path) -> object:
    """Interactions with the titles of their items."""
    return logged(folder, items=str(next(folder.glob("titles.*"))))


def filmed(folder: Path) -> object:
    """A folder of MovieLens, cleaned."""
    from lowerbound.data.interactions.cleaning import clean
    from lowerbound.data.interactions.columns import Columns
    from lowerbound.data.interactions.titles import names_of
    from lowerbound.data.named.movielens import read_films

    tables = read_films(Path(source(folder)))
    log = clean(tables, Columns(timed=True), 2.0)
    return names_of(log.items, tables.items)


def reciped(folder: Path) -> object:
    """A recipe, and back to TOML."""
    from lowerbound import recipe as recipes

    return recipes.load(source(folder)).to_toml()


def loaded(folder: Path) -> object:
    """A run from its folder."""
    import lowerbound

    return lowerbound.load(folder / "run")


def followed(folder: Path) -> object:
    """The metrics of a run, as its report reads them."""
    from lowerbound.report.sections import training

    return training.metric_rows(loaded(folder))  # type: ignore[arg-type]


def resumed(folder: Path) -> object:
    """A run that goes on for one more epoch."""
    import lowerbound

    plan = lowerbound.recipe.load(folder / "plan.toml")
    return lowerbound.fit(
        plan, out=folder / "run", resume=True, settings={"training.epochs": 2}, progress=False
    )


@dataclass(frozen=True)
class Target:
    """A loader: its seeds, how it is called, and which files are changed (all where none are
    named).
    """

    seeds: Callable[[], list[Tree]]
    load: Callable[[Path], object]
    changed: str = ""
    share: float = 1.0


def unfinished() -> list[Tree]:
    """Run folders whose training can go on, with their recipe, which is not changed, beside
    them.
    """
    return [{**tree, "plan.toml": tree["run/recipe.toml"]} for tree in run_seeds()]


CHECKPOINT = r"run/(checkpoint/.*|recipe\.toml|data\.json)"

TARGETS = {
    "recipe": Target(recipe_seeds, reciped),
    "idx": Target(idx_seeds, opened),
    "npy": Target(npy_seeds, opened),
    "npz": Target(npz_seeds, opened),
    "images": Target(image_seeds, opened, share=2),
    "csv": Target(csv_seeds, opened),
    "parquet": Target(parquet_seeds, opened),
    "interactions": Target(log_seeds, logged, share=1.5),
    "arrow": Target(arrow_seeds, logged),
    "matrix": Target(matrix_seeds, logged),
    "titles": Target(title_seeds, titled, "titles.*"),
    "movielens": Target(film_seeds, filmed),
    "run": Target(run_seeds, loaded, r"run/[^/]*(toml|json|safetensors|parquet)", share=2),
    "metrics": Target(run_seeds, followed, r"run/metrics\.csv", share=0.5),
    "resume": Target(unfinished, resumed, CHECKPOINT),
}


@cache
def seeds(loader: str) -> list[Tree]:
    """The seeds of a loader."""
    return TARGETS[loader].seeds()


def made(loader: str, number: int, seed: int) -> tuple[Tree, str]:
    """Input `number` of a loader, and the name of the file in it that was changed."""
    rng = np.random.default_rng([seed, zlib.crc32(loader.encode()), number])
    trees = seeds(loader)
    tree, other = (trees[int(rng.integers(len(trees)))] for _ in range(2))
    pattern = re.compile(TARGETS[loader].changed or ".*")
    names = [name for name in sorted(tree) if pattern.fullmatch(name)]
    name = names[int(rng.integers(len(names)))]
    others = [other[n] for n in sorted(other) if pattern.fullmatch(n)]
    tree = {**tree, name: mutated(rng, name, tree[name], others[int(rng.integers(len(others)))])}
    return signed(
        tree
    ) if "checkpoint/step" in name and "manifest" not in name and rng.random() < 0.8 else tree, name


# One call


@dataclass(frozen=True)
class Outcome:
    """What became of an input: "loaded", "refused" or "failed", and why; seconds; peak megabytes
    above those before.
    """

    loader: str
    what: str
    kind: str
    why: str
    seconds: float
    megabytes: float
    file: str = ""


def put(tree: Tree, folder: Path) -> None:
    """Writes an input to a folder."""
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.replace(HERE, str(folder.resolve()).encode()))


def _resident(field: str) -> float:
    """A figure of this process's memory, in megabytes."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(re.search(rf"{field}:\s+(\d+)", status.read_text())[1]) / 1024  # type: ignore[index]


def _lower_peak() -> None:
    """The peak of the resident memory starts anew, where the system can do that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


RAN: list[str] = []
"""Events that a loader may not cause, as they come."""

FORBIDDEN = (
    "pickle.find_class",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
)


def watch_for_code() -> None:
    """From now on `RAN` lists what runs code: unpickling, processes, connections, and `exec` of
    what is no imported file.
    """

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        text = event == "exec" and getattr(arguments[0], "co_filename", "<string>") == "<string>"
        if event in FORBIDDEN or text:
            RAN.append(event)

    sys.addaudithook(hook)


def _called(load: Callable[[Path], object], folder: Path) -> tuple[str, str, str]:
    """What, kind and why of a call."""
    from lowerbound.errors import LowerboundError

    try:
        load(folder)
    except LowerboundError as error:
        text = str(error)
        sound = (
            "\n" not in text
            and text.isprintable()
            and len(text.replace(str(folder), "")) < CHARACTERS
        )
        return "refused" if sound else "failed", type(error).__name__, text[:2000]
    except BaseException as error:
        where = "".join(traceback.format_tb(error.__traceback__)[-3:])
        return "failed", type(error).__name__, f"{str(error)[:300]}\n{where}"
    return "loaded", "", ""


def judged(loader: str, tree: Tree, file: str = "") -> Outcome:
    """One input through its loader, in this process."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as name, warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = Path(name).resolve()
        put(tree, folder)
        RAN.clear()
        _lower_peak()
        before, started = _resident("VmRSS"), time.perf_counter()
        what, kind, why = _called(TARGETS[loader].load, folder)
        seconds, megabytes = time.perf_counter() - started, max(0.0, _resident("VmHWM") - before)
    for wrong, said in (
        (RAN, f"ran code: {RAN[:3]}"),
        (seconds > SECONDS, "too slow"),
        (megabytes > MEGABYTES, "too large"),
    ):
        if wrong:
            what, why = "failed", f"{said}; {why}"
    return Outcome(loader, what, kind, why, round(seconds, 3), round(megabytes, 1), file)


# The worker, and who it works for


def work() -> None:
    """Judges what comes line by line on standard input, and answers each with a line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ready: set[str] = set()
    for line in sys.stdin:
        job = json.loads(line)
        if job["loader"] not in ready:
            _warm(job["loader"])
        if not ready:
            watch_for_code()
        ready.add(job["loader"])
        print(json.dumps(asdict(judged(job["loader"], *_input(job)))), file=answers, flush=True)


def _warm(loader: str) -> None:
    """Its seeds go first: what is imported and compiled at the first call is not an input's
    doing.
    """
    trees = seeds(loader)
    import torch

    torch.set_num_threads(1)
    for tree in trees:
        first = judged(loader, tree)
        if first.kind == "ImportError":
            raise ImportError(first.why)


def _input(job: dict[str, Any]) -> tuple[Tree, str]:
    """The input of a job, and the name of what is changed in it."""
    if "case" in job:
        return taken_case(job["loader"], job["case"]), job["case"]
    return made(job["loader"], job["number"], job["seed"])


def taken_case(loader: str, case: str) -> Tree:
    """An input that was kept: a seed, and over it the files of a folder."""
    kept = taken(Path(case))
    base = next((tree for tree in seeds(loader) if kept.keys() <= tree.keys()), {})
    return {**base, **kept} if any("/" in name or len(base) > 1 for name in kept) else kept


class Worker:
    """A process that judges inputs, started anew when it dies or hangs."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, job: dict[str, Any]) -> Outcome:
        """What becomes of an input."""
        if self.process is None:
            environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
            command = [sys.executable, str(Path(__file__).resolve()), "--worker"]
            pipes = {
                "stdin": subprocess.PIPE,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.DEVNULL,
            }
            self.process = subprocess.Popen(command, text=True, env=environment, **pipes)
        process, started = self.process, time.perf_counter()
        print(json.dumps(job), file=process.stdin, flush=True)
        came = select.select([process.stdout], [], [], 3 * GRACE)[0]
        line = process.stdout.readline() if came else ""  # type: ignore[union-attr]
        if line:
            return Outcome(**json.loads(line))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0 if not came else 5)
        self.close()
        seconds = round(time.perf_counter() - started, 1)
        return Outcome(
            job["loader"],
            "failed",
            "hung" if not came else "died",
            f"exit code {process.returncode}",
            seconds,
            0.0,
        )

    def close(self) -> None:
        """Ends the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.process = None


def jobs(inputs: int, loaders: list[str], seed: int) -> Iterator[dict[str, Any]]:
    """So many inputs over these loaders, by their shares."""
    shares = {name: TARGETS[name].share for name in loaders}
    for name, share in shares.items():
        for number in range(-int(-inputs * share // sum(shares.values()))):
            yield {"loader": name, "number": number, "seed": seed}


def judge(work_list: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Outcome]]:
    """Each job with what became of it."""
    worker = Worker()
    try:
        for job in work_list:
            yield job, worker.ask(job)
    finally:
        worker.close()


def table(outcomes: list[Outcome]) -> str:
    """One row a loader, in Markdown."""
    rows = [
        "| loader | inputs | loaded | refused | failed | slowest, s | peak, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in [*dict.fromkeys(o.loader for o in outcomes), "all"]:
        own = [o for o in outcomes if name in (o.loader, "all")]
        counts = " | ".join(
            str(sum(o.what == what for o in own)) for what in ("loaded", "refused", "failed")
        )
        slowest, largest = max(o.seconds for o in own), max(o.megabytes for o in own)
        rows.append(f"| {name} | {len(own)} | {counts} | {slowest:.2f} | {largest:.0f} |")
    return "\n".join(rows)


def keep(folder: Path, job: dict[str, Any], outcome: Outcome) -> None:
    """Writes the changed file of an input that failed, and what became of it."""
    tree, name = made(job["loader"], job["number"], job["seed"])
    place = folder / job["loader"] / str(job["number"])
    put({name: tree[name]}, place)
    (folder / job["loader"] / f"{job['number']}.txt").write_text(
        f"{name}\n{outcome}\n{outcome.why}\n"
    )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        work()
        return 0
    outcomes = []
    for job, outcome in judge(list(jobs(chosen.inputs, chosen.only, chosen.seed))):
        outcomes.append(outcome)
        if outcome.what == "failed":
            print(
                f"{job}: {outcome.kind} {outcome.file}: {outcome.why}", file=sys.stderr, flush=True
            )
            if chosen.keep:
                keep(chosen.keep, job, outcome)
    print(table(outcomes))
    return int(any(outcome.what == "failed" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
