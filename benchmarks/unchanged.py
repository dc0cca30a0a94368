"""This gate shows that a change of the code changes nothing: two trees make the same runs.

    python benchmarks/unchanged.py --against REVISION [--only NAME ...] [--tree FOLDER]
                                   [--keep FOLDER] [--workers 2] [--threads 2]
    python benchmarks/unchanged.py --against REVISION --make-runs

It exports the other revision with git, copies `src/` of the working tree (or of `--tree`), and
runs the cases of `CASES` in both, each command in a process of its own. Then it compares all that
both have written and printed: weights, checkpoints, tables and arrays byte for byte, JSON value by
value without times, text line by line, of reports the list of files. It prints one line for each
file that differs, and its exit code is 1 if there is one. What the other revision wrote stays in
the folder of `--keep`, so that a second call runs the working tree alone.

`INTENDED` names the differences that are wanted. Outputs are compared on one machine only, because
rounding differs between processors.

With `--make-runs` it writes the small runs in `tests/golden/runs` by the other revision, and what
that measures of them into `tests/golden/measured.json`; `tests/house/test_unchanged.py` reads both.
"""

import argparse
import csv
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch

import survival
from common import ROOT, last_line, threaded

GOLDEN = ROOT / "tests" / "golden"
"""Here are the runs that `--make-runs` writes."""


@dataclass(frozen=True)
class Intended:
    """One difference that is wanted.

    Attributes:
        what: a pattern of files, as the differences name them: "mlp/run/summary.json".
        key: a pattern of what is left out there: keys of JSON with dots between them, columns of
            tables, names of tensors, whole lines of text; "*" leaves out the whole file.
        why: the reason.
    """

    what: str
    key: str
    why: str


ONE_DEFINITION = "fit, evaluate, the report, compare and score show one number for one split"
"""Why the figures of the bound of measured splits are others than those of revision b0ac544."""

USER_PARTS = "the option --allow-code is new"
"""Why some lines of help and a message are others than those of revision b0ac544."""

IMPORTANCE = (
    "log p(x) is estimated by draws of a mixture, 100 for each example, and is told as a lower "
    "bound with its Pareto k"
)
"""Why log p(x), and what is told beside it, is another than that of revision b0ac544."""

SAME_DRAWS = "rates by dimension and active units come from the draws of the bound"
"""Why these are others than those of revision b0ac544, where they are taken from draws."""

INTENDED: tuple[Intended, ...] = (
    Intended("interface/help-*", "*", USER_PARTS),
    Intended("interface/wrong-7.messages.txt", "*", USER_PARTS),
    *(
        Intended("*/summary.json", key, ONE_DEFINITION)
        for key in ("test.elbo", "test.log_likelihood_term", "test.objective", "test.rate.*")
    ),
    *(
        Intended("*/evaluate.json", key, ONE_DEFINITION)
        for key in ("draws", "elbo", "elbo_se", "log_likelihood_term", "rate.*")
    ),
    Intended("*/recipe.toml", "measured = *", ONE_DEFINITION),
    Intended("*/fit*.txt", "test    *", ONE_DEFINITION),
    Intended("*/resume.txt", "test    *", ONE_DEFINITION),
    Intended("*/evaluate-*.txt", "ELBO *", ONE_DEFINITION),
    Intended("*/evaluate-*.txt", "log-likelihood term *", ONE_DEFINITION),
    Intended("*/score*.txt", "elbo  *", ONE_DEFINITION),
    Intended("*/score.json", "*.elbo.*", ONE_DEFINITION),
    *(
        Intended(file, "elbo", ONE_DEFINITION)
        for file in ("*/scores.csv", "*/scores.parquet", "table/again.csv", "table/s.csv")
    ),
    *(
        Intended("*/evaluate.json", key, IMPORTANCE)
        for key in (
            "log_likelihood*",
            "effective_samples*",
            "pareto_k*",
            "bits_per_dim",
            "dimension",
            "samples",
        )
    ),
    *(
        Intended("*/evaluate-*.txt", line, IMPORTANCE)
        for line in (
            "log-likelihood  *",
            "  its weights *",
            "bits per dimension *",
            "note: the importance weights *",
        )
    ),
    *(
        Intended("*/comparison.json", key, IMPORTANCE)
        for key in (
            "*.log_likelihood.*",
            "*.log_likelihood_*",
            "*.effective_samples*",
            "*.pareto_k*",
            "samples",
            "warnings*",
        )
    ),
    *(
        Intended(file, "log_likelihood", IMPORTANCE)
        for file in ("*/scores.csv", "*/scores.parquet", "table/again.csv", "table/s.csv")
    ),
    Intended("*/score.json", "*.log_likelihood.*", IMPORTANCE),
    Intended("*/score*.txt", "log_likelihood *", IMPORTANCE),
    Intended("*/evaluate.json", "rate_per_dimension.*", SAME_DRAWS),
    Intended("*/evaluate.json", "active_units.*", SAME_DRAWS),
    Intended("*/evaluate-*.txt", "active units *", SAME_DRAWS),
)
"""These differences are wanted."""

