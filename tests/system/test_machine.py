"""What is known of the machine, and how it hands out memory."""

import os
import subprocess
import sys

import pytest

from lowerbound.system import machine

FAULTS = """
import resource, torch
from lowerbound.system.machine import keep_freed_memory, never_keep_freed_memory
{}
def step():
    return sum((torch.ones(2**23 + 1) + 1)[0] for _ in range(3))
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(line):
    """Pages that the system had to hand out again while large tensors came and went, in a process
    of its own.
    """
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(line)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of glibc")
def test_kept_memory_is_not_handed_out_again():
    """Tensors beyond 32 MiB, which the allocator never keeps by itself: 20 x 3 x 2 of 8,192 pages,
    if every one is new.
    """
    assert faults("keep_freed_memory()") < 50_000
    assert faults("never_keep_freed_memory(); keep_freed_memory()") > 500_000
    assert faults("") > 500_000


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the allocator of glibc, and /proc"
)
def test_kept_memory_is_given_back():
    code = """
import torch
from lowerbound.system.machine import give_back_memory, keep_freed_memory
held = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096
keep_freed_memory()
tensors = [torch.ones(2**22) for _ in range(12)]
tensors = None
before = held()
give_back_memory()
print(before - held())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 12 * 2**24 * 0.8


def test_without_glibc_nothing_happens(monkeypatch):
    def missing(name):
        raise OSError

    monkeypatch.setattr(machine.ctypes, "CDLL", missing)
    machine._keep.__wrapped__()
    machine.give_back_memory()


def test_the_hardware_is_told():
    assert "cores" in machine.hardware()
    assert machine.processor()


LIMITED = """
import os, sys, joblib, torch
os.environ.pop("OMP_NUM_THREADS", None)
{}
from lowerbound.system.machine import allowed_cores, limit_threads
torch.set_num_threads(3)
joblib.cpu_count = lambda: 2  # what a container may take
limit_threads()
print(torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("chosen", "threads"), [("", 2), ("os.environ['OMP_NUM_THREADS'] = '3'", 3)]
)
def test_pytorch_has_no_more_threads_than_cores_are_allowed_unless_the_user_says_so(
    chosen, threads
):
    code = LIMITED.format(chosen)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == threads


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity as Linux has it")
def test_a_process_that_is_limited_to_one_cpu_may_use_one_core():
    allowed = os.sched_getaffinity(0)
    assert machine.allowed_cores() <= len(allowed)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert machine.allowed_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
