"""MLflow."""

import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .base import Tracker, flat


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
