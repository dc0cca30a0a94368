"""The tracker MLflow."""

import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .base import Tracker, flat

PARAMETERS_AT_ONCE = 100
"""A store of MLflow takes this many parameters in one call."""


class MLflow(Tracker):
    """The store that MLflow is set to (`MLFLOW_TRACKING_URI`), or else `tracking/mlflow.db`, an
    SQLite file of this run.
    """

    needs: ClassVar[tuple[str, ...]] = ("mlflow", "sqlalchemy", "alembic")

    def __init__(self, folder: Path, project: str, config: Mapping[str, Any], known: str) -> None:
        import logging

        import mlflow

        # MLflow would report each table of the database that it makes.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        store = None
        artefacts = None
        if not mlflow.is_tracking_uri_set():
            store = f"sqlite:///{folder / 'tracking' / 'mlflow.db'}"
            artefacts = (folder / "tracking" / "mlflow").as_uri()
        self.client: Any = mlflow.MlflowClient(store)
        self.id: str = known or self._create_run(project, folder.name, artefacts)
        self.client.update_run(self.id, status="RUNNING")
        self._log_new_parameters(flat(config))

    def _create_run(self, project: str, name: str, artefacts: str | None) -> str:
        """Creates a run in the project's experiment and returns the run's id."""
        experiment = self.client.get_experiment_by_name(project)
        if experiment:
            experiment_id = experiment.experiment_id
        else:
            experiment_id = self.client.create_experiment(project, artefacts)
        return self.client.create_run(experiment_id, run_name=name).info.run_id

    def _log_new_parameters(self, config: Mapping[str, Any]) -> None:
        """Logs the parameters that the run does not hold yet.

        MLflow refuses to change a parameter, and a resumed run may have more epochs.
        """
        from mlflow.entities import Param

        logged = self.client.get_run(self.id).data.params
        new = [Param(name, str(value)) for name, value in config.items() if name not in logged]
        for start in range(0, len(new), PARAMETERS_AT_ONCE):
            stop = start + PARAMETERS_AT_ONCE
            self.client.log_batch(self.id, params=new[start:stop])

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """Records all numbers that are not infinite.

        A database would turn an infinite one into its largest number. Characters that MLflow does
        not allow in names, such as "@", become "_".
        """
        from mlflow.entities import Metric

        milliseconds = int(time.time() * 1000)
        metrics = []
        for name, value in values.items():
            if not math.isinf(value):
                allowed_name = re.sub(r"[^\w./ :-]", "_", name)
                metrics.append(Metric(allowed_name, value, milliseconds, epoch))
        self.client.log_batch(self.id, metrics)

    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        self.client.log_image(self.id, image, key=name, step=epoch, synchronous=True)

    def file(self, path: Path) -> None:
        self.client.log_artifact(self.id, str(path), path.parent.name)

    def close(self, status: str) -> None:
        mlflow_status = {"finished": "FINISHED", "interrupted": "KILLED"}
        self.client.set_terminated(self.id, mlflow_status.get(status, "FAILED"))
