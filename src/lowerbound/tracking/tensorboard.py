"""The tracker TensorBoard."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .base import Tracker, flat


class TensorBoard(Tracker):
    """Event files in `tracking/tensorboard`. The status is that of the session in the tab of the
    hyperparameters.
    """

    needs: ClassVar[tuple[str, ...]] = ("tensorboard",)

    def __init__(self, folder: Path, project: str, config: Mapping[str, Any], known: str) -> None:
        from torch.utils.tensorboard import FileWriter
        from torch.utils.tensorboard.summary import hparams

        self.folder = folder
        self.has_started: bool = False
        self.writer: FileWriter = FileWriter(str(folder / "tracking" / "tensorboard"))
        *opening_summaries, success_summary = hparams(flat(config), {})
        self.success_summary: Any = success_summary
        for summary in opening_summaries:
            self.writer.add_summary(summary)

    def _start_session(self, epoch: int) -> None:
        """Hides what was written of this epoch and later ones before the run was resumed."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        self.has_started = True
        session = SessionLog(status=SessionLog.START)
        self.writer.add_event(Event(session_log=session), step=epoch)

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        from torch.utils.tensorboard.summary import scalar

        if not self.has_started:
            self._start_session(epoch)
        for name, value in values.items():
            self.writer.add_summary(scalar(name, value), epoch)
        self.writer.flush()

    def picture(self, name: str, image: np.ndarray, epoch: int) -> None:
        from torch.utils.tensorboard import summary

        self.writer.add_summary(summary.image(name, image, dataformats="HWC"), epoch)

    def file(self, path: Path) -> None:
        """Records the path of the file from the run folder, as text: event files hold no files."""
        from torch.utils.tensorboard.summary import text

        relative_path = Path(os.path.relpath(path, self.folder)).as_posix()
        self.writer.add_summary(text(path.stem, relative_path))

    def close(self, status: str) -> None:
        if status == "finished":
            self.writer.add_summary(self.success_summary)
        self.writer.close()
