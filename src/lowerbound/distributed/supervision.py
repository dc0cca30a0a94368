"""Supervision of the processes of one run on one machine: they start together and end together.

Fabric starts them, or torchrun, or `fabric run`. When one of them ends, by an error, a signal or a
kill, no other one stays behind to wait for it. Each of the others ends within about `PATIENCE`
seconds, and says on one line how to continue. Without supervision a process would wait half an
hour for the lost one, in the next exchange.
"""

import atexit
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from lightning_fabric import Fabric

from ..errors import WorkerError

PATIENCE = 10.0
"""After another process has ended, a process has this many seconds to end by itself."""

MAIN = "LOWERBOUND_MAIN"
"""The environment variable that holds the number of the process that started the others.

Under torchrun and `fabric run` it started all processes of the run.
"""

ENDED = "another process of this run has ended"
"""What a surviving process reports."""

GO_ON = "go on from its last checkpoint, if there is one, with --resume"
"""What a surviving process advises."""


@contextmanager
def launched(fabric: Fabric) -> Iterator[None]:
    """Starts the processes of `fabric` that are missing, and runs the block in all of them.

    When one process ends, all end.

    Raises:
        WorkerError: another process has ended.
    """
    with _reporting_lost_processes(fabric):
        _follow_starter()
        if os.environ.get("LT_CLI_USED") != "1":  # `fabric run` has launched all processes
            fabric.launch()
        if fabric.world_size > 1:
            atexit.register(_leave_group)
        _replace_fabric_kill()
        yield


def _leave_group() -> None:
    """Ends the threads that exchange with other processes before this one ends.

    A thread that is still there when the process ends may abort it ("terminate called without an
    active exception").
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _reporting_lost_processes(fabric: Fabric) -> Iterator[None]:
    """Turns the failure of an exchange with a process that has ended into a WorkerError.

    Raises:
        WorkerError: another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if fabric.world_size == 1 or not _is_exchange_failure(error):
            raise
        # Otherwise the first process prints the message; here it may be the one that ended.
        is_second = _started_by_torchrun() and os.environ.get("LOCAL_RANK") == "1"
        if _is_starter_gone() or is_second:
            _print_ended()
        first_line = str(error).splitlines()[0]
        without_source_place = re.sub(r"^\[[^]]*\] *", "", first_line)
        cause = without_source_place.partition(". ")[0]
        raise WorkerError(f"{ENDED} ({cause}); {GO_ON}") from error


def _is_exchange_failure(error: RuntimeError) -> bool:
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


def _print_ended() -> None:
    print(f"lowerbound: {ENDED}; {GO_ON}", file=sys.stderr, flush=True)


def _replace_fabric_kill() -> None:
    """Makes this process end by itself, with a message, when one that it started has ended.

    Fabric's observer thread would kill it within 5 seconds, without a word.
    """
    for thread in threading.enumerate():
        if thread.name == "child-process-observer":
            children = thread._child_processes  # type: ignore[attr-defined]
            thread._terminate_all = partial(_end_late, children)  # type: ignore[attr-defined]


def _started_by_torchrun() -> bool:
    """Says whether torchrun started this process. `fabric run` calls torchrun, too."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _follow_starter() -> None:
    """Lets a process that another one started for this run end soon after its starter.

    Otherwise it might wait in an exchange for half an hour, or train to the end with nobody knowing
    of it.
    """
    if _started_by_torchrun():
        os.environ[MAIN] = str(os.getppid())
    elif os.environ.get("LOCAL_RANK", "0") == "0":
        os.environ[MAIN] = str(os.getpid())
        return
    if MAIN in os.environ:
        threading.Thread(target=_end_with_starter, daemon=True).start()


def _is_starter_gone() -> bool:
    starter = int(os.environ.get(MAIN, os.getpid()))
    return starter not in (os.getpid(), os.getppid())


def _end_with_starter() -> None:
    """Waits until the starter has ended, then ends this process."""
    while not _is_starter_gone():
        time.sleep(1)
    if _started_by_torchrun():
        # All processes of the run are still alive: they stop together, at a checkpoint.
        os.kill(os.getpid(), signal.SIGTERM)
    _end_late([])


def _end_late(children: list[subprocess.Popen]) -> None:
    """Ends this process and its children after `PATIENCE`, even if it waits in an exchange.

    A process that ends in order does so within that time and never comes to the end of this.
    """
    time.sleep(PATIENCE)
    _print_ended()
    for child in children:
        child.kill()
    os._exit(WorkerError.exit_code)
