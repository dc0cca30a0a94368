"""Fitting: from a recipe to a finished run folder, with all that belongs to a run on the way.

A fit trains the model, lets the trackers of the recipe follow it, measures the test split once, and
writes the report.
"""

import csv
import io
import math
import platform
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from . import __version__
from . import recipe as recipes
from .data import Dataset, named_sets
from .distributed.launch import make_fabric, processes_of
from .distributed.processes import Processes
from .distributed.supervision import launched
from .errors import ConfigError, RunError, one_line
from .evaluation.batches import evaluating, placed
from .recipe import Recipe
from .report import glance, page, projection
from .run import FORMAT, Run, build, check, unchanged
from .system import lock
from .system.console import print_line
from .system.files import (
    UNFINISHED,
    exists,
    read_json,
    remove_unfinished,
    write_json,
    write_text,
    writing,
)
from .system.machine import give_back_memory, hardware, keep_freed_memory, never_keep_freed_memory
from .system.progress import bar
from .system.weights import save_tensors
from .tracking import Watch, watch, watching
from .training import Fit, State, checkpoint
from .training.validation import measure_test


def metrics_csv(history: list[dict[str, float]]) -> str:
    """One row per epoch, every number in full precision."""
    text = io.StringIO()
    columns = dict.fromkeys(
        name for row in history for name in row
    )  # not every epoch looks at the validation split
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def _free(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3 ... that does not exist."""
    names = (folder if i == 1 else folder.with_name(f"{folder.name}-{i}") for i in range(1, 10_000))
    return next(name for name in names if not name.exists())


def _last(folder: Path) -> Path:
    """The latest of folder, folder-2 ... that exists."""
    found = folder
    for i in range(2, 10_000):
        following = folder.with_name(f"{folder.name}-{i}")
        if not following.exists():
            return found
        found = following
    return found


def _place(name: str, out: str | Path | None, resume: bool) -> tuple[Path, bool]:
    """Where a run goes, and whether it goes on there: a run that ended before its first checkpoint
    starts again.

    Raises:
        RunError: the folder holds a run already, or there is nothing to resume.
    """
    _refuse_unnameable(out)
    default = Path("runs") / name
    folder = Path(out) if out is not None else _last(default) if resume else _free(default)
    begun = _begun(folder)
    if resume and not begun:
        raise RunError(f"there is no run in {folder} to resume")
    if not resume:
        _refuse_taken(folder)
        if not begun and exists(folder) and not (folder.is_dir() and _blank(folder)):
            raise RunError(f"{folder} is not an empty folder; choose another --out")
    return folder, resume and _alive(folder)


def _refuse_unnameable(path: object) -> None:
    """Raises ConfigError for a path whose name is no text, which the files of a run could not hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"the name of a run and of its data must be UTF-8, got {str(path)!r}"
        ) from None


def _alive(folder: Path) -> bool:
    """Whether a folder holds a run that has something to go on from."""
    return (
        checkpoint.latest(folder / "checkpoint") is not None
        or (folder / "model.safetensors").exists()
    )


def _begun(folder: Path) -> bool:
    """Whether a folder holds a run, or the beginning of one; a recipe alone is the user's own."""
    return (folder / "recipe.toml").exists() and (
        (folder / "checkpoint" / ".lock").exists() or _alive(folder)
    )


def _refuse_taken(folder: Path) -> None:
    """Raises RunError for a folder that holds a run."""
    if (folder / "recipe.toml").exists() and _alive(folder):
        raise RunError(f"{folder} holds a run already; --resume continues it; choose another --out")


def _blank(folder: Path) -> bool:
    """Whether a folder is empty but for what a fit leaves that ended before it wrote anything: its
    lock, an unfinished file.
    """
    left = (path.relative_to(folder) for path in folder.rglob("*"))
    return all(
        path.as_posix() in ("checkpoint", "checkpoint/.lock")
        or path.parts[0].startswith(UNFINISHED)
        for path in left
    )


FREE = (
    *("epochs", "devices", "nodes", "strategy", "threads", "compile"),
    *("checkpoint_every", "checkpoint_steps", "checkpoint_seconds"),
)
"""Settings of the training that may be others when a run is resumed."""


