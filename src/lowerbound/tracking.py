"""Experiment trackers that follow a run: numbers after each epoch, pictures now and then, the
report at the end.

`metrics.csv` is always written; a tracker is an extra, through its own library, which is imported
only where it is used. A tracker that fails is told of once and then left alone: it never ends a
run.
"""

import json
import math
import os
import re
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import PositiveInt, field_validator

from .errors import ConfigError, Interrupted, unknown
from .specs.checked import checked
from .specs.registry import members
from .system.console import print_line
from .system.files import jsonable, read_json, write_json


class Tracker(ABC):
    """One tracker, open for one run.

    Args:
        folder: the run folder, absolute; what the tracker keeps on this machine goes into
        `tracking/` there, which exists.
        project: under which it files the run.
        config: the tables of the recipe.
        known: the `id` that it had when it followed this run before, or "".
    """

    needs: ClassVar[tuple[str, ...]]
    """Modules that it imports; the extra of the tracker's name installs them."""

    id: str = ""
    """By which the tracker finds the run again, unless it is by the folder alone."""

    @abstractmethod
    def __init__(
        self, folder: Path, project: str, config: Mapping[str, Any], known: str
    ) -> None: ...

    @abstractmethod
    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """Numbers of an epoch, by name; they may be NaN or infinite."""

    @abstractmethod
    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        """An image (H, W, C) of uint8, C is 1 or 3."""

    @abstractmethod
    def file(self, path: Path) -> None:
        """A file that belongs to the run; the path is absolute."""

    @abstractmethod
    def close(self, status: str) -> None:
        """The end: "finished", "interrupted" or "failed"."""


def flat(table: Mapping[str, Any], above: str = "") -> dict[str, str | int | float | bool]:
    """Tables within tables as one, by dotted name; lists and null as JSON.

    >>> flat({"model": {"latent": [2]}, "seed": 1})
    {'model.latent': '[2]', 'seed': 1}
    """
    found: dict[str, str | int | float | bool] = {}
    for key, value in jsonable(dict(table)).items():
        if isinstance(value, dict):
            found |= flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = (
                value if isinstance(value, str | int | float | bool) else json.dumps(value)
            )
    return found


class TensorBoard(Tracker):
    """Event files in `tracking/tensorboard`. The status is that of the session in the tab of the
    hyperparameters.
    """

    needs = ("tensorboard",)

    def __init__(self, folder: Path, project: str, config: Mapping[str, Any], known: str) -> None:
        from torch.utils.tensorboard import FileWriter
        from torch.utils.tensorboard.summary import hparams

        self.folder, self.begun = folder, False
        self.writer = FileWriter(str(folder / "tracking" / "tensorboard"))
        *start, self.success = hparams(flat(config), {})
        for summary in start:
            self.writer.add_summary(summary)

    def _begin(self, epoch: int) -> None:
        """Hides what was written of this epoch and later ones before the run was resumed."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        self.begun = True
        self.writer.add_event(Event(session_log=SessionLog(status=SessionLog.START)), step=epoch)

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        from torch.utils.tensorboard.summary import scalar

        if not self.begun:
            self._begin(epoch)
        for name, value in values.items():
            self.writer.add_summary(scalar(name, value), epoch)
        self.writer.flush()

    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        from torch.utils.tensorboard import summary

        self.writer.add_summary(summary.image(name, image, dataformats="HWC"), epoch)

    def file(self, path: Path) -> None:
        """Where the file is, from the run folder: event files hold no others."""
        from torch.utils.tensorboard.summary import text

        self.writer.add_summary(
            text(path.stem, Path(os.path.relpath(path, self.folder)).as_posix())
        )

    def close(self, status: str) -> None:
        if status == "finished":
            self.writer.add_summary(self.success)
        self.writer.close()


class WandB(Tracker):
    """Weights & Biases; its environment variables say whether it is online, and `wandb sync` sends
    what an offline run left.
    """

    needs = ("wandb",)

    def __init__(self, folder: Path, project: str, config: Mapping[str, Any], known: str) -> None:
        import wandb

        wandb.setup(wandb.Settings(login_timeout=60))  # nobody may be there to be asked for a key
        try:
            self.run = wandb.init(
                project=project,
                name=folder.name,
                dir=folder / "tracking",
                config=jsonable(dict(config)),
                id=known or None,
                resume="allow",
                allow_val_change=True,
                reinit="create_new",  # never the caller's own run
                settings=wandb.Settings(silent=True, console="off", finish_timeout=300),
            )
        except BaseException:
            self._leave()
            raise
        self.id = self.run.id

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        self.run.log(dict(values), step=epoch)

    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        import wandb

        self.run.log({name: wandb.Image(image)}, step=epoch)

    def file(self, path: Path) -> None:
        import wandb

        artefact = wandb.Artifact(f"report-{self.id}", type="report")
        artefact.add_file(
            str(path), policy="immutable", skip_cache=True
        )  # no copies in the home folder
        self.run.log_artifact(artefact)

    def close(self, status: str) -> None:
        self.run.finish(exit_code={"finished": 0, "interrupted": 130}.get(status, 1))
        self._leave()

    @staticmethod
    def _leave() -> None:
        """Ends the library's own process, unless the caller has a run there too."""
        import wandb

        if wandb.run is None:
            wandb.teardown()


