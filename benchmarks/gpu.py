"""What a GPU makes of the models: whether it agrees with the CPU, whether a fit goes on exactly,
how long a step takes, and what `ladder-mnist-gpu` reaches in some minutes.

    python benchmarks/gpu.py [--only agreement resume tests steps train] [--device cuda]
        [--recipe NAME ...] [--minutes 6] [--samples 1000] [--limit 580] [--tiny] [--threads N]

It is one command of less than ten minutes: `--limit` is in seconds, and what comes last takes what
is left of it. Each part can be left out by `--only`, and each result is written as soon as it is
there, beside those of earlier calls.

- agreement: each recipe on images or tables with random weights, at draws of the latents that were
  made on the CPU. Terms, gradients and the importance-weighted bound of the device against those of
  the CPU in float64, and the same of the CPU in float32. In float32 proper they are to be within
  1e-4 of the largest; products in tf32, which PyTorch takes for convolutions unless it is told not
  to, and in bfloat16 are told beside them.
- resume: a fit that was cut off in the middle of an epoch and went on, against one that was not: by
  how much their weights differ, with PyTorch's usual algorithms and with deterministic ones; the
  same after a change from the CPU to the device and back.
- tests: `pytest tests/devices`, which runs on the GPU what other machines run on a device that is
  not there.
- steps: a step of `ladder-mnist-gpu` as it is, in bfloat16, compiled, and with CUDA graphs; beside
  the operations of a step and the rate of large products.
- train: `ladder-mnist-gpu` for `--minutes`. The steps are chosen by measured ones, so that the
  schedules end in time. Then log p(x) of the test images, with as many of the `--samples` and
  images as there is time for.

train wants MNIST (`LOWERBOUND_DATA` names its folder, or it is downloaded beforehand); the others
take random images. agreement, and the tests of tables, need Polars. `--tiny` does all of it on a
CPU with next to nothing, for the tests. Writes results/gpu.json and results/gpu-samples.png.
"""

import argparse
import contextlib
import copy
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Deterministic products of a GPU need it before the first of them.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import numpy as np
import torch

from common import Machine, arguments, last_line, parser, spread, write
from loops import Ours
from lowerbound import recipe as recipes
from lowerbound.batch import Batch
from lowerbound.data import Dataset, named_sets
from lowerbound.evaluation import likelihood
from lowerbound.evaluation.proposal import POSTERIOR_ALONE
from lowerbound.model import VAE
from lowerbound.recipe import Recipe
from lowerbound.training import Fit, Follower
from lowerbound.training.threads import operations

ROOT = Path(__file__).parents[1]

LADDER = "ladder-mnist-gpu"

PARTS = ("agreement", "resume", "tests", "steps", "train")

TOLERANCE = 1e-4
"""What float32 may differ by, as a part of the largest number."""

SIZES = {"aevb-freyfaces": (28, 20), "digits": (8, 8), "images": (32, 32, 3)}
"""Sizes of the images of recipes that are for others than 28 x 28 grey pixels."""

TINY = {
    "model.latent": [1, 1, 4],
    "model.ladder.width": [8, 8],
    "model.ladder.grids": [1, 1],
    "training.batch_size": 16,
    "training.compile": False,
}
"""Settings of the ladder that a CPU fits in no time."""

STEP_VARIANTS = {
    "float32": {"training.precision": "32-true", "training.compile": False},
    "bfloat16": {"training.precision": "bf16-mixed", "training.compile": False},
    "bfloat16, compiled": {"training.precision": "bf16-mixed", "training.compile": True},
    "bfloat16, CUDA graphs": {"training.precision": "bf16-mixed", "training.compile": "graphs"},
}

CHOICES_OF_SAMPLES = (1000, 500, 200, 100, 50, 20, 10)
"""Numbers of importance samples, of which the largest is taken that there is time for."""