def _same(recipe: Recipe, folder: Path) -> None:
    """Raises RunError if the folder's run is of another recipe; what does not change the weights of
    an epoch may differ.
    """
    ours, theirs = recipe.describe(), recipes.load(folder / "recipe.toml").describe()
    for tables in (ours, theirs):
        for free in ("about", "report", "tracking"):
            tables.pop(free)
        for free in FREE:
            tables["training"].pop(free, None)
    if ours != theirs:
        keys = [
            f"{t}.{k}"
            for t in ours
            for k in ours[t].keys() | theirs[t].keys()
            if ours[t].get(k) != theirs[t].get(k)
        ]
        raise RunError(
            f"{folder} is a run of another recipe, different in {', '.join(sorted(keys))}; choose "
            "another --out"
        )


def fit(
    recipe: str | Path | Recipe,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    devices: int | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Run:
    """Fits a recipe and writes the run folder, the report with it unless the recipe says
    `report.write = false`.

    Args:
        recipe: name of a packaged recipe, path of a TOML file, or a `Recipe`.
        data: a source that takes the place of the recipe's.
        out: the run folder; by default `runs/NAME`, with a number if that exists.
        settings: values for dotted keys of the recipe, `{"model.latent": [4]}`.
        seed: takes the place of `training.seed`.
        devices: takes the place of `training.devices`.
        resume: go on from the newest checkpoint in the folder.
        progress: show a bar on standard error.

    Raises:
        LowerboundError: one of its kinds, with one line that says what is wrong.
    """
    name = "run" if isinstance(recipe, Recipe) else Path(recipe).stem
    chosen = {
        "data.source": None if data is None else str(data),
        "training.seed": seed,
        "training.devices": devices,
    }
    plan = _plan(
        recipe, name, {k: v for k, v in chosen.items() if v is not None} | dict(settings or {})
    )
    watch.installed(plan.tracking)
    if plan.report.write:
        projection.installed(plan.report.projection)
    if plan.training.strategy == "fsdp":  # which is for those who are short of memory
        never_keep_freed_memory()
    keep_freed_memory()
    fabric = make_fabric(plan.training, all_used=plan.objective.has_bound)
    with launched(fabric):
        return _fitted(plan, fabric, name, out, resume, progress)


def _fitted(
    plan: Recipe, fabric: Fabric, name: str, out: str | Path | None, resume: bool, progress: bool
) -> Run:
    """What each process of a fit does, from the place of the run to its end."""
    with writing(one_line(out or name)):
        folder, resume = _place(name, out, resume)
    fabric.barrier()  # no process looks at the folder after another has begun to write it
    dataset = plan.data.open()
    caveat, *_ = [
        check(plan, part)
        for part in (dataset.train, dataset.validation, dataset.test)
        if part is not None
    ]
    torch.manual_seed(plan.training.seed)
    model = build(plan, dataset.schema)
    if plan.model.output_bias == "data":
        model.start_at(torch.from_numpy(dataset.train.mean()))
    run = Run(folder, plan, dataset.schema, model, {}, dataset.items)
    first, show = fabric.is_global_zero, progress and fabric.is_global_zero
    fitting = _ready(run, dataset, fabric)
    with lock.locked(folder) if first else nullcontext():
        if first and not resume:
            _refuse_taken(folder)  # another process may have been faster
        _begin(run, dataset, fitting, resume)
        with watching(plan.tracking, folder, plan.describe(), first=first) as watch:
            fitting.save_history = _Follow(run, dataset, watch)
            done = fitting.state.epoch * len(dataset.train)
            with bar(plan.training.epochs, len(dataset.train), done, show=show) as fitting.report:
                state = fitting.run()
            del fitting  # and with it the state of the optimiser, before the test split is measured
            give_back_memory()
            run.summary |= _summary(run, dataset, state, caveat, processes_of(fabric))
            if first:
                _finish(run, watch, show)
    run.model.eval()
    return run


@contextmanager
def _spared(what: str) -> Iterator[None]:
    """Pictures are no reason to lose a run: what cannot be drawn or written is told of on one line."""
    try:
        yield
    except Exception as error:
        print_line(f"{what} could not be written: {type(error).__name__}: {error}")


def _plan(recipe: str | Path | Recipe, name: str, given: Mapping[str, Any]) -> Recipe:
    """The recipe with all settings, and a source that is found from any folder.

    Raises:
        ConfigError: it has no data.
    """
    plan = (recipe if isinstance(recipe, Recipe) else recipes.load(recipe)).replace(given)
    if not plan.data.source:
        raise ConfigError(
            f"recipe {name} has no data of its own: give --data SOURCE (data= in Python)"
        )
    _refuse_unnameable(plan.data.source)
    if plan.data.source not in named_sets() and exists(Path(plan.data.source)):
        return plan.replace({"data.source": str(Path(plan.data.source).resolve())})
    return plan


@dataclass(frozen=True)
class _Follow:
    """What happens after each epoch: its row is written, and the trackers are told and now and then
    shown pictures.
    """

    run: Run
    data: Dataset
    watch: Watch

    def __call__(self, history: list[dict[str, float]]) -> None:
        lock.refuse_moved(self.run.folder)
        write_text(self.run.folder / "metrics.csv", metrics_csv(history))
        epoch = int(history[-1]["epoch"])
        self.watch.scalars(
            {name: value for name, value in history[-1].items() if name != "epoch"}, epoch
        )
        if self.watch.looks(epoch):
            with _spared("the pictures for the trackers"):
                for name, picture in glance(self.run, self.data).items():
                    self.watch.picture(name, picture, epoch)


def _finish(run: Run, watch: Watch, show: bool) -> None:
    """Writes the weights and the summary, then the report, which the trackers are given."""
    lock.refuse_moved(run.folder)
    save_tensors(run.folder / "model.safetensors", run.model.state_dict(), {"format": str(FORMAT)})
    write_json(run.folder / "summary.json", run.summary)
    if run.recipe.report.write:
        again = f"lowerbound report {shlex.quote(str(run.folder))} tries again"
        with _spared(f"the report ({again})"):
            watch.file(page(run, progress=show))


def _ready(run: Run, dataset: Dataset, fabric: Fabric) -> Fit:
    """The fit at its start. A loss that cannot be had is told before anything is written."""
    plan, model = run.recipe, run.model
    fitting = Fit(
        model, dataset, plan.objective, plan.training, fabric, checkpoints=run.folder / "checkpoint"
    )
    with evaluating(model, 0):
        first = placed(model, dataset.train.batch(slice(0, 2)))
        plan.objective(model.terms(first, plan.training.samples, plan.objective.kl))
    return fitting


def _begin(run: Run, dataset: Dataset, fitting: Fit, resume: bool) -> None:
    """Goes to the checkpoint of a run that is resumed, and writes what the run is."""
    if resume:
        held = read_json(run.folder / "data.json")
        if (version := held.get("format") if isinstance(held, dict) else None) != FORMAT:
            raise RunError(f"{run.folder}: a run of format {FORMAT} is needed, got {version!r}")
        _same(run.recipe, run.folder)
        unchanged(dataset, run.folder, RunError)
        fitting.resume()
    if fitting.fabric.is_global_zero:
        for folder in (run.folder, run.folder / "checkpoint", run.folder / "report"):
            remove_unfinished(folder)
        if fitting.state.history:
            write_text(run.folder / "metrics.csv", metrics_csv(fitting.state.history))
        write_text(
            run.folder / "recipe.toml", run.recipe.to_toml()
        )  # the first: a folder with anything else only is no run
        if dataset.items is not None:
            dataset.items.write(run.folder / "items.parquet")
        facts = {
            "format": FORMAT,
            "schema": dataset.schema.to_json(),
            "fingerprint": dataset.fingerprint(),
            "facts": dataset.facts,
        }
        write_json(run.folder / "data.json", facts)
    fitting.fabric.barrier()


def _figures(row: Mapping[str, float], split: str) -> dict[str, Any] | None:
    """The columns of one split in a row of the metrics, as JSON has them: the rates as one list,
    the ranking metrics by name.
    """
    own = {k.removeprefix(f"{split}_"): v for k, v in row.items() if k.startswith(f"{split}_")}
    rate = [own.pop(name) for name in [k for k in own if k.startswith("rate_")]]
    return own | ({"rate": rate} if rate else {}) if own else None


def _summary(
    run: Run, dataset: Dataset, state: State, caveat: str | None, processes: Processes
) -> dict[str, Any]:
    """What `fit --json` prints: the best epoch's metrics, and the test split measured once."""
    plan, model = run.recipe, run.model
    row = dict(state.history[state.best_epoch - 1])
    if dataset.test is not None:
        test = dataset.split("test")
        found = measure_test(model, test, plan.objective, plan.training, processes)
        row |= {f"test_{name}": v for name, v in found.items()}
    return {
        "run": str(run.folder),
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "seconds": state.seconds,
        "examples_per_second": len(dataset.train) * state.epoch / state.step_seconds
        if state.step_seconds
        else math.nan,
        "train": _figures(row, "train"),
        "validation": _figures(row, "validation"),
        "test": _figures(row, "test"),
        "caveat": caveat,
        "facts": dataset.facts,
        "versions": {
            "lowerbound": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "hardware": hardware(str(next(model.parameters()).device)),
    }
