"""The processes of one run on one machine: they start together and they end together.

Fabric starts them, or torchrun, or `fabric run`. Whichever way one of them ends, by an error, a
signal or a kill, none of the others stays behind to wait for it: within about `PATIENCE` seconds
each ends too, and says on one line how to go on. Left alone, a process waits for half an hour, in
the next exchange, for one that is gone.
"""

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
"""Seconds that a process has to end by itself after another has ended."""


MAIN = "LOWERBOUND_MAIN"
"""Environment variable: the process that started the others of a run, or of torchrun and `fabric
run` all of them.
"""


ENDED, GO_ON = (
    "another process of this run has ended",
    "go on from its last checkpoint, if there is one, with --resume",
)


@contextmanager
def launched(fabric: Fabric) -> Iterator[None]:
    """The block runs in every process of `fabric`, of which those that are missing are started; the
    end of one is that of all.

    Raises:
        WorkerError: another process has ended.
    """
    with _together(fabric):
        _follow_starter()
        if os.environ.get("LT_CLI_USED") != "1":  # `fabric run` has launched all processes
            fabric.launch()
        _give_time()
        yield


@contextmanager
def _together(fabric: Fabric) -> Iterator[None]:
    """Of several processes, the end of one is the end of all: the others then wait for it in vain.

    Raises:
        WorkerError: another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if fabric.world_size == 1 or not (
            isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
        ):
            raise
        if _starter_gone() or (_launcher() and os.environ.get("LOCAL_RANK") == "1"):
            # which is else for the first process to say, and that may be the one that ended
            _tell()
        told = re.sub(r"^\[[^]]*\] *", "", str(error).splitlines()[0]).partition(". ")[
            0
        ]  # without the place in gloo's source
        raise WorkerError(f"{ENDED} ({told}); {GO_ON}") from error


def _tell() -> None:
    print(f"lowerbound: {ENDED}; {GO_ON}", file=sys.stderr, flush=True)


def _give_time() -> None:
    """Fabric kills this process within 5 s of the end of one that it started; before that it shall
    say so and end by itself.
    """
    for thread in threading.enumerate():
        if thread.name == "child-process-observer":
            thread._terminate_all = partial(_end_late, thread._child_processes)  # type: ignore[attr-defined]


def _launcher() -> bool:
    """Whether torchrun started this process, which `fabric run` calls too."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _follow_starter() -> None:
    """A process that another one started for this run ends soon after that one, wherever it is.

    Else it might wait for half an hour, or train on to the end without anybody who knows of it.
    """
    if _launcher():
        os.environ[MAIN] = str(os.getppid())
    elif os.environ.get("LOCAL_RANK", "0") == "0":
        os.environ[MAIN] = str(os.getpid())
        return
    if MAIN in os.environ:
        threading.Thread(target=_end_with_starter, daemon=True).start()


def _starter_gone() -> bool:
    return int(os.environ.get(MAIN, os.getpid())) not in (os.getpid(), os.getppid())


def _end_with_starter() -> None:
    while not _starter_gone():
        time.sleep(1)
    if _launcher():  # all processes of the run are there: they stop together, at a checkpoint
        os.kill(os.getpid(), signal.SIGTERM)
    _end_late([])


def _end_late(others: list[subprocess.Popen]) -> None:
    """Ends this process after `PATIENCE`, wherever it is, and all others; one that has ended before
    does not come here.
    """
    time.sleep(PATIENCE)
    _tell()
    for other in others:
        other.kill()
    os._exit(WorkerError.exit_code)