VOLATILE = ("*seconds", "*examples_per_second", "*hardware", "versions.*", "devices.*")
"""These keys of JSON hold times, or say what the machine is."""

LISTED = ("*/report/*", "*/compared/*", "*/manifest.json", "*/.lock")
"""Of these files only the names are compared: pages hold times, and manifests hashes of times."""

READ = ("*/comparison.json",)
"""These are compared nevertheless."""

SPEED = re.compile(r"[\d.,]+ s, [\d.,-]+ examples/s")
"""How long a fit took, as it says at its end."""

MISSING = "is missing"
"""This is said of a file that only the other revision wrote."""

MARK = "case.json"
"""This file says what a finished case was made from."""


class GateError(Exception):
    """The outputs cannot be made."""


# Cases -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: the name of its output.
        words: its command line.
        exit_code: how it must end.
        before: what is done in the folder of the case before it.
    """

    name: str
    words: tuple[str, ...]
    exit_code: int = 0
    before: Callable[[Path], None] | None = None

    @property
    def output(self) -> str:
        """The file of what it prints."""
        ending = "txt"
        if "--json" in self.words:
            ending = "json"
        return f"{self.name}.{ending}"


@dataclass(frozen=True)
class Case:
    """Some commands one after the other in one folder, which holds the files of `files`."""

    steps: tuple[Step, ...]
    files: Mapping[str, str] = field(default_factory=dict)


ALWAYS = ("report.write=false", "training.accelerator=cpu")
"""All fits have these settings, unless their own say otherwise."""

DENSE = "model.network={type='MLP', hidden=[32]}"


def fit(
    recipe: str,
    *settings: str,
    name: str = "fit",
    out: str = "run",
    options: Sequence[str] = (),
    before: Callable[[Path], None] | None = None,
) -> Step:
    """This gives the step that fits a recipe with these settings."""
    words = ["fit", recipe, "--out", out, *options]
    for setting in (*ALWAYS, *settings):
        words += ["--set", setting]
    return Step(name, tuple(words), before=before)


def call(name: str, line: str, exit_code: int = 0) -> Step:
    """This gives the step of a command line without quotes."""
    return Step(name, tuple(line.split()), exit_code)


def use_survival(model: str, epochs: int) -> dict[str, str]:
    """This gives the files of a case with a recipe of `survival.py`."""
    text = survival.RECIPE.format(model=survival.MODELS[model], epochs=epochs)
    return {"recipe.toml": text}


def write_rows(rows: Sequence[Sequence[Any]]) -> str:
    """This gives rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def make_table(rows: int, seed: int) -> str:
    """This makes a table of five columns that depend on each other."""
    chance = random.Random(seed)
    found: list[list[Any]] = [["width", "height", "area", "weight", "grade"]]
    for _ in range(rows):
        width = chance.uniform(1, 3)
        height = chance.gauss(10, 2)
        weight = chance.expovariate(1) + width
        grade = chance.randrange(5)
        row = [width, height, width * height, weight]
        found.append([*(f"{value:.6f}" for value in row), grade])
    return write_rows(found)


def make_plays(users: int, items: int, seed: int) -> str:
    """This makes a log of ratings with times, in which users of two kinds like other items."""
    chance = random.Random(seed)
    found: list[list[Any]] = [["user", "item", "rating", "timestamp"]]
    for user in range(users):
        for item in chance.sample(range(items), 12):
            rating = 1 + chance.randrange(3)
            if item % 2 == user % 2:
                rating += 2
            found.append([f"u{user:03}", f"i{item:02}", rating, chance.randrange(10**6)])
    return write_rows(found)


def use_wide() -> dict[str, str]:
    """This gives a log of so many items that a step sees few of them.

    Only there does LazyAdam update by rows.
    """
    return {"wide.csv": make_plays(150, 400, 2)}


def draw_pictures(folder: Path) -> None:
    """This writes colour pictures of stripes as PNG files."""
    from PIL import Image

    target = folder / "pictures"
    target.mkdir()
    numbers = np.random.RandomState(0)
    for number in range(60):
        values = numbers.randint(0, 120, (14, 11, 3), dtype=np.uint8)
        values[:, number % 11] += 100
        Image.fromarray(values).save(target / f"{number:02}.png")


def cut_short(run: Path) -> None:
    """This takes the last checkpoint off a run, as if it had been killed before that."""
    steps = sorted((run / "checkpoint").glob("step-*"))
    if len(steps) != 2:
        raise GateError(f"{run} has {len(steps)} checkpoints, and two are needed")
    shutil.rmtree(steps[1])


def interrupt(folder: Path) -> None:
    """This leaves a run as it was at a checkpoint within an epoch."""
    cut_short(folder / "run")
    for name in ("model.safetensors", "summary.json"):
        (folder / "run" / name).unlink()


