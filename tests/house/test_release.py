"""What is given away: a wheel that anyone can build again byte for byte, with all that it needs and
nothing else, and what the files about the project say of it.
"""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml

import lowerbound

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "src")
"""What a wheel is built from."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def build(folder, *kinds):
    """Builds distributions from the copy of the sources in `folder`, and returns their paths."""
    target = folder / "dist"
    options = [option for kind in kinds for option in ("-t", kind)]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *options, "-d", target],
        cwd=folder,
        check=True,
        capture_output=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"},
    )
    return {path.suffix: path for path in target.iterdir()}


def copied(folder):
    """Copies the sources, as a clone of another moment by another user has them."""
    folder.mkdir()
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel and a source distribution."""
    return build(copied(tmp_path_factory.mktemp("release") / "first"), "wheel", "sdist")


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(built[".whl"]) as opened:
        yield opened


def test_a_wheel_built_elsewhere_at_another_time_is_the_same(built, tmp_path):
    second = copied(tmp_path / "second")
    for path in second.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        if path.is_file():
            path.chmod(0o600)
    again = build(second, "wheel")[".whl"]
    assert again.name == built[".whl"].name
    assert again.read_bytes() == built[".whl"].read_bytes()


def test_a_wheel_built_from_the_source_distribution_is_the_same(built, tmp_path):
    shutil.unpack_archive(built[".gz"], tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert build(unpacked, "wheel")[".whl"].read_bytes() == built[".whl"].read_bytes()


def test_a_wheel_holds_the_package_and_nothing_else(wheel):
    package = ROOT / "src" / "lowerbound"
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    wanted = {path.relative_to(ROOT / "src").as_posix() for path in files}
    about = f"lowerbound-{lowerbound.__version__}.dist-info/"
    found = {name for name in wheel.namelist() if not name.startswith(about)}
    assert found == wanted
    assert "lowerbound/py.typed" in found
    assert any(name.startswith("lowerbound/recipes/") for name in found)
    assert about + "licenses/LICENSE" in wheel.namelist()


def test_the_metadata_tell_version_licence_and_extras(wheel):
    about = f"lowerbound-{lowerbound.__version__}.dist-info/METADATA"
    metadata = message_from_bytes(wheel.read(about))
    assert metadata["Version"] == lowerbound.__version__
    assert metadata["License-Expression"] == PROJECT["license"]
    assert metadata["Requires-Python"] == PROJECT["requires-python"]
    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])


def test_all_is_the_extra_of_all_extras():
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    named = set(everything.removeprefix("lowerbound[").removesuffix("]").split(","))
    trackers = {"tensorboard", "wandb", "mlflow"}
    engines = {"ray", "spark"}
    assert named - {"trackers"} == extras.keys() - {"all", "trackers"} - trackers - engines
    assert {"export", "serve", "hub", "tune", "trackers"} <= named


def test_the_unpacked_wheel_runs(wheel, tmp_path):
    wheel.extractall(tmp_path)
    script = (
        "import lowerbound; from lowerbound.specs import listing; print(lowerbound.__file__);"
        "print(*sorted(listing.recipes()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    place, recipes = ran.stdout.splitlines()
    assert Path(place).is_relative_to(tmp_path)
    assert recipes.split() == sorted(
        path.stem for path in (ROOT / "src" / "lowerbound" / "recipes").glob("*.toml")
    )


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == lowerbound.__version__
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]