class Results:
    """The result file, which is written anew with each result.

    Args:
        given: the command line.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.started = time.monotonic()
        self.found: dict[str, Any] = {}
        path = given.results / "gpu.json"
        if path.is_file():
            earlier = json.loads(path.read_text(encoding="utf-8"))
            self.found = {name: earlier[name] for name in PARTS if name in earlier}

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return self.given.limit - (time.monotonic() - self.started)

    def note(self, part: str, found: Any) -> None:
        """Writes the result of a part as far as it is there."""
        self.found[part] = found
        with contextlib.redirect_stdout(sys.stderr):
            write("gpu", {"card": card(self.given.device), **self.found}, self.given)


def card(device: str) -> dict[str, Any]:
    """What the device is, and the versions of what drives it."""
    if not device.startswith("cuda"):
        return {"name": "CPU"}
    facts = torch.cuda.get_device_properties(device)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    except OSError:
        driver = "unknown"
    return {
        "name": facts.name,
        "gigabytes": facts.total_memory / 1e9,
        "driver": driver,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


@contextlib.contextmanager
def products(kind: str, device: str) -> Iterator[None]:
    """Sets the type of the matrix products on a GPU within a block."""
    is_tf32 = kind == "tf32"
    before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    torch.backends.cuda.matmul.allow_tf32 = is_tf32
    torch.backends.cudnn.allow_tf32 = is_tf32
    is_half = kind == "bfloat16"
    try:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=is_half):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before[0]
        torch.backends.cudnn.allow_tf32 = before[1]


# Agreement ---------------------------------------------------------------------------------------


def compared_recipes() -> list[str]:
    """Names of the packaged recipes that are not for interactions."""
    names = []
    for name in sorted(recipes.packaged()):
        if type(recipes.load(name).model.likelihood).__name__ != "Multinomial":
            names.append(name)
    return names


def made_source(name: str, examples: int) -> Any:
    """Random examples of the kind that a recipe is for, twenty times as many as are compared."""
    random = np.random.default_rng(0)
    count = 20 * examples
    if recipes.load(name).about.group == "table":
        import polars

        numbers = random.normal(3.0, 2.0, count)
        return polars.DataFrame(
            {
                "town": random.choice(["a", "b", "c"], count),
                "number": numbers,
                "positive": random.lognormal(0.0, 1.0, count),
                "count": random.poisson(2.0, count),
                "atom": np.where(random.random(count) < 0.4, 0.0, numbers.round(1)),
                "yes": random.random(count) < 0.3,
            }
        )
    size = SIZES.get(name, (28, 28))
    images = random.integers(0, 256, (count, *size), dtype=np.uint8)
    return images, np.arange(count) % 10


def prepared(name: str, given: argparse.Namespace) -> tuple[Recipe, VAE, Batch]:
    """A recipe, its model with random weights in float64, and some examples."""
    from lowerbound.run import build

    plan = recipes.load(name).replace({"data.validation": 0.1, "data.test": 0.1})
    if given.tiny and plan.model.ladder is not None and name == LADDER:
        plan = plan.replace(TINY)
    data = plan.data.open(source=made_source(name, given.examples))
    torch.manual_seed(0)
    model = build(plan, data.schema).eval().double()
    rows = slice(0, given.examples)
    batch = data.train.batch(rows)
    if not isinstance(batch, Batch):
        batch = Batch(batch)
    return plan, model, batch.to(dtype=torch.float64)


def measured_at(
    plan: Recipe, model: VAE, batch: Batch, zs: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The terms at given draws (K, B, d) of the levels, the gradient, and the weighted bound, in
    float64 on the CPU.
    """
    model.zero_grad()
    terms = model.terms_of(model.at(batch, list(zs)), batch, plan.objective.kl)
    plan.objective(terms, 0, 1).backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    bound = torch.logsumexp(terms.log_weight.double(), 0) - math.log(len(terms.log_weight))
    found = {
        "log_likelihood": terms.log_likelihood,
        "rate": terms.rate,
        "gradient": torch.cat(gradients),
        "bound": bound,
    }
    return {name: values.detach().double().cpu() for name, values in found.items()}