COMMANDS = (
    *("fit", "evaluate", "report", "compare", "score"),
    *("sample", "encode", "recommend", "list", "doctor"),
)


def ask_all() -> tuple[Step, ...]:
    """This gives the steps that ask for help and make mistakes, and need no run."""
    helps = [call(f"help-{name}", f"{name} --help") for name in COMMANDS]
    mistakes = (
        "fit nothing",
        "fit digits --set training.epoch=3",
        "fit digits --set model.likelihood=Bernouli --set training.epochs=0",
        "fit table",
        "fit digits --data nowhere.csv",
        "fit digits --resume --out nowhere",
        "evaluate nowhere",
        "evaluate nowhere --sample 3",
        "recommend nowhere --users a.csv",
        "list priers",
        "scroe run",
    )
    wrong = [call(f"wrong-{n}", line, 2) for n, line in enumerate(mistakes)]
    asked = (call("help", "--help"), call("list", "list"), call("list-all", "list --json"))
    return (*asked, *helps, *wrong, call("doctor", "doctor --json"))


CASES: dict[str, Case] = {
    "interface": Case(ask_all()),
    "multvae": Case(
        (
            fit(
                "multvae",
                "model.latent=[16]",
                "model.network.hidden=[48]",
                "training.epochs=3",
                "report.write=true",
                "report.points=60",
            ),
            call("evaluate", "evaluate run --json"),
            call("evaluate-text", "evaluate run --split validation"),
            call("recommend", "recommend run --history item-003 item-011 --deny item-019 --json"),
            call("recommend-text", "recommend run --history item-003 -k 5 --include-seen"),
            call("recommend-many", "recommend run --users users.csv -k 7 --out lists.parquet"),
            call("similar", "recommend run --similar item-000 -k 4"),
            call("encode", "encode run --data users.csv --out codes.csv"),
            fit(
                "multdae",
                "model.latent=[16]",
                "training.epochs=2",
                name="fit-second",
                out="second",
            ),
            call("compare", "compare run second --out compared --json"),
        ),
        {"users.csv": "user,item\na,item-000\na,item-008\nb,item-001\nb,item-999\nc,item-044\n"},
    ),
    "processes": Case(
        (
            fit("recipe.toml", "training.batch_size=65", options=["--devices", "2"]),
            fit(
                "multvae",
                "model.latent=[8]",
                "model.network.hidden=[24]",
                "training.epochs=2",
                "training.batch_size=10",
                "training.optimizer=LazyAdam",
                name="fit-lazy",
                out="lazy",
                options=["--devices", "2", "--data", "wide.csv"],
            ),
            fit(
                "recipe.toml",
                "training.strategy=fsdp",
                name="fit-parts",
                out="parts",
                options=["--devices", "2"],
            ),
        ),
        use_survival("mlp", 2) | use_wide(),
    ),
    "mlp": Case(
        (
            fit("recipe.toml", "report.write=true", "report.points=60"),
            call("evaluate", "evaluate run --samples 20 --json"),
            call("evaluate-text", "evaluate run --samples 20"),
            call("score", "score run --samples 5 --out scores.parquet --json"),
            call("encode", "encode run --out codes.csv --json"),
            call("sample", "sample run -n 9 --out samples.png --json"),
            call("sample-numbers", "sample run -n 9 --seed 3 --out samples.npy"),
            fit("recipe.toml", name="fit-second", out="second", options=["--seed", "1"]),
            call("compare", "compare run second --samples 5 --out compared --json"),
        ),
        use_survival("mlp", 3),
    ),
    "conv": Case(
        (
            fit(
                "recipe.toml",
                "data.binarize=none",
                "model.likelihood=ContinuousBernoulli",
            ),
            call("evaluate", "evaluate run --samples 5 --split validation --json"),
        ),
        use_survival("conv", 2),
    ),
    "levels": Case(
        (
            fit("recipe.toml"),
            call("evaluate", "evaluate run --samples 10 --json"),
            call("encode", "encode run --out codes.parquet"),
            call("sample", "sample run -n 5 --out samples.npy"),
            fit(
                "hierarchical-mnist",
                "data.validation=200",
                "model.latent=[6, 3]",
                "training.epochs=2",
                name="fit-published",
                out="published",
                options=["--data", "digits"],
            ),
        ),
        use_survival("levels", 3),
    ),
    "iwae": Case(
        (
            fit(
                "iwae-mnist",
                "data.binarize=static",
                "model.latent=[8]",
                "model.network.hidden=[32, 32]",
                "training.epochs=3",
                "training.batch_size=100",
                options=["--data", "digits"],
            ),
            call("evaluate", "evaluate run --samples 10 --json"),
        )
    ),
    "denoising": Case(
        (
            fit(
                "autoencoder-mnist",
                "data.validation=200",
                DENSE,
                'model.noise=["Binarize", {type="GaussianNoise", scale=0.2}, "Dropout"]',
                "training.epochs=3",
                options=["--data", "digits"],
            ),
            call("evaluate", "evaluate run --samples 5 --json"),
            call("evaluate-text", "evaluate run --samples 5"),
            call("encode", "encode run --out codes.npy"),
        )
    ),
    "table": Case(
        (
            fit(
                "table",
                "model.network.hidden=[24]",
                "training.epochs=5",
                "training.batch_size=32",
                "report.write=true",
                "report.points=60",
                options=["--data", "table.csv"],
            ),
            call("evaluate", "evaluate run --samples 20 --json"),
            call("evaluate-new", "evaluate run --data new.csv --samples 5"),
            call("sample", "sample run -n 12 --out samples.csv"),
            call("encode", "encode run --data new.csv --out codes.parquet"),
            fit(
                "table",
                "model.latent=[2]",
                "model.prior={type='Mixture', components=3}",
                "training.epochs=2",
                name="fit-other",
                out="other",
                options=["--data", "table.csv"],
            ),
            call(
                "score", "score run --data new.csv --samples 5 --against other --out s.csv --json"
            ),
            call("score-text", "score run --data new.csv --samples 5 --out again.csv"),
        ),
        {"table.csv": make_table(300, 0), "new.csv": make_table(30, 1)},
    ),
    "recvae": Case(
        (
            fit(
                "recvae",
                "model.latent=[12]",
                "model.network={type='DenseMLP', width=24, layers=2}",
                "training.epochs=5",
                "training.batch_size=10",
                "training.optimizer=LazyAdam",
                options=["--data", "wide.csv"],
            ),
            call("evaluate", "evaluate run --json"),
            call("recommend", "recommend run --history i03 i11 i120 --json"),
        ),
        use_wide(),
    ),
    "plays": Case(
        (
            fit(
                "multvae-gowalla",
                "data.interactions={split='temporal', threshold=2, min_item_users=3}",
                "data.validation=0.1",
                "data.test=0.2",
                "model.latent=[6]",
                "model.network.hidden=[16]",
                "training.epochs=3",
                "training.batch_size=40",
                options=["--data", "plays.csv"],
            ),
            call("evaluate", "evaluate run --json"),
            fit(
                "multvae",
                "data.interactions={split='strong', binary=false}",
                "data.validation=15",
                "model.latent=[4]",
                "model.likelihood={type='Normal', variance='shared'}",
                "model.noise=[{type='GaussianNoise', scale=0.1}]",
                "training.epochs=2",
                "training.batch_size=40",
                "training.monitor=objective",
                name="fit-weights",
                out="weights",
                options=["--data", "plays.csv"],
            ),
            call("evaluate-weights", "evaluate weights --json"),
        ),
        {"plays.csv": make_plays(120, 40, 0)},
    ),
    "mixture": Case(
        (
            fit(
                "aevb-freyfaces",
                DENSE,
                "model.latent=[4]",
                "model.prior={type='Mixture', components=4}",
                "training.schedule={type='OneCycle', warmup=0.2}",
                "training.epochs=3",
                "training.samples=2",
                options=["--data", "digits"],
            ),
            call("evaluate", "evaluate run --samples 10 --json"),
            call("sample", "sample run -n 4 --out samples.npy"),
        )
    ),
    "logistic": Case(
        (
            fit(
                "digits",
                "model.network={type='DenseMLP', width=24, layers=2}",
                "training.epochs=3",
                "training.clip=1.0",
                "training.precision=64-true",
            ),
            call("evaluate", "evaluate run --samples 10 --json"),
            call("score", "score run --samples 5 --split validation --out scores.csv"),
        )
    ),
    "pictures": Case(
        (
            fit(
                "conv-mnist",
                "data.size=10x12",
                "data.validation=10",
                "data.test=10",
                "model.network={type='ResNet', channels=[4, 8], blocks=1}",
                "model.likelihood=ContinuousBernoulli",
                "training.epochs=3",
                "training.batch_size=8",
                "training.optimizer=AdamW",
                "training.precision=bf16-mixed",
                "training.schedule={type='LinearDecay', after=0.5, final=0.1}",
                options=["--data", "pictures"],
                before=draw_pictures,
            ),
            call("evaluate", "evaluate run --samples 5 --json"),
            fit(
                "conv-mnist",
                "data.grey=true",
                "data.validation=10",
                "data.test=10",
                "training.epochs=1",
                name="fit-grey",
                out="grey",
                options=["--data", "pictures"],
            ),
        )
    ),
    "resumed": Case(
        (
            fit("recipe.toml", survival.OFTEN[0], "model.prior={type='Mixture', components=3}"),
            Step(
                "resume",
                ("fit", "run/recipe.toml", "--out", "run", "--resume"),
                before=interrupt,
            ),
            call("evaluate", "evaluate run --samples 5 --json"),
        ),
        use_survival("mlp", 3),
    ),
}


