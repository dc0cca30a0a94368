"""TensorBoard."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .base import Tracker, flat


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
