"""Fitting: from a recipe to a finished run folder, with all that belongs to a run on the way.

A fit trains the model, lets the trackers of the recipe follow it, measures the test split once, and
writes the report. A fit that is one trial of a search (`fit_trial`) does neither of the last two.
"""

import csv
import io
import math
import platform
import shlex
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from . import __version__, anomalies
from .data import Dataset, Examples, Items, named_sets
from .data.interactions.folders import absolute_pattern, matches
from .data.interactions.origin import describe_origin, tell_changed
from .data.interactions.stored import holds_split, write_split
from .data.memory import DataSource, InMemory, is_in_memory, source_text
from .distributed.launch import make_fabric, processes_of
from .distributed.processes import Processes
from .distributed.supervision import launched
from .errors import ConfigError, DataError, Interrupted, RunError, one_line
from .evaluation.batches import evaluating, placed
from .model import VAE, as_batch, factors
from .recipe import Recipe
from .recipe import load as load_recipe
from .report import glance, page, projection
from .report.text import tell_splits
from .run import FORMAT, Run, build, check, open_as_fitted, unchanged
from .run.contents import PARTNER, figures_of_split, read_partner, read_schema, read_table
from .run.given import write_conditions
from .run.starting import found_from_anywhere, start_at_run
from .specs.user_code import allowing_code
from .system import lock
from .system.console import print_line
from .system.files import (
    UNFINISHED,
    exists,
    expand_home,
    is_file,
    read_json,
    remove_unfinished,
    write_json,
    write_text,
    writing,
)
from .system.machine import (
    give_back_memory,
    hardware,
    keep_freed_memory,
    limit_threads,
    never_keep_freed_memory,
)
from .system.progress import FitProgress, bar
from .system.weights import save_tensors
from .tracking import Watch, watch, watching
from .training import Fit, Follower, State
from .training.blending import Chosen, choose_partner, refit_partner, refuse_unfit_blend
from .training.checkpoint import latest_checkpoint
from .training.follower import NOBODY
from .training.sampling import sample_items
from .training.validation import measure_test

MAY_CHANGE_ON_RESUME = (
    "epochs",
    "steps",
    "accumulate",
    "devices",
    "nodes",
    "strategy",
    "threads",
    "compile",
    "recompute",
    "checkpoint_every",
    "checkpoint_steps",
    "checkpoint_seconds",
)
"""Settings of the training that may be others when a run is resumed.

They do not change the weights of an epoch.
"""


def fit(
    recipe: str | Path | Recipe,
    *,
    data: DataSource | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    devices: int | None = None,
    resume: bool = False,
    progress: bool = True,
    allow_code: bool = False,
) -> Run:
    """Fits a recipe and writes the run folder.

    The report is part of it, unless the recipe says `report.write = false`.

    Args:
        recipe: name of a packaged recipe, path of a TOML file, or a `Recipe`.
        data: a source that takes the place of the recipe's: the name of a set, a path, or data in
            memory (arrays and tensors of images (N, H, W) or (N, H, W, C) or of vectors (N, D),
            frames, matrices of users x items; see `lowerbound.data.memory`). Images and tables in
            memory are in no file of the run: once the run is loaded, they must be given again. Of
            interactions it keeps its split, unless `data.interactions.keep_split` is false.
        out: the run folder; by default `runs/NAME`, with a number if that exists.
        settings: values for dotted keys of the recipe, `{"model.latent": [4]}`.
        seed: takes the place of `training.seed`.
        devices: takes the place of `training.devices`.
        resume: go on from the newest checkpoint in the folder.
        progress: show a bar on standard error.
        allow_code: the parts that the recipe names as `package.module:Class` may be imported,
            which runs their modules.

    Raises:
        LowerboundError: one of its kinds, with one line that says what is wrong.
    """
    name = name_of(recipe)
    held = None
    if data is not None and is_in_memory(data):
        held = data
    replaced = settings_asked(data, settings, seed, devices)
    with allowing_code(allow_code):
        complete = complete_recipe(recipe, name, replaced)
    prepare_process(complete)
    fabric = make_fabric(complete.training, all_used=complete.objective.has_bound)
    with launched(fabric):
        session = open_session(
            complete, fabric, name, out, held=held, resume=resume, progress=progress
        )
        training = session.prepare_training()
        with session.lock_folder():
            session.begin(training)
            with session.open_trackers() as trackers:
                state = session.train(training, trackers)
                # The optimiser's state goes before the test split is measured.
                del training
                give_back_memory()
                with session.ending_in_order():
                    chosen = session.choose_partner()
                    run = session.measure(state, chosen)
                    session.save(run)
                    session.report(run, trackers)
    return run