class MLflow(Tracker):
    """The store that MLflow is set to (`MLFLOW_TRACKING_URI`), or else `tracking/mlflow.db`, an
    SQLite file of this run.
    """

    needs = ("mlflow", "sqlalchemy", "alembic")

    def __init__(self, folder: Path, project: str, config: Mapping[str, Any], known: str) -> None:
        import logging

        import mlflow

        logging.getLogger("mlflow.store.db.utils").setLevel(
            logging.WARNING
        )  # it tells of each table it makes
        own, set_ = folder / "tracking", mlflow.is_tracking_uri_set()
        self.client = mlflow.MlflowClient(None if set_ else f"sqlite:///{own / 'mlflow.db'}")
        self.id = known or self._created(
            project, folder.name, None if set_ else (own / "mlflow").as_uri()
        )
        self.client.update_run(self.id, status="RUNNING")
        self._parameters(flat(config))

    def _created(self, project: str, name: str, artefacts: str | None) -> str:
        found = self.client.get_experiment_by_name(project)
        experiment = (
            found.experiment_id if found else self.client.create_experiment(project, artefacts)
        )
        return self.client.create_run(experiment, run_name=name).info.run_id

    def _parameters(self, config: Mapping[str, Any]) -> None:
        """Those that are new: MLflow refuses to change one, and a resumed run may have more epochs."""
        from mlflow.entities import Param

        held = self.client.get_run(self.id).data.params
        new = [Param(name, str(value)) for name, value in config.items() if name not in held]
        for i in range(0, len(new), 100):  # as many as a store takes at once
            self.client.log_batch(self.id, params=new[i : i + 100])

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """All but infinite ones, of which a database makes the largest number; "@" and the like in
        names become "_".
        """
        from mlflow.entities import Metric

        now, names = (
            int(time.time() * 1000),
            {name: re.sub(r"[^\w./ :-]", "_", name) for name in values},
        )
        metrics = [
            Metric(names[name], value, now, epoch)
            for name, value in values.items()
            if not math.isinf(value)
        ]
        self.client.log_batch(self.id, metrics)

    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        self.client.log_image(self.id, image, key=name, step=epoch, synchronous=True)

    def file(self, path: Path) -> None:
        self.client.log_artifact(self.id, str(path), path.parent.name)

    def close(self, status: str) -> None:
        self.client.set_terminated(
            self.id, {"finished": "FINISHED", "interrupted": "KILLED"}.get(status, "FAILED")
        )


def trackers() -> dict[str, type[Tracker]]:
    """The trackers there are, by the name that a recipe has for them."""
    return {name.lower(): kind for name, kind in members(__name__, Tracker).items()}


