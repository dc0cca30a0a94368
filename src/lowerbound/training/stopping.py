"""What stops a fit from outside: another fit in the same process, and signals."""

import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import Interrupted, RunError
from ..recipe import Training
from .state import State

_running = threading.RLock()


@contextmanager
def one_fit_at_a_time() -> Iterator[None]:
    """Refuses a second fit while the block runs.

    Random numbers and the number of threads belong to the process. Two fits at once would use each
    other's.

    Raises:
        RunError: another fit runs in another thread.
    """
    if not _running.acquire(blocking=False):
        raise RunError(
            "another fit runs in this process; fits at the same time need a process each"
        )
    try:
        yield
    finally:
        _running.release()


def interruption(
    signal: int, state: State, settings: Training, checkpoints: Path | None
) -> Interrupted:
    """Makes the error for a fit that a signal stopped. It says where the fit is and how to go on.

    Args:
        signal: number of the signal.
        state: of the fit, after its checkpoint was written.
        settings: of the training.
        checkpoints: folder of the checkpoints, or None.
    """
    epoch = min(state.epoch + 1, settings.epochs)
    position = f"epoch {epoch}, step {state.step}"
    if checkpoints is None:
        return Interrupted(f"stopped at {position}; no checkpoint folder was given", signal)
    run = checkpoints.parent
    recipe = shlex.quote(f"{run}/recipe.toml")
    command = f"lowerbound fit {recipe} --out {shlex.quote(str(run))} --resume"
    message = (
        f"stopped at {position}; the run can be used as far as it has come; the checkpoint is "
        f"written; go on with: {command}"
    )
    return Interrupted(message, signal)