def fit_trial(
    recipe: Recipe,
    folder: Path,
    dataset: Dataset,
    *,
    held: InMemory | None = None,
    follower: Follower = NOBODY,
    progress: bool = True,
) -> Run:
    """Fits a recipe as one trial of a search, to data that are open already.

    The folder becomes an ordinary run, but that the test split is not looked at: it is not
    measured, the run keeps no reference for scores, and no report is written. A fit that was
    stopped in the folder goes on from its newest checkpoint, and one that ended is read.

    Args:
        recipe: with all settings, for one process.
        folder: of the run.
        dataset: the data of the recipe.
        held: the data where they are in memory, else None.
        follower: is told of each epoch, those before a checkpoint too, and may end the fit.
        progress: show a bar on standard error.

    Raises:
        LowerboundError: one of its kinds, as `fit` does.
    """
    prepare_process(recipe)
    fabric = make_fabric(recipe.training, all_used=recipe.objective.has_bound)
    session = open_session(
        recipe,
        fabric,
        folder.name,
        folder,
        held=held,
        resume=_is_begun(folder) and _can_go_on(folder),
        progress=progress,
        dataset=dataset,
    )
    training = session.prepare_training()
    with session.lock_folder():
        session.begin(training, tell=False)
        if training.state.history:
            follower.epoch_done(training.state.history)
        with session.open_trackers() as trackers:
            state = session.train(training, trackers, follower)
            del training
            give_back_memory()
            chosen = session.choose_partner()
            run = session.finish(state, chosen=chosen)
            session.save(run)
    return run


def name_of(recipe: str | Path | Recipe) -> str:
    """Returns the name of a recipe: that of its file, or "run" for one that has none."""
    if isinstance(recipe, Recipe):
        return "run"
    return Path(recipe).stem


def settings_asked(
    data: DataSource | None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    devices: int | None = None,
) -> dict[str, Any]:
    """Returns what takes the place of values of a recipe, by dotted keys; for the arguments see
    `fit`.
    """
    replaced: dict[str, Any] = {}
    if data is not None:
        replaced["data.source"] = source_text(data)
    if seed is not None:
        replaced["training.seed"] = seed
    if devices is not None:
        replaced["training.devices"] = devices
    return replaced | dict(settings or {})


