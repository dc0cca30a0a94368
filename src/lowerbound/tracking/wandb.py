"""The tracker Weights & Biases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..system.files import jsonable
from .base import Tracker


class WandB(Tracker):
    """Weights & Biases; its environment variables say whether it is online, and `wandb sync` sends
    what an offline run left.
    """

    needs: ClassVar[tuple[str, ...]] = ("wandb",)

    def __init__(self, folder: Path, project: str, config: Mapping[str, Any], known: str) -> None:
        import wandb

        wandb.setup(wandb.Settings(login_timeout=60))  # nobody may be there to be asked for a key
        try:
            self.run: Any = wandb.init(
                project=project,
                name=folder.name,
                dir=folder / "tracking",
                config=jsonable(dict(config)),
                id=known or None,
                resume="allow",
                allow_val_change=True,
                reinit="create_new",  # a run of the caller goes on beside this one
                settings=wandb.Settings(silent=True, console="off", finish_timeout=300),
            )
        except BaseException:
            self._end_service()
            raise
        self.id: str = self.run.id

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        self.run.log(dict(values), step=epoch)

    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        import wandb

        self.run.log({name: wandb.Image(image)}, step=epoch)

    def file(self, path: Path) -> None:
        import wandb

        artefact = wandb.Artifact(f"report-{self.id}", type="report")
        # By default the library copies the file into a cache in the home folder.
        artefact.add_file(str(path), policy="immutable", skip_cache=True)
        self.run.log_artifact(artefact)

    def close(self, status: str) -> None:
        exit_codes = {"finished": 0, "interrupted": 130}
        self.run.finish(exit_code=exit_codes.get(status, 1))
        self._end_service()

    @staticmethod
    def _end_service() -> None:
        """Ends the library's own process, unless the caller has a run there, too."""
        import wandb

        if wandb.run is None:
            wandb.teardown()