# Runs --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tree:
    """The package `lowerbound` as one tree has it, and how many threads its processes have."""

    folder: Path
    threads: int

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes: `PYTHONPATH` comes before what is installed."""
        own = {"PYTHONPATH": str(self.folder / "src"), "GOMP_SPINCOUNT": "0", "COLUMNS": "80"}
        return threaded(self.threads) | own

    def run(self, words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """This runs Python with these arguments to its end."""
        whole = [sys.executable, *words]
        pipes = {"capture_output": True, "stdin": subprocess.DEVNULL, "text": True}
        return subprocess.run(
            whole, cwd=folder, env=self.environment, timeout=survival.LIMIT, **pipes
        )

    def refuse_other(self) -> None:
        """This raises GateError if Python finds another `lowerbound` than that of the tree."""
        line = "import lowerbound; print(lowerbound.__file__)"
        done = self.run(["-c", line], self.folder)
        wanted = self.folder / "src" / "lowerbound" / "__init__.py"
        if done.returncode or Path(done.stdout.strip()) != wanted:
            got = done.stdout.strip() or last_line(done.stderr)
            raise GateError(f"lowerbound is not that of {wanted}: {got}")


def find_revision(name: str) -> str:
    """This gives the whole hash of a revision."""
    words = ["git", "rev-parse", "--verify", f"{name}^{{commit}}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise GateError(f"{name} is no revision: {last_line(done.stderr)}")
    return done.stdout.strip()


def export(revision: str, target: Path, folders: Sequence[str] = ("src",)) -> None:
    """This writes some folders of a revision below another folder, unless that is there."""
    if target.exists():
        return
    words = ["git", "archive", "--format=tar", revision, *folders]
    packed = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout
    unfinished = target.with_name(f"{target.name}-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    subprocess.run(["tar", "-x"], cwd=unfinished, input=packed, check=True)
    unfinished.rename(target)


def copy_source(tree: Path, target: Path) -> None:
    """This copies `src/` of a tree, so that nobody changes it meanwhile."""
    shutil.rmtree(target, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(tree / "src", target / "src", ignore=ignored)


def describe(case: Case, folder: Path, threads: int) -> dict[str, Any]:
    """This says what the outputs of a case depend on, beside the tree."""
    lines = [[step.name, list(step.words), step.exit_code] for step in case.steps]
    machine = [torch.__version__, torch.backends.cpu.get_cpu_capability(), os.cpu_count(), threads]
    return {
        "steps": lines,
        "files": dict(case.files),
        "machine": machine,
        "folder": str(folder),
    }


def run_step(step: Step, tree: Tree, folder: Path) -> str:
    """This runs one command and keeps what it says. It gives "", or how the command failed."""
    if step.before is not None:
        step.before(folder)
    try:
        done = tree.run(["-m", "lowerbound", *step.words], folder)
    except subprocess.TimeoutExpired:
        return f"`{' '.join(step.words)}` takes more than {survival.LIMIT:.0f} s"
    told = [line for line in done.stderr.splitlines() if line.startswith("lowerbound: ")]
    (folder / f"{step.name}.messages.txt").write_text("\n".join(told), encoding="utf-8")
    (folder / step.output).write_text(done.stdout, encoding="utf-8")
    if done.returncode != step.exit_code:
        wanted = f"not {step.exit_code}: {last_line(done.stderr)}"
        return f"`{' '.join(step.words)}` ends with exit code {done.returncode}, {wanted}"
    return ""


def run_case(name: str, tree: Tree, side: Path) -> str:
    """This runs a case in its folder below `side`. It gives "", or how the first step failed.

    A case that is finished there, and made from the same, is left as it is.
    """
    case = CASES[name]
    folder = side / name
    said = describe(case, folder, tree.threads)
    if (folder / MARK).exists() and json.loads((folder / MARK).read_text("utf-8")) == said:
        return ""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, text in case.files.items():
        (folder / file).write_text(text, encoding="utf-8")
    for step in case.steps:
        try:
            problem = run_step(step, tree, folder)
        except (GateError, OSError) as error:
            problem = f"before `{' '.join(step.words)}`: {error}"
        if problem:
            return problem
    (folder / MARK).write_text(json.dumps(said), encoding="utf-8")
    return ""


# Comparisons -------------------------------------------------------------------------------------


def read_text(path: Path, folder: Path) -> str:
    """This reads a text without the place of its case and without the speed of the machine."""
    text = path.read_text(encoding="utf-8").replace(str(folder), "FOLDER")
    return SPEED.sub("SPEED", text)


def flatten(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """This gives the values of JSON with their keys, dots between them."""
    inner: Iterator[tuple[str, Any]] = iter(())
    if isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, list):
        inner = ((str(place), each) for place, each in enumerate(value))
    else:
        yield above, value
        return
    empty = True
    for key, each in inner:
        empty = False
        whole = key
        if above:
            whole = f"{above}.{key}"
        yield from flatten(each, whole)
    if empty:
        yield above, value


def read_json(path: Path, folder: Path) -> dict[str, Any]:
    """This reads JSON value by value, without times; of several lines the last."""
    text = read_text(path, folder).strip()
    if path.parent == folder:  # what a command printed
        text = last_line(text)
    found = {}
    for key, value in flatten(json.loads(text)):
        if not any(fnmatchcase(key, pattern) for pattern in VOLATILE):
            found[key] = value
    return found


def read_csv(path: Path, folder: Path) -> dict[str, Any]:
    """This reads a table column by column, as text."""
    head, *rows = csv.reader(io.StringIO(read_text(path, folder)))
    return {name: [row[place] for row in rows] for place, name in enumerate(head)}


def read_parquet(path: Path, folder: Path) -> dict[str, Any]:
    """This reads a table column by column."""
    import polars

    return {column.name: column.to_list() for column in polars.read_parquet(path)}


def read_tensors(path: Path, folder: Path) -> dict[str, Any]:
    """This reads tensors by name."""
    from safetensors.torch import load_file

    return dict(load_file(path))


def read_array(path: Path, folder: Path) -> dict[str, Any]:
    """This reads one array."""
    return {"array": torch.from_numpy(np.load(path))}


BY_KEY: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    ".json": read_json,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".safetensors": read_tensors,
    ".npy": read_array,
}
"""Files of these endings are read by keys."""

EXACT = (".safetensors", ".parquet", ".npy", ".csv", ".png")
"""Files of these endings must have the same bytes, unless a part of them is left out."""


def is_left_out(what: str, key: str) -> bool:
    """This says whether a difference there is wanted."""
    return any(fnmatchcase(what, one.what) and fnmatchcase(key, one.key) for one in INTENDED)


def drop_intended(what: str, found: dict[str, Any]) -> dict[str, Any]:
    """This gives what is left when the wanted differences are left out."""
    return {key: value for key, value in found.items() if not is_left_out(what, key)}


def shorten(value: Any) -> str:
    """This gives a value as text of one short line."""
    text = repr(value)
    if len(text) > 90:
        return f"{text[:87]}..."
    return text


def tell_tensors(old: torch.Tensor, new: torch.Tensor) -> str:
    """This says how two tensors differ, or "" where their bytes are the same."""
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        return f"{old.dtype} {tuple(old.shape)} became {new.dtype} {tuple(new.shape)}"
    old, new = old.contiguous().reshape(-1), new.contiguous().reshape(-1)
    if torch.equal(old.view(torch.uint8), new.view(torch.uint8)):
        return ""
    apart = (old.double() - new.double()).abs()
    largest = f"by {apart.nan_to_num(nan=float('inf')).max():.2g} at most"
    return f"{int((old != new).sum()):,} of {old.numel():,} numbers differ, {largest}"


def tell_lists(old: list[Any], new: list[Any]) -> str:
    """This says how two columns differ, or "" where they are the same."""
    if len(old) != len(new):
        return f"{len(old):,} rows became {len(new):,}"
    for row, (one, other) in enumerate(zip(old, new, strict=True), 1):
        if repr(one) != repr(other):
            return f"row {row}: {shorten(one)} became {shorten(other)}"
    return ""


def tell_values(old: Any, new: Any) -> str:
    """This says how two values differ, or "" where they are the same."""
    if isinstance(old, torch.Tensor):
        return tell_tensors(old, new)
    if isinstance(old, list) and isinstance(new, list):
        return tell_lists(old, new)
    if repr(old) == repr(new):  # 1 is not 1.0, and nan is nan
        return ""
    return f"{shorten(old)} became {shorten(new)}"


def tell_parts(old: dict[str, Any], new: dict[str, Any]) -> str:
    """This says which part differs first and how many do, or "" where none does."""
    found = [f"{key} is missing" for key in old if key not in new]
    found += [f"{key} is new" for key in new if key not in old]
    for key in old:
        difference = ""
        if key in new:
            difference = tell_values(old[key], new[key])
        if difference:
            found.append(f"{key}: {difference}")
    if not found and list(old) != list(new):
        return "the same parts in another order"
    more = ""
    if len(found) > 1:
        more = f" (and {len(found) - 1:,} more of {len(old):,})"
    return "".join(found[:1]) + more


def tell_lines(what: str, old: str, new: str) -> str:
    """This says which line of a text differs first, or "" where none does."""
    before = [line for line in old.splitlines() if not is_left_out(what, line)]
    after = [line for line in new.splitlines() if not is_left_out(what, line)]
    for number, (one, other) in enumerate(zip(before, after, strict=False), 1):
        if one != other:
            return f"line {number}: {shorten(one)} became {shorten(other)}"
    if len(before) != len(after):
        longer = max(before, after, key=len)
        extra = shorten(longer[min(len(before), len(after))])
        return f"{len(before)} lines became {len(after)}; only one has {extra}"
    return ""


def compare_file(what: str, old: Path, new: Path, folders: tuple[Path, Path]) -> str:
    """This compares one file. It gives "", or the first difference."""
    if old.suffix in EXACT and old.read_bytes() == new.read_bytes():
        return ""
    if old.suffix == ".png":
        return "the picture differs"
    if old.suffix not in BY_KEY:
        return tell_lines(what, read_text(old, folders[0]), read_text(new, folders[1]))
    read = BY_KEY[old.suffix]
    before, after = read(old, folders[0]), read(new, folders[1])
    wanted = drop_intended(what, before)
    found = tell_parts(wanted, drop_intended(what, after))
    if not found and old.suffix in EXACT and len(wanted) == len(before):
        return "the bytes differ, but not the values"
    return found


def list_files(folder: Path) -> list[str]:
    """This lists the files of a case, but for its mark and its inputs."""
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in found if name != MARK)


def is_read(what: str) -> bool:
    """This says whether a file is compared, or only its name."""
    if any(fnmatchcase(what, pattern) for pattern in READ):
        return True
    return not any(fnmatchcase(what, pattern) for pattern in LISTED)


def compare_case(name: str, old: Path, new: Path) -> tuple[int, dict[str, str]]:
    """This compares all files of a case.

    Returns:
        How many files there are, and what differs: the first difference of each file.
    """
    folders = (old / name, new / name)
    before, after = map(list_files, folders)
    found: dict[str, str] = {}
    files = sorted({*before, *after})
    for file in files:
        what = f"{name}/{file}"
        if is_left_out(what, "*"):
            continue
        if file not in after:
            found[what] = MISSING
        elif file not in before:
            found[what] = "is new"
        elif is_read(what):
            try:
                problem = compare_file(what, folders[0] / file, folders[1] / file, folders)
            except Exception as error:  # a file that cannot be read is a difference, too
                problem = f"cannot be compared: {type(error).__name__}: {error}"
            if problem:
                found[what] = problem
    return len(files), found


def run_all(names: Sequence[str], tree: Tree, side: Path, workers: int) -> dict[str, str]:
    """This runs cases side by side. It gives those that failed, with the reason."""

    def run(name: str) -> str:
        began = time.monotonic()
        problem = run_case(name, tree, side)
        took = time.monotonic() - began
        if took > 0.5:
            print(f"{tree.folder.name}: {name}: {took:.0f} s", file=sys.stderr, flush=True)
        return problem

    with ThreadPoolExecutor(workers) as pool:
        problems = dict(zip(names, pool.map(run, names), strict=True))
    return {name: problem for name, problem in problems.items() if problem}


def check(given: argparse.Namespace, keep: Path) -> int:
    """This runs both trees and prints what differs. It gives the exit code."""
    revision = find_revision(given.against)
    old = Tree(keep / f"tree-{revision[:12]}", given.threads)
    new = Tree(keep / "tree-new", given.threads)
    export(revision, old.folder)
    copy_source(given.tree, new.folder)
    sides = (keep / f"outputs-{revision[:12]}", keep / "outputs-new")
    shutil.rmtree(sides[1], ignore_errors=True)
    for tree in (old, new):
        tree.refuse_other()
    broken = run_all(given.only, old, sides[0], given.workers)
    if broken:
        told = "; ".join(f"{name}: {problem}" for name, problem in broken.items())
        raise GateError(f"{given.against} itself fails: {told}")
    failed = run_all(given.only, new, sides[1], given.workers)
    files, differences = 0, dict(failed)
    for name in given.only:
        count, found = compare_case(name, *sides)
        files += count
        if name in failed:  # what came before the failure
            found = {what: told for what, told in found.items() if told != MISSING}
        differences |= found
    for what, problem in differences.items():
        print(f"{what}: {problem}")
    told = f"{len(given.only)} cases, {files:,} files, {len(differences):,} differ"
    print(f"{told}; {len(INTENDED)} wanted differences are left out")
    return int(bool(differences))


# Runs that are kept ------------------------------------------------------------------------------

SMALL = {
    "digits": fit(
        "digits",
        "data.binarize=dynamic",
        "data.validation=200",
        "data.test=60",
        "model.latent=[3]",
        "model.network.hidden=[12]",
        "model.likelihood=Bernoulli",
        "training.epochs=6",
        "training.batch_size=100",
        "training.checkpoint_steps=50",
        "training.patience=4",
        out="digits",
    ),
    "levels": fit(
        "hierarchical-mnist-elbo",
        "data.validation=100",
        "data.test=60",
        "model.latent=[4, 2]",
        "model.network={type='Conv', channels=[3, 4], kernel_size=3, stride=2}",
        "model.level_network.hidden=[6]",
        "model.prior={type='Mixture', components=3}",
        "model.likelihood={type='Normal', variance='learned'}",
        "training.epochs=3",
        "training.checkpoint_steps=35",
        out="levels",
        options=["--data", "digits"],
    ),
    "interactions": fit(
        "multvae",
        "model.latent=[3]",
        "model.network.hidden=[]",
        "training.epochs=2",
        "training.batch_size=4",
        "training.learning_rate=0.003",
        "training.optimizer=LazyAdam",
        "training.checkpoint_steps=500",
        out="interactions",
    ),
}
"""These fits make the runs of `--make-runs`, by name. Their data come with scikit-learn, or are
drawn by the package."""

HISTORY = ("item-003", "item-011", "item-040")
"""Items of the synthetic interactions."""


def list_numbers(values: Any) -> list[Any]:
    """This gives a tensor as lists of numbers of six digits."""
    rounded = [float(f"{value:.6g}") for value in values.flatten().tolist()]
    return np.array(rounded).reshape(tuple(values.shape)).tolist()


def measure_dense(run: Any) -> dict[str, Any]:
    """This measures a run on images through the public interface."""
    import lowerbound

    batch = run.data().test.batch(slice(0, 3))
    torch.manual_seed(5)
    with torch.no_grad():
        terms = run.model.terms(batch, samples=2)
    rows = lowerbound.score(run, samples=4).to_frame().head(5)
    return {
        "codes": [list_numbers(level) for level in run.encode(batch)],
        "reconstruction": list_numbers(run.reconstruct(batch)[:, :, 3]),
        "sample": list_numbers(run.sample(16, seed=3)[:2, :, 3]),
        "log_likelihood": list_numbers(terms.log_likelihood),
        "rate": list_numbers(terms.rate),
        "log_weight": list_numbers(terms.log_weight),
        "scores": rows.select("log_likelihood").to_dict(as_series=False),
    }


def measure_interactions(run: Any) -> dict[str, Any]:
    """This measures a recommender through the public interface."""
    import lowerbound

    recommender = lowerbound.Recommender.load(run.folder)
    best = recommender.recommend(HISTORY, k=5)
    codes = run.encode(run.data().test)[0]
    return {
        "codes": list_numbers(codes[:3]),
        "items": [one.item for one in best],
        "scores": [one.score for one in best],
        "metrics": run.evaluate()["metrics"],
    }


def measure_run(folder: str | Path) -> dict[str, Any]:
    """This loads a run from its folder and measures what no change of the code may change.

    What `evaluate` prints of dense data is not among it: its definition may change.
    """
    import lowerbound

    run = lowerbound.load(folder)
    if run.schema.kind == "interactions":
        return measure_interactions(run)
    return measure_dense(run)


def make_runs(given: argparse.Namespace, keep: Path) -> int:
    """This writes the small runs and what the other revision measures of them."""
    revision = find_revision(given.against)
    tree = Tree(keep / f"tree-{revision[:12]}", given.threads)
    export(revision, tree.folder)
    tree.refuse_other()
    target = GOLDEN / "runs"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    measured: dict[str, Any] = {}
    for name, step in SMALL.items():
        done = tree.run(["-m", "lowerbound", *step.words], target)
        if done.returncode:
            raise GateError(f"{name}: {last_line(done.stderr)}")
        cut_short(target / name)
        (target / name / "checkpoint" / ".lock").unlink()
        evaluated = tree.run(["-m", "lowerbound", "evaluate", name, "--json"], target)
        own = tree.run([__file__, "--measure", name], target)
        for each in (evaluated, own):
            if each.returncode:
                raise GateError(f"{name}: {last_line(each.stderr)}")
        measured[name] = {
            "evaluate": json.loads(last_line(evaluated.stdout)),
            "measured": json.loads(last_line(own.stdout)),
        }
    text = json.dumps({"revision": revision[:12], "runs": measured}, indent=1)
    (GOLDEN / "measured.json").write_text(f"{text}\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file())
    print(f"{len(SMALL)} runs in {target}, {size:,} bytes")
    return 0


def read_arguments() -> argparse.Namespace:
    """This reads the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    words = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    words.add_argument("--against", metavar="REVISION", help="the revision that is right")
    words.add_argument("--only", nargs="+", metavar="NAME", choices=[*CASES], default=[*CASES])
    words.add_argument("--tree", type=Path, default=ROOT, help="the tree that is checked")
    words.add_argument("--keep", type=Path, help="the folder of all outputs; it stays")
    words.add_argument("--workers", type=int, default=2, help="cases at a time")
    words.add_argument("--threads", type=int, default=2, help="of each process")
    words.add_argument("--make-runs", action="store_true", help="write tests/golden")
    words.add_argument("--measure", metavar="RUN", help=argparse.SUPPRESS)
    given = words.parse_args()
    if not given.measure and not given.against:
        words.error("--against is needed")
    return given


def main() -> int:
    """This does what the command line says. It gives the exit code."""
    given = read_arguments()
    if given.measure:
        print(json.dumps(measure_run(given.measure)))
        return 0
    work = check
    if given.make_runs:
        work = make_runs
    try:
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
            return work(given, given.keep.resolve())
        with tempfile.TemporaryDirectory() as folder:
            return work(given, Path(folder).resolve())
    except GateError as error:
        print(f"unchanged: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