def differences(
    found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> dict[str, float]:
    """By how much numbers differ: of the gradient the norm of the difference over the norm, of the
    bound nats, of the others the largest difference over the largest number, or over 1.
    """
    apart = {}
    for name, values in wanted.items():
        difference = found[name] - values
        if name == "gradient":
            apart[name] = float(difference.norm() / values.norm())
        elif name == "bound":
            apart[name] = float(difference.abs().max())
        else:
            largest = max(float(values.abs().max()), 1.0)
            apart[name] = float(difference.abs().max()) / largest
    return apart


def agreement_of(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Compares one recipe on the CPU and on the device."""
    plan, exact, batch = prepared(name, given)
    with torch.no_grad():
        levels = exact.infer(batch, given.draws).levels
        zs = [level.z.float().double() for level in levels]
    exact = exact.float().double()
    batch = batch.to(dtype=torch.float32).to(dtype=torch.float64)
    wanted = measured_at(plan, exact, batch, zs)
    found = {}
    for place, kind in (
        ("cpu", "float32"),
        (given.device, "float32"),
        (given.device, "tf32"),
        (given.device, "bfloat16"),
    ):
        model = copy.deepcopy(exact).float().to(place)
        there = batch.to(place, torch.float32)
        with products(kind, place):
            got = measured_at(plan, model, there, [z.to(place, torch.float32) for z in zs])
        label = "cpu" if (place, kind) == ("cpu", "float32") and "cpu" not in found else kind
        found[label] = differences(got, wanted)
    apart = [found["float32"][what] for what in ("log_likelihood", "rate", "gradient")]
    return {**found, "agrees": bool(max(apart) <= TOLERANCE)}


def agreement(results: Results) -> None:
    """Compares the recipes, one after the other."""
    given = results.given
    found: dict[str, Any] = {}
    for name in given.recipe or compared_recipes():
        try:
            found[name] = agreement_of(name, given)
        except Exception as error:  # whatever it is, the others are to be compared
            found[name] = {"error": last_line(str(error))}
        print(f"agreement, {name}: {json.dumps(found[name])}", flush=True)
        results.note("agreement", found)


# Resume ------------------------------------------------------------------------------------------


class CutOff(Exception):
    """Ends a fit as if it had been killed: nothing more is written."""


class Cutting(Follower):
    """Ends a fit at the end of its second epoch."""

    def epoch_done(self, history: list[dict[str, float]]) -> None:
        if len(history) == 2:
            raise CutOff


def small_plan(given: argparse.Namespace) -> tuple[Recipe, Dataset]:
    """A small ladder and few images, without compilation."""
    changed = TINY | {
        "model.ladder.kind": "basic",
        "data.validation": 32,
        "objective.free_bits": 0.1,
        "training.compile": False,
        "training.precision": "32-true",
        "training.steps": None,
        "training.epochs": 3,
        "training.batch_size": 32,
        "training.checkpoint_steps": 7,
        "training.checkpoint_every": 1000,
        "training.threads": given.threads,
    }
    plan = recipes.load(LADDER).replace(changed)
    return plan, random_data(plan, 192)


def random_data(plan: Recipe, count: int) -> Dataset:
    """Random images of 28 x 28 pixels for a recipe, by way of a file: to read a file needs no other
    library.
    """
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.save(path, images)
        return plan.replace({"data.source": str(path), "data.test": 0.1}).data.open()


def fit_of(plan: Recipe, data: Dataset, device: str, folder: str | None = None) -> Fit:
    """A fit from its start, on a device."""
    from lowerbound.run import build

    kind = torch.device(device).type
    settings = plan.replace({"training.accelerator": kind}).training
    torch.manual_seed(settings.seed)
    checkpoints = None
    if folder is not None:
        checkpoints = Path(folder)
    # A process compiles a function a few times, and lets it run as it is from then on.
    torch.compiler.reset()
    return Fit(build(plan, data.schema), data, plan.objective, settings, checkpoints=checkpoints)


def weights_of(fit: Fit) -> torch.Tensor:
    """All weights side by side, on the CPU."""
    return torch.cat([p.detach().flatten().double().cpu() for p in fit.model.parameters()])


def trained(plan: Recipe, data: Dataset, device: str) -> torch.Tensor:
    """The weights after a fit that was not cut off."""
    fit = fit_of(plan, data, device)
    fit.run()
    return weights_of(fit)


def cut_and_resumed(plan: Recipe, data: Dataset, first: str, second: str) -> torch.Tensor:
    """The weights after a fit that was cut off on one device, and went on on another."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            fit_of(plan, data, first, folder).run(Cutting())
        except CutOff:
            pass
        else:
            raise RuntimeError("the fit was not cut off")
        fit = fit_of(plan, data, second, folder)
        fit.resume()
        fit.run()
    return weights_of(fit)


def apart(found: torch.Tensor, wanted: torch.Tensor) -> dict[str, Any]:
    """Whether weights have the same bits, and how far they are from each other."""
    difference = float((found - wanted).norm() / wanted.norm())
    return {"same_bits": bool(torch.equal(found, wanted)), "relative_difference": difference}


@contextlib.contextmanager
def deterministic(wanted: bool) -> Iterator[list[str]]:
    """Lets PyTorch take deterministic algorithms within a block, and yields what it has none for,
    a list that is filled at the end of the block.
    """
    complaints: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.use_deterministic_algorithms(wanted, warn_only=True)
        try:
            yield complaints
        finally:
            torch.use_deterministic_algorithms(False)
    texts = {str(one.message).splitlines()[0] for one in caught}
    complaints += sorted(text for text in texts if "determin" in text)


def resume(results: Results) -> None:
    """Cuts fits off and lets them go on."""
    given = results.given
    plan, data = small_plan(given)
    found: dict[str, Any] = {}
    kinds = ["float32", "float32, deterministic"]
    if not given.tiny:
        kinds += ["bfloat16", "bfloat16, compiled", "bfloat16, CUDA graphs"]
    for kind in kinds:
        name = kind.removesuffix(", deterministic")
        variant = plan.replace(STEP_VARIANTS[name])
        try:
            with deterministic(name != kind) as complaints:
                whole = trained(variant, data, given.device)
                again = trained(variant, data, given.device)
                resumed = cut_and_resumed(variant, data, given.device, given.device)
            found[kind] = {
                "again": apart(again, whole),
                "resumed": apart(resumed, whole),
                "without": complaints,
            }
        except Exception as error:
            found[kind] = {"error": last_line(str(error))}
        print(f"resume, {kind}: {json.dumps(found[kind])}", flush=True)
        results.note("resume", found)
    whole = trained(plan, data, "cpu")
    for first, second in (("cpu", given.device), (given.device, "cpu")):
        label = f"{torch.device(first).type} to {torch.device(second).type}"
        found[label] = {"resumed": apart(cut_and_resumed(plan, data, first, second), whole)}
        print(f"resume, {label}: {json.dumps(found[label])}", flush=True)
        results.note("resume", found)


# Tests -------------------------------------------------------------------------------------------


def run_tests(results: Results) -> None:
    """Runs the tests of devices; the result is pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/devices"]
    # The versions here may warn of what those that are tested do not.
    command += ["-W", "default", "-k", "cuda or upload"]
    if results.given.tiny:
        command.append("--collect-only")
    limit = max(10.0, min(240.0, results.left))
    started = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=limit)
        said = last_line(done.stdout)
        failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    except subprocess.TimeoutExpired:
        said = f"not done after {limit:.0f} s"
        failed = []
    found = {"said": said, "failed": failed, "seconds": time.monotonic() - started}
    print(f"tests: {said}", flush=True)
    results.note("tests", found)


# Steps -------------------------------------------------------------------------------------------


def ladder_plan(given: argparse.Namespace, changed: Mapping[str, Any]) -> Recipe:
    """The recipe that is trained, on the device."""
    plan = recipes.load(LADDER)
    if given.tiny:
        plan = plan.replace(TINY)
    kind = torch.device(given.device).type
    return plan.replace({"training.accelerator": kind, "training.steps": None, **changed})


def open_images(plan: Recipe, given: argparse.Namespace) -> Dataset:
    """MNIST where it is found, and random images otherwise and for `--tiny`."""
    if given.tiny or not named_sets()["mnist"].found():
        count = 20_000
        if given.tiny:
            count = 300
        return random_data(plan.replace({"data.validation": 0.1}), count)
    return plan.data.open()


def peak_gigabytes(device: str) -> float | None:
    """The most memory of the device that tensors had since the last reset."""
    if not device.startswith("cuda"):
        return None
    return torch.cuda.max_memory_allocated(device) / 1e9


def reset_peak(device: str) -> None:
    """Starts to count the peak of the memory of the device anew."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def step_of(plan: Recipe, data: Dataset, given: argparse.Namespace) -> dict[str, Any]:
    """Times the steps of one variant; the first one compiles."""
    reset_peak(given.device)
    ours = Ours(fit_of(plan, data, given.device))
    started = time.monotonic()
    ours(2)
    first = time.monotonic() - started
    seconds = [ours(given.steps) for _ in range(given.rounds)]
    batch_size = plan.training.batch_size
    return {
        "seconds_to_start": first,
        "milliseconds": spread(1e3 * one for one in seconds),
        "examples_per_second": spread(batch_size / one for one in seconds),
        "peak_gigabytes": peak_gigabytes(given.device),
    }


def steps(results: Results) -> None:
    """Times a step of the ladder in each variant, beside what it needs at the least."""
    given = results.given
    data = open_images(ladder_plan(given, {}), given)
    plan = ladder_plan(given, {"training.compile": False})
    model = fit_of(plan, data, "cpu").model.train()
    batch = data.train.batch(slice(0, 2))

    def one_step() -> None:
        model.terms(batch).log_likelihood.mean().backward()

    count = operations(one_step) // 2 * plan.training.batch_size
    size = 256 if given.tiny else None
    machine = Machine(given.device, size=size, numbers=2**16 if given.tiny else 2**25)
    rates = {}
    for name, work in machine.work().items():
        rates[name] = machine.amounts[name] / work()
    found: dict[str, Any] = {
        "recipe": LADDER,
        "batch_size": plan.training.batch_size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "operations": count,
        "rates": rates,
        "measured": {},
    }
    results.note("steps", found)
    variants = dict(STEP_VARIANTS)
    if given.tiny:
        variants = {"float32": STEP_VARIANTS["float32"]}
    for name, changed in variants.items():
        try:
            one = step_of(ladder_plan(given, changed), data, given)
            floor = count / rates["product bf16"]
            one["share_of_floor"] = floor / (one["milliseconds"]["median"] / 1e3)
        except Exception as error:
            one = {"error": last_line(str(error))}
        found["measured"][name] = one
        print(f"steps, {name}: {json.dumps(one)}", flush=True)
        results.note("steps", found)


# Training ----------------------------------------------------------------------------------------


class Telling(Follower):
    """Notes the figures of each epoch that was validated.

    Args:
        results: where they are written.
        found: the result of the part, which is added to.
    """

    def __init__(self, results: Results, found: dict[str, Any]) -> None:
        self.results = results
        self.found = found

    def epoch_done(self, history: list[dict[str, float]]) -> None:
        row = history[-1]
        if "validation_elbo" not in row:
            return
        kept = {name: row[name] for name in ("epoch", "step", "train_elbo", "validation_elbo")}
        self.found["history"].append(kept)
        print(f"train, {json.dumps(kept)}", flush=True)
        self.results.note("train", self.found)


def timed_plan(results: Results, data: Dataset) -> tuple[Recipe, float]:
    """The recipe with as many steps as the minutes hold, and the seconds of a step."""
    given = results.given
    plan = ladder_plan(given, setting_of(given))
    probe = step_of(plan, data, given)
    seconds = probe["milliseconds"]["median"] / 1e3
    # The second fit is compiled again, for the most part from the compiler's cache.
    reserve = 0.5 * probe["seconds_to_start"] + 60 * given.likelihood_minutes
    available = min(60 * given.minutes, results.left - reserve)
    batches = math.ceil(len(data.train) / plan.training.batch_size)
    epochs = max(2, math.floor(0.95 * available / seconds / batches))
    count = epochs * batches
    changed = {"training.epochs": epochs, "training.validate_every": max(1, epochs // 12)}
    changed["training.checkpoint_every"] = epochs
    free_bits = plan.objective.free_bits
    if not isinstance(free_bits, float):
        changed["objective.free_bits.steps"] = max(1, count // 5)
    return plan.replace(changed), seconds


def setting_of(given: argparse.Namespace) -> dict[str, Any]:
    """What the command line changes in the recipe that is trained."""
    choices = {"true": True, "false": False, "graphs": "graphs"}
    if given.compile is None:
        return {}
    return {"training.compile": choices[given.compile]}


def train(results: Results) -> None:
    """Trains the ladder for its minutes, and measures it."""
    given = results.given
    data = open_images(ladder_plan(given, {}), given)
    plan, seconds = timed_plan(results, data)
    reset_peak(given.device)
    fit = fit_of(plan, data, given.device)
    found: dict[str, Any] = {
        "recipe": LADDER,
        "data": data.name,
        "settings": setting_of(given),
        "steps": fit.stepper.steps,
        "milliseconds_of_a_step": 1e3 * seconds,
        "history": [],
    }
    started = time.monotonic()
    state = fit.run(Telling(results, found))
    found["seconds"] = time.monotonic() - started
    found["examples_per_second"] = len(data.train) * state.epoch / state.step_seconds
    found["best_epoch"] = state.best_epoch
    found["peak_gigabytes"] = peak_gigabytes(given.device)
    results.note("train", found)
    picture(fit.model, given)
    measure(results, found, fit.model, data)


def picture(model: VAE, given: argparse.Namespace) -> None:
    """Writes 64 means of samples as results/gpu-samples.png."""
    from PIL import Image

    from lowerbound.evaluation.batches import evaluating
    from lowerbound.system.image_grid import tiles

    with evaluating(model, 0):
        means = model.sample(64).float().cpu().numpy()
    Image.fromarray(tiles(means)[..., 0]).save(given.results / "gpu-samples.png")


def measure(results: Results, found: dict[str, Any], model: VAE, data: Dataset) -> None:
    """Measures the bound and log p(x) of the test images, in pieces, until the time is over."""
    given = results.given
    test = data.split("test")
    bound = likelihood.bound(model, test, samples=1 if given.tiny else 5)
    found["test_elbo"] = bound.elbo._asdict()
    results.note("train", found)
    piece = min(given.piece, len(test))
    choices = [k for k in CHOICES_OF_SAMPLES if k <= given.samples] or [given.samples]
    trial = choices[-1]
    # The first call is slower: it finds its kernels.
    log_likelihoods(model, test, slice(0, piece), trial)
    started = time.monotonic()
    log_likelihoods(model, test, slice(0, piece), trial)
    of_a_draw = (time.monotonic() - started) / (piece * trial)
    chosen = choices[-1]
    for samples in choices:
        if samples * len(test) * of_a_draw < 0.85 * results.left:
            chosen = samples
            break
    parts: list[torch.Tensor] = []
    for first in range(0, len(test), piece):
        if parts and results.left < 2 * piece * chosen * of_a_draw:
            break
        parts.append(log_likelihoods(model, test, slice(first, first + piece), chosen))
        values = torch.cat(parts).double()
        found["test_log_likelihood"] = {
            "value": float(values.mean()),
            "standard_error": float(values.std() / math.sqrt(len(values))),
            "images": len(values),
            "samples": chosen,
            "proposal": "posterior",
        }
        results.note("train", found)
    print(f"train, {json.dumps(found['test_log_likelihood'])}", flush=True)


def log_likelihoods(model: VAE, test: Any, rows: slice, samples: int) -> torch.Tensor:
    """log p(x) of some test images by draws of the posterior alone, as it is published, nats."""
    stop = min(rows.stop, len(test))
    found = likelihood.importance_log_likelihood(
        model,
        test.take(slice(rows.start, stop)),
        samples=samples,
        seed=rows.start,
        proposal=POSTERIOR_ALONE,
    )
    return found.per_example


# The command -------------------------------------------------------------------------------------


def options() -> argparse.Namespace:
    """The command line."""
    words = parser(__doc__)
    words.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    words.add_argument("--device", help="default: cuda where there is one, else cpu")
    words.add_argument("--recipe", nargs="+", help="of agreement (default: all)")
    words.add_argument("--examples", type=int, default=64, help="of agreement")
    words.add_argument("--draws", type=int, default=8, help="of each level, of agreement")
    words.add_argument("--steps", type=int, default=50, help="in one round")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--compile", choices=("true", "false", "graphs"), help="of train")
    words.add_argument("--minutes", type=float, default=6.0, help="of train")
    words.add_argument("--likelihood-minutes", type=float, default=2.0, help="kept for log p(x)")
    words.add_argument("--samples", type=int, default=1000, help="importance samples at most")
    words.add_argument("--piece", type=int, default=500, help="test images measured at a time")
    words.add_argument("--limit", type=float, default=580.0, help="seconds of the whole command")
    words.add_argument("--tiny", action="store_true", help="next to nothing, on the CPU")
    given = arguments(words)
    if given.tiny:
        given.device = "cpu"
        given.recipe = given.recipe or ["hierarchical-mnist", "table", LADDER]
        small = {"examples": 4, "draws": 2, "steps": 2, "rounds": 2, "samples": 10, "piece": 8}
        vars(given).update(small)
        given.minutes = 0.02
        given.likelihood_minutes = 0.01
        given.limit = min(given.limit, 60.0)
    if given.device is None:
        given.device = "cpu"
        if torch.cuda.is_available():
            given.device = "cuda"
    if given.device == "cuda":
        given.device = "cuda:0"
    return given


def main() -> int:
    """Does the parts in their order; a part that fails is told of, and the exit code is 1."""
    given = options()
    results = Results(given)
    parts = {
        "agreement": agreement,
        "resume": resume,
        "tests": run_tests,
        "steps": steps,
        "train": train,
    }
    code = 0
    for name in given.only:
        try:
            parts[name](results)
        except Exception:  # the parts after it are to be done all the same
            traceback.print_exc()
            code = 1
    print(json.dumps({"results": str(given.results / "gpu.json")}), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
