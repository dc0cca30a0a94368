"""Pictures: each is what the data say, and works on an Axes of one's own."""

import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lowerbound.cli import outputs
from lowerbound.errors import ConfigError
from lowerbound.evaluation import Estimate
from lowerbound.report import text
from lowerbound.report.figures import distributions, images
from lowerbound.system import image_grid


@pytest.fixture
def ax():
    return Figure().subplots()


def test_tiles_put_each_image_in_its_place():
    images = np.linspace(0, 0.8, 5).reshape(5, 1, 1, 1) * np.ones((5, 1, 2, 3))
    picture = image_grid.tiles(images, columns=3, gap=1)
    assert picture.shape == (2 + 1 + 2, 3 * 3 + 2, 1)
    assert picture[0, 4, 0] == round(0.2 * 255)  # the second image
    assert picture[3, 0, 0] == round(0.6 * 255)  # the first of the second row
    assert picture[3, 8, 0] == 255  # no sixth image


def test_pairs_put_each_reconstruction_below_its_original(ax):
    originals, reconstructions = np.zeros((16, 1, 2, 2)), np.ones((16, 1, 2, 2)) * 0.5
    images.pairs(originals, reconstructions, ax)
    picture = ax.images[0].get_array()
    assert [picture[3 * row, 0] for row in range(4)] == [0, 128, 0, 128]


def test_colour_images_keep_their_channels(ax):
    images.grid(np.random.default_rng(0).random((4, 3, 5, 7)), ax)
    assert ax.images[0].get_array().shape == (11, 15, 3)


def test_an_ending_that_cannot_be_written_names_those_that_can(tmp_path):
    with pytest.raises(ConfigError, match=r"one of \.npy, \.csv, got \.txt"):
        outputs.suffix(tmp_path / "a.txt", (".npy", ".csv"))


def test_a_few_pairs_are_still_pairs(ax):
    images.pairs(np.zeros((5, 1, 2, 2)), np.full((5, 1, 2, 2), 0.5), ax)
    picture = ax.images[0].get_array()
    assert picture.shape == (5, 14)
    assert set(picture[0]) == {0, 255}
    assert set(picture[3]) == {128, 255}


def test_samples_far_from_the_data_are_seen(ax):
    random = np.random.default_rng(0)
    samples = np.concatenate([random.random(500), random.normal(size=500) * 1000])
    distributions.marginal(random.random(1000), samples, ax)
    assert ax.dataLim.xmin < -0.4
    assert ax.dataLim.xmax > 1.4


def test_images_of_any_range_are_shown():
    images = np.array([0.0, 127.5, 255.0]).reshape(1, 1, 1, 3)
    assert image_grid.to_unit_interval(images, 0, 255).ravel().tolist() == [0, 0.5, 1]
    assert image_grid.to_unit_interval(images / 255, 0, 1) is not None
    assert (image_grid.to_unit_interval(images / 255, 0.1, 0.9) == images / 255).all()


@pytest.mark.parametrize("name", ["..png", "...png", "a.PNG"])
def test_a_picture_goes_to_a_file_of_any_name(tmp_path, name):
    outputs.write_png(tmp_path / name, np.zeros((2, 1, 4, 4)))
    with Image.open(tmp_path / name) as picture:
        assert picture.format == "PNG"


def test_numbers_are_written_for_pages_and_for_terminals():
    assert text.format_number(-1234.5678, 2) == "−1,234.57"
    assert text.format_number(math.inf) == text.format_number(math.nan) == "–"
    assert text.format_significant(-1234.5678) == "−1,235"
    assert [text.format_tick(value) for value in (-3, -1e-12, 0.25)] == ["−3", "0", "0.25"]
    estimate = text.format_estimate(Estimate(0.5, 0.125), 2, sign=True)
    assert estimate == "+0.50 ±\u00a00.12"
    assert text.to_ascii(estimate) == "+0.50 +- 0.12"
    assert text.to_ascii("a − b: −1 ± 2, –") == "a - b: -1 +- 2, -"
    assert [text.plain_number(value) for value in (None, math.nan, -0.125)] == ["-", "-", "-0.12"]


def test_columns_without_names_are_numbered():
    assert text.column_names(("a", "b"), 2) == ["a", "b"]
    assert text.column_names((), 2) == ["value 1", "value 2"]
    assert text.column_names((), 2, "x") == ["x1", "x2"]


def test_text_needs_neither_torch_nor_matplotlib():
    heavy = "{'torch', 'numpy', 'matplotlib', 'pydantic'}"
    code = f"import sys, lowerbound.report.text; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
