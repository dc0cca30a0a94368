"""The engine of one machine: this process, or several processes beside it."""

import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from ....errors import WorkerError
from ....system.machine import allowed_cores
from ..job import Job
from ..work import do_shard, do_shard_of_text


def make(job: Job, numbers: Sequence[int], workers: int | None = None) -> None:
    """Makes shards one after another in this process, or several at a time in others.

    Ranking uses all cores of one process, with one copy of the model: several processes have a copy
    each, and are of use where reading and writing take long.

    Args:
        job: the job.
        numbers: of the shards.
        workers: how many processes; None and 1 take this one.

    Raises:
        WorkerError: a process ended, such as for want of memory.
    """
    if workers is None or workers == 1:
        for number in numbers:
            do_shard(job, number)
        return
    make_in_processes(job, numbers, workers)


def make_in_processes(job: Job, numbers: Sequence[int], workers: int) -> None:
    """Makes shards in so many processes, each of which has a core or more.

    Raises:
        WorkerError: one of them ended.
    """
    workers = min(workers, len(numbers))
    threads = max(1, allowed_cores() // workers)
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare,
        initargs=(threads,),
    )
    text = job.to_text()
    try:
        _await([pool.submit(do_shard_of_text, text, number) for number in numbers])
    except BrokenProcessPool:
        raise WorkerError(
            f"a process of {workers} ended while it made a shard (out of memory, or killed); what "
            "is done stays, and the same command goes on, perhaps with fewer --workers"
        ) from None
    except BaseException:
        _end(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare(threads: int) -> None:
    """Prepares a process: Ctrl-C, which all processes get, is for the first one to handle."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)


def _await(futures: "list[Future[object]]") -> None:
    """Waits for all futures, and raises the first error at once."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


def _end(pool: ProcessPoolExecutor) -> None:
    """Ends the processes of a pool at once. A shard is written whole or not at all."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