@checked
class Tracking:
    """Which trackers follow a run.

    Args:
        to: names of trackers; a single one may stand alone.
        project: under which they file it.
        pictures_every: epochs between pictures.
    """

    to: tuple[str, ...] = ()
    project: str = "lowerbound"
    pictures_every: PositiveInt = 5

    @field_validator("to", mode="before")
    @classmethod
    def _several(cls, names: Any) -> Any:
        return (names,) if isinstance(names, str) else names

    @field_validator("to")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in trackers():
                raise ValueError(unknown("tracker", name, trackers()))
        return names


def installed(tracking: Tracking) -> None:
    """ConfigError with the line that installs it, for a tracker whose library is missing."""
    for name in tracking.to:
        for module in trackers()[name].needs:
            found = find_spec(module)
            if (
                found is None or found.origin is None
            ):  # a mere folder of that name, such as wandb makes, has no origin
                raise ConfigError(
                    f'tracking.to: {module} is not installed; pip install "lowerbound[{name}]"'
                )


class Watch:
    """All trackers of a run as one; what fails is left out from then on."""

    def __init__(self, open_: Mapping[str, Tracker], pictures_every: int = 1) -> None:
        self.open, self.pictures_every = dict(open_), pictures_every

    def _each(self, method: str, *arguments: Any) -> None:
        for name, tracker in list(self.open.items()):
            with redirect_stdout(sys.stderr):
                with _left_out(name) as failed:
                    getattr(tracker, method)(*arguments)
                if failed:
                    del self.open[name]
                    with suppress(Exception):
                        tracker.close("failed")

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """Numbers of an epoch."""
        self._each("scalars", values, epoch)

    def looks(self, epoch: int) -> bool:
        """Whether pictures are wanted of this epoch."""
        return bool(self.open) and (epoch == 1 or epoch % self.pictures_every == 0)

    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        """An image (H, W, C) of uint8."""
        self._each("picture", name, image, epoch)

    def file(self, path: Path) -> None:
        """A file that belongs to the run."""
        self._each("file", path.resolve())

    def close(self, status: str) -> None:
        """The end: "finished", "interrupted" or "failed"."""
        self._each("close", status)


@contextmanager
def _left_out(name: str) -> Iterator[list[Exception]]:
    """Tells of an error in one line of standard error, and goes on; gives the list that then holds
    it.
    """
    failed: list[Exception] = []
    try:
        yield failed
    except Exception as error:  # whatever a tracker's library raises is no reason to lose a run
        failed.append(error)
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        print_line(f"tracker {name} failed and is left out: {why}")


def _opened(name: str, folder: Path, project: str, config: Mapping[str, Any]) -> Tracker:
    """A tracker that follows the run in the folder, or goes on to."""
    place = folder / "tracking" / f"{name}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    known = read_json(place)["id"] if place.is_file() else ""
    tracker = trackers()[name](folder, project, config, known)
    if tracker.id != known:
        write_json(place, {"id": tracker.id})
    return tracker


@contextmanager
def watching(
    tracking: Tracking, folder: Path, config: Mapping[str, Any], *, first: bool = True
) -> Iterator[Watch]:
    """The trackers of a run, open; `first`: this process is the one that tells them.

    Args:
        tracking: which they are.
        folder: the run folder; a run that goes on there goes on in the same run of each tracker.
        config: the tables of the recipe.
        first: of several processes, one tells the trackers.
    """
    watch = Watch({}, tracking.pictures_every)
    for name in dict.fromkeys(tracking.to) if first else ():
        with _left_out(name), redirect_stdout(sys.stderr):
            watch.open[name] = _opened(name, folder.resolve(), tracking.project, config)
    status = "failed"
    try:
        yield watch
        status = "finished"
    except (Interrupted, KeyboardInterrupt):
        status = "interrupted"
        raise
    finally:
        watch.close(status)