def complete_recipe(recipe: str | Path | Recipe, name: str, replaced: Mapping[str, Any]) -> Recipe:
    """Returns the recipe with all settings, and a source that is found from any folder.

    Counts of examples that the recipe has for its own source do not apply to another one, see
    `Recipe.fractions_for_other_data`.

    Args:
        recipe: as `fit` takes it.
        name: of the recipe, for the message.
        replaced: values for dotted keys.

    Raises:
        ConfigError: it has no data, or a key or a value is wrong.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    complete = recipe.replace(recipe.fractions_for_other_data(replaced) | dict(replaced))
    source = complete.data.source
    if not source:
        raise ConfigError(
            f"recipe {name} has no data of its own: give --data SOURCE (data= in Python)"
        )
    _refuse_unnameable(source)
    paths = {}
    if source not in named_sets() and exists(Path(source)):
        paths["data.source"] = str(Path(source).resolve())
    elif matches(source):
        paths["data.source"] = absolute_pattern(source)
    how = complete.data.interactions
    start = complete.training.start_from
    if start is not None:
        paths["training.start_from"] = found_from_anywhere(start)
    if how is not None and how.users is not None:  # the run reads it again
        paths["data.interactions.users"] = str(expand_home(how.users).resolve())
    return complete.replace(paths)


def prepare_process(recipe: Recipe) -> None:
    """Refuses a recipe whose libraries are missing, and sets the memory and threads of a fit."""
    watch.installed(recipe.tracking)
    if recipe.report.write:
        projection.installed(recipe.report.projection)
    if recipe.training.strategy == "fsdp":  # which is for those who are short of memory
        never_keep_freed_memory()
    keep_freed_memory()
    limit_threads()


# A session --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """The fit of a recipe in one of its processes. Its methods are called in the order they stand.

    Attributes:
        recipe: with all settings.
        fabric: device and processes.
        folder: of the run.
        is_resumed: whether the run goes on from a checkpoint or a finished run in the folder.
        dataset: the data of the recipe.
        caveat: what a report must say of the likelihood on these data, or None.
        model: with its first weights; it is trained in place.
        shows_progress: whether this process shows a bar.
        held: the data where they are in memory, else None.
    """

    recipe: Recipe
    fabric: Fabric
    folder: Path
    is_resumed: bool
    dataset: Dataset
    caveat: str | None
    model: VAE
    shows_progress: bool
    held: InMemory | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.fabric.is_global_zero

    def prepare_training(self) -> Fit:
        """Makes the fit at its start. A loss that cannot be computed is an error here.

        Nothing is written yet.
        """
        refuse_unfit_blend(self.dataset, self.recipe)
        training = Fit(
            self.model,
            self.dataset,
            self.recipe.objective,
            self.recipe.training,
            self.fabric,
            checkpoints=self.folder / "checkpoint",
        )
        objective = self.recipe.objective
        with evaluating(self.model, 0):
            x = placed(self.model, self.dataset.train.batch(slice(0, 2)))
            objective(self.model.terms(x, self.recipe.training.samples, objective.kl))
        return training

    @contextmanager
    def lock_folder(self) -> Iterator[None]:
        """Keeps other processes out of the run folder within a block.

        Raises:
            RunError: another process writes it, or was faster to make a run there.
        """
        lock_of_first: AbstractContextManager[None] = nullcontext()
        if self.is_first:
            lock_of_first = lock.locked(self.folder)
        with lock_of_first:
            if self.is_first and not self.is_resumed:
                _refuse_taken(self.folder)
            yield

    def begin(self, training: Fit, *, tell: bool = True) -> None:
        """Goes to the checkpoint of a run that is resumed, and writes what the run is.

        Args:
            training: the fit at its start.
            tell: whether the process that shows a bar prints what the data are.
        """
        if self.is_resumed:
            training.resume()
        if self.is_first:
            self._write_description(training.state)
        if tell and self.shows_progress:
            tell_data(self.dataset)
        self.fabric.barrier()

    def _write_description(self, state: State) -> None:
        """Writes everything of a run folder that is known before training."""
        for folder in (self.folder, self.folder / "checkpoint", self.folder / "report"):
            remove_unfinished(folder)
        if state.history:
            _write_metrics(self.folder, state.history)
        # The recipe is the first file of a new run: a folder without it is no run.
        write_text(self.folder / "recipe.toml", self.recipe.to_toml())
        if self.dataset.items is not None:
            self.dataset.items.write(self.folder / "items.parquet")
            self._keep_split()
        write_conditions(self.folder, self.dataset)
        description = {
            "format": FORMAT,
            "schema": self.dataset.schema.to_json(),
            "fingerprint": self.dataset.fingerprint(),
            "facts": self.dataset.facts,
        }
        write_json(self.folder / "data.json", description)

    def _keep_split(self) -> None:
        """Writes the split of a log, unless the recipe says otherwise or it is there."""
        data = self.recipe.data
        if not data.keeps_split or (self.is_resumed and holds_split(self.folder)):
            return
        origin = describe_origin(*data.log_files, self.dataset.notes)
        write_split(self.folder, self.dataset, origin)

    def open_trackers(self) -> AbstractContextManager[Watch]:
        """Opens the trackers of the recipe for a block."""
        tables = self.recipe.describe()
        return watching(self.recipe.tracking, self.folder, tables, first=self.is_first)

    def train(self, training: Fit, trackers: Watch, follower: Follower = NOBODY) -> State:
        """Trains to the end, and returns the state. The model then has the best weights.

        Args:
            training: the fit, where it begins or goes on.
            trackers: those of the recipe.
            follower: is told of each epoch after all else has been done with it.
        """
        examples = len(self.dataset.train)
        epochs = self.recipe.training.epochs
        done = training.state.epoch * examples
        with bar(epochs, examples, done, show=self.shows_progress) as shown:
            try:
                return training.run(_RunFollower(self, trackers, shown, follower))
            except Interrupted as stop:
                if self.held is None:
                    raise
                told, _, _ = str(stop).partition("; go on with")
                message = f"{told}; go on with {self._resuming_in_python}"
                raise Interrupted(message, stop.signal_number) from None

    @property
    def _resuming_in_python(self) -> str:
        """Says how a fit to data in memory goes on, for which they must be given again."""
        recipe = f"{self.folder}/recipe.toml"
        return (
            f"lowerbound.fit({recipe!r}, data=..., out={str(self.folder)!r}, resume=True), and the "
            "same data"
        )

    @contextmanager
    def ending_in_order(self) -> Iterator[None]:
        """Words the end of a fit that is stopped when all epochs are done, within the block.

        Raises:
            Interrupted: Ctrl-C; the checkpoint holds the trained weights.
        """
        try:
            yield
        except KeyboardInterrupt:
            folder = shlex.quote(str(self.folder))
            way = f"go on with: lowerbound fit {folder}/recipe.toml --out {folder} --resume"
            if self.held is not None:
                way = f"go on with {self._resuming_in_python}"
            if is_file(self.folder / "summary.json"):
                way = f"lowerbound report {folder} writes the report"
            raise Interrupted(
                f"stopped after the last epoch; the run in {folder} can be used as it is; {way}"
            ) from None

    def choose_partner(self) -> Chosen | None:
        """Chooses the linear method that stands beside the network from now on, by validation
        users, and writes it; None for a recipe without a table `blend`.

        The first process does it; the others read what it has written, and have nothing chosen.
        """
        if self.recipe.blend is None:
            if self.is_first:  # a run that is resumed may have had one
                (self.folder / PARTNER).unlink(missing_ok=True)
            return None
        chosen = None
        if self.is_first:
            lock.refuse_moved(self.folder)
            chosen = choose_partner(self.model, self.dataset, self.recipe)
        self._take_partner(chosen)
        return chosen

    def _take_partner(self, chosen: Chosen | None) -> None:
        """Writes the linear method that the first process has chosen; all processes read it."""
        path = self.folder / PARTNER
        if chosen is not None:
            partner = chosen.partner
            if partner is None:
                path.unlink(missing_ok=True)
            else:
                save_tensors(path, partner.scorer.tensors(), partner.metadata())
        self.fabric.barrier()
        self.model.partner = read_partner(self.folder, self.model.shape[0])
        self.fabric.barrier()

    def _measure_blend(self, chosen: Chosen | None) -> tuple[dict[str, float], Chosen | None]:
        """Measures the validation split with the linear method beside the network, and fits the
        method to it too, where the recipe says so.

        Returns:
            The measures, as columns of the metrics, and what is chosen now.
        """
        blend = self.recipe.blend
        if blend is None:
            return {}, None
        measures = {}
        if self.dataset.held_out("validation") is not None:
            measures = self._measure("validation")
        if blend.refit:
            if chosen is not None:
                chosen = refit_partner(chosen, self.dataset, blend)
            self._take_partner(chosen)
        if chosen is not None and self.shows_progress:
            print_line(chosen.describe())
        return measures, chosen

    def _measure(self, split: str) -> dict[str, float]:
        """Measures a split, as columns of the metrics."""
        values = measure_test(
            self.model,
            self.dataset.split(split),
            self.recipe.objective,
            self.recipe.training,
            processes_of(self.fabric),
        )
        return {f"{split}_{name}": value for name, value in values.items()}

    def measure(self, state: State, chosen: Chosen | None = None) -> Run:
        """Measures the test split, and makes the finished run."""
        measures, chosen = self._measure_blend(chosen)
        if self.dataset.test is not None:
            measures |= self._measure("test")
        return self.finish(state, measures, chosen)

    def finish(
        self,
        state: State,
        measures: Mapping[str, float] | None = None,
        chosen: Chosen | None = None,
    ) -> Run:
        """Makes the finished run.

        Args:
            state: at the end of the training.
            measures: columns of the metrics that take the place of those of the best epoch, or
                stand beside them.
            chosen: the linear method beside the network, and what it was compared with.
        """
        row = dict(state.history[state.best_epoch - 1]) | dict(measures or {})
        summary = self._summarize(state, row)
        if chosen is not None:
            summary["blend"] = chosen.to_json()
        return self.make_run(summary)

    def _summarize(self, state: State, row: Mapping[str, float]) -> dict[str, Any]:
        """Returns what `fit --json` prints: the metrics of the best epoch, and facts of the run."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        examples_per_second = math.nan
        if state.step_seconds:
            examples = len(self.dataset.train) * state.epoch
            examples_per_second = examples / state.step_seconds
        device = next(self.model.parameters()).device
        return {
            "run": str(self.folder),
            "source": self.dataset.name,
            "unit": self.dataset.schema.unit,
            "sizes": self.dataset.sizes,
            "parameters": sum(p.numel() for p in parameters),
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            "seconds": state.seconds,
            "examples_per_second": examples_per_second,
            "train": figures_of_split(row, "train"),
            "validation": figures_of_split(row, "validation"),
            "test": figures_of_split(row, "test"),
            "caveat": self.caveat,
            "facts": self.dataset.facts,
            "notes": list(self.dataset.notes),
            "versions": {
                "lowerbound": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "hardware": hardware(str(device)),
        }

    def make_run(self, summary: dict[str, Any]) -> Run:
        """Makes a run of the model as it is now."""
        run = Run(
            self.folder, self.recipe, self.dataset.schema, self.model, summary, self.dataset.items
        )
        run.held = self.held
        return run

    def save(self, run: Run) -> None:
        """Writes the weights and the summary."""
        if not self.is_first:
            return
        lock.refuse_moved(self.folder)
        anomalies.forget(self.folder)
        weights = run.model.state_dict()
        save_tensors(self.folder / "model.safetensors", weights, {"format": str(FORMAT)})
        write_json(self.folder / "summary.json", run.summary)

    def report(self, run: Run, trackers: Watch) -> None:
        """Writes what held-out examples score, then the report, which the trackers get too."""
        if not self.is_first:
            return
        with tolerate_errors("the reference of score"):
            trained = len(self.dataset.train) * run.summary["epochs"]
            anomalies.keep(run, self.dataset, trained)
        if self.recipe.report.write:
            command = f"lowerbound report {shlex.quote(str(self.folder))}"
            with tolerate_errors(f"the report ({command} tries again)"):
                trackers.file(page(run, progress=self.shows_progress))


def tell_data(dataset: Dataset) -> None:
    """Prints how data were read, and how many examples there are to train, validate and test on."""
    splits = tell_splits(dataset.sizes, dataset.schema.unit, dataset.name)
    for line in (*dataset.notes, splits):
        print_line(line)


def open_session(
    recipe: Recipe,
    fabric: Fabric,
    name: str,
    out: str | Path | None,
    *,
    held: InMemory | None,
    resume: bool,
    progress: bool,
    dataset: Dataset | None = None,
) -> Session:
    """Finds the folder of a fit, opens its data and builds its model.

    Args:
        recipe: with all settings.
        fabric: device and processes.
        name: of the recipe, for the default folder.
        out: the run folder, or None for the default.
        held: the data where they are in memory, else None.
        resume: whether the fit goes on from what the folder holds.
        progress: whether a bar is shown.
        dataset: the data of the recipe where they are open already.

    Raises:
        RunError: the folder holds a run already, or there is nothing to resume, or what is there is
            of another format, recipe or data.
        DataError: the data cannot be read, or do not fit the likelihood or the noise.
        ConfigError: the model cannot be built.
    """
    with writing(one_line(out or name)):
        folder = find_folder(name, out, resume=resume)
        is_resumed = resume and _can_go_on(folder)
    fabric.barrier()  # no process looks at the folder after another has begun to write it
    if dataset is None and is_resumed:
        dataset = _open_to_go_on(recipe, folder, held)
    elif dataset is None:
        dataset = recipe.data.open(source=held)
    if held is not None:
        _refuse_different_data(dataset, processes_of(fabric))
    recipe = limit_epochs(recipe, len(dataset.train))
    if is_resumed:
        _refuse_other_run(recipe, dataset, folder)
    caveat = check(recipe, dataset.train)
    for split in (dataset.validation, dataset.test):
        if split is not None:
            check(recipe, split)
    torch.manual_seed(recipe.training.seed)
    model = build(recipe, dataset.schema)
    start_from_data(model, dataset, recipe.training.seed)
    if recipe.model.start == "factors":
        start_at_factors(model, dataset, recipe.training.seed)
    if recipe.model.output_bias == "data":
        model.start_at(torch.from_numpy(dataset.train.mean()))
    if recipe.training.sampled_items is not None:
        sample_items(model, dataset, recipe.training.sampled_items)
    shows_progress = progress and fabric.is_global_zero
    if recipe.training.start_from is not None and not is_resumed:
        note = start_at_run(model, recipe, dataset, recipe.training.start_from)
        if shows_progress:
            print_line(note)
    return Session(recipe, fabric, folder, is_resumed, dataset, caveat, model, shows_progress, held)


def _open_to_go_on(recipe: Recipe, folder: Path, held: InMemory | None) -> Dataset:
    """Opens the data of a fit that goes on: the split that its folder keeps, unless the data are
    given anew.
    """
    fitted_to = load_recipe(folder / "recipe.toml").data.source
    is_given = held is not None or fitted_to != recipe.data.source
    if is_given or not holds_split(folder):
        return open_as_fitted(recipe.data, folder, source=held)
    facts = read_table(folder, "data.json")
    schema = read_schema(facts, folder)
    items = Items.read(folder / "items.parquet", schema.shape[0])
    changed = tell_changed(folder, *recipe.data.log_files)
    if changed is not None:
        print_line(changed)
    return recipe.data.open_stored(folder, schema, items, facts.get("facts", {}))


def _refuse_different_data(dataset: Dataset, processes: Processes) -> None:
    """Refuses data in memory that are not the same in all processes.

    Each process runs the user's program from its start, and makes the data for itself.

    Raises:
        DataError: they differ.
    """
    if processes.world == 1:
        return
    first_digits = int(dataset.fingerprint()["sha256"][:12], 16)
    numbers = processes.gather(torch.tensor([first_digits], dtype=torch.float64))
    if len(numbers.unique()) > 1:
        raise DataError(
            "the data in memory are others in each process, which all run the program that makes "
            "them: make the same by a seed, or write them to a file and give its path"
        )


def limit_epochs(recipe: Recipe, examples: int) -> Recipe:
    """Returns the recipe with the number of epochs that its number of optimiser steps allows.

    Args:
        recipe: with all settings.
        examples: the number of training examples.
    """
    training = recipe.training
    if training.steps is None:
        return recipe
    steps_in_epoch = math.ceil(examples / training.batch_size)
    epochs = max(1, training.steps // steps_in_epoch)
    return recipe.replace({"training.epochs": min(epochs, training.epochs)})


def start_from_data(model: VAE, dataset: Dataset, seed: int) -> None:
    """Gives examples of the training split to the parts of a model that start from data.

    They get them as the posterior of the top level sees them. Which examples they are depends on
    the seed alone; no random number of the fit is used.
    """
    for number, part in enumerate(model.parts_from_data()):
        order = np.random.default_rng([seed, number]).permutation(len(dataset.train))
        examples = dataset.train.batch(order[: part.examples_wanted])
        with evaluating(model, seed):
            part.start_from(model.draw_below_top(as_batch(examples)))


def start_at_factors(model: VAE, dataset: Dataset, seed: int) -> None:
    """Starts a model at the factor analysis of some rows of the training split.

    Raises:
        ConfigError: the model or the data are others than those of a table.
    """
    factors.refuse_unfit(model)
    order = np.random.default_rng([seed, 1]).permutation(len(dataset.train))
    # The cells that each batch of the training hides are none of the gaps of the rows.
    assert isinstance(dataset.train, Examples)
    rows = replace(dataset.train, hide=0.0).batch(order[: factors.ROWS])
    factors.start_from_factors(model, rows, dataset.schema.table)


class _RunFollower(Follower):
    """It writes the metrics of each epoch, shows the progress, and tells the trackers.

    Args:
        session: the fit that is followed.
        trackers: get the numbers of each epoch, and pictures now and then.
        shown: shows how far the fit is.
        other: another follower, which is told of each epoch and may end the fit.
    """

    def __init__(
        self, session: Session, trackers: Watch, shown: FitProgress, other: Follower
    ) -> None:
        self.session = session
        self.trackers = trackers
        self.shown = shown
        self.other = other

    def progress(self, epoch: int, examples: int, text: str) -> None:
        self.shown.steps(epoch, examples, text)

    def epoch_done(self, history: list[dict[str, float]]) -> None:
        lock.refuse_moved(self.session.folder)
        _write_metrics(self.session.folder, history)
        scalars = dict(history[-1])
        epoch = int(scalars.pop("epoch"))
        examples = epoch * len(self.session.dataset.train)
        monitor = self.session.recipe.training.monitor
        self.shown.epoch(epoch, examples, _epoch_text(scalars, monitor))
        self.trackers.scalars(scalars, epoch)
        if self.trackers.looks(epoch):
            with tolerate_errors("the pictures for the trackers"):
                pictures = glance(self.session.make_run({}), self.session.dataset)
                for name, picture in pictures.items():
                    self.trackers.picture(name, picture, epoch)
        self.other.epoch_done(history)

    def ends_fit(self) -> bool:
        return self.other.ends_fit()


@contextmanager
def tolerate_errors(item: str) -> Iterator[None]:
    """Prints one line for an error in the block, and goes on.

    Pictures are no reason to lose a run.

    Args:
        item: what is drawn and written in the block.
    """
    try:
        yield
    except Exception as error:
        print_line(f"{item} could not be written: {type(error).__name__}: {error}")


def _write_metrics(folder: Path, history: list[dict[str, float]]) -> None:
    """Writes metrics.csv: one row per epoch, every number in full precision."""
    # Not every epoch measures the validation split.
    columns: dict[str, None] = {}
    for row in history:
        columns |= dict.fromkeys(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(folder / "metrics.csv", text.getvalue())


FIGURES_OF_EPOCH = {
    "train_elbo": "bound",
    "train_log_likelihood_term": "log-likelihood term",
    "validation_elbo": "validation bound",
    "validation_log_likelihood_term": "validation log-likelihood term",
}
"""What is shown of an epoch, by the columns of metrics.csv. Of each split one figure is enough."""


def _epoch_text(row: Mapping[str, float], monitor: str) -> str:
    """Says what an epoch has come to: the bound of each split, and what chooses the weights.

    Args:
        row: of metrics.csv.
        monitor: of the training.
    """
    parts = []
    shown_splits = set()
    for column, name in FIGURES_OF_EPOCH.items():
        split, _, _ = column.partition("_")
        # An autoencoder has no bound: its own is minus infinity.
        if row.get(column, -math.inf) != -math.inf and split not in shown_splits:
            shown_splits.add(split)
            parts.append(f"{name} {row[column]:.2f}")
    chosen = row.get(f"validation_{monitor}")
    if chosen is not None and monitor != "objective":
        parts.append(f"{monitor} {chosen:.4f}")
    return ", ".join(parts)


# The folder of a run ----------------------------------------------------------------------------


def find_folder(name: str, out: str | Path | None, *, resume: bool) -> Path:
    """Finds the folder of a run, and refuses one that it cannot use.

    Args:
        name: of the recipe, for the default folder `runs/NAME`.
        out: the folder; None takes the default, with a number if it exists.
        resume: whether the run goes on; the default is then the latest of the numbered folders.

    Raises:
        RunError: the folder holds a run already or other files, or there is nothing to resume.
    """
    _refuse_unnameable(out)
    default = Path("runs") / name
    if out is not None:
        folder = Path(out)
    elif resume:
        folder = latest_numbered(default)
    else:
        folder = first_free(default)
    is_begun = _is_begun(folder)
    if resume and not is_begun:
        raise RunError(f"there is no run in {folder} to resume")
    if not resume:
        _refuse_taken(folder)
        if not is_begun and exists(folder) and not (folder.is_dir() and _is_blank(folder)):
            raise RunError(f"{folder} is not an empty folder; choose another --out")
    return folder


def _numbered(folder: Path) -> Iterator[Path]:
    """Yields folder, folder-2, folder-3 and so on."""
    yield folder
    for i in range(2, 10_000):
        yield folder.with_name(f"{folder.name}-{i}")


def first_free(folder: Path) -> Path:
    """Returns the first of the numbered folders that does not exist."""
    return next(path for path in _numbered(folder) if not path.exists())


def latest_numbered(folder: Path) -> Path:
    """Returns the last numbered folder before the first gap, or `folder` itself."""
    latest = folder
    for path in _numbered(folder):
        if path != folder and not path.exists():
            break
        latest = path
    return latest


def _refuse_unnameable(path: object) -> None:
    """Raises ConfigError for a path that is not UTF-8. The files of a run could not name it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"the name of a run and of its data must be UTF-8, got {str(path)!r}"
        ) from None


def _refuse_taken(folder: Path) -> None:
    """Raises RunError for a folder that holds a run."""
    if (folder / "recipe.toml").exists() and _can_go_on(folder):
        raise RunError(f"{folder} holds a run already; --resume continues it; choose another --out")


def _is_begun(folder: Path) -> bool:
    """Says whether a folder holds a run, or the beginning of one.

    A recipe alone is the user's own file.
    """
    if not (folder / "recipe.toml").exists():
        return False
    return (folder / "checkpoint" / ".lock").exists() or _can_go_on(folder)


def _can_go_on(folder: Path) -> bool:
    """Says whether a folder holds something to go on from.

    A run that ended before its first checkpoint starts again.
    """
    if latest_checkpoint(folder / "checkpoint") is not None:
        return True
    return (folder / "model.safetensors").exists()


def _is_blank(folder: Path) -> bool:
    """Says whether a folder is empty but for what a fit leaves that ended before it wrote anything.

    That is its lock, and unfinished files.
    """
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        is_lock = inside.as_posix() in ("checkpoint", "checkpoint/.lock")
        if not is_lock and not inside.parts[0].startswith(UNFINISHED):
            return False
    return True


def _refuse_other_run(recipe: Recipe, dataset: Dataset, folder: Path) -> None:
    """Raises RunError if the folder's run is of another format, recipe or data."""
    description = read_json(folder / "data.json")
    version = None
    if isinstance(description, dict):
        version = description.get("format")
    if version != FORMAT:
        raise RunError(f"{folder}: a run of format {FORMAT} is needed, got {version!r}")
    _refuse_other_recipe(recipe, folder)
    advice = "give the same data by --data (data= in Python), or choose another --out"
    unchanged(dataset, folder, RunError, advice)


def _refuse_other_recipe(recipe: Recipe, folder: Path) -> None:
    """Raises RunError if the folder's run is of another recipe.

    What does not change the weights of an epoch may differ, and so may the place of the data, whose
    digest is compared.
    """
    ours = _tables_that_count(recipe)
    theirs = _tables_that_count(load_recipe(folder / "recipe.toml"))
    if ours == theirs:
        return
    different = []
    for table, values in ours.items():
        for key in values.keys() | theirs[table].keys():
            if values.get(key) != theirs[table].get(key):
                different.append(f"{table}.{key}")
    if different == ["data.source"]:
        return
    raise RunError(
        f"{folder} is a run of another recipe, different in {', '.join(sorted(different))}; choose "
        "another --out"
    )


def _tables_that_count(recipe: Recipe) -> dict[str, Any]:
    """Returns the tables of a recipe without what may change when a run is resumed."""
    tables = recipe.describe()
    for name in ("about", "blend", "report", "tracking"):
        tables.pop(name, None)
    for name in MAY_CHANGE_ON_RESUME:
        tables["training"].pop(name, None)
    return tables
