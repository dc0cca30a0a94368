"""Folders of pictures: their order, parts, classes and labels; formats, depths and transparency;
files that cannot be used; and pictures that are too many for memory.
"""

import os
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import polars
import pytest
from PIL import Image

import lowerbound
from lowerbound.data import Data
from lowerbound.data.files import decoding, limits
from lowerbound.data.files.folders import list_pictures, natural_key
from lowerbound.data.files.images import Images
from lowerbound.data.files.sources import Wanted
from lowerbound.errors import DataError, LowerboundError
from lowerbound.system import progress
from lowerbound.system.files import write_frame

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 6, 8), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (12, 6, 8, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 4096, (12, 6, 8)).astype(np.uint16)


def save(path, pixels, mode=None, **options):
    """Writes a picture of an array, in a mode of Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if mode is not None:
        image = image.convert(mode)
    image.save(path, **options)


def fill(folder, *names):
    """Writes grey pictures, each with other pixels, of these names."""
    for name, pixels in zip(names, GREY, strict=False):
        save(folder / name, pixels)


def opened(source, **options):
    """Opens a source of which nothing is cut."""
    return Data(str(source), **{"validation": 0, "test": 0} | options).open()


def pixels_of(source, **options):
    return opened(source, **options).whole.values


def files_of(data, split="all"):
    return [str(name) for name in data.split(split).names_of_rows()["file"]]


def refusal(source, **options):
    """Returns the line with which a source is refused."""
    with pytest.raises(LowerboundError) as caught:
        opened(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Order and names


def test_files_stand_in_natural_order_and_are_named(tmp_path):
    names = [f"frame_{i}.png" for i in range(12)]
    fill(tmp_path, *names)
    data = opened(tmp_path)
    assert files_of(data) == names
    assert np.array_equal(data.whole.values[:, 0], GREY[:12])


def test_names_follow_their_rows_into_the_splits(tmp_path):
    names = [f"{i}.png" for i in range(40)]
    fill(tmp_path, *names)
    data = Data(str(tmp_path), validation=0.2, test=0.2).open()
    for split in ("train", "validation", "test"):
        held = data.split(split)
        assert files_of(data, split) == [names[row] for row in held.rows]
        assert np.array_equal(held.values[held.rows, 0], GREY[held.rows])
    assert len(data.train) == 24


def test_numbers_of_any_length_and_folders_are_in_natural_order():
    expected = ["9.png", "9" * 99 + ".png", "a2/b9.png", "a2/b010.png", "a2/b11.png", "a10/b2.png"]
    assert sorted(sorted(expected), key=natural_key) == expected
    assert sorted(expected) != expected
    assert sorted(["x01", "x1", "x001"], key=natural_key) == ["x001", "x01", "x1"]


def test_accents_sort_and_label_alike_however_they_are_encoded(tmp_path):
    fill(tmp_path, "caf\u00e9/2.png", "cafe\u0301/1.png", "cafe\u0301/3.png")
    data = opened(tmp_path)
    assert [name.rpartition("/")[2] for name in files_of(data)] == ["1.png", "2.png", "3.png"]
    assert set(data.whole.labels) == {"caf\u00e9"}


def test_a_name_that_is_no_utf8_can_be_written(tmp_path):
    fill(tmp_path, "a.png")
    os.rename(os.fsencode(tmp_path / "a.png"), os.fsencode(tmp_path) + b"/caf\xe9.png")
    data = opened(tmp_path)
    frame = polars.DataFrame({"file": data.whole.names_of_rows()["file"]})
    for suffix, read in ((".csv", polars.read_csv), (".parquet", polars.read_parquet)):
        write_frame(tmp_path / f"codes{suffix}", frame)
        assert read(tmp_path / f"codes{suffix}")["file"].to_list() == ["caf\\xe9.png"]


# Parts and classes


@pytest.mark.parametrize("validation", ["val", "valid", "Validation", "DEV", None])
@pytest.mark.parametrize("test", ["test", "Test", None])
def test_folders_of_parts_are_the_parts(tmp_path, validation, test):
    counts = {"Train": 10, validation: 4, test: 3}
    parts = {part: count for part, count in counts.items() if part is not None}
    for part, count in parts.items():
        fill(tmp_path, *(f"{part}/{'ab'[i % 2]}/{i}.png" for i in range(count)))
    data = opened(tmp_path)
    held = {"Train": data.train, validation: data.validation, test: data.test}
    for part, count in parts.items():
        names = held[part].names_of_rows()["file"]
        assert len(names) == count
        assert all(name.startswith(f"{part}/") for name in names)
        assert set(held[part].labels) == {"a", "b"}
    assert any("its own parts: train 10" in note for note in data.notes)


def test_what_the_parts_lack_is_cut_from_the_training_part(tmp_path):
    fill(tmp_path, *(f"train/{i}.png" for i in range(20)), *(f"test/{i}.png" for i in range(5)))
    data = opened(tmp_path, validation=0.25)
    assert [len(data.train), len(data.validation), len(data.test)] == [15, 5, 5]
    assert all(name.startswith("train/") for name in files_of(data, "validation"))
    assert data.whole.labels is None


def test_a_test_part_without_classes_leaves_the_classes_of_the_others(tmp_path):
    fill(tmp_path, "train/dog/0.png", "train/cat/0.png", "test/0.png")
    assert opened(tmp_path).whole.labels.tolist() == ["cat", "dog", ""]


@pytest.mark.parametrize(
    "names", [("train/a.png", "cats/b.png"), ("train/a.png", "b.png"), ("test/a.png", "val/b.png")]
)
def test_other_folders_make_no_parts_and_that_is_said(tmp_path, names):
    fill(tmp_path, *names)
    data = opened(tmp_path)
    assert len(data.train) == 2
    assert any("classes and no parts" in note for note in data.notes)


def test_parts_that_do_not_lie_at_the_top_are_told_of(tmp_path):
    fill(tmp_path, "set/train/cats/0.png", "set/train/dogs/0.png", "set/Test/cats/0.png")
    data = opened(tmp_path)
    assert len(data.train) == 3
    (note,) = data.notes
    assert note.endswith("below it these folders are classes: set/Test, set/train")
    assert opened(tmp_path / "set").notes == ("the folder brings its own parts: train 2, test 1",)


def test_a_class_is_the_path_of_its_folder(tmp_path):
    fill(tmp_path, "cats/tabby/0.png", "cats/siamese/0.png", "dogs/0.png")
    assert opened(tmp_path).whole.labels.tolist() == ["cats/siamese", "cats/tabby", "dogs"]
    fill(tmp_path / "parted", "train/cats/tabby/0.png", "test/cats/tabby/0.png")
    assert opened(tmp_path / "parted").whole.labels.tolist() == ["cats/tabby"] * 2


# Formats


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.tiff", {}),
        ("a.bmp", {}),
        ("a.ppm", {}),
        ("A.PNG", {}),
    ],
)
def test_lossless_formats_give_their_pixels(tmp_path, name, options):
    save(tmp_path / name, COLOUR[0], **options)
    assert np.array_equal(pixels_of(tmp_path)[0], COLOUR[0].transpose(2, 0, 1))
    assert np.array_equal(pixels_of(tmp_path / name), pixels_of(tmp_path))


def test_content_decides_for_an_unknown_suffix(tmp_path):
    fill(tmp_path, "a.png", "b.png")
    (tmp_path / "b.png").rename(tmp_path / "b.scan")
    (tmp_path / "c.scan").write_text("no picture")
    data = opened(tmp_path)
    assert files_of(data) == ["a.png", "b.scan"]
    assert any("1 (c.scan)" in note for note in data.notes)


def test_a_gif_is_its_first_frame(tmp_path):
    frames = [Image.fromarray(image).quantize(16) for image in COLOUR[:2]]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    expected = np.asarray(frames[0].convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(pixels_of(tmp_path)[0], expected)


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_further_frames_are_told_of(tmp_path, suffix):
    first, second = (Image.fromarray(image) for image in COLOUR[:2])
    first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second])
    fill(tmp_path, "b.png")
    data = opened(tmp_path)
    assert len(data.train) == 2
    assert data.notes == ("1 of 2 images have frames or pages; the first is read",)


def test_cmyk_and_palettes_become_rgb(tmp_path):
    cmyk = Image.fromarray(COLOUR[0]).convert("CMYK")
    cmyk.save(tmp_path / "a.tif")
    palette = Image.fromarray(COLOUR[0]).quantize(8)
    palette.save(tmp_path / "b.png")
    expected = [np.asarray(image.convert("RGB")) for image in (cmyk, palette)]
    assert np.array_equal(pixels_of(tmp_path).transpose(0, 2, 3, 1), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
def test_pictures_are_turned_upright(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}
    smooth = np.add.outer(np.arange(0, 160, 10), np.arange(0, 96, 4)).astype(np.uint8)
    save(tmp_path / f"a.{suffix}", smooth, exif=exif, **options.get(suffix, {}))
    turned = {
        1: smooth,
        2: smooth[:, ::-1],
        3: smooth[::-1, ::-1],
        4: smooth[::-1],
        5: smooth.T,
        6: smooth[::-1].T,
        7: smooth[::-1, ::-1].T,
        8: smooth.T[::-1],
    }
    got = pixels_of(tmp_path)[0, 0].astype(int)
    assert got.shape == turned[orientation].shape
    assert np.abs(got - turned[orientation]).max() <= 3
    small = pixels_of(tmp_path, size="4x3")[0, 0].astype(int)
    upright = Image.fromarray(np.ascontiguousarray(turned[orientation]))
    expected = np.asarray(upright.resize((3, 4), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(small - expected).max() <= 3


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a.png", GREY[0])
    content = (tmp_path / "a.png").read_bytes()
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(content[:-12] + chunk + content[-12:])
    assert np.array_equal(pixels_of(tmp_path)[0, 0], GREY[0][::-1].T)


# Transparency


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_what_is_transparent_is_laid_over_white(tmp_path, suffix):
    alpha = GREY[1][..., None]
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    save(tmp_path / f"a.{suffix}", np.concatenate([COLOUR[0], alpha], axis=2), **options)
    data = opened(tmp_path)
    share = alpha / 255
    expected = share * COLOUR[0] + (1 - share) * 255
    assert np.abs(data.whole.values[0].transpose(1, 2, 0) - expected).max() <= 1.01
    assert "1 of 1 images have transparent pixels, laid over white" in data.notes


def test_grey_with_alpha_stays_grey(tmp_path):
    save(tmp_path / "a.png", np.stack([GREY[0], GREY[1]], axis=2), "LA")
    share = GREY[1] / 255
    got = pixels_of(tmp_path)
    assert got.shape == (1, 1, 6, 8)
    assert np.abs(got[0, 0] - (share * GREY[0] + (1 - share) * 255)).max() <= 1.01


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_colour_that_stands_for_transparent_is_white(tmp_path, mode):
    image = Image.new(mode, (4, 4), 0)
    image.putpixel((1, 2), 100 if mode != "RGB" else (100, 0, 0))
    if mode == "P":
        image.putpalette([value for i in range(256) for value in (i, i, i)])
    image.save(tmp_path / "a.png", transparency=(0, 0, 0) if mode == "RGB" else 0)
    got = pixels_of(tmp_path)[0, 0]
    assert got[2, 1] == 100
    assert (got == 255).sum() == 15


def test_an_alpha_channel_that_hides_nothing_changes_nothing(tmp_path):
    save(tmp_path / "a.png", COLOUR[0], "RGBA")
    data = opened(tmp_path)
    assert np.array_equal(data.whole.values[0], COLOUR[0].transpose(2, 0, 1))
    assert not data.notes


# Depth


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_grey_pictures_of_more_than_8_bits_keep_them(tmp_path, suffix, bits):
    deep = RNG.integers(0, 2**bits, (3, 6, 8)).astype(np.uint16)
    deep[0, 0, 0] = 2**bits - 1
    for i, pixels in enumerate(deep):
        save(tmp_path / f"{i}.{suffix}", pixels)
    data = opened(tmp_path)
    assert data.whole.values.dtype == np.uint16
    assert np.array_equal(data.whole.values[:, 0], deep)
    assert data.schema.levels == 2**bits
    assert data.train.batch(slice(None)).max() == 1


def test_deep_pictures_are_resized_with_all_their_bits(tmp_path):
    flat = np.full((8, 8), 40_001, np.uint16)
    save(tmp_path / "a.png", flat)
    assert np.array_equal(pixels_of(tmp_path, size="3x5")[0, 0], flat[:3, :5])


@pytest.mark.parametrize("name", ["a.png", "big.tif"])
def test_deep_pictures_of_either_byte_order_and_with_a_transparent_value(tmp_path, name):
    if name == "a.png":
        save(tmp_path / name, DEEP[0], transparency=int(DEEP[0, 2, 3]))
        expected = np.where(DEEP[0] == DEEP[0, 2, 3], 2**16 - 1, DEEP[0])
    else:
        head = struct.pack(">2sHIH", b"MM", 42, 8, 8)
        tags = [(256, 3, 8), (257, 3, 6), (258, 3, 16), (259, 3, 1), (262, 3, 1)]
        tags += [(273, 4, 8 + 2 + 8 * 12 + 4), (278, 3, 6), (279, 4, 96)]
        for tag, kind, value in tags:
            packed = struct.pack(">HH" if kind == 3 else ">I", *[value, 0][: 2 if kind == 3 else 1])
            head += struct.pack(">HHI", tag, kind, 1) + packed
        content = head + bytes(4) + DEEP[0].astype(">u2").tobytes()
        (tmp_path / name).write_bytes(content)
        expected = DEEP[0]
    assert np.array_equal(pixels_of(tmp_path)[0, 0], expected)


def test_deep_greys_among_others_have_8_bits_and_that_is_said(tmp_path):
    save(tmp_path / "a.png", GREY[0])
    save(tmp_path / "b.png", DEEP[0])
    data = opened(tmp_path)
    assert np.array_equal(data.whole.values[:, 0], [GREY[0], DEEP[0] >> 8])
    assert "1 of 2 images have 16 bits, of which the upper 8 are read" in data.notes


def test_colours_of_16_bits_have_their_upper_8_and_that_is_said(tmp_path):
    deep = RNG.integers(0, 2**16, (6, 8, 3))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    parts = [b"IHDR" + struct.pack(">IIBBBBB", 8, 6, 16, 2, 0, 0, 0), b"IDAT" + zlib.compress(rows)]
    content = b"\x89PNG\r\n\x1a\n"
    for part in (*parts, b"IEND"):
        content += struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
    (tmp_path / "a.png").write_bytes(content)
    data = opened(tmp_path)
    assert np.array_equal(data.whole.values[0], (deep >> 8).transpose(2, 0, 1))
    assert any("of which the upper 8 are read" in note for note in data.notes)


def test_pictures_of_real_numbers_are_refused_with_a_way_out(tmp_path):
    save(tmp_path / "a.tif", GREY[0].astype(np.float32))
    assert "real numbers" in refusal(tmp_path)
    assert ".npy" in refusal(tmp_path)


# Files that cannot be used


def broken_folder(folder):
    """Writes thirty pictures of which three are broken, and files that are none."""
    fill(folder, *(f"{i:02}.png" for i in range(30)))
    for name in ("07.png", "19.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:60])
    (folder / "25.png").write_text("no picture")
    for name in ("labels.csv", "notes.txt", "about.json", "cache.db"):
        (folder / name).write_text("x,y")
    return folder


def test_all_broken_files_are_told_of_at_once(tmp_path):
    line = refusal(broken_folder(tmp_path))
    assert "3 of the 30 image files" in line
    assert all(name in line for name in ("07.png", "19.png", "25.png", "data.skip_broken=true"))


def test_broken_files_are_passed_over_and_counted_on_request(tmp_path):
    data = opened(broken_folder(tmp_path), skip_broken=True)
    kept = [row for row in range(30) if row not in (7, 19, 25)]
    assert files_of(data) == [f"{row:02}.png" for row in kept]
    assert np.array_equal(data.whole.values[:, 0], GREY[kept])
    assert any("3 of the 30 image files" in note for note in data.notes)
    assert any("4 (about.json, cache.db, labels.csv, ...)" in note for note in data.notes)


def test_broken_files_leave_the_parts_and_labels_in_their_places(tmp_path):
    fill(tmp_path, *(f"{part}/{i}/x.png" for part in ("train", "val", "test") for i in range(4)))
    for name in ("train/1", "val/0", "val/2", "test/3"):
        (tmp_path / name / "x.png").write_text("broken")
    data = opened(tmp_path, skip_broken=True)
    assert files_of(data, "train") == [f"train/{i}/x.png" for i in (0, 2, 3)]
    assert files_of(data, "validation") == ["val/1/x.png", "val/3/x.png"]
    assert files_of(data, "test") == [f"test/{i}/x.png" for i in (0, 1, 2)]
    assert data.whole.labels.tolist() == ["0", "2", "3", "1", "3", "0", "1", "2"]


def test_nothing_but_broken_files_is_refused_also_on_request(tmp_path):
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_text("x")
    assert "2 of the 2 image files" in refusal(tmp_path, skip_broken=True)


def test_sizes_and_broken_files_are_told_of_in_one_line(tmp_path):
    save(tmp_path / "a.png", GREY[0])
    save(tmp_path / "b.png", GREY[1])
    save(tmp_path / "c.png", GREY[1][:4])
    save(tmp_path / "e.png", GREY[1][:3])
    (tmp_path / "d.png").write_text("x")
    line = refusal(tmp_path)
    assert all(words in line for words in ("a.png is 6x8", "c.png is 4x8", "3 sizes", "d.png"))
    assert "--set data.size=6x8" in line


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "raw.nef"])
def test_pictures_in_formats_that_are_not_read_are_no_thumbnails(tmp_path, name):
    fill(tmp_path, "a.png", "b.tif")
    (tmp_path / "b.tif").rename(tmp_path / name)
    suffix = Path(name).suffix.lower()
    assert f"{name} ({suffix} is not read; convert it" in refusal(tmp_path)


def test_a_folder_that_cannot_be_looked_into_is_not_passed_over(tmp_path, monkeypatch):
    fill(tmp_path, "a.png", "closed/b.png")
    scan = os.scandir

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "Permission denied" in refusal(tmp_path)


def test_links_to_folders_are_told_of(tmp_path):
    fill(tmp_path / "set", "a/0.png")
    fill(tmp_path / "elsewhere", "1.png")
    (tmp_path / "set" / "cats.png").symlink_to(tmp_path / "elsewhere")
    data = opened(tmp_path / "set")
    assert files_of(data) == ["a/0.png"]
    assert data.notes == ("links to folders, which are not followed: 1 (cats.png/)",)


# One picture, and pictures for a model


def test_one_picture_is_a_source(tmp_path):
    fill(tmp_path, "a.png", "b.png")
    data = opened(tmp_path / "b.png")
    assert files_of(data) == ["b.png"]
    assert np.array_equal(data.whole.values[:, 0], GREY[1:2])
    assert data.whole.labels is None


def test_one_picture_is_known_by_what_it_holds_or_refused_by_its_kind(tmp_path):
    save(tmp_path / "a.png", GREY[0])
    (tmp_path / "a.png").rename(tmp_path / "upload")
    np.testing.assert_array_equal(pixels_of(tmp_path / "upload"), GREY[None, :1])
    (tmp_path / "b.heic").write_bytes(bytes(40))
    assert "convert it to JPEG, PNG or TIFF" in refusal(tmp_path / "b.heic")


def test_pictures_become_what_a_model_reads_and_that_is_said(tmp_path):
    fill(tmp_path / "model", *(f"{i}.png" for i in range(9)))
    schema = opened(tmp_path / "model").schema
    save(tmp_path / "one.webp", RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    data = Data(str(tmp_path / "one.webp"), validation=0, test=0).open(schema)
    assert data.whole.values.shape == (1, 1, 6, 8)
    assert any("1 of 1 images are resized to 6x8, the model's size" in note for note in data.notes)
    assert any("in colour become grey" in note for note in data.notes)
    for size in ("6x8", "auto"):
        sized = Data(str(tmp_path / "one.webp"), validation=0, test=0, size=size).open(schema)
        assert sized.notes == data.notes
        assert np.array_equal(sized.whole.values, data.whole.values)
    grey = Data(str(tmp_path / "model" / "3.png"), validation=0, test=0).open(schema)
    assert np.array_equal(grey.whole.values[0, 0], GREY[3])
    assert not grey.notes


def test_a_run_says_how_it_read_other_pictures(tmp_path, capsys):
    fill(tmp_path / "own", *(f"{i}.png" for i in range(9)))
    settings = {
        "data.binarize": "none",
        "model.network": {"type": "MLP", "hidden": [4]},
        "model.latent": [2],
        "model.likelihood": "DiscretizedLogistic",
        "training.epochs": 1,
        "report.write": False,
    }
    run = lowerbound.fit(
        "digits", data=tmp_path / "own", out=tmp_path / "run", settings=settings, progress=False
    )
    save(tmp_path / "other" / "a.webp", RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    (tmp_path / "other" / "b.txt").touch()
    run.evaluate(tmp_path / "other", samples=2)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "lowerbound: files that are no images and passed over: 1 (b.txt)",
        "lowerbound: 1 of 1 images are resized to 6x8, the model's size",
        "lowerbound: 1 of 1 images in colour become grey, as the model's are",
    ]


def test_grey_pictures_become_colour_for_a_model_of_colours(tmp_path):
    save(tmp_path / "model" / "a.png", COLOUR[0])
    schema = opened(tmp_path / "model").schema
    save(tmp_path / "b.png", GREY[0])
    data = Data(str(tmp_path / "b.png"), validation=0, test=0).open(schema)
    assert np.array_equal(data.whole.values[0], [GREY[0]] * 3)


def test_the_advice_on_broken_files_is_one_that_can_be_followed(tmp_path):
    fill(tmp_path / "model", "a.png")
    schema = opened(tmp_path / "model").schema
    other = Data(str(broken_folder(tmp_path / "other")), validation=0, test=0)
    with pytest.raises(DataError, match=r"mend or remove them$"):
        other.open(schema)


def test_pictures_get_the_levels_of_a_model(tmp_path):
    digits = Data("digits").open()
    assert digits.schema.levels == 17
    save(tmp_path / "a.png", np.full((8, 8), 255, np.uint8))
    save(tmp_path / "b.png", np.full((8, 8), 128, np.uint8))
    data = Data(str(tmp_path), validation=0, test=0).open(digits.schema)
    assert np.array_equal(np.unique(data.whole.values[0]), [16])
    assert np.array_equal(np.unique(data.whole.values[1]), [8])
    assert data.schema.levels == data.whole.levels == 17


def test_deep_pictures_keep_to_the_levels_of_a_model(tmp_path):
    for folder, peak in (("model", 4095), ("dark", 900), ("bright", 5000)):
        save(tmp_path / folder / "a.png", np.full((4, 4), peak, np.uint16))
    schema = opened(tmp_path / "model").schema
    dark = Data(str(tmp_path / "dark"), validation=0, test=0).open(schema)
    assert (dark.whole.levels, dark.whole.values.max()) == (4096, 900)
    with pytest.raises(DataError, match="values up to 5,000, and the model was trained on 4,096"):
        Data(str(tmp_path / "bright"), validation=0, test=0).open(schema)


def test_pictures_are_drawn_for_a_binarised_model_from_all_their_levels(tmp_path):
    fill(tmp_path, *(f"{i}.png" for i in range(9)))
    source = Data(str(tmp_path), binarize="dynamic", validation=0, test=0)
    schema = source.open().schema
    assert schema.levels == 2
    assert np.array_equal(source.open(schema).whole.values[:, 0], GREY[:9])


# Labels


def labelled(folder, content, name="labels.csv", **options):
    fill(folder, "a/1.png", "a/2.png", "b/10.png")
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return opened(folder, labels=name, **options)


@pytest.mark.parametrize(
    "content",
    [
        "file,label\n1.png,x\n2.png,y\n10.png,z\n",
        "label,file\nz,10\nx,1\ny,2\n",
        "id;breed;class\r\na/1.png;p;x\r\na/2.png;q;y\r\nb/10.png;r;z\r\n",
        "\ufeffpath\ttarget\n./a/1.png\tx\na\\2.png\ty\nb/10\tz\n",
        "1.png,x\n2.png,y\n10.png,z\n",
        'what,which\n"1.png","x"\n"2.png","y"\n"10.png","z"\n',
    ],
)
def test_labels_come_from_a_file_beside_the_pictures(tmp_path, content):
    data = labelled(tmp_path, content)
    assert data.whole.labels.tolist() == ["x", "y", "z"]
    assert any("labels.csv" in note and "column" in note for note in data.notes)
    assert not any("no images" in note for note in data.notes)


def test_labels_may_lie_elsewhere(tmp_path):
    (tmp_path / "there.csv").write_text("file,label\n1.png,x\n2.png,y\n10.png,z\n")
    fill(tmp_path / "set", "1.png", "2.png", "10.png")
    data = opened(tmp_path / "set", labels=str(tmp_path / "there.csv"))
    assert data.whole.labels.tolist() == ["x", "y", "z"]


def test_names_in_labels_match_whatever_their_accents(tmp_path):
    fill(tmp_path, "cafe\u0301.png")
    (tmp_path / "l.csv").write_text("file,label\ncaf\u00e9.png,e\u0301\n", encoding="utf-8")
    assert opened(tmp_path, labels="l.csv").whole.labels.tolist() == ["\u00e9"]


def test_images_without_a_label_are_told_of(tmp_path):
    data = labelled(tmp_path, "file,label\n1.png,x\n7.png,q\n")
    assert data.whole.labels.tolist() == ["x", "", ""]
    (note,) = [note for note in data.notes if "labels are those" in note]
    assert "2 images are not in it and have none: a/2.png, b/10.png" in note
    assert "1 of its rows name no image" in note


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("file,label\nq.png,x\n", "names none of the 3 images"),
        ("file,label\n1.png,x\n1.png,y\n", "two labels for 1.png: 'x' and 'y'"),
        ("file,label\n", "holds no labels"),
        ("file\n1.png\n", "a column of files and one of labels"),
        ("", "a column of files and one of labels|is empty"),
        (b"\x1f\x8bxxxx", "compressed"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, content, words):
    with pytest.raises(DataError, match=words) as caught:
        labelled(tmp_path, content)
    assert "labels.csv" in str(caught.value)


def test_a_name_that_two_pictures_have_names_neither(tmp_path):
    fill(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "l.csv").write_text("file,label\n1.png,x\n")
    assert "names none" in refusal(tmp_path, labels="l.csv")
    assert "no file of labels" in refusal(tmp_path, labels="gone.csv")


def test_other_pictures_for_a_model_need_no_labels(tmp_path):
    schema = labelled(tmp_path / "own", "file,label\n1.png,x\n2.png,y\n10.png,z\n").schema
    fill(tmp_path / "other", "a.png")
    other = Data(str(tmp_path / "other"), validation=0, test=0, labels="labels.csv").open(schema)
    assert other.whole.labels is None
    assert any("no labels" in note for note in other.notes)


# Memory


def test_plain_pictures_that_compress_well_are_read(tmp_path):
    """Masks: their pixels are 500 times as many as their bytes."""
    mask = np.zeros((512, 512, 3), np.uint8)
    mask[100:300, 50:200] = (255, 0, 0)
    for i in range(90):
        save(tmp_path / f"{i}.png", mask, optimize=True)
    held = sum(path.stat().st_size for path in tmp_path.iterdir())
    values = pixels_of(tmp_path)
    assert values.nbytes > max(limits.FREE_BYTES, limits.RATIO * held)
    assert np.array_equal(values[89], mask.transpose(2, 0, 1))


def test_a_photograph_of_108_megapixels_is_read_at_the_size_that_is_asked_for(tmp_path):
    """Pillow takes it for a bomb; the decoder makes it smaller at once."""
    stripes = np.zeros((9000, 12_000), np.uint8)
    stripes[:4500] = 200
    save(tmp_path / "a.jpg", stripes, quality=30)
    before = Image.MAX_IMAGE_PIXELS
    values = pixels_of(tmp_path, size="90x120")
    assert values.shape == (1, 1, 90, 120)
    assert np.abs(values[0, 0, :44].astype(int) - 200).max() <= 2
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.fixture
def small_memory(tmp_path, monkeypatch):
    """A memory of which a source may take 500 bytes, and a cache in a folder."""
    monkeypatch.setattr(decoding, "usable_memory", lambda: 500.0)
    monkeypatch.setattr(decoding, "cache", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "images"


def test_pictures_beyond_memory_are_kept_in_a_file(tmp_path, small_memory):
    fill(tmp_path / "set", *(f"{i}.png" for i in range(20)))
    data = opened(tmp_path / "set")
    assert isinstance(data.whole.values.base, np.memmap)
    assert np.array_equal(data.whole.values[:, 0], GREY[:20])
    (kept,) = small_memory.glob("*.npy")
    assert any(str(kept) in note for note in data.notes)
    assert data.whole.digest() == opened(tmp_path / "set").whole.digest()


def test_kept_pictures_are_decoded_once_until_they_change(tmp_path, small_memory, monkeypatch):
    folder = broken_folder(tmp_path / "set")
    before = pixels_of(folder, skip_broken=True).copy()
    decode = decoding.decode
    monkeypatch.setattr(decoding, "decode", None)
    data = opened(folder, skip_broken=True)
    assert np.array_equal(data.whole.values, before)
    assert any("3 of the 30 image files" in note for note in data.notes)
    assert len(files_of(data)) == 27
    monkeypatch.setattr(decoding, "decode", decode)
    save(folder / "07.png", GREY[7])
    assert np.array_equal(
        pixels_of(folder, skip_broken=True)[:, 0], np.delete(GREY[:30], [19, 25], 0)
    )
    assert pixels_of(folder, skip_broken=True, size="5x5").shape == (28, 1, 5, 5)
    assert len(list(small_memory.glob("*.npy"))) == 3


def test_nothing_is_kept_of_a_reading_that_fails(tmp_path, small_memory, monkeypatch):
    fill(tmp_path / "set", *(f"{i}.png" for i in range(20)))

    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(decoding, "decode", fail)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path / "set")
    assert not list(small_memory.iterdir())


def test_a_full_disk_is_seen_before_pictures_are_decoded(tmp_path, small_memory, monkeypatch):
    fill(tmp_path / "set", *(f"{i}.png" for i in range(20)))
    usage = decoding.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(decoding, "decode", None)
    assert "data.size=HEIGHTxWIDTH" in refusal(tmp_path / "set")


def test_threads_keep_the_order(tmp_path, monkeypatch):
    fill(tmp_path, *(f"{i}.png" for i in range(40)))
    decode = decoding.decode
    seen = set()

    def slow(path, form, most):
        seen.add(threading.get_ident())
        time.sleep(0.01 * (int(path.stem) % 3 == 0))
        return decode(path, form, most)

    monkeypatch.setattr(decoding, "decode", slow)
    monkeypatch.setattr(decoding, "_threads", lambda largest: 4)
    assert np.array_equal(pixels_of(tmp_path)[:, 0], GREY)
    assert len(seen) > 1


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch):
    monkeypatch.setattr(decoding, "usable_memory", lambda: 1e6)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert decoding._threads(100) == 6
    assert decoding._threads(10**6 // (2 * decoding.BYTES_PER_PIXEL)) == 2
    assert decoding._threads(10**9) == 1


def test_the_reading_of_many_pictures_shows_how_far_it_is(tmp_path, monkeypatch, capsys):
    fill(tmp_path, *(f"{i}.png" for i in range(20)))
    opened(tmp_path)
    assert not capsys.readouterr().err
    monkeypatch.setattr(decoding, "MANY", 20)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    opened(tmp_path)
    assert "reading images" in capsys.readouterr().err


def test_pictures_are_listed_without_being_opened(tmp_path, monkeypatch):
    fill(tmp_path, "a.png", "b/c.png")
    monkeypatch.setattr(Image, "open", None)
    listing = list_pictures(tmp_path)
    assert listing.names == ("a.png", "b/c.png")
    assert listing.paths() == [tmp_path / "a.png", tmp_path / "b/c.png"]


def test_grey_is_asked_of_the_reader(tmp_path):
    """So that it is weighed and kept as grey."""
    save(tmp_path / "a.png", COLOUR[0])
    raw = Images().read(tmp_path, Wanted(grey=True))
    assert raw.values.shape == (1, 1, 6, 8)
    expected = np.asarray(Image.fromarray(COLOUR[0]).convert("L")).astype(int)
    assert np.abs(raw.values[0, 0] - expected).max() <= 1
